//! How tunnel packets leave a host: by which route, and through which device.
use std::net::IpAddr;

use tapline_core::ids::Netns;
use tapline_topology::graph::{Netdev, NetdevKind, OvsInterface, TunnelEndpoint, Underlay};
use tapline_topology::{EdgeKind, NodeId, Topic};

use crate::defs;
use crate::l3::{Decision, Devices, Outcome, Query, Transport};
use crate::{Answer, Item, Network};

pub(crate) mod far;
pub mod filter;
mod unsent;

pub(crate) use unsent::{by_lower, unsent};

/// What the routing of the host decides for packets of a tunnel. `None` for a tunnel whose far end
/// is not fixed.
pub fn route<'a>(
    network: &Network<'a>,
    tunnel: Item<'a, TunnelEndpoint>,
) -> Option<Answer<Decision<'a>>> {
    let to = tunnel.data.remote.as_ref()?.value;
    let interface = network.ovs_interface(tunnel.owner);
    // ovs-vswitchd.conf.db(5), options: a mark that policy rules may ask for.
    let marked = interface.is_some_and(|port| port.data.option("egress_pkt_mark").is_some());
    let query = Query {
        from: tunnel.source(),
        mark: (!marked).then_some(0),
        tos: service(network, tunnel),
        transport: transport(tunnel),
        ..Query::own(to)
    };
    let netns = tunnel.netns_of_underlay(network);
    let lower = tunnel.lower(network);
    let devices = Devices { oif: lower.map(|device| device.name()), gone: &[] };
    match network.fib(tunnel.host, netns) {
        Some(fib) => Some(fib.lookup_by(&query, devices)),
        None => Some(Answer::Unknown(network.missing(tunnel.host, netns, &[Topic::Routes]))),
    }
}

/// The keys of a tunnel: the one that it takes, and the one that it sends with. Those of GRE are printed
/// like addresses, `0.0.0.5/0.0.0.6` where they differ.
pub(crate) fn keys(tunnel: Item<'_, TunnelEndpoint>) -> (Option<u64>, Option<u64>) {
    let number = |shown: &str| {
        let dotted = || shown.parse::<std::net::Ipv4Addr>().ok().map(|ip| u64::from(u32::from(ip)));
        shown.parse::<u64>().ok().or_else(dotted)
    };
    let Some(key) = &tunnel.data.key else { return (None, None) };
    match key.value.split_once('/') {
        Some((taken, sent)) => (number(taken), number(sent)),
        None => (number(&key.value), number(&key.value)),
    }
}

/// What its packets are for those who see them on the way: GRE, or UDP to its port. The port that they
/// come from differs with what they hold.
pub(crate) fn transport(tunnel: Item<'_, TunnelEndpoint>) -> Transport {
    const UDP: u8 = 17;
    const GRE: u8 = 47;
    match tunnel.data.kind.as_str() {
        kind if kind.contains("gre") || kind.contains("erspan") => {
            Transport { protocol: Some(GRE), sport: None, dport: None }
        }
        "vxlan" | "geneve" | "lisp" => {
            Transport { protocol: Some(UDP), sport: None, dport: filter::port_of(tunnel) }
        }
        _ => Transport::default(),
    }
}

/// The type of service of its packets: 0 unless another is set; `None` where they bear that of what
/// they hold (`tos inherit`, ip-link(8); ovs-vswitchd.conf.db(5)).
fn service<'a>(network: &Network<'a>, tunnel: Item<'a, TunnelEndpoint>) -> Option<u8> {
    let of_interface = network
        .ovs_interface(tunnel.data.owner)
        .and_then(|port| port.data.option("tos").map(|tos| tos.value.to_string()));
    let of_device = || {
        let device = network.netdev(tunnel.data.owner)?;
        device
            .records
            .iter()
            .find_map(|seen| Some(seen.record.other.find("tos")?.value.to_string()))
    };
    let Some(given) = of_interface.or_else(of_device) else { return Some(0) };
    match given.strip_prefix("0x") {
        Some(hex) => u8::from_str_radix(hex, 16).ok(),
        None => given.parse().ok(),
    }
}

