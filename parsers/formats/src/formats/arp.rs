//! `arp -n` and `arp -a` of net-tools: neighbours of IPv4.
//!
//! Source of the format: net-tools `arp.c` (`arp_disp_2`, `arp_disp`); 1.60 to 2.x, busybox.
//!
//! ```text
//! Address                  HWtype  HWaddress           Flags Mask            Iface
//! 192.0.2.1                ether   52:54:00:00:00:01   C                     eth0
//! 192.0.2.9                        (incomplete)                              eth0
//!
//! gw.example (192.0.2.1) at 52:54:00:00:00:01 [ether] on eth0
//! ? (192.0.2.9) at <incomplete> on eth0
//! ```
//!
//! The states are those of `ip neigh` as far as the flags tell: `M` is an entry by hand, without a
//! link-layer address it is incomplete; a complete entry may be in any state that `ip` shows as
//! reachable or stale, so it has none. Without `-n` names stand for addresses: such lines are not
//! kept.
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::neigh::Neighbour;
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format};
use crate::keyed::at;
use crate::lines::{Read, bodies, each_line, finish};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("arp"),
    command: "arp -n",
    collect: &[],
    claims: |command| {
        Some(match asked(command)? {
            Asked::All => Request::default(),
            Asked::One(name) => Request::filtered(&[], true).about(Some(&name)),
        })
    },
    sniff: |head| if bodies(head).take(3).any(is_heading) { 95 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// What a command line that lists asks for.
enum Asked {
    All,
    /// One device or host.
    One(String),
}

/// What `command` lists; `None` for one that changes something.
fn asked(command: &Command) -> Option<Asked> {
    if command.program() != "arp" {
        return None;
    }
    let mut asked = Asked::All;
    let mut words = command.args().iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-i" => asked = Asked::One(words.next()?.clone()),
            "--numeric" | "--all" | "--verbose" => {}
            flags if flags.starts_with('-') => {
                if !flags.strip_prefix('-')?.chars().all(|c| "anve".contains(c)) {
                    return None;
                }
            }
            host => asked = Asked::One(host.to_owned()),
        }
    }
    Some(asked)
}

