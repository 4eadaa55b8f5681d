use tapline_network::Item;
use tapline_topology::Topic;
use tapline_topology::graph::{Netdev, NetdevKind};

use crate::lint::{Ctx, Verdicts, declare_rule};

declare_rule! {
    code: "TUN-011",
    id: "vxlan-group-on-bridge-port",
    summary: "a VXLAN device listens for its group on a device whose frames a bridge takes",
    severity: Error,
    confidence: Proven,
    page: "vxlan_group_on_bridge_port.md",
    layer: (Tunnel, 12),
    rank: 926,
    about: [],
    cuts: [BehindSwitch],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for device in ctx.netdevs().filter(|device| device.kind == NetdevKind::Tunnel) {
        judge(ctx, out, device);
    }
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, device: Item<'_, Netdev<'_>>) {
    let details = device.data.records.iter().find_map(|seen| {
        let tunnel = seen.record.kind_data.tunnel.as_ref()?;
        let group = tunnel.remote.as_ref().filter(|remote| remote.value.is_multicast())?;
        Some((seen.source, group, tunnel.dev.as_ref()?))
    });
    let Some((source, group, dev)) = details else { return };
    let Some(lower) = ctx.netdev_called(device.host, device.netns(), &dev.value) else {
        out.cannot_tell(device.host, ctx.missing(device.host, device.netns(), &[Topic::Links]));
        return;
    };
    let bridge = ctx.master(lower.id).filter(|master| master.kind == NetdevKind::Bridge);
    let Some(bridge) = bridge.filter(|_| !ctx.is_disputed(lower.id)) else {
        out.clean();
        return;
    };
    let message = format!(
        "joins its group {} on {}, whose frames the bridge {} takes: what others send to the group is not heard",
        group.value,
        lower.name(),
        bridge.name()
    );
    let finding = out.fault(ctx, device.host, device.id, message);
    finding.primary(group.evidence(source), "the group");
    finding.primary(dev.evidence(source), "where it is joined");
    if let Some(line) = lower.place() {
        finding.primary(line, format!("a port of {}", bridge.name()));
    }
    let inside = |command: String| tapline_network::defs::inside(device.netns(), &command);
    finding.note("a VXLAN device cannot be moved to another device: it has to be made anew");
    finding.next(inside(format!("ip -d link show {}", device.name())));
    finding.note(format!("the group has to be joined on the bridge: `dev {}`", bridge.name()));
}
