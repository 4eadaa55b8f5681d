//! Linux bridges: VLANs, what was learnt, spanning tree, isolation, and the packet filter where it
//! sees bridged frames (net/bridge/br_input.c, br_forward.c, br_netfilter_hooks.c).
use tapline_core::ids::{Mac, Netns};
use tapline_core::need::Need;
use tapline_core::records::route::Family;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{NodeId, Topic};

use crate::{Answer, Item};

use super::device::{line, mac_of};
use super::netfilter::{Bridged, Pass};
use super::packet::{IPV4, IPV6};
use super::{At, Certainty, Hop, Kind, Outcome, Packet, Reason, Walk, Way};
use crate::hooks::frames::Hook;

type Device<'a> = Item<'a, Netdev<'a>>;

impl<'a> Walk<'_, '_, 'a> {
    /// A bridge has a frame from one of its ports, or from the stack of the host.
    pub(super) fn bridge(&mut self, mut way: Way, node: NodeId, from: Option<NodeId>) {
        let Some(bridge) = self.device(node) else { return };
        let place = self.place(node);
        if bridge.kind != NetdevKind::Bridge {
            self.unknown(&mut way, place, Reason::NotCaptured, Vec::new());
            return;
        }
        if bridge.admin_up() == Some(false) {
            let at = bridge.flags.as_ref().map(|flags| flags.evidence).or_else(|| line(bridge));
            self.lost(&mut way, Outcome::Blackholed, Reason::IfAdminDown, place, at);
            return;
        }
        let Some(wanted) = self.destination_on(&mut way, &place) else { return };
        if let Some(from) = from
            && !self.passes_reserved(&mut way, bridge, from, wanted)
        {
            return;
        }
        if let Some(from) = from
            && !self.is_let_in(&mut way, from)
        {
            return;
        }
        // PREROUTING sees the frame as it came in, with its tag (`br_handle_frame`).
        if from.is_some() && !self.pass_frames(&mut way, bridge, Hook::Prerouting, (from, None)) {
            return;
        }
        let Some(vlan) = self.vlan_on_bridge(&mut way, bridge, from) else { return };
        if let Some(from) = from {
            let sees = self.is_filtered(bridge, &way.packet);
            if sees != Answer::Known(false) {
                // Where it is not known whether the filter sees bridged frames, and it lets them
                // pass, that does not matter.
                let sure = matches!(sees, Answer::Known(_));
                let bridged = Bridged { bridge: node, from, to: None, vlan, sure };
                way.packet.enter_stack();
                self.go(way, At::Stack(Pass::bridged(bridge, bridged)));
                return;
            }
        }
        self.forward_on_bridge(way, bridge, from, vlan, None);
    }

    /// The MAC that a frame goes to; ends the way where that is not known.
    fn destination_on(&mut self, way: &mut Way, place: &super::Place) -> Option<Mac> {
        let wanted = way.packet.mac_destination();
        if wanted.is_none() {
            self.unknown(way, place.clone(), Reason::NeighAbsent, Vec::new());
        }
        wanted
    }

    /// The VLAN of a frame within the bridge; 0 where the bridge does not tell VLANs apart.
    fn vlan_on_bridge(
        &mut self,
        way: &mut Way,
        bridge: Device<'a>,
        from: Option<NodeId>,
    ) -> Option<u16> {
        if !self.network.filters_vlans(bridge) {
            return Some(0);
        }
        let port = from.unwrap_or(bridge.id);
        let place = self.place(port);
        let tag = way.packet.vlans().and_then(|vlans| vlans.first().copied());
        let Some(vlans) = self.network.bridge_ports().vlans(port) else {
            let needs = vec![Need::command("bridge -d vlan show")];
            self.unknown(way, place, Reason::NotCaptured, needs);
            return None;
        };
        let vlan = match tag.filter(|vid| *vid != 0) {
            Some(vid) => vlans.contains(vid).then_some(vid),
            None => vlans.pvid,
        };
        let evidence = vlans.evidence;
        if vlan.is_none() {
            let reason = Reason::BridgeVlanNotMember;
            self.lost(way, Outcome::Blackholed, reason, place, evidence);
            return None;
        }
        if tag.is_some() {
            way.packet.frame.pop_tag();
        }
        vlan
    }

    /// Whether the packet filter of the namespace sees frames of a bridge.
    fn is_filtered(&self, bridge: Device<'a>, packet: &Packet) -> Answer<bool> {
        match packet.eth_type() {
            Some(IPV4) => self.network.shows_to_filter(bridge, Family::Inet),
            Some(IPV6) => self.network.shows_to_filter(bridge, Family::Inet6),
            _ => Answer::Known(false),
        }
    }

