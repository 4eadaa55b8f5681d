//! A question as people and programs write it, and its answer.
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::openflow::OfField;
use tapline_topology::NodeId;

use crate::flow::Value;

use super::ends::{EndError, Goal, Start, Target};
use super::packet::{ARP, IPV4, IPV6, SOMEBODY};
use super::{Packet, Query, Trace, Tracer, Without};

/// A question. The names of the fields are those of the options.
#[derive(Clone, PartialEq, Eq, Default, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Question {
    /// Where the packet is put in.
    pub from: String,
    /// Where it is to go.
    pub to: Option<String>,
    /// Its protocol.
    pub proto: Option<String>,
    /// The address that it comes from.
    pub src: Option<IpAddr>,
    /// The port that it comes from.
    pub sport: Option<u16>,
    /// The port that it goes to.
    pub dport: Option<u16>,
    /// Bytes of the IP packet.
    pub size: Option<u32>,
    /// Its mark, as C writes numbers: `17`, `0x11`, `021`.
    pub mark: Option<String>,
    /// Its type of service, as C writes numbers.
    pub tos: Option<String>,
    /// The packet as a flow.
    pub packet: Option<String>,
    /// The device that its sender is bound to.
    pub oif: Option<String>,
    /// Its state at each pass through a connection tracker; the last counts for all that follow.
    pub ct: Option<String>,
    /// Follow the answer too.
    pub reverse: bool,
    /// `ovs`: end where the packet leaves the bridges of OVS.
    pub stop_at: Option<String>,
    /// The key of what is taken away.
    pub without: Option<String>,
    /// Note everything that is looked at, and what would have passed instead.
    pub verbose: bool,
}

/// An answered question.
#[derive(Clone, PartialEq, Debug)]
pub struct Answered {
    /// The packet as it was understood.
    pub packet: Packet,
    /// The way there.
    pub trace: Trace,
    /// The way back, where that was asked.
    pub reverse: Option<Trace>,
    /// The same with what the question takes away.
    pub before: Option<Before>,
}

/// What becomes of the packet while nothing is taken away.
#[derive(Clone, PartialEq, Debug)]
pub struct Before {
    /// What is taken away.
    pub without: Arc<Without>,
    /// The way there.
    pub trace: Trace,
    /// The way back, where that was asked.
    pub reverse: Option<Trace>,
}

impl Before {
    /// Whether the packet, or its answer where that was asked, is lost with what is taken away;
    /// `None` where that cannot be told.
    pub fn is_lost(&self, answered: &Answered) -> Option<bool> {
        let ways = |trace: &Trace, reverse: Option<&Trace>, asked: bool| {
            let there = trace.verdict.reached;
            match (there, asked) {
                (Some(true), true) => reverse.and_then(|back| back.verdict.reached),
                _ => there,
            }
        };
        let asked = self.reverse.is_some();
        let before = ways(&self.trace, self.reverse.as_ref(), asked);
        let after = ways(&answered.trace, answered.reverse.as_ref(), asked);
        match (before, after) {
            (Some(true), Some(after)) => Some(!after),
            (Some(false), _) | (_, Some(true)) => Some(false),
            _ => None,
        }
    }
}

impl Tracer<'_, '_> {
    /// Answers a question.
    pub fn ask(&self, question: &Question) -> Result<Answered, EndError> {
        let start = self.start(&question.from)?;
        let mut query = self.query(question, start)?;
        let without = match &question.without {
            Some(key) => Some(Arc::new(Without::new(self.network, key)?)),
            None => None,
        };
        let run = |query: &Query| {
            let trace = self.trace(query);
            let reverse = question.reverse.then(|| self.answer(query, &trace)).flatten();
            (trace, reverse)
        };
        let (mut trace, mut reverse) = run(&query);
        let packet = query.packet.clone();
        let mut before = None;
        if let Some(without) = without {
            query.without = Some(Arc::clone(&without));
            before = Some(Before { without, trace, reverse });
            (trace, reverse) = run(&query);
        }
        Ok(Answered { packet, trace, reverse, before })
    }

