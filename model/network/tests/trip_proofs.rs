//! Whether real packets go there and back between real namespaces, against what a trace of the packet and
//! of its answer says. `trips/make.py` makes the goldens.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it counts"
)]
mod proofs;
#[path = "proofs/trip.rs"]
mod trip;

use proofs::{Count, Golden};
use tapline_network::Network;
use tapline_network::trace::{Answered, Trace, Tracer};
use trip::question;

fn ask(network: &Network<'_>, golden: &Golden) -> Count {
    let tracer = Tracer::new(network);
    let mut count = Count::default();
    for line in golden.answers.lines() {
        let real = line.split('\t').nth(5).unwrap();
        let answered = tracer.ask(&question(line)).unwrap();
        match (there_and_back(&answered), real) {
            (Some(true), "yes") | (Some(false), "no") => count.right += 1,
            (None, _) => count.open(&why(&answered)),
            (Some(ours), _) => {
                let there = &answered.trace.verdict;
                count.wrong(
                    golden,
                    format!("{line}\n  ours {ours}: {} {}", there.outcome, there.text),
                );
            }
        }
    }
    count
}

/// Whether an answer comes.
fn there_and_back(answered: &Answered) -> Option<bool> {
    let back = answered.reverse.as_ref().and_then(|back| back.verdict.reached);
    match answered.trace.verdict.reached {
        Some(true) => back,
        Some(false) => Some(false),
        None => (back == Some(false)).then_some(false),
    }
}

/// What leaves a trace open.
fn why(answered: &Answered) -> String {
    let open = |trace: &&Trace| trace.verdict.reached.is_none();
    let ways = [Some(&answered.trace), answered.reverse.as_ref()];
    let trace = ways.into_iter().flatten().find(open);
    trace.map_or_else(String::new, |trace| trace.verdict.text.clone())
}

#[test]
fn packets_go_there_and_back_as_between_real_namespaces() {
    let all = proofs::replay_all("trips", ask);
    // Rules that look at Ethertypes; a server that may name the address that it answers from.
    assert!(all.opened() * 20 < all.right, "{all}");
}
