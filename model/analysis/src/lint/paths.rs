//! The path of each running VM port and each port of a namespace to its switch and on to the wire
//! or the tunnels and what is below them, up to the first broken hop.
//!
//! The hops come from the network, and so does what blocks them: a device that is down, spanning
//! tree, isolation. The findings add faults of a hop, or, where the path ends early, a fault of the
//! same port. What lies behind a broken hop is not judged. Where several bridges may carry the
//! port's VLAN on, the path ends at the switch.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;
use tapline_network::environment::Environment;
use tapline_network::l2::{Block, Why};
use tapline_network::path::{self, Hop, Link, Paths};
use tapline_network::{Answer, Network};
use tapline_topology::graph::{Confidence, NetdevKind};
use tapline_topology::{EdgeKind, NodeData, NodeId, Topology, Uplink, names};

use super::engine::finding::Finding;
use super::engine::run::Report;
use super::engine::subject::Subject;

mod ends;
mod marks;
mod starts;

use marks::Faults;
pub use marks::{Cross, Marks, Missing};
pub use starts::is_port_of_namespace;
use starts::{Branch, branches};

/// A path is cut after so many hops.
const MOST_HOPS: usize = 32;

/// How a hop is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It works, as far as captured.
    Whole,
    /// It does not: the path ends here.
    Broken,
    /// Not captured well enough to tell.
    Unknown,
}

/// One hop of a path.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it leads.
    pub node: NodeId,
    /// How it is.
    pub state: State,
    /// Further things beside it that lead on alike: tunnels, uplinks.
    pub beside: usize,
    /// Further things beside it that would, and are broken.
    pub broken_beside: usize,
    /// What blocks frames here, by the state of the hop itself.
    pub why: Option<Why>,
}

/// How far a path was followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Not to a switch.
    Nothing,
    /// To the switch; where it goes on from there is not known.
    Switch,
    /// To the other end of a pair, where the host or another namespace answers or routes on.
    Router,
    /// To the tunnels of the host.
    Tunnels,
    /// To a NIC of the host.
    Wire,
}

/// One path.
#[derive(Clone, Debug)]
pub struct Path {
    /// Its host.
    pub host: HostId,
    /// The NIC of a VM, or the device in a namespace.
    pub start: NodeId,
    /// The VLAN that the guest itself gives these frames, on a trunk of neutron.
    pub vlan: Option<u16>,
    /// From the start to the last hop that is known, or the first that is broken.
    pub steps: Vec<Step>,
    /// Where the last of them is.
    pub reach: Reach,
    /// The NICs of the host by which frames leave; where it is not known which of several ways from
    /// the switch they take, those of all.
    pub wires: Vec<NodeId>,
    /// It ends at the switch, from where frames take one of several ways.
    pub is_open: bool,
    /// Index in the report of the finding that breaks the path, if one does.
    pub broken_by: Option<usize>,
    /// The path ends before a switch, and no finding says why.
    pub ends_early: bool,
}

/// All paths: VMs first, in the order of the topology.
pub fn paths(topology: &Topology<'_>, report: &Report) -> Vec<Path> {
    let faults = Faults::of(topology, report);
    let environment = Environment::default();
    let network = Network::new(topology, None, &environment);
    let mut finder = Paths::new(&network);
    let mut all = Vec::new();
    for (id, node) in topology.nodes() {
        let NodeData::VmNic(nic) = &node.data else { continue };
        let vm = topology.node(nic.vm).map(|node| &node.data);
        let runs = matches!(vm, Some(NodeData::Vm(vm)) if vm.active == Some(true));
        if let Some(host) = node.host.filter(|_| runs) {
            all.extend(follow_all(&mut finder, &network, &faults, host, id));
        }
    }
    for (id, node) in topology.nodes() {
        if let Some(host) = node.host.filter(|_| is_port_of_namespace(&network, id)) {
            all.extend(follow_all(&mut finder, &network, &faults, host, id));
        }
    }
    all
}

/// The path of a port; on a trunk of neutron those of its subports behind it.
fn follow_all(
    finder: &mut Paths<'_, '_>,
    network: &Network<'_>,
    faults: &Faults,
    host: HostId,
    start: NodeId,
) -> Vec<Path> {
    let tree = finder.down(start);
    let branches = branches(network, &tree.hops);
    let follow = |branch| follow(&tree, network, faults, (host, start), branch);
    match branches.as_slice() {
        [] | [_] => vec![follow(None)],
        several => several.iter().map(|branch| follow(Some(*branch))).collect(),
    }
}

