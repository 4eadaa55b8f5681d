//! `uptime`, `uptime -p`, `/proc/uptime`.
//!
//! Source of the format: procps `library/uptime.c`, coreutils `uptime.c`, busybox `uptime.c`.
//!
//! ```text
//!  16:19:19 up 3 days, 17:41,  2 users,  load average: 3.58, 3.27, 2.58
//! ```
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::host::{Fact, HostFact};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use super::facts;
use crate::format::{Ends, Format, Per};
use crate::lines::Read;
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("uptime"),
    command: "uptime",
    collect: &[Per::Host.run("uptime")],
    claims: |command| is_uptime(command).then(Request::default),
    sniff: |head| {
        let is =
            head.contains(" up ") && head.contains("load average") && head.lines().count() == 1;
        if is { 90 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::FACT,
};

/// Whether the command prints it.
fn is_uptime(command: &Command) -> bool {
    match (command.program(), command.args()) {
        ("uptime", []) => true,
        ("uptime", [flag]) => matches!(flag.as_str(), "-p" | "--pretty"),
        _ => command.path().is_some_and(|path| path.trim_start_matches('/') == "proc/uptime"),
    }
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<HostFact>> {
    facts(text, "no time since boot", |line| uptime(text, line))
}

fn uptime<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Fact>> {
    let told = |seconds, shown: &str| {
        Ok(("", Read::Took(Fact::Uptime(At::new(seconds, Span::of(text, shown))))))
    };
    if let Some(shown) = proc(line) {
        // `/proc/uptime` has seconds and the idle time of all processors.
        let whole = shown.split('.').next().unwrap_or_default();
        return match whole.parse() {
            Ok(seconds) => told(seconds, shown),
            Err(_) => refuse(line, "seconds of 64 bits"),
        };
    }
    let after = match line.trim_start().strip_prefix("up ") {
        Some(after) => after,
        None => match line.split_once(" up ") {
            Some((_, after)) => after,
            None => return refuse(line, "`up` and a time"),
        },
    };
    let mut seconds = None;
    let mut end = 0;
    for part in after.split(',') {
        let Some(more) = span_of_time(part.trim()) else { break };
        seconds = Some(seconds.unwrap_or(0_u64).saturating_add(more));
        end += part.len() + 1;
    }
    let shown = after.get(..end.saturating_sub(1)).unwrap_or(after).trim();
    match seconds {
        Some(seconds) => told(seconds, shown),
        None => refuse(after, "a time such as `3 days, 17:41`"),
    }
}

/// `123.45 678.90`.
fn proc(line: &str) -> Option<&str> {
    let number = |it: &&str| it.bytes().all(|it| it.is_ascii_digit() || it == b'.');
    let mut words = line.split_whitespace();
    let first = words.next().filter(number)?;
    words.next().filter(number)?;
    words.next().is_none().then_some(first)
}

/// Seconds of `17:41`, `25 min`, `3 days`.
fn span_of_time(part: &str) -> Option<u64> {
    if let Some((hours, minutes)) = part.split_once(':') {
        let (hours, minutes): (u64, u64) = (hours.parse().ok()?, minutes.parse().ok()?);
        return hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?);
    }
    let (number, unit) = part.split_once(' ')?;
    let number: u64 = number.parse().ok()?;
    let unit = match unit.trim().trim_end_matches('s') {
        "sec" | "second" => 1,
        "min" | "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        "week" => 604_800,
        "year" => 31_536_000,
        "decade" => 315_360_000,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_ways_to_say_it() {
        for (text, seconds) in [
            (" 16:19:19 up 17:41,  2 users,  load average: 3.58, 3.27, 2.58\n", 63_660),
            (" 16:19:19 up 25 min,  1 user,  load average: 0.83\n", 1500),
            (" 16:19:19 up 3 days,  2:01,  0 users,  load average: 0.83\n", 266_460),
            (" 16:19:19 up 1 day, 5 min, load average: 0.83\n", 86_700),
            ("up 1 week, 2 days, 3 hours, 4 minutes\n", 788_640),
            ("63661.42 1234.5\n", 63_661),
        ] {
            let out = parse(text, &Command::new("uptime"));
            let Some(Fact::Uptime(it)) = out.records.first().map(|record| &record.fact) else {
                panic!("{text}")
            };
            assert_eq!(it.value, seconds, "{text}");
            assert!(text.get(it.span.range()).is_some_and(|it| !it.contains("user")));
        }
        assert!(
            parse("sh: uptime: command not found\n", &Command::new("uptime"))
                .completeness
                .is_failed()
        );
        assert_eq!(parse("up and away\n", &Command::new("uptime")).lines.unread, 1);
    }
}
