//! Parts that may be of one machine as well as of another: they are joined with neither.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::host::{Kinship, Mark};

use super::{Part, are_kin, fits};

/// Of so many parts that go by one name each is compared with each; those behind are joined as they
/// come.
const MOST: usize = 512;

/// So many that one fits are compared with one another.
const MOST_FITTING: usize = 32;

/// What is not known of a part.
#[derive(Debug, Default)]
pub(super) struct Doubt {
    /// The parts that it fits, of more than one machine.
    pub(super) machines: BTreeSet<usize>,
    /// Further parts that fit the same.
    pub(super) alike: Vec<usize>,
}

/// The parts that fit two which are two machines, by their place in `parts`.
pub(super) fn find(parts: &[Part]) -> BTreeMap<usize, Doubt> {
    let mut by_call: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, part) in parts.iter().enumerate() {
        for call in &part.calls {
            by_call.entry(call).or_default().push(at);
        }
    }
    let mut fitting: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for (at, part) in parts.iter().enumerate().filter(|(_, part)| part.found.draft.whole.is_none())
    {
        let near = part.calls.iter().filter_map(|call| by_call.get(call.as_str()));
        let near: BTreeSet<usize> = near.flat_map(|all| all.iter().take(MOST)).copied().collect();
        let others = near.into_iter().filter(|other| *other != at);
        fitting.insert(at, fitting_best(parts, part, others));
    }
    let in_doubt: BTreeMap<usize, BTreeSet<usize>> =
        fitting.into_iter().filter(|(_, all)| are_several_machines(parts, all)).collect();
    let mut doubts = BTreeMap::new();
    for (&at, all) in &in_doubt {
        let is_alike = |other: &usize| {
            let is_other = |it: &&usize| **it != at && *it != other;
            let theirs = in_doubt.get(other);
            theirs.is_some_and(|theirs| {
                all.iter().filter(is_other).eq(theirs.iter().filter(is_other))
            })
        };
        let alike: Vec<usize> = all.iter().copied().filter(is_alike).collect();
        let machines = all.iter().copied().filter(|other| !in_doubt.contains_key(other)).collect();
        doubts.insert(at, Doubt { machines, alike });
    }
    doubts
}

/// Those that a part fits: by an id of the machine if it has one in common with any.
fn fitting_best(
    parts: &[Part],
    part: &Part,
    others: impl Iterator<Item = usize>,
) -> BTreeSet<usize> {
    let fitting = others.filter(|other| {
        parts.get(*other).is_some_and(|other| {
            // What has no name fits what has one.
            let fits =
                |a: &Part, b: &Part| fits([&a.found.draft, &b.found.draft], [&a.marks, &b.marks]);
            fits(other, part) || fits(part, other)
        })
    });
    let all: BTreeSet<usize> = fitting.collect();
    let has_its_id = |other: &usize| {
        let kinship = parts.get(*other).map(|other| other.marks.compare(&part.marks));
        matches!(kinship, Some(Kinship::One(Mark::MachineId | Mark::SystemId | Mark::DmiUuid)))
    };
    let by_id: BTreeSet<usize> = all.iter().copied().filter(has_its_id).collect();
    if by_id.is_empty() { all } else { by_id }
}

/// Whether two of them are two machines.
fn are_several_machines(parts: &[Part], all: &BTreeSet<usize>) -> bool {
    let all: Vec<&Part> = all.iter().take(MOST_FITTING).filter_map(|at| parts.get(*at)).collect();
    all.iter().enumerate().any(|(n, one)| {
        all.iter().skip(n + 1).any(|other| {
            !are_kin([&one.found.draft, &other.found.draft], [&one.marks, &other.marks])
        })
    })
}
