//! Which things are alike, and so drawn as one.
//!
//! Two things are alike where they are of one kind, in one state, with the same findings, and tied to
//! alike things in the same way. That is found as in the comparison of graphs: each thing has a
//! colour, and colours are told apart by those of the neighbours until nothing changes. Where that
//! leaves too much for a page, what is alike is taken more broadly, step by step.
use std::collections::BTreeMap;

use tapline_analysis::lint::Severity;
use tapline_core::capture::HostId;

use super::draft::Draft;
use super::marks::{self, Found};
use super::{Fate, Kind, Spot, words};

/// From so many on, alike things are drawn as one.
const ALIKE: usize = 3;
/// Boxes and rows of a picture, and lines: within what Mermaid draws and a page holds.
const MOST_THINGS: usize = 360;
const MOST_WIRES: usize = 400;
/// Colours settle after as many rounds as the longest path has steps.
const ROUNDS: usize = 16;

/// What is drawn as one.
pub(super) struct Folds {
    pub(super) cards: Vec<FoldedCard>,
    /// Where what is at a place of the draft is drawn.
    pub(super) spots: BTreeMap<Spot, Spot>,
    /// Each host is one box.
    pub(super) hosts_only: bool,
}

/// One box for several.
pub(super) struct FoldedCard {
    /// Places in the draft.
    pub(super) members: Vec<usize>,
    pub(super) rows: Vec<FoldedRow>,
}

/// One row for several.
pub(super) struct FoldedRow {
    pub(super) members: Vec<Spot>,
    /// They are beside the path in focus.
    pub(super) beside: bool,
}

/// How broadly things are taken to be alike, from narrow to broad.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Breadth {
    /// The same number of the same neighbours.
    Exact,
    /// The same sorts of neighbours, however many.
    Sorts,
    /// The same kind, state and severity, whatever they are tied to.
    Kinds,
    /// The same kind.
    Any,
    /// All that is on a host.
    Hosts,
}

/// Folds as little as a page allows; `page` draws it, and gives `None` where it is too large.
pub(super) fn fold<P>(
    draft: &Draft<'_, '_>,
    found: &Found,
    page: impl Fn(&Folds, bool) -> Option<P>,
) -> Option<P> {
    use Breadth::{Any, Exact, Hosts, Kinds, Sorts};
    let drawn = Drawn::of(draft, found);
    for breadth in [Exact, Sorts, Kinds, Any] {
        let folds = drawn.folded(breadth);
        if drawn.fits(&folds)
            && let Some(page) = page(&folds, false)
        {
            return Some(page);
        }
    }
    page(&drawn.folded(Hosts), true)
}

/// What is drawn of a draft, with all that a colour may depend on.
struct Drawn<'d, 't, 'a> {
    draft: &'d Draft<'t, 'a>,
    /// What things are in themselves, one text for each narrow breadth and one for each broad one.
    looks: BTreeMap<Spot, [String; 3]>,
    /// Lines from each place: what they are, in which direction, and the other end.
    ties: BTreeMap<Spot, Vec<(usize, Spot)>>,
}

impl<'d, 't, 'a> Drawn<'d, 't, 'a> {
    fn of(draft: &'d Draft<'t, 'a>, found: &Found) -> Self {
        let mut looks = BTreeMap::new();
        for (at, card) in draft.cards.iter().enumerate().filter(|(_, card)| card.drawn) {
            let spot = Spot { card: at, row: None };
            looks.insert(spot, look(draft, found, spot, &words::family(draft.topology, card)));
            for n in 0..card.rows.len() {
                let spot = Spot { card: at, row: Some(n) };
                if let Some(row) = draft.row(spot).filter(|row| row.drawn) {
                    let kind = words::kind_of_row(draft.topology, row);
                    looks.insert(spot, look(draft, found, spot, &kind));
                }
            }
        }
        let mut kinds = BTreeMap::new();
        let mut ties: BTreeMap<Spot, Vec<(usize, Spot)>> = BTreeMap::new();
        for wire in draft.wires.iter().filter(|wire| draft.is_wire_drawn(wire)) {
            let next = kinds.len();
            let kind = *kinds.entry((wire.tie, wire.confidence)).or_insert(next);
            ties.entry(wire.from).or_default().push((2 * kind, wire.to));
            ties.entry(wire.to).or_default().push((2 * kind + 1, wire.from));
        }
        Self { draft, looks, ties }
    }

