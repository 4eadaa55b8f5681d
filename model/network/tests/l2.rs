//! Texts and what they prove of Ethernet: domains, segments, rings, uplinks, and who owns the ends of
//! tunnels.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{BRIDGE, TAP, VETH, down, link, port, session, with_network};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::l2::{self, JoinedDomains};
use tapline_network::{Answer, Network, uplink};
use tapline_topology::graph::NetdevKind;
use tapline_topology::{NodeId, Uplink};

fn device(network: &Network<'_>, name: &str) -> NodeId {
    network.topology.find_netdev(HostId(0), &Netns::Root, name).unwrap()
}

fn are_joined(network: &Network<'_>, a: &str, b: &str) -> bool {
    let of = |name| network.segments().of(device(network, name));
    of(a).is_some() && of(a) == of(b)
}

/// A switch with ports of several kinds; `more` stands in the block of the bridge.
fn switch(more: &str) -> String {
    let ovs = "    openvswitch_slave\n";
    let taps: Vec<String> = (1..=6)
        .map(|at| link(at + 2, &format!("vnet{at}"), "master ovs-system", &(TAP.to_owned() + ovs)))
        .collect();
    let show = format!(
        "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br0
{more}        Port vnet1
            tag: 10
            Interface vnet1
        Port vnet2
            tag: 10
            Interface vnet2
        Port vnet3
            tag: 20
            Interface vnet3
        Port vnet4
            trunks: [10, 20]
            Interface vnet4
        Port vnet5
            tag: 4095
            Interface vnet5
        Port vnet6
            tag: 4095
            Interface vnet6
    ovs_version: \"2.17.0\"
root@h1:~# "
    );
    session(&taps, &show)
}

#[test]
fn ports_of_one_vlan_are_one_domain() {
    with_network(&switch(""), |network| {
        let domain = |name| network.domain(device(network, name));
        assert_eq!(domain("vnet1").unwrap().vlan, 10);
        assert_eq!(domain("vnet1"), domain("vnet2"));
        assert_ne!(domain("vnet1"), domain("vnet3"));
        assert_eq!(domain("vnet4").unwrap().vlan, 0, "untagged frames of a trunk");
        assert_eq!(domain("vnet5"), None, "the dead VLAN joins nothing");
        assert!(are_joined(network, "vnet1", "vnet2"));
        assert!(!are_joined(network, "vnet1", "vnet3"));
        assert!(!are_joined(network, "vnet5", "vnet6"));
    });
}

#[test]
fn programmed_bridges_do_not_flood_by_themselves() {
    let floods = |more: &str| {
        with_network(&switch(more), |network| {
            network.floods_into(device(network, "vnet1")).is_some()
        })
    };
    assert!(floods(""));
    assert!(floods("        fail_mode: standalone\n"));
    assert!(!floods("        fail_mode: secure\n"));
    assert!(!floods("        Controller \"tcp:127.0.0.1:6633\"\n"));
}

/// Two Linux bridges and two veth pairs between them.
fn two_bridges(second: &str, state: &str, filtering: bool) -> String {
    let bridge =
        if filtering { BRIDGE.replace("filtering 0", "filtering 1") } else { BRIDGE.into() };
    let forwards = VETH.to_owned() + &port("forwarding");
    let links = [
        link(2, "br0", "", &bridge),
        link(3, "br1", "", BRIDGE),
        link(4, "a0@a1", "master br0", &forwards),
        link(5, "a1@a0", "master br1", &forwards),
        link(6, "b0@b1", &format!("{second}master br0"), &(VETH.to_owned() + &port(state))),
        link(7, "b1@b0", "master br1", &forwards),
        link(8, "vnet0", "master br0", &(TAP.to_owned() + &port("forwarding"))),
        link(9, "vnet1", "master br1", &(TAP.to_owned() + &port("forwarding"))),
    ];
    session(&links, "")
}

#[test]
fn two_links_between_two_bridges_are_a_ring() {
    let rings = |text: &str| {
        with_network(text, |network| {
            let rings = JoinedDomains::new(network).rings();
            rings.iter().map(Vec::len).collect::<Vec<_>>()
        })
    };
    assert_eq!(rings(&two_bridges("", "forwarding", false)), [2]);
    assert_eq!(rings(&two_bridges("", "blocking", false)), [] as [usize; 0]);
    assert_eq!(rings(&two_bridges("down ", "disabled", false)), [] as [usize; 0]);
    assert_eq!(rings(&two_bridges("", "forwarding", true)), [] as [usize; 0], "VLANs may differ");
}

