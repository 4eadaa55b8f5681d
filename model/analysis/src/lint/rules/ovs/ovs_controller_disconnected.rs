use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::Topic;
use tapline_topology::graph::{OvsBridge, OvsController};

use crate::lint::{Ctx, Finding, Severity, Shape, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "OVS-008",
    id: "ovs-controller-disconnected",
    summary: "a bridge has a controller that is not connected",
    severity: Error,
    confidence: Strong,
    page: "ovs_controller_disconnected.md",
    layer: (Daemon, 20),
    rank: 180,
    core: true,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [ovs::ovs_daemon_down] by [Host],
    ],
}

/// The address on which neutron's agent listens for its own bridges.
const AGENT: &str = "tcp:127.0.0.1:6633";

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    // Bridges that wait for the same controller have one fault together.
    let mut lost: BTreeMap<(HostId, Vec<&str>), Vec<Item<'_, OvsBridge>>> = BTreeMap::new();
    for bridge in ctx.ovs_bridges() {
        let targets: Vec<&str> =
            active(bridge.data).map(|active| active.target.value.as_str()).collect();
        let states: Vec<Option<bool>> =
            active(bridge.data).map(|active| state(ctx, bridge.host, active)).collect();
        if targets.is_empty() || states.contains(&Some(true)) {
            out.clean();
        } else if states.contains(&None) {
            out.cannot_tell(bridge.host, [Topic::Ovs.command(&Netns::Root)]);
        } else {
            lost.entry((bridge.host, targets)).or_default().push(bridge);
        }
    }
    for ((host, targets), bridges) in lost {
        report(ctx, out, host, &targets, bridges);
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// Controllers that OVS itself connects to. A passive one (`ptcp:`) waits for a client and is
/// fine without.
fn active(bridge: &OvsBridge) -> impl Iterator<Item = &OvsController> {
    bridge.controllers.iter().filter(|controller| {
        ["tcp:", "ssl:", "unix:"].iter().any(|scheme| controller.target.value.starts_with(scheme))
    })
}

/// Whether a controller is connected. That `ovs-vsctl show` does not say so counts where all that it
/// printed was captured.
fn state(ctx: &Ctx<'_>, host: HostId, controller: &OvsController) -> Option<bool> {
    let state = controller.is_connected.as_ref()?;
    let silent = !state.value && state.evidence == controller.target.evidence;
    (!silent || ctx.complete(host, &Netns::Root, Topic::Ovs)).then_some(state.value)
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    targets: &[&str],
    mut bridges: Vec<Item<'_, OvsBridge>>,
) {
    // The integration bridge speaks for all; else the first by name.
    bridges.sort_by_key(|bridge| (!ctx.is_integration(bridge.id), bridge.name()));
    let Some((first, rest)) = bridges.split_first() else { return };
    let target = defs::list(targets.iter().copied(), 3);
    let secure = bridges.iter().any(|bridge| is_secure(bridge.data));
    let consequence = if secure {
        "its flows stay as they are, and are gone once the switch restarts"
    } else {
        "it switches on its own, without the controller's rules"
    };
    let of_agent = targets.iter().any(|target| target.starts_with(AGENT));
    // One bridge that is connected shows that the agent works.
    let agent_is_away = of_agent
        && !rest.is_empty()
        && ctx.is_integration(first.id)
        && !ctx.ovs_bridges_of(host).any(|bridge| is_connected(bridge.data, AGENT));
    let message = match targets {
        _ if agent_is_away => format!(
            "the openvswitch agent is not working on {}: none of its {} bridges is connected to {target}: {consequence}",
            ctx.host_name(host),
            bridges.len()
        ),
        [_] => format!("the controller {target} is not connected: {consequence}"),
        _ => format!("none of the controllers {target} is connected: {consequence}"),
    };
    let finding = out.fault(ctx, host, first.id, message);
    if agent_is_away {
        finding.shaped(Shape::Population);
    }
    cite(finding, *first);
    for bridge in rest {
        cite(finding, *bridge);
        finding.also(ctx.subject(bridge.id));
    }
    if !secure {
        finding.at_most(Severity::Warning);
    }
    if of_agent {
        if agent_is_away {
            finding.note("it does not run, or cannot listen");
        }
        finding.next("systemctl status neutron-openvswitch-agent");
        finding.next("ss -ltnp | grep 6633");
    } else {
        finding.next(format!("ovs-vsctl get-controller {}", first.name()));
        finding.next("ovs-vsctl list controller");
    }
}

fn is_connected(bridge: &OvsBridge, target: &str) -> bool {
    active(bridge).any(|controller| {
        controller.target.value.starts_with(target)
            && controller.is_connected.as_ref().is_some_and(|connected| connected.value)
    })
}

fn is_secure(bridge: &OvsBridge) -> bool {
    bridge.fail_mode.as_ref().is_some_and(|mode| mode.value == "secure")
}

fn cite(finding: &mut Finding, bridge: Item<'_, OvsBridge>) {
    for controller in active(bridge.data) {
        let target = controller.target.evidence;
        let printed =
            controller.is_connected.as_ref().filter(|connected| connected.evidence != target);
        match printed {
            Some(state) => finding.primary(state.evidence, "not connected"),
            None => finding.primary(target, "not marked `is_connected: true`"),
        };
    }
    if let Some(mode) = &bridge.data.fail_mode {
        finding.context(mode.evidence, "what happens without it");
    }
}
