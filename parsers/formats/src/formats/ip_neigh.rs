//! `ip neigh [show]` of both families: plain, `-s`, brief and JSON.
//!
//! Source of the format: iproute2 `ip/ipneigh.c`, `print_neigh` and `print_neigh_brief`; 2.6 to
//! 6.x.
//!
//! ```text
//! 192.0.2.2 dev eth0 lladdr 02:00:00:00:00:02 router STALE
//! 192.0.2.3 dev eth0  used 4/183/0probes 6 FAILED
//! 192.0.2.4 dev eth0 proxy
//! ```
//!
//! The device is missing where the command filtered by it. Some versions print no blank between
//! the times of `used` and `probes`.
mod json;

use std::net::IpAddr;

use nom::Parser as _;
use nom::bytes::complete::take_while1;
use nom::character::complete::space0;
use nom::combinator::{opt, verify};
use nom::sequence::terminated;
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::ids::Mac;
use tapline_core::outcome::Outcome;
use tapline_core::records::neigh::Neighbour;
use tapline_core::records::{Batch, Field};
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use super::ip_link::ansi;
use crate::format::{Ends, Format, Per};
use crate::ip_command::IpCommand;
use crate::json::each_element;
use crate::keyed::{at, is_joint, name, other_key, set, token, typed};
use crate::lines::{Read, each_line, finish};
use crate::nomx::{Parsed, must, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ip-neigh"),
    command: "ip neigh",
    collect: &[Per::Host.run("ip -s -s neigh show"), Per::Namespace.run("ip -s -s neigh show")],
    claims: |command| {
        let family = IpCommand::of(command)?.family;
        let filtered = !shown(command)?.is_empty() || family.is_some();
        Some(Request::filtered(&[Topic::Neighbours], filtered).of_family(family))
    },
    sniff,
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Neighbour>> {
    let mut out = match ansi::strip(text) {
        None => read(text),
        Some(plain) => {
            let mut out = read(&plain.text);
            for entry in &mut out.records {
                each_span(entry, &mut |span| *span = plain.original(*span));
            }
            for problem in &mut out.problems {
                problem.span = plain.original(problem.span);
            }
            out
        }
    };
    if let Some(args) = shown(command)
        && !args.is_empty()
        && args != ["nud", "all"]
    {
        let reason = Completeness::Partial(format!("filtered: {}", args.join(" ")));
        out.completeness = std::mem::take(&mut out.completeness).and(reason);
    }
    out
}

/// Reads a text without colours.
fn read(text: &str) -> Outcome<Vec<Neighbour>> {
    let mut out = Outcome::default();
    if text.trim_start().starts_with('[') {
        let mut each = Outcome::default();
        each_element(text, &mut each, |raw| json::neighbour(text, raw));
        out = each.map(|all| all.into_iter().flatten().collect());
    } else {
        each_line(text, &mut out, |line| neighbour(text, line));
    }
    finish(text, &mut out);
    out
}

/// Shows every span of an entry to `f`.
fn each_span(entry: &mut Neighbour, f: &mut impl FnMut(&mut Span)) {
    f(&mut entry.at);
    f(&mut entry.ip.span);
    if let Some(dev) = &mut entry.dev {
        f(&mut dev.span);
    }
    if let Some(mac) = &mut entry.mac {
        f(&mut mac.span);
    }
    entry.other.iter_mut().for_each(|field| f(&mut field.value.span));
}

/// Flags of an entry (`NTF_*`).
const FLAGS: &[&str] = &[
    "router",
    "proxy",
    "offload",
    "extern_learn",
    "extern_valid",
    "managed",
    "sticky",
    "self",
    "master",
];

/// The column at which the brief form prints the device.
const BRIEF: usize = 40;

/// One line.
fn neighbour<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Neighbour>> {
    let (mut input, shown) = token(line)?;
    let Ok(ip) = shown.parse::<IpAddr>() else {
        return refuse(shown, "an address");
    };
    let mut entry = empty(Span::of(text, line), At::new(ip, Span::of(text, shown)));
    if let Ok((rest, first)) = token(input)
        && !is_known(first)
    {
        if line.len().saturating_sub(input.len()) != BRIEF {
            return refuse(first, "`dev`, `lladdr` or a state");
        }
        let (rest, second) = opt(token).parse(rest)?;
        // A device to filter by is not printed.
        let filtered = second.is_none() && first.parse::<Mac>().is_ok();
        let address = if filtered { Some(first) } else { second };
        entry.dev = (!filtered).then(|| at(text, first));
        if let Some(address) = address {
            link_address(&mut entry, at(text, address));
        }
        return Ok((rest, Read::Took(entry)));
    }
    while let Ok((rest, key)) = token(input) {
        input = match key {
            "dev" => set(&mut entry.dev, name(text, rest, "a device after `dev`")?),
            "lladdr" => {
                let (rest, address) = name(text, rest, "an address after `lladdr`")?;
                link_address(&mut entry, address);
                rest
            }
            "ref" | "probes" => {
                let (_, number) = name(text, rest, "a number after `ref` or `probes`")?;
                let (rest, _) = typed::<u32>(rest, "a number after `ref` or `probes`")?;
                entry.other.push(Field { key: key.into(), value: number });
                rest
            }
            "used" => {
                let (rest, shown) = must("three times after `used`", times).parse(rest)?;
                entry.other.push(Field { key: key.into(), value: at(text, shown) });
                rest
            }
            flag if FLAGS.contains(&flag) => {
                entry.flags.push(flag.into());
                rest
            }
            state if is_state(state) => {
                entry.states.push(state.into());
                rest
            }
            joint if is_joint(joint) => rest,
            _ => {
                let (rest, Some(field)) = other_key(text, key, rest)? else { break };
                entry.other.push(field);
                rest
            }
        };
    }
    Ok((input, Read::Took(entry)))
}

/// `used/confirmed/updated` in seconds; the next key may follow without a blank.
fn times(input: &str) -> Parsed<'_, &str> {
    let three =
        |text: &str| text.split('/').filter(|part| part.parse::<u64>().is_ok()).count() == 3;
    let shown = take_while1(|c: char| c.is_ascii_digit() || c == '/');
    terminated(verify(shown, three), space0).parse(input)
}

