//! Which captures are of one machine: the one definition for the whole program.
//!
//! [`Marks::compare`] judges two captures; here its verdicts are carried on: if a is b and b is c, a
//! is c. What a person says comes first, then the stronger marks before the weaker; two groups that
//! hold captures of two machines are never joined. The result does not depend on the order of the
//! inputs.
use std::collections::{BTreeMap, BTreeSet};

use petgraph::unionfind::UnionFind;
use tapline_core::Name;
use tapline_core::capture::{Host, HostId, HostKey};
use tapline_core::host::{Kinship, Mark, Marks};
use tapline_core::ids::{Mac, Netns};

use crate::coverage::Topic;
use crate::graph::{NetdevKind, NodeData, Topology};

/// Captures that share one mark and are compared each with each; of more, neighbours are.
const EACH_WITH_EACH: usize = 64;

/// A machine: the first host that shows it stands for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MachineId(HostId);

/// The machines of all hosts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Machines {
    of: Vec<MachineId>,
    /// The captures of each machine, from the oldest to the newest.
    captures: BTreeMap<MachineId, Vec<HostId>>,
    /// Captures of which a later one is there, or may be.
    outdated: BTreeSet<HostId>,
    /// Captures each of which may be the last of its machine: their times do not tell.
    unordered: BTreeSet<HostId>,
}

impl Machines {
    /// The machine that a host is.
    pub fn of(&self, host: HostId) -> MachineId {
        self.of.get(host.0 as usize).copied().unwrap_or(MachineId(host))
    }

    /// Whether two hosts are one machine.
    pub fn are_one(&self, a: HostId, b: HostId) -> bool {
        self.of(a) == self.of(b)
    }

    /// Whether the same machine was captured again, later, or at a time that is known where that of
    /// this capture is not. What such a capture says was true then: of what other hosts say, it proves
    /// nothing.
    pub fn is_outdated(&self, host: HostId) -> bool {
        self.outdated.contains(&host)
    }

    /// Whether another capture of the machine is or may be a later one.
    pub fn may_be_outdated(&self, host: HostId) -> bool {
        self.is_outdated(host) || self.unordered.contains(&host)
    }

    /// The captures of a machine, from the oldest to the newest.
    pub fn captures(&self, machine: MachineId) -> &[HostId] {
        self.captures.get(&machine).map_or(&[], Vec::as_slice)
    }

    /// Machines of which there are several captures, in the order of the hosts.
    pub fn repeated(&self) -> impl Iterator<Item = &[HostId]> {
        self.captures.values().map(Vec::as_slice).filter(|all| all.len() > 1)
    }

    /// Groups hosts by what marks them. `said` are groups of names that a person calls one machine.
    pub(crate) fn new(hosts: &[Host], marks: &[Marks], said: &[Vec<String>]) -> Self {
        let ranks = ranks(hosts);
        let mut groups = Groups::new(marks);
        for names in said {
            let is_meant = |host: &&(usize, &Host)| {
                names.iter().any(|name| *name == host.1.name || *name == host.1.label())
            };
            let all: Vec<usize> = hosts
                .iter()
                .enumerate()
                .collect::<Vec<_>>()
                .iter()
                .filter(is_meant)
                .map(|it| it.0)
                .collect();
            for pair in all.windows(2) {
                if let [a, b] = pair {
                    groups.join(*a, *b);
                }
            }
        }
        let mut pairs: Vec<(usize, [usize; 2], Mark)> = Vec::new();
        for [a, b] in candidates(marks, &ranks) {
            let (Some(one), Some(other)) = (marks.get(a), marks.get(b)) else { continue };
            if let Kinship::One(mark) = one.compare(other) {
                pairs.push((strength(mark), [a, b], mark));
            }
        }
        let rank = |at: usize| ranks.get(at).copied().unwrap_or(at);
        drop_ambiguous(&mut pairs, marks);
        pairs.sort_by_key(|&(strength, [a, b], _)| {
            let (a, b) = (rank(a), rank(b));
            (strength, a.min(b), a.max(b))
        });
        for (_, [a, b], mark) in pairs {
            if !groups.are_two(a, b, mark) {
                groups.join(a, b);
            }
        }
        Self::from_groups(groups, hosts, marks, &ranks)
    }

