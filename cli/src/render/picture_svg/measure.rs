//! How large boxes and rows are, and how their texts are cut.
use crate::picture::{Card, Column, Face, Mark};
use crate::render::escape::shorten;
use crate::render::picture_words as words;

/// Height of a line of text, and of the space around texts.
pub(super) const LINE: i64 = 14;
pub(super) const PAD: i64 = 6;
/// Between the two columns of a box.
const BETWEEN: i64 = 14;
/// Characters of a name and of a fact.
const NAME: usize = 26;
const FACT: usize = 30;
/// Facts that are written; a pointer shows the others.
const FACTS: usize = 3;
/// Badges that are drawn.
pub(super) const BADGES: usize = 3;

/// What is written at one place, cut to fit.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    pub(super) title: String,
    pub(super) facts: Vec<String>,
    pub(super) marks: Vec<Mark>,
    pub(super) more_marks: usize,
    pub(super) width: i64,
    pub(super) height: i64,
}

/// A box with its place on the page. Until it is placed, its corner is that of the page.
#[derive(Clone, Debug, Default)]
pub(super) struct Placed {
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) width: i64,
    pub(super) height: i64,
    pub(super) head: Text,
    pub(super) rows: Vec<PlacedRow>,
}

/// A row, with its place in the box.
#[derive(Clone, Debug)]
pub(super) struct PlacedRow {
    pub(super) x: i64,
    pub(super) y: i64,
    pub(super) width: i64,
    pub(super) text: Text,
    /// It reaches the left edge of the box, and the right one.
    pub(super) edges: (bool, bool),
}

/// Width of a text of small letters: of most fonts of one width, a little more than they need.
pub(super) fn width(text: &str) -> i64 {
    let cells: i64 = text.chars().map(|c| if c < '\u{1100}' { 1 } else { 2 }).sum();
    cells * 67 / 10
}

/// Texts of a face, cut; a box has its name in larger letters.
pub(super) fn text(face: &Face) -> Text {
    let title = shorten(&words::title(face), NAME).into_owned();
    let mut facts: Vec<String> =
        face.facts.iter().take(FACTS).map(|fact| shorten(fact, FACT).into_owned()).collect();
    let more = face.facts.len().saturating_sub(FACTS);
    if more > 0
        && let Some(last) = facts.last_mut()
    {
        last.push_str(" …");
    }
    let marks: Vec<Mark> = face.marks.iter().take(BADGES).cloned().collect();
    let more_marks = face.marks.len() - marks.len();
    let badges: i64 = marks.iter().map(|mark| badge_width(&mark.code)).sum::<i64>()
        + if more_marks > 0 { 24 } else { 0 };
    let lines = facts.iter().map(|fact| width(fact)).max().unwrap_or(0);
    let width = (width(&title) * 108 / 100 + 16).max(lines).max(badges) + 2 * PAD;
    let count = i64::try_from(facts.len()).unwrap_or(0) + 1 + i64::from(!marks.is_empty());
    Text { title, facts, marks, more_marks, width, height: count * LINE + PAD }
}

/// A badge is its shape and its code.
pub(super) fn badge_width(code: &str) -> i64 {
    18 + width(code)
}

/// The size of a box, and where its rows are in it: those towards guests at the left.
pub(super) fn card(card: &Card) -> Placed {
    let head = text(&card.face);
    let mut rows = Vec::new();
    let texts: Vec<(Column, Text)> =
        card.rows.iter().map(|row| (row.column, text(&row.face))).collect();
    let widest = |column: Column| {
        texts.iter().filter(|(of, _)| *of == column).map(|(_, text)| text.width).max()
    };
    let top = head.height + 4;
    let (guests, wire) = (widest(Column::Guests), widest(Column::Wire));
    let inner = match (guests, wire) {
        (Some(guests), Some(wire)) => guests + wire + BETWEEN,
        (one, other) => one.or(other).unwrap_or(0),
    };
    let inner = inner.max(head.width - 8);
    let mut below = [top, top];
    for (column, text) in texts {
        let (x, width, edges, at) = match (column, guests, wire) {
            (Column::Guests, Some(guests), Some(_)) => (4, guests, (true, false), 0),
            (Column::Wire, Some(_), Some(wire)) => (4 + inner - wire, wire, (false, true), 1),
            _ => (4, inner, (true, true), 0),
        };
        let height = text.height;
        let Some(below) = below.get_mut(at) else { continue };
        rows.push(PlacedRow { x, y: *below, width, text, edges });
        *below += height + 4;
    }
    let [left, right] = below;
    let height = if rows.is_empty() { head.height + 2 } else { left.max(right) + 2 };
    Placed { x: 0, y: 0, width: inner + 8, height, head, rows }
}

impl Placed {
    /// The same seen in a mirror.
    pub(super) fn mirror(&mut self) {
        for row in &mut self.rows {
            row.x = self.width - row.x - row.width;
            row.edges = (row.edges.1, row.edges.0);
        }
    }

    /// Puts the rows of each column in the order of their ranks; those without one come last.
    pub(super) fn reorder(&mut self, ranks: &[Option<i64>]) {
        for at_left in [true, false] {
            let of_column: Vec<usize> = (0..self.rows.len())
                .filter(|at| self.rows.get(*at).is_some_and(|row| row.edges.0 == at_left))
                .collect();
            let top = of_column.iter().filter_map(|at| self.rows.get(*at)).map(|row| row.y).min();
            let mut sorted = of_column;
            let rank = |at: &usize| ranks.get(*at).copied().flatten();
            sorted.sort_by_key(|at| (rank(at).is_none(), rank(at), *at));
            let mut below = top.unwrap_or(0);
            for at in sorted {
                let Some(row) = self.rows.get_mut(at) else { continue };
                row.y = below;
                below += row.text.height + 4;
            }
        }
    }

    /// Where a line meets the box or a row: the height, and whether it may at the left and at the
    /// right.
    pub(super) fn port(&self, row: Option<usize>) -> (i64, (bool, bool)) {
        match row.and_then(|row| self.rows.get(row)) {
            Some(row) => (self.y + row.y + row.text.height / 2, row.edges),
            None => (self.y + self.head.height / 2, (true, true)),
        }
    }
}
