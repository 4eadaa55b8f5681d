//! Packet filters: `iptables-save`, `iptables -S`, `iptables -nvL`, and the same of `ip6tables`.
use serde::Serialize;

use super::filter::{Condition, Target};
use super::route::Family;
use crate::Name;
use crate::span::{At, Span};

/// One table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NetfilterTable {
    /// The `*table` line.
    #[serde(skip)]
    pub at: Span,
    /// IPv4 or IPv6, where the header or the command tells.
    pub family: Option<Family>,
    /// `filter`, `nat`, `mangle`, `raw`, `security`.
    pub table: At<Name>,
    /// Chains in order.
    pub chains: Vec<NetfilterChain>,
    /// Rules in order.
    pub rules: Vec<NetfilterRule>,
    /// The table ends with `COMMIT`: nothing is missing. Of a listing and of `iptables -S`: all its
    /// lines were read.
    pub committed: bool,
    /// It is a listing (`iptables -nvL`): large counters are rounded, and its words were put into
    /// the arguments that `iptables-save` would print.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub listing: bool,
}

/// One chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NetfilterChain {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// Name.
    pub name: Name,
    /// `ACCEPT`, `DROP`; `None` for a chain of one's own.
    pub policy: Option<At<Name>>,
    /// Packets and bytes.
    pub counters: Option<(u64, u64)>,
}

/// One rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NetfilterRule {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// Its chain.
    pub chain: Name,
    /// Packets and bytes (`-c`).
    pub counters: Option<(u64, u64)>,
    /// What it matches, as arguments: `-s`, `10.0.0.0/8`, … Quotes are resolved. Words of a listing
    /// that have no such form stand as printed.
    pub matches: Vec<Name>,
    /// The same, as conditions that all have to be met.
    #[serde(skip)]
    pub conditions: Vec<Condition>,
    /// Chain or target of `-j` or `-g`.
    pub target: Option<At<Name>>,
    /// Jumps without return (`-g`).
    pub goto: bool,
    /// Options of the target: `--to-source`, `10.0.0.1`, …
    pub target_options: Vec<Name>,
    /// What the target does with a packet; without one the rule counts only.
    #[serde(skip)]
    pub action: Option<Target>,
}
