//! The path of each running VM port and each port of a namespace to its switch and on to the wire
//! or the tunnels and what is below them, up to the first broken hop.
//!
//! The hops come from the network, and so does what blocks them: a device that is down, spanning
//! tree, isolation. The findings add faults of a hop, or, where the path ends early, a fault of the
//! same port. What lies behind a broken hop is not judged. Where several bridges may carry the
//! port's VLAN on, the path ends at the switch.
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_network::environment::Environment;
use tapline_network::l2::Why;
use tapline_network::path::{Hop, Link, Paths};
use tapline_network::{Answer, Network};
use tapline_topology::graph::{Confidence, NetdevKind};
use tapline_topology::{EdgeKind, NodeData, NodeId, Topology, Uplink, names};

use super::engine::finding::{Finding, Severity};
use super::engine::rule::Cut;
use super::engine::run::Report;
use super::engine::subject::Subject;

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
    /// From the start to the last hop that is known, or the first that is broken.
    pub steps: Vec<Step>,
    /// Where the last of them is.
    pub reach: Reach,
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
            let target =
                nic.target.as_ref().map(|target| target.value.as_str()).unwrap_or_default();
            all.push(follow(&mut finder, &network, &faults, host, id, target));
        }
    }
    for (id, node) in topology.nodes() {
        let NodeData::Netdev(device) = &node.data else { continue };
        let inside = node.netns.as_ref().is_some_and(|netns| netns.name().is_some());
        if !inside || device.stub || device.kind == NetdevKind::Loopback {
            continue;
        }
        let port = names::port_prefix(&node.name).is_some();
        let wired = port || !topology.out(id, EdgeKind::DeviceOf).is_empty();
        if let Some(host) = node.host.filter(|_| wired) {
            all.push(follow(&mut finder, &network, &faults, host, id, &node.name));
        }
    }
    all
}

/// The findings that cut paths, by the node at which they do.
#[derive(Debug)]
pub struct Marks<'r> {
    faults: Faults,
    report: &'r Report,
}

impl<'r> Marks<'r> {
    /// Those of a report.
    pub fn new(topology: &Topology<'_>, report: &'r Report) -> Self {
        Self { faults: Faults::of(topology, report), report }
    }

    /// The finding that stops frames at a node, on one side of the switch.
    pub fn at(&self, node: NodeId, behind_switch: bool) -> Option<&'r Finding> {
        let at = if behind_switch {
            self.faults.beyond.get(&node).copied()
        } else {
            self.faults.at(node)
        };
        self.report.findings.get(at?)
    }
}

/// Findings that cut a path, by what they are about.
#[derive(Debug)]
struct Faults {
    nodes: BTreeMap<NodeId, usize>,
    /// The same behind the integration bridge, where patches and tunnels count too.
    beyond: BTreeMap<NodeId, usize>,
    /// By the neutron port or the device in the object's name.
    names: BTreeMap<(HostId, String), usize>,
}

impl Faults {
    fn of(topology: &Topology<'_>, report: &Report) -> Self {
        let (nodes, beyond) = (BTreeMap::new(), BTreeMap::new());
        let mut all = Self { nodes, beyond, names: BTreeMap::new() };
        // Roots stand before what they explain: the first of several is the cause.
        for (at, finding) in report.findings.iter().enumerate() {
            if finding.severity < Severity::Error {
                continue;
            }
            let cuts = finding.rule.traits.cuts;
            if cuts.contains(&Cut::BehindSwitch) {
                all.add_beyond(topology, at, finding);
            }
            if !cuts.contains(&Cut::ToSwitch) {
                continue;
            }
            // A finding about what is not there stands at something near it.
            if let Some(node) = finding.subject.id() {
                all.nodes.entry(node).or_insert(at);
            }
            let subjects = std::iter::once(&finding.subject).chain(&finding.also);
            for name in subjects.filter_map(Subject::device) {
                let port = names::port_prefix(name).unwrap_or(name).to_owned();
                all.names.entry((finding.host, port)).or_insert(at);
            }
        }
        all
    }

    fn add_beyond(&mut self, topology: &Topology<'_>, at: usize, finding: &Finding) {
        for node in finding.node.iter().chain(&finding.nodes) {
            self.beyond.entry(*node).or_insert(at);
        }
        // One finding may stand for several tunnels or patches of its host.
        for name in finding.also.iter().filter_map(Subject::device) {
            if let Some(id) = topology.find_ovs_interface(finding.host, name) {
                self.beyond.entry(id).or_insert(at);
            }
        }
    }

    fn at(&self, node: NodeId) -> Option<usize> {
        self.nodes.get(&node).copied()
    }

    fn of_port(&self, host: HostId, name: &str) -> Option<usize> {
        let port = names::port_prefix(name).unwrap_or(name).to_owned();
        self.names.get(&(host, port)).copied()
    }
}

