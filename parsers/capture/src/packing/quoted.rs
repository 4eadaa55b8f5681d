//! `> ` before each line of a mail that is answered.
use super::{Line, signs::Signs};

/// How deep answers to answers go.
const DEEPEST: usize = 8;

/// Takes the marks off where several lines in a row have one.
pub(super) fn take_off(lines: &mut [Line<'_>]) {
    let mut quoted = Vec::new();
    for _ in 0..DEEPEST {
        if !once(lines, &mut quoted) {
            return;
        }
    }
}

/// Takes one mark off each line of a run of marked lines; `quoted` are those that had one.
fn once(lines: &mut [Line<'_>], quoted: &mut Vec<bool>) -> bool {
    if !lines.iter().any(|line| mark(&line.text).is_some()) {
        return false;
    }
    quoted.resize(lines.len(), false);
    let mut found = false;
    let mut at = 0;
    // Where the last run ended: what a mail program broke stands between it and the next.
    let mut ended: Option<usize> = None;
    // A shell asks for the rest of a command with `> `, too.
    let mut goes_on = false;
    while let Some(line) = lines.get(at) {
        let run = lines.iter().skip(at).take_while(|line| mark(&line.text).is_some()).count();
        // Within a quotation a single line may be quoted once more, and stand between broken ones.
        let near = ended.is_some_and(|ended| at - ended <= 1);
        let alone = run == 1 && !near && quoted.get(at) == Some(&false);
        if run == 0 || alone || goes_on {
            goes_on = line.text.ends_with('\\')
                || line.signs.has(Signs::MARKUP) && line.text.contains("<<");
            at += run.max(1);
            continue;
        }
        quoted.get_mut(at..at + run).unwrap_or_default().fill(true);
        for line in lines.iter_mut().skip(at).take(run) {
            if let Some(length) = mark(&line.text) {
                line.cut_front(length);
            }
        }
        found = true;
        goes_on = false;
        at += run;
        ended = Some(at);
    }
    found
}

/// How long the mark is that a line begins with: `>`, `> `, and ` > ` of some mail programs.
fn mark(text: &str) -> Option<usize> {
    let indent = usize::from(text.starts_with(" >"));
    let rest = text.get(indent..)?.strip_prefix('>')?;
    Some(indent + 1 + usize::from(rest.starts_with(' ')))
}
