//! Guests: the addresses that are known of them, their first hop, and what they take.
use std::collections::BTreeMap;
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Mac;
use tapline_core::records::openflow::{Action, OfField};
use tapline_core::span::Evidence;
use tapline_topology::graph::VmNic;
use tapline_topology::{EdgeKind, NodeId, Topic};

use crate::{Item, Network, l2};

use super::{Certainty, Hop, Kind, Outcome, Place, Reason, Tracer, Walk, Way, ends, ovn};

/// Who answers ARP by flows: the MAC that is answered, where it is one.
pub(super) type Responders = BTreeMap<IpAddr, Option<(Mac, Evidence)>>;

/// Where a device hangs: the VLAN of an OVS bridge, or a Linux bridge; with the tunnel keys that
/// the VLAN has between hosts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Segment {
    host: HostId,
    bridge: NodeId,
    vlan: u16,
    keys: Vec<u64>,
    /// It is a network of OVN: nothing but its number tells which.
    is_logical: bool,
}

impl Segment {
    /// In a few words: `key 65`, `VLAN 3`.
    pub(super) fn words(&self) -> String {
        match self.keys.first() {
            Some(key) => format!("key {key}"),
            None => format!("VLAN {}", self.vlan),
        }
    }
}

impl Tracer<'_, '_> {
    /// The addresses of a NIC, IPv4 first.
    pub(super) fn addresses_of_nic(&self, nic: Item<'_, VmNic<'_>>) -> Vec<(IpAddr, Evidence)> {
        let Some(mac) = nic.data.mac.as_ref() else { return Vec::new() };
        let mut all = self.guests().by_mac.get(&mac.value).cloned().unwrap_or_default();
        all.sort_by_key(|(ip, _)| (ip.is_ipv6(), is_link_local(*ip)));
        all
    }

    /// What DHCP offers a NIC that has an address.
    pub(super) fn offer_to(&self, nic: Item<'_, VmNic<'_>>, ip: IpAddr) -> Option<&ovn::Offer> {
        let all = self.offers.get_or_init(|| ovn::offers(self.network));
        let offer = all.get(&nic.data.mac.as_ref()?.value)?.as_ref()?;
        (offer.ip == ip).then_some(offer)
    }

    /// The addresses that flows translate into others, where all that do agree.
    pub(super) fn destinations(&self) -> &BTreeMap<IpAddr, Option<IpAddr>> {
        self.destinations.get_or_init(|| ovn::destinations(self.network))
    }

    /// The MAC that flows answer ARP for an address with, where all that do name the same.
    pub(super) fn responder(&self, ip: IpAddr) -> Option<(Mac, Evidence)> {
        let all = self.responders.get_or_init(|| {
            let mut all: BTreeMap<IpAddr, Option<(Mac, Evidence)>> = BTreeMap::new();
            for bridge in self.network.ovs_bridges() {
                let Some(dump) = self.network.flows().best(bridge.host, bridge.name()) else {
                    continue;
                };
                for flow in &dump.flows {
                    let asked = flow.wants(OfField::ArpTpa.whole()).map(|ip| ip.value);
                    let Some(asked) = asked.and_then(|ip| u32::try_from(ip).ok()) else { continue };
                    let mac = crate::flows::actions(flow).find_map(|action| match &action.action {
                        Action::SetField(set) | Action::Load(set) => {
                            set.bits?.value_of(OfField::EthSrc.whole())
                        }
                        _ => None,
                    });
                    let Some(mac) = mac else { continue };
                    let Some(mac) = mac.to_be_bytes().last_chunk::<6>().copied().map(Mac) else {
                        continue;
                    };
                    let new = Some((mac, dump.line(flow)));
                    all.entry(IpAddr::V4(asked.into()))
                        .and_modify(|known| {
                            if known.is_some_and(|(other, _)| other != mac) {
                                *known = None;
                            }
                        })
                        .or_insert(new);
                }
            }
            all
        });
        all.get(&ip).copied().flatten()
    }

