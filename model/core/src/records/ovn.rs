//! OVN: rows of its northbound and southbound databases, as `ovn-nbctl` and `ovn-sbctl` print them.
//!
//! Source of names and types: `ovn-nb.ovsschema` (5.x to 7.x), `ovn-sb.ovsschema` (1.x to 21.x),
//! ovn-nb(5), ovn-sb(5). `show` nests by name; `list` prints rows that refer to one another by
//! `_uuid`. They are rows of an [`OvsRow`](super::ovs::OvsRow), since all databases of the kind are
//! printed by the same code.
use serde::Serialize;

use super::ovs::{OvsMap, OvsRef, as_map};
use crate::Name;
use crate::span::At;

/// `Chassis` (southbound): a host that ovn-controller, or a VTEP gateway, has entered.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct OvnChassis {
    /// Name: `external_ids:system-id` of the host's own Open vSwitch.
    pub name: At<Name>,
    /// Host name; gateways that are no hosts (ovn-controller-vtep) have none.
    pub hostname: Option<At<Name>>,
    /// Its tunnel ends, where they are rows (`list`).
    pub encaps: Vec<At<OvsRef>>,
    /// Transport zones; a tunnel needs a zone in common. Empty is the default zone.
    pub transport_zones: Vec<At<Name>>,
    /// `external_ids`; before 21.03 a copy of the host's own.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub external_ids: OvsMap,
    /// `other_config`: `ovn-bridge-mappings`, `is-remote`, `is-vtep`, …
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub other_config: OvsMap,
}

/// `Encap` (southbound): a tunnel end of a chassis.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct OvnEncap {
    /// `geneve`, `vxlan`, `stt`.
    #[serde(rename = "type")]
    pub kind: Option<At<Name>>,
    /// Address that the others send to.
    pub ip: Option<At<Name>>,
    /// Name of the chassis: the line above (`show`), or `chassis_name`.
    pub chassis: Option<At<Name>>,
    /// `csum`, `dst_port`, …
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub options: OvsMap,
}

/// `Port_Binding` (southbound): where a logical port is.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct OvnPortBinding {
    /// Name of the logical port: `external_ids:iface-id` of an interface.
    pub logical_port: At<Name>,
    /// `chassisredirect`, `localnet`, `localport`, `patch`, …; empty for a VM. `show` does not
    /// print it.
    #[serde(rename = "type")]
    pub kind: Option<At<Name>>,
    /// The chassis that claimed it. `show` prints ports under theirs, and no others.
    pub chassis: Option<At<OvsRef>>,
    /// The chassis that is meant to claim it.
    pub requested_chassis: Option<At<OvsRef>>,
    /// Whether its flows are in place; missing before 20.12.
    pub up: Option<At<bool>>,
    /// Its logical switch or router.
    pub datapath: Option<At<OvsRef>>,
    /// VLAN of a localnet port, or of a port inside another.
    pub tag: Option<At<u16>>,
    /// `network_name`, `requested-chassis`, …
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub options: OvsMap,
    /// `external_ids`.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub external_ids: OvsMap,
}

/// `Logical_Switch` (northbound): a network.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct OvnSwitch {
    /// Name, `neutron-` and the network's id for networks of neutron. May be empty.
    pub name: At<Name>,
    /// The name that a person gave it: `show` prints it behind `aka`.
    pub alias: Option<At<Name>>,
    /// Its ports. `show`: their names.
    pub ports: Vec<At<OvsRef>>,
    /// `external_ids`.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub external_ids: OvsMap,
    /// `other_config`.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub other_config: OvsMap,
}

/// `Logical_Switch_Port` (northbound).
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct OvnSwitchPort {
    /// Name: the id of the port for ports of neutron.
    pub name: At<Name>,
    /// The name that a person gave it: `show` prints it behind `aka`.
    pub alias: Option<At<Name>>,
    /// `_uuid` of its switch, where the text nests it (`show`).
    pub switch: Option<At<OvsRef>>,
    /// `router`, `localnet`, `localport`, `virtual`, …; empty for a VM.
    #[serde(rename = "type")]
    pub kind: Option<At<Name>>,
    /// `MAC IP…`, `router`, `unknown`, `dynamic`.
    pub addresses: Vec<At<Name>>,
    /// The port that it is inside of.
    pub parent: Option<At<Name>>,
    /// VLAN of a localnet port, or of a port inside another.
    pub tag: Option<At<u16>>,
    /// Whether it is switched on; not set is yes.
    pub enabled: Option<At<bool>>,
    /// Whether a chassis has it in place.
    pub up: Option<At<bool>>,
    /// `router-port`, `network_name`, `requested-chassis`, …
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub options: OvsMap,
    /// `external_ids`.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub external_ids: OvsMap,
}

/// `Logical_Router` (northbound).
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct OvnRouter {
    /// Name, `neutron-` and the router's id for routers of neutron. May be empty.
    pub name: At<Name>,
    /// The name that a person gave it: `show` prints it behind `aka`.
    pub alias: Option<At<Name>>,
    /// Its ports. `show`: their names.
    pub ports: Vec<At<OvsRef>>,
    /// Its translations, where they are rows (`list`).
    pub nat: Vec<At<OvsRef>>,
    /// `chassis` for a router that lives on one chassis, …
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub options: OvsMap,
    /// `external_ids`.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub external_ids: OvsMap,
}

/// `Logical_Router_Port` (northbound).
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct OvnRouterPort {
    /// Name: `lrp-` and the id of the port for ports of neutron.
    pub name: At<Name>,
    /// `_uuid` of its router, where the text nests it (`show`).
    pub router: Option<At<OvsRef>>,
    /// MAC.
    pub mac: Option<At<Name>>,
    /// Addresses with prefix lengths.
    pub networks: Vec<At<Name>>,
    /// Chassis that may be its gateway, the preferred one first. `show`: their names.
    pub gateway_chassis: Vec<At<OvsRef>>,
    /// Whether it is switched on; not set is yes.
    pub enabled: Option<At<bool>>,
    /// `options`.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub options: OvsMap,
    /// `external_ids`.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub external_ids: OvsMap,
}

/// `NAT` (northbound): a translation of a router.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct OvnNat {
    /// `_uuid` of its router, where the text nests it (`show`).
    pub router: Option<At<OvsRef>>,
    /// `snat`, `dnat`, `dnat_and_snat`.
    #[serde(rename = "type")]
    pub kind: Option<At<Name>>,
    /// The address outside.
    pub external_ip: Option<At<Name>>,
    /// The address or network inside.
    pub logical_ip: Option<At<Name>>,
    /// MAC of a translation that is made on the chassis of its port.
    pub external_mac: Option<At<Name>>,
    /// That port.
    pub logical_port: Option<At<Name>>,
}
