//! Open vSwitch: `ovs-vsctl show`, `ovs-vsctl list`, `ovsdb-client dump`, `conf.db`; and the
//! databases of OVN, which the same code prints.
//!
//! `show` nests by name; the other forms are rows that refer to one another by `_uuid`.
use std::fmt;
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::ovn::{
    OvnChassis, OvnEncap, OvnNat, OvnPortBinding, OvnRouter, OvnRouterPort, OvnSwitch,
    OvnSwitchPort,
};
use crate::Name;
use crate::ids::{IfIndex, Mac};
use crate::span::{At, Span};

/// One row of a database of OVS or OVN, as far as the command prints it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OvsRecord {
    /// The header line, or the row.
    #[serde(skip)]
    pub at: Span,
    /// `_uuid`; `show` of OVS prints only that of the Open_vSwitch row.
    pub uuid: Option<At<Name>>,
    /// What it is.
    #[serde(flatten)]
    pub row: OvsRow,
    /// Columns of OVN that no field holds and that questions need: sets and maps.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_values")]
    pub values: Vec<(Name, OvsValue)>,
    /// Columns that no field holds, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<OvsColumn>,
}

/// The value of a column.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub enum OvsValue {
    /// A set; one value is a set of one.
    Set(Vec<At<Name>>),
    /// A map.
    #[serde(serialize_with = "as_map")]
    Map(OvsMap),
}

impl fmt::Display for OvsValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pairs: Vec<String> = match self {
            Self::Set(all) => all.iter().map(|one| one.value.to_string()).collect(),
            Self::Map(all) => {
                all.iter().map(|(key, value)| format!("{key}={}", value.value)).collect()
            }
        };
        // The order of sets and maps means nothing.
        pairs.sort();
        f.write_str(&pairs.join(", "))
    }
}

impl OvsRecord {
    /// The only value of a column; `None` where it is empty or was not printed.
    pub fn one(&self, column: &str) -> Option<&At<Name>> {
        self.set(column).first()
    }

    /// The members of a column; none where it is empty or was not printed.
    pub fn set(&self, column: &str) -> &[At<Name>] {
        match self.value(column) {
            Some(OvsValue::Set(all)) => all,
            _ => &[],
        }
    }

    /// The pairs of a column; none where it is empty or was not printed.
    pub fn map(&self, column: &str) -> &[(Name, At<Name>)] {
        match self.value(column) {
            Some(OvsValue::Map(all)) => all,
            _ => &[],
        }
    }

    /// The value of a column, where it was printed.
    pub fn value(&self, column: &str) -> Option<&OvsValue> {
        self.values.iter().find(|(name, _)| name == column).map(|(_, value)| value)
    }

    /// The name of its table; empty where the capture does not tell.
    pub fn table(&self) -> &str {
        self.row.table()
    }
}

impl OvsRow {
    /// The name of the table.
    pub fn table(&self) -> &str {
        match self {
            Self::OpenVswitch(_) => "Open_vSwitch",
            Self::Bridge(_) => "Bridge",
            Self::Port(_) => "Port",
            Self::Interface(_) => "Interface",
            Self::Connection(connection) if connection.manager => "Manager",
            Self::Connection(_) => "Controller",
            Self::Chassis(_) => "Chassis",
            Self::Encap(_) => "Encap",
            Self::PortBinding(_) => "Port_Binding",
            Self::Switch(_) => "Logical_Switch",
            Self::SwitchPort(_) => "Logical_Switch_Port",
            Self::Router(_) => "Logical_Router",
            Self::RouterPort(_) => "Logical_Router_Port",
            Self::Nat(_) => "NAT",
            Self::Other { name } => name,
        }
    }
}

/// The tables that tapline knows; others keep all of their columns.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "table")]
pub enum OvsRow {
    /// The one row of `Open_vSwitch`.
    #[serde(rename = "Open_vSwitch")]
    OpenVswitch(OvsDatabase),
    /// `Bridge`.
    Bridge(OvsBridge),
    /// `Port`.
    Port(OvsPort),
    /// `Interface`. The text of `error` proves what OVS could not do.
    Interface(Box<OvsInterface>),
    /// `Controller`, `Manager`.
    Connection(OvsConnection),
    /// `Chassis` of OVN.
    Chassis(Box<OvnChassis>),
    /// `Encap` of OVN.
    Encap(Box<OvnEncap>),
    /// `Port_Binding` of OVN.
    #[serde(rename = "Port_Binding")]
    PortBinding(Box<OvnPortBinding>),
    /// `Logical_Switch` of OVN.
    #[serde(rename = "Logical_Switch")]
    Switch(Box<OvnSwitch>),
    /// `Logical_Switch_Port` of OVN.
    #[serde(rename = "Logical_Switch_Port")]
    SwitchPort(Box<OvnSwitchPort>),
    /// `Logical_Router` of OVN.
    #[serde(rename = "Logical_Router")]
    Router(Box<OvnRouter>),
    /// `Logical_Router_Port` of OVN.
    #[serde(rename = "Logical_Router_Port")]
    RouterPort(Box<OvnRouterPort>),
    /// `NAT` of OVN.
    #[serde(rename = "NAT")]
    Nat(Box<OvnNat>),
    /// Any other table.
    Other {
        /// Name of the table, where the capture tells.
        name: Name,
    },
}

/// How a row names another: `show` nests names, `list` prints `_uuid`s.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OvsRef {
    /// By name.
    Name(Name),
    /// By `_uuid`.
    Uuid(Name),
}

