//! What a trace says, in words: the verdict and its lines, and the hops, each with the lines that prove it.
#![allow(dead_code, reason = "each test uses some of it")]
use std::fmt::Write as _;

use tapline_core::span::Evidence;
use tapline_network::Network;
use tapline_network::trace::Trace;

/// Characters of a line that are quoted.
const MOST_QUOTED: usize = 100;

pub(crate) fn quote(network: &Network<'_>, evidence: Evidence) -> String {
    let snapshot = network.topology.snapshot;
    let source = snapshot.source(evidence.source).unwrap();
    let text = source.text.get(evidence.span.start as usize..evidence.span.end as usize);
    text.unwrap_or_default()
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .chars()
        .take(MOST_QUOTED)
        .collect()
}

pub(crate) fn yes(reached: Option<bool>) -> &'static str {
    match reached {
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    }
}

/// The verdict and its lines; the hops too, where they are asked for.
pub(crate) fn show(out: &mut String, network: &Network<'_>, trace: &Trace, hops: bool) {
    let verdict = &trace.verdict;
    let reached = yes(verdict.reached);
    let reason = verdict.reason.map_or(String::new(), |reason| format!(" {}", reason.as_str()));
    write!(out, "{reached}: {}{reason} at {}", verdict.outcome, verdict.place.words()).unwrap();
    write!(out, ", {}, {}", verdict.certainty, verdict.text).unwrap();
    if let Some(weakest) = verdict.weakest {
        write!(out, ", by hop {weakest}").unwrap();
    }
    if let Some((mtu, at)) = &verdict.mtu {
        write!(out, ", MTU {mtu} at {at:?}").unwrap();
    }
    writeln!(out).unwrap();
    for evidence in &verdict.evidence {
        writeln!(out, "    [{}]", quote(network, *evidence)).unwrap();
    }
    for (hop, assumed) in &verdict.assumptions {
        writeln!(out, "    assumed at hop {hop}: {assumed}").unwrap();
    }
    for next in &verdict.next {
        writeln!(out, "    would tell: {}", next.need).unwrap();
    }
    if !hops {
        return;
    }
    for hop in &trace.hops {
        let [from, to] = [&hop.input, &hop.output].map(|name| name.as_deref().unwrap_or(""));
        write!(out, "    {from}→{to} {}", hop.action).unwrap();
        for change in &hop.changes {
            let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "?".to_owned());
            let (before, after) = (shown(&change.before), shown(&change.after));
            write!(out, " [{} {before} → {after}]", change.field).unwrap();
        }
        for evidence in hop.evidence.iter().take(2) {
            write!(out, " [{}]", quote(network, *evidence)).unwrap();
        }
        writeln!(out).unwrap();
    }
}
