//! Kernel bonds: `/proc/net/bonding/*`.
use serde::Serialize;

use super::Field;
use crate::Name;
use crate::ids::Mac;
use crate::span::{At, Span};

/// One file of `/proc/net/bonding`: the bond is named by the file.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Bond {
    /// The first line.
    #[serde(skip)]
    pub at: Span,
    /// As printed: `fault-tolerance (active-backup)`.
    pub mode: Option<At<Name>>,
    /// `up` or `down`.
    pub mii_status: Option<At<Name>>,
    /// The slave in use; `None` as printed is the text `None`.
    pub active_slave: Option<At<Name>>,
    /// Members, in order.
    pub slaves: Vec<BondSlave>,
    /// All other lines about the bond.
    pub other: Vec<Field>,
}

/// One member of a bond.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BondSlave {
    /// The `Slave Interface` line.
    #[serde(skip)]
    pub at: Span,
    /// Device.
    pub name: At<Name>,
    /// `up`, `down`, `going down`, `going back`.
    pub mii_status: Option<At<Name>>,
    /// As printed.
    pub speed: Option<Name>,
    /// As printed.
    pub duplex: Option<Name>,
    /// How often the link was lost.
    pub link_failures: Option<At<u64>>,
    /// Its own address, whatever the bond put on it.
    pub permanent_mac: Option<At<Mac>>,
    /// LACP aggregator.
    pub aggregator: Option<At<Name>>,
    /// All other lines about the slave.
    pub other: Vec<Field>,
}
