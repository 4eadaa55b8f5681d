//! Texts of small hosts, and where their packets go.
use std::net::IpAddr;

use tapline_capture::{Input, Options, open};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::list;
use tapline_topology::build;

use super::{Outcome, Query};
use crate::environment::Environment;
use crate::{Answer, Network};

/// What a session shows the kernel to do with a packet to `to`: `dev via gateway` of each next
/// hop, `local`, the word of a refusal, `no route`, or `? command` for what is open.
fn decide(session: &str, query: &Query<'_>) -> String {
    let input = Input::Text("session".to_owned(), session.to_owned());
    let captured = open(&[input], &Options::default()).unwrap();
    let snapshot = tapline_formats::read(captured);
    let topology = build(&snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let fib = network.fib(HostId(0), &Netns::Root).unwrap();
    match fib.lookup(query) {
        Answer::Unknown(needs) => format!("? {}", list(&needs)),
        Answer::Known(decision) => {
            let assumed = if decision.assumed.is_empty() { "" } else { ", rules assumed" };
            let outcome = match &decision.outcome {
                Outcome::Local(_) => "local".to_owned(),
                Outcome::NoRoute => "no route".to_owned(),
                Outcome::Refused(refusal) => refusal.as_str().to_owned(),
                Outcome::Forward(hops) => {
                    let hops = hops.iter().map(|hop| match hop.gateway {
                        Some(gateway) => format!("{} via {gateway}", hop.dev),
                        None => hop.dev.to_string(),
                    });
                    hops.collect::<Vec<_>>().join(" | ")
                }
            };
            format!("{outcome}{assumed}")
        }
    }
}

fn own(session: &str, to: &str) -> String {
    decide(session, &Query::own(to.parse().unwrap()))
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|_| panic!("{text} is no address"))
}

/// A session with rules and all routes.
fn session(rules: &str, routes: &str) -> String {
    format!(
        "root@n:~# ip rule\n0:\tfrom all lookup local\n{rules}32766:\tfrom all lookup main\n\
         32767:\tfrom all lookup default\nroot@n:~# ip route show table all\n{routes}"
    )
}

const ROUTES: &str = "default via 192.0.2.1 dev eth0 metric 100\n\
                      default via 198.51.100.1 dev eth1 metric 50\n\
                      10.0.0.0/8 via 192.0.2.9 dev eth0\n\
                      10.1.0.0/16 via 198.51.100.9 dev eth1\n\
                      blackhole 10.1.2.0/24\n\
                      unreachable 10.1.3.0/24 metric 200\n\
                      10.1.3.0/24 dev eth1 scope link metric 100\n\
                      default via 203.0.113.1 dev eth2 table 100\n\
                      throw 10.9.0.0/16 table 100\n\
                      192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.7\n";

#[test]
fn the_longest_prefix_then_the_lowest_metric() {
    let host = session("", ROUTES);
    for (to, expected) in [
        ("10.1.9.9", "eth1 via 198.51.100.9"),
        ("10.2.0.1", "eth0 via 192.0.2.9"),
        ("10.1.2.3", "blackhole"),
        ("10.1.3.3", "eth1"),
        ("192.0.2.50", "eth0"),
        ("8.8.8.8", "eth1 via 198.51.100.1"),
    ] {
        assert_eq!(own(&host, to), expected, "{to}");
    }
}

