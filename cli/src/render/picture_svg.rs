//! The picture as SVG: drawn by tapline itself, so that it looks alike everywhere.
//!
//! Nothing of what was captured is written unescaped, and nothing in the picture is a link, a script
//! or a reference to anything outside it.
mod ink;
mod island;
mod lanes;
mod layout;
mod legend;
mod measure;

use std::io::{self, Write};

use tapline_analysis::lint::Severity;
use tapline_topology::graph::Confidence;

use self::ink::Ink;
pub(crate) use self::ink::STYLE;
use self::layout::{Point, Sheet};
use self::measure::{LINE, PAD, Placed, Text};
use super::picture_words as words;
use crate::picture::{Face, Fate, Kind, Picture, Spot, State, Tie, Wire};

/// How far a line that ends where it began stands out.
const BULGE: i64 = 26;

/// The longest side of a page that is read without searching.
const LONGEST: i64 = 3_900;
/// The same with the legend.
const PAGE: i64 = 4_000;

/// Whether a page holds the picture.
pub(crate) fn fits(picture: &Picture) -> bool {
    let sheet = layout::lay(picture);
    sheet.width <= LONGEST && sheet.height <= LONGEST
}

/// Writes the picture.
pub(crate) fn render(out: &mut impl Write, picture: &Picture) -> io::Result<()> {
    let sheet = layout::lay(picture);
    let mut ink = Ink::default();
    for (frame, at) in picture.hosts.iter().zip(&sheet.frames) {
        let [x, y, width, height] = *at;
        ink.rect("host", (x, y), (width, height), 10);
        ink.text("hostname", (x + 12, y + LINE + PAD), &words::frame(frame));
    }
    // Lines run below boxes.
    for (at, wire) in picture.wires.iter().enumerate() {
        draw_wire(&mut ink, wire, sheet.wires.get(at).map_or(&[], Vec::as_slice));
    }
    for (at, (card, place)) in picture.cards.iter().zip(&sheet.cards).enumerate() {
        ink.open(
            &format!("n{at}"),
            &classes("card", card.kind.word(), &card.face),
            &card.face.hover,
        );
        outline(&mut ink, card.kind, &card.face, place);
        face(&mut ink, &place.head, &card.face, (place.x, place.y), "title");
        ink.close();
        for (n, (row, at_row)) in card.rows.iter().zip(&place.rows).enumerate() {
            let kind = if row.nic { "nic" } else { "port" };
            let id = format!("n{at}r{n}");
            ink.open(&id, &classes("row", kind, &row.face), &row.face.hover);
            let corner = (place.x + at_row.x, place.y + at_row.y);
            ink.rect("shape", corner, (at_row.width, at_row.text.height), 3);
            if row.nic {
                plug(&mut ink, corner, at_row);
            }
            face(&mut ink, &at_row.text, &row.face, corner, "name");
            ink.close();
        }
    }
    finish(out, picture, &sheet, ink)
}

/// Writes the page around what was drawn, with its legend below.
fn finish(out: &mut impl Write, picture: &Picture, sheet: &Sheet, mut ink: Ink) -> io::Result<()> {
    let mut below = sheet.height;
    if let Some(left_out) = words::left_out(picture) {
        below += LINE;
        ink.text("faint", (PAD + 8, below), &left_out);
        below += PAD;
    }
    let (wide, below) =
        legend::draw(&mut ink, (PAD + 8, below + PAD), sheet.width, picture.is_compared());
    let (width, height) = (sheet.width.max(wide), below + PAD);
    // Where nothing can be folded any more, the page is made smaller.
    let longest = width.max(height).max(1);
    let shown = |side: i64| if longest > PAGE { (side * PAGE / longest).max(1) } else { side };
    let (shown_width, shown_height) = (shown(width), shown(height));
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"tapline\" width=\"{shown_width}\" \
         height=\"{shown_height}\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
         aria-label=\"network of the captured hosts\">"
    )?;
    writeln!(out, "<style>{STYLE}</style>")?;
    writeln!(out, "<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>")?;
    out.write_all(ink.body().as_bytes())?;
    writeln!(out, "</svg>")
}

/// `card vm error down`
fn classes(place: &str, kind: &str, face: &Face) -> String {
    let mut classes = format!("{place} {kind}");
    if let Some(mark) = face.marks.first() {
        classes.push_str(match mark.severity {
            Severity::Error => " error",
            Severity::Warning => " warning",
            Severity::Info => " info",
        });
    }
    classes.push_str(match face.state {
        State::Fine => "",
        State::Down => " down",
        State::Unknown => " unknown",
    });
    if face.focus {
        classes.push_str(" focus");
    }
    if let Some(fate) = face.fate {
        classes.push(' ');
        classes.push_str(fate.word());
    }
    classes
}

