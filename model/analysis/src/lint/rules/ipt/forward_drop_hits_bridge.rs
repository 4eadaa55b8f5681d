use std::collections::{BTreeMap, BTreeSet};

use tapline_model::capture::HostId;
use tapline_model::ids::Netns;
use tapline_model::records::Batch;
use tapline_model::records::netfilter::{NetfilterRule, NetfilterTable};
use tapline_model::records::route::Family;
use tapline_model::span::{Evidence, SourceId};
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{Topic, names};

use crate::lint::ctx::Item;
use crate::lint::settings::Firewall;
use crate::lint::{Confidence, Ctx, Verdicts, declare_rule, defs};

declare_rule! {
    code: "IPT-001",
    id: "forward-drop-hits-bridge",
    summary: "the host's packet filter drops what a bridge passes between VMs and the wire",
    severity: Error,
    confidence: Strong,
    page: "forward_drop_hits_bridge.md",
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let filters = filters(ctx);
    let switches = switches(ctx);
    for bridge in ctx.netdevs() {
        if bridge.kind != NetdevKind::Bridge || !bridge.netns().is_root() {
            continue;
        }
        let Some((port, uplink)) = victim(ctx, bridge) else { continue };
        judge(ctx, out, bridge, port, uplink, &filters, &switches);
    }
}

/// The IPv4 filter table of each host, a whole one first.
fn filters<'a>(ctx: &Ctx<'a>) -> BTreeMap<HostId, (SourceId, &'a NetfilterTable)> {
    let mut all: BTreeMap<HostId, (SourceId, &NetfilterTable)> = BTreeMap::new();
    for (source, reading) in ctx.topology.snapshot.iter().filter(|(it, _)| it.netns.is_root()) {
        let Batch::Netfilter(tables) = &reading.records else { continue };
        for table in tables {
            let v4 = table.family.is_none_or(|it| it == Family::Inet)
                && !source.command.program().starts_with("ip6");
            if table.table.value == "filter" && v4 && table.committed {
                all.entry(source.host).or_insert((source.id, table));
            }
        }
    }
    all
}

/// `net.bridge.bridge-nf-call-iptables` of each host.
fn switches(ctx: &Ctx<'_>) -> BTreeMap<HostId, (bool, Evidence)> {
    let mut all = BTreeMap::new();
    for (source, reading) in ctx.topology.snapshot.iter().filter(|(it, _)| it.netns.is_root()) {
        let Batch::Sysctls(settings) = &reading.records else { continue };
        for setting in settings {
            if setting.key.value == "net.bridge.bridge-nf-call-iptables"
                && let Some(number) = setting.number()
            {
                let evidence = Evidence { source: source.id, span: setting.at };
                all.entry(source.host).or_insert((number != 0, evidence));
            }
        }
    }
    all
}

/// A VM's or container's port and the NIC of a bridge that joins the two. Bridges that come
/// with rules of their own are left out: docker, libvirt's networks, CNI, neutron's hybrid ports.
fn victim<'a>(
    ctx: &Ctx<'a>,
    bridge: Item<'a, Netdev<'a>>,
) -> Option<(Item<'a, Netdev<'a>>, Item<'a, Netdev<'a>>)> {
    let name = bridge.name();
    let hashed = names::kind(name, true, false) == NetdevKind::Bridge && name.starts_with("br-");
    let owned = ["docker", "virbr", "cni", "podman", "qbr", "brq", "fwbr"];
    if hashed || owned.iter().any(|it| name.starts_with(it)) {
        return None;
    }
    let members = ctx.members(bridge.id);
    let uplink = members.iter().find(|it| defs::is_uplink_kind(it))?;
    let port = members.iter().find(|it| {
        matches!(it.kind, NetdevKind::Tap | NetdevKind::Veth) && it.usable() != Some(false)
    })?;
    (port.id != uplink.id).then_some((*port, *uplink))
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    bridge: Item<'_, Netdev<'_>>,
    port: Item<'_, Netdev<'_>>,
    uplink: Item<'_, Netdev<'_>>,
    filters: &BTreeMap<HostId, (SourceId, &NetfilterTable)>,
    switches: &BTreeMap<HostId, (bool, Evidence)>,
) {
    let host = bridge.host;
    let own = bridge.records.iter().find_map(|it| {
        let data = it.record.kind_data.bridge.as_ref()?.nf_call_iptables.as_ref()?;
        data.value.then(|| data.evidence(it.source))
    });
    let global = switches.get(&host);
    if own.is_none() && global.is_some_and(|it| !it.0) {
        // The filter does not see bridged frames at all.
        out.clean();
        return;
    }
    let Some(&(source, table)) = filters.get(&host) else {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Netfilter]));
        return;
    };
    let Some(drop) = drop(source, table) else {
        out.clean();
        return;
    };
    if spares(table, &drop, bridge, port) {
        out.clean();
        return;
    }
    // Docker and kubelet load the module that shows bridged frames to the filter, and switch it on.
    let container =
        table.chains.iter().any(|it| it.name.starts_with("DOCKER") || it.name.starts_with("KUBE-"));
    let switch = own.or(global.map(|it| it.1));
    // So does neutron's agent where security groups are rules of iptables on bridges.
    let hybrid = ctx.settings.env.firewall == Some(Firewall::Hybrid);
    if switch.is_none() && !container && !hybrid {
        out.cannot_tell(host, ["sysctl net.bridge.bridge-nf-call-iptables".to_owned()]);
        return;
    }
    let message = format!(
        "the filter drops what is forwarded, and sees bridged frames: {} and {} are cut apart",
        port.name(),
        uplink.name()
    );
    let finding = out.fault(ctx, host, bridge.id, message);
    finding.primary(drop.evidence, "what drops");
    match switch {
        Some(evidence) => {
            finding.primary(evidence, "bridged frames are filtered");
        }
        None => {
            finding.no_surer_than(Confidence::Suspect);
            finding.note(if container {
                "whether bridged frames are filtered was not captured; the software that made these chains switches it on"
            } else {
                "whether bridged frames are filtered was not captured; with `firewall: hybrid` neutron's agent switches it on"
            });
        }
    }
    for (device, label) in [(port, "a port that is cut off"), (uplink, "the way out")] {
        if let Some(place) = device.place() {
            finding.context(place, label);
        }
    }
    if let Some((packets, _)) = drop.counters {
        finding.note(format!("{packets} packets were dropped so since the counters were reset"));
    }
    let chain = if container { "DOCKER-USER" } else { "FORWARD" };
    finding.next(format!("iptables -I {chain} -i {0} -o {0} -j ACCEPT", bridge.name()));
    if hybrid {
        finding.note("do not switch the filtering of bridged frames off: security groups need it");
    }
    finding.next("sysctl net.bridge.bridge-nf-call-iptables");
}

