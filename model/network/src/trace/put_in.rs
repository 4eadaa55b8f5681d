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
            explain: false,
        });
        let end = out.end.filter(|end| end.reached == crate::truth::Truth::Yes);
        let device = end.as_ref().and_then(|end| {
            let (host, netns) = (end.place.host?, end.place.netns.clone()?);
            self.network.topology.find_netdev(host, &netns, end.place.device.as_ref()?)
        });
        let (Some(end), Some(device)) = (end, device) else {
            return Err(EndError::Wrong(format!(
                "where packets from {ip} come in is not known: the way to it does not leave what was captured"
            )));
        };
        let tags = end.packet.vlans().unwrap_or_default();
        let back = end.packet.answer();
        let from = if end.packet.unresolved.is_some() { Some(SOMEBODY) } else { back.mac_source() };
        query.packet.set_macs(from, back.mac_destination());
        if matches!(query.to, Some(Goal::Things(_))) {
            query.packet.set_destination(back.destination());
        }
        for vid in tags.iter().rev() {
            query.packet.frame.push_tag();
            query.packet.frame.set_vlan(*vid);
        }
        query.from = Start::Device(device);
        Ok(())
    }
}
