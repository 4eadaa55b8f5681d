//! Lines that are no output.

pub(super) use tapline_formats::elision::is_elision;

/// What a shell or pager says around an output, and is none of it: a password that was asked for, the
/// end of a page, a job, how long it took.
pub(super) fn is_notice(line: &str) -> bool {
    const TIMES: [&str; 3] = ["real\t", "user\t", "sys\t"];
    if !matches!(
        line.as_bytes().first(),
        Some(b'(' | b'-' | b'l' | b'[' | b'P' | b'R' | b'S' | b'r' | b'u' | b's')
    ) {
        return false;
    }
    let line = line.trim_ascii_end();
    let job = || {
        let (number, rest) = line.strip_prefix('[')?.split_once(']')?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let rest = rest.trim_start_matches(['+', '-']);
        let told = is_number(rest.trim_start()) || rest.trim_start().starts_with("Done");
        Some(is_number(number) && told && rest.starts_with(' '))
    };
    match line.as_bytes().first() {
        Some(b'(') => line == "(END)",
        // What `echo ----` prints between two outputs.
        Some(b'-') => line == "----" || line.starts_with("--More--"),
        Some(b'l') => line.starts_with("lines ") && line.ends_with("(END)"),
        Some(b'[') => line.starts_with("[sudo") && line.ends_with(':') || job() == Some(true),
        Some(b'P') => {
            line == "Password:" || line == "Press ^] three times within 1s to disconnect TTY."
        }
        // What systemd-run and script say of themselves.
        Some(b'R') => {
            line.starts_with("Running as unit: ") || line.starts_with("Running scope as unit: ")
        }
        Some(b'S') => ["Script started", "Script done"].iter().any(|said| line.starts_with(said)),
        Some(b'r' | b'u' | b's') => TIMES.iter().any(|time| {
            line.strip_prefix(time).is_some_and(|rest| rest.ends_with('s') && rest.contains('m'))
        }),
        _ => false,
    }
}

/// A sentence, a list item or a heading rather than output. Asked only about lines that follow a
/// blank one.
pub(super) fn is_prose(line: &str) -> bool {
    // Nobody writes so much without a break; a document of JSON may be one line of megabytes.
    const LONGEST: usize = 16 << 10;
    if line.starts_with([' ', '\t']) || line.len() > LONGEST {
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
    fn prose() {
        assert!(is_prose("Here is what the node says:"));
        assert!(is_prose("- the first one is down"));
        assert!(!is_prose("Chain INPUT (policy ACCEPT 0 packets, 0 bytes)"));
        assert!(!is_prose("Chain FORWARD (policy DROP 512K packets, 31M bytes)"));
        assert!(!is_prose("br0\t\t8000.000000000000\tno"));
    }

    #[test]
    fn notices_of_shells_and_pagers() {
        for line in [
            "(END)",
            "--More--(50%)",
            "lines 1-20/20 (END)",
            "[sudo] password for kim: ",
            "[1] 4711",
            "Running as unit: run-u42.service",
            "Script started, output log file is 'typescript'.",
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
