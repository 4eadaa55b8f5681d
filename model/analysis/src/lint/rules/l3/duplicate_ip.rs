use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_core::span::Evidence;
use tapline_topology::graph::{AddressNode, Netdev, NetdevKind, OvsPort};
use tapline_topology::{NodeId, Topic, names};

use crate::lint::{Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::mesh;
use tapline_network::segment::Segments;

declare_rule! {
    code: "L3-001",
    id: "duplicate-ip",
    summary: "one address is on two devices of one segment or namespace",
    severity: Error,
    confidence: Proven,
    page: "duplicate_ip.md",
    layer: (L3, 70),
    rank: 250,
    core: true,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [tun::tun_duplicate_local_ip, xhost::unknown_tunnel_peers] by [AnyAddress],
        [vm::vm_on_two_hosts] by [Vm],
        [ns::ha_router_active_count] by [Netns],
    ],
}

/// A device and its address.
type Holder<'a> = (Item<'a, AddressNode<'a>>, Item<'a, Netdev<'a>>);

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut held: BTreeMap<(HostId, IpAddr), Vec<Holder<'_>>> = BTreeMap::new();
    for address in ctx.addresses() {
        if defs::may_repeat(address.ip, address.prefix) || address.record.record.peer.is_some() {
            continue;
        }
        let Some(device) = ctx.netdev(address.netdev).filter(counts) else { continue };
        held.entry((address.host, address.ip)).or_default().push((address, device));
    }
    let segments = ctx.segments();
    dhcp_servers(ctx, out, &held);
    across_hosts(ctx, out, &held);
    for ((host, ip), holders) in held {
        // One device may have an address with two masks.
        let devices: BTreeSet<NodeId> = holders.iter().map(|holder| holder.1.id).collect();
        if devices.len() < 2 || moved(ctx, &holders) {
            out.clean();
            continue;
        }
        judge(ctx, out, host, ip, &holders, segments);
    }
}

/// DHCP servers of one network on several hosts: the name of the namespace is the network, and each
/// server has an address of its own.
fn dhcp_servers<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    held: &BTreeMap<(HostId, IpAddr), Vec<Holder<'a>>>,
) {
    let mut servers: BTreeMap<(&str, IpAddr), Vec<&Holder<'a>>> = BTreeMap::new();
    for ((host, ip), holders) in held {
        for holder in holders {
            let netns = holder.1.netns().name().filter(|name| name.starts_with("qdhcp-"));
            // Cleaning replaces the addresses of each host on its own.
            if let Some(netns) =
                netns.filter(|_| !mesh::is_cleaned(ctx, *host) && !ctx.may_be_outdated(*host))
            {
                servers.entry((netns, *ip)).or_default().push(holder);
            }
        }
    }
    for ((_, ip), holders) in servers {
        let hosts: BTreeSet<HostId> = holders.iter().map(|holder| holder.1.host).collect();
        // A server that moved keeps its MAC.
        let (Some(&first), true) = (hosts.first(), hosts.len() > 1 && different_macs(&holders))
        else {
            continue;
        };
        let names = defs::list(hosts.iter().map(|host| ctx.host_name(*host)), 4);
        let message = format!(
            "{ip} is on {names} in the DHCP namespaces of one network: each answers for it, and VMs reach one or the other"
        );
        if let Some(finding) = report(ctx, out, first, &holders, message) {
            finding.peers.extend(hosts.iter().skip(1));
            finding.next(format!("openstack port list --fixed-ip ip-address={ip}"));
        }
    }
}

