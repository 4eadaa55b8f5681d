//! The virtual machines of a host, and what their NICs hang on.
use schemars::JsonSchema;
use serde::Serialize;
use tapline_core::capture::HostId;
use tapline_network::{Item, Network};
use tapline_topology::graph::{NetdevKind, OvsPort, VmNic};
use tapline_topology::{EdgeKind, NodeId};

use super::Cite;
use crate::addresses::Addresses;

/// Where a NIC hangs that hangs on nothing that was captured.
pub(crate) const NO_BRIDGE: &str = "no bridge known";
/// Devices from a NIC to its switch at most; more is damage.
const DEVICES: usize = 8;

/// One virtual machine.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Guest {
    /// Its key in the graph.
    pub(crate) key: Option<String>,
    /// Its name.
    pub(crate) name: String,
    /// `nova:name`.
    pub(crate) nova_name: Option<String>,
    /// As `virsh` prints it; null where it is not known.
    pub(crate) state: Option<String>,
    /// Its NICs.
    pub(crate) nics: Vec<GuestNic>,
    /// Where it is named.
    pub(crate) at: Option<Cite>,
}

/// One NIC of a virtual machine.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct GuestNic {
    /// As the guest has it.
    pub(crate) mac: Option<String>,
    /// Its device on the host.
    pub(crate) device: Option<String>,
    /// The switch or bridge that it hangs on; null where it hangs on none that was captured.
    pub(crate) bridge: Option<String>,
    /// Its VLAN on that switch.
    pub(crate) tag: Option<u16>,
    /// The network as neutron calls it: `vxlan 97`, `flat physnet1`.
    pub(crate) network: Option<String>,
    /// Its addresses, as far as the host tells.
    pub(crate) addresses: Vec<GuestAddress>,
}

/// One address of a guest.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct GuestAddress {
    /// The address.
    pub(crate) ip: String,
    /// `fixed` or `floating`.
    pub(crate) kind: &'static str,
    /// What tells of it.
    pub(crate) how: String,
    /// Where.
    pub(crate) at: Option<Cite>,
}

/// A container or pod, known by the namespace that it has or by the device that serves it.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Container {
    /// The namespace, as it was entered (`docker:web`), else what its device serves (`pod shop/web-0`).
    pub(crate) name: String,
    /// The device of the host that serves it.
    pub(crate) device: Option<String>,
    /// Its addresses.
    pub(crate) addresses: Vec<String>,
    /// Where it is named.
    pub(crate) at: Option<Cite>,
}

impl GuestNic {
    /// What it hangs on, in a few words: `br-int tag 3 (vxlan 97)`.
    pub(crate) fn net(&self) -> String {
        let Some(bridge) = &self.bridge else { return NO_BRIDGE.to_owned() };
        let mut text = bridge.clone();
        if let Some(tag) = self.tag {
            text.push_str(&format!(" tag {tag}"));
        }
        if let Some(network) = &self.network {
            text.push_str(&format!(" ({network})"));
        }
        text
    }
}

/// The virtual machines of a host, in the order of the topology.
pub(super) fn vms(network: &Network<'_>, addresses: &Addresses, host: HostId) -> Vec<Guest> {
    let topology = network.topology;
    let of_host = network.vms().filter(|vm| vm.host == host);
    of_host
        .map(|vm| Guest {
            key: topology.key(vm.id).map(ToString::to_string),
            name: vm.name().to_owned(),
            nova_name: vm.data.nova_name.as_ref().map(|name| name.value.to_string()),
            state: vm.data.state.as_ref().map(|state| state.value.to_string()),
            nics: nics(network, addresses, vm.id),
            at: vm.place().and_then(|at| Cite::of(topology.snapshot, at)),
        })
        .collect()
}

