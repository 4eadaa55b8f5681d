//! A packet for the namespace itself: whether anybody listens.
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::socket::Socket;
use tapline_core::span::{Evidence, Span};
use tapline_topology::NodeId;

use crate::ipsec::Direction;
use crate::l3;
use crate::truth::Truth;

use super::netfilter::Pass;
use super::{Certainty, Hop, Kind, Next, Outcome, Packet, Reason, Walk, Way, ends};

/// The port of DHCP servers.
const DHCP: u16 = 67;

/// What is known of a listener.
enum Listener {
    Here(Evidence),
    Nobody(Evidence),
    /// The kernel would answer, and is set not to.
    Silent(Evidence),
    /// One that hears what comes in through a VRF only where a setting allows it.
    Open(Need),
    Unknown,
}

impl Walk<'_, '_, '_> {
    /// The stack takes a packet.
    pub(super) fn local(&mut self, mut way: Way, pass: Pass) {
        if !self.pass_ipsec(&mut way, &pass, Direction::In, pass.input) {
            return;
        }
        if let Some((far, sure)) = pass.tunnel {
            self.leave_outer(way, far, sure);
            return;
        }
        if way.packet.inner.is_some() {
            self.take_outer(way, &pass);
            return;
        }
        let place = self.place_of(&pass);
        let Some(input) = pass.input else { return };
        if way.packet.is_multicast() == Some(true) && matches!(way.packet.protocol(), Some(6 | 132))
        {
            // `tcp_v4_rcv`: only what was sent to this host alone.
            let reason = Reason::NotLocalNoForward;
            self.lost(&mut way, Outcome::Dropped, reason, place, None);
            return;
        }
        let before = way.packet.clone();
        let listener = self.listener(&pass, &way.packet);
        let shown = match &pass.netns {
            Netns::Root => "the host".to_owned(),
            netns => netns.to_string(),
        };
        let mut hop = Hop::new(Kind::Local, place.clone(), format!("received by {shown}"));
        hop.input = Some(self.name(input));
        let own = self.own_destination(&pass, &way.packet);
        hop.cite(own.map(|own| own.1));
        let device: NodeId = own.map_or(input, |own| own.0);
        let certainty = match &listener {
            Listener::Here(evidence) => {
                hop.cite(Some(*evidence));
                Certainty::Proven
            }
            Listener::Nobody(_) | Listener::Silent(_) => Certainty::Proven,
            Listener::Open(_) | Listener::Unknown => Certainty::Inferred,
        };
        hop.certainty = certainty;
        let dhcp = way.packet.protocol() == Some(17) && way.packet.destination_port() == Some(67);
        if way.packet.is_multicast() == Some(true) && !dhcp {
            hop.action = format!("received by {shown}, as by all on the segment");
        }
        self.hop(&mut way, &before, hop);
        if let Listener::Nobody(evidence) = listener {
            // Where DHCP is asked for, a server that is not there is what is looked for.
            // A port without an address serves nobody, and a router is not asked.
            let serves = || {
                let addresses = self.network.addresses_of(input);
                addresses.iter().any(|address| address.ip.is_ipv4())
                    && !crate::defs::is_router_netns(&pass.netns)
            };
            let is_asked = dhcp && self.goal == super::Goal::Dhcp && serves();
            if way.packet.is_multicast() == Some(true) && !is_asked {
                self.aside(&mut way, Reason::NoListener, place);
                if let Some(super::Node { part: super::Part::End(end), .. }) =
                    self.tree.nodes.last_mut()
                {
                    end.evidence.push(evidence);
                }
                return;
            }
            let (outcome, reason) = (Outcome::Rejected, Reason::NoListener);
            self.lost(&mut way, outcome, reason, place, Some(evidence));
            return;
        }
        if let Listener::Silent(evidence) = listener {
            let (outcome, reason) = (Outcome::Blackholed, Reason::EchoIgnored);
            self.lost(&mut way, outcome, reason, place, Some(evidence));
            return;
        }
        if let Listener::Open(need) = &listener {
            self.may_stop(&mut way, place.clone(), Reason::NoListener, vec![need.clone()]);
        }
        let listens = match listener {
            Listener::Here(_) => Some(true),
            _ => None,
        };
        let unknown = listens.is_none();
        let opens = !before.established && pass.tracked.is_none();
        let has_port = before.destination_port().is_some();
        let unsure = unknown && opens && has_port && matches!(before.protocol(), Some(6 | 17));
        let (host, netns) = (pass.host, &pass.netns);
        let target = ends::Reached::Stack { host, netns, device, listens, unsure };
        self.arrive(&mut way, Outcome::Delivered, place.clone(), target, certainty, None);
        if unknown
            && let Some(super::Node { part: super::Part::End(end), .. }) =
                self.tree.nodes.last_mut()
            && matches!(before.protocol(), Some(6 | 17))
        {
            end.next = vec![Next {
                text: "tells whether anybody listens".to_owned(),
                host: place.host,
                need: Need::command("ss -lnptu").within(&pass.netns),
            }];
        }
    }

    /// Whether a socket takes the packet.
    fn listener(&self, pass: &Pass, packet: &Packet) -> Listener {
        let protocol = match packet.protocol() {
            Some(6) => "tcp",
            Some(17) => "udp",
            // The kernel answers ICMP itself.
            Some(_) | None => return self.answers_itself(pass, packet),
        };
        let Some(port) = packet.destination_port() else { return Listener::Unknown };
        // Of a connection that stands a listing of listeners tells nothing.
        if packet.established || pass.tracked.is_some() {
            return Listener::Unknown;
        }
        let (mut searched, mut open, mut elsewhere) = (None, false, None);
        for (source, sockets) in self.network.socket_texts() {
            if source.host != pass.host || source.netns != pass.netns {
                continue;
            }
            let whole = self.network.topology.snapshot.completeness(source.id).is_complete();
            for socket in sockets {
                if !takes(socket, protocol, port, packet) {
                    continue;
                }
                match self.is_open_to(socket, pass, protocol) {
                    Truth::Yes => {
                        return Listener::Here(Evidence { source: source.id, span: socket.at });
                    }
                    // It listens, and not for what comes in by this device.
                    Truth::No => elsewhere = Some(Evidence { source: source.id, span: socket.at }),
                    Truth::Maybe => open = true,
                }
            }
            let args = source.command.args().join(" ");
            // A listing of all sockets, or of those that listen, of both protocols. Of `netstat`
            // others are no whole texts.
            let all = source.command.program() == "netstat"
                || source.command.program() == "ss" && args.contains('a')
                || args.contains('l') && args.contains('t') && args.contains('u');
            if whole && all {
                searched = Some(crate::flows::first_line(self.network, source.id));
            }
        }
        match searched {
            Some(_) if open => {
                let key = format!("net.ipv4.{protocol}_l3mdev_accept");
                Listener::Open(Need::command("sysctl").with(&key).within(&pass.netns))
            }
            Some(at) => Listener::Nobody(elsewhere.unwrap_or(at)),
            None if protocol == "udp" && port == DHCP => {
                self.dnsmasq(pass).map_or(Listener::Unknown, Listener::Here)
            }
            None => Listener::Unknown,
        }
    }

    /// The line of `ps` that shows neutron's DHCP server of a namespace: its arguments name the
    /// network by files below `/var/lib/neutron/dhcp` (neutron/agent/linux/dhcp.py).
    fn dnsmasq(&self, pass: &Pass) -> Option<Evidence> {
        let network_id = pass.netns.name()?.strip_prefix("qdhcp-")?;
        let folder = format!("/dhcp/{network_id}/");
        self.network.texts_by("ps").filter(|source| source.host == pass.host).find_map(|source| {
            let mut lines = source.text.lines();
            let line = lines.find(|line| line.contains("dnsmasq") && line.contains(&folder))?;
            Some(Evidence { source: source.id, span: Span::of(&source.text, line) })
        })
    }

    /// The device that has the address that a packet is for.
    fn own_destination(&self, pass: &Pass, packet: &Packet) -> Option<(NodeId, Evidence)> {
        self.owns_for(pass, packet.destination()?).known().flatten()
    }

    /// Whether a socket is open for what comes in by the device of a packet
    /// (`inet_sk_bound_dev_eq`): one that is bound to a device takes only what comes in by it, one
    /// that is not takes what comes in through a VRF only where that is allowed.
    fn is_open_to(&self, socket: &Socket, pass: &Pass, protocol: &str) -> Truth {
        let input = pass.input.map(|input| self.name(input)).unwrap_or_default();
        let vrf = match self.vrf_of(pass) {
            None | Some(l3::Domain::Default) => None,
            Some(l3::Domain::Vrf(vrf)) => Some(vrf),
            Some(l3::Domain::Unknown) => return Truth::Maybe,
        };
        let address = socket.address.value.as_str();
        if let Some((_, bound)) = address.split_once('%') {
            let by = bound == input.as_str() || vrf.is_some_and(|vrf| vrf.name() == bound);
            return Truth::from(by);
        }
        if vrf.is_none() {
            return Truth::Yes;
        }
        let key = format!("net.ipv4.{protocol}_l3mdev_accept");
        match self.setting(pass.host, &pass.netns, &key) {
            Some(setting) => Truth::from(setting.value == 1),
            None => Truth::Maybe,
        }
    }

    fn answers_itself(&self, pass: &Pass, packet: &Packet) -> Listener {
        let key = match packet.protocol() {
            Some(1) => Some("net.ipv4.icmp_echo_ignore_all"),
            Some(58) => Some("net.ipv6.icmp.echo_ignore_all"),
            _ => None,
        };
        let set = key.and_then(|key| self.setting(pass.host, &pass.netns, key));
        if let Some(set) = set.filter(|set| set.value == 1 && !packet.established) {
            return Listener::Silent(set.evidence);
        }
        let own = self.own_destination(pass, packet);
        own.map_or(Listener::Unknown, |own| Listener::Here(own.1))
    }
}

