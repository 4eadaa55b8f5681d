//! Passwords and keys in a text: nobody needs them to find a fault.

/// What stands before one.
const BEFORE: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "auth_pass",
    "psk",
    "secret",
    "private_key",
    "private-key",
    "token",
    "auth_key",
];
/// What stands in its place.
const MASK: &str = "***";

/// The parts of a line that are secrets.
pub(crate) fn of(line: &str) -> Vec<std::ops::Range<usize>> {
    let lower = line.to_ascii_lowercase();
    let mut found = Vec::new();
    for word in BEFORE {
        for (at, _) in lower.match_indices(word) {
            let starts = lower.get(..at).and_then(|before| before.chars().next_back());
            if starts.is_some_and(|before| before.is_ascii_alphabetic()) {
                continue;
            }
            let behind = at + word.len();
            let rest = line.get(behind..).unwrap_or_default();
            let sign = rest.trim_start_matches(['"', '\'']);
            let is_said =
                sign.starts_with([':', '=']) || *word == "auth_pass" && sign.starts_with(' ');
            if !is_said {
                continue;
            }
            let value = sign.trim_start_matches([':', '=', ' ', '"', '\'']);
            let from = behind + rest.len() - value.len();
            let end = value.find(['"', '\'', ' ', ',', ';', '}', '<', '&', '\t', '\r']);
            let length = end.unwrap_or(value.len());
            // What opens a list or an object is none itself.
            if length > 0 && !value.starts_with(['{', '[']) {
                found.push(from..from + length);
            }
        }
    }
    found.extend(key_of_ipsec(line));
    found.sort_by_key(|range| (range.start, range.end));
    found.dedup_by(|next, before| next.start < before.end);
    found
}

/// The key behind a method of IPsec: `enc cbc(aes) 0x0011…`, as `ip xfrm state` prints it.
fn key_of_ipsec(line: &str) -> Option<std::ops::Range<usize>> {
    const METHODS: &[&str] = &["enc", "auth", "auth-trunc", "aead", "comp"];
    let first = line.split_whitespace().next()?;
    let at = line.find(" 0x").filter(|_| METHODS.contains(&first))? + 1;
    let rest = line.get(at..)?;
    let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
    Some(at..at + length)
}

/// A line without its secrets.
pub(crate) fn masked(line: &str) -> Option<String> {
    let all = of(line);
    if all.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(line.len());
    let mut done = 0;
    for range in all {
        out.push_str(line.get(done..range.start).unwrap_or_default());
        out.push_str(MASK);
        done = range.end;
    }
    out.push_str(line.get(done..).unwrap_or_default());
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_ipsec_are_masked() {
        for (line, expected) in [
            ("\tenc cbc(aes) 0x00aabb", Some("\tenc cbc(aes) ***")),
            ("\tauth-trunc hmac(sha1) 0x0011 96", Some("\tauth-trunc hmac(sha1) *** 96")),
            ("\tproto esp spi 0x00000100 reqid 5 mode tunnel", None),
            ("\tencap type espinudp sport 4500", None),
        ] {
            assert_eq!(masked(line).as_deref(), expected, "{line}");
        }
    }
}
