//! The MAC of the next hop: the neighbours of a namespace, and where they do not know it, who has
//! the address.
use std::net::IpAddr;

use tapline_core::ids::Mac;
use tapline_core::need::Need;
use tapline_core::records::neigh::Neighbour;
use tapline_core::span::Evidence;
use tapline_topology::graph::NetdevKind;
use tapline_topology::{NodeId, Topic};

use crate::defs;
use crate::ipsec::Direction;

use super::asking::Asked;
use super::device::mac_of;
use super::netfilter::Pass;
use super::{At, Certainty, Hop, Kind, Next, Outcome, Reason, Target, Tuple, Walk, Way};

/// What is known of the MAC of a next hop.
pub(super) enum Found {
    Known {
        mac: Mac,
        evidence: Option<Evidence>,
        certainty: Certainty,
        words: String,
        /// Who answers ARP for it, where there is no entry.
        owners: Vec<Target>,
    },
    Failed {
        evidence: Evidence,
    },
    /// No captured device has the address.
    Nobody,
}

impl Walk<'_, '_, '_> {
    /// Gives a packet its MACs and sends it.
    pub(super) fn neighbour(&mut self, mut way: Way, pass: Pass) {
        let place = self.place_of(&pass);
        let Some((output, gateway)) = pass.output else {
            self.unknown(&mut way, place, Reason::NotCaptured, Vec::new());
            return;
        };
        let Some(device) = self.device(output) else { return };
        // With the source that POSTROUTING gave it, it is looked up once more (`nf_xfrm_me_harder`).
        let translated = pass.entry.is_some_and(|entry| entry != Tuple::of(&way.packet));
        if (translated || pass.tunnel.is_some())
            && !self.pass_ipsec(&mut way, &pass, Direction::Out, Some(output))
        {
            return;
        }
        let own = mac_of(device);
        let Some(to) = gateway.or_else(|| way.packet.destination()) else {
            self.unknown(&mut way, place, Reason::PacketOpen, Vec::new());
            return;
        };
        way.packet.next_hop = Some(to);
        let before = way.packet.clone();
        if device.kind == NetdevKind::Loopback || device.flag("NOARP") == Some(true) {
            way.packet.set_macs(own, own);
            self.go(way, At::Send(output));
            return;
        }
        let broadcast = matches!(to, IpAddr::V4(four) if four.is_broadcast());
        if broadcast || self.is_broadcast_of(output, to) {
            way.packet.set_macs(own, Some(Mac([0xff; 6])));
            self.go(way, At::Send(output));
            return;
        }
        if let Some(mac) = mac_of_group(to) {
            way.packet.set_macs(own, Some(mac));
            self.go(way, At::Send(output));
            return;
        }
        let mut hop = Hop::new(Kind::Neighbour, place.clone(), String::new());
        hop.output = Some(device.name().into());
        let ask =
            Need::command(&defs::ask_neighbour(&tapline_core::ids::Netns::Root, device.name(), to))
                .within(&pass.netns);
        match self.resolve(&pass, output, to) {
            Found::Known { mut mac, evidence, certainty, words, owners } => {
                let wrong = owners.is_empty() && self.is_wrong(output, to, mac);
                let (mut unanswered, mut doubtful) = (None, None);
                if !owners.is_empty() {
                    match self.ask((&way, &pass), output, to, &owners) {
                        Asked::Answered(answered) => mac = answered,
                        Asked::Unanswered(why) => unanswered = Some(why),
                        Asked::Doubtful(why) => {
                            mac = why.mac.unwrap_or(mac);
                            doubtful = Some(why);
                        }
                        Asked::Open => {}
                    }
                }
                way.packet.set_macs(own, Some(mac));
                way.packet.unresolved = None;
                if let Some(why) = unanswered
                    && !self.is_lost_anyway(&way, At::Send(output))
                {
                    hop.action = format!("neighbour {to}: no entry, and ARP is not answered");
                    hop.certainty = certainty;
                    hop.cite(evidence);
                    self.hop(&mut way, &before, hop);
                    self.lost_unanswered(&mut way, *why, true);
                    return;
                }
                if certainty < Certainty::Proven {
                    hop.action = format!("neighbour {to}: {words}");
                    hop.certainty = certainty;
                    hop.assumed = Some(format!("ARP for {to} is answered"));
                    hop.cite(evidence);
                    self.hop(&mut way, &before, hop);
                } else if let (Some(evidence), Some(super::Node { part, .. })) =
                    (evidence, self.last_route(&way))
                    && let super::Part::Hop(route) = part
                {
                    let route = std::sync::Arc::make_mut(route);
                    route.cite(Some(evidence));
                    route.action = format!("{} ({words})", route.action);
                    route.details.wrong_neighbour = wrong.then_some(evidence);
                }
                if let Some(why) = doubtful {
                    self.may_be_unanswered(&mut way, to, *why);
                }
                self.go(way, At::Send(output));
            }
            Found::Failed { evidence } => {
                hop.action = format!("neighbour {to} does not answer");
                hop.certainty = Certainty::Inferred;
                hop.cite(Some(evidence));
                self.hop(&mut way, &before, hop);
                let reason = Reason::NeighFailed;
                self.lost(&mut way, Outcome::Rejected, reason, place.clone(), Some(evidence));
                if let Some(super::Node { part: super::Part::End(end), .. }) =
                    self.tree.nodes.last_mut()
                {
                    end.certainty = Certainty::Inferred;
                    end.next = vec![Next {
                        text: format!("tells whether {to} answers now"),
                        host: place.host,
                        need: ask,
                    }];
                }
            }
            Found::Nobody => {
                hop.action = format!("neighbour {to}: no entry, asked by ARP");
                hop.certainty = Certainty::Inferred;
                hop.assumed = Some(format!("{to} answers ARP"));
                let on_link = self.is_on_link(output, to);
                if !on_link {
                    hop.action =
                        format!("neighbour {to}: no entry, and in no subnet of {}", device.name());
                }
                self.hop(&mut way, &before, hop);
                let open = self.may_answer(output);
                if !open.is_empty() {
                    self.unknown(&mut way, place, Reason::NotCaptured, open);
                    return;
                }
                if !on_link {
                    self.may_stop(&mut way, place, Reason::NeighAbsent, vec![ask]);
                }
                way.packet.set_macs(own, Some(super::packet::NOBODY));
                way.packet.unresolved = Some(to);
                self.go(way, At::Send(output));
            }
        }
    }

    /// Whether a MAC is that of nobody who has an address on the segment of a device, though somebody
    /// captured has it. Addresses of VRRP and HSRP have MACs of their own.
    fn is_wrong(&self, output: NodeId, to: IpAddr, mac: Mac) -> bool {
        let network = self.network;
        let of_group = mac.is_multicast();
        if of_group || matches!(mac.0, [0, 0, 0x5e, 0, ..] | [0, 0, 0x0c, 0x07 | 0x9f, ..]) {
            return false;
        }
        let mut near = network.topology.find_address(to).iter().filter_map(|id| {
            let address = network.address(*id)?;
            let owner = network.netdev(address.data.netdev)?;
            let counts = defs::is_in_use(&address)
                && !network.may_be_outdated(address.host)
                && owner.id != output
                && self.share_segment(output, owner.id) == Some(true);
            counts.then(|| mac_of(owner))
        });
        let mut any = false;
        near.all(|own| {
            any = true;
            own.is_some_and(|own| own != mac)
        }) && any
    }

    /// The route that a way has just taken.
    fn last_route(&mut self, way: &Way) -> Option<&mut super::Node> {
        let mut at = way.tip;
        for _ in 0..6 {
            let node = self.tree.nodes.get(at)?;
            if matches!(&node.part, super::Part::Hop(hop) if hop.kind == Kind::Route) {
                return self.tree.nodes.get_mut(at);
            }
            at = node.parent;
        }
        None
    }

    fn is_on_link(&self, device: NodeId, to: IpAddr) -> bool {
        self.network.addresses_of(device).iter().any(|address| {
            let net = ipnet::IpNet::new(address.ip, address.prefix);
            net.is_ok_and(|net| net.contains(&to)) || address.data.record.record.peer == Some(to)
        })
    }

    fn is_broadcast_of(&self, device: NodeId, to: IpAddr) -> bool {
        let mut all = self.network.addresses_of(device).into_iter();
        all.any(|address| address.data.record.record.broadcast == Some(to))
    }

    /// What is known of a next hop.
    pub(super) fn resolve(&self, pass: &Pass, output: NodeId, to: IpAddr) -> Found {
        let all = self.network.neighbours();
        let dev = self.name(output);
        let known =
            all.get(&(pass.host, &pass.netns)).and_then(|here| here.get(&(dev.as_str(), to)));
        if let Some(known) = known {
            if let Some(mac) = known.record.mac.as_ref().filter(|_| !known.failed) {
                let words = state(known.record);
                let evidence = Some(known.evidence);
                let certainty = Certainty::Proven;
                let owners = Vec::new();
                return Found::Known { mac: mac.value, evidence, certainty, words, owners };
            }
            if known.failed {
                return Found::Failed { evidence: known.evidence };
            }
        }
        // Who has the address: a device on the same segment, a guest, or the only one there is.
        let network = self.network;
        let mut owners: Vec<(NodeId, Option<Mac>, Evidence)> = Vec::new();
        for id in network.topology.find_address(to) {
            let Some(address) = network.address(*id) else { continue };
            let Some(device) = network.netdev(address.data.netdev) else { continue };
            let in_use = defs::is_in_use(&address);
            if device.id != output && in_use && !network.may_be_outdated(address.host) {
                owners.push((device.id, mac_of(device), address.line()));
            }
        }
        let near: Vec<_> =
            owners.iter().filter_map(|owner| self.answers_on_segment(output, to, *owner)).collect();
        let may = || {
            owners
                .iter()
                .filter(|(device, ..)| self.share_segment(output, *device) != Some(false))
                .copied()
                .collect::<Vec<_>>()
        };
        let mut candidates = if near.is_empty() { may() } else { near };
        // Settings of ARP: discovery of IPv6 knows none such.
        let never = |device: NodeId| self.never_answers(device).filter(|_| to.is_ipv4());
        let silent: Vec<Evidence> =
            candidates.iter().filter_map(|(device, ..)| never(*device)).collect();
        if let Some(evidence) = silent.first().filter(|_| silent.len() == candidates.len()) {
            return Found::Failed { evidence: *evidence };
        }
        candidates.retain(|(device, ..)| never(*device).is_none());
        if let Some((device, Some(mac), evidence)) = candidates.first() {
            let words = format!("no entry; {} has the address", self.name(*device));
            let netns = |device: NodeId| {
                let device = self.device(device)?;
                Some(Target::Netns(device.host, device.netns().clone()))
            };
            return Found::Known {
                mac: *mac,
                evidence: Some(*evidence),
                certainty: Certainty::Assumed,
                words,
                owners: candidates.iter().filter_map(|(device, ..)| netns(*device)).collect(),
            };
        }
        if let Some((nic, mac, evidence)) = self.guest_with(to, output) {
            let words = format!("no entry; guest {} has the address", self.name(nic));
            return Found::Known {
                mac,
                evidence: Some(evidence),
                certainty: Certainty::Assumed,
                words,
                owners: vec![Target::Guest(nic)],
            };
        }
        if let Some((mac, evidence)) = self.tracer.responder(to) {
            return Found::Known {
                mac,
                evidence: Some(evidence),
                certainty: Certainty::Assumed,
                words: "no entry; flows answer ARP for it".to_owned(),
                owners: Vec::new(),
            };
        }
        Found::Nobody
    }
}

