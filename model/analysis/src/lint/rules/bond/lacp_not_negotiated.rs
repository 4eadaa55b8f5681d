use tapline_core::Name;
use tapline_core::ids::{Mac, Netns};
use tapline_core::need::{self, Need};
use tapline_core::span::Evidence;
use tapline_topology::graph::{Fact, Netdev, NetdevKind, OvsPort};
use tapline_topology::{EdgeKind, Topic};

use crate::lint::{Confidence, Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::nics::Nics;
use tapline_network::uplink::{self, Usage};

declare_rule! {
    code: "BOND-002",
    id: "lacp-not-negotiated",
    summary: "a bond speaks LACP and nobody answers, or not on all links",
    severity: Error,
    confidence: Proven,
    page: "lacp_not_negotiated.md",
    layer: (Physical, 20),
    rank: 660,
    about: [],
    cuts: [ToSwitch, BehindSwitch],
    asks: [],
    after: [
        [nic::uplink_link_down] by [Above],
    ],
}

/// Seconds after which a partner has been heard, at the slow rate of LACP.
const SETTLED: u64 = 90;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let nics = ctx.nics();
    for bond in ctx.netdevs().filter(|device| device.kind == NetdevKind::Bond) {
        kernel_bond(ctx, out, nics, bond);
    }
    for port in ctx.ovs_ports() {
        ovs_bond(ctx, out, nics, port);
    }
}

/// A member with a link.
struct Member<'a> {
    name: &'a str,
    aggregator: Option<Fact<Name>>,
}

/// What a bond says of its partner.
struct Partner {
    mac: Option<Fact<Mac>>,
    aggregator: Option<Fact<Name>>,
    ports: Option<Fact<u64>>,
}

fn kernel_bond<'a>(ctx: &Ctx<'a>, out: &mut Verdicts, nics: &Nics<'a>, bond: Item<'a, Netdev<'a>>) {
    let host = bond.host;
    let file = || Need::command("cat").with(&format!("/proc/net/bonding/{}", bond.name()));
    let usage = uplink::usage(ctx, &bond);
    if usage == Usage::Nothing || bond.admin_up() == Some(false) {
        out.clean();
        return;
    }
    let unknown = match &usage {
        Usage::Unknown(needs) => needs.as_slice(),
        Usage::For(_) | Usage::Nothing => &[],
    };
    let Some(mode) = nics.bond_mode(&bond) else {
        out.cannot_tell(host, [file()]);
        return;
    };
    let members = members(ctx, nics, bond);
    let settling = nics.uptime(host).is_some_and(|uptime| uptime < SETTLED);
    // Without a link there is nobody to speak to: that is another finding.
    if mode.value != "802.3ad" || members.is_empty() || settling {
        out.clean();
        return;
    }
    let partner = partner(nics, bond);
    let Some(mac) = partner.mac else {
        out.cannot_tell(host, [file()]);
        return;
    };
    let names = || defs::list(members.iter().map(|member| member.name), 4);
    if mac.value.is_zero() {
        let message = format!(
            "nobody answers in LACP on {}: at most one link carries traffic, and the switch may block all",
            names()
        );
        let finding = out.fault(ctx, host, bond.id, message);
        finding.primary(mac.evidence, "no partner");
        finding.context(mode.evidence, "LACP");
        // One link carries traffic, unless the switch blocks it.
        finding.may_pass = true;
        lower_for_usage(finding, unknown);
        advise(finding, &file());
        return;
    }
    let active = partner.aggregator;
    let outside: Vec<&Member<'_>> = members
        .iter()
        .filter(|member| match (&member.aggregator, &active) {
            (Some(own), Some(active)) => own.value != active.value,
            _ => false,
        })
        .collect();
    let few = partner.ports.filter(|port| port.value < members.len() as u64);
    if outside.is_empty() && few.is_none() {
        out.clean();
        return;
    }
    let message = if outside.is_empty() {
        format!("not all of {} are in the active aggregator: some links carry nothing", names())
    } else {
        format!(
            "{} not in the active aggregator though there is a link: no traffic there",
            defs::list(outside.iter().map(|outside| outside.name), 4)
        )
    };
    let finding = out.fault(ctx, host, bond.id, message);
    finding.at_most(Severity::Warning);
    for member in outside.iter().take(4) {
        if let Some(it) = &member.aggregator {
            finding.primary(it.evidence, format!("{}: its aggregator", member.name));
        }
    }
    if let Some(it) = few {
        finding.primary(it.evidence, "links in the active aggregator");
    }
    if let Some(it) = active {
        finding.primary(it.evidence, "the active aggregator");
    }
    finding.context(mac.evidence, "its partner");
    lower_for_usage(finding, unknown);
    advise(finding, &file());
}