#[test]
fn veths_join_bridges_and_vlan_filters_part_ports() {
    with_network(&two_bridges("", "forwarding", false), |network| {
        assert!(are_joined(network, "vnet0", "vnet1"));
        assert!(are_joined(network, "vnet0", "br1"));
    });
    with_network(&two_bridges("", "forwarding", true), |network| {
        assert!(!are_joined(network, "vnet0", "vnet1"));
        assert!(!are_joined(network, "vnet0", "br0"));
        assert!(are_joined(network, "vnet1", "br1"));
    });
}

#[test]
fn spanning_tree_is_known_of_each_bridge() {
    let off = BRIDGE.replace("stp_state 1", "stp_state 0");
    let text = session(&[link(2, "br0", "", BRIDGE), link(3, "br1", "", &off)], "");
    with_network(&text, |network| {
        let of = |name| {
            let state = network.spanning_trees().of(network, device(network, name));
            state.map(|(on, _)| on)
        };
        assert_eq!((of("br0"), of("br1")), (Some(true), Some(false)));
    });
}

#[test]
fn rows_of_bridges_tell_whether_spanning_tree_runs() {
    let of = |stp: &str, rstp: &str| {
        let rows = format!(
            "ovs-vsctl list Bridge\n_uuid               : 11111111-7a68-4a0f-9d2a-1d6a36f6a001\n\
             name                : br0\n{rstp}{stp}root@h1:~# ovs-vsctl show\n\
             5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001\n    Bridge br0\n        Port br0\n            \
             Interface br0\n                type: internal\n    ovs_version: \"2.17.0\"\nroot@h1:~# "
        );
        with_network(&session(&[link(2, "eno1", "", "")], &rows), |network| {
            let bridge = network.topology.find_ovs_bridge(HostId(0), "br0").unwrap();
            network.spanning_trees().of(network, bridge).map(|(on, _)| on)
        })
    };
    let (on, off) = ("stp_enable          : true\n", "stp_enable          : false\n");
    let (rapid, slow) = ("rstp_enable         : true\n", "rstp_enable         : false\n");
    for (stp, rstp, runs) in [
        (on, slow, Some(true)),
        (off, slow, Some(false)),
        (off, rapid, Some(true)),
        (on, "", Some(true)),
        (off, "", Some(false)),
        ("", rapid, Some(true)),
        ("", "", None),
    ] {
        assert_eq!(of(stp, rstp), runs, "{stp}{rstp}");
    }
}

#[test]
fn what_stands_on_a_nic_serves() {
    let domain = |state: &str| {
        format!(
            "virsh list --all\n Id   Name   State\n-----------------------\n {}    web    {state}\n\n\
             root@h1:~# virsh dumpxml web\n<domain type='kvm'>\n  <name>web</name>\n  \
             <uuid>3b1f8c52-6f0f-4a0f-9a40-0d6c0f7f1a01</uuid>\n  <devices>\n    \
             <interface type='direct'>\n      <mac address='52:54:00:aa:00:01'/>\n      \
             <source dev='eno1' mode='bridge'/>\n      <target dev='macvtap0'/>\n      \
             <model type='virtio'/>\n    </interface>\n  </devices>\n</domain>\nroot@h1:~# ",
            if state == "running" { "3" } else { "-" }
        )
    };
    let nic = link(2, "eno1", "", "");
    let macvtap = link(3, "macvtap0@eno1", "", "    macvtap mode bridge\n");
    let vlan =
        |more: &str| link(3, "eno1.7@eno1", more, "    vlan protocol 802.1Q id 7 <REORDER_HDR>\n");
    let address = |ip: &str| {
        format!(
            "    inet {ip} scope global eno1.7\n       valid_lft forever preferred_lft forever\n"
        )
    };
    for (links, rest, role) in [
        (vec![nic.clone()], String::new(), None),
        (vec![nic.clone(), macvtap.clone()], domain("running"), Some("macvtap0")),
        (vec![nic.clone(), macvtap], domain("shut off"), None),
        (vec![nic.clone(), vlan("")], String::new(), None),
        (vec![nic.clone(), vlan("") + &address("192.0.2.1/24")], String::new(), Some("eno1.7")),
        // An address of the link serves nobody.
        (vec![nic.clone(), vlan("") + &address("169.254.3.4/16")], String::new(), None),
        (vec![nic, vlan("master br0 "), link(4, "br0", "", BRIDGE)], String::new(), Some("eno1.7")),
    ] {
        with_network(&session(&links, &rest), |network| {
            let eno1 = network.netdev(device(network, "eno1")).unwrap();
            let found = uplink::role(network, &eno1).map(|role| match role {
                uplink::Role::Carries(upper) => network.netdev(upper).unwrap().name().to_owned(),
                other => format!("{other:?}"),
            });
            assert_eq!(found.as_deref(), role, "{links:?} {rest}");
        });
    }
}

