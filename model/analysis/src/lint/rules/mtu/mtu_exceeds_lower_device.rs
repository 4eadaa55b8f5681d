mod provider;

use std::net::{IpAddr, Ipv4Addr};

use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::link::NetnsRef;
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, Topic};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::uplink;
use tapline_network::{Answer, Item, overlay};

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

/// Of a tunnel with more far ends than these the rest is not looked at.
const MAX_FAR_ENDS: usize = 64;

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
        routed(ctx, out, device);
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

/// A tunnel without a device below it: its packets leave where the host routes them.
fn routed(ctx: &Ctx<'_>, out: &mut Verdicts, tunnel: Item<'_, Netdev<'_>>) {
    let stacked = !ctx.topology.out(tunnel.id, EdgeKind::StackedOn).is_empty();
    let Some(overhead) = tunnel_overhead(tunnel).filter(|_| !stacked) else { return };
    let ends = ctx.topology.into(tunnel.id, EdgeKind::TunnelOf);
    let mut narrowest: Option<Item<'_, Netdev<'_>>> = None;
    for (end, _) in ends.into_iter().take(MAX_FAR_ENDS) {
        match ctx.tunnel(end).and_then(|end| overlay::egress(ctx, end)) {
            Some(Answer::Known(devices)) => {
                let mtu = |device: &Item<'_, Netdev<'_>>| {
                    device.data.mtu.as_ref().map_or(u32::MAX, |mtu| mtu.value)
                };
                narrowest = narrowest.into_iter().chain(devices).min_by_key(mtu);
            }
            Some(Answer::Unknown(needs)) => return out.cannot_tell(tunnel.host, needs),
            None => {}
        }
    }
    if let Some(lower) = narrowest {
        compare(ctx, out, tunnel, lower, overhead);
    }
}

/// What a device that carries Ethernet in a tunnel adds to each frame.
fn tunnel_overhead(device: Item<'_, Netdev<'_>>) -> Option<u32> {
    device.data.records.iter().find_map(|seen| {
        let tunnel = seen.record.kind_data.tunnel.as_ref().filter(|tunnel| !tunnel.external)?;
        let end = tunnel.remote.as_ref().or(tunnel.local.as_ref()).map(|end| end.value);
        let end = end.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        match seen.record.kind.as_ref()?.value.as_str() {
            kind @ ("vxlan" | "geneve") => defs::overhead(kind, end),
            // A header of GRE has four bytes less without a key.
            "gretap" => {
                let without = if tunnel.key.is_some() { 0 } else { 4 };
                defs::overhead("gre", end).map(|bytes| bytes.saturating_sub(without))
            }
            _ => None,
        }
    })
}

fn member<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    slave: Item<'a, Netdev<'a>>,
    master: Item<'a, Netdev<'a>>,
) {
    match master.kind {
        // The bond hands frames of its own size to each member.
        NetdevKind::Bond | NetdevKind::Team => compare(ctx, out, master, slave, 0),
        // Only what leaves the host matters: a tap may well be larger or smaller.
        NetdevKind::Bridge if !uplink::is_uplink(&slave) => {}
        NetdevKind::Bridge if ctx.filters_vlans(master) => by_vlan(ctx, out, master, slave),
        NetdevKind::Bridge => compare(ctx, out, master, slave, 0),
        _ => {}
    }
}

/// In a bridge that tells VLANs apart each VLAN has frames of its own size: those of the VLAN
/// device on the bridge, or of the bridge itself for its untagged VLAN.
fn by_vlan(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    bridge: Item<'_, Netdev<'_>>,
    port: Item<'_, Netdev<'_>>,
) {
    let uppers = ctx.topology.into(bridge.id, EdgeKind::StackedOn);
    let mut users: Vec<(u16, Item<'_, Netdev<'_>>)> = Vec::new();
    for upper in uppers.into_iter().filter_map(|(id, _)| ctx.netdev(id)) {
        let mut records = upper.data.records.iter();
        let vlan = records.find_map(|seen| seen.record.kind_data.vlan.as_ref());
        users.extend(vlan.map(|vlan| (vlan.id.value, upper)));
    }
    let own = ctx.bridge_ports().vlans(bridge.id).and_then(|vlans| vlans.pvid);
    if let Some(vlan) = own.filter(|_| !ctx.addresses_of(bridge.id).is_empty()) {
        users.push((vlan, bridge));
    }
    let mtu = |device: &Item<'_, Netdev<'_>>| device.data.mtu.as_ref().map(|mtu| mtu.value);
    users.retain(|(_, user)| mtu(user) > mtu(&port));
    let Some(vlans) = ctx.bridge_ports().vlans(port.id) else {
        if users.is_empty() {
            out.clean();
        } else {
            out.cannot_tell(port.host, [Need::command("bridge vlan show")]);
        }
        return;
    };
    users.retain(|(vlan, _)| vlans.contains(*vlan));
    if users.is_empty() {
        out.clean();
    }
    for (_, user) in users {
        compare(ctx, out, user, port, 0);
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
    // The kernel sends VXLAN and Geneve without DF unless told otherwise (`df set`), so IP cuts the
    // tunnel's packets in pieces.
    let consequence = match upper.kind {
        NetdevKind::Tunnel if overhead > 0 => "larger frames leave in fragments, or not at all",
        _ => "larger frames are dropped",
    };
    let message = format!("{sum} > {} of {}: {consequence}", outer.value, lower.name());
    let finding = out.fault(ctx, upper.host, upper.id, message);
    finding.primary(inner.evidence, "the larger MTU");
    finding.primary(outer.evidence, "what carries it");
    let room = outer.value.saturating_sub(overhead);
    let command = format!("ip link set {} mtu {room}", upper.name());
    finding.next(defs::inside(upper.netns(), &command));
}