    /// The colour of each thing.
    fn colours(&self, breadth: Breadth) -> BTreeMap<Spot, usize> {
        let which = match breadth {
            Breadth::Exact | Breadth::Sorts => 0,
            Breadth::Kinds => 1,
            Breadth::Any | Breadth::Hosts => 2,
        };
        let look = |looks: &[String; 3]| looks.get(which).cloned().unwrap_or_default();
        let mut colours =
            number(self.looks.iter().map(|(spot, looks)| (*spot, look(looks))).collect());
        if breadth > Breadth::Sorts {
            return colours;
        }
        let mut known = 0;
        for _ in 0..ROUNDS {
            let seen: Vec<_> = colours
                .iter()
                .map(|(&spot, &own)| (spot, (own, self.around(spot, &colours, breadth))))
                .collect();
            colours = number(seen);
            let count = colours.values().max().map_or(0, |most| most + 1);
            if count == known {
                break;
            }
            known = count;
        }
        colours
    }

    /// What is tied to a thing: its box or its rows, and what lines lead to.
    fn around(
        &self,
        spot: Spot,
        colours: &BTreeMap<Spot, usize>,
        breadth: Breadth,
    ) -> Vec<(usize, usize)> {
        /// Not a number of a kind of line.
        const WITHIN: usize = usize::MAX;
        let colour = |spot: Spot| colours.get(&spot).copied();
        let mut all: Vec<(usize, usize)> = match spot.row {
            Some(_) => {
                colour(Spot { row: None, ..spot }).map(|it| (WITHIN, it)).into_iter().collect()
            }
            None => {
                let rows = self.draft.cards.get(spot.card).map_or(0, |card| card.rows.len());
                let rows = (0..rows).filter_map(|n| colour(Spot { row: Some(n), ..spot }));
                rows.map(|it| (WITHIN, it)).collect()
            }
        };
        let ties = self.ties.get(&spot).into_iter().flatten();
        all.extend(ties.filter_map(|(kind, other)| Some((*kind, colour(*other)?))));
        all.sort_unstable();
        if breadth >= Breadth::Sorts {
            all.dedup();
        }
        all
    }

    fn folded(&self, breadth: Breadth) -> Folds {
        let colours = self.colours(breadth);
        let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
        let cards = || self.draft.cards.iter().enumerate().filter(|(_, card)| card.drawn);
        let class_of =
            |at: usize| colours.get(&Spot { card: at, row: None }).copied().unwrap_or(at);
        for (at, _) in cards() {
            *sizes.entry(class_of(at)).or_default() += 1;
        }
        // In the order of the draft: a class stands where its first member does.
        let mut first: BTreeMap<usize, usize> = BTreeMap::new();
        let mut of_host: BTreeMap<HostId, usize> = BTreeMap::new();
        for (at, card) in cards() {
            let class = class_of(at);
            let host = card.host.filter(|_| breadth == Breadth::Hosts);
            let key = if let Some(host) = host {
                *of_host.entry(host).or_insert(at)
            } else if sizes.get(&class).is_some_and(|size| *size >= ALIKE) && !card.focus {
                *first.entry(class).or_insert(at)
            } else {
                at
            };
            classes.entry(key).or_default().push(at);
        }
        let mut folds = Folds {
            cards: Vec::new(),
            spots: BTreeMap::new(),
            hosts_only: breadth == Breadth::Hosts,
        };
        for members in classes.into_values() {
            let at = folds.cards.len();
            for member in &members {
                let spot = Spot { card: at, row: None };
                folds.spots.insert(Spot { card: *member, row: None }, spot);
            }
            let rows = match breadth {
                Breadth::Hosts => Vec::new(),
                _ => self.rows(&members, &colours),
            };
            for (n, row) in rows.iter().enumerate() {
                let spot = Spot { card: at, row: Some(n) };
                folds.spots.extend(row.members.iter().map(|member| (*member, spot)));
            }
            if breadth == Breadth::Hosts {
                let whole = Spot { card: at, row: None };
                for &card in &members {
                    let rows = self.draft.cards.get(card).map_or(0, |card| card.rows.len());
                    let spots = (0..rows).map(|n| (Spot { card, row: Some(n) }, whole));
                    folds.spots.extend(spots);
                }
            }
            folds.cards.push(FoldedCard { members, rows });
        }
        folds
    }

