//! Texts, and what they prove of the packets of tunnels: whether the host has a way for them, uses the
//! address that they bear, and knows who takes them. Beside them what else ends a path, or leaves it
//! open, below a bridge.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
mod common;

use common::{BRIDGE, TAP, down, link, open, port, session};

const LOOPBACK: &str = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n    \
     link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n";

/// A guest in a bridge with a tunnel, whose packets leave by a NIC with the address `192.0.2.1`.
fn tunnel(details: &str, more: &[String], rest: &str) -> String {
    let links = [
        LOOPBACK.to_owned(),
        link(2, "eno1", "", &address("192.0.2.1/24", "")),
        link(3, "br0", "", BRIDGE),
        link(4, "tapa", "master br0", &(TAP.to_owned() + &port("forwarding"))),
        link(5, "tun1", "master br0", &format!("    {details}\n{}", port("forwarding"))),
    ];
    let links: Vec<String> = links.into_iter().chain(more.iter().cloned()).collect();
    session(&links, rest)
}

fn address(address: &str, flags: &str) -> String {
    let family = if address.contains(':') { "inet6" } else { "inet" };
    format!(
        "    {family} {address} scope global {flags}\n       valid_lft forever preferred_lft forever\n"
    )
}

/// Policy rules with one of a person, and the routes that they lead to.
fn routed(rule: &str) -> String {
    format!(
        "ip rule
0:\tfrom all lookup local
100:\tfrom all {rule}
32766:\tfrom all lookup main
32767:\tfrom all lookup default
root@h1:~# ip route show table all
unreachable 198.51.100.0/24 table 77
unreachable 192.0.2.2 table 77
192.0.2.0/24 dev eno1 proto kernel scope link src 192.0.2.1
local 192.0.2.1 dev eno1 table local proto kernel scope host src 192.0.2.1
root@h1:~# "
    )
}

const GRE: &str = "gretap remote 192.0.2.2 local 192.0.2.1 ttl inherit";
const VXLAN: &str = "vxlan id 7 remote 192.0.2.2 local 192.0.2.1 srcport 0 0 dstport 4789 ttl auto";

/// Rules of a person may ask for the protocol, the ports and the service of what a tunnel sends.
#[test]
fn rules_select_the_packets_of_tunnels() {
    let way = ["br0", "tun1", "192.0.2.2", "eno1"];
    let refused = ["br0", "tun1", "192.0.2.2"];
    for (details, rule, expected) in [
        (GRE, "ipproto gre unreachable", &refused[..]),
        (GRE, "ipproto gre lookup 77", &refused),
        (GRE, "ipproto 47 blackhole", &refused),
        (GRE, "ipproto udp blackhole", &way),
        (GRE, "ipproto udp lookup 77", &way),
        (GRE, "sport 1-9 blackhole", &way),
        (GRE, "tos lowdelay blackhole", &way),
        (GRE, "tos 0x10 lookup 77", &way),
        (VXLAN, "ipproto udp dport 4789 blackhole", &refused),
        (VXLAN, "ipproto udp dport 4000-5000 lookup 77", &refused),
        (VXLAN, "ipproto udp dport 8472 blackhole", &way),
        (VXLAN, "ipproto gre blackhole", &way),
        (&(GRE.to_owned() + " tos 0x10"), "tos lowdelay blackhole", &refused),
        (&(VXLAN.to_owned() + " tos 0x10"), "tos lowdelay lookup 77", &refused),
    ] {
        let text = tunnel(details, &[], &routed(rule));
        let mut hops = down(&text, "tapa");
        hops.dedup();
        let named: Vec<&str> = hops.iter().map(String::as_str).collect();
        assert_eq!(leads_out(&text), expected.len() == way.len(), "{details} {rule}: {named:?}");
    }
}

