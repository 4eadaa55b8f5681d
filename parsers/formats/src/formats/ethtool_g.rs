//! `ethtool -g DEV`: sizes of the rings.
//!
//! Source of the format: ethtool `ethtool.c` (`dump_ring`), `netlink/rings.c`; 2.6 to 6.x.
//!
//! ```text
//! Ring parameters for eth0:
//! Pre-set maximums:
//! RX:    4096
//! Current hardware settings:
//! RX:    512
//! TX Push:    off
//! ```
//!
//! Devices without rings are refused: `Operation not supported`, with or without the heading.
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::ethtool::{NicRings, Rings};
use tapline_core::records::{Batch, Field};
use tapline_core::request::Topic;
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::{Read, bodies, finish, one_line};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ethtool-g"),
    command: "ethtool -g DEV",
    collect: &[Per::Nic.run("ethtool -g {}")],
    claims: |command| super::ethtool::asked(command, &["-g", "--show-ring"], &[Topic::NicRings]),
    sniff: |head| if bodies(head).take(8).any(|body| heading(body).is_some()) { 95 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<NicRings>> {
    let mut out: Outcome<()> = Outcome::default();
    let mut reader = Reader { text, records: Vec::new(), current: None };
    for body in bodies(text) {
        one_line(text, body, &mut out, &mut |line| reader.line(line));
    }
    finish(text, &mut out);
    let mut records = reader.records;
    super::ethtool::no_content(&mut out, &mut records, |it| it.current != Rings::default());
    out.map(|()| records)
}

struct Reader<'a> {
    text: &'a str,
    records: Vec<NicRings>,
    /// Below which heading: `false` is the maximums.
    current: Option<bool>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) -> Parsed<'a, Read<()>> {
        let took = Ok(("", Read::Took(())));
        let text = self.text;
        if let Some(dev) = heading(line) {
            self.current = None;
            self.records.push(NicRings {
                at: Span::of(text, line),
                dev: at(text, dev),
                maximum: Rings::default(),
                current: Rings::default(),
            });
            return took;
        }
        let Some(record) = self.records.last_mut() else {
            return refuse(line, "`Ring parameters for …:` above this line");
        };
        match line {
            "Pre-set maximums:" => {
                self.current = Some(false);
                return took;
            }
            "Current hardware settings:" => {
                self.current = Some(true);
                return took;
            }
            _ => {}
        }
        let rings = match self.current {
            Some(true) => &mut record.current,
            Some(false) => &mut record.maximum,
            None => return refuse(line, "`Pre-set maximums:` or `Current hardware settings:`"),
        };
        let Some((key, value)) = line.split_once(':') else {
            return refuse(line, "`RX:` or another setting");
        };
        let value = value.trim_start();
        if value.contains([' ', '\t']) {
            return refuse(value, "one word for a value");
        }
        let slot = match key {
            "RX" => &mut rings.rx,
            "TX" => &mut rings.tx,
            _ => {
                rings.other.push(Field { key: key.into(), value: at(text, value) });
                return took;
            }
        };
        match value.parse() {
            Ok(size) => *slot = Some(At::new(size, Span::of(text, value))),
            Err(_) if value == "n/a" => {
                rings.other.push(Field { key: key.into(), value: at(text, value) });
            }
            Err(_) => return refuse(value, "a number of descriptors, or n/a"),
        }
        took
    }
}

/// The device of `Ring parameters for eth0:`.
fn heading(line: &str) -> Option<&str> {
    line.strip_prefix("Ring parameters for ")?.strip_suffix(':').filter(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::capture::Completeness;

    fn reads(text: &str) -> Outcome<Vec<NicRings>> {
        parse(text, &Command::new("ethtool -g eth0"))
    }

    const TEXT: &str = "Ring parameters for eth0:\nPre-set maximums:\nRX:\t\t4096\nRX Mini:\tn/a\n\
                        TX:             n/a\nCurrent hardware settings:\nRX:   512\nTX Push:\toff\n";

    #[test]
    fn maximums_and_current_sizes() {
        let out = reads(TEXT);
        assert_eq!((out.lines.read, out.lines.unread), (8, 0));
        assert!(out.completeness.is_complete());
        let [it] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!((it.maximum.rx.unwrap().value, it.current.rx.unwrap().value), (4096, 512));
        assert_eq!(TEXT.get(it.current.rx.unwrap().span.range()), Some("512"));
        assert_eq!(it.maximum.tx, None);
        assert_eq!(it.current.other[0].key, "TX Push");
    }

    #[test]
    fn failures_and_remarks() {
        for text in [
            "",
            "Cannot get device ring settings: Operation not supported\nRing parameters for br0:\n",
            "netlink error: No such device\n",
        ] {
            assert!(reads(text).completeness.is_failed(), "{text}");
        }
        let out = reads(&format!("{TEXT}TX:   512   // set by hand\nRX: many\n"));
        assert_eq!(out.lines.unread, 2);
        assert!(matches!(out.completeness, Completeness::Partial(_)));
    }
}
