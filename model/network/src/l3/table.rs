//! One routing table, by prefix.
use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::Name;
use tapline_core::need::Need;
use tapline_core::records::route::{Family, Gateway, Route};
use tapline_core::span::Evidence;
use tapline_topology::NodeId;
use tapline_topology::graph::{RouteTable, Seen};

use crate::{Item, Network};

use super::matching::{Match, fits_service};
use super::{Decision, Devices, NextHop, Outcome, Query, Refusal, no_route};

/// The routes of one table by prefix; a lookup asks each length that occurs once.
#[derive(Debug, Default)]
pub(super) struct Table {
    /// The node of the table.
    id: Option<NodeId>,
    /// Indexes of routes, by metric.
    by_prefix: HashMap<IpNet, Vec<usize>>,
    /// Lengths that occur, the longest first.
    inet: Vec<u8>,
    inet6: Vec<u8>,
}

/// What a table says.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// Nothing: the next rule is asked.
    Nothing,
    /// It decides.
    Decision(Decision<'a>),
    /// It was not captured well enough; these commands would tell.
    Open(Vec<Need>),
}

impl Table {
    /// Sorts the routes of a table by prefix.
    pub(super) fn new(node: &Item<'_, RouteTable<'_>>) -> Self {
        let mut table = Self { id: Some(node.id), ..Self::default() };
        let routes = node.data.routes.as_slice();
        for (at, route) in routes.iter().enumerate() {
            let Some(net) = destination(route.record) else { continue };
            table.by_prefix.entry(net).or_default().push(at);
            match net {
                IpNet::V4(_) => table.inet.push(net.prefix_len()),
                IpNet::V6(_) => table.inet6.push(net.prefix_len()),
            }
        }
        for lengths in [&mut table.inet, &mut table.inet6] {
            lengths.sort_unstable();
            lengths.dedup();
            lengths.reverse();
        }
        #[expect(clippy::iter_over_hash_type, reason = "each list is sorted for itself")]
        for found in table.by_prefix.values_mut() {
            found.sort_by_key(|&at| {
                // Those for a type of service come first (`fib_find_alias`).
                let record = routes.get(at).map(|route| route.record);
                let plain = record.is_none_or(|record| service_of(record).is_none());
                (plain, record.and_then(|record| record.metric))
            });
        }
        table
    }

    /// Whether it has routes of IPv6.
    pub(super) fn has_inet6(&self) -> bool {
        !self.inet6.is_empty()
    }

    /// Every route that holds a destination, the longest prefix first.
    pub(super) fn holding<'a>(&self, network: &Network<'a>, to: IpAddr) -> Vec<Seen<'a, Route>> {
        let node = self.id.and_then(|id| network.route_table(id));
        let Some(all) = node.map(|table| table.data.routes.as_slice()) else { return Vec::new() };
        let lengths = if to.is_ipv4() { &self.inet } else { &self.inet6 };
        let mut found = Vec::new();
        for &length in lengths {
            let Ok(net) = IpNet::new(to, length) else { continue };
            let routes = self.by_prefix.get(&net.trunc()).map_or(&[][..], Vec::as_slice);
            found.extend(routes.iter().filter_map(|&at| all.get(at).copied()));
        }
        found
    }

    /// The route that the kernel takes: the longest prefix, of these the lowest metric.
    pub(super) fn lookup<'a>(
        &self,
        network: &Network<'a>,
        query: &Query<'_>,
        devices: Devices<'_>,
        suppress: Option<u8>,
        name: &str,
    ) -> Found<'a> {
        let node = self.id.and_then(|id| network.route_table(id));
        let Some(all) = node.map(|table| table.data.routes.as_slice()) else {
            return Found::Nothing;
        };
        let to = query.to;
        let lengths = if to.is_ipv4() { &self.inet } else { &self.inet6 };
        for &length in lengths {
            let Ok(net) = IpNet::new(to, length) else { continue };
            let Some(found) = self.by_prefix.get(&net.trunc()) else { continue };
            let routes: Vec<_> = found.iter().filter_map(|&at| all.get(at).copied()).collect();
            let Some(found) = choose(&routes, name, query.tos, devices) else { continue };
            // A route that refuses is no result that could be suppressed (`fib_rules_lookup`).
            let refuses = matches!(&found, Found::Decision(decision)
                if matches!(decision.outcome, Outcome::Refused(_)));
            if suppress.is_some_and(|most| length <= most) && !refuses {
                return Found::Nothing;
            }
            return found;
        }
        Found::Nothing
    }
}

