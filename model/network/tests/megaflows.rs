//! Megaflows of a datapath held against the flows of the bridge that made them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::with_network;
use tapline_network::trace::Tracer;

/// Number and name of the ports of the bridge; the last two are tunnels.
const PORTS: &[(u16, &str)] = &[(1, "p1"), (2, "p2"), (3, "p3"), (4, "vx2"), (5, "vx3")];

/// A bridge whose flows these are, and what its datapath does.
fn host(datapath: &str, flows: &[&str], megaflows: &[&str], more: &str) -> String {
    let port = |name: &str| match name {
        "vx2" => tunnel(name, "192.0.2.2"),
        "vx3" => tunnel(name, "192.0.2.3"),
        _ => format!("        Port {name}\n            Interface {name}\n"),
    };
    let ports: String = PORTS.iter().map(|(_, name)| port(name)).collect();
    let numbers = PORTS.iter().map(|(number, name)| {
        format!(
            " {number}({name}): addr:fe:16:3e:00:00:{number:02x}\n     config:     0\n     state:      0\n     \
             speed: 0 Mbps now, 0 Mbps max\n"
        )
    });
    let flows = flows.iter().map(|flow| {
        format!(" cookie=0x1, duration=9.1s, table=0, n_packets=7, n_bytes=700, {flow}\n")
    });
    let megaflows = megaflows.iter().map(|flow| {
        let (matches, actions) = flow.split_once(" > ").unwrap();
        format!("{matches}, packets:8, bytes:512, used:1.234s, actions:{actions}\n")
    });
    format!(
        "root@h1:~# ovs-vsctl show\n0b4f7f5e-1f0c-4d0e-8d0c-3c1a5a7c9b10\n    Bridge br-x\n        \
         fail_mode: secure\n{datapath}{ports}    ovs_version: \"2.17.9\"\nroot@h1:~# ovs-ofctl show br-x\n\
         OFPT_FEATURES_REPLY (xid=0x2): dpid:0000aaaabbbbcccc\nn_tables:254, n_buffers:0\n\
         capabilities: FLOW_STATS TABLE_STATS PORT_STATS QUEUE_STATS ARP_MATCH_IP\nactions: output\n{} LOCAL(br-x): addr:fe:16:3e:00:00:0f\n     config:     0\n     state:      0\n     \
         speed: 0 Mbps now, 0 Mbps max\nOFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal miss_send_len=0\n{more}\
         root@h1:~# ovs-ofctl dump-flows br-x\n{}root@h1:~# ovs-appctl dpctl/dump-flows --names\n{}root@h1:~# \n",
        numbers.collect::<String>(),
        flows.collect::<String>(),
        megaflows.collect::<String>(),
    )
}

fn tunnel(name: &str, remote: &str) -> String {
    format!(
        "        Port {name}\n            Interface {name}\n                type: vxlan\n                \
         options: {{key=flow, local_ip=\"192.0.2.1\", remote_ip=\"{remote}\"}}\n"
    )
}

/// What comes of each megaflow that does not agree, behind how many do.
fn verified(text: &str) -> Vec<String> {
    with_network(text, |network| {
        let all = Tracer::new(network).verify();
        assert!(all.is_captured, "{text}");
        assert_eq!(all.megaflows, all.agree + all.disagree.len() + all.skipped.len());
        let mut told = vec![format!("{} agree", all.agree)];
        for one in &all.disagree {
            let by = if one.by_flows_alone { ", by flows alone" } else { "" };
            told.push(format!(
                "{} and not {}{by}, {} flows",
                one.captured,
                one.ours,
                one.flows.len()
            ));
        }
        told.extend(all.skipped.iter().map(|(_, why)| why.clone()));
        told.extend(
            all.without_flows.iter().map(|(_, bridge)| format!("without flows of {bridge}")),
        );
        told
    })
}

/// A packet that comes in by the first port, without a tag.
const TCP: &str = "recirc_id(0),in_port(p1),eth(src=02:00:00:00:00:01,dst=02:00:00:00:00:02),\
                   eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,proto=6,frag=no),tcp(src=5000,dst=22)";

/// The same with a tag.
fn tagged() -> String {
    let tag = "eth_type(0x8100),vlan(vid=7,pcp=0),encap(eth_type(0x0800)";
    TCP.replace("eth_type(0x0800)", tag) + ")"
}

