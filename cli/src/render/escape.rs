//! Makes captured text harmless for the terminal.
use std::borrow::Cow;

/// `text` with everything that a terminal would act upon made visible: control characters become
/// their pictures (`␛`), invisible and direction-changing characters become `�`. One character
/// stays one character. Tabs and line ends are made visible too; cut lines apart before.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(|c| harmless(c) == c) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(harmless).collect())
}

/// The character to show for `c`.
pub(crate) fn harmless(c: char) -> char {
    match c {
        '\0'..='\x1f' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\x7f' => '\u{2421}',
        // C1 controls.
        '\u{80}'..='\u{9f}'
        // Soft hyphen, zero-width and direction marks, line and paragraph separators, isolates,
        // byte order mark, interlinear annotations, tags.
        | '\u{ad}'
        | '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        _ => c,
    }
}

/// `text` as XML and HTML hold it, in elements and in quoted attributes. Line ends stay.
pub(crate) fn markup(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('\n'),
            // No characters of XML at all.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(harmless(c)),
        }
    }
    escaped
}

/// The first `most` characters, with `…` where some are left out.
pub(crate) fn shorten(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    match text.char_indices().nth(most) {
        None => Cow::Borrowed(text),
        Some((at, _)) => Cow::Owned(format!("{}…", text.get(..at).unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_do_not_survive() {
        assert_eq!(visible("a\x1b[31mb\x07\u{202e}c\u{9b}d\r"), "a␛[31mb␇�c�d␍");
        assert!(matches!(visible("qvo85bcbfb0-bc ü ─"), Cow::Borrowed(_)));
    }

    #[test]
    fn markup_does_not_survive() {
        assert_eq!(markup("</text><script>'\"&"), "&lt;/text&gt;&lt;script&gt;&#39;&quot;&amp;");
        assert_eq!(markup("a\u{202e}b\u{ffff}\x1b"), "a\u{fffd}b\u{fffd}␛");
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöü", 2), "äö…");
    }
}
