use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::link::LowerRef;
use tapline_core::records::route::Gateway;
use tapline_topology::graph::{Conflict, ConflictKind, Netdev, NetdevKind};
use tapline_topology::{EdgeKind, NodeId, Presence, Topic};

use crate::lint::{Confidence, Ctx, Severity, Shape, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "VETH-001",
    id: "veth-peer-broken",
    summary: "the other end of a veth is missing, wrong or switched off",
    severity: Error,
    confidence: Proven,
    page: "veth_peer_broken.md",
    layer: (L2Membership, 40),
    switched_off: (Physical, 15),
    rank: 240,
    core: true,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [cap::mixed_captures] by [Host],
        [ovs::ovs_iface_error] by [Port],
        [lbr::hybrid_chain_broken] by [Port],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut faulty: BTreeSet<NodeId> = BTreeSet::new();
    let mut missing: BTreeMap<HostId, Vec<&Conflict>> = BTreeMap::new();
    for conflict in &ctx.topology.conflicts {
        let Some(device) = conflict.nodes.first().and_then(|node| ctx.netdev(*node)) else {
            continue;
        };
        match conflict.kind {
            ConflictKind::VethPeer => {
                faulty.extend(&conflict.nodes);
                contradiction(ctx, out, device, conflict);
            }
            ConflictKind::VethPeerMissing => {
                faulty.insert(device.id);
                missing.entry(device.host).or_default().push(conflict);
            }
            _ => {}
        }
    }
    for conflicts in missing.into_values() {
        peers_missing(ctx, out, &conflicts);
    }
    for device in ctx.netdevs().filter(|device| device.kind == NetdevKind::Veth) {
        if !faulty.contains(&device.id) {
            judge(ctx, out, device);
        }
    }
}

/// A device without a contradiction: is its other end there, and switched on?
fn judge<'a>(ctx: &Ctx<'a>, out: &mut Verdicts, device: Item<'a, Netdev<'a>>) {
    if let Some(lower) = device.data.lower.as_ref().filter(|lower| lower.value == LowerRef::None) {
        let message = "the kernel knows no other end of this veth: the cable leads nowhere";
        let finding = out.fault(ctx, device.host, device.id, message);
        finding.primary(lower.evidence, "no other end");
        finding.next(format!("ip -d link show {}", device.name()));
        return;
    }
    match ctx.veth_peer(device.id) {
        // The other end lives in a namespace that was not captured; one without a name never is.
        Some(peer) if peer.stub => match peer.netns() {
            Netns::Named(_) => {
                out.cannot_tell(peer.host, ctx.missing(peer.host, peer.netns(), &[Topic::Links]));
            }
            Netns::Root | Netns::Nameless { .. } => out.clean(),
        },
        Some(peer) if unplugged(ctx, out, device, peer) => {}
        Some(peer) => switched_off(ctx, out, device, peer),
        None => half_missing(ctx, out, device),
    }
}

/// An end on the host that is in nothing, while its other end needs it to be in a bridge; whether
/// that is said.
fn unplugged<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    device: Item<'a, Netdev<'a>>,
    peer: Item<'a, Netdev<'a>>,
) -> bool {
    let is_lone = device.netns().is_root()
        && device.admin_up() == Some(true)
        // Somebody may listen there.
        && device.flag("PROMISC") != Some(true)
        && !ctx.is_disputed(device.id)
        && ctx.master(device.id).is_none()
        && ctx.interface_of(device.id).is_none()
        && ctx.addresses_of(device.id).iter().all(|address| !defs::is_global(address.ip))
        && ctx.topology.into(device.id, EdgeKind::StackedOn).is_empty()
        && !is_routed(ctx, device);
    if !is_lone {
        return false;
    }
    let Some(need) = gateway_of(ctx, device, peer).or_else(|| bridge_of(ctx, peer)) else {
        return false;
    };
    let mut topics = vec![Topic::Links, Topic::BridgeMembers, Topic::Addresses, Topic::Routes];
    if ctx.runs_ovs(device.host) != Some(false) {
        topics.push(Topic::Ovs);
    }
    let missing = ctx.missing(device.host, &Netns::Root, &topics);
    if !missing.is_empty() {
        out.cannot_tell(device.host, missing);
        return true;
    }
    let (bridge, message) = match need {
        Need::Gateway { bridge, ip } => {
            let space = peer.netns().name().unwrap_or_default();
            let name = bridge.name();
            let message = format!(
                "is in no bridge: {} in {space} does not reach its gateway {ip}, which is on {name}",
                peer.name()
            );
            (Some(bridge), message)
        }
        Need::Bridge(bridge) => {
            let message = format!(
                "is in no bridge and has no address: nothing leads out of {}, which {} is in",
                bridge.name(),
                peer.name()
            );
            (None, message)
        }
    };
    let finding = out.fault(ctx, device.host, device.id, message);
    finding.no_surer_than(Confidence::Strong);
    finding.nodes.push(peer.id);
    if let Some(place) = device.place() {
        finding.primary(place, "in nothing");
    }
    if let Some(place) = peer.place() {
        finding.context(place, "the other end");
    }
    let key = format!("master of {}", device.name());
    finding.rests_on_absence(ctx.searched(device.host, &Netns::Root, Topic::BridgeMembers, &key));
    let bridge = bridge.map_or("BRIDGE", |bridge| bridge.name());
    finding.next(format!("ip link set {} master {bridge}", device.name()));
    true
}

