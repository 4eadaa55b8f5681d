//! `uname -a`, `uname -r`.
//!
//! Source of the format: coreutils `uname.c`: system, node, release, version, machine.
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::host::{Fact, HostFact};
use tapline_core::request::Request;

use super::facts;
use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::Read;
use crate::nomx::{Parsed, must, refuse, word_gap};
use nom::Parser as _;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("uname"),
    command: "uname -a",
    collect: &[Per::Host.run("uname -a")],
    claims: |command| {
        let all = |text: &str| matches!(text, "-a" | "--all" | "-r" | "--kernel-release");
        let is = command.program() == "uname" && matches!(command.args(), [flag] if all(flag));
        is.then(Request::default)
    },
    sniff: |head| {
        let line = head.trim_end();
        let is = line.starts_with("Linux ")
            && !line.contains('\n')
            && line.split(' ').nth(2).is_some_and(is_release);
        if is { 90 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::FACT,
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<HostFact>> {
    facts(text, "no kernel release", |line| uname(text, line))
}

fn uname<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Fact>> {
    let (rest, first) = word_gap(line.trim_start())?;
    if first == "Linux" {
        let (rest, node) = must("a node name after `Linux`", word_gap).parse(rest)?;
        let (_, release) = must("a kernel release after the node name", word_gap).parse(rest)?;
        if !is_release(release) {
            return refuse(release, "a kernel release such as 6.1.0-18-amd64");
        }
        // Version, machine and system are not needed.
        let fact = Fact::Uname { node: Some(at(text, node)), release: at(text, release) };
        return Ok(("", Read::Took(fact)));
    }
    if !is_release(first) {
        return refuse(first, "`Linux` or a kernel release");
    }
    Ok((rest, Read::Took(Fact::Uname { node: None, release: at(text, first) })))
}

/// `6.1.0-18-amd64`.
fn is_release(text: &str) -> bool {
    let mut parts = text.split('.');
    let number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    parts.next().is_some_and(number) && parts.next().is_some_and(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_and_release() {
        let read = |text| parse(text, &Command::new("uname -a")).records.into_iter().next();
        let fact =
            read("Linux node2 6.1.176 #1 Sat Jul  4 15:38:16 UTC 2026 x86_64 GNU/Linux\n").unwrap();
        let Fact::Uname { node: Some(node), release } = fact.fact else { panic!() };
        assert_eq!((node.as_str(), release.as_str()), ("node2", "6.1.176"));
        let Fact::Uname { node: None, release } = read("5.4.0-97-generic\n").unwrap().fact else {
            panic!()
        };
        assert_eq!(release.value, "5.4.0-97-generic");
        assert!(read("Linux\n").is_none() && read("GNU/Linux\n").is_none());
    }
}
