//! Headings of outputs: of tools for many hosts, between rules, and of sections of a report.
use super::is_name;
use super::known::known_printing;
use crate::packing::{Line, Mark};

/// The host whose output follows, where a tool for many hosts says so: `node2 | CHANGED | rc=0 >>` of
/// ansible, a heading of pssh, and a name between two lines of dashes of clush and dshbak.
pub(in crate::transcript) fn host_heading(lines: &[Line<'_>], at: usize) -> Option<String> {
    let raw = |at: usize| lines.get(at).map_or("", |line| &line.text);
    // Most lines are told by two bytes.
    let may_be = raw(at + 1).trim_ascii_start().starts_with('-')
        || raw(at).trim_ascii_end().ends_with('>')
        || raw(at).starts_with('[') && raw(at).contains(" [");
    if !may_be {
        return None;
    }
    let text = |at: usize| raw(at).trim();
    let line = text(at);
    let named = |name: &str| {
        let plain = is_name(name) && name.len() < 64 && name.starts_with(char::is_alphanumeric);
        plain.then(|| name.to_owned())
    };
    if let Some(head) = line.strip_suffix(">>") {
        let mut parts = head.split(" | ");
        let (name, state, code) = (parts.next()?, parts.next()?, parts.next()?);
        let said = matches!(state, "CHANGED" | "SUCCESS" | "FAILED" | "UNREACHABLE!");
        return (said && code.starts_with("rc=")).then(|| named(name))?;
    }
    if let Some(name) = of_pssh(line) {
        return named(name);
    }
    let rule = |line: &str| line.len() >= 8 && line.bytes().all(|b| b == b'-');
    let between = !line.is_empty() && rule(text(at + 1)) && rule(text(at.checked_sub(1)?));
    between.then(|| named(line))?
}

/// The host of `[1] 12:00:00 [SUCCESS] node2`, which pssh prints above what the host did.
fn of_pssh(line: &str) -> Option<&str> {
    let (number, rest) = line.strip_prefix('[')?.split_once("] ")?;
    let (clock, rest) = rest.split_once(" [")?;
    let (state, host) = rest.split_once("] ")?;
    let numbers = |text: &str, between: &[u8]| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || between.contains(&b))
    };
    let said =
        matches!(state, "SUCCESS" | "FAILURE") && numbers(number, b"") && numbers(clock, b":");
    let host = host.split(' ').next()?;
    said.then_some(host.rsplit('@').next()?)
}

/// A command between two rules, or above one, as people head what follows: where it stands, and where
/// the last rule does.
pub(in crate::transcript) fn framed(lines: &[Line<'_>], at: usize) -> Option<(usize, usize)> {
    const RULES: &[u8] = b"-=#*~_";
    let rule = |at: usize| {
        let text = lines.get(at).map_or(&[][..], |line| line.text.as_bytes().trim_ascii());
        let first = text.first().copied().filter(|first| RULES.contains(first));
        text.len() >= 3 && first.is_some_and(|first| text.iter().all(|&b| b == first))
    };
    let at = if rule(at) { at + 1 } else { at };
    if !rule(at + 1) {
        return None;
    }
    let command = heading_command(&lines.get(at)?.text);
    (lines.get(at)?.mark == Mark::Text && known_printing(command)).then_some((at, at + 1))
}

/// `==== info about network ====`: a section of a report begins, which is no output. With a command in it,
/// it is a heading of one.
pub(in crate::transcript) fn is_section(line: &str) -> bool {
    let inner = line.trim_end().strip_prefix("====").and_then(|rest| rest.strip_suffix("===="));
    let words = inner.map_or("", |inner| inner.trim_matches(['=', ' ']));
    !words.is_empty() && words.starts_with(char::is_alphabetic) && !known_printing(words)
}

/// The command of a heading, without what people put around it.
pub(in crate::transcript) fn heading_command(line: &str) -> &str {
    line.trim().trim_start_matches(['$', '#', '`', '"', ' ']).trim_end_matches(['`', '"', ':', ' '])
}
