//! What left one host and came to another: a VM that was migrated, an address that moved.
use std::borrow::Cow;
use std::collections::BTreeMap;

use super::change::{Difference, Op};
use super::entity::{Class, Kind};
use super::side::Side;
use super::{Change, Diff};

/// A change: the host, and the change there.
type Place = (usize, usize);

/// What is known everywhere by one name.
fn global_id(change: &Change) -> Option<(Kind, String)> {
    let told = |name: &str| {
        let it = change.difference(name)?;
        it.before.clone().or_else(|| it.after.clone())
    };
    match change.key.kind {
        Kind::Vm => Some((Kind::Vm, told("uuid").unwrap_or_else(|| change.key.id.clone()))),
        Kind::Address => {
            let (_, address) = change.key.id.split_once(' ')?;
            // What every host may have moves nowhere.
            let shared = address.starts_with("127.")
                || address.starts_with("fe80:")
                || address.starts_with("169.254.")
                || address.starts_with("::1/");
            (!shared).then(|| (Kind::Address, address.to_owned()))
        }
        _ => None,
    }
}

/// Makes one move of a thing that is gone from one place and come to one other.
pub(super) fn join(diff: &mut Diff, old: &Side<'_, '_>, new: &Side<'_, '_>) {
    let mut places: BTreeMap<(Kind, String), (Vec<Place>, Vec<Place>)> = BTreeMap::new();
    for (at, host) in diff.hosts.iter().enumerate() {
        for (n, change) in host.changes.iter().enumerate() {
            if change.class == Class::Noise {
                continue;
            }
            let Some(id) = global_id(change) else { continue };
            let (gone, come) = places.entry(id).or_default();
            match change.op {
                Op::Removed => gone.push((at, n)),
                Op::Added => come.push((at, n)),
                Op::Changed | Op::Moved => {}
            }
        }
    }
    let mut dropped: Vec<(usize, usize)> = Vec::new();
    for (id, (gone, come)) in places {
        let ([from], [to]) = (gone.as_slice(), come.as_slice()) else { continue };
        let label = |side: &Side<'_, '_>, host| side.snapshot().host_label(host).to_owned();
        let Some(old_host) = diff.hosts.get(from.0).map(|host| label(old, host.old)) else {
            continue;
        };
        let Some(new_host) = diff.hosts.get(to.0).map(|host| label(new, host.new)) else {
            continue;
        };
        let taken = diff.hosts.get_mut(from.0).and_then(|host| host.changes.get(from.1).cloned());
        let Some(before) = taken else { continue };
        let Some(after) = diff.hosts.get_mut(to.0).and_then(|host| host.changes.get_mut(to.1))
        else {
            continue;
        };
        let (what, was, is) = if from.0 == to.0 {
            let place = |change: &Change| match (&change.netns, change.key.id.split_once(' ')) {
                (Some(netns), Some((dev, _))) if !netns.is_root() => format!("{netns}/{dev}"),
                (_, Some((dev, _))) => dev.to_owned(),
                _ => change.name.clone(),
            };
            ("device", place(&before), place(after))
        } else {
            ("host", old_host, new_host)
        };
        // A VM that is known by name alone and came back on its own host is a matter of its UUID.
        if id.0 == Kind::Vm && from.0 == to.0 {
            continue;
        }
        after.op = Op::Moved;
        after.places = [before.best_places()[0], after.best_places()[1]];
        after.differences = vec![Difference {
            name: Cow::Borrowed(what),
            before: Some(was),
            after: Some(is),
            class: Class::Config,
            places: after.places,
        }];
        after.class = Class::Config;
        after.parts.extend(before.parts);
        dropped.push(*from);
    }
    for (at, host) in diff.hosts.iter_mut().enumerate() {
        let mut n = 0;
        host.changes.retain(|_| {
            n += 1;
            !dropped.contains(&(at, n - 1))
        });
    }
}
