//! Policies of IPsec in the namespaces on the way.
use super::common::port;
use super::{ask, two_on_a_bridge};

/// What becomes of a packet from one namespace to the other where one has such policies.
fn with(netns: &str, listed: &str) -> Vec<String> {
    let text = two_on_a_bridge(&port("forwarding")).replace(
        "root@h1:~# ip netns exec a ip -d address\n",
        &format!(
            "root@h1:~# ip netns exec {netns} {listed}root@h1:~# ip netns exec a ip -d address\n"
        ),
    );
    ask(&text, "ns:a", "ip:192.0.2.2", |_| {})
}

fn policy(selector: &str, rest: &str) -> String {
    format!("ip xfrm policy\n{selector} \n\t{rest}\n")
}

const TEMPLATE: &str = "\n\ttmpl src 192.0.2.1 dst 192.0.2.2\n\t\tproto esp reqid 5 mode transport";

#[test]
fn policies_block_or_protect_what_they_are_about() {
    let both = "src 192.0.2.1/32 dst 192.0.2.2/32";
    for (netns, selector, rest, expected) in [
        ("a", both, "dir out action block priority 0 ptype main", "no: dropped ipsec-drop"),
        ("b", both, "dir in action block priority 0 ptype main", "no: dropped ipsec-drop"),
        (
            "a",
            "src 0.0.0.0/0 dst 192.0.2.0/24 proto icmp",
            "dir out action block priority 0",
            "no: dropped ipsec-drop",
        ),
        // Others.
        ("a", both, "dir in action block priority 0 ptype main", "yes: delivered"),
        ("b", both, "dir out action block priority 0 ptype main", "yes: delivered"),
        ("b", both, "dir fwd action block priority 0 ptype main", "yes: delivered"),
        ("a", both, "dir out priority 0 ptype main", "yes: delivered"),
        ("a", both, "socket out action block priority 0 ptype main", "yes: delivered"),
        ("a", both, "dir out action block priority 0\n\tif_id 0x7", "yes: delivered"),
        ("a", both, "dir out action block priority 0\n\tmark 0x1/0xff", "yes: delivered"),
        ("a", both, "dir out action block priority 0\n\tmark 0/0xff", "no: dropped ipsec-drop"),
        (
            "a",
            "src 192.0.2.1/32 dst 192.0.2.9/32",
            "dir out action block priority 0",
            "yes: delivered",
        ),
        (
            "a",
            "src 0.0.0.0/0 dst 0.0.0.0/0 proto tcp dport 22",
            "dir out action block priority 0",
            "yes: delivered",
        ),
        ("a", "src ::/0 dst ::/0", "dir out action block priority 0", "yes: delivered"),
        (
            "a",
            "src 0.0.0.0/0 dst 0.0.0.0/0 dev eth9",
            "dir out action block priority 0",
            "yes: delivered",
        ),
        // What the condition asks is not known of the packet.
        (
            "a",
            "src 0.0.0.0/0 dst 0.0.0.0/0 proto icmp type 8",
            "dir out action block priority 0",
            "unknown: unknown ipsec",
        ),
    ] {
        let way = with(netns, &policy(selector, rest));
        assert!(way[0].starts_with(expected), "{netns} {selector} {rest}: {way:#?}");
    }
}

#[test]
fn protected_packets_are_not_followed_and_those_that_are_not_are_dropped() {
    let both = "src 192.0.2.1/32 dst 192.0.2.2/32";
    let asked = |dir: &str, level: &str| {
        policy(both, &format!("dir {dir} priority 0 ptype main{TEMPLATE}{level}"))
    };
    let way = with("a", &asked("out", ""));
    assert!(way[0].starts_with("unknown: unknown ipsec"), "{way:#?}");
    assert!(way.contains(&"next ip netns exec a ip xfrm state list nokeys".to_owned()), "{way:#?}");
    let way = with("b", &asked("in", ""));
    assert!(way[0].starts_with("unknown: unknown ipsec"), "{way:#?}");
    let bare = asked("in", "") + "root@h1:~# ip netns exec a ip xfrm policy\n";
    let way = with("b", &bare);
    assert!(way[0].starts_with("no: dropped ipsec-drop"), "{way:#?}");
    // Where it is only wished for, it passes as it is.
    let way = with("b", &asked("in", "\n\t\tlevel use"));
    assert!(way[0].starts_with("yes: delivered"), "{way:#?}");
    let way = with("a", &asked("out", "\n\t\tlevel use"));
    assert!(way[0].starts_with("unknown: unknown ipsec"), "{way:#?}");
    let none = asked("out", "\n\t\tlevel use") + "root@h1:~# ip netns exec a ip xfrm state\n";
    let way = with("a", &none);
    assert!(way[0].starts_with("yes: delivered"), "{way:#?}");
    let other = "root@h1:~# ip netns exec a ip xfrm state\nsrc 192.0.2.1 dst 192.0.2.2\n\tproto esp spi \
         0x00000100 reqid 5 mode transport\n";
    let way = with("a", &(asked("out", "") + other));
    assert!(way[0].starts_with("unknown: unknown ipsec"), "{way:#?}");
}

