//! A packet for the namespace itself: whether anybody listens.
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::socket::Socket;
use tapline_core::span::Evidence;
use tapline_topology::NodeId;

use super::netfilter::Pass;
use super::{Certainty, Hop, Kind, Next, Outcome, Packet, Reason, Walk, Way, ends};

/// What is known of a listener.
enum Listener {
    Here(Evidence),
    Nobody(Evidence),
    Unknown,
}

impl Walk<'_, '_, '_> {
    /// The stack takes a packet.
    pub(super) fn local(&mut self, mut way: Way, pass: Pass) {
        let place = self.place_of(&pass);
        let Some(input) = pass.input else { return };
        let before = way.packet.clone();
        let listener = self.listener(&pass, &way.packet);
        let shown = match &pass.netns {
            Netns::Root => "the host".to_owned(),
            netns => netns.to_string(),
        };
        let mut hop = Hop::new(Kind::Local, place.clone(), format!("received by {shown}"));
        hop.input = Some(self.name(input));
        let own = way.packet.destination().and_then(|to| self.owns(pass.host, &pass.netns, to));
        hop.cite(own.map(|own| own.1));
        let device: NodeId = own.map_or(input, |own| own.0);
        let certainty = match &listener {
            Listener::Here(evidence) => {
                hop.cite(Some(*evidence));
                Certainty::Proven
            }
            Listener::Nobody(_) => Certainty::Proven,
            Listener::Unknown => Certainty::Inferred,
        };
        hop.certainty = certainty;
        let dhcp = way.packet.protocol() == Some(17) && way.packet.destination_port() == Some(67);
        if way.packet.is_multicast() == Some(true) && !dhcp {
            hop.action = format!("received by {shown}, as by all on the segment");
        }
        self.hop(&mut way, &before, hop);
        if let Listener::Nobody(evidence) = listener {
            if way.packet.is_multicast() == Some(true) {
                self.aside(&mut way, Reason::NoListener, place);
                return;
            }
            let (outcome, reason) = (Outcome::Rejected, Reason::NoListener);
            self.lost(&mut way, outcome, reason, place, Some(evidence));
            return;
        }
        let listens = match listener {
            Listener::Here(_) => Some(true),
            _ => None,
        };
        let target = ends::Reached::Stack { host: pass.host, netns: &pass.netns, device, listens };
        let unknown = listens.is_none();
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
        let mut searched = None;
        for (source, sockets) in self.network.socket_texts() {
            if source.host != pass.host || source.netns != pass.netns {
                continue;
            }
            let whole = self.network.topology.snapshot.completeness(source.id).is_complete();
            for socket in sockets {
                if takes(socket, protocol, port, packet) {
                    return Listener::Here(Evidence { source: source.id, span: socket.at });
                }
            }
            let args = source.command.args().join(" ");
            // A listing of all sockets, or of those that listen, of both protocols.
            let all = source.command.program() == "ss" && args.contains('a')
                || args.contains('l') && args.contains('t') && args.contains('u');
            if whole && all {
                searched = Some(crate::flows::first_line(self.network, source.id));
            }
        }
        searched.map_or(Listener::Unknown, Listener::Nobody)
    }

    fn answers_itself(&self, pass: &Pass, packet: &Packet) -> Listener {
        let own = packet.destination().and_then(|to| self.owns(pass.host, &pass.netns, to));
        own.map_or(Listener::Unknown, |own| Listener::Here(own.1))
    }
}

/// Whether a socket takes packets for a port.
fn takes(socket: &Socket, protocol: &str, port: u16, packet: &Packet) -> bool {
    let of = socket.protocol.as_ref().map_or("", |of| of.value.as_str());
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
    let any = matches!(address, "*" | "0.0.0.0" | "::" | "");
    let named = address.parse().ok() == packet.destination();
    let broadcast = packet.is_multicast() == Some(true);
    on_port && (any || named || broadcast)
}
