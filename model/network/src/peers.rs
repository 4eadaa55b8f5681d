//! What of two hosts is on one wire or in one network.
use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::capture::HostId;
use tapline_topology::NodeId;
use tapline_topology::graph::{Netdev, OvsPort};

use crate::{Item, Network, defs};

impl<'a> Network<'a> {
    /// Whether ports of the integration bridges of two hosts are in one network of neutron: by its
    /// id, or by the tunnel key of their VLANs where a tunnel joins the hosts.
    pub fn are_in_one_network(&self, a: Item<'a, OvsPort>, b: Item<'a, OvsPort>) -> bool {
        let id =
            |port: Item<'a, OvsPort>| defs::other_config(port.data, "net_uuid").map(str::to_owned);
        if let (Some(a), Some(b)) = (id(a), id(b)) {
            return a == b;
        }
        let keys = |port: Item<'a, OvsPort>| -> Vec<u64> {
            let vlan = port.data.tag.as_ref().map(|tag| tag.value);
            let ways = vlan.and_then(|vlan| self.local_vlans(port.host).ways.get(&vlan));
            ways.map(|ways| ways.tunnel_in.iter().map(|(key, _)| *key).collect())
                .unwrap_or_default()
        };
        let theirs = keys(b);
        keys(a).iter().any(|key| theirs.contains(key)) && self.are_joined_by_tunnel(a.host, b.host)
    }

    /// The VLANs on the integration bridge of another host that are in the network of neutron which a
    /// VLAN of a host is in, as the ports in use on both say, or the namespaces of DHCP servers; empty
    /// where that is not known.
    pub(crate) fn vlans_of_same_network(
        &self,
        (host, vlan): (HostId, u16),
        other: HostId,
    ) -> BTreeSet<u16> {
        let of_vlan = self.local_vlans(host).ports.get(&vlan).into_iter().flatten();
        let networks: BTreeSet<&str> = of_vlan.filter_map(|port| self.network_of(*port)).collect();
        let theirs = self.local_vlans(other).ports.iter();
        let is_same = |ports: &Vec<Item<'a, OvsPort>>| {
            let mut named = ports.iter().filter_map(|port| self.network_of(*port));
            named.any(|network| networks.contains(network))
        };
        theirs.filter(|(_, ports)| is_same(ports)).map(|(vlan, _)| *vlan).collect()
    }

    /// The id of the network of neutron that a port is in: its agent notes it at the port, and
    /// namespaces of DHCP servers bear it.
    fn network_of(&self, port: Item<'a, OvsPort>) -> Option<&'a str> {
        let noted = defs::other_config(port.data, "net_uuid");
        noted.or_else(|| {
            let interface = self.interface_called(port.host, port.name())?;
            let netns = self.device_of(interface.id)?.netns();
            netns.name()?.strip_prefix("qdhcp-")
        })
    }

    /// Whether a tunnel leads from one of two hosts to the other.
    fn are_joined_by_tunnel(&self, a: HostId, b: HostId) -> bool {
        let ways = self.mesh().ways(self);
        ways.contains(&(a, b)) || ways.contains(&(b, a))
    }

    /// The port of the integration bridge that a device is, in whatever namespace.
    pub fn integration_port_of(&self, device: Item<'a, Netdev<'a>>) -> Option<Item<'a, OvsPort>> {
        let port = self.topology.find_ovs_port(device.host, device.name())?;
        self.ovs_port(port).filter(|port| self.is_integration_called(port.host, &port.bridge))
    }

    /// Whether two devices of different hosts are on one wire: each has an address in the subnet of
    /// the other, and a tunnel of one host leads to that of the other, so nobody routes between.
    pub fn are_on_one_wire(&self, a: NodeId, b: NodeId) -> bool {
        let (Some(device_a), Some(device_b)) = (self.netdev(a), self.netdev(b)) else {
            return false;
        };
        let nets = |device: NodeId| -> Vec<IpNet> {
            let all = self.addresses_of(device).into_iter();
            all.filter(|address| defs::is_global(address.ip))
                .filter_map(|address| IpNet::new(address.ip, address.prefix).ok())
                .collect()
        };
        let (nets_a, nets_b) = (nets(a), nets(b));
        let leads = |host: HostId, ip: IpAddr| {
            self.tunnels_of(host)
                .any(|tunnel| tunnel.data.remote.as_ref().is_some_and(|remote| remote.value == ip))
        };
        nets_a.iter().any(|net_a| {
            nets_b.iter().any(|net_b| {
                net_a.contains(&net_b.addr())
                    && net_b.contains(&net_a.addr())
                    && (leads(device_a.host, net_b.addr()) || leads(device_b.host, net_a.addr()))
            })
        })
    }
}