#[test]
fn associations_are_those_of_the_template() {
    let both = "src 192.0.2.1/32 dst 192.0.2.2/32";
    let asked = |template: &str, state: &str| {
        let listed = policy(
            both,
            &format!(
                "dir out priority 0 ptype main\n\ttmpl {template} mode transport\n\t\tlevel use"
            ),
        );
        let states = format!("root@h1:~# ip netns exec a ip xfrm state\n{state}");
        with("a", &(listed + &states)).swap_remove(0)
    };
    let state = |ends: &str, reqid: u32| {
        format!("{ends}\n\tproto esp spi 0x00000100 reqid {reqid} mode transport\n")
    };
    let (ends, other) = ("src 192.0.2.1 dst 192.0.2.2", "src 192.0.2.1 dst 192.0.2.9");
    let back = "src 192.0.2.2 dst 192.0.2.1";
    let (protected, bare) = ("unknown: unknown ipsec", "yes: delivered");
    for (template, state, expected) in [
        ("src 192.0.2.1 dst 192.0.2.2\n\t\tproto esp reqid 5", state(ends, 5), protected),
        ("src 192.0.2.1 dst 192.0.2.2\n\t\tproto esp reqid 5", state(ends, 6), bare),
        ("src 192.0.2.1 dst 192.0.2.2\n\t\tproto esp reqid 5", state(other, 5), bare),
        ("src 192.0.2.1 dst 192.0.2.2\n\t\tproto esp reqid 5", state(back, 5), bare),
        ("src 192.0.2.1 dst 192.0.2.2\n\t\tproto esp reqid 0", state(ends, 6), protected),
        ("src 192.0.2.1 dst 192.0.2.2\n\t\tproto esp reqid 0", state(other, 6), bare),
        // Of transport the ends of the template may be left open: they are those of the packet.
        ("src 0.0.0.0 dst 0.0.0.0\n\t\tproto esp reqid 5", state(ends, 5), protected),
        ("src 0.0.0.0 dst 0.0.0.0\n\t\tproto esp reqid 5", state(ends, 6), bare),
        ("src 192.0.2.1 dst 192.0.2.2\n\t\tproto esp reqid 5", String::new(), bare),
    ] {
        let said = asked(template, &state);
        assert!(said.starts_with(expected), "{template} {state}: {said}");
    }
}

#[test]
fn the_lowest_priority_is_asked_first() {
    let both = "src 192.0.2.1/32 dst 192.0.2.2/32";
    let all = "src 0.0.0.0/0 dst 192.0.2.2/32";
    let two = |first: u32, second: u32| {
        policy(both, &format!("dir out priority {first} ptype main"))
            + &format!("{all} \n\tdir out action block priority {second} ptype main\n")
    };
    for (first, second, expected) in [
        (1, 2, "yes: delivered"),
        (2, 1, "no: dropped ipsec-drop"),
        (1, 1, "unknown: unknown ipsec"),
    ] {
        let way = with("a", &two(first, second));
        assert!(way[0].starts_with(expected), "{first} {second}: {way:#?}");
    }
    // Either of them blocks.
    let blocks = policy(both, "dir out action block priority 1 ptype main")
        + all
        + " \n\tdir out action block priority 1 ptype main\n";
    assert!(
        with("a", &blocks)[0].starts_with("no: dropped ipsec-drop"),
        "{:#?}",
        with("a", &blocks)
    );
}

#[test]
fn ports_are_asked_of_what_has_ports() {
    let blocked = |selector: &str| {
        let listed = policy(selector, "dir out action block priority 0 ptype main");
        let text = two_on_a_bridge(&port("forwarding")).replace(
            "root@h1:~# ip netns exec a ip -d address\n",
            &format!(
                "root@h1:~# ip netns exec a {listed}root@h1:~# ip netns exec a ip -d address\n"
            ),
        );
        let way = ask(&text, "ns:a", "ip:192.0.2.2", |question| {
            question.proto = Some("tcp".to_owned());
            question.sport = Some(40_000);
            question.dport = Some(22);
        });
        way[0].contains("ipsec-drop")
    };
    for (ports, expected) in [
        ("proto tcp", true),
        ("proto tcp dport 22", true),
        ("proto tcp dport 23", false),
        ("proto tcp sport 40000", true),
        ("proto tcp sport 40000 dport 22", true),
        ("proto tcp sport 22", false),
        ("proto udp dport 22", false),
    ] {
        let selector = format!("src 192.0.2.1/32 dst 192.0.2.2/32 {ports}");
        assert_eq!(blocked(&selector), expected, "{ports}");
    }
}

#[test]
fn a_policy_that_two_texts_show_is_one() {
    let both = "src 192.0.2.1/32 dst 192.0.2.2/32";
    let passes = "dir out priority 1 ptype main";
    let again = |selector: &str, rest: &str| {
        policy(both, passes) + &format!("root@h1:~# ip netns exec a {}", policy(selector, rest))
    };
    // Of two that differ either may be the first.
    let other = "dir out action block priority 1 ptype main";
    let udp = format!("{both} proto udp");
    let icmp = format!("{both} proto icmp");
    for (selector, rest, expected) in [
        (both, passes, "yes: delivered"),
        (udp.as_str(), other, "yes: delivered"),
        (icmp.as_str(), other, "unknown: unknown ipsec"),
    ] {
        let way = with("a", &again(selector, rest));
        assert!(way[0].starts_with(expected), "{selector} {rest}: {way:#?}");
    }
}
