//! A trace for programs, `tapline.trace/1`. The field names are a contract: add, never rename.
mod packet;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_network::trace::{
    Answered, Branch, Changed, End, Hop, Kind, Next, Place, Question, Reason, Trace,
};
use tapline_topology::Topology;

use packet::{PacketRow, packet};

/// So many characters of a line are quoted.
const QUOTED: usize = 400;

/// The answer to one question.
#[derive(JsonSchema, Serialize)]
pub(crate) struct Document<'a> {
    #[schemars(extend("const" = "tapline.trace/1"))]
    schema: &'static str,
    query: QueryRow<'a>,
    #[serde(flatten)]
    trace: TraceRow<'a>,
    /// The way of the answer, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    reverse: Option<TraceRow<'a>>,
    /// What `without` takes away: the trace is that without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    without: Option<WithoutRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct WithoutRow<'a> {
    /// Its key.
    key: String,
    /// Its name.
    name: &'a str,
    /// Whether the packet, or its answer where that was asked, arrives with it and not without it;
    /// null where that cannot be told.
    lost: Option<bool>,
    /// What becomes of the packet with it.
    before: BeforeRow<'a>,
    /// What becomes of the answer with it, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    before_reverse: Option<BeforeRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct BeforeRow<'a> {
    outcome: &'static str,
    reached: Option<bool>,
    reason: Option<&'static str>,
    reason_text: &'a str,
    at: PlaceRow<'a>,
    certainty: &'static str,
}

#[derive(JsonSchema, Serialize)]
struct QueryRow<'a> {
    from: &'a str,
    to: Option<&'a str>,
    /// The packet as it was understood.
    packet: PacketRow,
}

#[derive(JsonSchema, Serialize)]
struct TraceRow<'a> {
    /// `delivered`, `delivered-on-link`, `leaves-capture`, `dropped`, `rejected`, `blackholed`,
    /// `loops`, `flooded`, `unknown`, `disputed`.
    outcome: &'static str,
    /// Whether it got where it was to go; null where that cannot be told.
    reached: Option<bool>,
    reason: Option<&'static str>,
    reason_text: String,
    at: PlaceRow<'a>,
    /// `proven`, `inferred`, `assumed`, `disputed`.
    certainty: &'static str,
    /// The hop that makes it no surer, from 1.
    weakest_hop: Option<usize>,
    mtu: Option<MtuRow<'a>>,
    assumptions: Vec<AssumptionRow>,
    /// What would settle it.
    next: Vec<NextRow<'a>>,
    /// The lines that decide.
    evidence: Vec<EvidenceRow<'a>>,
    /// What would have passed where the packet is stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    nearest: Option<NearestRow<'a>>,
    hops: Vec<HopRow<'a>>,
    /// Every place where a copy ends.
    ends: Vec<EndRow<'a>>,
    branches: Vec<BranchRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct NearestRow<'a> {
    /// `tcp 22, 80; tcp 3306 from 10.0.0.0/8`
    text: &'a str,
    /// The rules that say so.
    rules: Vec<EvidenceRow<'a>>,
}

/// Something that was looked at.
#[derive(JsonSchema, Serialize)]
struct ConsideredRow<'a> {
    text: &'a str,
    evidence: Vec<EvidenceRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct PlaceRow<'a> {
    host: Option<&'a str>,
    netns: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    controller: bool,
}

#[derive(JsonSchema, Serialize)]
struct MtuRow<'a> {
    /// The smallest on the way, below tunnels less their headers.
    path: u32,
    limited_by: Vec<LimitRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct LimitRow<'a> {
    hop: usize,
    device: Option<&'a str>,
}

#[derive(JsonSchema, Serialize)]
struct AssumptionRow {
    hop: usize,
    text: String,
}

#[derive(JsonSchema, Serialize)]
struct NextRow<'a> {
    text: String,
    host: Option<&'a str>,
    command: String,
}

