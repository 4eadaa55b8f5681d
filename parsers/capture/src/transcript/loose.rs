//! Lines that no prompt stands before: blocks of code, outputs under headings, prose.
use tapline_core::capture::Command;
use tapline_formats::registry::{self, Format};

use super::caption::{self, Caption};
use super::kept::Kept;
use super::prompt::Trust;
use super::{End, NO_END, Open, Reader, prompt, prose, split, typed};
use crate::command::Invocation;
use crate::command::looped::Loop;
use crate::packing::{Line, Mark, signs::Signs};

/// Commands that were named before their output.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending {
    pub(super) runs: Vec<Invocation>,
    /// They are the body of this loop.
    pub(super) looped: Option<Loop>,
    /// The host of the prompt that they were typed at.
    pub(super) host: Option<String>,
    /// Where they stand.
    pub(super) at: usize,
    /// They were all that stood there.
    pub(super) exact: bool,
}

impl Pending {
    /// A loop, whose body is not to be taken for commands.
    pub(super) fn of_loop(looped: Loop, host: Option<String>, at: usize) -> Self {
        Self { runs: Vec::new(), looped: Some(looped), host, at, exact: true }
    }
}

/// How many lines may stand between a block of code with commands and one with outputs.
const NEAR: usize = 3;

/// The same for a loop, after which people say more: no output tells of itself that it is of one.
const NEAR_LOOP: usize = 8;

/// Prompts that nobody told us of: what stands before a command whose output begins in the next
/// line.
pub(super) fn learn(lines: &[Line<'_>]) -> Vec<String> {
    const MOST: usize = 8;
    let context = prompt::Context::ALONE;
    let mut learned: Vec<String> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if learned.len() >= MOST {
            break;
        }
        if line.mark != Mark::Text || line.text.len() > 300 {
            continue;
        }
        // The cheap questions first: hardly a line of an output passes for a prompt.
        if !line.signs.has(Signs::PROMPT_END) || !caption::may_be_behind_prompt(&line.text) {
            continue;
        }
        if prompt::find(&line.text, context).is_some() {
            continue;
        }
        let Some(format) = split::begins(lines, at + 1) else { continue };
        let Some(caption) = caption::of(&line.text) else { continue };
        let before = caption.before.trim_start();
        let new = !learned.iter().any(|learned| learned == before);
        if new && caption::is_like_prompt(before) && is_of(&caption.run, format) {
            learned.push(before.to_owned());
        }
    }
    learned
}

/// Whether a format, or one of its family, reads what a command prints.
fn is_of(run: &Invocation, format: &Format) -> bool {
    let named = registry::by_command(&run.command);
    named.is_some_and(|named| split::family(named) == split::family(format))
}

impl<'a> Reader<'a> {
    /// Reads the lines since the last prompt or edge, up to an index.
    pub(super) fn flush(&mut self, to: usize) {
        let Some(from) = self.loose.take() else { return };
        let Some(lines) = self.lines.get(from..to) else { return };
        if lines.iter().all(Line::is_blank) {
            return;
        }
        let pending = std::mem::take(&mut self.pending);
        if self.fenced {
            self.code(from, lines, pending);
        } else {
            self.text(from, lines, pending);
        }
    }

