//! The machine that walks tables: a list of worlds, each with its own packet and its own stack of
//! actions that are still to be done. Nothing is recursive, so no input can exhaust the stack.
use std::collections::VecDeque;

use tapline_core::Name;
use tapline_core::records::filter::Translation;
use tapline_core::records::openflow::{
    Action, Assignment, Bits, Bucket, Ct, Flow, FlowAction, FlowTest, GroupKind, Nat, Nesting,
    OfField, OfGroup, OfPort, Subfield, TableRef, Zone,
};
use tapline_core::span::Span;

use super::packet::number;
use super::{Committed, Effect, FlowPacket, Limits, Path, Sink, Step, Stop, Tables, Value};
use crate::truth::Truth;

/// Bits of `ct_state`.
const TRACKED: u128 = 32;
const NEW: u128 = 1;
const ESTABLISHED: u128 = 2;
const REPLY: u128 = 8;
/// Packets that the connection tracker gives back, in one path.
const MAX_RECIRCULATED: u32 = 64;
/// Actions that are waiting, in one path.
const MAX_WAITING: usize = 4096;

pub(super) struct Machine<'t, 'a> {
    tables: &'t Tables<'a>,
    limits: Limits,
    lookups: u32,
    /// Worlds that are not at their end.
    open: VecDeque<World<'a>>,
    done: Vec<Path<'a>>,
}

/// One path on its way.
#[derive(Clone)]
struct World<'a> {
    path: Path<'a>,
    packet: FlowPacket,
    /// What is to be done, the next one last.
    todo: Vec<Todo<'a>>,
    stack: Vec<Option<u128>>,
    /// What `write_actions` wrote.
    written: Vec<&'a FlowAction>,
    recirculated: u32,
}

/// Something that is to be done.
#[derive(Clone)]
enum Todo<'a> {
    /// The rest of the actions of a flow of this table.
    Actions(&'a [FlowAction], TableRef, u32),
    /// Look up a table: as if from a port, so deep.
    Lookup(TableRef, Option<Name>, Option<u32>, u32),
    /// A copy was dealt with: the packet is as it was before.
    Restore(Box<FlowPacket>),
    /// The packet comes back from the connection tracker.
    Recirculate(TableRef, Box<FlowPacket>),
    /// The end of the tables: what was written is done.
    Finish,
}

impl<'t, 'a> Machine<'t, 'a> {
    pub(super) fn new(tables: &'t Tables<'a>, limits: Limits) -> Self {
        Self { tables, limits, lookups: 0, open: VecDeque::new(), done: Vec::new() }
    }

