//! A comparison for tickets and pull requests.
use std::io::{self, Write};

use tapline_analysis::diff::{Change, Class, Fate};

use super::count;
use super::diff::{self, Compared};
use super::diff_when;
use super::markdown::{code, words};
use super::source::excerpt;

/// Rows of one table.
const MOST: usize = 100;

pub(crate) fn render(out: &mut impl Write, compared: &Compared<'_, '_, '_>) -> io::Result<()> {
    let diff = compared.diff;
    if !diff.is_comparable() {
        return writeln!(
            out,
            "**Nothing was compared**: {}",
            words(&compared.why_not_comparable())
        );
    }
    let hosts = count(diff.hosts.len(), "host");
    writeln!(out, "**{hosts} compared: {}**", compared.counts().words(compared.all))?;
    if let Some(limits) = compared.limits() {
        writeln!(out, "\n{limits}")?;
    }
    for (side, hosts, which) in [(0, &diff.only_old, "before"), (1, &diff.only_new, "now")] {
        let names: Vec<&str> = hosts.iter().map(|host| compared.label(side, *host)).collect();
        if !names.is_empty() {
            let names = words(&diff::list(&names, 8));
            writeln!(out, "\nCaptured only {which}, not comparable: {names}")?;
        }
    }
    verdicts(out, compared)?;
    findings(out, compared)?;
    when(out, compared)?;
    for host in &diff.hosts {
        let is_shown = |change: &&Change| compared.all || change.class >= Class::Dynamic;
        let changes: Vec<&Change> = host.changes.iter().filter(is_shown).collect();
        let (rates, left) = diff_when::rates(compared, host);
        let is_silent = host.renumbered.is_empty() && host.gaps.is_empty() && rates.is_empty();
        if changes.is_empty() && is_silent {
            continue;
        }
        writeln!(out, "\n### {}\n", words(compared.label(1, host.new)))?;
        if !changes.is_empty() {
            writeln!(out, "| | class | what | before | now |")?;
            writeln!(out, "|---|---|---|---|---|")?;
        }
        for change in changes.iter().take(MOST) {
            let places = change.best_places();
            let [old, new] = [0, 1].map(|side| {
                let at = places.get(side).copied().flatten();
                at.map(|at| place(compared, side, at)).unwrap_or_default()
            });
            writeln!(
                out,
                "| `{}` | {} | {} | {old} | {new} |",
                change.op.sign(),
                change.class.as_str(),
                cell(&head(change, compared.all))
            )?;
        }
        if changes.len() > MOST {
            writeln!(out, "\nand {} more", changes.len() - MOST)?;
        }
        for it in &host.renumbered {
            writeln!(out, "\nRenumbered: {} of {}", words(&it.what), it.of.len())?;
        }
        if !rates.is_empty() {
            let mut told: Vec<String> = rates.iter().map(diff_when::rate).collect();
            told.extend((left > 0).then(|| format!("{left} more")));
            writeln!(out, "\nCounters: {}", words(&told.join(", ")))?;
        }
        for new_lacks in [false, true] {
            let gaps =
                host.gaps.iter().filter(|it| it.new_lacks == new_lacks && it.value.is_none());
            let told: Vec<String> = gaps.map(diff::gap).collect();
            if !told.is_empty() {
                let which = if new_lacks { "now" } else { "before" };
                let told = words(&diff::list(&told, 8));
                writeln!(out, "\nNot captured {which}, so not compared: {told}")?;
            }
        }
    }
    Ok(())
}

fn head(change: &Change, all: bool) -> String {
    let details = diff::details(change, all);
    let details =
        if details.is_empty() { String::new() } else { format!(": {}", details.join("; ")) };
    let follows = diff::follows(change);
    let follows = if follows.is_empty() { String::new() } else { format!(" (with {follows})") };
    format!("{} {}{details}{follows}", change.kind().as_str(), change.name)
}

/// A text in a cell of a table.
fn cell(text: &str) -> String {
    words(text).replace('\n', " ")
}

fn place(compared: &Compared<'_, '_, '_>, side: usize, at: tapline_core::span::Evidence) -> String {
    let Some(source) = compared.topology(side).snapshot.source(at.source) else {
        return String::new();
    };
    let (line, _) = source.line_numbers(at.span);
    let name = if source.member.is_empty() { &source.archive } else { &source.member };
    let file = name.rsplit('/').next().unwrap_or(name);
    let text = excerpt(source, at.span, 120).text;
    let first = text.lines().next().unwrap_or_default().trim();
    let quoted = code(first).replace('|', "\\|");
    format!("{}:{line} {quoted}", words(file))
}

/// What happened when.
fn when(out: &mut impl Write, compared: &Compared<'_, '_, '_>) -> io::Result<()> {
    let (events, left) = diff_when::told(compared);
    if events.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### When\n\n| time (UTC) | what | line |\n|---|---|---|")?;
    for event in events {
        let time = diff_when::time(event.when);
        let at = event.place.map(|at| place(compared, event.side, at)).unwrap_or_default();
        let what = cell(&diff_when::words(compared, event));
        writeln!(out, "| {} | {what} | {at} |", words(&time))?;
    }
    if left > 0 {
        writeln!(out, "\nand {left} more")?;
    }
    Ok(())
}

fn verdicts(out: &mut impl Write, compared: &Compared<'_, '_, '_>) -> io::Result<()> {
    for (title, is_lost) in [("No longer reached", true), ("Reached again", false)] {
        let groups = compared
            .verdicts(|verdict| if is_lost { verdict.is_lost() } else { verdict.is_mended() });
        if groups.is_empty() {
            continue;
        }
        writeln!(out, "\n### {title}\n")?;
        for group in groups.iter().take(MOST) {
            let (side, now) =
                if is_lost { (1, &group.first.after) } else { (0, &group.first.before) };
            let line = format!(
                "{} to {}: {}",
                diff::guests(group),
                diff::list(&group.to, 4),
                diff::cell(compared, side, now)
            );
            write!(out, "- {}", words(&line))?;
            let because = group.first.because.map(|(host, change, _)| (host, change));
            if let Some((_, change)) = because.and_then(|it| compared.change(it)) {
                let because = format!("{} {}", change.op.sign(), head(change, false));
                write!(out, " — because {}", words(&because))?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

fn findings(out: &mut impl Write, compared: &Compared<'_, '_, '_>) -> io::Result<()> {
    for (fate, title) in [(Fate::New, "New findings"), (Fate::Gone, "Findings that are gone")] {
        let all = compared.findings(fate);
        if all.is_empty() {
            continue;
        }
        writeln!(out, "\n### {title}\n")?;
        for (row, finding) in all.iter().take(MOST) {
            let side = usize::from(row.new.is_some());
            let line = format!(
                "{} {} {} · {}: {}",
                finding.rule.code,
                finding.severity,
                compared.label(side, finding.host),
                finding.subject.name,
                finding.message
            );
            writeln!(out, "- {}", words(&line))?;
        }
    }
    Ok(())
}
