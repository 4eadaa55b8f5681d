//! `ovs-vsctl show`: the database as a tree of names.
//!
//! Source of the format: `lib/db-ctl-base.c` (`cmd_show`), `utilities/ovs-vsctl.c`
//! (`cmd_show_tables`); 1.x to 3.x.
//!
//! ```text
//! 6dcd7b41-6b0a-4cbe-9a43-11d8e8f0a3a5
//!     Manager "ptcp:6640:127.0.0.1"
//!         is_connected: true
//!     Bridge br-int
//!         fail_mode: secure
//!         Port vx0
//!             tag: 7
//!             Interface vx0
//!                 type: vxlan
//!                 options: {key=flow, remote_ip="192.0.2.7"}
//!                 error: "could not add network device vx0 to ofproto (File exists)"
//!     ovs_version: "2.17.9"
//! ```
//!
//! Columns that are empty are not printed, `vlan_mode` never is. A bond is a port with several
//! interfaces. `ovs_version` is missing where vswitchd never ran.
use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{space0, space1};
use nom::sequence::terminated;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::ovs::{OvsRecord, OvsRef, OvsRow};
use tapline_core::request::{Request, Topic};
use tapline_core::span::Span;

use crate::format::{Ends, Format, Per, last_word};
use crate::lines::{
    Read, bodies, elided, finish, is_elision, is_separator, one_line, orphan, separated,
};
use crate::nomx::{Expected, Parsed, must, refuse};
use crate::ovsdb::cell::{Cell, Style};
use crate::ovsdb::notation::{Place, Token, is_uuid, name};
use crate::ovsdb::{call, columns, doubt_unread, is_log_line};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ovs-vsctl-show"),
    command: "ovs-vsctl show",
    collect: &[Per::Host.run("ovs-vsctl -t 10 show")],
    claims: |command| {
        let is = call::of(command, "ovs-vsctl").is_some_and(|call| call.verb == "show");
        is.then(|| Request::whole(&[Topic::Ovs]))
    },
    sniff,
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends {
        // A port of a bridge.
        begins: |line| line.find(|c: char| c != ' ').is_some_and(|indent| indent <= 8),
        closes: |last| {
            last.trim_start().starts_with("ovs_version:") && last_word(last).ends_with('"')
        },
        ..Ends::LINES
    },
};

/// The uuid alone on its line, then something indented that only `show` prints.
fn sniff(head: &str) -> u8 {
    const INSIDE: &[&str] = &["Manager ", "Bridge ", "ovs_version: "];
    let mut lines = bodies(head).filter(|body| !body.is_empty() && !is_log_line(body));
    let first = lines.next().unwrap_or_default();
    let second = lines.next().unwrap_or_default();
    if is_uuid(first) && INSIDE.iter().any(|inside| second.trim_start().starts_with(inside)) {
        95
    } else if first.trim_start().starts_with("Bridge ") && head.contains("Port ") {
        60
    } else if begins_port(head) {
        70
    } else {
        0
    }
}

/// Whether a part of the output begins with a port: `Port` and below it `Interface`, both with a
/// name and nothing else.
fn begins_port(head: &str) -> bool {
    let mut lines = bodies(head).filter(|body| !body.is_empty() && !is_elision(body));
    let mut thing = |kind: &str| {
        let mut words = lines.next().unwrap_or_default().split_whitespace();
        words.next() == Some(kind) && words.count() == 1
    };
    thing("Port") && (thing("Interface") || head.contains("Interface "))
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<OvsRecord>> {
    let mut out = Outcome::default();
    let mut tree =
        Tree { text, records: Vec::new(), open: Vec::new(), has_uuid: false, is_fragment: false };
    let mut logged = None;
    for body in bodies(text) {
        if is_log_line(body) {
            logged.get_or_insert(body);
        }
        if is_separator(body) {
            tree.open.retain(|open| open.kind == Kind::Database);
            tree.is_fragment = true;
            separated(&mut out);
        } else if is_elision(body) {
            tree.gap();
            elided(text, body, &mut out);
        } else if tree.is_orphan(body) {
            orphan(text, body, &mut out);
        } else {
            one_line(text, body, &mut out, &mut |line| tree.line(line));
        }
    }
    finish(text, &mut out);
    doubt_unread(&mut out);
    let verdict = if out.lines.read == 0 {
        let words = logged.unwrap_or("no output");
        Completeness::Failed(words.chars().take(200).collect())
    } else if tree.is_fragment {
        Completeness::Partial("a part of the output: what stands above was left out".to_owned())
    } else if !tree.has_uuid {
        Completeness::Partial("the line with the uuid of the database is missing".to_owned())
    } else {
        Completeness::Complete
    };
    let before = std::mem::take(&mut out.completeness);
    out.completeness = before.and(verdict);
    if let Some(filter) = call::of(command, "ovs-vsctl").and_then(|call| call.filter) {
        let partial = Completeness::Partial(format!("shows only interfaces of {filter}"));
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out.map(|()| tree.records)
}

/// The things that have a line of their own; the later ones stand inside the earlier ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Database,
    Manager,
    Bridge,
    Controller,
    Port,
    Interface,
}

impl Kind {
    /// How deep it stands.
    fn depth(self) -> u8 {
        match self {
            Self::Database => 0,
            Self::Manager | Self::Bridge => 1,
            Self::Controller | Self::Port => 2,
            Self::Interface => 3,
        }
    }

    fn table(self) -> &'static str {
        match self {
            Self::Database => "Open_vSwitch",
            Self::Manager => "Manager",
            Self::Bridge => "Bridge",
            Self::Controller => "Controller",
            Self::Port => "Port",
            Self::Interface => "Interface",
        }
    }
}

