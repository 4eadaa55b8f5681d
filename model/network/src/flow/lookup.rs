//! Which flow of a table a packet matches.
use std::collections::BTreeMap;

use tapline_core::records::openflow::{Action, Bits, Flow, FlowTest, OfField, TableRef};

use super::{FlowPacket, Tables};
use crate::truth::Truth;

/// A flow that the packet may match; `None` is that it matches none.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) flow: Option<&'a Flow>,
    /// Another flow of the same priority matches as well.
    pub(super) ambiguous: bool,
}

impl<'a> Tables<'a> {
    /// The flows that a packet may match, the most likely to decide first. One candidate is the
    /// answer.
    pub(super) fn lookup(&self, table: &TableRef, packet: &FlowPacket) -> Vec<Candidate<'a>> {
        let flows = self.flows.get(table).map_or(&[][..], Vec::as_slice);
        let mut found: Vec<Candidate<'a>> = Vec::new();
        let mut rest = flows;
        while let Some(first) = rest.first() {
            let priority = first.priority.value;
            let end = rest.partition_point(|flow| flow.priority.value >= priority);
            let (same, lower) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            rest = lower;
            let before = found.len();
            let hits = apart(self.matching(same, packet));
            let sure = hits.iter().filter(|(_, truth)| *truth == Truth::Yes).count();
            let ambiguous = sure > 1;
            let hits = hits.into_iter();
            found.extend(hits.map(|(flow, _)| Candidate { flow: Some(flow), ambiguous }));
            if sure > 0 {
                // Whether it matches the flow before makes no difference where both do the same.
                if let [.., last] = found.get(..before).unwrap_or_default()
                    && let [only] = found.get(before..).unwrap_or_default()
                    && last.flow.zip(only.flow).is_some_and(|(one, other)| do_the_same(one, other))
                {
                    found.remove(before - 1);
                }
                return found;
            }
        }
        found.push(Candidate { flow: None, ambiguous: false });
        found
    }

    /// The flows of one priority that the packet matches, or may match.
    fn matching(&self, flows: &[&'a Flow], packet: &FlowPacket) -> Vec<(&'a Flow, Truth)> {
        let mut conjunctions = Conjunctions::default();
        let mut hits = Vec::new();
        let mut waiting = Vec::new();
        for flow in flows {
            let truth = self.matches(flow, packet);
            if truth == Truth::No {
                continue;
            }
            if conjunctions.add(flow, truth) {
                // It only counts together with others.
            } else if wanted_conjunction(flow).is_some() {
                waiting.push((*flow, truth));
            } else {
                hits.push((*flow, truth));
            }
        }
        for (flow, truth) in waiting {
            let id = wanted_conjunction(flow);
            let truth = truth.and(id.map_or(Truth::Maybe, |id| conjunctions.truth(id)));
            if truth != Truth::No {
                hits.push((flow, truth));
            }
        }
        hits
    }

    /// Whether a packet matches a flow, apart from its `conj_id`.
    pub(super) fn matches(&self, flow: &Flow, packet: &FlowPacket) -> Truth {
        let mut all = Truth::Yes;
        for one in &flow.matches {
            all = all.and(self.meets(&one.test, packet));
            if all == Truth::No {
                break;
            }
        }
        all
    }

    fn meets(&self, test: &FlowTest, packet: &FlowPacket) -> Truth {
        match test {
            FlowTest::Bits(bits) if bits.field == OfField::ConjId => Truth::Yes,
            FlowTest::Bits(bits) => packet.has(*bits),
            test @ FlowTest::Protocol { .. } => {
                test.bits().map(|bits| packet.has(bits)).fold(Truth::Yes, Truth::and)
            }
            FlowTest::Port(name) => {
                let number = self.ports.get(name).copied();
                let both = number.zip(packet.in_port());
                Truth::from(both.map(|(wanted, port)| wanted == port))
            }
            FlowTest::Unknown => Truth::Maybe,
        }
    }

    /// The value of the one bit that keeps a packet from matching a flow, where all else of the flow
    /// is known to match; `None` where more than one bit is open, or none.
    pub(super) fn misses_by(&self, flow: &Flow, packet: &FlowPacket) -> Option<Bits> {
        if is_clause(flow) || wanted_conjunction(flow).is_some() {
            return None;
        }
        let mut missing = None;
        for one in &flow.matches {
            if self.meets(&one.test, packet) == Truth::Yes {
                continue;
            }
            let mut any = false;
            for bits in one.test.bits().filter(|bits| packet.has(*bits) != Truth::Yes) {
                let open = bits.mask & !packet.get(bits.field).known;
                let is_one = packet.has(bits) == Truth::Maybe && open.is_power_of_two();
                if !is_one || missing.is_some() {
                    return None;
                }
                any = true;
                missing = Some(Bits { field: bits.field, value: open & !bits.value, mask: open });
            }
            if !any {
                return None;
            }
        }
        missing
    }
}

/// The flows of one priority that do different things. A flow that the packet surely matches
/// stands for all that do the same: the switch may take either, and nothing comes of it.
fn apart(hits: Vec<(&Flow, Truth)>) -> Vec<(&Flow, Truth)> {
    let mut kept: Vec<(&Flow, Truth)> = Vec::with_capacity(hits.len());
    let (sure, open): (Vec<_>, Vec<_>) = hits.into_iter().partition(|hit| hit.1 == Truth::Yes);
    for (flow, truth) in sure.into_iter().chain(open) {
        let is_sure = |other: &&(&Flow, Truth)| other.1 == Truth::Yes;
        if !kept.iter().filter(is_sure).any(|(other, _)| do_the_same(other, flow)) {
            kept.push((flow, truth));
        }
    }
    kept
}

/// Whether two flows do the same with a packet, in the same words.
fn do_the_same(one: &Flow, other: &Flow) -> bool {
    one.actions.len() == other.actions.len()
        && one
            .actions
            .iter()
            .zip(&other.actions)
            .all(|(one, other)| one.text.value == other.text.value)
}

/// Whether a flow is a choice within a conjunction.
fn is_clause(flow: &Flow) -> bool {
    flow.actions.iter().any(|action| matches!(action.action, Action::Conjunction { .. }))
}

/// The `conj_id` that a flow asks for.
fn wanted_conjunction(flow: &Flow) -> Option<u32> {
    let id = flow.wants(OfField::ConjId.whole())?;
    u32::try_from(id.value).ok()
}

/// Which clauses of conjunctions are met.
#[derive(Default)]
struct Conjunctions {
    /// By number: how many clauses, and what is known of each.
    all: BTreeMap<u32, (u8, BTreeMap<u8, Truth>)>,
}

impl Conjunctions {
    /// Notes the clauses that a flow is a choice of; whether it is any.
    fn add(&mut self, flow: &Flow, truth: Truth) -> bool {
        let mut any = false;
        for action in &flow.actions {
            let Action::Conjunction { id, clause, of } = action.action else { continue };
            any = true;
            let (clauses, known) = self.all.entry(id).or_default();
            *clauses = of;
            let known = known.entry(clause).or_insert(Truth::No);
            *known = known.or(truth);
        }
        any
    }

    fn truth(&self, id: u32) -> Truth {
        let Some((clauses, known)) = self.all.get(&id) else { return Truth::No };
        (1..=*clauses)
            .map(|clause| known.get(&clause).copied().unwrap_or(Truth::No))
            .fold(Truth::Yes, Truth::and)
    }
}
