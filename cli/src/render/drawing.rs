//! What DOT and Mermaid draw: clusters of boxes, and lines between boxes.
//!
//! A drawing is simpler than the topology. Hosts and namespaces are clusters, addresses stand in
//! the box of their device, an OVS interface in that of its port, a tunnel's end in that of its
//! interface.
use std::collections::{BTreeMap, BTreeSet};

use tapline_topology::graph::Confidence;
use tapline_topology::{CaptureKey, EdgeKind, NodeData, NodeId, Topology};

use super::escape::visible;
use super::node::{confidence_mark, facts, name};

/// A box.
#[derive(Debug)]
pub(crate) struct Item {
    /// Number: the identity in the drawing.
    pub(crate) id: usize,
    /// Shape class: `vm`, `bridge`, `port`, `remote`, `device`.
    pub(crate) class: &'static str,
    /// Lines of text, harmless for terminals but not yet escaped for the form.
    pub(crate) lines: Vec<String>,
}

/// A namespace of a host, or what lives in none.
#[derive(Debug)]
pub(crate) struct Group {
    /// Empty for what lives in no namespace.
    pub(crate) label: String,
    pub(crate) items: Vec<Item>,
}

/// A host.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Empty for what is on no captured host.
    pub(crate) label: String,
    pub(crate) groups: Vec<Group>,
}

/// A line.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) label: String,
    pub(crate) confidence: Confidence,
    /// Both ends are equal: veth, patch, tunnel.
    pub(crate) symmetric: bool,
}

/// Clusters and lines, in the order of the topology.
#[derive(Debug)]
pub(crate) struct Drawing {
    pub(crate) clusters: Vec<Cluster>,
    pub(crate) lines: Vec<Line>,
}

/// Simplifies the chosen part of the topology.
pub(crate) fn draw(topology: &Topology<'_>, chosen: &BTreeSet<NodeId>) -> Drawing {
    let boxes: BTreeMap<NodeId, NodeId> =
        chosen.iter().filter_map(|&id| Some((id, box_of(topology, id)?))).collect();
    // A box may stand for a chosen node without being chosen itself.
    let drawn: BTreeSet<NodeId> = boxes.values().copied().collect();
    // By host, in an order that is not that of the inputs.
    let mut order: Vec<NodeId> = drawn.into_iter().collect();
    order.sort_by_cached_key(|id| {
        let host = topology.node(*id).and_then(|node| node.host);
        let key = host.and_then(|host| CaptureKey::of(topology.snapshot, host));
        (key.is_none(), key, *id)
    });
    let numbers: BTreeMap<NodeId, usize> =
        order.iter().enumerate().map(|(n, &id)| (id, n)).collect();
    Drawing { clusters: clusters(topology, &numbers), lines: lines(topology, &boxes, &numbers) }
}

/// The node whose box a node is drawn in; `None` for what is not a box.
fn box_of(topology: &Topology<'_>, id: NodeId) -> Option<NodeId> {
    match &topology.node(id)?.data {
        NodeData::Host(_) | NodeData::Netns(_) | NodeData::RouteTable(_) => None,
        NodeData::Address(it) => Some(it.netdev),
        NodeData::TunnelEndpoint(it) => box_of(topology, it.owner).or(Some(id)),
        NodeData::OvsInterface(_) => {
            let (port, _) = topology.out(id, EdgeKind::OvsInterfaceOf).into_iter().next()?;
            match topology.node(port).map(|node| &node.data) {
                Some(NodeData::OvsPort(it)) if it.interfaces <= 1 => Some(port),
                _ => Some(id),
            }
        }
        _ => Some(id),
    }
}

fn clusters(topology: &Topology<'_>, numbers: &BTreeMap<NodeId, usize>) -> Vec<Cluster> {
    // What is on no captured host comes last.
    type Key = (bool, Option<u32>, String);
    let mut groups: BTreeMap<Key, Vec<Item>> = BTreeMap::new();
    for (&id, &number) in numbers {
        let Some(node) = topology.node(id) else { continue };
        let host = node.host.map(|host| host.0);
        let netns = node.netns.as_ref().map_or(String::new(), ToString::to_string);
        groups.entry((host.is_none(), host, netns)).or_default().push(item(topology, id, number));
    }
    let mut clusters: BTreeMap<(bool, Option<u32>), Cluster> = BTreeMap::new();
    for ((_, host, label), items) in groups {
        let cluster = clusters.entry((host.is_none(), host)).or_insert_with(|| {
            let host = host.and_then(|host| topology.snapshot.captured.hosts.get(host as usize));
            let label = host.map_or(String::new(), |host| visible(host.label()).into_owned());
            Cluster { label, groups: Vec::new() }
        });
        cluster.groups.push(Group { label: visible(&label).into_owned(), items });
    }
    clusters.into_values().collect()
}

fn item(topology: &Topology<'_>, id: NodeId, number: usize) -> Item {
    let mut lines = Vec::new();
    let mut class = "device";
    if let Some(node) = topology.node(id) {
        class = match &node.data {
            NodeData::Vm(_) | NodeData::VmNic(_) => "vm",
            NodeData::OvsBridge(_) => "bridge",
            NodeData::OvsPort(_) | NodeData::OvsInterface(_) => "port",
            NodeData::RemoteHost(_) => "remote",
            NodeData::Netdev(it) if it.kind.as_str() == "bridge" => "bridge",
            _ => "device",
        };
        let title = match &node.data {
            // The line to the bridge says which one it is.
            NodeData::OvsPort(_) | NodeData::OvsInterface(_) => node.name.to_string(),
            _ => name(topology, id),
        };
        lines.push(title);
        lines.extend(facts(topology, id));
    }
    let lines = lines
        .iter()
        .filter(|line| !line.is_empty())
        .map(|line| visible(line).into_owned())
        .collect();
    Item { id: number, class, lines }
}

fn lines(
    topology: &Topology<'_>,
    boxes: &BTreeMap<NodeId, NodeId>,
    numbers: &BTreeMap<NodeId, usize>,
) -> Vec<Line> {
    let mut seen = BTreeSet::new();
    let mut lines = Vec::new();
    for (from, edge, to) in topology.edges() {
        let end = |id| boxes.get(id).and_then(|it| numbers.get(it)).copied();
        let (Some(from), Some(to)) = (end(&from), end(&to)) else { continue };
        if from == to || !seen.insert((from, to, edge.kind)) {
            continue;
        }
        let symmetric =
            matches!(edge.kind, EdgeKind::VethPeer | EdgeKind::PatchPeer | EdgeKind::Tunnel);
        if symmetric && seen.contains(&(to, from, edge.kind)) {
            continue;
        }
        let label = match edge.kind {
            EdgeKind::VethPeer => "veth",
            EdgeKind::PatchPeer => "patch",
            EdgeKind::Tunnel => "tunnel",
            EdgeKind::StackedOn => "on",
            EdgeKind::FunctionOf => "virtual function",
            _ => "",
        };
        let mark = confidence_mark(edge.confidence);
        let label = format!("{label}{mark}");
        lines.push(Line { from, to, label, confidence: edge.confidence, symmetric });
    }
    lines
}
