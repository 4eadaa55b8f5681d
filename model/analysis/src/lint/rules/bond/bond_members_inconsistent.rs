use std::collections::BTreeMap;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::need::Need;
use tapline_core::records::ovs::OvsRow;
use tapline_core::span::Evidence;
use tapline_topology::EdgeKind;
use tapline_topology::graph::{Netdev, NetdevKind};

use crate::lint::{Confidence, Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::nics::Nics;
use tapline_network::uplink;

declare_rule! {
    code: "BOND-003",
    id: "bond-members-inconsistent",
    summary: "the members of a bond differ, or its mode does not go with what it carries",
    severity: Warning,
    confidence: Proven,
    page: "bond_members_inconsistent.md",
    layer: (Physical, 40),
    rank: 670,
    about: [],
    cuts: [ToSwitch, BehindSwitch],
    asks: [],
    after: [
        [nic::uplink_link_down, bond::bond_degraded, bond::lacp_not_negotiated] by [Above],
        [nic::uplink_link_down, bond::bond_degraded] by [Device],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let nics = ctx.nics();
    for bond in ctx.netdevs().filter(|device| device.kind == NetdevKind::Bond) {
        if uplink::role(ctx, &bond).is_none() || bond.usable() == Some(false) {
            out.clean();
            continue;
        }
        members(ctx, out, nics, bond);
        mode(ctx, out, nics, bond);
    }
    ovs_modes(ctx, out);
}

/// How fast a member runs, as one of the commands prints it.
struct Speed<'a> {
    name: &'a str,
    /// `1000 full`.
    value: String,
    evidence: Evidence,
}

fn members<'a>(ctx: &Ctx<'a>, out: &mut Verdicts, nics: &Nics<'a>, bond: Item<'a, Netdev<'a>>) {
    let mut speeds: Vec<Speed<'_>> = Vec::new();
    let mut open = false;
    let members = ctx.members(bond.id);
    for member in members.iter().filter(|member| member.usable() == Some(true)) {
        match speed(nics, *member) {
            Some(Ok(speed)) => speeds.push(speed),
            // A virtual NIC has none.
            Some(Err(())) => {}
            None => open = true,
        }
    }
    let Some((first, rest)) = speeds.split_first() else {
        if open && members.len() > 1 {
            out.cannot_tell(
                bond.host,
                [Need::command("cat").with(&format!("/proc/net/bonding/{}", bond.name()))],
            );
        } else {
            out.clean();
        }
        return;
    };
    let Some(other) = rest.iter().find(|it| it.value != first.value) else {
        out.clean();
        return;
    };
    let message = format!(
        "{} runs at {}, {} at {}: traffic is spread unevenly, and a failover changes the speed",
        first.name, first.value, other.name, other.value
    );
    let finding = out.fault(ctx, bond.host, bond.id, message);
    for it in [first, other] {
        finding.primary(it.evidence, format!("{}: its speed", it.name));
    }
    if let Some(mode) = nics.bond_mode(&bond) {
        finding.context(mode.evidence, "its mode");
        if mode.value == "active-backup" {
            finding.at_most(Severity::Info);
            finding.note("a slower member that only stands by may be meant so");
        }
    }
    finding.next(format!("ethtool {}; ethtool {}", first.name, other.name));
}

/// The speed of a member; `Err` where it is told and unknown, `None` where nothing tells.
fn speed<'a>(nics: &Nics<'a>, member: Item<'a, Netdev<'a>>) -> Option<Result<Speed<'a>, ()>> {
    let texts = nics.of(member.id)?;
    let name = member.name();
    if let Some(slave) = texts.slave
        && let Some(speed) = &slave.record.speed
    {
        let duplex = slave.record.duplex.as_ref().map_or("", Name::as_str);
        let evidence = Evidence { source: slave.source, span: slave.record.at };
        return Some(text(name, speed, duplex, evidence));
    }
    let settings = texts.settings?;
    let printed = settings.record.speed.as_ref()?;
    let duplex = settings.record.duplex.as_ref().map_or("", |duplex| duplex.value.as_str());
    Some(text(name, &printed.value, duplex, printed.evidence(settings.source)))
}

/// `1000 Mbps` and `1000Mb/s` are the same.
fn text<'a>(name: &'a str, speed: &str, duplex: &str, evidence: Evidence) -> Result<Speed<'a>, ()> {
    let digits: String = speed.chars().take_while(char::is_ascii_digit).collect();
    if digits.is_empty() {
        return Err(());
    }
    let duplex = if duplex.to_ascii_lowercase().starts_with("half") { " half duplex" } else { "" };
    Ok(Speed { name, value: format!("{digits} Mb/s{duplex}"), evidence })
}

