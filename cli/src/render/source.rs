//! Quotes the lines that spans touch, and draws them with labels under the spans.
//!
//! The drawing is miette's: one report for all places of a finding. Its source code is made of
//! windows, each a few lines of one text with their own name and line number, and never the whole
//! text: a source of a hundred megabytes costs as much as one of a hundred bytes.
use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};
use tapline_core::capture::Source;
use tapline_core::span::Span;

use super::escape::{harmless, visible};
use super::places::Places;
use crate::terminal::Terminal;

/// Bytes that are looked at on either side of a span for the ends of its lines.
const REACH: usize = 4096;
/// Lines of one span that are shown; of a longer one, the first.
const SPAN_LINES: u32 = 4;
/// Lines between two spans that are still shown in one frame.
const GAP: u32 = 1;
/// Columns before the span that stay when a long line is cut.
const LEAD: usize = 24;
const TAB: &str = "    ";

/// A piece of the text to point at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark<'a> {
    /// Where.
    pub(crate) span: Span,
    /// What to write under it.
    pub(crate) label: &'a str,
}

/// The lines that a span touches, as a slice of the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Excerpt<'a> {
    /// The slice; without the last line end.
    pub(crate) text: &'a str,
    /// Its first byte in the text of the source.
    pub(crate) start: usize,
    /// The first line does not start here.
    cut_before: bool,
    /// The last line does not end here.
    cut_after: bool,
}

/// The whole lines that `span` touches, but not more than `reach` bytes to either side of it nor
/// more than `reach` bytes of the span itself.
pub(crate) fn excerpt(source: &Source, span: Span, reach: usize) -> Excerpt<'_> {
    let text = source.text.as_str();
    let bytes = text.as_bytes();
    let start = (span.start as usize).min(bytes.len());
    let end = (span.end as usize).clamp(start, bytes.len()).min(start.saturating_add(reach));
    // A span that ends with a line end does not touch the next line.
    let end = if end > start && bytes.get(end - 1) == Some(&b'\n') { end - 1 } else { end };
    let from = start.saturating_sub(reach);
    let line_start = memchr::memrchr(b'\n', bytes.get(from..start).unwrap_or_default());
    let to = end.saturating_add(reach).min(bytes.len());
    let line_end = memchr::memchr(b'\n', bytes.get(end..to).unwrap_or_default());
    let first = line_start.map_or(from, |at| from + at + 1);
    let last = line_end.map_or(to, |at| end + at);
    let first = text.ceil_char_boundary(first);
    let last = text.floor_char_boundary(last).max(first);
    Excerpt {
        text: text.get(first..last).unwrap_or_default().trim_end_matches('\r'),
        start: first,
        cut_before: line_start.is_none() && from > 0,
        cut_after: line_end.is_none() && to < bytes.len(),
    }
}

/// One-based column, in characters, of the start of `span` in the file that it came from; `None` on
/// lines too long to count.
pub(crate) fn column(source: &Source, span: Span) -> Option<usize> {
    Some(column_behind(source, span, 0)? + 1)
}

/// The columns of `span`, which is on one line of its file and has so many characters: that of the
/// first, and that behind the last.
pub(crate) fn columns_of(source: &Source, span: Span, characters: usize) -> Option<(usize, usize)> {
    let start = column(source, span)?;
    let Some(last) = characters.checked_sub(1) else { return Some((start, start)) };
    Some((start, column_behind(source, span, last)? + 2))
}

/// Characters of the file's line before the character that is so many behind the start of `span`.
fn column_behind(source: &Source, span: Span, characters: usize) -> Option<usize> {
    let lines = excerpt(source, span, REACH);
    if lines.cut_before {
        return None;
    }
    let before = source.text.get(lines.start..span.start as usize)?;
    let at = u32::try_from(before.chars().count() + characters).ok()?;
    Some(source.characters_before(span.start, at) as usize)
}