/// Ports of one network on several hosts. Ports of a distributed or highly available router share
/// their address; DHCP servers are looked at by themselves.
fn across_hosts<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    held: &BTreeMap<(HostId, IpAddr), Vec<Holder<'a>>>,
) {
    let mut ports: BTreeMap<IpAddr, Vec<(&Holder<'a>, Item<'a, OvsPort>)>> = BTreeMap::new();
    for ((host, ip), holders) in held {
        if mesh::is_cleaned(ctx, *host) || ctx.may_be_outdated(*host) {
            continue;
        }
        let of_network = holders.iter().filter(|holder| holder.1.admin_up() != Some(false));
        let of_network =
            of_network.filter_map(|holder| Some((holder, ctx.integration_port_of(holder.1)?)));
        ports.entry(*ip).or_default().extend(of_network);
    }
    let is_server = |holder: &Holder<'_>| {
        holder.1.netns().name().is_some_and(|name| name.starts_with("qdhcp-"))
    };
    for (ip, all) in ports {
        let Some(&(first, port)) = all.first() else { continue };
        let mut same = vec![first];
        same.extend(all.iter().skip(1).filter_map(|&(other, other_port)| {
            (other.1.host != first.1.host
                && ctx.are_comparable(other.1.host, first.1.host)
                && ctx.are_in_one_network(port, other_port))
            .then_some(other)
        }));
        if same.len() < 2
            || !different_macs(&same)
            || shared_router(&same)
            || same.iter().all(|holder| is_server(holder))
        {
            continue;
        }
        let names = defs::list(same.iter().map(|holder| holder.1.name()), 4);
        let message = format!(
            "{ip} is on {names} of one network, on {}: each answers for it, and connections reach one or the other",
            defs::list(same.iter().map(|holder| ctx.host_name(holder.1.host)), 4)
        );
        if let Some(finding) = report(ctx, out, first.1.host, &same, message) {
            finding.peers.extend(same.iter().skip(1).map(|holder| holder.1.host));
            finding.next(format!("openstack port list --fixed-ip ip-address={ip}"));
        }
    }
}

