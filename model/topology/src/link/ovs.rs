//! OVS bridges, ports and interfaces: `show`, `list`, `dump` and `conf.db` joined by name and
//! `_uuid`.
//!
//! Names of bridges, ports and interfaces are each unique in one database, so the name is the
//! identity and a `_uuid` only leads to it.
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;

use tapline_core::Name;
use tapline_core::capture::Source;
use tapline_core::records::ovs::{OvsMap, OvsRecord, OvsRef, OvsRow};
use tapline_core::span::{At, Evidence};

use super::{Texts, records};
use crate::graph::{
    Confidence, Conflict, ConflictKind, EdgeKind, Fact, Node, NodeData, NodeId, OvsBridge,
    OvsController, OvsInterface, OvsPort, Topology, Witness, WitnessClass,
};

/// Something under construction.
#[derive(Default)]
struct Draft<T> {
    data: T,
    seen: Vec<Evidence>,
    /// What says that it belongs to its bridge or port.
    member: Vec<Witness>,
    conflicts: Vec<Vec<Witness>>,
}

#[derive(Default)]
struct Drafts {
    bridges: BTreeMap<Name, Draft<OvsBridge>>,
    ports: BTreeMap<Name, Draft<OvsPort>>,
    interfaces: BTreeMap<Name, Draft<OvsInterface>>,
}

/// One row with its source.
type Row<'a> = (&'a Source, &'a OvsRecord);

/// Adds the OVS nodes of one host and the edges between them.
pub(crate) fn link(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    let mut rows: Vec<Row<'_>> = texts
        .of(records!(Ovs))
        .into_iter()
        .flat_map(|(source, all)| all.iter().map(move |it| (source, it)))
        .collect();
    // `show` is what people know and quote, so it speaks first where it speaks at all. A database
    // file may be older than the live state and comes last.
    // People read text more easily than JSON.
    let json = |source: &Source| source.command.args().iter().any(|arg| arg.contains("json"));
    rows.sort_by_key(|(source, _)| (rank(source), json(source), source.id));
    let names = Names::new(&rows);
    let mut drafts = Drafts::default();
    for row in &rows {
        match &row.1.row {
            OvsRow::Bridge(_) => bridge(&mut drafts, &names, *row),
            OvsRow::Port(_) => port(&mut drafts, &names, *row),
            OvsRow::Interface(_) => interface(&mut drafts, *row),
            OvsRow::Connection(_) => connection(&mut drafts, *row),
            // The databases of OVN are about the whole deployment, not about this switch.
            _ => {}
        }
    }
    drafts.add(topology, texts);
}

fn rank(source: &Source) -> u8 {
    let args = source.command.args();
    match source.command.program() {
        "ovs-vsctl" if args.iter().any(|arg| arg == "show") => 0,
        "ovs-vsctl" | "" => 1,
        "ovsdb-client" => 2,
        _ => 3,
    }
}

/// What speaks, in claims.
fn said_by(source: &Source) -> &'static str {
    match rank(source) {
        0 => "ovs-vsctl show",
        1 => "ovs-vsctl list",
        2 => "ovsdb-client dump",
        _ => "database file",
    }
}

/// From `_uuid` to the name of the row.
struct Names<'a> {
    ports: HashMap<&'a str, &'a Name>,
    interfaces: HashMap<&'a str, &'a Name>,
    connections: HashMap<&'a str, Row<'a>>,
}

