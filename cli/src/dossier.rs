//! All that was captured of one thing: gathered once, for text and JSON.
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;
use tapline_analysis::lint::paths::{Cross, Marks};
use tapline_analysis::lint::{Finding, Report, Subject};
use tapline_core::capture::{HostId, Snapshot, Source};
use tapline_core::ids::{Mac, Netns};
use tapline_core::records::openflow::{Flow, OfPort};
use tapline_core::records::{Batch, route};
use tapline_core::span::{Evidence, SourceId, Span};
use tapline_network::nics::{Count, Counts, Nics};
use tapline_network::path::{Hop, Paths};
use tapline_network::{Item, Network};
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, NodeData, NodeId, Topology};

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
/// The section of flows.
pub(crate) const FLOWS: &str = "flows";
/// Commands that name everything on every line, and say nothing of it.
const NOISE: &[&str] = &["sysctl", "ps", "lsof", "pstree", "journalctl"];

/// What is known of one thing.
#[derive(Debug)]
pub(crate) struct Dossier<'r> {
    /// Findings about it or about what is part of it, then those that stand on its path.
    pub(crate) findings: Vec<&'r Finding>,
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
    let known = known(network.topology, thing);
    let mut told: BTreeSet<(SourceId, u32)> =
        known.iter().map(|line| (line.at.evidence.source, line.at.line)).collect();
    let lines = sections(network, &parts, thing, &mut told);
    let mentions = mentions(network.topology, &names(network.topology, thing, wanted), &mut told);
    Dossier {
        findings: findings(marks, report, &parts, thing),
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
        crosses.extend(marks.missing(thing.main).map(|(_, finding)| finding));
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

/// Routes, neighbours, learnt addresses, flows and rules that name a thing.
fn sections(
    network: &Network<'_>,
    parts: &Parts,
    thing: &Thing,
    told: &mut BTreeSet<(SourceId, u32)>,
) -> Vec<Section> {
    let snapshot = network.topology.snapshot;
    let netns = match network.topology.node(thing.main) {
        Some(node) if matches!(node.data, NodeData::Netns(_)) => node.host.zip(node.netns.clone()),
        _ => None,
    };
    let mut found: BTreeMap<&'static str, Vec<(&Source, Span)>> = BTreeMap::new();
    let flows = network.flows();
    // What a bridge learnt behind other devices is of others.
    let own: BTreeSet<(HostId, &Netns, &str)> = thing
        .nodes
        .iter()
        .filter_map(|&id| network.netdev(id))
        .map(|device| (device.host, device.netns(), device.name()))
        .collect();
    for (source, reading) in snapshot.iter() {
        let is_device = |name: Option<&tapline_core::Name>| {
            name.is_some_and(|name| {
                parts.devices.iter().any(|(host, netns, device)| {
                    *host == source.host && *netns == source.netns && device == name.as_str()
                })
            })
        };
        let here = netns
            .as_ref()
            .is_some_and(|(host, netns)| *host == source.host && *netns == source.netns);
        let mut put = |what, span| found.entry(what).or_default().push((source, span));
        match &reading.records {
            Batch::Routes(all) => {
                for it in all {
                    let devs = it.nexthops.iter().filter_map(|hop| hop.dev.as_ref());
                    let mut devs = it.dev.iter().chain(devs).map(|dev| &dev.value);
                    let via = |via: &route::Gateway| match via {
                        route::Gateway::Ip(ip) => parts.ips.contains(ip),
                        route::Gateway::Name(_) => false,
                    };
                    let to_it = it.via.as_ref().is_some_and(|it| via(&it.value));
                    let named = here || to_it || devs.any(|dev| is_device(Some(dev)));
                    if named && !is_every_devices(it) {
                        put("routes", it.at);
                    }
                }
            }
            Batch::Neighbours(all) => {
                for it in all {
                    let mac = it.mac.as_ref().is_some_and(|mac| parts.macs.contains(&mac.value));
                    let ip = parts.ips.contains(&it.ip.value);
                    let dev = is_device(it.dev.as_ref().map(|dev| &dev.value));
                    // Multicast, and the device itself.
                    let own = it.states.iter().any(|state| state == "NOARP");
                    if !own && (here || mac || ip || dev) {
                        put("neighbours", it.at);
                    }
                }
            }
            Batch::Fdb(all) => {
                for it in all {
                    let dev = it.dev.as_ref().is_some_and(|dev| {
                        own.contains(&(source.host, &source.netns, dev.value.as_str()))
                    });
                    // What the kernel puts there for every device is no news.
                    let own = it.flags.iter().any(|flag| flag == "permanent")
                        && (it.mac.is_multicast() || dev && parts.macs.contains(&it.mac.value));
                    if !own && (parts.macs.contains(&it.mac.value) || dev) {
                        put("learnt addresses", it.at);
                    }
                }
            }
            Batch::OvsFdb(all) => {
                for it in all {
                    let port = it.bridge.as_ref().is_some_and(|bridge| {
                        let port = it.port.value.clone();
                        parts.ports.contains(&(source.host, bridge.to_string(), port))
                    });
                    if port || parts.macs.contains(&it.mac.value) {
                        put("learnt addresses", it.at);
                    }
                }
            }
            Batch::Flows(all) => {
                for it in all {
                    // Of several dumps of one bridge the one that shows most.
                    let dumped = it.bridge.as_deref().and_then(|it| flows.best(source.host, it));
                    if dumped.is_some_and(|dump| dump.source != source.id) {
                        continue;
                    }
                    let line = source.quote(it.at);
                    if names_port(parts, source.host, it) || names_any(parts, line) {
                        put(FLOWS, it.at);
                    }
                }
            }
            Batch::Netfilter(tables) => {
                for rule in tables.iter().flat_map(|table| &table.rules) {
                    let line = source.quote(rule.at);
                    let here = |(host, netns, _): &&(HostId, Netns, String)| {
                        *host == source.host && *netns == source.netns
                    };
                    let mut devices = parts.devices.iter().filter(here);
                    let mut named = || devices.any(|(_, _, name)| has_word(line, name));
                    if names_ip(parts, line) || named() {
                        put("packet filter", rule.at);
                    }
                }
            }
            _ => {}
        }
    }
    let order = ["routes", "neighbours", "learnt addresses", FLOWS, "packet filter"];
    let section = |what: &'static str| {
        let mut lines = Vec::new();
        let mut texts = BTreeSet::new();
        for (source, span) in found.remove(what).unwrap_or_default() {
            told.insert((source.id, source.line_numbers(span).0));
            let line = line(snapshot, source, span);
            // The same line of the same host in several texts is one.
            lines.extend(line.filter(|line| {
                texts.insert((source.host, source.netns.clone(), steady(&line.text)))
            }));
        }
        (!lines.is_empty()).then_some(Section { what, lines })
    };
    order.into_iter().filter_map(section).collect()
}

