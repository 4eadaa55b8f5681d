//! Uplinks of hosts and bridges: which devices they are, and what they are for.
//!
//! What an uplink is, and why a device is called one, says [`tapline_topology::uplink`].
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_topology::graph::{Netdev, NetdevKind, OvsBridge, OvsInterface};
use tapline_topology::{EdgeKind, NodeId, Topic, Uplink, names};

use crate::defs::{self, is_global};
use crate::{Item, Network};

/// Whether the device is an uplink.
pub fn is_uplink(device: &Item<'_, Netdev<'_>>) -> bool {
    Uplink::of(device.name(), device.data).is_some()
}

/// Whether the device is a NIC itself, not made of others.
pub fn is_nic(device: &Item<'_, Netdev<'_>>) -> bool {
    Uplink::of(device.name(), device.data).is_some_and(Uplink::is_nic)
}

/// Whether the name is one of a radio: `wlan0`, or `wl…` by systemd.net-naming-scheme(7).
pub fn is_wireless(name: &str) -> bool {
    name.starts_with("wl") && names::is_nic(name)
}

/// Whether an OVS bridge has a port that leads out of the host, or to another bridge.
pub fn has_uplink(network: &Network<'_>, host: HostId, bridge: &str) -> bool {
    let Some(bridge) = network.bridge_called(host, bridge) else { return true };
    let leads_out = |port: &Item<'_, OvsInterface>| match port.data.kind.as_str() {
        "" | "system" => network.device_of(port.id).is_none_or(|device| is_uplink(&device)),
        // A patch leads to another bridge, a port of DPDK is a NIC.
        "patch" => true,
        kind => kind.starts_with("dpdk"),
    };
    defs::interfaces_of(network, bridge.id).iter().any(leads_out)
}

/// What an uplink is for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Role {
    /// A port of this OVS bridge.
    OvsPort(Name),
    /// A port of this Linux bridge.
    BridgePort(NodeId),
    /// A member of this bond or team.
    Slave(NodeId),
    /// It has this address.
    Address(IpAddr),
    /// A device on it serves: a VLAN, a VXLAN, a macvlan.
    Carries(NodeId),
    /// This VM runs with a virtual function of it.
    Functions(NodeId),
    /// This virtual function of it was set up with a MAC and a VLAN.
    Function(u32),
}

/// Whether the kernel device of a NIC, bond or VLAN serves something: what, in a few words.
/// `None` where nothing is known to use it.
pub fn role(network: &Network<'_>, device: &Item<'_, Netdev<'_>>) -> Option<Role> {
    if let Some(interface) = network.interface_of(device.id) {
        return Some(Role::OvsPort(interface.bridge.clone()));
    }
    if let Some(master) = network.master(device.id) {
        return match master.kind {
            NetdevKind::Bond | NetdevKind::Team => Some(Role::Slave(master.id)),
            NetdevKind::Bridge => Some(Role::BridgePort(master.id)),
            _ => None,
        };
    }
    let addresses = network.addresses_of(device.id);
    if let Some(address) = addresses.iter().find(|address| is_global(address.ip)) {
        return Some(Role::Address(address.ip));
    }
    let carried = carries(network, device.id, STACKED_AT_MOST).map(Role::Carries);
    carried.or_else(|| function_user(network, device).map(Role::Functions)).or_else(|| {
        let function = configured_function(network, device)?;
        Some(Role::Function(function))
    })
}

/// Devices that stand on each other at most; more is damage.
const STACKED_AT_MOST: usize = 8;

/// The device on top of this one by which it serves something: a VLAN, a tunnel of the kernel, or a
/// NIC that is derived from it.
fn carries(network: &Network<'_>, device: NodeId, deep: usize) -> Option<NodeId> {
    let deep = deep.checked_sub(1)?;
    let upper = network.topology.into(device, EdgeKind::StackedOn);
    upper.into_iter().filter_map(|(upper, _)| network.netdev(upper)).find_map(|upper| {
        let derived = matches!(
            upper.kind,
            NetdevKind::Vlan
                | NetdevKind::Tunnel
                | NetdevKind::Macvlan
                | NetdevKind::Macvtap
                | NetdevKind::Ipvlan
                | NetdevKind::Macsec
        );
        let serves = || {
            network.interface_of(upper.id).is_some()
                || network.master(upper.id).is_some()
                || network.addresses_of(upper.id).iter().any(|address| is_global(address.ip))
                || is_of_running_vm(network, &upper)
        };
        let used = derived && (serves() || carries(network, upper.id, deep).is_some());
        used.then_some(upper.id)
    })
}

