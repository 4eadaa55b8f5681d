//! A packet within the tables of a bridge, some bits of which are known.
use std::sync::Arc;

use tapline_core::records::openflow::{Bits, OfField, OfPort, Subfield, VLAN_PRESENT, ones};

use super::Committed;
use crate::truth::Truth;

/// Some bits that are known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Value {
    /// The value; bits that are not known are 0.
    pub value: u128,
    /// Which bits are known.
    pub known: u128,
}

impl Value {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { value: 0, known: 0 };

    /// All bits are known.
    pub const fn of(value: u128) -> Self {
        Self { value, known: u128::MAX }
    }

    fn put(self, bits: Bits) -> Self {
        Self { value: self.value & !bits.mask | bits.value, known: self.known | bits.mask }
    }
}

/// A packet and what a bridge notes beside it. A field that was never set is not known.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct FlowPacket {
    /// Few fields are set in any packet, so a list is the fastest map. Copies of a packet share it
    /// until one of them changes.
    fields: Arc<Vec<(OfField, Value)>>,
    /// Tags below the outer one, that next to it last.
    inner_tags: Vec<Value>,
    /// Bytes with the Ethernet header.
    pub size: Option<u32>,
    /// What the connection tracker will say of the packet; `None` where it is not known.
    pub next_state: Option<u128>,
    /// What it will say at the passes behind the next one; nothing else than before where it is
    /// empty.
    pub later_states: Vec<u128>,
    /// The mark and the label that it will say an older connection has.
    pub next_mark: Option<u128>,
    /// Connections that are tracked already and that it belongs to, of any zone.
    pub tracked: Vec<Tracked>,
    /// It is an answer, and these are all connections that flows of this host committed for what it
    /// answers to.
    pub answers: Option<Arc<Vec<Committed>>>,
    /// The connections that were committed for it on its way through this bridge.
    pub(super) committed: Vec<Committed>,
}

/// A connection that a zone of the connection tracker knows already.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Tracked {
    /// The zone.
    pub zone: u16,
    /// The bits of the state that a packet of it has; `None` where it may be another connection
    /// between the same ends.
    pub state: Option<u128>,
    /// Its mark.
    pub mark: Option<u32>,
    /// Its addresses or ports are translated.
    pub translated: bool,
}

impl FlowPacket {
    /// A packet as it comes into a bridge by a port: registers and the state of connections are
    /// empty, the rest is not known.
    pub fn arriving(port: u32) -> Self {
        let mut packet = Self::default();
        packet.enter(port);
        packet
    }

    /// Comes into a bridge by a port, as from the patch port of another.
    pub fn enter(&mut self, port: u32) {
        use OfField as F;
        for group in 0..4 {
            self.set(F::Regs(group), Value::of(0));
        }
        for field in [F::Metadata, F::TunId, F::ConjId, F::RecircId, F::ActsetOutput] {
            self.set(field, Value::of(0));
        }
        self.clear_connection();
        self.committed.clear();
        self.set(F::InPort, Value::of(u128::from(port)));
    }

    /// What the connection tracker says at this pass.
    pub fn take_state(&mut self) -> Option<u128> {
        let now = self.next_state;
        if !self.later_states.is_empty() {
            self.next_state = Some(self.later_states.remove(0));
        }
        now
    }

    /// What is known of a field.
    pub fn get(&self, field: OfField) -> Value {
        let found = self.fields.iter().find(|(name, _)| *name == field);
        found.map_or(Value::UNKNOWN, |(_, value)| *value)
    }

    /// The value of some bits, where all of them are known.
    pub fn known(&self, part: Subfield) -> Option<u128> {
        let value = self.get(part.field);
        (value.known & part.mask() == part.mask()).then(|| part.take(value.value))
    }

    /// Sets a field.
    pub fn set(&mut self, field: OfField, value: Value) {
        let width = ones(field.width());
        let value = Value { value: value.value & value.known & width, known: value.known & width };
        match self.fields.iter().position(|(name, _)| *name == field) {
            Some(at) if self.fields.get(at).is_some_and(|(_, old)| *old == value) => {}
            Some(at) => {
                if let Some((_, old)) = Arc::make_mut(&mut self.fields).get_mut(at) {
                    *old = value;
                }
            }
            None => Arc::make_mut(&mut self.fields).push((field, value)),
        }
    }

    /// Sets some bits.
    pub fn put(&mut self, bits: Bits) {
        self.set(bits.field, self.get(bits.field).put(bits));
    }

