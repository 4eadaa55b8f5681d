//! Paths that end at the host: a VLAN of a Linux bridge that no other port carries, and in which the
//! host itself has an address.
use tapline_topology::graph::NetdevKind;
use tapline_topology::{EdgeKind, NodeId};

use super::{Frame, Hop, Link, Paths};
use crate::l2::{self, Block, Why};
use crate::{Answer, defs};

impl<'t> Paths<'t, '_> {
    /// Ends a path at a Linux bridge that tells VLANs apart, or at the VLAN device on it, where the host
    /// is in the VLAN and all other ports are not: they are not meant.
    pub(super) fn end_at_host(
        &self,
        (from, at): (Option<NodeId>, NodeId),
        frame: Frame,
        hops: &mut Vec<Hop<'t>>,
    ) {
        let network = self.network;
        // What the host sends itself, such as packets of its tunnels, is for others.
        let is_own = from.is_some_and(|from| {
            let on_bridge = network.topology.into(at, EdgeKind::StackedOn);
            network.tunnel(from).is_some() || on_bridge.iter().any(|(above, _)| *above == from)
        });
        if is_own {
            return;
        }
        let bridge = network.netdev(at).filter(|device| device.kind == NetdevKind::Bridge);
        let Some(bridge) = bridge.filter(|bridge| network.filters_vlans(*bridge)) else { return };
        let (Some(vlan), Some(vlans)) = (frame.vlan, network.bridge_ports().vlans(at)) else {
            return;
        };
        let is_other = |hop: &Hop<'_>| matches!(hop.block(), Some(Block { why: Why::Vlan(_), .. }));
        if !vlans.contains(vlan) || !hops.iter().all(is_other) {
            return;
        }
        let has_address = |device: NodeId| {
            network.addresses_of(device).iter().any(|address| defs::is_global(address.ip))
        };
        if vlans.pvid == Some(vlan) && has_address(bridge.id) {
            return hops.clear();
        }
        let above = network.topology.into(at, EdgeKind::StackedOn).into_iter().filter(|(id, _)| {
            let device = network.netdev(*id);
            device.and_then(l2::vlan_of) == Some(vlan) && has_address(*id)
        });
        let ends: Vec<Hop<'t>> = above
            .map(|(node, edge)| Hop {
                node,
                link: Link::Edge(edge),
                passes: network.passes_both_ways(node),
                doubtful: false,
                again: false,
                next: Vec::new(),
            })
            .collect();
        if ends.iter().any(|hop| matches!(hop.passes, Answer::Known(None))) {
            *hops = ends;
        }
    }
}
