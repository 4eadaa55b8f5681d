//! Lines that a mail program or a narrow terminal broke.
mod rows;

use super::placed::Placed;
use super::{Line, Mark};

/// Words that never begin a line of `ip`, but stand in the middle of one.
fn is_of_middle(word: &str) -> bool {
    matches!(
        word,
        "master"
            | "state"
            | "group"
            | "qlen"
            | "mode"
            | "default"
            | "link-netnsid"
            | "link-netns"
            | "qdisc"
            | "mtu"
            | "noqueue"
            | "pfifo_fast"
            | "fq_codel"
            | "mq"
            | "UP"
            | "DOWN"
            | "UNKNOWN"
            | "DEFAULT"
            | "brd"
            | "promiscuity"
            | "scope"
            | "preferred_lft"
            | "noprefixroute"
            | "minmtu"
            | "maxmtu"
    )
}

/// Joins what was broken in the list of devices of `ip`.
pub(super) fn join(lines: &mut Vec<Line<'_>>) {
    let mut inside = false;
    let mut is_first = true;
    lines.dedup_by(|line, before| {
        if std::mem::take(&mut is_first) {
            inside = goes_on(before, is_head(&before.text), false);
        }
        let both = line.mark == Mark::Text && before.mark == Mark::Text;
        let head = is_head(&line.text);
        let of_list = if both && inside && !head { broken(&before.text, &line.text) } else { None };
        let between =
            of_list.or_else(|| if both { rows::broken(&before.text, &line.text) } else { None });
        if let Some(mut between) = between {
            let mut joined = Placed::with_capacity(before.text.len() + line.text.len() + 1);
            let first = before.text.trim_end().chars().count();
            before.characters().take(first).for_each(|(c, place)| joined.push(c, place));
            let indent = line.text.len() - line.text.trim_start().len();
            let second = line.text.trim().chars().count();
            for (c, place) in line.characters().skip(indent).take(second) {
                if !std::mem::take(&mut between).is_empty() {
                    joined.push(' ', place);
                }
                joined.push(c, place);
            }
            before.set(joined);
            return true;
        }
        inside = goes_on(line, head, inside);
        false
    });
}

/// Whether the line behind this one may belong to the list of devices.
fn goes_on(line: &Line<'_>, head: bool, inside: bool) -> bool {
    line.mark == Mark::Text
        && (head || inside && line.text.starts_with([' ', '\t']) && !line.is_blank())
}

/// What stood between two lines that were one; `None` if they never were.
fn broken(before: &str, line: &str) -> Option<&'static str> {
    const WIDTHS: &[usize] = &[80, 100, 120, 132];
    let indent = |text: &str| text.len() - text.trim_ascii_start().len();
    // Most lines of a list are indented below its first, which no full line is.
    let below = line.starts_with("    ") && before.as_bytes().first().is_some_and(|b| *b > b' ');
    if below {
        return None;
    }
    let (inner, outer) = (indent(line), indent(before));
    // What is indented below a line never was its end, but for the blank at which a terminal broke.
    if inner > outer + 1 {
        return None;
    }
    let first = line.split_ascii_whitespace().next()?;
    let width = before.chars().count();
    if inner > outer {
        let at_a_blank = WIDTHS.contains(&width) && is_head(before) && is_of_middle(first);
        return at_a_blank.then_some(" ");
    }
    // Mail breaks at a blank, where the next word would not fit.
    let filled = width + 1 + first.chars().count();
    let full = filled >= 56 && width <= 132 && !before.trim().is_empty();
    let known = || {
        let flags = first.starts_with('<') && before.ends_with(':');
        flags || is_of_middle(first) || before.ends_with(" brd") && first.contains(':')
    };
    if full && known() {
        return Some(" ");
    }
    // A terminal breaks wherever its width ends.
    let prompt = || line.contains(['#', '$', '>', '@']);
    let cut = WIDTHS.contains(&width) && is_head(before) && inner == 0 && !prompt();
    cut.then_some(if before.ends_with(' ') { " " } else { "" })
}

/// `2: eth0: <FLAGS`, indented or not, also where a mail program broke it before the flags.
fn is_head(text: &str) -> bool {
    let text = text.trim_ascii_start();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return false;
    }
    let Some(rest) = text.get(digits..).and_then(|rest| rest.strip_prefix(": ")) else {
        return false;
    };
    match rest.split_once(' ') {
        Some((name, flags)) => name.ends_with(':') && flags.starts_with('<'),
        None => rest.trim_end().ends_with(':'),
    }
}