fn follow(
    finder: &mut Paths<'_, '_>,
    network: &Network<'_>,
    faults: &Faults,
    host: HostId,
    start: NodeId,
    port: &str,
) -> Path {
    let tree = finder.down(start);
    let (steps, reach) = (Vec::new(), Reach::Nothing);
    let broken_by = faults.at(start);
    let path = Path { host, start, steps, reach, broken_by, ends_early: false };
    let mut walk = Walk {
        network,
        faults,
        path,
        port,
        expanded: BTreeMap::new(),
        behind_switch: false,
        beside: (0, 0),
    };
    walk.index(&tree.hops);
    walk.go(&tree.hops);
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
    /// The hops with what follows them: a node that is reached again has it elsewhere.
    expanded: BTreeMap<NodeId, &'h [Hop<'h>]>,
    behind_switch: bool,
    /// Others beside a port that is no step of its own, and how many of them are broken.
    beside: (usize, usize),
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
        hops.iter().filter(|next| !is_tunnel || matches!(next.link, Link::Sends { .. })).collect()
    }

    fn go(&mut self, hops: &'h [Hop<'h>]) {
        let mut hops: Vec<&'h Hop<'h>> = hops.iter().collect();
        while self.path.broken_by.is_none() && self.path.steps.len() < MOST_HOPS {
            let Some(first) = hops.first().copied() else {
                self.path.ends_early = !self.is_end();
                return;
            };
            if first.doubtful {
                return;
            }
            let works: Vec<&'h Hop<'h>> =
                hops.iter().copied().filter(|hop| self.works(hop, &mut BTreeSet::new())).collect();
            let hop = works.first().copied().unwrap_or(first);
            let beside = works.len().saturating_sub(1);
            let broken = hops.len() - works.len().max(1);
            if !self.step(hop, beside, broken) {
                return;
            }
            hops = self.after(hop);
        }
    }

    /// Whether a path may end at the last hop.
    fn is_end(&self) -> bool {
        let Some(last) = self.path.steps.last() else { return false };
        if self.path.reach == Reach::Tunnels || self.network.ovs_bridge(last.node).is_some() {
            return true;
        }
        if let Some(interface) = self.network.ovs_interface(last.node) {
            // The NIC may belong to DPDK, or its device may not be captured.
            return interface.kind == "dpdk" || names::is_nic(interface.name());
        }
        let Some(device) = self.network.netdev(last.node) else { return false };
        match device.kind {
            // The host itself answers there, and routes. Every bridge that is up has an address of its
            // link.
            NetdevKind::Bridge => {
                let mut held = self.network.addresses_of(device.id).into_iter();
                held.any(|address| !is_of_link(address.ip))
            }
            _ => is_wire(self.network, device.id),
        }
    }

    /// Whether some path on from here has no broken hop.
    fn works(&self, hop: &'h Hop<'h>, passed: &mut BTreeSet<NodeId>) -> bool {
        if !passed.insert(hop.node) || passed.len() > MOST_HOPS {
            return true;
        }
        if hop.block().is_some() || self.fault(hop.node).is_some() {
            return false;
        }
        let next = self.after(hop);
        next.is_empty() || next.iter().any(|hop| self.works(hop, passed))
    }

    fn fault(&self, node: NodeId) -> Option<usize> {
        let beyond = || self.faults.beyond.get(&node).copied();
        if self.behind_switch {
            return beyond();
        }
        // A tunnel leads out of a Linux bridge as well.
        let is_tunnel = || {
            let topology = self.network.topology;
            self.network.tunnel(node).is_some()
                || !topology.into(node, EdgeKind::TunnelOf).is_empty()
                || !topology.out(node, EdgeKind::TunnelOf).is_empty()
        };
        self.faults.at(node).or_else(|| beyond().filter(|_| is_tunnel()))
    }

    /// Adds a hop; says whether the path goes on.
    fn step(&mut self, hop: &Hop<'_>, beside: usize, broken_beside: usize) -> bool {
        let node = hop.node;
        let guessed = !self.behind_switch
            && matches!(hop.link, Link::Edge(edge) if edge.confidence == Confidence::Conventional);
        let fault = self.fault(node);
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
        if !is_part || state == State::Broken {
            let (ports, broken_ports) = std::mem::take(&mut self.beside);
            let (beside, broken_beside) = (beside.max(ports), broken_beside.max(broken_ports));
            self.path.steps.push(Step { node, state, beside, broken_beside, why });
        } else {
            self.beside = (beside, broken_beside);
        }
        if state == State::Broken {
            return false;
        }
        self.arrive(node);
        self.path.broken_by.is_none()
    }

    /// Notes how far the path has come.
    fn arrive(&mut self, node: NodeId) {
        let network = self.network;
        if network.ovs_bridge(node).is_some() && !self.behind_switch {
            self.behind_switch = true;
            self.path.reach = Reach::Switch;
            // The fault may be of the port as the switch knows it.
            self.path.broken_by = self.faults.of_port(self.path.host, self.port);
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

/// Whether an address reaches no further than the link.
fn is_of_link(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

/// Whether frames leave the host by this device, and not by one below it.
fn is_wire(network: &Network<'_>, device: NodeId) -> bool {
    let uplink = network.topology.uplink(device);
    uplink.is_some_and(|uplink| uplink != Uplink::Kind(NetdevKind::Vlan))
}
