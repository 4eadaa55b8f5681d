//! What all forms of a comparison say, in words.
use std::collections::BTreeMap;
use std::fmt::Write as _;

use tapline_analysis::diff::{
    Change, Class, Diff, Difference, Fate, FindingChange, Gap, HostDiff, Kind, Op, Side,
    VerdictChange,
};
use tapline_analysis::lint::Finding;
use tapline_core::capture::HostId;
use tapline_core::span::Evidence;
use tapline_network::trace::{Cell, Reason};
use tapline_topology::Topology;

use super::count;
use super::source::excerpt;

/// Characters around a place that are quoted.
const REACH: usize = 300;
/// What stands before the place on a line that is cut, and how long such a line is.
const LEAD: usize = 24;
const LONG: usize = 160;

/// A comparison and how it is to be told.
pub(crate) struct Compared<'c, 's, 'a> {
    pub(crate) diff: &'c Diff,
    /// Old and new.
    pub(crate) sides: [&'c Side<'s, 'a>; 2],
    /// Everything is told.
    pub(crate) all: bool,
}

/// Verdicts that have one change behind them, and one end.
pub(crate) struct Lost<'c> {
    /// The first of them.
    pub(crate) first: &'c VerdictChange,
    /// `gateway, outside`
    pub(crate) to: Vec<String>,
    /// The guests: each asks for all of these.
    pub(crate) guests: Vec<String>,
    /// How many verdicts these are.
    pub(crate) questions: usize,
}

impl<'c> Compared<'c, '_, '_> {
    /// The topology of a side: 0 the old, 1 the new.
    pub(crate) fn topology(&self, side: usize) -> &Topology<'_> {
        let [old, new] = self.sides;
        if side == 0 { old.network.topology } else { new.network.topology }
    }

    /// The name of a host of a side.
    pub(crate) fn label(&self, side: usize, host: HostId) -> &str {
        self.topology(side).snapshot.host_label(host)
    }

    /// The change that another thing comes from.
    pub(crate) fn change(&self, because: (usize, usize)) -> Option<(&'c HostDiff, &'c Change)> {
        let host = self.diff.hosts.get(because.0)?;
        Some((host, host.changes.get(because.1)?))
    }

    /// The finding of a row, and its side.
    pub(crate) fn finding(&self, row: &FindingChange) -> Option<(usize, &'c Finding)> {
        let [old, new] = self.sides;
        match (row.new, row.old) {
            (Some(at), _) => Some((1, new.report.findings.get(at)?)),
            (None, Some(at)) => Some((0, old.report.findings.get(at)?)),
            (None, None) => None,
        }
    }

    /// Findings of one fate, those that follow from others left out.
    pub(crate) fn findings(&self, fate: Fate) -> Vec<(&'c FindingChange, &'c Finding)> {
        let rows = self.diff.findings.iter().filter(|row| row.fate == fate);
        let all = rows.filter_map(|row| Some((row, self.finding(row)?.1)));
        all.filter(|(_, finding)| self.all || finding.is_root()).collect()
    }

    /// The line of a place, quoted, with its number.
    pub(crate) fn quote(&self, side: usize, at: Evidence) -> Option<String> {
        let source = self.topology(side).snapshot.source(at.source)?;
        let excerpt = excerpt(source, at.span, REACH);
        let before = (at.span.start as usize).saturating_sub(excerpt.start);
        let line = excerpt.text.lines().next().unwrap_or_default();
        // Of a long line only what is meant is of use.
        let cut = line.floor_char_boundary(before.saturating_sub(LEAD));
        Some(match line.get(cut..) {
            Some(rest) if before > LONG && !rest.is_empty() => format!("…{}", rest.trim()),
            _ => line.trim().to_owned(),
        })
    }

    /// When a host was captured on each side: `2026-11-22 13:06 → 2026-11-23 09:30`.
    pub(crate) fn moments(&self, host: &HostDiff) -> Option<String> {
        let taken = |side: usize, host: HostId| self.topology(side).snapshot.host(host)?.taken;
        let (old, new) = (taken(0, host.old)?, taken(1, host.new)?);
        if old.to_string() == new.to_string() {
            return None;
        }
        Some(format!("{old} → {new}"))
    }

    /// Whether a side is a snapshot.
    pub(crate) fn is_kept(&self, side: usize) -> bool {
        self.sides.get(side).is_some_and(|side| side.is_kept())
    }

    /// What is not compared since a side is a snapshot, where one is.
    pub(crate) fn limits(&self) -> Option<&'static str> {
        self.sides.iter().any(|side| side.is_kept()).then_some(
            "a snapshot holds no flows, rules of filters, kernel settings or learnt addresses, and nothing \
             that was found or reached: these are not compared",
        )
    }

    /// Why nothing was compared.
    pub(crate) fn why_not_comparable(&self) -> String {
        let names = |side: usize, hosts: &[HostId]| {
            let names: Vec<&str> = hosts.iter().map(|host| self.label(side, *host)).collect();
            list(&names, 4)
        };
        let (old, new) = (names(0, &self.diff.only_old), names(1, &self.diff.only_new));
        match &self.diff.refused {
            Some(why) => {
                format!(
                    "{old} and {new} are two machines: {why}; --by role compares what they have in common"
                )
            }
            None => format!("no host of the old captures ({old}) is among the new ones ({new})"),
        }
    }

    /// Changes by class over all hosts; moves are counted apart.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for change in self.diff.hosts.iter().flat_map(|host| &host.changes) {
            match (change.class, change.op) {
                (Class::Breaking, _) => counts.breaking += 1,
                (Class::Config, Op::Moved) => counts.moved += 1,
                (Class::Config, _) => counts.config += 1,
                (Class::Cosmetic, _) => counts.cosmetic += 1,
                (Class::Dynamic, _) => counts.dynamic += 1,
                (Class::Noise | Class::Renumbered, _) => counts.noise += 1,
            }
        }
        let hosts = self.diff.hosts.iter();
        counts.renumbered = hosts.flat_map(|host| &host.renumbered).map(|it| it.of.len()).sum();
        counts
    }

    /// Verdicts with one change and one end told together, for guests that ask in vain for the same.
    pub(crate) fn verdicts(&self, is_meant: impl Fn(&VerdictChange) -> bool) -> Vec<Lost<'c>> {
        type Group<'v> = (Option<(usize, usize)>, Option<&'v Cell>, Option<&'v Cell>);
        type Asked<'v> = (&'v VerdictChange, Vec<&'v str>);
        type Guests<'v> = Vec<(&'v str, Asked<'v>)>;
        let mut guests: BTreeMap<(Group<'c>, &'c str), Asked<'c>> = BTreeMap::new();
        for verdict in self.diff.verdicts.iter().filter(|verdict| is_meant(verdict)) {
            let because = verdict.because.map(|(host, change, _)| (host, change));
            // Where it arrived before, or arrives now, is a place of its own for each question.
            let end = |cell: &'c Cell| Some(cell).filter(|cell| cell.reached != Some(true));
            let group = (because, end(&verdict.before), end(&verdict.after));
            let asked = guests.entry((group, &verdict.guest)).or_insert((verdict, Vec::new()));
            asked.1.push(&verdict.to);
        }
        let mut groups: BTreeMap<(Group<'c>, Vec<String>), Guests<'c>> = BTreeMap::new();
        for ((group, guest), asked) in guests {
            groups.entry((group, in_short(&asked.1))).or_default().push((guest, asked));
        }
        let all = groups.into_iter().filter_map(|((_, short), guests)| {
            let (_, (first, to)) = guests.first()?;
            let named = || to.iter().map(|to| (*to).to_owned()).collect();
            Some(Lost {
                first,
                to: if guests.len() == 1 { named() } else { short },
                questions: guests.iter().map(|(_, (_, to))| to.len()).sum(),
                guests: guests.iter().map(|(guest, _)| (*guest).to_owned()).collect(),
            })
        });
        let mut all: Vec<Lost<'c>> = all.collect();
        all.sort_by_key(|it| std::cmp::Reverse(it.guests.len()));
        all
    }
}

