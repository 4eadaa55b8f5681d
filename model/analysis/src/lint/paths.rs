//! The way of each running VM port and each port of a namespace to its switch and on to the wire or
//! the tunnels, up to the first broken hop.
//!
//! The hops come from the topology, what breaks them from the findings: a fault on a hop, or, where
//! the way ends early, a fault of the same port. What lies behind a broken hop is not judged. Behind
//! the integration bridge the way is that of the port's VLAN; where it is not told which bridge that
//! leads to, the way ends at the switch.
use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_topology::chain::{Chains, Hop};
use tapline_topology::graph::{Confidence, NetdevKind};
use tapline_topology::{EdgeKind, NodeData, NodeId, Topology, names};

use super::engine::finding::{Finding, Severity};
use super::engine::rule::Cut;
use super::engine::run::Report;
use tapline_network::ways::{INTEGRATION, Ways};

/// A way is cut after so many hops.
const MOST_HOPS: usize = 32;

/// How a hop is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// It works, as far as captured.
    Whole,
    /// It does not: the way ends here.
    Broken,
    /// Not captured well enough to tell.
    Unknown,
}

/// One hop of a way.
#[derive(Clone, Debug)]
pub struct Step {
    /// Where it leads.
    pub node: NodeId,
    /// How it is.
    pub state: State,
    /// Further things beside it that lead on alike: tunnels, uplinks.
    pub beside: usize,
}

/// How far a way was followed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Not to a switch.
    Nothing,
    /// To the switch; where it goes on from there is not told.
    Switch,
    /// To the tunnels of the host.
    Tunnels,
    /// To a NIC of the host.
    Wire,
}

/// One way.
#[derive(Clone, Debug)]
pub struct Path {
    /// Its host.
    pub host: HostId,
    /// The NIC of a VM, or the device in a namespace.
    pub start: NodeId,
    /// From the start to the last hop that is told, or the first that is broken.
    pub steps: Vec<Step>,
    /// Where the last of them is.
    pub reach: Reach,
    /// Index in the report of the finding that breaks the way, if one does.
    pub broken_by: Option<usize>,
    /// The way ends before a switch, and no finding says why.
    pub ends_early: bool,
}

/// All ways: VMs first, in the order of the topology.
pub fn paths(topology: &Topology<'_>, report: &Report) -> Vec<Path> {
    let faults = Faults::of(topology, report);
    let ways = Ways::new(topology);
    let mut chains = Chains::new(topology);
    let mut all = Vec::new();
    for (id, node) in topology.nodes() {
        let NodeData::VmNic(nic) = &node.data else { continue };
        let vm = topology.node(nic.vm).map(|it| &it.data);
        let runs = matches!(vm, Some(NodeData::Vm(vm)) if vm.active == Some(true));
        if let Some(host) = node.host.filter(|_| runs) {
            let target = nic.target.as_ref().map(|it| it.value.as_str()).unwrap_or_default();
            all.push(follow(topology, &mut chains, (&faults, &ways), host, id, target));
        }
    }
    for (id, node) in topology.nodes() {
        let NodeData::Netdev(device) = &node.data else { continue };
        let inside = node.netns.as_ref().is_some_and(|it| it.name().is_some());
        if !inside || device.stub || device.kind == NetdevKind::Loopback {
            continue;
        }
        let port = names::port_prefix(&node.name).is_some();
        let wired = port || !topology.out(id, EdgeKind::DeviceOf).is_empty();
        if let Some(host) = node.host.filter(|_| wired) {
            all.push(follow(topology, &mut chains, (&faults, &ways), host, id, &node.name));
        }
    }
    all
}

