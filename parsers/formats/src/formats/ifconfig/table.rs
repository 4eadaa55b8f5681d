//! `netstat -i` and `ifconfig -s`: one line a device.
//!
//! ```text
//! Kernel Interface table
//! Iface      MTU    RX-OK RX-ERR RX-DRP RX-OVR    TX-OK TX-ERR TX-DRP TX-OVR Flg
//! eth0      1500      245      0      0 0           197      0      0      0 BMRU
//! ```
use tapline_core::Name;
use tapline_core::capture::Command;
use tapline_core::outcome::Outcome;
use tapline_core::records::link::{Link, LinkStats};
use tapline_core::span::{At, Span};

use super::{ended, lines};
use crate::lines::{Read, each_line};
use crate::nomx::{Parsed, refuse};

/// The heading of the columns.
pub(super) fn is_heading(line: &str) -> bool {
    line.starts_with("Iface ") && line.contains("RX-OK") && line.ends_with("Flg")
}

/// Reads the whole output.
pub(super) fn parse(text: &str, command: &Command) -> Outcome<Vec<Link>> {
    let mut out = Outcome::default();
    // Before 2.0 the metric is a column as well.
    let mut metric = false;
    each_line(text, &mut out, |line| {
        if is_heading(line) {
            metric = line.split_whitespace().any(|word| word == "Met");
            return Ok(("", Read::Ignored));
        }
        if line.starts_with("Kernel Interface table") {
            return Ok(("", Read::Ignored));
        }
        row(text, line, metric)
    });
    ended(text, command, &mut out);
    out
}

fn row<'a>(text: &str, line: &'a str, metric: bool) -> Parsed<'a, Read<Link>> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (Some(&name), Some(&shown), Some(&letters)) = (words.first(), words.get(1), words.last())
    else {
        return refuse(line, "a device, its MTU, counters and flags");
    };
    let what = "a device, its MTU, counters and flags";
    let Ok(mtu) = shown.parse() else { return refuse(line, what) };
    if line.contains("- no statistics available -") {
        // An alias: what is said of it is said of its device.
        return Ok(("", Read::Ignored));
    }
    let counts = words.get(2 + usize::from(metric)..words.len().saturating_sub(1));
    let counts: Vec<u64> =
        counts.unwrap_or_default().iter().filter_map(|count| count.parse().ok()).collect();
    let ([rx @ .., _, _, _, _], [_, _, _, _, tx @ ..]) = (counts.as_slice(), counts.as_slice())
    else {
        return refuse(line, what);
    };
    if counts.len() != 8 || !letters.bytes().all(|b| b.is_ascii_alphabetic()) {
        return refuse(line, what);
    }
    let mut link = Link::named(Span::of(text, line), At::new(name.into(), Span::of(text, name)));
    link.mtu = Some(At::new(mtu, Span::of(text, shown)));
    let flags = letters.chars().filter_map(|letter| {
        Some(match letter {
            'A' => "ALLMULTI",
            'B' => "BROADCAST",
            'L' => "LOOPBACK",
            'M' => "MULTICAST",
            'O' => "NOARP",
            'R' => "RUNNING",
            'U' => "UP",
            'm' => "MASTER",
            's' => "SLAVE",
            // `P` is PROMISC and POINTOPOINT.
            _ => return None,
        })
    });
    link.flags = At::new(lines::as_ip(flags), Span::of(text, letters));
    let named = |counts: &[u64]| {
        let names = ["packets", "errors", "dropped", "overrun"];
        names.iter().zip(counts).map(|(name, count)| (Name::const_new(name), *count)).collect()
    };
    link.stats = Some(LinkStats { at: Span::of(text, line), rx: named(rx), tx: named(tx) });
    Ok(("", Read::Took(link)))
}
