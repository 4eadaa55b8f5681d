//! Tunnels between captured hosts: which addresses a host tunnels from, and whom an address
//! belongs to.
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_core::records::Batch;
use tapline_core::records::ovs::{OvsRow, lookup};
use tapline_core::span::Evidence;
use tapline_topology::graph::{NetdevKind, NodeData, TunnelEndpoint};

use super::ctx::{Ctx, Item};

/// The tunnel addresses of all captured hosts.
#[derive(Debug, Default)]
pub(crate) struct Mesh {
    /// Addresses that a host sends its tunnels from, and the place that says so.
    pub(crate) locals: BTreeMap<IpAddr, BTreeMap<HostId, Evidence>>,
    /// Which captures show one machine: the first of them stands for all.
    machines: BTreeMap<HostId, HostId>,
}

impl Mesh {
    /// Gathers the addresses.
    pub(crate) fn new(ctx: &Ctx<'_>) -> Self {
        let mut mesh = Self { machines: machines(ctx), ..Self::default() };
        for tunnel in ctx.tunnels() {
            let Some(local) = tunnel.data.local.as_ref().filter(|_| is_of_host(ctx, tunnel)) else {
                continue;
            };
            if !local.value.is_unspecified() {
                mesh.add(local.value, tunnel.host, local.evidence);
            }
        }
        for (host, ip, evidence) in ovn_encap_ips(ctx) {
            mesh.add(ip, host, evidence);
        }
        mesh
    }

    fn add(&mut self, ip: IpAddr, host: HostId, evidence: Evidence) {
        self.locals.entry(ip).or_default().entry(host).or_insert(evidence);
    }

    /// The machine that a capture shows.
    pub(crate) fn machine(&self, host: HostId) -> HostId {
        self.machines.get(&host).copied().unwrap_or(host)
    }

    /// The hosts that tunnel from this address or have it in their root namespace.
    pub(crate) fn owners(&self, ctx: &Ctx<'_>, ip: IpAddr) -> BTreeSet<HostId> {
        let named = self.locals.get(&ip).into_iter().flat_map(|it| it.keys().copied());
        let held = ctx.topology.find_address(ip).iter().filter_map(|id| {
            let address = ctx.address(*id)?;
            address.netns().is_root().then_some(address.host)
        });
        named.chain(held).collect()
    }

    /// The one host that owns an address, where it is another machine than `asks`.
    pub(crate) fn other(&self, ctx: &Ctx<'_>, ip: IpAddr, asks: HostId) -> Option<HostId> {
        let mut others: Vec<HostId> = Vec::new();
        for owner in self.owners(ctx, ip) {
            if self.machine(owner) == self.machine(asks) {
                return None;
            }
            if !others.iter().any(|it| self.machine(*it) == self.machine(owner)) {
                others.push(owner);
            }
        }
        match others.as_slice() {
            [one] => Some(*one),
            _ => None,
        }
    }

    /// The hosts that tunnels of each host lead to, where one captured host is the far end.
    pub(crate) fn ways(&self, ctx: &Ctx<'_>) -> BTreeSet<(HostId, HostId)> {
        let mut all = BTreeSet::new();
        let mut known: HashMap<(HostId, IpAddr), Option<HostId>> = HashMap::new();
        for tunnel in ctx.tunnels().filter(|it| is_of_host(ctx, *it)) {
            let Some(remote) = tunnel.data.remote.as_ref().map(|it| it.value) else { continue };
            let far = known
                .entry((tunnel.host, remote))
                .or_insert_with(|| self.other(ctx, remote, tunnel.host));
            all.extend(far.map(|far| (tunnel.host, far)));
        }
        all
    }
}

/// Whether the tunnel belongs to the host itself, not to a namespace on it.
pub(crate) fn is_of_host(ctx: &Ctx<'_>, tunnel: Item<'_, TunnelEndpoint>) -> bool {
    ctx.netdev(tunnel.owner).is_none_or(|it| it.netns().is_root())
}

/// Whether addresses of this host mean nothing beside those of another: `sos clean` gave each
/// archive numbers of its own.
pub(crate) fn is_cleaned(ctx: &Ctx<'_>, host: HostId) -> bool {
    ctx.topology.snapshot.host(host).is_some_and(|it| it.cleaned)
}

/// What would decide where addresses were replaced. Within one report that is done alike for equal
/// texts, yet `10.0.0.8`, `10.0.0.8/32` and the network that holds it may get unlike numbers.
pub(crate) const NOT_CLEANED: &str = "sos report (without --clean)";

/// The addresses under which OVN tells others to reach a host.
pub(crate) fn ovn_encap_ips(ctx: &Ctx<'_>) -> Vec<(HostId, IpAddr, Evidence)> {
    let mut all = Vec::new();
    for (source, reading) in ctx.topology.snapshot.iter() {
        let Batch::Ovs(rows) = &reading.records else { continue };
        for row in rows {
            let OvsRow::OpenVswitch(database) = &row.row else { continue };
            let Some(value) = lookup(&database.external_ids, "ovn-encap-ip") else { continue };
            for ip in value.split(',').filter_map(|it| it.trim().parse().ok()) {
                all.push((source.host, ip, value.evidence(source.id)));
            }
        }
    }
    all
}

/// Captures of one machine, by what a person said, the system id of its OVS, its machine id, or two of its NICs.
fn machines(ctx: &Ctx<'_>) -> BTreeMap<HostId, HostId> {
    let mut firsts: HashMap<String, HostId> = HashMap::new();
    let mut all = BTreeMap::new();
    for host in ctx.hosts() {
        let mut marks: Vec<String> = Vec::new();
        let name = ctx.host_name(host);
        let groups = ctx.settings.env.same_host.iter().enumerate();
        marks.extend(
            groups
                .filter(|(_, group)| group.iter().any(|it| it == name))
                .map(|(at, _)| format!("said {at}")),
        );
        let node = ctx.topology.host_node(host).and_then(|it| ctx.topology.node(it));
        if let Some(NodeData::Host(it)) = node.map(|it| &it.data) {
            marks.extend(it.system_id.as_ref().map(|it| format!("ovs {}", it.value)));
        }
        let captured = ctx.topology.snapshot.host(host);
        marks.extend(captured.and_then(|it| it.machine_id.as_ref()).map(|it| format!("id {it}")));
        let mut macs: Vec<Mac> = ctx
            .netdevs_of(host)
            .filter(|it| it.kind == NetdevKind::Physical && it.netns() == &Netns::Root)
            .filter_map(|it| {
                let own = it.records.iter().find_map(|it| it.record.permanent_mac.as_ref());
                own.map(|it| it.value).or(it.mac.as_ref().map(|it| it.value))
            })
            .collect();
        macs.sort_unstable();
        macs.dedup();
        if let [first, second, ..] = macs.as_slice() {
            marks.push(format!("nics {first} {second}"));
        }
        let first = marks.iter().find_map(|it| firsts.get(it)).copied().unwrap_or(host);
        for mark in marks {
            firsts.entry(mark).or_insert(first);
        }
        all.insert(host, first);
    }
    all
}
