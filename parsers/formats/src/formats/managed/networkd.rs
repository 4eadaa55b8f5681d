//! `networkctl --json=… status`: what networkd describes of its devices.
//!
//! Source of the format: systemd `src/network/networkd-json.c` (`link_build_json`,
//! `manager_build_json`); 250 and later. Of several devices there is a list `Interfaces`, of one its
//! description alone. Addresses are lists of bytes.
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::ids::Mac;
use tapline_core::outcome::{Fate, Outcome, ProblemKind};
use tapline_core::records::managed::ManagedDevice;
use tapline_core::span::{At, Span};

use super::device;
use crate::json_object::{Object, elements};
use crate::lines::bodies;

/// Whether a text is such a document.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// Whether a text begins as such a document.
pub(super) fn begins(head: &str) -> bool {
    let plain: String = head.chars().filter(|c| !c.is_whitespace()).take(40).collect();
    plain.starts_with("{\"Interfaces\":[{\"Index\":")
        || plain.starts_with("{\"Index\":") && head.contains("\"AdministrativeState\"")
}

/// Reads the whole document.
pub(super) fn read(text: &str, out: &mut Outcome<()>) -> Vec<ManagedDevice> {
    let lines = bodies(text).filter(|line| !line.is_empty()).count();
    let (fate, all) = match devices(text) {
        Ok(all) => (Fate::Read, all),
        Err(why) => {
            out.problem(ProblemKind::UnreadLine, Span::of(text, text.trim()), why);
            (Fate::Unread, Vec::new())
        }
    };
    (0..lines).for_each(|_| out.lines.add(fate));
    all
}

fn devices(text: &str) -> Result<Vec<ManagedDevice>, String> {
    let raw = text.trim();
    let mut document = Object::parse(text, raw)?;
    match document.take("Interfaces") {
        Some(list) => elements(list)
            .into_iter()
            .map(|raw| one(text, raw, Object::parse(text, raw)?))
            .collect(),
        None => Ok(vec![one(text, raw, document)?]),
    }
}

fn one(text: &str, raw: &str, mut object: Object<'_>) -> Result<ManagedDevice, String> {
    let dev = object.name("Name").ok_or("a device without its name")?;
    let mut found = device(text, raw, "networkd", Some(dev));
    found.kind = object.name("Type");
    let configured = object.name("AdministrativeState").or_else(|| object.name("SetupState"));
    found.state = match (object.name("OperationalState"), configured) {
        (Some(state), Some(setup)) => {
            Some(state.map(|state| Name::from(format!("{state} ({})", setup.value))))
        }
        (state, _) => state,
    };
    found.configuration = object.name("NetworkFile");
    found.mtu = object.value("MTU")?;
    if let Some(raw) = object.take("HardwareAddress") {
        let bytes: Vec<u8> = numbers(raw)?;
        let mac = <[u8; 6]>::try_from(bytes).ok().map(Mac);
        found.mac = mac.map(|mac| At::new(mac, Span::of(text, raw)));
    }
    for raw in object.take("Addresses").map(elements).unwrap_or_default() {
        let mut address = Object::parse(text, raw)?;
        let Some(bytes) = address.take("Address") else { continue };
        found.addresses.push(At::new(ip(bytes)?.to_string().into(), Span::of(text, bytes)));
    }
    for raw in object.take("Routes").map(elements).unwrap_or_default() {
        let mut route = Object::parse(text, raw)?;
        let whole = route.take("DestinationPrefixLength") == Some("0");
        if let Some(bytes) = route.take("Gateway").filter(|_| whole) {
            found.gateways.push(At::new(ip(bytes)?.to_string().into(), Span::of(text, bytes)));
        }
    }
    found.other = object.rest();
    Ok(found)
}

/// `[192,0,2,7]`
fn ip(raw: &str) -> Result<IpAddr, String> {
    let bytes = numbers(raw)?;
    let four = <[u8; 4]>::try_from(bytes.as_slice()).map(IpAddr::from);
    let six = <[u8; 16]>::try_from(bytes.as_slice()).map(IpAddr::from);
    four.or(six).map_err(|_| format!("neither four nor sixteen bytes: {raw}"))
}

fn numbers(raw: &str) -> Result<Vec<u8>, String> {
    serde_json::from_str(raw).map_err(|why| format!("not a list of bytes: {why}"))
}

#[cfg(test)]
mod tests {
    use tapline_core::capture::Command;

    use super::super::{NETWORKCTL, networkctl};

    const ETH0: &str = r#"{"Index":2,"Name":"eth0","Type":"ether","MTU":1500,
        "HardwareAddress":[82,84,0,0,0,7],"AdministrativeState":"configured",
        "OperationalState":"routable","NetworkFile":"/etc/systemd/network/10-eth0.network",
        "Addresses":[{"Family":2,"Address":[192,0,2,7],"PrefixLength":24}],
        "Routes":[{"Family":2,"Destination":[0,0,0,0],"DestinationPrefixLength":0,
        "Gateway":[192,0,2,1]}]}"#;

    #[test]
    fn a_description_says_what_the_text_says() {
        for text in [ETH0.to_owned(), format!("{{\"Interfaces\":[{ETH0}]}}\n")] {
            let command = Command::new("networkctl --json=pretty status --all");
            assert!(NETWORKCTL.reads(&command) && (NETWORKCTL.sniff)(&text) > 50);
            let out = networkctl(&text, &command);
            assert_eq!(out.problems, []);
            let [it] = out.records.as_slice() else { panic!("{out:?}") };
            assert_eq!(it.dev.as_ref().unwrap().as_str(), "eth0");
            assert_eq!(it.state.as_ref().unwrap().as_str(), "routable (configured)");
            assert_eq!(it.mac.as_ref().unwrap().value.to_string(), "52:54:00:00:00:07");
            assert_eq!(it.addresses[0].as_str(), "192.0.2.7");
            assert_eq!(it.gateways[0].as_str(), "192.0.2.1");
            assert_eq!(it.mtu.as_ref().unwrap().value, 1500);
        }
    }

    #[test]
    fn what_is_no_description_is_a_problem() {
        for text in ["{\"Interfaces\":[7]}", "{\"Index\":2}", "{\"Interfaces\":[{\"Name\":\"e"] {
            let out = networkctl(text, &Command::new("networkctl --json=short status"));
            assert!(out.records.is_empty() && out.completeness.is_failed(), "{text}{out:?}");
        }
    }
}