    pub(super) fn run(mut self, packet: &FlowPacket) -> Vec<Path<'a>> {
        let path = Path {
            steps: Vec::new(),
            effects: Vec::new(),
            stop: None,
            certain: true,
            made: Vec::new(),
        };
        let lookup = Todo::Lookup(Flow::DEFAULT_TABLE, None, None, 0);
        self.open.push_back(World {
            path,
            packet: packet.clone(),
            todo: vec![Todo::Finish, lookup],
            stack: Vec::new(),
            written: Vec::new(),
            recirculated: 0,
        });
        while let Some(mut world) = self.open.pop_front() {
            while let Some(todo) = world.todo.pop() {
                self.step(&mut world, todo);
                if world.path.stop.is_some() {
                    break;
                }
            }
            self.done.push(world.path);
        }
        self.done
    }

    fn step(&mut self, world: &mut World<'a>, todo: Todo<'a>) {
        if world.todo.len() > MAX_WAITING {
            world.path.stop = Some(Stop::Limit("more actions than are waited for"));
            return;
        }
        match todo {
            Todo::Actions(actions, table, depth) => {
                let Some((action, rest)) = actions.split_first() else { return };
                // The rest of these actions is not done (`compose_dec_ttl`,
                // ofproto/ofproto-dpif-xlate.c).
                if matches!(action.action, Action::DecTtl) && world.packet.expires() {
                    world.sink(Sink::Expired, action.text.span);
                    return;
                }
                if !rest.is_empty() {
                    world.todo.push(Todo::Actions(rest, table.clone(), depth));
                }
                self.act(world, action, &table, depth);
            }
            Todo::Lookup(table, name, port, depth) => {
                self.lookup(world, table, name, port, depth, false);
            }
            Todo::Restore(packet) => world.packet = *packet,
            Todo::Recirculate(table, packet) => {
                world.packet = *packet;
                world.todo.push(Todo::Finish);
                self.lookup(world, table, None, None, 0, true);
            }
            Todo::Finish => {
                for action in std::mem::take(&mut world.written).into_iter().rev() {
                    let one = std::slice::from_ref(action);
                    world.todo.push(Todo::Actions(one, Flow::DEFAULT_TABLE, 0));
                }
            }
        }
    }

    /// Looks a table up; the packet looks as if it came from `port`.
    fn lookup(
        &mut self,
        world: &mut World<'a>,
        table: TableRef,
        name: Option<Name>,
        port: Option<u32>,
        depth: u32,
        recirculated: bool,
    ) {
        self.lookups += 1;
        if self.lookups > self.limits.lookups {
            world.path.stop = Some(Stop::Limit("more tables than are looked up for one packet"));
            return;
        }
        if depth > self.limits.depth {
            world.path.stop = Some(Stop::Limit("the packet goes back to tables without an end"));
            return;
        }
        let port = port.or_else(|| self.tables.ports.get(&name.clone()?).copied());
        let seen = match (port, name) {
            (Some(port), _) => {
                let mut seen = world.packet.clone();
                seen.set(OfField::InPort, Value::of(u128::from(port)));
                Some(seen)
            }
            (None, Some(_)) => {
                let mut seen = world.packet.clone();
                seen.set(OfField::InPort, Value::UNKNOWN);
                Some(seen)
            }
            (None, None) => None,
        };
        let candidates = self.tables.lookup(&table, seen.as_ref().unwrap_or(&world.packet));
        let recorded = self
            .limits
            .record
            .then(|| Box::new(seen.clone().unwrap_or_else(|| world.packet.clone())));
        let assumed = candidates.len() > 1;
        let own_port = seen.is_none();
        let mut first = None;
        // What is known of a packet that does not match the flows before.
        let mut missed: Vec<(u32, Bits)> = Vec::new();
        for candidate in candidates {
            let priority = candidate.flow.map(|flow| flow.priority.value);
            let higher = |of: u32| priority.is_none_or(|priority| of > priority);
            let mut packet = None;
            for (_, bits) in missed.iter().filter(|(of, _)| higher(*of)) {
                packet.get_or_insert_with(|| world.packet.clone()).put(*bits);
            }
            if let Some(flow) = candidate.flow.filter(|_| assumed && own_port) {
                let packet = packet.as_ref().unwrap_or(&world.packet);
                if self.tables.matches(flow, packet) == Truth::No {
                    continue;
                }
                let bit = self.tables.misses_by(flow, packet);
                missed.extend(bit.map(|bit| (flow.priority.value, bit)));
            }
            let mut other = match first {
                None => world.clone(),
                Some(_) if self.open.len() + self.done.len() + 1 >= self.limits.paths => {
                    self.give_up();
                    break;
                }
                Some(_) => world.clone(),
            };
            if let Some(packet) = packet {
                other.packet = packet;
            }
            other.path.certain &= !assumed;
            other.path.steps.push(Step {
                table: table.clone(),
                flow: candidate.flow,
                assumed,
                ambiguous: candidate.ambiguous,
                recirculated,
                seen: recorded.clone(),
            });
            if let Some(flow) = candidate.flow {
                other.assume(flow, own_port);
                other.todo.push(Todo::Actions(&flow.actions, table.clone(), depth));
            }
            match first {
                None => first = Some(other),
                Some(_) => self.open.push_back(other),
            }
        }
        if let Some(first) = first {
            *world = first;
        }
    }

    /// Says that more paths would have to be walked than are.
    fn give_up(&mut self) {
        let said = |path: &Path<'_>| matches!(path.stop, Some(Stop::Limit(_)));
        if !self.done.iter().any(said) {
            self.done.push(Path {
                steps: Vec::new(),
                effects: Vec::new(),
                stop: Some(Stop::Limit("more paths than are walked for one packet")),
                certain: false,
                made: Vec::new(),
            });
        }
    }

    fn act(&mut self, world: &mut World<'a>, action: &'a FlowAction, table: &TableRef, depth: u32) {
        let at = action.text.span;
        match &action.action {
            Action::Drop | Action::Aside | Action::Conjunction { .. } | Action::Learn(_) => {}
            // What is too much is dropped; a single packet is not.
            Action::Meter { .. } => {}
            Action::Output { port } | Action::Enqueue { port } => self.output(world, port, at),
            Action::OutputTo { field } => match world.packet.known(*field) {
                Some(port) => {
                    let port = OfPort::Number(u32::try_from(port).unwrap_or(u32::MAX));
                    self.output(world, &port, at);
                }
                None => world.sink(Sink::Unknown(field.to_string().into()), at),
            },
            Action::Bundle { .. } => world.sink(Sink::Unknown(action.text.value.clone()), at),
            Action::Local => self.output(world, &OfPort::Local, at),
            Action::InPort => world.sink(Sink::InPort, at),
            Action::Normal => world.sink(Sink::Normal, at),
            Action::Flood => world.sink(Sink::Flood, at),
            Action::All => world.sink(Sink::All, at),
            Action::Controller => {
                let asked = crate::trace::asked_of_controller(&action.text.value);
                world.sink(Sink::Controller(asked), at);
            }
            Action::Resubmit { port, table: to, .. } => {
                let to = to.as_ref().unwrap_or(table);
                let (name, port) = match port {
                    Some(OfPort::Name(name)) => (Some(name.clone()), None),
                    Some(port) => (None, number(port)),
                    None => (None, None),
                };
                world.todo.push(Todo::Lookup(to.clone(), name, port, deeper(depth, table, to)));
            }
            Action::Goto { table: to } => {
                world.todo.push(Todo::Lookup(to.clone(), None, None, deeper(depth, table, to)));
            }
            Action::Group { id } => self.group(world, *id, table, depth, at),
            Action::Nested { how, actions } => match how {
                Nesting::Clone => world.clone_for(actions, table, depth),
                Nesting::Apply => world.todo.push(Todo::Actions(actions, table.clone(), depth)),
                Nesting::Write => world.written.extend(actions),
            },
            Action::ClearActions => world.written.clear(),
            Action::Ct(ct) => world.track(ct),
            Action::Exit => {
                // No further action of this flow or of those that led to it.
                world.todo.retain(|todo| !matches!(todo, Todo::Actions(..) | Todo::Lookup(..)));
            }
            other => {
                if !world.rewrite(other) {
                    world.path.stop = Some(Stop::Action(action.text.value.clone(), at));
                }
            }
        }
    }

    fn output(&self, world: &mut World<'a>, port: &OfPort, at: Span) {
        let number = match port {
            OfPort::Name(name) => self.tables.ports.get(name).copied(),
            _ => number(port),
        };
        let sink = match (number, port) {
            (Some(number), _) if world.packet.in_port() == Some(number) => Sink::Suppressed(number),
            (Some(number), _) => Sink::Port(number),
            (None, OfPort::Name(name)) => Sink::Named(name.clone()),
            (None, _) => Sink::Unknown(port.to_string().into()),
        };
        world.sink(sink, at);
    }

    fn group(&mut self, world: &mut World<'a>, id: u32, table: &TableRef, depth: u32, at: Span) {
        let Some(group) = self.tables.groups.get(&id).copied() else {
            world.path.stop = Some(Stop::Group(id, at));
            return;
        };
        // A group may name another, and that one this.
        let depth = depth + 1;
        if depth > self.limits.depth {
            world.path.stop = Some(Stop::Limit("groups within groups without an end"));
            return;
        }
        if group.group_type == GroupKind::All {
            for bucket in group.buckets.iter().rev() {
                world.clone_for(&bucket.actions, table, depth);
            }
            return;
        }
        let buckets = self.buckets(group);
        let several = buckets.len() > 1;
        let before = world.clone();
        for (place, bucket) in buckets.into_iter().enumerate() {
            if place == 0 {
                world.path.certain &= !several;
                world.clone_for(&bucket.actions, table, depth);
            } else if self.open.len() + self.done.len() + 1 >= self.limits.paths {
                self.give_up();
                break;
            } else {
                let mut other = before.clone();
                other.path.certain = false;
                other.clone_for(&bucket.actions, table, depth);
                self.open.push_back(other);
            }
        }
    }

    /// The buckets of a group of which one is taken: of `fast_failover` none behind the first that
    /// lives, and none that does not.
    fn buckets(&self, group: &'a OfGroup) -> Vec<&'a Bucket> {
        if group.group_type != GroupKind::FastFailover {
            return group.buckets.iter().collect();
        }
        let mut all = Vec::new();
        for bucket in &group.buckets {
            let number = match &bucket.watch_port {
                Some(OfPort::Name(name)) => self.tables.ports.get(name).copied(),
                Some(port) => number(port),
                None => None,
            };
            let lives = number.and_then(|number| self.tables.links.get(&number).copied());
            if lives != Some(false) {
                all.push(bucket);
            }
            if lives == Some(true) {
                break;
            }
        }
        all
    }
}

