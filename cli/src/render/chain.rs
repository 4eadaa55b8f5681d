//! The way from a thing to its VM or namespace and to the wire, as trees.
use std::io::{self, Write};

use tapline_topology::chain::{Chain, Hop};
use tapline_topology::graph::Edge;
use tapline_topology::{EdgeKind, NodeData, NodeId, Topology};

use super::escape::visible;
use super::node::{confidence_mark, facts as facts_of, name};
use super::tree::Tree;
use crate::terminal::{Paint, style};

/// Hops that are drawn in one direction; a bridge may have thousands of ports.
const HOPS: usize = 200;
/// Characters of a file name.
const FILE: usize = 40;

/// Writes the way: one tree where only one thing is above the start, else the tree that grows up
/// and the tree that grows down.
pub(crate) fn render(
    out: &mut impl Write,
    topology: &Topology<'_>,
    chain: &Chain<'_>,
    paint: Paint,
) -> io::Result<()> {
    let mut view = View { topology, paint, start: chain.start, left: HOPS };
    let down = view.hops(&chain.down, chain.start);
    if let Some(way) = only_way(&chain.up) {
        view.hang(&way, down).write(out, "  ")?;
    } else {
        view.left = HOPS;
        let up = view.hops(&chain.up, chain.start);
        let text = view.line(chain.start, None, None);
        let marked = |arrow, words| {
            format!("{text}  {}", paint.of(style::HINT, format_args!("{arrow} {words}")))
        };
        let up = Tree { text: marked("▲", "towards VMs and namespaces"), below: up };
        up.write(out, "  ")?;
        if !down.is_empty() {
            Tree { text: marked("▼", "towards the wire"), below: down }.write(out, "  ")?;
        }
    }
    if chain.cut {
        writeln!(out, "  … the way goes on: too long to follow")?;
    }
    Ok(())
}

/// The hops of a tree that does not branch.
fn only_way<'c, 't>(mut hops: &'c [Hop<'t>]) -> Option<Vec<&'c Hop<'t>>> {
    let mut way = Vec::new();
    loop {
        match hops {
            [] => return Some(way),
            [hop] => {
                way.push(hop);
                hops = &hop.next;
            }
            _ => return None,
        }
    }
}

struct View<'a> {
    topology: &'a Topology<'a>,
    paint: Paint,
    start: NodeId,
    left: usize,
}

impl View<'_> {
    /// A way that leads up, drawn from its far end down to the start and on.
    ///
    /// Each line tells the place that ties it to the line above.
    fn hang(&self, way: &[&Hop<'_>], below: Vec<Tree>) -> Tree {
        // From the start upwards: a node and the edge to the next one above.
        let mut steps: Vec<(NodeId, Option<&Edge>)> = Vec::new();
        let mut node = self.start;
        for hop in way {
            // An interface and its port are drawn as one.
            if !self.same_port(node, hop.node) {
                steps.push((node, Some(hop.edge)));
                node = hop.node;
            }
        }
        steps.push((node, None));
        let above = steps.iter().skip(1).map(|step| Some(step.0)).chain([None]);
        let mut below = below;
        let mut top = Tree::leaf("");
        for ((node, edge), above) in steps.iter().zip(above) {
            top = Tree { text: self.line(*node, above, *edge), below };
            below = Vec::new();
            if above.is_some() {
                below.push(std::mem::replace(&mut top, Tree::leaf("")));
            }
        }
        top
    }

    fn hops(&mut self, hops: &[Hop<'_>], before: NodeId) -> Vec<Tree> {
        let mut trees = Vec::new();
        for (n, hop) in hops.iter().enumerate() {
            if self.left == 0 {
                trees.push(Tree::leaf(format!("… and {} more", hops.len() - n)));
                break;
            }
            // An interface and its port are drawn as one.
            if self.same_port(before, hop.node) {
                trees.extend(self.hops(&hop.next, hop.node));
                continue;
            }
            self.left -= 1;
            let mut text = self.line(hop.node, Some(before), Some(hop.edge));
            if hop.again {
                text.push_str(&format!(" {}", self.paint.of(style::FAINT, "(see above)")));
            }
            let below = self.hops(&hop.next, hop.node);
            trees.push(Tree { text, below });
        }
        trees
    }

    /// Whether these are a port and its only interface, in any order.
    fn same_port(&self, a: NodeId, b: NodeId) -> bool {
        let (Some(a), Some(b)) = (self.topology.node(a), self.topology.node(b)) else {
            return false;
        };
        match (&a.data, &b.data) {
            (NodeData::OvsPort(port), NodeData::OvsInterface(_))
            | (NodeData::OvsInterface(_), NodeData::OvsPort(port)) => {
                port.interfaces <= 1 && a.name == b.name
            }
            _ => false,
        }
    }

    /// One node, how it hangs on the one before, and the place that says so.
    fn line(&self, id: NodeId, before: Option<NodeId>, edge: Option<&Edge>) -> String {
        let topology = self.topology;
        let Some(node) = topology.node(id) else { return String::new() };
        let called = match &node.data {
            NodeData::VmNic(_) => node.name.to_string(),
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
                _ => "",
            };
            if !relation.is_empty() {
                text.push_str(&format!(" ⇄ {relation}"));
            }
            if let Some(place) = self.witness(edge) {
                text.push_str(&format!("  {}", self.paint.of(style::FAINT, visible(&place))));
            }
        }
        text
    }

    fn facts(&self, id: NodeId, before: Option<NodeId>) -> Vec<String> {
        let topology = self.topology;
        let Some(node) = topology.node(id) else { return Vec::new() };
        let mut facts = Vec::new();
        let many = topology.snapshot.captured.hosts.len() > 1;
        let before = before.and_then(|it| topology.node(it));
        if many
            && node.host.is_some()
            && before.is_none_or(|it| it.host != node.host)
            && let Some(host) = node.host.and_then(|it| topology.snapshot.host(it))
        {
            facts.push(format!("on {}", host.label()));
        }
        if let Some(netns) = node.netns.as_ref().filter(|it| !it.is_root())
            && !matches!(node.data, NodeData::Netns(_))
            && before.is_none_or(|it| it.netns.as_ref() != Some(netns))
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
        let witness = edge.witnesses.first()?;
        let source = self.topology.snapshot.source(witness.evidence.source)?;
        let (line, _) = source.line_numbers(witness.evidence.span);
        let whole = if source.member.is_empty() { &source.archive } else { &source.member };
        let file = whole.rsplit('/').next().unwrap_or(whole);
        // Names of captures inside a namespace start with its name, which stands there already.
        let long = file.chars().count().saturating_sub(FILE);
        let cut = if long > 0 { "…" } else { "" };
        let file: String = file.chars().skip(long).collect();
        Some(format!("{cut}{file}:{line}"))
    }
}
