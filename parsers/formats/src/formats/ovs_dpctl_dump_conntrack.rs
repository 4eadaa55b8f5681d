//! `ovs-appctl dpctl/dump-conntrack`, `ovs-dpctl dump-conntrack`: connections that a datapath tracks.
//!
//! Source of the format: Open vSwitch `lib/ct-dpif.c` (`ct_dpif_format_entry`); 2.5 to 4.0. With `-s`
//! come counters and times, with `-m` flags and a timeout.
//!
//! ```text
//! tcp,orig=(src=10.0.0.4,dst=10.0.0.5,sport=4711,dport=22),reply=(src=10.0.0.5,dst=10.0.0.4,sport=22,dport=4711),zone=5,mark=1,labels=0x2,protoinfo=(state=ESTABLISHED)
//! icmp,orig=(src=10.0.0.4,dst=10.0.0.5,id=7,type=8,code=0),reply=(src=10.0.0.5,dst=10.0.0.4,id=7,type=0,code=0),zone=5
//! ```
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::conntrack::{Connection, Tuple};
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::Span;

use super::openflow::{OvsCommand, is_log};
use crate::format::{Ends, Format};
use crate::keyed::at;
use crate::lines::{Read, bodies, each_line, finish};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ovs-dpctl-dump-conntrack"),
    command: "ovs-appctl dpctl/dump-conntrack",
    collect: &[],
    claims: |command| dump(command).map(|_| Request::default()),
    sniff: |head| {
        let first = bodies(head).find(|body| !body.is_empty() && !is_log(body));
        let like = |line: &str| line.contains(",orig=(src=") && line.contains("),reply=(src=");
        if first.is_some_and(like) { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// The call that dumps connections.
fn dump(command: &Command) -> Option<OvsCommand<'_>> {
    let verb = |tool: &str, verbs: &[&str]| {
        OvsCommand::of(command, tool).filter(|call| verbs.contains(&call.verb))
    };
    verb("ovs-dpctl", &["dump-conntrack"])
        .or_else(|| verb("ovs-appctl", &["dpctl/dump-conntrack", "dpctl.dump-conntrack"]))
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Connection>> {
    let mut out = Outcome::default();
    each_line(text, &mut out, |line| {
        if is_log(line) { Ok(("", Read::Ignored)) } else { connection(text, line) }
    });
    finish(text, &mut out);
    if command.args().iter().any(|arg| arg.starts_with("zone=")) {
        let partial = Completeness::Partial(format!("filtered: {command}"));
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

fn connection<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Connection>> {
    let what = "a protocol, and the addresses of both directions";
    let mut parts = parts(line.trim_end());
    let Some(protocol) = parts.next().filter(|word| is_word(word)) else {
        return refuse(line, what);
    };
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
    for part in parts {
        let Some((key, value)) = part.split_once('=') else { return refuse(line, what) };
        let inner = value.strip_prefix('(').and_then(|value| value.strip_suffix(')'));
        match (key, inner) {
            ("orig", Some(inner)) => found.original = tuple(text, "orig", inner, &mut found.other),
            ("reply", Some(inner)) => found.reply = tuple(text, "reply", inner, &mut found.other),
            ("protoinfo", Some(inner)) => {
                for (key, value) in inner.split(',').filter_map(|it| it.split_once('=')) {
                    match key {
                        "state" => found.state = Some(at(text, value)),
                        _ => found.other.push(Field { key: key.into(), value: at(text, value) }),
                    }
                }
            }
            ("status", None) => found.flags = value.split('|').map(Name::from).collect(),
            ("timeout", None) => found.timeout = value.parse().ok(),
            ("zone", None) => found.zone = value.parse().ok(),
            ("mark", None) => found.mark = value.parse().ok(),
            _ => found.other.push(Field { key: key.into(), value: at(text, value) }),
        }
    }
    let whole = |tuple: &Tuple| tuple.src.is_some() && tuple.dst.is_some();
    if !whole(&found.original) || !whole(&found.reply) {
        return refuse(line, what);
    }
    Ok(("", Read::Took(found)))
}

/// What commas outside of brackets part.
fn parts(line: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    line.split(move |c| {
        match c {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// `src=10.0.0.4,dst=10.0.0.5,sport=4711,dport=22`; with `-s` counters behind.
fn tuple(text: &str, which: &str, inner: &str, other: &mut Vec<Field>) -> Tuple {
    let mut tuple = Tuple::default();
    for (key, value) in inner.split(',').filter_map(|it| it.split_once('=')) {
        match key {
            "src" => tuple.src = value.parse().ok(),
            "dst" => tuple.dst = value.parse().ok(),
            "sport" => tuple.sport = value.parse().ok(),
            "dport" => tuple.dport = value.parse().ok(),
            _ => {
                let key = format!("{which}.{key}").into();
                other.push(Field { key, value: at(text, value) });
            }
        }
    }
    tuple
}

#[cfg(test)]
mod tests {
    use super::*;

    const SSH: &str = "tcp,orig=(src=10.0.0.4,dst=10.0.0.5,sport=4711,dport=22),reply=(src=10.0.0.5,\
        dst=10.0.0.4,sport=22,dport=4711),zone=5,mark=1,labels=0x2,protoinfo=(state=ESTABLISHED)\n";

    #[test]
    fn connections_of_a_datapath() {
        let command = Command::new("ovs-appctl dpctl/dump-conntrack");
        assert!(FORMAT.reads(&command) && (FORMAT.sniff)(SSH) > 50);
        let out = parse(SSH, &command);
        assert_eq!((out.problems.as_slice(), out.lines.read), (&[][..], 1));
        let [it] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!((it.protocol.as_str(), it.zone, it.mark), ("tcp", Some(5), Some(1)));
        assert_eq!(it.state.as_ref().unwrap().as_str(), "ESTABLISHED");
        assert_eq!((it.original.dport, it.reply.dport), (Some(22), Some(4711)));
        assert_eq!(it.other.len(), 1);
    }

    #[test]
    fn more_is_told_with_options() {
        let text = "icmpv6,orig=(src=fe80::4,dst=fe80::5,id=7,type=128,code=0,packets=3,bytes=312),\
            reply=(src=fe80::5,dst=fe80::4,id=7,type=129,code=0),start=2026-11-22T13:06:00.1,\
            status=SEEN_REPLY|CONFIRMED,timeout=29,zone=7,helper=ftp,parent=(src=fe80::1,dst=fe80::2)\n";
        let out = parse(text, &Command::new("ovs-dpctl dump-conntrack -m -s zone=7"));
        let [it] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!((it.flags.len(), it.timeout, out.lines.unread), (2, Some(29), 0));
        let keys: Vec<&str> = it.other.iter().map(|field| field.key.as_str()).collect();
        assert!(keys.contains(&"orig.packets") && keys.contains(&"parent"), "{keys:?}");
        assert!(!out.completeness.is_complete());
    }

    #[test]
    fn other_lines_are_none() {
        for text in [
            "tcp,orig=(src=10.0.0.4),reply=(src=10.0.0.5,dst=10.0.0.4)\n",
            "tcp\n",
            "ovs-vswitchd: opening datapath failed\n",
            "tcp,orig=(src=10.0.0.4,dst=10.0.0.5,spor",
        ] {
            let out = parse(text, &Command::new("ovs-appctl dpctl/dump-conntrack"));
            assert!(out.records.is_empty() && !out.completeness.is_complete(), "{text}{out:?}");
        }
    }
}
