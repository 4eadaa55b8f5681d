use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::filter::ConnStates;
use tapline_core::records::route::Family;
use tapline_core::span::Evidence;
use tapline_topology::Topic;
use tapline_topology::graph::TunnelEndpoint;

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::filter::{self, Address, Device, Packet, Verdict};
use tapline_network::netfilter::Table;
use tapline_network::{Item, defs, mesh};

declare_rule! {
    code: "TUN-007",
    id: "tun-blocked-by-firewall",
    summary: "the host's packet filter drops what comes in and has no hole for the tunnels",
    severity: Warning,
    confidence: Suspect,
    page: "tun_blocked_by_firewall.md",
    layer: (Tunnel, 70),
    rank: 560,
    about: [],
    cuts: [BehindSwitch],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let filters = ctx.filters();
    for host in ctx.hosts() {
        let flows = flows(ctx, host);
        if flows.is_empty() {
            continue;
        }
        let Some(table) = filters.table(host, &Netns::Root, "filter") else {
            out.cannot_tell(host, [Topic::Netfilter.command(&Netns::Root)]);
            continue;
        };
        for (wire, tunnels) in &flows {
            // Which networks hold a peer does not outlive the replacement of addresses.
            let peers = if mesh::is_cleaned(ctx, host) { &[] } else { tunnels.as_slice() };
            match where_all_end(table, wire, peers) {
                Some(end) => report(ctx, out, host, table, end, wire, tunnels),
                None => out.clean(),
            }
        }
    }
}

/// How tunnel packets look to the filter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Wire {
    /// To this UDP port.
    Udp(u16),
    /// IP protocol 47.
    Gre,
}

/// The tunnels of a host whose packets the kernel receives, by what they look like. Those of the
/// datapath in user space never reach the filter.
fn flows<'a>(ctx: &Ctx<'a>, host: HostId) -> BTreeMap<Wire, Vec<Item<'a, TunnelEndpoint>>> {
    let mut all: BTreeMap<Wire, Vec<Item<'_, TunnelEndpoint>>> = BTreeMap::new();
    for tunnel in ctx.tunnels_of(host).filter(|tunnel| mesh::is_of_host(ctx, *tunnel)) {
        let kernel = ctx.ovs_interface(tunnel.owner).is_none_or(|interface| {
            let bridge = ctx.bridge_called(host, &interface.data.bridge);
            bridge.is_some_and(|bridge| defs::is_kernel_datapath(bridge.data))
        });
        let kind = tunnel.data.kind.as_str();
        let wire = match kind {
            "gre" | "ip6gre" => Some(Wire::Gre),
            "vxlan" | "geneve" => {
                let given = tunnel.data.dst_port.as_ref().map(|port| port.value);
                given.or_else(|| defs::tunnel_port(kind).parse().ok()).map(Wire::Udp)
            }
            _ => None,
        };
        // The table at hand is that of IPv4.
        let v6 = [&tunnel.data.local, &tunnel.data.remote]
            .into_iter()
            .flatten()
            .any(|it| it.value.is_ipv6());
        if let Some(wire) = wire.filter(|_| kernel && !v6) {
            all.entry(wire).or_default().push(tunnel);
        }
    }
    all
}

/// Where the filter throws away the packets of all these peers; `None` where it lets one of them
/// pass, or may.
fn where_all_end(
    table: Table<'_>,
    wire: &Wire,
    tunnels: &[Item<'_, TunnelEndpoint>],
) -> Option<Evidence> {
    let peers = tunnels.iter().filter_map(|tunnel| tunnel.data.remote.as_ref());
    let mut sources: BTreeSet<Option<IpAddr>> = peers.map(|peer| Some(peer.value)).collect();
    // Tunnels whose ends the flows name may come from anywhere.
    if sources.is_empty() {
        sources.insert(None);
    }
    let mut first = None;
    for source in sources {
        let packet = packet(wire, source);
        let judgement = filter::evaluate(table.source, table.data, "INPUT", &packet)?;
        if !matches!(judgement.verdict(), Verdict::Drop | Verdict::Reject) {
            return None;
        }
        first = first.or(judgement.stop()?.evidence);
    }
    first
}

/// A packet of a tunnel as it comes in. Its source port varies by what it carries, so it answers to
/// nothing.
fn packet(wire: &Wire, source: Option<IpAddr>) -> Packet {
    let (protocol, port) = match wire {
        Wire::Udp(port) => (17, Some(*port)),
        Wire::Gre => (47, None),
    };
    Packet {
        in_device: Device::Except(|name| name == "lo"),
        source: source.map_or(Address::Unknown, Address::Known),
        protocol: Some(protocol),
        destination_port: port,
        state: Some(ConnStates::NEW),
        to_host: Some(true),
        ..Packet::unknown(Family::Inet)
    }
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    table: Table<'_>,
    end: Evidence,
    wire: &Wire,
    tunnels: &[Item<'_, TunnelEndpoint>],
) {
    let Some((first, rest)) = tunnels.split_first() else { return };
    let what = match wire {
        Wire::Udp(port) => format!("UDP port {port}"),
        Wire::Gre => "GRE (protocol 47)".to_owned(),
    };
    let message = format!(
        "the filter drops what comes in, and no rule lets {what} pass: packets of its peers are thrown away"
    );
    let finding = out.fault(ctx, host, first.owner, message);
    finding.primary(end, "what drops");
    if let Some(place) = first.place() {
        finding.primary(place, "a tunnel");
    }
    finding.rests_on_absence(table.searched(&format!("INPUT … ACCEPT for {what}")));
    finding.also.extend(rest.iter().map(|tunnel| ctx.subject(tunnel.owner)));
    finding.also.sort_by(|a, b| a.name.cmp(&b.name));
    finding.also.dedup();
    let hole = match wire {
        Wire::Udp(port) => format!("-p udp --dport {port}"),
        Wire::Gre => "-p gre".to_owned(),
    };
    let from = first
        .data
        .remote
        .as_ref()
        .map(|remote| format!(" -s {}", remote.value))
        .unwrap_or_default();
    finding.next("iptables -nvL INPUT".to_owned());
    finding.next(format!("iptables -I INPUT {hole}{from} -j ACCEPT"));
}
