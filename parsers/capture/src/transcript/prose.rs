//! Lines that are no output.

/// What stands around the words for lines that were left out, of ASCII.
const AROUND: [bool; 128] = {
    let mut all = [false; 128];
    let mut signs: &[u8] = b"[]()<>{}-* .~#/";
    while let Some((sign, behind)) = signs.split_first() {
        if let Some((_, rest)) = all.split_at_mut_checked(*sign as usize)
            && let Some(entry) = rest.first_mut()
        {
            *entry = true;
        }
        signs = behind;
    }
    all
};

fn is_around(c: char) -> bool {
    c == '…' || AROUND.get(c as usize) == Some(&true)
}

/// Whether a line may stand for lines that were left out, as its ends tell.
pub(super) fn may_be_elision(line: &str) -> bool {
    let trimmed = line.as_bytes().trim_ascii();
    let is_around = |b: Option<&u8>| b.is_some_and(|&b| AROUND.get(usize::from(b)) != Some(&false));
    is_around(trimmed.first()) || is_around(trimmed.last())
}

/// Stands for lines that somebody took out.
pub(super) fn is_elision(line: &str) -> bool {
    const LONGEST: usize = 100;
    const WORDS: usize = 5;
    const SAID: &[&str] = &[
        "snip",
        "snipped",
        "omitted",
        "truncated",
        "cut",
        "more",
        "removed",
        "stripped",
        "skipped",
        "elided",
        "trimmed",
        "redacted",
    ];
    // Most lines of output are longer, or have nothing around them: that is seen at once.
    if !may_be_elision(line) {
        return false;
    }
    // Without a look at blanks beyond ASCII, which nothing this long has enough of.
    if line.trim_ascii().len() > LONGEST && line.is_ascii() {
        return false;
    }
    let trimmed = line.trim();
    if trimmed.len() > LONGEST {
        return false;
    }
    let dots = trimmed.trim_matches(['[', ']', '(', ')', '<', '>', '{', '}', '-', ' ']);
    if dots == "…" || dots.len() >= 3 && dots.chars().all(|c| matches!(c, '.' | '…' | ' ')) {
        return true;
    }
    let bare = trimmed.trim_matches(is_around);
    let scissors = || trimmed.contains("8<") || trimmed.contains(">8");
    if trimmed.contains('✂') || bare == "8" && scissors() {
        return true;
    }
    bare.len() < trimmed.len()
        && bare.split_whitespace().nth(WORDS).is_none()
        && bare.as_bytes().split(|b| matches!(b, b' ' | b':')).any(|word| {
            let may_be = (3..=9).contains(&word.len());
            may_be && SAID.iter().any(|said| word.eq_ignore_ascii_case(said.as_bytes()))
        })
}

/// What a shell or pager says around an output, and is none of it: a password that was asked for, the
/// end of a page, a job, how long it took.
pub(super) fn is_notice(line: &str) -> bool {
    const TIMES: [&str; 3] = ["real\t", "user\t", "sys\t"];
    if !matches!(
        line.as_bytes().first(),
        Some(b'(' | b'-' | b'l' | b'[' | b'P' | b'r' | b'u' | b's')
    ) {
        return false;
    }
    let line = line.trim_end();
    let job = || {
        let (number, rest) = line.strip_prefix('[')?.split_once(']')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let rest = rest.trim_start_matches(['+', '-']);
        let told = is_number(rest.trim_start()) || rest.trim_start().starts_with("Done");
        Some(is_number(number) && told && rest.starts_with(' '))
    };
    match line.as_bytes().first() {
        Some(b'(') => line == "(END)",
        Some(b'-') => line.starts_with("--More--"),
        Some(b'l') => line.starts_with("lines ") && line.ends_with("(END)"),
        Some(b'[') => line.starts_with("[sudo") && line.ends_with(':') || job() == Some(true),
        Some(b'P') => line == "Password:",
        Some(b'r' | b'u' | b's') => TIMES.iter().any(|time| {
            line.strip_prefix(time).is_some_and(|rest| rest.ends_with('s') && rest.contains('m'))
        }),
        _ => false,
    }
}

/// A sentence, a list item or a heading rather than output. Asked only about lines that follow a
/// blank one.
pub(super) fn is_prose(line: &str) -> bool {
    if line.starts_with([' ', '\t']) {
        return false;
    }
    let item =
        ["- ", "* ", "## ", "### ", "1. ", "> "].iter().any(|prefix| line.starts_with(prefix));
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
        assert!(is_elision("8< ------"));
    }

    #[test]
    fn notices_of_shells_and_pagers() {
        for line in [
            "(END)",
            "--More--(50%)",
            "lines 1-20/20 (END)",
            "[sudo] password for kim: ",
            "[1] 4711",
            "[1]+  Done                    ip a",
            "real\t0m0.003s",
        ] {
            assert!(is_notice(line), "{line}");
        }
        for line in ["[root@h ~]# ip a", "[1]", "real", "lines", "(END) of it", "sys\tx"] {
            assert!(!is_notice(line), "{line}");
        }
    }
}
