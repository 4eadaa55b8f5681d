//! The picture for Graphviz: a cluster per host, a cluster per box with rows.
use std::collections::BTreeSet;
use std::io::{self, Write};

use tapline_analysis::lint::Severity;
use tapline_topology::graph::Confidence;

use super::picture_words as words;
use crate::picture::{Card, Face, Kind, Picture, Row, Spot, State, Wire};

/// Writes the picture.
pub(crate) fn render(out: &mut impl Write, picture: &Picture) -> io::Result<()> {
    writeln!(out, "digraph tapline {{")?;
    writeln!(out, "  rankdir=LR; compound=true;")?;
    writeln!(out, "  node [shape=box, style=rounded, fontname=\"sans-serif\", fontsize=10];")?;
    writeln!(out, "  edge [fontname=\"sans-serif\", fontsize=9, arrowsize=0.6];")?;
    let ends: BTreeSet<Spot> = picture.wires.iter().flat_map(|wire| [wire.from, wire.to]).collect();
    for (n, frame) in picture.hosts.iter().enumerate() {
        writeln!(out, "  subgraph cluster_{n} {{")?;
        writeln!(out, "    label={}; style=bold;", quote(&words::frame(frame)))?;
        cards(out, picture, &ends, Some(n))?;
        writeln!(out, "  }}")?;
    }
    cards(out, picture, &ends, None)?;
    for wire in &picture.wires {
        line(out, wire)?;
    }
    if let Some(left_out) = words::left_out(picture) {
        writeln!(out, "  label={}; labelloc=b; fontsize=10;", quote(&left_out))?;
    }
    writeln!(out, "}}")
}

fn cards(
    out: &mut impl Write,
    picture: &Picture,
    ends: &BTreeSet<Spot>,
    host: Option<usize>,
) -> io::Result<()> {
    for (at, card) in picture.cards.iter().enumerate().filter(|(_, card)| card.host == host) {
        let whole = Spot { card: at, row: None };
        if card.rows.is_empty() {
            writeln!(out, "    {} [{}];", id(whole), node(card, &card.face))?;
            continue;
        }
        writeln!(out, "    subgraph cluster_box{at} {{")?;
        let label: Vec<String> = words::lines(&card.face).iter().map(|line| escape(line)).collect();
        let style = if card.kind == Kind::Netns { "dashed" } else { "rounded" };
        let mut attributes = vec![format!("label=\"{}\"", label.join("\\n"))];
        attributes.push(format!("style={style}"));
        attributes.extend(border(&card.face));
        writeln!(out, "      {};", attributes.join("; "))?;
        if ends.contains(&whole) {
            writeln!(out, "      {} [label={}];", id(whole), quote(&card.face.title))?;
        }
        for (n, row) in card.rows.iter().enumerate() {
            let spot = Spot { card: at, row: Some(n) };
            writeln!(out, "      {} [{}];", id(spot), row_node(row))?;
        }
        writeln!(out, "    }}")?;
    }
    Ok(())
}

/// `n3`, `n3r1`
fn id(spot: Spot) -> String {
    match spot.row {
        None => format!("n{}", spot.card),
        Some(row) => format!("n{}r{row}", spot.card),
    }
}

fn label(face: &Face) -> String {
    let lines: Vec<String> = words::lines(face).iter().map(|line| escape(line)).collect();
    format!("label=\"{}\"", lines.join("\\n"))
}

fn node(card: &Card, face: &Face) -> String {
    let shape = match card.kind {
        Kind::Vm => &["style=\"rounded,filled\"", "fillcolor=\"#e8f0fe\""][..],
        Kind::Bridge | Kind::Switch => &["shape=box3d", "style=\"\""],
        Kind::Remote => &["style=\"rounded,dashed\""],
        Kind::Nic => &["shape=cds", "style=\"\""],
        _ => &[],
    };
    attributes(face, shape)
}

fn row_node(row: &Row) -> String {
    attributes(&row.face, if row.nic { &["shape=cds", "style=\"\""] } else { &["style=\"\""] })
}

fn attributes(face: &Face, shape: &[&str]) -> String {
    let mut all = vec![label(face)];
    all.extend(shape.iter().map(ToString::to_string));
    all.extend(border(face));
    all.join(", ")
}

/// The colour of the worst that was found, else how it is that a thing cannot be used.
fn border(face: &Face) -> Vec<String> {
    let worst = face.marks.first().map(|mark| mark.severity);
    match (worst, face.state) {
        (Some(severity @ (Severity::Error | Severity::Warning)), _) => {
            vec![format!("color=\"{}\"", colour(severity)), "penwidth=2".to_owned()]
        }
        (_, State::Down) => {
            vec!["color=\"#777777\"".to_owned(), "fontcolor=\"#777777\"".to_owned()]
        }
        _ if face.focus => vec!["penwidth=3".to_owned()],
        _ => Vec::new(),
    }
}

fn colour(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "#c62828",
        Severity::Warning => "#b26a00",
        Severity::Info => "#1565c0",
    }
}

fn line(out: &mut impl Write, wire: &Wire) -> io::Result<()> {
    let mut attributes = Vec::new();
    let label = words::wire(wire);
    if !label.is_empty() {
        attributes.push(format!("label={}", quote(&label)));
    }
    match wire.confidence {
        Confidence::Proven => {}
        Confidence::Inferred => attributes.push("style=dashed".to_owned()),
        Confidence::Conventional => attributes.push("style=dotted".to_owned()),
    }
    if wire.tie.is_symmetric() {
        attributes.push("dir=none".to_owned());
    }
    if let Some(mark) = wire.marks.first() {
        attributes.push(format!("color=\"{}\", penwidth=2", colour(mark.severity)));
    }
    let attributes = match attributes.as_slice() {
        [] => String::new(),
        all => format!(" [{}]", all.join(", ")),
    };
    writeln!(out, "  {} -> {}{attributes};", id(wire.from), id(wire.to))
}

/// A quoted string of the DOT language.
fn quote(text: &str) -> String {
    format!("\"{}\"", escape(text))
}

/// Within quotes only the quote ends the string; a backslash would start an escape such as `\N`.
/// Graphviz reads entities of HTML in all labels.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_inside_their_quotes() {
        assert_eq!(quote("a\"b"), r#""a\"b""#);
        assert_eq!(quote("x\\"), r#""x\\""#);
        assert_eq!(quote("\"];"), r#""\"];""#);
        assert_eq!(quote("&lt;"), r#""&amp;lt;""#);
    }
}