/// A record that further lines may be about.
#[derive(Clone, Copy, Debug)]
struct Open {
    kind: Kind,
    indent: usize,
    record: usize,
}

/// What was read so far.
struct Tree<'a> {
    text: &'a str,
    records: Vec<OvsRecord>,
    /// From the database to the innermost thing.
    open: Vec<Open>,
    has_uuid: bool,
    /// Something stands without what it is in.
    is_fragment: bool,
}

impl<'a> Tree<'a> {
    /// Lines were left out here: what follows is in no port above.
    fn gap(&mut self) {
        let keep = Kind::Bridge.depth();
        self.open.retain(|open| open.kind.depth() <= keep && open.kind != Kind::Manager);
    }

    /// An indented line about a thing of which there is none.
    fn is_orphan(&self, body: &str) -> bool {
        let indented = body.starts_with([' ', '\t']) && self.open.is_empty();
        self.open.iter().all(|open| open.kind == Kind::Database)
            && failed_device(body).is_none()
            && self.tagged(body).is_none()
            && header(body.trim_start()).is_err()
            && column(body.trim_start()).is_ok_and(|(_, (key, _))| {
                key != "ovs_version" && (indented || owners(key).is_some())
            })
    }

    /// The interface right below a tag, of which the port was left out: somebody looked for tags.
    fn tagged(&self, line: &str) -> Option<Token<'a>> {
        if !line.trim_start().starts_with("tag:") || self.is_in(Kind::Port) {
            return None;
        }
        let end = Span::of(self.text, line).end as usize;
        let below = bodies(self.text.get(end..)?).find(|below| !below.is_empty())?;
        let (_, (kind, token)) = header(below.trim_start()).ok()?;
        (kind == Kind::Interface).then_some(token)
    }

    fn is_in(&self, kind: Kind) -> bool {
        self.open.iter().any(|open| open.kind == kind)
    }

    fn line(&mut self, line: &'a str) -> Parsed<'a, Read<()>> {
        let (content, _) = space0(line)?;
        let indent = line.len() - content.len();
        if is_uuid(content) {
            if self
                .records
                .last()
                .is_some_and(|record| matches!(record.row, OvsRow::OpenVswitch(_)))
            {
                return refuse(line, "a bridge below the uuid of the database");
            }
            self.database(content, Some(content));
            return Ok(("", Read::Took(())));
        }
        if let Ok((rest, (kind, token))) = header(content) {
            return self.thing(kind, token, indent, content).map(|()| (rest, Read::Took(())));
        }
        if is_log_line(content) && crate::lines::tool_error(content).is_none() {
            return Ok(("", Read::Ignored));
        }
        let (rest, (key, _)) = column(content)?;
        let owner = if key == "ovs_version" {
            if self.open.first().is_none_or(|open| open.kind != Kind::Database) {
                self.database(content, None);
            }
            self.open.first()
        } else if let Some(kinds) = owners(key) {
            // Mail and tickets lose indentations: what a line is about follows from its key.
            self.open.iter().rev().find(|open| kinds.contains(&open.kind))
        } else {
            self.open.iter().rev().find(|open| open.indent < indent || open.kind == Kind::Database)
        };
        let mut owner = owner.map(|owner| owner.record);
        if owner.is_none()
            && let Some(interface) = self.tagged(content)
        {
            // A port has the name of its interface, unless it has several.
            self.is_fragment = true;
            let mut record = columns::record(Kind::Port.table(), Span::of(self.text, content));
            if let OvsRow::Port(row) = &mut record.row {
                row.name = interface.name(Place::Within(self.text));
            }
            owner = Some(self.records.len());
            self.open.push(Open { kind: Kind::Port, indent, record: self.records.len() });
            self.records.push(record);
        }
        if owner.is_none()
            && let Some(device) = failed_device(content)
        {
            // Somebody looked for errors: the message names the device.
            let mut record = columns::record(Kind::Interface.table(), Span::of(self.text, content));
            if let OvsRow::Interface(row) = &mut record.row {
                row.name = Token::bare(device).name(Place::Within(self.text));
            }
            owner = Some(self.records.len());
            self.records.push(record);
        }
        let Some(record) = owner.and_then(|owner| self.records.get_mut(owner)) else {
            return refuse(line, "a bridge or port above this line");
        };
        // A text that was cut off within its last line may have lost the end of the word.
        if key == "type" && self.text.ends_with(line) && is_part_of_a_type(rest) {
            return refuse(rest, "the type of an interface");
        }
        // What somebody wrote behind the value is none of it.
        let (value, remark) = rest.split_at_checked(value_end(rest)).unwrap_or((rest, ""));
        let cell = Cell::new(self.text, value, Style::Notation);
        match cell.fill(self.text, record, key) {
            Ok(()) => Ok((remark, Read::Took(()))),
            Err(wrong) => Err(nom::Err::Failure(Expected { at: rest, what: wrong.what })),
        }
    }

    /// Starts the row of the database.
    fn database(&mut self, line: &'a str, uuid: Option<&'a str>) {
        let at = Span::of(self.text, line);
        let mut record = columns::record(Kind::Database.table(), at);
        record.uuid = uuid.map(|uuid| Token::bare(uuid).name(Place::Within(self.text)));
        self.has_uuid |= uuid.is_some();
        self.open.clear();
        self.open.push(Open { kind: Kind::Database, indent: 0, record: self.records.len() });
        self.records.push(record);
    }

    /// Starts a manager, bridge, port, …: its place in the tree follows from what it is, since
    /// people who paste such output shift lines about.
    fn thing(
        &mut self,
        kind: Kind,
        token: Token<'a>,
        indent: usize,
        content: &'a str,
    ) -> Result<(), nom::Err<Expected<'a>>> {
        while self.open.last().is_some_and(|open| open.kind.depth() >= kind.depth()) {
            self.open.pop();
        }
        let name = token.name(Place::Within(self.text));
        let parent = self.open.last().copied();
        // What stands above may be left out where a part of the output was pasted: then it is not
        // known of which bridge a port is, or of which port an interface.
        self.is_fragment |= match kind {
            Kind::Database | Kind::Manager | Kind::Bridge => false,
            Kind::Controller | Kind::Port => parent.map(|parent| parent.kind) != Some(Kind::Bridge),
            Kind::Interface => parent.map(|parent| parent.kind) != Some(Kind::Port),
        };
        let mut record = columns::record(kind.table(), Span::of(self.text, content));
        let within = parent.and_then(|parent| self.records.get_mut(parent.record));
        let refer = name.clone().map(OvsRef::Name);
        match (&mut record.row, within.map(|within| &mut within.row)) {
            (OvsRow::Bridge(it), above) => {
                it.name = name;
                if let Some(OvsRow::OpenVswitch(database)) = above {
                    database.bridges.push(refer);
                }
            }
            (OvsRow::Port(it), above) => {
                it.name = name;
                if let Some(OvsRow::Bridge(bridge)) = above {
                    it.bridge = Some(bridge.name.clone());
                    bridge.ports.push(refer);
                }
            }
            (OvsRow::Interface(it), above) => {
                it.name = name;
                if let Some(OvsRow::Port(port)) = above {
                    it.port = Some(port.name.clone());
                    port.interfaces.push(refer);
                }
            }
            (OvsRow::Connection(it), above) => {
                it.target = name;
                if let Some(OvsRow::Bridge(bridge)) = above {
                    it.bridge = Some(bridge.name.clone());
                }
            }
            _ => {}
        }
        self.open.push(Open { kind, indent, record: self.records.len() });
        self.records.push(record);
        Ok(())
    }
}

