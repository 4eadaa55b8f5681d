//! One rule: columns by the heading, then the words of the matches.
use std::net::IpAddr;

use nom::Parser as _;
use tapline_core::Name;
use tapline_core::records::netfilter::NetfilterRule;
use tapline_core::span::Span;

use super::words::words;
use crate::formats::netfilter::understand;
use crate::keyed::at;
use crate::nomx::{Parsed, must, refuse, word_gap};

/// Which columns there are; the others always are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    /// `num`.
    number: bool,
    /// `pkts` and `bytes`.
    counters: bool,
    /// `in` and `out`.
    pub(super) devices: bool,
}

impl Columns {
    /// Reads the heading.
    pub(super) fn of(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace().peekable();
        let number = words.next_if_eq(&"num").is_some();
        let counters = words.next_if_eq(&"pkts").is_some();
        if counters {
            words.next_if_eq(&"bytes")?;
        }
        for it in ["target", "prot", "opt"] {
            words.next_if_eq(&it)?;
        }
        let devices = words.next_if_eq(&"in").is_some();
        if devices {
            words.next_if_eq(&"out")?;
        }
        words.eq(["source", "destination"]).then_some(Self { number, counters, devices })
    }
}

/// Without a target its column is blank: this many blanks are no gap between columns.
const NO_TARGET: usize = 9;

/// Reads one rule.
pub(super) fn rule<'a>(
    text: &str,
    line: &'a str,
    columns: Columns,
    chain: Name,
) -> Parsed<'a, NetfilterRule> {
    let mut rule = NetfilterRule {
        at: Span::of(text, line),
        chain,
        counters: None,
        matches: Vec::new(),
        conditions: Vec::new(),
        target: None,
        goto: false,
        target_options: Vec::new(),
        action: None,
    };
    let mut input = line;
    if columns.number {
        let (rest, number) = word(input, "the number of the rule")?;
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return refuse(number, "the number of the rule");
        }
        input = rest;
    }
    if columns.counters {
        let (rest, packets) = word(input, "packets")?;
        let (rest, bytes) = word(rest, "bytes after the packets")?;
        let (Some(packets), Some(bytes)) = (count(packets), count(bytes)) else {
            return refuse(line, "packets and bytes");
        };
        rule.counters = Some((packets, bytes));
        input = rest;
    }
    if input.len() - input.trim_start().len() < NO_TARGET {
        let (rest, target) = word(input, "a target")?;
        rule.target = Some(at(text, target));
        input = rest;
    }
    let (rest, protocol) = word(input, "a protocol")?;
    input = rest;
    let mut fragments = "--";
    if let Ok((rest, opt)) = word(input, "")
        && is_opt(opt)
    {
        fragments = opt;
        input = rest;
    }
    let (mut from, mut to) = ("*", "*");
    if columns.devices {
        (input, from) = word(input, "a device that packets come from")?;
        (input, to) = word(input, "a device that packets go to")?;
    }
    let (rest, source) = word(input, "a source")?;
    let (rest, destination) = word(rest, "a destination")?;
    for (option, shown) in [("-s", source), ("-d", destination)] {
        argument(&mut rule.matches, option, shown, |it| match it {
            "anywhere" | "0.0.0.0/0" | "::/0" => None,
            _ => Some(match it.parse() {
                Ok(IpAddr::V4(_)) => format!("{it}/32").into(),
                Ok(IpAddr::V6(_)) => format!("{it}/128").into(),
                Err(_) => it.into(),
            }),
        });
    }
    for (option, shown) in [("-i", from), ("-o", to)] {
        argument(&mut rule.matches, option, shown, |it| {
            (!matches!(it, "*" | "any")).then(|| it.into())
        });
    }
    argument(&mut rule.matches, "-p", protocol, name_of_protocol);
    match fragments {
        "-f" => rule.matches.push("-f".into()),
        "!f" => rule.matches.extend(["!".into(), "-f".into()]),
        _ => {}
    }
    words(rest.trim(), &mut rule);
    understand(&mut rule);
    Ok(("", rule))
}

/// A word behind any blanks; the blanks behind it are left.
fn word<'a>(input: &'a str, what: &'static str) -> Parsed<'a, &'a str> {
    let (_, found) = must(what, word_gap).parse(input.trim_start())?;
    let end = Span::of(input, found).end as usize;
    Ok((input.get(end..).unwrap_or_default(), found))
}

fn is_opt(word: &str) -> bool {
    matches!(word, "--" | "-f" | "!f" | "!-")
}

/// Adds an option and its value; a `!` before the value goes before the option.
fn argument(
    matches: &mut Vec<Name>,
    option: &str,
    shown: &str,
    value: impl FnOnce(&str) -> Option<Name>,
) {
    let bare = shown.strip_prefix('!');
    let Some(value) = value(bare.unwrap_or(shown)) else { return };
    if bare.is_some() {
        matches.push("!".into());
    }
    matches.push(option.into());
    matches.push(value);
}

/// Since 1.8.9 `-n` prints numbers.
fn name_of_protocol(shown: &str) -> Option<Name> {
    let name = match shown {
        "all" | "0" => return None,
        "1" => "icmp",
        "2" => "igmp",
        "6" => "tcp",
        "17" => "udp",
        "47" => "gre",
        "50" => "esp",
        "51" => "ah",
        "58" => "ipv6-icmp",
        "112" => "vrrp",
        "132" => "sctp",
        other => other,
    };
    Some(name.into())
}

/// `497K`: thousands, millions, …, rounded by the tool.
pub(super) fn count(shown: &str) -> Option<u64> {
    let (number, unit) = match shown.split_at_checked(shown.len().checked_sub(1)?)? {
        (number, "K") => (number, 1_000),
        (number, "M") => (number, 1_000_000),
        (number, "G") => (number, 1_000_000_000),
        (number, "T") => (number, 1_000_000_000_000),
        (number, "P") => (number, 1_000_000_000_000_000),
        _ => (shown, 1),
    };
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(unit)
}
