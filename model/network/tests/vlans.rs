//! Texts of a host of neutron, and where its local VLANs lead: by flows, by what the agent notes at
//! its ports, by what is joined.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{TAP, down, link, neutron, session, with_network};
use tapline_core::capture::HostId;
use tapline_network::{Network, defs, vlans};

const HOST: HostId = HostId(0);

/// The host of neutron with another text behind.
fn with_text(text: &str, more: &str) -> String {
    text.trim_end().trim_end_matches("root@h1:~#").to_owned() + more
}

/// A row of the table of ports, as the agent fills it.
fn noted(name: &str, vlan: u16, kind: &str) -> String {
    format!(
        "_uuid               : 11111111-7a68-4a0f-9d2a-{vlan:012x}\nname                : {name}\n\
         other_config        : {{net_uuid=\"0badc0de-0000-4000-8000-000000000001\", network_type={kind}, \
         segmentation_id=\"65\", tag=\"{vlan}\"}}\ntag                 : {vlan}\n\n"
    )
}

#[test]
fn notes_of_the_agent_tell_by_which_bridge_a_vlan_leaves() {
    let exits = |network: &Network<'_>, vlan: u16| -> Vec<String> {
        let all = network.exits().of(HOST, vlan);
        all.iter().map(|exit| network.topology.node(exit.near).unwrap().name.to_string()).collect()
    };
    let both: &[&str] = &["int-br-ex", "patch-tun"];
    for (kind, of_port) in [
        ("vxlan", &["patch-tun"][..]),
        ("gre", &["patch-tun"]),
        ("geneve", &["patch-tun"]),
        ("vlan", &["int-br-ex"]),
        ("flat", &["int-br-ex"]),
    ] {
        let more = format!("root@h1:~# ovs-vsctl list Port\n{}root@h1:~# ", noted("tapa", 1, kind));
        with_network(&with_text(&neutron(false), &more), |network| {
            let sorted = |vlan| {
                let mut all = exits(network, vlan);
                all.sort();
                all
            };
            assert_eq!(sorted(1), of_port, "{kind}");
            assert_eq!(sorted(2), both, "{kind}");
            assert!(sorted(4095).is_empty());
            let port = network.topology.find_ovs_port(HOST, "tapa").unwrap();
            let config = |key| defs::other_config(network.ovs_port(port).unwrap().data, key);
            assert_eq!((config("network_type"), config("physical_network")), (Some(kind), None));
        });
    }
}

#[test]
fn the_bridge_of_the_tunnels_may_have_any_name() {
    let text = neutron(false).replace("br-tun", "br-mesh");
    let more = format!("root@h1:~# ovs-vsctl list Port\n{}root@h1:~# ", noted("tapa", 1, "vxlan"));
    let hops = down(&with_text(&text, &more), "tapa");
    assert!(hops.contains(&"vxlan-c0000202".to_owned()), "{hops:?}");
    assert!(hops.iter().all(|hop| !hop.contains("br-ex") && !hop.starts_with('?')), "{hops:?}");
}

#[test]
fn flows_tell_whether_a_vlan_leaves_by_tunnels() {
    with_network(&neutron(true), |network| {
        let by_tunnels = |vlan| network.exits().leaves_by_tunnels(HOST, vlan).map(|told| told.0);
        assert_eq!(by_tunnels(1), Some(true));
        assert_eq!(by_tunnels(2), Some(false));
        assert_eq!(by_tunnels(3), None);
        assert!(network.exits().exist(HOST));
    });
    with_network(&session(&[link(2, "eno1", "", "")], "root@h1:~# "), |network| {
        assert!(!network.exits().exist(HOST));
    });
    // Both bridges take it.
    let text = neutron(true).replace("in_port=1,dl_vlan=2 ", "in_port=1,dl_vlan=1 ");
    with_network(&text, |network| {
        assert_eq!(network.exits().leaves_by_tunnels(HOST, 1), None);
    });
}

