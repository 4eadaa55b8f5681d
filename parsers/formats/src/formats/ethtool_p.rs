//! `ethtool -P DEV`: the address that a NIC was made with.
//!
//! Source of the format: ethtool `ethtool.c` and `netlink/permaddr.c`; 3.x to 6.x. Devices without
//! such an address have zeros before 5.6, and `not set` since.
//!
//! ```text
//! Permanent address: 52:54:00:aa:bb:cc
//! ```
use tapline_core::capture::{Command, FormatId};
use tapline_core::ids::Mac;
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::ethtool::NicAddress;
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format};
use crate::lines::{Read, bodies, each_line, finish};
use crate::nomx::{Parsed, refuse};

const KEY: &str = "Permanent address:";

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ethtool-P"),
    command: "ethtool -P DEV",
    // Nothing is judged by it.
    collect: &[],
    claims: |command| super::ethtool::asked(command, &["-P", "--show-permaddr"], &[]),
    sniff: |head| {
        let first = bodies(head).find(|body| !body.is_empty());
        if first.is_some_and(|line| line.starts_with(KEY)) { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<NicAddress>> {
    let mut out = Outcome::default();
    each_line(text, &mut out, |line| address(text, line));
    finish(text, &mut out);
    super::ethtool::doubt(&mut out);
    out
}

fn address<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<NicAddress>> {
    let what = "`Permanent address: …`";
    let Some(value) = line.strip_prefix(KEY).map(str::trim) else { return refuse(line, what) };
    let mac = match value {
        "not set" => None,
        value => match value.parse::<Mac>() {
            // None, in the words of older kernels.
            Ok(mac) if mac.is_zero() => None,
            Ok(mac) => Some(At::new(mac, Span::of(text, value))),
            // InfiniBand has longer ones.
            Err(_) if is_long(value) => None,
            Err(_) => return refuse(line, what),
        },
    };
    Ok(("", Read::Took(NicAddress { at: Span::of(text, line), mac })))
}

/// Twenty bytes.
fn is_long(value: &str) -> bool {
    let mut bytes = value.split(':');
    bytes.clone().count() == 20
        && bytes.all(|byte| byte.len() == 2 && byte.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let long = (0..20).map(|n| format!("{n:02x}")).collect::<Vec<_>>().join(":");
        for (value, mac) in [
            ("52:54:00:aa:bb:cc", Some("52:54:00:aa:bb:cc")),
            ("00:00:00:00:00:00", None),
            ("not set", None),
            (long.as_str(), None),
        ] {
            let command = Command::new("ethtool -P eth0");
            let text = format!("Permanent address: {value}\n");
            assert!(FORMAT.reads(&command) && (FORMAT.sniff)(&text) > 50);
            let out = parse(&text, &command);
            let [it] = out.records.as_slice() else { panic!("{out:?}") };
            assert_eq!(it.mac.as_ref().map(|mac| mac.value.to_string()).as_deref(), mac);
            assert!(out.completeness.is_complete());
        }
        for text in ["", "Cannot get permanent address: No such device\n", "Permanent address: x\n"]
        {
            let out = parse(text, &Command::new("ethtool -P eth0"));
            assert!(out.records.is_empty() && out.completeness.is_failed(), "{text}{out:?}");
        }
    }
}
