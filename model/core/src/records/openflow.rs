//! OpenFlow: `ovs-ofctl dump-flows`, `ovs-ofctl show`, `ovs-appctl fdb/show`.
//!
//! None of these texts names its bridge: it is known from the command alone.
mod action;
mod field;
mod group;

use std::fmt;

use serde::{Serialize, Serializer};

use super::Field;
use crate::Name;
use crate::ids::Mac;
use crate::span::{At, Span};

pub use action::{
    Action, Assignment, Ct, FlowAction, Learn, LearnPart, LearnSource, Nat, Nesting, Zone,
};
pub use field::{Bits, CT_STATES, Notation, OfField, Subfield, TCP_FLAGS, VLAN_PRESENT, ones};
pub use group::{Bucket, GroupKind, OfGroup};

/// Port of an OpenFlow switch: the number that a bridge gave it, or a name in its place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum OfPort {
    /// Number; unique within one bridge.
    Number(u32),
    /// The bridge's own port (65534).
    Local,
    /// Name of the interface, as newer tools print it (`--names`).
    Name(Name),
}

impl OfPort {
    /// Number of [`OfPort::Local`].
    pub const LOCAL: u32 = 65534;

    /// What a flow, a table or a port list says of a port, without quotes.
    pub fn of(text: &str) -> Self {
        match text.parse() {
            Ok(Self::LOCAL) => Self::Local,
            Ok(number) => Self::Number(number),
            Err(_) if text.eq_ignore_ascii_case("LOCAL") => Self::Local,
            Err(_) => Self::Name(text.into()),
        }
    }
}

impl fmt::Display for OfPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Local => f.write_str("LOCAL"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Serialize for OfPort {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => to.serialize_u32(*number),
            Self::Local => to.serialize_str("LOCAL"),
            Self::Name(name) => to.serialize_str(name),
        }
    }
}

/// Table of an OpenFlow switch: its number, or the name that the bridge gives it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TableRef {
    /// Number.
    Number(u8),
    /// Name, as newer tools print it on a terminal.
    Name(Name),
}

impl TableRef {
    /// The number, where it is one.
    pub fn number(&self) -> Option<u8> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Name(_) => None,
        }
    }
}

impl PartialEq<u8> for TableRef {
    fn eq(&self, number: &u8) -> bool {
        self.number() == Some(*number)
    }
}

impl From<u8> for TableRef {
    fn from(number: u8) -> Self {
        Self::Number(number)
    }
}

impl fmt::Display for TableRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Serialize for TableRef {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => to.serialize_u8(*number),
            Self::Name(name) => to.serialize_str(name),
        }
    }
}

/// One condition of a flow.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct FlowMatch {
    /// The key as printed; a protocol (`icmp6`) is a key without a value.
    pub key: Name,
    /// The value as printed, without quotes.
    pub value: At<Name>,
    /// What packets it is true of.
    #[serde(skip)]
    pub test: FlowTest,
}

/// What packets a condition is true of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FlowTest {
    /// Those whose bits have a value.
    Bits(Bits),
    /// Those of a protocol: `arp`, `tcp6`.
    Protocol {
        /// Ethertype.
        eth_type: u16,
        /// Protocol of IPv4 or IPv6.
        ip_proto: Option<u8>,
    },
    /// Those that came from a port which the flow calls by its name.
    Port(Name),
    /// Not understood: any may be.
    Unknown,
}

impl FlowTest {
    /// The bits that it looks at, where they are known.
    pub fn bits(&self) -> impl Iterator<Item = Bits> + use<> {
        let all = match self {
            Self::Bits(bits) => [Some(*bits), None],
            Self::Protocol { eth_type, ip_proto } => [
                Bits::of(OfField::EthType.whole(), u128::from(*eth_type)),
                ip_proto.and_then(|proto| Bits::of(OfField::IpProto.whole(), u128::from(proto))),
            ],
            Self::Port(_) | Self::Unknown => [None, None],
        };
        all.into_iter().flatten()
    }
}

