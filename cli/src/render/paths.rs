//! The paths of VM ports and ports of namespaces, one line each.
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;
use tapline_analysis::lint::paths::{Path, Reach, State, Step, paths, subject_of};
use tapline_analysis::lint::{Finding, Report};
use tapline_topology::{NodeData, NodeId, Topology};

use super::escape::visible;
use super::node::name;
use crate::schema as shape;
use crate::terminal::{Paint, style};

/// Paths that are not broken and shown one by one, unless all are asked for.
const MOST: usize = 40;
/// NICs that are named where one of several may be taken.
const MOST_WIRES: usize = 3;

/// A path for programs.
#[derive(JsonSchema, Serialize)]
pub(crate) struct PathRow {
    pub(crate) host: String,
    pub(crate) netns: Option<String>,
    /// The NIC of a VM, or the device in a namespace.
    pub(crate) start: String,
    /// Its key.
    pub(crate) key: Option<String>,
    /// The VLAN that the guest itself gives these frames, on a trunk of neutron: each of its VLANs
    /// has a path of its own.
    pub(crate) vlan: Option<u16>,
    pub(crate) hops: Vec<HopRow>,
    /// Names of the NICs of the host by which frames leave. Where `reach` is `switch` and there are
    /// several, it is not known which of these.
    pub(crate) wires: Vec<String>,
    /// How far the hops lead: `nothing`, `switch`, `router`, `tunnels` or `wire`.
    #[schemars(with = "shape::Reach")]
    pub(crate) reach: &'static str,
    /// Whether no hop is broken and the path reaches a switch; null where that is not known.
    pub(crate) whole: Option<bool>,
    /// Fingerprint of the finding that breaks it.
    pub(crate) broken_by: Option<String>,
}

#[derive(JsonSchema, Serialize)]
pub(crate) struct HopRow {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    /// The key of the node: the same as in findings and in the graph.
    pub(crate) key: Option<String>,
    /// `whole`, `broken` or `unknown`.
    #[schemars(with = "shape::HopState")]
    pub(crate) state: &'static str,
    /// How many more lead on beside it: tunnels, uplinks.
    pub(crate) beside: usize,
    /// How many more would, and are broken.
    pub(crate) broken_beside: usize,
    /// What blocks frames here, by the state of the hop itself.
    pub(crate) why: Option<String>,
}

/// The paths for programs.
pub(crate) fn rows(topology: &Topology<'_>, report: &Report) -> Vec<PathRow> {
    let key = |node| topology.key(node).map(ToString::to_string);
    let row = |path: &Path| {
        let hops = path.steps.iter().map(|step| HopRow {
            kind: topology.node(step.node).map_or("", |node| node.data.kind()),
            name: name(topology, step.node),
            key: key(step.node),
            state: match step.state {
                State::Whole => "whole",
                State::Broken => "broken",
                State::Unknown => "unknown",
            },
            beside: step.beside,
            broken_beside: step.broken_beside,
            why: step.why.as_ref().map(ToString::to_string),
        });
        PathRow {
            host: host(topology, path).to_owned(),
            netns: netns(topology, path.start),
            start: topology.name(path.start),
            key: key(path.start),
            vlan: path.vlan,
            hops: hops.collect(),
            wires: path.wires.iter().map(|wire| name(topology, *wire)).collect(),
            reach: match path.reach {
                Reach::Nothing => "nothing",
                Reach::Switch => "switch",
                Reach::Router => "router",
                Reach::Tunnels => "tunnels",
                Reach::Wire => "wire",
            },
            whole: whole(path),
            broken_by: breaker(report, path).map(|breaker| breaker.fingerprint.clone()),
        }
    };
    paths(topology, report).iter().map(row).collect()
}

