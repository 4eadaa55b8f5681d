//! One packet alone: limits, and what an ordinary packet does not have.
use tapline_core::ids::Mac;

use super::*;

/// The packet of a question.
fn asked() -> Packet {
    Packet {
        alone: true,
        lifetime: Some(64),
        service: Some(0x10),
        mac_destination: Some(Mac([2, 0, 0, 0, 0, 1])),
        ..web()
    }
}

/// What FORWARD of iptables does with a rule before its policy, which drops.
fn accepts(packet: &Packet, rule: &str) -> Verdict {
    judge(packet, &format!(":FORWARD DROP [0:0]\n-A FORWARD {rule} -j ACCEPT")).0
}

#[test]
fn limits_are_not_used_up_by_one_packet() {
    for (rule, alone) in [
        ("-m limit --limit 1/sec --limit-burst 100", Accept),
        ("-m hashlimit --hashlimit-upto 9/sec --hashlimit-mode srcip --hashlimit-name x", Accept),
        ("-m hashlimit --hashlimit-above 9/sec --hashlimit-mode srcip --hashlimit-name x", Drop),
        ("-m connlimit --connlimit-above 5 --connlimit-mask 32 --connlimit-saddr", Drop),
        (
            "-m recent --update --seconds 30 --hitcount 6 --name D --mask 255.255.255.255 --rsource",
            Drop,
        ),
        ("-m recent --set --name D --mask 255.255.255.255 --rsource", Accept),
        ("-m connlimit --connlimit-above 0 --connlimit-mask 32 --connlimit-saddr", Unknown),
        ("-m recent --rcheck --name D --mask 255.255.255.255 --rsource", Unknown),
        ("-m statistic --mode random --probability 0.5", Unknown),
    ] {
        assert_eq!(accepts(&asked(), rule), alone, "{rule}");
    }
    // Of many packets some are over a limit.
    assert_eq!(accepts(&web(), "-m limit --limit 1/sec"), Unknown);
}

#[test]
fn limits_that_decide_are_told() {
    let within = |packet: &Packet, rules: &str| {
        let (_, table) = table(rules);
        let judgement = evaluate(SOURCE, &table, "FORWARD", packet).unwrap();
        judgement.within.into_iter().map(|(_, text)| text.to_string()).collect::<Vec<_>>()
    };
    let limited = "-m limit --limit 3/min";
    let rules = format!(":FORWARD DROP [0:0]\n-A FORWARD -p tcp {limited} -j ACCEPT");
    assert_eq!(within(&asked(), &rules), ["--limit 3/min"]);
    assert!(within(&web(), &rules).is_empty());
    // Neither what only logs, nor a rule that is not met for something else.
    for rule in ["-p tcp -m limit --limit 3/min -j LOG", "-p udp -m limit --limit 3/min -j ACCEPT"]
    {
        assert!(within(&asked(), &format!(":FORWARD DROP [0:0]\n-A FORWARD {rule}")).is_empty());
    }
    let nft = |rule: &str| {
        let text = format!(
            "table ip a {{\n\tchain f {{\n\t\ttype filter hook forward priority filter; policy drop;\n\
             \t\t{rule}\n\t}}\n}}\n"
        );
        let judgement = hook(&asked(), &text).unwrap();
        (judgement.verdict(), judgement.within.len())
    };
    assert_eq!(nft("tcp dport 443 limit rate 5/minute accept"), (Accept, 1));
    assert_eq!(nft("limit rate over 5/minute accept"), (Drop, 1));
    assert_eq!(nft("limit rate 5/minute log prefix \"x\""), (Drop, 0));
    assert_eq!(nft("tcp dport 80 limit rate 5/minute accept"), (Drop, 0));
}

