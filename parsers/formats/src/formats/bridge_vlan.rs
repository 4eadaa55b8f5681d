//! `bridge vlan`: VLANs of the ports of Linux bridges.
//!
//! Source of the format: iproute2 `bridge/vlan.c` (`print_vlan`, `print_vlan_opts`); 3.9 to 6.x.
//!
//! ```text
//! port              vlan-id
//! br0               1 PVID Egress Untagged
//!                   100-200
//!                     state forwarding mcast_router 1
//! ```
//!
//! Up to 5.1 the heading is `port<TAB>vlan ids`, ports are set apart by empty lines, and one
//! without VLANs says `None`. `-d` and `-s` add lines about the VLAN above; `tunnelshow` adds a
//! column. A heading alone is a complete answer: no port has VLANs.
use nom::Parser as _;
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::bridge::BridgeVlan;
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use super::bridge::{self, field, is_empty, name, token};
use crate::format::{Ends, Format, Per};
use crate::json::each_element;
use crate::json_object::{Object, elements};
use crate::lines::{Read, bodies, each_block, finish};
use crate::nomx::{Parsed, must, refuse};
use crate::ovsdb::doubt_unread;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("bridge-vlan"),
    command: "bridge vlan",
    collect: &[Per::Host.run("bridge -d vlan show")],
    claims: |command| {
        let args = bridge::listed(command, "vlan").or_else(|| tunnels(command))?;
        Some(Request::filtered(&[], !args.is_empty()).about(bridge::device(args)))
    },
    sniff: |head| {
        let first = bodies(head).find(|body| !body.is_empty()).unwrap_or_default();
        let json = first.starts_with("[{\"ifname\":") && first.contains("\"vlans\":");
        if is_heading(first) || json { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// The arguments of `bridge vlan tunnelshow`.
fn tunnels(command: &Command) -> Option<&[String]> {
    bridge::called(command, "vlan").filter(|(verb, _)| *verb == "tunnelshow").map(|called| called.1)
}

fn is_heading(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.next() == Some("port")
        && words.next().is_some_and(|word| matches!(word, "vlan" | "vlan-id" | "vlan-ids"))
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<BridgeVlan>> {
    let completeness = match tunnels(command) {
        Some(_) => Completeness::Partial("lists only VLANs with a tunnel".to_owned()),
        None => bridge::filtered(bridge::listed(command, "vlan").unwrap_or_default()),
    };
    let mut ports = Outcome { completeness, ..Outcome::<Vec<Vec<BridgeVlan>>>::default() };
    if text.trim_start().starts_with('[') {
        each_element(text, &mut ports, |raw| from_json(text, raw));
    } else {
        each_block(
            text,
            &mut ports,
            |line| port(text, line),
            |vlans, line| below(text, line, vlans),
            |vlans, part| match part {
                Below::Vlan(vlan) => vlans.push(vlan),
                Below::About(mut fields) => {
                    if let Some(vlan) = vlans.last_mut() {
                        vlan.other.append(&mut fields);
                    }
                }
            },
        );
    }
    let mut out = ports.map(|all| all.into_iter().flatten().collect());
    finish(text, &mut out);
    doubt_unread(&mut out);
    out
}

/// What an indented line is.
enum Below {
    /// A further VLAN.
    Vlan(BridgeVlan),
    /// Something about the one above.
    About(Vec<Field>),
}

/// The heading, or the first line of a port.
fn port<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Vec<BridgeVlan>>> {
    if is_heading(line) {
        return Ok(("", Read::Ignored));
    }
    let (input, port) = token(line)?;
    let dev = name(text, port);
    match token(input) {
        Ok((rest, "None")) if is_empty(rest) => {
            let vlan = listed_only(text, line, dev);
            Ok(("", Read::Took(vec![vlan])))
        }
        Ok(_) => {
            let (rest, vlan) = vlan(text, line, input, dev)?;
            Ok((rest, Read::Took(vec![vlan])))
        }
        // A port on a line of its own could be anything.
        Err(_) => refuse(line, "a port and a VLAN id"),
    }
}

/// An indented line.
fn below<'a>(text: &str, line: &'a str, port: &[BridgeVlan]) -> Parsed<'a, Read<Below>> {
    let (_, first) = token(line)?;
    if first.starts_with(|c: char| c.is_ascii_digit()) {
        let Some(dev) = port.first().map(|port| port.dev.clone()) else {
            return refuse(first, "a port before its VLANs");
        };
        let (rest, vlan) = vlan(text, line, line, dev)?;
        return Ok((rest, Read::Took(Below::Vlan(vlan))));
    }
    let (rest, fields) = about(text, line)?;
    Ok((rest, Read::Took(Below::About(fields))))
}

/// `1 PVID Egress Untagged`, `100-200`, `10    1010` with a tunnel.
fn vlan<'a>(text: &str, line: &str, input: &'a str, dev: At<Name>) -> Parsed<'a, BridgeVlan> {
    let (mut input, range) = must("a VLAN id", token).parse(input)?;
    let (first, last) = range.split_once('-').map_or((range, None), |(a, b)| (a, Some(b)));
    let (Ok(vid), Ok(vid_end)) = (first.parse(), last.map(str::parse).transpose()) else {
        return refuse(range, "a VLAN id or a range such as 100-200");
    };
    let mut record = listed_only(text, line, dev);
    record.vid = Some(At::new(vid, Span::of(text, first)));
    record.vid_end = vid_end;
    while let Ok((rest, word)) = token(input) {
        match word {
            "Egress" => {
                let (after, next) = must("`Untagged` after `Egress`", token).parse(rest)?;
                if next != "Untagged" {
                    return Ok((input, record));
                }
                record.flags.push("Egress Untagged".into());
                input = after;
                continue;
            }
            _ if word.starts_with(|c: char| c.is_ascii_digit()) => {
                if Field::find(&record.other, "tunnel-id").is_some() {
                    return Ok((input, record));
                }
                record.other.push(field(text, "tunnel-id", word));
            }
            _ if word.bytes().all(|b| b.is_ascii_alphabetic()) => record.flags.push(word.into()),
            _ => return Ok((input, record)),
        }
        input = rest;
    }
    Ok(("", record))
}

