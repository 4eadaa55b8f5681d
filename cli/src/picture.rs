//! The picture of a topology: boxes with rows, on hosts, and wires between them.
//!
//! It is made once and drawn as SVG, DOT and Mermaid, so all three show the same. A bridge is a box
//! whose rows are its ports, a VM one whose rows are its NICs, a namespace one whose rows are its
//! devices; what stands in no such thing is a box of its own. Things alike are folded into one,
//! which says how many it stands for; what nothing uses is left out, and counted.
mod compared;
mod draft;
mod faces;
mod fold;
mod homes;
mod marks;
mod orient;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use tapline_analysis::lint::{Report, Severity};
use tapline_network::Network;
use tapline_topology::graph::Confidence;
use tapline_topology::{EdgeKind, NodeId, Topology};

use crate::render::picture_svg;
use crate::render::places::Places;

/// What is drawn.
#[derive(Debug, Default)]
pub(crate) struct Picture {
    /// The captured hosts, each once.
    pub(crate) hosts: Vec<Frame>,
    /// The boxes, in the order of the topology.
    pub(crate) cards: Vec<Card>,
    /// The lines between boxes and rows.
    pub(crate) wires: Vec<Wire>,
    /// Things that nothing uses, and that are not drawn.
    pub(crate) unused: usize,
    /// Each host is one box: there are too many things to draw them.
    pub(crate) hosts_only: bool,
}

impl Picture {
    /// Whether it shows two captures.
    pub(crate) fn is_compared(&self) -> bool {
        self.cards.iter().any(|card| card.face.fate.is_some())
    }
}

/// A captured host.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Its name.
    pub(crate) label: String,
    /// What was found on it: so many errors, warnings and remarks.
    pub(crate) found: [usize; 3],
}

/// What a box is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    Vm,
    Netns,
    Bridge,
    Switch,
    /// A bond or team.
    Bond,
    /// A NIC: the wire begins here.
    Nic,
    Device,
    /// A host that was not captured.
    Remote,
    /// A captured host, where each is one box.
    Host,
}

impl Kind {
    /// A word for classes in drawings.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Vm => "vm",
            Self::Netns => "netns",
            Self::Bridge => "bridge",
            Self::Switch => "switch",
            Self::Bond => "bond",
            Self::Nic => "nic",
            Self::Device => "device",
            Self::Remote => "remote",
            Self::Host => "host",
        }
    }
}

/// Whether a thing can be used.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum State {
    /// It has no state, or is up.
    Fine,
    /// It is switched off, or has no link.
    Down,
    /// Nothing captured tells.
    Unknown,
}

/// What became of a thing between two captures, from the least to the most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Fate {
    Same,
    Changed,
    Moved,
    Added,
    Removed,
}

impl Fate {
    /// A word for classes in drawings.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Changed => "changed",
            Self::Moved => "moved",
            Self::Added => "added",
            Self::Removed => "removed",
        }
    }

    /// The sign before a name, as `diff` has it.
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Self::Same => "",
            Self::Changed => "~ ",
            Self::Moved => "> ",
            Self::Added => "+ ",
            Self::Removed => "- ",
        }
    }
}

/// What became of a node, and in words.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) fate: Fate,
    pub(crate) words: Vec<String>,
}

/// What is wrong with a thing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Mark {
    /// How bad.
    pub(crate) severity: Severity,
    /// The rule's code.
    pub(crate) code: String,
}

/// What boxes and rows have in common. Texts are harmless for terminals and not yet escaped for the
/// form.
#[derive(Debug)]
pub(crate) struct Face {
    /// Its name, or how many it stands for.
    pub(crate) title: String,
    /// What people ask for first.
    pub(crate) facts: Vec<String>,
    /// How many things it stands for.
    pub(crate) count: usize,
    pub(crate) state: State,
    /// What became of it, where two captures are compared.
    pub(crate) fate: Option<Fate>,
    /// The worst first, each code once.
    pub(crate) marks: Vec<Mark>,
    /// How sure it is that it belongs where it is drawn.
    pub(crate) confidence: Confidence,
    /// It is what was asked for.
    pub(crate) focus: bool,
    /// More of it, with places: what a pointer over it shows.
    pub(crate) hover: Vec<String>,
    /// The things that it stands for.
    pub(crate) members: Vec<Member>,
    /// What was found there, as places in the report.
    pub(crate) findings: Vec<usize>,
}

