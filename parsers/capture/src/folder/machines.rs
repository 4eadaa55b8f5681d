//! Outputs without the name of a host that cannot be of one machine: two whole lists of devices that
//! have no NIC in common, two databases of Open vSwitch.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::FormatId;
use tapline_core::host::is_anybodys;
use tapline_core::ids::Mac;

use crate::flat;
use crate::host::{Draft, Piece};
use crate::marks;

/// What a text says of the machine that it is of.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Traits {
    macs: BTreeSet<Mac>,
    /// The id of the database, which stands on the first line.
    switch: Option<String>,
}

impl Traits {
    pub(super) fn of(piece: &Piece) -> Self {
        const LISTS: &[FormatId] = &[FormatId("ip-link"), FormatId("ip-address")];
        let mut traits = Self::default();
        if !piece.netns.is_root() {
            return traits;
        }
        if LISTS.contains(&piece.format) {
            traits.macs = marks::macs(&piece.text);
        } else if piece.format == FormatId("ovs-vsctl-show") {
            let first = piece.text.lines().map(str::trim).find(|line| !line.is_empty());
            traits.switch = first.filter(|line| marks::is_uuid(line)).map(str::to_owned);
        }
        traits
    }

    /// Whether both cannot be of one machine.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        let macs = !self.macs.is_empty() && !other.macs.is_empty();
        let switches = self.switch.is_some() && other.switch.is_some();
        macs && self.macs.is_disjoint(&other.macs) || switches && self.switch != other.switch
    }

    /// Whether something is in both.
    fn shares(&self, other: &Self) -> bool {
        !self.macs.is_disjoint(&other.macs) || self.switch.is_some() && self.switch == other.switch
    }

    fn learn(&mut self, other: Self) {
        self.macs.extend(other.macs);
        self.switch = self.switch.take().or(other.switch);
    }
}

/// Formats whose texts say nothing of the network.
const OF_ANY: &[&str] = &["date", "hostname", "machine-id", "uname", "uptime"];

/// Takes the texts of a folder apart that cannot be of one machine, and says which: each machine gets a
/// host of its own. What may be of any of them stays.
pub(super) fn part_of_folder(draft: &mut Draft) -> Option<(Vec<Draft>, String)> {
    let traits: Vec<Traits> = draft.pieces.iter().map(Traits::of).collect();
    // NICs say nothing of whose a database is, nor the other way round.
    let nics = groups(traits.iter().map(|of| of.macs.clone()));
    let databases = groups(traits.iter().map(|of| of.switch.clone().into_iter().collect()));
    let machines: Vec<Vec<usize>> =
        [nics, databases].into_iter().filter(|all| all.len() > 1).flatten().collect();
    let firsts: Vec<usize> = machines.iter().filter_map(|pieces| pieces.first().copied()).collect();
    let [one, other, ..] = firsts.as_slice() else { return None };
    let name = |at: usize| draft.pieces.get(at).map_or("", |piece| &*piece.member);
    let stem = |at: usize| name(at).rsplit('/').next().unwrap_or_default();
    let mut why = format!(
        "{} and {} are of two machines: they have neither a NIC nor a database in common",
        stem(*one),
        stem(*other),
    );
    let parts = by_words(draft, machines);
    let mut owner: BTreeMap<usize, usize> = BTreeMap::new();
    for (n, part) in parts.iter().enumerate() {
        owner.extend(part.pieces.iter().map(|&at| (at, n)));
    }
    // Of what tells nothing of its machine, the name of the file may.
    let is_named = |at: usize, part: &Part| {
        let words = words_of(name(at));
        part.words.as_ref().is_some_and(|own| !own.is_empty() && own.is_subset(&words))
    };
    for at in (0..draft.pieces.len()).filter(|at| !owner.contains_key(at)).collect::<Vec<_>>() {
        let mut fits = parts.iter().enumerate().filter(|(_, part)| is_named(at, part));
        if let (Some((n, _)), None) = (fits.next(), fits.next()) {
            owner.insert(at, n);
        }
    }
    let rest = (0..draft.pieces.len()).filter(|at| !owner.contains_key(at));
    let may_be_any =
        |at: usize| draft.pieces.get(at).is_some_and(|piece| !OF_ANY.contains(&piece.format.0));
    // A machine whose files have no word of their own is that of the folder.
    let of_folder =
        parts.iter().position(|part| part.words.as_ref().is_some_and(BTreeSet::is_empty));
    if of_folder.is_none() && rest.clone().any(may_be_any) {
        why.push_str("; the other texts may be of any of them");
    }
    let mut made: Vec<Draft> = parts
        .iter()
        .map(|part| {
            let first = part.pieces.first().map_or("", |&at| stem(at));
            let first = first.split('.').next().unwrap_or(first);
            let words: Vec<&str> = part.words.iter().flatten().map(String::as_str).collect();
            let own = if words.is_empty() { first.to_owned() } else { words.join("-") };
            Draft { fallback: format!("{}-{own}", draft.name()), ..Draft::default() }
        })
        .collect();
    for (at, piece) in std::mem::take(&mut draft.pieces).into_iter().enumerate() {
        let part = owner.get(&at).copied().filter(|n| Some(*n) != of_folder);
        match part.and_then(|n| made.get_mut(n)) {
            Some(part) => {
                part.used += 1;
                part.pieces.push(piece);
            }
            None => draft.pieces.push(piece),
        }
    }
    made.retain(|part| !part.pieces.is_empty());
    draft.used = u64::try_from(draft.pieces.len()).unwrap_or(0);
    Some((made, why))
}