/// A port without VLANs.
fn listed_only(text: &str, line: &str, dev: At<Name>) -> BridgeVlan {
    let at = Span::of(text, line);
    BridgeVlan { at, dev, vid: None, vid_end: None, flags: Vec::new(), other: Vec::new() }
}

/// `state forwarding mcast_router 1`, `RX: 248 bytes 3 packets`.
fn about<'a>(text: &str, line: &'a str) -> Parsed<'a, Vec<Field>> {
    let mut fields = Vec::new();
    let (mut input, first) = token(line)?;
    if let Some(direction) = first.strip_suffix(':').filter(|rest| matches!(*rest, "RX" | "TX")) {
        while !is_empty(input) {
            let (rest, value) = token(input)?;
            let (rest, unit) = must("`bytes` or `packets`", token).parse(rest)?;
            fields.push(field(text, &format!("{direction} {unit}"), value));
            input = rest;
        }
        return Ok(("", fields));
    }
    input = line;
    while let Ok((rest, key)) = token(input) {
        let is_key = key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit());
        if !is_key || (fields.is_empty() && !OPTIONS.contains(&key)) {
            return refuse(input, "a VLAN id, or an option such as `state`");
        }
        let (rest, value) = must("a value after the last word", token).parse(rest)?;
        fields.push(field(text, key, value));
        input = rest;
    }
    Ok(("", fields))
}

/// Options of a VLAN that begin a line of `-d`.
const OPTIONS: &[&str] =
    &["state", "mcast_router", "neigh_suppress", "mcast_n_groups", "mcast_max_groups", "msti"];

