use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::EACH_NAMESPACE;
use tapline_core::span::Evidence;
use tapline_topology::graph::NetnsNode;
use tapline_topology::{Thing, Topic, names};

use crate::lint::rules::ns::netns_handle_stale::is_stale;
use crate::lint::{Ctx, Other, Severity, Subject, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "CAP-002",
    id: "netns-coverage",
    summary: "namespaces were listed and not captured, or captured and not listed",
    severity: Warning,
    confidence: Proven,
    page: "netns_coverage.md",
    layer: (Capture, 40),
    rank: 980,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

/// Names that the message has room for.
const SHOWN: usize = 3;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut all: BTreeMap<HostId, Vec<Item<'_, NetnsNode<'_>>>> = BTreeMap::new();
    // What could not be entered is NS-004.
    let stale: BTreeSet<_> = ctx
        .topology
        .snapshot
        .iter()
        .map(|(it, _)| it)
        .filter(|it| it.netns.name().is_some())
        .filter(|it| ctx.topology.snapshot.completeness(it.id).is_failed() && is_stale(it))
        .map(|it| (it.host, &it.netns))
        .collect();
    for netns in ctx.namespaces().filter(|netns| netns.netns().name().is_some()) {
        all.entry(netns.host).or_default().push(netns);
    }
    for (host, namespaces) in &all {
        let is_blind = |netns: &&Item<'_, NetnsNode<'_>>| {
            netns.listed.is_some()
                && !netns.captured
                && !stale.contains(&(netns.host, netns.netns()))
        };
        let blind: Vec<_> = namespaces.iter().filter(is_blind).copied().collect();
        let captured = namespaces.iter().filter(|netns| netns.captured).count();
        for _ in 0..captured {
            out.clean();
        }
        if !blind.is_empty() {
            not_captured(ctx, out, *host, &blind, captured);
        }
        if ctx.complete(*host, &Netns::Root, Topic::NetnsList) {
            let is_unlisted =
                |netns: &&Item<'_, NetnsNode<'_>>| netns.listed.is_none() && netns.captured;
            let unlisted: Vec<_> = namespaces.iter().filter(is_unlisted).copied().collect();
            if !unlisted.is_empty() {
                not_listed(ctx, out, *host, &unlisted);
            }
        }
    }
    domains(ctx, out);
    for host in ctx.hosts() {
        // Ports of routers and DHCP servers live in namespaces; without their list nobody knows
        // which.
        let inside = || {
            ctx.ovs_ports_of(host).any(|port| {
                ["qr-", "qg-", "ha-", "sg-", "fg-"]
                    .iter()
                    .any(|start| port.name().starts_with(start))
                    && names::port_prefix(port.name()).is_some()
            })
        };
        if !ctx.complete(host, &Netns::Root, Topic::NetnsList)
            && !all.contains_key(&host)
            && inside()
        {
            out.cannot_tell(host, [Topic::NetnsList.command(&Netns::Root)]);
        }
    }
}

/// What `virsh list` names and whose XML was captured, by host.
#[derive(Default)]
struct Domains<'a> {
    listed: BTreeMap<&'a str, (Evidence, bool)>,
    described: BTreeMap<&'a str, (Evidence, bool)>,
}

