use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::Topic;
use tapline_topology::graph::{Netdev, NetdevKind};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::mesh::{self};

declare_rule! {
    code: "MTU-004",
    id: "underlay-mtu-differs",
    summary: "hosts that tunnel to each other have different MTUs on the wire",
    severity: Warning,
    confidence: Proven,
    page: "underlay_mtu_differs.md",
    layer: (Mtu, 20),
    rank: 640,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

/// A device that tunnels are sent from.
struct Holder<'a> {
    device: Item<'a, Netdev<'a>>,
    mtu: u32,
    evidence: Evidence,
    ip: IpAddr,
    /// What says that tunnels use the address.
    tunnel: Evidence,
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mesh = ctx.mesh();
    let several = {
        let mut hosts: Vec<HostId> = mesh
            .locals
            .values()
            .flat_map(|local| local.keys())
            .map(|key| mesh.machine(*key))
            .collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts.len() > 1
    };
    if !several {
        return;
    }
    let mut subnets: BTreeMap<IpNet, BTreeMap<HostId, Holder<'_>>> = BTreeMap::new();
    for (ip, hosts) in &mesh.locals {
        for (&host, &tunnel) in hosts {
            if mesh::is_cleaned(ctx, host) {
                out.cannot_tell(host, [mesh::NOT_CLEANED]);
                continue;
            }
            match holder(ctx, host, *ip, tunnel) {
                Ok(Some((subnet, holder))) => {
                    subnets.entry(subnet).or_default().entry(mesh.machine(host)).or_insert(holder);
                }
                Ok(None) => {}
                Err(missing) => out.cannot_tell(host, missing),
            }
        }
    }
    for (subnet, holders) in subnets {
        judge(ctx, out, subnet, &holders);
    }
}

/// The device that holds a tunnel address, and its subnet; `None` where it is on no wire.
fn holder<'a>(
    ctx: &Ctx<'a>,
    host: HostId,
    ip: IpAddr,
    tunnel: Evidence,
) -> Result<Option<(IpNet, Holder<'a>)>, Vec<Need>> {
    let held = ctx.topology.find_address(ip).iter().filter_map(|address| ctx.address(*address));
    let Some(address) = held.filter(|held| held.netns().is_root()).find(|held| held.host == host)
    else {
        // That the address is nowhere is another finding.
        let missing = ctx.missing(host, &Netns::Root, &[Topic::Addresses]);
        return if missing.is_empty() { Ok(None) } else { Err(missing) };
    };
    let Some(device) = ctx.netdev(address.data.netdev) else { return Ok(None) };
    if matches!(device.kind, NetdevKind::Loopback | NetdevKind::Dummy) {
        return Ok(None);
    }
    let Some(mtu) = &device.data.mtu else {
        return Err(vec![Topic::Links.command(&Netns::Root)]);
    };
    let Ok(net) = IpNet::new(ip, address.data.prefix) else { return Ok(None) };
    if net.prefix_len() == net.max_prefix_len() {
        return Ok(None);
    }
    let holder = Holder { device, mtu: mtu.value, evidence: mtu.evidence, ip, tunnel };
    Ok(Some((net.trunc(), holder)))
}

/// The few of a subnet against the many; of equally many those with the smaller MTU are odd.
fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, subnet: IpNet, holders: &BTreeMap<HostId, Holder<'_>>) {
    let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
    for it in holders.values() {
        *counts.entry(it.mtu).or_default() += 1;
    }
    let usual = counts.iter().max_by_key(|(mtu, count)| (**count, **mtu)).map(|(mtu, _)| *mtu);
    let Some(usual) = usual.filter(|_| counts.len() > 1) else {
        out.clean();
        return;
    };
    let Some(like) = holders.values().find(|holder| holder.mtu == usual) else { return };
    let count = counts.get(&usual).copied().unwrap_or(1);
    for odd in holders.values().filter(|holder| holder.mtu != usual) {
        let more = match count {
            1 => String::new(),
            _ => format!(" and {} more", count - 1),
        };
        let message = format!(
            "MTU {} where {} of {}{more} in {subnet} has {usual}: large tunnel packets between them are lost",
            odd.mtu,
            like.device.name(),
            ctx.host_name(like.device.host)
        );
        let finding = out.fault(ctx, odd.device.host, odd.device.id, message);
        finding.primary(odd.evidence, "its MTU");
        finding.primary(like.evidence, "the MTU of the other host");
        finding.context(odd.tunnel, "tunnels are sent from here");
        finding.context(like.tunnel, "and from there");
        let large = odd.mtu.max(usual);
        finding.next(format!("ping -M do -s {} {}", large.saturating_sub(28), like.ip));
        finding.next(format!("ip link set {} mtu {usual}", odd.device.name()));
    }
}
