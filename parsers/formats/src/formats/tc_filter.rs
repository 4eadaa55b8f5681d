//! `tc filter show dev DEV ingress`: what filters do at the hooks of a device.
//!
//! Source of the format: iproute2 `tc/tc_filter.c` (`print_filter`), `tc/f_*.c`, `tc/m_*.c`; 3.x to 6.x.
//!
//! ```text
//! filter protocol ip pref 10 flower chain 0
//! filter protocol ip pref 10 flower chain 0 handle 0x1
//!   eth_type ipv4
//!   ip_proto tcp
//!   dst_port 80
//!   not_in_hw
//!     action order 1: gact action drop
//!      random type none pass val 0
//!      index 1 ref 1 bind 1
//! filter parent ffff: protocol all pref 49 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 flowid :1 not_in_hw
//!   match 00000000/00000000 at 0
//!  police 0x1 rate 8Mbit burst 1Mb mtu 64Kb action drop overhead 0b
//! filter protocol all pref 1 bpf chain 0 handle 0x1 prog.o:[from-container] direct-action not_in_hw id 7 tag a7a9 jited
//! ```
//!
//! The first line of a kind and the tables of `u32` (`ht divisor`) are no filters.
use tapline_core::Name;
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::tc::{TcAction, TcFilter};
use tapline_core::records::{Batch, Field};
use tapline_core::request::{Request, Topic};
use tapline_core::span::Span;

