//! Tunnels between captured hosts: which addresses a host tunnels from, and whom an address
//! belongs to.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use tapline_core::need::Need;

use tapline_core::capture::HostId;
use tapline_core::records::ovs::{OvsRow, lookup};
use tapline_core::span::Evidence;
use tapline_topology::graph::TunnelEndpoint;

use crate::{Item, Network};

/// The tunnel addresses of all captured hosts, each as it was captured last.
#[derive(Debug, Default)]
pub struct Mesh {
    /// Addresses that a host sends its tunnels from, and the place that says so.
    pub locals: BTreeMap<IpAddr, BTreeMap<HostId, Evidence>>,
    /// The capture that stands for the machine of each host.
    machines: BTreeMap<HostId, HostId>,
}

impl Mesh {
    /// Gathers the addresses.
    pub(crate) fn new(network: &Network<'_>) -> Self {
        let machines = network.hosts().map(|host| (host, network.standing_for(host))).collect();
        let mut mesh = Self { machines, ..Self::default() };
        for tunnel in network.tunnels().filter(|tunnel| !network.may_be_outdated(tunnel.host)) {
            let Some(local) = tunnel.data.local.as_ref().filter(|_| is_of_host(network, tunnel))
            else {
                continue;
            };
            if !local.value.is_unspecified() {
                mesh.add(local.value, tunnel.host, local.evidence);
            }
        }
        for (host, ip, evidence) in ovn_encap_ips(network) {
            if !network.may_be_outdated(host) {
                mesh.add(ip, host, evidence);
            }
        }
        mesh
    }

    fn add(&mut self, ip: IpAddr, host: HostId, evidence: Evidence) {
        self.locals.entry(ip).or_default().entry(host).or_insert(evidence);
    }

    /// The capture that stands for the machine of a host: the newest.
    pub fn machine(&self, host: HostId) -> HostId {
        self.machines.get(&host).copied().unwrap_or(host)
    }

    /// The hosts that tunnel from this address or have it in their root namespace.
    pub fn owners(&self, network: &Network<'_>, ip: IpAddr) -> BTreeSet<HostId> {
        let named = self.locals.get(&ip).into_iter().flat_map(|it| it.keys().copied());
        let held = network.topology.find_address(ip).iter().filter_map(|id| {
            let address = network.address(*id)?;
            let counts = address.netns().is_root() && !network.may_be_outdated(address.host);
            counts.then_some(address.host)
        });
        named.chain(held).collect()
    }

    /// The one host that owns an address, where it is another machine than `asks`. What an outdated
    /// capture asks has no answer: the others may have changed since.
    pub fn other(&self, network: &Network<'_>, ip: IpAddr, asks: HostId) -> Option<HostId> {
        if network.may_be_outdated(asks) {
            return None;
        }
        let mut others: Vec<HostId> = Vec::new();
        for owner in self.owners(network, ip) {
            if self.machine(owner) == self.machine(asks) {
                return None;
            }
            if !others.iter().any(|other| self.machine(*other) == self.machine(owner)) {
                others.push(owner);
            }
        }
        match others.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// The hosts that tunnels of each host lead to, where one captured host is the far end.
    pub fn ways(&self, network: &Network<'_>) -> BTreeSet<(HostId, HostId)> {
        let mut all = BTreeSet::new();
        let mut known: HashMap<(HostId, IpAddr), Option<HostId>> = HashMap::new();
        for tunnel in network.tunnels().filter(|tunnel| is_of_host(network, *tunnel)) {
            let Some(remote) = tunnel.data.remote.as_ref().map(|remote| remote.value) else {
                continue;
            };
            let far = known
                .entry((tunnel.host, remote))
                .or_insert_with(|| self.other(network, remote, tunnel.host));
            all.extend(far.map(|far| (tunnel.host, far)));
        }
        all
    }
}

/// Whether the tunnel belongs to the host itself, not to a namespace on it.
pub fn is_of_host(network: &Network<'_>, tunnel: Item<'_, TunnelEndpoint>) -> bool {
    network.netdev(tunnel.owner).is_none_or(|device| device.netns().is_root())
}

/// Whether addresses of this host mean nothing beside those of another: `sos clean` gave each
/// archive numbers of its own.
pub fn is_cleaned(network: &Network<'_>, host: HostId) -> bool {
    network.topology.snapshot.host(host).is_some_and(|host| host.cleaned)
}

/// What would decide where addresses were replaced. Within one report that is done alike for equal
/// texts, yet `10.0.0.8`, `10.0.0.8/32` and the network that holds it may get unlike numbers.
pub const NOT_CLEANED: Need = Need::Other("sos report (without --clean)");

/// The addresses under which OVN tells others to reach a host.
pub fn ovn_encap_ips(network: &Network<'_>) -> Vec<(HostId, IpAddr, Evidence)> {
    let mut all = Vec::new();
    for (source, rows) in network.ovs_texts() {
        for row in rows {
            let OvsRow::OpenVswitch(database) = &row.row else { continue };
            let Some(value) = lookup(&database.external_ids, "ovn-encap-ip") else { continue };
            for ip in value.split(',').filter_map(|part| part.trim().parse().ok()) {
                all.push((source.host, ip, value.evidence(source.id)));
            }
        }
    }
    all
}
