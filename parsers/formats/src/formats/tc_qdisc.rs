//! `tc qdisc show`: the queues of devices.
//!
//! Source of the format: iproute2 `tc/tc_qdisc.c` (`print_qdisc`), `tc/q_*.c`; 3.x to 6.x.
//!
//! ```text
//! qdisc noqueue 0: dev lo root refcnt 2
//!  Sent 0 bytes 0 pkt (dropped 0, overlimits 0 requeues 0)
//!  backlog 0b 0p requeues 0
//! qdisc netem 8001: dev eth0 root refcnt 2 limit 1000 loss 100%
//! qdisc clsact ffff: dev eth1 parent ffff:fff1
//! ```
//!
//! Of one device `dev` is not printed. Options are words of the kind, not always in pairs.
use tapline_core::capture::FormatId;
use tapline_core::outcome::Outcome;
use tapline_core::records::tc::Qdisc;
use tapline_core::records::{Batch, Field};
use tapline_core::request::{Request, Topic};
use tapline_core::span::Span;

use super::tc::TcCommand;
use crate::format::{Ends, Format, Per};
use crate::keyed::{at, bare, name, token};
use crate::lines::{Read, bodies, each_block, finish};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("tc-qdisc-show"),
    command: "tc qdisc show",
    collect: &[Per::Host.run("tc -s qdisc show"), Per::Namespace.run("tc -s qdisc show")],
    claims: |command| {
        let asked = TcCommand::listing(command, "qdisc")?;
        let filtered = asked.args.iter().any(|word| word != "invisible");
        Some(Request::filtered(&[Topic::Qdiscs], filtered).about(asked.dev.as_deref()))
    },
    sniff: |head| {
        let first = bodies(head).find(|body| !body.is_empty()).unwrap_or_default();
        let like = first.starts_with("qdisc ")
            && [" dev ", ": root", ": parent "].iter().any(|word| first.contains(word));
        if like { 90 } else { 0 }
    },
    read: |text, _| parse(text).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole output.
pub(crate) fn parse(text: &str) -> Outcome<Vec<Qdisc>> {
    let mut out = Outcome::default();
    each_block(text, &mut out, |line| qdisc(text, line), |_, line| below(line), |_, ()| {});
    finish(text, &mut out);
    out
}

/// The line of one.
fn qdisc<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Qdisc>> {
    let (mut input, word) = token(line)?;
    if word != "qdisc" {
        return refuse(line, "`qdisc`, a kind and a handle");
    }
    let (rest, kind) = name(text, input, "a kind of queue")?;
    let (rest, handle) = bare(rest, "a handle such as `8001:`")?;
    if !handle.ends_with(':') {
        return refuse(input, "a handle such as `8001:`");
    }
    input = rest;
    let mut qdisc = Qdisc {
        at: Span::of(text, line),
        kind,
        handle,
        dev: None,
        parent: None,
        loss: None,
        other: Vec::new(),
    };
    while let Ok((rest, key)) = token(input) {
        input = rest;
        match key {
            "dev" if qdisc.dev.is_none() => {
                let (rest, dev) = name(text, rest, "a device after `dev`")?;
                (qdisc.dev, input) = (Some(dev), rest);
            }
            "parent" if qdisc.parent.is_none() => {
                let (rest, parent) = bare(rest, "a class after `parent`")?;
                (qdisc.parent, input) = (Some(parent), rest);
            }
            "loss" | "corrupt" if qdisc.kind.value == "netem" => {
                let (mut rest, mut share) = name(text, rest, "a share of packets")?;
                if !share.value.ends_with('%') {
                    // `loss state P13 1% …`, `loss gemodel p 1% …`: models of their own.
                    while let Ok((after, word)) = token(rest) {
                        if word.ends_with('%') {
                            share = at(text, word);
                        } else if !word.starts_with(['p', 'r', '1', 'P']) {
                            break;
                        }
                        rest = after;
                    }
                    share.value = "some".into();
                }
                if key == "loss" || qdisc.loss.is_none() {
                    qdisc.loss = Some(share);
                }
                input = rest;
            }
            key => qdisc.other.push(Field { key: key.into(), value: at(text, key) }),
        }
    }
    for field in &mut qdisc.other {
        field.value.value = tapline_core::Name::default();
    }
    Ok((input, Read::Took(qdisc)))
}

/// Counters and tables of the kinds.
fn below(line: &str) -> Parsed<'_, Read<()>> {
    let line = line.trim_start();
    let looks = line.starts_with(|c: char| c.is_ascii_alphanumeric() || "(*[".contains(c));
    if looks { Ok(("", Read::Ignored)) } else { refuse(line, "counters of the queue above") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::capture::Command;

    fn reads(text: &str) -> Outcome<Vec<Qdisc>> {
        parse(text)
    }

    #[test]
    fn queues_hooks_and_what_loses_packets() {
        let out = reads(
            "qdisc noqueue 0: dev lo root refcnt 2 \n Sent 0 bytes 0 pkt (dropped 0, overlimits 0 requeues 0) \n \
             backlog 0b 0p requeues 0\n\
             qdisc netem 8001: dev eth0 root refcnt 2 limit 1000 delay 10ms loss 100%\n\
             qdisc netem 10: dev eth1 parent 1:10 limit 1000 loss gemodel p 1% r 2% 1-h 3% 1-k 4%\n\
             qdisc netem 8002: dev eth2 root refcnt 2 limit 1000 corrupt 5%\n\
             qdisc clsact ffff: dev eth1 parent ffff:fff1 ingress_block 7 \n",
        );
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        let shown: Vec<_> = out
            .records
            .iter()
            .map(|qdisc| {
                let dev = qdisc.dev.as_ref().map_or("", |dev| dev.value.as_str());
                let loss = qdisc.loss.as_ref().map_or("", |loss| loss.value.as_str());
                (qdisc.kind.value.as_str(), dev, qdisc.parent.as_deref().unwrap_or_default(), loss)
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("noqueue", "lo", "", ""),
                ("netem", "eth0", "", "100%"),
                ("netem", "eth1", "1:10", "some"),
                ("netem", "eth2", "", "5%"),
                ("clsact", "eth1", "ffff:fff1", ""),
            ]
        );
        let other: Vec<_> = out.records[4].other.iter().map(|field| field.key.as_str()).collect();
        assert_eq!(other, ["ingress_block", "7"]);
    }

    #[test]
    fn of_one_device_it_is_a_part_and_prose_is_a_problem() {
        let request = (FORMAT.claims)(&Command::new("tc -s qdisc show dev ens3")).unwrap();
        assert_eq!((request.filtered, request.object.as_deref()), (true, Some("ens3")));
        let out = reads("qdisc mq 0: root \n Sent 0 bytes\n");
        assert!(out.completeness.is_complete());
        assert_eq!((out.records.len(), out.problems.len()), (1, 0));
        let out = reads("qdisc noqueue 0: dev lo root refcnt 2\nand more\nqdisc pfifo\n");
        assert_eq!((out.records.len(), out.lines.unread), (1, 2));
        assert!(reads("").completeness.is_complete());
        assert!(reads("RTNETLINK answers: Operation not permitted\n").completeness.is_failed());
    }
}