/// Where forwarded packets end that no rule spares.
struct Drop {
    evidence: Evidence,
    counters: Option<(u64, u64)>,
    /// How many rules of the table come before.
    before: usize,
}

fn drop(source: SourceId, table: &NetfilterTable) -> Option<Drop> {
    let drops = |it: &str| matches!(it, "DROP" | "REJECT");
    let last = table.rules.iter().position(|it| {
        it.chain == "FORWARD"
            && it.matches.is_empty()
            && it.target.as_ref().is_some_and(|it| drops(&it.value))
    });
    if let Some((at, rule)) = last.and_then(|at| Some((at, table.rules.get(at)?))) {
        let evidence = Evidence { source, span: rule.at };
        return Some(Drop { evidence, counters: rule.counters, before: at });
    }
    let chain = table.chains.iter().find(|it| it.name == "FORWARD")?;
    let policy = chain.policy.as_ref().filter(|it| drops(&it.value))?;
    Some(Drop {
        evidence: policy.evidence(source),
        counters: chain.counters,
        before: table.rules.len(),
    })
}

/// Whether a rule accepts frames of this bridge before they are dropped, or leads to a chain of
/// software that knows its VMs.
fn spares(
    table: &NetfilterTable,
    drop: &Drop,
    bridge: Item<'_, Netdev<'_>>,
    port: Item<'_, Netdev<'_>>,
) -> bool {
    let mut chains: BTreeMap<&str, Vec<&NetfilterRule>> = BTreeMap::new();
    for (at, rule) in table.rules.iter().enumerate() {
        if rule.chain != "FORWARD" || at < drop.before {
            chains.entry(rule.chain.as_str()).or_default().push(rule);
        }
    }
    let knows = ["neutron", "cali-", "FLANNEL", "LIBVIRT", "KUBE-FORWARD", "CNI-"];
    let mut seen: BTreeSet<&str> = BTreeSet::from(["FORWARD"]);
    let mut open = vec!["FORWARD"];
    while let Some(chain) = open.pop() {
        for rule in chains.get(chain).into_iter().flatten() {
            let Some(target) = rule.target.as_ref().filter(|_| fits(rule, bridge, port)) else {
                continue;
            };
            let target = target.value.as_str();
            if knows.iter().any(|it| target.starts_with(it)) {
                return true;
            }
            if target == "ACCEPT" && !is_narrow(rule) {
                return true;
            }
            if seen.insert(target) {
                open.push(target);
            }
        }
    }
    false
}

/// Whether the rule's devices may be those of the bridge.
fn fits(rule: &NetfilterRule, bridge: Item<'_, Netdev<'_>>, port: Item<'_, Netdev<'_>>) -> bool {
    let mut not = false;
    let mut words = rule.matches.iter();
    while let Some(word) = words.next() {
        let device = match word.as_str() {
            "!" => {
                not = true;
                continue;
            }
            "-i" | "-o" | "--in-interface" | "--out-interface" => Some(bridge.name()),
            "--physdev-in" | "--physdev-out" => Some(port.name()),
            _ => None,
        };
        if let (Some(device), Some(pattern)) = (device, device.and_then(|_| words.next())) {
            let same = match pattern.strip_suffix('+') {
                Some(start) => device.starts_with(start),
                None => device == pattern,
            };
            if same == not {
                return false;
            }
        }
        not = false;
    }
    true
}

/// Rules for packets of known connections let nothing begin; rules for one address are about one
/// published port.
fn is_narrow(rule: &NetfilterRule) -> bool {
    rule.matches.iter().any(|it| {
        let replies = it.contains("ESTABLISHED") || it.contains("RELATED");
        replies && !it.contains("NEW") || matches!(it.as_str(), "-d" | "--destination")
    })
}
