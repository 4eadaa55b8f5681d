//! Whether anybody on the host that a tunnel sends to takes its packets.
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_topology::graph::{Netdev, NetdevKind, OvsInterface, TunnelEndpoint};
use tapline_topology::{Presence, Topic};

use super::filter::port_of;
use crate::l2::{Block, Why};
use crate::{Answer, Item, Network, mesh};

/// What tells which machine has an address that the host which tunnels from it does not have.
const WHO_HAS_IT: Need =
    Need::Other("ip address, on the machine that has the address to which the tunnel sends");

/// Whether anybody at the far end of a tunnel takes what it sends, as far as that is known.
pub(crate) fn is_taken<'a>(
    network: &Network<'a>,
    tunnel: Item<'a, TunnelEndpoint>,
) -> Answer<Option<Block>> {
    let by_key = has_counterpart(network, tunnel);
    if !matches!(by_key, Answer::Known(None)) {
        return by_key;
    }
    is_heard_at(network, tunnel)
}

/// Whether the address to which a tunnel sends is one of the captured host that tunnels from it, and the
/// tunnels of Open vSwitch there are not bound to other addresses (ovs-vswitchd.conf.db(5),
/// `local_ip`; `tnl_find`, ofproto/tunnel.c).
fn is_heard_at<'a>(
    network: &Network<'a>,
    tunnel: Item<'a, TunnelEndpoint>,
) -> Answer<Option<Block>> {
    let fine = Answer::Known(None);
    let Some(remote) = &tunnel.data.remote else { return fine };
    let Some(far) = network.mesh().other(network, remote.value, tunnel.host) else { return fine };
    let is_cleaned = mesh::is_cleaned(network, far) || mesh::is_cleaned(network, tunnel.host);
    if is_cleaned || !mesh::is_of_host(network, tunnel) {
        return fine;
    }
    let held = network.topology.find_address(remote.value);
    let is_held = held.iter().any(|id| network.address(*id).is_some_and(|it| it.host == far));
    let presence = network.topology.address_presence(far, &Netns::Root, remote.value);
    if !is_held && matches!(presence, Presence::No(_)) {
        return Answer::Unknown(vec![WHO_HAS_IT]);
    }
    let of_kind = |other: &Item<'a, TunnelEndpoint>| {
        other.data.kind == tunnel.data.kind && port_of(*other) == port_of(tunnel)
    };
    let ends: Vec<_> = network.tunnels_of(far).filter(of_kind).collect();
    let is_elsewhere = |other: &Item<'a, TunnelEndpoint>| {
        network.ovs_interface(other.data.owner).is_some()
            && other.source().is_some_and(|local| local != remote.value)
    };
    if ends.is_empty() || !ends.iter().all(is_elsewhere) {
        return fine;
    }
    // A device of the kernel would be in the namespace of the address.
    let open = network.missing(far, &Netns::Root, &[Topic::LinkDetails, Topic::Ovs]);
    if !open.is_empty() {
        return Answer::Unknown(open);
    }
    Answer::Known(Some(Block { why: Why::NoCounterpart(remote.value), evidence: remote.evidence }))
}

/// Whether a captured host that a VXLAN device of the kernel sends to has nobody who takes its VNI: a
/// device of the kernel hears one VNI on one UDP port, whoever sends to it (`vxlan_vs_find`,
/// drivers/net/vxlan), and Open vSwitch what its flows name.
fn has_counterpart<'a>(
    network: &Network<'a>,
    tunnel: Item<'a, TunnelEndpoint>,
) -> Answer<Option<Block>> {
    let fine = Answer::Known(None);
    if matches!(tunnel.data.kind.as_str(), "gre" | "gretap") {
        return is_taken_by_gre(network, tunnel);
    }
    let (Some(remote), Some(key)) = (&tunnel.data.remote, &tunnel.data.key) else { return fine };
    let is_vxlan = tunnel.data.kind == "vxlan"
        && network.netdev(tunnel.data.owner).is_some_and(|device| !is_external(device));
    let Some(vni) = key.value.parse::<u32>().ok().filter(|_| is_vxlan) else { return fine };
    let Some(far) = network.mesh().other(network, remote.value, tunnel.host) else { return fine };
    if mesh::is_cleaned(network, far) || mesh::is_cleaned(network, tunnel.host) {
        return fine;
    }
    let port = port_of(tunnel);
    if has_device(network, far, (vni, port)) || has_switch(network, far, port) {
        return fine;
    }
    let open = open(network, far);
    if !open.is_empty() {
        return Answer::Unknown(open);
    }
    let why = Why::NotTaken { name: key_name("vxlan"), key: vni.into(), by: remote.value };
    Answer::Known(Some(Block { why, evidence: key.evidence }))
}