/// Only a table that is not behind this one counts.
fn deeper(depth: u32, from: &TableRef, to: &TableRef) -> u32 {
    match (from.number(), to.number()) {
        (Some(from), Some(to)) if to > from => depth,
        _ => depth + 1,
    }
}

impl<'a> World<'a> {
    fn sink(&mut self, sink: Sink, action: Span) {
        self.path.effects.push(Effect { sink, packet: self.packet.clone(), action });
    }

    /// Does actions with a copy of the packet.
    fn clone_for(&mut self, actions: &'a [FlowAction], table: &TableRef, depth: u32) {
        self.todo.push(Todo::Restore(Box::new(self.packet.clone())));
        self.todo.push(Todo::Actions(actions, table.clone(), depth));
    }

    /// The packet matches a flow: what that says of it is known from here on.
    fn assume(&mut self, flow: &Flow, own_port: bool) {
        for one in &flow.matches {
            if matches!(one.test, FlowTest::Unknown | FlowTest::Port(_)) {
                continue;
            }
            for bits in one.test.bits() {
                let foreign = bits.field == OfField::InPort && !own_port;
                if bits.field != OfField::ConjId && !foreign {
                    self.packet.put(bits);
                }
            }
        }
    }

    /// Changes the packet; whether the action is understood.
    fn rewrite(&mut self, action: &Action) -> bool {
        let packet = &mut self.packet;
        match action {
            Action::ModVlan { vid } => packet.set_vlan(*vid),
            Action::ModVlanPcp { pcp } => {
                let part = Subfield { field: OfField::VlanTci, low: 12, bits: 4 };
                packet.put_part(part, Some(u128::from(*pcp) << 1 | 1));
            }
            Action::StripVlan => packet.pop_tag(),
            Action::PushVlan { .. } => {
                packet.push_tag();
                packet.keep_tags(2);
            }
            Action::SetTunnel { id } => packet.set(OfField::TunId, Value::of(u128::from(*id))),
            Action::SetField(set) | Action::Load(set) | Action::WriteMetadata(set) => {
                let Assignment { bits: Some(bits) } = set else { return false };
                packet.put(*bits);
            }
            Action::Move { from, to } => packet.copy(*from, *to),
            Action::Push { field } => self.stack.push(packet.known(*field)),
            Action::Pop { field } => {
                // An empty stack leaves the field as it is.
                if let Some(value) = self.stack.pop() {
                    packet.put_part(*field, value);
                }
            }
            Action::Hash { to } => packet.put_part(*to, None),
            Action::CtClear => packet.clear_connection(),
            Action::CheckPktLarger { size, to } => {
                let larger = packet.size.map(|bytes| u128::from(bytes > *size));
                packet.put_part(*to, larger);
            }
            Action::DecTtl => {
                let ttl = packet.known(OfField::IpTtl.whole());
                packet.put_part(OfField::IpTtl.whole(), ttl.map(|ttl| ttl.saturating_sub(1)));
            }
            _ => return false,
        }
        true
    }

