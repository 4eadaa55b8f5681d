//! NICs: `ethtool`, `ethtool -S`, `ethtool -i`, `ethtool -P`, `ethtool -k`, `ethtool -g`.
use serde::Serialize;

use super::Field;
use crate::Name;
use crate::ids::{IfIndex, Mac};
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

/// `ethtool -P DEV`: the device is known from the command only.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NicAddress {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// The Ethernet address that it was made with; null where it has none.
    pub mac: Option<At<Mac>>,
}

/// `ethtool -k DEV`: features, most of them offloads.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NicFeatures {
    /// The `Features for` line.
    #[serde(skip)]
    pub at: Span,
    /// The device that the output names.
    pub dev: At<Name>,
    /// Features, in order. Groups (`tx-checksumming`) stand before their members.
    pub features: Vec<Feature>,
}

impl NicFeatures {
    /// The feature called `name`.
    pub fn feature(&self, name: &str) -> Option<&Feature> {
        self.features.iter().find(|feature| feature.name == name)
    }
}

/// One feature.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Feature {
    /// `rx-checksumming`, `tx-udp_tnl-segmentation`, …
    pub name: Name,
    /// Whether it is on.
    pub on: At<bool>,
    /// The driver allows no change.
    pub fixed: bool,
    /// What was asked for, where it differs from what is.
    pub requested: Option<bool>,
}

/// `ethtool -g DEV`: sizes of the rings.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NicRings {
    /// The `Ring parameters for` line.
    #[serde(skip)]
    pub at: Span,
    /// The device that the output names.
    pub dev: At<Name>,
    /// The most that the driver allows.
    pub maximum: Rings,
    /// What is set.
    pub current: Rings,
}

/// Sizes of rings, in descriptors.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Rings {
    /// `RX`; `None` where the driver has none (`n/a`).
    pub rx: Option<At<u32>>,
    /// `TX`; `None` where the driver has none (`n/a`).
    pub tx: Option<At<u32>>,
    /// `RX Mini`, `RX Jumbo`, `TX Push`, …, as printed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}
