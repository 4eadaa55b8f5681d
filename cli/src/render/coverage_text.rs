//! Coverage for people.
use std::collections::BTreeMap;
use std::io::{self, Write};

use tapline_core::capture::{Completeness, Host, Snapshot, Source};
use tapline_core::ids::Netns;
use tapline_core::need::{EACH_NAMESPACE, Need, quote};
use tapline_topology::Topic;
use tapline_topology::coverage::Coverage;

use super::coverage::{HostCoverage, NetnsCoverage};
use super::escape::{shorten, visible};
use super::places::{Places, brief};
use super::{count, summary};
use crate::gap::{self, Gap, Step};
use crate::terminal::{Paint, Terminal, style};

/// Texts of a sort that are listed before `and N more`.
const TEXTS: usize = 12;
/// Names that are listed before `and N more`.
const NAMES: usize = 4;
/// What was not read, before `and N more`.
const LEFT_OUT: usize = 12;
/// Columns that a line has at least.
const NARROWEST: usize = 60;

/// How much is shown.
#[derive(Clone, Copy)]
struct Way {
    all: bool,
    /// Columns of the terminal.
    width: usize,
    paint: Paint,
}

impl Way {
    fn most(self, most: usize) -> usize {
        if self.all { usize::MAX } else { most }
    }

    /// `text` as far as it fits behind `before` columns.
    fn cut(self, text: &str, before: usize) -> String {
        shorten(text, if self.all { usize::MAX } else { self.room(before) }).to_string()
    }

    fn room(self, before: usize) -> usize {
        self.width.max(NARROWEST).saturating_sub(before + 1)
    }

    /// A list on as many lines as it needs, all behind `before` columns.
    fn list(self, items: &[&str], before: usize) -> String {
        let mut out = String::new();
        let mut column = 0;
        for (at, item) in items.iter().enumerate() {
            let comma = if at + 1 < items.len() { "," } else { "" };
            let item = visible(&format!("{item}{comma}")).to_string();
            let length = item.chars().count();
            if column > 0 && column + 1 + length > self.room(before) {
                out.push_str(&format!("\n{:before$}", ""));
                column = 0;
            } else if column > 0 {
                out.push(' ');
                column += 1;
            }
            column += length;
            out.push_str(&item);
        }
        out
    }
}

/// Writes the coverage of all hosts.
pub(crate) fn render(
    out: &mut impl Write,
    snapshot: &Snapshot,
    hosts: &[HostCoverage<'_>],
    all: bool,
    terminal: &Terminal,
) -> io::Result<()> {
    let paint = terminal.stdout();
    let way = Way { all, width: terminal.width, paint };
    let places = Places::new(snapshot, terminal);
    for (n, host) in hosts.iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        heading(out, snapshot, host, paint)?;
        for (names, of) in alike(&host.namespaces) {
            namespace(out, &places, snapshot, (&names, of), way)?;
        }
        texts(out, &places, snapshot, host, way)?;
        close_gap(out, snapshot, host, paint)?;
    }
    summary::not_read(out, snapshot, way.most(LEFT_OUT), paint)?;
    summary::reading(out, snapshot, &places, paint)
}

