//! Texts of flows to what becomes of packets.
mod tags;
mod tracked;

use std::fmt::Write as _;

use tapline_core::capture::{Command, FormatId};
use tapline_core::records::Batch;
use tapline_core::records::openflow::{Bits, OfField, Subfield};
use tapline_formats::registry::by_id;

use super::*;

fn flows(text: &str) -> Vec<Flow> {
    let read = by_id(FormatId("ovs-ofctl-dump-flows")).unwrap().read;
    let out = read(text, &Command::new("ovs-ofctl dump-flows br-int"));
    assert_eq!(out.lines.unread, 0, "{:?}", out.problems);
    let Batch::Flows(flows) = out.records else { panic!("{text}") };
    flows
}

fn groups(text: &str) -> Vec<OfGroup> {
    let read = by_id(FormatId("ovs-ofctl-dump-groups")).unwrap().read;
    let Batch::OfGroups(groups) = read(text, &Command::new("ovs-ofctl dump-groups br-int")).records
    else {
        panic!("{text}")
    };
    groups
}

/// A packet that comes in by a port, with fields as a match would name them.
fn packet(port: u32, fields: &[(&str, u128)]) -> FlowPacket {
    let mut packet = FlowPacket::arriving(port);
    for (name, value) in fields {
        packet.put(Bits::of(Subfield::named(name).unwrap(), *value).unwrap());
    }
    packet
}

const TCP: &[(&str, u128)] = &[
    ("eth_type", 0x0800),
    ("nw_proto", 6),
    ("vlan_tci", 0),
    ("ip_src", 0x0a00_0005),
    ("ip_dst", 0xc000_0250),
    ("tp_dst", 443),
];

/// Each path as `table[priority] … > sink, …`.
fn walks(packet: &FlowPacket, text: &str) -> Vec<String> {
    let flows = flows(text);
    let paths = Tables::new(&flows).run(packet, Limits::default());
    paths.iter().map(shown).collect()
}

fn shown(path: &Path<'_>) -> String {
    let mut text = String::new();
    for step in &path.steps {
        let priority = step.flow.map_or("-".to_owned(), |flow| flow.priority.value.to_string());
        let _ = write!(text, "{}[{priority}] ", step.table);
    }
    text += ">";
    for effect in &path.effects {
        let _ = write!(text, " {:?}", effect.sink);
    }
    if let Some(stop) = &path.stop {
        text += match stop {
            Stop::Action(..) => " !action",
            Stop::Group(..) => " !group",
            Stop::Limit(_) => " !limit",
        };
    }
    if !path.certain {
        text += " ?";
    }
    text
}

fn one(packet: &FlowPacket, text: &str) -> String {
    let all = walks(packet, text);
    assert_eq!(all.len(), 1, "{all:?}");
    all.into_iter().next().unwrap()
}

#[test]
fn the_highest_priority_decides() {
    let tcp = packet(1, TCP);
    for (text, wanted) in [
        ("priority=1 actions=NORMAL\npriority=2,tcp actions=output:2\n", "0[2] > Port(2)"),
        ("priority=1 actions=NORMAL\npriority=2,udp actions=output:2\n", "0[1] > Normal"),
        ("priority=2,arp actions=output:2\n", "0[-] >"),
        ("priority=2,in_port=1 actions=drop\n", "0[2] >"),
        ("priority=2,in_port=2 actions=drop\npriority=1 actions=FLOOD\n", "0[1] > Flood"),
        ("ip,nw_src=10.0.0.0/8 actions=output:1\n", "0[32768] > Suppressed(1)"),
        ("ip,nw_src=10.0.0.0/8 actions=IN_PORT\n", "0[32768] > InPort"),
        ("tcp,tp_dst=0x1b0/0xfff0 actions=LOCAL\n", "0[32768] > Port(65534)"),
        ("vlan_tci=0x0000/0x1fff actions=output:3,output:4\n", "0[32768] > Port(3) Port(4)"),
        (
            "dl_vlan=5 actions=drop\npriority=1,dl_vlan=0xffff actions=CONTROLLER:65535\n",
            "0[1] > Controller(None)",
        ),
    ] {
        assert_eq!(one(&tcp, text), wanted, "{text}");
    }
}

