//! What hangs on the thing that is at fault.
use std::collections::BTreeSet;

use tapline_core::capture::HostId;
use tapline_topology::graph::Vm;
use tapline_topology::{NodeData, NodeId};

use super::touch::Touch;
use crate::lint::engine::ctx::Ctx;
use crate::lint::engine::finding::{Blast, Finding};
use tapline_network::path::Paths;

/// Steps that are followed for all findings together, and for one of them.
const MOST_STEPS: usize = 400_000;
/// Further objects of one finding whose users are counted.
const MOST_OBJECTS: usize = 200;

/// Follows the paths from a fault to its users.
pub(super) struct Reach<'c, 'a> {
    ctx: &'c Ctx<'a>,
    paths: Paths<'c, 'a>,
    steps: usize,
}

impl<'c, 'a> Reach<'c, 'a> {
    pub(super) fn new(ctx: &'c Ctx<'a>) -> Self {
        Self { ctx, paths: Paths::new(&ctx.network), steps: 0 }
    }

    /// The users of what a finding is about, and all that lies between.
    pub(super) fn of(&mut self, finding: &Finding, touch: &Touch) -> (Blast, Vec<NodeId>) {
        let mut seen: BTreeSet<NodeId> = BTreeSet::new();
        for &node in touch.nodes.iter().take(MOST_OBJECTS) {
            if self.steps < MOST_STEPS && seen.insert(node) {
                let reached = self.paths.up(node).nodes();
                self.steps += reached.len();
                seen.extend(reached);
            }
        }
        let mut vms: BTreeSet<NodeId> = BTreeSet::new();
        let mut namespaces: BTreeSet<(Option<HostId>, &str)> =
            touch.netns.iter().map(|netns| (Some(finding.host), netns.as_str())).collect();
        for &id in seen.iter().chain(&touch.nodes) {
            let Some(node) = self.ctx.topology.node(id) else { continue };
            match &node.data {
                NodeData::Vm(vm) if vm.active == Some(true) => {
                    vms.insert(id);
                }
                NodeData::Netns(_) => {
                    let name = node.netns.as_ref().and_then(|netns| netns.name());
                    namespaces.extend(name.map(|name| (node.host, name)));
                }
                _ => {}
            }
        }
        for name in touch.devices.iter().take(MOST_OBJECTS) {
            for nic in self.ctx.nics_behind(finding.host, name) {
                let runs = self.ctx.vm(nic.vm).is_some_and(|vm| vm.active == Some(true));
                vms.extend(runs.then_some(nic.vm));
            }
        }
        let count = |it: usize| u32::try_from(it).unwrap_or(u32::MAX);
        let halted = vms.iter().filter(|&&vm| self.ctx.vm(vm).is_some_and(|vm| is_halted(&vm)));
        let blast = Blast {
            vms: count(vms.len()),
            halted: count(halted.count()),
            namespaces: count(namespaces.len()),
        };
        (blast, seen.into_iter().collect())
    }
}

/// Whether libvirt says of a started VM that it does not run.
fn is_halted(vm: &Vm) -> bool {
    vm.state.as_ref().is_some_and(|state| matches!(state.value.as_str(), "paused" | "in shutdown"))
}
