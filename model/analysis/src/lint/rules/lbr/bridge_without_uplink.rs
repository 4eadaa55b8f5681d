use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_network::l3::{Outcome, Query};
use tapline_network::uplink::{self, Usage};
use tapline_network::{Answer, Item, defs, overlay};
use tapline_topology::graph::{Netdev, NetdevKind, OvsBridge, OvsInterface, TunnelEndpoint};
use tapline_topology::{EdgeKind, NodeId, Topic};

use crate::lint::{Ctx, Verdicts, declare_rule};

declare_rule! {
    code: "LBR-009",
    id: "bridge-without-uplink",
    summary: "the default route, or what tunnels send, leaves by a bridge that nothing leads out of",
    severity: Error,
    confidence: Strong,
    page: "bridge_without_uplink.md",
    layer: (L2Membership, 15),
    rank: 924,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut found = BTreeSet::new();
    default_routes(ctx, out, &mut found);
    tunnels(ctx, out, &found);
}

/// Bridges without any port but the host's own, by which it sends the packets of tunnels.
fn tunnels(ctx: &Ctx<'_>, out: &mut Verdicts, found: &BTreeSet<NodeId>) {
    let mut bridges: BTreeMap<NodeId, (Bridge<'_>, Vec<Item<'_, TunnelEndpoint>>)> =
        BTreeMap::new();
    for tunnel in ctx.tunnels() {
        let Some(Answer::Known(devices)) = overlay::egress(ctx, tunnel) else { continue };
        let [device] = devices.as_slice() else { continue };
        let Some(bridge) = Bridge::of(ctx, *device) else { continue };
        bridges.entry(bridge.id()).or_insert((bridge, Vec::new())).1.push(tunnel);
    }
    for (id, (bridge, tunnels)) in bridges {
        let Some(first) = tunnels.first().filter(|_| !found.contains(&id)) else { continue };
        match ctx.is_bare(id) {
            Answer::Known(None) => out.clean(),
            Answer::Unknown(needs) => out.cannot_tell(first.host, needs),
            Answer::Known(Some(place)) => {
                let sent = match tunnels.len() {
                    1 => "a tunnel".to_owned(),
                    many => format!("{many} tunnels"),
                };
                let message = format!(
                    "packets of {sent} leave by it, and no port leads out of it: they go nowhere"
                );
                let finding = out.fault(ctx, first.host, id, message);
                finding.primary(place, "the bridge");
                for tunnel in tunnels.iter().take(3) {
                    if let Some(remote) = &tunnel.data.remote {
                        finding.primary(remote.evidence, "sends by the bridge");
                    }
                }
                finding.next(match bridge {
                    Bridge::Linux(_) => format!("ip link set NIC master {}", bridge.name()),
                    Bridge::Ovs(_) => format!("ovs-vsctl add-port {} NIC", bridge.name()),
                });
            }
        }
    }
}

fn default_routes(ctx: &Ctx<'_>, out: &mut Verdicts, found: &mut BTreeSet<NodeId>) {
    for host in ctx.hosts() {
        let Some(fib) = ctx.fib(host, &Netns::Root) else { continue };
        // Where anything goes that no route is for: an address kept for documentation.
        let anywhere = Query::own(IpAddr::from([203, 0, 113, 1]));
        let Answer::Known(decision) = fib.lookup(&anywhere) else { continue };
        let Outcome::Forward(hops) = &decision.outcome else { continue };
        let [hop] = hops.as_slice() else { continue };
        let Some(gateway) = hop.gateway else { continue };
        let Some(device) = ctx.netdev_called(host, &Netns::Root, hop.dev) else { continue };
        let Some(bridge) = Bridge::of(ctx, device) else { continue };
        if bridge.leads_out(ctx) || answers(ctx, device, gateway) {
            out.clean();
            continue;
        }
        let missing = ctx.missing(host, &Netns::Root, bridge.topics());
        if !missing.is_empty() {
            out.cannot_tell(host, missing);
            continue;
        }
        // A guest may be the router. An uplink that is made and used by nothing says that it is not.
        let spare = ctx.netdevs_of(host).find(|device| is_spare(ctx, *device));
        let Some(spare) = spare else {
            out.clean();
            continue;
        };
        let message = format!(
            "the default route leaves by it, to {gateway}, and no uplink is in it: nothing leads out of the host, and {} serves nothing",
            spare.name()
        );
        found.insert(bridge.id());
        let finding = out.fault(ctx, host, bridge.id(), message);
        for evidence in decision.evidence().into_iter().take(2) {
            finding.primary(evidence, "the default route");
        }
        if let Some(line) = bridge.place() {
            finding.primary(line, "the bridge");
        }
        if let Some(line) = spare.place() {
            finding.primary(line, "in no bridge, and without an address");
        }
        let (name, spare) = (bridge.name(), spare.name());
        finding.next(match bridge {
            Bridge::Linux(_) => format!("ip link set {spare} master {name}"),
            Bridge::Ovs(_) => format!("ovs-vsctl add-port {name} {spare}"),
        });
        finding.next(format!("ip neigh show {gateway}"));
    }
}

