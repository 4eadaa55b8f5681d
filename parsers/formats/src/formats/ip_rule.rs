//! `ip rule [show]` of both families, text and JSON.
//!
//! Source of the format: iproute2 `ip/iprule.c`, `print_rule`; 2.6 to 6.x.
//!
//! ```text
//! 0:      from all lookup local
//! 998:    not from 10.1.0.0/16 fwmark 0x1/0xff iif eth1 [detached] lookup 10
//! 32766:  from all lookup main
//! ```
//!
//! A tab stands behind the priority; copies have blanks. Neutron uses addresses as priorities
//! (`167772161`) and prints prefixes with host bits.
mod json;

use nom::Parser as _;
use nom::bytes::complete::tag;
use nom::character::complete::{space0, u32 as decimal};
use nom::combinator::opt;
use nom::sequence::{preceded, terminated};
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::route::{Family, Rule};
use tapline_core::records::{Batch, Field};
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use super::ip_route::numbers;
use super::ip_route::{network, of};
use crate::format::{Ends, Format, Per, last_word};
use crate::ip_command::IpCommand;
use crate::json::each_element;
use crate::keyed::{at, bare, is_joint, name, other_key, set, token};
use crate::lines::{Read, each_line, finish};
use crate::nomx::{Expected, Parsed, must, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ip-rule"),
    command: "ip rule",
    collect: &[
        Per::Host.run("ip -4 rule"),
        Per::Host.run("ip -6 rule"),
        Per::Namespace.run("ip -4 rule"),
        Per::Namespace.run("ip -6 rule"),
    ],
    claims: |command| {
        let family = IpCommand::of(command)?.family;
        // Those of IPv6 alone are not what the rules of a namespace are.
        let filtered = !shown(command)?.is_empty() || family == Some(Family::Inet6);
        Some(Request::filtered(&[Topic::Rules], filtered).of_family(family))
    },
    sniff,
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends {
        // The last rule is one of these; behind the first, of table local, others follow.
        closes: |last| matches!(last_word(last), "main" | "default"),
        ..Ends::LINES
    },
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Rule>> {
    let mut out = Outcome::default();
    if text.trim_start().starts_with('[') {
        let mut each = Outcome::default();
        each_element(text, &mut each, |raw| json::rule(text, raw));
        out = each.map(|all| all.into_iter().flatten().collect());
    } else {
        each_line(text, &mut out, |line| rule(text, line));
    }
    let hint = IpCommand::of(command).and_then(|call| call.family);
    for rule in &mut out.records {
        rule.family = family(rule).or(hint);
    }
    finish(text, &mut out);
    if let Some(args) = shown(command)
        && !args.is_empty()
    {
        let reason = Completeness::Partial(format!("filtered: {}", args.join(" ")));
        out.completeness = std::mem::take(&mut out.completeness).and(reason);
    }
    out
}

/// Actions that are one word (`rtnl_rtntype_n2a`, `FR_ACT_NOP`).
const ACTIONS: &[&str] = &["blackhole", "unreachable", "prohibit", "nop", "throw", "masquerade"];

/// One line.
fn rule<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Rule>> {
    let (mut input, priority) = terminated(decimal, (tag(":"), space0)).parse(line.trim_start())?;
    let mut rule = empty(Span::of(text, line), priority);
    if !input.starts_with("not ") && !input.starts_with("from ") {
        return refuse(input, "`from` or `not from` after the priority");
    }
    while let Ok((rest, key)) = token(input) {
        input = match key {
            "not" => {
                rule.not = true;
                rest
            }
            "from" | "to" => {
                let slot = if key == "from" { &mut rule.from } else { &mut rule.to };
                let what = "`all` or a prefix such as 192.0.2.0/24";
                let (rest, shown) = must(what, token).parse(rest)?;
                *slot = match (shown, network(shown)) {
                    ("all", _) => None,
                    (_, Some(net)) => Some(net),
                    _ => return Err(nom::Err::Failure(Expected { at: shown, what })),
                };
                rest
            }
            "iif" => device(text, key, rest, &mut rule.iif, &mut rule.other)?,
            "oif" => device(text, key, rest, &mut rule.oif, &mut rule.other)?,
            "fwmark" => set(&mut rule.fwmark, bare(rest, "a mark after `fwmark`")?),
            "lookup" => set(&mut rule.lookup, name(text, rest, "a table after `lookup`")?),
            "goto" => {
                let (mut rest, to) = bare(rest, "a priority after `goto`")?;
                rule.action = Some(Name::from(format!("goto {to}")));
                if let Ok((after, mark @ "[unresolved]")) = token(rest) {
                    rule.other.push(Field { key: key.into(), value: at(text, mark) });
                    rest = after;
                }
                rest
            }
            action if ACTIONS.contains(&action) => {
                rule.action = Some(action.into());
                rest
            }
            number if rest.is_empty() && numbers::action(number).is_some() => {
                rule.action = numbers::action(number).map(Name::from);
                rest
            }
            joint if is_joint(joint) => rest,
            _ => {
                let (rest, Some(field)) = other_key(text, key, rest)? else { break };
                rule.other.push(field);
                rest
            }
        };
    }
    // Every rule does something: one that does not was cut off.
    if rule.lookup.is_none() && rule.action.is_none() {
        return refuse(line, "`lookup` and a table, or another action, at the end of the rule");
    }
    if let Some(shown) = &mut rule.lookup
        && let Some(name) = numbers::table(shown)
    {
        shown.value = name.into();
    }
    Ok((input, Read::Took(rule)))
}

/// A device, and `[detached]` where there is none of this name.
fn device<'a>(
    text: &str,
    key: &str,
    input: &'a str,
    slot: &mut Option<Name>,
    other: &mut Vec<Field>,
) -> Result<&'a str, nom::Err<Expected<'a>>> {
    let (input, dev) = bare(input, "a device after `iif` or `oif`")?;
    *slot = Some(dev);
    let (rest, mark) = opt(preceded(space0, tag("[detached]"))).parse(input)?;
    other.extend(mark.map(|mark| Field { key: key.into(), value: at(text, mark) }));
    Ok(rest.trim_start())
}