/// Draws the marked pieces of some sources, in this order: a frame for each group of neighbouring
/// lines, in the order of the text. Of the marks in a frame, the place of the one that comes first is
/// named.
///
/// A report begins with its message, and a message is a line. The caller writes it, in words and
/// colours of its own; miette is given an empty one and writes the end of that line.
pub(crate) fn draw(
    marked: &[(&Source, Vec<Mark<'_>>)],
    places: &Places,
    terminal: &Terminal,
) -> String {
    let mut quotes = Quotes::default();
    for (source, marks) in marked {
        for group in groups(source, marks) {
            quotes.push(&group, Window::new(source, &group, places, terminal.width));
        }
    }
    let theme = if terminal.stdout().color {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_links(false)
        .with_width(terminal.width)
        .with_wrap_lines(false)
        .with_context_lines(0)
        .without_primary_span_start();
    let mut report = String::new();
    match handler.render_report(&mut report, &quotes) {
        Ok(()) => report,
        // Writing into a string does not fail, and every label lies in a window.
        Err(fmt::Error) => "\n".to_owned(),
    }
}

/// Marks on neighbouring lines in the order of the text, and which of them to name.
#[derive(Debug)]
struct Group<'a> {
    order: usize,
    named: Span,
    last_line: u32,
    marks: Vec<Mark<'a>>,
}

fn groups<'a>(source: &Source, marks: &[Mark<'a>]) -> Vec<Group<'a>> {
    let mut sorted: Vec<_> = marks.iter().copied().enumerate().collect();
    sorted.sort_by_key(|(n, it)| (it.span, *n));
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (order, mut mark) in sorted {
        mark.span = clip(source, mark.span);
        let (first, last_line) = source.line_numbers(mark.span);
        match groups.last_mut() {
            Some(group) if first <= group.last_line.saturating_add(GAP + 1) => {
                if order < group.order {
                    (group.order, group.named) = (order, mark.span);
                }
                group.last_line = last_line.max(group.last_line);
                group.marks.push(mark);
            }
            _ => groups.push(Group { order, named: mark.span, last_line, marks: vec![mark] }),
        }
    }
    groups
}

/// A span of many lines is shown by its first.
fn clip(source: &Source, span: Span) -> Span {
    let (first, last) = source.line_numbers(span);
    if last - first < SPAN_LINES {
        return span;
    }
    let rest = source.text.as_bytes().get(span.range()).unwrap_or_default();
    let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    Span { start: span.start, end: span.start + u32::try_from(length).unwrap_or(0) }
}

/// The windows of one report.
#[derive(Debug, Default)]
struct Quotes {
    windows: Vec<Window>,
    /// Bytes of all windows, with one between two of them.
    length: usize,
    labels: Vec<LabeledSpan>,
}

impl Quotes {
    /// Puts a window behind the others, and its labels with it.
    fn push(&mut self, group: &Group<'_>, mut window: Window) {
        window.offset = self.length;
        for mark in &group.marks {
            let (start, end) = window.place(mark.span);
            let label = (!mark.label.is_empty()).then(|| visible(mark.label).into_owned());
            self.labels.push(LabeledSpan::new(label, self.length + start, end - start));
        }
        self.length += window.text.len() + 1;
        self.windows.push(window);
    }
}

/// The shown lines of one group, harmless and cut to width.
#[derive(Debug)]
struct Window {
    /// Where the named mark is: `node2/ip_a:12:5`.
    name: String,
    text: String,
    /// Where the text starts among those of the other windows.
    offset: usize,
    first_line: usize,
    line_count: usize,
    /// From bytes of the source to bytes of the window, at every character that is shown.
    moved: Vec<(usize, usize)>,
}