/// The outline of a box: a stack where it stands for several, and a shape for its kind.
fn outline(ink: &mut Ink, kind: Kind, face: &Face, place: &Placed) {
    let size = (place.width, place.height);
    if face.count > 1 {
        for step in [6, 3] {
            ink.rect("shape stack", (place.x + step, place.y + step), size, 4);
        }
    }
    let round = match kind {
        Kind::Vm => 12,
        Kind::Remote | Kind::Host => 16,
        Kind::Bridge | Kind::Switch | Kind::Bond => 2,
        Kind::Netns | Kind::Nic | Kind::Device => 5,
    };
    ink.rect("shape", (place.x, place.y), size, round);
    match kind {
        // A second line, as of what many lead to.
        Kind::Switch | Kind::Bridge => {
            ink.path("rule", &format!("M{} {}h{}", place.x, place.y + 3, place.width));
        }
        _ => {}
    }
}

/// The texts of a box or row, with a badge for each thing that was found.
fn face(ink: &mut Ink, text: &Text, face: &Face, (x, y): (i64, i64), class: &str) {
    let mut line = y + LINE;
    ink.text(class, (x + PAD, line), &text.title);
    match face.state {
        State::Fine => {}
        State::Down => ink.off((x + text_width(text) - 14, y + 6)),
        State::Unknown => ink.open_question((x + text_width(text) - 14, y + 6)),
    }
    for fact in &text.facts {
        line += LINE;
        ink.text("fact", (x + PAD, line), fact);
    }
    if text.marks.is_empty() {
        return;
    }
    line += LINE;
    let mut at = x + PAD;
    for mark in &text.marks {
        ink.badge((at, line - 10), mark.severity, &mark.code);
        at += measure::badge_width(&mark.code);
    }
    if text.more_marks > 0 {
        ink.text("fact", (at, line), &format!("+{}", text.more_marks));
    }
}

fn text_width(text: &Text) -> i64 {
    text.width
}

/// A NIC has a plug at the side where the wire is.
fn plug(ink: &mut Ink, (x, y): (i64, i64), row: &measure::PlacedRow) {
    let middle = y + row.text.height / 2;
    let at_right = row.edges.1;
    let edge = if at_right { x + row.width } else { x };
    let out = if at_right { 1 } else { -1 };
    ink.path("plug", &format!("M{edge} {middle}h{}", 10 * out));
    ink.circle("plug", (edge + 13 * out, middle), 3);
}

fn draw_wire(ink: &mut Ink, wire: &Wire, points: &[Point]) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
    let mut classes = "wire".to_owned();
    classes.push_str(match wire.confidence {
        Confidence::Proven => "",
        Confidence::Inferred => " inferred",
        Confidence::Conventional => " conventional",
    });
    if wire.count > 1 {
        classes.push_str(" many");
    }
    if let Some(mark) = wire.marks.first() {
        classes.push_str(if mark.severity == Severity::Error { " error" } else { " warning" });
    }
    if let Some(fate) = wire.fate {
        classes.push(' ');
        classes.push_str(fate.word());
    }
    let ends = format!("{}-{}", end(wire.from), end(wire.to));
    ink.open(&ends, &classes, &wire.hover);
    ink.path("line", &curve(points));
    let label = {
        let sign = wire.fate.map_or("", Fate::sign);
        let mut label = format!("{sign}{}", wire.tie.label());
        if wire.count > 1 {
            label = format!("{label} ×{}", wire.count);
        }
        label.trim().to_owned()
    };
    // At an end: there no two lines are one. Two sorts of lines begin at a tunnel.
    let beside = |end: &Point, width: i64| {
        if end.leaves > 0 { end.x + 5 } else { end.x - 5 - width }
    };
    let end = if wire.tie == Tie::Sends { last } else { first };
    if !label.is_empty() {
        let width = measure::width(&label) * 9 / 11;
        ink.text("wirelabel", (beside(end, width), end.y - 3), &label);
    }
    if let Some(mark) = wire.marks.first() {
        let width = measure::badge_width(&mark.code);
        ink.badge((beside(first, width), first.y + 3), mark.severity, &mark.code);
    }
    ink.close();
}

fn end(spot: Spot) -> String {
    match spot.row {
        None => format!("n{}", spot.card),
        Some(row) => format!("n{}r{row}", spot.card),
    }
}

/// A smooth line through points.
fn curve(points: &[Point]) -> String {
    let mut path = String::new();
    let Some(first) = points.first() else { return path };
    path.push_str(&format!("M{} {}", first.x, first.y));
    let last = points.len() - 1;
    for (n, pair) in points.windows(2).enumerate() {
        let [a, b] = pair else { continue };
        // The last point says on which side of its box it is: the line comes from there.
        let comes = if n + 1 == last { b.leaves } else { -b.leaves };
        let across = (b.x - a.x).abs();
        let bend = if a.leaves == comes {
            across / 2 + BULGE
        } else {
            (across / 2).max(BULGE.min(across))
        };
        let (out, into) = (a.x + a.leaves * bend, b.x + comes * bend);
        path.push_str(&format!("C{out} {} {into} {} {} {}", a.y, b.y, b.x, b.y));
    }
    path
}
