//! What a namespace takes from a device: ARP, sources and destinations, pings.
use super::common::{port, with_network};
use super::{ask, shown, two_on_a_bridge};
use tapline_network::trace::{Question, Tracer};

/// The settings of the second namespace.
const SETTINGS: &str = "net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.eth0.rp_filter = 0\n";

/// What becomes of a packet that the device of the second namespace receives.
fn arrives(settings: &str, packet: &str) -> String {
    let text = two_on_a_bridge(&port("forwarding")).replace(SETTINGS, settings);
    let way = ask(&text, "if:h1/b/eth0", "ns:b", |question| {
        let packet = packet.replace(' ', ",dl_src=02:00:00:00:0a:01,dl_dst=02:00:00:00:0b:01,");
        question.packet = Some(packet);
    });
    way.first().cloned().unwrap_or_default()
}

#[test]
fn arp_is_answered_for_own_addresses() {
    let asks = |address: &str| {
        format!(
            "arp,dl_src=02:00:00:00:0a:01,dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1,arp_spa=192.0.2.1,arp_tpa={address}"
        )
    };
    assert!(arrives(SETTINGS, &asks("192.0.2.2")).starts_with("yes: delivered"));
    assert!(arrives(SETTINGS, &asks("192.0.2.9")).starts_with("no: "));
    let off = format!("{SETTINGS}net.ipv4.conf.eth0.proxy_arp = 0\n");
    assert!(arrives(&off, &asks("203.0.113.9")).starts_with("no: "));
}

#[test]
fn sources_that_cannot_be_are_dropped() {
    let from = |source: &str| {
        arrives(SETTINGS, &format!("icmp nw_src={source},nw_dst=192.0.2.2,icmp_type=8"))
    };
    for source in ["127.0.0.1", "255.255.255.255", "224.0.0.5", "0.0.0.0", "192.0.2.2"] {
        assert!(from(source).starts_with("no: dropped martian"), "{source}: {}", from(source));
    }
    for source in ["192.0.2.1", "192.0.2.9", "203.0.113.9"] {
        assert!(from(source).starts_with("yes: delivered"), "{source}: {}", from(source));
    }
}

#[test]
fn the_way_back_has_to_lead_by_the_device_where_that_is_set() {
    let set = |all: &str, own: &str| {
        let line = |dev: &str, value: &str| match value {
            "" => String::new(),
            value => format!("net.ipv4.conf.{dev}.rp_filter = {value}\n"),
        };
        line("all", all) + &line("eth0", own)
    };
    // The first is of the subnet, to the second there is no route.
    let (near, far) = ("192.0.2.9", "203.0.113.9");
    for (all, own, source, expected) in [
        ("0", "0", far, "yes: delivered"),
        ("1", "0", far, "no: dropped rp-filter"),
        ("0", "1", far, "no: dropped rp-filter"),
        ("2", "1", far, "no: dropped rp-filter"),
        ("2", "", far, "no: dropped rp-filter"),
        ("1", "1", near, "yes: delivered"),
        ("1", "", near, "yes: delivered"),
        ("1", "", far, "unknown"),
        ("0", "", far, "unknown"),
        ("", "", far, "unknown"),
    ] {
        let packet = format!("icmp nw_src={source},nw_dst=192.0.2.2,icmp_type=8");
        let said = arrives(&set(all, own), &packet);
        assert!(said.starts_with(expected), "{all} {own} {source}: {said}");
    }
}

/// The value that counts is the higher one of both (ip-sysctl), and that is the line that is cited.
#[test]
fn the_setting_that_checks_the_way_back_is_cited() {
    let cited = |all: u8, own: u8| {
        let set =
            format!("net.ipv4.conf.all.rp_filter = {all}\nnet.ipv4.conf.eth0.rp_filter = {own}\n");
        let text = two_on_a_bridge(&port("forwarding")).replace(SETTINGS, &set);
        with_network(&text, |network| {
            let frame = "icmp,dl_src=02:00:00:00:0a:01,dl_dst=02:00:00:00:0b:01,nw_src=203.0.113.9,nw_dst=192.0.2.2,icmp_type=8";
            let question = Question {
                from: "if:h1/b/eth0".to_owned(),
                to: Some("ns:b".to_owned()),
                packet: Some(frame.to_owned()),
                ..Question::default()
            };
            let verdict = Tracer::new(network).ask(&question).unwrap().trace.verdict;
            assert_eq!(
                verdict.reason.map(tapline_network::trace::Reason::as_str),
                Some("rp-filter")
            );
            let source = network.topology.snapshot.source(verdict.evidence[0].source).unwrap();
            source.line_text(verdict.evidence[0].span).trim().to_owned()
        })
    };
    assert_eq!(cited(0, 1), "net.ipv4.conf.eth0.rp_filter = 1");
    assert_eq!(cited(1, 0), "net.ipv4.conf.all.rp_filter = 1");
}

