//! What traces say of the trips that real packets made: the way, hop by hop, and the lines that decide.
//! Whether packets arrive is held by `trip_proofs.rs`; here stands why, to be read against the session
//! of the trip when it changes.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic")]
mod proofs;

use std::cell::RefCell;
use std::fmt::Write as _;

use proofs::{Count, Golden};
use tapline_core::span::Evidence;
use tapline_network::Network;
use tapline_network::trace::{Question, Trace, Tracer};

/// Characters of a line that are quoted.
const MOST_QUOTED: usize = 100;

fn quote(network: &Network<'_>, evidence: Evidence) -> String {
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

/// The verdict and its lines; the hops too, where they are asked for.
fn show(out: &mut String, network: &Network<'_>, trace: &Trace, hops: bool) {
    let verdict = &trace.verdict;
    let reached = match verdict.reached {
        Some(true) => "yes",
        Some(false) => "no",
        None => "?",
    };
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

/// The first question of a trip is shown with its hops, the others with what differs.
fn tell(network: &Network<'_>, golden: &Golden) -> String {
    let tracer = Tracer::new(network);
    let mut out = format!("# {}\n", golden.name);
    let mut known = Vec::new();
    for line in golden.answers.lines() {
        let mut words = line.split('\t');
        let mut next = || words.next().unwrap();
        let (from, to, what, source, size) = (next(), next(), next(), next(), next());
        let (protocol, port) = what.split_once('/').unwrap_or((what, ""));
        let question = Question {
            from: format!("ns:{from}"),
            to: Some(format!("ip:{to}")),
            proto: (protocol != "icmp").then(|| protocol.to_owned()),
            dport: port.parse().ok(),
            src: source.parse().ok(),
            size: size.parse().ok(),
            reverse: true,
            ..Question::default()
        };
        let answered = tracer.ask(&question).unwrap();
        let is_first = known.is_empty();
        let mut told = String::new();
        show(&mut told, network, &answered.trace, is_first);
        if let Some(back) = &answered.reverse {
            write!(told, "  back ").unwrap();
            show(&mut told, network, back, is_first);
        }
        if !known.contains(&told) {
            let asked: Vec<&str> = [from, to, what, source, size]
                .into_iter()
                .filter(|word| !word.is_empty())
                .collect();
            write!(out, "  {} {told}", asked.join(" ")).unwrap();
            known.push(told);
        }
    }
    out
}

#[test]
fn traces_say_why() {
    let all = RefCell::new(String::new());
    let count = proofs::replay_all("trips", |network, golden| {
        all.borrow_mut().push_str(&tell(network, golden));
        Count::default()
    });
    println!("{count}");
    insta::assert_snapshot!(all.into_inner());
}
