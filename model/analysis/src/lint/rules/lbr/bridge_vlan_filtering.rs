use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::bridge::BridgeVlan;
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::coverage::Searched;
use tapline_topology::graph::{Fact, Netdev, NetdevKind};
use tapline_topology::{EdgeKind, Topic};

use crate::lint::{Confidence, Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::uplink;

declare_rule! {
    code: "LBR-006",
    id: "bridge-vlan-filtering",
    summary: "a bridge that filters VLANs does not let through the one that a port needs",
    severity: Error,
    confidence: Strong,
    page: "bridge_vlan_filtering.md",
    layer: (L2Membership, 50),
    rank: 910,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [],
}

/// The whole of `bridge vlan` of one namespace.
struct Table<'a> {
    source: SourceId,
    records: usize,
    devices: BTreeMap<&'a str, Vec<&'a BridgeVlan>>,
}

impl Table<'_> {
    /// Whether a device is in a VLAN.
    fn has(&self, device: &str, vlan: u16) -> bool {
        self.vlans(device).any(|it| {
            it.vid.as_ref().is_some_and(|first| {
                first.value <= vlan && vlan <= it.vid_end.unwrap_or(first.value)
            })
        })
    }

    /// The VLAN of its untagged frames.
    fn pvid(&self, device: &str) -> Option<Fact<u16>> {
        self.vlans(device).find_map(|vlan| {
            let vid = vlan.vid.as_ref().filter(|_| vlan.flags.iter().any(|flag| flag == "PVID"))?;
            Some(Fact { value: vid.value, evidence: vid.evidence(self.source) })
        })
    }

    fn vlans(&self, device: &str) -> impl Iterator<Item = &BridgeVlan> {
        self.devices.get(device).into_iter().flatten().copied().filter(|it| it.vid.is_some())
    }

    /// The one VLAN of a port, where untagged frames are put into it: `None` for a trunk.
    fn access(&self, device: &str) -> Option<&BridgeVlan> {
        let mut all = self.vlans(device);
        let (first, more) = (all.next()?, all.next());
        let one = more.is_none() && first.vid_end.is_none_or(|end| Some(end) == vid(first));
        (one && has_flag(first, "PVID")).then_some(first)
    }

    /// The line of a device, whatever it says.
    fn line(&self, device: &str) -> Option<Evidence> {
        let first = self.devices.get(device)?.first()?;
        Some(Evidence { source: self.source, span: first.at })
    }

    fn searched(&self, key: String) -> Searched {
        Searched { keys: vec![key], sources: vec![(self.source, self.records)], namespaces: 0 }
    }
}

fn vid(vlan: &BridgeVlan) -> Option<u16> {
    vlan.vid.as_ref().map(|vid| vid.value)
}

fn has_flag(vlan: &BridgeVlan, word: &str) -> bool {
    vlan.flags.iter().any(|flag| flag.contains(word))
}

type Tables<'a> = BTreeMap<(HostId, Netns), Table<'a>>;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let tables = tables(ctx);
    for bridge in ctx.netdevs().filter(|device| device.kind == NetdevKind::Bridge) {
        let members = ctx.members(bridge.id);
        match filters(bridge) {
            Some((true, evidence)) => match tables.get(&(bridge.host, bridge.netns().clone())) {
                Some(table) => judge(ctx, out, table, bridge, &members, evidence),
                None => out.cannot_tell(bridge.host, [Need::command("bridge vlan show")]),
            },
            Some((false, _)) => out.clean(),
            None if members.iter().any(is_guest) => {
                let missing = ctx.missing(bridge.host, bridge.netns(), &[Topic::LinkDetails]);
                if missing.is_empty() {
                    out.clean();
                } else {
                    out.cannot_tell(bridge.host, missing);
                }
            }
            None => out.clean(),
        }
    }
    without_bridge(ctx, out, &tables);
}

/// Lists of VLANs beside which nothing says whether their bridge heeds them.
fn without_bridge(ctx: &Ctx<'_>, out: &mut Verdicts, tables: &Tables<'_>) {
    let told: BTreeSet<_> = ctx
        .netdevs()
        .filter(|device| device.kind == NetdevKind::Bridge)
        .map(|bridge| (bridge.host, bridge.netns().clone()))
        .collect();
    for ((host, netns), table) in tables.iter().filter(|(place, _)| !told.contains(place)) {
        // Each port is in VLAN 1 unless somebody says otherwise.
        let mut all = table.devices.values().flatten();
        if all.any(|vlan| vid(vlan).is_some_and(|vlan| vlan != 1)) {
            out.cannot_tell(*host, [Topic::LinkDetails.command(netns)]);
        }
    }
}

