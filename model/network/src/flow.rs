//! What the flows of an OpenFlow bridge do with a packet that is known in part.
//!
//! The tables are walked as Open vSwitch walks them: the flow of the highest priority that the
//! packet matches decides. Where it is not known whether the packet matches a flow, both ways are
//! walked, each as a [`Path`] of its own; what a path takes for granted is known of the packet from
//! there on. Nothing is skipped in silence: an action that is not understood ends its path.
//!
//! What `NORMAL` does is not a matter of flows: it is one of the [`Effect`]s of a path.
mod lookup;
mod machine;
mod nat;
mod near;
mod packet;

use std::collections::BTreeMap;

use tapline_core::Name;
use tapline_core::records::openflow::{Flow, OfGroup, TableRef};
use tapline_core::span::Span;

pub use nat::Committed;
pub use packet::{FlowPacket, Tracked, Value};

use machine::Machine;

/// The flows of one bridge by table, with its groups and the names of its ports.
#[derive(Debug, Default)]
pub struct Tables<'a> {
    /// The flows of each table, those of the highest priority first.
    flows: BTreeMap<TableRef, Vec<&'a Flow>>,
    groups: BTreeMap<u32, &'a OfGroup>,
    ports: BTreeMap<Name, u32>,
    /// Whether the ports live, where that is known.
    links: BTreeMap<u32, bool>,
}

impl<'a> Tables<'a> {
    /// Sorts the flows.
    pub fn new(flows: impl IntoIterator<Item = &'a Flow>) -> Self {
        let mut tables: BTreeMap<TableRef, Vec<&Flow>> = BTreeMap::new();
        for flow in flows {
            tables.entry(flow.table.value.clone()).or_default().push(flow);
        }
        for flows in tables.values_mut() {
            flows.sort_by_key(|flow| std::cmp::Reverse(flow.priority.value));
        }
        Self { flows: tables, ..Self::default() }
    }

    /// Adds the groups of the bridge.
    #[must_use]
    pub fn with_groups(mut self, groups: impl IntoIterator<Item = &'a OfGroup>) -> Self {
        self.groups = groups.into_iter().map(|group| (group.group.value, group)).collect();
        self
    }

    /// Adds the numbers of ports by name: flows may call a port either way.
    #[must_use]
    pub fn with_ports(mut self, ports: impl IntoIterator<Item = (Name, u32)>) -> Self {
        self.ports = ports.into_iter().collect();
        self
    }

    /// Adds which ports live: groups of the kind `fast_failover` look at them.
    #[must_use]
    pub fn with_links(mut self, links: impl IntoIterator<Item = (u32, bool)>) -> Self {
        self.links = links.into_iter().collect();
        self
    }

    /// How many flows a table has.
    pub fn len(&self, table: &TableRef) -> usize {
        self.flows.get(table).map_or(0, Vec::len)
    }

    /// Every path that a packet may take from table 0 on. One path is the answer; several differ in
    /// what they take for granted.
    pub fn run(&self, packet: &FlowPacket, limits: Limits) -> Vec<Path<'a>> {
        Machine::new(self, limits).run(packet)
    }
}

/// How much is walked for one packet.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Paths.
    pub paths: usize,
    /// Tables that are looked up, in all paths together.
    pub lookups: u32,
    /// Times that a packet goes back to its table or one before it; Open vSwitch allows 64.
    pub depth: u32,
    /// Keep the packet as each table sees it.
    pub record: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { paths: 256, lookups: 16_384, depth: 64, record: false }
    }
}

/// One way that a packet may take.
#[derive(Clone, PartialEq, Debug)]
pub struct Path<'a> {
    /// Every table that was looked up, in order.
    pub steps: Vec<Step<'a>>,
    /// Where the packet, or a copy of it, leaves the tables.
    pub effects: Vec<Effect>,
    /// What ends the path before its time.
    pub stop: Option<Stop>,
    /// The packet surely takes it: nothing is taken for granted.
    pub certain: bool,
    /// The connections that the connection tracker is told to keep.
    pub made: Vec<Committed>,
}

/// One table that was looked up.
#[derive(Clone, PartialEq, Debug)]
pub struct Step<'a> {
    /// The table.
    pub table: TableRef,
    /// The flow that decides; none matches where it is `None`: the packet is dropped.
    pub flow: Option<&'a Flow>,
    /// It is taken for granted that the packet matches it, or does not match those before it.
    pub assumed: bool,
    /// Another flow of the same priority matches too: the switch may take either.
    pub ambiguous: bool,
    /// The packet came back from the connection tracker.
    pub recirculated: bool,
    /// The packet as the table sees it, where that is asked for.
    pub seen: Option<Box<FlowPacket>>,
}

/// Where a packet leaves the tables.
#[derive(Clone, PartialEq, Debug)]
pub struct Effect {
    /// Where to.
    pub sink: Sink,
    /// The packet as it leaves.
    pub packet: FlowPacket,
    /// The action that sends it.
    pub action: Span,
}

/// Where a packet goes to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Sink {
    /// A port by its number; the bridge's own port is one too.
    Port(u32),
    /// A port whose number is not known.
    Named(Name),
    /// Nowhere: its lifetime is over.
    Expired,
    /// Back to where it came from.
    InPort,
    /// To its own port again, which the switch suppresses.
    Suppressed(u32),
    /// As a learning switch does.
    Normal,
    /// All ports that flood but its own.
    Flood,
    /// All ports but its own.
    All,
    /// The controller, asked for the action of OVN with this number.
    Controller(Option<u32>),
    /// The port is not known: a field or a hash tells it.
    Unknown(Name),
}

/// Why a path ends before its time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// An action is not understood.
    Action(Name, Span),
    /// A group is not among those that were captured.
    Group(u32, Span),
    /// More paths, tables or levels than are looked at.
    Limit(&'static str),
}

#[cfg(test)]
mod tests;
