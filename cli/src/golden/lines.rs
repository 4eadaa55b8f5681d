//! Where the things of a snapshot and their values stand in its file. The file is read by a parser of YAML;
//! this finds lines in the form in which tapline writes it, and in any other form fewer of them.
use std::collections::BTreeMap;

use tapline_core::span::Span;

/// The things of one host and their values, by key and name.
pub(super) type Places = BTreeMap<(String, Option<String>), Span>;

/// Nothing stands deeper: `hosts`, the host, `things`, the thing, the value.
const DEEPEST: usize = 5;

/// The places of each host.
pub(super) fn places(text: &str) -> BTreeMap<String, Places> {
    let mut all: BTreeMap<String, Places> = BTreeMap::new();
    // The keys that lead to a line, each with how far it is indented.
    let mut path: Vec<(usize, String)> = Vec::new();
    for line in text.lines() {
        let content = line.trim_start_matches(' ');
        let indent = line.len() - content.len();
        let Some(key) = key_of(content) else { continue };
        path.retain(|(outer, _)| *outer < indent);
        if path.len() >= DEEPEST {
            continue;
        }
        path.push((indent, key));
        let words: Vec<&str> = path.iter().map(|(_, key)| key.as_str()).collect();
        let place = match words.as_slice() {
            ["hosts", host, "things", thing] => (host, (*thing).to_owned(), None),
            ["hosts", host, "things", thing, value] => {
                (host, (*thing).to_owned(), Some((*value).to_owned()))
            }
            _ => continue,
        };
        let (host, thing, value) = place;
        let known = all.entry((*host).to_owned()).or_default();
        known.entry((thing, value)).or_insert_with(|| Span::of(text, content));
    }
    all
}

/// The key of a line: plain, or between quotation marks.
fn key_of(line: &str) -> Option<String> {
    if let Some(rest) = line.strip_prefix('\'') {
        let mut key = String::new();
        let mut rest = rest;
        loop {
            let (part, after) = rest.split_once('\'')?;
            key.push_str(part);
            // A mark within is doubled.
            match after.strip_prefix('\'') {
                Some(after) => {
                    key.push('\'');
                    rest = after;
                }
                None => return after.starts_with(':').then_some(key),
            }
        }
    }
    if let Some(rest) = line.strip_prefix('"') {
        let (key, after) = rest.split_once('"')?;
        return after.starts_with(':').then(|| key.to_owned());
    }
    let end = line.find(": ").or_else(|| line.ends_with(':').then(|| line.len() - 1))?;
    let key = line.get(..end)?;
    (!key.is_empty() && !key.starts_with(['-', '#', '?'])).then(|| key.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_and_values_are_found() {
        let text = "schema: x\nhosts:\n  a: # no host\n    things: {}\n  b c:\n    things:\n      netdev//eth0:\n        \
                    mtu: '1500'\n      'route/ inet main/it''s':\n        by: via 192.0.2.1\n      \"rule/ inet/0: x\":\n        \
                    does: lookup main\n";
        let all = places(text);
        let at = |key: &str, value: Option<&str>| {
            let span = all.get("b c")?.get(&(key.to_owned(), value.map(str::to_owned)))?;
            text.get(span.range())
        };
        assert_eq!(at("netdev//eth0", None), Some("netdev//eth0:"));
        assert_eq!(at("netdev//eth0", Some("mtu")), Some("mtu: '1500'"));
        assert_eq!(at("route/ inet main/it's", Some("by")), Some("by: via 192.0.2.1"));
        assert_eq!(at("rule/ inet/0: x", Some("does")), Some("does: lookup main"));
        assert_eq!(at("netdev//eth1", None), None);
    }

    #[test]
    fn nothing_is_found_in_what_is_no_snapshot() {
        for text in [
            "",
            "'",
            "\"",
            ":",
            "a:\n  'b'c:\n",
            "- x: 1\n",
            "hosts:\n  a:\n    things:\n      é\n",
        ] {
            assert!(places(text).is_empty(), "{text}");
        }
    }
}