impl<'a> Names<'a> {
    fn new(rows: &[Row<'a>]) -> Self {
        let mut names =
            Self { ports: HashMap::new(), interfaces: HashMap::new(), connections: HashMap::new() };
        for &(source, record) in rows {
            let Some(uuid) = &record.uuid else { continue };
            match &record.row {
                OvsRow::Port(it) => _ = names.ports.insert(uuid.as_str(), &it.name.value),
                OvsRow::Interface(it) => _ = names.interfaces.insert(uuid.as_str(), &it.name.value),
                OvsRow::Connection(_) => {
                    names.connections.entry(uuid.as_str()).or_insert((source, record));
                }
                _ => {}
            }
        }
        names
    }
}

fn resolve<'a>(names: &HashMap<&str, &'a Name>, reference: &'a OvsRef) -> Option<&'a Name> {
    match reference {
        OvsRef::Name(name) => Some(name),
        OvsRef::Uuid(uuid) => names.get(uuid.as_str()).copied(),
    }
}

fn bridge(drafts: &mut Drafts, names: &Names<'_>, (source, record): Row<'_>) {
    let OvsRow::Bridge(row) = &record.row else { return };
    let draft = drafts.bridges.entry(row.name.value.clone()).or_default();
    draft.see(source, record);
    let conflicts = &mut draft.conflicts;
    first(conflicts, &mut draft.data.fail_mode, source, row.fail_mode.as_ref(), "fail_mode");
    first(
        conflicts,
        &mut draft.data.datapath_type,
        source,
        row.datapath_type.as_ref(),
        "datapath_type",
    );
    union(&mut draft.data.external_ids, source, &row.external_ids);
    union(&mut draft.data.external_ids, source, &row.other_config);
    for reference in &row.controllers {
        if let OvsRef::Uuid(uuid) = &reference.value
            && let Some((source, record)) = names.connections.get(uuid.as_str())
            && let OvsRow::Connection(it) = &record.row
        {
            controller(&mut draft.data, source, &it.target, it.is_connected.as_ref());
        }
    }
    for reference in &row.ports {
        let Some(port) = resolve(&names.ports, &reference.value) else { continue };
        let draft = drafts.ports.entry(port.clone()).or_default();
        draft.member_of(
            &row.name.value,
            &mut |it| &mut it.bridge,
            source,
            reference.span,
            "port of",
        );
    }
}

fn port(drafts: &mut Drafts, names: &Names<'_>, (source, record): Row<'_>) {
    let OvsRow::Port(row) = &record.row else { return };
    let draft = drafts.ports.entry(row.name.value.clone()).or_default();
    draft.see(source, record);
    let conflicts = &mut draft.conflicts;
    first(conflicts, &mut draft.data.tag, source, row.tag.as_ref(), "tag");
    first(conflicts, &mut draft.data.vlan_mode, source, row.vlan_mode.as_ref(), "vlan_mode");
    if draft.data.trunks.is_empty() {
        draft.data.trunks = row.trunks.iter().map(|trunk| Fact::new(source.id, *trunk)).collect();
    }
    union(&mut draft.data.other_config, source, &row.other_config);
    union(&mut draft.data.external_ids, source, &row.external_ids);
    draft.data.interfaces = draft.data.interfaces.max(row.interfaces.len());
    if let Some(bridge) = &row.bridge {
        draft.member_of(&bridge.value, &mut |it| &mut it.bridge, source, record.at, "port of");
    }
    for reference in &row.interfaces {
        let Some(interface) = resolve(&names.interfaces, &reference.value) else { continue };
        let draft = drafts.interfaces.entry(interface.clone()).or_default();
        draft.member_of(
            &row.name.value,
            &mut |it| &mut it.port,
            source,
            reference.span,
            "interface of",
        );
    }
}

fn interface(drafts: &mut Drafts, (source, record): Row<'_>) {
    let OvsRow::Interface(row) = &record.row else { return };
    let draft = drafts.interfaces.entry(row.name.value.clone()).or_default();
    let known = !draft.seen.is_empty();
    draft.see(source, record);
    let data = &mut draft.data;
    if let Some(kind) = &row.kind {
        if data.kind_evidence.is_none() {
            data.kind.clone_from(&kind.value);
            data.kind_evidence = Some(kind.evidence(source.id));
        } else if data.kind != kind.value {
            let old = data.kind_evidence.map(|evidence| {
                Witness::at(WitnessClass::Daemon, evidence, format!("type {}", data.kind))
            });
            let new = kind.evidence(source.id);
            let new = Witness::at(WitnessClass::Daemon, new, format!("type {}", kind.value));
            draft.conflicts.push(old.into_iter().chain([new]).collect());
        }
    }
    union(&mut data.options, source, &row.options);
    union(&mut data.external_ids, source, &row.external_ids);
    union(&mut data.status, source, &row.status);
    // A database file keeps the complaint of an older start; live texts know better.
    if (rank(source) < 3 || !known)
        && let (None, Some(error)) = (&data.error, &row.error)
    {
        data.error = Some(Fact::new(source.id, error.clone()));
    }
    let conflicts = &mut draft.conflicts;
    first(conflicts, &mut data.ofport, source, row.ofport.as_ref(), "ofport");
    first(conflicts, &mut data.ifindex, source, row.ifindex.as_ref(), "ifindex");
    first(conflicts, &mut data.mac_in_use, source, row.mac_in_use.as_ref(), "mac_in_use");
    if data.link_state.is_none() {
        // The link may change between two texts: the first one counts.
        data.link_state = row.link_state.as_ref().map(|state| Fact::new(source.id, state.clone()));
    }
    if let Some(port) = &row.port {
        draft.member_of(&port.value, &mut |it| &mut it.port, source, record.at, "interface of");
    }
}

fn connection(drafts: &mut Drafts, (source, record): Row<'_>) {
    let OvsRow::Connection(row) = &record.row else { return };
    let Some(bridge) = row.bridge.as_ref().filter(|_| !row.manager) else { return };
    let draft = drafts.bridges.entry(bridge.value.clone()).or_default();
    // `show` prints the line only where it is true; its absence says false.
    let silent = At { value: false, span: row.target.span };
    let connected = row.is_connected.as_ref().unwrap_or(&silent);
    controller(&mut draft.data, source, &row.target, Some(connected));
}

fn controller(
    bridge: &mut OvsBridge,
    source: &Source,
    target: &At<Name>,
    connected: Option<&At<bool>>,
) {
    let connected = connected.map(|connected| Fact::new(source.id, *connected));
    match bridge.controllers.iter_mut().find(|controller| controller.target.value == target.value) {
        Some(old) => {
            if old.is_connected.is_none() {
                old.is_connected = connected;
            }
        }
        None => bridge.controllers.push(OvsController {
            target: Fact::new(source.id, target.clone()),
            is_connected: connected,
        }),
    }
}

/// The first text that knows a value gives it; a different one is a contradiction.
fn first<T: Clone + PartialEq + Display>(
    conflicts: &mut Vec<Vec<Witness>>,
    fact: &mut Option<Fact<T>>,
    source: &Source,
    at: Option<&At<T>>,
    key: &str,
) {
    let Some(at) = at else { return };
    let new = Fact::new(source.id, at.clone());
    match fact {
        None => *fact = Some(new),
        // A database file that is older than the live state contradicts nothing.
        Some(old) if old.value != new.value && rank(source) < 3 => {
            let claim = |it: &Fact<T>| {
                Witness::at(WitnessClass::Daemon, it.evidence, format!("{key} {}", it.value))
            };
            conflicts.push(vec![claim(old), claim(&new)]);
        }
        Some(_) => {}
    }
}

/// Adds the keys that are not there yet.
fn union(map: &mut Vec<(Name, Fact<Name>)>, source: &Source, new: &OvsMap) {
    for (key, value) in new {
        if !map.iter().any(|(it, _)| it == key) {
            map.push((key.clone(), Fact::new(source.id, value.clone())));
        }
    }
}

/// Places that are kept of one saying.
const WITNESSES: usize = 64;

impl<T> Draft<T> {
    /// The row speaks of it.
    fn see(&mut self, source: &Source, record: &OvsRecord) {
        let evidence = Evidence { source: source.id, span: record.at };
        if !self.seen.contains(&evidence) {
            self.seen.push(evidence);
        }
    }

