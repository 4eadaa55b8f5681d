//! `bridge fdb`: forwarding entries of Linux bridges, vxlan and other devices.
//!
//! Source of the format: iproute2 `bridge/fdb.c` (`print_fdb`); 3.9 to 6.x.
//!
//! ```text
//! 33:33:00:00:00:01 dev br0 self permanent
//! fa:16:3e:00:00:01 dev tap0 vlan 1 used 3/2 master br0
//! 00:00:00:00:00:00 dev vxlan5 dst 192.0.2.7 via eth0 self permanent
//! ```
//!
//! `fdb show dev X` leaves out the device: the entries get it from the command, with the line as
//! its place. Nothing at all is a complete answer.
use std::net::IpAddr;

use nom::Parser as _;
use tapline_core::Name;
use tapline_core::capture::{Command, FormatId};
use tapline_core::ids::Mac;
use tapline_core::outcome::Outcome;
use tapline_core::records::bridge::FdbEntry;
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use super::bridge::{self, field, is_empty, name, token};
use crate::format::{Ends, Format, Per};
use crate::json::each_element;
use crate::json_object::Object;
use crate::lines::{Read, bodies, each_line, finish};
use crate::nomx::{Parsed, must, refuse};
use crate::ovsdb::doubt_unread;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("bridge-fdb"),
    command: "bridge fdb",
    collect: &[Per::Host.run("bridge -s -d fdb show")],
    claims: |command| {
        let args = bridge::listed(command, "fdb")?;
        Some(Request::filtered(&[], !args.is_empty()).about(bridge::device(args)))
    },
    sniff,
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

fn sniff(head: &str) -> u8 {
    if head.trim_start().starts_with("[{\"mac\":") {
        return 90;
    }
    let Some(first) = bodies(head).find(|body| !body.is_empty()) else { return 0 };
    let mut words = first.split_whitespace();
    let is_mac = words.next().is_some_and(|word| word.len() == 17 && word.parse::<Mac>().is_ok());
    let is_entry = words.next().is_some_and(|word| KEYS.contains(&word) || FLAGS.contains(&word));
    if is_mac && is_entry { 90 } else { 0 }
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<FdbEntry>> {
    let mut out = Outcome::default();
    let args = bridge::listed(command, "fdb").unwrap_or_default();
    out.completeness = bridge::filtered(args);
    if text.trim_start().starts_with('[') {
        each_element(text, &mut out, |raw| from_json(text, raw));
    } else {
        each_line(text, &mut out, |line| entry(text, line));
    }
    let dev = args.windows(2).find_map(|pair| match pair {
        [key, dev] if key == "dev" || key == "brport" => Some(Name::from(dev.as_str())),
        _ => None,
    });
    for record in out.records.iter_mut().filter(|record| record.dev.is_none()) {
        record.dev = dev.clone().map(|dev| At::new(dev, record.at));
    }
    finish(text, &mut out);
    doubt_unread(&mut out);
    out
}

/// Words with a value.
const KEYS: &[&str] = &[
    "dev",
    "dst",
    "vlan",
    "port",
    "vni",
    "src_vni",
    "via",
    "nhid",
    "id",
    "link-netnsid",
    "used",
    "updated",
    "master",
    "protocol",
];

/// Words without one. `master` may be either.
const FLAGS: &[&str] = &[
    "self",
    "router",
    "extern_learn",
    "offload",
    "sticky",
    "locked",
    "blackhole",
    "added_by_user",
    "added_by_ext_learn",
    "activity_notify",
    "inactive",
    "dynamic",
    "permanent",
    "static",
    "stale",
    "noarp",
    "reachable",
];

/// One entry.
fn entry<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<FdbEntry>> {
    let (mut input, mac) = token(line)?;
    let Ok(address) = mac.parse::<Mac>() else {
        return refuse(line, "a MAC address");
    };
    let mut record = FdbEntry {
        at: Span::of(text, line),
        mac: At::new(address, Span::of(text, mac)),
        dev: None,
        vlan: None,
        master: None,
        dst: None,
        flags: Vec::new(),
        other: Vec::new(),
    };
    while !is_empty(input) {
        let (rest, word) = token(input)?;
        let is_flag = match word {
            // As a flag it stands before another flag, or before the bridge: `master master br0`.
            "master" => token(rest).map_or(true, |(_, next)| next == "master" || is_flag(next)),
            _ => !KEYS.contains(&word),
        };
        if is_flag {
            if !is_word(word) {
                // Not printed by `bridge`.
                return Ok((input, Read::Took(record)));
            }
            record.flags.push(word.into());
            input = rest;
            continue;
        }
        let (mut rest, mut value) = must("a value after the last word", token).parse(rest)?;
        // iproute2 4.18 prints the word twice.
        if (word, value) == ("dev", "dev")
            && let Ok((after, dev)) = token(rest)
            && !FLAGS.contains(&dev)
            && !KEYS.contains(&dev)
        {
            (rest, value) = (after, dev);
        }
        let wrong = |what| refuse(value, what);
        match word {
            "dev" => record.dev = Some(name(text, value)),
            "master" => record.master = Some(name(text, value)),
            "vlan" => match value.parse() {
                Ok(vlan) => record.vlan = Some(vlan),
                Err(_) => return wrong("a VLAN id"),
            },
            "dst" => match value.parse::<IpAddr>() {
                Ok(dst) => record.dst = Some(At::new(dst, Span::of(text, value))),
                Err(_) => return wrong("an address"),
            },
            "used" => match value.split_once('/') {
                Some((used, updated)) => {
                    record.other.push(field(text, "used", used));
                    record.other.push(field(text, "updated", updated));
                }
                None => record.other.push(field(text, "used", value)),
            },
            key => record.other.push(field(text, key, value)),
        }
        input = rest;
    }
    Ok(("", Read::Took(record)))
}

fn is_flag(word: &str) -> bool {
    FLAGS.contains(&word)
}

/// Whether a word may be a flag: newer versions add some, `state=0x…` is one they cannot name.
fn is_word(word: &str) -> bool {
    word.starts_with("state=")
        || word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b == b'-')
}