    /// Passes a frame on to the ports of a bridge and to the stack.
    pub(super) fn forward_on_bridge(
        &mut self,
        mut way: Way,
        bridge: Device<'a>,
        from: Option<NodeId>,
        vlan: u16,
        filtered: Option<&Pass>,
    ) {
        let place = self.place(bridge.id);
        let wanted = way.packet.mac_destination();
        let network = self.network;
        let members = network.members(bridge.id);
        let local = wanted.is_some_and(|mac| {
            mac_of(bridge) == Some(mac)
                || self.is_local(bridge, mac, vlan)
                || members.iter().any(|member| mac_of(*member) == Some(mac) && !is_guests(*member))
        });
        if local && from.is_some() {
            self.up_from_bridge(way, bridge, from, vlan, filtered);
            return;
        }
        let multicast = wanted.is_some_and(Mac::is_multicast);
        let entry = wanted.filter(|_| !multicast).and_then(|mac| self.learnt(bridge, mac, vlan));
        if let Some((port, evidence)) = entry {
            if Some(port) == from && !self.is_hairpin(port) {
                let reason = Reason::FdbPointsBack;
                self.lost(&mut way, Outcome::Blackholed, reason, place, Some(evidence));
                return;
            }
            let hop = self.bridge_hop(bridge, from, format!("learnt at {}", self.name(port)));
            self.leave_bridge(way, bridge, (from, port), vlan, (hop, Some(evidence)), filtered);
            return;
        }
        // A member that no complete list of them shows may be the port that is meant.
        let all_known = network.complete(bridge.host, bridge.netns(), Topic::Links)
            || network.complete(bridge.host, &Netns::Root, Topic::BridgeMembers);
        let mut ports = Vec::new();
        for member in &members {
            if Some(member.id) == from && !self.is_hairpin(member.id) {
                continue;
            }
            ports.push(*member);
        }
        let up = multicast && from.is_some();
        let dead_end = ports.is_empty() && all_known;
        if dead_end && !up {
            self.lost(&mut way, Outcome::Blackholed, Reason::L2DeadEnd, place, line(bridge));
            return;
        }
        let more = usize::from(up) + usize::from(!all_known) + usize::from(dead_end);
        let several = ports.len() + more > 1;
        let captured = self.has_fdb(bridge);
        if several && !multicast && !captured && all_known {
            // Which port it was learnt at is not known: one of them gets it, or all.
            let next = Self::next(
                &place,
                vec![
                    Need::command("bridge fdb show br").with(bridge.name()).within(bridge.netns()),
                ],
            );
            let doubt = super::Doubt {
                reason: Reason::NotCaptured,
                text: "what the bridge has learnt was not captured".to_owned(),
                place: place.clone(),
                next,
                evidence: Vec::new(),
            };
            self.fork(&mut way, doubt);
        } else {
            // A flood, though one port alone gets it.
            self.copies(&mut way);
        }
        if dead_end {
            let mut copy = Self::branch(&way, "no other port");
            let at = line(bridge);
            let place = place.clone();
            self.lost(&mut copy, Outcome::Blackholed, Reason::L2DeadEnd, place, at);
        }
        for port in ports {
            let guard = if several { Some(format!("flood: {}", port.name())) } else { None };
            let copy = Way { guard: guard.or_else(|| way.guard.clone()), ..way.clone() };
            let words = if multicast { "floods" } else { "not learnt: floods" };
            let mut hop = self.bridge_hop(bridge, from, words);
            if several && !multicast && !captured {
                hop.certainty = Certainty::Inferred;
            }
            self.leave_bridge(copy, bridge, (from, port.id), vlan, (hop, None), filtered);
        }
        if !all_known {
            // Ports that no list shows may get a copy too.
            let needs = network.missing(bridge.host, bridge.netns(), &[Topic::Links]);
            let mut copy = Self::branch(&way, "to ports that were not captured");
            self.unknown(&mut copy, place, Reason::NotCaptured, needs);
        }
        if up {
            let copy = if several { Self::branch(&way, "up into the host") } else { way };
            self.up_from_bridge(copy, bridge, from, vlan, filtered);
        }
    }

    fn bridge_hop(
        &self,
        bridge: Device<'a>,
        from: Option<NodeId>,
        action: impl Into<String>,
    ) -> Hop {
        let mut hop = Hop::new(Kind::LinuxBridge, self.place(bridge.id), action);
        hop.input = Some(from.map_or_else(|| bridge.name().into(), |from| self.name(from)));
        hop.mtu = bridge.mtu.as_ref().map(|mtu| mtu.value);
        let member = from
            .and_then(|from| self.device(from))
            .and_then(|from| from.master.as_ref().map(|master| master.evidence));
        hop.cite(member.or_else(|| line(bridge)));
        hop
    }

