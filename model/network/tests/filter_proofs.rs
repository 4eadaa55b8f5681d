//! Which rules of real packet filters real packets have met, by their counters, against the rules
//! that a trace of the same packet says it meets. `filters/make.py` makes the goldens.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it counts"
)]
mod proofs;

use std::collections::{BTreeMap, BTreeSet};

use proofs::{Count, Golden};
use tapline_core::capture::{HostId, Snapshot};
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_network::Network;
use tapline_network::trace::{End, Outcome, Part, Query, Question, Start, Trace, Tracer};
use tapline_network::truth::Truth;

fn ask(network: &Network<'_>, golden: &Golden) -> Count {
    let tracer = Tracer::new(network);
    let snapshot = network.topology.snapshot;
    let mut count = Count::default();
    for line in golden.answers.lines() {
        let mut words = line.split('\t');
        let mut next = || words.next().unwrap();
        let (from, flow, state, moved, end) = (next(), next(), next(), next(), next());
        let question = Question {
            from: from.to_owned(),
            packet: Some(flow.to_owned()),
            ct: (state == "est").then(|| state.to_owned()),
            ..Question::default()
        };
        let mut trace = tracer.ask(&question).unwrap().trace;
        if state == "answer" {
            match answer(network, &trace) {
                Some(query) => trace = tracer.trace(&query),
                None => {
                    count.open("the question is not known to arrive");
                    continue;
                }
            }
        }
        let moved: BTreeSet<u32> =
            moved.split(',').filter_map(|number| number.parse().ok()).collect();
        let met = met(snapshot, &trace);
        let sure = |truth| met.iter().filter(move |(_, one)| **one == truth).map(|(line, _)| *line);
        let surely: BTreeSet<u32> = sure(Truth::Yes).collect();
        let maybe: BTreeSet<u32> = sure(Truth::Maybe).collect();
        let fits = surely.is_subset(&moved)
            && moved.iter().all(|line| surely.contains(line) || maybe.contains(line));
        let forks = trace.tree.nodes.iter().find_map(|node| match &node.part {
            Part::One(doubt) => Some(doubt.text.clone()),
            _ => None,
        });
        // What is behind the far end was not captured.
        let unknown =
            trace.ends.iter().find(|end| end.outcome == Outcome::Unknown && far(end).is_none());
        let ours = arrivals(&trace);
        if forks.is_some() || unknown.is_some() {
            // What is not known is on one of the ways.
            let possible = moved.iter().all(|line| met.contains_key(line));
            let why = unknown.map(|end| end.text.clone()).or(forks).unwrap_or_default();
            if possible || unknown.is_some() {
                count.open(&why);
            } else {
                count.wrong(golden, format!("{line}\n  ours {met:?} {ours:?}"));
            }
        } else if !fits || ours != *end {
            count.wrong(golden, format!("{line}\n  ours {met:?} {ours}"));
        } else if maybe.is_empty() {
            count.right += 1;
        } else {
            count.open("a rule without consequences may be met");
        }
    }
    count
}

/// The lines with counters that a trace meets.
fn met(snapshot: &Snapshot, trace: &Trace) -> BTreeMap<u32, Truth> {
    let mut all = BTreeMap::new();
    for (at, truth) in &trace.met {
        let Evidence { source, span } = *at;
        let source = snapshot.source(source).unwrap();
        let text = source.line_text(span);
        // The new backend does not count for policies.
        let counts = text.starts_with('[')
            || text.starts_with(':') && !source.text.contains("(nf_tables)")
            || text.contains("counter packets");
        if counts {
            let known: &mut Truth = all.entry(source.line_numbers(span).0).or_insert(*truth);
            *known = (*known).or(*truth);
        }
    }
    all
}

/// What arrives at the far end, in the words of the goldens.
fn arrivals(trace: &Trace) -> String {
    let lost =
        |outcome| matches!(outcome, Outcome::Dropped | Outcome::Rejected | Outcome::Delivered);
    let mut all = trace.ends.iter().filter(|end| !lost(end.outcome)).filter_map(|end| {
        let (device, _) = far(end)?;
        let (source, target) = (end.packet.source()?, end.packet.destination()?);
        let ports = (end.packet.source_port(), end.packet.destination_port());
        Some(match ports {
            (Some(from), Some(to)) if matches!(end.packet.protocol(), Some(6 | 17)) => {
                format!("{device} {source} {from}>{target} {to}")
            }
            _ => format!("{device} {source}>{target}"),
        })
    });
    all.next().unwrap_or_else(|| "-".to_owned())
}

/// The device of another namespace where a packet ends, and the host's own end of its cable.
fn far(end: &End) -> Option<(&'static str, &'static str)> {
    let netns = end.place.netns.as_ref()?.to_string();
    Some(match (netns.as_str(), end.place.device.as_deref()?) {
        ("pf-near", "if2") => ("f0", "e0"),
        ("pf-far", "if2") => ("f1", "e1"),
        ("pf-near", "if3") => ("q0", "p0"),
        ("pf-far", "if3") => ("q1", "p1"),
        _ => return None,
    })
}

/// The answer to a packet, from where it has arrived.
fn answer(network: &Network<'_>, trace: &Trace) -> Option<Query> {
    let (end, (_, own)) = trace.ends.iter().find_map(|end| Some((end, far(end)?)))?;
    let device = network.topology.find_netdev(HostId(0), &Netns::Root, own)?;
    Some(Query {
        connections: trace.connections.clone(),
        committed: trace.committed.clone(),
        ..Query::new(Start::Device(device), None, end.packet.answer())
    })
}

#[test]
fn rules_are_met_as_the_kernel_counts() {
    let all = proofs::replay_all("filters", ask);
    // Sets, owners, limits, statistics, and what is not modelled.
    assert!(all.opened() * 8 < all.right, "{all}");
}
