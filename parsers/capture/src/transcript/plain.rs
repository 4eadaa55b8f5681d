//! A first look at the lines of a session: nearly all lines of a long one are output, and that is to
//! be seen at little cost.
use super::{Reader, prompt, prose};
use crate::packing::{Line, Mark, signs::Signs};

impl Reader<'_> {
    /// Whether a line is one more line of the open output, as a first look tells: nearly all lines
    /// of a long session are.
    pub(super) fn is_plain_output(&self, at: usize, line: &Line<'_>) -> bool {
        let Some(open) = &self.open else { return false };
        let before = at.checked_sub(1).and_then(|at| self.lines.get(at));
        // Neither a prompt, nor the name of a host between rules, nor the end of an output.
        let is_within = self.strong
            && self.headings.is_empty()
            && self.learned.is_empty()
            && self.scopes.is_empty()
            && open.indent == 0
            && line.mark == Mark::Text
            && !may_be_prompt(line)
            && before.is_some_and(|before| before.signs.has(Signs::BEYOND_DASHES))
            && open.lines.last().is_none_or(|last| last.signs.has(Signs::BEYOND_DASHES));
        // Neither blank, nor a banner, nor what stands for lines that were left out.
        is_within
            && !line.text.starts_with(['+', '=', '-', '*', '`'])
            && !prose::is_notice(&line.text)
            && line.signs.has(Signs::BEYOND_DASHES)
            && (line.signs.has(Signs::QUOTE) || !prose::is_elision(&line.text))
            && line.trimmed() != self.bare_prompt
    }
}

/// Whether a line may have a prompt that names its host, as a first look tells.
fn may_be_prompt(line: &Line<'_>) -> bool {
    if prompt::is_numbered(&line.text) {
        return false;
    }
    // `host> command`: tags, and flags in angle brackets, stand elsewhere.
    let angle = || {
        let bytes = line.text.as_bytes();
        memchr::memchr_iter(b'>', bytes).any(|at| bytes.get(at + 1) == Some(&b' '))
            || bytes.trim_ascii_end().ends_with(b">>")
    };
    line.signs.has(Signs::PROMPT)
        || line.signs.has(Signs::ANGLE) && angle()
        || prompt::is_head_of_watch(&line.text)
}
