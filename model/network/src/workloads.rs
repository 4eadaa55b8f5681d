//! What devices and namespaces serve, in the words of the platform that made them: a VM or container
//! of Proxmox VE, a domain of Xen, a container, a pod.
//!
//! A device is joined with a guest where a text says both, or where its name is made of what only
//! that guest has:
//!
//! - OVN-Kubernetes writes the id of the sandbox and `NAMESPACE_POD` to the interface of Open vSwitch
//!   (`external_ids` `sandbox` and `iface-id`, `go-controller/pkg/cni/helper_linux.go`), and names the
//!   device by the first 15 digits of that id;
//! - Calico and the CNI of AWS name it by the first 11 digits of the SHA-1 of `NAMESPACE.POD`
//!   (`VethNameForWorkload` in libcalico-go);
//! - the other end of a pair is in a namespace that was entered as that of a container;
//! - Proxmox VE (`PVE/Network.pm`: `tapIDiN`, `vethIDiN`, `fwbrIDiN`, `fwprIDpN`, `fwlnIDiN`) and Xen
//!   (`tools/hotplug/Linux/vif-common.sh`: `vifID.N`, `tapID.N`, `vifID.N-emu`) name it by the number.
mod listed;
mod platforms;

use std::collections::BTreeMap;
use std::fmt;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Confidence, Netdev, OvsInterface};
use tapline_topology::{EdgeKind, NodeId};

use crate::{Item, Network};
use listed::Listed;
pub use platforms::{is_of_proxmox, is_of_xen};

/// Who it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Who {
    /// A NIC of a numbered guest of a platform.
    Numbered {
        /// `VM`, `CT`, `domain`; `guest` where the name of the device does not tell.
        sort: &'static str,
        /// Its number.
        id: u32,
        /// What it is called, where a list says so.
        name: Option<String>,
        /// Which of its NICs.
        nic: u32,
        /// `Proxmox VE`, `Xen`.
        platform: &'static str,
    },
    /// A pod.
    Pod {
        /// `NAMESPACE/NAME`, else its id.
        name: String,
    },
    /// A container that is no part of a pod.
    Container {
        /// Its name, else its id.
        name: String,
        /// Its id, where its name is known too.
        id: Option<String>,
    },
}

/// What a device or namespace serves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Workload {
    /// Who it is.
    pub who: Who,
    /// The lines that say so, besides that of the device.
    pub lines: Vec<Evidence>,
    /// As sure as the pair is by which the device leads into the namespace of a container; else proven.
    pub confidence: Confidence,
}

impl Workload {
    fn proven(who: Who, lines: Vec<Evidence>) -> Self {
        Self { who, lines, confidence: Confidence::Proven }
    }

    /// Whether it is proven.
    pub fn is_proven(&self) -> bool {
        self.confidence == Confidence::Proven
    }

    /// Whether a text calls it by the name that people gave it.
    pub fn is_named(&self) -> bool {
        match &self.who {
            Who::Numbered { name, .. } => name.is_some(),
            Who::Pod { name } => name.contains('/'),
            Who::Container { .. } => true,
        }
    }

    /// Whether `text` means it: a name, `NAMESPACE/NAME`, or the beginning of an id.
    pub fn is_called(&self, text: &str) -> bool {
        const SHORTEST_ID: usize = 8;
        let starts = |id: &str| text.len() >= SHORTEST_ID && id.starts_with(text);
        match &self.who {
            Who::Numbered { id, name, .. } => {
                name.as_deref() == Some(text) || text.parse() == Ok(*id)
            }
            Who::Pod { name } => {
                name == text || name.rsplit('/').next() == Some(text) || starts(name)
            }
            Who::Container { name, id } => {
                name == text || starts(name) || id.as_deref().is_some_and(starts)
            }
        }
    }
}

