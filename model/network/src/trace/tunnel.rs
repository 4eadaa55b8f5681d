//! Tunnels: the packet around a packet, its way to the wire, and its arrival at the other captured
//! host, which must have an end that leads back.
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::capture::HostId;
use tapline_core::need::Need;
use tapline_core::records::openflow::OfField;
use tapline_topology::graph::{Confidence, Netdev, NetdevKind, NodeData, TunnelEndpoint, Underlay};
use tapline_topology::{EdgeKind, NodeId, Topic};

use crate::flow::Value;
use crate::l2::Block;
use crate::l3::Outcome as Routed;
use crate::overlay::filter::{is_in_userspace, port_of};
use crate::{Answer, Item, defs, overlay};

use super::netfilter::{Pass, Stage};
use super::packet::{IPV4, IPV6, Inner, ip_number};
use super::{At, Certainty, Hop, Kind, Outcome, Packet, Place, Reason, Walk, Way, ends};

impl<'a> Walk<'_, '_, 'a> {
    /// A tunnel sends a packet.
    pub(super) fn tunnel(
        &mut self,
        mut way: Way,
        node: NodeId,
        key: Option<u64>,
        remote: Option<IpAddr>,
    ) {
        let network = self.network;
        let Some(endpoint) = network.tunnel(node) else { return };
        let place = self.tunnel_place(endpoint);
        if endpoint.data.underlay == Underlay::Unknown {
            self.unknown(&mut way, place, Reason::NotCaptured, Vec::new());
            return;
        }
        let fixed = endpoint.data.remote.as_ref();
        let Some(to) = remote.or(fixed.map(|fact| fact.value)) else {
            self.unknown(&mut way, place, Reason::PacketOpen, Vec::new());
            return;
        };
        let before = way.packet.clone();
        let shown = key.map_or_else(String::new, |key| format!(", key {key}"));
        let mut hop =
            Hop::new(Kind::Tunnel, place.clone(), format!("{} to {to}{shown}", endpoint.data.kind));
        hop.input = Some(endpoint.name().into());
        hop.vni = key;
        hop.cite(fixed.map(|fact| fact.evidence));
        let overhead = defs::overhead(&endpoint.data.kind, to).unwrap_or(50);
        let answer = overlay::route(network, endpoint);
        let decision = match answer {
            Some(Answer::Known(decision)) => Some(decision),
            Some(Answer::Unknown(needs)) => {
                self.hop(&mut way, &before, hop);
                // The device with the tunnel's source tells it too where the far end is on its link.
                match overlay::egress(network, endpoint).and_then(Answer::known) {
                    Some(devices) if !devices.is_empty() => {
                        let netns = endpoint.netns_of_underlay(network);
                        let pass = Pass::own(endpoint.host, netns);
                        if let Some(device) = devices.first() {
                            let outer = outer(&way.packet, endpoint, key, to, overhead);
                            way.packet = outer;
                            let output = Some((device.id, None));
                            let pass = Pass { output, ..pass };
                            self.go(way, At::Stack(pass.at(Stage::Neighbour)));
                        }
                    }
                    _ => self.unknown(&mut way, place, Reason::NotCaptured, needs),
                }
                return;
            }
            None => None,
        };
        if let Some(decision) = &decision {
            let evidence = decision.evidence();
            let lost = match &decision.outcome {
                Routed::Local(_) => Some(Reason::TunnelOwnAddress),
                Routed::NoRoute if decision.assumed.is_empty() => Some(Reason::TunnelNoRoute),
                Routed::Refused(_) => Some(Reason::TunnelNoRoute),
                _ => None,
            };
            if let Some(reason) = lost {
                self.hop(&mut way, &before, hop);
                // The kernel takes the routes of a device away that is switched off.
                if let Some((device, block)) =
                    self.blocked_underlay(endpoint, to).filter(|_| reason == Reason::TunnelNoRoute)
                {
                    let reason = super::device::reason(&block.why);
                    let place = self.place(device);
                    let evidence = Some(block.evidence);
                    self.lost(&mut way, Outcome::Blackholed, reason, place, evidence);
                    return;
                }
                self.lost(&mut way, Outcome::Blackholed, reason, place, evidence);
                return;
            }
        }
        // A source that nobody has cannot be sent from.
        if let Some(local) = &endpoint.data.local
            && !local.value.is_unspecified()
        {
            let netns = endpoint.netns_of_underlay(network);
            let owned = self.owns(endpoint.host, netns, local.value).is_some();
            if !owned {
                if network.complete(endpoint.host, netns, Topic::Addresses) {
                    let evidence = local.evidence;
                    self.hop(&mut way, &before, hop);
                    let reason = Reason::TunnelNoRoute;
                    self.lost(&mut way, Outcome::Blackholed, reason, place.clone(), Some(evidence));
                    if let Some(super::Node { part: super::Part::End(end), .. }) =
                        self.tree.nodes.last_mut()
                    {
                        end.text = format!("no device has the tunnel's source {}", local.value);
                    }
                    return;
                }
                let needs = network.missing(endpoint.host, netns, &[Topic::Addresses]);
                self.may_stop(&mut way, place.clone(), Reason::NotCaptured, needs);
            }
        }
        let devices =
            decision.as_ref().map(|decision| decision.hops().to_vec()).unwrap_or_default();
        let netns = endpoint.netns_of_underlay(network);
        let device =
            devices.first().and_then(|hop| network.netdev_called(endpoint.host, netns, hop.dev));
        hop.mtu = device
            .and_then(|device| device.data.mtu.as_ref().map(|mtu| mtu.value))
            .map(|mtu| mtu.saturating_sub(overhead));
        if is_in_userspace(self.network, endpoint) {
            // The carrying bridge limits nothing there.
            hop.mtu = None;
        }
        self.hop(&mut way, &before, hop);
        way.packet = outer(&way.packet, endpoint, key, to, overhead);
        if self.is_cut_on_the_way(endpoint) {
            way.packet.size = None;
        }
        let pass = Pass::own(endpoint.host, netns);
        if is_in_userspace(self.network, endpoint)
            && let (Some(device), Some(first)) = (device, devices.first())
        {
            way.packet.size = None;
            let pass = Pass { output: Some((device.id, first.gateway)), ..pass };
            self.go(way, At::Stack(pass.at(Stage::Neighbour)));
            return;
        }
        self.go(way, At::Stack(pass));
    }

