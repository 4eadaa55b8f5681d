//! Virtual functions that were handed over to VMs: no device of the host is left of one, but its NIC
//! lists it with the MAC that the VM sends with (`ip link`, the lines `vf N`; rtnl_fill_vfinfo,
//! net/core/rtnetlink.c).
use std::collections::BTreeMap;

use tapline_core::ids::{Mac, Netns};
use tapline_core::span::Evidence;

use super::Texts;
use crate::graph::{Confidence, EdgeKind, NodeData, NodeId, Topology, Witness, WitnessClass};

/// Adds an edge from each NIC of a VM without a device to the NIC that lists a function with its MAC,
/// where one alone does.
pub(crate) fn link(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    let mut listed: BTreeMap<Mac, Vec<(NodeId, u32, Evidence)>> = BTreeMap::new();
    let mut nics: Vec<(NodeId, Mac, Evidence)> = Vec::new();
    for (id, node) in topology.nodes().filter(|(_, node)| node.host == Some(texts.host)) {
        match &node.data {
            NodeData::Netdev(device) if node.netns.as_ref().is_some_and(Netns::is_root) => {
                // Each text lists them anew.
                let Some(seen) = device.records.iter().find(|seen| !seen.record.vfs.is_empty())
                else {
                    continue;
                };
                for function in &seen.record.vfs {
                    let Some(mac) = function.mac.filter(|mac| *mac != Mac([0; 6])) else {
                        continue;
                    };
                    let line = Evidence { source: seen.source, span: function.at };
                    listed.entry(mac).or_default().push((id, function.vf, line));
                }
            }
            NodeData::VmNic(nic) if nic.target.is_none() => {
                nics.extend(nic.mac.as_ref().map(|mac| (id, mac.value, mac.evidence)));
            }
            _ => {}
        }
    }
    for (nic, mac, evidence) in nics {
        let Some([(device, number, line)]) = listed.get(&mac).map(Vec::as_slice) else { continue };
        let witnesses = vec![
            Witness::at(WitnessClass::Join, *line, format!("vf {number} link/ether {mac}")),
            Witness::at(WitnessClass::Join, evidence, format!("mac {mac}")),
        ];
        topology.connect(nic, *device, EdgeKind::FunctionOf, Confidence::Inferred, witnesses);
    }
}
