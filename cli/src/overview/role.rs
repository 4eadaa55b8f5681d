//! What a host is, by what was captured of it: each role has the line that proves it.
//!
//! A role is never denied: a compute node without a VM looks like any host. Where no role is proven,
//! the commands that would show one are named, unless all of them were captured.
use schemars::JsonSchema;
use serde::Serialize;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::records::ovs::{OvsRow, lookup};
use tapline_core::span::Evidence;
use tapline_network::Item;
use tapline_network::Network;
use tapline_network::workloads;
use tapline_topology::Topic;
use tapline_topology::graph::{Fact, Netdev};

use super::Cite;

/// What a host is.
#[derive(Clone, Default, Debug, JsonSchema, Serialize)]
pub(crate) struct Roles {
    /// What it is known to be.
    pub(crate) roles: Vec<Role>,
    /// Where nothing is known: the commands that could tell. Empty where all of them were captured
    /// and show none of the roles that tapline knows.
    pub(crate) roles_unknown: Vec<String>,
}

/// One role.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Role {
    /// `OpenStack compute node`, `OVN chassis`, `KVM host`, …
    pub(crate) name: &'static str,
    /// What shows it.
    pub(crate) because: String,
    /// Where.
    pub(crate) at: Option<Cite>,
}

/// What shows a role, in words, and where.
type Sign = (String, Option<Evidence>);

/// A role, and what looks for its sign.
type Looked = (&'static str, fn(&Seen<'_, '_>) -> Option<Sign>);

/// All roles, in the order in which they are named.
const ROLES: &[Looked] = &[
    ("OpenStack compute node", nova),
    ("OpenStack network node", neutron),
    ("DVR router", distributed_router),
    ("OVN chassis", ovn_chassis),
    ("Proxmox VE node", proxmox),
    ("Kubernetes node", kubernetes),
    ("KVM host", kvm),
    ("Xen host", xen),
    ("LXD host", lxd),
    ("docker host", docker),
    ("virtual machine", virtual_machine),
    ("machine with virtio NICs", virtio),
];

/// Commands whose output shows a role.
const SIGNS: &[Topic] =
    &[Topic::Links, Topic::NetnsList, Topic::Ovs, Topic::Domains, Topic::Netfilter];

/// The roles of a host.
pub(super) fn roles(network: &Network<'_>, host: HostId) -> Roles {
    let seen = Seen { network, host };
    let found = ROLES.iter().filter_map(|(name, look)| {
        let (because, at) = look(&seen)?;
        let at = at.and_then(|at| Cite::of(network.topology.snapshot, at));
        Some(Role { name, because, at })
    });
    let roles: Vec<Role> = found.collect();
    let open =
        if roles.is_empty() { network.missing(host, &Netns::Root, SIGNS) } else { Vec::new() };
    let mut roles_unknown: Vec<String> = open.iter().map(ToString::to_string).collect();
    roles_unknown.dedup();
    Roles { roles, roles_unknown }
}

/// One host, to look for signs.
struct Seen<'n, 'a> {
    network: &'n Network<'a>,
    host: HostId,
}

impl<'a> Seen<'_, 'a> {
    fn device(&self, is_sign: impl Fn(&Item<'a, Netdev<'a>>) -> bool) -> Option<Sign> {
        let device = self.network.netdevs_of(self.host).find(|device| is_sign(device))?;
        Some((format!("device {}", device.name()), device.place()))
    }

    fn root_device(&self, names: &[&str]) -> Option<Sign> {
        self.device(|device| device.netns().is_root() && names.contains(&device.name()))
    }

    fn namespace(&self, prefixes: &[&str]) -> Option<Sign> {
        let netns = self
            .network
            .namespaces_of(self.host)
            .find(|netns| prefixes.iter().any(|prefix| netns.name().starts_with(prefix)))?;
        Some((format!("namespace {}", netns.name()), netns.place()))
    }

    /// A chain of a packet filter.
    fn chain(&self, names: &[&str]) -> Option<Sign> {
        let of_host = self
            .network
            .netfilter_texts()
            .filter(|(source, _)| source.host == self.host && source.netns.is_root());
        of_host.into_iter().find_map(|(source, tables)| {
            let chains = tables.iter().flat_map(|table| &table.chains);
            let chain = chains.into_iter().find(|chain| names.contains(&chain.name.as_str()))?;
            let at = Evidence { source: source.id, span: chain.at };
            Some((format!("chain {}", chain.name), Some(at)))
        })
    }
}

fn nova(seen: &Seen<'_, '_>) -> Option<Sign> {
    let of_host = || seen.network.vms().filter(|vm| vm.host == seen.host);
    let named = of_host().find_map(|vm| Some((vm, vm.data.nova_name.as_ref()?)));
    if let Some((vm, name)) = named {
        return Some((format!("nova metadata of {}", vm.name()), Some(name.evidence)));
    }
    let by_nova = of_host().find(|vm| is_nova_name(vm.name()));
    if let Some(vm) = by_nova {
        return Some((format!("{} is named by nova", vm.name()), vm.place()));
    }
    let told = |key: &str, interface: &tapline_topology::graph::OvsInterface| -> Option<Fact<_>> {
        interface.external_ids.iter().find(|(it, _)| it == key).map(|(_, fact)| fact.clone())
    };
    let plugged = seen
        .network
        .ovs_interfaces_of(seen.host)
        .find_map(|interface| Some((interface, told("vm-uuid", interface.data)?)));
    let (interface, fact) = plugged?;
    Some((format!("port {} of a VM", interface.name()), Some(fact.evidence)))
}