/// Devices on which an address answers others. Loopbacks, dummies and point-to-point links may
/// share one.
fn counts(device: &Item<'_, Netdev<'_>>) -> bool {
    let kind = !matches!(
        device.kind,
        NetdevKind::Loopback | NetdevKind::Dummy | NetdevKind::Tun | NetdevKind::Tunnel
    );
    kind && device.flag("POINTOPOINT") != Some(true)
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    ip: IpAddr,
    holders: &[Holder<'_>],
    segments: &Segments,
) {
    let mut by_segment: BTreeMap<usize, Vec<&Holder<'_>>> = BTreeMap::new();
    let mut by_netns: BTreeMap<&Netns, Vec<&Holder<'_>>> = BTreeMap::new();
    for holder in holders {
        let up = holder.1.admin_up() != Some(false);
        if let Some(segment) = segments.of(holder.1.id).filter(|_| up) {
            by_segment.entry(segment).or_default().push(holder);
        }
        by_netns.entry(holder.1.netns()).or_default().push(holder);
    }
    let mut reported: BTreeSet<NodeId> = BTreeSet::new();
    for same in by_segment.into_values().filter(|segment| different_macs(segment)) {
        if shared_router(&same) {
            continue;
        }
        reported.extend(same.iter().map(|same| same.1.id));
        let names = defs::list(same.iter().map(|same| same.1.name()), 4);
        let message = format!(
            "{ip} is on {names} of one segment: each answers for it, and connections reach one or the other"
        );
        if let Some(finding) = report(ctx, out, host, &same, message) {
            let netns = same.first().map_or(&Netns::Root, |holder| holder.1.netns());
            finding.next(defs::inside(netns, &format!("ip neigh show {ip}")));
        }
    }
    for same in by_netns.into_values() {
        let fresh: Vec<_> =
            same.iter().copied().filter(|same| !reported.contains(&same.1.id)).collect();
        if fresh.len() < 2 || related(ctx, &fresh) {
            continue;
        }
        reported.extend(fresh.iter().map(|fresh| fresh.1.id));
        let names = defs::list(fresh.iter().map(|fresh| fresh.1.name()), 4);
        let off: Vec<_> = fresh
            .iter()
            .filter(|fresh| fresh.1.admin_up() == Some(false))
            .map(|fresh| fresh.1.name())
            .collect();
        let consequence = if off.is_empty() {
            "only the first route to its subnet is used".to_owned()
        } else {
            format!("they collide once {} is up", off.join(", "))
        };
        let message = format!("{ip} is on {names} of one namespace: {consequence}");
        if let Some(finding) = report(ctx, out, host, &fresh, message) {
            finding.at_most(Severity::Warning);
            finding.next(format!("ip route show to match {ip}"));
        }
    }
    if !reported.is_empty() {
        return;
    }
    // Overlapping subnets of different networks are fine; whether these are different takes the
    // tags of their ports.
    let undecided = holders
        .iter()
        .any(|(_, it)| names::port_prefix(it.name()).is_some() && segments.of(it.id).is_none());
    if undecided && !ctx.complete(host, &Netns::Root, Topic::Ovs) {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    } else {
        out.clean();
    }
}

/// Whether no text shows two of the holders at once, and one shows a holder without the address: it
/// moved from one to the other while the host was looked at.
fn moved<'a>(ctx: &Ctx<'a>, holders: &[Holder<'a>]) -> bool {
    let sources: BTreeSet<_> = holders.iter().map(|holder| holder.0.data.record.source).collect();
    sources.len() == holders.len() && holders.iter().any(|holder| ctx.came_or_went(holder.0))
}

/// Two MACs at least: the same address with the same MAC is one thing seen twice.
fn different_macs(holders: &[&Holder<'_>]) -> bool {
    let macs: BTreeSet<Mac> = holders
        .iter()
        .filter_map(|holder| holder.1.data.mac.as_ref())
        .map(|mac| mac.value)
        .collect();
    macs.len() > 1
}

/// Ports of a distributed or highly available router have one address in several namespaces.
fn shared_router(holders: &[&Holder<'_>]) -> bool {
    holders.iter().all(|holder| {
        let name = holder.1.name();
        name.starts_with("qr-") || name.starts_with("sg-") || name.starts_with("fg-")
    })
}

/// Whether one device stands on or in another, or they belong to different VRFs: then the address
/// is in one place, or in two that do not meet.
fn related(ctx: &Ctx<'_>, holders: &[&Holder<'_>]) -> bool {
    let ids: BTreeSet<NodeId> = holders.iter().map(|holder| holder.1.id).collect();
    let masters: Vec<_> = holders.iter().map(|holder| ctx.master(holder.1.id)).collect();
    let vrf = |it: &Option<Item<'_, Netdev<'_>>>| {
        it.as_ref().filter(|it| it.kind == NetdevKind::Vrf).map(|it| it.id)
    };
    let vrfs: BTreeSet<_> = masters.iter().map(vrf).collect();
    vrfs.len() > 1 || masters.iter().flatten().any(|master| ids.contains(&master.id))
}

fn report<'o>(
    ctx: &Ctx<'_>,
    out: &'o mut Verdicts,
    host: HostId,
    holders: &[&Holder<'_>],
    message: String,
) -> Option<&'o mut Finding> {
    let first = holders.first()?;
    let finding = out.fault(ctx, host, first.0.id, message);
    for (at, (address, device)) in holders.iter().enumerate() {
        let record = address.data.record;
        let evidence = Evidence { source: record.source, span: record.record.at };
        finding.primary(evidence, format!("on {} of {}", device.name(), device.netns()));
        if let Some(tag) = tag(ctx, device.id).filter(|_| at < 4) {
            finding.context(tag, "its VLAN");
        }
    }
    Some(finding)
}

/// Where the tag of a device's port is printed.
fn tag(ctx: &Ctx<'_>, device: NodeId) -> Option<Evidence> {
    let interface = ctx.interface_of(device)?;
    let port = ctx.topology.find_ovs_port(interface.host, &interface.port)?;
    ctx.ovs_port(port)?.data.tag.as_ref().map(|tag| tag.evidence)
}
