//! Command lines that go on in the next lines: after a backslash, in the body of a loop, or because
//! the terminal was too narrow.
use super::{heredoc, is_claimed, prompt};
use crate::command::looped::{Loop, is_open};
use crate::packing::{Line, Mark};

/// Lines that a loop may have.
const MOST: usize = 20;

/// What was typed from the line at `at` on, as one line, and the last line that belongs to it.
pub(super) fn whole(
    lines: &[Line<'_>],
    at: usize,
    begun: &str,
    context: prompt::Context<'_>,
) -> (String, usize) {
    let mut typed = begun.to_owned();
    let mut last = at;
    while typed.ends_with('\\')
        && let Some(next) = lines.get(last + 1)
    {
        typed.pop();
        typed.push_str(without_sign(&next.text));
        last += 1;
    }
    if let Some((given, end)) = heredoc::given(lines, last, &typed) {
        return (given, end);
    }
    // The shell prints what it recalls.
    if is_recalled(&typed)
        && let Some(next) = lines.get(last + 1)
        && prompt::known_printing(next.text.trim())
    {
        return (next.text.trim().to_owned(), last + 1);
    }
    if let Some((looped, end)) = looped(lines, last, &typed) {
        return (looped, end);
    }
    if let Some(next) = lines.get(last + 1)
        && prompt::find(&next.text, context).is_none()
        && let Some(line) = lines.get(at)
        && prompt::wraps(line.text.chars().count(), &typed, &next.text)
    {
        typed.push_str(&next.text);
        last += 1;
    }
    (typed, last)
}

/// Whether a command recalls an earlier one: `sudo !!`, `!102`, `!ovs`.
fn is_recalled(typed: &str) -> bool {
    let event = |word: &str| {
        let rest = word.strip_prefix('!')?;
        Some(rest.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '!' | '-' | '$')))
    };
    typed.split(' ').any(|word| event(word) == Some(true))
}

/// The loop that begins at a line without a prompt, if a format reads what it prints, and its last
/// line.
pub(super) fn looped_at(lines: &[Line<'_>], at: usize) -> Option<(Loop, usize)> {
    let begun = lines.get(at)?.text.trim();
    let (typed, last) = looped(lines, at, begun).unwrap_or((begun.to_owned(), at));
    let looped = Loop::of(&typed)?;
    looped.runs("VALUE").iter().any(is_claimed).then_some((looped, last))
}

/// A loop that was typed over several lines, as one line, and its last line.
fn looped(lines: &[Line<'_>], at: usize, begun: &str) -> Option<(String, usize)> {
    if !is_open(begun) {
        return None;
    }
    let mut typed = begun.trim_end().to_owned();
    for (last, line) in lines.iter().enumerate().skip(at + 1).take(MOST) {
        if line.mark != Mark::Text {
            return None;
        }
        let part = without_sign(&line.text).trim();
        if part.is_empty() || part.starts_with('#') {
            continue;
        }
        let joined = typed.ends_with([';', '|', '{', '(', '&']) || ends_with_do(&typed);
        typed.push_str(if joined { " " } else { "; " });
        typed.push_str(part);
        if !is_open(&typed) {
            return Loop::of(&typed).map(|_| (typed, last));
        }
    }
    None
}

fn ends_with_do(typed: &str) -> bool {
    typed.rsplit([' ', ';']).next() == Some("do")
}

/// A line without the `> ` by which a shell asks for the rest.
pub(super) fn without_sign(line: &str) -> &str {
    line.trim_start_matches(['>', ' '])
}
