//! Sets of the kernel that rules of iptables ask: `ipset list`, `ipset save`.
use serde::Serialize;

use super::Field;
use super::route::Family;
use crate::Name;
use crate::span::{At, Span};

/// A set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct IpSet {
    /// The line that names it.
    #[serde(skip)]
    pub at: Span,
    /// Its name.
    pub name: At<Name>,
    /// Its type, which tells the parts of its entries: `hash:ip,port`, `bitmap:port`, `list:set`.
    #[serde(rename = "type")]
    pub kind: At<Name>,
    /// Whose addresses it holds: `family inet6`, else IPv4.
    pub family: Family,
    /// How many bits of an address count (`netmask 24`).
    pub netmask: Option<u8>,
    /// How many entries it says that it has.
    pub count: Option<u32>,
    /// Its entries were listed, not only its properties (`ipset list -terse`).
    pub listed: bool,
    /// What it has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<IpSetEntry>,
    /// Other properties: `hashsize`, `maxelem`, `timeout`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// One entry.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct IpSetEntry {
    /// As printed: `10.0.0.5,tcp:80`.
    pub element: At<Name>,
    /// It takes addresses out of a wider entry (`nomatch`).
    pub nomatch: bool,
}
