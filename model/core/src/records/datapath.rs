//! The datapath of Open vSwitch: `ovs-dpctl show`, `ovs-appctl dpctl/show`, `dpctl/dump-flows`.
use serde::Serialize;

use super::Field;
use crate::Name;
use crate::span::{At, Span};

/// One datapath with its ports.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Datapath {
    /// Its first line.
    #[serde(skip)]
    pub at: Span,
    /// `system@ovs-system`.
    pub name: At<Name>,
    /// Packets that a cached flow matched.
    pub hit: Option<u64>,
    /// Packets that were sent up to ovs-vswitchd.
    pub missed: Option<u64>,
    /// Packets of these that were dropped on the way up.
    pub lost: Option<At<u64>>,
    /// Cached flows.
    pub flows: Option<u64>,
    /// Its ports.
    pub ports: Vec<DatapathPort>,
    /// Other keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// A port of a datapath.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DatapathPort {
    /// Its line.
    #[serde(skip)]
    pub at: Span,
    /// Its number in the datapath, which is not that of OpenFlow.
    pub number: u32,
    /// The device.
    pub name: At<Name>,
    /// `internal`, `vxlan`, `geneve`; `None` of a device of the system.
    #[serde(rename = "type")]
    pub kind: Option<Name>,
    /// Configuration and counters, keys as printed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// One cached flow (megaflow).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct DatapathFlow {
    /// Its line.
    #[serde(skip)]
    pub at: Span,
    /// Its id, where it was printed.
    pub ufid: Option<Name>,
    /// `in_port(…)`: a number or, with `--names`, a device.
    pub in_port: Option<At<Name>>,
    /// All that it matches, as printed.
    pub matches: At<Name>,
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Seconds since it was last used; `None`: never.
    pub used: Option<Name>,
    /// What is done with the packet; `drop` stands for nothing.
    pub actions: At<Name>,
    /// Other keys: `flags`, `dp`, `offloaded`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}
