//! `/proc/net/bonding/*`.
//!
//! Source of the format: Linux `drivers/net/bonding/bond_procfs.c`; 2.6 to 6.x.
//!
//! ```text
//! Ethernet Channel Bonding Driver: v5.15.0
//!
//! Bonding Mode: fault-tolerance (active-backup)
//! Currently Active Slave: eth0
//! MII Status: up
//!
//! Slave Interface: eth0
//! MII Status: up
//! Link Failure Count: 0
//! Permanent HW addr: 02:00:00:00:00:01
//! details actor lacp pdu:
//!     port key: 9
//! ```
//!
//! A line that ends with a colon may head indented lines: their keys are kept as
//! `details actor lacp pdu/port key`.
use nom::Parser as _;
use nom::bytes::complete::{tag, take_until1};
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::ids::Mac;
use tapline_core::outcome::Outcome;
use tapline_core::records::bond::{Bond, BondSlave};
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::{Read, bodies, finish, one_line};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("proc-net-bonding"),
    command: "cat /proc/net/bonding/*",
    collect: &[Per::File.run("/proc/net/bonding/*")],
    claims,
    sniff: |head| if head.trim_start().starts_with(DRIVER) { 95 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

const DRIVER: &str = "Ethernet Channel Bonding Driver:";

/// Reads one file, or several behind one another.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<Bond>> {
    let mut out: Outcome<Vec<Bond>> = Outcome::default();
    let mut section = Name::default();
    for body in bodies(text) {
        let starts = body.starts_with(DRIVER)
            || (body.starts_with("Bonding Mode:")
                && out.records.last().is_none_or(|record| record.mode.is_some()));
        if starts {
            out.records.push(empty(Span::of(text, body)));
            section = Name::default();
        }
        let Some(mut bond) = out.records.pop() else {
            one_line(text, body, &mut out, &mut no_bond);
            continue;
        };
        one_line(text, body, &mut out, &mut |line| read(text, line, &mut bond, &mut section));
        out.records.push(bond);
    }
    finish(text, &mut out);
    if text.trim().is_empty() {
        out.completeness = Completeness::Failed("the file is empty".to_owned());
    }
    out
}

/// A line with no bond above it.
fn no_bond(line: &str) -> Parsed<'_, Read<()>> {
    refuse(line, "the line of the bonding driver above all others")
}

/// Reads a line into the bond, or into its last slave.
fn read<'a>(
    text: &str,
    line: &'a str,
    bond: &mut Bond,
    section: &mut Name,
) -> Parsed<'a, Read<()>> {
    let took = Ok(("", Read::Took(())));
    if line == "802.3ad info" {
        return Ok(("", Read::Ignored));
    }
    if line.ends_with("has no active aggregator") && line.starts_with("bond ") {
        bond.other.push(Field { key: "Active Aggregator Info".into(), value: at(text, line) });
        return took;
    }
    let indented = line.starts_with([' ', '\t']);
    let (_, (key, value)) = pair(line.trim_start())?;
    if indented {
        if section.is_empty() {
            return refuse(line, "a line above that heads indented ones");
        }
        let key = format!("{section}/{key}");
        other(bond).push(Field { key: key.into(), value: at(text, value) });
        return took;
    }
    *section = if value.is_empty() { key.into() } else { Name::default() };
    if key == "Slave Interface" {
        if value.is_empty() {
            return refuse(line, "a device");
        }
        bond.slaves.push(slave(Span::of(text, line), at(text, value)));
        return took;
    }
    let Some(slave) = bond.slaves.last_mut() else {
        match key {
            "Bonding Mode" => bond.mode = Some(at(text, value)),
            "MII Status" => {
                let (state, rest) = status(value)?;
                bond.mii_status = Some(at(text, state));
                return Ok((rest, Read::Took(())));
            }
            "Currently Active Slave" => bond.active_slave = Some(at(text, value)),
            _ => bond.other.push(Field { key: key.into(), value: at(text, value) }),
        }
        return took;
    };
    match key {
        "MII Status" => {
            let (state, rest) = status(value)?;
            slave.mii_status = Some(at(text, state));
            return Ok((rest, Read::Took(())));
        }
        "Speed" => slave.speed = Some(value.into()),
        "Duplex" => slave.duplex = Some(value.into()),
        "Aggregator ID" => slave.aggregator = Some(at(text, value)),
        "Link Failure Count" => match value.parse() {
            Ok(count) => slave.link_failures = Some(At::new(count, Span::of(text, value))),
            Err(_) => return refuse(value, "a number of link failures"),
        },
        // Some drivers have none.
        "Permanent HW addr" if value.is_empty() => {}
        "Permanent HW addr" => match value.parse::<Mac>() {
            Ok(mac) => slave.permanent_mac = Some(At::new(mac, Span::of(text, value))),
            // InfiniBand has twenty octets.
            Err(_) if value.split(':').count() == 20 => {
                slave.other.push(Field { key: key.into(), value: at(text, value) });
            }
            Err(_) => return refuse(value, "an address"),
        },
        _ => slave.other.push(Field { key: key.into(), value: at(text, value) }),
    }
    took
}

/// The state of a link (`bond_slave_link_status` in `drivers/net/bonding/bond_main.c`), and what stands
/// behind it.
fn status(value: &str) -> Result<(&str, &str), nom::Err<crate::nomx::Expected<'_>>> {
    const STATES: [&str; 5] = ["going down", "going back", "unknown", "down", "up"];
    let end = STATES.iter().find(|state| {
        let rest = value.strip_prefix(**state);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
    });
    match end.and_then(|state| value.split_at_checked(state.len())) {
        Some(parts) => Ok(parts),
        None => refuse(value, "up, down, going down or going back").map(|_: (_, ())| (value, "")),
    }
}