/// What findings call the port of a start by: the device of a VM's NIC, or the device itself.
fn port_of<'a>(topology: &'a Topology<'_>, start: NodeId) -> &'a str {
    match topology.node(start).map(|node| (&node.data, node)) {
        Some((NodeData::VmNic(nic), _)) => {
            nic.target.as_ref().map_or("", |target| target.value.as_str())
        }
        Some((_, node)) => node.name.as_str(),
        None => "",
    }
}

/// How a finding calls what it is about on the path of a start: where it stands for several ports, the
/// port of the start.
pub fn subject_of<'f>(topology: &Topology<'_>, finding: &'f Finding, start: NodeId) -> &'f Subject {
    let of_start = names::port_prefix(port_of(topology, start));
    let is_of_start = |subject: &&Subject| {
        of_start.is_some() && subject.device().and_then(names::port_prefix) == of_start
    };
    let mut all = std::iter::once(&finding.subject).chain(&finding.also);
    all.find(is_of_start).unwrap_or(&finding.subject)
}

fn follow(
    tree: &path::Path<'_>,
    network: &Network<'_>,
    faults: &Faults,
    (host, start): (HostId, NodeId),
    branch: Option<Branch>,
) -> Path {
    let port = port_of(network.topology, start);
    let (steps, reach) = (Vec::new(), Reach::Nothing);
    let broken_by = faults.cut(network, start, false);
    let (is_open, ends_early) = (false, false);
    let (vlan, wires) = (branch.and_then(|branch| branch.vlan), Vec::new());
    let path = Path { host, start, vlan, steps, reach, wires, is_open, broken_by, ends_early };
    let mut walk = Walk {
        network,
        faults,
        path,
        port,
        branch,
        expanded: BTreeMap::new(),
        behind_switch: false,
        beside: (0, 0),
        ahead: None,
        of_port: None,
    };
    walk.index(&tree.hops);
    walk.path.wires = walk.wires(&tree.hops).into_iter().collect();
    let start_block = network.passes_both_ways(start).known().flatten();
    match start_block.filter(|_| broken_by.is_none()) {
        Some(Block { why, .. }) => {
            let (state, why) = (State::Broken, Some(why));
            walk.path.steps.push(Step { node: start, state, beside: 0, broken_beside: 0, why });
        }
        // A NIC that was given to the namespace is the wire itself.
        None if tree.hops.is_empty() && is_wire(network, start) => {
            walk.path.reach = Reach::Wire;
            walk.path.wires.push(start);
        }
        None => walk.go(&tree.hops),
    }
    let mut path = walk.path;
    let broken = path.steps.iter().any(|step| step.state == State::Broken);
    // The fault may be of what is not there, or of the port as the switch knows it.
    if path.broken_by.is_none() && (broken || path.reach == Reach::Nothing || path.ends_early) {
        path.broken_by = faults.of_port(host, port);
    }
    path.ends_early |= path.reach == Reach::Nothing;
    path.ends_early &= !broken && path.broken_by.is_none();
    path
}

/// Walks down the tree of one port, by the branch that works.
struct Walk<'n, 'h, 'a> {
    network: &'n Network<'a>,
    faults: &'n Faults,
    path: Path,
    port: &'n str,
    /// The one of the ways from a trunk bridge that is followed.
    branch: Option<Branch>,
    /// The hops with what follows them: a node that is reached again has it elsewhere.
    expanded: BTreeMap<NodeId, &'h [Hop<'h>]>,
    behind_switch: bool,
    /// Others beside a port that is no step of its own, and how many of them are broken.
    beside: (usize, usize),
    /// A bridge behind the switch whose flows do not lead the port's frames on, and the finding that
    /// says so.
    ahead: Option<(NodeId, usize)>,
    /// A finding about the port that stands for the first broken hop behind the switch.
    of_port: Option<usize>,
}

