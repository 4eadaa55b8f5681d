//! What the stack of a namespace answers itself: ARP, and which addresses are its own.
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_topology::{NodeId, Topic};

use crate::texts::Setting;
use crate::{Answer, l3};

use super::netfilter::Pass;
use super::packet::ARP;
use super::{Certainty, Hop, Kind, Outcome, Packet, Place, Reason, Walk, Way, ends};

impl<'a> Walk<'_, '_, 'a> {
    pub(super) fn is_arp(packet: &Packet) -> bool {
        packet.eth_type() == Some(ARP)
    }

    /// The device of a namespace that has an address, and the line that says so.
    pub(super) fn owns(
        &self,
        host: HostId,
        netns: &Netns,
        ip: IpAddr,
    ) -> Option<(NodeId, Evidence)> {
        self.network.topology.find_address(ip).iter().find_map(|id| {
            let address = self.network.address(*id)?;
            let here = address.host == host && address.netns() == netns;
            here.then(|| (address.data.netdev, address.line()))
        })
    }

    /// The same, for a packet: what stands in the table of a VRF is an own address only for packets
    /// of that VRF.
    pub(super) fn owns_for(&self, pass: &Pass, ip: IpAddr) -> Answer<Option<(NodeId, Evidence)>> {
        let own = self.owns(pass.host, &pass.netns, ip);
        let fib = self.network.fib(pass.host, &pass.netns).filter(l3::Fib::has_vrfs);
        let (Some(_), Some(fib)) = (own, fib) else { return Answer::Known(own) };
        let iif = pass.input.map(|input| self.name(input));
        let oif = pass.bound.as_deref().filter(|_| iif.is_none());
        let query = l3::Query { iif: iif.as_deref(), ..l3::Query::own(ip) };
        let decided = fib.lookup_by(&query, l3::Devices { oif, gone: &[] });
        decided.map(|decision| match decision.outcome {
            l3::Outcome::Local(address) => {
                let address = self.network.address(address);
                address.map(|address| (address.data.netdev, address.line()))
            }
            _ => None,
        })
    }

    /// The VRF that a packet in the stack belongs to; `None` where the namespace has none.
    pub(super) fn vrf_of(&self, pass: &Pass) -> Option<l3::Domain<'a>> {
        let fib = self.network.fib(pass.host, &pass.netns)?;
        let device = pass.input.or_else(|| {
            let bound = pass.bound.as_deref()?;
            self.network.topology.find_netdev(pass.host, &pass.netns, bound)
        })?;
        fib.has_vrfs().then(|| self.network.domain_of(device))
    }

    /// Whether an address is a broadcast address of the namespace.
    pub(super) fn is_subnet_broadcast(&self, pass: &Pass, ip: IpAddr) -> bool {
        let Some(input) = pass.input else { return false };
        self.network.addresses_of(input).iter().any(|address| {
            let set = address.data.record.record.broadcast;
            set == Some(ip)
        })
    }

    /// A setting of a namespace.
    pub(super) fn setting(&self, host: HostId, netns: &Netns, key: &str) -> Option<Setting> {
        self.network.kernel_settings().get(&(host, netns, key)).copied()
    }

    /// ARP comes in: the namespace answers for its own addresses, on any device of its own, and for
    /// others where it is told to.
    pub(super) fn arp(&mut self, mut way: Way, pass: Pass) {
        let place = Place {
            host: Some(pass.host),
            netns: Some(pass.netns.clone()),
            device: pass.input.map(|input| self.name(input)),
            ..Place::default()
        };
        let Some(wanted) = way.packet.destination() else {
            self.unknown(&mut way, place, Reason::PacketOpen, Vec::new());
            return;
        };
        let owned = match self.owns_for(&pass, wanted) {
            Answer::Known(owned) => owned,
            Answer::Unknown(needs) => {
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
                return;
            }
        };
        if let Some((owner, evidence)) = owned {
            let before = way.packet.clone();
            let mut hop = Hop::new(Kind::Local, place.clone(), format!("answers ARP for {wanted}"));
            hop.input = pass.input.map(|input| self.name(input));
            hop.cite(Some(evidence));
            self.hop(&mut way, &before, hop);
            let target = ends::Reached::Stack {
                host: pass.host,
                netns: &pass.netns,
                device: owner,
                listens: Some(true),
                unsure: false,
            };
            let outcome = Outcome::Delivered;
            self.arrive(&mut way, outcome, place, target, Certainty::Proven, Some(evidence));
            return;
        }
        if !self.network.complete(pass.host, &pass.netns, Topic::Addresses) {
            let needs = self.network.missing(pass.host, &pass.netns, &[Topic::Addresses]);
            self.unknown(&mut way, place, Reason::NotCaptured, needs);
            return;
        }
        let dev = pass.input.map(|input| self.name(input)).unwrap_or_default();
        let key = format!("net.ipv4.conf.{}.proxy_arp", dev.replace('.', "/"));
        let proxy = self.setting(pass.host, &pass.netns, &key).map(|setting| setting.value == 1);
        let fip = pass.netns.name().is_some_and(|name| name.starts_with("fip-"));
        if proxy == Some(true) || fip && proxy.is_none() {
            let before = way.packet.clone();
            let mut hop = Hop::new(
                Kind::Local,
                place.clone(),
                format!("answers ARP for {wanted} (proxy_arp)"),
            );
            hop.certainty = if proxy.is_some() { Certainty::Proven } else { Certainty::Assumed };
            self.hop(&mut way, &before, hop);
            let Some(device) = pass.input else { return };
            let target = ends::Reached::Stack {
                host: pass.host,
                netns: &pass.netns,
                device,
                listens: Some(true),
                unsure: false,
            };
            self.arrive(&mut way, Outcome::Delivered, place, target, Certainty::Inferred, None);
            return;
        }
        self.aside(&mut way, Reason::AddressNotOwned, place);
    }
}