/// What the other end of a veth needs it for.
enum Need<'a> {
    /// The gateway of its namespace is an address of a bridge of the host.
    Gateway { bridge: Item<'a, Netdev<'a>>, ip: IpAddr },
    /// The bridge that it is in has guests and no other way out.
    Bridge(Item<'a, Netdev<'a>>),
}

/// Whether a route leads to the device.
fn is_routed(ctx: &Ctx<'_>, device: Item<'_, Netdev<'_>>) -> bool {
    let tables = ctx.route_tables().filter(|table| table.host == device.host);
    tables.filter(|table| table.netns().is_root()).any(|table| {
        table.data.routes.iter().any(|route| {
            let dev = route.record.dev.as_ref().is_some_and(|dev| dev.value == device.name());
            let local = route.record.destination.as_ref().is_some_and(|to| {
                matches!(to.value.addr(), IpAddr::V6(ip) if ip.is_unicast_link_local() || ip.is_multicast())
            });
            dev && !local
        })
    })
}

/// The bridge of the host that has the gateway of the namespace of `peer`, where that is in its
/// subnet.
fn gateway_of<'a>(
    ctx: &Ctx<'a>,
    device: Item<'a, Netdev<'a>>,
    peer: Item<'a, Netdev<'a>>,
) -> Option<Need<'a>> {
    if peer.netns().is_root() || peer.admin_up() != Some(true) {
        return None;
    }
    let table = ctx.topology.find_route_table(peer.host, peer.netns(), "main")?;
    let routes = &ctx.route_table(table)?.data.routes;
    let gateway = routes.iter().filter(|route| route.record.is_default()).find_map(|route| {
        let here = route.record.dev.as_ref().is_some_and(|dev| dev.value == peer.name());
        match &route.record.via.as_ref().filter(|_| here)?.value {
            Gateway::Ip(ip) => Some(*ip),
            Gateway::Name(_) => None,
        }
    })?;
    let near = ctx.addresses_of(peer.id).iter().any(|address| {
        address.prefix < 32
            && IpNet::new(address.ip, address.prefix).is_ok_and(|net| net.contains(&gateway))
    });
    let holder = ctx.topology.find_address(gateway).iter().find_map(|id| {
        let address = ctx.address(*id).filter(|address| address.host == device.host)?;
        let holder = ctx.netdev(address.netdev)?;
        (holder.netns().is_root() && holder.kind == NetdevKind::Bridge).then_some(holder)
    })?;
    near.then_some(Need::Gateway { bridge: holder, ip: gateway })
}

/// The bridge of `peer`, where guests are in it and this veth would be its only way out.
fn bridge_of<'a>(ctx: &Ctx<'a>, peer: Item<'a, Netdev<'a>>) -> Option<Need<'a>> {
    let bridge = ctx.master(peer.id).filter(|master| master.kind == NetdevKind::Bridge)?;
    let members = ctx.members(bridge.id);
    let others = || members.iter().filter(|member| member.id != peer.id);
    let guests =
        others().any(|other| other.kind == NetdevKind::Tap && other.carrier() == Some(true));
    let is_only = others().all(|other| other.kind == NetdevKind::Tap)
        && ctx.addresses_of(bridge.id).iter().all(|address| !defs::is_global(address.ip));
    (peer.netns().is_root() && guests && is_only).then_some(Need::Bridge(bridge))
}

/// One end up, the other administratively down. Both down is a cable that nobody uses.
fn switched_off(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    device: Item<'_, Netdev<'_>>,
    peer: Item<'_, Netdev<'_>>,
) {
    if device.admin_up() != Some(false) || peer.admin_up() != Some(true) {
        out.clean();
        return;
    }
    let message = format!(
        "this end is administratively down, so {} at the other end has no carrier",
        peer.name()
    );
    let finding = out.fault(ctx, device.host, device.id, message);
    finding.shaped(Shape::SwitchedOff);
    finding.nodes.push(peer.id);
    // A bond loses the member; its findings are about the bond alone.
    let bond = ctx.master(peer.id).filter(|master| master.kind == NetdevKind::Bond);
    finding.nodes.extend(bond.map(|bond| bond.id));
    if let Some(flags) = &device.data.flags {
        finding.primary(flags.evidence, "not UP");
    }
    if let Some(flags) = &peer.data.flags {
        finding.context(flags.evidence, "the other end");
    }
    let serves = |device: Item<'_, Netdev<'_>>| {
        ctx.interface_of(device.id).is_some()
            || ctx.master(device.id).is_some()
            || !ctx.addresses_of(device.id).is_empty()
    };
    if !serves(device) && was_never_moved(device, peer) {
        finding.at_most(Severity::Info);
        finding.note("both ends are on the host, and this one was never used: left over from a container that does not run, or that uses the host's network");
        finding
            .next(format!("lxc list; incus list; docker ps --all   # whose {} is", device.name()));
        return;
    }
    if !serves(peer) && !serves(device) {
        finding.at_most(Severity::Warning);
        finding.note("neither end is in a bridge or has an address");
    }
    finding.next(defs::inside(device.netns(), &format!("ip link set {} up", device.name())));
}

