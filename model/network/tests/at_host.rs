//! Paths that end at the host itself: in a VLAN of a bridge that no other port carries.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{TAP, down, link, port, session};

/// A bridge that tells VLANs apart, with a tap in VLAN 10 and a NIC in these VLANs.
fn bridged(of_nic: &str, of_bridge: &str, address: &str, vlan_device: &str) -> String {
    let ip = |device: &str, ip: &str| {
        format!(
            "    inet {ip}/24 scope global {device}\n       valid_lft forever preferred_lft forever\n"
        )
    };
    let details = "    bridge forward_delay 1500 stp_state 0 vlan_filtering 1\n".to_owned();
    let own = if address.is_empty() { String::new() } else { ip("br0", address) };
    let mut links = vec![
        link(2, "eno1", "master br0", &port("forwarding")),
        link(3, "br0", "", &(details + &own)),
        link(4, "tapa", "master br0", &(TAP.to_owned() + &port("forwarding"))),
    ];
    if let Some((number, rest)) = vlan_device.split_once(' ') {
        let name = format!("br0.{number}");
        let (state, address) = match rest.strip_prefix("down ") {
            Some(address) => ("down ", address),
            None => ("", rest),
        };
        let details = format!("    vlan protocol 802.1Q id {number} <REORDER_HDR>\n");
        let address = if address == "-" { String::new() } else { ip(&name, address) };
        links.push(link(5, &format!("{name}@br0"), state, &(details + &address)));
    }
    let list = format!(
        "bridge vlan show\nport              vlan-id\neno1              {of_nic}\nbr0               \
         {of_bridge}\ntapa              10 PVID Egress Untagged\nroot@h1:~# "
    );
    session(&links, &list)
}

#[test]
fn what_no_other_port_carries_is_for_the_host() {
    const LOST: &[&str] = &["br0", "eno1: does not carry VLAN 10"];
    const NATIVE: &str = "10 PVID Egress Untagged";
    for (of_nic, of_bridge, address, vlan_device, path) in [
        ("20", "10", "", "10 192.0.2.1", &["br0", "br0.10"][..]),
        ("20", NATIVE, "192.0.2.1", "", &["br0"]),
        // Another port carries it: the host is one among several.
        ("10", "10", "", "10 192.0.2.1", &["br0", "eno1"]),
        // The host has no address in it, is not in it, or its device is down.
        ("20", "10", "", "10 -", LOST),
        ("20", "10", "", "10 169.254.0.1", LOST),
        ("20", "10", "", "20 192.0.2.1", LOST),
        ("20", "30", "", "10 192.0.2.1", LOST),
        ("20", "10", "", "10 down 192.0.2.1", LOST),
        ("20", NATIVE, "", "", LOST),
        ("20", "10", "192.0.2.1", "", LOST),
        ("20", "30 PVID Egress Untagged", "192.0.2.1", "", LOST),
    ] {
        let found = down(&bridged(of_nic, of_bridge, address, vlan_device), "tapa");
        assert_eq!(found, path, "{of_nic}; {of_bridge}; {address}; {vlan_device}");
    }
}

#[test]
fn what_the_host_sends_itself_is_for_others() {
    let text = bridged("20", "10", "", "10 192.0.2.1");
    let found = down(&text, "br0.10");
    assert_eq!(found.first().unwrap(), "br0");
    assert!(found.iter().any(|hop| hop == "eno1: does not carry VLAN 10"), "{found:?}");
}
