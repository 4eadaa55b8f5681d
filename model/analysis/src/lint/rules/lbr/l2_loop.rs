mod unguarded;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::Batch;
use tapline_core::records::ovs::OvsRow;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, NodeId};

use crate::lint::{Confidence, Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::uplink;

declare_rule! {
    code: "LBR-002",
    id: "l2-loop",
    summary: "bridges form a ring without spanning tree, or have two ways out",
    severity: Error,
    confidence: Strong,
    page: "l2_loop.md",
    layer: (TagsAndFlows, 110),
    rank: 290,
    core: true,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [ovs::ovs_flows_not_programmed] by [Bridge],
        [ovs::fail_mode_standalone] by [Bridge],
    ],
}

/// So many rings are told apart; a network with more has one fault, not many.
const MOST: usize = 50;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut graph = Forwarders { blocked: blocked(ctx), ..Forwarders::default() };
    for (from, edge, to) in ctx.topology.edges() {
        match edge.kind {
            EdgeKind::VethPeer => graph.add_veth(ctx, from, to),
            EdgeKind::PatchPeer => graph.add_patch(ctx, from, to),
            _ => {}
        }
    }
    let stp = Stp::new(ctx);
    for ring in graph.rings() {
        judge_ring(ctx, out, &stp, &ring);
    }
    judge_uplinks(ctx, out, &stp, &mut graph);
    for (from, edge, to) in ctx.topology.edges() {
        if edge.kind == EdgeKind::StackedOn {
            judge_vlan(ctx, out, &graph.blocked, from, to);
        }
    }
    unguarded::check(ctx, out);
}

/// Ports that spanning tree holds back, by `bridge link` or `ip -d`.
fn blocked(ctx: &Ctx<'_>) -> BTreeSet<NodeId> {
    let holds = |state: &str| {
        matches!(state.to_ascii_lowercase().as_str(), "blocking" | "disabled" | "listening")
    };
    let mut all = BTreeSet::new();
    for (source, ports) in ctx.bridge_port_texts() {
        for port in ports.iter().filter(|it| it.state.as_ref().is_some_and(|it| holds(&it.value))) {
            all.extend(ctx.topology.find_netdev(source.host, &source.netns, &port.name.value));
        }
    }
    for device in ctx.netdevs() {
        let mut states = device.data.records.iter().filter_map(|it| it.record.slave_state.as_ref());
        if states.any(|it| holds(&it.value)) {
            all.insert(device.id);
        }
    }
    all
}

/// A part of a switch whose ports all reach each other: a Linux bridge, or one VLAN of an OVS
/// bridge (0 is untagged).
type Domain = (NodeId, u16);

/// One link between two domains.
#[derive(Clone, Copy)]
struct Link {
    a: Domain,
    b: Domain,
    ends: [NodeId; 2],
}

/// Domains and the virtual links between them: a forest of links that close no ring, and those
/// that do.
#[derive(Default)]
struct Forwarders {
    at: BTreeMap<Domain, usize>,
    /// Union-find: a root is its own parent.
    parents: Vec<usize>,
    /// Links of the forest, by domain.
    tree: Vec<Vec<(usize, Link)>>,
    closing: Vec<Link>,
    /// Ports that are held back.
    blocked: BTreeSet<NodeId>,
}

impl Forwarders {
    fn add_veth(&mut self, ctx: &Ctx<'_>, a: NodeId, b: NodeId) {
        let end = |id| {
            ctx.netdev(id).filter(|it| forwards(&self.blocked, it)).and_then(|it| domain(ctx, it))
        };
        if let (Some(of_a), Some(of_b)) = (end(a), end(b)) {
            self.add(Link { a: of_a, b: of_b, ends: [a, b] });
        }
    }

    fn add_patch(&mut self, ctx: &Ctx<'_>, a: NodeId, b: NodeId) {
        if let (Some(of_a), Some(of_b)) = (ovs_domain(ctx, a), ovs_domain(ctx, b)) {
            self.add(Link { a: of_a, b: of_b, ends: [a, b] });
        }
    }

    fn add(&mut self, link: Link) {
        let (a, b) = (self.index(link.a), self.index(link.b));
        let (root_a, root_b) = (self.root(a), self.root(b));
        if root_a == root_b {
            self.closing.push(link);
            return;
        }
        if let Some(parent) = self.parents.get_mut(root_a.max(root_b)) {
            *parent = root_a.min(root_b);
        }
        for (from, to) in [(a, b), (b, a)] {
            if let Some(links) = self.tree.get_mut(from) {
                links.push((to, link));
            }
        }
    }

