//! What keeps a host from sending the packets of a tunnel though it has a route for them: the device
//! that the tunnel is bound to, the address that it sends from, or the next hop.
use tapline_core::ids::Netns;
use tapline_topology::Topic;
use tapline_topology::graph::{NetdevKind, TunnelEndpoint};

use super::route;
use crate::l2::{Block, Why};
use crate::texts::{Known, is_virtual};
use crate::{Answer, Item, Network, mesh};

/// Whether the VRF that a tunnel is bound to was set down: the kernel routes nothing for a socket that
/// is bound to such a device (`ip_route_output_key_hash_rcu`, net/ipv4/route.c). What is bound to
/// another device leaves by it, which stands on the path itself.
pub(crate) fn by_lower<'a>(
    network: &Network<'a>,
    tunnel: Item<'a, TunnelEndpoint>,
) -> Option<Block> {
    tunnel.data.remote.as_ref().filter(|remote| remote.value.is_ipv4())?;
    let vrf = tunnel.lower(network).filter(|device| device.kind == NetdevKind::Vrf)?;
    let flags = vrf.data.flags.as_ref().filter(|_| vrf.admin_up() == Some(false))?;
    Some(Block { why: Why::LowerDown(vrf.name().into()), evidence: flags.evidence })
}

/// What else keeps its packets from being sent.
pub(crate) fn unsent<'a>(
    network: &Network<'a>,
    tunnel: Item<'a, TunnelEndpoint>,
) -> Answer<Option<Block>> {
    let by_source = by_source(network, tunnel);
    if !matches!(by_source, Answer::Known(None)) {
        return by_source;
    }
    Answer::Known(by_neighbours(network, tunnel))
}

/// Whether the source is an address of IPv6 that the host does not use, since another machine has it
/// too, or may have it: GRE sends nothing from such a one (`ip6_tnl_xmit_ctl`,
/// net/ipv6/ip6_tunnel.c).
fn by_source<'a>(network: &Network<'a>, tunnel: Item<'a, TunnelEndpoint>) -> Answer<Option<Block>> {
    let is_checked = ["gre", "erspan", "ip6tnl"].iter().any(|kind| tunnel.data.kind.contains(kind));
    let Some(source) = tunnel.source().filter(|source| source.is_ipv6() && is_checked) else {
        return Answer::Known(None);
    };
    let netns = tunnel.netns_of_underlay(network);
    for id in network.topology.find_address(source) {
        let Some(address) = network.address(*id) else { continue };
        if address.host != tunnel.host || address.netns() != netns {
            continue;
        }
        let has = |flag: &str| address.record.record.flags.iter().any(|other| other == flag);
        if has("dadfailed") {
            let block = Block { why: Why::Duplicate(source), evidence: address.line() };
            return Answer::Known(Some(block));
        }
        // It lasts a second, unless the link is down.
        if has("tentative") && !has("optimistic") {
            return Answer::Unknown(vec![Topic::Addresses.command(netns)]);
        }
    }
    Answer::Known(None)
}

/// What keeps packets of a tunnel from the next hops to its far end: none answered when the host asked
/// for its address (`FAILED`, ip-neighbour(8)), or a person entered one that is another's.
fn by_neighbours<'a>(network: &Network<'a>, tunnel: Item<'a, TunnelEndpoint>) -> Option<Block> {
    let to = tunnel.data.remote.as_ref()?.value;
    let decision = route(network, tunnel)?.known()?;
    let netns = tunnel.netns_of_underlay(network);
    let known = network.neighbours().get(&(tunnel.host, netns))?;
    let mut blocked = None;
    for hop in decision.hops() {
        let next_hop = hop.gateway.unwrap_or(to);
        let neighbour = known.get(&(hop.dev.as_str(), next_hop))?;
        let why = if neighbour.failed {
            Why::NoAnswer(next_hop)
        } else if next_hop == to && is_entered_wrong(network, tunnel, neighbour) {
            Why::OtherMac(next_hop)
        } else {
            return None;
        };
        blocked = Some(Block { why, evidence: neighbour.evidence });
    }
    blocked
}

/// Whether a person entered a MAC for the far end that no device has of the host whose address it is,
/// which was captured with all of its devices.
fn is_entered_wrong<'a>(
    network: &Network<'a>,
    tunnel: Item<'a, TunnelEndpoint>,
    neighbour: &Known<'a>,
) -> bool {
    let record = neighbour.record;
    let (Some(mac), Some(remote)) = (&record.mac, &tunnel.data.remote) else { return false };
    let by_hand = record.states.iter().any(|state| state == "PERMANENT");
    let stands_for_many = is_virtual(mac.value) || record.flags.iter().any(|flag| flag == "proxy");
    if !by_hand || stands_for_many || !mesh::is_of_host(network, tunnel) {
        return false;
    }
    let Some(far) = network.mesh().other(network, remote.value, tunnel.host) else { return false };
    let holds = |id: &tapline_topology::NodeId| {
        network.address(*id).is_some_and(|it| it.host == far && it.netns().is_root())
    };
    let is_cleaned = mesh::is_cleaned(network, far) || mesh::is_cleaned(network, tunnel.host);
    if is_cleaned
        || !network.topology.find_address(remote.value).iter().any(holds)
        || !network.complete(far, &Netns::Root, Topic::Links)
    {
        return false;
    }
    // A host answers on each device for all of its addresses.
    let mut devices = network.netdevs_of(far).filter(|device| device.netns().is_root());
    devices.all(|device| device.data.mac.as_ref().is_none_or(|other| other.value != mac.value))
}
