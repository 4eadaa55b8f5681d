//! What a picture says in words, in all its forms.
use tapline_analysis::lint::Severity;
use tapline_topology::graph::Confidence;

use super::count;
use super::node::confidence_mark;
use crate::picture::{Face, Fate, Frame, Mark, Picture, State, Wire};

/// Marks that are named at one place.
const MARKS: usize = 3;

/// A sign for a severity, so that colour is not needed to see it.
pub(crate) fn sign(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "✗",
        Severity::Warning => "!",
        Severity::Info => "i",
    }
}

/// `node2: 3 errors, 1 warning`
pub(crate) fn frame(frame: &Frame) -> String {
    let [errors, warnings, _] = frame.found;
    let mut found = Vec::new();
    if errors > 0 {
        found.push(count(errors, "error"));
    }
    if warnings > 0 {
        found.push(count(warnings, "warning"));
    }
    if found.is_empty() {
        frame.label.clone()
    } else {
        format!("{}: {}", frame.label, found.join(", "))
    }
}

/// The name of a thing, with a mark where it is not sure that it belongs where it is drawn, and the sign
/// of what became of it.
pub(crate) fn title(face: &Face) -> String {
    let sign = face.fate.map_or("", Fate::sign);
    match confidence_mark(face.confidence) {
        "" => format!("{sign}{}", face.title),
        mark => format!("{sign}{mark} {}", face.title),
    }
}

/// All lines of a box or row: its name, what is known of it, what was found.
pub(crate) fn lines(face: &Face) -> Vec<String> {
    let mut lines = vec![title(face)];
    lines.extend(face.facts.iter().cloned());
    if face.state == State::Unknown && face.facts.iter().all(|fact| !fact.contains("captured")) {
        lines.push("state not known".to_owned());
    }
    if !face.marks.is_empty() {
        lines.push(marks(&face.marks));
    }
    lines
}

/// `✗ TUN-001, ! MTU-004`
pub(crate) fn marks(marks: &[Mark]) -> String {
    let named = marks.iter().take(MARKS);
    let mut named: Vec<String> =
        named.map(|mark| format!("{} {}", sign(mark.severity), mark.code)).collect();
    if marks.len() > MARKS {
        named.push(format!("{} more", marks.len() - MARKS));
    }
    named.join(", ")
}

/// What is written at a line.
pub(crate) fn wire(wire: &Wire) -> String {
    let mut words: Vec<String> = Vec::new();
    if !wire.tie.label().is_empty() {
        words.push(wire.tie.label().to_owned());
    }
    if wire.count > 1 {
        words.push(format!("×{}", wire.count));
    }
    // A device that routes tell is inferred, and is said to be that by its words.
    if wire.confidence < Confidence::Inferred {
        words.push(confidence_mark(wire.confidence).to_owned());
    } else if wire.confidence == Confidence::Inferred {
        words.push("?".to_owned());
    }
    if !wire.marks.is_empty() {
        words.push(marks(&wire.marks));
    }
    words.join(" ")
}

/// What the picture does not show.
pub(crate) fn left_out(picture: &Picture) -> Option<String> {
    let mut said = Vec::new();
    if picture.hosts_only {
        said.push(
            "each host is one box, since there are too many things to draw them all".to_owned(),
        );
    }
    if picture.unused > 0 {
        let things = count(picture.unused, "thing");
        said.push(format!("left out: {things} that nothing uses (--unused draws them)"));
    }
    (!said.is_empty()).then(|| said.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_need_no_colour() {
        let mark = |severity, code| Mark { severity, code: String::from(code) };
        let all = [mark(Severity::Error, "TUN-001"), mark(Severity::Warning, "MTU-004")];
        assert_eq!(marks(&all), "✗ TUN-001, ! MTU-004");
    }
}
