//! OVS bridges: the flows that a packet meets, and the ports that it leaves by.

use tapline_core::Name;
use tapline_core::need::Need;
use tapline_core::records::openflow::{OfField, VLAN_PRESENT};
use tapline_core::span::Evidence;
use tapline_topology::graph::OvsBridge;
use tapline_topology::{EdgeKind, NodeId};

use crate::flow::{self, Limits, Sink, Stop};
use crate::l2::Why;
use crate::near::Near;
use crate::ovs_switches::Switch;
use crate::truth::Truth;
use crate::{Item, flows};

use super::normal::{self, Normal};
use super::ovn::Handled;
use super::switch_words::{deciding, doubtful, drop_reason, path_words};
use super::{
    Certainty, Considered, Doubt, End, FlowDetails, Goal, Hop, Kind, Nearest, Outcome, Packet,
    Place, Reason, Walk, Way,
};

/// Where one copy of a packet goes.
enum Out {
    Interface(NodeId),
    Lost(Reason, Option<Evidence>),
    Nowhere(Reason),
    Controller(Option<Handled>),
    Unknown(Reason, Vec<Need>),
}

/// A copy of a packet on its way out of a bridge.
struct Copy {
    packet: Packet,
    /// It is one of several of which one may be meant.
    open: bool,
    out: Out,
    words: Option<String>,
    evidence: Vec<Evidence>,
    certainty: Certainty,
}

impl<'a> Walk<'_, '_, 'a> {
    /// An OVS bridge receives a packet on one of its interfaces.
    pub(super) fn switch(&mut self, mut way: Way, node: NodeId) {
        let network = self.network;
        let Some(interface) = network.ovs_interface(node) else { return };
        let place = self.place(node);
        let bridge = network.bridge_called(interface.host, &interface.data.bridge);
        let Some(bridge) = bridge else {
            self.unknown(&mut way, place, Reason::NotCaptured, Vec::new());
            return;
        };
        let stopped = network.stopped_by_switch(node);
        if let Some(block) = stopped.filter(|block| block.why != Why::NoForwarding) {
            let reason = super::device::reason(&block.why);
            self.lost(&mut way, Outcome::Blackholed, reason, place, Some(block.evidence));
            return;
        }
        let switch = self.network.ovs_switches().of(bridge.id);
        let number = switch.numbers.get(&node).copied();
        let tunnel = TunnelFields::of(&way.packet);
        way.packet.frame.enter(number.unwrap_or(u32::MAX));
        if network.topology.into(node, EdgeKind::TunnelOf).is_empty() {
            way.packet.leave_tunnel();
        } else {
            tunnel.put(&mut way.packet);
        }
        if self.goes_round(&mut way, node) {
            return;
        }
        let Some(tables) = switch.tables.as_ref() else {
            if network.is_plain(bridge.id) {
                let packet = way.packet.clone();
                let copies = self.normal(switch, bridge, node, &packet);
                let hop = self.switch_hop(bridge, node, "NORMAL: no controller programs it");
                let hop = Hop { certainty: Certainty::Inferred, ..hop };
                self.send_copies(way, node, &hop, copies);
            } else {
                let needs = vec![flows::command(bridge.name())];
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
            }
            return;
        };
        if number.is_none() {
            let needs = vec![Need::about(tapline_topology::Topic::OfPorts, bridge.name())];
            self.unknown(&mut way, place, Reason::NotCaptured, needs);
            return;
        }
        if crate::defs::is_kernel_datapath(bridge.data) {
            way.packet.frame.tracked = self.tracked_in_zones(bridge.host, &way.packet);
        }
        way.packet.frame.answers = way
            .packet
            .is_reply()
            .then(|| self.committed.get(&bridge.host).cloned().unwrap_or_default());
        let paths = run(tables, &way.packet.frame);
        way.packet.frame.tracked.clear();
        way.packet.frame.answers = None;
        let several = paths.len() > 1;
        if several {
            let (text, evidence) = doubtful(switch, &paths);
            let doubt = Doubt {
                reason: Reason::PacketOpen,
                text,
                place: Place { port: None, ..place.clone() },
                next: Vec::new(),
                evidence,
            };
            self.fork(&mut way, doubt);
        }
        for path in paths {
            let guard = path_words(&path);
            let one = if several { Self::branch(&way, guard) } else { way.clone() };
            self.take_path(one, bridge, node, switch, &path);
        }
    }

