//! What flows make of the local VLANs of neutron's integration bridge: which tunnel keys and which
//! provider bridges they lead to.
//!
//! The tables are those of neutron's OVS agent, but nothing here depends on their numbers more
//! than needed: releases differ.
use std::collections::{BTreeMap, BTreeSet};
use tapline_core::need::Need;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::openflow::{Action, Flow, OfPort};
use tapline_core::span::Evidence;
use tapline_topology::graph::{OvsBridge, OvsInterface, OvsPort};
use tapline_topology::{Topic, names};

use crate::defs;
use crate::flows::{self, Flows, Switches};
use crate::{Item, Network, User};

/// The flow that floods a VLAN into tunnels.
#[derive(Clone, Copy, Debug)]
pub struct Flood<'a> {
    /// Tunnel key that it sets.
    pub key: u64,
    /// The flow.
    pub flow: &'a Flow,
    /// Its line.
    pub at: Evidence,
}

/// Where one local VLAN leads to.
#[derive(Clone, Default, Debug)]
pub struct Ways<'a> {
    /// Tunnel keys whose packets come in on it.
    pub tunnel_in: Vec<(u64, Evidence)>,
    /// What floods it into tunnels.
    pub floods: Vec<Flood<'a>>,
    /// Flows that send one address of it into a tunnel, set by the agent and not learnt.
    pub unicasts: Vec<(&'a Flow, Evidence)>,
    /// What brings it in from a provider bridge.
    pub provider_in: Option<Evidence>,
    /// The provider bridges that let it out.
    pub provider_out: Vec<Provider<'a>>,
}

impl Ways<'_> {
    /// Whether flows lead it out of the host.
    fn leave(&self) -> bool {
        !self.floods.is_empty() || !self.unicasts.is_empty() || !self.provider_out.is_empty()
    }

    /// Whether flows bring it in.
    fn come(&self) -> bool {
        !self.tunnel_in.is_empty() || self.provider_in.is_some()
    }
}

/// A provider bridge that lets a local VLAN out.
#[derive(Clone, Copy, Debug)]
pub struct Provider<'a> {
    /// The bridge.
    pub bridge: &'a str,
    /// The VLAN on the wire; 0 is none.
    pub vlan: u16,
    /// The flow.
    pub at: Evidence,
}

/// The local VLANs of one host.
#[derive(Debug, Default)]
pub struct LocalVlans<'a> {
    /// The bridge with the tunnels.
    pub tunnel_bridge: Option<Item<'a, OvsBridge>>,
    /// The bridges of physical networks.
    pub provider_bridges: Vec<Item<'a, OvsBridge>>,
    /// What flows say of each VLAN.
    pub ways: BTreeMap<u16, Ways<'a>>,
    /// The VLANs on which packets of each tunnel key come in, with the flow that says so.
    pub inbound: BTreeMap<u64, BTreeMap<u16, Evidence>>,
    /// The ports in use on each VLAN, in the order of the topology.
    pub ports: BTreeMap<u16, Vec<Item<'a, OvsPort>>>,
    /// The VLANs of all ports of the integration bridge, in use or not, where all were captured.
    tags: Option<BTreeSet<u16>>,
    /// The flows of all these bridges were captured whole.
    is_complete: bool,
}

/// A local VLAN that no flow leads out of the host, though its network is elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unled {
    /// Whether tunnels should carry it, where that is known.
    pub by_tunnels: Option<bool>,
    /// Flows bring it in from tunnels: it is led nowhere as well where no other host has the network.
    pub may_be_alone: bool,
}

impl<'a> LocalVlans<'a> {
    /// Gathers them; empty where neutron's agent does not work.
    pub(crate) fn new(network: &Network<'a>, host: HostId) -> Self {
        let (all, switches) = (network.flows(), network.switches());
        let mut vlans = Self::default();
        if !defs::has_agent_patches(network, host) {
            return vlans;
        }
        for bridge in
            network.ovs_bridges_of(host).filter(|bridge| !network.is_integration(bridge.id))
        {
            let interfaces = defs::interfaces_of(network, bridge.id);
            if interfaces.iter().any(|interface| interface.name() == "patch-int") {
                vlans.tunnel_bridge = vlans.tunnel_bridge.or(Some(bridge));
            } else if interfaces.iter().any(|interface| interface.name().starts_with("phy-")) {
                vlans.provider_bridges.push(bridge);
            }
        }
        for port in network.ovs_ports_of(host).filter(|port| is_in_use(network, *port)) {
            if let Some(tag) = &port.data.tag {
                vlans.ports.entry(tag.value).or_default().push(port);
            }
        }
        let is_listed = network.complete(host, &Netns::Root, Topic::Ovs);
        let integration = network.integration_bridge(host);
        let of_integration = network.ovs_ports_of(host).filter(|port| port.bridge == integration);
        let tags = of_integration.filter_map(|port| port.data.tag.as_ref().map(|tag| tag.value));
        vlans.tags = is_listed.then(|| tags.collect());
        let bridges = vlans.provider_bridges.iter().chain(&vlans.tunnel_bridge).map(Item::name);
        let bridges = bridges.chain([integration]);
        vlans.is_complete = bridges.into_iter().all(|bridge| all.best(host, bridge).is_some());
        vlans.read_tunnels(host, all);
        vlans.read_integration(network, host, all, switches);
        vlans.read_providers(host, all);
        vlans
    }

