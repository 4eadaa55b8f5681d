//! Reasons that few faults have: an entry of a wrong neighbour, routes that throw, connections that are
//! not valid, ports that keep apart; and frames that a bridge gives another destination.
use super::common::{BRIDGE, link, port};
use super::{ask, two_on_a_bridge};

fn with(more: &str) -> String {
    two_on_a_bridge(&port("forwarding")).replace(
        "root@h1:~# ip netns exec a ip -d address\n",
        &format!("{more}root@h1:~# ip netns exec a ip -d address\n"),
    )
}

#[test]
fn neighbours_with_a_mac_of_nobody_are_wrong() {
    for (mac, state, expected) in [
        ("02:00:00:00:0b:01", "PERMANENT", "yes: delivered"),
        ("02:00:00:00:99:99", "PERMANENT", "no: blackholed neigh-wrong"),
        ("02:00:00:00:99:99", "STALE", "no: blackholed neigh-wrong"),
        // Its own address, and a router that several machines are.
        ("02:00:00:00:0a:01", "PERMANENT", "no: blackholed"),
        ("00:00:5e:00:01:07", "PERMANENT", "no: "),
    ] {
        let entry = format!(
            "root@h1:~# ip netns exec a ip neigh\n192.0.2.2 dev eth0 lladdr {mac} {state}\n"
        );
        let way = ask(&with(&entry), "ns:a", "ip:192.0.2.2", |_| {});
        assert!(way[0].starts_with(expected), "{mac} {state}: {way:#?}");
        assert_eq!(
            way[0].contains("neigh-wrong"),
            !mac.ends_with("0b:01") && !mac.starts_with("00:00:5e"),
            "{way:#?}"
        );
    }
}

/// What becomes of a packet to 203.0.113.7 by these routes and rules.
fn routed(routes: &str, rules: &str) -> Vec<String> {
    let text = format!(
        "root@h1:~# ip -d address\n{}{}    inet 192.0.2.1/24 brd 192.0.2.255 scope global eth0\n       valid_lft \
         forever preferred_lft forever\nroot@h1:~# ip route show table all\n{routes}192.0.2.0/24 dev eth0 proto kernel \
         scope link src 192.0.2.1 \nroot@h1:~# ip rule\n0:\tfrom all lookup local\n{rules}32766:\tfrom all lookup \
         main\n32767:\tfrom all lookup default\nroot@h1:~# iptables-save\n{}root@h1:~# ip neigh\n192.0.2.254 dev eth0 \
         lladdr 02:00:00:00:00:fe REACHABLE\nroot@h1:~# \n",
        super::LO,
        link(2, "eth0", "", ""),
        super::FILTER,
    );
    ask(&text, "ns:root", "ip:203.0.113.7", |_| {})
}

#[test]
fn nothing_may_be_behind_a_route_that_throws() {
    let rule = "100:\tfrom all lookup 100\n";
    let throw = "throw 203.0.113.0/24 table 100 \n";
    let way = routed(throw, rule);
    assert!(way[0].starts_with("no: rejected route-throw-exhausted"), "{way:#?}");
    let way = routed("throw 198.51.100.0/24 table 100 \n", rule);
    assert!(way[0].starts_with("no: rejected no-route"), "{way:#?}");
    let way = routed(&format!("{throw}default via 192.0.2.254 dev eth0 \n"), rule);
    assert!(way[0].starts_with("yes: "), "{way:#?}");
}

#[test]
fn what_is_of_no_valid_connection_is_dropped_for_that() {
    let dropping = super::FILTER.replace(
        "COMMIT",
        "-A INPUT -m conntrack --ctstate INVALID -j DROP\n-A INPUT -p tcp -m tcp --dport 23 -j DROP\nCOMMIT",
    );
    let text = two_on_a_bridge(&port("forwarding")).replace(
        &format!("exec b iptables-save\n{}", super::FILTER),
        &format!("exec b iptables-save\n{dropping}"),
    );
    let to = |ct: Option<&str>, dport: u16| {
        ask(&text, "ns:a", "ip:192.0.2.2", |question| {
            question.proto = Some("tcp".to_owned());
            question.dport = Some(dport);
            question.ct = ct.map(str::to_owned);
        })
    };
    assert!(
        to(Some("inv"), 22)[0].starts_with("no: dropped ct-invalid"),
        "{:#?}",
        to(Some("inv"), 22)
    );
    assert!(to(None, 23)[0].starts_with("no: dropped nf-drop"), "{:#?}", to(None, 23));
    // Either the packet is of a valid connection, or the rule is about something else.
    assert!(to(Some("inv"), 23)[0].starts_with("no: dropped ct-invalid"));
    let both = filtered("-A INPUT -m conntrack --ctstate INVALID,NEW -j DROP");
    let any = filtered("-A INPUT -p tcp -j DROP");
    for (text, ct, reason) in [
        (&both, "inv", "ct-invalid"),
        (&both, "new", "nf-drop"),
        (&any, "inv", "nf-drop"),
        (&any, "new", "nf-drop"),
    ] {
        let way = ask(text, "ns:a", "ip:192.0.2.2", |question| {
            question.proto = Some("tcp".to_owned());
            question.dport = Some(22);
            question.ct = Some(ct.to_owned());
        });
        assert_eq!(way[0], format!("no: dropped {reason} assumed"), "{ct}: {way:#?}");
    }
}

