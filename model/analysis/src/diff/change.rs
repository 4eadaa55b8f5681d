//! What differs between two captures.
use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;

use super::counters::Rate;
use super::entity::{Class, Key, Kind};

/// What became of a thing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// It is there now.
    Added,
    /// It is no longer there.
    Removed,
    /// It is another now.
    Changed,
    /// It is elsewhere now.
    Moved,
}

impl Op {
    /// The public name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Moved => "moved",
        }
    }

    /// The sign in front of a line.
    pub fn sign(self) -> char {
        match self {
            Self::Added => '+',
            Self::Removed => '-',
            Self::Changed => '~',
            Self::Moved => '>',
        }
    }
}

/// A place on each side, where it is known: old, new.
pub type Places = [Option<Evidence>; 2];

/// One value that differs.
#[derive(Clone, PartialEq, Debug)]
pub struct Difference {
    /// Which value.
    pub name: Cow<'static, str>,
    /// Before; `None` where there was none.
    pub before: Option<String>,
    /// Now; `None` where there is none.
    pub after: Option<String>,
    /// What it means.
    pub class: Class,
    /// The lines that say so.
    pub places: Places,
}

/// One change.
#[derive(Clone, PartialEq, Debug)]
pub struct Change {
    /// What became of it.
    pub op: Op,
    /// What it is.
    pub key: Key,
    /// Its namespace, where it is in one.
    pub netns: Option<Netns>,
    /// What it is called, now where it is still there.
    pub name: String,
    /// What it means.
    pub class: Class,
    /// What differs of it.
    pub differences: Vec<Difference>,
    /// The lines that show it on each side.
    pub places: Places,
    /// What follows from it: its addresses, flows, rules.
    pub parts: Vec<Change>,
    pub(super) owners: Vec<Key>,
    pub(super) mentions: Vec<String>,
}

impl Change {
    /// What sort of thing changed.
    pub fn kind(&self) -> Kind {
        self.key.kind
    }

    /// The difference of one value.
    pub fn difference(&self, name: &str) -> Option<&Difference> {
        self.differences.iter().find(|it| it.name == name)
    }

    /// The best line of each side: that of the value that weighs most, else that of the thing.
    pub fn best_places(&self) -> Places {
        if matches!(self.op, Op::Added | Op::Removed) && self.places.iter().any(Option::is_some) {
            return self.places;
        }
        let worst = self.differences.iter().max_by_key(|it| it.class);
        let of = |side: fn(&Places) -> Option<Evidence>| {
            worst.and_then(|it| side(&it.places)).or_else(|| side(&self.places))
        };
        [of(|it| it[0]), of(|it| it[1])]
    }

    /// How many changes it stands for, itself included.
    pub fn count(&self) -> usize {
        1 + self.parts.iter().map(Self::count).sum::<usize>()
    }
}

/// Numbers that were given anew: one remark for all things of a kind.
#[derive(Clone, PartialEq, Debug)]
pub struct Renumbering {
    /// What has the numbers.
    pub kind: Kind,
    /// Which number: `ofport`, `ifindex`, `local VLAN`.
    pub what: String,
    /// The things, with the number before and now.
    pub of: Vec<Renumbered>,
}

/// One thing that has another number now.
#[derive(Clone, PartialEq, Debug)]
pub struct Renumbered {
    /// Its name.
    pub name: String,
    /// The number before.
    pub before: String,
    /// The number now.
    pub after: String,
    /// The lines that say so.
    pub places: Places,
}

/// What was captured on one side alone: it cannot be compared, and nothing of it is added or removed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    /// What sort of things.
    pub kind: Kind,
    /// The value of theirs, where the things themselves were captured.
    pub value: Option<String>,
    /// The side that lacks it is the new one.
    pub new_lacks: bool,
    /// How many things of the other side cannot be compared.
    pub things: usize,
    /// Where, some of the places.
    pub places: Vec<String>,
}

/// What differs between two captures of one host.
#[derive(Clone, PartialEq, Debug)]
pub struct HostDiff {
    /// The host in the old captures.
    pub old: HostId,
    /// The host in the new captures.
    pub new: HostId,
    /// What says that both are one machine; a remark where nothing does.
    pub remark: Option<String>,
    /// The changes, the worst first.
    pub changes: Vec<Change>,
    /// Numbers that were given anew.
    pub renumbered: Vec<Renumbering>,
    /// What cannot be compared.
    pub gaps: Vec<Gap>,
    /// Counters of errors and drops that grew, the fastest first.
    pub rates: Vec<Rate>,
    /// How many things were compared.
    pub compared: usize,
}

impl HostDiff {
    /// How many changes of each class there are, those that follow from others not counted.
    pub fn counts(&self) -> BTreeMap<Class, usize> {
        let mut counts = BTreeMap::new();
        for change in &self.changes {
            *counts.entry(change.class).or_default() += 1;
        }
        counts
    }
}
