//! What every pod and container reaches: its gateway, the outside, and the others that its routes name;
//! each there and back.
use std::net::IpAddr;
use std::sync::Arc;

use tapline_core::Name;
use tapline_topology::NodeId;
use tapline_topology::graph::NetnsNode;

use crate::workloads::{Who, Workload};
use crate::{Item, defs, l3};

use super::reach::MOST_PEERS;
use super::{Peer, Row, Start, Tracer, Without};

/// A namespace of a pod or container, or an interface whose namespace was not captured.
struct Pod {
    name: Name,
    start: Start,
    host: tapline_core::capture::HostId,
    nic: Option<Name>,
    mac: Option<tapline_core::ids::Mac>,
    ip: Option<IpAddr>,
    /// It is of Kubernetes, where each reaches each unless a policy forbids it.
    of_kubernetes: bool,
    /// Its default gateway.
    gateway: Option<IpAddr>,
}

impl<'a> Tracer<'_, 'a> {
    /// The rows of pods and containers; only one where it is named.
    pub(super) fn pod_rows(&self, only: Option<&str>, without: Option<&Arc<Without>>) -> Vec<Row> {
        let pods = self.pods();
        let meant = |pod: &&Pod| {
            only.is_none_or(|only| pod.name == only || pod.name.rsplit('/').next() == Some(only))
        };
        let rows = pods.iter().filter(meant).map(|pod| {
            let mut cells = Vec::new();
            // Routers that are flows answer nothing but ARP and pings, by flows.
            let gateway = pod.gateway.filter(|ip| !self.owners(*ip).is_empty());
            if let Some(gateway) = gateway {
                let to = format!("ip:{gateway}");
                cells.push(("gateway", self.cell(pod.start.clone(), &to, without)));
            }
            cells.push(("outside", self.cell(pod.start.clone(), "outside", without)));
            Row {
                host: pod.host,
                vm: pod.name.clone(),
                start: pod.start.clone(),
                nic: pod.nic.clone(),
                mac: pod.mac,
                ip: pod.ip,
                network: None,
                cells,
                peers: self.peers_of(pod, &pods, without),
            }
        });
        rows.collect()
    }

    /// Others that the routes of a pod lead to by more than the default route, those on other hosts
    /// first.
    fn peers_of(&self, pod: &Pod, all: &[Pod], without: Option<&Arc<Without>>) -> Vec<Peer> {
        let Start::Netns(host, netns) = &pod.start else { return Vec::new() };
        let Some(fib) = self.network.fib(*host, netns) else { return Vec::new() };
        let own = all.iter().position(|other| std::ptr::eq(other, pod)).unwrap_or_default();
        // Each begins behind itself, so that all are asked for by some.
        let (before, behind) = all.split_at(own.min(all.len()));
        let others = behind.iter().skip(1).chain(before);
        let is_named = |ip: IpAddr| {
            let decided = fib.lookup(&l3::Query::own(ip)).known();
            let route = decided.and_then(|decision| decision.route);
            route.is_some_and(|route| {
                let net = route.record.destination.as_ref();
                net.is_some_and(|net| net.value.prefix_len() > 0)
            })
        };
        let mut chosen: Vec<(&Pod, IpAddr)> = others
            .filter_map(|other| Some((other, other.ip?)))
            .filter(|(other, ip)| {
                Some(*ip) != pod.ip && (pod.of_kubernetes && other.of_kubernetes || is_named(*ip))
            })
            .collect();
        chosen.sort_by_key(|(other, _)| other.host == pod.host);
        let peers = chosen.into_iter().take(MOST_PEERS).map(|(other, ip)| {
            let cell = self.cell(pod.start.clone(), &format!("ip:{ip}"), without);
            Peer { vm: other.name.clone(), ip, cell }
        });
        peers.collect()
    }

    fn pods(&self) -> Vec<Pod> {
        let network = self.network;
        network
            .namespaces()
            .filter(|netns| !netns.netns().is_root() && !network.is_outdated(netns.host))
            .filter(|netns| !defs::is_of_neutron(netns.netns()))
            .filter_map(|netns| self.pod(netns))
            .collect()
    }

    /// A namespace with an address on one end of a pair or on a device above a NIC, as CNI plugins and
    /// container engines make them.
    fn pod(&self, netns: Item<'a, NetnsNode<'a>>) -> Option<Pod> {
        let network = self.network;
        let devices = network.devices_in(netns.id);
        let own = devices.iter().filter(|device| !device.stub).find_map(|device| {
            let all = network.addresses_of(device.id);
            let address = all.iter().find(|address| {
                let link_local = match address.ip {
                    IpAddr::V4(four) => four.is_link_local(),
                    IpAddr::V6(six) => six.is_unicast_link_local(),
                };
                !address.ip.is_loopback() && !link_local
            })?;
            Some((*device, address.ip))
        });
        let (device, ip) = own?;
        let workload = self.workload_of(netns.id, device.id);
        let name = match workload.map(|workload| &workload.who) {
            Some(Who::Pod { name } | Who::Container { name, .. }) => name.as_str().into(),
            _ => netns.name().into(),
        };
        let anywhere: IpAddr = match ip {
            IpAddr::V4(_) => IpAddr::from([8, 8, 8, 8]),
            IpAddr::V6(_) => IpAddr::from([0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888]),
        };
        let fib = network.fib(netns.host, netns.netns());
        let decided = fib.and_then(|fib| fib.lookup(&l3::Query::own(anywhere)).known());
        let gateway = decided.and_then(|decision| decision.hops().first()?.gateway);
        Some(Pod {
            name,
            start: Start::Netns(netns.host, netns.netns().clone()),
            host: netns.host,
            nic: None,
            mac: super::device::mac_of(device),
            ip: Some(ip),
            of_kubernetes: matches!(workload, Some(Workload { who: Who::Pod { .. }, .. })),
            gateway,
        })
    }

    /// Who a namespace is of, by itself or by the device that leads into it.
    fn workload_of(&self, netns: NodeId, device: NodeId) -> Option<&Workload> {
        let network = self.network;
        let all = network.workloads();
        let peer = network.veth_peer(device).map(|peer| peer.id);
        let port = peer.and_then(|peer| network.interface_of(peer)).map(|port| port.id);
        [Some(netns), peer, port, Some(device)].into_iter().flatten().find_map(|node| all.of(node))
    }
}