#[test]
fn agents_switch_the_check_of_the_way_back_off_in_their_namespaces() {
    let packet = "icmp,dl_src=02:00:00:00:0a:01,dl_dst=02:00:00:00:0b:01,nw_src=203.0.113.9,nw_dst=192.0.2.2,icmp_type=8";
    for (name, expected) in [
        ("b", "unknown"),
        ("qrouter-1", "yes: delivered"),
        ("snat-1", "yes: delivered"),
        ("fip-1", "yes: delivered"),
        ("qdhcp-1", "unknown"),
    ] {
        let text = two_on_a_bridge(&port("forwarding"))
            .replace(SETTINGS, "")
            .replace("exec b ", &format!("exec {name} "))
            .replace("\nb (id", &format!("\n{name} (id"))
            .replace("link-netns b ", &format!("link-netns {name} "));
        let way = ask(&text, &format!("if:h1/{name}/eth0"), &format!("ns:{name}"), |question| {
            question.packet = Some(packet.to_owned());
        });
        assert!(way[0].starts_with(expected), "{name}: {way:#?}");
    }
}

#[test]
fn loopback_addresses_are_reached_from_outside_where_that_is_set() {
    let set = |all: &str, own: &str| {
        let line = |dev: &str, value: &str| match value {
            "" => String::new(),
            value => format!("net.ipv4.conf.{dev}.route_localnet = {value}\n"),
        };
        SETTINGS.to_owned() + &line("all", all) + &line("eth0", own)
    };
    for (all, own, expected) in [
        ("0", "0", "no: blackholed martian"),
        ("1", "0", "yes: delivered"),
        ("0", "1", "yes: delivered"),
        ("0", "", "unknown"),
        ("", "0", "unknown"),
    ] {
        let said = arrives(&set(all, own), "icmp nw_src=192.0.2.1,nw_dst=127.0.0.1,icmp_type=8");
        assert!(said.starts_with(expected), "{all} {own}: {said}");
    }
}

#[test]
fn pings_are_answered_unless_that_is_switched_off() {
    let ping = "icmp nw_src=192.0.2.1,nw_dst=192.0.2.2,icmp_type=8";
    for (value, expected) in [("0", "yes: delivered"), ("1", "no: blackholed echo-ignored")] {
        let settings = format!("{SETTINGS}net.ipv4.icmp_echo_ignore_all = {value}\n");
        let said = arrives(&settings, ping);
        assert!(said.starts_with(expected), "{value}: {said}");
    }
}

#[test]
fn addresses_belong_to_the_namespace_and_not_to_a_device() {
    // The second namespace has an address of the subnet on its loopback.
    let lo = "    inet 127.0.0.1/8 scope host lo\n";
    let own = format!("{lo}    inet 192.0.2.50/32 scope global lo\n");
    let text = two_on_a_bridge(&port("forwarding"));
    let at = text.find("exec b ip -d address").unwrap();
    let (before, after) = text.split_at(at);
    let text = before.to_owned() + &after.replacen(lo, &own, 1);
    for (settings, expected) in [
        ("", "yes: delivered"),
        ("net.ipv4.conf.eth0.arp_ignore = 0\n", "yes: delivered"),
        ("net.ipv4.conf.eth0.arp_ignore = 1\n", "no: "),
        ("net.ipv4.conf.all.arp_ignore = 1\n", "no: "),
        ("net.ipv4.conf.eth1.arp_ignore = 1\n", "yes: delivered"),
    ] {
        let text = text.replace(SETTINGS, &format!("{SETTINGS}{settings}"));
        let way = ask(&text, "ns:a", "ip:192.0.2.50", |_| {});
        assert!(way[0].starts_with(expected), "{settings}: {way:#?}");
    }
}

