//! Routing tables, one node per namespace and table, and the rules that look them up.
//!
//! `ip route show table all` leads: it prints table and family of each route. `route` and
//! `netstat` print neither metric types nor source addresses and count only where no `ip route`
//! was captured.
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::Source;
use tapline_core::ids::Netns;
use tapline_core::records::route::{Family, Gateway, Nexthop, Route, Rule};
use tapline_core::span::Evidence;

use super::{Texts, host, records};
use crate::graph::{
    Confidence, EdgeKind, Node, NodeData, RouteTable, Seen, Topology, Witness, WitnessClass,
};

/// What makes two printed routes one.
type RouteKey<'a> = (
    Family,
    &'a str,
    Option<ipnet::IpNet>,
    Option<&'a str>,
    Option<Hop<'a>>,
    Option<&'a str>,
    Option<u32>,
    (Option<IpAddr>, Option<&'a str>),
    Vec<(Option<Hop<'a>>, Option<&'a str>)>,
);

/// A next hop as a key.
type Hop<'a> = Result<IpAddr, &'a str>;

fn hop(gateway: &Gateway) -> Hop<'_> {
    match gateway {
        Gateway::Ip(ip) => Ok(*ip),
        Gateway::Name(name) => Err(name),
    }
}

/// Tables of one namespace.
type Tables<'a> = BTreeMap<Name, RouteTable<'a>>;

/// Adds the routing tables of one host.
pub(crate) fn link<'a>(topology: &mut Topology<'a>, texts: &Texts<'a>) {
    let mut namespaces: BTreeMap<&'a Netns, Tables<'a>> = BTreeMap::new();
    routes(texts, &mut namespaces);
    for (netns, rules) in rules(texts, &mut namespaces) {
        let place = host::ensure(topology, texts, netns);
        if let Some(NodeData::Netns(data)) = topology.node_mut(place).map(|node| &mut node.data) {
            data.rules = rules;
        }
    }
    for (netns, tables) in namespaces {
        for (name, data) in tables {
            add(topology, texts, netns, name, data);
        }
    }
}

fn routes<'a>(texts: &Texts<'a>, namespaces: &mut BTreeMap<&'a Netns, Tables<'a>>) {
    let mut all = texts.of(records!(Routes));
    let inet6 = |source: &Source| source.request.family == Some(Family::Inet6);
    all.sort_by_key(|(source, _)| (rank(source), inet6(source), source.id));
    let mut known: HashMap<(&Netns, Name), HashSet<RouteKey<'_>>> = HashMap::new();
    let mut by_ip: HashSet<&Netns> = HashSet::new();
    for (source, routes) in all {
        let weak = rank(source) == WEAK;
        if weak && by_ip.contains(&source.netns) {
            continue;
        }
        let asked = asked_table(source);
        // `netstat -rn` prints the main table of IPv4: other tables do not stand for it.
        if !weak && !inet6(source) && asked == "main" {
            by_ip.insert(&source.netns);
        }
        for record in routes {
            let table = match &record.table {
                Some(it) => canonical(it),
                None => asked.clone(),
            };
            let key = key(source, record);
            // `route` after `netstat`, `ip route` after `table all`: the same routes again.
            if known.entry((&source.netns, table.clone())).or_default().insert(key) {
                let tables = namespaces.entry(&source.netns).or_default();
                let seen = Seen { source: source.id, record };
                tables.entry(table).or_default().routes.push(seen);
            }
        }
    }
}

/// The rank of texts that are only used where there is no other.
const WEAK: u8 = 2;

/// Which text speaks first.
fn rank(source: &Source) -> u8 {
    // `route` and `netstat` name no table.
    match source.request.table.as_deref() {
        Some("all" | "0") => 0,
        Some(_) => 1,
        None => WEAK,
    }
}

/// The table that routes without a printed one belong to.
fn asked_table(source: &Source) -> Name {
    match source.request.table.as_deref() {
        Some("all" | "0") | None => Name::const_new("main"),
        Some(table) => canonical(table),
    }
}

/// The three tables that have names everywhere, by name (`/etc/iproute2/rt_tables`).
fn canonical(table: &str) -> Name {
    match table {
        "254" => Name::const_new("main"),
        "255" => Name::const_new("local"),
        "253" => Name::const_new("default"),
        _ => table.into(),
    }
}

fn family(source: &Source, route: &Route) -> Family {
    let by_gateway = || match &route.via.as_ref()?.value {
        Gateway::Ip(IpAddr::V4(_)) => Some(Family::Inet),
        Gateway::Ip(IpAddr::V6(_)) => Some(Family::Inet6),
        Gateway::Name(_) => None,
    };
    let by_destination = || match &route.destination.as_ref()?.value {
        ipnet::IpNet::V4(_) => Some(Family::Inet),
        ipnet::IpNet::V6(_) => Some(Family::Inet6),
    };
    let by_request = || source.request.family.filter(|family| *family == Family::Inet6);
    route
        .family
        .or_else(by_destination)
        .or_else(by_request)
        .or_else(by_gateway)
        .unwrap_or(Family::Inet)
}

