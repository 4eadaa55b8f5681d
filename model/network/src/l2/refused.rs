//! Filters that take frames of a guest's port with some MACs alone, as neutron and libvirt set them up
//! against guests that use the address of another, where the guest's own MAC is none of these.
use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_core::records::filter::Test;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind, OvsInterface, VmNic};
use tapline_topology::{EdgeKind, NodeId, names};

use super::{Arriving, passage};
use crate::{Item, Network};

/// So many ports of a bridge are asked whether frames get to them.
const MOST_PORTS: usize = 8;
/// So many rules that name a MAC are looked at, those next to the one that drops.
const MOST_NEAR: usize = 8;

/// A MAC that a filter refuses.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The MAC of the guest's NIC, and the place that says so.
    pub own: (Mac, Evidence),
    /// The MACs that are let pass instead, each with a rule or flow.
    pub wanted: BTreeMap<Mac, Evidence>,
    /// The rule or flow that drops.
    pub drops: Evidence,
    /// The device or the interface of Open vSwitch whose frames are refused.
    pub port: NodeId,
}

impl<'a> Network<'a> {
    /// Whether a filter of the host refuses what a NIC of a guest sends with its own MAC, and lets
    /// pass what it would send with another one that the filter names.
    pub fn refused(&self, nic: Item<'a, VmNic<'a>>) -> Option<Refused> {
        let own = nic.data.mac.as_ref()?;
        let own = (own.value, own.evidence);
        let attached = self.topology.out(nic.id, EdgeKind::AttachesVm);
        let device = attached.iter().find_map(|(id, _)| self.netdev(*id));
        let by_bridge = device.and_then(|device| self.refused_by_bridge(device, own));
        by_bridge.or_else(|| {
            let hybrid = device.and_then(|device| {
                let port = names::port_prefix(device.name())?;
                self.interface_called(nic.host, &format!("qvo{port}"))
            });
            let direct = attached.iter().find_map(|(id, _)| self.ovs_interface(*id));
            let direct = direct.or_else(|| device.and_then(|it| self.interface_of(it.id)));
            self.refused_by_flows(direct.or(hybrid)?, own)
        })
    }

    /// The filters of a Linux bridge: of frames, and of IPv4 where it is shown to them.
    fn refused_by_bridge(
        &self,
        tap: Item<'a, Netdev<'a>>,
        own: (Mac, Evidence),
    ) -> Option<Refused> {
        let bridge = self.master(tap.id).filter(|bridge| bridge.kind == NetdevKind::Bridge)?;
        // To other guests of the bridge it is the same filter.
        let mut others = self.members(bridge.id);
        others.retain(|other| other.id != tap.id && other.kind != NetdevKind::Tap);
        let others: Vec<NodeId> = others.iter().map(|other| other.id).take(MOST_PORTS).collect();
        let stop = |mac: Mac| -> Option<Evidence> {
            if let Some(block) = self.filtered_from(tap.id, mac) {
                return Some(block.evidence);
            }
            let between = |other: &NodeId| {
                self.filtered_between(tap.id, *other, Some(mac))
                    .or_else(|| self.filtered_as_ip(tap.id, *other, Some(mac)))
            };
            let mut all = others.iter().map(between);
            let first = all.next()??;
            all.all(|block| block.is_some()).then_some(first.evidence)
        };
        let named = self.named_senders().get(&(tap.host, tap.netns()))?;
        if named.contains_key(&own.0) {
            return None;
        }
        let drops = stop(own.0)?;
        // The rule for the port stands beside the one that drops all else.
        let distance = |line: &Evidence| line.span.start.abs_diff(drops.span.start);
        let mut near: Vec<(&Mac, &Evidence)> =
            named.iter().filter(|(_, line)| line.source == drops.source).collect();
        near.sort_by_key(|(_, line)| distance(line));
        let near = near.into_iter().take(MOST_NEAR).filter(|(mac, _)| stop(**mac).is_none());
        let wanted: BTreeMap<Mac, Evidence> = near.map(|(mac, line)| (*mac, *line)).collect();
        (!wanted.is_empty()).then_some(Refused { own, wanted, drops, port: tap.id })
    }

    /// The flows of the bridge of an interface.
    fn refused_by_flows(
        &self,
        interface: Item<'a, OvsInterface>,
        own: (Mac, Evidence),
    ) -> Option<Refused> {
        let bridge = self.bridge_called(interface.host, &interface.data.bridge)?;
        let walk = |mac: Mac| {
            let arriving = Arriving {
                interface: interface.id,
                vlan: Some(0),
                from: Some(mac),
                to: None,
                key: None,
            };
            passage(self, bridge, arriving)
        };
        let switch = self.ovs_switches().of(bridge.id);
        if !switch.is_foreign(interface.id, own.0) {
            return None;
        }
        let mut wanted = switch.senders.get(&interface.id)?.clone();
        let dropped = walk(own.0).filter(super::Passage::is_drop)?;
        wanted.retain(|mac, _| walk(*mac).is_some_and(|passage| !passage.is_drop()));
        let drops = dropped.evidence;
        (!wanted.is_empty()).then_some(Refused { own, wanted, drops, port: interface.id })
    }
}

/// The MACs that rules of each namespace name as those of a sender, each with a rule.
pub(crate) type NamedSenders<'a> = BTreeMap<(HostId, &'a Netns), BTreeMap<Mac, Evidence>>;

/// Gathers them.
pub(crate) fn named_senders<'a>(network: &Network<'a>) -> NamedSenders<'a> {
    let mut all = NamedSenders::new();
    let filters = network.filters();
    for (host, netns, _, table) in filters.tables() {
        for rule in &table.data.rules {
            for condition in &rule.conditions {
                if let Test::MacSource(macs) = &condition.test {
                    let line = table.line(rule);
                    let known = all.entry((host, netns)).or_default();
                    known.extend(macs.iter().filter_map(|mac| Some((mac.single()?, line))));
                }
            }
        }
    }
    for (place, frames) in &filters.frames {
        all.entry(*place).or_default().extend(frames.senders());
    }
    all
}
