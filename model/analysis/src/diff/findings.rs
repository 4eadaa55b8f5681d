//! What rules find now and did not, and the other way round, with the change behind it.
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tapline_core::capture::HostId;
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::Thing;

use super::change::{Change, Op, Places};
use super::entity::{Class, Key, Kind};
use super::gather::place;
use super::side::Side;
use super::{Diff, HostDiff};
use crate::lint::{Finding, Layer, Severity};

/// What became of a finding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It was not there.
    New,
    /// It is there now; whether it was is not known, since its rule could not tell.
    MaybeNew,
    /// It is no longer there.
    Gone,
    /// It was there; whether it is is not known.
    MaybeGone,
    /// It is there as before.
    Kept,
}

impl Fate {
    /// The public name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::MaybeNew => "maybe-new",
            Self::Gone => "gone",
            Self::MaybeGone => "maybe-gone",
            Self::Kept => "kept",
        }
    }
}

/// A finding on one side or both: its index in the report of each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FindingChange {
    /// What became of it.
    pub fate: Fate,
    /// In the old report.
    pub old: Option<usize>,
    /// In the new report.
    pub new: Option<usize>,
    /// The change that it comes from: the host and the change there.
    pub because: Option<(usize, usize)>,
}

/// What tells a finding from others on a host: the rule, the namespace, what it is about.
type Identity<'f> = (usize, &'f str, String, &'f str, &'f str);

/// Compares both reports.
pub(super) fn compare(diff: &mut Diff, old: &Side<'_, '_>, new: &Side<'_, '_>) {
    let places_of = |of: fn(&HostDiff) -> HostId| -> BTreeMap<HostId, usize> {
        diff.hosts.iter().enumerate().map(|(at, host)| (of(host), at)).collect()
    };
    let (old_hosts, new_hosts) = (places_of(|host| host.old), places_of(|host| host.new));
    let before = identities(old, &old_hosts);
    let after = identities(new, &new_hosts);
    let (was, is) = (Index::of(diff, old, 0), Index::of(diff, new, 1));
    let open =
        |side: &Side<'_, '_>, hosts: &BTreeMap<HostId, usize>| -> BTreeSet<(usize, String)> {
            let all = side.report.cannot_tell.iter();
            all.filter_map(|it| Some((*hosts.get(&it.host)?, it.code.to_string()))).collect()
        };
    let (open_before, open_now) = (open(old, &old_hosts), open(new, &new_hosts));
    let mut all = Vec::new();
    for (identity, &at) in &after {
        let Some(finding) = new.report.findings.get(at) else { continue };
        let known = before.get(identity).copied();
        let untold = open_before.contains(&(identity.0, finding.rule.code.to_string()));
        let because = if known.is_none() { is.behind(new, identity.0, finding) } else { None };
        let fate = match (known, because) {
            (Some(_), _) => Fate::Kept,
            (None, Some(_)) if !untold => Fate::New,
            (None, _) if untold || is_of_capture(finding) || lacks(diff, identity.0, false) => {
                Fate::MaybeNew
            }
            (None, _) => Fate::New,
        };
        all.push(FindingChange { fate, old: known, new: Some(at), because });
    }
    for (identity, &at) in &before {
        if after.contains_key(identity) {
            continue;
        }
        let Some(finding) = old.report.findings.get(at) else { continue };
        let untold = open_now.contains(&(identity.0, finding.rule.code.to_string()));
        let because = was.behind(old, identity.0, finding);
        let unseen = || is_of_capture(finding) || lacks(diff, identity.0, true);
        let fate =
            if untold || because.is_none() && unseen() { Fate::MaybeGone } else { Fate::Gone };
        all.push(FindingChange { fate, old: Some(at), new: None, because });
    }
    all.sort_by_key(|it| (it.fate, it.new.or(it.old)));
    for it in all.iter().filter(|it| it.fate == Fate::New) {
        let finding = it.new.and_then(|at| new.report.findings.get(at));
        let is_error = finding.is_some_and(|it| it.severity == Severity::Error && it.is_root());
        if let (true, Some((host, change))) = (is_error, it.because) {
            worsen(diff, host, change);
        }
    }
    diff.findings = all;
}

