//! What a shell prints before it waits for a command.
mod around;
mod headings;
mod known;

use std::borrow::Cow;

use super::is_claimed;
use crate::command;
use crate::command::opens::opens;

use around::{without_clock, without_ornament, without_said};
pub(super) use headings::{framed, heading_command, host_heading, is_section};
use known::known;
pub(super) use known::{commenting, is_of_network, known_printing, may_tell, printed_by};

/// How sure it is that a line is a prompt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Trust {
    /// It names a user and a host, or a shell and its version.
    Strong,
    /// A lone `#` or `$`, with a command that is known.
    Weak,
    /// No prompt at all: a command alone on its line.
    Bare,
}

/// A prompt and what was typed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Prompt<'a> {
    pub(super) host: Option<&'a str>,
    pub(super) command: Cow<'a, str>,
    pub(super) trust: Trust,
    /// What tells it from the prompts of other shells: `user@host`, or the sign.
    pub(super) sign: &'a str,
}

/// What stands before the line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The text has prompts that name a host.
    pub(super) strong_seen: bool,
    /// The line may belong to the output of a command.
    pub(super) in_block: bool,
    /// It follows a blank line, or the command itself.
    pub(super) after_blank: bool,
    /// The program whose output it may belong to, if that has lines with `#` in front.
    pub(super) program: &'a str,
    /// Prompts of this text that were learned from the outputs behind them.
    pub(super) learned: &'a [String],
    /// The shell printed each command before it ran it, behind `+ `.
    pub(super) traced: bool,
}

impl Context<'static> {
    /// That of a line of which nothing before is known.
    pub(super) const ALONE: Self = Self {
        strong_seen: false,
        in_block: false,
        after_blank: true,
        program: "",
        learned: &[],
        traced: false,
    };
}

/// The prompt on a line, and how far it is indented.
pub(super) fn find<'a>(line: &'a str, context: Context<'_>) -> Option<(usize, Prompt<'a>)> {
    // No prompt is that long, and a line of a gigabyte is not to be searched.
    const LONGEST: usize = 4096;
    if line.len() > LONGEST {
        return None;
    }
    let body = line.trim_start();
    let indent = line.len() - body.len();
    if body.is_empty() {
        return None;
    }
    let trust = Trust::Strong;
    let prompt = |host, command: &'a str, trust, sign| {
        let command = without_clock(command.trim());
        Some((indent, Prompt { host, command: Cow::Borrowed(command), trust, sign }))
    };
    if let Some(found) = context
        .learned
        .iter()
        .find_map(|learned| Some((learned, body.strip_prefix(learned.as_str())?)))
    {
        let (prefix, typed) = found;
        let sign = body.get(..prefix.len()).unwrap_or_default().trim();
        return prompt(host_in(sign), typed, trust, sign);
    }
    if is_numbered(body) || context.strong_seen && !has_sign(body) {
        return None;
    }
    let inner = without_said(without_ornament(body));
    if let Some((sign, host, mut typed)) = brackets(inner).or_else(|| at_host(inner)) {
        // A prompt that was copied along with the command stands there twice.
        while let Some((_, _, again)) = brackets(typed.trim_start())
            .or_else(|| at_host(typed.trim_start()))
            .filter(|(copied, ..)| *copied == sign)
        {
            typed = again;
        }
        return prompt(Some(host), typed, trust, sign);
    }
    if let Some((sign, mut typed)) = versioned_shell(inner) {
        while let Some((_, again)) =
            versioned_shell(typed.trim_start()).filter(|(copied, _)| *copied == sign)
        {
            typed = again;
        }
        return prompt(None, typed, trust, sign);
    }
    if let Some((host, typed)) = boxed(inner) {
        return prompt(host, typed, trust, "└");
    }
    let owned = |command, trust, sign| {
        Some((indent, Prompt { host: None, command: Cow::Owned(command), trust, sign }))
    };
    // PowerShell.
    if let Some((path, typed)) = inner.strip_prefix("PS ").and_then(|rest| rest.split_once("> "))
        && path.starts_with('/')
        && !path.contains(' ')
        && known(typed)
    {
        return prompt(None, typed, Trust::Weak, "PS");
    }
    if let Some(typed) = inner.strip_prefix("virsh # ") {
        return owned(format!("virsh {}", typed.trim()), Trust::Weak, "virsh #");
    }
    if let Some((node, typed)) =
        inner.strip_prefix("mininet> ").and_then(|rest| rest.split_once(' '))
    {
        return owned(on_node(node, typed.trim()), Trust::Weak, "mininet>");
    }
    if let Some((sign, host, command)) = weak(inner, context) {
        return prompt(host, command, Trust::Weak, sign);
    }
    if let Some((host, command)) = watched(inner) {
        return Some((indent, Prompt { host, command, trust: Trust::Weak, sign: "Every" }));
    }
    if let Some(command) = banner(inner) {
        return Some((indent, Prompt { host: None, command, trust: Trust::Weak, sign: "=" }));
    }
    let may_be_bare = !context.strong_seen && (!context.in_block || context.after_blank);
    if may_be_bare && indent < 4 && known_printing(body) {
        return prompt(None, body, Trust::Bare, "");
    }
    None
}

