//! What was captured beside the topology, sorted once and only when somebody asks.
//!
//! The texts are sorted by kind when the network is made. Each index over them is built at the
//! first question and shared by all that follow.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::OnceLock;

use ipnet::IpNet;

use tapline_core::capture::{HostId, Source};
use tapline_core::ids::Netns;
use tapline_core::outcome::Outcome;
use tapline_core::records::{
    Batch, bridge, host, ipset, libvirt, neigh, netfilter, nft, openflow, ovs, route, socket,
    sysctl, tc, xfrm,
};
use tapline_core::span::SourceId;
use tapline_topology::graph::Netdev;
use tapline_topology::{EdgeKind, NodeId, Topology, names};

use crate::flows::{Flows, Switches};
use crate::ipsec::{self, AllIpsec};
use crate::l2::{
    self, Block, BridgePorts, Datapaths, Exits, Fdbs, NamedSenders, Programs, SpanningTrees,
    SwitchPorts,
};
use crate::mesh::Mesh;
use crate::netfilter::Filters;
use crate::nics::Nics;
use crate::overlay;
use crate::ovn::Ovn;
use crate::ovs_switches::OvsSwitches;
use crate::queues::Queues;
use crate::segment::Segments;
use crate::texts::{self, Neighbours, Settings};
use crate::vlans::LocalVlans;
use crate::workloads::Workloads;
use crate::{Item, Network, defs};

/// The neighbours of all namespaces.
pub type AllNeighbours<'a> = BTreeMap<(HostId, &'a Netns), Neighbours<'a>>;

/// The destinations of routes without a gateway, by table and device.
type LinkRoutes<'a> = HashMap<(NodeId, &'a str), Vec<IpNet>>;

/// What runs a host, as its ports and devices show.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    /// Neutron's OVS agent set up the integration bridge.
    pub(crate) agent_patches: bool,
    /// OVN made ports of it.
    pub(crate) ovn: bool,
    /// It runs Open vSwitch; `None` where nothing tells.
    pub(crate) ovs: Option<bool>,
}

/// The indexes of a network.
#[derive(Debug, Default)]
pub(crate) struct State<'a> {
    /// The texts with records, by the kind of these.
    texts: BTreeMap<&'static str, Vec<SourceId>>,
    /// All texts, failed ones too, by the program that printed them.
    by_program: BTreeMap<&'a str, Vec<SourceId>>,
    /// Texts of commands that failed.
    failed: Vec<SourceId>,
    /// The namespaces in which a command did not fail.
    entered: BTreeSet<(HostId, &'a Netns)>,
    mesh: OnceLock<Mesh>,
    nics: OnceLock<Nics<'a>>,
    flows: OnceLock<Flows<'a>>,
    switches: OnceLock<Switches<'a>>,
    filters: OnceLock<Filters<'a>>,
    stopped_tunnels: OnceLock<BTreeMap<NodeId, Block>>,
    named_senders: OnceLock<NamedSenders<'a>>,
    segments: OnceLock<Segments>,
    local_vlans: OnceLock<BTreeMap<HostId, LocalVlans<'a>>>,
    no_vlans: LocalVlans<'a>,
    ovn: OnceLock<Ovn<'a>>,
    exits: OnceLock<Exits>,
    datapaths: OnceLock<Datapaths>,
    bridge_ports: OnceLock<BridgePorts>,
    fdbs: OnceLock<Fdbs<'a>>,
    spanning_trees: OnceLock<SpanningTrees>,
    switch_ports: OnceLock<SwitchPorts>,
    programs: OnceLock<Programs>,
    ovs_switches: OnceLock<OvsSwitches<'a>>,
    settings: OnceLock<Settings<'a>>,
    queues: OnceLock<Queues<'a>>,
    ipsec: OnceLock<AllIpsec<'a>>,
    neighbours: OnceLock<AllNeighbours<'a>>,
    workloads: OnceLock<Workloads>,
    masters: OnceLock<HashMap<NodeId, NodeId>>,
    link_routes: OnceLock<LinkRoutes<'a>>,
    traits: OnceLock<BTreeMap<HostId, Traits>>,
}

