use std::collections::BTreeMap;
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_topology::Topic;
use tapline_topology::graph::NetdevKind;

use crate::lint::{Ctx, Other, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::mesh::{self};

declare_rule! {
    code: "TUN-003",
    id: "tun-duplicate-local-ip",
    summary: "two hosts send their tunnels from one address",
    severity: Error,
    confidence: Proven,
    page: "tun_duplicate_local_ip.md",
    layer: (Tunnel, 15),
    rank: 150,
    core: true,
    about: [],
    cuts: [BehindSwitch],
    asks: [],
    after: [
        // A host that sends from the address of another has not got it.
        [tun::tun_local_ip_missing] by [AnyAddress],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mesh = ctx.mesh();
    for (ip, hosts) in &mesh.locals {
        // Of several captures of one machine the first stands for it.
        let mut machines: BTreeMap<HostId, (HostId, Evidence)> = BTreeMap::new();
        for (host, evidence) in hosts {
            machines.entry(mesh.machine(*host)).or_insert((*host, *evidence));
        }
        let all: Vec<(HostId, Evidence)> = machines.into_values().collect();
        let [(first, _), rest @ ..] = all.as_slice() else { continue };
        if rest.is_empty() || all.iter().all(|(host, _)| is_anycast(ctx, *host, *ip)) {
            out.clean();
        } else if all.iter().any(|(host, _)| mesh::is_cleaned(ctx, *host)) {
            out.cannot_tell(*first, [mesh::NOT_CLEANED]);
        } else {
            report(ctx, out, *ip, &all);
        }
    }
    // One capture alone has nobody to share an address with.
    if ctx.hosts().count() > 1 {
        for host in ctx.hosts_without_ovs_capture() {
            out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
        }
    }
}

/// Whether the address is one of the loopback, announced by routing on purpose.
fn is_anycast(ctx: &Ctx<'_>, host: HostId, ip: IpAddr) -> bool {
    ctx.topology.find_address(ip).iter().filter_map(|id| ctx.address(*id)).any(|address| {
        address.host == host
            && ctx.netdev(address.netdev).is_some_and(|device| {
                matches!(device.kind, NetdevKind::Loopback | NetdevKind::Dummy)
            })
    })
}

fn report(ctx: &Ctx<'_>, out: &mut Verdicts, ip: IpAddr, hosts: &[(HostId, Evidence)]) {
    let Some(((first, _), rest)) = hosts.split_first() else { return };
    let others = rest.iter().map(|(host, _)| ctx.host_name(*host));
    let message = format!(
        "{} sends its tunnels from this address too: traffic for either reaches one or the other",
        defs::list(others, 3)
    );
    let finding = out.fire(*first, Other::TunnelAddress { ip }, message);
    for (host, evidence) in hosts.iter().take(5) {
        finding.primary(*evidence, format!("on {}", ctx.host_name(*host)));
    }
    for (host, _) in rest {
        finding.also(ctx.host_subject(*host));
    }
    finding.next(format!("ip neigh show {ip}"));
    finding.next("grep local_ip /etc/neutron/plugins/ml2/openvswitch_agent.ini");
    finding.next("ovs-vsctl get Open_vSwitch . external_ids:ovn-encap-ip");
}
