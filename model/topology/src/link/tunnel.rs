//! Tunnel endpoints and where they lead, over all hosts.
//!
//! Both ends of a tunnel are two endpoints of one type whose addresses cross. An endpoint whose
//! far end has none leads to the captured host that owns the address in its root namespace, else
//! to a host that only tunnels speak of. `remote_ip=flow` leads nowhere in particular.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;

use super::{Texts, records};
use crate::graph::{
    Confidence, EdgeKind, Fact, NetdevKind, Node, NodeData, NodeId, OvsInterface, RemoteHost,
    Topology, TunnelEndpoint, Underlay, Witness, WitnessClass,
};
use crate::machine::MachineId;
use crate::names;

/// Far ends of one kernel device that are read from its forwarding entries.
const MAX_FAR_ENDS: usize = 4096;

/// Adds all endpoints, then the edges between them.
pub(crate) fn link(topology: &mut Topology<'_>, hosts: &[Texts<'_>]) {
    let mut endpoints = Vec::new();
    for texts in hosts {
        ovs(topology, texts, &mut endpoints);
        kernel(topology, texts, &mut endpoints);
    }
    join(topology, &endpoints);
}

/// Where the packets of a kernel device are routed: `link-netns` of a tunnel is the namespace in which it
/// was made (`get_link_net`, which `ip` prints where it is not the device's own).
fn underlay(topology: &Topology<'_>, texts: &Texts<'_>, owner: NodeId) -> Underlay {
    let device = topology.netdev(owner);
    let Some(place) = device.and_then(|device| device.lower_netns.as_ref()) else {
        return Underlay::Own;
    };
    let of_lower = || {
        let (lower, _) = topology.out(owner, EdgeKind::StackedOn).into_iter().next()?;
        topology.node(lower)?.netns.clone()
    };
    let from = topology.node(owner).and_then(|node| node.netns.clone()).unwrap_or_default();
    let named = super::stacked::other_netns(topology, texts, &from, Some(&place.value));
    named.or_else(of_lower).map_or(Underlay::Unknown, Underlay::Other)
}

/// OVS interfaces whose type is a tunnel.
fn is_tunnel(kind: &str) -> bool {
    matches!(
        kind,
        "vxlan"
            | "gre"
            | "gre64"
            | "geneve"
            | "stt"
            | "lisp"
            | "erspan"
            | "ip6gre"
            | "ip6erspan"
            | "ipsec_gre"
            | "bareudp"
            | "gtpu"
            | "srv6"
    )
}

fn ip(fact: Option<&Fact<Name>>) -> Option<Fact<IpAddr>> {
    let fact = fact?;
    Some(Fact { value: fact.value.parse().ok()?, evidence: fact.evidence })
}

fn ovs(topology: &mut Topology<'_>, texts: &Texts<'_>, endpoints: &mut Vec<NodeId>) {
    let Some(keys) = topology.keys.host(texts.host) else { return };
    let interfaces: Vec<(Name, NodeId)> =
        keys.ovs_interfaces.iter().map(|(name, id)| (name.clone(), *id)).collect();
    for (name, owner) in interfaces {
        let Some(it) = topology.ovs_interface(owner).filter(|interface| is_tunnel(&interface.kind))
        else {
            continue;
        };
        let data = of_interface(it, owner);
        let evidence = it.kind_evidence;
        let seen = topology.node(owner).map(|node| node.seen.clone()).unwrap_or_default();
        let witness =
            evidence.map(|at| Witness::at(WitnessClass::Daemon, at, format!("type {}", data.kind)));
        let node = Node {
            host: Some(texts.host),
            netns: Some(Netns::Root),
            name,
            seen,
            data: NodeData::TunnelEndpoint(data),
        };
        let id = topology.add(node);
        let witnesses = witness.into_iter().collect();
        topology.connect(id, owner, EdgeKind::TunnelOf, Confidence::Proven, witnesses);
        endpoints.push(id);
    }
}

