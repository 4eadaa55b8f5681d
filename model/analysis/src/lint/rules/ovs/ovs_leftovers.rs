use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::ovs::OvsRow;
use tapline_core::span::Evidence;
use tapline_topology::coverage::Searched;
use tapline_topology::graph::{OvsBridge, OvsPort};
use tapline_topology::{NodeId, Topic, names};

use crate::lint::{Ctx, Severity, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::{Item, User};

declare_rule! {
    code: "OVS-018",
    id: "ovs-leftovers",
    summary: "something was left behind in OVS, or is set and without effect",
    severity: Warning,
    confidence: Strong,
    page: "ovs_leftovers.md",
    layer: (TagsAndFlows, 90),
    rank: 940,
    about: [],
    cuts: [ToSwitch],
    asks: [OrphanWarn],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mirrors = mirrors(ctx);
    for host in ctx.hosts() {
        let mut left: BTreeMap<Kind, Vec<Leftover>> = BTreeMap::new();
        let mut add = |kind, it| left.entry(kind).or_default().push(it);
        for bridge in ctx.ovs_bridges_of(host) {
            if let Some(at) = mirrors.get(&bridge.id) {
                add(Kind::Mirror, Leftover::new(bridge.id, *at));
            }
            match empty(ctx, bridge) {
                Some(User::Nobody) => {
                    if let Some(at) = bridge.place() {
                        add(Kind::Bridge, Leftover::new(bridge.id, at));
                    }
                }
                Some(User::Unknown(missing)) => out.cannot_tell(host, missing),
                Some(User::Running(_) | User::Off(_)) | None => out.clean(),
            }
        }
        let agent = defs::has_agent_patches(ctx, host);
        for port in ctx.ovs_ports_of(host) {
            let snoops = port.name().starts_with("snooper");
            if let Some(at) = port.place().filter(|_| snoops) {
                add(Kind::Snooper, Leftover::new(port.id, at));
            }
            trunks(ctx, out, port, &mut add);
            if let Some(at) = zero(ctx, port).filter(|_| agent) {
                add(Kind::VlanZero, Leftover::new(port.id, at));
            }
        }
        for (kind, all) in left {
            report(ctx, out, host, kind, &all);
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// What is left behind.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Mirror,
    Bridge,
    Snooper,
    Trunks,
    VlanZero,
}

struct Leftover {
    node: NodeId,
    at: Evidence,
}

impl Leftover {
    fn new(node: NodeId, at: Evidence) -> Self {
        Self { node, at }
    }
}

/// The bridges of neutron's agent whose row in the database names mirrors.
fn mirrors(ctx: &Ctx<'_>) -> BTreeMap<NodeId, Evidence> {
    let mut all = BTreeMap::new();
    for (source, rows) in ctx.ovs_texts() {
        for record in rows {
            let OvsRow::Bridge(row) = &record.row else { continue };
            let column = record.columns.iter().find(|column| column.name == "mirrors");
            // A set of row ids; empty it is `[]`.
            let Some(column) = column.filter(|column| column.value.contains('-')) else { continue };
            let bridge = ctx.bridge_called(source.host, &row.name);
            if let Some(bridge) = bridge.filter(|_| defs::has_agent_patches(ctx, source.host)) {
                all.entry(bridge.id).or_insert(column.value.evidence(source.id));
            }
        }
    }
    all
}

/// Who uses a bridge that was made for one port (`tbr-` for a trunk, `pb` by os-vif) and has
/// nothing but patches; `None` for other bridges.
fn empty(ctx: &Ctx<'_>, bridge: Item<'_, OvsBridge>) -> Option<User> {
    let name = bridge.name();
    let interfaces = defs::interfaces_of(ctx, bridge.id);
    let bare =
        interfaces.iter().all(|interface| interface.kind == "patch" || interface.name() == name);
    if !bare || !ctx.complete(bridge.host, &Netns::Root, Topic::Ovs) {
        return None;
    }
    if name.starts_with("tbr-") {
        // The patch is called after the port of the VM.
        let patch = interfaces.iter().find(|interface| interface.name().starts_with("tpt-"))?;
        return Some(ctx.user_of(bridge.host, patch.name()));
    }
    let tap = format!("tap{}", name.strip_prefix("pb")?);
    names::port_prefix(&tap)?;
    Some(ctx.user_of(bridge.host, &tap))
}

/// OVS takes a port with a tag and without a mode for an access port, and ignores its trunks.
fn trunks(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    port: Item<'_, OvsPort>,
    add: &mut impl FnMut(Kind, Leftover),
) {
    let tag = port.data.tag.as_ref().filter(|tag| tag.value != defs::DEAD_VLAN);
    let (Some(_), Some(trunk)) = (tag, port.data.trunks.first()) else { return };
    match port.data.vlan_mode.as_ref().map(|mode| mode.value.as_str()) {
        Some("access") => add(Kind::Trunks, Leftover::new(port.id, trunk.evidence)),
        Some(_) => out.clean(),
        None if ctx.complete(port.host, &Netns::Root, Topic::OvsPorts) => {
            add(Kind::Trunks, Leftover::new(port.id, trunk.evidence));
        }
        None => out.cannot_tell(port.host, [Topic::OvsPorts.command(&Netns::Root)]),
    }
}

/// The tag 0 of a port that the agent should have given a VLAN. Trunks use it.
fn zero(ctx: &Ctx<'_>, port: Item<'_, OvsPort>) -> Option<Evidence> {
    let trunk =
        ["tpt-", "tpi-", "spt-", "spi-"].iter().any(|prefix| port.name().starts_with(prefix));
    let tag = port.data.tag.as_ref().filter(|tag| tag.value == 0)?;
    let of_agent = ctx.is_integration_called(port.host, &port.bridge)
        && names::port_prefix(port.name()).is_some();
    (of_agent && !trunk).then_some(tag.evidence)
}

fn report(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, kind: Kind, all: &[Leftover]) {
    let Some((first, rest)) = all.split_first() else { return };
    let (message, label) = match kind {
        Kind::Mirror => {
            ("a mirror copies the traffic of the bridge: it costs speed and privacy", "its mirrors")
        }
        Kind::Bridge => (
            "the bridge was made for a port that no VM of this host has: cleaning up was skipped",
            "the bridge",
        ),
        Kind::Snooper => {
            ("a port to listen on was left behind: it takes part in every flood", "the port")
        }
        Kind::Trunks => {
            ("the port has a tag, so OVS ignores its trunks: it carries one VLAN", "its trunks")
        }
        Kind::VlanZero => (
            "the port has VLAN 0, which neutron's agent gives to no network: it is alone in it",
            "its tag",
        ),
    };
    let finding = out.fault(ctx, host, first.node, message);
    // So many say that cleaning up does not work on this host.
    let many =
        u64::try_from(all.len()).is_ok_and(|from| from >= ctx.settings.thresholds.orphan_warn);
    if !many {
        finding.at_most(Severity::Info);
    }
    for it in all.iter().take(3) {
        finding.primary(it.at, label);
    }
    if kind == Kind::Bridge {
        let key = format!("a NIC of a VM behind {}", ctx.subject(first.node).name);
        let searched: Searched = ctx.searched(host, &Netns::Root, Topic::DomainXml, &key);
        finding.rests_on_absence(searched);
    }
    for it in rest {
        finding.also(ctx.subject(it.node));
    }
    let subject = ctx.subject(first.node);
    let name = &*subject.own_name();
    match kind {
        Kind::Mirror => finding
            .next("ovs-vsctl list mirror")
            .next(format!("ovs-vsctl clear bridge {name} mirrors")),
        Kind::Bridge => finding.next(format!("ovs-vsctl del-br {name}")),
        Kind::Snooper => finding.next(format!("ovs-vsctl del-port {name}")),
        Kind::Trunks | Kind::VlanZero => {
            finding.next(format!("ovs-vsctl --columns=name,tag,trunks,vlan_mode list port {name}"))
        }
    };
}