/// A device with an address, its MAC, and the line of the address.
type Owner = (NodeId, Option<Mac>, Evidence);

impl Walk<'_, '_, '_> {
    /// Who answers ARP for an address on the segment of a device: the device that has it, or another
    /// of its namespace, since an address belongs to the host and not to a device (`arp_ignore` 0,
    /// ip-sysctl).
    fn answers_on_segment(
        &self,
        output: NodeId,
        to: IpAddr,
        (device, mac, at): Owner,
    ) -> Option<Owner> {
        if self.share_segment(output, device) == Some(true) {
            return Some((device, mac, at));
        }
        let owner = self.device(device)?;
        let asked = self.network.topology.find_netns(owner.host, owner.netns())?;
        let asker = self.device(output)?;
        if asker.host == owner.host && asker.netns() == owner.netns() {
            return None;
        }
        let devices = self.network.devices_in(asked);
        let facing = devices
            .iter()
            .find(|facing| !facing.stub && self.share_segment(output, facing.id) == Some(true))?;
        let ignores = to.is_ipv4()
            && ["all", facing.name()].iter().any(|dev| {
                let key = format!("net.ipv4.conf.{}.arp_ignore", dev.replace('.', "/"));
                let set = self.setting(owner.host, owner.netns(), &key);
                set.is_some_and(|set| set.value > 0)
            });
        (!ignores).then(|| (facing.id, mac_of(*facing), at))
    }

    /// The setting by which a device answers no ARP at all (`arp_ignore` 8, ip-sysctl).
    fn never_answers(&self, device: NodeId) -> Option<Evidence> {
        let device = self.device(device)?;
        let name = device.name().replace('.', "/");
        ["all", &name].into_iter().find_map(|dev| {
            let key = format!("net.ipv4.conf.{dev}.arp_ignore");
            let set = self.setting(device.host, device.netns(), &key)?;
            (set.value == 8).then_some(set.evidence)
        })
    }

    /// The addresses of namespaces that may answer on the segment of a device, as far as they were
    /// not captured.
    fn may_answer(&self, output: NodeId) -> Vec<Need> {
        let network = self.network;
        let mut needs = Vec::new();
        for netns in network.namespaces() {
            if network.complete(netns.host, netns.netns(), Topic::Addresses) {
                continue;
            }
            let devices = network.devices_in(netns.id);
            let near = devices.iter().any(|device| {
                !device.stub
                    && device.id != output
                    && self.share_segment(output, device.id) == Some(true)
            });
            if near {
                needs.extend(network.missing(netns.host, netns.netns(), &[Topic::Addresses]));
            }
        }
        needs
    }
}