/// A thing that is drawn, by itself or as one of several.
#[derive(Debug)]
pub(crate) struct Member {
    /// Its name, harmless for terminals.
    pub(crate) name: String,
    /// Its nodes, the one that it is named after first.
    pub(crate) nodes: Vec<NodeId>,
}

/// A box.
#[derive(Debug)]
pub(crate) struct Card {
    /// Place in [`Picture::hosts`]; `None` for what is on no captured host.
    pub(crate) host: Option<usize>,
    pub(crate) kind: Kind,
    pub(crate) face: Face,
    pub(crate) rows: Vec<Row>,
}

/// On which side of its box a row stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Column {
    /// Towards guests.
    Guests,
    /// Towards the wire.
    Wire,
}

/// A row of a box.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) column: Column,
    /// It is a NIC: the wire begins here.
    pub(crate) nic: bool,
    pub(crate) face: Face,
}

/// A box, or a row of one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Spot {
    pub(crate) card: usize,
    pub(crate) row: Option<usize>,
}

/// What a line is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Tie {
    /// A relation of the topology.
    Edge(EdgeKind),
    /// Packets of a tunnel are sent by this device.
    Sends,
}

impl Tie {
    /// What is written at the line.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Edge(EdgeKind::PatchPeer) => "patch",
            Self::Edge(EdgeKind::Tunnel) => "tunnel",
            Self::Edge(EdgeKind::StackedOn) => "on",
            Self::Edge(EdgeKind::FunctionOf) => "virtual function",
            Self::Sends => "sent by",
            Self::Edge(_) => "",
        }
    }

    /// Both ends are equal.
    pub(crate) fn is_symmetric(self) -> bool {
        matches!(self, Self::Edge(EdgeKind::VethPeer | EdgeKind::PatchPeer | EdgeKind::Tunnel))
    }
}

/// A line. It leads towards the wire where that is known.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) from: Spot,
    pub(crate) to: Spot,
    pub(crate) tie: Tie,
    /// How many lines it stands for.
    pub(crate) count: usize,
    /// The least sure of them.
    pub(crate) confidence: Confidence,
    pub(crate) marks: Vec<Mark>,
    pub(crate) hover: Vec<String>,
    /// What became of it, where two captures are compared.
    pub(crate) fate: Option<Fate>,
}

/// What to draw.
pub(crate) struct Wanted<'w> {
    /// Only these, and where they are; everything where it is `None`.
    pub(crate) nodes: Option<&'w BTreeSet<NodeId>>,
    /// What was asked for.
    pub(crate) focus: &'w [NodeId],
    /// What nothing uses is drawn as well.
    pub(crate) unused: bool,
    /// What became of nodes, where two captures are compared: what is not among them is the same.
    pub(crate) told: Option<&'w BTreeMap<NodeId, Told>>,
}

/// What people ask for first of what is drawn at one place.
pub(crate) fn facts(topology: &Topology<'_>, nodes: &[NodeId]) -> Vec<String> {
    words::facts(topology, nodes, None)
}

pub(crate) use compared::draw as draw_compared;

/// Draws.
pub(crate) fn draw(
    network: &Network<'_>,
    report: &Report,
    places: &Places,
    wanted: &Wanted<'_>,
) -> Picture {
    let mut draft = draft::Draft::new(network, wanted);
    let found = marks::Found::of(report, &draft);
    let unused = if wanted.unused { 0 } else { draft.leave_out_unused(network, &found) };
    let all_hosts = wanted.nodes.is_none();
    let page = |folds: &fold::Folds, whatever: bool| {
        let picture = faces::finish(report, places, &draft, &found, folds, all_hosts);
        (whatever || picture_svg::fits(&picture)).then_some(picture)
    };
    let picture = fold::fold(&draft, &found, page).unwrap_or_default();
    Picture { unused, ..picture }
}