#[test]
fn tables_lead_to_tables() {
    let tcp = packet(1, TCP);
    for (text, wanted) in [
        (
            "actions=resubmit(,5),output:9\ntable=5, actions=load:0x7->NXM_NX_REG6[0..15],resubmit(,6)\n\
             table=6, reg6=0x7 actions=output:2\n",
            "0[32768] 5[32768] 6[32768] > Port(2) Port(9)",
        ),
        ("actions=goto_table:5\n", "0[32768] 5[-] >"),
        (
            "table=0, actions=goto_table:larder\ntable=larder, actions=output:2\n",
            "0[32768] larder[32768] > Port(2)",
        ),
        (
            "in_port=1 actions=resubmit(2,)\nin_port=2 actions=output:3\n",
            "0[32768] 0[32768] > Port(3)",
        ),
        // A clone leaves the packet alone.
        (
            "actions=clone(set_field:0x5->reg1,resubmit(,1)),resubmit(,1)\ntable=1,reg1=0x5 actions=output:5\n\
             table=1,reg1=0 actions=output:6\n",
            "0[32768] 1[32768] 1[32768] > Port(5) Port(6)",
        ),
        (
            "actions=push:NXM_OF_ETH_TYPE[],load:0x0->NXM_NX_REG0[],pop:NXM_NX_REG0[0..15],resubmit(,1)\n\
             table=1,reg0=0x800 actions=output:7\n",
            "0[32768] 1[32768] > Port(7)",
        ),
        (
            "actions=move:NXM_OF_IP_SRC[]->NXM_NX_REG3[],resubmit(,1)\ntable=1,reg3=0xa000005 actions=output:8\n",
            "0[32768] 1[32768] > Port(8)",
        ),
        ("actions=load:0x4->NXM_NX_REG15[],output:NXM_NX_REG15[]\n", "0[32768] > Port(4)"),
        (
            "actions=write_actions(output:4),clear_actions,write_actions(output:5),goto_table:1\ntable=1 actions=output:6\n",
            "0[32768] 1[32768] > Port(6) Port(5)",
        ),
        ("actions=output:2,exit,output:3\n", "0[32768] > Port(2)"),
        ("actions=nsh_odd,output:3\n", "0[32768] > !action"),
        ("actions=set_field:1->nsh_mdtype,output:3\n", "0[32768] > !action"),
        ("actions=group:7\n", "0[32768] > !group"),
    ] {
        assert_eq!(one(&tcp, text), wanted, "{text}");
    }
}

#[test]
fn what_is_not_known_leads_both_ways() {
    let text = "priority=5,tcp,tp_dst=22 actions=output:2\npriority=4,tcp actions=resubmit(,1)\npriority=1 actions=drop\n\
        table=1,tcp,tp_dst=22 actions=output:3\ntable=1,priority=1 actions=output:4\n";
    assert_eq!(
        walks(&packet(1, &[("eth_type", 0x0800), ("nw_proto", 6)]), text),
        ["0[5] > Port(2) ?", "0[4] 1[32768] > Port(3) ?", "0[4] 1[1] > Port(4) ?"]
    );
    // What a path takes for granted is known from there on.
    let text = "priority=5,tcp actions=resubmit(,1)\npriority=1 actions=drop\n\
        table=1,udp actions=output:3\ntable=1,tcp actions=output:4\n";
    assert_eq!(walks(&packet(1, &[]), text), ["0[5] 1[32768] > Port(4) ?", "0[1] > ?"]);
    // A match that is not understood may be met; one that is surely not met hides it.
    let text = "priority=5,nsh_mdtype=1 actions=output:2\npriority=4 actions=output:3\n";
    assert_eq!(walks(&packet(1, TCP), text), ["0[5] > Port(2) ?", "0[4] > Port(3) ?"]);
    let text = "priority=5,arp,nsh_mdtype=1 actions=output:2\npriority=4 actions=output:3\n";
    assert_eq!(walks(&packet(1, TCP), text), ["0[4] > Port(3)"]);
}

#[test]
fn flows_of_one_priority_are_told() {
    let flows = flows("priority=5,tcp actions=output:2\npriority=5,ip actions=output:3\n");
    let paths = Tables::new(&flows).run(&packet(1, TCP), Limits::default());
    assert_eq!(paths.len(), 2);
    assert!(paths.iter().all(|path| path.steps[0].ambiguous && !path.certain));
}

