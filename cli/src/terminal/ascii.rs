//! For terminals that show ASCII alone: what is drawn, in signs that they have.

/// Whether the environment names the locale `C` for a terminal, which has no other characters. Where it says
/// nothing of a locale, nothing is known.
pub(super) fn is_asked() -> bool {
    let said = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let locale = said("LC_ALL").or_else(|| said("LC_CTYPE")).or_else(|| said("LANG"));
    locale.is_some_and(|locale| locale == "C" || locale == "POSIX")
}

/// The text with other signs.
pub(super) fn drawn(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '─' | '–' | '—' => out.push('-'),
            '│' => out.push('|'),
            '├' | '└' | '╭' | '╰' | '┬' | '┴' | '┼' | '╮' | '╯' => out.push('+'),
            '·' => out.push(':'),
            '▲' => out.push('^'),
            '✓' => out.push_str("ok"),
            '✗' => out.push('X'),
            '→' => out.push_str("->"),
            '⇄' => out.push_str("<->"),
            '…' => out.push('~'),
            other if other.is_ascii() => out.push(other),
            _ => out.push('?'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_is_of_ascii() {
        assert_eq!(drawn("├─ tap0 ✗ VM-002 …"), "+- tap0 X VM-002 ~");
        assert!(drawn("über ▼ ⚠").is_ascii());
    }
}
