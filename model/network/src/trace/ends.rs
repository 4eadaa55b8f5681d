//! The two ends of a question: where a packet is put in, and what counts as having arrived.
use std::fmt;
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_topology::{NodeData, NodeId};

use crate::Network;
use crate::truth::Truth;

use super::{Packet, Tracer};

/// Where a packet is put in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Start {
    /// A guest sends it by this NIC.
    Guest(NodeId),
    /// A namespace makes it.
    Netns(HostId, Netns),
    /// A device receives it from its far side.
    Device(NodeId),
    /// An OVS bridge receives it on this interface.
    Port(NodeId),
    /// It comes from outside what was captured.
    Outside(IpAddr),
}

/// Something that a packet may be for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// A NIC of a guest.
    Guest(NodeId),
    /// A namespace.
    Netns(HostId, Netns),
    /// A device.
    Device(NodeId),
}

/// What counts as having arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Goal {
    /// Any end that takes the packet.
    Anywhere,
    /// Out of what was captured.
    Outside,
    /// All on the segment.
    Broadcast,
    /// A server of DHCP.
    Dhcp,
    /// The metadata service.
    Metadata,
    /// An address, and who has it; nobody where none was captured.
    Address {
        /// The address.
        ip: IpAddr,
        /// Who has it.
        targets: Vec<Target>,
        /// It is in a subnet of a captured device.
        near: bool,
    },
    /// Any of these.
    Things(Vec<Target>),
}

/// Where a packet arrived.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reached<'p> {
    Guest {
        nic: NodeId,
    },
    Stack {
        host: HostId,
        netns: &'p Netns,
        /// The device that has the address, or that received it.
        device: NodeId,
        /// Somebody listens; `None` where that is not known.
        listens: Option<bool>,
    },
    Wire {
        packet: &'p Packet,
    },
    Tunnel {
        remote: IpAddr,
        key: Option<u64>,
    },
}

impl fmt::Display for Reached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest { .. } => f.write_str("received by the guest"),
            Self::Stack { listens: Some(true), .. } => {
                f.write_str("received, and somebody listens")
            }
            Self::Stack { .. } => f.write_str("received"),
            Self::Wire { .. } => f.write_str("leaves on the wire"),
            Self::Tunnel { remote, key: Some(key) } => {
                write!(f, "leaves by a tunnel to {remote}, key {key}, which was not captured")
            }
            Self::Tunnel { remote, key: None } => {
                write!(f, "leaves by a tunnel to {remote}, which was not captured")
            }
        }
    }
}

impl Target {
    fn is(&self, reached: &Reached<'_>) -> bool {
        match (self, reached) {
            (Self::Guest(nic), Reached::Guest { nic: own, .. }) => nic == own,
            (Self::Netns(host, netns), Reached::Stack { host: own, netns: here, .. }) => {
                host == own && netns == *here
            }
            (Self::Device(device), Reached::Stack { device: own, .. }) => device == own,
            _ => false,
        }
    }
}

