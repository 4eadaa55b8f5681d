//! Frames on their way to the wire: in which VLAN they are, which ports of a bridge they go to, and
//! what flows of Open vSwitch do with them.
use std::collections::BTreeMap;

use tapline_core::ids::Mac;
use tapline_topology::graph::{Netdev, OvsBridge, OvsPort};
use tapline_topology::{EdgeKind, NodeId};

use super::{Frame, Paths};
use crate::Item;
use crate::l2::{self, Arriving, Passage, Sent};
use crate::steps::{Step, Towards};

impl<'t, 'a> Paths<'t, 'a> {
    /// Whether a frame may go from one node to another.
    pub(super) fn takes(&self, at: NodeId, node: NodeId, towards: Towards, frame: Frame) -> bool {
        let network = self.network;
        if towards == Towards::Wire
            && let Some((vlan, is_service)) = self.tag_taken(at, node)
        {
            return frame.vlan == Some(vlan) && frame.is_service == is_service;
        }
        let Some(bridge) = network.ovs_bridge(at) else { return true };
        let Some(port) = network.ovs_port(node) else { return true };
        let integration = network.is_integration(at);
        match towards {
            Towards::Wire => {
                if let Some(passage) = self.passage(frame) {
                    // What a flow sends to a port goes out there whatever the VLANs of the port.
                    let named = self.interfaces(node).any(|id| passage.outputs.contains_key(&id));
                    if named || !passage.normal {
                        return named;
                    }
                } else if let Some(program) = network.programs().of(at) {
                    let sends = self.interfaces(node).any(|port| program.outputs.contains(&port));
                    if !sends || !integration {
                        return sends;
                    }
                }
                if let Some(exits) = self.exits_of_datapath(frame) {
                    return self.interfaces(node).any(|interface| exits.contains_key(&interface));
                }
                let Some(vlan) = frame.vlan else { return self.have_common_vlan(frame, port) };
                let exit = self.interfaces(node).find_map(|id| network.exits().at(bridge.host, id));
                match exit {
                    Some(exit) if integration => {
                        network.exits().reached(bridge.host, vlan).contains(&exit)
                            && l2::carries(port.data, vlan)
                    }
                    _ => l2::carries(port.data, vlan),
                }
            }
            Towards::Guests => match (frame.through, l2::access_vlan(port.data)) {
                (Some(from), Some(vlan)) if integration => {
                    from == at || network.exits().may_carry(bridge.host, vlan, from)
                }
                _ => true,
            },
        }
    }

