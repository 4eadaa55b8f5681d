//! Queues, filters and programs at devices: `tc qdisc show`, `tc filter show`, `bpftool net list`.
use serde::Serialize;

use super::Field;
use crate::Name;
use crate::span::{At, Span};

/// A queue of a device, or the hook at which its filters are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Qdisc {
    /// Its line.
    #[serde(skip)]
    pub at: Span,
    /// `noqueue`, `fq_codel`, `htb`, `netem`, `ingress`, `clsact`, …
    #[serde(rename = "type")]
    pub kind: At<Name>,
    /// `0:`, `8001:`, `ffff:`.
    pub handle: Name,
    /// The device; `None` where the queues of one were asked for.
    pub dev: Option<At<Name>>,
    /// The class or hook that it is in; `None` for that of the device itself.
    pub parent: Option<Name>,
    /// The share of packets that it loses or spoils, as printed: `100%`.
    pub loss: Option<At<Name>>,
    /// Other keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// A filter at a queue or hook of a device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TcFilter {
    /// Its first line.
    #[serde(skip)]
    pub at: Span,
    /// The device, or `block N`; `None` where the filters of one were asked for.
    pub dev: Option<At<Name>>,
    /// `ingress`, `egress`, `root`, or a handle (`ffff:`, `1:`); `None` where one was asked for.
    pub parent: Option<Name>,
    /// `all`, `ip`, `802.1Q`, …
    pub protocol: At<Name>,
    /// Filters are asked in this order.
    pub pref: u32,
    /// `flower`, `u32`, `matchall`, `bpf`, …
    #[serde(rename = "type")]
    pub kind: At<Name>,
    /// The chain that it is in.
    pub chain: u32,
    /// Its handle; `None` for the line that only says that there are filters of a kind.
    pub handle: Option<Name>,
    /// What a packet must be like: `dst_ip` with `10.0.0.0/24`, `match` with `0a000000/ff000000 at 12`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Field>,
    /// What is done then, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<TcAction>,
    /// Other keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// What a filter does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TcAction {
    /// `gact`, `mirred`, `police`, `vlan`, …
    #[serde(rename = "type")]
    pub kind: At<Name>,
    /// The rest of its line: `action drop`, `(Egress Redirect to device eth1) stolen`.
    pub text: At<Name>,
    /// Other keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// A program of BPF at a device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct BpfProgram {
    /// Its line.
    #[serde(skip)]
    pub at: Span,
    /// The part of the listing: `xdp`, `tc`.
    pub section: Name,
    /// The device.
    pub dev: At<Name>,
    /// `driver`, `generic`, `clsact/ingress`, `tcx/egress`, …
    pub hook: Name,
    /// Its name, where one is printed.
    pub name: Option<At<Name>>,
}