#[test]
fn rules_are_walked_in_their_order() {
    let to_ten = "100:\tfrom all to 10.0.0.0/8 lookup 100\n";
    // `throw` ends the lookup in its table, and the next rule is asked.
    for (rules, to, expected) in [
        (to_ten, "10.2.0.1", "eth2 via 203.0.113.1"),
        (to_ten, "10.9.0.1", "eth0 via 192.0.2.9"),
        (to_ten, "8.8.8.8", "eth1 via 198.51.100.1"),
        ("100:\tfrom all to 10.2.0.0/16 blackhole\n", "10.2.0.1", "blackhole"),
        ("100:\tfrom all to 10.2.0.0/16 prohibit\n", "10.2.0.1", "prohibit"),
        ("100:\tfrom all to 10.2.0.0/16 unreachable\n", "10.2.0.1", "unreachable"),
        ("100:\tfrom all to 10.2.0.0/16 blackhole\n", "10.3.0.1", "eth0 via 192.0.2.9"),
        ("100:\tnot from all to 10.2.0.0/16 blackhole\n", "10.3.0.1", "blackhole"),
        ("100:\tfrom all to 10.0.0.0/8 nop\n", "10.2.0.1", "eth0 via 192.0.2.9"),
        // The rule between is jumped over.
        ("90:\tfrom all goto 32766\n100:\tfrom all blackhole\n", "10.2.0.1", "eth0 via 192.0.2.9"),
        // Its table has a default route only, and that is too short.
        ("100:\tfrom all lookup 100 suppress_prefixlength 0\n", "8.8.8.8", "eth1 via 198.51.100.1"),
        ("100:\tfrom all iif eth5 blackhole\n", "10.2.0.1", "eth0 via 192.0.2.9"),
        ("100:\tfrom all fwmark 0x1 blackhole\n", "10.2.0.1", "eth0 via 192.0.2.9"),
        ("100:\tfrom 192.0.2.7 blackhole\n", "10.2.0.1", "eth0 via 192.0.2.9"),
    ] {
        assert_eq!(own(&session(rules, ROUTES), to), expected, "{rules} {to}");
    }
}

#[test]
fn source_mark_and_incoming_device_select() {
    let rules = "90:\tfrom 192.0.2.7 lookup 100\n91:\tfrom all fwmark 0x1/0xf blackhole\n\
                 92:\tfrom all iif eth5 prohibit\n";
    let host = session(rules, ROUTES);
    let query = Query::own(ip("10.2.0.1"));
    let from = Query { from: Some(ip("192.0.2.7")), ..query.clone() };
    assert_eq!(decide(&host, &from), "eth2 via 203.0.113.1");
    let marked = Query { mark: Some(0x11), ..query.clone() };
    assert_eq!(decide(&host, &marked), "blackhole");
    let unknown = Query { mark: None, ..query.clone() };
    assert_eq!(decide(&host, &unknown), "? ip route get 10.2.0.1");
    let came_in = Query { iif: Some("eth5"), ..query };
    assert_eq!(decide(&host, &came_in), "prohibit");
}

#[test]
fn what_is_open_does_not_matter_where_both_ways_lead_to_one() {
    let rules = "91:\tfrom all fwmark 0x1 lookup main\n";
    let query = Query { mark: None, ..Query::own(ip("10.2.0.1")) };
    assert_eq!(decide(&session(rules, ROUTES), &query), "eth0 via 192.0.2.9");
}

#[test]
fn a_table_that_was_not_captured_leaves_the_answer_open() {
    let session = "root@n:~# ip rule\n0:\tfrom all lookup local\n\
                   100:\tfrom all to 10.0.0.0/8 lookup 77\n32766:\tfrom all lookup main\n\
                   root@n:~# ip route\ndefault via 192.0.2.1 dev eth0\n";
    assert_eq!(own(session, "10.0.0.1"), "? ip route show table all");
    assert_eq!(own(session, "8.8.8.8"), "eth0 via 192.0.2.1");
}

#[test]
fn without_captured_rules_the_given_three_are_assumed() {
    let session = "root@n:~# ip route\n10.0.0.0/8 via 192.0.2.9 dev eth0\n";
    assert_eq!(own(session, "10.0.0.1"), "eth0 via 192.0.2.9, rules assumed");
    assert_eq!(own(session, "8.8.8.8"), "no route, rules assumed");
    let all = "root@n:~# ip route show table all\n10.0.0.0/8 via 192.0.2.9 dev eth0\n\
               11.0.0.0/8 via 192.0.2.9 dev eth0 table 5\n";
    assert_eq!(own(all, "8.8.8.8"), "no route");
    assert_eq!(own(all, "11.0.0.1"), "no route, rules assumed");
    let partial = "root@n:~# ip route | head -1\n10.0.0.0/8 via 192.0.2.9 dev eth0\n";
    assert_eq!(own(partial, "8.8.8.8"), "? ip route show table all");
}

