//! Bridges that have no port but those of the host itself: what is sent by them goes nowhere.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{BRIDGE, TAP, VETH, link, port, session, with_network};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::Answer;

/// `bare`, `used`, or what would tell.
fn told(text: &str, bridge: &str, is_switch: bool) -> String {
    with_network(text, |network| {
        let host = HostId(0);
        let node = if is_switch {
            network.topology.find_ovs_bridge(host, bridge)
        } else {
            network.topology.find_netdev(host, &Netns::Root, bridge)
        };
        match network.is_bare(node.unwrap()) {
            Answer::Known(Some(_)) => "bare".to_owned(),
            Answer::Known(None) => "used".to_owned(),
            Answer::Unknown(needs) => {
                needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
            }
        }
    })
}

#[test]
fn switches_without_ports_for_others() {
    let show = |ports: &str| {
        let ports: Vec<String> = ports
            .split_whitespace()
            .map(|port| {
                let (name, kind) = port.split_once(':').unwrap_or((port, ""));
                let kind = if kind.is_empty() {
                    String::new()
                } else {
                    format!("                type: {kind}\n")
                };
                format!("        Port {name}\n            Interface {name}\n{kind}")
            })
            .collect();
        let links = [
            link(2, "eno1", "", ""),
            link(3, "tapa", "master ovs-system", &(TAP.to_owned() + "    openvswitch_slave\n")),
            link(4, "br0", "", "    openvswitch\n"),
            link(5, "mgmt", "", "    openvswitch\n"),
        ];
        session(
            &links,
            &format!(
                "ovs-vsctl show\n5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001\n    Bridge br0\n{}    \
                 ovs_version: \"2.17.0\"\n",
                ports.concat()
            ),
        )
    };
    for (ports, expected) in [
        ("br0:internal", "bare"),
        ("br0:internal mgmt:internal", "bare"),
        ("br0:internal tapa", "used"),
        ("br0:internal mgmt:internal tapa", "used"),
        ("br0:internal vx:vxlan", "used"),
        // A port that stands in no list of devices may be in root.
        ("br0:internal gone:internal", "bare"),
    ] {
        assert_eq!(told(&show(ports), "br0", true), expected, "{ports}");
    }
}

#[test]
fn an_internal_port_of_a_namespace_is_for_others() {
    let text = format!(
        "root@h1:~# ip netns\nblue\nroot@h1:~# ip -d link\n{}root@h1:~# ip netns exec blue ip -d link\n{}\
         root@h1:~# ovs-vsctl show\n5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001\n    Bridge br0\n        \
         Port br0\n            Interface br0\n                type: internal\n        \
         Port tap1\n            Interface tap1\n                type: internal\n    \
         ovs_version: \"2.17.0\"\nroot@h1:~# \n",
        link(2, "br0", "", "    openvswitch\n"),
        link(9, "tap1", "", "    openvswitch\n"),
    );
    assert_eq!(told(&text, "br0", true), "used");
}

#[test]
fn linux_bridges_without_ports() {
    let lo = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default\n    \
              link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n";
    let own = lo.to_owned() + &link(3, "br0", "", BRIDGE);
    let member = link(4, "va", "master br0", &(VETH.to_owned() + &port("forwarding")));
    let members = "bridge link\n";
    for (links, rest, expected) in [
        (vec![own.clone()], members, "bare"),
        (vec![own.clone(), member.clone()], members, "used"),
        (vec![own.clone(), link(4, "va", "", VETH)], members, "bare"),
    ] {
        assert_eq!(told(&session(&links, rest), "br0", false), expected, "{links:?}");
    }
    // Without `lo` the list was cut.
    let cut = told(&session(&[link(3, "br0", "", BRIDGE)], members), "br0", false);
    assert!(cut.starts_with("ip -d address"), "{cut}");
    // What is no bridge is not bare.
    assert_eq!(told(&session(&[own, member], members), "va", false), "used");
}
