//! `hostname`, `hostname -f`, `/etc/hostname`.
//!
//! Source of the format: net-tools `hostname.c`, coreutils `hostname.c`; hostname(5) allows
//! comments.
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Outcome, ProblemKind};
use tapline_core::records::Batch;
use tapline_core::records::host::{Fact, HostFact};
use tapline_core::request::Request;
use tapline_core::span::Span;

use super::facts;
use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::Read;
use crate::nomx::{Parsed, refuse, word};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("hostname"),
    command: "hostname",
    collect: &[Per::Host.run("hostname")],
    claims: |command| is_hostname(command).then(Request::default),
    // One word may be anything.
    sniff: |head| if head.lines().count() == 1 && is_name(head.trim()) { 5 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::FACT,
};

/// Whether the command prints it.
fn is_hostname(command: &Command) -> bool {
    match (command.program(), command.args()) {
        ("hostname", []) => true,
        ("hostname", [flag]) => {
            matches!(flag.as_str(), "-f" | "--fqdn" | "--long" | "-s" | "--short")
        }
        _ => command.path().is_some_and(|path| path.trim_start_matches('/') == "etc/hostname"),
    }
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<HostFact>> {
    let mut out = facts(text, "no host name", |line| name(text, line));
    if out.records.len() > 1 {
        // A list of something: one word a line may be anything.
        let why = format!("{} lines, but a host has one name", out.records.len());
        out.problem(ProblemKind::BadValue, Span::of(text, text), &*why);
        out.records.clear();
        out.completeness = Completeness::Failed(why);
    }
    out
}

fn name<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Fact>> {
    if line.starts_with('#') {
        return Ok(("", Read::Ignored));
    }
    let (rest, name) = word(line.trim_start())?;
    if !rest.trim().is_empty() || !is_name(name) {
        return refuse(line, "a host name");
    }
    Ok((rest, Read::Took(Fact::Hostname(at(text, name)))))
}

/// Letters, digits, hyphens, underscores and dots; no more than a host name may have.
fn is_name(text: &str) -> bool {
    let legal = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    text.len() <= 255 && text.starts_with(|c: char| c.is_alphanumeric()) && text.chars().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name() {
        let read = |text| parse(text, &Command::new("hostname"));
        let out = read("# set by hand\nnode2.example.org\n");
        assert!(
            matches!(&out.records[0].fact, Fact::Hostname(it) if it.value == "node2.example.org")
        );
        assert_eq!((out.lines.read, out.lines.ignored), (1, 1));
        for text in
            ["", "hostname: Name or service not known\n", "bash: hostname: command not found\n"]
        {
            assert!(read(text).completeness.is_failed(), "{text}");
        }
        assert!(FORMAT.reads(&Command::new("cat /etc/hostname")));
        assert!(!FORMAT.reads(&Command::new("hostname -I")));
    }
}
