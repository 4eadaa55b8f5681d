use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::Name;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::route::{Gateway, Route};
use tapline_core::span::{At, Evidence};
use tapline_topology::coverage::Searched;
use tapline_topology::graph::{Netdev, NetdevKind, RouteTable, Seen};
use tapline_topology::{Presence, Topic};

use crate::lint::{Confidence, Ctx, Finding, Recorded, Severity, Subject, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "L3-002",
    id: "gateway-unreachable",
    summary: "the next hop of a route is on no connected subnet, or behind a dead device",
    severity: Error,
    confidence: Proven,
    page: "gateway_unreachable.md",
    layer: (Addressing, 30),
    rank: 270,
    core: true,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [ovs::ovs_port_no_netdev, ovs::ovs_nic_not_in_datapath] by [Port],
        [nic::uplink_link_down, bond::bond_degraded] by [Device, Above],
        // The pair to the namespace of floating addresses is a veth.
        [veth::veth_peer_broken] by [Port],
        // A route through a port that is down leads nowhere.
        [ns::ns_port_not_wired, ns::dvr_fip_plumbing] by [Device],
        // An address on a bridge works only as long as the bridge does.
        [lbr::bridge_down] by [Device, Above],
        [l3::infra_subnet_overlap] by [Address, Device],
        [l3::prefix_length_mismatch] by [Address, Device],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for table in ctx.route_tables() {
        // Many routes may share a gateway: one fault.
        let mut hops: BTreeMap<(IpAddr, &Name), Vec<Hop<'_>>> = BTreeMap::new();
        for route in &table.data.routes {
            for hop in next_hops(*route) {
                hops.entry((hop.gateway, hop.dev)).or_default().push(hop);
            }
        }
        for hops in hops.into_values() {
            judge(ctx, out, table, &hops);
        }
    }
}

/// One next hop of one route.
#[derive(Clone, Copy)]
pub(crate) struct Hop<'t> {
    pub(crate) route: Seen<'t, Route>,
    pub(crate) gateway: IpAddr,
    pub(crate) dev: &'t Name,
    pub(crate) evidence: Evidence,
    flags: &'t [At<Name>],
}

/// The next hops of a route that have a gateway's address and a device.
pub(crate) fn next_hops(route: Seen<'_, Route>) -> Vec<Hop<'_>> {
    let record = route.record;
    if record.kind != "unicast" {
        return Vec::new();
    }
    let single = (&record.via, &record.dev, &record.flags, record.at);
    let several = record.nexthops.iter().map(|hop| (&hop.via, &hop.dev, &hop.flags, hop.at));
    std::iter::once(single)
        .chain(several)
        .filter_map(|(via, dev, flags, at)| {
            let Gateway::Ip(gateway) = via.as_ref()?.value else { return None };
            let dev = &dev.as_ref()?.value;
            let evidence = Evidence { source: route.source, span: at };
            // `route -n` prints 0.0.0.0 for no gateway.
            (!gateway.is_unspecified()).then_some(Hop { route, gateway, dev, evidence, flags })
        })
        .collect()
}

/// The record of the route: a route of several next hops is one.
fn record_of(hop: &Hop<'_>) -> Evidence {
    Evidence { source: hop.route.source, span: hop.route.record.at }
}

/// What is wrong with a next hop.
enum Fault<'t> {
    NoDevice(Searched),
    Dead(Item<'t, Netdev<'t>>),
    Linkdown,
    Own,
    OffLink,
    OnlinkRouter,
}

