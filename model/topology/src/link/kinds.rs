//! What each device is: printed details first, then its driver, its role in OVS or a bridge, its
//! flags and members, and its name last.
//!
//! Without `ip -d` the flags decide. A bond has `MASTER`, a VRF `NOARP` as well (`bond_setup`,
//! `vrf_setup`); a device without it that others have as master is a bridge or a team
//! (`br_dev_setup`, `team_setup`), and only a bridge takes taps, veths and tunnels.
use std::collections::{HashMap, HashSet};

use tapline_core::Name;
use tapline_core::ids::Netns;
use tapline_core::records::link::{Link, LowerRef};
use tapline_core::span::{Evidence, SourceId};

use super::{Texts, records};
use crate::graph::{Netdev, NetdevKind, NodeId, Topology};
use crate::names;

/// Sets the kind of every device of one host.
pub(crate) fn link(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    let detailed = detailed(texts);
    let drivers = drivers(topology, texts);
    let bridges = bridges(texts);
    let members = members(texts);
    let ids: Vec<NodeId> = topology.netdevs(texts.host).map(|(id, _, _)| id).collect();
    for id in ids {
        let Some(node) = topology.node(id) else { continue };
        let Some(netdev) = topology.netdev(id) else { continue };
        let netns = node.netns.clone().unwrap_or_default();
        let name = node.name.clone();
        let found = printed(netdev)
            .or_else(|| drivers.get(&id).copied())
            .or_else(|| ovs(topology, texts, &netns, &name))
            .or_else(|| by_flags(netdev))
            .or_else(|| bridges.get(&(&netns, name.as_str())).map(|&it| (NetdevKind::Bridge, it)))
            .or_else(|| by_members(netdev, &name, members.get(&(&netns, name.as_str()))?))
            .or_else(|| by_lower(netdev, &netns, &name));
        let (kind, evidence) = match found {
            Some((kind, evidence)) => (refine(topology, texts, &name, kind), Some(evidence)),
            None if is_vlan(topology, texts, netdev, &netns, &name) => (NetdevKind::Vlan, None),
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
        .filter(|(_, links)| links.iter().any(|link| link.kind.is_some()))
        .map(|(source, _)| source.id)
        .collect()
}

/// The kind that the kernel printed.
fn printed(netdev: &Netdev<'_>) -> Option<(NetdevKind, Evidence)> {
    netdev.records.iter().find_map(|record| {
        let kind = record.record.kind.as_ref()?;
        Some((of_kernel(kind, record.record), kind.evidence(record.source)))
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
        "macsec" => NetdevKind::Macsec,
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
        let Some(name) = source.request.object.as_deref() else { continue };
        let Some(id) = topology.find_netdev(texts.host, &source.netns, name) else { continue };
        for record in records {
            let bus = record.bus_info.as_ref().map_or("", |info| info.as_str());
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

/// What the flags tell where no details are printed: a bond or a VRF.
fn by_flags(netdev: &Netdev<'_>) -> Option<(NetdevKind, Evidence)> {
    netdev.records.iter().find_map(|record| {
        let kind = match (record.record.has_flag("MASTER"), record.record.has_flag("NOARP")) {
            (true, true) => NetdevKind::Vrf,
            (true, false) => NetdevKind::Bond,
            (false, _) => return None,
        };
        Some((kind, record.record.flags.evidence(record.source)))
    })
}

/// A device that is `master` of another one, by what that one is.
struct Member<'a> {
    name: &'a str,
    record: &'a Link,
    evidence: Evidence,
}

/// The devices that have each device as master, as `ip` prints them.
fn members<'a>(texts: &Texts<'a>) -> HashMap<(&'a Netns, &'a str), Vec<Member<'a>>> {
    let mut all: HashMap<_, Vec<_>> = HashMap::new();
    for (source, links) in texts.of(records!(Links)) {
        for record in links {
            let Some(master) = record.master.as_ref() else { continue };
            if names::is_ovs_datapath(master) {
                continue;
            }
            let netns = record.netns.as_ref().unwrap_or(&source.netns);
            let evidence = master.evidence(source.id);
            let member = Member { name: record.name.as_str(), record, evidence };
            all.entry((netns, master.as_str())).or_default().push(member);
        }
    }
    all
}

/// What its members tell of a master without the flag `MASTER`: a bridge, or a team, whose members
/// are NICs only. Which of them a master of NICs only is, its name alone suggests.
fn by_members(
    netdev: &Netdev<'_>,
    name: &str,
    members: &[Member<'_>],
) -> Option<(NetdevKind, Evidence)> {
    // Without its own line its flags are not known.
    netdev.records.first()?;
    let only_bridges_take = |member: &&Member<'_>| {
        let by_name = names::kind(member.name, true, member.record.lower.is_some());
        // The address that libvirt gives the host's side of a VM's NIC.
        let tap = member.record.mac.as_ref().is_some_and(|mac| mac.value.0.first() == Some(&0xfe));
        let lower = member.record.lower.is_some();
        let bond = member.record.has_flag("MASTER");
        tap || lower
            || bond
            || matches!(by_name, NetdevKind::Tap | NetdevKind::Veth | NetdevKind::Tunnel)
    };
    if let Some(member) = members.iter().find(only_bridges_take) {
        return Some((NetdevKind::Bridge, member.evidence));
    }
    let first = members.first()?;
    let kind = match names::kind(name, true, false) {
        NetdevKind::Team => NetdevKind::Team,
        NetdevKind::Bridge => NetdevKind::Bridge,
        _ if name.contains("br") => NetdevKind::Bridge,
        _ => return None,
    };
    Some((kind, first.evidence))
}

/// What stands behind `@` tells where no details are printed: `X.N@X` is a VLAN of X; in the root
/// namespace a device whose other half is in another namespace is a veth.
fn by_lower(netdev: &Netdev<'_>, netns: &Netns, name: &str) -> Option<(NetdevKind, Evidence)> {
    let lower = netdev.lower.as_ref()?;
    match &lower.value {
        LowerRef::Name(of) if names::is_vlan_of(name, of) => {
            Some((NetdevKind::Vlan, lower.evidence))
        }
        LowerRef::Index(_) if netns.is_root() && netdev.lower_netns.is_some() => {
            let plain = netdev.records.iter().all(|it| {
                !it.record.has_flag("NOARP")
                    && it.record.link_type.as_deref().is_none_or(|it| it == "ether")
            });
            let unnamed = names::kind(name, true, true) == NetdevKind::Unknown;
            (plain && unnamed && !names::is_nic(name)).then_some((NetdevKind::Veth, lower.evidence))
        }
        _ => None,
    }
}

/// Whether the name of a device that no `ip` printed, so that `@` is missing, is that of a VLAN on a
/// device that exists or has the name of a NIC: `eth3.70`.
fn is_vlan(
    topology: &Topology<'_>,
    texts: &Texts<'_>,
    netdev: &Netdev<'_>,
    netns: &Netns,
    name: &str,
) -> bool {
    let Some((lower, _)) = name.rsplit_once('.') else { return false };
    let printed = netdev.records.iter().any(|record| record.record.index.is_some());
    !printed
        && names::is_vlan_of(name, lower)
        && (names::is_nic(lower) || topology.find_netdev(texts.host, netns, lower).is_some())
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
        for master in ports.iter().filter_map(|port| port.master.as_ref()) {
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
            match interface.and_then(|interface| topology.ovs_interface(interface)) {
                Some(it) if it.kind == "internal" => NetdevKind::OvsInternal,
                _ => kind,
            }
        }
        NetdevKind::Tunnel if names::is_ovs_tunnel_vport(name) => NetdevKind::OvsTunnelVport,
        _ => kind,
    }
}

/// A bridge without members: called like one, and like a bridge without a queue of its own.
fn looks_like_a_bridge(netdev: &Netdev<'_>, name: &str) -> bool {
    let number = name.strip_prefix("br").unwrap_or_default();
    let called = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    called
        && netdev.lower.is_none()
        && netdev.records.iter().any(|record| record.record.qdisc.as_deref() == Some("noqueue"))
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
    let mut kind = names::kind(name, netns.is_root(), at);
    if kind == NetdevKind::Unknown && looks_like_a_bridge(netdev, name) {
        kind = NetdevKind::Bridge;
    }
    let plain = netdev.records.iter().find(|record| {
        let ether = matches!(record.record.link_type.as_deref(), Some("ether" | "infiniband"));
        ether && record.record.kind.is_none() && detailed.contains(&record.source)
    });
    match plain {
        Some(it) if matches!(kind, NetdevKind::Physical | NetdevKind::Unknown) && !at => {
            let evidence = Evidence { source: it.source, span: it.record.at };
            (NetdevKind::Physical, Some(evidence))
        }
        _ => (kind, None),
    }
}
