//! `ipset list` and `ipset save`: sets that rules of iptables ask (`-m set --match-set NAME src`).
//!
//! Source of the format: ipset `lib/session.c` (`list_create`, `list_adt`), `lib/print.c`; 4.x to 7.x.
//! Releases before 6 print `References` before the header, and members behind `Members:` likewise.
//!
//! ```text
//! Name: blocked
//! Type: hash:net
//! Revision: 7
//! Header: family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x5f2a9c1d
//! Size in memory: 536
//! References: 1
//! Number of entries: 2
//! Members:
//! 192.0.2.0/24
//! 192.0.2.7 nomatch
//! ```
//!
//! ```text
//! create blocked hash:net family inet hashsize 1024 maxelem 65536
//! add blocked 192.0.2.0/24
//! ```
//!
//! `-terse` leaves the members out, `-resolve` prints names in place of addresses: that is not read.
use std::collections::HashMap;

use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::ipset::{IpSet, IpSetEntry};
use tapline_core::records::route::Family;
use tapline_core::records::{Batch, Field};
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::keyed::{at, name, token, typed};
use crate::lines::{Read, bodies, each_line, finish};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ipset"),
    command: "ipset list",
    collect: &[Per::Host.run("ipset list"), Per::Namespace.run("ipset list")],
    claims: |command| {
        let asked = Asked::of(command)?;
        Some(Request::filtered(&[Topic::IpSets], asked.set.is_some() || asked.terse))
    },
    sniff: |head| {
        let mut lines = bodies(head).filter(|body| !body.is_empty());
        let first = lines.next().unwrap_or_default();
        let second = lines.next().unwrap_or_default();
        let kind = |word: &str| KINDS.iter().any(|kind| word.starts_with(kind));
        let listed = first.starts_with("Name: ") && second.strip_prefix("Type: ").is_some_and(kind);
        let mut words = first.split_ascii_whitespace();
        let saved = words.next() == Some("create") && words.nth(1).is_some_and(kind);
        if listed || saved { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// How names of types begin: where entries are kept.
const KINDS: [&str; 3] = ["hash:", "bitmap:", "list:"];

/// What a command asks for.
struct Asked<'a> {
    set: Option<&'a str>,
    terse: bool,
}

impl<'a> Asked<'a> {
    fn of(command: &'a Command) -> Option<Self> {
        if command.program() != "ipset" {
            return None;
        }
        let (mut verb, mut set, mut terse) = (false, None, false);
        let mut words = command.args().iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "list" | "save" | "-L" | "--list" | "-list" | "-S" | "--save" | "-save"
                    if !verb =>
                {
                    verb = true;
                }
                "-t" | "-terse" | "--terse" => terse = true,
                "-s" | "-sorted" | "--sorted" => {}
                "-o" | "-output" | "--output" if matches!(words.next(), Some("plain" | "save")) => {
                }
                // Names alone, XML, names of hosts.
                _ if word.starts_with('-') => return None,
                _ if verb && set.is_none() => set = Some(word),
                _ => return None,
            }
        }
        verb.then_some(Self { set, terse })
    }
}

/// What one line says.
enum Line<'a> {
    /// A new set begins, or is whole (`create`).
    Set(IpSet),
    /// A property of the last set.
    Property(&'a str, &'a str),
    /// An entry of the last set, or of the one that is named.
    Entry(Option<&'a str>, IpSetEntry),
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<IpSet>> {
    let mut lines: Outcome<Vec<Line<'_>>> = Outcome::default();
    let mut within = Within::Nothing;
    each_line(text, &mut lines, |line| read_line(text, line, &mut within));
    finish(text, &mut lines);
    let mut out = Outcome {
        records: Vec::new(),
        problems: lines.problems,
        lines: lines.lines,
        completeness: lines.completeness,
    };
    let mut by_name: HashMap<Name, usize> = HashMap::new();
    let mut orphans = false;
    for line in lines.records {
        match line {
            Line::Set(set) => {
                by_name.insert(set.name.value.clone(), out.records.len());
                out.records.push(set);
            }
            Line::Property(key, value) => {
                if let Some(set) = out.records.last_mut() {
                    describe(text, set, key, value);
                }
            }
            Line::Entry(owner, entry) => {
                let set = match owner {
                    None => out.records.last_mut(),
                    Some(owner) => by_name.get(owner).and_then(|&place| out.records.get_mut(place)),
                };
                match set {
                    Some(set) => set.entries.push(entry),
                    None => orphans = true,
                }
            }
        }
    }
    let short = |set: &IpSet| {
        let entries = u32::try_from(set.entries.len()).unwrap_or(u32::MAX);
        set.listed && set.count.is_some_and(|count| entries < count)
    };
    let mut partial = |why: String| {
        let before = std::mem::take(&mut out.completeness);
        out.completeness = before.and(Completeness::Partial(why));
    };
    if out.records.iter().any(short) {
        partial("a set has more entries than were listed".to_owned());
    }
    if out.records.iter().any(|set| !set.listed) {
        partial("the entries of a set were not listed".to_owned());
    }
    if orphans {
        partial("entries of a set that is not described".to_owned());
    }
    if let Some(set) = Asked::of(command).and_then(|asked| asked.set) {
        partial(format!("filtered: {set}"));
    }
    out
}

/// Where a line of `ipset list` stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Nothing,
    Properties,
    Members,
}

