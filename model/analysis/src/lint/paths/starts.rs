//! What paths start from: ports of namespaces, and the branches of a trunk.
use tapline_network::path::Hop;
use tapline_network::{Item, Network};
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, NodeId, Uplink, names};

/// Devices on devices that are looked through for the one that leaves a namespace.
const DEEPEST_STACK: usize = 8;

/// Where a trunk bridge leads to: first what the guest does not tag, then its VLANs in order.
pub(super) fn branches(network: &Network<'_>, hops: &[Hop<'_>]) -> Vec<Branch> {
    let mut at = hops.first();
    while let Some(hop) = at {
        let trunk = network.ovs_bridge(hop.node);
        if trunk.is_some_and(|bridge| names::is_bridge_of_one_port(bridge.name())) {
            let ports = hop.next.iter().filter_map(|next| network.ovs_port(next.node));
            let mut all: Vec<Branch> = ports
                .map(|port| Branch {
                    port: port.id,
                    vlan: port.data.tag.as_ref().map(|tag| tag.value),
                })
                .collect();
            all.sort_by_key(|branch| branch.vlan);
            return all;
        }
        at = hop.next.first();
    }
    Vec::new()
}

/// A port by which a trunk bridge leads to the integration bridge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Branch {
    /// The port.
    pub(super) port: NodeId,
    /// The VLAN that the guest gives the frames; `None` for those without a tag.
    pub(super) vlan: Option<u16>,
}

/// Whether a device is the end of a wire in a namespace other than root: it is a port of a switch
/// or a NIC, its other end is in another namespace, or it stands on such a device.
pub fn is_port_of_namespace(network: &Network<'_>, id: NodeId) -> bool {
    let Some(device) = network.netdev(id) else { return false };
    let inside = device.netns().name().is_some();
    if !inside || device.stub || device.kind == NetdevKind::Loopback {
        return false;
    }
    names::port_prefix(device.name()).is_some()
        || !network.topology.out(id, EdgeKind::DeviceOf).is_empty()
        || is_tunnel_end(network, device)
        || leads_out(network, device, DEEPEST_STACK)
}

/// Whether a device packs what the namespace sends, for far ends that are known. One in a bridge is on
/// the way of other ports.
fn is_tunnel_end(network: &Network<'_>, device: Item<'_, Netdev<'_>>) -> bool {
    let ends = network.topology.into(device.id, EdgeKind::TunnelOf);
    let mut ends = ends.into_iter().filter_map(|(end, _)| network.tunnel(end));
    network.master(device.id).is_none() && ends.any(|end| end.data.remote.is_some())
}

/// Whether frames that a device of a namespace sends leave it.
fn leads_out(network: &Network<'_>, device: Item<'_, Netdev<'_>>, depth: usize) -> bool {
    let is_elsewhere = |other: Item<'_, Netdev<'_>>| other.netns() != device.netns();
    let is_member = network.master(device.id).is_some();
    if let Some(peer) = network.veth_peer(device.id) {
        // A pair of two namespaces has two ends, but for one in a bridge: it leads to the other.
        return is_elsewhere(peer) && (peer.netns().is_root() || !is_member);
    }
    let mut below = network.topology.out(device.id, EdgeKind::StackedOn);
    if below.is_empty() {
        return !is_member && network.topology.uplink(device.id).is_some_and(Uplink::is_nic);
    }
    below.retain(|(id, _)| *id != device.id);
    below
        .iter()
        .filter_map(|(id, _)| network.netdev(*id))
        .any(|below| is_elsewhere(below) || depth > 0 && leads_out(network, below, depth - 1))
}