/// `2: eth0: <UP>`: a line of a list, of which there are many.
pub(super) fn is_numbered(line: &str) -> bool {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    digits > 0 && line.get(digits..).is_some_and(|rest| rest.starts_with(": "))
}

/// Whether a line has anything that all prompts and banners have, known commands alone aside.
fn has_sign(line: &str) -> bool {
    let is_sign = |b: u8| matches!(b, b'#' | b'$' | b'%' | b'>' | b'@') || !b.is_ascii();
    line.starts_with(['+', '=', '-', '*']) || is_head_of_watch(line) || line.bytes().any(is_sign)
}

/// Whether the command line goes on in the next line because the terminal was too narrow.
pub(super) fn wraps(width: usize, typed: &str, next: &str) -> bool {
    const WIDTHS: &[usize] = &[80, 100, 120, 132, 160];
    if width < 79 || next.is_empty() || next.len() > 200 {
        return false;
    }
    let claimed = |line: &str| command::parse(line).iter().any(is_claimed);
    let joined = format!("{typed}{next}");
    if !claimed(&joined) {
        return false;
    }
    let one_word = !next.contains(char::is_whitespace) && !next.contains(['<', ':', ',', '{']);
    !claimed(typed) || WIDTHS.contains(&width) && one_word
}

/// `[user@host dir]# command`: sign, host, command.
fn brackets(line: &str) -> Option<(&str, &str, &str)> {
    let (inner, after) = line.strip_prefix('[')?.split_once(']')?;
    let (user, rest) = inner.split_once('@')?;
    let host = rest.split([' ', ':']).next()?;
    let typed = sigil(after.trim_start())?;
    let sign = inner.get(..user.len() + 1 + host.len())?;
    (is_name(user) && is_name(host)).then_some((sign, host, typed))
}

/// `user@host:dir# command`, `user@host dir $ command`: sign, host, command.
fn at_host(line: &str) -> Option<(&str, &str, &str)> {
    let (user, rest) = line.split_once('@')?;
    if !is_name(user) {
        return None;
    }
    let end = rest.find(|c: char| !is_name_char(c))?;
    let (host, after) = rest.split_at_checked(end)?;
    if host.is_empty() {
        return None;
    }
    // The directory ends at the first sign that a blank, or nothing, follows.
    let signs = after.char_indices().filter(|(_, c)| matches!(c, '#' | '$' | '%' | '>'));
    let at = signs
        .map(|(at, _)| at)
        .find(|&at| after.get(at + 1..).is_some_and(|it| it.is_empty() || it.starts_with(' ')))?;
    let folder = after.get(..at)?;
    // `vth4@vth_4  DOWN  … <BROADCAST,UP> ` is a line of a list.
    let plausible =
        (folder.is_empty() || folder.starts_with([':', ' ', '('])) && !folder.contains('<');
    let short = folder.split_whitespace().count() <= 3;
    let sign = line.get(..user.len() + 1 + host.len())?;
    (plausible && short).then_some((sign, host, after.get(at + 1..)?))
}

