//! Which copy of a packet is told of where none arrives: the one that came nearest to what was meant.
//!
//! A flood goes to all ports of a network, and most of its copies end as they should: guests ignore
//! what is not for them, a provider bridge drops a VLAN that it has no mapping for. None of these is
//! why the packet does not arrive.
use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::socket::Socket;
use tapline_topology::NodeId;

use crate::defs;
use crate::truth::Truth;

use super::{
    Certainty, End, Goal, Hop, Kind, Outcome, Part, Place, Query, Reason, Start, Target, Tracer,
    Tree, Walk,
};

/// How near the end of a copy is to what was meant, from the farthest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Near {
    /// It only happens if something that is not known is so.
    Hypothetical,
    /// It ends as it should, on a host where nobody is meant.
    Aside,
    /// It ends as it should, on the host of what is meant.
    AsideOnHost,
    /// It came to a host that does not listen.
    Unheard,
    /// It is lost on another host.
    Elsewhere,
    /// It is lost on the host of what is meant.
    OnHost,
    /// It came to what is meant.
    There,
}

/// Where a packet should come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Site {
    /// The device, or that of a guest.
    device: NodeId,
    host: HostId,
}

/// What a packet is meant for.
pub(super) struct Meant<'t, 'n, 'a> {
    tracer: &'t Tracer<'n, 'a>,
    /// What the question names.
    sites: Vec<Site>,
}

impl<'t, 'n, 'a> Meant<'t, 'n, 'a> {
    /// Of a question.
    pub(super) fn new(tracer: &'t Tracer<'n, 'a>, query: &Query) -> Self {
        let sites = match &query.to {
            Some(Goal::Address { targets, .. } | Goal::Things(targets)) => {
                targets.iter().filter_map(|target| tracer.site_of(target)).collect()
            }
            Some(Goal::Dhcp) => match query.from {
                Start::Guest(nic) => tracer.servers_of_dhcp(nic),
                _ => Vec::new(),
            },
            _ => Vec::new(),
        };
        Self { tracer, sites }
    }

    /// What the copy that ends so was for: who has the next hop that it was sent to, else what the
    /// question names.
    fn sites(&self, end: &End) -> Vec<Site> {
        let network = self.tracer.network;
        let next_hop = end.packet.next_hop.map_or(&[][..], |ip| network.topology.find_address(ip));
        let mut sites: Vec<Site> = next_hop
            .iter()
            .filter_map(|address| {
                let address = network.address(*address)?;
                let used = defs::is_in_use(&address) && !network.is_outdated(address.host);
                used.then_some(Site { device: address.data.netdev, host: address.host })
            })
            .collect();
        sites.extend(self.sites.iter().copied());
        sites
    }

    /// How near the end of a copy is to what was meant.
    pub(super) fn near(&self, end: &End) -> Near {
        if end.hypothetical {
            return Near::Hypothetical;
        }
        if end.reason == Some(Reason::Without) {
            return Near::OnHost;
        }
        let sites = self.sites(end);
        if sites.iter().any(|site| self.is_at(*site, &end.place)) {
            return Near::There;
        }
        if end.reason == Some(Reason::NoListener) && sites.is_empty() {
            return Near::Unheard;
        }
        let on_host = sites.iter().any(|site| Some(site.host) == end.place.host);
        match (self.is_by_design(end), on_host) {
            (true, false) => Near::Aside,
            (true, true) => Near::AsideOnHost,
            (false, false) => Near::Elsewhere,
            (false, true) => Near::OnHost,
        }
    }

    /// Whether a place is in the namespace of a device, or that device.
    fn is_at(&self, site: Site, place: &Place) -> bool {
        if place.host != Some(site.host) {
            return false;
        }
        let network = self.tracer.network;
        let Some(node) = network.topology.node(site.device) else { return false };
        if place.device.as_ref() == Some(&node.name) {
            return true;
        }
        let netns = network.netdev(site.device).map(|device| device.netns());
        netns.is_some_and(|netns| !netns.is_root() && place.netns.as_ref() == Some(netns))
    }

