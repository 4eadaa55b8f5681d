//! Everything that could be drawn, thing by thing: what [`super::fold`] makes a picture of.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;
use tapline_core::span::Evidence;
use tapline_network::{Answer, Network, Side, Sides, overlay};
use tapline_topology::graph::Confidence;
use tapline_topology::{CaptureKey, EdgeKind, NodeData, NodeId, Topology};

use super::marks::Found;
use super::{Column, Fate, Kind, Spot, Tie, Told, Wanted, homes, orient};

/// All boxes and wires, unfolded.
pub(super) struct Draft<'t, 'a> {
    pub(super) topology: &'t Topology<'a>,
    pub(super) cards: Vec<DraftCard>,
    pub(super) wires: Vec<DraftWire>,
    /// Where each node is drawn.
    pub(super) spots: BTreeMap<NodeId, Spot>,
    /// What became of nodes, where two captures are compared.
    told: Option<BTreeMap<NodeId, Told>>,
}

/// A box.
pub(super) struct DraftCard {
    pub(super) host: Option<HostId>,
    pub(super) kind: Kind,
    /// All nodes of it that are in no row, the one that it is named after first.
    pub(super) nodes: Vec<NodeId>,
    pub(super) rows: Vec<DraftRow>,
    pub(super) drawn: bool,
    pub(super) focus: bool,
}

/// A row of a box.
pub(super) struct DraftRow {
    /// The one that it is named after first.
    pub(super) nodes: Vec<NodeId>,
    pub(super) column: Column,
    pub(super) confidence: Confidence,
    pub(super) drawn: bool,
    pub(super) focus: bool,
    /// It is beside the path in focus: all such rows of a box are one.
    pub(super) beside: bool,
}

/// A line.
pub(super) struct DraftWire {
    pub(super) from: Spot,
    pub(super) to: Spot,
    pub(super) tie: Tie,
    pub(super) confidence: Confidence,
    /// What says so, and where.
    pub(super) says: Option<(String, Evidence)>,
}