    fn read_tunnels(&mut self, host: HostId, all: &Flows<'a>) {
        let Some(bridge) = self.tunnel_bridge else { return };
        let Some(dump) = all.best(host, bridge.name()) else { return };
        for &flow in &dump.flows {
            let at = dump.line(flow);
            if let (Some(key), Some(vlan)) = (flows::tunnel_id(flow), flows::sets_vlan(flow)) {
                self.ways.entry(vlan).or_default().tunnel_in.push((key.value, at));
                self.inbound.entry(key.value).or_default().entry(vlan).or_insert(at);
            }
            let (Some(vlan), Some(key)) = (flows::vlan(flow), flows::sets_tunnel(flow)) else {
                continue;
            };
            let ways = self.ways.entry(vlan).or_default();
            if flow.matched("dl_dst").is_none() {
                ways.floods.push(Flood { key, flow, at });
            } else if flow.hard_timeout.is_none() && flow.priority.value > 1 {
                // What is learnt from tunnels has a timeout and the priority 1.
                ways.unicasts.push((flow, at));
            }
        }
    }

    /// What comes from a provider bridge gets its local VLAN.
    fn read_integration(
        &mut self,
        network: &Network<'a>,
        host: HostId,
        all: &Flows<'a>,
        switches: &Switches<'a>,
    ) {
        let integration = network.integration_bridge(host);
        let Some(dump) = all.best(host, integration) else { return };
        let ends: Vec<_> = network
            .ovs_interfaces_of(host)
            .filter(|end| end.bridge == integration && end.name().starts_with("int-"))
            .collect();
        let listed = !switches.of(host, integration).is_empty();
        for &flow in &dump.flows {
            let (Some(port), Some(vlan)) = (flow.in_port(), flows::sets_vlan(flow)) else {
                continue;
            };
            // Without a list of ports their numbers tell nothing, and the agent's table has to.
            let number = matches!(port.value, OfPort::Number(_));
            let unknown = !listed && number && flow.table.value == 0;
            let end =
                ends.iter().any(|end| switches.is(host, integration, &port.value, end.name()));
            if unknown || end {
                let ways = self.ways.entry(vlan).or_default();
                ways.provider_in = ways.provider_in.or(Some(dump.line(flow)));
            }
        }
    }

    fn read_providers(&mut self, host: HostId, all: &Flows<'a>) {
        for bridge in self.provider_bridges.clone() {
            let Some(dump) = all.best(host, bridge.name()) else { continue };
            for &flow in &dump.flows {
                let Some(vlan) = flows::vlan(flow) else { continue };
                let strips = flows::actions(flow).any(|action| action.action == Action::StripVlan);
                if let Some(wire) = flows::sets_vlan(flow).or(strips.then_some(0)) {
                    let (bridge, at) = (bridge.name(), dump.line(flow));
                    let ways = self.ways.entry(vlan).or_default();
                    ways.provider_out.push(Provider { bridge, vlan: wire, at });
                }
            }
        }
    }