/// The two namespaces, with these rules in the filter of the second.
fn filtered(rules: &str) -> String {
    two_on_a_bridge(&port("forwarding")).replace(
        &format!("exec b iptables-save\n{}", super::FILTER),
        &format!(
            "exec b iptables-save\n{}",
            super::FILTER.replace("COMMIT", &format!("{rules}\nCOMMIT"))
        ),
    )
}

#[test]
fn rules_that_may_be_met_leave_it_open_as_not_modelled() {
    for (rule, verdict) in [
        ("-A INPUT -m odd --odd 1 -j DROP", "unknown: unknown not-modelled"),
        ("-A INPUT -m odd --odd 1 -j ACCEPT", "yes: delivered"),
        ("-A INPUT -j NFQUEUE --queue-num 1", "unknown: unknown not-modelled"),
    ] {
        let way = ask(&filtered(rule), "ns:a", "ip:192.0.2.2", |_| {});
        assert!(way[0].starts_with(verdict), "{rule}: {way:#?}");
    }
}

/// What was not captured is asked for, whatever else is open.
#[test]
fn whether_iptables_sees_frames_of_a_bridge_has_to_be_known() {
    let setting = "root@h1:~# sysctl net.bridge.bridge-nf-call-iptables\nnet.bridge.bridge-nf-call-iptables = 0\n";
    let text = two_on_a_bridge(&port("forwarding"));
    assert!(text.contains(setting));
    let asked = |set: &str, rule: &str| {
        let saved = super::FILTER.replace("COMMIT", &format!("{rule}\nCOMMIT"));
        ask(
            &text.replace(setting, &format!("{set}root@h1:~# iptables-save\n{saved}")),
            "ns:a",
            "ip:192.0.2.2",
            |_| {},
        )
    };
    let (drop, set) = ("-A FORWARD -p icmp -j DROP", "-A FORWARD -m odd --odd 1 -j DROP");
    let on = setting.replace("= 0", "= 1");
    for (said, rule, verdict) in [
        (setting, drop, "yes: delivered"),
        (&on, drop, "no: dropped nf-drop"),
        ("", drop, "unknown: unknown not-captured"),
        ("", "-A FORWARD -p tcp -j DROP", "yes: delivered"),
        (setting, set, "yes: delivered"),
        (&on, set, "unknown: unknown not-modelled"),
        ("", set, "unknown: unknown not-captured"),
    ] {
        let way = asked(said, rule);
        assert!(way[0].starts_with(verdict), "{said}{rule}: {way:#?}");
        let next = way.contains(&"next sysctl net.bridge.bridge-nf-call-iptables".to_owned());
        assert_eq!(next, verdict.ends_with("not-captured"), "{said}{rule}: {way:#?}");
    }
}

#[test]
fn isolated_ports_are_named_as_such() {
    use super::common::with_network;
    use tapline_network::trace::{Question, Tracer};
    let isolated = port("forwarding").replace("cost 100", "cost 100 isolated on");
    let text = two_on_a_bridge(&isolated).replace(
        &format!("{}{}", super::common::VETH, port("forwarding")),
        &format!("{}{isolated}", super::common::VETH),
    );
    with_network(&text, |network| {
        let to = Some("ip:192.0.2.2".to_owned());
        let question = Question { from: "ns:a".to_owned(), to, ..Question::default() };
        let verdict = Tracer::new(network).ask(&question).unwrap().trace.verdict;
        let line = network.topology.snapshot.quote(verdict.evidence[0]);
        assert!(verdict.text.contains("isolated"), "{verdict:#?}");
        assert_eq!(line, "on", "{verdict:#?}");
    });
}