impl<'a> Draft<'_, 'a> {
    pub(super) fn new(network: &Network<'a>, wanted: &Wanted<'_>) -> Draft<'a, 'a> {
        let topology = network.topology;
        let mut draft = Draft {
            topology,
            cards: Vec::new(),
            wires: Vec::new(),
            spots: BTreeMap::new(),
            told: wanted.told.cloned(),
        };
        draft.place(wanted);
        draft.tie();
        draft.tie_tunnels_to_devices(network);
        draft.choose_columns();
        draft.part_equals();
        orient::towards_wire(&mut draft);
        draft
    }

    /// The row of a spot.
    pub(super) fn row(&self, spot: Spot) -> Option<&DraftRow> {
        self.cards.get(spot.card)?.rows.get(spot.row?)
    }

    /// The nodes that are drawn at a spot.
    pub(super) fn nodes(&self, spot: Spot) -> &[NodeId] {
        match spot.row {
            None => self.cards.get(spot.card).map_or(&[], |card| card.nodes.as_slice()),
            Some(_) => self.row(spot).map_or(&[], |row| row.nodes.as_slice()),
        }
    }

    /// What became of what is at a spot; `None` where nothing is compared.
    pub(super) fn fate(&self, spot: Spot) -> Option<Fate> {
        let told = self.told.as_ref()?;
        let fates = self.nodes(spot).iter().filter_map(|node| Some(told.get(node)?.fate));
        Some(fates.max().unwrap_or(Fate::Same))
    }

    /// The same in words.
    pub(super) fn told(&self, spot: Spot) -> Vec<String> {
        let Some(told) = &self.told else { return Vec::new() };
        let mut all: Vec<String> = Vec::new();
        for words in self.nodes(spot).iter().filter_map(|node| told.get(node)) {
            for word in &words.words {
                if !all.contains(word) {
                    all.push(word.clone());
                }
            }
        }
        all
    }

    /// Whether what is at a spot was changed, came or went.
    fn is_touched(&self, spot: Spot) -> bool {
        self.fate(spot).is_some_and(|fate| fate > Fate::Same)
    }

    /// Whether what is at a spot is drawn.
    pub(super) fn is_drawn(&self, spot: Spot) -> bool {
        let card = self.cards.get(spot.card).is_some_and(|card| card.drawn);
        card && spot.row.is_none_or(|_| self.row(spot).is_some_and(|row| row.drawn))
    }

    /// Whether a wire is drawn: both of its ends are, and neither is beside what was asked for.
    pub(super) fn is_wire_drawn(&self, wire: &DraftWire) -> bool {
        [wire.from, wire.to]
            .into_iter()
            .all(|spot| self.is_drawn(spot) && self.row(spot).is_none_or(|row| !row.beside))
    }

    /// Puts each node into its box.
    fn place(&mut self, wanted: &Wanted<'_>) {
        let topology = self.topology;
        // By host, in an order that is not that of the inputs; what is on none comes last.
        let mut nodes: Vec<_> = topology.nodes().map(|(id, node)| (id, node.host)).collect();
        let keys: BTreeMap<HostId, Option<CaptureKey>> = nodes
            .iter()
            .filter_map(|(_, host)| *host)
            .collect::<BTreeSet<_>>()
            .into_iter()
            .map(|host| (host, CaptureKey::of(topology.snapshot, host)))
            .collect();
        nodes
            .sort_by_key(|(id, host)| (host.is_none(), host.and_then(|host| keys.get(&host)), *id));
        let mut by_main: BTreeMap<NodeId, usize> = BTreeMap::new();
        let mut rows: BTreeMap<NodeId, Spot> = BTreeMap::new();
        for (id, _) in nodes {
            let Some((main, row)) = homes::of(topology, id) else { continue };
            let at = *by_main.entry(main).or_insert_with(|| {
                self.cards.push(DraftCard {
                    host: topology.node(main).and_then(|node| node.host),
                    kind: homes::kind(topology, main),
                    nodes: vec![main],
                    rows: Vec::new(),
                    drawn: wanted.nodes.is_none(),
                    focus: false,
                });
                self.cards.len() - 1
            });
            let Some(card) = self.cards.get_mut(at) else { continue };
            let chosen = wanted.nodes.is_none_or(|nodes| nodes.contains(&id));
            let focus = wanted.focus.contains(&id);
            card.drawn |= chosen;
            let spot = match row {
                None => {
                    if !card.nodes.contains(&id) {
                        card.nodes.push(id);
                    }
                    card.focus |= focus;
                    Spot { card: at, row: None }
                }
                Some(row) => {
                    let spot = *rows.entry(row).or_insert_with(|| {
                        card.rows.push(DraftRow {
                            nodes: vec![row],
                            column: Column::Guests,
                            confidence: Confidence::Proven,
                            drawn: true,
                            focus: false,
                            beside: wanted.nodes.is_some(),
                        });
                        Spot { card: at, row: Some(card.rows.len() - 1) }
                    });
                    if let Some(drawn) = spot.row.and_then(|row| card.rows.get_mut(row)) {
                        if id != row {
                            drawn.nodes.push(id);
                        }
                        drawn.focus |= focus;
                        drawn.beside &= !chosen;
                    }
                    spot
                }
            };
            self.spots.insert(id, spot);
        }
    }

    /// Draws the edges that lead from one place to another; what joins a row with its box only tells
    /// how sure it is that it is one.
    fn tie(&mut self) {
        for (from, edge, to) in self.topology.edges() {
            if matches!(edge.kind, EdgeKind::OnHost | EdgeKind::InNamespace | EdgeKind::HasAddress)
            {
                continue;
            }
            let spot = |id| self.spots.get(&id).copied();
            let (Some(from), Some(to)) = (spot(from), spot(to)) else { continue };
            let inside = from.card == to.card && (from == to || from.row.min(to.row).is_none());
            if inside {
                for spot in [from, to] {
                    let card = self.cards.get_mut(spot.card);
                    let row = card.and_then(|card| card.rows.get_mut(spot.row?));
                    if let Some(row) = row {
                        row.confidence = row.confidence.min(edge.confidence);
                    }
                }
                continue;
            }
            let says = edge.witnesses.first();
            self.wires.push(DraftWire {
                from,
                to,
                tie: Tie::Edge(edge.kind),
                confidence: edge.confidence,
                says: says.map(|witness| (witness.claim.clone(), witness.evidence)),
            });
        }
        let mut seen = BTreeSet::new();
        self.wires.retain(|wire| {
            let turned = (wire.to, wire.from, wire.tie);
            !(wire.tie.is_symmetric() && seen.contains(&turned))
                && seen.insert((wire.from, wire.to, wire.tie))
        });
    }

    /// A tunnel's packets leave by a device that routes tell.
    fn tie_tunnels_to_devices(&mut self, network: &Network<'_>) {
        let mut seen: BTreeSet<(Spot, Spot)> = self
            .wires
            .iter()
            .filter(|wire| wire.tie == Tie::Edge(EdgeKind::StackedOn))
            .map(|wire| (wire.from, wire.to))
            .collect();
        for tunnel in network.tunnels() {
            let Some(Answer::Known(devices)) = overlay::egress(network, tunnel) else { continue };
            for device in devices {
                let spot = |id| self.spots.get(&id).copied();
                let (Some(from), Some(to)) = (spot(tunnel.owner), spot(device.id)) else {
                    continue;
                };
                if from.card == to.card || !seen.insert((from, to)) {
                    continue;
                }
                let local = tunnel.data.local.as_ref();
                let says = local.map(|local| (format!("from {}", local.value), local.evidence));
                let confidence = Confidence::Inferred;
                self.wires.push(DraftWire { from, to, tie: Tie::Sends, confidence, says });
            }
        }
    }

    /// On which side of its bridge a port lies.
    fn choose_columns(&mut self) {
        let topology = self.topology;
        let mut sides = Sides::new(topology);
        for card in &mut self.cards {
            let Some(&main) = card.nodes.first() else { continue };
            for row in &mut card.rows {
                row.column = match card.kind {
                    Kind::Bond => Column::Wire,
                    Kind::Bridge | Kind::Switch => {
                        match side(topology, &mut sides, &row.nodes, main) {
                            Some(Side::Down) => Column::Wire,
                            _ => Column::Guests,
                        }
                    }
                    _ => Column::Guests,
                };
            }
        }
    }

    /// Where two bridges are equally near to the wire, the one with a NIC is nearer for a picture.
    fn part_equals(&mut self) {
        for at in 0..self.wires.len() {
            let Some(wire) = self.wires.get(at) else { continue };
            let (from, to) = (wire.from, wire.to);
            let joins = matches!(wire.tie, Tie::Edge(EdgeKind::VethPeer | EdgeKind::PatchPeer));
            let at_guests = |spot: Spot| {
                let card = self.cards.get(spot.card);
                let of_bridge =
                    card.is_some_and(|card| matches!(card.kind, Kind::Bridge | Kind::Switch));
                of_bridge && self.row(spot).is_some_and(|row| row.column == Column::Guests)
            };
            if !joins || from.card == to.card || !at_guests(from) || !at_guests(to) {
                continue;
            }
            let has_nic = |spot: Spot| {
                let rows = self.cards.get(spot.card).map_or(&[][..], |card| card.rows.as_slice());
                rows.iter()
                    .any(|row| row.nodes.iter().any(|node| homes::is_nic(self.topology, *node)))
            };
            let turned = if has_nic(from) && !has_nic(to) { to } else { from };
            let card = self.cards.get_mut(turned.card);
            if let Some(row) = turned.row.and_then(|row| card?.rows.get_mut(row)) {
                row.column = Column::Wire;
            }
        }
    }

    /// Takes out what nothing uses; how many things that are.
    pub(super) fn leave_out_unused(&mut self, network: &Network<'_>, found: &Found) -> usize {
        let tied: BTreeSet<Spot> =
            self.wires.iter().flat_map(|wire| [wire.from, wire.to]).collect();
        let topology = self.topology;
        let mut left_out = 0;
        let touched: BTreeSet<Spot> =
            self.spots.values().copied().filter(|spot| self.is_touched(*spot)).collect();
        for at in 0..self.cards.len() {
            let Some(card) = self.cards.get_mut(at) else { continue };
            if !card.drawn {
                continue;
            }
            let must = |spot: Spot, focus: bool| {
                focus || tied.contains(&spot) || touched.contains(&spot) || found.is_marked(spot)
            };
            let in_namespace = card.kind == Kind::Netns;
            for (n, row) in card.rows.iter_mut().enumerate() {
                let spot = Spot { card: at, row: Some(n) };
                let Some(&main) = row.nodes.first() else { continue };
                let idle = homes::is_scenery(topology, main)
                    || (in_namespace && !is_used(network, &row.nodes, false));
                if idle && !must(spot, row.focus) {
                    row.drawn = false;
                    left_out += usize::from(!homes::is_scenery(topology, main));
                }
            }
            let Some(&main) = card.nodes.first() else { continue };
            let has_rows = card.rows.iter().any(|row| row.drawn);
            let idle = match card.kind {
                Kind::Vm | Kind::Switch | Kind::Host => false,
                Kind::Remote => true,
                // What is in a namespace that was not captured is not known.
                Kind::Netns => !has_rows && is_captured(topology, main),
                Kind::Device if homes::is_scenery(topology, main) => true,
                Kind::Nic => !has_rows && !is_used(network, &card.nodes, true),
                Kind::Bridge | Kind::Bond | Kind::Device => {
                    !has_rows && !is_used(network, &card.nodes, false)
                }
            };
            if idle && !must(Spot { card: at, row: None }, card.focus) {
                card.drawn = false;
                left_out += usize::from(!homes::is_scenery(topology, main));
            }
        }
        left_out
    }
}

