//! What the flows of an OVS bridge do with whatever comes in by one of its interfaces, in one VLAN
//! and from one MAC: the tables are walked as for a trace, with all else of the packet open.
use std::collections::BTreeMap;

use tapline_core::ids::Mac;
use tapline_core::records::openflow::OfField;
use tapline_core::span::Evidence;
use tapline_topology::NodeId;
use tapline_topology::graph::OvsBridge;

use crate::flow::{FlowPacket, Limits, Sink, Value};
use crate::{Item, Network, flows};

/// So much is walked for one question: where more ways are open, nothing is said.
const LIMITS: Limits = Limits { paths: 64, lookups: 2048, depth: 64, record: false };

/// What comes into a bridge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Arriving {
    /// The interface of the bridge.
    pub(crate) interface: NodeId,
    /// Its VLAN on the wire, 0 without a tag; `None` where it may be any.
    pub(crate) vlan: Option<u16>,
    /// Who sends it, where that is known.
    pub(crate) from: Option<Mac>,
}

/// Where it may go.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    /// The interfaces that flows name, with the VLAN that frames leave by them in, where it is one.
    pub(crate) outputs: BTreeMap<NodeId, Option<u16>>,
    /// Some goes on as a learning switch sends it.
    pub(crate) normal: bool,
    /// The VLAN that it is in then, where it is one.
    pub(crate) vlan: Option<u16>,
    /// The flow that decides first, or the heading of a dump in which none matches.
    pub(crate) evidence: Evidence,
}

impl Passage {
    /// Whether the flows drop all of it.
    pub(crate) fn is_drop(&self) -> bool {
        self.outputs.is_empty() && !self.normal
    }
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
    let paths = tables.run(&frame(number, arriving), LIMITS);
    let (mut decides, mut to_controller) = (None, false);
    let mut passage = Passage {
        outputs: BTreeMap::new(),
        normal: false,
        vlan: None,
        evidence: flows::first_line(network, switch.source?),
    };
    for path in &paths {
        if path.stop.is_some() {
            return None;
        }
        let last = path.steps.iter().rev().find_map(|step| step.flow);
        decides = decides.or_else(|| switch.line(last?));
        for effect in &path.effects {
            let vlan = effect.packet.vlan();
            match &effect.sink {
                Sink::Port(number) => {
                    // To a port that is not there nothing goes.
                    if let Some(interface) = switch.ports.get(number) {
                        let known = passage.outputs.entry(*interface).or_insert(vlan);
                        *known = known.filter(|known| Some(*known) == vlan);
                    }
                }
                Sink::InPort | Sink::Suppressed(_) => {}
                Sink::Normal | Sink::Flood | Sink::All => {
                    let before = if passage.normal { passage.vlan } else { vlan };
                    passage.vlan = before.filter(|before| Some(*before) == vlan);
                    passage.normal = true;
                }
                Sink::Controller => to_controller = true,
                Sink::Named(_) | Sink::Unknown(_) => return None,
            }
        }
    }
    // What the controller does with a packet is not known.
    if to_controller && passage.is_drop() {
        return None;
    }
    if let Some(decides) = decides {
        passage.evidence = decides;
    }
    Some(passage)
}

fn frame(number: u32, arriving: Arriving) -> FlowPacket {
    let mut frame = FlowPacket::arriving(number);
    for field in [OfField::PktMark, OfField::Mpls, OfField::PacketType] {
        frame.set(field, Value::of(0));
    }
    match arriving.vlan {
        Some(0) => frame.set(OfField::VlanTci, Value::of(0)),
        Some(vlan) => frame.set_vlan(vlan),
        None => {}
    }
    if let Some(Mac(bytes)) = arriving.from {
        let number = bytes.iter().fold(0, |number, byte| number << 8 | u128::from(*byte));
        frame.set(OfField::EthSrc, Value::of(number));
    }
    frame
}
