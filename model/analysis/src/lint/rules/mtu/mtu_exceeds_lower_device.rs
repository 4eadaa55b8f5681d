mod provider;

use std::net::{IpAddr, Ipv4Addr};

use tapline_core::ids::Netns;
use tapline_core::records::link::NetnsRef;
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, Topic};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::uplink;

declare_rule! {
    code: "MTU-003",
    id: "mtu-exceeds-lower-device",
    summary: "the MTU of a device is larger than what carries it has room for",
    severity: Warning,
    confidence: Proven,
    page: "mtu_exceeds_lower_device.md",
    layer: (Mtu, 10),
    rank: 630,
    about: [],
    cuts: [],
    asks: [PhysnetMtu],
    after: [
        [lbr::hybrid_chain_broken] by [Port],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for (from, edge, to) in ctx.topology.edges() {
        let (Some(upper), Some(lower)) = (ctx.netdev(from), ctx.netdev(to)) else { continue };
        match edge.kind {
            EdgeKind::StackedOn => stacked(ctx, out, upper, lower),
            // Here the edge leads from the member to its bond or bridge.
            EdgeKind::EnslavedTo => member(ctx, out, upper, lower),
            _ => {}
        }
    }
    for device in ctx.netdevs() {
        carrier_elsewhere(ctx, out, device);
    }
    provider::check(ctx, out);
}

/// A device whose carrier is in a namespace of which nothing was captured.
fn carrier_elsewhere(ctx: &Ctx<'_>, out: &mut Verdicts, upper: Item<'_, Netdev<'_>>) {
    let carried = matches!(
        upper.kind,
        NetdevKind::Vlan | NetdevKind::Macvlan | NetdevKind::Macvtap | NetdevKind::Ipvlan
    );
    let Some(elsewhere) = upper.data.lower_netns.as_ref().filter(|_| carried) else { return };
    if let NetnsRef::Name(name) = &elsewhere.value
        && ctx.topology.out(upper.id, EdgeKind::StackedOn).is_empty()
    {
        out.cannot_tell(upper.host, [Topic::Links.command(&Netns::Named(name.clone()))]);
    }
}

fn stacked(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    upper: Item<'_, Netdev<'_>>,
    lower: Item<'_, Netdev<'_>>,
) {
    let overhead = match upper.kind {
        NetdevKind::Vlan | NetdevKind::Macvlan | NetdevKind::Macvtap | NetdevKind::Ipvlan => 0,
        NetdevKind::Tunnel => match tunnel_overhead(upper) {
            Some(bytes) => bytes,
            None => return,
        },
        _ => return,
    };
    compare(ctx, out, upper, lower, overhead);
}

/// What a VXLAN or Geneve device adds to each frame.
fn tunnel_overhead(device: Item<'_, Netdev<'_>>) -> Option<u32> {
    device.data.records.iter().find_map(|it| {
        let tunnel = it.record.kind_data.tunnel.as_ref().filter(|it| !it.external)?;
        let kind = it.record.kind.as_ref()?.value.as_str();
        let end = tunnel.remote.as_ref().or(tunnel.local.as_ref()).map(|it| it.value);
        matches!(kind, "vxlan" | "geneve")
            .then(|| defs::overhead(kind, end.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))?
    })
}

fn member(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    slave: Item<'_, Netdev<'_>>,
    master: Item<'_, Netdev<'_>>,
) {
    match master.kind {
        // The bond hands frames of its own size to each member.
        NetdevKind::Bond | NetdevKind::Team => compare(ctx, out, master, slave, 0),
        // Only what leaves the host matters: a tap may well be larger or smaller.
        NetdevKind::Bridge if uplink::is_uplink(&slave) => compare(ctx, out, master, slave, 0),
        _ => {}
    }
}

fn compare(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    upper: Item<'_, Netdev<'_>>,
    lower: Item<'_, Netdev<'_>>,
    overhead: u32,
) {
    let (Some(inner), Some(outer)) = (&upper.data.mtu, &lower.data.mtu) else {
        let bare = if upper.data.mtu.is_none() { upper } else { lower };
        // Nobody can be asked to look into a namespace without a name.
        if !matches!(bare.netns(), Netns::Nameless { .. }) {
            out.cannot_tell(bare.host, [Topic::Links.command(bare.netns())]);
        }
        return;
    };
    let needed = inner.value.saturating_add(overhead);
    if needed <= outer.value {
        out.clean();
        return;
    }
    let sum = match overhead {
        0 => inner.value.to_string(),
        _ => format!("{} + {overhead} of the tunnel = {needed}", inner.value),
    };
    let message = format!("{sum} > {} of {}: larger frames are dropped", outer.value, lower.name());
    let finding = out.fault(ctx, upper.host, upper.id, message);
    finding.primary(inner.evidence, "the larger MTU");
    finding.primary(outer.evidence, "what carries it");
    finding.next(format!(
        "ip link set {} mtu {}",
        upper.name(),
        outer.value.saturating_sub(overhead)
    ));
}
