//! Neighbours: `ip neigh`.
use std::net::IpAddr;

use serde::Serialize;

use super::Field;
use crate::Name;
use crate::ids::Mac;
use crate::span::{At, Span};

/// One neighbour entry (ARP or NDP).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Neighbour {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// Address.
    pub ip: At<IpAddr>,
    /// Device; not printed when the command filtered by it.
    pub dev: Option<At<Name>>,
    /// Link-layer address.
    pub mac: Option<At<Mac>>,
    /// Link-layer address that is not a MAC, as printed.
    pub lladdr: Option<Name>,
    /// `REACHABLE`, `STALE`, `FAILED`, `PERMANENT`, … Several may be set.
    pub states: Vec<Name>,
    /// `router`, `proxy`, `extern_learn`, `offload`, …
    pub flags: Vec<Name>,
    /// Keys that no field above holds: `used`, `ref`, `probes`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}
