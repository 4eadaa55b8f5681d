//! The nodes: what sorts of things there are, and what is known of each.
use std::net::IpAddr;

use serde::Serialize;
use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::{IfIndex, Mac, Netns};
use tapline_core::records::libvirt::DomainNic;
use tapline_core::records::link::{Address, Link, LowerRef, NetnsRef};
use tapline_core::records::route::{Route, Rule};
use tapline_core::span::{At, Evidence, SourceId};

use super::{Logical, NodeId};

/// A thing of the topology.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    /// Its host; `None` for a host that only others speak of.
    pub host: Option<HostId>,
    /// Its namespace, for things that live in one.
    pub netns: Option<Netns>,
    /// Its name.
    pub name: Name,
    /// The places that speak of it, best first, without repeats.
    pub seen: Vec<Evidence>,
    /// What it is.
    pub data: NodeData<'a>,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum NodeData<'a> {
    /// A captured host.
    Host(Host),
    /// A host that a tunnel leads to and that was not captured.
    RemoteHost(RemoteHost),
    /// A network namespace.
    Netns(NetnsNode<'a>),
    /// A virtual machine.
    Vm(Vm),
    /// A network interface of a virtual machine, as its guest sees it.
    VmNic(VmNic<'a>),
    /// A network device of a kernel namespace.
    Netdev(Box<Netdev<'a>>),
    /// An OVS bridge.
    OvsBridge(OvsBridge),
    /// An OVS port.
    OvsPort(OvsPort),
    /// An OVS interface.
    OvsInterface(Box<OvsInterface>),
    /// One end of a tunnel.
    TunnelEndpoint(TunnelEndpoint),
    /// An address of a device.
    Address(AddressNode<'a>),
    /// A routing table of a namespace.
    RouteTable(RouteTable<'a>),
    /// An object of OVN.
    Logical(Box<Logical<'a>>),
}

impl NodeData<'_> {
    /// The public name of the kind: `object.kind` of findings, `kind` in the graph's JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Host(_) => "host",
            Self::RemoteHost(_) => "remote-host",
            Self::Netns(_) => "netns",
            Self::Vm(_) => "vm",
            Self::VmNic(_) => "vm-nic",
            Self::Netdev(_) => "netdev",
            Self::OvsBridge(_) => "ovs-bridge",
            Self::OvsPort(_) => "ovs-port",
            Self::OvsInterface(_) => "ovs-interface",
            Self::TunnelEndpoint(_) => "tunnel-endpoint",
            Self::Address(_) => "address",
            Self::RouteTable(_) => "route-table",
            Self::Logical(it) => it.kind.as_str(),
        }
    }
}

/// A captured host.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Kernel release.
    pub kernel: Option<Fact<Name>>,
    /// What the distribution calls itself.
    pub os: Option<Fact<Name>>,
    /// `system-id` of its OVS.
    pub system_id: Option<Fact<Name>>,
}

/// A host that was not captured.
#[derive(Clone, Debug)]
pub struct RemoteHost {
    /// The tunnel address under which others know it.
    pub ip: IpAddr,
}

/// A namespace.
#[derive(Clone, Debug, Default)]
pub struct NetnsNode<'a> {
    /// Its line in `ip netns`.
    pub listed: Option<Evidence>,
    /// Id as seen from the root namespace.
    pub nsid: Option<Fact<u32>>,
    /// Whether any command was captured inside it.
    pub captured: bool,
    /// Its policy rules of both families, in the order in which the kernel walks them: those that
    /// look up a table, and those that refuse (`blackhole`, `unreachable`, `prohibit`) or jump
    /// (`goto`, `nop`).
    pub rules: Vec<Seen<'a, Rule>>,
}

/// A virtual machine.
#[derive(Clone, Debug, Default)]
pub struct Vm {
    /// libvirt UUID.
    pub uuid: Option<Fact<Name>>,
    /// Id while running.
    pub id: Option<Fact<u32>>,
    /// State: `running`, `shut off`, … from `virsh list`, `<domstatus>` or a qemu process.
    pub state: Option<Fact<Name>>,
    /// `nova:name`.
    pub nova_name: Option<Fact<Name>>,
    /// Whether it is active (running, paused, idle, blocked): `None` where nothing tells.
    pub active: Option<bool>,
}

/// A NIC of a virtual machine.
#[derive(Clone, Debug)]
pub struct VmNic<'a> {
    /// Its virtual machine.
    pub vm: NodeId,
    /// Guest MAC.
    pub mac: Option<Fact<Mac>>,
    /// Device on the host, by name.
    pub target: Option<Fact<Name>>,
    /// Bridge of the host, by name.
    pub bridge: Option<Fact<Name>>,
    /// Neutron port (`interfaceid`).
    pub interface_id: Option<Fact<Name>>,
    /// `bridge`, `network`, `ethernet`, …
    pub kind: Option<Fact<Name>>,
    /// Its XML, where there is one; the XML of the running domain first.
    pub xml: Option<Seen<'a, DomainNic>>,
    /// The XML describes the running domain.
    pub live: bool,
}

