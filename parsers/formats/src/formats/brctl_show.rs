//! `brctl show` of bridge-utils.
//!
//! Source of the format: bridge-utils `brctl/brctl_cmd.c`, `br_cmd_show`; 1.0 to 1.7.1.
//!
//! ```text
//! bridge name     bridge id               STP enabled     interfaces
//! qbr85bcbfb0-bc          8000.c67808b20c2e       no              qvb85bcbfb0-bc
//!                                                         tap85bcbfb0-bc
//! ```
//!
//! The columns are set apart by tabs. A bridge without members ends after the STP column; in place
//! of what the tool could not learn stands its complaint (`can't get info Operation not
//! supported`). Copies from a terminal have blanks for tabs, or nothing at all where a name
//! filled its column. 1.7.1 prints no heading when there is no bridge: an empty text is a complete
//! answer.
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Outcome, ProblemKind};
use tapline_core::records::Batch;
use tapline_core::records::bridge::Bridge;
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::lines::{Read, each_block, finish, is_elision};
use crate::nomx::{Parsed, refuse, word};
use crate::ovsdb::doubt_unread;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("brctl-show"),
    command: "brctl show",
    collect: &[Per::Host.run("brctl show")],
    claims: |command| {
        let bridges = asked(command)?;
        let one = bridges.first().map(String::as_str);
        Some(Request::filtered(&[Topic::BridgeMembers], !bridges.is_empty()).about(one))
    },
    sniff: |head| if head.trim_start().starts_with("bridge name") { 95 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// The bridges that `brctl show [BRIDGE]…` asks for.
fn asked(command: &Command) -> Option<&[String]> {
    match command.args() {
        [show, bridges @ ..] if command.program() == "brctl" && show == "show" => Some(bridges),
        _ => None,
    }
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Bridge>> {
    let mut out = Outcome::default();
    each_block(
        text,
        &mut out,
        |line| head(text, line),
        |_, line| member(text, line),
        |bridge, port| bridge.ports.push(port),
    );
    let complaints = out.records.iter().filter_map(|record| record.error.clone());
    for it in complaints.collect::<Vec<_>>() {
        out.problem(ProblemKind::ToolError, it.span, it.as_str());
    }
    finish(text, &mut out);
    doubt_unread(&mut out);
    if let Some(only @ [_, ..]) = asked(command) {
        let why = Completeness::Partial(format!("lists only {}", only.join(" ")));
        out.completeness = std::mem::take(&mut out.completeness).and(why);
    }
    out
}

/// What stands in a row instead of what the tool could not learn.
const COMPLAINTS: &[&str] = &["can't get info", "can't get ports"];

/// The heading, or the first line of a bridge.
fn head<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Bridge>> {
    if line.starts_with("bridge name") {
        return if line.contains("interfaces") {
            Ok(("", Read::Ignored))
        } else {
            refuse(line, "a heading that ends with `interfaces`")
        };
    }
    if matches!(line, "interfaces" | "STP enabled interfaces" | "STP enabled\tinterfaces") {
        // The heading was wrapped.
        return Ok(("", Read::Ignored));
    }
    let at = |part: &str| At::new(Name::new(part), Span::of(text, part));
    let mut bridge = Bridge {
        at: Span::of(text, line),
        name: at(line),
        id: None,
        stp: None,
        ports: Vec::new(),
        error: None,
    };
    if let Some((name, complaint)) = complaint(line) {
        bridge.name = at(name);
        bridge.error = Some(at(complaint));
        return Ok(("", Read::Took(bridge)));
    }
    let Some((name, id, rest)) = around_id(line) else {
        return refuse(line, "a name and a bridge id such as 8000.c67808b20c2e");
    };
    bridge.name = at(name);
    bridge.id = Some(at(id));
    let rest = rest.trim_start();
    let stp = rest.get(..if rest.starts_with("yes") { 3 } else { 2 }).unwrap_or_default();
    if stp != "yes" && stp != "no" {
        return refuse(rest, "yes or no (STP enabled)");
    }
    bridge.stp = Some(At::new(stp == "yes", Span::of(text, stp)));
    let rest = rest.get(stp.len()..).unwrap_or_default().trim_start();
    if COMPLAINTS.iter().any(|complaint| rest.starts_with(complaint)) {
        bridge.error = Some(at(rest));
        return Ok(("", Read::Took(bridge)));
    }
    let Ok((rest, port)) = word(rest) else { return Ok((rest, Read::Took(bridge))) };
    bridge.ports.push(at(port));
    Ok((rest, Read::Took(bridge)))
}

/// A name with a complaint behind it.
fn complaint(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.split_once(char::is_whitespace)?;
    let rest = rest.trim_start();
    COMPLAINTS.iter().any(|complaint| rest.starts_with(complaint)).then_some((name, rest))
}

/// Name, bridge id and the rest of a row. The id is found by its form, as blanks may be missing
/// on either side of it.
fn around_id(line: &str) -> Option<(&str, &str, &str)> {
    let is_hex = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
    let at = line.match_indices('.').find_map(|(dot, _)| {
        let (start, end) = (dot.checked_sub(4)?, dot + 13);
        let fits = is_hex(line.get(start..dot)?) && is_hex(line.get(dot + 1..end)?);
        fits.then_some(start..end)
    })?;
    let name = line.get(..at.start)?.trim_end();
    let named = !name.is_empty() && !name.contains(char::is_whitespace);
    named.then_some((name, line.get(at.clone())?, line.get(at.end..)?))
}

/// A further member, on a line of its own.
fn member<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<At<Name>>> {
    if is_elision(line) {
        return refuse(line, "a member");
    }
    let (rest, name) = word(line.trim_start())?;
    Ok((rest, Read::Took(At::new(name.into(), Span::of(text, name)))))
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
            .map(|record| {
                (record.name.as_str(), record.ports.iter().map(|p| p.as_str()).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(shown, [("br0", vec!["qvb0", "tap0"]), ("br1", vec![])]);
    }

    #[test]
    fn columns_may_be_glued() {
        let text = "brqb304e495-b88000.921bf69da9ddno  tap0\nabcdef 0000.000000000000 yeseth0\n";
        let out = parse(text, &Command::new("brctl show"));
        let [a, b] = out.records.as_slice() else { panic!("{:?}", out.problems) };
        assert_eq!((a.name.as_str(), a.ports[0].as_str()), ("brqb304e495-b8", "tap0"));
        assert_eq!(b.id.as_ref().unwrap().as_str(), "0000.000000000000");
        assert_eq!((b.stp.unwrap().value, b.ports[0].as_str()), (true, "eth0"));
    }

    #[test]
    fn complaints_in_a_row_leave_the_members_unknown() {
        let text = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n\
                    br0\t\tcan't get info Operation not supported\n\
                    br1\t\t8000.c67808b20c2e\tno\t\tcan't get ports: No such device\n";
        let out = parse(text, &Command::new("brctl show"));
        let said: Vec<_> = out.records.iter().filter_map(|record| record.error.as_ref()).collect();
        assert_eq!(said[0].as_str(), "can't get info Operation not supported");
        assert_eq!((said.len(), out.lines.unread, out.problems.len()), (2, 0, 2));
        assert!(matches!(out.completeness, Completeness::Partial(_)));
    }

    #[test]
    fn a_part_or_a_failure_proves_no_absence() {
        let read = |command, text| parse(text, &Command::new(command)).completeness;
        assert!(matches!(read("brctl show br0", ""), Completeness::Partial(_)));
        assert_eq!(read("brctl show", ""), Completeness::Complete);
        assert!(read("brctl show", "dash: 1: brctl: not found\n").is_failed());
        let elided = "br0  8000.c67808b20c2e no eth0\n      ...\n";
        assert!(matches!(read("brctl show", elided), Completeness::Partial(_)));
    }

    #[test]
    fn a_line_of_dots_takes_no_longer_than_another() {
        let out = parse(&".".repeat(500_000), &Command::new("brctl show"));
        assert_eq!((out.records.len(), out.lines.unread), (0, 1));
    }
}