/// `sh-4.4# command`, `-bash-4.2# command`: sign and command.
fn versioned_shell(line: &str) -> Option<(&str, &str)> {
    let bare = line.strip_prefix('-').unwrap_or(line);
    let rest = bare.strip_prefix("bash-").or_else(|| bare.strip_prefix("sh-"))?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let typed = (end > 0).then(|| rest.get(end..)).flatten().and_then(sigil)?;
    Some((line.get(..line.len() - typed.len())?.trim_end(), typed))
}

/// A prompt of two lines: `┌──(root㉿host)-[~]`, and `└─# command` below.
fn boxed(line: &str) -> Option<(Option<&str>, &str)> {
    if let Some(head) = line.strip_prefix(['┌', '╭']) {
        return Some((host_in(head), ""));
    }
    let rest = line.strip_prefix(['└', '╰'])?;
    let rest = rest.trim_start_matches(['─', '╴', ' ', '>', '➤', '❯', '»', 'λ', '▶']);
    // `└[~]> ip a`
    let folder = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let rest = folder.map_or(rest, |(_, rest)| rest.trim_start_matches('─'));
    Some((None, sigil(rest).unwrap_or(rest)))
}

/// The host in `…user@host…`.
fn host_in(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once(['@', '㉿'])?;
    let end = rest.find(|c: char| !is_name_char(c)).unwrap_or(rest.len());
    rest.get(..end).filter(|host| !host.is_empty())
}

/// What mininet runs on a node: switches live on the host, hosts in namespaces of their own.
fn on_node(node: &str, typed: &str) -> String {
    let host =
        node.strip_prefix('h').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if host { format!("ip netns exec {node} {typed}") } else { typed.to_owned() }
}

/// A lone sign, or one behind a directory or a host, before a known command: sign, host, command.
fn weak<'a>(line: &'a str, context: Context<'_>) -> Option<(&'a str, Option<&'a str>, &'a str)> {
    let sign_of = |typed: &str| line.get(..line.len() - typed.len()).unwrap_or_default().trim_end();
    if let Some(typed) = line.strip_prefix("$ ") {
        let certain = known(typed) || is_leaving(typed) || !context.strong_seen;
        return certain.then(|| (sign_of(typed), None, typed));
    }
    if let Some(typed) = line.strip_prefix("# ") {
        if known_printing(typed) || is_leaving(typed) || opens(typed).is_some() {
            return Some((sign_of(typed), None, typed));
        }
        // Some tools print lines that begin with `#`, and files have comments.
        let comments = !context.program.is_empty();
        let command = typed.starts_with(|c: char| c.is_ascii_lowercase() || c == '/');
        let ends = context.in_block && !context.strong_seen && !comments && command
            || known(typed) && !context.strong_seen;
        return ends.then(|| (sign_of(typed), None, typed));
    }
    if context.traced
        && let Some(typed) = line.trim_start_matches('+').strip_prefix(' ')
        && line.starts_with('+')
    {
        return Some((sign_of(typed), None, typed));
    }
    // Nothing was typed.
    if line.starts_with(['/', '~'])
        && let bare @ ("/ #" | "/ $" | "~ #" | "~ $") = line.trim_end()
    {
        return Some((bare, None, ""));
    }
    let certain = |typed: &str| known_printing(typed) || is_leaving(typed);
    for sign in ["#", "$", "% ", "> ", "+ ", "++ ", "❯ ", "» ", "λ ", "▶ "] {
        if let Some(typed) = line.strip_prefix(sign)
            && certain(typed)
        {
            return Some((sign_of(typed), None, typed));
        }
    }
    // `➜  folder git:(main) ✗ command`.
    if let Some(rest) = line.strip_prefix(['➜', '❯', '→'])
        && let Some(typed) = last_command(rest)
    {
        return Some((line.get(..line.len() - rest.len())?, None, typed));
    }
    // `~# command`, `/var/log $ command`.
    if line.starts_with(['~', '/'])
        && let Some((_, typed)) = behind_folder(line)
        && certain(typed)
    {
        return Some((sign_of(typed), None, typed));
    }
    // `node2:~ # command`, `node2# command`, `node2 ~ # command`.
    let end = line.find(|c: char| !is_name_char(c))?;
    let (host, after) = line.split_at_checked(end)?;
    if host.is_empty() {
        return None;
    }
    let spaced = after.strip_prefix(' ').filter(|rest| rest.starts_with(['~', '/']));
    if let Some((folder, typed)) = spaced.and_then(behind_folder)
        && !folder.contains(' ')
        && (certain(typed) || typed.is_empty() && context.in_block)
    {
        return Some((host, Some(host), typed));
    }
    let at = after.find(['#', '$', '>', '%'])?;
    let folder = after.get(..at)?;
    // `2: eth0: <UP> mtu 1500` is a line of a list.
    let plausible =
        folder.is_empty() || folder.starts_with(':') && folder.len() < 80 && !folder.contains('<');
    let typed = after.get(at + 1..)?.strip_prefix(' ')?;
    (plausible && certain(typed)).then_some((host, Some(host), typed))
}