#[test]
fn flows_of_a_bridge_that_is_not_joined_may_be_of_something_else() {
    let port = |name: &str, peer: &str| {
        format!(
            "        Port {name}\n            Interface {name}\n                type: patch\n                \
             options: {{peer={peer}}}\n"
        )
    };
    let text = neutron(true)
        .replace(&port("int-br-ex", "phy-br-ex"), "")
        .replace(&port("phy-br-ex", "int-br-ex"), "");
    // The bridge of the tunnels takes the VLAN too, and is joined.
    let first = "priority=1,dl_vlan=1 actions";
    let both = text.replace(
        &format!(" cookie=0x1, duration=9s, table=22, n_packets=0, n_bytes=0, {first}"),
        &format!(
            " cookie=0x1, duration=9s, table=22, n_packets=0, n_bytes=0, priority=1,dl_vlan=2 \
             actions=strip_vlan,load:0x42->NXM_NX_TUN_ID[],output:2\n cookie=0x1, duration=9s, \
             table=22, n_packets=0, n_bytes=0, {first}"
        ),
    );
    assert_ne!(text, both);
    with_network(&both, |network| {
        let ways = network.exits().ways(HOST, 2);
        assert_eq!((ways.exits.len(), ways.lost.len()), (1, 0));
        assert!(!ways.are_several() && ways.missed().is_none());
    });
    with_network(&text, |network| {
        let ways = network.exits().ways(HOST, 2);
        assert_eq!((ways.exits.len(), ways.lost.len()), (0, 1));
        assert!(ways.missed().is_none());
    });
    assert!(down(&both, "tapb").iter().all(|hop| !hop.starts_with('?')));
}

/// Ports of the integration bridge, with flows that lead VLAN 1 into tunnels and VLAN 2 out.
fn agent(more: &str) -> String {
    let ovs = "    openvswitch_slave\n";
    let tap =
        |index: u32, name: &str| link(index, name, "master ovs-system", &(TAP.to_owned() + ovs));
    let links = [
        link(2, "eno1", "", "    inet 192.0.2.1/24 scope global eno1\n"),
        tap(3, "tap00000000-0a"),
        tap(4, "tap00000000-0b"),
        tap(5, "tpt00000000-0c"),
        tap(6, "tap00000000-0d"),
        tap(7, "mirror0"),
        tap(8, "tap00000000-0e"),
        link(9, "tap00000000-0f", "", ovs),
        link(10, "ovs-system", "", "    openvswitch\n"),
    ];
    let port = |name: &str, columns: &str| {
        format!("        Port {name}\n            {columns}\n            Interface {name}\n")
    };
    let patch = |name: &str, peer: &str| {
        format!(
            "        Port {name}\n            Interface {name}\n                type: patch\n                \
             options: {{peer={peer}}}\n"
        )
    };
    let tunnel = |name: &str, kind: &str| {
        format!(
            "        Port {name}\n            Interface {name}\n                type: {kind}\n                \
             options: {{in_key=flow, local_ip=\"192.0.2.1\", out_key=flow, remote_ip=\"192.0.2.2\"}}\n"
        )
    };
    let show = [
        "ovs-vsctl show\n5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001\n    Bridge br-int\n".to_owned(),
        port("tap00000000-0a", "tag: 1"),
        port("tap00000000-0b", "tag: 2"),
        port("tpt00000000-0c", "tag: 1"),
        port("tap00000000-0d", "tag: 4095"),
        port("mirror0", "tag: 1"),
        port("tap00000000-0f", "tag: 1") + "                type: internal\n",
        // What has no device: nobody uses it.
        port("tap00000000-1a", "tag: 1"),
        patch("patch-tun", "patch-int"),
        patch("int-br-ex", "phy-br-ex"),
        "    Bridge br-tun\n".to_owned(),
        patch("patch-int", "patch-tun"),
        tunnel("vxlan-c0000202", "vxlan"),
        tunnel("gre-c0000202", "gre"),
        "    Bridge br-ex\n".to_owned(),
        patch("phy-br-ex", "int-br-ex"),
        port("tap00000000-0e", "tag: 1"),
        "    ovs_version: \"2.17.0\"\n".to_owned(),
    ];
    let flow = |text: &str| format!(" cookie=0x1, duration=9s, {text}\n");
    let dump = |bridge: &str, flows: &[&str]| {
        let flows: Vec<String> = flows.iter().map(|text| flow(text)).collect();
        format!(
            "root@h1:~# ovs-ofctl dump-flows {bridge}\nNXST_FLOW reply (xid=0x4):\n{}",
            flows.concat()
        )
    };
    let rest = [
        show.concat(),
        dump(
            "br-int",
            &[
                "table=0, n_packets=0, n_bytes=0, priority=3,in_port=\"int-br-ex\",dl_vlan=200 \
                 actions=mod_vlan_vid:2,NORMAL",
                "table=0, n_packets=0, n_bytes=0, priority=3,in_port=\"tap00000000-0a\" \
                 actions=mod_vlan_vid:9,NORMAL",
            ],
        ),
        dump(
            "br-tun",
            &[
                "table=4, n_packets=0, n_bytes=0, priority=1,tun_id=0x41 actions=mod_vlan_vid:1,resubmit(,10)",
                "table=22, n_packets=0, n_bytes=0, priority=1,dl_vlan=1 \
                 actions=strip_vlan,load:0x41->NXM_NX_TUN_ID[],output:2",
            ],
        ),
        dump(
            "br-ex",
            &["table=0, n_packets=0, n_bytes=0, priority=4,in_port=1,dl_vlan=2 \
                 actions=mod_vlan_vid:200,NORMAL"],
        ),
        more.to_owned(),
        "root@h1:~# ".to_owned(),
    ];
    session(&links, &rest.concat())
}

