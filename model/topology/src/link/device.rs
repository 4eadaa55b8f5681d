//! Which device is the one behind an OVS interface.
//!
//! vswitchd works in the root namespace, so there the name is enough. Internal ports may have
//! been moved: then name, index and MAC are compared in all captured namespaces. The index in the
//! database decides between equal names; where nothing decides there is no edge.
use tapline_core::ids::Netns;

use super::Texts;
use crate::graph::{
    Confidence, Conflict, ConflictKind, EdgeKind, NetdevKind, NodeId, Topology, Witness,
    WitnessClass,
};
use crate::names;

/// Adds the edges from devices to OVS interfaces of one host.
pub(crate) fn link(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    let interfaces: Vec<(tapline_core::Name, NodeId)> = match topology.keys.host(texts.host) {
        Some(keys) => keys.ovs_interfaces.iter().map(|(name, id)| (name.clone(), *id)).collect(),
        None => return,
    };
    for (name, interface) in interfaces {
        let Some(data) = topology.ovs_interface(interface) else { continue };
        if !data.has_netdev() {
            continue;
        }
        let mut candidates: Vec<Candidate> = topology
            .find_netdevs(texts.host, &name)
            .iter()
            .filter_map(|&id| candidate(topology, interface, id))
            .collect();
        let Some(best) = candidates.iter().map(|candidate| candidate.score).max() else { continue };
        candidates.retain(|candidate| candidate.score == best);
        match candidates.as_slice() {
            [one] => {
                let (device, confidence) = (one.device, one.confidence);
                let witnesses = one.witnesses.clone();
                topology.connect(device, interface, EdgeKind::DeviceOf, confidence, witnesses);
            }
            several => {
                let nodes = [interface]
                    .into_iter()
                    .chain(several.iter().map(|several| several.device))
                    .collect();
                let witnesses =
                    several.iter().flat_map(|several| several.witnesses.clone()).collect();
                let kind = ConflictKind::DeviceAmbiguous;
                topology.conflicts.push(Conflict { kind, nodes, witnesses });
            }
        }
    }
}

struct Candidate {
    device: NodeId,
    /// Better is higher.
    score: u8,
    confidence: Confidence,
    witnesses: Vec<Witness>,
}

/// How well a device of the same name fits; `None` where it cannot be.
fn candidate(topology: &Topology<'_>, interface: NodeId, device: NodeId) -> Option<Candidate> {
    let node = topology.node(device)?;
    let netdev = topology.netdev(device)?;
    let data = topology.ovs_interface(interface)?;
    let root = node.netns.as_ref().is_none_or(Netns::is_root);
    // Only internal ports can leave the namespace of vswitchd and stay ports.
    if netdev.stub || !(root || data.kind == "internal") {
        return None;
    }
    let mut witnesses = Vec::new();
    let mut keys = 0;
    let mut against = false;
    if let Some(first) = node.seen.first() {
        witnesses.push(Witness::at(WitnessClass::Name, *first, format!("same name {}", node.name)));
    }
    if let (Some(told), Some(index)) = (&data.ifindex, &netdev.index) {
        if told.value == index.value {
            keys += 1;
            let words = format!("ifindex {}", told.value);
            witnesses.push(Witness::at(WitnessClass::Daemon, told.evidence, words));
        } else {
            against = true;
        }
    }
    if let (Some(told), Some(mac)) = (&data.mac_in_use, &netdev.mac)
        && told.value == mac.value
    {
        keys += 1;
        let words = format!("mac_in_use {}", told.value);
        witnesses.push(Witness::at(WitnessClass::Daemon, told.evidence, words));
    }
    let by_kernel = match &netdev.master {
        Some(master) if names::is_ovs_datapath(&master.value) => {
            let words = format!("master {}", master.value);
            witnesses.push(Witness::at(WitnessClass::Kernel, master.evidence, words));
            true
        }
        _ => netdev.kind == NetdevKind::OvsInternal && data.kind == "internal",
    };
    if let (NetdevKind::OvsInternal, Some(evidence)) = (netdev.kind, netdev.kind_evidence) {
        let printed = netdev.records.iter().any(|record| record.source == evidence.source);
        if printed {
            witnesses.push(Witness::at(WitnessClass::Kernel, evidence, "internal port of OVS"));
        }
    }
    if root {
        // Another index: the port was moved away and its name was used again, or was made anew
        // between the two commands.
        let score = if against { u8::from(by_kernel) } else { 10 + keys };
        let confidence = if against { Confidence::Inferred } else { Confidence::Proven };
        return Some(Candidate { device, score, confidence, witnesses });
    }
    let fits = keys + u8::from(by_kernel);
    let confidence = match (against, fits) {
        (false, 2..) => Confidence::Proven,
        (_, 1..) => Confidence::Inferred,
        _ => Confidence::Conventional,
    };
    let score = if against { fits.min(1) } else { 2 + fits };
    Some(Candidate { device, score, confidence, witnesses })
}