/// A line of a capture.
#[derive(JsonSchema, Serialize)]
pub(crate) struct EvidenceRow<'a> {
    pub(crate) archive: &'a str,
    pub(crate) member: &'a str,
    pub(crate) line: u32,
    pub(crate) text: Cow<'a, str>,
}

#[derive(JsonSchema, Serialize)]
struct HopRow<'a> {
    n: usize,
    host: Option<&'a str>,
    netns: Option<Cow<'a, str>>,
    /// `guest`, `device`, `linux-bridge`, `ovs-bridge`, `route`, `netfilter`, `neighbour`,
    /// `tunnel`, `local`.
    kind: &'static str,
    bridge: Option<&'a str>,
    #[serde(rename = "in")]
    input: Option<&'a str>,
    #[serde(rename = "out")]
    output: Option<&'a str>,
    action: &'a str,
    /// The fields that change, as they were; null where a value is not known.
    before: BTreeMap<&'static str, Option<&'a str>>,
    after: BTreeMap<&'static str, Option<&'a str>>,
    /// What the wire behind the hop carries.
    wire: WireRow<'a>,
    mtu: Option<u32>,
    certainty: &'static str,
    observed: Option<&'a str>,
    evidence: Vec<EvidenceRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<RouteRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    openflow: Option<OpenFlowRow<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    netfilter: Option<NetfilterRow<'a>>,
    /// What was taken for granted.
    #[serde(skip_serializing_if = "Option::is_none")]
    assumed: Option<&'a str>,
    /// Every table, rule and route that was looked at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    considered: Vec<ConsideredRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct WireRow<'a> {
    vlans: &'a [u16],
    vni: Option<u64>,
}

#[derive(JsonSchema, Serialize)]
struct RouteRow<'a> {
    rule: Option<RuleRow<'a>>,
    table: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'a str,
    destination: Option<&'a str>,
    metric: Option<u32>,
    source: Option<&'a str>,
    nexthops: Vec<NexthopRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct RuleRow<'a> {
    priority: u32,
    text: Cow<'a, str>,
}

#[derive(JsonSchema, Serialize)]
struct NexthopRow<'a> {
    dev: &'a str,
    via: Option<&'a str>,
    weight: Option<u32>,
}

#[derive(JsonSchema, Serialize)]
struct OpenFlowRow<'a> {
    bridge: &'a str,
    tables: Vec<TableRow<'a>>,
    ct: Vec<CtRow>,
}

#[derive(JsonSchema, Serialize)]
struct TableRow<'a> {
    table: &'a str,
    priority: Option<u32>,
    cookie: Option<String>,
}

#[derive(JsonSchema, Serialize)]
struct CtRow {
    zone: Option<u16>,
    commit: bool,
    nat: Option<bool>,
}

#[derive(JsonSchema, Serialize)]
struct NetfilterRow<'a> {
    hook: &'static str,
    table: Option<&'a str>,
    rules: Vec<FilterRuleRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct FilterRuleRow<'a> {
    line: u32,
    target: &'a str,
}

#[derive(JsonSchema, Serialize)]
struct EndRow<'a> {
    outcome: &'static str,
    reason: Option<&'static str>,
    at: PlaceRow<'a>,
    packet: PacketRow,
}

#[derive(JsonSchema, Serialize)]
struct BranchRow<'a> {
    from_hop: usize,
    guard: &'a str,
    outcome: &'static str,
    reason: Option<&'static str>,
    at: PlaceRow<'a>,
    hops: Vec<HopRow<'a>>,
}

