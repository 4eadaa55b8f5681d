//! What becomes of a command and the lines behind it, once it is clear where they end.
use tapline_core::ids::Netns;
use tapline_core::outcome::FILTERED;
use tapline_formats::registry::{self, Format};

use super::loose::Pending;
use super::prompt::{self, Trust};
use super::{Block, End, NO_END, Open, Reader, Unclaimed, is_claimed, split};
use crate::command::{self, Invocation};
use crate::flat;
use crate::packing::Line;
use crate::sos::name::Names;

impl Reader<'_> {
    /// Closes the open block.
    pub(super) fn end(&mut self, how: End) {
        let Some(mut open) = self.open.take() else { return self.end_unanswered() };
        let blank_end = open.lines.last().is_some_and(Line::is_blank);
        while open.lines.last().is_some_and(Line::is_blank) {
            open.lines.pop();
        }
        if typed_ahead(&self.unanswered, &open) {
            let before = self.unanswered.drain(..).flat_map(|before| before.runs);
            open.runs.splice(0..0, before.collect::<Vec<_>>());
        }
        self.end_unanswered();
        let told = self.told_by_name(&mut open);
        let loud = open.runs.len();
        let claimed: Vec<_> = open.runs.iter().filter(|run| is_claimed(run)).cloned().collect();
        // The command in a block of code of its own, or above one.
        if open.lines.is_empty() && how == End::Edge && !claimed.is_empty() {
            self.pending = match open.looped {
                Some(looped) => Pending::of_loop(looped, open.host, open.at),
                None => {
                    let (host, at) = (open.host, open.at);
                    Pending { runs: claimed, host, at, exact: true, looped: None }
                }
            };
            return;
        }
        let sure = open.trust == Trust::Strong;
        if claimed.is_empty() && (self.shown_file(&open) || self.told_anyhow(&open)) {
            self.done.sure += usize::from(sure);
            return;
        }
        if claimed.is_empty() && told {
            self.done.unclaimed += 1;
            return;
        }
        // Nothing was typed, and something stands there: what is left of an output.
        if open.runs.is_empty() && open.looped.is_none() {
            self.fragments(&open.lines, false);
        }
        if let Some(looped) = open.looped.take().filter(|_| !claimed.is_empty()) {
            self.done.sure += usize::from(sure);
            self.outputs_of_rounds(&open, &looped, how);
            return;
        }
        if claimed.len() != 1 || loud > 1 {
            let several = self.several(&open, &claimed, loud);
            if several || claimed.len() != 1 {
                self.done.sure += usize::from(sure && several);
                return;
            }
        }
        let [run] = claimed.as_slice() else { return };
        self.done.sure += usize::from(sure);
        // An answer that is empty looks the same as an answer that was not pasted, and a filter
        // that lets nothing through says nothing of what is there.
        let says_nothing = run.partial.is_some() || run.hushed;
        if open.lines.is_empty() && (says_nothing || !(sure && how == End::Prompt)) {
            return;
        }
        let nothing = open.lines.is_empty() && blank_end;
        if open.lines.is_empty() && !nothing && loud == 1 && self.scopes.is_empty() {
            return self.unanswered.push(open);
        }
        let bare = open.trust == Trust::Bare;
        if bare && !looks_like(run, &text_of(&open.lines)) {
            // It was no command, but a line of something else.
            let to = open.at + 1 + open.lines.len();
            let lines = self.lines.get(open.at..to).unwrap_or_default();
            return self.fragments(lines, self.fenced);
        }
        let others = intruders(run, &mut open);
        let partial = open
            .elided
            .then(|| "part of the output was left out".to_owned())
            .or_else(|| (loud > 1).then(|| "printed together with other commands".to_owned()))
            .or_else(|| nothing.then(|| "no output was pasted".to_owned()))
            .or_else(|| (bare && how != End::Edge).then(|| NO_END.to_owned()));
        self.block(run, open.host, &open.lines, open.first_line, partial, false);
        for (format, lines) in others {
            self.by_content(format, &lines);
        }
    }

    /// What `hostname` prints is the machine that all further prompts without a name are of. Whether it is
    /// a name.
    fn told_by_name(&mut self, open: &mut Open<'_>) -> bool {
        let [run] = open.runs.as_slice() else { return false };
        let Some(name) = name_told(run, &open.lines) else { return false };
        if !self.is_named_by_prompt && self.scopes.is_empty() {
            self.host = Some(name.to_owned());
            open.host.clone_from(&self.host);
        }
        true
    }

    /// Closes the commands whose output did not follow: it is empty.
    pub(super) fn end_unanswered(&mut self) {
        for open in std::mem::take(&mut self.unanswered) {
            let run = open.runs.iter().find(|run| is_claimed(run));
            if let Some(run) = run {
                self.block(run, open.host.clone(), &[], open.first_line, None, false);
            }
        }
    }

    /// Reads what a command showed that prints a file, or runs a script: the name of the file tells
    /// what it holds, or its content does. False for other commands, and where neither tells.
    fn shown_file(&mut self, open: &Open<'_>) -> bool {
        let [run] = open.runs.as_slice() else { return false };
        let Some(shown) = Shown::by(run) else { return false };
        let text = text_of(&open.lines);
        let base = shown.path.rsplit('/').next().unwrap_or(shown.path);
        let named = flat::guess(base, &Names::default()).map(|guess| guess.named);
        let named = named.filter(|named| {
            let format = registry::by_command(&named.command);
            format.is_some_and(|format| flat::is_understood(format, &named.command, &text))
        });
        let partial = run.partial.clone().or(shown.partial);
        if let Some(named) = named {
            let (command, netns) = (named.command, named.netns);
            let run = Invocation { command, netns, partial, ..Invocation::default() };
            self.block(&run, open.host.clone(), &open.lines, open.first_line, None, false);
            return true;
        }
        let segments = split::segments(&open.lines);
        for segment in &segments {
            let part = open.lines.get(segment.from..segment.to).unwrap_or_default();
            self.by_content(segment.format, part);
        }
        !segments.is_empty()
    }

    /// Reads outputs behind a prompt whose command is missing, or is none that tells what it prints (a
    /// script, an alias): each begins with a line that only one format prints.
    fn told_anyhow(&mut self, open: &Open<'_>) -> bool {
        let tells = |run: &Invocation| {
            let line = run.command.to_string();
            prompt::is_of_network(run)
                || run.elsewhere
                || run.reshaped.is_some()
                || command::runs_elsewhere(&line)
                || registry::by_command(&run.command).is_some()
        };
        if open.looped.is_some() || open.lines.is_empty() || open.runs.iter().any(tells) {
            return false;
        }
        // What tools print that work on other machines is of one of these, and of none that is known.
        let mut tools = open.runs.iter().map(|run| run.command.program());
        let tool = tools.find(|tool| ON_OTHERS.contains(tool));
        let segments = split::segments(&open.lines);
        for segment in &segments {
            let part = open.lines.get(segment.from..segment.to).unwrap_or_default();
            let before = self.done.blocks.len();
            self.by_content(segment.format, part);
            for block in self.done.blocks.iter_mut().skip(before).filter(|_| tool.is_some()) {
                block.host = tool.map(|tool| format!("by-{tool}"));
                block.entered = true;
            }
        }
        !segments.is_empty()
    }

    /// Tells the outputs of several commands apart; false where they cannot be.
    fn several(&mut self, open: &Open<'_>, claimed: &[Invocation], loud: usize) -> bool {
        if claimed.is_empty() {
            self.done.unclaimed += u64::from(loud > 0);
            self.leave_out(open);
            return false;
        }
        let parts = split::assign(claimed, &open.lines);
        let all = parts.len() == claimed.len() && loud == claimed.len() && !open.elided;
        for (run, from, to) in &parts {
            let Some(lines) = open.lines.get(*from..*to) else { continue };
            let partial = (!all).then(|| "printed together with other commands".to_owned());
            let first = lines.first().map_or(open.first_line, |line| line.number);
            self.block(run, open.host.clone(), lines, first, partial, false);
        }
        if parts.is_empty() && claimed.len() > 1 {
            self.done.unclaimed += 1;
            if !open.lines.is_empty() {
                let commands = claimed.iter().map(|claimed| claimed.command.to_string()).collect();
                self.done.mixed.push((open.first_line.saturating_sub(1).max(1), commands));
            }
        }
        !parts.is_empty()
    }

    /// Takes note of a command whose output nothing reads.
    fn leave_out(&mut self, open: &Open<'_>) {
        let [run, ..] = open.runs.as_slice() else { return };
        let sure = open.trust == Trust::Strong;
        let tells = prompt::is_of_network(run) || sure && prompt::may_tell(run);
        if open.lines.is_empty() || open.trust == Trust::Bare || !tells {
            return;
        }
        let line = open.first_line.saturating_sub(1).max(1);
        let command = run.reshaped.clone().unwrap_or_else(|| run.command.to_string());
        self.done.left_out.push(Unclaimed { line, command });
    }

    /// Adds an output.
    pub(super) fn block(
        &mut self,
        run: &Invocation,
        host: Option<String>,
        lines: &[Line<'_>],
        first_line: u32,
        partial: Option<String>,
        by_content: bool,
    ) {
        let mut run = run.clone();
        if run.netns.is_root() && run.host.is_none() {
            run.netns = self.scopes.netns();
        }
        // Those of a long output that was not packed are a number each.
        let simple = lines.iter().zip(first_line..).all(|(line, number)| line.is_at(number));
        let places = if simple { Vec::new() } else { lines.iter().map(Line::place).collect() };
        let block = Block {
            entered: run.host.is_some() || self.scopes.is_elsewhere(),
            host: run.host.clone().or(host),
            first_line,
            text: text_of(lines),
            places,
            partial: run.partial.clone().or(partial),
            run,
            by_content,
        };
        if block.run.everywhere {
            self.done.blocks.extend(by_namespace(&block));
        } else {
            self.done.blocks.push(block);
        }
    }
}