fn judge<'a>(ctx: &Ctx<'a>, out: &mut Verdicts, table: Item<'a, RouteTable<'a>>, hops: &[Hop<'a>]) {
    let Some(first) = hops.first() else { return };
    let (host, netns) = (table.host, table.netns());
    let fault = match fault(ctx, table, first) {
        Ok(None) => {
            out.clean();
            return;
        }
        Ok(Some(fault)) => fault,
        Err(missing) => {
            out.cannot_tell(host, missing);
            return;
        }
    };
    let (gateway, dev) = (first.gateway, first.dev);
    let what = match &fault {
        Fault::NoDevice(_) => format!("{dev} does not exist"),
        Fault::Dead(_) | Fault::Linkdown => format!("{dev} is down"),
        Fault::Own => format!("{gateway} is an address of this namespace itself"),
        Fault::OffLink | Fault::OnlinkRouter => {
            format!("{gateway} is on no subnet of {dev}")
        }
    };
    let name = route_name(first.route.record);
    let message = format!("the next hop {gateway} cannot be reached: {what}");
    let route = Recorded::Route {
        to: name.clone(),
        gateway,
        dev: dev.clone(),
        table: table.node.name.clone(),
    };
    let finding = out.fire(host, Subject::record(record_of(first), route), message);
    finding.at(table.id, Some(netns));
    finding.primary(first.evidence, "the route");
    for hop in hops.iter().skip(1) {
        let other = route_name(hop.route.record);
        let other = Subject::record(record_of(hop), Recorded::Destination { to: other });
        if other.name != name && !finding.also.iter().any(|known| known.name == other.name) {
            finding.also(other);
        }
    }
    cite(ctx, finding, netns, host, first, fault);
    if detour(ctx, table, first) {
        finding.at_most(Severity::Warning);
        finding.note("another route leads to the same destination");
    }
    let run = |command: String| defs::inside(netns, &command);
    finding.next(run(format!("ip route get {gateway}")));
    finding.next(run(format!("ip address show dev {dev}")));
}

fn cite(
    ctx: &Ctx<'_>,
    finding: &mut Finding,
    netns: &Netns,
    host: tapline_core::capture::HostId,
    hop: &Hop<'_>,
    fault: Fault<'_>,
) {
    match fault {
        Fault::NoDevice(searched) => {
            finding.rests_on_absence(searched);
        }
        Fault::Dead(device) => {
            if let Some(flags) = &device.data.flags {
                finding.primary(flags.evidence, "its device");
            }
        }
        Fault::Linkdown => {}
        Fault::Own => {
            for address in ctx.topology.find_address(hop.gateway) {
                let Some(address) = ctx.address(*address) else { continue };
                if address.host == host && address.netns() == netns {
                    let record = address.data.record;
                    let evidence = Evidence { source: record.source, span: record.record.at };
                    finding.primary(evidence, "the same address");
                }
            }
        }
        Fault::OffLink | Fault::OnlinkRouter => {
            if matches!(fault, Fault::OnlinkRouter) {
                finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
                finding.note(
                    "the route is marked `onlink`, so the kernel took it unchecked; neutron does not set that on a router",
                );
            }
            let device = ctx.netdev_called(host, netns, hop.dev);
            for address in device.iter().flat_map(|device| ctx.addresses_of(device.id)) {
                let record = address.data.record;
                let evidence = Evidence { source: record.source, span: record.record.at };
                finding.context(evidence, "a subnet that does not hold it");
            }
        }
    }
}

/// Whether the way works: `Ok(None)`. `Err` has the commands that would tell.
fn fault<'a>(
    ctx: &Ctx<'a>,
    table: Item<'a, RouteTable<'a>>,
    hop: &Hop<'_>,
) -> Result<Option<Fault<'a>>, Vec<Need>> {
    let (host, netns) = (table.host, table.netns());
    let has = |flag: &str| hop.flags.iter().any(|it| it.value == flag);
    if has("dead") || has("linkdown") {
        return Ok(Some(Fault::Linkdown));
    }
    let device = match ctx.topology.netdev_presence(host, netns, hop.dev) {
        Presence::Yes(device) => ctx.netdev(device),
        Presence::No(searched) => return Ok(Some(Fault::NoDevice(searched))),
        Presence::Unknown(missing) => return Err(missing),
    };
    let Some(device) = device else { return Ok(None) };
    if device.usable() == Some(false) {
        return Ok(Some(Fault::Dead(device)));
    }
    if exempt(hop, &device) {
        return Ok(None);
    }
    let own = ctx.topology.find_address(hop.gateway).iter().any(|id| {
        ctx.address(*id).is_some_and(|address| {
            address.host == host
                && address.netns() == netns
                && !is_virtual(address.ip, address.prefix)
        })
    });
    if own {
        return Ok(Some(Fault::Own));
    }
    if is_connected(ctx, table, hop, &device) {
        return Ok(None);
    }
    let missing = ctx.missing(host, netns, &[Topic::Addresses]);
    if !missing.is_empty() {
        return Err(missing);
    }
    if has("onlink") {
        // Some clouds have their gateway outside of the subnet on purpose; neutron's routers get
        // a link route to it instead.
        return Ok(defs::is_router_netns(netns).then_some(Fault::OnlinkRouter));
    }
    if ctx
        .topology
        .snapshot
        .source(hop.route.source)
        .is_some_and(|source| source.command.program() != "ip")
    {
        // `route` and `netstat` do not print `onlink`.
        let command = Topic::Routes.command(netns);
        return if ctx.complete(host, netns, Topic::AllRoutes) {
            Ok(None)
        } else {
            Err(vec![command])
        };
    }
    Ok(Some(Fault::OffLink))
}

