//! Devices that a platform names after the guest whose NIC they serve, in the platform's own words.
//!
//! Sources: Proxmox VE `PVE/Network.pm` (`tapIDiN`, `vethIDiN`, `fwbrIDiN`, `fwprIDpN`,
//! `fwlnIDiN`); Xen `tools/hotplug/Linux/vif-common.sh` (`vifID.N`, `tapID.N`, `vifID.N-emu`).
use tapline_core::capture::{HostId, Snapshot};
use tapline_core::records::Batch;
use tapline_core::records::host::Fact;

/// `NIC 0 of VM 713 web (Proxmox VE)`, where a name says so. `named` knows what a guest is called, by
/// the sort of the list that has it and its number.
pub(crate) fn guest_of(
    device: &str,
    named: &dyn Fn(&str, u32) -> Option<String>,
) -> Option<String> {
    proxmox(device, named).or_else(|| xen(device))
}

/// What the guests of a host are called, as the lists of the tools that manage them say.
pub(crate) fn called(snapshot: &Snapshot, host: HostId, sort: &str, number: u32) -> Option<String> {
    let number = number.to_string();
    let of_host = snapshot.iter().filter(|(source, _)| source.host == host);
    let facts = of_host.filter_map(|(_, reading)| match &reading.records {
        Batch::HostFacts(facts) => Some(facts),
        _ => None,
    });
    facts.flatten().find_map(|it| match &it.fact {
        Fact::Guest { sort: of, id, name, .. } if *of == sort && id.as_str() == number => {
            Some(name.value.to_string())
        }
        _ => None,
    })
}

/// Whether Proxmox VE names devices so.
pub(crate) fn is_of_proxmox(device: &str) -> bool {
    proxmox(device, &|_, _| None).is_some()
}

/// Whether Xen names devices so: `vifID.N`, behind which only a domain can be.
pub(crate) fn is_of_xen(device: &str) -> bool {
    device.starts_with("vif") && xen(device).is_some()
}

fn proxmox(device: &str, named: &dyn Fn(&str, u32) -> Option<String>) -> Option<String> {
    /// The smallest number that Proxmox VE gives to a guest.
    const FIRST: u32 = 100;
    let (guest, rest, mark) = None
        .or_else(|| Some(("VM", device.strip_prefix("tap")?, 'i')))
        .or_else(|| Some(("CT", device.strip_prefix("veth")?, 'i')))
        .or_else(|| Some(("guest", device.strip_prefix("fwbr")?, 'i')))
        .or_else(|| Some(("guest", device.strip_prefix("fwln")?, 'i')))
        .or_else(|| Some(("guest", device.strip_prefix("fwpr")?, 'p')))?;
    let (id, nic) = rest.split_once(mark)?;
    let (id, nic) = (number(id)?, number(nic)?);
    if id < FIRST {
        return None;
    }
    // Numbers are unique among machines and containers.
    let (vm, ct) = (named("vm", id), named("ct", id));
    let (guest, name) = match (guest, vm, ct) {
        ("guest", Some(name), None) => ("VM", Some(name)),
        ("guest", None, Some(name)) => ("CT", Some(name)),
        ("CT", _, name) => ("CT", name),
        ("VM", name, _) => ("VM", name),
        _ => (guest, None),
    };
    let name = name.map_or(String::new(), |name| format!(" {name}"));
    Some(format!("NIC {nic} of {guest} {id}{name} (Proxmox VE)"))
}

fn xen(device: &str) -> Option<String> {
    let rest = device.strip_prefix("vif").or_else(|| device.strip_prefix("tap"))?;
    let (domain, nic) = rest.strip_suffix("-emu").unwrap_or(rest).split_once('.')?;
    Some(format!("NIC {} of domain {} (Xen)", number(nic)?, number(domain)?))
}

/// Digits and nothing else.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_guest() {
        for (device, guest) in [
            ("tap713i0", Some("NIC 0 of VM 713 (Proxmox VE)")),
            ("veth102i1", Some("NIC 1 of CT 102 (Proxmox VE)")),
            ("fwbr713i0", Some("NIC 0 of guest 713 (Proxmox VE)")),
            ("fwln713i0", Some("NIC 0 of guest 713 (Proxmox VE)")),
            ("fwpr713p0", Some("NIC 0 of guest 713 (Proxmox VE)")),
            ("vif5.0", Some("NIC 0 of domain 5 (Xen)")),
            ("vif5.0-emu", Some("NIC 0 of domain 5 (Xen)")),
            ("tap85bcbfb0-bc", None),
            ("tap12i0", None),
            ("tapi0", None),
            ("veth7", None),
            ("vif.0", None),
            ("tap713i0p", None),
        ] {
            assert_eq!(guest_of(device, &|_, _| None).as_deref(), guest, "{device}");
        }
    }

    #[test]
    fn lists_tell_what_it_is_called() {
        let named = |sort: &str, id: u32| (sort == "ct" && id == 102).then(|| "db".to_owned());
        for (device, guest) in [
            ("veth102i0", "NIC 0 of CT 102 db (Proxmox VE)"),
            ("fwbr102i1", "NIC 1 of CT 102 db (Proxmox VE)"),
            ("tap103i0", "NIC 0 of VM 103 (Proxmox VE)"),
        ] {
            assert_eq!(guest_of(device, &named).as_deref(), Some(guest));
        }
    }
}