impl<'h> Walk<'_, 'h, '_> {
    fn index(&mut self, hops: &'h [Hop<'h>]) {
        let mut open: Vec<&'h Hop<'h>> = hops.iter().rev().collect();
        while let Some(hop) = open.pop() {
            if !hop.again {
                self.expanded.entry(hop.node).or_insert(&hop.next);
            }
            open.extend(hop.next.iter().rev());
        }
    }

    /// What follows a hop on this host: the far ends of tunnels are elsewhere.
    fn after(&self, hop: &'h Hop<'h>) -> Vec<&'h Hop<'h>> {
        let hops = match self.expanded.get(&hop.node) {
            Some(next) if hop.again => next,
            _ => hop.next.as_slice(),
        };
        let is_tunnel = self.network.tunnel(hop.node).is_some();
        let chosen = self.branch.filter(|branch| hops.iter().any(|next| next.node == branch.port));
        hops.iter()
            .filter(|next| !is_tunnel || matches!(next.link, Link::Sends { .. }))
            .filter(|next| chosen.is_none_or(|branch| next.node == branch.port))
            .collect()
    }

    /// The NICs by which frames leave the host.
    fn wires(&self, hops: &'h [Hop<'h>]) -> BTreeSet<NodeId> {
        let mut passed = BTreeSet::new();
        let mut open: Vec<&'h Hop<'h>> = hops.iter().collect();
        while let Some(hop) = open.pop() {
            if passed.insert(hop.node) || !hop.again {
                open.extend(self.after(hop));
            }
        }
        let is_nic = |id: &NodeId| self.network.topology.uplink(*id).is_some_and(Uplink::is_nic);
        passed.retain(is_nic);
        passed
    }

    fn go(&mut self, hops: &'h [Hop<'h>]) {
        let mut hops: Vec<&'h Hop<'h>> = hops.iter().collect();
        while self.path.broken_by.is_none() && self.path.steps.len() < MOST_HOPS {
            let Some(first) = hops.first().copied() else {
                self.path.ends_early = !self.is_end();
                if self.path.reach == Reach::Nothing && self.ends_at_router() {
                    self.path.reach = Reach::Router;
                }
                return;
            };
            let works: Vec<&'h Hop<'h>> =
                hops.iter().copied().filter(|hop| self.works(hop, &mut BTreeSet::new())).collect();
            // Where all of several stop it, it does not matter which one is taken.
            if first.doubtful && !(works.is_empty() && hops.iter().all(|hop| self.stops(hop))) {
                self.path.is_open = true;
                // The broken one of them may be the one that is taken.
                self.path.ends_early = works.len() < hops.len();
                return;
            }
            // Of ports that all stop it, one that is in its VLAN is the one that it would take.
            let carries =
                |hop: &&Hop<'_>| !matches!(hop.block(), Some(Block { why: Why::Vlan(_), .. }));
            let nearest = hops.iter().copied().find(carries).unwrap_or(first);
            let hop = works.first().copied().unwrap_or(nearest);
            let beside = works.len().saturating_sub(1);
            let broken = hops.len() - works.len().max(1);
            if !self.step(hop, beside, broken) {
                return;
            }
            if let Some(far) = self.dead_far_end(hop) {
                self.step(far, 0, 0);
                return;
            }
            hops = self.after(hop);
        }
    }

    /// Whether all paths on from here have a hop that is known to be broken.
    fn stops(&self, hop: &'h Hop<'h>) -> bool {
        !self.works(hop, &mut BTreeSet::new())
    }

    /// Whether some path on from here has no broken hop.
    fn works(&self, hop: &'h Hop<'h>, passed: &mut BTreeSet<NodeId>) -> bool {
        // A node may stand in the tree several times, for frames that differ.
        if !passed.insert(hop.node) && hop.again || passed.len() > MOST_HOPS {
            return true;
        }
        let is_cut = hop.block().is_some() || self.fault(hop).is_some();
        if is_cut || self.dead_far_end(hop).is_some() {
            return false;
        }
        let next = self.after(hop);
        next.is_empty() || next.iter().any(|hop| self.works(hop, passed))
    }

    /// The first broken hop behind the far end of a tunnel, where every far end that was captured has
    /// one: then nobody takes what the tunnel sends. A captured host without an end that leads back is
    /// a far end as well.
    fn dead_far_end(&self, hop: &'h Hop<'h>) -> Option<&'h Hop<'h>> {
        self.network.tunnel(hop.node)?;
        let is_host = |node| {
            let node = self.network.topology.node(node);
            matches!(node.map(|node| &node.data), Some(NodeData::Host(_)))
        };
        let is_far =
            |next: &&'h Hop<'h>| self.network.tunnel(next.node).is_some() || is_host(next.node);
        let mut dead = hop.next.iter().filter(is_far).map(|far| self.first_broken(far));
        let first = dead.next()??;
        dead.all(|broken| broken.is_some()).then_some(first)
    }

    /// The first broken hop of a far end and of what sends its packets.
    fn first_broken(&self, far: &'h Hop<'h>) -> Option<&'h Hop<'h>> {
        let is_broken = |hop: &Hop<'_>| {
            hop.block().is_some() || self.faults.at_hop(self.network, hop, true).is_some()
        };
        let mut at = far;
        for _ in 0..MOST_HOPS {
            if is_broken(at) {
                return Some(at);
            }
            at = match at.next.as_slice() {
                [only] => only,
                _ => return None,
            };
        }
        None
    }

    fn fault(&self, hop: &Hop<'_>) -> Option<usize> {
        let ahead = self.ahead.filter(|(bridge, _)| *bridge == hop.node).map(|(_, fault)| fault);
        // The first of several is the cause.
        let at_hop = self.faults.at_hop(self.network, hop, self.behind_switch);
        ahead.into_iter().chain(at_hop).min()
    }

    /// Whether the frames that pass a hop may come to a node behind it.
    fn leads_to(&self, hop: &'h Hop<'h>, node: NodeId) -> bool {
        let mut open = self.after(hop);
        let mut passed = BTreeSet::new();
        while let Some(hop) = open.pop() {
            if hop.node == node {
                return true;
            }
            if hop.block().is_none() && passed.insert(hop.node) {
                open.extend(self.after(hop));
            }
        }
        false
    }

    /// Adds a hop; says whether the path goes on.
    fn step(&mut self, hop: &'h Hop<'h>, beside: usize, broken_beside: usize) -> bool {
        let node = hop.node;
        let guessed = !self.behind_switch
            && matches!(hop.link, Link::Edge(edge) if edge.confidence == Confidence::Conventional);
        let fault = self.fault(hop);
        let fault = fault.or_else(|| self.of_port.filter(|_| hop.block().is_some()));
        let state = match (&hop.passes, fault) {
            (_, Some(_)) | (Answer::Known(Some(_)), _) => State::Broken,
            (Answer::Unknown(_), None) => State::Unknown,
            (Answer::Known(None), None) if guessed => State::Unknown,
            (Answer::Known(None), None) => State::Whole,
        };
        self.path.broken_by = fault;
        let why = hop.block().map(|block| block.why.clone());
        // The far end of a tunnel is shown with its interface, and so is a port behind the switch.
        let is_part = self.network.tunnel(node).is_some()
            || self.behind_switch && self.network.ovs_port(node).is_some();
        if !is_part || state != State::Whole {
            let (ports, broken_ports) = std::mem::take(&mut self.beside);
            let (beside, broken_beside) = (beside.max(ports), broken_beside.max(broken_ports));
            self.path.steps.push(Step { node, state, beside, broken_beside, why });
        } else {
            self.beside = (beside, broken_beside);
        }
        if state == State::Broken {
            return false;
        }
        self.arrive(hop);
        self.path.broken_by.is_none()
    }

    /// Notes how far the path has come.
    fn arrive(&mut self, hop: &'h Hop<'h>) {
        let (network, node) = (self.network, hop.node);
        if network.ovs_bridge(node).is_some() && !self.behind_switch {
            self.behind_switch = true;
            self.path.reach = Reach::Switch;
            // The fault may be of the port as the switch knows it; one of the flows of a bridge is
            // shown at the bridge, where the frames come to it.
            let of_port = self.faults.of_port(self.path.host, self.port);
            let bridge = of_port.and_then(|fault| self.faults.bridge_of(fault));
            match bridge.filter(|bridge| *bridge != node && self.leads_to(hop, *bridge)) {
                Some(bridge) => self.ahead = of_port.map(|fault| (bridge, fault)),
                // What flows make of the port is shown at the hop that stops its frames.
                None => {
                    let next = self.after(hop);
                    let is_ahead = bridge.is_some() && !next.is_empty();
                    if is_ahead && next.iter().all(|hop| self.stops(hop)) {
                        self.of_port = of_port;
                    } else {
                        self.path.broken_by = of_port;
                    }
                }
            }
        }
        if self.path.reach == Reach::Tunnels {
            return;
        }
        if !network.topology.into(node, EdgeKind::TunnelOf).is_empty() {
            self.path.reach = Reach::Tunnels;
            return;
        }
        let is_bridge =
            network.netdev(node).is_some_and(|device| device.kind == NetdevKind::Bridge);
        if is_wire(network, node) {
            self.path.reach = Reach::Wire;
        } else if is_bridge && self.path.reach == Reach::Nothing {
            self.path.reach = Reach::Switch;
        }
    }
}

/// Whether frames leave the host by this device, and not by one below it.
fn is_wire(network: &Network<'_>, device: NodeId) -> bool {
    let uplink = network.topology.uplink(device);
    uplink.is_some_and(|uplink| {
        !matches!(uplink, Uplink::Kind(NetdevKind::Vlan | NetdevKind::Macsec))
    })
}
