use super::*;

fn limit(text: &str, over: bool) -> Test {
    Test::Limit { text: text.into(), over }
}

fn reads(text: &str) -> Vec<Condition> {
    let words: Vec<Name> = text.split(' ').map(Name::from).collect();
    conditions(&words)
}

#[test]
fn arguments_are_conditions() {
    let net = |text: &str| Addresses::Net(text.parse().unwrap());
    for (text, not, test) in [
        ("-i tap+", false, Test::InDevice(vec![DeviceName::of("tap+", '+')])),
        ("! -o qg-1", true, Test::OutDevice(vec![DeviceName::of("qg-1", '+')])),
        ("-i ! lo", true, Test::InDevice(vec![DeviceName::of("lo", '+')])),
        ("-s 10.0.0.0/8", false, Test::Source(vec![net("10.0.0.0/8")])),
        ("-d 10.0.0.1", false, Test::Destination(vec![net("10.0.0.1/32")])),
        ("-d 10.0.0.0/255.0.0.0", false, Test::Destination(vec![net("10.0.0.0/8")])),
        ("-p tcp", false, Test::Protocol(vec![6])),
        ("-p 47", false, Test::Protocol(vec![47])),
        ("-m tcp --dport 80:90", false, Test::DestinationPort(vec![80..=90])),
        ("-m multiport --dports 22,80:90", false, Test::DestinationPort(vec![22..=22, 80..=90])),
        ("-m udp ! --sport 68", true, Test::SourcePort(vec![68..=68])),
        (
            "-m conntrack --ctorigdst 192.0.2.1",
            false,
            Test::FirstDestination(vec![net("192.0.2.1/32")]),
        ),
        ("-m conntrack ! --ctorigdstport 80", true, Test::FirstPort(vec![80..=80])),
        ("-m conntrack ! --ctstate DNAT", true, Test::Connection(ConnStates::DNAT)),
        ("-m conntrack --ctdir REPLY", false, Test::Answer(true)),
        ("-m mark --mark 0x1/0xff", false, Test::Mark(Masked { value: 1, mask: 0xff })),
        ("-m connmark --mark 0x1", false, Test::ConnMark(Masked { value: 1, mask: u32::MAX })),
        ("-m icmp --icmp-type 8", false, Test::Icmp { kinds: vec![8], codes: None }),
        (
            "-m icmp6 --icmpv6-type 134/0",
            false,
            Test::Icmp { kinds: vec![134], codes: Some(0..=0) },
        ),
        ("--physdev-in tap1", false, Test::InPort(DeviceName::of("tap1", '+'))),
        ("-m physdev --physdev-is-bridged", false, Test::Bridged),
        (
            "-m set ! --match-set known src,dst",
            true,
            Test::Set { name: "known".into(), by_source: vec![true, false] },
        ),
        ("-m comment --comment why", false, Test::Aside("why".into())),
        ("-m limit --limit 5/min --limit-burst 9", false, limit("--limit 5/min", false)),
        (
            "-m hashlimit --hashlimit-above 9/sec --hashlimit-mode srcip --hashlimit-name x",
            false,
            limit("--hashlimit-above 9/sec", true),
        ),
        (
            "-m connlimit --connlimit-above 5 --connlimit-mask 32 --connlimit-saddr",
            false,
            limit("--connlimit-above 5", true),
        ),
        (
            "-m recent --update --seconds 30 --hitcount 6 --name D --mask 255.255.255.255 --rsource",
            false,
            limit("recent --update", true),
        ),
        (
            "-m recent --set --name D --mask 255.255.255.255 --rsource",
            false,
            Test::Aside("recent --set".into()),
        ),
        ("-m rt --rt-type 0 --rt-segsleft 0", false, Test::Extension("rt".into())),
        ("-m hl --hl-eq 255", false, Test::Lifetime(vec![255..=255])),
        ("-m ttl ! --ttl-lt 2", true, Test::Lifetime(vec![0..=1])),
        ("-m hl --hl-gt 9", false, Test::Lifetime(vec![10..=255])),
        ("-m tos --tos 0x10/0x3f", false, Test::Service(vec![Masked { value: 16, mask: 63 }])),
        ("-m dscp --dscp-class AF41", false, Test::Service(vec![Masked { value: 136, mask: 252 }])),
        ("-m dscp --dscp 0x2e", false, Test::Service(vec![Masked { value: 184, mask: 252 }])),
        ("-m pkttype --pkt-type multicast", false, Test::PacketType(vec!["multicast".into()])),
        ("-m odd --odd-one a b", false, Test::Unknown("--odd-one a b".into())),
        ("-d host.example", false, Test::Unknown("-d host.example".into())),
        ("--syn", false, Test::TcpFlags { mask: 0x17, set: 2 }),
        ("--tcp-flags FIN,SYN,RST,ACK SYN", false, Test::TcpFlags { mask: 0x17, set: 2 }),
    ] {
        assert_eq!(reads(text), [Condition { not, test }], "{text}");
    }
}

#[test]
fn each_argument_is_a_condition_of_its_own() {
    let all = reads("! -s 10.0.0.0/8 -i br0 -p tcp -m tcp --dport 22 -m comment --comment x");
    let nots: Vec<_> = all.iter().map(|one| one.not).collect();
    assert_eq!(nots, [true, false, false, false, false]);
    assert_eq!(reads("-i").len(), 1);
    assert_eq!(reads("!").len(), 0);
}
