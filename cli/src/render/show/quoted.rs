//! Lines of texts that `show` quotes, under the file in which they stand.
use std::io::{self, Write};

use tapline_core::capture::Source;
use tapline_core::span::Span;

use super::Asked;
use crate::dossier::{self, Line, Mention};
use crate::render::count;
use crate::render::escape::{shorten, visible};
use crate::render::source::excerpt;
use crate::terminal::style;

/// Lines that are listed of one sort, unless all are asked for.
const LINES: usize = 8;
/// Files that are listed, unless all are asked for.
const FILES: usize = 12;

/// Flows without what only counts, so that what they match and do is seen.
pub(super) fn flows(
    out: &mut impl Write,
    all: &[Line],
    asked: &Asked<'_, '_, '_>,
) -> io::Result<()> {
    let paint = asked.paint();
    let width = asked.terminal.width.saturating_sub(12);
    let mut before = None;
    for line in all.iter().take(asked.most(LINES)) {
        let file = (&line.at.archive, &line.at.member);
        if before.replace(file) != Some(file) {
            let path = asked.places.path(file.0, file.1);
            let path = asked.places.link(file.0, file.1, &visible(&path));
            writeln!(out, "  {path}")?;
        }
        let flow = dossier::without_counts(&line.text);
        let shown = shorten(&flow, width.saturating_sub(1));
        let shown = paint.of(style::FAINT, visible(&shown));
        writeln!(out, "  {:>6}  {shown}", line.at.line)?;
    }
    if all.len() > asked.most(LINES) {
        writeln!(out, "  and {} more with --all", all.len() - LINES)?;
    }
    Ok(())
}

/// Quoted lines, under the file that they stand in.
pub(super) fn lines(
    out: &mut impl Write,
    all: &[Line],
    asked: &Asked<'_, '_, '_>,
) -> io::Result<()> {
    let most = asked.most(LINES);
    let mut shown: Vec<(&Source, Vec<Span>)> = Vec::new();
    let mut left = most;
    for line in all {
        if left == 0 {
            break;
        }
        left -= 1;
        let at = line.at.evidence;
        let Some(source) = asked.topology().snapshot.source(at.source) else { continue };
        match shown.iter_mut().find(|(other, _)| other.id == source.id) {
            Some((_, spans)) => spans.push(at.span),
            None => shown.push((source, vec![at.span])),
        }
    }
    for (source, mut spans) in shown {
        spans.sort_unstable();
        quoted(out, source, &spans, asked)?;
    }
    if all.len() > most {
        writeln!(out, "  and {} more with --all", all.len() - most)?;
    }
    Ok(())
}

/// The file, then its lines behind their numbers.
fn quoted(
    out: &mut impl Write,
    source: &Source,
    spans: &[Span],
    asked: &Asked<'_, '_, '_>,
) -> io::Result<()> {
    let paint = asked.paint();
    let path = asked.places.path(&source.archive, &source.member);
    let path = asked.places.link(&source.archive, &source.member, &visible(&path));
    writeln!(out, "  {path}")?;
    for span in spans {
        let (line, _) = source.line_numbers(*span);
        let quoted = quote(source, *span, asked.terminal.width.saturating_sub(12));
        writeln!(out, "  {line:>6}  {}", paint.of(style::FAINT, quoted))?;
    }
    Ok(())
}

/// Files that name something, each with its first line, or with all.
pub(super) fn mentioned(
    out: &mut impl Write,
    title: &str,
    all: &[Mention],
    asked: &Asked<'_, '_, '_>,
) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let paint = asked.paint();
    writeln!(out, "\n{}", paint.of(style::STRONG, title))?;
    for mention in all.iter().take(asked.most(FILES)) {
        let at = mention.first.at.evidence;
        let Some(source) = asked.topology().snapshot.source(at.source) else { continue };
        if asked.all {
            quoted(out, source, &mention.lines, asked)?;
            continue;
        }
        let place = asked.places.linked_line(source, at.span);
        let more = match mention.count {
            1 => String::new(),
            lines => format!(" and {}", count(lines - 1, "more line")),
        };
        writeln!(out, "  {place}{more}")?;
        let quoted = quote(source, at.span, asked.terminal.width.saturating_sub(6));
        writeln!(out, "    {}", paint.of(style::FAINT, quoted))?;
    }
    if all.len() > asked.most(FILES) {
        writeln!(out, "  and {} with --all", count(all.len() - FILES, "more file"))?;
    }
    Ok(())
}

/// The line of a span, harmless; of a long one, the part from a little before the span on.
fn quote(source: &Source, span: Span, width: usize) -> String {
    const LEAD: usize = 24;
    let lines = excerpt(source, span, 400);
    let at = (span.start as usize).saturating_sub(lines.start).min(lines.text.len());
    let line_start = lines.text.get(..at).and_then(|it| it.rfind('\n')).map_or(0, |it| it + 1);
    let line = lines.text.get(line_start..).unwrap_or_default();
    let line = line.lines().next().unwrap_or_default();
    let whole = line.trim_start();
    let at = (at - line_start).saturating_sub(line.len() - whole.len());
    let before = whole.get(..at).unwrap_or_default();
    let far = before.chars().count() > width / 2;
    let from = if far { before.char_indices().rev().nth(LEAD).map_or(0, |(at, _)| at) } else { 0 };
    let shown = whole.get(from..).unwrap_or_default().trim_end().replace('\t', " ");
    let cut = if from > 0 { "…" } else { "" };
    format!("{cut}{}", visible(&shorten(&shown, width.saturating_sub(1))))
}
