//! A comparison for people: what broke and by which change, then every change by host and namespace.
use std::io::{self, Write};

use tapline_analysis::diff::{Change, Class, Fate, HostDiff, Op, VerdictChange};
use tapline_core::span::Evidence;

use super::diff::{self, Compared, Lost};
use super::diff_when;
use super::escape::{shorten, visible};
use super::places::Places;
use super::{count, severity_style};
use crate::terminal::{Paint, Terminal, style};

/// Groups of verdicts, and findings, that are listed.
const LISTED: usize = 12;
/// Hosts whose times are told.
const DATED: usize = 8;
/// What a quoted line may be longer than the terminal is wide, which cuts it.
const LEAD: usize = 40;
/// Values of one change that are told.
const DETAILS: usize = 4;
/// Changes of one host that are listed without `--all`.
const MOST: usize = 200;

struct Text<'t, 'c, 's, 'a, W> {
    out: &'t mut W,
    compared: &'t Compared<'c, 's, 'a>,
    places: [Places; 2],
    paint: Paint,
    width: usize,
}

pub(crate) fn render(
    out: &mut impl Write,
    compared: &Compared<'_, '_, '_>,
    terminal: &Terminal,
) -> io::Result<()> {
    let places = [0, 1].map(|side| Places::new(compared.topology(side).snapshot, terminal));
    let (paint, width) = (terminal.stdout(), terminal.width);
    let mut text = Text { out, compared, places, paint, width };
    text.summary()?;
    text.broken()?;
    text.findings()?;
    text.when()?;
    for host in &compared.diff.hosts {
        text.host(host)?;
    }
    Ok(())
}

impl<W: Write> Text<'_, '_, '_, '_, W> {
    fn summary(&mut self) -> io::Result<()> {
        let compared = self.compared;
        let diff = compared.diff;
        let hosts = count(diff.hosts.len(), "host");
        let counts = compared.counts();
        let words = counts.words(compared.all);
        let colour = match diff.worst() {
            Some(Class::Breaking) => style::ERROR,
            Some(worst) if worst.is_change() => style::WARNING,
            _ => style::GOOD,
        };
        if !diff.is_comparable() {
            let why = compared.why_not_comparable();
            return writeln!(self.out, "nothing was compared: {}", visible(&why));
        }
        writeln!(self.out, "{hosts} compared: {}", self.paint.of(colour, words))?;
        if let Some(limits) = compared.limits() {
            writeln!(self.out, "  {}", self.paint.of(style::FAINT, limits))?;
        }
        for host in diff.hosts.iter().take(DATED) {
            if let Some(moments) = compared.moments(host) {
                writeln!(self.out, "  {}: {moments}", visible(compared.label(1, host.new)))?;
            }
        }
        for host in &diff.hosts {
            if let Some(remark) = &host.remark {
                let names = [compared.label(0, host.old), compared.label(1, host.new)].map(visible);
                let [old, new] = names;
                writeln!(self.out, "  {old} and {new}: {remark}")?;
            }
        }
        for (side, hosts, which) in
            [(0, &diff.only_old, "only before"), (1, &diff.only_new, "only now")]
        {
            let names: Vec<&str> = hosts.iter().map(|host| compared.label(side, *host)).collect();
            if !names.is_empty() {
                let names = diff::list(&names, 8);
                writeln!(self.out, "  captured {which}, not comparable: {}", visible(&names))?;
            }
        }
        for (side, hosts) in diff.further.iter().enumerate() {
            let names: Vec<&str> = hosts.iter().map(|host| compared.label(side, *host)).collect();
            if !names.is_empty() {
                let names = diff::list(&names, 8);
                let words = "further captures of these machines, left out";
                writeln!(self.out, "  {words}: {}", visible(&names))?;
            }
        }
        self.gaps()
    }

