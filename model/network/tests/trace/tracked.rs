//! Connections that are tracked already.
use super::common::port;
use super::{FILTER, ask, two_on_a_bridge};

/// A bridge whose flows let pass what belongs to a connection of zone 7, and what is tracked.
fn through_a_zone(tracked: &str, frame: &str) -> String {
    let text = format!(
        "root@h1:~# ovs-vsctl show\n0b4f7f5e-1f0c-4d0e-8d0c-3c1a5a7c9b10\n    Bridge br-shop\n        \
         fail_mode: secure\n        Port shop1\n            Interface shop1\n        Port shop2\n            \
         Interface shop2\n    ovs_version: \"2.17.9\"\nroot@h1:~# ovs-ofctl show br-shop\n\
         OFPT_FEATURES_REPLY (xid=0x2): dpid:0000aaaabbbbcccc\nn_tables:254, n_buffers:0\n\
         capabilities: FLOW_STATS TABLE_STATS PORT_STATS QUEUE_STATS ARP_MATCH_IP\nactions: output\n \
         1(shop1): addr:fe:16:3e:00:00:01\n     config:     0\n     state:      0\n     \
         speed: 0 Mbps now, 0 Mbps max\n 2(shop2): addr:fe:16:3e:00:00:02\n     config:     0\n     \
         state:      0\n     speed: 0 Mbps now, 0 Mbps max\n LOCAL(br-shop): addr:f6:4a:e1:e1:d6:43\n     \
         config:     PORT_DOWN\n     state:      LINK_DOWN\n     speed: 0 Mbps now, 0 Mbps max\n\
         OFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal miss_send_len=0\n\
         root@h1:~# ovs-ofctl dump-flows br-shop\n \
         cookie=0x1, duration=9.1s, table=0, n_packets=7, n_bytes=700, priority=1,ip actions=ct(table=1,zone=7)\n \
         cookie=0x1, duration=9.1s, table=1, n_packets=5, n_bytes=500, priority=9,ct_state=+est+trk,ip actions=output:2\n \
         cookie=0x1, duration=9.1s, table=1, n_packets=5, n_bytes=500, priority=1,ct_state=+new+trk,ip actions=drop\n\
         root@h1:~# conntrack -L\n{tracked}\
         conntrack v1.4.6 (conntrack-tools): 1 flow entries have been shown.\nroot@h1:~# \n"
    );
    let way = ask(&text, "ovs:br-shop/shop1", "outside", |question| {
        question.to = None;
        question.packet = Some(frame.to_owned());
        question.stop_at = Some("ovs".to_owned());
    });
    let ends: Vec<_> = way.iter().filter(|hop| hop.starts_with("ovs-bridge")).cloned().collect();
    let verdict = way.first().cloned().unwrap_or_default();
    format!("{verdict}; {}", ends.join(", "))
}

#[test]
fn connections_of_a_zone_decide_in_its_flows() {
    let tcp = |zone: u16| {
        format!(
            "tcp      6 431999 ESTABLISHED src=192.0.2.1 dst=192.0.2.2 sport=5000 dport=22 \
             src=192.0.2.2 dst=192.0.2.1 sport=22 dport=5000 [ASSURED] mark=0 zone={zone} use=1\n"
        )
    };
    let segment = "tcp,nw_src=192.0.2.1,nw_dst=192.0.2.2,tp_src=5000,tp_dst=22";
    let dropped = |said: &str| said.starts_with("no: dropped");
    assert!(through_a_zone(&tcp(7), segment).ends_with("shop1 > shop2"));
    assert!(dropped(&through_a_zone(&tcp(8), segment)), "another zone");
    let other = segment.replace("5000", "5001");
    assert!(dropped(&through_a_zone(&tcp(7), &other)), "another connection");
    for (field, end) in [("nw_src", "192.0.2.1"), ("nw_dst", "192.0.2.2")] {
        let other = segment.replace(&format!("{field}={end}"), &format!("{field}=192.0.2.9"));
        assert!(dropped(&through_a_zone(&tcp(7), &other)), "another end: {field}");
    }
    // The protocol counts.
    for (listed, number, sent, known) in [
        ("udp", 17, "udp", true),
        ("sctp", 132, "sctp", true),
        ("udp", 17, "tcp", false),
        ("tcp", 6, "udp", false),
        ("sctp", 132, "udp", false),
    ] {
        let line = tcp(7).replace("tcp      6 431999 ESTABLISHED", &format!("{listed} {number} 9"));
        let found = through_a_zone(&line, &segment.replace("tcp", sent));
        assert_eq!(found.ends_with("shop1 > shop2"), known, "{listed} {sent}: {found}");
        assert_eq!(dropped(&found), !known, "{listed} {sent}: {found}");
    }
    // A ping may be the one that is tracked, or another.
    let ping = "icmp     1 29 src=192.0.2.1 dst=192.0.2.2 type=8 code=0 id=7 src=192.0.2.2 \
                dst=192.0.2.1 type=0 code=0 id=7 mark=0 zone=7 use=1\n";
    let echo = "icmp,nw_src=192.0.2.1,nw_dst=192.0.2.2,icmp_type=8,icmp_code=0";
    let open = through_a_zone(ping, echo);
    assert!(open.starts_with("unknown"), "{open}");
}

