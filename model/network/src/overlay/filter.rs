//! Whether the packet filter of a host lets the packets of its tunnels out, and those of their peers
//! in.
use std::collections::BTreeMap;
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::filter::ConnStates;
use tapline_core::records::route::Family;
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::NodeId;
use tapline_topology::graph::{Netdev, TunnelEndpoint};

use crate::filter::{Address, Device, Packet, Verdict};
use crate::hooks::Asked;
use crate::l2::{Block, Why};
use crate::{Answer, Item, Network, defs};

/// A hook that the packets of a tunnel pass, and the tables of `iptables` that it asks there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Direction {
    /// What the host sends.
    Out,
    /// What its peers send.
    In,
}

impl Direction {
    /// The hooks, in their order, with the tables of `iptables` that are asked there.
    fn hooks(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Self::Out => &[("OUTPUT", &["raw", "mangle", "filter"]), ("POSTROUTING", &["mangle"])],
            Self::In => &[("PREROUTING", &["raw", "mangle"]), ("INPUT", &["mangle", "filter"])],
        }
    }
}

/// The rule or policy that stops the packets of a tunnel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stop {
    /// The chain of the kernel.
    pub hook: &'static str,
    /// The table of `iptables`, or `nft`.
    pub table: &'static str,
    /// Family, table and chain, where it is a chain of nft that `iptables` does not print.
    pub of_nft: Option<(Name, Name, Name)>,
    /// The place that says so.
    pub evidence: Evidence,
}

/// How packets around others look to a filter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wire {
    /// To this UDP port.
    Udp(u16),
    /// IP protocol 47.
    Gre,
}

/// What the packets of a tunnel look like, where the kernel sends and receives them. Those of the
/// datapath in user space never reach a filter.
pub fn wire(network: &Network<'_>, tunnel: Item<'_, TunnelEndpoint>) -> Option<Wire> {
    if is_in_userspace(network, tunnel) {
        return None;
    }
    match tunnel.data.kind.as_str() {
        "gre" | "ip6gre" | "gretap" | "ip6gretap" => Some(Wire::Gre),
        "vxlan" | "geneve" => port_of(tunnel).map(Wire::Udp),
        _ => None,
    }
}

/// The UDP port that a tunnel sends to, and hears.
pub(crate) fn port_of(tunnel: Item<'_, TunnelEndpoint>) -> Option<u16> {
    let named = tunnel.data.dst_port.as_ref().map(|port| port.value);
    named.or_else(|| defs::tunnel_port(&tunnel.data.kind).parse().ok())
}

/// Whether a datapath outside the kernel sends the packets of a tunnel: it has routes and neighbours
/// of its own, taken from the kernel, and meets no packet filter.
pub(crate) fn is_in_userspace(network: &Network<'_>, tunnel: Item<'_, TunnelEndpoint>) -> bool {
    let interface = network.ovs_interface(tunnel.data.owner);
    let bridge = interface.and_then(|port| network.bridge_called(port.host, &port.data.bridge));
    bridge.is_some_and(|bridge| !defs::is_kernel_datapath(bridge.data))
}

/// What stops every packet between a tunnel and a peer in one direction, as the captured filters
/// say; `peer` is `None` where it may be anybody.
pub fn stop<'a>(
    network: &Network<'a>,
    tunnel: Item<'a, TunnelEndpoint>,
    direction: Direction,
    peer: Option<IpAddr>,
) -> Option<Stop> {
    let wire = wire(network, tunnel)?;
    let netns = tunnel.netns_of_underlay(network);
    let families = match peer.or_else(|| tunnel.source()) {
        Some(IpAddr::V4(_)) => &[Family::Inet] as &[Family],
        Some(IpAddr::V6(_)) => &[Family::Inet6],
        None => &[Family::Inet, Family::Inet6],
    };
    let mut first = None;
    for &family in families {
        let mut packet = packet(network, tunnel, (wire, family), direction, peer);
        if network.filters().leave_destination((tunnel.host, netns), &packet) {
            packet.translated = Some(ConnStates::default());
        }
        let found = direction.hooks().iter().find_map(|&(hook, tables)| {
            let steps = network.filters().steps((tunnel.host, netns), family, hook, tables);
            steps.iter().filter(|step| !step.nat).find_map(|step| {
                let judgement = step.asked.evaluate(hook, &packet)?;
                let stops = matches!(judgement.verdict(), Verdict::Drop | Verdict::Reject);
                let evidence = judgement.stop().filter(|_| stops)?.evidence?;
                let of_nft = match &step.asked {
                    Asked::Chain(_, base) => Some((
                        base.table.family.clone(),
                        base.table.name.value.clone(),
                        base.chain.name.value.clone(),
                    )),
                    Asked::Table(_) | Asked::Nothing => None,
                };
                Some(Stop { hook, table: step.name, of_nft, evidence })
            })
        });
        first = first.or(Some(found?));
    }
    first
}

