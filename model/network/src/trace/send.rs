//! A device sends a frame.
use tapline_topology::graph::{ConflictKind, NetdevKind};
use tapline_topology::{EdgeKind, NodeId, Topic, names};

use crate::{queues, uplink};

use super::device::{Device, certainty, line};
use super::{At, Outcome, Reason, Walk, Way};
use crate::hooks::frames::Hook;

impl<'a> Walk<'_, '_, 'a> {
    /// A device sends a frame.
    pub(super) fn send(&mut self, mut way: Way, node: NodeId) {
        let Some(device) = self.device(node) else {
            let place = self.place(node);
            self.unknown(&mut way, place, Reason::NotCaptured, Vec::new());
            return;
        };
        if !self.passes(&mut way, node)
            || !self.fits(&mut way, device)
            || !self.pass_frames(&mut way, device, Hook::Egress, (None, Some(node)))
            || !self.pass_queues(&mut way, device, queues::Hook::Egress)
            || !self.pass_queues(&mut way, device, queues::Hook::Queue)
        {
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
            // Whoever is on the wire takes it or not by keys that are not shown.
            NetdevKind::Macsec => {
                let place = self.place(node);
                self.unknown(&mut way, place, Reason::NotModelled, Vec::new());
            }
            NetdevKind::Dummy => {
                let place = self.place(node);
                self.lost(&mut way, Outcome::Blackholed, Reason::L2DeadEnd, place, line(device));
            }
            // Routed again in its table (`vrf_xmit`), behind filters that see it a second time.
            NetdevKind::Vrf => {
                let place = self.place(node);
                let to = way.packet.destination().map(|to| to.to_string()).unwrap_or_default();
                let need = tapline_core::need::Need::command("ip route get")
                    .with(&to)
                    .with("vrf")
                    .with(device.name())
                    .within(device.netns());
                self.unknown(&mut way, place, Reason::NotModelled, vec![need]);
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
    pub(super) fn fits(&mut self, way: &mut Way, device: Device<'a>) -> bool {
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

    pub(super) fn send_veth(&mut self, mut way: Way, device: Device<'a>) {
        let Some(peer) = self.network.veth_peer(device.id) else {
            // What a container or a laboratory has for a NIC. The other end of one in a namespace is in
            // another namespace of the host.
            if names::is_nic(device.name()) && device.netns().is_root() {
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
        if peer.stub && names::is_nic(device.name()) && device.netns().is_root() {
            self.go(way, At::Wire(device.id));
            return;
        }
        if peer.stub {
            self.unknown(&mut way, self.place(peer.id), Reason::NotCaptured, Vec::new());
            return;
        }
        // The other end takes what fits its own MTU, and a tag more (`is_skb_forwardable`).
        if let (Some(size), Some(mtu)) = (way.packet.size, &peer.mtu)
            && size > mtu.value.saturating_add(4)
        {
            let (place, at) = (self.place(peer.id), mtu.evidence);
            self.hop(&mut way, &before, hop);
            let reason = Reason::MtuExceededL2;
            self.lost(&mut way, Outcome::Blackholed, reason, place, Some(at));
            return;
        }
        self.hop(&mut way, &before, hop);
        self.go(way, At::Receive(peer.id));
    }

    pub(super) fn send_tap(&mut self, mut way: Way, device: Device<'a>) {
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

    pub(super) fn send_vlan(&mut self, mut way: Way, device: Device<'a>) {
        let lower = self.network.topology.out(device.id, EdgeKind::StackedOn);
        let vid = crate::l2::vlan_of(device);
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

    /// The member of a bond that sends: the active one, else any of those that work.
    pub(super) fn send_bond(&mut self, mut way: Way, bond: Device<'a>) {
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
}
