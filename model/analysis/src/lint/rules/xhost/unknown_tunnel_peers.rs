use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_model::capture::HostId;
use tapline_model::ids::Netns;
use tapline_topology::Topic;
use tapline_topology::graph::TunnelEndpoint;

use crate::lint::ctx::Item;
use crate::lint::mesh::Mesh;
use crate::lint::{Ctx, Object, Verdicts, declare_rule, defs};

declare_rule! {
    code: "XHOST-002",
    id: "unknown-tunnel-peers",
    summary: "tunnels of several captured hosts lead to one that was not captured",
    severity: Info,
    confidence: Proven,
    page: "unknown_tunnel_peers.md",
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mesh = Mesh::new(ctx);
    let mut peers: BTreeMap<IpAddr, Vec<Item<'_, TunnelEndpoint>>> = BTreeMap::new();
    let mut machines: BTreeSet<HostId> = BTreeSet::new();
    for tunnel in ctx.tunnels().filter(|it| ctx.ovs_interface(it.owner).is_some()) {
        machines.insert(mesh.machine(tunnel.host));
        if let Some(remote) = &tunnel.data.remote {
            peers.entry(remote.value).or_default().push(tunnel);
        }
    }
    // That the peers of a single host were not captured goes without saying.
    if machines.len() < 2 {
        return;
    }
    let silent: Vec<HostId> = ctx.hosts().filter(|it| !is_told(ctx, &mesh, *it)).collect();
    for (ip, tunnels) in peers {
        if !mesh.owners(ctx, ip).is_empty() {
            out.clean();
        } else if let Some(host) = silent.first() {
            // It may be the address of a captured host that nothing tells the addresses of.
            out.cannot_tell(*host, [Topic::Addresses.command(&Netns::Root)]);
        } else {
            report(ctx, out, &mesh, ip, &tunnels);
        }
    }
}

/// Whether the addresses of a host are known.
fn is_told(ctx: &Ctx<'_>, mesh: &Mesh, host: HostId) -> bool {
    ctx.complete(host, &Netns::Root, Topic::Addresses)
        || mesh.locals.values().any(|it| it.contains_key(&host))
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    mesh: &Mesh,
    ip: IpAddr,
    tunnels: &[Item<'_, TunnelEndpoint>],
) {
    let Some(first) = tunnels.first() else { return };
    let mut hosts: BTreeMap<HostId, Item<'_, TunnelEndpoint>> = BTreeMap::new();
    for tunnel in tunnels {
        hosts.entry(mesh.machine(tunnel.host)).or_insert(*tunnel);
    }
    let names = defs::list(hosts.values().map(|it| ctx.host_name(it.host)), 3);
    let count = tunnels.len();
    let message = format!(
        "{count} {} of {names} {} here, and no captured host has the address: whether they meet an end is not known",
        if count == 1 { "tunnel" } else { "tunnels" },
        if count == 1 { "leads" } else { "lead" },
    );
    let object = Object { kind: "remote-host", name: ip.to_string() };
    let finding = out.fire(first.host, object, message);
    finding.node = ctx.topology.find_remote_host(ip);
    for tunnel in hosts.values().take(5) {
        if let Some(remote) = &tunnel.data.remote {
            finding.primary(remote.evidence, format!("from {}", ctx.host_name(tunnel.host)));
        }
    }
    finding.note("capture that host too; or, where it is gone, delete its agent or chassis");
    finding.next("openstack network agent list");
    finding.next(format!("ping -c 1 {ip}"));
}