    pub(super) fn query(&self, question: &Question, start: Start) -> Result<Query, EndError> {
        let to = question.to.as_deref();
        if to.is_none() && question.packet.is_none() {
            return Err(EndError::Wrong("say where to: TO, or a packet".to_owned()));
        }
        let mut goal = match to {
            Some("gateway") => None,
            Some(text) => Some(own_loopback(self.goal(text)?, &start)),
            None => None,
        };
        let mut packet = Self::packet(question, goal.as_ref())?;
        if let Some(states) = &question.ct {
            let all: Result<Vec<u128>, EndError> =
                states.split(',').map(super::flow_text::ct_states).collect();
            packet.tell_states(&all?);
        }
        let from = self.sender(&start, question);
        if to == Some("gateway") {
            let Start::Guest(nic) = start else {
                return Err(EndError::Wrong("only a guest has a gateway here".to_owned()));
            };
            let gateway = self.gateway(nic, from);
            // Where it is not known, what the guest sends is not known either: the answer is open.
            let device = gateway.as_ref().and_then(|gateway| gateway.device);
            let targets = device.into_iter().map(Target::Device).collect();
            let told = || {
                let offer = self.offer_to(self.network.vm_nic(nic)?, from?)?;
                offer.router_to(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED))
            };
            let ip = gateway.map(|gateway| gateway.ip).or_else(told);
            let nobody = IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
            goal = Some(Goal::Address { ip: ip.unwrap_or(nobody), targets, near: true });
            packet.set_destination(ip);
        }
        if question.packet.is_none() {
            if packet.source().is_none() && goal != Some(Goal::Dhcp) {
                packet.set_source(from);
            }
            if goal == Some(Goal::Broadcast) && packet.destination().is_none() {
                packet.set_destination(Some(IpAddr::from([0, 0, 0, 0])));
            }
            let is_known = !matches!(goal, Some(Goal::Address { ip, .. }) if ip.is_unspecified());
            if packet.destination().is_none() && is_known {
                let outside = matches!(start, Start::Outside(_));
                packet.set_destination(self.destination(goal.as_ref(), outside));
            }
        }
        if let Some(size) = question.size {
            packet.size = Some(size);
            packet.frame.size = Some(size + 14);
        }
        let mut query = Query {
            stop_at_ovs: question.stop_at.as_deref() == Some("ovs"),
            oif: question.oif.as_deref().map(Name::from),
            explain: question.verbose,
            ..Query::new(start, goal, packet)
        };
        self.is_bound(&query)?;
        self.put_in(&mut query)?;
        Ok(query)
    }

    /// Only a sender in a captured namespace is bound to a device, and to one of its own.
    fn is_bound(&self, query: &Query) -> Result<(), EndError> {
        let Some(oif) = &query.oif else { return Ok(()) };
        let Start::Netns(host, netns) = &query.from else {
            let text = "a device is chosen by what a namespace sends: ask from ns:[HOST/]NAME";
            return Err(EndError::Wrong(text.to_owned()));
        };
        match self.network.netdev_called(*host, netns, oif) {
            Some(_) => Ok(()),
            None => {
                let host = self.network.host_name(*host);
                Err(EndError::Wrong(format!("{netns} on {host} has no device {oif}")))
            }
        }
    }

    /// The packet that a question means, without its ends.
    fn packet(question: &Question, goal: Option<&Goal>) -> Result<Packet, EndError> {
        if let Some(flow) = &question.packet {
            return super::flow_text::packet(flow);
        }
        let six = match goal {
            Some(Goal::Address { ip, .. }) => ip.is_ipv6(),
            _ => question.src.is_some_and(|ip| ip.is_ipv6()),
        };
        let proto = match (&question.proto, goal) {
            (Some(proto), _) => proto.to_ascii_lowercase(),
            (None, Some(Goal::Dhcp)) => "udp".to_owned(),
            (None, Some(Goal::Metadata)) => "tcp".to_owned(),
            (None, Some(Goal::Broadcast)) => "arp".to_owned(),
            (None, _) if question.dport.is_some() => "tcp".to_owned(),
            (None, _) if six => "icmp6".to_owned(),
            (None, _) => "icmp".to_owned(),
        };
        let eth_type = match proto.as_str() {
            "arp" => ARP,
            "icmp6" => IPV6,
            _ if six => IPV6,
            _ => IPV4,
        };
        let mut packet = Packet::new(eth_type);
        let (sport, dport) = match goal {
            Some(Goal::Dhcp) => (Some(68), Some(67)),
            Some(Goal::Metadata) => (Some(40000), Some(80)),
            _ => (Some(40000), None),
        };
        let ports = (question.sport.or(sport), question.dport.or(dport));
        match proto.as_str() {
            "tcp" => {
                packet.set_protocol(6);
                packet.set_ports(ports.0, ports.1);
                packet.frame.set(OfField::TcpFlags, Value::of(2));
            }
            "udp" => {
                packet.set_protocol(17);
                packet.set_ports(ports.0, ports.1);
            }
            "icmp" => {
                packet.set_protocol(1);
                packet.set_icmp(8, 0);
            }
            "icmp6" => {
                packet.set_protocol(58);
                packet.set_icmp(128, 0);
            }
            "arp" => packet.frame.set(OfField::ArpOp, Value::of(1)),
            other => {
                let number = other.parse::<u8>();
                let number = number.map_err(|_| {
                    EndError::Wrong(format!(
                        "{other} is no protocol: tcp, udp, icmp, icmp6, arp or a number"
                    ))
                })?;
                packet.set_protocol(number);
            }
        }
        if let Some(source) = question.src {
            packet.set_source(Some(source));
        }
        for (text, field) in [(&question.mark, OfField::PktMark), (&question.tos, OfField::IpTos)] {
            if let Some(text) = text {
                let number = c_number(text)
                    .ok_or_else(|| EndError::Wrong(format!("{text} is no number")))?;
                packet.frame.set(field, Value::of(u128::from(number)));
            }
        }
        if goal == Some(&Goal::Dhcp) {
            packet.set_source(Some(IpAddr::from([0, 0, 0, 0])));
            packet.set_destination(Some(IpAddr::from([255, 255, 255, 255])));
        }
        Ok(packet)
    }

    /// The address that a packet comes from where the question names none.
    pub(super) fn sender(&self, start: &Start, question: &Question) -> Option<IpAddr> {
        if question.src.is_some() {
            return question.src;
        }
        match start {
            Start::Guest(nic) => {
                let nic = self.network.vm_nic(*nic)?;
                self.addresses_of_nic(nic).first().map(|(ip, _)| *ip)
            }
            Start::Outside(ip) => Some(*ip),
            _ => None,
        }
    }

    /// The address that a packet goes to.
    pub(super) fn destination(&self, goal: Option<&Goal>, outside: bool) -> Option<IpAddr> {
        match goal? {
            Goal::Address { ip, .. } => Some(*ip),
            Goal::Outside => Some(IpAddr::from([8, 8, 8, 8])),
            Goal::Metadata => Some(IpAddr::from([169, 254, 169, 254])),
            Goal::Things(targets) => match targets.first()? {
                Target::Guest(nic) => {
                    let nic = self.network.vm_nic(*nic)?;
                    let (ip, _) = self.addresses_of_nic(nic).into_iter().next()?;
                    let floating =
                        self.network.filters().destinations().find(|(_, _, _, to, _)| *to == ip);
                    Some(floating.filter(|_| outside).map_or(ip, |(_, _, from, ..)| from))
                }
                Target::Device(device) => self.address_of(*device),
                Target::Netns(host, netns) => {
                    let netns = self.network.topology.find_netns(*host, netns)?;
                    let devices = self.network.devices_in(netns);
                    devices.iter().find_map(|device| {
                        self.address_of(device.id).filter(|ip| !ip.is_loopback())
                    })
                }
            },
            Goal::Anywhere | Goal::Broadcast | Goal::Dhcp => None,
        }
    }

    fn address_of(&self, device: NodeId) -> Option<IpAddr> {
        let all = self.network.addresses_of(device);
        let four = all.iter().find(|address| address.ip.is_ipv4());
        four.or_else(|| all.first()).map(|address| address.ip)
    }

    /// What the answer to a packet must come from: the address and the port that it was sent to.
    /// Servers of DHCP and whoever hears a broadcast answer by their own.
    fn asked(query: &Query) -> Option<(IpAddr, Option<u16>)> {
        let packet = &query.packet;
        let to = packet.destination()?;
        let is_one = packet.is_multicast() != Some(true)
            && !to.is_multicast()
            && !to.is_unspecified()
            && packet.protocol().is_some();
        (is_one && query.to != Some(Goal::Dhcp)).then(|| (to, packet.destination_port()))
    }

    /// Follows the answer to a packet that arrived.
    pub(super) fn answer(&self, query: &Query, trace: &Trace) -> Option<Trace> {
        // What did not arrive is not answered, and what a tunnel took away not here.
        let end = trace.end.as_ref()?;
        let arrived = end.reached == crate::truth::Truth::Yes;
        let mut packet = end.packet.answer();
        packet.size = None;
        if !arrived || trace.verdict.reached == Some(false) {
            return None;
        }
        // The answer has arrived already where flows made it.
        let is_made =
            end.place.controller || end.packet.is_echo_reply() && !query.packet.is_echo_reply();
        if is_made {
            return None;
        }
        let tags = end.packet.vlans().unwrap_or_default();
        let place = &end.place;
        let from = match trace.hops.last()?.kind {
            super::Kind::Guest => {
                let nic = self.network.vm_nics().find(|nic| {
                    nic.data.mac.as_ref().map(|mac| mac.value) == packet.mac_source()
                })?;
                Start::Guest(nic.id)
            }
            super::Kind::Local => Start::Netns(place.host?, place.netns.clone()?),
            _ => {
                let (host, netns) = (place.host?, place.netns.clone()?);
                let device =
                    self.network.topology.find_netdev(host, &netns, place.device.as_ref()?)?;
                for vid in tags.iter().rev() {
                    packet.frame.push_tag();
                    packet.frame.set_vlan(*vid);
                }
                if end.packet.unresolved.is_some() {
                    let to = packet.mac_destination();
                    packet.set_macs(Some(SOMEBODY), to);
                }
                Start::Device(device)
            }
        };
        let unbound = match &from {
            Start::Netns(host, netns) if query.to != Some(Goal::Dhcp) => {
                self.is_unbound(*host, netns, &end.packet)
            }
            _ => false,
        };
        if matches!(from, Start::Guest(_)) {
            let own = packet.mac_source();
            packet.set_macs(own, None);
        }
        if matches!(from, Start::Netns(..)) {
            packet.set_macs(None, None);
            if query.to == Some(Goal::Dhcp) {
                // The server answers from its address to the one that it offers.
                let netns = self.network.topology.find_netns(place.host?, place.netns.as_ref()?)?;
                let devices = self.network.devices_in(netns);
                let device =
                    devices.iter().find(|device| Some(device.name()) == place.device.as_deref())?;
                packet.set_source(self.address_of(device.id));
                let Start::Guest(nic) = query.from else { return None };
                let offered = self.addresses_of_nic(self.network.vm_nic(nic)?);
                let (ip, _) = offered.into_iter().find(|(ip, _)| ip.is_ipv4())?;
                packet.set_destination(Some(ip));
            }
        }
        let goal = match &query.from {
            Start::Guest(nic) => Goal::Things(vec![Target::Guest(*nic)]),
            Start::Netns(host, netns) => Goal::Things(vec![Target::Netns(*host, netns.clone())]),
            Start::Device(_) | Start::Port(_) | Start::Outside(_) => Goal::Outside,
        };
        let came_out = matches!(from, Start::Device(_)) && end.reached == crate::truth::Truth::Yes;
        let entry = packet.destination().filter(|_| came_out);
        let entry = entry.and_then(|to| self.doorstep(trace, to, Vec::new()));
        Some(self.trace(&Query {
            connections: trace.connections.clone(),
            committed: trace.committed.clone(),
            without: query.without.clone(),
            asked: Self::asked(query),
            unbound,
            heard: trace.heard.clone(),
            entry,
            explain: query.explain,
            ..Query::new(from, Some(goal), packet)
        }))
    }

    /// Whether a server may leave it to the kernel from which address it answers: one of UDP whose
    /// socket is bound to none. Many name it all the same (`IP_PKTINFO`, ip(7)).
    fn is_unbound(&self, host: HostId, netns: &Netns, packet: &Packet) -> bool {
        let Some((ip, port)) = packet.destination().zip(packet.destination_port()) else {
            return false;
        };
        let mut sockets = self
            .network
            .socket_texts()
            .filter(|(source, _)| source.host == host && source.netns == *netns)
            .flat_map(|(_, sockets)| sockets);
        let of_address = sockets.any(|socket| {
            let udp = socket.protocol.as_ref().is_some_and(|of| of.value.starts_with("udp"));
            udp && socket.port.value.parse() == Ok(port)
                && socket.address.value.trim_matches(['[', ']']).parse() == Ok(ip)
        });
        packet.protocol() == Some(17) && !of_address
    }
}

