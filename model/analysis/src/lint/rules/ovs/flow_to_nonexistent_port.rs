use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;
use tapline_core::need::Need;
use tapline_core::records::openflow::{Action, Flow, OfPort};
use tapline_core::request::Topic;
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::coverage::Searched;
use tapline_topology::graph::OvsBridge;

use crate::lint::{Ctx, Recorded, Severity, Subject, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::flows::{self, Dump, Switches};

declare_rule! {
    code: "OVS-015",
    id: "flow-to-nonexistent-port",
    summary: "flows name a port that the bridge does not have",
    severity: Error,
    confidence: Proven,
    page: "flow_to_nonexistent_port.md",
    layer: (Symptom, 15),
    rank: 510,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [ovs::ovs_daemon_down, ovn::ovn_controller_stopped] by [Host],
        [ovs::ovs_flows_not_programmed] by [Bridge],
        // What led to the other host was removed, the flows that use it were not.
        [tun::tun_missing_reverse] by [Bridge],
    ],
}

/// Numbers from here on are not ports that somebody added.
const RESERVED: u32 = 0xff00;

/// A flow that matched a packet in so many last seconds is in use.
const RECENT: u32 = 60;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let all = ctx.flows();
    let switches = ctx.switches();
    for host in ctx.hosts() {
        for bridge in ctx.ovs_bridges_of(host) {
            let Some(dump) = all.best(host, bridge.name()) else {
                // Whose flows nobody writes by hand: those of a bridge with a controller.
                if !bridge.controllers.is_empty() {
                    out.cannot_tell(host, [flows::command(bridge.name())]);
                }
                continue;
            };
            let named = numbers(dump);
            if named.is_empty() {
                out.clean();
                continue;
            }
            match listing(ctx, host, bridge, dump, switches) {
                Some(listed) => judge(ctx, out, bridge, dump, &named, &listed),
                None => out.cannot_tell(host, [Need::about(Topic::OfPorts, bridge.name())]),
            }
        }
    }
}

/// The flows that name one port.
#[derive(Default)]
struct Named<'a> {
    /// They match packets from it.
    from: Vec<&'a Flow>,
    /// They send to it.
    to: Vec<&'a Flow>,
}

/// The ports that flows name by number. Flows that go by themselves may outlive a port.
fn numbers<'a>(dump: &Dump<'a>) -> BTreeMap<u32, Named<'a>> {
    let mut all: BTreeMap<u32, Named<'a>> = BTreeMap::new();
    let lasting = dump.flows.iter().filter(|flow| {
        flow.hard_timeout.is_none_or(|timeout| timeout == 0)
            && flow.idle_timeout.is_none_or(|timeout| timeout == 0)
    });
    for &flow in lasting {
        if let Some(OfPort::Number(number)) = flow.in_port().map(|port| port.value) {
            all.entry(number).or_default().from.push(flow);
        }
        let to: BTreeSet<u32> = flows::outputs(flow)
            .filter_map(|(port, _)| match port {
                OfPort::Number(number) => Some(*number),
                _ => None,
            })
            .collect();
        for number in to {
            all.entry(number).or_default().to.push(flow);
        }
    }
    all.retain(|number, _| (1..RESERVED).contains(number));
    all
}

/// The ports of a bridge, and the text that lists them.
struct Listed {
    ports: BTreeSet<u32>,
    source: SourceId,
    searched: Searched,
}

