//! What a trace says, in words: the verdict and its lines, and the hops, each with the lines that prove it.
#![allow(dead_code, reason = "each test uses some of it")]
use std::fmt::Write as _;

use tapline_core::span::Evidence;
use tapline_network::Network;
use tapline_network::trace::{Certainty, Hop, Trace};

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
    if let Some(nearest) = &verdict.nearest {
        let rules = nearest.rules.iter().map(|rule| format!(" [{}]", quote(network, *rule)));
        writeln!(out, "    would pass: {}{}", nearest.text, rules.collect::<String>()).unwrap();
    }
    if !hops {
        return;
    }
    for hop in &trace.hops {
        show_hop(out, network, hop);
    }
    for branch in &trace.branches {
        let end = &branch.end;
        let reason = end.reason.map_or("", |reason| reason.as_str());
        let (guard, place) = (&branch.guard, end.place.words());
        write!(out, "    or behind hop {}, {guard}: ", branch.from_hop).unwrap();
        writeln!(out, "{} {reason} at {place}, {}", end.outcome, end.certainty).unwrap();
    }
    let ends: Vec<_> = trace.ends.iter().filter(|end| !end.aside).collect();
    if ends.len() > 1 {
        for end in ends {
            let (place, reached) = (end.place.words(), end.reached);
            writeln!(out, "    a copy ends: {} at {place}, {reached:?}", end.outcome).unwrap();
        }
    }
    let by_flows: usize = trace.committed.values().map(|made| made.len()).sum();
    if by_flows + trace.connections.len() > 0 {
        write!(out, "    remembered: {} connections", trace.connections.len()).unwrap();
        writeln!(out, ", {by_flows} by flows").unwrap();
    }
    if !trace.heard.is_empty() {
        let heard: Vec<String> = trace.heard.iter().map(|(.., ip)| ip.to_string()).collect();
        writeln!(out, "    asks by ARP and so tells of: {}", heard.join(" ")).unwrap();
    }
}

/// What is done, what changes, and the first lines that prove it.
fn show_hop(out: &mut String, network: &Network<'_>, hop: &Hop) {
    let [from, to] = [&hop.input, &hop.output].map(|name| name.as_deref().unwrap_or(""));
    write!(out, "    {from}→{to} {}", hop.action).unwrap();
    for change in &hop.changes {
        let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "?".to_owned());
        let (before, after) = (shown(&change.before), shown(&change.after));
        write!(out, " [{} {before} → {after}]", change.field).unwrap();
    }
    if !hop.vlans.is_empty() {
        write!(out, " VLAN {:?}", hop.vlans).unwrap();
    }
    if let Some(key) = hop.vni {
        write!(out, " key {key}").unwrap();
    }
    if hop.certainty != Certainty::Proven {
        write!(out, " ({})", hop.certainty).unwrap();
    }
    for evidence in hop.evidence.iter().take(2) {
        write!(out, " [{}]", quote(network, *evidence)).unwrap();
    }
    writeln!(out).unwrap();
}