/// Whether a word may follow an address.
fn is_known(word: &str) -> bool {
    matches!(word, "dev" | "lladdr" | "ref" | "used" | "probes" | "proto" | "nud" | "vni" | "nhid")
        || FLAGS.contains(&word)
        || is_state(word)
}

/// States are in capitals; one that iproute2 has no name for is a number.
fn is_state(word: &str) -> bool {
    (word.len() > 2 && word.bytes().all(|b| b.is_ascii_uppercase()))
        || word.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A MAC, or the address of another kind of link: twenty octets of InfiniBand, an IP of a tunnel.
fn link_address(entry: &mut Neighbour, shown: At<Name>) {
    match shown.parse::<Mac>() {
        Ok(mac) => entry.mac = Some(At::new(mac, shown.span)),
        Err(_) => entry.lladdr = Some(shown.value),
    }
}

fn empty(at: Span, ip: At<IpAddr>) -> Neighbour {
    Neighbour {
        at,
        ip,
        dev: None,
        mac: None,
        lladdr: None,
        states: Vec::new(),
        flags: Vec::new(),
        other: Vec::new(),
    }
}

/// The arguments behind `ip neigh show`; `None` for another command.
fn shown(command: &Command) -> Option<&[String]> {
    let ip = IpCommand::of(command)?;
    // `ip.c` knows both spellings and takes the first for every prefix of both.
    if ip.is("neighbor") || ip.is("neighbour") { ip.listed() } else { None }
}

fn sniff(head: &str) -> u8 {
    let head = head.trim_start();
    if head.starts_with('[') {
        let inner = head.trim_start_matches(['[', '{', ' ', '\n', '\t']);
        let is = head.contains("\"lladdr\"") || head.contains("\"state\"");
        return if inner.starts_with("\"dst\"") && is { 90 } else { 0 };
    }
    let Some(first) = head.lines().next() else { return 0 };
    match neighbour(first, first.trim_end()) {
        Ok(("", Read::Took(it))) => {
            if it.states.is_empty() && it.mac.is_none() {
                30
            } else {
                90
            }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, command: &str) -> Outcome<Vec<Neighbour>> {
        parse(text, &Command::new(command))
    }

    const TEXT: &str = "192.0.2.1 dev eth0  used 4/183/0probes 6 FAILED \n\
        192.0.2.2 dev eth0 lladdr 02:00:00:00:00:02 ref 1 used 125/185/125 probes 0 REACHABLE\n\
        2001:db8::7 dev eth0 lladdr 02:00:00:00:00:07 router extern_learn  used 1/2/3probes 0 STALE PERMANENT proto zebra\n\
        192.0.2.9 dev eth0 proxy\n\
        192.0.2.3 lladdr 80:00:02:08:fe:80:00:00:00:00:00:00:f4:52:14:03:00:7b:cb:a1 STALE\n";

    #[test]
    fn all_parts_of_an_entry() {
        let out = read(TEXT, "ip -s neigh");
        assert_eq!(out.problems, []);
        let [failed, reach, router, proxy, ib] = out.records.as_slice() else { panic!() };
        assert_eq!((failed.states.as_slice(), &failed.mac), (["FAILED".into()].as_slice(), &None));
        let other = |it: &Neighbour, key| {
            Field::find(&it.other, key).map(|it| it.to_string()).unwrap_or_default()
        };
        assert_eq!(
            (other(failed, "used"), other(failed, "probes")),
            ("4/183/0".into(), "6".into())
        );
        assert_eq!((other(reach, "ref"), other(reach, "used")), ("1".into(), "125/185/125".into()));
        let mac = reach.mac.unwrap();
        assert_eq!(TEXT.get(mac.span.range()).unwrap(), "02:00:00:00:00:02");
        assert_eq!(router.flags, ["router", "extern_learn"]);
        assert_eq!(router.states, ["STALE", "PERMANENT"]);
        assert_eq!(proxy.flags, ["proxy"]);
        assert!(ib.mac.is_none() && ib.lladdr.is_some() && ib.dev.is_none());
    }

    #[test]
    fn brief_columns() {
        let text = format!(
            "{:39} {:16} {mac}\n{:39} {:16} \n{:39} {mac}\n",
            "192.0.2.1",
            "eth0",
            "2001:db8::1",
            "br-ex",
            "192.0.2.2",
            mac = "02:00:00:00:00:01"
        );
        let out = read(&text, "ip -br neigh");
        assert_eq!(out.problems, []);
        assert!(out.records[0].mac.is_some());
        assert_eq!(out.records[1].dev.as_ref().unwrap().value, "br-ex");
        assert!(out.records[2].dev.is_none() && out.records[2].mac.is_some());
    }

    #[test]
    fn json_gives_the_same_entries() {
        let json = r#"[{"dst":"192.0.2.1","dev":"eth0","used":4,"confirmed":183,"updated":0,"probes":6,"state":["FAILED"]},
            {"dst":"192.0.2.2","dev":"eth0","lladdr":"02:00:00:00:00:02","refcnt":1,"used":125,"confirmed":185,"updated":125,"probes":0,"state":["REACHABLE"]},
            {"dst":"2001:db8::7","dev":"eth0","lladdr":"02:00:00:00:00:07","router":null,"extern_learn":null,"used":1,"confirmed":2,"updated":3,"probes":0,"state":["STALE","PERMANENT"],"protocol":"zebra"},
            {},
            {"dst":"192.0.2.9","dev":"eth0","proxy":null},
            {"dst":"192.0.2.3","lladdr":"80:00:02:08:fe:80:00:00:00:00:00:00:f4:52:14:03:00:7b:cb:a1","state":["STALE"]}]"#;
        let out = read(json, "ip -j -s neigh");
        assert_eq!(out.problems, []);
        let bare = |all: Vec<Neighbour>| -> Vec<Neighbour> {
            let each = |mut it: Neighbour| {
                it.at = Span::default();
                it.other.sort_by(|a, b| a.key.cmp(&b.key));
                it
            };
            all.into_iter().map(each).collect()
        };
        assert_eq!(bare(out.records), bare(read(TEXT, "ip -s neigh").records));
    }

    #[test]
    fn broken_entries_are_problems() {
        let text = "172.17.0\n172.17.0.19\n172.17.42.2 dev lo lladdr\n10.0.0.1 gateway\n\
                    10.0.0.1 dev a used 1/2 STALE\n10.0.0.2 dev a STALE (old)\n";
        let out = read(text, "ip neigh");
        // An address alone is what a filter by device and state leaves.
        assert_eq!((out.records.len(), out.lines.unread, out.problems.len()), (2, 5, 5));
    }

    #[test]
    fn claims_and_completeness() {
        for (command, whole) in [
            ("ip neigh", true),
            ("ip -s -s neigh show", true),
            ("ip n show nud all", true),
            ("ip neigh show nud noarp", false),
            ("ip neighbour show dev eth0", false),
        ] {
            assert!(FORMAT.reads(&Command::new(command)), "{command}");
            assert_eq!(read("", command).completeness.is_complete(), whole, "{command}");
        }
        assert!(!FORMAT.reads(&Command::new("ip neigh get 1.2.3.4 dev a")));
        assert!(sniff(TEXT) > 50 && sniff("default via 192.0.2.1 dev a") == 0);
    }
}
