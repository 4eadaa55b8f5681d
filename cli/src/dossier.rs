//! All that was captured of one thing: gathered once, for text and JSON.
use std::collections::BTreeSet;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;
use tapline_analysis::lint::paths::{Cross, Marks};
use tapline_analysis::lint::{Finding, Report, Subject};
use tapline_core::capture::{HostId, Snapshot, Source};
use tapline_core::ids::{Mac, Netns};
use tapline_core::records::openflow::OfPort;
use tapline_core::span::{Evidence, SourceId, Span};
use tapline_network::nics::{Count, Counts, Nics};
use tapline_network::path::{Hop, Paths};
use tapline_network::{Item, Network};
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, NodeData, NodeId};

pub(crate) mod logical;
mod mentions;
mod sections;

pub(crate) use logical::Told;
pub(crate) use mentions::{Word, mentions};
use mentions::{is_noise, names};
use sections::sections;
pub(crate) use sections::{FLOWS, without_counts};

use crate::addresses::Addresses;
use crate::overview::{self, Cite, GuestAddress};
use crate::render::things::Thing;

/// Devices from the NIC of a VM to its switch at most; more is damage.
const DEVICES: usize = 8;
/// Counters of what goes wrong have one of these in their names.
const TROUBLE: &[&str] = &[
    "err",
    "drop",
    "miss",
    "fifo",
    "crc",
    "discard",
    "collision",
    "carrier",
    "overrun",
    "oversize",
];
/// What is known of one thing.
#[derive(Debug)]
pub(crate) struct Dossier<'r> {
    /// Findings about it or about what is part of it, then those that stand on its path.
    pub(crate) findings: Vec<&'r Finding>,
    /// What OVN's databases say of it.
    pub(crate) logical: Vec<Told>,
    /// Its addresses and those of the guest behind it.
    pub(crate) addresses: Vec<GuestAddress>,
    /// Links and counters of its devices.
    pub(crate) devices: Vec<DeviceFacts>,
    /// Lines that speak of it, by what they are.
    pub(crate) lines: Vec<Section>,
    /// Places that the topology knows it from.
    pub(crate) known: Vec<Line>,
    /// Files that name it otherwise.
    pub(crate) mentions: Vec<Mention>,
}

/// What was captured of one device besides its place in the topology.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct DeviceFacts {
    /// Its name.
    pub(crate) device: String,
    /// `up`, `no link`, `down` (by hand); null where nothing tells.
    pub(crate) link: Option<&'static str>,
    /// As `ethtool` prints it.
    pub(crate) speed: Option<String>,
    /// Its driver.
    pub(crate) driver: Option<String>,
    /// Its PCI address.
    pub(crate) bus: Option<String>,
    /// Packets, and what went wrong, since it was started.
    pub(crate) counters: Vec<Counter>,
}

/// One counter.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Counter {
    /// As printed, in lower case.
    pub(crate) name: String,
    /// Since the device was started.
    pub(crate) value: u64,
    /// Where.
    pub(crate) at: Option<Cite>,
}

/// Lines of one sort.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Section {
    /// `routes`, `neighbours`, `learnt addresses`, `flows`, `packet filter`.
    pub(crate) what: &'static str,
    /// The lines.
    pub(crate) lines: Vec<Line>,
}

/// One line of a text.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Line {
    /// Where.
    pub(crate) at: Cite,
    /// As it stands there.
    pub(crate) text: String,
}

/// A file that names it.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Mention {
    /// On how many lines.
    pub(crate) count: usize,
    /// The first of them.
    pub(crate) first: Line,
    #[serde(skip)]
    pub(crate) lines: Vec<Span>,
}

/// What a thing is made of, for looking it up in texts.
#[derive(Debug, Default)]
struct Parts {
    nodes: BTreeSet<NodeId>,
    macs: BTreeSet<Mac>,
    /// Devices by host, namespace and name.
    devices: BTreeSet<(HostId, Netns, String)>,
    /// OpenFlow ports by host and bridge.
    ports: BTreeSet<(HostId, String, OfPort)>,
    ips: BTreeSet<IpAddr>,
}