    /// `ct(…)`: what is no IP packet is left alone.
    fn track(&mut self, ct: &'a Ct) {
        let four = self.packet.is_of(0x0800);
        let ip = four.or(self.packet.is_of(0x86dd));
        if ip == Truth::No {
            return;
        }
        if ct.commit {
            let zone = self.packet.zone_of(ct);
            let mut kept = self.packet.clone();
            kept.look_up(ct, four);
            let committed = Committed::new(zone, &self.packet, &kept);
            self.path.made.push(committed.clone());
            self.packet.committed.push(committed);
        }
        if let Some(table) = &ct.table {
            self.recirculated += 1;
            if self.recirculated > MAX_RECIRCULATED {
                self.path.stop = Some(Stop::Limit("the packet goes round the connection tracker"));
                return;
            }
            let mut copy = self.packet.clone();
            let told = self.packet.take_state();
            copy.next_state = told;
            copy.look_up(ct, four);
            (copy.next_state, copy.later_states) =
                (self.packet.next_state, self.packet.later_states.clone());
            self.path.certain &= ip == Truth::Yes;
            // It comes back when all else is done.
            self.todo.insert(0, Todo::Recirculate(table.clone(), Box::new(copy)));
        }
        self.packet.clear_connection();
    }
}

impl FlowPacket {
    /// The zone in which its connection is looked up.
    fn zone_of(&self, ct: &Ct) -> Option<u128> {
        match ct.zone {
            Zone::Number(zone) => Some(u128::from(zone)),
            Zone::Field(field) => self.known(field),
            Zone::Unknown => None,
        }
    }

