//! Where the kernel routes a packet: the policy rules of a namespace in their order, the tables that
//! they look up, the longest prefix, its metric, and its next hops.
//!
//! Sources: ip-rule(8), ip-route(8); the kernel's `fib_rules_lookup` (net/core/fib_rules.c),
//! `fib_table_lookup` (net/ipv4/fib_trie.c) and `fib6_table_lookup` (net/ipv6/route.c).
//!
//! A rule or table whose captures leave its answer open makes the whole answer unknown, unless both
//! possibilities lead to the same decision. Where policy rules were not captured at all, the three
//! that every namespace has are assumed, and the decision says so.
mod matching;
mod table;
#[cfg(test)]
mod tests;
mod vrf;
mod walk;

use std::collections::BTreeMap;
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::route::{Family, Route, Rule};
use tapline_core::span::Evidence;
use tapline_topology::graph::Seen;
use tapline_topology::{NodeId, Topic};

use crate::{Answer, Network};

use table::{Found, Table};
use walk::Walk;

pub(crate) use vrf::Domain;

/// Rules that are walked at most: a `goto` leads forward only, so a longer walk is damage.
const MOST_STEPS: usize = 8192;

/// A packet, as far as routing looks at it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Query<'q> {
    /// Destination.
    pub to: IpAddr,
    /// Source; `None` where the kernel has still to choose it.
    pub from: Option<IpAddr>,
    /// The device that it came in by; `None` for what the namespace sends itself.
    pub iif: Option<&'q str>,
    /// Its mark; `None` where that is not known.
    pub mark: Option<u32>,
    /// Its type of service; `None` where that is not known.
    pub tos: Option<u8>,
    /// What its transport says of it.
    pub transport: Transport,
}

/// The protocol of a packet and its ports, as rules ask for them; `None` where it is not known.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Transport {
    /// Number of the protocol.
    pub protocol: Option<u8>,
    /// The port that it comes from.
    pub sport: Option<u16>,
    /// The port that it goes to.
    pub dport: Option<u16>,
}

impl Query<'_> {
    /// What the namespace itself sends, without a mark.
    pub fn own(to: IpAddr) -> Self {
        Self {
            to,
            from: None,
            iif: None,
            mark: Some(0),
            tos: Some(0),
            transport: Transport::default(),
        }
    }
}

/// Which devices a lookup is held to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Devices<'q> {
    /// The device that the sender's socket is bound to (`ip route get … oif`).
    pub oif: Option<&'q str>,
    /// Devices that count as gone: the kernel deletes the routes by them.
    pub gone: &'q [Name],
}

impl Devices<'_> {
    fn allow(&self, dev: &str) -> bool {
        self.oif.is_none_or(|oif| oif == dev) && self.gone.iter().all(|gone| gone != dev)
    }
}

/// What becomes of a packet.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome<'a> {
    /// It is for an address of the namespace.
    Local(NodeId),
    /// It goes on by one of these next hops.
    Forward(Vec<NextHop<'a>>),
    /// It is refused: `blackhole` without a word, `unreachable` and `prohibit` with ICMP.
    Refused(Refusal),
    /// No table has a route.
    NoRoute,
}

/// How a packet is refused (ip-route(8), route types).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Refusal {
    /// Dropped silently.
    Blackhole,
    /// Dropped; the sender gets *host unreachable*.
    Unreachable,
    /// Dropped; the sender gets *communication administratively prohibited*.
    Prohibit,
}

impl Refusal {
    /// By the word that `ip` prints.
    pub fn of(word: &str) -> Option<Self> {
        match word {
            "blackhole" => Some(Self::Blackhole),
            "unreachable" => Some(Self::Unreachable),
            "prohibit" => Some(Self::Prohibit),
            _ => None,
        }
    }

    /// The word that `ip` prints.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Blackhole => "blackhole",
            Self::Unreachable => "unreachable",
            Self::Prohibit => "prohibit",
        }
    }
}

/// One next hop of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextHop<'a> {
    /// The router; `None` for a destination on the link.
    pub gateway: Option<IpAddr>,
    /// The device.
    pub dev: &'a Name,
    /// The kernel says `linkdown`: it still sends there, unless told otherwise by
    /// `ignore_routes_with_linkdown`.
    pub linkdown: bool,
    /// The line that says so.
    pub evidence: Evidence,
}

/// What the rules and tables decide for a packet.
#[derive(Clone, Debug)]
pub struct Decision<'a> {
    /// What becomes of the packet.
    pub outcome: Outcome<'a>,
    /// The policy rule that led there, where rules were captured.
    pub rule: Option<Seen<'a, Rule>>,
    /// The route, where a table decided.
    pub route: Option<Seen<'a, Route>>,
    /// The table that decided.
    pub table: Option<Name>,
    /// What was taken for granted, and the commands that would tell: policy rules that were not
    /// captured.
    pub assumed: Vec<Need>,
}

