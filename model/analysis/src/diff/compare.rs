//! Compares the things of two captures of one host.
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use similar::{Algorithm, ChangeTag, TextDiff};

use super::change::{Change, Difference, Gap, Op, Renumbered, Renumbering};
use super::entity::{Class, Entity, Key, Kind, Line, Value, View};

/// After this time the differences of ordered lists may be more than they had to be.
const PATIENCE: Duration = Duration::from_secs(2);
/// Places that a gap names.
const PLACES: usize = 4;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) changes: Vec<Change>,
    pub(super) renumbered: Vec<Renumbering>,
    pub(super) gaps: Vec<Gap>,
    pub(super) compared: usize,
}

/// Compares all things.
pub(super) fn compare(old: &View, new: &View) -> Found {
    let kept = [old.is_kept, new.is_kept];
    let mut comparing = Comparing { kept, ..Comparing::default() };
    let gone = vanished(old, new);
    let come = vanished(new, old);
    for (key, before) in &old.entities {
        match new.entities.get(key) {
            Some(after) => comparing.both(before, after),
            None if new.is_absent(before) || goes_with(before, &gone) => {
                comparing.one(Op::Removed, before);
            }
            None => comparing.gap(before, true),
        }
    }
    for (key, after) in &new.entities {
        if old.entities.contains_key(key) {
            continue;
        }
        if old.is_absent(after) || goes_with(after, &come) {
            comparing.one(Op::Added, after);
        } else {
            comparing.gap(after, false);
        }
    }
    comparing.finish()
}

/// Namespaces, bridges and VMs that one side has and the other surely has not: nothing is in them
/// there.
fn vanished<'v>(has: &'v View, lacks: &View) -> BTreeSet<&'v Key> {
    let all = has.entities.iter().filter(|(key, it)| {
        matches!(key.kind, Kind::Netns | Kind::OvsBridge | Kind::Vm)
            && !lacks.entities.contains_key(*key)
            && lacks.is_absent(it)
    });
    all.map(|(key, _)| key).collect()
}

fn goes_with(it: &Entity, vanished: &BTreeSet<&Key>) -> bool {
    let netns = it.netns.as_ref().filter(|netns| !netns.is_root());
    let in_netns =
        netns.is_some_and(|netns| vanished.contains(&Key::new(Kind::Netns, "", netns.to_string())));
    let of_bridge = matches!(it.key.kind, Kind::Flow)
        && vanished.contains(&Key::new(Kind::OvsBridge, "", it.key.place.as_str()));
    let of_vm = matches!(it.key.kind, Kind::VmNic)
        && vanished.contains(&Key::new(Kind::Vm, "", it.key.place.as_str()));
    in_netns || of_bridge || of_vm
}

/// What is lacking: things of a kind, or a value of theirs; on the new side, or the old one.
type Lacking = (Kind, Option<String>, bool);

#[derive(Default)]
struct Comparing {
    found: Found,
    renumbered: BTreeMap<(Kind, String), Vec<Renumbered>>,
    gaps: BTreeMap<Lacking, (usize, BTreeSet<String>)>,
    /// The sides that were written down.
    kept: [bool; 2],
}

impl Comparing {
    /// What it means that a value differs: what was written down does not tell.
    fn class_of(&self, old: Option<&Value>, new: Option<&Value>) -> Class {
        let class = |value: Option<&Value>| value.map(|value| value.class);
        let told = match self.kept {
            [true, false] => class(new).or(class(old)),
            [false, true] => class(old).or(class(new)),
            _ => class(old).max(class(new)),
        };
        told.unwrap_or(Class::Noise)
    }

    fn gap(&mut self, it: &Entity, new_lacks: bool) {
        // What is learnt comes and goes, whatever was captured of it.
        if it.class == Class::Noise {
            return;
        }
        let place = match (&it.netns, it.key.kind) {
            (_, Kind::Flow | Kind::OvnRow | Kind::VmNic) => it.key.place.clone(),
            (Some(netns), _) => netns.to_string(),
            (None, _) => String::new(),
        };
        let (things, places) = self.gaps.entry((it.key.kind, None, new_lacks)).or_default();
        *things += 1;
        places.insert(place);
    }