/// The ports by all complete listings that were taken with the flows; `None` where there is none.
fn listing(
    ctx: &Ctx<'_>,
    host: HostId,
    bridge: Item<'_, OvsBridge>,
    dump: &Dump<'_>,
    switches: &Switches<'_>,
) -> Option<Listed> {
    let taken = |id| ctx.topology.snapshot.source(id).and_then(|source| source.taken);
    let skew = ctx.settings.thresholds.capture_skew_s;
    let far = |source| match (taken(source), taken(dump.source)) {
        (Some(a), Some(b)) => (a - b).abs() > skew,
        _ => false,
    };
    let all: Vec<_> =
        switches.of(host, bridge.name()).iter().filter(|(source, _)| !far(*source)).collect();
    let (source, _) = all.first()?;
    let mut ports = BTreeSet::new();
    for (_, switch) in all {
        ports.extend(switch.ports.iter().filter_map(|port| match port.port.value {
            OfPort::Number(number) => Some(number),
            _ => None,
        }));
    }
    // What the database knows was there at some time of the capture.
    for interface in defs::interfaces_of(ctx, bridge.id) {
        let number = interface.ofport.as_ref().and_then(|ofport| u32::try_from(ofport.value).ok());
        ports.extend(number);
    }
    let searched = Searched { keys: Vec::new(), sources: vec![(*source, 1)], namespaces: 0 };
    Some(Listed { ports, source: *source, searched })
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    bridge: Item<'_, OvsBridge>,
    dump: &Dump<'_>,
    named: &BTreeMap<u32, Named<'_>>,
    listed: &Listed,
) {
    let gone: Vec<_> = named.iter().filter(|(number, _)| !listed.ports.contains(number)).collect();
    // The worst first: a flow that loses packets now, then one that would.
    let rank =
        |name: &Named<'_>| (!name.to.iter().any(|to| is_losing(to, listed)), name.to.is_empty());
    let Some((number, worst)) = gone.iter().min_by_key(|(number, it)| (rank(it), **number)) else {
        out.clean();
        return;
    };
    let losing = worst.to.iter().any(|to| is_losing(to, listed));
    let some = |count: usize, one: &str, many: &str| match count {
        1 => format!("a flow {one}"),
        more => format!("{more} flows {many}"),
    };
    let message = match worst.to.len() {
        0 => format!(
            "{} packets from port {number}, which the bridge does not have: the port went, and its flows stayed",
            some(worst.from.len(), "matches", "match")
        ),
        to => format!(
            "{} to port {number}, which the bridge does not have: what {} match{} is thrown away",
            some(to, "sends", "send"),
            if to == 1 { "it" } else { "they" },
            if to == 1 { "es" } else { "" },
        ),
    };
    let finding = out.fault(ctx, bridge.host, bridge.id, message);
    if !losing {
        finding.at_most(Severity::Warning);
    }
    let losing_first = worst.to.iter().filter(|to| is_losing(to, listed));
    let others = worst.to.iter().chain(&worst.from).filter(|to| !is_losing(to, listed));
    for flow in losing_first.chain(others).take(3) {
        finding.primary(dump.line(flow), format!("names port {number}"));
    }
    for (other, it) in gone.iter().filter(|gone| gone.0 != *number).take(5) {
        if let Some(flow) = it.to.first().or(it.from.first()) {
            finding.primary(dump.line(flow), format!("names port {other}"));
        }
    }
    finding.context(heading(ctx, listed.source), "the ports of the bridge");
    let mut searched = listed.searched.clone();
    searched.keys = gone.iter().take(8).map(|(number, _)| format!("port {number}")).collect();
    finding.rests_on_absence(searched);
    for (other, it) in gone.iter().filter(|gone| gone.0 != *number) {
        let Some(flow) = it.to.first().or(it.from.first()) else { continue };
        let port = Recorded::FlowPort { number: **other };
        finding.also(Subject::record(dump.line(flow), port));
    }
    finding.next(format!("ovs-ofctl show {}", bridge.name()));
    finding.next(format!("ovs-ofctl dump-flows {} | grep -w {number}", bridge.name()));
    if defs::has_agent_patches(ctx, bridge.host) {
        finding.next("systemctl restart neutron-openvswitch-agent");
    }
}

fn heading(ctx: &Ctx<'_>, source: SourceId) -> Evidence {
    flows::first_line(ctx, source)
}

/// Whether packets met the flow lately, and it sends them to no port that there is.
fn is_losing(flow: &Flow, listed: &Listed) -> bool {
    let used = flow.n_packets.is_some_and(|packet| packet > 0)
        && flow.idle_age.is_some_and(|age| age <= RECENT);
    used && flows::actions(flow).all(|action| match &action.action {
        Action::Output { port: OfPort::Number(number) } => !listed.ports.contains(number),
        Action::Output { .. }
        | Action::Local
        | Action::InPort
        | Action::Normal
        | Action::Flood
        | Action::All
        | Action::OutputTo { .. }
        | Action::Enqueue { .. }
        | Action::Bundle { .. }
        | Action::Controller
        | Action::Resubmit { .. }
        | Action::Goto { .. }
        | Action::Group { .. }
        | Action::Ct(_) => false,
        _ => true,
    })
}