#[test]
fn ports_that_somebody_uses_count() {
    with_network(&agent(""), |network| {
        let used: Vec<&str> = network
            .ovs_ports_of(HOST)
            .filter(|port| vlans::is_in_use(network, *port))
            .map(|port| port.name())
            .collect();
        assert_eq!(used, ["tap00000000-0a", "tap00000000-0b", "tap00000000-0f"]);
        let of = |vlan| -> Vec<&str> {
            let ports = network.local_vlans(HOST).ports.get(&vlan);
            ports.into_iter().flatten().map(tapline_network::Item::name).collect()
        };
        assert_eq!(of(1), ["tap00000000-0a", "tap00000000-0f"]);
        assert_eq!(of(2), ["tap00000000-0b"]);
        assert!(of(4095).is_empty());
    });
}

#[test]
fn flows_lead_local_vlans_to_keys_and_bridges() {
    with_network(&agent(""), |network| {
        let all = network.local_vlans(HOST);
        assert_eq!(all.tunnel_bridge.unwrap().name(), "br-tun");
        assert_eq!(all.provider_bridges.len(), 1);
        let tunnels = all.tunnels(network);
        let tunnels: Vec<_> = tunnels.iter().map(tapline_network::Item::name).collect();
        assert_eq!(tunnels, ["gre-c0000202", "vxlan-c0000202"]);
        let keys = |vlan| {
            let ways = all.ways.get(&vlan)?;
            Some((
                ways.tunnel_in.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
                ways.floods.iter().map(|flood| flood.key).collect::<Vec<_>>(),
                ways.provider_in.is_some(),
                ways.provider_out.iter().map(|out| out.bridge).collect::<Vec<_>>(),
            ))
        };
        assert_eq!(keys(1), Some((vec![0x41], vec![0x41], false, vec![])));
        assert_eq!(keys(2), Some((vec![], vec![], true, vec!["br-ex"])));
        // What comes in by a port of a guest is none of a provider's.
        assert_eq!(keys(9), None);
        assert!(all.network_type(1).is_none());
    });
}

#[test]
fn what_is_learnt_from_tunnels_leads_nothing_out() {
    let flows = "table=22, n_packets=0, n_bytes=0, priority=1,dl_vlan=1 ";
    for (matched, timeout, unicasts) in
        [("priority=2", "", 1), ("priority=1", "", 0), ("priority=2", "hard_timeout=300, ", 0)]
    {
        let more = format!(
            "table=20, n_packets=0, n_bytes=0, {timeout}{matched},dl_vlan=1,dl_dst=fa:16:3e:00:00:01 \
             actions=strip_vlan,load:0x41->NXM_NX_TUN_ID[],output:2\n cookie=0x1, duration=9s, {flows}"
        );
        with_network(&agent("").replace(flows, &more), |network| {
            let all = network.local_vlans(HOST);
            let ways = &all.ways[&1];
            assert_eq!((ways.unicasts.len(), ways.floods.len()), (unicasts, 1), "{more}");
        });
    }
}