/// `✗ node2 · vm1/tap… → tap… ✓ → qbr… ✗ LBR-001 (ip_-d_address:12)`
pub(crate) fn render(
    out: &mut impl Write,
    topology: &Topology<'_>,
    report: &Report,
    every: bool,
    paint: Paint,
) -> io::Result<()> {
    let all = paths(topology, report);
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out, "{}", paint.of(style::STRONG, "paths of VMs and namespaces"))?;
    // Among hundreds of others, those are looked for that are broken.
    let folded = |of: Option<bool>| {
        let many = all.iter().filter(|path| whole(path) == of).count();
        (!every && many > MOST).then_some(many)
    };
    let (whole_ones, open_ones) = (folded(Some(true)), folded(None));
    let is_folded = |path: &&Path| match whole(path) {
        Some(false) => false,
        Some(true) => whole_ones.is_some(),
        None => open_ones.is_some(),
    };
    for path in all.iter().filter(|path| !is_folded(path)) {
        let head = match whole(path) {
            Some(true) => State::Whole,
            Some(false) => State::Broken,
            None => State::Unknown,
        };
        let netns =
            netns(topology, path.start).map(|netns| format!("{netns}/")).unwrap_or_default();
        let start = format!("{} · {netns}{}", host(topology, path), topology.name(path.start));
        write!(out, "  {} {}", mark(head, paint), visible(&start))?;
        if let Some(vlan) = path.vlan {
            write!(out, " (VLAN {vlan})")?;
        }
        for step in shown(topology, path) {
            // The far end of a tunnel is on another host.
            let host = topology.node(step.node).and_then(|node| node.host);
            let is_host =
                topology.node(step.node).is_some_and(|node| matches!(node.data, NodeData::Host(_)));
            if let Some(host) = host.filter(|host| *host != path.host && !is_host) {
                let label = topology.snapshot.host(host).map_or("", |host| host.label());
                write!(out, " → {} of {}", visible(&name(topology, step.node)), visible(label))?;
            } else {
                write!(out, " → {}", visible(&name(topology, step.node)))?;
            }
            write!(out, "{} {}", beside(&step, head == State::Broken), mark(step.state, paint))?;
        }
        if let Some(finding) = breaker(report, path) {
            let subject = subject_of(topology, finding, path.start);
            let words = format!("{} {}", finding.rule.code, subject.name);
            let marked = path.steps.last().is_some_and(|step| step.state == State::Broken);
            let cross = if marked { String::new() } else { format!("→ {} ", mark(head, paint)) };
            write!(out, " {cross}{}", paint.of(style::ERROR, visible(&words)))?;
            if let Some(place) = place(topology, finding) {
                write!(out, " {}", paint.of(style::FAINT, visible(&format!("({place})"))))?;
            }
        } else if let Some(why) = path.steps.last().and_then(|step| step.why.as_ref()) {
            write!(out, " {}", paint.of(style::ERROR, visible(&why.to_string())))?;
        } else if path.is_open && !path.wires.is_empty() {
            let mut names: Vec<String> =
                path.wires.iter().map(|wire| name(topology, *wire)).collect();
            let more = names.len().saturating_sub(MOST_WIRES);
            names.truncate(MOST_WIRES);
            write!(out, " → {}", visible(&names.join(" or ")))?;
            if more > 0 {
                write!(out, " or {more} more")?;
            }
            // One of the ways may lead to no NIC.
            if path.ends_early || path.wires.len() == 1 {
                write!(out, " {}", mark(State::Unknown, paint))?;
            }
        } else if path.ends_early {
            write!(out, " → {}", mark(State::Unknown, paint))?;
        }
        writeln!(out)?;
    }
    let ends = [
        (open_ones, State::Unknown, "of which not every hop is known"),
        (whole_ones, State::Whole, "that are whole"),
    ];
    for (many, state, what) in ends {
        if let Some(many) = many {
            writeln!(out, "  {} and {many} {what} (--all lists them)", mark(state, paint))?;
        }
    }
    Ok(())
}

/// How many others of its kind lead on beside a hop, or would and are broken.
fn beside(step: &Step, is_broken: bool) -> String {
    let all = 1 + step.beside + step.broken_beside;
    match (step.beside, step.broken_beside) {
        (0, 0) => String::new(),
        (more, 0) => format!(" (and {more} more)"),
        // The step itself is one of the broken where nothing works, and so it is where it leads on to
        // nothing that does.
        (0, broken) if is_broken => format!(" ({all} of {all} broken)", all = broken + 1),
        (_, broken) if step.state == State::Broken => format!(" ({} of {all} broken)", broken + 1),
        (_, broken) => format!(" ({broken} of {all} broken)"),
    }
}

/// Hops to print: a port, its interface and its device are one.
fn shown(topology: &Topology<'_>, path: &Path) -> Vec<Step> {
    let mut all: Vec<Step> = Vec::new();
    let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    for step in &path.steps {
        let data = topology.node(step.node).map(|node| &node.data);
        let is_port = matches!(data, Some(NodeData::OvsPort(_)));
        let same =
            |before: &Step| last(&name(topology, before.node)) == last(&name(topology, step.node));
        // Behind a bridge a port comes before its interface.
        let behind_bridge = |before: &Step| {
            let before = topology.node(before.node).map(|node| &node.data);
            matches!(before, Some(NodeData::OvsBridge(_)))
        };
        let host = |step: &Step| topology.node(step.node).and_then(|node| node.host);
        let is_part = |before: &Step| {
            host(before) == host(step) && (is_port && !behind_bridge(before) || same(before))
        };
        match all.last_mut() {
            Some(before) if is_part(before) => {
                before.beside = before.beside.max(step.beside);
                before.broken_beside = before.broken_beside.max(step.broken_beside);
                if step.state != State::Whole {
                    before.state = step.state;
                }
                if step.state == State::Broken {
                    before.node = step.node;
                    before.why.clone_from(&step.why);
                }
            }
            _ => all.push(step.clone()),
        }
    }
    all
}

fn whole(path: &Path) -> Option<bool> {
    if path.broken_by.is_some() || path.steps.iter().any(|step| step.state == State::Broken) {
        return Some(false);
    }
    let told = !path.ends_early && path.steps.iter().all(|step| step.state == State::Whole);
    told.then_some(true)
}

fn mark(state: State, paint: Paint) -> String {
    match state {
        State::Whole => paint.of(style::GOOD, "✓").to_string(),
        State::Broken => paint.of(style::ERROR, "✗").to_string(),
        State::Unknown => paint.of(style::FAINT, "?").to_string(),
    }
}

fn host<'t>(topology: &'t Topology<'_>, path: &Path) -> &'t str {
    topology.snapshot.host(path.host).map_or("", |host| host.label())
}

fn netns(topology: &Topology<'_>, id: NodeId) -> Option<String> {
    topology.node(id)?.netns.as_ref()?.name().map(str::to_owned)
}

fn breaker<'r>(report: &'r Report, path: &Path) -> Option<&'r Finding> {
    report.findings.get(path.broken_by?)
}

/// `ip_-d_address:12`
fn place(topology: &Topology<'_>, finding: &Finding) -> Option<String> {
    let evidence = finding.evidence.first()?.evidence;
    let source = topology.snapshot.source(evidence.source)?;
    let (line, _) = source.line_numbers(evidence.span);
    let whole = if source.member.is_empty() { &source.archive } else { &source.member };
    Some(format!("{}:{line}", whole.rsplit('/').next().unwrap_or(whole)))
}
