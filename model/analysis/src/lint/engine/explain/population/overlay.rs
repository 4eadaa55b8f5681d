//! `HOST is off the overlay`: most of its tunnels are at fault, and those of others are not.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;

use super::root_of;
use crate::lint::engine::ctx::Ctx;
use crate::lint::engine::explain::relation::is_population;
use crate::lint::engine::finding::Finding;
use crate::lint::engine::run::Report;
use crate::lint::rules::tun::{tun_bfd_down, tun_missing_reverse};
use tapline_network::defs;
use tapline_network::mesh::Mesh;

/// Two machines with a tunnel between them, or that should have one; the lower first.
type Pair = (HostId, HostId);

pub(super) fn add(report: &mut Report, ctx: &Ctx<'_>) {
    let mesh = ctx.mesh();
    let pair = |a: HostId, b: HostId| -> Option<Pair> {
        let (a, b) = (mesh.machine(a), mesh.machine(b));
        (a != b).then_some((a.min(b), a.max(b)))
    };
    let mut faulty: BTreeMap<Pair, Vec<usize>> = BTreeMap::new();
    for (at, it) in report.findings.iter().enumerate() {
        let ends: Vec<HostId> = if *it.rule == tun_missing_reverse::RULE {
            it.peers.clone()
        } else if *it.rule == tun_bfd_down::RULE {
            // Probes that get no answer; the far end may be captured or not.
            far_end(it, ctx, mesh).into_iter().collect()
        } else {
            continue;
        };
        for pair in ends.into_iter().filter_map(|end| pair(it.host, end)) {
            faulty.entry(pair).or_default().push(at);
        }
    }
    if faulty.is_empty() {
        return;
    }
    let mut all: BTreeSet<Pair> =
        mesh.ways(ctx).into_iter().filter_map(|(a, b)| pair(a, b)).collect();
    all.extend(faulty.keys());
    let mut roots: Vec<Finding> = Vec::new();
    for host in ctx.hosts().filter(|host| mesh.machine(*host) == *host) {
        let of_host = |pair: &&Pair| pair.0 == host || pair.1 == host;
        let (own, others): (Vec<&Pair>, Vec<&Pair>) = all.iter().partition(of_host);
        let bad = |pairs: &[&Pair]| pairs.iter().filter(|pair| faulty.contains_key(pair)).count();
        let (lost, elsewhere) = (bad(&own), bad(&others));
        // Where most tunnels of all hosts are at fault, no single host is.
        if !defs::most_of(lost, own.len()) || elsewhere * 2 > others.len() {
            continue;
        }
        let members: BTreeSet<usize> =
            own.iter().filter_map(|own| faulty.get(own)).flatten().copied().collect();
        let members: Vec<&Finding> =
            members.iter().filter_map(|member| report.findings.get(*member)).collect();
        if members.iter().any(|member| member.host == host && is_population(member)) {
            continue;
        }
        roots.extend(root(ctx, host, &members, (lost, own.len())));
    }
    report.findings.extend(roots);
}

/// The captured host at the far end of a tunnel.
fn far_end(finding: &Finding, ctx: &Ctx<'_>, mesh: &Mesh) -> Option<HostId> {
    let interface = ctx.ovs_interface(finding.node?)?;
    let remote = interface.data.option("remote_ip")?.value.parse().ok()?;
    mesh.other(ctx, remote, finding.host)
}

fn root(
    ctx: &Ctx<'_>,
    host: HostId,
    members: &[&Finding],
    (lost, all): (usize, usize),
) -> Option<Finding> {
    let name = ctx.host_name(host);
    let message = format!(
        "{name} is off the overlay: between it and {lost} of {all} other captured hosts the tunnel is at fault"
    );
    let mut root = root_of(members, ctx.host_subject(host), message, ctx)?;
    root.host = host;
    // What its tunnels are sent from, and those of others are sent to, is what they have in common.
    let own = ctx.tunnels_of(host).filter_map(|tunnel| tunnel.data.local.as_ref());
    let to_it = ctx.tunnels().filter_map(|tunnel| tunnel.data.remote.as_ref());
    let ends: BTreeSet<_> = own.chain(to_it).map(|own| own.value).collect();
    for end in ends {
        for id in ctx.topology.find_address(end) {
            let address = ctx
                .address(*id)
                .filter(|address| address.host == host && address.netns().is_root());
            root.nodes.extend(address.map(|address| address.data.netdev));
        }
    }
    root.nodes.sort_unstable();
    root.nodes.dedup();
    root.fingerprint = crate::lint::engine::run::fingerprint(&root, ctx);
    root.next = vec![
        "systemctl status neutron-openvswitch-agent openvswitch-switch".to_owned(),
        "ovs-vsctl list-ports br-tun".to_owned(),
        "ip route get PEER".to_owned(),
    ];
    Some(root)
}
