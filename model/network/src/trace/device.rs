//! Devices: what becomes of a frame that one receives, and of one that it is to send.
use tapline_core::ids::{Mac, Netns};
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, NodeId, Topic, names};

use crate::l2::Why;
use crate::{Answer, Item, l3, queues};

use super::netfilter::{Pass, Stage};
use super::{At, Certainty, Hop, Kind, Outcome, Reason, Walk, Way};
use crate::hooks::frames::Hook;

/// The public word for what keeps frames from passing.
pub(super) fn reason(why: &Why) -> Reason {
    match why {
        Why::Down | Why::BridgeDown(_) | Why::LowerDown(_) => Reason::IfAdminDown,
        Why::NoCarrier | Why::NoActiveMember | Why::DeadMember(_) | Why::FunctionDisabled => {
            Reason::IfNoCarrier
        }
        Why::NoFlow | Why::Dropped | Why::NotReturned => Reason::OfDrop,
        Why::NoForwarding | Why::NoReceiving => Reason::OfPortConfig,
        Why::MirrorPort => Reason::MirrorPort,
        Why::NotJoined(_) | Why::NoPeer(_) => Reason::PatchPeerMissing,
        Why::SpanningTree(_) => Reason::StpBlocking,
        Why::NoAnswer(_) | Why::OtherMac(_) => Reason::NeighFailed,
        Why::NoFarEnd => Reason::L2DeadEnd,
        Why::LeadsBack | Why::Duplicate(_) => Reason::TunnelNoRoute,
        Why::NoCounterpart(_) => Reason::TunnelNoReverse,
        Why::NotTaken { .. } => Reason::VniUnknownAtPeer,
        Why::Isolated | Why::NoBridge | Why::NoWayOut | Why::Locked => Reason::L2DeadEnd,
        Why::DeadVlan => Reason::DeadVlan,
        Why::Error | Why::NoPort => Reason::OfOutputNonexistent,
        Why::Filtered(_) => Reason::NfDrop,
        Why::Vlan(_) | Why::NoVlan | Why::FunctionVlan(_) => Reason::BridgeVlanNotMember,
    }
}

pub(super) type Device<'a> = Item<'a, Netdev<'a>>;

/// The line that lists a device.
pub(super) fn line(device: Device<'_>) -> Option<Evidence> {
    let of_record = device
        .data
        .records
        .first()
        .map(|seen| Evidence { source: seen.source, span: seen.record.name.span });
    of_record.or_else(|| device.place())
}

impl<'a> Walk<'_, '_, 'a> {
    /// The hop of a device.
    pub(super) fn device_hop(&self, device: Device<'a>, action: impl Into<String>) -> Hop {
        let mut hop = Hop::new(Kind::Device, self.place(device.id), action);
        hop.mtu = device.mtu.as_ref().map(|mtu| mtu.value);
        hop.cite(line(device));
        hop
    }

    /// Whether the kernel takes what a device receives though it is a port: Open vSwitch's own
    /// datapath reads frames from a socket (`netdev-linux`), and leaves the device to the kernel.
    fn is_left_to_kernel(&self, way: &Way, device: Device<'a>, bridge: &str) -> bool {
        let Some(bridge) = self.network.bridge_called(device.host, bridge) else { return false };
        let wanted = way.packet.mac_destination();
        let kind = bridge.datapath_type.as_ref().map_or("", |kind| kind.value.as_str());
        kind == "netdev"
            && device.kind != NetdevKind::Tap
            && wanted.is_some()
            && wanted == mac_of(device)
    }

