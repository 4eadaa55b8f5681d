//! The picture of two captures in one: what came, went and was changed, and where that is. What is the same
//! is folded.
//!
//! The new side is drawn as it is; what is gone is taken from a picture of the old side and put where it
//! was, in its box or beside it, with its lines to what is still there.
use std::collections::{BTreeMap, BTreeSet};

use tapline_analysis::diff::{self, Op};
use tapline_topology::NodeId;

use super::{Card, Fate, Picture, Spot, Told, Wanted, draw as draw_side};
use crate::render::diff::{self as words, Compared};
use crate::render::escape::{shorten, visible};
use crate::render::places::Places;

/// Changes of one thing that are told in words, and characters of each.
const WORDS: usize = 3;
const LONGEST: usize = 48;

/// Draws both sides of a comparison.
pub(crate) fn draw(compared: &Compared<'_, '_, '_>, places: [&Places; 2]) -> Picture {
    let [old, new] = compared.sides;
    let touched = diff::touched(compared.diff, old, new);
    let [before, after] = [0, 1].map(|side| told(&touched, side));
    let wanted = |told| Wanted { nodes: None, focus: &[], unused: false, told: Some(told) };
    let [old_places, new_places] = places;
    let was = draw_side(old.network, old.report, old_places, &wanted(&before));
    let mut is = draw_side(new.network, new.report, new_places, &wanted(&after));
    if was.hosts_only || is.hosts_only {
        return is;
    }
    let union = Union { spots: spots(&is), now: &touched.now, is: &mut is };
    union.add(was);
    is
}

/// What became of the nodes of a side, in words.
fn told(touched: &diff::Touched<'_>, side: usize) -> BTreeMap<NodeId, Told> {
    let nodes = touched.nodes.get(side).into_iter().flatten();
    let all = nodes.map(|(node, touch)| {
        let fate = match touch.op {
            Op::Added => Fate::Added,
            Op::Removed => Fate::Removed,
            Op::Changed => Fate::Changed,
            Op::Moved => Fate::Moved,
        };
        let mut lines: Vec<String> = Vec::new();
        for change in &touch.changes {
            // That a thing came or went is told by its sign.
            let own = matches!(fate, Fate::Added | Fate::Removed);
            let named = if change.kind().is_part() {
                vec![format!("{} {} {}", change.op.sign(), change.kind().as_str(), change.name)]
            } else if own {
                Vec::new()
            } else {
                words::details(change, false)
            };
            for line in named {
                let line = visible(&shorten(&line, LONGEST)).into_owned();
                if lines.len() < WORDS && !lines.contains(&line) {
                    lines.push(line);
                }
            }
        }
        (*node, Told { fate, words: lines })
    });
    all.collect()
}

/// Where each node of a picture is drawn.
fn spots(picture: &Picture) -> BTreeMap<NodeId, Spot> {
    let mut all = BTreeMap::new();
    for (at, card) in picture.cards.iter().enumerate() {
        let own = Spot { card: at, row: None };
        let nodes = |face: &super::Face| -> Vec<NodeId> {
            face.members.iter().flat_map(|member| member.nodes.iter().copied()).collect()
        };
        all.extend(nodes(&card.face).into_iter().map(|node| (node, own)));
        for (n, row) in card.rows.iter().enumerate() {
            let spot = Spot { card: at, row: Some(n) };
            all.extend(nodes(&row.face).into_iter().map(|node| (node, spot)));
        }
    }
    all
}

/// The new picture, to which is added what is gone.
struct Union<'u> {
    spots: BTreeMap<NodeId, Spot>,
    now: &'u BTreeMap<NodeId, NodeId>,
    is: &'u mut Picture,
}