    fn from_groups(
        mut groups: Groups<'_>,
        hosts: &[Host],
        marks: &[Marks],
        ranks: &[usize],
    ) -> Self {
        let mut firsts: BTreeMap<usize, MachineId> = BTreeMap::new();
        let mut machines = Self::default();
        for (at, host) in (0..marks.len()).zip((0..).map(HostId)) {
            let root = groups.root(at);
            let machine = *firsts.entry(root).or_insert(MachineId(host));
            machines.of.push(machine);
            machines.captures.entry(machine).or_default().push(host);
        }
        let taken = |host: &HostId| marks.get(host.0 as usize).and_then(|it| it.taken);
        for all in machines.captures.values_mut() {
            all.sort_by_key(|host| (taken(host), ranks.get(host.0 as usize).copied()));
            let newest = all.iter().rev().find_map(taken);
            let is_old = |host: &&HostId| match (taken(host), newest) {
                (Some(then), Some(newest)) => !then.may_be(newest),
                // Nobody knows whether it is the last one, and of another it is known.
                (None, Some(_)) => true,
                (_, None) => false,
            };
            let (old, last): (Vec<HostId>, Vec<HostId>) = all.iter().partition(is_old);
            machines.outdated.extend(old);
            // Texts that a person calls one machine are parts of one moment.
            let key = |host: &HostId| hosts.get(host.0 as usize).map(|host| &host.key);
            let alike = |host: &&HostId| last.iter().filter(|it| key(it) == key(host)).count() > 1;
            machines.unordered.extend(last.iter().filter(alike));
        }
        machines
    }
}

/// What has only a name in common with two machines is a capture of neither.
fn drop_ambiguous(pairs: &mut Vec<(usize, [usize; 2], Mark)>, marks: &[Marks]) {
    let mut namesakes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (_, [a, b], _) in pairs.iter().filter(|(.., mark)| *mark == Mark::Name) {
        namesakes.entry(*a).or_default().push(*b);
        namesakes.entry(*b).or_default().push(*a);
    }
    let is_ambiguous = |at: usize| {
        let all = namesakes.get(&at).map_or(&[][..], Vec::as_slice);
        let all: Vec<&Marks> =
            all.iter().take(EACH_WITH_EACH).filter_map(|other| marks.get(*other)).collect();
        all.iter().enumerate().any(|(n, one)| {
            all.iter().skip(n + 1).any(|other| matches!(one.compare(other), Kinship::Two(_)))
        })
    };
    let ambiguous: BTreeSet<usize> =
        namesakes.keys().copied().filter(|at| is_ambiguous(*at)).collect();
    pairs.retain(|(_, [a, b], mark)| {
        *mark != Mark::Name || !ambiguous.contains(a) && !ambiguous.contains(b)
    });
}

/// The stronger the mark, the lower the number.
fn strength(mark: Mark) -> usize {
    match mark {
        Mark::MachineId => 0,
        Mark::SystemId => 1,
        Mark::DmiUuid => 2,
        Mark::Nics => 3,
        Mark::Name => 4,
    }
}

/// A number for each host that does not depend on the order of the inputs.
fn ranks(hosts: &[Host]) -> Vec<usize> {
    let mut order: Vec<(&HostKey, &Option<Name>, BTreeSet<&String>, usize)> = hosts
        .iter()
        .enumerate()
        .map(|(at, host)| (&host.key, &host.older, host.inputs.iter().collect(), at))
        .collect();
    order.sort();
    let mut ranks = vec![0; hosts.len()];
    for (rank, (.., at)) in order.into_iter().enumerate() {
        if let Some(slot) = ranks.get_mut(at) {
            *slot = rank;
        }
    }
    ranks
}

/// Pairs of hosts that have a mark in common.
fn candidates(marks: &[Marks], ranks: &[usize]) -> BTreeSet<[usize; 2]> {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Key<'a> {
        Id(usize, &'a Name),
        Nic(Mac),
    }
    let mut buckets: BTreeMap<Key<'_>, Vec<usize>> = BTreeMap::new();
    for (at, it) in marks.iter().enumerate() {
        let name = it.name.as_ref().filter(|_| !it.cleaned);
        let ids = [&it.machine_id, &it.system_id, &it.dmi_uuid].map(Option::as_ref);
        let ids = ids.into_iter().chain([name]).enumerate();
        for (kind, id) in ids {
            if let Some(id) = id {
                buckets.entry(Key::Id(kind, id)).or_default().push(at);
            }
        }
        for &mac in it.nics.iter().filter(|_| !it.cleaned) {
            buckets.entry(Key::Nic(mac)).or_default().push(at);
        }
    }
    let mut pairs = BTreeSet::new();
    for mut all in buckets.into_values() {
        // Captures of one name and time after another: these are most likely of one machine.
        all.sort_by_key(|at| {
            let name = marks.get(*at).map(|it| (&it.name, it.taken));
            (name, ranks.get(*at).copied())
        });
        let reach = if all.len() <= EACH_WITH_EACH { all.len() } else { 2 };
        for (n, &a) in all.iter().enumerate() {
            pairs.extend(all.iter().skip(n + 1).take(reach).map(|&b| [a.min(b), a.max(b)]));
        }
    }
    pairs
}

