use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::Field;
use tapline_core::records::neigh::Neighbour;
use tapline_core::span::Evidence;
use tapline_topology::Topic;
use tapline_topology::graph::RouteTable;

use super::gateway_unreachable::{Hop, next_hops, route_name};
use crate::lint::{Confidence, Ctx, Finding, Recorded, Severity, Subject, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::mesh::is_of_host;
use tapline_network::texts::{Known, Neighbours};

declare_rule! {
    code: "L3-006",
    id: "gateway-neighbour-failed",
    summary: "a next hop or the far end of a tunnel does not answer ARP or neighbour discovery",
    severity: Error,
    confidence: Proven,
    page: "gateway_neighbour_failed.md",
    layer: (Symptom, 20),
    population: (Symptom, 10),
    rank: 770,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [ovs::ovs_flows_not_programmed] by [Bridge],
        [vm::vm_target_wrong_bridge] by [Port],
        [lbr::membership_disagreement] by [Port],
        [ovs::ovs_patch_peer_broken] by [Above],
        [nic::uplink_link_down, bond::bond_degraded, bond::lacp_not_negotiated] by [Above],
        [ovs::provider_bridge_no_uplink, ovs::provider_bridge_not_patched] by [Bridge, Above],
        [l3::gateway_neighbour_failed] if Population by [Above],
        [lbr::l2_loop] by [Bridge],
        [lbr::bridge_down, lbr::bridge_vlan_filtering, lbr::stp_blocking] by [Bridge, Above],
        [ipt::forward_drop_hits_bridge] by [Bridge],
        // A gateway that is on no subnet does not answer.
        [
            l3::duplicate_ip, l3::gateway_unreachable, l3::prefix_length_mismatch,
        ] by [Device, Address],
    ],
}

/// Seconds without use after which a failed entry says nothing of the present.
const OLD: u32 = 600;

/// The neighbours of all namespaces.
type All<'a> = BTreeMap<(HostId, &'a Netns), Neighbours<'a>>;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let all = ctx.neighbours();
    let mut remotes: BTreeMap<HostId, BTreeMap<IpAddr, Evidence>> = BTreeMap::new();
    for tunnel in ctx.tunnels().filter(|tunnel| is_of_host(ctx, *tunnel)) {
        if let Some(remote) = &tunnel.data.remote {
            let here = remotes.entry(tunnel.host).or_default();
            here.entry(remote.value).or_insert(remote.evidence);
        }
    }
    let mut reported: BTreeSet<(HostId, IpAddr)> = BTreeSet::new();
    for table in ctx.route_tables().filter(|table| table.name() != "local") {
        let mut hops: BTreeMap<(&str, IpAddr), Vec<Hop<'_>>> = BTreeMap::new();
        for hop in table.data.routes.iter().flat_map(|route| next_hops(*route)) {
            hops.entry((hop.dev.as_str(), hop.gateway)).or_default().push(hop);
        }
        for hops in hops.into_values() {
            let remotes = remotes.get(&table.host);
            if judge(ctx, out, table, &hops, all, remotes) && table.netns().is_root() {
                reported.extend(hops.iter().map(|hop| (table.host, hop.gateway)));
            }
        }
    }
    for (host, remotes) in remotes {
        for (remote, evidence) in
            remotes.into_iter().filter(|remote| !reported.contains(&(host, remote.0)))
        {
            judge_peer(ctx, out, host, (remote, evidence), all);
        }
    }
}

