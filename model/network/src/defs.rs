//! Definitions that several rules share, each in one place.
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::quote;
use tapline_core::records::ovs::OvsRow;
use tapline_topology::coverage::Searched;
use tapline_topology::graph::{AddressNode, Netdev, NetdevKind, OvsBridge, OvsInterface, OvsPort};
use tapline_topology::{Coverage, EdgeKind, NodeId, Presence, Topic, names};

use crate::{Item, Network};

/// The VLAN on which neutron's OVS agent parks a port that it has not wired
/// (`DEAD_VLAN_TAG`, neutron-lib `plugins/ml2/ovs_constants.py`).
pub const DEAD_VLAN: u16 = 4095;

/// From this share of at least three objects on, a fault is one of the host, not of each object.
pub fn most_of(affected: usize, all: usize) -> bool {
    affected >= 3 && affected * 5 >= all * 4
}

/// Whether an address may be seen by others than its own link: not loopback, not link-local.
pub fn is_global(ip: IpAddr) -> bool {
    let local = match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified(),
    };
    !local && !ip.is_multicast()
}

/// Whether the kernel uses an address: not one that was found with another machine when it was checked
/// (`dadfailed`, ip-address(8); `addrconf_dad_failure`, net/ipv6/addrconf.c).
pub fn is_in_use(address: &Item<'_, AddressNode<'_>>) -> bool {
    address.data.record.record.flags.iter().all(|flag| flag != "dadfailed")
}

/// First addresses of docker, podman and libvirt by default, the same on every machine.
const DEFAULTS: [Ipv4Addr; 3] =
    [Ipv4Addr::new(172, 17, 0, 1), Ipv4Addr::new(10, 88, 0, 1), Ipv4Addr::new(192, 168, 122, 1)];

/// Whether several devices may hold an address by the design of the software that set it.
pub fn may_repeat(ip: IpAddr, prefix: u8) -> bool {
    // A host route address on several devices: unnumbered links, load balancers, anycast.
    let host_route = match ip {
        IpAddr::V4(_) => prefix == 32,
        IpAddr::V6(_) => prefix == 128,
    };
    let default = DEFAULTS.iter().any(|default| IpAddr::V4(*default) == ip);
    host_route || default || !is_global(ip)
}

/// Bytes that a tunnel of this kind adds to an inner packet, its Ethernet header included.
/// `None` for kinds whose overhead is not fixed.
pub fn overhead(kind: &str, remote: IpAddr) -> Option<u32> {
    let ip = if remote.is_ipv4() { 20 } else { 40 };
    // Inner Ethernet 14, UDP 8, VXLAN 8; Geneve without options is as long; GRE with key 8.
    match kind {
        "vxlan" | "geneve" => Some(ip + 8 + 8 + 14),
        "gre" => Some(ip + 8 + 14),
        _ => None,
    }
}

/// Whether neutron's OVS agent works on this host: the profile says so, or the integration bridge carries its patches, or
/// ports that are named after neutron ports.
pub fn is_ml2_ovs(network: &Network<'_>, host: HostId) -> bool {
    if let Some(profile) = network.profile {
        return profile.has_ovs_agent() && network.integration(host).is_some();
    }
    let mut neutron = false;
    for port in network.integration_ports(host) {
        let name = port.name();
        if name.starts_with("ovn-") || name.starts_with("patch-br-int-to-") {
            return false;
        }
        neutron |=
            name == "patch-tun" || name.starts_with("int-br") || names::port_prefix(name).is_some();
    }
    neutron
}

/// Whether neutron's OVS agent set up the integration bridge: it carries the agent's own patches
/// (or the veth ends of old releases), which no other software makes under these names.
pub fn has_agent_patches(network: &Network<'_>, host: HostId) -> bool {
    network.traits(host).agent_patches
}

pub(crate) fn find_agent_patches(network: &Network<'_>, host: HostId) -> bool {
    if network.profile.is_some_and(|profile| !profile.has_ovs_agent()) {
        return false;
    }
    let mut patched = false;
    for port in network.integration_ports(host) {
        let name = port.name();
        if name.starts_with("ovn-") || name.starts_with("patch-br-int-to-") {
            return false;
        }
        patched |= is_agent_patch(network, host, name);
    }
    patched
}

