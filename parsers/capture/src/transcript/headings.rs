//! Headings that name the host whose outputs follow: `On compute1:`, `## compute2`.
//!
//! One heading may mean anything. Two that name different hosts, above outputs of one sort and in a
//! text whose prompts name no host, say whose each is.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::ids::Mac;

use super::{prompt, split};
use crate::command;
use crate::flat;
use crate::marks;
use crate::packing::{Line, Mark, signs::Signs};

/// Headings that are looked at.
const MOST: usize = 200;

/// The lines that are such headings, by index, with the host.
pub(super) fn hosts(lines: &[Line<'_>]) -> BTreeMap<usize, String> {
    let mut found: BTreeMap<usize, String> = BTreeMap::new();
    let mut alone: BTreeMap<usize, String> = BTreeMap::new();
    let mut fenced = false;
    // Above the line there is nothing that it could go on with.
    let mut is_free = true;
    for (at, line) in lines.iter().enumerate() {
        match line.mark {
            Mark::Open => fenced = true,
            Mark::Close => fenced = false,
            Mark::Text if !fenced && found.len() < MOST => {
                found.extend(host_of(&line.text).map(|host| (at, host.to_owned())));
                if is_free && alone.len() < MOST {
                    alone.extend(words_alone(&line.text).map(|name| (at, name)));
                }
            }
            Mark::Text => {}
        }
        is_free = line.mark != Mark::Text || is_rule(&line.text);
    }
    let names = |found: &BTreeMap<usize, String>| found.values().collect::<BTreeSet<_>>().len();
    if names(&found) < 2 && names(&alone) < 2 || lines.iter().any(names_host) {
        return BTreeMap::new();
    }
    if names(&found) > 1 && is_shared(lines, &found) {
        return found;
    }
    of_machines(lines, &alone)
}

/// Headings of whatever words, where lists of devices stand below them that have no NIC in common.
fn of_machines(lines: &[Line<'_>], alone: &BTreeMap<usize, String>) -> BTreeMap<usize, String> {
    let mut found: BTreeMap<usize, String> = BTreeMap::new();
    let mut seen: BTreeSet<Mac> = BTreeSet::new();
    let mut starts = alone.iter().peekable();
    while let Some((&from, name)) = starts.next() {
        let to = starts.peek().map_or(lines.len(), |next| *next.0);
        let part = lines.get(from..to).unwrap_or_default();
        let Some(first) =
            part.iter().position(|line| line.text.trim_start().starts_with("1: lo: "))
        else {
            continue;
        };
        let indent =
            part.get(first).map_or(0, |line| line.text.len() - line.text.trim_start().len());
        let mut text = String::new();
        for line in part.iter().skip(first).take_while(|line| !line.is_blank()) {
            text.push_str(line.dedent(indent));
            text.push('\n');
        }
        let macs = marks::macs(&text);
        // Two lists of one machine, or of none.
        if macs.is_empty() || !seen.is_disjoint(&macs) {
            return BTreeMap::new();
        }
        seen.extend(macs);
        found.insert(from, name.clone());
    }
    let names: BTreeSet<&String> = found.values().collect();
    if names.len() < 2 || names.len() < found.len() {
        return BTreeMap::new();
    }
    // The same heading once more, above something else of the host.
    let of_host = alone.iter().filter(|(_, name)| names.contains(name));
    of_host.map(|(at, name)| (*at, name.clone())).collect()
}

/// A blank line, or one that is drawn.
fn is_rule(line: &str) -> bool {
    line.bytes().all(|b| matches!(b, b'-' | b'=' | b'*' | b'_' | b'~' | b'#' | b' ' | b'\t'))
}

/// The name that a few words alone on a line are: `Host:`, `Node 1`, `Auf dem Knoten pve1`.
fn words_alone(line: &str) -> Option<String> {
    const LONGEST: usize = 60;
    /// Words that say that a host follows.
    const SAID: &[&str] = &["node", "host", "server", "machine", "hypervisor", "knoten"];
    /// Words around it that say nothing.
    const AROUND: &[&str] = &[
        "on", "from", "output", "of", "the", "in", "auf", "dem", "der", "von", "en", "el", "sur",
        "le",
    ];
    if line.is_empty() || line.len() > LONGEST || line.starts_with([' ', '\t']) {
        return None;
    }
    let bare = line.trim_matches(|c: char| is_ornament(c) || matches!(c, '~' | ':' | '"'));
    let bare = match bare.split_once(['.', ')']) {
        // `1. host pve1`
        Some((number, rest))
            if number.bytes().all(|b| b.is_ascii_digit()) && rest.starts_with(' ') =>
        {
            rest.trim_start()
        }
        _ => bare,
    };
    if command::may_begin(bare) {
        return None;
    }
    let mut words: Vec<&str> = bare.split_whitespace().collect();
    let is = |list: &[&str], word: &str| list.iter().any(|known| known.eq_ignore_ascii_case(word));
    while words.len() > 1 && words.first().is_some_and(|word| is(AROUND, word)) {
        words.remove(0);
    }
    let counts = |word: &str| word.bytes().all(|b| b.is_ascii_digit());
    while let [first, second, ..] = words.as_slice()
        && is(SAID, first)
        && !counts(second)
    {
        words.remove(0);
    }
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = |word: &&str| word.starts_with(char::is_alphanumeric) && word.chars().all(plain);
    let is = matches!(words.len(), 1 | 2) && words.iter().all(is_name);
    is.then(|| words.join("-"))
}

/// Whether one sort of output stands below headings of two hosts.
fn is_shared(lines: &[Line<'_>], found: &BTreeMap<usize, String>) -> bool {
    let mut of_format: BTreeMap<&str, &String> = BTreeMap::new();
    let mut starts = found.iter().peekable();
    while let Some((&from, host)) = starts.next() {
        let to = starts.peek().map_or(lines.len(), |next| *next.0);
        for at in from + 1..to {
            let Some(format) = split::begins(lines, at) else { continue };
            let other = of_format.entry(split::family(format)).or_insert(host);
            if *other != host {
                return true;
            }
        }
    }
    false
}

/// Whether a line is a prompt that says on which host it is.
fn names_host(line: &Line<'_>) -> bool {
    let context = prompt::Context::ALONE;
    line.signs.has(Signs::PROMPT)
        && prompt::find(&line.text, context).is_some_and(|(_, found)| found.host.is_some())
}

/// The host that a heading names.
fn host_of(line: &str) -> Option<&str> {
    const LONGEST: usize = 80;
    /// Words before the name that say what it is.
    const BEFORE: &[&str] =
        &["on", "from", "host", "node", "server", "machine", "hypervisor", "output", "of", "the"];
    /// Words after it.
    const AFTER: &[&str] = &["node", "host", "server", "says", "shows", "prints", "output"];
    // Nearly all lines of outputs have none of these signs at their ends, or are longer: that is
    // seen at once.
    let bytes = line.as_bytes().trim_ascii();
    let is_mark = |b: Option<&u8>| b.is_some_and(|b| is_ornament(char::from(*b)));
    let is_marked = is_mark(bytes.first()) || is_mark(bytes.last());
    // Neither texts of JSON nor empty columns of a database are headings.
    let is_data = bytes.first() == Some(&b'"') || bytes.ends_with(b"\",") || bytes.ends_with(b"[]");
    let is_told = is_marked || matches!(bytes.last(), Some(b':' | b',' | 128..));
    if bytes.len() > LONGEST || is_data || !is_told {
        return None;
    }
    let line = line.trim();
    let bare = line.trim_matches(is_ornament);
    let is_heading = bare.len() < line.len();
    let (bare, colon) = match bare.strip_suffix([':', ',']) {
        Some(bare) => (bare.trim_end_matches(['*', '_', '`', ' ']), true),
        None => (bare, false),
    };
    if !is_heading && !colon {
        return None;
    }
    let mut words: Vec<&str> = bare.split_whitespace().collect();
    let is_one_of = |list: &[&str], word: &str| {
        list.iter().any(|known| known.eq_ignore_ascii_case(word.trim_end_matches(':')))
    };
    let mut said = false;
    while words.len() > 1 && words.first().is_some_and(|word| is_one_of(BEFORE, word)) {
        words.remove(0);
        said = true;
    }
    while words.len() > 1 && words.last().is_some_and(|word| is_one_of(AFTER, word)) {
        words.pop();
        said = true;
    }
    let [name] = words.as_slice() else { return None };
    let name = name.trim_matches(['`', '*', '_', '"', '\'', ':']);
    let plain = !name.is_empty()
        && name.starts_with(|c: char| c.is_alphanumeric())
        && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && name.contains(|c: char| c.is_alphabetic());
    let is_like_host = || flat::is_like_host(name);
    let numbered = || name.contains(|c: char| c.is_ascii_digit()) || name.contains('-');
    (plain && (said && numbered() || is_like_host())).then_some(name)
}

/// What stands around the name in a heading.
const fn is_ornament(c: char) -> bool {
    matches!(c, '#' | '*' | '=' | '-' | '_' | ' ' | '[' | ']' | '`')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packing;

    #[test]
    fn names_of_hosts_in_headings() {
        for (line, host) in [
            ("On compute1:", "compute1"),
            ("compute-2:", "compute-2"),
            ("## controller", "controller"),
            ("**node-a**", "node-a"),
            ("=== kvm7 ===", "kvm7"),
            ("Output of the host pluto-3:", "pluto-3"),
            ("`network1` node:", "network1"),
        ] {
            assert_eq!(host_of(line), Some(host), "{line}");
        }
        for line in [
            "",
            "eth0:",
            "Before:",
            "## Logs",
            "On reboot:",
            "compute1",
            "br-int:",
            "Settings for eth0:",
            "vm1:",
            "the compute node is where it breaks:",
            "----",
        ] {
            assert_eq!(host_of(line), None, "{line}");
        }
    }

    #[test]
    fn one_heading_or_other_outputs_say_nothing() {
        let list = "1: lo: <LOOPBACK,UP> mtu 65536\n    link/loopback 00:00:00:00:00:00\n";
        let table = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n";
        let found = |text: &str| hosts(&packing::unpack(text)).len();
        assert_eq!(found(&format!("compute1:\n{list}\ncompute2:\n{list}")), 2);
        assert_eq!(found(&format!("compute1:\n{list}\ncompute1:\n{list}")), 0);
        assert_eq!(found(&format!("compute1:\n{list}\ncompute2:\n{table}")), 0);
        let prompts = format!("compute1:\n[a@h ~]# ip a\n{list}\ncompute2:\n{list}");
        assert_eq!(found(&prompts), 0);
    }
}