/// Whether a socket takes packets for a port.
fn takes(socket: &Socket, protocol: &str, port: u16, packet: &Packet) -> bool {
    let of = socket.protocol.as_ref().map_or("", |of| of.value.as_str());
    if let Some(peer) = &socket.peer {
        return of.starts_with(protocol) && is_connected(socket, &peer.value, packet);
    }
    let listens = match protocol {
        "tcp" => socket.state.as_ref().is_some_and(|state| state == "LISTEN"),
        _ => socket.state.as_ref().is_none_or(|state| state == "UNCONN"),
    };
    if !of.starts_with(protocol) || !listens {
        return false;
    }
    let on_port = socket.port.value.parse::<u16>().is_ok_and(|number| number == port)
        || matches!(
            (socket.port.value.as_str(), port),
            ("bootps", 67) | ("domain", 53) | ("ssh", 22) | ("http", 80)
        );
    let address = socket.address.value.as_str();
    let address = address.trim_start_matches('[').trim_end_matches(']');
    let address = address.split('%').next().unwrap_or(address);
    let v4 = packet.destination().map(|to| to.is_ipv4());
    let any = match address {
        "0.0.0.0" => v4 != Some(false),
        // `ss` prints `*` for a socket of both families, `[::]` for one of IPv6 alone; `netstat`
        // prints `::` for either.
        "::" => v4 != Some(true) || !socket.address.value.starts_with('['),
        "*" | "" => true,
        _ => false,
    };
    let named = address.parse().ok() == packet.destination();
    let broadcast = packet.is_multicast() == Some(true);
    on_port && (any || named || broadcast)
}

