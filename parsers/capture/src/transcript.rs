//! Pasted terminal sessions: prompts, commands, and the output up to the next prompt.
//!
//! Every command that prints becomes a [`Block`]; whether a format reads it is decided later.
//! Text around sessions (prose, headings, fences) is passed over.
mod clean;
mod prompt;

use tapline_core::ids::Netns;
use tapline_formats::registry;

use crate::command::{self, Invocation};
use prompt::{Prompt, Trust};

/// One command and its output.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Block {
    /// The host that the prompt names.
    pub(crate) host: Option<String>,
    /// What was run.
    pub(crate) run: Invocation,
    /// One-based line of the first line of output.
    pub(crate) first_line: u32,
    /// The output, without escape sequences.
    pub(crate) text: String,
    /// Why it may not be all.
    pub(crate) partial: Option<String>,
}

/// A session taken apart.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Transcript {
    /// Commands that a format reads.
    pub(crate) blocks: Vec<Block>,
    /// Commands that nothing reads.
    pub(crate) unclaimed: u64,
    /// Lines with several commands that formats read, whose outputs run into one another: one-based
    /// line, and the commands.
    pub(crate) mixed: Vec<(u32, Vec<String>)>,
    /// Prompts that only a shell prints, with a known command: what makes a text a session.
    pub(crate) sure: usize,
}

/// Whether a format reads the output of this.
pub(crate) fn is_claimed(run: &Invocation) -> bool {
    !run.elsewhere && registry::by_command(&run.command).is_some()
}

/// Whether a line is a prompt that names its host, with a command behind it.
pub(crate) fn is_prompt(line: &str) -> bool {
    let line = clean::line(line);
    prompt::find(&line, Reader::default().trust())
        .is_some_and(|(_, it)| it.trust == Trust::Strong && !it.command.is_empty())
}

/// Takes a session apart.
pub(crate) fn read(text: &str) -> Transcript {
    let mut reader = Reader::default();
    let mut lines = text.lines().enumerate().peekable();
    while let Some((at, raw)) = lines.next() {
        let line = clean::line(raw);
        let Some((indent, prompt)) = prompt::find(&line, reader.trust()) else {
            reader.other(at, &line);
            continue;
        };
        // A command that goes on in the next line.
        let mut typed = prompt.command.clone().into_owned();
        let mut last = at;
        while typed.ends_with('\\') {
            let Some((next, raw)) = lines.next() else { break };
            typed.pop();
            typed.push_str(clean::line(raw).trim_start_matches(['>', ' ']));
            last = next;
        }
        if let Some((next, raw)) = lines.peek()
            && prompt::wraps(line.chars().count(), &typed, &clean::line(raw))
        {
            last = *next;
            typed.push_str(&clean::line(raw));
            lines.next();
        }
        reader.prompt(last, indent, &prompt, &typed);
    }
    reader.end(End::OfText);
    reader.done
}

/// What ended a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Prompt,
    /// A fence, a heading, prose.
    Other,
    OfText,
}

/// A block being read.
struct Open {
    host: Option<String>,
    runs: Vec<Invocation>,
    trust: Trust,
    first_line: u32,
    indent: usize,
    lines: Vec<String>,
    elided: bool,
}

#[derive(Default)]
struct Reader {
    done: Transcript,
    open: Option<Open>,
    /// The host of the last prompt that named one.
    host: Option<String>,
    /// The namespace of a shell that was started in one.
    shell: Option<Netns>,
    strong: bool,
}

