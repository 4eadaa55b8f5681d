//! A guest sends: its first hop is assumed, since nobody looks into it.
use std::net::IpAddr;

use tapline_core::ids::Mac;
use tapline_core::span::Evidence;
use tapline_topology::graph::VmNic;
use tapline_topology::{NodeId, Topic};

use crate::Item;

use super::asking::Asked;
use super::gateway::Gateway;
use super::ovn::Offer;
use super::{At, Certainty, Hop, Kind, Outcome, Place, Reason, Target, Walk, Way};

impl<'a> Walk<'_, '_, 'a> {
    /// A guest sends: its first hop is assumed, since nobody looks into it.
    pub(super) fn send_from_guest(&mut self, mut way: Way, nic_id: NodeId) {
        let Some(nic) = self.network.vm_nic(nic_id) else { return };
        let vm = self.network.vm(nic.vm);
        let name = vm.map(|vm| vm.name()).unwrap_or_default();
        let place = Place { host: Some(nic.host), ..Place::default() };
        if let Some(vm) = vm
            && vm.active == Some(false)
        {
            let at = vm.state.as_ref().map(|state| state.evidence);
            self.lost(&mut way, Outcome::Blackholed, Reason::GuestOff, place, at);
            return;
        }
        let before = way.packet.clone();
        let own = nic.data.mac.as_ref().map(|mac| mac.value);
        let mut hop = Hop::new(Kind::Guest, place.clone(), format!("guest {name} sends"));
        hop.output = own.map(|mac| mac.to_string().into());
        hop.certainty = Certainty::Assumed;
        hop.cite(nic.data.mac.as_ref().map(|mac| mac.evidence));
        let mut doubtful = None;
        if way.packet.mac_destination().is_none() {
            let mut mac = self.first_hop(&mut way, nic, &mut hop);
            let asked = way.packet.next_hop.filter(|_| mac.is_some_and(|mac| !mac.is_multicast()));
            let owners = asked.map(|to| self.who_has(to, nic_id)).unwrap_or_default();
            if let Some(to) = asked.filter(|_| !owners.is_empty()) {
                match self.ask_as_guest(nic_id, (way.packet.source(), to), &owners) {
                    Asked::Answered(answered) => mac = Some(answered),
                    Asked::Unanswered(why) => {
                        let mut sent = way.clone();
                        sent.packet.set_macs(way.packet.mac_source().or(own), mac);
                        if !self.is_guest_lost_anyway(&sent, nic_id) {
                            self.hop(&mut way, &before, hop);
                            self.lost_unanswered(&mut way, *why, false);
                            return;
                        }
                    }
                    Asked::Doubtful(why) => {
                        mac = why.mac.or(mac);
                        doubtful = Some((to, why));
                    }
                    Asked::Open => {}
                }
            } else if mac.is_none()
                && let Some(why) =
                    self.is_cut_off(nic_id, (way.packet.source(), way.packet.next_hop))
            {
                self.hop(&mut way, &before, hop);
                self.lost_unanswered(&mut way, why, false);
                return;
            }
            way.packet.set_macs(way.packet.mac_source().or(own), mac);
        } else {
            let wanted = way.packet.mac_destination();
            way.packet.set_macs(way.packet.mac_source().or(own), wanted);
        }
        let Some(tap) = self.tracer.tap_of(nic_id) else {
            self.hop(&mut way, &before, hop);
            let place = Place {
                device: nic.data.target.as_ref().map(|target| target.value.clone()),
                ..place
            };
            self.tap_missing(way, nic, place);
            return;
        };
        self.hop(&mut way, &before, hop);
        if let Some((to, why)) = doubtful {
            self.may_be_unanswered(&mut way, to, *why);
        }
        if let Some(device) = self.device(tap) {
            let before = way.packet.clone();
            let belongs = self
                .network
                .interface_of(tap)
                .map(|port| format!("port of {}", port.data.bridge))
                .or_else(|| {
                    let master = self.network.master(tap)?;
                    Some(format!("member of {}", master.name()))
                });
            let words = belongs.unwrap_or_else(|| "in no bridge".to_owned());
            let mut hop = self.device_hop(device, format!("NIC of the guest, {words}"));
            hop.input = Some(device.name().into());
            hop.cite(nic.data.target.as_ref().map(|target| target.evidence));
            self.hop(&mut way, &before, hop);
            self.go(way, At::Receive(tap));
        } else {
            self.go(way, At::Switch(tap));
        }
    }

    fn is_guest_lost_anyway(&self, way: &Way, nic: NodeId) -> bool {
        let tap = self.tracer.tap_of(nic);
        tap.is_some_and(|tap| self.is_lost_anyway(way, self.at_tap(tap)))
    }

