//! What is wrong at a hop of a path: the finding that cuts it, else what blocks it by its own state.
//!
//! `show`, `graph` and `lint --paths` all ask here, so that they cross the same hops.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;
use tapline_core::span::Evidence;
use tapline_network::Network;
use tapline_network::l2::{Block, Why};
use tapline_network::path::{Hop, Link, Paths};
use tapline_topology::{EdgeKind, NodeData, NodeId, Topology, names};

use super::State;
use crate::lint::engine::finding::{Finding, Role, Severity};
use crate::lint::engine::rule::Cut;
use crate::lint::engine::run::Report;
use crate::lint::engine::subject::Subject;

/// What stops frames at a hop.
#[derive(Clone, Debug)]
pub enum Cross<'r> {
    /// A finding of the report.
    Finding(&'r Finding),
    /// The state of the hop itself.
    Block(Block),
}

/// The findings that cut paths, by the node at which they do.
#[derive(Debug)]
pub struct Marks<'n, 'a, 'r> {
    network: &'n Network<'a>,
    faults: Faults,
    report: &'r Report,
}

impl<'n, 'a, 'r> Marks<'n, 'a, 'r> {
    /// Those of a report.
    pub fn new(network: &'n Network<'a>, report: &'r Report) -> Self {
        Self { network, faults: Faults::of(network.topology, report), report }
    }

    /// The network that the paths are of.
    pub fn network(&self) -> &'n Network<'a> {
        self.network
    }

    /// What stops frames at a hop, on one side of the switch: what was found first, for that is the
    /// cause.
    pub fn at(&self, hop: &Hop<'_>, behind_switch: bool) -> Option<Cross<'r>> {
        let found = self.faults.at_hop(self.network, hop, behind_switch);
        let found = found.and_then(|at| self.report.findings.get(at)).map(Cross::Finding);
        found.or_else(|| hop.block().cloned().map(Cross::Block))
    }

    /// The same for the thing that a path starts from.
    pub fn at_start(&self, start: NodeId) -> Option<Cross<'r>> {
        let behind_switch = self.network.ovs_bridge(start).is_some();
        let found = self.finding_at(start, behind_switch).map(Cross::Finding);
        let block = || self.network.passes_both_ways(start).known().flatten();
        found.or_else(|| block().map(Cross::Block))
    }

    /// The finding that stops frames at a node.
    pub fn finding_at(&self, node: NodeId, behind_switch: bool) -> Option<&'r Finding> {
        self.report.findings.get(self.faults.cut(self.network, node, behind_switch)?)
    }

    /// The finding that stops the frames of a start though no hop of its path is marked with it: what
    /// it is about is not there, or it is about the flows of a bridge that others pass.
    pub fn missing(&self, start: NodeId) -> Option<Missing<'r>> {
        let host = self.network.topology.node(start)?.host?;
        let mut finder = Paths::new(self.network);
        let tree = finder.down(start);
        let path = super::follow(&tree, self.network, &self.faults, (host, start), None);
        let found = path.broken_by?;
        let finding = self.report.findings.get(found)?;
        let last = path.steps.last();
        let broken = path.steps.iter().find(|step| step.state == State::Broken);
        let at_hop = broken.is_some_and(|step| {
            let is_marked = self.faults.at(step.node) == Some(found);
            !is_marked && self.faults.bridge_of(found).is_some()
        });
        if broken.is_some() && !at_hop || self.faults.at(start).is_some() {
            return None;
        }
        Some(Missing { node: last.map_or(start, |step| step.node), finding, at_hop })
    }
}

/// A finding that stops the frames of a start and stands at no hop for all that pass it.
#[derive(Clone, Copy, Debug)]
pub struct Missing<'r> {
    /// The last hop that the frames come to.
    pub node: NodeId,
    /// The finding.
    pub finding: &'r Finding,
    /// The hop itself stops them; else what would lead on from it is not there.
    pub at_hop: bool,
}

/// Findings that cut a path, by what they are about.
#[derive(Debug)]
pub(super) struct Faults {
    nodes: BTreeMap<NodeId, usize>,
    /// The same behind the integration bridge, where patches and tunnels count too.
    beyond: BTreeMap<NodeId, usize>,
    /// By the neutron port or the device in the object's name.
    names: BTreeMap<(HostId, String), usize>,
    /// The bridge, or its tunnel, for those about a port whose cause is in one.
    of_bridges: BTreeMap<usize, NodeId>,
    /// By the lines that they cite first of all.
    cited: BTreeMap<Evidence, usize>,
    /// Those that follow from others.
    consequences: BTreeSet<usize>,
}

