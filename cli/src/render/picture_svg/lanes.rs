//! In which lane each box stands, and in which order the boxes of a lane do.
//!
//! Lanes lead from guests to the wire. A line over several lanes gets a place in each lane that it
//! crosses, so that it runs between boxes and not through them.
use std::collections::{BTreeMap, BTreeSet};

/// Rounds of putting boxes in the order of what they are tied to.
const SWEEPS: usize = 10;

/// A place in a lane: a box, or where a line crosses the lane.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Place {
    Box(usize),
    Crossing {
        /// The line, as its place in what was given.
        line: usize,
        /// The lane.
        lane: usize,
    },
}

/// Boxes in lanes.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// The places of each lane, from above.
    pub(super) lanes: Vec<Vec<Place>>,
    /// The lane of each box.
    pub(super) of: Vec<usize>,
}

/// Puts `count` boxes into lanes, with lines between them. Boxes that are `last` stand in the last
/// lane where lines allow it, those that are `beyond` in one behind it.
pub(super) fn arrange(
    count: usize,
    lines: &[(usize, usize)],
    last: &BTreeSet<usize>,
    beyond: &BTreeSet<usize>,
) -> Lanes {
    let of = levels(count, lines, last, beyond);
    let deep = of.iter().max().map_or(0, |most| most + 1);
    let mut lanes: Vec<Vec<Place>> = vec![Vec::new(); deep];
    for (at, lane) in of.iter().enumerate() {
        if let Some(lane) = lanes.get_mut(*lane) {
            lane.push(Place::Box(at));
        }
    }
    let mut ties: Vec<(Place, Place)> = Vec::new();
    for (n, &(from, to)) in lines.iter().enumerate() {
        let lane = |at: usize| of.get(at).copied().unwrap_or(0);
        let (from, to) = if lane(from) <= lane(to) { (from, to) } else { (to, from) };
        let mut before = Place::Box(from);
        for crossed in lane(from) + 1..lane(to) {
            let place = Place::Crossing { line: n, lane: crossed };
            if let Some(lane) = lanes.get_mut(crossed) {
                lane.push(place);
            }
            ties.push((before, place));
            before = place;
        }
        if lane(from) != lane(to) {
            ties.push((before, Place::Box(to)));
        }
    }
    order(&mut lanes, &ties);
    Lanes { lanes, of }
}

/// The lane of each box: behind all that leads to it, and next to what it leads to.
fn levels(
    count: usize,
    lines: &[(usize, usize)],
    last: &BTreeSet<usize>,
    beyond: &BTreeSet<usize>,
) -> Vec<usize> {
    let sorted = in_order(count, lines);
    let rank: BTreeMap<usize, usize> = sorted.iter().enumerate().map(|(n, &at)| (at, n)).collect();
    // Lines that close a ring do not count.
    let leads = |&&(from, to): &&(usize, usize)| rank.get(&from) < rank.get(&to);
    let mut next: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for &(from, to) in lines.iter().filter(leads) {
        next.entry(from).or_default().insert(to);
    }
    let mut lane = vec![0; count];
    let of = |lane: &[usize], at: usize| lane.get(at).copied().unwrap_or(0);
    for &at in &sorted {
        let here = of(&lane, at);
        for &behind in next.get(&at).into_iter().flatten() {
            if let Some(behind) = lane.get_mut(behind) {
                *behind = (*behind).max(here + 1);
            }
        }
    }
    let inner = (0..count).filter(|at| !beyond.contains(at));
    let deepest = inner.map(|at| of(&lane, at)).max().unwrap_or(0);
    for &at in sorted.iter().rev() {
        let behind = next.get(&at).into_iter().flatten();
        let nearest = behind.filter(|to| !beyond.contains(to)).map(|to| of(&lane, *to)).min();
        let here = of(&lane, at);
        let moved = match nearest {
            _ if beyond.contains(&at) => deepest + 1,
            Some(nearest) => nearest.saturating_sub(1).max(here),
            None if last.contains(&at) => deepest,
            None => here,
        };
        if let Some(lane) = lane.get_mut(at) {
            *lane = moved;
        }
    }
    // A lane in which nothing is left is none.
    let used: BTreeSet<usize> = lane.iter().copied().collect();
    let packed: BTreeMap<usize, usize> = used.into_iter().zip(0..).collect();
    lane.iter().map(|at| packed.get(at).copied().unwrap_or(0)).collect()
}

/// All boxes, each before those that it leads to; where lines form a ring, one of them is overlooked.
fn in_order(count: usize, lines: &[(usize, usize)]) -> Vec<usize> {
    let mut next: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut open: Vec<usize> = vec![0; count];
    for &(from, to) in lines {
        if from != to
            && next.entry(from).or_default().insert(to)
            && let Some(open) = open.get_mut(to)
        {
            *open += 1;
        }
    }
    let mut left: BTreeSet<usize> = (0..count).collect();
    let mut ready: BTreeSet<usize> =
        open.iter().enumerate().filter(|(_, open)| **open == 0).map(|(at, _)| at).collect();
    let mut sorted = Vec::with_capacity(count);
    while let Some(at) = ready.pop_first().or_else(|| left.first().copied()) {
        left.remove(&at);
        sorted.push(at);
        for &to in next.get(&at).into_iter().flatten() {
            let Some(open) = open.get_mut(to) else { continue };
            *open = open.saturating_sub(1);
            if *open == 0 && left.contains(&to) {
                ready.insert(to);
            }
        }
    }
    sorted
}