/// The document of an answered question.
pub(crate) fn document<'a>(
    topology: &'a Topology<'_>,
    question: &'a Question,
    answered: &'a Answered,
) -> Document<'a> {
    let shown = Shown { topology };
    Document {
        schema: "tapline.trace/1",
        query: QueryRow {
            from: &question.from,
            to: question.to.as_deref(),
            packet: packet(&answered.packet),
        },
        trace: shown.trace(&answered.trace),
        reverse: answered.reverse.as_ref().map(|trace| shown.trace(trace)),
        without: answered.before.as_ref().map(|before| WithoutRow {
            key: before.without.key.to_string(),
            name: &before.without.name,
            lost: before.is_lost(answered),
            before: shown.before(&before.trace),
            before_reverse: before.reverse.as_ref().map(|trace| shown.before(trace)),
        }),
    }
}

struct Shown<'a, 't> {
    topology: &'a Topology<'t>,
}

/// A line of a capture, as it is cited.
pub(crate) fn evidence<'a>(topology: &'a Topology<'_>, at: Evidence) -> Option<EvidenceRow<'a>> {
    let source = topology.snapshot.source(at.source)?;
    let line = source.line_text(at.span);
    Some(EvidenceRow {
        archive: &source.archive,
        member: &source.member,
        line: source.line_number(at.span),
        text: super::escape::shorten(line.trim(), QUOTED),
    })
}

/// The name of a namespace.
fn netns(netns: &Netns) -> Cow<'_, str> {
    netns.name().map_or_else(|| netns.to_string().into(), Cow::Borrowed)
}

