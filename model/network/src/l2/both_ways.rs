//! What stops whatever passes in one of both directions: a path is of no use to guests whose frames
//! go out by it and whose answers do not come back.
//!
//! A trace asks the filters itself, with a packet in its hand.
use tapline_core::Name;
use tapline_core::ids::Mac;
use tapline_core::need::Need;
use tapline_core::records::bridge::FdbEntry;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, NodeData, NodeId, Topic};

use super::{Block, Why};
use crate::hooks::frames::Hook;
use crate::{Answer, Item, Network, defs, overlay};

/// What tells whether a guest takes what a macvtap hands on.
const IN_THE_GUEST: Need =
    Need::Other("ip link, in the guest: its MAC has to be that of the macvtap on the host");

impl<'a> Network<'a> {
    /// Whether a node passes frames, as [`Network::forwarding`] says, and no filter there stops all
    /// that goes one way.
    pub fn passes_both_ways(&self, node: NodeId) -> Answer<Option<Block>> {
        let known = self.forwarding(node);
        if !matches!(known, Answer::Known(None)) {
            return known;
        }
        let stopped = match self.topology.node(node).map(|node| &node.data) {
            Some(NodeData::Netdev(_)) => match self.device_stops(node) {
                None if self.has_other_mac_than_guest(node) => {
                    return Answer::Unknown(vec![IN_THE_GUEST]);
                }
                stopped => stopped,
            },
            Some(NodeData::TunnelEndpoint(end)) => {
                let stopped = self.stopped_tunnels().get(&node).cloned();
                let stopped = stopped
                    .or_else(|| self.device_stops(end.owner))
                    .or_else(|| self.bridge_is_down(end.owner));
                match self.tunnel(node).filter(|_| stopped.is_none()) {
                    Some(tunnel) => return overlay::far::is_taken(self, tunnel),
                    None => stopped,
                }
            }
            _ => None,
        };
        Answer::Known(stopped)
    }

    /// Whether the Linux bridge that a device is in was set down.
    fn bridge_is_down(&self, device: NodeId) -> Option<Block> {
        let bridge = self.master(device).filter(|bridge| bridge.kind == NetdevKind::Bridge)?;
        let flags = bridge.data.flags.as_ref().filter(|_| bridge.admin_up() == Some(false))?;
        let name = Name::from(bridge.name());
        Some(Block { why: Why::BridgeDown(name), evidence: flags.evidence })
    }

    /// Whether a macvtap has another MAC than the NIC of its running guest: it hands on what is sent to
    /// its own alone, unless it has its NIC for itself (`macvlan_handle_frame`, drivers/net/macvlan.c).
    /// A guest may have changed its MAC to that of the macvtap.
    fn has_other_mac_than_guest(&self, device: NodeId) -> bool {
        let device = self.netdev(device).filter(|device| device.kind == NetdevKind::Macvtap);
        let Some(device) = device else { return false };
        let Some(mac) = &device.data.mac else { return false };
        let takes_all = device.data.records.iter().any(|seen| {
            let mode = seen.record.kind_data.mode.as_ref();
            mode.is_none_or(|mode| mode.value == "passthru")
        });
        let guests = self.topology.into(device.id, EdgeKind::AttachesVm);
        !takes_all
            && guests.into_iter().filter_map(|(nic, _)| self.vm_nic(nic)).any(|nic| {
                nic.data.live && nic.data.mac.as_ref().is_some_and(|own| own.value != mac.value)
            })
    }

    fn device_stops(&self, device: NodeId) -> Option<Block> {
        let device = self.netdev(device)?;
        let idle = || {
            let evidence = self.carries_nothing(device).known().flatten()?;
            Some(Block { why: Why::NoBridge, evidence })
        };
        let deaf = || {
            let evidence = hears_nobody(device)?;
            Some(Block { why: Why::NotReturned, evidence })
        };
        self.filtered_at(device).or_else(deaf).or_else(idle)
    }

    /// Whether a VXLAN device of the kernel hands what it takes out of its packets to nobody: it is in
    /// no bridge, nothing stands on it, and it has no address, as complete captures show; the place that
    /// says what it is. One that gets its VNI with each packet is a device of some switch (`external`,
    /// ip-link(8)).
    pub fn carries_nothing(&self, device: Item<'a, Netdev<'a>>) -> Answer<Option<Evidence>> {
        let vxlan = device.records.iter().find_map(|seen| {
            let kind = seen.record.kind.as_ref().filter(|kind| kind.value == "vxlan")?;
            let data = seen.record.kind_data.tunnel.as_ref()?;
            (!data.external).then(|| kind.evidence(seen.source))
        });
        let is_used = self.master(device.id).is_some()
            || self.is_disputed(device.id)
            || self.interface_of(device.id).is_some()
            || !self.topology.into(device.id, EdgeKind::StackedOn).is_empty()
            || self.addresses_of(device.id).iter().any(|address| defs::is_global(address.ip));
        let Some(evidence) = vxlan.filter(|_| !is_used) else { return Answer::Known(None) };
        let topics = [Topic::Links, Topic::Addresses];
        let missing = self.missing(device.host, device.netns(), &topics);
        if !missing.is_empty() {
            return Answer::Unknown(missing);
        }
        Answer::Known(Some(evidence))
    }