    /// The tunnels of the host: their interfaces.
    pub fn tunnels(&self, network: &Network<'a>) -> Vec<Item<'a, OvsInterface>> {
        let Some(bridge) = self.tunnel_bridge else { return Vec::new() };
        let mut all = defs::interfaces_of(network, bridge.id);
        all.retain(|it| matches!(it.kind.as_str(), "vxlan" | "gre" | "geneve"));
        all
    }

    /// Whether no flow of any bridge leads a VLAN out or in, where others are led.
    ///
    /// A network of type `local` has no flows, and a bridge may be programmed by somebody else: that
    /// most others have some shows that the agent works, and so does a VLAN that is led and that no
    /// port is in.
    pub fn is_forgotten(&self, vlan: u16) -> bool {
        let is_led =
            |vlan: u16| self.ways.get(&vlan).is_some_and(|ways| ways.leave() || ways.come());
        let led = self.ports.keys().filter(|vlan| is_led(**vlan)).count();
        let is_stale = |tags: &BTreeSet<u16>| {
            self.ways.iter().any(|(vlan, ways)| ways.leave() && ways.come() && !tags.contains(vlan))
        };
        let agent_works = led > 0 && led * 2 >= self.ports.len();
        !is_led(vlan) && (agent_works || self.tags.as_ref().is_some_and(is_stale))
    }

    /// Whether a VLAN should be led out of the host and is not, as complete flows of all bridges show.
    pub fn unled(&self, vlan: u16) -> Option<Unled> {
        let none = Ways::default();
        let ways = self.ways.get(&vlan).unwrap_or(&none);
        if !self.is_complete || ways.leave() {
            return None;
        }
        let comes_from = match (ways.tunnel_in.is_empty(), ways.provider_in.is_none()) {
            (false, true) => Some(true),
            (true, false) => Some(false),
            _ => None,
        };
        let by_tunnels = match self.network_type(vlan) {
            Some(("vxlan" | "gre" | "geneve", _)) => Some(true),
            Some(("vlan" | "flat", _)) => Some(false),
            Some(_) => return None,
            None if comes_from.is_none() && !self.is_forgotten(vlan) => return None,
            None => comes_from,
        };
        let may_be_alone = by_tunnels != Some(false) && !ways.tunnel_in.is_empty();
        Some(Unled { by_tunnels, may_be_alone })
    }

    /// Whether the network on a VLAN is one of tunnels, or else of a physical network, where that is
    /// known.
    pub fn is_of_tunnels(&self, vlan: u16) -> Option<bool> {
        match self.network_type(vlan).map(|(kind, _)| kind) {
            Some("vxlan" | "gre" | "geneve") => return Some(true),
            Some("vlan" | "flat") => return Some(false),
            _ => {}
        }
        let ways = self.ways.get(&vlan)?;
        let tunnels = !(ways.tunnel_in.is_empty() && ways.floods.is_empty());
        let physical = ways.provider_in.is_some() || !ways.provider_out.is_empty();
        (tunnels != physical).then_some(tunnels)
    }

    /// The kind of the network on a VLAN (`vxlan`, `vlan`, `flat`, …), by what the agent noted at
    /// its ports, and where; `None` where that was not captured or is not of one mind.
    pub fn network_type(&self, vlan: u16) -> Option<(&'a str, Evidence)> {
        let mut told = self.ports.get(&vlan)?.iter().filter_map(|port| {
            let noted = port.data.other_config.iter().find(|(key, _)| key == "network_type");
            noted.map(|(_, value)| (value.value.as_str(), value.evidence))
        });
        let first = told.next()?;
        told.all(|told| told.0 == first.0).then_some(first)
    }
}

/// Whether a port belongs to a network of neutron and somebody uses it: a VM that runs, or a
/// device that is there.
pub fn is_in_use(network: &Network<'_>, port: Item<'_, OvsPort>) -> bool {
    let name = port.name();
    let trunk = ["tpt-", "tpi-", "spt-", "spi-"].iter().any(|prefix| name.starts_with(prefix));
    let dead = port.tag.as_ref().is_none_or(|tag| tag.value == defs::DEAD_VLAN || tag.value == 0);
    // A VM's NIC has the id of its port in neutron, whatever its device is called.
    let has_id = || {
        let nics = network.nics_behind(port.host, name);
        nics.iter().any(|nic| nic.data.interface_id.is_some())
    };
    let is_of_neutron = names::port_prefix(name).is_some() || has_id();
    if !network.is_integration_called(port.host, &port.bridge) || trunk || dead || !is_of_neutron {
        return false;
    }
    let Some(interface) = network.interface_called(port.host, name) else { return false };
    if interface.error.is_some() {
        return false;
    }
    let device = network.device_of(interface.id).is_some();
    match network.user_of(port.host, name) {
        User::Running(_) => true,
        User::Off(_) => false,
        // Ports of routers and DHCP servers are devices in namespaces.
        User::Nobody => device && interface.kind == "internal",
        User::Unknown(_) => device,
    }
}

/// The tunnel networks that a host has ports of VMs or DHCP servers on, with such a port: by
/// tunnel key.
pub fn served<'a>(
    network: &Network<'a>,
    vlans: &LocalVlans<'a>,
) -> BTreeMap<u64, (Item<'a, OvsPort>, Evidence)> {
    let mut all = BTreeMap::new();
    for (vlan, ways) in &vlans.ways {
        let ports = vlans.ports.get(vlan).into_iter().flatten();
        // Ports of distributed routers are on every host and ask for no tunnel.
        let mut guests = ports.filter(|port| {
            let name = port.name();
            let server = || {
                let device =
                    network.interface_called(port.host, name).map(|interface| interface.id);
                let device = device.and_then(|device| network.device_of(device));
                device.is_some_and(|device| {
                    device.netns().name().is_some_and(|name| name.starts_with("qdhcp-"))
                })
            };
            matches!(network.user_of(port.host, name), User::Running(_)) || server()
        });
        let Some(port) = guests.next() else { continue };
        for (key, at) in &ways.tunnel_in {
            all.entry(*key).or_insert((*port, *at));
        }
    }
    all
}

/// The names of the bridges whose flows were not captured whole.
pub fn open_bridges<'a>(
    host: HostId,
    all: &Flows<'a>,
    bridges: impl IntoIterator<Item = &'a str>,
) -> BTreeSet<Need> {
    let open = bridges.into_iter().filter(|bridge| all.of(host, bridge).is_empty());
    open.map(flows::command).collect()
}
