use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::ids::Netns;
use tapline_topology::graph::{AddressNode, Netdev, NetdevKind};
use tapline_topology::{NodeId, Topic};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::mesh::is_cleaned;
use tapline_network::segment::Segments;

declare_rule! {
    code: "L3-012",
    id: "prefix-length-mismatch",
    summary: "addresses of one segment disagree about how large their subnet is",
    severity: Warning,
    confidence: Strong,
    page: "prefix_length_mismatch.md",
    layer: (Addressing, 20),
    rank: 840,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

/// An address, its device and its subnet.
#[derive(Clone, Copy)]
struct Held<'a> {
    address: Item<'a, AddressNode<'a>>,
    device: Item<'a, Netdev<'a>>,
    net: IpNet,
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut segments = ctx.segments().clone();
    join_hosts(ctx, &mut segments);
    let mut places: BTreeMap<usize, Vec<Held<'_>>> = BTreeMap::new();
    for address in ctx.addresses() {
        let Some(held) = held(ctx, address) else { continue };
        if let Some(segment) = segments.of(held.device.id) {
            places.entry(segment).or_default().push(held);
        }
    }
    for mut all in places.into_values() {
        all.sort_by_key(|it| (it.net.network(), it.net.prefix_len(), it.address.id));
        let mut rest = all.as_slice();
        // Subnets either lie within each other or have nothing in common.
        while let Some(outer) = rest.first().map(|it| it.net) {
            let end = rest.iter().position(|it| !outer.contains(&it.net)).unwrap_or(rest.len());
            let (group, next) = rest.split_at(end);
            judge(ctx, out, group);
            rest = next;
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        let routed = ctx.namespaces_of(host).any(|netns| defs::is_router_netns(netns.netns()));
        if routed {
            out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
        }
    }
}

/// Two hosts are in one segment where one has the other's address in its table of neighbours, with
/// the MAC of the very device that holds it.
fn join_hosts(ctx: &Ctx<'_>, segments: &mut Segments) {
    for (&(host, netns), known) in ctx.neighbours() {
        if !netns.is_root() || is_cleaned(ctx, host) || ctx.may_be_outdated(host) {
            continue;
        }
        for (&(dev, ip), entry) in known {
            let Some(mac) = entry.record.mac.as_ref().map(|mac| mac.value) else { continue };
            for owner in
                ctx.topology.find_address(ip).iter().filter_map(|address| ctx.address(*address))
            {
                let other = owner.host != host && owner.netns().is_root();
                if !other || is_cleaned(ctx, owner.host) || !ctx.are_comparable(host, owner.host) {
                    continue;
                }
                let theirs = ctx.netdev(owner.netdev);
                let ours = ctx.netdev_called(host, netns, dev);
                if let (Some(theirs), Some(ours)) = (theirs, ours)
                    && theirs.data.mac.as_ref().is_some_and(|it| it.value == mac)
                {
                    segments.join_devices(ours.id, theirs.id);
                }
            }
        }
    }
}

/// Addresses of devices that work, with a subnet that holds other hosts.
fn held<'a>(ctx: &Ctx<'a>, address: Item<'a, AddressNode<'a>>) -> Option<Held<'a>> {
    let device = ctx.netdev(address.netdev)?;
    let record = address.data.record.record;
    let most = if address.ip.is_ipv4() { 31 } else { 127 };
    // Addresses that keepalived and others add beside the first come with masks of their own.
    let added = record.flags.iter().any(|flag| matches!(flag.as_str(), "secondary" | "deprecated"));
    let plain = record.peer.is_none() && !added && address.prefix < most;
    let other = matches!(
        device.kind,
        NetdevKind::Loopback
            | NetdevKind::Dummy
            | NetdevKind::Macvlan
            | NetdevKind::Ipvlan
            | NetdevKind::Tun
            | NetdevKind::Tunnel
    );
    let counts = plain && !other && defs::is_global(address.ip) && device.usable() != Some(false);
    let net = IpNet::new(address.ip, address.prefix).ok()?.trunc();
    counts.then_some(Held { address, device, net })
}

/// Judges addresses whose subnets lie within each other.
fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, group: &[Held<'_>]) {
    let mut lengths: BTreeMap<u8, Vec<&Held<'_>>> = BTreeMap::new();
    for held in group {
        lengths.entry(held.net.prefix_len()).or_default().push(held);
    }
    // Two devices of one namespace, or two addresses of one device, are another matter.
    let places: BTreeSet<_> =
        group.iter().map(|group| (group.device.host, group.device.netns())).collect();
    if lengths.len() < 2 || places.len() < 2 {
        out.clean();
        return;
    }
    // What most of them say is right; of two that disagree, the greater subnet is doubted: it is
    // the one that asks for hosts behind the router.
    let Some((_, odd)) = lengths.iter().min_by_key(|(length, all)| (all.len(), **length)) else {
        return;
    };
    let odd_ids: BTreeSet<NodeId> = odd.iter().map(|odd| odd.address.id).collect();
    let Some(first) = odd.first() else { return };
    let others: Vec<_> =
        group.iter().filter(|group| !odd_ids.contains(&group.address.id)).collect();
    let Some(other) = others.first() else { return };
    let consequence = if first.net.prefix_len() < other.net.prefix_len() {
        "asks by ARP for hosts that are behind the router"
    } else {
        "sends to the router what is beside it"
    };
    let message = format!(
        "is in {} by its mask, {} of the same segment in {}: it {consequence}",
        first.net, other.address.ip, other.net
    );
    let finding = out.fault(ctx, first.address.host, first.address.id, message);
    for held in odd.iter().skip(1) {
        finding.also(ctx.subject(held.address.id));
    }
    for held in odd.iter().copied().chain(others.iter().copied()).take(6) {
        let place = format!(
            "on {} of {} on {}",
            held.device.name(),
            held.device.netns(),
            ctx.host_name(held.device.host)
        );
        finding.primary(held.address.line(), place);
    }
    let ip: IpAddr = other.address.ip;
    finding.next(defs::inside(first.device.netns(), &format!("ip route get {ip}")));
    finding.next(defs::inside(
        first.device.netns(),
        &format!("ip address show dev {}", first.device.name()),
    ));
}
