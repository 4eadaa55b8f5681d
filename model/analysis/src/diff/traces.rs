//! By what the things of a host are found again under another name.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_network::Item;
use tapline_topology::graph::{Netdev, NetdevKind, NodeData, OvsInterface};
use tapline_topology::{EdgeKind, NodeId};

use super::side::Side;

/// A device: its namespace and its name there.
pub(super) type Device = (Netns, Name);

/// What the things of one capture of a host are known by, besides their names.
#[derive(Debug, Default)]
pub(super) struct Traces {
    /// VMs with their UUIDs.
    pub(super) vms: BTreeMap<Name, Option<Name>>,
    /// Devices.
    pub(super) devices: BTreeMap<Device, Trace>,
    /// Interfaces of Open vSwitch.
    pub(super) ports: BTreeMap<Name, Option<String>>,
    /// The local VLAN of each network of neutron.
    pub(super) networks: BTreeMap<String, u16>,
    /// The local VLANs of ports.
    pub(super) tags: BTreeMap<Name, u16>,
}

/// What is known of a device to find it again.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace {
    /// What only it can be.
    pub(super) strong: Option<Strong>,
    /// Its address, which others may have too.
    pub(super) mac: Option<Mac>,
}

/// What only one device can be.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Strong {
    /// The NIC of a VM.
    Nic {
        /// The VM.
        vm: Name,
        /// The address within it.
        mac: Mac,
    },
    /// A physical NIC with this permanent address.
    Mac(Mac),
    /// The other end of a pair: the namespace and the name of the end there.
    Peer(String),
}

impl Strong {
    /// As a word.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Nic { vm, mac } => format!("nic {mac} {vm}"),
            Self::Mac(mac) => format!("mac {mac}"),
            Self::Peer(peer) => format!("peer {peer}"),
        }
    }

    /// Reads that word.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (sort, rest) = text.split_once(' ')?;
        match sort {
            "nic" => {
                let (mac, vm) = rest.split_once(' ')?;
                Some(Self::Nic { vm: vm.into(), mac: mac.parse().ok()? })
            }
            "mac" => Some(Self::Mac(rest.parse().ok()?)),
            "peer" => Some(Self::Peer(rest.to_owned())),
            _ => None,
        }
    }
}

impl Traces {
    /// Of one capture of a host.
    pub(super) fn of(side: &Side<'_, '_>, host: HostId) -> Self {
        let network = side.network;
        let vms = side.nodes(host).iter().filter_map(|id| network.vm(*id));
        let uuid = |id: &tapline_topology::graph::Fact<Name>| id.value.clone();
        let mut traces = Self {
            vms: vms.map(|vm| (vm.name().into(), vm.uuid.as_ref().map(uuid))).collect(),
            networks: networks(side, host),
            ..Self::default()
        };
        for device in network.netdevs_of(host) {
            let key = (device.netns().clone(), Name::from(device.name()));
            traces.devices.entry(key).or_insert_with(|| trace(side, device));
        }
        for it in network.ovs_interfaces_of(host) {
            traces.ports.insert(it.name().into(), interface_id(side, it));
        }
        for port in network.ovs_ports_of(host) {
            traces.tags.extend(port.tag.as_ref().map(|tag| (port.name().into(), tag.value)));
        }
        traces
    }
}

fn trace<'a>(side: &Side<'_, 'a>, device: Item<'a, Netdev<'a>>) -> Trace {
    let network = side.network;
    let mac = device.mac.as_ref().map(|mac| mac.value).filter(|mac| !mac.is_zero());
    let of_nic =
        network.topology.into(device.id, EdgeKind::AttachesVm).into_iter().find_map(|(nic, _)| {
            let nic = network.vm_nic(nic)?;
            let vm = network.vm(nic.vm)?.name().into();
            Some(Strong::Nic { vm, mac: nic.mac.as_ref()?.value })
        });
    let permanent = || {
        let permanent = device.records.iter().find_map(|it| it.record.permanent_mac.as_ref());
        let mac = permanent.map(|mac| mac.value).or(mac)?;
        (device.kind == NetdevKind::Physical).then_some(Strong::Mac(mac))
    };
    let peer = || {
        let peer = network.veth_peer(device.id)?;
        let inside = device.netns().is_root() && peer.netns().name().is_some();
        inside.then(|| Strong::Peer(format!("{}/{}", peer.netns(), peer.name())))
    };
    Trace { strong: of_nic.or_else(permanent).or_else(peer), mac }
}