    /// A block of code without prompts.
    fn code(&mut self, from: usize, lines: &'a [Line<'a>], pending: Pending) {
        if let Some(first) = lines.iter().position(|line| !line.is_blank())
            && let Some((looped, last)) = typed::looped_at(lines, first)
        {
            let host = pending.host;
            let below = lines.get(last + 1..).unwrap_or_default();
            if below.iter().all(Line::is_blank) {
                self.pending = Pending::of_loop(looped, host, from + last);
            } else {
                self.outputs_of_loop(&looped, host, below);
            }
            return;
        }
        if let Some(looped) = &pending.looped
            && from.saturating_sub(pending.at) <= NEAR_LOOP
        {
            self.outputs_of_loop(looped, pending.host, lines);
            return;
        }
        let commands: Vec<_> = lines
            .iter()
            .filter(|line| !line.is_blank())
            .map(|line| prompt::printed_by(&line.text))
            .collect();
        if commands.iter().all(Option::is_some) {
            let runs = commands.into_iter().flatten().collect();
            let at = from + lines.len();
            self.pending = Pending { runs, host: pending.host, at, exact: true, looped: None };
            return;
        }
        let indent = common_indent(lines);
        let mut elided = false;
        // As they stand there: what begins in the middle of an output keeps its indentation.
        let raw = lines;
        let blank = lines.iter().take_while(|line| line.is_blank()).count();
        let lines: Vec<Line<'_>> =
            lines.iter().map(|line| body(line, indent, &mut elided)).collect();
        let lines = without_blank_ends(&lines);
        let first = lines.first().map_or(1, |line| line.number);
        let left_out = || elided.then(|| "part of the output was left out".to_owned());
        let segments = split::segments(lines);
        if let [run] = pending.runs.as_slice() {
            let fits = segments.iter().all(|segment| is_of(run, segment.format));
            let near = from.saturating_sub(pending.at) <= NEAR;
            if fits && (!segments.is_empty() || pending.exact && near) {
                self.block(run, self.whose(pending.host), lines, first, left_out(), false);
                return;
            }
        }
        let parts = split::assign(&pending.runs, lines);
        if !parts.is_empty() && parts.len() >= segments.len() {
            for (run, from, to) in parts {
                let Some(part) = lines.get(from..to) else { continue };
                let first = part.first().map_or(first, |line| line.number);
                self.block(&run, self.whose(pending.host.clone()), part, first, left_out(), false);
            }
            return;
        }
        let first = segments.first().map_or(lines.len(), |segment| segment.from);
        self.fragments(raw.get(..first + blank).unwrap_or_default(), true);
        for segment in segments {
            let part = lines.get(segment.from..segment.to).unwrap_or_default();
            self.by_content(segment.format, part);
        }
    }

    /// What a loop printed that stands in a block of code without a prompt.
    fn outputs_of_loop(&mut self, looped: &Loop, host: Option<String>, lines: &[Line<'a>]) {
        let lines = without_blank_ends(lines);
        let Some(first) = lines.first() else { return };
        let open = Open {
            host: self.whose(host),
            runs: looped.runs("VALUE"),
            looped: None,
            trust: Trust::Strong,
            at: 0,
            first_line: first.number,
            indent: 0,
            lines: Kept::of(lines.to_vec()),
            elided: lines.iter().any(|line| prose::is_elision(&line.text)),
        };
        self.outputs_of_rounds(&open, looped, End::Edge);
    }

    /// Text outside of blocks of code: outputs in it begin with lines that only they have.
    fn text(&mut self, from: usize, lines: &'a [Line<'a>], pending: Pending) {
        let mut segments = split::segments(lines);
        if let Some(segment) = segments.first_mut() {
            segment.from = begun_before(lines, segment);
        }
        let mut after = 0;
        let is_pending = !pending.runs.is_empty();
        for (n, segment) in segments.iter().enumerate() {
            let gap = lines.get(after..segment.from).unwrap_or_default();
            if n > 0 || !is_pending {
                self.gap(gap, true);
            }
            let named = caption_before(lines, after, segment.from)
                .filter(|before| is_of(&before.run, segment.format))
                .map(|before| before.run);
            let before = from + segment.from - pending.at.min(from);
            let named = named.or_else(|| match pending.runs.as_slice() {
                [run] if n == 0 && before <= 4 && is_of(run, segment.format) => Some(run.clone()),
                _ => None,
            });
            let end = end_of(segment, lines, segments.get(n + 1).is_some());
            after = end;
            let part = lines.get(segment.from..end).unwrap_or_default();
            let indent = part
                .first()
                .map_or(0, |line| line.text.len() - line.text.trim_start_matches(' ').len());
            let indent = if named.is_some() { indent } else { common_indent(part) };
            let mut elided = false;
            let part: Vec<Line<'_>> =
                part.iter().map(|line| body(line, indent, &mut elided)).collect();
            let part = without_blank_ends(&part);
            match named {
                Some(run) => {
                    let first = part.first().map_or(1, |line| line.number);
                    self.block(
                        &run,
                        self.whose(pending.host.clone()),
                        part,
                        first,
                        Some(NO_END.to_owned()),
                        false,
                    );
                }
                None => self.by_content(segment.format, part),
            }
        }
        if !segments.is_empty() || !is_pending {
            self.gap(lines.get(after..).unwrap_or_default(), false);
        }
        // What is named last may stand before a block of code.
        let at = from + lines.len();
        match caption_before(lines, after, lines.len()) {
            Some(it) => {
                let runs = vec![it.run];
                self.pending = Pending { runs, at, exact: it.exact, ..Pending::default() };
            }
            None if segments.is_empty()
                && lines.iter().filter(|line| !line.is_blank()).count() <= 1 =>
            {
                self.pending = pending;
            }
            None => {}
        }
    }

    /// Lines of running text in which no output begins, before one or at the end: what a caption stands
    /// above is what it names, if its format reads it, and the rest may be parts of outputs.
    fn gap(&mut self, lines: &'a [Line<'a>], more: bool) {
        if lines.iter().all(Line::is_blank) {
            return;
        }
        let said = |line: &Line<'_>| caption::of(&line.text).is_some();
        let Some(last) = lines.iter().rposition(said) else {
            return self.fragments(lines, false);
        };
        self.fragments(lines.get(..last).unwrap_or_default(), false);
        let below = without_blank_ends(lines.get(last + 1..).unwrap_or_default());
        let Some(caption) = lines.get(last).and_then(|line| caption::of(&line.text)) else {
            return;
        };
        let format = registry::by_command(&caption.run.command);
        let is_its = |format: &Format| split::is_read(format, below, 0);
        match (format.filter(|_| caption.exact && !more), below.first()) {
            (Some(format), Some(first)) if is_its(format) => {
                let why = Some(NO_END.to_owned());
                self.block(&caption.run, self.whose(None), below, first.number, why, false);
            }
            _ => self.fragments(below, false),
        }
    }

    /// Adds an output that only its content tells.
    pub(super) fn by_content(&mut self, format: &Format, lines: &[Line<'_>]) {
        let lines = without_blank_ends(lines);
        let Some(first) = lines.first() else { return };
        let run = Invocation { command: Command::new(format.command), ..Invocation::default() };
        let why = "the command is not shown; what it is, its content tells".to_owned();
        self.block(&run, self.whose(None), lines, first.number, Some(why), true);
    }

    /// The host of what no prompt stands before.
    fn whose(&self, named: Option<String>) -> Option<String> {
        named.or_else(|| self.scopes.host(None)).or_else(|| self.host.clone())
    }
}

