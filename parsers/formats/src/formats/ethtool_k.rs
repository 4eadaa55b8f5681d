//! `ethtool -k DEV`: features of a device.
//!
//! Source of the format: ethtool `ethtool.c` (`dump_features`), `netlink/features.c`; 2.6 to 6.x.
//!
//! ```text
//! Features for eth0:
//! rx-checksumming: on [fixed]
//! tx-checksumming: on
//!     tx-checksum-ipv4: off [requested on]
//! ```
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::ethtool::{Feature, NicFeatures};
use tapline_core::request::Topic;
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::{Read, bodies, finish, one_line};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ethtool-k"),
    command: "ethtool -k DEV",
    collect: &[Per::Nic.run("ethtool -k {}")],
    claims: |command| {
        let options = ["-k", "--show-features", "--show-offload"];
        super::ethtool::asked(command, &options, &[Topic::NicFeatures])
    },
    sniff: |head| if bodies(head).take(8).any(|body| heading(body).is_some()) { 95 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<NicFeatures>> {
    let mut out: Outcome<()> = Outcome::default();
    let mut records = Vec::new();
    for body in bodies(text) {
        one_line(text, body, &mut out, &mut |line| read(text, &mut records, line));
    }
    finish(text, &mut out);
    super::ethtool::no_content(&mut out, &mut records, |it| !it.features.is_empty());
    out.map(|()| records)
}

fn read<'a>(text: &str, records: &mut Vec<NicFeatures>, line: &'a str) -> Parsed<'a, Read<()>> {
    if let Some(dev) = heading(line) {
        let dev = at(text, dev);
        records.push(NicFeatures { at: Span::of(text, line), dev, features: Vec::new() });
        return Ok(("", Read::Took(())));
    }
    let Some((name, shown)) = line.trim_start().split_once(": ") else {
        return refuse(line, "`feature: on` or `feature: off`");
    };
    let mut words = shown.split(' ');
    let word = words.next().unwrap_or_default();
    let on = match word {
        "on" => true,
        "off" => false,
        _ => return refuse(line, "`on` or `off` after the feature"),
    };
    let (fixed, requested) = match shown.get(word.len()..).unwrap_or_default().trim() {
        "" => (false, None),
        "[fixed]" => (true, None),
        "[requested on]" => (false, Some(true)),
        "[requested off]" => (false, Some(false)),
        "[not requested]" => (false, Some(!on)),
        _ => return refuse(shown, "`[fixed]`, `[requested …]` or nothing"),
    };
    let Some(record) = records.last_mut() else {
        return refuse(line, "`Features for …:` above this line");
    };
    let on = At::new(on, Span::of(text, word));
    record.features.push(Feature { name: name.into(), on, fixed, requested });
    Ok(("", Read::Took(())))
}

/// The device of `Features for eth0:`; `Offload parameters for eth0:` before 3.0.
fn heading(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("Features for ");
    let rest = rest.or_else(|| line.strip_prefix("Offload parameters for "))?;
    rest.strip_suffix(':').filter(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::capture::Completeness;

    fn reads(text: &str) -> Outcome<Vec<NicFeatures>> {
        parse(text, &Command::new("ethtool -k eth0"))
    }

    #[test]
    fn features_are_on_or_off() {
        let text = "Features for eth0:\nrx-checksumming: on [fixed]\n\
                    \ttx-checksum-ipv4: off [requested on]\nlarge-receive-offload: off\n";
        let out = reads(text);
        assert!(out.completeness.is_complete());
        let [it] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!(it.dev.as_str(), "eth0");
        let rx = it.feature("rx-checksumming").unwrap();
        assert!(rx.on.value && rx.fixed && rx.requested.is_none());
        assert_eq!(text.get(rx.on.span.range()), Some("on"));
        let tx = it.feature("tx-checksum-ipv4").unwrap();
        assert_eq!((tx.on.value, tx.fixed, tx.requested), (false, false, Some(true)));
        assert_eq!(it.feature("nosuch"), None);
    }

    #[test]
    fn failures_and_gaps() {
        for text in
            ["", "netlink error: No such device\n", "Features for x:\n", "tx-nocache-copy: off\n"]
        {
            assert!(reads(text).completeness.is_failed(), "{text}");
        }
        let out = reads("Offload parameters for eth0:\n...\nrx: maybe\nntuple-filters: off\n");
        assert_eq!((out.records[0].features.len(), out.lines.unread), (1, 2));
        assert!(matches!(out.completeness, Completeness::Partial(_)));
        assert!(FORMAT.reads(&Command::new("ethtool --show-offload eth0")));
        assert!(!FORMAT.reads(&Command::new("ethtool -K eth0 tx off")));
    }
}