/// The groups made so far.
struct Groups<'a> {
    marks: &'a [Marks],
    union: UnionFind<usize>,
    members: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Groups<'a> {
    fn new(marks: &'a [Marks]) -> Self {
        let members = (0..marks.len()).map(|at| (at, vec![at])).collect();
        Self { marks, union: UnionFind::new(marks.len()), members }
    }

    fn root(&mut self, at: usize) -> usize {
        self.union.find_mut(at)
    }

    /// Whether two groups are two machines: by their machine ids, of which a person may have joined
    /// several, or by the NICs of two captures. That two captures have no NIC in common counts for
    /// nothing where NICs join the groups: they were replaced one after the other.
    fn are_two(&mut self, a: usize, b: usize, by: Mark) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        if a == b {
            return false;
        }
        let of = |root: usize| {
            let members = self.members.get(&root).into_iter().flatten();
            members.filter_map(|at| self.marks.get(*at))
        };
        let ids = |root: usize| -> BTreeSet<&Name> {
            of(root).filter_map(|marks| marks.machine_id.as_ref()).collect()
        };
        let (one, other) = (ids(a), ids(b));
        if !one.is_empty() && !other.is_empty() && one.is_disjoint(&other) {
            return true;
        }
        let are_two = |one: &Marks, other: &Marks| match one.compare(other) {
            Kinship::Two(mark) => mark != Mark::MachineId,
            Kinship::One(_) | Kinship::Open => false,
        };
        by != Mark::Nics
            && of(a)
                .take(EACH_WITH_EACH)
                .any(|one| of(b).take(EACH_WITH_EACH).any(|other| are_two(one, other)))
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if !self.union.union(a, b) {
            return;
        }
        let mut all = self.members.remove(&a).unwrap_or_default();
        all.extend(self.members.remove(&b).unwrap_or_default());
        all.sort_unstable();
        let root = self.root(a);
        self.members.insert(root, all);
    }
}

impl Topology<'_> {
    /// The machine that a host is.
    pub fn machine(&self, host: HostId) -> MachineId {
        self.machines.of(host)
    }

    /// The machines, if a person calls the hosts of each of these groups of names one.
    pub fn machines_if(&self, said: &[Vec<String>]) -> Machines {
        if said.is_empty() || *said == *self.said {
            return self.machines.clone();
        }
        Machines::new(&self.snapshot.captured.hosts, &marks(self), said)
    }

    /// What marks the machine of each host, in the order of the hosts.
    pub fn marks(&self) -> Vec<Marks> {
        marks(self)
    }

    /// The capture of a machine that fits best to another host: the nearest in time, else the
    /// newest.
    pub(crate) fn capture_beside(&self, machine: MachineId, host: HostId) -> Option<HostId> {
        let taken = |host: HostId| self.snapshot.host(host).and_then(|host| host.taken);
        let captures = self.machines.captures(machine);
        let Some(own) = taken(host) else { return captures.last().copied() };
        let apart =
            |host: &&HostId| taken(**host).map_or(u64::MAX, |at| at.epoch.abs_diff(own.epoch));
        captures.iter().rev().min_by_key(apart).copied()
    }
}