impl<'a> State<'a> {
    /// Sorts the texts.
    pub(crate) fn new(topology: &Topology<'a>) -> Self {
        let mut texts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut by_program: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut failed = Vec::new();
        let mut entered = BTreeSet::new();
        for (source, reading) in topology.snapshot.iter() {
            if topology.snapshot.completeness(source.id).is_failed() {
                failed.push(source.id);
            } else if !source.netns.is_root() {
                entered.insert((source.host, &source.netns));
            }
            by_program.entry(source.command.program()).or_default().push(source.id);
            if !matches!(reading.records, Batch::Nothing) {
                texts.entry(reading.records.kind()).or_default().push(source.id);
            }
        }
        Self { texts, by_program, failed, entered, ..Self::default() }
    }
}

/// Declares the accessors of the texts of each kind.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $variant:ident($record:ty);)*) => {
        impl<'a> Network<'a> {
            $(
                $(#[$doc])*
                pub fn $name(&self) -> impl Iterator<Item = (&'a Source, &'a [$record])> + '_ {
                    let kind = Batch::$variant(Vec::new()).kind();
                    self.texts_of(kind).filter_map(|(source, reading)| match &reading.records {
                        Batch::$variant(records) => Some((source, records.as_slice())),
                        _ => None,
                    })
                }
            )*
        }
    };
}

texts! {
    /// The texts with facts about the machine.
    fact_texts: HostFacts(host::HostFact);
    /// The texts that print rows of OVSDB.
    ovs_texts: Ovs(ovs::OvsRecord);
    /// The texts that print routes.
    route_texts: Routes(route::Route);
    /// The texts that print neighbours.
    neighbour_texts: Neighbours(neigh::Neighbour);
    /// The texts that print Linux bridges.
    bridge_texts: Bridges(bridge::Bridge);
    /// The texts that print ports of Linux bridges.
    bridge_port_texts: BridgePorts(bridge::BridgePort);
    /// The texts that print VLANs of Linux bridges.
    bridge_vlan_texts: BridgeVlans(bridge::BridgeVlan);
    /// The texts that print what bridges learnt.
    fdb_texts: Fdb(bridge::FdbEntry);
    /// The texts that print what OVS bridges learnt.
    ovs_fdb_texts: OvsFdb(openflow::OvsFdbEntry);
    /// The lists of VMs.
    domain_state_texts: DomainStates(libvirt::DomainState);
    /// The XML of VMs.
    domain_texts: Domains(libvirt::Domain);
    /// The texts that print flows.
    flow_texts: Flows(openflow::Flow);
    /// The texts that print the OpenFlow ports of bridges.
    switch_texts: OfSwitches(openflow::OfSwitch);
    /// The texts that print tables of iptables.
    netfilter_texts: Netfilter(netfilter::NetfilterTable);
    /// The texts that print tables of nftables.
    nft_texts: NftTables(nft::NftTable);
    /// The texts that print sets of packet filters.
    ip_set_texts: IpSets(ipset::IpSet);
    /// The texts that print settings of the kernel.
    sysctl_texts: Sysctls(sysctl::Sysctl);
    /// The texts that print queues of devices.
    qdisc_texts: Qdiscs(tc::Qdisc);
    /// The texts that print filters of `tc`.
    tc_filter_texts: TcFilters(tc::TcFilter);
    /// The texts that print programs of BPF at devices.
    bpf_texts: BpfPrograms(tc::BpfProgram);
    /// The texts that print policies of IPsec.
    ipsec_policy_texts: IpsecPolicies(xfrm::IpsecPolicy);
    /// The texts that print associations of IPsec.
    ipsec_state_texts: IpsecStates(xfrm::IpsecState);
    /// The texts that print sockets.
    socket_texts: Sockets(socket::Socket);
    /// The texts that list addresses of guests.
    guest_address_texts: DomainAddresses(libvirt::DomainAddress);
    /// The texts that list the networks of libvirt.
    network_state_texts: NetworkStates(libvirt::NetworkState);
    /// The texts that describe networks of libvirt.
    network_texts: Networks(libvirt::Network);
}