    fn gaps(&mut self) -> io::Result<()> {
        let compared = self.compared;
        for new_lacks in [false, true] {
            let mut words = Vec::new();
            for host in &compared.diff.hosts {
                let gaps = host.gaps.iter().filter(|gap| gap.new_lacks == new_lacks);
                // Values depend on the commands, and are told where somebody asks.
                let gaps = gaps.filter(|gap| compared.all || gap.value.is_none());
                let told: Vec<String> = gaps.map(diff::gap).collect();
                if told.is_empty() {
                    continue;
                }
                let many = compared.diff.hosts.len() > 1;
                let name =
                    if many { format!("{}: ", compared.label(1, host.new)) } else { String::new() };
                words.push(format!("{name}{}", told.join(", ")));
            }
            if !words.is_empty() {
                let which = if new_lacks { "now" } else { "before" };
                let words = diff::list(&words, 8);
                writeln!(
                    self.out,
                    "  not captured {which}, so not compared: {}",
                    self.paint.of(style::FAINT, visible(&words))
                )?;
            }
        }
        Ok(())
    }

    /// What is no longer reached, what is reached again, and what is no longer known.
    fn broken(&mut self) -> io::Result<()> {
        let compared = self.compared;
        let lost = compared.verdicts(VerdictChange::is_lost);
        let mended = compared.verdicts(VerdictChange::is_mended);
        let all = compared.all;
        let other = compared.verdicts(|verdict| {
            let was_known = verdict.before.reached == Some(true);
            !verdict.is_lost() && !verdict.is_mended() && (all || was_known)
        });
        // Where no change is behind it, the captures are, and one line tells.
        let (known, untold): (Vec<Lost<'_>>, Vec<Lost<'_>>) =
            other.into_iter().partition(|it| all || it.first.because.is_some());
        for (groups, title, sign, colour) in [
            (&lost, "no longer reached", '✗', style::ERROR),
            (&mended, "reached again", '✓', style::GOOD),
            (&known, "no longer known", '?', style::INFO),
        ] {
            if groups.is_empty() {
                continue;
            }
            writeln!(self.out)?;
            writeln!(self.out, "{}", self.paint.of(style::STRONG, title))?;
            for group in groups.iter().take(LISTED) {
                self.verdict(group, sign, colour)?;
            }
            if groups.len() > LISTED {
                writeln!(self.out, "  and {} more", groups.len() - LISTED)?;
            }
        }
        if !untold.is_empty() {
            let many: usize = untold.iter().map(|it| it.questions).sum();
            let words = format!(
                "what {} reached before is not known now, by what was captured: --all",
                count(many, "question")
            );
            writeln!(self.out, "  {}", self.paint.of(style::FAINT, words))?;
        }
        if compared.diff.unasked > 0 && !compared.diff.verdicts.is_empty() {
            let many = count(compared.diff.unasked, "further guest");
            let words = format!("{many} were not asked what they reach");
            writeln!(self.out, "  {}", self.paint.of(style::FAINT, words))?;
        }
        Ok(())
    }

    fn verdict(&mut self, group: &Lost<'_>, sign: char, colour: anstyle::Style) -> io::Result<()> {
        let compared = self.compared;
        let first = group.first;
        let to = diff::list(&group.to, 4);
        let who = diff::guests(group);
        let is_mended = first.is_mended();
        let words = if is_mended {
            format!("was {}", diff::cell(compared, 0, &first.before))
        } else if first.is_lost() {
            diff::cell(compared, 1, &first.after)
        } else {
            let before = diff::cell(compared, 0, &first.before);
            format!("{before} → {}", diff::cell(compared, 1, &first.after))
        };
        let sign = self.paint.of(colour, sign);
        writeln!(self.out, "  {sign} {} to {}: {}", visible(&who), visible(&to), visible(&words))?;
        match first.because.and_then(|(host, change, _)| compared.change((host, change))) {
            Some((_, change)) => self.because(change),
            None => Ok(()),
        }
    }

