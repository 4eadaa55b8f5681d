use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;
use tapline_core::ids::{IfIndex, Netns};
use tapline_core::records::Batch;
use tapline_core::records::host::Fact as HostFact;
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::graph::ConflictKind;
use tapline_topology::{NodeId, Topic};

use crate::lint::{Confidence, Ctx, Finding, Verdicts, declare_rule};
use tapline_network::defs;

declare_rule! {
    code: "CAP-003",
    id: "mixed-captures",
    summary: "the texts of one host are of different hosts or times",
    severity: Warning,
    confidence: Proven,
    page: "mixed_captures.md",
    layer: (Capture, 20),
    rank: 1000,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

/// Contradictions between two texts from which on they do not describe one state.
const MANY: usize = 3;
/// Devices that a text has to name before it is compared with the list of devices.
const ENOUGH: usize = 5;
/// Seconds between the first and the last text.
const APART: f64 = 1800.0;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut hosts: BTreeMap<HostId, Host<'_>> = BTreeMap::new();
    gather(ctx, &mut hosts);
    for (host, it) in hosts {
        let before = out.findings.len();
        names(ctx, out, host, &it);
        indexes(ctx, out, host, &it);
        times(ctx, out, host, &it);
        contradictions(ctx, out, host, &it);
        strangers(ctx, out, host, &it);
        if out.findings.len() == before {
            out.clean();
        }
    }
}

/// What texts say of a host.
#[derive(Default)]
struct Host<'a> {
    /// Names that the kernel gives for the machine.
    names: Vec<(&'a str, Evidence)>,
    /// Times at which texts were taken, or that they print.
    times: Vec<(f64, Evidence)>,
    /// Names of devices by namespace and index.
    indexes: BTreeMap<(&'a Netns, IfIndex), Vec<(&'a str, Evidence)>>,
    /// Members of bridges by the word of `brctl`.
    members: BTreeMap<&'a str, Evidence>,
    /// Devices about which two texts cannot both be right.
    disputed: BTreeMap<NodeId, [Evidence; 2]>,
}

fn gather<'a>(ctx: &Ctx<'a>, hosts: &mut BTreeMap<HostId, Host<'a>>) {
    for (source, reading) in ctx.topology.snapshot.iter() {
        let host = hosts.entry(source.host).or_default();
        let first =
            Evidence { source: source.id, span: tapline_core::span::Span { start: 0, end: 0 } };
        if let Some(taken) = source.taken
            && !reading.records.is_empty()
        {
            host.times.push((taken, first));
        }
        match &reading.records {
            Batch::HostFacts(facts) => {
                // A file may hold another name than the kernel, and a full name what DNS has.
                let kernels = source.command.path().is_none() && source.command.args().is_empty();
                for fact in facts {
                    match &fact.fact {
                        HostFact::Hostname(name) if kernels => {
                            host.names.push((name.as_str(), name.evidence(source.id)));
                        }
                        HostFact::Uname { node: Some(name), .. } => {
                            host.names.push((name.as_str(), name.evidence(source.id)));
                        }
                        HostFact::Date { text, epoch: Some(epoch) } => {
                            // Seconds since the epoch fit for a long while.
                            #[expect(clippy::cast_precision_loss, reason = "see above")]
                            host.times.push((*epoch as f64, text.evidence(source.id)));
                        }
                        _ => {}
                    }
                }
            }
            Batch::Links(links) => {
                for link in links {
                    let Some(index) = link.index else { continue };
                    let netns = link.netns.as_ref().unwrap_or(&source.netns);
                    let evidence = Evidence { source: source.id, span: link.at };
                    let all = host.indexes.entry((netns, index)).or_default();
                    all.push((link.name.as_str(), evidence));
                }
            }
            Batch::Bridges(bridges) if source.netns.is_root() => {
                for port in bridges.iter().flat_map(|bridge| &bridge.ports) {
                    host.members.insert(port.as_str(), port.evidence(source.id));
                }
            }
            _ => {}
        }
    }
    for conflict in &ctx.topology.conflicts {
        let fixed = match conflict.kind {
            // A state or an MTU may change between two commands.
            ConflictKind::Fact => conflict.witnesses.iter().all(|witness| {
                witness.claim.starts_with("link/ether") || witness.claim.starts_with("index")
            }),
            ConflictKind::VethPeer => true,
            _ => false,
        };
        let node = conflict.nodes.first().copied();
        let host = node.and_then(|node| ctx.topology.node(node)).and_then(|node| node.host);
        if let (true, Some(node), Some(host), [first, second, ..]) =
            (fixed, node, host, conflict.witnesses.as_slice())
        {
            let disputed = &mut hosts.entry(host).or_default().disputed;
            disputed.entry(node).or_insert([first.evidence, second.evidence]);
        }
    }
}

fn report<'o>(
    ctx: &Ctx<'_>,
    out: &'o mut Verdicts,
    host: HostId,
    message: String,
) -> &'o mut Finding {
    let subject = ctx.host_subject(host);
    let finding = out.fire(host, subject, message);
    finding.note("contradictions between texts of this host may come from the mixture");
    finding.next("tapline collect | sh");
    finding
}