/// A flow without cookie, age and statistics; how many packets it had stays.
pub(crate) fn without_counts(text: &str) -> String {
    const COUNTS: &[&str] =
        &["cookie=", "duration=", "n_bytes=", "n_offload", "idle_age=", "hard_age="];
    let says = |word: &&str| !COUNTS.iter().any(|key| word.starts_with(key));
    text.split_whitespace().filter(says).collect::<Vec<_>>().join(" ")
}

/// Routes that the kernel makes for every device.
fn is_every_devices(route: &route::Route) -> bool {
    let local = matches!(route.kind.as_str(), "local" | "broadcast" | "multicast" | "anycast");
    let own = route.destination.as_ref().is_some_and(|net| match net.value.addr() {
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_multicast(),
        IpAddr::V4(ip) => ip.is_multicast(),
    });
    local || own
}

/// A line without what counts up from one text to the next.
fn steady(text: &str) -> String {
    let counts = |word: &&str| {
        !["n_packets=", "n_bytes=", "duration=", "idle_age=", "hard_age=", "used"]
            .iter()
            .any(|key| word.starts_with(key))
    };
    text.split_whitespace().filter(counts).collect::<Vec<_>>().join(" ")
}

fn line(snapshot: &Snapshot, source: &Source, span: Span) -> Option<Line> {
    let at = Cite::of(snapshot, Evidence { source: source.id, span })?;
    let first = source.line_text(span).lines().next().unwrap_or_default();
    Some(Line { at, text: first.trim().to_owned() })
}

/// Whether a flow takes packets from a port, or sends them there.
fn names_port(parts: &Parts, host: HostId, flow: &Flow) -> bool {
    let Some(bridge) = &flow.bridge else { return false };
    let is_part = |port: &OfPort| parts.ports.contains(&(host, bridge.to_string(), port.clone()));
    flow.in_port().is_some_and(|port| is_part(&port.value))
        || tapline_network::flows::outputs(flow).any(|(port, _)| is_part(port))
}

fn names_any(parts: &Parts, line: &str) -> bool {
    parts.macs.iter().any(|mac| line.contains(&mac.to_string())) || names_ip(parts, line)
}

fn names_ip(parts: &Parts, line: &str) -> bool {
    parts.ips.iter().any(|ip| has_word(line, &ip.to_string()))
}

/// Whether a text holds a word that is not part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    // An address of IPv6 goes on behind a colon, a name ends there.
    let colon = word.contains("::");
    let is_part = |byte: Option<u8>| {
        byte.is_some_and(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || colon && byte == b':'
        })
    };
    text.match_indices(word).any(|(at, _)| {
        let bytes = text.as_bytes();
        let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied();
        let after = bytes.get(at + word.len()).copied();
        // A dot goes on in an address, and ends a sentence.
        let next = bytes.get(at + word.len() + 1).copied();
        let goes_on = after == Some(b'.') && next.is_some_and(|byte| byte.is_ascii_digit());
        !is_part(before) && before != Some(b'.') && !is_part(after) && !goes_on
    })
}

