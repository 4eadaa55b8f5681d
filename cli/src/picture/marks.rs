//! What was found at each place of a picture, and in which state things are.
use std::collections::{BTreeMap, BTreeSet};

use tapline_analysis::lint::{Cut, Report, Severity, Subject};
use tapline_core::capture::HostId;
use tapline_topology::{EdgeKind, NodeData};

use super::draft::{Draft, DraftWire};
use super::{Kind, Mark, Spot, State, Tie};
use crate::render::escape::visible;

/// Open findings, by their places in the report.
pub(super) struct Found {
    at: BTreeMap<Spot, Vec<usize>>,
    /// All of a host, wherever they stand.
    pub(super) of_host: BTreeMap<HostId, [usize; 3]>,
    /// The marks of each finding, and whether it stops frames behind a switch.
    marks: Vec<(Mark, bool)>,
}

impl Found {
    /// Those of a report.
    pub(super) fn of(report: &Report, draft: &Draft<'_, '_>) -> Self {
        let mut at: BTreeMap<Spot, Vec<usize>> = BTreeMap::new();
        let mut of_host: BTreeMap<HostId, [usize; 3]> = BTreeMap::new();
        let mut marks = Vec::new();
        for (n, finding) in report.findings.iter().enumerate() {
            let behind = finding.rule.traits.cuts.contains(&Cut::BehindSwitch);
            marks.push((
                Mark { severity: finding.severity, code: visible(&finding.rule.code).into_owned() },
                behind,
            ));
            if !finding.is_open() {
                continue;
            }
            if finding.is_root() {
                let counts = of_host.entry(finding.host).or_default();
                let [errors, warnings, remarks] = counts;
                *match finding.severity {
                    Severity::Error => errors,
                    Severity::Warning => warnings,
                    Severity::Info => remarks,
                } += 1;
            }
            let also = finding.also.iter().filter_map(Subject::id);
            let nodes = finding.node.into_iter().chain(finding.nodes.iter().copied()).chain(also);
            let spots: BTreeSet<Spot> =
                nodes.filter_map(|node| draft.spots.get(&node).copied()).collect();
            for spot in spots {
                at.entry(spot).or_default().push(n);
            }
        }
        Self { at, of_host, marks }
    }

    /// The findings at a place, as places in the report.
    pub(super) fn at(&self, spot: Spot) -> &[usize] {
        self.at.get(&spot).map_or(&[], Vec::as_slice)
    }

    /// Whether something was found that a person has to look at.
    pub(super) fn is_marked(&self, spot: Spot) -> bool {
        self.marks(self.at(spot)).iter().any(|mark| mark.severity > Severity::Info)
    }

    /// The marks of findings, the worst first, each code once.
    pub(super) fn marks(&self, findings: &[usize]) -> Vec<Mark> {
        let mut marks: Vec<Mark> = Vec::new();
        for (mark, _) in findings.iter().filter_map(|finding| self.marks.get(*finding)) {
            match marks.iter_mut().find(|known| known.code == mark.code) {
                Some(known) => known.severity = known.severity.max(mark.severity),
                None => marks.push(mark.clone()),
            }
        }
        // Of equals the cause stays first: roots stand first in a report.
        marks.sort_by_key(|mark| std::cmp::Reverse(mark.severity));
        marks
    }

    /// What was found of a line: it is about both ends, or about a tunnel or patch at one.
    pub(super) fn at_wire(&self, wire: &DraftWire) -> Vec<usize> {
        let crosses = matches!(wire.tie, Tie::Edge(EdgeKind::Tunnel | EdgeKind::PatchPeer));
        let (from, to) = (self.at(wire.from), self.at(wire.to));
        let mut all: Vec<usize> = from.iter().filter(|at| to.contains(at)).copied().collect();
        if crosses {
            let stops = |at: &&usize| self.marks.get(**at).is_some_and(|(_, behind)| *behind);
            let of_row = |spot: Spot, found: &[usize]| {
                let found: Vec<usize> = found.iter().filter(stops).copied().collect();
                if spot.row.is_some() { found } else { Vec::new() }
            };
            all.extend(of_row(wire.from, from));
            all.extend(of_row(wire.to, to));
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// The state of what is at a place.
pub(super) fn state(draft: &Draft<'_, '_>, spot: Spot) -> State {
    let kind = draft.cards.get(spot.card).map(|card| card.kind);
    let own_device = spot.row.is_none() && kind == Some(Kind::Switch);
    let mut worst = State::Fine;
    let mut has_device = false;
    let mut waits_for_device = false;
    for node in draft.nodes(spot) {
        let Some(node) = draft.topology.node(*node) else { continue };
        let of_node = match &node.data {
            // The own device of a switch is down on healthy hosts.
            NodeData::Netdev(_) if own_device => State::Fine,
            NodeData::Netdev(device) => {
                has_device = true;
                let is_known = device.state.is_some() || device.flags.is_some();
                match device.usable() {
                    _ if device.stub => State::Unknown,
                    Some(true) => State::Fine,
                    Some(false) => State::Down,
                    None if is_known => State::Fine,
                    None => State::Unknown,
                }
            }
            NodeData::OvsInterface(interface) => {
                waits_for_device = interface.has_netdev() && !own_device;
                let is_down =
                    interface.link_state.as_ref().is_some_and(|state| state.value == "down");
                let cannot = interface.error.is_some();
                if cannot || (is_down && !interface.has_netdev()) {
                    State::Down
                } else {
                    State::Fine
                }
            }
            NodeData::Vm(vm) => match vm.active {
                Some(true) => State::Fine,
                Some(false) => State::Down,
                None => State::Unknown,
            },
            NodeData::Netns(netns) if !netns.captured => State::Unknown,
            _ => State::Fine,
        };
        worst = match (worst, of_node) {
            (State::Down, _) | (_, State::Down) => State::Down,
            (State::Unknown, _) | (_, State::Unknown) => State::Unknown,
            _ => State::Fine,
        };
    }
    // A port whose device is drawn elsewhere, in its namespace, has its state there.
    let is_open = waits_for_device && !has_device && !is_joined(draft, spot);
    if is_open && worst == State::Fine {
        return State::Unknown;
    }
    worst
}

/// Whether the device of an interface of OVS is known, wherever it is drawn.
fn is_joined(draft: &Draft<'_, '_>, spot: Spot) -> bool {
    draft.nodes(spot).iter().any(|node| !draft.topology.into(*node, EdgeKind::DeviceOf).is_empty())
}