/// Whether a socket is connected with the sender of a packet.
fn is_connected(socket: &Socket, peer: &str, packet: &Packet) -> bool {
    let end = |address: &str, port: &str| {
        let address = address.trim_start_matches('[').trim_end_matches(']');
        let address = address.split('%').next().unwrap_or(address);
        let ip = address.parse::<std::net::IpAddr>().ok()?;
        // `::ffff:192.0.2.1`: a socket of IPv6 that serves IPv4.
        Some((ip.to_canonical(), port.parse::<u16>().ok()?))
    };
    let here = end(&socket.address.value, &socket.port.value);
    let there = peer.rsplit_once(':').and_then(|(address, port)| end(address, port));
    let to = packet.destination().zip(packet.destination_port());
    let from = packet.source().zip(packet.source_port());
    here.is_some() && here == to && there.is_some() && there == from
}

#[cfg(test)]
mod tests {
    use tapline_core::capture::{Command, FormatId};
    use tapline_core::records::Batch;
    use tapline_formats::registry::by_id;

    use super::*;

    /// Whether a socket that `ss` lists so takes a packet that is written as a flow.
    fn does(line: &str, protocol: &str, port: u16, packet: &str) -> bool {
        let text = format!(
            "Netid State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n{line}\n"
        );
        let read = by_id(FormatId("ss")).unwrap().read;
        let Batch::Sockets(sockets) = read(&text, &Command::new("ss -anptu")).records else {
            panic!("{text}")
        };
        let packet = super::super::flow_text::packet(packet).unwrap_or_else(|_| panic!("{packet}"));
        sockets.iter().any(|socket| takes(socket, protocol, port, &packet))
    }

