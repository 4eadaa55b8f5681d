//! What OVN's databases say of a thing: its port, network, router, what is translated into it, who may
//! reach it, and where each of them is.
mod balancer;
mod chassis;
mod port;
mod router;
mod switch;
mod view;

use schemars::JsonSchema;
use serde::Serialize;
use tapline_core::span::Evidence;
use tapline_network::Network;
use tapline_topology::graph::LogicalKind;
use tapline_topology::{EdgeKind, NodeData, NodeId, Topology};

use crate::overview::Cite;
use crate::render::things::Thing;
use view::View;
pub(crate) use view::title;

/// Entries of one sort that are listed: ports of a network, rules, translations.
const MOST: usize = 12;

/// A line of the story.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Told {
    /// How deep it stands below the line that it belongs to.
    pub(crate) depth: usize,
    /// In words.
    pub(crate) text: String,
    /// The row that says so.
    pub(crate) at: Option<Cite>,
}

/// Lines as they are gathered.
struct Story<'v, 'n, 'a> {
    view: &'v View<'n, 'a>,
    lines: Vec<Told>,
    all: bool,
}

impl Story<'_, '_, '_> {
    fn tell(&mut self, depth: usize, text: impl Into<String>, at: Option<Evidence>) {
        let snapshot = self.view.topology().snapshot;
        let at = at.and_then(|at| Cite::of(snapshot, at));
        self.lines.push(Told { depth, text: text.into(), at });
    }

    /// How many entries of a sort are told.
    fn most(&self) -> usize {
        if self.all { usize::MAX } else { MOST }
    }

    /// Says how many entries were left out.
    fn more(&mut self, depth: usize, count: usize) {
        if count > self.most() {
            self.tell(depth, format!("and {} more with --all", count - self.most()), None);
        }
    }
}

/// The objects of OVN that a thing is, or that are plugged into it.
pub(crate) fn objects(topology: &Topology<'_>, thing: &Thing) -> Vec<NodeId> {
    let mut found = Vec::new();
    let mut open: Vec<(NodeId, u8)> =
        thing.nodes.iter().chain([&thing.main]).map(|&id| (id, 0)).collect();
    let mut seen = std::collections::BTreeSet::new();
    while let Some((id, depth)) = open.pop() {
        if depth > 4 || !seen.insert(id) {
            continue;
        }
        let Some(node) = topology.node(id) else { continue };
        let mut go = |all: Vec<(NodeId, &tapline_topology::Edge)>| {
            open.extend(all.into_iter().map(|(id, _)| (id, depth + 1)));
        };
        match &node.data {
            NodeData::Logical(_) => found.push(id),
            NodeData::Vm(_) => go(topology.into(id, EdgeKind::NicOf)),
            NodeData::VmNic(_) => go(topology.out(id, EdgeKind::AttachesVm)),
            NodeData::Netdev(_) => {
                go(topology.out(id, EdgeKind::DeviceOf));
                let peer = topology.peer(id, EdgeKind::VethPeer);
                go(peer.into_iter().collect());
            }
            NodeData::OvsInterface(_) | NodeData::OvsPort(_) => {
                go(topology.into(id, EdgeKind::PluggedInto));
                go(topology.out(id, EdgeKind::OvsInterfaceOf));
            }
            NodeData::Netns(_) => go(topology.into(id, EdgeKind::InNamespace)),
            _ => {}
        }
    }
    found.sort_unstable();
    found
}

/// What is physical of an object: the OVS interface or port that a host has for it, its host.
pub(crate) fn physical(topology: &Topology<'_>, id: NodeId) -> Vec<NodeId> {
    let mut all = Vec::new();
    for kind in [EdgeKind::PluggedInto, EdgeKind::ChassisOf] {
        all.extend(topology.out(id, kind).into_iter().map(|(id, _)| id));
    }
    all
}

/// The NIC of a VM that has a logical port.
pub(crate) fn guest_of(topology: &Topology<'_>, port: NodeId) -> Option<NodeId> {
    topology.out(port, EdgeKind::PluggedInto).into_iter().find_map(|(interface, _)| {
        let devices = topology.into(interface, EdgeKind::DeviceOf).into_iter().map(|(id, _)| id);
        devices
            .chain([interface])
            .find_map(|id| topology.into(id, EdgeKind::AttachesVm).first().map(|(nic, _)| *nic))
    })
}

/// Tells what OVN's databases say of a thing.
pub(crate) fn story(network: &Network<'_>, thing: &Thing, all: bool) -> Vec<Told> {
    let topology = network.topology;
    let objects = objects(topology, thing);
    if objects.is_empty() {
        return Vec::new();
    }
    let view = View::new(network);
    let mut story = Story { view: &view, lines: Vec::new(), all };
    for id in objects.iter().copied().take(story.most()) {
        let Some(logical) = topology.logical(id) else { continue };
        match logical.kind {
            LogicalKind::SwitchPort => port::tell(&mut story, id),
            LogicalKind::Switch => switch::tell(&mut story, id, 0, None),
            LogicalKind::Router => router::tell(&mut story, id),
            LogicalKind::RouterPort => router::tell_port(&mut story, id),
            LogicalKind::LoadBalancer => balancer::tell(&mut story, id),
            LogicalKind::Chassis => chassis::tell(&mut story, id),
        }
    }
    story.more(0, objects.len());
    story.lines
}
