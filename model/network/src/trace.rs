//! The path of a packet through captured hosts: what each device, bridge, table and tunnel does with
//! it, up to where it ends.
//!
//! A trace is the network model with a packet in its hand: OpenFlow tables ([`crate::flow`]), packet
//! filters ([`crate::filter`]), routes ([`crate::l3`]), ports ([`crate::l2`]) and tunnels
//! ([`crate::overlay`]) are asked for one [`Packet`], one step after another. A step leads to one
//! place, to several of which each gets a copy, or to several of which one is taken; so a trace is a
//! [`Tree`]. What is not known is such a fork too, never a step left out: if all its ways lead to one
//! fate, the trace is as sure as without it.
mod asking;
mod bridge;
mod bridge_in;
mod bridge_nat;
mod conntrack;
mod device;
mod ending;
mod ends;
mod flow_text;
mod frames;
mod gateway;
mod guest;
mod guest_addresses;
mod guest_sends;
mod ipsec;
mod judge;
mod local;
mod loopback;
mod macvlan;
mod meant;
mod megaflow;
mod names;
mod nat;
mod neighbour;
mod netfilter;
mod normal;
mod outside;
mod ovn;
mod ovn_names;
mod packet;
mod put_in;
mod question;
mod queues;
mod reach;
mod reach_pods;
mod result;
mod route;
mod send;
mod source;
mod stack;
mod switch;
mod switch_out;
mod switch_words;
mod tree;
mod tunnel;
mod verify;
mod without;
mod words;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_core::records::filter::ConnStates;
use tapline_core::span::Evidence;
use tapline_topology::NodeId;

use crate::flow;
use crate::truth::Truth;
use crate::{Item, Network};

pub(crate) use ovn::number as asked_of_controller;

pub use ends::{EndError, Goal, Start, Target};
pub use outside::{Doorstep, Entry};
pub use packet::{Inner, NOBODY, Packet};
pub use question::{Answered, Before, Question};
pub use reach::{Cell, Peer, Row, granted};
pub use result::{Branch, Trace, Verdict};
pub use tree::{
    Changed, Considered, Details, Doubt, End, FlowDetails, Hop, Kind, Nearest, Next, Node, Part,
    Place, RouteDetails, Tree,
};
pub use verify::{Compared, Verification};
pub use without::Without;
pub use words::{Certainty, Outcome, Reason};

/// Hops of one way.
const MOST_HOPS: u32 = 64;
/// Nodes of the tree.
const MOST_NODES: usize = 8192;

/// A question.
#[derive(Clone, PartialEq, Debug)]
pub struct Query {
    /// Where the packet is put in.
    pub from: Start,
    /// Where it is to go; `None` where it does not matter.
    pub to: Option<Goal>,
    /// The packet, as far as the question tells it.
    pub packet: Packet,
    /// Translations that earlier packets of its connection have made.
    pub connections: Vec<Connection>,
    /// For an answer: the connections that flows committed for what it answers to, by host.
    pub committed: BTreeMap<HostId, Arc<Vec<flow::Committed>>>,
    /// It ends where it leaves the bridges of OVS.
    pub stop_at_ovs: bool,
    /// The device that its sender is bound to.
    pub oif: Option<Name>,
    /// What counts as gone.
    pub without: Option<Arc<Without>>,
    /// For an answer: the address and the port that were asked, which it must come from.
    pub asked: Option<(IpAddr, Option<u16>)>,
    /// For an answer of a namespace: its sender may leave it to the kernel which address it comes from.
    pub unbound: bool,
    /// For an answer: addresses whose MAC a namespace knows since it was asked by them.
    pub heard: Vec<(HostId, Netns, IpAddr)>,
    /// For what comes from outside: how it finds the way in.
    pub entry: Option<Entry>,
    /// Note everything that is looked at.
    pub explain: bool,
}

impl Query {
    /// A packet that is put in, of which nothing else is asked.
    pub fn new(from: Start, to: Option<Goal>, packet: Packet) -> Self {
        Self {
            from,
            to,
            packet,
            connections: Vec::new(),
            committed: BTreeMap::new(),
            stop_at_ovs: false,
            oif: None,
            without: None,
            asked: None,
            unbound: false,
            heard: Vec::new(),
            entry: None,
            explain: false,
        }
    }
}

/// A connection that a namespace translates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connection {
    /// The host.
    pub host: HostId,
    /// The namespace.
    pub netns: Netns,
    /// Ends of its packets as they come in.
    pub before: Tuple,
    /// The same as they go out.
    pub after: Tuple,
    /// Its mark.
    pub mark: crate::filter::Mark,
    /// A rule took its packets from the connection tracker: its answers are those of nothing known.
    pub untracked: bool,
}

