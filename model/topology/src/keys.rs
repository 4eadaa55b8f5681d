//! Identity: from (host, namespace, index or name) to the node.
//!
//! Lookups borrow: no name is copied to be looked up, and what differs per namespace hangs below
//! the namespace.
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::{IfIndex, Netns};

use crate::graph::NodeId;

/// The lookups. Maps that are only looked up hash; maps that are walked are ordered.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) hosts: BTreeMap<HostId, HostKeys>,
    pub(crate) addresses: HashMap<IpAddr, Vec<NodeId>>,
    pub(crate) remote_hosts: BTreeMap<IpAddr, NodeId>,
}

/// The lookups within one host.
#[derive(Debug, Default)]
pub(crate) struct HostKeys {
    pub(crate) node: Option<NodeId>,
    pub(crate) namespaces: BTreeMap<Netns, NetnsKeys>,
    /// Devices by name, over all namespaces, in the order of their nodes.
    pub(crate) anywhere: HashMap<Name, Vec<NodeId>>,
    pub(crate) ovs_bridges: BTreeMap<Name, NodeId>,
    pub(crate) ovs_ports: BTreeMap<Name, NodeId>,
    pub(crate) ovs_interfaces: BTreeMap<Name, NodeId>,
    pub(crate) vms: BTreeMap<Name, NodeId>,
}

/// The lookups within one namespace.
#[derive(Debug, Default)]
pub(crate) struct NetnsKeys {
    pub(crate) node: Option<NodeId>,
    pub(crate) names: HashMap<Name, NodeId>,
    pub(crate) indexes: HashMap<IfIndex, NodeId>,
    pub(crate) route_tables: BTreeMap<Name, NodeId>,
}

impl Keys {
    pub(crate) fn host(&self, host: HostId) -> Option<&HostKeys> {
        self.hosts.get(&host)
    }

    pub(crate) fn host_mut(&mut self, host: HostId) -> &mut HostKeys {
        self.hosts.entry(host).or_default()
    }

    pub(crate) fn netns(&self, host: HostId, netns: &Netns) -> Option<&NetnsKeys> {
        self.host(host)?.namespaces.get(netns)
    }

    pub(crate) fn netdev_by_name(&self, host: HostId, netns: &Netns, name: &str) -> Option<NodeId> {
        self.netns(host, netns)?.names.get(name).copied()
    }

    pub(crate) fn netdev_by_index(
        &self,
        host: HostId,
        netns: &Netns,
        index: IfIndex,
    ) -> Option<NodeId> {
        self.netns(host, netns)?.indexes.get(&index).copied()
    }

    pub(crate) fn netdevs_by_name(&self, host: HostId, name: &str) -> &[NodeId] {
        self.host(host).and_then(|host| host.anywhere.get(name)).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn ovs_bridge(&self, host: HostId, name: &str) -> Option<NodeId> {
        self.host(host)?.ovs_bridges.get(name).copied()
    }

    pub(crate) fn ovs_port(&self, host: HostId, name: &str) -> Option<NodeId> {
        self.host(host)?.ovs_ports.get(name).copied()
    }

    pub(crate) fn ovs_interface(&self, host: HostId, name: &str) -> Option<NodeId> {
        self.host(host)?.ovs_interfaces.get(name).copied()
    }

    pub(crate) fn addresses(&self, ip: IpAddr) -> &[NodeId] {
        self.addresses.get(&ip).map_or(&[], Vec::as_slice)
    }
}
