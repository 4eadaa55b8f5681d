//! Evidence: where in a capture a fact was read.
use std::fmt;
use std::ops::{Deref, Range};

use serde::{Serialize, Serializer};

/// A half-open byte range in the text of one [`Source`](crate::capture::Source).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

impl Span {
    /// The place of `part` in `whole`.
    ///
    /// Readers pass plain `&str` slices around; the place is recovered from the addresses, so
    /// nothing has to be carried along while parsing. A `part` that is not a slice of `whole`
    /// gives the empty span at the start (and trips a debug assertion).
    pub fn of(whole: &str, part: &str) -> Self {
        let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
        if start > whole.len() || part.len() > whole.len() - start {
            debug_assert!(false, "`part` must be a slice of `whole`");
            return Self::default();
        }
        Self { start: offset(start), end: offset(start + part.len()) }
    }

    /// The span from the start of `self` to the end of `last`.
    #[must_use]
    pub fn to(self, last: Self) -> Self {
        Self { start: self.start.min(last.start), end: self.end.max(last.end) }
    }

    /// As a range for slicing a text.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// Sources longer than 4 GiB are refused on entry, so offsets fit.
fn offset(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Which source: an index into [`Captured::sources`](crate::capture::Captured::sources).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct SourceId(pub u32);

/// The place of a fact: source and span. Twelve bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Evidence {
    /// Which source text.
    pub source: SourceId,
    /// Where in it.
    pub span: Span,
}

/// A value and the place it was read from.
///
/// Two are equal when their values are: the same fact read from two places is one fact.
/// Serializes as the bare value.
#[derive(Clone, Copy, Debug, Default)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its place in the text of the source.
    pub span: Span,
}

impl<T> At<T> {
    /// `value`, read at `span`.
    pub fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }

    /// The same place, another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> At<U> {
        At { value: f(self.value), span: self.span }
    }

    /// As evidence within `source`.
    pub fn evidence(&self, source: SourceId) -> Evidence {
        Evidence { source, span: self.span }
    }
}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
impl<T: Eq> Eq for At<T> {}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(to)
    }
}

/// Line starts of one text: turns byte offsets into line numbers.
#[derive(Clone, Debug)]
pub struct LineIndex(Vec<u32>);

impl LineIndex {
    /// Scans `text` once.
    pub fn new(text: &str) -> Self {
        let starts = memchr::memchr_iter(b'\n', text.as_bytes()).map(|at| offset(at + 1));
        Self(std::iter::once(0).chain(starts).collect())
    }

    /// Zero-based line of a byte offset.
    pub fn line(&self, offset: u32) -> u32 {
        let after = self.0.partition_point(|&start| start <= offset);
        u32::try_from(after.saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Byte offset at which a zero-based line starts; `None` past the last line.
    pub fn start(&self, line: u32) -> Option<u32> {
        self.0.get(line as usize).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "1: lo:\n2: eth0:\n\n3: eth1:";

    #[test]
    fn a_part_is_found_where_it_stands() {
        // The part, its place, the line (from zero) of its first and of its last byte.
        for (from, to, line) in [(0, 2, 0), (3, 6, 0), (7, 15, 1), (10, 14, 1), (17, 25, 3)] {
            let part = TEXT.get(from..to).unwrap();
            let span = Span::of(TEXT, part);
            assert_eq!(span.range(), from..to, "{part}");
            assert_eq!(TEXT.get(span.range()), Some(part));
            let index = LineIndex::new(TEXT);
            assert_eq!((index.line(span.start), index.line(span.end - 1)), (line, line), "{part}");
        }
    }

    #[test]
    fn lines_begin_behind_line_ends() {
        let index = LineIndex::new(TEXT);
        let starts: Vec<_> = (0..5).map(|line| index.start(line)).collect();
        assert_eq!(starts, [Some(0), Some(7), Some(16), Some(17), None]);
        // A line end is the last byte of its line.
        assert_eq!([6, 7, 15, 16].map(|at| index.line(at)), [0, 1, 1, 2]);
    }

    #[test]
    fn two_places_and_what_is_between_them() {
        let (first, last) = (Span { start: 3, end: 6 }, Span { start: 10, end: 14 });
        assert_eq!(first.to(last), Span { start: 3, end: 14 });
        assert_eq!(last.to(first), first.to(last));
    }
}