/// The first of several routes of one prefix that can be used. `None` where none can: a shorter
/// prefix counts then.
fn choose<'a>(
    routes: &[Seen<'a, Route>],
    name: &str,
    tos: Option<u8>,
    devices: Devices<'_>,
) -> Option<Found<'a>> {
    for &route in routes {
        let record = route.record;
        match service_of(record).map_or(Match::Yes, |service| fits_service(service, tos)) {
            Match::Yes => {}
            Match::No => continue,
            Match::Open => return Some(Found::Open(Vec::new())),
        }
        let outcome = match record.kind.as_str() {
            // The lookup in this table ends; the next rule is asked.
            "throw" => return Some(Found::Nothing),
            // Routes of the kernel for own addresses that were not captured as such, and what a
            // person delivers to the namespace itself.
            "local" | "broadcast" | "multicast" | "anycast" | "nat" => {
                return Some(Found::Open(Vec::new()));
            }
            kind => match Refusal::of(kind) {
                Some(refusal) => Outcome::Refused(refusal),
                None => {
                    let mut hops = next_hops(route, routes);
                    hops.retain(|hop| devices.allow(hop.dev));
                    // All dead: the kernel goes on with the next route.
                    if hops.is_empty() {
                        continue;
                    }
                    Outcome::Forward(hops)
                }
            },
        };
        return Some(Found::Decision(Decision {
            outcome,
            route: Some(route),
            table: Some(Name::from(name)),
            ..no_route()
        }));
    }
    None
}

/// The type of service that a route of IPv4 is for, as it is printed.
fn service_of(route: &Route) -> Option<&str> {
    let mut fields = route.other.iter();
    let field = fields.find(|field| matches!(field.key.as_str(), "tos" | "dsfield"))?;
    Some(field.value.value.as_str())
}

/// All next hops of a route that the kernel uses. IPv6 prints a multipath route as several routes
/// of one metric on some versions of iproute2, and takes any of several such routes.
fn next_hops<'a>(route: Seen<'a, Route>, siblings: &[Seen<'a, Route>]) -> Vec<NextHop<'a>> {
    let mut hops = hops_of(route);
    if is_inet6(route.record) {
        let same = |other: &&Seen<'a, Route>| {
            other.record.metric == route.record.metric
                && !std::ptr::eq(other.record, route.record)
                && (other.record.via.is_some() || !other.record.nexthops.is_empty())
                && other.source == route.source
        };
        for &other in siblings.iter().filter(same) {
            hops.extend(hops_of(other));
        }
    }
    hops
}

fn hops_of(route: Seen<'_, Route>) -> Vec<NextHop<'_>> {
    let record = route.record;
    let own = (&record.via, &record.dev, &record.flags, record.at);
    let several = record.nexthops.iter().map(|hop| (&hop.via, &hop.dev, &hop.flags, hop.at));
    let all = std::iter::once(own).chain(several);
    all.filter_map(|(via, dev, flags, span)| {
        let dev = &dev.as_ref()?.value;
        let has = |flag: &str| flags.iter().any(|set| set.value == flag);
        let gateway = match via.as_ref().map(|via| &via.value) {
            // `route -n` prints 0.0.0.0 for no gateway.
            Some(Gateway::Ip(ip)) if !ip.is_unspecified() => Some(*ip),
            _ => None,
        };
        let evidence = Evidence { source: route.source, span };
        let hop = NextHop { gateway, dev, linkdown: has("linkdown"), evidence };
        (!has("dead")).then_some(hop)
    })
    .collect()
}

/// The prefix of a route; `None` where it was printed as a name.
fn destination(route: &Route) -> Option<IpNet> {
    match &route.destination {
        Some(net) => Some(net.value.trunc()),
        None if route.destination_name.is_some() => None,
        None if is_inet6(route) => Some(IpNet::V6(ipnet::Ipv6Net::default())),
        None => Some(IpNet::V4(ipnet::Ipv4Net::default())),
    }
}

fn is_inet6(route: &Route) -> bool {
    let by_gateway = || match route.via.as_ref().map(|via| &via.value) {
        Some(Gateway::Ip(ip)) => ip.is_ipv6(),
        _ => false,
    };
    let by_prefix =
        || matches!(route.destination.as_ref().map(|net| net.value), Some(IpNet::V6(_)));
    route.family == Some(Family::Inet6) || by_prefix() || route.family.is_none() && by_gateway()
}

/// The three tables that have names everywhere, by name (`/etc/iproute2/rt_tables`).
pub(super) fn canonical(table: &str) -> Name {
    match table {
        "254" => Name::const_new("main"),
        "255" => Name::const_new("local"),
        "253" => Name::const_new("default"),
        _ => table.into(),
    }
}
