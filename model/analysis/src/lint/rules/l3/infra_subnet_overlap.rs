use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};
use tapline_core::ids::Netns;
use tapline_core::records::route::Route;
use tapline_core::span::Evidence;
use tapline_topology::Topic;
use tapline_topology::graph::{AddressNode, Netdev, NetdevKind};

use crate::lint::{Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::mesh::is_of_host;
use tapline_network::uplink;

declare_rule! {
    code: "L3-013",
    id: "infra-subnet-overlap",
    summary: "the network of a container or VM bridge is also a network that the host has to reach",
    severity: Warning,
    confidence: Proven,
    page: "infra_subnet_overlap.md",
    layer: (Addressing, 10),
    rank: 850,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

/// What lies in the bridge's subnet and is not the bridge's.
struct Rival {
    /// In words.
    what: String,
    /// The host prefers it to the bridge: its prefix is longer.
    preferred: bool,
    evidence: Evidence,
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        let bridges: Vec<_> = ctx
            .netdevs_of(host)
            .filter(|device| device.netns().is_root() && is_infra(ctx, device))
            .collect();
        if bridges.is_empty() {
            continue;
        }
        let mut addresses: Vec<_> = Vec::new();
        for device in ctx.netdevs_of(host).filter(|device| device.netns().is_root()) {
            let all = ctx.addresses_of(device.id);
            addresses.extend(all.into_iter().filter_map(|it| Some((it, device, subnet(it)?))));
        }
        let mut reported: BTreeSet<&str> = BTreeSet::new();
        for bridge in &bridges {
            if judge(ctx, out, *bridge, &addresses, &reported) {
                reported.insert(bridge.name());
            }
        }
    }
}

/// A bridge that software made for a network of its own: no NIC belongs to it.
fn is_infra(ctx: &Ctx<'_>, device: &Item<'_, Netdev<'_>>) -> bool {
    defs::is_infra_bridge(device.name())
        && matches!(device.kind, NetdevKind::Bridge | NetdevKind::Unknown)
        && !ctx.members(device.id).iter().any(|member| uplink::is_uplink(member))
}

/// The IPv4 subnet of an address that others share.
fn subnet(address: Item<'_, AddressNode<'_>>) -> Option<Ipv4Net> {
    let IpAddr::V4(ip) = address.ip else { return None };
    let shared = defs::is_global(address.ip) && address.prefix < 31;
    Ipv4Net::new(ip, address.prefix).ok().filter(|_| shared).map(|new| new.trunc())
}

/// An address with its device and subnet.
type Held<'a> = (Item<'a, AddressNode<'a>>, Item<'a, Netdev<'a>>, Ipv4Net);

/// Judges one bridge; says whether it was reported.
fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    bridge: Item<'_, Netdev<'_>>,
    addresses: &[Held<'_>],
    reported: &BTreeSet<&str>,
) -> bool {
    let host = bridge.host;
    let own: Vec<_> = addresses.iter().filter(|(_, device, _)| device.id == bridge.id).collect();
    let mut first = None;
    let mut rivals: Vec<Rival> = Vec::new();
    for &&(address, _, net) in &own {
        let before = rivals.len();
        for &(other, device, other_net) in addresses {
            // Two bridges that collide are one fault.
            let counts = device.id != bridge.id
                && other.data.record.source == address.data.record.source
                && !reported.contains(device.name())
                && may_collide(ctx, bridge, device, net, other_net);
            if counts {
                rivals.push(Rival {
                    what: format!("{} of {}", other.node.name, device.name()),
                    preferred: other_net.prefix_len() > net.prefix_len(),
                    evidence: other.line(),
                });
            }
        }
        by_route(ctx, bridge, net, &mut rivals);
        by_tunnel(ctx, bridge, net, &mut rivals);
        if rivals.len() > before {
            first.get_or_insert((address, net));
        }
    }
    let Some((address, net)) = first else {
        let missing = ctx.missing(host, &Netns::Root, &[Topic::Addresses, Topic::Routes]);
        if missing.is_empty() {
            out.clean();
        } else {
            out.cannot_tell(host, missing);
        }
        return false;
    };
    let names = defs::list(rivals.iter().map(|rival| rival.what.as_str()), 3);
    // By the longest prefix the host itself still gets there.
    let consequence = if rivals.iter().all(|rival| rival.preferred) {
        let guests = if bridge.name().starts_with("virbr") { "VMs" } else { "containers" };
        format!("{guests} on the bridge take hosts there for their own link and do not get there")
    } else {
        "what is for hosts there goes into the bridge".to_owned()
    };
    let message = format!("its subnet {net} is also that of {names}: {consequence}");
    let finding = out.fault(ctx, host, bridge.id, message);
    finding.primary(address.line(), "the bridge's subnet");
    for rival in rivals.iter().take(5) {
        finding.primary(rival.evidence, rival.what.clone());
    }
    if bridge.usable() == Some(false) && ctx.members(bridge.id).is_empty() {
        finding.at_most(Severity::Info);
        finding.note("nothing is on the bridge now; a collision comes with its first user");
    }
    finding.next(advice(bridge.name()));
    finding.next(format!("ip route show to match {}", net.network()));
    true
}

/// Whether an address of another device makes its hosts and the bridge's compete.
fn may_collide(
    ctx: &Ctx<'_>,
    bridge: Item<'_, Netdev<'_>>,
    device: Item<'_, Netdev<'_>>,
    net: Ipv4Net,
    other: Ipv4Net,
) -> bool {
    let overlap = net.contains(&other) || other.contains(&net);
    let passive = matches!(device.kind, NetdevKind::Loopback | NetdevKind::Dummy);
    let member = ctx.master(device.id).is_some_and(|master| master.id == bridge.id);
    // The overlay around the node's own part of it: flannel with addresses of the whole network.
    let overlay = matches!(device.kind, NetdevKind::Tunnel | NetdevKind::Tun)
        && other.contains(&net)
        && other != net;
    overlap && !passive && !member && !overlay && device.usable() != Some(false)
}

/// Routes to the bridge's subnet, or to a part of it, that lead elsewhere. Those to single hosts
/// are how container networks place their addresses.
fn by_route(ctx: &Ctx<'_>, bridge: Item<'_, Netdev<'_>>, net: Ipv4Net, rivals: &mut Vec<Rival>) {
    let main = ctx.topology.find_route_table(bridge.host, &Netns::Root, "main");
    let Some(main) = main.and_then(|main| ctx.route_table(main)) else { return };
    let part = |route: &Route| {
        let IpNet::V4(to) = route.destination.as_ref()?.value else { return None };
        (net.contains(&to) && to.prefix_len() < 31).then_some(to)
    };
    for route in &main.data.routes {
        let record = route.record;
        let Some(dev) = record.dev.as_ref().map(|dev| &dev.value) else { continue };
        let dead = record.has_flag("linkdown") || record.has_flag("dead");
        let via = record.via.is_some() && record.kind == "unicast" && !dead;
        if !via || dev.as_str() == bridge.name() {
            continue;
        }
        if let Some(to) = part(record) {
            let evidence = Evidence { source: route.source, span: record.at };
            let preferred = to.prefix_len() > net.prefix_len();
            let what = format!("the route to {to} through {dev}");
            rivals.push(Rival { what, preferred, evidence });
        }
    }
}

/// Far ends of tunnels in the bridge's subnet. A laboratory on one machine has its tunnels there
/// on purpose: then their own address is in the subnet too.
fn by_tunnel(ctx: &Ctx<'_>, bridge: Item<'_, Netdev<'_>>, net: Ipv4Net, rivals: &mut Vec<Rival>) {
    let inside = |it: IpAddr| matches!(it, IpAddr::V4(ip) if net.contains(&ip));
    let mut found: BTreeMap<IpAddr, Evidence> = BTreeMap::new();
    for tunnel in ctx.tunnels_of(bridge.host).filter(|tunnel| is_of_host(ctx, *tunnel)) {
        let (Some(local), Some(remote)) = (&tunnel.data.local, &tunnel.data.remote) else {
            continue;
        };
        if inside(remote.value) && !inside(local.value) {
            found.entry(remote.value).or_insert(remote.evidence);
        }
    }
    for (remote, evidence) in found {
        let what = format!("{remote}, the far end of a tunnel");
        rivals.push(Rival { what, preferred: false, evidence });
    }
}

/// Where the range of a bridge is chosen.
fn advice(name: &str) -> String {
    let starts = |all: &[&str]| all.iter().any(|it| name.starts_with(it));
    if starts(&["virbr"]) {
        "virsh net-list --all; virsh net-edit NETWORK".to_owned()
    } else if starts(&["lxdbr"]) {
        format!("lxc network set {name} ipv4.address ADDRESS/24")
    } else if starts(&["incusbr"]) {
        format!("incus network set {name} ipv4.address ADDRESS/24")
    } else if starts(&["docker", "br-"]) {
        "docker network ls; grep -e bip -e default-address-pools /etc/docker/daemon.json".to_owned()
    } else {
        format!("ip address show dev {name}")
    }
}
