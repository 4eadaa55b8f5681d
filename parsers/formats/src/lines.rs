//! Loops over lines and indented blocks that keep an account of every line.
//!
//! The loop belongs here and not to the formats, so that no format can skip a line: whatever its
//! line functions do not read becomes a problem with its span, and reading goes on.
pub(crate) use crate::elision::is_elision;
use tapline_core::capture::Completeness;
use tapline_core::outcome::{Fate, Outcome, ProblemKind};
use tapline_core::span::Span;
use tapline_core::text::lines;

pub(crate) use crate::error_line::complaint as tool_error;
use crate::error_line::{shortened, surely, takes_nothing};
use crate::nomx::{Expected, Parsed};
use crate::remarks;

/// What a line function made of one line.
#[derive(Debug)]
pub(crate) enum Read<T> {
    /// It is part of a record.
    Took(T),
    /// It carries nothing: a heading, a rule. Only for lines that are recognised.
    Ignored,
}

/// The lines of a text without line ends, trailing blanks and the blanks that all of them begin
/// with; blank lines are included.
///
/// Output is pasted indented as a whole: under a list item, as a code block of Markdown.
pub(crate) fn bodies(text: &str) -> impl Iterator<Item = &str> {
    /// Bytes that are looked through for remarks at once: who knows a text by its first lines does
    /// not pay for the rest.
    const LOOKED_THROUGH: usize = 4 << 10;
    let margin = margin(text);
    let (mut known_to, mut remarked) = (0, false);
    lines(text).map(move |line| {
        let end = Span::of(text, line).range().end;
        if end > known_to {
            let from = end - line.len();
            let to = text.floor_char_boundary((from + LOOKED_THROUGH).max(end));
            remarked = text.get(from..to).is_some_and(remarks::are_in);
            known_to = to;
        }
        // A blank line may be shorter; its place is in the text all the same.
        let body = line.get(margin..).or_else(|| line.get(line.len()..));
        let body = body.unwrap_or_default();
        if remarked { remarks::without(body).trim_end() } else { body.trim_end() }
    })
}

/// How many blanks every line that is not blank begins with: usually none.
fn margin(text: &str) -> usize {
    let blanks = |line: &str| line.bytes().take_while(|it| matches!(it, b' ' | b'\t')).count();
    let mut lines = lines(text).filter(|line| !line.trim_end().is_empty());
    let Some(first) = lines.next() else { return 0 };
    let mut common = first.get(..blanks(first)).unwrap_or_default();
    for line in lines {
        if common.is_empty() {
            return 0;
        }
        let same = common.bytes().zip(line.bytes()).take_while(|(a, b)| a == b).count();
        common = common.get(..same).unwrap_or_default();
    }
    common.len()
}

/// Reads a flat format: every line is one record, or carries nothing.
pub(crate) fn each_line<'a, R>(
    text: &'a str,
    out: &mut Outcome<Vec<R>>,
    mut line: impl FnMut(&'a str) -> Parsed<'a, Read<R>>,
) {
    for body in bodies(text) {
        if let Some(record) = one_line(text, body, out, &mut line) {
            out.records.push(record);
        }
    }
}

