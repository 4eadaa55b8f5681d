//! Here-documents: `ssh web <<EOF`, and the lines that a command is given up to `EOF`.
use tapline_core::need::quote;

use super::typed::without_sign;
use crate::packing::{Line, Mark};

/// Lines that a here-document may have.
const MOST: usize = 60;

/// The command line that begins at `at` with what it is given, and the last line of that: a shell gets it
/// as if it stood behind `-c`.
pub(super) fn given(lines: &[Line<'_>], at: usize, typed: &str) -> Option<(String, usize)> {
    let (before, behind) = typed.split_once("<<")?;
    let behind = behind.trim_start_matches(['-', ' ']);
    let end = behind.split([' ', '|', '>', ';']).next()?.trim_matches(['\'', '"', '\\']);
    if end.is_empty() || behind.starts_with('<') || !end.bytes().all(is_word) {
        return None;
    }
    let mut script: Vec<&str> = Vec::new();
    for (last, line) in lines.iter().enumerate().skip(at + 1).take(MOST) {
        if line.mark != Mark::Text {
            return None;
        }
        let text = without_sign(&line.text).trim();
        if text == end {
            return Some((as_argument(before.trim(), &script), last));
        }
        if !text.is_empty() && !text.starts_with('#') {
            script.push(text);
        }
    }
    None
}

/// A command that is given lines, with these as an argument if it runs them.
fn as_argument(before: &str, script: &[&str]) -> String {
    let script = script.join("; ");
    let mut words = before.split_whitespace().rev().filter(|word| !word.starts_with('-'));
    let last = words.next().map_or("", base);
    let is_remote = || {
        let mut words = before.split_whitespace().map(base);
        words.any(|word| matches!(word, "ssh" | "slogin"))
    };
    if matches!(last, "sh" | "bash" | "zsh" | "dash" | "ash" | "ksh") {
        // `bash -s`, `sh -x`
        let shell = before.split(last).next().unwrap_or_default();
        format!("{shell}{last} -c {}", quote(&script))
    } else if last == "su" || matches!(before, "sudo -i" | "sudo -s") {
        format!("bash -c {}", quote(&script))
    } else if is_remote() {
        format!("{before} {}", quote(&script))
    } else {
        before.to_owned()
    }
}

fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

const fn is_word(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'!')
}

#[cfg(test)]
mod tests {
    use super::given;
    use crate::packing;

    #[test]
    fn lines_that_a_shell_is_given() {
        for (text, typed, last) in [
            ("ssh web <<'EOF'\n> ip a\n> ip r\n> EOF\nout\n", "ssh web 'ip a; ip r'", 3),
            ("ip netns exec x bash <<E\nip a\nE\n", "ip netns exec x bash -c 'ip a'", 2),
            (
                "docker exec -i web sh -s << END\n\nip a\nEND\n",
                "docker exec -i web sh -c 'ip a'",
                3,
            ),
            ("cat > /tmp/x <<EOF\nip a\nEOF\n", "cat > /tmp/x", 2),
        ] {
            let lines = packing::unpack(text);
            let begun = text.lines().next().unwrap();
            assert_eq!(given(&lines, 0, begun), Some((typed.to_owned(), last)), "{text}");
        }
        for text in ["ip a\n", "ssh web <<EOF\nip a\n", "bc <<< 1+1\nEOF\n"] {
            let lines = packing::unpack(text);
            assert_eq!(given(&lines, 0, text.lines().next().unwrap()), None, "{text}");
        }
    }
}