/// Domains that were listed and whose XML was not captured, where that of others was; and live XML
/// of a domain that is not in the list.
fn domains(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut hosts: BTreeMap<HostId, Domains<'_>> = BTreeMap::new();
    for (source, rows) in ctx.domain_state_texts() {
        let known = hosts.entry(source.host).or_default();
        for row in rows {
            let Some(name) = &row.name else { continue };
            let off = row.state.as_ref().is_some_and(|state| state.value == "shut off");
            let place = name.evidence(source.id);
            known.listed.entry(name.as_str()).or_insert((place, !off));
        }
    }
    for (source, all) in ctx.domain_texts() {
        let known = hosts.entry(source.host).or_default();
        for domain in all {
            let Some(name) = &domain.name else { continue };
            let place = name.evidence(source.id);
            let entry = known.described.entry(name.as_str()).or_insert((place, false));
            entry.1 |= domain.live;
        }
    }
    for (host, it) in hosts {
        if it.listed.is_empty() || it.described.is_empty() {
            // That nothing but the list was captured is a choice.
            continue;
        }
        // What a VM that is off would be plugged into disturbs nobody.
        let runs = |entry: &(Evidence, bool)| entry.1;
        // A part of its XML may show its NICs without its name.
        let with_nics: BTreeSet<&str> = ctx
            .vm_nics()
            .filter(|nic| nic.host == host)
            .filter_map(|nic| ctx.vm(nic.vm))
            .map(|vm| vm.name())
            .collect();
        let is_described = |name: &str| it.described.contains_key(name) || with_nics.contains(name);
        let blind: Vec<_> =
            it.listed.iter().filter(|(name, entry)| runs(entry) && !is_described(name)).collect();
        if !blind.is_empty() {
            not_described(ctx, out, host, &blind, it.listed.len());
        }
        if ctx.complete(host, &Netns::Root, Topic::Domains) {
            for (name, (place, live)) in &it.described {
                if *live && !it.listed.contains_key(name) {
                    no_such_domain(out, host, name, *place);
                }
            }
        }
    }
}

fn not_described(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    blind: &[(&&str, &(Evidence, bool))],
    all: usize,
) {
    let shown = defs::list(blind.iter().map(|(name, _)| **name), SHOWN);
    let message = format!(
        "{} of {all} VMs were listed and their XML not captured ({shown}): what they are plugged into is not known",
        blind.len(),
    );
    let subject = Other::DomainXml { host: ctx.host_name(host).to_owned() };
    let finding = out.fire(host, subject, message);
    for (_, (place, _)) in blind.iter().take(5) {
        finding.primary(*place, "listed here");
    }
    for (name, _) in blind.iter().skip(SHOWN) {
        finding.also(Subject::absent(Thing::Vm { name: (**name).into() }));
    }
    // One may have been made in between. What is shown of a session is a choice.
    let pasted = blind.iter().any(|(_, (place, _))| {
        ctx.topology.snapshot.source(place.source).is_some_and(|source| source.first_line > 1)
    });
    if pasted || blind.len() == 1 && all > 2 {
        finding.at_most(Severity::Info);
    }
    finding.next("for d in $(virsh list --all --name); do virsh dumpxml $d; done");
}

fn no_such_domain(out: &mut Verdicts, host: HostId, name: &str, place: Evidence) {
    let message = "its XML says that it runs, and it is not in the list of VMs: the texts are of different times or hosts";
    let finding = out.fire(host, Subject::absent(Thing::Vm { name: name.into() }), message);
    finding.primary(place, "its XML");
    // It may have gone between the two commands.
    finding.at_most(Severity::Info);
    finding.next("virsh list --all");
}

fn not_captured(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    blind: &[Item<'_, NetnsNode<'_>>],
    captured: usize,
) {
    let shown = defs::list(blind.iter().map(Item::name), SHOWN);
    let message = format!(
        "{} of {} namespaces were listed but not captured ({shown}): what is in them is not known",
        blind.len(),
        blind.len() + captured,
    );
    let subject = ctx.host_subject(host);
    let finding = out.fire(host, subject, message);
    for netns in blind.iter().take(5) {
        if let Some(place) = netns.data.listed {
            finding.primary(place, "listed here");
        }
    }
    for netns in blind.iter().skip(SHOWN) {
        finding.also(ctx.subject(netns.id));
    }
    // One may have been made while the others were captured; none at all is a choice.
    if captured == 0 || blind.len() == 1 && captured > 1 {
        finding.at_most(Severity::Info);
    }
    finding.next(format!(
        "{EACH_NAMESPACE} ip netns exec \"$n\" ip -d address </dev/null; ip netns exec \"$n\" ip route show table all </dev/null; done"
    ));
}

fn not_listed(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    unlisted: &[Item<'_, NetnsNode<'_>>],
) {
    for netns in unlisted {
        let message = "captured, but not in the list of namespaces: the texts are of different times or hosts";
        let finding = out.fault(ctx, host, netns.id, message);
        if let Some(place) = netns.place() {
            finding.primary(place, "captured inside it");
        }
        // It may have gone between the two commands.
        if unlisted.len() == 1 {
            finding.at_most(Severity::Info);
        }
        finding.next("ip netns list");
    }
}