    fn switch_hop(
        &self,
        bridge: Item<'a, OvsBridge>,
        input: NodeId,
        action: impl Into<String>,
    ) -> Hop {
        let place = Place {
            host: Some(bridge.host),
            bridge: Some(bridge.name().into()),
            ..Place::default()
        };
        let mut hop = Hop::new(Kind::OvsBridge, place, action);
        hop.input = Some(self.name(input));
        hop
    }

    /// Does what the flows of one path say.
    fn take_path(
        &mut self,
        mut way: Way,
        bridge: Item<'a, OvsBridge>,
        node: NodeId,
        switch: &Switch<'a>,
        path: &flow::Path<'a>,
    ) {
        let tables: Vec<String> = path.steps.iter().map(|step| step.table.to_string()).collect();
        let names = self.tracer.ovn_names();
        let (through, decides) = (names.through(path), names.decides(path));
        let mut action = through.join(" → ");
        for (words, _) in &decides {
            action.push_str(&format!("; {words}"));
        }
        if through.is_empty() {
            action = format!("table {}", tables.join(","));
        }
        let mut hop = self.switch_hop(bridge, node, action);
        hop.cite(decides.iter().map(|(_, at)| *at));
        hop.details.rules = decides.into_iter().map(|(words, at)| (at, words)).collect();
        for step in &path.steps {
            hop.details.flows.push(FlowDetails {
                table: step.table.to_string(),
                priority: step.flow.map(|flow| flow.priority.value),
                cookie: step.flow.and_then(|flow| Some(flow.cookie?.value)),
            });
            if let Some(flow) = step.flow {
                hop.cite(switch.line(flow));
                for action in flows::actions(flow) {
                    if let tapline_core::records::openflow::Action::Ct(ct) = &action.action {
                        let zone = match ct.zone {
                            tapline_core::records::openflow::Zone::Number(zone) => Some(zone),
                            _ => None,
                        };
                        hop.details.tracked.push((zone, ct.commit));
                    }
                }
            }
            if self.explain {
                let count = switch.tables.as_ref().map_or(0, |tables| tables.len(&step.table));
                let what = match step.flow {
                    Some(flow) => format!("priority {} matches", flow.priority.value),
                    None => "none matches".to_owned(),
                };
                let back = if step.recirculated { " behind conntrack" } else { "" };
                way.considered.push(Considered {
                    text: format!("table {}{back}: of {count} flows {what}", step.table),
                    evidence: step.flow.and_then(|flow| switch.line(flow)).into_iter().collect(),
                });
            }
            if step.ambiguous {
                hop.certainty = Certainty::Disputed;
            }
        }
        let seen = path
            .steps
            .iter()
            .filter_map(|step| step.flow)
            .min_by_key(|flow| flow.n_packets.unwrap_or(u64::MAX));
        hop.observed = seen.and_then(|flow| {
            let packets = flow.n_packets.filter(|packets| *packets > 0)?;
            let age = flow.idle_age.map_or(String::new(), |age| format!(", {age} s ago"));
            Some(format!("{packets} packets{age}"))
        });
        if !path.certain {
            hop.certainty = hop.certainty.min(Certainty::Inferred);
        }
        if !path.made.is_empty() {
            let made = self.made_by_flows.entry(bridge.host).or_default();
            made.extend(path.made.iter().filter(|_| path.stop.is_none()).cloned());
        }
        let mut copies = Vec::new();
        for effect in &path.effects {
            let mut packet = Packet { frame: effect.packet.clone(), ..way.packet.clone() };
            packet.frame.tracked.clear();
            packet.frame.answers = None;
            let evidence = self
                .network
                .ovs_switches()
                .of(bridge.id)
                .source
                .map(|source| Evidence { source, span: effect.action });
            let copy = |out| Copy {
                packet: packet.clone(),
                open: false,
                out,
                words: None,
                evidence: Vec::new(),
                certainty: Certainty::Proven,
            };
            match &effect.sink {
                Sink::Port(number) => copies.push(copy(match switch.ports.get(number) {
                    // Whatever sends it there (`compose_output_action__`).
                    Some(interface) if self.are_protected(switch, node, *interface).is_some() => {
                        let at = self.are_protected(switch, node, *interface);
                        Out::Lost(Reason::L2DeadEnd, at)
                    }
                    Some(interface) => Out::Interface(*interface),
                    None => Out::Lost(Reason::OfOutputNonexistent, evidence),
                })),
                Sink::Expired => copies.push(copy(Out::Lost(Reason::TtlExceeded, evidence))),
                Sink::InPort => copies.push(copy(Out::Interface(node))),
                Sink::Suppressed(_) => copies.push(copy(Out::Nowhere(Reason::OfSameInPort))),
                Sink::Normal => copies.extend(self.normal(switch, bridge, node, &packet)),
                // Ports each get a copy, members of a bond too (`flood_packets`).
                sink @ (Sink::Flood | Sink::All) => {
                    let ports = self.network.switch_ports();
                    for (_, interfaces) in &switch.bundles {
                        let meant = interfaces.iter().filter(|port| {
                            **port != node
                                && (*sink == Sink::All || ports.is_flooded(**port))
                                && self.are_protected(switch, node, **port).is_none()
                        });
                        copies.extend(meant.map(|port| copy(Out::Interface(*port))));
                    }
                }
                Sink::Controller(asked) => match asked.map(Handled::of) {
                    Some(Some(Handled::Noted)) => {}
                    handled => copies.push(copy(Out::Controller(handled.flatten()))),
                },
                Sink::Named(name) => {
                    let port = self.network.interface_called(bridge.host, name);
                    copies.push(copy(match port {
                        Some(port) => Out::Interface(port.id),
                        None => Out::Unknown(Reason::NotCaptured, Vec::new()),
                    }));
                }
                Sink::Unknown(_) => {
                    copies.push(copy(Out::Unknown(Reason::NotModelled, Vec::new())));
                }
            }
        }
        if let Some(stop) = &path.stop {
            let (reason, needs) = match stop {
                Stop::Action(..) => (Reason::NotModelled, Vec::new()),
                Stop::Group(..) => {
                    let need = Need::command("ovs-ofctl -O OpenFlow13 dump-groups");
                    (Reason::NotCaptured, vec![need.with(bridge.name())])
                }
                Stop::Limit(_) => (Reason::OfDepthLimit, Vec::new()),
            };
            copies.push(Copy {
                packet: way.packet.clone(),
                open: false,
                out: Out::Unknown(reason, needs),
                words: None,
                evidence: Vec::new(),
                certainty: Certainty::Inferred,
            });
        }
        if copies.is_empty() {
            // A flow drops what comes from a port that the agent has not wired.
            let port = self.network.ovs_interface(node);
            let port = port.and_then(|port| {
                let port = self.network.topology.find_ovs_port(port.host, &port.data.port)?;
                self.network.ovs_port(port)
            });
            let is_dead = port.is_some_and(|port| {
                crate::l2::access_vlan(port.data) == Some(crate::defs::DEAD_VLAN)
            });
            let reason = if is_dead { Reason::DeadVlan } else { drop_reason(path) };
            let before = way.packet.clone();
            let evidence: Vec<_> = deciding(path).filter_map(|flow| switch.line(flow)).collect();
            if self.explain
                && let Some(tables) = &switch.tables
            {
                let near = tables.nearest(&way.packet.frame).into_iter();
                let near = near.filter_map(|(change, flow)| {
                    Some(Near { change, evidence: switch.line(flow)? })
                });
                hop.details.nearest = Nearest::of(&near.collect::<Vec<_>>());
            }
            self.hop(&mut way, &before, hop);
            let place = Place {
                host: Some(bridge.host),
                bridge: Some(bridge.name().into()),
                port: Some(self.name(node)),
                ..Place::default()
            };
            self.lost(&mut way, Outcome::Dropped, reason, place, evidence);
            return;
        }
        self.send_copies(way, node, &hop, copies);
    }

