//! `ovs-dpctl dump-flows`, `ovs-appctl dpctl/dump-flows`: the flows that the datapath has cached.
//!
//! Source of the format: Open vSwitch `lib/dpctl.c` (`dpctl_dump_flows`, `format_dpif_flow`),
//! `lib/dpif.c` (`dpif_flow_stats_format`); 1.x to 3.x.
//!
//! ```text
//! ufid:4d5…, recirc_id(0),in_port(3),eth(src=…),eth_type(0x0800),ipv4(frag=no), packets:8, bytes:512, used:1.2s, flags:S, actions:2
//! ```
//!
//! What stands before `packets:` is the match; `actions:` ends the line. A flow of a packet that
//! the daemon drops has the action `drop`. `flow-dump from the main thread:` heads flows of one
//! thread.
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::datapath::DatapathFlow;
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::Span;

use super::openflow::{OvsCommand, is_log};
use crate::format::{Ends, Format};
use crate::keyed::at;
use crate::lines::{Read, bodies, each_line, finish};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ovs-dpctl-dump-flows"),
    command: "ovs-appctl dpctl/dump-flows",
    collect: &[],
    claims: |command| {
        let verb = |tool: &str, verbs: &[&str]| {
            OvsCommand::of(command, tool).is_some_and(|call| verbs.contains(&call.verb))
        };
        let is = verb("ovs-dpctl", &["dump-flows"])
            || verb("ovs-appctl", &["dpctl/dump-flows", "dpctl.dump-flows"]);
        is.then(Request::default)
    },
    sniff: |head| {
        let first =
            bodies(head).find(|body| !body.is_empty() && !is_log(body) && !is_heading(body));
        let like = |line: &str| line.contains("recirc_id(") && line.contains(", packets:");
        if first.is_some_and(like) { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

fn is_heading(line: &str) -> bool {
    // `flow-dump from pmd on cpu core: 2`, `flow-dump from the main thread:`
    line.starts_with("flow-dump from ")
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<DatapathFlow>> {
    let mut out = Outcome::default();
    each_line(text, &mut out, |line| {
        if is_log(line) || is_heading(line) { Ok(("", Read::Ignored)) } else { flow(text, line) }
    });
    finish(text, &mut out);
    let filter =
        command.args().iter().find(|arg| arg.starts_with("filter=") || arg.starts_with("type="));
    if let Some(filter) = filter {
        let partial = Completeness::Partial(format!("filtered: {filter}"));
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

fn flow<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<DatapathFlow>> {
    let what = "a match, `packets:`, `bytes:` and `actions:`";
    let Some((before, actions)) = line.split_once("actions:") else { return refuse(line, what) };
    let Some((matches, stats)) = before.split_once("packets:") else { return refuse(line, what) };
    let matches = matches.trim_end().trim_end_matches(',');
    if !matches.contains('(') || actions.trim().is_empty() {
        return refuse(line, what);
    }
    let (ufid, matches) = match matches.strip_prefix("ufid:").and_then(|rest| rest.split_once(", "))
    {
        Some((ufid, rest)) => (Some(Name::from(ufid)), rest),
        None => (None, matches),
    };
    let mut found = DatapathFlow {
        at: Span::of(text, line),
        ufid,
        in_port: argument(matches, "in_port").map(|argument| at(text, argument)),
        matches: at(text, matches),
        packets: 0,
        bytes: 0,
        used: None,
        actions: at(text, actions.trim()),
        other: Vec::new(),
    };
    let mut stats = stats.split(", ").map(str::trim).filter(|text| !text.is_empty());
    let Some(Ok(packets)) = stats.next().map(str::parse) else { return refuse(line, what) };
    found.packets = packets;
    for part in stats {
        let part = part.trim_end_matches(',');
        let Some((key, value)) = part.split_once(':') else { return refuse(line, what) };
        match key {
            "bytes" => match value.parse() {
                Ok(bytes) => found.bytes = bytes,
                Err(_) => return refuse(line, what),
            },
            "used" => found.used = Some(value).filter(|it| *it != "never").map(Name::from),
            _ => found.other.push(Field { key: key.into(), value: at(text, value) }),
        }
    }
    Ok(("", Read::Took(found)))
}

/// What stands in the brackets behind `name`.
fn argument<'a>(matches: &'a str, name: &str) -> Option<&'a str> {
    let mut from = 0;
    loop {
        let found = from + matches.get(from..)?.find(name)?;
        let begins = found == 0 || matches.get(..found)?.ends_with([',', ' ']);
        let rest = matches.get(found + name.len()..)?;
        match rest.strip_prefix('(') {
            Some(inner) if begins => return inner.split_once(')').map(|it| it.0),
            _ => from = found + name.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, command: &str) -> Outcome<Vec<DatapathFlow>> {
        parse(text, &Command::new(command))
    }

    #[test]
    fn a_flow_has_its_match_counters_and_actions() {
        let text = "flow-dump from the main thread:\n\
            ufid:4d5a, recirc_id(0),tunnel(tun_id=0x1,in_port=7),in_port(3),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),eth_type(0x0800),ipv4(frag=no), packets:8, bytes:512, used:1.234s, flags:S., dp:ovs, actions:set(tunnel(dst=192.0.2.9,flags(df))),2\n\
            flow-dump from pmd on cpu core: 2\n\
            recirc_id(0),in_port(vnet0),eth_type(0x0806), packets:0, bytes:0, used:never, actions:drop\n";
        let out = read(text, "ovs-appctl dpctl/dump-flows -m");
        assert_eq!(out.problems, []);
        let [first, second] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!(first.in_port.as_ref().unwrap().as_str(), "3");
        assert_eq!((first.packets, first.bytes, first.used.as_deref()), (8, 512, Some("1.234s")));
        assert_eq!(first.actions.as_str(), "set(tunnel(dst=192.0.2.9,flags(df))),2");
        assert_eq!(second.in_port.as_ref().unwrap().as_str(), "vnet0");
        assert_eq!((second.used.as_ref(), second.actions.as_str()), (None, "drop"));
    }

    #[test]
    fn filters_silence_and_foreign_lines() {
        assert!(read("", "ovs-dpctl dump-flows").completeness.is_complete());
        let one = "in_port(1),eth_type(0x0806), packets:0, bytes:0, used:never, actions:drop\n";
        assert!(!read(one, "ovs-appctl dpctl/dump-flows filter=arp").completeness.is_complete());
        for text in [
            "hello\n",
            " cookie=0x0, table=0, n_packets=1, actions=drop\n",
            "in_port(1), packets:x, actions:1\n",
        ] {
            assert_eq!(read(text, "ovs-dpctl dump-flows").lines.unread, 1, "{text}");
        }
    }
}