    /// The rows of a box that stands for several.
    fn rows(&self, members: &[usize], colours: &BTreeMap<Spot, usize>) -> Vec<FoldedRow> {
        let rows = || {
            members.iter().flat_map(|&card| {
                let rows = self.draft.cards.get(card).map_or(0, |card| card.rows.len());
                let spots = (0..rows).map(move |n| Spot { card, row: Some(n) });
                spots.filter_map(|spot| Some((spot, *colours.get(&spot)?, self.draft.row(spot)?)))
            })
        };
        let mut sizes: BTreeMap<usize, usize> = BTreeMap::new();
        for (_, colour, _) in rows() {
            *sizes.entry(colour).or_default() += 1;
        }
        let mut folded: Vec<FoldedRow> = Vec::new();
        let mut places: BTreeMap<(usize, bool), usize> = BTreeMap::new();
        for (spot, colour, row) in rows() {
            let many = sizes.get(&colour).is_some_and(|size| *size >= ALIKE);
            let together = row.beside || members.len() > 1 || (many && !row.focus);
            // Those beside the path are one for each side.
            let class = if row.beside { row.column as usize } else { colour };
            let known = places.get(&(class, row.beside)).filter(|_| together);
            match known.and_then(|at| folded.get_mut(*at)) {
                Some(known) => known.members.push(spot),
                None => {
                    if together {
                        places.insert((class, row.beside), folded.len());
                    }
                    folded.push(FoldedRow { members: vec![spot], beside: row.beside });
                }
            }
        }
        folded
    }

    /// Whether there are few enough things and lines.
    fn fits(&self, folds: &Folds) -> bool {
        let rows: usize = folds.cards.iter().map(|card| card.rows.len()).sum();
        let mut wires: Vec<_> = self
            .draft
            .wires
            .iter()
            .filter(|wire| self.draft.is_wire_drawn(wire))
            .filter_map(|wire| {
                Some((folds.spots.get(&wire.from)?, folds.spots.get(&wire.to)?, wire.tie))
            })
            .collect();
        wires.sort_unstable();
        wires.dedup();
        folds.cards.len() + rows <= MOST_THINGS && wires.len() <= MOST_WIRES
    }
}

/// What a thing is in itself: narrowly, by severity, and by its kind alone.
fn look(draft: &Draft<'_, '_>, found: &Found, spot: Spot, family: &str) -> [String; 3] {
    let card = draft.cards.get(spot.card);
    let host = card.and_then(|card| card.host);
    let kind = card.map(|card| card.kind);
    let row = draft.row(spot);
    let column = row.map(|row| (row.column, row.beside));
    let focus = card.is_some_and(|card| card.focus && spot.row.is_none())
        || row.is_some_and(|row| row.focus);
    let state = marks::state(draft, spot);
    let marks = found.marks(found.at(spot));
    let codes: Vec<&str> = marks.iter().map(|mark| mark.code.as_str()).collect();
    let worst = marks.first().map(|mark| mark.severity).filter(|worst| *worst > Severity::Info);
    let sure = row.map(|row| row.confidence);
    // What was asked for is like nothing else.
    let own = focus.then_some(spot);
    // What became of a thing tells it from others, and what is the same is all alike.
    let fate = draft.fate(spot);
    let told = draft.told(spot).len();
    let place = (host, kind, column, own, fate, told);
    if fate == Some(Fate::Same) {
        let same = format!("{place:?} {family}");
        return [same.clone(), same, format!("{place:?}")];
    }
    // Switches differ in what they are for, so long as there is room for that.
    let is_switch = spot.row.is_none() && kind == Some(Kind::Switch);
    let own_name = is_switch.then(|| words::title(draft.topology, draft.nodes(spot)));
    [
        format!("{place:?} {family} {state:?} {codes:?} {sure:?}"),
        format!("{place:?} {own_name:?} {state:?} {worst:?}"),
        format!("{place:?}"),
    ]
}

/// Numbers for values, in the order in which they come.
fn number<T: Ord>(values: Vec<(Spot, T)>) -> BTreeMap<Spot, usize> {
    let mut numbers = BTreeMap::new();
    let mut all = BTreeMap::new();
    for (spot, value) in values {
        let next = numbers.len();
        all.insert(spot, *numbers.entry(value).or_insert(next));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbered_in_their_order() {
        let spot = |card| Spot { card, row: None };
        let all = number(vec![(spot(0), "b"), (spot(1), "a"), (spot(2), "b")]);
        assert_eq!(all.values().copied().collect::<Vec<_>>(), [0, 1, 0]);
    }
}
