//! Linux bridges: `brctl show`, `bridge link`, `bridge vlan`, `bridge fdb`.
use std::net::IpAddr;

use serde::Serialize;

use super::Field;
use super::link::{LowerRef, NetnsRef};
use crate::Name;
use crate::ids::{IfIndex, Mac};
use crate::span::{At, Span};

/// One bridge of `brctl show`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Bridge {
    /// The first line.
    #[serde(skip)]
    pub at: Span,
    /// Name.
    pub name: At<Name>,
    /// Priority and MAC, as printed: `8000.c67808b20c2e`.
    pub id: Option<At<Name>>,
    /// Whether STP runs.
    pub stp: Option<At<bool>>,
    /// Member devices.
    pub ports: Vec<At<Name>>,
    /// Complaint in the row (`can't get info …`): the members are unknown.
    pub error: Option<At<Name>>,
}

/// One line of `bridge link`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BridgePort {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// Index of the device.
    pub index: IfIndex,
    /// Name of the device, without `@…`.
    pub name: At<Name>,
    /// What follows `@`.
    pub lower: Option<At<LowerRef>>,
    /// Namespace of the lower device.
    pub lower_netns: Option<At<NetnsRef>>,
    /// The words in `<…>`.
    pub flags: Vec<Name>,
    /// Bytes.
    pub mtu: Option<At<u32>>,
    /// The bridge.
    pub master: Option<At<Name>>,
    /// STP state: `forwarding`, `blocking`, …
    pub state: Option<At<Name>>,
    /// STP port priority.
    pub priority: Option<u32>,
    /// STP path cost.
    pub cost: Option<u32>,
    /// Port options (`hairpin off`, `learning on`, …) and counters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// One VLAN (or range) of one port of a Linux bridge.
///
/// Means nothing where the bridge has `vlan_filtering 0`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BridgeVlan {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// Port, or the bridge itself.
    pub dev: At<Name>,
    /// First VLAN id. `None` where the port is listed without VLANs.
    pub vid: Option<At<u16>>,
    /// Last VLAN id of a range.
    pub vid_end: Option<u16>,
    /// `PVID`, `Egress Untagged`, …
    pub flags: Vec<Name>,
    /// Keys that no field above holds: tunnel ids, state, counters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// One forwarding entry of `bridge fdb`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FdbEntry {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// Destination.
    pub mac: At<Mac>,
    /// Device behind which it is.
    pub dev: Option<At<Name>>,
    /// VLAN.
    pub vlan: Option<u16>,
    /// The bridge.
    pub master: Option<At<Name>>,
    /// Tunnel end behind which it is (vxlan).
    pub dst: Option<At<IpAddr>>,
    /// `self`, `permanent`, `extern_learn`, `router`, `offload`, `static`, `stale`, …
    pub flags: Vec<Name>,
    /// Keys that no field above holds: `port`, `vni`, `via`, `used`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}
