//! `ethtool -i DEV`: the driver of a device.
//!
//! Source of the format: ethtool `ethtool.c` (`dump_drvinfo`); 3.x to 6.x.
//!
//! ```text
//! driver: veth
//! version: 1.0
//! firmware-version:
//! bus-info:
//! supports-statistics: yes
//! ```
use nom::Parser as _;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::space0;
use nom::sequence::terminated;
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::ethtool::NicDriver;
use tapline_core::records::{Batch, Field};
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::lines::{Read, bodies, finish, one_line};
use crate::nomx::{Parsed, must, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ethtool-i"),
    command: "ethtool -i DEV",
    collect: &[Per::Device.run("ethtool -i {}")],
    claims: |command| super::ethtool::asked(command, &["-i", "--driver"], &[]),
    sniff: |head| {
        let head = head.trim_start();
        if head.starts_with("driver: ") && head.contains("\nbus-info:") { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<NicDriver>> {
    let mut out = Outcome::default();
    let mut records = Vec::new();
    for body in bodies(text) {
        one_line(text, body, &mut out, &mut |line| field(text, &mut records, line));
    }
    finish(text, &mut out);
    super::ethtool::doubt(&mut out);
    out.map(|()| records)
}

/// `key: value`; the value may be missing. `driver` comes first.
fn field<'a>(text: &str, records: &mut Vec<NicDriver>, line: &'a str) -> Parsed<'a, Read<()>> {
    let key = take_while1(|c: char| c.is_ascii_alphanumeric() || c == '-');
    let (value, key) = terminated(key, (tag(":"), space0)).parse(line)?;
    let at = At::new(value.into(), Span::of(text, value));
    if key == "driver" {
        let (rest, _) = must("the name of a driver", crate::nomx::word).parse(value)?;
        let at_line = Span::of(text, line);
        records.push(NicDriver { at: at_line, driver: at, bus_info: None, other: Vec::new() });
        return Ok((rest, Read::Took(())));
    }
    let Some(record) = records.last_mut() else {
        return refuse(line, "`driver: …` above this line");
    };
    if key == "bus-info" {
        record.bus_info = Some(at);
    } else {
        record.other.push(Field { key: key.into(), value: at });
    }
    Ok(("", Read::Took(())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::capture::Completeness;

    fn reads(text: &str) -> Outcome<Vec<NicDriver>> {
        parse(text, &Command::new("ethtool -i veth0"))
    }

    #[test]
    fn values_may_be_missing() {
        let out = reads("driver: veth\nversion: 1.0\nfirmware-version: \nbus-info:\n");
        assert_eq!((out.lines.read, out.lines.unread), (4, 0));
        let [it] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!((it.driver.as_str(), it.bus_info.as_ref().unwrap().as_str()), ("veth", ""));
        let other: Vec<_> =
            it.other.iter().map(|other| (&*other.key, other.value.as_str())).collect();
        assert_eq!(other, [("version", "1.0"), ("firmware-version", "")]);
    }

    #[test]
    fn prose_is_a_problem_and_errors_are_failures() {
        let out = reads("driver: tun\nno colon here\nbus-info: tap\n");
        assert_eq!(out.lines.unread, 1);
        assert!(matches!(out.completeness, Completeness::Partial(_)));
        for text in
            ["Cannot get driver information: Operation not supported\n", "", "version: 1.0\n"]
        {
            assert!(reads(text).completeness.is_failed(), "{text:?}");
        }
    }
}
