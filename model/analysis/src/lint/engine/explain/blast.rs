//! What hangs on the thing that is at fault.
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_topology::chain::{Chains, Hop};
use tapline_topology::{EdgeKind, NodeData, NodeId};

use super::touch::Touch;
use crate::lint::engine::ctx::Ctx;
use crate::lint::engine::finding::{Blast, Finding};
use tapline_network::ways::{INTEGRATION, Ways};

/// Steps that are followed for all findings together, and for one of them.
const MOST_STEPS: usize = 400_000;
/// Further objects of one finding whose users are counted.
const MOST_OBJECTS: usize = 200;

/// Follows the ways from a fault to its users.
pub(super) struct Reach<'c, 'a> {
    ctx: &'c Ctx<'a>,
    chains: Chains<'c, 'a>,
    /// Tunnels by the address that they send from.
    tunnels: BTreeMap<(HostId, IpAddr), Vec<NodeId>>,
    ways: Ways,
    steps: usize,
}

impl<'c, 'a> Reach<'c, 'a> {
    pub(super) fn new(ctx: &'c Ctx<'a>) -> Self {
        let mut tunnels: BTreeMap<_, Vec<NodeId>> = BTreeMap::new();
        for tunnel in ctx.tunnels() {
            if let Some(local) = &tunnel.data.local {
                tunnels.entry((tunnel.host, local.value)).or_default().push(tunnel.owner);
            }
        }
        let ways = Ways::new(ctx.topology);
        Self { ctx, chains: Chains::new(ctx.topology), tunnels, ways, steps: 0 }
    }

    /// The users of what a finding is about, and all that lies between.
    pub(super) fn of(&mut self, finding: &Finding, touch: &Touch) -> (Blast, Vec<NodeId>) {
        let mut seen: BTreeSet<NodeId> = BTreeSet::new();
        let mut open: Vec<NodeId> = touch.nodes.iter().take(MOST_OBJECTS).copied().collect();
        // Tunnels from an address hang on the device that has it; one of them leads to all users.
        let mut carried: BTreeSet<IpAddr> = BTreeSet::new();
        while let Some(node) = open.pop() {
            self.follow(node, &mut seen);
            if carried.is_empty() {
                for device in seen.iter().copied().chain([node]) {
                    for address in self.ctx.addresses_of(device) {
                        if let Some(owners) = self.tunnels.get(&(finding.host, address.ip))
                            && carried.insert(address.ip)
                        {
                            open.extend(owners.first());
                        }
                    }
                }
            }
        }
        let mut vms: BTreeSet<NodeId> = BTreeSet::new();
        let mut namespaces: BTreeSet<(Option<HostId>, &str)> =
            touch.netns.iter().map(|it| (Some(finding.host), it.as_str())).collect();
        for &id in seen.iter().chain(&touch.nodes) {
            let Some(node) = self.ctx.topology.node(id) else { continue };
            match &node.data {
                NodeData::Vm(vm) if vm.active == Some(true) => {
                    vms.insert(id);
                }
                NodeData::Netns(_) => {
                    let name = node.netns.as_ref().and_then(|it| it.name());
                    namespaces.extend(name.map(|it| (node.host, it)));
                }
                _ => {}
            }
        }
        for name in touch.devices.iter().take(MOST_OBJECTS) {
            for nic in self.ctx.nics_behind(finding.host, name) {
                let runs = self.ctx.vm(nic.vm).is_some_and(|it| it.active == Some(true));
                vms.extend(runs.then_some(nic.vm));
            }
        }
        let count = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
        let blast = Blast { vms: count(vms.len()), namespaces: count(namespaces.len()) };
        (blast, seen.into_iter().collect())
    }

    /// Follows one way up. Behind the integration bridge only ports lie on it whose VLAN goes
    /// through the bridge from which it was reached.
    fn follow(&mut self, node: NodeId, seen: &mut BTreeSet<NodeId>) {
        if self.steps >= MOST_STEPS || seen.contains(&node) {
            return;
        }
        seen.insert(node);
        let hops = self.chains.up(node);
        let mut open: Vec<(&Hop<'_>, Option<NodeId>)> =
            hops.iter().map(|it| (it, self.bridge_at(node))).collect();
        // A bridge may be reached by several ways and has its hops at one of them.
        let mut integration: Vec<&Hop<'_>> = Vec::new();
        let mut through: BTreeMap<NodeId, BTreeSet<Option<NodeId>>> = BTreeMap::new();
        loop {
            while let Some((hop, from)) = open.pop() {
                self.steps += 1;
                seen.insert(hop.node);
                if self.is_integration(hop.node) {
                    integration.push(hop);
                    through.entry(hop.node).or_default().insert(from);
                    continue;
                }
                let from = match self.ctx.ovs_bridge(hop.node) {
                    Some(bridge) => Some(bridge.id),
                    None => from,
                };
                open.extend(hop.next.iter().map(|it| (it, from)));
            }
            let Some(bridge) = integration.pop() else { break };
            let from = through.get(&bridge.node);
            for hop in &bridge.next {
                let carried = from.is_none_or(|all| all.iter().any(|it| self.carries(hop, *it)));
                if carried {
                    open.push((hop, Some(bridge.node)));
                }
            }
        }
    }

    /// Whether frames of a port of the integration bridge may come from another bridge.
    fn carries(&self, port: &Hop<'_>, from: Option<NodeId>) -> bool {
        let (Some(from), Some(port)) = (from, self.ctx.ovs_port(port.node)) else { return true };
        let mode = port.data.vlan_mode.as_ref().map_or("", |it| it.value.as_str());
        match &port.data.tag {
            Some(tag) if matches!(mode, "" | "access") => {
                self.ways.may_carry(port.host, tag.value, from)
            }
            // Trunk ports take all VLANs.
            _ => true,
        }
    }

    fn is_integration(&self, node: NodeId) -> bool {
        self.ctx.ovs_bridge(node).is_some_and(|it| it.name() == INTEGRATION)
    }

    /// The bridge that a way starts from: the thing itself, or what lies behind it.
    fn bridge_at(&self, node: NodeId) -> Option<NodeId> {
        if let Some(bridge) = self.ctx.ovs_bridge(node) {
            return (bridge.name() != INTEGRATION).then_some(bridge.id);
        }
        let host = self.ctx.topology.node(node)?.host?;
        let own = |id: NodeId| self.ways.behind(host, id);
        own(node).or_else(|| {
            let port = self.ctx.ovs_port(node)?;
            let interfaces = self.ctx.topology.into(port.id, EdgeKind::OvsInterfaceOf);
            interfaces.into_iter().find_map(|(id, _)| own(id))
        })
    }
}