impl Window {
    /// `width` is that of the terminal: lines are cut so that they fit behind their numbers.
    fn new(source: &Source, group: &Group<'_>, places: &Places, width: usize) -> Self {
        let marks = &group.marks;
        let all = marks.iter().map(|mark| mark.span).reduce(Span::to).unwrap_or_default();
        let lines = excerpt(source, all, REACH);
        let (first_line, last_line) = source.line_numbers(all);
        let gutter = last_line.to_string().len() + 6;
        let width = width.saturating_sub(gutter).max(40);
        let mut text = String::with_capacity(lines.text.len() + 16);
        let mut moved = Vec::new();
        let mut start = lines.start;
        let mut line_count = 0;
        for line in lines.text.split('\n') {
            if line_count > 0 {
                text.push('\n');
            }
            line_count += 1;
            let body = line.trim_end();
            let range = shown(body, start, marks, width);
            if range.start > 0 || (line_count == 1 && lines.cut_before) {
                text.push('…');
            }
            let from = range.start;
            let part = body.get(range.clone()).unwrap_or_default();
            for (at, c) in part.char_indices() {
                moved.push((start + from + at, text.len()));
                if c == '\t' { text.push_str(TAB) } else { text.push(harmless(c)) }
            }
            moved.push((start + range.end, text.len()));
            if range.end < body.len() {
                text.push('…');
            }
            start += line.len() + 1;
        }
        if lines.cut_after && !text.ends_with('…') {
            text.push('…');
        }
        let name = places.linked_column(source, group.named);
        Self { name, text, offset: 0, first_line: first_line as usize, line_count, moved }
    }

    /// Where a span of the source starts and ends in the text of the window.
    fn place(&self, span: Span) -> (usize, usize) {
        let place = |at: u32| {
            let next = self.moved.partition_point(|&(from, _)| from < at as usize);
            self.moved.get(next).or(self.moved.last()).map_or(0, |&(_, to)| to)
        };
        let start = place(span.start);
        (start, place(span.end).max(start))
    }
}

/// The bytes of a line to show: all of them, or as many columns as fit, from a little before the
/// first mark on.
fn shown(line: &str, start: usize, marks: &[Mark<'_>], width: usize) -> std::ops::Range<usize> {
    if line.len() <= width || line.chars().map(columns).sum::<usize>() <= width {
        return 0..line.len();
    }
    let end = start + line.len();
    let first = marks
        .iter()
        .filter(|mark| (mark.span.start as usize) < end && mark.span.end as usize > start)
        .map(|mark| (mark.span.start as usize).saturating_sub(start))
        .min()
        .unwrap_or(0);
    let first = line.floor_char_boundary(first);
    let before = line.get(..first).unwrap_or_default();
    let lead = before.char_indices().rev().nth(LEAD - 1).map_or(0, |(at, _)| at);
    // Where nothing but the tail would be left out at the front, show from the start.
    let fits = |from: usize, to: usize| {
        line.get(from..to).unwrap_or_default().chars().map(columns).sum::<usize>() <= width
    };
    let from = if fits(0, (first + width / 2).min(line.len())) { 0 } else { lead };
    let mut left = width;
    let mut to = from;
    for c in line.get(from..).unwrap_or_default().chars() {
        if columns(c) > left {
            break;
        }
        left -= columns(c);
        to += c.len_utf8();
    }
    from..to
}

fn columns(c: char) -> usize {
    if c == '\t' { TAB.len() } else { 1 }
}

impl SourceCode for Quotes {
    /// The window that holds the span, as a whole: there is nothing in it but what is to be shown.
    /// A span over two windows is none: their lines do not follow one another.
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        _: usize,
        _: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let behind = self.windows.partition_point(|window| window.offset <= span.offset());
        let window = behind.checked_sub(1).and_then(|at| self.windows.get(at));
        let window = window.ok_or(MietteError::OutOfBounds)?;
        if span.offset() + span.len() > window.offset + window.text.len() {
            return Err(MietteError::OutOfBounds);
        }
        Ok(Box::new(MietteSpanContents::new_named(
            window.name.clone(),
            window.text.as_bytes(),
            (window.offset, window.text.len()).into(),
            window.first_line.saturating_sub(1),
            0,
            window.line_count,
        )))
    }
}

