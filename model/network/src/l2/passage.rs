//! What the flows of an OVS bridge do with whatever comes in by one of its interfaces, in one VLAN
//! and from one MAC: the tables are walked as for a trace, with all else of the packet open.
use std::collections::BTreeMap;

use tapline_core::ids::Mac;
use tapline_core::records::openflow::OfField;
use tapline_core::span::Evidence;
use tapline_topology::graph::OvsBridge;
use tapline_topology::{EdgeKind, NodeId};

use crate::flow::{FlowPacket, Limits, Path, Sink, Stop, Tables, Value};
use crate::{Item, Network, flows};

/// So much is walked for one question: where more ways are open, nothing is said.
const LIMITS: Limits = Limits { paths: 64, lookups: 2048, depth: 64, record: false };

/// What guests talk in: IPv4 and IPv6. What else passes is of no use to them.
const IP: [u128; 2] = [0x0800, 0x86dd];

/// What comes into a bridge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Arriving {
    /// The interface of the bridge.
    pub(crate) interface: NodeId,
    /// Its VLAN on the wire, 0 without a tag; `None` where it may be any.
    pub(crate) vlan: Option<u16>,
    /// Who sends it, where that is known.
    pub(crate) from: Option<Mac>,
    /// Whom it is meant for, where that is known.
    pub(crate) to: Option<Mac>,
    /// The key of its tunnel, where it comes in by one and that is known.
    pub(crate) key: Option<u64>,
}

/// How frames leave by an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sent {
    /// The VLAN that they are in then, 0 without a tag, where it is one.
    pub(crate) vlan: Option<u16>,
    /// The key of the tunnel that they are given, where it is one.
    pub(crate) key: Option<u64>,
}

impl Sent {
    /// What is the same for both.
    fn common(self, other: Self) -> Self {
        Self {
            vlan: self.vlan.filter(|vlan| other.vlan == Some(*vlan)),
            key: self.key.filter(|key| other.key == Some(*key)),
        }
    }
}

/// Where it may go.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    /// The interfaces that flows name, with how frames leave by them.
    pub(crate) outputs: BTreeMap<NodeId, Sent>,
    /// Some goes on as a learning switch sends it.
    pub(crate) normal: bool,
    /// The VLAN that it is in then, where it is one.
    pub(crate) vlan: Option<u16>,
    /// Nothing goes on but to the controller, of which it is not known what it does with a packet.
    pub(crate) controller: bool,
    /// The flow that decides first, or the heading of a dump in which none matches.
    pub(crate) evidence: Evidence,
}

impl Passage {
    /// Whether the flows drop all of it.
    pub(crate) fn is_drop(&self) -> bool {
        self.outputs.is_empty() && !self.normal && !self.controller
    }
}

/// What guests send that is of use to them: TCP, UDP and ICMP, of each version of IP. From the port 0
/// nobody sends: it stands for all but those that ask for an address.
const USUAL: [(u128, u8); 6] =
    [(0x0800, 6), (0x86dd, 6), (0x0800, 17), (0x86dd, 17), (0x0800, 1), (0x86dd, 58)];

/// Whether flows lead on anything that a guest sends but what asks for an address or for neighbours.
fn is_of_use(tables: &Tables<'_>, frame: &FlowPacket) -> bool {
    USUAL.iter().any(|(kind, protocol)| {
        let mut packet = frame.clone();
        packet.set(OfField::EthType, Value::of(*kind));
        packet.set(OfField::IpProto, Value::of(u128::from(*protocol)));
        match protocol {
            17 => packet.set(OfField::TpSrc, Value::of(0)),
            1 => packet.set(OfField::IcmpType, Value::of(8)),
            58 => packet.set(OfField::IcmpType, Value::of(128)),
            _ => {}
        }
        let paths = tables.run(&packet, LIMITS);
        paths.iter().any(|path| path.stop.is_some() || !path.effects.is_empty())
    })
}

/// What flows do with a frame that holds either version of IP.
fn walk<'t>(tables: &Tables<'t>, frame: &FlowPacket) -> Vec<Path<'t>> {
    let all = IP.iter().flat_map(|kind| {
        let mut packet = frame.clone();
        packet.set(OfField::EthType, Value::of(*kind));
        tables.run(&packet, LIMITS)
    });
    all.collect()
}