impl Reader {
    /// How much a prompt needs to show to be taken for one.
    fn trust(&self) -> prompt::Context<'_> {
        prompt::Context {
            strong_seen: self.strong,
            in_block: self.open.is_some(),
            after_blank: self
                .open
                .as_ref()
                .is_none_or(|it| it.lines.last().is_none_or(|line| line.trim().is_empty())),
            program: self
                .open
                .as_ref()
                .and_then(|it| it.runs.first())
                .map_or("", |it| it.command.program()),
        }
    }

    /// A prompt with what was typed behind it.
    fn prompt(&mut self, at: usize, indent: usize, prompt: &Prompt<'_>, typed: &str) {
        self.end(End::Prompt);
        if prompt.trust == Trust::Strong {
            self.strong = true;
        }
        if let Some(host) = prompt.host {
            if self.host.as_deref() != Some(host) {
                self.shell = None;
            }
            self.host = Some(host.to_owned());
        }
        let typed = typed.trim();
        if matches!(typed, "exit" | "logout") {
            self.shell = None;
            return;
        }
        if let Some(node) = debugged_node(typed) {
            self.host = Some(node.to_owned());
        }
        let runs = command::parse(typed);
        if let [run] = runs.as_slice()
            && run.is_shell()
        {
            if !run.netns.is_root() {
                self.shell = Some(run.netns.clone());
            }
            return;
        }
        self.open = Some(Open {
            host: self.host.clone(),
            runs,
            trust: prompt.trust,
            first_line: u32::try_from(at + 2).unwrap_or(u32::MAX),
            indent,
            lines: Vec::new(),
            elided: false,
        });
    }

    /// A line that is no prompt.
    fn other(&mut self, _at: usize, line: &str) {
        if clean::is_fence(line) {
            self.end(End::Other);
            return;
        }
        let Some(open) = &mut self.open else { return };
        let after_blank = open.lines.last().is_some_and(|it| it.trim().is_empty());
        let bare_end = open.trust == Trust::Bare && line.trim().is_empty();
        if bare_end || after_blank && clean::is_prose(line) {
            self.end(End::Other);
            return;
        }
        if clean::is_elision(line) {
            open.elided = true;
            // The place stays, so that line numbers stay.
            open.lines.push(String::new());
            return;
        }
        let indent = line.len() - line.trim_start_matches(' ').len();
        open.lines.push(line.get(indent.min(open.indent)..).unwrap_or(line).to_owned());
    }

    /// Closes the open block.
    fn end(&mut self, how: End) {
        let Some(mut open) = self.open.take() else { return };
        let blank_end = open.lines.last().is_some_and(|it| it.trim().is_empty());
        while open.lines.last().is_some_and(|it| it.trim().is_empty()) {
            open.lines.pop();
        }
        let loud = open.runs.len();
        let claimed: Vec<_> = open.runs.into_iter().filter(is_claimed).collect();
        let [run] = claimed.as_slice() else {
            self.done.unclaimed += u64::from(loud > 0);
            if claimed.len() > 1 && !open.lines.is_empty() {
                let commands = claimed.iter().map(|it| it.command.to_string()).collect();
                self.done.mixed.push((open.first_line.saturating_sub(1).max(1), commands));
            }
            return;
        };
        let sure = open.trust == Trust::Strong;
        self.done.sure += usize::from(sure);
        // An answer that is empty looks the same as an answer that was not pasted, and a filter
        // that lets nothing through says nothing of what is there.
        if open.lines.is_empty() && (run.partial.is_some() || !(sure && how == End::Prompt)) {
            return;
        }
        let nothing = open.lines.is_empty() && blank_end;
        let mut text = open.lines.join("\n");
        if !text.is_empty() {
            text.push('\n');
        }
        let text = clean::entities(text);
        if open.trust == Trust::Bare && !looks_like(run, &text) {
            return;
        }
        let mut run = run.clone();
        if run.netns.is_root() && run.host.is_none() {
            run.netns = self.shell.clone().unwrap_or_default();
        }
        let partial = run
            .partial
            .clone()
            .or_else(|| open.elided.then(|| "part of the output was left out".to_owned()))
            .or_else(|| (loud > 1).then(|| "printed together with other commands".to_owned()))
            .or_else(|| nothing.then(|| "no output was pasted".to_owned()))
            .or_else(|| {
                (open.trust == Trust::Bare)
                    .then(|| "pasted without prompts: the end is not sure".to_owned())
            });
        let host = run.host.clone().or(open.host);
        let block = Block { host, first_line: open.first_line, text, partial, run };
        if block.run.everywhere {
            self.done.blocks.extend(by_namespace(block));
        } else {
            self.done.blocks.push(block);
        }
    }
}