    fn index(&mut self, domain: Domain) -> usize {
        let next = self.parents.len();
        let at = *self.at.entry(domain).or_insert(next);
        if at == next {
            self.parents.push(next);
            self.tree.push(Vec::new());
        }
        at
    }

    fn root(&mut self, mut at: usize) -> usize {
        while let Some(&parent) = self.parents.get(at) {
            if parent == at {
                break;
            }
            // Halving the way keeps it short, however long the chain of bridges.
            let above = self.parents.get(parent).copied().unwrap_or(parent);
            if let Some(it) = self.parents.get_mut(at) {
                *it = above;
            }
            at = above;
        }
        at
    }

    /// Each link that closes a ring, with the way back through the forest.
    fn rings(&self) -> Vec<Vec<Link>> {
        self.closing.iter().take(MOST).map(|it| self.ring(*it)).collect()
    }

    fn ring(&self, closing: Link) -> Vec<Link> {
        let (Some(&start), Some(&goal)) = (self.at.get(&closing.a), self.at.get(&closing.b)) else {
            return vec![closing];
        };
        let mut came: BTreeMap<usize, (usize, Link)> = BTreeMap::new();
        let mut open = VecDeque::from([start]);
        while let Some(at) = open.pop_front() {
            if at == goal {
                break;
            }
            for &(next, link) in self.tree.get(at).into_iter().flatten() {
                if next != start && !came.contains_key(&next) {
                    came.insert(next, (at, link));
                    open.push_back(next);
                }
            }
        }
        let mut ring = vec![closing];
        let mut at = goal;
        while let Some(&(before, link)) = came.get(&at).filter(|_| at != start) {
            ring.push(link);
            at = before;
        }
        ring
    }
}

/// Whether a device may send and receive: up, with a carrier, not blocked by spanning tree.
fn forwards(blocked: &BTreeSet<NodeId>, device: &Item<'_, Netdev<'_>>) -> bool {
    !blocked.contains(&device.id)
        && device.admin_up() != Some(false)
        && device.carrier() != Some(false)
}

/// The domain that a port belongs to; `None` where it is none, or nothing proves it.
fn domain(ctx: &Ctx<'_>, device: Item<'_, Netdev<'_>>) -> Option<Domain> {
    if ctx.is_disputed(device.id) {
        return None;
    }
    if let Some(interface) = ctx.interface_of(device.id) {
        return ovs_domain(ctx, interface.id);
    }
    let master = ctx.master(device.id)?;
    let filters = master.records.iter().any(|it| {
        let data = it.record.kind_data.bridge.as_ref();
        data.and_then(|it| it.vlan_filtering.as_ref()).is_some_and(|it| it.value)
    });
    let bridge = matches!(master.kind, NetdevKind::Bridge | NetdevKind::Unknown);
    (bridge && !filters).then_some((master.id, 0))
}

/// The domain of an OVS interface. A bridge that a controller programs forwards as its flows say.
fn ovs_domain(ctx: &Ctx<'_>, interface: NodeId) -> Option<Domain> {
    let interface = ctx.ovs_interface(interface)?;
    let port = ctx.topology.find_ovs_port(interface.host, &interface.data.port)?;
    let port = ctx.ovs_port(port)?;
    let bridge = ctx.bridge_called(interface.host, &port.data.bridge)?;
    let fail_mode = bridge.fail_mode.as_ref().map_or("", |it| it.value.as_str());
    let mode = port.vlan_mode.as_ref().map_or("", |it| it.value.as_str());
    let plain = bridge.controllers.is_empty()
        && fail_mode != "secure"
        && port.data.interfaces < 2
        && matches!(mode, "" | "access" | "trunk");
    let vlan = match &port.data.tag {
        Some(tag) if mode != "trunk" => tag.value,
        _ => 0,
    };
    (plain && vlan != defs::DEAD_VLAN).then_some((bridge.id, vlan))
}

/// Whether spanning tree runs, by bridge, and where that is said.
pub(super) struct Stp {
    linux: BTreeMap<(HostId, Netns, Name), (bool, Evidence)>,
    ovs: BTreeMap<(HostId, Name), (bool, Evidence)>,
}