/// Whether routes let the packets of the tunnel go.
fn leads_out(text: &str) -> bool {
    common::with_network(text, |network| {
        let tunnel = network.tunnels().next().expect("a tunnel");
        let decision = tapline_network::overlay::route(network, tunnel).expect("a far end");
        !decision.known().expect("decided").hops().is_empty()
    })
}

#[test]
fn where_the_service_of_a_tunnel_is_that_of_its_frames_rules_that_ask_for_it_stay_open() {
    let text = tunnel(&(GRE.to_owned() + " tos inherit"), &[], &routed("tos lowdelay lookup 77"));
    common::with_network(&text, |network| {
        let tunnel = network.tunnels().next().expect("a tunnel");
        let decision = tapline_network::overlay::route(network, tunnel).expect("a far end");
        assert!(matches!(decision, tapline_network::Answer::Unknown(_)), "{decision:?}");
    });
}

#[test]
fn a_vrf_that_is_down_sends_nothing_of_what_is_bound_to_it() {
    let path = |flags: &str, to: &str| {
        let bound = format!(
            "vxlan id 7 remote {to}2 local {to}1 dev blue srcport 0 0 dstport 4789 ttl auto"
        );
        let more = [
            link(6, "blue", flags, "    vrf table 10\n"),
            link(7, "eno2", "master blue", &address(&format!("{to}1/64"), "")),
        ];
        let net = if to.contains(':') { "2001:db8::/64" } else { "198.51.100.0/24" };
        let routes = format!(
            "ip rule\n0:\tfrom all lookup local\n1000:\tfrom all lookup [l3mdev-table]\n32766:\tfrom all \
             lookup main\nroot@h1:~# ip route show table all\n{net} dev eno2 table 10 proto kernel scope link\nroot@h1:~# "
        );
        let hops = down(&tunnel(&bound, &more, &routes), "tapa");
        hops.into_iter().find(|hop| hop.contains(": "))
    };
    let to = "198.51.100.";
    assert_eq!(path("", to), None);
    assert_eq!(path("down ", to), Some("tun1: its device blue is down".to_owned()));
    // IPv6 does not look at the device.
    assert_eq!(path("down ", "2001:db8::"), None);
}

#[test]
fn gre_sends_nothing_from_an_address_that_another_machine_has() {
    let at = |kind: &str, flags: &str| {
        let details = format!("{kind} remote 2001:db8::2 local 2001:db8::1");
        let more = [link(6, "eno2", "", &address("2001:db8::1/64", flags))];
        let text = tunnel(&details, &more, "");
        let stopped = down(&text, "tapa").into_iter().find(|hop| hop.contains(": "));
        (stopped, open(&text, "tapa"))
    };
    let none: Vec<String> = Vec::new();
    let taken = "tun1: its source 2001:db8::1 is taken: duplicate address".to_owned();
    assert_eq!(at("ip6gretap", "tentative dadfailed").0, Some(taken));
    assert_eq!(at("ip6gretap", "tentative").1, ["tun1: ip -d address"]);
    assert_eq!(at("ip6gretap", "tentative optimistic"), (None, none.clone()));
    assert_eq!(at("ip6gretap", ""), (None, none.clone()));
    assert_eq!(at("vxlan id 7", "tentative dadfailed"), (None, none));
}

