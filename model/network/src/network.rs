//! The topology by kind of thing, and what is known of each host.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_topology::coverage::Searched;
use tapline_topology::graph::{
    AddressNode, ConflictKind, Fact, Netdev, NetdevKind, NetnsNode, OvsBridge, OvsInterface,
    OvsPort, RouteTable, TunnelEndpoint, Vm, VmNic,
};
use tapline_topology::{Coverage, EdgeKind, Machines, NodeData, NodeId, Topic, Topology, names};

use crate::Item;
use crate::environment::{Environment, Profile};
use crate::l3::{Fib, Tables};
use crate::state::State;

/// All hosts and namespaces, with the indexes that every question needs.
#[derive(Debug)]
pub struct Network<'a> {
    /// The topology, with its snapshot and coverage.
    pub topology: &'a Topology<'a>,
    /// What sort of machines these are; `None` where the captures have to tell.
    pub profile: Option<Profile>,
    /// Facts that captures cannot tell.
    pub environment: &'a Environment,
    /// Which hosts are one machine, with what a person said.
    pub machines: Machines,
    hosts: BTreeMap<HostId, Things>,
    /// Devices of whose bridge two commands disagree.
    disputed: BTreeSet<NodeId>,
    /// The routing tables of each namespace.
    tables_in: BTreeMap<NodeId, Vec<NodeId>>,
    /// Routing tables by prefix, made when the first is asked for.
    tables: OnceLock<Tables>,
    pub(crate) state: State<'a>,
}

/// The nodes of one host by kind, each list in the order of the topology.
#[derive(Debug, Default)]
struct Things {
    netdevs: Vec<NodeId>,
    namespaces: Vec<NodeId>,
    addresses: Vec<NodeId>,
    route_tables: Vec<NodeId>,
    vms: Vec<NodeId>,
    vm_nics: Vec<NodeId>,
    ovs_bridges: Vec<NodeId>,
    ovs_ports: Vec<NodeId>,
    ovs_interfaces: Vec<NodeId>,
    tunnels: Vec<NodeId>,
    /// NICs of VMs by the port id in the name of their device or bridge.
    nics_by_port: BTreeMap<Name, Vec<NodeId>>,
    /// The same by the name of their device.
    nics_by_target: BTreeMap<Name, Vec<NodeId>>,
}

/// Who is at the other side of a port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum User {
    /// A running VM.
    Running(NodeId),
    /// A VM that is shut off.
    Off(NodeId),
    /// No VM of the host: all of them were captured.
    Nobody,
    /// Not told: these commands would.
    Unknown(Vec<Need>),
}