    /// Who may answer a guest that asks for an address.
    fn who_has(&self, ip: IpAddr, nic: NodeId) -> Vec<Target> {
        let devices = self.network.topology.find_address(ip).iter().filter_map(|address| {
            let address = self.network.address(*address)?;
            Some(Target::Netns(address.host, address.netns().clone()))
        });
        let guest = self.tracer.tap_of(nic).and_then(|tap| self.guest_with(ip, tap));
        devices.chain(guest.map(|(nic, ..)| Target::Guest(nic))).collect()
    }

    pub(super) fn tap_missing(&mut self, mut way: Way, nic: Item<'a, VmNic<'a>>, place: Place) {
        let root = tapline_core::ids::Netns::Root;
        let kind = nic.data.kind.as_ref();
        let is_function = self.network.function_of(nic.id).is_some()
            || kind.is_some_and(|kind| matches!(kind.value.as_str(), "hostdev" | "vdpa"));
        if is_function {
            // The switch in the NIC has its frames, whose tables no text shows.
            if let Some(block) = self.network.function_stops(nic.id) {
                let reason = super::device::reason(&block.why);
                self.lost(&mut way, Outcome::Blackholed, reason, place, Some(block.evidence));
                return;
            }
            let text = "the NIC of the guest is a part of a NIC, which switches its frames itself";
            let at =
                kind.map(|kind| kind.evidence).or(nic.data.mac.as_ref().map(|mac| mac.evidence));
            let needs = self.network.missing(nic.host, &root, &[Topic::LinkDetails]);
            match at {
                Some(at) => self.unknown_at(&mut way, place, (Reason::Offload, text), needs, at),
                None => self.unknown(&mut way, place, Reason::Offload, needs),
            }
            return;
        }
        let needs = self.network.missing(nic.host, &root, &[Topic::Links]);
        // A guest that hangs on no device of the host: its packets go through a process.
        let by_process = kind.is_some_and(|kind| {
            matches!(kind.value.as_str(), "user" | "udp" | "mcast" | "server" | "client")
        });
        if by_process {
            self.unknown(&mut way, place, Reason::NotModelled, Vec::new());
            return;
        }
        if needs.is_empty() {
            let at = nic.data.target.as_ref().map(|target| target.evidence);
            let reason = Reason::IfNoCarrier;
            self.lost(&mut way, Outcome::Blackholed, reason, place, at);
        } else {
            self.unknown(&mut way, place, Reason::NotCaptured, needs);
        }
    }

    /// The MAC that a guest sends to: that of its neighbour on the same subnet, else its gateway's.
    pub(super) fn first_hop(
        &mut self,
        way: &mut Way,
        nic: Item<'a, VmNic<'a>>,
        hop: &mut Hop,
    ) -> Option<Mac> {
        let to = way.packet.destination()?;
        let broadcast = matches!(to, IpAddr::V4(four) if four.is_broadcast());
        if broadcast || super::packet::ARP == way.packet.eth_type().unwrap_or(0) {
            hop.action.push_str(" to all");
            return Some(Mac([0xff; 6]));
        }
        let Some(from) = way.packet.source() else {
            // Its address is not known; the router of its segment is.
            let gateway = self.tracer.gateway(nic.id, None)?;
            return self.first_hop_to(gateway, way, nic, hop);
        };
        let subnet = self.tracer.in_subnet_of(nic.id, from);
        let offer = self.tracer.offer_to(nic, from);
        let on_link = subnet.iter().any(|(ip, _, prefix, _)| {
            ipnet::IpNet::new(*ip, *prefix).is_ok_and(|net| net.contains(&to))
        }) || offer.is_some_and(|offer| offer.is_on_link(to));
        if let Some(offer) = offer.filter(|offer| !offer.is_on_link(to)) {
            return self.first_hop_by(offer, to, way, nic, hop);
        }
        let metadata = to == IpAddr::from([169, 254, 169, 254]);
        if on_link && !metadata {
            way.packet.next_hop = Some(to);
            if let Some((_, device, _, at)) = subnet.iter().find(|(ip, ..)| *ip == to) {
                hop.action.push_str(&format!(" to {to} on its link (assumed)"));
                hop.assumed = Some(format!("the guest sends to {to} on its own link"));
                hop.cite(Some(*at));
                return self.device(*device).and_then(super::device::mac_of);
            }
            let tap = self.tracer.tap_of(nic.id)?;
            if let Some((_, mac, at)) = self.guest_with(to, tap) {
                hop.action.push_str(&format!(" to {to} on its link (assumed)"));
                hop.assumed = Some(format!("the guest sends to {to} on its own link"));
                hop.cite(Some(at));
                return Some(mac);
            }
            if let Some((mac, at)) = self.neighbour_near(to, tap) {
                hop.action.push_str(&format!(" to {to} on its link (assumed)"));
                hop.cite(Some(at));
                return Some(mac);
            }
            if let Some((mac, at)) = self.tracer.responder(to) {
                hop.action.push_str(&format!(" to {to} on its link, for which flows answer ARP"));
                hop.cite(Some(at));
                return Some(mac);
            }
            hop.action.push_str(&format!(" to {to} on its link, whose MAC is not known"));
            return None;
        }
        if let Some(gateway) = self.tracer.gateway(nic.id, Some(from)) {
            return self.first_hop_to(gateway, way, nic, hop);
        }
        // OVN's routers are flows: they answer ARP for their addresses.
        let gateway = first_of(from, subnet.first().map(|(_, _, prefix, _)| *prefix));
        way.packet.next_hop = gateway;
        if let Some((gateway, (mac, at))) =
            gateway.and_then(|ip| Some((ip, self.tracer.responder(ip)?)))
        {
            hop.action.push_str(&format!(" to its gateway {gateway}, which is flows (assumed)"));
            hop.assumed = Some(format!("the guest's gateway is {gateway}"));
            hop.cite(Some(at));
            return Some(mac);
        }
        hop.action.push_str(" to its gateway, which is not known");
        None
    }