impl Faults {
    pub(super) fn of(topology: &Topology<'_>, report: &Report) -> Self {
        let (nodes, beyond) = (BTreeMap::new(), BTreeMap::new());
        let (names, of_bridges) = (BTreeMap::new(), BTreeMap::new());
        let (cited, consequences) = (BTreeMap::new(), BTreeSet::new());
        let mut all = Self { nodes, beyond, names, of_bridges, cited, consequences };
        // Roots stand before what they explain: the first of several is the cause.
        for (at, finding) in report.findings.iter().enumerate() {
            if finding.severity < Severity::Error || finding.may_pass {
                continue;
            }
            if !finding.is_root() {
                all.consequences.insert(at);
            }
            for cited in finding.evidence.iter().filter(|cited| cited.role == Role::Primary) {
                all.cited.entry(cited.evidence).or_insert(at);
            }
            let cuts = finding.rule.traits.cuts;
            if cuts.contains(&Cut::BehindSwitch) {
                all.add_beyond(topology, at, finding);
            }
            if !cuts.contains(&Cut::ToSwitch) {
                continue;
            }
            let is_bridge = |id: &NodeId| {
                let node = topology.node(*id).map(|node| &node.data);
                matches!(node, Some(NodeData::OvsBridge(_)))
            };
            let bridge = finding.node.filter(is_bridge);
            // Where the flows of a bridge leave out one of its tunnels, that alone is cut.
            let is_tunnel = |id: &NodeId| {
                topology
                    .node(*id)
                    .is_some_and(|node| matches!(node.data, NodeData::OvsInterface(_)))
                    && !topology.into(*id, EdgeKind::TunnelOf).is_empty()
            };
            let tunnel = finding.nodes.iter().copied().find(is_tunnel);
            let cause = bridge.map(|bridge| tunnel.unwrap_or(bridge));
            all.of_bridges.extend(cause.map(|cause| (at, cause)));
            // A finding about what is not there stands at something near it; one about a port whose
            // cause is in a bridge stands where frames of the port come to that.
            let subject = finding.subject.id();
            if let Some(node) = subject.filter(|node| bridge.is_none_or(|bridge| bridge == *node)) {
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

    /// On the side of the guests.
    pub(super) fn at(&self, node: NodeId) -> Option<usize> {
        self.nodes.get(&node).copied()
    }

    /// The finding that cuts a path at a hop, on one side of the switch: one about its node, else one
    /// about what is not there to lead on.
    pub(super) fn at_hop(
        &self,
        network: &Network<'_>,
        hop: &Hop<'_>,
        behind_switch: bool,
    ) -> Option<usize> {
        let cut = self.cut(network, hop.node, behind_switch);
        // What is wrong with a bridge is why it leads these frames nowhere.
        let of_bridge = || {
            let block = hop.block().filter(|_| behind_switch)?;
            let is_of_bridge = matches!(block.why, Why::Dropped | Why::NoFlow | Why::NoWayOut);
            self.at(hop.node).filter(|_| is_of_bridge)
        };
        // So is what cites the very line that drops them.
        let of_line = || {
            let block = hop.block()?;
            let is_dropped = matches!(block.why, Why::Filtered(_) | Why::Dropped | Why::NoWayOut);
            self.cited.get(&block.evidence).copied().filter(|_| is_dropped)
        };
        cut.or_else(of_bridge)
            .or_else(of_line)
            .or_else(|| self.cut_at_far_end(network, hop))
            .or_else(|| {
                let Why::NotJoined(missed) = &hop.block()?.why else { return None };
                let bridge = network.ovs_bridge(hop.node)?;
                let missed = network.bridge_called(bridge.host, missed)?;
                let of_missed = |id: &NodeId| {
                    let interface = network.ovs_interface(*id);
                    *id == missed.id
                        || interface.is_some_and(|interface| {
                            interface.kind == "patch"
                                && interface.host == missed.host
                                && interface.bridge == missed.name()
                        })
                };
                let about = self.beyond.iter().filter(|(id, _)| of_missed(id));
                about.map(|(_, at)| *at).min()
            })
    }

    /// The finding about the far end of a tunnel, whose interface or device is not on the path. What
    /// only follows from something is told where that is: at the NIC below, say.
    fn cut_at_far_end(&self, network: &Network<'_>, hop: &Hop<'_>) -> Option<usize> {
        let Link::Edge(edge) = hop.link else { return None };
        let far = network.tunnel(hop.node).filter(|_| edge.kind == EdgeKind::Tunnel)?;
        // What another capture shows was so at its time.
        if network.may_be_outdated(far.host) {
            return None;
        }
        self.beyond.get(&far.data.owner).copied().filter(|at| !self.consequences.contains(at))
    }

    /// The finding that cuts a path at a node, on one side of the switch.
    pub(super) fn cut(
        &self,
        network: &Network<'_>,
        node: NodeId,
        behind_switch: bool,
    ) -> Option<usize> {
        let beyond = || self.beyond.get(&node).copied();
        if behind_switch {
            return beyond();
        }
        // A tunnel leads out of a Linux bridge as well.
        let is_tunnel = || {
            let topology = network.topology;
            network.tunnel(node).is_some()
                || !topology.into(node, EdgeKind::TunnelOf).is_empty()
                || !topology.out(node, EdgeKind::TunnelOf).is_empty()
        };
        self.at(node).or_else(|| beyond().filter(|_| is_tunnel()))
    }

    /// The bridge in which a finding about a port has its cause, where it is in one: the frames of the
    /// port may come to it behind the switch only.
    pub(super) fn bridge_of(&self, finding: usize) -> Option<NodeId> {
        self.of_bridges.get(&finding).copied()
    }

    pub(super) fn of_port(&self, host: HostId, name: &str) -> Option<usize> {
        let port = names::port_prefix(name).unwrap_or(name).to_owned();
        self.names.get(&(host, port)).copied()
    }
}