/// The commands that would decide what is open, most valuable first, as a block to paste.
fn close_gap(
    out: &mut impl Write,
    snapshot: &Snapshot,
    host: &HostCoverage<'_>,
    paint: Paint,
) -> io::Result<()> {
    let gap = gap::gap(host.host, &host.undecided);
    if gap.steps.is_empty() && gap.beyond.is_empty() {
        return writeln!(out, "{}", paint.of(style::GOOD, "every rule could decide"));
    }
    let Some(of) = snapshot.host(host.host) else { return Ok(()) };
    if !gap.steps.is_empty() {
        let (commands, questions) = Gap::sum(std::slice::from_ref(&gap));
        let (commands, questions) = (count(commands, "command"), questions as usize);
        let heading = format!("{commands} would decide {}", count(questions, "question"));
        let folder = format!("{}-more", tapline_capture::saved_as(&of.name));
        let folder = quote(&folder);
        writeln!(out, "{}, most valuable first", paint.of(style::STRONG, heading))?;
        // What has no name of its own would not be joined to texts that have one.
        let name = if of.is_named { " && hostname >hostname" } else { "" };
        writeln!(out, "  mkdir {folder} && cd {folder}{name}")?;
        for step in &gap.steps {
            for line in step.shell() {
                writeln!(out, "  {}", visible(&line))?;
            }
            let decided = format!("# {}", decided(step));
            writeln!(out, "    {}", paint.of(style::FAINT, visible(&decided)))?;
        }
        let then = format!("tapline lint {}", again(snapshot, of, &folder));
        writeln!(out, "  {} {}", paint.of(style::HINT, "then:"), visible(&then))?;
    }
    if !gap.beyond.is_empty() {
        writeln!(out, "{}", paint.of(style::STRONG, "to look up by hand"))?;
    }
    for step in &gap.beyond {
        let text = format!("{} for {}", summary::commands(&step.commands()), decided(step));
        writeln!(out, "  {}", visible(&text))?;
    }
    Ok(())
}

/// The inputs with which a folder of further texts becomes part of a host.
fn again(snapshot: &Snapshot, of: &Host, folder: &str) -> String {
    let all = &snapshot.captured;
    // A name that several captures have does not say which of them is meant.
    let is_alone = all.hosts.iter().filter(|host| host.name == of.name).count() == 1;
    let mut inputs: Vec<_> = if of.is_named && is_alone {
        all.inputs.iter().map(|input| &input.archive).collect()
    } else {
        of.inputs.iter().collect()
    };
    inputs.dedup();
    let inputs = inputs.into_iter().map(|input| quote(input)).collect::<Vec<_>>().join(" ");
    let inputs = format!("{} {folder}", shorten(&inputs, 200));
    if of.is_named { inputs } else { format!("{inputs} --host {}", quote(&of.name)) }
}

/// `12 questions: OVS-004 10, MTU-001 2`
fn decided(step: &Step) -> String {
    let mut rules: Vec<_> = step.rules.iter().collect();
    rules.sort_by_key(|rule| std::cmp::Reverse(rule.1));
    let list: Vec<_> = rules.iter().map(|(code, objects)| format!("{code} {objects}")).collect();
    format!("{}: {}", count(step.questions() as usize, "question"), list.join(", "))
}

fn heading(
    out: &mut impl Write,
    snapshot: &Snapshot,
    host: &HostCoverage<'_>,
    paint: Paint,
) -> io::Result<()> {
    let Some(it) = snapshot.host(host.host) else { return Ok(()) };
    let mut facts = Vec::new();
    if let Some(version) = &it.sos_version {
        facts.push(format!("sos {version}"));
    }
    if it.cleaned {
        facts.push("names and addresses were replaced by sos clean".to_owned());
    }
    facts.extend(times(host));
    let facts = if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) };
    let inputs = it.inputs.join(", ");
    writeln!(
        out,
        "{} from {}{}",
        paint.of(style::STRONG, visible(it.label())),
        visible(&shorten(&inputs, 200)),
        visible(&facts),
    )?;
    let claimed = host.texts.iter().filter(|(source, _)| source.format.is_some()).count();
    let lines = host.lines;
    writeln!(
        out,
        "  {}: {} read, {} known to say nothing, {} not understood",
        count(claimed, "text"),
        count(lines.read as usize, "line"),
        lines.ignored,
        lines.unread,
    )
}

/// `captured 2026-11-20T10:00:00Z`, with the span where it took longer.
fn times(host: &HostCoverage<'_>) -> Option<String> {
    let taken = host.texts.iter().filter_map(|(source, _)| source.taken);
    let (first, last) = taken.fold((f64::INFINITY, f64::NEG_INFINITY), |(first, last), it| {
        (first.min(it), last.max(it))
    });
    let first_stamp = stamp(first)?;
    let took = (last - first).round();
    Some(if took >= 1.0 {
        format!("captured {first_stamp}, within {took} s")
    } else {
        format!("captured {first_stamp}")
    })
}

