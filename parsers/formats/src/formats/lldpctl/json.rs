//! `lldpctl -f json` and `-f json0`.
//!
//! Source of the format: lldpd `src/client/json_writer.c`; 0.9 to 1.0. `json` writes a list of one
//! element as that element and a thing with a name as `{"name": {…}}`; `json0` writes every list as
//! a list, every name as a key `name`, and every text as `{"value": "…"}`.
use std::borrow::Cow;

use tapline_core::Name;
use tapline_core::outcome::{Fate, Outcome, ProblemKind};
use tapline_core::records::Field;
use tapline_core::records::lldp::LldpNeighbour;
use tapline_core::span::{At, Span};

use super::neighbour;
use crate::json_object::{Object, elements, plain};
use crate::lines::bodies;

/// Reads the whole document.
pub(super) fn read(text: &str, out: &mut Outcome<()>) -> Vec<LldpNeighbour> {
    let lines = bodies(text).filter(|line| !line.is_empty()).count();
    let (fate, all) = match neighbours(text) {
        Ok(all) => (Fate::Read, all),
        Err(why) => {
            out.problem(ProblemKind::UnreadLine, Span::of(text, text.trim()), why);
            (Fate::Unread, Vec::new())
        }
    };
    (0..lines).for_each(|_| out.lines.add(fate));
    all
}

/// Whether a text is such a document.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

fn neighbours(text: &str) -> Result<Vec<LldpNeighbour>, String> {
    let mut all = Vec::new();
    let mut document = Object::parse(text, text.trim())?;
    let lldp = document.take("lldp").ok_or("an object without `lldp`")?;
    for raw in elements(lldp) {
        let mut lldp = Object::parse(text, raw)?;
        // Without neighbours there is no `interface`.
        let Some(interfaces) = lldp.take("interface") else { continue };
        for raw in elements(interfaces) {
            let mut interface = Object::parse(text, raw)?;
            if let Some(name) = interface.name("name") {
                all.push(one(text, raw, name, interface)?);
                continue;
            }
            for (key, raw) in interface.entries() {
                let name = At::new(Name::new(&key), place_of(text, key, raw));
                all.push(one(text, raw, name, Object::parse(text, raw)?)?);
            }
        }
    }
    Ok(all)
}

fn one(
    text: &str,
    raw: &str,
    dev: At<Name>,
    mut interface: Object<'_>,
) -> Result<LldpNeighbour, String> {
    let mut found = neighbour(Span::of(text, raw), dev);
    found.protocol = interface.name("via").map(|name| name.value);
    if let Some(raw) = interface.take("chassis") {
        chassis(text, raw, &mut found)?;
    }
    if let Some(raw) = interface.take("port") {
        port(text, raw, &mut found)?;
    }
    for raw in interface.take("vlan").map(elements).unwrap_or_default() {
        let mut vlan = Object::parse(text, raw)?;
        let id = vlan.value::<u16>("vlan-id")?.ok_or("a VLAN without its number")?;
        if vlan.take("pvid") == Some("true") {
            found.pvid = Some(id);
        }
        found.vlans.push(id);
    }
    Ok(found)
}

fn chassis(text: &str, raw: &str, found: &mut LldpNeighbour) -> Result<(), String> {
    let mut chassis = Object::parse(text, first(raw))?;
    if let Some(raw) = chassis.take("name") {
        found.system = value(text, raw)?;
    } else if !chassis.has("id") {
        // The name is the key.
        let named = chassis.entries().into_iter().next();
        let (key, raw) = named.ok_or("a chassis without its id")?;
        found.system = Some(At::new(Name::new(&key), place_of(text, key, raw)));
        chassis = Object::parse(text, raw)?;
    }
    found.chassis = chassis.take("id").map(|raw| id(text, raw)).transpose()?;
    if let Some(raw) = chassis.take("descr") {
        keep(text, "Chassis/SysDescr", raw, found)?;
    }
    for raw in chassis.take("mgmt-ip").map(elements).unwrap_or_default() {
        keep(text, "Chassis/MgmtIP", raw, found)?;
    }
    for raw in chassis.take("capability").map(elements).unwrap_or_default() {
        let mut capability = Object::parse(text, raw)?;
        let Some(kind) = capability.name("type") else { continue };
        let on = if capability.take("enabled") == Some("true") { "on" } else { "off" };
        let value = kind.map(|kind| Name::from(format!("{kind}, {on}")));
        found.other.push(Field { key: "Chassis/Capability".into(), value });
    }
    Ok(())
}

fn port(text: &str, raw: &str, found: &mut LldpNeighbour) -> Result<(), String> {
    let mut port = Object::parse(text, first(raw))?;
    found.port = port.take("id").map(|raw| id(text, raw)).transpose()?;
    if let Some(raw) = port.take("descr") {
        found.port_description = value(text, raw)?;
    }
    if let Some(mfs) = port.take("mfs").map(|raw| value(text, raw)).transpose()?.flatten() {
        let size = mfs.parse().map_err(|_| format!("no size of a frame: {}", mfs.as_str()))?;
        found.mtu = Some(At::new(size, mfs.span));
    }
    if let Some(raw) = port.take("ttl") {
        keep(text, "Port/TTL", raw, found)?;
    }
    Ok(())
}

/// `{"type": "mac", "value": "52:54:00:00:00:01"}` as the text form prints it.
fn id(text: &str, raw: &str) -> Result<At<Name>, String> {
    let mut id = Object::parse(text, first(raw))?;
    let kind = id.name("type").ok_or("an id without its type")?;
    let value = id.name("value").ok_or("an id without its value")?;
    Ok(value.map(|value| Name::from(format!("{} {value}", kind.value))))
}