impl Connection {
    /// How it is translated.
    fn translated(&self) -> ConnStates {
        let (before, after) = (self.before, self.after);
        let source = |tuple: Tuple| (tuple.source, tuple.source_port);
        let destination = |tuple: Tuple| (tuple.destination, tuple.destination_port);
        let mut all = ConnStates::default();
        if source(before) != source(after) {
            all = all.with(ConnStates::SNAT);
        }
        if destination(before) != destination(after) {
            all = all.with(ConnStates::DNAT);
        }
        all
    }
}

/// Ends of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tuple {
    /// The address that it comes from.
    pub source: Option<IpAddr>,
    /// The address that it goes to.
    pub destination: Option<IpAddr>,
    /// The port that it comes from.
    pub source_port: Option<u16>,
    /// The port that it goes to.
    pub destination_port: Option<u16>,
}

impl Tuple {
    fn of(packet: &Packet) -> Self {
        Self {
            source: packet.source(),
            destination: packet.destination(),
            source_port: packet.source_port(),
            destination_port: packet.destination_port(),
        }
    }
}

/// Follows a packet.
pub fn trace(network: &Network<'_>, query: &Query) -> Trace {
    Tracer::new(network).trace(query)
}

/// Answers many questions about one network: what it learns of bridges and filters it keeps.
#[derive(Debug)]
pub struct Tracer<'n, 'a> {
    network: &'n Network<'a>,
    guests: OnceLock<guest_addresses::Guests>,
    responders: OnceLock<guest::Responders>,
    offers: OnceLock<BTreeMap<Mac, Option<ovn::Offer>>>,
    destinations: OnceLock<BTreeMap<IpAddr, Option<IpAddr>>>,
    ovn_names: OnceLock<ovn_names::OvnNames<'a>>,
}

impl<'n, 'a> Tracer<'n, 'a> {
    /// Over this network.
    pub fn new(network: &'n Network<'a>) -> Self {
        Self {
            network,
            guests: OnceLock::new(),
            responders: OnceLock::new(),
            offers: OnceLock::new(),
            destinations: OnceLock::new(),
            ovn_names: OnceLock::new(),
        }
    }

    /// The network.
    pub fn network(&self) -> &'n Network<'a> {
        self.network
    }

    /// What the flows of OVN are for.
    fn ovn_names(&self) -> &ovn_names::OvnNames<'a> {
        self.ovn_names.get_or_init(|| ovn_names::OvnNames::new(&self.network.topology.rows))
    }

    /// Follows a packet.
    pub fn trace(&self, query: &Query) -> Trace {
        let mut walk = Walk::new(self, query);
        walk.start(query);
        walk.run();
        Trace::of(self, query, walk)
    }
}

/// Where a packet is, and what comes next.
#[derive(Clone, PartialEq, Eq, Debug)]
enum At {
    /// A device receives it from its far side.
    Receive(NodeId),
    /// A device sends it.
    Send(NodeId),
    /// A Linux bridge has it, from a port or from the stack of the host.
    Bridge { bridge: NodeId, from: Option<NodeId> },
    /// An OVS bridge receives it on this interface.
    Switch(NodeId),
    /// The stack of a namespace has it.
    Stack(netfilter::Pass),
    /// A guest receives it.
    Guest(NodeId),
    /// A tunnel sends it.
    Tunnel {
        endpoint: NodeId,
        key: Option<u64>,
        /// The far end, where the packet's flows name it.
        remote: Option<IpAddr>,
    },
    /// It leaves the host by this device.
    Wire(NodeId),
}

/// One way that is not at its end.
#[derive(Clone, Debug)]
struct Way {
    /// The last node of the tree.
    tip: usize,
    /// What tells it from others behind the same fork.
    guard: Option<String>,
    packet: Packet,
    /// What was visited, to notice that it goes round.
    trail: Trail,
    hops: u32,
    /// What was looked at since the last hop.
    considered: Vec<Considered>,
    /// What was taken for granted since the last hop.
    assumed: Vec<String>,
    /// It was said that filters of frames were not captured.
    frames_said: bool,
    /// Hosts of which it was said that queues of devices were not captured.
    queues_said: Vec<HostId>,
    /// What PREROUTING made of it on a bridge, from which it goes up into the stack.
    prerouted: Option<Box<netfilter::Pass>>,
}

impl Way {
    fn new(packet: Packet) -> Self {
        Self {
            tip: 0,
            guard: None,
            packet,
            trail: Trail::default(),
            hops: 0,
            considered: Vec::new(),
            assumed: Vec::new(),
            frames_said: false,
            queues_said: Vec::new(),
            prerouted: None,
        }
    }