/// Judges one next hop; says whether it was reported.
fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    table: Item<'_, RouteTable<'_>>,
    hops: &[Hop<'_>],
    all: &All<'_>,
    remotes: Option<&BTreeMap<IpAddr, Evidence>>,
) -> bool {
    let Some(first) = hops.first() else { return false };
    let (host, netns) = (table.host, table.netns());
    let known = all.get(&(host, netns));
    let Some(entry) = known.and_then(|known| known.get(&(first.dev.as_str(), first.gateway)))
    else {
        let missing = ctx.missing(host, netns, &[Topic::Neighbours]);
        if missing.is_empty() {
            // Nobody asked for it of late.
            out.clean();
        } else {
            out.cannot_tell(host, missing);
        }
        return false;
    };
    let dead = ctx
        .netdev_called(host, netns, first.dev)
        .is_some_and(|device| device.usable() == Some(false));
    if !entry.failed || dead {
        // Behind a device without link nobody can answer: the device is the fault.
        out.clean();
        return false;
    }
    let default = hops.iter().any(|hop| is_best_default(table, hop));
    let looked_up = table.name() == "main" || !table.data.rules.is_empty();
    let serves = netns.is_root()
        || netns
            .name()
            .is_some_and(|name| defs::is_router_netns(netns) || name.starts_with("fip-"));
    let of_tunnel = remotes.into_iter().flat_map(BTreeMap::keys).find(|remote| {
        let covers = |hop: &Hop<'_>| {
            hop.route
                .record
                .destination
                .as_ref()
                .is_some_and(|destination| destination.value.contains(*remote))
        };
        netns.is_root() && hops.iter().any(covers)
    });
    let name = route_name(first.route.record);
    let (way, also) = match name.as_str() {
        "default" => ("the default route".to_owned(), hops.len() - 1),
        _ => (format!("the route to {name}"), hops.len() - 1),
    };
    let more = if also > 0 { format!(" and {also} more") } else { String::new() };
    let message = format!(
        "the next hop of {way}{more} does not answer {}: nothing gets out that way",
        question(first.gateway)
    );
    let finding = report(ctx, out, (host, netns), first.dev, entry, message);
    finding.primary(first.evidence, "a route through it");
    if let Some(remote) = of_tunnel {
        finding.note(format!("the tunnel to {remote} goes that way"));
    }
    if !(default && looked_up && serves || of_tunnel.is_some()) {
        finding.at_most(Severity::Warning);
    }
    true
}

/// The far end of a tunnel that is on a subnet of the host.
fn judge_peer(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    (remote, evidence): (IpAddr, Evidence),
    all: &All<'_>,
) {
    let known = all.get(&(host, &Netns::Root));
    let entries: Vec<_> =
        known.into_iter().flatten().filter(|((_, ip), _)| *ip == remote).collect();
    let works = |dev: &str| {
        let device = ctx.netdev_called(host, &Netns::Root, dev);
        device.is_none_or(|device| device.usable() != Some(false))
    };
    // One device that hears it is enough.
    let failed = entries.iter().all(|(_, it)| it.failed);
    let Some(((dev, _), entry)) = entries.iter().find(|((dev, _), _)| failed && works(dev)) else {
        out.clean();
        return;
    };
    let message = format!(
        "the far end of a tunnel does not answer {}: what is sent through it is lost",
        question(remote)
    );
    let finding = report(ctx, out, (host, &Netns::Root), dev, entry, message);
    finding.at_most(Severity::Warning);
    finding.primary(evidence, "the tunnel");
    finding.note("the host at the far end may be down");
}

fn report<'o>(
    ctx: &Ctx<'_>,
    out: &'o mut Verdicts,
    (host, netns): (HostId, &Netns),
    dev: &str,
    entry: &Known<'_>,
    message: String,
) -> &'o mut Finding {
    let ip = entry.record.ip.value;
    let neighbour = Recorded::Neighbour { ip, dev: dev.into() };
    let finding = out.fire(host, Subject::record(entry.evidence, neighbour), message);
    finding.netns = Some(netns.clone());
    if let Some(device) = ctx.netdev_called(host, netns, dev) {
        finding.node = Some(device.id);
    }
    finding.primary(entry.evidence, "asked for, and no answer");
    if entry.record.states.iter().any(|state| state == "INCOMPLETE") {
        finding.at_most(Severity::Warning).no_surer_than(Confidence::Strong);
        finding.note("the question was still open when this was captured");
    }
    if let Some(seconds) = unused(entry.record).filter(|unused| *unused >= OLD) {
        finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
        finding.note(format!("nothing was sent there for {seconds} s: this may be long over"));
    }
    finding.next(defs::ask_neighbour(netns, dev, ip));
    finding.next(defs::inside(netns, &format!("ip -s neigh show {ip}")));
    finding
}

fn question(ip: IpAddr) -> &'static str {
    if ip.is_ipv4() { "ARP" } else { "neighbour discovery" }
}

/// Seconds since the entry was last used (`ip -s`).
fn unused(entry: &Neighbour) -> Option<u32> {
    let ages = Field::find(&entry.other, "used")?;
    ages.value.split('/').next()?.parse().ok()
}

/// Whether it is a default route, and none of its table has a lower metric.
fn is_best_default(table: Item<'_, RouteTable<'_>>, hop: &Hop<'_>) -> bool {
    let route = hop.route.record;
    let metric = |it: Option<u32>| it.unwrap_or_default();
    route.is_default()
        && !table.data.routes.iter().map(|route| route.record).any(|other| {
            other.is_default()
                && other.kind == "unicast"
                && other.family == route.family
                && metric(other.metric) < metric(route.metric)
        })
}
