//! The objects of OVN as nodes, joined with one another and with what hosts have of them: a port with
//! the interface that has its `iface-id`, a chassis with the host that has its `system-id`, the port
//! of a provider network with the patch that ovn-controller made for it.
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::ids::Mac;
use tapline_core::records::ovs::{OvsRecord, OvsRef, OvsRow, lookup};
use tapline_core::span::{At, Evidence, SourceId};

use crate::graph::{
    Confidence, EdgeKind, Fact, Logical, LogicalKind, Node, NodeData, NodeId, Seen, Topology,
    Witness, WitnessClass,
};
use crate::rows::{Rows, external_id};

/// Addresses of one object that are looked at; more is damage.
const MOST_WORDS: usize = 4096;

/// Nodes by what refers to them.
#[derive(Default)]
struct Made<'a> {
    by_uuid: HashMap<&'a str, NodeId>,
    /// Ports of switches and routers, chassis.
    by_name: BTreeMap<(LogicalKind, &'a str), NodeId>,
}

/// Adds all objects of OVN and their edges.
pub(crate) fn link(topology: &mut Topology<'_>) {
    let rows = Rows::new(topology.snapshot);
    if rows.is_empty() {
        return;
    }
    let mut made = Made::default();
    for (table, kind) in [
        ("Chassis", LogicalKind::Chassis),
        ("Logical_Switch", LogicalKind::Switch),
        ("Logical_Router", LogicalKind::Router),
        ("Logical_Switch_Port", LogicalKind::SwitchPort),
        ("Logical_Router_Port", LogicalKind::RouterPort),
        ("Load_Balancer", LogicalKind::LoadBalancer),
    ] {
        for &seen in rows.of(table) {
            add(topology, &mut made, kind, seen);
        }
    }
    bindings(topology, &rows, &mut made);
    ports(topology, &rows, &made);
    extras(topology, &rows, &made);
    hosts(topology, &made);
    topology.rows = rows;
}

fn add<'a>(
    topology: &mut Topology<'a>,
    made: &mut Made<'a>,
    kind: LogicalKind,
    seen: Seen<'a, OvsRecord>,
) {
    let name = name_of(seen.record);
    if name.is_empty() {
        return;
    }
    let known = made.by_name.get(&(kind, name)).copied().filter(|_| is_unique(kind));
    let at = Evidence { source: seen.source, span: seen.record.at };
    let id = match known {
        Some(id) => id,
        None => topology.add(Node {
            host: None,
            netns: None,
            name: name.into(),
            seen: Vec::new(),
            data: NodeData::Logical(Box::new(Logical {
                kind,
                names: Vec::new(),
                macs: Vec::new(),
                addresses: Vec::new(),
                rows: Vec::new(),
            })),
        }),
    };
    if is_unique(kind) {
        made.by_name.insert((kind, name), id);
    }
    if let Some(uuid) = &seen.record.uuid {
        made.by_uuid.insert(uuid.value.as_str(), id);
    }
    if let Some(node) = topology.node_mut(id) {
        node.add_seen(at);
    }
    if let Some(logical) = topology.logical_mut(id) {
        logical.rows.push(seen);
        names(logical, seen.record);
        numbers(logical, seen.record);
    }
}

/// Whether the schema gives a name to one row only.
fn is_unique(kind: LogicalKind) -> bool {
    matches!(kind, LogicalKind::SwitchPort | LogicalKind::RouterPort | LogicalKind::Chassis)
}

fn name_of(record: &OvsRecord) -> &str {
    let own = match &record.row {
        OvsRow::Switch(row) => row.name.value.as_str(),
        OvsRow::Router(row) => row.name.value.as_str(),
        OvsRow::SwitchPort(row) => row.name.value.as_str(),
        OvsRow::RouterPort(row) => row.name.value.as_str(),
        OvsRow::Chassis(row) => row.name.value.as_str(),
        _ => record.one("name").map_or("", |name| name.value.as_str()),
    };
    match &record.uuid {
        Some(uuid) if own.is_empty() => uuid.value.as_str(),
        _ => own,
    }
}

