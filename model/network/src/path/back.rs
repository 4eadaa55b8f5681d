//! Whether what comes back by the way of a frame gets to where the frame came from, and whether the
//! far end of a tunnel has anybody who takes it.
use tapline_core::capture::HostId;
use tapline_core::span::Evidence;
use tapline_topology::graph::{NetdevKind, OvsInterface, OvsPort, TunnelEndpoint};
use tapline_topology::{EdgeKind, NodeId};

use super::{Frame, Paths};
use crate::l2::{self, Arriving, Block, Passage, Sent, Why};
use crate::{Answer, Item, mesh, overlay};

/// How a frame came over an OVS bridge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Crossing {
    bridge: NodeId,
    /// The port that it came in by.
    entry: NodeId,
    /// The port that it left by.
    exit: NodeId,
}

impl<'a> Paths<'_, 'a> {
    /// The crossing of the bridge that a frame leaves with this step.
    pub(super) fn crossing(&self, at: NodeId, node: NodeId, frame: Frame) -> Option<Crossing> {
        self.network.ovs_bridge(at)?;
        self.network.ovs_port(node)?;
        Some(Crossing { bridge: at, entry: frame.entry?, exit: node })
    }

    /// What keeps answers from coming back by a step towards the wire.
    pub(super) fn not_returned(
        &mut self,
        (from, at, node): (Option<NodeId>, NodeId, NodeId),
        frame: Frame,
        next: Frame,
    ) -> Option<Block> {
        if let Some(crossing) = self.crossing(at, node, frame) {
            let lost = self.not_delivered(crossing);
            return lost.or_else(|| self.not_returned_by_switch(crossing, next));
        }
        if self.network.tunnel(at).is_some() {
            return self.not_taken(at, node, frame);
        }
        self.not_returned_by_bridge((from?, at, node), frame.vlan?)
    }

    /// Whether frames pass a hop from which nothing leads on: packets of a tunnel do not end in a bridge
    /// of their host, and answers have to come back to where the frames are from.
    pub(super) fn ends_here(
        &self,
        (at, node): (NodeId, NodeId),
        frame: Frame,
        passes: Answer<Option<Block>>,
    ) -> Answer<Option<Block>> {
        if !matches!(passes, Answer::Known(None)) {
            return passes;
        }
        if !self.inside.is_empty() {
            return match self.network.is_bare(node) {
                Answer::Known(bare) => {
                    Answer::Known(bare.map(|evidence| Block { why: Why::NoWayOut, evidence }))
                }
                Answer::Unknown(needs) => Answer::Unknown(needs),
            };
        }
        let is_switch = self.network.ovs_bridge(node).is_some();
        let entry = frame.entry.filter(|entry| is_switch && *entry == at);
        let crossing = entry.map(|entry| Crossing { bridge: node, entry, exit: entry });
        Answer::Known(crossing.and_then(|crossing| self.not_delivered(crossing)))
    }

    /// A port of OVN that no flow sends to: whatever is meant for it is lost.
    fn not_delivered(&self, crossing: Crossing) -> Option<Block> {
        self.network.datapaths().exits_of(crossing.entry)?;
        let program = self.network.programs().of_ovn(crossing.bridge)?;
        let is_sent_to =
            self.interfaces(crossing.entry).any(|port| program.outputs.contains(&port));
        let block = Block { why: Why::NotReturned, evidence: program.evidence };
        (!is_sent_to).then_some(block)
    }

    /// What flows do with whatever comes in by the port that a frame leaves the host by, in the VLAN
    /// and with the tunnel key that it leaves with: on this bridge, and on those that it crossed before.
    fn not_returned_by_switch(&mut self, crossing: Crossing, next: Frame) -> Option<Block> {
        if self.leads_to_bridge(crossing.exit) {
            return None;
        }
        let mut crossings = self.crossings.clone();
        crossings.push(crossing);
        let (mut vlan, mut key) = (next.vlan, next.key);
        while let Some(crossing) = crossings.pop() {
            match self.back_over(crossing, vlan, key)? {
                Ok(sent) => vlan = sent.vlan,
                Err(evidence) => return Some(Block { why: Why::NotReturned, evidence }),
            }
            key = None;
            let before = crossings.last()?;
            if !self.are_joined(before.exit, crossing.entry) {
                return None;
            }
        }
        None
    }

    /// How what comes in by the exit of a crossing leaves by its entry, or the place that says that it
    /// does not; `None` where that is not known.
    fn back_over(
        &mut self,
        crossing: Crossing,
        vlan: Option<u16>,
        key: Option<u64>,
    ) -> Option<Result<Sent, Evidence>> {
        let network = self.network;
        let bridge = network.ovs_bridge(crossing.bridge)?;
        let (exit, entry) = (network.ovs_port(crossing.exit)?, network.ovs_port(crossing.entry)?);
        let mut lost = None;
        for interface in self.interfaces(exit.id).collect::<Vec<_>>() {
            let asked =
                self.ask(bridge, Arriving { interface, vlan, from: None, to: self.sender, key })?;
            let passage = self.passage_at(asked)?;
            if passage.controller {
                return None;
            }
            if let Some(sent) = self.sent_to(passage, (exit, entry)) {
                return Some(Ok(sent));
            }
            lost.get_or_insert(passage.evidence);
        }
        lost.map(Err)
    }

    /// How what comes in by one port of a bridge leaves by another, where it does.
    fn sent_to(
        &self,
        passage: &Passage,
        (port, other): (Item<'a, OvsPort>, Item<'a, OvsPort>),
    ) -> Option<Sent> {
        if let Some(sent) = self.interfaces(other.id).find_map(|id| passage.outputs.get(&id)) {
            return Some(*sent);
        }
        if !passage.normal {
            return None;
        }
        let Some(vlan) = (match passage.vlan {
            Some(0) => l2::vlan_of_untagged(port.data).or(Some(0)),
            known => known,
        }) else {
            return Some(Sent { vlan: None, key: None });
        };
        let leaves = l2::carries(port.data, vlan) && l2::carries(other.data, vlan);
        let is_untagged = l2::vlan_of_untagged(other.data) == Some(vlan);
        leaves.then_some(Sent { vlan: Some(if is_untagged { 0 } else { vlan }), key: None })
    }

    /// Whether what leaves by a port comes to another bridge of the host, or may.
    fn leads_to_bridge(&self, port: NodeId) -> bool {
        self.interfaces(port).any(|id| {
            let device = self.network.device_of(id);
            self.network.ovs_interface(id).is_none_or(|interface| interface.kind == "patch")
                || device.is_some_and(|device| device.kind == NetdevKind::Veth)
        })
    }

    /// Whether two ports are the ends of a patch.
    fn are_joined(&self, a: NodeId, b: NodeId) -> bool {
        self.interfaces(a).any(|end| {
            let peer = self.network.topology.peer(end, EdgeKind::PatchPeer);
            peer.is_some_and(|(peer, _)| self.interfaces(b).any(|other| other == peer))
        })
    }

    /// A Linux bridge that tells VLANs apart: what leaves by a port without a tag comes back in the
    /// VLAN of its PVID, and is lost where it has none or the port before is not in that VLAN.
    fn not_returned_by_bridge(
        &self,
        (from, at, node): (NodeId, NodeId, NodeId),
        vlan: u16,
    ) -> Option<Block> {
        let network = self.network;
        network.netdev(at).filter(|bridge| network.filters_vlans(*bridge))?;
        if !self.is_bridged(from, at) || !self.is_bridged(node, at) {
            return None;
        }
        let vlans = network.bridge_ports();
        let (before, there) = (vlans.vlans(from)?, vlans.vlans(node)?);
        let evidence = there.evidence?;
        let is_lost =
            there.leaves_untagged(vlan) && !there.pvid.is_some_and(|pvid| before.contains(pvid));
        is_lost.then_some(Block { why: Why::NotReturned, evidence })
    }

    /// What keeps the host that a tunnel of Open vSwitch leads to from taking a frame.
    fn not_taken(&mut self, tunnel: NodeId, far: NodeId, frame: Frame) -> Option<Block> {
        let network = self.network;
        let own = network.tunnel(tunnel)?;
        let host = network.topology.node(far)?.host.filter(|host| *host != own.host)?;
        network.ovs_interface(own.data.owner)?;
        let is_cleaned = [own.host, host].into_iter().any(|host| mesh::is_cleaned(network, host));
        if is_cleaned || !network.are_comparable(own.host, host) {
            return None;
        }
        self.dropped_by_far_bridge(own, host, frame).or_else(|| self.unknown_key(own, host, frame))
    }

    /// The flows there drop whatever comes by each tunnel that may take what this one sends, whatever its
    /// key is, though guests are in the same bridge. Without guests nobody there waits for it.
    fn dropped_by_far_bridge(
        &mut self,
        own: Item<'a, TunnelEndpoint>,
        host: HostId,
        frame: Frame,
    ) -> Option<Block> {
        let mut evidence = None;
        for interface in overlay::far::listeners(self.network, own, (host, frame.key)) {
            let has_guests = self.has_guests(host, &interface.data.bridge);
            let passage = self.passage_of_tunnel(interface, host, None)?;
            if !has_guests || !passage.is_drop() {
                return None;
            }
            evidence.get_or_insert(passage.evidence);
        }
        Some(Block { why: Why::Dropped, evidence: evidence? })
    }

    /// Whether taps are in a bridge of Open vSwitch.
    fn has_guests(&self, host: HostId, bridge: &str) -> bool {
        let network = self.network;
        let mut ports = network.ovs_ports_of(host).filter(|port| port.data.bridge == bridge);
        ports.any(|port| {
            self.interfaces(port.id).any(|interface| {
                let device = network.device_of(interface);
                device.is_some_and(|device| device.kind == NetdevKind::Tap)
            })
        })
    }

    /// What the flows of a bridge do with a frame that comes in by one of its tunnels.
    fn passage_of_tunnel(
        &mut self,
        interface: Item<'a, OvsInterface>,
        host: HostId,
        key: Option<u64>,
    ) -> Option<&Passage> {
        let network = self.network;
        let port = network.topology.find_ovs_port(host, &interface.data.port);
        let port = network.ovs_port(port?)?;
        let bridge = network.bridge_called(host, &port.data.bridge)?;
        let vlan = Some(0);
        let arriving = Arriving { interface: interface.id, vlan, from: None, to: None, key };
        let asked = self.ask(bridge, arriving)?;
        self.passage_at(asked)
    }

    /// The host has ports of the network of a frame, and its flows bring them nothing that comes by the
    /// tunnel with the key of the frame.
    fn unknown_key(
        &mut self,
        own: Item<'a, TunnelEndpoint>,
        host: HostId,
        frame: Frame,
    ) -> Option<Block> {
        let network = self.network;
        let (vlan, key) = (frame.local?, frame.key?);
        let vlans = network.vlans_of_same_network((own.host, vlan), host);
        if vlans.is_empty() {
            return None;
        }
        let remote = own.data.remote.as_ref()?.value;
        let mut lost = None;
        for interface in overlay::far::listeners(network, own, (host, Some(key))) {
            let passage = self.passage_of_tunnel(interface, host, Some(key))?;
            let is_other =
                |vlan: Option<u16>| vlan.is_some_and(|vlan| vlan != 0 && !vlans.contains(&vlan));
            let is_lost = passage.outputs.values().all(|sent| is_other(sent.vlan))
                && (!passage.normal || is_other(passage.vlan))
                && !passage.controller;
            if !is_lost {
                return None;
            }
            lost.get_or_insert(passage.evidence);
        }
        let name = overlay::far::key_name(&own.data.kind);
        Some(Block { why: Why::NotTaken { name, key, by: remote }, evidence: lost? })
    }
}
