//! When things changed: ages and times of both captures, put on one time line.
//!
//! A flow tells since when it is set, a neighbour when it was changed last, a learnt address when it was
//! seen last, `ps` when a VM was started, OVN when it served a port, `uptime` when the host was started.
//! Ages are those of the moment at which their text was taken. Where a capture does not say when that
//! was, only the ages themselves are known.
mod ages;
mod clock;
mod wall;

use std::collections::BTreeMap;

use serde::Serialize;
use tapline_core::capture::HostId;
use tapline_core::records::Batch;
use tapline_core::records::libvirt::QemuProcess;
use tapline_core::span::Evidence;
use tapline_network::flows::Dump;

use super::change::{Change, HostDiff, Op};
use super::entity::{Class, Kind};
use super::side::Side;
use super::{Diff, counters};
use ages::Ages;
pub(super) use clock::{Clock, Run};

/// Seconds by which a time may be before the old capture and be told all the same: what is told of one
/// moment is printed one command after the other.
const SLACK: i64 = 120;
/// Flows that were set within so many seconds were set at once.
const AT_ONCE: i64 = 60;

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// The host was captured.
    Captured,
    /// The host was started.
    Boot,
    /// All flows of a bridge were set anew: Open vSwitch or what programs it was started.
    FlowsRenewed,
    /// Flows were set.
    FlowsSet,
    /// A neighbour was changed.
    Neighbour,
    /// An address was seen elsewhere.
    Seen,
    /// A VM was started.
    VmStarted,
    /// OVN finished a port.
    PortServed,
    /// The controller of OVN was started.
    ControllerStarted,
    /// A device lost its carrier or got it.
    Carrier,
    /// The copy of a router on this host became the active one, or no longer is.
    HaState,
}

impl Sort {
    /// The public name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Captured => "captured",
            Self::Boot => "boot",
            Self::FlowsRenewed => "flows-renewed",
            Self::FlowsSet => "flows-set",
            Self::Neighbour => "neighbour",
            Self::Seen => "seen",
            Self::VmStarted => "vm-started",
            Self::PortServed => "port-served",
            Self::ControllerStarted => "controller-started",
            Self::Carrier => "carrier",
            Self::HaState => "ha-state",
        }
    }
}

/// When something happened. Both ends are the same where it is known to the second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct When {
    /// Between which seconds since the epoch, where the capture says when it was taken.
    pub at: Option<[i64; 2]>,
    /// How many seconds before the capture, at the most and at the least.
    pub ago: Option<[i64; 2]>,
}

/// Something that happened at a known time.
#[derive(Clone, PartialEq, Debug)]
pub struct Event {
    /// The host, among those that are compared.
    pub host: usize,
    /// The side whose lines tell it: 0 the old, 1 the new.
    pub side: usize,
    /// What happened.
    pub sort: Sort,
    /// To what: a bridge, a VM, an address.
    pub subject: String,
    /// To how many things: flows. Or how many times: a carrier.
    pub many: u64,
    /// When.
    pub when: When,
    /// The line that says so, of several the first.
    pub place: Option<Evidence>,
    /// The change of that host that it dates.
    pub change: Option<usize>,
}

/// One host on both sides.
struct Dating<'d, 's, 'a> {
    at: usize,
    host: &'d HostDiff,
    /// The new side, whose lines tell.
    side: &'d Side<'s, 'a>,
    clocks: [Clock; 2],
    ages: Ages,
    renewed: Vec<Renewed>,
    events: &'d mut Vec<Event>,
}

/// A flow that was set.
struct FlowSet {
    age: i64,
    line: Evidence,
    /// The change that it belongs to.
    change: usize,
}

/// Bridges whose flows were all set anew at one moment.
struct Renewed {
    bridges: Vec<String>,
    /// Seconds since the first of them has its oldest flow, and the last one.
    age: i64,
    least: i64,
    /// How many flows there are.
    many: u64,
    /// The oldest.
    line: Evidence,
}

impl Renewed {
    fn join(&mut self, other: Self) {
        self.bridges.extend(other.bridges);
        self.least = self.least.min(other.least);
        self.many = self.many.saturating_add(other.many);
    }
}

