//! Lines that stand for others which somebody took out of an output: `...`, `<snip>`,
//! `[output omitted]`, `[... 20 more ports ...]`, `---8<---`, and `--More--` of a pager.

/// What stands around the words, of ASCII.
const AROUND: [bool; 128] = {
    let mut all = [false; 128];
    let mut signs: &[u8] = b"[]()<>{}-* .~#/=";
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

/// Whether a line may be one, as its ends tell.
fn may_be(trimmed: &[u8]) -> bool {
    let is_around = |b: Option<&u8>| b.is_some_and(|&b| AROUND.get(usize::from(b)) != Some(&false));
    is_around(trimmed.first()) || is_around(trimmed.last())
}

/// Whether dots, scissors or letters beyond ASCII stand in a line, as a look at each byte tells.
fn has_sign(trimmed: &[u8]) -> bool {
    let is_sign = |first: u8, next: u8| {
        let dots = first == b'.' && matches!(next, b'.' | b' ');
        let scissors = first == b'8' && next == b'<' || first == b'>' && next == b'8';
        dots || scissors || !first.is_ascii()
    };
    // Without a way out of the loop many bytes are compared at once.
    let nexts = trimmed.iter().skip(1);
    let signs = trimmed.iter().zip(nexts).map(|(first, next)| u8::from(is_sign(*first, *next)));
    signs.fold(0, |all, sign| all | sign) > 0
}

/// A line of ASCII without what stands around its words.
fn bare(trimmed: &[u8]) -> &[u8] {
    let is_word = |b: &u8| !is_around(char::from(*b));
    let from = trimmed.iter().position(is_word).unwrap_or(trimmed.len());
    let to = trimmed.iter().rposition(is_word).map_or(from, |at| at + 1);
    trimmed.get(from..to).unwrap_or_default()
}

/// Whether words say that lines were left out.
fn says_so(bare: &[u8]) -> bool {
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
        "skipping",
        "elided",
        "trimmed",
        "redacted",
    ];
    let mut words = bare.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.nth(WORDS).is_none()
        && bare.split(|b| matches!(b, b' ' | b':')).any(|word| {
            let may_be = (3..=9).contains(&word.len());
            may_be && SAID.iter().any(|said| word.eq_ignore_ascii_case(said.as_bytes()))
        })
}

/// Stands for lines that somebody took out.
pub fn is_elision(line: &str) -> bool {
    const LONGEST: usize = 100;
    // Most lines of output are longer, or have nothing around them: that is seen at once.
    let bytes = line.as_bytes().trim_ascii();
    if bytes == b":" {
        return true;
    }
    // An empty column of a database ends so, and no word about lines does.
    if !may_be(bytes) || bytes.ends_with(b"[]") || bytes.len() > LONGEST && bytes.is_ascii() {
        return false;
    }
    if bytes == b"." || bytes.starts_with(b"--More--") {
        return true;
    }
    if !has_sign(bytes) {
        let bare = bare(bytes);
        return bare.len() < bytes.len() && says_so(bare);
    }
    let trimmed = line.trim();
    if trimmed.len() > LONGEST {
        return false;
    }
    let inner = trimmed.trim_matches(['[', ']', '(', ')', '<', '>', '{', '}', '-', ' ']);
    if inner == "…" || inner.len() >= 2 && inner.chars().all(|c| matches!(c, '.' | '…' | ' ')) {
        return true;
    }
    // Dots at both ends: whatever they say between them stands for more.
    let dots = ["...", "…"];
    let between = |inner: &str| {
        dots.iter().any(|dots| inner.starts_with(dots))
            && dots.iter().any(|dots| inner.ends_with(dots))
    };
    if between(inner) {
        return true;
    }
    let bare = trimmed.trim_matches(is_around);
    let scissors = || trimmed.contains("8<") || trimmed.contains(">8");
    if trimmed.contains('✂') || bare == "8" && scissors() {
        return true;
    }
    bare.len() < trimmed.len() && says_so(bare.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::is_elision;

    #[test]
    fn what_stands_for_lines() {
        for line in [
            "...",
            "  <snip>",
            "[...]",
            "(..)",
            ". . .",
            "   .",
            "    :",
            "<output omitted>",
            "[12 lines removed]",
            "-- snip --",
            "8< ------",
            "---8<---",
            "...skipping...",
            "    [... lots of ports ...]",
            "<… and so on …>",
            "--More--(12%)",
        ] {
            assert!(is_elision(line), "{line}");
        }
        for line in
            ["snip", "eth0.", "..hidden", "- more: a b c d e", "::", "[a...b]", "x...", "--"]
        {
            assert!(!is_elision(line), "{line}");
        }
    }
}
