//! The one packet of a trace. OpenFlow tables look at it as it is; packet filters and routing get
//! views of it.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tapline_core::ids::Mac;
use tapline_core::records::filter::ConnStates;
use tapline_core::records::openflow::{OfField, VLAN_PRESENT};
use tapline_core::records::route::Family;
use tapline_topology::NodeId;

use crate::filter::{self, Mark};
use crate::flow::{FlowPacket, Value};

/// Ethertypes.
pub(super) const IPV4: u16 = 0x0800;
/// ARP.
pub(super) const ARP: u16 = 0x0806;
/// IPv6.
pub(super) const IPV6: u16 = 0x86dd;

/// Stands for the MAC of a next hop that no captured device has.
pub const NOBODY: Mac = Mac([0x02, 0, 0, 0, 0, 0xfe]);
/// Stands for the MAC of somebody outside.
pub(super) const SOMEBODY: Mac = Mac([0x02, 0, 0, 0, 0, 0x01]);

/// A packet on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// Its headers, its mark, and the tunnel that it came by.
    pub frame: FlowPacket,
    /// It is an answer.
    pub reply: bool,
    /// Packets of its connection went both ways before it.
    pub established: bool,
    /// The question tells its state at each pass through a connection tracker.
    pub told: bool,
    /// The state of its connection in the namespace that it is in.
    pub state: ConnStates,
    /// The mark of its connection in the namespace that it is in.
    pub conn_mark: Mark,
    /// How this namespace has translated it.
    pub translated: ConnStates,
    /// The next hop that it was sent to.
    pub next_hop: Option<IpAddr>,
    /// The same, where the MAC of that is not known: no captured device has it.
    pub unresolved: Option<IpAddr>,
    /// Bytes of the IP packet.
    pub size: Option<u32>,
    /// What it carries, where it is the packet of a tunnel.
    pub inner: Option<Box<Inner>>,
}

/// What the packet of a tunnel carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Inner {
    /// The packet within.
    pub packet: Packet,
    /// The end of the tunnel that sent it.
    pub endpoint: NodeId,
    /// The key of the tunnel.
    pub key: Option<u64>,
}

/// Bits of `ct_state`.
const EST: u128 = 2;
const REL: u128 = 4;
const RPL: u128 = 8;
const INV: u128 = 16;

impl Packet {
    /// The lifetime that Linux gives what it sends, unless it is told otherwise.
    pub const DEFAULT_TTL: u8 = 64;

    /// A packet of a protocol, of which nothing else is known.
    pub fn new(eth_type: u16) -> Self {
        let mut frame = FlowPacket::default();
        frame.set(OfField::EthType, Value::of(u128::from(eth_type)));
        frame.set(OfField::VlanTci, Value::of(0));
        for field in [
            OfField::PktMark,
            OfField::Mpls,
            OfField::SkbPriority,
            OfField::PacketType,
            OfField::DpHash,
        ] {
            frame.set(field, Value::of(0));
        }
        if eth_type != ARP {
            frame.set(OfField::IpFrag, Value::of(0));
            frame.set(OfField::IpTos, Value::of(0));
            frame.set(OfField::IpTtl, Value::of(u128::from(Self::DEFAULT_TTL)));
        }
        frame.next_state = Some(1);
        let mut packet = Self {
            frame,
            reply: false,
            established: false,
            told: false,
            state: ConnStates::NEW,
            conn_mark: Mark::NONE,
            translated: ConnStates::default(),
            next_hop: None,
            unresolved: None,
            size: None,
            inner: None,
        };
        packet.leave_tunnel();
        packet
    }

    /// As if it came by no tunnel.
    pub fn leave_tunnel(&mut self) {
        use OfField as F;
        for field in [F::TunId, F::TunSrc, F::TunDst, F::TunIpv6Src, F::TunIpv6Dst, F::TunFlags] {
            self.frame.set(field, Value::of(0));
        }
    }

    fn number(&self, field: OfField) -> Option<u128> {
        self.frame.known(field.whole())
    }

    /// Its Ethertype, below all tags.
    pub fn eth_type(&self) -> Option<u16> {
        u16::try_from(self.number(OfField::EthType)?).ok()
    }

    /// IPv4 or IPv6; ARP counts as IPv4.
    pub fn family(&self) -> Family {
        if self.eth_type() == Some(IPV6) { Family::Inet6 } else { Family::Inet }
    }