fn keep(text: &str, key: &str, raw: &str, found: &mut LldpNeighbour) -> Result<(), String> {
    if let Some(value) = value(text, raw)? {
        found.other.push(Field { key: key.into(), value });
    }
    Ok(())
}

/// A text: itself, or the `value` of an object.
fn value(text: &str, raw: &str) -> Result<Option<At<Name>>, String> {
    let raw = first(raw);
    if raw.starts_with('{') {
        return Ok(Object::parse(text, raw)?.name("value"));
    }
    Ok(Some(At::new(Name::new(plain(raw)), Span::of(text, raw.trim_matches('"')))))
}

/// The first element of a list, or what is no list.
fn first(raw: &str) -> &str {
    if raw.starts_with('[') { elements(raw).first().copied().unwrap_or(raw) } else { raw }
}

/// Where a key stands; one with escapes is copied, and its value stands for it.
fn place_of(text: &str, key: Cow<'_, str>, raw: &str) -> Span {
    match key {
        Cow::Borrowed(key) => Span::of(text, key),
        Cow::Owned(_) => Span::of(text, raw),
    }
}

#[cfg(test)]
mod tests {
    use tapline_core::capture::Command;

    use super::super::{FORMAT, parse};
    use super::*;

    const SHORT: &str = r#"{
  "lldp": {
    "interface": {
      "eno1": {
        "via": "LLDP",
        "rid": "1",
        "chassis": {
          "leaf7": {
            "id": { "type": "mac", "value": "52:54:00:00:00:01" },
            "descr": "A switch",
            "mgmt-ip": "192.0.2.1",
            "capability": [ { "type": "Bridge", "enabled": true }, { "type": "Router", "enabled": false } ]
          }
        },
        "port": {
          "id": { "type": "ifname", "value": "Ethernet1/7" },
          "descr": "to node 3",
          "ttl": "120",
          "mfs": "9236"
        },
        "vlan": [ { "vlan-id": "10", "pvid": true, "value": "servers" }, { "vlan-id": "20", "pvid": false } ]
      }
    }
  }
}
"#;

    const LONG: &str = r#"{"lldp":[{"interface":[{"name":"eno1","via":"LLDP","rid":"1",
"chassis":[{"id":[{"type":"mac","value":"52:54:00:00:00:01"}],"name":[{"value":"leaf7"}],
"descr":[{"value":"A switch"}],"mgmt-ip":[{"value":"192.0.2.1"}],
"capability":[{"type":"Bridge","enabled":true},{"type":"Router","enabled":false}]}],
"port":[{"id":[{"type":"ifname","value":"Ethernet1/7"}],"descr":[{"value":"to node 3"}],
"ttl":[{"value":"120"}],"mfs":[{"value":"9236"}]}],
"vlan":[{"vlan-id":"10","pvid":true,"value":"servers"},{"vlan-id":"20","pvid":false}]},
{"name":"eno2","via":"CDPv2","chassis":[{"id":[{"type":"local","value":"x"}]}]}]}]}
"#;

    #[test]
    fn both_forms_give_what_the_text_gives() {
        for (text, command, count) in
            [(SHORT, "lldpctl -f json", 1), (LONG, "lldpcli -f json0 show neighbors", 2)]
        {
            let command = Command::new(command);
            assert!(FORMAT.reads(&command), "{command}");
            let out = parse(text, &command);
            assert_eq!(out.problems, [], "{command}");
            assert_eq!((out.records.len(), out.lines.unread), (count, 0), "{command}");
            let first = out.records.first().unwrap();
            let shown = |at: &Option<At<Name>>| at.as_ref().unwrap().as_str().to_owned();
            assert_eq!(first.dev.as_str(), "eno1");
            assert_eq!(text.get(first.dev.span.range()), Some("eno1"));
            assert_eq!(shown(&first.chassis), "mac 52:54:00:00:00:01");
            assert_eq!(shown(&first.system), "leaf7");
            assert_eq!(shown(&first.port), "ifname Ethernet1/7");
            assert_eq!(shown(&first.port_description), "to node 3");
            let mtu = first.mtu.as_ref().unwrap();
            assert_eq!((mtu.value, text.get(mtu.span.range())), (9236, Some("9236")));
            assert_eq!(first.pvid.as_ref().unwrap().value, 10);
            assert_eq!(first.vlans.len(), 2);
            for (key, value) in [
                ("Chassis/SysDescr", "A switch"),
                ("Chassis/MgmtIP", "192.0.2.1"),
                ("Chassis/Capability", "Bridge, on"),
                ("Port/TTL", "120"),
            ] {
                assert_eq!(Field::find(&first.other, key).unwrap().as_str(), value, "{key}");
            }
        }
    }

    #[test]
    fn several_devices_and_none() {
        let two = r#"{"lldp":{"interface":[{"a":{"via":"LLDP","chassis":{"id":{"type":"mac","value":"x"}}}},{"b":{}}]}}"#;
        let out = parse(two, &Command::new("lldpctl -f json"));
        assert_eq!(out.problems, []);
        let names: Vec<_> = out.records.iter().map(|record| record.dev.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let none = parse("{\"lldp\": {}}\n", &Command::new("lldpctl -f json"));
        assert!(none.records.is_empty() && none.completeness.is_complete());
    }

    #[test]
    fn what_breaks_off_is_a_failed_capture() {
        for text in [SHORT.get(..300).unwrap(), "{\"a\":1}\n", "{}\n"] {
            let out = parse(text, &Command::new("lldpctl -f json"));
            assert!(out.completeness.is_failed(), "{text}: {:?}", out.completeness);
            assert_eq!(out.lines.read + out.lines.unread + out.lines.ignored, out.lines.total);
        }
    }
}
