use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::route::{Family, Route};
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::graph::{Fact, Netdev, NetdevKind, TunnelEndpoint};
use tapline_topology::{NodeId, Topic};

use crate::lint::{Confidence, Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::{defs, mesh};

declare_rule! {
    code: "TUN-006",
    id: "tun-remote-unroutable",
    summary: "the host has no sane route to the far end of a tunnel",
    severity: Error,
    confidence: Proven,
    page: "tun_remote_unroutable.md",
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        let tunnels: Vec<_> = ctx
            .tunnels_of(host)
            .filter(|it| mesh::is_of_host(ctx, *it) && it.data.remote.is_some())
            .collect();
        if tunnels.is_empty() {
            continue;
        }
        let routes = Routes::new(ctx, host);
        // All tunnels with one trouble are one finding.
        let mut troubles: BTreeMap<Trouble, Vec<(Item<'_, TunnelEndpoint>, Why)>> = BTreeMap::new();
        let mut open: BTreeMap<Vec<String>, usize> = BTreeMap::new();
        for tunnel in tunnels {
            match judge(ctx, &routes, tunnel) {
                Verdict::Fine => out.clean(),
                Verdict::Unknown(missing) => *open.entry(missing).or_default() += 1,
                Verdict::Trouble(trouble, why) => {
                    troubles.entry(trouble).or_default().push((tunnel, why));
                }
            }
        }
        for (missing, count) in open {
            for _ in 0..count {
                out.cannot_tell(host, missing.clone());
            }
        }
        for (trouble, tunnels) in troubles {
            report(ctx, out, host, &trouble, tunnels);
        }
    }
}

/// What is wrong with the way to a far end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Trouble {
    /// The far end is an address of the host itself.
    Itself(IpAddr),
    /// OVS says that the device that tunnel packets leave by has no carrier.
    NoCarrier,
    /// No route at all.
    NoRoute,
    /// The route says that it leads nowhere: its type.
    Refused(String),
    /// It leads to this device, which is down.
    Down(String),
    /// It leads into the tunnel's own bridge.
    OwnBridge(String),
    /// It leaves by the first device, and the tunnel's source is on the second.
    OtherDevice(String, String),
}