    fn value_gap(&mut self, kind: Kind, name: &str, new_lacks: bool) {
        let (things, _) = self.gaps.entry((kind, Some(name.to_owned()), new_lacks)).or_default();
        *things += 1;
    }

    /// A thing of one side.
    fn one(&mut self, op: Op, it: &Entity) {
        let is_old = op == Op::Removed;
        let class = match (is_old, it.is_link) {
            (true, true) if it.class == Class::Config => Class::Breaking,
            _ => it.class,
        };
        let places = if is_old { [it.at, None] } else { [None, it.at] };
        let mut differences = Vec::new();
        for (name, value) in &it.values {
            let is_told = value.text.is_some() && name != "name" && name != "namespace";
            if is_told && matches!(value.class, Class::Config | Class::Cosmetic) {
                let text = value.text.clone();
                let (before, after) = if is_old { (text, None) } else { (None, text) };
                let places = if is_old { [value.at, None] } else { [None, value.at] };
                differences.push(Difference { name: name.clone(), before, after, class, places });
            }
        }
        if !it.lines.is_empty() {
            let text = Some(it.lines.len().to_string());
            let (before, after) = if is_old { (text, None) } else { (None, text) };
            let name = Cow::Borrowed("rules");
            differences.push(Difference { name, before, after, class, places });
        }
        self.found.changes.push(Change {
            op,
            key: it.key.clone(),
            netns: it.netns.clone(),
            name: it.name.clone(),
            class,
            differences,
            places,
            parts: Vec::new(),
            owners: it.owners.clone(),
            mentions: it.mentions.clone(),
        });
    }

    /// A thing of both sides.
    fn both(&mut self, before: &Entity, after: &Entity) {
        self.found.compared += 1;
        let mut differences = Vec::new();
        let names: BTreeSet<&Cow<'static, str>> =
            before.values.keys().chain(after.values.keys()).collect();
        for name in names {
            let (old, new) = (before.values.get(name), after.values.get(name));
            let class = self.class_of(old, new);
            let (unset_before, unset_now) = (unset(before, name), unset(after, name));
            let (was, is) = (old.or(unset_before.as_ref()), new.or(unset_now.as_ref()));
            let (Some(old), Some(new)) = (was, is) else {
                let told = old.or(new);
                if class.is_change() && told.is_some_and(|it| it.text.is_some()) {
                    self.value_gap(before.key.kind, name, new.is_none());
                }
                continue;
            };
            if old.text == new.text {
                continue;
            }
            let places = [old.at.or(before.at), new.at.or(after.at)];
            if class == Class::Renumbered {
                // Numbers of a list are told together: `zone of connection tracking:PORT`.
                let (what, of) = match name.split_once(':') {
                    Some((list, of)) => (list, of.to_owned()),
                    None => (name.as_ref(), after.name.clone()),
                };
                let of = Renumbered {
                    name: of,
                    before: old.text.clone().unwrap_or_default(),
                    after: new.text.clone().unwrap_or_default(),
                    places,
                };
                self.renumbered.entry((before.key.kind, what.to_owned())).or_default().push(of);
                continue;
            }
            let class = if new.is_cut && !old.is_cut { Class::Breaking } else { class };
            differences.push(Difference {
                name: name.clone(),
                before: old.text.clone(),
                after: new.text.clone(),
                class,
                places,
            });
        }
        self.lists(before, after);
        let Some(class) = differences.iter().map(|it| it.class).max() else { return };
        let mut mentions = before.mentions.clone();
        mentions.extend(after.mentions.iter().cloned());
        mentions.sort();
        mentions.dedup();
        let mut owners = after.owners.clone();
        owners.extend(before.owners.iter().filter(|it| !after.owners.contains(it)).cloned());
        self.found.changes.push(Change {
            op: Op::Changed,
            key: after.key.clone(),
            netns: after.netns.clone(),
            name: after.name.clone(),
            class,
            differences,
            places: [before.at, after.at],
            parts: Vec::new(),
            owners,
            mentions,
        });
    }

