use tapline_core::ids::Netns;
use tapline_topology::graph::OvsInterface;
use tapline_topology::{Topic, names};

use crate::lint::{Ctx, Finding, Severity, Shape, Verdicts, declare_rule};
use tapline_network::{Item, User};

declare_rule! {
    code: "OVS-003",
    id: "ovs-patch-peer-broken",
    summary: "a patch port has no working counterpart",
    severity: Error,
    confidence: Proven,
    page: "ovs_patch_peer_broken.md",
    layer: (L2Device, 30),
    rank: 60,
    core: true,
    about: [],
    cuts: [BehindSwitch],
    asks: [],
    after: [
        [ovs::ovs_controller_disconnected] if IntegrationBridge by [Host] for Unfinished,
        [ovs::ovs_dead_vlan] if Population by [Host] for Unfinished,
        // The far end of a patch that leads nowhere.
        [ovs::ovs_patch_peer_broken] if AbsentPeer by [Device] for PresentPeer,
    ],
}

/// What neutron's agent sets as peer while it prepares a bridge (`NONEXISTENT_PEER`, neutron-lib
/// `plugins/ml2/ovs_constants.py`).
const PLACEHOLDER: &str = "nonexistent-peer";

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for patch in ctx.ovs_interfaces().filter(|interface| interface.kind == "patch") {
        judge(ctx, out, patch);
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

fn judge<'a>(ctx: &Ctx<'a>, out: &mut Verdicts, patch: Item<'a, OvsInterface>) {
    let (host, name, bridge) = (patch.host, patch.name(), &patch.data.bridge);
    let complete = ctx.complete(host, &Netns::Root, Topic::Ovs);
    let Some(option) = patch.data.option("peer") else {
        if !complete {
            out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
            return;
        }
        let message = format!("the patch port has no peer: nothing leaves {bridge} through it");
        let finding = out.fault(ctx, host, patch.id, message);
        finding.shaped(Shape::AbsentPeer);
        cite(finding, patch, "no `peer` among its options");
        finding.next(format!("ovs-vsctl set interface {name} options:peer=PEER"));
        return;
    };
    let wanted = option.value.as_str();
    let found = ctx.interface_called(host, wanted);
    let fault = match &found {
        _ if wanted == name => Some(("its own peer: OVS does not connect it".to_owned(), None)),
        None if wanted == PLACEHOLDER => {
            let text = "left with neutron's placeholder peer: the agent stopped halfway through setting up the bridge";
            Some((text.to_owned(), None))
        }
        None if !complete => {
            out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
            return;
        }
        None => Some((
            format!("patched to {wanted}, which no bridge has: {bridge} is cut off on this side"),
            None,
        )),
        Some(peer) => mismatch(ctx, patch, *peer).map(|mismatch| (mismatch, Some(*peer))),
    };
    let Some((fact, peer)) = fault else {
        out.clean();
        return;
    };
    let shape = match &found {
        Some(_) => Shape::One,
        None if wanted == PLACEHOLDER => Shape::Unfinished,
        None => Shape::AbsentPeer,
    };
    // The agent sets both ends of a pair in one go: one fault, told of the integration bridge.
    let twin = (shape == Shape::Unfinished).then(|| twin(ctx, patch)).flatten();
    if twin.is_some() && name.starts_with("phy-") {
        return;
    }
    // Where the patches of two pairs are crossed, all are wrong at once: one fault, told of the
    // first on the integration bridge.
    let crossed = found.map(|peer| crossed(ctx, patch, peer)).unwrap_or_default();
    if crossed.first().is_some_and(|first| first.id != patch.id) {
        return;
    }
    let finding = out.fault(ctx, host, patch.id, format!("the patch port is {fact}"));
    for other in crossed.iter().skip(1) {
        finding.also(ctx.subject(other.id).short());
        finding.nodes.push(other.id);
    }
    if let Some((twin, placeholder)) = twin {
        finding.also(ctx.subject(twin.id).short());
        finding.context(placeholder, "so is the other end");
        finding.nodes.push(twin.id);
    }
    finding.shaped(shape).primary(option.evidence, "names its peer");
    if let Some(error) = &patch.data.error {
        finding.primary(error.evidence, "OVS says so too");
    }
    if let Some(peer) = peer {
        match peer.data.option("peer") {
            Some(back) => finding.primary(back.evidence, "the peer names another"),
            None => cite(finding, peer, "the interface that it names"),
        };
    }
    if peer.is_none() && is_leftover(ctx, patch, wanted) {
        finding.at_most(Severity::Info);
        finding
            .note("a leftover: the other side is gone and no VM of this host is known to use it");
    }
    finding.next(format!("ovs-vsctl get interface {name} options"));
    if name.starts_with("int-") || name.starts_with("phy-") || name.starts_with("patch-") {
        finding.next("systemctl status neutron-openvswitch-agent");
    }
}

/// The other end of a pair of neutron's agent that is left with the placeholder too.
fn twin<'a>(
    ctx: &Ctx<'a>,
    patch: Item<'_, OvsInterface>,
) -> Option<(Item<'a, OvsInterface>, tapline_core::span::Evidence)> {
    let name = patch.name();
    let other = match name.strip_prefix("phy-") {
        Some(bridge) => format!("int-{bridge}"),
        None => format!("phy-{}", name.strip_prefix("int-")?),
    };
    let other =
        ctx.interface_called(patch.host, &other).filter(|interface| interface.kind == "patch")?;
    let peer = other.data.option("peer").filter(|option| option.value == PLACEHOLDER)?;
    Some((other, peer.evidence))
}