impl Union<'_> {
    fn add(mut self, was: Picture) {
        let frames = self.frames(&was);
        // Where what is drawn in the old picture is drawn in the new one.
        let mut homes: BTreeMap<Spot, Spot> = BTreeMap::new();
        let gone = |fate: Option<Fate>| fate == Some(Fate::Removed);
        for (at, card) in was.cards.into_iter().enumerate() {
            let own = Spot { card: at, row: None };
            let home = self.home(&card.face);
            if let Some(home) = home.filter(|_| !gone(card.face.fate)) {
                homes.insert(own, home);
                for (n, row) in card.rows.into_iter().enumerate() {
                    let spot = Spot { card: at, row: Some(n) };
                    match self.home(&row.face) {
                        Some(there) if !gone(row.face.fate) => {
                            homes.insert(spot, there);
                        }
                        _ if gone(row.face.fate) => {
                            let Some(card) = self.is.cards.get_mut(home.card) else { continue };
                            card.rows.push(row);
                            let row = Some(card.rows.len() - 1);
                            homes.insert(spot, Spot { card: home.card, row });
                        }
                        _ => {}
                    }
                }
            } else if gone(card.face.fate) {
                let rows = card.rows.len();
                let host = card.host.and_then(|host| frames.get(&host).copied());
                self.is.cards.push(Card { host, ..card });
                let there = self.is.cards.len() - 1;
                homes.insert(own, Spot { card: there, row: None });
                for n in 0..rows {
                    let spot = |card| Spot { card, row: Some(n) };
                    homes.insert(spot(at), spot(there));
                }
            }
        }
        self.wires(was.wires, &homes);
    }

    /// The boxes of hosts of the old picture in the new one: by their names, which hold for both.
    fn frames(&mut self, was: &Picture) -> BTreeMap<usize, usize> {
        let mut frames = BTreeMap::new();
        for (at, frame) in was.hosts.iter().enumerate() {
            let there = self.is.hosts.iter().position(|other| other.label == frame.label);
            if let Some(there) = there {
                frames.insert(at, there);
            }
        }
        frames
    }

    /// Where the first of what is drawn at one place, that is still there, is drawn now.
    fn home(&self, face: &super::Face) -> Option<Spot> {
        let mut nodes = face.members.iter().flat_map(|member| &member.nodes);
        nodes.find_map(|node| self.spots.get(self.now.get(node)?)).copied()
    }

    /// Lines that are gone are added, and those that came are told: of those that lead to what was
    /// touched.
    fn wires(&mut self, was: Vec<super::Wire>, homes: &BTreeMap<Spot, Spot>) {
        let ends = |wire: &super::Wire| {
            let (a, b) = (wire.from.min(wire.to), wire.from.max(wire.to));
            (a, b, wire.tie)
        };
        let mut known = BTreeSet::new();
        let mut gone = Vec::new();
        let drawn: BTreeSet<_> = self.is.wires.iter().map(ends).collect();
        for mut wire in was {
            let home = |spot: Spot| homes.get(&spot).copied();
            let (Some(from), Some(to)) = (home(wire.from), home(wire.to)) else { continue };
            (wire.from, wire.to) = (from, to);
            if from != to && !drawn.contains(&ends(&wire)) && self.is_touched(&wire) {
                wire.fate = Some(Fate::Removed);
                gone.push(wire);
            } else {
                known.insert(ends(&wire));
            }
        }
        let came: Vec<bool> = self
            .is
            .wires
            .iter()
            .map(|wire| !known.contains(&ends(wire)) && self.is_touched(wire))
            .collect();
        for (wire, came) in self.is.wires.iter_mut().zip(came) {
            wire.fate = Some(if came { Fate::Added } else { Fate::Same });
        }
        self.is.wires.extend(gone);
    }

    fn is_touched(&self, wire: &super::Wire) -> bool {
        let fate = |spot: Spot| {
            let card = self.is.cards.get(spot.card)?;
            match spot.row {
                Some(row) => card.rows.get(row)?.face.fate,
                None => card.face.fate,
            }
        };
        [wire.from, wire.to].into_iter().any(|spot| fate(spot) > Some(Fate::Same))
    }
}
