//! What each device is: printed details first, then its driver, its role in OVS or a bridge, and
//! its name last.
use std::collections::{HashMap, HashSet};

use tapline_core::Name;
use tapline_core::ids::Netns;
use tapline_core::records::link::Link;
use tapline_core::span::{Evidence, SourceId};

use super::{Texts, argv, records};
use crate::graph::{Netdev, NetdevKind, NodeId, Topology};
use crate::names;

/// Sets the kind of every device of one host.
pub(crate) fn link(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    let detailed = detailed(texts);
    let drivers = drivers(topology, texts);
    let bridges = bridges(texts);
    let ids: Vec<NodeId> = topology.netdevs(texts.host).map(|(id, _, _)| id).collect();
    for id in ids {
        let Some(node) = topology.node(id) else { continue };
        let Some(netdev) = topology.netdev(id) else { continue };
        let netns = node.netns.clone().unwrap_or_default();
        let name = node.name.clone();
        let found = printed(netdev)
            .or_else(|| drivers.get(&id).copied())
            .or_else(|| ovs(topology, texts, &netns, &name))
            .or_else(|| bridges.get(&(&netns, name.as_str())).map(|&it| (NetdevKind::Bridge, it)));
        let (kind, evidence) = match found {
            Some((kind, evidence)) => (refine(topology, texts, &name, kind), Some(evidence)),
            None => by_name(netdev, &netns, &name, &detailed),
        };
        if let Some(netdev) = topology.netdev_mut(id) {
            netdev.kind = kind;
            netdev.kind_evidence = evidence;
        }
    }
}

/// Texts that print kinds: of a device without one there the kernel knows none.
fn detailed(texts: &Texts<'_>) -> HashSet<SourceId> {
    texts
        .of(records!(Links))
        .into_iter()
        .filter(|(_, links)| links.iter().any(|it| it.kind.is_some()))
        .map(|(source, _)| source.id)
        .collect()
}

/// The kind that the kernel printed.
fn printed(netdev: &Netdev<'_>) -> Option<(NetdevKind, Evidence)> {
    netdev.records.iter().find_map(|it| {
        let kind = it.record.kind.as_ref()?;
        Some((of_kernel(kind, it.record), kind.evidence(it.source)))
    })
}

/// From the name of the kernel's link type (`rtnl_link_ops.kind`).
fn of_kernel(kind: &str, link: &Link) -> NetdevKind {
    // It has no kind of its own: the word is what was left of a line that was cut off.
    if link.link_type.as_deref() == Some("loopback") {
        return NetdevKind::Loopback;
    }
    match kind {
        "veth" | "netkit" => NetdevKind::Veth,
        "bridge" => NetdevKind::Bridge,
        "bond" => NetdevKind::Bond,
        "team" => NetdevKind::Team,
        "vlan" => NetdevKind::Vlan,
        "vxlan" | "geneve" | "gre" | "gretap" | "ip6gre" | "ip6gretap" | "ipip" | "sit"
        | "ip6tnl" | "erspan" | "ip6erspan" | "vti" | "vti6" | "bareudp" | "gtp" | "lisp"
        | "stt" | "wireguard" | "xfrm" => NetdevKind::Tunnel,
        "macvlan" => NetdevKind::Macvlan,
        "macvtap" => NetdevKind::Macvtap,
        "ipvlan" | "ipvtap" => NetdevKind::Ipvlan,
        "dummy" => NetdevKind::Dummy,
        "vrf" => NetdevKind::Vrf,
        "openvswitch" => NetdevKind::OvsInternal,
        "tun" => match link.kind_data.tun_type.as_deref().map(Name::as_str) {
            Some("tun") => NetdevKind::Tun,
            Some(_) => NetdevKind::Tap,
            // Older versions print the bare word: a tap has an Ethernet address.
            None if link.mac.is_some() => NetdevKind::Tap,
            None => NetdevKind::Tun,
        },
        _ => NetdevKind::Unknown,
    }
}