    fn mac(&self, field: OfField) -> Option<Mac> {
        let bytes = self.number(field)?.to_be_bytes();
        let tail: [u8; 6] = bytes.last_chunk::<6>().copied()?;
        Some(Mac(tail))
    }

    /// The MAC that it comes from.
    pub fn mac_source(&self) -> Option<Mac> {
        self.mac(OfField::EthSrc)
    }

    /// The MAC that it goes to.
    pub fn mac_destination(&self) -> Option<Mac> {
        self.mac(OfField::EthDst)
    }

    /// Sets both MACs; what is `None` is not known.
    pub fn set_macs(&mut self, source: Option<Mac>, destination: Option<Mac>) {
        for (field, mac) in [(OfField::EthSrc, source), (OfField::EthDst, destination)] {
            self.frame.put_part(field.whole(), mac.map(mac_number));
        }
    }

    fn addresses(&self) -> (OfField, OfField) {
        match self.eth_type() {
            Some(IPV6) => (OfField::Ipv6Src, OfField::Ipv6Dst),
            Some(ARP) => (OfField::ArpSpa, OfField::ArpTpa),
            _ => (OfField::IpSrc, OfField::IpDst),
        }
    }

    fn address(&self, field: OfField) -> Option<IpAddr> {
        let number = self.number(field)?;
        Some(if self.eth_type() == Some(IPV6) {
            IpAddr::V6(Ipv6Addr::from(number))
        } else {
            IpAddr::V4(Ipv4Addr::from(u32::try_from(number).ok()?))
        })
    }

    /// The address that it comes from.
    pub fn source(&self) -> Option<IpAddr> {
        self.address(self.addresses().0)
    }

    /// The address that it goes to.
    pub fn destination(&self) -> Option<IpAddr> {
        self.address(self.addresses().1)
    }

    /// Sets the address that it comes from.
    pub fn set_source(&mut self, ip: Option<IpAddr>) {
        let field = self.addresses().0;
        self.frame.put_part(field.whole(), ip.map(ip_number));
    }

    /// Sets the address that it goes to.
    pub fn set_destination(&mut self, ip: Option<IpAddr>) {
        let field = self.addresses().1;
        self.frame.put_part(field.whole(), ip.map(ip_number));
    }

    /// Its protocol.
    pub fn protocol(&self) -> Option<u8> {
        u8::try_from(self.number(OfField::IpProto)?).ok()
    }

    /// Its type of service.
    pub fn tos(&self) -> Option<u8> {
        u8::try_from(self.number(OfField::IpTos)?).ok()
    }

    /// Sets its protocol.
    pub fn set_protocol(&mut self, protocol: u8) {
        self.frame.set(OfField::IpProto, Value::of(u128::from(protocol)));
    }

    /// Its source port.
    pub fn source_port(&self) -> Option<u16> {
        u16::try_from(self.number(OfField::TpSrc)?).ok()
    }

    /// Its destination port.
    pub fn destination_port(&self) -> Option<u16> {
        u16::try_from(self.number(OfField::TpDst)?).ok()
    }

    /// Sets ports; `None` is not known.
    pub fn set_ports(&mut self, source: Option<u16>, destination: Option<u16>) {
        for (field, port) in [(OfField::TpSrc, source), (OfField::TpDst, destination)] {
            self.frame.put_part(field.whole(), port.map(u128::from));
        }
    }

    /// What rules of routing ask of its transport.
    pub fn transport(&self) -> crate::l3::Transport {
        crate::l3::Transport {
            protocol: self.protocol(),
            sport: self.source_port(),
            dport: self.destination_port(),
        }
    }

    /// Type and code of ICMP.
    pub fn icmp(&self) -> Option<(u8, u8)> {
        let kind = u8::try_from(self.number(OfField::IcmpType)?).ok()?;
        Some((kind, u8::try_from(self.number(OfField::IcmpCode)?).ok()?))
    }

    /// Sets type and code of ICMP.
    pub fn set_icmp(&mut self, kind: u8, code: u8) {
        self.frame.set(OfField::IcmpType, Value::of(u128::from(kind)));
        self.frame.set(OfField::IcmpCode, Value::of(u128::from(code)));
    }

    /// Its time to live.
    pub fn ttl(&self) -> Option<u8> {
        u8::try_from(self.number(OfField::IpTtl)?).ok()
    }

    /// Sets its time to live.
    pub fn set_ttl(&mut self, ttl: u8) {
        self.frame.set(OfField::IpTtl, Value::of(u128::from(ttl)));
    }

