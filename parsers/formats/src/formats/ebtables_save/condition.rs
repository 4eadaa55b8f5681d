//! What options of a rule test a frame for (ebtables(8), MATCH EXTENSIONS).
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::Name;
use tapline_core::ids::Mac;
use tapline_core::records::filter::{
    Addresses, ArpTest, DeviceName, FrameTest, Masked, MaskedMac, Test, port_range,
};

use crate::formats::netfilter::{icmp, integer, masked, network, protocol};

const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;

/// What an option tests a frame for.
pub(super) fn test_of(option: &str, value: Option<&str>) -> Test {
    known(option, value.unwrap_or_default()).unwrap_or_else(|| {
        let words = [option, value.unwrap_or_default()].join(" ");
        Test::Unknown(Name::from(words.trim_end()))
    })
}

/// Whether an option stands alone.
pub(super) fn is_flag(option: &str) -> bool {
    option == "--arp-gratuitous"
}

fn known(option: &str, value: &str) -> Option<Test> {
    let device = || vec![DeviceName::of(value, '+')];
    let net = || network(value).map(|net| vec![Addresses::Net(net)]);
    let macs = || mac(value).map(|one| vec![one]);
    let ports = || port_range(value, ':').map(|ports| vec![ports]);
    let arp = |test| Some(Test::Frame(FrameTest::Arp(test)));
    match option {
        "-i" | "--in-interface" | "--in-if" => Some(Test::InDevice(device())),
        "-o" | "--out-interface" | "--out-if" => Some(Test::OutDevice(device())),
        "-p" | "--protocol" | "--proto" => {
            ether_type(value).map(|one| Test::Frame(FrameTest::EtherType(vec![one])))
        }
        "-s" | "--source" | "--src" => macs().map(Test::MacSource),
        "-d" | "--destination" | "--dst" => {
            macs().map(|all| Test::Frame(FrameTest::MacDestination(all)))
        }
        "--among-src" => among(value, true),
        "--among-dst" => among(value, false),
        "--ip-src" | "--ip-source" | "--ip6-src" | "--ip6-source" => net().map(Test::Source),
        "--ip-dst" | "--ip-destination" | "--ip6-dst" | "--ip6-destination" => {
            net().map(Test::Destination)
        }
        "--ip-proto" | "--ip-protocol" | "--ip6-proto" | "--ip6-protocol" => {
            protocol(value).map(|one| Test::Protocol(vec![one]))
        }
        "--ip-sport" | "--ip-source-port" | "--ip6-sport" | "--ip6-source-port" => {
            ports().map(Test::SourcePort)
        }
        "--ip-dport" | "--ip-destination-port" | "--ip6-dport" | "--ip6-destination-port" => {
            ports().map(Test::DestinationPort)
        }
        "--ip-icmp-type" => icmp(false, value),
        "--ip6-icmp-type" => icmp(true, value),
        "--ip-tos" => integer(value).map(|value| Test::Service(vec![Masked { value, mask: 0xff }])),
        "--arp-op" | "--arp-opcode" => arp(ArpTest::Operation(vec![operation(value)?])),
        "--arp-htype" => arp(ArpTest::Hardware(number(value)?)),
        "--arp-ptype" => arp(ArpTest::Network(ether_type(value)?)),
        "--arp-ip-src" => arp(ArpTest::SenderAddress(net()?)),
        "--arp-ip-dst" => arp(ArpTest::TargetAddress(net()?)),
        "--arp-mac-src" => arp(ArpTest::SenderMac(macs()?)),
        "--arp-mac-dst" => arp(ArpTest::TargetMac(macs()?)),
        "--arp-gratuitous" => arp(ArpTest::Gratuitous),
        "--vlan-id" => number(value)
            .map(|vid| Test::Frame(FrameTest::Vlan(std::iter::once(vid..=vid).collect()))),
        "--vlan-encap" => ether_type(value).map(|one| Test::Frame(FrameTest::Protocol(vec![one]))),
        "--pkttype-type" => Some(Test::PacketType(vec![value.to_ascii_lowercase().into()])),
        "--limit" => Some(Test::Limit { text: value.into(), over: false }),
        "--mark" => masked(value).map(Test::Mark),
        _ => None,
    }
}