    /// A device receives a frame from its far side: `__netif_receive_skb_core` hands it to a VLAN
    /// on top, to what the device belongs to, or to the stack.
    pub(super) fn receive(&mut self, mut way: Way, node: NodeId) {
        let Some(device) = self.device(node) else {
            let place = self.place(node);
            self.unknown(&mut way, place, Reason::NotCaptured, Vec::new());
            return;
        };
        if !self.passes(&mut way, node)
            || self.goes_round(&mut way, node)
            || !self.pass_queues(&mut way, device, queues::Hook::Ingress)
            || !self.pass_frames(&mut way, device, Hook::Ingress, (Some(node), None))
        {
            return;
        }
        let Some(vlans) = way.packet.vlans() else {
            let place = self.place(node);
            self.unknown(&mut way, place, Reason::PacketOpen, Vec::new());
            return;
        };
        if let Some(&vid) = vlans.first()
            && let Some(upper) = self.vlan_device(node, vid)
        {
            let before = way.packet.clone();
            way.packet.frame.pop_tag();
            let mut hop = self.device_hop(upper, format!("takes off VLAN {vid}"));
            hop.input = Some(device.name().into());
            hop.output = Some(upper.name().into());
            self.hop(&mut way, &before, hop);
            self.go(way, At::Receive(upper.id));
            return;
        }
        if let Some(interface) = self.network.interface_of(node)
            && interface.kind != "internal"
        {
            if self.is_left_to_kernel(&way, device, &interface.data.bridge) {
                self.copies(&mut way);
                let copy = Self::branch(&way, "to the kernel, which has the device too");
                self.hand_to_stack(copy, device, None);
            }
            self.go(way, At::Switch(interface.id));
            return;
        }
        if self.network.is_disputed(node) {
            let place = self.place(node);
            self.dispute(&mut way, place);
            return;
        }
        if let Some(master) = self.network.master(node) {
            match master.kind {
                NetdevKind::Bridge => {
                    self.go(way, At::Bridge { bridge: master.id, from: Some(node) });
                }
                NetdevKind::Bond | NetdevKind::Team => self.receive_on_member(way, device, master),
                // It may be a bridge, which takes the frame.
                NetdevKind::Unknown => {
                    let place = self.place(node);
                    let needs = Topic::LinkDetails.command(device.netns());
                    self.unknown(&mut way, place, Reason::NotCaptured, vec![needs]);
                }
                // A VRF, and what else leaves the frame to the stack of its member.
                _ => self.hand_to_stack(way, device, None),
            }
            return;
        }
        if self.belongs_elsewhere(&mut way, device) {
            return;
        }
        let Some(way) = self.hand_to_uppers(way, device) else { return };
        if device.kind == NetdevKind::Macvtap
            && let Some(nic) = self.guest_nic(node)
        {
            self.go(way, At::Guest(nic));
            return;
        }
        self.hand_to_stack(way, device, None);
    }

    /// A device that is in no bridge that is known: in one that was not captured, or the tap of a
    /// guest that is in none. Ends the way there.
    pub(super) fn belongs_elsewhere(&mut self, way: &mut Way, device: Device<'a>) -> bool {
        let place = self.place(device.id);
        let of_ovs = self.network.interface_of(device.id).is_some();
        if let Some(master) = &device.data.master {
            let needs = if names::is_ovs_datapath(&master.value) {
                if of_ovs {
                    return false;
                }
                self.network.missing(device.host, &Netns::Root, &[Topic::Ovs])
            } else {
                self.network.missing(device.host, device.netns(), &[Topic::Links])
            };
            self.unknown(way, place, Reason::NotCaptured, needs);
            return true;
        }
        let addressed = self
            .network
            .addresses_of(device.id)
            .iter()
            .any(|address| crate::defs::is_global(address.ip));
        let inner = matches!(device.kind, NetdevKind::Bridge | NetdevKind::Loopback);
        if of_ovs || addressed || inner || !device.netns().is_root() {
            return false;
        }
        // A short listing prints no master, and the datapath outside the kernel sets none.
        let whole = device.records.iter().any(|seen| seen.record.mtu.is_some());
        let mut needs = Vec::new();
        if !whole {
            needs.push(Topic::Links.command(device.netns()));
        }
        if self.network.runs_ovs(device.host) != Some(false) {
            needs.extend(self.network.missing(device.host, &Netns::Root, &[Topic::Ovs]));
        }
        if !needs.is_empty() {
            self.unknown(way, place, Reason::NotCaptured, needs);
            return true;
        }
        let tap = device.kind == NetdevKind::Tap && self.guest_nic(device.id).is_some();
        if tap {
            let reason = Reason::L2DeadEnd;
            self.lost(way, Outcome::Blackholed, reason, place, line(device));
        }
        tap
    }

