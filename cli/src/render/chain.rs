//! The paths from a thing to its VMs or namespaces and to the wire, as trees.
use std::io::{self, Write};

use tapline_analysis::lint::paths::Marks;
use tapline_core::span::Evidence;
use tapline_network::path::{Hop, Link, Path};
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

/// The paths of one thing in both directions.
pub(crate) struct Both<'t> {
    /// Where both start.
    pub(crate) start: NodeId,
    /// Towards VMs and namespaces.
    pub(crate) up: Path<'t>,
    /// Towards the wire.
    pub(crate) down: Path<'t>,
}

/// Writes the paths: one tree where only one thing is above the start, else the tree that grows up
/// and the tree that grows down.
pub(crate) fn render(
    out: &mut impl Write,
    topology: &Topology<'_>,
    paths: &Both<'_>,
    marks: &Marks<'_>,
    paint: Paint,
) -> io::Result<()> {
    let mut view = View { topology, marks, paint, start: paths.start, left: HOPS };
    let behind = view.is_switch(paths.start);
    let down = view.hops(&paths.down.hops, paths.start, behind);
    if let Some(above) = only_path(&paths.up.hops) {
        view.hang(&above, down).write(out, "  ")?;
    } else {
        view.left = HOPS;
        let up = view.hops(&paths.up.hops, paths.start, behind);
        let text = view.line(paths.start, None, None, behind);
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

struct View<'a> {
    topology: &'a Topology<'a>,
    marks: &'a Marks<'a>,
    paint: Paint,
    start: NodeId,
    left: usize,
}

impl View<'_> {
    /// A path that leads up, drawn from its far end down to the start and on.
    ///
    /// Each line names the place that ties it to the line above.
    fn hang(&self, path: &[&Hop<'_>], below: Vec<Tree>) -> Tree {
        // From the start upwards: a node and what ties it to the next one above.
        let mut steps: Vec<(NodeId, Option<Link<'_>>)> = Vec::new();
        let mut node = self.start;
        for hop in path {
            // An interface and its port are drawn as one.
            if !self.same_port(node, hop.node) {
                steps.push((node, Some(hop.link)));
                node = hop.node;
            }
        }
        steps.push((node, None));
        let above = steps.iter().skip(1).map(|step| Some(step.0)).chain([None]);
        let mut below = below;
        let mut top = Tree::leaf("");
        // Hops between a switch and the start are behind it, seen from the VM.
        let mut behind = steps.iter().any(|step| self.is_switch(step.0));
        for ((node, link), above) in steps.iter().zip(above) {
            behind &= !self.is_switch(*node);
            top = Tree { text: self.line(*node, above, *link, behind), below };
            below = Vec::new();
            if above.is_some() {
                below.push(std::mem::replace(&mut top, Tree::leaf("")));
            }
        }
        top
    }

    fn hops(&mut self, hops: &[Hop<'_>], before: NodeId, behind: bool) -> Vec<Tree> {
        let mut trees = Vec::new();
        for (n, hop) in hops.iter().enumerate() {
            if self.left == 0 {
                trees.push(Tree::leaf(format!("… and {} more", hops.len() - n)));
                break;
            }
            // An interface and its port are drawn as one.
            if self.same_port(before, hop.node) {
                trees.extend(self.hops(&hop.next, hop.node, behind));
                continue;
            }
            self.left -= 1;
            let mut text = self.line(hop.node, Some(before), Some(hop.link), behind);
            let unmarked = self.marks.at(hop.node, behind).is_none();
            // What is wrong with the port is said at the interface that is drawn for both.
            let port = hop.next.iter().find(|next| self.same_port(hop.node, next.node));
            let of_port = port.and_then(|port| self.marks.at(port.node, behind));
            let block = hop.block().or_else(|| port.and_then(Hop::block));
            let cross = match (of_port, block) {
                _ if !unmarked => None,
                (Some(finding), _) => Some(format!("✗ {}", finding.rule.code)),
                (None, Some(block)) => Some(format!("✗ {}", block.why)),
                (None, None) => None,
            };
            if let Some(cross) = cross {
                text.push_str(&format!(" {}", self.paint.of(style::ERROR, visible(&cross))));
            }
            if hop.again {
                text.push_str(&format!(" {}", self.paint.of(style::FAINT, "(see above)")));
            }
            let behind = behind || self.is_switch(hop.node);
            let below = self.hops(&hop.next, hop.node, behind);
            trees.push(Tree { text, below });
        }
        trees
    }

    fn is_switch(&self, node: NodeId) -> bool {
        matches!(self.topology.node(node).map(|node| &node.data), Some(NodeData::OvsBridge(_)))
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
    fn line(
        &self,
        id: NodeId,
        before: Option<NodeId>,
        link: Option<Link<'_>>,
        behind: bool,
    ) -> String {
        let edge = match link {
            Some(Link::Edge(edge)) => Some(edge),
            _ => None,
        };
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
        if let Some(Link::Sends { source, evidence }) = link {
            text.push_str(" sends the tunnel's packets");
            if let Some(source) = source {
                text.push_str(&format!(" from {source}"));
            }
            if let Some(place) = evidence.and_then(|evidence| self.place(evidence)) {
                text.push_str(&format!("  {}", self.paint.of(style::FAINT, visible(&place))));
            }
        }
        if let Some(finding) = self.marks.at(id, behind) {
            let mark = format!("✗ {}", finding.rule.code);
            text.push_str(&format!(" {}", self.paint.of(style::ERROR, mark)));
        }
        text
    }

    fn facts(&self, id: NodeId, before: Option<NodeId>) -> Vec<String> {
        let topology = self.topology;
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

    /// The file and line of a piece of evidence.
    fn place(&self, evidence: Evidence) -> Option<String> {
        let source = self.topology.snapshot.source(evidence.source)?;
        let (line, _) = source.line_numbers(evidence.span);
        let whole = if source.member.is_empty() { &source.archive } else { &source.member };
        let file = whole.rsplit('/').next().unwrap_or(whole);
        // Names of captures inside a namespace start with its name, which stands there already.
        let long = file.chars().count().saturating_sub(FILE);
        let cut = if long > 0 { "…" } else { "" };
        let file: String = file.chars().skip(long).collect();
        Some(format!("{cut}{file}:{line}"))
    }
}