impl Decision<'_> {
    /// The lines that prove the decision.
    pub fn evidence(&self) -> Vec<Evidence> {
        let route = self.route.map(|seen| Evidence { source: seen.source, span: seen.record.at });
        // Every namespace has the rule of the main table: it proves nothing.
        let own = |seen: &Seen<'_, Rule>| !is_given(seen.record);
        let rule = self.rule.filter(own);
        let rule = rule.map(|seen| Evidence { source: seen.source, span: seen.record.at });
        route.into_iter().chain(rule).collect()
    }

    /// The next hops, where the packet goes on.
    pub fn hops(&self) -> &[NextHop<'_>] {
        match &self.outcome {
            Outcome::Forward(hops) => hops,
            _ => &[],
        }
    }

    fn same_fate(&self, other: &Self) -> bool {
        match (&self.outcome, &other.outcome) {
            (Outcome::Forward(mine), Outcome::Forward(theirs)) => {
                let way = |hop: &NextHop<'_>| (hop.gateway, hop.dev.to_string());
                mine.iter().map(way).eq(theirs.iter().map(way))
            }
            (mine, theirs) => mine == theirs,
        }
    }
}

/// The tables of all namespaces by prefix. Holds no record itself, only where it stands.
#[derive(Debug, Default)]
pub(crate) struct Tables(BTreeMap<NodeId, Routing>);

/// The tables of one namespace.
#[derive(Debug)]
struct Routing {
    tables: BTreeMap<Name, Table>,
    /// It has VRFs, as far as is known.
    has_vrfs: bool,
}

impl Tables {
    /// Sorts the routes of all tables.
    pub(crate) fn new(network: &Network<'_>) -> Self {
        let mut all = BTreeMap::new();
        let with_vrfs = vrf::namespaces_with_vrfs(network);
        for netns in network.namespaces() {
            let tables = network.tables_in(netns.id);
            let tables = tables.iter().map(|table| (table.name().into(), Table::new(table)));
            let rules = &netns.data.rules;
            let has_vrfs = with_vrfs.contains(&(netns.host, netns.netns()))
                || rules.iter().any(|rule| vrf::is_l3mdev(rule.record));
            all.insert(netns.id, Routing { tables: tables.collect(), has_vrfs });
        }
        Self(all)
    }
}

/// The routing of one namespace: its rules in order and its tables by prefix.
#[derive(Debug)]
pub struct Fib<'n, 'a> {
    network: &'n Network<'a>,
    host: HostId,
    netns: &'a Netns,
    rules: &'a [Seen<'a, Rule>],
    tables: &'n BTreeMap<Name, Table>,
    has_vrfs: bool,
}

impl<'n, 'a> Fib<'n, 'a> {
    /// The routing of a namespace; `None` where nothing is known of the namespace.
    pub(crate) fn of(
        network: &'n Network<'a>,
        tables: &'n Tables,
        host: HostId,
        netns: &Netns,
    ) -> Option<Self> {
        let netns = network.namespace(network.topology.find_netns(host, netns)?)?;
        let Routing { tables, has_vrfs } = tables.0.get(&netns.id)?;
        let (rules, has_vrfs) = (netns.data.rules.as_slice(), *has_vrfs);
        Some(Self { network, host, netns: netns.netns(), rules, tables, has_vrfs })
    }

    /// The policy rules of a family, in their order.
    pub fn rules(&self, family: Family) -> impl Iterator<Item = Seen<'a, Rule>> + use<'a> {
        self.rules.iter().copied().filter(move |rule| is_of(rule.record, family))
    }

    /// Whether some device of the namespace is in a VRF, as far as is known.
    pub fn has_vrfs(&self) -> bool {
        self.has_vrfs
    }

    /// What the kernel does with a packet.
    pub fn lookup(&self, query: &Query<'_>) -> Answer<Decision<'a>> {
        self.lookup_by(query, Devices::default())
    }

    /// The same, by some devices only.
    pub fn lookup_by(&self, query: &Query<'_>, devices: Devices<'_>) -> Answer<Decision<'a>> {
        let domain = self.domain(query, devices.oif);
        let (Domain::Vrf(vrf), Some(oif)) = (domain, devices.oif) else {
            return self.lookup_in(query, devices, domain);
        };
        // By any device of the VRF (`l3mdev_update_flow`).
        let free = self.lookup_in(query, devices.free(), domain);
        if oif == vrf.name() {
            return free;
        }
        // A socket that is bound to a member: kernels before 6.0 take any device of the VRF.
        let held = self.lookup_in(query, devices, domain);
        match (held, free) {
            (Answer::Known(held), Answer::Known(free)) if held.same_fate(&free) => {
                Answer::Known(held)
            }
            (Answer::Unknown(needs), _) => Answer::Unknown(needs),
            _ => Answer::Unknown(self.walk(query, devices, domain, &[]).ask_route()),
        }
    }