    /// The device on whose network a far end is, where that passes no frames.
    fn blocked_underlay(
        &self,
        endpoint: Item<'a, TunnelEndpoint>,
        to: IpAddr,
    ) -> Option<(NodeId, Block)> {
        let network = self.network;
        let netns =
            network.topology.find_netns(endpoint.host, endpoint.netns_of_underlay(network))?;
        network.devices_in(netns).into_iter().find_map(|device| {
            let mut addresses = network.addresses_of(device.id).into_iter();
            let is_there = addresses.any(|address| {
                let net = IpNet::new(address.ip, address.prefix);
                net.is_ok_and(|net| net.contains(&to) && net.prefix_len() < net.max_prefix_len())
            });
            let block = network.forwarding(device.id).known().flatten().filter(|_| is_there)?;
            Some((device.id, block))
        })
    }

    fn tunnel_place(&self, endpoint: Item<'a, TunnelEndpoint>) -> Place {
        self.place(endpoint.data.owner)
    }

    /// Whether the packets around others may be cut into fragments: a VXLAN or Geneve device of the
    /// kernel forbids it only with `df set` or `df inherit` (ip-link(8)). One that is a port of a
    /// bridge tells the sender instead, since Linux 5.9 (`skb_tunnel_check_pmtu`,
    /// net/ipv4/ip_tunnel_core.c).
    fn is_cut_on_the_way(&self, endpoint: Item<'a, TunnelEndpoint>) -> bool {
        let Some(device) = self.network.netdev(endpoint.data.owner) else { return false };
        let df = device.records.iter().find_map(|seen| seen.record.other.find("df"));
        matches!(endpoint.data.kind.as_str(), "vxlan" | "geneve")
            && self.network.master(device.id).is_none()
            && df.is_none_or(|df| df.value == "unset")
    }