/// Why two interfaces, one of which names the other, are not a pair.
fn mismatch(
    ctx: &Ctx<'_>,
    patch: Item<'_, OvsInterface>,
    peer: Item<'_, OvsInterface>,
) -> Option<String> {
    let peer_name = peer.name();
    if peer.kind != "patch" {
        let kind = if peer.kind.is_empty() { "system" } else { peer.kind.as_str() };
        return Some(format!(
            "patched to {peer_name}, which is of type {kind}: OVS connects neither"
        ));
    }
    match peer.data.option("peer") {
        None => {
            return Some(format!(
                "patched to {peer_name}, which has no peer: OVS connects neither"
            ));
        }
        Some(back) if back.value != patch.name() => {
            return Some(format!(
                "patched to {peer_name}, which is patched to {}: OVS connects neither",
                back.value
            ));
        }
        Some(_) => {}
    }
    if peer.data.bridge == patch.data.bridge && !patch.data.bridge.is_empty() {
        return Some(format!("patched to {peer_name} of the same bridge: a loop"));
    }
    if let Some(right) = namesake(patch.name()).filter(|right| right != peer_name)
        && ctx.interface_called(patch.host, &right).is_some_and(|other| other.kind == "patch")
    {
        return Some(format!(
            "patched to {peer_name}, and {right}, which goes with it by name, is patched elsewhere: {} and {} are joined in place of the bridges that belong together",
            patch.data.bridge, peer.data.bridge
        ));
    }
    let datapath = |name: &str| {
        let bridge = ctx.bridge_called(patch.host, name)?;
        let kind = bridge.data.datapath_type.as_ref().map_or("", |it| it.value.as_str());
        Some(if kind.is_empty() { "system" } else { kind })
    };
    let (here, there) = (datapath(&patch.data.bridge)?, datapath(&peer.data.bridge)?);
    (here != there).then(|| {
        format!(
            "patched to {peer_name} of another datapath ({here}, {there}): OVS connects neither"
        )
    })
}

/// The patches of the pairs that are crossed with that of `patch`, those of the integration bridge
/// first; none where it is joined with what it belongs to.
fn crossed<'a>(
    ctx: &Ctx<'a>,
    patch: Item<'a, OvsInterface>,
    peer: Item<'a, OvsInterface>,
) -> Vec<Item<'a, OvsInterface>> {
    let is_mutual = |peer: Item<'a, OvsInterface>, patch: Item<'a, OvsInterface>| {
        peer.data.option("peer").is_some_and(|back| back.value == patch.name())
    };
    let mut all = vec![patch];
    let mut next = Some(peer);
    while let Some(peer) =
        next.filter(|peer| is_mutual(*peer, all.last().copied().unwrap_or(patch)))
    {
        let right =
            namesake(peer.name()).and_then(|right| ctx.interface_called(patch.host, &right));
        all.push(peer);
        let Some(right) = right.filter(|right| !all.iter().any(|known| known.id == right.id))
        else {
            break;
        };
        all.push(right);
        let far = right.data.option("peer");
        next = far.and_then(|far| ctx.interface_called(patch.host, &far.value));
    }
    if all.len() < 4 {
        return Vec::new();
    }
    all.sort_by_key(|it| (!ctx.is_integration_called(it.host, &it.bridge), it.name()));
    all
}

/// The patch port that neutron's agent or OVN makes at the other end of one of this name.
fn namesake(name: &str) -> Option<String> {
    match name {
        "patch-int" => return Some("patch-tun".to_owned()),
        "patch-tun" => return Some("patch-int".to_owned()),
        _ => {}
    }
    if let Some(bridge) = name.strip_prefix("int-") {
        return Some(format!("phy-{bridge}"));
    }
    if let Some(bridge) = name.strip_prefix("phy-") {
        return Some(format!("int-{bridge}"));
    }
    // ovn-controller: `patch-A-to-B` and `patch-B-to-A`; one of them is the integration bridge.
    let (from, to) = name.strip_prefix("patch-")?.rsplit_once("-to-")?;
    [from, to].contains(&names::INTEGRATION_BRIDGE).then(|| format!("patch-{to}-to-{from}"))
}

fn cite<'f>(finding: &'f mut Finding, it: Item<'_, OvsInterface>, label: &str) -> &'f mut Finding {
    match it.place() {
        Some(place) => finding.primary(place, label),
        None => finding,
    }
}

/// Trunk and OVN patches stay behind when the other bridge goes.
fn is_leftover(ctx: &Ctx<'_>, patch: Item<'_, OvsInterface>, wanted: &str) -> bool {
    let name = patch.name();
    let ovn = name.starts_with("patch-br-int-to-") && wanted.ends_with("-to-br-int");
    let trunk = name.starts_with("tpi-") || name.starts_with("spi-");
    ovn || trunk
        && !matches!(ctx.user_of(patch.host, name), User::Running(_))
        && names::port_prefix(name).is_some()
}
