//! `ethtool -S DEV`: counters of the driver.
//!
//! Source of the format: ethtool `ethtool.c` (`do_gstats`), `netlink/stats.c`; 3.x to 6.x.
//!
//! ```text
//! NIC statistics:
//!      peer_ifindex: 16
//!      rxq0: rx_pkts: 5000000
//! ```
//!
//! The names are the driver's and may hold blanks and colons. The driver veth prints the index of
//! the other end, in a namespace that is not told; 0 where there is none. A device without
//! counters prints `no stats available` instead.
use nom::Parser as _;
use nom::bytes::complete::tag;
use nom::character::complete::{space0, u64 as decimal};
use nom::combinator::all_consuming;
use nom::sequence::preceded;
use tapline_core::capture::{Command, FormatId};
use tapline_core::ids::IfIndex;
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::ethtool::{Counter, NicStats};
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::lines::{Read, each_block, finish};
use crate::nomx::{Parsed, must, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ethtool-S"),
    command: "ethtool -S DEV",
    collect: &[Per::Device.run("ethtool -S {}")],
    claims: |command| super::ethtool::asked(command, &["-S", "--statistics"], &[]),
    sniff: |head| if head.trim_start().starts_with("NIC statistics:") { 95 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<NicStats>> {
    let mut out = Outcome::default();
    each_block(
        text,
        &mut out,
        |line| head(text, line),
        |_, line| counter(text, line),
        |stats, counter| match u32::try_from(counter.value.value) {
            Ok(index) if counter.name == "peer_ifindex" && index != 0 => {
                stats.peer_ifindex = Some(At::new(IfIndex(index), counter.value.span));
            }
            _ => stats.counters.push(counter),
        },
    );
    finish(text, &mut out);
    super::ethtool::doubt(&mut out);
    out
}

/// The heading. `Standard stats for eth0:` stands over those asked for by `--groups`.
fn head<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<NicStats>> {
    if line != "NIC statistics:"
        && !(line.starts_with("Standard stats for ") && line.ends_with(':'))
    {
        return refuse(line, "`NIC statistics:`");
    }
    let stats = NicStats { at: Span::of(text, line), peer_ifindex: None, counters: Vec::new() };
    Ok(("", Read::Took(stats)))
}

/// `     name: 1`. The value stands behind the last colon.
fn counter<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Counter>> {
    let line = line.trim_start();
    let Some(colon) = line.rfind(':') else { return refuse(line, "`name: value`") };
    let (name, value) = line.split_at(colon);
    let (_, number) = must(
        "a number after the name of the counter",
        all_consuming(preceded((tag(":"), space0), decimal)),
    )
    .parse(value)?;
    let digits = value.get(1..).unwrap_or_default().trim_start();
    let value = At::new(number, Span::of(text, digits));
    Ok(("", Read::Took(Counter { name: name.trim_end().into(), value })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::capture::Completeness;

    fn reads(text: &str) -> Outcome<Vec<NicStats>> {
        parse(text, &Command::new("ethtool -S veth0"))
    }

    #[test]
    fn a_veth_tells_its_peer_and_names_may_hold_colons() {
        let text =
            "NIC statistics:\n     peer_ifindex: 16\n     rxq0: rx_pkts: 5\n     [1]: a b: 7\n";
        let out = reads(text);
        assert_eq!((out.lines.read, out.lines.unread), (4, 0));
        assert!(out.completeness.is_complete());
        let [stats] = out.records.as_slice() else { panic!("{out:?}") };
        let peer = stats.peer_ifindex.unwrap();
        assert_eq!((peer.value, text.get(peer.span.range()).unwrap()), (IfIndex(16), "16"));
        let shown: Vec<_> =
            stats.counters.iter().map(|counter| (&*counter.name, *counter.value)).collect();
        assert_eq!(shown, [("rxq0: rx_pkts", 5), ("[1]: a b", 7)]);
    }

    #[test]
    fn index_zero_is_no_peer() {
        let out = reads("NIC statistics:\n     peer_ifindex: 0\n");
        assert_eq!(out.records[0].peer_ifindex, None);
        assert_eq!(out.records[0].counters.len(), 1);
    }

    #[test]
    fn what_is_no_counter_is_a_problem() {
        let out =
            reads("NIC statistics:\n     rx: many\n     ...\n     tx: 99999999999999999999\n");
        assert_eq!((out.lines.read, out.lines.unread), (1, 3));
        assert!(matches!(out.completeness, Completeness::Partial(_)));
    }

    #[test]
    fn errors_and_silence_are_failures() {
        for text in [
            "no stats available\n",
            "Cannot get stats strings information: No such device\n",
            "",
            "no stats avilable\n",
        ] {
            let out = reads(text);
            assert!(out.completeness.is_failed(), "{text:?}");
            assert!(out.records.is_empty());
        }
    }
}