    /// Takes something for granted; the next hop says so.
    fn assume(&mut self, text: &str) {
        if self.assumed.iter().all(|known| known != text) {
            self.assumed.push(text.to_owned());
        }
    }
}

/// What a packet looked like at a place where it might go round.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Crumb {
    node: NodeId,
    packet: Packet,
}

/// The crumbs of a way. Copies of it share those that lie behind them.
#[derive(Clone, Default, Debug)]
struct Trail(Option<Arc<(Crumb, Trail)>>);

impl Trail {
    fn contains(&self, crumb: &Crumb) -> bool {
        let mut at = self;
        while let Some(link) = &at.0 {
            if link.0 == *crumb {
                return true;
            }
            at = &link.1;
        }
        false
    }

    fn push(&mut self, crumb: Crumb) {
        *self = Self(Some(Arc::new((crumb, std::mem::take(self)))));
    }
}

struct Walk<'t, 'n, 'a> {
    tracer: &'t Tracer<'n, 'a>,
    network: &'n Network<'a>,
    from: Start,
    goal: Goal,
    without: Option<Arc<Without>>,
    explain: bool,
    tree: Tree,
    queue: VecDeque<(Way, At)>,
    stop_at_ovs: bool,
    asked: Option<(IpAddr, Option<u16>)>,
    /// It follows a packet of ARP that is asked for on the way of another.
    asking: bool,
    /// It seeks what keeps another packet from arriving: its own end is as good as any.
    seeks: bool,
    /// Nothing is followed behind the first end at which it arrives as surely as this.
    until: Option<Truth>,
    /// The sender may leave it to the kernel which address its packets come from.
    unbound: bool,
    /// Addresses whose MAC a namespace knows since it was asked by them.
    heard: Vec<(HostId, Netns, IpAddr)>,
    /// Translations that packets before this one made.
    connections: Vec<Connection>,
    /// Translations that this packet makes.
    made: Vec<Connection>,
    /// For an answer: the connections that flows committed for what it answers to.
    committed: BTreeMap<HostId, Arc<Vec<flow::Committed>>>,
    /// Connections that flows commit for this packet.
    made_by_flows: BTreeMap<HostId, Vec<flow::Committed>>,
    /// Rules of packet filters that its copies meet.
    met: Vec<(Evidence, Truth)>,
}

impl<'t, 'n, 'a> Walk<'t, 'n, 'a> {
    fn new(tracer: &'t Tracer<'n, 'a>, query: &Query) -> Self {
        Self {
            tracer,
            network: tracer.network,
            from: query.from.clone(),
            goal: query.to.clone().unwrap_or(Goal::Anywhere),
            without: query.without.clone(),
            explain: query.explain,
            tree: Tree::default(),
            queue: VecDeque::new(),
            stop_at_ovs: query.stop_at_ovs,
            asked: query.asked,
            asking: false,
            seeks: false,
            until: None,
            unbound: query.unbound,
            heard: query.heard.clone(),
            connections: query.connections.clone(),
            made: Vec::new(),
            committed: query.committed.clone(),
            made_by_flows: BTreeMap::new(),
            met: Vec::new(),
        }
    }

    fn start(&mut self, query: &Query) {
        let mut way = Way::new(query.packet.clone());
        match &query.from {
            Start::Guest(nic) if self.is_without(*nic) => {
                let place = self.place(*nic);
                self.lost_in_gap(&mut way, place);
            }
            Start::Guest(nic) => self.send_from_guest(way, *nic),
            Start::Netns(host, netns) => {
                way.packet.enter_stack();
                let ttl = self.setting(*host, netns, "net.ipv4.ip_default_ttl");
                if let Some(ttl) = ttl.and_then(|ttl| u8::try_from(ttl.value).ok())
                    && way.packet.eth_type() == Some(packet::IPV4)
                    && way.packet.ttl() == Some(Packet::DEFAULT_TTL)
                {
                    way.packet.set_ttl(ttl);
                }
                let pass = netfilter::Pass::own(*host, netns);
                let pass = netfilter::Pass { bound: query.oif.clone(), ..pass };
                if query.unbound {
                    self.send_unbound(&mut way, &pass);
                }
                self.go(way, At::Stack(pass));
            }
            Start::Device(device) => {
                if let Some(item) = self.device(*device) {
                    let before = way.packet.clone();
                    let mut hop = self.device_hop(item, "comes in from the far side");
                    hop.input = Some(item.name().into());
                    self.hop(&mut way, &before, hop);
                }
                match &query.entry {
                    Some(Entry::By(by)) if !self.is_sent_in(&mut way, by, *device) => {}
                    _ => self.go(way, At::Receive(*device)),
                }
            }
            Start::Port(interface) => self.go(way, At::Switch(*interface)),
            Start::Outside(_) => {
                let closed = match &query.entry {
                    Some(Entry::Closed(verdict)) => Some((**verdict).clone()),
                    _ => None,
                };
                self.stay_outside(&mut way, closed);
            }
        }
    }