    /// Its mark.
    pub fn mark(&self) -> Mark {
        let value = self.frame.get(OfField::PktMark);
        let low = |bits: u128| u32::try_from(bits & u128::from(u32::MAX)).unwrap_or(0);
        Mark { value: low(value.value), known: low(value.known) }
    }

    /// Sets its mark.
    pub fn set_mark(&mut self, mark: Mark) {
        let value = Value { value: u128::from(mark.value), known: u128::from(mark.known) };
        self.frame.set(OfField::PktMark, value);
    }

    /// The VLANs of its tags, the outer one first; `None` where one is not known.
    pub fn vlans(&self) -> Option<Vec<u16>> {
        let tags = self.frame.tags();
        let mut all = Vec::new();
        for tag in tags {
            if tag.known & VLAN_PRESENT == 0 {
                return None;
            }
            if tag.value & VLAN_PRESENT == 0 {
                break;
            }
            let known = tag.known & 0xfff == 0xfff;
            all.push(known.then(|| u16::try_from(tag.value & 0xfff).unwrap_or(0))?);
        }
        Some(all)
    }

    /// Whether it goes to several receivers.
    pub fn is_multicast(&self) -> Option<bool> {
        self.mac_destination().map(Mac::is_multicast)
    }

    /// Whether it goes to all receivers of its segment.
    pub fn is_broadcast(&self) -> bool {
        self.mac_destination() == Some(Mac([0xff; 6]))
    }

    /// Whether it is an answer.
    pub fn is_reply(&self) -> bool {
        self.reply
    }

    /// It answers a request of ARP.
    pub(super) fn is_arp_answer(&self) -> bool {
        self.number(OfField::ArpOp) == Some(2)
    }

    /// It answers a ping.
    pub(super) fn is_echo_reply(&self) -> bool {
        matches!(self.icmp(), Some((0 | 129, _)))
    }

    /// Comes into the stack of a namespace, which knows nothing of what others tracked.
    pub fn enter_stack(&mut self) {
        self.state = self.first_state();
        self.translated = ConnStates::default();
        // A new connection has no mark; what an older one has, only its first packet tells.
        self.conn_mark = if self.established { Mark::UNKNOWN } else { Mark::NONE };
    }

    /// How the connection tracker of a namespace finds it. Segments that begin no connection of TCP
    /// are of none (`tcp_conntracks` and `tcp_valid_flags` of the kernel); an acknowledgement may
    /// belong to one that is older than the tracker.
    fn first_state(&self) -> ConnStates {
        const FIN: u128 = 1;
        const SYN: u128 = 2;
        const RST: u128 = 4;
        const ACK: u128 = 16;
        // Neighbour discovery and membership belong to no connection (`nf_conntrack_icmpv6_error`).
        let kind = self.number(OfField::IcmpType).filter(|_| self.protocol() == Some(58));
        if matches!(kind, Some(130..=137 | 143)) {
            return ConnStates::UNTRACKED;
        }
        if self.established {
            return ConnStates::ESTABLISHED;
        }
        let flags = self.number(OfField::TcpFlags).filter(|_| self.protocol() == Some(6));
        match flags.map(|flags| (flags, flags & (FIN | SYN | RST | ACK))) {
            // No flags at all: the question did not name them.
            None | Some((0, _) | (_, SYN | ACK)) => ConnStates::NEW,
            Some(_) => ConnStates::INVALID,
        }
    }

    /// It answers what its namespace did not track: it is of no connection, or begins one, as any other
    /// packet may (`icmp_new`, `tcp_new` and their kin of the kernel).
    pub(super) fn answer_nothing_known(&mut self) {
        if !self.state.any_of(ConnStates::ESTABLISHED) {
            return;
        }
        let is_syn_ack = self.number(OfField::TcpFlags).is_none_or(|flags| flags & 2 != 0);
        self.state = match self.protocol() {
            Some(1 | 58) => ConnStates::INVALID,
            Some(6) if is_syn_ack => ConnStates::INVALID,
            _ => ConnStates::NEW,
        };
        self.conn_mark = Mark::NONE;
    }

    /// The bits of its state at each pass through a connection tracker, in their order.
    pub fn tell_states(&mut self, states: &[u128]) {
        let Some((first, later)) = states.split_first() else { return };
        self.told = true;
        self.frame.next_state = Some(*first);
        self.frame.next_mark = Some(0);
        self.frame.later_states = later.to_vec();
        self.be_in(*first);
        self.enter_stack();
    }

