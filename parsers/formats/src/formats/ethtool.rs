//! `ethtool DEV`: settings of a link; and what the readers of `ethtool` share.
//!
//! Source of the format: ethtool `ethtool.c` (`dump_ecmd`), `netlink/settings.c`; 3.x to 6.x.
//!
//! ```text
//! Settings for eth0:
//!     Supported link modes:   100baseT/Full
//!                             1000baseT/Full
//!     Speed: 1000Mb/s
//!     Link detected: yes
//! ```
//!
//! Each part is asked of the driver for itself, and what it refuses is told in a line of its own
//! (`Cannot get wake-on-lan settings: Operation not permitted`, `netlink error: …`), since they go
//! to another stream often ahead of the heading. A device of the kernel's own (`lo`) may have
//! nothing but `Link detected`. Lines are indented by tabs or blanks.
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Outcome, ProblemKind};
use tapline_core::records::ethtool::NicSettings;
use tapline_core::records::{Batch, Field};
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::lines::{Read, bodies, one_line};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ethtool"),
    command: "ethtool DEV",
    collect: &[Per::Device.run("ethtool {}")],
    claims: |command| {
        let is = command.program() == "ethtool"
            && option(command).is_none()
            && !command.args().is_empty();
        is.then(|| Request::default().about(device(command)))
    },
    sniff: |head| {
        let mut lines = bodies(head).filter(|body| !body.is_empty());
        if lines.by_ref().take(16).any(|line| heading(line).is_some()) { 90 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// The option that says what `ethtool` is to show; `None` for the settings (`ethtool DEV`).
pub(super) fn option(command: &Command) -> Option<&str> {
    const ABOUT_OUTPUT: &[&str] = &["--json", "-j", "-I", "--include-statistics"];
    let mut words = command.args().iter().map(String::as_str);
    let mut word = words.next()?;
    loop {
        if word == "--debug" {
            words.next();
        } else if !ABOUT_OUTPUT.contains(&word) {
            return word.starts_with('-').then_some(word);
        }
        word = words.next()?;
    }
}

/// What `ethtool OPTION DEV` asks, where the option is one of these.
pub(super) fn asked(command: &Command, options: &[&str], topics: &[Topic]) -> Option<Request> {
    let is = command.program() == "ethtool"
        && option(command).is_some_and(|option| options.contains(&option));
    is.then(|| Request::whole(topics).about(device(command)))
}

/// The device that `ethtool` is asked of.
fn device(command: &Command) -> Option<&str> {
    command.args().last().map(String::as_str).filter(|word| !word.starts_with('-'))
}

/// A device always has an answer, so silence is a failure; after unread lines nothing follows
/// from what is not listed.
pub(super) fn doubt<T>(out: &mut Outcome<T>) {
    let doubt = match (out.lines.read, out.lines.unread) {
        (0, 0) => Completeness::Failed("no output".to_owned()),
        (0, _) => Completeness::Failed("no line was understood".to_owned()),
        (_, 0) => return,
        (_, n) => Completeness::Partial(format!("{n} lines were not understood")),
    };
    let before = std::mem::take(&mut out.completeness);
    out.completeness = before.and(doubt);
}

/// Takes out records that have a heading and nothing below it. Where none is left the capture
/// failed, with the words of the tool.
pub(super) fn no_content<R>(
    out: &mut Outcome<()>,
    records: &mut Vec<R>,
    has_content: impl FnMut(&R) -> bool,
) {
    records.retain(has_content);
    if records.is_empty() {
        let complaint = out.problems.iter().find(|problem| problem.kind == ProblemKind::ToolError);
        let words =
            complaint.map_or_else(|| "no output".to_owned(), |complaint| complaint.message.clone());
        let before = std::mem::take(&mut out.completeness);
        out.completeness = before.and(Completeness::Failed(words));
    }
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<NicSettings>> {
    let mut out = Outcome::default();
    let mut reader = Reader { text, records: Vec::new(), key: None };
    for body in bodies(text) {
        one_line(text, body, &mut out, &mut |line| reader.line(line));
    }
    let mut records = reader.records;
    // A heading with nothing below it is no record: it would say that there is no link.
    records.retain(|record| {
        record.link_detected.is_some() || record.speed.is_some() || !record.other.is_empty()
    });
    let complaint = out.problems.iter().find(|problem| problem.kind == ProblemKind::ToolError);
    let words = complaint.map(|complaint| complaint.message.clone());
    out.completeness = if records.is_empty() {
        words.map_or(Completeness::Complete, Completeness::Failed)
    } else if records.iter().all(|record| record.link_detected.is_some()) {
        // The driver refused one setting; what the link does is told.
        Completeness::Complete
    } else {
        words.map_or(Completeness::Complete, Completeness::Partial)
    };
    if records.is_empty() && !out.completeness.is_failed() && out.lines.unread == 0 {
        out.completeness = Completeness::Failed("no settings".to_owned());
    }
    doubt(&mut out);
    out.map(|()| records)
}

struct Reader<'a> {
    text: &'a str,
    records: Vec<NicSettings>,
    /// Key of the line above, and how deep it stands.
    key: Option<(&'a str, usize)>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) -> Parsed<'a, Read<()>> {
        let content = line.trim_start();
        let indent = line.len() - content.len();
        if let Some(dev) = heading(line) {
            self.key = None;
            self.records.push(NicSettings {
                at: Span::of(self.text, line),
                dev: self.at(dev),
                speed: None,
                duplex: None,
                link_detected: None,
                other: Vec::new(),
            });
            return Ok(("", Read::Took(())));
        }
        if indent == 0 {
            return refuse(line, "`Settings for …:` or an indented setting");
        }
        let at = self.at(content);
        let Some(settings) = self.records.last_mut() else {
            return refuse(line, "`Settings for …:` above this line");
        };
        let Some((key, value)) = content.split_once(':') else {
            // A further value of the setting above stands deeper than its key.
            return match self.key.filter(|(_, above)| indent > *above) {
                Some((key, _)) => {
                    settings.other.push(Field { key: key.into(), value: at });
                    Ok(("", Read::Took(())))
                }
                None => refuse(line, "`setting: value`"),
            };
        };
        let value = value.trim_start();
        let at = At::new(value.into(), Span::of(self.text, value));
        match key {
            "Speed" => settings.speed = Some(at),
            "Duplex" => settings.duplex = Some(at),
            "Link detected" => {
                let (word, reason) = value.split_once(' ').unwrap_or((value, ""));
                let yes = match word {
                    "yes" => true,
                    "no" => false,
                    _ => return refuse(value, "yes or no"),
                };
                settings.link_detected = Some(At::new(yes, Span::of(self.text, word)));
                if !reason.is_empty() {
                    settings.other.push(Field { key: key.into(), value: at });
                }
            }
            _ => settings.other.push(Field { key: key.into(), value: at }),
        }
        self.key = Some((key, indent));
        Ok(("", Read::Took(())))
    }

    fn at(&self, part: &str) -> At<tapline_core::Name> {
        At::new(part.into(), Span::of(self.text, part))
    }
}

/// The device of `Settings for eth0:`.
fn heading(line: &str) -> Option<&str> {
    line.strip_prefix("Settings for ")?.strip_suffix(':').filter(|rest| !rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str) -> Outcome<Vec<NicSettings>> {
        parse(text, &Command::new("ethtool eth0"))
    }

    #[test]
    fn further_values_belong_to_the_setting_above() {
        let text = "Settings for eth0:\n\tSupported link modes:   100baseT/Full \n\
                    \t                        1000baseT/Full \n\tSpeed: Unknown!\n\
                    \tDuplex: Unknown! (255)\n        Current message level: 0x07 (7)\n\
                    \t\t\t       drv probe link\n\tLink detected: no (No cable)\n";
        let out = reads(text);
        assert_eq!((out.lines.read, out.lines.unread), (8, 0));
        assert!(out.completeness.is_complete());
        let [it] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!(it.dev.as_str(), "eth0");
        assert_eq!(it.speed.as_ref().unwrap().as_str(), "Unknown!");
        assert_eq!(it.duplex.as_ref().unwrap().as_str(), "Unknown! (255)");
        assert!(!it.link_detected.unwrap().value);
        let other: Vec<_> =
            it.other.iter().map(|other| (&*other.key, other.value.as_str())).collect();
        assert_eq!(
            other,
            [
                ("Supported link modes", "100baseT/Full"),
                ("Supported link modes", "1000baseT/Full"),
                ("Current message level", "0x07 (7)"),
                ("Current message level", "drv probe link"),
                ("Link detected", "no (No cable)"),
            ]
        );
    }

    #[test]
    fn a_refused_setting_leaves_the_rest_standing() {
        let before = "netlink error: Operation not permitted\nSettings for lo:\n";
        let out = reads(&format!("{before}\tLink detected: yes\n"));
        assert!(out.completeness.is_complete());
        assert_eq!(out.problems[0].kind, ProblemKind::ToolError);
        assert_eq!((out.lines.read, out.lines.ignored), (2, 1));
        let out = reads(&format!("{before}\tWake-on: d\n"));
        assert!(matches!(out.completeness, Completeness::Partial(_)));
    }

    #[test]
    fn nothing_told_is_a_failure() {
        for (text, words) in [
            ("Settings for dummy2:\nNo data available\n", "No data available"),
            (
                "Cannot get device settings: No such device\nSettings for x:\nNo data available\n",
                "Cannot get device settings: No such device",
            ),
            ("Settings for dummy2:\n", "no settings"),
            ("", "no settings"),
            ("some prose\n", "no line was understood"),
        ] {
            let out = reads(text);
            assert_eq!(out.completeness, Completeness::Failed(words.into()), "{text}");
            assert!(out.records.is_empty());
        }
    }

    #[test]
    fn what_is_no_setting_is_a_problem() {
        let out = reads("Settings for eth1:\n    Supported ports\n    Link detected: maybe\n");
        assert_eq!((out.lines.read, out.lines.unread), (1, 2));
        let out = reads("Settings for eth1:\n\tSpeed: 10Mb/s\n\tLink detected: yes\n\t...\n");
        assert!(matches!(out.completeness, Completeness::Partial(_)));
    }

    #[test]
    fn options_tell_the_formats_apart() {
        let claims = |line: &str| FORMAT.reads(&Command::new(line));
        assert!(claims("ethtool eth0"));
        assert!(claims("ethtool -I eth0"));
        assert!(!claims("ethtool -k eth0"));
        assert!(!claims("ethtool --statistics eth0"));
        assert!(!claims("ethtool"));
    }
}
