//! What changed between two captures, and what it broke.
//!
//! The things of both sides are brought into one form (`gather.rs`, `things/`), under the names that
//! they have on the new side (`names.rs`), and compared by keys that last (`compare.rs`). What follows
//! from a change is put under it (`fold.rs`). Absence counts only where the texts of that side show
//! everything (`View::is_absent`): what was captured on one side alone is a [`Gap`] and neither added
//! nor removed.
mod change;
mod compare;
mod counters;
mod entity;
mod findings;
mod fold;
mod gather;
mod hosts;
mod kept;
mod moves;
mod names;
mod reach;
mod replace;
mod role;
mod side;
mod things;
mod touched;
mod traces;
mod when;

use rayon::prelude::*;
use tapline_core::capture::HostId;

pub use change::{Change, Difference, Gap, HostDiff, Op, Places, Renumbered, Renumbering};
pub use counters::Rate;
pub use entity::{Class, Key, Kind};
pub use findings::{Fate, FindingChange};
pub use kept::{Kept, keep};
pub use reach::{Because, VerdictChange};
pub use side::Side;
pub use touched::{Touch, Touched, touched};
pub use when::{Event, Sort, When};

use change::Renumbering as Numbers;
use entity::View;
use names::Names;
use traces::Traces;
use when::Clock;

/// What differs.
#[derive(Debug, Default)]
pub struct Diff {
    /// Hosts that both sides have.
    pub hosts: Vec<HostDiff>,
    /// Hosts that only the old captures have: not comparable.
    pub only_old: Vec<HostId>,
    /// Hosts that only the new captures have: not comparable.
    pub only_new: Vec<HostId>,
    /// Further captures of machines that are compared, of each side: left out.
    pub further: [Vec<HostId>; 2],
    /// Why the only two hosts are not compared.
    pub refused: Option<String>,
    /// Findings of both sides.
    pub findings: Vec<FindingChange>,
    /// What is reached now and was not, and the other way round.
    pub verdicts: Vec<VerdictChange>,
    /// Guests that were not asked what they reach, since there are too many.
    pub unasked: usize,
    /// What happened when, the earliest first: only where something is dated.
    pub events: Vec<Event>,
}

impl Diff {
    /// Whether anything could be compared.
    pub fn is_comparable(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// The worst class of all changes.
    pub fn worst(&self) -> Option<Class> {
        self.hosts.iter().flat_map(|host| &host.changes).map(|change| change.class).max()
    }
}

/// What makes a host of one side and a host of the other comparable.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum By {
    /// They are one machine, at two times.
    #[default]
    Identity,
    /// They are two machines that do the same.
    Role,
}

/// Compares two sides.
pub fn compare(old: &Side<'_, '_>, new: &Side<'_, '_>, by: By) -> Diff {
    let pairs = hosts::pair(old, new, by);
    let mut diff = Diff {
        hosts: pairs.both.par_iter().map(|pair| compare_hosts(old, new, pair, by)).collect(),
        only_old: pairs.old,
        only_new: pairs.new,
        further: pairs.further,
        refused: pairs.refused,
        ..Diff::default()
    };
    moves::join(&mut diff, old, new);
    // Two machines have guests and faults of their own, and what was written down tells of neither.
    let is_judged = by == By::Identity && !old.is_kept() && !new.is_kept();
    if is_judged {
        findings::compare(&mut diff, old, new);
        reach::compare(&mut diff, old, new);
    }
    put_worst_first(&mut diff);
    if is_judged {
        diff.events = when::line(&diff, old, new);
    }
    diff
}

/// Sorts the changes again, whose class may have changed with verdicts and findings, which name them by
/// their place in the list.
fn put_worst_first(diff: &mut Diff) {
    let mut places: Vec<Vec<usize>> = Vec::new();
    for host in &mut diff.hosts {
        let mut changes: Vec<(usize, Change)> =
            std::mem::take(&mut host.changes).into_iter().enumerate().collect();
        changes.sort_by_key(|(_, change)| std::cmp::Reverse(change.class));
        let mut now = vec![0; changes.len()];
        for (at, (was, _)) in changes.iter().enumerate() {
            if let Some(place) = now.get_mut(*was) {
                *place = at;
            }
        }
        places.push(now);
        host.changes = changes.into_iter().map(|(_, change)| change).collect();
    }
    let now = |host: usize, change: usize| places.get(host)?.get(change).copied();
    for finding in &mut diff.findings {
        finding.because = finding.because.and_then(|(host, at)| Some((host, now(host, at)?)));
    }
    for verdict in &mut diff.verdicts {
        verdict.because =
            verdict.because.and_then(|(host, at, how)| Some((host, now(host, at)?, how)));
    }
}

fn compare_hosts(
    old: &Side<'_, '_>,
    new: &Side<'_, '_>,
    (before, after, remark): &(HostId, HostId, Option<String>),
    by: By,
) -> HostDiff {
    let Views { mut was, mut is, vlans } = views((old, *before), (new, *after));
    if by == By::Role {
        role::keep_common(&mut was);
        role::keep_common(&mut is);
    }
    let rates = match by {
        By::Identity => {
            let run = Clock::of(old, *before).run(&Clock::of(new, *after));
            counters::rates(&was, &is, run)
        }
        By::Role => Vec::new(),
    };
    let found = compare::compare(&was, &is);
    let mut renumbered = found.renumbered;
    let vlans: Vec<Renumbered> = vlans
        .into_iter()
        .map(|(before, after)| Renumbered {
            name: format!("VLAN {before}"),
            before: before.to_string(),
            after: after.to_string(),
            places: [None, None],
        })
        .collect();
    if !vlans.is_empty() {
        renumbered.push(Numbers { kind: Kind::OvsPort, what: "local VLAN".to_owned(), of: vlans });
    }
    HostDiff {
        old: *before,
        new: *after,
        remark: remark.clone(),
        changes: fold::fold(replace::join(found.changes), &was, &is),
        renumbered,
        gaps: found.gaps,
        rates,
        compared: found.compared,
    }
}

/// The things of a host on both sides, under the same names, and local VLANs that have other numbers.
struct Views {
    was: View,
    is: View,
    vlans: Vec<(u16, u16)>,
}

fn views(old: (&Side<'_, '_>, HostId), new: (&Side<'_, '_>, HostId)) -> Views {
    let of = |(side, host): (&Side<'_, '_>, HostId), names: Option<&Names>| {
        gather::gather(side, host, names)
    };
    match (old.0.kept(old.1), new.0.kept(new.1)) {
        (None, None) => {
            let names = Names::of(&Traces::of(old.0, old.1), &Traces::of(new.0, new.1));
            let vlans = names.renumbered_vlans().collect();
            Views { was: of(old, Some(&names)), is: of(new, None), vlans }
        }
        // What was written down keeps its names.
        (Some(kept), None) => {
            let names = Names::of(&Traces::of(new.0, new.1), &kept.traces());
            let vlans = names.renumbered_vlans().map(|(now, before)| (before, now)).collect();
            let mut is = of(new, Some(&names));
            is.entities.retain(|key, _| kept::is_kept(key.kind));
            Views { was: kept.view(), is, vlans }
        }
        (None, Some(kept)) => {
            let names = Names::of(&Traces::of(old.0, old.1), &kept.traces());
            let vlans = names.renumbered_vlans().collect();
            let mut was = of(old, Some(&names));
            was.entities.retain(|key, _| kept::is_kept(key.kind));
            Views { was, is: kept.view(), vlans }
        }
        (Some(before), Some(after)) => {
            Views { was: before.view(), is: after.view(), vlans: Vec::new() }
        }
    }
}
