//! One host laid out by itself, with guests at the left and the wire at the right.
use std::collections::{BTreeMap, BTreeSet};

use super::lanes::{self, Place};
use super::layout::{GAP, LANE};
use super::measure::{self, LINE, PAD, Placed};
use crate::picture::{Kind, Picture, Spot};
use crate::render::picture_words as words;

/// Around what a host holds.
const INSET: i64 = 14;
/// Space that a line takes in a lane that it crosses.
const CROSSING: i64 = 8;
/// Rounds of moving boxes to what they are tied to.
/// An odd number, so that lines that leave a host are straight in the end.
const ROUNDS: usize = 13;
/// How far things that are tied to nothing may reach.
const ROOM: i64 = 900;

/// One host, laid out by itself with guests at the left.
pub(super) struct Island {
    pub(super) width: i64,
    pub(super) height: i64,
    /// Boxes, by their places in the picture.
    pub(super) cards: BTreeMap<usize, Placed>,
    /// Points between the ends of a line, by its place in the picture.
    pub(super) bends: BTreeMap<usize, Vec<(i64, i64)>>,
    /// Where lines that lead off the host leave it.
    pub(super) exits: BTreeMap<(usize, Spot), i64>,
}

/// Lays one host out.
pub(super) fn island(picture: &Picture, host: Option<usize>) -> Island {
    let tied: BTreeSet<usize> = picture
        .wires
        .iter()
        .filter(|wire| wire.from.card != wire.to.card)
        .flat_map(|wire| [wire.from.card, wire.to.card])
        .collect();
    let of_host = picture.cards.iter().enumerate().filter(|(_, card)| card.host == host);
    let (own, alone): (Vec<usize>, Vec<usize>) =
        of_host.map(|(at, _)| at).partition(|at| tied.contains(at));
    let index: BTreeMap<usize, usize> = own.iter().enumerate().map(|(n, &at)| (at, n)).collect();
    let mut cards: Vec<Placed> =
        own.iter().filter_map(|at| picture.cards.get(*at)).map(measure::card).collect();
    // Lines within the host; those that lead off it end at places behind the last lane.
    let mut lines: Vec<(usize, usize)> = Vec::new();
    let mut of_line: Vec<(usize, Spot, Spot)> = Vec::new();
    let mut beyond: BTreeSet<usize> = BTreeSet::new();
    let mut exits: Vec<(usize, Spot)> = Vec::new();
    for (at, wire) in picture.wires.iter().enumerate() {
        match (index.get(&wire.from.card), index.get(&wire.to.card)) {
            (Some(from), Some(to)) if from != to => {
                lines.push((*from, *to));
                of_line.push((at, wire.from, wire.to));
            }
            (Some(_), Some(_)) | (None, None) => {}
            (inner, outer) => {
                let Some(&own) = inner.or(outer) else { continue };
                let spot = if inner.is_some() { wire.from } else { wire.to };
                let exit = cards.len() + exits.len();
                beyond.insert(exit);
                lines.push((own, exit));
                of_line.push((at, spot, spot));
                exits.push((at, spot));
            }
        }
    }
    let boxes = cards.len();
    let is_last = |at: &&usize| picture.cards.get(**at).is_some_and(|card| card.kind == Kind::Nic);
    let last: BTreeSet<usize> =
        own.iter().filter(is_last).filter_map(|at| index.get(at).copied()).collect();
    let lanes = lanes::arrange(boxes + exits.len(), &lines, &last, &beyond);
    sort_rows(&mut cards, &lanes, &lines, &of_line);
    let size = |place: &Place| match place {
        Place::Box(at) => cards.get(*at).map_or(CROSSING, |card| card.height),
        Place::Crossing { .. } => CROSSING,
    };
    let heights: Vec<Vec<i64>> =
        lanes.lanes.iter().map(|lane| lane.iter().map(size).collect()).collect();
    let tops = heights_to_tops(&lanes.lanes, &heights, &lines, &of_line, &cards, &lanes.of);
    let mut bends: BTreeMap<usize, Vec<(i64, i64)>> = BTreeMap::new();
    let mut leaving = BTreeMap::new();
    let head = LINE + 2 * PAD;
    let (mut x, mut height) = (INSET, head);
    let count = lanes.lanes.len();
    for (n, lane) in lanes.lanes.iter().enumerate() {
        let is_exit = |place: &Place| matches!(place, Place::Box(at) if *at >= boxes);
        if n + 1 == count && lane.iter().all(is_exit) {
            x -= LANE;
        }
        let widest = lane
            .iter()
            .filter_map(|place| match place {
                Place::Box(at) => cards.get(*at).map(|card| card.width),
                Place::Crossing { .. } => None,
            })
            .max()
            .unwrap_or(0);
        for (place, top) in lane.iter().zip(tops.get(n).into_iter().flatten()) {
            let top = *top + head;
            match place {
                Place::Box(at) => match cards.get_mut(*at) {
                    Some(card) => {
                        (card.x, card.y) = (x + (widest - card.width) / 2, top);
                        height = height.max(top + card.height);
                    }
                    None => {
                        if let Some(exit) = exits.get(at - boxes) {
                            leaving.insert(*exit, top + CROSSING / 2);
                            height = height.max(top + CROSSING);
                        }
                    }
                },
                Place::Crossing { line, .. } => {
                    if let Some((wire, _, _)) = of_line.get(*line) {
                        let middle = top + CROSSING / 2;
                        let bend = bends.entry(*wire).or_default();
                        bend.push((x, middle));
                        bend.push((x + widest, middle));
                        height = height.max(top + CROSSING);
                    }
                }
            }
        }
        x += widest + LANE;
    }
    let title = host.and_then(|host| picture.hosts.get(host)).map(words::frame);
    let title = title.map_or(0, |title| measure::width(&title) * 13 / 10 + 2 * INSET);
    let mut width = (x - LANE + INSET).max(title);
    let mut placed: BTreeMap<usize, Placed> = own.into_iter().zip(cards).collect();
    if !placed.is_empty() && !alone.is_empty() {
        height += 2 * GAP;
    }
    // What is tied to nothing stands below, in rows.
    let (mut x, mut highest) = (INSET, 0);
    let room = width.max(ROOM);
    for at in alone {
        let Some(mut card) = picture.cards.get(at).map(measure::card) else { continue };
        if x > INSET && x + card.width + INSET > room {
            (x, height) = (INSET, height + highest + GAP);
            highest = 0;
        }
        (card.x, card.y) = (x, height);
        highest = highest.max(card.height);
        x += card.width + 2 * GAP;
        width = width.max(x - 2 * GAP + INSET);
        placed.insert(at, card);
    }
    height += highest;
    Island { width, height: height + INSET, cards: placed, bends, exits: leaving }
}

