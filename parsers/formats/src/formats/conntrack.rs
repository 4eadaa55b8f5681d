//! `conntrack -L` and `/proc/net/nf_conntrack`: connections that the kernel tracks.
//!
//! Source of the format: libnetfilter_conntrack `src/conntrack/snprintf_default.c`, Linux
//! `net/netfilter/nf_conntrack_standalone.c` (`ct_seq_show`); conntrack-tools 1.0 to 1.4.
//!
//! ```text
//! tcp      6 431999 ESTABLISHED src=192.0.2.7 dst=198.51.100.1 sport=5000 dport=22 src=198.51.100.1 dst=192.0.2.7 sport=22 dport=5000 [ASSURED] mark=0 zone=3 use=1
//! udp      17 29 src=192.0.2.7 dst=192.0.2.53 sport=4000 dport=53 [UNREPLIED] src=192.0.2.53 dst=192.0.2.7 sport=53 dport=4000 use=1
//! conntrack v1.4.6 (conntrack-tools): 2 flow entries have been shown.
//! ```
//!
//! The file leads with the family: `ipv4     2 tcp      6 …`. The first addresses are those of the
//! packet that began the connection, the second those that its answers have.
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::conntrack::{Connection, Tuple};
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::Span;

use crate::format::{Ends, Format};
use crate::keyed::at;
use crate::lines::{Read, bodies, each_line, finish};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("conntrack"),
    command: "conntrack -L",
    collect: &[],
    claims: |command| {
        let is = match command.program() {
            "conntrack" => lists(command),
            _ => command.path().is_some_and(|path| path.ends_with("proc/net/nf_conntrack")),
        };
        is.then(Request::default)
    },
    sniff: |head| {
        let like = |line: &str| {
            line.contains(" src=") && line.contains(" dst=") && line.matches("src=").count() == 2
        };
        if bodies(head).find(|body| !body.is_empty()).is_some_and(like) { 90 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

fn lists(command: &Command) -> bool {
    command.args().first().is_some_and(|arg| matches!(arg.as_str(), "-L" | "--dump"))
        && !command
            .args()
            .iter()
            .any(|arg| matches!(arg.as_str(), "expect" | "dying" | "unconfirmed"))
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Connection>> {
    let mut out = Outcome::default();
    each_line(text, &mut out, |line| {
        if line.starts_with("conntrack v") && line.contains("flow entries have been shown") {
            return Ok(("", Read::Ignored));
        }
        connection(text, line)
    });
    finish(text, &mut out);
    let filter = command.args().iter().skip(1).find(|arg| arg.starts_with('-') && *arg != "-o");
    if command.program() == "conntrack" && filter.is_some() {
        let partial = Completeness::Partial(format!("filtered: {command}"));
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

fn connection<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Connection>> {
    let what = "a protocol, its number, a timeout and two pairs of addresses";
    let mut words = line.split_whitespace().peekable();
    if matches!(words.peek(), Some(&("ipv4" | "ipv6"))) {
        words.next();
        words.next();
    }
    let Some(protocol) = words.next() else { return refuse(line, what) };
    if words.next().is_none_or(|word| word.parse::<u8>().is_err()) {
        return refuse(line, what);
    }
    let mut found = Connection {
        at: Span::of(text, line),
        protocol: protocol.into(),
        timeout: None,
        state: None,
        original: Tuple::default(),
        reply: Tuple::default(),
        flags: Vec::new(),
        mark: None,
        zone: None,
        other: Vec::new(),
    };
    if let Some(timeout) = words.peek().and_then(|peek| peek.parse().ok()) {
        found.timeout = Some(timeout);
        words.next();
    }
    // The second `src=` begins the answer's addresses.
    let mut sources = 0;
    for word in words {
        if let Some(flag) = word.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            found.flags.push(flag.into());
            continue;
        }
        let Some((key, value)) = word.split_once('=') else {
            if sources > 0
                || !word
                    .bytes()
                    .all(|it| it.is_ascii_uppercase() || matches!(it, b'_' | b'0'..=b'9'))
            {
                return refuse(line, what);
            }
            found.state = Some(at(text, word));
            continue;
        };
        sources += u8::from(key == "src");
        let tuple = if sources < 2 { &mut found.original } else { &mut found.reply };
        let address = || value.parse::<IpAddr>().ok();
        let port = || value.parse::<u16>().ok();
        match key {
            "src" => tuple.src = address(),
            "dst" => tuple.dst = address(),
            "sport" => tuple.sport = port(),
            "dport" => tuple.dport = port(),
            "mark" => found.mark = value.parse().ok(),
            "zone" => found.zone = value.parse().ok(),
            _ => found.other.push(Field { key: Name::from(key), value: at(text, value) }),
        }
    }
    let whole = |tuple: &Tuple| tuple.src.is_some() && tuple.dst.is_some();
    if !whole(&found.original) || sources > 1 && !whole(&found.reply) {
        return refuse(line, what);
    }
    Ok(("", Read::Took(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, command: &str) -> Outcome<Vec<Connection>> {
        parse(text, &Command::new(command))
    }

    #[test]
    fn both_directions_are_kept() {
        let line = "tcp      6 431999 ESTABLISHED src=192.0.2.7 dst=198.51.100.1 sport=5000 dport=22 \
            src=198.51.100.1 dst=203.0.113.9 sport=22 dport=5000 [ASSURED] mark=0 zone=3 use=1\n";
        let summary = "conntrack v1.4.6 (conntrack-tools): 1 flow entries have been shown.\n";
        let file = format!("ipv4     2 {line}");
        for text in [line.to_owned(), format!("{line}{summary}"), file] {
            let out = read(&text, "conntrack -L");
            assert_eq!(out.problems, [], "{text}");
            let [it] = out.records.as_slice() else { panic!("{out:?}") };
            assert_eq!((it.timeout, it.zone, it.mark), (Some(431_999), Some(3), Some(0)));
            assert_eq!(it.state.as_ref().unwrap().as_str(), "ESTABLISHED");
            assert_eq!((it.original.dport, it.reply.dport), (Some(22), Some(5000)));
            assert_eq!(it.reply.dst.unwrap().to_string(), "203.0.113.9");
            assert_eq!(it.flags, ["ASSURED"]);
        }
    }

    #[test]
    fn icmp_and_unreplied() {
        let text = "icmp     1 29 src=192.0.2.7 dst=192.0.2.1 type=8 code=0 id=7 [UNREPLIED] src=192.0.2.1 dst=192.0.2.7 type=0 code=0 id=7 use=1\n";
        let out = read(text, "conntrack -L");
        assert_eq!((out.records.len(), out.problems.len()), (1, 0));
        assert!(!read(text, "conntrack -L -p icmp").completeness.is_complete());
        assert!(read("", "conntrack -L").completeness.is_complete());
    }

    #[test]
    fn foreign_lines_are_problems() {
        for text in ["hello\n", "tcp 6 src=x dst=y\n", "tcp six 1 src=192.0.2.1 dst=192.0.2.2\n"] {
            assert_eq!(read(text, "conntrack -L").lines.unread, 1, "{text}");
        }
    }
}
