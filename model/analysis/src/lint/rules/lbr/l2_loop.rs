mod unguarded;

use std::collections::{BTreeMap, BTreeSet};

use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, NodeId};

use crate::lint::{Confidence, Ctx, Severity, Verdicts, declare_rule};
use tapline_network::l2::{Domain, DomainLink, JoinedDomains};
use tapline_network::{Item, defs, uplink};

declare_rule! {
    code: "LBR-002",
    id: "l2-loop",
    summary: "bridges form a ring without spanning tree, or have two ways out",
    severity: Error,
    confidence: Strong,
    page: "l2_loop.md",
    layer: (TagsAndFlows, 110),
    rank: 290,
    core: true,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [ovs::ovs_flows_not_programmed] by [Bridge],
        [ovs::fail_mode_standalone] by [Bridge],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut joined = JoinedDomains::new(ctx);
    for ring in joined.rings() {
        judge_ring(ctx, out, &ring);
    }
    judge_uplinks(ctx, out, &mut joined);
    for (from, edge, to) in ctx.topology.edges() {
        if edge.kind == EdgeKind::StackedOn {
            judge_vlan(ctx, out, from, to);
        }
    }
    unguarded::check(ctx, out);
}

/// Whether nothing breaks a ring through these bridges. `Err` has the commands that would decide.
fn all_off(ctx: &Ctx<'_>, bridges: &BTreeSet<NodeId>) -> Result<Option<Off>, Vec<Need>> {
    let mut off = Off { evidence: Vec::new(), by_default: false };
    let mut missing = Vec::new();
    for &bridge in bridges {
        match ctx.spanning_trees().of(ctx, bridge) {
            // Its frames go round and come back to it: it blocks one of its ports.
            Some((true, _)) => return Ok(None),
            Some((false, evidence)) => off.evidence.push(evidence),
            // Off unless somebody switched it on.
            None if ctx.ovs_bridge(bridge).is_some() => off.by_default = true,
            None => missing.push(Need::command("brctl show")),
        }
    }
    if missing.is_empty() { Ok(Some(off)) } else { Err(missing) }
}

/// Spanning tree runs nowhere.
struct Off {
    evidence: Vec<Evidence>,
    /// An OVS bridge whose setting was not captured has it off by default.
    by_default: bool,
}

fn name(ctx: &Ctx<'_>, id: NodeId) -> String {
    ctx.topology.node(id).map_or_else(String::new, |node| node.name.to_string())
}

fn judge_ring(ctx: &Ctx<'_>, out: &mut Verdicts, ring: &[DomainLink]) {
    let bridges: BTreeSet<NodeId> =
        ring.iter().flat_map(|link| link.domains.map(|domain| domain.bridge)).collect();
    let Some(&first) = bridges.first() else { return };
    let Some(host) = ctx.topology.node(first).and_then(|node| node.host) else { return };
    let off = match all_off(ctx, &bridges) {
        Ok(Some(off)) => off,
        Ok(None) => {
            out.clean();
            return;
        }
        Err(missing) => {
            out.cannot_tell(host, missing);
            return;
        }
    };
    let links: Vec<String> =
        ring.iter().map(|ring| ring.ends.map(|end| name(ctx, end)).join("–")).collect();
    let links = defs::list(links.iter().map(String::as_str), 4);
    let names: Vec<String> = bridges.iter().map(|bridge| name(ctx, *bridge)).collect();
    let message = match bridges.len() {
        1 => format!(
            "both ends of {links} are in it and spanning tree is off: broadcasts circle for ever"
        ),
        _ => format!(
            "{} form a ring over {links} and spanning tree is off: broadcasts circle for ever",
            defs::list(names.iter().map(String::as_str), 4)
        ),
    };
    let finding = out.fault(ctx, host, first, message);
    for end in ring.iter().flat_map(|ring| ring.ends).take(8) {
        if let Some(place) = port_place(ctx, end) {
            finding.primary(place, format!("{} in the ring", name(ctx, end)));
        }
    }
    for evidence in off.evidence.iter().take(4) {
        finding.context(*evidence, "spanning tree is off");
    }
    if off.by_default {
        finding.no_surer_than(Confidence::Suspect);
        finding.note("whether spanning tree was switched on in OVS was not captured (`ovs-vsctl list bridge`)");
    }
    if let Some(link) = ring.first() {
        finding.next(format!("ip link set {} down", name(ctx, link.ends[0])));
    }
    finding.next("bridge -s link");
}

