use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::graph::OvsBridge;
use tapline_topology::{Topic, names};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "OVS-017",
    id: "fail-mode-standalone",
    summary: "a bridge of neutron or OVN falls back to plain switching without its controller",
    severity: Warning,
    confidence: Proven,
    page: "fail_mode_standalone.md",
    layer: (TagsAndFlows, 20),
    rank: 930,
    about: [Neutron],
    cuts: [],
    asks: [],
    after: [
        [ovs::ovs_controller_disconnected] by [Bridge],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let recent = defs::recent_ovs(ctx);
    for host in ctx.hosts() {
        // Releases that never set a mode rely on bridges that go on by themselves.
        let sets = defs::is_ovn(ctx, host)
            || recent.contains(&host)
            || ctx.ovs_bridges_of(host).any(|bridge| {
                let secure = bridge.fail_mode.as_ref().is_some_and(|mode| mode.value == "secure");
                secure || !bridge.controllers.is_empty()
            });
        if !sets {
            continue;
        }
        let mut open = Vec::new();
        for bridge in ctx.ovs_bridges_of(host).filter(|bridge| is_managed(ctx, host, *bridge)) {
            let mode = bridge.fail_mode.as_ref().map(|mode| mode.value.as_str());
            if mode == Some("secure") {
                out.clean();
            } else if mode.is_some() || ctx.complete(host, &Netns::Root, Topic::Ovs) {
                open.push(bridge);
            } else {
                out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
            }
        }
        report(ctx, out, host, open);
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// Whether neutron's agent or OVN programs this bridge; they set the mode when they make it or
/// take it over.
fn is_managed(ctx: &Ctx<'_>, host: HostId, bridge: Item<'_, OvsBridge>) -> bool {
    let name = bridge.name();
    if ctx.is_integration(bridge.id) {
        return defs::has_agent_patches(ctx, host) || defs::is_ovn(ctx, host);
    }
    let patches = defs::interfaces_of(ctx, bridge.id);
    let has = |name: fn(&str) -> bool| patches.iter().any(|patch| name(patch.name()));
    // Releases that set the mode of provider bridges are those that give them a controller; before,
    // `secure` on the integration bridge alone kept their networks apart.
    let provider = !bridge.controllers.is_empty() && has(|it| it.starts_with("phy-"));
    defs::has_agent_patches(ctx, host)
        && (provider || name == names::TUNNEL_BRIDGE && has(|it| it == "patch-int"))
}

fn report(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, mut open: Vec<Item<'_, OvsBridge>>) {
    open.sort_by_key(|bridge| (!ctx.is_integration(bridge.id), bridge.name()));
    let Some((first, rest)) = open.split_first() else { return };
    let message = "fail mode is not `secure`: once OVS restarts without its controller, the bridge switches between all its ports";
    let finding = out.fault(ctx, host, first.id, message);
    for bridge in &open {
        match (&bridge.data.fail_mode, bridge.place()) {
            (Some(mode), _) => finding.primary(mode.evidence, "not `secure`"),
            (None, Some(place)) => finding.primary(place, "no `fail_mode`: standalone"),
            (None, None) => finding,
        };
    }
    for bridge in rest {
        finding.also(ctx.subject(bridge.id));
    }
    for bridge in open.iter().take(3) {
        finding.next(format!("ovs-vsctl set-fail-mode {} secure", bridge.name()));
    }
}