/// `NIC 0 of VM 713 web (Proxmox VE)`, `pod shop/web-0`, `container web (3f2a1b4c5d6e)`.
impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.who {
            Who::Numbered { sort, id, name, nic, platform } => {
                write!(f, "NIC {nic} of {sort} {id}")?;
                if let Some(name) = name {
                    write!(f, " {name}")?;
                }
                write!(f, " ({platform})")
            }
            Who::Pod { name } => write!(f, "pod {name}"),
            Who::Container { name, id: None } => write!(f, "container {name}"),
            Who::Container { name, id: Some(id) } => write!(f, "container {name} ({id})"),
        }
    }
}

/// The workloads of all hosts, by the device, interface or namespace that serves them.
#[derive(Debug, Default)]
pub struct Workloads(BTreeMap<NodeId, Workload>);

impl Workloads {
    /// Joins what devices and interfaces say with the lists of the tools that manage guests.
    pub(crate) fn new(network: &Network<'_>) -> Self {
        let listed = Listed::by_host(network);
        let none = Listed::default();
        let listed = |host: HostId| listed.get(&host).unwrap_or(&none);
        let devices = network.netdevs().filter_map(|device| {
            Some((device.id, of_device(network, listed(device.host), device)?))
        });
        let namespaces = network
            .namespaces()
            .filter_map(|netns| Some((netns.id, of_netns(listed(netns.host), netns.netns())?)));
        let interfaces = network.ovs_interfaces().filter_map(|interface| {
            Some((interface.id, of_interface(listed(interface.host), interface.data)?))
        });
        Self(devices.chain(namespaces).chain(interfaces).collect())
    }

    /// What a device, an interface of Open vSwitch or a namespace serves, as far as it is proven.
    pub fn of(&self, node: NodeId) -> Option<&Workload> {
        self.0.get(&node)
    }

    /// All, in the order of the topology.
    pub fn iter(&self) -> impl Iterator<Item = (NodeId, &Workload)> {
        self.0.iter().map(|(node, workload)| (*node, workload))
    }
}

fn of_device(
    network: &Network<'_>,
    listed: &Listed<'_>,
    device: Item<'_, Netdev<'_>>,
) -> Option<Workload> {
    let interface = network.interface_of(device.id);
    if let Some(workload) = interface.and_then(|it| of_interface(listed, it.data)) {
        return Some(workload);
    }
    if !device.netns().is_root() {
        return None;
    }
    let peer = network.topology.peer(device.id, EdgeKind::VethPeer);
    if let Some((peer, edge)) = peer
        && let Some(netns) = network.netdev(peer).map(|peer| peer.netns())
        && let Some(mut workload) = of_netns(listed, netns)
    {
        workload.confidence = edge.confidence;
        workload.lines.extend(edge.witnesses.iter().map(|witness| witness.evidence));
        return Some(workload);
    }
    let name = device.name();
    platforms::numbered(name, listed)
        .or_else(|| listed.hashed(name).map(|pod| pod.workload()))
        .or_else(|| listed.sandboxed(name).map(|pod| pod.workload()))
}

/// By what OVN-Kubernetes writes to the interface of a pod.
fn of_interface(listed: &Listed<'_>, interface: &OvsInterface) -> Option<Workload> {
    let value = |key: &str| {
        let found = interface.external_ids.iter().find(|(own, _)| own == key);
        found.map(|(_, fact)| (fact.value.trim_matches('"'), fact.evidence))
    };
    let (sandbox, at) = value("sandbox").filter(|(id, _)| is_id(id))?;
    let row = listed.pod(sandbox);
    let called = value("iface-id").and_then(|(id, at)| Some((pod_of(id)?, at)));
    // Both say the same, or one of them is of another moment: what stands at the interface counts.
    let name = match (&called, row) {
        (Some((name, _)), _) => name.clone(),
        (None, Some(row)) => row.full_name(),
        (None, None) => sandbox.chars().take(listed::SHOWN).collect(),
    };
    let mut lines = vec![at];
    lines.extend(called.as_ref().map(|(_, at)| *at));
    lines.extend(row.map(|row| row.line));
    lines.dedup();
    Some(Workload::proven(Who::Pod { name }, lines))
}

