//! Platforms that number their guests, and name devices by these numbers.
use super::{Listed, Who, Workload};

/// The smallest number that Proxmox VE gives to a guest.
const FIRST: u32 = 100;

/// Whether Proxmox VE names devices so.
pub fn is_of_proxmox(device: &str) -> bool {
    proxmox(device).is_some()
}

/// Whether Xen names devices so: `vifID.N`, behind which only a domain can be.
pub fn is_of_xen(device: &str) -> bool {
    device.starts_with("vif") && xen(device).is_some()
}

/// The guest whose number is in the name of a device.
pub(super) fn numbered(device: &str, listed: &Listed<'_>) -> Option<Workload> {
    if let Some((domain, nic)) = xen(device) {
        let who = Who::Numbered { sort: "domain", id: domain, name: None, nic, platform: "Xen" };
        return Some(Workload::proven(who, Vec::new()));
    }
    let (sort, id, nic) = proxmox(device)?;
    // Numbers are unique among machines and containers.
    let (vm, ct) = (listed.numbered("vm", id), listed.numbered("ct", id));
    let (sort, row) = match (sort, vm, ct) {
        ("guest", Some(row), None) => ("VM", Some(row)),
        ("guest", None, Some(row)) => ("CT", Some(row)),
        ("CT", _, row) | ("VM", row, _) => (sort, row),
        _ => (sort, None),
    };
    let name = row.map(|row| row.name.to_owned());
    let who = Who::Numbered { sort, id, name, nic, platform: "Proxmox VE" };
    Some(Workload::proven(who, row.map(|row| row.line).into_iter().collect()))
}

/// A container of Proxmox VE that was entered by its number.
pub(super) fn container(id: u32, listed: &Listed<'_>) -> Workload {
    let row = listed.numbered("ct", id);
    let name = row.map_or_else(|| format!("CT {id}"), |row| format!("CT {id} {}", row.name));
    let who = Who::Container { name, id: None };
    Workload::proven(who, row.map(|row| row.line).into_iter().collect())
}

/// The sort of the guest, its number, and the number of its NIC.
fn proxmox(device: &str) -> Option<(&'static str, u32, u32)> {
    const NAMES: &[(&str, &str, char)] = &[
        ("tap", "VM", 'i'),
        ("veth", "CT", 'i'),
        ("fwbr", "guest", 'i'),
        ("fwln", "guest", 'i'),
        ("fwpr", "guest", 'p'),
    ];
    let (rest, sort, mark) = NAMES
        .iter()
        .find_map(|&(prefix, sort, mark)| Some((device.strip_prefix(prefix)?, sort, mark)))?;
    let (id, nic) = rest.split_once(mark)?;
    let (id, nic) = (number(id)?, number(nic)?);
    (id >= FIRST).then_some((sort, id, nic))
}

/// The number of the domain, and that of its NIC.
fn xen(device: &str) -> Option<(u32, u32)> {
    let rest = device.strip_prefix("vif").or_else(|| device.strip_prefix("tap"))?;
    let (domain, nic) = rest.strip_suffix("-emu").unwrap_or(rest).split_once('.')?;
    Some((number(domain)?, number(nic)?))
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
            ("tap5.1", Some("NIC 1 of domain 5 (Xen)")),
            ("tap100i0", Some("NIC 0 of VM 100 (Proxmox VE)")),
            ("tap99i0", None),
            ("fwpr713i0", None),
            ("tap85bcbfb0-bc", None),
            ("tap12i0", None),
            ("tapi0", None),
            ("veth7", None),
            ("vif.0", None),
            ("tap713i0p", None),
        ] {
            let told = numbered(device, &Listed::default()).map(|it| it.to_string());
            assert_eq!(told.as_deref(), guest, "{device}");
        }
    }

    #[test]
    fn platforms_have_names_of_their_own() {
        for (device, of_proxmox, of_xen) in [
            ("tap713i0", true, false),
            ("fwbr713i0", true, false),
            ("vif5.0", false, true),
            ("vif5.0-emu", false, true),
            // QEMU names the taps of other guests so, too.
            ("tap5.0", false, false),
            ("vif5", false, false),
            ("eth0", false, false),
        ] {
            assert_eq!(
                (is_of_proxmox(device), is_of_xen(device)),
                (of_proxmox, of_xen),
                "{device}"
            );
        }
    }
}