/// What is known of an interface of Open vSwitch to find it again.
fn interface_id(side: &Side<'_, '_>, it: Item<'_, OvsInterface>) -> Option<String> {
    // OVN names tunnels after the chassis, with a number; the port knows the chassis.
    let port = side.network.topology.find_ovs_port(it.host, &it.port);
    let port = port.and_then(|port| side.network.ovs_port(port));
    let chassis = port.and_then(|port| {
        let id = port.data.external_ids.iter().find(|(key, _)| key == "ovn-chassis-id")?;
        Some(id.1.value.split('@').next().unwrap_or_default().to_owned())
    });
    if let Some(chassis) = chassis {
        return Some(format!("chassis {chassis}"));
    }
    let id = it.external_ids.iter().find(|(key, _)| key == "iface-id");
    if let Some((_, id)) = id {
        return Some(format!("port {}", id.value));
    }
    let tunnel = matches!(it.kind.as_str(), "vxlan" | "gre" | "geneve" | "stt" | "gtpu");
    let option = |key: &str| it.option(key).map_or("", |value| value.value.as_str());
    let (local, remote, key) = (option("local_ip"), option("remote_ip"), option("key"));
    (tunnel && !remote.is_empty()).then(|| format!("{} {local} {remote} {key}", it.kind))
}

/// The local VLAN of each network of neutron, by what tells which network it is; what stands for
/// several VLANs tells nothing.
fn networks(side: &Side<'_, '_>, host: HostId) -> BTreeMap<String, u16> {
    let network = side.network;
    let mut told: BTreeMap<String, BTreeSet<u16>> = BTreeMap::new();
    let mut tell = |network: String, vlan: u16| {
        told.entry(network).or_default().insert(vlan);
    };
    for port in network.ovs_ports_of(host) {
        let Some(tag) = port.tag.as_ref().map(|tag| tag.value) else { continue };
        if !network.is_integration_called(host, &port.bridge) || matches!(tag, 0 | 4095) {
            continue;
        }
        let noted = |key: &str| {
            let value = port.other_config.iter().find(|(it, _)| it == key);
            value.map(|(_, value)| value.value.as_str())
        };
        // What is noted counts where the agent gave the tag with it: a port that somebody put
        // into another VLAN keeps the note.
        let is_own = noted("tag").is_none_or(|noted| noted == tag.to_string());
        if let Some(id) = noted("net_uuid").filter(|_| is_own) {
            tell(format!("network {id}"), tag);
        }
        let device = network.interface_called(host, port.name());
        let device = device.and_then(|interface| network.device_of(interface.id));
        let netns = device.and_then(|device| device.netns().name());
        if let Some(id) = netns.and_then(|netns| netns.strip_prefix("qdhcp-")) {
            tell(format!("network {id}"), tag);
        }
    }
    for (vlan, ways) in &network.local_vlans(host).ways {
        for (key, _) in &ways.tunnel_in {
            tell(format!("tunnel key {key}"), *vlan);
        }
        // A provider bridge has each VLAN of the wire for one network.
        for out in &ways.provider_out {
            tell(format!("VLAN {} of {}", out.vlan, out.bridge), *vlan);
        }
    }
    let single = told.into_iter().filter_map(|(network, vlans)| match vlans.len() {
        1 => Some((network, vlans.first().copied()?)),
        _ => None,
    });
    single.collect()
}

/// The VM behind a port or device, by its name after renumbering, and the NIC.
pub(super) fn nic_of(side: &Side<'_, '_>, device: NodeId) -> Option<NodeId> {
    let topology = side.network.topology;
    let nics = topology.into(device, EdgeKind::AttachesVm);
    nics.into_iter()
        .map(|(nic, _)| nic)
        .find(|nic| matches!(topology.node(*nic).map(|node| &node.data), Some(NodeData::VmNic(_))))
}