/// An address of loopback is the sender's own: every namespace has it.
fn own_loopback(goal: Goal, start: &Start) -> Goal {
    match (goal, start) {
        (Goal::Address { ip, .. }, Start::Netns(host, netns)) if ip.is_loopback() => {
            let targets = vec![Target::Netns(*host, netns.clone())];
            Goal::Address { ip, targets, near: true }
        }
        (goal, _) => goal,
    }
}

/// A number as C writes it: `16`, `0x10`, `020`.
fn c_number(text: &str) -> Option<u32> {
    let lower = text.to_ascii_lowercase();
    match (lower.strip_prefix("0x"), lower.strip_prefix('0')) {
        (Some(hex), _) => u32::from_str_radix(hex, 16).ok(),
        (None, Some(octal)) if !octal.is_empty() => u32::from_str_radix(octal, 8).ok(),
        _ => lower.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::c_number;

    #[test]
    fn numbers_are_those_of_c() {
        for (text, number) in [
            ("0", Some(0)),
            ("16", Some(16)),
            ("0x10", Some(16)),
            ("0X1f", Some(31)),
            ("021", Some(17)),
            ("08", None),
            ("0x", None),
            ("", None),
            ("-1", None),
            ("4294967296", None),
        ] {
            assert_eq!(c_number(text), number, "{text}");
        }
    }
}
