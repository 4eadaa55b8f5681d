//! What a finding is about, as a value: its kind, its name and the names that rules, settings and
//! paths look for are derived from it, and no name is taken apart again.
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use serde::{Serialize, Serializer};
use tapline_core::Name;
use tapline_core::ids::Netns;
use tapline_topology::{NodeId, RecordId, Thing, Topology};

/// What a finding is about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Subject {
    /// What it is.
    pub about: About,
    /// Its name as a person would say it: `br-int/qvoe0f204ea-12`.
    pub name: String,
}

/// What a finding may be about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum About {
    /// A node of the topology.
    Node(NodeId, Thing),
    /// What should be a node, and is not there.
    Absent(Thing),
    /// A record that is part of a node.
    Record(RecordId, Recorded),
    /// What is neither.
    Other(Other),
}

/// A record that findings are about.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the fields are the names of what the variant is")]
pub enum Recorded {
    /// An entry of the table of neighbours.
    Neighbour { ip: IpAddr, dev: Name },
    /// A route through a gateway; `to` is a network, an address or `default`.
    Route { to: String, gateway: IpAddr, dev: Name, table: Name },
    /// The first of the default routes of a table.
    DefaultRoutes { table: Name },
    /// A route to a pod.
    PodRoute { pod: String },
    /// A policy rule, as a person would say it.
    Rule { name: String },
    /// A route of several to a gateway: a network, an address or `default`.
    Destination { to: String },
    /// A flow that names a port that does not exist.
    FlowPort { number: u32 },
}

/// What is neither a node nor a record.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[expect(missing_docs, reason = "the fields are the names of what the variant is")]
pub enum Other {
    /// A daemon of the host.
    Daemon { name: &'static str },
    /// A text that was captured or was not.
    Capture { command: String },
    /// All XML of the VMs of a host.
    DomainXml { host: String },
    /// A source address of tunnels.
    TunnelAddress { ip: IpAddr },
    /// Two hosts between which there should be a tunnel, by their addresses or else by their names.
    TunnelPair { from: String, to: String },
    /// A floating address.
    FloatingIp { ip: Ipv4Addr },
    /// A gateway that several devices have.
    Gateway { ip: IpAddr },
    /// A network of neutron, by its id.
    Network { id: String },
    /// An entry of OVN's `ovn-bridge-mappings`.
    BridgeMapping { entry: String },
    /// A logical port of OVN.
    OvnPort { name: String },
    /// A chassis of OVN.
    OvnChassis { name: String },
    /// A subnet.
    Subnet { net: IpNet },
    /// All neighbours of a protocol.
    Neighbours { protocol: &'static str },
    /// A zone of connection tracking.
    ConntrackZone { zone: u16 },
    /// The table of tracked connections.
    Conntrack,
    /// A setting of the kernel.
    Sysctl { key: String },
    /// Rules of the packet filter for ports that are gone.
    OrphanedRules,
    /// A port of neutron, by the start of its id.
    NeutronPort { id: String },
}

impl Subject {
    /// A node of the topology.
    pub fn node(topology: &Topology<'_>, id: NodeId) -> Self {
        Self { about: About::Node(id, topology.thing(id)), name: topology.name(id) }
    }

    /// What should be a node, and is not there.
    pub fn absent(thing: Thing) -> Self {
        let name = thing.name().into_owned();
        Self { about: About::Absent(thing), name }
    }

    /// A record that is part of a node.
    pub fn record(id: impl Into<RecordId>, recorded: Recorded) -> Self {
        let name = recorded.to_string();
        Self { about: About::Record(id.into(), recorded), name }
    }

    /// The same under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same under its name without bridge and machine, for lists of things of one place.
    #[must_use]
    pub fn short(self) -> Self {
        let name = self.own_name().into_owned();
        self.named(name)
    }

    /// Its node, if it is one.
    pub fn id(&self) -> Option<NodeId> {
        match self.about {
            About::Node(id, _) => Some(id),
            _ => None,
        }
    }

    /// What it is, where it is a node or should be one.
    pub fn thing(&self) -> Option<&Thing> {
        match &self.about {
            About::Node(_, thing) | About::Absent(thing) => Some(thing),
            _ => None,
        }
    }

    /// The record, if it is one.
    pub fn record_id(&self) -> Option<RecordId> {
        match self.about {
            About::Record(id, _) => Some(id),
            _ => None,
        }
    }

    /// The kind: `ovs-interface`, `netdev`, `vm-nic`, …
    pub fn kind(&self) -> &'static str {
        match &self.about {
            About::Node(_, thing) | About::Absent(thing) => thing.kind(),
            About::Record(_, recorded) => recorded.kind(),
            About::Other(other) => other.kind(),
        }
    }

    /// Whether it is a whole host.
    pub fn is_host(&self) -> bool {
        matches!(self.thing(), Some(Thing::Host))
    }

    /// The name without bridge, machine and prefix length.
    pub fn own_name(&self) -> std::borrow::Cow<'_, str> {
        match self.thing() {
            Some(Thing::Host) | None => self.name.as_str().into(),
            Some(thing) => thing.name(),
        }
    }