impl Goal {
    /// Whether that is where the packet was to go.
    pub(super) fn is_met(&self, reached: &Reached<'_>) -> Truth {
        let outside = matches!(reached, Reached::Wire { .. });
        let tunnel = matches!(reached, Reached::Tunnel { .. });
        match self {
            Self::Anywhere | Self::Broadcast if tunnel => Truth::Maybe,
            Self::Anywhere | Self::Broadcast => Truth::Yes,
            Self::Outside => match reached {
                Reached::Wire { .. } => Truth::Yes,
                Reached::Tunnel { .. } => Truth::Maybe,
                _ => Truth::No,
            },
            Self::Dhcp => match reached {
                Reached::Stack { listens: Some(true), .. } => Truth::Yes,
                Reached::Stack { netns, listens: None, .. } => {
                    Truth::from(netns.name().is_some_and(|name| name.starts_with("qdhcp-")))
                }
                Reached::Wire { .. } | Reached::Tunnel { .. } => Truth::Maybe,
                _ => Truth::No,
            },
            Self::Metadata => match reached {
                Reached::Stack { listens: Some(true), .. } => Truth::Yes,
                Reached::Stack { listens: None, .. } => Truth::Maybe,
                Reached::Wire { .. } | Reached::Tunnel { .. } => Truth::Maybe,
                _ => Truth::No,
            },
            Self::Address { targets, near, .. } if targets.is_empty() => {
                if outside && !near {
                    Truth::Yes
                } else if outside || tunnel {
                    // `deliver_on_link` has looked at neighbours.
                    match reached {
                        Reached::Wire { packet, .. } if self.is_next_hop(packet) => Truth::Yes,
                        _ => Truth::Maybe,
                    }
                } else {
                    Truth::No
                }
            }
            Self::Address { targets, .. } | Self::Things(targets) => {
                if targets.iter().any(|target| target.is(reached)) {
                    Truth::Yes
                } else if outside || tunnel {
                    Truth::Maybe
                } else {
                    Truth::No
                }
            }
        }
    }

    fn is_next_hop(&self, packet: &Packet) -> bool {
        let Self::Address { ip, .. } = self else { return false };
        packet.next_hop == Some(*ip) && packet.unresolved.is_none()
    }

    /// Whether a packet that leaves by a wire goes to a neighbour that is known: the goal itself.
    pub(super) fn is_neighbour(&self, _network: &Network<'_>, packet: &Packet) -> bool {
        let Self::Address { targets, .. } = self else { return false };
        targets.is_empty() && self.is_next_hop(packet)
    }

    /// Whether something captured is meant.
    pub fn is_captured(&self) -> bool {
        match self {
            Self::Address { targets, .. } => !targets.is_empty(),
            Self::Things(_) | Self::Dhcp | Self::Metadata => true,
            _ => false,
        }
    }
}

/// Why an end is not understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EndError {
    /// Nothing is called so.
    Nothing(String),
    /// Several things are.
    Ambiguous(String, Vec<String>),
    /// It is not written as an end is.
    Wrong(String),
}

impl fmt::Display for EndError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing(text) => write!(f, "nothing is called {text}"),
            Self::Ambiguous(text, all) => {
                write!(f, "{text} may be one of several: {}", all.join(", "))
            }
            Self::Wrong(text) => f.write_str(text),
        }
    }
}

/// What a name stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Thing {
    Guest(NodeId),
    Netns(HostId, Netns),
    Device(NodeId),
    Port(NodeId),
    Address(IpAddr),
}

impl Tracer<'_, '_> {
    /// Where a packet is put in, by its name.
    pub fn start(&self, text: &str) -> Result<Start, EndError> {
        Ok(match self.thing(text)? {
            Thing::Guest(nic) => Start::Guest(nic),
            Thing::Netns(host, netns) => Start::Netns(host, netns),
            Thing::Device(device) => Start::Device(device),
            Thing::Port(interface) => Start::Port(interface),
            Thing::Address(ip) => {
                let owners = self.owners(ip);
                match owners.as_slice() {
                    [] => Start::Outside(ip),
                    [Target::Guest(nic)] => Start::Guest(*nic),
                    [Target::Netns(host, netns)] => Start::Netns(*host, netns.clone()),
                    [Target::Device(device)] => self.netns_of(*device)?,
                    several => return Err(self.several(text, several)),
                }
            }
        })
    }

    /// What counts as having arrived, by its name.
    pub fn goal(&self, text: &str) -> Result<Goal, EndError> {
        Ok(match text {
            "outside" => Goal::Outside,
            "dhcp" => Goal::Dhcp,
            "metadata" => Goal::Metadata,
            "broadcast" => Goal::Broadcast,
            _ => match self.thing(text)? {
                Thing::Guest(nic) => Goal::Things(vec![Target::Guest(nic)]),
                Thing::Netns(host, netns) => Goal::Things(vec![Target::Netns(host, netns)]),
                Thing::Device(device) => Goal::Things(vec![Target::Device(device)]),
                Thing::Port(interface) => {
                    let device = self.network.device_of(interface);
                    let nic = device.and_then(|device| self.nic_of(device.id));
                    match (nic, device) {
                        (Some(nic), _) => Goal::Things(vec![Target::Guest(nic)]),
                        (None, Some(device)) => Goal::Things(vec![Target::Device(device.id)]),
                        (None, None) => return Err(EndError::Nothing(text.to_owned())),
                    }
                }
                Thing::Address(ip) => self.goal_of(ip),
            },
        })
    }

