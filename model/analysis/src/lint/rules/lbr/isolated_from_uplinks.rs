use tapline_network::Item;
use tapline_network::l2::Why;
use tapline_network::uplink;
use tapline_topology::Topic;
use tapline_topology::graph::{Netdev, NetdevKind};

use crate::lint::{Ctx, Verdicts, declare_rule};

declare_rule! {
    code: "LBR-008",
    id: "isolated-from-uplinks",
    summary: "a port is isolated, and so are all uplinks of its bridge",
    severity: Warning,
    confidence: Proven,
    page: "isolated_from_uplinks.md",
    layer: (L2Membership, 62),
    rank: 922,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for bridge in ctx.netdevs().filter(|device| device.kind == NetdevKind::Bridge) {
        let members = ctx.members(bridge.id);
        let uplinks: Vec<_> = members.iter().filter(|member| uplink::is_uplink(member)).collect();
        if uplinks.is_empty() {
            continue;
        }
        let is_guest =
            |port: &&Item<'_, Netdev<'_>>| matches!(port.kind, NetdevKind::Tap | NetdevKind::Veth);
        for port in members.iter().filter(is_guest) {
            judge(ctx, out, bridge, *port, &uplinks);
        }
    }
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    bridge: Item<'_, Netdev<'_>>,
    port: Item<'_, Netdev<'_>>,
    uplinks: &[&Item<'_, Netdev<'_>>],
) {
    let from_all = uplinks.iter().all(|uplink| {
        let block = ctx.blocked_between(port.id, uplink.id);
        block.is_some_and(|block| block.why == Why::Isolated)
    });
    if ctx.bridge_ports().state(port.id).is_none() {
        out.cannot_tell(port.host, [Topic::LinkDetails.command(port.netns())]);
        return;
    }
    let isolated = |device| ctx.bridge_ports().state(device).and_then(|state| state.isolated);
    let (Some((true, own)), true) = (isolated(port.id), from_all) else {
        out.clean();
        return;
    };
    let message = format!(
        "is isolated on {}, and so is every uplink of it: frames never pass between two isolated ports",
        bridge.name()
    );
    let finding = out.fault(ctx, port.host, port.id, message);
    finding.primary(own, "isolated");
    for uplink in uplinks.iter().take(3) {
        if let Some((_, evidence)) = isolated(uplink.id) {
            finding.primary(evidence, format!("{} is isolated, too", uplink.name()));
        }
    }
    finding.note("isolation keeps guests apart; the uplink has to be without it");
    for uplink in uplinks.iter().take(3) {
        let command = format!("bridge link set dev {} isolated off", uplink.name());
        finding.next(tapline_network::defs::inside(port.netns(), &command));
    }
}