    /// The MAC of the gateway of a guest.
    fn first_hop_to(
        &self,
        gateway: Gateway,
        way: &mut Way,
        nic: Item<'a, VmNic<'a>>,
        hop: &mut Hop,
    ) -> Option<Mac> {
        let Gateway { ip, device, at, guess } = gateway;
        hop.cite(Some(at));
        way.packet.next_hop = Some(ip);
        hop.details.is_guess = guess.is_some();
        hop.assumed = Some(guess.unwrap_or_else(|| format!("the guest's gateway is {ip}")));
        hop.action.push_str(&format!(" to its gateway {ip} (assumed)"));
        if let Some(device) = device {
            return self.device(device).and_then(super::device::mac_of);
        }
        let tap = self.tracer.tap_of(nic.id);
        if let Some((mac, at)) = tap.and_then(|tap| self.neighbour_near(ip, tap)) {
            hop.cite(Some(at));
            return Some(mac);
        }
        // Nobody captured has it: what bridges do with a MAC that they do not know is known.
        way.packet.unresolved = Some(ip);
        Some(super::NOBODY)
    }

    /// The MAC of the router that DHCP gives a guest for an address.
    fn first_hop_by(
        &self,
        offer: &Offer,
        to: IpAddr,
        way: &mut Way,
        nic: Item<'a, VmNic<'a>>,
        hop: &mut Hop,
    ) -> Option<Mac> {
        hop.cite(Some(offer.at));
        let Some(router) = offer.router_to(to) else {
            hop.action.push_str(", whose DHCP gives it no route there");
            return None;
        };
        way.packet.next_hop = Some(router);
        hop.assumed = Some(format!("the guest sends to {router}, as DHCP told it"));
        let near = self.tracer.in_subnet_of(nic.id, offer.ip);
        if let Some((_, device, _, at)) = near.iter().find(|(ip, ..)| *ip == router) {
            hop.action.push_str(&format!(" to {router}, by its routes of DHCP (assumed)"));
            hop.cite(Some(*at));
            return self.device(*device).and_then(super::device::mac_of);
        }
        if let Some((mac, at)) = self.tracer.responder(router) {
            hop.action.push_str(&format!(" to its gateway {router}, which is flows (assumed)"));
            hop.cite(Some(at));
            return Some(mac);
        }
        let tap = self.tracer.tap_of(nic.id);
        if let Some((mac, at)) = tap.and_then(|tap| self.neighbour_near(router, tap)) {
            hop.action.push_str(&format!(" to its gateway {router} (assumed)"));
            hop.cite(Some(at));
            return Some(mac);
        }
        // Nobody captured has it: what flows do with a MAC that none of them names is known.
        hop.action.push_str(&format!(" to its gateway {router}, which was not captured"));
        way.packet.unresolved = Some(router);
        Some(super::NOBODY)
    }

    /// The MAC that a neighbour on the same segment knows an address by.
    pub(super) fn neighbour_near(&self, ip: IpAddr, tap: NodeId) -> Option<(Mac, Evidence)> {
        for ((host, netns), all) in self.network.neighbours() {
            for ((dev, known_ip), known) in all {
                if *known_ip != ip || known.failed {
                    continue;
                }
                let device = self.network.topology.find_netdev(*host, netns, dev);
                let near = device.and_then(|device| self.share_segment(tap, device));
                if near == Some(true)
                    && let Some(mac) = &known.record.mac
                {
                    return Some((mac.value, known.evidence));
                }
            }
        }
        None
    }
}

/// The first address of a subnet, as gateways mostly have it.
pub(super) fn first_of(ip: IpAddr, prefix: Option<u8>) -> Option<IpAddr> {
    let IpAddr::V4(four) = ip else { return Some(ip) };
    let net = ipnet::Ipv4Net::new(four, prefix.unwrap_or(24)).ok()?;
    net.hosts().next().map(IpAddr::V4)
}
