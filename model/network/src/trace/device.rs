//! Devices: what becomes of a frame that one receives, and of one that it is to send.
use tapline_core::ids::{Mac, Netns};
use tapline_core::span::Evidence;
use tapline_topology::graph::{ConflictKind, Netdev, NetdevKind};
use tapline_topology::{EdgeKind, NodeId, Topic, names};

use crate::l2::Why;
use crate::{Item, uplink};

use super::netfilter::Pass;
use super::{At, Certainty, Hop, Kind, Outcome, Reason, Walk, Way};

/// The public word for what keeps frames from passing.
pub(super) fn reason(why: &Why) -> Reason {
    match why {
        Why::Down => Reason::IfAdminDown,
        Why::NoCarrier => Reason::IfNoCarrier,
        Why::SpanningTree(_) => Reason::StpBlocking,
        Why::Isolated => Reason::L2DeadEnd,
        Why::DeadVlan => Reason::DeadVlan,
        Why::Error => Reason::OfOutputNonexistent,
        Why::Vlan(_) => Reason::BridgeVlanNotMember,
    }
}

type Device<'a> = Item<'a, Netdev<'a>>;

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

    /// A device receives a frame from its far side: `__netif_receive_skb_core` hands it to a VLAN
    /// on top, to what the device belongs to, or to the stack.
    pub(super) fn receive(&mut self, mut way: Way, node: NodeId) {
        let Some(device) = self.device(node) else {
            let place = self.place(node);
            self.unknown(&mut way, place, Reason::NotCaptured, Vec::new());
            return;
        };
        if Self::has_program(device) {
            let place = self.place(node);
            self.unknown(&mut way, place, Reason::Ebpf, Vec::new());
            return;
        }
        if !self.passes(&mut way, node) {
            return;
        }
        if self.goes_round(&mut way, node) {
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
                // A VRF, and what else leaves the frame to the stack of its member.
                _ => self.hand_to_stack(way, device, None),
            }
            return;
        }
        if self.belongs_elsewhere(&mut way, device) {
            return;
        }
        let before_macvlan = self.upper_macvlans(node);
        let wanted = way.packet.mac_destination();
        if let Some(upper) =
            before_macvlan.iter().find(|upper| wanted.is_some() && mac_of(**upper) == wanted)
        {
            self.go(way, At::Receive(upper.id));
            return;
        }
        if way.packet.is_multicast() == Some(true) && !before_macvlan.is_empty() {
            self.copies(&mut way);
            for upper in &before_macvlan {
                let copy = Self::branch(&way, format!("to {}", upper.name()));
                self.go(copy, At::Receive(upper.id));
            }
            let copy = Self::branch(&way, "to the device itself");
            self.hand_to_stack(copy, device, None);
            return;
        }
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
    fn belongs_elsewhere(&mut self, way: &mut Way, device: Device<'a>) -> bool {
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
        match (wanted, own) {
            (Some(wanted), Some(own)) if wanted == own || wanted.is_multicast() => {}
            (Some(_), Some(_)) => {
                // A copy for somebody else: `PACKET_OTHERHOST`.
                self.aside(&mut way, Reason::NotLocalNoForward, place);
                return;
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
        way.packet.enter_stack();
        let pass = Pass::arriving(device, port);
        self.go(way, At::Stack(pass));
    }

    /// A device sends a frame.
    pub(super) fn send(&mut self, mut way: Way, node: NodeId) {
        let Some(device) = self.device(node) else {
            let place = self.place(node);
            self.unknown(&mut way, place, Reason::NotCaptured, Vec::new());
            return;
        };
        if !self.passes(&mut way, node) || !self.fits(&mut way, device) {
            return;
        }
        if let Some(interface) = self.network.interface_of(node)
            && interface.kind == "internal"
        {
            self.go(way, At::Switch(interface.id));
            return;
        }
        match device.kind {
            NetdevKind::Veth => self.send_veth(way, device),
            NetdevKind::Tap | NetdevKind::Tun => self.send_tap(way, device),
            NetdevKind::Bridge => self.go(way, At::Bridge { bridge: node, from: None }),
            NetdevKind::Bond | NetdevKind::Team => self.send_bond(way, device),
            NetdevKind::Vlan => self.send_vlan(way, device),
            NetdevKind::Macvlan | NetdevKind::Macvtap | NetdevKind::Ipvlan => {
                self.send_macvlan(way, device);
            }
            NetdevKind::Tunnel => self.send_tunnel(way, device),
            NetdevKind::Physical => self.go(way, At::Wire(node)),
            NetdevKind::Loopback => self.go(way, At::Receive(node)),
            NetdevKind::Dummy => {
                let place = self.place(node);
                self.lost(&mut way, Outcome::Blackholed, Reason::L2DeadEnd, place, line(device));
            }
            _ if self.network.veth_peer(node).is_some() => self.send_veth(way, device),
            _ if self.guest_nic(node).is_some() => self.send_tap(way, device),
            _ if uplink::is_uplink(&device) => self.go(way, At::Wire(node)),
            _ => {
                let place = self.place(node);
                let needs =
                    self.network.missing(device.host, device.netns(), &[Topic::LinkDetails]);
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
            }
        }
    }

    /// A frame that is too long for a device is dropped without a word; routing told its sender
    /// before, if it came from there.
    fn fits(&mut self, way: &mut Way, device: Device<'a>) -> bool {
        let Some(size) = way.packet.size else { return true };
        let Some(mtu) = &device.mtu else {
            let place = self.place(device.id);
            let needs = self.network.missing(device.host, device.netns(), &[Topic::Links]);
            self.may_stop(way, place, Reason::NotCaptured, needs);
            return true;
        };
        if size <= mtu.value {
            return true;
        }
        let place = self.place(device.id);
        self.lost(way, Outcome::Blackholed, Reason::MtuExceededL2, place, Some(mtu.evidence));
        false
    }

    fn send_veth(&mut self, mut way: Way, device: Device<'a>) {
        let Some(peer) = self.network.veth_peer(device.id) else {
            // What a container or a laboratory has for a NIC.
            if names::is_nic(device.name()) {
                self.go(way, At::Wire(device.id));
                return;
            }
            let place = self.place(device.id);
            let missing = self.network.topology.conflicts.iter().find(|conflict| {
                conflict.kind == ConflictKind::VethPeerMissing
                    && conflict.nodes.contains(&device.id)
            });
            if let Some(conflict) = missing {
                let evidence = conflict.witnesses.first().map(|witness| witness.evidence);
                let reason = Reason::VethPeerMissing;
                self.lost(&mut way, Outcome::Blackholed, reason, place, evidence);
                return;
            }
            let mut needs = self.network.missing(device.host, device.netns(), &[Topic::Links]);
            if needs.is_empty() {
                needs.push(Topic::LinkDetails.command(device.netns()));
            }
            self.unknown(&mut way, place, Reason::NotCaptured, needs);
            return;
        };
        let edge = self.network.topology.peer(device.id, EdgeKind::VethPeer);
        let before = way.packet.clone();
        if peer.netns() != device.netns() {
            // `skb_scrub_packet`: marks do not leave their namespace.
            way.packet.set_mark(crate::filter::Mark::NONE);
        }
        let action = if peer.netns() == device.netns() {
            format!("veth pair to {}", peer.name())
        } else {
            format!("veth pair into {}", peer.netns())
        };
        let mut hop = self.device_hop(device, action);
        hop.input = Some(device.name().into());
        hop.output = Some(peer.name().into());
        hop.cite(line(peer));
        if let (Some(mtu), Some(far)) = (hop.mtu, &peer.mtu) {
            hop.mtu = Some(mtu.min(far.value));
        }
        if let Some((_, edge)) = edge {
            hop.certainty = certainty(edge.confidence);
        }
        if peer.stub && names::is_nic(device.name()) {
            self.go(way, At::Wire(device.id));
            return;
        }
        if peer.stub {
            self.unknown(&mut way, self.place(peer.id), Reason::NotCaptured, Vec::new());
            return;
        }
        self.hop(&mut way, &before, hop);
        self.go(way, At::Receive(peer.id));
    }

    fn send_tap(&mut self, mut way: Way, device: Device<'a>) {
        if let Some(nic) = self.guest_nic(device.id) {
            let before = way.packet.clone();
            let mut hop = self.device_hop(device, "to the guest");
            hop.input = Some(device.name().into());
            self.hop(&mut way, &before, hop);
            self.go(way, At::Guest(nic));
            return;
        }
        // What a laboratory has for a NIC.
        if names::is_nic(device.name()) {
            self.go(way, At::Wire(device.id));
            return;
        }
        let place = self.place(device.id);
        let mut needs = self.network.missing(device.host, device.netns(), &[Topic::DomainXml]);
        if needs.is_empty() {
            needs.push(tapline_core::need::Need::command("ls -l /proc/*/fd /proc/*/fdinfo"));
        }
        self.unknown(&mut way, place, Reason::NotCaptured, needs);
    }

    fn send_vlan(&mut self, mut way: Way, device: Device<'a>) {
        let lower = self.network.topology.out(device.id, EdgeKind::StackedOn);
        let vid = vlan_of(device);
        let (Some(vid), Some((lower, _))) = (vid, lower.first()) else {
            let place = self.place(device.id);
            let needs = vec![Topic::LinkDetails.command(device.netns())];
            self.unknown(&mut way, place, Reason::NotCaptured, needs);
            return;
        };
        let before = way.packet.clone();
        way.packet.frame.push_tag();
        way.packet.frame.set_vlan(vid);
        let mut hop = self.device_hop(device, format!("puts on VLAN {vid}"));
        hop.input = Some(device.name().into());
        hop.output = Some(self.name(*lower));
        self.hop(&mut way, &before, hop);
        self.go(way, At::Send(*lower));
    }

    fn send_macvlan(&mut self, mut way: Way, device: Device<'a>) {
        let lower = self.network.topology.out(device.id, EdgeKind::StackedOn);
        let Some(&(lower, _)) = lower.first() else {
            let place = self.place(device.id);
            let needs = vec![Topic::LinkDetails.command(device.netns())];
            self.unknown(&mut way, place, Reason::NotCaptured, needs);
            return;
        };
        let mode = device.data.records.iter().find_map(|seen| seen.record.kind_data.mode.as_ref());
        let siblings = self.upper_macvlans(lower);
        let bridged = mode.is_some_and(|mode| mode.value == "bridge");
        let wanted = way.packet.mac_destination();
        let sibling = siblings
            .iter()
            .find(|other| other.id != device.id && wanted.is_some() && mac_of(**other) == wanted);
        let before = way.packet.clone();
        let mut hop = self.device_hop(device, "to the device below");
        hop.input = Some(device.name().into());
        if let Some(sibling) = sibling.filter(|_| bridged) {
            hop.output = Some(sibling.name().into());
            self.hop(&mut way, &before, hop);
            self.go(way, At::Receive(sibling.id));
            return;
        }
        hop.output = Some(self.name(lower));
        self.hop(&mut way, &before, hop);
        self.go(way, At::Send(lower));
    }

    /// The member of a bond that sends: the active one, else any of those that work.
    fn send_bond(&mut self, mut way: Way, bond: Device<'a>) {
        let members: Vec<Device<'a>> = self.network.members(bond.id);
        let active = bond.data.records.iter().find_map(|seen| {
            let data = seen.record.kind_data.bond.as_ref()?;
            Some((data.active_slave.as_ref()?.value.clone(), seen.source))
        });
        let from_proc = self.network.nics().bond(bond.id).map(|(source, _)| source);
        // Where the active one is taken away, any of the others takes its place.
        let gone = |name: &str| {
            members.iter().any(|member| member.name() == name && self.is_without(member.id))
        };
        let active = active.filter(|(name, _)| !gone(name));
        let working: Vec<_> = members
            .iter()
            .filter(|member| member.usable() != Some(false) && !self.is_without(member.id))
            .filter(|member| active.as_ref().is_none_or(|(name, _)| member.name() == name.as_str()))
            .copied()
            .collect();
        let place = self.place(bond.id);
        let _ = from_proc;
        match working.as_slice() {
            [] if members.is_empty() => {
                let needs = self.network.missing(bond.host, bond.netns(), &[Topic::Links]);
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
            }
            [] if members.iter().any(|member| self.is_without(member.id)) => {
                self.lost_in_gap(&mut way, place);
            }
            [] => self.lost(&mut way, Outcome::Blackholed, Reason::IfNoCarrier, place, line(bond)),
            several => {
                let several = several.to_vec();
                let before = way.packet.clone();
                let mut hop = self.device_hop(bond, "sends by a member");
                hop.input = Some(bond.name().into());
                if let [one] = several.as_slice() {
                    hop.output = Some(one.name().into());
                }
                self.hop(&mut way, &before, hop);
                if let [one] = several.as_slice() {
                    self.go(way, At::Send(one.id));
                    return;
                }
                let doubt = super::Doubt {
                    reason: Reason::NotCaptured,
                    text: "the hash of the bond chooses the member".to_owned(),
                    place,
                    next: Vec::new(),
                    evidence: Vec::new(),
                };
                self.fork(&mut way, doubt);
                for member in several {
                    let one = Self::branch(&way, format!("by {}", member.name()));
                    self.go(one, At::Send(member.id));
                }
            }
        }
    }

    fn receive_on_member(&mut self, mut way: Way, member: Device<'a>, bond: Device<'a>) {
        let before = way.packet.clone();
        let mut hop = self.device_hop(bond, "member of the bond");
        hop.input = Some(member.name().into());
        hop.output = Some(bond.name().into());
        self.hop(&mut way, &before, hop);
        self.go(way, At::Receive(bond.id));
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
        let reached = super::ends::Reached::Wire { packet: &before };
        let outcome = if self.goal.is_neighbour(self.network, &before) {
            Outcome::DeliveredOnLink
        } else {
            Outcome::LeavesCapture
        };
        self.arrive(&mut way, outcome, place, reached, Certainty::Proven, line(device));
    }

    fn vlan_device(&self, lower: NodeId, vid: u16) -> Option<Device<'a>> {
        let upper = self.network.topology.into(lower, EdgeKind::StackedOn);
        upper
            .into_iter()
            .filter_map(|(id, _)| self.network.netdev(id))
            .find(|upper| upper.kind == NetdevKind::Vlan && vlan_of(*upper) == Some(vid))
    }

    fn upper_macvlans(&self, lower: NodeId) -> Vec<Device<'a>> {
        let upper = self.network.topology.into(lower, EdgeKind::StackedOn);
        let macvlan =
            |device: &Device<'a>| matches!(device.kind, NetdevKind::Macvlan | NetdevKind::Macvtap);
        upper.into_iter().filter_map(|(id, _)| self.network.netdev(id)).filter(macvlan).collect()
    }

    /// The NIC of a guest that a device belongs to.
    pub(super) fn guest_nic(&self, device: NodeId) -> Option<NodeId> {
        let nics = self.network.topology.into(device, EdgeKind::AttachesVm);
        nics.first().map(|(nic, _)| *nic)
    }

    /// Whether `ip` prints a program of BPF at the device.
    fn has_program(device: Device<'a>) -> bool {
        let field = |field: &tapline_core::records::Field| {
            matches!(field.key.as_str(), "xdp" | "prog/xdp" | "xdpgeneric" | "xdpoffload")
        };
        device.data.records.iter().any(|seen| seen.record.other.iter().any(field))
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

/// The MAC of a device.
pub(super) fn mac_of(device: Device<'_>) -> Option<Mac> {
    device.mac.as_ref().map(|mac| mac.value)
}

/// The VLAN of a VLAN device.
pub(super) fn vlan_of(device: Device<'_>) -> Option<u16> {
    let mut data = device.data.records.iter();
    data.find_map(|seen| Some(seen.record.kind_data.vlan.as_ref()?.id.value))
}

/// How sure an edge is, as a hop says it.
pub(super) fn certainty(of_edge: tapline_topology::graph::Confidence) -> Certainty {
    match of_edge {
        tapline_topology::graph::Confidence::Proven => Certainty::Proven,
        tapline_topology::graph::Confidence::Inferred => Certainty::Inferred,
        tapline_topology::graph::Confidence::Conventional => Certainty::Assumed,
    }
}