    /// The goal that an address is.
    pub fn goal_of(&self, ip: IpAddr) -> Goal {
        let near = self.network.addresses().any(|address| {
            let net = ipnet::IpNet::new(address.ip, address.prefix);
            net.is_ok_and(|net| net.contains(&ip)) && !address.ip.is_loopback()
        });
        Goal::Address { ip, targets: self.owners(ip), near }
    }

    fn netns_of(&self, device: NodeId) -> Result<Start, EndError> {
        let device = self.network.netdev(device);
        let device = device.ok_or_else(|| EndError::Nothing("the device".to_owned()))?;
        Ok(Start::Netns(device.host, device.netns().clone()))
    }

    fn nic_of(&self, device: NodeId) -> Option<NodeId> {
        let all = self.network.topology.into(device, tapline_topology::EdgeKind::AttachesVm);
        all.first().map(|(nic, _)| *nic)
    }

    /// Who has an address: devices, guests, or what it is translated into.
    pub(super) fn owners(&self, ip: IpAddr) -> Vec<Target> {
        let network = self.network;
        let mut all: Vec<Target> = Vec::new();
        for id in network.topology.find_address(ip) {
            let Some(address) = network.address(*id) else { continue };
            // The floating address itself stands on the router; who it is for is its guest.
            let target = Target::Device(address.data.netdev);
            if !network.is_outdated(address.host) && !all.contains(&target) {
                all.push(target);
            }
        }
        let inner = self.tables().destinations().find(|(_, _, from, ..)| *from == ip);
        let guests = |ip: IpAddr| {
            let mut found = Vec::new();
            for (mac, addresses) in self.guests() {
                if !addresses.iter().any(|(known, _)| *known == ip) {
                    continue;
                }
                for nic in network.vm_nics() {
                    if nic.data.mac.as_ref().is_some_and(|own| own.value == *mac) {
                        found.push(Target::Guest(nic.id));
                    }
                }
            }
            found
        };
        if let Some((_, _, _, to, _)) = inner {
            let found = guests(to);
            if !found.is_empty() {
                return found;
            }
        }
        if all.is_empty() {
            all = guests(ip);
        }
        all
    }

    fn several(&self, text: &str, all: &[Target]) -> EndError {
        let names = all.iter().map(|target| self.target_name(target)).collect();
        EndError::Ambiguous(text.to_owned(), names)
    }

    fn target_name(&self, target: &Target) -> String {
        match target {
            Target::Guest(nic) => self.thing_name(&Thing::Guest(*nic)),
            Target::Netns(host, netns) => self.thing_name(&Thing::Netns(*host, netns.clone())),
            Target::Device(device) => self.thing_name(&Thing::Device(*device)),
        }
    }

    fn thing_name(&self, thing: &Thing) -> String {
        let network = self.network;
        let host = |host: HostId| network.host_name(host).to_owned();
        match thing {
            Thing::Guest(nic) => {
                let nic = network.vm_nic(*nic);
                let vm = nic.and_then(|nic| network.vm(nic.vm)).map_or("", |vm| vm.name());
                let mac = nic.and_then(|nic| Some(nic.data.mac.as_ref()?.value.to_string()));
                format!("vm:{vm}/{}", mac.unwrap_or_default())
            }
            Thing::Netns(of, netns) => format!("ns:{}/{netns}", host(*of)),
            Thing::Device(device) => match network.netdev(*device) {
                Some(device) => {
                    format!("if:{}/{}/{}", host(device.host), device.netns(), device.name())
                }
                None => "if:?".to_owned(),
            },
            Thing::Port(port) => match network.ovs_interface(*port) {
                Some(port) => {
                    format!("ovs:{}/{}/{}", host(port.host), port.data.bridge, port.name())
                }
                None => "ovs:?".to_owned(),
            },
            Thing::Address(ip) => format!("ip:{ip}"),
        }
    }

