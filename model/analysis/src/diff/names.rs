//! What is called otherwise in the new capture and is the same thing: devices of VMs (`vnet7`), ends
//! of veth pairs, NICs by their MAC, ports by the id of neutron, VMs by their UUID, local VLANs by
//! their network.
//!
//! The things of the old capture are compared under their new names, so that a name that was given
//! anew is one difference and not one in each place that holds it.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::ids::Netns;

use super::traces::{Device, Strong, Trace, Traces};

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
    pub(super) fn of(old: &Traces, new: &Traces) -> Self {
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

    fn read_vlans(&mut self, old: &Traces, new: &Traces) {
        let mut votes: BTreeMap<u16, BTreeSet<u16>> = BTreeMap::new();
        for (network, vlan) in &old.networks {
            if let Some(now) = new.networks.get(network) {
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
    fn drop_contradicted(&mut self, old: &Traces, new: &Traces) {
        let mut kept: BTreeMap<u16, (usize, usize)> = BTreeMap::new();
        for (name, tag) in &old.tags {
            let Some(now) = new.tags.get(self.port(name)) else { continue };
            let Some(expected) = self.vlans.get(tag) else { continue };
            let (stay, follow) = kept.entry(*tag).or_default();
            *stay += usize::from(now == tag);
            *follow += usize::from(now == expected);
        }
        self.vlans.retain(|vlan, now| {
            let (stay, follow) = kept.get(vlan).copied().unwrap_or_default();
            vlan == now || stay == 0 || follow > stay
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
fn ids(all: &BTreeMap<Name, Option<Name>>) -> impl Iterator<Item = (&Name, &Name)> {
    all.iter().filter_map(|(name, id)| Some((id.as_ref()?, name)))
}

fn vms(old: &Traces, new: &Traces) -> BTreeMap<Name, Name> {
    let pairs = pair(ids(&old.vms), ids(&new.vms));
    pairs.into_iter().filter(|(old, new)| old != new).collect()
}

fn devices(old: &Traces, new: &Traces, vms: &BTreeMap<Name, Name>) -> BTreeMap<Device, Device> {
    let (mut old, mut new) = (old.devices.clone(), new.devices.clone());
    // The old VMs under their new names.
    for trace in old.values_mut() {
        if let Some(Strong::Nic { vm, .. }) = &mut trace.strong
            && let Some(now) = vms.get(vm)
        {
            *vm = now.clone();
        }
    }
    let mut renamed = BTreeMap::new();
    let mut take = |old: &mut BTreeMap<Device, Trace>,
                    new: &mut BTreeMap<Device, Trace>,
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

fn ports(old: &Traces, new: &Traces, devices: &BTreeMap<Device, Device>) -> BTreeMap<Name, Name> {
    let (mut before, mut after) = (old.ports.clone(), new.ports.clone());
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
