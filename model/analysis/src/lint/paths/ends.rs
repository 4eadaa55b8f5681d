//! Where a path may end: at a wire, at the host or a namespace that routes on, or on a switch whose
//! network has no member elsewhere.
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::{Item, Network};
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{NodeId, names};

use super::{Reach, Walk, is_wire};

impl Walk<'_, '_, '_> {
    /// Whether a path may end at the last hop.
    pub(super) fn is_end(&self) -> bool {
        let Some(last) = self.path.steps.last() else { return false };
        // Of the device that sends a tunnel's packets the path goes on to a wire.
        let is_bridge = self.network.ovs_bridge(last.node).is_some()
            || self.network.netdev(last.node).is_some_and(|it| it.kind == NetdevKind::Bridge);
        if self.path.reach == Reach::Tunnels {
            return !is_bridge;
        }
        if let Some(bridge) = self.network.ovs_bridge(last.node) {
            if self.network.is_integration(bridge.id) {
                return self.stays_on(bridge.host);
            }
            // By the bridge's own device the frames come to the host, which routes them.
            let own = self.network.netdev_called(bridge.host, &Netns::Root, bridge.name());
            return own.is_some_and(|own| self.has_address(own.id));
        }
        if let Some(interface) = self.network.ovs_interface(last.node) {
            // The NIC may belong to DPDK, or its device may not be captured.
            return interface.kind == "dpdk" || names::is_nic(interface.name());
        }
        let Some(device) = self.network.netdev(last.node) else { return false };
        match device.kind {
            // The host itself answers there, and routes. Every bridge that is up has an address of its
            // link.
            NetdevKind::Bridge => self.has_address(device.id),
            NetdevKind::Vlan if self.has_address(device.id) => true,
            _ if self.ends_at_router() => true,
            _ => is_wire(self.network, device.id),
        }
    }

    /// Whether the last hop is the other end of a pair, and what has it answers, or routes what comes
    /// by it.
    pub(super) fn ends_at_router(&self) -> bool {
        let last = self.path.steps.last().and_then(|step| self.network.netdev(step.node));
        last.is_some_and(|device| {
            device.kind == NetdevKind::Veth && is_routed(self.network, device)
        })
    }

    /// Whether a device has an address that reaches further than its link.
    fn has_address(&self, device: NodeId) -> bool {
        self.network.addresses_of(device).iter().any(|address| !is_of_link(address.ip))
    }

    /// Whether the frames may stay on the integration bridge: it is joined with no other, or the
    /// network of the port has no member elsewhere. Else what leads them on is not there.
    fn stays_on(&self, host: HostId) -> bool {
        let datapaths = self.network.datapaths();
        let mut ports = self.path.steps.iter().rev().map(|step| step.node);
        match ports.find(|node| datapaths.exits_of(*node).is_some()) {
            Some(port) => !datapaths.goes_astray(port),
            None => !self.network.exits().exist(host),
        }
    }
}

/// Whether the host itself, or another namespace, has the other end of a namespace's device, and
/// routes: the device is in no bridge, and has an address or a route.
fn is_routed(network: &Network<'_>, device: Item<'_, Netdev<'_>>) -> bool {
    if network.master(device.id).is_some() || network.interface_of(device.id).is_some() {
        return false;
    }
    let has_address = network.addresses_of(device.id).iter().any(|address| !is_of_link(address.ip));
    let netns = network.topology.find_netns(device.host, device.netns());
    let tables = netns.into_iter().flat_map(|netns| network.tables_in(netns));
    let mut routes = tables.flat_map(|table| &table.data.routes).map(|seen| seen.record);
    has_address
        || routes.any(|route| {
            let by_it = route.dev.as_ref().is_some_and(|dev| dev.value == device.name());
            let wide = route.destination.as_ref().is_none_or(|to| !is_of_link(to.value.addr()));
            by_it && wide && route.kind == "unicast"
        })
}

/// Whether an address reaches no further than the link.
fn is_of_link(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}