    /// Whether nothing is wrong with how a copy ends.
    fn is_by_design(&self, end: &End) -> bool {
        let network = self.tracer.network;
        let Some(host) = end.place.host else { return end.aside };
        // Others than who serves hear what is sent to all.
        let to_all = end.packet.is_multicast() == Some(true);
        if to_all && end.reason == Some(Reason::NoListener) {
            return true;
        }
        if end.aside || matches!(end.outcome, Outcome::Delivered | Outcome::DeliveredOnLink) {
            return true;
        }
        // Nobody uses the device that a bridge of OVS is itself.
        let is_local = |device: &Name| network.bridge_called(host, device).is_some();
        if end.reason == Some(Reason::IfAdminDown)
            && end.place.device.as_ref().is_some_and(is_local)
        {
            return true;
        }
        let Some(bridge) = &end.place.bridge else { return false };
        // A provider bridge of OVN floods to the patches of all its networks, and the flows behind
        // each take one VLAN.
        let is_flooded = to_all || end.packet.unresolved.is_some();
        if is_flooded && is_dropped(end) && self.is_localnet(host, bridge, end.place.port.as_ref())
        {
            return true;
        }
        let vlans = network.local_vlans(host);
        let vlan = end.packet.vlans().and_then(|vlans| vlans.first().copied()).unwrap_or(0);
        let by_tunnels = vlans.is_of_tunnels(vlan);
        let called = |name: &str| bridge.as_str() == name;
        if vlans.tunnel_bridge.is_some_and(|tunnels| called(tunnels.name())) {
            return by_tunnels == Some(false) && is_dropped(end);
        }
        // A way into a physical network that the VLAN has no part in: its bridge drops it, or its
        // patch leads nowhere.
        let provider = vlans.provider_bridges.iter().any(|bridge| called(bridge.name()));
        let is_unused = vlans.ports.get(&vlan).is_none_or(Vec::is_empty);
        let has_no_part = by_tunnels == Some(true) || by_tunnels.is_none() && is_unused;
        let patch = end.reason == Some(Reason::PatchPeerMissing);
        has_no_part
            && (provider && is_dropped(end) || patch && network.is_integration_called(host, bridge))
    }
}

impl Meant<'_, '_, '_> {
    /// Whether a port is a patch by which OVN's integration bridge is joined with a provider bridge.
    fn is_localnet(&self, host: HostId, bridge: &Name, port: Option<&Name>) -> bool {
        let network = self.tracer.network;
        let Some(port) = port.filter(|_| network.is_integration_called(host, bridge)) else {
            return false;
        };
        defs::is_ovn(network, host)
            && network
                .ovs_interfaces_of(host)
                .any(|interface| interface.name() == port.as_str() && interface.kind == "patch")
    }
}

fn is_dropped(end: &End) -> bool {
    matches!(end.reason, Some(Reason::OfDrop | Reason::OfNoMatch))
}

impl Tracer<'_, '_> {
    fn site_of(&self, target: &Target) -> Option<Site> {
        let network = self.network;
        match target {
            Target::Guest(nic) => {
                let device = self.tap_of(*nic)?;
                Some(Site { device, host: network.vm_nic(*nic)?.host })
            }
            Target::Device(device) => {
                Some(Site { device: *device, host: network.netdev(*device)?.host })
            }
            Target::Netns(host, netns) => {
                let netns = network.topology.find_netns(*host, netns)?;
                let devices = network.devices_in(netns);
                let device = devices.iter().find(|device| {
                    !network.addresses_of(device.id).iter().all(|address| address.ip.is_loopback())
                })?;
                Some(Site { device: device.id, host: *host })
            }
        }
    }

    /// Where a server of DHCP should hear a guest: the namespaces that neutron serves its network
    /// from, the ones where one listens first, as far as that is known; else whoever on its segment has
    /// an address and listens.
    fn servers_of_dhcp(&self, nic: NodeId) -> Vec<Site> {
        let Some(tap) = self.tap_of(nic) else { return Vec::new() };
        let mut sites: Vec<((bool, Truth), Site)> = Vec::new();
        for address in self.network.addresses() {
            let is_near = address.ip.is_ipv4()
                && !self.network.is_outdated(address.host)
                && self.share(tap, address.data.netdev) == Some(true);
            let device = self.network.netdev(address.data.netdev).filter(|_| is_near);
            let Some(device) = device.filter(|device| !defs::is_router_netns(device.netns()))
            else {
                continue;
            };
            let site = Site { device: device.id, host: device.host };
            let serves = device.netns().name().is_some_and(|name| name.starts_with("qdhcp-"));
            let listens = self.may_serve_dhcp(device.host, device.netns());
            if !serves && listens != Truth::Yes {
                continue;
            }
            if sites.iter().all(|(_, known)| *known != site) {
                sites.push(((serves, listens), site));
            }
        }
        let best = sites.iter().map(|(rank, _)| *rank).max();
        sites.retain(|(rank, _)| Some(*rank) == best);
        sites.into_iter().map(|(_, site)| site).collect()
    }