    /// What says that two ports, both `protected`, exchange no frames.
    fn are_protected(&self, switch: &Switch<'a>, from: NodeId, to: NodeId) -> Option<Evidence> {
        let port = |interface: NodeId| {
            let bundle = switch.bundles.iter().find(|(_, all)| all.contains(&interface));
            bundle.map(|(port, _)| *port)
        };
        let block = self.network.switch_ports().blocked_between(port(from)?, port(to)?)?;
        Some(block.evidence)
    }

    /// The end of a packet that the controller gets.
    fn at_controller(&self, handled: Option<Handled>, place: Place, packet: &Packet) -> End {
        let (outcome, reason, reached, text) = match handled {
            Some(Handled::Dhcp) if self.goal == Goal::Dhcp => {
                (Outcome::Delivered, None, Truth::Yes, "ovn-controller answers it")
            }
            Some(Handled::Refused) => {
                let text = "ovn-controller tells the sender that it is lost";
                (Outcome::Rejected, Some(Reason::OfDrop), Truth::No, text)
            }
            Some(Handled::Asked) => {
                let text = "ovn-controller asks for the MAC of its next hop";
                (Outcome::Unknown, Some(Reason::NeighAbsent), Truth::Maybe, text)
            }
            _ => {
                let text = "the controller gets it";
                (Outcome::Unknown, Some(Reason::NotModelled), Truth::Maybe, text)
            }
        };
        End { reason, reached, ..End::new(outcome, text, place, packet) }
    }

