//! What the switch at the other end of a cable says: `lldpctl`.
use serde::Serialize;

use super::Field;
use crate::Name;
use crate::span::{At, Span};

/// One neighbour of one device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LldpNeighbour {
    /// Its first line.
    #[serde(skip)]
    pub at: Span,
    /// The device of this host.
    pub dev: At<Name>,
    /// The protocol: `LLDP`, `CDPv2`.
    pub protocol: Option<Name>,
    /// Id of the neighbour: `mac 52:54:00:00:00:01`.
    pub chassis: Option<At<Name>>,
    /// Its name.
    pub system: Option<At<Name>>,
    /// Id of its port: `ifname Ethernet1/7`.
    pub port: Option<At<Name>>,
    /// Description of its port.
    pub port_description: Option<At<Name>>,
    /// Largest frame that its port takes.
    pub mtu: Option<At<u32>>,
    /// VLANs that it announces.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vlans: Vec<At<u16>>,
    /// The VLAN of untagged frames.
    pub pvid: Option<At<u16>>,
    /// Other keys: `Chassis/MgmtIP`, `Port/TTL`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}