fn read_line<'a>(text: &str, line: &'a str, within: &mut Within) -> Parsed<'a, Read<Line<'a>>> {
    let body = line.trim_start();
    if let Some(shown) = body.strip_prefix("Name: ") {
        *within = Within::Properties;
        let (rest, name) = name(text, shown, "the name of a set")?;
        // Its type follows.
        let kind = at(text, line.get(..0).unwrap_or(line));
        return Ok((rest, Read::Took(Line::Set(new(Span::of(text, line), name, kind)))));
    }
    let (rest, first) = token(body)?;
    match (first, *within) {
        ("create" | "-N", Within::Nothing) => {
            let (rest, name) = name(text, rest, "the name of a set")?;
            let (rest, kind) = self::name(text, rest, "its type")?;
            if !KINDS.iter().any(|known| kind.value.starts_with(known)) {
                return refuse(line, "a type such as `hash:ip`");
            }
            let mut set = new(Span::of(text, line), name, kind);
            set.listed = true;
            header(text, &mut set, rest);
            Ok(("", Read::Took(Line::Set(set))))
        }
        ("add" | "-A", Within::Nothing) => {
            let (rest, owner) = token(rest)?;
            let (rest, entry) = entry(text, rest)?;
            Ok((rest, Read::Took(Line::Entry(Some(owner), entry))))
        }
        (_, Within::Properties) => {
            let Some((key, value)) = body.split_once(':') else {
                return refuse(line, "a property such as `Type: hash:ip`");
            };
            if key == "Members" {
                *within = Within::Members;
            }
            match key {
                "Members" | "Type" | "Header" | "Number of entries" => {}
                "Revision" | "Size in memory" | "References" | "Bindings" | "Default binding" => {
                    return Ok(("", Read::Ignored));
                }
                _ => return refuse(line, "a property such as `Type: hash:ip`"),
            }
            Ok(("", Read::Took(Line::Property(key, value.trim()))))
        }
        (_, Within::Members) => {
            let (rest, entry) = entry(text, body)?;
            Ok((rest, Read::Took(Line::Entry(None, entry))))
        }
        (_, Within::Nothing) => refuse(line, "`Name: ` and a set, `create` or `add`"),
    }
}

fn new(span: Span, name: At<Name>, kind: At<Name>) -> IpSet {
    IpSet {
        at: span,
        name,
        kind,
        family: Family::Inet,
        netmask: None,
        count: None,
        listed: false,
        entries: Vec::new(),
        other: Vec::new(),
    }
}

/// A property of a set.
fn describe(text: &str, set: &mut IpSet, key: &str, value: &str) {
    match key {
        "Type" => set.kind = at(text, value),
        "Header" => header(text, set, value),
        "Number of entries" => set.count = value.parse().ok(),
        _ => set.listed = true,
    }
}

/// `family inet hashsize 1024 maxelem 65536 timeout 300 counters comment`
fn header(text: &str, set: &mut IpSet, shown: &str) {
    let mut words = shown.split_ascii_whitespace();
    while let Some(key) = words.next() {
        match key {
            // Flags.
            "counters" | "comment" | "skbinfo" | "forceadd" => {}
            _ => {
                let Some(value) = words.next() else { return };
                match key {
                    "family" if value == "inet6" => set.family = Family::Inet6,
                    "family" => {}
                    "netmask" => set.netmask = value.parse().ok(),
                    _ => set.other.push(Field { key: key.into(), value: at(text, value) }),
                }
            }
        }
    }
}