/// Nova's `instance_name_template`.
fn is_nova_name(name: &str) -> bool {
    name.strip_prefix("instance-")
        .is_some_and(|id| id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn neutron(seen: &Seen<'_, '_>) -> Option<Sign> {
    let gateway = || {
        seen.device(|device| {
            device.name().starts_with("qg-")
                && device.netns().name().is_some_and(|netns| netns.starts_with("qrouter-"))
        })
    };
    seen.namespace(&["qdhcp-", "snat-"]).or_else(gateway)
}

fn distributed_router(seen: &Seen<'_, '_>) -> Option<Sign> {
    seen.namespace(&["fip-"])
}

fn ovn_chassis(seen: &Seen<'_, '_>) -> Option<Sign> {
    let texts = seen.network.ovs_texts().filter(|(source, _)| source.host == seen.host);
    let told = texts.into_iter().find_map(|(source, records)| {
        records.iter().find_map(|record| {
            let OvsRow::OpenVswitch(row) = &record.row else { return None };
            let keys = ["ovn-remote", "ovn-encap-ip"];
            let (key, value) =
                keys.iter().find_map(|key| Some((key, lookup(&row.external_ids, key)?)))?;
            Some((format!("{key} of Open vSwitch"), Some(value.evidence(source.id))))
        })
    });
    told.or_else(|| seen.namespace(&["ovnmeta-"]))
}

fn proxmox(seen: &Seen<'_, '_>) -> Option<Sign> {
    let kernel = seen.network.topology.nodes().find_map(|(_, node)| match &node.data {
        tapline_topology::NodeData::Host(host) if node.host == Some(seen.host) => {
            host.kernel.as_ref()
        }
        _ => None,
    });
    let of_kernel = kernel.filter(|kernel| kernel.value.ends_with("-pve"));
    let of_kernel =
        of_kernel.map(|kernel| (format!("kernel {}", kernel.value), Some(kernel.evidence)));
    // Names alone are those of Proxmox VE where a bridge that it makes is there too.
    let bridge = || seen.device(|device| is_numbered(device.name(), "vmbr"));
    of_kernel.or_else(|| {
        bridge()?;
        seen.device(|device| workloads::is_of_proxmox(device.name()))
    })
}

fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

fn kubernetes(seen: &Seen<'_, '_>) -> Option<Sign> {
    let devices = ["kube-ipvs0", "cilium_host", "ovn-k8s-mp0", "nodelocaldns", "vxlan.calico"];
    seen.chain(&["KUBE-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS"])
        .or_else(|| seen.root_device(&devices))
}

fn kvm(seen: &Seen<'_, '_>) -> Option<Sign> {
    let texts = seen.network.domain_texts().filter(|(source, _)| source.host == seen.host);
    texts.into_iter().find_map(|(source, domains)| {
        let is_kvm =
            |it: &&tapline_core::records::libvirt::Domain| it.hypervisor.as_deref() == Some("kvm");
        let domain = domains.iter().find(is_kvm)?;
        let name = domain.name.as_ref().map_or("", |name| name.value.as_str());
        let at = Evidence { source: source.id, span: domain.at };
        Some((format!("domain {name} of type kvm"), Some(at)))
    })
}

fn xen(seen: &Seen<'_, '_>) -> Option<Sign> {
    seen.device(|device| workloads::is_of_xen(device.name()))
}

fn lxd(seen: &Seen<'_, '_>) -> Option<Sign> {
    seen.root_device(&["lxdbr0", "incusbr0"])
}

fn docker(seen: &Seen<'_, '_>) -> Option<Sign> {
    seen.root_device(&["docker0"]).or_else(|| seen.chain(&["DOCKER", "DOCKER-USER"]))
}

/// A NIC that only a hypervisor makes.
fn virtual_machine(seen: &Seen<'_, '_>) -> Option<Sign> {
    driver(seen, &["vmxnet3", "hv_netvsc", "xen_netfront"])
}

/// Mostly a virtual machine; some clouds and adapters show such NICs to bare metal too.
fn virtio(seen: &Seen<'_, '_>) -> Option<Sign> {
    driver(seen, &["virtio_net"])
}

fn driver(seen: &Seen<'_, '_>, drivers: &[&str]) -> Option<Sign> {
    for (source, reading) in seen.network.texts_of("nic-driver") {
        let Batch::NicDriver(records) = &reading.records else { continue };
        if source.host != seen.host || !source.netns.is_root() {
            continue;
        }
        let found = records.iter().find(|it| drivers.contains(&it.driver.value.as_str()));
        if let Some(found) = found {
            let at = found.driver.evidence(source.id);
            return Some((format!("NIC with driver {}", found.driver.value), Some(at)));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_nova_have_eight_digits() {
        assert!(is_nova_name("instance-0000002d"));
        assert!(!is_nova_name("instance-1") && !is_nova_name("instance-database"));
        assert!(is_numbered("vmbr0", "vmbr") && !is_numbered("vmbr", "vmbr"));
    }
}