    /// Hands a frame to the stack of the device's namespace, if it is for it.
    pub(super) fn hand_to_stack(&mut self, mut way: Way, device: Device<'a>, port: Option<NodeId>) {
        let place = self.place(device.id);
        if way.packet.vlans().is_some_and(|vlans| !vlans.is_empty()) {
            // No VLAN device of this number: the stack drops it.
            let whole = self.network.complete(device.host, device.netns(), Topic::LinkDetails);
            if whole {
                self.aside(&mut way, Reason::L2DeadEnd, place);
            } else {
                let needs =
                    self.network.missing(device.host, device.netns(), &[Topic::LinkDetails]);
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
            }
            return;
        }
        let own = mac_of(device);
        let wanted = way.packet.mac_destination();
        // What is for the port of a bridge that it comes in by is for the host (`eth_type_trans` by the
        // port, `br_handle_frame_finish` by its entry).
        let of_port = port.and_then(|port| self.device(port)).and_then(mac_of);
        let by_port = wanted.is_some() && wanted == of_port;
        match (wanted, own) {
            _ if by_port || is_of_layer3(device) => {}
            (Some(wanted), Some(own)) if wanted == own || wanted.is_multicast() => {}
            (Some(_), Some(own)) => {
                let pass = Pass::arriving(device, port);
                let asked = way.packet.unresolved;
                match asked.map(|ip| (ip, self.is_proxied(&way.packet, &pass, ip))) {
                    Some((ip, Answer::Known(Some(_)))) => {
                        // It answers ARP for what nobody else has (`proxy_arp`), so it is for it.
                        way.assume(&format!("{} answers ARP for {ip} (proxy_arp)", device.name()));
                        way.packet.unresolved = None;
                        let from = way.packet.mac_source();
                        way.packet.set_macs(from, Some(own));
                    }
                    Some((_, Answer::Unknown(needs))) => {
                        self.unknown(&mut way, place, Reason::NotCaptured, needs);
                        return;
                    }
                    // A copy for somebody else: `PACKET_OTHERHOST`.
                    _ => {
                        self.aside(&mut way, Reason::NotLocalNoForward, place);
                        return;
                    }
                }
            }
            (None, _) => {
                self.unknown(&mut way, place, Reason::NeighAbsent, Vec::new());
                return;
            }
            (Some(_), None) => {
                let needs = self.network.missing(device.host, device.netns(), &[Topic::Links]);
                self.may_stop(&mut way, place, Reason::NotCaptured, needs);
            }
        }
        if way.prerouted.is_none() {
            way.packet.enter_stack();
        }
        let pass = Pass::arriving(device, port);
        let pass = match (way.prerouted.take(), self.vrf_of(&pass)) {
            (Some(before), None | Some(l3::Domain::Default)) => {
                let Pass { entry, doubted, known, beside_said, tracked, .. } = *before;
                Pass { entry, doubted, known, beside_said, tracked, ..pass }.at(Stage::Route)
            }
            _ => pass,
        };
        self.go(way, At::Stack(pass));
    }

    pub(super) fn receive_on_member(&mut self, mut way: Way, member: Device<'a>, bond: Device<'a>) {
        let before = way.packet.clone();
        let mut hop = self.device_hop(bond, "member of the bond");
        hop.input = Some(member.name().into());
        hop.output = Some(bond.name().into());
        self.hop(&mut way, &before, hop);
        if let Some(evidence) = self.is_backup(member, bond) {
            let (place, reason) = (self.place(member.id), Reason::BondBackup);
            self.lost(&mut way, Outcome::Blackholed, reason, place, Some(evidence));
            return;
        }
        self.go(way, At::Receive(bond.id));
    }

    /// Whether a member waits in a bond of the mode `active-backup`, which drops what comes in by it
    /// (`bond_should_deliver_exact_match`, drivers/net/bonding).
    fn is_backup(&self, member: Device<'a>, bond: Device<'a>) -> Option<Evidence> {
        let mode = self.network.nics().bond_mode(&bond)?;
        let state = member.records.iter().find_map(|seen| {
            let state = seen.record.slave_state.as_ref()?;
            Some((state.value.to_ascii_lowercase(), state.evidence(seen.source)))
        });
        let (state, evidence) = state.filter(|_| mode.value == "active-backup")?;
        (state == "backup").then_some(evidence)
    }