    fn leave_bridge(
        &mut self,
        mut way: Way,
        bridge: Device<'a>,
        (from, to): (Option<NodeId>, NodeId),
        vlan: u16,
        (mut hop, learnt): (Hop, Option<Evidence>),
        filtered: Option<&Pass>,
    ) {
        let before = way.packet.clone();
        let place = self.place(to);
        hop.output = Some(self.name(to));
        hop.cite(learnt);
        let port = self.device(to);
        hop.cite(port.and_then(|port| port.master.as_ref().map(|master| master.evidence)));
        let block = from.and_then(|from| self.network.blocked_between(from, to));
        let isolated = block.filter(|block| block.why == crate::l2::Why::Isolated);
        if let Some(block) = isolated {
            let reason = super::device::reason(&block.why);
            self.lost(&mut way, Outcome::Blackholed, reason, place, Some(block.evidence));
            if let Some(super::Node { part: super::Part::End(end), .. }) =
                self.tree.nodes.last_mut()
            {
                "both ports are isolated, which keeps them apart".clone_into(&mut end.text);
            }
            return;
        }
        let state = self.network.bridge_ports().state(to);
        if let (None, Some(state), Some(mac)) = (learnt, state, way.packet.mac_destination())
            && let Some(evidence) = state.spared(mac)
            // What the host itself sends to all or to a group goes to such ports too (`br_flood`).
            && (from.is_some() || !mac.is_multicast())
        {
            if mac.is_multicast() && !way.packet.is_broadcast() && may_go_to_members(bridge, mac) {
                let need = Need::command("bridge -d mdb show dev")
                    .with(bridge.name())
                    .within(bridge.netns());
                let said = (Reason::McastFloodOff, Reason::McastFloodOff.text());
                self.unknown_at(&mut way, place, said, vec![need], evidence);
                return;
            }
            self.aside(&mut way, Reason::McastFloodOff, place);
            if let Some(super::Node { part: super::Part::End(end), .. }) =
                self.tree.nodes.last_mut()
            {
                end.evidence.push(evidence);
                if !mac.is_multicast() || way.packet.is_broadcast() {
                    end.reason = Some(Reason::L2DeadEnd);
                    Reason::L2DeadEnd.text().clone_into(&mut end.text);
                }
            }
            return;
        }
        if self.network.filters_vlans(bridge) {
            let Some(vlans) = self.network.bridge_ports().vlans(to) else {
                let needs = vec![Need::command("bridge -d vlan show")];
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
                return;
            };
            if !vlans.contains(vlan) {
                let evidence = vlans.evidence;
                if learnt.is_some() {
                    let reason = Reason::BridgeVlanNotMember;
                    self.lost(&mut way, Outcome::Blackholed, reason, place, evidence);
                } else {
                    // Not among the ports that a flood goes to.
                    self.aside(&mut way, Reason::BridgeVlanNotMember, place);
                }
                return;
            }
            if !vlans.leaves_untagged(vlan) {
                way.packet.frame.push_tag();
                way.packet.frame.set_vlan(vlan);
            }
        }
        let first = if from.is_some() { Hook::Forward } else { Hook::Output };
        let ports = (from, Some(to));
        for hook in [first, Hook::Postrouting] {
            let ports = if hook == Hook::Postrouting { (None, Some(to)) } else { ports };
            if !self.pass_frames(&mut way, bridge, hook, ports) {
                return;
            }
        }
        self.hop(&mut way, &before, hop);
        let seen = filtered.and_then(|pass| Some((pass, pass.bridged?.sure)));
        if let Some((from, (came, sure))) = from.zip(seen) {
            let bridged = Bridged { bridge: bridge.id, from, to: Some(to), vlan, sure };
            // The connection is that of the packet as it came in, before rules in PREROUTING changed it.
            let pass = Pass {
                entry: came.entry,
                known: came.known,
                tracked: came.tracked.clone(),
                ..Pass::bridged(bridge, bridged)
            };
            self.go(way, At::Stack(pass));
            return;
        }
        self.go(way, At::Send(to));
    }

