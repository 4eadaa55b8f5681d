//! `ip netns [list]`, `ip netns list-id`, `ls -1 /run/netns`.
//!
//! Source of the format: iproute2 `ip/ipnetns.c`, `print_netns` and `netns_list_id`; 3.x to 6.x.
//!
//! ```text
//! blue ns
//! qdhcp-0be33604-c845-4e71-9e88-ba1facec20e9 (id: 1)
//! ```
//!
//! A name is a file name: it may hold blanks. The id is the one that the namespace of the caller
//! gave; often there is none. For each stale file the kernel complains, and the name is listed
//! all the same. Nothing at all is a complete answer: there are no named namespaces.
use nom::Parser as _;
use nom::bytes::complete::tag;
use nom::combinator::{opt, verify};
use nom::sequence::{preceded, terminated};
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Outcome, ProblemKind};
use tapline_core::records::Batch;
use tapline_core::records::netns::NetnsEntry;
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::ip_command::{IpCommand, is_list};
use crate::json::each_element;
use crate::json_object::Object;
use crate::lines::{Read, each_line, finish, tool_error};
use crate::nomx::{Parsed, gap, must, number, refuse, word_gap};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ip-netns"),
    command: "ip netns",
    collect: &[Per::Host.run("ip netns")],
    claims: |command| {
        if is_netns(command) {
            return Some(Request::whole(&[Topic::NetnsList]));
        }
        (lists_ids(command) || is_ls(command)).then(Request::default)
    },
    sniff,
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends { closes: |last| last.ends_with(')'), ..Ends::LINES },
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<NetnsEntry>> {
    let mut out = Outcome::default();
    if text.trim_start().starts_with('[') {
        each_element(text, &mut out, |raw| from_json(text, raw));
    } else {
        each_line(text, &mut out, |line| entry(text, line));
    }
    if out.records.len() == 1 && is_remark(text) {
        // One word may be a name; these are what people write where nothing was printed.
        out.records.clear();
        let why = format!("a remark in place of the output: {}", text.trim());
        out.completeness = Completeness::Failed(why);
    }
    finish(text, &mut out);
    let stale = |text: &str| text.contains("Peer netns reference is invalid");
    let mut errors = out.problems.iter().filter(|problem| problem.kind == ProblemKind::ToolError);
    if errors.all(|error| stale(&error.message))
        && matches!(&out.completeness, Completeness::Partial(why) if stale(why))
    {
        // Only the id of a stale file is missing, and it has none.
        out.completeness = Completeness::Complete;
    }
    if lists_ids(command) {
        let some = Completeness::Partial("lists only namespaces that have an id".to_owned());
        out.completeness = std::mem::take(&mut out.completeness).and(some);
    }
    out
}

/// Whether a text says that there is nothing, or that it was shown elsewhere.
fn is_remark(text: &str) -> bool {
    const REMARKS: &[&str] = &[
        "as above",
        "empty",
        "keine",
        "leer",
        "n/a",
        "nada",
        "nichts",
        "no",
        "no output",
        "none",
        "nothing",
        "null",
        "ok",
        "same",
        "same as above",
        "same as before",
        "see above",
        "see below",
        "vide",
        "\u{43d}\u{435}\u{442}",
        "\u{43f}\u{443}\u{441}\u{442}\u{43e}",
        "\u{65e0}",
        "\u{7a7a}",
        "\u{306a}\u{3057}",
    ];
    let bare = text.trim().trim_matches(['(', ')', '[', ']', '<', '>', '.', '-', '*', ' ']);
    REMARKS.contains(&bare.to_lowercase().as_str())
}

/// `NAME`, `NAME (id: N)`, or `nsid N (iproute2 netns name: NAME)`.
fn entry<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<NetnsEntry>> {
    if let Ok((rest, (_, id))) = (tag("nsid "), digits).parse(line) {
        return by_id(text, line, id, rest);
    }
    let (name, id) = match line.rsplit_once(" (id: ") {
        Some((name, id)) => {
            let what = "a number and `)` after `(id:`";
            let (rest, id) = must(what, terminated(digits, (tag(")"), gap))).parse(id)?;
            if !rest.trim().is_empty() {
                return refuse(line, what);
            }
            (name.trim_end(), Some(id))
        }
        None => (line, None),
    };
    if !is_name(name) {
        return refuse(line, "a name of a namespace");
    }
    let nsid = match id {
        Some(id) => Some(at(text, id, must("an id of 32 bits", number).parse(id)?.1)),
        None => None,
    };
    let name = Some(at(text, name, Name::new(name)));
    Ok(("", Read::Took(NetnsEntry { at: Span::of(text, line), name, nsid })))
}

