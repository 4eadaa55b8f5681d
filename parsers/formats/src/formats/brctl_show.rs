//! `brctl show` of bridge-utils.
//!
//! Source of the format: bridge-utils `brctl/brctl_cmd.c`, `br_cmd_show`; 1.5 to 1.7.1.
//!
//! ```text
//! bridge name	bridge id		STP enabled	interfaces
//! qbr85bcbfb0-bc		8000.c67808b20c2e	no		qvb85bcbfb0-bc
//! 							tap85bcbfb0-bc
//! ```
//!
//! A bridge without members ends after the STP column. Copies from a terminal have blanks for
//! tabs. 1.7.1 prints no heading when there is no bridge: an empty text is a complete answer.
use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::complete::tag;
use nom::combinator::opt;
use tapline_model::capture::{Command, FormatId};
use tapline_model::outcome::Outcome;
use tapline_model::records::Batch;
use tapline_model::records::bridge::Bridge;
use tapline_model::span::{At, Span};

use crate::lines::{Read, each_block, finish};
use crate::nomx::{Parsed, must, whole, word, word_gap};
use crate::registry::Format;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("brctl-show"),
    command: "brctl show",
    claims: |command| {
        command.program() == "brctl" && command.args().first().is_some_and(|it| it == "show")
    },
    sniff: |head| if head.trim_start().starts_with("bridge name") { 95 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<Bridge>> {
    let mut out = Outcome::default();
    each_block(
        text,
        &mut out,
        |line| head(text, line),
        |_, line| member(text, line),
        |bridge, port| bridge.ports.push(port),
    );
    finish(text, &mut out);
    out
}

/// The heading, or the first line of a bridge.
fn head<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Bridge>> {
    if line.starts_with("bridge name") {
        return Ok(("", Read::Ignored));
    }
    let at = |part: &str| Span::of(text, part);
    let (input, name) = word_gap(line)?;
    let (input, id) = word_gap(input)?;
    if !is_bridge_id(id) {
        return crate::nomx::refuse(id, "a bridge id such as 8000.c67808b20c2e");
    }
    let (input, stp) =
        must("yes or no (STP enabled)", whole(alt((tag("yes"), tag("no"))))).parse(input)?;
    let (input, port) = opt(word).parse(input.trim_start())?;
    let bridge = Bridge {
        at: at(line),
        name: At::new(name.into(), at(name)),
        id: Some(At::new(id.into(), at(id))),
        stp: Some(At::new(stp == "yes", at(stp))),
        ports: port.map(|it| At::new(it.into(), at(it))).into_iter().collect(),
        error: None,
    };
    Ok((input, Read::Took(bridge)))
}

/// A further member, on a line of its own.
fn member<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<At<tapline_model::Name>>> {
    let (input, name) = word(line.trim_start())?;
    Ok((input, Read::Took(At::new(name.into(), Span::of(text, name)))))
}

/// Four hex digits, a dot, twelve hex digits.
fn is_bridge_id(text: &str) -> bool {
    let hex = |part: &str, n| part.len() == n && part.bytes().all(|b| b.is_ascii_hexdigit());
    text.split_once('.').is_some_and(|(priority, mac)| hex(priority, 4) && hex(mac, 12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_on_lines_of_their_own_belong_to_the_bridge_above() {
        let text = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n\
                    br0\t\t8000.c67808b20c2e\tno\t\tqvb0\n\t\t\t\t\t\t\ttap0\n\
                    br1\t\t8000.000000000000\tyes\t\t\n";
        let out = parse(text, &Command::new("brctl show"));
        assert_eq!((out.lines.total, out.lines.read, out.lines.unread), (4, 3, 0));
        let shown: Vec<_> = out
            .records
            .iter()
            .map(|it| (it.name.as_str(), it.ports.iter().map(|p| p.as_str()).collect::<Vec<_>>()))
            .collect();
        assert_eq!(shown, [("br0", vec!["qvb0", "tap0"]), ("br1", vec![])]);
    }
}