/// Findings that cut a way, by what they are about.
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
            let itself = |id: &NodeId| {
                let node = topology.node(*id);
                node.is_some_and(|it| finding.object.name.ends_with(it.name.as_str()))
                    || finding.object.kind == "vm-nic"
            };
            if let Some(node) = finding.node.filter(itself) {
                all.nodes.entry(node).or_insert(at);
            }
            for name in std::iter::once(&finding.object.name).chain(&finding.also) {
                let name = name.rsplit('/').next().unwrap_or(name);
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
        for name in &finding.also {
            let name = name.rsplit('/').next().unwrap_or(name);
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

fn follow<'t>(
    topology: &'t Topology<'_>,
    chains: &mut Chains<'t, '_>,
    (faults, ways): (&Faults, &Ways),
    host: HostId,
    start: NodeId,
    port: &str,
) -> Path {
    let tree = chains.down(start);
    let (steps, reach) = (Vec::new(), Reach::Nothing);
    let mut path = Path { host, start, steps, reach, broken_by: None, ends_early: false };
    let mut hops: &[Hop<'_>] = &tree;
    path.broken_by = faults.at(start);
    let mut reached = false;
    while path.broken_by.is_none() && path.steps.len() < MOST_HOPS {
        let [hop] = hops else {
            // Behind the switch ways part.
            reached |= !hops.is_empty() && !path.steps.is_empty();
            break;
        };
        path.broken_by = faults.at(hop.node);
        let state = match path.broken_by {
            Some(_) => State::Broken,
            None => state(topology, hop),
        };
        path.steps.push(Step { node: hop.node, state, beside: 0 });
        let is_bridge =
            matches!(topology.node(hop.node).map(|it| &it.data), Some(NodeData::OvsBridge(_)));
        reached |= is_bridge;
        if is_bridge || state == State::Broken {
            break;
        }
        hops = &hop.next;
    }
    // The fault may be of what is not there, or of the port as the switch knows it.
    if path.broken_by.is_none() {
        path.broken_by = faults.of_port(host, port);
    }
    let broken = path.steps.iter().any(|it| it.state == State::Broken);
    path.ends_early = !reached && !broken && path.broken_by.is_none();
    if reached {
        path.reach = Reach::Switch;
        if !broken && path.broken_by.is_none() {
            Beyond { topology, faults, ways, path: &mut path }.go(chains);
        }
    }
    path
}

/// Follows a way behind the switch.
struct Beyond<'t, 'a, 'p> {
    topology: &'t Topology<'a>,
    faults: &'p Faults,
    ways: &'p Ways,
    path: &'p mut Path,
}

impl<'t> Beyond<'t, '_, '_> {
    fn go(mut self, chains: &mut Chains<'t, '_>) {
        let Some(last) = self.path.steps.last().map(|it| it.node) else { return };
        let Some(node) = self.topology.node(last) else { return };
        if !matches!(node.data, NodeData::OvsBridge(_)) {
            return;
        }
        if node.name != INTEGRATION {
            self.wire(last, chains);
            return;
        }
        let Some(vlan) = self.vlan() else { return };
        let all = self.ways.of(self.path.host, vlan);
        let [out] = all.as_slice() else { return };
        let out = *out;
        for node in [Some(out.near), out.far].into_iter().flatten() {
            if !self.step(node, 0) {
                return;
            }
        }
        if out.far.is_none() {
            // The patch leads nowhere, and no finding says so.
            self.path.ends_early = true;
            return;
        }
        if self.step(out.bridge, 0) && !self.tunnels(out.bridge) {
            self.wire(out.bridge, chains);
        }
    }

    /// The VLAN of the port by which the way came to the switch.
    fn vlan(&self) -> Option<u16> {
        self.path.steps.iter().rev().find_map(|it| match &self.topology.node(it.node)?.data {
            NodeData::OvsPort(port) => {
                let mode = port.vlan_mode.as_ref().map_or("", |it| it.value.as_str());
                port.tag.as_ref().filter(|_| matches!(mode, "" | "access")).map(|it| it.value)
            }
            _ => None,
        })
    }

    /// Adds a hop; says whether the way goes on.
    fn step(&mut self, node: NodeId, beside: usize) -> bool {
        let fault = self.faults.beyond.get(&node).copied();
        let state = match (fault, self.usable(node)) {
            (Some(_), _) | (None, Some(false)) => State::Broken,
            (None, Some(true)) => State::Whole,
            (None, None) => State::Unknown,
        };
        self.path.broken_by = self.path.broken_by.or(fault);
        self.path.steps.push(Step { node, state, beside });
        state != State::Broken && self.path.steps.len() < MOST_HOPS
    }

    fn usable(&self, node: NodeId) -> Option<bool> {
        match self.topology.node(node).map(|it| &it.data) {
            // The agent's bridges have no use for their own device.
            Some(NodeData::Netdev(device)) => {
                device.admin_up().map(|up| up && device.carrier() != Some(false))
            }
            Some(NodeData::OvsInterface(it)) => Some(it.error.is_none()),
            _ => Some(true),
        }
    }

    /// The tunnels of a bridge: one that is whole stands for all. Says whether there are any.
    fn tunnels(&mut self, bridge: NodeId) -> bool {
        let topology = self.topology;
        let mut all: Vec<NodeId> = Vec::new();
        for (port, _) in topology.into(bridge, EdgeKind::OvsPortOf) {
            let interfaces = topology.into(port, EdgeKind::OvsInterfaceOf).into_iter();
            all.extend(
                interfaces
                    .map(|it| it.0)
                    .filter(|it| !topology.into(*it, EdgeKind::TunnelOf).is_empty()),
            );
        }
        all.sort_unstable();
        let whole =
            |it: &&NodeId| !self.faults.beyond.contains_key(it) && self.usable(**it) != Some(false);
        let Some(shown) = all.iter().find(whole).or(all.first()).copied() else { return false };
        self.step(shown, all.len() - 1);
        self.path.reach = Reach::Tunnels;
        true
    }

    /// From a provider bridge to its NIC.
    fn wire(&mut self, bridge: NodeId, chains: &mut Chains<'t, '_>) {
        let tree = chains.down(bridge);
        let mut hops: &[Hop<'_>] = &tree;
        while !hops.is_empty() {
            // One of several uplinks, or slaves of a bond, is enough.
            let whole = |it: &&Hop<'_>| self.is_whole(it);
            let Some(hop) = hops.iter().find(whole).or(hops.first()) else { return };
            let is_tunnel = matches!(
                self.topology.node(hop.node).map(|it| &it.data),
                Some(NodeData::TunnelEndpoint(_) | NodeData::RemoteHost(_))
            );
            if is_tunnel {
                self.path.reach = Reach::Tunnels;
                return;
            }
            if !self.step(hop.node, hops.len() - 1) {
                return;
            }
            let nic = self.topology.netdev(hop.node);
            let is_nic = |kind| matches!(kind, NetdevKind::Physical | NetdevKind::Bond);
            if nic.is_some_and(|it| is_nic(it.kind)) {
                self.path.reach = Reach::Wire;
            }
            hops = &hop.next;
        }
    }

    /// Whether no hop of the only way from here on is broken.
    fn is_whole(&self, hop: &Hop<'_>) -> bool {
        let mut at = Some(hop);
        for _ in 0..MOST_HOPS {
            let Some(hop) = at else { break };
            if self.faults.beyond.contains_key(&hop.node) || self.usable(hop.node) == Some(false) {
                return false;
            }
            at = match hop.next.as_slice() {
                [one] => Some(one),
                _ => None,
            };
        }
        true
    }
}

fn state(topology: &Topology<'_>, hop: &Hop<'_>) -> State {
    let usable = match topology.node(hop.node).map(|it| &it.data) {
        Some(NodeData::Netdev(device)) => {
            device.admin_up().map(|up| up && device.carrier() != Some(false))
        }
        _ => Some(true),
    };
    match usable {
        Some(false) => State::Broken,
        Some(true) if hop.edge.confidence > Confidence::Conventional => State::Whole,
        _ => State::Unknown,
    }
}