#[test]
fn ports_may_have_names() {
    let flows = flows("in_port=tap1 actions=output:\"int-br-ex\"\n");
    let ports = || [(Name::from("tap1"), 4), (Name::from("int-br-ex"), 1)];
    let known = Tables::new(&flows).with_ports(ports());
    assert_eq!(shown(&known.run(&packet(4, TCP), Limits::default())[0]), "0[32768] > Port(1)");
    assert_eq!(shown(&known.run(&packet(5, TCP), Limits::default())[0]), "0[-] >");
    let unknown = Tables::new(&flows).run(&packet(4, TCP), Limits::default());
    let all: Vec<_> = unknown.iter().map(shown).collect();
    assert_eq!(all, ["0[32768] > Named(\"int-br-ex\") ?", "0[-] > ?"]);
}

#[test]
fn conjunctions_need_all_clauses() {
    let text = "priority=7,tcp,nw_src=10.0.0.5 actions=conjunction(3,1/2)\n\
        priority=7,tcp,tp_dst=443 actions=conjunction(3,2/2)\n\
        priority=7,tcp,tp_dst=80 actions=conjunction(4,2/2)\n\
        priority=7,conj_id=3,tcp actions=output:3\npriority=7,conj_id=4,tcp actions=output:4\n\
        priority=1 actions=drop\n";
    assert_eq!(one(&packet(1, TCP), text), "0[7] > Port(3)");
    let others = text.replace("10.0.0.5", "10.0.0.6");
    assert_eq!(one(&packet(1, TCP), &others), "0[1] >");
    let open = packet(1, &[("eth_type", 0x0800), ("nw_proto", 6), ("tp_dst", 443)]);
    assert_eq!(walks(&open, text), ["0[7] > Port(3) ?", "0[1] > ?"]);
}

#[test]
fn the_connection_tracker_gives_packets_back() {
    let text = "ct_state=-trk,ip actions=ct(table=1,zone=NXM_NX_REG6[0..15])\nct_state=-trk,arp actions=NORMAL\n\
        table=1,ct_state=+new+trk,tcp,tp_dst=443 actions=ct(commit,zone=7,exec(set_field:0x1->ct_mark)),output:2\n\
        table=1,ct_state=+est+trk,ct_mark=0 actions=output:3\ntable=1,priority=0 actions=drop\n";
    let mut new = packet(1, TCP);
    new.next_state = Some(1);
    assert_eq!(one(&new, text), "0[32768] 1[32768] > Port(2)");
    let flows = flows(text);
    let paths = Tables::new(&flows).run(&new, Limits::default());
    assert!(paths[0].steps[1].recirculated);
    let mut known = packet(1, TCP);
    known.next_state = Some(2);
    assert_eq!(walks(&known, text), ["0[32768] 1[32768] > Port(3) ?", "0[32768] 1[0] > ?"]);
    let arp = packet(1, &[("eth_type", 0x0806)]);
    assert_eq!(one(&arp, text), "0[32768] > Normal");
    // What follows is done first, with a packet that knows no connection.
    let text = "ct_state=-trk actions=ct(table=1),resubmit(,2)\ntable=1,ct_state=+trk actions=output:1,output:4\n\
        table=2,ct_state=-trk actions=output:5\n";
    assert_eq!(one(&new, text), "0[32768] 2[32768] 1[32768] > Port(5) Suppressed(1) Port(4)");
    let text = "ct_state=-trk actions=ct(commit,table=1,nat(dst=10.9.0.4:8443))\n\
        table=1,tcp,nw_dst=10.9.0.4,tp_dst=8443 actions=output:6\n";
    assert_eq!(one(&new, text), "0[32768] 1[32768] > Port(6)");
}

#[test]
fn each_pass_through_the_connection_tracker_has_its_state() {
    let text = "ct_state=-trk actions=ct(table=1,zone=1)\ntable=1,ct_state=+new actions=ct(table=2,zone=2)\n\
        table=2,ct_state=+est actions=ct(table=3,zone=3)\ntable=2,ct_state=+new actions=output:2\n\
        table=3,ct_state=+est actions=output:3\n";
    let mut told = packet(1, TCP);
    told.next_state = Some(1);
    assert_eq!(one(&told, text), "0[32768] 1[32768] 2[32768] > Port(2)");
    // The last one counts for what follows.
    told.later_states = vec![2];
    assert_eq!(one(&told, text), "0[32768] 1[32768] 2[32768] 3[32768] > Port(3)");
    told.later_states = vec![2, 1];
    assert_eq!(one(&told, text), "0[32768] 1[32768] 2[32768] 3[-] >");
}

