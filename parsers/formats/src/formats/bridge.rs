//! What the readers of `bridge` output share: its command line and its words.
//!
//! Source: iproute2 `bridge/bridge.c`; 3.9 to 6.x.
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness};
use tapline_core::records::Field;
use tapline_core::span::{At, Span};

use crate::ip_command::is_list;
use crate::nomx::{Parsed, refuse};

/// The arguments behind `bridge [OPTION]… OBJECT [show]`; `None` for another object or verb.
pub(super) fn listed<'a>(command: &'a Command, object: &str) -> Option<&'a [String]> {
    let (verb, args) = called(command, object)?;
    (verb.is_empty() || is_list(verb)).then_some(args)
}

/// Verb (empty where left out) and arguments of `bridge [OPTION]… OBJECT [VERB [ARG]…]`.
///
/// Objects may be shortened; `m` is `mdb`, the others differ in their first letter.
pub(super) fn called<'a>(command: &'a Command, object: &str) -> Option<(&'a str, &'a [String])> {
    if command.program() != "bridge" {
        return None;
    }
    let mut words = command.args();
    while let [word, rest @ ..] = words {
        words = rest;
        let Some(option) = word.strip_prefix('-') else {
            if !object.starts_with(word.as_str()) {
                return None;
            }
            return match rest {
                [] => Some(("", &[])),
                [verb, args @ ..] => Some((verb, args)),
            };
        };
        match option.strip_prefix('-').unwrap_or(option) {
            "n" | "net" | "netns" | "f" | "family" | "rc" | "rcvbuf" => {
                words = words.get(1..).unwrap_or_default();
            }
            "b" | "ba" | "batch" => return None,
            _ => {}
        }
    }
    None
}

/// The device that a list was asked for: `dev NAME`, `br NAME`.
pub(super) fn device(args: &[String]) -> Option<&str> {
    let mut words = args.iter().skip_while(|word| !matches!(word.as_str(), "dev" | "br"));
    words.next().and(words.next()).map(String::as_str)
}

/// A list that was asked for a part only is partial.
pub(super) fn filtered(args: &[String]) -> Completeness {
    match args {
        [] => Completeness::Complete,
        args => Completeness::Partial(format!("lists only {}", args.join(" "))),
    }
}

/// The next word, without the colours of `bridge -c` around it.
pub(super) fn token(input: &str) -> Parsed<'_, &str> {
    let input = uncoloured(input);
    let end = input.find(|c: char| c.is_whitespace() || c == ESCAPE).unwrap_or(input.len());
    match input.split_at_checked(end) {
        Some((word, rest)) if !word.is_empty() => Ok((rest, word)),
        _ => refuse(input, "a word"),
    }
}

/// Whether nothing but blanks and colours is left.
pub(super) fn is_empty(input: &str) -> bool {
    uncoloured(input).is_empty()
}

const ESCAPE: char = '\u{1b}';

/// Behind the blanks and colours (`ESC [ … m`).
fn uncoloured(input: &str) -> &str {
    let mut rest = input.trim_start();
    while let Some(inner) = rest.strip_prefix("\u{1b}[") {
        let after = inner.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match after.strip_prefix('m') {
            Some(after) => rest = after.trim_start(),
            None => break,
        }
    }
    rest
}

/// A key and its value as a field.
pub(super) fn field(text: &str, key: &str, value: &str) -> Field {
    Field { key: key.into(), value: name(text, value) }
}

/// A slice of the text as a name.
pub(super) fn name(text: &str, part: &str) -> At<Name> {
    At::new(part.into(), Span::of(text, part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_short_words_are_understood() {
        let args = |line: &str, object: &str| {
            listed(&Command::new(line), object).map(|listed| listed.join(" "))
        };
        assert_eq!(args("bridge l", "link").as_deref(), Some(""));
        assert_eq!(args("bridge -s -s -d -t fdb show", "fdb").as_deref(), Some(""));
        assert_eq!(args("bridge -n blue -j f s br br0", "fdb").as_deref(), Some("br br0"));
        assert_eq!(args("bridge -d vlan show", "fdb"), None);
        assert_eq!(args("bridge vlan add dev x vid 1", "vlan"), None);
        assert_eq!(args("bridge", "vlan"), None);
    }

    #[test]
    fn colours_are_no_part_of_a_word() {
        let (rest, word) = token("\u{1b}[36meth0: \u{1b}[0m<UP>").unwrap();
        assert_eq!((word, token(rest).unwrap().1), ("eth0:", "<UP>"));
        assert!(is_empty(" \u{1b}[0m "));
    }
}
