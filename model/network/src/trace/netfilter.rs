//! The packet filter of a namespace, hook by hook and table by table, and the translations of
//! connections.
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::route::Family;
use tapline_topology::graph::{Confidence, Netdev};
use tapline_topology::{NodeId, Topic};

use crate::filter::{self, Device, Mark};
use crate::{Item, l3};

use super::conntrack::Tracked;
use super::{At, Packet, Place, Reason, Tuple, Walk, Way};

/// Where a packet is in the stack of a namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pass {
    pub(super) host: HostId,
    pub(super) netns: Netns,
    /// The device that it came in by; `None` for what the namespace made itself.
    pub(super) input: Option<NodeId>,
    /// The port of a bridge that it came in by.
    pub(super) port: Option<NodeId>,
    /// The device that it goes out by, and the gateway.
    pub(super) output: Option<(NodeId, Option<IpAddr>)>,
    /// It goes through a bridge, not through the stack.
    pub(super) bridged: Option<Bridged>,
    pub(super) stage: Stage,
    /// Tables and chains of the hook that it has passed.
    pub(super) table: usize,
    /// The ends of the packet as it came in.
    pub(super) entry: Option<Tuple>,
    /// It was said that the packet filter was not captured.
    pub(super) doubted: bool,
    /// It was routed again after its destination was translated, or its mark was changed.
    pub(super) rerouted: bool,
    /// The mark that it was routed by, where the namespace itself sends it.
    pub(super) routed_mark: Option<Mark>,
    /// What became of the first packet of its connection here is known.
    pub(super) known: bool,
    /// The namespace sends it to an address of its own: it goes round by loopback, with its connection
    /// and its route.
    pub(super) to_self: bool,
    /// The device that its sender is bound to.
    pub(super) bound: Option<Name>,
    /// Its sender leaves its source to the kernel and connects no socket.
    pub(super) unconnected: bool,
    /// It was said that rules of nft may stand beside those of iptables.
    pub(super) beside_said: bool,
    /// The connection that it belongs to, where that was captured.
    pub(super) tracked: Option<Box<Tracked>>,
    /// It is the packet around another, for this end of a tunnel, which is that of the packet so
    /// surely.
    pub(super) tunnel: Option<(NodeId, Confidence)>,
}

/// A frame on its way through a Linux bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bridged {
    pub(super) bridge: NodeId,
    pub(super) from: NodeId,
    pub(super) to: Option<NodeId>,
    pub(super) vlan: u16,
    /// It is known that the filter sees such frames.
    pub(super) sure: bool,
}

/// The stages of the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Prerouting,
    Route,
    Input,
    Local,
    Forward,
    Output,
    Postrouting,
    Neighbour,
}

impl Stage {
    /// The hook and its tables in their order.
    fn hook(self) -> Option<(&'static str, &'static [&'static str])> {
        Some(match self {
            Self::Prerouting => ("PREROUTING", &["raw", "mangle", "nat"]),
            Self::Input => ("INPUT", &["mangle", "filter", "nat"]),
            Self::Forward => ("FORWARD", &["mangle", "filter"]),
            Self::Output => ("OUTPUT", &["raw", "mangle", "nat", "filter"]),
            Self::Postrouting => ("POSTROUTING", &["mangle", "nat"]),
            Self::Route | Self::Local | Self::Neighbour => return None,
        })
    }
}

impl Pass {
    fn new(host: HostId, netns: &Netns, stage: Stage) -> Self {
        Self {
            host,
            netns: netns.clone(),
            input: None,
            port: None,
            output: None,
            bridged: None,
            stage,
            table: 0,
            entry: None,
            doubted: false,
            rerouted: false,
            routed_mark: None,
            known: false,
            to_self: false,
            bound: None,
            unconnected: false,
            beside_said: false,
            tracked: None,
            tunnel: None,
        }
    }

    /// A packet for a device of the namespace.
    pub(super) fn arriving(device: Item<'_, Netdev<'_>>, port: Option<NodeId>) -> Self {
        let new = Self::new(device.host, device.netns(), Stage::Prerouting);
        Self { input: Some(device.id), port, ..new }
    }

    /// A packet that the namespace makes.
    pub(super) fn own(host: HostId, netns: &Netns) -> Self {
        Self::new(host, netns, Stage::Route)
    }

    /// A frame that a bridge passes on.
    pub(super) fn bridged(bridge: Item<'_, Netdev<'_>>, bridged: Bridged) -> Self {
        let stage = if bridged.to.is_some() { Stage::Forward } else { Stage::Prerouting };
        let new = Self::new(bridge.host, bridge.netns(), stage);
        let input = Some(bridge.id);
        Self { input, port: Some(bridged.from), bridged: Some(bridged), ..new }
    }

