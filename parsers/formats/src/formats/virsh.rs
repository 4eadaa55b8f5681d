//! What the readers of `virsh` output share: its command line and its manners.
//!
//! Source: libvirt `tools/virsh.c` (`virshParseArgv`), `tools/vsh.c`; 0.9 to 11.
use tapline_core::capture::Command;

/// The sub-command of `virsh [OPTION]… SUB [ARG]…`, and its arguments.
pub(super) fn sub_command(command: &Command) -> Option<(&str, &[String])> {
    /// Options whose value is the next word.
    const WITH_VALUE: &[&str] = &[
        "-c",
        "--connect",
        "-d",
        "--debug",
        "-e",
        "--escape",
        "-k",
        "--keepalive-interval",
        "-K",
        "--keepalive-count",
        "-l",
        "--log",
    ];
    if command.program() != "virsh" {
        return None;
    }
    let mut rest = command.args();
    while let [word, after @ ..] = rest {
        rest = after;
        if WITH_VALUE.contains(&word.as_str()) {
            rest = after.get(1..).unwrap_or_default();
        } else if !word.starts_with('-') {
            return Some((word, rest));
        }
    }
    None
}

/// The arguments of `virsh SUB`, where `command` is that.
pub(super) fn args_of<'a>(command: &'a Command, sub: &str) -> Option<&'a [String]> {
    sub_command(command).filter(|(found, _)| *found == sub).map(|(_, args)| args)
}

/// The domain or network that the arguments name; it may be left out.
pub(super) fn named_in(args: &[String]) -> Option<&str> {
    args.iter().map(String::as_str).find(|word| !word.starts_with('-'))
}

/// Whether a line is the rule of dashes below a heading.
pub(super) fn is_rule(line: &str) -> bool {
    let line = line.trim();
    line.len() > 3 && line.bytes().all(|b| b == b'-')
}

/// Whether a line is the heading of a table in whatever language: a rule of dashes is right below
/// it.
pub(super) fn is_above_rule(text: &str, line: &str) -> bool {
    let end = tapline_core::span::Span::of(text, line).end as usize;
    let after = text.get(end..).unwrap_or_default().trim_start_matches([' ', '\t', '\r']);
    let next = after.strip_prefix('\n').and_then(|rest| rest.lines().next());
    next.is_some_and(is_rule) && !is_rule(line) && line.split_whitespace().count() > 2
}

/// Whether a line carries nothing: what the interactive `virsh` greets with, the rule below a
/// heading, and what `virsh edit` and `virsh net-edit` say when the editor is left
/// (`tools/virsh-edit.c`).
pub(super) fn is_decoration(line: &str) -> bool {
    let line = line.trim();
    is_rule(line)
        || line.starts_with("Welcome to virsh,")
        || line.starts_with("Type:  'help'")
        || line.ends_with(" XML configuration not changed.")
        || line.ends_with(" XML configuration edited.")
        || line == "'quit' to quit"
}

/// What was typed at the prompt of the interactive `virsh` (`virsh # …`; `virsh > …` without
/// write access).
pub(super) fn prompt(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("virsh ")?;
    rest.strip_prefix(['#', '>'])
        .filter(|rest| rest.is_empty() || rest.starts_with(' '))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sub_command_follows_the_options() {
        let sub = |line: &str| sub_command(&Command::new(line)).map(|(it, _)| it.to_owned());
        assert_eq!(sub("virsh -r list --all").as_deref(), Some("list"));
        assert_eq!(sub("virsh -c qemu:///system --readonly list").as_deref(), Some("list"));
        assert_eq!(sub("virsh --connect=qemu:///system dumpxml x").as_deref(), Some("dumpxml"));
        assert_eq!(sub("virsh -c"), None);
        assert_eq!(sub("lsvirt list"), None);
    }

    #[test]
    fn the_prompt_is_told_from_a_name() {
        assert_eq!(prompt("virsh # list --all"), Some("list --all"));
        assert_eq!(prompt("virsh #"), Some(""));
        assert_eq!(prompt("virsh vm"), None);
    }
}