impl Stp {
    /// Gathers it from all texts.
    pub(super) fn new(ctx: &Ctx<'_>) -> Self {
        let mut all = Self { linux: BTreeMap::new(), ovs: BTreeMap::new() };
        for (source, reading) in ctx.topology.snapshot.iter() {
            match &reading.records {
                Batch::Bridges(bridges) => {
                    for bridge in bridges {
                        let Some(stp) = &bridge.stp else { continue };
                        let key = (source.host, source.netns.clone(), bridge.name.value.clone());
                        let told = (stp.value, stp.evidence(source.id));
                        all.linux.entry(key).or_insert(told);
                    }
                }
                Batch::Ovs(rows) => {
                    for row in rows {
                        let OvsRow::Bridge(bridge) = &row.row else { continue };
                        let rapid = row.columns.iter().find(|it| it.name == "rstp_enable");
                        let rapid = rapid.map(|it| it.value.clone().map(|it| it == "true"));
                        let told = rapid.filter(|it| it.value).or(bridge.stp);
                        if let Some(stp) = told {
                            let key = (source.host, bridge.name.value.clone());
                            all.ovs.entry(key).or_insert((stp.value, stp.evidence(source.id)));
                        }
                    }
                }
                _ => {}
            }
        }
        all
    }

    /// Whether spanning tree runs in a bridge, and where that is said.
    pub(super) fn of(&self, ctx: &Ctx<'_>, bridge: NodeId) -> Option<(bool, Evidence)> {
        if let Some(bridge) = ctx.ovs_bridge(bridge) {
            return self.ovs.get(&(bridge.host, bridge.name().into())).copied();
        }
        let bridge = ctx.netdev(bridge)?;
        let by_ip = bridge.records.iter().find_map(|it| {
            let stp = it.record.kind_data.bridge.as_ref()?.stp.as_ref()?;
            Some((stp.value, stp.evidence(it.source)))
        });
        by_ip.or_else(|| {
            let key = (bridge.host, bridge.netns().clone(), bridge.name().into());
            self.linux.get(&key).copied()
        })
    }

    /// Whether nothing breaks a ring through these bridges. `Err` has the commands that tell.
    fn all_off(&self, ctx: &Ctx<'_>, bridges: &BTreeSet<NodeId>) -> Result<Option<Off>, Vec<Need>> {
        let mut off = Off { evidence: Vec::new(), by_default: false };
        let mut missing = Vec::new();
        for &bridge in bridges {
            match self.of(ctx, bridge) {
                // Its frames go round and come back to it: it blocks one of its ports.
                Some((true, _)) => return Ok(None),
                Some((false, evidence)) => off.evidence.push(evidence),
                // Off unless somebody switched it on.
                None if ctx.ovs_bridge(bridge).is_some() => off.by_default = true,
                None => missing.push(Need::command("brctl show")),
            }
        }
        if missing.is_empty() { Ok(Some(off)) } else { Err(missing) }
    }
}

/// Spanning tree runs nowhere.
struct Off {
    evidence: Vec<Evidence>,
    /// An OVS bridge whose setting was not captured has it off by default.
    by_default: bool,
}

fn name(ctx: &Ctx<'_>, id: NodeId) -> String {
    ctx.topology.node(id).map_or_else(String::new, |it| it.name.to_string())
}

fn judge_ring(ctx: &Ctx<'_>, out: &mut Verdicts, stp: &Stp, ring: &[Link]) {
    let bridges: BTreeSet<NodeId> = ring.iter().flat_map(|it| [it.a.0, it.b.0]).collect();
    let Some(&first) = bridges.first() else { return };
    let Some(host) = ctx.topology.node(first).and_then(|it| it.host) else { return };
    let off = match stp.all_off(ctx, &bridges) {
        Ok(Some(off)) => off,
        Ok(None) => {
            out.clean();
            return;
        }
        Err(missing) => {
            out.cannot_tell(host, missing);
            return;
        }
    };
    let links: Vec<String> =
        ring.iter().map(|it| it.ends.map(|it| name(ctx, it)).join("–")).collect();
    let links = defs::list(links.iter().map(String::as_str), 4);
    let names: Vec<String> = bridges.iter().map(|it| name(ctx, *it)).collect();
    let message = match bridges.len() {
        1 => format!(
            "both ends of {links} are in it and spanning tree is off: broadcasts circle for ever"
        ),
        _ => format!(
            "{} form a ring over {links} and spanning tree is off: broadcasts circle for ever",
            defs::list(names.iter().map(String::as_str), 4)
        ),
    };
    let finding = out.fault(ctx, host, first, message);
    for end in ring.iter().flat_map(|it| it.ends).take(8) {
        if let Some(place) = port_place(ctx, end) {
            finding.primary(place, format!("{} in the ring", name(ctx, end)));
        }
    }
    for evidence in off.evidence.iter().take(4) {
        finding.context(*evidence, "spanning tree is off");
    }
    if off.by_default {
        finding.no_surer_than(Confidence::Suspect);
        finding.note("whether spanning tree was switched on in OVS was not captured (`ovs-vsctl list bridge`)");
    }
    if let Some(link) = ring.first() {
        finding.next(format!("ip link set {} down", name(ctx, link.ends[0])));
    }
    finding.next("bridge -s link");
}