fn of_interface(it: &OvsInterface, owner: NodeId) -> TunnelEndpoint {
    let port = it.option("dst_port");
    TunnelEndpoint {
        kind: it.kind.clone(),
        local: ip(it.option("local_ip")),
        remote: ip(it.option("remote_ip")),
        dst_port: port.and_then(|port| {
            Some(Fact { value: port.value.parse().ok()?, evidence: port.evidence })
        }),
        key: it.option("key").or_else(|| it.option("in_key")).cloned(),
        owner,
        underlay: Underlay::Own,
    }
}

/// Kernel devices: one endpoint where the device names its far end, else one for each far end in
/// its forwarding entries (flannel, docker and EVPN program these).
fn kernel(topology: &mut Topology<'_>, texts: &Texts<'_>, endpoints: &mut Vec<NodeId>) {
    let mut far: HashMap<NodeId, Vec<(IpAddr, Evidence)>> = HashMap::new();
    for (source, entries) in texts.of(records!(Fdb)) {
        for entry in entries {
            let (Some(dst), Some(dev)) = (&entry.dst, &entry.dev) else { continue };
            if let Some(id) = topology.find_netdev(texts.host, &source.netns, dev) {
                far.entry(id).or_default().push((dst.value, dst.evidence(source.id)));
            }
        }
    }
    let devices: Vec<NodeId> = topology
        .netdevs(texts.host)
        .filter(|(_, node, it)| {
            it.kind == NetdevKind::Tunnel && !names::is_fallback_tunnel(&node.name)
        })
        .map(|(id, _, _)| id)
        .collect();
    for owner in devices {
        let Some(node) = topology.node(owner) else { continue };
        let Some(netdev) = topology.netdev(owner) else { continue };
        let Some((source, kind, tunnel)) = netdev.records.iter().find_map(|record| {
            Some((
                record.source,
                record.record.kind.as_ref()?,
                record.record.kind_data.tunnel.as_ref()?,
            ))
        }) else {
            continue;
        };
        let (name, netns, seen) = (node.name.clone(), node.netns.clone(), node.seen.clone());
        let underlay = underlay(topology, texts, owner);
        // An address that is not set reads `any` or `0.0.0.0`.
        let address = |at: &Option<tapline_core::span::At<IpAddr>>| {
            at.as_ref().filter(|at| !at.is_unspecified()).map(|at| Fact::new(source, *at))
        };
        let data = TunnelEndpoint {
            kind: kernel_kind(kind),
            local: address(&tunnel.local),
            remote: address(&tunnel.remote).filter(|address| !address.value.is_multicast()),
            dst_port: tunnel.dstport.as_ref().map(|dstport| Fact::new(source, *dstport)),
            key: tunnel
                .id
                .as_ref()
                .map(|id| Fact {
                    value: Name::from(id.value.to_string()),
                    evidence: id.evidence(source),
                })
                .or_else(|| tunnel.key.as_ref().map(|key| Fact::new(source, key.clone()))),
            owner,
            underlay,
        };
        let kind_at = kind.evidence(source);
        let mut all = Vec::new();
        if data.remote.is_none() {
            let mut known = BTreeSet::new();
            for (ip, evidence) in far.get(&owner).into_iter().flatten() {
                if known.len() < MAX_FAR_ENDS && !ip.is_multicast() && known.insert(*ip) {
                    let remote = Some(Fact { value: *ip, evidence: *evidence });
                    all.push(TunnelEndpoint { remote, ..data.clone() });
                }
            }
        }
        if all.is_empty() {
            all.push(data);
        }
        for data in all {
            let words = format!("kind {}", data.kind);
            let id = topology.add(Node {
                host: Some(texts.host),
                netns: netns.clone(),
                name: name.clone(),
                seen: seen.clone(),
                data: NodeData::TunnelEndpoint(data),
            });
            let witnesses = vec![Witness::at(WitnessClass::Kernel, kind_at, words)];
            topology.connect(id, owner, EdgeKind::TunnelOf, Confidence::Proven, witnesses);
            endpoints.push(id);
        }
    }
}