/// Gathers what is known of a thing; `wanted` is what was asked for.
pub(crate) fn gather<'r>(
    marks: &Marks<'_, '_, 'r>,
    report: &'r Report,
    addresses: &Addresses,
    thing: &Thing,
    wanted: &str,
    all: bool,
) -> Dossier<'r> {
    let network = marks.network();
    let mut parts = parts(network, thing);
    let mut known_addresses = own_addresses(network, thing);
    let macs: Vec<Mac> = guests(network, &parts).into_iter().collect();
    for mac in macs {
        known_addresses.extend(overview::guest_addresses(network, addresses, mac));
    }
    known_addresses.dedup_by(|a, b| a.ip == b.ip);
    parts.ips.extend(
        known_addresses.iter().filter_map(|known| {
            known.ip.split('/').next().and_then(|ip| ip.parse::<IpAddr>().ok())
        }),
    );
    parts.ips.extend(wanted.parse::<IpAddr>().ok());
    let known = known(network, thing);
    let mut told: BTreeSet<(SourceId, u32)> =
        known.iter().map(|line| (line.at.evidence.source, line.at.line)).collect();
    let lines = sections(network, &parts, thing, &mut told);
    let mentions = mentions(network.topology, &names(network.topology, thing, wanted), &mut told);
    Dossier {
        findings: findings(marks, report, &parts, thing),
        logical: logical::story(network, thing, all),
        addresses: known_addresses,
        devices: devices(network, &parts, thing),
        lines,
        known,
        mentions,
    }
}

/// The nodes of a thing, and the devices that are but its extension: those from the NIC of a VM to
/// its switch.
fn parts(network: &Network<'_>, thing: &Thing) -> Parts {
    let topology = network.topology;
    let mut nodes: BTreeSet<NodeId> = thing.nodes.iter().copied().collect();
    nodes.insert(thing.main);
    let nics: Vec<NodeId> =
        nodes.iter().flat_map(|&id| topology.into(id, EdgeKind::NicOf)).map(|(id, _)| id).collect();
    nodes.extend(nics);
    let attached: Vec<NodeId> = nodes
        .iter()
        .filter(|id| network.vm_nic(**id).is_some())
        .flat_map(|&id| topology.out(id, EdgeKind::AttachesVm))
        .map(|(id, _)| id)
        .collect();
    for start in attached {
        nodes.extend(to_switch(network, start));
    }
    let joined: Vec<NodeId> = nodes
        .iter()
        .flat_map(|&id| {
            let up = topology.out(id, EdgeKind::DeviceOf).into_iter();
            let port = topology.out(id, EdgeKind::OvsInterfaceOf).into_iter();
            up.chain(port).map(|(id, _)| id)
        })
        .collect();
    nodes.extend(joined);
    let ports: Vec<NodeId> = nodes
        .iter()
        .flat_map(|&id| topology.out(id, EdgeKind::OvsInterfaceOf))
        .map(|(id, _)| id)
        .collect();
    nodes.extend(ports);
    let mut parts = Parts { nodes, ..Parts::default() };
    for &id in &parts.nodes {
        let Some(node) = topology.node(id) else { continue };
        let (Some(host), netns) = (node.host, node.netns.clone().unwrap_or_default()) else {
            continue;
        };
        match &node.data {
            NodeData::VmNic(nic) => parts.macs.extend(nic.mac.as_ref().map(|mac| mac.value)),
            NodeData::Netdev(device) => {
                // Bridges share the MAC of a member, and everything passes them.
                if device.kind != NetdevKind::Bridge || thing.nodes.contains(&id) {
                    parts.macs.extend(device.mac.as_ref().map(|mac| mac.value));
                }
                parts.devices.insert((host, netns, node.name.to_string()));
            }
            NodeData::OvsInterface(interface) => {
                let number = interface.ofport.as_ref().map(|port| port.value);
                let number = number.and_then(|number| u32::try_from(number).ok());
                let bridge = interface.bridge.to_string();
                if let Some(number) = number {
                    let port = OfPort::of(&number.to_string());
                    parts.ports.insert((host, bridge.clone(), port));
                }
                parts.ports.insert((host, bridge, OfPort::Name(node.name.clone())));
            }
            _ => {}
        }
    }
    parts.macs.retain(|mac| !mac.is_zero());
    parts
}

