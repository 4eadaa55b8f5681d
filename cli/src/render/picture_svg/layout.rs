//! Where everything stands on the page.
//!
//! Hosts stand in two columns, both with their wire towards the middle: there tunnels run from host
//! to host, and there are the hosts that were not captured. A single host has the middle at its right.
use std::collections::{BTreeMap, BTreeSet};

use super::lanes::{self, Place};
use super::measure::{self, LINE, PAD, Placed};
use crate::picture::{Kind, Picture, Spot, Wire};
use crate::render::picture_words as words;

/// Between lanes, between boxes of a lane, around what a host holds, between hosts.
const LANE: i64 = 64;
const GAP: i64 = 14;
const INSET: i64 = 14;
const HOSTS: i64 = 30;
/// Space that a line takes in a lane that it crosses.
const CROSSING: i64 = 8;
/// Rounds of moving boxes to what they are tied to.
/// An odd number, so that lines that leave a host are straight in the end.
const ROUNDS: usize = 13;
/// How far things that are tied to nothing may reach.
const ROOM: i64 = 900;
/// The middle, without hosts in it.
const MIDDLE: i64 = 150;

/// A page, with all that is on it.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    pub(super) width: i64,
    pub(super) height: i64,
    /// Left, top, width and height of each host.
    pub(super) frames: Vec<[i64; 4]>,
    pub(super) cards: Vec<Placed>,
    /// The points of each line, from its first end to its second; each is met from the left or from
    /// the right.
    pub(super) wires: Vec<Vec<Point>>,
}

/// A point of a line, and in which direction the line leaves it: 1 to the right, -1 to the left.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Point {
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) leaves: i64,
}

/// One host, laid out by itself with guests at the left.
struct Island {
    width: i64,
    height: i64,
    /// Boxes, by their places in the picture.
    cards: BTreeMap<usize, Placed>,
    /// Points between the ends of a line, by its place in the picture.
    bends: BTreeMap<usize, Vec<(i64, i64)>>,
    /// Where lines that lead off the host leave it.
    exits: BTreeMap<(usize, Spot), i64>,
}

/// Lays a picture out.
pub(super) fn lay(picture: &Picture) -> Sheet {
    let islands: Vec<Island> =
        (0..picture.hosts.len()).map(|host| island(picture, Some(host))).collect();
    let mut sheet = Sheet {
        cards: picture.cards.iter().map(measure::card).collect(),
        frames: vec![[0; 4]; islands.len()],
        ..Sheet::default()
    };
    if islands.is_empty() {
        grid(picture, &mut sheet);
        return sheet;
    }
    // Each host under the shorter column.
    let mut columns: [Vec<usize>; 2] = [Vec::new(), Vec::new()];
    let mut below = [GAP, GAP];
    for (at, island) in islands.iter().enumerate() {
        let which = usize::from(below[1] < below[0]);
        if let (Some(column), Some(below)) = (columns.get_mut(which), below.get_mut(which)) {
            column.push(at);
            *below += island.height + HOSTS;
        }
    }
    let widest = |hosts: &[usize]| {
        hosts.iter().filter_map(|at| islands.get(*at)).map(|island| island.width).max().unwrap_or(0)
    };
    let off: Vec<usize> = (0..picture.cards.len())
        .filter(|at| picture.cards.get(*at).is_some_and(|card| card.host.is_none()))
        .collect();
    let remote = off.iter().filter_map(|at| sheet.cards.get(*at)).map(|card| card.width).max();
    let crosses = picture.wires.iter().any(|wire| crosses(picture, wire));
    let middle = match (remote, crosses) {
        (Some(remote), _) => remote + 2 * LANE,
        (None, true) => MIDDLE,
        (None, false) => HOSTS,
    };
    let [left, right] = &columns;
    let edge = GAP + widest(left);
    let far = edge + middle;
    let mut exits: BTreeMap<(usize, Spot), Point> = BTreeMap::new();
    let mut bends: BTreeMap<(usize, Spot), Vec<(i64, i64)>> = BTreeMap::new();
    for (column, mirrored) in [(left, false), (right, true)] {
        let mut top = GAP;
        for &at in column {
            let Some(island) = islands.get(at) else { continue };
            let x = if mirrored { far } else { edge - island.width };
            if let Some(frame) = sheet.frames.get_mut(at) {
                *frame = [x, top, island.width, island.height];
            }
            settle(island, &mut sheet, (x, top), mirrored, &mut exits, &mut bends);
            top += island.height + HOSTS;
        }
        sheet.height = sheet.height.max(top);
    }
    let has_right = !right.is_empty();
    sheet.width = if has_right {
        far + widest(right) + GAP
    } else if remote.is_some() {
        far + GAP - LANE
    } else {
        edge + GAP
    };
    place_remote(
        picture,
        &mut sheet,
        &off,
        &exits,
        (edge, if has_right { middle } else { middle - LANE / 2 }),
    );
    sheet.wires = (0..picture.wires.len())
        .map(|at| {
            picture
                .wires
                .get(at)
                .map_or(Vec::new(), |wire| route(picture, &sheet, at, wire, &exits, &bends))
        })
        .collect();
    sheet
}

