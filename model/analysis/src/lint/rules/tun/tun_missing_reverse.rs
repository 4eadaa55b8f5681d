mod segment;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::Topic;
use tapline_topology::graph::{OvsPort, TunnelEndpoint};

use crate::lint::{Ctx, Other, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::mesh::{self, Mesh};

declare_rule! {
    code: "TUN-002",
    id: "tun-missing-reverse",
    summary: "one host has a tunnel to another, which has none back",
    severity: Error,
    confidence: Strong,
    page: "tun_missing_reverse.md",
    layer: (Tunnel, 50),
    population: (Tunnel, 30),
    rank: 140,
    core: true,
    about: [],
    cuts: [BehindSwitch],
    asks: [L2pop],
    after: [
        [ovs::ovs_daemon_down] by [Host],
        [ovs::ovs_controller_disconnected] if IntegrationBridge by [Host],
        [ovs::ovs_dead_vlan] if Population by [Host],
        [ovs::ovs_iface_error] by [Port],
        [nic::uplink_link_down, bond::bond_degraded, bond::lacp_not_negotiated] by [Above],
        [nic::uplink_link_down, bond::bond_degraded] by [Address],
        [tun::tun_local_ip_missing] by [Address, Device],
        [tun::tun_duplicate_local_ip, xhost::unknown_tunnel_peers] by [AnyAddress],
        [tun::tun_parameter_mismatch] by [Device],
        [tun::tun_missing_reverse, tun::tun_bfd_down] if Population by [Peer],
        [tun::tun_local_ip_missing] by [Host] for Population,
        [l3::gateway_unreachable] if RootNamespace by [Host] for Population,
        [ovn::ovn_chassis_identity_conflict] by [Host],
    ],
}

/// Of more hosts with a common network not each pair is looked at.
const MAX_HOSTS: usize = 64;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mesh = ctx.mesh();
    let ways = mesh.ways(ctx);
    // All tunnels from one host to another lack the same way back.
    let mut lost: BTreeMap<(HostId, HostId), Vec<Item<'_, TunnelEndpoint>>> = BTreeMap::new();
    for tunnel in ctx.tunnels().filter(|tunnel| ctx.ovs_interface(tunnel.owner).is_some()) {
        let Some(remote) = &tunnel.data.remote else { continue };
        let Some(far) = mesh.other(ctx, remote.value, tunnel.host) else { continue };
        if ways.contains(&(far, tunnel.host)) || takes_ends_from_flows(ctx, far) {
            out.clean();
        } else {
            lost.entry((far, tunnel.host)).or_default().push(tunnel);
        }
    }
    for ((far, host), tunnels) in lost {
        if mesh::is_cleaned(ctx, host) || mesh::is_cleaned(ctx, far) {
            out.cannot_tell(far, [mesh::NOT_CLEANED]);
            continue;
        }
        judge(ctx, out, mesh, far, host, &tunnels);
    }
    strangers(ctx, out, mesh, &ways);
    segment::check(ctx, out);
}

/// Whether a tunnel of the host leads wherever a flow says.
fn takes_ends_from_flows(ctx: &Ctx<'_>, host: HostId) -> bool {
    ctx.tunnels_of(host).any(|tunnel| {
        let owner = ctx.ovs_interface(tunnel.owner);
        owner.is_some_and(|owner| {
            owner.option("remote_ip").is_some_and(|option| option.value == "flow")
        })
    })
}

/// `host` has tunnels to `far`, and nothing that was read of `far` leads back.
fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    mesh: &Mesh,
    far: HostId,
    host: HostId,
    tunnels: &[Item<'_, TunnelEndpoint>],
) {
    let Some(first) = tunnels.first() else { return };
    let Some(remote) = &first.data.remote else { return };
    // Which tunnels a chassis of OVN has to have, its database says.
    let ovn = ctx.ovn();
    if ovn.locals.values().any(|local| local.host == far && ovn.south_of(ctx, local).is_some()) {
        out.clean();
        return;
    }
    let missing = ctx.missing(far, &Netns::Root, &[Topic::Ovs]);
    if !missing.is_empty() {
        // A host that runs no OVS ends its tunnels elsewhere.
        if ctx.runs_ovs(far) != Some(false) {
            out.cannot_tell(far, missing);
        }
        return;
    }
    // Without its own addresses nobody knows which tunnel would lead to it.
    let told = first.data.local.is_some()
        || mesh.locals.values().any(|local| local.contains_key(&host))
        || ctx.complete(host, &Netns::Root, Topic::Addresses);
    if !told {
        out.cannot_tell(host, [Topic::Addresses.command(&Netns::Root)]);
        return;
    }
    let here = first.data.local.as_ref().map(|local| local.value);
    let from = remote.value.to_string();
    let to = here.map_or_else(|| ctx.host_name(host).to_owned(), |ip| ip.to_string());
    let message = format!(
        "{} has a tunnel to this host, and there is none back: VMs of the two hosts cannot talk",
        ctx.host_name(host)
    );
    let finding = out.fire(far, Other::TunnelPair { from, to }, message);
    if let Some(node) = ctx.topology.host_node(far) {
        finding.node = Some(node);
    }
    finding.peers.push(host);
    finding.nodes.extend(ctx.local_vlans(far).tunnel_bridge.map(|bridge| bridge.id));
    for remote in tunnels.iter().filter_map(|tunnel| tunnel.data.remote.as_ref()).take(3) {
        finding.primary(remote.evidence, format!("the tunnel of {}", ctx.host_name(host)));
    }
    let key = here.map_or_else(
        || format!("a tunnel to {}", ctx.host_name(host)),
        |ip| format!("remote_ip {ip}"),
    );
    if let Some(searched) = defs::searched(ctx, far, Topic::Ovs, &key) {
        finding.rests_on_absence(searched);
    }
    match ctx.settings.env.l2pop {
        // Every host has a tunnel to every other at all times.
        Some(false) => {}
        Some(true) => {
            finding.at_most(Severity::Warning);
            finding.note("l2population makes and removes tunnels on demand");
        }
        None if is_dvr(ctx, host) || is_dvr(ctx, far) => {
            finding.at_most(Severity::Warning);
            finding.note(
                "distributed routers need l2population, which makes and removes tunnels on demand",
            );
        }
        None => {}
    }
    finding.next("systemctl status neutron-openvswitch-agent");
    finding.next("ovs-vsctl list-ports br-tun");
}

