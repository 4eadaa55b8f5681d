//! The same for the databases of OVN.
//!
//! Source of names and types: `ovn-nb.ovsschema` (5.x to 7.x), `ovn-sb.ovsschema` (1.x to 21.x).
use tapline_core::records::ovs::{OvsRecord, OvsRow, OvsValue};

use super::{Reading, Shape, VLAN, Vlan, Wrong};

/// A table, and columns of it: single values, sets, maps.
type Kept = (&'static str, Columns, Columns, Columns);
/// Names of columns.
type Columns = &'static [&'static str];

/// Columns that are kept as they are, by table: single values, sets, maps.
const KEPT: &[Kept] = &[
    ("ACL", &["action", "direction", "match", "name", "priority", "tier"], &[], &["external_ids"]),
    ("Address_Set", &["name"], &["addresses"], &["external_ids"]),
    ("BFD", &["dst_ip", "logical_port", "status", "chassis_name"], &[], &["options"]),
    ("Chassis_Private", &["chassis", "name", "nb_cfg", "nb_cfg_timestamp"], &[], &["external_ids"]),
    ("Datapath_Binding", &["tunnel_key"], &[], &["external_ids"]),
    ("DHCP_Options", &["cidr"], &[], &["options", "external_ids"]),
    ("FDB", &["dp_key", "mac", "port_key"], &[], &[]),
    ("Gateway_Chassis", &["chassis_name", "name", "priority", "chassis"], &[], &[]),
    ("HA_Chassis", &["chassis_name", "priority", "chassis"], &[], &[]),
    ("HA_Chassis_Group", &["name", "ref_chassis"], &["ha_chassis"], &[]),
    (
        "Load_Balancer",
        &["name", "protocol"],
        &["health_check", "datapaths"],
        &["vips", "options", "external_ids", "ip_port_mappings"],
    ),
    ("Load_Balancer_Group", &["name"], &["load_balancer"], &[]),
    ("Logical_Flow", &[], &[], &["external_ids"]),
    (
        "Logical_Router",
        &[],
        &["static_routes", "policies", "load_balancer", "load_balancer_group"],
        &[],
    ),
    (
        "Logical_Router_Policy",
        &["action", "match", "nexthop", "priority"],
        &["nexthops"],
        &["options", "external_ids"],
    ),
    ("Logical_Router_Port", &["ha_chassis_group", "peer"], &[], &[]),
    (
        "Logical_Router_Static_Route",
        &["ip_prefix", "nexthop", "output_port", "policy", "route_table", "bfd"],
        &[],
        &["options", "external_ids"],
    ),
    ("Logical_Switch", &[], &["acls", "load_balancer", "load_balancer_group", "dns_records"], &[]),
    (
        "Logical_Switch_Port",
        &["dhcpv4_options", "dhcpv6_options", "dynamic_addresses"],
        &["port_security"],
        &[],
    ),
    ("MAC_Binding", &["datapath", "ip", "logical_port", "mac"], &[], &[]),
    ("NAT", &["gateway_port", "allowed_ext_ips", "exempted_ext_ips"], &[], &["external_ids"]),
    (
        "NB_Global",
        &["name", "nb_cfg", "sb_cfg", "hv_cfg", "nb_cfg_timestamp", "sb_cfg_timestamp"],
        &[],
        &["options"],
    ),
    ("Port_Binding", &["tunnel_key", "ha_chassis_group"], &["mac", "gateway_chassis"], &[]),
    ("Port_Group", &["name"], &["acls", "ports"], &["external_ids"]),
    ("SB_Global", &["nb_cfg"], &[], &["options"]),
    (
        "Service_Monitor",
        &["ip", "logical_port", "port", "protocol", "status"],
        &[],
        &["options", "external_ids"],
    ),
    ("Static_MAC_Binding", &["ip", "logical_port", "mac"], &[], &[]),
];

/// The shape of a column that is kept as it is.
fn kept(table: &str, column: &str) -> Option<Shape> {
    let (_, ones, sets, maps) = KEPT.iter().find(|(name, ..)| *name == table)?;
    [(ones, Shape::One), (sets, Shape::Set), (maps, Shape::Map)]
        .into_iter()
        .find_map(|(names, shape)| names.contains(&column).then_some(shape))
}

/// Keeps a column that no field holds.
pub(super) fn keep(it: Reading<'_>, record: &mut OvsRecord, column: &str) -> Result<(), Wrong> {
    let value = match kept(record.table(), column) {
        Some(Shape::Map) => OvsValue::Map(it.map()?),
        Some(Shape::Set) => OvsValue::Set(it.names()?),
        Some(Shape::One) => OvsValue::Set(it.name()?.into_iter().collect()),
        None => return Ok(()),
    };
    record.values.push((column.into(), value));
    Ok(())
}

/// The empty row of a table of OVN that has fields of its own.
pub(super) fn row(table: &str) -> Option<OvsRow> {
    let row = match table {
        "Chassis" => OvsRow::Chassis(Box::default()),
        "Encap" => OvsRow::Encap(Box::default()),
        "Port_Binding" => OvsRow::PortBinding(Box::default()),
        "Logical_Switch" => OvsRow::Switch(Box::default()),
        "Logical_Switch_Port" => OvsRow::SwitchPort(Box::default()),
        "Logical_Router" => OvsRow::Router(Box::default()),
        "Logical_Router_Port" => OvsRow::RouterPort(Box::default()),
        "NAT" => OvsRow::Nat(Box::default()),
        _ => return None,
    };
    Some(row)
}

