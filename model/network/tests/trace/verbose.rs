//! What is said of a hop where the question asks for everything: what was looked at, and what would
//! have passed.
use tapline_core::span::Evidence;
use tapline_network::Network;
use tapline_network::trace::{Hop, Question, Tracer};

use super::common::{port, with_network};
use super::{FILTER, RULES as RULES_OF_ALL, two_on_a_bridge};

/// The line that is cited.
fn line(network: &Network<'_>, at: Evidence) -> String {
    let source = network.topology.snapshot.source(at.source).unwrap();
    source.line_text(at.span).trim().to_owned()
}

/// What was looked at in a hop, each with its lines.
fn looked_at(network: &Network<'_>, hop: &Hop) -> Vec<String> {
    let considered = hop.details.considered.iter().map(|one| {
        let lines: Vec<_> = one.evidence.iter().map(|at| line(network, *at)).collect();
        format!("{} [{}]", one.text, lines.join(" | "))
    });
    considered.collect()
}

/// What is said of a connection to a port of the second namespace, whose filter has these rules:
/// what would have passed with its rules, and what was looked at in all hops.
fn asked(rules: &str, port_asked: u16, verbose: bool) -> (Option<String>, Vec<String>) {
    let own = format!("exec b iptables-save\n{FILTER}");
    let text = two_on_a_bridge(&port("forwarding"))
        .replace(&own, &own.replace("COMMIT", &format!("{rules}COMMIT")));
    asked_of(&text, port_asked, verbose)
}

fn asked_of(text: &str, port_asked: u16, verbose: bool) -> (Option<String>, Vec<String>) {
    with_network(text, |network| {
        let question = Question {
            from: "ns:a".to_owned(),
            to: Some("ip:192.0.2.2".to_owned()),
            proto: Some("tcp".to_owned()),
            dport: Some(port_asked),
            verbose,
            ..Question::default()
        };
        let trace = Tracer::new(network).ask(&question).unwrap().trace;
        let nearest = trace.verdict.nearest.map(|near| {
            let lines: Vec<_> = near.rules.iter().map(|at| line(network, *at)).collect();
            format!("{} [{}]", near.text, lines.join(" | "))
        });
        let looked = trace.hops.iter().flat_map(|hop| looked_at(network, hop)).collect();
        (nearest, looked)
    })
}

const RULES: &str = "-A INPUT -i eth1 -j ACCEPT\n\
                     -A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT\n\
                     -A INPUT -s 192.0.2.9/32 -p tcp -j ACCEPT\n-A INPUT -j DROP\n";

#[test]
fn what_would_have_passed_is_named_with_its_rules() {
    let (nearest, looked) = asked(RULES, 22, true);
    let ports = "-A INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT";
    let source = "-A INPUT -s 192.0.2.9/32 -p tcp -j ACCEPT";
    assert_eq!(nearest, Some(format!("tcp 80, 443; tcp from 192.0.2.9 [{ports} | {source}]")));
    let filter: Vec<_> = looked.iter().filter(|one| one.starts_with("INPUT")).collect();
    assert_eq!(
        filter,
        ["INPUT filter: 4 rules looked at: drops [-A INPUT -j DROP]"],
        "{looked:#?}"
    );
    // Nobody asked.
    assert_eq!(asked(RULES, 22, false), (None, Vec::new()));
    // It passes.
    let (nearest, looked) = asked(RULES, 80, true);
    assert_eq!(nearest, None);
    let filter: Vec<_> = looked.iter().filter(|one| one.starts_with("INPUT")).collect();
    assert_eq!(filter, [&format!("INPUT filter: 2 rules looked at: accepts [{ports}]")]);
}

#[test]
fn what_was_looked_at_for_the_answer_is_named_too() {
    let text = two_on_a_bridge(&port("forwarding"));
    let back = |verbose: bool| {
        with_network(&text, |network| {
            let question = Question {
                from: "ns:a".to_owned(),
                to: Some("ip:192.0.2.2".to_owned()),
                reverse: true,
                verbose,
                ..Question::default()
            };
            let back = Tracer::new(network).ask(&question).unwrap().reverse.unwrap();
            back.hops.iter().flat_map(|hop| looked_at(network, hop)).collect::<Vec<_>>()
        })
    };
    let line = "OUTPUT filter: 0 rules looked at: accepts [:OUTPUT ACCEPT [0:0]]";
    assert!(back(true).contains(&line.to_owned()), "{:#?}", back(true));
    assert_eq!(back(false), [] as [&str; 0]);
}

#[test]
fn rules_that_translate_are_passed_over_for_a_reason() {
    let nat = "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n";
    let saved = "root@h1:~# ip netns exec a iptables-save\n";
    let text = two_on_a_bridge(&port("forwarding")).replace(saved, &format!("{saved}{nat}"));
    let entry = "root@h1:~# ip netns exec a conntrack -L\ntcp      6 431999 ESTABLISHED src=192.0.2.1 \
                 dst=192.0.2.2 sport=5000 dport=22 src=192.0.2.2 dst=192.0.2.1 sport=22 dport=5000 [ASSURED] \
                 mark=0 use=1\nconntrack v1.4.6 (conntrack-tools): 1 flow entries have been shown.\n";
    let tracked = text.replace(saved, &format!("{entry}{saved}"));
    let why = |text: &str, ct: Option<&str>| {
        with_network(text, |network| {
            let question = Question {
                from: "ns:a".to_owned(),
                to: Some("ip:192.0.2.2".to_owned()),
                proto: Some("tcp".to_owned()),
                sport: Some(5000),
                dport: Some(22),
                ct: ct.map(str::to_owned),
                verbose: true,
                ..Question::default()
            };
            let trace = Tracer::new(network).ask(&question).unwrap().trace;
            let mut all = trace.hops.iter().flat_map(|hop| looked_at(network, hop));
            all.find(|one| one.starts_with("OUTPUT nat")).unwrap_or_default()
        })
    };
    assert_eq!(why(&text, Some("inv")), "OUTPUT nat: not asked, the packet is of no connection []");
    assert_eq!(why(&tracked, None), "OUTPUT nat: not asked, the connection is known []");
    assert!(why(&text, None).contains("looked at"), "{}", why(&text, None));
}

#[test]
fn tables_and_routes_that_were_looked_at_are_named() {
    let (_, looked) = asked("", 22, true);
    let of_sender = [
        "rule 0: leads to no route [0:\tfrom all lookup local]",
        "rule 32766: decides [32766:\tfrom all lookup main]",
        "table main: route taken [192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.1]",
        "OUTPUT filter: 0 rules looked at: accepts [:OUTPUT ACCEPT [0:0]]",
    ];
    assert_eq!(&looked[..4], of_sender);
    let rules = format!("root@h1:~# ip netns exec a ip rule\n{RULES_OF_ALL}");
    let text = two_on_a_bridge(&port("forwarding"));
    assert!(text.contains(&rules));
    let (_, assumed) = asked_of(&text.replace(&rules, ""), 22, true);
    let none = "no policy rules captured: table main is looked up []";
    assert_eq!(assumed.first().map(String::as_str), Some(none));
    let last = "INPUT filter: 0 rules looked at: accepts [:INPUT ACCEPT [0:0]]";
    assert_eq!(looked.last().map(String::as_str), Some(last));
}