/// Kind of a network device. `Unknown` where no `-d` was captured and nothing else tells.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetdevKind {
    /// A NIC (or a virtual function), or what a hypervisor shows as one.
    Physical,
    /// Loopback.
    Loopback,
    /// A tap device of a VM.
    Tap,
    /// A tun device.
    Tun,
    /// One end of a veth pair.
    Veth,
    /// A Linux bridge.
    Bridge,
    /// A bond.
    Bond,
    /// A team.
    Team,
    /// A VLAN device.
    Vlan,
    /// VXLAN, Geneve, GRE, …
    Tunnel,
    /// A macvlan.
    Macvlan,
    /// A macvtap.
    Macvtap,
    /// An ipvlan.
    Ipvlan,
    /// What encrypts the frames of the device below it (MACsec).
    Macsec,
    /// A dummy.
    Dummy,
    /// A VRF.
    Vrf,
    /// An internal port of OVS.
    OvsInternal,
    /// `ovs-system`, `ovs-netdev`: the datapath itself.
    OvsDatapath,
    /// `vxlan_sys_4789` and its like.
    OvsTunnelVport,
    /// None of these, or not told.
    Unknown,
}

impl NetdevKind {
    /// The public name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Physical => "physical",
            Self::Loopback => "loopback",
            Self::Tap => "tap",
            Self::Tun => "tun",
            Self::Veth => "veth",
            Self::Bridge => "bridge",
            Self::Bond => "bond",
            Self::Team => "team",
            Self::Vlan => "vlan",
            Self::Tunnel => "tunnel",
            Self::Macvlan => "macvlan",
            Self::Macvtap => "macvtap",
            Self::Ipvlan => "ipvlan",
            Self::Macsec => "macsec",
            Self::Dummy => "dummy",
            Self::Vrf => "vrf",
            Self::OvsInternal => "ovs-internal",
            Self::OvsDatapath => "ovs-datapath",
            Self::OvsTunnelVport => "ovs-tunnel-vport",
            Self::Unknown => "unknown",
        }
    }
}

/// A network device.
#[derive(Clone, Debug)]
pub struct Netdev<'a> {
    /// Index in its namespace.
    pub index: Option<Fact<IfIndex>>,
    /// What it is.
    pub kind: NetdevKind,
    /// What says so; `None` where the kind was told from the name.
    pub kind_evidence: Option<Evidence>,
    /// The words in `<…>`; `None` where no command printed them.
    pub flags: Option<Fact<Vec<Name>>>,
    /// Operational state.
    pub state: Option<Fact<Name>>,
    /// Bytes.
    pub mtu: Option<Fact<u32>>,
    /// Ethernet address.
    pub mac: Option<Fact<Mac>>,
    /// Master, by name, in the same namespace.
    pub master: Option<Fact<Name>>,
    /// What follows `@`.
    pub lower: Option<Fact<LowerRef>>,
    /// Namespace of what follows `@`.
    pub lower_netns: Option<Fact<NetnsRef>>,
    /// `peer_ifindex` of `ethtool -S`.
    pub peer_ifindex: Option<Fact<IfIndex>>,
    /// The records that speak of it, the most detailed first.
    pub records: Vec<Seen<'a, Link>>,
    /// The device was not captured itself: only another end speaks of it.
    pub stub: bool,
}

