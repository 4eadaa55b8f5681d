//! Which nodes of both topologies changes are about, and which nodes are one thing: what a picture of
//! both needs.
use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::{NodeData, NodeId};

use super::change::{Change, Op};
use super::entity::{Class, Key, Kind};
use super::names::Names;
use super::side::Side;
use super::traces::Traces;
use super::{Diff, findings};

/// What became of a node.
#[derive(Clone, PartialEq, Debug)]
pub struct Touch<'d> {
    /// What became of it; [`Op::Changed`] also where something that it holds was changed.
    pub op: Op,
    /// The changes behind that.
    pub changes: Vec<&'d Change>,
}

/// Nodes of both sides.
#[derive(Debug, Default)]
pub struct Touched<'d> {
    /// Nodes that changes are about: of the old side, of the new one.
    pub nodes: [BTreeMap<NodeId, Touch<'d>>; 2],
    /// The node of the new side that a node of the old one is now.
    pub now: BTreeMap<NodeId, NodeId>,
}

/// Finds them. Nothing is found on a side that was written down.
pub fn touched<'d>(diff: &'d Diff, old: &Side<'_, '_>, new: &Side<'_, '_>) -> Touched<'d> {
    let mut touched = Touched::default();
    for host in &diff.hosts {
        let names = Names::of(&Traces::of(old, host.old), &Traces::of(new, host.new));
        let was = keys(old, host.old, Some(&names));
        let is = keys(new, host.new, None);
        for (key, node) in &was {
            if let Some(now) = is.get(key) {
                touched.now.insert(*node, *now);
            }
        }
        for change in &host.changes {
            touched.add(change, &was, &is);
        }
        let [before, after] = &mut touched.nodes;
        keep_interfaces(before, old, host.old);
        keep_interfaces(after, new, host.new);
    }
    touched
}

impl<'d> Touched<'d> {
    fn add(&mut self, change: &'d Change, was: &BTreeMap<Key, NodeId>, is: &BTreeMap<Key, NodeId>) {
        if change.class < Class::Dynamic {
            return;
        }
        let own = is_drawn(change.key.kind);
        for key in subjects(change) {
            let op = if own && key == change.key { change.op } else { Op::Changed };
            let sides: [Option<NodeId>; 2] = match op {
                Op::Removed => [was.get(&key).copied(), None],
                Op::Added => [None, is.get(&key).copied()],
                Op::Changed | Op::Moved => [was.get(&key).copied(), is.get(&key).copied()],
            };
            for (nodes, node) in self.nodes.iter_mut().zip(sides) {
                let Some(node) = node else { continue };
                let touch = nodes.entry(node).or_insert(Touch { op, changes: Vec::new() });
                // That it came, went or moved says more than that something of it changed.
                if touch.op == Op::Changed {
                    touch.op = op;
                }
                touch.changes.push(change);
            }
        }
        for part in &change.parts {
            // Where a thing came or went, what it holds came or went with it.
            if is_drawn(part.key.kind) || !is_drawn(change.key.kind) {
                self.add(part, was, is);
            }
        }
    }
}

/// An interface of Open vSwitch goes with its port.
fn keep_interfaces(nodes: &mut BTreeMap<NodeId, Touch<'_>>, side: &Side<'_, '_>, host: HostId) {
    for interface in side.network.ovs_interfaces_of(host) {
        let port = side.network.topology.find_ovs_port(host, &interface.port);
        if let Some(touch) = port.and_then(|port| nodes.get(&port)).cloned() {
            nodes.entry(interface.id).or_insert(touch);
        }
    }
}

/// Whether things of a kind are boxes or rows of a picture.
fn is_drawn(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Vm | Kind::VmNic | Kind::Netns | Kind::Netdev | Kind::OvsBridge | Kind::OvsPort
    )
}

/// The drawn things that a change is about: itself, or what holds it.
fn subjects(change: &Change) -> Vec<Key> {
    let key = &change.key;
    let device = |place: &str, name: &str| Key::new(Kind::Netdev, place, name);
    let netns = |name: &str| Key::new(Kind::Netns, "", name);
    match key.kind {
        kind if is_drawn(kind) => vec![key.clone()],
        Kind::Address | Kind::BridgeVlan => {
            let name = key.id.split(' ').next().unwrap_or_default();
            vec![device(&key.place, name)]
        }
        Kind::Flow => vec![Key::new(Kind::OvsBridge, "", key.place.as_str())],
        Kind::Route | Kind::Rule | Kind::Chain | Kind::FilterRule | Kind::Setting => {
            let within = change.netns.as_ref().and_then(Netns::name);
            within.map(netns).into_iter().collect()
        }
        Kind::HaRouter => change.owners.clone(),
        _ => Vec::new(),
    }
}

/// The drawn nodes of a host by the keys of what they are.
fn keys(side: &Side<'_, '_>, host: HostId, names: Option<&Names>) -> BTreeMap<Key, NodeId> {
    let topology = side.network.topology;
    let mut all = BTreeMap::new();
    for &id in side.nodes(host) {
        let Some(node) = topology.node(id) else { continue };
        let key = match &node.data {
            NodeData::VmNic(nic) => {
                let vm = topology.node(nic.vm).map(|vm| vm.name.to_string()).unwrap_or_default();
                let own = nic.mac.as_ref().map(|mac| mac.value.to_string());
                let own = own.or_else(|| nic.target.as_ref().map(|it| it.value.to_string()));
                own.map(|own| Key::new(Kind::VmNic, vm, own))
            }
            _ => findings::keys_of(&topology.thing(id)).into_iter().next(),
        };
        let Some(key) = key.filter(|key| is_drawn(key.kind)) else { continue };
        let key = names.map_or(key.clone(), |names| renamed(&key, names));
        // A port and its interface have one key: the port is the thing.
        let is_interface = matches!(node.data, NodeData::OvsInterface(_));
        if is_interface {
            all.entry(key).or_insert(id);
        } else {
            all.insert(key, id);
        }
    }
    all
}

/// A key under the names of the new side.
fn renamed(key: &Key, names: &Names) -> Key {
    match key.kind {
        Kind::Netdev => {
            let netns = match key.place.as_str() {
                "" => Netns::Root,
                name => Netns::Named(name.into()),
            };
            let (netns, name) = names.device(&netns, &key.id);
            Key::new(Kind::Netdev, super::gather::place(netns), name)
        }
        Kind::OvsPort | Kind::OvsBridge => Key::new(key.kind, "", names.port(&key.id)),
        Kind::Vm => Key::new(Kind::Vm, "", names.vm(&key.id)),
        Kind::VmNic => Key::new(Kind::VmNic, names.vm(&key.place), key.id.as_str()),
        _ => key.clone(),
    }
}
