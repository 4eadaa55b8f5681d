//! Small questions of rules: what was searched, which commands failed, what a definition wants, how far
//! apart texts were taken.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use std::collections::BTreeSet;

use common::{BRIDGE, TAP, link, neutron, port, session, with_network};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::environment::Glob;
use tapline_network::path::Paths;
use tapline_network::{defs, functions, nics, ovn, workloads};
use tapline_topology::Topic;

const HOST: HostId = HostId(0);

#[test]
fn names_fit_a_pattern_or_are_named_besides() {
    let glob = Glob::new("node-[12]*").unwrap();
    assert!(glob.matches("node-1") && glob.matches("node-25") && !glob.matches("node-3"));
    assert_eq!(glob.pattern(), "node-[12]*");
    let also = glob.or_one_of(BTreeSet::from(["web".to_owned()]));
    assert!(also.matches("node-1") && also.matches("web") && !also.matches("node-3"));
    assert_eq!(also.pattern(), "node-[12]*");
    assert!(Glob::new("node-[").is_err());
}

#[test]
fn shares_are_of_the_whole() {
    for (part, whole, share) in [(1, 4, 0.25), (0, 4, 0.0), (4, 4, 1.0), (0, 0, 1.0), (3, 0, 1.0)] {
        assert!((nics::ratio(part, whole) - share).abs() < 1e-9, "{part} of {whole}");
    }
}

#[test]
fn devices_of_xen_bear_the_number_of_their_domain() {
    for (name, told) in [
        ("vif1.0", true),
        ("vif12.3", true),
        ("vif1", false),
        ("vifa.0", false),
        ("tap1.0", false),
        ("eth0", false),
    ] {
        assert_eq!(workloads::is_of_xen(name), told, "{name}");
    }
}

#[test]
fn commands_that_failed_and_namespaces_that_were_entered_are_known() {
    let text = session(
        &[link(2, "eno1", "", "")],
        "ip netns\nred\nblue\nroot@h1:~# ip netns exec blue ip -d address\nCannot open network namespace \
         \"blue\": No such file or directory\nroot@h1:~# ip netns exec red ip -d link\n1: lo: \
         <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n    link/loopback 00:00:00:00:00:00 brd \
         00:00:00:00:00:00\nroot@h1:~# ",
    );
    with_network(&text, |network| {
        let failed: Vec<String> =
            network.failed_texts().map(|source| source.command.to_string()).collect();
        assert_eq!(failed.len(), 1, "{failed:?}");
        assert!(failed.iter().all(|command| command.contains("ip -d address")), "{failed:?}");
        let entered = |name: &str| network.was_entered(HOST, &Netns::Named(name.into()));
        assert!(entered("red") && !entered("blue") && !entered("green"));
    });
}

#[test]
fn a_search_names_the_text_and_its_records() {
    let lo = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n    \
              link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n";
    let ports = [lo.to_owned(), link(2, "eno1", "", ""), link(3, "eno2", "", "")];
    with_network(&session(&ports, ""), |network| {
        let found = |netns: &Netns, topic| {
            let searched = defs::searched_in(network, (HOST, netns), topic, "eth9")?;
            Some((searched.keys, searched.sources.len(), searched.namespaces))
        };
        let told = Some((vec!["eth9".to_owned()], 1, 0));
        assert_eq!(found(&Netns::Root, Topic::Links), told);
        let searched = defs::searched_in(network, (HOST, &Netns::Root), Topic::Links, "eth9");
        let records = searched.unwrap().sources.first().unwrap().1;
        assert!(records >= 2, "{records}");
        // What was not captured was not searched.
        assert_eq!(found(&Netns::Root, Topic::Ovs), None);
        assert_eq!(found(&Netns::Named("blue".into()), Topic::Links), None);
    });
}

/// Devices of agents are made for the root namespace, and stay there.
#[test]
fn some_devices_are_looked_for_in_the_root_namespace_alone() {
    let lo = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n    \
              link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n";
    let ports = [lo.to_owned(), link(2, "eno1", "", ""), link(3, "qvo1", "", "")];
    with_network(&session(&ports, "ip netns\nblue\nroot@h1:~# "), |network| {
        for (name, told) in [
            ("eno1", "there"),
            ("qvo1", "there"),
            ("qvb9", "not there"),
            ("vnet9", "not there"),
            // The other namespace may have it.
            ("eth9", "not known"),
        ] {
            let found = match defs::presence(network, HOST, name) {
                tapline_topology::Presence::Yes(_) => "there",
                tapline_topology::Presence::No(_) => "not there",
                tapline_topology::Presence::Unknown(_) => "not known",
            };
            assert_eq!(found, told, "{name}");
        }
    });
}