#[test]
fn an_ordinary_packet_has_neither_options_nor_more_headers() {
    for (rule, verdict) in [
        ("-m rt --rt-type 0", Drop),
        ("-m hl --hl-eq 255", Drop),
        ("-m ttl --ttl-gt 63", Accept),
        ("-m ttl --ttl-lt 64", Drop),
        ("-m tos --tos 0x10/0x3f", Accept),
        ("-m dscp --dscp-class EF", Drop),
        ("-m pkttype --pkt-type unicast", Accept),
        ("-m pkttype --pkt-type multicast", Drop),
        ("-m pkttype ! --pkt-type broadcast", Accept),
    ] {
        assert_eq!(accepts(&asked(), rule), verdict, "{rule}");
    }
    // Of a packet of which nothing is known, nothing of that is.
    for rule in ["-m rt --rt-type 0", "-m ttl --ttl-gt 63", "-m tos --tos 0x10/0x3f"] {
        assert_eq!(accepts(&web(), rule), Unknown, "{rule}");
    }
}

#[test]
fn keys_may_be_looked_up_together() {
    let nft = |packet: &Packet, rule: &str| {
        let text = format!(
            "table ip a {{\n\tset pairs {{\n\t\ttype ipv4_addr . inet_service\n\t\telements = {{ 10.0.0.5 . 443,\n\
             \t\t\t     10.0.0.6 . 80 }}\n\t}}\n\tchain f {{\n\t\ttype filter hook forward priority filter; policy drop;\n\
             \t\t{rule}\n\t}}\n}}\n"
        );
        hook(packet, &text).unwrap().verdict()
    };
    for (rule, verdict) in [
        ("ip saddr . tcp dport { 10.0.0.5 . 443 } accept", Accept),
        ("ip saddr . tcp dport { 10.0.0.5 . 80, 10.0.0.6 . 443 } accept", Drop),
        ("ip saddr . tcp dport != { 10.0.0.5 . 80 } accept", Accept),
        ("ip saddr . tcp dport 10.0.0.0/8 . 400-500 accept", Accept),
        ("ip saddr . tcp dport @pairs accept", Accept),
        ("ip saddr . udp dport @pairs accept", Drop),
        ("ip saddr . tcp dport vmap { 10.0.0.5 . 80 : drop, 10.0.0.5 . 443 : accept }", Accept),
        ("ip saddr . tcp dport vmap { 10.0.0.5 . 80 : accept }", Drop),
    ] {
        assert_eq!(nft(&asked(), rule), verdict, "{rule}");
    }
    let open = Packet { source: Address::Unknown, ..asked() };
    assert_eq!(nft(&open, "ip saddr . tcp dport { 10.0.0.5 . 443 } accept"), Unknown);
    assert_eq!(nft(&open, "ip saddr . tcp dport { 10.0.0.5 . 80 } accept"), Drop);
}

/// kube-proxy: one of two endpoints by chance, and the client is one of them.
#[test]
fn ends_by_chance_keep_their_marks_apart() {
    let text = "*nat\n:PREROUTING ACCEPT [0:0]\n:SVC - [0:0]\n:A - [0:0]\n:B - [0:0]\n:OWN - [0:0]\n\
                -A PREROUTING -j SVC\n-A SVC -m statistic --mode random --probability 0.5 -j A\n-A SVC -j B\n\
                -A A -s 10.0.0.5/32 -j OWN\n-A A -p tcp -j DNAT --to-destination 10.0.0.5:80\n\
                -A B -s 10.0.0.6/32 -j OWN\n-A B -p tcp -j DNAT --to-destination 10.0.0.6:80\n\
                -A OWN -j MARK --set-xmark 0x4000/0x4000\nCOMMIT\n";
    let read = by_id(FormatId("iptables-save")).unwrap().read;
    let Batch::Netfilter(all) = read(text, &Command::new("iptables-save")).records else {
        panic!()
    };
    let judgement = evaluate(SOURCE, &all[0], "PREROUTING", &asked()).unwrap();
    let ends: Vec<_> = judgement
        .ends
        .iter()
        .map(|end| match &end.outcome {
            Outcome::Translate(Target::Dnat(to)) => (to.text.to_string(), end.mark),
            other => panic!("{other:?}"),
        })
        .collect();
    let marked = Mark { value: 0x4000, known: u32::MAX };
    assert_eq!(ends, [("10.0.0.5:80".to_owned(), marked), ("10.0.0.6:80".to_owned(), Mark::NONE)]);
}
