//! The graph: how to build it and walk it. The only file that knows the graph of petgraph.
mod edge;
mod logical;
mod node;

use std::net::IpAddr;
use std::sync::OnceLock;

use petgraph::Direction;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef as _;
use tapline_core::capture::{HostId, Snapshot};
use tapline_core::ids::{IfIndex, Netns};

pub use edge::{Confidence, Conflict, ConflictKind, Edge, EdgeKind, Witness, WitnessClass};
pub use logical::{Logical, LogicalKind};
pub use node::{
    AddressNode, Fact, Host, Netdev, NetdevKind, NetnsNode, Node, NodeData, OvsBridge,
    OvsController, OvsInterface, OvsPort, RemoteHost, RouteTable, Seen, TunnelEndpoint, Underlay,
    Vm, VmNic,
};

use crate::coverage::Coverages;
use crate::key::KeyIndex;
use crate::keys::Keys;
use crate::machine::Machines;
use crate::rows::Rows;

/// A node of the topology. Valid for the topology that gave it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub(crate) NodeIndex);

/// The topology of everything that was captured.
#[derive(Debug)]
pub struct Topology<'a> {
    /// What it was built from.
    pub snapshot: &'a Snapshot,
    /// What was captured of each host and namespace.
    pub coverage: Coverages,
    /// Contradictions, in the order of their nodes.
    pub conflicts: Vec<Conflict>,
    pub(crate) graph: DiGraph<Node<'a>, Edge>,
    pub(crate) keys: Keys,
    /// The rows of OVN's databases.
    pub rows: Rows<'a>,
    /// Which hosts are one machine.
    pub machines: Machines,
    /// Groups of names that a person called one machine.
    pub(crate) said: Vec<Vec<String>>,
    /// Made when the first key is asked for.
    pub(crate) key_index: OnceLock<KeyIndex>,
}