/// `IPv4`, `ARP`, `802_1Q`, `0x88cc`; the names are those of ebtables' `ethertypes`.
fn ether_type(shown: &str) -> Option<u16> {
    Some(match shown {
        "IPv4" => IPV4,
        "ARP" => ARP,
        "RARP" => 0x8035,
        "802_1Q" => 0x8100,
        "802_1AD" => 0x88a8,
        "IPv6" => 0x86dd,
        "PPP_DISC" => 0x8863,
        "PPP_SES" => 0x8864,
        other => u16::from_str_radix(other.strip_prefix("0x")?, 16).ok()?,
    })
}

/// `Request`, `Reply`, or a number (`opcodes` of ebt_arp.c).
fn operation(shown: &str) -> Option<u16> {
    const NAMES: [&str; 9] = [
        "Request",
        "Reply",
        "Request_Reverse",
        "Reply_Reverse",
        "DRARP_Request",
        "DRARP_Reply",
        "DRARP_Error",
        "InARP_Request",
        "ARP_NAK",
    ];
    let named = NAMES.iter().position(|name| name.eq_ignore_ascii_case(shown));
    named.and_then(|at| u16::try_from(at + 1).ok()).or_else(|| number(shown))
}

fn number(shown: &str) -> Option<u16> {
    integer(shown).and_then(|number| u16::try_from(number).ok())
}

/// A MAC and perhaps a mask behind a slash, or a name of some.
fn mac(shown: &str) -> Option<MaskedMac> {
    let group = Mac([1, 0, 0, 0, 0, 0]);
    match shown {
        "Unicast" => return Some(MaskedMac { value: Mac([0; 6]), mask: group }),
        "Multicast" => return Some(MaskedMac { value: group, mask: group }),
        "Broadcast" => return Some(MaskedMac::of(Mac([0xff; 6]))),
        "BGA" => return Some(MaskedMac::of(Mac([0x01, 0x80, 0xc2, 0, 0, 0]))),
        _ => {}
    }
    let Some((value, mask)) = shown.split_once('/') else { return bare(shown).map(MaskedMac::of) };
    let (mut value, mask) = (bare(value)?, bare(mask)?);
    for (octet, mask) in value.0.iter_mut().zip(mask.0) {
        *octet &= mask;
    }
    Some(MaskedMac { value, mask })
}