/// Reads a block format: a head at the margin, then indented lines about it.
///
/// Under a head that is not understood the indented lines are problems too: they would end up with
/// the record before it.
pub(crate) fn each_block<'a, R, T>(
    text: &'a str,
    out: &mut Outcome<Vec<R>>,
    mut head: impl FnMut(&'a str) -> Parsed<'a, Read<R>>,
    mut below: impl FnMut(&mut R, &'a str) -> Parsed<'a, Read<T>>,
    mut add: impl FnMut(&mut R, T),
) {
    let mut current: Option<R> = None;
    for body in bodies(text) {
        if body.is_empty() {
            out.lines.add(Fate::Blank);
        } else if is_separator(body) {
            out.records.extend(current.take());
            separated(out);
        } else if !body.starts_with([' ', '\t']) {
            out.records.extend(current.take());
            current = one_line(text, body, out, &mut head);
        } else if let Some(record) = &mut current {
            if let Some(part) = one_line(text, body, out, &mut |line| below(record, line)) {
                add(record, part);
            }
        } else {
            orphan(text, body, out);
        }
    }
    out.records.extend(current);
}

/// Accounts for an indented line that belongs to nothing.
pub(crate) fn orphan<R>(text: &str, body: &str, out: &mut Outcome<R>) {
    if is_elision(body) {
        return elided(text, body, out);
    }
    let what = "nothing above that this line could belong to";
    out.problem(ProblemKind::OrphanLine, Span::of(text, body), what);
    out.lines.add(Fate::Unread);
}

/// Accounts for a line that no reader understands.
pub(crate) fn unread<R>(text: &str, body: &str, out: &mut Outcome<R>, message: impl Into<String>) {
    out.problem(ProblemKind::UnreadLine, Span::of(text, body), message);
    out.lines.add(Fate::Unread);
}

/// Whether a line is what `grep` prints between the parts that it found: what follows need not belong
/// to what stands above.
pub(crate) fn is_separator(body: &str) -> bool {
    body.trim_end() == "--"
}

/// Accounts for what `grep` prints between two parts.
pub(crate) fn separated<R>(out: &mut Outcome<R>) {
    out.lines.add(Fate::Ignored);
    let partial = Completeness::Partial("parts of the output that were looked for".to_owned());
    out.completeness = std::mem::take(&mut out.completeness).and(partial);
}

/// Accounts for a line that stands for others that were left out: what is not listed may still be
/// there.
pub(crate) fn elided<R>(text: &str, body: &str, out: &mut Outcome<R>) {
    unread(text, body, out, "lines were left out here");
    let partial = Completeness::Partial("lines were left out of the text".to_owned());
    out.completeness = std::mem::take(&mut out.completeness).and(partial);
}

/// Runs `line` over one line and accounts for it.
pub(crate) fn one_line<'a, R, T>(
    text: &'a str,
    body: &'a str,
    out: &mut Outcome<R>,
    line: &mut impl FnMut(&'a str) -> Parsed<'a, Read<T>>,
) -> Option<T> {
    if body.is_empty() {
        out.lines.add(Fate::Blank);
        return None;
    }
    if is_separator(body) {
        separated(out);
        return None;
    }
    // Before the format is asked: some would take it for a name.
    if let Some(reason) = surely(body) {
        out.problem(ProblemKind::ToolError, Span::of(text, body), reason);
        out.lines.add(Fate::Ignored);
        return None;
    }
    match line(body) {
        Ok((_, Read::Ignored)) => {
            out.lines.add(Fate::Ignored);
            None
        }
        Ok((rest, Read::Took(part))) => {
            let rest = rest.trim();
            if rest.is_empty() {
                out.lines.add(Fate::Read);
                if let Some(remark) = remark_behind(text, body) {
                    let what = "a remark behind the line is no part of it";
                    out.problem(ProblemKind::TrailingText, Span::of(text, remark), what);
                }
            } else {
                // Part of the line is lost: the account must not call it read.
                let what = "text after the last field was not read";
                out.problem(ProblemKind::TrailingText, Span::of(text, rest), what);
                out.lines.add(Fate::Unread);
            }
            Some(part)
        }
        Err(nom::Err::Error(Expected { at, what }) | nom::Err::Failure(Expected { at, what })) => {
            // A line within an output may hold the words of an error that it tells of.
            let within = out.lines.read > 0 && body.starts_with([' ', '\t']);
            if let Some(reason) = tool_error(body).filter(|_| !within) {
                out.problem(ProblemKind::ToolError, Span::of(text, body), reason);
                out.lines.add(Fate::Ignored);
                return None;
            }
            if is_elision(body) {
                elided(text, body, out);
                return None;
            }
            let at = if at.is_empty() { body } else { at };
            let message = match what {
                "" => "line was not understood".to_owned(),
                what => format!("expected {what}"),
            };
            if out.lines.read > 0 && ends_early(text, body) {
                out.problem(ProblemKind::Truncated, Span::of(text, at), message);
                out.lines.add(Fate::Unread);
            } else {
                unread(text, at, out, message);
            }
            None
        }
        Err(nom::Err::Incomplete(_)) => {
            unread(text, body, out, "line is cut off");
            None
        }
    }
}

/// What stands behind a line that was read without it: see [`remarks::without`].
fn remark_behind<'a>(text: &'a str, body: &str) -> Option<&'a str> {
    let end = Span::of(text, body).end as usize;
    // Behind most lines there is nothing.
    if text.as_bytes().get(end).is_none_or(|b| *b == b'\n') {
        return None;
    }
    let behind = text.get(end..)?;
    let remark = behind.split('\n').next().unwrap_or(behind).trim();
    (!remark.is_empty()).then_some(remark)
}

/// Whether `body` is the last line, and the text ends without a line end: it may have been cut.
fn ends_early(text: &str, body: &str) -> bool {
    !text.ends_with('\n') && text.ends_with(body)
}