    /// The change behind something, with the lines that prove it.
    fn because(&mut self, change: &Change) -> io::Result<()> {
        write!(self.out, "      because ")?;
        self.head(change)?;
        self.lines(change.best_places(), "        ")
    }

    fn findings(&mut self) -> io::Result<()> {
        let compared = self.compared;
        for (fate, title, sign) in [
            (Fate::New, "new findings", '+'),
            (Fate::MaybeNew, "findings that may have been there before", '?'),
            (Fate::Gone, "findings that are gone", '-'),
            (Fate::MaybeGone, "findings that may still be there", '?'),
            (Fate::Kept, "findings as before", ' '),
        ] {
            let all = compared.findings(fate);
            let shown = compared.all || matches!(fate, Fate::New | Fate::Gone);
            if all.is_empty() || !shown {
                continue;
            }
            writeln!(self.out)?;
            writeln!(self.out, "{}", self.paint.of(style::STRONG, title))?;
            for (row, finding) in all.iter().take(LISTED) {
                let severity = finding.severity;
                let severity = self.paint.of(severity_style(finding.severity), severity);
                let side = usize::from(row.new.is_some());
                let host = compared.label(side, finding.host);
                writeln!(
                    self.out,
                    "  {sign} {} {severity} {} · {}: {}",
                    finding.rule.code,
                    visible(host),
                    visible(&finding.subject.name),
                    visible(&finding.message)
                )?;
                if let Some((_, change)) = row.because.and_then(|it| compared.change(it)) {
                    self.because(change)?;
                }
            }
            if all.len() > LISTED {
                writeln!(self.out, "  and {} more", all.len() - LISTED)?;
            }
        }
        let kept = compared.findings(Fate::Kept).len();
        if kept > 0 && !compared.all {
            writeln!(
                self.out,
                "{}",
                self.paint.of(style::FAINT, format_args!("{} as before", count(kept, "finding")))
            )?;
        }
        Ok(())
    }

    /// What happened when.
    fn when(&mut self) -> io::Result<()> {
        let compared = self.compared;
        let (events, left) = diff_when::told(compared);
        if events.is_empty() {
            return Ok(());
        }
        writeln!(self.out)?;
        writeln!(self.out, "{}", self.paint.of(style::STRONG, "when"))?;
        for event in events {
            let time = self.paint.of(style::FAINT, diff_when::time(event.when));
            let words = diff_when::words(compared, event);
            writeln!(self.out, "  {time}  {}", visible(&words))?;
            let mut places = [None, None];
            if let Some(place) = places.get_mut(event.side) {
                *place = event.place;
            }
            self.lines(places, "    ")?;
        }
        if left > 0 {
            writeln!(self.out, "  and {left} more: --all")?;
        }
        Ok(())
    }

    fn host(&mut self, host: &HostDiff) -> io::Result<()> {
        let compared = self.compared;
        let is_shown = |change: &&Change| compared.all || change.class >= Class::Dynamic;
        let changes: Vec<&Change> = host.changes.iter().filter(is_shown).collect();
        if changes.is_empty() && host.renumbered.is_empty() && host.rates.is_empty() {
            return Ok(());
        }
        writeln!(self.out)?;
        let name = visible(compared.label(1, host.new)).into_owned();
        writeln!(self.out, "{}", self.paint.of(style::STRONG, name))?;
        let mut before: Option<(Class, String)> = None;
        let most = if compared.all { usize::MAX } else { MOST };
        for change in changes.iter().take(most) {
            let netns = change.netns.as_ref().filter(|netns| !netns.is_root());
            let group = (change.class, netns.map(ToString::to_string).unwrap_or_default());
            if before.as_ref() != Some(&group) {
                let place =
                    if group.1.is_empty() { String::new() } else { format!(" in {}", group.1) };
                let title = format!("{}{place}", change.class.as_str());
                writeln!(self.out, "  {}", self.paint.of(style::FAINT, visible(&title)))?;
                before = Some(group);
            }
            write!(self.out, "    ")?;
            self.head(change)?;
            self.lines(change.best_places(), "      ")?;
            if compared.all {
                for part in &change.parts {
                    write!(self.out, "      ")?;
                    self.head(part)?;
                }
            }
        }
        if changes.len() > most {
            writeln!(self.out, "    and {} more: --all", changes.len() - most)?;
        }
        self.renumbered(host)?;
        self.rates(host)
    }

