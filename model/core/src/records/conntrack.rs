//! Tracked connections: `conntrack -L`, `/proc/net/nf_conntrack`.
use std::net::IpAddr;

use serde::Serialize;

use super::Field;
use crate::Name;
use crate::span::{At, Span};

/// Addresses and ports of one direction.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Tuple {
    /// Source address.
    pub src: Option<IpAddr>,
    /// Destination address.
    pub dst: Option<IpAddr>,
    /// Source port.
    pub sport: Option<u16>,
    /// Destination port.
    pub dport: Option<u16>,
}

/// One connection.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Connection {
    /// Its line.
    #[serde(skip)]
    pub at: Span,
    /// `tcp`, `udp`, `icmp`, …
    pub protocol: Name,
    /// Seconds until it is forgotten.
    pub timeout: Option<u64>,
    /// `ESTABLISHED`, `SYN_SENT`, …; only TCP, SCTP and DCCP have one.
    pub state: Option<At<Name>>,
    /// The packet that began it.
    pub original: Tuple,
    /// What its answers have: other addresses than the mirrored ones tell of NAT.
    pub reply: Tuple,
    /// `ASSURED`, `UNREPLIED`, `OFFLOAD`.
    pub flags: Vec<Name>,
    /// Its mark.
    pub mark: Option<u32>,
    /// Its zone; neutron and OVN have one for each network or port.
    pub zone: Option<u16>,
    /// Other keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}
