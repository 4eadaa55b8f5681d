//! The way of each running VM port and each port of a namespace to its switch, up to the first
//! broken hop.
//!
//! The hops come from the topology, what breaks them from the findings: a fault on a hop, or, where
//! the way ends early, a fault of the same port. What lies behind a broken hop is not judged.
use std::collections::BTreeMap;

use tapline_model::capture::HostId;
use tapline_topology::chain::{Chains, Hop};
use tapline_topology::graph::{Confidence, NetdevKind};
use tapline_topology::{EdgeKind, NodeData, NodeId, Topology, names};

use super::finding::{Finding, Severity};
use super::run::Report;

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
}

/// One way.
#[derive(Clone, Debug)]
pub struct Path {
    /// Its host.
    pub host: HostId,
    /// The NIC of a VM, or the device in a namespace.
    pub start: NodeId,
    /// From the start to the switch.
    pub steps: Vec<Step>,
    /// Index in the report of the finding that breaks the way, if one does.
    pub broken_by: Option<usize>,
    /// The way ends before a switch, and no finding says why.
    pub ends_early: bool,
}

/// All ways: VMs first, in the order of the topology.
pub fn paths(topology: &Topology<'_>, report: &Report) -> Vec<Path> {
    let faults = Faults::of(topology, report);
    let mut chains = Chains::new(topology);
    let mut all = Vec::new();
    for (id, node) in topology.nodes() {
        let NodeData::VmNic(nic) = &node.data else { continue };
        let vm = topology.node(nic.vm).map(|it| &it.data);
        let runs = matches!(vm, Some(NodeData::Vm(vm)) if vm.active == Some(true));
        if let Some(host) = node.host.filter(|_| runs) {
            let target = nic.target.as_ref().map(|it| it.value.as_str()).unwrap_or_default();
            all.push(follow(topology, &mut chains, &faults, host, id, target));
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
            all.push(follow(topology, &mut chains, &faults, host, id, &node.name));
        }
    }
    all
}

/// Findings that cut a way, by what they are about.
struct Faults {
    nodes: BTreeMap<NodeId, usize>,
    /// By the neutron port or the device in the object's name.
    names: BTreeMap<(HostId, String), usize>,
}

impl Faults {
    fn of(topology: &Topology<'_>, report: &Report) -> Self {
        let mut all = Self { nodes: BTreeMap::new(), names: BTreeMap::new() };
        // Roots stand before what they explain: the first of several is the cause.
        for (at, finding) in report.findings.iter().enumerate() {
            if finding.severity < Severity::Error || !cuts(finding) {
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

    fn at(&self, node: NodeId) -> Option<usize> {
        self.nodes.get(&node).copied()
    }

    fn of_port(&self, host: HostId, name: &str) -> Option<usize> {
        let port = names::port_prefix(name).unwrap_or(name).to_owned();
        self.names.get(&(host, port)).copied()
    }
}

/// Whether a fault of this rule stops frames at the hop: two owners of an address, or a frame too
/// long, do not.
fn cuts(finding: &Finding) -> bool {
    let family = finding.rule.code.split('-').next().unwrap_or_default();
    matches!(family, "OVS" | "LBR" | "VM" | "VETH" | "NIC" | "NS" | "BOND")
        && !matches!(finding.rule.code, "OVS-003" | "OVS-008" | "OVS-017" | "LBR-002")
}

fn follow<'t>(
    topology: &'t Topology<'_>,
    chains: &mut Chains<'t, '_>,
    faults: &Faults,
    host: HostId,
    start: NodeId,
    port: &str,
) -> Path {
    let tree = chains.down(start);
    let mut path = Path { host, start, steps: Vec::new(), broken_by: None, ends_early: false };
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
        path.steps.push(Step { node: hop.node, state });
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
    path
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
