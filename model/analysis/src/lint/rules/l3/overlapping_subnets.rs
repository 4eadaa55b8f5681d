use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use tapline_core::capture::{HostId, Source};
use tapline_core::ids::Netns;
use tapline_core::need;
use tapline_core::records::route::{Family, Route};
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::graph::{AddressNode, Netdev, NetdevKind};
use tapline_topology::{NodeId, Topic, names};

use super::rp_filter_strict_multihomed::has_source_rule;
use crate::lint::{Confidence, Ctx, Other, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::texts::Settings;
use tapline_network::uplink;

declare_rule! {
    code: "L3-004",
    id: "overlapping-subnets",
    summary: "two devices of a namespace have addresses in one subnet",
    severity: Warning,
    confidence: Proven,
    page: "overlapping_subnets.md",
    layer: (L3, 80),
    rank: 750,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [l3::infra_subnet_overlap] by [Address, Device],
        [l3::duplicate_ip] by [Address, Device],
    ],
}

/// An address, its device and its subnet.
#[derive(Clone, Copy)]
struct Held<'a> {
    address: Item<'a, AddressNode<'a>>,
    device: Item<'a, Netdev<'a>>,
    net: Ipv4Net,
}

/// What may overlap: the addresses of a namespace and VRF that one text shows.
type Place<'a> = (HostId, &'a Netns, Option<NodeId>, SourceId);

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut places: BTreeMap<Place<'_>, Vec<Held<'_>>> = BTreeMap::new();
    for address in ctx.addresses() {
        let Some(held) = held(ctx, address) else { continue };
        let vrf = ctx.master(held.device.id).map(|master| master.id);
        let place = (address.host, address.netns(), vrf, address.data.record.source);
        places.entry(place).or_default().push(held);
    }
    by_routes(ctx, out);
    let settings = ctx.kernel_settings();
    for (place, mut all) in places {
        all.sort_by_key(|it| (it.net.network(), it.net.prefix_len(), it.address.id));
        // Subnets either lie within each other or have nothing in common: those that follow their
        // outermost one belong to it.
        let mut rest = all.as_slice();
        while let Some(outer) = rest.first().map(|it| it.net) {
            let end = rest.iter().position(|it| !outer.contains(&it.net)).unwrap_or(rest.len());
            let (group, next) = rest.split_at(end);
            judge(ctx, out, place, outer, group, settings);
            rest = next;
        }
    }
}

/// An address that a route of the kernel proves.
struct Routed<'a> {
    device: &'a str,
    net: Ipv4Net,
    source: IpAddr,
    line: Evidence,
}

/// Where no addresses were captured: the kernel's own route to a subnet has an address of the device
/// for its source.
fn by_routes(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut subnets: BTreeMap<(HostId, &Netns, Ipv4Net), Vec<Routed<'_>>> = BTreeMap::new();
    for (source, routes) in ctx.route_texts() {
        if ctx.captured(source.host, &source.netns, Topic::Addresses) {
            continue;
        }
        for route in routes {
            if let Some(routed) = routed(ctx, source, route) {
                let here = subnets.entry((source.host, &source.netns, routed.net)).or_default();
                let known = here.iter().any(|other| other.device == routed.device);
                // Several texts may show one route.
                let same = here.iter().any(|other| other.source == routed.source);
                if !known && !same {
                    here.push(routed);
                }
            }
        }
    }
    for ((host, netns, net), all) in subnets {
        let open: Vec<&Routed<'_>> =
            all.iter().filter(|it| !by_policy(ctx, host, netns, it.source)).collect();
        if open.len() < 2 {
            out.clean();
            continue;
        }
        let names = defs::list(open.iter().map(|open| open.device), 4);
        let message = format!(
            "{names} are in this subnet together: packets to hosts there leave through one of them, and each answers ARP for the addresses of the others"
        );
        let finding = out.fire(host, Other::Subnet { net: net.into() }, message);
        finding.netns = Some(netns.clone());
        for it in &open {
            finding.primary(it.line, format!("{} is an address of {}", it.source, it.device));
        }
        finding.no_surer_than(Confidence::Suspect);
        let mut needs = ctx.missing(host, netns, &[Topic::Addresses, Topic::LinkDetails]);
        needs.extend(ctx.missing(host, netns, &[Topic::Rules]));
        finding.note(format!(
            "what the devices are, and whether rules choose a table by the source, is not known: run {}",
            need::list(&needs)
        ));
        finding.next(defs::inside(netns, &format!("ip route show {net}")));
        finding.next(defs::inside(netns, "sysctl net.ipv4.conf.all.arp_ignore"));
    }
}

