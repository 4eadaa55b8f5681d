//! What belongs together: the parts of one moment become one host; captures of two moments, and
//! machines that share a name, stay apart and get names that tell them apart.
//!
//! Nothing here depends on the order of the inputs, but the order of the hosts.
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tapline_core::capture::{Host, HostKey};
use tapline_core::host::{Kinship, Mark, Marks, is_anybodys};

use crate::host::{Draft, Piece};
use crate::load;

mod doubt;
mod names;

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

/// A host of one input, with what it may be joined by.
#[derive(Debug)]
struct Part {
    found: Found,
    marks: Marks,
    /// What it goes by.
    calls: Vec<String>,
    /// Where it stands among all inputs.
    first: usize,
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
    /// Hosts of which it may be a part, by their `first`: of several, so it is of none.
    may_be: BTreeSet<usize>,
}

impl From<Part> for Joined {
    fn from(part: Part) -> Self {
        let Part { found: Found { draft, input, beside }, marks, first, .. } = part;
        Self { draft, inputs: vec![input], marks, beside, first, may_be: BTreeSet::new() }
    }
}

/// Joins what belongs together and names it, in the order of the inputs.
pub(crate) fn hosts(found: Vec<Found>) -> Vec<(Host, Vec<Piece>)> {
    let mut joined: Vec<Joined> = Vec::new();
    let mut parts: Vec<Part> = found.into_iter().enumerate().map(Part::new).collect();
    // Whole captures first, then those that say which machine they are of, then parts with a time,
    // then those that fit wherever their name does. The order of the inputs decides nothing.
    parts.sort_by(|a, b| a.rank().cmp(&b.rank()));
    let doubts = doubt::find(&parts);
    // What is of one of two machines is looked at when these are put together.
    let (sure, doubtful): (Vec<_>, Vec<_>) =
        parts.into_iter().enumerate().partition(|(at, _)| !doubts.contains_key(at));
    // By the name, or for want of one by the machine-id.
    let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut home: BTreeMap<usize, usize> = BTreeMap::new();
    for (at, part) in sure.into_iter().chain(doubtful) {
        let near = part.calls.iter().filter_map(|call| by_name.get(call)).flatten().copied();
        let near: BTreeSet<usize> = near.collect();
        let into = match doubts.get(&at) {
            // With others that may be of the same machines.
            Some(doubt) => doubt.alike.iter().find_map(|other| home.get(other)).copied(),
            None => choose(&joined, &near, &part.found.draft, &part.marks),
        };
        let into = into.unwrap_or(joined.len());
        home.insert(at, into);
        for call in &part.calls {
            by_name.entry(call.clone()).or_default().push(into);
        }
        match joined.get_mut(into) {
            Some(host) => host.add(part),
            None => joined.push(Joined::from(part)),
        }
    }
    for (at, doubt) in &doubts {
        let may_be = doubt.machines.iter().filter_map(|other| home.get(other)).copied();
        let first = |at: usize| joined.get(at).map(|host| host.first);
        let firsts: BTreeSet<usize> = may_be.filter_map(first).collect();
        if let Some(host) = home.get(at).and_then(|at| joined.get_mut(*at)) {
            host.may_be.extend(firsts);
        }
    }
    joined.sort_by_key(|host| host.first);
    names::give(joined)
}

impl Part {
    fn new((first, found): (usize, Found)) -> Self {
        let marks = found.draft.marks();
        let beside = found.beside.as_ref();
        let beside = beside.filter(|_| found.draft.own_name().is_none() && !found.draft.session);
        let calls = calls(&found.draft, beside);
        let beside = beside.cloned();
        Self { found: Found { beside, ..found }, marks, calls, first }
    }

    /// When it is its turn.
    fn rank(&self) -> impl Ord + '_ {
        let marks = &self.marks;
        let whole = self.found.draft.whole.is_none();
        let time = (marks.taken.is_none(), marks.taken);
        (whole, has_no_id(marks), time, &self.found.input, self.first)
    }
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

/// Whether nothing says that two are two machines.
fn are_kin(drafts: [&Draft; 2], marks: [&Marks; 2]) -> bool {
    let [one, other] = marks;
    match one.compare(other) {
        // Whoever names the host knows more than its NICs tell, but a machine has one id.
        Kinship::Two(mark) => {
            drafts.iter().all(|draft| draft.given.is_some()) && mark != Mark::MachineId
        }
        Kinship::One(_) | Kinship::Open => true,
    }
}

/// Whether two may be parts of one moment of one host.
fn fits(drafts: [&Draft; 2], marks: [&Marks; 2]) -> bool {
    let ([host, draft], [of_host, of_draft]) = (drafts, marks);
    // Names in cleaned reports are counters.
    let named = draft.own_name() == host.own_name() || draft.own_name().is_none();
    let one_time = match (of_host.taken, of_draft.taken) {
        // A whole capture is part of no other: only a copy of it has its very time.
        (a, b) if host.whole.is_some() && draft.whole.is_some() => {
            a.is_some_and(|it| !it.day_only) && a == b
        }
        (Some(a), Some(b)) => a.may_be(b),
        _ => true,
    };
    let cleaned = (host.cleaned || draft.cleaned) && draft.given.is_none();
    let labels = host.labelled.as_ref().zip(draft.labelled.as_ref());
    let is_other_label = labels.is_some_and(|(one, other)| one != other)
        && !matches!(of_host.compare(of_draft), Kinship::One(mark) if mark != Mark::Name);
    if !named || !one_time || cleaned || is_other_label || !are_kin(drafts, marks) {
        return false;
    }
    let nameless = draft.own_name().is_none() && draft.identity.machine_id.is_none();
    // Two folders with dates of their own that show the same are two moments, and so are texts of
    // hosts that go by a name that every machine may have.
    let dated = of_host.taken.zip(of_draft.taken).is_some_and(|(a, b)| a != b);
    let anybodys = of_draft.machine_id.is_none()
        && of_host.machine_id.is_none()
        && draft.own_name().is_some_and(is_anybodys);
    !((nameless || dated || anybodys) && answer_alike(host, draft))
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
        if fits([&host.draft, draft], [&host.marks, marks]) {
            let apart = host.marks.taken.zip(marks.taken);
            fitting.push((apart.map_or(0, |(a, b)| a.epoch.abs_diff(b.epoch)), at));
        }
    }
    fitting.sort_unstable();
    match fitting.as_slice() {
        [(_, only)] => Some(*only),
        [(_, nearest), ..] if marks.taken.is_some() && are_all_kin(joined, &fitting) => {
            Some(*nearest)
        }
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
fn are_all_kin(joined: &[Joined], all: &[(u64, usize)]) -> bool {
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
    fn add(&mut self, part: Part) {
        let Part { found: Found { draft, input, beside }, marks, first, .. } = part;
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
            domain: self.marks.domain.take().or(marks.domain),
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
        let given = self.draft.given.as_deref();
        let name = self.draft.identity.name().or(self.draft.said.as_deref()).or(given);
        let ids = [&marks.machine_id, &marks.system_id, &marks.dmi_uuid];
        let id = HostKey::best(ids.map(|id| id.as_deref()), name.filter(|_| !self.draft.cleaned));
        id.unwrap_or_else(|| HostKey::Named {
            name: self.name().into(),
            input: self.input().into(),
        })
    }
}