/// Seconds since the epoch as a date and time in UTC.
fn stamp(seconds: f64) -> Option<String> {
    // Out of range and not a number both saturate, and are refused by the next line.
    #[expect(clippy::cast_possible_truncation, reason = "whole seconds are enough")]
    let whole = seconds.is_finite().then_some(seconds.floor() as i64)?;
    jiff::Timestamp::from_second(whole).ok().map(|second| second.to_string())
}

/// Namespaces of which the same was captured, together: names and one of them.
fn alike<'a, 'b>(all: &'b [NetnsCoverage<'a>]) -> Vec<(Vec<String>, &'b NetnsCoverage<'a>)> {
    let mut groups: Vec<(Vec<String>, &NetnsCoverage<'_>)> = Vec::new();
    let mut known: BTreeMap<Vec<(u8, String)>, usize> = BTreeMap::new();
    for it in all {
        let signature: Vec<_> = it.topics.iter().map(|(_, coverage)| state(coverage)).collect();
        let name = it.netns.to_string();
        match known.get(&signature).and_then(|&at| groups.get_mut(at)) {
            // Root has questions of its own.
            Some((names, _)) if !it.netns.is_root() => names.push(name),
            _ => {
                if !it.netns.is_root() {
                    known.insert(signature, groups.len());
                }
                groups.push((vec![name], it));
            }
        }
    }
    groups
}

/// The state of an answer, from good to bad, and why it failed.
fn state(coverage: &Coverage) -> (u8, String) {
    match coverage {
        Coverage::Complete(_) => (0, String::new()),
        Coverage::Partial(_) => (1, String::new()),
        Coverage::Failed { reason, .. } => (2, reason.clone()),
        Coverage::NotCaptured => (3, String::new()),
    }
}

fn namespace(
    out: &mut impl Write,
    places: &Places,
    snapshot: &Snapshot,
    (names, of): (&[String], &NetnsCoverage<'_>),
    way: Way,
) -> io::Result<()> {
    /// Columns in front of what is told of topics.
    const BEFORE: usize = 17;
    let paint = way.paint;
    let shown: Vec<_> = names.iter().take(way.most(NAMES)).map(String::as_str).collect();
    let more = names.len().saturating_sub(way.most(NAMES));
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let what = if names.len() > 1 { "namespaces" } else { "namespace" };
    writeln!(out, "  {what} {}{more}", way.list(&shown, 4))?;
    let topics = |wanted: u8| {
        of.topics
            .iter()
            .filter(move |(_, it)| state(it).0 == wanted)
            .map(|&(topic, it)| (topic, it))
    };
    let complete: Vec<_> = topics(0).map(|(topic, _)| topic.name()).collect();
    if !complete.is_empty() {
        let list = way.list(&complete, BEFORE);
        writeln!(out, "    {} {list}", paint.of(style::GOOD, "complete    "))?;
    }
    for (topic, coverage) in topics(1) {
        let Coverage::Partial(sources) = coverage else { continue };
        let Some((first, why)) = of.partial(snapshot, topic, sources) else { continue };
        let place =
            snapshot.source(first).map(|source| text_place(places, source)).unwrap_or_default();
        let text = format!("{} in {place}: {why}", topic.name());
        let word = paint.of(style::WARNING, "partial     ");
        writeln!(out, "    {word} {}", visible(&way.cut(&text, BEFORE)))?;
    }
    for (topic, coverage) in topics(2) {
        let Coverage::Failed { source, reason } = coverage else { continue };
        let place =
            snapshot.source(*source).map(|source| text_place(places, source)).unwrap_or_default();
        let text = format!("{} in {place}: {reason}", topic.name());
        let word = paint.of(style::ERROR, "failed      ");
        writeln!(out, "    {word} {}", visible(&way.cut(&text, BEFORE)))?;
    }
    // One command may answer several questions.
    let mut missing: Vec<(Need, Vec<&str>)> = Vec::new();
    for (topic, _) in topics(3) {
        let command = command(topic, of, names.len());
        match missing.iter_mut().find(|(it, _)| *it == command) {
            Some((_, topics)) => topics.push(topic.name()),
            None => missing.push((command, vec![topic.name()])),
        }
    }
    for (command, topics) in missing {
        writeln!(
            out,
            "    {} {}; to decide, run: {}",
            paint.of(style::FAINT, "not captured"),
            topics.join(", "),
            visible(&line(&command)),
        )?;
    }
    Ok(())
}

/// The line to paste: for several namespaces a loop that names each.
fn line(command: &Need) -> String {
    if command.netns().name() != Some(summary::ANY_NETNS) {
        return command.to_string();
    }
    let command = command.to_string().replace(summary::ANY_NETNS, "\"$n\"");
    format!("{EACH_NAMESPACE} {command} </dev/null; done")
}

/// The command that would answer, for one namespace or for several.
fn command(topic: Topic, of: &NetnsCoverage<'_>, namespaces: usize) -> Need {
    match (namespaces > 1, of.netns.name()) {
        (true, Some(_)) => topic.command(&Netns::Named(summary::ANY_NETNS.into())),
        _ => topic.command(&of.netns),
    }
}

/// Texts that failed, and texts that nothing reads.
fn texts(
    out: &mut impl Write,
    places: &Places,
    snapshot: &Snapshot,
    host: &HostCoverage<'_>,
    way: Way,
) -> io::Result<()> {
    let paint = way.paint;
    let mut failed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut partial: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut unread = Vec::new();
    let mut unclaimed = Vec::new();
    for &(source, reading) in &host.texts {
        if source.format.is_none() {
            unclaimed.push(text_place(places, source));
            continue;
        }
        // Hundreds of files may have failed: their names alone. In a session it is the line.
        let place = || match source.first_line {
            0 | 1 => brief(&places.path(&source.archive, &source.member)).to_owned(),
            _ => text_place(places, source),
        };
        match snapshot.completeness(source.id) {
            Completeness::Complete => {}
            Completeness::Partial(reason) => partial.entry(reason).or_default().push(place()),
            Completeness::Failed(reason) => failed.entry(reason).or_default().push(place()),
        }
        if reading.lines.unread > 0 {
            let lines = count(reading.lines.unread as usize, "line");
            unread.push(format!(
                "{}: {lines} of {}",
                text_place(places, source),
                reading.lines.total
            ));
        }
    }
    let mut section = |heading: &str, all: &[String]| -> io::Result<()> {
        if all.is_empty() {
            return Ok(());
        }
        writeln!(out, "  {}", paint.of(style::STRONG, heading))?;
        for text in all.iter().take(way.most(TEXTS)) {
            writeln!(out, "    {}", visible(&way.cut(text, 4)))?;
        }
        if all.len() > way.most(TEXTS) {
            writeln!(out, "    and {} more with --all", all.len() - TEXTS)?;
        }
        Ok(())
    };
    let with_reasons = |texts: BTreeMap<String, Vec<String>>| -> Vec<String> {
        texts.into_iter().map(|(why, places)| failure(&why, &places, way.most(NAMES))).collect()
    };
    section("failed captures", &with_reasons(failed))?;
    section("partial captures", &with_reasons(partial))?;
    section("lines that were not understood", &unread)?;
    section("texts of no known format", &unclaimed)
}

/// `no stats available: a, b and 17 more`
fn failure(why: &str, places: &[String], most: usize) -> String {
    let shown = places.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(", ");
    match places.len().saturating_sub(most) {
        0 => format!("{why}: {shown}"),
        more => format!("{why}: {shown} and {more} more"),
    }
}

/// Where a text is; in a session, with its line and its command.
fn text_place(places: &Places, source: &Source) -> String {
    let place = places.path(&source.archive, &source.member);
    if source.first_line > 1 {
        format!("{place}:{} ({})", source.first_line, source.command)
    } else {
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates() {
        assert_eq!(stamp(0.9).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(stamp(f64::NAN), None);
        assert_eq!(stamp(1e300), None);
    }
}