/// A bond that nothing uses may be without a partner.
fn lower_for_usage(finding: &mut Finding, unknown: &[Need]) {
    if !unknown.is_empty() {
        finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
        finding.note(format!("what uses the bond is not known: run {}", need::list(unknown)));
    }
}

fn advise(finding: &mut Finding, file: &Need) {
    finding.next(file.to_string());
    finding.note("the links of one bond belong into one channel with LACP at the other end, too");
}

/// The members that have a link.
fn members<'a>(ctx: &Ctx<'a>, nics: &Nics<'a>, bond: Item<'a, Netdev<'a>>) -> Vec<Member<'a>> {
    let mut all = Vec::new();
    for device in ctx.members(bond.id) {
        let slave = nics.of(device.id).and_then(|of| of.slave);
        let status = slave.and_then(|slave| slave.record.mii_status.as_ref());
        let up = status.map(|status| status.value == "up").or(device.usable());
        if up != Some(true) || device.usable() == Some(false) {
            continue;
        }
        let by_file = slave.and_then(|slave| {
            let value = slave.record.aggregator.as_ref()?;
            Some(Fact { value: value.value.clone(), evidence: value.evidence(slave.source) })
        });
        let aggregator = by_file.or_else(|| detail(device, "ad_aggregator_id"));
        all.push(Member { name: device.name(), aggregator });
    }
    all
}

/// A value that `ip -d` prints of a device.
fn detail(device: Item<'_, Netdev<'_>>, key: &str) -> Option<Fact<Name>> {
    device.data.records.iter().find_map(|record| {
        let value = record.record.other.find(key)?;
        Some(Fact { value: value.value.into(), evidence: value.evidence(record.source) })
    })
}

fn partner<'a>(nics: &Nics<'a>, bond: Item<'a, Netdev<'a>>) -> Partner {
    let number =
        |name: Fact<Name>| Some(Fact { value: name.value.parse().ok()?, evidence: name.evidence });
    Partner {
        mac: nics.lacp_partner(&bond),
        aggregator: nics.told_of_lacp(&bond, "Aggregator ID", "ad_aggregator"),
        ports: nics.told_of_lacp(&bond, "Number of ports", "ad_num_ports").and_then(number),
    }
}

/// A bond of OVS: `lacp_current` of an interface is set only where the port speaks LACP.
fn ovs_bond<'a>(ctx: &Ctx<'a>, out: &mut Verdicts, nics: &Nics<'a>, port: Item<'a, OvsPort>) {
    if port.interfaces < 2 {
        return;
    }
    let mut lost: Vec<(&str, Evidence)> = Vec::new();
    let mut current = 0_usize;
    for (id, _) in ctx.topology.into(port.id, EdgeKind::OvsInterfaceOf) {
        let Some(interface) = ctx.ovs_interface(id) else { continue };
        let Some(device) = ctx.device_of(id) else { continue };
        let Some(row) = nics.of(device.id).and_then(|of| of.ovs) else {
            out.cannot_tell(port.host, [Topic::OvsInterfaces.command(&Netns::Root)]);
            return;
        };
        let column = row.record.columns.iter().find(|column| column.name == "lacp_current");
        match column.map(|column| (column.value.value.as_str(), column.value.evidence(row.source)))
        {
            Some(("true", _)) => current += 1,
            Some(("false", evidence)) if device.usable() != Some(false) => {
                lost.push((interface.name(), evidence));
            }
            _ => {}
        }
    }
    let falls_back = defs::other_config(port.data, "lacp-fallback-ab") == Some("true");
    if lost.is_empty()
        || falls_back
        || nics.uptime(port.host).is_some_and(|uptime| uptime < SETTLED)
    {
        out.clean();
        return;
    }
    let names = defs::list(lost.iter().map(|lost| lost.0), 4);
    let message = format!("nobody answers in LACP on {names}: no traffic there");
    let finding = out.fault(ctx, port.host, port.id, message);
    if current > 0 {
        finding.at_most(Severity::Warning);
    }
    for (name, evidence) in lost.iter().take(4) {
        finding.primary(*evidence, format!("{name}: no partner"));
    }
    if let Some(place) = port.place() {
        finding.context(place, "the bond");
    }
    finding.next(format!("ovs-appctl lacp/show {}", port.name()));
}
