//! What ovn-controller does with packets that flows send to it, and what flows tell of guests.
//!
//! A flow names the action in `userdata`: four bytes of its number, four that are empty, then its
//! arguments (`enum action_opcode` and `struct action_header`, include/ovn/actions.h). Those of DHCP
//! are the field of the result, the offered address, and options as DHCP writes them
//! (`encode_PUT_DHCPV4_OPTS`, lib/actions.c).
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use tapline_core::ids::Mac;
use tapline_core::records::filter::Translation;
use tapline_core::records::openflow::{Action, Nat, OfField};
use tapline_core::span::Evidence;

use crate::Network;
use crate::flows;

/// What ovn-controller does with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Handled {
    /// It notes something; the packet goes its way.
    Noted,
    /// It answers a client of DHCP.
    Dhcp,
    /// It tells the sender that the packet is lost.
    Refused,
    /// It asks for the MAC of the next hop, and sends the packet on when it is answered.
    Asked,
}

impl Handled {
    /// By the number of the action. Those that are not listed do different things in different
    /// versions.
    pub(super) fn of(number: u32) -> Option<Self> {
        Some(match number {
            // put_arp, put_nd, log.
            1 | 4 | 7 => Self::Noted,
            // put_dhcp_opts, put_dhcpv6_opts.
            2 | 5 => Self::Dhcp,
            // icmp4 and icmp6, tcp_reset, icmp4_error.
            10 | 11 | 14 => Self::Refused,
            // arp, nd_ns.
            0 | 9 => Self::Asked,
            _ => return None,
        })
    }
}

/// The bytes of `controller(userdata=00.00.00.02…)`.
fn userdata(action: &str) -> Option<Vec<u8>> {
    let (_, rest) = action.split_once("userdata=")?;
    let end = rest.find([',', ')']).unwrap_or(rest.len());
    let bytes = rest.get(..end)?.split('.');
    bytes.map(|byte| u8::from_str_radix(byte, 16).ok()).collect()
}

/// The number of the action that a flow asks of ovn-controller.
pub(crate) fn number(action: &str) -> Option<u32> {
    Some(u32::from_be_bytes(*userdata(action)?.first_chunk::<4>()?))
}

/// What a guest is offered by DHCP, and so has.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Offer {
    /// Its address.
    pub(super) ip: IpAddr,
    /// Its subnet.
    pub(super) subnet: Option<IpNet>,
    /// Its routes: those of option 121 where that is given, else the one to the router.
    routes: Vec<(IpNet, IpAddr)>,
    /// The flow.
    pub(super) at: Evidence,
}

impl Offer {
    /// Whether it sends to an address without a router.
    pub(super) fn is_on_link(&self, to: IpAddr) -> bool {
        self.subnet.is_some_and(|subnet| subnet.contains(&to))
    }

    /// The router that it sends to.
    pub(super) fn router_to(&self, to: IpAddr) -> Option<IpAddr> {
        let fitting = self.routes.iter().filter(|(net, _)| net.contains(&to));
        fitting.max_by_key(|(net, _)| net.prefix_len()).map(|(_, router)| *router)
    }

    /// Reads the arguments of `put_dhcp_opts`.
    fn read(bytes: &[u8], at: Evidence) -> Option<Self> {
        const ARGUMENTS: usize = 16;
        const MASK: u8 = 1;
        const ROUTER: u8 = 3;
        const CLASSLESS: u8 = 121;
        let rest = bytes.get(ARGUMENTS..)?;
        let (ip, mut rest) = rest.split_first_chunk::<4>()?;
        let ip = Ipv4Addr::from(*ip);
        let (mut subnet, mut router, mut classless) = (None, None, None);
        while let [code, length, tail @ ..] = rest {
            let Some((value, behind)) = tail.split_at_checked(usize::from(*length)) else { break };
            match *code {
                MASK => {
                    let mask = Ipv4Addr::from(*value.first_chunk::<4>()?);
                    let prefix = ipnet::ipv4_mask_to_prefix(mask).ok()?;
                    subnet = IpNet::new(ip.into(), prefix).ok().map(|net| net.trunc());
                }
                ROUTER => router = value.first_chunk::<4>().map(|ip| Ipv4Addr::from(*ip).into()),
                CLASSLESS => classless = Some(routes(value)),
                _ => {}
            }
            rest = behind;
        }
        let all = IpNet::new(Ipv4Addr::UNSPECIFIED.into(), 0).ok()?;
        let routes =
            classless.unwrap_or_else(|| router.map(|router| (all, router)).into_iter().collect());
        Some(Self { ip: ip.into(), subnet, routes, at })
    }
}

