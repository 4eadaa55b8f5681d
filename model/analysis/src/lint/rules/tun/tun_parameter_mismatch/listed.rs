//! Kernel devices with many far ends, which their forwarding table lists (EVPN, flannel, Proxmox).
//!
//! One device is one segment. A list may name hosts that have no part in the segment, so a device
//! without a counterpart is no fault. Two of them are, where they are the same segment by their
//! number or by the name that both hosts give it.
use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_topology::graph::TunnelEndpoint;

use super::{differ, ends, fits, is_point_to_point, number, report};
use crate::lint::{Confidence, Ctx, Severity, Verdicts};
use tapline_network::Item;
use tapline_network::mesh;

/// Of so many devices between two hosts each is compared with each.
const MOST: usize = 256;

pub(super) fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut bundles: BTreeMap<(HostId, HostId), Vec<Item<'_, TunnelEndpoint>>> = BTreeMap::new();
    for tunnel in ctx.tunnels() {
        let listed = ctx.netdev(tunnel.owner).is_some()
            && mesh::is_of_host(ctx, tunnel)
            && !is_point_to_point(ctx, tunnel);
        let Some(remote) = tunnel.data.remote.as_ref().filter(|_| listed) else { continue };
        let Some(far) = ctx.mesh().other(ctx, remote.value, tunnel.host) else { continue };
        let bundle = bundles.entry((tunnel.host, far)).or_default();
        if bundle.len() < MOST && bundle.iter().all(|known| known.data.owner != tunnel.data.owner) {
            bundle.push(tunnel);
        }
    }
    for ((near, far), here) in &bundles {
        let Some(there) = bundles.get(&(*far, *near)).filter(|_| near < far) else { continue };
        if mesh::is_cleaned(ctx, *near) || mesh::is_cleaned(ctx, *far) {
            out.cannot_tell(*near, [mesh::NOT_CLEANED]);
            continue;
        }
        judge(ctx, out, here, there);
    }
}

fn judge<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    here: &[Item<'a, TunnelEndpoint>],
    there: &[Item<'a, TunnelEndpoint>],
) {
    let agree = |near: Item<'a, TunnelEndpoint>, far: Item<'a, TunnelEndpoint>| {
        fits(near, far) && differ(&ends(ctx, near), &ends(ctx, far)).is_none()
    };
    let mut alone = Vec::new();
    for near in here {
        if there.iter().any(|far| agree(*near, *far)) {
            out.clean();
        } else {
            alone.push(*near);
        }
    }
    let opposite: Vec<_> =
        there.iter().filter(|far| !here.iter().any(|near| agree(*near, **far))).copied().collect();
    let key = |end: Item<'a, TunnelEndpoint>| number(ends(ctx, end).key_in).ok();
    for near in alone {
        let same =
            |far: &&Item<'a, TunnelEndpoint>| fits(near, **far) && near.data.kind == far.data.kind;
        let by_key = opposite.iter().filter(same).find(|far| key(near) == key(**far));
        let by_name = || opposite.iter().filter(same).find(|far| near.name() == far.name());
        let Some(back) = by_key.or_else(by_name).copied() else { continue };
        let Some(why) = differ(&ends(ctx, near), &ends(ctx, back)) else { continue };
        let finding = report(ctx, out, near, back, &why);
        if by_key.is_none() {
            // Two segments may have one name by chance.
            finding.at_most(Severity::Warning).no_surer_than(Confidence::Strong);
        }
        finding.next(format!("ip -d link show {}", near.name()));
        finding.next(format!("bridge fdb show dev {}", near.name()));
    }
}