/// The devices by which packets of a tunnel may leave: one for each next hop, each once.
///
/// Where routes leave that open, the device with the tunnel's source tells it too, if the far end
/// is on its link.
pub fn egress<'a>(
    network: &Network<'a>,
    tunnel: Item<'a, TunnelEndpoint>,
) -> Option<Answer<Vec<Item<'a, Netdev<'a>>>>> {
    let netns = tunnel.netns_of_underlay(network);
    let lower = tunnel.lower(network);
    let Some(answer) = route(network, tunnel) else {
        // To a group, or to whoever the forwarding table names, it sends by the device it is on.
        return lower.map(|device| Answer::Known(vec![device]));
    };
    let decision = match answer {
        Answer::Known(decision) => decision,
        Answer::Unknown(needs) => {
            let on_link = source_link(network, tunnel).map(|device| vec![device]);
            return Some(on_link.map_or(Answer::Unknown(needs), Answer::Known));
        }
    };
    let Outcome::Forward(hops) = &decision.outcome else {
        let on_link = lower.filter(|device| {
            decision.outcome == Outcome::NoRoute && may_be_on_link(tunnel, *device)
        });
        return Some(Answer::Known(on_link.into_iter().collect()));
    };
    let mut devices: Vec<Item<'a, Netdev<'a>>> = Vec::new();
    for hop in hops {
        let Some(device) = network.netdev_called(tunnel.host, netns, hop.dev) else {
            return Some(Answer::Unknown(network.missing(tunnel.host, netns, &[Topic::Links])));
        };
        if devices.iter().all(|known| known.id != device.id) {
            devices.push(device);
        }
    }
    Some(Answer::Known(devices))
}

/// Whether the far end of a tunnel that no route leads to is taken to be on the link of the device that
/// its packets are held to (`ip_route_output_key_hash_rcu`, net/ipv4/route.c): in IPv4 alone, and by a
/// device that is up. A VRF has no link.
pub fn is_taken_to_be_on_link<'a>(network: &Network<'a>, tunnel: Item<'a, TunnelEndpoint>) -> bool {
    let lower = tunnel.lower(network);
    lower.is_some_and(|device| may_be_on_link(tunnel, device) && device.usable() != Some(false))
}

fn may_be_on_link(tunnel: Item<'_, TunnelEndpoint>, lower: Item<'_, Netdev<'_>>) -> bool {
    let is_v4 = tunnel.data.remote.as_ref().is_some_and(|remote| remote.value.is_ipv4());
    is_v4 && lower.kind != NetdevKind::Vrf
}

/// The kernel device that carries all tunnels of a type and port (`dpif-netlink-rtnl.c`).
pub fn carrier(interface: Item<'_, OvsInterface>) -> Option<String> {
    let port = || {
        let given = interface.data.option("dst_port").map(|option| option.value.as_str());
        given.unwrap_or_else(|| defs::tunnel_port(&interface.data.kind)).to_owned()
    };
    match interface.data.kind.as_str() {
        "vxlan" => Some(format!("vxlan_sys_{}", port())),
        "geneve" => Some(format!("genev_sys_{}", port())),
        "gre" => Some("gre_sys".to_owned()),
        _ => None,
    }
}

/// The device that has the tunnel's source, where the far end is in the subnet of that address.
fn source_link<'a>(
    network: &Network<'a>,
    tunnel: Item<'a, TunnelEndpoint>,
) -> Option<Item<'a, Netdev<'a>>> {
    let local = tunnel.data.local.as_ref()?.value;
    let remote = tunnel.data.remote.as_ref()?.value;
    let netns = tunnel.netns_of_underlay(network);
    let holds = |&id: &NodeId| {
        let address = network.address(id)?;
        let here = address.host == tunnel.host && address.netns() == netns;
        let net = ipnet::IpNet::new(local, address.prefix).ok()?;
        (here && net.contains(&remote)).then_some(address.netdev)
    };
    let device: Option<NodeId> = network.topology.find_address(local).iter().find_map(holds);
    network.netdev(device?)
}

impl<'a> Item<'a, TunnelEndpoint> {
    /// The namespace whose routing its packets take: that in which its device was made, else the root.
    pub fn netns_of_underlay(&self, network: &Network<'a>) -> &'a Netns {
        static ROOT: Netns = Netns::Root;
        /// Stands for one that was not captured.
        static UNKNOWN: Netns = Netns::Nameless { nsid: u32::MAX };
        match &self.data.underlay {
            Underlay::Own => {}
            Underlay::Other(netns) => return netns,
            Underlay::Unknown => return &UNKNOWN,
        }
        network.netdev(self.data.owner).map_or(&ROOT, |device| device.netns())
    }

    /// The device that its packets are held to (`dev` of ip-link(8)): routes by others are not taken;
    /// where it is a VRF, those of its table are.
    pub fn lower(&self, network: &Network<'a>) -> Option<Item<'a, Netdev<'a>>> {
        let below = network.topology.out(self.data.owner, EdgeKind::StackedOn);
        below.first().and_then(|(device, _)| network.netdev(*device))
    }

    /// Its source, where one is set.
    pub fn source(&self) -> Option<IpAddr> {
        let local = self.data.local.as_ref().map(|local| local.value);
        local.filter(|ip| !ip.is_unspecified())
    }
}