    /// What a learning switch does with a packet.
    fn normal(
        &self,
        switch: &Switch<'a>,
        bridge: Item<'a, OvsBridge>,
        node: NodeId,
        packet: &Packet,
    ) -> Vec<Copy> {
        let gone = |member| self.is_without(member);
        match normal::forward(self.network, switch, bridge, node, packet, gone) {
            Normal::Lost { reason, evidence } => vec![Copy {
                packet: packet.clone(),
                open: false,
                out: Out::Lost(reason, evidence),
                words: Some("NORMAL".to_owned()),
                evidence: evidence.into_iter().collect(),
                certainty: Certainty::Proven,
            }],
            Normal::Open => vec![Copy {
                packet: packet.clone(),
                open: false,
                out: Out::Unknown(Reason::NeighAbsent, Vec::new()),
                words: Some("NORMAL".to_owned()),
                evidence: Vec::new(),
                certainty: Certainty::Inferred,
            }],
            Normal::To { outputs, dead, open, words, evidence, certainty } => outputs
                .into_iter()
                .map(|(interface, vlans)| {
                    let mut packet = packet.clone();
                    retag(&mut packet, &vlans);
                    Copy {
                        packet,
                        open,
                        out: Out::Interface(interface),
                        words: Some(format!("NORMAL, {words}")),
                        evidence: evidence.into_iter().collect(),
                        certainty,
                    }
                })
                .chain(dead.map(|at| Copy {
                    packet: packet.clone(),
                    open: false,
                    out: Out::Lost(Reason::DeadVlan, Some(at)),
                    words: Some("NORMAL".to_owned()),
                    evidence: vec![at],
                    certainty: Certainty::Proven,
                }))
                .collect(),
        }
    }

