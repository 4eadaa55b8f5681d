use tapline_core::ids::Netns;
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{Topic, names};

use crate::lint::{Confidence, Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "LBR-004",
    id: "bridge-down",
    summary: "a Linux bridge is down or has no carrier while its ports are in use",
    severity: Error,
    confidence: Proven,
    page: "bridge_down.md",
    layer: (L2Membership, 70),
    rank: 480,
    about: [],
    reports_down: true,
    cuts: [ToSwitch],
    asks: [],
    after: [
        [lbr::hybrid_chain_broken] by [Port],
        // A bridge none of whose ports forwards has no carrier.
        [lbr::stp_blocking] by [Bridge],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for bridge in ctx.netdevs().filter(|device| device.kind == NetdevKind::Bridge) {
        // Those of hybrid ports are looked at with their whole chain.
        let hybrid =
            bridge.name().starts_with("qbr") && names::port_prefix(bridge.name()).is_some();
        if !hybrid {
            judge(ctx, out, bridge);
        }
    }
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, bridge: Item<'_, Netdev<'_>>) {
    // The carrier of a bridge follows its ports: one without a port that works is down by nature.
    let members = ctx.members(bridge.id);
    let live: Vec<_> = members.iter().filter(|member| member.usable() == Some(true)).collect();
    let user = live.iter().find(|live| matches!(live.kind, NetdevKind::Tap | NetdevKind::Veth));
    let Some(flags) = &bridge.data.flags else {
        if members.is_empty() {
            out.clean();
        } else {
            out.cannot_tell(bridge.host, [Topic::Links.command(bridge.netns())]);
        }
        return;
    };
    let (host, name) = (bridge.host, bridge.name());
    if let Some(user) = user.filter(|_| bridge.admin_up() == Some(false)) {
        let message =
            format!("is administratively down while {} works: its ports are cut off", user.name());
        let finding = out.fault(ctx, host, bridge.id, message);
        finding.primary(flags.evidence, "its state");
        if let Some(place) = user.place() {
            finding.context(place, "a port that works");
        }
        finding.next(format!("ip link set {name} up"));
        return;
    }
    if let Some(port) = live.first()
        && bridge.admin_up() == Some(true)
        && bridge.carrier() == Some(false)
    {
        let message =
            format!("has no carrier though {} has: none of its ports forwards", port.name());
        let finding = out.fault(ctx, host, bridge.id, message);
        finding.no_surer_than(Confidence::Strong);
        finding.primary(flags.evidence, "its state");
        if let Some(place) = port.place() {
            finding.primary(place, "a port that works");
        }
        finding.note("spanning tree may hold its ports back; just after a start it does so for half a minute");
        finding.next(format!("bridge -d link show master {name}"));
        return;
    }
    unaddressed(ctx, out, bridge, user.copied());
}

/// Bridges that containers reach the world through need an address.
fn unaddressed(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    bridge: Item<'_, Netdev<'_>>,
    user: Option<&Item<'_, Netdev<'_>>>,
) {
    let gateway = matches!(bridge.name(), "docker0" | "cni0" | "lxdbr0");
    let has = ctx.addresses_of(bridge.id).iter().any(|address| defs::is_global(address.ip));
    let Some(user) = user.filter(|_| gateway && !has && bridge.netns().is_root()) else {
        out.clean();
        return;
    };
    let missing = ctx.missing(bridge.host, &Netns::Root, &[Topic::Addresses]);
    if !missing.is_empty() {
        out.cannot_tell(bridge.host, missing);
        return;
    }
    let message = format!("has no address: {} has no gateway", user.name());
    let finding = out.fault(ctx, bridge.host, bridge.id, message);
    finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
    if let Some(place) = bridge.place() {
        finding.primary(place, "the bridge");
    }
    finding.rests_on_absence(ctx.searched(
        bridge.host,
        &Netns::Root,
        Topic::Addresses,
        &format!("an address of {}", bridge.name()),
    ));
    finding.next(format!("ip address show dev {}", bridge.name()));
}