    /// Whether a server of DHCP listens in a namespace, by its sockets.
    fn may_serve_dhcp(&self, host: HostId, netns: &Netns) -> Truth {
        let mut listed = false;
        for (source, sockets) in self.network.socket_texts() {
            if source.host != host || source.netns != *netns {
                continue;
            }
            listed = true;
            let serves = |socket: &Socket| {
                let udp = socket.protocol.as_ref().is_some_and(|of| of.value.starts_with("udp"));
                udp && matches!(socket.port.value.as_str(), "67" | "bootps")
            };
            if sockets.iter().any(serves) {
                return Truth::Yes;
            }
        }
        if listed { Truth::No } else { Truth::Maybe }
    }
}

/// What stops a packet that arrives nowhere, as it is told: the end of the way that came nearest,
/// or, where all copies end as they should, the flood that nobody who is meant has a part in.
pub(super) fn told_end(
    meant: &Meant<'_, '_, '_>,
    walk: &Walk<'_, '_, '_>,
    main: &mut Vec<usize>,
) -> Option<End> {
    let tree = &walk.tree;
    let end = end_of(tree, main)?;
    let near = meant.near(&end);
    if near == Near::There {
        return Some(end);
    }
    if walk.seeks {
        return Some(end);
    }
    let Some((flood, at)) = flood_on(tree, main) else { return Some(end) };
    if let Some(cut) = cut_of(meant, walk, &end) {
        main.truncate(at + 1);
        return Some(cut);
    }
    if near > Near::AsideOnHost || end.packet.is_multicast().is_none() {
        return Some(end);
    }
    let bridge = hop_of(tree, *main.get(at)?)?;
    let set = main.get(..=flood)?.iter().rev().find_map(|at| {
        let hop = hop_of(tree, *at)?;
        hop.changes.iter().any(|change| change.field == "vlan").then(|| hop.evidence.clone())
    });
    main.truncate(at + 1);
    let vlan = bridge.vlans.first().copied().filter(|vlan| *vlan > 0);
    let where_to = match vlan {
        Some(vlan) => format!("nobody who is meant has a port in VLAN {vlan}"),
        None => "nobody who is meant has a port here".to_owned(),
    };
    Some(End {
        outcome: Outcome::Blackholed,
        reason: Some(Reason::L2DeadEnd),
        text: where_to,
        place: Place { port: None, ..bridge.place.clone() },
        aside: false,
        certainty: Certainty::Inferred,
        evidence: set.unwrap_or_else(|| bridge.evidence.clone()),
        next: Vec::new(),
        ..end
    })
}

/// Where what is meant is cut off itself, so that nothing that it sends arrives anywhere either.
fn cut_of(meant: &Meant<'_, '_, '_>, walk: &Walk<'_, '_, '_>, end: &End) -> Option<End> {
    let site = *meant.sites(end).first()?;
    let cut = walk.is_site_cut_off(site.device)?;
    let own = cut.place.host == Some(site.host) && !meant.is_by_design(&cut);
    let mut packet = end.packet.clone();
    packet.unresolved = None;
    // A device has no carrier since the other end of its pair is down.
    let follows = cut.reason == Some(Reason::IfNoCarrier)
        && end.reason == Some(Reason::IfAdminDown)
        && !meant.is_by_design(end);
    (own && !follows && cut.place != end.place).then(|| End { packet, ..cut })
}

/// Where on a way its last flood begins, and the hop of the bridge that floods.
fn flood_on(tree: &Tree, main: &[usize]) -> Option<(usize, usize)> {
    let flood = main
        .iter()
        .rposition(|at| matches!(tree.nodes.get(*at), Some(super::Node { part: Part::All, .. })))?;
    let behind = main.get(flood + 1..)?.iter().position(|at| hop_of(tree, *at).is_some())?;
    let at = flood + 1 + behind;
    let hop = hop_of(tree, *main.get(at)?)?;
    matches!(hop.kind, Kind::OvsBridge | Kind::LinuxBridge).then_some((flood, at))
}

fn end_of(tree: &Tree, main: &[usize]) -> Option<End> {
    match &tree.nodes.get(*main.last()?)?.part {
        Part::End(end) => Some((**end).clone()),
        _ => None,
    }
}

fn hop_of(tree: &Tree, at: usize) -> Option<&std::sync::Arc<Hop>> {
    match &tree.nodes.get(at)?.part {
        Part::Hop(hop) => Some(hop),
        _ => None,
    }
}