/// `10.0.0.5,tcp:80 timeout 300 packets 0 bytes 0 comment "the web"`
fn entry<'a>(text: &str, input: &'a str) -> Parsed<'a, IpSetEntry> {
    let (mut input, element) = name(text, input, "an entry of the set")?;
    let mut nomatch = false;
    while let Ok((rest, key)) = token(input) {
        input = match key {
            "nomatch" => {
                nomatch = true;
                rest
            }
            "timeout" | "packets" | "bytes" => typed::<u64>(rest, "a number")?.0,
            "skbmark" | "skbprio" | "skbqueue" => token(rest)?.0,
            // Whatever follows is in quotes, which may be escaped.
            "comment" => "",
            _ => return refuse(input, "`timeout`, `nomatch` or `comment`"),
        };
    }
    Ok((input, IpSetEntry { element, nomatch }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str, command: &str) -> Outcome<Vec<IpSet>> {
        parse(text, &Command::new(command))
    }

    fn shown(out: &Outcome<Vec<IpSet>>) -> Vec<String> {
        let of_set = |set: &IpSet| {
            let entries = set.entries.iter().map(|entry| {
                let not = if entry.nomatch { "!" } else { "" };
                format!(" {not}{}", entry.element.value)
            });
            format!("{} {}{}", set.name.value, set.kind.value, entries.collect::<String>())
        };
        out.records.iter().map(of_set).collect()
    }

    const LISTED: &str = "Name: blocked\nType: hash:net\nRevision: 7\n\
        Header: family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x5f2a9c1d\n\
        Size in memory: 536\nReferences: 1\nNumber of entries: 2\nMembers:\n192.0.2.0/24\n\
        192.0.2.7 nomatch\n\nName: web\nType: hash:ip,port\nRevision: 6\n\
        Header: family inet6 hashsize 1024 maxelem 65536 timeout 300 counters comment\n\
        Size in memory: 208\nReferences: 0\nNumber of entries: 1\nMembers:\n\
        2001:db8::5,tcp:80 timeout 275 packets 3 bytes 180 comment \"the web\"\n";

    #[test]
    fn sets_are_read_with_their_entries() {
        let out = reads(LISTED, "ipset list");
        assert_eq!(out.problems, []);
        assert_eq!(
            shown(&out),
            ["blocked hash:net 192.0.2.0/24 !192.0.2.7", "web hash:ip,port 2001:db8::5,tcp:80",]
        );
        assert!(out.completeness.is_complete());
        let families: Vec<_> = out.records.iter().map(|set| set.family).collect();
        assert_eq!(families, [Family::Inet, Family::Inet6]);
    }

    #[test]
    fn what_is_saved_is_the_same() {
        let saved = "create blocked hash:net family inet hashsize 1024 maxelem 65536\n\
            create web hash:ip,port family inet6 hashsize 1024 maxelem 65536 netmask 64\n\
            add blocked 192.0.2.0/24\nadd web 2001:db8::5,tcp:80\nadd blocked 192.0.2.7 nomatch\n";
        let out = reads(saved, "ipset save");
        assert_eq!(out.problems, []);
        assert_eq!(
            shown(&out),
            ["blocked hash:net 192.0.2.0/24 !192.0.2.7", "web hash:ip,port 2001:db8::5,tcp:80",]
        );
        assert_eq!(out.records.last().and_then(|set| set.netmask), Some(64));
        assert!(out.completeness.is_complete());
    }

    #[test]
    fn what_is_not_whole_is_said() {
        let terse = "Name: a\nType: hash:ip\nHeader: family inet\nNumber of entries: 3\n";
        assert!(!reads(terse, "ipset list -t").completeness.is_complete());
        let (cut, _) = LISTED.split_once("2001").unwrap_or_default();
        assert!(!reads(cut, "ipset list").completeness.is_complete());
        assert!(!reads(LISTED, "ipset list blocked").completeness.is_complete());
        let orphan = reads("add blocked 192.0.2.0/24\n", "ipset save");
        assert!(!orphan.completeness.is_complete());
        assert!(
            reads("ipset v7.15: Kernel error received: Operation not permitted\n", "ipset list")
                .completeness
                .is_failed()
        );
        // No set is an answer.
        assert!(reads("", "ipset list").completeness.is_complete());
    }

    #[test]
    fn other_questions_are_not_claimed() {
        let claims = |command: &str| (FORMAT.claims)(&Command::new(command)).is_some();
        for command in
            ["ipset list", "ipset -L", "ipset save", "ipset list blocked", "ipset -o save list"]
        {
            assert!(claims(command), "{command}");
        }
        for command in ["ipset", "ipset list -n", "ipset -o xml list", "ipset test a 192.0.2.1"] {
            assert!(!claims(command), "{command}");
        }
    }
}