    fn lookup_in(
        &self,
        query: &Query<'_>,
        devices: Devices<'_>,
        domain: Domain<'a>,
    ) -> Answer<Decision<'a>> {
        let family = if query.to.is_ipv4() { Family::Inet } else { Family::Inet6 };
        let rules: Vec<_> = self.rules(family).collect();
        let walk = self.walk(query, devices, domain, &rules);
        if walk.local_is_first() {
            match walk.own_in("local") {
                Found::Nothing => {}
                Found::Decision(decision) => return Answer::Known(decision),
                Found::Open(needs) => return Answer::Unknown(needs),
            }
        }
        // Nearly every namespace has these, whether its addresses were captured or not.
        if query.to.is_loopback() {
            let missing = self.network.missing(self.host, self.netns, &[Topic::Addresses]);
            if !missing.is_empty() {
                return Answer::Unknown(missing);
            }
        }
        if rules.is_empty() { walk.without_rules() } else { walk.from(0) }
    }

    fn walk<'w, 'q>(
        &'w self,
        query: &'w Query<'q>,
        devices: Devices<'q>,
        domain: Domain<'a>,
        rules: &'w [Seen<'a, Rule>],
    ) -> Walk<'w, 'n, 'a, 'q> {
        let family = if query.to.is_ipv4() { Family::Inet } else { Family::Inet6 };
        Walk { fib: self, query, devices, domain, family, rules }
    }

    /// Everything that a lookup looks at, in words, each with its line: the rules up to the one that
    /// decides, then the routes of its table that hold the destination.
    pub fn looked_at(
        &self,
        query: &Query<'_>,
        devices: Devices<'_>,
        decided: &Decision<'_>,
    ) -> Vec<(String, Option<Evidence>)> {
        let family = if query.to.is_ipv4() { Family::Inet } else { Family::Inet6 };
        let rules: Vec<_> = self.rules(family).collect();
        let domain = self.domain(query, devices.oif);
        let walk = self.walk(query, devices, domain, &rules);
        let mut all = walk.rules_in_words();
        if let Some(table) = decided.table.as_deref()
            && let Some(found) = self.tables.get(table)
        {
            for route in found.holding(self.network, query.to) {
                let taken = decided.route.is_some_and(|own| std::ptr::eq(own.record, route.record));
                let words = if taken { "taken" } else { "also holds it" };
                let at = Evidence { source: route.source, span: route.record.at };
                all.push((format!("table {table}: route {words}"), Some(at)));
            }
        }
        all
    }
}

impl Fib<'_, '_> {
    /// A route of the type `throw` that holds an address: the lookup in its table ends there, and the next
    /// rule is asked (ip-route(8)).
    pub(crate) fn throws(&self, to: IpAddr) -> Option<Evidence> {
        let mut all = self.tables.values().flat_map(|table| table.holding(self.network, to));
        let route = all.find(|route| route.record.kind == "throw")?;
        Some(Evidence { source: route.source, span: route.record.at })
    }
}

/// More rules than are told.
fn all_said(rules: usize) -> bool {
    rules > 256
}

fn no_route<'a>() -> Decision<'a> {
    Decision {
        outcome: Outcome::NoRoute,
        rule: None,
        route: None,
        table: None,
        assumed: Vec::new(),
    }
}

fn is_of(rule: &Rule, family: Family) -> bool {
    let prefix = rule.from.or(rule.to).map(|net| net.addr().is_ipv4());
    let by_prefix = prefix.map(|v4| if v4 { Family::Inet } else { Family::Inet6 });
    rule.family.or(by_prefix).unwrap_or(Family::Inet) == family
}

/// One of the three rules that every namespace has.
fn is_given(rule: &Rule) -> bool {
    matches!(rule.priority, 0 | 32766 | 32767)
        && rule.from.is_none()
        && rule.to.is_none()
        && rule.iif.is_none()
        && rule.oif.is_none()
        && rule.fwmark.is_none()
        && rule.action.is_none()
        && rule.lookup.as_ref().is_some_and(|table| {
            matches!(table.as_str(), "local" | "main" | "default" | "255" | "254" | "253")
        })
}
