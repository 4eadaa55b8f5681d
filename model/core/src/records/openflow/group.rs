//! Groups: lists of buckets of actions, of which a packet takes all, one, or the first that lives.
use serde::Serialize;

use super::{FlowAction, OfPort};
use crate::Name;
use crate::records::Field;
use crate::span::{At, Span};

/// One group of one bridge: `ovs-ofctl dump-groups`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OfGroup {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// The bridge that the command names.
    pub bridge: Option<Name>,
    /// Number, which `group:N` names.
    pub group: At<u32>,
    /// Which of its buckets a packet takes.
    #[serde(rename = "type")]
    pub group_type: GroupKind,
    /// `selection_method`, `fields`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
    /// Its buckets, in order.
    pub buckets: Vec<Bucket>,
}

/// Which buckets of a group a packet takes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupKind {
    /// Every one, each with a copy of the packet.
    All,
    /// One, by a hash of the packet.
    Select,
    /// The only one.
    Indirect,
    /// The first one whose port or group lives.
    FastFailover,
}

/// One bucket.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Bucket {
    /// Number within the group (since OpenFlow 1.5).
    pub bucket_id: Option<u32>,
    /// Share of the packets that it gets.
    pub weight: Option<u16>,
    /// It lives while this port does.
    pub watch_port: Option<OfPort>,
    /// It lives while this group does.
    pub watch_group: Option<u32>,
    /// What it does.
    pub actions: Vec<FlowAction>,
}
