//! `ovn-nbctl show`: logical switches and routers with their ports.
//!
//! Source of the format: OVN `utilities/ovn-nbctl.c` (`print_ls`, `print_lr`); OVN 2.6 to 24.x.
//!
//! ```text
//! switch 7fd2fe36-74b6-41a4-9005-d521d2a9a0fd (neutron-3f9bc3b1-…) (aka demo-network)
//!     port d8174cec-c5ae-4bd0-abb4-9420c3b87e76 (aka web-1)
//!         addresses: ["fa:16:3e:00:00:01 192.0.2.83"]
//!     port ae7b9a8e-48e8-4c3a-9ef0-710ccba00776
//!         type: router
//!         router-port: lrp-ae7b9a8e-48e8-4c3a-9ef0-710ccba00776
//! router 1a6ddfff-8a1e-45a6-bdf8-6f13e7c5d8f9 (neutron-5c300bae-…) (aka demo-router)
//!     port lrp-56a18b9e-07d4-4249-b28b-b6446961a587
//!         mac: "fa:16:3e:00:00:02"
//!         networks: ["198.51.100.239/24"]
//!         gateway chassis: [node-1 node-2]
//!     nat cf7cfd04-ebfa-4407-b14e-1d43f999e233
//!         external ip: "198.51.100.239"
//!         logical ip: "192.0.2.0/24"
//!         type: "snat"
//! ```
//!
//! Strings stand in quotes without escapes, or bare. What is not set is not printed, nor is an
//! address that is only `router`. An empty database prints nothing at all.
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::ovs::{OvsColumn, OvsRecord, OvsRef, OvsRow};
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::lines::{Read, bodies, finish, one_line, orphan, tool_error};
use crate::nomx::{Parsed, refuse};
use crate::ovsdb::notation::is_uuid;
use crate::ovsdb::{call, columns, doubt_unread, is_log_line};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ovn-nbctl-show"),
    command: "ovn-nbctl show",
    collect: &[Per::Central.run("ovn-nbctl -t 10 --no-leader-only show")],
    claims: |command| {
        let is = call::of(command, "ovn-nbctl").is_some_and(|call| call.verb == "show");
        is.then(|| Request::whole(&[Topic::OvnNorth]))
    },
    sniff: |head| {
        let mut lines = bodies(head).filter(|body| !body.is_empty() && !is_log_line(body));
        if lines.next().is_some_and(|line| heading(line).is_some()) { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<OvsRecord>> {
    let mut out = Outcome::default();
    let mut tree = Tree { text, records: Vec::new(), parent: None, inner: false };
    for body in bodies(text) {
        let inside = body.starts_with([' ', '\t']);
        if inside && tree.parent.is_none() && heading(body.trim_start()).is_none() {
            orphan(text, body, &mut out);
            continue;
        }
        let before = tree.records.len();
        one_line(text, body, &mut out, &mut |line| tree.line(line));
        if !inside && !body.is_empty() && tree.records.len() == before && !is_log_line(body) {
            // Nothing says what the lines below are about.
            tree.parent = None;
        }
    }
    finish(text, &mut out);
    doubt_unread(&mut out);
    let asked = call::of(command, "ovn-nbctl").unwrap_or_default();
    let doubt = if out.lines.read == 0 {
        Some("no switch and no router: the database is empty, or it was not asked")
    } else if asked.operands.is_empty() {
        None
    } else {
        Some("only the switch or router that was asked for")
    };
    if let Some(words) = doubt {
        let before = std::mem::take(&mut out.completeness);
        out.completeness = before.and(Completeness::Partial(words.to_owned()));
    }
    out.map(|()| tree.records)
}

/// What was read so far.
struct Tree<'a> {
    text: &'a str,
    records: Vec<OvsRecord>,
    /// The switch or router that further lines are about.
    parent: Option<usize>,
    /// Whether a port or a translation of it has begun that the next lines are about.
    inner: bool,
}

impl<'a> Tree<'a> {
    fn line(&mut self, line: &'a str) -> Parsed<'a, Read<()>> {
        if is_log_line(line) && tool_error(line).is_none() {
            return Ok(("", Read::Ignored));
        }
        let content = line.trim_start();
        if let Some((table, uuid, name, alias)) = heading(content) {
            self.start(table, uuid, name, alias, content);
            return Ok(("", Read::Took(())));
        }
        if let Some(rest) = content.strip_prefix("port ") {
            self.inner = false;
            return match self.port(rest.trim_start(), content) {
                Some(()) => Ok(("", Read::Took(()))),
                None => refuse(line, "a switch or router above this line"),
            };
        }
        if let Some(uuid) = content.strip_prefix("nat ").map(str::trim) {
            self.inner = false;
            return match is_uuid(uuid).then(|| self.nat(uuid, content)).flatten() {
                Some(()) => Ok(("", Read::Took(()))),
                None => refuse(line, "the uuid of a translation, and a router above this line"),
            };
        }
        let Some((key, value)) = content.split_once(": ").filter(|(key, _)| is_key(key)) else {
            return refuse(line, "a switch, a router, a port, or `key: value` about one");
        };
        if !self.inner {
            return refuse(line, "a port above this line");
        }
        match self.set(key, value.trim()) {
            Some(()) => Ok(("", Read::Took(()))),
            None => refuse(value, "a value as ovn-nbctl prints it"),
        }
    }

    fn at(&self, part: &str) -> At<Name> {
        At::new(part.into(), Span::of(self.text, part))
    }

    fn start(&mut self, table: &str, uuid: &str, name: &str, alias: Option<&str>, line: &str) {
        let mut record = columns::record(table, Span::of(self.text, line));
        record.uuid = Some(self.at(uuid));
        let (name, alias) = (self.at(name), alias.map(|alias| self.at(alias)));
        match &mut record.row {
            OvsRow::Switch(it) => (it.name, it.alias) = (name, alias),
            OvsRow::Router(it) => (it.name, it.alias) = (name, alias),
            _ => {}
        }
        self.parent = Some(self.records.len());
        self.inner = false;
        self.records.push(record);
    }

    /// A port of the switch or router above.
    fn port(&mut self, shown: &str, line: &str) -> Option<()> {
        let (name, alias) = match shown.split_once(" (aka ") {
            Some((name, alias)) => (name, Some(self.at(alias.strip_suffix(')')?))),
            None => (shown, None),
        };
        let name = self.at(name);
        let at = Span::of(self.text, line);
        let parent = self.parent.and_then(|parent| self.records.get_mut(parent))?;
        let above = parent.uuid.clone().map(|uuid| uuid.map(OvsRef::Uuid));
        let mut record = match &mut parent.row {
            OvsRow::Switch(it) => {
                it.ports.push(name.clone().map(OvsRef::Name));
                columns::record("Logical_Switch_Port", at)
            }
            OvsRow::Router(it) => {
                it.ports.push(name.clone().map(OvsRef::Name));
                columns::record("Logical_Router_Port", at)
            }
            _ => return None,
        };
        match &mut record.row {
            OvsRow::SwitchPort(it) => (it.name, it.alias, it.switch) = (name, alias, above),
            OvsRow::RouterPort(it) => (it.name, it.router) = (name, above),
            _ => {}
        }
        self.inner = true;
        self.records.push(record);
        Some(())
    }

    /// A translation of the router above.
    fn nat(&mut self, uuid: &str, line: &str) -> Option<()> {
        let parent = self.parent.and_then(|parent| self.records.get(parent))?;
        let above = parent.uuid.clone().map(|uuid| uuid.map(OvsRef::Uuid));
        if !matches!(parent.row, OvsRow::Router(_)) {
            return None;
        }
        let mut record = columns::record("NAT", Span::of(self.text, line));
        record.uuid = Some(self.at(uuid));
        if let OvsRow::Nat(it) = &mut record.row {
            it.router = above;
        }
        self.inner = true;
        self.records.push(record);
        Some(())
    }

    /// A line about the last port or translation.
    fn set(&mut self, key: &'a str, value: &'a str) -> Option<()> {
        let text = self.text;
        let one = |it: &'a str| Some(At::new(Name::from(unquoted(it)?), span(text, unquoted(it)?)));
        let record = self.records.last_mut()?;
        match (&mut record.row, key) {
            (OvsRow::SwitchPort(it), "type") => it.kind = one(value),
            (OvsRow::SwitchPort(it), "parent") => it.parent = one(value),
            (OvsRow::SwitchPort(it), "tag") => {
                let tag = value.parse().ok().filter(|parsed| *parsed < 4096)?;
                it.tag = Some(At::new(tag, span(text, value)));
            }
            (OvsRow::SwitchPort(it), "addresses") => it.addresses = quoted_list(text, value)?,
            (OvsRow::SwitchPort(it), "router-port") => it.options.push((key.into(), one(value)?)),
            (OvsRow::RouterPort(it), "mac") => it.mac = one(value),
            (OvsRow::RouterPort(it), "networks") => it.networks = quoted_list(text, value)?,
            (OvsRow::RouterPort(it), "gateway chassis") => {
                let names = value.strip_prefix('[')?.strip_suffix(']')?.split_whitespace();
                it.gateway_chassis = names
                    .map(|name| At::new(OvsRef::Name(name.into()), span(text, name)))
                    .collect();
            }
            (OvsRow::Nat(it), "type") => it.kind = one(value),
            (OvsRow::Nat(it), "external ip") => it.external_ip = one(value),
            (OvsRow::Nat(it), "logical ip") => it.logical_ip = one(value),
            _ => {
                let value = At::new(Name::from(value), span(text, value));
                record.columns.push(OvsColumn { name: key.into(), value });
            }
        }
        unquoted(value).map(|_| ())
    }
}

fn span(text: &str, part: &str) -> Span {
    Span::of(text, part)
}

/// `switch UUID (name) (aka name)`: table, uuid, name, alias.
fn heading(line: &str) -> Option<(&'static str, &str, &str, Option<&str>)> {
    let (word, rest) = line.split_once(' ')?;
    let table = match word {
        "switch" => "Logical_Switch",
        "router" => "Logical_Router",
        _ => return None,
    };
    let (uuid, rest) = rest.split_once(' ')?;
    let names = rest.trim().strip_prefix('(')?.strip_suffix(')')?;
    let (name, alias) = match names.split_once(") (aka ") {
        Some((name, alias)) => (name, Some(alias)),
        None => (names, None),
    };
    is_uuid(uuid).then_some((table, uuid, name, alias))
}

/// `router-port`, `external port(s)`.
fn is_key(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.len() < 40
        && text.bytes().all(|it| {
            it.is_ascii_lowercase()
                || it.is_ascii_digit()
                || matches!(it, b' ' | b'-' | b'_' | b'(' | b')')
        })
}

/// The inner of quotes, or a bare value; `None` where a quote is not closed.
fn unquoted(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"'),
        None => Some(value),
    }
}

/// `["a", "b"]`.
fn quoted_list(text: &str, value: &str) -> Option<Vec<At<Name>>> {
    let mut rest = value.strip_prefix('[')?.strip_suffix(']')?;
    let mut all = Vec::new();
    while let Some(inner) = rest.strip_prefix('"') {
        let (item, after) = inner.split_once('"')?;
        all.push(At::new(item.into(), span(text, item)));
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None => after,
        };
    }
    rest.is_empty().then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::records::ovs::lookup;

    const TEXT: &str = r#"switch 11111111-2222-4333-8444-555555555555 (neutron-a) (aka the net (new))
    port web (aka web 1)
        addresses: ["fa:16:3e:00:00:01 192.0.2.7", "unknown"]
    port inner
        parent: web
        tag: 7
        addresses: ["dynamic"]
    port up
        type: router
        router-port: lrp-up
switch 21111111-2222-4333-8444-555555555555 ()
router 31111111-2222-4333-8444-555555555555 (r1)
    port lrp-up
        mac: "fa:16:3e:00:00:02"
        ipv6-lla: "fe80::1"
        networks: ["192.0.2.1/24", "2001:db8::1/64"]
        gateway chassis: [node-1 node-2]
    nat 41111111-2222-4333-8444-555555555555
        external ip: "198.51.100.7"
        external port(s): "80-90"
        logical ip: "192.0.2.0/24"
        type: "snat"
"#;

    fn reads(text: &str) -> Outcome<Vec<OvsRecord>> {
        parse(text, &Command::new("ovn-nbctl --no-leader-only show"))
    }

    #[test]
    fn switches_and_routers_have_ports() {
        let out = reads(TEXT);
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        assert_eq!((out.lines.total, out.lines.read), (22, 22));
        let [net, web, inner, up, empty, router, gateway, nat] = out.records.as_slice() else {
            panic!("{out:#?}")
        };
        let OvsRow::Switch(it) = &net.row else { panic!("{net:?}") };
        assert_eq!((it.name.as_str(), it.ports.len()), ("neutron-a", 3));
        assert_eq!(it.alias.as_ref().unwrap().as_str(), "the net (new)");
        let OvsRow::SwitchPort(it) = &web.row else { panic!("{web:?}") };
        assert_eq!((it.name.as_str(), it.alias.as_ref().unwrap().as_str()), ("web", "web 1"));
        assert_eq!(it.addresses.len(), 2);
        assert_eq!(it.addresses[0].as_str(), "fa:16:3e:00:00:01 192.0.2.7");
        let switch = OvsRef::Uuid("11111111-2222-4333-8444-555555555555".into());
        assert_eq!(it.switch.as_ref().unwrap().value, switch);
        let OvsRow::SwitchPort(it) = &inner.row else { panic!("{inner:?}") };
        assert_eq!((it.tag.unwrap().value, it.parent.as_ref().unwrap().as_str()), (7, "web"));
        let OvsRow::SwitchPort(it) = &up.row else { panic!("{up:?}") };
        assert_eq!(lookup(&it.options, "router-port").unwrap().as_str(), "lrp-up");
        let OvsRow::Switch(it) = &empty.row else { panic!("{empty:?}") };
        assert_eq!(it.name.as_str(), "");
        let OvsRow::Router(it) = &router.row else { panic!("{router:?}") };
        assert_eq!((it.name.as_str(), it.ports.len()), ("r1", 1));
        let OvsRow::RouterPort(it) = &gateway.row else { panic!("{gateway:?}") };
        assert_eq!((it.networks.len(), it.gateway_chassis.len()), (2, 2));
        let chassis = &it.gateway_chassis[1];
        assert_eq!(TEXT.get(chassis.span.range()), Some("node-2"));
        assert_eq!(gateway.columns.len(), 1);
        let OvsRow::Nat(it) = &nat.row else { panic!("{nat:?}") };
        assert_eq!(it.kind.as_ref().unwrap().as_str(), "snat");
        assert_eq!(it.logical_ip.as_ref().unwrap().as_str(), "192.0.2.0/24");
        assert_eq!(nat.columns[0].name, "external port(s)");
    }

    #[test]
    fn what_is_no_line_of_it_is_a_problem() {
        let switch = "switch 11111111-2222-4333-8444-555555555555 (a)\n";
        for (text, unread) in [
            ("    port a\n".to_owned(), 1),
            (format!("{switch}    type: router\n"), 1),
            (format!("{switch}    port a\n        addresses: [\"x\"\n"), 1),
            (format!("{switch}    port a\n        tag: many\n"), 1),
            (format!("{switch}    nat 41111111-2222-4333-8444-555555555555\n"), 1),
            (format!("{switch}    port a\n    nat b\n        type: \"snat\"\n"), 2),
            (format!("# ovn-nbctl show\n{switch}"), 1),
            (format!("{switch}switch 1 (b)\n    port c\n"), 2),
            (format!("{switch}[...]\n    port c\n"), 2),
        ] {
            let out = reads(&text);
            assert_eq!((out.lines.unread, out.problems.len()), (unread, unread as usize), "{text}");
            assert!(!out.completeness.is_complete(), "{text}");
        }
    }

    #[test]
    fn a_part_is_not_all() {
        let text = "switch 11111111-2222-4333-8444-555555555555 (a)\n";
        assert!(reads(text).completeness.is_complete());
        let one = parse(text, &Command::new("ovn-nbctl show a"));
        assert!(matches!(one.completeness, Completeness::Partial(_)));
        assert!(matches!(reads("").completeness, Completeness::Partial(_)));
        let log = "2024-05-01T10:00:00Z|00001|stream_ssl|ERR|no key\n\
                   ovn-nbctl: : database connection failed (Address family not supported)\n";
        assert!(reads(log).completeness.is_failed());
    }
}