#[test]
fn bridges_have_uplinks_and_radios_have_names() {
    let bridge = |port: &str, kind: &str| {
        let show = format!(
            "ovs-vsctl show\n5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001\n    Bridge br0\n        Port {port}\n            \
             Interface {port}\n{kind}    ovs_version: \"2.17.0\"\nroot@h1:~# "
        );
        let links = [link(2, "eno1", "", ""), link(3, "vnet0", "", TAP)];
        with_network(&session(&links, &show), |network| {
            uplink::has_uplink(network, HostId(0), "br0")
        })
    };
    let kind = |kind: &str| format!("                type: {kind}\n");
    assert!(bridge("eno1", ""));
    assert!(!bridge("vnet0", ""));
    assert!(!bridge("br0", &kind("internal")));
    assert!(bridge("p0", &kind("patch")));
    assert!(bridge("dpdk0", &kind("dpdk")));
    assert!(!bridge("vhu0", &kind("vhostuser")));
    for (name, radio) in
        [("wlan0", true), ("wlp3s0", true), ("eno1", false), ("wlx", false), ("eth0", false)]
    {
        assert_eq!(uplink::is_wireless(name), radio, "{name}");
    }
}

#[test]
fn uplinks_have_a_reason() {
    let links = [
        link(2, "eno1", "master bond0", "    bond_slave state ACTIVE mii_status UP\n"),
        link(3, "bond0", "", "    bond mode active-backup\n"),
        link(4, "bond0.7@bond0", "", "    vlan protocol 802.1Q id 7\n"),
        link(5, "vnet0", "master br0", &(TAP.to_owned() + &port("forwarding"))),
        link(6, "br0", "", BRIDGE),
        link(7, "v0@v1", "", VETH),
        link(8, "v1@v0", "", VETH),
        link(9, "vx7", "", "    vxlan id 7 local 192.0.2.1 dstport 4789\n"),
    ];
    with_network(&session(&links, ""), |network| {
        let of = |name| network.topology.uplink(device(network, name));
        assert_eq!(of("eno1"), Some(Uplink::Kind(NetdevKind::Physical)));
        assert_eq!(of("bond0"), Some(Uplink::Kind(NetdevKind::Bond)));
        assert_eq!(of("bond0.7"), Some(Uplink::Kind(NetdevKind::Vlan)));
        for name in ["vnet0", "br0", "v0", "vx7"] {
            assert_eq!(of(name), None, "{name}");
        }
        let nic = |name| of(name).is_some_and(Uplink::is_nic);
        assert!(nic("eno1") && !nic("bond0") && !nic("bond0.7"));
    });
}

#[test]
fn devices_pass_frames_unless_something_says_no() {
    let links = [
        link(2, "eno1", "", ""),
        link(3, "eno2", "down ", ""),
        link(4, "br0", "", BRIDGE),
        link(5, "vnet0", "master br0", &(TAP.to_owned() + &port("listening"))),
        link(6, "vnet1", "master br0", &(TAP.to_owned() + &port("learning"))),
    ];
    with_network(&session(&links, ""), |network| {
        let of = |name| match network.forwarding(device(network, name)) {
            Answer::Known(block) => block.map(|block| block.why.to_string()),
            Answer::Unknown(_) => Some("unknown".to_owned()),
        };
        assert_eq!(of("eno1"), None);
        assert_eq!(of("eno2").unwrap(), "down");
        assert_eq!(of("vnet0").unwrap(), "listening by spanning tree");
        assert_eq!(of("vnet1").unwrap(), "learning by spanning tree");
    });
}