    fn thing(&self, text: &str) -> Result<Thing, EndError> {
        let found = match text.split_once(':') {
            Some(("vm", name)) => self.vms(name),
            Some(("ns", name)) => self.namespaces(name),
            Some(("if", name)) => self.devices(name),
            Some(("ovs", name)) => self.ports(name),
            Some(("ip", name)) => {
                let ip = name.parse::<IpAddr>();
                let ip = ip.map_err(|_| EndError::Wrong(format!("{name} is no IP address")))?;
                return Ok(Thing::Address(ip));
            }
            Some(("mac", name)) => {
                let mac = name.parse::<Mac>();
                let mac = mac.map_err(|_| EndError::Wrong(format!("{name} is no MAC address")))?;
                self.with_mac(mac)
            }
            Some(("port", id)) => self.neutron_ports(id),
            Some(("pod", name)) => self.neutron_ports(&name.replace('/', "_")),
            _ => self.anything(text),
        };
        match found.as_slice() {
            [] => Err(EndError::Nothing(text.to_owned())),
            [one] => Ok(one.clone()),
            several => {
                let names = several.iter().take(20).map(|thing| self.thing_name(thing)).collect();
                Err(EndError::Ambiguous(text.to_owned(), names))
            }
        }
    }

    /// The hosts that a name stands for, and what follows it.
    fn on_host<'t>(&self, text: &'t str) -> (Option<Vec<HostId>>, &'t str) {
        let Some((first, rest)) = text.split_once('/') else { return (None, text) };
        let named = |host: &HostId| {
            self.network.host_name(*host) == first || self.network.hostname(*host) == first
        };
        let hosts: Vec<HostId> = self.network.hosts().filter(named).collect();
        if hosts.is_empty() { (None, text) } else { (Some(hosts), rest) }
    }

    fn vms(&self, text: &str) -> Vec<Thing> {
        let all = self.nics_of(text, None);
        if !all.is_empty() {
            return all;
        }
        match text.rsplit_once('/') {
            Some((name, nic)) => self.nics_of(name, Some(nic)),
            None => Vec::new(),
        }
    }

    /// The NICs of a VM: all, or the one with a number or MAC. Without either the first counts.
    fn nics_of(&self, name: &str, wanted: Option<&str>) -> Vec<Thing> {
        let network = self.network;
        let vms = network.vms().filter(|vm| {
            let is = |fact: &Option<tapline_topology::graph::Fact<Name>>| {
                fact.as_ref().is_some_and(|fact| fact.value == name)
            };
            (vm.name() == name || is(&vm.data.uuid) || is(&vm.data.nova_name))
                && !network.is_outdated(vm.host)
        });
        let mut found = Vec::new();
        for vm in vms {
            let nics: Vec<_> = network.vm_nics().filter(|nic| nic.vm == vm.id).collect();
            for (at, nic) in nics.iter().enumerate() {
                let takes = match wanted {
                    None => at == 0,
                    Some(wanted) => {
                        wanted.parse() == Ok(at)
                            || nic.data.mac.as_ref().map(|mac| mac.value) == wanted.parse().ok()
                    }
                };
                if takes {
                    found.push(Thing::Guest(nic.id));
                }
            }
        }
        found
    }

    fn namespaces(&self, text: &str) -> Vec<Thing> {
        let (hosts, name) = self.on_host(text);
        let here = |host: HostId| hosts.as_ref().is_none_or(|hosts| hosts.contains(&host));
        let mut found = Vec::new();
        for netns in self.network.namespaces() {
            let called = match netns.netns() {
                Netns::Root => name == "root",
                netns => netns.name().is_some_and(|own| own == name),
            };
            if called && here(netns.host) && !self.network.is_outdated(netns.host) {
                found.push(Thing::Netns(netns.host, netns.netns().clone()));
            }
        }
        found
    }

    fn devices(&self, text: &str) -> Vec<Thing> {
        let (hosts, rest) = self.on_host(text);
        let (netns, name) = match rest.split_once('/') {
            Some((netns, name)) => (Some(netns), name),
            None => (None, rest),
        };
        let mut found = Vec::new();
        for device in self.network.netdevs() {
            let here = hosts.as_ref().is_none_or(|hosts| hosts.contains(&device.host));
            let within = netns.is_none_or(|wanted| device.netns().to_string() == wanted);
            if here && within && device.name() == name && !self.network.is_outdated(device.host) {
                found.push(Thing::Device(device.id));
            }
        }
        found
    }

    fn ports(&self, text: &str) -> Vec<Thing> {
        let (hosts, rest) = self.on_host(text);
        let Some((bridge, name)) = rest.split_once('/') else { return Vec::new() };
        let mut found = Vec::new();
        for interface in self.network.ovs_interfaces() {
            let here = hosts.as_ref().is_none_or(|hosts| hosts.contains(&interface.host));
            let is = interface.data.bridge == bridge && interface.name() == name;
            if here && is && !self.network.is_outdated(interface.host) {
                found.push(Thing::Port(interface.id));
            }
        }
        found
    }

    fn with_mac(&self, mac: Mac) -> Vec<Thing> {
        let nics = self
            .network
            .vm_nics()
            .filter(|nic| nic.data.mac.as_ref().is_some_and(|own| own.value == mac));
        let guests: Vec<Thing> = nics.map(|nic| Thing::Guest(nic.id)).collect();
        if !guests.is_empty() {
            return guests;
        }
        let devices = self
            .network
            .netdevs()
            .filter(|device| device.data.mac.as_ref().is_some_and(|own| own.value == mac));
        devices.map(|device| Thing::Netns(device.host, device.netns().clone())).collect()
    }

    fn neutron_ports(&self, id: &str) -> Vec<Thing> {
        let nics = self.network.vm_nics().filter(|nic| {
            nic.data.interface_id.as_ref().is_some_and(|own| own.value.starts_with(id))
        });
        let guests: Vec<Thing> = nics.map(|nic| Thing::Guest(nic.id)).collect();
        if !guests.is_empty() {
            return guests;
        }
        let ports = self.network.ovs_interfaces().filter(|port| {
            crate::defs::external_id(port.data, "iface-id").is_some_and(|own| own.starts_with(id))
        });
        ports
            .map(|port| match self.network.device_of(port.id) {
                Some(device) if port.data.kind == "internal" => {
                    Thing::Netns(device.host, device.netns().clone())
                }
                _ => Thing::Port(port.id),
            })
            .collect()
    }

    /// What a bare word stands for.
    fn anything(&self, text: &str) -> Vec<Thing> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return vec![Thing::Address(ip)];
        }
        if let Ok(mac) = text.parse::<Mac>() {
            return self.with_mac(mac);
        }
        let ways: [fn(&Self, &str) -> Vec<Thing>; 5] =
            [Self::vms, Self::namespaces, Self::ports, Self::devices, Self::neutron_ports];
        for way in ways {
            let found = way(self, text);
            if !found.is_empty() {
                // A tap stands for its guest.
                if let [Thing::Device(device)] = found.as_slice()
                    && let Some(nic) = self.nic_of(*device)
                {
                    return vec![Thing::Guest(nic)];
                }
                return found;
            }
        }
        Vec::new()
    }

    /// Whether a node is of a kind that a packet may be put into.
    pub fn is_device(&self, node: NodeId) -> bool {
        let node = self.network.topology.node(node);
        node.is_some_and(|node| matches!(node.data, NodeData::Netdev(_)))
    }
}
