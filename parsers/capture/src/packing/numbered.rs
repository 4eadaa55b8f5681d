//! Line numbers of editors, pagers and paste bins.
use super::Line;

/// Takes the numbers off where all lines have one, and each is one more than that before.
pub(super) fn take_off(lines: &mut [Line<'_>]) {
    const FEWEST: usize = 4;
    let first = lines.iter().find(|line| !line.is_blank());
    if first.is_none_or(|line| number(&line.text).is_none()) {
        return;
    }
    let mut next = None;
    let mut cuts = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if line.is_blank() {
            continue;
        }
        let Some((number, length)) = number(&line.text) else { return };
        if next.is_some_and(|next| number != next) {
            return;
        }
        next = Some(number + 1);
        cuts.push((at, length));
    }
    // `ip -o link` numbers its lines, too: what is left of them would be nothing known.
    let rest = |&(at, length): &(usize, usize)| lines.get(at)?.text.get(length..);
    let sound = cuts.iter().filter_map(rest).any(|rest| {
        let begins = rest.starts_with(|c: char| c.is_ascii_digit());
        crate::transcript::is_prompt(rest) || begins && rest.contains(": <")
    });
    if cuts.len() < FEWEST || !sound {
        return;
    }
    for (at, length) in cuts {
        if let Some(line) = lines.get_mut(at) {
            line.cut_front(length);
        }
    }
}

/// The number before a line, and the length of it with what separates it.
fn number(text: &str) -> Option<(u32, usize)> {
    let body = text.trim_start_matches(' ');
    let digits = body.bytes().take_while(u8::is_ascii_digit).count();
    let number = body.get(..digits)?.parse().ok()?;
    let after = body.get(digits..)?;
    let separator = ["\t", " | ", "| ", "|", ": ", ":", ". ", ".", ") ", "  ", " "]
        .into_iter()
        .find(|prefix| after.starts_with(prefix))
        .or_else(|| after.is_empty().then_some(""))?;
    Some((number, text.len() - after.len() + separator.len()))
}