/// `shop/web-0` of `shop_web-0`, and of the same behind the name of a network: neither a namespace nor
/// a pod has a `_` in its name.
fn pod_of(iface_id: &str) -> Option<String> {
    let mut parts = iface_id.rsplit('_');
    let (pod, space) = (parts.next()?, parts.next()?);
    let is_name = |text: &str| {
        let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        !text.is_empty() && text.bytes().all(fits)
    };
    (is_name(pod) && is_name(space)).then(|| format!("{space}/{pod}"))
}

/// By the words with which a namespace was entered: `docker:web`.
fn of_netns(listed: &Listed<'_>, netns: &Netns) -> Option<Workload> {
    let (tool, container) = netns.name()?.split_once(':')?;
    let row = listed.container(container);
    let unlisted =
        || Workload::proven(Who::Container { name: container.to_owned(), id: None }, Vec::new());
    match tool {
        "docker" | "podman" | "nerdctl" | "crictl" => Some(match row {
            Some(row) => listed.workload_of(&row),
            None => unlisted(),
        }),
        "lxc" | "incus" => Some(unlisted()),
        "pct" => Some(platforms::container(container.parse().ok()?, listed)),
        _ => None,
    }
}

/// Whether it looks like the id of a container or sandbox.
fn is_id(text: &str) -> bool {
    text.len() >= listed::SHOWN && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_name_their_pod() {
        for (iface_id, pod) in [
            ("shop_web-0", Some("shop/web-0")),
            ("openshift-dns_dns-default-x7k2p", Some("openshift-dns/dns-default-x7k2p")),
            ("blue.net_shop_web-0", Some("shop/web-0")),
            ("85bcbfb0-bc1f-4e0c-9f3a-000000000000", None),
            ("_web-0", None),
            ("Shop_web", None),
        ] {
            assert_eq!(pod_of(iface_id).as_deref(), pod, "{iface_id}");
        }
    }

    #[test]
    fn workloads_answer_to_names_and_beginnings_of_ids() {
        let numbered = Who::Numbered {
            sort: "VM",
            id: 713,
            name: Some("web".to_owned()),
            nic: 0,
            platform: "Proxmox VE",
        };
        let nameless = Who::Numbered { sort: "domain", id: 5, name: None, nic: 0, platform: "Xen" };
        let pod = Who::Pod { name: "shop/web-0".to_owned() };
        let sandbox = Who::Pod { name: "3f2a1b4c5d6e".to_owned() };
        let container =
            Who::Container { name: "web".to_owned(), id: Some("aaaabbbbcccc".to_owned()) };
        let bare = Who::Container { name: "aaaabbbbcccc".to_owned(), id: None };
        for (who, text, told) in [
            (&numbered, "web", true),
            (&numbered, "713", true),
            (&numbered, "71", false),
            (&numbered, "store", false),
            (&nameless, "5", true),
            (&nameless, "", false),
            (&pod, "shop/web-0", true),
            (&pod, "web-0", true),
            (&pod, "shop", false),
            (&pod, "shop/web", true),
            (&pod, "shop/we", false),
            (&sandbox, "3f2a1b4c", true),
            (&sandbox, "3f2a1b4", false),
            (&sandbox, "3f2a1b4d", false),
            (&container, "web", true),
            (&container, "we", false),
            (&container, "aaaabbbb", true),
            (&container, "aaaabbb", false),
            (&container, "aaaabbbd", false),
            (&bare, "aaaabbbb", true),
            (&bare, "aaaabbbd", false),
        ] {
            let workload = Workload::proven(who.clone(), Vec::new());
            assert_eq!(workload.is_called(text), told, "{workload}: {text}");
        }
    }
}
