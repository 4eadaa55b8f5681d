//! Connections that a namespace tracks already (`conntrack -L`): an entry that fits a packet decides
//! the state of its connection, its mark, and how it is translated, whatever the rules say now.
//!
//! Only entries of no zone count: which zone a packet is looked up in, rules of the table `raw` and
//! flows decide. Of ICMP the id tells connections apart, which a question does not name.
use std::net::IpAddr;

use tapline_core::records::Batch;
use tapline_core::records::conntrack;
use tapline_core::records::filter::ConnStates;
use tapline_core::records::openflow::OfField;
use tapline_core::span::Evidence;

use crate::filter::Mark;
use crate::flow::Value;

use super::netfilter::{Pass, Stage};
use super::{Packet, Tuple, Walk, Way};

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

impl Walk<'_, '_, '_> {
    /// The entry that a packet belongs to.
    fn tracked(&self, pass: &Pass, packet: &Packet) -> Option<Tracked> {
        let tuple = Tuple::of(packet);
        let protocol = match packet.protocol()? {
            6 => "tcp",
            17 => "udp",
            132 => "sctp",
            _ => return None,
        };
        for (source, reading) in self.network.texts_of("connection") {
            if source.host != pass.host || source.netns != pass.netns {
                continue;
            }
            let Batch::Connections(entries) = &reading.records else { continue };
            for entry in entries {
                if entry.protocol != protocol || entry.zone.unwrap_or(0) != 0 {
                    continue;
                }
                let ways =
                    [(&entry.original, &entry.reply, false), (&entry.reply, &entry.original, true)];
                let Some((_, other, reply)) = ways.into_iter().find(|way| is(way.0, tuple)) else {
                    continue;
                };
                return Some(Tracked {
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
                    evidence: Evidence { source: source.id, span: entry.at },
                });
            }
        }
        None
    }

    /// Gives a packet the state that an entry tells of it.
    pub(super) fn track(&self, way: &mut Way, pass: &mut Pass) {
        // What the question tells of the state counts.
        if way.packet.told || way.packet.is_reply() {
            return;
        }
        let Some(tracked) = self.tracked(pass, &way.packet) else { return };
        let new = tracked.unreplied && !tracked.reply;
        way.packet.state = if new { ConnStates::NEW } else { ConnStates::ESTABLISHED };
        way.packet.conn_mark =
            tracked.mark.map_or(Mark::UNKNOWN, |value| Mark { value, known: u32::MAX });
        if way.packet.protocol() == Some(6) && !new {
            // A packet of a connection that stands: ACK.
            way.packet.frame.set(OfField::TcpFlags, Value::of(0x10));
        }
        way.packet.translated = tracked.translated;
        pass.tracked = Some(Box::new(tracked));
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

/// Whether a packet has the ends of one direction; all have to be known.
fn is(known: &conntrack::Tuple, tuple: Tuple) -> bool {
    let same = |a: Option<IpAddr>, b: Option<IpAddr>| a.is_some() && a == b;
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