/// The places that the topology knows a thing from.
fn known(topology: &Topology<'_>, thing: &Thing) -> Vec<Line> {
    let snapshot = topology.snapshot;
    let mut told = BTreeSet::new();
    let mut all = Vec::new();
    for evidence in thing.nodes.iter().filter_map(|id| topology.node(*id)).flat_map(|it| &it.seen) {
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

/// A word to look for in the texts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Word {
    text: String,
    /// The host and namespace in which it means the thing; anywhere where it means no other.
    within: Option<(HostId, Netns)>,
}

impl Word {
    /// A word that means one thing wherever it stands.
    pub(crate) fn anywhere(text: &str) -> Self {
        Self { text: text.to_owned(), within: None }
    }

    /// Whether it means the thing in a text: what the root namespace prints may be about all.
    fn counts_in(&self, source: &Source) -> bool {
        self.within.as_ref().is_none_or(|(host, netns)| {
            *host == source.host && (source.netns == *netns || source.netns.is_root())
        })
    }
}

/// What to look for in the texts: the names of the thing, and what was asked for.
fn names(topology: &Topology<'_>, thing: &Thing, wanted: &str) -> BTreeSet<Word> {
    /// Names that are shorter are in every line.
    const SHORTEST: usize = 2;
    let scope = topology
        .node(thing.main)
        .and_then(|node| Some((node.host?, node.netns.clone().unwrap_or_default())));
    // Addresses and ids mean one thing wherever they stand; names do not.
    let is_unique = |text: &str| {
        let id = text.len() >= 8 && text.bytes().all(|it| it.is_ascii_hexdigit() || it == b'-');
        id || text.parse::<IpAddr>().is_ok() || text.parse::<Mac>().is_ok()
    };
    let word = |text: &str| Word {
        text: text.to_owned(),
        within: scope.clone().filter(|_| !is_unique(text)),
    };
    let nodes = thing.nodes.iter().filter_map(|id| topology.node(*id));
    let mut words: BTreeSet<Word> = nodes.map(|node| word(&node.name)).collect();
    words.insert(word(wanted));
    words.retain(|word| word.text.len() >= SHORTEST);
    words
}

/// Commands and files that name everything.
fn is_noise(source: &Source) -> bool {
    let program = source.command.program();
    NOISE.contains(&program)
        || source.format.is_some_and(|format| NOISE.contains(&format.0))
        || source.command.path().is_some_and(|it| it.starts_with("/proc/sys"))
}

/// The files that hold one of the names as a word on lines that were not shown yet, those that are
/// about networks first.
pub(crate) fn mentions(
    topology: &Topology<'_>,
    words: &BTreeSet<Word>,
    told: &mut BTreeSet<(SourceId, u32)>,
) -> Vec<Mention> {
    let snapshot = topology.snapshot;
    let finders: Vec<_> =
        words.iter().map(|word| (word, memchr::memmem::Finder::new(&word.text))).collect();
    let mut all = Vec::new();
    let read = snapshot.captured.sources.iter().filter(|source| source.format.is_some());
    for source in read.filter(|source| !is_noise(source)) {
        let bytes = source.text.as_bytes();
        let mut spans: Vec<Span> = Vec::new();
        for (word, finder) in finders.iter().filter(|(word, _)| word.counts_in(source)) {
            for at in finder.find_iter(bytes) {
                let end = at + word.text.len();
                let part = |at: Option<usize>| {
                    at.and_then(|at| bytes.get(at)).is_some_and(|&it| is_word(it))
                };
                if part(at.checked_sub(1)) || part(Some(end)) {
                    continue;
                }
                let (Ok(start), Ok(end)) = (u32::try_from(at), u32::try_from(end)) else { break };
                spans.push(Span { start, end });
            }
        }
        spans.sort_unstable();
        spans.retain(|span| told.insert((source.id, source.line_numbers(*span).0)));
        let first = spans.first().and_then(|span| line(snapshot, source, *span));
        all.extend(first.map(|first| Mention { count: spans.len(), first, lines: spans }));
    }
    all
}

/// Characters that device names, ids and addresses are made of. A colon and a dot end a name:
/// `42: tap0: <…>`, `eth0.100`.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert!(has_word("nw_src=10.0.0.1 actions", "10.0.0.1"));
        assert!(has_word("10.0.0.1/32", "10.0.0.1"));
        assert!(has_word("is 10.0.0.1.", "10.0.0.1"));
        assert!(!has_word("10.0.0.11", "10.0.0.1") && !has_word("10.0.0.1.2", "10.0.0.1"));
        assert!(!has_word("110.0.0.1", "10.0.0.1") && !has_word("1.10.0.0.1", "10.0.0.1"));
        assert!(!has_word("tap1-x", "tap1") && has_word("7: tap1: <UP>", "tap1"));
        assert!(!has_word("fd00::1:2", "fd00::1") && has_word("fd00::1/64", "fd00::1"));
    }
}
