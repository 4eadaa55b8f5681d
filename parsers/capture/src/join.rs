//! What belongs together: the parts of one moment become one host; captures of two moments, and
//! machines that share a name, stay apart and get names that tell them apart.
//!
//! Nothing here depends on the order of the inputs, but the order of the hosts.
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tapline_core::Name;
use tapline_core::capture::{Host, HostKey, Moment};
use tapline_core::host::{Kinship, Mark, Marks, is_anybodys};

use crate::host::{Draft, Piece};
use crate::load;

/// A host of one input.
#[derive(Debug)]
pub(crate) struct Found {
    /// Its texts, and what they say of it.
    pub(crate) draft: Draft,
    /// The input, as the user named it.
    pub(crate) input: String,
    /// The folder of an output that was named for itself.
    pub(crate) beside: Option<PathBuf>,
}

/// A host in the making: the parts found so far.
#[derive(Debug)]
struct Joined {
    draft: Draft,
    inputs: Vec<String>,
    marks: Marks,
    /// The folder that its outputs lie in, where nothing else names it.
    beside: Option<PathBuf>,
    /// Where its first part stands among all inputs.
    first: usize,
}

/// Joins what belongs together and names it, in the order of the inputs.
pub(crate) fn hosts(found: Vec<Found>) -> Vec<(Host, Vec<Piece>)> {
    let mut joined: Vec<Joined> = Vec::new();
    let mut order: Vec<(usize, Found, Marks)> = found
        .into_iter()
        .enumerate()
        .map(|(at, found)| {
            let marks = found.draft.marks();
            (at, found, marks)
        })
        .collect();
    // Whole captures first, then those that say which machine they are of, then parts with a time,
    // then those that fit wherever their name does.
    order.sort_by_key(|(at, found, marks)| {
        let whole = found.draft.whole.is_none();
        (whole, has_no_id(marks), marks.taken.is_none(), marks.taken, *at)
    });
    // By the name, or for want of one by the machine-id.
    let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (first, Found { draft, input, beside }, marks) in order {
        let beside = beside.filter(|_| draft.own_name().is_none() && !draft.session);
        let calls = calls(&draft, beside.as_ref());
        let near = calls.iter().filter_map(|call| by_name.get(call)).flatten().copied();
        let near: BTreeSet<usize> = near.collect();
        let into = choose(&joined, &near, &draft, &marks).unwrap_or(joined.len());
        for call in calls {
            by_name.entry(call).or_default().push(into);
        }
        match joined.get_mut(into) {
            Some(host) => host.add(draft, input, marks, beside, first),
            None => joined.push(Joined { draft, inputs: vec![input], marks, beside, first }),
        }
    }
    joined.sort_by_key(|host| host.first);
    name(joined)
}

/// Whether nothing but its name and its NICs tells the machine.
fn has_no_id(marks: &Marks) -> bool {
    marks.machine_id.is_none() && marks.system_id.is_none() && marks.dmi_uuid.is_none()
}

/// What a draft goes by. No host has a name with a slash or a blank.
fn calls(draft: &Draft, beside: Option<&PathBuf>) -> Vec<String> {
    let name = draft.own_name().map(str::to_owned);
    let folder = beside.map(|folder| format!("/{}", folder.display()));
    let id = draft.identity.machine_id.as_ref().map(|id| format!("machine-id {id}"));
    name.into_iter().chain(folder).chain(id).collect()
}

/// What every part of a capture may begin with: whose it is, and when it was taken.
const HEADS: &[&str] = &["date", "hostname", "machine-id", "uname", "uptime"];

/// Whether two hosts have the answer to one question each: then nameless ones are two.
fn answer_alike(one: &Draft, other: &Draft) -> bool {
    let asked = |draft: &Draft| -> BTreeSet<_> {
        let pieces = draft.pieces.iter();
        let pieces = pieces.filter(|piece| !HEADS.contains(&piece.format.0));
        pieces.map(|piece| (piece.netns.clone(), piece.format)).collect()
    };
    !asked(one).is_disjoint(&asked(other))
}