#[test]
fn texts_that_disagree_about_a_bridge_leave_its_port_open() {
    let links = [
        link(2, "br0", "", BRIDGE),
        link(3, "br1", "", BRIDGE),
        link(4, "vnet0", "master br0", &(TAP.to_owned() + &port("blocking"))),
    ];
    let brctl = |bridge: &str| {
        format!(
            "brctl show\nbridge name\tbridge id\t\tSTP enabled\tinterfaces\n\
             {bridge}\t\t8000.525400000102\tno\t\tvnet0\nroot@h1:~# "
        )
    };
    // Another value of a fact says nothing of the bridge.
    let other_mac = format!(
        "ip -d link\n{}root@h1:~# ",
        link(4, "vnet0", "master br0", &(TAP.to_owned() + &port("blocking")))
            .replace("52:54:00:00:01:04", "52:54:00:00:09:09")
    );
    for (more, disputed) in [(brctl("br1"), true), (brctl("br0"), false), (other_mac, false)] {
        with_network(&session(&links, &more), |network| {
            let vnet0 = device(network, "vnet0");
            assert_eq!(network.is_disputed(vnet0), disputed, "{more}");
            let block = network.forwarding(vnet0).known().flatten();
            assert_eq!(block.is_none(), disputed, "{more}");
        });
    }
}