    fn send_copies(&mut self, mut way: Way, node: NodeId, hop: &Hop, copies: Vec<Copy>) {
        let several = copies.len() > 1;
        let open = copies.iter().filter(|copy| copy.open).count();
        let bridge = self.network.ovs_interface(node).map(|port| port.data.bridge.clone());
        let learnt = Doubt {
            reason: Reason::NotCaptured,
            text: "what the bridge has learnt was not captured".to_owned(),
            place: Place { device: None, port: None, ..self.place(node) },
            next: Self::next(
                &self.place(node),
                vec![Need::about(
                    tapline_topology::Topic::OvsFdb,
                    bridge.as_deref().unwrap_or_default(),
                )],
            ),
            evidence: Vec::new(),
        };
        let mut one_of: Option<Way> = None;
        if several && open == copies.len() {
            self.fork(&mut way, learnt.clone());
        } else if several {
            self.copies(&mut way);
            if open > 0 {
                let mut some = Self::branch(&way, "as it was learnt");
                self.fork(&mut some, learnt);
                one_of = Some(some);
            }
        }
        let before = way.packet.clone();
        for copy in copies {
            let name = match &copy.out {
                Out::Interface(id) => Some(self.name(*id)),
                _ => None,
            };
            let mut one = match &one_of {
                Some(some) if copy.open => some.clone(),
                _ => way.clone(),
            };
            if several {
                let to = name.as_ref().map_or("elsewhere", Name::as_str);
                one.guard = Some(format!("to {to}"));
            }
            one.packet = copy.packet;
            let mut hop = hop.clone();
            if let Some(words) = &copy.words {
                hop.action = format!("{} {words}", hop.action);
            }
            hop.output = name;
            hop.certainty = hop.certainty.min(copy.certainty);
            hop.cite(copy.evidence);
            if let Out::Interface(id) = &copy.out
                && let Some(port) = self.network.ovs_interface(*id)
                && port.kind == "internal"
                && self.is_of_kernel(port)
            {
                let device = self.network.device_of(*id);
                hop.mtu = device.and_then(|device| device.mtu.as_ref().map(|mtu| mtu.value));
            }
            let tunnelled = matches!(&copy.out, Out::Interface(id)
                if !self.network.topology.into(*id, EdgeKind::TunnelOf).is_empty());
            if tunnelled {
                let key = one.packet.frame.known(OfField::TunId.whole());
                hop.vni = key.and_then(|key| u64::try_from(key).ok());
            }
            self.hop(&mut one, &before, hop);
            let place = Place { device: None, ..self.place(node) };
            match copy.out {
                Out::Interface(id) => self.leave_switch(one, id),
                Out::Lost(reason, evidence) => {
                    self.lost(&mut one, Outcome::Blackholed, reason, place, evidence);
                }
                Out::Nowhere(reason) => {
                    self.lost(&mut one, Outcome::Dropped, reason, place, None);
                }
                Out::Unknown(reason, needs) => self.unknown(&mut one, place, reason, needs),
                Out::Controller(handled) => {
                    let place = Place { controller: true, port: None, ..place };
                    let end = self.at_controller(handled, place, &one.packet);
                    self.end(&mut one, end);
                }
            }
        }
    }
}

/// What the tables do with a packet. One whose size was not asked about is small: `check_pkt_larger`
/// lets it pass, as every MTU does.
fn run<'a>(tables: &flow::Tables<'a>, frame: &flow::FlowPacket) -> Vec<flow::Path<'a>> {
    /// The least that Ethernet sends.
    const SMALL: u32 = 60;
    if frame.size.is_some() {
        return tables.run(frame, Limits::default());
    }
    let mut small = frame.clone();
    small.size = Some(SMALL);
    let mut paths = tables.run(&small, Limits::default());
    for effect in paths.iter_mut().flat_map(|path| &mut path.effects) {
        effect.packet.size = None;
    }
    paths
}

/// The fields of the tunnel that a packet came by.
struct TunnelFields(Vec<(OfField, flow::Value)>);

impl TunnelFields {
    fn of(packet: &Packet) -> Self {
        use OfField as F;
        let all = [F::TunId, F::TunSrc, F::TunDst, F::TunIpv6Src, F::TunIpv6Dst, F::TunFlags];
        Self(all.into_iter().map(|field| (field, packet.frame.get(field))).collect())
    }

    fn put(self, packet: &mut Packet) {
        for (field, value) in self.0 {
            packet.frame.set(field, value);
        }
    }
}

/// Gives a packet these tags, the outer one first.
fn retag(packet: &mut Packet, vlans: &[u16]) {
    let priority = packet.frame.get(OfField::VlanTci);
    while packet.vlans().is_none_or(|all| !all.is_empty()) {
        packet.frame.pop_tag();
    }
    for vid in vlans.iter().rev() {
        packet.frame.push_tag();
        packet.frame.set_vlan(*vid);
    }
    if !vlans.is_empty() && priority.value & VLAN_PRESENT != 0 {
        let tag = packet.frame.get(OfField::VlanTci);
        let value = tag.value & 0x1fff | priority.value & 0xe000;
        packet.frame.set(OfField::VlanTci, flow::Value { value, known: tag.known });
    }
}