/// The texts that hold the packet filter of IPv4 of a namespace, each with how many rules it has;
/// none where the filter was not captured whole.
pub fn texts(network: &Network<'_>, host: HostId, netns: &Netns) -> Vec<(SourceId, usize)> {
    let filters = network.filters();
    if let Some(table) = filters.table(host, netns, "filter") {
        return vec![(table.source, table.data.rules.len())];
    }
    let ruleset = filters.ruleset(host, netns);
    ruleset.map(|ruleset| (ruleset.source, ruleset.len())).into_iter().collect()
}

/// A packet of a tunnel. Its source port varies by what it carries, so it answers to nothing.
fn packet<'a>(
    network: &Network<'a>,
    tunnel: Item<'a, TunnelEndpoint>,
    (wire, family): (Wire, Family),
    direction: Direction,
    peer: Option<IpAddr>,
) -> Packet {
    let address = |ip: Option<IpAddr>| ip.map_or(Address::Unknown, Address::Known);
    let is_out = direction == Direction::Out;
    let device = if is_out { leaves_by(network, tunnel) } else { comes_by(network, tunnel) };
    let device = match device {
        Some(device) => Device::Known(device.name().into()),
        None => Device::Except(|name| name == "lo"),
    };
    let (protocol, destination_port) = match wire {
        Wire::Udp(port) => (17, Some(port)),
        Wire::Gre => (47, None),
    };
    let mut packet = Packet {
        protocol: Some(protocol),
        destination_port,
        state: Some(ConnStates::NEW),
        to_host: Some(!is_out),
        ..Packet::unknown(family)
    };
    if is_out {
        (packet.in_device, packet.out_device) = (Device::None, device);
        (packet.source, packet.destination) = (address(tunnel.source()), address(peer));
    } else {
        // What is no more than a destination for INPUT has no device to leave by.
        (packet.in_device, packet.out_device) = (device, Device::None);
        (packet.source, packet.destination) = (address(peer), address(tunnel.source()));
    }
    packet
}

/// The one device by which packets of a tunnel leave.
fn leaves_by<'a>(
    network: &Network<'a>,
    tunnel: Item<'a, TunnelEndpoint>,
) -> Option<Item<'a, Netdev<'a>>> {
    match super::egress(network, tunnel).and_then(Answer::known)?.as_slice() {
        [one] => Some(*one),
        _ => None,
    }
}

/// The device by which packets of its peers come: the one by which its own leave, where that has the
/// address to which they are sent, or is on one link with the far end. Below a VRF a filter sees that.
fn comes_by<'a>(
    network: &Network<'a>,
    tunnel: Item<'a, TunnelEndpoint>,
) -> Option<Item<'a, Netdev<'a>>> {
    let device = leaves_by(network, tunnel)?;
    let decision = super::route(network, tunnel).and_then(Answer::known);
    let is_on_link = decision.is_some_and(|decision| {
        let mut hops = decision.hops().iter().peekable();
        hops.peek().is_some() && hops.all(|hop| hop.gateway.is_none())
    });
    let is_sought = match tunnel.source() {
        Some(source) => network.addresses_of(device.id).iter().any(|address| address.ip == source),
        None => is_on_link,
    };
    (is_sought && network.master(device.id).is_none()).then_some(device)
}

/// The tunnels whose packets a filter of their own host stops.
pub(crate) fn stopped<'a>(network: &Network<'a>) -> BTreeMap<NodeId, Block> {
    let of_tunnel = |tunnel: Item<'a, TunnelEndpoint>| {
        let peer = tunnel.data.remote.as_ref().map(|remote| remote.value);
        let mut directions = [Direction::Out, Direction::In].into_iter();
        // Whom a tunnel without a fixed end sends to is not known, so only what all send is asked for.
        let stop = directions.find_map(|way| stop(network, tunnel, way, peer))?;
        let why = Why::Filtered(stop.hook.into());
        Some((tunnel.id, Block { why, evidence: stop.evidence }))
    };
    network.tunnels().filter_map(of_tunnel).collect()
}