#[test]
fn devices_are_ports_of_the_integration_bridge_or_not() {
    with_network(&neutron(true), |network| {
        for (device, told) in [
            ("tapa", Some("tapa")),
            ("tapb", Some("tapb")),
            // A port of another bridge, and no port.
            ("eno2", None),
            ("eno1", None),
        ] {
            let device = network.topology.find_netdev(HOST, &Netns::Root, device).unwrap();
            let port = network.integration_port_of(network.netdev(device).unwrap());
            assert_eq!(port.map(|port| port.name()), told);
        }
    });
}

#[test]
fn a_definition_wants_one_vlan_or_a_trunk() {
    let guest = |vlan: &str| {
        let xml = common::guest("tapa", "br-int", "52:54:00:00:0a:01");
        let xml = xml.replace("      <target", &format!("      {vlan}\n      <target"));
        let text = neutron(false) + &format!("root@h1:~# {xml}");
        with_network(&text, |network| {
            let nic = network.vm_nics().next().unwrap();
            let wanted = functions::wanted_vlan(nic)?;
            Some((wanted.value, network.topology.snapshot.quote(wanted.evidence).to_string()))
        })
    };
    assert_eq!(guest(""), None);
    assert_eq!(guest("<vlan><tag id='50'/></vlan>").map(|wanted| wanted.0), Some(50));
    assert!(guest("<vlan><tag id='50'/></vlan>").unwrap().1.contains("50"));
    assert_eq!(guest("<vlan trunk='yes'><tag id='50'/></vlan>"), None);
    assert_eq!(guest("<vlan><tag id='50'/><tag id='60'/></vlan>"), None);
}

#[test]
fn a_path_may_be_that_of_what_another_sends() {
    // The filter lets one guest pass alone.
    let rules = "ebtables-save\n*filter\n:FORWARD ACCEPT\n-A FORWARD -i tapa -s ! 52:54:00:00:0a:01 -j DROP\n";
    let links = [
        link(2, "eno1", "master br0", &port("forwarding")),
        link(3, "br0", "", BRIDGE),
        link(4, "tapa", "master br0", &(TAP.to_owned() + &port("forwarding"))),
    ];
    let guest = |mac: &str| common::guest("tapa", "br0", mac);
    for (mac, stopped) in [("52:54:00:00:0a:01", false), ("52:54:00:00:0a:02", true)] {
        let text = session(&links, rules) + &format!("root@h1:~# {}", guest(mac));
        with_network(&text, |network| {
            let nic = network.vm_nics().next().unwrap().id;
            let tap = network.topology.find_netdev(HOST, &Netns::Root, "tapa").unwrap();
            let mut paths = Paths::new(network);
            let path = paths.down_for(tap, nic);
            let mut names = Vec::new();
            let mut hops: Vec<_> = path.hops.iter().collect();
            let mut blocked = false;
            while let Some(hop) = hops.pop() {
                names.push(network.topology.node(hop.node).unwrap().name.to_string());
                blocked |= hop.block().is_some();
                hops.extend(&hop.next);
            }
            assert_eq!(names, ["br0", "eno1"]);
            assert_eq!(blocked, stopped, "{mac}");
        });
    }
}

#[test]
fn texts_are_as_far_apart_as_they_were_taken() {
    let at = |second: u8, more: &str| {
        format!("root@h1:~# date\nMon Mar 2 10:00:{second:02} UTC 2026\nroot@h1:~# {more}")
    };
    let links = format!("ip -d address\n{}", link(2, "eno1", "", ""));
    let text = at(5, &links) + &at(25, "ip rule\n0:\tfrom all lookup local\nroot@h1:~# \n");
    with_network(&text, |network| {
        let of = |program: &str| {
            let mut all = network.topology.snapshot.iter().map(|(source, _)| source);
            let found = all.find(|source| source.command.to_string().starts_with(program));
            found.map(|source| source.id)
        };
        let (address, rule) = (of("ip -d address").unwrap(), of("ip rule").unwrap());
        let taken = |id| network.topology.snapshot.source(id).and_then(|source| source.taken);
        let told = taken(address).zip(taken(rule)).map(|(one, other)| (one - other).abs());
        for (a, b) in [(address, rule), (rule, address)] {
            assert_eq!(ovn::apart(network, a, b), told);
        }
        assert_eq!(ovn::apart(network, address, address), taken(address).map(|_| 0.0));
    });
}