/// Ends every reader: decides whether the text was an error message rather than data.
///
/// * nothing read, and a complaint of a tool among the lines: *failed*, with its words;
/// * not one line understood: *failed*, since this is no output of the command;
/// * something read and a complaint that data is missing: *partial*;
/// * lines that were not understood may be what someone looks for: *partial*.
pub(crate) fn finish<T>(text: &str, out: &mut Outcome<T>) {
    let complaints =
        || out.problems.iter().filter(|problem| problem.kind == ProblemKind::ToolError);
    let complaint = complaints().next();
    let lost = out.problems.iter().filter(|problem| {
        use ProblemKind::{OrphanLine, Truncated, UnreadLine};
        matches!(problem.kind, UnreadLine | OrphanLine | Truncated)
    });
    let lost = lost.count();
    let verdict = if out.lines.read == 0 {
        let complaint = complaint
            .map(|complaint| complaint.message.clone())
            .or_else(|| bodies(text).find_map(tool_error))
            .map(Completeness::Failed);
        complaint.unwrap_or_else(|| match (out.lines.unread, out.lines.ignored) {
            (0, _) => Completeness::Complete,
            (_, 0) => Completeness::Failed(not_understood(text)),
            _ => Completeness::Partial(format!("lines not understood: {lost}")),
        })
    } else if let Some(complaint) = complaints().find(|it| !takes_nothing(&it.message)) {
        Completeness::Partial(complaint.message.clone())
    } else if lost > 0 {
        Completeness::Partial(format!("lines not understood: {lost}"))
    } else {
        Completeness::Complete
    };
    let before = std::mem::take(&mut out.completeness);
    out.completeness = before.and(verdict);
}

/// Why a text of which no line was understood is no output: it begins with something else.
pub(crate) fn not_understood(text: &str) -> String {
    let first = bodies(text).find(|body| !body.is_empty()).unwrap_or_default();
    format!("no line was understood, the first is: {}", shortened(first))
}

/// Takes a text without a single line for a command that did not run, where the command always
/// prints something: a heading, or what every machine has.
pub(crate) fn never_empty<T>(out: &mut Outcome<T>, always: &str) {
    if out.lines.total == 0 && !out.completeness.is_failed() {
        let why = format!("the output is empty, but there is always {always}");
        out.completeness = Completeness::Failed(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nomx::{number, refuse};

    fn reads(text: &str) -> Outcome<Vec<u32>> {
        let mut out = Outcome::default();
        each_line(text, &mut out, |line| match line {
            "head" => Ok(("", Read::Ignored)),
            _ if line.starts_with('x') => refuse(line, "a number"),
            _ => number(line).map(|(rest, n)| (rest, Read::Took(n))),
        });
        finish(text, &mut out);
        out
    }

    #[test]
    fn every_line_is_accounted_for() {
        let out = reads("head\n1\n\nx\r\n2 tail\n");
        assert_eq!(out.records, [1, 2]);
        assert_eq!(
            (out.lines.total, out.lines.read, out.lines.ignored, out.lines.unread),
            (4, 1, 1, 2)
        );
        assert_eq!(out.problems.len(), 2);
    }

    #[test]
    fn elisions_are_told_from_data() {
        for it in [
            "...",
            "(...)",
            "[...]",
            " … ",
            "<snip>",
            "[snip]",
            "--More--",
            "--More--(12%)",
            "... (output omitted) ...",
            "----8<----",
            ". . .",
            "[Output truncated]",
        ] {
            assert!(is_elision(it), "{it}");
        }
        for it in ["", "snip", "more", "8", "eth0...", "-----", "=====", "a ... b", "(8)", "{}"] {
            assert!(!is_elision(it), "{it}");
        }
        let out = reads("1\n...\n2\n");
        assert_eq!((out.records.len(), out.lines.unread, out.problems.len()), (2, 1, 1));
        let left_out = "lines were left out of the text".to_owned();
        assert_eq!(out.completeness, Completeness::Partial(left_out));
    }

    #[test]
    fn what_was_not_understood_may_be_what_is_looked_for() {
        assert_eq!(reads("1\n2\n").completeness, Completeness::Complete);
        assert!(matches!(reads("1\nx\n").completeness, Completeness::Partial(_)));
        assert!(reads("x\nx\n").completeness.is_failed());
        assert_eq!(reads("").completeness, Completeness::Complete);
        let cut = reads("1\n2\n3x");
        assert_eq!(cut.problems.first().map(|problem| problem.kind), Some(ProblemKind::Truncated));
    }

    #[test]
    fn an_error_alone_is_a_failed_capture() {
        let out = reads("bash: tool: command not found\n");
        assert_eq!(out.completeness, Completeness::Failed("bash: tool: command not found".into()));
        assert_eq!(out.lines.unread, 0);
    }
}