/// The names that people use.
fn names(logical: &mut Logical<'_>, record: &OvsRecord) {
    // Rows name what they belong to as well: a port its network.
    let keys: &[&str] = match logical.kind {
        LogicalKind::Switch => &["neutron:network_name", "neutron:network_id"],
        LogicalKind::Router => &["neutron:router_name"],
        LogicalKind::SwitchPort => &["neutron:port_name", "name"],
        LogicalKind::LoadBalancer => &["k8s.ovn.org/owner"],
        LogicalKind::RouterPort | LogicalKind::Chassis => &[],
    };
    let mut add = |name: &str| {
        if !name.is_empty() && logical.names.iter().all(|known| known != name) {
            logical.names.push(name.into());
        }
    };
    let own = name_of(record);
    add(own);
    add(own.strip_prefix("neutron-").unwrap_or_default());
    if let Some(uuid) = &record.uuid {
        add(&uuid.value);
    }
    for key in keys {
        if let Some(value) = external_id(record, key) {
            add(value);
            add(value.strip_prefix("neutron-").unwrap_or_default());
        }
    }
    let alias = match &record.row {
        OvsRow::Switch(row) => &row.alias,
        OvsRow::Router(row) => &row.alias,
        OvsRow::SwitchPort(row) => &row.alias,
        OvsRow::Chassis(row) => &row.hostname,
        _ => &None,
    };
    if let Some(alias) = alias {
        add(&alias.value);
    }
    // ovn-kubernetes calls the port of a pod by its namespace and name.
    if external_id(record, "pod").is_some()
        && let Some((netns, pod)) = external_id(record, "namespace")
            .and_then(|netns| Some((netns, own.strip_prefix(netns)?.strip_prefix('_')?)))
    {
        add(&format!("{netns}/{pod}"));
        add(pod);
    }
}

/// MACs and addresses.
fn numbers(logical: &mut Logical<'_>, record: &OvsRecord) {
    let mut words: Vec<&str> = Vec::new();
    match &record.row {
        OvsRow::SwitchPort(row) => {
            words.extend(row.addresses.iter().map(|one| one.value.as_str()));
            words.extend(record.set("dynamic_addresses").iter().map(|one| one.value.as_str()));
        }
        OvsRow::RouterPort(row) => {
            words.extend(row.mac.iter().map(|mac| mac.value.as_str()));
            words.extend(row.networks.iter().map(|net| net.value.as_str()));
        }
        OvsRow::PortBinding(_) => {
            words.extend(record.set("mac").iter().map(|one| one.value.as_str()));
        }
        OvsRow::Encap(row) => words.extend(row.ip.iter().map(|ip| ip.value.as_str())),
        _ => words.extend(record.map("vips").iter().filter_map(|(vip, _)| vip_address(vip))),
    }
    for word in words.into_iter().flat_map(str::split_whitespace).take(MOST_WORDS) {
        if let Ok(mac) = word.parse::<Mac>() {
            if !logical.macs.contains(&mac) {
                logical.macs.push(mac);
            }
        } else if let Ok(ip) = word.split('/').next().unwrap_or_default().parse::<IpAddr>()
            && !logical.addresses.contains(&ip)
        {
            logical.addresses.push(ip);
        }
    }
}

/// The address in `172.30.0.1:443`, `[2001:db8::1]:443`, `172.30.0.1`.
pub(crate) fn vip_address(vip: &str) -> Option<&str> {
    if let Some(six) = vip.strip_prefix('[') {
        return six.split_once(']').map(|(ip, _)| ip);
    }
    match vip.split_once(':') {
        Some((_, port)) if port.contains(':') => Some(vip),
        Some((ip, _)) => Some(ip),
        None => Some(vip),
    }
}

fn witness(seen: Seen<'_, OvsRecord>, claim: impl Into<String>) -> Witness {
    let at = Evidence { source: seen.source, span: seen.record.at };
    Witness::at(WitnessClass::Daemon, at, claim)
}

/// The same where one value says it.
fn said<T>(seen: Seen<'_, OvsRecord>, value: &At<T>, claim: impl Into<String>) -> Witness {
    Witness::at(WitnessClass::Daemon, value.evidence(seen.source), claim)
}