#[test]
fn multipath_routes_have_all_their_next_hops() {
    let routes = "10.0.0.0/8 proto static \n\tnexthop via 192.0.2.9 dev eth0 weight 1 \n\
                  \tnexthop via 198.51.100.9 dev eth1 weight 1 dead linkdown \n\
                  \tnexthop via 203.0.113.9 dev eth2 weight 1 \n";
    assert_eq!(own(&session("", routes), "10.1.1.1"), "eth0 via 192.0.2.9 | eth2 via 203.0.113.9");
}

#[test]
fn an_address_of_the_namespace_is_local() {
    let session = format!(
        "{}root@n:~# ip a\n2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP \
         group default qlen 1000\n    link/ether 52:54:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n    \
         inet 10.1.2.3/24 scope global eth0\n",
        session("", ROUTES)
    );
    assert_eq!(own(&session, "10.1.2.3"), "local");
    assert_eq!(own(&session, "10.1.2.4"), "blackhole");
}

#[test]
fn a_dead_route_gives_way_to_the_next() {
    let routes = "10.0.0.0/8 via 192.0.2.9 dev eth0 metric 10 dead linkdown\n\
                  10.0.0.0/8 via 198.51.100.9 dev eth1 metric 20\n";
    assert_eq!(own(&session("", routes), "10.1.1.1"), "eth1 via 198.51.100.9");
}

/// A host with a VRF: `eth1` is in `red`, whose table is 10.
fn with_vrf(rules: &str, routes: &str) -> String {
    let device = |at: u32, name: &str, flags: &str, details: &str| {
        format!(
            "{at}: {name}: <{flags},UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default\n    \
             link/ether 52:54:00:00:01:0{at} brd ff:ff:ff:ff:ff:ff promiscuity 0\n{details}"
        )
    };
    let address = |ip: &str, dev: &str| {
        format!("    inet {ip}/24 scope global {dev}\n       valid_lft forever\n")
    };
    let plain = "BROADCAST,MULTICAST";
    let member = format!("    vrf_slave table 10\n{}", address("198.51.100.7", "eth1"));
    format!(
        "root@n:~# ip -d address\n{}{}{}{}",
        device(2, "eth0", plain, &address("192.0.2.7", "eth0")),
        device(3, "red", "NOARP,MASTER", "    vrf table 10\n"),
        device(4, "eth1", plain, &member).replace("noqueue state", "noqueue master red state"),
        session(rules, routes)
    )
}

const L3MDEV: &str = "1000:\tfrom all lookup [l3mdev-table]\n";
const OF_VRF: &str = "default via 192.0.2.1 dev eth0\n192.0.2.0/24 dev eth0 scope link\n\
                      default via 198.51.100.1 dev eth1 table 10\n\
                      198.51.100.0/24 dev eth1 table 10 scope link\n\
                      local 198.51.100.7 dev eth1 table 10 scope host\n";

/// What comes in by a device.
fn from<'q>(iif: &'q str, to: &str) -> Query<'q> {
    Query { iif: Some(iif), from: Some(ip("203.0.113.9")), ..Query::own(ip(to)) }
}

#[test]
fn a_vrf_has_addresses_and_routes_of_its_own() {
    let host = with_vrf(L3MDEV, OF_VRF);
    for (iif, to, expected) in [
        // The address of a member stands in the table of the VRF only.
        ("eth1", "198.51.100.7", "local"),
        ("eth0", "198.51.100.7", "eth0 via 192.0.2.1"),
        ("red", "198.51.100.7", "local"),
        // The table `local` is looked up first, for packets of VRFs too.
        ("eth1", "192.0.2.7", "local"),
        ("eth0", "192.0.2.7", "local"),
        ("eth1", "203.0.113.1", "eth1 via 198.51.100.1"),
        ("eth0", "203.0.113.1", "eth0 via 192.0.2.1"),
        ("eth1", "198.51.100.9", "eth1"),
    ] {
        assert_eq!(decide(&host, &from(iif, to)), expected, "{to} by {iif}");
    }
    assert_eq!(own(&host, "198.51.100.7"), "eth0 via 192.0.2.1");
    assert_eq!(own(&host, "192.0.2.7"), "local");
}

