//! What names suggest: prefixes of neutron, nova, libvirt and OVS.
//!
//! A name may suggest a role or break a tie; it never proves an edge.
//!
//! Sources: nova and os-vif `NIC_NAME_LEN` (14), neutron-lib `LINUX_DEV_LEN` (14) and
//! `DEVICE_NAME_MAX_LEN` (15); neutron's l3, dhcp, trunk and OVN metadata agents; OVS
//! `lib/netdev-vport.c`; libvirt `virnetdevtap.c`.
use crate::graph::NetdevKind;

/// The bridge on which the ports of VMs meet, as neutron and OVN call it unless told otherwise.
pub const INTEGRATION_BRIDGE: &str = "br-int";

/// The bridge on which neutron's agent has its tunnels, unless told otherwise.
pub const TUNNEL_BRIDGE: &str = "br-tun";

/// Prefixes before the first 11 characters of a neutron port id (8 hex digits, a hyphen, 2 more).
const PORT_PREFIXES: &[&str] = &[
    "tap", "qvb", "qvo", "qbr", "qr-", "qg-", "ha-", "sg-", "fg-", "ns-", "vhu", "vfr", "nic",
    "tpt-", "tpi-", "spt-", "spi-",
];

/// Characters of a port id in a name of 14 characters: ten hex digits and the hyphen.
const PORT_PART: usize = 11;

/// The part of a neutron port id that `name` carries: `e0f204ea-12` of `qvoe0f204ea-12`.
///
/// `None` where the rest of the name does not look like the start of a UUID.
pub fn port_prefix(name: &str) -> Option<&str> {
    let id = PORT_PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix))?;
    let id = id.get(..PORT_PART).unwrap_or(id);
    is_uuid_start(id).then_some(id)
}