    /// What the connection tracker makes of the packet.
    fn look_up(&mut self, ct: &Ct, four: Truth) {
        let zone = self.zone_of(ct);
        // What is tracked already decides, whatever the question takes for granted.
        let entry = match zone {
            Some(zone) => self.tracked.iter().find(|one| u128::from(one.zone) == zone).cloned(),
            None => None,
        };
        let open = zone.is_none() && !self.tracked.is_empty();
        let itself = self.answers_itself(zone);
        let told = match &entry {
            Some(entry) => entry.state,
            None if open => None,
            None if itself.is_some() => Some(ESTABLISHED | REPLY),
            None => self.next_state,
        };
        let state = match told {
            Some(state) => Value::of(state | TRACKED),
            None => Value { value: TRACKED, known: TRACKED },
        };
        self.set(OfField::CtState, state);
        self.put_part(OfField::CtZone.whole(), zone);
        // A new connection has neither mark nor label.
        let new = told.is_some_and(|state| state & NEW != 0);
        let answered = itself.or_else(|| self.answered(zone));
        for field in [OfField::CtMark, OfField::CtLabel] {
            let value = match &entry {
                Some(entry) if field == OfField::CtMark => entry.mark.map(u128::from),
                Some(_) if !new => None,
                None if open => None,
                _ if new => Some(0),
                _ => match &answered {
                    Some(committed) => committed.value(field),
                    None => self.next_mark,
                },
            };
            self.put_part(field.whole(), value);
        }
        for action in &ct.exec {
            match &action.action {
                Action::SetField(Assignment { bits: Some(bits) })
                | Action::Load(Assignment { bits: Some(bits) }) => self.put(*bits),
                Action::Move { from, to } => self.copy(*from, *to),
                _ => {
                    for field in [OfField::CtMark, OfField::CtLabel] {
                        self.put_part(field.whole(), None);
                    }
                }
            }
        }
        match &ct.nat {
            Some(Nat::Src(to)) => self.translate(to, four, true),
            Some(Nat::Dst(to)) => self.translate(to, four, false),
            // A new connection was not translated before.
            Some(Nat::Known) if entry.as_ref().is_some_and(|entry| !entry.translated) => {}
            Some(Nat::Known) if new || self.untranslate(zone) => {}
            Some(Nat::Known) => {
                use OfField as F;
                for field in [F::IpSrc, F::IpDst, F::Ipv6Src, F::Ipv6Dst, F::TpSrc, F::TpDst] {
                    self.put_part(field.whole(), None);
                }
            }
            None => {}
        }
    }

    fn translate(&mut self, to: &str, four: Truth, source: bool) {
        use OfField as F;
        // Its ends are others now: what is tracked of them is not known.
        self.tracked.clear();
        let to = Translation::of(to);
        let (address, port) = match (four, source) {
            (Truth::Yes, true) => (F::IpSrc, F::TpSrc),
            (Truth::Yes, false) => (F::IpDst, F::TpDst),
            (_, true) => (F::Ipv6Src, F::TpSrc),
            (_, false) => (F::Ipv6Dst, F::TpDst),
        };
        let value = to.address.map(|address| match address {
            std::net::IpAddr::V4(four) => u128::from(u32::from(four)),
            std::net::IpAddr::V6(six) => u128::from(six),
        });
        self.put_part(address.whole(), value);
        if let Some(ports) = to.ports {
            let one = (ports.start() == ports.end()).then(|| u128::from(*ports.start()));
            self.put_part(port.whole(), one);
        }
    }
}