/// Two namespaces on a bridge whose frames iptables sees, and the bridge's address; DNAT of
/// 198.51.100.9 to `target`.
fn seen_by_iptables(target: &str, sees: u8) -> String {
    let nat = format!(
        "# Generated by iptables-save v1.8.9 on Sun Nov 29 12:00:00 2026\n*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT \
         [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n-A PREROUTING -d 198.51.100.9/32 -p tcp -m tcp --dport \
         80 -j DNAT --to-destination {target}\nCOMMIT\n# Completed on Sun Nov 29 12:00:00 2026\n"
    );
    let own = link(2, "br0", "", BRIDGE);
    let addressed = format!(
        "{own}    inet 192.0.2.254/24 brd 192.0.2.255 scope global br0\n       valid_lft forever preferred_lft forever\n"
    );
    let root = format!(
        "root@h1:~# ip route show table all\n192.0.2.0/24 dev br0 proto kernel scope link src 192.0.2.254 \nlocal \
         192.0.2.254 dev br0 table local proto kernel scope host src 192.0.2.254 \nroot@h1:~# ip rule\n{}root@h1:~# \
         iptables-save\n{nat}{}root@h1:~# sysctl -a\nnet.ipv4.ip_forward = 1\nnet.ipv4.conf.all.rp_filter = \
         0\nnet.ipv4.conf.br0.rp_filter = 0\nroot@h1:~# ss -tuln\nNetid State  Recv-Q Send-Q Local Address:Port Peer \
         Address:Port\ntcp   LISTEN 0      128    0.0.0.0:6443   0.0.0.0:*\nroot@h1:~# ip netns exec b ss -tuln\nNetid \
         State  Recv-Q Send-Q Local Address:Port Peer Address:Port\ntcp   LISTEN 0      128    0.0.0.0:8080   \
         0.0.0.0:*\nroot@h1:~# bridge fdb show br br0\n02:00:00:00:0a:01 dev va master br0 \n02:00:00:00:0b:01 dev vb \
         master br0 \n",
        super::RULES,
        super::FILTER,
    );
    with(&root)
        .replace(&own, &addressed)
        .replace("bridge-nf-call-iptables = 0", &format!("bridge-nf-call-iptables = {sees}"))
        .replace(
            "ip netns exec a ip route show table all\n",
            "ip netns exec a ip route show table all\ndefault via 192.0.2.254 dev eth0 \n",
        )
}

#[test]
fn frames_that_get_another_destination_are_routed() {
    let sent = |target: &str, sees: u8| {
        ask(&seen_by_iptables(target, sees), "ns:a", "ip:198.51.100.9", |question| {
            question.proto = Some("tcp".to_owned());
            question.dport = Some(80);
        })
    };
    for sees in [0, 1] {
        // Out of the same bridge, and into the host.
        let way = sent("192.0.2.2:8080", sees);
        assert!(way[0].starts_with("yes: delivered"), "{sees}: {way:#?}");
        assert!(way.contains(&"device vb > eth0".to_owned()), "{sees}: {way:#?}");
        let way = sent("192.0.2.254:6443", sees);
        assert!(way[0].starts_with("yes: delivered"), "{sees}: {way:#?}");
        assert!(way.contains(&"local br0 > -".to_owned()), "{sees}: {way:#?}");
        let way = sent("192.0.2.254:6444", sees);
        assert!(way[0].starts_with("no: rejected no-listener"), "{sees}: {way:#?}");
    }
}

/// The verdict on a packet where the first namespace has these rules.
fn sent_by(command: &str, rules: &str) -> String {
    let text = two_on_a_bridge(&port("forwarding")).replace(
        &format!("exec a iptables-save\n{}", super::FILTER),
        &format!("exec a {command}\n{rules}"),
    );
    ask(&text, "ns:a", "ip:192.0.2.2", |_| {}).swap_remove(0)
}

#[test]
fn marks_of_connections_are_read_by_later_rules() {
    for (target, mark, dropped) in [
        ("--set-xmark 0x9/0xffffffff", "0x9", true),
        ("--set-xmark 0x9/0xffffffff", "0x8", false),
        ("--set-xmark 0x9/0xf", "0x9/0xf", true),
        ("--set-xmark 0x9/0xf", "0x8/0xc", true),
        ("--set-xmark 0x9/0xf", "0x4/0xc", false),
    ] {
        let rules = format!(
            "*mangle\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -j CONNMARK {target}\nCOMMIT\n*filter\n:INPUT ACCEPT [0:0]\n\
             :FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -m connmark --mark {mark} -j DROP\nCOMMIT\n"
        );
        let said = sent_by("iptables-save", &rules);
        assert_eq!(said.starts_with("no: dropped nf-drop"), dropped, "{target} {mark}: {said}");
    }
}

#[test]
fn chains_of_nft_are_asked_by_their_priority() {
    for (priority, dropped) in [
        ("filter - 1", true),
        ("filter + 1", false),
        ("-1", true),
        ("1", false),
        ("mangle", true),
        ("raw", true),
        ("security", false),
    ] {
        // It stands behind the chain that reads the mark.
        let rules = format!(
            "table inet fw {{\n\tchain reads {{\n\t\ttype filter hook output priority filter; policy accept;\n\t\tmeta \
             mark 0x00000009 drop\n\t}}\n\tchain marks {{\n\t\ttype filter hook output priority {priority}; policy \
             accept;\n\t\tmeta mark set 0x00000009\n\t}}\n}}\n"
        );
        let said = sent_by("nft list ruleset", &rules);
        assert_eq!(said.starts_with("no: dropped nf-drop"), dropped, "{priority}: {said}");
    }
}
