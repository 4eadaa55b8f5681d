//! Where a packet is put in, and its MACs.
use std::net::IpAddr;

use tapline_core::ids::Mac;

use super::ends::{EndError, Start};
use super::packet::{ARP, SOMEBODY};
use super::{Query, Tracer};

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
}