/// The words that put a port into its bridge.
fn port_place(ctx: &Ctx<'_>, port: NodeId) -> Option<Evidence> {
    if let Some((_, edge)) = ctx.topology.out(port, EdgeKind::EnslavedTo).first()
        && let Some(witness) = edge.witnesses.first()
    {
        return Some(witness.evidence);
    }
    let interface = ctx.interface_of(port).map_or(port, |it| it.id);
    ctx.topology.node(interface)?.seen.first().copied()
}

/// Bridges, alone or joined, with several NICs that no bond makes one.
fn judge_uplinks(ctx: &Ctx<'_>, out: &mut Verdicts, stp: &Stp, graph: &mut Forwarders) {
    let mut ways: BTreeMap<usize, Vec<(Item<'_, Netdev<'_>>, Domain)>> = BTreeMap::new();
    for device in ctx.netdevs() {
        let uplink = uplink::is_uplink(&device)
            && device.kind != NetdevKind::Vlan
            && !uplink::is_wireless(device.name());
        if !uplink || device.usable() != Some(true) || graph.blocked.contains(&device.id) {
            continue;
        }
        if let Some(domain) = domain(ctx, device) {
            let at = graph.index(domain);
            let root = graph.root(at);
            ways.entry(root).or_default().push((device, domain));
        }
    }
    for ways in ways.into_values() {
        let (Some((first, domain)), true) = (ways.first(), ways.len() > 1) else {
            out.clean();
            continue;
        };
        let bridges: BTreeSet<NodeId> = ways.iter().map(|(_, it)| it.0).collect();
        if bridges.iter().all(|it| is_in_line(ctx, *it)) {
            out.clean();
            continue;
        }
        let off = match stp.all_off(ctx, &bridges) {
            Ok(Some(off)) => off,
            Ok(None) => {
                out.clean();
                continue;
            }
            Err(missing) => {
                out.cannot_tell(first.host, missing);
                continue;
            }
        };
        let names = defs::list(ways.iter().map(|(it, _)| it.name()), 4);
        let message = format!(
            "{names} are not bonded and spanning tree is off: a loop if they reach the same switch"
        );
        let finding = out.fault(ctx, first.host, domain.0, message);
        finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
        for (device, _) in ways.iter().take(4) {
            if let Some(place) = port_place(ctx, device.id) {
                finding.primary(place, format!("{}, a way out", device.name()));
            }
        }
        for evidence in off.evidence.iter().take(2) {
            finding.context(*evidence, "spanning tree is off");
        }
        finding.next("bridge -s link");
        finding.next("ip link add bond0 type bond mode active-backup");
    }
}

/// Whether a Linux bridge does nothing but join two NICs, like a firewall that nobody is to see:
/// whoever made it wanted just that, and a loop would not have let them.
fn is_in_line(ctx: &Ctx<'_>, bridge: NodeId) -> bool {
    let members = ctx.members(bridge);
    ctx.netdev(bridge).is_some_and(|it| it.kind == NetdevKind::Bridge)
        && members.len() == 2
        && members.iter().all(|it| it.kind == NetdevKind::Physical)
        && !ctx.addresses_of(bridge).iter().any(|it| defs::is_global(it.ip))
        && ctx.topology.into(bridge, EdgeKind::StackedOn).is_empty()
}

/// A NIC and a VLAN on it as ports of one bridge.
fn judge_vlan(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    blocked: &BTreeSet<NodeId>,
    upper: NodeId,
    lower: NodeId,
) {
    let (Some(vlan), Some(nic)) = (ctx.netdev(upper), ctx.netdev(lower)) else { return };
    if vlan.kind != NetdevKind::Vlan || !forwards(blocked, &vlan) || !forwards(blocked, &nic) {
        return;
    }
    let (Some(of_vlan), Some(of_nic)) = (domain(ctx, vlan), domain(ctx, nic)) else { return };
    if of_vlan != of_nic {
        out.clean();
        return;
    }
    let message = format!(
        "{} and the VLAN {} on it are both in it: what comes from the one goes back out through the other",
        nic.name(),
        vlan.name()
    );
    let finding = out.fault(ctx, vlan.host, of_vlan.0, message);
    finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
    for id in [nic.id, vlan.id] {
        if let Some(place) = port_place(ctx, id) {
            finding.primary(place, name(ctx, id));
        }
    }
    finding.next(format!("ip link set {} nomaster", nic.name()));
}