    /// Whether several of the exits of the integration bridge may be meant.
    pub(super) fn is_open(&self, at: NodeId, frame: Frame, steps: &[Step<'_>]) -> bool {
        let Some(bridge) = self.network.ovs_bridge(at) else { return false };
        if !self.network.is_integration(at) || self.exits_of_datapath(frame).is_some() {
            return false;
        }
        let exits = self.network.exits();
        match frame.vlan {
            Some(vlan) => {
                exits.ways(bridge.host, vlan).are_several()
                    || exits.reached(bridge.host, vlan).len() > 1
            }
            None => {
                // NORMAL sends by all ports of the bridge itself; of the bridges that are joined with
                // it, one goes on.
                let joined = steps.iter().filter(|(port, ..)| {
                    self.interfaces(*port).any(|id| exits.at(bridge.host, id).is_some())
                });
                let joined = joined.count();
                let has_own = usize::from(joined < steps.len());
                joined + exits.lost_of(bridge.host).len() + has_own > 1
            }
        }
    }

    /// What is known of the frame once it is at `node`.
    pub(super) fn frame_at(
        &mut self,
        (from, at, node): (Option<NodeId>, NodeId, NodeId),
        towards: Towards,
        frame: Frame,
    ) -> Frame {
        let network = self.network;
        match towards {
            Towards::Guests => match network.ovs_bridge(node) {
                Some(bridge) if !self.network.is_integration(node) => {
                    Frame { through: Some(bridge.id), ..Frame::default() }
                }
                _ if network.is_integration(at) => Frame { through: Some(at), ..Frame::default() },
                _ => frame,
            },
            Towards::Wire => {
                if let (Some(port), Some(bridge)) = (network.ovs_port(at), network.ovs_bridge(node))
                {
                    return self.onto_bridge(from, port, bridge, frame);
                }
                if let (Some(bridge), Some(_)) = (network.ovs_bridge(at), network.ovs_port(node)) {
                    let vlan = self.vlan_behind(bridge, node, frame);
                    let key = self.sent_by_flow(node, frame).and_then(|sent| sent.key);
                    let key = key.filter(|key| *key != 0);
                    return Frame { vlan, key, local: frame.local, ..Frame::default() };
                }
                if self.tag_taken(at, node).is_some() {
                    return Frame { vlan: frame.inner, inner: None, is_service: false, ..frame };
                }
                match network.netdev(at).and_then(tag_of) {
                    Some((vlan, is_service))
                        if network.netdev(node).is_some() && !self.is_bridged(at, node) =>
                    {
                        Frame { vlan: Some(vlan), is_service, inner: frame.vlan, ..frame }
                    }
                    _ => Frame { vlan: self.vlan_by_bridge(at, node, frame.vlan), ..frame },
                }
            }
        }
    }

    /// What is known of a frame that comes onto an OVS bridge by a port.
    fn onto_bridge(
        &mut self,
        from: Option<NodeId>,
        port: Item<'a, OvsPort>,
        bridge: Item<'a, OvsBridge>,
        frame: Frame,
    ) -> Frame {
        let network = self.network;
        let integration = network.is_integration(bridge.id);
        let access = l2::access_vlan(port.data);
        // What the host itself sends has no tag, unless a VLAN device gave it one; an access port
        // takes nothing else.
        let own = !integration && port.name() == bridge.name();
        let interface = from.filter(|from| network.ovs_interface(*from).is_some());
        let interface = interface.or_else(|| self.interfaces(port.id).next());
        // Of a guest that may tag its frames, those without a tag are followed.
        let is_of_guest = frame.vlan.is_none_or(|vlan| vlan == 0)
            && interface
                .and_then(|id| network.ovs_interface(id))
                .is_some_and(|interface| interface.kind != "patch");
        let given = l2::vlan_of_untagged(port.data).filter(|_| is_of_guest);
        let access = access.or(given);
        // What a port of OVN tags is dropped.
        let is_untagged = own
            || access.is_some()
            || network.datapaths().exits_of(port.id).is_some_and(|exits| !exits.is_empty());
        let wire = frame.vlan.or(is_untagged.then_some(0));
        let arriving = interface.map(|interface| Arriving {
            interface,
            vlan: wire,
            from: self.sender,
            to: None,
            key: None,
        });
        let passage = arriving.and_then(|arriving| self.ask(bridge, arriving));
        let to_groups = arriving.is_some_and(|arriving| self.to_groups.contains(&arriving));
        let vlan = match passage.and_then(|at| self.passages.get(at)) {
            // NORMAL gives what has no tag the VLAN of the port.
            Some(passage) => match passage.vlan {
                Some(0) => access.or(Some(0)),
                known => known,
            },
            None => {
                let exits = network.exits();
                let exit = exits.to(bridge.host, bridge.id).filter(|_| access.is_none());
                match (exit, frame.vlan) {
                    (Some(exit), Some(vlan)) => exits.vlan_behind(network, exit, vlan),
                    _ if own && !network.is_plain(bridge.id) => None,
                    _ => access.or(wire),
                }
            }
        };
        // A guest may tag what it sends by a port that takes tags, unless flows give it a VLAN.
        let is_given = passage.is_some() && vlan.is_some_and(|vlan| vlan != 0);
        let vlan = vlan.filter(|_| is_given || wire.is_some() || access.is_some());
        let local = if integration { vlan } else { frame.local };
        Frame { vlan, entry: Some(port.id), passage, local, to_groups, ..Frame::default() }
    }

    /// The tag that a VLAN device takes off what comes to it from the device that it stands on.
    fn tag_taken(&self, at: NodeId, node: NodeId) -> Option<(u16, bool)> {
        let below = self.network.topology.out(node, EdgeKind::StackedOn);
        let is_on = below.first().is_some_and(|(below, _)| *below == at);
        self.network.netdev(node).filter(|_| is_on).and_then(tag_of)
    }

    /// Whether a device is a port of a Linux bridge.
    pub(super) fn is_bridged(&self, port: NodeId, bridge: NodeId) -> bool {
        self.network.master(port).is_some_and(|master| master.id == bridge)
    }

    /// The VLAN of a frame behind a step: a Linux bridge that tells VLANs apart gives it that of the
    /// port where it has none, and takes the tag away at some ports.
    fn vlan_by_bridge(&self, at: NodeId, node: NodeId, vlan: Option<u16>) -> Option<u16> {
        let network = self.network;
        let vlans = |bridge: NodeId, port: NodeId| {
            let bridge = network.netdev(bridge)?;
            network.bridge_ports().vlans(port).filter(|_| network.filters_vlans(bridge))
        };
        if self.is_bridged(at, node) {
            return match (vlans(node, at), vlan) {
                (Some(vlans), Some(0)) => vlans.pvid,
                // In a single VLAN a guest's frames are in it, tagged or not, or are dropped.
                (Some(vlans), None) => vlans.pvid.filter(|_| vlans.is_single()),
                _ => vlan,
            };
        }
        if self.is_bridged(node, at) {
            return match vlans(at, node) {
                Some(vlans) if vlan.is_some_and(|vlan| vlans.leaves_untagged(vlan)) => Some(0),
                _ => vlan,
            };
        }
        vlan
    }

    /// How flows send a frame out by a port, where they name it.
    fn sent_by_flow(&self, port: NodeId, frame: Frame) -> Option<Sent> {
        let passage = self.passage(frame)?;
        self.interfaces(port).find_map(|id| passage.outputs.get(&id).copied())
    }

    pub(super) fn ask(&mut self, bridge: Item<'a, OvsBridge>, arriving: Arriving) -> Option<usize> {
        if let Some(known) = self.asked.get(&arriving) {
            return *known;
        }
        let answer = l2::passage(self.network, bridge, arriving);
        let at = answer.map(|passage| {
            self.passages.push(passage);
            self.passages.len() - 1
        });
        self.asked.insert(arriving, at);
        if at.is_none() && l2::is_left_to_groups(self.network, bridge, arriving) {
            self.to_groups.insert(arriving);
        }
        at
    }

    pub(super) fn passage(&self, frame: Frame) -> Option<&Passage> {
        self.passage_at(frame.passage?)
    }

    pub(super) fn passage_at(&self, at: usize) -> Option<&Passage> {
        self.passages.get(at)
    }

    /// Whether two trunks of an OVS bridge have a VLAN in common.
    pub(super) fn have_common_vlan(&self, frame: Frame, port: Item<'a, OvsPort>) -> bool {
        let Some(entry) = frame.entry.and_then(|entry| self.network.ovs_port(entry)) else {
            return true;
        };
        entry.data.trunks.is_empty()
            || entry.data.trunks.iter().any(|trunk| l2::carries(port.data, trunk.value))
    }

    /// The VLAN of what a Linux bridge that tells VLANs apart sends itself.
    pub(super) fn own_vlan(&self, bridge: NodeId) -> Option<u16> {
        let item = self.network.netdev(bridge)?;
        let vlans = self.network.bridge_ports().vlans(bridge)?;
        vlans.pvid.filter(|_| self.network.filters_vlans(item))
    }

    /// The VLAN on the wire of a frame that leaves a bridge by a port, 0 without a tag.
    fn vlan_behind(&self, bridge: Item<'a, OvsBridge>, port: NodeId, frame: Frame) -> Option<u16> {
        let network = self.network;
        if let Some(sent) = self.sent_by_flow(port, frame) {
            return sent.vlan;
        }
        let by_datapath = self.exits_of_datapath(frame).and_then(|exits| {
            self.interfaces(port).find_map(|interface| exits.get(&interface).copied())
        });
        if let Some(vlan) = by_datapath {
            return vlan;
        }
        let is_exit = self.interfaces(port).any(|id| network.exits().at(bridge.host, id).is_some());
        let keeps = self.passage(frame).is_some() || is_exit || network.is_plain(bridge.id);
        let vlan = frame.vlan.filter(|_| keeps)?;
        let untagged = l2::access_vlan(network.ovs_port(port)?.data) == Some(vlan);
        Some(if untagged { 0 } else { vlan })
    }

    /// The MAC of the end that frames come from.
    pub(super) fn sender_at(&self, start: NodeId) -> Option<Mac> {
        if let Some(nic) = self.network.vm_nic(start) {
            return nic.data.mac.as_ref().map(|mac| mac.value);
        }
        let device = self.network.netdev(start)?;
        device.mac.as_ref().map(|mac| mac.value).filter(|_| !device.netns().is_root())
    }

    /// The interfaces by which OVN sends the packets of the port that a frame came in by.
    pub(super) fn exits_of_datapath(
        &self,
        frame: Frame,
    ) -> Option<&'t BTreeMap<NodeId, Option<u16>>> {
        self.network.datapaths().exits_of(frame.entry?)
    }

    pub(super) fn interfaces(&self, port: NodeId) -> impl Iterator<Item = NodeId> + use<'t, 'a> {
        let all = self.network.topology.into(port, EdgeKind::OvsInterfaceOf);
        all.into_iter().map(|(id, _)| id)
    }
}

/// The VLAN of a VLAN device, and whether its tags are those of 802.1ad.
fn tag_of(device: Item<'_, Netdev<'_>>) -> Option<(u16, bool)> {
    let vlan = device.data.records.iter().find_map(|seen| seen.record.kind_data.vlan.as_ref())?;
    let is_service = vlan.protocol.as_ref().is_some_and(|protocol| protocol == "802.1ad");
    Some((vlan.id.value, is_service))
}
