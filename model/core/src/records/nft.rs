//! nftables: `nft list ruleset`.
use serde::Serialize;

use super::filter::{Condition, Target};
use crate::Name;
use crate::span::{At, Span};

/// One table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NftTable {
    /// The `table` line.
    #[serde(skip)]
    pub at: Span,
    /// `ip`, `ip6`, `inet`, `arp`, `bridge`, `netdev`.
    pub family: Name,
    /// Name; unique within its family.
    pub name: At<Name>,
    /// Handle (`nft -a`).
    pub handle: Option<u64>,
    /// Chains, in order.
    pub chains: Vec<NftChain>,
    /// Sets, maps, flowtables, counters, …, in order.
    pub objects: Vec<NftObject>,
    /// `comment`, `flags`, as printed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<At<Name>>,
}

/// One chain.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NftChain {
    /// The `chain` line.
    #[serde(skip)]
    pub at: Span,
    /// Name.
    pub name: At<Name>,
    /// Handle (`nft -a`).
    pub handle: Option<u64>,
    /// `filter`, `nat`, `route`; `None` for a chain that is only jumped to.
    #[serde(rename = "type")]
    pub kind: Option<Name>,
    /// `input`, `forward`, `ingress`, …
    pub hook: Option<At<Name>>,
    /// Device of a hook that has one, without quotes; several are parted by commas.
    pub device: Option<At<Name>>,
    /// As printed: `filter`, `-150`, `dstnat + 10`.
    pub priority: Option<At<Name>>,
    /// `accept` or `drop`; a base chain without one accepts.
    pub policy: Option<At<Name>>,
    /// Rules, in order.
    pub rules: Vec<NftRule>,
}

/// One rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NftRule {
    /// Its lines.
    #[serde(skip)]
    pub at: Span,
    /// As printed, without the handle.
    pub text: At<Name>,
    /// Handle (`nft -a`).
    pub handle: Option<u64>,
    /// What it says, in order.
    #[serde(skip)]
    pub statements: Vec<Statement>,
}

/// A part of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Statement {
    /// The rule goes on with packets that meet it.
    If(Condition),
    /// What is done with them.
    Do(Target),
    /// `vmap`: the first that is met decides; none goes on.
    Choose(Vec<(Condition, Target)>),
    /// `counter packets 3 bytes 180`
    Counter(u64, u64),
}

/// Anything else in a table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NftObject {
    /// The first line.
    #[serde(skip)]
    pub at: Span,
    /// `set`, `map`, `flowtable`, `counter`, `ct helper`, …
    pub object: Name,
    /// Name.
    pub name: At<Name>,
    /// Handle (`nft -a`).
    pub handle: Option<u64>,
    /// How many elements are printed; `nft -t` prints none.
    pub elements: u32,
    /// The elements, as printed.
    #[serde(skip)]
    pub members: Vec<Name>,
    /// Its other lines, as printed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<At<Name>>,
}
