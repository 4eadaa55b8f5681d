//! What acts at devices of which no text of `tc` or BPF tells: what other texts hint at.
//!
//! Most devices have no filters, so where nothing hints at any that is taken for granted, once for each
//! host. Who sets up filters leaves traces elsewhere: rates in the XML of a VM and in the database of
//! Open vSwitch, which lets hooks be explained; devices of Cilium and Calico, whose programs decide
//! where every packet goes; and the kind of the queue, which `ip link` prints.
use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::ovs::{OvsRow, lookup};
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, NodeId, Topic};

use super::{Hook, Queues};
use crate::{Item, Network, uplink};

/// What is known of a hook of which no text tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Untold {
    /// Nothing hints at anything that acts there.
    Nothing,
    /// The queue drops everything (`sch_blackhole`).
    Blackhole(Evidence),
    /// The queue may lose packets: `netem` does what its options say.
    Loses(Evidence),
    /// The software that made the device hangs programs of BPF there.
    Program(Evidence),
}

/// Who sets up hooks and programs, as other texts show.
#[derive(Debug, Default)]
pub(super) struct Hints {
    /// The device by which a host shows that programs of BPF lead the packets of its pods.
    platforms: BTreeMap<HostId, Evidence>,
    /// Hosts whose Open vSwitch hands flows to `tc`.
    offloading: BTreeMap<HostId, Evidence>,
    /// Devices whose ingress is policed.
    policed: BTreeMap<NodeId, &'static str>,
}

/// Devices that Cilium, and Calico with its eBPF dataplane, make in the namespace of the host.
const OF_PLATFORMS: &[&str] = &["cilium_host", "cilium_net", "bpfin.cali", "bpfout.cali"];

impl Hints {
    pub(super) fn new(network: &Network<'_>) -> Self {
        let mut hints = Self::default();
        for host in network.hosts() {
            let mut devices = OF_PLATFORMS
                .iter()
                .filter_map(|name| network.netdev_called(host, &Netns::Root, name));
            if let Some(evidence) = devices.find_map(|device| device.place()) {
                hints.platforms.insert(host, evidence);
            }
        }
        for (source, rows) in network.ovs_texts() {
            for row in rows {
                match &row.row {
                    OvsRow::OpenVswitch(database) => {
                        let set = lookup(&database.other_config, "hw-offload");
                        if let Some(set) = set.filter(|set| set.value == "true") {
                            hints.offloading.insert(source.host, set.evidence(source.id));
                        }
                    }
                    OvsRow::Interface(interface) => {
                        let mut columns = row.columns.iter();
                        let polices = columns.any(|column| {
                            column.name.starts_with("ingress_policing_")
                                && column.name.ends_with("rate")
                                && column.value.value != "0"
                        });
                        let name = &interface.name.value;
                        let found = network.topology.find_netdev(source.host, &Netns::Root, name);
                        if let Some(node) = found.filter(|_| polices) {
                            let text = "it keeps within the rate by which Open vSwitch polices it";
                            hints.policed.insert(node, text);
                        }
                    }
                    _ => {}
                }
            }
        }
        for nic in network.vm_nics() {
            let Some(xml) = nic.data.xml else { continue };
            let mut fields = xml.record.other.iter();
            let sets = fields.any(|field| field.key.starts_with("bandwidth/outbound"));
            for (tap, _) in network.topology.out(nic.id, EdgeKind::AttachesVm) {
                if sets {
                    let text = "it keeps within the rate that libvirt sets for the guest";
                    hints.policed.insert(tap, text);
                }
            }
        }
        hints
    }
}

impl<'a> Queues<'a> {
    /// What is known of a hook of a device of which no text tells; `None` where one does.
    pub(crate) fn untold(
        &self,
        network: &Network<'a>,
        device: Item<'a, Netdev<'a>>,
        hook: Hook,
    ) -> Option<Untold> {
        let at = self.at(device.id);
        let platform = self.untold.platforms.get(&device.host);
        if let Some(evidence) = platform.filter(|_| hook != Hook::Queue && is_led(&device)) {
            let told = network.complete(device.host, device.netns(), Topic::BpfPrograms)
                || at.is_some_and(|at| at.hook(hook).is_some());
            return (!told).then_some(Untold::Program(*evidence));
        }
        let told = network.complete(device.host, device.netns(), Topic::Qdiscs)
            || self.told.contains(&(device.id, hook));
        if told {
            return None;
        }
        Some(match shown_queue(device).filter(|_| hook == Hook::Queue) {
            Some(("blackhole", evidence)) => Untold::Blackhole(evidence),
            Some(("netem", evidence)) => Untold::Loses(evidence),
            _ => Untold::Nothing,
        })
    }

    /// Why a device may have a hook for filters though these were not captured: in words, what is
    /// taken for granted of them. `kind` is that of the hook.
    pub(crate) fn explain_hook(
        &self,
        network: &Network<'a>,
        device: NodeId,
        hook: Hook,
    ) -> Option<&'static str> {
        if hook != Hook::Ingress {
            return None;
        }
        let of_switch = network.interface_of(device);
        if of_switch.is_some_and(|port| self.untold.offloading.contains_key(&port.host)) {
            return Some("filters at ports are flows that Open vSwitch hands to tc (hw-offload)");
        }
        // Both make an `ingress`, never a `clsact` (lib/netdev-linux.c, libvirt `virnetdevbandwidth.c`).
        let kind = self.at(device)?.hook_kind(hook)?;
        self.untold.policed.get(&device).copied().filter(|_| kind == "ingress")
    }
}

/// What is taken for granted where nothing hints at filters, said once for each host.
pub(crate) fn assumption(network: &Network<'_>, host: HostId) -> String {
    let name = network.host_name(host);
    // Reports gather the queues of the root namespace only.
    let (of, there) = if network.complete(host, &Netns::Root, Topic::Qdiscs) {
        ("in namespaces", " there")
    } else {
        ("at devices", "")
    };
    format!(
        "no tc filter, police or BPF program acts on it {of} of {name}: tc qdisc show was not captured{there}"
    )
}

/// Whether programs of a platform for pods lead what passes a device: the ends of its pods, its own
/// devices, tunnels, and uplinks, by which addresses of services come in.
fn is_led(device: &Item<'_, Netdev<'_>>) -> bool {
    let name = device.name();
    device.netns().is_root()
        && (["lxc", "cilium_", "cali"].iter().any(|prefix| name.starts_with(prefix))
            || name.strip_suffix(".cali").is_some()
            || device.kind == NetdevKind::Tunnel
            || uplink::is_uplink(device))
}

/// The kind of a device's queue by `ip link`.
fn shown_queue<'a>(device: Item<'a, Netdev<'a>>) -> Option<(&'a str, Evidence)> {
    device.data.records.iter().find_map(|seen| {
        let kind = seen.record.qdisc.as_ref()?;
        Some((kind.as_str(), Evidence { source: seen.source, span: seen.record.name.span }))
    })
}
