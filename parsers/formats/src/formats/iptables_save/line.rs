//! One line: `*table`, `:chain`, a rule, `COMMIT`.
use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::complete::tag;
use nom::character::complete::{char, u64 as decimal};
use nom::combinator::{map, opt, verify};
use nom::sequence::{delimited, preceded, separated_pair, terminated};
use tapline_core::Name;
use tapline_core::records::netfilter::{NetfilterChain, NetfilterRule};
use tapline_core::span::{At, Span};

use super::place;
use crate::formats::netfilter::understand;
use crate::lines::Read;
use crate::nomx::{Parsed, big_number, gap, must, refuse, word, word_gap};

/// A line that is no comment.
#[derive(Debug)]
pub(super) enum Line {
    /// `*nat`.
    Table(Span, At<Name>),
    /// `:INPUT ACCEPT [0:0]`.
    Chain(NetfilterChain),
    /// `-A INPUT …`, or `-I INPUT 1 …` in input of `iptables-restore`.
    Rule {
        /// The rule.
        rule: NetfilterRule,
        /// Its place in the chain is not that of the text.
        inserted: bool,
    },
    /// `COMMIT`.
    Commit,
}

pub(super) fn line<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Line>> {
    let (input, read) = if line == "COMMIT" {
        ("", Line::Commit)
    } else if line.starts_with('*') {
        table(text, line)?
    } else if line.starts_with(':') {
        chain(text, line)?
    } else if line.starts_with(['-', '[']) {
        rule(text, line)?
    } else {
        return refuse(line, "`*table`, `:chain`, `-A` or COMMIT");
    };
    Ok((input, Read::Took(read)))
}

/// A line of `iptables -S`: `-P`, `-N` or `-A`.
pub(super) fn option<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Line>> {
    let (input, verb) = word_gap(line)?;
    let (input, read) = match verb {
        "-P" => {
            let (input, name) = must("a chain after `-P`", word_gap).parse(input)?;
            let (input, policy) = must("a policy after the chain", word_gap).parse(input)?;
            let policy = Some(At::new(policy.into(), place(text, policy)));
            let (input, counters) = opt(counted).parse(input)?;
            let at = place(text, line);
            (input, Line::Chain(NetfilterChain { at, name: name.into(), policy, counters }))
        }
        "-N" => {
            let (input, name) = must("a chain after `-N`", word_gap).parse(input)?;
            let at = place(text, line);
            let chain = NetfilterChain { at, name: name.into(), policy: None, counters: None };
            (input, Line::Chain(chain))
        }
        "-A" => rule(text, line)?,
        _ => return refuse(line, "`-P`, `-N` or `-A`"),
    };
    Ok((input, Read::Took(read)))
}

/// `-c PACKETS BYTES`.
fn counted(input: &str) -> Parsed<'_, (u64, u64)> {
    let pair = separated_pair(decimal, char(' '), decimal);
    terminated(preceded(tag("-c "), pair), gap).parse(input)
}

fn table<'a>(text: &str, line: &'a str) -> Parsed<'a, Line> {
    let (rest, name) = preceded(char('*'), word).parse(line)?;
    Ok((rest, Line::Table(place(text, line), At::new(name.into(), place(text, name)))))
}

fn chain<'a>(text: &str, line: &'a str) -> Parsed<'a, Line> {
    let (input, name) = preceded(char(':'), word_gap).parse(line)?;
    let (input, policy) = must("a policy or `-` after the chain", word_gap).parse(input)?;
    let (input, counters) = opt(counters).parse(input)?;
    let policy = (policy != "-").then(|| At::new(policy.into(), place(text, policy)));
    let at = place(text, line);
    Ok((input, Line::Chain(NetfilterChain { at, name: name.into(), policy, counters })))
}

fn rule<'a>(text: &str, line: &'a str) -> Parsed<'a, Line> {
    let (input, counters) = opt(counters).parse(line)?;
    let (input, verb) = word_gap(input)?;
    let inserted = verb == "-I";
    if verb != "-A" && !inserted {
        return refuse(line, "`-A` and a chain");
    }
    let (mut input, chain) = must("a chain after `-A`", word_gap).parse(input)?;
    if inserted {
        // The place in the chain.
        input = terminated(big_number, gap).parse(input).map_or(input, |(rest, _)| rest);
    }
    let mut rule = NetfilterRule {
        at: place(text, line),
        chain: chain.into(),
        counters,
        matches: Vec::new(),
        conditions: Vec::new(),
        target: None,
        goto: false,
        target_options: Vec::new(),
        action: None,
    };
    while !input.is_empty() {
        if rule.target.is_none()
            && let Ok((rest, pair)) = counted(input)
        {
            rule.counters = Some(pair);
            input = rest;
            continue;
        }
        let (rest, shown) = must("a closing quote", argument).parse(input)?;
        input = rest;
        if rule.target.is_some() {
            rule.target_options.push(shown);
        } else if shown == "-j" || shown == "-g" {
            let (rest, target) = must("a target after `-j`", word_gap).parse(input)?;
            rule.goto = shown == "-g";
            rule.target = Some(At::new(target.into(), place(text, target)));
            input = rest;
        } else {
            rule.matches.push(shown);
        }
    }
    understand(&mut rule);
    Ok((input, Line::Rule { rule, inserted }))
}

/// `[packets:bytes]` and the blanks behind it.
fn counters(input: &str) -> Parsed<'_, (u64, u64)> {
    let pair = separated_pair(decimal, char(':'), decimal);
    terminated(delimited(char('['), pair, char(']')), gap).parse(input)
}

/// A word, or a quoted string with escapes, and the blanks behind it.
fn argument(input: &str) -> Parsed<'_, Name> {
    let bare = map(verify(word, |text: &str| !text.starts_with('"')), Name::from);
    terminated(alt((quoted, bare)), gap).parse(input)
}

/// Within quotes a backslash stands before quotes and backslashes.
fn quoted(input: &str) -> Parsed<'_, Name> {
    let (mut rest, _) = tag("\"").parse(input)?;
    let mut value = Name::default();
    loop {
        let Some(at) = rest.find(['"', '\\']) else { return refuse(input, "a closing quote") };
        let (plain, special) = rest.split_at_checked(at).unwrap_or((rest, ""));
        value.push_str(plain);
        let mut behind = special.chars();
        let closes = behind.next() == Some('"');
        rest = behind.as_str();
        if closes {
            return Ok((rest, value));
        }
        if let Some(escaped) = behind.next() {
            value.push(escaped);
        }
        rest = behind.as_str();
    }
}