#[test]
fn what_a_vrf_has_no_route_for_goes_by_the_main_table() {
    let routes = "default via 192.0.2.1 dev eth0\n198.51.100.0/24 dev eth1 table 10 scope link\n";
    let host = with_vrf(L3MDEV, routes);
    assert_eq!(decide(&host, &from("eth1", "203.0.113.1")), "eth0 via 192.0.2.1");
    let refused = format!("{routes}unreachable default table 10 metric 4278198272\n");
    let host = with_vrf(L3MDEV, &refused);
    assert_eq!(decide(&host, &from("eth1", "203.0.113.1")), "unreachable");
}

#[test]
fn the_rule_of_local_addresses_may_stand_behind_that_of_vrfs() {
    let first = "0:\tfrom all lookup local\n";
    let host = with_vrf(&format!("{L3MDEV}32765:\tfrom all lookup local\n"), OF_VRF);
    let host = host.replace(first, "");
    assert_eq!(decide(&host, &from("eth1", "192.0.2.7")), "eth1 via 198.51.100.1");
    assert_eq!(decide(&host, &from("eth0", "192.0.2.7")), "local");
}

#[test]
fn a_vrf_without_its_rule_is_not_looked_up() {
    let host = with_vrf("", OF_VRF);
    assert_eq!(decide(&host, &from("eth1", "203.0.113.1")), "eth0 via 192.0.2.1");
    assert_eq!(decide(&host, &from("eth1", "198.51.100.7")), "eth0 via 192.0.2.1");
    // Kernels differ in what such a rule is compared with.
    let by_device = with_vrf("99:\tfrom all iif red lookup 10\n", OF_VRF);
    let answer = decide(&by_device, &from("eth1", "203.0.113.1"));
    assert_eq!(answer, "? ip route get 203.0.113.1 from 203.0.113.9 iif eth1");
    assert_eq!(decide(&by_device, &from("eth0", "203.0.113.1")), "eth0 via 192.0.2.1");
}

#[test]
fn rules_that_a_listing_may_have_lost_leave_the_answer_open() {
    let whole = format!(
        "root@n:~# ip route show table all\n{ROUTES}root@n:~# ip rule\n0:\tfrom all lookup local\n\
         99:\tfrom all fwmark 0x1 lookup 100\n"
    );
    // Nobody takes the rule to table main away; a text that ends at a line may have lost it.
    assert_eq!(own(&format!("{whole}root@n:~# "), "10.2.0.1"), "? ip rule");
    let main = "32766:\tfrom all fwmark 0x2 lookup main\n32767:\tfrom all lookup default\n";
    assert_eq!(own(&format!("{whole}{main}root@n:~# "), "10.2.0.1"), "no route");
    let cut = whole.trim_end_matches("99:\tfrom all fwmark 0x1 lookup 100\n").to_owned();
    assert_eq!(own(&format!("{cut}99:\tfrom all fwm"), "10.2.0.1"), "? ip rule");
}

#[test]
fn rules_of_vrfs_are_taken_for_granted_where_none_were_captured() {
    let host = with_vrf(L3MDEV, OF_VRF);
    let (devices, _) = host.split_once("root@n:~# ip rule").unwrap();
    let host = format!("{devices}root@n:~# ip route show table all\n{OF_VRF}");
    let answer = decide(&host, &from("eth1", "203.0.113.1"));
    assert_eq!(answer, "eth1 via 198.51.100.1, rules assumed");
    assert_eq!(decide(&host, &from("eth1", "198.51.100.7")), "local, rules assumed");
}

