//! Where everything stands on the page.
//!
//! Hosts stand in two columns, both with their wire towards the middle: there tunnels run from host
//! to host, and there are the hosts that were not captured. A single host has the middle at its right.
use std::collections::BTreeMap;

use super::island::{Island, island};
use super::lanes;
use super::measure::{self, Placed};
use crate::picture::{Picture, Spot, Wire};

/// Between lanes, between boxes of a lane, between hosts.
pub(super) const LANE: i64 = 64;
pub(super) const GAP: i64 = 14;
const HOSTS: i64 = 30;
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
    let columns = count.isqrt().max(1);
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
