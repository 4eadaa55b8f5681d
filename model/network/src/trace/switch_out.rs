//! Out of an OVS bridge: by a patch, by a device, by a tunnel.
use tapline_core::ids::Netns;
use tapline_core::records::openflow::OfField;
use tapline_topology::graph::{NodeData, OvsInterface};
use tapline_topology::{EdgeKind, NodeId, Presence, Topic};

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
        let stopped = network.stopped_by_switch(node).filter(|block| match block.why {
            Why::NoReceiving => false,
            // Of a patch it says that the peer is not there, which is said below.
            Why::Error | Why::NoPeer(_) => interface.kind != "patch",
            _ => true,
        });
        if let Some(block) = stopped {
            // Members have a carrier; it is the bond that sends by none.
            let reason = match block.why {
                Why::NoActiveMember => Reason::BondBackup,
                ref why => super::device::reason(why),
            };
            self.lost(&mut way, Outcome::Blackholed, reason, place, Some(block.evidence));
            return;
        }
        if self.stop_at_ovs && interface.kind != "patch" {
            let end =
                End::new(Outcome::LeavesCapture, "leaves the bridges of OVS", place, &way.packet);
            self.end(&mut way, end);
            return;
        }
        if interface.kind == "internal"
            && let Some(device) = network.device_of(node)
            && self.is_of_kernel(interface)
            && !self.fits(&mut way, device)
        {
            return;
        }
        match interface.kind.as_str() {
            "patch" => {
                let Some((peer, _)) = network.topology.peer(node, EdgeKind::PatchPeer) else {
                    let at = interface.error.as_ref().map(|error| error.evidence);
                    let at = at.or_else(|| interface.data.option("peer").map(|peer| peer.evidence));
                    let at = at.or_else(|| interface.place());
                    let reason = Reason::PatchPeerMissing;
                    // Both halves have to name each other: the one that names a third is wrong.
                    let other = self.half_of_patch(interface).and_then(|other| {
                        Some((self.place(other.id), other.data.option("peer")?.evidence))
                    });
                    let needs = network.missing(interface.host, &Netns::Root, &[Topic::Ovs]);
                    if other.is_none() && interface.error.is_none() && !needs.is_empty() {
                        self.unknown(&mut way, place, Reason::NotCaptured, needs);
                        return;
                    }
                    let (place, at) = match other {
                        Some((place, wrong)) => (place, Some(wrong)),
                        None => (place, at),
                    };
                    self.lost(&mut way, Outcome::Blackholed, reason, place, at);
                    return;
                };
                self.go(way, At::Switch(peer));
            }
            "internal" => match network.device_of(node) {
                // Of a flood nobody waits for the copy of a bridge's own device that is not in use.
                Some(device)
                    if interface.name() == interface.data.bridge.as_str()
                        && device.admin_up() == Some(false)
                        && (way.packet.is_multicast() == Some(true)
                            || way.packet.unresolved.is_some()) =>
                {
                    let place = self.place(device.id);
                    self.aside(&mut way, Reason::IfAdminDown, place);
                }
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

    /// The port that a patch names as its other half, where that names another one.
    fn half_of_patch(&self, interface: Item<'a, OvsInterface>) -> Option<Item<'a, OvsInterface>> {
        let peer = interface.data.option("peer")?;
        let mut ports = self.network.ovs_interfaces();
        ports.find(|port| {
            port.host == interface.host
                && port.name() == peer.value
                && port.kind == "patch"
                && port.data.option("peer").is_some_and(|back| back.value != interface.name())
        })
    }

    /// Whether the kernel switches for the bridge of an interface: it holds frames to the MTU of each
    /// port, of internal ones too (`ovs_vport_send`, net/openvswitch/vport.c).
    pub(super) fn is_of_kernel(&self, interface: Item<'a, OvsInterface>) -> bool {
        let bridge = self.network.bridge_called(interface.host, &interface.data.bridge);
        bridge.is_some_and(|bridge| defs::is_kernel_datapath(bridge.data))
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