/// The host that a draft is a part of: of those that it may belong to, the only one, or the one
/// nearest in time.
fn choose(
    joined: &[Joined],
    near: &BTreeSet<usize>,
    draft: &Draft,
    marks: &Marks,
) -> Option<usize> {
    let mut fitting: Vec<(u64, usize)> = Vec::new();
    for &at in near {
        let Some(host) = joined.get(at) else { continue };
        // Names in cleaned reports are counters.
        let named = draft.own_name() == host.draft.own_name() || draft.own_name().is_none();
        let kin = match host.marks.compare(marks) {
            // Whoever names the host knows more than its NICs tell, but a machine has one id.
            Kinship::Two(mark) => draft.given.is_some() && mark != Mark::MachineId,
            Kinship::One(_) | Kinship::Open => true,
        };
        let one_time = match (host.marks.taken, marks.taken) {
            // A whole capture is part of no other: only a copy of it has its very time.
            (a, b) if host.draft.whole.is_some() && draft.whole.is_some() => {
                a.is_some_and(|it| !it.day_only) && a == b
            }
            (Some(a), Some(b)) => a.may_be(b),
            _ => true,
        };
        let cleaned = (host.draft.cleaned || draft.cleaned) && draft.given.is_none();
        let nameless = draft.own_name().is_none() && draft.identity.machine_id.is_none();
        // Two folders with dates of their own that show the same are two moments, and so are texts of
        // hosts that go by a name that every machine may have.
        let dated = host.marks.taken.zip(marks.taken).is_some_and(|(a, b)| a != b);
        let anybodys = marks.machine_id.is_none()
            && host.marks.machine_id.is_none()
            && draft.own_name().is_some_and(is_anybodys);
        let two_answers = (nameless || dated || anybodys) && answer_alike(&host.draft, draft);
        if named && kin && one_time && !cleaned && !two_answers {
            let apart = host.marks.taken.zip(marks.taken);
            fitting.push((apart.map_or(0, |(a, b)| a.epoch.abs_diff(b.epoch)), at));
        }
    }
    fitting.sort_unstable();
    match fitting.as_slice() {
        [(_, only)] => Some(*only),
        [(_, nearest), ..] if marks.taken.is_some() && are_kin(joined, &fitting) => Some(*nearest),
        // It may be of either: then it is of none, but of those that are like it, which are no other
        // machine than any of them.
        all => {
            let host = |at: usize| joined.get(at);
            let is_one_of_two = |at: usize| {
                let others = all.iter().filter_map(|(_, other)| host(*other));
                let kin = |other: &Joined| host(at).map(|host| host.marks.compare(&other.marks));
                others.filter_map(kin).any(|kin| matches!(kin, Kinship::Two(_)))
            };
            let undated = |at: usize| host(at).is_some_and(|host| host.marks.taken.is_none());
            all.iter().map(|(_, at)| *at).find(|at| undated(*at) && !is_one_of_two(*at))
        }
    }
}

/// Whether hosts may all be one machine.
fn are_kin(joined: &[Joined], all: &[(u64, usize)]) -> bool {
    let hosts: Vec<&Joined> = all.iter().filter_map(|(_, at)| joined.get(*at)).collect();
    hosts.iter().enumerate().all(|(n, host)| {
        hosts
            .iter()
            .skip(n + 1)
            .all(|other| !matches!(host.marks.compare(&other.marks), Kinship::Two(_)))
    })
}

impl Joined {
    /// Takes in a further part.
    fn add(
        &mut self,
        draft: Draft,
        input: String,
        marks: Marks,
        beside: Option<PathBuf>,
        first: usize,
    ) {
        if !self.inputs.contains(&input) {
            self.inputs.push(input);
        }
        let Draft { said, identity, sos_version, pieces, .. } = draft;
        let own = &mut self.draft;
        own.said = own.said.take().or(said);
        own.sos_version = own.sos_version.take().or(sos_version);
        own.identity.learn_from(identity);
        own.pieces.extend(pieces);
        self.beside = self.beside.take().or(beside);
        self.first = self.first.min(first);
        let both = std::mem::take(&mut self.marks.nics);
        self.marks = Marks {
            nics: both.into_iter().chain(marks.nics).collect(),
            name: self.marks.name.take().or(marks.name),
            machine_id: self.marks.machine_id.take().or(marks.machine_id),
            system_id: self.marks.system_id.take().or(marks.system_id),
            dmi_uuid: self.marks.dmi_uuid.take().or(marks.dmi_uuid),
            all_nics: self.marks.all_nics || marks.all_nics,
            cleaned: self.marks.cleaned,
            taken: self.marks.taken.min(marks.taken).or(self.marks.taken).or(marks.taken),
        };
    }

    fn is_several(&self) -> bool {
        self.inputs.len() > 1
    }

    /// The name to show, before others are known.
    fn name(&self) -> String {
        let folder = self.beside.as_ref().filter(|_| self.is_several());
        match folder.and_then(|folder| folder.file_name()) {
            Some(folder) if self.draft.own_name().is_none() => {
                folder.to_string_lossy().into_owned()
            }
            _ => self.draft.name().to_owned(),
        }
    }

    /// The input that stands for all, whatever their order.
    fn input(&self) -> String {
        let stems = self.inputs.iter().map(|input| load::stem(input));
        stems.min().unwrap_or_default()
    }

