//! The paths from a thing to its VMs or namespaces and to the wire, as trees.
use std::io::{self, Write};

use tapline_analysis::lint::paths::{Marks, is_port_of_namespace};
use tapline_core::span::Evidence;
use tapline_network::Network;
use tapline_network::path::{Hop, Link, Path, Paths};
use tapline_topology::graph::Edge;
use tapline_topology::{EdgeKind, NodeData, NodeId};

use super::escape::visible;
use super::hops::{self, Hops, cross_of_start, crossed, same_port};
use super::node::{confidence_mark, facts as facts_of, name};
use super::places::Places;
use super::tree::Tree;
use crate::terminal::{Paint, style};

/// Hops that are drawn in one direction; a bridge may have thousands of ports.
const HOPS: usize = 200;
/// Characters of a file name.
const FILE: usize = 40;

/// The paths of one thing in both directions.
pub(crate) struct Both<'t> {
    /// Where both start.
    pub(crate) start: NodeId,
    /// Towards VMs and namespaces.
    pub(crate) up: Path<'t>,
    /// Towards the wire.
    pub(crate) down: Path<'t>,
    /// Where one end alone hangs on the start, its own path to the wire, if that leads over the start
    /// to all that lies below it.
    pub(crate) whole: Option<(NodeId, Path<'t>)>,
}

impl<'t> Both<'t> {
    /// Finds the paths of a thing.
    pub(crate) fn of(finder: &mut Paths<'t, '_>, network: &Network<'_>, start: NodeId) -> Self {
        let up = finder.up(start);
        let is_end =
            |node: &NodeId| network.vm_nic(*node).is_some() || is_port_of_namespace(network, *node);
        let end = only_path(&up.hops)
            .and_then(|above| above.iter().map(|hop| hop.node).find(is_end))
            .filter(|_| !is_end(&start));
        // Where one end alone hangs on it, the frames are those of that end.
        let down = match end {
            Some(end) => finder.down_for(start, end),
            None => finder.down(start),
        };
        let whole = end.map(|end| (end, finder.down(end))).filter(|(_, whole)| {
            let nodes = whole.nodes();
            nodes.contains(&start) && nodes.is_superset(&down.nodes())
        });
        Self { start, up, down, whole }
    }
}

/// Writes the paths: one tree where only one thing is above the start, else the tree that grows up
/// and the tree that grows down.
pub(crate) fn render(
    out: &mut impl Write,
    paths: &Both<'_>,
    marks: &Marks<'_, '_, '_>,
    places: &Places,
    paint: Paint,
) -> io::Result<()> {
    let view = View { network: marks.network(), marks, places, paint, start: paths.start };
    let wording = |hop: &Hop<'_>, before| view.line(hop.node, Some(before), Some(hop.link));
    let draw = |start, hops| {
        let left = HOPS;
        let mut all =
            Hops { marks, paint, wording: &wording, all_marks: true, to_switch: false, left };
        all.below(start, hops)
    };
    let above = only_path(&paths.up.hops);
    if let (Some(above), Some((end, whole))) = (&above, &paths.whole) {
        let beyond = above.iter().skip_while(|hop| hop.node != *end).skip(1);
        let beyond: Vec<&Hop<'_>> = beyond.copied().collect();
        view.hang(*end, &beyond, draw(*end, &whole.hops)).write(out, "  ")?;
    } else if let Some(above) = above {
        let down = draw(paths.start, &paths.down.hops);
        view.hang(paths.start, &above, down).write(out, "  ")?;
    } else {
        let down = draw(paths.start, &paths.down.hops);
        let up = draw(paths.start, &paths.up.hops);
        let text = view.start();
        let marked = |arrow, words| {
            format!("{text}  {}", paint.of(style::HINT, format_args!("{arrow} {words}")))
        };
        let up = Tree { text: marked("▲", "towards VMs and namespaces"), below: up };
        up.write(out, "  ")?;
        if !down.is_empty() {
            Tree { text: marked("▼", "towards the wire"), below: down }.write(out, "  ")?;
        }
    }
    if paths.up.cut || paths.down.cut {
        writeln!(out, "  … the path goes on: too long to follow")?;
    }
    Ok(())
}

/// The hops of a tree that does not branch.
fn only_path<'c, 't>(mut hops: &'c [Hop<'t>]) -> Option<Vec<&'c Hop<'t>>> {
    let mut path = Vec::new();
    loop {
        match hops {
            [] => return Some(path),
            [hop] => {
                path.push(hop);
                hops = &hop.next;
            }
            _ => return None,
        }
    }
}

struct View<'v, 'a, 'r> {
    network: &'v Network<'a>,
    marks: &'v Marks<'v, 'a, 'r>,
    places: &'v Places,
    paint: Paint,
    start: NodeId,
}