    /// A text says what it belongs to; the first says it, others confirm or contradict.
    fn member_of(
        &mut self,
        owner: &Name,
        field: &mut dyn FnMut(&mut T) -> &mut Name,
        source: &Source,
        span: tapline_core::span::Span,
        claim: &str,
    ) {
        let words = format!("{}: {claim} {owner}", said_by(source));
        let witness = Witness::new(WitnessClass::Daemon, source.id, span, words);
        let field = field(&mut self.data);
        if field.is_empty() {
            field.clone_from(owner);
        }
        if field == owner {
            // So many are enough, however often a text says it.
            if self.member.len() < WITNESSES && !self.member.contains(&witness) {
                self.member.push(witness);
            }
        } else if rank(source) < 3 {
            let both = self.member.first().cloned().into_iter().chain([witness]).collect();
            self.conflicts.push(both);
        }
    }
}

impl Drafts {
    fn add(self, topology: &mut Topology<'_>, texts: &Texts<'_>) {
        let host = texts.host;
        let mut conflicts = Vec::new();
        for (name, draft) in self.bridges {
            let data = NodeData::OvsBridge(draft.data);
            let id = node(topology, texts, &name, draft.seen, data);
            topology.keys.host_mut(host).ovs_bridges.insert(name, id);
            conflicts.extend(draft.conflicts.into_iter().map(|conflict| (id, conflict)));
        }
        for (name, draft) in self.ports {
            let bridge = topology.keys.ovs_bridge(host, &draft.data.bridge);
            let seen = seen_or_member(draft.seen, &draft.member);
            let id = node(topology, texts, &name, seen, NodeData::OvsPort(draft.data));
            topology.keys.host_mut(host).ovs_ports.insert(name, id);
            if let Some(bridge) = bridge {
                topology.connect(id, bridge, EdgeKind::OvsPortOf, Confidence::Proven, draft.member);
            }
            conflicts.extend(draft.conflicts.into_iter().map(|conflict| (id, conflict)));
        }
        for (name, mut draft) in self.interfaces {
            let port = topology.keys.ovs_port(host, &draft.data.port);
            if let Some(NodeData::OvsPort(port)) =
                port.and_then(|port| topology.node(port)).map(|node| &node.data)
            {
                draft.data.bridge.clone_from(&port.bridge);
            }
            let seen = seen_or_member(draft.seen, &draft.member);
            let data = NodeData::OvsInterface(Box::new(draft.data));
            let id = node(topology, texts, &name, seen, data);
            topology.keys.host_mut(host).ovs_interfaces.insert(name, id);
            if let Some(port) = port {
                let confidence = Confidence::Proven;
                topology.connect(id, port, EdgeKind::OvsInterfaceOf, confidence, draft.member);
                if let Some(NodeData::OvsPort(it)) = topology.node_mut(port).map(|it| &mut it.data)
                {
                    it.interfaces = it.interfaces.max(1);
                }
            }
            conflicts.extend(draft.conflicts.into_iter().map(|conflict| (id, conflict)));
        }
        for (id, witnesses) in conflicts {
            let member = witnesses.iter().any(|witness| witness.claim.contains(" of "));
            let kind = if member { ConflictKind::Membership } else { ConflictKind::Fact };
            topology.conflicts.push(Conflict { kind, nodes: vec![id], witnesses });
        }
    }
}

/// A port that only a bridge names is seen where the bridge names it.
fn seen_or_member(seen: Vec<Evidence>, member: &[Witness]) -> Vec<Evidence> {
    if seen.is_empty() { member.iter().map(|member| member.evidence).collect() } else { seen }
}

fn node<'a>(
    topology: &mut Topology<'a>,
    texts: &Texts<'_>,
    name: &Name,
    seen: Vec<Evidence>,
    data: NodeData<'a>,
) -> NodeId {
    topology.add(Node { host: Some(texts.host), netns: None, name: name.clone(), seen, data })
}
