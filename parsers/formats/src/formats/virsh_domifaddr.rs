//! `virsh domifaddr DOMAIN`: addresses of a guest, from leases, the agent or ARP.
//!
//! Source of the format: libvirt `tools/virsh-domain-monitor.c` (`cmdDomIfAddr`); 1.2.14 to 11.
//!
//! ```text
//!  Name       MAC address          Protocol     Address
//! -------------------------------------------------------------------------------
//!  vnet0      52:54:00:00:00:07    ipv4         192.0.2.7/24
//!  -          -                    ipv6         fe80::5054:ff:fe00:7/64
//! ```
//!
//! A line that begins with `-` goes on with the interface above. A heading alone is an answer: no
//! address is known there.
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::libvirt::DomainAddress;
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use super::virsh;
use crate::format::{Ends, Format};
use crate::keyed::at;
use crate::lines::{Read, bodies, each_line, finish, never_empty};
use crate::nomx::{Parsed, refuse};
use crate::ovsdb::doubt_unread;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("virsh-domifaddr"),
    command: "virsh domifaddr DOMAIN",
    collect: &[],
    claims: |command| {
        let args = virsh::args_of(command, "domifaddr")?;
        Some(Request::default().about(virsh::named_in(args)))
    },
    sniff: |head| if bodies(head).take(8).any(is_heading) { 95 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

fn is_heading(line: &str) -> bool {
    line.split_whitespace().eq(["Name", "MAC", "address", "Protocol", "Address"])
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<DomainAddress>> {
    let mut out: Outcome<Vec<DomainAddress>> = Outcome::default();
    let mut above: Option<DomainAddress> = None;
    each_line(text, &mut out, |line| {
        let carries_nothing = virsh::is_decoration(line)
            || virsh::prompt(line).is_some()
            || is_heading(line)
            || virsh::is_above_rule(text, line);
        if carries_nothing {
            return Ok(("", Read::Ignored));
        }
        let (rest, read) = row(text, line, above.as_ref())?;
        if let Read::Took(record) = &read {
            above = Some(record.clone());
        }
        Ok((rest, read))
    });
    finish(text, &mut out);
    doubt_unread(&mut out);
    if !command.argv.iter().any(|argv| argv == "-q" || argv == "--quiet") {
        never_empty(&mut out, "a heading");
    }
    out
}

fn row<'a>(
    text: &str,
    line: &'a str,
    above: Option<&DomainAddress>,
) -> Parsed<'a, Read<DomainAddress>> {
    let what = "a name, a MAC address, a protocol and an address";
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, mac, protocol, shown] = words.as_slice() else { return refuse(line, what) };
    let mut record = DomainAddress {
        at: Span::of(text, line),
        dev: Some(at(text, name)),
        mac: None,
        address: None,
    };
    if *name == "-" {
        let Some(above) = above else { return refuse(line, "an interface above this line") };
        record.dev.clone_from(&above.dev);
        record.mac.clone_from(&above.mac);
    }
    match mac.parse() {
        Ok(address) => record.mac = Some(At::new(address, Span::of(text, mac))),
        Err(_) if matches!(*mac, "-" | "N/A") => {}
        Err(_) => return refuse(line, what),
    }
    match shown.parse() {
        Ok(address) if matches!(*protocol, "ipv4" | "ipv6") => {
            record.address = Some(At::new(address, Span::of(text, shown)));
        }
        Err(_) if *protocol == "N/A" && *shown == "N/A" => {}
        _ => return refuse(line, what),
    }
    Ok(("", Read::Took(record)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_interface_follow_it() {
        let text = " Name       MAC address          Protocol     Address\n-------------\n \
                    vnet0      52:54:00:00:00:07    ipv4         192.0.2.7/24\n \
                    -          -                    ipv6         fe80::7/64\n \
                    lo         00:00:00:00:00:00    N/A          N/A\n\n";
        let out = parse(text, &Command::new("virsh domifaddr a"));
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        let show = |it: &DomainAddress| {
            let address = it.address.as_ref().map(|address| address.value.to_string());
            let mac = it.mac.as_ref().map(|mac| mac.value.to_string()).unwrap_or_default();
            format!("{} {mac} {}", it.dev.as_ref().unwrap().as_str(), address.unwrap_or_default())
        };
        assert_eq!(
            out.records.iter().map(show).collect::<Vec<_>>(),
            [
                "vnet0 52:54:00:00:00:07 192.0.2.7/24",
                "vnet0 52:54:00:00:00:07 fe80::7/64",
                "lo 00:00:00:00:00:00 "
            ]
        );
    }

    #[test]
    fn foreign_lines_are_problems() {
        for text in ["hello\n", " - - ipv4 192.0.2.7/24\n", " a b c d\n"] {
            let out = parse(text, &Command::new("virsh domifaddr a"));
            assert_eq!((out.records.len(), out.lines.unread), (0, 1), "{text}");
        }
        let empty = " Name       MAC address          Protocol     Address\n-----\n";
        let out = parse(empty, &Command::new("virsh domifaddr a"));
        assert!(out.completeness.is_complete() && out.records.is_empty());
    }
}