impl Netdev<'_> {
    /// Whether `flag` stands in `<…>`; `None` where no flags were printed.
    pub fn flag(&self, flag: &str) -> Option<bool> {
        Some(self.flags.as_ref()?.value.iter().any(|it| it == flag))
    }

    /// Administratively up.
    pub fn admin_up(&self) -> Option<bool> {
        self.flag("UP")
    }

    /// Has a carrier: `LOWER_UP` without `NO-CARRIER`.
    pub fn carrier(&self) -> Option<bool> {
        Some(self.flag("LOWER_UP")? && !self.flag("NO-CARRIER")?)
    }

    /// Up, with carrier, in state `UP` or `UNKNOWN` (which the kernel's documentation counts as
    /// usable). Where no flags were printed (`ip -br address`) the state alone decides: the kernel
    /// gives `DOWN` for a device that is not up, and for one without a carrier.
    pub fn usable(&self) -> Option<bool> {
        let state = self.state.as_ref().map_or("UNKNOWN", |state| state.value.as_str());
        if self.flags.is_none() {
            return match state {
                "UP" => Some(true),
                "DOWN" | "LOWERLAYERDOWN" | "NOTPRESENT" => Some(false),
                _ => None,
            };
        }
        Some(self.admin_up()? && self.carrier()? && matches!(state, "UP" | "UNKNOWN"))
    }
}

/// An OVS bridge.
#[derive(Clone, Debug, Default)]
pub struct OvsBridge {
    /// `secure`, `standalone`; `None` where unset or not printed.
    pub fail_mode: Option<Fact<Name>>,
    /// `system`, `netdev`.
    pub datapath_type: Option<Fact<Name>>,
    /// Its controllers.
    pub controllers: Vec<OvsController>,
    /// `external_ids`, `other_config` where captured.
    pub external_ids: Vec<(Name, Fact<Name>)>,
}

/// A controller of a bridge.
#[derive(Clone, Debug)]
pub struct OvsController {
    /// `tcp:127.0.0.1:6633`.
    pub target: Fact<Name>,
    /// False at the place of the target where `show` does not print the line. `None` where nothing
    /// tells: the state is not kept in `conf.db`.
    pub is_connected: Option<Fact<bool>>,
}

/// An OVS port.
#[derive(Clone, Debug, Default)]
pub struct OvsPort {
    /// Bridge, by name.
    pub bridge: Name,
    /// VLAN tag.
    pub tag: Option<Fact<u16>>,
    /// Trunked VLANs.
    pub trunks: Vec<Fact<u16>>,
    /// VLAN mode, where captured.
    pub vlan_mode: Option<Fact<Name>>,
    /// `other_config` where captured: neutron's `net_uuid`, `network_type`, `segmentation_id`.
    pub other_config: Vec<(Name, Fact<Name>)>,
    /// `external_ids` where captured.
    pub external_ids: Vec<(Name, Fact<Name>)>,
    /// How many interfaces it has: a bond has several.
    pub interfaces: usize,
}

