//! What guests and routers reached before and reach now, each verdict that changed with the change
//! behind it.
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::span::Evidence;
use tapline_network::trace::{Cell, Place, Row, Start, Trace, Tracer};

use super::Diff;
use super::change::Change;
use super::entity::{Class, Key, Kind};
use super::findings::{Index, worsen};
use super::gather::place;
use super::side::Side;

/// Up to so many guests are all asked; of more, those that changed and as many others.
const ALL_ASKED: usize = 150;
/// Ways that are followed once more to find the change behind a verdict.
const MOST_EXPLAINED: usize = 256;

/// How a change is known to be behind a verdict.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// A line that decides the verdict shows it.
    Line,
    /// It is where the packet ends.
    Place,
    /// The packet passed it before, or passes it now.
    Way,
}

/// A verdict that changed.
#[derive(Clone, PartialEq, Debug)]
pub struct VerdictChange {
    /// The host now.
    pub host: HostId,
    /// The guest, or the namespace of a router.
    pub guest: Name,
    /// The device of its NIC.
    pub nic: Option<Name>,
    /// What it asks for: `gateway`, `peer web2`.
    pub to: String,
    /// Whether it was reached.
    pub before: Cell,
    /// Whether it is.
    pub after: Cell,
    /// The change behind it: the host and the change there.
    pub because: Option<(usize, usize, Because)>,
    /// The lines that decide, on each side.
    pub evidence: [Vec<Evidence>; 2],
    /// What was asked for on each side: peers by their addresses.
    asked: [String; 2],
}

impl VerdictChange {
    /// What worked does not work any more.
    pub fn is_lost(&self) -> bool {
        self.before.reached == Some(true) && self.after.reached == Some(false)
    }

    /// What did not work works now.
    pub fn is_mended(&self) -> bool {
        self.before.reached == Some(false) && self.after.reached == Some(true)
    }
}

/// Guests that changes are about.
fn touched(diff: &Diff) -> (BTreeSet<(usize, String)>, bool) {
    let mut guests = BTreeSet::new();
    let mut others = false;
    for (at, host) in diff.hosts.iter().enumerate() {
        for change in host.changes.iter().filter(|change| change.class >= Class::Dynamic) {
            others |= change.key.kind != Kind::Vm && change.key.kind != Kind::VmNic;
            note(change, at, &mut guests);
        }
    }
    (guests, others)
}

fn note(change: &Change, host: usize, guests: &mut BTreeSet<(usize, String)>) {
    match change.key.kind {
        Kind::Vm => {
            guests.insert((host, change.key.id.clone()));
        }
        Kind::VmNic => {
            guests.insert((host, change.key.place.clone()));
        }
        _ => {}
    }
    let vms = change.owners.iter().filter(|owner| owner.kind == Kind::Vm);
    guests.extend(vms.map(|vm| (host, vm.id.clone())));
}

/// One side that is asked.
struct Asked<'t, 's, 'a> {
    side: &'t Side<'s, 'a>,
    tracer: &'t Tracer<'s, 'a>,
    hosts: &'t BTreeMap<HostId, usize>,
    rows: Vec<Row>,
}

/// A NIC of a guest on both sides: host, guest, MAC or device.
type Guest = (usize, String, String);

impl Asked<'_, '_, '_> {
    /// The rows by guest.
    fn by_guest(&self) -> BTreeMap<Guest, &Row> {
        let rows = self.rows.iter().filter_map(|row| {
            let host = *self.hosts.get(&row.host)?;
            let nic = row.mac.map(|mac| mac.to_string());
            let nic = nic.or(row.nic.as_ref().map(ToString::to_string)).unwrap_or_default();
            Some(((host, row.vm.to_string(), nic), row))
        });
        rows.collect()
    }

    /// The ways of a round trip.
    fn ways(&self, start: &Start, to: &str) -> Vec<Trace> {
        let ways = self.tracer.round_trip(start.clone(), to);
        ways.map(|(there, back)| [Some(there), back].into_iter().flatten().collect())
            .unwrap_or_default()
    }
}