/// One port of `bridge -j vlan`.
fn from_json(text: &str, raw: &str) -> Result<Vec<BridgeVlan>, String> {
    let mut object = Object::parse(text, raw)?;
    let dev = object.name("ifname").ok_or("a port without `ifname`")?;
    let Some(vlans) = object.take("vlans").or_else(|| object.take("tunnels")) else {
        return Ok(vec![listed_only(text, raw, dev)]);
    };
    elements(vlans).into_iter().map(|element| vlan_json(text, element, dev.clone())).collect()
}

fn vlan_json(text: &str, raw: &str, dev: At<Name>) -> Result<BridgeVlan, String> {
    let mut object = Object::parse(text, raw)?;
    let mut record = listed_only(text, raw, dev);
    record.vid = Some(object.value("vlan")?.ok_or("a VLAN without its id")?);
    record.vid_end = object.value("vlanEnd")?.map(|value| value.value);
    record.flags = object.names("flags").into_iter().map(|name| name.value).collect();
    record.other = object.rest();
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Outcome<Vec<BridgeVlan>> {
        parse(text, &Command::new("bridge vlan"))
    }

    /// Port, range and flags of each record.
    fn rows(out: &Outcome<Vec<BridgeVlan>>) -> Vec<String> {
        let show = |it: &BridgeVlan| {
            let vid = it.vid.as_ref().map(|vid| vid.to_string()).unwrap_or_default();
            let end = it.vid_end.map(|end| format!("-{end}")).unwrap_or_default();
            format!("{} {vid}{end} {}", it.dev.as_str(), it.flags.join(","))
        };
        out.records.iter().map(show).collect()
    }

    #[test]
    fn old_and_new_headings_are_read() {
        let old = read("port\tvlan ids\nbr0\t 1 PVID Egress Untagged\n\t 100-200\n\nlo\tNone\n\n");
        assert_eq!(rows(&old), ["br0 1 PVID,Egress Untagged", "br0 100-200 ", "lo  "]);
        assert_eq!((old.lines.read, old.lines.ignored, old.lines.unread), (3, 1, 0));
        let new = read(
            "port              vlan-id  \nbr0               1 Egress Untagged\n                    \
             RX: 248 bytes 3 packets\n                    TX: 3 bytes 1 packets\n                  \
             2\n                    state forwarding mcast_router 1\n",
        );
        assert_eq!(rows(&new), ["br0 1 Egress Untagged", "br0 2 "]);
        assert_eq!((new.lines.read, new.lines.unread), (5, 0), "{:?}", new.problems);
        assert_eq!(Field::find(&new.records[0].other, "TX packets").unwrap().as_str(), "1");
        assert_eq!(Field::find(&new.records[1].other, "state").unwrap().as_str(), "forwarding");
    }

    #[test]
    fn json_and_tunnels_are_read() {
        let out = read(
            "[{\"ifname\":\"a\",\"vlans\":[{\"vlan\":1,\"flags\":[\"PVID\"]},{\"vlan\":5,\"vlanEnd\":9}]}]",
        );
        assert_eq!(rows(&out), ["a 1 PVID", "a 5-9 "]);
        let text = "port              vlan-id    tunnel-id  \nvx0               2          1002\n";
        let out = parse(text, &Command::new("bridge vlan tunnelshow"));
        assert_eq!(Field::find(&out.records[0].other, "tunnel-id").unwrap().as_str(), "1002");
    }

    #[test]
    fn absence_counts_only_where_the_dump_ended_well() {
        assert!(read("port              vlan-id  \n").completeness.is_complete());
        assert!(read("").completeness.is_complete());
        let broken =
            "RTNETLINK answers: Operation not supported\nDump terminated\nport    vlan-id  \n";
        let out = read(broken);
        assert!(out.completeness.is_failed());
        assert_eq!((out.lines.ignored, out.lines.unread), (3, 0));
    }

    #[test]
    fn what_is_no_vlan_is_a_problem() {
        let out = read("port\tvlan ids\n\t 7\nbr0\t x\nbr1\t 1 PVID\n  prose\n\t 2 <odd>\n");
        assert_eq!((rows(&out), out.lines.unread), (vec!["br1 1 PVID".into(), "br1 2 ".into()], 4));
    }
}
