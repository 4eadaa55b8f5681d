use tapline_core::records::Field;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{Topic, names};

use crate::lint::{Ctx, Verdicts, declare_rule};
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
    for bridge in ctx.netdevs().filter(|it| it.kind == NetdevKind::Bridge) {
        // A bridge that is down disables its ports: that is another finding.
        if bridge.admin_up() != Some(false) {
            ports(ctx, out, bridge);
            hybrid(ctx, out, bridge);
        }
    }
}

fn ports(ctx: &Ctx<'_>, out: &mut Verdicts, bridge: Item<'_, Netdev<'_>>) {
    let members = ctx.members(bridge.id);
    for port in members.iter().filter(|it| it.usable() == Some(true)) {
        let guest = matches!(port.kind, NetdevKind::Tap | NetdevKind::Veth);
        if !guest && !uplink::is_uplink(port) || ctx.is_disputed(port.id) {
            continue;
        }
        let known = ctx.bridge_ports().state(port.id).filter(|known| known.state.is_some());
        let Some(known) = known else {
            out.cannot_tell(port.host, [Topic::BridgeMembers.command(port.netns())]);
            continue;
        };
        match known.held() {
            Some((state, evidence)) if !has_another_way(ctx, &members, port) => {
                report(ctx, out, bridge, *port, guest, state, *evidence);
            }
            _ => out.clean(),
        }
    }
}

/// Spanning tree blocks the second of two ways on purpose: another NIC of the bridge forwards, or
/// the port leads to a second bridge.
fn has_another_way(
    ctx: &Ctx<'_>,
    members: &[Item<'_, Netdev<'_>>],
    port: &Item<'_, Netdev<'_>>,
) -> bool {
    if port.kind == NetdevKind::Veth {
        return ctx
            .veth_peer(port.id)
            .is_some_and(|it| ctx.master(it.id).is_some() || ctx.interface_of(it.id).is_some());
    }
    let forwards = |it: &Item<'_, Netdev<'_>>| {
        let state = ctx.bridge_ports().state(it.id);
        it.usable() == Some(true) && state.is_none_or(|state| state.held().is_none())
    };
    uplink::is_uplink(port)
        && members.iter().any(|it| it.id != port.id && uplink::is_uplink(it) && forwards(it))
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
    let at_once =
        bridge.data.records.iter().any(|it| {
            Field::find(&it.record.other, "forward_delay").is_some_and(|it| it.value == "0")
        });
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