/// Whether a running VM has the device for its NIC.
fn is_of_running_vm(network: &Network<'_>, device: &Item<'_, Netdev<'_>>) -> bool {
    let behind = network.nics_behind(device.host, device.name());
    behind.iter().any(|nic| network.vm(nic.vm).and_then(|vm| vm.active) == Some(true))
}

/// A virtual function that somebody set up for a guest, by its MAC and its VLAN, where the VMs of
/// the host are not known.
fn configured_function(network: &Network<'_>, device: &Item<'_, Netdev<'_>>) -> Option<u32> {
    if network.complete(device.host, &Netns::Root, Topic::DomainXml) {
        return None;
    }
    let functions = device.data.records.iter().flat_map(|text| &text.record.vfs);
    let mut set = functions.filter(|function| {
        function.mac.is_some_and(|mac| !mac.is_zero()) && function.vlan.is_some_and(|vlan| vlan > 0)
    });
    set.next().map(|function| function.vf)
}

/// A running VM that has a virtual function of this NIC, by the MAC that libvirt gave it.
fn function_user(network: &Network<'_>, device: &Item<'_, Netdev<'_>>) -> Option<NodeId> {
    let functions = || device.data.records.iter().flat_map(|record| &record.record.vfs);
    functions().next()?;
    let users = network.vm_nics().filter(|nic| {
        nic.host == device.host
            && nic.data.kind.as_ref().is_some_and(|kind| kind.value == "hostdev")
    });
    users.into_iter().find_map(|nic| {
        let mac = nic.data.mac.as_ref()?.value;
        let runs = network.vm(nic.vm).and_then(|vm| vm.active) == Some(true);
        (runs && functions().any(|function| function.mac == Some(mac))).then_some(nic.vm)
    })
}

/// Whether anything is known that uses a NIC, bond or VLAN.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Usage {
    /// It serves this.
    For(Role),
    /// Nothing uses it: all that could was captured.
    Nothing,
    /// These commands would show who does.
    Unknown(Vec<Need>),
}

/// What uses a NIC, bond or VLAN.
pub fn usage(network: &Network<'_>, device: &Item<'_, Netdev<'_>>) -> Usage {
    if let Some(role) = role(network, device) {
        return Usage::For(role);
    }
    let missing = network.missing(device.host, device.netns(), &[Topic::Links, Topic::Addresses]);
    if missing.is_empty() { Usage::Nothing } else { Usage::Unknown(missing) }
}

/// A bridge that joins the integration bridge with physical networks.
pub struct Provider<'a> {
    /// The bridge.
    pub bridge: Item<'a, OvsBridge>,
    /// The patch that leads to it, on the integration bridge.
    pub patch: Item<'a, OvsInterface>,
    /// Its NICs, bonds and VLANs.
    pub uplinks: Vec<Item<'a, Netdev<'a>>>,
}

/// The bridges with NICs that patches of neutron's agent or of OVN join with the integration bridge.
pub fn providers<'a>(network: &Network<'a>, host: HostId) -> Vec<Provider<'a>> {
    let Some(integration) = network.integration(host) else { return Vec::new() };
    let mut all: Vec<Provider<'a>> = Vec::new();
    for patch in defs::interfaces_of(network, integration.id)
        .into_iter()
        .filter(|interface| interface.kind == "patch")
    {
        let named =
            ["int-", "patch-br-int-to-"].iter().any(|prefix| patch.name().starts_with(prefix));
        let peer = network.topology.peer(patch.id, EdgeKind::PatchPeer).filter(|_| named);
        let far = peer.and_then(|(id, _)| network.ovs_interface(id));
        let bridge = far.and_then(|far| network.bridge_called(host, &far.bridge));
        let Some(bridge) = bridge.filter(|bridge| bridge.id != integration.id) else { continue };
        if all.iter().any(|it| it.bridge.id == bridge.id) {
            continue;
        }
        let devices = defs::interfaces_of(network, bridge.id)
            .into_iter()
            .filter_map(|interface| network.device_of(interface.id));
        let uplinks: Vec<_> = devices.filter(is_uplink).collect();
        if !uplinks.is_empty() {
            all.push(Provider { bridge, patch, uplinks });
        }
    }
    all
}
