//! What is called otherwise in the new capture and is the same thing: devices of VMs (`vnet7`), ends
//! of veth pairs, NICs by their MAC, ports by the id of neutron, VMs by their UUID, local VLANs by
//! their network.
//!
//! The things of the old capture are compared under their new names, so that a name that was given
//! anew is one difference and not one in each place that holds it.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_network::Item;
use tapline_topology::graph::{Netdev, NetdevKind, NodeData, OvsInterface, VmNic};
use tapline_topology::{EdgeKind, NodeId};

use super::side::Side;

/// A device: its namespace and its name there.
type Device = (Netns, Name);

/// Old names and the new ones, where they differ.
#[derive(Debug, Default)]
pub(super) struct Names {
    devices: BTreeMap<Device, Device>,
    ports: BTreeMap<Name, Name>,
    vms: BTreeMap<Name, Name>,
    vlans: BTreeMap<u16, u16>,
    /// Local VLANs of which it is not known what they are on the other side.
    open_vlans: BTreeSet<u16>,
}

impl Names {
    /// Of two captures of one host.
    pub(super) fn of(old: (&Side<'_, '_>, HostId), new: (&Side<'_, '_>, HostId)) -> Self {
        let mut names = Self { vms: vms(old, new), ..Self::default() };
        names.devices = devices(old, new, &names.vms);
        names.ports = ports(old, new, &names.devices);
        names.read_vlans(old, new);
        names
    }

    /// The device of the new capture.
    pub(super) fn device<'n>(&'n self, netns: &'n Netns, name: &'n str) -> (&'n Netns, &'n str) {
        match self.devices.get(&(netns.clone(), Name::from(name))) {
            Some((netns, name)) => (netns, name),
            None => (netns, name),
        }
    }

    /// The port, interface or bridge of Open vSwitch of the new capture.
    pub(super) fn port<'n>(&'n self, name: &'n str) -> &'n str {
        self.ports.get(name).map_or(name, Name::as_str)
    }

    /// The VM of the new capture.
    pub(super) fn vm<'n>(&'n self, name: &'n str) -> &'n str {
        self.vms.get(name).map_or(name, Name::as_str)
    }

    /// The local VLAN of the new capture.
    pub(super) fn vlan(&self, vlan: u16) -> String {
        match self.vlans.get(&vlan) {
            Some(new) => new.to_string(),
            // Another network has the number now.
            None if self.open_vlans.contains(&vlan) => format!("{vlan} of before"),
            None => vlan.to_string(),
        }
    }

    /// The local VLANs that have another number now.
    pub(super) fn renumbered_vlans(&self) -> impl Iterator<Item = (u16, u16)> + '_ {
        self.vlans.iter().filter(|(old, new)| old != new).map(|(old, new)| (*old, *new))
    }

    fn read_vlans(&mut self, old: (&Side<'_, '_>, HostId), new: (&Side<'_, '_>, HostId)) {
        let (before, after) = (networks(old), networks(new));
        let mut votes: BTreeMap<u16, BTreeSet<u16>> = BTreeMap::new();
        for (network, vlan) in &before {
            if let Some(now) = after.get(network) {
                votes.entry(*vlan).or_default().insert(*now);
            }
        }
        let single = |vlans: &BTreeSet<u16>| match vlans.len() {
            1 => vlans.first().copied(),
            _ => None,
        };
        let mut taken: BTreeMap<u16, usize> = BTreeMap::new();
        for now in votes.values().filter_map(single) {
            *taken.entry(now).or_default() += 1;
        }
        for (vlan, now) in &votes {
            if let Some(now) = single(now).filter(|now| taken.get(now) == Some(&1)) {
                self.vlans.insert(*vlan, now);
            }
        }
        self.drop_contradicted(old, new);
        let given: BTreeSet<u16> = self.vlans.values().copied().collect();
        // A number that another network has now is no longer that of its old one.
        self.open_vlans = given.into_iter().filter(|vlan| !self.vlans.contains_key(vlan)).collect();
    }

    /// Where most ports of a VLAN kept its number, one port was moved and not the network renumbered.
    fn drop_contradicted(&mut self, old: (&Side<'_, '_>, HostId), new: (&Side<'_, '_>, HostId)) {
        let tags = |(side, host): (&Side<'_, '_>, HostId)| -> BTreeMap<Name, u16> {
            let ports = side.network.ovs_ports_of(host);
            let tagged =
                ports.filter_map(|port| Some((Name::from(port.name()), port.tag.as_ref()?.value)));
            tagged.collect()
        };
        let (before, after) = (tags(old), tags(new));
        let mut kept: BTreeMap<u16, (usize, usize)> = BTreeMap::new();
        for (name, tag) in &before {
            let Some(now) = after.get(self.port(name)) else { continue };
            let Some(expected) = self.vlans.get(tag) else { continue };
            let (stay, follow) = kept.entry(*tag).or_default();
            *stay += usize::from(now == tag);
            *follow += usize::from(now == expected);
        }
        self.vlans.retain(|vlan, now| {
            let (stay, follow) = kept.get(vlan).copied().unwrap_or_default();
            vlan == now || follow > stay
        });
    }
}