/// Whether `id` is the first characters of a UUID: ten at least.
fn is_uuid_start(id: &str) -> bool {
    id.len() >= 10
        && id.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Whether two names carry the same neutron port id: `tap…`, `qbr…`, `qvb…` and `qvo…` of one
/// port. Two equal names do too. Unique in one host, not in a cloud.
pub fn same_port(a: &str, b: &str) -> bool {
    match (port_prefix(a), port_prefix(b)) {
        (Some(a), Some(b)) => {
            let common = a.len().min(b.len());
            a.get(..common) == b.get(..common)
        }
        _ => false,
    }
}

/// Whether `name` carries the start of this full port id (`iface-id`).
pub fn is_of_port(name: &str, port_id: &str) -> bool {
    port_prefix(name).is_some_and(|prefix| port_id.starts_with(prefix))
}

/// Whether the two names are those of one veth pair by convention: `qvb…`/`qvo…`,
/// `rfp-…`/`fpr-…`, `ns-…`/`tap…`, and the `tap…0`/`tap…1` of the OVN metadata agent.
pub fn is_veth_pair(a: &str, b: &str) -> bool {
    const PAIRS: &[(&str, &str)] = &[("qvb", "qvo"), ("rfp-", "fpr-"), ("ns-", "tap")];
    let fits = |a: &str, b: &str| {
        PAIRS.iter().any(|(left, right)| match (a.strip_prefix(left), b.strip_prefix(right)) {
            (Some(a), Some(b)) => a.len() >= 10 && a == b,
            _ => false,
        })
    };
    let ovn = |a: &str, b: &str| match (a.strip_suffix('0'), b.strip_suffix('1')) {
        (Some(a), Some(b)) => a == b && a.strip_prefix("tap").is_some_and(|rest| rest.len() == 10),
        _ => false,
    };
    fits(a, b) || fits(b, a) || ovn(a, b) || ovn(b, a)
}

/// Whether a device of this name is made in the root namespace and has no business elsewhere:
/// the tap of a VM, the parts of a hybrid port, a NIC.
///
/// `tap…` counts here only where the caller knows that it is a VM's: DHCP ports have such names
/// too.
pub fn stays_in_root(name: &str) -> bool {
    ["qvo", "qvb", "qbr", "vnet", "macvtap"].iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a port of OVS is an end of a patch that ovn-controller makes: `patch-br-int-to-NAME`, and
/// `patch-NAME-to-br-int` (ovn `controller/patch.c`).
pub fn is_ovn_patch(name: &str) -> bool {
    let rest = name.strip_prefix("patch-");
    let from = rest.and_then(|rest| rest.strip_prefix(INTEGRATION_BRIDGE)?.strip_prefix("-to-"));
    let to = rest.and_then(|rest| rest.strip_suffix(INTEGRATION_BRIDGE)?.strip_suffix("-to-"));
    from.or(to).is_some_and(|name| !name.is_empty())
}

/// Whether this is the name of the datapath itself.
pub fn is_ovs_datapath(name: &str) -> bool {
    matches!(name, "ovs-system" | "ovs-netdev" | "br-dpdk0-netdev")
}

/// Whether this is a device that OVS makes for all tunnels of a type: `vxlan_sys_4789`.
pub fn is_ovs_tunnel_vport(name: &str) -> bool {
    const SYS: &[&str] = &[
        "vxlan_sys",
        "genev_sys",
        "geneve_sys",
        "gre_sys",
        "gretap_sys",
        "erspan_sys",
        "ip6gre_sys",
        "gtpu_sys",
        "srv6_sys",
        "lisp_sys",
        "stt_sys",
        "bareudp_sys",
    ];
    SYS.iter().any(|sy| {
        name.strip_prefix(sy)
            .is_some_and(|rest| matches!(rest.as_bytes().first(), None | Some(b'_')))
    })
}

/// Whether this is one of the tunnel devices that the kernel makes on its own in each namespace.
pub fn is_fallback_tunnel(name: &str) -> bool {
    matches!(
        name,
        "gre0"
            | "gretap0"
            | "erspan0"
            | "tunl0"
            | "sit0"
            | "ip6tnl0"
            | "ip6gre0"
            | "ip_vti0"
            | "ip6_vti0"
    )
}

pub use tapline_core::ids::is_nic;

/// Whether `name` is that of a VLAN device on `lower` as everybody names them: `eth0.100@eth0`.
pub fn is_vlan_of(name: &str, lower: &str) -> bool {
    name.strip_prefix(lower)
        .and_then(|rest| rest.strip_prefix('.'))
        .is_some_and(|id| id.parse::<u16>().is_ok_and(|id| id < 4096))
}

/// The kind that a name suggests, where nothing printed it. `root` tells whether the device is in
/// the root namespace, `at` whether something follows `@` in its name: no bridge and no bond is on
/// another device.
pub fn kind(name: &str, root: bool, at: bool) -> NetdevKind {
    let starts = |all: &[&str]| all.iter().any(|it| name.starts_with(it));
    let counted = |prefix: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if name == "lo" {
        return NetdevKind::Loopback;
    }
    if is_ovs_datapath(name) {
        return NetdevKind::OvsDatapath;
    }
    if is_ovs_tunnel_vport(name) {
        return NetdevKind::OvsTunnelVport;
    }
    if is_fallback_tunnel(name) || starts(&["flannel.", "vxlan.calico", "vxlan-", "cilium_vxlan"]) {
        return NetdevKind::Tunnel;
    }
    if starts(&["qvo", "qvb", "rfp-", "fpr-", "veth", "cali", "fwln", "fwpr"]) {
        return NetdevKind::Veth;
    }
    if starts(&["macvtap"]) {
        return NetdevKind::Macvtap;
    }
    if starts(&["virbr"]) && name.ends_with("-nic") {
        return NetdevKind::Tap;
    }
    if at {
        let vlan = name.rsplit_once('.').is_some_and(|(_, id)| id.parse::<u16>().is_ok())
            || counted("vlan");
        return if vlan { NetdevKind::Vlan } else { NetdevKind::Unknown };
    }
    if starts(&[
        "qbr", "brq", "virbr", "lxdbr", "lxcbr", "incusbr", "vmbr", "fwbr", "docker", "cni0",
        "podman",
    ]) || name
        .strip_prefix("br-")
        .is_some_and(|rest| rest.len() == 12 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
    {
        return NetdevKind::Bridge;
    }
    if starts(&["qr-", "qg-", "sg-", "fg-", "ha-"]) {
        return NetdevKind::OvsInternal;
    }
    if counted("vnet") || starts(&["tap"]) {
        return if root { NetdevKind::Tap } else { NetdevKind::Unknown };
    }
    // Of a guest of Xen: its domain and the number of its NIC.
    if name
        .strip_prefix("vif")
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(domain, nic)| domain.parse::<u32>().is_ok() && nic.parse::<u32>().is_ok())
    {
        return NetdevKind::Tap;
    }
    if counted("tun") {
        return NetdevKind::Tun;
    }
    if counted("bond") {
        return NetdevKind::Bond;
    }
    if counted("team") {
        return NetdevKind::Team;
    }
    if counted("dummy") {
        return NetdevKind::Dummy;
    }
    if is_nic(name) {
        return NetdevKind::Physical;
    }
    NetdevKind::Unknown
}

/// What a device or port of this name is for, in a few words; `None` where the name says nothing.
pub fn role(name: &str) -> Option<&'static str> {
    const ROLES: &[(&str, &str)] = &[
        ("tap", "tap of a VM, or a DHCP port"),
        ("vnet", "tap of a VM"),
        ("qbr", "bridge of a hybrid port, where its packet filter works"),
        ("qvb", "veth end in the bridge of a hybrid port"),
        ("qvo", "veth end in the integration bridge"),
        ("qr-", "inner port of a router"),
        ("qg-", "gateway port of a router"),
        ("sg-", "inner port of a source-NAT namespace"),
        ("fg-", "gateway port of a floating-IP namespace"),
        ("ha-", "port for the router's VRRP"),
        ("rfp-", "router end of the pair to the floating-IP namespace"),
        ("fpr-", "floating-IP end of the pair to the router"),
        ("ns-", "DHCP port, namespace end"),
        ("vhu", "vhost-user port of a VM"),
        ("int-br", "patch of the integration bridge to a provider bridge"),
        ("phy-br", "patch of a provider bridge to the integration bridge"),
        ("patch-int", "patch to the integration bridge"),
        ("patch-tun", "patch to the tunnel bridge"),
        ("tbr-", "bridge of a trunk port"),
        ("tpt-", "trunk parent, end in the trunk bridge"),
        ("tpi-", "trunk parent, end in the integration bridge"),
        ("spt-", "trunk subport, end in the trunk bridge"),
        ("spi-", "trunk subport, end in the integration bridge"),
        ("brq", "bridge of a network"),
        ("virbr", "bridge of a libvirt network"),
        ("macvtap", "macvtap of a VM"),
    ];
    let name = if is_ovs_tunnel_vport(name) {
        return Some("carrier of all tunnels of a type");
    } else {
        name
    };
    ROLES.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, role)| *role)
}