    /// What of nft stops every frame that a device receives or sends, or that its bridge takes from
    /// it or sends by it.
    fn filtered_at(&self, device: Item<'a, Netdev<'a>>) -> Option<Block> {
        let frames = self.filters().frames.get(&(device.host, device.netns()))?;
        let name = Name::from(device.name());
        let is_port =
            self.master(device.id).is_some_and(|master| master.kind == NetdevKind::Bridge);
        let (received, sent) = ((Some(&name), None), (None, Some(&name)));
        let of_device = [(Hook::Ingress, received), (Hook::Egress, sent)];
        let of_port = [(Hook::Prerouting, received), (Hook::Postrouting, sent)];
        let hooks = of_device.into_iter().chain(of_port.into_iter().filter(|_| is_port));
        hooks.into_iter().find_map(|(hook, ports)| {
            let evidence = frames.stop(hook, ports, None)?;
            Some(Block { why: Why::Filtered(hook.as_str().into()), evidence })
        })
    }

    /// What stops every frame of a MAC that a device, a port of a Linux bridge, takes in.
    pub(crate) fn filtered_from(&self, port: NodeId, sender: Mac) -> Option<Block> {
        let bridge = self.master(port).filter(|bridge| bridge.kind == NetdevKind::Bridge)?;
        let frames = self.filters().frames.get(&(bridge.host, bridge.netns()))?;
        let name = Name::from(self.netdev(port)?.name());
        [Hook::Ingress, Hook::Prerouting].into_iter().find_map(|hook| {
            let evidence = frames.stop(hook, (Some(&name), None), Some(sender))?;
            Some(Block { why: Why::Filtered(hook.as_str().into()), evidence })
        })
    }

    /// Whether a locked port of a Linux bridge takes frames of a MAC: its forwarding table has to have
    /// the MAC at the port (bridge(8), `locked`; `br_handle_frame_finish`, net/bridge/br_input.c).
    pub(crate) fn lets_in(&self, port: NodeId, from: Mac) -> Answer<Option<Block>> {
        let state = self.bridge_ports().state(port).and_then(|state| state.locked);
        let locked = state.filter(|(locked, _)| *locked);
        let (Some((_, evidence)), Some(device)) = (locked, self.netdev(port)) else {
            return Answer::Known(None);
        };
        let mut is_whole = false;
        for (source, entries) in self.fdb_texts() {
            if source.host != device.host || source.netns != *device.netns() {
                continue;
            }
            let at_port = |entry: &FdbEntry| {
                entry.dev.as_ref().is_some_and(|dev| dev.value == device.name())
                    && entry.mac.value == from
                    && !entry.flags.iter().any(|flag| flag == "locked")
            };
            if entries.iter().any(at_port) {
                return Answer::Known(None);
            }
            let mut words = source.command.args().iter();
            let is_part = words.any(|word| matches!(word.as_str(), "dev" | "brport" | "br"));
            is_whole |= !is_part && self.topology.snapshot.completeness(source.id).is_complete();
        }
        if !is_whole {
            return Answer::Unknown(vec![Need::command("bridge fdb show").within(device.netns())]);
        }
        Answer::Known(Some(Block { why: Why::Locked, evidence }))
    }

    /// What of nft stops every frame that a Linux bridge passes between two of its ports one way; those
    /// of a MAC from the first, where one is given.
    pub(crate) fn filtered_between(
        &self,
        from: NodeId,
        to: NodeId,
        sender: Option<Mac>,
    ) -> Option<Block> {
        let bridge = self.master(from).filter(|bridge| bridge.kind == NetdevKind::Bridge)?;
        if self.master(to).map(|other| other.id) != Some(bridge.id) {
            return None;
        }
        let frames = self.filters().frames.get(&(bridge.host, bridge.netns()))?;
        let name = |port| self.netdev(port).map(|device| Name::from(device.name()));
        let (from, to) = (name(from)?, name(to)?);
        let one_way = |from, to, sender| frames.stop(Hook::Forward, (Some(from), Some(to)), sender);
        let evidence = one_way(&from, &to, sender).or_else(|| one_way(&to, &from, None))?;
        Some(Block { why: Why::Filtered(Hook::Forward.as_str().into()), evidence })
    }
}

/// What says that a macvlan takes frames of listed MACs alone, and that none is listed
/// (`macvlan_forward_source`, drivers/net/macvlan.c).
fn hears_nobody(device: Item<'_, Netdev<'_>>) -> Option<Evidence> {
    if !matches!(device.kind, NetdevKind::Macvlan | NetdevKind::Macvtap) {
        return None;
    }
    device.data.records.iter().find_map(|seen| {
        let mode = seen.record.kind_data.mode.as_ref().filter(|mode| mode.value == "source")?;
        let remotes = seen.record.other.find("remotes")?;
        (remotes.value == "(0)").then(|| mode.evidence(seen.source))
    })
}
