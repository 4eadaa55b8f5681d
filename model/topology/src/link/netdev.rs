//! Network devices: the records of all texts about one device, joined.
//!
//! Texts of one namespace are joined by name. (Within one text the index is the identity, and no
//! namespace has a name twice.) The most detailed record leads; where two texts disagree and were
//! not taken at different times, the contradiction is kept.
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use tapline_core::Name;
use tapline_core::capture::Source;
use tapline_core::ids::Netns;
use tapline_core::records::link::Link;
use tapline_core::span::{At, Evidence, SourceId};

use super::{Texts, host, records};
use crate::graph::{
    Confidence, Conflict, ConflictKind, EdgeKind, Fact, Netdev, NetdevKind, Node, NodeData, NodeId,
    Seen, Topology, Witness, WitnessClass,
};

/// Seconds between two texts from which on a difference is a change and not a contradiction.
const APART: f64 = 1.0;

/// Adds the devices of one host, by namespace and index.
pub(crate) fn link<'a>(topology: &mut Topology<'a>, texts: &Texts<'a>) {
    // Namespace, then name: the records about one device.
    type Devices<'a> = HashMap<&'a str, Vec<(&'a Source, &'a Link)>>;
    let mut namespaces: BTreeMap<&Netns, Devices<'_>> = BTreeMap::new();
    for (source, links) in texts.of(records!(Links)) {
        for link in links {
            let netns = link.netns.as_ref().unwrap_or(&source.netns);
            let device =
                namespaces.entry(netns).or_default().entry(link.name.as_str()).or_default();
            device.push((source, link));
        }
    }
    for (netns, devices) in namespaces {
        let mut devices: Vec<_> = devices.into_iter().collect();
        devices.sort_by_key(|(name, records)| {
            (records.iter().filter_map(|(_, it)| it.index).min(), *name)
        });
        for (name, records) in devices {
            device(topology, texts, netns, name, records);
        }
    }
    stats(topology, texts);
}

/// How much a record tells: the fuller form leads.
fn detail(texts: &Texts<'_>, source: &Source, link: &Link) -> impl Ord + use<> {
    let tells = [
        link.kind.is_some() || link.slave_kind.is_some(),
        link.mtu.is_some(),
        link.mac.is_some(),
        !link.addresses.is_empty(),
    ];
    let depth = tells.iter().filter(|tell| **tell).count();
    (std::cmp::Reverse((texts.is_complete(source.id), depth)), source.id)
}

fn device<'a>(
    topology: &mut Topology<'a>,
    texts: &Texts<'a>,
    netns: &Netns,
    name: &str,
    mut records: Vec<(&'a Source, &'a Link)>,
) {
    records.sort_by_cached_key(|(source, link)| detail(texts, source, link));
    let mut merge = Merge { conflicts: Vec::new() };
    let mut netdev = empty();
    for &(source, link) in &records {
        let id = source.id;
        merge.index(texts, &mut netdev.index, source, link);
        merge.fact(texts, &mut netdev.mtu, source, link.mtu.as_ref(), "mtu");
        merge.fact(texts, &mut netdev.mac, source, link.mac.as_ref(), "link/ether");
        merge.fact(texts, &mut netdev.state, source, link.state.as_ref(), "state");
        // Contradictions about the master are the bridge linker's.
        let told = merge.conflicts.len();
        merge.fact(texts, &mut netdev.master, source, link.master.as_ref(), "master");
        merge.conflicts.truncate(told);
        if !link.flags.is_empty() {
            netdev.flags.get_or_insert_with(|| Fact::new(id, link.flags.clone()));
        }
        // What follows `@` and its namespace belong together: both from one record.
        if (netdev.lower.is_none() || (netdev.lower_netns.is_none() && link.lower_netns.is_some()))
            && let Some(lower) = &link.lower
        {
            netdev.lower = Some(Fact::new(id, lower.clone()));
            netdev.lower_netns = link.lower_netns.clone().map(|clone| Fact::new(id, clone));
        }
        if netdev.lower_netns.is_none() && link.lower.is_none() {
            netdev.lower_netns = link.lower_netns.clone().map(|clone| Fact::new(id, clone));
        }
    }
    netdev.records =
        records.iter().map(|&(source, record)| Seen { source: source.id, record }).collect();
    let mut seen: Vec<Evidence> = Vec::with_capacity(records.len());
    for (source, link) in &records {
        seen.push(Evidence { source: source.id, span: link.at });
    }
    let altnames: Vec<Name> = records
        .iter()
        .flat_map(|(_, it)| &it.altnames)
        .map(|altname| altname.value.clone())
        .collect();
    let id = add(topology, texts, netns, name.into(), netdev, seen);
    let keys = topology.keys.host_mut(texts.host).namespaces.entry(netns.clone()).or_default();
    for name in altnames {
        keys.names.entry(name).or_insert(id);
    }
    for witnesses in merge.conflicts {
        topology.conflicts.push(Conflict { kind: ConflictKind::Fact, nodes: vec![id], witnesses });
    }
}