#[test]
fn what_would_have_left_the_tables_is_asked_again() {
    let text = "priority=9,tcp,tp_dst=22 actions=resubmit(,1)\npriority=9,tcp,tp_dst=23 actions=resubmit(,1)\n\
        priority=8,tcp,tp_dst=0x1f90/0xfff0 actions=output:2\npriority=8,in_port=7,tcp,tp_dst=25 actions=output:2\n\
        priority=8,icmp actions=output:2\npriority=8,udp,nw_src=10.9.0.0/16 actions=output:2\n\
        priority=0 actions=drop\ntable=1,tcp,tp_dst=22 actions=output:2\n";
    let flows = flows(text);
    let tables = Tables::new(&flows);
    let near = tables.nearest(&packet(1, TCP));
    let found: Vec<_> = near
        .into_iter()
        .map(|(change, _)| (change.protocol, change.port, change.source.is_some()))
        .collect();
    assert_eq!(
        found,
        [
            (Some(6), Some(22..=22), false),
            (Some(6), Some(8080..=8095), false),
            (Some(1), None, false),
            (Some(17), None, true),
        ]
    );
    // A source is one address, or a subnet, and none where the mask has gaps.
    let six = [("eth_type", 0x86dd), ("nw_proto", 6), ("ipv6_src", 5), ("tp_dst", 443)];
    for (packet, flow, source) in [
        (packet(1, TCP), "tcp,nw_src=10.9.0.7", Some("10.9.0.7/32")),
        (packet(1, TCP), "tcp,nw_src=10.9.0.0/16", Some("10.9.0.0/16")),
        (packet(1, TCP), "tcp,nw_src=10.9.0.7/255.255.0.255", None),
        (packet(1, &six), "tcp6,ipv6_src=2001:db8::7", Some("2001:db8::7/128")),
        (packet(1, &six), "tcp6,ipv6_src=2001:db8::/64", Some("2001:db8::/64")),
        (packet(1, &six), "tcp6,ipv6_src=2001:db8::7/ffff::ffff", None),
    ] {
        let flows = self::flows(&format!("priority=8,{flow} actions=output:2\n"));
        let near = Tables::new(&flows).nearest(&packet);
        let found = near.first().and_then(|(change, _)| match &change.source {
            Some(tapline_core::records::filter::Addresses::Net(net)) => Some(net.to_string()),
            _ => None,
        });
        assert_eq!(found.as_deref(), source, "{flow}");
    }
    // Flows of other ports, by name too, name nothing.
    let named = "priority=8,in_port=\"tap1\",tcp,tp_dst=22 actions=output:2\n\
        priority=8,in_port=\"tap2\",tcp,tp_dst=23 actions=output:2\n";
    let named = self::flows(named);
    let near = Tables::new(&named)
        .with_ports([("tap1".into(), 1), ("tap2".into(), 2)])
        .nearest(&packet(1, TCP));
    let ports: Vec<_> = near.into_iter().map(|(change, _)| change.port).collect();
    assert_eq!(ports, [Some(22..=22)]);
    // Another protocol begins a connection.
    let first = self::flows("priority=8,tcp,tp_dst=22,tcp_flags=+syn-ack actions=output:2\n");
    let udp = packet(1, &[("eth_type", 0x0800), ("nw_proto", 17), ("tp_dst", 53)]);
    let near = Tables::new(&first).nearest(&udp);
    assert_eq!(near.first().and_then(|(change, _)| change.port.clone()), Some(22..=22));
    // What passes has nothing near it.
    let passes = packet(1, &[("eth_type", 0x0800), ("nw_proto", 6), ("tp_dst", 22)]);
    assert!(tables.nearest(&passes).is_empty());
}

#[test]
fn new_tags_have_no_priority_and_old_ones_keep_theirs() {
    let text = "actions=mod_vlan_vid:7,resubmit(,1)\ntable=1,dl_vlan=7,dl_vlan_pcp=0 actions=output:2\n\
        table=1,dl_vlan=7,dl_vlan_pcp=5 actions=output:3\n";
    let tagged = |tci: u128| one(&packet(1, &[("eth_type", 0x0800), ("vlan_tci", tci)]), text);
    assert_eq!(tagged(0), "0[32768] 1[32768] > Port(2)");
    assert_eq!(tagged(0x1003), "0[32768] 1[32768] > Port(2)");
    assert_eq!(tagged(0xb003), "0[32768] 1[32768] > Port(3)");
}

