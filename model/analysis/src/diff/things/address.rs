//! Addresses of devices.
use std::net::IpAddr;

use tapline_core::ids::Netns;
use tapline_core::request::Topic;
use tapline_network::Item;
use tapline_topology::graph::AddressNode;

use super::super::entity::{Class, Entity, Key, Kind};
use super::super::gather::{Gather, place};

pub(in super::super) fn add(gather: &mut Gather<'_, '_, '_>) {
    let network = gather.side.network;
    for &id in gather.side.nodes(gather.host) {
        let Some(address) = network.address(id) else { continue };
        let Some(device) = network.netdev(address.netdev) else { continue };
        if matches!(device.netns(), Netns::Nameless { .. }) {
            continue;
        }
        let (netns, name) = gather.device(device.netns(), device.name());
        let text = format!("{}/{}", address.ip, address.prefix);
        let mut it = Entity::new(
            Key::new(Kind::Address, place(netns), format!("{name} {text}")),
            Some(netns.clone()),
            format!("{text} dev {name}"),
        );
        it.at = Some(address.line());
        it.scopes = vec![place(device.netns())];
        it.owners = vec![gather.device_key(device.netns(), device.name())];
        it.mentions = vec![address.ip.to_string()];
        if is_made_up(&address) {
            it.class = Class::Noise;
        }
        let line = Some(address.line());
        let record = address.record.record;
        // Nothing answers for an address that is not settled or that somebody else has.
        for flag in ["tentative", "dadfailed"] {
            let set = record.flags.iter().any(|it| it == flag);
            it.set_link(flag, set.then(|| "yes".to_owned()), line, set);
        }
        let deprecated = record.flags.iter().any(|flag| flag == "deprecated");
        it.set("deprecated", Class::Dynamic, deprecated.then(|| "yes".to_owned()), line);
        it.set_known("peer", Class::Config, record.peer, line);
        gather.view.add(it);
    }
    gather.cover_namespaces(Kind::Address, Topic::Addresses);
}

/// The kernel makes it up from a MAC or at random, or a router hands it out by time.
fn is_made_up(address: &Item<'_, AddressNode<'_>>) -> bool {
    let IpAddr::V6(ip) = address.ip else { return false };
    let flags = &address.record.record.flags;
    ip.is_unicast_link_local()
        || flags.iter().any(|flag| flag == "temporary" || flag == "mngtmpaddr")
}