#[test]
fn what_a_person_entered_for_the_far_end_is_held_against_its_devices() {
    let seen = |neighbour: &str, far: &str, command: &str| {
        let near = tunnel(
            GRE,
            &[],
            &format!(
                "ip route\n192.0.2.0/24 dev eno1 proto kernel scope link src 192.0.2.1\nroot@h1:~# ip \
                 neigh\n192.0.2.2 dev eno1 lladdr {neighbour}\nroot@h1:~# "
            ),
        );
        let other = LOOPBACK.to_owned() + &link(2, "eno1", "", &address("192.0.2.2/24", "")) + far;
        let other = other.replace("52:54:00:00:01:02", "52:54:00:00:02:02");
        let other = format!("\nroot@h2:~# {command}\n{other}root@h2:~# \n");
        down(&(near + &other), "tapa").into_iter().find(|hop| hop.contains(": "))
    };
    let path = |neighbour: &str, far: &str| seen(neighbour, far, "ip -d address");
    let wrong = Some("tun1: the MAC that was entered for 192.0.2.2 is not its own".to_owned());
    assert_eq!(path("52:54:00:00:02:99 PERMANENT", ""), wrong);
    assert_eq!(path("52:54:00:00:02:02 PERMANENT", ""), None);
    // What was learnt is learnt again.
    assert_eq!(path("52:54:00:00:02:99 STALE", ""), None);
    // A host answers on each of its devices; and a MAC may stand for several hosts.
    let second = link(3, "eno2", "", "").replace("52:54:00:00:01:03", "52:54:00:00:02:99");
    assert_eq!(path("52:54:00:00:02:99 PERMANENT", &second), None);
    assert_eq!(path("00:00:5e:00:01:0a PERMANENT", ""), None);
    // Where a part of its devices was captured, another may have it.
    assert_eq!(seen("52:54:00:00:02:99 PERMANENT", "", "ip -d address show dev eno1"), None);
    assert_eq!(seen("52:54:00:00:02:99 PERMANENT", "", "ip netns exec blue ip -d address"), None);
}

const FILTERS: &str = "    bridge forward_delay 1500 stp_state 0 vlan_filtering 1\n";

#[test]
fn what_the_host_sends_by_a_bridge_does_not_end_there() {
    let path = |of_nic: &str| {
        let more = [link(6, "br1", "", &(FILTERS.to_owned() + &address("198.51.100.1/24", "")))];
        let text = tunnel("gretap remote 198.51.100.2 local 198.51.100.1", &more, "");
        let nic = link(7, "eno2", "master br1", &port("forwarding"));
        let text = text.replacen("root@h1:~# \n", &(nic + "root@h1:~# \n"), 1);
        let rest = format!(
            "bridge vlan show\nport              vlan-id\neno2              {of_nic}\nbr1               1 PVID Egress \
             Untagged\nroot@h1:~# "
        );
        down(&text.replace("root@h1:~# \n", &format!("root@h1:~# {rest}\n")), "tapa")
    };
    assert_eq!(path("1 PVID Egress Untagged").last().map(String::as_str), Some("eno2"));
    let last = path("5 PVID Egress Untagged");
    assert_eq!(last.last().map(String::as_str), Some("eno2: does not carry VLAN 1"));
}

#[test]
fn packets_of_tunnels_leave_by_a_port_of_their_bridge() {
    let last = |of_nic: &str, members: &str| {
        let details = format!("{BRIDGE}{}", address("198.51.100.1/24", ""));
        let more = [
            link(6, "br1", "", &details),
            link(7, "eno2", of_nic, ""),
            link(8, "tapb", members, TAP),
        ];
        let text = tunnel("gretap remote 198.51.100.2 local 198.51.100.1", &more, "");
        down(&text, "tapa").pop().unwrap()
    };
    assert_eq!(last("", ""), "br1: no port leads out of it");
    assert_eq!(last("master br1", ""), "eno2");
    // The far end may be a guest.
    assert_eq!(last("", "master br1"), "br1");
}

