//! Names of tables.

/// The tables of the schema `Open_vSwitch`.
const TABLES: &[&str] = &[
    "AutoAttach",
    "Bridge",
    "CT_Timeout_Policy",
    "CT_Zone",
    "Controller",
    "Datapath",
    "Flow_Sample_Collector_Set",
    "Flow_Table",
    "IPFIX",
    "Interface",
    "Manager",
    "Mirror",
    "NetFlow",
    "Open_vSwitch",
    "Port",
    "QoS",
    "Queue",
    "SSL",
    "sFlow",
];

/// The tables of the schemas `OVN_Northbound` and `OVN_Southbound`.
const OVN_TABLES: &[&str] = &[
    "ACL",
    "Address_Set",
    "Advertised_MAC_Binding",
    "Advertised_Route",
    "BFD",
    "Chassis",
    "Chassis_Private",
    "Chassis_Template_Var",
    "Connection",
    "Controller_Event",
    "Copp",
    "DHCP_Options",
    "DHCP_Relay",
    "DHCPv6_Options",
    "DNS",
    "Datapath_Binding",
    "ECMP_Nexthop",
    "Encap",
    "FDB",
    "Forwarding_Group",
    "Gateway_Chassis",
    "HA_Chassis",
    "HA_Chassis_Group",
    "IGMP_Group",
    "IP_Multicast",
    "Learned_Route",
    "Load_Balancer",
    "Load_Balancer_Group",
    "Load_Balancer_Health_Check",
    "Logical_DP_Group",
    "Logical_Flow",
    "Logical_Router",
    "Logical_Router_Policy",
    "Logical_Router_Port",
    "Logical_Router_Static_Route",
    "Logical_Switch",
    "Logical_Switch_Port",
    "MAC_Binding",
    "Meter",
    "Meter_Band",
    "Mirror",
    "Mirror_Rule",
    "Multicast_Group",
    "NAT",
    "NB_Global",
    "Port_Binding",
    "Port_Group",
    "QoS",
    "RBAC_Permission",
    "RBAC_Role",
    "SB_Global",
    "SSL",
    "Sample",
    "Sample_Collector",
    "Sampling_App",
    "Service_Monitor",
    "Static_MAC_Binding",
];

/// The table that `ovs-vsctl` takes `name` for: in any case, with `-` for `_`, shortened at will
/// (`lib/db-ctl-base.c`, `score_partial_match`).
pub(crate) fn canonical(name: &str) -> Option<&'static str> {
    among(TABLES, name)
}

/// The same of `ovn-nbctl` and `ovn-sbctl`.
pub(crate) fn canonical_ovn(name: &str) -> Option<&'static str> {
    among(OVN_TABLES, name)
}

fn among(tables: &'static [&'static str], name: &str) -> Option<&'static str> {
    let same = |a: u8, b: u8| a.eq_ignore_ascii_case(&b) || (a == b'-' && b == b'_');
    let starts = |table: &&&str| {
        name.len() <= table.len() && name.bytes().zip(table.bytes()).all(|(a, b)| same(a, b))
    };
    let whole = tables.iter().find(|table| table.len() == name.len() && starts(table));
    whole.or_else(|| tables.iter().find(starts)).filter(|_| !name.is_empty()).copied()
}

/// The table that has such columns; empty where they do not tell.
pub(crate) fn guess<'a>(columns: impl Iterator<Item = &'a str> + Clone) -> &'static str {
    const TELLING: &[(&str, &[&str])] = &[
        (
            "Bridge",
            &["datapath_id", "fail_mode", "stp_enable", "flood_vlans", "mcast_snooping_enable"],
        ),
        ("Interface", &["ofport", "mac_in_use", "ifindex", "admin_state", "ofport_request"]),
        ("Port", &["bond_mode", "vlan_mode", "bond_fake_iface", "trunks", "interfaces"]),
        ("Open_vSwitch", &["ovs_version", "manager_options", "datapath_types", "iface_types"]),
        ("Controller", &["local_ip", "local_gateway", "controller_rate_limit", "role"]),
        ("Manager", &["connection_mode"]),
        ("Chassis", &["encaps", "vtep_logical_switches"]),
        ("Port_Binding", &["parent_port", "virtual_parent", "requested_chassis"]),
        ("Logical_Switch_Port", &["dynamic_addresses", "tag_request", "parent_name"]),
        ("Logical_Switch", &["forwarding_groups", "qos_rules"]),
        ("Logical_Router_Port", &["ipv6_ra_configs", "networks"]),
        ("Logical_Router", &["static_routes"]),
        ("NAT", &["external_ip", "logical_ip"]),
    ];
    let has = |names: &[&str]| columns.clone().any(|known| names.contains(&known));
    TELLING.iter().find(|(_, names)| has(names)).map_or("", |(table, _)| table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_short_and_in_any_case() {
        for (name, table) in [
            ("interface", Some("Interface")),
            ("open-vswitch", Some("Open_vSwitch")),
            ("br", Some("Bridge")),
            ("Port", Some("Port")),
            ("qos", Some("QoS")),
            ("OpenVswitch", None),
            ("", None),
        ] {
            assert_eq!(canonical(name), table, "{name}");
        }
        assert_eq!(canonical_ovn("logical-switch"), Some("Logical_Switch"));
        assert_eq!(canonical_ovn("port_b"), Some("Port_Binding"));
        assert_eq!(canonical_ovn("whatever"), None);
    }

    #[test]
    fn columns_tell_the_table() {
        assert_eq!(guess(["_uuid", "fail_mode", "name"].into_iter()), "Bridge");
        assert_eq!(guess(["is_connected", "target", "connection_mode"].into_iter()), "Manager");
        assert_eq!(guess(["name", "external_ids"].into_iter()), "");
    }
}