    /// Sets some bits to a value, or forgets them.
    pub fn put_part(&mut self, part: Subfield, value: Option<u128>) {
        match value {
            Some(value) => {
                let value = part.place(value);
                self.put(Bits { field: part.field, value, mask: part.mask() });
            }
            None => {
                let old = self.get(part.field);
                let known = old.known & !part.mask();
                self.set(part.field, Value { value: old.value & known, known });
            }
        }
    }

    /// Copies some bits to as many others.
    pub fn copy(&mut self, from: Subfield, to: Subfield) {
        let old = self.get(from.field);
        let (value, known) = (from.take(old.value), from.take(old.known));
        self.put_part(to, None);
        let mask = to.place(known);
        self.put(Bits { field: to.field, value: to.place(value) & mask, mask });
    }

    /// Whether some bits have a value.
    pub fn has(&self, bits: Bits) -> Truth {
        let mine = self.get(bits.field);
        if (mine.value ^ bits.value) & bits.mask & mine.known != 0 {
            return Truth::No;
        }
        Truth::from((bits.mask & !mine.known == 0).then_some(true))
    }

    /// The port that it came in by.
    pub fn in_port(&self) -> Option<u32> {
        let port = self.known(OfField::InPort.whole())?;
        u32::try_from(port).ok()
    }

    /// As if no connection was looked up.
    pub fn clear_connection(&mut self) {
        use OfField as F;
        for field in [F::CtState, F::CtZone, F::CtMark, F::CtLabel] {
            self.set(field, Value::of(0));
        }
    }

    /// The VLAN of the outer tag; 0 where there is none, `None` where it is not known.
    pub fn vlan(&self) -> Option<u16> {
        let tag = self.get(OfField::VlanTci);
        let present = Bits { field: OfField::VlanTci, value: VLAN_PRESENT, mask: VLAN_PRESENT };
        match self.has(present) {
            Truth::No => Some(0),
            Truth::Maybe => None,
            Truth::Yes => {
                (tag.known & 0xfff == 0xfff).then(|| u16::try_from(tag.value & 0xfff).unwrap_or(0))
            }
        }
    }

    /// Gives the outer tag this VLAN, and a packet without a tag one.
    pub fn set_vlan(&mut self, vid: u16) {
        let value = VLAN_PRESENT | u128::from(vid) & 0xfff;
        self.put(Bits { field: OfField::VlanTci, value, mask: 0x1fff });
        self.know_priority();
    }

    /// A tag that is known to be new has priority 0.
    fn know_priority(&mut self) {
        let tag = self.get(OfField::VlanTci);
        if tag.known & 0xe000 == 0 {
            self.set(OfField::VlanTci, Value { known: tag.known | 0xe000, ..tag });
        }
    }

    /// The tags that there may be, the outer one first.
    pub fn tags(&self) -> Vec<Value> {
        let outer = self.get(OfField::VlanTci);
        std::iter::once(outer).chain(self.inner_tags.iter().rev().copied()).collect()
    }

    /// Puts a tag without a number around what there is.
    pub fn push_tag(&mut self) {
        let tag = self.get(OfField::VlanTci);
        // Without a tag there is nothing to put below.
        if tag.known & VLAN_PRESENT == 0 || tag.value & VLAN_PRESENT != 0 {
            self.inner_tags.push(tag);
        }
        self.set(OfField::VlanTci, Value::of(VLAN_PRESENT));
    }

    /// Forgets tags below the outer `most`: Open vSwitch knows two (`FLOW_MAX_VLAN_HEADERS`), and a
    /// third that is pushed makes it lose the innermost.
    pub fn keep_tags(&mut self, most: usize) {
        let more = (self.inner_tags.len() + 1).saturating_sub(most);
        self.inner_tags.drain(..more.min(self.inner_tags.len()));
    }

    /// Takes the outer tag away.
    pub fn pop_tag(&mut self) {
        let below = self.inner_tags.pop();
        self.set(OfField::VlanTci, below.unwrap_or(Value::of(0)));
    }

    /// Whether its lifetime is over at the next hop.
    pub(super) fn expires(&self) -> bool {
        self.known(OfField::IpTtl.whole()).is_some_and(|ttl| ttl <= 1)
    }

    /// Whether it is of an Ethertype.
    pub fn is_of(&self, eth_type: u16) -> Truth {
        Bits::of(OfField::EthType.whole(), u128::from(eth_type))
            .map_or(Truth::Maybe, |bits| self.has(bits))
    }
}

/// The number of a port, where it is one.
pub(super) fn number(port: &OfPort) -> Option<u32> {
    match port {
        OfPort::Number(number) => Some(*number),
        OfPort::Local => Some(OfPort::LOCAL),
        OfPort::Name(_) => None,
    }
}