/// Port_Binding: the chassis of each port.
fn bindings<'a>(topology: &mut Topology<'a>, rows: &Rows<'a>, made: &mut Made<'a>) {
    for &seen in rows.of("Port_Binding") {
        let OvsRow::PortBinding(row) = &seen.record.row else { continue };
        let name = row.logical_port.value.as_str();
        // The gateway of a router port is bound under a name of its own.
        let own = name
            .strip_prefix("cr-")
            .filter(|_| row.kind.as_ref().is_some_and(|kind| kind.value == "chassisredirect"));
        let port = [LogicalKind::SwitchPort, LogicalKind::RouterPort]
            .into_iter()
            .find_map(|kind| made.by_name.get(&(kind, own.unwrap_or(name))).copied());
        let port = match port {
            Some(port) => port,
            // The northbound database was not captured.
            None if row.kind.as_ref().is_none_or(|kind| kind.value.is_empty()) => {
                let kind = LogicalKind::SwitchPort;
                let id = topology.add(Node {
                    host: None,
                    netns: None,
                    name: name.into(),
                    seen: Vec::new(),
                    data: NodeData::Logical(Box::new(Logical {
                        kind,
                        names: vec![name.into()],
                        macs: Vec::new(),
                        addresses: Vec::new(),
                        rows: Vec::new(),
                    })),
                });
                made.by_name.insert((kind, name), id);
                id
            }
            None => continue,
        };
        if let Some(node) = topology.node_mut(port) {
            node.add_seen(Evidence { source: seen.source, span: seen.record.at });
        }
        if let Some(logical) = topology.logical_mut(port) {
            logical.rows.push(seen);
            if own.is_some() {
                logical.names.push(name.into());
            } else {
                numbers(logical, seen.record);
                names(logical, seen.record);
            }
        }
        let Some(chassis) = &row.chassis else { continue };
        let holder = match &chassis.value {
            OvsRef::Uuid(uuid) => made
                .by_uuid
                .get(uuid.as_str())
                .or_else(|| made.by_name.get(&(LogicalKind::Chassis, uuid.as_str()))),
            OvsRef::Name(name) => made.by_name.get(&(LogicalKind::Chassis, name.as_str())),
        };
        if let Some(&holder) = holder {
            let witness = said(seen, chassis, format!("Port_Binding {name}"));
            topology.connect(port, holder, EdgeKind::BoundTo, Confidence::Proven, vec![witness]);
        }
    }
}

/// Ports to their switches and routers, and ports of switches to those of routers.
fn ports<'a>(topology: &mut Topology<'a>, rows: &Rows<'a>, made: &Made<'a>) {
    let mut placed: BTreeMap<NodeId, NodeId> = BTreeMap::new();
    let mut place = |topology: &mut Topology<'a>, port: NodeId, of: NodeId, witness: Witness| {
        if placed.insert(port, of).is_none() {
            let kind = EdgeKind::LogicalPortOf;
            topology.connect(port, of, kind, Confidence::Proven, vec![witness]);
        }
    };
    for table in ["Logical_Switch", "Logical_Router"] {
        for &seen in rows.of(table) {
            let (ports, what) = match &seen.record.row {
                OvsRow::Switch(row) => (&row.ports, LogicalKind::SwitchPort),
                OvsRow::Router(row) => (&row.ports, LogicalKind::RouterPort),
                _ => continue,
            };
            let Some(uuid) = &seen.record.uuid else { continue };
            let Some(&of) = made.by_uuid.get(uuid.value.as_str()) else { continue };
            for port in ports {
                let id = match &port.value {
                    OvsRef::Uuid(uuid) => made
                        .by_uuid
                        .get(uuid.as_str())
                        .or_else(|| made.by_name.get(&(what, uuid.as_str()))),
                    OvsRef::Name(name) => made.by_name.get(&(what, name.as_str())),
                };
                if let Some(&id) = id {
                    place(topology, id, of, said(seen, port, "ports"));
                }
            }
        }
    }
    // `show` nests ports below what they are of.
    for (table, what) in [
        ("Logical_Switch_Port", LogicalKind::SwitchPort),
        ("Logical_Router_Port", LogicalKind::RouterPort),
    ] {
        for &seen in rows.of(table) {
            let (parent, name) = match &seen.record.row {
                OvsRow::SwitchPort(row) => (&row.switch, &row.name),
                OvsRow::RouterPort(row) => (&row.router, &row.name),
                _ => continue,
            };
            let of = match parent.as_ref().map(|parent| &parent.value) {
                Some(OvsRef::Uuid(of) | OvsRef::Name(of)) => made.by_uuid.get(of.as_str()),
                None => None,
            };
            let port = made.by_name.get(&(what, name.value.as_str()));
            if let (Some(&of), Some(&port)) = (of, port) {
                place(topology, port, of, witness(seen, "below it in show"));
            }
        }
    }
    for &seen in rows.of("Logical_Switch_Port") {
        let OvsRow::SwitchPort(row) = &seen.record.row else { continue };
        let Some(peer) = lookup(&row.options, "router-port") else { continue };
        let port = made.by_name.get(&(LogicalKind::SwitchPort, row.name.value.as_str()));
        let peer_id = made.by_name.get(&(LogicalKind::RouterPort, peer.value.as_str()));
        if let (Some(&port), Some(&peer_id)) = (port, peer_id) {
            let witness = said(seen, peer, format!("router-port {}", peer.value));
            let kind = EdgeKind::LogicalPeer;
            topology.connect(port, peer_id, kind, Confidence::Proven, vec![witness]);
        }
    }
}

