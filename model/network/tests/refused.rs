//! Texts of filters that take frames with some MACs alone, and what they refuse of a guest.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{BRIDGE, TAP, link, neutron, port, session, with_network};

/// A VM with this MAC whose device is `tap`, behind a prompt.
fn guest(tap: &str, bridge: &str, mac: &str) -> String {
    format!("root@h1:~# {}", common::guest(tap, bridge, mac))
}

/// The MACs that the filters let the guest send with instead of its own, where they refuse that, and
/// the line that drops.
fn refused(text: &str) -> Option<(Vec<String>, String)> {
    with_network(text, |network| {
        let nic = network.vm_nics().next().unwrap();
        let refused = network.refused(nic)?;
        let snapshot = network.topology.snapshot;
        assert_eq!(snapshot.quote(refused.own.1), refused.own.0.to_string());
        let wanted = refused.wanted.keys().map(ToString::to_string).collect();
        Some((wanted, snapshot.quote(refused.drops).trim().to_owned()))
    })
}

/// A guest on a Linux bridge, beside another and a NIC, with these rules of `ebtables`.
fn bridged(mac: &str, rules: &str) -> String {
    let links = [
        link(2, "eno1", "master br0", &port("forwarding")),
        link(3, "br0", "", BRIDGE),
        link(4, "tapa", "master br0", &(TAP.to_owned() + &port("forwarding"))),
        link(5, "tapb", "master br0", &(TAP.to_owned() + &port("forwarding"))),
    ];
    let rules = rules.replace("; ", "\n");
    let save = format!("ebtables-save\n*filter\n:FORWARD ACCEPT\n{rules}\n");
    session(&links, &save) + &guest("tapa", "br0", mac)
}

#[test]
fn rules_of_frames_refuse_a_mac() {
    const OWN: &str = "52:54:00:00:0a:01";
    const NAMED: &str = "-A FORWARD -i tapa -s 52:54:00:00:0a:02 -j ACCEPT";
    const DROP: &str = "-A FORWARD -i tapa -j DROP";
    let both = format!("{NAMED}; {DROP}");
    let of_other = NAMED.replace("tapa", "tapb");
    for (rules, wanted) in [
        (both.clone(), Some("52:54:00:00:0a:02")),
        // Its own is named, nothing is dropped, nothing is named, or what is named is dropped too.
        (both.replace("0a:02", "0a:01"), None),
        (NAMED.to_owned(), None),
        (DROP.to_owned(), None),
        (format!("{DROP}; {NAMED}"), None),
        (format!("{of_other}; {DROP}"), None),
        (both.replace("-j DROP", "-o eno1 -j DROP"), Some("52:54:00:00:0a:02")),
        // To the other guest alone.
        (both.replace("-j DROP", "-o tapb -j DROP"), None),
    ] {
        let found = refused(&bridged(OWN, &rules));
        let macs = found.as_ref().map(|(wanted, _)| wanted.join(" "));
        assert_eq!(macs.as_deref(), wanted, "{rules}: {found:?}");
        if let Some((_, drops)) = found {
            assert!(drops.ends_with("-j DROP"), "{rules}: {drops}");
        }
    }
}

/// A guest of neutron on the integration bridge, whose flows are these.
fn switched(mac: &str, flows: &str) -> String {
    let lines = flows
        .split(" ; ")
        .map(|flow| format!(" cookie=0x1, duration=9s, table=0, n_packets=0, n_bytes=0, {flow}\n"));
    let lines: String = lines.collect();
    let ports = "OFPT_FEATURES_REPLY (xid=0x2): dpid:0000000000000001
n_tables:254, n_buffers:0
capabilities: FLOW_STATS TABLE_STATS PORT_STATS QUEUE_STATS ARP_MATCH_IP
actions: output enqueue set_vlan_vid
 1(tapa): addr:fe:54:00:00:02:01
     config:     0
     state:      0
     speed: 0 Mbps now, 0 Mbps max
 2(tapb): addr:fe:54:00:00:02:02
     config:     0
     state:      0
     speed: 0 Mbps now, 0 Mbps max
 LOCAL(br-int): addr:aa:bb:cc:00:00:01
     config:     PORT_DOWN
     state:      LINK_DOWN
     speed: 0 Mbps now, 0 Mbps max
OFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal miss_send_len=0";
    neutron(false)
        + &format!(
            "root@h1:~# ovs-ofctl show br-int\n{ports}\nroot@h1:~# ovs-ofctl dump-flows br-int\n\
             NXST_FLOW reply (xid=0x4):\n{lines}"
        )
        + &guest("tapa", "br-int", mac)
}

#[test]
fn flows_refuse_a_mac() {
    const FLOWS: &str = "priority=9,in_port=1,dl_src=52:54:00:00:0a:02 actions=NORMAL ; \
                         priority=5,in_port=1 actions=drop ; priority=0 actions=NORMAL";
    let own = "52:54:00:00:0a:01";
    let also = |what: &str| format!("priority=8,in_port=1,{what} actions=NORMAL ; {FLOWS}");
    for (flows, wanted) in [
        (FLOWS.to_owned(), Some("52:54:00:00:0a:02")),
        (FLOWS.replace("in_port=1", "in_port=tapa"), Some("52:54:00:00:0a:02")),
        (FLOWS.replace("0a:02", "0a:01"), None),
        // Nothing is dropped, or all of it is; or the flows are about another port.
        (FLOWS.replace("actions=drop", "actions=NORMAL"), None),
        (FLOWS.replace("actions=NORMAL", "actions=drop"), None),
        (FLOWS.replace("in_port=1", "in_port=2"), None),
        (FLOWS.replacen("in_port=1", "in_port=2", 1), None),
        // What asks for an address or for neighbours is of no use alone; the rest is.
        (also("udp,tp_src=68"), Some("52:54:00:00:0a:02")),
        (also("icmp6,icmp_type=136"), Some("52:54:00:00:0a:02")),
        (also("arp"), Some("52:54:00:00:0a:02")),
        (also("udp"), None),
        (also("tcp"), None),
        (also("icmp,icmp_type=8"), None),
        (also("icmp,icmp_type=13"), Some("52:54:00:00:0a:02")),
        (also("icmp6,icmp_type=135"), Some("52:54:00:00:0a:02")),
        (also("udp6"), None),
        (also("tcp6"), None),
        (also("icmp6,icmp_type=128"), None),
    ] {
        let found = refused(&switched(own, &flows));
        let macs = found.as_ref().map(|(wanted, _)| wanted.join(" "));
        assert_eq!(macs.as_deref(), wanted, "{flows}: {found:?}");
    }
}