/// Whether a captured host that a GRE device of the kernel sends to has a device that takes packets from
/// it: one with the two addresses, or with fewer, one for all, or Open vSwitch
/// (`ip_tunnel_lookup`, net/ipv4/ip_tunnel.c).
fn is_taken_by_gre<'a>(
    network: &Network<'a>,
    tunnel: Item<'a, TunnelEndpoint>,
) -> Answer<Option<Block>> {
    let fine = Answer::Known(None);
    let Some(remote) = &tunnel.data.remote else { return fine };
    let source = tunnel.source().filter(|_| network.netdev(tunnel.data.owner).is_some());
    let Some(from) = source else { return fine };
    let Some(far) = network.mesh().other(network, remote.value, tunnel.host) else { return fine };
    if mesh::is_cleaned(network, far) || mesh::is_cleaned(network, tunnel.host) {
        return fine;
    }
    let is_or_any = |named: Option<IpAddr>, wanted: IpAddr| {
        named.is_none_or(|ip| ip.is_unspecified() || ip == wanted)
    };
    let ends_here = |far: Item<'a, TunnelEndpoint>| {
        let is_gre = matches!(far.data.kind.as_str(), "gre" | "gretap");
        let named = far.data.remote.as_ref().map(|remote| remote.value);
        is_gre && is_or_any(named, from) && is_or_any(far.source(), remote.value)
    };
    // `gre0` and `gretap0` take what no other device does, where somebody set them up.
    let takes_all = |device: Item<'a, Netdev<'a>>| {
        is_external(device)
            || matches!(device.name(), "gre0" | "gretap0") && device.admin_up() != Some(false)
    };
    let mut devices = network.netdevs_of(far).filter(|device| device.kind == NetdevKind::Tunnel);
    if network.tunnels_of(far).any(ends_here) || devices.any(takes_all) {
        return fine;
    }
    let open = open(network, far);
    if !open.is_empty() {
        return Answer::Unknown(open);
    }
    Answer::Known(Some(Block { why: Why::NoCounterpart(remote.value), evidence: remote.evidence }))
}

/// What the standards call the key of a type of tunnel.
pub(crate) fn key_name(kind: &str) -> &'static str {
    match kind {
        "vxlan" | "geneve" => "VNI",
        _ => "key",
    }
}

/// The interfaces of Open vSwitch on a host that may take what a tunnel of another host sends with a
/// key, or with any: those of its type and port whose far end and key are its own, or given by flows
/// (ovs-vswitchd.conf.db(5), `remote_ip`, `in_key`).
pub(crate) fn listeners<'a>(
    network: &Network<'a>,
    sender: Item<'a, TunnelEndpoint>,
    (host, key): (HostId, Option<u64>),
) -> Vec<Item<'a, OvsInterface>> {
    let may_take = |tunnel: &Item<'a, TunnelEndpoint>, interface: Item<'a, OvsInterface>| {
        let from = tunnel.data.remote.as_ref().map(|remote| remote.value);
        let is_from = match (from, sender.source()) {
            (Some(from), Some(source)) => from == source,
            // Without a source of its own it sends from some address of its host.
            (Some(from), None) => {
                let netns = sender.netns_of_underlay(network);
                let presence = network.topology.address_presence(sender.host, netns, from);
                !matches!(presence, Presence::No(_))
            }
            (None, _) => true,
        };
        let option = |name: &str| interface.data.option(name).map(|option| option.value.as_str());
        let of_key = match option("in_key").or_else(|| option("key")) {
            Some("flow") => true,
            given => key.is_none_or(|key| given.unwrap_or("0").parse() == Ok(key)),
        };
        tunnel.data.kind == sender.data.kind
            && port_of(*tunnel) == port_of(sender)
            && is_from
            && of_key
    };
    let all = network.tunnels_of(host).filter_map(|tunnel| {
        let interface = network.ovs_interface(tunnel.data.owner)?;
        may_take(&tunnel, interface).then_some(interface)
    });
    all.collect()
}

/// Whether a device gets its VNI with each packet (`external`, ip-link(8)).
fn is_external(device: Item<'_, Netdev<'_>>) -> bool {
    let mut data = device.records.iter().filter_map(|seen| seen.record.kind_data.tunnel.as_ref());
    data.any(|data| data.external)
}

/// Whether a device of the kernel, in whatever namespace, hears a VNI on a port; one whose kind was not
/// captured may.
fn has_device(network: &Network<'_>, host: HostId, (vni, port): (u32, Option<u16>)) -> bool {
    network.netdevs_of(host).filter(|device| device.kind == NetdevKind::Tunnel).any(|device| {
        device.records.iter().any(|seen| {
            let Some(data) = &seen.record.kind_data.tunnel else { return false };
            let heard = data.dstport.as_ref().map(|port| port.value);
            let same_port = heard.is_none() || port.is_none() || heard == port;
            let same_vni = data.id.as_ref().is_none_or(|id| id.value == vni);
            same_port && (data.external || same_vni)
        })
    })
}

/// Whether Open vSwitch has a tunnel of the kind on a port.
fn has_switch(network: &Network<'_>, host: HostId, port: Option<u16>) -> bool {
    network.tunnels_of(host).any(|far| {
        network.ovs_interface(far.data.owner).is_some()
            && far.data.kind == "vxlan"
            && port_of(far) == port
    })
}

/// What would show a device or a tunnel that was not captured.
fn open(network: &Network<'_>, host: HostId) -> Vec<Need> {
    let mut all = network.missing(host, &Netns::Root, &[Topic::NetnsList]);
    let named = network.namespaces_of(host).map(|netns| netns.netns().clone());
    for netns in std::iter::once(Netns::Root).chain(named) {
        let kinds = network.missing(host, &netns, &[Topic::LinkDetails]);
        all.extend(kinds);
    }
    if network.runs_ovs(host) != Some(false) {
        all.extend(network.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
    all.sort();
    all.dedup();
    all
}
