//! Line numbers of editors, pagers and paste bins.
use super::{Line, Mark};

/// Takes the numbers off where several lines in a row have one, each one more than that before.
pub(super) fn take_off(lines: &mut [Line<'_>]) {
    const FEWEST: usize = 4;
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        // Most lines begin with no number.
        if !line.text.as_bytes().trim_ascii_start().first().is_some_and(u8::is_ascii_digit) {
            at += 1;
            continue;
        }
        // Nor does the line behind most that do.
        let next =
            lines.iter().skip(at + 1).find(|line| line.mark != Mark::Text || !line.is_blank());
        if next.is_none_or(|next| number(&next.text).is_none()) {
            at += 1;
            continue;
        }
        let run = run(lines.get(at..).unwrap_or_default());
        // `ip -o link` numbers its lines, too: what is left of them would be nothing known.
        let sound = || {
            run.iter().any(|&(behind, length)| {
                let rest = lines.get(at + behind).and_then(|line| line.text.get(length..));
                rest.is_some_and(|rest| {
                    let begins = rest.starts_with(|c: char| c.is_ascii_digit());
                    begins && rest.contains(": <") || crate::transcript::is_prompt(rest)
                })
            })
        };
        let numbered = run.len() >= FEWEST && sound();
        let next = run.last().map_or(at + 1, |&(behind, _)| at + behind + 1);
        for (behind, length) in run.into_iter().filter(|_| numbered) {
            if let Some(line) = lines.get_mut(at + behind) {
                line.cut_front(length);
            }
        }
        at = next;
    }
}

/// The lines of a run: how far each is behind the first, and how long its number is. Blank lines lie
/// between them where a tool numbers only others.
fn run(lines: &[Line<'_>]) -> Vec<(usize, usize)> {
    let mut run = Vec::new();
    let mut next = None;
    for (behind, line) in lines.iter().enumerate() {
        if line.is_blank() && line.mark == Mark::Text && next.is_some() {
            continue;
        }
        match number(&line.text) {
            Some((number, length)) if next.is_none_or(|next| number == next) => {
                next = number.checked_add(1);
                run.push((behind, length));
            }
            _ => break,
        }
    }
    run
}

/// The number before a line, and the length of it with what separates it.
fn number(text: &str) -> Option<(u32, usize)> {
    let indent = text.bytes().take_while(|&b| b == b' ').count();
    let body = text.get(indent..).filter(|body| body.starts_with(|c: char| c.is_ascii_digit()))?;
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    let number = body.get(..digits)?.parse().ok()?;
    let after = body.get(digits..)?;
    let separator =
        ["\t", " | ", "| ", "|", " │ ", "│ ", "│", ": ", ":", ". ", ".", ") ", "  ", " "]
            .into_iter()
            .find(|prefix| after.starts_with(prefix))
            .or_else(|| after.is_empty().then_some(""))?;
    Some((number, text.len() - after.len() + separator.len()))
}
