//! What follows from what: the addresses of a device that is gone are no changes of their own, nor are
//! the flows of a port that was moved. Each change is put under the one that explains it.
use std::collections::BTreeMap;

use tapline_topology::names::{self, port_prefix};

use super::change::{Change, Difference, Op};
use super::entity::{Class, Key, Kind, View};

/// How long a chain of explanations may be: a VM, its port, its device, an address, a route.
const DEEPEST: usize = 8;

/// More flows of one bridge, or rules of one table, than these are one change.
const MANY: usize = 6;

/// Values by which a thing that hangs on others gets another place.
const PLUGGED: &[&str] = &["bridge", "tag", "master", "network", "vlans", "namespace"];

/// Puts changes under those that explain them.
pub(super) fn fold(mut changes: Vec<Change>, old: &View, new: &View) -> Vec<Change> {
    add_moves(&mut changes, old, new);
    let heads = Heads::of(&changes);
    let parents: Vec<Option<usize>> = (0..changes.len())
        .map(|at| changes.get(at).and_then(|change| heads.parent(&changes, at, change)))
        .collect();
    let roots: Vec<Option<usize>> = (0..changes.len()).map(|at| root(&parents, at)).collect();
    let mut parts: BTreeMap<usize, Vec<Change>> = BTreeMap::new();
    let mut kept: Vec<(usize, Change)> = Vec::new();
    for ((at, change), root) in changes.into_iter().enumerate().zip(roots) {
        match root {
            Some(root) => parts.entry(root).or_default().push(change),
            None => kept.push((at, change)),
        }
    }
    let folded: Vec<Change> = kept
        .into_iter()
        .map(|(at, mut change)| {
            change.parts = parts.remove(&at).unwrap_or_default();
            let worst = change.parts.iter().map(|part| part.class).max();
            change.class = worst.map_or(change.class, |worst| worst.max(change.class));
            change
        })
        .collect();
    let mut folded = group(folded);
    folded.sort_by(|a, b| {
        let order = |change: &Change| {
            (std::cmp::Reverse(change.class), change.netns.clone(), change.key.clone(), change.op)
        };
        order(a).cmp(&order(b))
    });
    folded
}

/// Many flows of one bridge, or rules of one table, are one change: they come from what somebody set
/// elsewhere.
fn group(changes: Vec<Change>) -> Vec<Change> {
    let place = |change: &Change| match change.key.kind {
        Kind::Flow => Some((Kind::Flow, change.key.place.clone())),
        Kind::FilterRule | Kind::Chain => Some((Kind::Chain, change.key.place.clone())),
        Kind::OvnRow => Some((Kind::OvnRow, change.key.place.clone())),
        _ => None,
    };
    let mut many: BTreeMap<(Kind, String), usize> = BTreeMap::new();
    for change in changes.iter().filter(|change| change.class.is_change()) {
        if let Some(place) = place(change) {
            *many.entry(place).or_default() += 1;
        }
    }
    let mut kept = Vec::new();
    let mut grouped: BTreeMap<(Kind, String), Vec<Change>> = BTreeMap::new();
    for change in changes {
        let of = place(&change).filter(|_| change.class.is_change());
        match of.filter(|place| many.get(place).is_some_and(|many| *many > MANY)) {
            Some(place) => grouped.entry(place).or_default().push(change),
            None => kept.push(change),
        }
    }
    for ((kind, place), parts) in grouped {
        let first = parts.first();
        let netns = first.and_then(|first| first.netns.clone());
        let places = first.map_or([None, None], |first| first.places);
        let name = place.trim().to_owned();
        kept.push(Change {
            op: Op::Changed,
            key: Key::new(kind, place, ""),
            netns,
            name,
            class: parts.iter().map(|part| part.class).max().unwrap_or(Class::Config),
            differences: Vec::new(),
            places,
            parts,
            owners: Vec::new(),
            mentions: Vec::new(),
        });
    }
    kept
}

/// The change that stands for one in the end; `None` where it stands for itself.
fn root(parents: &[Option<usize>], at: usize) -> Option<usize> {
    let mut found = None;
    let mut here = at;
    for _ in 0..DEEPEST {
        match parents.get(here).copied().flatten() {
            // What explains itself in a circle is explained by its last.
            Some(parent) if parent != at => {
                found = Some(parent);
                here = parent;
            }
            _ => break,
        }
    }
    // The end of the chain has to be one that is kept.
    let end = found?;
    let is_kept = parents.get(end).copied().flatten().is_none();
    is_kept.then_some(end)
}

/// A VM whose NIC hangs on another network is one move, whatever is made anew for it.
fn add_moves(changes: &mut Vec<Change>, old: &View, new: &View) {
    let mut moves: BTreeMap<Key, Change> = BTreeMap::new();
    let known: Vec<&Key> = changes.iter().map(|change| &change.key).collect();
    for change in changes.iter() {
        if change.op != Op::Changed
            || !matches!(change.key.kind, Kind::VmNic | Kind::Netdev | Kind::OvsPort)
        {
            continue;
        }
        let plugged: Vec<&Difference> = change
            .differences
            .iter()
            .filter(|it| PLUGGED.contains(&it.name.as_ref()))
            .filter(|it| it.before.is_some() && it.after.is_some() && it.class < Class::Breaking)
            .collect();
        let vm = change.owners.iter().find(|owner| owner.kind == Kind::Vm);
        let (Some(vm), false) = (vm, plugged.is_empty()) else { continue };
        let (Some(before), Some(after)) = (old.entities.get(vm), new.entities.get(vm)) else {
            continue;
        };
        if known.contains(&vm) {
            continue;
        }
        let it = moves.entry(vm.clone()).or_insert_with(|| Change {
            op: Op::Moved,
            key: vm.clone(),
            netns: None,
            name: after.name.clone(),
            class: Class::Config,
            differences: Vec::new(),
            places: [before.at, after.at],
            parts: Vec::new(),
            owners: Vec::new(),
            mentions: Vec::new(),
        });
        for difference in plugged {
            let is_told = it.differences.iter().any(|told| {
                told.name == difference.name
                    && told.before == difference.before
                    && told.after == difference.after
            });
            if !is_told {
                it.differences.push(difference.clone());
            }
        }
    }
    changes.extend(moves.into_values());
}