    /// A device of the kernel that is a tunnel sends a frame.
    pub(super) fn send_tunnel(&mut self, mut way: Way, device: Item<'a, Netdev<'a>>) {
        let network = self.network;
        let place = self.place(device.id);
        let ends: Vec<_> = network
            .topology
            .into(device.id, EdgeKind::TunnelOf)
            .into_iter()
            .filter_map(|(id, _)| network.tunnel(id))
            .collect();
        let key = |endpoint: &Item<'a, TunnelEndpoint>| overlay::keys(*endpoint).1;
        let wanted = way.packet.mac_destination();
        let mut learnt = None;
        // Where frames go that no entry is for: to the far ends of the entry of no address at all
        // (`vxlan_xmit`, drivers/net/vxlan). The far end of the device is one when it is made, and stays
        // one as long as nobody takes the entry away.
        let of_device = device.records.iter().filter_map(|seen| {
            seen.record.kind_data.tunnel.as_ref()?.remote.as_ref().map(|remote| remote.value)
        });
        let of_device: Vec<IpAddr> = of_device.collect();
        let mut by_default: Vec<IpAddr> = Vec::new();
        let mut searched = None;
        for (source, entries) in network.fdb_texts() {
            if source.host != device.host || source.netns != *device.netns() {
                continue;
            }
            if network.topology.snapshot.completeness(source.id).is_complete() {
                searched = Some(crate::flows::first_line(network, source.id));
            }
            for entry in entries {
                let here = entry.dev.as_ref().is_some_and(|dev| dev.value == device.name());
                if here && entry.mac.value.is_zero() {
                    by_default.extend(entry.dst.as_ref().map(|dst| dst.value));
                }
                if here && wanted == Some(entry.mac.value) {
                    learnt = learnt.or_else(|| entry.dst.as_ref().map(|dst| dst.value));
                }
            }
        }
        if by_default.is_empty() {
            by_default = of_device;
        }
        let has_no_default = by_default.is_empty();
        // A group is whoever listens: the end without a far end of its own.
        by_default.retain(|ip| !ip.is_multicast());
        by_default.sort_unstable();
        by_default.dedup();
        // One without far ends of its own is told by each packet where it goes.
        let is_external = device.records.iter().any(|seen| {
            seen.record.kind_data.tunnel.as_ref().is_some_and(|tunnel| tunnel.external)
        });
        let is_of_vxlan = !is_external && ends.iter().any(|end| end.data.kind == "vxlan");
        let is_missed = learnt.is_none() && has_no_default && wanted.is_some();
        if let Some(at) = searched.filter(|_| is_of_vxlan && is_missed) {
            // It answers requests for addresses itself, of those it knows as neighbours
            // (`arp_reduce`, drivers/net/vxlan/vxlan_core.c).
            let answers =
                device.records.iter().any(|seen| seen.record.other.find("proxy").is_some());
            if answers && Self::is_arp(&way.packet) {
                self.unknown(&mut way, place, Reason::NotModelled, Vec::new());
                return;
            }
            // Of an address that is not known either it is not known what its entry says.
            if way.packet.unresolved.is_some() && !ends.is_empty() {
                let needs = vec![
                    Need::command("bridge fdb show dev").with(device.name()).within(device.netns()),
                ];
                self.unknown(&mut way, place, Reason::NeighAbsent, needs);
                return;
            }
            self.lost(&mut way, Outcome::Blackholed, Reason::L2DeadEnd, place, Some(at));
            if let Some(super::Node { part: super::Part::End(end), .. }) =
                self.tree.nodes.last_mut()
            {
                let mac = wanted.map_or_else(String::new, |mac| mac.to_string());
                end.text = format!("no entry of the forwarding table is for {mac}, nor for others");
            }
            return;
        }
        let remote_of =
            |end: &Item<'a, TunnelEndpoint>| end.data.remote.as_ref().map(|remote| remote.value);
        // The end that leads to an address; the device sends to others as well.
        let end_to = |to: IpAddr| {
            let end = ends.iter().find(|end| remote_of(end) == Some(to));
            Some((*end.or(ends.first())?, Some(to)))
        };
        let chosen: Vec<_> = match learnt {
            None if searched.is_some() && is_of_vxlan && wanted.is_some() => {
                let open = ends.iter().filter(|end| remote_of(end).is_none());
                let open = open.map(|end| (*end, None));
                by_default.iter().filter_map(|to| end_to(*to)).chain(open).collect()
            }
            Some(to) => end_to(to).into_iter().collect(),
            None => ends.iter().map(|end| (*end, None)).collect(),
        };
        match chosen.as_slice() {
            [] => {
                let needs = vec![
                    Need::command("bridge fdb show dev").with(device.name()).within(device.netns()),
                ];
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
            }
            &[(one, remote)] => {
                let (endpoint, key) = (one.id, key(&one));
                self.go(way, At::Tunnel { endpoint, key, remote });
            }
            several => {
                let several = several.to_vec();
                self.copies(&mut way);
                for (one, remote) in several {
                    let to = remote.or(remote_of(&one));
                    let shown = to.map_or_else(String::new, |ip| ip.to_string());
                    let copy = Self::branch(&way, format!("to {shown}"));
                    let (endpoint, key) = (one.id, key(&one));
                    self.go(copy, At::Tunnel { endpoint, key, remote });
                }
            }
        }
    }