/// What is cited for one tunnel.
struct Why {
    route: Option<Evidence>,
    more: Vec<(Evidence, &'static str)>,
}

enum Verdict {
    Fine,
    Unknown(Vec<String>),
    Trouble(Trouble, Why),
}

/// The routes of a host's root namespace, of all tables that were captured, by prefix.
struct Routes<'a> {
    by_prefix: HashMap<IpNet, Vec<(SourceId, &'a Route, bool)>>,
    /// Lengths that occur, the longest first.
    v4: Vec<u8>,
    v6: Vec<u8>,
    /// Policy rules beyond the three that every host has.
    policies: bool,
    /// Packets to some far ends may leave through devices that routes do not show.
    transforms: bool,
}

impl<'a> Routes<'a> {
    fn new(ctx: &Ctx<'a>, host: HostId) -> Self {
        let mut by_prefix: HashMap<IpNet, Vec<(SourceId, &'a Route, bool)>> = HashMap::new();
        let mut policies = false;
        let root = ctx.topology.find_netns(host, &Netns::Root);
        for table in root.map(|it| ctx.tables_in(it)).unwrap_or_default() {
            let common = matches!(table.name(), "local" | "main" | "default");
            policies |= table.data.rules.iter().any(|it| {
                let rule = it.record;
                let plain = rule.from.is_none() && rule.to.is_none() && rule.iif.is_none();
                !common || !plain || rule.fwmark.is_some()
            });
            if table.name() == "local" {
                continue;
            }
            for route in &table.data.routes {
                let record = route.record;
                let net = match &record.destination {
                    Some(net) => net.value.trunc(),
                    None if record.destination_name.is_some() => continue,
                    None if is_v6(record) => IpNet::V6(ipnet::Ipv6Net::default()),
                    None => IpNet::V4(ipnet::Ipv4Net::default()),
                };
                by_prefix.entry(net).or_default().push((
                    route.source,
                    record,
                    table.name() == "main",
                ));
            }
        }
        let lengths = |v4: bool| -> Vec<u8> {
            let mut all: Vec<u8> = by_prefix
                .keys()
                .filter(|it| matches!(it, IpNet::V4(_)) == v4)
                .map(IpNet::prefix_len)
                .collect();
            all.sort_unstable();
            all.dedup();
            all.reverse();
            all
        };
        let (v4, v6) = (lengths(true), lengths(false));
        let transforms = ctx.netdevs_of(host).any(|it| {
            ["xfrm", "vti", "ipsec", "wg"].iter().any(|start| it.name().starts_with(start))
                && it.netns().is_root()
        });
        Self { by_prefix, v4, v6, policies, transforms }
    }

    /// The routes of the longest prefix that holds the address, those of the main table first.
    fn to(&self, ip: IpAddr) -> Option<Vec<(SourceId, &'a Route, bool)>> {
        let lengths = if ip.is_ipv4() { &self.v4 } else { &self.v6 };
        lengths.iter().find_map(|length| {
            let net = IpNet::new(ip, *length).ok()?.trunc();
            let mut found = self.by_prefix.get(&net)?.clone();
            found.sort_by_key(|(_, route, main)| (!main, route.metric.unwrap_or_default()));
            Some(found)
        })
    }
}

fn is_v6(route: &Route) -> bool {
    route.family == Some(Family::Inet6)
        || route.via.as_ref().is_some_and(|it| {
            matches!(it.value, tapline_core::records::route::Gateway::Ip(IpAddr::V6(_)))
        })
}

fn judge<'a>(ctx: &Ctx<'a>, routes: &Routes<'a>, tunnel: Item<'a, TunnelEndpoint>) -> Verdict {
    let host = tunnel.host;
    let Some(remote) = &tunnel.data.remote else { return Verdict::Fine };
    let why = |route: Option<Evidence>, more: Vec<(Evidence, &'static str)>| Why { route, more };
    if let Some(own) = own_address(ctx, host, remote.value) {
        return Verdict::Trouble(
            Trouble::Itself(remote.value),
            why(None, vec![(own, "an address of this host")]),
        );
    }
    let interface = ctx.ovs_interface(tunnel.owner);
    let carrier = interface.and_then(|it| {
        let found = it.data.status.iter().find(|(key, _)| key == "tunnel_egress_iface_carrier");
        found.map(|(_, value)| value)
    });
    if let Some(down) = carrier.filter(|it| it.value == "down") {
        let said = vec![(down.evidence, "OVS says so")];
        return Verdict::Trouble(Trouble::NoCarrier, why(None, said));
    }
    if mesh::is_cleaned(ctx, host) {
        // Whether an address is in a network does not outlive the replacement of both.
        return Verdict::Unknown(vec![mesh::NOT_CLEANED.to_owned()]);
    }
    // A datapath in user space has routes of its own, taken from those of the kernel.
    let Some(found) = routes.to(remote.value) else {
        let mut missing = ctx.missing(host, &Netns::Root, &[Topic::AllRoutes]);
        if remote.value.is_ipv4() && !routes.policies {
            // Without rules of one's own the main table is all there is.
            let plain = ctx.missing(host, &Netns::Root, &[Topic::Routes, Topic::Rules]);
            if plain.is_empty() {
                missing.clear();
            }
        }
        if !missing.is_empty() {
            return Verdict::Unknown(missing);
        }
        if routes.transforms {
            return Verdict::Unknown(vec![format!("ip route get {}", remote.value)]);
        }
        return Verdict::Trouble(Trouble::NoRoute, why(None, Vec::new()));
    };
    let Some((source, route, main)) = found.first().copied() else { return Verdict::Fine };
    let line = Evidence { source, span: route.at };
    // Which of several tables counts, the rules say; several next hops may serve in turn.
    let several = !route.nexthops.is_empty() || found.len() > 1 || !main || routes.policies;
    if matches!(route.kind.as_str(), "unreachable" | "blackhole" | "prohibit") {
        return if several {
            Verdict::Fine
        } else {
            Verdict::Trouble(Trouble::Refused(route.kind.to_string()), why(Some(line), Vec::new()))
        };
    }
    let device = route.dev.as_ref().and_then(|it| ctx.netdev_called(host, &Netns::Root, &it.value));
    let Some(device) = device.filter(|_| !several) else { return Verdict::Fine };
    if device.usable() == Some(false) {
        let flags = device.data.flags.as_ref().map(|it| (it.evidence, "its state"));
        return Verdict::Trouble(
            Trouble::Down(device.name().to_owned()),
            why(Some(line), flags.into_iter().collect()),
        );
    }
    if let Some(bridge) = interface.map(|it| it.data.bridge.as_str())
        && device.name() == bridge
        && !has_uplink(ctx, host, bridge)
    {
        return Verdict::Trouble(
            Trouble::OwnBridge(bridge.to_owned()),
            why(Some(line), Vec::new()),
        );
    }
    match asymmetric(ctx, host, route, device, tunnel.data.local.as_ref()) {
        Some((other, at)) => Verdict::Trouble(
            Trouble::OtherDevice(device.name().to_owned(), other),
            why(Some(line), vec![(at, "where the tunnel's source is")]),
        ),
        None => Verdict::Fine,
    }
}

fn own_address(ctx: &Ctx<'_>, host: HostId, ip: IpAddr) -> Option<Evidence> {
    ctx.topology.find_address(ip).iter().find_map(|it| {
        let address = ctx.address(*it).filter(|it| it.host == host && it.netns().is_root())?;
        Some(address.line())
    })
}

/// Whether a bridge has a port that leads out of the host.
fn has_uplink(ctx: &Ctx<'_>, host: HostId, bridge: &str) -> bool {
    let Some(bridge) = ctx.bridge_called(host, bridge) else { return true };
    defs::interfaces_of(ctx, bridge.id).iter().any(|it| match it.data.kind.as_str() {
        "" | "system" => ctx.device_of(it.id).is_none_or(|it| defs::is_uplink_kind(&it)),
        // A patch leads to another bridge, a port of DPDK is a NIC.
        "patch" => true,
        kind => kind.starts_with("dpdk"),
    })
}

/// The device that has the tunnel's source, where packets leave by another that has an address of
/// its own. A source on the loopback is reached by all ways.
fn asymmetric(
    ctx: &Ctx<'_>,
    host: HostId,
    route: &Route,
    device: Item<'_, Netdev<'_>>,
    local: Option<&Fact<IpAddr>>,
) -> Option<(String, Evidence)> {
    let local = local?.value;
    if route.src == Some(local) {
        return None;
    }
    let address = ctx
        .topology
        .find_address(local)
        .iter()
        .find_map(|it| ctx.address(*it).filter(|it| it.host == host && it.netns().is_root()))?;
    let holder = ctx.netdev(address.data.netdev)?;
    let anywhere = matches!(holder.kind, NetdevKind::Loopback | NetdevKind::Dummy)
        || matches!(address.prefix, 32 | 128);
    let in_vrf = |id: NodeId| ctx.master(id).is_some_and(|it| it.kind == NetdevKind::Vrf);
    if holder.id == device.id
        || anywhere
        || in_vrf(holder.id)
        || in_vrf(device.id)
        || ctx.are_stacked(holder.id, device.id)
    {
        return None;
    }
    // Where the other device is without an address of its own, the source is borrowed on purpose.
    let numbered = ctx
        .addresses_of(device.id)
        .iter()
        .any(|it| defs::is_global(it.ip) && it.ip.is_ipv4() == local.is_ipv4());
    numbered.then(|| (holder.name().to_owned(), address.line()))
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    trouble: &Trouble,
    tunnels: Vec<(Item<'_, TunnelEndpoint>, Why)>,
) {
    let Some((first, _)) = tunnels.first() else { return };
    let first = *first;
    let Some(remote) = first.data.remote.as_ref().map(|it| it.value) else { return };
    let lost = "nothing that is sent through it arrives";
    let message = match trouble {
        Trouble::Itself(ip) => format!("leads to {ip}, an address of this very host: {lost}"),
        Trouble::NoCarrier => {
            format!("OVS sends it by a device without carrier: {lost}")
        }
        Trouble::NoRoute => format!("the host has no route to {remote}: {lost}"),
        Trouble::Refused(kind) => format!("the route to {remote} is {kind}: {lost}"),
        Trouble::Down(device) => {
            format!("the route to {remote} leads to {device}, which is down: {lost}")
        }
        Trouble::OwnBridge(bridge) => format!(
            "the route to {remote} leads into {bridge}, the tunnel's own bridge, which has no way out: {lost}"
        ),
        Trouble::OtherDevice(device, holder) => format!(
            "packets to {remote} leave by {device}, while the tunnel's source is on {holder}: filters on the way may drop them"
        ),
    };
    let finding = out.fault(ctx, host, first.owner, message);
    for (tunnel, why) in tunnels.iter().take(3) {
        if let Some(remote) = &tunnel.data.remote {
            finding.primary(remote.evidence, "the far end");
        }
        if let Some(route) = why.route {
            finding.primary(route, "the route");
        }
        for (evidence, label) in &why.more {
            finding.primary(*evidence, *label);
        }
    }
    finding.also.extend(tunnels.iter().skip(1).map(|(it, _)| ctx.object(it.owner).name));
    match trouble {
        Trouble::NoRoute => {
            let topic = if ctx.complete(host, &Netns::Root, Topic::AllRoutes) {
                Topic::AllRoutes
            } else {
                Topic::Routes
            };
            let key = format!("a route to {remote}");
            finding.rests_on_absence(ctx.searched(host, &Netns::Root, topic, &key));
        }
        Trouble::OtherDevice(..) => {
            finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
        }
        _ => {}
    }
    advise(finding, first, remote);
}

fn advise(finding: &mut Finding, tunnel: Item<'_, TunnelEndpoint>, remote: IpAddr) {
    let from = tunnel.data.local.as_ref().map(|it| format!(" from {}", it.value));
    finding.next(format!("ip route get {remote}{}", from.unwrap_or_default()));
    finding.next("ovs-appctl ovs/route/show");
}
