//! The hops of a path as trees: one drawing for `show` and `graph`, which differ in how they word a
//! line. Where frames stop, a cross says why.
use tapline_analysis::lint::paths::{Cross, Marks, subject_of};
use tapline_network::l2::Block;
use tapline_network::path::Hop;
use tapline_network::{Answer, Network};
use tapline_topology::{NodeData, NodeId};

use super::escape::visible;
use super::tree::Tree;
use crate::terminal::{Paint, style};

/// Words the line of a hop: the hop, and the node before it.
pub(crate) type Wording<'w> = &'w dyn Fn(&Hop<'_>, NodeId) -> String;

/// Draws hops.
pub(crate) struct Hops<'v, 'a, 'r> {
    pub(crate) marks: &'v Marks<'v, 'a, 'r>,
    pub(crate) paint: Paint,
    /// The words of a line, without its cross.
    pub(crate) wording: Wording<'v>,
    /// Hops that pass frames, or of which that is not known, are marked too.
    pub(crate) all_marks: bool,
    /// Nothing is drawn behind a switch.
    pub(crate) to_switch: bool,
    /// So many hops may still be drawn.
    pub(crate) left: usize,
}

/// What stops the frames of the start alone, and where.
struct Lack {
    node: NodeId,
    words: String,
    /// The hop itself stops them; else what would lead on is not there.
    at_hop: bool,
}

impl Hops<'_, '_, '_> {
    /// The paths down from a node, with what is missing on them.
    pub(crate) fn below(&mut self, start: NodeId, hops: &[Hop<'_>]) -> Vec<Tree> {
        let behind = self.is_switch(start);
        let missing = self.marks.missing(start).map(|missing| {
            let subject = subject_of(self.marks.network().topology, missing.finding, start);
            let words = format!("✗ {} {}", missing.finding.rule.code, subject.name);
            let words = self.paint.of(style::ERROR, visible(&words)).to_string();
            Lack { node: missing.node, words, at_hop: missing.at_hop }
        });
        let mut trees = self.draw(hops, start, behind, missing.as_ref());
        trees.extend(missing.filter(|lack| lack.node == start).map(|lack| Tree::leaf(lack.words)));
        trees
    }

    /// `behind` is the side of the switch that the hops are on.
    fn draw(
        &mut self,
        hops: &[Hop<'_>],
        before: NodeId,
        behind: bool,
        missing: Option<&Lack>,
    ) -> Vec<Tree> {
        let mut trees = Vec::new();
        for (n, hop) in hops.iter().enumerate() {
            if self.left == 0 {
                trees.push(Tree::leaf(format!("… and {} more", hops.len() - n)));
                break;
            }
            // An interface and its port are drawn as one.
            if same_port(self.marks.network(), before, hop.node) {
                trees.extend(self.draw(&hop.next, hop.node, behind, missing));
                continue;
            }
            self.left -= 1;
            let mut text = (self.wording)(hop, before);
            let lack = missing.filter(|lack| lack.node == hop.node);
            let cross = match lack.filter(|lack| lack.at_hop) {
                Some(lack) => format!(" {}", lack.words),
                None => self.cross(hop, behind),
            };
            if cross.is_empty() && self.all_marks {
                text.push_str(&state(self.marks.network(), hop.node, &hop.passes, self.paint));
            }
            text.push_str(&cross);
            if hop.again {
                text.push_str(&format!(" {}", self.paint.of(style::FAINT, "(see above)")));
            }
            let is_switch = self.is_switch(hop.node);
            let mut below = if is_switch && self.to_switch {
                Vec::new()
            } else {
                self.draw(&hop.next, hop.node, behind || is_switch, missing)
            };
            let not_there = lack.filter(|lack| !lack.at_hop);
            below.extend(not_there.map(|lack| Tree::leaf(lack.words.clone())));
            trees.push(Tree { text, below });
        }
        trees
    }

    /// ` ✗ TUN-001`, or why the hop passes nothing; empty where it does, or may.
    fn cross(&self, hop: &Hop<'_>, behind: bool) -> String {
        // What is wrong with the port is said at the interface that is drawn for both.
        let port =
            hop.next.iter().find(|next| same_port(self.marks.network(), hop.node, next.node));
        let found = self.marks.at(hop, behind);
        let of_port = || self.marks.at(port?, behind);
        let cross = match found {
            Some(Cross::Finding(_)) => found,
            // A finding about the port says more than a state of the interface.
            _ => of_port()
                .filter(|cross| matches!(cross, Cross::Finding(_)))
                .or(found)
                .or_else(of_port),
        };
        cross.map_or(String::new(), |cross| crossed(&cross, self.paint))
    }

    fn is_switch(&self, node: NodeId) -> bool {
        self.marks.network().ovs_bridge(node).is_some()
    }
}

/// The cross of the thing that a path starts from.
pub(crate) fn cross_of_start(marks: &Marks<'_, '_, '_>, start: NodeId, paint: Paint) -> String {
    marks.at_start(start).map_or(String::new(), |cross| crossed(&cross, paint))
}

/// ` ✓` where frames pass, ` ?` where that is not known; empty where they do not, which a cross says,
/// and for what was not captured from within, or is but a place: guests, hosts, namespaces.
pub(crate) fn state(
    network: &Network<'_>,
    node: NodeId,
    passes: &Answer<Option<Block>>,
    paint: Paint,
) -> String {
    let has_state = matches!(
        network.topology.node(node).map(|node| &node.data),
        Some(
            NodeData::Netdev(_)
                | NodeData::OvsBridge(_)
                | NodeData::OvsPort(_)
                | NodeData::OvsInterface(_)
                | NodeData::TunnelEndpoint(_)
        )
    );
    match passes {
        _ if !has_state => String::new(),
        Answer::Known(None) => format!(" {}", paint.of(style::GOOD, "✓")),
        Answer::Known(Some(_)) => String::new(),
        Answer::Unknown(_) => format!(" {}", paint.of(style::FAINT, "?")),
    }
}

/// The words of a cross, behind a space.
pub(crate) fn crossed(cross: &Cross<'_>, paint: Paint) -> String {
    let why = match cross {
        Cross::Finding(finding) => finding.rule.code.to_string(),
        Cross::Block(block) => block.why.to_string(),
    };
    format!(" {}", paint.of(style::ERROR, visible(&format!("✗ {why}"))))
}

/// Whether these are a port and its only interface, in any order.
pub(crate) fn same_port(network: &Network<'_>, a: NodeId, b: NodeId) -> bool {
    let topology = network.topology;
    let (Some(a), Some(b)) = (topology.node(a), topology.node(b)) else {
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
