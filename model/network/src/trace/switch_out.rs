//! Out of an OVS bridge: by a patch, by a device, by a tunnel.
use tapline_core::records::openflow::OfField;
use tapline_topology::graph::{NodeData, OvsInterface};
use tapline_topology::{EdgeKind, NodeId, Presence};

use crate::l2::Why;
use crate::{Item, defs, flows};

use super::{At, Certainty, End, Outcome, Reason, Walk, Way, ends};

impl<'a> Walk<'_, '_, 'a> {
    /// A packet leaves a bridge by one of its interfaces.
    pub(super) fn leave_switch(&mut self, mut way: Way, node: NodeId) {
        let network = self.network;
        let Some(interface) = network.ovs_interface(node) else { return };
        let place = self.place(node);
        if self.is_without(node) {
            self.lost_in_gap(&mut way, place);
            return;
        }
        if self.stop_at_ovs && interface.kind != "patch" {
            let end =
                End::new(Outcome::LeavesCapture, "leaves the bridges of OVS", place, &way.packet);
            self.end(&mut way, end);
            return;
        }
        let stopped = network.stopped_by_switch(node).filter(|block| match block.why {
            Why::NoReceiving => false,
            // Of a patch it says that the peer is not there, which is said below.
            Why::Error => interface.kind != "patch",
            _ => true,
        });
        if let Some(block) = stopped {
            let reason = super::device::reason(&block.why);
            self.lost(&mut way, Outcome::Blackholed, reason, place, Some(block.evidence));
            return;
        }
        match interface.kind.as_str() {
            "patch" => {
                let Some((peer, _)) = network.topology.peer(node, EdgeKind::PatchPeer) else {
                    let at = interface.error.as_ref().map(|error| error.evidence);
                    let at = at.or_else(|| interface.data.option("peer").map(|peer| peer.evidence));
                    let at = at.or_else(|| interface.place());
                    let reason = Reason::PatchPeerMissing;
                    self.lost(&mut way, Outcome::Blackholed, reason, place, at);
                    return;
                };
                self.go(way, At::Switch(peer));
            }
            "internal" => match network.device_of(node) {
                Some(device) => self.go(way, At::Receive(device.id)),
                None => self.without_device(way, interface),
            },
            "" | "system" | "tap" => match network.device_of(node) {
                Some(device) => self.go(way, At::Send(device.id)),
                None => self.without_device(way, interface),
            },
            kind if kind.starts_with("dpdkvhost") => match self.guest_nic(node) {
                Some(nic) => self.go(way, At::Guest(nic)),
                None => self.unknown(&mut way, place, Reason::NotCaptured, Vec::new()),
            },
            kind if kind.starts_with("dpdk") => {
                let packet = way.packet.clone();
                let reached = ends::Reached::Wire { packet: &packet };
                let outcome = Outcome::LeavesCapture;
                self.arrive(&mut way, outcome, place, reached, Certainty::Proven, None);
            }
            _ => {
                let endpoint = network.topology.into(node, EdgeKind::TunnelOf);
                let Some(&(endpoint, _)) = endpoint.first() else {
                    self.unknown(&mut way, place, Reason::NotModelled, Vec::new());
                    return;
                };
                let fixed =
                    interface.data.option("out_key").or_else(|| interface.data.option("key"));
                let key = match fixed.map(|key| key.value.as_str()) {
                    Some("flow") => {
                        let known = way.packet.frame.known(OfField::TunId.whole());
                        known.and_then(|key| u64::try_from(key).ok())
                    }
                    Some(number) => number.parse().ok(),
                    None => Some(0),
                };
                let remote = match interface.data.option("remote_ip").map(|ip| ip.value.as_str()) {
                    Some("flow") => {
                        let to = way.packet.frame.known(OfField::TunDst.whole());
                        to.and_then(|to| u32::try_from(to).ok())
                            .map(|to| std::net::IpAddr::V4(to.into()))
                    }
                    _ => None,
                };
                self.go(way, At::Tunnel { endpoint, key, remote });
            }
        }
    }

    /// The database lists a port whose device nothing shows.
    pub(super) fn without_device(&mut self, mut way: Way, interface: Item<'a, OvsInterface>) {
        let place = self.place(interface.id);
        match defs::presence(self.network, interface.host, interface.name()) {
            Presence::No(searched) => {
                let at = searched.sources.first();
                let at = at.map(|(source, _)| flows::first_line(self.network, *source));
                let reason = Reason::OfOutputNonexistent;
                self.lost(&mut way, Outcome::Blackholed, reason, place, at);
            }
            Presence::Unknown(needs) => {
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
            }
            Presence::Yes(_) => self.unknown(&mut way, place, Reason::NotCaptured, Vec::new()),
        }
    }

    /// Puts a packet into a bridge of OVS without a device.
    pub(super) fn is_interface(&self, node: NodeId) -> bool {
        let node = self.network.topology.node(node);
        node.is_some_and(|node| matches!(node.data, NodeData::OvsInterface(_)))
    }
}
