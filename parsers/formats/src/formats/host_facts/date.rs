//! `date`, `date --utc`, `timedatectl`.
//!
//! Source of the format: coreutils `date.c` (the `date_fmt` of the locale, C if none), systemd
//! `timedatectl.c`.
//!
//! ```text
//! Thu Feb 10 16:19:17 UTC 2022
//! Thu Feb 10 04:19:17 PM UTC 2022
//!            Universal time: Thu 2022-02-10 16:19:48 UTC
//! ```
//!
//! Seconds since the epoch are told for UTC and GMT only: other abbreviations are ambiguous.
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::host::{Fact, HostFact};
use tapline_core::request::Request;

use super::facts;
use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::Read;
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("date"),
    command: "date --utc",
    collect: &[Per::Host.run("date --utc")],
    claims: |command| is_date(command).then(Request::default),
    sniff: |head| {
        let head = head.trim();
        if head.contains("Universal time:") {
            80
        } else if !head.contains('\n') && clock(head).is_some() {
            70
        } else {
            0
        }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::FACT,
};

/// Whether the command prints it.
fn is_date(command: &Command) -> bool {
    match (command.program(), command.args()) {
        ("date" | "timedatectl", []) => true,
        ("date", [flag]) => matches!(flag.as_str(), "-u" | "--utc" | "--universal"),
        ("timedatectl", [verb]) => verb == "status",
        _ => false,
    }
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<HostFact>> {
    facts(text, "no date", |line| date(text, line.trim()))
}

fn date<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Fact>> {
    let shown = match line.split_once(": ") {
        Some(("Universal time", shown)) => shown.trim(),
        // What else `timedatectl` says. Warnings follow it in plain words.
        Some((key, _)) if TIMEDATECTL.contains(&key) => return Ok(("", Read::Ignored)),
        _ => line,
    };
    match clock(shown) {
        Some(epoch) => Ok(("", Read::Took(Fact::Date { text: at(text, shown), epoch }))),
        None => refuse(line, "a date such as `Thu Feb 10 16:19:17 UTC 2022`"),
    }
}

/// Keys of `timedatectl` that carry nothing beyond the universal time.
const TIMEDATECTL: &[&str] = &[
    "Local time",
    "RTC time",
    "Time zone",
    "Timezone",
    "System clock synchronized",
    "NTP synchronized",
    "NTP enabled",
    "NTP service",
    "Network time on",
    "systemd-timesyncd.service active",
    "RTC in local TZ",
    "DST active",
    "Last DST change",
    "Next DST change",
];

/// Whether a text is a date and time; within, seconds since the epoch where the zone is UTC.
#[expect(clippy::option_option, reason = "no date, or a date of an unknown zone")]
fn clock(text: &str) -> Option<Option<i64>> {
    // A date of any language is short; a document or a line of a log may begin with one.
    const LONGEST: usize = 80;
    const WORDS: usize = 12;
    if text.len() > LONGEST || text.contains(['{', '<', '=', '"', '[']) {
        return None;
    }
    let mut time = None;
    let mut day = None;
    let mut month = None;
    let mut year = None;
    let mut afternoon = None;
    let mut utc = false;
    for word in text.split_whitespace().take(WORDS) {
        let word = word.trim_end_matches(',');
        if let Some(found) = hms(word) {
            time = Some(found);
        } else if let Some(found) = ymd(word) {
            (year, month, day) = (Some(found.0), Some(found.1), Some(found.2));
        } else if matches!(word, "AM" | "PM") {
            afternoon = Some(word == "PM");
        } else if matches!(word, "UTC" | "GMT" | "UCT" | "+0000") {
            utc = true;
        } else if let Some(n) = MONTHS.iter().position(|month| word.starts_with(month)) {
            month = i8::try_from(n + 1).ok();
        } else if let Ok(number) = word.parse::<i16>() {
            match i8::try_from(number) {
                Ok(number) if day.is_none() => day = Some(number),
                _ => year = Some(number),
            }
        }
    }
    let (hour, minute, second) = time?;
    let hour = match afternoon {
        Some(true) if hour < 12 => hour + 12,
        Some(false) if hour == 12 => 0,
        _ => hour,
    };
    // A leap second has no place in civil time.
    let time = DateTime::new(year?, month?, day?, hour, minute, second.min(59), 0).ok()?;
    let epoch = || time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_second());
    Some(utc.then(epoch).flatten())
}

const MONTHS: &[&str] =
    &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `16:19:17`.
fn hms(word: &str) -> Option<(i8, i8, i8)> {
    let mut parts = word.split(':');
    let found =
        (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(found)
}

/// `2022-02-10`.
fn ymd(word: &str) -> Option<(i16, i8, i8)> {
    let mut parts = word.split('-');
    let found =
        (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(text: &str) -> Option<i64> {
        let out = parse(text, &Command::new("date"));
        assert_eq!(out.lines.unread, 0, "{text}");
        match &out.records[0].fact {
            Fact::Date { epoch, .. } => *epoch,
            _ => None,
        }
    }

    #[test]
    fn all_forms_of_one_moment() {
        let moment = Some(1_644_509_957);
        for text in [
            "Thu Feb 10 16:19:17 UTC 2022\n",
            "Thu Feb 10 04:19:17 PM UTC 2022\n",
            "Thu 10 Feb 2022 04:19:17 PM UTC\n",
            "      Local time: Thu 2022-02-10 17:19:17 CET\n  Universal time: Thu 2022-02-10 16:19:17 UTC\n  RTC time: n/a\n",
        ] {
            assert_eq!(epoch(text), moment, "{text}");
        }
        assert_eq!(epoch("Thu Feb 10 16:19:17 CET 2022\n"), None);
    }

    #[test]
    fn what_is_no_date_is_a_problem() {
        let document = "{\"version\": 1, \"date\": \"Sun Nov 22 13:00:19 UTC 2026\\n\"}\n";
        assert_eq!((FORMAT.sniff)(document), 0);
        for text in [document, "today\n", "Thu Feb 31 16:19:17 UTC 2022\n", "16:19:17\n"] {
            let out = parse(text, &Command::new("date"));
            assert_eq!((out.lines.unread, out.completeness.is_failed()), (1, true), "{text}");
        }
    }
}
