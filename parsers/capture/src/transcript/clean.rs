//! Lines as they stood on the screen, and lines that are no output.
use std::borrow::Cow;

/// A line without escape sequences, backspaces and carriage returns.
pub(super) fn line(raw: &str) -> Cow<'_, str> {
    let raw = raw.trim_end_matches('\r');
    if !raw.bytes().any(|b| b < b' ' && b != b'\t') {
        return Cow::Borrowed(raw);
    }
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => escape(&mut chars),
            '\u{8}' => {
                out.pop();
            }
            // The cursor goes back to the margin: what follows overwrites.
            '\r' => out.clear(),
            '\t' => out.push(c),
            _ if c.is_control() => {}
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Skips an escape sequence: CSI up to its final byte, OSC up to BEL or ST, else one character.
fn escape(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    match chars.next() {
        Some('[') => {
            for c in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    break;
                }
            }
        }
        Some(']') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' {
                    break;
                }
                if c == '\u{1b}' {
                    chars.next_if_eq(&'\\');
                    break;
                }
            }
        }
        Some('(' | ')') => {
            chars.next();
        }
        _ => {}
    }
}

/// The edge of a block of code in Markdown and its like.
pub(super) fn is_fence(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("```")
        || line.starts_with("~~~")
        || matches!(line, "{noformat}" | "{code}" | "</pre>" | "</code>" | "----8<----")
}

/// Stands for lines that somebody took out.
pub(super) fn is_elision(line: &str) -> bool {
    let bare = line.trim().trim_matches(['[', ']', '(', ')', '<', '>', '{', '}', '-', ' ']);
    let dots = bare.len() >= 3 && bare.chars().all(|c| matches!(c, '.' | '…'));
    dots || bare == "…"
        || matches!(
            bare.to_ascii_lowercase().as_str(),
            "snip" | "snipped" | "output omitted" | "omitted" | "truncated" | "cut" | "more"
        ) && line.trim() != bare
        || line.trim() == "--More--"
}

/// A sentence, a list item or a heading rather than output. Asked only about lines that follow a
/// blank one.
pub(super) fn is_prose(line: &str) -> bool {
    if line.starts_with([' ', '\t']) {
        return false;
    }
    let item = ["- ", "* ", "## ", "### ", "1. ", "> "].iter().any(|it| line.starts_with(it));
    let mut words = 0_usize;
    let mut plain = 0_usize;
    for word in line.split_whitespace() {
        words += 1;
        let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
        plain +=
            usize::from(!word.is_empty() && word.chars().all(|c| c.is_alphabetic() || c == '\''));
    }
    // `Chain INPUT (policy ACCEPT 0 packets, 0 bytes)` has words, but also numbers.
    let counts = line.split_whitespace().any(|it| it.bytes().all(|b| b.is_ascii_digit()));
    let sentence = line.ends_with(['.', ':', '!', '?']) || !counts && line.contains(", ");
    item && plain >= 2
        || words >= 4 && plain * 4 >= words * 3 && (sentence || words >= 8 && !counts)
}

/// Takes back the character entities of a page that was copied as HTML.
pub(super) fn entities(text: String) -> String {
    let escaped = text.contains("&lt;") || text.contains("&quot;");
    // XML has entities of its own.
    if !escaped || text.contains('<') {
        return text;
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_screen_showed() {
        assert_eq!(line("\u{1b}[1;31mred\u{1b}[0m\u{1b}]0;title\u{7}!\r"), "red!");
        assert_eq!(line("50%\r100%"), "100%");
        assert_eq!(line("a\u{8}b"), "b");
    }

    #[test]
    fn prose_and_elisions() {
        assert!(is_prose("Here is what the node says:"));
        assert!(is_prose("- the first one is down"));
        assert!(!is_prose("Chain INPUT (policy ACCEPT 0 packets, 0 bytes)"));
        assert!(!is_prose("br0\t\t8000.000000000000\tno"));
        assert!(is_elision("..."));
        assert!(is_elision("  <snip>"));
        assert!(is_elision("[...]"));
        assert!(!is_elision("snip"));
    }
}