#[test]
fn what_a_sender_chooses_decides_in_its_own_filter() {
    let own = format!("exec a iptables-save\n{}", super::FILTER);
    let rule = "-A OUTPUT -m mark --mark 0x11 -j DROP\nCOMMIT";
    let text = two_on_a_bridge(&port("forwarding")).replace(&own, &own.replace("COMMIT", rule));
    for (mark, expected) in [
        (None, "yes: delivered"),
        (Some("0x11"), "no: dropped nf-drop"),
        (Some("17"), "no: dropped nf-drop"),
        (Some("11"), "yes: delivered"),
        (Some("eleven"), "error: "),
    ] {
        let way = ask(&text, "ns:a", "ns:b", |question| question.mark = mark.map(str::to_owned));
        assert!(way[0].starts_with(expected), "{mark:?}: {way:#?}");
    }
}

/// A host with two devices, and what becomes of a packet to or from elsewhere.
fn two_ways(more: &str, from: &str, to: &str, oif: Option<&str>) -> Vec<String> {
    let address = |ip: &str, dev: &str| {
        format!(
            "    inet {ip}/24 scope global {dev}\n       valid_lft forever preferred_lft forever\n"
        )
    };
    let links = [
        super::LO.to_owned(),
        super::common::link(2, "eno1", "", &address("192.0.2.1", "eno1")),
        super::common::link(3, "eno2", "", &address("198.51.100.1", "eno2")),
    ];
    let text = format!(
        "root@h1:~# ip -d address\n{}root@h1:~# ip route show table all\n{more}\
         192.0.2.0/24 dev eno1 proto kernel scope link src 192.0.2.1 \n\
         198.51.100.0/24 dev eno2 proto kernel scope link src 198.51.100.1 \n\
         local 192.0.2.1 dev eno1 table local proto kernel scope host src 192.0.2.1 \n\
         local 198.51.100.1 dev eno2 table local proto kernel scope host src 198.51.100.1 \n\
         root@h1:~# ip rule\n{}root@h1:~# ip neigh\n192.0.2.254 dev eno1 lladdr 02:00:00:00:00:fe REACHABLE\n\
         198.51.100.254 dev eno2 lladdr 02:00:00:00:00:ff REACHABLE\nroot@h1:~# iptables-save\n{}\
         root@h1:~# sysctl -a\nnet.ipv4.conf.all.rp_filter = 1\nnet.ipv4.conf.eno1.rp_filter = 1\n\
         net.ipv4.conf.eno2.rp_filter = 1\nroot@h1:~# \n",
        links.concat(),
        super::RULES,
        super::FILTER,
    );
    ask(&text, from, to, |question| question.oif = oif.map(str::to_owned))
}

const DEFAULTS: &str = "default via 192.0.2.254 dev eno1 metric 100\n\
                        default via 198.51.100.254 dev eno2 metric 200\n";

#[test]
fn what_comes_from_outside_enters_where_the_way_back_leaves() {
    for to in ["ip:192.0.2.1", "ns:root", "if:eno1"] {
        let way = two_ways(DEFAULTS, "ip:203.0.113.7", to, None);
        assert!(way[0].starts_with("yes: delivered"), "{to}: {way:#?}");
        assert!(way.contains(&"local eno1 > -".to_owned()), "{to}: {way:#?}");
    }
    let way = two_ways("", "ip:203.0.113.7", "ip:192.0.2.1", None);
    assert_eq!(way, ["unknown: unknown no-route inferred"]);
}

#[test]
fn a_sender_may_be_bound_to_a_device() {
    for (oif, route) in [(None, "eno1"), (Some("eno1"), "eno1"), (Some("eno2"), "eno2")] {
        let way = two_ways(DEFAULTS, "ns:root", "ip:203.0.113.7", oif);
        assert!(way[0].starts_with("yes: "), "{oif:?}: {way:#?}");
        assert!(way[1].starts_with(&format!("route - > {route} ")), "{oif:?}: {way:#?}");
    }
    // Where no route does, the destination is taken to be on its link.
    let way = two_ways("", "ns:root", "ip:203.0.113.7", Some("eno2"));
    assert!(way.iter().any(|hop| hop.starts_with("route - > eno2")), "{way:#?}");
    let way = two_ways("", "ns:root", "ip:203.0.113.7", None);
    assert!(way[0].starts_with("no: ") && way[0].contains("no-route"), "{way:#?}");
    let way = two_ways(DEFAULTS, "ns:root", "ip:203.0.113.7", Some("eno3"));
    assert_eq!(way, ["error: root on h1 has no device eno3"]);
    let way = two_ways(DEFAULTS, "if:eno1", "ip:203.0.113.7", Some("eno1"));
    assert!(way[0].starts_with("error: a device is chosen by what a namespace sends"), "{way:#?}");
}