/// Whether a word is the beginning of a type of interface, and none itself
/// (ovs-vswitchd.conf.db(5), `type`).
fn is_part_of_a_type(word: &str) -> bool {
    const TYPES: &[&str] = &[
        "bareudp",
        "dpdk",
        "dpdkvhostuser",
        "dpdkvhostuserclient",
        "erspan",
        "geneve",
        "gre",
        "gtpu",
        "internal",
        "ip6erspan",
        "ip6gre",
        "lisp",
        "patch",
        "srv6",
        "stt",
        "system",
        "tap",
        "vxlan",
    ];
    let word = word.trim();
    !TYPES.contains(&word) && TYPES.iter().any(|known| known.starts_with(word))
}

/// The device that OVS could not open or add, as `error: "could not open network device X (…)"`
/// names it.
fn failed_device(line: &str) -> Option<&str> {
    let message = line.trim().strip_prefix("error: \"could not ")?;
    let rest = message.split_once("network device ")?.1;
    rest.split([' ', '"']).next().filter(|part| !part.is_empty())
}

/// The things of which this is a column that `show` prints.
fn owners(key: &str) -> Option<&'static [Kind]> {
    Some(match key {
        "is_connected" => &[Kind::Controller, Kind::Manager],
        "fail_mode" | "datapath_type" => &[Kind::Bridge],
        "tag" | "trunks" => &[Kind::Port],
        "type" | "options" | "error" => &[Kind::Interface],
        _ => return None,
    })
}

