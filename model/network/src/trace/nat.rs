//! Translations of addresses and ports, and what they leave behind for the answer.
use std::net::IpAddr;

use tapline_core::records::filter::{ConnStates, Target, Translation};
use tapline_core::records::route::Family;
use tapline_topology::NodeId;

use super::netfilter::{Pass, Stage};
use super::packet::ip_number;
use super::{Certainty, Connection, Considered, Packet, Tuple, Walk, Way};

impl Walk<'_, '_, '_> {
    /// Whether rules of the table `nat` are asked; undoes for answers what was done for questions.
    pub(super) fn translates(&mut self, way: &mut Way, pass: &Pass) -> bool {
        // What goes round by loopback was translated where it was sent (`nf_conntrack_in` and
        // `nf_nat_inet_fn` see its connection with it).
        let came_round = pass.to_self && pass.input.is_some();
        if has_no_connection(&way.packet) || came_round {
            return false;
        }
        if let Some(tracked) = &pass.tracked {
            self.translate_tracked(way, pass, tracked);
            return false;
        }
        // The answer to what was not tracked is the first packet of a connection.
        if !way.packet.is_reply() || way.packet.state.any_of(ConnStates::NEW) {
            if is_translated(&way.packet, pass) {
                return false;
            }
            return pass.bridged.is_none() || way.packet.state.any_of(ConnStates::NEW);
        }
        let before = way.packet.clone();
        let here =
            |one: &&Connection| one.host == pass.host && one.netns == pass.netns && !one.untracked;
        let tuple = Tuple::of(&way.packet);
        let known = self.connections.iter().filter(here).find(|one| match pass.stage {
            // The namespace's own answer is asked about where it goes out (`nf_nat_ipv4_local_fn`).
            Stage::Prerouting | Stage::Output => {
                same(tuple.source, one.after.destination)
                    && same(tuple.destination, one.after.source)
            }
            _ => {
                same(tuple.source, one.after.destination)
                    && same(tuple.destination, one.before.source)
            }
        });
        let Some(one) = known.cloned() else { return false };
        let to = |tuple: Tuple| (tuple.destination, tuple.destination_port);
        let (hook, words) = match pass.stage {
            Stage::Prerouting | Stage::Output if one.before.source != one.after.source => {
                way.packet.set_destination(one.before.source);
                let port = one.before.source_port;
                way.packet.set_ports(way.packet.source_port(), port);
                let hook = if pass.stage == Stage::Output { "OUTPUT" } else { "PREROUTING" };
                (hook, "undoes the source translation")
            }
            // What the namespace itself sent is translated back where it comes in for it.
            Stage::Postrouting | Stage::Input if to(one.before) != to(one.after) => {
                way.packet.set_source(one.before.destination);
                let port = one.before.destination_port;
                way.packet.set_ports(port, way.packet.destination_port());
                let hook = if pass.stage == Stage::Input { "INPUT" } else { "POSTROUTING" };
                (hook, "undoes the destination translation")
            }
            _ => return false,
        };
        let mut hop = self.filter_hop(pass, (hook, "nat"), format!("{hook}: {words}"));
        hop.certainty = Certainty::Inferred;
        self.hop(way, &before, hop);
        false
    }

    /// Says why rules that translate are not asked.
    pub(super) fn pass_over(
        &self,
        way: &mut Way,
        pass: &Pass,
        (hook, table): (&'static str, &'static str),
    ) {
        if !self.explain {
            return;
        }
        let known = way.packet.is_reply() || pass.tracked.is_some();
        let why = if has_no_connection(&way.packet) {
            "the packet is of no connection"
        } else if !known && is_translated(&way.packet, pass) {
            "the packet is translated already"
        } else {
            "the connection is known"
        };
        let text = format!("{hook} {table}: not asked, {why}");
        way.considered.push(Considered { text, evidence: Vec::new() });
    }

    /// The connection of an answer, as the question left it.
    pub(super) fn known_connection(&self, packet: &Packet, pass: &Pass) -> Option<Connection> {
        if !packet.is_reply() {
            return None;
        }
        let tuple = Tuple::of(packet);
        let known = self.connections.iter().find(|one| {
            one.host == pass.host
                && one.netns == pass.netns
                && same(tuple.source, one.after.destination)
                && same(tuple.destination, one.after.source)
        });
        known.cloned()
    }

    /// Notes what the connection tracker of a namespace knows of the packet now.
    pub(super) fn remember(&mut self, packet: &Packet, pass: &Pass) {
        let Some(before) = pass.entry.filter(|_| !packet.is_reply()) else { return };
        let connection = Connection {
            host: pass.host,
            netns: pass.netns.clone(),
            before,
            after: Tuple::of(packet),
            mark: packet.conn_mark,
            untracked: is_untracked(packet),
        };
        if !self.made.contains(&connection) && self.made.len() < 256 {
            self.made.push(connection);
        }
    }

    pub(super) fn translate(&self, packet: &mut Packet, pass: &Pass, target: &Target) {
        match target {
            Target::Dnat(to) => {
                packet.translated = packet.translated.with(ConnStates::DNAT);
                let destination = to_address(to, packet.destination());
                packet.set_destination(destination);
                let port = to_port(to, packet.destination_port());
                packet.set_ports(packet.source_port(), port);
            }
            Target::Snat(to) => {
                packet.translated = packet.translated.with(ConnStates::SNAT);
                let source = to_address(to, packet.source());
                packet.set_source(source);
                let port = to_port(to, packet.source_port());
                packet.set_ports(port, packet.destination_port());
            }
            Target::Masquerade => {
                packet.translated = packet.translated.with(ConnStates::SNAT);
                let of_bridge = pass.bridged.map(|bridged| bridged.bridge);
                let device = pass.output.map(|output| output.0).or(of_bridge);
                packet.set_source(self.masked_by(device, packet.family()));
            }
            Target::Redirect(ports) => {
                packet.translated = packet.translated.with(ConnStates::DNAT);
                let own = match pass.input {
                    Some(_) => self.primary(pass.input, packet.family()),
                    None if packet.family() == Family::Inet6 => {
                        Some(IpAddr::V6(std::net::Ipv6Addr::LOCALHOST))
                    }
                    None => Some(IpAddr::from([127, 0, 0, 1])),
                };
                packet.set_destination(own);
                if let Some(ports) = ports {
                    let one = (ports.start() == ports.end()).then(|| *ports.start());
                    packet.set_ports(packet.source_port(), one);
                }
            }
            Target::Netmap(net) => {
                let source = pass.stage == Stage::Postrouting || pass.stage == Stage::Input;
                let old = if source { packet.source() } else { packet.destination() };
                let new = net.zip(old).and_then(|(net, ip)| mapped(net, ip));
                if source {
                    packet.translated = packet.translated.with(ConnStates::SNAT);
                    packet.set_source(new);
                } else {
                    packet.translated = packet.translated.with(ConnStates::DNAT);
                    packet.set_destination(new);
                }
            }
            _ => {}
        }
    }

    /// The source that MASQUERADE gives what leaves by a device: what loopback has is of this host
    /// alone, so it is the first one of another (`inet_select_addr`, net/ipv4/devinet.c).
    fn masked_by(&self, device: Option<NodeId>, family: Family) -> Option<IpAddr> {
        let own = self.primary(device, family);
        if own.is_some_and(|ip| !ip.is_loopback()) {
            return own;
        }
        let device = self.network.netdev(device?)?;
        let others = self.network.netdevs_of(device.host);
        let others = others.filter(|other| other.netns() == device.netns());
        let mut all = others.filter_map(|other| self.primary(Some(other.id), family));
        all.find(|ip| crate::defs::is_global(*ip))
    }

    /// The first address of a device.
    pub(super) fn primary(&self, device: Option<NodeId>, family: Family) -> Option<IpAddr> {
        let addresses = self.network.addresses_of(device?);
        let four = family == Family::Inet;
        let first = addresses.iter().find(|address| address.ip.is_ipv4() == four)?;
        Some(first.ip)
    }
}

