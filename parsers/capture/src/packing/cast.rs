//! Recordings of asciinema: what the terminal printed, cut into events.
use super::placed::{Place, Placed};
use super::{Line, screen};

/// The header of a recording has a few names and the environment.
const LONGEST_HEADER: usize = 64 << 10;

/// The lines that a recording shows; `None` for what is none. A character stands where the text of
/// the event that printed it does.
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
            // The kind is the first text of an event, the data the second.
            let mut written = Written::new(event, number);
            written.text();
            shown.print(&data, (number, 0), written.text());
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
    let list = memchr::memmem::rfind(text.as_bytes(), b"\"stdout\"")?;
    let recording: Recording = serde_json::from_str(text).ok()?;
    if recording.version != 1 {
        return None;
    }
    let mut shown = Shown::default();
    let mut written = Written::new(text, 1);
    written.skip(list);
    written.text();
    for (_, data) in recording.stdout {
        let place = written.place;
        let characters = written.text();
        shown.print(&data, place, characters);
    }
    Some(shown.end())
}

/// A document of JSON, read for where the characters of its texts stand.
pub(super) struct Written<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    place: Place,
}

impl<'a> Written<'a> {
    pub(super) fn new(document: &'a str, number: u32) -> Self {
        Self { rest: document.chars().peekable(), place: (number, 0) }
    }

    pub(super) fn next(&mut self) -> Option<(char, Place)> {
        let c = self.rest.next()?;
        let place = self.place;
        self.place = if c == '\n' {
            (place.0.saturating_add(1), 0)
        } else {
            (place.0, place.1.saturating_add(1))
        };
        Some((c, place))
    }

    /// The next character, which stays.
    pub(super) fn peek(&mut self) -> Option<char> {
        self.rest.peek().copied()
    }

    /// The next character that is no blank, which stays.
    pub(super) fn ahead(&mut self) -> Option<char> {
        while self.peek()?.is_whitespace() {
            self.next();
        }
        self.peek()
    }

    /// Passes over so many bytes.
    fn skip(&mut self, mut bytes: usize) {
        while bytes > 0
            && let Some((c, _)) = self.next()
        {
            bytes = bytes.saturating_sub(c.len_utf8());
        }
    }

    /// The places of the characters of the next text.
    fn text(&mut self) -> Vec<Place> {
        while self.peek().is_some_and(|c| c != '"') {
            self.next();
        }
        self.characters().into_iter().map(|(_, place)| place).collect()
    }

    /// The characters of the text that begins here, each with its place.
    pub(super) fn characters(&mut self) -> Vec<(char, Place)> {
        let mut all = Vec::new();
        self.next();
        while let Some((c, place)) = self.next().filter(|(c, _)| *c != '"') {
            all.push((if c == '\\' { self.escaped() } else { c }, place));
        }
        all
    }

    /// What an escape stands for, behind its first sign.
    fn escaped(&mut self) -> char {
        match self.next() {
            Some(('n', _)) => '\n',
            Some(('t', _)) => '\t',
            Some(('r', _)) => '\r',
            Some(('b', _)) => '\u{8}',
            Some(('f', _)) => '\u{c}',
            Some(('u', _)) => {
                let high = self.code();
                // Two codes make one character beyond the first plane.
                let code = if (0xd800..0xdc00).contains(&high) {
                    self.skip(2);
                    let low = self.code().wrapping_sub(0xdc00) & 0x3ff;
                    0x10000 + ((high - 0xd800) << 10) + low
                } else {
                    high
                };
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            Some((c, _)) => c,
            None => char::REPLACEMENT_CHARACTER,
        }
    }

    /// Four digits.
    fn code(&mut self) -> u32 {
        (0..4).fold(0, |code, _| {
            let digit = self.next().and_then(|(c, _)| c.to_digit(16)).unwrap_or(0);
            code * 16 + digit
        })
    }
}

/// What the terminal shows so far.
#[derive(Default)]
struct Shown {
    lines: Vec<Line<'static>>,
    /// The event that began the last line.
    begun: u32,
    /// The last line.
    open: Vec<(char, Place)>,
}

impl Shown {
    /// Prints the text of an event, the characters of which stand at these places.
    fn print(&mut self, data: &str, event: Place, places: Vec<Place>) {
        let mut places = places.into_iter();
        for c in data.chars() {
            if self.open.is_empty() {
                self.begun = event.0;
            }
            let place = places.next().unwrap_or(event);
            if c == '\n' {
                self.end_line();
            } else {
                self.open.push((c, place));
            }
        }
    }

    fn end_line(&mut self) {
        while self.open.last().is_some_and(|(c, _)| *c == '\r') {
            self.open.pop();
        }
        let mut out = Placed::default();
        screen::show(self.open.drain(..), &mut out);
        self.lines.push(out.into_line(self.begun));
    }

    fn end(mut self) -> Vec<Line<'static>> {
        if !self.open.is_empty() {
            self.end_line();
        }
        self.lines
    }
}
