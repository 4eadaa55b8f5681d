//! Prints the nodes, edges, contradictions and coverage of captures:
//! `cargo run -p tapline-topology --example topology -- INPUT…`.
#![expect(clippy::print_stdout, reason = "this is what it is for")]
use std::path::PathBuf;

use tapline_capture::{CaptureError, Input, Options};
use tapline_topology::graph::{Node, Witness};
use tapline_topology::{NodeData, NodeId, Topology, build};

fn main() -> Result<(), CaptureError> {
    let inputs: Vec<Input> =
        std::env::args().skip(1).map(|arg| Input::Path(PathBuf::from(arg))).collect();
    let snapshot = tapline_formats::read(tapline_capture::open(&inputs, &Options::default())?);
    let start = std::time::Instant::now();
    let topology = build(&snapshot);
    let took = start.elapsed();
    for (id, node) in topology.nodes() {
        let kind = match &node.data {
            NodeData::Netdev(it) => it.kind.as_str(),
            _ => "",
        };
        println!("node {} {kind} seen {}", label(&topology, id), node.seen.len());
    }
    for (from, edge, to) in topology.edges() {
        let kind = edge.kind.as_str();
        let (from, to) = (label(&topology, from), label(&topology, to));
        let words = claims(&topology, &edge.witnesses);
        println!("edge {from} {kind} {to} {:?} [{words}]", edge.confidence);
    }
    for host in topology.host_ids() {
        for (netns, topic, coverage) in topology.coverage.host(host) {
            println!("coverage {} {netns} {topic:?} {coverage:?}", topology.host_name(host));
        }
    }
    for conflict in &topology.conflicts {
        let nodes: Vec<String> =
            conflict.nodes.iter().map(|node| label(&topology, *node)).collect();
        let words = claims(&topology, &conflict.witnesses);
        println!("conflict {:?} {} [{words}]", conflict.kind, nodes.join(", "));
    }
    let (nodes, edges) = (topology.nodes().count(), topology.edges().count());
    println!("{nodes} nodes, {edges} edges, {} conflicts in {took:?}", topology.conflicts.len());
    Ok(())
}

fn label(topology: &Topology<'_>, id: NodeId) -> String {
    let Some(Node { host, netns, name, data, .. }) = topology.node(id) else {
        return String::new();
    };
    let host = host.map_or("", |host| topology.host_name(host));
    let netns = netns.as_ref().map(ToString::to_string).unwrap_or_default();
    format!("{}:{host}/{netns}/{name}", data.kind())
}

fn claims(topology: &Topology<'_>, witnesses: &[Witness]) -> String {
    let words = witnesses.iter().map(|witness| {
        let source = topology.snapshot.source(witness.evidence.source);
        let place = source.map(|source| {
            format!("{}:{}", source.member, source.line_numbers(witness.evidence.span).0)
        });
        format!("{} @ {}", witness.claim, place.unwrap_or_default())
    });
    words.collect::<Vec<_>>().join("; ")
}