impl<'a> Shown<'a, '_> {
    fn before(&self, trace: &'a Trace) -> BeforeRow<'a> {
        let verdict = &trace.verdict;
        BeforeRow {
            outcome: verdict.outcome.as_str(),
            reached: verdict.reached,
            reason: verdict.reason.map(Reason::as_str),
            reason_text: &verdict.text,
            at: self.place(&verdict.place),
            certainty: verdict.certainty.as_str(),
        }
    }

    fn trace(&self, trace: &'a Trace) -> TraceRow<'a> {
        let verdict = &trace.verdict;
        TraceRow {
            outcome: verdict.outcome.as_str(),
            reached: verdict.reached,
            reason: verdict.reason.map(Reason::as_str),
            reason_text: verdict.text.clone(),
            at: self.place(&verdict.place),
            certainty: verdict.certainty.as_str(),
            weakest_hop: verdict.weakest,
            mtu: verdict.mtu.as_ref().map(|(path, hops)| MtuRow {
                path: *path,
                limited_by: hops
                    .iter()
                    .map(|hop| LimitRow {
                        hop: *hop,
                        device: trace.hops.get(hop.wrapping_sub(1)).and_then(|hop| {
                            let name = hop.output.as_ref().or(hop.input.as_ref())?;
                            Some(name.as_str())
                        }),
                    })
                    .collect(),
            }),
            assumptions: verdict
                .assumptions
                .iter()
                .map(|(hop, text)| AssumptionRow { hop: *hop, text: text.clone() })
                .collect(),
            next: verdict.next.iter().map(|next| self.next(next)).collect(),
            evidence: self.lines(&verdict.evidence),
            nearest: verdict.nearest.as_ref().map(|nearest| NearestRow {
                text: &nearest.text,
                rules: self.lines(&nearest.rules),
            }),
            hops: self.hops(&trace.hops),
            ends: trace.ends.iter().map(|end| self.end(end)).collect(),
            branches: trace.branches.iter().map(|branch| self.branch(branch)).collect(),
        }
    }

    fn host(&self, place: &Place) -> Option<&'a str> {
        place.host.map(|host| self.topology.snapshot.host_label(host))
    }

    fn place(&self, place: &'a Place) -> PlaceRow<'a> {
        PlaceRow {
            host: self.host(place),
            netns: place.netns.as_ref().map(netns),
            device: place.device.as_deref(),
            bridge: place.bridge.as_deref(),
            port: place.port.as_deref(),
            controller: place.controller,
        }
    }

    fn next(&self, next: &Next) -> NextRow<'a> {
        NextRow {
            text: next.text.clone(),
            host: next.host.map(|host| self.topology.snapshot.host_label(host)),
            command: next.need.to_string(),
        }
    }

    fn lines(&self, all: &[Evidence]) -> Vec<EvidenceRow<'a>> {
        all.iter().filter_map(|at| evidence(self.topology, *at)).collect()
    }

    fn hops(&self, hops: &'a [Arc<Hop>]) -> Vec<HopRow<'a>> {
        hops.iter().enumerate().map(|(at, hop)| self.hop(at + 1, hop)).collect()
    }

    fn hop(&self, n: usize, hop: &'a Hop) -> HopRow<'a> {
        let fields = |value: fn(&Changed) -> Option<&str>| {
            hop.changes.iter().map(|one| (one.field, value(one))).collect()
        };
        let route = hop.details.route.as_ref();
        HopRow {
            n,
            host: self.host(&hop.place),
            netns: hop.place.netns.as_ref().map(netns),
            kind: hop.kind.as_str(),
            bridge: hop.place.bridge.as_deref(),
            input: hop.input.as_deref(),
            output: hop.output.as_deref(),
            action: &hop.action,
            before: fields(|one| one.before.as_deref()),
            after: fields(|one| one.after.as_deref()),
            wire: WireRow { vlans: &hop.vlans, vni: hop.vni },
            mtu: hop.mtu,
            certainty: hop.certainty.as_str(),
            observed: hop.observed.as_deref(),
            evidence: self.lines(&hop.evidence),
            route: route.map(|route| RouteRow {
                rule: route.rule.and_then(|(priority, at)| {
                    Some(RuleRow { priority, text: evidence(self.topology, at)?.text })
                }),
                table: route.table.as_deref(),
                kind: &route.kind,
                destination: route.destination.as_deref(),
                metric: route.metric,
                source: route.source.as_deref(),
                nexthops: route
                    .hops
                    .iter()
                    .map(|(dev, via)| NexthopRow { dev, via: via.as_deref(), weight: None })
                    .collect(),
            }),
            openflow: (hop.kind == Kind::OvsBridge).then(|| OpenFlowRow {
                bridge: hop.place.bridge.as_deref().unwrap_or_default(),
                tables: hop
                    .details
                    .flows
                    .iter()
                    .map(|flow| TableRow {
                        table: &flow.table,
                        priority: flow.priority,
                        cookie: flow.cookie.map(|cookie| format!("{cookie:#x}")),
                    })
                    .collect(),
                ct: hop
                    .details
                    .tracked
                    .iter()
                    .map(|(zone, commit)| CtRow { zone: *zone, commit: *commit, nat: None })
                    .collect(),
            }),
            assumed: hop.assumed.as_deref(),
            considered: hop
                .details
                .considered
                .iter()
                .map(|one| ConsideredRow { text: &one.text, evidence: self.lines(&one.evidence) })
                .collect(),
            netfilter: hop.details.hook.map(|hook| NetfilterRow {
                hook,
                table: hop.details.table.as_deref(),
                rules: hop
                    .details
                    .rules
                    .iter()
                    .filter_map(|(at, target)| {
                        let line = evidence(self.topology, *at)?.line;
                        Some(FilterRuleRow { line, target })
                    })
                    .collect(),
            }),
        }
    }

    fn end(&self, end: &'a End) -> EndRow<'a> {
        EndRow {
            outcome: end.outcome.as_str(),
            reason: end.reason.map(Reason::as_str),
            at: self.place(&end.place),
            packet: packet(&end.packet),
        }
    }

    fn branch(&self, branch: &'a Branch) -> BranchRow<'a> {
        BranchRow {
            from_hop: branch.from_hop,
            guard: &branch.guard,
            outcome: branch.end.outcome.as_str(),
            reason: branch.end.reason.map(Reason::as_str),
            at: self.place(&branch.end.place),
            hops: self.hops(&branch.hops),
        }
    }
}
