//! Lines that a mail program or a narrow terminal broke.
use std::borrow::Cow;

use super::{Line, Mark};

/// Words that never begin a line of `ip`, but stand in the middle of one.
const MIDDLE: &[&str] = &[
    "master",
    "state",
    "group",
    "qlen",
    "mode",
    "default",
    "link-netnsid",
    "link-netns",
    "qdisc",
    "mtu",
    "noqueue",
    "pfifo_fast",
    "fq_codel",
    "mq",
    "UP",
    "DOWN",
    "UNKNOWN",
    "DEFAULT",
    "brd",
    "promiscuity",
    "scope",
    "preferred_lft",
    "noprefixroute",
    "minmtu",
    "maxmtu",
];

/// Joins what was broken in the list of devices of `ip`.
pub(super) fn join(lines: Vec<Line<'_>>) -> Vec<Line<'_>> {
    let mut joined: Vec<Line<'_>> = Vec::with_capacity(lines.len());
    let mut inside = false;
    for line in lines {
        let head = is_head(line.text.trim_start());
        if let Some(before) = joined.last_mut()
            && inside
            && line.mark == Mark::Text
            && before.mark == Mark::Text
            && !head
            && let Some(between) = broken(&before.text, &line.text)
        {
            let text = format!("{}{between}{}", before.text.trim_end(), line.text.trim());
            before.text = Cow::Owned(text);
            continue;
        }
        inside = line.mark == Mark::Text
            && (head || inside && line.text.starts_with([' ', '\t']) && !line.is_blank());
        joined.push(line);
    }
    joined
}

/// What stood between two lines that were one; `None` if they never were.
fn broken(before: &str, line: &str) -> Option<&'static str> {
    const WIDTHS: &[usize] = &[80, 100, 120, 132];
    let indent = |text: &str| text.len() - text.trim_start().len();
    let first = line.split_whitespace().next()?;
    let width = before.chars().count();
    // Mail breaks at a blank, where the next word would not fit.
    let full = (55..=132).contains(&width) && !before.trim().is_empty();
    let known = MIDDLE.contains(&first) || before.ends_with(" brd") && first.contains(':');
    if full && known && indent(line) <= indent(before) {
        return Some(" ");
    }
    // A terminal breaks wherever its width ends.
    let prompt = line.contains(['#', '$', '>', '@']);
    let cut = WIDTHS.contains(&width) && is_head(before) && indent(line) == 0 && !prompt;
    cut.then_some(if before.ends_with(' ') { " " } else { "" })
}

/// `2: eth0: <FLAGS`.
fn is_head(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.get(digits..).and_then(|rest| rest.strip_prefix(": "));
    digits > 0
        && rest
            .is_some_and(|rest| rest.split_once(": ").is_some_and(|pair| pair.1.starts_with('<')))
}