/// The same out of a tunnel.
fn tunnelled(ends: &str) -> String {
    let tunnel = format!("tunnel(tun_id=0x41,{ends}flags(-df+csum+key)),in_port(vxlan_sys_4789)");
    TCP.replace("in_port(p1)", &tunnel)
}

fn into_tunnel(key: &str, to: &str) -> String {
    format!(
        "set(tunnel(tun_id={key},src=192.0.2.1,dst={to},ttl=64,tp_dst=4789,flags(df|key))),vxlan_sys_4789"
    )
}

#[test]
fn outputs_are_held_against_those_of_the_flows() {
    let two = "priority=1 actions=output:2";
    let key = "priority=1 actions=set_field:0x41->tun_id,output:4";
    let by_arp = "priority=9,arp actions=output:3";
    let differs = |captured: &str, ours: &str, flows: usize| {
        format!("{captured} and not {ours}, by flows alone, {flows} flows")
    };
    for (flows, matches, actions, told) in [
        (&[two][..], TCP.to_owned(), "p2".to_owned(), None),
        (&[two], TCP.to_owned(), "p3".to_owned(), Some(differs("p3", "p2", 1))),
        (&[two], TCP.to_owned(), "p2,p3".to_owned(), Some(differs("p2, p3", "p2", 1))),
        (&[two], TCP.to_owned(), "drop".to_owned(), Some(differs("drop", "p2", 1))),
        (&[by_arp, two], TCP.to_owned(), "p2".to_owned(), None),
        (&["priority=1 actions=drop"], TCP.to_owned(), "drop".to_owned(), None),
        (
            &["priority=1 actions=drop"],
            TCP.to_owned(),
            "p2".to_owned(),
            Some(differs("p2", "drop", 1)),
        ),
        // What does not send, and what the datapath in user space adds.
        (&[two], TCP.to_owned(), "hash(l4(0)),meter(1),ct_clear,set(eth(dst=02:00:00:00:00:09)),p2".to_owned(), None),
        (&[two], TCP.to_owned(), "p2, dp-extra-info:miniflow_bits(4,1)".to_owned(), None),
        // Tags are taken off and set in their order.
        (&["priority=1 actions=mod_vlan_vid:7,output:2"], TCP.to_owned(), "push_vlan(vid=7,pcp=0),p2".to_owned(), None),
        (
            &["priority=1 actions=mod_vlan_vid:7,output:2"],
            TCP.to_owned(),
            "push_vlan(vid=8,pcp=0),p2".to_owned(),
            Some(differs("p2 VLAN 8", "p2 VLAN 7", 1)),
        ),
        (
            &["priority=1 actions=output:3,mod_vlan_vid:5,output:2"],
            TCP.to_owned(),
            "p3,push_vlan(vid=5,pcp=0),p2".to_owned(),
            None,
        ),
        (&[two], tagged(), "p2".to_owned(), None),
        (&[two], tagged(), "pop_vlan,p2".to_owned(), Some(differs("p2", "p2 VLAN 7", 1))),
        (
            &["priority=9,tcp,dl_vlan=7,nw_dst=10.0.0.2 actions=strip_vlan,output:2", by_arp],
            tagged(),
            "pop_vlan,p2".to_owned(),
            None,
        ),
        (
            &["priority=9,dl_vlan=8 actions=output:3", "priority=8,vlan_tci=0 actions=output:3", two],
            tagged(),
            "p2".to_owned(),
            None,
        ),
        // A tunnel is its far end and its key.
        (&[key], TCP.to_owned(), into_tunnel("0x41", "192.0.2.2"), None),
        (&[key], TCP.to_owned(), into_tunnel("65", "192.0.2.2"), None),
        (
            &[key],
            TCP.to_owned(),
            into_tunnel("0x42", "192.0.2.2"),
            Some(differs("192.0.2.2 key 66", "192.0.2.2 key 65", 1)),
        ),
        (
            &[key],
            TCP.to_owned(),
            into_tunnel("0x41", "192.0.2.3"),
            Some(differs("192.0.2.3 key 65", "192.0.2.2 key 65", 1)),
        ),
        (
            &["priority=1 actions=set_field:0x41->tun_id,output:4,output:5"],
            TCP.to_owned(),
            format!("{},{}", into_tunnel("0x41", "192.0.2.2"), into_tunnel("0x41", "192.0.2.3")),
            None,
        ),
        (
            &[key],
            TCP.to_owned(),
            "clone(tnl_push(tnl_port(4789),header(size=50,type=4,eth(dst=02:00:00:00:00:05),\
             ipv4(src=192.0.2.1,dst=192.0.2.2,proto=17),udp(src=0,dst=4789),vxlan(flags=0x8000000,vni=0x41)),\
             out_port(1)),p2)"
                .to_owned(),
            None,
        ),
        // Another header may be set behind that of the tunnel.
        (
            &[key],
            TCP.to_owned(),
            into_tunnel("0x41", "192.0.2.2").replace("vxlan_sys", "set(eth(dst=02:00:00:00:00:09)),vxlan_sys"),
            None,
        ),
        // Out of a tunnel: whose far end sent it decides by which port it comes in.
        (
            &["priority=1,in_port=4 actions=output:2"],
            tunnelled("src=192.0.2.2,dst=192.0.2.1,"),
            "p2".to_owned(),
            None,
        ),
        (
            &["priority=1,in_port=5 actions=output:2"],
            tunnelled("src=192.0.2.3/255.255.255.255,dst=192.0.2.1,"),
            "p2".to_owned(),
            None,
        ),
        (
            &["priority=1,tun_id=0x41 actions=output:3", "priority=0 actions=output:2"],
            tunnelled("src=192.0.2.2,dst=192.0.2.1,"),
            "p3".to_owned(),
            None,
        ),
    ] {
        let found = verified(&host("", flows, &[&format!("{matches} > {actions}")], ""));
        let (agree, told) = match &told {
            None => ("1 agree", None),
            Some(differs) => ("0 agree", Some(differs.as_str())),
        };
        let expected: Vec<&str> = std::iter::once(agree).chain(told).collect();
        assert_eq!(found, expected, "{flows:?} {matches} > {actions}");
    }
}

