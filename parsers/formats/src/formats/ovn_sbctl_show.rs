//! `ovn-sbctl show`: the chassis, their tunnel ends, and the ports that they claimed.
//!
//! Source of the format: OVN `utilities/ovn-sbctl.c` (`cmd_show_tables`), Open vSwitch
//! `lib/db-ctl-base.c` (`cmd_show`); OVN 2.6 to 24.x.
//!
//! ```text
//! Chassis "6fd9cef6-4e9d-4bde-ab82-016c2461957b"
//!     hostname: compute-0
//!     Encap geneve
//!         ip: "10.0.0.11"
//!         options: {csum="true"}
//!     Port_Binding "c5301737-8878-46c5-b259-be909011f572"
//!     Port_Binding cr-lrp-56a18b9e-07d4-4249-b28b-b6446961a587
//! ```
//!
//! Columns that are empty are not printed. Ports that no chassis claimed are not printed, neither
//! are those that belong to none (localnet, localport, patch). A database without chassis prints
//! nothing at all.
use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{space0, space1};
use nom::sequence::terminated;
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::ovs::{OvsRecord, OvsRef, OvsRow};
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::lines::{Read, bodies, finish, one_line, orphan, tool_error};
use crate::nomx::{Expected, Parsed, must, refuse};
use crate::ovsdb::cell::{Cell, Style};
use crate::ovsdb::notation::{Place, Token, name};
use crate::ovsdb::{call, columns, doubt_unread, is_log_line};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ovn-sbctl-show"),
    command: "ovn-sbctl show",
    collect: &[Per::Central.run("ovn-sbctl -t 10 --no-leader-only show")],
    claims: |command| {
        let is = call::of(command, "ovn-sbctl").is_some_and(|call| call.verb == "show");
        is.then(|| Request::whole(&[Topic::OvnSouth]))
    },
    sniff: |head| {
        let mut lines = bodies(head).filter(|body| !body.is_empty() && !is_log_line(body));
        let first = lines.next().unwrap_or_default();
        let second = lines.next().unwrap_or_default().trim_start();
        let inside = ["hostname: ", "Encap "].iter().any(|prefix| second.starts_with(prefix));
        if first.starts_with("Chassis ") && inside { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<OvsRecord>> {
    let mut out = Outcome::default();
    let mut tree = Tree { text, records: Vec::new(), chassis: None, lost: false, indent: 0 };
    for body in bodies(text) {
        let inside = body.starts_with([' ', '\t']);
        if inside && tree.chassis.is_none() && !body.trim_start().starts_with("Chassis ") {
            orphan(text, body, &mut out);
        } else {
            one_line(text, body, &mut out, &mut |line| tree.line(line));
        }
    }
    finish(text, &mut out);
    doubt_unread(&mut out);
    if out.lines.read == 0 {
        let nothing = "no chassis: the database is empty, or it was not asked";
        let before = std::mem::take(&mut out.completeness);
        out.completeness = before.and(Completeness::Partial(nothing.to_owned()));
    }
    out.map(|()| tree.records)
}

/// What was read so far.
struct Tree<'a> {
    text: &'a str,
    records: Vec<OvsRecord>,
    /// The chassis that further lines are about.
    chassis: Option<At<Name>>,
    /// The last heading was not understood: nothing says what the lines below it are about.
    lost: bool,
    /// How far the last heading inside a chassis stands from the margin.
    indent: usize,
}

/// The things that have a line of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Chassis,
    Encap,
    PortBinding,
}

impl<'a> Tree<'a> {
    fn line(&mut self, line: &'a str) -> Parsed<'a, Read<()>> {
        if is_log_line(line) && tool_error(line).is_none() {
            return Ok(("", Read::Ignored));
        }
        let (content, _) = space0(line)?;
        let indent = line.len() - content.len();
        if let Ok((rest, (kind, token))) = header(content) {
            self.lost = false;
            if kind != Kind::Chassis && self.chassis.is_none() {
                return refuse(line, "a chassis above this line");
            }
            self.thing(kind, token, content);
            self.indent = indent;
            return Ok((rest, Read::Took(())));
        }
        let Ok((rest, key)) = column(content) else {
            self.lost = true;
            return refuse(line, "a chassis, a tunnel end, a port, or `key: value` about one");
        };
        // `hostname` stands beside the headings inside a chassis, in front of them.
        let inner = indent > self.indent;
        let owner = self.records.iter_mut().rev().find(|record| {
            inner && !matches!(record.row, OvsRow::PortBinding(_))
                || matches!(record.row, OvsRow::Chassis(_))
        });
        let Some(record) = owner.filter(|_| self.chassis.is_some() && !self.lost) else {
            return refuse(line, "a heading above that this line could belong to");
        };
        match Cell::new(self.text, rest, Style::Notation).fill(self.text, record, key) {
            Ok(()) => Ok(("", Read::Took(()))),
            Err(wrong) => Err(nom::Err::Failure(Expected { at: rest, what: wrong.what })),
        }
    }

    /// Starts a row.
    fn thing(&mut self, kind: Kind, token: Token<'a>, content: &'a str) {
        let table = match kind {
            Kind::Chassis => "Chassis",
            Kind::Encap => "Encap",
            Kind::PortBinding => "Port_Binding",
        };
        let mut record = columns::record(table, Span::of(self.text, content));
        let name = token.name(Place::Within(self.text));
        match &mut record.row {
            OvsRow::Chassis(it) => {
                self.chassis = Some(name.clone());
                it.name = name;
            }
            OvsRow::Encap(it) => {
                it.kind = Some(name);
                it.chassis.clone_from(&self.chassis);
            }
            OvsRow::PortBinding(it) => {
                it.logical_port = name;
                it.chassis = self.chassis.clone().map(|chassis| chassis.map(OvsRef::Name));
            }
            _ => {}
        }
        self.records.push(record);
    }
}

/// `Chassis "name"`.
fn header(input: &str) -> Parsed<'_, (Kind, Token<'_>)> {
    let kind = alt((
        tag("Port_Binding").map(|_| Kind::PortBinding),
        tag("Encap").map(|_| Kind::Encap),
        tag("Chassis").map(|_| Kind::Chassis),
    ));
    let (input, kind) = terminated(kind, space1).parse(input)?;
    let (rest, token) = must("a name", name).parse(input)?;
    Ok((rest, (kind, token)))
}

