use tapline_core::span::Evidence;
use tapline_network::{Answer, Item, defs};
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, Topic};

use crate::lint::{Ctx, Severity, Verdicts, declare_rule};

declare_rule! {
    code: "TUN-012",
    id: "vxlan-carries-nothing",
    summary: "a VXLAN device is in no bridge, and has no address: what it receives goes nowhere",
    severity: Warning,
    confidence: Strong,
    page: "vxlan_carries_nothing.md",
    layer: (Tunnel, 14),
    rank: 927,
    about: [],
    cuts: [BehindSwitch],
    asks: [],
    after: [
        [tun::tun_udp_port_conflict] by [Device],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for device in ctx.netdevs().filter(|device| device.kind == NetdevKind::Tunnel) {
        match ctx.carries_nothing(device) {
            Answer::Known(Some(evidence)) => report(ctx, out, device, evidence),
            Answer::Known(None) => out.clean(),
            Answer::Unknown(needs) => out.cannot_tell(device.host, needs),
        }
    }
}

fn report(ctx: &Ctx<'_>, out: &mut Verdicts, device: Item<'_, Netdev<'_>>, evidence: Evidence) {
    let host = device.host;
    // Without anybody to send to it is what somebody began, or left.
    let ends = ctx.topology.into(device.id, EdgeKind::TunnelOf);
    let mut ends = ends.into_iter().filter_map(|(end, _)| ctx.tunnel(end));
    let has_peer = ends.any(|end| end.data.remote.is_some());
    let message = "is in no bridge, has no address, and nothing stands on it: what comes in by it is thrown away";
    let finding = out.fault(ctx, host, device.id, message);
    if !has_peer || device.admin_up() == Some(false) {
        finding.at_most(Severity::Info);
    }
    if let Some(line) = device.place() {
        finding.primary(line, "no master");
    }
    finding.primary(evidence, "a VXLAN device");
    let key = format!("an address or a master of {}", device.name());
    if let Some(searched) = defs::searched_in(ctx, (host, device.netns()), Topic::Addresses, &key) {
        finding.rests_on_absence(searched);
    }
    let inside = |command: String| defs::inside(device.netns(), &command);
    finding.next(inside(format!("ip -d link show {}", device.name())));
    finding.next(inside(format!("bridge fdb show dev {}", device.name())));
}