#[test]
fn only_a_guest_knows_whether_it_tags_what_a_bridge_takes_with_tags_alone() {
    let asked = |of_tap: &str| {
        let links = [
            link(2, "eno1", "master br0", &port("forwarding")),
            link(3, "br0", "", FILTERS),
            link(4, "vnet0", "master br0", &(TAP.to_owned() + &port("forwarding"))),
        ];
        let rest = format!(
            "bridge vlan show\nport              vlan-id\neno1              1 PVID Egress Untagged\n                  10\n\
             vnet0             {of_tap}\nroot@h1:~# virsh list\n Id   Name   State\n----------------------\n 1    \
             web    running\n\nroot@h1:~# virsh domiflist web\n Interface   Type     Source   Model    MAC\n\
             -------------------------------------------------------------\n vnet0       bridge   br0      \
             virtio   52:54:00:aa:00:01\n\nroot@h1:~# "
        );
        open(&session(&links, &rest), "vnet0")
    };
    let in_the_guest =
        "br0: ip -d link, in the guest: it has to tag its frames with a VLAN of the trunk";
    assert_eq!(asked("10"), [in_the_guest]);
    assert_eq!(asked("10 PVID Egress Untagged"), [] as [&str; 0]);
    assert_eq!(asked("1 PVID Egress Untagged\n                  10"), [] as [&str; 0]);
}

#[test]
fn what_encrypts_the_frames_of_a_nic_leads_out_by_it() {
    let path = |flags: &str| {
        let links = [
            link(2, "eno1", "", ""),
            link(
                3,
                "macsec0@eno1",
                &format!("{flags}master br0"),
                "    macsec sci 525400000102 0001 protect on cipher GCM-AES-128 icvlen 16 encodingsa 0\n",
            ),
            link(4, "br0", "", BRIDGE),
            link(5, "vnet0", "master br0", TAP),
        ];
        down(&session(&links, ""), "vnet0")
    };
    assert_eq!(path(""), ["br0", "macsec0", "eno1"]);
    assert_eq!(path("down "), ["br0", "macsec0: down", "eno1"]);
}

#[test]
fn groups_that_were_not_captured_leave_open_where_flows_lead() {
    let asked = |flow: &str, groups: &str| {
        let rest = format!(
            "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br0
        Port br0
            Interface br0
                type: internal
        Port tapa
            Interface tapa
        Port eno1
            Interface eno1
    ovs_version: \"2.17.0\"
root@h1:~# ovs-ofctl show br0
OFPT_FEATURES_REPLY (xid=0x2): dpid:0000525400000103
n_tables:254, n_buffers:0
 1(tapa): addr:fe:54:00:00:00:01
     config:     0
     state:      0
     speed: 0 Mbps now, 0 Mbps max
 2(eno1): addr:52:54:00:00:01:02
     config:     0
     state:      0
     speed: 0 Mbps now, 0 Mbps max
 LOCAL(br0): addr:52:54:00:00:01:04
     config:     0
     state:      0
     speed: 0 Mbps now, 0 Mbps max
OFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal miss_send_len=0
root@h1:~# ovs-ofctl dump-flows br0
NXST_FLOW reply (xid=0x4):
 cookie=0x0, duration=9s, table=0, n_packets=0, n_bytes=0, priority=9,in_port=1 actions={flow}
 cookie=0x0, duration=9s, table=0, n_packets=0, n_bytes=0, priority=0 actions=NORMAL
root@h1:~# {groups}"
        );
        let ovs = "    openvswitch_slave\n";
        let links = [
            link(2, "eno1", "master ovs-system", ovs),
            link(3, "tapa", "master ovs-system", &(TAP.to_owned() + ovs)),
            link(4, "ovs-system", "", "    openvswitch\n"),
        ];
        open(&session(&links, &rest), "tapa")
    };
    let groups = "ovs-ofctl -O OpenFlow13 dump-groups br0";
    assert_eq!(asked("group:1", ""), [format!("br0: {groups}")]);
    assert_eq!(asked("NORMAL", ""), [] as [&str; 0]);
    // What does not need them goes on.
    assert_eq!(asked("output:2,group:1", ""), [] as [&str; 0]);
    let captured = format!(
        "{groups}\nNXST_GROUP_DESC reply (xid=0x2):\n group_id=1,type=all,bucket=bucket_id:0,actions=output:2\nroot@h1:~# "
    );
    assert_eq!(asked("group:1", &captured), [] as [&str; 0]);
}