    #[test]
    fn sockets_take_what_is_for_them() {
        const FOUR: &str = "tcp,nw_src=192.0.2.9,nw_dst=192.0.2.1,tp_src=5000,tp_dst=80";
        const SIX: &str = "tcp6,ipv6_src=2001:db8::9,ipv6_dst=2001:db8::1,tp_src=5000,tp_dst=80";
        let listens = |address: &str| format!("tcp   LISTEN 0      128    {address}  0.0.0.0:*");
        for (address, packet, told) in [
            ("0.0.0.0:80", FOUR, true),
            ("0.0.0.0:80", SIX, false),
            ("0.0.0.0:81", FOUR, false),
            ("0.0.0.0:http", FOUR, true),
            ("0.0.0.0:ssh", FOUR, false),
            ("192.0.2.1:80", FOUR, true),
            ("192.0.2.2:80", FOUR, false),
            ("127.0.0.53%lo:80", FOUR, false),
            ("[::]:80", FOUR, false),
            ("[::]:80", SIX, true),
            ("*:80", FOUR, true),
            ("*:80", SIX, true),
            ("[2001:db8::1]:80", SIX, true),
            ("[2001:db8::2]:80", SIX, false),
        ] {
            assert_eq!(does(&listens(address), "tcp", 80, packet), told, "{address} {packet}");
            assert!(!does(&listens(address), "udp", 80, packet), "{address} {packet}");
        }
        let udp = "udp   UNCONN 0      0      0.0.0.0:53  0.0.0.0:*";
        let asks = "udp,nw_src=192.0.2.9,nw_dst=192.0.2.1,tp_src=5000,tp_dst=53";
        assert!(does(udp, "udp", 53, asks) && !does(udp, "tcp", 53, asks));
        // A connection takes what comes from its other end alone.
        let stands = "tcp   ESTAB  0      0      192.0.2.1:80  192.0.2.9:5000";
        for (from, told) in [
            ("nw_src=192.0.2.9,tp_src=5000", true),
            ("nw_src=192.0.2.9,tp_src=5001", false),
            ("nw_src=192.0.2.8,tp_src=5000", false),
        ] {
            let packet = format!("tcp,{from},nw_dst=192.0.2.1,tp_dst=80");
            assert_eq!(does(stands, "tcp", 80, &packet), told, "{from}");
            let elsewhere = format!("tcp,{from},nw_dst=192.0.2.1,tp_dst=81");
            assert!(!does(stands, "tcp", 81, &elsewhere), "{from}");
        }
    }
}