/// What happened to all hosts, the earliest first. Empty where nothing but the captures is dated.
pub(super) fn line(diff: &Diff, old: &Side<'_, '_>, new: &Side<'_, '_>) -> Vec<Event> {
    let mut all = Vec::new();
    for (at, host) in diff.hosts.iter().enumerate() {
        let clocks = [Clock::of(old, host.old), Clock::of(new, host.new)];
        let ages = Ages::of(new, host.new);
        let mut dating =
            Dating { at, host, side: new, clocks, ages, renewed: Vec::new(), events: &mut all };
        dating.boot();
        dating.renewed(old);
        dating.changes();
        dating.vms();
        dating.served();
        dating.carriers();
        dating.routers();
    }
    if all.is_empty() {
        return all;
    }
    for (at, host) in diff.hosts.iter().enumerate() {
        let clocks = [Clock::of(old, host.old), Clock::of(new, host.new)];
        for (side, clock) in clocks.iter().enumerate() {
            let taken = clock.taken;
            all.extend(taken.map(|taken| Event {
                host: at,
                side,
                sort: Sort::Captured,
                subject: String::new(),
                many: 1,
                when: When { at: Some([taken, taken]), ago: Some([0, 0]) },
                place: None,
                change: None,
            }));
        }
    }
    // What has no date is told after what has, the oldest first.
    all.sort_by_key(|event| {
        let at = event.when.at.map_or(i64::MAX, |at| at[0]);
        let ago = event.when.ago.map_or(0, |ago| ago[0]);
        (at, event.side, std::cmp::Reverse(ago), event.sort, event.host, event.subject.clone())
    });
    all
}

