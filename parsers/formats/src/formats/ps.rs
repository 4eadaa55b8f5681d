//! qemu processes in `ps` output: an independent witness of running domains and their NICs.
//!
//! Source of the format: procps `ps/output.c`, `ps/display.c`; 3.2 to 4.0. The headings tell the
//! columns: `ps aux`, `-ef`, `-elfL`, `alx`, `axo …`. Without one (`ps aux | grep qemu`) the
//! command is what follows the processor time.
//!
//! ```text
//! USER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND
//! qemu         243  5.8  0.1 145724 48136 ?        Sl   13:02   0:05 /usr/bin/qemu-system-x86_64 -name guest=vm1 …
//! ```
//!
//! Other processes carry nothing. Of several lines with the same process id (threads) the first
//! counts. Where command lines are cut off at the width of a terminal, NICs may be missing.
mod qemu;

use std::collections::HashSet;

use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Outcome, Problem};
use tapline_core::records::Batch;
use tapline_core::records::libvirt::QemuProcess;
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::lines::{Read, bodies, each_line, finish};
use crate::nomx::{Parsed, refuse};
use crate::ovsdb::doubt_unread;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ps"),
    command: "ps auxwww",
    collect: &[Per::Host.run("ps auxwww")],
    claims: |command| (command.program() == "ps").then(Request::default),
    sniff: |head| {
        let first = bodies(head).find(|body| !body.is_empty()).unwrap_or_default();
        if Columns::of(first).is_some_and(|columns| columns.named >= 4) { 90 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<QemuProcess>> {
    let mut out = Outcome::default();
    let width = if is_wide(command) { None } else { cut_at(text) };
    let mut columns = None;
    let mut seen = HashSet::new();
    let mut problems = Vec::new();
    each_line(text, &mut out, |line| {
        if let Some(heading) = Columns::of(line) {
            columns = Some(heading);
            return Ok(("", Read::Ignored));
        }
        let cut = width.is_some_and(|width| line.chars().count() >= width);
        process(text, line, columns.as_ref(), cut, &mut problems).map(|(rest, read)| {
            let mut again = |it: &QemuProcess| it.pid.is_some_and(|pid| !seen.insert(pid));
            match read {
                Some(record) if !again(&record) => (rest, Read::Took(record)),
                _ => (rest, Read::Ignored),
            }
        })
    });
    out.problems.append(&mut problems);
    out.problems.sort_by_key(|problem| problem.span);
    finish(text, &mut out);
    let partial = if columns.is_none() && out.lines.total > 0 {
        Some("no heading: some processes may have been left out")
    } else if out.records.iter().any(|record| record.cut) {
        Some("command lines are cut off")
    } else {
        None
    };
    if let Some(why) = partial {
        let partial = Completeness::Partial(why.to_owned());
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    doubt_unread(&mut out);
    out
}

/// Whether the options say that lines shall not be cut off: `ps auxww`, `ps -ef -ww`.
fn is_wide(command: &Command) -> bool {
    // Words that are lists of columns hold no options.
    let options = command.args().iter().filter(|arg| !arg.contains(','));
    options.map(|option| option.matches('w').count()).sum::<usize>() >= 2
}

/// The width of the terminal at which lines are cut off: two or more lines of the greatest length
/// are no accident, unless they are longer than a terminal is wide.
fn cut_at(text: &str) -> Option<usize> {
    let (mut width, mut times) = (0, 0);
    for length in bodies(text).map(|body| body.chars().count()) {
        match length.cmp(&width) {
            std::cmp::Ordering::Greater => (width, times) = (length, 1),
            std::cmp::Ordering::Equal => times += 1,
            std::cmp::Ordering::Less => {}
        }
    }
    (times > 1 && (79..600).contains(&width)).then_some(width)
}

/// Where the columns that matter are, counted in words.
#[derive(Clone, Copy, Debug)]
struct Columns {
    /// The process id.
    pid: usize,
    /// When it was started: the first word, and how many there are.
    start: Option<(usize, usize)>,
    /// The first word of the command.
    command: usize,
    /// Whether the command comes with its arguments: it is the last column.
    whole: bool,
    /// How many words of the heading are those of `ps`.
    named: usize,
}

impl Columns {
    /// Reads a heading.
    fn of(line: &str) -> Option<Self> {
        const NAMES: &[&str] = &[
            "USER", "UID", "PID", "PPID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "TT", "STAT",
            "START", "STARTED", "TIME", "COMMAND", "CMD", "ARGS", "C", "STIME", "F", "S", "LWP",
            "NLWP", "PRI", "NI", "ADDR", "SZ", "WCHAN", "PGID", "SID", "CLS", "PSR", "GROUP",
            "CGROUP", "ELAPSED",
        ];
        let (mut pid, mut start) = (None, None);
        let mut command = None;
        let (mut at, mut count, mut named) = (0, 0, 0);
        for word in line.split_ascii_whitespace() {
            match word {
                "PID" => pid = Some(at),
                "COMMAND" | "CMD" | "ARGS" => command = Some((at, count)),
                "START" | "STIME" => start = Some((at, 1)),
                // `Thu Feb 10 16:19:27 2022`.
                "STARTED" => start = Some((at, 5)),
                _ => {}
            }
            at += if word == "STARTED" { 5 } else { 1 };
            count += 1;
            named += usize::from(NAMES.contains(&word));
        }
        let (command, nth) = command?;
        // A process may have any name, but not one of all these words.
        let known = named * 2 > count && named >= 2;
        known.then_some(Self { pid: pid?, start, command, whole: nth + 1 == count, named })
    }
}

/// A process. `None` where it is not one of qemu.
fn process<'a>(
    text: &str,
    line: &'a str,
    columns: Option<&Columns>,
    cut: bool,
    problems: &mut Vec<Problem>,
) -> Parsed<'a, Option<QemuProcess>> {
    let words = || line.split_ascii_whitespace();
    let (pid, command, whole) = match columns {
        Some(columns) => {
            let pid = words().nth(columns.pid).unwrap_or_default();
            // The lines of threads have no process id.
            if pid.parse::<u32>().is_err() && pid != "-" {
                return refuse(line, "a process id in its column");
            }
            // Branches of a tree (`ps f`).
            let mut from = words().skip(columns.command);
            let command = from.find(|from| !matches!(*from, "\\_" | "|"));
            (pid, command, columns.whole)
        }
        None => {
            if !words().any(is_time) {
                return refuse(line, "a heading with PID and COMMAND, or a process");
            }
            // The command follows the processor time; the time of the start may stand before.
            let after_times = words().skip(1).zip(words()).filter(|(_, time)| is_time(time));
            let command = after_times.map(|(word, _)| word).find(|it| is_qemu(it));
            (words().nth(1).unwrap_or_default(), command, true)
        }
    };
    let Some(command) = command.filter(|command| is_qemu(command)) else { return Ok(("", None)) };
    let from = Span::of(line, command).end as usize;
    let arguments = if whole { line.get(from..).unwrap_or_default() } else { "" };
    let mut record = QemuProcess {
        at: Span::of(text, line),
        pid: pid.parse().ok(),
        started: columns.and_then(|columns| started(text, line, columns)),
        name: None,
        uuid: None,
        nics: Vec::new(),
        cut: cut || !whole,
    };
    qemu::arguments(text, arguments, &mut record, problems);
    Ok(("", Some(record)))
}

/// The words that tell when a process was started.
fn started(text: &str, line: &str, columns: &Columns) -> Option<At<Name>> {
    let (first, many) = columns.start?;
    let mut words = line.split_ascii_whitespace().skip(first).take(many);
    let first = Span::of(text, words.next()?);
    let span = words.last().map_or(first, |last| first.to(Span::of(text, last)));
    let told = text.get(span.range())?;
    Some(At::new(told.into(), span))
}

/// `13:02`, `0:05`, `2-03:04:05`.
fn is_time(word: &str) -> bool {
    word.contains(':') && word.bytes().all(|b| b.is_ascii_digit() || b == b':' || b == b'-')
}

/// Whether a program is qemu, by its name.
fn is_qemu(program: &str) -> bool {
    let name = program.rsplit('/').next().unwrap_or(program);
    name == "kvm"
        || name == "qemu"
        || name.starts_with("qemu-system")
        || name.starts_with("qemu-kvm")
}

#[cfg(test)]
mod tests;
