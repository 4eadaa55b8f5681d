//! The two ends of a question: where a packet is put in, and what counts as having arrived.
use std::fmt;
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::NodeId;

use crate::Network;
use crate::truth::Truth;

use super::names::Thing;
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
        /// It is the first packet of a connection, and nothing captured says whether anybody
        /// listens: the answer may be a refusal.
        unsure: bool,
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
    ///
    /// `packet` is what arrived: a namespace that has the address which its destination was
    /// translated into (DNAT, REDIRECT, NETMAP) is where it was to go.
    pub(super) fn is_met(&self, reached: &Reached<'_>, packet: &Packet) -> Truth {
        if let (Self::Address { ip, .. }, Reached::Stack { unsure, .. }) = (self, reached)
            && packet.protocol().is_some()
            && packet.is_multicast() == Some(false)
            && packet.destination().is_some_and(|to| to != *ip)
        {
            return if *unsure { Truth::Maybe } else { Truth::Yes };
        }
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
                    // Neutron serves no network from a router.
                    let is_router = crate::defs::is_router_netns(netns)
                        || netns.name().is_some_and(|name| name.starts_with("fip-"));
                    if is_router { Truth::No } else { Truth::Maybe }
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
            Self::Address { ip, targets, near } if targets.is_empty() => {
                // No device has the address: by a route of the type `local` a namespace takes it.
                if let Reached::Stack { unsure, .. } = reached
                    && packet.destination() == Some(*ip)
                    && packet.is_multicast() == Some(false)
                {
                    return if *unsure { Truth::Maybe } else { Truth::Yes };
                }
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
                    let unsure = matches!(reached, Reached::Stack { unsure: true, .. });
                    if unsure { Truth::Maybe } else { Truth::Yes }
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

    pub(super) fn netns_of(&self, device: NodeId) -> Result<Start, EndError> {
        let device = self.network.netdev(device);
        let device = device.ok_or_else(|| EndError::Nothing("the device".to_owned()))?;
        Ok(Start::Netns(device.host, device.netns().clone()))
    }

    pub(super) fn nic_of(&self, device: NodeId) -> Option<NodeId> {
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
        let inner = self.network.filters().destinations().find(|(_, _, from, ..)| *from == ip);
        let guests = |ip: IpAddr| {
            let mut found = Vec::new();
            for (mac, addresses) in &self.guests().by_mac {
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
        let by_flows = || self.destinations().get(&ip).copied().flatten();
        if let Some(to) = inner.map(|(_, _, _, to, _)| to).or_else(by_flows) {
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
}