/// Changes that may explain others.
struct Heads {
    keys: BTreeMap<Key, usize>,
    /// By a word that rules and flows name it by.
    words: BTreeMap<String, usize>,
    /// By the first ten characters of a port's id, which the chains of neutron are named by.
    ports: BTreeMap<String, usize>,
    /// By which bridges the networks of OVN leave the host.
    mappings: Option<usize>,
}

impl Heads {
    fn of(changes: &[Change]) -> Self {
        let mut heads = Self {
            keys: BTreeMap::new(),
            words: BTreeMap::new(),
            ports: BTreeMap::new(),
            mappings: None,
        };
        for (at, change) in changes.iter().enumerate() {
            if change.difference("external_ids:ovn-bridge-mappings").is_some() {
                heads.mappings = Some(at);
            }
            if !is_wide(change) {
                continue;
            }
            heads.keys.insert(change.key.clone(), at);
            match change.key.kind {
                Kind::Netdev | Kind::OvsPort => {
                    heads.words.entry(change.key.id.clone()).or_insert(at);
                    let placed = format!("{}/{}", change.key.place, change.key.id);
                    heads.words.entry(placed).or_insert(at);
                    if let Some(port) = port_prefix(&change.key.id).and_then(|it| it.get(..10)) {
                        heads.ports.entry(port.to_owned()).or_insert(at);
                    }
                }
                Kind::VmNic | Kind::Chain => {
                    heads.words.entry(change.key.id.clone()).or_insert(at);
                }
                Kind::Address => {
                    let words = change.mentions.iter().cloned();
                    words.for_each(|word| {
                        heads.words.entry(word).or_insert(at);
                    });
                }
                _ => {}
            }
        }
        heads
    }

    /// The change that explains another.
    fn parent(&self, changes: &[Change], at: usize, change: &Change) -> Option<usize> {
        let explains = |head: &usize| {
            *head != at && changes.get(*head).is_some_and(|head| explains(head, change))
        };
        let by_owner = change.owners.iter().filter_map(|owner| self.keys.get(owner));
        if let Some(owner) = by_owner.copied().find(|head| explains(head)) {
            return Some(owner);
        }
        // ovn-controller makes a patch for each network that is mapped to a bridge.
        if let (Some(mappings), Kind::OvsPort) = (self.mappings, change.key.kind)
            && change.op != Op::Changed
            && names::is_ovn_patch(&change.key.id)
        {
            return Some(mappings);
        }
        let named = match change.key.kind {
            Kind::Flow | Kind::FilterRule | Kind::Chain | Kind::Fdb | Kind::Neighbour => true,
            Kind::Route => true,
            Kind::Netdev => change.differences.iter().all(|it| is_of_carrier(&it.name)),
            _ => false,
        };
        if !named {
            return None;
        }
        change.mentions.iter().find_map(|word| {
            let by_word = self.words.get(word);
            let tail = || {
                let start = word.len().checked_sub(10)?;
                self.ports.get(word.get(start..)?)
            };
            by_word.or_else(tail).copied().filter(|head| explains(head))
        })
    }
}

fn is_of_carrier(name: &str) -> bool {
    matches!(name, "carrier" | "port state" | "link detected")
}

/// Whether other changes may follow from one.
fn is_wide(change: &Change) -> bool {
    if matches!(change.op, Op::Added | Op::Removed | Op::Moved) {
        return change.key.kind != Kind::FilterRule && change.key.kind != Kind::Flow;
    }
    let has = |names: &[&str]| {
        let mut of_weight = change.differences.iter().filter(|it| it.class > Class::Noise);
        of_weight.any(|it| names.contains(&it.name.as_ref()))
    };
    match change.key.kind {
        Kind::Netdev => has(&["state", "carrier", "namespace", "mac", "name"]),
        Kind::OvsPort => has(&["bridge", "tag", "name"]),
        Kind::Vm => has(&["state", "uuid", "name"]),
        Kind::VmNic => has(&["mac"]),
        Kind::Address => has(&["address"]),
        _ => false,
    }
}

/// Whether a change follows from another that it belongs to or names.
fn explains(head: &Change, change: &Change) -> bool {
    match (head.op, change.op) {
        (Op::Moved | Op::Changed, _) => {
            // A device that only lost its carrier takes nothing with it but carriers and routes.
            let only_carrier = head.differences.iter().all(|it| is_of_carrier(&it.name));
            !(head.key.kind == Kind::Netdev && only_carrier)
                || matches!(change.key.kind, Kind::Netdev | Kind::Route | Kind::Neighbour)
        }
        (Op::Removed, Op::Removed) | (Op::Added, Op::Added) => true,
        (Op::Removed | Op::Added, Op::Changed | Op::Moved) => {
            matches!(
                change.key.kind,
                Kind::Flow
                    | Kind::Chain
                    | Kind::Fdb
                    | Kind::Netdev
                    | Kind::Neighbour
                    | Kind::FilterRule
            )
        }
        // A flow that names a port may be replaced by one that does not.
        (Op::Removed, Op::Added) | (Op::Added, Op::Removed) => {
            matches!(change.key.kind, Kind::Flow | Kind::FilterRule)
        }
    }
}
