//! Ports of Open vSwitch: what `mod-port` sets, bonds, and ports that are kept apart.
use std::fmt::Write as _;

use tapline_network::trace::{Question, Tracer};

use super::common::with_network;

/// A bridge with `p1`, `p2`, the bond `b0` of `m1` and `m2`; their config, the flows, and more texts.
fn bridge(config: &[(&str, &str)], flow: &str, more: &str) -> String {
    let mut listed = String::new();
    for (name, number) in [("p1", 1), ("p2", 2), ("m1", 3), ("m2", 4)] {
        let set = config.iter().find(|(port, _)| *port == name).map_or("0", |(_, set)| set);
        write!(
            listed,
            " {number}({name}): addr:fe:16:3e:00:00:{number:02x}\n     config:     {set}\n     state:      0\n"
        )
        .unwrap();
    }
    format!(
        "root@h1:~# ovs-vsctl show\n0b4f7f5e-1f0c-4d0e-8d0c-3c1a5a7c9b10\n    Bridge br0\n        Port br0\n            \
         Interface br0\n                type: internal\n        Port p1\n            Interface p1\n        Port p2\n            \
         Interface p2\n        Port b0\n            Interface m1\n            Interface m2\n    ovs_version: \"2.17.9\"\n\
         root@h1:~# ovs-ofctl show br0\nOFPT_FEATURES_REPLY (xid=0x2): dpid:0000aaaabbbbcccc\nn_tables:254, n_buffers:0\n\
         capabilities: FLOW_STATS TABLE_STATS PORT_STATS QUEUE_STATS ARP_MATCH_IP\nactions: output\n{listed} LOCAL(br0): \
         addr:f6:4a:e1:e1:d6:43\n     config:     0\n     state:      0\nOFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal \
         miss_send_len=0\nroot@h1:~# ovs-ofctl dump-flows br0\n cookie=0x0, duration=9.1s, table=0, n_packets=7, \
         n_bytes=700, priority=0 actions={flow}\n{more}root@h1:~# \n"
    )
}

/// Where copies of a frame leave the bridge; those that are lost with the reason.
fn leaves(text: &str, from: &str, to: &str) -> String {
    with_network(text, |network| {
        let question = Question {
            from: format!("ovs:br0/{from}"),
            packet: Some(format!(
                "icmp,dl_src=02:00:00:00:00:01,dl_dst={to},nw_src=192.0.2.1,nw_dst=192.0.2.2"
            )),
            stop_at: Some("ovs".to_owned()),
            ..Question::default()
        };
        let trace = Tracer::new(network).ask(&question).unwrap().trace;
        let ends = trace.ends.iter().filter_map(|end| {
            let port = end.place.port.as_deref()?;
            let reason = end.reason.map_or(String::new(), |reason| format!(" {}", reason.as_str()));
            (port != "br0").then(|| format!("{port}{reason}"))
        });
        let mut all: Vec<String> = ends.collect();
        all.sort();
        all.join(", ")
    })
}

/// Tables of neutron's agent say what they are for: against forged addresses before the firewall, and
/// the rules of security groups, by the way of the packet (neutron, `openvswitch/constants.py`).
#[test]
fn tables_of_the_agent_say_why_they_drop() {
    let reason = |flows: &[&str]| {
        let lines = flows
            .iter()
            .map(|flow| format!("cookie=0x1, duration=9.1s, n_packets=7, n_bytes=700, {flow}\n "));
        let text = bridge(&[], "NORMAL", "");
        let at = text.find("cookie=0x0").unwrap();
        let (before, after) = text.split_at(at);
        let behind = after.split_once('\n').unwrap().1;
        let text = format!("{before}{}\n{behind}", lines.collect::<String>().trim_end());
        with_network(&text, |network| {
            let frame = "icmp,dl_src=02:00:00:00:00:01,dl_dst=02:00:00:00:00:99,nw_src=192.0.2.1,nw_dst=192.0.2.2";
            let question = Question {
                from: "ovs:br0/p1".to_owned(),
                packet: Some(frame.to_owned()),
                stop_at: Some("ovs".to_owned()),
                ..Question::default()
            };
            let verdict = Tracer::new(network).ask(&question).unwrap().trace.verdict;
            verdict.reason.map_or("", |reason| reason.as_str())
        })
    };
    for (tables, expected) in [
        (&[24][..], "arp-spoof"),
        (&[25], "mac-spoof"),
        (&[71], "sg-egress-deny"),
        (&[72], "sg-egress-deny"),
        (&[81], "sg-ingress-deny"),
        (&[82], "sg-ingress-deny"),
        (&[60], "of-drop"),
        (&[73], "of-drop"),
        // Where all that is refused goes to be counted.
        (&[71, 93], "sg-egress-deny"),
        (&[72, 93], "sg-egress-deny"),
        (&[82, 93], "sg-ingress-deny"),
        (&[60, 93], "of-drop"),
        (&[93, 60], "of-drop"),
        (&[], "of-drop"),
    ] {
        let all: Vec<u8> = std::iter::once(0).chain(tables.iter().copied()).collect();
        let next = all.iter().skip(1).map(|table| format!("resubmit(,{table})"));
        let actions = next.chain(std::iter::once("drop".to_owned()));
        let flows = all.iter().zip(actions);
        let flows: Vec<String> = flows
            .map(|(table, action)| format!("table={table}, priority=9 actions={action}"))
            .collect();
        let flows: Vec<&str> = flows.iter().map(String::as_str).collect();
        assert_eq!(reason(&flows), expected, "{tables:?}");
    }
    assert_eq!(reason(&["table=0, priority=9,arp actions=NORMAL"]), "of-no-match");
    let invalid = [
        "table=0, priority=9,icmp actions=ct(table=72)",
        "table=72, priority=9,ct_state=+new+trk,icmp actions=drop",
    ];
    assert_eq!(reason(&invalid), "sg-egress-deny");
}

