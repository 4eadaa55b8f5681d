//! Identity: from (host, namespace, index or name) to the node.
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use tapline_model::Name;
use tapline_model::capture::HostId;
use tapline_model::ids::{IfIndex, Netns};

use crate::graph::NodeId;

/// The lookups. Maps that are only looked up hash; maps that are walked are ordered.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) netdev_names: HashMap<(HostId, Netns, Name), NodeId>,
    pub(crate) netdev_indexes: HashMap<(HostId, Netns, IfIndex), NodeId>,
    pub(crate) netdevs_anywhere: HashMap<(HostId, Name), Vec<NodeId>>,
    pub(crate) ovs_bridges: BTreeMap<(HostId, Name), NodeId>,
    pub(crate) ovs_ports: BTreeMap<(HostId, Name), NodeId>,
    pub(crate) ovs_interfaces: BTreeMap<(HostId, Name), NodeId>,
    pub(crate) addresses: HashMap<IpAddr, Vec<NodeId>>,
}

impl Keys {
    pub(crate) fn netdev_by_name(&self, host: HostId, netns: &Netns, name: &str) -> Option<NodeId> {
        self.netdev_names.get(&(host, netns.clone(), name.into())).copied()
    }

    pub(crate) fn netdev_by_index(
        &self,
        host: HostId,
        netns: &Netns,
        index: IfIndex,
    ) -> Option<NodeId> {
        self.netdev_indexes.get(&(host, netns.clone(), index)).copied()
    }

    pub(crate) fn netdevs_by_name(&self, host: HostId, name: &str) -> &[NodeId] {
        self.netdevs_anywhere.get(&(host, name.into())).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn ovs_bridge(&self, host: HostId, name: &str) -> Option<NodeId> {
        self.ovs_bridges.get(&(host, name.into())).copied()
    }

    pub(crate) fn ovs_port(&self, host: HostId, name: &str) -> Option<NodeId> {
        self.ovs_ports.get(&(host, name.into())).copied()
    }

    pub(crate) fn ovs_interface(&self, host: HostId, name: &str) -> Option<NodeId> {
        self.ovs_interfaces.get(&(host, name.into())).copied()
    }

    pub(crate) fn addresses(&self, ip: IpAddr) -> &[NodeId] {
        self.addresses.get(&ip).map_or(&[], Vec::as_slice)
    }
}
