use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::span::Evidence;
use tapline_network::trace::{Compared, Tracer};
use tapline_network::{defs, flows};
use tapline_topology::NodeId;

use crate::lint::{Ctx, Verdicts, declare_rule};

declare_rule! {
    code: "OVS-020",
    id: "datapath-disagrees",
    summary: "a flow of the datapath sends packets elsewhere than the flows of the bridge",
    severity: Warning,
    confidence: Strong,
    page: "datapath_disagrees.md",
    layer: (TagsAndFlows, 86),
    rank: 526,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [ovs::ovs_daemon_down] by [Host],
    ],
}

/// Seconds that the flows on the path must have stood: the texts are not of one moment, and the
/// datapath is told of a change within a second (ovs-vswitchd.conf.db(5), `max-revalidator`).
const STOOD: f64 = 60.0;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let all = Tracer::new(&ctx.network).verify();
    let ages = if all.disagree.is_empty() { BTreeMap::new() } else { ages(ctx) };
    let mut by_bridge: BTreeMap<(HostId, NodeId), Vec<(&Compared, Evidence)>> = BTreeMap::new();
    for one in &all.disagree {
        let Some(line) = contradicted(one, &ages) else { continue };
        let Some(port) = ctx.ovs_interface(one.start) else { continue };
        // Its packets go through the connection tracker again and again, whose state decides.
        if defs::is_ovn(ctx, port.host) {
            continue;
        }
        let Some(bridge) = ctx.bridge_called(port.host, &port.data.bridge) else { continue };
        by_bridge.entry((port.host, bridge.id)).or_default().push((one, line));
    }
    for ((host, bridge), found) in by_bridge {
        let Some((first, line)) = found.first() else { continue };
        let count = match found.len() {
            1 => "a megaflow sends".to_owned(),
            count => format!("{count} megaflows send"),
        };
        let message = format!(
            "{count} packets to {} where the flows lead to {}: the datapath does not do what the bridge says",
            first.captured, first.ours
        );
        let finding = out.fire(host, ctx.subject(bridge), message);
        finding.node = Some(bridge);
        finding.primary(first.line, "what the datapath does");
        finding.primary(*line, "what the flows say");
        for (other, _) in found.iter().skip(1).take(3) {
            finding.context(other.line, "the same");
        }
        finding.note("ovs-vswitchd revalidates megaflows all the time: one that stays wrong tells of a daemon that hangs, of a datapath that others write to, or of offloaded flows");
        finding.next(
            "ovs-appctl upcall/show; ovs-appctl coverage/show; ovs-appctl dpctl/dump-flows -m",
        );
    }
    for _ in 0..all.agree {
        out.clean();
    }
    for (host, bridge) in all.without_flows.iter().filter(|(host, _)| !defs::is_ovn(ctx, *host)) {
        out.cannot_tell(*host, [flows::command(bridge)]);
    }
}

/// Since when each flow stands, by its line.
fn ages(ctx: &Ctx<'_>) -> BTreeMap<Evidence, Option<f64>> {
    let bridges = ctx.hosts().flat_map(|host| ctx.ovs_bridges_of(host));
    let dumps = bridges.flat_map(|bridge| ctx.flows().of(bridge.host, bridge.name()));
    dumps.flat_map(|dump| dump.flows.iter().map(|flow| (dump.line(flow), flow.duration))).collect()
}

/// The flow that a megaflow contradicts, where the flows alone decide and that is none of time: flows
/// that have just been made may have been others when the megaflows were printed.
fn contradicted(one: &Compared, ages: &BTreeMap<Evidence, Option<f64>>) -> Option<Evidence> {
    let known = || one.flows.iter().filter_map(|line| Some((*line, *ages.get(line)?)));
    let stood = known().all(|(_, age)| age.is_some_and(|age| age > STOOD));
    known().next_back().map(|(line, _)| line).filter(|_| stood && one.by_flows_alone)
}