/// Whether a port of the integration bridge is one of the agent's own: a patch under its names, or
/// of old releases a veth end whose other end is a port under the name that goes with it.
fn is_agent_patch(network: &Network<'_>, host: HostId, name: &str) -> bool {
    let Some(interface) = network.interface_called(host, name) else {
        return name == "patch-tun" || name.starts_with("int-br");
    };
    let Some(bridge) = name.strip_prefix("int-") else {
        return name == "patch-tun" && interface.kind == "patch";
    };
    let other = || network.interface_called(host, &format!("phy-{bridge}")).is_some();
    interface.kind == "patch" || interface.kind.is_empty() && other()
}

/// Whether a person said that every host should have this bridge.
pub fn is_expected(network: &Network<'_>, bridge: &str) -> bool {
    network.environment.expected_bridges.iter().any(|it| it == bridge)
}

/// Whether OVN made ports of the integration bridge: its tunnels, or patches to provider bridges.
pub fn is_ovn(network: &Network<'_>, host: HostId) -> bool {
    network.traits(host).ovn
}

pub(crate) fn find_ovn(network: &Network<'_>, host: HostId) -> bool {
    network.integration_ports(host).any(|port| {
        let name = port.name();
        name.starts_with("patch-br-int-to-")
            || name.starts_with("ovn-")
                && network
                    .interface_called(host, name)
                    .is_some_and(|interface| interface.kind == "geneve")
    })
}

/// The hosts with OVS 2.5 or later. Releases of neutron that run with it set the fail mode of the
/// integration bridge, and a flow by which they notice a restart of OVS.
pub fn recent_ovs(network: &Network<'_>) -> BTreeSet<HostId> {
    let mut all = BTreeSet::new();
    for (source, rows) in network.ovs_texts() {
        for row in rows {
            let OvsRow::OpenVswitch(database) = &row.row else { continue };
            let Some(version) = &database.version else { continue };
            let mut numbers = version.split(['.', '-']).map(|part| part.parse::<u32>().ok());
            let major = numbers.next().flatten().unwrap_or(0);
            let minor = numbers.next().flatten().unwrap_or(0);
            if (major, minor) >= (2, 5) {
                all.insert(source.host);
            }
        }
    }
    all
}

/// The interfaces of all ports of an OVS bridge.
pub fn interfaces_of<'a>(network: &Network<'a>, bridge: NodeId) -> Vec<Item<'a, OvsInterface>> {
    let ports = network.topology.into(bridge, EdgeKind::OvsPortOf);
    ports
        .into_iter()
        .flat_map(|(port, _)| network.topology.into(port, EdgeKind::OvsInterfaceOf))
        .filter_map(|(id, _)| network.ovs_interface(id))
        .collect()
}

/// Whether the kernel switches for this bridge. The database leaves the type empty for it.
pub fn is_kernel_datapath(bridge: &OvsBridge) -> bool {
    matches!(bridge.datapath_type.as_ref().map_or("", |it| it.value.as_str()), "" | "system")
}

/// What the kernel says of a device that the database lists as a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Attached {
    /// It is in the datapath.
    Datapath,
    /// It belongs to this bridge or bond.
    Other(Name),
    /// It belongs to nothing.
    Nothing,
}

/// A port of the kernel's datapath by the database, and its device.
pub struct KernelPort<'a> {
    /// The port.
    pub interface: Item<'a, OvsInterface>,
    /// Its device in the root namespace.
    pub device: Item<'a, Netdev<'a>>,
    /// What the device belongs to.
    pub attached: Attached,
}