/// What a guest asks for, its peers counted: each guest has others.
fn in_short(to: &[&str]) -> Vec<String> {
    let (peers, others): (Vec<&str>, Vec<&str>) =
        to.iter().copied().partition(|to| to.starts_with("peer "));
    let mut words: Vec<String> = others.into_iter().map(str::to_owned).collect();
    words.extend((!peers.is_empty()).then(|| count(peers.len(), "peer")));
    words
}

/// How many changes there are of each sort.
#[derive(Clone, Copy, Default)]
pub(crate) struct Counts {
    pub(crate) breaking: usize,
    pub(crate) config: usize,
    pub(crate) cosmetic: usize,
    pub(crate) moved: usize,
    pub(crate) dynamic: usize,
    pub(crate) noise: usize,
    pub(crate) renumbered: usize,
}

impl Counts {
    /// `1 breaking, 3 config, 20 moved, 41 noise (hidden)`
    pub(crate) fn words(&self, all: bool) -> String {
        let mut words: Vec<String> = [
            (self.breaking, "breaking"),
            (self.config, "config"),
            (self.moved, "moved"),
            (self.cosmetic, "cosmetic"),
            (self.dynamic, "dynamic"),
        ]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
        if words.is_empty() {
            words.push("no change".to_owned());
        }
        if self.renumbered > 0 {
            words.push(format!("{} renumbered", self.renumbered));
        }
        if self.noise > 0 {
            let hidden = if all { "" } else { " (hidden)" };
            words.push(format!("{} noise{hidden}", self.noise));
        }
        words.join(", ")
    }
}

/// Names, of many the first.
pub(crate) fn list(names: &[impl AsRef<str>], most: usize) -> String {
    let mut text = String::new();
    for (at, name) in names.iter().take(most).enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        let _ = write!(text, "{comma}{}", name.as_ref());
    }
    if names.len() > most {
        let _ = write!(text, " and {} more", names.len() - most);
    }
    text
}

