//! Texts to what would have passed instead.
use super::*;
use crate::near;

/// TCP from a VM to a server, and what else passes where these rules stop it.
fn of_web(rules: &str) -> String {
    passing(&web(), &format!(":FORWARD DROP [0:0]\n{rules}"))
}

/// What passes instead of a packet that is stopped; nothing where nothing is like it.
fn passing(packet: &Packet, rules: &str) -> String {
    let (_, table) = table(rules);
    let judge = |packet: &Packet| evaluate(SOURCE, &table, "FORWARD", packet);
    shown(packet, judge)
}

fn shown(packet: &Packet, judge: impl Fn(&Packet) -> Option<Judgement>) -> String {
    let packet = Packet { explain: true, ..packet.clone() };
    let misses = judge(&packet).unwrap().looked.misses;
    near::words(&nearest(&packet, &misses, judge)).unwrap_or_default()
}

/// A request of ICMP from the same VM.
fn echo() -> Packet {
    Packet {
        protocol: Some(1),
        icmp: Some((8, 0)),
        source_port: None,
        destination_port: None,
        tcp_flags: None,
        ..web()
    }
}

#[test]
fn what_rules_accept_beside_a_packet_is_named() {
    for (rules, words) in [
        ("-A FORWARD -p tcp -m tcp --dport 22 -j ACCEPT", "tcp 22"),
        (
            "-A FORWARD -p tcp -m multiport --dports 1000,22,8000:8080 -j ACCEPT",
            "tcp 22, 1000, 8000-8080",
        ),
        ("-A FORWARD -p udp -m udp --dport 53 -j ACCEPT", "udp 53"),
        ("-A FORWARD -p sctp -m sctp --dport 5000 -j ACCEPT", "sctp 5000"),
        ("-A FORWARD -p gre -j ACCEPT", "protocol 47"),
        ("-A FORWARD -p icmp -j ACCEPT", "icmp"),
        ("-A FORWARD -p icmp -m icmp --icmp-type 8 -j ACCEPT", "icmp type 8"),
        ("-A FORWARD -s 192.0.2.9/32 -j ACCEPT", "tcp from 192.0.2.9"),
        ("-A FORWARD -s 192.0.2.0/24 -j ACCEPT", "tcp from 192.0.2.0/24"),
        (
            "-A FORWARD -m iprange --src-range 192.0.2.10-192.0.2.20 -j ACCEPT",
            "tcp from 192.0.2.10-192.0.2.20",
        ),
        (
            "-A FORWARD -s 10.1.0.0/16 -p tcp -m tcp --dport 22 -j ACCEPT\n\
             -A FORWARD -p udp -m udp --dport 53 -j ACCEPT\n\
             -A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT",
            "udp 53, tcp 80; tcp 22 from 10.1.0.0/16",
        ),
        // Two rules about one thing, and one that says more than another.
        (
            "-A FORWARD -p tcp -m tcp --dport 22 -j ACCEPT\n\
             -A FORWARD -i br0 -p tcp -m tcp --dport 22 -j ACCEPT",
            "tcp 22",
        ),
        ("-A FORWARD -p udp -m udp --dport 53 -j ACCEPT\n-A FORWARD -p udp -j ACCEPT", "udp"),
        (
            "-A FORWARD -p tcp -m multiport --dports 1,2,3,4,5,6,7,8,9,10 -j ACCEPT",
            "tcp 1, 2, 3, 4, 5, 6, 7, 8 and 2 more",
        ),
        (
            "-A FORWARD -p tcp -m multiport --dports 1,2,3,4,5,6,7,8 -j ACCEPT",
            "tcp 1, 2, 3, 4, 5, 6, 7, 8",
        ),
        ("-A FORWARD -p tcp -m tcp --dport 22 -j ACCEPT\n-A FORWARD -j REJECT", "tcp 22"),
        (":a - [0:0]\n-A FORWARD -p tcp -m tcp --dport 22 -j a\n-A a -j ACCEPT", "tcp 22"),
    ] {
        assert_eq!(of_web(rules), words, "{rules}");
    }
}

