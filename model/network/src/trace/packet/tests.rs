//! Packets and their answers.
use super::*;

fn ends(packet: &Packet) -> (Option<IpAddr>, Option<IpAddr>, Option<u16>, Option<u16>) {
    (packet.source(), packet.destination(), packet.source_port(), packet.destination_port())
}

#[test]
fn answers_go_back() {
    let (near, far) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
    let mut syn = Packet::new(IPV4);
    syn.set_source(Some(near));
    syn.set_destination(Some(far));
    syn.set_protocol(6);
    syn.set_ports(Some(40_000), Some(22));
    syn.set_macs(Some(Mac([2; 6])), Some(Mac([4; 6])));
    syn.frame.set(OfField::TcpFlags, Value::of(2));
    syn.set_ttl(3);
    syn.frame.push_tag();
    let answer = syn.answer();
    assert_eq!(ends(&answer), (Some(far), Some(near), Some(22), Some(40_000)));
    assert_eq!(answer.mac_source(), Some(Mac([4; 6])));
    assert_eq!(answer.mac_destination(), Some(Mac([2; 6])));
    assert_eq!(answer.number(OfField::TcpFlags), Some(0x12));
    assert_eq!(answer.vlans(), Some(Vec::new()));
    assert_eq!(answer.ttl(), Some(Packet::DEFAULT_TTL));
    assert!(answer.is_reply() && !syn.is_reply());
    // What follows is no first packet of a connection.
    syn.frame.set(OfField::TcpFlags, Value::of(0x10));
    assert_eq!(syn.answer().number(OfField::TcpFlags), Some(0x10));
}

#[test]
fn pings_and_questions_of_arp_are_answered_by_what_answers_them() {
    for (eth_type, protocol, asked, answered) in
        [(IPV4, 1, (8, 0), (0, 0)), (IPV6, 58, (128, 0), (129, 0)), (IPV4, 1, (13, 0), (13, 0))]
    {
        let mut ping = Packet::new(eth_type);
        ping.set_protocol(protocol);
        ping.set_icmp(asked.0, asked.1);
        assert_eq!(ping.answer().icmp(), Some(answered), "{protocol} {asked:?}");
    }
    let mut arp = Packet::new(ARP);
    for (asked, answered) in [(1, 2), (2, 2), (3, 3)] {
        arp.frame.set(OfField::ArpOp, Value::of(asked));
        assert_eq!(arp.answer().number(OfField::ArpOp), Some(answered), "{asked}");
    }
}
