//! What the ends of a question are called.
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_topology::NodeId;

use super::Tracer;
use super::ends::{EndError, Target};

/// What a name stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Thing {
    Guest(NodeId),
    Netns(HostId, Netns),
    Device(NodeId),
    Port(NodeId),
    Address(IpAddr),
}

impl Tracer<'_, '_> {
    pub(super) fn several(&self, text: &str, all: &[Target]) -> EndError {
        let names = all.iter().map(|target| self.target_name(target)).collect();
        EndError::Ambiguous(text.to_owned(), names)
    }

    pub(super) fn target_name(&self, target: &Target) -> String {
        match target {
            Target::Guest(nic) => self.thing_name(&Thing::Guest(*nic)),
            Target::Netns(host, netns) => self.thing_name(&Thing::Netns(*host, netns.clone())),
            Target::Device(device) => self.thing_name(&Thing::Device(*device)),
        }
    }

    pub(super) fn thing_name(&self, thing: &Thing) -> String {
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

    pub(super) fn thing(&self, text: &str) -> Result<Thing, EndError> {
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
    pub(super) fn on_host<'t>(&self, text: &'t str) -> (Option<Vec<HostId>>, &'t str) {
        let Some((first, rest)) = text.split_once('/') else { return (None, text) };
        let named = |host: &HostId| {
            self.network.host_name(*host) == first || self.network.hostname(*host) == first
        };
        let hosts: Vec<HostId> = self.network.hosts().filter(named).collect();
        if hosts.is_empty() { (None, text) } else { (Some(hosts), rest) }
    }

    pub(super) fn vms(&self, text: &str) -> Vec<Thing> {
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
    pub(super) fn nics_of(&self, name: &str, wanted: Option<&str>) -> Vec<Thing> {
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

    pub(super) fn namespaces(&self, text: &str) -> Vec<Thing> {
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

    pub(super) fn devices(&self, text: &str) -> Vec<Thing> {
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

    pub(super) fn ports(&self, text: &str) -> Vec<Thing> {
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

    pub(super) fn with_mac(&self, mac: Mac) -> Vec<Thing> {
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

    pub(super) fn neutron_ports(&self, id: &str) -> Vec<Thing> {
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
                device => {
                    // A pod has the other end of the pair.
                    let peer = device.and_then(|device| self.network.veth_peer(device.id));
                    let inside = peer.filter(|peer| !peer.netns().is_root() && !peer.data.stub);
                    inside.map_or(Thing::Port(port.id), |peer| {
                        Thing::Netns(peer.host, peer.netns().clone())
                    })
                }
            })
            .collect()
    }

    /// What a bare word stands for.
    pub(super) fn anything(&self, text: &str) -> Vec<Thing> {
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
}