/// Whether an OVS bridge was made for one port: `tbr-…` by neutron for a trunk, `pb…` by os-vif for
/// a port of a VM. It lies on the side of the VM.
pub fn is_bridge_of_one_port(bridge: &str) -> bool {
    bridge.starts_with("tbr-") || bridge.starts_with("pb") && bridge.len() == 14
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_ids_are_cut_at_eleven_characters() {
        assert_eq!(port_prefix("qvoe0f204ea-12"), Some("e0f204ea-12"));
        assert_eq!(port_prefix("qr-01234567-89"), Some("01234567-89"));
        assert_eq!(port_prefix("tpi-01234567-89a"), Some("01234567-89"));
        for not in ["tap0", "qvoe0f204ea", "tapwxyz1234-12", "br-int", "", "tap"] {
            assert_eq!(port_prefix(not), None, "{not}");
        }
    }

    #[test]
    fn parts_of_one_hybrid_port_belong_together() {
        for other in ["tap85bcbfb0-bc", "qbr85bcbfb0-bc", "qvb85bcbfb0-bc", "qvo85bcbfb0-bc"] {
            assert!(same_port("qvo85bcbfb0-bc", other), "{other}");
        }
        assert!(!same_port("qvo85bcbfb0-bc", "qvb85bcbfb0-bd"));
        assert!(!same_port("vnet0", "vnet0"));
        assert!(is_of_port("tap85bcbfb0-bc", "85bcbfb0-bc12-4c5e-9d3f-000000000000"));
        assert!(!is_of_port("tap85bcbfb0-bc", "85bcbfb0-bd12-4c5e-9d3f-000000000000"));
    }

    #[test]
    fn pairs_by_convention() {
        assert!(is_veth_pair("qvb85bcbfb0-bc", "qvo85bcbfb0-bc"));
        assert!(is_veth_pair("fpr-3b5a8f1c-2", "rfp-3b5a8f1c-2"));
        assert!(is_veth_pair("tap3b5a8f1c-20", "tap3b5a8f1c-21"));
        assert!(!is_veth_pair("qvb85bcbfb0-bc", "qvb85bcbfb0-bc"));
        assert!(!is_veth_pair("tap3b5a8f1c-20", "tap3b5a8f1d-21"));
    }

    #[test]
    fn names_of_nics() {
        for nic in [
            "eth0",
            "eno1",
            "ens3",
            "enp4s0f1",
            "enP2p1s0",
            "em1",
            "p2p1",
            "ib0",
            "enx0011223344ff",
        ] {
            assert!(is_nic(nic), "{nic}");
        }
        for not in [
            "ethernet",
            "eth0.100",
            "enp4s0f1.100",
            "entry",
            "bond0",
            "p2",
            "veth0",
            "pp",
            "em",
            "br-ens3",
        ] {
            assert!(!is_nic(not), "{not}");
        }
    }

    #[test]
    fn kinds_by_name_stay_modest() {
        assert_eq!(kind("qvo85bcbfb0-bc", true, true), NetdevKind::Veth);
        assert_eq!(kind("eth0", true, false), NetdevKind::Physical);
        assert_eq!(kind("vif12.0", true, false), NetdevKind::Tap);
        assert_eq!(kind("eth0", false, true), NetdevKind::Unknown);
        assert_eq!(kind("eth0.100", true, true), NetdevKind::Vlan);
        assert_eq!(kind("vmbr0.10", true, true), NetdevKind::Vlan);
        assert_eq!(kind("docker0", true, true), NetdevKind::Unknown);
        assert!(is_vlan_of("br-mgmt.7", "br-mgmt") && is_vlan_of("eth0.100", "eth0"));
        assert!(!is_vlan_of("eth0.5000", "eth0") && !is_vlan_of("eth0", "eth0"));
        assert_eq!(kind("tap42681808-04", false, false), NetdevKind::Unknown);
        assert_eq!(kind("br-0123456789ab", true, false), NetdevKind::Bridge);
        assert_eq!(kind("br-int", true, false), NetdevKind::Unknown);
        assert_eq!(kind("vxlan_sys_4789", true, false), NetdevKind::OvsTunnelVport);
    }
}