/// Complete texts alone: nothing follows from a VLAN that a part does not show.
fn tables<'a>(ctx: &Ctx<'a>) -> Tables<'a> {
    let mut all = Tables::new();
    for (source, records) in ctx.bridge_vlan_texts() {
        let filtered =
            source.command.args().iter().any(|arg| matches!(arg.as_str(), "dev" | "vid"));
        if filtered || !ctx.topology.snapshot.completeness(source.id).is_complete() {
            continue;
        }
        let mut devices: BTreeMap<&str, Vec<&BridgeVlan>> = BTreeMap::new();
        for it in records {
            devices.entry(it.dev.value.as_str()).or_default().push(it);
        }
        let table = Table { source: source.id, records: records.len(), devices };
        all.entry((source.host, source.netns.clone())).or_insert(table);
    }
    all
}

/// Whether a bridge tells VLANs apart, and where that is said.
fn filters(bridge: Item<'_, Netdev<'_>>) -> Option<(bool, Evidence)> {
    bridge.data.records.iter().find_map(|record| {
        let filtering = record.record.kind_data.bridge.as_ref()?.vlan_filtering.as_ref()?;
        Some((filtering.value, filtering.evidence(record.source)))
    })
}

fn is_guest(port: &Item<'_, Netdev<'_>>) -> bool {
    matches!(port.kind, NetdevKind::Tap | NetdevKind::Veth)
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    table: &Table<'_>,
    bridge: Item<'_, Netdev<'_>>,
    members: &[Item<'_, Netdev<'_>>],
    filters: Evidence,
) {
    for (id, _) in ctx.topology.into(bridge.id, EdgeKind::StackedOn) {
        if let Some(vlan) = ctx.netdev(id).filter(|device| device.kind == NetdevKind::Vlan) {
            own_vlan(ctx, out, table, bridge, members, vlan, filters);
        }
    }
    let way_out =
        members.iter().any(|member| uplink::is_uplink(member) && member.usable() == Some(true));
    for port in members.iter().filter(|member| is_guest(member) && member.usable() != Some(false)) {
        guest(ctx, out, table, bridge, members, *port, filters, way_out);
    }
    for port in members.iter().filter(|member| uplink::is_uplink(member)) {
        access_nic(ctx, out, table, bridge, members, *port, filters);
    }
}

/// The NIC that takes a VLAN to the next switch: one that is not itself the port of somebody in
/// another VLAN.
fn trunk<'m>(table: &Table<'_>, members: &'m [Item<'_, Netdev<'_>>]) -> Option<&'m str> {
    let is_access = |name: &str| table.access(name).and_then(vid).is_some_and(|vlan| vlan != 1);
    let nics = members.iter().filter(|member| uplink::is_uplink(member));
    nics.map(Item::name).find(|name| !is_access(name))
}

/// A NIC in one VLAN of its own, on a bridge with another NIC: a port of a switch that has no path
/// to the next one.
fn access_nic(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    table: &Table<'_>,
    bridge: Item<'_, Netdev<'_>>,
    members: &[Item<'_, Netdev<'_>>],
    port: Item<'_, Netdev<'_>>,
    filters: Evidence,
) {
    let access = table.access(port.name()).filter(|_| port.usable() == Some(true));
    let Some(vlan) = access.and_then(|access| access.vid.as_ref()) else { return };
    let others = || members.iter().filter(|member| member.id != port.id);
    let met = table.has(bridge.name(), vlan.value)
        || others().any(|member| table.has(member.name(), vlan.value));
    let to = trunk(table, members).filter(|name| *name != port.name() && vlan.value != 1);
    let Some(to) = to.filter(|_| !met) else { return };
    let vlan = Fact { value: vlan.value, evidence: vlan.evidence(table.source) };
    report_alone(ctx, out, table, bridge, port, &vlan, to, filters);
}