/// What other rows say of nodes: addresses that are translated, subnets, load balancers.
fn extras<'a>(topology: &mut Topology<'a>, rows: &Rows<'a>, made: &Made<'a>) {
    let mut told = Told::default();
    for table in ["Logical_Router", "Logical_Switch"] {
        for &seen in rows.of(table) {
            let Some(uuid) = &seen.record.uuid else { continue };
            let Some(&id) = made.by_uuid.get(uuid.value.as_str()) else { continue };
            let nats: &[At<OvsRef>] = match &seen.record.row {
                OvsRow::Router(row) => &row.nat,
                _ => &[],
            };
            for nat in nats {
                let (OvsRef::Uuid(nat) | OvsRef::Name(nat)) = &nat.value;
                if let Some(nat) = rows.get(nat) {
                    translated(topology, made, id, nat, &mut told);
                }
            }
            let mut balancers: Vec<&At<Name>> = seen.record.set("load_balancer").iter().collect();
            for group in seen.record.set("load_balancer_group") {
                let group = rows.get(&group.value).map(|group| group.record);
                balancers.extend(group.iter().flat_map(|group| group.set("load_balancer")));
            }
            for balancer in balancers {
                if let Some(&of) = made.by_uuid.get(balancer.value.as_str()) {
                    let witness = witness(seen, "load_balancer");
                    let kind = EdgeKind::Balances;
                    topology.connect(of, id, kind, Confidence::Proven, vec![witness]);
                }
            }
        }
    }
    // `show` nests translations below their router.
    for &nat in rows.of("NAT") {
        let OvsRow::Nat(row) = &nat.record.row else { continue };
        let of = match row.router.as_ref().map(|router| &router.value) {
            Some(OvsRef::Uuid(of) | OvsRef::Name(of)) => made.by_uuid.get(of.as_str()),
            None => None,
        };
        if let Some(&of) = of {
            translated(topology, made, of, nat, &mut told);
        }
    }
    for &seen in rows.of("Logical_Switch_Port") {
        let Some(options) = seen.record.one("dhcpv4_options") else { continue };
        let Some(options) = rows.get(&options.value) else { continue };
        let OvsRow::SwitchPort(row) = &seen.record.row else { continue };
        let port = made.by_name.get(&(LogicalKind::SwitchPort, row.name.value.as_str()));
        let Some(&port) = port else { continue };
        let switch = topology.out(port, EdgeKind::LogicalPortOf).first().map(|(id, _)| *id);
        let Some(logical) = switch.and_then(|switch| topology.logical_mut(switch)) else {
            continue;
        };
        let cidr = options.record.one("cidr").map(|cidr| cidr.value.as_str());
        for name in [cidr, external_id(options.record, "subnet_id")].into_iter().flatten() {
            if logical.names.iter().all(|known| known != name) {
                logical.names.push(name.into());
            }
        }
    }
    for &seen in rows.of("Encap") {
        let OvsRow::Encap(row) = &seen.record.row else { continue };
        let Some(chassis) = &row.chassis else { continue };
        let id = made.by_name.get(&(LogicalKind::Chassis, chassis.value.as_str()));
        if let Some(logical) = id.and_then(|&id| topology.logical_mut(id)) {
            numbers(logical, seen.record);
            logical.rows.push(seen);
        }
    }
}

