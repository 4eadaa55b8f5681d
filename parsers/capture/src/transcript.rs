//! Pasted terminal sessions and posts: prompts, commands, and the output up to the next prompt.
//!
//! Every command that prints becomes a [`Block`]; whether a format reads it is decided later.
//! Where no prompt tells, the command is the one that a heading, a sentence or the block of code
//! before names, and else the output is known by its content. Text around all that is passed over.
mod caption;
mod close;
mod fragments;
mod headings;
mod heredoc;
mod kept;
mod loose;
mod parts;
mod plain;
mod prompt;
mod prose;
mod rounds;
mod scope;
mod split;
mod typed;

use std::collections::BTreeMap;

use tapline_formats::registry;

use crate::command::looped::Loop;
use crate::command::{self, Invocation, opens::opens};
use crate::packing::{self, Line, Mark};
use kept::Kept;
use loose::Pending;
pub(crate) use parts::{Block, Transcript, Unclaimed};
use prompt::{Prompt, Trust};
use scope::Scopes;

/// Whether a format reads the output of this.
pub(crate) fn is_claimed(run: &Invocation) -> bool {
    !run.elsewhere && run.reshaped.is_none() && registry::by_command(&run.command).is_some()
}

/// Whether a line is a prompt with a command behind it: any, where it names its host, else a known
/// one.
pub(crate) fn is_prompt(line: &str) -> bool {
    let line = packing::line(line);
    let context = prompt::Context::ALONE;
    prompt::find(&line, context).is_some_and(|(_, it)| match it.trust {
        Trust::Strong => !it.command.is_empty(),
        Trust::Weak => prompt::printed_by(&it.command).is_some(),
        Trust::Bare => false,
    })
}

/// Takes a session apart.
pub(crate) fn read(text: &str) -> Transcript {
    let lines = packing::unpack(text);
    let learned = loose::learn(&lines);
    let mut reader = Reader::new(&lines, &learned);
    reader.done.packed = lines.iter().any(|line| line.column > 0 || line.mark != Mark::Text);
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        at = reader.line(at, line);
    }
    reader.end(End::OfText);
    reader.flush(lines.len());
    let headed = !reader.headings.is_empty();
    let mut done = reader.done;
    // Whose an output without a prompt is can be told where there is one host only.
    let mut hosts: Vec<_> =
        done.blocks.iter().filter(|block| !block.by_content).map(|block| &block.host).collect();
    hosts.sort();
    hosts.dedup();
    if !headed && hosts.iter().filter(|host| host.is_some()).count() > 1 {
        let (unknown, known) = done.blocks.into_iter().partition(|block| block.by_content);
        done.blocks = known;
        let left_out = |block: Block| Unclaimed {
            line: block.first_line,
            command: block.run.command.to_string(),
        };
        done.left_out.extend(Vec::into_iter(unknown).map(left_out));
    }
    if let (Some(block), Some(last)) = (done.blocks.last_mut(), lines.last()) {
        // A text that ends within a line may have been cut off there: its output does as well.
        let is_end = || block.last_line() == Some(last.number);
        if !text.ends_with(['\n', '\r']) && block.text.ends_with('\n') && is_end() {
            block.text.pop();
        }
    }
    done
}

/// What ended a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Prompt,
    /// The edge of a block of code.
    Edge,
    /// A heading, prose.
    Other,
    OfText,
}

/// A block being read.
struct Open<'a> {
    host: Option<String>,
    runs: Vec<Invocation>,
    /// They are the body of this loop.
    looped: Option<Loop>,
    trust: Trust,
    /// Where the command stands.
    at: usize,
    first_line: u32,
    indent: usize,
    lines: Kept<'a>,
    elided: bool,
}

