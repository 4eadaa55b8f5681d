//! In which box, and in which row of it, a node is drawn.
use tapline_core::ids::Netns;
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, NodeData, NodeId, Topology};

use super::Kind;

/// The node of a box, and that of the row where it is one.
pub(super) type Home = (NodeId, Option<NodeId>);

/// Where a node is drawn; `None` for what is no part of a picture.
pub(super) fn of(topology: &Topology<'_>, id: NodeId) -> Option<Home> {
    let node = topology.node(id)?;
    match &node.data {
        NodeData::Host(_) | NodeData::Logical(_) => None,
        NodeData::Netns(_) => in_namespace(topology, id).map(|netns| (netns, None)),
        NodeData::RouteTable(_) => {
            let netns = topology.find_netns(node.host?, node.netns.as_ref()?)?;
            in_namespace(topology, netns).map(|netns| (netns, None))
        }
        NodeData::RemoteHost(_) | NodeData::Vm(_) | NodeData::OvsBridge(_) => Some((id, None)),
        NodeData::VmNic(nic) => Some((nic.vm, Some(id))),
        NodeData::Address(address) => device(topology, address.netdev),
        NodeData::TunnelEndpoint(tunnel) => match &topology.node(tunnel.owner)?.data {
            NodeData::OvsInterface(_) => Some(interface(topology, tunnel.owner)),
            _ => device(topology, tunnel.owner),
        },
        NodeData::OvsPort(_) => Some(port(topology, id)),
        NodeData::OvsInterface(_) => Some(interface(topology, id)),
        NodeData::Netdev(_) => device(topology, id),
    }
}

/// What the box of a node is.
pub(super) fn kind(topology: &Topology<'_>, id: NodeId) -> Kind {
    match topology.node(id).map(|node| &node.data) {
        Some(NodeData::Vm(_) | NodeData::VmNic(_)) => Kind::Vm,
        Some(NodeData::Netns(_)) => Kind::Netns,
        Some(NodeData::OvsBridge(_)) => Kind::Switch,
        Some(NodeData::RemoteHost(_)) => Kind::Remote,
        Some(NodeData::Netdev(device)) => match device.kind {
            NetdevKind::Bridge => Kind::Bridge,
            NetdevKind::Bond | NetdevKind::Team => Kind::Bond,
            _ if is_nic(topology, id) => Kind::Nic,
            _ if holds_others(topology, id, device) => Kind::Bridge,
            _ => Kind::Device,
        },
        _ => Kind::Device,
    }
}

/// Whether the wire begins at a device.
pub(super) fn is_nic(topology: &Topology<'_>, id: NodeId) -> bool {
    topology.uplink(id).is_some_and(tapline_topology::Uplink::is_nic)
}

/// What is in each namespace, or belongs to the datapath itself, and says nothing by being there.
pub(super) fn is_scenery(topology: &Topology<'_>, id: NodeId) -> bool {
    topology.netdev(id).is_some_and(|device| {
        matches!(
            device.kind,
            NetdevKind::Loopback | NetdevKind::OvsDatapath | NetdevKind::OvsTunnelVport
        )
    })
}

/// The root namespace is the host itself.
fn in_namespace(topology: &Topology<'_>, netns: NodeId) -> Option<NodeId> {
    let is_root = topology.node(netns)?.netns.as_ref().is_none_or(Netns::is_root);
    (!is_root).then_some(netns)
}

fn device(topology: &Topology<'_>, id: NodeId) -> Option<Home> {
    let node = topology.node(id)?;
    let netdev = topology.netdev(id)?;
    if let (Some(host), Some(netns)) = (node.host, &node.netns)
        && !netns.is_root()
    {
        let netns = topology.find_netns(host, netns);
        return Some(netns.map_or((id, None), |netns| (netns, Some(id))));
    }
    let of_switch = first(topology, id, EdgeKind::DeviceOf).map(|it| interface(topology, it));
    // The device that is called as its bridge is the bridge itself.
    if let Some((bridge, None)) = of_switch {
        return Some((bridge, None));
    }
    if holds_others(topology, id, netdev) {
        return Some((id, None));
    }
    if let Some(home) = of_switch {
        return Some(home);
    }
    let master = first(topology, id, EdgeKind::EnslavedTo);
    let card = master.filter(|master| {
        // A master is a box in the root namespace, where this device is.
        topology.netdev(*master).is_some()
            && first(topology, *master, EdgeKind::DeviceOf).is_none()
            && topology.node(*master).is_some_and(|node| {
                node.host == topology.node(id).and_then(|node| node.host)
                    && node.netns.as_ref().is_none_or(Netns::is_root)
            })
    });
    Some(card.map_or((id, None), |master| (master, Some(id))))
}

fn holds_others(topology: &Topology<'_>, id: NodeId, device: &Netdev<'_>) -> bool {
    let by_kind = matches!(device.kind, NetdevKind::Bridge | NetdevKind::Bond | NetdevKind::Team);
    by_kind || !topology.into(id, EdgeKind::EnslavedTo).is_empty()
}

fn interface(topology: &Topology<'_>, id: NodeId) -> Home {
    let Some(of) = first(topology, id, EdgeKind::OvsInterfaceOf) else { return (id, None) };
    match topology.node(of).map(|node| &node.data) {
        Some(NodeData::OvsPort(data)) if data.interfaces > 1 => (port(topology, of).0, Some(id)),
        _ => port(topology, of),
    }
}

fn port(topology: &Topology<'_>, id: NodeId) -> Home {
    let Some(bridge) = first(topology, id, EdgeKind::OvsPortOf) else { return (id, None) };
    let name = |id| topology.node(id).map(|node| &node.name);
    if name(id) == name(bridge) { (bridge, None) } else { (bridge, Some(id)) }
}

fn first(topology: &Topology<'_>, id: NodeId, kind: EdgeKind) -> Option<NodeId> {
    topology.out(id, kind).first().map(|(other, _)| *other)
}