/// The NICs of one.
pub(crate) fn nics(network: &Network<'_>, addresses: &Addresses, vm: NodeId) -> Vec<GuestNic> {
    let all = network.topology.into(vm, EdgeKind::NicOf);
    all.into_iter()
        .filter_map(|(id, _)| network.vm_nic(id))
        .map(|nic| guest_nic(network, addresses, nic))
        .collect()
}

fn guest_nic(network: &Network<'_>, addresses: &Addresses, nic: Item<'_, VmNic<'_>>) -> GuestNic {
    let (bridge, port) = switch_of(network, nic);
    let mac = nic.data.mac.as_ref().map(|mac| mac.value);
    let port = port.as_ref();
    GuestNic {
        mac: mac.map(|mac| mac.to_string()),
        device: nic.data.target.as_ref().map(|target| target.value.to_string()),
        bridge,
        tag: port.and_then(|port| port.data.tag.as_ref()).map(|tag| tag.value),
        network: port.and_then(neutron_network),
        addresses: mac.map_or(Vec::new(), |mac| guest_addresses(network, addresses, mac)),
    }
}

/// The addresses behind a MAC, each fixed one before the floating ones that stand for it.
pub(crate) fn guest_addresses(
    network: &Network<'_>,
    addresses: &Addresses,
    mac: tapline_core::ids::Mac,
) -> Vec<GuestAddress> {
    let snapshot = network.topology.snapshot;
    let mut all = Vec::new();
    for known in addresses.of_mac(mac) {
        all.push(GuestAddress {
            ip: known.ip.to_string(),
            kind: "fixed",
            how: known.how.clone(),
            at: Cite::of(snapshot, known.at),
        });
        all.extend(addresses.floating(known.ip).map(|floating| GuestAddress {
            ip: floating.ip.to_string(),
            kind: "floating",
            how: format!("translated to {}", floating.fixed),
            at: Cite::of(snapshot, floating.at),
        }));
    }
    all
}

/// The switch or bridge behind a NIC, and the port where it is one of Open vSwitch: over the bridge
/// and the pair of a hybrid port.
fn switch_of<'a>(
    network: &Network<'a>,
    nic: Item<'_, VmNic<'_>>,
) -> (Option<String>, Option<Item<'a, OvsPort>>) {
    let topology = network.topology;
    let port_of = |interface: NodeId| {
        let ports = topology.out(interface, EdgeKind::OvsInterfaceOf);
        ports.into_iter().find_map(|(id, _)| network.ovs_port(id))
    };
    let mut bridge = None;
    let attached = topology.out(nic.id, EdgeKind::AttachesVm);
    let Some((mut at, _)) = attached.into_iter().next() else { return (None, None) };
    for _ in 0..DEVICES {
        if let Some(interface) = network.ovs_interface(at).or_else(|| network.interface_of(at)) {
            return (Some(interface.data.bridge.to_string()), port_of(interface.id));
        }
        let Some(master) = network.master(at) else { break };
        if master.kind != NetdevKind::Bridge {
            break;
        }
        bridge = Some(master.name().to_owned());
        // The bridge of a hybrid port has one member that leads on, a pair.
        let before = at;
        let onwards = network
            .members(master.id)
            .into_iter()
            .filter(|member| member.id != before)
            .find_map(|member| network.veth_peer(member.id));
        match onwards {
            Some(peer) => at = peer.id,
            None => break,
        }
    }
    (bridge, None)
}

/// `vxlan 97`, `flat physnet1`: what neutron's agent wrote at its port.
fn neutron_network(port: &Item<'_, OvsPort>) -> Option<String> {
    let told = |key: &str| {
        let found = port.data.other_config.iter().find(|(it, _)| it == key);
        found.map(|(_, fact)| fact.value.trim_matches('"').to_owned()).filter(|it| !it.is_empty())
    };
    let kind = told("network_type")?;
    let which = match kind.as_str() {
        "flat" => told("physical_network"),
        _ => told("segmentation_id").or_else(|| told("physical_network")),
    };
    Some(which.map_or(kind.clone(), |which| format!("{kind} {which}")))
}
