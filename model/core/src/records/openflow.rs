//! OpenFlow: `ovs-ofctl dump-flows`, `ovs-ofctl show`, `ovs-appctl fdb/show`.
//!
//! None of these texts names its bridge: it is known from the command alone.
use std::fmt;

use serde::{Serialize, Serializer};

use super::Field;
use crate::Name;
use crate::ids::Mac;
use crate::span::{At, Span};

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

/// One flow of one bridge.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Flow {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// The bridge that the command names.
    pub bridge: Option<Name>,
    /// Table; 0 where none is printed (the span is then that of the line's first word).
    pub table: At<u8>,
    /// Priority; 32768 where none is printed (the span is then that of the line's first word).
    pub priority: At<u16>,
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
    pub matches: Vec<Field>,
    /// What it does, in order. Without any the packet is dropped.
    pub actions: Vec<FlowAction>,
}

impl Flow {
    /// Table of a flow that names none.
    pub const DEFAULT_TABLE: u8 = 0;
    /// Priority of a flow that names none (`OFP_DEFAULT_PRIORITY`).
    pub const DEFAULT_PRIORITY: u16 = 0x8000;

    /// The value of a key that it matches; empty for a protocol.
    pub fn matched(&self, key: &str) -> Option<&At<Name>> {
        Field::find(&self.matches, key)
    }

    /// The port that packets must come from.
    pub fn in_port(&self) -> Option<At<OfPort>> {
        self.matched("in_port").map(|it| At::new(OfPort::of(it), it.span))
    }

    /// Whether packets end here: no action, or `drop`.
    pub fn drops(&self) -> bool {
        self.actions.iter().all(|it| it.action == Action::Drop)
    }
}

#[expect(clippy::ref_option, reason = "serde shows the field itself")]
fn hex<S: Serializer>(cookie: &Option<At<u64>>, to: S) -> Result<S::Ok, S::Error> {
    match cookie {
        Some(it) => to.collect_str(&format_args!("{:#x}", it.value)),
        None => to.serialize_none(),
    }
}

/// One action of a flow, and its text.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FlowAction {
    /// As printed.
    pub text: At<Name>,
    /// What it does.
    #[serde(flatten)]
    pub action: Action,
}

/// What an action does, as far as it matters where packets go.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// `output:3`, `output:"tap0"`, a bare port.
    Output {
        /// The port.
        port: OfPort,
    },
    /// `LOCAL`: to the bridge's own port.
    Local,
    /// `IN_PORT`: back to where it came from.
    InPort,
    /// `NORMAL`: as a learning switch does.
    Normal,
    /// `FLOOD`, `ALL`.
    Flood,
    /// `drop`.
    Drop,
    /// `CONTROLLER`, `controller(…)`.
    Controller,
    /// `resubmit(PORT,TABLE)`, `resubmit:PORT`.
    Resubmit {
        /// As if it came from this port.
        port: Option<OfPort>,
        /// `None` is the table of the flow itself.
        table: Option<u8>,
    },
    /// `goto_table:3`.
    Goto {
        /// The table.
        table: u8,
    },
    /// `mod_vlan_vid:2`, `set_vlan_vid:2`: tags a packet that has no tag.
    ModVlan {
        /// VLAN.
        vid: u16,
    },
    /// `strip_vlan`, `pop_vlan`.
    StripVlan,
    /// `push_vlan:0x8100`.
    PushVlan {
        /// Ethertype of the tag.
        ethertype: u16,
    },
    /// `set_tunnel:0x2`, `set_tunnel64:…`.
    SetTunnel {
        /// Tunnel key: VNI, GRE key.
        id: u64,
    },
    /// `set_field:VALUE->FIELD`.
    SetField {
        /// Value as printed, with its mask.
        value: Name,
        /// `tun_id`, `vlan_vid`, `eth_dst`, …
        field: Name,
    },
    /// `load:VALUE->FIELD[bits]`.
    Load {
        /// Value as printed.
        value: Name,
        /// `NXM_NX_REG6[]`, …
        field: Name,
    },
    /// `group:1`.
    Group {
        /// Group.
        id: u32,
    },
    /// `learn(…)`.
    Learn {
        /// Table that the learnt flows go into.
        table: Option<u8>,
    },
    /// `ct(…)`.
    Ct {
        /// `commit` is among its arguments.
        commit: bool,
        /// Table where the packet goes on with its state known.
        table: Option<u8>,
        /// Number or field.
        zone: Option<Name>,
    },
    /// `conjunction(ID,K/N)`.
    Conjunction {
        /// Its `conj_id`.
        id: u32,
    },
    /// `clone(…)`, `write_actions(…)`, `apply_actions(…)`.
    Nested {
        /// Actions within.
        actions: Vec<FlowAction>,
    },
    /// Any other.
    Other,
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
