//! Recordings of asciinema: what the terminal printed, cut into events.
use std::borrow::Cow;

use super::{Line, screen};

/// The lines that a recording shows; `None` for what is none. The number of a line is that of the
/// event that began it.
pub(super) fn lines(text: &str) -> Option<Vec<Line<'static>>> {
    let head = text.get(..text.floor_char_boundary(64)).unwrap_or_default();
    if !head.starts_with('{') || !head.contains("\"version\"") {
        return None;
    }
    let mut events = text.lines().zip(1_u32..);
    let (head, _) = events.next()?;
    let header: serde_json::Value = serde_json::from_str(head).ok()?;
    header.get("version")?.as_u64().filter(|version| (2..=3).contains(version))?;
    let mut lines = Vec::new();
    let mut open = (2, String::new());
    for (event, number) in events {
        let Ok((_, kind, data)) = serde_json::from_str::<(f64, String, String)>(event) else {
            continue;
        };
        if kind != "o" {
            continue;
        }
        if open.1.is_empty() {
            open.0 = number;
        }
        for part in data.split_inclusive('\n') {
            open.1.push_str(part);
            if open.1.ends_with('\n') {
                let (begun, raw) = std::mem::replace(&mut open, (number, String::new()));
                let raw = raw.trim_end_matches('\n');
                lines.push(Line::new(begun, Cow::Owned(screen::line(raw).into_owned())));
            }
        }
    }
    if !open.1.is_empty() {
        lines.push(Line::new(open.0, Cow::Owned(screen::line(&open.1).into_owned())));
    }
    Some(lines)
}