/// Kinds by `ethtool -i`.
fn drivers(topology: &Topology<'_>, texts: &Texts<'_>) -> HashMap<NodeId, (NetdevKind, Evidence)> {
    let mut all = HashMap::new();
    for (source, records) in texts.of(records!(NicDriver)) {
        let Some(name) = argv::positionals(&source.command).last() else { continue };
        let Some(id) = topology.find_netdev(texts.host, &source.netns, name) else { continue };
        for record in records {
            let bus = record.bus_info.as_ref().map_or("", |it| it.as_str());
            let kind = match record.driver.as_str() {
                "veth" => NetdevKind::Veth,
                "bridge" => NetdevKind::Bridge,
                "bonding" => NetdevKind::Bond,
                "team" => NetdevKind::Team,
                "802.1Q VLAN Support" => NetdevKind::Vlan,
                "vxlan" | "geneve" | "gre" => NetdevKind::Tunnel,
                "openvswitch" => NetdevKind::OvsInternal,
                "tun" if bus == "tun" => NetdevKind::Tun,
                "tun" => NetdevKind::Tap,
                "macvlan" => NetdevKind::Macvlan,
                "macvtap" => NetdevKind::Macvtap,
                "ipvlan" => NetdevKind::Ipvlan,
                "dummy" => NetdevKind::Dummy,
                // A driver with a place on a bus drives hardware.
                _ if bus.contains(':') || matches!(bus, it if it.starts_with("virtio")) => {
                    NetdevKind::Physical
                }
                _ => continue,
            };
            all.entry(id).or_insert((kind, record.driver.evidence(source.id)));
        }
    }
    all
}

/// An internal port of OVS in the namespace of vswitchd has the name of its interface.
fn ovs(
    topology: &Topology<'_>,
    texts: &Texts<'_>,
    netns: &Netns,
    name: &str,
) -> Option<(NetdevKind, Evidence)> {
    let interface = topology.find_ovs_interface(texts.host, name)?;
    let interface = topology.ovs_interface(interface)?;
    (netns.is_root() && interface.kind == "internal")
        .then_some((NetdevKind::OvsInternal, interface.kind_evidence?))
}

/// Devices that a command calls a bridge.
fn bridges<'a>(texts: &Texts<'a>) -> HashMap<(&'a Netns, &'a str), Evidence> {
    let mut all = HashMap::new();
    for (source, bridges) in texts.of(records!(Bridges)) {
        for bridge in bridges {
            let evidence = bridge.name.evidence(source.id);
            all.entry((&source.netns, bridge.name.as_str())).or_insert(evidence);
        }
    }
    for (source, ports) in texts.of(records!(BridgePorts)) {
        for master in ports.iter().filter_map(|it| it.master.as_ref()) {
            // Older versions list the ports of bonds and of OVS as well.
            if !names::is_ovs_datapath(master) && !master.starts_with("bond") {
                let evidence = master.evidence(source.id);
                all.entry((&source.netns, master.as_str())).or_insert(evidence);
            }
        }
    }
    all
}

/// What the kernel's word does not tell: which device is the datapath, and which tap is an
/// internal port of a userspace datapath.
fn refine(topology: &Topology<'_>, texts: &Texts<'_>, name: &str, kind: NetdevKind) -> NetdevKind {
    match kind {
        NetdevKind::OvsInternal | NetdevKind::Tap | NetdevKind::Tun
            if names::is_ovs_datapath(name) =>
        {
            NetdevKind::OvsDatapath
        }
        NetdevKind::Tap | NetdevKind::Tun => {
            let interface = topology.find_ovs_interface(texts.host, name);
            match interface.and_then(|it| topology.ovs_interface(it)) {
                Some(it) if it.kind == "internal" => NetdevKind::OvsInternal,
                _ => kind,
            }
        }
        NetdevKind::Tunnel if names::is_ovs_tunnel_vport(name) => NetdevKind::OvsTunnelVport,
        _ => kind,
    }
}

/// What the name suggests. A device of which a detailed text prints no kind is a NIC if nothing
/// in its name speaks against it.
fn by_name(
    netdev: &Netdev<'_>,
    netns: &Netns,
    name: &str,
    detailed: &HashSet<SourceId>,
) -> (NetdevKind, Option<Evidence>) {
    let at = netdev.lower.is_some();
    let kind = names::kind(name, netns.is_root(), at);
    let plain = netdev.records.iter().find(|it| {
        let ether = matches!(it.record.link_type.as_deref(), Some("ether" | "infiniband"));
        ether && it.record.kind.is_none() && detailed.contains(&it.source)
    });
    match plain {
        Some(it) if matches!(kind, NetdevKind::Physical | NetdevKind::Unknown) && !at => {
            let evidence = Evidence { source: it.source, span: it.record.at };
            (NetdevKind::Physical, Some(evidence))
        }
        _ => (kind, None),
    }
}
