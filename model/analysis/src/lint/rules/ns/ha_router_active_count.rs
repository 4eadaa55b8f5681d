use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::need::{line_within, quote};
use tapline_core::span::Evidence;
use tapline_topology::Topic;

use crate::lint::{Confidence, Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::router::Router;

declare_rule! {
    code: "NS-003",
    id: "ha-router-active-count",
    summary: "a highly available router is active on several nodes, or on none",
    severity: Error,
    confidence: Proven,
    page: "ha_router_active_count.md",
    layer: (L3, 10),
    rank: 230,
    core: true,
    about: [Neutron],
    cuts: [ToSwitch],
    asks: [],
    after: [
        // Two masters are mostly one that does not hear the other.
        [ovs::ovs_iface_error, ovs::ovs_dead_vlan, tun::tun_missing_reverse] by [Netns, Port],
    ],
}

/// Captures that are further apart than this, in seconds, may lie on both sides of a failover.
const FAILOVER: f64 = 300.0;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut routers: BTreeMap<Name, Vec<Router<'_>>> = BTreeMap::new();
    for replica in Router::all(ctx).into_iter().filter(|it| !it.ha.is_empty()) {
        several_ports(ctx, out, &replica);
        // It may have changed places since.
        if ctx.may_be_outdated(replica.netns.host) {
            continue;
        }
        let all = routers.entry(replica.netns.name().into()).or_default();
        // Several captures of one machine are one node.
        if !all.iter().any(|it| ctx.same_machine(it.netns.host, replica.netns.host)) {
            all.push(replica);
        }
    }
    for replicas in routers.into_values() {
        judge(ctx, out, &replicas);
    }
}

/// What speaks of a replica: the address that makes it active, or a port for VRRP.
fn evidence(replica: &Router<'_>) -> Option<Evidence> {
    replica.active.first().map(Item::line).or_else(|| replica.ha.first().and_then(Item::place))
}

fn several_ports(ctx: &Ctx<'_>, out: &mut Verdicts, replica: &Router<'_>) {
    let up: Vec<_> = replica.ha.iter().filter(|ha| ha.admin_up() != Some(false)).collect();
    let (Some(first), true) = (up.first(), up.len() > 1) else { return };
    let names = defs::list(up.iter().map(|up| up.name()), 4);
    let message =
        format!("{names} are all in one router: keepalived may elect an active node on each");
    let finding = out.fault(ctx, first.host, first.id, message);
    finding.at_most(Severity::Warning).no_surer_than(Confidence::Strong);
    for port in &up {
        if let Some(place) = port.place() {
            finding.primary(place, "a port for VRRP");
        }
    }
    finding.next("openstack port list --device-owner network:router_ha_interface --long");
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, replicas: &[Router<'_>]) {
    let (active, rest): (Vec<_>, Vec<_>) =
        replicas.iter().partition(|replica| !replica.active.is_empty());
    let Some(first) = active.first().or(rest.first()).copied() else { return };
    if replicas.len() < 2 || active.len() == 1 {
        out.clean();
        return;
    }
    let hosts: Vec<&str> =
        replicas.iter().map(|replica| ctx.host_name(replica.netns.host)).collect();
    if active.len() > 1 {
        let names = defs::list(active.iter().map(|active| ctx.host_name(active.netns.host)), 4);
        let message =
            format!("is active on {names}: all of them answer for the router's addresses");
        let finding = out.fault(ctx, first.netns.host, first.netns.id, message);
        for replica in &active {
            if let Some(address) = replica.active.first() {
                let label = format!("active on {}", ctx.host_name(replica.netns.host));
                finding.primary(address.line(), label);
            }
        }
        if let Some(apart) = apart(ctx, &active) {
            finding.no_surer_than(Confidence::Suspect);
            finding.note(apart);
        }
        advise(finding, first);
        return;
    }
    // Nobody is active: that is known only where all addresses are.
    let mut open = false;
    for replica in replicas {
        let (host, netns) = (replica.netns.host, replica.netns.netns());
        let missing = ctx.missing(host, netns, &[Topic::Addresses]);
        if !missing.is_empty() {
            open = true;
            out.cannot_tell(host, missing);
        }
    }
    if open {
        return;
    }
    let message = format!(
        "is active on none of {}: nothing answers for the router's addresses",
        defs::list(hosts.iter().copied(), 4)
    );
    let finding = out.fault(ctx, first.netns.host, first.netns.id, message);
    finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
    for replica in replicas {
        if let Some(place) = evidence(replica) {
            let label = format!("not active on {}", ctx.host_name(replica.netns.host));
            finding.primary(place, label);
        }
    }
    finding.note("a node that was not captured may be the active one");
    advise(finding, first);
}

fn advise(finding: &mut crate::lint::Finding, first: &Router<'_>) {
    let netns = first.netns.name();
    let router = netns.split_once('-').map_or(netns, |(_, id)| id);
    let port = first.ha.first().map_or("ha-PORT", |ha| ha.name());
    finding.next(format!("openstack network agent list --router {router} --long"));
    let listen = format!("tcpdump -c 10 -ni {} vrrp", quote(port));
    finding.next(line_within(first.netns.netns(), &listen));
}

/// Says how far apart the texts were taken, where that is far enough for a failover between them
/// or is not known.
fn apart(ctx: &Ctx<'_>, active: &[&Router<'_>]) -> Option<String> {
    let sources: BTreeSet<_> =
        active.iter().filter_map(|active| evidence(active)).map(|it| it.source).collect();
    let taken = |id| ctx.topology.snapshot.source(id).and_then(|source| source.taken);
    let times: Vec<f64> = sources.iter().filter_map(|&id| taken(id)).collect();
    let first = times.iter().copied().fold(f64::INFINITY, f64::min);
    let last = times.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (times.len() > 1 && last - first > FAILOVER).then(|| {
        format!(
            "the captures were taken {:.0} s apart: it may have failed over between",
            last - first
        )
    })
}
