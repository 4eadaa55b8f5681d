//! `tapline graph`.
use std::collections::{BTreeSet, VecDeque};
use std::io::Write as _;

use tapline_topology::{EdgeKind, NodeId, Topology};

use crate::args::{Graph, GraphFormat};
use crate::error::{CliError, Result, Status};
use crate::render::{dot, drawing, graph_json, graph_text, mermaid};
use crate::terminal::{self, Terminal};
use crate::{find, pipeline};

pub(crate) fn run(args: &Graph, terminal: &Terminal) -> Result<Status> {
    let snapshot = pipeline::read(&args.inputs)?;
    let topology = pipeline::topology(&snapshot);
    let chosen = match &args.focus {
        None => topology.nodes().map(|(id, _)| id).collect(),
        Some(name) => around(&topology, &focus(&topology, name)?, args.depth),
    };
    let mut out = terminal::out();
    match args.format {
        GraphFormat::Text => {
            graph_text::render(&mut out, &topology, &chosen, terminal.stdout())?;
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
    // The hosts of the namespaces reached.
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