/// Reports a port that nobody shares its VLAN with; `to` is the NIC that should.
#[expect(clippy::too_many_arguments, reason = "one port and what its bridge knows")]
fn report_alone(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    table: &Table<'_>,
    bridge: Item<'_, Netdev<'_>>,
    port: Item<'_, Netdev<'_>>,
    vlan: &Fact<u16>,
    to: &str,
    filters: Evidence,
) {
    let message = format!(
        "is alone in VLAN {}: no other port of {} is in it, nor the bridge itself",
        vlan.value,
        bridge.name()
    );
    let finding = out.fault(ctx, port.host, port.id, message);
    finding.at_most(Severity::Warning);
    finding.no_surer_than(Confidence::Suspect);
    finding.primary(vlan.evidence, "its VLAN");
    finding.context(filters, "VLANs are filtered");
    finding.rests_on_absence(table.searched(format!("another port in VLAN {}", vlan.value)));
    finding.next(format!("bridge vlan add dev {to} vid {}", vlan.value));
}

/// A VLAN device on the bridge itself: the bridge must be in that VLAN.
fn own_vlan(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    table: &Table<'_>,
    bridge: Item<'_, Netdev<'_>>,
    members: &[Item<'_, Netdev<'_>>],
    vlan: Item<'_, Netdev<'_>>,
    filters: Evidence,
) {
    let id = vlan.data.records.iter().find_map(|record| {
        let data = record.record.kind_data.vlan.as_ref()?;
        Some(Fact { value: data.id.value, evidence: data.id.evidence(record.source) })
    });
    let Some(id) = id else {
        out.cannot_tell(vlan.host, [Topic::LinkDetails.command(vlan.netns())]);
        return;
    };
    if vlan.admin_up() == Some(false) {
        out.clean();
        return;
    }
    if table.has(bridge.name(), id.value) {
        without_port(ctx, out, table, bridge, members, vlan, &id, filters);
        return;
    }
    let message = format!(
        "{} filters VLANs and is itself not in VLAN {}: nothing reaches this device",
        bridge.name(),
        id.value
    );
    let finding = out.fault(ctx, vlan.host, vlan.id, message);
    finding.at_most(Severity::Warning);
    finding.primary(id.evidence, "the VLAN that it needs");
    finding.primary(filters, "VLANs are filtered");
    let searched = table.searched(format!("VLAN {} of {}", id.value, bridge.name()));
    match table.line(bridge.name()) {
        // The list of its VLANs is there, and this one is not in it.
        Some(line) => {
            finding.primary(line, "the VLANs of the bridge itself");
            finding.absent(searched);
        }
        None => {
            finding.rests_on_absence(searched);
        }
    }
    finding.next(format!("bridge vlan add dev {} vid {} self", bridge.name(), id.value));
}

/// The bridge is in the VLAN of a device on it: some port has to be in it, too.
#[expect(clippy::too_many_arguments, reason = "one device and what its bridge knows")]
fn without_port(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    table: &Table<'_>,
    bridge: Item<'_, Netdev<'_>>,
    members: &[Item<'_, Netdev<'_>>],
    vlan: Item<'_, Netdev<'_>>,
    id: &Fact<u16>,
    filters: Evidence,
) {
    let used = ctx.master(vlan.id).is_some() || !ctx.addresses_of(vlan.id).is_empty();
    let met = members.iter().any(|member| table.has(member.name(), id.value));
    let Some(to) = trunk(table, members).filter(|_| used && !met) else {
        out.clean();
        return;
    };
    let message = format!(
        "{} filters VLANs and none of its ports is in VLAN {}: nothing reaches this device",
        bridge.name(),
        id.value
    );
    let finding = out.fault(ctx, vlan.host, vlan.id, message);
    finding.primary(id.evidence, "the VLAN that it needs");
    finding.primary(filters, "VLANs are filtered");
    if let Some(line) = table.line(to) {
        finding.primary(line, "the VLANs of the NIC");
    }
    finding.rests_on_absence(table.searched(format!("a port in VLAN {}", id.value)));
    finding.next(format!("bridge vlan add dev {to} vid {}", id.value));
}

/// A port that puts untagged frames into a VLAN and sends the frames of that VLAN with their tag.
fn is_uneven(ctx: &Ctx<'_>, table: &Table<'_>, port: Item<'_, Netdev<'_>>) -> bool {
    let Some(access) = table.access(port.name()) else { return false };
    // Whoever has a VLAN device at the far end takes the tag off.
    let takes_tags = || {
        let peer = ctx.veth_peer(port.id)?;
        let upper = ctx.topology.into(peer.id, EdgeKind::StackedOn);
        upper.iter().find(|(id, _)| {
            ctx.netdev(*id).is_some_and(|device| device.kind == NetdevKind::Vlan)
        })?;
        Some(())
    };
    !has_flag(access, "Untagged") && takes_tags().is_none()
}

