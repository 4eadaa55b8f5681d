//! Outputs of a loop: the heading that each round prints, or its order, tells whose each is.
use super::{End, Open, Reader, is_claimed, split};
use crate::command::Invocation;
use crate::command::looped::Loop;
use crate::packing::Line;

/// Rounds of a loop that are told apart.
const MOST: usize = 1000;

impl Reader<'_> {
    /// Reads the outputs of a loop, or takes note that they cannot be told apart.
    pub(super) fn outputs_of_rounds(&mut self, open: &Open<'_>, looped: &Loop, how: End) {
        if !self.rounds(open, looped, how) && !open.lines.is_empty() {
            let claimed = open.runs.iter().filter(|run| is_claimed(run));
            let commands = claimed.map(|run| run.command.to_string()).collect();
            self.done.mixed.push((open.first_line.saturating_sub(1).max(1), commands));
        }
    }

    /// Files the outputs of a loop under the rounds that they are of; false where that cannot be
    /// told.
    fn rounds(&mut self, open: &Open<'_>, looped: &Loop, how: End) -> bool {
        let rounds = match looped.heading() {
            Some((before, after)) => {
                by_heading(&open.lines, &before, &after, &looped.items, looped)
            }
            None => by_order(&open.lines, looped),
        };
        let last = rounds.len().saturating_sub(1);
        for (n, (value, from, to)) in rounds.iter().enumerate() {
            let Some(lines) = open.lines.get(*from..*to) else { continue };
            let runs: Vec<_> = looped.runs(value).into_iter().filter(is_claimed).collect();
            // Of the last round the end is only known where a prompt follows.
            let partial = (open.elided || n == last && how != End::Prompt)
                .then(|| "printed by a loop, the end of which is not sure".to_owned());
            let first = lines.first().map_or(open.first_line, |line| line.number);
            if let [run] = runs.as_slice() {
                self.block(run, open.host.clone(), lines, first, partial, false);
                continue;
            }
            let parts = split::assign(&runs, lines);
            let all = parts.len() == runs.len();
            for (run, from, to) in parts {
                let Some(lines) = lines.get(from..to) else { continue };
                let first = lines.first().map_or(first, |line| line.number);
                let partial = partial
                    .clone()
                    .or_else(|| (!all).then(|| "printed together with other commands".to_owned()));
                self.block(&run, open.host.clone(), lines, first, partial, false);
            }
        }
        match rounds.first() {
            None => self.of_one_place(&open.lines, looped),
            // What stands before the first heading is of a round that nothing names.
            Some(&(_, from, _)) => (0..from).all(|at| split::begins(&open.lines, at).is_none()),
        }
    }

    /// Reads the outputs of a loop that stays where it is by their content, which may say what they
    /// are of.
    fn of_one_place(&mut self, lines: &[Line<'_>], looped: &Loop) -> bool {
        let here = |run: &Invocation| run.netns.is_root() && run.host.is_none();
        let segments = split::segments(lines);
        if segments.is_empty() || !looped.runs("VALUE").iter().all(here) {
            return false;
        }
        for segment in segments {
            let part = lines.get(segment.from..segment.to).unwrap_or_default();
            self.by_content(segment.format, part);
        }
        true
    }
}

/// No name of what a loop runs over is longer.
const LONGEST: usize = 80;

/// Rounds behind headings: value, first line, and the line behind the last.
fn by_heading(
    lines: &[Line<'_>],
    before: &str,
    after: &str,
    items: &[String],
    looped: &Loop,
) -> Vec<(String, usize, usize)> {
    let bare = before.is_empty() && after.is_empty();
    let reads_one = looped.runs("x").iter().filter(|run| is_claimed(run)).count() > 0;
    let value = |at: usize, line: &Line<'_>| {
        let rest = line.text.trim().strip_prefix(before.trim())?;
        let value = rest.strip_suffix(after.trim())?.trim();
        let plain = |c: char| c.is_alphanumeric() || "-_.:/@".contains(c);
        // `blue (id: 3)` is what `ip netns` prints of a namespace.
        let value = value.split(" (id: ").next().unwrap_or(value);
        // Names of namespaces may hold blanks; only what stands around them tells these from words.
        let framed = !bare && value.len() <= LONGEST && !value.contains(char::is_control);
        let sound = !value.is_empty() && (framed || value.chars().all(plain));
        let known = items.is_empty() || items.iter().any(|item| item == value);
        // A word alone may be anything, unless an output follows.
        let follows = !bare || !items.is_empty() || split::begins(lines, at + 1).is_some();
        (sound && known && follows).then(|| value.to_owned())
    };
    let mut rounds: Vec<(String, usize, usize)> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if !reads_one || rounds.len() >= MOST {
            break;
        }
        let Some(value) = value(at, line) else { continue };
        if let Some(round) = rounds.last_mut() {
            round.2 = at;
        }
        rounds.push((value, at + 1, lines.len()));
    }
    rounds
}

/// Rounds in the order of what the loop runs over: each begins with the same line as the first, but
/// for its value.
fn by_order(lines: &[Line<'_>], looped: &Loop) -> Vec<(String, usize, usize)> {
    let [first, ..] = looped.items.as_slice() else { return Vec::new() };
    let Some(from) = lines.iter().position(|line| !line.is_blank()) else { return Vec::new() };
    let head = lines.get(from).map_or("", |line| line.text.trim_end());
    let begins = |line: &Line<'_>, value: &str| {
        let text = line.text.trim_end();
        text == head || head.contains(first.as_str()) && text == head.replace(first.as_str(), value)
    };
    let mut rounds: Vec<(String, usize, usize)> = Vec::new();
    let mut left = looped.items.iter().take(MOST);
    let mut next = left.next();
    for (at, line) in lines.iter().enumerate().skip(from) {
        let Some(value) = next else {
            // A round more than there are values: the order tells nothing.
            if lines.get(from).is_some_and(|first| first.text == line.text) {
                return Vec::new();
            }
            continue;
        };
        if begins(line, value) {
            if let Some(round) = rounds.last_mut() {
                round.2 = at;
            }
            rounds.push((value.clone(), at, lines.len()));
            next = left.next();
        }
    }
    if next.is_some() { Vec::new() } else { rounds }
}
