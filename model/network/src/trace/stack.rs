//! What the stack of a namespace answers itself: ARP, and which addresses are its own.
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::graph::NetdevKind;
use tapline_topology::{NodeId, Topic};

use crate::texts::Setting;
use crate::truth::Truth;
use crate::{Answer, defs, l3};

use super::netfilter::Pass;
use super::packet::ARP;
use super::{Certainty, Hop, Kind, Outcome, Packet, Place, Reason, Walk, Way, ends};
use crate::hooks::frames::Hook;

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
            let here = here && defs::is_in_use(&address);
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
            if self.asking && self.has_no_address(&pass) {
                // Whatever is asked for: the next hop of a guest has an address on its segment.
                self.aside(&mut way, Reason::AddressNotOwned, place);
                return;
            }
            self.unknown(&mut way, place, Reason::PacketOpen, Vec::new());
            return;
        };
        if let Some(input) = pass.input.and_then(|input| self.device(input))
            && !self.pass_frames(&mut way, input, Hook::ArpInput, (pass.input, None))
        {
            return;
        }
        let owned = match self.owns_for(&pass, wanted) {
            Answer::Known(owned) => owned,
            Answer::Unknown(needs) => {
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
                return;
            }
        };
        // Only of requests a device may take no notice (`arp_process`, net/ipv4/arp.c).
        if let Some((owner, _)) = owned.filter(|_| !way.packet.is_arp_answer())
            && let Some(set) = self.ignores_arp(&way.packet, &pass, owner)
        {
            self.aside(&mut way, Reason::AddressNotOwned, place);
            if let Some(super::Node { part: super::Part::End(end), .. }) =
                self.tree.nodes.last_mut()
            {
                end.evidence.push(set.evidence);
            }
            return;
        }
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
        match self.is_proxied(&way.packet, &pass, wanted) {
            Answer::Known(None) => self.aside(&mut way, Reason::AddressNotOwned, place),
            Answer::Known(Some(certainty)) => {
                let before = way.packet.clone();
                let action = format!("answers ARP for {wanted} (proxy_arp)");
                let mut hop = Hop::new(Kind::Local, place.clone(), action);
                hop.certainty = certainty;
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
                if self.asking
                    && let Some(super::Node { part: super::Part::End(end), .. }) =
                        self.tree.nodes.last_mut()
                {
                    // Whoever answers will do.
                    (end.reached, end.aside) = (Truth::Yes, false);
                }
            }
            Answer::Unknown(needs) => {
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
            }
        }
    }

    /// Whether the device that a packet came in by surely has no address.
    fn has_no_address(&self, pass: &Pass) -> bool {
        pass.input.is_some_and(|input| self.has_no_address_at(input))
    }

    /// Whether a device surely has no address of IPv4.
    pub(super) fn has_no_address_at(&self, device: NodeId) -> bool {
        let Some(item) = self.device(device) else { return false };
        let known = self.network.complete(item.host, item.netns(), Topic::Addresses);
        let mut all = self.network.addresses_of(device).into_iter();
        known && all.all(|address| address.ip.is_ipv6())
    }

    /// The setting by which a namespace does not answer ARP for an own address: `arp_ignore`, the
    /// higher one of that of the device and of all (ip-sysctl; `arp_ignore`, net/ipv4/arp.c).
    fn ignores_arp(&self, packet: &Packet, pass: &Pass, owner: NodeId) -> Option<Setting> {
        let input = pass.input?;
        let name = self.name(input).replace('.', "/");
        let set = ["all", &name].into_iter().filter_map(|dev| {
            let key = format!("net.ipv4.conf.{dev}.arp_ignore");
            self.setting(pass.host, &pass.netns, &key)
        });
        let set = set.max_by_key(|set| set.value)?;
        let is_near = |ip: IpAddr| {
            self.network.addresses_of(input).iter().any(|address| {
                ipnet::IpNet::new(address.ip, address.prefix).is_ok_and(|net| net.contains(&ip))
            })
        };
        let ignores = match set.value {
            1 => owner != input,
            2 => owner != input || packet.source().is_some_and(|source| !is_near(source)),
            8 => true,
            _ => false,
        };
        ignores.then_some(set)
    }

    /// Whether a namespace answers ARP for an address of others, and how sure that is: it forwards, it
    /// is told to by `proxy_arp` of the device or of all, and its route to the address leads out by
    /// another device (`arp_process` and `arp_fwd_proxy`, net/ipv4/arp.c).
    pub(super) fn is_proxied(
        &self,
        packet: &Packet,
        pass: &Pass,
        ip: IpAddr,
    ) -> Answer<Option<Certainty>> {
        let dev = pass.input.map(|input| self.name(input)).unwrap_or_default();
        let key = |dev: &str, key: &str| format!("net.ipv4.conf.{}.{key}", dev.replace('.', "/"));
        let set = |key: String| self.setting(pass.host, &pass.netns, &key).map(|set| set.value);
        let proxies = [set(key("all", "proxy_arp")), set(key(&dev, "proxy_arp"))];
        let is_told = proxies.iter().flatten().any(|value| *value == 1);
        // Neutron's agents switch it on there.
        let of_agent = pass.netns.name().is_some_and(|name| name.starts_with("fip-"));
        let open = proxies.iter().all(Option::is_none);
        let by_agent = of_agent && open;
        // They switch it on nowhere else; of others nothing is known where no setting was captured.
        let of_neutron = defs::is_of_neutron(&pass.netns);
        // What is not told of serves by its address, or as the far side of somebody's pair.
        let input = pass.input.and_then(|input| self.device(input));
        let serves = input.is_some_and(|input| {
            input.kind == NetdevKind::Veth || !self.has_no_address_at(input.id)
        });
        let is_open = open && !of_agent && !of_neutron && serves;
        if !(is_told || by_agent || is_open) {
            return Answer::Known(None);
        }
        let forwards = set(key(&dev, "forwarding"));
        if forwards.or_else(|| set("net.ipv4.ip_forward".to_owned())) == Some(0) {
            return Answer::Known(None);
        }
        let certainty = if is_told { Certainty::Proven } else { Certainty::Assumed };
        let Some(fib) = self.network.fib(pass.host, &pass.netns) else {
            let needs = self.network.missing(pass.host, &pass.netns, &[Topic::AllRoutes]);
            return Answer::Unknown(needs);
        };
        let query = l3::Query { from: packet.source(), iif: Some(&dev), ..l3::Query::own(ip) };
        let answers = fib.lookup(&query).map(|decision| {
            let hops = decision.hops();
            let leads_on = !hops.is_empty() && hops.iter().all(|hop| *hop.dev != dev);
            leads_on.then_some(certainty)
        });
        match answers {
            Answer::Known(Some(_)) if is_open => {
                let need = Need::command("sysctl").with(&key(&dev, "proxy_arp"));
                Answer::Unknown(vec![need.within(&pass.netns)])
            }
            answers => answers,
        }
    }
}
