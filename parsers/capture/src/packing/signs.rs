//! Which kinds of characters a line has at all: seen once, and asked by all that look for prompts,
//! markup and what stands for lines that were left out.

/// A set of kinds of characters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Signs(u16);

impl Signs {
    /// `#`, `$`, `%`, `@`, and all beyond ASCII: nearly each prompt has one.
    pub(crate) const PROMPT: Self = Self(1);
    /// `>`, which some prompts end with, and tags and flags as well.
    pub(crate) const ANGLE: Self = Self(32);
    /// Quotation marks.
    pub(crate) const QUOTE: Self = Self(64);
    /// What the prompt of any shell may end with.
    pub(crate) const PROMPT_END: Self = Self(2);
    /// What the markup of a page or a forum begins with.
    pub(crate) const MARKUP: Self = Self(4);
    /// Anything but blanks.
    pub(crate) const INK: Self = Self(8);
    /// Anything but blanks and dashes.
    pub(crate) const BEYOND_DASHES: Self = Self(16);
    /// Anything beyond ASCII.
    pub(crate) const BEYOND_ASCII: Self = Self(128);
    /// What moves the cursor or colours: control characters but tabs.
    pub(super) const CONTROL: Self = Self(256);
    /// What emphasises words, and what few outputs have: stars, tildes, back quotes.
    pub(super) const STRESS: Self = Self(512);
    /// Underscores, which emphasise words where two stand together.
    pub(super) const UNDERSCORE: Self = Self(1024);
    /// Opening braces.
    pub(super) const BRACE: Self = Self(2048);
    /// The single one of the quotation marks.
    pub(super) const APOSTROPHE: Self = Self(4096);

    /// The kinds of characters of a line.
    pub(super) fn of(text: &str) -> Self {
        // Each byte of a text is looked up here once: eight a round, which leaves hardly anything
        // but the lookups.
        let (rounds, rest) = text.as_bytes().as_chunks::<8>();
        let all = |bytes: &[u8]| bytes.iter().fold(0, |signs, b| signs | Self::of_byte(*b).0);
        Self(rounds.iter().fold(all(rest), |signs, round| signs | all(round)))
    }

    /// The kinds of a byte.
    pub(crate) fn of_byte(b: u8) -> Self {
        Self(KINDS.get(usize::from(b)).map_or(0, |kinds| *kinds))
    }

    /// Whether a character of these kinds is there.
    pub(crate) const fn has(self, kinds: Self) -> bool {
        self.0 & kinds.0 != 0
    }
}

/// The kinds of each byte.
const KINDS: [u16; 256] = kinds();

const fn kinds() -> [u16; 256] {
    let mut all = [0; 256];
    let mut rest: &mut [u16] = &mut all;
    let mut b: u8 = 0;
    while let Some((entry, behind)) = rest.split_first_mut() {
        let beyond_ascii = !b.is_ascii();
        let sign = b.is_ascii_punctuation();
        let mut kinds = 0;
        if beyond_ascii || matches!(b, b'#' | b'$' | b'%' | b'@') {
            kinds |= Signs::PROMPT.0;
        }
        if beyond_ascii {
            kinds |= Signs::BEYOND_ASCII.0;
        }
        if b < b' ' && b != b'\t' {
            kinds |= Signs::CONTROL.0;
        }
        if b == b'>' {
            kinds |= Signs::ANGLE.0;
        }
        if matches!(b, b'"' | b'\'') {
            kinds |= Signs::QUOTE.0;
        }
        if beyond_ascii || sign && !is_within_words(b) {
            kinds |= Signs::PROMPT_END.0;
        }
        if b == b'\'' {
            kinds |= Signs::APOSTROPHE.0;
        }
        if matches!(b, b'<' | b'[' | b'&') {
            kinds |= Signs::MARKUP.0;
        }
        if matches!(b, b'*' | b'~' | b'`') {
            kinds |= Signs::STRESS.0;
        }
        if b == b'_' {
            kinds |= Signs::UNDERSCORE.0;
        }
        if b == b'{' {
            kinds |= Signs::BRACE.0;
        }
        if !b.is_ascii_whitespace() {
            kinds |= Signs::INK.0;
            if b != b'-' {
                kinds |= Signs::BEYOND_DASHES.0;
            }
        }
        *entry = kinds;
        rest = behind;
        b = b.wrapping_add(1);
    }
    all
}

/// Punctuation that outputs and sentences have, and that no prompt ends with.
pub(crate) const fn is_within_words(b: u8) -> bool {
    matches!(
        b,
        b':' | b','
            | b'.'
            | b';'
            | b'"'
            | b'\''
            | b'`'
            | b'('
            | b'*'
            | b'_'
            | b'-'
            | b'='
            | b'/'
            | b'['
            | b'{'
            | b'|'
            | b'<'
    )
}

#[cfg(test)]
mod tests {
    use super::Signs;

    #[test]
    fn each_kind_is_seen() {
        let has = |text: &str, kinds| Signs::of(text).has(kinds);
        assert!(has("root@h", Signs::PROMPT) && has("❯ ip a", Signs::PROMPT));
        assert!(!has("    link/ether 02:00:00:00:00:01 brd ff", Signs::PROMPT));
        assert!(has("a! ip a", Signs::PROMPT_END) && !has("a: b, (c", Signs::PROMPT_END));
        assert!(has("<UP>", Signs::MARKUP) && has("&lt;", Signs::MARKUP));
        assert!(!has(" \t", Signs::INK) && has(" -", Signs::INK));
        assert!(has("\u{1b}[0m", Signs::CONTROL) && !has("a\tb", Signs::CONTROL));
        assert!(has("é", Signs::BEYOND_ASCII) && !has("e~\t", Signs::BEYOND_ASCII));
        assert!(!has(" --- ", Signs::BEYOND_DASHES) && has(" --- x", Signs::BEYOND_DASHES));
    }
}
