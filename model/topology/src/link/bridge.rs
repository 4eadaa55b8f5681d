//! Membership: devices in Linux bridges, bonds, teams and VRFs.
//!
//! Six sources say it: `master` and the slave details of `ip`, `bridge link`, `brctl show`,
//! `bridge fdb` and `/proc/net/bonding`. They confirm each other or contradict.
//!
//! `master ovs-system` is no membership: it says that the device is a port of some OVS bridge, and
//! only the database knows of which.
use std::collections::{BTreeMap, HashMap, HashSet};

use tapline_core::Name;
use tapline_core::ids::Netns;
use tapline_core::records::bond::Bond;
use tapline_core::records::link::Link;
use tapline_core::span::{Evidence, SourceId};

use super::{Texts, netdev, records};
use crate::graph::{
    Confidence, Conflict, ConflictKind, EdgeKind, NetdevKind, NodeId, Topology, Witness,
    WitnessClass,
};
use crate::names;

/// Who says what about the master of one device.
type Claims = BTreeMap<NodeId, BTreeMap<NodeId, Vec<Witness>>>;

/// Adds the membership edges of one host.
pub(crate) fn link<'a>(topology: &mut Topology<'a>, texts: &Texts<'a>) {
    let mut claims = Claims::new();
    masters(topology, texts, &mut claims);
    bridge_links(topology, texts, &mut claims);
    brctl(topology, texts, &mut claims);
    fdb(topology, texts, &mut claims);
    bonds(topology, texts, &mut claims);
    let silent = silent(topology, texts);
    let lists = lists(topology, texts);
    for (device, mut masters) in claims {
        // The strongest witness decides; of equals the one with more company.
        let best = masters
            .iter()
            .max_by_key(|(id, all)| {
                (all.iter().map(|it| it.class).max(), all.len(), std::cmp::Reverse(**id))
            })
            .map(|(id, _)| *id);
        let Some(master) = best else { continue };
        let Some(witnesses) = masters.remove(&master) else { continue };
        let others: Vec<Witness> = masters.values().flatten().cloned().collect();
        if !others.is_empty() {
            let both = witnesses.iter().chain(&others).cloned().collect();
            let nodes = [device, master].into_iter().chain(masters.keys().copied()).collect();
            let conflict = Conflict { kind: ConflictKind::Membership, nodes, witnesses: both };
            topology.conflicts.push(conflict);
        }
        // `ip` prints masters and prints none, or `brctl` lists the bridge without the device.
        let by_ip = topology
            .netdev(device)
            .and_then(|device| device.master.as_ref())
            .is_some_and(|master| !names::is_ovs_datapath(&master.value));
        let without =
            match (by_ip, silent.get(&device), lists.get(&master)) {
                (false, Some(&evidence), _) => {
                    Some(Witness::at(WitnessClass::Kernel, evidence, "no bridge as master"))
                }
                (_, _, Some((evidence, members))) if !members.contains(&device) => Some(
                    Witness::at(WitnessClass::Kernel, *evidence, "brctl: not among its interfaces"),
                ),
                _ => None,
            };
        if let Some(without) = without {
            let both = witnesses.iter().cloned().chain([without]).collect();
            let nodes = vec![device, master];
            topology.conflicts.push(Conflict {
                kind: ConflictKind::Membership,
                nodes,
                witnesses: both,
            });
        }
        topology.connect(device, master, EdgeKind::EnslavedTo, Confidence::Proven, witnesses);
    }
}

fn claim(claims: &mut Claims, device: NodeId, master: NodeId, witness: Witness) {
    if device != master {
        let all = claims.entry(device).or_default().entry(master).or_default();
        if !all.contains(&witness) {
            all.push(witness);
        }
    }
}

/// A master by name; made where only its members speak of it.
fn master_node<'a>(
    topology: &mut Topology<'a>,
    texts: &Texts<'a>,
    netns: &Netns,
    name: &str,
    evidence: Evidence,
    kind: NetdevKind,
) -> NodeId {
    if let Some(id) = topology.find_netdev(texts.host, netns, name) {
        // What members say of a device whose own kind nothing told.
        if let Some(it) = topology.netdev_mut(id)
            && it.kind == NetdevKind::Unknown
            && kind != NetdevKind::Unknown
        {
            it.kind = kind;
            it.kind_evidence = Some(evidence);
        }
        return id;
    }
    let id = netdev::ensure(topology, texts, netns, name, evidence, true);
    if let Some(it) = topology.netdev_mut(id) {
        it.kind = if kind == NetdevKind::Unknown {
            names::kind(name, netns.is_root(), false)
        } else {
            kind
        };
        it.kind_evidence = (kind != NetdevKind::Unknown).then_some(evidence);
    }
    id
}