    pub(super) fn at(mut self, stage: Stage) -> Self {
        (self.stage, self.table) = (stage, 0);
        self
    }
}

impl Walk<'_, '_, '_> {
    /// One step in the stack of a namespace.
    pub(super) fn stack(&mut self, way: Way, pass: Pass) {
        match pass.stage {
            Stage::Route => self.route(way, pass),
            Stage::Local => self.local(way, pass),
            Stage::Neighbour if pass.to_self => self.go_round(way, pass),
            Stage::Neighbour => self.neighbour(way, pass),
            Stage::Prerouting if Self::is_arp(&way.packet) && pass.bridged.is_none() => {
                self.arp(way, pass);
            }
            stage => match stage.hook() {
                Some((hook, tables)) => self.filter(way, pass, hook, tables),
                None => self.route(way, pass),
            },
        }
    }

    /// Passes the tables and chains of a hook.
    fn filter(
        &mut self,
        mut way: Way,
        mut pass: Pass,
        hook: &'static str,
        tables: &'static [&'static str],
    ) {
        let family = way.packet.family();
        if pass.entry.is_none() {
            pass.entry = Some(Tuple::of(&way.packet));
            // A bridged frame is tracked before it is forwarded.
            if pass.bridged.is_none() || pass.stage == Stage::Prerouting {
                way.packet.take_state();
                self.track(&mut way, &mut pass);
            }
            if let Some(one) = self.known_connection(&way.packet, &pass) {
                if one.untracked {
                    way.packet.answer_nothing_known();
                }
                way.packet.conn_mark = one.mark;
                way.packet.translated = one.translated();
                pass.known = true;
            }
        }
        if pass.table == 0 && pass.stage == Stage::Output {
            pass.routed_mark = Some(way.packet.mark());
        }
        if pass.table == 0 && !pass.doubted && !self.is_filter_known(&pass, family) {
            pass.doubted = true;
            let place = Place {
                host: Some(pass.host),
                netns: Some(pass.netns.clone()),
                ..Place::default()
            };
            let mut needs = self.network.missing(pass.host, &pass.netns, &[Topic::Netfilter]);
            if needs.is_empty() {
                needs.push(Topic::Netfilter.command(&pass.netns));
            }
            if self.may_be_translated(&way.packet, &pass) {
                self.may_go_elsewhere(&mut way, place, needs);
            } else {
                self.may_stop(&mut way, place, Reason::NotCaptured, needs);
            }
        }
        self.assume_no_legacy(&mut way, &mut pass, family);
        self.assume_nothing_beside(&mut way, &mut pass, family);
        let steps = self.network.filters().steps((pass.host, &pass.netns), family, hook, tables);
        while let Some(step) = steps.get(pass.table) {
            pass.table += 1;
            if step.nat && !self.translates(&mut way, &pass) {
                self.pass_over(&mut way, &pass, (hook, step.name));
                continue;
            }
            let seen = self.seen(&way.packet, &pass);
            let Some(judgement) = step.asked.evaluate(hook, &seen) else { continue };
            // Of a known connection, only the first packet was shown to the rules that translate.
            if !(step.nat && way.packet.established) {
                self.met.extend(judgement.met.iter().copied());
            }
            self.look(&mut way, (hook, step.name), &judgement);
            let near = self.nearest(&seen, &judgement, |packet| step.asked.evaluate(hook, packet));
            let waits = self.judge(&mut way, &pass, (hook, step.name), judgement, near);
            if waits {
                return;
            }
        }
        self.behind(way, pass);
    }

    /// The stage behind a hook.
    pub(super) fn behind(&mut self, way: Way, pass: Pass) {
        if matches!(pass.stage, Stage::Postrouting | Stage::Input) {
            self.remember(&way.packet, &pass);
        }
        if let Some(bridged) = pass.bridged {
            match (pass.stage, bridged.to) {
                (Stage::Prerouting, _) if is_elsewhere(&way.packet, &pass) => {
                    self.redirect_on_bridge(way, &pass, bridged);
                }
                (Stage::Prerouting, _) => {
                    if let Some(bridge) = self.device(bridged.bridge) {
                        let (from, vlan) = (Some(bridged.from), bridged.vlan);
                        self.forward_on_bridge(way, bridge, from, vlan, Some(&pass));
                    }
                }
                (Stage::Forward, _) => self.go(way, At::Stack(pass.at(Stage::Postrouting))),
                (_, Some(to)) => self.go(way, At::Send(to)),
                (_, None) => {}
            }
            return;
        }
        let next = match pass.stage {
            Stage::Prerouting if pass.to_self => Stage::Input,
            Stage::Prerouting => Stage::Route,
            Stage::Input => Stage::Local,
            Stage::Forward => Stage::Postrouting,
            Stage::Output
                if !pass.rerouted
                    && (is_elsewhere(&way.packet, &pass) || self.is_marked(&way, &pass)) =>
            {
                let again = Pass { rerouted: true, to_self: false, output: None, ..pass };
                self.go(way, At::Stack(again.at(Stage::Route)));
                return;
            }
            Stage::Output => Stage::Postrouting,
            _ => Stage::Neighbour,
        };
        self.go(way, At::Stack(pass.at(next)));
    }

    /// Whether rules that were not captured may give a packet another destination. Those of neutron's
    /// agents do that to the addresses of routers and to that of metadata.
    fn may_be_translated(&self, packet: &Packet, pass: &Pass) -> bool {
        if pass.bridged.is_some() || !matches!(pass.stage, Stage::Prerouting | Stage::Output) {
            return false;
        }
        if packet.is_reply()
            || packet.is_multicast() == Some(true)
            || packet.destination().is_some_and(|to| to.is_multicast())
        {
            return false;
        }
        let name = pass.netns.name().unwrap_or_default();
        let of_agent = ["qrouter-", "qdhcp-", "snat-", "fip-", "ovnmeta-"];
        let Some(to) = packet.destination() else { return true };
        if !of_agent.iter().any(|prefix| name.starts_with(prefix)) {
            // Addresses of services and published ports are the host's own, or private.
            let private = match to {
                IpAddr::V4(four) => four.is_private() || four.is_link_local(),
                IpAddr::V6(six) => six.is_unique_local(),
            };
            return private || self.owns(pass.host, &pass.netns, to).is_some();
        }
        let metadata = matches!(to, IpAddr::V4(four) if four.is_link_local());
        let routes = name.starts_with("qrouter-") || name.starts_with("snat-");
        routes && (metadata || self.owns(pass.host, &pass.netns, to).is_some())
    }

    /// It may be lost here or get another destination. Goes on with the way on which it does neither.
    fn may_go_elsewhere(
        &mut self,
        way: &mut Way,
        place: Place,
        needs: Vec<tapline_core::need::Need>,
    ) {
        let text = "rules that were not captured may stop or translate it".to_owned();
        let doubt = super::Doubt {
            reason: Reason::NotCaptured,
            text: text.clone(),
            place: place.clone(),
            next: Self::next(&place, needs.clone()),
            evidence: Vec::new(),
        };
        self.fork(way, doubt);
        let mut other = Self::branch(way, "a rule stops or translates it");
        self.unknown(&mut other, place, Reason::NotCaptured, needs);
        if let Some(super::Node { part: super::Part::End(end), .. }) = self.tree.nodes.last_mut() {
            end.text = text;
            end.hypothetical = true;
        }
        way.guard = Some("it passes".to_owned());
    }

    /// Whether OUTPUT changed the mark of a packet in a way that makes the kernel route it again:
    /// table mangle of iptables does (`ipt_mangle_out`), and so do chains of nft of the type
    /// `route`.
    fn is_marked(&self, way: &Way, pass: &Pass) -> bool {
        pass.routed_mark.is_some_and(|mark| mark != way.packet.mark())
            && self.network.filters().routes_again((pass.host, &pass.netns), way.packet.family())
    }

    /// Whether all that filters packets in a namespace was captured.
    fn is_filter_known(&self, pass: &Pass, family: Family) -> bool {
        let network = self.network;
        let tables = self.network.filters();
        if tables.is_cut((pass.host, &pass.netns), family) {
            return false;
        }
        if tables.ruleset(pass.host, &pass.netns).is_some() {
            return true;
        }
        let listed = ["raw", "mangle", "nat", "filter"]
            .iter()
            .all(|name| tables.table_of((pass.host, &pass.netns), family, name).is_some());
        if listed {
            return true;
        }
        // A text of the other family says nothing of this one.
        let of_inet = || {
            ["iptables-save", "iptables", "iptables-legacy-save", "iptables-nft-save", "nft"]
                .iter()
                .flat_map(|program| network.texts_by(program))
                .any(|source| {
                    source.host == pass.host
                        && source.netns == pass.netns
                        && network.topology.snapshot.completeness(source.id).is_complete()
                })
        };
        match family {
            Family::Inet => network.complete(pass.host, &pass.netns, Topic::Netfilter) && of_inet(),
            Family::Inet6 => tables.tables().any(|(host, netns, of, _)| {
                host == pass.host && *netns == pass.netns && of == family
            }),
        }
    }

    /// The packet as the filter sees it here.
    pub(super) fn seen(&self, packet: &Packet, pass: &Pass) -> filter::Packet {
        let mut seen = packet.filtered();
        seen.explain = self.explain;
        seen.sets = self.network.filters().sets(pass.host, &pass.netns);
        let device = |node: Option<NodeId>| match node {
            Some(node) => Device::Known(self.name(node)),
            None => Device::None,
        };
        seen.in_device = match pass.stage {
            // Newer kernels remember the device in POSTROUTING, older ones do not.
            Stage::Postrouting if pass.input.is_some() => Device::Unknown,
            _ => device(pass.input),
        };
        seen.out_device = device(pass.output.map(|output| output.0));
        seen.in_port = device(pass.port);
        seen.out_port = Device::None;
        if let Some(bridged) = pass.bridged {
            seen.out_port = device(bridged.to);
            seen.out_device = device(bridged.to.map(|_| bridged.bridge));
        }
        if packet.established && !pass.known {
            // What became of the first packet tells, and that was not followed.
            seen.translated = None;
        }
        if pass.bridged.is_none() {
            self.see_vrf(&mut seen, pass);
        }
        let to = packet.destination();
        let local = to.and_then(|ip| self.owns_for(pass, ip).known());
        seen.to_host = local.map(|own| own.is_some());
        let local = packet.source().and_then(|ip| self.owns_for(pass, ip).known());
        seen.from_host = local.map(|own| own.is_some());
        // Of an answer, and of a connection that was tracked before, the first packet is not this one.
        if let Some(entry) = pass.entry.filter(|_| !packet.is_reply() && pass.tracked.is_none()) {
            seen.first = Some((entry.destination, entry.destination_port));
        }
        seen
    }

    /// What belongs to a VRF comes in by it behind PREROUTING, which sees it twice: by the member
    /// and by the VRF. What is sent in a VRF passes OUTPUT twice as well (drivers/net/vrf.c,
    /// `vrf_l3_rcv` and `vrf_l3_out`).
    fn see_vrf(&self, seen: &mut filter::Packet, pass: &Pass) {
        match self.vrf_of(pass) {
            None | Some(l3::Domain::Default) => {}
            Some(l3::Domain::Unknown) => {
                seen.in_device = Device::Unknown;
                seen.out_device = Device::Unknown;
            }
            Some(l3::Domain::Vrf(vrf)) if pass.input.is_some() => match pass.stage {
                Stage::Input | Stage::Forward => seen.in_device = Device::Known(vrf.name().into()),
                _ => seen.in_device = Device::Unknown,
            },
            Some(l3::Domain::Vrf(_)) => seen.out_device = Device::Unknown,
        }
    }

    /// Where nft was captured and iptables was not, rules of the old tool may stand beside, which nft
    /// does not print.
    fn assume_no_legacy(&self, way: &mut Way, pass: &mut Pass, family: Family) {
        let filters = self.network.filters();
        let of_nft = filters.ruleset(pass.host, &pass.netns).is_some();
        let saved = filters
            .tables()
            .any(|(host, netns, of, _)| host == pass.host && *netns == pass.netns && of == family);
        let listed = saved || self.network.complete(pass.host, &pass.netns, Topic::Netfilter);
        if pass.beside_said || !of_nft || listed {
            return;
        }
        pass.beside_said = true;
        way.assume("no rules of the old iptables stand beside those of nft: iptables-save was not captured");
    }

    /// Where iptables was captured and nft was not, rules of nft may stand beside.
    fn assume_nothing_beside(&self, way: &mut Way, pass: &mut Pass, family: Family) {
        let filters = self.network.filters();
        let of_nft = filters.ruleset(pass.host, &pass.netns).is_some();
        // Tables that have no rules are not printed.
        let listed = self.network.complete(pass.host, &pass.netns, Topic::Netfilter)
            || filters.tables().any(|(host, netns, of, _)| {
                host == pass.host && *netns == pass.netns && of == family
            });
        if pass.beside_said || of_nft || !listed {
            return;
        }
        pass.beside_said = true;
        way.assume(
            "no nft rules stand beside those of iptables: nft list ruleset was not captured",
        );
    }
}

/// Whether a packet goes to another address than it came in with.
fn is_elsewhere(packet: &Packet, pass: &Pass) -> bool {
    pass.entry.is_some_and(|entry| entry.destination != packet.destination())
}