/// Two hosts with a tunnel to each other.
fn pair(second_mac: &str) -> String {
    let host = |name: &str, local: &str, remote: &str, mac: &str| {
        format!(
            "root@{name}:~# ip -d address
2: eno1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen 1000
    link/ether {mac} brd ff:ff:ff:ff:ff:ff
    inet {local}/24 scope global eno1
       valid_lft forever preferred_lft forever
root@{name}:~# ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br-tun
        Port vx
            Interface vx
                type: vxlan
                options: {{key=flow, local_ip=\"{local}\", remote_ip=\"{remote}\"}}
    ovs_version: \"2.17.0\"
"
        )
    };
    let first = host("h1", "192.0.2.1", "192.0.2.2", "52:54:00:00:01:01");
    first + &host("h2", "192.0.2.2", "192.0.2.1", second_mac) + "root@h2:~# "
}

#[test]
fn far_ends_belong_to_other_machines() {
    // One MAC that two hosts have in common may be a copy: it takes two to be one machine.
    for mac in ["52:54:00:00:02:01", "52:54:00:00:01:01"] {
        with_network(&pair(mac), |network| {
            let (first, second) = (HostId(0), HostId(1));
            assert!(!network.same_machine(first, second), "{mac}");
            let mesh = network.mesh();
            assert_eq!(mesh.other(network, "192.0.2.2".parse().unwrap(), first), Some(second));
            assert_eq!(mesh.other(network, "192.0.2.1".parse().unwrap(), first), None);
            assert_eq!(mesh.other(network, "192.0.2.9".parse().unwrap(), first), None);
            assert!(mesh.ways(network).contains(&(second, first)));
        });
    }
}

/// Two bridges, joined by VLAN devices on the ends of a pair, with a tap on one and a NIC on the other.
fn joined_by_vlans(near: &str, far: &str, on_near: &[&str]) -> String {
    let vlan = |tag: &str| format!("    vlan protocol {tag} <REORDER_HDR>\n{}", port("forwarding"));
    let mut links = vec![
        link(2, "eno1", "master br1", &port("forwarding")),
        link(3, "br0", "", BRIDGE),
        link(4, "br1", "", BRIDGE),
        link(5, "tapa", "master br0", &(TAP.to_owned() + &port("forwarding"))),
        link(6, "va@vb", "", VETH),
        link(7, "vb@va", "", VETH),
        link(9, "vb.1@vb", "master br1", &vlan(far)),
    ];
    match on_near {
        [] => links.push(link(8, "va.1@va", "master br0", &vlan(near))),
        [lower] => {
            links.push(link(
                8,
                "va.2@va",
                "",
                &format!("    vlan protocol {lower} <REORDER_HDR>\n"),
            ));
            links.push(link(10, "va.2.1@va.2", "master br0", &vlan(near)));
        }
        _ => unreachable!(),
    }
    session(&links, "")
}

#[test]
fn vlan_devices_meet_over_a_pair() {
    for (near, far, on_near, last) in [
        ("802.1Q id 10", "802.1Q id 10", &[][..], "eno1"),
        ("802.1ad id 10", "802.1ad id 10", &[], "eno1"),
        ("802.1Q id 10", "802.1Q id 20", &[], "vb.1: does not carry VLAN 10"),
        ("802.1ad id 10", "802.1Q id 10", &[], "vb.1: does not carry VLAN 10"),
        // The outer tag counts.
        ("802.1Q id 10", "802.1Q id 10", &["802.1Q id 20"], "vb.1: does not carry VLAN 20"),
        ("802.1Q id 10", "802.1Q id 20", &["802.1Q id 20"], "eno1"),
    ] {
        let shown = down(&joined_by_vlans(near, far, on_near), "tapa");
        assert_eq!(shown.last().map(String::as_str), Some(last), "{near} {far} {on_near:?}");
    }
}

#[test]
fn ports_carry_what_their_mode_says() {
    let show = "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br0
        Port vnet1
            Interface vnet1
    ovs_version: \"2.17.0\"
root@h1:~# ";
    // (mode, tag, trunks, VLANs of 0, 5, 7, 9 and 4095 that it carries, VLAN of untagged frames, access VLAN)
    for (mode, tag, trunks, carried, untagged, access) in [
        ("[]", "[]", "[]", "0 5 7 9", None, None),
        ("[]", "5", "[]", "5", Some(5), Some(5)),
        ("access", "5", "[]", "5", Some(5), Some(5)),
        ("[]", "[]", "[7, 9]", "7 9", None, None),
        ("trunk", "[]", "[7]", "7", None, None),
        // A tag says nothing of a trunk.
        ("trunk", "5", "[7]", "7", None, None),
        ("native-tagged", "5", "[7]", "5 7", Some(5), None),
        ("native-untagged", "5", "[7, 9]", "5 7 9", Some(5), None),
        ("native-untagged", "5", "[]", "0 5 7 9", Some(5), None),
        ("[]", "4095", "[]", "", Some(4095), Some(4095)),
    ] {
        let list = format!(
            "{show}ovs-vsctl list Port\n_uuid               : 22222222-7a68-4a0f-9d2a-1d6a36f6a001\n\
             name                : vnet1\ntag                 : {tag}\ntrunks              : {trunks}\n\
             vlan_mode           : {mode}\nroot@h1:~# "
        );
        let links = [link(3, "vnet1", "master ovs-system", TAP)];
        with_network(&session(&links, &list), |network| {
            let port = network.topology.find_ovs_port(HostId(0), "vnet1").unwrap();
            let port = network.ovs_port(port).unwrap();
            let all = [0, 5, 7, 9, 4095].into_iter();
            let all = all.filter(|vlan| l2::carries(port.data, *vlan)).map(|vlan| vlan.to_string());
            let said = format!("{mode} {tag} {trunks}");
            assert_eq!(all.collect::<Vec<_>>().join(" "), carried, "{said}");
            assert_eq!(l2::vlan_of_untagged(port.data), untagged, "{said}");
            assert_eq!(l2::access_vlan(port.data), access, "{said}");
        });
    }
}

#[test]
fn patches_join_bridges_that_keep_vlans() {
    let joined = |of_first: &str, of_second: &str, tag: &str| {
        let ovs = "    openvswitch_slave\n";
        let taps = [1, 2].map(|at| {
            link(at + 2, &format!("vnet{at}"), "master ovs-system", &(TAP.to_owned() + ovs))
        });
        let patch = |own: &str, peer: &str| {
            format!(
                "        Port {own}\n            Interface {own}\n                type: patch\n                \
                 options: {{peer={peer}}}\n"
            )
        };
        let show = format!(
            "ovs-vsctl show\n5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001\n    Bridge br0\n{of_first}        Port vnet1\n{tag}            \
             Interface vnet1\n{}    Bridge br1\n{of_second}        Port vnet2\n            Interface vnet2\n{}    \
             ovs_version: \"2.17.0\"\nroot@h1:~# ",
            patch("to-br1", "to-br0"),
            patch("to-br0", "to-br1"),
        );
        with_network(&session(&taps, &show), |network| are_joined(network, "vnet1", "vnet2"))
    };
    let secure = "        fail_mode: secure\n";
    let controller = "        Controller \"tcp:127.0.0.1:6633\"\n            is_connected: true\n";
    assert!(joined("", "", ""));
    // A controller may change tags there; and a port may be in another VLAN.
    assert!(!joined(secure, "", ""));
    assert!(!joined("", secure, ""));
    assert!(!joined(controller, "", ""));
    assert!(!joined("", "", "            tag: 7\n"));
}
