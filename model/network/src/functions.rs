//! Virtual functions of NICs (SR-IOV) and what the NIC is told to do with each (ip-link(8), `vf`).
use tapline_core::capture::HostId;
use tapline_core::ids::Mac;
use tapline_core::records::link::Vf;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Fact, Netdev, VmNic};
use tapline_topology::{EdgeKind, NodeId};

use crate::l2::{Block, Why};
use crate::{Item, Network};

/// A virtual function.
#[derive(Clone, Copy, Debug)]
pub struct Function<'a> {
    /// The NIC that it is one of.
    pub nic: Item<'a, Netdev<'a>>,
    /// What the NIC says of it.
    pub vf: &'a Vf,
    /// The line.
    pub evidence: Evidence,
}

impl Function<'_> {
    /// Whether the NIC shows it no link, whatever its own is.
    pub fn is_disabled(&self) -> bool {
        let state = self.vf.other.find("link-state");
        state.is_some_and(|state| state.value.starts_with("disable"))
    }
}

impl<'a> Network<'a> {
    /// The virtual functions that NICs of the root namespace of a host list.
    pub fn functions_of(&self, host: HostId) -> Vec<Function<'a>> {
        let nics = self.netdevs_of(host).filter(|device| device.netns().is_root());
        nics.flat_map(functions_at).collect()
    }

    /// The function that a NIC of a VM is.
    pub fn function_of(&self, nic: NodeId) -> Option<Function<'a>> {
        let mac: Mac = self.vm_nic(nic)?.data.mac.as_ref()?.value;
        let (device, _) = *self.topology.out(nic, EdgeKind::FunctionOf).first()?;
        functions_at(self.netdev(device)?).into_iter().find(|function| function.vf.mac == Some(mac))
    }

    /// What the NIC does that mutes the function which a NIC of a VM is.
    pub(crate) fn function_stops(&self, nic: NodeId) -> Option<Block> {
        let function = self.function_of(nic)?;
        let why = if function.is_disabled() {
            Why::FunctionDisabled
        } else {
            let wanted = wanted_vlan(self.vm_nic(nic)?)?.value;
            let is_other = wanted != 0 && function.vf.vlan != Some(wanted);
            is_other.then_some(Why::FunctionVlan(wanted))?
        };
        Some(Block { why, evidence: function.evidence })
    }
}

/// The VLAN that the definition of a VM gives one of its NICs, where it is one.
pub fn wanted_vlan(nic: Item<'_, VmNic<'_>>) -> Option<Fact<u16>> {
    let xml = nic.data.xml?;
    match xml.record.vlans.as_slice() {
        [one] if !xml.record.vlan_trunk => {
            Some(Fact { value: one.value, evidence: one.evidence(xml.source) })
        }
        _ => None,
    }
}

/// Those of one NIC; each text lists them anew, so that the first counts.
fn functions_at<'a>(nic: Item<'a, Netdev<'a>>) -> Vec<Function<'a>> {
    let listed = nic.data.records.iter().find(|seen| !seen.record.vfs.is_empty());
    let Some(seen) = listed else { return Vec::new() };
    let function =
        |vf: &'a Vf| Function { nic, vf, evidence: Evidence { source: seen.source, span: vf.at } };
    seen.record.vfs.iter().map(function).collect()
}