/// What marks the machine of each host.
pub(crate) fn marks(topology: &Topology<'_>) -> Vec<Marks> {
    let hosts = topology.snapshot.captured.hosts.iter().zip((0..).map(HostId));
    let name = |text: &Option<String>| text.as_deref().map(Name::from);
    let mut all: Vec<Marks> = hosts
        .map(|(host, id)| Marks {
            name: host.is_named.then(|| host.name.as_str().into()),
            domain: host.domain.clone(),
            machine_id: name(&host.machine_id),
            system_id: name(&host.system_id),
            dmi_uuid: name(&host.dmi_uuid),
            nics: BTreeSet::new(),
            all_nics: topology.coverage.is_complete(id, &Netns::Root, Topic::Links),
            cleaned: host.cleaned,
            taken: host.taken,
        })
        .collect();
    for (_, node) in topology.nodes() {
        let Some(marks) = node.host.and_then(|host| all.get_mut(host.0 as usize)) else { continue };
        match &node.data {
            NodeData::Host(it) => {
                let id = it.system_id.as_ref().map(|id| id.value.clone());
                marks.system_id = marks.system_id.take().or(id);
            }
            NodeData::Netdev(it)
                if it.kind == NetdevKind::Physical
                    && node.netns.as_ref().is_some_and(Netns::is_root) =>
            {
                let permanent =
                    it.records.iter().find_map(|record| record.record.permanent_mac.as_ref());
                let mac = permanent.map(|mac| mac.value).or(it.mac.as_ref().map(|mac| mac.value));
                marks.nics.extend(mac.filter(|mac| !mac.is_zero()));
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::capture::Moment;

    /// A host: `name machine-id system-id nics day`, with `-` for what is not known.
    fn read(text: &str) -> (Host, Marks) {
        let mut words = text.split(' ').map(|part| (part != "-").then(|| Name::from(part)));
        let mut next = || words.next().flatten();
        let mac = |n: &str| Mac([2, 0, 0, 0, 0, n.parse().unwrap()]);
        let mut marks = Marks { name: next(), all_nics: true, ..Marks::default() };
        (marks.machine_id, marks.system_id) = (next(), next());
        marks.nics = next().map(|it| it.split(',').map(mac).collect()).unwrap_or_default();
        marks.taken = next().map(|it| Moment::at(it.parse::<i64>().unwrap() * 86_400));
        let name = marks.name.clone().unwrap_or_default();
        let key = HostKey::Named { name: name.clone(), input: text.into() };
        (Host { name: name.to_string(), key, taken: marks.taken, ..Host::default() }, marks)
    }

    /// Machines as groups of names.
    fn machines(texts: &[&str], said: &[&[&str]]) -> Vec<Vec<String>> {
        let (hosts, marks): (Vec<Host>, Vec<Marks>) = texts.iter().map(|text| read(text)).unzip();
        let said: Vec<Vec<String>> =
            said.iter().map(|it| it.iter().map(|&it| it.to_owned()).collect()).collect();
        let machines = Machines::new(&hosts, &marks, &said);
        let mut all: Vec<Vec<String>> = machines
            .captures
            .values()
            .map(|all| all.iter().map(|it| hosts[it.0 as usize].name.clone()).collect())
            .collect();
        for one in &mut all {
            one.sort();
        }
        all.sort();
        all
    }

    #[test]
    fn marks_make_machines() {
        for (why, texts, said, expected) in [
            ("one MAC", &["a - - 1,2 -", "b - - 2,3 -"][..], &[][..] as &[&[&str]], "a b"),
            ("two MACs", &["a - - 1,2 -", "b - - 1,2,3 -"], &[], "a+b"),
            ("a chain", &["a - - 1,2 -", "b - s 1,2 -", "c - s - -"], &[], "a+b+c"),
            ("a chain of MACs", &["a - - 1,2 -", "b - - 1,2,3,4 -", "c - - 3,4 -"], &[], "a+b+c"),
            ("two ids", &["a 1 s 1,2 -", "b 2 s 1,2 -"], &[], "a b"),
            (
                "two ids, and a third",
                &["a 1 - 1,2 -", "b 2 - 3,4 -", "c - - 1,2,3,4 -"],
                &[],
                "a+c b",
            ),
            ("a person", &["a 1 - 1 -", "b 2 - 2 -"], &[&["a", "b"][..]], "a+b"),
            (
                "a person, and more",
                &["a 1 - - -", "b 2 - 3,4 -", "c - - 3,4 -", "d 1 - - -"],
                &[&["a", "b"][..]],
                "a+b+c+d",
            ),
            ("clones, and a third", &["a 1 - 1 -", "b 1 - 2 -", "c 1 - - -"], &[], "a+c b"),
            ("clones", &["a 1 - 1 -", "b 1 - 2 -", "c 1 - 2 -"], &[], "a b+c"),
            ("nothing known", &["a - - - -", "b - - - -"], &[], "a b"),
        ] {
            let found = machines(texts, said);
            let found: Vec<String> = found.iter().map(|found| found.join("+")).collect();
            let shown = found.join(" ");
            assert_eq!(shown, expected, "{why}");
            let mut turned = texts.to_vec();
            turned.reverse();
            let again = machines(&turned, said);
            let again: Vec<String> = again.iter().map(|again| again.join("+")).collect();
            assert_eq!(shown, again.join(" "), "{why}");
        }
    }

    #[test]
    fn a_later_capture_makes_the_earlier_one_outdated() {
        let texts = ["a 1 - - 3", "a 1 - - 1", "a 1 - - -", "b - - - 1"];
        let (hosts, marks): (Vec<Host>, Vec<Marks>) = texts.iter().map(|text| read(text)).unzip();
        let machines = Machines::new(&hosts, &marks, &[]);
        let outdated = (0..4).map(|it| machines.is_outdated(HostId(it)));
        assert_eq!(outdated.collect::<Vec<_>>(), [false, true, true, false]);
        assert_eq!(machines.captures(machines.of(HostId(0))), [2, 1, 0].map(HostId));
        assert_eq!(machines.repeated().count(), 1);
    }

    #[test]
    fn a_thousand_captures_of_one_image() {
        let texts: Vec<String> = (0..1000).map(|it| format!("n{it} 1 - {} -", it % 250)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert!(machines(&texts, &[]).len() >= 250);
    }
}