/// `Port "name"`.
fn header(input: &str) -> Parsed<'_, (Kind, Token<'_>)> {
    let kind = alt((
        tag("Port").map(|_| Kind::Port),
        tag("Interface").map(|_| Kind::Interface),
        tag("Bridge").map(|_| Kind::Bridge),
        tag("Controller").map(|_| Kind::Controller),
        tag("Manager").map(|_| Kind::Manager),
    ));
    let (input, kind) = terminated(kind, space1).parse(input)?;
    let (rest, token) = must("a name", name).parse(input)?;
    Ok((rest, (kind, token)))
}

/// `key: value`; the rest is the value.
fn column(input: &str) -> Parsed<'_, (&str, &str)> {
    let key = take_while1(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let (rest, key) = terminated(key, tag(":")).parse(input)?;
    // A sign of East Asia in place of `: ` holds both. Nothing may follow from the absence of a key that
    // stands there.
    let (rest, _) = if owners(key).is_some() { space0(rest)? } else { space1(rest)? };
    Ok((rest, (key, rest)))
}

/// Where a value ends: behind its quotation mark or bracket, else with the word.
fn value_end(text: &str) -> usize {
    let mut depth = 0_u32;
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '{' | '[' => depth = depth.saturating_add(1),
            '}' | ']' => depth = depth.saturating_sub(1),
            c if depth == 0 && c.is_whitespace() => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::outcome::ProblemKind;
    use tapline_core::records::ovs::{OvsBridge, OvsConnection, OvsInterface, OvsPort, lookup};
    use tapline_core::span::At;

    const TEXT: &str = r#"2024-05-01T10:00:00Z|00001|daemon_unix|WARN|/run/x.pid: stale pidfile
5e0be6ad-0b12-4a8c-a6a5-0a3e1de5a1a6
    Manager "ptcp:6640:127.0.0.1"
        is_connected: true
    Bridge br-int
        Controller "tcp:127.0.0.1:6633"
            is_connected: true
        fail_mode: secure
        datapath_type: netdev
        Port "tap 1"
            tag: 7
            trunks: [10, 20]
            Interface "tap 1"
                error: "could not open network device tap 1 (No such device)"
        Port bond0
            Interface eth1
                type: system
            Interface "2eth"
                options: {a="x, \"y\"", peer=br-ex}
                bfd_status: {diagnostic="No Diagnostic", state=up}
                statistics: {rx=1}
    ovs_version: "2.5.10"
"#;

    fn reads(text: &str) -> Outcome<Vec<OvsRecord>> {
        parse(text, &Command::new("ovs-vsctl show"))
    }

    fn quote<T>(text: &str, at: &At<T>) -> String {
        text.get(at.span.range()).unwrap().to_owned()
    }

    #[test]
    fn things_nest_by_name() {
        let out = reads(TEXT);
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        let lines = (out.lines.total, out.lines.read, out.lines.ignored, out.lines.unread);
        assert_eq!(lines, (22, 21, 1, 0));
        let [db, manager, bridge, controller, tap, tap_if, bond, eth1, eth2] =
            out.records.as_slice()
        else {
            panic!("{:#?}", out.records)
        };
        assert_eq!(db.uuid.as_ref().unwrap().as_str(), "5e0be6ad-0b12-4a8c-a6a5-0a3e1de5a1a6");
        let OvsRow::OpenVswitch(row) = &db.row else { panic!() };
        assert_eq!(row.version.as_ref().unwrap().as_str(), "2.5.10");
        assert_eq!(row.bridges.len(), 1);
        let connections = [(manager, true, None), (controller, false, Some("br-int"))];
        for (record, is_manager, bridge) in connections {
            let OvsRow::Connection(OvsConnection { manager, bridge: at, is_connected, .. }) =
                &record.row
            else {
                panic!()
            };
            assert_eq!((*manager, at.as_ref().map(|at| at.as_str())), (is_manager, bridge));
            assert!(is_connected.unwrap().value);
        }
        let OvsRow::Bridge(OvsBridge { ports, fail_mode, .. }) = &bridge.row else { panic!() };
        assert_eq!(
            ports.iter().map(|port| port.value.clone()).collect::<Vec<_>>(),
            [OvsRef::Name("tap 1".into()), OvsRef::Name("bond0".into())]
        );
        assert_eq!(fail_mode.as_ref().unwrap().as_str(), "secure");
        let OvsRow::Port(OvsPort { tag, trunks, bridge, .. }) = &tap.row else { panic!() };
        assert_eq!((tag.unwrap().value, trunks.len()), (7, 2));
        assert_eq!(bridge.as_ref().unwrap().as_str(), "br-int");
        assert_eq!(TEXT.get(tap.at.range()).unwrap(), "Port \"tap 1\"");
        let OvsRow::Interface(it) = &tap_if.row else { panic!() };
        let error = it.error.as_ref().unwrap();
        assert_eq!(quote(TEXT, error), "could not open network device tap 1 (No such device)");
        let OvsRow::Port(it) = &bond.row else { panic!() };
        assert_eq!(it.interfaces.len(), 2);
        let OvsRow::Interface(it) = &eth1.row else { panic!() };
        assert_eq!(it.kind.as_ref().unwrap().as_str(), "system");
        let OvsRow::Interface(it) = &eth2.row else { panic!() };
        let OvsInterface { name, port, options, bfd_status, .. } = &**it;
        assert_eq!((name.as_str(), port.as_ref().unwrap().as_str()), ("2eth", "bond0"));
        assert_eq!(lookup(options, "a").unwrap().as_str(), "x, \"y\"");
        assert_eq!(lookup(bfd_status, "diagnostic").unwrap().as_str(), "No Diagnostic");
        assert_eq!(eth2.columns[0].value.as_str(), "{rx=1}");
    }

    #[test]
    fn a_version_may_be_missing_but_not_the_uuid() {
        let uuid = "5e0be6ad-0b12-4a8c-a6a5-0a3e1de5a1a6\n";
        assert!(reads(uuid).completeness.is_complete());
        let shifted = "Bridge br0\n     Port p0\n         Interface p0\n ovs_version: \"3.3.0\"\n";
        let out = reads(shifted);
        assert_eq!((out.lines.unread, out.records.len()), (0, 4));
        assert!(matches!(out.completeness, Completeness::Partial(_)));
        let OvsRow::Bridge(bridge) = &out.records[0].row else { panic!() };
        assert_eq!(bridge.ports.len(), 1);
        assert!(out.records[0].columns.is_empty());
    }

    #[test]
    fn parts_of_the_output_are_read_and_prove_no_absence() {
        for (text, tag, error) in [
            ("        Port qvo1\n            tag: 4095\n            Interface qvo1\n", true, false),
            ("    ...\n        Port qvo1\n            tag: 4095\n    ...\n", true, false),
            ("        Port \"qvo1\"\n            tag: 4095\n--\n        Port x\n", true, false),
            (
                "                error: \"could not open network device qvo1 (No such device)\"\n",
                false,
                true,
            ),
        ] {
            let out = reads(text);
            assert!(matches!(out.completeness, Completeness::Partial(_)), "{text}{out:?}");
            let tagged = out.records.iter().any(|record| {
                matches!(&record.row, OvsRow::Port(port) if port.name.as_str() == "qvo1"
                    && port.bridge.is_none()
                    && port.tag.as_ref().is_some_and(|tag| tag.value == 4095))
            });
            let failed = out.records.iter().any(|record| {
                matches!(&record.row, OvsRow::Interface(interface)
                    if interface.name.as_str() == "qvo1" && interface.error.is_some())
            });
            assert_eq!((tagged, failed), (tag, error), "{text}{out:?}");
        }
    }

    #[test]
    fn a_tag_above_an_interface_is_of_its_port() {
        let out =
            reads("            tag: 4095\n            Interface tap9\n--\n            tag: 3\n");
        let ports: Vec<_> = out
            .records
            .iter()
            .filter_map(|record| match &record.row {
                OvsRow::Port(port) => {
                    let name = port.name.to_string();
                    Some((name, port.tag.is_some()))
                }
                _ => None,
            })
            .collect();
        assert_eq!(ports, [("tap9".to_owned(), true)]);
        assert_eq!(out.lines.unread, 1);
        assert!(!out.completeness.is_complete());
    }

    #[test]
    fn a_tree_without_indentation_is_put_together_by_its_keys() {
        let whole = "5e0be6ad-0b12-4a8c-a6a5-0a3e1de5a1a6\n    Manager \"ptcp:6640\"\n        \
                     is_connected: true\n    Bridge br-int\n        Controller \"tcp:127.0.0.1\"\n            \
                     is_connected: true\n        fail_mode: secure\n        Port a\n            tag: 7\n            \
                     Interface a\n                type: internal\n                error: \"x\"\n    \
                     ovs_version: \"2.17.9\"\n";
        let rows = |out: &Outcome<Vec<OvsRecord>>| -> Vec<String> {
            let plain = |it: &OvsRecord| format!("{:?}", it.row);
            let places = |text: String| {
                let mut out = String::new();
                let mut rest = text.as_str();
                while let Some((before, after)) = rest.split_once("span: ") {
                    out.push_str(before);
                    rest = after
                        .trim_start_matches(|after: char| after.is_ascii_digit() || after == '.');
                }
                out + rest
            };
            out.records.iter().map(plain).map(places).collect()
        };
        let expected = reads(whole);
        assert!(expected.completeness.is_complete(), "{expected:?}");
        for blanks in ["", " ", "\t"] {
            let mut flat = String::new();
            for line in whole.lines() {
                let inner = line.trim_start();
                let lost = if inner.len() < line.len() { blanks } else { "" };
                flat.extend([lost, inner, "\n"]);
            }
            let out = reads(&flat);
            assert_eq!(rows(&out), rows(&expected), "{flat}");
            assert!(out.completeness.is_complete());
        }
    }

    #[test]
    fn what_cannot_be_is_a_problem() {
        let uuid = "5e0be6ad-0b12-4a8c-a6a5-0a3e1de5a1a6\n";
        for (line, kind) in [
            ("    Bridge br0 br1", ProblemKind::TrailingText),
            ("    Bridge \"br0", ProblemKind::UnreadLine),
            ("    Bridge b\n        Port p\n            tag: 5000", ProblemKind::UnreadLine),
            ("    Bridge b\n        Port p\n            tag: 5 # note", ProblemKind::TrailingText),
            ("    Bridge b\n        Port p\n            trunks: [1, 2", ProblemKind::UnreadLine),
            ("    some prose", ProblemKind::UnreadLine),
        ] {
            let out = reads(&format!("{uuid}{line}\n"));
            assert_eq!(out.problems.first().map(|problem| problem.kind), Some(kind), "{line}");
            assert_eq!(out.lines.unread, 1, "{line}");
            assert!(matches!(out.completeness, Completeness::Partial(_)), "{line}");
        }
        let out = reads("        type: internal\n");
        assert_eq!(out.problems[0].kind, ProblemKind::OrphanLine);
        assert!(out.completeness.is_failed());
    }

    #[test]
    fn errors_and_silence_are_failures() {
        let failed = "ovs-vsctl: unix:/run/db.sock: database connection failed (No such file)\n";
        let alarm = "2024-05-01T10:00:05Z|00002|fatal_signal|WARN|terminating with signal 14 \
                     (Alarm clock)\n";
        for text in [failed, alarm, "", "\n"] {
            assert!(reads(text).completeness.is_failed(), "{text:?}");
        }
    }
}
