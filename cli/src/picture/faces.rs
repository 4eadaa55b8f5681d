//! From folds to the picture: the words of each box, row and line.
use std::collections::{BTreeMap, BTreeSet};

use tapline_analysis::lint::{Report, Severity};
use tapline_core::capture::HostId;
use tapline_core::span::Evidence;
use tapline_topology::graph::Confidence;
use tapline_topology::{NodeData, NodeId};

use super::draft::Draft;
use super::fold::{FoldedCard, Folds};
use super::marks::{self, Found};
use super::{
    Card, Column, Face, Fate, Frame, Kind, Member, Picture, Row, Spot, State, Wire, homes, words,
};
use crate::render::count;
use crate::render::escape::{shorten, visible};
use crate::render::places::Places;

/// Members of a fold that are named in what a pointer shows, findings, and places of one thing.
const NAMED: usize = 12;
const FOUND: usize = 5;
const PLACES: usize = 3;
/// Lines about one thing, where changes of it are told.
const FACTS: usize = 6;
/// Characters of a line that a pointer shows.
const LONGEST: usize = 160;

/// Makes the picture.
pub(super) fn finish(
    report: &Report,
    places: &Places,
    draft: &Draft<'_, '_>,
    found: &Found,
    folds: &Folds,
    all_hosts: bool,
) -> Picture {
    let faces = Faces { report, places, draft, found };
    let mut picture = Picture { hosts_only: folds.hosts_only, ..Picture::default() };
    let mut frames: BTreeMap<HostId, usize> = BTreeMap::new();
    for fold in &folds.cards {
        let Some(first) = fold.members.first().and_then(|at| draft.cards.get(*at)) else {
            continue;
        };
        if let Some(host) = first.host.filter(|_| folds.hosts_only) {
            picture.cards.push(faces.host(host, fold));
            continue;
        }
        let frame = first.host.map(|host| {
            *frames.entry(host).or_insert_with(|| {
                picture.hosts.push(faces.frame(host));
                picture.hosts.len() - 1
            })
        });
        picture.cards.push(faces.card(fold, first.kind, frame));
    }
    picture.wires = faces.wires(folds);
    if all_hosts && !folds.hosts_only {
        // A host of which nothing is drawn was captured all the same.
        for (_, node) in draft.topology.nodes() {
            let (NodeData::Host(_), Some(host)) = (&node.data, node.host) else { continue };
            frames.entry(host).or_insert_with(|| {
                picture.hosts.push(faces.frame(host));
                picture.hosts.len() - 1
            });
        }
    }
    picture
}

struct Faces<'f, 't, 'a> {
    report: &'f Report,
    places: &'f Places,
    draft: &'f Draft<'t, 'a>,
    found: &'f Found,
}

fn label(draft: &Draft<'_, '_>, host: HostId) -> String {
    let host = draft.topology.snapshot.host(host);
    host.map_or(String::new(), |host| visible(host.label()).into_owned())
}