/// Whether a line leads off its host.
fn crosses(picture: &Picture, wire: &Wire) -> bool {
    let host = |spot: Spot| picture.cards.get(spot.card).and_then(|card| card.host);
    host(wire.from) != host(wire.to)
}

/// Lays one host out.
fn island(picture: &Picture, host: Option<usize>) -> Island {
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

/// Brings a host to its place on the page.
fn settle(
    island: &Island,
    sheet: &mut Sheet,
    (left, top): (i64, i64),
    mirrored: bool,
    exits: &mut BTreeMap<(usize, Spot), Point>,
    bends: &mut BTreeMap<(usize, Spot), Vec<(i64, i64)>>,
) {
    let turn = |x: i64, width: i64| if mirrored { island.width - x - width } else { x };
    for (at, card) in &island.cards {
        let mut card = card.clone();
        card.x = left + turn(card.x, card.width);
        card.y += top;
        if mirrored {
            card.mirror();
        }
        if let Some(place) = sheet.cards.get_mut(*at) {
            *place = card;
        }
    }
    for (&(wire, spot), &y) in &island.exits {
        let x = if mirrored { left } else { left + island.width };
        let leaves = if mirrored { -1 } else { 1 };
        exits.insert((wire, spot), Point { x, y: y + top, leaves });
    }
    for (&wire, of_wire) in &island.bends {
        // A line that leads off has bends on both hosts: they are kept by the end that is here.
        let of_exit = island.exits.keys().find(|(of, _)| *of == wire).map(|(_, spot)| *spot);
        let spot = of_exit.unwrap_or(Spot { card: usize::MAX, row: None });
        let moved = of_wire.iter().map(|&(x, y)| (left + turn(x, 0), y + top));
        bends.insert((wire, spot), moved.collect());
    }
}

/// What is on no captured host stands in the middle, near to what leads to it.
fn place_remote(
    picture: &Picture,
    sheet: &mut Sheet,
    off: &[usize],
    exits: &BTreeMap<(usize, Spot), Point>,
    (edge, middle): (i64, i64),
) {
    let mut wishes: Vec<(i64, usize)> = Vec::new();
    let mut of_card: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
    for (&(wire, _), exit) in exits {
        let Some(wire) = picture.wires.get(wire) else { continue };
        for end in [wire.from, wire.to] {
            of_card.entry(end.card).or_default().push(exit.y);
        }
    }
    for &at in off {
        let tied = of_card.get(&at).map_or(&[][..], Vec::as_slice);
        let count = i64::try_from(tied.len()).unwrap_or(1).max(1);
        let height = sheet.cards.get(at).map_or(0, |card| card.height);
        wishes.push((tied.iter().sum::<i64>() / count - height / 2, at));
    }
    wishes.sort_unstable();
    let height = |at: &usize| sheet.cards.get(*at).map_or(0, |card| card.height);
    let heights: Vec<i64> = wishes.iter().map(|(_, at)| height(at)).collect();
    let wanted: Vec<i64> = wishes.iter().map(|(wish, _)| *wish).collect();
    let tops = lanes::spread(&heights, &wanted, GAP);
    let shift = tops.first().map_or(0, |top| (GAP - top).max(0));
    for ((_, at), top) in wishes.iter().zip(tops) {
        let Some(card) = sheet.cards.get_mut(*at) else { continue };
        card.y = top + shift;
        card.x = edge + (middle - card.width) / 2;
        sheet.height = sheet.height.max(card.y + card.height + GAP);
    }
}

/// The points of a line.
fn route(
    picture: &Picture,
    sheet: &Sheet,
    at: usize,
    wire: &Wire,
    exits: &BTreeMap<(usize, Spot), Point>,
    bends: &BTreeMap<(usize, Spot), Vec<(i64, i64)>>,
) -> Vec<Point> {
    let (Some(from), Some(to)) = (sheet.cards.get(wire.from.card), sheet.cards.get(wire.to.card))
    else {
        return Vec::new();
    };
    let inner = Spot { card: usize::MAX, row: None };
    let bends_of = |spot: Spot| bends.get(&(at, spot)).cloned().unwrap_or_default();
    let mut points: Vec<(i64, i64)> = Vec::new();
    if crosses(picture, wire) {
        points.extend(ordered(bends_of(wire.from), from));
        points.extend(exits.get(&(at, wire.from)).map(|exit| (exit.x, exit.y)));
        points.extend(exits.get(&(at, wire.to)).map(|exit| (exit.x, exit.y)));
        let mut back = ordered(bends_of(wire.to), to);
        back.reverse();
        points.extend(back);
    } else {
        points.extend(ordered(bends_of(inner), from));
    }
    let middle = |card: &Placed| card.x + card.width / 2;
    let next = points.first().map_or(middle(to), |point| point.0);
    let before = points.last().map_or(middle(from), |point| point.0);
    let same = wire.from.card == wire.to.card;
    let first = port(from, wire.from, next >= middle(from) || same);
    let last = port(to, wire.to, before > middle(to) || same);
    let mut all = vec![first];
    let mut x = first.x;
    for (n, &(at, y)) in points.iter().enumerate() {
        // At a place where hosts are left, the line goes on as it came.
        let ahead = points.get(n + 1).map_or(last.x, |point| point.0);
        let leaves = if ahead == at { (at - x).signum() } else { (ahead - at).signum() };
        all.push(Point { x: at, y, leaves: if leaves == 0 { 1 } else { leaves } });
        x = at;
    }
    all.push(last);
    all
}

/// Bends from a box on: the nearest first.
fn ordered(mut bends: Vec<(i64, i64)>, from: &Placed) -> Vec<(i64, i64)> {
    let start = from.x + from.width / 2;
    bends.sort_by_key(|(x, _)| (x - start).abs());
    bends
}

/// Where a line meets a box: at the wanted side, where the row reaches it.
fn port(card: &Placed, spot: Spot, right: bool) -> Point {
    let (y, (at_left, at_right)) = card.port(spot.row);
    let right = if right { at_right } else { !at_left };
    let x = if right { card.x + card.width } else { card.x };
    Point { x, y, leaves: if right { 1 } else { -1 } }
}

/// Boxes without hosts around them, as in a table.
fn grid(picture: &Picture, sheet: &mut Sheet) {
    let count = picture.cards.len();
    let columns = (1..).find(|side| side * side >= count).unwrap_or(1).max(1);
    let widest = sheet.cards.iter().map(|card| card.width).max().unwrap_or(0);
    let highest = sheet.cards.iter().map(|card| card.height).max().unwrap_or(0);
    for (n, card) in sheet.cards.iter_mut().enumerate() {
        let number = |n: usize| i64::try_from(n).unwrap_or(0);
        card.x = GAP + number(n % columns) * (widest + LANE);
        card.y = GAP + number(n / columns) * (highest + 3 * GAP);
        sheet.width = sheet.width.max(card.x + card.width + GAP);
        sheet.height = sheet.height.max(card.y + card.height + GAP);
    }
    sheet.wires = picture
        .wires
        .iter()
        .map(|wire| {
            let (from, to) = (sheet.cards.get(wire.from.card), sheet.cards.get(wire.to.card));
            let (Some(from), Some(to)) = (from, to) else { return Vec::new() };
            let right = to.x > from.x;
            vec![port(from, wire.from, right), port(to, wire.to, !right)]
        })
        .collect();
}