/// Whether an end was made to be moved into a container and never was: it stands beside its other
/// end, and has the MAC of containers (LXD, Incus) or was not switched on since it was made.
fn was_never_moved(device: Item<'_, Netdev<'_>>, peer: Item<'_, Netdev<'_>>) -> bool {
    let of_container = device.data.mac.as_ref().is_some_and(|mac| {
        let [a, b, c, ..] = mac.value.0;
        matches!((a, b, c), (0x00, 0x16, 0x3e) | (0x10, 0x66, 0x6a))
    });
    // The kernel gives a device its queue when it is first switched on (`noop_qdisc`).
    let unused = device
        .records
        .iter()
        .any(|text| text.record.qdisc.as_ref().is_some_and(|qdisc| qdisc == "noop"));
    device.netns() == peer.netns() && device.netns().is_root() && (of_container || unused)
}

/// The end of a pair that software makes together and that has no other end on this host.
fn half_missing(ctx: &Ctx<'_>, out: &mut Verdicts, device: Item<'_, Netdev<'_>>) {
    let Some(partner) = partner(device.name()) else {
        // Its other end is in a namespace that was not captured or has no name: nothing wrong.
        out.clean();
        return;
    };
    match ctx.topology.netdev_presence_anywhere(device.host, &partner) {
        Presence::Yes(_) => out.clean(),
        Presence::Unknown(commands) => out.cannot_tell(device.host, commands),
        Presence::No(searched) => {
            let message =
                format!("its other end {partner} is in no namespace: the cable leads nowhere");
            let finding = out.fault(ctx, device.host, device.id, message);
            finding.no_surer_than(Confidence::Strong);
            if let Some(place) = device.place() {
                finding.primary(place, "this end");
            }
            finding.rests_on_absence(searched);
            finding.next(defs::inside(device.netns(), &format!("ethtool -S {}", device.name())));
        }
    }
}

/// The other end of pairs that nova and neutron make.
fn partner(name: &str) -> Option<String> {
    const PAIRS: [(&str, &str); 4] =
        [("qvb", "qvo"), ("qvo", "qvb"), ("rfp-", "fpr-"), ("fpr-", "rfp-")];
    let (_, other, rest) = PAIRS
        .iter()
        .find_map(|(this, other)| name.strip_prefix(this).map(|rest| (this, other, rest)))?;
    Some(format!("{other}{rest}"))
}

/// Each end names another device.
fn contradiction(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    device: Item<'_, Netdev<'_>>,
    conflict: &Conflict,
) {
    let claims: Vec<&str> =
        conflict.witnesses.iter().map(|witness| witness.claim.as_str()).collect();
    let message = format!(
        "the two ends do not name each other ({}): texts of different times, or a pair that was taken apart",
        claims.join("; ")
    );
    let finding = out.fault(ctx, device.host, device.id, message);
    for witness in &conflict.witnesses {
        finding.primary(witness.evidence, witness.claim.clone());
    }
    finding.next(defs::inside(device.netns(), &format!("ip -d link show {}", device.name())));
    finding.next(defs::inside(device.netns(), &format!("ethtool -S {}", device.name())));
}

/// The kernel never lets a veth lose its other end, so where several have, the texts are of
/// different times or hosts.
fn peers_missing(ctx: &Ctx<'_>, out: &mut Verdicts, conflicts: &[&Conflict]) {
    let mixed = conflicts.len() >= 3;
    let shown = if mixed { conflicts.get(..1).unwrap_or_default() } else { conflicts };
    for conflict in shown {
        let Some(device) = conflict.nodes.first().and_then(|node| ctx.netdev(*node)) else {
            continue;
        };
        let message = if mixed {
            format!(
                "{} veths name another end that is not there: the texts are of different times or hosts",
                conflicts.len()
            )
        } else {
            "the namespace of its other end was captured and does not have it: the cable leads nowhere"
                .to_owned()
        };
        let finding = out.fault(ctx, device.host, device.id, message);
        for witness in &conflict.witnesses {
            finding.primary(witness.evidence, witness.claim.clone());
        }
        finding.no_surer_than(Confidence::Strong);
        if mixed {
            finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
            for other in conflicts.iter().skip(1) {
                let other = other.nodes.first().and_then(|node| ctx.netdev(*node));
                finding.also.extend(other.map(|device| ctx.subject(device.id)));
            }
        }
        finding.next(defs::inside(device.netns(), &format!("ip -d link show {}", device.name())));
    }
}
