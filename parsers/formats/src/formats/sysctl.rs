//! `sysctl -a`, `sysctl KEY…` and files under `/proc/sys`.
//!
//! Source of the format: procps `sysctl.c` (`ReadSetting`), busybox `procps/sysctl.c`.
//!
//! ```text
//! net.ipv4.ip_forward = 1
//! net.ipv4.tcp_rmem = 4096    131072    6291456
//! sysctl: permission denied on key 'vm.stat_refresh'
//! ```
//!
//! A value of several lines is printed with its key on each.
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::sysctl::Sysctl;
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::{Read, each_line, finish};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("sysctl"),
    command: "sysctl -a",
    collect: &[Per::Host.run("sysctl -a"), Per::Namespace.run("sysctl -a")],
    claims: |command| {
        Some(match asked(command)? {
            Asked::All => Request::whole(&[Topic::Sysctls]),
            Asked::Some => Request::part(&[Topic::Sysctls]),
            Asked::File(name) => Request::part(&[Topic::Sysctls]).about(Some(&name)),
        })
    },
    sniff: |head| {
        let mut lines = head.lines().filter(|line| !line.starts_with("sysctl: "));
        let is = |line: &str| line.split_once(" =").is_some_and(|(key, _)| is_key(key));
        if lines.by_ref().take(3).filter(|line| is(line)).count() >= 2 { 80 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// What a command asks for.
enum Asked {
    /// Every setting.
    All,
    /// Some of them.
    Some,
    /// The file of the setting with this name.
    File(Name),
}

fn asked(command: &Command) -> Option<Asked> {
    if let Some(path) = command.path() {
        let name = path.trim_start_matches('/').strip_prefix("proc/sys/")?;
        return (!name.is_empty() && !name.ends_with('/')).then(|| Asked::File(of_path(name)));
    }
    if command.program() != "sysctl" {
        return None;
    }
    let mut all = false;
    let mut some = false;
    let mut words = command.args().iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "-a" | "-A" | "-X" | "--all" | "-ae" | "-ea" => all = true,
            "-e" | "--ignore" | "--deprecated" => {}
            "-r" | "--pattern" => {
                words.next();
                some = true;
            }
            _ if word.starts_with("--pattern=") => some = true,
            // Values alone, names alone, writing, loading a file.
            _ if word.starts_with('-') || word.contains('=') => return None,
            _ => some = true,
        }
    }
    match (all, some) {
        (_, true) => Some(Asked::Some),
        (true, false) => Some(Asked::All),
        (false, false) => None,
    }
}

/// `net/ipv4/conf/eth0.100/forwarding` is called `net.ipv4.conf.eth0/100.forwarding`.
fn of_path(path: &str) -> Name {
    path.chars()
        .map(|c| match c {
            '/' => '.',
            '.' => '/',
            other => other,
        })
        .collect()
}

/// Reads the whole output, or the whole file.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Sysctl>> {
    let asked = asked(command).unwrap_or(Asked::Some);
    let mut out = Outcome::default();
    each_line(text, &mut out, |line| match &asked {
        Asked::File(key) => value(text, line, key),
        Asked::All | Asked::Some => setting(text, line),
    });
    finish(text, &mut out);
    let empty = out.lines.total == 0;
    let verdict = match asked {
        Asked::File(_) => return out,
        _ if empty => Completeness::Failed("no output".to_owned()),
        Asked::Some => Completeness::Partial("shows the settings asked for only".to_owned()),
        Asked::All => return out,
    };
    out.completeness = std::mem::take(&mut out.completeness).and(verdict);
    out
}

fn setting<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Sysctl>> {
    // Busybox prints a blank even where the value is empty, but trailing blanks are gone.
    let parts = line.split_once(" = ").or_else(|| line.strip_suffix(" =").map(|key| (key, "")));
    let Some((key, value)) = parts else { return refuse(line, "`key = value`") };
    if !is_key(key) {
        return refuse(line, "the dotted name of a setting");
    }
    let value = if value.is_empty() { line.get(line.len()..).unwrap_or_default() } else { value };
    let value = at(text, value.trim());
    Ok(("", Read::Took(Sysctl { at: Span::of(text, line), key: at(text, key), value })))
}