/// `key: value`; the rest is the value.
fn column(input: &str) -> Parsed<'_, &str> {
    let key = take_while1(|c: char| c.is_ascii_alphanumeric() || c == '_');
    terminated(key, (tag(":"), space1)).parse(input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::records::ovs::lookup;

    const TEXT: &str = r#"2024-05-01T10:00:00Z|00001|ovsdb_idl|WARN|clustered database server is not cluster leader
Chassis "5e0be6ad-0b12-4a8c-a6a5-0a3e1de5a1a6"
    hostname: "cmp-1.example.org"
    Encap vxlan
        ip: "192.0.2.1"
    Encap geneve
        ip: "192.0.2.1"
        options: {csum="true"}
    Port_Binding "2f0be6ad-0b12-4a8c-a6a5-0a3e1de5a1a6"
    Port_Binding cr-lrp-a
Chassis vtep0
    Encap vxlan
        ip: "192.0.2.9"
"#;

    fn reads(text: &str) -> Outcome<Vec<OvsRecord>> {
        parse(text, &Command::new("ovn-sbctl show"))
    }

    #[test]
    fn ports_stand_under_their_chassis() {
        let out = reads(TEXT);
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        let lines = (out.lines.total, out.lines.read, out.lines.ignored, out.lines.unread);
        assert_eq!(lines, (13, 12, 1, 0));
        let [cmp, vxlan, geneve, vm, gateway, vtep, end] = out.records.as_slice() else {
            panic!("{out:#?}")
        };
        let OvsRow::Chassis(it) = &cmp.row else { panic!("{cmp:?}") };
        assert_eq!(it.name.as_str(), "5e0be6ad-0b12-4a8c-a6a5-0a3e1de5a1a6");
        assert_eq!(it.hostname.as_ref().unwrap().as_str(), "cmp-1.example.org");
        for (row, kind, options) in [(vxlan, "vxlan", 0), (geneve, "geneve", 1)] {
            let OvsRow::Encap(it) = &row.row else { panic!("{row:?}") };
            assert_eq!(it.kind.as_ref().unwrap().as_str(), kind);
            assert_eq!(it.ip.as_ref().unwrap().as_str(), "192.0.2.1");
            assert_eq!(it.options.len(), options);
            assert_eq!(lookup(&it.options, "csum").is_some(), options == 1);
        }
        for (row, port) in [(vm, "2f0be6ad-0b12-4a8c-a6a5-0a3e1de5a1a6"), (gateway, "cr-lrp-a")] {
            let OvsRow::PortBinding(it) = &row.row else { panic!("{row:?}") };
            assert_eq!(it.logical_port.as_str(), port);
            let chassis = "5e0be6ad-0b12-4a8c-a6a5-0a3e1de5a1a6".into();
            assert_eq!(it.chassis.as_ref().unwrap().value, OvsRef::Name(chassis));
        }
        let OvsRow::Chassis(it) = &vtep.row else { panic!("{vtep:?}") };
        assert_eq!((it.name.as_str(), &it.hostname), ("vtep0", &None));
        let OvsRow::Encap(it) = &end.row else { panic!("{end:?}") };
        assert_eq!(it.chassis.as_ref().unwrap().as_str(), "vtep0");
    }

    #[test]
    fn what_hangs_in_the_air_is_a_problem() {
        for (text, unread) in [
            ("    hostname: x\nChassis a\n    hostname: y\n", 1),
            ("Port_Binding x\n", 1),
            ("Chassis a\n    Encap geneve\n        ip: [1, 2]\n", 1),
            ("Chassis a\n    hostname: x\n[...]\n", 1),
            ("Chassis a\n    Port_Binding x y\n", 1),
            ("Chassis\n", 1),
            ("Chassis a\n    Encap geneve\n    Encap \"x\n        ip: 192.0.2.1\n", 2),
        ] {
            let out = reads(text);
            assert_eq!((out.lines.unread, out.problems.len()), (unread, unread as usize), "{text}");
            assert!(!out.completeness.is_complete(), "{text}");
        }
        // Columns that nobody knows are kept.
        let out = reads("Chassis a\n    nb_cfg: 7\n");
        assert_eq!(out.records[0].columns.len(), 1);
    }

    #[test]
    fn nothing_proves_nothing() {
        assert!(matches!(reads("").completeness, Completeness::Partial(_)));
        let refused =
            "ovn-sbctl: unix:/x.sock: database connection failed (No such file or directory)\n";
        assert!(reads(refused).completeness.is_failed());
    }
}
