//! Lines as they stood on the screen.
use std::borrow::Cow;
use std::iter::Peekable;
use std::str::Chars;

/// A line without escape sequences, backspaces and carriage returns.
pub(super) fn line(raw: &str) -> Cow<'_, str> {
    let raw = raw.trim_end_matches('\r');
    // Without a way out early, which is many bytes at once.
    let is_odd = |b: u8| b < b' ' && b != b'\t';
    if !raw.bytes().fold(false, |any, b| any | is_odd(b)) {
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
fn escape(chars: &mut Peekable<Chars<'_>>) {
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

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn what_the_screen_showed() {
        assert_eq!(line("\u{1b}[1;31mred\u{1b}[0m\u{1b}]0;title\u{7}!\r"), "red!");
        assert_eq!(line("50%\r100%"), "100%");
        assert_eq!(line("a\u{8}b"), "b");
    }
}