    /// The device or OVS interface of the host that a NIC hangs on.
    pub(super) fn tap_of(&self, nic: NodeId) -> Option<NodeId> {
        let all = self.network.topology.out(nic, EdgeKind::AttachesVm);
        let device = all.iter().find(|(id, _)| self.network.netdev(*id).is_some());
        device.or_else(|| all.first()).map(|(id, _)| *id)
    }

    /// Where a device hangs.
    pub(super) fn segment(&self, device: NodeId) -> Option<Segment> {
        segment(self.network, device, 0)
    }

    /// Whether two devices hang on one segment.
    pub(super) fn share(&self, a: NodeId, b: NodeId) -> Option<bool> {
        if self.network.veth_peer(a).is_some_and(|peer| peer.id == b) {
            return Some(true);
        }
        let (a, b) = (self.segment(a)?, self.segment(b)?);
        if a.is_logical || b.is_logical {
            return (a.is_logical && b.is_logical).then(|| a.keys == b.keys);
        }
        if (a.host, a.bridge, a.vlan) == (b.host, b.bridge, b.vlan) {
            return Some(true);
        }
        if a.keys.iter().any(|key| b.keys.contains(key)) {
            return Some(true);
        }
        let apart =
            a.host == b.host && a.bridge == b.bridge || !a.keys.is_empty() && !b.keys.is_empty();
        apart.then_some(false)
    }

    /// Addresses of devices that may be the gateway of a guest, or share its subnet: those whose
    /// subnet holds its address, nearest first.
    pub(super) fn in_subnet_of(
        &self,
        nic: NodeId,
        ip: IpAddr,
    ) -> Vec<(IpAddr, NodeId, u8, Evidence)> {
        let Some(tap) = self.tap_of(nic) else { return Vec::new() };
        let network = self.network;
        let mut found = Vec::new();
        for address in network.addresses() {
            let net = ipnet::IpNet::new(address.ip, address.prefix);
            let holds = net.is_ok_and(|net| net.contains(&ip) && net.prefix_len() > 0);
            if !holds || network.is_outdated(address.host) {
                continue;
            }
            let near = self.share(tap, address.data.netdev);
            if near == Some(false) {
                continue;
            }
            let line = address.line();
            found.push((near.is_none(), address.ip, address.data.netdev, address.prefix, line));
        }
        found.sort_by_key(|(far, ..)| *far);
        // Where some are known to be near, those that may be anywhere do not count.
        let any_near = found.iter().any(|(far, ..)| !far);
        found.retain(|(far, ..)| !any_near || !far);
        found.into_iter().map(|(_, ip, device, prefix, line)| (ip, device, prefix, line)).collect()
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(four) => four.is_link_local(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    }
}

fn segment(network: &Network<'_>, device: NodeId, depth: u8) -> Option<Segment> {
    if depth > 4 {
        return None;
    }
    let interface = network.ovs_interface(device).or_else(|| network.interface_of(device));
    if let Some(interface) = interface {
        let bridge = network.bridge_called(interface.host, &interface.data.bridge)?;
        let port = network.topology.find_ovs_port(interface.host, &interface.data.port)?;
        let vlan = l2::access_vlan(network.ovs_port(port)?.data).unwrap_or(0);
        let logical = network.datapaths().network_of(port);
        if let Some(key) = logical {
            let (host, bridge, keys) = (interface.host, bridge.id, vec![key]);
            return Some(Segment { host, bridge, vlan, keys, is_logical: true });
        }
        let keys = if network.is_integration(bridge.id) {
            let ways = network.local_vlans(interface.host).ways.get(&vlan);
            ways.map(|ways| {
                let floods = ways.floods.iter().map(|flood| flood.key);
                let mut keys: Vec<u64> =
                    ways.tunnel_in.iter().map(|(key, _)| *key).chain(floods).collect();
                keys.sort_unstable();
                keys.dedup();
                keys
            })
            .unwrap_or_default()
        } else {
            Vec::new()
        };
        let is_logical = false;
        return Some(Segment { host: interface.host, bridge: bridge.id, vlan, keys, is_logical });
    }
    let bridge = network.master(device).or_else(|| {
        network
            .netdev(device)
            .filter(|device| device.kind == tapline_topology::graph::NetdevKind::Bridge)
    });
    if let Some(bridge) = bridge {
        for member in network.members(bridge.id) {
            if let Some(peer) = network.veth_peer(member.id)
                && network.interface_of(peer.id).is_some()
            {
                return segment(network, peer.id, depth + 1);
            }
        }
        let (host, bridge, keys) = (bridge.host, bridge.id, Vec::new());
        return Some(Segment { host, bridge, vlan: 0, keys, is_logical: false });
    }
    let peer = network.veth_peer(device)?;
    let hangs = network.master(peer.id).is_some() || network.interface_of(peer.id).is_some();
    if hangs { segment(network, peer.id, depth + 1) } else { None }
}

impl Walk<'_, '_, '_> {
    pub(super) fn share_segment(&self, a: NodeId, b: NodeId) -> Option<bool> {
        self.tracer.share(a, b)
    }