/// `mtu 1500 → 1450`
pub(crate) fn difference(it: &Difference) -> String {
    let told = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    match (it.name.as_ref(), &it.before, &it.after) {
        ("rule", Some(rule), _) | ("rule", None, Some(rule)) => rule.clone(),
        ("value" | "by" | "does" | "actions" | "behind", before, after) => {
            let name = if it.name == "value" { String::new() } else { format!("{} ", it.name) };
            format!("{name}{} → {}", told(before), told(after))
        }
        (name, before, after) => format!("{name} {} → {}", told(before), told(after)),
    }
}

/// What a thing that came or went was like: `1500`.
fn only(it: &Difference) -> Option<String> {
    let text = it.before.as_ref().or(it.after.as_ref())?;
    Some(match it.name.as_ref() {
        "by" => text.clone(),
        name => format!("{name} {text}"),
    })
}

/// What is told of a change behind its name.
pub(crate) fn details(change: &Change, all: bool) -> Vec<String> {
    let is_told = |it: &&Difference| all || it.class >= Class::Dynamic;
    match change.op {
        Op::Changed | Op::Moved => {
            change.differences.iter().filter(is_told).map(difference).collect()
        }
        Op::Added | Op::Removed => {
            let named = [
                "by", "rule", "rules", "actions", "does", "bridge", "tag", "mtu", "kind", "chassis",
            ];
            let told = change.differences.iter().filter(|it| named.contains(&it.name.as_ref()));
            told.filter_map(|it| {
                if it.name == "rule" { it.before.clone().or(it.after.clone()) } else { only(it) }
            })
            .collect()
        }
    }
}

/// What follows from a change, counted by kind: `2 addresses, 14 OpenFlow flows`.
pub(crate) fn follows(change: &Change) -> String {
    let mut counts: BTreeMap<Kind, usize> = BTreeMap::new();
    for part in &change.parts {
        *counts.entry(part.kind()).or_default() += 1;
    }
    let words = counts.into_iter().map(|(kind, n)| {
        let name = if n == 1 { singular(kind) } else { kind.plural() };
        format!("{n} {name}")
    });
    words.collect::<Vec<_>>().join(", ")
}

fn singular(kind: Kind) -> &'static str {
    let plural = kind.plural();
    match kind {
        Kind::Vm => "VM",
        Kind::VmNic => "NIC of a VM",
        Kind::Fdb => "learnt address",
        Kind::Chain => "chain of the packet filter",
        Kind::FilterRule => "rule of the packet filter",
        Kind::OvsBridge => "OVS bridge",
        Kind::OvsPort => "OVS port",
        Kind::Flow => "OpenFlow flow",
        Kind::Address => "address",
        Kind::Netdev => "device",
        Kind::Netns => "namespace",
        Kind::Route => "route",
        Kind::Rule => "routing rule",
        Kind::Neighbour => "neighbour",
        Kind::Setting => "kernel setting",
        _ => plural,
    }
}

/// What a gap lacks: `5 OpenFlow flows (br-int)`, `value mtu of 3 devices`.
pub(crate) fn gap(it: &Gap) -> String {
    let name = if it.things == 1 { singular(it.kind) } else { it.kind.plural() };
    let places: Vec<&String> = it.places.iter().filter(|place| !place.is_empty()).collect();
    let places = if places.is_empty() { String::new() } else { format!(" ({})", list(&places, 4)) };
    match &it.value {
        Some(value) => format!("{value} of {} {name}", it.things),
        None => format!("{} {name}{places}", it.things),
    }
}

/// What becomes of a packet, and where.
pub(crate) fn cell(compared: &Compared<'_, '_, '_>, side: usize, it: &Cell) -> String {
    let what = match it.reached {
        Some(true) => "reached".to_owned(),
        Some(false) => match it.reason.map(Reason::as_str) {
            Some(reason) => format!("{}: {reason}", it.outcome.as_str()),
            None => it.outcome.as_str().to_owned(),
        },
        None => "cannot tell".to_owned(),
    };
    let mut at = Vec::new();
    at.extend(it.at.host.map(|host| compared.label(side, host).to_owned()));
    at.extend(it.at.netns.as_ref().filter(|netns| !netns.is_root()).map(ToString::to_string));
    at.extend(it.at.bridge.as_ref().map(ToString::to_string));
    at.extend(it.at.port.as_ref().or(it.at.device.as_ref()).map(ToString::to_string));
    let back = if it.back { ", on the way back" } else { "" };
    if it.reached == Some(true) || at.is_empty() {
        format!("{what}{back}")
    } else {
        format!("{what} at {}{back}", at.join(" "))
    }
}

/// `3 guests: vm1, vm2, vm3`
pub(crate) fn guests(it: &Lost<'_>) -> String {
    match it.guests.as_slice() {
        [only] => only.clone(),
        several => format!("{}: {}", count(several.len(), "guest"), list(several, 4)),
    }
}