    /// Rules in order: what came, what went, and what has another place among the others.
    fn lists(&mut self, before: &Entity, after: &Entity) {
        let texts = |lines: &'_ [Line]| -> Vec<String> {
            lines.iter().map(|line| line.text.clone()).collect()
        };
        let (old, new) = (texts(&before.lines), texts(&after.lines));
        if old == new {
            return;
        }
        let old: Vec<&str> = old.iter().map(String::as_str).collect();
        let new: Vec<&str> = new.iter().map(String::as_str).collect();
        let diff = TextDiff::configure()
            .algorithm(Algorithm::Myers)
            .deadline(Instant::now() + PATIENCE)
            .diff_slices(&old, &new);
        let (mut gone, mut come) = (Vec::new(), Vec::new());
        for one in diff.iter_all_changes() {
            match one.tag() {
                ChangeTag::Equal => {}
                ChangeTag::Delete => {
                    gone.extend(one.old_index().and_then(|at| before.lines.get(at)));
                }
                ChangeTag::Insert => {
                    come.extend(one.new_index().and_then(|at| after.lines.get(at)));
                }
            }
        }
        let mut pairs: BTreeMap<&str, (Vec<&Line>, Vec<&Line>)> = BTreeMap::new();
        for line in gone {
            pairs.entry(&line.text).or_default().0.push(line);
        }
        for line in come {
            pairs.entry(&line.text).or_default().1.push(line);
        }
        for (text, (gone, come)) in pairs {
            let moved = gone.len().min(come.len());
            for (old, new) in gone.iter().zip(&come) {
                self.rule(after, Op::Moved, text, [Some(*old), Some(*new)]);
            }
            for old in gone.iter().skip(moved) {
                self.rule(after, Op::Removed, text, [Some(*old), None]);
            }
            for new in come.iter().skip(moved) {
                self.rule(after, Op::Added, text, [None, Some(*new)]);
            }
        }
    }

    fn rule(&mut self, chain: &Entity, op: Op, text: &str, lines: [Option<&Line>; 2]) {
        let places = lines.map(|line| line.map(|line| line.at));
        let has = |side: usize| lines.get(side).copied().flatten().map(|_| text.to_owned());
        let difference = Difference {
            name: Cow::Borrowed("rule"),
            before: has(0),
            after: has(1),
            class: Class::Config,
            places,
        };
        let number = self.found.changes.len();
        let key = Key::new(
            Kind::FilterRule,
            chain.key.place.clone(),
            format!("{} {number}", chain.key.id),
        );
        let mut mentions: Vec<String> =
            text.split([' ', '"', ',', '{', '}']).map(str::to_owned).collect();
        mentions.retain(|word| !word.is_empty() && !word.starts_with("--"));
        mentions.push(chain.key.id.clone());
        self.found.changes.push(Change {
            op,
            key,
            netns: chain.netns.clone(),
            name: chain.name.clone(),
            class: Class::Config,
            differences: vec![difference],
            places,
            parts: Vec::new(),
            owners: vec![chain.key.clone()],
            mentions,
        });
    }

    fn finish(mut self) -> Found {
        let renumbered = std::mem::take(&mut self.renumbered).into_iter();
        self.found.renumbered =
            renumbered.map(|((kind, what), of)| Renumbering { kind, what, of }).collect();
        let gaps = std::mem::take(&mut self.gaps).into_iter();
        self.found.gaps = gaps
            .map(|((kind, value, new_lacks), (things, places))| Gap {
                kind,
                value,
                new_lacks,
                things,
                places: places.into_iter().take(PLACES).collect(),
            })
            .collect();
        self.found
    }
}

/// A value that is known to be not set, where it would stand; `None` where that is not known.
fn unset(it: &Entity, name: &str) -> Option<Value> {
    it.whole.iter().find_map(|(group, at)| {
        let rest = name.strip_prefix(*group);
        let is_of_group = rest.is_some_and(|rest| rest.starts_with(':') || group.ends_with(' '));
        let value = Value { text: None, at: *at, class: Class::Noise, is_cut: false };
        is_of_group.then_some(value)
    })
}