/// One element of `bridge -j fdb`.
fn from_json(text: &str, raw: &str) -> Result<FdbEntry, String> {
    let mut object = Object::parse(text, raw)?;
    let mut flags: Vec<_> = object.names("flags").into_iter().map(|name| name.value).collect();
    flags.extend(object.name("state").map(|name| name.value).filter(|value| !value.is_empty()));
    let mut record = FdbEntry {
        at: Span::of(text, raw),
        mac: object.value("mac")?.ok_or("an entry without `mac`")?,
        dev: object.name("ifname"),
        vlan: object.value("vlan")?.map(|value| value.value),
        master: object.name("master"),
        dst: object.value("dst")?,
        flags,
        other: Vec::new(),
    };
    record.other = object.rest();
    for Field { key, .. } in &mut record.other {
        let plain = match key.as_str() {
            "viaIf" | "viaIfIndex" => "via",
            "linkNetNsId" => "link-netnsid",
            "nhId" => "nhid",
            _ => continue,
        };
        *key = plain.into();
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(command: &str, text: &str) -> Outcome<Vec<FdbEntry>> {
        parse(text, &Command::new(command))
    }

    #[test]
    fn every_word_has_its_place() {
        let text = "33:33:00:00:00:01 dev br0 self permanent\n\
             0c:f2:c4:f5:00:02 dev a vlan 1 used 0/7 extern_learn master br101 \n\
             0c:f2:c4:f5:00:02 dev vx dst 2001:db8::1 vlan 65535 port 4790 vni 7 src_vni 8 via eth0 \
             link-netnsid 2 self extern_learn state=0x1 \n\
             0c:f2:c4:f5:00:02 dev vx nhid 10 offload master master br1 sticky\n\
             0c:f2:c4:f5:00:02 dev vx master\n";
        let out = read("bridge fdb", text);
        assert_eq!((out.lines.read, out.lines.unread), (5, 0), "{:?}", out.problems);
        let [first, second, third, fourth, fifth] = out.records.as_slice() else { panic!() };
        assert_eq!(first.flags, ["self", "permanent"]);
        assert_eq!((second.vlan, second.master.as_ref().unwrap().as_str()), (Some(1), "br101"));
        assert_eq!(Field::find(&second.other, "updated").unwrap().as_str(), "7");
        assert_eq!(third.dst.unwrap().value.to_string(), "2001:db8::1");
        assert_eq!((third.flags.len(), third.other.len()), (3, 5));
        assert_eq!(fourth.flags, ["offload", "master", "sticky"]);
        assert_eq!(fourth.master.as_ref().unwrap().as_str(), "br1");
        assert_eq!((fifth.flags.as_slice(), &fifth.master), (&["master".into()][..], &None));
    }

    #[test]
    fn both_forms_say_the_same() {
        let plain =
            read("bridge fdb", "00:00:00:00:00:00 dev vx dst 192.0.2.7 via e0 self permanent\n");
        let json = read(
            "bridge -j fdb",
            "[{\"mac\":\"00:00:00:00:00:00\",\"ifname\":\"vx\",\"dst\":\"192.0.2.7\",\"viaIf\":\"e0\",\
             \"flags\":[\"self\"],\"state\":\"permanent\"}]",
        );
        let at = plain.records[0].at;
        assert_eq!(plain.records, [FdbEntry { at, ..json.records[0].clone() }]);
    }

    #[test]
    fn the_device_of_a_filter_is_that_of_the_entries() {
        let out =
            read("bridge fdb show dev vx5", "00:00:00:00:00:00 dst 192.0.2.7 self permanent\n");
        assert_eq!(out.records[0].dev.as_ref().unwrap().as_str(), "vx5");
        assert!(!out.completeness.is_complete());
        assert!(read("bridge fdb", "").completeness.is_complete());
    }

    #[test]
    fn remarks_and_broken_values_are_problems() {
        let out = read(
            "bridge fdb",
            "00:00:00:00:00:00 dev a self # gateway\n00:00:00:00:00:00 dev a vlan x\nfoo\n00:00:00:00:00:00 dev\n",
        );
        assert_eq!((out.records.len(), out.lines.unread, out.problems.len()), (1, 4, 4));
    }
}