/// `key: value`, or `key:`.
fn pair(line: &str) -> Parsed<'_, (&str, &str)> {
    if let Ok((value, (key, _))) = key_colon(line) {
        return Ok(("", (key, value.trim())));
    }
    match line.strip_suffix(':') {
        Some(key) if !key.is_empty() => {
            let value = line.get(line.len()..).unwrap_or_default();
            Ok(("", (key, value)))
        }
        _ => refuse(line, "a key, a colon and a value"),
    }
}

fn key_colon(line: &str) -> Parsed<'_, (&str, &str)> {
    (take_until1(": "), tag(": ")).parse(line)
}

fn other(bond: &mut Bond) -> &mut Vec<Field> {
    match bond.slaves.last_mut() {
        Some(slave) => &mut slave.other,
        None => &mut bond.other,
    }
}

fn empty(at: Span) -> Bond {
    Bond {
        at,
        mode: None,
        mii_status: None,
        active_slave: None,
        slaves: Vec::new(),
        other: Vec::new(),
    }
}

fn slave(at: Span, name: At<Name>) -> BondSlave {
    BondSlave {
        at,
        name,
        mii_status: None,
        speed: None,
        duplex: None,
        link_failures: None,
        permanent_mac: None,
        aggregator: None,
        other: Vec::new(),
    }
}

/// `cat /proc/net/bonding/bond0`, `cat proc/1/net/bonding/*`.
fn claims(command: &Command) -> Option<Request> {
    let is = |path: &String| {
        path.rsplit_once("net/bonding/")
            .is_some_and(|(above, _)| above.strip_prefix('/').unwrap_or(above).starts_with("proc/"))
    };
    let paths = command.args();
    let bond = paths.last().and_then(|path| path.rsplit('/').next());
    let claimed = command.program() == "cat" && !paths.is_empty() && paths.iter().all(is);
    claimed.then(|| Request::default().about(bond))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Ethernet Channel Bonding Driver: v3.7.1 (April 27, 2011)\n\n\
        Bonding Mode: IEEE 802.3ad Dynamic link aggregation\nMII Status: up\n\
        Currently Active Slave: None\nARP IP target/s (n.n.n.n form): 192.0.2.1\n\n\
        802.3ad info\nLACP rate: fast\nActive Aggregator Info:\n\tAggregator ID: 1\n\n\
        Slave Interface: eth2\nMII Status: going down\nSpeed: 1000 Mbps\nDuplex: full\n\
        Link Failure Count: 3\nPermanent HW addr: 02:00:00:00:00:02\nAggregator ID: 2\n\
        details actor lacp pdu:\n    port key: 9\n    port state: 207\nSlave queue ID: 0\n";

    fn read(text: &str) -> Outcome<Vec<Bond>> {
        parse(text, &Command::new("cat /proc/net/bonding/bond0"))
    }

    fn found<'a>(fields: &'a [Field], key: &str) -> &'a str {
        Field::find(fields, key).map_or("-", |it| it.as_str())
    }

    #[test]
    fn bond_slaves_and_blocks() {
        let out = read(TEXT);
        assert_eq!(out.problems, []);
        assert_eq!((out.lines.total, out.lines.ignored), (20, 1));
        let [bond] = out.records.as_slice() else { panic!() };
        assert_eq!(bond.mode.as_deref().unwrap(), "IEEE 802.3ad Dynamic link aggregation");
        assert_eq!(bond.active_slave.as_deref().unwrap(), "None");
        assert_eq!(found(&bond.other, "Active Aggregator Info/Aggregator ID"), "1");
        assert_eq!(found(&bond.other, "ARP IP target/s (n.n.n.n form)"), "192.0.2.1");
        let [slave] = bond.slaves.as_slice() else { panic!() };
        assert_eq!(slave.mii_status.as_deref().unwrap(), "going down");
        assert_eq!(
            (slave.link_failures.unwrap().value, slave.speed.as_deref()),
            (3, Some("1000 Mbps"))
        );
        let mac = slave.permanent_mac.unwrap();
        assert_eq!(TEXT.get(mac.span.range()), Some("02:00:00:00:00:02"));
        assert_eq!(slave.aggregator.as_deref().unwrap(), "2");
        assert_eq!(found(&slave.other, "details actor lacp pdu/port state"), "207");
        assert_eq!(found(&slave.other, "Slave queue ID"), "0");
    }

    #[test]
    fn several_bonds_and_no_bond() {
        let out = read(&format!("{TEXT}{TEXT}"));
        assert_eq!((out.records.len(), out.lines.unread), (2, 0));
        let out = read("Link Failure Count: 0\nAggregator ID:\n");
        assert_eq!((out.records.len(), out.lines.unread, out.problems.len()), (0, 2, 2));
        assert!(read("").completeness.is_failed());
        let out = read("cat: /proc/net/bonding/bond0: No such file or directory\n");
        assert!(out.completeness.is_failed());
    }

    #[test]
    fn broken_values_are_problems() {
        let text = TEXT
            .replace("Count: 3", "Count: many")
            .replace(":00:02", ":zz")
            .replace("LACP rate: fast", "LACP");
        let out = read(&text);
        assert_eq!((out.records.len(), out.lines.unread, out.problems.len()), (1, 3, 3));
    }

    #[test]
    fn claims_files_of_any_process() {
        for line in
            ["cat /proc/net/bonding/bond0", "cat proc/1/net/bonding/b", "cat /proc/net/bonding/*"]
        {
            assert!(FORMAT.reads(&Command::new(line)), "{line}");
        }
        assert!(!FORMAT.reads(&Command::new("cat /sys/class/net/bonding_masters")));
    }
}