/// The bridge by which the default route leaves.
#[derive(Clone, Copy)]
enum Bridge<'a> {
    Linux(Item<'a, Netdev<'a>>),
    Ovs(Item<'a, OvsBridge>),
}

impl<'a> Bridge<'a> {
    /// That of a device: itself, or the switch of which it is an internal port.
    fn of(ctx: &Ctx<'a>, device: Item<'a, Netdev<'a>>) -> Option<Self> {
        if device.kind == NetdevKind::Bridge {
            return Some(Self::Linux(device));
        }
        let interface = ctx.interface_of(device.id)?;
        let own =
            interface.kind == "internal" || interface.name() == interface.data.bridge.as_str();
        let bridge = ctx.bridge_called(device.host, &interface.data.bridge).filter(|_| own)?;
        Some(Self::Ovs(bridge))
    }

    fn id(self) -> NodeId {
        match self {
            Self::Linux(bridge) => bridge.id,
            Self::Ovs(bridge) => bridge.id,
        }
    }

    fn name(self) -> &'a str {
        match self {
            Self::Linux(bridge) => bridge.name(),
            Self::Ovs(bridge) => bridge.name(),
        }
    }

    fn place(self) -> Option<Evidence> {
        match self {
            Self::Linux(bridge) => bridge.place(),
            Self::Ovs(bridge) => bridge.place(),
        }
    }

    fn topics(self) -> &'static [Topic] {
        match self {
            Self::Linux(_) => &[Topic::Links, Topic::BridgeMembers],
            Self::Ovs(_) => &[Topic::Links, Topic::Ovs],
        }
    }

    fn leads_out(self, ctx: &Ctx<'_>) -> bool {
        match self {
            Self::Linux(bridge) => linux_leads_out(ctx, bridge),
            Self::Ovs(bridge) => ovs_leads_out(ctx, bridge),
        }
    }
}

/// Whether a port of the switch may lead somewhere else than to guests and to the host.
fn ovs_leads_out(ctx: &Ctx<'_>, bridge: Item<'_, OvsBridge>) -> bool {
    let is_inner = |interface: &Item<'_, OvsInterface>| {
        let guest =
            ctx.device_of(interface.id).is_some_and(|device| device.kind == NetdevKind::Tap);
        interface.kind == "internal" || interface.name() == bridge.name() || guest
    };
    !defs::interfaces_of(ctx, bridge.id).iter().all(is_inner)
}

/// Whether frames of the bridge may go on to somewhere else than guests.
fn linux_leads_out(ctx: &Ctx<'_>, bridge: Item<'_, Netdev<'_>>) -> bool {
    let beyond = |member: &Item<'_, Netdev<'_>>| match member.kind {
        // The guest of a tap is known to be one.
        NetdevKind::Tap => false,
        // A veth of a container ends there; one to a switch goes on.
        NetdevKind::Veth => ctx
            .veth_peer(member.id)
            .is_none_or(|peer| peer.netns().is_root() || ctx.master(peer.id).is_some()),
        _ => true,
    };
    ctx.members(bridge.id).iter().any(beyond)
        || ctx.interface_of(bridge.id).is_some()
        || !ctx.topology.out(bridge.id, EdgeKind::StackedOn).is_empty()
}

/// Whether the gateway is known as a neighbour on the bridge.
fn answers(ctx: &Ctx<'_>, bridge: Item<'_, Netdev<'_>>, gateway: IpAddr) -> bool {
    let here = ctx.neighbours().get(&(bridge.host, bridge.netns()));
    here.and_then(|all| all.get(&(bridge.name(), gateway)))
        .is_some_and(|known| !known.failed && known.record.mac.is_some())
}

/// An uplink with a link that nothing uses.
fn is_spare(ctx: &Ctx<'_>, device: Item<'_, Netdev<'_>>) -> bool {
    device.netns().is_root()
        && uplink::is_uplink(&device)
        && device.usable() == Some(true)
        && matches!(uplink::usage(ctx, &device), Usage::Nothing)
}