/// Puts the rows of boxes in the order of what they are tied to, so that few lines cross.
fn sort_rows(
    cards: &mut [Placed],
    lanes: &lanes::Lanes,
    lines: &[(usize, usize)],
    of_line: &[(usize, Spot, Spot)],
) {
    /// More than a box has rows.
    const ROWS: i64 = 1_000;
    let mut order: BTreeMap<usize, i64> = BTreeMap::new();
    for lane in &lanes.lanes {
        for (place, n) in lane.iter().zip(0..) {
            if let Place::Box(at) = place {
                order.insert(*at, n);
            }
        }
    }
    let mut ranks: BTreeMap<usize, BTreeMap<usize, Vec<i64>>> = BTreeMap::new();
    for (&(from, to), &(_, out, into)) in lines.iter().zip(of_line) {
        let rank = |at: usize, spot: Spot| {
            let row = spot.row.and_then(|row| i64::try_from(row).ok()).unwrap_or(0);
            order.get(&at).map_or(0, |order| order * ROWS + row)
        };
        for (here, spot, there, other) in [(from, out, to, into), (to, into, from, out)] {
            if let Some(row) = spot.row {
                let of_row = ranks.entry(here).or_default().entry(row).or_default();
                of_row.push(rank(there, other));
            }
        }
    }
    for (at, of_card) in ranks {
        let Some(card) = cards.get_mut(at) else { continue };
        let rank = |row: usize| {
            let of_row = of_card.get(&row)?;
            Some(of_row.iter().sum::<i64>() / i64::try_from(of_row.len()).ok()?)
        };
        let ranks: Vec<Option<i64>> = (0..card.rows.len()).map(rank).collect();
        card.reorder(&ranks);
    }
}

