//! A trace for people: the verdict first, then one line a hop; and its stable form for tests.
use std::io::{self, Write};
use std::sync::Arc;

use tapline_core::capture::HostId;
use tapline_core::span::Evidence;
use tapline_network::trace::{
    Answered, Before, Branch, Certainty, Hop, Kind, Outcome, Trace, Verdict,
};
use tapline_topology::Topology;

use super::escape::visible;
use super::places::Places;
use super::trace_json::evidence;
use crate::terminal::{Terminal, style};

/// Branches that are listed.
const BRANCHES: usize = 12;

/// Writes an answered question.
pub(crate) fn render(
    out: &mut impl Write,
    topology: &Topology<'_>,
    answered: &Answered,
    verbose: bool,
    terminal: &Terminal,
) -> io::Result<()> {
    let before = answered.before.as_ref();
    one(out, topology, &answered.trace, verbose, terminal, &|out| {
        before.map_or(Ok(()), |before| lost(out, topology, answered, before))
    })?;
    if let Some(reverse) = &answered.reverse {
        writeln!(out, "\n{}", terminal.stdout().of(style::STRONG, "the way of the answer"))?;
        let before = before.and_then(|before| Some((before, before.reverse.as_ref()?)));
        one(out, topology, reverse, verbose, terminal, &|out| {
            before.map_or(Ok(()), |(before, reverse)| {
                with_it(out, topology, &before.without.name, &reverse.verdict)
            })
        })?;
    }
    Ok(())
}

/// What is lost with what a question takes away.
fn lost(
    out: &mut dyn Write,
    topology: &Topology<'_>,
    answered: &Answered,
    before: &Before,
) -> io::Result<()> {
    let name = visible(&before.without.name);
    with_it(out, topology, &before.without.name, &before.trace.verdict)?;
    match before.is_lost(answered) {
        Some(true) => writeln!(out, "lost without {name}"),
        Some(false) => writeln!(out, "not lost without {name}"),
        None => writeln!(out, "whether it is lost without {name} cannot be told"),
    }
}

fn with_it(
    out: &mut dyn Write,
    topology: &Topology<'_>,
    name: &str,
    verdict: &Verdict,
) -> io::Result<()> {
    let words = verdict_words(topology, verdict);
    writeln!(out, "with {}: {}: {}", visible(name), reached_words(verdict), visible(&words))
}

pub(super) fn reached_words(verdict: &Verdict) -> &'static str {
    match verdict.reached {
        Some(true) => "reached",
        Some(false) => "not reached",
        None => "cannot tell",
    }
}

fn one<W: Write>(
    out: &mut W,
    topology: &Topology<'_>,
    trace: &Trace,
    verbose: bool,
    terminal: &Terminal,
    behind_verdict: &dyn Fn(&mut W) -> io::Result<()>,
) -> io::Result<()> {
    let paint = terminal.stdout();
    let verdict = &trace.verdict;
    let colour = match verdict.reached {
        Some(true) => style::GOOD,
        Some(false) => style::ERROR,
        None => style::WARNING,
    };
    let words = verdict_words(topology, verdict);
    writeln!(out, "{}: {}", paint.of(colour, reached_words(verdict)), visible(&words))?;
    behind_verdict(out)?;
    if !verdict.evidence.is_empty() && verdict.reached != Some(true) {
        for at in verdict.evidence.iter().take(3) {
            if let Some(line) = evidence(topology, *at) {
                writeln!(
                    out,
                    "  {}:{}: {}",
                    visible(line.member),
                    line.line,
                    paint.of(style::FAINT, visible(&line.text))
                )?;
            }
        }
    }
    if let Some(nearest) = &verdict.nearest {
        writeln!(out, "allowed are {}", visible(&nearest.text))?;
    }
    if let Some((mtu, hops)) = &verdict.mtu {
        let hops: Vec<String> = hops.iter().map(usize::to_string).collect();
        writeln!(out, "path MTU {mtu} (hop {})", hops.join(", "))?;
    }
    writeln!(out)?;
    table(out, topology, &trace.hops, "", terminal)?;
    if verbose {
        considered(out, topology, &trace.hops, &Places::new(topology.snapshot, terminal))?;
    }
    for (hop, text) in &verdict.assumptions {
        writeln!(out, "assumed, hop {hop}: {}", visible(text))?;
    }
    branches(out, topology, trace, verbose, terminal)?;
    for next in &verdict.next {
        let host = next.host.map(|host| format!(" on {}", label(topology, host)));
        writeln!(
            out,
            "{}{}: {}   # {}",
            paint.of(style::HINT, "next"),
            visible(&host.unwrap_or_default()),
            visible(&next.need.to_string()),
            visible(&next.text)
        )?;
    }
    Ok(())
}