#[test]
fn pings_may_belong_to_one_that_is_tracked() {
    let text = two_on_a_bridge(&port("forwarding"));
    let only = |state: &str| {
        let rule =
            format!("-A INPUT -m conntrack --ctstate {state} -j ACCEPT\n-A INPUT -j DROP\nCOMMIT");
        let text = text.replace(
            &format!("exec b iptables-save\n{FILTER}"),
            &format!("exec b iptables-save\n{}", FILTER.replace("COMMIT", &rule)),
        );
        text.replace(
            "root@h1:~# ip netns exec b iptables-save\n",
            "root@h1:~# ip netns exec b conntrack -L\nicmp     1 29 src=192.0.2.1 dst=192.0.2.2 type=8 \
             code=0 id=7 src=192.0.2.2 dst=192.0.2.1 type=0 code=0 id=7 mark=0 use=1\n\
             conntrack v1.4.6 (conntrack-tools): 1 flow entries have been shown.\n\
             root@h1:~# ip netns exec b iptables-save\n",
        )
    };
    let asked = |state: &str, ct: Option<&str>| {
        let way = ask(&only(state), "ns:a", "ip:192.0.2.2", |question| {
            question.ct = ct.map(str::to_owned);
        });
        way[0].clone()
    };
    assert!(asked("NEW,ESTABLISHED", None).starts_with("yes"));
    assert!(asked("ESTABLISHED", None).starts_with("unknown"));
    // What the question tells counts.
    assert!(asked("ESTABLISHED", Some("new")).starts_with("no: dropped"));
    assert!(asked("RELATED", Some("rel")).starts_with("yes"));
    assert!(asked("ESTABLISHED", Some("rel")).starts_with("no: dropped"));
}

#[test]
fn what_is_tracked_tells_of_translations_and_flags() {
    let text = two_on_a_bridge(&port("forwarding"));
    let asked = |condition: &str, back: &str, flags: &str| {
        let rule = format!("-A INPUT {condition} -j ACCEPT\n-A INPUT -j DROP\nCOMMIT");
        let text = text.replace(
            &format!("root@h1:~# ip netns exec b iptables-save\n{FILTER}"),
            &format!(
                "root@h1:~# ip netns exec b conntrack -L\ntcp      6 431999 {flags}src=192.0.2.1 \
                 dst=192.0.2.2 sport=5000 dport=22 {back} mark=0 use=1\n\
                 conntrack v1.4.6 (conntrack-tools): 1 flow entries have been shown.\n\
                 root@h1:~# ip netns exec b iptables-save\n{}",
                FILTER.replace("COMMIT", &rule)
            ),
        );
        let way = ask(&text, "ns:a", "ns:b", |question| {
            question.packet =
                Some("tcp,nw_src=192.0.2.1,nw_dst=192.0.2.2,tp_src=5000,tp_dst=22".to_owned());
        });
        !way[0].starts_with("no: dropped nf-drop")
    };
    let plain = "src=192.0.2.2 dst=192.0.2.1 sport=22 dport=5000 [ASSURED]";
    let other_port = "src=192.0.2.2 dst=192.0.2.1 sport=2222 dport=5000 [ASSURED]";
    let other_source = "src=192.0.2.2 dst=192.0.2.1 sport=22 dport=5001 [ASSURED]";
    let unreplied = "[UNREPLIED] src=192.0.2.2 dst=192.0.2.1 sport=22 dport=5000";
    let stands = "ESTABLISHED ";
    let state = |state: &str| format!("-m conntrack --ctstate {state}");
    for (condition, back, flags, passes) in [
        (state("DNAT"), plain, stands, false),
        (state("DNAT"), other_port, stands, true),
        (state("DNAT"), other_source, stands, false),
        (state("SNAT"), plain, stands, false),
        (state("SNAT"), other_port, stands, false),
        (state("SNAT"), other_source, stands, true),
        (state("ESTABLISHED"), plain, stands, true),
        (state("NEW"), plain, stands, false),
        (state("NEW"), unreplied, "SYN_SENT ", true),
        (state("ESTABLISHED"), unreplied, "SYN_SENT ", false),
        ("-p tcp -m tcp --tcp-flags ACK ACK".to_owned(), plain, stands, true),
        // What nobody has answered is sent again as it was.
        ("-p tcp -m tcp --tcp-flags ACK ACK".to_owned(), unreplied, "SYN_SENT ", false),
    ] {
        assert_eq!(asked(&condition, back, flags), passes, "{condition} {back}");
    }
}