fn key<'a>(source: &Source, route: &'a Route) -> RouteKey<'a> {
    let nexthop = |it: &'a Nexthop| {
        (it.via.as_ref().map(|via| hop(&via.value)), it.dev.as_ref().map(|dev| dev.as_str()))
    };
    (
        family(source, route),
        route.kind.as_str(),
        // `default` and `0.0.0.0/0` are one.
        route
            .destination
            .as_ref()
            .map(|destination| destination.value)
            .filter(|value| value.prefix_len() > 0),
        route.destination_name.as_deref(),
        route.via.as_ref().map(|via| hop(&via.value)),
        route.dev.as_ref().map(|dev| dev.as_str()),
        // No metric is metric 0.
        route.metric.filter(|metric| *metric > 0),
        // One for a type of service stands beside one for all.
        (route.src, service(route)),
        route.nexthops.iter().map(nexthop).collect(),
    )
}

fn service(route: &Route) -> Option<&str> {
    let field = route.other.iter().find(|field| matches!(field.key.as_str(), "tos" | "dsfield"))?;
    Some(field.value.value.as_str())
}

/// What makes two printed rules one.
type RuleKey<'a> = (
    (Family, u32, bool),
    (Option<ipnet::IpNet>, Option<ipnet::IpNet>),
    [Option<&'a str>; 5],
    Vec<(&'a str, &'a str)>,
);

fn rule_key(rule: &Rule) -> RuleKey<'_> {
    (
        (rule_family(rule), rule.priority, rule.not),
        (rule.from, rule.to),
        [
            rule.iif.as_deref(),
            rule.oif.as_deref(),
            rule.fwmark.as_deref(),
            rule.lookup.as_ref().map(|table| table.as_str()),
            rule.action.as_deref(),
        ],
        rule.other.iter().map(|field| (field.key.as_str(), field.value.value.as_str())).collect(),
    )
}

/// `ip rule` prints the rules of IPv4; a prefix of IPv6 shows that the command asked for those.
fn rule_family(rule: &Rule) -> Family {
    let prefix = rule.from.or(rule.to);
    let by_prefix = prefix.map(|net| match net {
        ipnet::IpNet::V4(_) => Family::Inet,
        ipnet::IpNet::V6(_) => Family::Inet6,
    });
    rule.family.or(by_prefix).unwrap_or(Family::Inet)
}

/// Gathers all rules of each namespace, without repeats, in the order in which the kernel walks
/// them; and at each table those that look it up.
fn rules<'a>(
    texts: &Texts<'a>,
    namespaces: &mut BTreeMap<&'a Netns, Tables<'a>>,
) -> BTreeMap<&'a Netns, Vec<Seen<'a, Rule>>> {
    let mut known: HashSet<(&Netns, RuleKey<'_>)> = HashSet::new();
    let mut ordered: BTreeMap<&'a Netns, Vec<Seen<'a, Rule>>> = BTreeMap::new();
    for (source, rules) in texts.of(records!(Rules)) {
        for record in rules {
            if !known.insert((&source.netns, rule_key(record))) {
                continue;
            }
            let seen = Seen { source: source.id, record };
            ordered.entry(&source.netns).or_default().push(seen);
            let Some(lookup) = &record.lookup else { continue };
            let table = canonical(lookup);
            let tables = namespaces.entry(&source.netns).or_default();
            // Every namespace looks up `default`, and hardly any has it.
            if &*table == "default" && !tables.contains_key(&table) {
                continue;
            }
            tables.entry(table).or_default().rules.push(seen);
        }
    }
    for rules in ordered.values_mut() {
        rules.sort_by_key(|rule| (rule_family(rule.record), rule.record.priority));
    }
    ordered
}

fn add<'a>(
    topology: &mut Topology<'a>,
    texts: &Texts<'a>,
    netns: &Netns,
    name: Name,
    data: RouteTable<'a>,
) {
    let place = host::ensure(topology, texts, netns);
    let mut seen: Vec<Evidence> = Vec::new();
    let routes =
        data.routes.iter().map(|route| Evidence { source: route.source, span: route.record.at });
    let rules =
        data.rules.iter().map(|rule| Evidence { source: rule.source, span: rule.record.at });
    seen.extend(routes.chain(rules));
    let witnesses = seen
        .iter()
        .take(1)
        .map(|&seen| Witness::at(WitnessClass::Kernel, seen, "printed there"))
        .collect();
    let id = topology.add(Node {
        host: Some(texts.host),
        netns: Some(netns.clone()),
        name: name.clone(),
        seen,
        data: NodeData::RouteTable(data),
    });
    topology.connect(id, place, EdgeKind::InNamespace, Confidence::Proven, witnesses);
    let keys = topology.keys.host_mut(texts.host).namespaces.entry(netns.clone()).or_default();
    keys.route_tables.insert(name, id);
}
