//! Lines as they stood on the screen.
use std::borrow::Cow;
use std::iter::Peekable;

use super::Line;
use super::placed::{Place, Placed};
use super::signs::Signs;

/// A line without escape sequences, backspaces and carriage returns.
pub(super) fn line(number: u32, raw: &str) -> Line<'_> {
    let raw = raw.trim_end_matches('\r');
    let plain = Line::new(number, Cow::Borrowed(raw));
    if !plain.signs.has(Signs::CONTROL) {
        return plain;
    }
    let mut out = Placed::with_capacity(raw.len());
    show(raw.chars().zip((0..).map(|column| (number, column))), &mut out);
    out.into_line(number)
}

/// Shows characters on a line, as a terminal does.
pub(super) fn show(chars: impl Iterator<Item = (char, Place)>, out: &mut Placed) {
    let mut chars = chars.peekable();
    while let Some((c, place)) = chars.next() {
        match c {
            '\u{1b}' => escape(&mut chars),
            '\u{8}' => {
                out.pop();
            }
            // The cursor goes back to the margin: what follows overwrites. Before the end of the
            // line it only goes where it would go.
            '\r' if chars.peek().is_some() => out.clear(),
            '\t' => out.push(c, place),
            _ if c.is_control() => {}
            _ => out.push(c, place),
        }
    }
}

/// Skips an escape sequence: CSI up to its final byte, OSC up to BEL or ST, else one character.
fn escape(chars: &mut Peekable<impl Iterator<Item = (char, Place)>>) {
    match chars.next().map(|(c, _)| c) {
        Some('[') => {
            for (c, _) in chars.by_ref() {
                if ('\u{40}'..='\u{7e}').contains(&c) {
                    break;
                }
            }
        }
        Some(']') => {
            while let Some((c, _)) = chars.next() {
                if c == '\u{7}' {
                    break;
                }
                if c == '\u{1b}' {
                    chars.next_if(|(c, _)| *c == '\\');
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
        for (raw, shown) in [
            ("\u{1b}[1;31mred\u{1b}[0m\u{1b}]0;title\u{7}!\r", "red!"),
            ("50%\r100%", "100%"),
            ("a\u{8}b", "b"),
        ] {
            assert_eq!(line(1, raw).text, shown);
        }
    }
}
