//! What a real ovs-vswitchd says of random packets (`ofproto/trace`) against what is worked out from
//! its dumps. `openflow/make.py` makes the programs and the answers.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic, and says what it counts"
)]
mod proofs;

use std::collections::BTreeSet;

use proofs::{Count, Golden};
use tapline_network::Network;
use tapline_network::trace::{Outcome, Part, Question, Trace, Tracer};

fn ask(network: &Network<'_>, golden: &Golden) -> Count {
    let tracer = Tracer::new(network);
    let mut count = Count::default();
    for line in golden.answers.lines() {
        let mut words = line.split('\t');
        let mut next = || words.next().unwrap();
        let (port, packet, outputs, tables) = (next(), next(), next(), next());
        let question = Question {
            from: format!("ovs:br0/{port}"),
            packet: Some(packet.to_owned()),
            stop_at: Some("ovs".to_owned()),
            ..Question::default()
        };
        let trace = tracer.ask(&question).unwrap().trace;
        let open = trace.tree.nodes.iter().any(|node| matches!(node.part, Part::One(_)));
        if open {
            count.open("nothing tells which way it goes");
            continue;
        }
        let (ours, met) = (sent(&trace), looked_up(&trace));
        let theirs: BTreeSet<String> =
            outputs.split(';').filter(|port| *port != "drop").map(str::to_owned).collect();
        let known: BTreeSet<String> =
            tables.split(',').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
        if ours == theirs && met == known {
            count.right += 1;
        } else {
            count.wrong(golden, format!("{line}\n  ours {ours:?} {met:?}"));
        }
    }
    count
}

/// The ports that a packet leaves by, with its VLANs.
fn sent(trace: &Trace) -> BTreeSet<String> {
    let out = trace.ends.iter().filter(|end| end.outcome == Outcome::LeavesCapture);
    out.map(|end| {
        let vlans = end.packet.vlans().unwrap();
        let port = end.place.port.clone().unwrap();
        let words: Vec<String> =
            std::iter::once(port.to_string()).chain(vlans.iter().map(u16::to_string)).collect();
        words.join(" ")
    })
    .collect()
}

/// Table and priority of every flow of the first bridge.
fn looked_up(trace: &Trace) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for node in &trace.tree.nodes {
        let Part::Hop(hop) = &node.part else { continue };
        if hop.place.bridge.as_deref() != Some("br0") {
            continue;
        }
        for flow in &hop.details.flows {
            if let Some(priority) = flow.priority {
                all.insert(format!("{}/{priority}", flow.table));
            }
        }
    }
    all
}

#[test]
fn flows_do_what_the_switch_does() {
    proofs::replay_all("openflow", ask);
}