impl<'a> Network<'a> {
    /// The texts whose records are of this kind (see [`Batch::kind`]), in the order of the snapshot.
    pub fn texts_of(
        &self,
        kind: &str,
    ) -> impl Iterator<Item = (&'a Source, &'a Outcome<Batch>)> + '_ {
        let snapshot = self.topology.snapshot;
        let all = self.state.texts.get(kind).into_iter().flatten();
        all.filter_map(|&id| Some((snapshot.source(id)?, snapshot.reading(id)?)))
    }

    /// All texts of a program, also those of failed commands, in the order of the snapshot.
    pub fn texts_by(&self, program: &str) -> impl Iterator<Item = &'a Source> + '_ {
        let snapshot = self.topology.snapshot;
        let all = self.state.by_program.get(program).into_iter().flatten();
        all.filter_map(|&id| snapshot.source(id))
    }

    /// The texts of commands that failed, in the order of the snapshot.
    pub fn failed_texts(&self) -> impl Iterator<Item = &'a Source> + '_ {
        let snapshot = self.topology.snapshot;
        self.state.failed.iter().filter_map(|&id| snapshot.source(id))
    }

    /// Whether some command ran in this namespace, other than root, and did not fail.
    pub fn was_entered(&self, host: HostId, netns: &Netns) -> bool {
        self.state.entered.contains(&(host, netns))
    }

    /// The tunnel addresses of all hosts.
    pub fn mesh(&self) -> &Mesh {
        self.state.mesh.get_or_init(|| Mesh::new(self))
    }

    /// What was captured of NICs.
    pub fn nics(&self) -> &Nics<'a> {
        self.state.nics.get_or_init(|| Nics::new(self))
    }

    /// The complete dumps of flows.
    pub fn flows(&self) -> &Flows<'a> {
        self.state.flows.get_or_init(|| Flows::new(self))
    }

    /// The OpenFlow ports of each bridge.
    pub fn switches(&self) -> &Switches<'a> {
        self.state.switches.get_or_init(|| Switches::new(self))
    }

    /// The packet filters of all namespaces.
    pub fn filters(&self) -> &Filters<'a> {
        self.state.filters.get_or_init(|| Filters::new(self))
    }

    /// The tunnels whose packets a filter of their own host stops.
    pub(crate) fn stopped_tunnels(&self) -> &BTreeMap<NodeId, Block> {
        self.state.stopped_tunnels.get_or_init(|| overlay::filter::stopped(self))
    }

    /// The MACs that rules of packet filters name as those of a sender.
    pub(crate) fn named_senders(&self) -> &NamedSenders<'a> {
        self.state.named_senders.get_or_init(|| l2::named_senders(self))
    }

    /// Which devices share an Ethernet segment.
    pub fn segments(&self) -> &Segments {
        self.state.segments.get_or_init(|| Segments::new(self))
    }

    /// The local VLANs of neutron's integration bridge on a host.
    pub fn local_vlans(&self, host: HostId) -> &LocalVlans<'a> {
        let all = self
            .state
            .local_vlans
            .get_or_init(|| self.hosts().map(|host| (host, LocalVlans::new(self, host))).collect());
        all.get(&host).unwrap_or(&self.state.no_vlans)
    }

    /// What was captured of OVN.
    pub fn ovn(&self) -> &Ovn<'a> {
        self.state.ovn.get_or_init(|| Ovn::new(self))
    }

    /// The bridges by which frames leave the integration bridges.
    pub fn exits(&self) -> &Exits {
        self.state.exits.get_or_init(|| Exits::new(self))
    }

    /// By which ports the networks of OVN leave the integration bridges.
    pub fn datapaths(&self) -> &Datapaths {
        self.state.datapaths.get_or_init(|| Datapaths::new(self))
    }

    /// What was captured of ports of Linux bridges.
    pub fn bridge_ports(&self) -> &BridgePorts {
        self.state.bridge_ports.get_or_init(|| BridgePorts::new(self))
    }

    /// The bridge, bond or VRF that each device is in: a device with thousands of addresses has as many
    /// edges to look through.
    pub(crate) fn masters(&self) -> &HashMap<NodeId, NodeId> {
        self.state.masters.get_or_init(|| {
            let master_of = |device: Item<'a, Netdev<'a>>| {
                let masters = self.topology.out(device.id, EdgeKind::EnslavedTo);
                let first = masters.into_iter().find_map(|(id, _)| self.netdev(id))?;
                let is_datapath = names::is_ovs_datapath(first.name());
                (!is_datapath).then_some((device.id, first.id))
            };
            self.netdevs().filter_map(master_of).collect()
        })
    }

    /// Whether a route of a table leads to an address by a device without a gateway.
    pub fn has_link_route(&self, table: NodeId, device: &str, to: IpAddr) -> bool {
        let routes = self.state.link_routes.get_or_init(|| {
            let mut all: LinkRoutes<'a> = HashMap::new();
            for table in self.route_tables() {
                for route in table.data.routes.iter().map(|seen| seen.record) {
                    if route.kind == "unicast"
                        && route.via.is_none()
                        && let (Some(dev), Some(to)) = (&route.dev, &route.destination)
                    {
                        let of_device = all.entry((table.id, dev.value.as_str())).or_default();
                        of_device.push(to.value);
                    }
                }
            }
            all
        });
        let mut of_device = routes.get(&(table, device)).into_iter().flatten();
        of_device.any(|net| net.contains(&to))
    }

    /// What runs a host.
    pub(crate) fn traits(&self, host: HostId) -> Traits {
        let all = self.state.traits.get_or_init(|| {
            let traits = |host| Traits {
                agent_patches: defs::find_agent_patches(self, host),
                ovn: defs::find_ovn(self, host),
                ovs: self.find_ovs(host),
            };
            self.hosts().map(|host| (host, traits(host))).collect()
        });
        let none = Traits { agent_patches: false, ovn: false, ovs: None };
        all.get(&host).copied().unwrap_or(none)
    }

    /// What Linux bridges have learnt.
    pub(crate) fn fdbs(&self) -> &Fdbs<'a> {
        self.state.fdbs.get_or_init(|| Fdbs::new(self))
    }

    /// Which bridges run spanning tree.
    pub fn spanning_trees(&self) -> &SpanningTrees {
        self.state.spanning_trees.get_or_init(|| SpanningTrees::new(self))
    }

    /// What is known of each OVS bridge for the packets that come into it.
    pub(crate) fn ovs_switches(&self) -> &OvsSwitches<'a> {
        self.state.ovs_switches.get_or_init(|| OvsSwitches::new(self))
    }

    /// Where the flows of bridges forward packets at all.
    pub fn programs(&self) -> &Programs {
        self.state.programs.get_or_init(|| Programs::new(self))
    }

    /// What Open vSwitch says of its ports.
    pub fn switch_ports(&self) -> &SwitchPorts {
        self.state.switch_ports.get_or_init(|| SwitchPorts::new(self))
    }

    /// All settings of the kernel that are numbers.
    pub fn kernel_settings(&self) -> &Settings<'a> {
        self.state.settings.get_or_init(|| texts::settings(self))
    }

    /// What queues, filters and programs at devices do.
    pub(crate) fn queues(&self) -> &Queues<'a> {
        self.state.queues.get_or_init(|| Queues::new(self))
    }

    /// What IPsec asks of packets.
    pub(crate) fn ipsec(&self) -> &AllIpsec<'a> {
        self.state.ipsec.get_or_init(|| ipsec::all(self))
    }

    /// What devices, interfaces and namespaces serve.
    pub fn workloads(&self) -> &Workloads {
        self.state.workloads.get_or_init(|| Workloads::new(self))
    }

    /// The neighbours of all namespaces.
    pub fn neighbours(&self) -> &AllNeighbours<'a> {
        self.state.neighbours.get_or_init(|| texts::neighbours(self))
    }
}
