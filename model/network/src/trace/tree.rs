//! The ways of a packet as a tree: hops, places where it is copied, places where it goes one of
//! several ways and nothing captured says which, and ends.
use std::sync::Arc;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::span::Evidence;

use super::packet::Packet;
use super::words::{Certainty, Outcome, Reason};
use crate::near;
use crate::truth::Truth;

/// Where something happens.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Place {
    /// The host.
    pub host: Option<HostId>,
    /// The namespace.
    pub netns: Option<Netns>,
    /// The device.
    pub device: Option<Name>,
    /// The OVS bridge.
    pub bridge: Option<Name>,
    /// The port of the bridge.
    pub port: Option<Name>,
    /// The controller of the bridge.
    pub controller: bool,
}

/// What sort of thing a hop is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A guest.
    Guest,
    /// A device.
    Device,
    /// A Linux bridge.
    LinuxBridge,
    /// An OVS bridge.
    OvsBridge,
    /// The routing of a namespace.
    Route,
    /// The packet filter of a namespace.
    Netfilter,
    /// The neighbours of a namespace.
    Neighbour,
    /// A tunnel.
    Tunnel,
    /// The stack of a namespace, which takes the packet.
    Local,
}

impl Kind {
    /// The public word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Guest => "guest",
            Self::Device => "device",
            Self::LinuxBridge => "linux-bridge",
            Self::OvsBridge => "ovs-bridge",
            Self::Route => "route",
            Self::Netfilter => "netfilter",
            Self::Neighbour => "neighbour",
            Self::Tunnel => "tunnel",
            Self::Local => "local",
        }
    }
}

/// A field of the packet that a hop changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Changed {
    /// Its name.
    pub field: &'static str,
    /// Its value before; `None` where it is not known.
    pub before: Option<String>,
    /// Its value behind the hop.
    pub after: Option<String>,
}

/// What a hop says beside its line.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Details {
    /// How it was routed.
    pub route: Option<RouteDetails>,
    /// Which flows decided: table, priority, cookie.
    pub flows: Vec<FlowDetails>,
    /// Its passes through the connection tracker of OVS: zone, and whether it is kept.
    pub tracked: Vec<(Option<u16>, bool)>,
    /// The hook and the table of the packet filter.
    pub hook: Option<&'static str>,
    /// The table of the packet filter.
    pub table: Option<Name>,
    /// The rules that decided, with their targets.
    pub rules: Vec<(Evidence, String)>,
    /// Every table, rule and route that was looked at, where the question asks for that.
    pub considered: Vec<Considered>,
    /// What would have passed instead of a packet that is stopped here.
    pub nearest: Option<Nearest>,
    /// Of a guest: its first hop is a guess, not what makes it a member of a network.
    pub is_guess: bool,
    /// The entry of a neighbour that has another MAC than those who have its address.
    pub wrong_neighbour: Option<Evidence>,
}

/// Something that was looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Considered {
    /// What, in words.
    pub text: String,
    /// Its lines.
    pub evidence: Vec<Evidence>,
}

/// What would have passed instead of a packet that is stopped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Nearest {
    /// In words: `tcp 22, 80`.
    pub text: String,
    /// The rules that say so.
    pub rules: Vec<Evidence>,
}

impl Nearest {
    /// Of those that were found; `None` where there are none.
    pub fn of(all: &[near::Near]) -> Option<Self> {
        let mut rules: Vec<Evidence> = Vec::new();
        for near in all {
            if !rules.contains(&near.evidence) {
                rules.push(near.evidence);
            }
        }
        Some(Self { text: near::words(all)?, rules })
    }
}

/// How a packet was routed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteDetails {
    /// The policy rule: priority and place.
    pub rule: Option<(u32, Evidence)>,
    /// The table.
    pub table: Option<Name>,
    /// `unicast`, `local`, `blackhole`, …
    pub kind: String,
    /// The destination of the route.
    pub destination: Option<String>,
    /// Its metric.
    pub metric: Option<u32>,
    /// The source that it names.
    pub source: Option<String>,
    /// Every next hop that may be taken: device, gateway.
    pub hops: Vec<(Name, Option<String>)>,
}

/// A flow that decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowDetails {
    /// The table.
    pub table: String,
    /// The priority; `None` where no flow matched.
    pub priority: Option<u32>,
    /// Who made it.
    pub cookie: Option<u64>,
}