/// Where the places of each lane begin, from above: near to what they are tied to.
fn heights_to_tops(
    lanes: &[Vec<Place>],
    heights: &[Vec<i64>],
    lines: &[(usize, usize)],
    of_line: &[(usize, Spot, Spot)],
    cards: &[Placed],
    lane_of: &[usize],
) -> Vec<Vec<i64>> {
    let mut at: BTreeMap<Place, (usize, usize)> = BTreeMap::new();
    for (n, lane) in lanes.iter().enumerate() {
        at.extend(lane.iter().enumerate().map(|(order, place)| (*place, (n, order))));
    }
    // What is tied to each place: the other place, and the heights at which the line meets both.
    let mut ties: BTreeMap<Place, Vec<(Place, i64)>> = BTreeMap::new();
    let meets = |place: Place, spot: Spot| match place {
        Place::Box(at) => cards.get(at).map_or(CROSSING / 2, |card| card.port(spot.row).0),
        Place::Crossing { .. } => CROSSING / 2,
    };
    for (n, (&(from, to), &(_, out, into))) in lines.iter().zip(of_line).enumerate() {
        let lane = |at: usize| lane_of.get(at).copied().unwrap_or(0);
        let turned = lane(from) > lane(to);
        let (from, to) = if turned { (to, from) } else { (from, to) };
        let (out, into) = if turned { (into, out) } else { (out, into) };
        let mut chain = vec![(Place::Box(from), out)];
        chain.extend(
            (lane(from) + 1..lane(to)).map(|lane| (Place::Crossing { line: n, lane }, out)),
        );
        chain.push((Place::Box(to), into));
        for pair in chain.windows(2) {
            let [a, b] = pair else { continue };
            let (of_a, of_b) = (meets(a.0, a.1), meets(b.0, b.1));
            ties.entry(a.0).or_default().push((b.0, of_b - of_a));
            ties.entry(b.0).or_default().push((a.0, of_a - of_b));
        }
    }
    let mut tops: Vec<Vec<i64>> = heights
        .iter()
        .map(|heights| lanes::spread(heights, &vec![0; heights.len()], GAP))
        .collect();
    for round in 0..ROUNDS {
        for step in 0..lanes.len() {
            let n = if round % 2 == 0 { step } else { lanes.len() - 1 - step };
            let (Some(lane), Some(heights)) = (lanes.get(n), heights.get(n)) else { continue };
            let top = |place: &Place| {
                let (lane, order) = at.get(place)?;
                tops.get(*lane)?.get(*order).copied()
            };
            let wishes: Vec<i64> = lane
                .iter()
                .map(|place| {
                    let tied = ties.get(place).into_iter().flatten();
                    let tied: Vec<i64> =
                        tied.filter_map(|(other, shift)| Some(top(other)? + shift)).collect();
                    let count = i64::try_from(tied.len()).unwrap_or(1);
                    if tied.is_empty() {
                        top(place).unwrap_or(0)
                    } else {
                        tied.iter().sum::<i64>() / count
                    }
                })
                .collect();
            let spread = lanes::spread(heights, &wishes, GAP);
            if let Some(tops) = tops.get_mut(n) {
                *tops = spread;
            }
        }
    }
    let highest = tops.iter().flatten().min().copied().unwrap_or(0);
    for top in tops.iter_mut().flatten() {
        *top -= highest;
    }
    tops
}
