//! What `NORMAL` does with the VLANs of frames, and which ports get them.
use std::fmt::Write as _;

use tapline_network::trace::{Question, Tracer};

use super::common::with_network;

/// Ports of a bridge that forwards as a switch does, and their columns.
const PORTS: &[(&str, &str)] = &[
    ("acc10", "tag: 10"),
    ("bcc10", "tag: 10"),
    ("acc20", "tag: 20"),
    ("trunk", "trunks: [10, 20]"),
    ("any", ""),
    ("nat10", "tag: 10\n            trunks: [20]\n            vlan_mode: native-untagged"),
    ("tag10", "tag: 10\n            trunks: [20]\n            vlan_mode: native-tagged"),
    ("nat30", "tag: 30\n            trunks: [20]\n            vlan_mode: native-untagged"),
    ("tun10", "tag: 10\n            vlan_mode: dot1q-tunnel"),
    ("dead", "tag: 4095"),
];

/// The host of this bridge; `more` stands behind.
fn switch(more: &str) -> String {
    let mut show =
        "root@h1:~# ovs-vsctl show\n0b4f7f5e-1f0c-4d0e-8d0c-3c1a5a7c9b10\n    Bridge br0\n        \
                    Port br0\n            Interface br0\n                type: internal\n"
            .to_owned();
    let mut listed = String::new();
    for ((name, columns), number) in PORTS.iter().zip(1..) {
        writeln!(show, "        Port {name}").unwrap();
        if !columns.is_empty() {
            writeln!(show, "            {columns}").unwrap();
        }
        writeln!(show, "            Interface {name}").unwrap();
        write!(
            listed,
            " {number}({name}): addr:fe:16:3e:00:00:{number:02x}\n     config:     0\n     \
             state:      0\n     speed: 0 Mbps now, 0 Mbps max\n"
        )
        .unwrap();
    }
    format!(
        "{show}    ovs_version: \"2.17.9\"\nroot@h1:~# ovs-ofctl show br0\n\
         OFPT_FEATURES_REPLY (xid=0x2): dpid:0000aaaabbbbcccc\nn_tables:254, n_buffers:0\n\
         capabilities: FLOW_STATS TABLE_STATS PORT_STATS QUEUE_STATS ARP_MATCH_IP\nactions: output\n\
         {listed} LOCAL(br0): addr:f6:4a:e1:e1:d6:43\n     config:     PORT_DOWN\n     \
         state:      LINK_DOWN\n     speed: 0 Mbps now, 0 Mbps max\n\
         OFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal miss_send_len=0\n\
         root@h1:~# ovs-ofctl dump-flows br0\n \
         cookie=0x0, duration=9.1s, table=0, n_packets=7, n_bytes=700, priority=0 actions=NORMAL\n\
         {more}root@h1:~# \n"
    )
}

/// The ports by which copies of a frame leave the bridge, with their tags; or why it is lost.
fn leaves(text: &str, from: &str, vlan: Option<u16>, to: &str) -> String {
    with_network(text, |network| {
        let tag = vlan.map(|vlan| format!(",dl_vlan={vlan}")).unwrap_or_default();
        let question = Question {
            from: format!("ovs:br0/{from}"),
            packet: Some(format!(
                "icmp,dl_src=02:00:00:00:00:01,dl_dst={to}{tag},nw_src=192.0.2.1,nw_dst=192.0.2.2"
            )),
            stop_at: Some("ovs".to_owned()),
            ..Question::default()
        };
        let trace = Tracer::new(network).ask(&question).unwrap().trace;
        let mut all: Vec<String> = trace
            .ends
            .iter()
            .filter_map(|end| {
                let port = end.place.port.as_deref().or(end.place.device.as_deref())?;
                let tags: Vec<_> =
                    end.packet.vlans().unwrap().iter().map(|vlan| format!(":{vlan}")).collect();
                let reason =
                    end.reason.map_or(String::new(), |reason| format!(" {}", reason.as_str()));
                // The bridge's own port is down on most hosts.
                (port != "br0").then(|| format!("{port}{}{reason}", tags.concat()))
            })
            .collect();
        all.sort();
        all.join(", ")
    })
}

/// The address of a guest that was not learnt.
const GUEST: &str = "02:00:00:00:00:99";

#[test]
fn ports_take_and_give_vlans_by_their_mode() {
    let text = switch("");
    let of_ten = "any:10, bcc10, nat10, tag10:10, trunk:10, tun10";
    let of_twenty = "acc20, any:20, nat10:20, nat30:20, tag10:20, trunk:20";
    for (from, vlan, ports) in [
        ("acc10", None, of_ten.to_owned()),
        ("trunk", Some(20), of_twenty.replace(", trunk:20", "")),
        ("any", Some(20), of_twenty.replace("any:20, ", "")),
        ("nat10", None, of_ten.replace("any", "acc10, any").replace("nat10, ", "")),
        ("nat10", Some(20), of_twenty.replace("nat10:20, ", "")),
        ("tag10", None, of_ten.replace("any", "acc10, any").replace("tag10:10, ", "")),
        ("tun10", None, of_ten.replace("any", "acc10, any").replace(", tun10", "")),
        ("any", None, String::new()),
        // As ovs-vswitchd 3.1 does it: 4095 is a VLAN like others.
        ("any", Some(4095), "dead".to_owned()),
    ] {
        assert_eq!(leaves(&text, from, vlan, GUEST), ports, "{from} {vlan:?}");
    }
    for (from, vlan, reason) in [
        ("acc10", Some(10), "ovs-access-got-tagged"),
        ("trunk", Some(30), "ovs-vlan-not-trunked"),
        ("trunk", None, "ovs-vlan-not-trunked"),
        ("nat10", Some(30), "ovs-vlan-not-trunked"),
        ("dead", None, "dead-vlan-4095"),
    ] {
        let found = leaves(&text, from, vlan, GUEST);
        assert!(found.ends_with(reason), "{from} {vlan:?}: {found}");
    }
}