/// The devices (not OVS's own) that are ports of the kernel's datapath by the database, have no
/// error, and were captured whole.
pub fn kernel_ports<'a>(network: &Network<'a>, host: HostId) -> Vec<KernelPort<'a>> {
    let mut all = Vec::new();
    for interface in network.ovs_interfaces_of(host) {
        let system = matches!(interface.kind.as_str(), "" | "system");
        let kernel = network
            .bridge_called(host, &interface.bridge)
            .is_some_and(|bridge| is_kernel_datapath(bridge.data));
        if !system || !kernel || interface.error.is_some() || interface.name() == interface.bridge {
            continue;
        }
        let Some(device) = network.device_of(interface.id) else { continue };
        // Short listings (`-br`) print no master.
        let whole = device.records.iter().any(|record| record.record.mtu.is_some());
        if !device.netns().is_root() || !whole || network.is_disputed(device.id) {
            continue;
        }
        let attached = match &device.data.master {
            Some(master) if names::is_ovs_datapath(&master.value) => Attached::Datapath,
            Some(master) => Attached::Other(master.value.clone()),
            None => Attached::Nothing,
        };
        all.push(KernelPort { interface, device, attached });
    }
    all
}

/// Whether the listing of the root namespace prints what devices belong to.
pub fn prints_masters(network: &Network<'_>, host: HostId) -> bool {
    network.netdevs_of(host).any(|device| device.netns().is_root() && device.master.is_some())
}

/// The complete texts that were searched for `key`, where there are any.
pub fn searched(network: &Network<'_>, host: HostId, topic: Topic, key: &str) -> Option<Searched> {
    searched_in(network, (host, &Netns::Root), topic, key)
}

/// The same of a topic of any namespace.
pub fn searched_in(
    network: &Network<'_>,
    (host, netns): (HostId, &Netns),
    topic: Topic,
    key: &str,
) -> Option<Searched> {
    let Coverage::Complete(sources) = network.topology.coverage.of(host, netns, topic) else {
        return None;
    };
    let source = *sources.first()?;
    let records =
        network.topology.snapshot.reading(source).map_or(0, |reading| reading.records.len());
    Some(Searched { keys: vec![key.to_owned()], sources: vec![(source, records)], namespaces: 0 })
}

/// The bridges of neutron's hybrid ports that have a VM on them.
pub fn hybrid_bridges<'a>(network: &Network<'a>, host: HostId) -> Vec<Item<'a, Netdev<'a>>> {
    let in_use = |device: &Item<'a, Netdev<'a>>| {
        device.name().starts_with("qbr")
            && device.kind == NetdevKind::Bridge
            && device.netns().is_root()
            && network.members(device.id).iter().any(|member| member.name().starts_with("tap"))
    };
    network.netdevs_of(host).filter(in_use).collect()
}

/// Whether a bridge of this name is made by container or VM software for a network of its own,
/// with an address range that nobody chose.
pub fn is_infra_bridge(name: &str) -> bool {
    let starts = ["docker", "podman", "cni-podman", "virbr", "lxdbr", "lxcbr", "incusbr"];
    // Networks of docker beside the first: `br-` and twelve digits of their id.
    let hashed = names::kind(name, true, false) == NetdevKind::Bridge && name.starts_with("br-");
    hashed || name == "cni0" || starts.iter().any(|start| name.starts_with(start))
}

/// Whether a namespace belongs to a neutron router.
pub fn is_router_netns(netns: &Netns) -> bool {
    netns.name().is_some_and(|name| name.starts_with("qrouter-") || name.starts_with("snat-"))
}

/// Whether neutron's agents made a namespace, which serves guests and is none.
pub fn is_of_neutron(netns: &Netns) -> bool {
    let by_agent = |name: &str| {
        ["qdhcp-", "fip-", "qlbaas-", "ovnmeta-"].iter().any(|prefix| name.starts_with(prefix))
    };
    is_router_netns(netns) || netns.name().is_some_and(by_agent)
}

/// Whether the device is in any namespace of the host. Devices that are made for the root
/// namespace are looked for there alone, unless all namespaces were captured.
pub fn presence(network: &Network<'_>, host: HostId, name: &str) -> Presence {
    match network.topology.netdev_presence_anywhere(host, name) {
        Presence::Unknown(_) if names::stays_in_root(name) => {
            network.topology.netdev_presence(host, &Netns::Root, name)
        }
        other => other,
    }
}