/// The shape of a column that has a field of its own.
pub(super) fn shape(row: &OvsRow, column: &str) -> Option<Shape> {
    let (one, set, map): (&[&str], &[&str], &[&str]) = match row {
        OvsRow::Chassis(_) => (
            &["name", "hostname"],
            &["encaps", "transport_zones"],
            &["external_ids", "other_config"],
        ),
        OvsRow::Encap(_) => (&["type", "ip", "chassis_name"], &[], &["options"]),
        OvsRow::PortBinding(_) => (
            &["logical_port", "type", "chassis", "requested_chassis", "up", "datapath", "tag"],
            &[],
            &["options", "external_ids"],
        ),
        OvsRow::Switch(_) => (&["name"], &["ports"], &["external_ids", "other_config"]),
        OvsRow::SwitchPort(_) => (
            &["name", "type", "parent_name", "tag", "enabled", "up"],
            &["addresses"],
            &["options", "external_ids"],
        ),
        OvsRow::Router(_) => (&["name"], &["ports", "nat"], &["options", "external_ids"]),
        OvsRow::RouterPort(_) => (
            &["name", "mac", "enabled"],
            &["networks", "gateway_chassis"],
            &["options", "external_ids"],
        ),
        OvsRow::Nat(_) => {
            (&["type", "external_ip", "logical_ip", "external_mac", "logical_port"], &[], &[])
        }
        row => return kept(row.table(), column),
    };
    let own = [(one, Shape::One), (set, Shape::Set), (map, Shape::Map)]
        .into_iter()
        .find_map(|(names, shape)| names.contains(&column).then_some(shape));
    own.or_else(|| kept(row.table(), column))
}

/// Fills the field of a column that has a [`shape`].
pub(super) fn set(it: Reading<'_>, row: &mut OvsRow, column: &str) -> Result<(), Wrong> {
    match row {
        OvsRow::Chassis(row) => match column {
            "name" => row.name = it.required()?,
            "hostname" => row.hostname = it.name()?.filter(|name| !name.value.is_empty()),
            "encaps" => row.encaps = it.refs()?,
            "transport_zones" => row.transport_zones = it.names()?,
            "external_ids" => row.external_ids = it.map()?,
            "other_config" => row.other_config = it.map()?,
            _ => {}
        },
        OvsRow::Encap(row) => match column {
            "type" => row.kind = it.name()?,
            "ip" => row.ip = it.name()?,
            "chassis_name" => row.chassis = it.name()?.filter(|name| !name.value.is_empty()),
            "options" => row.options = it.map()?,
            _ => {}
        },
        OvsRow::PortBinding(row) => match column {
            "logical_port" => row.logical_port = it.required()?,
            "type" => row.kind = it.name()?,
            "chassis" => row.chassis = it.reference()?,
            "requested_chassis" => row.requested_chassis = it.reference()?,
            "up" => row.up = it.one("true or false")?,
            "datapath" => row.datapath = it.reference()?,
            "tag" => row.tag = it.one::<Vlan>(VLAN)?.map(|tag| tag.map(|tag| tag.0)),
            "options" => row.options = it.map()?,
            "external_ids" => row.external_ids = it.map()?,
            _ => {}
        },
        OvsRow::Switch(row) => match column {
            "name" => row.name = it.required()?,
            "ports" => row.ports = it.refs()?,
            "external_ids" => row.external_ids = it.map()?,
            "other_config" => row.other_config = it.map()?,
            _ => {}
        },
        OvsRow::SwitchPort(row) => match column {
            "name" => row.name = it.required()?,
            "type" => row.kind = it.name()?,
            "parent_name" => row.parent = it.name()?.filter(|name| !name.value.is_empty()),
            "tag" => row.tag = it.one::<Vlan>(VLAN)?.map(|tag| tag.map(|tag| tag.0)),
            "enabled" => row.enabled = it.one("true or false")?,
            "up" => row.up = it.one("true or false")?,
            "addresses" => row.addresses = it.names()?,
            "options" => row.options = it.map()?,
            "external_ids" => row.external_ids = it.map()?,
            _ => {}
        },
        OvsRow::Router(row) => match column {
            "name" => row.name = it.required()?,
            "ports" => row.ports = it.refs()?,
            "nat" => row.nat = it.refs()?,
            "options" => row.options = it.map()?,
            "external_ids" => row.external_ids = it.map()?,
            _ => {}
        },
        OvsRow::RouterPort(row) => match column {
            "name" => row.name = it.required()?,
            "mac" => row.mac = it.name()?,
            "enabled" => row.enabled = it.one("true or false")?,
            "networks" => row.networks = it.names()?,
            "gateway_chassis" => row.gateway_chassis = it.refs()?,
            "options" => row.options = it.map()?,
            "external_ids" => row.external_ids = it.map()?,
            _ => {}
        },
        OvsRow::Nat(row) => match column {
            "type" => row.kind = it.name()?,
            "external_ip" => row.external_ip = it.name()?,
            "logical_ip" => row.logical_ip = it.name()?,
            "external_mac" => row.external_mac = it.name()?.filter(|name| !name.value.is_empty()),
            "logical_port" => row.logical_port = it.name()?.filter(|name| !name.value.is_empty()),
            _ => {}
        },
        _ => {}
    }
    Ok(())
}