#[test]
fn sizes_decide_where_they_are_known() {
    let text = "actions=check_pkt_larger(1514)->OXM_OF_PKT_REG4[1],resubmit(,1)\n\
        table=1,reg9=0x2/0x2 actions=CONTROLLER:65535\ntable=1,priority=1 actions=output:2\n";
    let mut sized = packet(1, TCP);
    sized.size = Some(1514);
    assert_eq!(one(&sized, text), "0[32768] 1[1] > Port(2)");
    sized.size = Some(1515);
    assert_eq!(one(&sized, text), "0[32768] 1[32768] > Controller(None)");
    sized.size = None;
    assert_eq!(walks(&sized, text).len(), 2);
}

#[test]
fn groups_have_buckets() {
    let flows = flows(
        "in_port=1 actions=group:1,output:9\nin_port=2 actions=group:2\nin_port=3 actions=group:3\n",
    );
    let groups = groups(
        "group_id=1,type=all,bucket=actions=set_field:0x1->reg0,output:4,bucket=actions=output:5\n\
         group_id=2,type=select,bucket=weight:1,actions=output:6,bucket=weight:1,actions=output:7\n\
         group_id=3,type=indirect,bucket=actions=group:3\n",
    );
    let tables = Tables::new(&flows).with_groups(&groups);
    let all = |port| {
        let paths = tables.run(&packet(port, TCP), Limits::default());
        paths.iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(all(1), ["0[32768] > Port(4) Port(5) Port(9)"]);
    assert_eq!(all(2), ["0[32768] > Port(6) ?", "0[32768] > Port(7) ?"]);
    assert_eq!(all(3), ["0[32768] > !limit"]);
}

#[test]
fn nothing_goes_on_without_an_end() {
    let tcp = packet(1, TCP);
    assert!(one(&tcp, "actions=resubmit(,0)\n").ends_with("> !limit"));
    assert!(
        one(&tcp, "actions=resubmit(,1),resubmit(,1)\ntable=1 actions=resubmit(,0),resubmit(,0)\n")
            .ends_with("!limit")
    );
    assert!(one(&tcp, "ip actions=ct(table=0)\n").ends_with("> !limit"));
    // Forty flows that may each match.
    let text: String = (1..=40)
        .map(|n| format!("priority={n},nsh_mdtype={n} actions=resubmit(,1)\n"))
        .chain((1..=40).map(|n| format!("table=1,priority={n},nsh_si={n} actions=output:{n}\n")))
        .collect();
    let all = walks(&tcp, &text);
    assert!(all.len() <= Limits::default().paths + 1, "{}", all.len());
    assert!(all.iter().any(|path| path.contains("!limit")));
}

#[test]
fn only_ways_back_count_as_deep() {
    // Each table leads to one behind it: that ends by itself, however many they are.
    let text: String = (0..200)
        .map(|at| format!("table={at} actions=resubmit(,{})\n", at + 1))
        .chain(["table=200 actions=output:4\n".to_owned()])
        .collect();
    assert!(one(&packet(1, TCP), &text).ends_with("> Port(4)"));
}

#[test]
fn a_patch_port_clears_what_a_bridge_noted() {
    let mut tcp = packet(1, TCP);
    tcp.put_part(OfField::TunId.whole(), Some(7));
    tcp.put_part(Subfield::named("reg5").unwrap(), Some(9));
    tcp.enter(4);
    assert_eq!(tcp.in_port(), Some(4));
    assert_eq!(tcp.known(Subfield::named("reg5").unwrap()), Some(0));
    assert_eq!(tcp.known(OfField::TunId.whole()), Some(0));
    assert_eq!(tcp.known(OfField::IpDst.whole()), Some(0xc000_0250));
}

#[test]
fn tables_count_their_flows() {
    let all = flows(
        " cookie=0x0, duration=1s, table=0, n_packets=0, n_bytes=0, priority=1,ip actions=drop\n \
         cookie=0x0, duration=1s, table=0, n_packets=0, n_bytes=0, priority=0 actions=NORMAL\n \
         cookie=0x0, duration=1s, table=7, n_packets=0, n_bytes=0, priority=0 actions=drop\n",
    );
    let tables = Tables::new(&all);
    let count = |number: u8| tables.len(&TableRef::Number(number));
    assert_eq!((count(0), count(7), count(9)), (2, 1, 0));
}

#[test]
fn actions_change_what_later_tables_see() {
    // What the first table does, a match of the second, and whether the packet matches it.
    for (does, wanted, fits) in [
        ("mod_vlan_vid:7", "dl_vlan=7", true),
        ("mod_vlan_vid:7", "dl_vlan=8", false),
        ("mod_vlan_vid:7,mod_vlan_pcp:5", "dl_vlan=7,dl_vlan_pcp=5", true),
        ("mod_vlan_vid:7,mod_vlan_pcp:5", "dl_vlan=7,dl_vlan_pcp=4", false),
        ("mod_vlan_pcp:5", "dl_vlan=0,dl_vlan_pcp=5", true),
        ("mod_vlan_vid:7,strip_vlan", "vlan_tci=0x0000/0x1000", true),
        ("set_tunnel:0x41", "tun_id=0x41", true),
        ("set_tunnel:0x41", "tun_id=0x42", false),
        ("load:0x5->NXM_NX_REG3[]", "reg3=0x5", true),
        ("load:0x5->NXM_NX_REG3[],move:NXM_NX_REG3[]->NXM_NX_REG4[]", "reg4=0x5", true),
        ("load:0x5->NXM_NX_REG3[],push:NXM_NX_REG3[],pop:NXM_NX_REG5[]", "reg5=0x5", true),
        ("load:0x5->NXM_NX_REG3[],push:NXM_NX_REG3[],pop:NXM_NX_REG5[]", "reg5=0x6", false),
        ("dec_ttl", "ip,nw_ttl=63", true),
        ("mod_nw_tos:16", "ip,nw_tos=16", true),
        ("mod_nw_tos:16", "ip,nw_tos=32", false),
    ] {
        let mut start = packet(1, TCP);
        start.put(Bits::of(Subfield::named("nw_ttl").unwrap(), 64).unwrap());
        let text = format!(
            " cookie=0x0, duration=1s, table=0, n_packets=0, n_bytes=0, priority=1 actions={does},resubmit(,1)\n \
             cookie=0x0, duration=1s, table=1, n_packets=0, n_bytes=0, priority=2,{wanted} actions=output:2\n \
             cookie=0x0, duration=1s, table=1, n_packets=0, n_bytes=0, priority=0 actions=drop\n"
        );
        let told = if fits { "0[1] 1[2] > Port(2)" } else { "0[1] 1[0] >" };
        assert_eq!(walks(&start, &text), [told], "{does} {wanted}");
    }
}

#[test]
fn a_lifetime_that_is_over_ends_the_actions_of_its_flow() {
    let text = " cookie=0x0, duration=1s, table=0, n_packets=0, n_bytes=0, priority=1 actions=resubmit(,1),output:3\n \
                cookie=0x0, duration=1s, table=1, n_packets=0, n_bytes=0, priority=1 actions=dec_ttl,output:2\n";
    let of = |ttl| {
        let mut start = packet(1, TCP);
        start.put(Bits::of(Subfield::named("nw_ttl").unwrap(), ttl).unwrap());
        walks(&start, text)
    };
    assert_eq!(of(2), ["0[1] 1[1] > Port(2) Port(3)"]);
    assert_eq!(of(1), ["0[1] 1[1] > Expired Port(3)"]);
}

#[test]
fn the_first_bucket_that_lives_is_taken() {
    let flows = flows(
        " cookie=0x0, duration=1s, table=0, n_packets=0, n_bytes=0, priority=1 actions=group:7\n",
    );
    let groups = groups(
        "OFPST_GROUP_DESC reply (OF1.3) (xid=0x2):\n group_id=7,type=ff,bucket=watch_port:2,actions=output:2,\
         bucket=watch_port:3,actions=output:3,bucket=watch_port:4,actions=output:4\n",
    );
    let with = |links: &[(u32, bool)]| {
        let tables = Tables::new(&flows).with_groups(&groups).with_links(links.iter().copied());
        let paths = tables.run(&packet(1, TCP), Limits::default());
        paths.iter().map(shown).collect::<Vec<_>>()
    };
    assert_eq!(with(&[(2, true), (3, true)]), ["0[1] > Port(2)"]);
    assert_eq!(with(&[(2, false), (3, true)]), ["0[1] > Port(3)"]);
    assert_eq!(with(&[(2, false), (3, false), (4, false)]), ["0[1] >"]);
    // What is not known of one leaves open which it is.
    assert_eq!(with(&[(3, true)]).len(), 2);
    assert_eq!(with(&[]).len(), 3);
}