/// One flow of one bridge.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Flow {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// The bridge that the command names.
    pub bridge: Option<Name>,
    /// Table; 0 where none is printed (the span is then that of the line's first word).
    pub table: At<TableRef>,
    /// Priority; 32768 where none is printed (the span is then that of the line's first word).
    /// Hidden flows have more than the 65535 that a controller can ask for.
    pub priority: At<u32>,
    /// Cookie: who made the flow. Serializes in hexadecimal.
    #[serde(serialize_with = "hex")]
    pub cookie: Option<At<u64>>,
    /// Packets that matched.
    pub n_packets: Option<u64>,
    /// Bytes that matched.
    pub n_bytes: Option<u64>,
    /// Seconds since it was made.
    pub duration: Option<f64>,
    /// Seconds without a packet; 65534 is "this long or longer".
    pub idle_age: Option<u32>,
    /// Seconds since it was changed; printed only where it differs from `duration`.
    pub hard_age: Option<u32>,
    /// Seconds without a packet after which it goes.
    pub idle_timeout: Option<u32>,
    /// Seconds after which it goes.
    pub hard_timeout: Option<u32>,
    /// `send_flow_rem`, `reset_counts`, …; and statistics that no field holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
    /// What it matches, in order: `in_port`, `dl_vlan`, …; a protocol (`icmp6`) has no value.
    pub matches: Vec<FlowMatch>,
    /// What it does, in order. Without any the packet is dropped.
    pub actions: Vec<FlowAction>,
}

impl Flow {
    /// Table of a flow that names none.
    pub const DEFAULT_TABLE: TableRef = TableRef::Number(0);
    /// Priority of a flow that names none (`OFP_DEFAULT_PRIORITY`).
    pub const DEFAULT_PRIORITY: u32 = 0x8000;

    /// The value of a key that it matches; empty for a protocol.
    pub fn matched(&self, key: &str) -> Option<&At<Name>> {
        self.matches.iter().find(|one| one.key == key).map(|one| &one.value)
    }

    /// The value that all of these bits must have, where the flow asks for one.
    pub fn wants(&self, part: Subfield) -> Option<At<u128>> {
        self.matches.iter().find_map(|one| {
            let value = one.test.bits().find_map(|bits| bits.value_of(part))?;
            Some(At::new(value, one.value.span))
        })
    }

    /// The port that packets must come from.
    pub fn in_port(&self) -> Option<At<OfPort>> {
        self.matched("in_port").map(|port| At::new(OfPort::of(port), port.span))
    }

    /// Whether packets end here: no action, or `drop`.
    pub fn drops(&self) -> bool {
        self.actions.iter().all(|one| one.action == Action::Drop)
    }
}

#[expect(clippy::ref_option, reason = "serde shows the field itself")]
fn hex<S: Serializer>(cookie: &Option<At<u64>>, to: S) -> Result<S::Ok, S::Error> {
    match cookie {
        Some(cookie) => to.collect_str(&format_args!("{:#x}", cookie.value)),
        None => to.serialize_none(),
    }
}

/// A bridge as an OpenFlow switch: `ovs-ofctl show`, `ovs-ofctl dump-ports-desc`.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OfSwitch {
    /// The first line.
    #[serde(skip)]
    pub at: Span,
    /// The bridge that the command names, else the name of its local port.
    pub bridge: Option<Name>,
    /// Datapath id, 16 hexadecimal digits; `dump-ports-desc` does not print it.
    pub dpid: Option<At<Name>>,
    /// Its ports, in order.
    pub ports: Vec<OfPortDesc>,
    /// `n_tables`, `capabilities`, `actions`, `frags`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// One port of a bridge.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct OfPortDesc {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// Number, or the local port.
    pub port: At<OfPort>,
    /// Name of the interface.
    pub name: At<Name>,
    /// MAC of the interface.
    pub addr: Option<At<Mac>>,
    /// Words of `config`: `PORT_DOWN`, …; empty is `0`.
    pub config: Vec<At<Name>>,
    /// Words of `state`: `LINK_DOWN`, `LIVE`, …; empty is `0`.
    pub state: Vec<At<Name>>,
    /// `current`, `advertised`, `supported`, `peer`, `speed`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// One address that a bridge has learnt: `ovs-appctl fdb/show`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct OvsFdbEntry {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// The bridge that the command names.
    pub bridge: Option<Name>,
    /// OpenFlow port.
    pub port: At<OfPort>,
    /// VLAN; 0 is none.
    pub vlan: At<u16>,
    /// The address.
    pub mac: At<Mac>,
    /// Seconds since it was seen; `None` for an entry that was set by hand (`static`).
    pub age: Option<u32>,
}