/// Two names of one machine.
fn names(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, it: &Host<'_>) {
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let told: Vec<_> = it
        .names
        .iter()
        .map(|(name, at)| (short(name), *at))
        .filter(|(name, _)| !name.is_empty() && name != "localhost")
        .collect();
    let Some((first, at)) = told.first() else { return };
    let Some((other, there)) = told.iter().find(|(name, _)| name != first) else { return };
    let message = format!("its texts are of two machines: one calls itself {first}, one {other}");
    let finding = report(ctx, out, host, message);
    finding.primary(*at, "a name").primary(*there, "another name");
}

/// One index, two names: in one text that cannot be; between two texts devices come, go and are
/// renamed, yet no index is given out twice.
fn indexes(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, it: &Host<'_>) {
    let mut within: Option<(IfIndex, [(&str, Evidence); 2])> = None;
    let mut between: Vec<(IfIndex, [(&str, Evidence); 2])> = Vec::new();
    for ((_, index), devices) in &it.indexes {
        let Some(first) = devices.first() else { continue };
        let mut firsts: BTreeMap<SourceId, &str> = BTreeMap::new();
        let twice = devices.iter().find(|(name, at)| {
            let known = firsts.entry(at.source).or_insert(name);
            known != name
        });
        if let Some(second) = twice {
            let before = devices.iter().find(|device| device.1.source == second.1.source);
            within = within.or(before.map(|before| (*index, [*before, *second])));
        } else if let Some(second) = devices.iter().find(|(name, _)| *name != first.0) {
            between.push((*index, [*first, *second]));
        }
    }
    let found = match within {
        Some(it) => Some(("one text has", it)),
        None if between.len() >= MANY => {
            between.first().map(|between| ("two texts have", *between))
        }
        None => None,
    };
    let Some((who, (index, pair))) = found else { return };
    let [(one, _), (other, _)] = pair;
    let message = format!(
        "{who} index {} for {one} and for {other}: lists of different hosts, namespaces or times run together",
        index.0
    );
    let finding = report(ctx, out, host, message);
    for (name, at) in pair {
        finding.primary(at, format!("index {} is {name}", index.0));
    }
}

/// Texts that were taken far apart.
fn times(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, it: &Host<'_>) {
    let by_time = |a: &&(f64, Evidence), b: &&(f64, Evidence)| a.0.total_cmp(&b.0);
    let (Some(first), Some(last)) =
        (it.times.iter().min_by(by_time), it.times.iter().max_by(by_time))
    else {
        return;
    };
    let apart = last.0 - first.0;
    if apart <= APART {
        return;
    }
    let message = format!(
        "its texts were taken over {:.0} minutes: what changed in between looks like a contradiction",
        apart / 60.0
    );
    let finding = report(ctx, out, host, message);
    finding.primary(first.1, "the first").primary(last.1, "the last");
}

/// Too many devices are disputed for chance.
fn contradictions(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, it: &Host<'_>) {
    let devices = &it.disputed;
    if devices.len() < MANY {
        return;
    }
    let shown =
        devices.keys().filter_map(|key| ctx.topology.node(*key)).map(|node| node.name.as_str());
    let message = format!(
        "two texts disagree about index, MAC or peer of {} devices ({})",
        devices.len(),
        defs::list(shown, 3)
    );
    let finding = report(ctx, out, host, message);
    for [one, other] in devices.values().take(2) {
        finding.primary(*one, "one text").primary(*other, "another");
    }
}

/// Ports of a switch, or members of bridges, most of which the list of devices does not have.
fn strangers(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, it: &Host<'_>) {
    let mut ports: BTreeMap<&str, Evidence> = BTreeMap::new();
    for interface in ctx.ovs_interfaces_of(host) {
        // Ports of the kernel that stay in the root namespace and that OVS could open.
        let system = matches!(interface.data.kind.as_str(), "" | "system");
        if let Some(place) = interface.place()
            && system
            && interface.data.error.is_none()
            && interface.name() != interface.data.bridge
        {
            ports.insert(interface.name(), place);
        }
    }
    compare(ctx, out, host, &ports, "OVS");
    compare(ctx, out, host, &it.members, "brctl");
}

fn compare(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    names: &BTreeMap<&str, Evidence>,
    who: &str,
) {
    if names.len() < ENOUGH {
        return;
    }
    let root = &Netns::Root;
    let is_there = |name: &str| {
        let found =
            ctx.topology.find_netdev(host, root, name).and_then(|device| ctx.netdev(device));
        // A device that `ip` printed, not one that other texts speak of.
        found.is_some_and(|found| !found.data.records.is_empty())
    };
    let missing: BTreeSet<&str> = names.keys().copied().filter(|key| !is_there(key)).collect();
    if missing.len() * 2 <= names.len() {
        return;
    }
    let open = ctx.missing(host, root, &[Topic::Links]);
    if !open.is_empty() {
        out.cannot_tell(host, open);
        return;
    }
    let message = format!(
        "{} of {} devices that {who} names are not in the list of devices ({}): the texts are of different hosts or times",
        missing.len(),
        names.len(),
        defs::list(missing.iter().copied(), 3)
    );
    let finding = report(ctx, out, host, message);
    finding.no_surer_than(Confidence::Strong);
    for name in missing.iter().take(2) {
        if let Some(place) = names.get(name) {
            finding.primary(*place, "named here");
        }
    }
    finding.rests_on_absence(ctx.searched(host, root, Topic::Links, "these devices"));
}
