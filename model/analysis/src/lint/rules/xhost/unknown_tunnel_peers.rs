use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::graph::TunnelEndpoint;
use tapline_topology::{Thing, Topic};

use crate::lint::{Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::mesh::{self, Mesh};

declare_rule! {
    code: "XHOST-002",
    id: "unknown-tunnel-peers",
    summary: "tunnels lead to a host that was not captured, or a captured host has none",
    severity: Warning,
    confidence: Proven,
    page: "unknown_tunnel_peers.md",
    layer: (TunnelConflict, 20),
    rank: 990,
    about: [],
    cuts: [],
    asks: [L2pop, HostsInMesh],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mesh = ctx.mesh();
    let mut peers: BTreeMap<IpAddr, Vec<Item<'_, TunnelEndpoint>>> = BTreeMap::new();
    let mut machines: BTreeSet<HostId> = BTreeSet::new();
    let of_mesh = |tunnel: &Item<'_, TunnelEndpoint>| {
        ctx.ovs_interface(tunnel.owner).is_some()
            && is_in_mesh(ctx, tunnel.host)
            && !ctx.may_be_outdated(tunnel.host)
    };
    for tunnel in ctx.tunnels().filter(of_mesh) {
        machines.insert(mesh.machine(tunnel.host));
        if let Some(remote) = &tunnel.data.remote {
            peers.entry(remote.value).or_default().push(tunnel);
        }
    }
    // Addresses of cleaned reports mean nothing to one another.
    let cleaned = machines.iter().find(|machine| mesh::is_cleaned(ctx, **machine));
    if let Some(host) = cleaned.filter(|_| machines.len() > 1) {
        out.cannot_tell(*host, [mesh::NOT_CLEANED]);
        return;
    }
    outsiders(ctx, out, mesh);
    // That the peers of a single host were not captured goes without saying.
    if machines.len() < 2 {
        return;
    }
    let counts = |host: HostId| !ctx.may_be_outdated(host) && !is_told(ctx, mesh, host);
    let silent: Vec<HostId> = ctx.hosts().filter(|host| counts(*host)).collect();
    for (ip, tunnels) in peers {
        if !mesh.owners(ctx, ip).is_empty() {
            out.clean();
        } else if let Some(host) = silent.first() {
            // It may be the address of a captured host that nothing tells the addresses of.
            out.cannot_tell(*host, [Topic::Addresses.command(&Netns::Root)]);
        } else {
            report(ctx, out, mesh, ip, &tunnels);
        }
    }
}

/// Whether the host belongs to the mesh by what a person said; where nothing is said, all do.
fn is_in_mesh(ctx: &Ctx<'_>, host: HostId) -> bool {
    let named = &ctx.settings.env.hosts_in_mesh;
    named.is_empty() || named.iter().any(|named| named.matches(ctx.hostname(host)))
}

/// Hosts that belong to the mesh by what a person said, and that no tunnel leads to or from.
fn outsiders(ctx: &Ctx<'_>, out: &mut Verdicts, mesh: &Mesh) {
    let env = &ctx.settings.env;
    if env.hosts_in_mesh.is_empty() || env.l2pop == Some(true) {
        return;
    }
    let hosts: Vec<HostId> =
        ctx.hosts().filter(|host| is_in_mesh(ctx, *host) && !ctx.may_be_outdated(*host)).collect();
    let ways = mesh.ways(ctx);
    let joined: BTreeSet<HostId> =
        ways.iter().flat_map(|(from, to)| [mesh.machine(*from), mesh.machine(*to)]).collect();
    if joined.len() < 2 {
        return;
    }
    for host in hosts {
        if joined.contains(&mesh.machine(host)) {
            continue;
        }
        let missing = ctx.missing(host, &Netns::Root, &[Topic::Ovs, Topic::Addresses]);
        if !missing.is_empty() {
            out.cannot_tell(host, missing);
            continue;
        }
        let message = "belongs to the mesh, and none of the captured hosts has a tunnel to it nor it to them: its agent is down, or has another address";
        let subject = ctx.host_subject(host);
        let finding = out.fire(host, subject, message);
        let place = ctx.ovs_bridges_of(host).find_map(|bridge| bridge.place());
        if let Some(place) = place {
            finding.primary(place, "a bridge of this host");
        }
        if let Some(searched) = defs::searched(ctx, host, Topic::Ovs, "a tunnel to a captured host")
        {
            finding.rests_on_absence(searched);
        }
        finding.next("systemctl status neutron-openvswitch-agent");
        finding.next("openstack network agent list");
    }
}

/// Whether the addresses of a host are known.
fn is_told(ctx: &Ctx<'_>, mesh: &Mesh, host: HostId) -> bool {
    ctx.complete(host, &Netns::Root, Topic::Addresses)
        || mesh.locals.values().any(|local| local.contains_key(&host))
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
    let names = defs::list(hosts.values().map(|host| ctx.host_name(host.host)), 3);
    let count = tunnels.len();
    let message = format!(
        "{count} {} of {names} {} here, and no captured host has the address: whether they meet an end is not known",
        if count == 1 { "tunnel" } else { "tunnels" },
        if count == 1 { "leads" } else { "lead" },
    );
    let remote = ctx.topology.find_remote_host(ip);
    let subject = ctx.subject_or(remote, || Thing::RemoteHost { ip });
    let finding = out.fire(first.host, subject, message);
    finding.at_most(Severity::Info);
    for tunnel in hosts.values().take(5) {
        if let Some(remote) = &tunnel.data.remote {
            finding.primary(remote.evidence, format!("from {}", ctx.host_name(tunnel.host)));
        }
    }
    finding.note("capture that host too; or, where it is gone, delete its agent or chassis");
    finding.next("openstack network agent list");
    finding.next(format!("ping -c 1 {ip}"));
}
