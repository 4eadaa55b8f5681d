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

/// The table that `ovs-vsctl` takes `name` for: in any case, with `-` for `_`, shortened at will
/// (`lib/db-ctl-base.c`, `score_partial_match`).
pub(crate) fn canonical(name: &str) -> Option<&'static str> {
    let same = |a: u8, b: u8| a.eq_ignore_ascii_case(&b) || (a == b'-' && b == b'_');
    let starts = |table: &&&str| {
        name.len() <= table.len() && name.bytes().zip(table.bytes()).all(|(a, b)| same(a, b))
    };
    let whole = TABLES.iter().find(|it| it.len() == name.len() && starts(it));
    whole.or_else(|| TABLES.iter().find(starts)).filter(|_| !name.is_empty()).copied()
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
    ];
    let has = |names: &[&str]| columns.clone().any(|it| names.contains(&it));
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
    }

    #[test]
    fn columns_tell_the_table() {
        assert_eq!(guess(["_uuid", "fail_mode", "name"].into_iter()), "Bridge");
        assert_eq!(guess(["is_connected", "target", "connection_mode"].into_iter()), "Manager");
        assert_eq!(guess(["name", "external_ids"].into_iter()), "");
    }
}