impl Dating<'_, '_, '_> {
    /// Adds what the new side tells, unless it was so when the old capture was taken.
    fn add(&mut self, sort: Sort, subject: String, many: u64, when: When, place: Option<Evidence>) {
        self.add_of(sort, subject, many, when, place, None);
    }

    fn add_of(
        &mut self,
        sort: Sort,
        subject: String,
        many: u64,
        when: When,
        place: Option<Evidence>,
        change: Option<usize>,
    ) {
        if self.is_before(when) {
            return;
        }
        let host = self.at;
        self.events.push(Event { host, side: 1, sort, subject, many, when, place, change });
    }

    /// Whether something was so already when the old capture was taken.
    fn is_before(&self, when: When) -> bool {
        let both = self.clocks[0].taken.zip(when.at);
        both.is_some_and(|(old, at)| at[1].saturating_add(SLACK) < old)
    }

    /// When it was so many seconds before a text of the new side was taken.
    fn before(&self, text: Evidence, most: i64, least: i64) -> When {
        let now = self.clocks[1].at(self.side, text.source);
        let at = now.map(|now| [now.saturating_sub(most), now.saturating_sub(least)]);
        When { at, ago: Some([most, least]) }
    }

    /// When it was so many seconds before the clock of the new side was read.
    fn since(&self, most: i64, least: i64) -> When {
        let ago = |seconds: i64| self.clocks[1].ago(self.side, seconds);
        let at = ago(most).zip(ago(least)).map(|(from, to)| [from, to]);
        When { at, ago: Some([most, least]) }
    }

    fn boot(&mut self) {
        if self.clocks[0].run(&self.clocks[1]) != Run::Two {
            return;
        }
        let Some((uptime, line)) = self.clocks[1].uptime else { return };
        // Minutes are told.
        let when = self.before(line, uptime.saturating_add(60), uptime);
        self.add(Sort::Boot, String::new(), 1, when, Some(line));
    }

    /// Bridges whose oldest flow is younger than the old capture: those of one moment are told together.
    fn renewed(&mut self, old: &Side<'_, '_>) {
        let apart = self.clocks[0].taken.zip(self.clocks[1].taken);
        let apart = apart.map(|(old, new)| new.saturating_sub(old));
        let mut all: Vec<Renewed> = Vec::new();
        for bridge in self.side.network.ovs_bridges_of(self.host.new) {
            let bridge = bridge.name();
            let Some(now) = oldest(self.side, self.host.new, bridge) else { continue };
            let Some(was) = oldest(old, self.host.old, bridge) else { continue };
            // What is not set anew grows older, by the time that went by.
            let is_younger = apart.is_none_or(|apart| apart >= 0) && now.age < was.age;
            if is_younger || apart.is_some_and(|apart| now.age.saturating_add(SLACK) < apart) {
                all.push(now);
            }
        }
        all.sort_by(|a, b| (b.age, &a.bridges).cmp(&(a.age, &b.bridges)));
        for it in all {
            match self.renewed.last_mut() {
                Some(last) if last.age.saturating_sub(it.age) <= AT_ONCE => last.join(it),
                _ => self.renewed.push(it),
            }
        }
        for it in std::mem::take(&mut self.renewed) {
            let when = self.before(it.line, it.age, it.least);
            let bridges = it.bridges.join(", ");
            self.add(Sort::FlowsRenewed, bridges, it.many, when, Some(it.line));
            self.renewed.push(it);
        }
    }

    /// Changes whose lines tell an age.
    fn changes(&mut self) {
        let mut flows: BTreeMap<String, Vec<FlowSet>> = BTreeMap::new();
        for (at, change) in self.host.changes.iter().enumerate() {
            if change.class < Class::Dynamic {
                continue;
            }
            let mut open = vec![change];
            while let Some(change) = open.pop() {
                open.extend(&change.parts);
                self.learnt(at, change);
                if change.key.kind == Kind::Flow
                    && change.op != Op::Removed
                    && let Some(line) = change.best_places()[1]
                    && let Some(age) = self.ages.get(line)
                {
                    let all = flows.entry(change.key.place.clone()).or_default();
                    all.push(FlowSet { age, line, change: at });
                }
            }
        }
        for (bridge, all) in flows {
            self.flows(&bridge, all);
        }
    }

    /// Flows of one bridge: those that were set at once are one event.
    fn flows(&mut self, bridge: &str, mut all: Vec<FlowSet>) {
        all.retain(|flow| {
            // What was set with all others is told with them, what was set before was there.
            let is_told = self.renewed.iter().any(|it| {
                it.bridges.iter().any(|other| other == bridge)
                    && flow.age.saturating_add(AT_ONCE) >= it.age
            });
            !is_told && !self.is_before(self.before(flow.line, flow.age, flow.age))
        });
        all.sort_by_key(|flow| (std::cmp::Reverse(flow.age), flow.line.source, flow.line.span));
        let is_near = |a: &FlowSet, b: &FlowSet| a.age.saturating_sub(b.age) <= AT_ONCE;
        for set in all.chunk_by(is_near) {
            let (Some(first), Some(last)) = (set.first(), set.last()) else { continue };
            let when = self.before(first.line, first.age, last.age);
            let many = u64::try_from(set.len()).unwrap_or(u64::MAX);
            let is_one = set.iter().all(|flow| flow.change == first.change);
            let change = is_one.then_some(first.change);
            let bridge = bridge.to_owned();
            self.add_of(Sort::FlowsSet, bridge, many, when, Some(first.line), change);
        }
    }

    /// A neighbour that was changed, an address that was learnt elsewhere.
    fn learnt(&mut self, at: usize, change: &Change) {
        let sort = match change.key.kind {
            Kind::Neighbour => Sort::Neighbour,
            Kind::Fdb => Sort::Seen,
            _ => return,
        };
        if change.op == Op::Removed || change.class < Class::Dynamic {
            return;
        }
        let Some(line) = change.places[1] else { return };
        let Some(age) = self.ages.get(line) else { return };
        let when = self.before(line, age, age);
        self.add_of(sort, change.name.clone(), 1, when, Some(line), Some(at));
    }

    /// VMs whose process was started after the old capture.
    fn vms(&mut self) {
        let (Some(wall), side) = (self.clocks[1].wall(), self.side) else { return };
        let Some(old) = self.clocks[0].taken else { return };
        let mut told: BTreeMap<String, (When, Evidence)> = BTreeMap::new();
        for (source, batch) in side.texts(self.host.new) {
            let Batch::QemuProcesses(processes) = batch else { continue };
            for it in processes {
                let Some(name) = name_of(it) else { continue };
                let Some(started) = &it.started else { continue };
                let Some((from, to)) = wall::started(started, wall) else { continue };
                let ago = |at: i64| self.clocks[1].since_wall(at).unwrap_or(0);
                let when = self.since(ago(from), ago(to));
                if when.at.is_none_or(|at| at[0] <= old) {
                    continue;
                }
                // Of several listings the one that tells the second.
                let is_exact = from == to;
                let line = Evidence { source: source.id, span: it.at };
                if is_exact || !told.contains_key(name) {
                    told.insert(name.to_owned(), (when, line));
                }
            }
        }
        for (name, (when, line)) in told {
            let change = self.host.changes.iter().position(|change| {
                change.key.kind == Kind::Vm
                    && change.key.id == name
                    && change.class >= Class::Dynamic
            });
            self.add_of(Sort::VmStarted, name, 1, when, Some(line), change);
        }
    }

    /// Times that OVN notes, in milliseconds since the epoch.
    fn served(&mut self) {
        for (at, change) in self.host.changes.iter().enumerate() {
            let mut open = vec![change];
            while let Some(change) = open.pop() {
                open.extend(&change.parts);
                for it in &change.differences {
                    let sort = if it.name.ends_with("ovn-installed-ts") {
                        Sort::PortServed
                    } else if it.name.ends_with("ovn-startup-ts") {
                        Sort::ControllerStarted
                    } else {
                        continue;
                    };
                    let noted = it.after.as_ref().and_then(|text| text.parse::<i64>().ok());
                    let Some(ago) = noted.and_then(|ms| self.clocks[1].since(ms / 1000)) else {
                        continue;
                    };
                    let head = self.host.changes.get(at).map(|head| head.class);
                    let of = head.is_some_and(|class| class >= Class::Dynamic).then_some(at);
                    let when = self.since(ago, ago);
                    self.add_of(sort, change.name.clone(), 1, when, it.places[1], of);
                }
            }
        }
    }

    /// Copies of routers that became the active ones, or no longer are.
    fn routers(&mut self) {
        for (at, change) in self.host.changes.iter().enumerate() {
            if change.key.kind == Kind::HaRouter && change.op == Op::Changed {
                let state = change.difference("state").and_then(|it| it.after.clone());
                let subject = format!("{} is {}", change.name, state.unwrap_or_default());
                let place = change.best_places()[1];
                self.add_of(Sort::HaState, subject, 1, self.between(), place, Some(at));
            }
        }
    }

    /// What nothing dates happened between the captures.
    fn between(&self) -> When {
        let both = self.clocks[0].taken.zip(self.clocks[1].taken);
        When { at: both.map(|(old, new)| [old, new]), ago: None }
    }

    /// Devices that lost their carrier between the captures.
    fn carriers(&mut self) {
        for rate in &self.host.rates {
            if rate.counter != counters::CARRIER {
                continue;
            }
            let change = self
                .host
                .changes
                .iter()
                .position(|change| change.key == rate.key && change.class >= Class::Dynamic);
            let when = self.between();
            let (name, place) = (rate.name.clone(), rate.places[1]);
            self.add_of(Sort::Carrier, name, rate.by, when, place, change);
        }
    }
}

fn name_of(it: &QemuProcess) -> Option<&str> {
    it.name.as_ref().map(|name| name.as_str())
}

fn seconds(age: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "just bounded")]
    (0.0..1e10).contains(&age).then_some(age as i64)
}

/// The oldest flow of a bridge that was not learnt.
fn oldest(side: &Side<'_, '_>, host: HostId, bridge: &str) -> Option<Renewed> {
    let dumps = side.network.flows().of(host, bridge);
    let is_aged =
        |dump: &&Dump<'_>| dump.flows.iter().any(|flow| flow.duration.is_some_and(|age| age > 0.0));
    let dump = dumps.iter().find(is_aged)?;
    let lasting = || dump.flows.iter().filter(|flow| flow.hard_timeout.is_none());
    let aged = lasting().filter_map(|flow| Some((seconds(flow.duration?)?, dump.line(flow))));
    let (age, line) = aged.max_by_key(|(age, _)| *age)?;
    let many = u64::try_from(lasting().count()).unwrap_or(u64::MAX);
    Some(Renewed { bridges: vec![bridge.to_owned()], age, least: age, many, line })
}