/// Option 121 (RFC 3442): the length of a prefix, its bytes, a router.
fn routes(mut value: &[u8]) -> Vec<(IpNet, IpAddr)> {
    let mut all = Vec::new();
    while let Some((prefix, tail)) = value.split_first() {
        let length = usize::from(*prefix).div_ceil(8).min(4);
        let Some((bytes, tail)) = tail.split_at_checked(length) else { break };
        let Some((router, tail)) = tail.split_first_chunk::<4>() else { break };
        let mut net = [0; 4];
        for (to, from) in net.iter_mut().zip(bytes) {
            *to = *from;
        }
        if let Ok(net) = IpNet::new(Ipv4Addr::from(net).into(), *prefix) {
            all.push((net, Ipv4Addr::from(*router).into()));
        }
        value = tail;
    }
    all
}

/// What flows offer to guests by DHCP: nothing for a MAC that is offered two things.
pub(super) fn offers(network: &Network<'_>) -> BTreeMap<Mac, Option<Offer>> {
    let mut all: BTreeMap<Mac, Option<Offer>> = BTreeMap::new();
    for bridge in network.ovs_bridges() {
        let Some(dump) = network.flows().best(bridge.host, bridge.name()) else { continue };
        for flow in &dump.flows {
            let Some(mac) = flow.wants(OfField::EthSrc.whole()) else { continue };
            let Some(mac) = mac.value.to_be_bytes().last_chunk::<6>().copied().map(Mac) else {
                continue;
            };
            let offer = flows::actions(flow).find_map(|action| {
                let bytes = match action.action {
                    Action::Controller => userdata(&action.text.value)?,
                    _ => return None,
                };
                let number = u32::from_be_bytes(*bytes.first_chunk::<4>()?);
                (Handled::of(number) == Some(Handled::Dhcp)).then_some(())?;
                Offer::read(&bytes, dump.line(flow))
            });
            let Some(offer) = offer else { continue };
            all.entry(mac)
                .and_modify(|known| {
                    let same = |known: &Offer| {
                        (known.ip, known.subnet, &known.routes)
                            == (offer.ip, offer.subnet, &offer.routes)
                    };
                    if known.as_ref().is_some_and(|known| !same(known)) {
                        *known = None;
                    }
                })
                .or_insert(Some(offer.clone()));
        }
    }
    all
}