/// A line of `list-id`, from behind its number.
fn by_id<'a>(
    text: &str,
    line: &'a str,
    id: &'a str,
    rest: &'a str,
) -> Parsed<'a, Read<NetnsEntry>> {
    let (_, nsid) = must("an id of 32 bits", number).parse(id)?;
    // The id as the target namespace sees it; `target-nsid` of the command.
    let (rest, _) = opt(preceded(tag("current-nsid "), word_gap)).parse(rest.trim_start())?;
    let (rest, named) = opt(tag("(iproute2 netns name: ")).parse(rest)?;
    let name = match named {
        None => None,
        Some(_) => {
            let Some(name) = rest.strip_suffix(')') else {
                return refuse(rest, "`)` after the name");
            };
            Some(at(text, name, Name::new(name)))
        }
    };
    let rest = if named.is_some() { "" } else { rest };
    let nsid = Some(at(text, id, nsid));
    Ok((rest, Read::Took(NetnsEntry { at: Span::of(text, line), name, nsid })))
}

/// `{"name":"blue","id":1}`, or `{"nsid":1,"name":"blue"}` of `list-id`.
fn from_json<'a>(text: &'a str, raw: &'a str) -> Result<NetnsEntry, String> {
    let mut object = Object::parse(text, raw)?;
    let name = object.name("name");
    let nsid = match object.value("id")? {
        Some(id) => Some(id),
        None => object.value("nsid")?,
    };
    object.take("current-nsid");
    if !object.is_empty() || (name.is_none() && nsid.is_none()) {
        return Err("expected a name and an id only".to_owned());
    }
    Ok(NetnsEntry { at: Span::of(text, raw), name, nsid })
}

/// Whether a line may be the name of a namespace and not prose, an elision or a complaint.
///
/// Any file name is legal; with blanks in it only a modest one is believed.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || " -_.:+@".contains(c);
    !text.contains(['/', '\t', '<', '>', '"', '{', '}'])
        && !text.contains(": ")
        && text.chars().any(char::is_alphanumeric)
        && !text.chars().any(char::is_control)
        && (!text.contains(' ')
            || (text.chars().all(plain)
                && text.split(' ').count() <= 4
                && !text.ends_with([':', '.'])
                && tool_error(text).is_none()))
}

fn digits(input: &str) -> Parsed<'_, &str> {
    verify(nom::bytes::complete::take_while1(|c: char| c.is_ascii_digit()), |text: &str| {
        !text.is_empty()
    })
    .parse(input)
}

fn at<T>(text: &str, part: &str, value: T) -> At<T> {
    At::new(value, Span::of(text, part))
}

fn is_netns(command: &Command) -> bool {
    IpCommand::of(command)
        .is_some_and(|ip| ip.is("netns") && ip.listed().is_some_and(<[_]>::is_empty))
}

fn lists_ids(command: &Command) -> bool {
    IpCommand::of(command).is_some_and(|ip| {
        ip.is("netns")
            && ip.args.first().is_some_and(|verb| !is_list(verb) && "list-id".starts_with(&**verb))
    })
}

/// `ls -1 /run/netns`: names alone, without dot files.
fn is_ls(command: &Command) -> bool {
    let path = |text: &str| matches!(text.trim_end_matches('/'), "/run/netns" | "/var/run/netns");
    match command.args() {
        [only] => command.program() == "ls" && path(only),
        [one, only] => command.program() == "ls" && one == "-1" && path(only),
        _ => false,
    }
}

