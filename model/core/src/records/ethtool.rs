//! NICs: `ethtool`, `ethtool -S`, `ethtool -i`.
use serde::Serialize;

use super::Field;
use crate::Name;
use crate::ids::IfIndex;
use crate::span::{At, Span};

/// `ethtool DEV`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NicSettings {
    /// The `Settings for` line.
    #[serde(skip)]
    pub at: Span,
    /// The device that the output names.
    pub dev: At<Name>,
    /// As printed: `10000Mb/s`, `Unknown!`.
    pub speed: Option<At<Name>>,
    /// `Full`, `Half`, `Unknown! (255)`.
    pub duplex: Option<At<Name>>,
    /// `Link detected`.
    pub link_detected: Option<At<bool>>,
    /// All other settings, in order; continuation lines repeat the key.
    pub other: Vec<Field>,
}

/// `ethtool -S DEV`: the device is known from the command only.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NicStats {
    /// The `NIC statistics:` line.
    #[serde(skip)]
    pub at: Span,
    /// Index of the other end of a veth, in a namespace that is not told.
    pub peer_ifindex: Option<At<IfIndex>>,
    /// Counters, in order. The names are the driver's.
    pub counters: Vec<Counter>,
}

/// One driver counter.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Counter {
    /// Name as printed; may hold blanks and colons.
    pub name: Name,
    /// Value.
    pub value: At<u64>,
}

/// `ethtool -i DEV`: the device is known from the command only.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NicDriver {
    /// The `driver:` line.
    #[serde(skip)]
    pub at: Span,
    /// `veth`, `bridge`, `tun`, `openvswitch`, `ixgbe`, …
    pub driver: At<Name>,
    /// PCI address, empty for virtual devices.
    pub bus_info: Option<At<Name>>,
    /// All other lines, in order.
    pub other: Vec<Field>,
}