#[test]
fn the_table_of_a_vrf_has_to_be_known() {
    let host = with_vrf(L3MDEV, OF_VRF);
    let plain = host.replace("    vrf table 10\n", "").replace("    vrf_slave table 10\n", "");
    let plain = plain.replace("ip -d address", "ip address");
    let answer = decide(&plain, &from("eth1", "203.0.113.1"));
    assert_eq!(answer, "? ip -d address");
    assert_eq!(decide(&plain, &from("eth0", "203.0.113.1")), "eth0 via 192.0.2.1");
    // `ip -br` names no master: any device may be in the VRF that the rule is there for.
    let short = "root@n:~# ip -br address\neth0 UP 192.0.2.7/24\neth1 UP 198.51.100.7/24\n";
    let short = format!("{short}{}", session(L3MDEV, OF_VRF));
    assert_eq!(decide(&short, &from("eth1", "198.51.100.7")), "? ip -d address");
}

#[test]
fn the_routes_of_a_vrf_may_be_asked_for_by_its_name() {
    let host = with_vrf(L3MDEV, "default via 192.0.2.1 dev eth0\n");
    let host = format!(
        "{host}root@n:~# ip route show vrf red\ndefault via 198.51.100.1 dev eth1\n\
         198.51.100.0/24 dev eth1 scope link\n"
    );
    assert_eq!(decide(&host, &from("eth1", "203.0.113.1")), "eth1 via 198.51.100.1");
    assert_eq!(decide(&host, &from("eth0", "203.0.113.1")), "eth0 via 192.0.2.1");
}

#[test]
fn a_name_that_a_person_gave_may_be_that_of_the_table_of_a_vrf() {
    let of = |name: &str| {
        let routes = format!(
            "default via 192.0.2.1 dev eth0\ndefault via 198.51.100.1 dev eth1 table {name}\n"
        );
        decide(&with_vrf(L3MDEV, &routes), &from("eth1", "203.0.113.1"))
    };
    assert_eq!(of("10"), "eth1 via 198.51.100.1");
    assert!(of("red-routes").starts_with("? "), "{}", of("red-routes"));
    assert_eq!(of("20"), "eth0 via 192.0.2.1");
}

#[test]
fn a_whole_prefix_may_be_local() {
    let devices = "root@n:~# ip address\n1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n    \
         link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n    inet 127.0.0.1/8 scope host lo\n";
    let routes =
        "default via 192.0.2.1 dev eth0\nlocal 203.0.113.0/24 dev lo table local scope host\n";
    let host = format!("{devices}{}", session("", routes));
    assert_eq!(own(&host, "203.0.113.9"), "local");
    assert_eq!(own(&host, "203.0.114.9"), "eth0 via 192.0.2.1");
}

#[test]
fn local_routes_do_not_lead_on() {
    let routes = "default via 192.0.2.1 dev eth0\nlocal default dev lo table 100 scope host\n";
    let host = session("99:\tfrom all fwmark 0x1 lookup 100\n", routes);
    let marked = Query { mark: Some(1), ..Query::own(ip("203.0.113.1")) };
    assert_eq!(decide(&host, &marked), "? ip route get 203.0.113.1");
    assert_eq!(own(&host, "203.0.113.1"), "eth0 via 192.0.2.1");
}