    fn run(&mut self) {
        while let Some((mut way, at)) = self.take_next() {
            if self.tree.nodes.len() > MOST_NODES || way.hops > MOST_HOPS {
                let place = self.place_at(&at);
                self.unknown(&mut way, place, Reason::Limit, Vec::new());
                continue;
            }
            self.step(way, at);
        }
    }

    /// What is followed next: copy by copy where the first end counts.
    fn take_next(&mut self) -> Option<(Way, At)> {
        let Some(least) = self.until else { return self.queue.pop_front() };
        let is_end = |node: &Node| matches!(&node.part, Part::End(end) if end.reached >= least);
        if self.tree.nodes.last().is_some_and(is_end) {
            return None;
        }
        self.queue.pop_back()
    }

    /// Whether what was followed arrives.
    fn reached(&self) -> Truth {
        let children = self.tree.children();
        self.tree.fates(&children).first().copied().unwrap_or(Truth::Maybe)
    }

    fn step(&mut self, mut way: Way, at: At) {
        if self.is_at_gap(&at) {
            let place = self.place_at(&at);
            self.lost_in_gap(&mut way, place);
            return;
        }
        match at {
            At::Receive(device) => self.receive(way, device),
            At::Send(device) => self.send(way, device),
            At::Bridge { bridge, from } => self.bridge(way, bridge, from),
            At::Switch(interface) => self.switch(way, interface),
            At::Stack(pass) => self.stack(way, pass),
            At::Guest(nic) => self.guest(way, nic),
            At::Tunnel { endpoint, key, remote } => self.tunnel(way, endpoint, key, remote),
            At::Wire(device) => self.wire(way, device),
        }
    }

    fn place_at(&self, at: &At) -> Place {
        match at {
            At::Receive(node)
            | At::Send(node)
            | At::Wire(node)
            | At::Switch(node)
            | At::Guest(node)
            | At::Bridge { bridge: node, .. }
            | At::Tunnel { endpoint: node, .. } => self.place(*node),
            At::Stack(pass) => {
                Place { host: Some(pass.host), netns: Some(pass.netns.clone()), ..Place::default() }
            }
        }
    }

    /// The place of a device, an OVS interface or a NIC of a guest.
    fn place(&self, node: NodeId) -> Place {
        let Some(data) = self.network.topology.node(node) else { return Place::default() };
        if let Some(interface) = self.network.ovs_interface(node) {
            return Place {
                host: Some(interface.host),
                bridge: Some(interface.data.bridge.clone()),
                port: Some(interface.name().into()),
                ..Place::default()
            };
        }
        Place {
            host: data.host,
            netns: Some(data.netns.clone().unwrap_or_default()),
            device: Some(data.name.clone()),
            ..Place::default()
        }
    }

    fn name(&self, node: NodeId) -> Name {
        self.network.topology.node(node).map(|node| node.name.clone()).unwrap_or_default()
    }

    /// Adds a hop to a way; what changes is told from the packet before it.
    fn hop(&mut self, way: &mut Way, before: &Packet, mut hop: Hop) {
        hop.changes = result::changes(before, &way.packet);
        hop.details.considered.splice(0..0, way.considered.drain(..));
        if !way.assumed.is_empty() {
            hop.certainty = hop.certainty.min(Certainty::Assumed);
            way.assumed.splice(0..0, hop.assumed.take());
            hop.assumed = Some(std::mem::take(&mut way.assumed).join("; "));
        }
        if hop.vlans.is_empty() {
            hop.vlans = way.packet.vlans().unwrap_or_default();
        }
        way.tip = self.tree.add(way.tip, way.guard.take(), Part::Hop(Arc::new(hop)));
        way.hops += 1;
    }

    fn go(&mut self, way: Way, at: At) {
        self.queue.push_back((way, at));
    }

    /// All of these happen, each with a copy.
    fn copies(&mut self, way: &mut Way) {
        way.tip = self.tree.add(way.tip, way.guard.take(), Part::All);
    }

    /// One of what follows happens.
    fn fork(&mut self, way: &mut Way, doubt: Doubt) {
        way.tip = self.tree.add(way.tip, way.guard.take(), Part::One(Box::new(doubt)));
    }

    /// A copy of a way behind a fork.
    fn branch(way: &Way, guard: impl Into<String>) -> Way {
        Way { guard: Some(guard.into()), ..way.clone() }
    }

    fn device(&self, node: NodeId) -> Option<Item<'a, tapline_topology::graph::Netdev<'a>>> {
        self.network.netdev(node)
    }
}
