//! What a shell prints before it waits for a command.
use std::borrow::Cow;

use super::is_claimed;
use crate::command;
use crate::sos::grammar;

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
    /// The program whose output it may belong to.
    pub(super) program: &'a str,
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
    let inner = without_environments(body);
    if let Some((host, typed)) = brackets(inner).or_else(|| at_host(inner)) {
        let command = Cow::Borrowed(typed.trim());
        return Some((indent, Prompt { host: Some(host), command, trust: Trust::Strong }));
    }
    if let Some(typed) = versioned_shell(inner) {
        let command = Cow::Borrowed(typed.trim());
        return Some((indent, Prompt { host: None, command, trust: Trust::Strong }));
    }
    if let Some(typed) = inner.strip_prefix("virsh # ") {
        let command = Cow::Owned(format!("virsh {}", typed.trim()));
        return Some((indent, Prompt { host: None, command, trust: Trust::Weak }));
    }
    if let Some((host, command)) = weak(inner, context) {
        let command = Cow::Borrowed(command.trim());
        return Some((indent, Prompt { host, command, trust: Trust::Weak }));
    }
    if let Some(command) = banner(inner) {
        return Some((indent, Prompt { host: None, command, trust: Trust::Weak }));
    }
    let may_be_bare = !context.strong_seen && (!context.in_block || context.after_blank);
    if may_be_bare && indent < 4 && known_printing(body) {
        let command = Cow::Borrowed(body.trim());
        return Some((indent, Prompt { host: None, command, trust: Trust::Bare }));
    }
    None
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

/// Takes off `(venv) (overcloud) `.
fn without_environments(mut line: &str) -> &str {
    while let Some(rest) = line.strip_prefix('(') {
        let Some((name, rest)) = rest.split_once(')') else { break };
        let plain = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'));
        if name.is_empty() || !plain {
            break;
        }
        line = rest.trim_start();
    }
    line
}

/// `[user@host dir]# command`.
fn brackets(line: &str) -> Option<(&str, &str)> {
    let (inner, after) = line.strip_prefix('[')?.split_once(']')?;
    let (user, rest) = inner.split_once('@')?;
    let host = rest.split([' ', ':']).next()?;
    let typed = sigil(after.trim_start())?;
    (is_name(user) && is_name(host)).then_some((host, typed))
}

/// `user@host:dir# command`, `user@host dir $ command`.
fn at_host(line: &str) -> Option<(&str, &str)> {
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
    let plausible = folder.is_empty() || folder.starts_with([':', ' ', '(']);
    let short = folder.split_whitespace().count() <= 3;
    (plausible && short).then_some((host, after.get(at + 1..)?))
}

/// `sh-4.4# command`.
fn versioned_shell(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("bash-").or_else(|| line.strip_prefix("sh-"))?;
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    (end > 0).then(|| rest.get(end..)).flatten().and_then(sigil)
}

/// A lone sign, or one behind a directory or a host, before a known command.
fn weak<'a>(line: &'a str, context: Context<'_>) -> Option<(Option<&'a str>, &'a str)> {
    if let Some(typed) = line.strip_prefix("$ ") {
        let certain = known(typed) || !context.strong_seen;
        return certain.then_some((None, typed));
    }
    if let Some(typed) = line.strip_prefix("# ") {
        if known_printing(typed) {
            return Some((None, typed));
        }
        // Some tools print lines that begin with `#`, and files have comments.
        let comments = ["iptables-save", "ip6tables-save", "nft", "cat", "virsh", "ebtables-save"]
            .contains(&context.program);
        let command = typed.starts_with(|c: char| c.is_ascii_lowercase() || c == '/');
        let ends = context.in_block && !context.strong_seen && !comments && command
            || known(typed) && !context.strong_seen;
        return ends.then_some((None, typed));
    }
    for sign in ["#", "$", "% ", "> ", "+ ", "++ ", "❯ ", "/ # ", "~ # ", "/ $ ", "~ $ "] {
        if let Some(typed) = line.strip_prefix(sign)
            && known_printing(typed)
        {
            return Some((None, typed));
        }
    }
    // `node2:~ # command`, `node2# command`.
    let end = line.find(|c: char| !is_name_char(c))?;
    let (host, after) = line.split_at_checked(end)?;
    let at = after.find(['#', '$', '>'])?;
    let folder = after.get(..at)?;
    let plausible = folder.is_empty() || folder.starts_with(':') && folder.len() < 80;
    let typed = after.get(at + 1..)?.strip_prefix(' ')?;
    (plausible && !host.is_empty() && known_printing(typed)).then_some((Some(host), typed))
}

/// `##### Run "command" #####`, `=== command ===`, `--- command ---`, `==> FILE <==`.
fn banner(line: &str) -> Option<Cow<'_, str>> {
    if let Some(path) = line.strip_prefix("==> ").and_then(|it| it.strip_suffix(" <==")) {
        return path.starts_with('/').then(|| Cow::Owned(format!("cat {path}")));
    }
    let trimmed = line.trim_matches(['#', '=', '-', '*', ' ']);
    if line.len() < trimmed.len() + 4 {
        return None;
    }
    let inner = trimmed.strip_prefix("Run ").unwrap_or(trimmed).trim_matches(['"', '\'', '`', ':']);
    known_printing(inner).then_some(Cow::Borrowed(inner))
}

/// The text behind the sign.
fn sigil(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(['#', '$', '%', '>'])?;
    (rest.is_empty() || rest.starts_with(' ')).then_some(rest)
}

/// Whether a format reads what the command prints.
fn known_printing(typed: &str) -> bool {
    let first = typed.trim_start().chars().next();
    first.is_some_and(|c| c.is_ascii_alphanumeric() || c == '/')
        && command::parse(typed).iter().any(is_claimed)
}

/// Whether it is a command of a tool that tapline knows.
fn known(typed: &str) -> bool {
    command::parse(typed).first().is_some_and(|it| {
        let listed = grammar::is_tool(it.command.program());
        let words = it.command.args();
        // `# route tables look odd` is a remark.
        listed && (words.len() <= 1 || words.iter().any(|it| grammar::is_word(it)))
    })
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

    const OUTSIDE: Context<'_> =
        Context { strong_seen: false, in_block: false, after_blank: true, program: "" };

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
        ] {
            assert_eq!(find(line, OUTSIDE), None, "{line}");
        }
    }
}