/// Pairs what has one key on both sides, each key once.
fn pair<'k, K: Ord, T: Clone + Ord + 'k>(
    old: impl IntoIterator<Item = (K, &'k T)>,
    new: impl IntoIterator<Item = (K, &'k T)>,
) -> Vec<(T, T)> {
    let single = |all: &mut dyn Iterator<Item = (K, &'k T)>| {
        let mut by_key: BTreeMap<K, Option<&'k T>> = BTreeMap::new();
        for (key, thing) in all {
            by_key.entry(key).and_modify(|known| *known = None).or_insert(Some(thing));
        }
        by_key
    };
    let (old, mut new) = (single(&mut old.into_iter()), single(&mut new.into_iter()));
    let pairs = old
        .into_iter()
        .filter_map(|(key, before)| Some((before?.clone(), new.remove(&key)??.clone())));
    pairs.collect()
}

/// VMs whose UUID is known, by it.
fn ids(all: &[(Option<Name>, Name)]) -> impl Iterator<Item = (&Name, &Name)> {
    all.iter().filter_map(|(id, name)| Some((id.as_ref()?, name)))
}

fn vms(old: (&Side<'_, '_>, HostId), new: (&Side<'_, '_>, HostId)) -> BTreeMap<Name, Name> {
    let all = |(side, host): (&Side<'_, '_>, HostId)| -> Vec<(Option<Name>, Name)> {
        let nodes = side.nodes(host).iter();
        let vms = nodes.filter_map(|id| side.network.vm(*id));
        vms.map(|vm| (vm.uuid.as_ref().map(|uuid| uuid.value.clone()), Name::from(vm.name())))
            .collect()
    };
    let (old, new) = (all(old), all(new));
    let pairs = pair(ids(&old), ids(&new));
    pairs.into_iter().filter(|(old, new)| old != new).collect()
}

/// What is known of a device to find it again.
struct Traces {
    /// The NIC of a VM that it is, or the other end of its pair.
    strong: Option<String>,
    mac: Option<Mac>,
}

/// The VM and the MAC of a NIC.
pub(super) fn nic_id(
    side: &Side<'_, '_>,
    nic: &VmNic<'_>,
    rename: impl Fn(&str) -> String,
) -> Option<String> {
    let vm = side.network.vm(nic.vm)?;
    let mac = nic.mac.as_ref()?.value;
    Some(format!("nic {} {mac}", rename(vm.name())))
}

fn traces<'a>(
    side: &Side<'_, 'a>,
    device: Item<'a, Netdev<'a>>,
    rename: impl Fn(&str) -> String,
) -> Traces {
    let network = side.network;
    let mac = device.mac.as_ref().map(|mac| mac.value).filter(|mac| !mac.is_zero());
    let of_nic = network
        .topology
        .into(device.id, EdgeKind::AttachesVm)
        .into_iter()
        .find_map(|(nic, _)| nic_id(side, network.vm_nic(nic)?.data, &rename));
    let permanent = || {
        let permanent = device.records.iter().find_map(|it| it.record.permanent_mac.as_ref());
        let mac = permanent.map(|mac| mac.value).or(mac)?;
        (device.kind == NetdevKind::Physical).then(|| format!("mac {mac}"))
    };
    let peer = || {
        let peer = network.veth_peer(device.id)?;
        let inside = device.netns().is_root() && peer.netns().name().is_some();
        inside.then(|| format!("peer {}/{}", peer.netns(), peer.name()))
    };
    Traces { strong: of_nic.or_else(permanent).or_else(peer), mac }
}

fn devices(
    old: (&Side<'_, '_>, HostId),
    new: (&Side<'_, '_>, HostId),
    vms: &BTreeMap<Name, Name>,
) -> BTreeMap<Device, Device> {
    let all = |(side, host): (&Side<'_, '_>, HostId), is_old: bool| {
        let rename = |name: &str| {
            let new = vms.get(name).filter(|_| is_old);
            new.map_or(name, Name::as_str).to_owned()
        };
        let mut all: BTreeMap<Device, Traces> = BTreeMap::new();
        for device in side.network.netdevs_of(host) {
            let key = (device.netns().clone(), Name::from(device.name()));
            all.entry(key).or_insert_with(|| traces(side, device, rename));
        }
        all
    };
    let (mut old, mut new) = (all(old, true), all(new, false));
    let mut renamed = BTreeMap::new();
    let mut take = |old: &mut BTreeMap<Device, Traces>,
                    new: &mut BTreeMap<Device, Traces>,
                    pairs: Vec<(Device, Device)>| {
        for (before, after) in pairs {
            old.remove(&before);
            new.remove(&after);
            if before != after {
                renamed.insert(before, after);
            }
        }
    };
    let pairs = pair(
        old.iter().filter_map(|(key, it)| Some((it.strong.as_ref()?, key))),
        new.iter().filter_map(|(key, it)| Some((it.strong.as_ref()?, key))),
    );
    take(&mut old, &mut new, pairs);
    let pairs: Vec<_> = old
        .keys()
        .filter(|key| new.contains_key(*key))
        .map(|key| (key.clone(), key.clone()))
        .collect();
    take(&mut old, &mut new, pairs);
    // One that was moved to another namespace keeps its name and its MAC.
    let pairs = pair(
        old.iter().filter_map(|(key, it)| Some(((&key.1, it.mac?), key))),
        new.iter().filter_map(|(key, it)| Some(((&key.1, it.mac?), key))),
    );
    take(&mut old, &mut new, pairs);
    // One that got another name keeps its MAC.
    let pairs = pair(
        old.iter().filter_map(|(key, it)| Some(((&key.0, it.mac?), key))),
        new.iter().filter_map(|(key, it)| Some(((&key.0, it.mac?), key))),
    );
    take(&mut old, &mut new, pairs);
    renamed
}

/// What is known of an interface of Open vSwitch to find it again.
fn interface_id(side: &Side<'_, '_>, it: Item<'_, OvsInterface>) -> Option<String> {
    // OVN names tunnels after the chassis, with a number; the port knows the chassis.
    let port = side.network.topology.find_ovs_port(it.host, &it.port);
    let port = port.and_then(|port| side.network.ovs_port(port));
    let chassis = port.and_then(|port| {
        let id = port.data.external_ids.iter().find(|(key, _)| key == "ovn-chassis-id")?;
        Some(id.1.value.split('@').next().unwrap_or_default().to_owned())
    });
    if let Some(chassis) = chassis {
        return Some(format!("chassis {chassis}"));
    }
    let id = it.external_ids.iter().find(|(key, _)| key == "iface-id");
    if let Some((_, id)) = id {
        return Some(format!("port {}", id.value));
    }
    let tunnel = matches!(it.kind.as_str(), "vxlan" | "gre" | "geneve" | "stt" | "gtpu");
    let option = |key: &str| it.option(key).map_or("", |value| value.value.as_str());
    let (local, remote, key) = (option("local_ip"), option("remote_ip"), option("key"));
    (tunnel && !remote.is_empty()).then(|| format!("{} {local} {remote} {key}", it.kind))
}

fn ports(
    old: (&Side<'_, '_>, HostId),
    new: (&Side<'_, '_>, HostId),
    devices: &BTreeMap<Device, Device>,
) -> BTreeMap<Name, Name> {
    let all = |(side, host): (&Side<'_, '_>, HostId)| -> BTreeMap<Name, Option<String>> {
        let interfaces = side.network.ovs_interfaces_of(host);
        interfaces.map(|it| (Name::from(it.name()), interface_id(side, it))).collect()
    };
    let (mut before, mut after) = (all(old), all(new));
    let mut renamed = BTreeMap::new();
    for ((netns, name), (now, new)) in devices {
        if netns.is_root() && now.is_root() && name != new {
            let known = before.remove(name).is_some() && after.remove(new).is_some();
            if known {
                renamed.insert(name.clone(), new.clone());
            }
        }
    }
    // Names first: a tunnel keeps its name when its far end changes.
    let kept: Vec<Name> = before.keys().filter(|name| after.contains_key(*name)).cloned().collect();
    for name in kept {
        before.remove(&name);
        after.remove(&name);
    }
    let pairs = pair(
        before.iter().filter_map(|(name, id)| Some((id.as_ref()?, name))),
        after.iter().filter_map(|(name, id)| Some((id.as_ref()?, name))),
    );
    renamed.extend(pairs);
    renamed
}

/// The local VLAN of each network of neutron, by what tells which network it is; what stands for
/// several VLANs tells nothing.
fn networks((side, host): (&Side<'_, '_>, HostId)) -> BTreeMap<String, u16> {
    let network = side.network;
    let mut told: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    let mut tell = |network: String, vlan: u16| {
        told.entry(network).or_default().insert(vlan);
    };
    for port in network.ovs_ports_of(host) {
        let Some(tag) = port.tag.as_ref().map(|tag| tag.value) else { continue };
        if !network.is_integration_called(host, &port.bridge) || matches!(tag, 0 | 4095) {
            continue;
        }
        let noted = |key: &str| {
            let value = port.other_config.iter().find(|(it, _)| it == key);
            value.map(|(_, value)| value.value.as_str())
        };
        // What is noted counts where the agent gave the tag with it: a port that somebody put
        // into another VLAN keeps the note.
        let is_own = noted("tag").is_none_or(|noted| noted == tag.to_string());
        if let Some(id) = noted("net_uuid").filter(|_| is_own) {
            tell(format!("network {id}"), tag);
        }
        let device = network.interface_called(host, port.name());
        let device = device.and_then(|interface| network.device_of(interface.id));
        let netns = device.and_then(|device| device.netns().name());
        if let Some(id) = netns.and_then(|netns| netns.strip_prefix("qdhcp-")) {
            tell(format!("network {id}"), tag);
        }
    }
    for (vlan, ways) in &network.local_vlans(host).ways {
        for (key, _) in &ways.tunnel_in {
            tell(format!("tunnel key {key}"), *vlan);
        }
    }
    let single = told.into_iter().filter_map(|(network, vlans)| match vlans.len() {
        1 => Some((network, vlans.first().copied()?)),
        _ => None,
    });
    single.collect()
}

/// The VM behind a port or device, by its name after renumbering, and the NIC.
pub(super) fn nic_of(side: &Side<'_, '_>, device: NodeId) -> Option<NodeId> {
    let topology = side.network.topology;
    let nics = topology.into(device, EdgeKind::AttachesVm);
    nics.into_iter()
        .map(|(nic, _)| nic)
        .find(|nic| matches!(topology.node(*nic).map(|node| &node.data), Some(NodeData::VmNic(_))))
}