#[test]
fn vlans_that_flows_forgot() {
    let out_by_tunnels = "dl_vlan=1                  actions";
    let in_by_tunnels = "actions=mod_vlan_vid:1,";
    let out_by_provider = "dl_vlan=2                  actions";
    let in_from_provider = "actions=mod_vlan_vid:2,";
    let away = |text: &str, what: &str| {
        let squeezed = what.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&squeezed), "{squeezed}");
        text.replace(
            &squeezed,
            &squeezed
                .replace("=1", "=31")
                .replace("=2", "=32")
                .replace(":1,", ":31,")
                .replace(":2,", ":32,"),
        )
    };
    for (edits, forgotten) in [
        (&[][..], [false, false, true]),
        // Flows that bring it in lead it as well.
        (&[out_by_tunnels], [false, false, true]),
        (&[out_by_provider], [false, false, true]),
        (&[out_by_tunnels, in_by_tunnels], [true, false, true]),
        (&[out_by_provider, in_from_provider], [false, true, true]),
    ] {
        let text = edits.iter().fold(agent(""), |text, what| away(&text, what));
        with_network(&text, |network| {
            let all = network.local_vlans(HOST);
            assert_eq!([1, 2, 7].map(|vlan| all.is_forgotten(vlan)), forgotten, "{edits:?}");
        });
    }
}

#[test]
fn vlans_that_should_leave_and_do_not() {
    let listed = |kind: &str| {
        format!("root@h1:~# ovs-vsctl list Port\n{}", noted("tap00000000-0b", 2, kind))
    };
    let provider = Some((Some(false), false));
    let (out, into) = ("in_port=1,dl_vlan=2 ", "mod_vlan_vid:2,NORMAL");
    let (not_out, not_into) = ("in_port=1,dl_vlan=8 ", "mod_vlan_vid:8,NORMAL");
    for (edits, note, vlan, unled) in [
        (&[] as &[(&str, &str)], "", 1, None),
        (&[], "", 2, None),
        (&[(out, not_out)], "", 2, provider),
        (&[(out, not_out)], "vlan", 2, provider),
        (&[(out, not_out), (into, not_into)], "", 2, Some((None, false))),
        (&[(out, not_out), (into, not_into)], "flat", 2, provider),
        // It leads nowhere on purpose.
        (&[(out, not_out), (into, not_into)], "local", 2, None),
        // No other VLAN is led, and none without a port: somebody else may program the bridges.
        (
            &[
                (out, "in_port=1,dl_type=2 "),
                (into, "NORMAL"),
                ("mod_vlan_vid:1,", ""),
                ("dl_vlan=1 ", "dl_type=1 "),
            ],
            "",
            2,
            None,
        ),
        // It may be that only this host has it.
        (&[(",dl_vlan=1 ", ",dl_vlan=7 ")], "", 1, Some((Some(true), true))),
        (
            &[(",dl_vlan=1 ", ",dl_vlan=7 "), ("mod_vlan_vid:1,", "mod_vlan_vid:7,")],
            "",
            1,
            Some((None, false)),
        ),
        // A dump that was not captured may lead it.
        (&[(out, not_out), ("dump-flows br-tun", "dump-flows br-old")], "", 2, None),
    ] {
        let note = if note.is_empty() { String::new() } else { listed(note) };
        let mut text = agent(&note);
        for (from, to) in edits {
            assert!(text.contains(from), "{from}");
            text = text.replace(from, to);
        }
        with_network(&text, |network| {
            let found = network.local_vlans(HOST).unled(vlan);
            let found = found.map(|unled| (unled.by_tunnels, unled.may_be_alone));
            assert_eq!(found, unled, "{edits:?} {note} {vlan}");
        });
    }
}

#[test]
fn the_agent_notes_the_kind_of_a_network() {
    let rows = |second: &str| {
        format!(
            "root@h1:~# ovs-vsctl list Port\n{}{}",
            noted("tap00000000-0a", 1, "vxlan"),
            noted("tap00000000-0f", 1, second)
        )
    };
    for (second, told) in [("vxlan", Some("vxlan")), ("vlan", None)] {
        with_network(&agent(&rows(second)), |network| {
            let all = network.local_vlans(HOST);
            assert_eq!(all.network_type(1).map(|told| told.0), told, "{second}");
            assert_eq!(all.network_type(2).map(|told| told.0), None);
        });
    }
}

