//! A question as people and programs write it, and its answer.
use std::net::IpAddr;

use serde::Deserialize;
use tapline_core::ids::Mac;
use tapline_core::records::openflow::OfField;
use tapline_topology::NodeId;

use crate::flow::Value;

use super::ends::{EndError, Goal, Start, Target};
use super::packet::{ARP, IPV4, IPV6, SOMEBODY};
use super::{Packet, Query, Trace, Tracer};

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
    /// Its mark, as C writes numbers.
    pub mark: Option<String>,
    /// Its type of service, as C writes numbers.
    pub tos: Option<String>,
    /// The packet as a flow.
    pub packet: Option<String>,
    /// Its state at each pass through the connection tracker.
    pub ct: Option<String>,
    /// Follow the answer too.
    pub reverse: bool,
    /// `ovs`: end where the packet leaves the bridges of OVS.
    pub stop_at: Option<String>,
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
}

impl Tracer<'_, '_> {
    /// Answers a question.
    pub fn ask(&self, question: &Question) -> Result<Answered, EndError> {
        let start = self.start(&question.from)?;
        let query = self.query(question, start)?;
        let trace = self.trace(&query);
        let reverse = question.reverse.then(|| self.answer(&query, &trace)).flatten();
        Ok(Answered { packet: query.packet.clone(), trace, reverse })
    }

