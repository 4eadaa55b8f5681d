//! Unified differences of texts (`diff -u`, `git diff`): the newer text is read, as far as it is shown.
//!
//! A hunk says how many lines it has of either text, so nothing else is taken for one. What was taken
//! out belongs to another moment; what lies between two hunks is left out.
use super::{Line, Mark};

/// Takes the first sign of each line off, and the lines of the older text out.
pub(super) fn take_off(lines: &mut Vec<Line<'_>>) {
    if !lines.iter().any(|line| hunk(&line.text).is_some()) {
        return;
    }
    let mut out: Vec<Line<'_>> = Vec::with_capacity(lines.len());
    let mut all = std::mem::take(lines).into_iter().peekable();
    // Within the hunks of one file.
    let mut open = false;
    while let Some(mut line) = all.next() {
        let Some(sizes) = hunk(&line.text) else {
            let is_head = ["diff ", "index ", "--- ", "+++ "];
            let ends = open && is_head.iter().any(|head| line.text.starts_with(head));
            if ends {
                out.push(edge(&line, Mark::Close));
                open = false;
            }
            out.push(line);
            continue;
        };
        if !open {
            out.push(edge(&line, Mark::Open));
            open = true;
        }
        // A hunk that begins the text leaves nothing out before it.
        if sizes.start > 1 {
            line.set_plain("...");
            out.push(line);
        }
        let (mut old, mut new) = (sizes.old, sizes.new);
        while old > 0 || new > 0 {
            let takes = all.peek().is_some_and(|next| next.mark == Mark::Text);
            let Some(mut next) = all.next_if(|_| takes) else { break };
            match next.text.chars().next() {
                Some('+') => new = new.saturating_sub(1),
                Some('-') => {
                    old = old.saturating_sub(1);
                    continue;
                }
                // `\ No newline at end of file`
                Some('\\') => continue,
                // Mails lose the blank of an empty line.
                Some(' ') | None => {
                    old = old.saturating_sub(1);
                    new = new.saturating_sub(1);
                }
                Some(_) => {
                    out.push(next);
                    break;
                }
            }
            next.cut_front(1);
            out.push(next);
        }
    }
    if open && let Some(last) = out.last() {
        out.push(edge(last, Mark::Close));
    }
    *lines = out;
}

fn edge<'a>(line: &Line<'a>, mark: Mark) -> Line<'a> {
    Line { mark, ..Line::new(line.number, "".into()) }
}

/// The numbers of a hunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hunk {
    /// Lines of the older text.
    old: u32,
    /// Where it begins in the newer text.
    start: u32,
    /// Lines of the newer text.
    new: u32,
}

/// `@@ -1,7 +1,9 @@`
fn hunk(text: &str) -> Option<Hunk> {
    let (ranges, _) = text.strip_prefix("@@ -")?.split_once(" @@")?;
    let (old, new) = ranges.split_once(" +")?;
    let range = |text: &str| -> Option<(u32, u32)> {
        match text.split_once(',') {
            Some((start, count)) => Some((start.parse().ok()?, count.parse().ok()?)),
            None => Some((text.parse().ok()?, 1)),
        }
    };
    let ((_, old), (start, new)) = (range(old)?, range(new)?);
    Some(Hunk { old, start, new })
}