/// The kernel's `gretap` is what OVS calls `gre`: Ethernet in GRE.
fn kernel_kind(kind: &str) -> Name {
    match kind {
        "gretap" => Name::const_new("gre"),
        "ip6gretap" => Name::const_new("ip6gre"),
        // Packets without Ethernet header: no match for `gre` of OVS.
        "gre" => Name::const_new("gre-l3"),
        _ => kind.into(),
    }
}

fn endpoint<'t>(topology: &'t Topology<'_>, id: NodeId) -> Option<&'t TunnelEndpoint> {
    match &topology.node(id)?.data {
        NodeData::TunnelEndpoint(it) => Some(it),
        _ => None,
    }
}

fn join(topology: &mut Topology<'_>, endpoints: &[NodeId]) {
    let leading = Leading::new(topology, endpoints);
    for &id in endpoints {
        let Some(it) = endpoint(topology, id) else { continue };
        let Some(remote) = it.remote.clone() else { continue };
        let Some(host) = topology.node(id).and_then(|node| node.host) else { continue };
        let words = match &it.local {
            Some(local) => format!("{} {} to {}", it.kind, local.value, remote.value),
            None => format!("{} to {}", it.kind, remote.value),
        };
        let mut witnesses = vec![Witness::at(class(topology, it.owner), remote.evidence, words)];
        let owner = owner(topology, remote.value, host);
        let back = owner.and_then(|owner| reciprocal(topology, &leading, id, host, owner));
        let (target, confidence) = match (back, owner) {
            (Some((back, confidence)), _) => {
                if let Some(it) = endpoint(topology, back)
                    && let Some(remote) = &it.remote
                {
                    let words = format!("{} back to {}", it.kind, remote.value);
                    let class = class(topology, it.owner);
                    witnesses.push(Witness::at(class, remote.evidence, words));
                }
                (back, confidence)
            }
            (None, Some(owner)) => {
                let Some(node) = topology.keys.host(owner).and_then(|host| host.node) else {
                    continue;
                };
                (node, Confidence::Inferred)
            }
            (None, None) => {
                (remote_host(topology, remote.value, remote.evidence), Confidence::Proven)
            }
        };
        topology.connect(id, target, EdgeKind::Tunnel, confidence, witnesses);
    }
}

/// Endpoints by where they are, their type and where they lead; and the addresses of each host.
struct Leading {
    endpoints: HashMap<(HostId, Name, IpAddr), Vec<NodeId>>,
    addresses: HashMap<HostId, Vec<IpAddr>>,
}

impl Leading {
    fn new(topology: &Topology<'_>, all: &[NodeId]) -> Self {
        let mut endpoints: HashMap<_, Vec<NodeId>> = HashMap::new();
        for &id in all {
            let host = topology.node(id).and_then(|node| node.host);
            let Some((it, host)) = endpoint(topology, id).zip(host) else { continue };
            if let Some(remote) = &it.remote {
                endpoints.entry((host, it.kind.clone(), remote.value)).or_default().push(id);
            }
        }
        let mut addresses: HashMap<HostId, Vec<IpAddr>> = HashMap::new();
        for (_, node) in topology.nodes() {
            let root = node.netns.as_ref().is_some_and(Netns::is_root);
            if let (NodeData::Address(it), Some(host), true) = (&node.data, node.host, root) {
                addresses.entry(host).or_default().push(it.ip);
            }
        }
        Self { endpoints, addresses }
    }

    /// Endpoints on `on` of a type that lead to `to`.
    fn to(&self, on: HostId, kind: &Name, to: IpAddr) -> impl Iterator<Item = NodeId> {
        self.endpoints.get(&(on, kind.clone(), to)).into_iter().flatten().copied()
    }
}