/// Puts the places of each lane in an order in which few lines cross.
fn order(lanes: &mut [Vec<Place>], ties: &[(Place, Place)]) {
    let mut before: BTreeMap<Place, Vec<Place>> = BTreeMap::new();
    let mut behind: BTreeMap<Place, Vec<Place>> = BTreeMap::new();
    for &(from, to) in ties {
        behind.entry(from).or_default().push(to);
        before.entry(to).or_default().push(from);
    }
    let mut best = (crossings(lanes, ties), lanes.to_vec());
    for sweep in 0..SWEEPS {
        let down = sweep % 2 == 0;
        let ties_of = if down { &before } else { &behind };
        for step in 0..lanes.len() {
            let at = if down { step } else { lanes.len() - 1 - step };
            let near = if down { at.checked_sub(1) } else { Some(at + 1) };
            let near: BTreeMap<Place, usize> = near
                .and_then(|near| lanes.get(near))
                .map(|lane| lane.iter().copied().zip(0..).collect())
                .unwrap_or_default();
            let Some(lane) = lanes.get_mut(at) else { continue };
            let own: BTreeMap<Place, usize> = lane.iter().copied().zip(0..).collect();
            // In hundredths of a place: whole numbers are the same on all machines.
            let wish = |place: &Place| {
                let tied = ties_of.get(place).into_iter().flatten();
                let tied: Vec<usize> = tied.filter_map(|other| near.get(other).copied()).collect();
                let sum: usize = tied.iter().sum();
                let own = own.get(place).copied().unwrap_or(0);
                if tied.is_empty() { own * 100 } else { sum * 100 / tied.len() }
            };
            lane.sort_by_cached_key(|place| (wish(place), own.get(place).copied()));
        }
        let crossed = crossings(lanes, ties);
        if crossed < best.0 {
            best = (crossed, lanes.to_vec());
        }
    }
    for (lane, ordered) in lanes.iter_mut().zip(best.1) {
        *lane = ordered;
    }
}

/// How many pairs of lines cross.
fn crossings(lanes: &[Vec<Place>], ties: &[(Place, Place)]) -> usize {
    let mut at: BTreeMap<Place, (usize, usize)> = BTreeMap::new();
    for (n, lane) in lanes.iter().enumerate() {
        at.extend(lane.iter().zip(0..).map(|(place, order)| (*place, (n, order))));
    }
    let mut by_lane: BTreeMap<usize, Vec<(usize, usize)>> = BTreeMap::new();
    for (from, to) in ties {
        if let (Some(from), Some(to)) = (at.get(from), at.get(to)) {
            by_lane.entry(from.0).or_default().push((from.1, to.1));
        }
    }
    let mut crossed = 0;
    for lines in by_lane.values() {
        for (n, a) in lines.iter().enumerate() {
            let others = lines.iter().skip(n + 1);
            crossed +=
                others.filter(|b| (a.0 < b.0 && a.1 > b.1) || (a.0 > b.0 && a.1 < b.1)).count();
        }
    }
    crossed
}

/// Places things of these heights one below the other, each as near to its wish as the others allow:
/// the sum of the squares of what they miss is least (isotonic regression). The result is where each
/// begins.
pub(super) fn spread(heights: &[i64], wishes: &[i64], gap: i64) -> Vec<i64> {
    // Blocks of things that touch: the sum of their wishes, how many they are.
    let mut blocks: Vec<(i64, i64)> = Vec::new();
    let mut offset = 0;
    let mut offsets = Vec::new();
    for (height, wish) in heights.iter().zip(wishes) {
        offsets.push(offset);
        let mut block = (wish - offset, 1);
        while let Some(&(sum, count)) = blocks.last()
            && sum * block.1 > block.0 * count
        {
            blocks.pop();
            block = (block.0 + sum, block.1 + count);
        }
        blocks.push(block);
        offset += height + gap;
    }
    let placed =
        blocks.iter().flat_map(|&(sum, count)| (0..count).map(move |_| sum / count.max(1)));
    placed.zip(offsets).map(|(at, offset)| at + offset).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_lead_to_the_wire_and_rings_end() {
        // 0 → 1 → 2, 3 → 2, and 2 → 0 closes a ring.
        let lanes =
            arrange(5, &[(0, 1), (1, 2), (3, 2), (2, 0)], &BTreeSet::from([4]), &BTreeSet::new());
        assert!(lanes.of[0] < lanes.of[1] && lanes.of[1] < lanes.of[2], "{lanes:?}");
        assert_eq!(lanes.of[3] + 1, lanes.of[2], "next to what it leads to");
        assert_eq!(lanes.of[4], lanes.of[2], "the last lane");
    }

    #[test]
    fn long_lines_have_places_in_the_lanes_between() {
        let lanes = arrange(4, &[(0, 1), (1, 2), (0, 2)], &BTreeSet::new(), &BTreeSet::from([3]));
        assert_eq!(lanes.lanes[1], [Place::Box(1), Place::Crossing { line: 2, lane: 1 }]);
        assert_eq!(lanes.of[3], 3, "beyond");
    }

    #[test]
    fn lines_do_not_cross_without_need() {
        let lanes = arrange(4, &[(0, 3), (1, 2)], &BTreeSet::new(), &BTreeSet::new());
        let order = |lane: usize| lanes.lanes[lane].clone();
        let crossed = (order(0) == [Place::Box(0), Place::Box(1)])
            == (order(1) == [Place::Box(2), Place::Box(3)]);
        assert!(!crossed, "{lanes:?}");
    }

    #[test]
    fn things_stand_where_they_wish_or_share_what_they_miss() {
        assert_eq!(spread(&[10, 10], &[0, 100], 5), [0, 100]);
        assert_eq!(spread(&[10, 10], &[50, 50], 0), [45, 55]);
        assert_eq!(spread(&[10, 10], &[90, 0], 0), [40, 50]);
        assert_eq!(spread(&[], &[], 5), [0; 0]);
    }
}
