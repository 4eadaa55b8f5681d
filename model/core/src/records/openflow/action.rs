//! What flows and the buckets of groups do with a packet.
use std::fmt;

use serde::{Serialize, Serializer};

use super::{Bits, OfPort, Subfield, TableRef};
use crate::Name;
use crate::span::At;

/// One action of a flow, and its text.
///
/// Serializes with the value, field and zone as the text prints them, beside what it does.
#[derive(Clone, PartialEq, Debug)]
pub struct FlowAction {
    /// As printed.
    pub text: At<Name>,
    /// What it does.
    pub action: Action,
}

/// What an action does.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "action", rename_all = "kebab-case")]
pub enum Action {
    /// `output:3`, `output:"tap0"`, a bare port.
    Output {
        /// The port.
        port: OfPort,
    },
    /// `output:NXM_NX_REG15[]`: to the port that a field holds.
    #[serde(rename = "output-field")]
    OutputTo {
        /// The field.
        #[serde(skip)]
        field: Subfield,
    },
    /// `LOCAL`: to the bridge's own port.
    Local,
    /// `IN_PORT`: back to where it came from.
    InPort,
    /// `NORMAL`: as a learning switch does.
    Normal,
    /// `FLOOD`: to all ports but its own and those that do not flood.
    Flood,
    /// `ALL`: to all ports but its own.
    All,
    /// `drop`.
    Drop,
    /// `CONTROLLER`, `controller(…)`.
    Controller,
    /// `resubmit(PORT,TABLE)`, `resubmit:PORT`.
    Resubmit {
        /// As if it came from this port.
        port: Option<OfPort>,
        /// `None` is the table of the flow itself.
        table: Option<TableRef>,
        /// With the addresses and ports that the connection had first (`ct`).
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        ct: bool,
    },
    /// `goto_table:3`.
    Goto {
        /// The table.
        table: TableRef,
    },
    /// `mod_vlan_vid:2`, `set_vlan_vid:2`: tags a packet that has no tag.
    ModVlan {
        /// VLAN.
        vid: u16,
    },
    /// `mod_vlan_pcp:2`: tags a packet that has no tag.
    ModVlanPcp {
        /// Priority.
        pcp: u8,
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
    /// `set_field:VALUE->FIELD`, `mod_dl_dst:MAC` and its like.
    SetField(Assignment),
    /// `load:VALUE->FIELD[bits]`.
    Load(Assignment),
    /// `write_metadata:VALUE/MASK`.
    WriteMetadata(Assignment),
    /// `move:FIELD[bits]->FIELD[bits]`.
    Move {
        /// From where.
        #[serde(skip)]
        from: Subfield,
        /// To where.
        #[serde(skip)]
        to: Subfield,
    },
    /// `push:FIELD[bits]`: keeps it on the stack.
    Push {
        /// The field.
        #[serde(skip)]
        field: Subfield,
    },
    /// `pop:FIELD[bits]`: takes it from the stack.
    Pop {
        /// The field.
        #[serde(skip)]
        field: Subfield,
    },
    /// `group:1`.
    Group {
        /// Group.
        id: u32,
    },
    /// `learn(…)`.
    Learn(Box<Learn>),
    /// `ct(…)`.
    Ct(Box<Ct>),
    /// `ct_clear`: as if no connection was looked up.
    CtClear,
    /// `conjunction(ID,K/N)`.
    Conjunction {
        /// Its `conj_id`.
        id: u32,
        /// Which of the clauses this flow is one choice of; the first is 1.
        clause: u8,
        /// How many clauses there are.
        of: u8,
    },
    /// `clone(…)`, `write_actions(…)`, `apply_actions(…)`.
    Nested {
        /// What becomes of those within.
        how: Nesting,
        /// Actions within.
        actions: Vec<FlowAction>,
    },
    /// `clear_actions`: forgets what `write_actions` wrote.
    ClearActions,
    /// `check_pkt_larger(1514)->FIELD[bit]`.
    CheckPktLarger {
        /// Bytes with the Ethernet header.
        size: u32,
        /// The bit that is set where the packet is larger.
        #[serde(skip)]
        to: Subfield,
    },
    /// `dec_ttl`, `dec_ttl(…)`: the packet goes to the controller where none is left.
    DecTtl,
    /// `enqueue:PORT:QUEUE`, `enqueue(PORT,QUEUE)`.
    Enqueue {
        /// The port.
        port: OfPort,
    },
    /// `multipath(…)`, `bundle_load(…)`: a hash of the packet is put into a field.
    Hash {
        /// Where the result goes.
        #[serde(skip)]
        to: Subfield,
    },
    /// `bundle(…)`: to one of some ports.
    Bundle {
        /// The ports.
        ports: Vec<OfPort>,
    },
    /// `exit`: no further action.
    Exit,
    /// `meter:1`: drops what is too much.
    Meter {
        /// Meter.
        id: u32,
    },
    /// Nothing that changes where the packet goes: `note`, `sample`, `set_queue`, `pop_queue`,
    /// `fin_timeout`.
    #[serde(rename = "other")]
    Aside,
    /// Any other: what it does is not known.
    Other,
}

/// Bits that get a value; `None` where field or value is not understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Assignment {
    /// The bits and their value.
    #[serde(skip)]
    pub bits: Option<Bits>,
}