/// On which side of a bridge what is drawn in a row of it lies: a bond where its members do.
fn side(
    topology: &Topology<'_>,
    sides: &mut Sides<'_, '_>,
    nodes: &[NodeId],
    bridge: NodeId,
) -> Option<Side> {
    let &first = nodes.first()?;
    let data = |id: &NodeId| topology.node(*id).map(|node| &node.data);
    let is_interface = |id: &&NodeId| matches!(data(id), Some(NodeData::OvsInterface(_)));
    let member = match nodes.iter().find(is_interface) {
        Some(interface) => *interface,
        None if matches!(data(&first), Some(NodeData::OvsPort(_))) => {
            topology.into(first, EdgeKind::OvsInterfaceOf).first().map(|(id, _)| *id)?
        }
        None => first,
    };
    Some(sides.of(member, bridge))
}

fn is_captured(topology: &Topology<'_>, netns: NodeId) -> bool {
    match topology.node(netns).map(|node| &node.data) {
        Some(NodeData::Netns(data)) => data.captured,
        _ => false,
    }
}

/// Whether something may use a device that is tied to nothing: it has an address, or a link where
/// that is enough.
fn is_used(network: &Network<'_>, nodes: &[NodeId], by_link: bool) -> bool {
    nodes.iter().filter_map(|node| network.netdev(*node)).any(|device| {
        let usable = device.usable() != Some(false);
        let is_wide = |ip: std::net::IpAddr| match ip {
            std::net::IpAddr::V4(ip) => !ip.is_loopback(),
            std::net::IpAddr::V6(ip) => !ip.is_unicast_link_local() && !ip.is_loopback(),
        };
        usable
            && (by_link
                || network.addresses_of(device.id).iter().any(|address| is_wide(address.ip)))
    })
}
