//! `lldpctl`, `lldpcli show neighbors`: the switch port at the other end of each cable.
//!
//! Source of the format: lldpd `src/client/display.c`, `src/client/text_writer.c`; 0.7 to 1.0.
//!
//! ```text
//! -------------------------------------------------------------------------------
//! LLDP neighbors:
//! -------------------------------------------------------------------------------
//! Interface:    eno1, via: LLDP, RID: 1, Time: 0 day, 00:12:33
//!   Chassis:
//!     ChassisID:    mac 52:54:00:00:00:01
//!     SysName:      leaf7
//!   Port:
//!     PortID:       ifname Ethernet1/7
//!     MFS:          9236
//!   VLAN:         10, pvid: yes servers
//! ```
mod json;

use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::lldp::LldpNeighbour;
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format};
use crate::keyed::at;
use crate::lines::{Read, bodies, finish, never_empty, one_line};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("lldpctl"),
    command: "lldpctl",
    collect: &[],
    claims: |command| {
        let devices = asked(command)?;
        Some(Request::filtered(&[], !devices.is_empty()).about(devices.first().map(String::as_str)))
    },
    sniff: |head| {
        let heading = || bodies(head).take(4).any(|line| line.starts_with("LLDP neighbors:"));
        let is_document = json::is_json(head)
            && head.chars().filter(|c| !c.is_whitespace()).take(8).eq("{\"lldp\":".chars());
        if is_document || heading() { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// The devices that were asked for; `None` for another command or another form.
fn asked(command: &Command) -> Option<&[String]> {
    let mut args = command.args();
    loop {
        args = match args {
            [option, form, rest @ ..] if option == "-f" && is_read(form) => rest,
            [option, rest @ ..] if option.strip_prefix("--format=").is_some_and(is_read) => rest,
            _ => break,
        };
    }
    match (command.program(), args) {
        ("lldpctl", devices) if devices.iter().all(|device| !device.starts_with('-')) => {
            Some(devices)
        }
        ("lldpcli", [show, what, ..]) if show == "show" && what.starts_with("neigh") => Some(&[]),
        _ => None,
    }
}

/// Whether this form of output is read; `keyvalue` and `xml` are not.
fn is_read(form: &str) -> bool {
    matches!(form, "plain" | "json" | "json0")
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<LldpNeighbour>> {
    let mut out = Outcome::default();
    let mut all: Vec<LldpNeighbour> = Vec::new();
    let mut section = Name::default();
    if json::is_json(text) {
        all = json::read(text, &mut out);
    } else {
        for body in bodies(text) {
            one_line(text, body, &mut out, &mut |line| read(text, line, &mut all, &mut section));
        }
    }
    let mut out = out.map(|()| all);
    finish(text, &mut out);
    never_empty(&mut out, "a heading");
    if asked(command).is_some_and(|asked| !asked.is_empty()) {
        let partial =
            Completeness::Partial("shows only the devices that were asked for".to_owned());
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

/// A neighbour of which nothing is known yet.
fn neighbour(at: Span, dev: At<Name>) -> LldpNeighbour {
    LldpNeighbour {
        at,
        dev,
        protocol: None,
        chassis: None,
        system: None,
        port: None,
        port_description: None,
        mtu: None,
        vlans: Vec::new(),
        pvid: None,
        other: Vec::new(),
    }
}

fn read<'a>(
    text: &str,
    line: &'a str,
    all: &mut Vec<LldpNeighbour>,
    section: &mut Name,
) -> Parsed<'a, Read<()>> {
    let rule = line.len() > 3 && line.bytes().all(|it| it == b'-');
    if rule || line == "LLDP neighbors:" {
        return Ok(("", Read::Ignored));
    }
    let indented = line.starts_with([' ', '\t']);
    let Some((key, value)) = line.trim_start().split_once(':') else {
        // A description goes on on further lines.
        return match all.last() {
            Some(_) if indented => Ok(("", Read::Ignored)),
            _ => refuse(line, "`key: value`"),
        };
    };
    let value = value.trim();
    if !indented {
        if key != "Interface" {
            return refuse(line, "`Interface:`");
        }
        let mut parts = value.split(',').map(str::trim);
        let dev = parts.next().unwrap_or_default();
        let via = parts.find_map(|part| part.strip_prefix("via: "));
        let mut found = neighbour(Span::of(text, line), at(text, dev));
        found.protocol = via.map(Name::from);
        all.push(found);
        *section = Name::default();
        return Ok(("", Read::Took(())));
    }
    let Some(found) = all.last_mut() else { return refuse(line, "`Interface:` above this line") };
    if value.is_empty() && !key.starts_with(' ') {
        *section = key.into();
        return Ok(("", Read::Took(())));
    }
    let shown = Some(at(text, value));
    match key {
        "ChassisID" => found.chassis = shown,
        "SysName" => found.system = shown,
        "PortID" => found.port = shown,
        "PortDescr" => found.port_description = shown,
        "MFS" => match value.parse() {
            Ok(mtu) => found.mtu = Some(At::new(mtu, Span::of(text, value))),
            Err(_) => return refuse(value, "the size of a frame"),
        },
        "VLAN" => {
            let digits = value.split([',', ' ']).next().unwrap_or_default();
            let Ok(id) = digits.parse::<u16>() else {
                return refuse(value, "the number of a VLAN");
            };
            let id = At::new(id, Span::of(text, digits));
            if value.contains("pvid: yes") {
                found.pvid = Some(id);
            }
            found.vlans.push(id);
        }
        _ => {
            let key =
                if section.is_empty() { key.into() } else { format!("{section}/{key}").into() };
            found.other.push(Field { key, value: at(text, value) });
        }
    }
    Ok(("", Read::Took(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
-------------------------------------------------------------------------------
LLDP neighbors:
-------------------------------------------------------------------------------
Interface:    eno1, via: LLDP, RID: 1, Time: 0 day, 00:12:33
  Chassis:
    ChassisID:    mac 52:54:00:00:00:01
    SysName:      leaf7
    SysDescr:     A switch
                  of two lines
    MgmtIP:       192.0.2.1
    Capability:   Bridge, on
  Port:
    PortID:       ifname Ethernet1/7
    PortDescr:    to node 3
    TTL:          120
    MFS:          9236
  VLAN:         10, pvid: yes servers
  VLAN:         20, pvid: no storage
-------------------------------------------------------------------------------
Interface:    eno2, via: LLDP, RID: 2, Time: 0 day, 00:12:30
  Chassis:
    ChassisID:    mac 52:54:00:00:00:02
-------------------------------------------------------------------------------
";

    #[test]
    fn each_device_has_its_neighbour() {
        let out = parse(TEXT, &Command::new("lldpctl"));
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        let [first, second] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!(first.dev.as_str(), "eno1");
        assert_eq!(first.system.as_ref().unwrap().as_str(), "leaf7");
        assert_eq!(first.port.as_ref().unwrap().as_str(), "ifname Ethernet1/7");
        assert_eq!(first.mtu.as_ref().unwrap().value, 9236);
        assert_eq!(first.pvid.as_ref().unwrap().value, 10);
        assert_eq!(first.vlans.len(), 2);
        assert_eq!(Field::find(&first.other, "Chassis/MgmtIP").unwrap().as_str(), "192.0.2.1");
        assert_eq!(second.chassis.as_ref().unwrap().as_str(), "mac 52:54:00:00:00:02");
    }

    #[test]
    fn foreign_lines_and_silence() {
        for text in ["hello\n", "Interface\n", "  Chassis:\n"] {
            let out = parse(text, &Command::new("lldpctl"));
            assert_eq!((out.records.len(), out.lines.unread), (0, 1), "{text}");
        }
        assert!(parse("", &Command::new("lldpctl")).completeness.is_failed());
        assert!(!parse(TEXT, &Command::new("lldpctl eno1")).completeness.is_complete());
        assert!(!FORMAT.reads(&Command::new("lldpctl -f keyvalue")));
        assert!(FORMAT.reads(&Command::new("lldpcli show neighbors details")));
    }
}
