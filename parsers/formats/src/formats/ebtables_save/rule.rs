//! One line: a table, a chain, a rule.
use nom::Parser as _;
use nom::bytes::complete::tag;
use nom::character::complete::{char, digit1, u64 as decimal};
use nom::combinator::opt;
use nom::sequence::{delimited, preceded, separated_pair, terminated};
use tapline_core::Name;
use tapline_core::records::filter::{Condition, Target};
use tapline_core::records::nft::{NftRule, Statement};
use tapline_core::span::{At, Span};

use super::condition::{is_flag, test_of};
use super::place;
use crate::lines::Read;
use crate::nomx::{Parsed, gap, must, refuse, word, word_gap};

/// A line that is no comment.
#[derive(Debug)]
pub(super) enum Line {
    /// `*nat`, `Bridge table: nat`
    Table {
        /// The line.
        at: Span,
        /// Its name.
        name: At<Name>,
    },
    /// `:INPUT ACCEPT`, `Bridge chain: INPUT, entries: 0, policy: ACCEPT`
    Chain {
        /// The line.
        at: Span,
        /// Its name.
        name: At<Name>,
        /// In small letters.
        policy: Option<At<Name>>,
    },
    /// `-A INPUT -j DROP`; in a listing without `-A` and the chain.
    Rule {
        /// Its chain, where the line names it.
        chain: Option<Name>,
        /// The rule.
        rule: NftRule,
    },
}

pub(super) fn line<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Line>> {
    let at = place(text, line);
    let name = |name: &str| At::new(Name::from(name), place(text, name));
    let small = |word: &str| At::new(word.to_ascii_lowercase().into(), place(text, word));
    let (rest, read) = if line.starts_with('*') {
        let (rest, table) = preceded(char('*'), word).parse(line)?;
        (rest, Line::Table { at, name: name(table) })
    } else if line.starts_with("Bridge table: ") {
        let (rest, table) = preceded(tag("Bridge table: "), word).parse(line)?;
        (rest, Line::Table { at, name: name(table) })
    } else if line.starts_with(':') {
        let (rest, chain) = preceded(char(':'), word_gap).parse(line)?;
        let (rest, policy) = must("a policy after the chain", word_gap).parse(rest)?;
        let policy = (policy != "-").then(|| small(policy));
        (rest, Line::Chain { at, name: name(chain), policy })
    } else if line.starts_with("Bridge chain: ") {
        let (rest, chain) = preceded(tag("Bridge chain: "), word_gap).parse(line)?;
        let (rest, _) = must("`entries:`", (tag("entries: "), digit1, tag(", "))).parse(rest)?;
        let (rest, policy) =
            must("`policy:` and a policy", preceded(tag("policy: "), word)).parse(rest)?;
        let chain = chain.strip_suffix(',').unwrap_or(chain);
        (rest, Line::Chain { at, name: name(chain), policy: Some(small(policy)) })
    } else {
        // Its number in a listing (`--Ln`; the old tool prints a dot behind it).
        let (rest, _) = opt((digit1, opt(char('.')), char(' '))).parse(line)?;
        let (rest, counted) = opt(counters).parse(rest)?;
        if !rest.starts_with('-') {
            return refuse(line, "a table, a chain or a rule");
        }
        rule(text, (line, rest), counted)?
    };
    Ok((rest, Read::Took(read)))
}

/// `[packets:bytes]` and the blank behind it.
fn counters(input: &str) -> Parsed<'_, (u64, u64)> {
    let pair = separated_pair(decimal, char(':'), decimal);
    terminated(delimited(char('['), pair, char(']')), gap).parse(input)
}

fn rule<'a>(
    text: &str,
    (line, rest): (&'a str, &'a str),
    counted: Option<(u64, u64)>,
) -> Parsed<'a, Line> {
    let (rest, chain) = match rest.strip_prefix("-A ") {
        Some(behind) => {
            let (rest, chain) = must("a chain after `-A`", word_gap).parse(behind)?;
            (rest, Some(Name::from(chain)))
        }
        None => (rest, None),
    };
    // Without a target, `--Lc` prints the counters alone.
    let (options, listed) = rest.split_once(", pcnt = ").unwrap_or((rest, ""));
    let mut words = words(options).peekable();
    let mut statements = Vec::new();
    let mut counter = counted.or_else(|| of_listing(listed));
    let mut target = None;
    let mut not = false;
    while let Some(option) = words.next() {
        if option == "!" {
            not = true;
            continue;
        }
        // Capitals are commands: `-D`, `-P`.
        let is_command = option.as_bytes().get(1).is_some_and(u8::is_ascii_uppercase);
        if !option.starts_with('-') || is_command {
            return refuse(line, "an option of a rule");
        }
        if option == "-c" {
            let pair = (words.next(), words.next());
            let (Some(packets), Some(bytes)) = pair else { return refuse(line, "two counters") };
            let (Ok(packets), Ok(bytes)) = (packets.parse(), bytes.parse()) else {
                return refuse(line, "two counters");
            };
            counter = Some((packets, bytes));
            continue;
        }
        not |= words.next_if(|word| *word == "!").is_some();
        let takes = |word: &&str| !is_flag(option) && (!word.starts_with('-') || is_number(word));
        let value = words.next_if(takes);
        match (option, value) {
            ("-j" | "--jump", Some(value)) => target = Some(value),
            ("-j" | "--jump", None) => return refuse(line, "a target after `-j`"),
            // What a watcher writes, and what the target is given.
            _ if target.is_some() || is_watcher(option) => {}
            _ => {
                let test = test_of(option, value);
                statements.push(Statement::If(Condition { not, test }));
            }
        }
        not = false;
    }
    statements.extend(counter.map(|(packets, bytes)| Statement::Counter(packets, bytes)));
    statements.extend(target.map(|target| Statement::Do(target_of(target))));
    let shown = At::new(Name::from(line), place(text, line));
    let rule = NftRule { at: place(text, line), text: shown, handle: None, statements };
    Ok(("", Line::Rule { chain, rule }))
}

/// `3 -- bcnt = 252`
fn of_listing(shown: &str) -> Option<(u64, u64)> {
    let (packets, bytes) = shown.split_once(" -- bcnt = ")?;
    Some((packets.trim().parse().ok()?, bytes.trim().parse().ok()?))
}

/// The words of a rule; those in quotes are one.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.trim();
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let quoted = rest.strip_prefix('"').and_then(|inner| inner.split_once('"'));
        let (one, behind) =
            quoted.or_else(|| rest.split_once(char::is_whitespace)).unwrap_or((rest, ""));
        rest = behind;
        Some(one)
    })
}

fn is_number(word: &str) -> bool {
    word.strip_prefix('-').is_some_and(|digits| digits.parse::<u32>().is_ok())
}

/// Options of what only looks on (ebtables(8), WATCHER EXTENSIONS), and of the burst of a limit.
fn is_watcher(option: &str) -> bool {
    ["--log", "--nflog", "--ulog", "--limit-burst"].iter().any(|start| option.starts_with(start))
}

/// What a target does. Extensions change a frame, and decide by an option of their own.
fn target_of(name: &str) -> Target {
    match name {
        "ACCEPT" => Target::Accept,
        "DROP" => Target::Drop,
        "RETURN" => Target::Return,
        "CONTINUE" => Target::Aside,
        "arpreply" | "dnat" | "snat" | "redirect" | "mark" => Target::Unknown(name.into()),
        chain => Target::Jump(chain.into()),
    }
}