#[test]
fn classes_of_service_have_names() {
    use super::matching::{Match, fits_service};
    // (what a rule asks for, the byte of a packet, whether all, none or some kernels take it)
    for (wanted, tos, told) in [
        ("default", 0x00, "yes"),
        ("0x10", 0x10, "yes"),
        ("16", 0x10, "yes"),
        ("lowdelay", 0x10, "yes"),
        ("throughput", 0x08, "yes"),
        ("reliability", 0x04, "yes"),
        ("mincost", 0x02, "yes"),
        ("lowdelay", 0x08, "no"),
        ("EF", 0xb8, "yes"),
        ("CS1", 0x20, "yes"),
        ("CS7", 0xe0, "yes"),
        ("AF11", 0x28, "yes"),
        ("AF43", 0x98, "yes"),
        ("AF12", 0x28, "no"),
        // Kernels of old do not look at the three highest bits.
        ("CS1", 0x40, "open"),
        ("EF", 0x18, "open"),
        // Bits of congestion count for nothing.
        ("0x10", 0x13, "yes"),
        ("CS0", 0x00, "open"),
        ("CS8", 0x00, "open"),
        ("AF50", 0xb8, "open"),
        ("AF14", 0x30, "open"),
        ("AF01", 0x08, "open"),
        ("gold", 0x10, "open"),
    ] {
        let found = match fits_service(wanted, Some(tos)) {
            Match::Yes => "yes",
            Match::No => "no",
            Match::Open => "open",
        };
        assert_eq!(found, told, "{wanted} {tos:#x}");
    }
    assert!(matches!(fits_service("EF", None), Match::Open));
}

#[test]
fn rules_select_by_what_is_known_of_a_packet() {
    let own = |rule: &str, query: &Query<'_>| decide(&session(rule, ROUTES), query);
    let query = Query::own(ip("10.2.0.1"));
    let away = "eth0 via 192.0.2.9";
    for (rule, told) in [
        // Notes and what acts on the result select nothing.
        ("100:\tfrom all blackhole proto static\n", "blackhole"),
        ("100:\tfrom all lookup 100 proto static\n", "eth2 via 203.0.113.1"),
        ("100:\tfrom all lookup 100 realms 1\n", "eth2 via 203.0.113.1"),
        // No device is in a VRF.
        ("100:\tfrom all lookup [l3mdev-table]\n", away),
        // A device that is gone selects nothing.
        ("100:\tfrom all iif eth9 [detached] lookup 100\n", away),
        ("100:\tfrom all oif eth9 lookup 100\n", away),
        ("100:\tfrom all lookup 254\n", away),
        ("100:\tfrom all lookup 255\n", away),
        ("100:\tfrom all lookup 253\n", away),
        ("100:\tfrom all to 10.0.0.0/8 lookup main\n", away),
        ("100:\tnot from all lookup 100\n", away),
    ] {
        assert_eq!(own(rule, &query), told, "{rule}");
    }
}

#[test]
fn tables_that_have_a_name_everywhere_are_called_by_it() {
    for (number, name) in
        [("254", "main"), ("255", "local"), ("253", "default"), ("100", "100"), ("main", "main")]
    {
        assert_eq!(super::table::canonical(number), name);
    }
}

#[test]
fn selectors_that_are_not_understood_leave_it_open() {
    let routes = "default via 192.0.2.1 dev eth0\n192.0.2.0/24 dev eth0\n\
                  default via 198.51.100.1 dev eth1 table 100\n";
    for (rule, expected) in [
        ("from all lookup 100", "eth1 via 198.51.100.1"),
        ("from all uidrange 0-9 lookup 100", "?"),
        // What a rule leads to that is not there does nothing.
        ("from all goto 500 [unresolved]", "eth0 via 192.0.2.1"),
        ("from all iif eth9 [detached] lookup 100", "eth0 via 192.0.2.1"),
        ("from all oif eth9 [detached] lookup 100", "eth0 via 192.0.2.1"),
    ] {
        let found = own(&session(&format!("100:\t{rule}\n"), routes), "203.0.113.9");
        assert!(found.starts_with(expected), "{rule}: {found}");
    }
}

#[test]
fn a_destination_that_is_printed_by_name_is_no_default() {
    let table = |line: &str| {
        format!(
            "root@n:~# route\nKernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n{line}\nroot@n:~# ip rule\n0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n"
        )
    };
    let by_name =
        table("link-local      0.0.0.0         255.255.0.0     U     1000   0        0 eth0");
    assert!(!own(&by_name, "203.0.113.9").starts_with("eth0"), "{}", own(&by_name, "203.0.113.9"));
}