/// What becomes of actions within an action.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nesting {
    /// `clone`: they are done with a copy of the packet.
    Clone,
    /// `write_actions`: they are done at the end.
    Write,
    /// `apply_actions`: they are done at once.
    Apply,
}

/// `ct(…)`: the connection of a packet is looked up.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Ct {
    /// `commit`: a new connection is kept.
    pub commit: bool,
    /// Table where the packet goes on with its state known.
    pub table: Option<TableRef>,
    /// Where the connection is looked up.
    #[serde(skip)]
    pub zone: Zone,
    /// `force`: a connection of the other direction is forgotten.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// `nat`, `nat(src=…)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nat: Option<Nat>,
    /// `exec(…)`: what is set of the connection.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exec: Vec<FlowAction>,
}

/// A zone of the connection tracker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Zone {
    /// Number; 0 where none is printed.
    Number(u16),
    /// The number that a field holds.
    Field(Subfield),
    /// Not understood.
    Unknown,
}

/// What `nat` of a connection does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Nat {
    /// `nat`: as the connection was translated before.
    Known,
    /// `nat(src=ADDRESS[-ADDRESS][:PORT[-PORT]])`, as printed.
    Src(Name),
    /// `nat(dst=…)`
    Dst(Name),
}

/// `learn(…)`: makes a flow from a packet.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Learn {
    /// Table that the learnt flows go into.
    pub table: Option<TableRef>,
    /// Priority of the learnt flow.
    #[serde(skip)]
    pub priority: Option<u32>,
    /// Seconds after which the learnt flow goes, without a packet and at all.
    #[serde(skip)]
    pub timeouts: (Option<u32>, Option<u32>),
    /// What it matches and does, in order.
    #[serde(skip)]
    pub parts: Vec<LearnPart>,
}

/// A part of a learnt flow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LearnPart {
    /// `FIELD=VALUE`, `FIELD=FIELD`, or a field alone, which is then like the packet's.
    Match(Subfield, LearnSource),
    /// `load:VALUE->FIELD`
    Load(Subfield, LearnSource),
    /// `output:FIELD`
    Output(Subfield),
    /// Not understood.
    Unknown(Name),
}

/// Where a learnt flow has a value from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LearnSource {
    /// The packet.
    Field(Subfield),
    /// The action.
    Value(u128),
}

impl Serialize for FlowAction {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shown<'a> {
            text: &'a At<Name>,
            #[serde(flatten)]
            action: &'a Action,
            #[serde(flatten)]
            printed: Printed<'a>,
        }
        let printed = Printed::of(&self.text.value, &self.action);
        Shown { text: &self.text, action: &self.action, printed }.serialize(to)
    }
}

/// Parts of the text of an action.
#[derive(Default, Serialize)]
struct Printed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    zone: Option<PrintedZone<'a>>,
}

/// The zone of `ct`; null where none is printed.
#[derive(Serialize)]
struct PrintedZone<'a> {
    zone: Option<&'a str>,
}

impl<'a> Printed<'a> {
    fn of(text: &'a str, action: &Action) -> Self {
        let arg = text.split_once(':').map_or("", |(_, arg)| arg);
        match action {
            Action::SetField(_)
            | Action::Load(_)
            | Action::WriteMetadata(_)
            | Action::Move { .. } => {
                // `set_field:VALUE->FIELD`, `mod_dl_src:VALUE`.
                let (value, field) = match arg.split_once("->") {
                    Some((value, field)) => (value, field),
                    None => (arg, written_field(text)),
                };
                Self { value: Some(value), field: Some(field), zone: None }
            }
            Action::OutputTo { .. } | Action::Push { .. } | Action::Pop { .. } => {
                Self { field: Some(arg), ..Self::default() }
            }
            Action::CheckPktLarger { .. } => {
                Self { field: text.split_once("->").map(|(_, field)| field), ..Self::default() }
            }
            Action::Ct(_) => {
                // `exec` and `nat` have none.
                let arguments = text.split(['(', ',', ')']);
                let zone = arguments.into_iter().find_map(|one| one.strip_prefix("zone="));
                Self { zone: Some(PrintedZone { zone }), ..Self::default() }
            }
            _ => Self::default(),
        }
    }
}

/// The field that an action without `->` writes: `mod_nw_src`, `set_mpls_ttl`, `write_metadata`.
fn written_field(text: &str) -> &str {
    let name = text.split(':').next().unwrap_or(text);
    ["mod_", "set_", "write_"].iter().find_map(|verb| name.strip_prefix(verb)).unwrap_or(name)
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Field(field) => field.fmt(f),
            Self::Unknown => f.write_str("?"),
        }
    }
}
