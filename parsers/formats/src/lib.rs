//! Captured text to typed records: one reader per command.
//!
//! A reader takes a `&str` and gives an [`Outcome`]: records, problems, and an account of every
//! line. It cannot fail, opens nothing, and knows neither paths nor the graph. The
//! [`registry`] says which command or file each format reads.
#[cfg(test)]
mod damaged;
pub mod elision;
mod ends;
mod error_line;
pub mod format;
pub mod formats;
mod ip_command;
mod json;
mod json_object;
mod keyed;
mod lines;
mod nomx;
mod ovsdb;
pub mod registry;
mod remarks;
mod xml;

use std::borrow::Cow;

use rayon::prelude::*;
use tapline_core::capture::{Captured, Completeness, Snapshot, Source};
use tapline_core::outcome::{FILTERED, Outcome, ProblemKind};
use tapline_core::records::Batch;

use crate::format::Format;

/// Reads every source by its format, in parallel; the order is that of the sources.
pub fn read(captured: Captured) -> Snapshot {
    let without_ends = ends::without_ends(&captured);
    let readings = captured
        .sources
        .par_iter()
        .map(|source| match format_of(source) {
            Ok(format) if without_ends.contains(&source.archive) => {
                (format.read)(&plain_blanks(&source.text), &source.command)
            }
            _ => read_source(source),
        })
        .collect();
    Snapshot { captured, readings }
}

/// Reads one source. A text that nothing claims, or that the capture itself calls failed, has no
/// records.
pub fn read_source(source: &Source) -> Outcome<Batch> {
    let format = match format_of(source) {
        Ok(format) => format,
        Err(out) => return *out,
    };
    let mut out = (format.read)(&plain_blanks(&source.text), &source.command);
    ends::check(source, format, &mut out);
    lift_filtered(source, &mut out);
    out
}

/// What a filter let through need not hold a line by which the output is known: it is a part of one,
/// and no failure, unless a tool complains in it.
fn lift_filtered(source: &Source, out: &mut Outcome<Batch>) {
    let is_filtered =
        matches!(&source.completeness, Completeness::Partial(why) if why.starts_with(FILTERED));
    if is_filtered {
        // What a line is about was not looked for.
        let before = out.problems.len();
        out.problems.retain(|problem| problem.kind != ProblemKind::OrphanLine);
        let orphans = u32::try_from(before - out.problems.len()).unwrap_or(u32::MAX);
        out.lines.unread = out.lines.unread.saturating_sub(orphans);
        out.lines.ignored = out.lines.ignored.saturating_add(orphans);
    }
    let complains = || out.problems.iter().any(|problem| problem.kind == ProblemKind::ToolError);
    if is_filtered && out.completeness.is_failed() && !complains() {
        out.completeness = source.completeness.clone();
    }
}

/// The text with common blanks for the non-breaking ones that web pages have: two for each, since
/// that is how many bytes it takes, and places stay what they are.
pub(crate) fn plain_blanks(text: &str) -> Cow<'_, str> {
    const NO_BREAK: &str = "\u{a0}";
    if text.is_ascii() || !text.contains(NO_BREAK) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace(NO_BREAK, "  "))
}

/// The format of a source; where nothing is to be read, what stands for its records.
fn format_of(source: &Source) -> Result<&'static Format, Box<Outcome<Batch>>> {
    let Some(format) = source.format.and_then(registry::by_id) else {
        return Err(Box::default());
    };
    if let Completeness::Failed(_) = source.completeness {
        let completeness = source.completeness.clone();
        return Err(Box::new(Outcome { completeness, ..Outcome::default() }));
    }
    Ok(format)
}
