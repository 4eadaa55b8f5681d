//! Letters that web pages and word processors put in place of those of a terminal.
use std::borrow::Cow;

use super::Line;

/// Puts blanks, quotes and dashes back, and leaves out what has no width.
pub(super) fn plain(lines: &mut [Line<'_>]) {
    for line in lines {
        if line.text.is_ascii() || !line.text.contains(is_changed) {
            continue;
        }
        let mut out = String::with_capacity(line.text.len());
        let mut before = ' ';
        let mut chars = line.text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\u{a0}' | '\u{202f}' | '\u{2000}'..='\u{200a}' | '\u{3000}' => out.push(' '),
                '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => {}
                '“' | '”' | '„' | '‟' | '«' | '»' | '″' => out.push('"'),
                '‘' | '’' | '‚' | '‛' | '′' => out.push('\''),
                // Two dashes become one in front of a long option.
                '–' | '—' => {
                    let option =
                        before == ' ' && chars.peek().is_some_and(char::is_ascii_lowercase);
                    let long = option && chars.clone().nth(1).is_some_and(char::is_alphanumeric);
                    out.push_str(if long { "--" } else { "-" });
                }
                '‐' | '‑' | '−' => out.push('-'),
                _ => out.push(c),
            }
            before = if c == '\u{a0}' { ' ' } else { c };
        }
        line.set_text(Cow::Owned(out));
    }
}

fn is_changed(c: char) -> bool {
    matches!(
        c,
        '\u{a0}' | '\u{ad}' | '\u{3000}' | '\u{feff}' | '«' | '»' | '\u{2000}'..='\u{206f}' | '−'
    )
}