/// A device of which nothing is known.
pub(crate) fn empty<'a>() -> Netdev<'a> {
    Netdev {
        index: None,
        kind: NetdevKind::Unknown,
        kind_evidence: None,
        flags: None,
        state: None,
        mtu: None,
        mac: None,
        master: None,
        lower: None,
        lower_netns: None,
        peer_ifindex: None,
        records: Vec::new(),
        stub: false,
    }
}

/// Adds a device to graph and keys.
pub(crate) fn add<'a>(
    topology: &mut Topology<'a>,
    texts: &Texts<'a>,
    netns: &Netns,
    name: Name,
    netdev: Netdev<'a>,
    seen: Vec<Evidence>,
) -> NodeId {
    let place = host::ensure(topology, texts, netns);
    let index = netdev.index.as_ref().map(|index| index.value);
    let witnesses = seen
        .iter()
        .take(1)
        .map(|&seen| Witness::at(WitnessClass::Kernel, seen, "printed there"))
        .collect();
    let id = topology.add(Node {
        host: Some(texts.host),
        netns: Some(netns.clone()),
        name: name.clone(),
        seen,
        data: NodeData::Netdev(Box::new(netdev)),
    });
    topology.connect(id, place, EdgeKind::InNamespace, Confidence::Proven, witnesses);
    let keys = topology.keys.host_mut(texts.host);
    if !name.is_empty() {
        keys.anywhere.entry(name.clone()).or_default().push(id);
    }
    let keys = keys.namespaces.entry(netns.clone()).or_default();
    if !name.is_empty() {
        keys.names.entry(name).or_insert(id);
    }
    if let Some(index) = index {
        keys.indexes.entry(index).or_insert(id);
    }
    id
}

/// The device called `name`; made where a command other than `ip` speaks of it. It is a stub where
/// that command is not about the device itself.
pub(crate) fn ensure<'a>(
    topology: &mut Topology<'a>,
    texts: &Texts<'a>,
    netns: &Netns,
    name: &str,
    evidence: Evidence,
    stub: bool,
) -> NodeId {
    match topology.keys.netdev_by_name(texts.host, netns, name) {
        Some(id) => {
            if let Some(node) = topology.node_mut(id) {
                node.add_seen(evidence);
                if let NodeData::Netdev(it) = &mut node.data {
                    it.stub &= stub;
                }
            }
            id
        }
        None => {
            let netdev = Netdev { stub, ..empty() };
            add(topology, texts, netns, name.into(), netdev, vec![evidence])
        }
    }
}

/// Joins values and keeps contradictions.
struct Merge {
    conflicts: Vec<Vec<Witness>>,
}

impl Merge {
    /// The first value stays, unless a later text took another.
    fn fact<T: Clone + PartialEq + Display>(
        &mut self,
        texts: &Texts<'_>,
        fact: &mut Option<Fact<T>>,
        source: &Source,
        at: Option<&At<T>>,
        key: &str,
    ) {
        let Some(at) = at else { return };
        let new = Fact::new(source.id, at.clone());
        let Some(old) = fact else {
            *fact = Some(new);
            return;
        };
        if old.value == new.value {
            return;
        }
        match order(texts, old.evidence.source, source.id) {
            Order::Before => *old = new,
            Order::After => {}
            Order::Together => {
                let claim = |it: &Fact<T>| {
                    Witness::at(WitnessClass::Kernel, it.evidence, format!("{key} {}", it.value))
                };
                self.conflicts.push(vec![claim(old), claim(&new)]);
            }
        }
    }

    /// The index stands at the start of the header line.
    fn index(
        &mut self,
        texts: &Texts<'_>,
        fact: &mut Option<Fact<tapline_core::ids::IfIndex>>,
        source: &Source,
        link: &Link,
    ) {
        let at = link.index.map(|index| At::new(index, link.at));
        self.fact(texts, fact, source, at.as_ref(), "index");
    }
}

/// Whether two texts were taken at different times, so that a difference is a change.
pub(crate) fn apart(texts: &Texts<'_>, a: SourceId, b: SourceId) -> bool {
    !matches!(order(texts, a, b), Order::Together)
}

/// Whether `old` was taken well before, well after, or about when `new` was.
enum Order {
    Before,
    After,
    Together,
}

fn order(texts: &Texts<'_>, old: SourceId, new: SourceId) -> Order {
    let taken = |id| texts.snapshot.source(id).and_then(|source| source.taken);
    match (taken(old), taken(new)) {
        (Some(old), Some(new)) if new - old >= APART => Order::Before,
        (Some(old), Some(new)) if old - new >= APART => Order::After,
        _ => Order::Together,
    }
}

/// `peer_ifindex` of `ethtool -S`: the device is that of the command.
fn stats(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    for (source, all) in texts.of(records!(NicStats)) {
        let Some(name) = source.request.object.as_deref() else { continue };
        let Some(id) = topology.find_netdev(texts.host, &source.netns, name) else { continue };
        for stats in all {
            let Some(node) = topology.node_mut(id) else { continue };
            node.add_seen(Evidence { source: source.id, span: stats.at });
            if let (NodeData::Netdev(netdev), Some(peer)) = (&mut node.data, &stats.peer_ifindex) {
                netdev.peer_ifindex.get_or_insert(Fact::new(source.id, *peer));
            }
        }
    }
}