/// `master NAME` of `ip address` and `ip link`.
fn masters<'a>(topology: &mut Topology<'a>, texts: &Texts<'a>, claims: &mut Claims) {
    for (source, links) in texts.of(records!(Links)) {
        for link in links {
            let Some(master) = link.master.as_ref() else { continue };
            if names::is_ovs_datapath(master) {
                continue;
            }
            let netns = link.netns.as_ref().unwrap_or(&source.netns);
            let Some(device) = topology.find_netdev(texts.host, netns, &link.name) else {
                continue;
            };
            let kind = match link.slave_kind.as_deref().map(Name::as_str) {
                Some("bridge_slave") => NetdevKind::Bridge,
                Some("bond_slave") => NetdevKind::Bond,
                Some("team_slave") => NetdevKind::Team,
                Some("vrf_slave") => NetdevKind::Vrf,
                _ => NetdevKind::Unknown,
            };
            let evidence = master.evidence(source.id);
            let id = master_node(topology, texts, netns, master, evidence, kind);
            let words = match &link.slave_kind {
                Some(slave) => format!("master {}, {}", **master, **slave),
                None => format!("master {}", **master),
            };
            // Many texts of one command say the same once more: the fact's own text is enough.
            // A master of another time is a change.
            let Some(fact) = topology.netdev(device).and_then(|device| device.master.as_ref())
            else {
                continue;
            };
            let leads = fact.evidence == evidence;
            let differs = fact.value != master.value
                && !netdev::apart(texts, fact.evidence.source, source.id);
            if leads || differs {
                claim(claims, device, id, Witness::at(WitnessClass::Kernel, evidence, words));
            }
        }
    }
}

/// `bridge link`.
fn bridge_links<'a>(topology: &mut Topology<'a>, texts: &Texts<'a>, claims: &mut Claims) {
    for (source, ports) in texts.of(records!(BridgePorts)) {
        for port in ports {
            let Some(master) =
                port.master.as_ref().filter(|master| !names::is_ovs_datapath(master))
            else {
                continue;
            };
            let at = Evidence { source: source.id, span: port.at };
            let device = netdev::ensure(topology, texts, &source.netns, &port.name, at, false);
            let evidence = master.evidence(source.id);
            let kind = NetdevKind::Unknown;
            let id = master_node(topology, texts, &source.netns, master, evidence, kind);
            let words = format!("bridge link: master {}", **master);
            if !has_command(texts, claims, device, id, source.id) {
                claim(claims, device, id, Witness::at(WitnessClass::Kernel, evidence, words));
            }
        }
    }
}

/// Whether the same program has already said so: `bridge -d link` adds nothing to `bridge link`.
fn has_command(
    texts: &Texts<'_>,
    claims: &Claims,
    device: NodeId,
    master: NodeId,
    source: SourceId,
) -> bool {
    let program = |id| texts.snapshot.source(id).map(|source| source.command.program());
    let Some(all) = claims.get(&device).and_then(|it| it.get(&master)) else { return false };
    all.iter().any(|it| program(it.evidence.source) == program(source))
}

/// `brctl show`.
fn brctl<'a>(topology: &mut Topology<'a>, texts: &Texts<'a>, claims: &mut Claims) {
    for (source, bridges) in texts.of(records!(Bridges)) {
        for bridge in bridges {
            if bridge.error.is_some() && bridge.ports.is_empty() {
                continue;
            }
            let at = bridge.name.evidence(source.id);
            let master = netdev::ensure(topology, texts, &source.netns, &bridge.name, at, false);
            if let Some(it) = topology.netdev_mut(master)
                && it.kind == NetdevKind::Unknown
            {
                it.kind = NetdevKind::Bridge;
                it.kind_evidence = Some(at);
            }
            for port in &bridge.ports {
                let evidence = port.evidence(source.id);
                let device = netdev::ensure(topology, texts, &source.netns, port, evidence, false);
                if let Some(it) = topology.netdev_mut(device)
                    && it.kind == NetdevKind::Unknown
                    && it.records.is_empty()
                {
                    // `brctl` prints no `@`.
                    let vlan = port.rsplit_once('.').is_some_and(|(lower, _)| {
                        names::is_vlan_of(port, lower) && names::is_nic(lower)
                    });
                    it.kind = if vlan {
                        NetdevKind::Vlan
                    } else {
                        names::kind(port, source.netns.is_root(), false)
                    };
                }
                let words = format!("brctl: interface of {}", *bridge.name);
                claim(claims, device, master, Witness::at(WitnessClass::Kernel, evidence, words));
            }
        }
    }
}