/// The devices that the path of a port leads to.
fn leads_to(text: &str, start: tapline_topology::NodeId) -> Vec<String> {
    with_network(text, |network| {
        let path = Paths::new(network).down(start);
        let mut hops: Vec<_> = path.hops.iter().collect();
        let mut names = Vec::new();
        while let Some(hop) = hops.pop() {
            if hop.next.is_empty() && hop.block().is_none() {
                names.push(network.topology.node(hop.node).unwrap().name.to_string());
            }
            hops.extend(&hop.next);
        }
        names.sort();
        names
    })
}

#[test]
fn paths_of_a_port_begin_in_its_vlan() {
    let ovs = "    openvswitch_slave\n";
    let links = [
        link(2, "eno1", "master ovs-system", ovs),
        link(3, "eno2", "master ovs-system", ovs),
        link(4, "tapa", "master ovs-system", &(TAP.to_owned() + ovs)),
        link(5, "tapb", "master ovs-system", &(TAP.to_owned() + ovs)),
        link(6, "ovs-system", "", "    openvswitch\n"),
    ];
    let port = |name: &str, columns: &str| {
        format!("        Port {name}\n{columns}            Interface {name}\n")
    };
    let show = [
        "ovs-vsctl show\n5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001\n    Bridge br0\n".to_owned(),
        port("tapa", "            tag: 10\n"),
        port("tapb", "            tag: 20\n"),
        port("eno1", "            trunks: [10]\n"),
        port("eno2", "            trunks: [10, 20]\n"),
        "    ovs_version: \"2.17.0\"\nroot@h1:~# ".to_owned(),
    ];
    let text = session(&links, &show.concat());
    for (name, exits) in [("tapa", &["eno1", "eno2"][..]), ("tapb", &["eno2"])] {
        let start =
            with_network(&text, |network| network.topology.find_ovs_port(HOST, name).unwrap());
        assert_eq!(leads_to(&text, start), exits, "{name}");
    }
}

/// `ip` knows that no answer came, and `arp` only that there is none; an address says more than either.
#[test]
fn what_says_most_of_a_neighbour_is_told() {
    let arp = |entry: &str| {
        format!(
            "arp -n\nAddress                  HWtype  HWaddress           Flags Mask            Iface\n{entry}\nroot@h1:~# "
        )
    };
    let neigh = |entry: &str| format!("ip neigh\n192.0.2.9 dev eno1 {entry}\nroot@h1:~# ");
    let none = "192.0.2.9                        (incomplete)                              eno1";
    let has = "192.0.2.9                ether   52:54:00:00:09:09   C                     eno1";
    let known = "lladdr 52:54:00:00:09:09 STALE";
    for (outputs, line, failed) in [
        ([arp(none), neigh("FAILED")], "FAILED", true),
        ([neigh("FAILED"), arp(none)], "FAILED", true),
        ([arp(none), neigh("INCOMPLETE")], "(incomplete)", true),
        ([neigh("FAILED"), arp(has)], "ether", false),
        ([arp(has), neigh("FAILED")], "ether", false),
        ([arp(none), neigh(known)], "STALE", false),
        ([neigh(known), arp(none)], "STALE", false),
    ] {
        let text = session(&[link(2, "eno1", "", "")], &outputs.concat());
        with_network(&text, |network| {
            let all = network.neighbours().get(&(HOST, &Netns::Root)).unwrap();
            let known = all.get(&("eno1", "192.0.2.9".parse().unwrap())).unwrap();
            let quoted = network.topology.snapshot.quote(known.evidence).to_string();
            assert!(quoted.contains(line), "{outputs:?}: {quoted}");
            assert_eq!(known.failed, failed, "{outputs:?}");
        });
    }
}
