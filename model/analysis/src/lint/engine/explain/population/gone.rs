//! `X is gone or renumbered`: the tunnels of several hosts to one that was not captured are at
//! fault, or several hosts have none to it.
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_topology::{Thing, Topic};

use super::root_of;
use crate::lint::engine::ctx::Ctx;
use crate::lint::engine::explain::relation::is_population;
use crate::lint::engine::finding::{Confidence, Finding, Severity, Shape};
use crate::lint::engine::run::Report;
use crate::lint::engine::verdicts::CannotTell;
use crate::lint::rules::tun::tun_bfd_down;
use crate::lint::rules::xhost::unknown_tunnel_peers;
use tapline_network::mesh::{self, Mesh};

/// Whether neutron's agents tell each other where ports are.
const AGENT_SETTING: &str = "grep l2_population /etc/neutron/plugins/ml2/openvswitch_agent.ini";

/// Hosts that say the same of one that was not captured.
const LEAST: usize = 3;

pub(super) fn add(report: &mut Report, ctx: &Ctx<'_>) {
    let mesh = ctx.mesh();
    add_unanswered(report, ctx, mesh);
    mark_missed(report, ctx, mesh);
}

/// Probes of several hosts find the tunnel to it down.
fn add_unanswered(report: &mut Report, ctx: &Ctx<'_>, mesh: &Mesh) {
    let mut down: BTreeMap<IpAddr, BTreeMap<HostId, &Finding>> = BTreeMap::new();
    let probes = report
        .findings
        .iter()
        .filter(|finding| *finding.rule == tun_bfd_down::RULE && !is_population(finding));
    for it in probes {
        let interface = it.node.and_then(|node| ctx.ovs_interface(node));
        let remote =
            interface.and_then(|interface| interface.data.option("remote_ip")?.value.parse().ok());
        if let Some(remote) = remote.filter(|remote| mesh.owners(ctx, *remote).is_empty()) {
            down.entry(remote).or_default().entry(mesh.machine(it.host)).or_insert(it);
        }
    }
    let mut roots = Vec::new();
    for (ip, members) in down {
        let members: Vec<&Finding> = members.into_values().collect();
        if members.len() < LEAST {
            continue;
        }
        let message = format!(
            "{ip} is gone or renumbered (not captured): the tunnels of {} captured hosts to it are down",
            members.len()
        );
        let subject =
            ctx.subject_or(ctx.topology.find_remote_host(ip), || Thing::RemoteHost { ip });
        if let Some(mut root) = root_of(&members, subject, message, ctx) {
            root.confidence = Confidence::Strong;
            advise(&mut root, ip);
            roots.push(root);
        }
    }
    report.findings.extend(roots);
}

/// One host has a tunnel to it, and several have none although each should: l2population makes
/// tunnels on demand, so a person has to say that it is off.
fn mark_missed(report: &mut Report, ctx: &Ctx<'_>, mesh: &Mesh) {
    if ctx.settings.env.l2pop == Some(true) {
        return;
    }
    // The far ends of each machine that tunnels.
    let mut ends: BTreeMap<HostId, BTreeSet<IpAddr>> = BTreeMap::new();
    let mut cleaned = false;
    for tunnel in ctx.tunnels().filter(|tunnel| ctx.ovs_interface(tunnel.owner).is_some()) {
        if ctx.may_be_outdated(tunnel.host) {
            continue;
        }
        let all = ends.entry(mesh.machine(tunnel.host)).or_default();
        all.extend(tunnel.data.remote.as_ref().map(|remote| remote.value));
        cleaned |= mesh::is_cleaned(ctx, tunnel.host);
    }
    let remotes: BTreeSet<IpAddr> = ends.values().flatten().copied().collect();
    // Addresses that `sos clean` replaced, or that no text shows, may be those of a captured host.
    let shown = |host: HostId| ctx.complete(host, &Netns::Root, Topic::Addresses);
    if cleaned || ends.len() <= LEAST || !ctx.hosts().all(shown) {
        return;
    }
    for remote in remotes.into_iter().filter(|remote| mesh.owners(ctx, *remote).is_empty()) {
        let (with, without): (Vec<_>, Vec<_>) =
            ends.iter().partition(|(_, all)| all.contains(&remote));
        let (whole, open): (Vec<HostId>, Vec<HostId>) = without
            .into_iter()
            .map(|(host, _)| *host)
            .partition(|it| ctx.complete(*it, &Netns::Root, Topic::Ovs));
        if with.is_empty() || whole.len() + open.len() < LEAST {
            continue;
        }
        let missing = if whole.len() < LEAST {
            vec![Topic::Ovs.command(&Netns::Root)]
        } else if ctx.settings.env.l2pop.is_none() {
            vec![Need::command(AGENT_SETTING)]
        } else {
            Vec::new()
        };
        let known = report.findings.iter_mut().find(|finding| {
            *finding.rule == unknown_tunnel_peers::RULE && finding.subject.address() == Some(remote)
        });
        // The rule did not run, or had something to ask first.
        let Some(finding) = known else { continue };
        if missing.is_empty() {
            report_gone(finding, ctx, remote, &whole);
        } else if let Some(host) = open.first().or(whole.first()).copied() {
            report.cannot_tell.push(CannotTell {
                code: unknown_tunnel_peers::RULE.code.clone(),
                host,
                missing,
                count: 1,
            });
        }
    }
}

/// The remark that a far end was not captured becomes one about the far end.
fn report_gone(finding: &mut Finding, ctx: &Ctx<'_>, ip: IpAddr, without: &[HostId]) {
    let names = without.iter().map(|without| ctx.host_name(*without));
    finding.message = format!(
        "{ip} is gone or renumbered (not captured): {} captured hosts have no tunnel to it, others do",
        without.len()
    );
    finding.note(format!("without a tunnel: {}", tapline_network::defs::list(names, 5)));
    finding.severity = finding.severity.max(Severity::Warning);
    finding.no_surer_than(Confidence::Strong).shaped(Shape::Population);
    for host in without.iter().take(5) {
        let key = format!("remote_ip {ip}");
        finding.absent(ctx.searched(*host, &Netns::Root, Topic::Ovs, &key));
    }
    finding.next.clear();
    advise(finding, ip);
}

fn advise(finding: &mut Finding, ip: IpAddr) {
    finding.next =
        vec![format!("openstack network agent list --long | grep {ip}"), format!("ping -c 1 {ip}")];
}