/// A map column.
pub type OvsMap = Vec<(Name, At<Name>)>;

/// The value of `key` in a map column.
pub fn lookup<'a>(map: &'a OvsMap, key: &str) -> Option<&'a At<Name>> {
    map.iter().find(|(it, _)| it == key).map(|(_, value)| value)
}

/// Serializes a map column as a map.
pub(super) fn as_map<S: Serializer>(map: &OvsMap, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(map.iter().map(|(key, value)| (key, value)))
}

/// Serializes columns as a map.
fn as_values<S: Serializer>(all: &[(Name, OvsValue)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(all.iter().map(|(name, value)| (name, value)))
}

/// A column that no typed field holds.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OvsColumn {
    /// Column name.
    pub name: Name,
    /// Value in the database's own notation.
    pub value: At<Name>,
}

/// The `Open_vSwitch` row.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct OvsDatabase {
    /// `ovs_version`; missing where vswitchd never ran.
    pub version: Option<At<Name>>,
    /// `external_ids`: `system-id`, `ovn-encap-ip`, `ovn-bridge-mappings`, …
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub external_ids: OvsMap,
    /// `other_config`.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub other_config: OvsMap,
    /// Bridges that it lists.
    pub bridges: Vec<At<OvsRef>>,
}

/// A bridge.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct OvsBridge {
    /// Name.
    pub name: At<Name>,
    /// Its ports. `show`: their names.
    pub ports: Vec<At<OvsRef>>,
    /// `secure` or `standalone`; not printed where unset.
    pub fail_mode: Option<At<Name>>,
    /// `system` or `netdev`.
    pub datapath_type: Option<At<Name>>,
    /// Controllers that a `list` row refers to (`show` prints them as records of their own).
    pub controllers: Vec<At<OvsRef>>,
    /// `external_ids`.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub external_ids: OvsMap,
    /// `other_config`.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub other_config: OvsMap,
    /// `stp_enable`.
    pub stp: Option<At<bool>>,
}

/// A port: one interface, or the several of a bond.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct OvsPort {
    /// Name.
    pub name: At<Name>,
    /// Its bridge, where the text nests it (`show`).
    pub bridge: Option<At<Name>>,
    /// VLAN of an access port (or native VLAN). 4095 is neutron's dead VLAN.
    pub tag: Option<At<u16>>,
    /// VLANs of a trunk port; empty is all.
    pub trunks: Vec<At<u16>>,
    /// `access`, `trunk`, `native-tagged`, … `show` never prints it.
    pub vlan_mode: Option<At<Name>>,
    /// `active-backup`, `balance-tcp`, …
    pub bond_mode: Option<At<Name>>,
    /// Its interfaces. `show`: their names.
    pub interfaces: Vec<At<OvsRef>>,
    /// `external_ids`.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub external_ids: OvsMap,
    /// `other_config`: neutron keeps `net_uuid`, `network_type`, `segmentation_id`, `tag` here.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub other_config: OvsMap,
}

/// An interface.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct OvsInterface {
    /// Name.
    pub name: At<Name>,
    /// Its port, where the text nests it (`show`).
    pub port: Option<At<Name>>,
    /// `internal`, `patch`, `vxlan`, …; `None` or empty is a system device.
    #[serde(rename = "type")]
    pub kind: Option<At<Name>>,
    /// `peer`, `local_ip`, `remote_ip`, `key`, …
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub options: OvsMap,
    /// Why OVS could not make it.
    pub error: Option<At<Name>>,
    /// OpenFlow port number; -1 where it could not be made.
    pub ofport: Option<At<i64>>,
    /// Kernel index of the device behind it.
    pub ifindex: Option<At<IfIndex>>,
    /// MAC of the device behind it.
    pub mac_in_use: Option<At<Mac>>,
    /// `up` or `down` as vswitchd sees it: not reliable for devices in other namespaces.
    pub admin_state: Option<At<Name>>,
    /// `up` or `down` as vswitchd sees it: not reliable for devices in other namespaces.
    pub link_state: Option<At<Name>>,
    /// Bytes.
    pub mtu: Option<At<u32>>,
    /// `attached-mac`, `iface-id`, `vm-uuid`, …
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub external_ids: OvsMap,
    /// `driver_name`, `tunnel_egress_iface`, …
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub status: OvsMap,
    /// `state`, `remote_state`, …
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub bfd_status: OvsMap,
}

impl OvsInterface {
    /// An IP address among the options; `None` where it is `flow` or not an address.
    pub fn option_ip(&self, key: &str) -> Option<At<IpAddr>> {
        let value = lookup(&self.options, key)?;
        let ip = value.parse().ok()?;
        Some(At::new(ip, value.span))
    }

    /// Whether the type is one that has no device of its own (patch) or none in the kernel's
    /// tables under its name (tunnels, DPDK).
    pub fn has_netdev(&self) -> bool {
        matches!(self.kind.as_deref().map_or("", Name::as_str), "" | "system" | "internal" | "tap")
    }
}

/// A controller of a bridge, or a manager of the database.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct OvsConnection {
    /// True for a manager.
    pub manager: bool,
    /// Its bridge, where the text nests it (`show`).
    pub bridge: Option<At<Name>>,
    /// `tcp:127.0.0.1:6633`, `ptcp:6640:127.0.0.1`, …
    pub target: At<Name>,
    /// `show` prints it only where it is true.
    pub is_connected: Option<At<bool>>,
}