/// What nodes were told of translations.
#[derive(Default)]
struct Told {
    rows: HashSet<(NodeId, SourceId, u32)>,
    addresses: HashSet<(NodeId, IpAddr)>,
}

/// Whether a port has an address itself. A router has none of its own, and may translate many.
fn is_own(logical: &Logical<'_>, ip: IpAddr) -> bool {
    logical.kind == LogicalKind::SwitchPort && logical.addresses.contains(&ip)
}

/// An address outside stands for its router, and for the port that it is translated into.
fn translated<'a>(
    topology: &mut Topology<'a>,
    made: &Made<'a>,
    router: NodeId,
    nat: Seen<'a, OvsRecord>,
    told: &mut Told,
) {
    let OvsRow::Nat(row) = &nat.record.row else { return };
    let Some(ip) = row.external_ip.as_ref().and_then(|ip| ip.value.parse::<IpAddr>().ok()) else {
        return;
    };
    let port = row.logical_port.as_ref().and_then(|port| {
        made.by_name.get(&(LogicalKind::SwitchPort, port.value.as_str())).copied()
    });
    for id in [Some(router), port].into_iter().flatten() {
        let Some(logical) = topology.logical_mut(id) else { continue };
        if told.rows.insert((id, nat.source, nat.record.at.start)) {
            logical.rows.push(nat);
        }
        if told.addresses.insert((id, ip)) && !is_own(logical, ip) {
            logical.addresses.push(ip);
        }
    }
}

/// What hosts have of the objects.
fn hosts(topology: &mut Topology<'_>, made: &Made<'_>) {
    if made.by_name.is_empty() {
        return;
    }
    let mut found: Vec<(NodeId, NodeId, EdgeKind, Vec<Witness>)> = Vec::new();
    for (id, node) in topology.nodes() {
        let (column, id_of_object, kind, edge) = match &node.data {
            NodeData::OvsInterface(interface) => {
                let iface = value_of(&interface.external_ids, "iface-id");
                ("iface-id", iface, LogicalKind::SwitchPort, EdgeKind::PluggedInto)
            }
            NodeData::OvsPort(port) => {
                let localnet = value_of(&port.external_ids, "ovn-localnet-port");
                ("ovn-localnet-port", localnet, LogicalKind::SwitchPort, EdgeKind::PluggedInto)
            }
            NodeData::Host(host) => {
                let system = host.system_id.as_ref();
                ("system-id", system, LogicalKind::Chassis, EdgeKind::ChassisOf)
            }
            _ => continue,
        };
        let Some(said) = id_of_object else { continue };
        if let Some(&object) = made.by_name.get(&(kind, said.value.as_str())) {
            let claim = format!("{column} {}", said.value);
            let witness = Witness::at(WitnessClass::Daemon, said.evidence, claim);
            found.push((object, id, edge, vec![witness]));
        }
    }
    for (from, to, kind, witnesses) in found {
        topology.connect(from, to, kind, Confidence::Proven, witnesses);
    }
}

fn value_of<'m>(map: &'m [(Name, Fact<Name>)], key: &str) -> Option<&'m Fact<Name>> {
    map.iter().find(|(name, _)| name == key).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::vip_address;

    #[test]
    fn virtual_addresses_may_have_ports() {
        for (vip, ip) in [
            ("172.30.0.1:443", "172.30.0.1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("172.30.0.1", "172.30.0.1"),
        ] {
            assert_eq!(vip_address(vip), Some(ip), "{vip}");
        }
    }
}
