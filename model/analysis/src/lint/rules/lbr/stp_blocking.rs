use std::collections::BTreeSet;

use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{NodeId, names};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::l2::JoinedDomains;
use tapline_network::{Item, defs, uplink};

declare_rule! {
    code: "LBR-007",
    id: "stp-blocking",
    summary: "a bridge holds back a port that has a link",
    severity: Warning,
    confidence: Proven,
    page: "stp_blocking.md",
    layer: (L2Membership, 60),
    rank: 920,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut detours = Detours::new(ctx);
    for bridge in ctx.netdevs().filter(|device| device.kind == NetdevKind::Bridge) {
        // A bridge that is down disables its ports: that is another finding.
        if bridge.admin_up() != Some(false) {
            ports(ctx, out, &mut detours, bridge);
            hybrid(ctx, out, bridge);
        }
    }
}

fn ports(ctx: &Ctx<'_>, out: &mut Verdicts, detours: &mut Detours, bridge: Item<'_, Netdev<'_>>) {
    let members = ctx.members(bridge.id);
    for port in members.iter().filter(|member| member.usable() == Some(true)) {
        let guest = matches!(port.kind, NetdevKind::Tap | NetdevKind::Veth);
        if !guest && !uplink::is_uplink(port) || ctx.is_disputed(port.id) {
            continue;
        }
        let known = ctx.bridge_ports().state(port.id).filter(|known| known.state.is_some());
        let Some(known) = known else {
            // Lists of devices name the members of a bridge, and not the states of its ports.
            out.cannot_tell(port.host, [Need::command("bridge link").within(port.netns())]);
            continue;
        };
        match known.held().filter(|(state, _)| state != COMES_UP) {
            Some((state, evidence)) if !detours.exists(ctx, &members, port) => {
                report(ctx, out, bridge, *port, guest, state, *evidence);
            }
            _ => out.clean(),
        }
    }
}

/// A port in this state forwards within seconds (`forward_delay`).
const COMES_UP: &str = "learning";

/// What can be reached without the ports that are held back.
struct Detours {
    joined: JoinedDomains,
    /// Domains with an uplink that forwards: what lies beyond is one network, as far as is known.
    with_uplink: BTreeSet<usize>,
}

impl Detours {
    fn new(ctx: &Ctx<'_>) -> Self {
        let mut joined = JoinedDomains::new(ctx);
        let uplinks =
            ctx.netdevs().filter(|device| uplink::is_uplink(device) && forwards(ctx, device));
        let domains = uplinks.filter_map(|device| ctx.domain(device.id));
        let with_uplink = domains.map(|domain| joined.group(domain)).collect();
        Self { joined, with_uplink }
    }

    /// Spanning tree blocks the second of two paths on purpose. Where there is no other, the port is
    /// cut off.
    fn exists(
        &mut self,
        ctx: &Ctx<'_>,
        members: &[Item<'_, Netdev<'_>>],
        port: &Item<'_, Netdev<'_>>,
    ) -> bool {
        if port.kind == NetdevKind::Veth {
            return ctx.veth_peer(port.id).is_some_and(|peer| self.joins(ctx, members, port, peer));
        }
        let other = |member: &Item<'_, Netdev<'_>>| {
            member.id != port.id && uplink::is_uplink(member) && forwards(ctx, member)
        };
        uplink::is_uplink(port) && members.iter().any(other)
    }

    /// Whether the bridge is joined with what lies behind a veth by something else.
    fn joins(
        &mut self,
        ctx: &Ctx<'_>,
        members: &[Item<'_, Netdev<'_>>],
        port: &Item<'_, Netdev<'_>>,
        peer: Item<'_, Netdev<'_>>,
    ) -> bool {
        let Some(far) = bridge_of(ctx, peer.id) else { return false };
        let beside = members.iter().filter(|member| member.id != port.id && forwards(ctx, member));
        let mut beyond = beside.filter_map(|member| ctx.veth_peer(member.id));
        if beyond.any(|other| bridge_of(ctx, other.id) == Some(far)) {
            return true;
        }
        // In several domains, or commands disagree: nothing says that it is the only path.
        let (Some(near), Some(far)) = (ctx.domain(port.id), ctx.domain(peer.id)) else {
            return true;
        };
        let (near, far) = (self.joined.group(near), self.joined.group(far));
        near == far || self.with_uplink.contains(&near) && self.with_uplink.contains(&far)
    }
}

/// The Linux or OVS bridge that a device is a port of.
fn bridge_of(ctx: &Ctx<'_>, device: NodeId) -> Option<NodeId> {
    let of_ovs = || {
        let interface = ctx.interface_of(device)?;
        ctx.topology.find_ovs_bridge(interface.host, &interface.bridge)
    };
    ctx.master(device).map(|bridge| bridge.id).or_else(of_ovs)
}

fn forwards(ctx: &Ctx<'_>, device: &Item<'_, Netdev<'_>>) -> bool {
    let state = ctx.bridge_ports().state(device.id);
    let held = state.and_then(|state| state.held());
    device.usable() == Some(true) && held.is_none_or(|(state, _)| state == COMES_UP)
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    bridge: Item<'_, Netdev<'_>>,
    port: Item<'_, Netdev<'_>>,
    guest: bool,
    state: &str,
    evidence: Evidence,
) {
    let consequence = if guest { "what is behind it is cut off" } else { "nothing leaves by it" };
    let message = format!("{} keeps it in state {state}: {consequence}", bridge.name());
    let finding = out.fault(ctx, port.host, port.id, message);
    finding.primary(evidence, state);
    if let Some(flags) = &port.data.flags {
        finding.context(flags.evidence, "it has a link");
    }
    finding.note("just after a start spanning tree holds a port back for half a minute");
    let inside = |command: String| defs::inside(port.netns(), &command);
    finding.next(inside(format!("bridge -d link show dev {}", port.name())));
    finding.next(inside(format!("ip link set {} type bridge stp_state 0", bridge.name())));
}

/// The bridge of a hybrid port has two ports and no way to loop.
fn hybrid(ctx: &Ctx<'_>, out: &mut Verdicts, bridge: Item<'_, Netdev<'_>>) {
    if !bridge.name().starts_with("qbr") || names::port_prefix(bridge.name()).is_none() {
        return;
    }
    let at_once = bridge
        .data
        .records
        .iter()
        .any(|it| it.record.other.find("forward_delay").is_some_and(|it| it.value == "0"));
    let Some((true, evidence)) = ctx.spanning_trees().of(ctx, bridge.id).filter(|_| !at_once)
    else {
        out.clean();
        return;
    };
    let message =
        "spanning tree is on: a VM that starts gets no packet for half a minute, and misses DHCP";
    let finding = out.fault(ctx, bridge.host, bridge.id, message);
    finding.primary(evidence, "spanning tree");
    finding.next(format!("ip link set {} type bridge stp_state 0", bridge.name()));
}