fn routed<'a>(ctx: &Ctx<'a>, source: &'a Source, route: &'a Route) -> Option<Routed<'a>> {
    let own = route.proto.as_ref().is_some_and(|proto| proto == "kernel")
        && route.scope.as_ref().is_some_and(|scope| scope == "link")
        && route.kind == "unicast"
        && route.table.as_ref().is_none_or(|table| table.value == "main")
        && !route.has_flag("linkdown");
    let device = route.dev.as_ref().filter(|_| own)?.value.as_str();
    let IpNet::V4(net) = route.destination.as_ref()?.value else { return None };
    let ip = route.src?;
    let nic = names::is_nic(device) && !uplink::is_wireless(device);
    let known = ctx.netdev_called(source.host, &source.netns, device);
    let works =
        known.is_none_or(|device| device.usable() != Some(false) && (uplink::is_uplink(&device)));
    (nic && works && net.prefix_len() < 31 && defs::is_global(ip)).then_some(Routed {
        device,
        net,
        source: ip,
        line: Evidence { source: source.id, span: route.at },
    })
}

/// Whether a policy rule chooses a table by this source.
fn by_policy(ctx: &Ctx<'_>, host: HostId, netns: &Netns, source: IpAddr) -> bool {
    ctx.fib(host, netns).is_some_and(|fib| {
        fib.rules(Family::Inet).any(|rule| {
            rule.record.from.is_some_and(|from| from.prefix_len() > 0 && from.contains(&source))
        })
    })
}

