//! Letters that web pages and word processors put in place of those of a terminal.
use super::Line;
use super::placed::Placed;
use super::signs::Signs;

/// Puts blanks, quotes and dashes back, and leaves out what has no width.
pub(super) fn plain(lines: &mut [Line<'_>]) {
    for line in lines {
        if !line.signs.has(Signs::BEYOND_ASCII) || !line.text.contains(is_changed) {
            continue;
        }
        let mut out = Placed::with_capacity(line.text.len());
        let mut before = ' ';
        let mut ahead = line.text.chars();
        for (c, place) in line.characters() {
            ahead.next();
            match c {
                // Two dashes become one in front of a long option.
                '–' | '—' => {
                    let mut next = ahead.clone();
                    let option =
                        before == ' ' && next.next().is_some_and(|c| c.is_ascii_lowercase());
                    let long = option && next.next().is_some_and(char::is_alphanumeric);
                    out.push_str(if long { "--" } else { "-" }, place);
                }
                _ => match letter(c) {
                    Some(plain) => out.push_str(plain, place),
                    None => out.push(c, place),
                },
            }
            before = if c == '\u{a0}' { ' ' } else { c };
        }
        line.set(out);
    }
}

/// What a terminal shows in place of a letter of a page; nothing for what has no width.
pub(super) fn letter(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{a0}' | '\u{202f}' | '\u{2000}'..='\u{200a}' | '\u{3000}' => " ",
        '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}' | '\u{ad}' => "",
        '“' | '”' | '„' | '‟' | '«' | '»' | '″' => "\"",
        '‘' | '’' | '‚' | '‛' | '′' => "'",
        '‐' | '‑' | '−' | '–' | '—' => "-",
        // As wide as the letters of East Asia.
        '：' => ":",
        '，' => ",",
        '；' => ";",
        '＝' => "=",
        '（' => "(",
        '）' => ")",
        '／' => "/",
        _ => return None,
    })
}

fn is_changed(c: char) -> bool {
    matches!(
        c,
        '\u{a0}' | '\u{ad}' | '\u{3000}' | '\u{feff}' | '\u{ff01}'..='\u{ff5e}' | '«' | '»' | '\u{2000}'..='\u{206f}' | '−'
    )
}