/// An OVS interface.
#[derive(Clone, Debug, Default)]
pub struct OvsInterface {
    /// Port, by name.
    pub port: Name,
    /// Bridge, by name.
    pub bridge: Name,
    /// `internal`, `patch`, `vxlan`, …; empty for a system device.
    pub kind: Name,
    /// Where the kind is printed.
    pub kind_evidence: Option<Evidence>,
    /// `peer`, `local_ip`, `remote_ip`, …
    pub options: Vec<(Name, Fact<Name>)>,
    /// Why OVS could not make it.
    pub error: Option<Fact<Name>>,
    /// OpenFlow port.
    pub ofport: Option<Fact<i64>>,
    /// Kernel index.
    pub ifindex: Option<Fact<IfIndex>>,
    /// MAC.
    pub mac_in_use: Option<Fact<Mac>>,
    /// `up` or `down` as vswitchd sees it: not reliable for devices in other namespaces.
    pub link_state: Option<Fact<Name>>,
    /// `iface-id`, `attached-mac`, …
    pub external_ids: Vec<(Name, Fact<Name>)>,
    /// `status`.
    pub status: Vec<(Name, Fact<Name>)>,
}

impl OvsInterface {
    /// An option.
    pub fn option(&self, key: &str) -> Option<&Fact<Name>> {
        self.options.iter().find(|(it, _)| it == key).map(|(_, value)| value)
    }

    /// Whether a kernel device of the same name belongs to it.
    pub fn has_netdev(&self) -> bool {
        matches!(self.kind.as_str(), "" | "system" | "internal" | "tap")
    }
}

/// One end of a tunnel.
#[derive(Clone, Debug)]
pub struct TunnelEndpoint {
    /// `vxlan`, `gre`, `geneve`, …
    pub kind: Name,
    /// Source address.
    pub local: Option<Fact<IpAddr>>,
    /// Far end.
    pub remote: Option<Fact<IpAddr>>,
    /// UDP port, where not the default.
    pub dst_port: Option<Fact<u16>>,
    /// `flow` or a number.
    pub key: Option<Fact<Name>>,
    /// The OVS interface or kernel device that it belongs to.
    pub owner: NodeId,
    /// The namespace whose routing its packets take.
    pub underlay: Underlay,
}

/// The namespace whose routing the packets of a tunnel take: that in which its device was made, wherever
/// that was moved since (`vxlan_dev_create` and `net` of `struct vxlan_dev`, drivers/net/vxlan).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Underlay {
    /// That of its own device; of an OVS interface the root.
    #[default]
    Own,
    /// Another one.
    Other(Netns),
    /// Another one, of which nothing captured says which it is.
    Unknown,
}

/// An address of a device.
#[derive(Clone, Debug)]
pub struct AddressNode<'a> {
    /// The address.
    pub ip: IpAddr,
    /// Prefix length.
    pub prefix: u8,
    /// Its device.
    pub netdev: NodeId,
    /// The record.
    pub record: Seen<'a, Address>,
}

/// A routing table.
#[derive(Clone, Debug, Default)]
pub struct RouteTable<'a> {
    /// Its routes, IPv4 and IPv6, without repeats.
    pub routes: Vec<Seen<'a, Route>>,
    /// The policy rules of the namespace that look it up.
    pub rules: Vec<Seen<'a, Rule>>,
}

/// A value and where it was read.
#[derive(Clone, PartialEq, Debug)]
pub struct Fact<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub evidence: Evidence,
}

/// A record and the source that it was read from.
#[derive(Debug)]
pub struct Seen<'a, T> {
    /// The source.
    pub source: SourceId,
    /// The record.
    pub record: &'a T,
}

impl<T> Clone for Seen<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Seen<'_, T> {}

impl Node<'_> {
    /// Adds a place that speaks of the thing, unless it is there.
    pub(crate) fn add_seen(&mut self, evidence: Evidence) {
        if !self.seen.contains(&evidence) {
            self.seen.push(evidence);
        }
    }
}

impl<T> Fact<T> {
    /// A value at its place in `source`.
    pub(crate) fn new(source: SourceId, at: At<T>) -> Self {
        Self { evidence: Evidence { source, span: at.span }, value: at.value }
    }
}