#[test]
fn ports_of_a_switch_that_was_not_captured_lead_on_unknown() {
    let links = [
        super::LO.to_owned(),
        super::common::link(2, "tapa", "master ovs-system", super::common::TAP),
    ];
    let text = super::common::session(&links, "");
    let way = ask(&text, "if:tapa", "outside", |question| {
        question.packet = Some("icmp,nw_src=192.0.2.1,nw_dst=192.0.2.2".to_owned());
    });
    assert!(way[0].starts_with("unknown: unknown not-captured"), "{way:#?}");
    assert!(way.contains(&"next ovs-vsctl show".to_owned()), "{way:#?}");
}

/// Whether a ping of the first namespace, and its answer where that is asked, is lost without a
/// device of root.
fn is_lost(text: &str, without: &str, reverse: bool) -> Option<bool> {
    with_network(text, |network| {
        let (host, netns) = (tapline_core::capture::HostId(0), tapline_core::ids::Netns::Root);
        let node = network.topology.find_netdev(host, &netns, without).unwrap();
        let question = Question {
            from: "ns:a".to_owned(),
            to: Some("ip:192.0.2.2".to_owned()),
            without: Some(network.topology.key(node).unwrap().to_string()),
            reverse,
            ..Question::default()
        };
        let answered = Tracer::new(network).ask(&question).unwrap();
        let before = answered.before.as_ref().unwrap();
        assert!(!shown(&before.trace).is_empty());
        before.is_lost(&answered)
    })
}

#[test]
fn what_is_taken_away_loses_what_arrived_before() {
    let text = two_on_a_bridge(&port("forwarding"));
    let filter = |netns: &str, text: &str, rule: &str| {
        let own = format!("exec {netns} iptables-save\n{}", super::FILTER);
        assert!(text.contains(&own));
        text.replace(&own, &own.replace("COMMIT", &format!("{rule}\nCOMMIT")))
    };
    let asked_no_answer = filter("a", &text, "-A INPUT -j DROP");
    let stopped = filter("b", &text, "-A INPUT -j DROP");
    let open =
        text.replace(&format!("root@h1:~# ip netns exec b iptables-save\n{}", super::FILTER), "");
    for (what, text, without, reverse, lost) in [
        ("on the way", &text, "va", false, Some(true)),
        ("on the way", &text, "br0", false, Some(true)),
        ("on the way", &text, "vb", true, Some(true)),
        ("beside it", &text, "lo", false, Some(false)),
        ("beside it", &text, "lo", true, Some(false)),
        ("stopped before", &stopped, "va", false, Some(false)),
        ("not known before", &open, "va", false, None),
        ("no answer before", &asked_no_answer, "va", false, Some(true)),
        ("no answer before", &asked_no_answer, "va", true, Some(false)),
    ] {
        assert_eq!(is_lost(text, without, reverse), lost, "{what} {without} {reverse}");
    }
}

#[test]
fn arp_is_ignored_as_the_settings_say() {
    let asks = |sender: &str| {
        format!(
            "arp,dl_src=02:00:00:00:0a:01,dl_dst=ff:ff:ff:ff:ff:ff,arp_op=1,arp_spa={sender},\
             arp_tpa=192.0.2.2"
        )
    };
    let (near, far) = ("192.0.2.1", "203.0.113.9");
    for (all, own, sender, answers) in [
        ("0", "0", near, true),
        ("0", "0", far, true),
        // Of its own device.
        ("1", "0", near, true),
        ("0", "1", far, true),
        // And of its own subnet.
        ("2", "0", near, true),
        ("0", "2", near, true),
        ("0", "2", far, false),
        ("2", "1", far, false),
        ("8", "0", near, false),
        ("0", "8", near, false),
    ] {
        let settings = format!(
            "{SETTINGS}net.ipv4.conf.all.arp_ignore = {all}\nnet.ipv4.conf.eth0.arp_ignore = {own}\n"
        );
        let told = arrives(&settings, &asks(sender));
        assert_eq!(told.starts_with("yes: delivered"), answers, "{all} {own} {sender}: {told}");
    }
}
