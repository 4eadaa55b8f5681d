//! Routers of neutron as their namespaces show them: their ports, and whether this node serves.
use std::net::{IpAddr, Ipv4Addr};
use tapline_core::need::Need;

use ipnet::Ipv4Net;
use tapline_core::records::route::Route;
use tapline_topology::Topic;
use tapline_topology::graph::{AddressNode, Netdev, NetdevKind, NetnsNode, Seen};
use tapline_topology::names;

use crate::defs;
use crate::{Item, Network, netfilter};

/// How names of ports begin that lead to an external network.
const GATEWAY: &str = "qg-";

/// A router in one namespace of one host.
#[derive(Debug)]
pub struct Router<'a> {
    /// `qrouter-…`, `snat-…`.
    pub netns: Item<'a, NetnsNode<'a>>,
    /// Its devices, loopback left out.
    pub devices: Vec<Item<'a, Netdev<'a>>>,
    /// Its ports for VRRP: a router that has one is highly available.
    pub ha: Vec<Item<'a, Netdev<'a>>>,
    /// Of a highly available router: the addresses that the active node alone has.
    pub active: Vec<Item<'a, AddressNode<'a>>>,
}

/// Whether a router works on this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Duty {
    /// It is not highly available, or active here.
    Serves,
    /// It waits for its turn: without addresses, its gateway perhaps down.
    Waits,
    /// Not told: these commands would.
    Unknown(Vec<Need>),
}

impl<'a> Router<'a> {
    /// What a namespace holds, whatever its name.
    pub fn new(network: &Network<'a>, netns: Item<'a, NetnsNode<'a>>) -> Self {
        let mut router = Self { netns, devices: Vec::new(), ha: Vec::new(), active: Vec::new() };
        for device in network.devices_in(netns.id) {
            if device.kind == NetdevKind::Loopback || names::is_fallback_tunnel(device.name()) {
                continue;
            }
            let ha = device.name().starts_with("ha-");
            let served =
                ["qr-", "qg-", "sg-"].iter().any(|prefix| device.name().starts_with(prefix));
            for address in network.addresses_of(device.id) {
                if ha && is_primary_vip(address.ip) || served && defs::is_global(address.ip) {
                    router.active.push(address);
                }
            }
            if ha {
                router.ha.push(device);
            }
            router.devices.push(device);
        }
        router
    }

    /// All routers of all hosts.
    pub fn all(network: &Network<'a>) -> Vec<Self> {
        let routers = network.namespaces().filter(|netns| defs::is_router_netns(netns.netns()));
        routers.map(|router| Self::new(network, router)).collect()
    }

    /// Whether it works on this node.
    pub fn duty(&self, network: &Network<'_>) -> Duty {
        if !self.active.is_empty() {
            return Duty::Serves;
        }
        let topics: &[Topic] =
            if self.ha.is_empty() { &[Topic::Links] } else { &[Topic::Addresses] };
        let missing = network.missing(self.netns.host, self.netns.netns(), topics);
        match (missing.is_empty(), self.ha.is_empty()) {
            (false, _) => Duty::Unknown(missing),
            (true, true) => Duty::Serves,
            (true, false) => Duty::Waits,
        }
    }

    /// Whether packets of its own are to reach the outside from this node: it has a gateway port or a
    /// default route, or its filter speaks of a port that is lost. A router that waits for its turn has no way out, nor
    /// need one without a gateway; a distributed one leads out what comes from guests alone, whom
    /// policy rules send to its `snat-…` or `fip-…` namespace.
    pub fn leads_outside(&self, network: &Network<'a>) -> bool {
        if self.duty(network) == Duty::Waits {
            return false;
        }
        // Nothing was captured of its devices.
        if self.devices.is_empty() || self.ports(GATEWAY).next().is_some() {
            return true;
        }
        let (host, netns) = (self.netns.host, self.netns.netns());
        let main = network.topology.find_route_table(host, netns, "main");
        let is_default = |route: &Seen<'_, Route>| {
            let to = route.record.destination.as_ref();
            route.record.kind == "unicast" && to.is_none_or(|net| net.value.prefix_len() == 0)
        };
        if main
            .and_then(|main| network.route_table(main))
            .is_some_and(|main| main.routes.iter().any(is_default))
        {
            return true;
        }
        let table = network.filters().table(host, netns, "nat");
        table.is_some_and(|table| {
            table.data.rules.iter().any(|rule| {
                let device = netfilter::argument(rule, &["-o", "--out-interface"]);
                device.is_some_and(|(_, name)| name.starts_with(GATEWAY))
            })
        })
    }

    /// Its UUID, by the name of the namespace.
    pub fn id(&self) -> &'a str {
        let name = self.netns.name();
        name.split_once('-').map_or(name, |(_, id)| id)
    }

    /// Its devices whose names start with `prefix`.
    pub fn ports<'r>(&'r self, prefix: &'r str) -> impl Iterator<Item = Item<'a, Netdev<'a>>> + 'r {
        self.devices.iter().filter(move |it| it.name().starts_with(prefix)).copied()
    }
}

/// keepalived keeps one address of 169.254.0.0/24 on the active node (neutron
/// `keepalived.get_primary_vip`); the nodes' own are elsewhere in 169.254.192.0/18.
fn is_primary_vip(ip: IpAddr) -> bool {
    let vips = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 24);
    matches!(ip, IpAddr::V4(ip) if vips.contains(&ip))
}