/// Whether all that comes in goes to groups that were not captured.
pub(crate) fn is_left_to_groups(
    network: &Network<'_>,
    bridge: Item<'_, OvsBridge>,
    arriving: Arriving,
) -> bool {
    let switch = network.ovs_switches().of(bridge.id);
    let (Some(tables), Some(number)) =
        (&switch.tables, switch.numbers.get(&arriving.interface).copied())
    else {
        return false;
    };
    let paths = walk(tables, &frame(network, number, arriving));
    let is_group = |path: &Path<'_>| matches!(path.stop, Some(Stop::Group(..)));
    let goes_on =
        |path: &Path<'_>| !path.effects.is_empty() || path.stop.is_some() && !is_group(path);
    paths.iter().any(is_group) && !paths.iter().any(goes_on)
}

/// What complete flows say; `None` where they were not captured, or leave it open.
pub(crate) fn passage(
    network: &Network<'_>,
    bridge: Item<'_, OvsBridge>,
    arriving: Arriving,
) -> Option<Passage> {
    let switch = network.ovs_switches().of(bridge.id);
    let tables = switch.tables.as_ref()?;
    let number = *switch.numbers.get(&arriving.interface)?;
    let frame = frame(network, number, arriving);
    let paths = walk(tables, &frame);
    let is_foreign = |sender| switch.is_foreign(arriving.interface, sender);
    let is_of_use = !arriving.from.is_some_and(is_foreign) || is_of_use(tables, &frame);
    let (mut decides, mut drops) = (None, None);
    let mut passage = Passage {
        outputs: BTreeMap::new(),
        normal: false,
        vlan: None,
        controller: false,
        evidence: flows::first_line(network, switch.source?),
    };
    for path in &paths {
        if path.stop.is_some() {
            return None;
        }
        let last = path.steps.iter().rev().find_map(|step| step.flow);
        let mut goes_on = false;
        for effect in path.effects.iter().filter(|_| is_of_use) {
            goes_on = true;
            let vlan = effect.packet.vlan();
            match &effect.sink {
                Sink::Port(number) => {
                    // To a port that is not there nothing goes.
                    if let Some(interface) = switch.ports.get(number) {
                        let key = tunnel_key(&effect.packet);
                        let sent = Sent { vlan, key };
                        let known = passage.outputs.entry(*interface).or_insert(sent);
                        *known = known.common(sent);
                    }
                }
                Sink::InPort | Sink::Suppressed(_) | Sink::Expired => {}
                Sink::Normal | Sink::Flood | Sink::All => {
                    let before = if passage.normal { passage.vlan } else { vlan };
                    passage.vlan = before.filter(|before| Some(*before) == vlan);
                    passage.normal = true;
                }
                Sink::Controller(_) => passage.controller = true,
                Sink::Named(_) | Sink::Unknown(_) => return None,
            }
        }
        let first = if goes_on { &mut decides } else { &mut drops };
        *first = first.or_else(|| switch.line(last?));
    }
    passage.controller &= passage.outputs.is_empty() && !passage.normal;
    let decides = if passage.is_drop() { drops.or(decides) } else { decides.or(drops) };
    if let Some(decides) = decides {
        passage.evidence = decides;
    }
    Some(passage)
}

/// The key of the tunnel that a packet is given, where all of it is known.
fn tunnel_key(packet: &FlowPacket) -> Option<u64> {
    let key = packet.get(OfField::TunId);
    u64::try_from(key.value)
        .ok()
        .filter(|_| key.known & u128::from(u64::MAX) == u128::from(u64::MAX))
}

fn frame(network: &Network<'_>, number: u32, arriving: Arriving) -> FlowPacket {
    let mut frame = FlowPacket::arriving(number);
    if !network.topology.into(arriving.interface, EdgeKind::TunnelOf).is_empty() {
        let key = arriving.key.map_or(Value::UNKNOWN, |key| Value::of(u128::from(key)));
        frame.set(OfField::TunId, key);
    }
    for field in [OfField::PktMark, OfField::Mpls, OfField::PacketType] {
        frame.set(field, Value::of(0));
    }
    match arriving.vlan {
        Some(0) => frame.set(OfField::VlanTci, Value::of(0)),
        Some(vlan) => frame.set_vlan(vlan),
        None => {}
    }
    for (field, mac) in [(OfField::EthSrc, arriving.from), (OfField::EthDst, arriving.to)] {
        if let Some(Mac(bytes)) = mac {
            let number = bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte));
            frame.set(field, Value::of(number));
        }
    }
    frame
}
