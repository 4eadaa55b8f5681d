//! Connections that a namespace tracks already (`conntrack -L`): an entry that fits a packet decides
//! the state of its connection, its mark, and how it is translated, whatever the rules say now.
//!
//! In a namespace only entries of no zone count: rules of the table `raw` could name another. In the
//! flows of a bridge those of the zone count that `ct(zone=…)` names, where the kernel's datapath
//! tracks. Of ICMP the id tells connections apart, which a question does not name: it may be of the
//! ping that is tracked, or of another.
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::records::conntrack;
use tapline_core::records::filter::ConnStates;
use tapline_core::records::openflow::OfField;
use tapline_core::span::Evidence;

use crate::filter::Mark;
use crate::flow::{self, Value};

use super::netfilter::{Pass, Stage};
use super::{At, Doubt, Packet, Reason, Tuple, Walk, Way};

/// Bits of `ct_state`.
const NEW: u128 = 1;
const ESTABLISHED: u128 = 2;
const REPLY: u128 = 8;

/// What an entry makes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tracked {
    /// The ends of the packet behind all translations.
    after: Tuple,
    /// It is an answer.
    reply: bool,
    /// How the connection is translated.
    translated: ConnStates,
    /// No answer was seen so far.
    unreplied: bool,
    mark: Option<u32>,
    evidence: Evidence,
}

/// An entry that a packet fits, and in which direction.
struct Fitting<'a> {
    entry: &'a conntrack::Connection,
    reply: bool,
    at: Evidence,
}

impl<'a> Walk<'_, '_, 'a> {
    /// The entries of a namespace that a packet fits, of whatever zone.
    fn fitting(
        &self,
        (host, netns): (HostId, &Netns),
        packet: &Packet,
    ) -> impl Iterator<Item = Fitting<'a>> + use<'a> {
        let tuple = Tuple::of(packet);
        let protocol = packet.protocol();
        let names: &[&str] = match protocol {
            Some(1) => &["icmp"],
            Some(6) => &["tcp"],
            Some(17) => &["udp"],
            Some(58) => &["icmpv6"],
            Some(132) => &["sctp"],
            _ => &[],
        };
        let ping = packet.icmp().map(|(kind, _)| matches!(kind, 8 | 128));
        let mut found = Vec::new();
        for (source, reading) in self.network.texts_of("connection") {
            if source.host != host || source.netns != *netns || names.is_empty() {
                continue;
            }
            let Batch::Connections(entries) = &reading.records else { continue };
            for entry in entries.iter().filter(|entry| names.contains(&entry.protocol.as_str())) {
                let ways =
                    [(&entry.original, &entry.reply, false), (&entry.reply, &entry.original, true)];
                let fits = ways.into_iter().find(|(one, _, reply)| {
                    if matches!(protocol, Some(1 | 58)) {
                        same(one.src, tuple.source)
                            && same(one.dst, tuple.destination)
                            && ping == Some(!reply)
                    } else {
                        is(one, tuple)
                    }
                });
                if let Some((_, _, reply)) = fits {
                    let at = Evidence { source: source.id, span: entry.at };
                    found.push(Fitting { entry, reply, at });
                }
            }
        }
        found.into_iter()
    }

    /// The entry that a packet belongs to.
    fn tracked(&self, pass: &Pass, packet: &Packet) -> Option<Tracked> {
        let mut fitting = self.fitting((pass.host, &pass.netns), packet);
        let Fitting { entry, reply, at } =
            fitting.find(|fitting| fitting.entry.zone.unwrap_or(0) == 0)?;
        let other = if reply { &entry.original } else { &entry.reply };
        Some(Tracked {
            // What the other direction comes from is what this one goes to.
            after: Tuple {
                source: other.dst,
                destination: other.src,
                source_port: other.dport,
                destination_port: other.sport,
            },
            reply,
            translated: translated(entry),
            unreplied: entry.flags.iter().any(|flag| flag == "UNREPLIED"),
            mark: entry.mark,
            evidence: at,
        })
    }

    /// What the zones of a host know of a packet, for the flows of a bridge.
    pub(super) fn tracked_in_zones(&self, host: HostId, packet: &Packet) -> Vec<flow::Tracked> {
        if packet.told || packet.is_reply() {
            return Vec::new();
        }
        let ping = matches!(packet.protocol(), Some(1 | 58));
        let all = self.fitting((host, &Netns::Root), packet).map(|fitting| {
            let Fitting { entry, reply, .. } = fitting;
            let unreplied = entry.flags.iter().any(|flag| flag == "UNREPLIED");
            let state = match (unreplied, reply) {
                (true, false) => NEW,
                (_, false) => ESTABLISHED,
                (_, true) => ESTABLISHED | REPLY,
            };
            flow::Tracked {
                zone: entry.zone.unwrap_or(0),
                state: (!ping).then_some(state),
                mark: entry.mark.filter(|_| !ping),
                translated: ping || translated(entry) != ConnStates::default(),
            }
        });
        all.collect()
    }