/// The texts of one machine, and the words that only the names of their files have.
#[derive(Debug)]
struct Part {
    pieces: Vec<usize>,
    /// None where the names have nothing in common, so that no word tells machines apart.
    words: Option<BTreeSet<String>>,
}

/// Joins what is of one machine by the words in the names of files: `ip_a_node1.txt` and
/// `ovs-vsctl_show_node1.txt`.
fn by_words(draft: &Draft, machines: Vec<Vec<usize>>) -> Vec<Part> {
    let name = |at: &usize| draft.pieces.get(*at).map_or("", |piece| &*piece.member);
    let common: Vec<BTreeSet<String>> = machines
        .iter()
        .map(|pieces| {
            let mut all = pieces.iter().map(|at| words_of(name(at)));
            let first = all.next().unwrap_or_default();
            all.fold(first, |common, words| &common & &words)
        })
        .collect();
    let of_same = |at: usize, other: usize| {
        let format = |n: usize| {
            let first = machines.get(n).and_then(|pieces| pieces.first());
            first.and_then(|&at| draft.pieces.get(at)).map(|piece| piece.format)
        };
        at != other && format(at) == format(other)
    };
    let mut parts: Vec<Part> = Vec::new();
    for (at, pieces) in machines.iter().enumerate() {
        // What tells it from the other texts of its sort.
        let others = common.iter().enumerate().filter(|(other, _)| of_same(at, *other));
        let others: BTreeSet<String> = others.flat_map(|(_, words)| words.clone()).collect();
        let own = common.get(at).filter(|words| !words.is_disjoint(&others));
        let words: Option<BTreeSet<String>> = own.map(|words| words - &others);
        let told = words.as_ref().is_some_and(|words| !words.is_empty());
        match parts.iter_mut().find(|part| told && part.words == words) {
            Some(part) => part.pieces.extend(pieces),
            None => parts.push(Part { pieces: pieces.clone(), words }),
        }
    }
    parts
}

/// The words of a path, in lower case, without the suffixes of texts.
fn words_of(path: &str) -> BTreeSet<String> {
    const SUFFIXES: &[&str] = &["json", "log", "lst", "md", "out", "output", "text", "txt", "xml"];
    let parts = path.split(|c: char| !c.is_alphanumeric() && c != '.');
    let words = parts.flat_map(|part| {
        let whole = flat::is_address(part).then_some(part);
        let parts = part.split('.').filter(move |_| whole.is_none());
        whole.into_iter().chain(parts).filter(|word| !word.is_empty())
    });
    words.map(str::to_lowercase).filter(|word| !SUFFIXES.contains(&word.as_str())).collect()
}

/// Groups of things that have a mark in common, in order; what has none is in no group.
fn groups<T: Ord>(marks: impl Iterator<Item = BTreeSet<T>>) -> Vec<Vec<usize>> {
    let mut groups: Vec<(BTreeSet<T>, Vec<usize>)> = Vec::new();
    for (at, mut marks) in marks.enumerate().filter(|(_, marks)| !marks.is_empty()) {
        let mut members = vec![at];
        let shares = |(known, _): &mut (BTreeSet<T>, _)| !known.is_disjoint(&marks);
        let kin: Vec<_> = groups.extract_if(.., shares).collect();
        for (known, others) in kin {
            members.extend(others);
            marks.extend(known);
        }
        members.sort_unstable();
        groups.push((marks, members));
    }
    let mut groups: Vec<Vec<usize>> = groups.into_iter().map(|(_, members)| members).collect();
    groups.sort();
    groups
}

/// Moves what is of a second machine, and what follows it, to a host of its own.
pub(super) fn part(sessions: &mut BTreeMap<(String, String), Draft>) {
    let mut more = BTreeMap::new();
    let is_doubtful = |draft: &Draft| draft.said.as_deref().is_none_or(is_anybodys);
    for ((member, _), draft) in sessions.iter_mut().filter(|(_, draft)| is_doubtful(draft)) {
        let mut machines: Vec<(Traits, Vec<Piece>)> = vec![(Traits::default(), Vec::new())];
        let mut at = 0;
        for piece in draft.pieces.drain(..) {
            let traits = Traits::of(&piece);
            if machines.get(at).is_some_and(|(known, _)| known.excludes(&traits)) {
                let again = machines.iter().position(|(known, _)| known.shares(&traits));
                at = again.unwrap_or(machines.len());
            }
            if at == machines.len() {
                machines.push((Traits::default(), Vec::new()));
            }
            if let Some((known, pieces)) = machines.get_mut(at) {
                known.learn(traits);
                pieces.push(piece);
            }
        }
        for ((_, pieces), n) in machines.into_iter().zip(1..) {
            if n == 1 {
                draft.pieces = pieces;
                continue;
            }
            let name = format!("{}-{n}", draft.said.as_ref().unwrap_or(&draft.fallback));
            let of_machine = Draft {
                fallback: name.clone(),
                session: true,
                used: 1,
                pieces,
                ..Draft::default()
            };
            more.insert((member.clone(), name), of_machine);
        }
    }
    sessions.extend(more);
}