/// The words that put a port into its bridge.
fn port_place(ctx: &Ctx<'_>, port: NodeId) -> Option<Evidence> {
    if let Some((_, edge)) = ctx.topology.out(port, EdgeKind::EnslavedTo).first()
        && let Some(witness) = edge.witnesses.first()
    {
        return Some(witness.evidence);
    }
    let interface = ctx.interface_of(port).map_or(port, |interface| interface.id);
    ctx.topology.node(interface)?.seen.first().copied()
}

/// Bridges, alone or joined, with several NICs that no bond makes one.
fn judge_uplinks(ctx: &Ctx<'_>, out: &mut Verdicts, joined: &mut JoinedDomains) {
    let mut ways: BTreeMap<usize, Vec<(Item<'_, Netdev<'_>>, Domain)>> = BTreeMap::new();
    for device in ctx.netdevs() {
        let nic = uplink::is_uplink(&device)
            && device.kind != NetdevKind::Vlan
            && !uplink::is_wireless(device.name());
        if !nic || device.usable() != Some(true) {
            continue;
        }
        if let Some(domain) = ctx.floods_into(device.id) {
            ways.entry(joined.group(domain)).or_default().push((device, domain));
        }
    }
    for ways in ways.into_values() {
        let (Some((first, domain)), true) = (ways.first(), ways.len() > 1) else {
            out.clean();
            continue;
        };
        let bridges: BTreeSet<NodeId> = ways.iter().map(|(_, domain)| domain.bridge).collect();
        if bridges.iter().all(|bridge| is_in_line(ctx, *bridge)) {
            out.clean();
            continue;
        }
        let off = match all_off(ctx, &bridges) {
            Ok(Some(off)) => off,
            Ok(None) => {
                out.clean();
                continue;
            }
            Err(missing) => {
                out.cannot_tell(first.host, missing);
                continue;
            }
        };
        let names = defs::list(ways.iter().map(|(it, _)| it.name()), 4);
        let message = format!(
            "{names} are not bonded and spanning tree is off: a loop if they reach the same switch"
        );
        let finding = out.fault(ctx, first.host, domain.bridge, message);
        finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
        for (device, _) in ways.iter().take(4) {
            if let Some(place) = port_place(ctx, device.id) {
                finding.primary(place, format!("{}, a way out", device.name()));
            }
        }
        for evidence in off.evidence.iter().take(2) {
            finding.context(*evidence, "spanning tree is off");
        }
        finding.next("bridge -s link");
        finding.next("ip link add bond0 type bond mode active-backup");
    }
}

/// Whether a Linux bridge does nothing but join two NICs, like a firewall that nobody is to see:
/// whoever made it wanted just that, and a loop would not have let them.
fn is_in_line(ctx: &Ctx<'_>, bridge: NodeId) -> bool {
    let members = ctx.members(bridge);
    ctx.netdev(bridge).is_some_and(|device| device.kind == NetdevKind::Bridge)
        && members.len() == 2
        && members.iter().all(|member| member.kind == NetdevKind::Physical)
        && !ctx.addresses_of(bridge).iter().any(|address| defs::is_global(address.ip))
        && ctx.topology.into(bridge, EdgeKind::StackedOn).is_empty()
}

/// A NIC and a VLAN on it as ports of one bridge.
fn judge_vlan(ctx: &Ctx<'_>, out: &mut Verdicts, upper: NodeId, lower: NodeId) {
    let (Some(vlan), Some(nic)) = (ctx.netdev(upper), ctx.netdev(lower)) else { return };
    if vlan.kind != NetdevKind::Vlan {
        return;
    }
    let (Some(of_vlan), Some(of_nic)) = (ctx.floods_into(vlan.id), ctx.floods_into(nic.id)) else {
        return;
    };
    if of_vlan != of_nic {
        out.clean();
        return;
    }
    let message = format!(
        "{} and the VLAN {} on it are both in it: what comes from the one goes back out through the other",
        nic.name(),
        vlan.name()
    );
    let finding = out.fault(ctx, vlan.host, of_vlan.bridge, message);
    finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
    for id in [nic.id, vlan.id] {
        if let Some(place) = port_place(ctx, id) {
            finding.primary(place, name(ctx, id));
        }
    }
    finding.next(format!("ip link set {} nomaster", nic.name()));
}