#[test]
fn what_cannot_be_compared_says_why() {
    let twice = tagged().replace("encap(", "encap(eth_type(0x8100),vlan(vid=8,pcp=0),encap(") + ")";
    let two = "priority=1 actions=output:2";
    for (flows, matches, actions, why) in [
        (two, TCP.replace("in_port(p1),", ""), "p2", "it names no port"),
        (two, TCP.replace("(p1)", "(p9)"), "p2", "its port is not in the database"),
        (two, TCP.to_owned(), "17", "it names its ports by number"),
        (two, TCP.to_owned(), "vxlan_sys_4789", "it names its ports by number"),
        (
            two,
            TCP.to_owned(),
            "set(eth(dst=02:00:00:00:00:09)),vxlan_sys_4789",
            "it names its ports by number",
        ),
        (two, TCP.to_owned(), "userspace(pid=1),p2", "an action is not understood"),
        (two, TCP.to_owned(), "push_vlan(pcp=0),p2", "an action is not understood"),
        (two, TCP.to_owned(), "clone(tnl_push(tnl_port(1))),p2", "an action is not understood"),
        (two, TCP.to_owned(), "clone(ct(commit)),p2", "an action is not understood"),
        (two, TCP.replace("10.0.0.1", "ten"), "p2", "a match is not understood"),
        (two, twice, "pop_vlan,p2", "a match is not understood"),
        (two, tunnelled(""), "p2", "the source of its tunnel is not known"),
        (two, tunnelled("src=192.0.2.9,"), "p2", "no tunnel leads back to its source"),
        (
            two,
            TCP.replace("recirc_id(0)", "recirc_id(0x7)"),
            "p2",
            "what recirculates to it was not captured",
        ),
        (two, TCP.to_owned(), "ct(zone=1),recirc(0x7)", "what it recirculates to was not captured"),
        // The megaflow does not look at the port, and the flows do.
        (
            "priority=2,tcp,tp_dst=22 actions=output:3",
            TCP.replace(",dst=22)", ",dst=22/0)"),
            "p2",
            "what it leaves open decides in the flows",
        ),
    ] {
        let found = verified(&host("", &[flows, two], &[&format!("{matches} > {actions}")], ""));
        assert_eq!(found, ["0 agree", why], "{flows} {matches} > {actions}");
    }
    // Without the flows nothing can be compared, and it is said of which bridge they are missing.
    let text = host("", &[two], &[&format!("{TCP} > p2")], "")
        .replace("dump-flows br-x", "dump-flows br-y");
    let why = "the flows of a bridge on its way were not captured";
    assert_eq!(verified(&text), ["0 agree", why, "without flows of br-x"]);
}