    /// Up into the stack of the host, by the bridge's own device.
    fn up_from_bridge(
        &mut self,
        mut way: Way,
        bridge: Device<'a>,
        from: Option<NodeId>,
        vlan: u16,
        filtered: Option<&Pass>,
    ) {
        let before = way.packet.clone();
        let mut hop = self.bridge_hop(bridge, from, "for the host itself");
        hop.output = Some(bridge.name().into());
        if self.network.filters_vlans(bridge)
            && let Some(vlans) = self.network.bridge_ports().vlans(bridge.id)
        {
            if !vlans.contains(vlan) {
                let (place, evidence) = (self.place(bridge.id), vlans.evidence);
                let reason = Reason::BridgeVlanNotMember;
                self.lost(&mut way, Outcome::Blackholed, reason, place, evidence);
                return;
            }
            if !vlans.leaves_untagged(vlan) {
                way.packet.frame.push_tag();
                way.packet.frame.set_vlan(vlan);
            }
        }
        // INPUT sees it as the bridge's own device gets it (`br_pass_frame_up`).
        if !self.pass_frames(&mut way, bridge, Hook::Input, (from, None)) {
            return;
        }
        self.hop(&mut way, &before, hop);
        // It does not pass PREROUTING again (`ip_sabotage_in`).
        way.prerouted = filtered
            .filter(|pass| pass.bridged.is_some_and(|bridged| bridged.sure))
            .map(|pass| Box::new(pass.clone()));
        if let Some(&vid) = way.packet.vlans().unwrap_or_default().first()
            && vid != 0
        {
            self.go(way, At::Receive(bridge.id));
            return;
        }
        // A macvlan may stand on a bridge.
        let Some(way) = self.hand_to_uppers(way, bridge) else { return };
        self.hand_to_stack(way, bridge, from);
    }

    fn is_hairpin(&self, port: NodeId) -> bool {
        let state = self.network.bridge_ports().state(port);
        state.and_then(|state| state.hairpin).is_some_and(|(on, _)| on)
    }

    /// Whether the bridge takes frames to a MAC for itself: an entry of its forwarding table that
    /// is `permanent` is local (bridge(8), `fdb add … local`).
    fn is_local(&self, bridge: Device<'a>, mac: Mac, vlan: u16) -> bool {
        let filters = self.network.filters_vlans(bridge);
        self.network.fdbs().of(bridge, mac).iter().any(|(_, entry)| {
            (!filters || entry.vlan.is_none_or(|vid| vid == vlan))
                && entry.flags.iter().any(|flag| flag == "permanent")
                && entry.flags.iter().all(|flag| flag != "self")
        })
    }

    /// The port at which a MAC was learnt.
    fn learnt(&self, bridge: Device<'a>, mac: Mac, vlan: u16) -> Option<(NodeId, Evidence)> {
        let filters = self.network.filters_vlans(bridge);
        self.network.fdbs().of(bridge, mac).iter().find_map(|(source, entry)| {
            let of_vlan = !filters || entry.vlan.is_none_or(|vid| vid == vlan);
            // What is set for the port itself was looked at before.
            let is_own = entry.flags.iter().any(|flag| flag == "permanent" || flag == "self");
            let dev = entry.dev.as_ref().filter(|_| of_vlan && !is_own)?;
            let port = self.network.topology.find_netdev(source.host, &source.netns, &dev.value)?;
            let master = self.network.master(port).filter(|master| master.id == bridge.id);
            master.map(|_| (port, Evidence { source: source.id, span: entry.at }))
        })
    }

    fn has_fdb(&self, bridge: Device<'a>) -> bool {
        self.network.fdb_texts().any(|(source, _)| {
            source.host == bridge.host
                && source.netns == *bridge.netns()
                && self.network.topology.snapshot.completeness(source.id).is_complete()
        })
    }
}

/// Whether ports of members of a group may get a frame to it although they get no floods: the bridge
/// snoops, and some router asks who is in the group (`br_multicast_querier_exists`). Groups that
/// everybody is in are flooded whatever it snoops (`br_multicast_ipv4_rcv`, `br_multicast_ipv6_rcv`,
/// net/bridge/br_multicast.c).
fn may_go_to_members(bridge: Device<'_>, group: Mac) -> bool {
    let snoops =
        bridge.data.records.iter().find_map(|seen| {
            seen.record.other.find("mcast_snooping").map(|value| value.value != "0")
        });
    let of_all = matches!(group, Mac([0x01, 0x00, 0x5e, 0, 0, _] | [0x33, 0x33, 0, 0, 0, 1]));
    let of_ip = matches!(group, Mac([0x01, 0x00, 0x5e, ..] | [0x33, 0x33, ..]));
    of_ip && !of_all && snoops != Some(false)
}

/// The MAC of a tap that libvirt made is never used by anybody: it is the guest's with another
/// first octet.
fn is_guests(member: Device<'_>) -> bool {
    matches!(member.kind, NetdevKind::Tap)
}
