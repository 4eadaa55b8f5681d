//! `bridge link`: ports of Linux bridges.
//!
//! Source of the format: iproute2 `bridge/link.c` (`print_linkinfo`, `print_protinfo`); 3.9 to 6.x.
//!
//! ```text
//! 11: veth1@if10: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 master br0 state forwarding priority 32 cost 2
//!     hairpin off guard off root_block off fastleave off learning on flood on mcast_flood on
//! ```
//!
//! The indented line is that of `-d`. Up to 4.19 the operational state stands before the colon
//! (`2: eth0 state UP : <…>`); 5.0 to 5.5 repeat the name at the end of each line. Nothing at all
//! is a complete answer: no device is a port.
use nom::Parser as _;
use tapline_core::Name;
use tapline_core::capture::{Command, FormatId};
use tapline_core::ids::IfIndex;
use tapline_core::outcome::Outcome;
use tapline_core::records::bridge::BridgePort;
use tapline_core::records::link::{LowerRef, NetnsRef};
use tapline_core::records::{Batch, Field};
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use super::bridge::{self, field, is_empty, name, token};
use crate::format::{Ends, Format, Per};
use crate::json::each_element;
use crate::json_object::Object;
use crate::lines::{Read, bodies, each_block, finish};
use crate::nomx::{Parsed, must, refuse};
use crate::ovsdb::doubt_unread;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("bridge-link"),
    command: "bridge link",
    collect: &[Per::Host.run("bridge -d link show")],
    claims: |command| {
        let args = bridge::listed(command, "link")?;
        let device = bridge::device(args);
        Some(Request::filtered(&[Topic::BridgeMembers], device.is_some()).about(device))
    },
    sniff,
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// `ip link` prints a queueing discipline, `bridge link` a port state.
fn sniff(head: &str) -> u8 {
    if head.trim_start().starts_with("[{") {
        let has = |key| head.contains(key);
        let is_port = has("\"ifindex\"") && has("\"priority\"") && has("\"cost\"");
        return if is_port && !has("\"qdisc\"") && !has("\"linkinfo\"") { 90 } else { 0 };
    }
    let Some(first) = bodies(head).find(|body| !body.is_empty()) else { return 0 };
    let is_port = first.starts_with(|c: char| c.is_ascii_digit())
        && first.contains("> mtu ")
        && first.contains(" master ")
        && !first.contains(" qdisc ");
    if is_port { 95 } else { 0 }
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<BridgePort>> {
    let completeness = bridge::filtered(bridge::listed(command, "link").unwrap_or_default());
    let mut out = Outcome { completeness, ..Outcome::default() };
    if text.trim_start().starts_with('[') {
        each_element(text, &mut out, |raw| from_json(text, raw));
    } else {
        each_block(
            text,
            &mut out,
            |line| port(text, line),
            |port, line| details(text, line, &port.name),
            |port, mut fields| port.other.append(&mut fields),
        );
    }
    finish(text, &mut out);
    doubt_unread(&mut out);
    out
}

/// The first line of a port.
fn port<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<BridgePort>> {
    let (input, index) = token(line)?;
    let Some(Ok(index)) = index.strip_suffix(':').map(str::parse) else {
        return refuse(line, "the index of a device, such as `7:`");
    };
    let (mut input, mut device) = must("the name of a device", token).parse(input)?;
    let mut other = Vec::new();
    // `eth0 state UP : <`, `eth0 state UP @eth1: <`
    if !device.ends_with(':') {
        let (rest, key) = token(input)?;
        if key != "state" {
            return refuse(key, "`state` or a colon after the name");
        }
        let (rest, state) = token(rest)?;
        other.push(field(text, "operstate", state));
        let (rest, lower) = token(rest)?;
        if lower == ":" {
            input = rest;
        } else if lower.starts_with('@') && lower.ends_with(':') {
            let start = Span::of(line, device).start as usize;
            let end = Span::of(line, lower).end as usize;
            input = rest;
            device = line.get(start..end).unwrap_or(device);
        } else {
            return refuse(lower, "a colon after the state");
        }
    }
    let device = device.strip_suffix(':').unwrap_or(device);
    let (own, lower) = device.split_once('@').unwrap_or((device, ""));
    let Some(own) = own.split_whitespace().next() else {
        return refuse(device, "the name of a device");
    };
    let (input, flags) = must("flags such as <UP,LOWER_UP>", token).parse(input)?;
    let Some(flags) = flags.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) else {
        return refuse(flags, "flags such as <UP,LOWER_UP>");
    };
    let mut port = BridgePort {
        at: Span::of(text, line),
        index: IfIndex(index),
        name: name(text, own),
        lower: (!lower.is_empty()).then(|| At::new(lower_ref(lower), Span::of(text, lower))),
        lower_netns: None,
        flags: flags.split(',').filter(|part| !part.is_empty()).map(Name::from).collect(),
        mtu: None,
        master: None,
        state: None,
        priority: None,
        cost: None,
        other,
    };
    let mut input = input;
    while !is_empty(input) {
        let (rest, key) = token(input)?;
        // A version that repeats the name.
        if key == own && is_empty(rest) {
            input = rest;
            break;
        }
        let (rest, value) = must("a value after the last word", token).parse(rest)?;
        let number = || value.parse().ok();
        match key {
            "mtu" => port.mtu = number().map(|number| At::new(number, Span::of(text, value))),
            "master" => port.master = Some(name(text, value)),
            "state" => port.state = Some(name(text, value)),
            "priority" => port.priority = number(),
            "cost" => port.cost = number(),
            _ if is_key(key) => port.other.push(field(text, key, value)),
            _ => return Ok((input, Read::Took(port))),
        }
        if matches!(key, "mtu" | "priority" | "cost") && number().is_none() {
            return refuse(value, "a number");
        }
        input = rest;
    }
    Ok((if is_empty(input) { "" } else { input }, Read::Took(port)))
}