/// Whether a finding is about what was captured, and not about the host.
fn is_of_capture(finding: &Finding) -> bool {
    finding.rule.traits.place.is_some_and(|place| place.layer == Layer::Capture)
}

/// Whether a side lacks anything of a host that the other side shows: a finding that no change is behind
/// may be a matter of that.
fn lacks(diff: &Diff, host: usize, new: bool) -> bool {
    let gaps = diff.hosts.get(host).map_or(&[][..], |host| &host.gaps);
    gaps.iter().any(|gap| gap.new_lacks == new)
}

/// A verdict or a finding says that a change breaks something.
pub(super) fn worsen(diff: &mut Diff, host: usize, change: usize) {
    let change = diff.hosts.get_mut(host).and_then(|host| host.changes.get_mut(change));
    if let Some(change) = change.filter(|change| change.class >= Class::Dynamic) {
        change.class = Class::Breaking;
    }
}

fn identities<'f>(
    side: &Side<'f, '_>,
    hosts: &BTreeMap<HostId, usize>,
) -> BTreeMap<Identity<'f>, usize> {
    let mut all = BTreeMap::new();
    for (at, finding) in side.report.findings.iter().enumerate() {
        let Some(&host) = hosts.get(&finding.host) else { continue };
        let netns = finding.netns.as_ref().map(ToString::to_string).unwrap_or_default();
        let code: &'f str = &finding.rule.code;
        let (kind, name) = (finding.subject.kind(), finding.subject.name.as_str());
        all.entry((host, code, netns, kind, name)).or_insert(at);
    }
    all
}

/// Changes by the lines that show them and by what they are about.
pub(super) struct Index {
    lines: BTreeMap<(SourceId, u32), (usize, usize)>,
    keys: BTreeMap<(usize, Key), (usize, usize)>,
    /// Addresses that came or went.
    addresses: BTreeMap<(usize, String), (usize, usize)>,
    /// Things that are gone, by their names, on whatever host.
    gone: BTreeMap<String, Vec<(usize, usize)>>,
}

impl Index {
    /// Of one side: 0 the old, 1 the new.
    pub(super) fn of(diff: &Diff, side: &Side<'_, '_>, which: usize) -> Self {
        let mut index = Self {
            lines: BTreeMap::new(),
            keys: BTreeMap::new(),
            addresses: BTreeMap::new(),
            gone: BTreeMap::new(),
        };
        for (host_at, host) in diff.hosts.iter().enumerate() {
            for (at, change) in host.changes.iter().enumerate() {
                if change.class >= Class::Dynamic {
                    index.add(side, which, (host_at, at), change);
                }
            }
        }
        index
    }

    fn add(&mut self, side: &Side<'_, '_>, which: usize, id: (usize, usize), change: &Change) {
        if change.class < Class::Dynamic {
            return;
        }
        let mut line = |places: &Places| {
            let at = places.get(which).copied().flatten();
            if let Some(line) = at.and_then(|at| line_of(side, at)) {
                self.lines.entry(line).or_insert(id);
            }
        };
        for difference in change.differences.iter().filter(|it| it.class >= Class::Dynamic) {
            line(&difference.places);
        }
        if change.differences.is_empty() {
            line(&change.places);
        }
        self.keys.entry((id.0, change.key.clone())).or_insert(id);
        if change.key.kind == Kind::Address {
            for word in &change.mentions {
                self.addresses.entry((id.0, word.clone())).or_insert(id);
            }
        }
        let is_named = matches!(
            change.key.kind,
            Kind::OvsPort | Kind::OvsBridge | Kind::Netdev | Kind::Netns | Kind::Vm | Kind::OvnRow
        );
        if change.op == Op::Removed && is_named {
            self.gone.entry(change.key.id.clone()).or_default().push(id);
        }
        for part in &change.parts {
            self.add(side, which, id, part);
        }
    }