    /// Gives a packet the state that an entry tells of it. Where it may belong to the entry or not,
    /// the way on which it does goes on by itself.
    pub(super) fn track(&mut self, way: &mut Way, pass: &mut Pass) {
        // What the question tells of the state counts.
        if way.packet.told || way.packet.is_reply() {
            return;
        }
        let Some(tracked) = self.tracked(pass, &way.packet) else { return };
        if matches!(way.packet.protocol(), Some(1 | 58)) {
            let doubt = Doubt {
                reason: Reason::PacketOpen,
                text: "it may belong to the ping that is tracked, or to another".to_owned(),
                place: self.place_of(pass),
                next: Vec::new(),
                evidence: vec![tracked.evidence],
            };
            self.fork(way, doubt);
            let mut known = Self::branch(way, "of the ping that is tracked");
            let mut of_it = pass.clone();
            belong(&mut known.packet, &mut of_it, tracked);
            self.go(known, At::Stack(of_it));
            way.guard = Some("another ping".to_owned());
            return;
        }
        belong(&mut way.packet, pass, tracked);
    }

    /// Translates a packet as its entry says, where a hook would.
    pub(super) fn translate_tracked(&mut self, way: &mut Way, pass: &Pass, tracked: &Tracked) {
        let before = way.packet.clone();
        let (hook, packet) = match pass.stage {
            Stage::Prerouting => ("PREROUTING", &mut way.packet),
            Stage::Output => ("OUTPUT", &mut way.packet),
            Stage::Postrouting => ("POSTROUTING", &mut way.packet),
            Stage::Input => ("INPUT", &mut way.packet),
            _ => return,
        };
        let destination = matches!(pass.stage, Stage::Prerouting | Stage::Output);
        let (old, new, old_port, new_port) = if destination {
            let after = (tracked.after.destination, tracked.after.destination_port);
            (packet.destination(), after.0, packet.destination_port(), after.1)
        } else {
            let after = (tracked.after.source, tracked.after.source_port);
            (packet.source(), after.0, packet.source_port(), after.1)
        };
        if old == new && old_port == new_port {
            return;
        }
        let kind = if destination {
            packet.set_destination(new);
            packet.set_ports(packet.source_port(), new_port);
            "destination"
        } else {
            packet.set_source(new);
            packet.set_ports(new_port, packet.destination_port());
            "source"
        };
        let to = new.map_or_else(|| "?".to_owned(), |ip: IpAddr| ip.to_string());
        let action = format!("{hook} nat: a known connection has its {kind} at {to}");
        let mut hop = self.filter_hop(pass, (hook, "nat"), action);
        hop.cite(Some(tracked.evidence));
        self.hop(way, &before, hop);
    }
}

/// Makes a packet one of a connection that is tracked.
fn belong(packet: &mut Packet, pass: &mut Pass, tracked: Tracked) {
    let new = tracked.unreplied && !tracked.reply;
    packet.state = if new { ConnStates::NEW } else { ConnStates::ESTABLISHED };
    packet.conn_mark = tracked.mark.map_or(Mark::UNKNOWN, |value| Mark { value, known: u32::MAX });
    if packet.protocol() == Some(6) && !new {
        // A packet of a connection that stands: ACK.
        packet.frame.set(OfField::TcpFlags, Value::of(0x10));
    }
    packet.translated = tracked.translated;
    pass.tracked = Some(Box::new(tracked));
}

fn same(a: Option<IpAddr>, b: Option<IpAddr>) -> bool {
    a.is_some() && a == b
}

/// Whether a packet has the ends of one direction; all have to be known.
fn is(known: &conntrack::Tuple, tuple: Tuple) -> bool {
    let port = |a: Option<u16>, b: Option<u16>| a.is_some() && a == b;
    same(known.src, tuple.source)
        && same(known.dst, tuple.destination)
        && port(known.sport, tuple.source_port)
        && port(known.dport, tuple.destination_port)
}

/// How a connection is translated: what its answers go to tells.
fn translated(entry: &conntrack::Connection) -> ConnStates {
    let (there, back) = (&entry.original, &entry.reply);
    let mut all = ConnStates::default();
    if (there.src, there.sport) != (back.dst, back.dport) {
        all = all.with(ConnStates::SNAT);
    }
    if (there.dst, there.dport) != (back.src, back.sport) {
        all = all.with(ConnStates::DNAT);
    }
    all
}
