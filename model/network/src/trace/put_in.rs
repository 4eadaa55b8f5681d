//! Where a packet is put in: its MACs, and the device by which what comes from outside enters.
use std::net::IpAddr;

use tapline_core::ids::Mac;

use super::ends::{EndError, Goal, Start, Target};
use super::packet::{ARP, IPV4, SOMEBODY};
use super::{Packet, Query, Tracer};

impl Tracer<'_, '_> {
    /// MACs where the packet is put in, and the device where it comes from outside.
    pub(super) fn put_in(&self, query: &mut Query) -> Result<(), EndError> {
        match query.from.clone() {
            Start::Guest(nic) => {
                let own =
                    self.network.vm_nic(nic).and_then(|nic| Some(nic.data.mac.as_ref()?.value));
                if query.packet.mac_source().is_none() {
                    let to = query.packet.mac_destination();
                    query.packet.set_macs(own, to);
                }
            }
            Start::Device(device) => {
                let own = self.network.netdev(device).and_then(super::device::mac_of);
                let multicast = query.packet.destination().is_some_and(|ip| match ip {
                    IpAddr::V4(four) => four.is_broadcast(),
                    IpAddr::V6(_) => false,
                }) || query.packet.eth_type() == Some(ARP);
                let to = if multicast { Some(Mac([0xff; 6])) } else { own };
                let from = query.packet.mac_source().or(Some(SOMEBODY));
                let to = query.packet.mac_destination().or(to);
                query.packet.set_macs(from, to);
            }
            Start::Outside(ip) => self.enter_from_outside(query, ip)?,
            Start::Netns(..) | Start::Port(_) => {}
        }
        Ok(())
    }

    /// Whether a packet for a captured address comes in from the wire at all. Who is on the link asks by
    /// ARP for an address of the subnets of the device that sent to it; an address of none of them has
    /// to be routed to it. Makes it one to nobody where ARP is not answered; what is taken for granted
    /// otherwise.
    pub(super) fn granted_outside(
        &self,
        packet: &mut Packet,
        sender: Option<Mac>,
    ) -> Option<String> {
        let to = packet.destination().filter(IpAddr::is_ipv4)?;
        let network = self.network;
        let has_mac = |device: &crate::Item<'_, tapline_topology::graph::Netdev<'_>>| {
            device.data.mac.as_ref().is_some_and(|mac| Some(mac.value) == sender)
        };
        let routes = |device: &crate::Item<'_, tapline_topology::graph::Netdev<'_>>| {
            network.addresses_of(device.id).iter().any(|address| address.ip.is_ipv4())
        };
        let mut senders = network.netdevs().filter(|device| has_mac(device) && routes(device));
        let sender = senders.next()?;
        if senders.next().is_some() {
            return None;
        }
        let on_link = network.addresses_of(sender.id).iter().any(|address| {
            ipnet::IpNet::new(address.ip, address.prefix).is_ok_and(|net| net.contains(&to))
        });
        let owned =
            network.topology.find_address(to).iter().any(|id| {
                network.address(*id).is_some_and(|address| crate::defs::is_in_use(&address))
            });
        if owned {
            return None;
        }
        if !on_link {
            return Some(format!("the outside has a route to {to}"));
        }
        let (host, netns) = (sender.host, sender.netns());
        let proxies = ["all", sender.name()].iter().any(|dev| {
            let key = format!("net.ipv4.conf.{}.proxy_arp", dev.replace('.', "/"));
            let all = network.kernel_settings();
            all.get(&(host, netns, key.as_str())).is_some_and(|set| set.value == 1)
        });
        let by_agent = netns.name().is_some_and(|name| name.starts_with("fip-"));
        let known = network.complete(host, netns, tapline_topology::Topic::Addresses);
        let answered = proxies || by_agent || !known || self.responder(to).is_some();
        if !answered {
            packet.set_macs(packet.mac_source(), Some(super::NOBODY));
            packet.unresolved = Some(to);
        }
        None
    }

    /// A packet from outside enters where the way back to its sender leaves.
    pub(super) fn enter_from_outside(&self, query: &mut Query, ip: IpAddr) -> Result<(), EndError> {
        let target = match &query.to {
            Some(Goal::Address { targets, .. } | Goal::Things(targets)) => targets.first().cloned(),
            _ => None,
        };
        let start = match target {
            Some(Target::Guest(nic)) => Start::Guest(nic),
            Some(Target::Netns(host, netns)) => Start::Netns(host, netns),
            Some(Target::Device(device)) => {
                let Some(device) = self.network.netdev(device) else {
                    return Err(EndError::Nothing("the target".to_owned()));
                };
                Start::Netns(device.host, device.netns().clone())
            }
            None => {
                return Err(EndError::Wrong(
                    "from outside to what was not captured: nothing to follow".to_owned(),
                ));
            }
        };
        let mut probe = Packet::new(query.packet.eth_type().unwrap_or(IPV4));
        probe.set_protocol(1);
        probe.set_icmp(8, 0);
        probe.set_destination(Some(ip));
        if let Start::Guest(nic) = start {
            let nic_item = self.network.vm_nic(nic);
            let own = nic_item.and_then(|nic| Some(nic.data.mac.as_ref()?.value));
            probe.set_macs(own, None);
            let source =
                nic_item.and_then(|nic| self.addresses_of_nic(nic).first().map(|(ip, _)| *ip));
            probe.set_source(source);
        } else {
            // The address that is asked for, if it is the namespace's own.
            probe.set_source(query.packet.destination());
        }
        // What the probe would be answered by does not matter: an answer is let out where questions
        // may not be.
        (probe.reply, probe.established) = (false, false);
        let out = self.trace(&Query {
            from: start,
            to: Some(Goal::Outside),
            packet: probe,
            connections: Vec::new(),
            committed: std::collections::BTreeMap::default(),
            stop_at_ovs: false,
            oif: None,
            without: None,
            asked: None,
            unbound: false,
            heard: Vec::new(),
            granted: None,
            entry: Vec::new(),
            explain: false,
        });
        query.entry = out.verdict.next.clone();
        let end = out.end.filter(|end| end.reached == crate::truth::Truth::Yes);
        let device = end.as_ref().and_then(|end| {
            let (host, netns) = (end.place.host?, end.place.netns.clone()?);
            self.network.topology.find_netdev(host, &netns, end.place.device.as_ref()?)
        });
        let (Some(end), Some(device)) = (end, device) else {
            return Ok(());
        };
        let tags = end.packet.vlans().unwrap_or_default();
        let back = end.packet.answer();
        let from = if end.packet.unresolved.is_some() { Some(SOMEBODY) } else { back.mac_source() };
        query.packet.set_macs(from, back.mac_destination());
        if matches!(query.to, Some(Goal::Things(_))) {
            query.packet.set_destination(back.destination());
        }
        query.granted = self.granted_outside(&mut query.packet, end.packet.mac_source());
        for vid in tags.iter().rev() {
            query.packet.frame.push_tag();
            query.packet.frame.set_vlan(*vid);
        }
        query.from = Start::Device(device);
        Ok(())
    }
}