/// Tools that run what they are given on other machines.
const ON_OTHERS: &[&str] = &[
    "ansible-console",
    "ansible-playbook",
    "cap",
    "chef-run",
    "dsh",
    "fab",
    "knife",
    "mco",
    "mussh",
    "parallel-ssh",
    "pyinfra",
    "salt-call",
    "salt-ssh",
    "terraform",
    "vagrant-ssh",
    "virt-customize",
];

/// Takes what other commands printed off the end of an output: their prompts were not copied.
fn intruders<'a>(run: &Invocation, open: &mut Open<'a>) -> Vec<(&'static Format, Vec<Line<'a>>)> {
    const LONGEST: usize = 2000;
    let Some(format) = registry::by_command(&run.command) else { return Vec::new() };
    if open.lines.len() > LONGEST {
        return Vec::new();
    }
    let Some(at) = split::intruder(format, &open.lines) else { return Vec::new() };
    let rest = open.lines.split_off(at);
    let part = |segment: &split::Segment| {
        (segment.format, rest.get(segment.from..segment.to).unwrap_or_default().to_vec())
    };
    split::segments(&rest).iter().map(part).collect()
}

/// Whether the output behind the last prompt begins with that of the first command that got no answer
/// at its own: the next ones were typed while it ran.
fn typed_ahead(unanswered: &[Open<'_>], last: &Open<'_>) -> bool {
    let (Some(first), [own]) = (unanswered.first(), last.runs.as_slice()) else { return false };
    let Some(from) = last.lines.iter().position(|line| !line.is_blank()) else { return false };
    let Some(begun) = split::begins(&last.lines, from) else { return false };
    let is_of = |run: &Invocation| {
        let format = registry::by_command(&run.command);
        format.is_some_and(|format| split::family(format) == split::family(begun))
    };
    last.looped.is_none() && is_claimed(own) && first.runs.iter().any(is_of) && !is_of(own)
}

/// The name that a command tells of its machine.
fn name_told<'a>(run: &Invocation, lines: &'a [Line<'_>]) -> Option<&'a str> {
    if run.host.is_some() || !run.netns.is_root() || run.elsewhere || run.partial.is_some() {
        return None;
    }
    let mut full = lines.iter().map(Line::trimmed).filter(|line| !line.is_empty());
    let name = match run.command.program() {
        "hostname" => {
            let first = full.next()?;
            full.next().is_none().then_some(first)?
        }
        "uname" => {
            let first = full.next()?;
            let first = first.strip_prefix("Linux ").unwrap_or(first);
            first.split(' ').next()?
        }
        "hostnamectl" => full.find_map(|line| line.strip_prefix("Static hostname: "))?,
        _ => return None,
    };
    let arguments = run.command.args().iter().all(|arg| {
        matches!(arg.as_str(), "-f" | "-s" | "--fqdn" | "--short" | "-n" | "-a" | "status")
    });
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = name.chars().all(plain) && name.starts_with(char::is_alphanumeric);
    (arguments && is_name && name != "Linux").then_some(name)
}

/// A file that a command prints.
struct Shown<'a> {
    path: &'a str,
    /// Why not all of it is shown.
    partial: Option<String>,
}

impl<'a> Shown<'a> {
    /// What a command shows, if it prints a file or runs a script.
    fn by(run: &'a Invocation) -> Option<Self> {
        if run.elsewhere || run.reshaped.is_some() {
            return None;
        }
        let program = run.command.program();
        let path = run.command.args().iter().rfind(|arg| !arg.starts_with('-'));
        let all = || Some(Self { path: path?, partial: None });
        match program {
            "cat" | "less" | "more" | "zcat" | "xzcat" | "bat" | "sh" | "bash" | "source" => all(),
            "head" | "tail" | "grep" | "egrep" | "zgrep" | "sed" | "awk" => {
                let words = run.command.argv.join(" ");
                Some(Self { path: path?, partial: Some(format!("{FILTERED}`{words}`")) })
            }
            _ if program.rsplit_once('.').is_some_and(|pair| pair.1 == "sh") => {
                Some(Self { path: program, partial: None })
            }
            _ => None,
        }
    }
}

/// Lines as one text.
pub(super) fn text_of(lines: &[Line<'_>]) -> String {
    let mut text = String::with_capacity(lines.iter().map(|line| line.text.len() + 1).sum());
    for line in lines {
        text.push_str(&line.text);
        text.push('\n');
    }
    text
}

/// Whether the text shows what the command prints.
fn looks_like(run: &Invocation, text: &str) -> bool {
    let named = registry::by_command(&run.command);
    let seen = registry::by_content(text);
    named.zip(seen).is_some_and(|(named, seen)| named.id == seen.id)
}

/// Splits the output of `ip -all netns exec` at its headings, `netns: NAME`.
fn by_namespace(all: &Block) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (at, line) in all.text.lines().enumerate() {
        if let Some(name) = line.strip_prefix("netns: ") {
            let mut run = all.run.clone();
            run.netns = Netns::Named(name.trim().into());
            let first_line = all.first_line.saturating_add(u32::try_from(at + 1).unwrap_or(0));
            let (text, places) = (String::new(), Vec::new());
            blocks.push(Block { run, first_line, text, places, ..all.clone() });
        } else if let Some(block) = blocks.last_mut() {
            block.text.push_str(line);
            block.text.push('\n');
            block.places.extend(all.places.get(at).cloned());
        }
    }
    blocks
}