#[test]
fn flows_and_notes_tell_whether_a_network_is_one_of_tunnels() {
    let kind = |text: &str, vlan: u16| {
        with_network(text, |network| network.local_vlans(HOST).is_of_tunnels(vlan))
    };
    let of_flows = agent("");
    assert_eq!(kind(&of_flows, 1), Some(true));
    assert_eq!(kind(&of_flows, 2), Some(false));
    assert_eq!(kind(&of_flows, 9), None);
    // One of both ways is enough.
    for (vlan, flow) in [
        (1, "tun_id=0x41 actions=mod_vlan_vid:1"),
        (1, "dl_vlan=1 actions=strip_vlan"),
        (2, "dl_vlan=200 actions=mod_vlan_vid:2"),
        (2, "dl_vlan=2 actions=mod_vlan_vid:200"),
    ] {
        assert!(of_flows.contains(flow));
        let lines = of_flows.lines().filter(|line| !line.contains(flow));
        let less: String = lines.collect::<Vec<_>>().join("\n") + "\n";
        assert_eq!(kind(&less, vlan), Some(vlan == 1), "without {flow}");
    }
    // Without a list of ports their numbers tell nothing, and the table in which the agent does this does.
    let in_port = "table=0, n_packets=0, n_bytes=0, priority=3,in_port=\"int-br-ex\"";
    assert!(of_flows.contains(in_port));
    for (port, told) in [
        ("table=0, n_packets=0, n_bytes=0, priority=3,in_port=7", Some(false)),
        ("table=60, n_packets=0, n_bytes=0, priority=3,in_port=7", None),
        ("table=60, n_packets=0, n_bytes=0, priority=3,in_port=\"int-br-ex\"", Some(false)),
        ("table=0, n_packets=0, n_bytes=0, priority=3,in_port=\"tap00000000-0b\"", None),
    ] {
        let text = of_flows.replace(in_port, port);
        let lines = text.lines().filter(|line| !line.contains("mod_vlan_vid:200"));
        let text: String = lines.collect::<Vec<_>>().join("\n") + "\n";
        assert_eq!(kind(&text, 2), told, "{port}");
    }
    // Both at once say nothing.
    let both = of_flows.replace("mod_vlan_vid:1,resubmit", "mod_vlan_vid:2,resubmit");
    assert_eq!(kind(&both, 2), None);
    for (noted_kind, told) in [
        ("vxlan", Some(true)),
        ("gre", Some(true)),
        ("geneve", Some(true)),
        ("vlan", Some(false)),
        ("flat", Some(false)),
        ("local", Some(true)),
    ] {
        let row = noted("tap00000000-0a", 1, noted_kind);
        let text = agent(&format!("root@h1:~# ovs-vsctl list Port\n{row}"));
        assert_eq!(kind(&text, 1), told, "{noted_kind}");
    }
}

#[test]
fn keys_are_served_to_guests_and_servers_of_dhcp() {
    let served = |more: &str| {
        with_network(&agent(more), |network| {
            let all = vlans::served(network, network.local_vlans(HOST));
            all.iter()
                .map(|(key, (port, _))| format!("{key:#x} {}", port.name()))
                .collect::<Vec<_>>()
        })
    };
    let guest = |tap: &str, bridge: &str| {
        format!(
            "root@h1:~# {}\n",
            common::guest(tap, bridge, "52:54:00:00:0a:01").trim_end_matches("root@h1:~# ")
        )
    };
    assert_eq!(served(""), [] as [&str; 0]);
    assert_eq!(served(&guest("tap00000000-0a", "br-int")), ["0x41 tap00000000-0a"]);
    // A VLAN of no tunnel, and a guest that is off.
    assert_eq!(served(&guest("tap00000000-0b", "br-int")), [] as [&str; 0]);
    let off = guest("tap00000000-0a", "br-int").replace(" id='1'", "");
    assert_eq!(served(&off), [] as [&str; 0]);
    let inside = |netns: &str| {
        let device = link(9, "tap00000000-0f", "", "    openvswitch_slave\n");
        let more = format!(
            "root@h1:~# ip netns\n{netns}\nroot@h1:~# ip netns exec {netns} ip -d address\n{device}"
        );
        with_network(&agent(&more).replacen(&device, "", 1), |network| {
            let all = vlans::served(network, network.local_vlans(HOST));
            all.values().map(|(port, _)| port.name().to_owned()).collect::<Vec<_>>()
        })
    };
    assert_eq!(inside("qdhcp-1"), ["tap00000000-0f"]);
    assert_eq!(inside("qrouter-1"), [] as [&str; 0]);
}

#[test]
fn bridges_without_a_whole_dump_are_open() {
    with_network(&agent(""), |network| {
        let open = vlans::open_bridges(HOST, network.flows(), ["br-int", "br-other", "br-tun"]);
        let commands: Vec<_> = open.iter().map(ToString::to_string).collect();
        assert_eq!(commands.len(), 1);
        assert!(commands[0].ends_with("br-other"), "{commands:?}");
    });
}