fn is_heading(line: &str) -> bool {
    line.starts_with("Address ") && line.contains("HWaddress") && line.ends_with("Iface")
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Neighbour>> {
    let mut out = Outcome::default();
    each_line(text, &mut out, |line| {
        if is_heading(line) || is_summary(line) {
            return Ok(("", Read::Ignored));
        }
        if line.contains(" at ") { sentence(text, line) } else { row(text, line) }
    });
    finish(text, &mut out);
    if let Some(Asked::One(only)) = asked(command) {
        let partial = Completeness::Partial(format!("shows only `{only}`"));
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

/// `Entries: 4`, then how many were skipped and found: the last line of `-v`.
fn is_summary(line: &str) -> bool {
    line.starts_with("Entries: ") && line.contains("Found: ")
}

/// Kinds of hardware.
const HARDWARE: &[&str] = &[
    "ether",
    "infiniband",
    "loop",
    "ppp",
    "slip",
    "tunnel",
    "sit",
    "gre",
    "fddi",
    "arcnet",
    "dlci",
];

/// In place of an address: the host answers for another one, which is no neighbour of it.
const FROM_DEVICE: &str = "<from_interface>";

/// A row of the table.
fn row<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Neighbour>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [_, "*", FROM_DEVICE, ..] => Ok(("", Read::Ignored)),
        [ip, "(incomplete)", flags @ .., dev] => entry(text, line, ip, None, flags, dev),
        [ip, kind, address, flags @ .., dev] if !flags.is_empty() => {
            entry(text, line, ip, Some((kind, address)), flags, dev)
        }
        _ => refuse(line, "an address, a link-layer address and a device"),
    }
}

/// `? (192.0.2.1) at 52:54:00:00:00:01 [ether] PERM on eth0`.
fn sentence<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Neighbour>> {
    let what = "`NAME (ADDRESS) at …`";
    let Some((before, after)) = line.split_once(") at ") else { return refuse(line, what) };
    let Some((_, ip)) = before.split_once('(') else { return refuse(line, what) };
    let words: Vec<&str> = after.split_whitespace().collect();
    match words.as_slice() {
        [FROM_DEVICE, ..] => Ok(("", Read::Ignored)),
        ["<incomplete>" | "(incomplete)", flags @ .., "on", dev] => {
            entry(text, line, ip, None, flags, dev)
        }
        [address, kind, flags @ .., "on", dev] => {
            let kind = kind.trim_matches(['[', ']']);
            entry(text, line, ip, Some((kind, address)), flags, dev)
        }
        _ => refuse(line, what),
    }
}

fn entry<'a>(
    text: &str,
    line: &'a str,
    shown: &str,
    address: Option<(&str, &str)>,
    flags: &[&str],
    dev: &str,
) -> Parsed<'a, Read<Neighbour>> {
    let Ok(ip) = shown.parse::<IpAddr>() else { return refuse(line, "an address (arp -n)") };
    // `C`, `CM`, `MP`, a mask, and the words of the other form (net-tools `arp.c`).
    let is_flag = |flag: &&str| {
        let letters = flag.len() <= 5 && flag.chars().all(|c| "CMPATNUX!*".contains(c));
        letters
            || matches!(*flag, "PERM" | "PUP" | "AUTO" | "DONTPUB" | "TRAIL" | "netmask")
            || flag.parse::<IpAddr>().is_ok()
    };
    if !flags.iter().all(is_flag) || dev.starts_with(['<', '-', '#']) {
        return refuse(line, "flags and a device behind the address");
    }
    let mut entry = Neighbour {
        at: Span::of(text, line),
        ip: At::new(ip, Span::of(text, shown)),
        dev: Some(at(text, dev)),
        mac: None,
        lladdr: None,
        states: Vec::new(),
        flags: Vec::new(),
        other: Vec::new(),
    };
    match address {
        None => entry.states.push(Name::const_new("INCOMPLETE")),
        // `HWtype` (net-tools `lib/hw.c`): other words are those of another command.
        Some((kind, _)) if !HARDWARE.contains(&kind) => {
            return refuse(line, "a kind of hardware such as ether");
        }
        Some((kind, address)) => match address.parse() {
            Ok(mac) if kind == "ether" => {
                entry.mac = Some(At::new(mac, Span::of(text, address)));
            }
            _ if kind == "ether" => return refuse(line, "a MAC address"),
            _ => entry.lladdr = Some(address.into()),
        },
    }
    let permanent = |flag: &&str| *flag == "PERM" || flag.len() < 4 && flag.contains('M');
    if flags.iter().any(permanent) {
        entry.states.push(Name::const_new("PERMANENT"));
    }
    for flag in flags {
        entry.other.push(Field { key: Name::const_new("flags"), value: at(text, flag) });
    }
    Ok(("", Read::Took(entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, command: &str) -> Outcome<Vec<Neighbour>> {
        parse(text, &Command::new(command))
    }

    fn rows(out: &Outcome<Vec<Neighbour>>) -> Vec<String> {
        let show = |it: &Neighbour| {
            let mac = it.mac.as_ref().map_or("-".to_owned(), |mac| mac.value.to_string());
            let dev = it.dev.as_ref().map_or("", |dev| dev.as_str());
            format!("{} {mac} {dev} {}", it.ip.value, it.states.join("|"))
        };
        out.records.iter().map(show).collect()
    }

    #[test]
    fn both_forms_give_the_same() {
        let table = "\
Address                  HWtype  HWaddress           Flags Mask            Iface
192.0.2.1                ether   52:54:00:00:00:01   C                     eth0
192.0.2.2                ether   52:54:00:00:00:02   CM                    eth0
192.0.2.9                        (incomplete)                              eth1
";
        let sentences = "\
gw.example (192.0.2.1) at 52:54:00:00:00:01 [ether] on eth0
? (192.0.2.2) at 52:54:00:00:00:02 [ether] PERM on eth0
? (192.0.2.9) at <incomplete> on eth1
";
        for (text, command) in [(table, "arp -n"), (sentences, "arp -an")] {
            let out = read(text, command);
            assert_eq!(out.problems, [], "{text}");
            assert!(out.completeness.is_complete());
            assert_eq!(
                rows(&out),
                [
                    "192.0.2.1 52:54:00:00:00:01 eth0 ",
                    "192.0.2.2 52:54:00:00:00:02 eth0 PERMANENT",
                    "192.0.2.9 - eth1 INCOMPLETE"
                ]
            );
        }
    }

    #[test]
    fn an_address_that_the_host_answers_for_is_no_neighbour() {
        for (text, command) in [
            ("192.0.2.4   *   <from_interface>   MP   eth0\n", "arp -n"),
            ("? (192.0.2.4) at <from_interface> PERM PUP on eth0\n", "arp -an"),
        ] {
            let out = read(text, command);
            assert_eq!((out.problems.len(), out.records.len()), (0, 0), "{text}");
            assert!(out.completeness.is_complete());
        }
    }

    #[test]
    fn filters_names_and_foreign_lines() {
        let one = "192.0.2.1  ether  52:54:00:00:00:01  C  eth0\n";
        assert!(!read(one, "arp -n -i eth0").completeness.is_complete());
        for text in ["gw  ether  52:54:00:00:00:01  C  eth0\n", "hello\n", "? (x) at y on z\n"] {
            assert_eq!(read(text, "arp -n").lines.unread, 1, "{text}");
        }
        assert!(FORMAT.reads(&Command::new("arp -an -i eth0")));
        assert!(!FORMAT.reads(&Command::new("arp -s 192.0.2.1 52:54:00:00:00:01")));
        assert!(!FORMAT.reads(&Command::new("arp -d 192.0.2.1")));
    }
}