    /// The device, port or bridge that it is or that it is part of.
    pub fn device(&self) -> Option<&str> {
        match &self.about {
            About::Node(_, thing) | About::Absent(thing) => match thing {
                Thing::Netdev { name, .. }
                | Thing::Vm { name }
                | Thing::OvsBridge { name }
                | Thing::OvsPort { name }
                | Thing::OvsInterface { name } => Some(name),
                Thing::VmNic { nic, .. } => Some(nic),
                Thing::TunnelEndpoint { owner, .. } => Some(owner),
                Thing::Netns { netns } => netns.name(),
                Thing::Host
                | Thing::RemoteHost { .. }
                | Thing::Address { .. }
                | Thing::RouteTable { .. }
                | Thing::Logical { .. } => None,
            },
            About::Record(_, Recorded::Neighbour { dev, .. } | Recorded::Route { dev, .. }) => {
                Some(dev)
            }
            About::Other(Other::OvnPort { name }) => Some(name),
            About::Record(..) | About::Other(_) => None,
        }
    }

    /// The address that it is, or that it is called after.
    pub fn address(&self) -> Option<IpAddr> {
        match &self.about {
            About::Node(_, thing) | About::Absent(thing) => match thing {
                Thing::RemoteHost { ip } | Thing::Address { ip, .. } => Some(*ip),
                _ => None,
            },
            About::Record(_, Recorded::Neighbour { ip, .. }) => Some(*ip),
            About::Record(_, Recorded::Route { to, .. } | Recorded::Destination { to }) => {
                to.parse().ok()
            }
            About::Record(_, Recorded::PodRoute { pod }) => pod.parse().ok(),
            About::Record(..) => None,
            About::Other(other) => match other {
                Other::TunnelAddress { ip } | Other::Gateway { ip } => Some(*ip),
                Other::FloatingIp { ip } => Some((*ip).into()),
                Other::Subnet { net } => Some(net.addr()),
                _ => None,
            },
        }
    }

    /// The names by which a person may mean it: as shown, without bridge and machine, and with the
    /// namespace that it lives in.
    pub(crate) fn names(&self, netns: Option<&Netns>) -> impl Iterator<Item = String> {
        let own = self.own_name();
        let inside = netns.and_then(Netns::name).map(|netns| format!("{netns}/{own}"));
        [Some(self.name.clone()), Some(own.into_owned()), inside].into_iter().flatten()
    }

    /// What tells it from others of its kind on the host, whatever the host is called.
    pub(crate) fn identity(&self) -> &str {
        match &self.about {
            _ if self.is_host() => "",
            About::Other(Other::DomainXml { .. }) => "virsh",
            _ => &self.name,
        }
    }
}

impl From<Other> for Subject {
    fn from(other: Other) -> Self {
        Self { name: other.to_string(), about: About::Other(other) }
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Row<'a> {
            kind: &'static str,
            name: &'a str,
        }
        Row { kind: self.kind(), name: &self.name }.serialize(to)
    }
}

impl Recorded {
    fn kind(&self) -> &'static str {
        match self {
            Self::Neighbour { .. } => "neighbour",
            Self::Route { .. } | Self::DefaultRoutes { .. } => "route-table",
            Self::PodRoute { .. } | Self::Destination { .. } => "route",
            Self::Rule { .. } => "rule",
            Self::FlowPort { .. } => "ovs-port",
        }
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Neighbour { ip, dev } => write!(f, "{ip} dev {dev}"),
            Self::Route { to, gateway, dev, table } => {
                write!(f, "{to} via {gateway} dev {dev}")?;
                if table == "main" { Ok(()) } else { write!(f, " table {table}") }
            }
            Self::DefaultRoutes { table } => write!(f, "default table {table}"),
            Self::PodRoute { pod: name } | Self::Rule { name } | Self::Destination { to: name } => {
                f.write_str(name)
            }
            Self::FlowPort { number } => write!(f, "port {number}"),
        }
    }
}

impl Other {
    fn kind(&self) -> &'static str {
        match self {
            Self::Daemon { .. } => "host",
            Self::Capture { .. } | Self::DomainXml { .. } => "capture",
            Self::TunnelAddress { .. } | Self::TunnelPair { .. } => "tunnel-endpoint",
            Self::FloatingIp { .. } => "floating-ip",
            Self::Gateway { .. } => "gateway",
            Self::Network { .. } => "network",
            Self::BridgeMapping { .. } => "bridge-mapping",
            Self::OvnPort { .. } => "ovn-port",
            Self::OvnChassis { .. } => "ovn-chassis",
            Self::Subnet { .. } => "subnet",
            Self::Neighbours { .. } => "neighbours",
            Self::ConntrackZone { .. } => "conntrack-zone",
            Self::Conntrack => "conntrack",
            Self::Sysctl { .. } => "sysctl",
            Self::OrphanedRules => "netfilter",
            Self::NeutronPort { .. } => "port",
        }
    }
}

impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Daemon { name } => f.write_str(name),
            Self::Capture { command: name }
            | Self::Network { id: name }
            | Self::BridgeMapping { entry: name }
            | Self::OvnPort { name }
            | Self::OvnChassis { name }
            | Self::Sysctl { key: name } => f.write_str(name),
            Self::DomainXml { host } => write!(f, "{host}/virsh"),
            Self::TunnelAddress { ip } | Self::Gateway { ip } => ip.fmt(f),
            Self::TunnelPair { from, to } => write!(f, "{from} to {to}"),
            Self::FloatingIp { ip } => ip.fmt(f),
            Self::Subnet { net } => net.fmt(f),
            Self::Neighbours { protocol } => write!(f, "{protocol} neighbours"),
            Self::ConntrackZone { zone } => write!(f, "conntrack zone {zone}"),
            Self::Conntrack => f.write_str("conntrack"),
            Self::OrphanedRules => f.write_str("rules of gone ports"),
            Self::NeutronPort { id } => write!(f, "port {id}"),
        }
    }
}