#[test]
fn what_would_not_pass_either_is_not_named() {
    for rules in [
        "",
        // Another place, the opposite, and what a sender does not choose.
        "-A FORWARD -i br1 -j ACCEPT",
        "-A FORWARD -d 198.51.100.1/32 -j ACCEPT",
        "-A FORWARD ! -p tcp -j ACCEPT",
        "-A FORWARD ! -s 10.0.0.0/8 -j ACCEPT",
        "-A FORWARD -i br1 -p udp -m udp --dport 53 -j ACCEPT",
        "-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        // A rule before or behind stops it.
        "-A FORWARD -p tcp -m tcp --dport 22 -j DROP\n-A FORWARD -p tcp -m tcp --dport 22 -j ACCEPT",
        ":a - [0:0]\n-A FORWARD -p tcp -m tcp --dport 22 -j a\n-A a -j RETURN",
        "-A FORWARD -p tcp -m tcp --dport 22 -j LOG",
        // One end of a range is stopped.
        "-A FORWARD -p tcp -m tcp --dport 20 -j DROP\n-A FORWARD -p tcp -m tcp --dport 20:30 -j ACCEPT",
        "-A FORWARD -p tcp -m tcp --dport 30 -j DROP\n-A FORWARD -p tcp -m tcp --dport 20:30 -j ACCEPT",
        "-A FORWARD -s 192.0.2.1/32 -j DROP\n-A FORWARD -s 192.0.2.0/24 -j ACCEPT",
        "-A FORWARD -s 192.0.2.254/32 -j DROP\n-A FORWARD -s 192.0.2.0/24 -j ACCEPT",
        "-A FORWARD -s 192.0.2.0/32 -j DROP\n-A FORWARD -s 192.0.2.0/31 -j ACCEPT",
        "-A FORWARD -s 192.0.2.20/32 -j DROP\n\
         -A FORWARD -m iprange --src-range 192.0.2.10-192.0.2.20 -j ACCEPT",
        // Some of it is stopped, by something that is not named.
        "-A FORWARD -p udp -m udp --dport 25 -j DROP\n-A FORWARD -p udp -j ACCEPT",
        "-A FORWARD -p icmp -m icmp --icmp-type 8 -j DROP\n-A FORWARD -p icmp -j ACCEPT",
    ] {
        assert_eq!(of_web(rules), "", "{rules}");
    }
    // It passes itself.
    let open = ":FORWARD ACCEPT [0:0]\n-A FORWARD -p tcp -m tcp --dport 22 -j ACCEPT";
    assert_eq!(passing(&web(), open), "");
}

#[test]
fn another_protocol_begins_a_connection_of_its_own() {
    for (rules, words) in [
        ("-A FORWARD -p tcp -m tcp --dport 22 -j ACCEPT", "tcp 22"),
        // From a port above those of the system, with the flags that come first.
        (
            "-A FORWARD -p tcp -m tcp --sport 1:1023 -j DROP\n\
             -A FORWARD -p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN -j DROP\n\
             -A FORWARD -p tcp -m tcp --dport 22 -j ACCEPT",
            "tcp 22",
        ),
        (
            "-A FORWARD -p udp -m udp --sport 1:1023 -j DROP\n\
             -A FORWARD -p udp -m udp --dport 53 -j ACCEPT",
            "udp 53",
        ),
        ("-A FORWARD -p icmp -m icmp --icmp-type 0 -j ACCEPT", "icmp type 0"),
        // A code is not named.
        ("-A FORWARD -p icmp -m icmp --icmp-type 3/4 -j ACCEPT", ""),
    ] {
        let rules = format!(":FORWARD DROP [0:0]\n{rules}");
        assert_eq!(passing(&echo(), &rules), words, "{rules}");
    }
}

#[test]
fn rules_of_the_other_family_name_nothing() {
    let passing = |packet: &Packet, rules: &str| {
        let text = format!(
            "table inet a {{\n\tchain f {{\n\t\ttype filter hook forward priority filter; policy drop;\n\
             \t\t{rules}\n\t}}\n}}\n"
        );
        shown(packet, |packet| hook(packet, &text))
    };
    let six = Packet {
        source: Address::Known("2001:db8::5".parse().unwrap()),
        destination: Address::Known("2001:db8::80".parse().unwrap()),
        family: Family::Inet6,
        ..web()
    };
    for (packet, rules, words) in [
        (&web(), "tcp dport 22 accept", "tcp 22"),
        (&six, "tcp dport 22 accept", "tcp 22"),
        (&web(), "ip saddr 192.0.2.0/24 accept", "tcp from 192.0.2.0/24"),
        (&web(), "ip6 saddr 2001:db8:1::/64 accept", ""),
        (&six, "ip saddr 192.0.2.0/24 accept", ""),
        (&six, "ip6 saddr 2001:db8:1::/64 accept", "tcp from 2001:db8:1::/64"),
        (&six, "ip6 saddr 2001:db8:1::/128 drop; ip6 saddr 2001:db8:1::/64 accept", ""),
        (&six, "ip6 saddr 2001:db8:1::7 accept", "tcp from 2001:db8:1::7"),
        (&six, "icmpv6 type echo-request accept", "icmp6 type 128"),
        (&six, "icmp type echo-request accept", ""),
        (&web(), "th dport 22 accept", "tcp 22"),
        (&echo(), "th dport 22 accept", ""),
        (&web(), "tcp dport { 22, 80 } accept", "tcp 22, 80"),
    ] {
        assert_eq!(passing(packet, &rules.replace("; ", "\n\t\t")), words, "{rules}");
    }
}