/// One hop.
#[derive(Clone, PartialEq, Debug)]
pub struct Hop {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub place: Place,
    /// By which device or port the packet comes in.
    pub input: Option<Name>,
    /// By which it goes on.
    pub output: Option<Name>,
    /// What is done, in words.
    pub action: String,
    /// What changes.
    pub changes: Vec<Changed>,
    /// The VLANs of the packet behind the hop.
    pub vlans: Vec<u16>,
    /// The key of the tunnel behind the hop.
    pub vni: Option<u64>,
    /// The MTU that limits the hop.
    pub mtu: Option<u32>,
    /// How sure it is.
    pub certainty: Certainty,
    /// What says that packets took this very way.
    pub observed: Option<String>,
    /// What was taken for granted.
    pub assumed: Option<String>,
    /// The places that prove it.
    pub evidence: Vec<Evidence>,
    /// Everything else.
    pub details: Details,
}

impl Hop {
    /// A hop that is proven, without evidence as yet.
    pub fn new(kind: Kind, place: Place, action: impl Into<String>) -> Self {
        Self {
            kind,
            place,
            input: None,
            output: None,
            action: action.into(),
            changes: Vec::new(),
            vlans: Vec::new(),
            vni: None,
            mtu: None,
            certainty: Certainty::Proven,
            observed: None,
            assumed: None,
            evidence: Vec::new(),
            details: Details::default(),
        }
    }

    /// Adds a place that proves it, once.
    pub fn cite(&mut self, evidence: impl IntoIterator<Item = Evidence>) {
        for one in evidence {
            if !self.evidence.contains(&one) {
                self.evidence.push(one);
            }
        }
    }
}

/// A command that would settle something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Next {
    /// What it settles.
    pub text: String,
    /// On which host.
    pub host: Option<HostId>,
    /// The command.
    pub need: Need,
}

/// What is not known at a fork.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Doubt {
    /// Why.
    pub reason: Reason,
    /// In words.
    pub text: String,
    /// Where.
    pub place: Place,
    /// What would tell.
    pub next: Vec<Next>,
    /// What leaves it open.
    pub evidence: Vec<Evidence>,
}

/// A place where a packet, or a copy of it, ends.
#[derive(Clone, PartialEq, Debug)]
pub struct End {
    /// What becomes of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: Option<Reason>,
    /// In words.
    pub text: String,
    /// Where.
    pub place: Place,
    /// The packet.
    pub packet: Packet,
    /// Whether that is where it was to go.
    pub reached: Truth,
    /// A copy that nobody waits for: flooded to a device with another MAC.
    pub aside: bool,
    /// It only happens if something that is not known is so.
    pub hypothetical: bool,
    /// How sure the end itself is.
    pub certainty: Certainty,
    /// The places that prove it.
    pub evidence: Vec<Evidence>,
    /// What would tell more.
    pub next: Vec<Next>,
    /// Hosts at whose devices filters of `tc` were not captured, and taken not to be there.
    pub queues_untold: Vec<HostId>,
}

impl End {
    /// A packet ends in a place, and nothing else is known of that: neither why, nor whether it was
    /// to go there.
    pub(super) fn new(
        outcome: Outcome,
        text: impl Into<String>,
        place: Place,
        packet: &Packet,
    ) -> Self {
        Self {
            outcome,
            reason: None,
            text: text.into(),
            place,
            packet: packet.clone(),
            reached: Truth::Maybe,
            aside: false,
            hypothetical: false,
            certainty: Certainty::Proven,
            evidence: Vec::new(),
            next: Vec::new(),
            queues_untold: Vec::new(),
        }
    }
}

impl End {
    /// How much it says.
    fn weight(&self) -> u32 {
        match self.outcome {
            _ if self.hypothetical => 1,
            _ if self.aside => 2,
            _ if matches!(self.reason, Some(Reason::Without | Reason::NoListener)) => 8,
            _ if self.reason == Some(Reason::DeadVlan) => 6,
            Outcome::Delivered | Outcome::DeliveredOnLink => 9,
            Outcome::LeavesCapture => 8,
            Outcome::Dropped | Outcome::Rejected => 7,
            Outcome::Loops => 6,
            Outcome::Unknown | Outcome::Disputed => 5,
            _ => 4,
        }
    }
}