/// Whether neutron's distributed routers work here: they bring l2population with them.
fn is_dvr(ctx: &Ctx<'_>, host: HostId) -> bool {
    ctx.namespaces_of(host).any(|netns| netns.name().starts_with("fip-"))
        || ctx
            .ovs_ports_of(host)
            .any(|port| ["sg-", "fg-"].iter().any(|p| port.name().starts_with(p)))
}

/// Two hosts with ports of one overlay network and no tunnel either way.
fn strangers(ctx: &Ctx<'_>, out: &mut Verdicts, mesh: &Mesh, ways: &BTreeSet<(HostId, HostId)>) {
    let mut members: BTreeMap<&str, BTreeMap<HostId, Item<'_, OvsPort>>> = BTreeMap::new();
    for port in ctx.ovs_ports().filter(|port| ctx.is_integration_called(port.host, &port.bridge)) {
        let dead = port.tag.as_ref().is_none_or(|tag| tag.value == defs::DEAD_VLAN);
        let kind = defs::other_config(port.data, "network_type");
        let overlay = kind.is_some_and(|kind| matches!(kind, "vxlan" | "gre" | "geneve"));
        let Some(network) = defs::other_config(port.data, "net_uuid") else { continue };
        if overlay && !dead {
            members.entry(network).or_default().entry(port.host).or_insert(port);
        }
    }
    let mut seen: BTreeSet<(HostId, HostId)> = BTreeSet::new();
    for (network, hosts) in members {
        let hosts: Vec<_> = hosts.into_iter().take(MAX_HOSTS).collect();
        for (at, (a, port)) in hosts.iter().enumerate() {
            for (b, other) in hosts.iter().skip(at + 1) {
                let apart = mesh.machine(*a) != mesh.machine(*b)
                    && !ways.contains(&(*a, *b))
                    && !ways.contains(&(*b, *a))
                    && ![*a, *b].iter().any(|it| takes_ends_from_flows(ctx, *it));
                if apart && seen.insert((*a, *b)) {
                    stranger(ctx, out, mesh, network, *port, *other);
                }
            }
        }
    }
}

fn stranger(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    mesh: &Mesh,
    network: &str,
    port: Item<'_, OvsPort>,
    other: Item<'_, OvsPort>,
) {
    let (a, b) = (port.host, other.host);
    let missing: Vec<_> = [a, b]
        .into_iter()
        .flat_map(|it| ctx.missing(it, &Netns::Root, &[Topic::Ovs, Topic::Addresses]))
        .collect();
    if !missing.is_empty() {
        out.cannot_tell(a, missing);
        return;
    }
    if [a, b].iter().any(|it| mesh::is_cleaned(ctx, *it)) {
        out.cannot_tell(a, [mesh::NOT_CLEANED]);
        return;
    }
    let local = |host: HostId| -> Option<IpAddr> {
        mesh.locals.iter().find(|(_, it)| it.contains_key(&host)).map(|(ip, _)| *ip)
    };
    let (from, to) = match (local(a), local(b)) {
        (Some(from), Some(to)) => (from.to_string(), to.to_string()),
        _ => (ctx.host_name(a).to_owned(), ctx.host_name(b).to_owned()),
    };
    let message = format!(
        "no tunnel to or from {}, which has ports of network {network} too: they cannot talk",
        ctx.host_name(b)
    );
    let finding = out.fire(a, Other::TunnelPair { from, to }, message);
    finding.peers.push(b);
    for it in [port, other] {
        let value = it.data.other_config.iter().find(|(key, _)| key == "net_uuid");
        if let Some((_, value)) = value {
            finding.primary(value.evidence, format!("a port on {}", ctx.host_name(it.host)));
        }
        let key = "a tunnel between the two hosts";
        if let Some(searched) = defs::searched(ctx, it.host, Topic::Ovs, key) {
            finding.rests_on_absence(searched);
        }
    }
    finding.next("systemctl status neutron-openvswitch-agent");
    finding.next("ovs-vsctl list-ports br-tun");
}
