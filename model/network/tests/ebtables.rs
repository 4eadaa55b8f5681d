//! Rules of `ebtables` that stop the frames of a path.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{BRIDGE, TAP, down, link, port, session};

/// A bridge with a tap, a NIC, and these rules.
fn bridged(save: &str) -> String {
    let links = [
        link(2, "eno1", "master br0", &port("forwarding")),
        link(3, "br0", "", BRIDGE),
        link(4, "tapa", "master br0", &(TAP.to_owned() + &port("forwarding"))),
    ];
    let lines = save.replace("; ", "\n");
    session(&links, &format!("ebtables-save\n{lines}"))
}

#[test]
fn rules_of_ebtables_stop_frames() {
    const FORWARD: &str = "dropped at forward of the packet filter";
    const POSTROUTING: &str = "dropped at postrouting of the packet filter";
    const PREROUTING: &str = "dropped at prerouting of the packet filter";
    let filter = ":INPUT ACCEPT; :FORWARD ACCEPT; :OUTPUT ACCEPT";
    for (save, why) in [
        ("*filter; {}", ""),
        ("*filter; {}; -A FORWARD -i tapa -j DROP", FORWARD),
        ("*filter; {}; -A FORWARD -o tapa -j DROP", FORWARD),
        ("*filter; {}; -A FORWARD -i tap+ -j DROP", FORWARD),
        ("*filter; {}; -A FORWARD -i ! tapa -j DROP", FORWARD),
        ("*filter; {}; -A FORWARD -i tapb -j DROP", ""),
        ("*filter; {}; -A FORWARD -p ARP -i tapa -j DROP", ""),
        ("*filter; {}; -A FORWARD -i tapa -s 52:54:00:00:01:04 -j DROP", ""),
        ("*filter; {}; -A INPUT -i tapa -j DROP", ""),
        // The policy of a chain of one's own decides, and RETURN leads back.
        ("*filter; {}; :mine DROP; -A FORWARD -i tapa -j mine", FORWARD),
        ("*filter; {}; :mine RETURN; -A FORWARD -i tapa -j mine", ""),
        ("*filter; {}; :mine DROP; -A FORWARD -i tapa -j mine; -A mine -j RETURN", ""),
        ("*filter; {}; :mine ACCEPT; -A FORWARD -i tapa -j mine; -A FORWARD -j DROP", FORWARD),
        ("*filter; {}; :mine ACCEPT; -A FORWARD -j mine; -A FORWARD -j DROP", ""),
        ("*filter; :FORWARD DROP", FORWARD),
        ("*filter; :FORWARD DROP; -A FORWARD -p IPv4 -j ACCEPT", ""),
        ("*nat; :PREROUTING ACCEPT; -A PREROUTING -i eno1 -j DROP", PREROUTING),
        ("*nat; :POSTROUTING ACCEPT; -A POSTROUTING -o eno1 -j DROP", POSTROUTING),
        ("*nat; :PREROUTING ACCEPT; -A PREROUTING -i tapa -j dnat --to-dst 52:54:00:00:01:09", ""),
        // What is dropped there is routed.
        ("*broute; :BROUTING ACCEPT; -A BROUTING -i tapa -j DROP", ""),
    ] {
        let save = save.replace("{}", filter);
        let shown = down(&bridged(&save), "tapa");
        let found = shown.iter().find_map(|hop| hop.split_once(": ")).map(|(_, why)| why);
        assert_eq!(found.unwrap_or_default(), why, "{save}: {shown:?}");
    }
}

/// A file that `ebtables-save` wrote shows all tables; a listing shows one.
#[test]
fn whole_outputs_count_before_listings() {
    let save = |rule: &str| format!("ebtables-save\n*filter\n:FORWARD ACCEPT\n{rule}");
    let list = |rule: &str| {
        let entries = u8::from(!rule.is_empty());
        format!(
            "ebtables -L\nBridge table: filter\n\nBridge chain: FORWARD, entries: {entries}, policy: ACCEPT\n{rule}"
        )
    };
    let links = [
        link(2, "eno1", "master br0", &port("forwarding")),
        link(3, "br0", "", BRIDGE),
        link(4, "tapa", "master br0", &(TAP.to_owned() + &port("forwarding"))),
    ];
    let stops = |outputs: &[String]| {
        let text = session(&links, &outputs.join("root@h1:~# "));
        down(&text, "tapa").iter().any(|hop| hop.contains("dropped at forward"))
    };
    let (drops, listed) = ("-A FORWARD -i tapa -j DROP\n", "-i tapa -j DROP\n");
    for (outputs, told) in [
        (vec![save(drops)], true),
        (vec![list(listed)], true),
        (vec![save("")], false),
        (vec![list("")], false),
        (vec![save(""), list(listed)], false),
        (vec![list(listed), save("")], false),
        (vec![save(drops), list("")], true),
        (vec![list(""), save(drops)], true),
    ] {
        assert_eq!(stops(&outputs), told, "{outputs:?}");
    }
}