pub(super) fn same(a: Option<IpAddr>, b: Option<IpAddr>) -> bool {
    a.is_some() && a == b
}

/// Whether a chain at this hook has translated a packet: that ends the question for the others.
fn is_translated(packet: &Packet, pass: &Pass) -> bool {
    let done = match pass.stage {
        Stage::Prerouting | Stage::Output => ConnStates::DNAT,
        _ => ConnStates::SNAT,
    };
    packet.translated.any_of(done)
}

fn has_no_connection(packet: &Packet) -> bool {
    packet.state.any_of(ConnStates::UNTRACKED.with(ConnStates::INVALID))
}

fn is_untracked(packet: &Packet) -> bool {
    packet.state.any_of(ConnStates::UNTRACKED)
}

pub(super) fn to_address(to: &Translation, old: Option<IpAddr>) -> Option<IpAddr> {
    // `:8080` leaves the address as it is; a range takes any of its addresses.
    if to.text.starts_with(':') { old } else { to.address }
}

/// The port that is translated to: the same, one, or one of several.
pub(super) fn to_port(to: &Translation, old: Option<u16>) -> Option<u16> {
    match &to.ports {
        None => old,
        Some(ports) => (ports.start() == ports.end()).then(|| *ports.start()),
    }
}

pub(super) fn mapped(net: ipnet::IpNet, ip: IpAddr) -> Option<IpAddr> {
    let IpAddr::V4(_) = ip else { return None };
    let mask = ip_number(net.netmask());
    let number = ip_number(net.network()) | (ip_number(ip) & !mask & u128::from(u32::MAX));
    Some(IpAddr::V4(std::net::Ipv4Addr::from(u32::try_from(number).ok()?)))
}
