use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::link::LowerRef;
use tapline_topology::graph::{Conflict, ConflictKind, Netdev, NetdevKind};
use tapline_topology::{NodeId, Presence, Topic};

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
fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, device: Item<'_, Netdev<'_>>) {
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
        Some(peer) => switched_off(ctx, out, device, peer),
        None => half_missing(ctx, out, device),
    }
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