/// `bridge fdb`: `dev PORT master BRIDGE`. One line per pair is enough.
fn fdb(topology: &mut Topology<'_>, texts: &Texts<'_>, claims: &mut Claims) {
    let mut told: HashSet<(NodeId, NodeId)> = HashSet::new();
    for (source, entries) in texts.of(records!(Fdb)) {
        for entry in entries {
            let (Some(dev), Some(master)) = (&entry.dev, &entry.master) else { continue };
            let (Some(device), Some(id)) = (
                topology.find_netdev(texts.host, &source.netns, dev),
                topology.find_netdev(texts.host, &source.netns, master),
            ) else {
                continue;
            };
            if told.insert((device, id)) {
                let words = format!("bridge fdb: master {}", **master);
                let witness = Witness::at(WitnessClass::Kernel, master.evidence(source.id), words);
                claim(claims, device, id, witness);
            }
        }
    }
}

/// `/proc/net/bonding/BOND`: the bond is named by the file.
fn bonds<'a>(topology: &mut Topology<'a>, texts: &Texts<'a>, claims: &mut Claims) {
    for (source, all) in texts.of(records!(Bonds)) {
        // A pattern of the shell names no bond, and content alone neither: its members may.
        let named = source.request.object.as_deref().filter(|name| !name.contains(['*', '?', '[']));
        for bond in all {
            let by_members = || master_of(texts, &source.netns, bond);
            let unknown = (all.len() == 1).then_some(UNKNOWN_BOND);
            let Some(name) = named.or_else(by_members).or(unknown) else { continue };
            let at = Evidence { source: source.id, span: bond.at };
            let master = netdev::ensure(topology, texts, &source.netns, name, at, false);
            if let Some(it) = topology.netdev_mut(master)
                && it.kind_evidence.is_none()
            {
                it.kind = NetdevKind::Bond;
                it.kind_evidence = Some(at);
            }
            for slave in &bond.slaves {
                let evidence = slave.name.evidence(source.id);
                let device =
                    netdev::ensure(topology, texts, &source.netns, &slave.name, evidence, false);
                let words = format!("slave interface of {name}");
                claim(claims, device, master, Witness::at(WitnessClass::Kernel, evidence, words));
            }
        }
    }
}

/// The bond of which nothing tells the name. In the path of a file the shell finds what it is called.
const UNKNOWN_BOND: &str = "bond?";

/// What the list of devices names as the master of the members of a bond.
fn master_of<'a>(texts: &Texts<'a>, netns: &Netns, bond: &Bond) -> Option<&'a str> {
    let is_member = |link: &Link| bond.slaves.iter().any(|slave| *slave.name == *link.name);
    let lists = texts.of(records!(Links)).into_iter().filter(|(source, _)| source.netns == *netns);
    let masters = lists.flat_map(|(_, links)| links).filter(|link| is_member(link));
    masters.filter_map(|link| link.master.as_ref()).map(|master| master.as_str()).next()
}

/// The members of each Linux bridge as a complete `brctl show` lists them.
fn lists(
    topology: &Topology<'_>,
    texts: &Texts<'_>,
) -> HashMap<NodeId, (Evidence, HashSet<NodeId>)> {
    let mut all = HashMap::new();
    for (source, bridges) in texts.of(records!(Bridges)) {
        if !texts.is_complete(source.id) {
            continue;
        }
        for bridge in bridges.iter().filter(|bridge| bridge.error.is_none()) {
            let find = |name: &str| topology.find_netdev(texts.host, &source.netns, name);
            let Some(id) = find(&bridge.name) else { continue };
            let members = bridge.ports.iter().filter_map(|port| find(port)).collect();
            all.entry(id).or_insert((bridge.name.evidence(source.id), members));
        }
    }
    all
}

/// Devices that `ip` printed whole and without a master, by a version that prints masters of
/// bridges or bonds (old kernels report none).
fn silent(topology: &Topology<'_>, texts: &Texts<'_>) -> HashMap<NodeId, Evidence> {
    let mut all = HashMap::new();
    for (source, links) in texts.of(records!(Links)) {
        let prints = links
            .iter()
            .any(|link| link.master.as_ref().is_some_and(|master| !names::is_ovs_datapath(master)));
        if !prints {
            continue;
        }
        let bare = |it: &&Link| {
            it.mtu.is_some()
                && it.master.as_ref().is_none_or(|master| names::is_ovs_datapath(master))
        };
        for link in links.iter().filter(bare) {
            let netns = link.netns.as_ref().unwrap_or(&source.netns);
            if let Some(id) = topology.find_netdev(texts.host, netns, &link.name) {
                all.entry(id).or_insert(Evidence { source: source.id, span: link.at });
            }
        }
    }
    all
}
