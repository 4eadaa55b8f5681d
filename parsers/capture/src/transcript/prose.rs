//! Lines that are no output.

/// Stands for lines that somebody took out.
pub(super) fn is_elision(line: &str) -> bool {
    const WORDS: usize = 5;
    let brackets = ['[', ']', '(', ')', '<', '>', '{', '}', '-', '*', ' ', '.', '…', '~', '#', '/'];
    let trimmed = line.trim();
    let dots = trimmed.trim_matches(['[', ']', '(', ')', '<', '>', '{', '}', '-', ' ']);
    if dots == "…" || dots.len() >= 3 && dots.chars().all(|c| matches!(c, '.' | '…' | ' ')) {
        return true;
    }
    let bare = trimmed.trim_matches(brackets).to_ascii_lowercase();
    let words = bare.split_whitespace().count();
    let said = bare.split([' ', ':']).any(|word| {
        matches!(
            word,
            "snip"
                | "snipped"
                | "omitted"
                | "truncated"
                | "cut"
                | "more"
                | "removed"
                | "stripped"
                | "skipped"
                | "elided"
                | "trimmed"
                | "redacted"
        )
    });
    said && (1..=WORDS).contains(&words) && bare != trimmed.to_ascii_lowercase()
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
    let counts = line.split_whitespace().any(is_number);
    let sentence = line.ends_with(['.', ':', '!', '?']) || !counts && line.contains(", ");
    item && plain >= 2
        || words >= 4 && plain * 4 >= words * 3 && (sentence || words >= 8 && !counts)
}

/// `512`, `512K`, `31M`.
fn is_number(word: &str) -> bool {
    let word = word.trim_end_matches([',', ')']);
    let digits = word.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(word);
    !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_and_elisions() {
        assert!(is_prose("Here is what the node says:"));
        assert!(is_prose("- the first one is down"));
        assert!(!is_prose("Chain INPUT (policy ACCEPT 0 packets, 0 bytes)"));
        assert!(!is_prose("Chain FORWARD (policy DROP 512K packets, 31M bytes)"));
        assert!(!is_prose("br0\t\t8000.000000000000\tno"));
        assert!(is_elision("..."));
        assert!(is_elision("  <snip>"));
        assert!(is_elision("[...]"));
        assert!(is_elision("<output omitted>"));
        assert!(is_elision("[12 lines removed]"));
        assert!(is_elision("-- snip --"));
        assert!(!is_elision("snip"));
    }
}