impl Diagnostic for Quotes {
    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        Some(Box::new(self.labels.iter().cloned()))
    }
}

impl fmt::Display for Quotes {
    /// Nothing: see [`draw`].
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

impl std::error::Error for Quotes {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{at, snapshot};

    fn drawn(text: &str, parts: &[(&str, &str)]) -> String {
        let snapshot = snapshot(&[("file", "unknown", text)]);
        let source = snapshot.source(tapline_core::span::SourceId(0)).unwrap();
        let marks: Vec<_> = parts
            .iter()
            .map(|&(part, label)| Mark { span: at(&snapshot, 0, part).span, label })
            .collect();
        let places = Places::of_captured(&snapshot.captured, false);
        draw(&[(source, marks)], &places, &Terminal::plain())
    }

    #[test]
    fn neighbours_share_a_frame_and_strangers_do_not() {
        let text = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n";
        let shown = drawn(text, &[("three", "first"), ("two", "second"), ("seven", "third")]);
        insta::assert_snapshot!(shown, @"
          ╭─[node2.tar.xz!file:3:1]
        2 │ two
          · ─┬─
          ·  ╰── second
        3 │ three
          · ──┬──
          ·   ╰── first
          ╰────
          ╭─[node2.tar.xz!file:7:1]
        7 │ seven
          · ──┬──
          ·   ╰── third
          ╰────
        ");
    }

    #[test]
    fn long_lines_are_cut_around_the_mark() {
        let text = format!("{}needle{}\n", "hay ".repeat(500), " straw".repeat(500));
        let shown = drawn(&text, &[("needle", "here")]);
        assert!(shown.lines().all(|line| line.chars().count() <= 100), "{shown}");
        insta::assert_snapshot!(shown, @"
          ╭─[node2.tar.xz!file:1:2001]
        1 │ …hay hay hay hay hay hay needle straw straw straw straw straw straw straw straw straw straw st…
          ·                          ───┬──
          ·                             ╰── here
          ╰────
        ");
    }

    #[test]
    fn control_characters_and_tabs_keep_the_marks_in_place() {
        let shown = drawn("a\tb\x1b[1mc needle ü\r\nnext\n", &[("needle", "here")]);
        insta::assert_snapshot!(shown, @"
          ╭─[node2.tar.xz!file:1:10]
        1 │ a    b␛[1mc needle ü
          ·             ───┬──
          ·                ╰── here
          ╰────
        ");
    }

    #[test]
    fn one_huge_line_is_quick() {
        let text = format!("{}needle{}", "x".repeat(8 << 20), "y".repeat(8 << 20));
        let shown = drawn(&text, &[("needle", "here")]);
        assert!(shown.contains("needle"), "{shown}");
        assert!(shown.len() < 2000);
    }

    #[test]
    fn a_long_element_is_shown_by_its_first_line() {
        let text = "<interface>\n 1\n 2\n 3\n 4\n 5\n</interface>\n";
        let shown = drawn(text, &[(text.trim_end(), "the NIC")]);
        insta::assert_snapshot!(shown, @"
          ╭─[node2.tar.xz!file:1:1]
        1 │ <interface>
          · ─────┬─────
          ·      ╰── the NIC
          ╰────
        ");
    }

    #[test]
    fn an_empty_span_at_the_end_is_no_trouble() {
        let snapshot = snapshot(&[("file", "unknown", "")]);
        let source = snapshot.source(tapline_core::span::SourceId(0)).unwrap();
        let mark = Mark { span: Span { start: 7, end: 9 }, label: "gone" };
        draw(&[(source, vec![mark])], &Places::default(), &Terminal::plain());
    }
}