/// A MAC; the old tool leaves out zeros (`52:54:0:aa:bb:cc`).
fn bare(shown: &str) -> Option<Mac> {
    let mut bytes = [0; 6];
    let mut parts = shown.split(':');
    for byte in &mut bytes {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(Mac(bytes))
}

/// `52:54:00:00:00:07=192.0.2.7,52:54:00:00:00:08,`: MACs, some of them with the address of IP or of ARP
/// that has to come with it (`get_ip_src`, net/bridge/netfilter/ebt_among.c).
fn among(shown: &str, source: bool) -> Option<Test> {
    let mut all = Vec::new();
    for one in shown.split(',').filter(|one| !one.is_empty()) {
        let (shown, ip) = one.split_once('=').map_or((one, None), |(mac, ip)| (mac, Some(ip)));
        let macs = vec![mac(shown)?];
        let of_mac = if source {
            Test::MacSource(macs)
        } else {
            Test::Frame(FrameTest::MacDestination(macs))
        };
        let Some(ip) = ip else {
            all.push(vec![of_mac]);
            continue;
        };
        let of_protocol = |one| Test::Frame(FrameTest::Protocol(vec![one]));
        let of_ip = vec![Addresses::Net(IpNet::from(ip.parse::<IpAddr>().ok()?))];
        let (by_ip, by_arp) = if source {
            (Test::Source(of_ip.clone()), ArpTest::SenderAddress(of_ip))
        } else {
            (Test::Destination(of_ip.clone()), ArpTest::TargetAddress(of_ip))
        };
        all.push(vec![of_mac.clone(), of_protocol(IPV4), by_ip]);
        all.push(vec![of_mac, Test::Frame(FrameTest::Arp(by_arp))]);
    }
    Some(Test::AnyOf(all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_tests() {
        let guest = Mac([0x52, 0x54, 0, 0, 0, 7]);
        let net = |shown: &str| vec![Addresses::Net(shown.parse().unwrap())];
        let frame = Test::Frame;
        let arp = |test| Test::Frame(FrameTest::Arp(test));
        for (option, value, wanted) in [
            ("-p", "ARP", frame(FrameTest::EtherType(vec![ARP]))),
            ("-p", "0x88cc", frame(FrameTest::EtherType(vec![0x88cc]))),
            ("-p", "802_1Q", frame(FrameTest::EtherType(vec![0x8100]))),
            ("-p", "LENGTH", Test::Unknown("-p LENGTH".into())),
            ("-s", "52:54:0:0:0:7", Test::MacSource(vec![MaskedMac::of(guest)])),
            (
                "-s",
                "52:54:0:0:0:7/ff:ff:0:0:0:0",
                Test::MacSource(vec![MaskedMac {
                    value: Mac([0x52, 0x54, 0, 0, 0, 0]),
                    mask: Mac([0xff, 0xff, 0, 0, 0, 0]),
                }]),
            ),
            (
                "-d",
                "Broadcast",
                frame(FrameTest::MacDestination(vec![MaskedMac::of(Mac([0xff; 6]))])),
            ),
            ("--ip-proto", "udp", Test::Protocol(vec![17])),
            ("--ip-sport", "67:68", Test::SourcePort(vec![67..=68])),
            ("--ip6-dport", "80", Test::DestinationPort(vec![80..=80])),
            ("--ip-src", "10.0.0.0/255.0.0.0", Test::Source(net("10.0.0.0/8"))),
            ("--ip-tos", "0x10", Test::Service(vec![Masked { value: 16, mask: 255 }])),
            ("--ip6-icmp-type", "echo-request", Test::Icmp { kinds: vec![128], codes: None }),
            ("--arp-op", "Reply", arp(ArpTest::Operation(vec![2]))),
            ("--arp-opcode", "1", arp(ArpTest::Operation(vec![1]))),
            ("--arp-ip-src", "192.0.2.7", arp(ArpTest::SenderAddress(net("192.0.2.7/32")))),
            ("--arp-mac-dst", "52:54:0:0:0:7", arp(ArpTest::TargetMac(vec![MaskedMac::of(guest)]))),
            ("--vlan-id", "10", frame(FrameTest::Vlan(vec![10..=10]))),
            ("--pkttype-type", "otherhost", Test::PacketType(vec!["otherhost".into()])),
            ("--mark", "0x1/0xff", Test::Mark(Masked { value: 1, mask: 255 })),
            (
                "--among-src",
                "52:54:0:0:0:7,",
                Test::AnyOf(vec![vec![Test::MacSource(vec![MaskedMac::of(guest)])]]),
            ),
            (
                "--among-dst",
                "52:54:0:0:0:7=192.0.2.7",
                Test::AnyOf(vec![
                    vec![
                        frame(FrameTest::MacDestination(vec![MaskedMac::of(guest)])),
                        frame(FrameTest::Protocol(vec![IPV4])),
                        Test::Destination(net("192.0.2.7/32")),
                    ],
                    vec![
                        frame(FrameTest::MacDestination(vec![MaskedMac::of(guest)])),
                        arp(ArpTest::TargetAddress(net("192.0.2.7/32"))),
                    ],
                ]),
            ),
            ("--vlan-prio", "3", Test::Unknown("--vlan-prio 3".into())),
        ] {
            assert_eq!(test_of(option, Some(value)), wanted, "{option} {value}");
        }
        assert_eq!(test_of("--arp-gratuitous", None), arp(ArpTest::Gratuitous));
    }
}