fn class(topology: &Topology<'_>, owner: NodeId) -> WitnessClass {
    if topology.netdev(owner).is_some() { WitnessClass::Kernel } else { WitnessClass::Daemon }
}

/// The one machine that owns an address as the end of tunnels, as it was captured nearest in time;
/// `None` where there is none or several claim it. The machine that asks counts only where no other
/// does.
fn owner(topology: &Topology<'_>, ip: IpAddr, asks: HostId) -> Option<HostId> {
    if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
        return None;
    }
    let mut owners: BTreeMap<MachineId, BTreeSet<HostId>> = BTreeMap::new();
    for id in topology.find_address(ip) {
        let Some(node) = topology.node(*id) else { continue };
        let NodeData::Address(address) = &node.data else { continue };
        let global = !matches!(address.record.record.scope.as_deref(), Some("link" | "host"));
        if global
            && node.netns.as_ref().is_some_and(Netns::is_root)
            && let Some(host) = node.host
        {
            owners.entry(topology.machine(host)).or_default().insert(host);
        }
    }
    if owners.len() > 1 {
        owners.remove(&topology.machine(asks));
    }
    let (machine, captures) = owners.pop_first().filter(|_| owners.is_empty())?;
    if captures.contains(&asks) {
        return Some(asks);
    }
    let beside = topology.capture_beside(machine, asks).filter(|beside| captures.contains(beside));
    beside.or(captures.last().copied())
}

/// The endpoint on `owner` that leads back to `id`.
fn reciprocal(
    topology: &Topology<'_>,
    leading: &Leading,
    id: NodeId,
    host: HostId,
    owner: HostId,
) -> Option<(NodeId, Confidence)> {
    let it = endpoint(topology, id)?;
    let remote = it.remote.as_ref()?.value;
    let mut back: Vec<NodeId> = match &it.local {
        Some(local) => leading.to(owner, &it.kind, local.value).collect(),
        // Without a local address the far end must lead to an address of this host.
        None => leading
            .addresses
            .get(&host)
            .into_iter()
            .flatten()
            .flat_map(|ip| leading.to(owner, &it.kind, *ip))
            .collect(),
    };
    back.retain(|at| *at != id);
    back.sort_unstable();
    back.dedup();
    back.retain(|at| {
        endpoint(topology, *at)
            .is_some_and(|far| far.local.as_ref().is_none_or(|local| local.value == remote))
    });
    if back.len() > 1 {
        // Several tunnels between the two: key and port tell them apart.
        back.retain(|at| endpoint(topology, *at).is_some_and(|far| same(it, far)));
    }
    let [one] = back.as_slice() else { return None };
    let far = endpoint(topology, *one)?;
    let both = it.local.is_some() && far.local.is_some();
    Some((*one, if both { Confidence::Proven } else { Confidence::Inferred }))
}

/// Whether key and port of two ends agree.
fn same(a: &TunnelEndpoint, b: &TunnelEndpoint) -> bool {
    let port = |tunnel: &TunnelEndpoint| tunnel.dst_port.as_ref().map(|port| port.value);
    let key = |tunnel: &TunnelEndpoint| tunnel.key.as_ref().map(|key| key.value.clone());
    port(a) == port(b) && key(a) == key(b)
}

fn remote_host(topology: &mut Topology<'_>, ip: IpAddr, evidence: Evidence) -> NodeId {
    if let Some(&id) = topology.keys.remote_hosts.get(&ip) {
        if let Some(node) = topology.node_mut(id) {
            node.add_seen(evidence);
        }
        return id;
    }
    let id = topology.add(Node {
        host: None,
        netns: None,
        name: Name::from(ip.to_string()),
        seen: vec![evidence],
        data: NodeData::RemoteHost(RemoteHost { ip }),
    });
    topology.keys.remote_hosts.insert(ip, id);
    id
}