/// Compares what is reached. Nothing is asked where nothing changed.
pub(super) fn compare(diff: &mut Diff, old: &Side<'_, '_>, new: &Side<'_, '_>) {
    if diff.worst().is_none_or(|worst| worst < Class::Dynamic) {
        return;
    }
    let (guests, others) = touched(diff);
    let old_hosts: BTreeMap<HostId, usize> =
        diff.hosts.iter().enumerate().map(|(at, host)| (host.old, at)).collect();
    let new_hosts: BTreeMap<HostId, usize> =
        diff.hosts.iter().enumerate().map(|(at, host)| (host.new, at)).collect();
    let (before, after) = (Tracer::new(old.network), Tracer::new(new.network));
    let nics = after.running_nics();
    // Every so manieth of those that no change is about.
    let step = (nics.len() / ALL_ASKED).max(1);
    let mut asked: BTreeSet<(usize, String)> = guests;
    if others || nics.len() <= ALL_ASKED {
        for nic in nics.iter().step_by(step) {
            let vm = new.network.vm(nic.vm).map(|vm| vm.name().to_owned());
            if let (Some(host), Some(vm)) = (new_hosts.get(&nic.host), vm) {
                asked.insert((*host, vm));
            }
        }
    }
    let ask = |side: &Side<'_, '_>, tracer: &Tracer<'_, '_>, hosts: &BTreeMap<HostId, usize>| {
        let network = side.network;
        tracer.reach_of(
            &|nic| {
                let vm = network.vm(nic.vm).map(|vm| vm.name().to_owned());
                let host = hosts.get(&nic.host).copied();
                host.zip(vm).is_some_and(|guest| asked.contains(&guest))
            },
            others,
            None,
        )
    };
    let running = nics.len();
    let (old_rows, new_rows) =
        rayon::join(|| ask(old, &before, &old_hosts), || ask(new, &after, &new_hosts));
    diff.unasked = running.saturating_sub(new_rows.iter().filter(|row| row.nic.is_some()).count());
    let was = Asked { side: old, tracer: &before, hosts: &old_hosts, rows: old_rows };
    let is = Asked { side: new, tracer: &after, hosts: &new_hosts, rows: new_rows };
    let mut verdicts = changed(&was, &is);
    explain(diff, &was, &is, &mut verdicts);
    for verdict in verdicts.iter().filter(|verdict| verdict.is_lost()) {
        if let Some((host, change, _)) = verdict.because {
            worsen(diff, host, change);
        }
    }
    verdicts.sort_by_key(|verdict| (!verdict.is_lost(), !verdict.is_mended()));
    diff.verdicts = verdicts;
}

/// What a NIC asks for by name, each with the question and its answer.
type Cells = BTreeMap<String, (String, Cell)>;

fn cells(row: &Row) -> Cells {
    let own =
        row.cells.iter().map(|(to, cell)| ((*to).to_owned(), ((*to).to_owned(), cell.clone())));
    let peers = row
        .peers
        .iter()
        .map(|peer| (format!("peer {}", peer.vm), (format!("ip:{}", peer.ip), peer.cell.clone())));
    own.chain(peers).collect()
}

fn changed(was: &Asked<'_, '_, '_>, is: &Asked<'_, '_, '_>) -> Vec<VerdictChange> {
    let before = was.by_guest();
    let mut all = Vec::new();
    for (guest, row) in is.by_guest() {
        let Some(old) = before.get(&guest) else { continue };
        let (mut old_cells, mut new_cells) = (cells(old), cells(row));
        // A peer that is none any more, or was none, is asked for all the same.
        for (to, (asked, _)) in &old_cells {
            if !new_cells.contains_key(to) {
                let cell = is.tracer.reaches(row.start.clone(), asked);
                new_cells.insert(to.clone(), (asked.clone(), cell));
            }
        }
        for (to, (asked, _)) in &new_cells {
            if !old_cells.contains_key(to) {
                let cell = was.tracer.reaches(old.start.clone(), asked);
                old_cells.insert(to.clone(), (asked.clone(), cell));
            }
        }
        for (to, (asked, cell)) in new_cells {
            let Some((old_asked, old_cell)) = old_cells.get(&to) else { continue };
            if old_cell.reached == cell.reached {
                continue;
            }
            all.push(VerdictChange {
                host: row.host,
                guest: row.vm.clone(),
                nic: row.nic.clone(),
                to,
                before: old_cell.clone(),
                after: cell,
                because: None,
                evidence: [Vec::new(), Vec::new()],
                asked: [old_asked.clone(), asked],
            });
        }
    }
    all
}