fn empty(at: Span, priority: u32) -> Rule {
    Rule {
        at,
        family: None,
        priority,
        not: false,
        from: None,
        to: None,
        iif: None,
        oif: None,
        fwmark: None,
        lookup: None,
        action: None,
        other: Vec::new(),
    }
}

fn family(rule: &Rule) -> Option<Family> {
    rule.from.or(rule.to).map(|from| of(from.addr()))
}

/// The arguments behind `ip rule show`; `None` for another command.
fn shown(command: &Command) -> Option<&[String]> {
    let ip = IpCommand::of(command)?;
    if ip.is("rule") { ip.listed() } else { None }
}

fn sniff(head: &str) -> u8 {
    let head = head.trim_start();
    if head.starts_with('[') {
        let inner = head.trim_start_matches(['[', '{', ' ', '\n', '\t']);
        return if inner.starts_with("\"priority\"") && head.contains("\"src\"") { 90 } else { 0 };
    }
    let Some(first) = head.lines().next() else { return 0 };
    if matches!(rule(first, first.trim_end()), Ok((_, Read::Took(_)))) { 90 } else { 0 }
}

/// The rule that looks a table up for the VRF of the device.
const L3MDEV: &str = "[l3mdev-table]";

fn l3mdev(span: Span) -> At<Name> {
    At::new(Name::const_new(L3MDEV), span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, command: &str) -> Outcome<Vec<Rule>> {
        parse(text, &Command::new(command))
    }

    const TEXT: &str = "0:\tfrom all lookup local\n\
        998:    not from 10.1.0.0/16 fwmark 0x1/0xff iif eth1 [detached] lookup 10 suppress_prefixlength 0\n\
        999:\tfrom all to 10.5.0.0/16 blackhole proto unspec\n\
        1000:\tfrom all lookup [l3mdev-table]\n\
        1001:\tfrom all ipproto tcp sport 1-9 dport 443 oif lo uidrange 5-6 goto 32766 [unresolved]\n\
        167772161:\tfrom 192.168.21.1/24 lookup 167772161\n";

    /// Of `ip -j rule`.
    const MORE: &str = "106:\tfrom all nop\n108:\tfrom all fwmark 0x7 lookup 5 suppress_ifgroup default realms 4/5\n";

    #[test]
    fn all_parts_of_a_rule() {
        let out = read(TEXT, "ip rule");
        assert_eq!(out.problems, []);
        let [local, not, hole, vrf, ports, dvr] = out.records.as_slice() else { panic!() };
        assert_eq!((local.priority, local.family), (0, None));
        assert!(not.not && not.lookup.as_deref().is_some_and(|found| found == "10"));
        assert_eq!(not.fwmark.as_deref(), Some("0x1/0xff"));
        assert_eq!(not.iif.as_deref(), Some("eth1"));
        let other: Vec<_> =
            not.other.iter().map(|other| (other.key.as_str(), other.value.as_str())).collect();
        assert_eq!(other, [("iif", "[detached]"), ("suppress_prefixlength", "0")]);
        assert_eq!(hole.action.as_deref(), Some("blackhole"));
        assert_eq!(hole.to.unwrap().to_string(), "10.5.0.0/16");
        assert_eq!(vrf.lookup.as_deref().unwrap(), L3MDEV);
        assert_eq!(ports.action.as_deref(), Some("goto 32766"));
        assert_eq!(Field::find(&ports.other, "uidrange").unwrap().value, "5-6");
        assert_eq!((dvr.priority, dvr.family), (167_772_161, Some(Family::Inet)));
        assert_eq!(dvr.from.unwrap().to_string(), "192.168.21.1/24");
        assert_eq!(TEXT.get(dvr.lookup.as_ref().unwrap().span.range()).unwrap(), "167772161");
    }

    #[test]
    fn json_gives_the_same_rules() {
        let json = r#"[{"priority":0,"src":"all","table":"local"},
            {"priority":998,"not":null,"src":"10.1.0.0","srclen":16,"fwmark":"0x1","fwmask":"0xff",
             "iif":"eth1","iif_detached":null,"table":"10","suppress_prefixlen":0},
            {"priority":999,"src":"all","dst":"10.5.0.0","dstlen":16,"action":"blackhole","protocol":"unspec"},
            {"priority":1000,"src":"all","l3mdev":null},
            {"priority":1001,"src":"all","oif":"lo","uid_start":5,"uid_end":6,"ipproto":"tcp",
             "sport_start":1,"sport_end":9,"dport":443,"goto":32766,"unresolved":null},
            {"priority":167772161,"src":"192.168.21.1","srclen":24,"table":"167772161"},
            {"priority":106,"src":"all","nop":null},
            {"priority":108,"src":"all","fwmark":"0x7","table":"5","suppress_ifgroup":"default","flow_from":"4","flow_to":"5"}]"#;
        let json = read(json, "ip -j rule");
        assert_eq!(json.problems, []);
        let plain = read(&format!("{TEXT}{MORE}"), "ip rule");
        let sorted = |all: Vec<Rule>| -> Vec<Rule> {
            let each = |mut it: Rule| {
                it.at = Span::default();
                it.other.sort_by(|a, b| (&a.key, &*a.value).cmp(&(&b.key, &*b.value)));
                it
            };
            all.into_iter().map(each).collect()
        };
        assert_eq!(sorted(json.records), sorted(plain.records));
    }

    #[test]
    fn what_is_no_rule_is_a_problem() {
        let text = "*32000:  from all to IP lookup br-ex*\n7: lo: <UP> mtu 1\n8: from 1.2.3 lookup a\n9: from all lookup b # c\n";
        let out = read(text, "ip -6 rule");
        assert_eq!((out.lines.unread, out.problems.len(), out.records.len()), (4, 4, 1));
        assert_eq!(out.records[0].family, Some(Family::Inet6));
    }

    #[test]
    fn a_rule_without_an_action_was_cut_off() {
        for cut in
            ["32766:\tfrom all", "32766:\tfrom all iif eth1", "32766:\tfrom all ipproto tcp "]
        {
            let out = read(&format!("0:\tfrom all lookup local\n{cut}\n"), "ip rule");
            assert_eq!((out.lines.unread, out.records.len()), (1, 1), "{cut}");
            assert!(!out.completeness.is_complete(), "{cut}");
        }
    }

    #[test]
    fn claims_and_completeness() {
        assert!(read("", "ip -4 rule list").completeness.is_complete());
        assert!(!read("", "ip rule list table 7").completeness.is_complete());
        assert!(!FORMAT.reads(&Command::new("ip rule add from all")));
        assert!(sniff(TEXT) > 50 && sniff("1: lo: <UP>") == 0);
    }
}
