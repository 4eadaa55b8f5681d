use std::collections::BTreeSet;

use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::openflow::{Action, Flow, OfField, OfPort};
use tapline_network::defs;
use tapline_network::flows;
use tapline_network::ovn::Local;
use tapline_topology::Topic;

use crate::lint::{Ctx, Other, Verdicts, declare_rule};

declare_rule! {
    code: "OVN-008",
    id: "ovn-controller-stopped",
    summary: "ovn-controller took its tunnels away and left its flows: it does not run",
    severity: Error,
    confidence: Strong,
    page: "ovn_controller_stopped.md",
    layer: (Daemon, 55),
    rank: 384,
    about: [Ovn],
    cuts: [],
    asks: [],
    after: [
        [ovs::ovs_daemon_down] by [Host],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for local in ctx.ovn().locals.values().filter(|local| !local.is_shared()) {
        // Another controller may have made them without the settings of this one.
        if local.get("ovn-remote").is_some() && local.get("ovn-encap-ip").is_some() {
            judge(ctx, out, local);
        }
    }
}

/// A clean end of ovn-controller removes its tunnels and its chassis; its flows stay in the switch.
fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, local: &Local<'_>) {
    let (host, name) = (local.host, local.bridge());
    let Some(bridge) = ctx.bridge_called(host, name) else { return };
    let of_bridge: Vec<_> =
        ctx.ovs_interfaces_of(host).filter(|interface| interface.bridge == name).collect();
    let is_tunnel = |kind: &str| matches!(kind, "geneve" | "vxlan" | "stt" | "gre");
    if of_bridge.iter().any(|interface| is_tunnel(interface.kind.as_str())) {
        out.clean();
        return;
    }
    let missing = ctx.missing(host, &Netns::Root, &[Topic::Ovs]);
    if !missing.is_empty() {
        out.cannot_tell(host, missing);
        return;
    }
    let Some(dump) = ctx.flows().best(host, name) else {
        out.cannot_tell(host, [flows::command(name)]);
        return;
    };
    let known: BTreeSet<u32> = of_bridge
        .iter()
        .filter_map(|interface| flows::number_of(ctx, bridge, *interface))
        .collect();
    if known.len() < of_bridge.iter().filter(|interface| interface.name() != name).count() {
        out.cannot_tell(host, [Need::about(Topic::OfPorts, name)]);
        return;
    }
    let sends = |flow: &&&Flow| {
        let by_tunnel = flows::actions(flow).any(|action| match &action.action {
            Action::SetField(set) | Action::Load(set) => {
                set.bits.is_some_and(|bits| bits.field == OfField::TunId)
            }
            Action::Move { to, .. } => to.field == OfField::TunId,
            _ => false,
        });
        let gone = flows::outputs(flow).any(|(port, _)| match port {
            OfPort::Number(number) => *number < 0xff00 && !known.contains(number),
            _ => false,
        });
        by_tunnel && gone
    };
    let left: Vec<&&Flow> = dump.flows.iter().filter(sends).collect();
    let Some(first) = left.first() else {
        // A cloud of one chassis has no tunnels.
        out.clean();
        return;
    };
    let message = format!(
        "ovn-controller has ended: its tunnels are gone, {} of its flows still send to them, and no change of OVN reaches this host",
        left.len()
    );
    let finding = out.fire(host, Other::Daemon { name: "ovn-controller" }, message);
    finding.node = ctx.topology.host_node(host);
    finding.primary(dump.line(first), "a flow to a tunnel that is gone");
    finding.context(local.place("ovn-remote"), "OVN is meant to run here");
    if let Some(searched) = defs::searched(ctx, host, Topic::Ovs, "geneve") {
        finding.absent(searched);
    }
    finding.next("ovs-appctl -t ovn-controller connection-status");
    finding.next("systemctl status ovn-controller   # in a container where OVN runs in one");
}