    /// The packet of a tunnel has left the host: it arrives at the other captured host, or leaves
    /// what was captured.
    pub(super) fn cross(&mut self, mut way: Way, device: Item<'a, Netdev<'a>>) {
        let network = self.network;
        let Some(inner) = way.packet.inner.clone() else { return };
        let Some(endpoint) = network.tunnel(inner.endpoint) else { return };
        let to = way.packet.destination();
        let far = self.far_of(endpoint, to);
        let far_end = far.and_then(|(id, confidence)| Some((network.tunnel(id)?, confidence)));
        let place = self.place(device.id);
        if let Some((far_end, confidence)) = far_end {
            self.arrive_at(way, far_end, confidence);
            return;
        }
        let host = far.and_then(|(id, _)| {
            let node = network.topology.node(id)?;
            matches!(node.data, NodeData::Host(_)).then_some(node.host?)
        });
        let by_flow = host.and_then(|host| {
            network
                .tunnels_of(host)
                .find(|other| other.data.kind == endpoint.data.kind && other.data.remote.is_none())
        });
        if let Some(far_end) = by_flow {
            self.arrive_at(way, far_end, Confidence::Inferred);
            return;
        }
        if let Some(far_end) = host.and_then(|host| self.hears_anybody(endpoint, &inner, host)) {
            self.arrive_at(way, far_end, Confidence::Inferred);
            return;
        }
        if let Some(host) = host {
            // One that leads back, from another address; else the end whose far end nobody has.
            let source = way.packet.source();
            let back = network.tunnels_of(host).find(|other| {
                other.data.kind == endpoint.data.kind
                    && other.data.remote.as_ref().map(|remote| remote.value) == source
            });
            let place = self.tunnel_place(back.unwrap_or(endpoint));
            let reason = Reason::TunnelNoReverse;
            let known = network.complete(host, &tapline_core::ids::Netns::Root, Topic::Ovs)
                || network.tunnels_of(host).next().is_some();
            if known {
                let evidence = endpoint.data.remote.as_ref().map(|remote| remote.evidence);
                self.lost(&mut way, Outcome::Blackholed, reason, place, evidence);
            } else {
                let needs = network.missing(host, &tapline_core::ids::Netns::Root, &[Topic::Ovs]);
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
            }
            return;
        }
        let carried = inner.packet.clone();
        let Some(to) = to else { return };
        let reached = ends::Reached::Tunnel { remote: to, key: inner.key };
        let evidence = endpoint.data.remote.as_ref().map(|remote| remote.evidence);
        way.packet = carried;
        let key = inner.key.map_or(0, u128::from);
        way.packet.frame.set(OfField::TunId, Value::of(key));
        way.packet.frame.set(OfField::TunDst, Value::of(ip_number(to)));
        let certainty = Certainty::Proven;
        self.arrive(&mut way, Outcome::LeavesCapture, place, reached, certainty, evidence);
    }

    /// What an end of a tunnel leads to, unless the packet goes to another address than its own far end.
    fn far_of(
        &self,
        endpoint: Item<'a, TunnelEndpoint>,
        to: Option<IpAddr>,
    ) -> Option<(NodeId, Confidence)> {
        let own = endpoint.data.remote.as_ref().map(|remote| remote.value);
        let far = self.network.topology.out(endpoint.id, EdgeKind::Tunnel);
        let far = far.first().map(|(id, edge)| (*id, edge.confidence));
        far.filter(|_| own.is_none() || to.is_none() || own == to)
    }