/// The devices from one to its switch, over the bridge and the pair of a hybrid port.
fn to_switch(network: &Network<'_>, start: NodeId) -> Vec<NodeId> {
    let mut all = vec![start];
    let mut at = start;
    for _ in 0..DEVICES {
        let Some(master) = network.master(at).filter(|it| it.kind == NetdevKind::Bridge) else {
            break;
        };
        let members = network.members(master.id);
        // The bridge of one port has two members; others serve many.
        if members.len() > 2 {
            break;
        }
        all.push(master.id);
        let onwards = members
            .into_iter()
            .filter(|member| member.id != at)
            .find_map(|member| Some((member.id, network.veth_peer(member.id)?.id)));
        let Some((near, far)) = onwards else { break };
        all.extend([near, far]);
        at = far;
    }
    all
}

/// MACs of the guests behind a thing.
fn guests(network: &Network<'_>, parts: &Parts) -> BTreeSet<Mac> {
    let mut all: BTreeSet<Mac> = parts
        .nodes
        .iter()
        .filter_map(|&id| Some(network.vm_nic(id)?.data.mac.as_ref()?.value))
        .collect();
    // The device of a VM stands for its NIC.
    for &id in &parts.nodes {
        let nics = network.topology.into(id, EdgeKind::AttachesVm);
        let nics = nics.into_iter().filter_map(|(nic, _)| network.vm_nic(nic));
        all.extend(nics.filter_map(|nic| Some(nic.data.mac.as_ref()?.value)));
    }
    all
}

/// The addresses that the devices of a thing have themselves.
fn own_addresses(network: &Network<'_>, thing: &Thing) -> Vec<GuestAddress> {
    let snapshot = network.topology.snapshot;
    let mut all = Vec::new();
    for &id in &thing.nodes {
        let is_link_local = |ip: &IpAddr| match ip {
            IpAddr::V4(_) => false,
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        let own = network.addresses_of(id).into_iter();
        for address in own.filter(|address| !is_link_local(&address.data.ip)) {
            all.push(GuestAddress {
                ip: format!("{}/{}", address.data.ip, address.data.prefix),
                kind: "own",
                how: "on the device".to_owned(),
                at: Cite::of(snapshot, address.line()),
            });
        }
    }
    all
}

/// Findings about the thing, then those that stop its frames elsewhere.
fn findings<'r>(
    marks: &Marks<'_, '_, 'r>,
    report: &'r Report,
    parts: &Parts,
    thing: &Thing,
) -> Vec<&'r Finding> {
    let network = marks.network();
    let is_about = |finding: &&Finding| {
        let nodes = finding.node.iter().chain(&finding.nodes).copied();
        let subjects = std::iter::once(&finding.subject).chain(&finding.also);
        let named = |name: &str| {
            parts.devices.iter().any(|(host, _, device)| *host == finding.host && device == name)
        };
        nodes.chain(subjects.clone().filter_map(Subject::id)).any(|id| parts.nodes.contains(&id))
            || subjects.filter_map(Subject::device).any(named)
    };
    let open = report.findings.iter().filter(|finding| finding.is_open());
    let mut all: Vec<&Finding> = open.filter(is_about).collect();
    // Whole hosts and namespaces are no end of a path.
    let is_end = !matches!(
        network.topology.node(thing.main).map(|node| &node.data),
        Some(NodeData::Host(_) | NodeData::RemoteHost(_))
    );
    if is_end {
        let mut finder = Paths::new(network);
        let behind = network.ovs_bridge(thing.main).is_some();
        let down = finder.down(thing.main);
        let mut crosses = Vec::new();
        collect(marks, &down.hops, behind, &mut crosses);
        crosses.extend(marks.missing(thing.main).map(|missing| missing.finding));
        crosses.extend(match marks.at_start(thing.main) {
            Some(Cross::Finding(finding)) => Some(finding),
            _ => None,
        });
        for finding in crosses {
            if !all.iter().any(|known| known.fingerprint == finding.fingerprint) {
                all.push(finding);
            }
        }
    }
    all.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    all
}

fn collect<'r>(
    marks: &Marks<'_, '_, 'r>,
    hops: &[Hop<'_>],
    behind: bool,
    all: &mut Vec<&'r Finding>,
) {
    for hop in hops {
        if let Some(Cross::Finding(finding)) = marks.at(hop, behind)
            && finding.is_open()
        {
            all.push(finding);
        }
        let is_switch = marks.network().ovs_bridge(hop.node).is_some();
        collect(marks, &hop.next, behind || is_switch, all);
    }
}