/// The MAC of a group: nobody is asked for it (RFC 1112, section 6.4; RFC 2464, section 7).
fn mac_of_group(ip: IpAddr) -> Option<Mac> {
    match ip {
        IpAddr::V4(four) if four.is_multicast() => {
            let [_, b, c, d] = four.octets();
            Some(Mac([0x01, 0x00, 0x5e, b & 0x7f, c, d]))
        }
        IpAddr::V6(six) if six.is_multicast() => {
            let [.., a, b, c, d] = six.octets();
            Some(Mac([0x33, 0x33, a, b, c, d]))
        }
        _ => None,
    }
}

fn state(record: &Neighbour) -> String {
    let mac = record.mac.as_ref().map(|mac| mac.value.to_string()).unwrap_or_default();
    let states: Vec<&str> = record.states.iter().map(tapline_core::Name::as_str).collect();
    format!("{mac} {}", states.join(" ")).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_macs_of_their_own() {
        for (ip, mac) in [
            ("224.0.0.5", Some("01:00:5e:00:00:05")),
            // The highest of 24 bits is left out.
            ("239.255.1.2", Some("01:00:5e:7f:01:02")),
            ("ff02::1:2", Some("33:33:00:01:00:02")),
            ("192.0.2.1", None),
            ("2001:db8::1", None),
        ] {
            let found = mac_of_group(ip.parse().unwrap()).map(|mac| mac.to_string());
            assert_eq!(found.as_deref(), mac, "{ip}");
        }
    }
}