/// Finds the change behind each verdict: of those with one end, the first stands for all.
fn explain(
    diff: &Diff,
    was: &Asked<'_, '_, '_>,
    is: &Asked<'_, '_, '_>,
    verdicts: &mut [VerdictChange],
) {
    let (old_index, new_index) = (Index::of(diff, was.side, 0), Index::of(diff, is.side, 1));
    let (before, after) = (was.by_guest(), is.by_guest());
    let mut starts: BTreeMap<(HostId, Name, Option<Name>), (Start, Start)> = BTreeMap::new();
    for (guest, row) in after {
        if let Some(old) = before.get(&guest) {
            let key = (row.host, row.vm.clone(), row.nic.clone());
            starts.insert(key, (old.start.clone(), row.start.clone()));
        }
    }
    let mut followed = 0;
    for verdict in verdicts.iter_mut() {
        let key = (verdict.host, verdict.guest.clone(), verdict.nic.clone());
        let Some((old_start, new_start)) = starts.get(&key) else { continue };
        followed += 1;
        let (old_ways, new_ways) = if followed > MOST_EXPLAINED {
            (Vec::new(), Vec::new())
        } else {
            let [old_to, new_to] = &verdict.asked;
            (was.ways(old_start, old_to), is.ways(new_start, new_to))
        };
        let decides = |ways: &[Trace]| -> Vec<Evidence> {
            ways.last().map(|way| way.verdict.evidence.clone()).unwrap_or_default()
        };
        verdict.evidence = [decides(&old_ways), decides(&new_ways)];
        let old = lookup(was, &old_index, &verdict.before, &old_ways, &verdict.evidence[0]);
        let new = lookup(is, &new_index, &verdict.after, &new_ways, &verdict.evidence[1]);
        // The side on which it does not work says why; the other one where it went.
        let [first, second] =
            if verdict.before.reached == Some(true) { [new, old] } else { [old, new] };
        let by = |found: Option<(usize, usize)>, how| found.map(|(host, at)| (host, at, how));
        verdict.because = by(first.line.or(second.line), Because::Line)
            .or_else(|| by(first.place.or(second.place), Because::Place))
            .or_else(|| by(first.way.or(second.way), Because::Way));
    }
}

/// Changes on the way of a packet, on one side.
#[derive(Default)]
struct Touched {
    line: Option<(usize, usize)>,
    place: Option<(usize, usize)>,
    way: Option<(usize, usize)>,
}

fn lookup(
    asked: &Asked<'_, '_, '_>,
    index: &Index,
    cell: &Cell,
    ways: &[Trace],
    evidence: &[Evidence],
) -> Touched {
    let line = evidence.iter().find_map(|at| index.at(asked.side, *at));
    let ends = cell.reached != Some(true);
    let place = if ends { at_place(asked, index, &cell.at) } else { None };
    let way = ways.iter().flat_map(|way| &way.hops).find_map(|hop| {
        let by_line = hop.evidence.iter().find_map(|at| index.at(asked.side, *at));
        by_line.or_else(|| at_place(asked, index, &hop.place))
    });
    Touched { line, place, way }
}

/// The change of a thing at a place.
fn at_place(asked: &Asked<'_, '_, '_>, index: &Index, at: &Place) -> Option<(usize, usize)> {
    let host = *asked.hosts.get(at.host.as_ref()?)?;
    let netns = at.netns.as_ref().map(place).unwrap_or_default();
    let mut keys = Vec::new();
    keys.extend(at.port.as_ref().map(|port| Key::new(Kind::OvsPort, "", port.as_str())));
    keys.extend(
        at.device.as_ref().map(|name| Key::new(Kind::Netdev, netns.as_str(), name.as_str())),
    );
    keys.extend(at.device.as_ref().map(|name| Key::new(Kind::OvsPort, "", name.as_str())));
    keys.extend(at.port.as_ref().map(|name| Key::new(Kind::Netdev, netns.as_str(), name.as_str())));
    keys.extend(at.bridge.as_ref().map(|name| Key::new(Kind::OvsBridge, "", name.as_str())));
    keys.into_iter().find_map(|key| index.of_key(host, key))
}
