//! Devices that a platform names after the guest whose NIC they serve, in the platform's own words.
//!
//! Sources: Proxmox VE `PVE/Network.pm` (`tapIDiN`, `vethIDiN`, `fwbrIDiN`, `fwprIDpN`,
//! `fwlnIDiN`); Xen `tools/hotplug/Linux/vif-common.sh` (`vifID.N`, `tapID.N`, `vifID.N-emu`).

/// `NIC 0 of VM 713 (Proxmox VE)`, where a name says so.
pub(crate) fn guest_of(device: &str) -> Option<String> {
    proxmox(device).or_else(|| xen(device))
}

fn proxmox(device: &str) -> Option<String> {
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
    (id >= FIRST).then(|| format!("NIC {nic} of {guest} {id} (Proxmox VE)"))
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
            assert_eq!(guest_of(device).as_deref(), guest, "{device}");
        }
    }
}
