//! What traces say of the trips that real packets made: the way, hop by hop, and the lines that decide.
//! Whether packets arrive is held by `trip_proofs.rs`; here stands why, to be read against the session
//! of the trip when it changes.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic")]
mod proofs;
mod told;
#[path = "proofs/trip.rs"]
mod trip;

use std::cell::RefCell;
use std::fmt::Write as _;

use proofs::{Count, Golden};
use tapline_network::Network;
use tapline_network::trace::Tracer;
use told::show;
use trip::question;

/// The first question of a trip is shown with its hops, the others with what differs.
fn tell(network: &Network<'_>, golden: &Golden) -> String {
    let tracer = Tracer::new(network);
    let mut out = format!("# {}\n", golden.name);
    let mut known = Vec::new();
    for line in golden.answers.lines() {
        let answered = tracer.ask(&question(line)).unwrap();
        let is_first = known.is_empty();
        let mut told = String::new();
        show(&mut told, network, &answered.trace, is_first);
        if let Some(back) = &answered.reverse {
            write!(told, "  back ").unwrap();
            show(&mut told, network, back, is_first);
        }
        if !known.contains(&told) {
            let asked: Vec<&str> =
                line.split('\t').take(5).filter(|word| !word.is_empty()).collect();
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
