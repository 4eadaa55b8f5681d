use std::net::IpAddr;

use tapline_core::ids::Netns;
use tapline_network::l3::{Outcome, Query};
use tapline_network::uplink::{self, Usage};
use tapline_network::{Answer, Item};
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, Topic};

use crate::lint::{Ctx, Verdicts, declare_rule};

declare_rule! {
    code: "LBR-009",
    id: "bridge-without-uplink",
    summary: "the default route leaves by a bridge that nothing leads out of",
    severity: Error,
    confidence: Strong,
    page: "bridge_without_uplink.md",
    layer: (L2Membership, 15),
    rank: 924,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        let Some(fib) = ctx.fib(host, &Netns::Root) else { continue };
        // Where anything goes that no route is for: an address kept for documentation.
        let anywhere = Query::own(IpAddr::from([203, 0, 113, 1]));
        let Answer::Known(decision) = fib.lookup(&anywhere) else { continue };
        let Outcome::Forward(hops) = &decision.outcome else { continue };
        let [hop] = hops.as_slice() else { continue };
        let Some(gateway) = hop.gateway else { continue };
        let bridge = ctx.netdev_called(host, &Netns::Root, hop.dev);
        let Some(bridge) = bridge.filter(|device| device.kind == NetdevKind::Bridge) else {
            continue;
        };
        if leads_out(ctx, bridge) || answers(ctx, bridge, gateway) {
            out.clean();
            continue;
        }
        let missing = ctx.missing(host, &Netns::Root, &[Topic::Links, Topic::BridgeMembers]);
        if !missing.is_empty() {
            out.cannot_tell(host, missing);
            continue;
        }
        // A guest may be the router. An uplink that is made and used by nothing says that it is not.
        let spare = ctx.netdevs_of(host).find(|device| is_spare(ctx, *device));
        let Some(spare) = spare else {
            out.clean();
            continue;
        };
        let message = format!(
            "the default route leaves by it, to {gateway}, and no uplink is in it: nothing leads out of the host, and {} serves nothing",
            spare.name()
        );
        let finding = out.fault(ctx, host, bridge.id, message);
        for evidence in decision.evidence().into_iter().take(2) {
            finding.primary(evidence, "the default route");
        }
        if let Some(line) = bridge.place() {
            finding.primary(line, "the bridge");
        }
        if let Some(line) = spare.place() {
            finding.primary(line, "in no bridge, and without an address");
        }
        finding.next(format!("ip link set {} master {}", spare.name(), bridge.name()));
        finding.next(format!("ip neigh show {gateway}"));
    }
}

/// Whether frames of the bridge may go on to somewhere else than guests.
fn leads_out(ctx: &Ctx<'_>, bridge: Item<'_, Netdev<'_>>) -> bool {
    let beyond = |member: &Item<'_, Netdev<'_>>| match member.kind {
        // The guest of a tap is known to be one.
        NetdevKind::Tap => false,
        // A veth of a container ends there; one to a switch goes on.
        NetdevKind::Veth => ctx
            .veth_peer(member.id)
            .is_none_or(|peer| peer.netns().is_root() || ctx.master(peer.id).is_some()),
        _ => true,
    };
    ctx.members(bridge.id).iter().any(beyond)
        || ctx.interface_of(bridge.id).is_some()
        || !ctx.topology.out(bridge.id, EdgeKind::StackedOn).is_empty()
}

/// Whether the gateway is known as a neighbour on the bridge.
fn answers(ctx: &Ctx<'_>, bridge: Item<'_, Netdev<'_>>, gateway: IpAddr) -> bool {
    let here = ctx.neighbours().get(&(bridge.host, bridge.netns()));
    here.and_then(|all| all.get(&(bridge.name(), gateway)))
        .is_some_and(|known| !known.failed && known.record.mac.is_some())
}

/// An uplink with a link that nothing uses.
fn is_spare(ctx: &Ctx<'_>, device: Item<'_, Netdev<'_>>) -> bool {
    device.netns().is_root()
        && uplink::is_uplink(&device)
        && device.usable() == Some(true)
        && matches!(uplink::usage(ctx, &device), Usage::Nothing)
}