/// Names alone are weak: they need ids, or the names that neutron gives.
fn sniff(head: &str) -> u8 {
    let known = |line: &str| {
        line.strip_suffix(')').is_some_and(|it| it.contains(" (id: "))
            || line.starts_with("nsid ")
            || ["qdhcp-", "qrouter-", "snat-", "fip-", "ovnmeta-", "qlbaas-", "cni-"]
                .iter()
                .any(|prefix| line.starts_with(prefix))
    };
    let stale = |line: &str| line.ends_with("Peer netns reference is invalid.");
    // The last line of the head may be cut.
    let mut lines = head.lines().map(str::trim_end).filter(|text| !text.is_empty() && !stale(text));
    let Some(first) = lines.next() else { return 0 };
    if !is_name(first) && !known(first) {
        return 0;
    }
    if known(first) && lines.all(|line| is_name(line) || known(line)) { 60 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, command: &str) -> (Vec<String>, Outcome<Vec<NetnsEntry>>) {
        let out = parse(text, &Command::new(command));
        let all = out
            .records
            .iter()
            .map(|record| {
                let name = record.name.as_ref().map_or("-", |name| name.as_str());
                record.nsid.map_or(name.to_owned(), |id| format!("{name}={}", id.value))
            })
            .collect();
        (all, out)
    }

    #[test]
    fn names_with_and_without_ids() {
        let text = "blue ns\nqdhcp-1 (id: 1)\n  \nbr 1.x (id: 2)\n";
        let (all, out) = shown(text, "ip netns list");
        assert_eq!(all, ["blue ns", "qdhcp-1=1", "br 1.x=2"]);
        assert_eq!((out.lines.total, out.lines.read), (3, 3));
        assert_eq!(text.get(out.records[1].nsid.unwrap().span.range()).unwrap(), "1");
    }

    #[test]
    fn stale_files_are_problems_but_the_list_is_whole() {
        let text = "Error: Peer netns reference is invalid.\nstale\nlive (id: 0)\n";
        let (all, out) = shown(text, "ip netns");
        assert_eq!(all, ["stale", "live=0"]);
        assert_eq!(out.completeness, Completeness::Complete);
        assert_eq!(out.problems[0].kind, ProblemKind::ToolError);
        assert_eq!(out.lines.unread, 0);
    }

    #[test]
    fn nothing_means_none_and_an_error_does_not() {
        let (all, out) = shown("", "ip netns");
        assert!(all.is_empty() && out.completeness.is_complete());
        let (_, out) = shown("Object \"netns\" is unknown, try \"ip help\".\n", "ip netns");
        assert!(out.completeness.is_failed());
    }

    #[test]
    fn ids_are_listed_with_the_names_they_have() {
        let text = "nsid 0 (iproute2 netns name: blue ns)\nnsid 4 \nnsid 2 current-nsid 1 (iproute2 netns name: x)\n";
        let (all, out) = shown(text, "ip netns list-id");
        assert_eq!(all, ["blue ns=0", "-=4", "x=2"]);
        assert_eq!(out.lines.unread, 0);
        assert!(matches!(out.completeness, Completeness::Partial(_)));
    }

    #[test]
    fn json_says_the_same() {
        let text = r#"[{"name":"blue ns"},{"name":"qdhcp-1","id":1},{"nsid":3}]"#;
        let (all, out) = shown(text, "ip -j netns");
        assert_eq!(all, ["blue ns", "qdhcp-1=1", "-=3"]);
        assert!(out.problems.is_empty());
        assert!(shown("[ ]", "ip -j netns").0.is_empty());
    }

    #[test]
    fn prose_is_no_name() {
        let text = "(...)\na/b\nThe list follows here:\nx (id: 99999999999)\n[root@a ~]# ls\n";
        let (all, out) = shown(text, "ip netns");
        assert!(all.is_empty(), "{all:?}");
        assert_eq!((out.lines.unread, out.problems.len()), (5, 5));
    }

    #[test]
    fn claims_lists_only() {
        for line in ["ip netns", "ip netns ls", "ip -j netns list", "ip netns list-id"] {
            assert!(FORMAT.reads(&Command::new(line)), "{line}");
        }
        for line in ["ls -1 /var/run/netns", "ls /run/netns/"] {
            assert!(FORMAT.reads(&Command::new(line)), "{line}");
        }
        for line in ["ip netns exec a ip a", "ip netns pids a", "ip n", "ls -l /run/netns"] {
            assert!(!FORMAT.reads(&Command::new(line)), "{line}");
        }
    }
}