/// Whether the text shows what the command prints.
fn looks_like(run: &Invocation, text: &str) -> bool {
    let named = registry::by_command(&run.command);
    let seen = registry::by_content(text);
    named.zip(seen).is_some_and(|(named, seen)| named.id == seen.id)
}

/// `oc debug node/NAME`: the shell that follows is on that node.
fn debugged_node(typed: &str) -> Option<&str> {
    let mut words = typed.split_whitespace();
    let tool = words.next()?;
    (matches!(tool, "oc" | "kubectl") && words.next() == Some("debug"))
        .then(|| words.find_map(|it| it.strip_prefix("node/")))
        .flatten()
}

/// Splits the output of `ip -all netns exec` at its headings, `netns: NAME`.
fn by_namespace(all: Block) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (at, line) in all.text.lines().enumerate() {
        if let Some(name) = line.strip_prefix("netns: ") {
            let mut run = all.run.clone();
            run.netns = Netns::Named(name.trim().into());
            let first_line = all.first_line.saturating_add(u32::try_from(at + 1).unwrap_or(0));
            blocks.push(Block { run, first_line, text: String::new(), ..all.clone() });
        } else if let Some(block) = blocks.last_mut() {
            block.text.push_str(line);
            block.text.push('\n');
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> Vec<String> {
        read(text)
            .blocks
            .into_iter()
            .map(|it| {
                let partial = it.partial.map(|it| format!(" ({it})")).unwrap_or_default();
                format!(
                    "{} {} {}:{} {:?}{partial}",
                    it.host.unwrap_or_default(),
                    it.run.netns,
                    it.first_line,
                    it.run.command,
                    it.text
                )
            })
            .collect()
    }

    const TABLE: &str = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n";

    #[test]
    fn prompts_split_a_session() {
        let text = format!(
            "Some words first.\r\n[root@node2 ~]# brctl show\r\n{TABLE}\
             [root@node2 ~]# ls\nx\n\
             root@node3:~$ sudo ip netns exec blue brctl show | grep br\n{TABLE}\
             \u{1b}[01;32m(venv) me@node3\u{1b}[00m:\u{1b}[01;34m/tmp\u{1b}[00m$ exit\n"
        );
        assert_eq!(
            show(&text),
            [
                format!("node2 root 3:brctl show {TABLE:?}"),
                format!("node3 blue 7:brctl show {TABLE:?} (filtered by `grep br`)"),
            ]
        );
    }

    #[test]
    fn a_hash_needs_a_known_command() {
        let text = format!(
            "# what the bridges look like\n# brctl show\n{TABLE}\nThis is what it says, all of it.\n\
             ```\n$ brctl show\n{TABLE}...\n```\n# brctl addbr x\n"
        );
        let shown = show(&text);
        assert_eq!(
            shown,
            [
                format!(" root 3:brctl show {TABLE:?}"),
                format!(" root 8:brctl show {TABLE:?} (part of the output was left out)"),
            ]
        );
    }

    #[test]
    fn an_empty_answer_counts_only_between_prompts() {
        let text = "[a@h ~]# brctl show\n[a@h ~]# brctl show | grep x\n[a@h ~]# brctl show\n\n\
                    [a@h ~]# brctl show\n";
        assert_eq!(
            show(text),
            ["h root 2:brctl show \"\"", "h root 4:brctl show \"\" (no output was pasted)"]
        );
    }

    #[test]
    fn a_shell_in_a_namespace_is_followed() {
        let text = format!(
            "[a@h ~]# ip netns exec blue bash\n[a@h ~]# brctl show\n{TABLE}[a@h ~]# exit\n\
             [a@h ~]# brctl show\n{TABLE}"
        );
        let shown = show(&text);
        assert!(shown[0].starts_with("h blue 3:"), "{shown:?}");
        assert!(shown[1].starts_with("h root 6:"), "{shown:?}");
    }
}
