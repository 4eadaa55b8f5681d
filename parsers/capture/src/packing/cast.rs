//! Recordings of asciinema: what the terminal printed, cut into events.
use std::borrow::Cow;

use super::{Line, screen};

/// The header of a recording has a few names and the environment.
const LONGEST_HEADER: usize = 64 << 10;

/// The lines that a recording shows; `None` for what is none. The number of a line is that of the
/// event that began it.
pub(super) fn lines(text: &str) -> Option<Vec<Line<'static>>> {
    let head = text.get(..text.floor_char_boundary(64)).unwrap_or_default();
    if !head.starts_with('{') || !head.contains("\"version\"") {
        return None;
    }
    if let Some(lines) = first_version(text) {
        return Some(lines);
    }
    let mut events = text.lines().zip(1_u32..);
    let (head, _) = events.next().filter(|(head, _)| head.len() <= LONGEST_HEADER)?;
    let header: serde_json::Value = serde_json::from_str(head).ok()?;
    header.get("version")?.as_u64().filter(|version| (2..=3).contains(version))?;
    let mut shown = Shown::default();
    for (event, number) in events {
        let Ok((_, kind, data)) = serde_json::from_str::<(f64, String, String)>(event) else {
            continue;
        };
        if kind == "o" {
            shown.print(number, &data);
        }
    }
    Some(shown.end())
}

/// The first version is one document, all events of which stand in one list.
fn first_version(text: &str) -> Option<Vec<Line<'static>>> {
    #[derive(serde::Deserialize)]
    struct Recording {
        version: u64,
        stdout: Vec<(f64, String)>,
    }
    memchr::memmem::find(text.as_bytes(), b"\"stdout\"")?;
    let recording: Recording = serde_json::from_str(text).ok()?;
    if recording.version != 1 {
        return None;
    }
    let mut shown = Shown::default();
    recording.stdout.iter().for_each(|(_, data)| shown.print(1, data));
    Some(shown.end())
}

/// What the terminal shows so far.
#[derive(Default)]
struct Shown {
    lines: Vec<Line<'static>>,
    /// The last line, and the event that began it.
    open: (u32, String),
}

impl Shown {
    fn print(&mut self, number: u32, data: &str) {
        if self.open.1.is_empty() {
            self.open.0 = number;
        }
        for part in data.split_inclusive('\n') {
            self.open.1.push_str(part);
            if self.open.1.ends_with('\n') {
                let (begun, raw) = std::mem::replace(&mut self.open, (number, String::new()));
                self.add(begun, raw.trim_end_matches('\n'));
            }
        }
    }

    fn add(&mut self, number: u32, raw: &str) {
        self.lines.push(Line::new(number, Cow::Owned(screen::line(raw).into_owned())));
    }

    fn end(mut self) -> Vec<Line<'static>> {
        let (number, raw) = std::mem::take(&mut self.open);
        if !raw.is_empty() {
            self.add(number, &raw);
        }
        self.lines
    }
}
