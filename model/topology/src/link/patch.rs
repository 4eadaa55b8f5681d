//! Patch ports: a pair is one only where each names the other
//! (`vswitchd/vswitch.xml`, `options:peer`).
use tapline_core::ids::Netns;

use super::Texts;
use crate::coverage::Topic;
use crate::graph::{
    Confidence, Conflict, ConflictKind, EdgeKind, NodeId, Topology, Witness, WitnessClass,
};

/// Adds the patch edges of one host.
pub(crate) fn link(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    let Some(keys) = topology.keys.host(texts.host) else { return };
    let interfaces: Vec<NodeId> = keys.ovs_interfaces.values().copied().collect();
    let complete = topology.coverage.is_complete(texts.host, &Netns::Root, Topic::Ovs);
    for id in interfaces {
        let Some((peer_name, witness)) = claim(topology, id) else { continue };
        let peer = topology.find_ovs_interface(texts.host, &peer_name);
        let back = peer.and_then(|peer| claim(topology, peer));
        let name = topology.node(id).map(|node| node.name.clone()).unwrap_or_default();
        match (peer, back) {
            (Some(peer), Some((back, other))) if back == name && peer != id => {
                // One edge a pair, from the lower node.
                if id < peer {
                    let both = vec![witness, other];
                    topology.connect(id, peer, EdgeKind::PatchPeer, Confidence::Proven, both);
                }
            }
            (Some(peer), back) => {
                let witnesses = [witness].into_iter().chain(back.map(|(_, it)| it)).collect();
                let nodes = vec![id, peer];
                topology.conflicts.push(Conflict {
                    kind: ConflictKind::PatchPeer,
                    nodes,
                    witnesses,
                });
            }
            (None, _) if complete => {
                let (nodes, witnesses) = (vec![id], vec![witness]);
                topology.conflicts.push(Conflict {
                    kind: ConflictKind::PatchPeer,
                    nodes,
                    witnesses,
                });
            }
            // The rest of the database was not captured.
            (None, _) => {}
        }
    }
}

/// The peer that a patch interface names.
fn claim(topology: &Topology<'_>, id: NodeId) -> Option<(tapline_core::Name, Witness)> {
    let data = topology.ovs_interface(id)?;
    let peer = data.option("peer").filter(|_| data.kind == "patch")?;
    let words = format!("peer={}", peer.value);
    Some((peer.value.clone(), Witness::at(WitnessClass::Daemon, peer.evidence, words)))
}