pub(super) fn label<'a>(topology: &'a Topology<'_>, host: HostId) -> &'a str {
    topology.snapshot.host_label(host)
}

/// `dropped at compute4 br-int/int-br-data (sg-ingress-deny: no rule …), proven`
pub(super) fn verdict_words(topology: &Topology<'_>, verdict: &Verdict) -> String {
    let mut words = verdict.outcome.to_string();
    let place = verdict.place.words();
    let host = verdict.place.host.map(|host| label(topology, host)).unwrap_or_default();
    if !place.is_empty() || !host.is_empty() {
        words.push_str(&format!(" at {host} {place}").replace("  ", " "));
    }
    match verdict.reason {
        Some(reason) => words.push_str(&format!(" ({reason}: {})", verdict.text)),
        None if verdict.text.is_empty() => {}
        None => words.push_str(&format!(" ({})", verdict.text)),
    }
    words.push_str(&format!(", {}", verdict.certainty));
    if let Some(hop) = verdict.weakest.filter(|_| verdict.certainty != Certainty::Proven) {
        words.push_str(&format!(" by hop {hop}"));
    }
    words
}

fn table(
    out: &mut impl Write,
    topology: &Topology<'_>,
    hops: &[Arc<Hop>],
    indent: &str,
    terminal: &Terminal,
) -> io::Result<()> {
    let hosts: std::collections::BTreeSet<_> =
        hops.iter().filter_map(|hop| hop.place.host).collect();
    let mut rows: Vec<[String; 6]> = Vec::new();
    for (at, hop) in hops.iter().enumerate() {
        let mut sure = match hop.certainty {
            Certainty::Proven if hop.observed.is_some() => "proven*".to_owned(),
            other => other.to_string(),
        };
        if let Some(mtu) = hop.mtu {
            sure = format!("{mtu} {sure}");
        }
        rows.push([
            (at + 1).to_string(),
            place_words(topology, hop, hosts.len() > 1),
            way_words(hop),
            action_words(hop),
            sure,
            places(topology, &hop.evidence),
        ]);
    }
    let mut widths = [0_usize; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let paint = terminal.stdout();
    for row in &rows {
        let mut line = String::from(indent);
        for (at, (cell, width)) in row.iter().zip(widths).enumerate() {
            let cell = visible(cell);
            let pad = width.saturating_sub(cell.chars().count());
            if at == 0 {
                line.push_str(&" ".repeat(pad));
                line.push_str(&cell);
            } else {
                line.push_str("  ");
                if at == 5 {
                    line.push_str(&paint.of(style::FAINT, &cell).to_string());
                } else {
                    line.push_str(&cell);
                    line.push_str(&" ".repeat(pad));
                }
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    if hops.iter().any(|hop| hop.observed.is_some() && hop.certainty == Certainty::Proven) {
        writeln!(out, "{indent}* counters show that packets took this way")?;
    }
    Ok(())
}

/// The namespace or the bridge, with the host where several are passed.
fn place_words(topology: &Topology<'_>, hop: &Hop, with_host: bool) -> String {
    let place = &hop.place;
    let host = place.host.map(|host| label(topology, host)).unwrap_or_default();
    let mut name = match (&place.bridge, &place.netns) {
        (Some(bridge), _) => bridge.to_string(),
        (None, Some(netns)) => netns.to_string(),
        (None, None) => "guest".to_owned(),
    };
    // Ids of neutron are long, and the first part tells them apart.
    if let Some((start, rest)) = name.split_once('-')
        && matches!(start, "qrouter" | "qdhcp" | "snat" | "fip" | "ovnmeta")
    {
        name = format!("{start}-{}…", rest.chars().take(8).collect::<String>());
    }
    if with_host { format!("{host} {name}") } else { name }
}

pub(super) fn way_words(hop: &Hop) -> String {
    match (&hop.input, &hop.output) {
        (Some(input), Some(output)) if input == output => input.to_string(),
        (Some(input), Some(output)) => format!("{input} → {output}"),
        (Some(input), None) => input.to_string(),
        (None, Some(output)) => format!("→ {output}"),
        (None, None) => String::new(),
    }
}

fn action_words(hop: &Hop) -> String {
    let mut words = hop.action.clone();
    let changes = change_words(hop);
    if !changes.is_empty() {
        words.push_str(&format!(" [{}]", changes.join(", ")));
    }
    words
}

pub(super) fn change_words(hop: &Hop) -> Vec<String> {
    let tells = |field: &str| !matches!(field, "nw_ttl");
    hop.changes
        .iter()
        .filter(|one| tells(one.field))
        .map(|one| {
            let old = one.before.as_deref().unwrap_or("?");
            let new = one.after.as_deref().unwrap_or("?");
            let dash =
                |value: &str| if value.is_empty() { "–".to_owned() } else { value.to_owned() };
            format!("{} {} → {}", one.field, dash(old), dash(new))
        })
        .collect()
}

/// `ip_rule_list:4, route:2`
fn places(topology: &Topology<'_>, all: &[Evidence]) -> String {
    let mut shown: Vec<(String, Vec<u32>)> = Vec::new();
    for at in all {
        let Some(line) = evidence(topology, *at) else { continue };
        let name = if line.member.is_empty() { line.archive } else { line.member };
        let name = name.rsplit('/').next().unwrap_or(name).to_owned();
        match shown.iter_mut().find(|(known, _)| *known == name) {
            Some((_, lines)) if !lines.contains(&line.line) => lines.push(line.line),
            Some(_) => {}
            None => shown.push((name, vec![line.line])),
        }
    }
    let words: Vec<String> = shown
        .into_iter()
        .map(|(name, lines)| {
            let lines: Vec<String> = lines.iter().map(u32::to_string).collect();
            format!("{name}:{}", lines.join(","))
        })
        .collect();
    words.join("; ")
}

/// Everything that each hop looked at.
fn considered(
    out: &mut impl Write,
    topology: &Topology<'_>,
    hops: &[Arc<Hop>],
    places: &Places,
) -> io::Result<()> {
    writeln!(out)?;
    for (at, hop) in hops.iter().enumerate() {
        writeln!(out, "hop {}: {}", at + 1, visible(&hop.action))?;
        if let Some(observed) = &hop.observed {
            writeln!(out, "  seen: {}", visible(observed))?;
        }
        for at in &hop.evidence {
            if let Some(line) = evidence(topology, *at) {
                let place = places.path(line.archive, line.member);
                writeln!(out, "  {}:{}", visible(&place), line.line)?;
                writeln!(out, "    {}", visible(&line.text))?;
            }
        }
        if let Some(assumed) = &hop.assumed {
            writeln!(out, "  assumed: {}", visible(assumed))?;
        }
        for one in &hop.details.considered {
            writeln!(out, "  {}", visible(&one.text))?;
            lines(out, topology, &one.evidence)?;
        }
        if let Some(nearest) = &hop.details.nearest {
            writeln!(out, "  allowed are {}", visible(&nearest.text))?;
            lines(out, topology, &nearest.rules)?;
        }
    }
    writeln!(out)
}

/// Each line, indented, behind its place.
fn lines(out: &mut impl Write, topology: &Topology<'_>, all: &[Evidence]) -> io::Result<()> {
    for at in all {
        if let Some(line) = evidence(topology, *at) {
            let place = super::place(line.archive, line.member).to_string();
            let place = place.rsplit('/').next().unwrap_or(&place);
            writeln!(out, "    {}:{}: {}", visible(place), line.line, visible(&line.text))?;
        }
    }
    Ok(())
}

fn branches(
    out: &mut impl Write,
    topology: &Topology<'_>,
    trace: &Trace,
    verbose: bool,
    terminal: &Terminal,
) -> io::Result<()> {
    let listed = |branch: &&Branch| verbose || !branch.end.aside;
    let all: Vec<&Branch> = trace.branches.iter().filter(listed).collect();
    for branch in all.iter().take(BRANCHES) {
        let end = &branch.end;
        let reason = end.reason.map(|reason| format!(", {reason}")).unwrap_or_default();
        let host = end.place.host.map(|host| label(topology, host)).unwrap_or_default();
        let words = format!(
            "also, behind hop {}: {}: {}{reason} at {host} {}",
            branch.from_hop,
            branch.guard,
            end.outcome,
            end.place.words()
        );
        writeln!(out, "{}", visible(words.trim_end()))?;
        if verbose {
            table(out, topology, &branch.hops, "    ", terminal)?;
        }
    }
    let more = trace.branches.len() - all.len().min(BRANCHES);
    if more > 0 {
        writeln!(out, "{} more with -v", super::count(more, "way"))?;
    }
    Ok(())
}

/// The outcome and what is rewritten: no counters, no places, no lines.
pub(crate) fn minimal(
    out: &mut impl Write,
    topology: &Topology<'_>,
    answered: &Answered,
) -> io::Result<()> {
    minimal_one(out, topology, &answered.trace)?;
    if let Some(before) = &answered.before {
        let words = minimal_words(topology, &before.trace);
        writeln!(out, "with {}: {}", visible(&before.without.name), visible(&words))?;
    }
    if let Some(reverse) = &answered.reverse {
        writeln!(out, "reverse:")?;
        minimal_one(out, topology, reverse)?;
    }
    Ok(())
}

fn minimal_words(topology: &Topology<'_>, trace: &Trace) -> String {
    let verdict = &trace.verdict;
    let reached = match verdict.reached {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    let reason = verdict.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
    let host = verdict.place.host.map(|host| label(topology, host)).unwrap_or_default();
    let place = verdict.place.words();
    let line = format!("{reached}: {}{reason} at {host} {place}", verdict.outcome);
    line.trim_end().to_owned()
}

fn minimal_one(out: &mut impl Write, topology: &Topology<'_>, trace: &Trace) -> io::Result<()> {
    let verdict = &trace.verdict;
    writeln!(out, "{}", visible(&minimal_words(topology, trace)))?;
    for hop in &trace.hops {
        let changes = change_words(hop);
        let quiet = changes.is_empty()
            && matches!(hop.kind, Kind::Netfilter)
            && verdict.outcome == Outcome::Delivered;
        if quiet {
            continue;
        }
        let mut words = format!("  {} {}", place_words(topology, hop, true), way_words(hop));
        for change in changes {
            words.push_str(&format!(" [{change}]"));
        }
        writeln!(out, "{}", visible(words.trim_end()))?;
    }
    Ok(())
}

/// The way as a graph for Graphviz.
pub(crate) fn dot(
    out: &mut impl Write,
    topology: &Topology<'_>,
    answered: &Answered,
) -> io::Result<()> {
    let quote = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    writeln!(out, "digraph trace {{")?;
    writeln!(out, "  rankdir=LR;")?;
    writeln!(out, "  node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=10];")?;
    for (id, label) in boxes(topology, &answered.trace) {
        let label: Vec<String> = label.iter().map(|line| quote(&visible(line))).collect();
        writeln!(out, "  {id} [label=\"{}\"];", label.join("\\n"))?;
    }
    for (from, to, label) in arrows(&answered.trace) {
        writeln!(out, "  {from} -> {to} [label=\"{}\"];", quote(&visible(&label)))?;
    }
    writeln!(out, "}}")
}

/// The way as a flowchart of Mermaid.
pub(crate) fn mermaid(
    out: &mut impl Write,
    topology: &Topology<'_>,
    answered: &Answered,
) -> io::Result<()> {
    let quote = |text: &str| text.replace('"', "#quot;").replace(['<', '>'], " ");
    writeln!(out, "flowchart LR")?;
    for (id, label) in boxes(topology, &answered.trace) {
        let label: Vec<String> = label.iter().map(|line| quote(&visible(line))).collect();
        writeln!(out, "  {id}[\"{}\"]", label.join("<br/>"))?;
    }
    for (from, to, label) in arrows(&answered.trace) {
        if label.is_empty() {
            writeln!(out, "  {from} --> {to}")?;
        } else {
            writeln!(out, "  {from} -->|\"{}\"| {to}", quote(&visible(&label)))?;
        }
    }
    Ok(())
}

fn boxes(topology: &Topology<'_>, trace: &Trace) -> Vec<(String, Vec<String>)> {
    let mut all = Vec::new();
    for (at, hop) in trace.hops.iter().enumerate() {
        let lines = vec![place_words(topology, hop, true), way_words(hop), hop.action.clone()];
        all.push((format!("h{}", at + 1), lines));
    }
    all.push(("end".to_owned(), vec![verdict_words(topology, &trace.verdict)]));
    for (at, branch) in trace.branches.iter().filter(|branch| !branch.end.aside).enumerate() {
        let reason = branch.end.reason.map(|reason| reason.to_string()).unwrap_or_default();
        let lines = vec![branch.end.outcome.to_string(), reason, branch.end.place.words()];
        all.push((format!("b{}", at + 1), lines));
    }
    all
}

fn arrows(trace: &Trace) -> Vec<(String, String, String)> {
    let mut all = Vec::new();
    let count = trace.hops.len();
    for (at, hop) in trace.hops.iter().enumerate() {
        let next = if at + 1 == count { "end".to_owned() } else { format!("h{}", at + 2) };
        let mut label: Vec<String> = hop.vlans.iter().map(|vid| format!("VLAN {vid}")).collect();
        label.extend(hop.vni.map(|vni| format!("VNI {vni}")));
        all.push((format!("h{}", at + 1), next, label.join(", ")));
    }
    for (at, branch) in trace.branches.iter().filter(|branch| !branch.end.aside).enumerate() {
        if branch.from_hop > 0 {
            let from = format!("h{}", branch.from_hop);
            all.push((from, format!("b{}", at + 1), branch.guard.clone()));
        }
    }
    all
}