#[test]
fn a_port_that_tunnels_puts_its_tag_around_that_of_a_frame() {
    let text = switch("");
    assert!(leaves(&text, "tun10", Some(20), GUEST).contains("trunk:10:20"));
    assert!(!leaves(&text, "acc10", Some(20), GUEST).contains("trunk"));
    // Nothing with two tags goes out by a port that gives frames without one.
    let all = leaves(&text, "tun10", Some(20), GUEST);
    assert!(!all.contains("acc10") && !all.contains("bcc10"), "{all}");
}

#[test]
fn the_mode_of_a_port_counts_before_its_tag() {
    let with = |mode: &str| {
        switch("").replace(
            "            tag: 20\n",
            &format!("            tag: 20\n            vlan_mode: {mode}\n"),
        )
    };
    for (mode, vlan, port) in [
        ("access", 10, None),
        ("access", 20, Some("acc20")),
        ("trunk", 10, Some("acc20:10")),
        ("trunk", 20, Some("acc20:20")),
        ("native-tagged", 20, Some("acc20:20")),
        ("native-untagged", 20, Some("acc20")),
        ("native-untagged", 10, Some("acc20:10")),
        ("dot1q-tunnel", 20, Some("acc20")),
        ("dot1q-tunnel", 10, None),
    ] {
        let all = leaves(&with(mode), "trunk", Some(vlan), GUEST);
        let found = all.split(", ").find(|port| port.starts_with("acc20"));
        assert_eq!(found, port, "{mode} {vlan}: {all}");
    }
}

#[test]
fn what_a_bridge_has_learnt_counts_in_its_vlan() {
    let fdb = |port: u32, vlan: u16| {
        switch(&format!(
            "root@h1:~# ovs-appctl fdb/show br0\n port  VLAN  MAC                Age\n    {port}    \
             {vlan}  {GUEST}    5\n"
        ))
    };
    assert_eq!(leaves(&fdb(2, 10), "acc10", None, GUEST), "bcc10");
    assert_eq!(leaves(&fdb(4, 10), "acc10", None, GUEST), "trunk:10");
    let flood = leaves(&switch(""), "acc10", None, GUEST);
    assert_eq!(leaves(&fdb(2, 20), "acc10", None, GUEST), flood);
    assert!(leaves(&fdb(1, 10), "acc10", None, GUEST).ends_with("fdb-points-back"));
}

#[test]
fn bridges_keep_reserved_addresses_unless_they_are_told() {
    let row = |value: &str| {
        format!(
            "root@h1:~# ovs-vsctl list Bridge\n_uuid               : 11111111-7a68-4a0f-9d2a-1d6a36f6a001\n\
             name                : br0\nother_config        : {{forward-bpdu=\"{value}\"}}\n"
        )
    };
    for (to, more, kept) in [
        ("01:80:c2:00:00:00", String::new(), true),
        ("01:80:c2:00:00:0e", String::new(), true),
        ("01:80:c2:00:00:21", String::new(), false),
        ("01:00:0c:cc:cc:cc", String::new(), true),
        ("01:00:0c:cc:cc:cd", String::new(), true),
        ("01:00:0c:cd:cd:cd", String::new(), true),
        ("01:00:0c:00:00:00", String::new(), true),
        ("01:00:0c:11:11:11", String::new(), false),
        ("00:e0:2b:00:00:00", String::new(), true),
        ("00:e0:2b:00:00:04", String::new(), true),
        ("00:e0:2b:00:00:05", String::new(), false),
        ("ff:ff:ff:ff:ff:ff", String::new(), false),
        ("01:80:c2:00:00:0e", row("true"), false),
        ("01:80:c2:00:00:0e", row("false"), true),
    ] {
        let found = leaves(&switch(&more), "acc10", None, to);
        assert_eq!(found.ends_with("reserved-mac"), kept, "{to} {more}: {found}");
    }
}

#[test]
fn settings_of_a_port_stop_what_comes_in() {
    for (config, stopped) in
        [("0", false), ("NO_RECV", true), ("NO_FWD", false), ("NO_FLOOD", false)]
    {
        let text = switch("").replacen(
            "addr:fe:16:3e:00:00:01\n     config:     0\n",
            &format!("addr:fe:16:3e:00:00:01\n     config:     {config}\n"),
            1,
        );
        let found = leaves(&text, "acc10", None, GUEST);
        assert_eq!(found.ends_with("of-port-config"), stopped, "{config}: {found}");
    }
}