    /// The NIC of a guest that has an address, near a device.
    pub(super) fn guest_with(&self, ip: IpAddr, near: NodeId) -> Option<(NodeId, Mac, Evidence)> {
        let mut found = None;
        for (mac, addresses) in &self.tracer.guests().by_mac {
            let Some((_, at)) = addresses.iter().find(|(known, _)| *known == ip) else { continue };
            for nic in self.network.vm_nics() {
                if nic.data.mac.as_ref().is_none_or(|own| own.value != *mac) {
                    continue;
                }
                let share = self.tracer.tap_of(nic.id).and_then(|tap| self.tracer.share(near, tap));
                match share {
                    Some(true) => return Some((nic.id, *mac, *at)),
                    Some(false) => {}
                    None => found = found.or(Some((nic.id, *mac, *at))),
                }
            }
        }
        found
    }

    /// A guest gets a frame.
    pub(super) fn guest(&mut self, mut way: Way, node: NodeId) {
        let Some(nic) = self.network.vm_nic(node) else { return };
        let vm = self.network.vm(nic.vm);
        let place = Place {
            host: Some(nic.host),
            device: nic.data.target.as_ref().map(|target| target.value.clone()),
            ..Place::default()
        };
        let before = way.packet.clone();
        let name = vm.map(|vm| vm.name()).unwrap_or_default();
        if let Some(vm) = vm {
            match vm.active {
                Some(true) => {}
                Some(false) => {
                    let at = vm.state.as_ref().map(|state| state.evidence);
                    let reason = Reason::GuestOff;
                    self.lost(&mut way, Outcome::Blackholed, reason, place, at);
                    return;
                }
                None => {
                    let needs = vec![Topic::Domains.command(&tapline_core::ids::Netns::Root)];
                    self.may_stop(&mut way, place.clone(), Reason::NotCaptured, needs);
                }
            }
        }
        let mut hop = Hop::new(Kind::Guest, place.clone(), format!("received by guest {name}"));
        let own = nic.data.mac.as_ref();
        hop.cite(own.map(|mac| mac.evidence));
        let wanted = way.packet.mac_destination();
        let takes = match (wanted, own) {
            (Some(wanted), Some(own)) => wanted == own.value || wanted.is_multicast(),
            _ => true,
        };
        if !takes && self.may_own_unresolved(&mut way, nic, &place) {
            return;
        }
        if !takes {
            self.aside(&mut way, Reason::GuestIgnores, place);
            return;
        }
        if own.is_none() {
            hop.certainty = Certainty::Inferred;
        }
        if way.packet.is_multicast() == Some(true) && matches!(way.packet.protocol(), Some(6 | 132))
        {
            // Most systems drop what should have been sent to them alone.
            self.may_stop(&mut way, place.clone(), Reason::GuestIgnores, Vec::new());
        }
        self.hop(&mut way, &before, hop);
        let target = ends::Reached::Guest { nic: node };
        let certainty = Certainty::Proven;
        let at = own.map(|mac| mac.evidence);
        self.arrive(&mut way, Outcome::Delivered, place, target, certainty, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_a_link_are_known() {
        for (ip, told) in
            [("169.254.0.1", true), ("192.0.2.1", false), ("fe80::1", true), ("2001:db8::1", false)]
        {
            assert_eq!(is_link_local(ip.parse().unwrap()), told, "{ip}");
        }
    }
}