/// The addresses that flows translate into one other whatever the port: floating ones.
pub(super) fn destinations(network: &Network<'_>) -> BTreeMap<IpAddr, Option<IpAddr>> {
    let mut all: BTreeMap<IpAddr, Option<IpAddr>> = BTreeMap::new();
    for bridge in network.ovs_bridges() {
        let Some(dump) = network.flows().best(bridge.host, bridge.name()) else { continue };
        for flow in &dump.flows {
            if flow.wants(OfField::TpDst.whole()).is_some() {
                continue;
            }
            let four = flow.wants(OfField::IpDst.whole()).map(|ip| u32::try_from(ip.value));
            let six = flow.wants(OfField::Ipv6Dst.whole()).map(|ip| IpAddr::V6(ip.value.into()));
            let from = match four {
                Some(Ok(four)) => Some(IpAddr::V4(four.into())),
                _ => six,
            };
            let to = flows::actions(flow).find_map(|action| match &action.action {
                Action::Ct(ct) if ct.commit => match &ct.nat {
                    Some(Nat::Dst(to)) => Translation::of(to).address,
                    _ => None,
                },
                _ => None,
            });
            let (Some(from), Some(to)) = (from, to) else { continue };
            let known = all.entry(from).or_insert(Some(to));
            *known = known.filter(|known| *known == to);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use tapline_core::span::{SourceId, Span};

    use super::*;

    #[test]
    fn actions_of_the_controller_have_numbers() {
        use Handled::{Asked, Dhcp, Noted, Refused};
        for (numbers, told) in [
            (&[0, 9][..], Some(Asked)),
            (&[1, 4, 7], Some(Noted)),
            (&[2, 5], Some(Dhcp)),
            (&[10, 11, 14], Some(Refused)),
            (&[3, 6, 8, 12, 13, 15, u32::MAX], None),
        ] {
            for number in numbers {
                assert_eq!(Handled::of(*number), told, "{number}");
            }
        }
    }

    #[test]
    fn floating_addresses_are_those_that_flows_translate_whatever_the_port() {
        let found = |flows: &[&str]| {
            let lines = flows.iter().map(|flow| {
                format!(" cookie=0x1, duration=9.1s, table=0, n_packets=7, n_bytes=700, {flow}\n")
            });
            let text = format!(
                "root@h1:~# ovs-vsctl show\n0b4f7f5e-1f0c-4d0e-8d0c-3c1a5a7c9b10\n    Bridge br-int\n    \
                 ovs_version: \"2.17.9\"\nroot@h1:~# ovs-ofctl dump-flows br-int\n{}root@h1:~# \n",
                lines.collect::<String>()
            );
            let input = tapline_capture::Input::Text("session".to_owned(), text);
            let captured = tapline_capture::open(&[input], &tapline_capture::Options::default());
            let snapshot = tapline_formats::read(captured.expect("a session"));
            let topology = tapline_topology::build(&snapshot);
            let environment = crate::environment::Environment::default();
            let network = Network::new(&topology, None, &environment);
            let all = destinations(&network).into_iter();
            let words = all.map(|(from, to)| match to {
                Some(to) => format!("{from} {to}"),
                None => format!("{from} several"),
            });
            words.collect::<Vec<_>>()
        };
        let four =
            "priority=9,ip,nw_dst=203.0.113.5 actions=ct(commit,table=2,zone=1,nat(dst=10.0.0.5))";
        let six = "priority=9,ipv6,ipv6_dst=2001:db8::5 \
                   actions=ct(commit,table=2,zone=1,nat(dst=fd00::5))";
        assert_eq!(found(&[four]), ["203.0.113.5 10.0.0.5"]);
        assert_eq!(found(&[six]), ["2001:db8::5 fd00::5"]);
        assert_eq!(found(&[four, four, six]), ["203.0.113.5 10.0.0.5", "2001:db8::5 fd00::5"]);
        // Two that are not one, in whatever order.
        let other = four.replace("10.0.0.5", "10.0.0.6");
        assert_eq!(found(&[four, &other]), ["203.0.113.5 several"]);
        assert_eq!(found(&[&other, four, four]), ["203.0.113.5 several"]);
        let none: [&str; 0] = [];
        for flow in [
            // A port is forwarded; sources, no commit, none that is named, none that is translated.
            four.replace("ip,nw_dst", "tcp,tp_dst=80,nw_dst"),
            four.replace("dst=10", "src=10"),
            four.replace("commit,", ""),
            four.replace(",nw_dst=203.0.113.5", ""),
            four.replace(",nat(dst=10.0.0.5)", ""),
            four.replace(",nat(dst=10.0.0.5)", ",nat"),
        ] {
            assert_eq!(found(&[&flow]), none, "{flow}");
        }
    }

    #[test]
    fn options_of_dhcp_are_read() {
        let action = "controller(userdata=00.00.00.02.00.00.00.00.00.01.de.10.00.00.00.63.\
                      0a.00.0a.0b.79.0e.20.a9.fe.a9.fe.0a.00.0a.02.00.0a.00.0a.01.\
                      01.04.ff.ff.ff.00.03.04.0a.00.0a.01.33,pause)";
        assert_eq!(number(action), Some(2));
        let at = Evidence { source: SourceId(0), span: Span { start: 0, end: 0 } };
        let offer = Offer::read(&userdata(action).unwrap_or_default(), at);
        let offer = offer.expect("an offer");
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(offer.ip, ip("10.0.10.11"));
        assert!(offer.is_on_link(ip("10.0.10.99")) && !offer.is_on_link(ip("10.0.11.1")));
        assert_eq!(offer.router_to(ip("169.254.169.254")), Some(ip("10.0.10.2")));
        assert_eq!(offer.router_to(ip("192.0.2.1")), Some(ip("10.0.10.1")));
        assert_eq!(Offer::read(&[0; 15], at), None);
    }
}
