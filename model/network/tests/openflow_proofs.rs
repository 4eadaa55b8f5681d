//! What a real ovs-vswitchd says of random packets (`ofproto/trace`) against what is worked out from
//! its dumps. `openflow/make.py` makes the programs and the answers.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may panic, says what it counts, and reads goldens"
)]
use std::collections::BTreeSet;
use std::path::Path;

use tapline_capture::{Input, Options};
use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_network::trace::{Outcome, Part, Question, Trace, Tracer};

/// What came of the packets of one program.
#[derive(Default)]
struct Count {
    right: usize,
    open: usize,
    wrong: Vec<String>,
}

fn replay(name: &str, text: &str) -> Count {
    let (session, packets) = text.split_once("\n--------------------\n").unwrap();
    let input = Input::Text("session".to_owned(), session.to_owned());
    let captured = tapline_capture::open(&[input], &Options::default()).unwrap();
    let snapshot = tapline_formats::read(captured);
    let topology = tapline_topology::build(&snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let tracer = Tracer::new(&network);
    let mut count = Count::default();
    for line in packets.lines() {
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
            count.open += 1;
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
            count.wrong.push(format!("{name}: {line}\n  ours {ours:?} {met:?}"));
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
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openflow");
    let mut all = Count::default();
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "txt")) {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(file).unwrap();
        let count = replay(&name, &text);
        all.right += count.right;
        all.open += count.open;
        all.wrong.extend(count.wrong);
    }
    println!("{} right, {} wrong, {} open", all.right, all.wrong.len(), all.open);
    let shown = all.wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(all.wrong.is_empty(), "{} wrong, {} right\n{shown}", all.wrong.len(), all.right);
}
