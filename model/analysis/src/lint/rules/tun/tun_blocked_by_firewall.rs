use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::Topic;
use tapline_topology::coverage::Searched;
use tapline_topology::graph::TunnelEndpoint;

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::overlay::filter::{self, Direction, Stop, Wire};
use tapline_network::{Item, mesh};

declare_rule! {
    code: "TUN-007",
    id: "tun-blocked-by-firewall",
    summary: "the packet filter of the host drops the packets of its tunnels",
    severity: Error,
    confidence: Strong,
    page: "tun_blocked_by_firewall.md",
    layer: (Tunnel, 70),
    rank: 560,
    about: [],
    cuts: [BehindSwitch],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        let flows = flows(ctx, host);
        if flows.is_empty() {
            continue;
        }
        if filter::texts(ctx, host, &Netns::Root).is_empty() {
            out.cannot_tell(host, [Topic::Netfilter.command(&Netns::Root)]);
            continue;
        }
        for (wire, tunnels) in &flows {
            // Which networks hold a peer does not outlive the replacement of addresses.
            let peers = if mesh::is_cleaned(ctx, host) { BTreeSet::new() } else { peers(tunnels) };
            let found = [Direction::In, Direction::Out].into_iter().find_map(|direction| {
                Some((direction, where_all_end(ctx, tunnels, &peers, direction)?))
            });
            match found {
                Some((direction, stop)) => report(ctx, out, (*wire, direction), &stop, tunnels),
                None => out.clean(),
            }
        }
    }
}

/// The tunnels of a host whose packets the kernel sends and receives, by what they look like.
fn flows<'a>(ctx: &Ctx<'a>, host: HostId) -> BTreeMap<Wire, Vec<Item<'a, TunnelEndpoint>>> {
    let mut all: BTreeMap<Wire, Vec<Item<'_, TunnelEndpoint>>> = BTreeMap::new();
    for tunnel in ctx.tunnels_of(host).filter(|tunnel| mesh::is_of_host(ctx, *tunnel)) {
        let wire = filter::wire(ctx, tunnel);
        // The filter of IPv6 is another one, which few captures hold.
        let v6 = [&tunnel.data.local, &tunnel.data.remote]
            .into_iter()
            .flatten()
            .any(|end| end.value.is_ipv6());
        if let Some(wire) = wire.filter(|_| !v6) {
            all.entry(wire).or_default().push(tunnel);
        }
    }
    all
}

fn peers(tunnels: &[Item<'_, TunnelEndpoint>]) -> BTreeSet<IpAddr> {
    tunnels.iter().filter_map(|tunnel| Some(tunnel.data.remote.as_ref()?.value)).collect()
}

/// Where the filter throws away the packets of all these peers; `None` where it lets one of them
/// pass, or may.
fn where_all_end<'a>(
    ctx: &Ctx<'a>,
    tunnels: &[Item<'a, TunnelEndpoint>],
    peers: &BTreeSet<IpAddr>,
    direction: Direction,
) -> Option<Stop> {
    // Tunnels whose ends the flows name may lead anywhere.
    if peers.is_empty() {
        return filter::stop(ctx, *tunnels.first()?, direction, None);
    }
    let mut first = None;
    for peer in peers {
        let of_peer = |tunnel: &&Item<'a, TunnelEndpoint>| {
            tunnel.data.remote.as_ref().is_some_and(|remote| remote.value == *peer)
        };
        let tunnel = tunnels.iter().find(of_peer)?;
        let stop = filter::stop(ctx, *tunnel, direction, Some(*peer))?;
        first = first.or(Some(stop));
    }
    first
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    (wire, direction): (Wire, Direction),
    stop: &Stop,
    tunnels: &[Item<'_, TunnelEndpoint>],
) {
    let Some((first, rest)) = tunnels.split_first() else { return };
    let what = match wire {
        Wire::Udp(port) => format!("UDP port {port}"),
        Wire::Gre => "GRE (protocol 47)".to_owned(),
    };
    let message = match direction {
        Direction::In => format!(
            "the filter drops what comes in, and no rule lets {what} pass: packets of its peers are thrown away"
        ),
        Direction::Out => format!(
            "the filter drops what the host sends, and no rule lets {what} pass: no packet of its tunnels leaves it"
        ),
    };
    let host = first.host;
    let finding = out.fault(ctx, host, first.owner, message);
    finding.primary(stop.evidence, "what drops");
    if let Some(place) = first.place() {
        finding.primary(place, "a tunnel");
    }
    finding.rests_on_absence(Searched {
        keys: vec![format!("{} … ACCEPT for {what}", stop.hook)],
        sources: filter::texts(ctx, host, &Netns::Root),
        namespaces: 0,
    });
    finding.also.extend(rest.iter().map(|tunnel| ctx.subject(tunnel.owner)));
    finding.also.sort_by(|a, b| a.name.cmp(&b.name));
    finding.also.dedup();
    let peer = first.data.remote.as_ref().map(|remote| remote.value);
    if let Some((family, table, chain)) = &stop.of_nft {
        let hole = match wire {
            Wire::Udp(port) => format!("udp dport {port}"),
            Wire::Gre => "meta l4proto gre".to_owned(),
        };
        finding.next(format!("nft -a list chain {family} {table} {chain}"));
        finding.next(format!("nft insert rule {family} {table} {chain} {hole} accept"));
        return;
    }
    let hole = match wire {
        Wire::Udp(port) => format!("-p udp --dport {port}"),
        Wire::Gre => "-p gre".to_owned(),
    };
    let end = if direction == Direction::In { "-s" } else { "-d" };
    let peer = peer.map(|peer| format!(" {end} {peer}")).unwrap_or_default();
    let table = if stop.table == "filter" { String::new() } else { format!(" -t {}", stop.table) };
    let hook = stop.hook;
    finding.next(format!("iptables{table} -nvL {hook}"));
    finding.next(format!("iptables{table} -I {hook} {hole}{peer} -j ACCEPT"));
}