/// Addresses that a host answers for on a network with other hosts.
fn held<'a>(ctx: &Ctx<'a>, address: Item<'a, AddressNode<'a>>) -> Option<Held<'a>> {
    let IpAddr::V4(ip) = address.ip else { return None };
    let net = Ipv4Net::new(ip, address.prefix).ok().filter(|new| new.prefix_len() < 31)?.trunc();
    if !defs::is_global(address.ip) || address.data.record.record.peer.is_some() {
        return None;
    }
    let device = ctx.netdev(address.netdev)?;
    // A macvlan beside its carrier, overlays around the node's own part of them, links of two.
    let other = matches!(
        device.kind,
        NetdevKind::Loopback
            | NetdevKind::Dummy
            | NetdevKind::Macvlan
            | NetdevKind::Macvtap
            | NetdevKind::Ipvlan
            | NetdevKind::Tun
            | NetdevKind::Tunnel
    );
    let member = ctx.master(device.id).is_some_and(|master| master.kind != NetdevKind::Vrf)
        || ctx.interface_of(device.id).is_some_and(|interface| interface.data.kind.is_empty());
    let alone = other || member || device.flag("POINTOPOINT") == Some(true);
    // A laptop has its cable and its radio in one network, and changes over.
    let radio = uplink::is_wireless(device.name());
    let works = device.usable() != Some(false);
    // The networks of containers have a rule of their own.
    (!alone && !radio && works && !defs::is_infra_bridge(device.name())).then_some(Held {
        address,
        device,
        net,
    })
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    (host, netns, vrf, _): Place<'_>,
    outer: Ipv4Net,
    group: &[Held<'_>],
    settings: &Settings<'_>,
) {
    // One address on two devices is a fault of another kind.
    let mut known: BTreeSet<IpAddr> = BTreeSet::new();
    let group: Vec<Held<'_>> =
        group.iter().filter(|group| known.insert(group.address.ip)).copied().collect();
    let devices =
        |all: &[Held<'_>]| all.iter().map(|it| it.device.id).collect::<BTreeSet<_>>().len();
    if devices(&group) < 2 {
        out.clean();
        return;
    }
    let open: Vec<Held<'_>> = group
        .iter()
        .filter(|group| {
            !has_source_rule(ctx, group.device) && !is_careful(settings, host, netns, group)
        })
        .filter(|group| vrf.is_some() || !is_unrouted(ctx, group))
        .copied()
        .collect();
    if devices(&open) < 2 {
        out.clean();
        return;
    }
    if open.iter().any(|open| open.device.usable().is_none()) {
        out.cannot_tell(host, [Topic::Links.command(netns)]);
        return;
    }
    // The kernel made no route for such an address: whether somebody else did, routes tell.
    let is_bare = |open: &Held<'_>| {
        open.address.data.record.record.flags.iter().any(|flag| *flag == "noprefixroute")
    };
    let missing = ctx.missing(host, netns, &[Topic::Routes]);
    if vrf.is_none() && open.iter().any(is_bare) && !missing.is_empty() {
        out.cannot_tell(host, missing);
        return;
    }
    let mut names: Vec<&str> = open.iter().map(|open| open.device.name()).collect();
    names.dedup();
    let names = defs::list(names, 4);
    let what = if open.iter().all(|open| open.net == outer) {
        format!("{names} are in this subnet together")
    } else {
        format!("the subnets of {names} overlap")
    };
    let message = format!(
        "{what}: packets to hosts there leave through one of them, and each answers ARP for the addresses of the others"
    );
    let finding = out.fire(host, Other::Subnet { net: outer.into() }, message);
    finding.netns = Some(netns.clone());
    finding.node = open.first().map(|open| open.device.id);
    for it in &open {
        finding.primary(it.address.line(), format!("on {}", it.device.name()));
    }
    if !ctx.complete(host, netns, Topic::Rules) {
        finding.no_surer_than(Confidence::Suspect);
        finding.note(
            "policy rules were not captured: with a table for each source address this is right",
        );
    }
    if let Some(host) = outer.hosts().next() {
        finding.next(defs::inside(netns, &format!("ip route show to match {host}")));
    }
    finding.next(defs::inside(netns, "sysctl -w net.ipv4.conf.all.arp_ignore=1"));
}

/// Whether the main table leads nothing to the subnet through the device: what took that route away
/// sends by rules of its own.
fn is_unrouted(ctx: &Ctx<'_>, held: &Held<'_>) -> bool {
    let (host, netns) = (held.device.host, held.device.netns());
    let main = ctx.topology.find_route_table(host, netns, "main");
    let Some(main) = main.and_then(|main| ctx.route_table(main)) else { return false };
    ctx.complete(host, netns, Topic::Routes)
        && !main.routes.iter().any(|route| {
            let there = route.record.destination.as_ref().is_some_and(|destination| {
                match destination.value {
                    IpNet::V4(net) => net.prefix_len() > 0 && net.contains(&held.net.network()),
                    IpNet::V6(_) => false,
                }
            });
            let ways = route.record.nexthops.iter().map(|hop| &hop.dev).chain([&route.record.dev]);
            there && ways.flatten().any(|way| way.value == held.device.name())
        })
}

/// Whether the device answers ARP for its own addresses only, or where its route leads there.
fn is_careful(settings: &Settings<'_>, host: HostId, netns: &Netns, held: &Held<'_>) -> bool {
    let device = held.device.name().replace('.', "/");
    ["all", device.as_str()].iter().any(|name| {
        ["arp_ignore", "arp_filter"].iter().any(|setting| {
            let key = format!("net.ipv4.conf.{name}.{setting}");
            settings.get(&(host, netns, key.as_str())).is_some_and(|it| it.value > 0)
        })
    })
}