/// The value of `key` in a map column of an OVS interface.
pub fn external_id<'t>(interface: &'t OvsInterface, key: &str) -> Option<&'t str> {
    interface.external_ids.iter().find(|(it, _)| it == key).map(|(_, it)| it.value.as_str())
}

/// The value of `key` in `other_config` of an OVS port.
pub fn other_config<'t>(port: &'t OvsPort, key: &str) -> Option<&'t str> {
    port.other_config.iter().find(|(it, _)| it == key).map(|(_, it)| it.value.as_str())
}

/// The UDP port of a tunnel of OVS, where none is given; empty for kinds that need none.
pub fn tunnel_port(kind: &str) -> &'static str {
    match kind {
        "vxlan" => "4789",
        "geneve" => "6081",
        "stt" => "7471",
        "lisp" => "4341",
        _ => "",
    }
}

/// A command as it is run inside a namespace.
pub fn inside(netns: &Netns, command: &str) -> String {
    if matches!(netns, Netns::Root | Netns::Nameless { .. }) {
        return command.to_owned();
    }
    let enter: Vec<_> = netns.enter().into_iter().map(quote).collect();
    format!("{} {command}", enter.join(" "))
}

/// A command that asks a neighbour for its MAC. ARP knows no IPv6.
pub fn ask_neighbour(netns: &Netns, device: &str, ip: IpAddr) -> String {
    let command = match ip {
        IpAddr::V4(_) => format!("arping -c 3 -I {device} {ip}"),
        IpAddr::V6(_) => format!("ping -6 -c 3 -I {device} {ip}"),
    };
    inside(netns, &command)
}

/// `a, b, c and 4 more`.
pub fn list<'t>(names: impl IntoIterator<Item = &'t str>, most: usize) -> String {
    let all: Vec<&str> = names.into_iter().collect();
    let shown = all.iter().take(most).copied().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(most) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_takes_three_and_four_fifths() {
        assert!(most_of(3, 3) && most_of(4, 5) && most_of(80, 100));
        assert!(!most_of(2, 2) && !most_of(3, 4) && !most_of(79, 100) && !most_of(0, 0));
    }

    #[test]
    fn tunnels_add_their_headers() {
        let (v4, v6) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert_eq!(overhead("vxlan", v4), Some(50));
        assert_eq!(overhead("vxlan", v6), Some(70));
        assert_eq!(overhead("geneve", v4), Some(50));
        assert_eq!(overhead("gre", v4), Some(42));
        assert_eq!(overhead("stt", v4), None);
    }

    #[test]
    fn addresses_that_may_be_twice() {
        for (ip, prefix) in [("169.254.169.254", 16), ("127.0.0.1", 8), ("fe80::1", 64)] {
            assert!(may_repeat(ip.parse().unwrap(), prefix), "{ip}");
        }
        assert!(may_repeat("172.17.0.1".parse().unwrap(), 16));
        assert!(may_repeat("192.0.2.1".parse().unwrap(), 32));
        assert!(!may_repeat("192.0.2.1".parse().unwrap(), 24));
        assert!(!may_repeat("2001:db8::1".parse().unwrap(), 64));
    }

    #[test]
    fn long_lists_end_in_a_count() {
        assert_eq!(list(["a", "b"], 2), "a, b");
        assert_eq!(list(["a", "b", "c", "d"], 2), "a, b and 2 more");
        assert_eq!(list([], 2), "");
    }

    #[test]
    fn tunnels_have_ports_of_their_own() {
        let ports = ["vxlan", "geneve", "stt", "lisp", "gre"].map(tunnel_port);
        assert_eq!(ports, ["4789", "6081", "7471", "4341", ""]);
    }

    #[test]
    fn addresses_are_global_beyond_their_link() {
        for (ip, told) in [
            ("192.0.2.1", true),
            ("10.0.0.1", true),
            ("127.0.0.1", false),
            ("169.254.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.5", false),
            ("2001:db8::1", true),
            ("fd00::1", true),
            ("fe80::1", false),
            ("::1", false),
            ("::", false),
            ("ff02::1", false),
        ] {
            assert_eq!(is_global(ip.parse().unwrap()), told, "{ip}");
        }
    }
}