/// Where the first output begins, of which the beginning is not there: lines directly above its first
/// known one belong to it where its format reads them.
fn begun_before(lines: &[Line<'_>], segment: &split::Segment) -> usize {
    let above = lines.get(..segment.from).unwrap_or_default();
    let near = above.iter().rev().take_while(|line| !line.is_blank()).count();
    let from = segment.from - near;
    let inner = lines.get(from).is_some_and(|line| line.text.starts_with([' ', '\t']));
    if near > 0 && inner && split::is_read(segment.format, lines, from) {
        from
    } else {
        segment.from
    }
}

/// The command that one of the last lines before an index names.
fn caption_before<'a>(lines: &'a [Line<'_>], from: usize, to: usize) -> Option<Caption<'a>> {
    const NEAR: usize = 3;
    let before = lines.get(from..to)?;
    let near = before.iter().rev().filter(|line| !line.is_blank()).take(NEAR);
    near.enumerate().find_map(|(n, line)| {
        let mut caption = caption::of(&line.text)?;
        caption.exact &= n == 0;
        Some(caption)
    })
}

/// Where an output in running text ends: before a paragraph that its format does not read.
fn end_of(segment: &split::Segment, lines: &[Line<'_>], more: bool) -> usize {
    for at in segment.from + 1..segment.to {
        let (Some(before), Some(line)) = (lines.get(at - 1), lines.get(at)) else { break };
        if line.is_blank() {
            continue;
        }
        let prose = prose::is_prose(&line.text);
        let own = || {
            split::is_read(segment.format, lines, at)
                || !prose && split::reads_on(segment.format, lines, segment.from, at)
        };
        if (before.is_blank() || prose) && !own() {
            return at;
        }
    }
    // What stands directly before the next output may name it.
    let last = segment.to.saturating_sub(1);
    let names = more
        && last > segment.from
        && lines.get(last).is_some_and(|line| caption::of(&line.text).is_some());
    if names { last } else { segment.to }
}

/// A line of an output, without what all lines of it are indented by.
fn body<'a>(line: &Line<'a>, indent: usize, elided: &mut bool) -> Line<'a> {
    let mut line = line.clone();
    if prose::is_elision(&line.text) {
        *elided = true;
        line.empty();
    }
    let own = line.text.len() - line.text.trim_start_matches(' ').len();
    line.cut_front(own.min(indent));
    line
}

/// How far all lines are indented.
fn common_indent(lines: &[Line<'_>]) -> usize {
    let indents = lines.iter().filter(|line| !line.is_blank() && !prose::is_elision(&line.text));
    indents.map(|line| line.text.len() - line.text.trim_start_matches(' ').len()).min().unwrap_or(0)
}

/// Lines without blank ones at either end.
pub(super) fn without_blank_ends<'a, 'b>(lines: &'a [Line<'b>]) -> &'a [Line<'b>] {
    let from = lines.iter().position(|line| !line.is_blank()).unwrap_or(lines.len());
    let to = lines.iter().rposition(|line| !line.is_blank()).map_or(from, |at| at + 1);
    lines.get(from..to).unwrap_or_default()
}