    /// Passes the connection tracker of a namespace, where the question tells what that says.
    pub fn take_state(&mut self) {
        if !self.told {
            return;
        }
        let Some(bits) = self.frame.take_state() else { return };
        self.be_in(bits);
        self.enter_stack();
        self.state = match bits {
            bits if bits & INV != 0 => ConnStates::INVALID,
            bits if bits & REL != 0 => ConnStates::RELATED,
            bits if bits & EST != 0 => ConnStates::ESTABLISHED,
            _ => ConnStates::NEW,
        };
    }

    /// A packet of an established connection goes either way of it.
    fn be_in(&mut self, bits: u128) {
        self.established = bits & EST != 0;
        self.reply = bits & RPL != 0;
    }

    /// The packet as a packet filter sees it.
    pub fn filtered(&self) -> filter::Packet {
        let mut seen = filter::Packet::unknown(self.family());
        let address =
            |ip: Option<IpAddr>| ip.map_or(filter::Address::Unknown, filter::Address::Known);
        seen.source = address(self.source());
        seen.destination = address(self.destination());
        seen.protocol = self.protocol();
        seen.source_port = self.source_port();
        seen.destination_port = self.destination_port();
        seen.icmp = self.icmp();
        let flags = self.number(OfField::TcpFlags);
        seen.tcp_flags = flags.and_then(|flags| u8::try_from(flags & 0xff).ok());
        seen.fragment = Some(false);
        seen.state = Some(self.state);
        seen.answer = Some(self.reply);
        seen.translated = Some(self.translated);
        seen.mark = self.mark();
        seen.conn_mark = self.conn_mark;
        seen.mac_source = self.mac_source();
        seen.mac_destination = self.mac_destination();
        let byte = |field| self.number(field).and_then(|number| u8::try_from(number).ok());
        seen.lifetime = byte(OfField::IpTtl);
        seen.service = byte(OfField::IpTos);
        seen.alone = true;
        seen
    }

    /// The frame that it is in, as filters of frames see it.
    pub(super) fn framed(&self) -> filter::Frame {
        let mac = |field| {
            let octets = self.number(field)?.to_be_bytes();
            octets.last_chunk().map(|octets| Mac(*octets))
        };
        let arp = filter::Arp {
            operation: self.number(OfField::ArpOp).and_then(|number| u16::try_from(number).ok()),
            sender: self.address(OfField::ArpSpa),
            target: self.address(OfField::ArpTpa),
            sender_mac: mac(OfField::ArpSha),
            target_mac: mac(OfField::ArpTha),
        };
        filter::Frame { tags: self.vlans(), protocol: self.eth_type(), arp }
    }

    /// The answer to it: ends and ports swapped, of a connection that is known.
    #[must_use]
    pub fn answer(&self) -> Self {
        let mut answer = self.clone();
        answer.set_macs(self.mac_destination(), self.mac_source());
        answer.set_source(self.destination());
        answer.set_destination(self.source());
        answer.set_ports(self.destination_port(), self.source_port());
        match self.icmp() {
            Some((8, code)) => answer.set_icmp(0, code),
            Some((128, code)) => answer.set_icmp(129, code),
            _ => {}
        }
        if self.number(OfField::TcpFlags) == Some(2) {
            answer.frame.set(OfField::TcpFlags, Value::of(0x12));
        }
        if self.number(OfField::ArpOp) == Some(1) {
            answer.frame.set(OfField::ArpOp, Value::of(2));
        }
        answer.reply = true;
        answer.established = true;
        answer.told = false;
        answer.frame.later_states.clear();
        answer.enter_stack();
        answer.frame.next_state = Some(2 | 8);
        // Neutron marks connections whose rules have gone; that is taken not to be so.
        answer.frame.next_mark = Some(0);
        answer.unresolved = None;
        answer.next_hop = None;
        answer.frame.set(OfField::PktMark, Value::of(0));
        answer.set_ttl(Self::DEFAULT_TTL);
        while answer.vlans().is_none_or(|vlans| !vlans.is_empty()) {
            answer.frame.pop_tag();
        }
        answer
    }
}

/// A MAC as a number.
pub(super) fn mac_number(mac: Mac) -> u128 {
    mac.0.iter().fold(0, |number, octet| number << 8 | u128::from(*octet))
}

/// An address as a number.
pub(super) fn ip_number(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(four) => u128::from(u32::from(four)),
        IpAddr::V6(six) => u128::from(six),
    }
}

#[cfg(test)]
mod tests;