fn value<'a>(text: &str, line: &'a str, key: &Name) -> Parsed<'a, Read<Sysctl>> {
    if crate::lines::tool_error(line).is_some() {
        return refuse(line, "a value");
    }
    let shown = line.trim();
    let value = at(text, shown);
    let key = At::new(key.clone(), value.span);
    Ok(("", Read::Took(Sysctl { at: Span::of(text, line), key, value })))
}

fn is_key(key: &str) -> bool {
    key.contains('.')
        && !key.contains([' ', '\t'])
        && key.starts_with(|c: char| c.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(line: &str, text: &str) -> Outcome<Vec<Sysctl>> {
        parse(text, &Command::new(line))
    }

    #[test]
    fn keys_have_values() {
        let text = "net.ipv4.ip_forward = 1\nnet.ipv4.tcp_rmem = 4096\t131072\t6291456\n\
                    net.ipv4.conf.eth0/100.rp_filter = -1\nkernel.tainted = \nkernel.a.b =\n";
        let out = reads("sysctl -a", text);
        assert!(out.completeness.is_complete());
        let all: Vec<_> =
            out.records.iter().map(|record| (&*record.key.value, record.value.as_str())).collect();
        assert_eq!(
            all,
            [
                ("net.ipv4.ip_forward", "1"),
                ("net.ipv4.tcp_rmem", "4096\t131072\t6291456"),
                ("net.ipv4.conf.eth0/100.rp_filter", "-1"),
                ("kernel.tainted", ""),
                ("kernel.a.b", ""),
            ]
        );
        assert_eq!(out.records[2].number(), Some(-1));
        assert_eq!(text.get(out.records[0].value.span.range()), Some("1"));
    }

    #[test]
    fn refusals_are_named() {
        let text = "sysctl: permission denied on key 'vm.stat_refresh'\nnet.ipv4.ip_forward = 1\n";
        let out = reads("sysctl -a", text);
        assert_eq!((out.records.len(), out.lines.unread, out.problems.len()), (1, 0, 1));
        assert!(matches!(out.completeness, Completeness::Partial(_)));
        let text = "sysctl: cannot stat /proc/sys/net/x: No such file or directory\n";
        assert!(reads("sysctl net.x", text).completeness.is_failed());
        assert!(reads("sysctl -a", "").completeness.is_failed());
        assert_eq!(reads("sysctl -a", "some prose\n").lines.unread, 1);
        let some = reads("sysctl net.ipv4.ip_forward", "net.ipv4.ip_forward = 0\n");
        assert!(matches!(some.completeness, Completeness::Partial(_)));
    }

    #[test]
    fn files_name_their_key() {
        let out = reads("cat /proc/sys/net/ipv4/conf/eth0.100/forwarding", "1\n");
        assert_eq!(out.records[0].key.value, "net.ipv4.conf.eth0/100.forwarding");
        assert_eq!(out.records[0].number(), Some(1));
        let claims = |line: &str| FORMAT.reads(&Command::new(line));
        assert!(claims("sysctl -a") && claims("sysctl net.ipv4.ip_forward"));
        assert!(claims("cat proc/sys/net/ipv4/ip_forward"));
        for line in ["sysctl", "sysctl -n net.x", "sysctl -w net.x=1", "cat /etc/sysctl.conf"] {
            assert!(!claims(line), "{line}");
        }
        assert!((FORMAT.sniff)("abi.vsyscall32 = 1\nnet.ipv4.ip_forward = 1\n") > 50);
        assert_eq!((FORMAT.sniff)("a = b\nc = d\n"), 0);
    }
}