    pub(super) fn query(&self, question: &Question, start: Start) -> Result<Query, EndError> {
        let to = question.to.as_deref();
        if to.is_none() && question.packet.is_none() {
            return Err(EndError::Wrong("say where to: TO, or a packet".to_owned()));
        }
        let mut goal = match to {
            Some("gateway") => None,
            Some(text) => Some(self.goal(text)?),
            None => None,
        };
        let mut packet = Self::packet(question, goal.as_ref())?;
        if let Some(states) = &question.ct {
            let first = states.split(',').next().unwrap_or_default();
            let bits = super::flow_text::ct_states(first)?;
            packet.frame.next_state = Some(bits);
            packet.frame.next_mark = Some(0);
            packet.established = bits & 2 != 0;
            packet.reply = bits & 8 != 0;
            packet.enter_stack();
        }
        let from = self.sender(&start, question);
        if to == Some("gateway") {
            let Start::Guest(nic) = start else {
                return Err(EndError::Wrong("only a guest has a gateway here".to_owned()));
            };
            let gateway = match from {
                Some(ip) => self.gateway_of(nic, ip),
                None => self.router_near(nic),
            };
            let Some((ip, device, _)) = gateway else {
                return Err(EndError::Nothing("the guest's gateway".to_owned()));
            };
            goal = Some(Goal::Address { ip, targets: vec![Target::Device(device)], near: true });
            packet.set_destination(Some(ip));
        }
        if question.packet.is_none() {
            if packet.source().is_none() && goal != Some(Goal::Dhcp) {
                packet.set_source(from);
            }
            if goal == Some(Goal::Broadcast) && packet.destination().is_none() {
                packet.set_destination(Some(IpAddr::from([0, 0, 0, 0])));
            }
            if packet.destination().is_none() {
                let outside = matches!(start, Start::Outside(_));
                packet.set_destination(self.destination(goal.as_ref(), outside));
            }
        }
        if let Some(size) = question.size {
            packet.size = Some(size);
            packet.frame.size = Some(size + 14);
        }
        let mut query = Query {
            from: start,
            to: goal,
            packet,
            connections: Vec::new(),
            stop_at_ovs: question.stop_at.as_deref() == Some("ovs"),
        };
        self.put_in(&mut query)?;
        Ok(query)
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
    fn sender(&self, start: &Start, question: &Question) -> Option<IpAddr> {
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
    fn destination(&self, goal: Option<&Goal>, outside: bool) -> Option<IpAddr> {
        match goal? {
            Goal::Address { ip, .. } => Some(*ip),
            Goal::Outside => Some(IpAddr::from([8, 8, 8, 8])),
            Goal::Metadata => Some(IpAddr::from([169, 254, 169, 254])),
            Goal::Things(targets) => match targets.first()? {
                Target::Guest(nic) => {
                    let nic = self.network.vm_nic(*nic)?;
                    let (ip, _) = self.addresses_of_nic(nic).into_iter().next()?;
                    let floating = self.tables().destinations().find(|(_, _, _, to, _)| *to == ip);
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

    /// MACs where the packet is put in, and the device where it comes from outside.
    fn put_in(&self, query: &mut Query) -> Result<(), EndError> {
        match query.from.clone() {
            Start::Guest(nic) => {
                let own =
                    self.network.vm_nic(nic).and_then(|nic| Some(nic.data.mac.as_ref()?.value));
                if query.packet.mac_source().is_none() {
                    let to = query.packet.mac_destination();
                    query.packet.set_macs(own, to);
                }
            }
            Start::Device(device) => {
                let own = self.network.netdev(device).and_then(super::device::mac_of);
                let multicast = query.packet.destination().is_some_and(|ip| match ip {
                    IpAddr::V4(four) => four.is_broadcast(),
                    IpAddr::V6(_) => false,
                }) || query.packet.eth_type() == Some(ARP);
                let to = if multicast { Some(Mac([0xff; 6])) } else { own };
                let from = query.packet.mac_source().or(Some(SOMEBODY));
                let to = query.packet.mac_destination().or(to);
                query.packet.set_macs(from, to);
            }
            Start::Outside(ip) => self.enter_from_outside(query, ip)?,
            Start::Netns(..) | Start::Port(_) => {}
        }
        Ok(())
    }

    /// A packet from outside enters where the way back to its sender leaves.
    fn enter_from_outside(&self, query: &mut Query, ip: IpAddr) -> Result<(), EndError> {
        let target = match &query.to {
            Some(Goal::Address { targets, .. } | Goal::Things(targets)) => targets.first().cloned(),
            _ => None,
        };
        let start = match target {
            Some(Target::Guest(nic)) => Start::Guest(nic),
            Some(Target::Netns(host, netns)) => Start::Netns(host, netns),
            Some(Target::Device(device)) => {
                let Some(device) = self.network.netdev(device) else {
                    return Err(EndError::Nothing("the target".to_owned()));
                };
                Start::Netns(device.host, device.netns().clone())
            }
            None => {
                return Err(EndError::Wrong(
                    "from outside to what was not captured: nothing to follow".to_owned(),
                ));
            }
        };
        let mut probe = Packet::new(query.packet.eth_type().unwrap_or(IPV4));
        probe.set_protocol(1);
        probe.set_icmp(8, 0);
        probe.set_destination(Some(ip));
        if let Start::Guest(nic) = start {
            let nic_item = self.network.vm_nic(nic);
            let own = nic_item.and_then(|nic| Some(nic.data.mac.as_ref()?.value));
            probe.set_macs(own, None);
            let source =
                nic_item.and_then(|nic| self.addresses_of_nic(nic).first().map(|(ip, _)| *ip));
            probe.set_source(source);
        } else {
            // The address that is asked for, if it is the namespace's own.
            probe.set_source(query.packet.destination());
        }
        // What the probe would be answered by does not matter: an answer is let out where questions
        // may not be.
        (probe.reply, probe.established) = (false, false);
        let out = self.trace(&Query {
            from: start,
            to: Some(Goal::Outside),
            packet: probe,
            connections: Vec::new(),
            stop_at_ovs: false,
        });
        let end = out.end.filter(|end| end.reached == crate::truth::Truth::Yes);
        let device = end.as_ref().and_then(|end| {
            let (host, netns) = (end.place.host?, end.place.netns.clone()?);
            self.network.topology.find_netdev(host, &netns, end.place.device.as_ref()?)
        });
        let (Some(end), Some(device)) = (end, device) else {
            return Err(EndError::Wrong(format!(
                "where packets from {ip} come in is not known: the way to it does not leave what was captured"
            )));
        };
        let tags = end.packet.vlans().unwrap_or_default();
        let back = end.packet.answer();
        let from = if end.packet.unresolved.is_some() { Some(SOMEBODY) } else { back.mac_source() };
        query.packet.set_macs(from, back.mac_destination());
        if matches!(query.to, Some(Goal::Things(_))) {
            query.packet.set_destination(back.destination());
        }
        for vid in tags.iter().rev() {
            query.packet.frame.push_tag();
            query.packet.frame.set_vlan(*vid);
        }
        query.from = Start::Device(device);
        Ok(())
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
        Some(self.trace(&Query {
            from,
            to: Some(goal),
            packet,
            connections: trace.connections.clone(),
            stop_at_ovs: false,
        }))
    }
}

/// A number as C writes it: `16`, `0x10`.
fn c_number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