#[expect(clippy::too_many_arguments, reason = "one port and what its bridge knows")]
fn guest(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    table: &Table<'_>,
    bridge: Item<'_, Netdev<'_>>,
    members: &[Item<'_, Netdev<'_>>],
    port: Item<'_, Netdev<'_>>,
    filters: Evidence,
    way_out: bool,
) {
    let name = port.name();
    let pvid = table.pvid(name);
    let wanted = wanted(ctx, port);
    let add = |vlan: String| format!("bridge vlan add dev {name} vid {vlan} pvid untagged");
    if let (Some(wanted), true) = (
        &wanted,
        pvid.as_ref().map(|pvid| pvid.value) != wanted.as_ref().map(|wanted| wanted.value),
    ) {
        let has = pvid.as_ref().map_or_else(|| "none".to_owned(), |pvid| pvid.value.to_string());
        let message = format!(
            "the VM's definition wants VLAN {}, the bridge gives its frames {has}: it is in the wrong network",
            wanted.value
        );
        let finding = out.fault(ctx, port.host, port.id, message);
        finding.at_most(Severity::Warning);
        finding.primary(wanted.evidence, "what the definition wants");
        match &pvid {
            Some(it) => {
                finding.primary(it.evidence, "what the bridge does");
            }
            None => {
                finding.rests_on_absence(table.searched(format!("a PVID of {name}")));
            }
        }
        finding.context(filters, "VLANs are filtered");
        finding.next(add(wanted.value.to_string()));
        return;
    }
    if table.vlans(name).next().is_none() {
        let message =
            format!("{} filters VLANs and this port is in none: nothing passes", bridge.name());
        let finding = out.fault(ctx, port.host, port.id, message);
        finding.at_most(Severity::Warning);
        finding.primary(filters, "VLANs are filtered");
        match table.line(name) {
            Some(line) => {
                finding.primary(line, "no VLAN");
            }
            None => {
                finding.rests_on_absence(table.searched(format!("a VLAN of {name}")));
            }
        }
        finding.next(add("VLAN".to_owned()));
        return;
    }
    if let Some(pvid) = pvid.as_ref().filter(|_| is_uneven(ctx, table, port)) {
        let message = format!(
            "untagged frames come in as VLAN {0}, and those of VLAN {0} go out tagged: the far end drops what it has no VLAN device for",
            pvid.value
        );
        let finding = out.fault(ctx, port.host, port.id, message);
        finding.at_most(Severity::Warning);
        finding.no_surer_than(Confidence::Suspect);
        finding.primary(pvid.evidence, "PVID without `Egress Untagged`");
        finding.context(filters, "VLANs are filtered");
        finding.next(add(pvid.value.to_string()));
        return;
    }
    let Some(pvid) = pvid.filter(|_| way_out) else {
        // A guest that tags its own frames needs no PVID.
        out.clean();
        return;
    };
    let met = table.has(bridge.name(), pvid.value)
        || members
            .iter()
            .any(|member| member.id != port.id && table.has(member.name(), pvid.value));
    if met {
        out.clean();
        return;
    }
    let to = trunk(table, members).unwrap_or("NIC");
    report_alone(ctx, out, table, bridge, port, &pvid, to, filters);
}

/// The one VLAN that the XML of a running VM asks for.
fn wanted(ctx: &Ctx<'_>, port: Item<'_, Netdev<'_>>) -> Option<Fact<u16>> {
    let nics = ctx.nics_behind(port.host, port.name());
    nics.into_iter().filter(|nic| nic.data.live).find_map(|nic| {
        let target: Option<&Name> = nic.data.target.as_ref().map(|target| &target.value);
        let xml = nic.data.xml?;
        match xml.record.vlans.as_slice() {
            [one]
                if !xml.record.vlan_trunk && target.is_some_and(|target| target == port.name()) =>
            {
                Some(Fact { value: one.value, evidence: one.evidence(xml.source) })
            }
            _ => None,
        }
    })
}