impl View<'_, '_, '_> {
    /// The line of the start where something hangs on both sides.
    fn start(&self) -> String {
        self.line(self.start, None, None) + &cross_of_start(self.marks, self.start, self.paint)
    }

    /// A path that leads up from a node, drawn from its far end down to the node and on.
    ///
    /// Each line names the place that ties it to the line above.
    fn hang(&self, from: NodeId, path: &[&Hop<'_>], below: Vec<Tree>) -> Tree {
        // From the start upwards: a node, its hop, and what ties it to the next one above.
        let mut steps: Vec<(NodeId, Option<&Hop<'_>>, Option<Link<'_>>)> = Vec::new();
        let (mut node, mut at) = (from, None);
        for &hop in path {
            // An interface and its port are drawn as one.
            if !same_port(self.network, node, hop.node) {
                steps.push((node, at, Some(hop.link)));
                (node, at) = (hop.node, Some(hop));
            }
        }
        steps.push((node, at, None));
        let above = steps.iter().skip(1).map(|step| Some(step.0)).chain([None]);
        let mut below = below;
        let mut top = Tree::leaf("");
        // Hops between a switch and the start are behind it, seen from the VM.
        let is_switch = |node| self.network.ovs_bridge(node).is_some();
        let mut behind = steps.iter().any(|step| is_switch(step.0));
        for ((node, hop, link), above) in steps.iter().zip(above) {
            behind &= !is_switch(*node);
            let text = self.line(*node, above, *link) + &self.cross_of(*node, *hop, behind);
            top = Tree { text, below };
            below = Vec::new();
            if above.is_some() {
                below.push(std::mem::replace(&mut top, Tree::leaf("")));
            }
        }
        top
    }

    /// The cross of a node that is above the start, or the start.
    fn cross_of(&self, node: NodeId, hop: Option<&Hop<'_>>, behind: bool) -> String {
        let cross = match hop {
            Some(hop) => self.marks.at(hop, behind),
            None => self.marks.at_start(node),
        };
        let of_start = || self.network.forwarding(node);
        let passes = hop.map_or_else(of_start, |hop| hop.passes.clone());
        let state = || hops::state(self.network, node, &passes, self.paint);
        cross.map_or_else(state, |cross| crossed(&cross, self.paint))
    }

    /// One node, how it hangs on the one before, and the place that says so.
    fn line(&self, id: NodeId, before: Option<NodeId>, link: Option<Link<'_>>) -> String {
        let edge = match link {
            Some(Link::Edge(edge)) => Some(edge),
            _ => None,
        };
        let topology = self.network.topology;
        let Some(node) = topology.node(id) else { return String::new() };
        let called = match &node.data {
            NodeData::Netns(_) => node.name.to_string(),
            _ => name(topology, id),
        };
        let called = visible(&called).into_owned();
        let shown = if id == self.start { style::STRONG } else { style::CODE };
        let mut text = String::new();
        if let Some(edge) = edge {
            let mark = confidence_mark(edge.confidence);
            if !mark.is_empty() {
                text.push_str(&format!("{} ", self.paint.of(style::WARNING, mark)));
            }
        }
        text.push_str(&self.paint.of(shown, &called).to_string());
        let facts = self.facts(id, before);
        text.push_str(&format!(" ({})", visible(&facts.join(", "))));
        if let Some(edge) = edge {
            let relation = match edge.kind {
                EdgeKind::VethPeer => "veth pair",
                EdgeKind::PatchPeer => "patch",
                EdgeKind::FunctionOf => "virtual function",
                _ => "",
            };
            if !relation.is_empty() {
                text.push_str(&format!(" ⇄ {relation}"));
            }
            if let Some(place) = self.witness(edge) {
                text.push_str(&format!("  {}", self.paint.of(style::FAINT, place)));
            }
        }
        if let Some(Link::Sends { source, evidence }) = link {
            text.push_str(" sends the tunnel's packets");
            if let Some(source) = source {
                text.push_str(&format!(" from {source}"));
            }
            if let Some(place) = evidence.and_then(|evidence| self.place(evidence)) {
                text.push_str(&format!("  {}", self.paint.of(style::FAINT, place)));
            }
        }
        text
    }

    fn facts(&self, id: NodeId, before: Option<NodeId>) -> Vec<String> {
        let topology = self.network.topology;
        let Some(node) = topology.node(id) else { return Vec::new() };
        let mut facts = Vec::new();
        let many = topology.snapshot.captured.hosts.len() > 1;
        let before = before.and_then(|before| topology.node(before));
        if many
            && node.host.is_some()
            && before.is_none_or(|before| before.host != node.host)
            && let Some(host) = node.host.and_then(|host| topology.snapshot.host(host))
        {
            facts.push(format!("on {}", host.label()));
        }
        if let Some(netns) = node.netns.as_ref().filter(|netns| !netns.is_root())
            && !matches!(node.data, NodeData::Netns(_))
            && before.is_none_or(|before| before.netns.as_ref() != Some(netns))
        {
            facts.push(format!("in {netns}"));
        }
        let mut all = facts_of(topology, id);
        // What it is, where it is, what else is known of it.
        all.splice(1.min(all.len())..1.min(all.len()), facts);
        all
    }

    /// The strongest witness of an edge: what it says and in which file.
    fn witness(&self, edge: &Edge) -> Option<String> {
        self.place(edge.witnesses.first()?.evidence)
    }

    /// The file and line of a piece of evidence, harmless and as a link.
    fn place(&self, evidence: Evidence) -> Option<String> {
        let source = self.network.topology.snapshot.source(evidence.source)?;
        let (line, _) = source.line_numbers(evidence.span);
        let whole = if source.member.is_empty() { &source.archive } else { &source.member };
        let file = whole.rsplit('/').next().unwrap_or(whole);
        // Names of captures inside a namespace start with its name, which stands there already.
        let long = file.chars().count().saturating_sub(FILE);
        let cut = if long > 0 { "…" } else { "" };
        let file: String = file.chars().skip(long).collect();
        let shown = format!("{cut}{file}:{line}");
        Some(self.places.link(&source.archive, &source.member, &visible(&shown)))
    }
}