    /// The change by which something is gone: on the host itself, else where only one host had it.
    fn gone(&self, host: usize, name: &str) -> Option<(usize, usize)> {
        let all = self.gone.get(name)?;
        let own = all.iter().find(|(of, _)| *of == host);
        own.or_else(|| all.first().filter(|_| all.len() == 1)).copied()
    }

    /// The change that a line shows.
    pub(super) fn at(&self, side: &Side<'_, '_>, at: Evidence) -> Option<(usize, usize)> {
        self.lines.get(&line_of(side, at)?).copied()
    }

    /// The change of a thing.
    pub(super) fn of_key(&self, host: usize, key: Key) -> Option<(usize, usize)> {
        self.keys.get(&(host, key)).copied()
    }

    /// The change behind a finding: of what it is about, else of a line that it cites.
    fn behind(&self, side: &Side<'_, '_>, host: usize, it: &Finding) -> Option<(usize, usize)> {
        let things = it.subject.thing().cloned().into_iter().chain(
            it.node
                .into_iter()
                .chain(it.nodes.iter().copied())
                .map(|id| side.network.topology.thing(id)),
        );
        let by_thing =
            things.flat_map(|thing| keys_of(&thing)).find_map(|key| self.of_key(host, key));
        // What was searched for in vain, or what the finding is about, is an address.
        let words = || {
            let searched = it.searched.iter().flat_map(|searched| &searched.keys);
            searched.chain(std::iter::once(&it.subject.name))
        };
        let by_address =
            || words().find_map(|word| self.addresses.get(&(host, word.clone())).copied());
        // A row of OVN is in the database of another host.
        let by_absence = || {
            let searched = it.searched.iter().flat_map(|searched| &searched.keys);
            searched.clone().find_map(|name| self.gone(host, name))
        };
        by_thing
            .or_else(by_address)
            .or_else(by_absence)
            .or_else(|| it.evidence.iter().find_map(|cited| self.at(side, cited.evidence)))
    }
}

fn line_of(side: &Side<'_, '_>, at: Evidence) -> Option<(SourceId, u32)> {
    let source = side.snapshot().source(at.source)?;
    Some((at.source, source.line_numbers(at.span).0))
}

/// The keys under which a thing is compared.
pub(super) fn keys_of(thing: &Thing) -> Vec<Key> {
    match thing {
        Thing::Host | Thing::RemoteHost { .. } | Thing::Logical { .. } => Vec::new(),
        Thing::Netns { netns } => vec![Key::new(Kind::Netns, "", place(netns))],
        Thing::Netdev { netns, name } => {
            vec![
                Key::new(Kind::Netdev, place(netns), name.as_str()),
                Key::new(Kind::OvsPort, "", name.as_str()),
            ]
        }
        Thing::Vm { name } => vec![Key::new(Kind::Vm, "", name.as_str())],
        Thing::VmNic { vm, .. } => vec![Key::new(Kind::Vm, "", vm.as_str())],
        Thing::OvsBridge { name } => vec![Key::new(Kind::OvsBridge, "", name.as_str())],
        Thing::OvsPort { name } | Thing::OvsInterface { name } => {
            vec![
                Key::new(Kind::OvsPort, "", name.as_str()),
                Key::new(Kind::Netdev, "", name.as_str()),
            ]
        }
        Thing::TunnelEndpoint { netns, owner, .. } => vec![
            Key::new(Kind::OvsPort, "", owner.as_str()),
            Key::new(Kind::Netdev, place(netns), owner.as_str()),
        ],
        Thing::Address { netns, netdev, ip, prefix } => vec![
            Key::new(Kind::Address, place(netns), format!("{netdev} {ip}/{prefix}")),
            Key::new(Kind::Netdev, place(netns), netdev.as_str()),
        ],
        Thing::RouteTable { .. } => Vec::new(),
    }
}