/// Declares the accessors of one kind: all things of it, and one by its id.
macro_rules! kinds {
    ($($(#[$doc:meta])* $all:ident, $one:ident: $variant:ident($type:ty);)*) => {
        impl<'a> Network<'a> {
            $(
                $(#[$doc])*
                pub fn $all(&self) -> impl Iterator<Item = Item<'a, $type>> + '_ {
                    let all = self.hosts.values().flat_map(|host| &host.$all);
                    all.filter_map(|&id| self.$one(id))
                }

                /// The one with this id.
                pub fn $one(&self, id: NodeId) -> Option<Item<'a, $type>> {
                    let topology: &'a Topology<'a> = self.topology;
                    let node = topology.node(id)?;
                    match &node.data {
                        NodeData::$variant(data) => {
                            Some(Item { host: node.host?, id, node, data })
                        }
                        _ => None,
                    }
                }
            )*
        }
    };
}

kinds! {
    /// All devices that were captured themselves.
    netdevs, netdev: Netdev(Netdev<'a>);
    /// All namespaces.
    namespaces, namespace: Netns(NetnsNode<'a>);
    /// All addresses of devices.
    addresses, address: Address(AddressNode<'a>);
    /// All routing tables.
    route_tables, route_table: RouteTable(RouteTable<'a>);
    /// All VMs.
    vms, vm: Vm(Vm);
    /// All NICs of VMs.
    vm_nics, vm_nic: VmNic(VmNic<'a>);
    /// All OVS bridges.
    ovs_bridges, ovs_bridge: OvsBridge(OvsBridge);
    /// All OVS ports.
    ovs_ports, ovs_port: OvsPort(OvsPort);
    /// All OVS interfaces.
    ovs_interfaces, ovs_interface: OvsInterface(OvsInterface);
    /// All tunnel ends.
    tunnels, tunnel: TunnelEndpoint(TunnelEndpoint);
}

impl<'a> Network<'a> {
    /// Sorts the nodes of the topology, once for all questions.
    pub fn new(
        topology: &'a Topology<'a>,
        profile: Option<Profile>,
        environment: &'a Environment,
    ) -> Self {
        let mut hosts: BTreeMap<HostId, Things> = BTreeMap::new();
        for at in 0..topology.snapshot.captured.hosts.len() {
            hosts.entry(HostId(u32::try_from(at).unwrap_or(u32::MAX))).or_default();
        }
        for (id, node) in topology.nodes() {
            let Some(host) = node.host else { continue };
            let things = hosts.entry(host).or_default();
            let list = match &node.data {
                NodeData::Netdev(it) if it.stub => continue,
                NodeData::Netdev(_) => &mut things.netdevs,
                NodeData::Netns(_) => &mut things.namespaces,
                NodeData::Address(_) => &mut things.addresses,
                NodeData::RouteTable(_) => &mut things.route_tables,
                NodeData::Vm(_) => &mut things.vms,
                NodeData::VmNic(nic) => {
                    things.index_nic(id, nic);
                    &mut things.vm_nics
                }
                NodeData::OvsBridge(_) => &mut things.ovs_bridges,
                NodeData::OvsPort(_) => &mut things.ovs_ports,
                NodeData::OvsInterface(_) => &mut things.ovs_interfaces,
                NodeData::TunnelEndpoint(_) => &mut things.tunnels,
                NodeData::Host(_) | NodeData::RemoteHost(_) | NodeData::Logical(_) => continue,
            };
            list.push(id);
        }
        let disputed = topology
            .conflicts
            .iter()
            .filter(|conflict| conflict.kind == ConflictKind::Membership)
            .flat_map(|conflict| conflict.nodes.iter().copied())
            .collect();
        let machines = topology.machines_if(&environment.same_host);
        let state = State::new(topology);
        let mut tables_in: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
        for &table in hosts.values().flat_map(|host| &host.route_tables) {
            for (netns, _) in topology.out(table, EdgeKind::InNamespace) {
                tables_in.entry(netns).or_default().push(table);
            }
        }
        Self {
            topology,
            profile,
            environment,
            machines,
            hosts,
            disputed,
            tables_in,
            tables: OnceLock::new(),
            state,
        }
    }

    /// All hosts that were captured.
    pub fn hosts(&self) -> impl Iterator<Item = HostId> + '_ {
        self.hosts.keys().copied()
    }

    /// The devices of one host that were captured themselves.
    pub fn netdevs_of(&self, host: HostId) -> impl Iterator<Item = Item<'a, Netdev<'a>>> + '_ {
        let all = self.hosts.get(&host).into_iter().flat_map(|it| &it.netdevs);
        all.filter_map(|&id| self.netdev(id))
    }

    /// The namespaces of one host.
    pub fn namespaces_of(
        &self,
        host: HostId,
    ) -> impl Iterator<Item = Item<'a, NetnsNode<'a>>> + '_ {
        let all = self.hosts.get(&host).into_iter().flat_map(|it| &it.namespaces);
        all.filter_map(|&id| self.namespace(id))
    }

    /// The devices in a namespace that were captured themselves.
    pub fn devices_in(&self, netns: NodeId) -> Vec<Item<'a, Netdev<'a>>> {
        let all = self.topology.into(netns, EdgeKind::InNamespace);
        all.into_iter()
            .filter_map(|(id, _)| self.netdev(id))
            .filter(|device| !device.stub)
            .collect()
    }

    /// The routing of a namespace: its policy rules and tables.
    pub fn fib(&self, host: HostId, netns: &Netns) -> Option<Fib<'_, 'a>> {
        Fib::of(self, self.tables.get_or_init(|| Tables::new(self)), host, netns)
    }

    /// The routing tables of a namespace.
    pub fn tables_in(&self, netns: NodeId) -> Vec<Item<'a, RouteTable<'a>>> {
        let all = self.tables_in.get(&netns).into_iter().flatten();
        all.filter_map(|&id| self.route_table(id)).collect()
    }

    /// The text that was searched for `key` in vain: the first complete one on the topic.
    pub fn searched(&self, host: HostId, netns: &Netns, topic: Topic, key: &str) -> Searched {
        let sources = match self.topology.coverage.of(host, netns, topic) {
            Coverage::Complete(sources) => sources.as_slice(),
            _ => &[],
        };
        let records =
            |id| self.topology.snapshot.reading(id).map_or(0, |reading| reading.records.len());
        Searched {
            keys: vec![key.to_owned()],
            sources: sources.iter().take(1).map(|&source| (source, records(source))).collect(),
            namespaces: usize::from(netns.name().is_some()),
        }
    }

    /// Whether a person said that two hosts are one machine.
    pub fn said_to_be_one(&self, a: HostId, b: HostId) -> bool {
        let has = |group: &[String], host: HostId| {
            let host = self.topology.snapshot.host(host);
            host.is_some_and(|host| {
                group.iter().any(|name| *name == host.name || name == host.label())
            })
        };
        self.environment.same_host.iter().any(|group| has(group, a) && has(group, b))
    }

    /// Whether two hosts are one machine: see [`tapline_topology::machine`].
    pub fn same_machine(&self, a: HostId, b: HostId) -> bool {
        self.machines.are_one(a, b)
    }

    /// Whether the machine was captured again, later.
    pub fn is_outdated(&self, host: HostId) -> bool {
        self.machines.is_outdated(host)
    }

    /// Whether the machine was captured again, later, or may have been: what this capture shows is
    /// compared with no other host.
    pub fn may_be_outdated(&self, host: HostId) -> bool {
        self.machines.may_be_outdated(host)
    }

    /// The capture that stands for the machine of a host among other machines: a newest one.
    pub fn standing_for(&self, host: HostId) -> HostId {
        let captures = self.machines.captures(self.machines.of(host));
        let newest = captures.iter().filter(|capture| !self.is_outdated(**capture));
        newest.min().copied().unwrap_or(host)
    }

    /// Whether two hosts are two machines whose captures may be compared.
    pub fn are_comparable(&self, a: HostId, b: HostId) -> bool {
        !self.same_machine(a, b) && !self.may_be_outdated(a) && !self.may_be_outdated(b)
    }

    /// Whether two devices are one behind the other: a member and its bridge or bond, a VLAN and
    /// its carrier, a bridge's own port and the bridge's NIC. Such devices may share a MAC.
    pub fn are_stacked(&self, a: NodeId, b: NodeId) -> bool {
        let below = |id: NodeId| {
            let mut all = BTreeSet::from([id]);
            let mut open = vec![id];
            // Stacks are a few devices high; a loop in a damaged capture ends by the set.
            while let Some(at) = open.pop() {
                for kind in [EdgeKind::StackedOn, EdgeKind::EnslavedTo] {
                    let next = self.topology.out(at, kind).into_iter().map(|(id, _)| id);
                    open.extend(next.filter(|next| all.insert(*next)));
                }
            }
            all
        };
        // Two ports of one bridge are beside each other, not one behind the other.
        let bridge_of = |id| self.master(id).filter(|master| master.kind == NetdevKind::Bridge);
        let siblings = bridge_of(a)
            .map(|bridge| bridge.id)
            .is_some_and(|id| bridge_of(b).is_some_and(|other| other.id == id));
        if !siblings && below(a).intersection(&below(b)).next().is_some() {
            return true;
        }
        let bridge = |id| {
            self.interface_of(id).map(|interface| (interface.host, interface.data.bridge.clone()))
        };
        let own =
            |id, name: &Name| self.netdev(id).is_some_and(|device| device.name() == name.as_str());
        match (bridge(a), bridge(b)) {
            (Some(of_a), Some(of_b)) => of_a == of_b && (own(a, &of_a.1) || own(b, &of_b.1)),
            _ => false,
        }
    }

    /// Whether two commands disagree about the bridge that a device is in.
    pub fn is_disputed(&self, device: NodeId) -> bool {
        self.disputed.contains(&device)
    }

    /// The OVS ports of one host.
    pub fn ovs_ports_of(&self, host: HostId) -> impl Iterator<Item = Item<'a, OvsPort>> + '_ {
        let all = self.hosts.get(&host).into_iter().flat_map(|it| &it.ovs_ports);
        all.filter_map(|&id| self.ovs_port(id))
    }

    /// The OVS bridges of one host.
    pub fn ovs_bridges_of(&self, host: HostId) -> impl Iterator<Item = Item<'a, OvsBridge>> + '_ {
        let all = self.hosts.get(&host).into_iter().flat_map(|it| &it.ovs_bridges);
        all.filter_map(|&id| self.ovs_bridge(id))
    }

    /// The OVS interfaces of one host.
    pub fn ovs_interfaces_of(
        &self,
        host: HostId,
    ) -> impl Iterator<Item = Item<'a, OvsInterface>> + '_ {
        let all = self.hosts.get(&host).into_iter().flat_map(|it| &it.ovs_interfaces);
        all.filter_map(|&id| self.ovs_interface(id))
    }

    /// The tunnel ends of one host.
    pub fn tunnels_of(&self, host: HostId) -> impl Iterator<Item = Item<'a, TunnelEndpoint>> + '_ {
        let all = self.hosts.get(&host).into_iter().flat_map(|it| &it.tunnels);
        all.filter_map(|&id| self.tunnel(id))
    }

    /// The OVS bridge called `name`.
    pub fn bridge_called(&self, host: HostId, name: &str) -> Option<Item<'a, OvsBridge>> {
        self.ovs_bridge(self.topology.find_ovs_bridge(host, name)?)
    }

    /// The OVS interface called `name`.
    pub fn interface_called(&self, host: HostId, name: &str) -> Option<Item<'a, OvsInterface>> {
        self.ovs_interface(self.topology.find_ovs_interface(host, name)?)
    }

    /// The device called `name` in a namespace.
    pub fn netdev_called(
        &self,
        host: HostId,
        netns: &Netns,
        name: &str,
    ) -> Option<Item<'a, Netdev<'a>>> {
        self.netdev(self.topology.find_netdev(host, netns, name)?).filter(|device| !device.stub)
    }

    /// The hostname of a machine, which several hosts may have.
    pub fn hostname(&self, host: HostId) -> &str {
        self.topology.snapshot.host(host).map_or("", |host| host.name.as_str())
    }

    /// The name of a host as findings print it.
    pub fn host_name(&self, host: HostId) -> &str {
        self.topology.snapshot.host_label(host)
    }

    /// Whether absence from this topic's texts means absence.
    pub fn complete(&self, host: HostId, netns: &Netns, topic: Topic) -> bool {
        self.topology.coverage.is_complete(host, netns, topic)
    }

    /// Whether there is any text on this topic.
    pub fn captured(&self, host: HostId, netns: &Netns, topic: Topic) -> bool {
        let coverage = self.topology.coverage.of(host, netns, topic);
        matches!(coverage, Coverage::Partial(_) | Coverage::Complete(_))
    }

    /// The commands that answer those of these topics that are not completely captured.
    pub fn missing(&self, host: HostId, netns: &Netns, topics: &[Topic]) -> Vec<Need> {
        let open = topics.iter().filter(|topic| !self.complete(host, netns, **topic));
        open.map(|open| open.command(netns)).collect()
    }

    /// Whether the host runs OVS; `None` where nothing tells.
    pub fn runs_ovs(&self, host: HostId) -> Option<bool> {
        self.traits(host).ovs
    }

    pub(crate) fn find_ovs(&self, host: HostId) -> Option<bool> {
        if self.captured(host, &Netns::Root, Topic::Ovs) {
            return Some(true);
        }
        let trace = self.netdevs_of(host).any(|device| {
            let master = device.master.as_ref().map_or("", |master| master.value.as_str());
            names::is_ovs_datapath(device.name())
                || names::is_ovs_tunnel_vport(device.name())
                || names::is_ovs_datapath(master)
                || device.name().starts_with("qvo")
        });
        if trace {
            return Some(true);
        }
        self.complete(host, &Netns::Root, Topic::Links).then_some(false)
    }

    /// Whether something hints at OVS that other software makes too: neutron's namespaces and
    /// ports, a question to OVS that failed.
    fn may_run_ovs(&self, host: HostId) -> bool {
        let neutron = ["qdhcp-", "qrouter-", "snat-", "fip-", "ovnmeta-"];
        let refused = match self.topology.coverage.of(host, &Netns::Root, Topic::Ovs) {
            Coverage::Failed { reason, .. } => !reason.contains("not found"),
            _ => false,
        };
        refused
            || self
                .namespaces_of(host)
                .any(|netns| neutron.iter().any(|start| netns.name().starts_with(start)))
    }

    /// Hosts that run OVS by some sign, and whose database was not captured, or not completely.
    pub fn hosts_without_ovs_capture(&self) -> Vec<HostId> {
        let open = |&host: &HostId| {
            !self.complete(host, &Netns::Root, Topic::Ovs)
                && (self.runs_ovs(host) == Some(true) || self.may_run_ovs(host))
        };
        self.hosts().filter(open).collect()
    }

    /// The Linux bridge, bond or VRF that a device belongs to, as a device. `ovs-system` is none.
    pub fn master(&self, device: NodeId) -> Option<Item<'a, Netdev<'a>>> {
        self.netdev(*self.masters().get(&device)?)
    }

    /// The OVS interface that a device is.
    pub fn interface_of(&self, device: NodeId) -> Option<Item<'a, OvsInterface>> {
        let ports = self.topology.out(device, EdgeKind::DeviceOf);
        ports.into_iter().find_map(|(id, _)| self.ovs_interface(id))
    }

    /// The device that an OVS interface is, in whatever namespace.
    pub fn device_of(&self, interface: NodeId) -> Option<Item<'a, Netdev<'a>>> {
        let devices = self.topology.into(interface, EdgeKind::DeviceOf);
        devices.into_iter().find_map(|(id, _)| self.netdev(id))
    }

    /// The addresses of a device.
    pub fn addresses_of(&self, device: NodeId) -> Vec<Item<'a, AddressNode<'a>>> {
        let all = self.topology.out(device, EdgeKind::HasAddress);
        all.into_iter().filter_map(|(id, _)| self.address(id)).collect()
    }

    /// Whether another complete text shows its device without this address: it came or went while
    /// the host was looked at.
    pub fn came_or_went(&self, address: Item<'a, AddressNode<'a>>) -> bool {
        let Some(device) = self.netdev(address.data.netdev) else { return false };
        let here = address.data.record.source;
        let Coverage::Complete(sources) =
            self.topology.coverage.of(address.host, device.netns(), Topic::Addresses)
        else {
            return false;
        };
        device.data.records.iter().any(|record| {
            record.source != here
                && sources.contains(&record.source)
                && !record.record.addresses.iter().any(|other| other.ip == address.data.ip)
        })
    }

    /// The members of a Linux bridge or bond.
    pub fn members(&self, bridge: NodeId) -> Vec<Item<'a, Netdev<'a>>> {
        let all = self.topology.into(bridge, EdgeKind::EnslavedTo);
        all.into_iter().filter_map(|(id, _)| self.netdev(id)).collect()
    }

    /// The other end of a veth.
    pub fn veth_peer(&self, device: NodeId) -> Option<Item<'a, Netdev<'a>>> {
        self.topology.peer(device, EdgeKind::VethPeer).and_then(|(id, _)| self.netdev(id))
    }

    /// The NICs of VMs that a device or port of this name belongs to: by the name of
    /// their device, or by the neutron port whose id is in the name.
    pub fn nics_behind(&self, host: HostId, name: &str) -> Vec<Item<'a, VmNic<'a>>> {
        let Some(things) = self.hosts.get(&host) else { return Vec::new() };
        let by_target = things.nics_by_target.get(name);
        let by_port = names::port_prefix(name).and_then(|prefix| things.nics_by_port.get(prefix));
        let mut all: Vec<_> = by_target.into_iter().chain(by_port).flatten().copied().collect();
        all.sort();
        all.dedup();
        all.into_iter().filter_map(|it| self.vm_nic(it)).collect()
    }

    /// Who uses a device or port of this name.
    pub fn user_of(&self, host: HostId, name: &str) -> User {
        let nics = self.nics_behind(host, name);
        let vms: Vec<_> = nics.iter().filter_map(|nic| self.vm(nic.vm)).collect();
        if let Some(vm) = vms.iter().find(|vm| vm.active == Some(true)) {
            return User::Running(vm.id);
        }
        if vms.iter().any(|vm| vm.active.is_none()) {
            return User::Unknown(vec![Topic::Domains.command(&Netns::Root)]);
        }
        if let Some(vm) = vms.first() {
            return User::Off(vm.id);
        }
        let open = self.missing(host, &Netns::Root, &[Topic::Domains, Topic::DomainXml]);
        if open.is_empty() { User::Nobody } else { User::Unknown(open) }
    }

    /// Cites what says that a VM runs, or does not.
    pub fn state_of(&self, vm: NodeId) -> Option<&'a Fact<Name>> {
        self.vm(vm).and_then(|vm| vm.data.state.as_ref())
    }
}

impl Things {
    fn index_nic(&mut self, id: NodeId, nic: &VmNic<'_>) {
        let mut ports: Vec<&str> = Vec::new();
        if let Some(target) = &nic.target {
            self.nics_by_target.entry(target.value.clone()).or_default().push(id);
            ports.extend(names::port_prefix(&target.value));
        }
        if let Some(bridge) = &nic.bridge {
            ports.extend(names::port_prefix(&bridge.value));
        }
        // An interface id is the whole port id; names hold its first eleven characters.
        let id_start = nic.interface_id.as_ref().and_then(|id| id.value.get(..11));
        ports.extend(id_start);
        ports.sort_unstable();
        ports.dedup();
        for port in ports {
            self.nics_by_port.entry(port.into()).or_default().push(id);
        }
    }
}