/// A node of the tree.
#[derive(Clone, PartialEq, Debug)]
pub enum Part {
    /// Where it begins.
    Root,
    /// A hop.
    Hop(Arc<Hop>),
    /// All that follow happen, each with a copy.
    All,
    /// One of those that follow happens; why it is not known which.
    One(Box<Doubt>),
    /// An end.
    End(Box<End>),
}

/// A node and what leads to it.
#[derive(Clone, PartialEq, Debug)]
pub struct Node {
    /// The node before.
    pub parent: usize,
    /// What tells it from others behind the same fork.
    pub guard: Option<String>,
    /// What it is.
    pub part: Part,
}

/// The tree: every node stands behind its parent.
#[derive(Clone, PartialEq, Debug)]
pub struct Tree {
    /// The nodes.
    pub nodes: Vec<Node>,
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![Node { parent: 0, guard: None, part: Part::Root }] }
    }
}

impl Tree {
    /// Adds a node; returns its place.
    pub fn add(&mut self, parent: usize, guard: Option<String>, part: Part) -> usize {
        self.nodes.push(Node { parent, guard, part });
        self.nodes.len() - 1
    }

    /// The places that each node leads to.
    pub fn children(&self) -> Vec<Vec<usize>> {
        let mut all = vec![Vec::new(); self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().skip(1) {
            if let Some(list) = all.get_mut(node.parent) {
                list.push(at);
            }
        }
        all
    }

    /// Whether the packet arrives from each node on.
    pub fn fates(&self, children: &[Vec<usize>]) -> Vec<Truth> {
        let mut fates = vec![Truth::Maybe; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().rev() {
            let below = children.get(at).map_or(&[][..], Vec::as_slice);
            let of_child = |child: &usize| fates.get(*child).copied().unwrap_or(Truth::Maybe);
            let fate = match &node.part {
                Part::End(end) => end.reached,
                Part::One(_) => {
                    let mut all = below.iter().map(of_child);
                    match all.next() {
                        Some(first) if all.all(|other| other == first) => first,
                        _ => Truth::Maybe,
                    }
                }
                Part::Root | Part::Hop(_) | Part::All if below.is_empty() => Truth::Maybe,
                Part::Root | Part::Hop(_) | Part::All => Truth::any(below.iter().map(of_child)),
            };
            if let Some(slot) = fates.get_mut(at) {
                *slot = fate;
            }
        }
        fates
    }

    /// The way that says most: from the root to one end. Behind a fork of copies it follows the one
    /// that decides, behind one that is open the one that was thought to be first. Where none arrives,
    /// the one that came nearest to what was meant decides, as `near` tells of its end.
    pub(super) fn main(
        &self,
        children: &[Vec<usize>],
        fates: &[Truth],
        near: &dyn Fn(&End) -> u32,
    ) -> Vec<usize> {
        let weights = self.weights(children, near);
        let mut way = vec![0];
        let mut at = 0;
        while let Some(below) = children.get(at).filter(|below| !below.is_empty()) {
            let fate = fates.get(at).copied().unwrap_or(Truth::Maybe);
            let fate_of = |child: usize| fates.get(child).copied().unwrap_or(Truth::Maybe);
            let weight = |child: usize| weights.get(child).copied().unwrap_or(0);
            let open = self.nodes.get(at).is_some_and(|node| matches!(node.part, Part::One(_)));
            let rank = |child: usize| {
                let same = fate_of(child) == fate;
                let arrives = open && fate == Truth::Maybe && fate_of(child) == Truth::Yes;
                (arrives, same, weight(child))
            };
            let mut best: Option<usize> = None;
            for &child in below {
                if best.is_none_or(|known| rank(child) > rank(known)) {
                    best = Some(child);
                }
            }
            let Some(next) = best else { break };
            way.push(next);
            at = next;
        }
        way
    }

    /// How much the ends behind each node say.
    fn weights(&self, children: &[Vec<usize>], near: &dyn Fn(&End) -> u32) -> Vec<u32> {
        let mut all = vec![0; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().rev() {
            let weight = match &node.part {
                Part::End(end) => near(end) * 16 + end.weight(),
                _ => {
                    let below = children.get(at).map_or(&[][..], Vec::as_slice);
                    below.iter().filter_map(|child| all.get(*child).copied()).max().unwrap_or(3)
                }
            };
            if let Some(slot) = all.get_mut(at) {
                *slot = weight;
            }
        }
        all
    }
}
