//! The worked example of a trace, on a host of OpenStack that was captured: its hops, what is rewritten on
//! the way, its outcome and its places; the three questions that follow on it; and every megaflow of the
//! kernel's datapath, which the flows have to explain.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use tapline_capture::{Input, Options};
use tapline_core::span::Evidence;
use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_network::trace::{Answered, Kind, Question, Tracer};
use tapline_tests::captures;

const GUEST: &str = "vm:focal-161303-1";

fn with_tracer<T>(look: impl FnOnce(&Tracer<'_, '_>) -> T) -> T {
    let host = captures().unwrap().join("hosts/hotsos-openstack");
    let captured = tapline_capture::open(&[Input::Path(host)], &Options::default()).unwrap();
    let snapshot = tapline_formats::read(captured);
    let topology = tapline_topology::build(&snapshot);
    let environment = Environment::default();
    look(&Tracer::new(&Network::new(&topology, None, &environment)))
}

fn ask(tracer: &Tracer<'_, '_>, from: &str, to: &str, dport: Option<u16>) -> Answered {
    let question = Question {
        from: from.to_owned(),
        to: Some(to.to_owned()),
        dport,
        reverse: true,
        ..Question::default()
    };
    tracer.ask(&question).unwrap()
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn a_guest_with_a_floating_ip_reaches_the_outside() {
    with_tracer(|tracer| {
        let answered = ask(tracer, GUEST, "ip:8.8.8.8", Some(443));
        let verdict = &answered.trace.verdict;
        assert_eq!(verdict.reached, Some(true));
        let said = format!("{} at {}", verdict.outcome, verdict.place.words());
        assert_eq!(said, "leaves-capture at ens7");
        let end = answered.trace.end.as_ref().unwrap();
        assert_eq!(end.packet.source().unwrap().to_string(), "10.100.0.203");
        assert_eq!(end.packet.vlans().unwrap(), Vec::<u16>::new());
        let ways: Vec<String> = answered
            .trace
            .hops
            .iter()
            .filter(|hop| !matches!(hop.kind, Kind::Guest | Kind::Neighbour | Kind::Netfilter))
            .map(|hop| {
                let name = |name: &Option<tapline_core::Name>| {
                    name.as_ref().map(ToString::to_string).unwrap_or_default()
                };
                format!("{} > {}", name(&hop.input), name(&hop.output))
            })
            .collect();
        assert_eq!(
            ways,
            [
                "tap0e778df8-ca > ",
                "tap0e778df8-ca > qr-3a70b31c-3f",
                "qr-3a70b31c-3f > rfp-984c22fd-6",
                "rfp-984c22fd-6 > fpr-984c22fd-6",
                "fpr-984c22fd-6 > fg-c8dcce74-c4",
                "fg-c8dcce74-c4 > int-br-data",
                "phy-br-data > ens7",
                " > ens7",
            ]
        );
        // The VM's NIC and the router's port.
        assert_eq!(verdict.mtu.as_ref().unwrap(), &(1450, vec![2, 3]));
        let assumed: Vec<&str> =
            verdict.assumptions.iter().map(|(_, text)| text.as_str()).collect();
        assert!(assumed.contains(&"10.100.0.1 answers ARP"), "{assumed:#?}");
        let next: Vec<String> = verdict.next.iter().map(|next| next.need.to_string()).collect();
        assert_eq!(next, ["tcpdump -eni ens7 arp and host 10.100.0.1"]);
        let lines = |number: usize| -> Vec<u32> {
            let snapshot = tracer.network().topology.snapshot;
            let hop = &answered.trace.hops[number - 1];
            let line = |at: &Evidence| {
                let source = snapshot.source(at.source)?;
                let before = source.text.get(..at.span.range().start)?;
                let count = u32::try_from(before.matches('\n').count()).ok()?;
                Some(source.first_line + count)
            };
            hop.evidence.iter().filter_map(line).collect()
        };
        // Lines of `dump-flows br-int`, and of what it has learnt.
        for line in [11, 24, 49, 59, 108, 111] {
            assert!(lines(3).contains(&line), "{line}: {:?}", lines(3));
        }
        let back = answered.reverse.unwrap();
        assert_eq!(back.verdict.reached, Some(true), "{:#?}", back.verdict);
    });
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn a_port_that_no_rule_lets_in_and_dhcp_beyond_the_tunnels() {
    with_tracer(|tracer| {
        let verdict = ask(tracer, "ip:8.8.8.8", GUEST, Some(8080)).trace.verdict;
        let reason = verdict.reason.unwrap().as_str();
        let said = format!("{} {reason} at {}", verdict.outcome, verdict.place.words());
        assert_eq!(said, "dropped sg-ingress-deny at br-int/qr-3a70b31c-3f");
        let trace = ask(tracer, GUEST, "dhcp", None).trace;
        assert_eq!((trace.verdict.reached, trace.verdict.outcome.as_str()), (None, "flooded"));
        let mut far: Vec<_> = trace
            .ends
            .iter()
            .filter(|end| end.outcome.as_str() == "leaves-capture")
            .filter(|end| end.reason.is_none())
            .map(|end| end.text.clone())
            .collect();
        far.sort();
        assert_eq!(far.len(), 2, "{far:#?}");
        assert!(far[0].contains("10.0.0.114") && far[1].contains("10.0.0.133"), "{far:#?}");
    });
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn flows_explain_every_megaflow() {
    with_tracer(|tracer| {
        let verified = tracer.verify();
        let (agree, skipped) = (verified.agree, verified.skipped.len());
        assert!(agree >= 7 && verified.disagree.is_empty() && skipped == 0, "{verified:#?}");
    });
}