    /// Counters of errors and drops that grew.
    fn rates(&mut self, host: &HostDiff) -> io::Result<()> {
        let (rates, left) = diff_when::rates(self.compared, host);
        if rates.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "  {}", self.paint.of(style::FAINT, "counters"))?;
        for rate in rates {
            writeln!(self.out, "    {}", visible(&diff_when::rate(rate)))?;
            if self.compared.all {
                self.lines(rate.places, "      ")?;
            }
        }
        if left > 0 {
            writeln!(self.out, "    and {left} more: --all")?;
        }
        Ok(())
    }

    fn renumbered(&mut self, host: &HostDiff) -> io::Result<()> {
        if host.renumbered.is_empty() {
            return Ok(());
        }
        writeln!(self.out, "  {}", self.paint.of(style::FAINT, "renumbered"))?;
        for it in &host.renumbered {
            let some: Vec<String> = it
                .of
                .iter()
                .map(|one| format!("{} {} → {}", one.name, one.before, one.after))
                .collect();
            let most = if self.compared.all { usize::MAX } else { 3 };
            let many = it.of.len();
            let line = format!("= {} of {many}: {}", it.what, diff::list(&some, most));
            writeln!(self.out, "    {}", visible(&line))?;
        }
        Ok(())
    }

    /// `~ netdev eth0: state UP → DOWN (with 2 addresses)`
    fn head(&mut self, change: &Change) -> io::Result<()> {
        let colour = match change.op {
            Op::Added => style::GOOD,
            Op::Removed => style::ERROR,
            Op::Changed => style::WARNING,
            Op::Moved => style::INFO,
        };
        let sign = self.paint.of(colour, change.op.sign());
        let details = diff::details(change, self.compared.all);
        let most = if self.compared.all { usize::MAX } else { DETAILS };
        let more = details.len().saturating_sub(most);
        let mut details: Vec<String> = details.into_iter().take(most).collect();
        if more > 0 {
            details.push(format!("{more} more"));
        }
        let details =
            if details.is_empty() { String::new() } else { format!(": {}", details.join("; ")) };
        let details = shorten(&details, self.width.max(100) * 2).into_owned();
        let follows = diff::follows(change);
        let follows = if follows.is_empty() { String::new() } else { format!(" (with {follows})") };
        writeln!(
            self.out,
            "{sign} {} {}{}{}",
            change.kind().as_str(),
            visible(&change.name),
            visible(&details),
            self.paint.of(style::FAINT, visible(&follows))
        )
    }

    /// The line of each side.
    fn lines(&mut self, places: [Option<Evidence>; 2], indent: &str) -> io::Result<()> {
        for (side, at) in places.into_iter().enumerate() {
            let Some(at) = at else { continue };
            let Some(source) = self.compared.topology(side).snapshot.source(at.source) else {
                continue;
            };
            let Some(home) = self.places.get(side) else { continue };
            let place = home.linked_line(source, at.span);
            let quote = self.compared.quote(side, at).unwrap_or_default();
            let room = self.width.max(60) + LEAD;
            let quote = shorten(&quote, room).into_owned();
            let sign = if side == 0 { '-' } else { '+' };
            writeln!(
                self.out,
                "{indent}{} {place}  {}",
                self.paint.of(style::FAINT, sign),
                self.paint.of(style::CODE, visible(&quote))
            )?;
        }
        Ok(())
    }
}