/// `~/folder # command`: the folder, and the command.
fn behind_folder(line: &str) -> Option<(&str, &str)> {
    const LONGEST: usize = 80;
    let at = line.find(['#', '$', '%', '>'])?;
    let folder = line.get(..at)?.trim_end();
    let after = line.get(at + 1..)?;
    let typed = after.strip_prefix(' ').or_else(|| after.is_empty().then_some(""))?;
    (folder.len() < LONGEST && !folder.contains(": ")).then_some((folder, typed))
}

/// The first words from which on a line is a known command.
fn last_command(line: &str) -> Option<&str> {
    const WORDS: usize = 6;
    let starts = line.match_indices(' ').map(|(at, _)| at + 1);
    starts.take(WORDS * 2).filter_map(|at| line.get(at..)).find(|typed| {
        let begins = typed.starts_with(|c: char| c.is_ascii_alphanumeric());
        begins && (known_printing(typed) || is_leaving(typed))
    })
}

/// What ends a shell.
pub(super) fn is_leaving(typed: &str) -> bool {
    matches!(typed.trim(), "exit" | "logout" | "^D" | "exit 0" | "quit")
}

/// `##### Run "command" #####`, `=== command ===`, `--- command ---`, `==> FILE <==`.
fn banner(line: &str) -> Option<Cow<'_, str>> {
    if let Some(path) = line.strip_prefix("==> ").and_then(|rest| rest.strip_suffix(" <==")) {
        return path.starts_with('/').then(|| Cow::Owned(format!("cat {path}")));
    }
    // Output may be padded with blanks; a banner has its ornament in front.
    if !line.starts_with(['#', '=', '-', '*']) {
        return None;
    }
    let trimmed = line.trim_matches(['#', '=', '-', '*', ' ']);
    if line.len() < trimmed.len() + 4 {
        return None;
    }
    let inner = trimmed.strip_prefix("Run ").unwrap_or(trimmed).trim_matches(['"', '\'', '`', ':']);
    known_printing(inner).then_some(Cow::Borrowed(inner))
}

/// Whether a line may be the head of a screen of `watch`.
pub(super) fn is_head_of_watch(line: &str) -> bool {
    line.starts_with("Every ")
}

