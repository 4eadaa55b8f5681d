//! The picture as a Mermaid flowchart.
use std::collections::BTreeSet;
use std::io::{self, Write};

use tapline_analysis::lint::Severity;
use tapline_topology::graph::Confidence;

use super::picture_words as words;
use crate::picture::{Face, Kind, Picture, Spot, State};

/// Mermaid refuses texts of 50,000 characters.
const ROOM: usize = 49_000;
/// Characters of one label, once escaped: the first with which the whole has room.
const LABELS: &[usize] = &[240, 120, 60, 30];

/// Writes the picture.
pub(crate) fn render(out: &mut impl Write, picture: &Picture) -> io::Result<()> {
    let mut text = Vec::new();
    for &most in LABELS {
        text.clear();
        write(&mut text, &Drawn { picture, most })?;
        if text.len() < ROOM {
            break;
        }
    }
    out.write_all(&text)
}

fn write(out: &mut impl Write, drawn: &Drawn<'_>) -> io::Result<()> {
    let picture = drawn.picture;
    writeln!(out, "flowchart LR")?;
    let ends: BTreeSet<Spot> = picture.wires.iter().flat_map(|wire| [wire.from, wire.to]).collect();
    for (n, frame) in picture.hosts.iter().enumerate() {
        writeln!(out, "  subgraph h{n}[\"{}\"]", drawn.label(&[words::frame(frame)]))?;
        drawn.cards(out, &ends, Some(n))?;
        writeln!(out, "  end")?;
    }
    drawn.cards(out, &ends, None)?;
    for wire in &picture.wires {
        let arrow = match (wire.confidence, wire.tie.is_symmetric()) {
            (Confidence::Proven, true) => "---",
            (Confidence::Proven, false) => "-->",
            (_, true) => "-.-",
            (_, false) => "-.->",
        };
        let label = match words::wire(wire) {
            label if label.is_empty() => String::new(),
            label => format!("|\"{}\"|", drawn.label(&[label])),
        };
        writeln!(out, "  {} {arrow}{label} {}", id(wire.from), id(wire.to))?;
    }
    if let Some(left_out) = words::left_out(picture) {
        writeln!(out, "  note[\"{}\"]:::note", drawn.label(&[left_out]))?;
    }
    writeln!(out, "  classDef error stroke:#c62828,stroke-width:3px")?;
    writeln!(out, "  classDef warning stroke:#b26a00,stroke-width:3px")?;
    writeln!(out, "  classDef down stroke-dasharray:2 3,color:#777")?;
    writeln!(out, "  classDef unknown stroke-dasharray:1 4")?;
    writeln!(out, "  classDef focus stroke-width:4px")?;
    writeln!(out, "  classDef note stroke:none,fill:none")
}

struct Drawn<'p> {
    picture: &'p Picture,
    /// Characters of one label, once escaped.
    most: usize,
}

impl Drawn<'_> {
    fn cards(
        &self,
        out: &mut impl Write,
        ends: &BTreeSet<Spot>,
        host: Option<usize>,
    ) -> io::Result<()> {
        let cards = self.picture.cards.iter().enumerate();
        for (at, card) in cards.filter(|(_, card)| card.host == host) {
            let whole = Spot { card: at, row: None };
            let label = self.label(&words::lines(&card.face));
            if card.rows.is_empty() {
                let (open, close) = match card.kind {
                    Kind::Vm => ("([", "])"),
                    Kind::Bridge | Kind::Switch => ("[[", "]]"),
                    Kind::Remote => ("((", "))"),
                    _ => ("[", "]"),
                };
                let class = class(&card.face);
                writeln!(out, "    {}{open}\"{label}\"{close}{class}", id(whole))?;
                continue;
            }
            writeln!(out, "    subgraph box{at}[\"{label}\"]")?;
            if ends.contains(&whole) {
                let title = self.label(std::slice::from_ref(&card.face.title));
                writeln!(out, "      {}[\"{title}\"]", id(whole))?;
            }
            for (n, row) in card.rows.iter().enumerate() {
                let label = self.label(&words::lines(&row.face));
                let (open, close) = if row.nic { ("[/", "/]") } else { ("[", "]") };
                let spot = id(Spot { card: at, row: Some(n) });
                writeln!(out, "      {spot}{open}\"{label}\"{close}{}", class(&row.face))?;
            }
            writeln!(out, "    end")?;
        }
        Ok(())
    }

    /// Lines as one label, cut where the whole would become too long.
    fn label(&self, lines: &[String]) -> String {
        let mut label = String::new();
        for (n, line) in lines.iter().enumerate() {
            let line = escape(line, self.most.saturating_sub(label.len()));
            if n > 0 && !line.is_empty() {
                label.push_str("<br/>");
            }
            label.push_str(&line);
        }
        label
    }
}

/// `n3`, `n3r1`
fn id(spot: Spot) -> String {
    match spot.row {
        None => format!("n{}", spot.card),
        Some(row) => format!("n{}r{row}", spot.card),
    }
}

fn class(face: &Face) -> &'static str {
    match (face.marks.first().map(|mark| mark.severity), face.state) {
        (Some(Severity::Error), _) => ":::error",
        (Some(Severity::Warning), _) => ":::warning",
        (_, State::Down) => ":::down",
        (_, State::Unknown) => ":::unknown",
        _ if face.focus => ":::focus",
        _ => "",
    }
}

/// Mermaid labels are HTML with `#…;` for entities, and Markdown where they look like it: everything
/// that means something to either is written as a number. What is longer than `most` is cut.
fn escape(text: &str, most: usize) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        let before = escaped.len();
        match c {
            '"' | '#' | '<' | '>' | '&' | ';' | '`' | '\\' | '[' | ']' | '{' | '}' | '(' | ')'
            | '|' | '\'' | '*' | '_' => escaped.push_str(&format!("#{};", u32::from(c))),
            _ => escaped.push(c),
        }
        if escaped.len() > most {
            escaped.truncate(before);
            escaped.push('…');
            break;
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_does_not_survive() {
        assert_eq!(escape("<img src=x>\"]", 99), "#60;img src=x#62;#34;#93;");
        assert_eq!(escape("qvo85bcbfb0-bc", 99), "qvo85bcbfb0-bc");
        assert_eq!(escape("<<<", 9), "#60;#60;…");
    }
}
