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
use crate::picture::{self, Wanted};
use crate::render::places::Places;
use crate::render::{dot, graph_json, graph_text, mermaid, picture_svg};
use crate::terminal::Terminal;
use crate::{find, pipeline};

pub(crate) fn run(args: &Graph, terminal: &Terminal) -> Result<Status> {
    let (snapshot, anonymous) = pipeline::read_with_words(&args.inputs, terminal)?;
    let topology = pipeline::topology(&snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let (focus, chosen) = match &args.focus {
        None => (Vec::new(), Chosen::all(&topology)),
        Some(name) => {
            let focus = focus(&topology, &anonymous.word(name))?;
            let chosen = choose(&network, &focus, args.depth);
            (focus, chosen)
        }
    };
    let picture = || {
        let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
        let wanted = Wanted {
            nodes: chosen.starts.is_some().then_some(&chosen.nodes),
            focus: &focus,
            unused: args.unused,
            told: None,
        };
        picture::draw(&network, &report, &Places::new(&snapshot, terminal), &wanted)
    };
    let mut out = terminal.out();
    match args.format {
        GraphFormat::Text => {
            let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
            let marks = Marks::new(&network, &report);
            let paint = terminal.stdout();
            graph_text::render(&mut out, &marks, &chosen, paint)?;
        }
        GraphFormat::Svg => picture_svg::render(&mut out, &picture())?,
        GraphFormat::Dot => dot::render(&mut out, &picture())?,
        GraphFormat::Mermaid => mermaid::render(&mut out, &picture())?,
        GraphFormat::Json => graph_json::render(&mut out, &topology, &chosen.nodes)?,
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

/// What is drawn.
pub(crate) struct Chosen {
    /// The nodes.
    pub(crate) nodes: BTreeSet<NodeId>,
    /// Those whose own paths are drawn to the wire; without a focus all paths are, to the switch.
    pub(crate) starts: Option<BTreeSet<NodeId>>,
}

impl Chosen {
    fn all(topology: &Topology<'_>) -> Self {
        Self { nodes: topology.nodes().map(|(id, _)| id).collect(), starts: None }
    }
}

/// What is drawn of the things in focus: their paths, what is near to them, and where that is.
pub(crate) fn choose(network: &Network<'_>, focus: &[NodeId], depth: u32) -> Chosen {
    let mut chosen = on_paths(network, focus);
    chosen.nodes.extend(around(network.topology, focus, depth));
    chosen.nodes = with_places(network.topology, chosen.nodes);
    chosen
}

/// The nodes on the paths of what is in focus, to the wire and to what hangs on it; an interface
/// of OVS comes with its port. Paths start from what hangs on the focus, and from what it holds: the
/// NICs of a VM, the devices of a namespace or of a host.
fn on_paths(network: &Network<'_>, focus: &[NodeId]) -> Chosen {
    let mut finder = Paths::new(network);
    let (mut nodes, mut starts) = (BTreeSet::new(), BTreeSet::new());
    for &node in focus {
        match network.topology.node(node).map(|node| &node.data) {
            // A whole host is no end of a path.
            Some(NodeData::Host(_)) => {
                let held = network.topology.into(node, EdgeKind::OnHost);
                starts.extend(held.into_iter().map(|(id, _)| id));
                continue;
            }
            Some(NodeData::Netns(_)) => {
                let held = network.topology.into(node, EdgeKind::InNamespace);
                starts.extend(held.into_iter().map(|(id, _)| id));
            }
            Some(NodeData::Vm(_)) => {
                let held = network.topology.into(node, EdgeKind::NicOf);
                starts.extend(held.into_iter().map(|(id, _)| id));
            }
            _ => {}
        }
        let above = finder.up(node).nodes();
        starts.insert(node);
        starts.extend(&above);
        nodes.insert(node);
        nodes.extend(finder.down(node).nodes());
        nodes.extend(above);
    }
    Chosen { nodes, starts: Some(starts) }
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