/// `Every 2.0s: command      host: date`, the head of a screen of `watch`: host and command.
fn watched(line: &str) -> Option<(Option<&str>, Cow<'_, str>)> {
    let (seconds, rest) = line.strip_prefix("Every ")?.split_once("s: ")?;
    let number = seconds.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b',');
    let (command, behind) = rest.split_once("  ").unwrap_or((rest, ""));
    let host = behind.trim_start().split(':').next().filter(|host| is_name(host));
    (number && known_printing(command)).then(|| (host, Cow::Owned(format!("watch {command}"))))
}

/// The text behind the sign.
fn sigil(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(['#', '$', '%', '>'])?;
    (rest.is_empty() || rest.starts_with(' ')).then_some(rest)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_name_char)
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTSIDE: Context<'_> = Context {
        strong_seen: false,
        in_block: false,
        after_blank: true,
        program: "",
        learned: &[],
        traced: false,
    };

    #[test]
    fn prompts_of_many_shells() {
        for (line, host, command) in [
            ("[root@node2 ~]# ip a", Some("node2"), "ip a"),
            ("[root@node2.example.org /var/log]$ ls", Some("node2.example.org"), "ls"),
            ("[stack@uc ~ (overcloud)]$ x", Some("uc"), "x"),
            ("(undercloud) [stack@uc ~]$", Some("uc"), ""),
            ("root@h:~# ip a", Some("h"), "ip a"),
            ("me@h:/tmp/a b$ x", Some("h"), "x"),
            ("admin@h> brctl show", Some("h"), "brctl show"),
            ("sh-4.4# brctl show", None, "brctl show"),
            ("bash-5.1$ x", None, "x"),
            ("node2:~ # brctl show", Some("node2"), "brctl show"),
            ("/ # brctl show", None, "brctl show"),
            ("virsh # list --all", None, "virsh list --all"),
            ("##### Run \"brctl show\" #####", None, "brctl show"),
            ("brctl show", None, "brctl show"),
            ("~$ brctl show", None, "brctl show"),
            ("~# brctl show", None, "brctl show"),
            ("node2 ~ # brctl show", Some("node2"), "brctl show"),
            ("➜  ~ brctl show", None, "brctl show"),
            ("➜  ovs git:(main) ✗ sudo brctl show", None, "sudo brctl show"),
            ("└─# brctl show", None, "brctl show"),
            ("┌──(root㉿node2)-[~]", Some("node2"), ""),
            ("mininet> s1 brctl show", None, "brctl show"),
            ("mininet> h1 brctl show", None, "ip netns exec h1 brctl show"),
            ("()[root@node2 /]$ brctl show", Some("node2"), "brctl show"),
            ("[12:00:01] root@node2:~# brctl show", Some("node2"), "brctl show"),
            ("12:00:01 root@node2:~# brctl show", Some("node2"), "brctl show"),
            ("-bash-4.2# brctl show", None, "brctl show"),
            ("/var/log $ brctl show", None, "brctl show"),
            ("node2% brctl show", Some("node2"), "brctl show"),
            ("/ # exit", None, "exit"),
            ("/ #", None, ""),
        ] {
            let found = find(line, OUTSIDE).map(|(_, it)| (it.host, it.command.into_owned()));
            assert_eq!(found, Some((host, command.to_owned())), "{line}");
        }
    }

    #[test]
    fn output_is_no_prompt() {
        for line in [
            "    Bridge br-int",
            "# Generated by a tool",
            "# the next one is about bridges",
            "inet 10.0.0.1/24 scope global eth0",
            "system@ovs-system:",
            "12: eth0@if3: <UP> mtu 1500 # x",
            "Price: 5$ a piece",
            "vth4@vth_4       DOWN           02:00:00:00:00:01 <BROADCAST,MULTICAST,M-DOWN> ",
        ] {
            assert_eq!(find(line, OUTSIDE), None, "{line}");
        }
    }
}