/// What follows `@`.
fn lower_ref(shown: &str) -> LowerRef {
    match shown.strip_prefix("if").map(str::parse) {
        Some(Ok(index)) => LowerRef::Index(IfIndex(index)),
        _ if shown == "NONE" => LowerRef::None,
        _ => LowerRef::Name(shown.into()),
    }
}

/// A line of `-d`: keys and values.
fn details<'a>(text: &str, line: &'a str, own: &str) -> Parsed<'a, Read<Vec<Field>>> {
    let mut fields = Vec::new();
    let mut input = line;
    while !is_empty(input) {
        let (rest, key) = token(input)?;
        if is_empty(rest) && key == own {
            return Ok(("", Read::Took(fields)));
        }
        // A first word that is no option: not such a line.
        if fields.is_empty() && !is_option(key) {
            return refuse(key, "a port option such as `hairpin`");
        }
        let Ok((after, value)) = token(rest) else { return Ok((key, Read::Took(fields))) };
        fields.push(field(text, key, value));
        input = after;
    }
    Ok(("", Read::Took(fields)))
}

/// Options of a port that begin a line.
fn is_option(word: &str) -> bool {
    const FIRST: &[&str] = &["hairpin", "hwmode", "guard", "state", "learning", "RX:", "TX:"];
    FIRST.contains(&word)
}

/// Whether a word may be the key of an option: newer versions add some.
fn is_key(word: &str) -> bool {
    word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// One element of `bridge -j link`.
fn from_json(text: &str, raw: &str) -> Result<BridgePort, String> {
    let mut object = Object::parse(text, raw)?;
    let index = object.value("ifindex")?.ok_or("a port without `ifindex`")?;
    let lower = match object.value::<u32>("link_index")? {
        Some(index) => Some(index.map(|index| LowerRef::Index(IfIndex(index)))),
        None => object.name("link").map(|name| name.map(LowerRef::Name)),
    };
    Ok(BridgePort {
        at: Span::of(text, raw),
        index: IfIndex(index.value),
        name: object.name("ifname").ok_or("a port without `ifname`")?,
        lower,
        lower_netns: object.value::<u32>("link_netnsid")?.map(|value| value.map(NetnsRef::Id)),
        flags: object.names("flags").into_iter().map(|name| name.value).collect(),
        mtu: object.value("mtu")?,
        master: object.name("master"),
        state: object.name("state"),
        priority: object.value("priority")?.map(|value| value.value),
        cost: object.value("cost")?.map(|value| value.value),
        other: object.rest(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::capture::Completeness;

    fn read(text: &str) -> Outcome<Vec<BridgePort>> {
        parse(text, &Command::new("bridge link"))
    }

    #[test]
    fn ports_of_all_versions_are_read() {
        let text = "2: ens3: <BROADCAST,UP> mtu 1500 master br0 state forwarding priority 32 cost 100 \n    \
             hairpin off guard on mcast_router 1 ens3\n\
             9: br0: <UP> mtu 1500 master br0 br0\n\
             5: veth0 state UP @veth1: <UP> mtu 1500 master br0 state blocking priority 32 cost 2 \n\
             6: tap0 state DOWN : <UP> mtu 1500 master br0 state disabled priority 32 cost 2 \n\
             7: \u{1b}[36mq@if18: \u{1b}[0m<UP> mtu 1500 master br0 state (9) priority 32 cost 2 \n";
        let out = read(text);
        assert_eq!((out.lines.read, out.lines.unread), (6, 0), "{:?}", out.problems);
        let names: Vec<_> = out.records.iter().map(|record| record.name.as_str()).collect();
        assert_eq!(names, ["ens3", "br0", "veth0", "tap0", "q"]);
        let lower = |n: usize| out.records[n].lower.as_ref().map(|lower| lower.value.clone());
        assert_eq!(lower(2), Some(LowerRef::Name("veth1".into())));
        assert_eq!(lower(4), Some(LowerRef::Index(IfIndex(18))));
        assert_eq!(out.records[0].other.len(), 3);
        assert_eq!(Field::find(&out.records[2].other, "operstate").unwrap().as_str(), "UP");
        assert_eq!(out.records[2].state.as_ref().unwrap().as_str(), "blocking");
    }

    #[test]
    fn both_forms_say_the_same() {
        let plain = read("6: a@b: <UP> mtu 1500 master br0 state forwarding priority 32 cost 2 \n");
        let json = read(
            "[{\"ifindex\":6,\"link\":\"b\",\"ifname\":\"a\",\"flags\":[\"UP\"],\"mtu\":1500,\"master\":\"br0\",\
             \"state\":\"forwarding\",\"priority\":32,\"cost\":2}]\n",
        );
        let at = plain.records[0].at;
        assert_eq!(plain.records, [BridgePort { at, ..json.records[0].clone() }]);
    }

    #[test]
    fn nothing_is_an_answer_and_a_filter_is_not_all() {
        assert_eq!(read("").completeness, Completeness::Complete);
        let out = parse("", &Command::new("bridge link show dev eth0"));
        assert!(matches!(out.completeness, Completeness::Partial(_)));
        assert!(read("sh: bridge: command not found\n").completeness.is_failed());
    }

    #[test]
    fn what_is_not_a_port_is_a_problem() {
        let out =
            read("7: a: <UP> mtu x master b\n7: a <UP>\n    prose here\n7: b: <UP> mtu 1 # c d\n");
        assert_eq!((out.records.len(), out.lines.unread, out.problems.len()), (1, 4, 4));
    }
}
