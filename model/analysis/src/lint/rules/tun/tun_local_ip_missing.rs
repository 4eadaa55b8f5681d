use std::collections::BTreeMap;
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::graph::TunnelEndpoint;
use tapline_topology::{NodeId, Presence, Topic};

use crate::lint::{Ctx, Finding, Other, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::mesh;

declare_rule! {
    code: "TUN-001",
    id: "tun-local-ip-missing",
    summary: "the source address of a tunnel is not on the host",
    severity: Error,
    confidence: Proven,
    page: "tun_local_ip_missing.md",
    layer: (Tunnel, 10),
    rank: 130,
    core: true,
    about: [],
    cuts: [BehindSwitch],
    asks: [],
    after: [
        [cap::mixed_captures] by [Host],
        [ovs::ovs_iface_error] by [Port],
        [nic::uplink_link_down, bond::bond_degraded, bond::lacp_not_negotiated] by [Above],
        [nic::uplink_link_down, bond::bond_degraded] by [Address],
        // An address on a bridge works only as long as the bridge does.
        [lbr::bridge_down] by [Device, Above],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    // All tunnels from one address have one fault together.
    let mut sources: BTreeMap<(HostId, IpAddr), Vec<Use<'_>>> = BTreeMap::new();
    for tunnel in ctx.tunnels() {
        let Some(local) = &tunnel.data.local else { continue };
        // A device of another namespace takes its address from there.
        let elsewhere = ctx.netdev(tunnel.owner).is_some_and(|device| !device.netns().is_root());
        if !elsewhere && !local.value.is_unspecified() {
            let key = (tunnel.host, local.value);
            sources.entry(key).or_default().push((local.evidence, Some(tunnel)));
        }
    }
    for (host, ip, evidence) in mesh::ovn_encap_ips(ctx) {
        sources.entry((host, ip)).or_default().push((evidence, None));
    }
    for ((host, ip), uses) in sources {
        match ctx.topology.address_presence(host, &Netns::Root, ip) {
            Presence::Unknown(commands) => out.cannot_tell(host, commands),
            Presence::Yes(address) => on_dead_device(ctx, out, host, ip, &uses, address),
            Presence::No(searched) => {
                let elsewhere = ctx
                    .topology
                    .find_address(ip)
                    .iter()
                    .any(|id| ctx.address(*id).is_some_and(|address| address.host == host));
                if elsewhere {
                    // A datapath of another namespace may use it: rare, and not visible here.
                    out.cannot_tell(host, [Need::command("ovs-appctl dpif/show")]);
                    continue;
                }
                let message = format!(
                    "no device of the host has the tunnel source {ip}: nothing can be sent or received through it"
                );
                let finding = report(ctx, out, host, ip, &uses, message);
                finding.rests_on_absence(searched);
                finding.next(format!("ip address show to {ip}"));
                if ctx.ovn().locals.contains_key(&host) {
                    finding.next("ovs-vsctl get Open_vSwitch . external_ids:ovn-encap-ip");
                    finding.next("ovn-sbctl list Encap");
                } else {
                    finding.next("grep local_ip /etc/neutron/plugins/ml2/openvswitch_agent.ini");
                }
            }
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// Where an address is named as a tunnel's source, and the tunnel.
type Use<'a> = (Evidence, Option<Item<'a, TunnelEndpoint>>);

/// The address is there: is its device usable?
fn on_dead_device(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    ip: IpAddr,
    uses: &[Use<'_>],
    address: NodeId,
) {
    let address = ctx.address(address);
    let device = address.and_then(|address| ctx.netdev(address.netdev));
    let Some(device) = device.filter(|device| device.usable() == Some(false)) else {
        out.clean();
        return;
    };
    let message = format!(
        "the tunnel source {ip} sits on {}, which is down: nothing can be sent or received through it",
        device.name()
    );
    let finding = report(ctx, out, host, ip, uses, message);
    if let Some(flags) = &device.data.flags {
        finding.primary(flags.evidence, "down");
    }
    finding.next(format!("ip -d address show dev {}", device.name()));
}

fn report<'o>(
    ctx: &Ctx<'_>,
    out: &'o mut Verdicts,
    host: HostId,
    ip: IpAddr,
    uses: &[Use<'_>],
    message: String,
) -> &'o mut Finding {
    let owners: Vec<_> = uses.iter().filter_map(|(_, it)| it.map(|it| it.owner)).collect();
    let finding = match owners.split_first() {
        Some((first, rest)) => {
            let finding = out.fault(ctx, host, *first, message);
            finding.also.extend(rest.iter().map(|id| ctx.subject(*id)));
            finding
        }
        None => {
            let finding = out.fire(host, Other::TunnelAddress { ip }, message);
            finding.nodes.extend(tunnels_of_encap(ctx, host, ip));
            finding
        }
    };
    for (evidence, tunnel) in uses.iter().take(5) {
        let label = if tunnel.is_some() { "the tunnel's source" } else { "OVN's tunnel address" };
        finding.primary(*evidence, label);
    }
    finding
}

/// The tunnels that need OVN's tunnel address of a host: its own, which send from it, and those of
/// other hosts, which send to it.
fn tunnels_of_encap(ctx: &Ctx<'_>, host: HostId, ip: IpAddr) -> Vec<NodeId> {
    let needs = move |tunnel: &Item<'_, TunnelEndpoint>| {
        let by_ovn = ctx.ovs_interface(tunnel.owner).is_some_and(|interface| {
            interface.data.external_ids.iter().any(|(key, _)| key == "ovn-chassis-id")
                || interface.name().starts_with("ovn-")
        });
        let here = tunnel.host == host && tunnel.source().is_none_or(|source| source == ip);
        let there = tunnel.data.remote.as_ref().is_some_and(|remote| remote.value == ip);
        by_ovn && (here || there)
    };
    ctx.tunnels().filter(needs).map(|tunnel| tunnel.owner).collect()
}