    /// The best mark of the machine.
    fn key(&self) -> HostKey {
        let marks = &self.marks;
        let id = marks.machine_id.clone().map(HostKey::MachineId);
        let id = id.or_else(|| marks.system_id.clone().map(HostKey::SystemId));
        let id = id.or_else(|| marks.dmi_uuid.clone().map(HostKey::DmiUuid));
        id.unwrap_or_else(|| HostKey::Named {
            name: self.name().into(),
            input: self.input().into(),
        })
    }
}

/// Keys and labels, each unique among all hosts.
fn name(joined: Vec<Joined>) -> Vec<(Host, Vec<Piece>)> {
    let mut keys: Vec<HostKey> = joined.iter().map(Joined::key).collect();
    let mut by_key: BTreeMap<HostKey, Vec<usize>> = BTreeMap::new();
    for (at, key) in keys.iter().enumerate() {
        by_key.entry(key.clone()).or_default().push(at);
    }
    let mut older: BTreeMap<usize, Name> = BTreeMap::new();
    for same in by_key.into_values().filter(|same| same.len() > 1) {
        let kin = kin(&joined, same);
        let are_several = kin.len() > 1;
        let inputs = inputs_of(&joined, &kin);
        for (mut captures, first) in kin.into_iter().zip(inputs) {
            let host = |at: &usize| joined.get(*at);
            // Machines made of one image: what is equal tells nothing, their inputs do.
            if are_several {
                for at in &captures {
                    if let (Some(key), Some(host)) = (keys.get_mut(*at), host(at)) {
                        let (name, input) = (host.name().into(), first.as_str().into());
                        *key = HostKey::Named { name, input };
                    }
                }
            }
            captures.sort_by_key(|at| {
                (host(at).map(|host| host.marks.taken), host(at).map(all_inputs))
            });
            let mut used: BTreeSet<Name> = BTreeSet::new();
            for (n, at) in captures.iter().rev().enumerate().skip(1) {
                let Some(host) = host(at) else { continue };
                let when = host.marks.taken.map(Moment::to_the_second);
                let mut name: Name = when.unwrap_or_else(|| all_inputs(host)).into();
                if !used.insert(name.clone()) {
                    name = format!("{name} {n}").into();
                }
                older.insert(*at, name);
            }
        }
    }
    let labels = labels(&joined);
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for host in &joined {
        *named.entry(host.name()).or_default() += 1;
    }
    let all = joined.into_iter().zip(keys).zip(labels).enumerate();
    all.map(|(at, ((host, key), label))| {
        let made = Host {
            name: host.name(),
            label,
            key,
            older: older.remove(&at),
            is_named: host.draft.own_name().is_some(),
            // The time of a listing tells captures of one name apart, and nothing else.
            taken: host.marks.taken.filter(|_| {
                host.draft.taken().is_some() || named.get(&host.name()).is_some_and(|n| *n > 1)
            }),
            inputs: host.inputs,
            sos_version: host.draft.sos_version,
            machine_id: host.draft.identity.machine_id,
            system_id: host.draft.identity.system_id,
            dmi_uuid: host.draft.identity.dmi_uuid,
            cleaned: host.draft.cleaned,
        };
        (made, host.draft.pieces)
    })
    .collect()
}

/// What the captures of each machine were read from: without folders above and suffixes, where that
/// is enough to tell the machines apart.
fn inputs_of(joined: &[Joined], machines: &[Vec<usize>]) -> Vec<String> {
    let first = |of: fn(&Joined) -> String| -> Vec<String> {
        let of_machine = |captures: &Vec<usize>| {
            let hosts = captures.iter().filter_map(|at| joined.get(*at));
            hosts.map(of).min().unwrap_or_default()
        };
        machines.iter().map(of_machine).collect()
    };
    let stems = first(Joined::input);
    if are_distinct(&stems) { stems } else { first(all_inputs) }
}

/// Where a host came from, whatever the order of the inputs.
fn all_inputs(host: &Joined) -> String {
    let inputs = host.inputs.iter().map(String::as_str);
    let archives = host.draft.pieces.iter().map(|piece| &*piece.archive);
    let all: BTreeSet<&str> = inputs.chain(archives).collect();
    // Several hosts may be in one folder.
    let first = host.draft.pieces.iter().map(|piece| &*piece.member).min();
    all.into_iter().chain(first).collect::<Vec<_>>().join(" ")
}