    /// It leaves the host.
    pub(super) fn wire(&mut self, mut way: Way, node: NodeId) {
        let Some(device) = self.device(node) else { return };
        let before = way.packet.clone();
        let tags = way.packet.vlans().unwrap_or_default();
        let action = match tags.as_slice() {
            [] => "out on the wire, untagged".to_owned(),
            vlans => {
                let list: Vec<String> = vlans.iter().map(u16::to_string).collect();
                format!("out on the wire, VLAN {}", list.join(" in "))
            }
        };
        let mut hop = self.device_hop(device, action);
        hop.output = Some(device.name().into());
        self.hop(&mut way, &before, hop);
        if way.packet.inner.is_some() {
            self.cross(way, device);
            return;
        }
        let place = self.place(node);
        if let Some(own) = self.find_behind_wire(&way, device) {
            let reason = Reason::L2DeadEnd;
            self.lost(&mut way, Outcome::Blackholed, reason, place, line(own));
            if let Some(super::Node { part: super::Part::End(end), .. }) =
                self.tree.nodes.last_mut()
            {
                end.text = format!("it is for {}, and no switch sends it back", own.name());
            }
            return;
        }
        let reached = super::ends::Reached::Wire { packet: &before };
        let outcome = if self.goal.is_neighbour(self.network, &before) {
            Outcome::DeliveredOnLink
        } else {
            Outcome::LeavesCapture
        };
        self.arrive(&mut way, outcome, place, reached, Certainty::Proven, line(device));
    }

    pub(super) fn vlan_device(&self, lower: NodeId, vid: u16) -> Option<Device<'a>> {
        let upper = self.network.topology.into(lower, EdgeKind::StackedOn);
        upper
            .into_iter()
            .filter_map(|(id, _)| self.network.netdev(id))
            .find(|upper| upper.kind == NetdevKind::Vlan && crate::l2::vlan_of(*upper) == Some(vid))
    }

    /// The NIC of a guest that a device belongs to.
    pub(super) fn guest_nic(&self, device: NodeId) -> Option<NodeId> {
        let nics = self.network.topology.into(device, EdgeKind::AttachesVm);
        nics.first().map(|(nic, _)| *nic)
    }

    pub(super) fn dispute(&mut self, way: &mut Way, place: super::Place) {
        self.unknown(way, place, Reason::NotCaptured, Vec::new());
        if let Some(super::Node { part: super::Part::End(end), .. }) = self.tree.nodes.last_mut() {
            end.outcome = Outcome::Disputed;
            "captures disagree about what the device belongs to".clone_into(&mut end.text);
            end.certainty = Certainty::Disputed;
        }
    }
}

/// Whether a device has no addresses of links: GRE, IPIP and their kin, `tun`. What it receives is a
/// packet, whoever it is for.
fn is_of_layer3(device: Device<'_>) -> bool {
    let mut types = device.records.iter().filter_map(|seen| seen.record.link_type.as_deref());
    let is = |kind: &str| {
        matches!(kind, "gre" | "gre6" | "ipip" | "sit" | "tunnel" | "tunnel6" | "none")
    };
    matches!(device.kind, NetdevKind::Tunnel | NetdevKind::Tun) && types.any(is)
}

/// The MAC of a device.
pub(super) fn mac_of(device: Device<'_>) -> Option<Mac> {
    device.mac.as_ref().map(|mac| mac.value)
}

/// How sure an edge is, as a hop says it.
pub(super) fn certainty(of_edge: tapline_topology::graph::Confidence) -> Certainty {
    match of_edge {
        tapline_topology::graph::Confidence::Proven => Certainty::Proven,
        tapline_topology::graph::Confidence::Inferred => Certainty::Inferred,
        tapline_topology::graph::Confidence::Conventional => Certainty::Assumed,
    }
}
