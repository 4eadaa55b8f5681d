//! Nodes that a person thinks of as one thing: a device, the OVS interface that it is, the port.
use std::collections::BTreeMap;

use tapline_topology::{EdgeKind, NodeData, NodeId, Topology};

/// Nodes that are one thing.
#[derive(Debug)]
pub(crate) struct Thing {
    /// What to call it by, and where its path starts.
    pub(crate) main: NodeId,
    /// All of it, in the order of the topology.
    pub(crate) nodes: Vec<NodeId>,
}

/// Joins the nodes found into things, in the order of their first node.
pub(crate) fn gather(topology: &Topology<'_>, found: &[NodeId]) -> Vec<Thing> {
    // Each node to the first node of its thing.
    let mut first: BTreeMap<NodeId, NodeId> = found.iter().map(|&id| (id, id)).collect();
    let mut changed = true;
    while changed {
        changed = false;
        for &id in found {
            for (other, edge, _) in topology.neighbours(id) {
                let one = matches!(
                    edge.kind,
                    EdgeKind::DeviceOf
                        | EdgeKind::OvsInterfaceOf
                        | EdgeKind::NicOf
                        | EdgeKind::TunnelOf
                ) || (edge.kind == EdgeKind::OvsPortOf && same_name(topology, id, other));
                let (Some(&a), Some(&b)) = (first.get(&id), first.get(&other)) else { continue };
                if one && a != b {
                    let (low, high) = (a.min(b), a.max(b));
                    first.insert(id, low);
                    first.insert(other, low);
                    first.insert(high, low);
                    changed = true;
                }
            }
        }
    }
    let mut things: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
    for (id, head) in first {
        things.entry(head).or_default().push(id);
    }
    let main = |nodes: &[NodeId]| nodes.iter().copied().min_by_key(|&id| rank(topology, id));
    things.into_values().filter_map(|nodes| Some(Thing { main: main(&nodes)?, nodes })).collect()
}

fn same_name(topology: &Topology<'_>, a: NodeId, b: NodeId) -> bool {
    let name = |id| topology.node(id).map(|node| &node.name);
    name(a) == name(b)
}

/// Which node of a thing gives it its name.
fn rank(topology: &Topology<'_>, id: NodeId) -> u8 {
    match topology.node(id).map(|node| &node.data) {
        Some(NodeData::Vm(_)) => 0,
        Some(NodeData::OvsBridge(_)) => 1,
        Some(NodeData::Netdev(_)) => 2,
        Some(NodeData::VmNic(_)) => 3,
        Some(NodeData::OvsInterface(_)) => 4,
        Some(NodeData::OvsPort(_)) => 5,
        _ => 6,
    }
}