impl<'a> Topology<'a> {
    /// An empty topology over `snapshot`.
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            coverage: Coverages::default(),
            conflicts: Vec::new(),
            graph: DiGraph::new(),
            keys: Keys::default(),
            rows: Rows::default(),
            machines: Machines::default(),
            said: Vec::new(),
            key_index: OnceLock::new(),
        }
    }

    /// The node with this id. An id of another topology gives `None`.
    pub fn node(&self, id: NodeId) -> Option<&Node<'a>> {
        self.graph.node_weight(id.0)
    }

    /// All nodes in the order in which they were made: host by host, each with its namespaces,
    /// devices (by namespace and index), OVS, machines, addresses and routing tables (by name);
    /// tunnel endpoints and remote hosts come last.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeId, &Node<'a>)> {
        self.graph.node_indices().filter_map(|at| Some((NodeId(at), self.graph.node_weight(at)?)))
    }

    /// All edges, as (from, edge, to), in the order in which they were made.
    pub fn edges(&self) -> impl Iterator<Item = (NodeId, &Edge, NodeId)> {
        self.graph.edge_references().map(|reference| {
            (NodeId(reference.source()), reference.weight(), NodeId(reference.target()))
        })
    }

    /// Nodes that `id` has an edge of `kind` to, with the edge, sorted by node.
    pub fn out(&self, id: NodeId, kind: EdgeKind) -> Vec<(NodeId, &Edge)> {
        self.walk(id, kind, Direction::Outgoing)
    }

    /// Nodes that have an edge of `kind` to `id`, with the edge, sorted by node.
    pub fn into(&self, id: NodeId, kind: EdgeKind) -> Vec<(NodeId, &Edge)> {
        self.walk(id, kind, Direction::Incoming)
    }

    /// The other end of a symmetric edge (veth, patch).
    pub fn peer(&self, id: NodeId, kind: EdgeKind) -> Option<(NodeId, &Edge)> {
        self.out(id, kind).into_iter().chain(self.into(id, kind)).next()
    }

    /// Every neighbour with the edge: (other end, edge, whether the edge starts here), sorted.
    pub fn neighbours(&self, id: NodeId) -> Vec<(NodeId, &Edge, bool)> {
        let outgoing = self.graph.edges_directed(id.0, Direction::Outgoing);
        let incoming = self.graph.edges_directed(id.0, Direction::Incoming);
        let mut all: Vec<_> = outgoing
            .map(|outgoing| (NodeId(outgoing.target()), outgoing.weight(), true))
            .chain(incoming.map(|incoming| (NodeId(incoming.source()), incoming.weight(), false)))
            .collect();
        all.sort_by_key(|&(node, edge, starts)| (edge.kind, node, starts));
        all
    }

    /// The virtual machine called `name`.
    pub fn find_vm(&self, host: HostId, name: &str) -> Option<NodeId> {
        self.keys.host(host)?.vms.get(name).copied()
    }

    /// The node of a namespace.
    pub fn find_netns(&self, host: HostId, netns: &Netns) -> Option<NodeId> {
        self.keys.netns(host, netns)?.node
    }

    /// A routing table of a namespace, by name (`main`) or number.
    pub fn find_route_table(&self, host: HostId, netns: &Netns, table: &str) -> Option<NodeId> {
        self.keys.netns(host, netns)?.route_tables.get(table).copied()
    }

    /// The node of a host that was not captured.
    pub fn find_remote_host(&self, ip: IpAddr) -> Option<NodeId> {
        self.keys.remote_hosts.get(&ip).copied()
    }

    /// The OVS interface at `id`.
    pub fn ovs_interface(&self, id: NodeId) -> Option<&OvsInterface> {
        match &self.node(id)?.data {
            NodeData::OvsInterface(it) => Some(it),
            _ => None,
        }
    }

    pub(crate) fn netdev_mut(&mut self, id: NodeId) -> Option<&mut Netdev<'a>> {
        match &mut self.graph.node_weight_mut(id.0)?.data {
            NodeData::Netdev(it) => Some(it),
            _ => None,
        }
    }

    /// The object of OVN at `id`.
    pub fn logical(&self, id: NodeId) -> Option<&Logical<'a>> {
        match &self.node(id)?.data {
            NodeData::Logical(it) => Some(it),
            _ => None,
        }
    }

    pub(crate) fn logical_mut(&mut self, id: NodeId) -> Option<&mut Logical<'a>> {
        match &mut self.graph.node_weight_mut(id.0)?.data {
            NodeData::Logical(it) => Some(it),
            _ => None,
        }
    }

    pub(crate) fn node_mut(&mut self, id: NodeId) -> Option<&mut Node<'a>> {
        self.graph.node_weight_mut(id.0)
    }

    /// Adds a node. The caller enters it into the keys.
    pub(crate) fn add(&mut self, node: Node<'a>) -> NodeId {
        NodeId(self.graph.add_node(node))
    }

    /// Adds an edge; its witnesses are put in order. Linkers gather all witnesses first: one edge
    /// per relation.
    pub(crate) fn connect(
        &mut self,
        from: NodeId,
        to: NodeId,
        kind: EdgeKind,
        confidence: Confidence,
        mut witnesses: Vec<Witness>,
    ) {
        witnesses.sort_by_key(|witness| std::cmp::Reverse(witness.class));
        // The same words from a further text of the same kind add nothing.
        let mut kept: Vec<Witness> = Vec::with_capacity(witnesses.len());
        for witness in witnesses {
            if !kept.iter().any(|kept| kept.class == witness.class && kept.claim == witness.claim) {
                kept.push(witness);
            }
        }
        let witnesses = kept;
        self.graph.add_edge(from.0, to.0, Edge { kind, confidence, witnesses });
    }

    fn walk(&self, id: NodeId, kind: EdgeKind, direction: Direction) -> Vec<(NodeId, &Edge)> {
        let mut all: Vec<_> = self
            .graph
            .edges_directed(id.0, direction)
            .filter(|directed| directed.weight().kind == kind)
            .map(|directed| {
                let end = if direction == Direction::Outgoing {
                    directed.target()
                } else {
                    directed.source()
                };
                (NodeId(end), directed.weight())
            })
            .collect();
        all.sort_by_key(|&(node, _)| node);
        all
    }

    /// The device at `id`.
    pub fn netdev(&self, id: NodeId) -> Option<&Netdev<'a>> {
        match &self.node(id)?.data {
            NodeData::Netdev(it) => Some(it),
            _ => None,
        }
    }

    /// All devices of a host.
    pub fn netdevs(&self, host: HostId) -> impl Iterator<Item = (NodeId, &Node<'a>, &Netdev<'a>)> {
        self.nodes().filter_map(move |(id, node)| match &node.data {
            NodeData::Netdev(it) if node.host == Some(host) => Some((id, node, &**it)),
            _ => None,
        })
    }

    /// The device called `name` in one namespace. altnames count too.
    pub fn find_netdev(&self, host: HostId, netns: &Netns, name: &str) -> Option<NodeId> {
        self.keys.netdev_by_name(host, netns, name)
    }

    /// The device with this index in one namespace.
    pub fn find_netdev_by_index(
        &self,
        host: HostId,
        netns: &Netns,
        index: IfIndex,
    ) -> Option<NodeId> {
        self.keys.netdev_by_index(host, netns, index)
    }

    /// The devices called `name` in any namespace of the host.
    pub fn find_netdevs(&self, host: HostId, name: &str) -> &[NodeId] {
        self.keys.netdevs_by_name(host, name)
    }

    /// The OVS bridge called `name`.
    pub fn find_ovs_bridge(&self, host: HostId, name: &str) -> Option<NodeId> {
        self.keys.ovs_bridge(host, name)
    }

    /// The OVS port called `name`: names are unique in one database.
    pub fn find_ovs_port(&self, host: HostId, name: &str) -> Option<NodeId> {
        self.keys.ovs_port(host, name)
    }

    /// The OVS interface called `name`: names are unique in one database.
    pub fn find_ovs_interface(&self, host: HostId, name: &str) -> Option<NodeId> {
        self.keys.ovs_interface(host, name)
    }

    /// The address nodes for `ip`, in any namespace of any host; each names its device.
    pub fn find_address(&self, ip: IpAddr) -> &[NodeId] {
        self.keys.addresses(ip)
    }
}
