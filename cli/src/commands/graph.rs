//! `tapline graph`.
use std::collections::{BTreeSet, VecDeque};
use std::io::Write as _;

use tapline_analysis::lint;
use tapline_analysis::lint::paths::Marks;
use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_network::path::Paths;
use tapline_topology::{EdgeKind, NodeData, NodeId, Topology};

use crate::args::{Graph, GraphFormat};
use crate::error::{CliError, Result, Status};
use crate::render::{dot, drawing, graph_json, graph_text, mermaid};
use crate::terminal::{self, Terminal};
use crate::{find, pipeline};

pub(crate) fn run(args: &Graph, terminal: &Terminal) -> Result<Status> {
    let snapshot = pipeline::read(&args.inputs)?;
    let topology = pipeline::topology(&snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let chosen = match &args.focus {
        None => topology.nodes().map(|(id, _)| id).collect(),
        Some(name) => {
            let focus = focus(&topology, name)?;
            choose(&network, &focus, args.depth)
        }
    };
    let mut out = terminal::out();
    match args.format {
        GraphFormat::Text => {
            let reach = match args.focus {
                Some(_) => graph_text::Reach::Wire,
                None => graph_text::Reach::Switch,
            };
            let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
            let marks = Marks::new(&network, &report);
            let paint = terminal.stdout();
            graph_text::render(&mut out, &marks, &chosen, reach, paint)?;
        }
        GraphFormat::Dot => dot::render(&mut out, &drawing::draw(&topology, &chosen))?,
        GraphFormat::Mermaid => mermaid::render(&mut out, &drawing::draw(&topology, &chosen))?,
        GraphFormat::Json => graph_json::render(&mut out, &topology, &chosen)?,
    }
    out.flush()?;
    Ok(Status::Clean)
}

fn focus(topology: &Topology<'_>, name: &str) -> Result<Vec<NodeId>> {
    let found = find::find(topology, name);
    if !found.is_empty() {
        return Ok(found);
    }
    let error = CliError::new(format!("nothing is called `{name}`"));
    let near = find::near(topology, name, 3);
    Err(match near.as_slice() {
        [] => error.hint("`tapline graph` without --focus draws everything"),
        near => error.hint(format!("did you mean {}?", near.join(", "))),
    })
}

/// What is drawn of the things in focus: their paths, what is near to them, and where that is.
pub(crate) fn choose(network: &Network<'_>, focus: &[NodeId], depth: u32) -> BTreeSet<NodeId> {
    let mut chosen = on_paths(network, focus);
    chosen.extend(around(network.topology, focus, depth));
    with_places(network.topology, chosen)
}

/// The nodes on the paths of what is in focus, to the wire and to what hangs on it; an interface
/// of OVS comes with its port.
fn on_paths(network: &Network<'_>, start: &[NodeId]) -> BTreeSet<NodeId> {
    let mut finder = Paths::new(network);
    let mut all = BTreeSet::new();
    for &node in start {
        // A whole host is no end of a path.
        if matches!(network.topology.node(node).map(|node| &node.data), Some(NodeData::Host(_))) {
            continue;
        }
        all.insert(node);
        all.extend(finder.down(node).nodes());
        all.extend(finder.up(node).nodes());
    }
    all
}

/// Nodes at most `depth` edges away. Hosts and namespaces are reached but not passed: everything
/// is near to everything else through them.
fn around(topology: &Topology<'_>, start: &[NodeId], depth: u32) -> BTreeSet<NodeId> {
    let mut reached: BTreeSet<NodeId> = start.iter().copied().collect();
    let mut queue: VecDeque<(NodeId, u32)> = start.iter().map(|&id| (id, 0)).collect();
    while let Some((id, far)) = queue.pop_front() {
        for (next, edge, starts_here) in topology.neighbours(id) {
            let place = matches!(edge.kind, EdgeKind::OnHost | EdgeKind::InNamespace);
            // Into a host or a namespace: part of the picture, at no cost. Out of one: only where
            // it is itself in focus.
            if place && starts_here {
                reached.insert(next);
                continue;
            }
            if far < depth && (!place || far == 0) && reached.insert(next) {
                queue.push_back((next, far + 1));
            }
        }
    }
    reached
}

/// The same with the namespaces and hosts that they are in.
fn with_places(topology: &Topology<'_>, mut reached: BTreeSet<NodeId>) -> BTreeSet<NodeId> {
    let places: Vec<NodeId> = reached.iter().copied().collect();
    for id in places {
        reached.extend(topology.out(id, EdgeKind::InNamespace).into_iter().map(|(it, _)| it));
    }
    let places: Vec<NodeId> = reached.iter().copied().collect();
    for id in places {
        reached.extend(topology.out(id, EdgeKind::OnHost).into_iter().map(|(it, _)| it));
    }
    reached
}
