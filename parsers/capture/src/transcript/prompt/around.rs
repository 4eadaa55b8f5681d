//! What stands around a prompt: names of environments, clocks, words of whoever pasted it.
use super::{at_host, brackets, known};

/// What was typed, without the time that some shells show at the right edge: `ip a        [10:11:12]`.
pub(super) fn without_clock(typed: &str) -> &str {
    let Some((before, last)) = typed.rsplit_once(' ') else { return typed };
    let time = last.trim_matches(['[', ']', '(', ')']);
    let numbers =
        time.split(':').all(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit()));
    let clock = numbers && (2..=3).contains(&time.split(':').count());
    if clock && before.ends_with("   ") { before.trim_end() } else { typed }
}

/// Takes off `(venv) (overcloud) ` and a clock.
pub(super) fn without_ornament(mut line: &str) -> &str {
    loop {
        if let Some((name, rest)) = line.strip_prefix('(').and_then(|it| it.split_once(')')) {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
            if name.chars().all(plain) {
                line = rest.trim_start();
                continue;
            }
        }
        let clock = |text: &str| {
            text.len() >= 5
                && text.contains(':')
                && text.bytes().all(|b| b.is_ascii_digit() || b":-.,/TZ+ ".contains(&b))
        };
        let bracketed = line.strip_prefix('[').and_then(|it| it.split_once("] "));
        match bracketed.or_else(|| line.split_once(' ')) {
            Some((before, rest)) if clock(before) => line = rest.trim_start(),
            _ => return line,
        }
    }
}

/// Takes off words that stand in front of a prompt: `Output: root@h:~# ip a`.
pub(super) fn without_said(line: &str) -> &str {
    const LONGEST: usize = 60;
    // Hardly a line has a sign of both.
    let bytes = line.as_bytes();
    let Some(at) = memchr::memchr(b'@', bytes.get(..bytes.len().min(2 * LONGEST)).unwrap_or(bytes))
    else {
        return line;
    };
    let head = line.get(..at).unwrap_or_default();
    let Some((said, _)) = head.split_once(": ").filter(|(said, _)| said.len() < LONGEST) else {
        return line;
    };
    let rest = line.get(said.len() + 2..).unwrap_or_default();
    let plain = |word: &str| word.chars().all(char::is_alphabetic);
    let names = brackets(rest).or_else(|| at_host(rest)).is_some_and(|(_, _, typed)| known(typed));
    if said.split_whitespace().all(plain) && names { rest } else { line }
}
