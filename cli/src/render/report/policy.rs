//! The security policy of the page: what it consists of, by hashes, and nothing else.
use sha2::{Digest as _, Sha256};

/// The policy for these styles and this script; without a script none may run.
pub(in crate::render) fn of(styles: &[&str], script: &str) -> String {
    let styles: Vec<String> = styles.iter().map(|style| hash(style)).collect();
    let script = if script.is_empty() { "'none'".to_owned() } else { hash(script) };
    format!(
        "default-src 'none'; style-src {}; script-src {script}; base-uri 'none'; form-action 'none'",
        styles.join(" ")
    )
}

fn hash(text: &str) -> String {
    format!("'sha256-{}'", base64(&Sha256::digest(text.as_bytes())))
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for letter in 0..4_usize {
            let at = (bits >> (18 - 6 * letter)) & 63;
            let shown = LETTERS.get(at as usize).map_or('=', |letter| char::from(*letter));
            text.push(if letter > three.len() { '=' } else { shown });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_those_of_the_rfc() {
        let shown = |text: &str| base64(text.as_bytes());
        assert_eq!(
            [shown(""), shown("f"), shown("fo"), shown("foo")],
            ["", "Zg==", "Zm8=", "Zm9v"]
        );
        assert_eq!(shown("foobar"), "Zm9vYmFy");
    }
}