#[test]
fn megaflows_that_recirculate_are_compared_with_those_that_they_lead_to() {
    let flows = [
        "priority=9,ct_state=-trk,ip actions=ct(table=0,zone=7)",
        "priority=8,ct_state=+new+trk,ip actions=output:3",
        "priority=8,ct_state=+est+trk,ip actions=output:2",
    ];
    let first = format!("{TCP} > ct(zone=7),recirc(0x5)");
    let second = |id: &str, state: &str, to: &str| {
        let of = TCP.replace("recirc_id(0)", &format!("recirc_id({id}),ct_state({state})"));
        format!("{of} > {to}")
    };
    for (megaflows, told) in [
        // Established and tracked; new and tracked.
        (vec![first.clone(), second("0x5", "0x22/0x23", "p2")], vec!["2 agree"]),
        (vec![first.clone(), second("0x5", "0x21/0x23", "p3")], vec!["2 agree"]),
        // What follows a connection tracker is not decided by flows alone.
        (
            vec![first.clone(), second("0x5", "0x22/0x23", "p3")],
            vec!["0 agree", "p3 and not p2, 2 flows", "p3 and not p2, 2 flows"],
        ),
        (
            vec![first, second("0x6", "0x22/0x23", "p2")],
            vec![
                "0 agree",
                "what it recirculates to was not captured",
                "what recirculates to it was not captured",
            ],
        ),
    ] {
        let lines: Vec<&str> = megaflows.iter().map(String::as_str).collect();
        assert_eq!(verified(&host("", &flows, &lines, "")), told, "{megaflows:?}");
    }
}

/// A datapath in user space asks by ARP for the far ends of its tunnels itself: it leaves out those
/// that did not answer.
#[test]
fn tunnels_without_a_neighbour_are_left_out_by_the_datapath_in_user_space() {
    let flow = "priority=1 actions=set_field:0x41->tun_id,output:4,output:2";
    let neigh = |lines: &str| format!("root@h1:~# ip neigh\n{lines}");
    let userspace = "        datapath_type: netdev\n";
    let known = "192.0.2.2 dev eno1 lladdr 02:00:00:00:00:05 REACHABLE\n";
    let failed = "192.0.2.2 dev eno1 FAILED\n";
    let other = known.replace("192.0.2.2", "192.0.2.3");
    let differs = "p2 and not 192.0.2.2 key 65, p2, by flows alone, 1 flows";
    for (datapath, more, agrees) in [
        (userspace, String::new(), true),
        (userspace, neigh(failed), true),
        (userspace, neigh(&other), true),
        (userspace, neigh(known), false),
        ("", String::new(), false),
        ("", neigh(failed), false),
    ] {
        let found = verified(&host(datapath, &[flow], &[&format!("{TCP} > p2")], &more));
        let expected = if agrees { vec!["1 agree"] } else { vec!["0 agree", differs] };
        assert_eq!(found, expected, "{datapath} {more}");
    }
    // A port that is no tunnel is never left out.
    let found = verified(&host(userspace, &[flow], &[&format!("{TCP} > drop")], ""));
    assert_eq!(found, ["0 agree", "drop and not p2, by flows alone, 1 flows"]);
}

#[test]
fn what_a_bridge_has_learnt_is_not_decided_by_flows_alone() {
    let normal = "priority=1 actions=NORMAL";
    let learnt = "root@h1:~# ovs-appctl fdb/show br-x\n port  VLAN  MAC                Age\n    3     0  02:00:00:00:00:02    7\n";
    let found = verified(&host("", &[normal], &[&format!("{TCP} > p2")], learnt));
    assert_eq!(found, ["0 agree", "p2 and not p3, 2 flows"]);
    let found = verified(&host("", &[normal], &[&format!("{TCP} > p3")], learnt));
    assert_eq!(found, ["1 agree"]);
}