/// What becomes of the addresses and ports of TCP from the first namespace to the second, where this
/// was tracked in the first.
fn rewritten(command: &str, entry: &str) -> Vec<String> {
    let tracked = format!(
        "root@h1:~# {command}\n{entry}\n\
         conntrack v1.4.6 (conntrack-tools): 1 flow entries have been shown.\n"
    );
    let text = two_on_a_bridge(&port("forwarding")).replace(
        "root@h1:~# ip netns exec a ip rule\n",
        &format!("{tracked}root@h1:~# ip netns exec a ip rule\n"),
    );
    let way = ask(&text, "ns:a", "outside", |question| {
        question.packet =
            Some("tcp,nw_src=192.0.2.1,nw_dst=192.0.2.2,tp_src=5000,tp_dst=22".to_owned());
    });
    let hops = way.into_iter().filter(|hop| hop.starts_with("netfilter"));
    hops.map(|hop| hop.replace("netfilter - > ", "")).collect()
}

#[test]
fn entries_translate_where_packets_go_out() {
    let own = "ip netns exec a conntrack -L";
    let entry = |there: &str, back: &str| {
        format!("tcp      6 431999 ESTABLISHED {there} {back} [ASSURED] mark=0 use=1")
    };
    let there = "src=192.0.2.1 dst=192.0.2.2 sport=5000 dport=22";
    let back = |from: &str, from_port: u16, to: &str, to_port: u16| {
        format!("src={from} dst={to} sport={from_port} dport={to_port}")
    };
    let plain = entry(there, &back("192.0.2.2", 22, "192.0.2.1", 5000));
    let source = entry(there, &back("192.0.2.2", 22, "192.0.2.50", 5000));
    let of_source = "nw_src: 192.0.2.1 > 192.0.2.50";
    let destination = entry(there, &back("192.0.2.60", 22, "192.0.2.1", 5000));
    let of_destination = "nw_dst: 192.0.2.2 > 192.0.2.60";
    for (command, entry, changes) in [
        (own, plain.clone(), &[][..]),
        (own, source.clone(), &[of_source]),
        (own, entry(there, &back("192.0.2.2", 22, "192.0.2.1", 6000)), &["tp_src: 5000 > 6000"]),
        (own, destination.clone(), &[of_destination]),
        (own, entry(there, &back("192.0.2.2", 2222, "192.0.2.1", 5000)), &["tp_dst: 22 > 2222"]),
        (
            own,
            entry(there, &back("192.0.2.60", 22, "192.0.2.50", 5000)),
            &[of_destination, of_source],
        ),
        // It answers a connection that came in by the other address, and which is told of it.
        (
            own,
            entry(
                &back("192.0.2.2", 22, "192.0.2.40", 5000),
                "src=192.0.2.1 dst=192.0.2.2 sport=5000 dport=22",
            ),
            &["nw_src: 192.0.2.1 > 192.0.2.40"],
        ),
        // Another connection, of another zone, or of another namespace.
        (own, source.replace("sport=5000", "sport=5001"), &[]),
        (own, source.replace("dport=22", "dport=23"), &[]),
        (own, source.replace("mark=0", "mark=0 zone=3"), &[]),
        (own, source.replace("mark=0", "mark=0 zone=0"), &[of_source]),
        ("conntrack -L", source, &[]),
    ] {
        let found = rewritten(command, &entry);
        assert_eq!(found.len(), changes.len(), "{command} {entry}: {found:#?}");
        for (hop, change) in found.iter().zip(changes) {
            assert!(hop.contains(change), "{command} {entry}: {found:#?}");
        }
    }
}