impl Faces<'_, '_, '_> {
    fn frame(&self, host: HostId) -> Frame {
        let found = self.found.of_host.get(&host).copied().unwrap_or_default();
        Frame { label: label(self.draft, host), found }
    }

    fn card(&self, fold: &FoldedCard, kind: Kind, host: Option<usize>) -> Card {
        let spots: Vec<Spot> = fold.members.iter().map(|&card| Spot { card, row: None }).collect();
        let face = self.face(&spots, Some(kind), false);
        let rows = fold.rows.iter().map(|row| {
            let first = row.members.first().copied();
            let drawn = first.and_then(|spot| self.draft.row(spot));
            let main = first.and_then(|spot| self.draft.nodes(spot).first().copied());
            Row {
                column: drawn.map_or(Column::Guests, |row| row.column),
                nic: self.is_nic(&row.members, main),
                face: self.face(&row.members, None, row.beside),
            }
        });
        Card { host, kind, face, rows: rows.collect() }
    }

    /// Whether the wire begins at the first device of a row.
    fn is_nic(&self, members: &[Spot], main: Option<NodeId>) -> bool {
        let nodes = members.first().map_or(&[][..], |spot| self.draft.nodes(*spot));
        main.into_iter()
            .chain(nodes.iter().copied())
            .any(|node| homes::is_nic(self.draft.topology, node))
    }

    fn face(&self, spots: &[Spot], kind: Option<Kind>, beside: bool) -> Face {
        let topology = self.draft.topology;
        let first = spots.first().map_or(&[][..], |spot| self.draft.nodes(*spot));
        let titles: Vec<String> = spots
            .iter()
            .map(|spot| visible(&words::title(topology, self.draft.nodes(*spot))).into_owned())
            .collect();
        let findings: BTreeSet<usize> =
            spots.iter().flat_map(|spot| self.found.at(*spot)).copied().collect();
        let findings: Vec<usize> = findings.into_iter().collect();
        let (title, facts) = match spots {
            [_] if !beside => {
                (titles.first().cloned().unwrap_or_default(), words::facts(topology, first, kind))
            }
            _ => self.of_many(spots, &titles, kind, beside),
        };
        let mut facts = facts;
        for words in spots.iter().flat_map(|spot| self.draft.told(*spot)) {
            if facts.len() < FACTS && !facts.contains(&words) {
                facts.insert(0, words);
            }
        }
        let confidence =
            spots.iter().filter_map(|spot| self.draft.row(*spot)).map(|row| row.confidence);
        let card = |spot: &Spot| self.draft.cards.get(spot.card).is_some_and(|card| card.focus);
        let row = |spot: &Spot| self.draft.row(*spot).is_some_and(|row| row.focus);
        Face {
            title,
            facts: facts.iter().map(|fact| visible(fact).into_owned()).collect(),
            count: spots.len(),
            state: self.state(spots),
            fate: spots.iter().filter_map(|spot| self.draft.fate(*spot)).max(),
            marks: self.found.marks(&findings),
            confidence: confidence.min().unwrap_or(Confidence::Proven),
            focus: spots.iter().any(|spot| if spot.row.is_some() { row(spot) } else { card(spot) }),
            hover: self.hover(spots, &titles, &findings),
            members: spots
                .iter()
                .zip(titles)
                .map(|(spot, name)| Member { name, nodes: self.draft.nodes(*spot).to_vec() })
                .collect(),
            findings,
        }
    }

    /// What became of all that boxes hold.
    fn fate_of_cards(&self, cards: &[usize]) -> Option<Fate> {
        let spots = cards.iter().flat_map(|&card| {
            let rows = self.draft.cards.get(card).map_or(0, |card| card.rows.len());
            let rows = (0..rows).map(move |row| Spot { card, row: Some(row) });
            rows.chain([Spot { card, row: None }])
        });
        let worst = spots.filter_map(|spot| self.draft.fate(spot)).max();
        worst.map(|fate| if fate > Fate::Same { Fate::Changed } else { fate })
    }

    /// The worst state, for a fold may be of several where a page is full.
    fn state(&self, spots: &[Spot]) -> State {
        let states: BTreeSet<State> =
            spots.iter().map(|spot| marks::state(self.draft, *spot)).collect();
        match states.iter().next() {
            Some(only) if states.len() == 1 => *only,
            _ => State::Fine,
        }
    }

    /// `490 VMs`, and what is to be said of all of them.
    fn of_many(
        &self,
        spots: &[Spot],
        titles: &[String],
        kind: Option<Kind>,
        beside: bool,
    ) -> (String, Vec<String>) {
        let topology = self.draft.topology;
        let nodes = |spot: &Spot| self.draft.nodes(*spot);
        let kinds: BTreeSet<String> =
            spots.iter().map(|spot| words::kind_of(topology, nodes(spot))).collect();
        let first = spots.first().map_or(&[][..], nodes);
        let title = match (kind, kinds.len()) {
            (Some(kind), _) => words::many(spots.len(), kind, topology, first),
            (None, kinds_of_row) => {
                let what = match kinds_of_row {
                    1 => words::kind_of(topology, first),
                    _ => "port".to_owned(),
                };
                let other = if beside { "other " } else { "" };
                count(spots.len(), &format!("{other}{what}"))
            }
        };
        if beside {
            return (title, Vec::new());
        }
        let mut facts = vec![words::names(titles.iter().map(String::as_str))];
        let tags: Vec<u16> =
            spots.iter().flat_map(|spot| words::tags(topology, nodes(spot))).collect();
        if !tags.is_empty() {
            facts.push(format!("tags {}", words::ranges(&tags)));
        }
        // What holds of each of them.
        let mut common: Option<Vec<String>> = None;
        for spot in spots {
            let own = words::facts(topology, nodes(spot), kind);
            common = Some(match common {
                None => own,
                Some(known) => known.into_iter().filter(|fact| own.contains(fact)).collect(),
            });
        }
        let sort = words::kind_of(topology, first);
        let said = |fact: &String| *fact != sort && (tags.is_empty() || !fact.starts_with("tag "));
        facts.extend(common.unwrap_or_default().into_iter().filter(said));
        (title, facts)
    }

    /// Names with their places, and findings.
    fn hover(&self, spots: &[Spot], titles: &[String], findings: &[usize]) -> Vec<String> {
        let topology = self.draft.topology;
        let mut lines = Vec::new();
        for (spot, title) in spots.iter().zip(titles).take(NAMED) {
            let nodes = self.draft.nodes(*spot);
            let mut line = format!("{title} ({})", words::kind_of(topology, nodes));
            let seen = nodes.iter().filter_map(|node| topology.node(*node)?.seen.first().copied());
            let mut places: Vec<String> = Vec::new();
            for place in seen.filter_map(|evidence| self.place(evidence)) {
                if places.len() < PLACES && !places.contains(&place) {
                    places.push(place);
                }
            }
            if !places.is_empty() {
                line.push_str(&format!(": {}", places.join(", ")));
            }
            lines.push(clean(&line));
        }
        if spots.len() > NAMED {
            lines.push(format!("and {} more", spots.len() - NAMED));
        }
        lines.extend(self.findings(findings));
        lines
    }

    fn findings(&self, findings: &[usize]) -> Vec<String> {
        let mut lines = Vec::new();
        for finding in findings.iter().take(FOUND) {
            let Some(finding) = self.report.findings.get(*finding) else { continue };
            let place = finding.evidence.first().and_then(|cited| self.place(cited.evidence));
            let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
            let (code, name, message) =
                (&finding.rule.code, &finding.subject.name, &finding.message);
            lines.push(clean(&format!("{}: {code} {name} {message}{place}", finding.severity)));
        }
        if findings.len() > FOUND {
            lines.push(format!("and {} more findings", findings.len() - FOUND));
        }
        lines
    }

    fn place(&self, evidence: Evidence) -> Option<String> {
        self.places.brief(self.draft.topology.snapshot, evidence)
    }

    /// One line for all that lead from one drawn place to another.
    fn wires(&self, folds: &Folds) -> Vec<Wire> {
        let mut wires: Vec<Wire> = Vec::new();
        let mut known: BTreeMap<(Spot, Spot, super::Tie), usize> = BTreeMap::new();
        let mut found: Vec<BTreeSet<usize>> = Vec::new();
        for wire in self.draft.wires.iter().filter(|wire| self.draft.is_wire_drawn(wire)) {
            let spot = |spot| folds.spots.get(&spot).copied();
            let (Some(from), Some(to)) = (spot(wire.from), spot(wire.to)) else { continue };
            // Of things that became one, nothing is left to draw between them.
            if from == to || (folds.hosts_only && from.card == to.card) {
                continue;
            }
            let at = *known.entry((from, to, wire.tie)).or_insert_with(|| {
                found.push(BTreeSet::new());
                wires.push(Wire {
                    from,
                    to,
                    tie: wire.tie,
                    count: 0,
                    confidence: Confidence::Proven,
                    marks: Vec::new(),
                    hover: Vec::new(),
                    fate: None,
                });
                wires.len() - 1
            });
            let (Some(drawn), Some(found)) = (wires.get_mut(at), found.get_mut(at)) else {
                continue;
            };
            drawn.count += 1;
            drawn.confidence = drawn.confidence.min(wire.confidence);
            found.extend(self.found.at_wire(wire));
            if drawn.count <= PLACES
                && let Some((claim, evidence)) = &wire.says
            {
                let place = self.place(*evidence).map(|place| format!(": {place}"));
                drawn.hover.push(clean(&format!("{claim}{}", place.unwrap_or_default())));
            }
        }
        for (wire, found) in wires.iter_mut().zip(found) {
            if wire.count > PLACES {
                wire.hover.push(format!("and {} more", wire.count - PLACES));
            }
            let found: Vec<usize> = found.into_iter().collect();
            wire.marks = self.found.marks(&found);
            // A remark about both ends is no matter of the line between them.
            wire.marks.retain(|mark| mark.severity > Severity::Info);
            wire.hover.extend(self.findings(&found));
        }
        wires
    }

    /// A host as one box: how much of what is on it.
    fn host(&self, host: HostId, fold: &FoldedCard) -> Card {
        let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
        let mut findings = BTreeSet::new();
        let mut nodes = Vec::new();
        for &at in &fold.members {
            let Some(card) = self.draft.cards.get(at) else { continue };
            *kinds.entry(card.kind).or_default() += 1;
            let rows = (0..card.rows.len()).map(|n| Spot { card: at, row: Some(n) });
            for spot in rows.chain([Spot { card: at, row: None }]) {
                findings.extend(self.found.at(spot));
            }
            nodes.extend(&card.nodes);
        }
        let facts = kinds.iter().filter_map(|(kind, n)| {
            let what = match kind {
                Kind::Vm => "VM",
                Kind::Netns => "namespace",
                Kind::Bridge => "bridge",
                Kind::Switch => "OVS bridge",
                Kind::Nic => "NIC",
                _ => return None,
            };
            Some(count(*n, what))
        });
        let findings: Vec<usize> = findings.into_iter().collect();
        let face = Face {
            title: label(self.draft, host),
            facts: facts.collect(),
            count: 1,
            state: State::Fine,
            fate: self.fate_of_cards(&fold.members),
            marks: self.found.marks(&findings),
            confidence: Confidence::Proven,
            focus: false,
            hover: self.findings(&findings),
            members: vec![Member { name: label(self.draft, host), nodes }],
            findings,
        };
        Card { host: None, kind: Kind::Host, face, rows: Vec::new() }
    }
}

/// A line that a pointer shows, harmless and of bounded length.
fn clean(line: &str) -> String {
    visible(&shorten(line, LONGEST)).into_owned()
}