/// Takes the captures of one key apart: those that no mark tells apart are of one machine.
fn kin(joined: &[Joined], mut same: Vec<usize>) -> Vec<Vec<usize>> {
    // Each is compared with so many captures of a machine at most.
    const ENOUGH: usize = 8;
    let marks = |at: &usize| joined.get(*at).map(|it| &it.marks);
    same.sort_by_cached_key(|at| joined.get(*at).map(all_inputs));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for at in same {
        let fits = |group: &&mut Vec<usize>| {
            group.iter().take(ENOUGH).all(|other| {
                let pair = marks(&at).zip(marks(other));
                pair.is_some_and(|(a, b)| !matches!(a.compare(b), Kinship::Two(_)))
            })
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    groups
}

/// Names to show: where several hosts have one name, with what tells them apart.
fn labels(joined: &[Joined]) -> Vec<String> {
    let mut labels: Vec<String> = joined.iter().map(Joined::name).collect();
    let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, name) in labels.iter().enumerate() {
        by_name.entry(name.clone()).or_default().push(at);
    }
    for (name, group) in by_name.into_iter().filter(|(_, group)| group.len() > 1) {
        for (at, label) in group.iter().zip(tell_apart(joined, &name, &group)) {
            if let Some(slot) = labels.get_mut(*at) {
                *slot = label;
            }
        }
    }
    labels
}

fn tell_apart(joined: &[Joined], name: &str, group: &[usize]) -> Vec<String> {
    let hosts: Vec<&Joined> = group.iter().filter_map(|&at| joined.get(at)).collect();
    let times = |show: fn(Moment) -> String| -> Option<Vec<String>> {
        let known = hosts.iter().map(|host| host.marks.taken.map(show)).collect::<Option<_>>();
        known.filter(|all: &Vec<String>| are_distinct(all))
    };
    let ids = hosts.iter().map(|host| {
        let id = host.marks.machine_id.as_deref()?;
        Some(id.get(..8).unwrap_or(id).to_owned())
    });
    let ids: Option<Vec<String>> = ids.collect();
    let one_machine = kin(joined, group.to_vec()).len() == 1;
    let with = |kind: &str, all: Vec<String>, end: &str| -> Vec<String> {
        all.into_iter().map(|what| format!("{name} {kind}{what}{end}")).collect()
    };
    if one_machine {
        if let Some(all) = times(|it| it.to_string()).or_else(|| times(Moment::to_the_second)) {
            return with("@ ", all, "");
        }
        // Those without a time are named by their input.
        let mixed = hosts.iter().map(|host| match host.marks.taken {
            Some(taken) => format!("{name} @ {}", taken.to_the_second()),
            None => format!("{name} ({})", host.stem()),
        });
        let mixed: Vec<String> = mixed.collect();
        if are_distinct(&mixed) {
            return mixed;
        }
    } else if let Some(ids) = ids.clone() {
        if are_distinct(&ids) {
            return with("(machine-id ", ids, ")");
        }
        let full = ids.into_iter().zip(&hosts).map(|(id, host)| {
            let when = host.marks.taken.map(Moment::to_the_second).unwrap_or_default();
            format!("machine-id {id}) @ {when}")
        });
        let full: Vec<String> = full.collect();
        if are_distinct(&full) && hosts.iter().all(|host| host.marks.taken.is_some()) {
            return with("(", full, "");
        }
    }
    let stems: Vec<String> = hosts.iter().map(|host| host.stem()).collect();
    if are_distinct(&stems) {
        return with("(", stems, ")");
    }
    let archives: Vec<String> = hosts.iter().map(|host| host.archive_stem()).collect();
    if are_distinct(&archives) {
        return with("(", archives, ")");
    }
    // Numbers, given by what does not depend on the order of the inputs.
    let mut ranks: Vec<(String, usize)> =
        hosts.iter().enumerate().map(|(at, host)| (all_inputs(host), at)).collect();
    ranks.sort();
    let mut numbers: Vec<String> = vec![String::new(); hosts.len()];
    for (n, (_, at)) in ranks.into_iter().enumerate() {
        if let Some(slot) = numbers.get_mut(at) {
            *slot = (n + 1).to_string();
        }
    }
    with("(", numbers, ")")
}

impl Joined {
    /// The shortest name of what it came from: the archive in an archive, the folder in a folder.
    fn stem(&self) -> String {
        let fallback = &self.draft.fallback;
        if fallback.is_empty() { self.archive_stem() } else { fallback.clone() }
    }

    /// The name of the archive that it came from.
    fn archive_stem(&self) -> String {
        let archives = self.draft.pieces.iter().map(|piece| &*piece.archive);
        archives.min().map(load::stem).unwrap_or_default()
    }
}

fn are_distinct(all: &[String]) -> bool {
    all.iter().collect::<BTreeSet<_>>().len() == all.len()
}
