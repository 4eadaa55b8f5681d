//! Lines that are put together anew: each character keeps the place where it stood.
use std::borrow::Cow;

use tapline_core::capture::Shift;

use super::Line;

/// One-based line of the packed text, and the characters in front of it there.
pub(super) type Place = (u32, u32);

/// A line that is made of characters with places.
#[derive(Clone, Debug, Default)]
pub(super) struct Placed {
    text: String,
    characters: u32,
    start: Place,
    shifts: Vec<Shift>,
    /// Where the next character stands if it follows the last.
    next: Place,
}

impl Placed {
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), ..Self::default() }
    }

    /// What is there so far.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn push(&mut self, c: char, place: Place) {
        let (line, column) = place;
        if self.characters == 0 {
            self.start = place;
        } else if place != self.next {
            self.shifts.push(Shift { at: self.characters, line, column });
        }
        self.text.push(c);
        self.characters = self.characters.saturating_add(1);
        self.next = (line, column.saturating_add(1));
    }

    /// Several characters in place of what stands at one.
    pub(super) fn push_str(&mut self, text: &str, place: Place) {
        text.chars().for_each(|c| self.push(c, place));
    }

    /// The last character, which is gone then.
    pub(super) fn pop(&mut self) -> Option<char> {
        let c = self.text.pop()?;
        self.characters = self.characters.saturating_sub(1);
        self.next = match self.shifts.last() {
            Some(shift) if shift.at >= self.characters => {
                self.shifts.pop();
                // Whatever follows is placed anew.
                (0, 0)
            }
            _ => (self.next.0, self.next.1.saturating_sub(1)),
        };
        Some(c)
    }

    pub(super) fn clear(&mut self) {
        *self = Self { text: std::mem::take(&mut self.text), ..Self::default() };
        self.text.clear();
    }

    /// The line; `number` is that of one on which nothing stands.
    pub(super) fn into_line<'a>(self, number: u32) -> Line<'a> {
        let line = Line::new(number, Cow::Owned(self.text));
        if self.characters == 0 {
            return line;
        }
        let (number, column) = self.start;
        let shifts = (!self.shifts.is_empty()).then(|| self.shifts.into_boxed_slice());
        Line { number, column, shifts, ..line }
    }
}

/// The characters of a line, each with its place.
pub(super) struct Characters<'a> {
    chars: std::str::Chars<'a>,
    shifts: std::slice::Iter<'a, Shift>,
    ahead: Option<&'a Shift>,
    at: u32,
    next: Place,
}

impl<'a> Characters<'a> {
    pub(super) fn new(text: &'a str, start: Place, shifts: &'a [Shift]) -> Self {
        let mut shifts = shifts.iter();
        let ahead = shifts.next();
        Self { chars: text.chars(), shifts, ahead, at: 0, next: start }
    }
}

impl Iterator for Characters<'_> {
    type Item = (char, Place);

    fn next(&mut self) -> Option<Self::Item> {
        let c = self.chars.next()?;
        if let Some(shift) = self.ahead.filter(|shift| shift.at <= self.at) {
            self.next = (shift.line, shift.column);
            self.ahead = self.shifts.next();
        }
        let place = self.next;
        self.at = self.at.saturating_add(1);
        self.next.1 = self.next.1.saturating_add(1);
        Some((c, place))
    }
}