/// An address without a subnet: keepalived and load balancers move such ones between hosts.
fn is_virtual(ip: IpAddr, prefix: u8) -> bool {
    prefix == if ip.is_ipv4() { 32 } else { 128 }
}

/// Gateways that need no subnet: link-local ones, point-to-point links, routes of a routing
/// daemon.
fn exempt(hop: &Hop<'_>, device: &Item<'_, Netdev<'_>>) -> bool {
    let link_local = match hop.gateway {
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
        IpAddr::V4(ip) => ip.is_link_local(),
    };
    let daemon = hop.route.record.proto.as_deref().is_some_and(|proto| {
        matches!(proto, "bgp" | "bird" | "zebra" | "ospf" | "isis" | "babel" | "eigrp" | "rip")
    });
    let point_to_point = matches!(device.kind, NetdevKind::Tun | NetdevKind::Tunnel)
        || device.flag("POINTOPOINT") == Some(true);
    link_local || daemon || point_to_point
}

/// Whether the gateway is on a subnet of the device, or a link route leads to it.
fn is_connected(
    ctx: &Ctx<'_>,
    table: Item<'_, RouteTable<'_>>,
    hop: &Hop<'_>,
    device: &Item<'_, Netdev<'_>>,
) -> bool {
    let subnet = ctx.addresses_of(device.id).iter().any(|address| {
        let net = IpNet::new(address.ip, address.prefix);
        let peer = address.record.record.peer;
        let peer_net = peer.and_then(|peer| IpNet::new(peer, address.prefix).ok());
        (address.ip != hop.gateway && net.is_ok_and(|net| net.contains(&hop.gateway)))
            || peer_net.is_some_and(|net| net.contains(&hop.gateway))
    });
    subnet || link_route(ctx, table, hop)
}

fn link_route(ctx: &Ctx<'_>, table: Item<'_, RouteTable<'_>>, hop: &Hop<'_>) -> bool {
    let main = ctx.topology.find_route_table(table.host, table.netns(), "main");
    let mut tables = [Some(table.id), main].into_iter().flatten();
    tables.any(|table| ctx.has_link_route(table, hop.dev, hop.gateway))
}

/// Whether another way to the same destination does not share the fault.
fn detour<'a>(ctx: &Ctx<'a>, table: Item<'a, RouteTable<'a>>, hop: &Hop<'a>) -> bool {
    let destination =
        |route: &Route| route.destination.as_ref().map(|destination| destination.value);
    let wanted = destination(hop.route.record);
    table
        .data
        .routes
        .iter()
        .filter(|seen| {
            destination(seen.record) == wanted && seen.record.family == hop.route.record.family
        })
        .flat_map(|route| next_hops(*route))
        .any(|it| it.dev != hop.dev && matches!(fault(ctx, table, &it), Ok(None)))
}

/// `default`, or the destination.
pub(super) fn route_name(route: &Route) -> String {
    match (&route.destination, &route.destination_name) {
        (Some(net), _) if net.value.prefix_len() > 0 => net.value.to_string(),
        (_, Some(name)) => name.to_string(),
        _ => "default".to_owned(),
    }
}