    /// A VXLAN device of the kernel on a host that takes the packet of a tunnel, whoever it sends to
    /// itself: it looks at the port and the VNI alone (`vxlan_vs_find`, drivers/net/vxlan).
    fn hears_anybody(
        &self,
        endpoint: Item<'a, TunnelEndpoint>,
        inner: &Inner,
        host: HostId,
    ) -> Option<Item<'a, TunnelEndpoint>> {
        self.network.tunnels_of(host).find(|far| self.hears(*far, endpoint, inner))
    }

    /// Whether an end of a tunnel is such a device, and takes the packet.
    fn hears(
        &self,
        far: Item<'a, TunnelEndpoint>,
        endpoint: Item<'a, TunnelEndpoint>,
        inner: &Inner,
    ) -> bool {
        let key = far.data.key.as_ref().and_then(|key| key.value.parse::<u64>().ok());
        far.id != endpoint.id
            && endpoint.data.kind == "vxlan"
            && far.data.kind == "vxlan"
            && self.network.netdev(far.data.owner).is_some()
            && inner.key.is_some()
            && key == inner.key
            && port_of(far) == port_of(endpoint)
    }

    /// The packet of a tunnel arrives at the end on another captured host: by the device with the
    /// address of that end, and through the packet filter of the host.
    fn arrive_at(&mut self, mut way: Way, far: Item<'a, TunnelEndpoint>, sure: Confidence) {
        // The device with the address of the far end has to work.
        let local = way.packet.destination();
        let netns = far.netns_of_underlay(self.network);
        let device = local.and_then(|ip| self.owns(far.host, netns, ip));
        let device = device.and_then(|owned| self.network.netdev(owned.0));
        if device.is_some_and(|device| self.is_cut_below(device.id, 0)) || self.is_without(far.id) {
            self.lost_in_gap(&mut way, self.tunnel_place(far));
            return;
        }
        if let Some((below, block)) = device.and_then(|device| self.blocked_below(device.id, 0)) {
            let reason = super::device::reason(&block.why);
            let place = self.place(below);
            self.lost(&mut way, Outcome::Blackholed, reason, place, Some(block.evidence));
            return;
        }
        if let Some(device) = device.filter(|_| !is_in_userspace(self.network, far)) {
            if !self.passes(&mut way, device.id) {
                return;
            }
            let pass = Pass { tunnel: Some((far.id, sure)), ..Pass::arriving(device, None) };
            self.go(way, At::Stack(pass.at(Stage::Input)));
            return;
        }
        self.leave_outer(way, far.id, sure);
    }

    /// The packet of a tunnel came to a namespace of its own host: an end of a tunnel there takes it.
    pub(super) fn take_outer(&mut self, mut way: Way, pass: &Pass) {
        let network = self.network;
        let Some(inner) = way.packet.inner.clone() else { return };
        let Some(endpoint) = network.tunnel(inner.endpoint) else { return };
        let here = |far: &Item<'a, TunnelEndpoint>| {
            far.id != endpoint.id
                && *far.netns_of_underlay(network) == pass.netns
                && far.data.kind == endpoint.data.kind
                && port_of(*far) == port_of(endpoint)
        };
        let ends: Vec<_> = network.tunnels_of(pass.host).filter(here).collect();
        let far = self.far_of(endpoint, way.packet.destination());
        let paired = far.filter(|(id, _)| ends.iter().any(|end| end.id == *id));
        let heard = || {
            let end = ends.iter().find(|end| self.hears(**end, endpoint, &inner))?;
            Some((end.id, Confidence::Inferred))
        };
        if let Some((far, sure)) = paired.or_else(heard) {
            self.leave_outer(way, far, sure);
            return;
        }
        let place = self.place_of(pass);
        let needs = network.missing(pass.host, &pass.netns, &[Topic::Links]);
        if !needs.is_empty() {
            self.unknown(&mut way, place, Reason::NotCaptured, needs);
            return;
        }
        let reason =
            if ends.is_empty() { Reason::TunnelNoReverse } else { Reason::VniUnknownAtPeer };
        let at = ends.first().and_then(|end| end.data.key.as_ref().map(|key| key.evidence));
        self.lost(&mut way, Outcome::Blackholed, reason, place, at);
    }

    /// The far end of a tunnel takes the packet out of the one around it.
    pub(super) fn leave_outer(&mut self, mut way: Way, far: NodeId, sure: Confidence) {
        let network = self.network;
        let Some(inner) = way.packet.inner.clone() else { return };
        let Some(far) = network.tunnel(far) else { return };
        let before = way.packet.clone();
        let place = self.tunnel_place(far);
        let mut hop = Hop::new(
            Kind::Tunnel,
            place.clone(),
            format!(
                "received by {} from {}",
                far.name(),
                way.packet.source().map_or_else(|| "?".to_owned(), |ip| ip.to_string())
            ),
        );
        hop.output = Some(far.name().into());
        hop.vni = inner.key;
        hop.certainty = super::device::certainty(sure);
        hop.assumed = Some("the wire between the hosts carries it".to_owned());
        hop.cite(far.data.remote.as_ref().map(|remote| remote.evidence));
        let local = way.packet.destination();
        let source = way.packet.source();
        let sent_to = way.packet.destination_port();
        way.packet = inner.packet.clone();
        self.hop(&mut way, &before, hop);
        // ovs-vswitchd.conf.db(5), options: the far end hears one port, and may take one key.
        let heard = port_of(far);
        if let (Some(sent_to), Some(heard)) = (sent_to, heard)
            && sent_to != heard
        {
            let at = far.data.dst_port.as_ref().map(|port| port.evidence);
            self.lost(&mut way, Outcome::Blackholed, Reason::TunnelNoReverse, place, at);
            return;
        }
        let wanted = network.ovs_interface(far.data.owner).and_then(|port| {
            let key = port.data.option("in_key").or_else(|| port.data.option("key"))?;
            Some((key.value.parse::<u64>().ok()?, key.evidence))
        });
        if let (Some((wanted, at)), Some(key)) = (wanted, inner.key)
            && wanted != key
        {
            let reason = Reason::VniUnknownAtPeer;
            self.lost(&mut way, Outcome::Blackholed, reason, place, Some(at));
            return;
        }
        let of_device = network.netdev(far.data.owner);
        // A device of GRE takes the key that it is told, and without one only what has none
        // (`ip_tunnel_key_match`, net/ipv4/ip_tunnel.c); no key and 0 are one to Open vSwitch.
        let is_gre = far.data.kind.contains("gre") && of_device.is_some();
        let taken = overlay::keys(far).0.unwrap_or(0);
        if is_gre && taken != inner.key.unwrap_or(0) {
            let reason = Reason::VniUnknownAtPeer;
            let at = far.data.key.as_ref().map(|key| key.evidence);
            self.lost(&mut way, Outcome::Blackholed, reason, place, at);
            return;
        }
        if let Some(owner) = of_device.filter(|owner| owner.kind == NetdevKind::Tunnel) {
            let expected = overlay::keys(far).0;
            if let (Some(expected), Some(key)) = (expected, inner.key)
                && expected != key
            {
                let reason = Reason::VniUnknownAtPeer;
                let at = far.data.key.as_ref().map(|key| key.evidence);
                self.lost(&mut way, Outcome::Blackholed, reason, place, at);
                return;
            }
            self.go(way, At::Receive(owner.id));
            return;
        }
        if !self.is_interface(far.data.owner) {
            self.unknown(&mut way, place, Reason::NotModelled, Vec::new());
            return;
        }
        let frame = &mut way.packet.frame;
        frame.set(OfField::TunId, Value::of(inner.key.map_or(0, u128::from)));
        if inner.key.is_none() {
            frame.set(OfField::TunId, Value::UNKNOWN);
        }
        for (field, ip) in [(OfField::TunSrc, source), (OfField::TunDst, local)] {
            if let Some(IpAddr::V4(_)) = ip {
                frame.set(field, ip.map_or(Value::UNKNOWN, |ip| Value::of(ip_number(ip))));
            }
        }
        // `tun_flags`: the key bit; flows that ask for it are rare.
        frame.set(OfField::TunFlags, Value::UNKNOWN);
        self.go(way, At::Switch(far.data.owner));
    }
}

/// The packet around a packet.
fn outer(
    packet: &Packet,
    endpoint: Item<'_, TunnelEndpoint>,
    key: Option<u64>,
    to: IpAddr,
    overhead: u32,
) -> Packet {
    let mut outer = Packet::new(if to.is_ipv4() { IPV4 } else { IPV6 });
    outer.set_source(endpoint.source());
    outer.set_destination(Some(to));
    let transport = overlay::transport(endpoint);
    if let Some(protocol) = transport.protocol {
        outer.set_protocol(protocol);
    }
    if transport.dport.is_some() {
        outer.set_ports(Some(49152), transport.dport);
    }
    outer.size = packet.size.map(|size| size + overhead);
    outer.inner = Some(Box::new(Inner { packet: packet.clone(), endpoint: endpoint.id, key }));
    outer
}