use super::tc::TcCommand;
use crate::format::{Ends, Format, Per};
use crate::keyed::{at, bare, name, token, typed};
use crate::lines::{Read, bodies, each_block, finish};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("tc-filter-show"),
    command: "tc filter show dev DEV ingress",
    collect: &[
        Per::Device.run("tc filter show dev {} ingress"),
        Per::Device.run("tc filter show dev {} egress"),
    ],
    claims: |command| {
        let asked = TcCommand::listing(command, "filter")?;
        Some(Request::part(&[Topic::TcFilters]).about(asked.dev.as_deref()))
    },
    sniff: |head| {
        let first = bodies(head).find(|body| !body.is_empty()).unwrap_or_default();
        if first.starts_with("filter ") && first.contains(" pref ") { 90 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<TcFilter>> {
    let mut out = Outcome::default();
    each_block(
        text,
        &mut out,
        |line| head(text, line),
        |filter, line| below(text, filter.actions.is_empty(), line),
        |filter: &mut TcFilter, part| match part {
            Part::Match(field) => filter.matches.push(field),
            Part::Other(field) => filter.other.push(field),
            Part::Action(action) => filter.actions.push(action),
            Part::OfAction(field) => {
                if let Some(action) = filter.actions.last_mut() {
                    action.other.push(field);
                }
            }
        },
    );
    finish(text, &mut out);
    out
}

/// The first line of a filter.
fn head<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<TcFilter>> {
    let (mut input, word) = token(line)?;
    if word != "filter" {
        return refuse(line, "`filter`, a protocol and a `pref`");
    }
    let (mut dev, mut parent, mut protocol) = (None, None, None);
    let pref = loop {
        let (rest, key) = token(input)?;
        input = match key {
            "dev" => crate::keyed::set(&mut dev, name(text, rest, "a device after `dev`")?),
            "block" => {
                let (rest, number) = name(text, rest, "a number after `block`")?;
                let shown = format!("block {}", number.value);
                dev = Some(tapline_core::span::At::new(Name::from(shown), number.span));
                rest
            }
            "root" | "ingress" | "egress" => {
                parent = Some(Name::from(key));
                rest
            }
            "parent" => crate::keyed::set(&mut parent, bare(rest, "a handle after `parent`")?),
            "protocol" => crate::keyed::set(&mut protocol, name(text, rest, "a protocol")?),
            "pref" => {
                let (rest, pref) = typed(rest, "a number after `pref`")?;
                input = rest;
                break pref;
            }
            _ => return refuse(input, "`protocol` and `pref`"),
        };
    };
    let Some(protocol) = protocol else { return refuse(input, "a protocol before `pref`") };
    let (rest, kind) = name(text, input, "a kind of filter")?;
    input = rest;
    let mut filter = TcFilter {
        at: Span::of(text, line),
        dev,
        parent,
        protocol,
        pref,
        kind,
        chain: 0,
        handle: None,
        matches: Vec::new(),
        actions: Vec::new(),
        other: Vec::new(),
    };
    while let Ok((rest, key)) = token(input) {
        input = match key {
            "chain" => {
                let (rest, chain) = typed(rest, "a number after `chain`")?;
                filter.chain = chain;
                rest
            }
            "handle" | "fh" => crate::keyed::set(&mut filter.handle, bare(rest, "a handle")?),
            // A table of `u32`, no filter.
            "divisor" => {
                filter.handle = None;
                let (rest, _) = bare(rest, "a number after `divisor`")?;
                rest
            }
            key => {
                filter.other.push(Field { key: key.into(), value: at(text, key) });
                rest
            }
        };
    }
    for field in &mut filter.other {
        field.value.value = Name::default();
    }
    Ok((input, Read::Took(filter)))
}

/// What a line below a head says.
enum Part {
    Match(Field),
    Other(Field),
    Action(TcAction),
    OfAction(Field),
}

/// A line below a head: conditions stand before the actions.
fn below<'a>(text: &str, before_actions: bool, line: &'a str) -> Parsed<'a, Read<Part>> {
    let body = line.trim();
    let whole = |part: &str| at(text, part);
    if let Some(rest) = body.strip_prefix("action order ")
        && let Some((_, rest)) = rest.split_once(':')
    {
        let Ok((does, kind)) = token(rest.trim_start()) else {
            return refuse(line, "an action after its number");
        };
        let action = TcAction { kind: whole(kind), text: whole(does), other: Vec::new() };
        return Ok(("", Read::Took(Part::Action(action))));
    }
    if let Some(rest) = body.strip_prefix("police ")
        && rest.starts_with("0x")
    {
        let kind = body.get(.."police".len()).unwrap_or(body);
        let action = TcAction { kind: whole(kind), text: whole(rest), other: Vec::new() };
        return Ok(("", Read::Took(Part::Action(action))));
    }
    let (key, value) = body.split_once([' ', '\t']).unwrap_or((body, ""));
    let value = value.trim_start();
    let counts =
        matches!(key, "Sent" | "backlog" | "rate" | "Action" | "installed" | "used_hw_stats")
            || key.starts_with('(');
    if counts {
        return Ok(("", Read::Ignored));
    }
    let looks = |c: char| c.is_ascii_alphanumeric() || "_-.:/()".contains(c);
    if key.is_empty() || !key.chars().all(looks) {
        return refuse(line, "a condition, an action or counters of the filter above");
    }
    let field =
        Field { key: key.into(), value: at(text, if value.is_empty() { key } else { value }) };
    let of_hardware = matches!(key, "not_in_hw" | "in_hw" | "skip_hw" | "skip_sw");
    Ok((
        "",
        Read::Took(match before_actions {
            true if of_hardware => Part::Other(field),
            true => Part::Match(field),
            false => Part::OfAction(field),
        }),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str) -> Outcome<Vec<TcFilter>> {
        parse(text, &Command::new("tc -s filter show dev eth0 ingress"))
    }

    const SHOWN: &str = "\
filter protocol ip pref 10 flower chain 0 \n\
filter protocol ip pref 10 flower chain 0 handle 0x1 \n\
\x20 eth_type ipv4\n  ip_proto tcp\n  dst_ip 10.0.0.0/24\n  dst_port 80\n  in_hw in_hw_count 1\n\
\taction order 1: gact action drop\n\t random type none pass val 0\n\t index 1 ref 1 bind 1 installed 5 sec used 5 sec\n\
\tAction statistics:\n\tSent 60 bytes 1 pkt (dropped 1, overlimits 0 requeues 0) \n\tbacklog 0b 0p requeues 0\n\
\tcookie 0123456789abcdef0123456789abcdef\n\n\
filter parent ffff: protocol all pref 49 u32 chain 0 \n\
filter parent ffff: protocol all pref 49 u32 chain 0 fh 800: ht divisor 1 \n\
filter parent ffff: protocol all pref 49 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 flowid :1 not_in_hw  (rule hit 3 success 3)\n\
\x20 match 0a000000/ffffff00 at 16 (success 3 ) \n\
\x20 police 0x1 rate 8Mbit burst 1Mb mtu 64Kb action drop overhead 0b \n\tref 1 bind 1 \n\
filter protocol all pref 1 bpf chain 0 handle 0x1 bpf_lxc.o:[from-container] direct-action not_in_hw id 15843 tag a7a920f725fab0ef jited \n\
filter block 7 protocol all pref 5 matchall chain 0 handle 0x1 \n  not_in_hw\n\
\taction order 1: mirred (Egress Redirect to device eth1) stolen\n";

    #[test]
    fn filters_have_conditions_and_actions() {
        let out = reads(SHOWN);
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        let rules: Vec<_> = out.records.iter().filter(|filter| filter.handle.is_some()).collect();
        let [flower, u32, bpf, all] = rules.as_slice() else { panic!("{rules:#?}") };
        let matches = |filter: &TcFilter| {
            let shown = filter.matches.iter();
            shown.map(|field| format!("{} {}", field.key, field.value.value)).collect::<Vec<_>>()
        };
        assert_eq!(
            matches(flower),
            ["eth_type ipv4", "ip_proto tcp", "dst_ip 10.0.0.0/24", "dst_port 80"]
        );
        let actions = |filter: &TcFilter| {
            let shown = filter.actions.iter();
            shown.map(|one| format!("{} {}", one.kind.value, one.text.value)).collect::<Vec<_>>()
        };
        assert_eq!(actions(flower), ["gact action drop"]);
        assert_eq!(flower.actions[0].other.last().unwrap().key, "cookie");
        assert_eq!(matches(u32), ["match 0a000000/ffffff00 at 16 (success 3 )"]);
        assert_eq!(
            actions(u32),
            ["police 0x1 rate 8Mbit burst 1Mb mtu 64Kb action drop overhead 0b"]
        );
        assert_eq!((u32.parent.as_deref(), u32.pref), (Some("ffff:"), 49));
        assert_eq!(bpf.other[0].key, "bpf_lxc.o:[from-container]");
        assert_eq!(all.dev.as_ref().unwrap().value, "block 7");
        assert_eq!(actions(all), ["mirred (Egress Redirect to device eth1) stolen"]);
    }

    #[test]
    fn what_is_no_filter_is_a_problem() {
        let out =
            reads("filter protocol ip pref 10 flower chain 0 handle 0x1\nand more\nfilter ip\n");
        assert_eq!((out.records.len(), out.lines.unread), (1, 2), "{:?}", out.problems);
        assert_eq!(reads("  match 0/0 at 0\n").lines.unread, 1);
        assert!(reads("").completeness.is_complete());
        assert!(reads("Cannot find device \"eth9\"\n").completeness.is_failed());
    }
}