struct Reader<'a> {
    lines: &'a [Line<'a>],
    learned: &'a [String],
    /// Lines that name the host of what follows.
    headings: BTreeMap<usize, String>,
    done: Transcript,
    open: Option<Open<'a>>,
    /// Where lines began that belong to no prompt.
    loose: Option<usize>,
    /// Within a block of code.
    fenced: bool,
    /// Commands that were named, whose output may follow.
    pending: Pending,
    /// The host of the last prompt that named one.
    host: Option<String>,
    /// Prompts or headings name their host: nothing else needs to tell.
    is_named_by_prompt: bool,
    /// The last prompt, without what was typed behind it.
    bare_prompt: &'a str,
    /// Shells that were started in others.
    scopes: Scopes,
    strong: bool,
    /// The shell prints commands behind `+ `.
    traced: bool,
    /// Commands that printed nothing before the next prompt: what they print may follow that, where
    /// the next command was typed ahead.
    unanswered: Vec<Open<'a>>,
    /// The sign of a prompt of two lines, and the line above it.
    upper: Option<(&'a str, &'a str)>,
    /// Parts of outputs that were looked into.
    fragments: usize,
}

impl<'a> Reader<'a> {
    fn new(lines: &'a [Line<'a>], learned: &'a [String]) -> Self {
        Self {
            lines,
            learned,
            headings: headings::hosts(lines),
            done: Transcript::default(),
            open: None,
            loose: None,
            fenced: false,
            pending: Pending::default(),
            host: None,
            is_named_by_prompt: false,
            bare_prompt: "",
            scopes: Scopes::default(),
            strong: false,
            traced: false,
            unanswered: Vec::new(),
            upper: None,
            fragments: 0,
        }
    }

    /// How much a prompt needs to show to be taken for one.
    fn trust(&self) -> prompt::Context<'a> {
        let open = self.open.as_ref();
        let program = open.and_then(|open| open.runs.first()).map_or("", |it| it.command.program());
        prompt::Context {
            strong_seen: self.strong,
            in_block: open.is_some(),
            after_blank: open.is_none_or(|open| open.lines.last().is_none_or(Line::is_blank)),
            // Programs whose output begins lines with `#`; no need to keep the name.
            program: prompt::commenting(program),
            learned: self.learned,
            traced: self.traced,
        }
    }

    /// Reads the line at an index, and says where to go on.
    fn line(&mut self, at: usize, line: &'a Line<'a>) -> usize {
        if self.is_plain_output(at, line)
            && let Some(open) = &mut self.open
        {
            open.lines.keep(at);
            return at + 1;
        }
        if line.mark != Mark::Text {
            self.end(End::Edge);
            self.flush(at);
            self.fenced = line.mark == Mark::Open;
            return at + 1;
        }
        // `[root@h ~]# command` as code in a sentence of its own.
        let bare = if line.text.contains('`') { line.text.trim() } else { "" };
        let code = bare.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
        let text = code.filter(|code| !code.contains('`') && is_prompt(code)).unwrap_or(&line.text);
        // The last prompt once more, and nothing typed.
        let context = self.trust();
        let is_code = text.len() < line.text.len();
        let trimmed = if is_code { text.trim() } else { line.trimmed() };
        let again = !self.bare_prompt.is_empty() && trimmed == self.bare_prompt;
        if again && self.open.is_some() && context.program.is_empty() {
            self.drop_upper_line(at, self.bare_prompt);
            self.end(End::Prompt);
            return at + 1;
        }
        if let Some(host) = self.headings.get(&at) {
            let host = host.clone();
            self.of_host(at, host);
            return at + 1;
        }
        let rule = text.starts_with("----") && prompt::host_heading(self.lines, at + 1).is_some();
        if rule {
            self.end(End::Prompt);
            self.flush(at);
            return at + 1;
        }
        if prompt::is_section(text) {
            self.end(End::Other);
            self.flush(at);
            return at + 1;
        }
        if let Some(host) = prompt::host_heading(self.lines, at) {
            self.of_host(at, host);
            return at + 1;
        }
        if let Some((command, last)) = prompt::framed(self.lines, at)
            && let Some(headed) = self.lines.get(command)
        {
            let typed = prompt::heading_command(&headed.text);
            let prompt =
                Prompt { host: None, command: typed.into(), trust: Trust::Weak, sign: "=" };
            self.flush(at);
            self.prompt(last, 0, &prompt, typed);
            return last + 1;
        }
        let Some((indent, prompt)) = prompt::find(text, context) else {
            self.other(at, line);
            return at + 1;
        };
        let before = text.trim_end().strip_suffix(prompt.command.as_ref()).unwrap_or_default();
        self.bare_prompt = if prompt.trust == Trust::Bare { "" } else { before.trim() };
        let (typed, last) = typed::whole(self.lines, at, &prompt.command, self.trust());
        if let Some(rest) = self.begun_output(at, before.len(), &typed)
            && let Some(open) = &mut self.open
        {
            open.lines.push(rest);
            return at + 1;
        }
        if prompt.trust == Trust::Weak {
            self.traced |= prompt.sign.starts_with('+');
            self.drop_upper_line(at, prompt.sign);
        }
        self.flush(at);
        self.prompt(last, indent, &prompt, &typed);
        self.pasted(last + 1)
    }

    /// Some shells print a line with the folder above their prompt: it is no output. It is known
    /// by standing above each of these prompts.
    fn drop_upper_line(&mut self, at: usize, sign: &'a str) {
        let above = at.checked_sub(1).and_then(|above| self.lines.get(above));
        let Some(above) = above.map(Line::trimmed).filter(|line| !line.is_empty()) else {
            return;
        };
        match &mut self.open {
            None => {
                self.upper.get_or_insert((sign, above));
            }
            Some(open) if self.upper == Some((sign, above)) => {
                if open.lines.last().is_some_and(|line| line.trimmed() == above) {
                    open.lines.pop();
                }
            }
            Some(_) => {}
        }
    }

    /// The line without the prompt in front, where an output of the commands that were pasted
    /// together begins behind it: the shell printed the prompt before it ran the next of them.
    fn begun_output(&self, at: usize, prompt: usize, typed: &str) -> Option<Line<'a>> {
        const SEEN: usize = 12;
        let open = self.open.as_ref().filter(|open| open.runs.len() > 1)?;
        if open.looped.is_some() || typed.is_empty() || command::parse(typed).iter().any(is_claimed)
        {
            return None;
        }
        let mut seen: Vec<Line<'a>> = self.lines.iter().skip(at).take(SEEN).cloned().collect();
        seen.first_mut()?.cut_front(prompt);
        split::begins(&seen, 0)?;
        seen.into_iter().next()
    }

    /// What follows is of this host.
    fn of_host(&mut self, at: usize, host: String) {
        self.end(End::Prompt);
        self.flush(at);
        self.pending = Pending::default();
        self.done.sure += 1;
        self.is_named_by_prompt = true;
        self.host = Some(host);
    }

    /// Commands that were pasted together at one prompt stand below it, one a line.
    fn pasted(&mut self, mut at: usize) -> usize {
        const MOST: usize = 20;
        let Some(open) = &mut self.open else { return at };
        if open.looped.is_some() || open.runs.is_empty() || !open.runs.iter().all(is_claimed) {
            return at;
        }
        while let Some(line) = self.lines.get(at)
            && open.runs.len() < MOST
            && line.mark == Mark::Text
            && let Some(run) = prompt::printed_by(&line.text)
        {
            open.runs.push(run);
            at += 1;
            open.first_line = line.number.saturating_add(1);
        }
        at
    }

    /// A prompt with what was typed behind it.
    fn prompt(&mut self, at: usize, indent: usize, prompt: &Prompt<'_>, typed: &str) {
        self.end(End::Prompt);
        self.pending = Pending::default();
        let of_shell = prompt.trust != Trust::Bare;
        if prompt.trust == Trust::Strong {
            self.strong = true;
        }
        if of_shell {
            self.scopes.prompt(prompt.sign, prompt.host);
        }
        let outer = self.scopes.host(None);
        self.is_named_by_prompt |= prompt.host.is_some();
        if outer.is_none() && prompt.host.is_some() {
            self.host = prompt.host.map(str::to_owned);
        }
        let host = if outer.is_some() { self.scopes.host(prompt.host) } else { self.host.clone() };
        let typed = typed.trim();
        if prompt::is_leaving(typed) {
            self.scopes.leave();
            return;
        }
        if let Some(opened) = opens(typed) {
            self.end_unanswered();
            self.scopes.enter(opened, prompt.sign, host);
            return;
        }
        let first_line = self.lines.get(at).map_or(1, |line| line.number.saturating_add(1));
        let looped = Loop::of(typed);
        let runs = match &looped {
            // As written: what it runs over is told later.
            Some(looped) => looped.runs("VALUE"),
            None => command::parse(typed),
        };
        self.done.elsewhere |= !runs.iter().any(is_claimed) && command::runs_elsewhere(typed);
        self.open = Some(Open {
            host,
            runs,
            looped,
            trust: prompt.trust,
            at,
            first_line,
            indent,
            lines: Kept::new(self.lines),
            elided: false,
        });
    }

    /// Whether a line behind a blank one begins something else than the output above: another output,
    /// or a word or two that announce it.
    fn is_of_another(&self, at: usize) -> bool {
        // The outputs of several commands are told apart later.
        let run = self.open.as_ref().filter(|open| open.looped.is_none());
        let is_one =
            run.is_some_and(|open| matches!(open.runs.as_slice(), [run] if is_claimed(run)));
        let Some(line) = self.lines.get(at).filter(|_| is_one).map(Line::trimmed) else {
            return false;
        };
        let is_said = line.ends_with(':')
            && line.split_whitespace().count() <= 4
            && line.starts_with(|c: char| c.is_alphabetic());
        let own = run.and_then(|open| registry::by_command(&open.runs.first()?.command));
        if is_said {
            // A remark within an output: what stands below goes on with it.
            let rest = self.lines.get(at + 1..).unwrap_or_default();
            let below = at + 1 + rest.iter().take_while(|line| line.is_blank()).count();
            let is_text = self.lines.get(below).is_some_and(|line| line.mark == Mark::Text);
            return is_text && own.is_none_or(|own| !split::is_read(own, self.lines, below));
        }
        own.is_some_and(|own| split::begins_other(own, self.lines, at))
    }

    /// A line that is no prompt.
    fn other(&mut self, at: usize, line: &'a Line<'a>) {
        self.scopes.output(&line.text);
        let Some(open) = &self.open else {
            self.loose.get_or_insert(at);
            return;
        };
        let after_blank = open.lines.last().is_some_and(Line::is_blank);
        let bare_end = open.trust == Trust::Bare && line.is_blank() && !self.fenced;
        // What the running format understands is never prose.
        let is_own = || {
            let format = open.runs.iter().find_map(|run| registry::by_command(&run.command));
            format.is_some_and(|format| split::is_read(format, self.lines, at))
        };
        let prose = || (prose::is_prose(&line.text) || self.is_of_another(at)) && !is_own();
        // A block of code by its indentation is over where a line is out of it.
        let inside = |line: &Line<'_>| line.is_blank() || indented(&line.text) >= open.indent;
        let outside = after_blank
            && open.indent >= 2
            && !inside(line)
            && open.lines.iter().all(|line| line.column > 0 || line.is_blank());
        let ends = bare_end || outside || after_blank && prose();
        if ends {
            self.end(End::Other);
            self.loose = Some(at);
            return;
        }
        let Some(open) = &mut self.open else { return };
        let elided = prose::is_elision(&line.text);
        let cut = indented(&line.text).min(open.indent);
        if !elided && cut == 0 && !prose::is_notice(&line.text) {
            open.lines.keep(at);
            return;
        }
        let mut line = line.clone();
        if prose::is_notice(&line.text) {
            line.empty();
        } else if elided {
            open.elided = true;
            // The place stays, so that line numbers stay.
            line.empty();
        }
        line.cut_front(indented(&line.text).min(open.indent));
        open.lines.push(line);
    }
}

/// Why an output without prompts is not whole.
const NO_END: &str = "pasted without prompts: the end is not sure";

/// How far a line is indented.
fn indented(text: &str) -> usize {
    text.len() - text.trim_start_matches(' ').len()
}

#[cfg(test)]
mod tests;