/// Modes that put the MACs of the members into what they send: guests behind a bridge have MACs
/// of their own.
fn mode<'a>(ctx: &Ctx<'a>, out: &mut Verdicts, nics: &Nics<'a>, bond: Item<'a, Netdev<'a>>) {
    let Some(mode) = nics.bond_mode(&bond) else { return };
    if !matches!(mode.value.as_str(), "balance-alb" | "balance-tlb") {
        out.clean();
        return;
    }
    let vlans = ctx.topology.into(bond.id, EdgeKind::StackedOn);
    let carriers = [bond].into_iter().chain(vlans.into_iter().filter_map(|(id, _)| ctx.netdev(id)));
    let Some((bridge, guest, place)) =
        carriers.into_iter().find_map(|carrier| guests(ctx, carrier))
    else {
        out.clean();
        return;
    };
    let message = format!(
        "mode {} under {bridge}: frames of {guest} leave with MACs of the members, and answers go astray",
        mode.value
    );
    let finding = out.fault(ctx, bond.host, bond.id, message);
    finding.no_surer_than(Confidence::Strong);
    finding.primary(mode.evidence, "its mode");
    if let Some(place) = place {
        finding.primary(place, "a guest on the bridge");
    }
    finding.next(format!("cat /proc/net/bonding/{}", bond.name()));
}

/// The bridge above a bond, and a guest on it.
fn guests<'a>(
    ctx: &Ctx<'a>,
    bond: Item<'a, Netdev<'a>>,
) -> Option<(String, &'a str, Option<Evidence>)> {
    let is_guest =
        |device: &Item<'a, Netdev<'a>>| matches!(device.kind, NetdevKind::Tap | NetdevKind::Veth);
    if let Some(interface) = ctx.interface_of(bond.id) {
        let bridge = ctx.bridge_called(bond.host, &interface.bridge)?;
        let ports = defs::interfaces_of(ctx, bridge.id);
        let guest = ports.into_iter().filter_map(|port| ctx.device_of(port.id)).find(is_guest)?;
        return Some((format!("OVS bridge {}", bridge.name()), guest.name(), guest.place()));
    }
    let bridge = ctx.master(bond.id).filter(|master| master.kind == NetdevKind::Bridge)?;
    let guest = ctx.members(bridge.id).into_iter().find(is_guest)?;
    Some((format!("bridge {}", bridge.name()), guest.name(), guest.place()))
}

/// `balance-tcp` of OVS passes nothing before LACP is agreed upon (`choose_output_member`,
/// `ofproto/bond.c`).
fn ovs_modes(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut found: BTreeMap<(HostId, Name), (Evidence, Evidence)> = BTreeMap::new();
    for (source, rows) in ctx.ovs_texts() {
        for row in rows {
            let OvsRow::Port(port) = &row.row else { continue };
            let Some(mode) = port.bond_mode.as_ref().filter(|mode| mode.value == "balance-tcp")
            else {
                continue;
            };
            // The whole row of `list` was printed: an empty column is not kept.
            let whole = row.uuid.is_some()
                && !source.command.args().iter().any(|arg| arg.starts_with("--columns"));
            let lacp = row.columns.iter().find(|column| column.name == "lacp");
            let off = match lacp.map(|lacp| (lacp.value.value.as_str(), lacp.value.span)) {
                Some(("[]" | "off", span)) => Some(span),
                None if whole => Some(row.at),
                _ => None,
            };
            if let Some(span) = off {
                let lacp = Evidence { source: source.id, span };
                let places = (mode.evidence(source.id), lacp);
                found.entry((source.host, port.name.value.clone())).or_insert(places);
            }
        }
    }
    for ((host, name), (mode, lacp)) in found {
        let port = ctx.topology.find_ovs_port(host, &name).and_then(|port| ctx.ovs_port(port));
        let Some(port) = port.filter(|port| port.interfaces > 1) else { continue };
        let message = "balance-tcp without LACP: the bond passes nothing";
        let finding = out.fault(ctx, host, port.id, message);
        finding.primary(mode, "its mode");
        finding.primary(lacp, "no LACP");
        finding.next(format!("ovs-vsctl set port {name} lacp=active"));
        finding.next(format!("ovs-appctl bond/show {name}"));
    }
}