/// Link, speed, driver and counters of the devices of a thing.
fn devices(network: &Network<'_>, parts: &Parts, thing: &Thing) -> Vec<DeviceFacts> {
    // Of a namespace or a host the devices are things of their own.
    let whole = matches!(
        network.topology.node(thing.main).map(|node| &node.data),
        Some(NodeData::Host(_) | NodeData::Netns(_))
    );
    if whole {
        return Vec::new();
    }
    let all = parts.nodes.iter().filter_map(|&id| network.netdev(id));
    let facts = all.map(|device| device_facts(network, device));
    facts.filter(|facts| facts.driver.is_some() || !facts.counters.is_empty()).collect()
}

fn device_facts(network: &Network<'_>, device: Item<'_, Netdev<'_>>) -> DeviceFacts {
    let texts = network.nics().of(device.id);
    let settings = texts.and_then(|texts| texts.settings);
    let driver = texts.and_then(|texts| texts.driver);
    let detected = settings.and_then(|it| it.record.link_detected.as_ref()).map(|it| it.value);
    let speed = settings.and_then(|it| it.record.speed.as_ref()).map(|it| it.value.to_string());
    let bus = driver.and_then(|it| it.record.bus_info.as_ref()).map(|it| it.value.to_string());
    DeviceFacts {
        device: device.name().to_owned(),
        link: overview::link(&device, detected),
        speed: speed.filter(|speed| !speed.starts_with("Unknown")),
        driver: driver.map(|driver| driver.record.driver.value.to_string()),
        bus: bus.filter(|bus| !matches!(bus.as_str(), "" | "N/A")),
        counters: counters(network, device),
    }
}

/// Packets in both directions, and counters of trouble that are not zero.
fn counters(network: &Network<'_>, device: Item<'_, Netdev<'_>>) -> Vec<Counter> {
    let counts = network.nics().counts(&device);
    let snapshot = network.topology.snapshot;
    let mut all: Vec<Counter> = Vec::new();
    for way in ["rx", "tx"] {
        let Some(value) = Nics::packets(&counts, way) else { continue };
        let name = format!("{way}_packets");
        let by_name = counts.iter().flat_map(|Counts(counts)| counts);
        let at = by_name.filter(|count| count.value == value).find(|it| it.name.contains(way));
        let at = at.and_then(|count| Cite::of(snapshot, count.evidence));
        all.push(Counter { name, value, at });
    }
    let is_trouble = |count: &&Count| {
        count.value > 0
            && !count.name.contains("packets")
            && TROUBLE.iter().any(|word| count.name.contains(word))
    };
    for count in counts.iter().flat_map(|Counts(counts)| counts).filter(is_trouble) {
        if !all.iter().any(|known| known.name == count.name) {
            let at = Cite::of(snapshot, count.evidence);
            all.push(Counter { name: count.name.clone(), value: count.value, at });
        }
    }
    all
}

fn line(snapshot: &Snapshot, source: &Source, span: Span) -> Option<Line> {
    let at = Cite::of(snapshot, Evidence { source: source.id, span })?;
    let first = source.line_text(span).lines().next().unwrap_or_default();
    Some(Line { at, text: first.trim().to_owned() })
}

/// The places that the topology knows a thing from.
fn known(network: &Network<'_>, thing: &Thing) -> Vec<Line> {
    let topology = network.topology;
    let snapshot = topology.snapshot;
    let mut told = BTreeSet::new();
    let mut all = Vec::new();
    let seen = thing.nodes.iter().filter_map(|id| topology.node(*id)).flat_map(|it| &it.seen);
    let served = thing.nodes.iter().filter_map(|id| network.workloads().of(*id));
    for evidence in seen.chain(served.flat_map(|workload| &workload.lines)) {
        let Some(source) = snapshot.source(evidence.source) else { continue };
        if told.insert((source.id, source.line_numbers(evidence.span).0)) {
            all.extend(line(snapshot, source, evidence.span));
        }
    }
    // Processes say the least, and each list of them the same.
    let is_process = |line: &Line| snapshot.source(line.at.evidence.source).is_some_and(is_noise);
    let (processes, mut others): (Vec<Line>, Vec<Line>) = all.into_iter().partition(is_process);
    others.extend(processes.into_iter().take(1));
    others
}
