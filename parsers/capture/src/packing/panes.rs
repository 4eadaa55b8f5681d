//! Panes side by side, as tmux and screen show them: each is a terminal of its own. What was copied
//! from both at once is told apart by the frame between them, which stands in one column.
use tapline_formats::registry;

use super::{Line, Mark, signs::Signs};

/// The lines that a frame is drawn with: from top to bottom, and where others meet it.
const FRAME: &[char] = &['│', '┃', '║'];
const CORNERS: &[char] = &['├', '┤', '┼', '┬', '┴'];
/// Lines that the frame stands on at least.
const FEWEST: usize = 4;
/// Panes side by side at most.
const MOST: usize = 4;

/// Puts the lines of panes under one another: the left one first.
pub(super) fn part(lines: Vec<Line<'_>>) -> Vec<Line<'_>> {
    let mut out = Vec::with_capacity(lines.len());
    let mut rest = lines;
    while let Some((from, to, column)) = framed(&rest) {
        let tail = rest.split_off(to);
        let both = rest.split_off(from);
        out.append(&mut rest);
        split(both, column, MOST, &mut out);
        rest = tail;
    }
    out.append(&mut rest);
    out
}

/// The first run of lines with a frame in one column, and that column.
fn framed(lines: &[Line<'_>]) -> Option<(usize, usize, usize)> {
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let Some(column) = frame_of(line) else {
            at += 1;
            continue;
        };
        let rest = lines.get(at..).unwrap_or_default();
        let run = rest.iter().take_while(|line| is_framed(line, column)).count();
        if run >= FEWEST && rest.get(..run).is_some_and(|run| are_panes(run, column)) {
            return Some((at, at + run, column));
        }
        at += run.max(1);
    }
    None
}

/// The column of the first frame that has something in front of it.
fn frame_of(line: &Line<'_>) -> Option<usize> {
    if line.mark != Mark::Text || !line.signs.has(Signs::BEYOND_ASCII) {
        return None;
    }
    line.text.chars().position(|c| FRAME.contains(&c)).filter(|column| *column > 0)
}

/// Whether a frame stands in this column of a line.
fn is_framed(line: &Line<'_>, column: usize) -> bool {
    let c = line.text.chars().nth(column);
    line.mark == Mark::Text && c.is_some_and(|c| FRAME.contains(&c) || CORNERS.contains(&c))
}

/// Whether what stands on either side of a frame is what a terminal shows. A frame around a text has
/// nothing on its other side.
fn are_panes(lines: &[Line<'_>], column: usize) -> bool {
    let mut sides = [String::new(), String::new()];
    let mut prompt = false;
    for line in lines {
        let mut parts = [part_of(line, 0, column), part_of(line, column + 1, usize::MAX)];
        for (side, part) in sides.iter_mut().zip(&mut parts) {
            prompt |= crate::transcript::is_prompt(part);
            side.push_str(part.trim_end());
            side.push('\n');
        }
    }
    let is_empty = |side: &String| side.trim().is_empty();
    let is_known = |side: &String| registry::by_content(side.trim_start()).is_some();
    !sides.iter().any(is_empty) && (prompt || sides.iter().any(is_known))
}

fn part_of(line: &Line<'_>, from: usize, to: usize) -> String {
    line.text.chars().skip(from).take(to.saturating_sub(from)).collect()
}

/// Both panes as blocks, and what the right one is parted into.
fn split<'a>(lines: Vec<Line<'a>>, column: usize, most: usize, out: &mut Vec<Line<'a>>) {
    let edges = |mark| {
        let number = lines.first().map_or(1, |line| line.number);
        Line { mark, ..Line::new(number, "".into()) }
    };
    let (open, close) = (edges(Mark::Open), edges(Mark::Close));
    let mut right = Vec::with_capacity(lines.len());
    out.push(open.clone());
    for mut line in lines {
        let bytes = |count: usize| {
            line.text.char_indices().nth(count).map_or(line.text.len(), |(at, _)| at)
        };
        let (end, begin) = (bytes(column), bytes(column + 1));
        let mut other = line.clone();
        other.cut_front(begin);
        let length = line.text.get(..end).map_or(0, |left| left.trim_end().len());
        line.truncate(length);
        out.push(line);
        right.push(other);
    }
    out.push(close.clone());
    let next = right.iter().find_map(frame_of);
    let next = next.filter(|&column| right.iter().all(|line| is_framed(line, column)));
    match next.filter(|_| most > 2) {
        Some(column) => split(right, column, most - 1, out),
        None => {
            out.push(open);
            out.append(&mut right);
            out.push(close);
        }
    }
}