const ALL: &str = "ff:ff:ff:ff:ff:ff";
const GUEST: &str = "02:00:00:00:00:99";

#[test]
fn what_is_flooded_leaves_out_ports_that_are_set_so() {
    for (config, flow, expected) in [
        ("0", "NORMAL", "m1, p2"),
        ("NO_FLOOD", "NORMAL", "m1"),
        ("NO_FWD", "NORMAL", "m1, p2 of-port-config"),
        ("NO_RECV", "NORMAL", "m1, p2"),
        ("NO_FLOOD", "FLOOD", "m1, m2"),
        ("NO_FLOOD", "ALL", "m1, m2, p2"),
        ("NO_FLOOD", "output:2", "p2"),
        ("NO_FWD", "output:2", "p2 of-port-config"),
    ] {
        let text = bridge(&[("p2", config)], flow, "");
        assert_eq!(leaves(&text, "p1", ALL), expected, "{config} {flow}");
    }
}

#[test]
fn protected_ports_exchange_nothing() {
    let row = |name: &str, protected: bool| {
        format!(
            "_uuid               : 6c3a5e4e-0000-4000-8000-0000000000{name}\nname                : {name}\nprotected           : {protected}\n\n"
        )
    };
    for (second, expected) in [(true, "p1 l2-dead-end"), (false, "p2")] {
        let rows =
            format!("root@h1:~# ovs-vsctl list port\n{}{}", row("p1", true), row("p2", second));
        assert_eq!(leaves(&bridge(&[], "output:2", &rows), "p1", GUEST), expected, "{second}");
    }
}

/// `bond/show` of a bond, with the lines of its members.
fn shown(mode: &str, lacp: &str, first: &str, second: &str) -> String {
    format!(
        "root@h1:~# ovs-appctl bond/show\n---- b0 ----\nbond_mode: {mode}\nbond may use recirculation: no, Recirc-ID : \
         -1\nupdelay: 0 ms\nlacp_status: {lacp}\n\nmember m1: {first}\n\nmember m2: {second}\n\n"
    )
}

const ACTIVE: &str = "enabled\n  active member\n  may_enable: true";
const READY: &str = "enabled\n  may_enable: true";
const DISABLED: &str = "disabled\n  may_enable: false";

#[test]
fn bonds_send_by_the_member_that_they_use() {
    // The bridge has learnt the address at the bond, which it calls by the first member.
    let learnt = format!(
        "root@h1:~# ovs-appctl fdb/show br0\n port  VLAN  MAC                Age\n    3     0  {GUEST}    1\n"
    );
    for (bond, expected) in [
        (String::new(), "m1"),
        (shown("active-backup", "off", READY, ACTIVE), "m2"),
        (shown("active-backup", "off", DISABLED, ACTIVE), "m2"),
        (shown("active-backup", "off", ACTIVE, READY), "m1"),
        (shown("balance-slb", "off", DISABLED, ACTIVE), "m2"),
        (shown("balance-tcp", "negotiated", READY, ACTIVE), "m2"),
        (shown("balance-tcp", "configured", DISABLED, DISABLED), "m1 bond-backup"),
        (
            "root@h1:~# ovs-vsctl list interface m2\n_uuid               : 5a0c9a4c-1d3c-4b8c-9a3b-1f6a4c1d2e30\n\
             mac_in_use          : \"02:00:00:00:02:02\"\nname                : m2\ntype                : \"\"\n\n\
             root@h1:~# ovs-vsctl list port b0\n_uuid               : 6c3a5e4e-0000-4000-8000-000000000003\n\
             bond_active_slave   : \"02:00:00:00:02:02\"\nbond_mode           : active-backup\nname                : b0\n\n"
                .to_owned(),
            "m2",
        ),
    ] {
        let text = bridge(&[], "NORMAL", &format!("{learnt}{bond}"));
        assert_eq!(leaves(&text, "p1", GUEST), expected, "{bond}");
    }
}

#[test]
fn bonds_drop_what_members_that_wait_receive() {
    for (bond, from, to, expected) in [
        (shown("active-backup", "off", READY, ACTIVE), "m1", GUEST, "m1 bond-backup"),
        (shown("active-backup", "off", READY, ACTIVE), "m2", GUEST, "p1, p2"),
        (shown("balance-slb", "off", READY, ACTIVE), "m1", GUEST, "p1, p2"),
        (shown("balance-slb", "off", READY, ACTIVE), "m1", ALL, "m1 bond-backup"),
        (shown("balance-tcp", "negotiated", READY, ACTIVE), "m1", ALL, "p1, p2"),
        (shown("balance-tcp", "negotiated", DISABLED, ACTIVE), "m1", GUEST, "m1 bond-backup"),
        (shown("balance-tcp", "configured", READY, ACTIVE), "m2", GUEST, "m2 bond-backup"),
        (String::new(), "m1", GUEST, "p1, p2"),
    ] {
        let text = bridge(&[], "NORMAL", &bond);
        assert_eq!(leaves(&text, from, to), expected, "{from} {to} {bond}");
    }
}
