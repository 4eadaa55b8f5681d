//! What went and came in one place is one change: another address of a device, another MAC of a NIC,
//! another selector of a policy rule.
use std::borrow::Cow;
use std::collections::BTreeMap;

use super::change::{Change, Difference, Op};
use super::entity::{Class, Kind};

/// What only one thing can be in at a time, as a rule, and what is told of that.
fn slot(change: &Change) -> Option<((Kind, String, String), &'static str)> {
    let id = change.key.id.as_str();
    let (within, what) = match change.key.kind {
        Kind::Address => {
            let (dev, address) = id.split_once(' ')?;
            let family = if address.contains(':') { "inet6" } else { "inet" };
            (format!("{dev} {family}"), "address")
        }
        Kind::VmNic => {
            let device = change.difference("device")?;
            (device.before.clone().or_else(|| device.after.clone())?, "mac")
        }
        Kind::Rule => (id.split_once(':')?.0.to_owned(), "selector"),
        _ => return None,
    };
    Some(((change.key.kind, change.key.place.clone(), within), what))
}

/// The part of a key that tells two things of one slot apart.
fn own(change: &Change) -> String {
    let id = change.key.id.as_str();
    match change.key.kind {
        Kind::Address => id.split_once(' ').map_or(id, |(_, address)| address).to_owned(),
        Kind::Rule => id.split_once(": ").map_or(id, |(_, selector)| selector).to_owned(),
        _ => id.to_owned(),
    }
}

/// Makes one change of each pair.
pub(super) fn join(changes: Vec<Change>) -> Vec<Change> {
    let mut slots: BTreeMap<(Kind, String, String), [Vec<usize>; 2]> = BTreeMap::new();
    for (at, change) in changes.iter().enumerate() {
        if change.class == Class::Noise {
            continue;
        }
        let side = match change.op {
            Op::Removed => 0,
            Op::Added => 1,
            Op::Changed | Op::Moved => continue,
        };
        if let Some((slot, _)) = slot(change)
            && let Some(side) = slots.entry(slot).or_default().get_mut(side)
        {
            side.push(at);
        }
    }
    let mut pairs: BTreeMap<usize, usize> = BTreeMap::new();
    for [gone, come] in slots.values() {
        if let ([gone], [come]) = (gone.as_slice(), come.as_slice()) {
            pairs.insert(*come, *gone);
        }
    }
    let dropped: Vec<usize> = pairs.values().copied().collect();
    let befores: BTreeMap<usize, Change> = pairs
        .iter()
        .filter_map(|(come, gone)| Some((*come, changes.get(*gone)?.clone())))
        .collect();
    let mut kept = Vec::with_capacity(changes.len());
    for (at, mut change) in changes.into_iter().enumerate() {
        if dropped.contains(&at) {
            continue;
        }
        if let Some(before) = befores.get(&at) {
            let what = slot(&change).map_or("name", |(_, what)| what);
            let places = [before.places[0], change.places[1]];
            let mut differences = vec![Difference {
                name: Cow::Borrowed(what),
                before: Some(own(before)),
                after: Some(own(&change)),
                class: Class::Config,
                places,
            }];
            differences.extend(values(before, &change));
            change.op = Op::Changed;
            change.class = before.class.max(change.class);
            change.differences = differences;
            change.places = places;
            change.mentions.extend(before.mentions.iter().cloned());
        }
        kept.push(change);
    }
    kept
}

/// Further values that differ.
fn values<'c>(before: &'c Change, after: &'c Change) -> impl Iterator<Item = Difference> + 'c {
    after.differences.iter().filter_map(|now| {
        let was = before.difference(&now.name)?;
        (was.before != now.after).then(|| Difference {
            name: now.name.clone(),
            before: was.before.clone(),
            after: now.after.clone(),
            class: now.class,
            places: [was.places[0], now.places[1]],
        })
    })
}
