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

use std::collections::BTreeMap;
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::route::{Family, Route, Rule};
use tapline_core::span::Evidence;
use tapline_topology::graph::Seen;
use tapline_topology::{Coverage, NodeId, Topic};

use crate::{Answer, Network};

use matching::Match;
use table::{Found, Table};

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
}

impl Query<'_> {
    /// What the namespace itself sends, without a mark.
    pub fn own(to: IpAddr) -> Self {
        Self { to, from: None, iif: None, mark: Some(0), tos: Some(0) }
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
pub(crate) struct Tables(BTreeMap<NodeId, BTreeMap<Name, Table>>);

impl Tables {
    /// Sorts the routes of all tables.
    pub(crate) fn new(network: &Network<'_>) -> Self {
        let mut all: BTreeMap<NodeId, BTreeMap<Name, Table>> = BTreeMap::new();
        for netns in network.namespaces() {
            let tables = network.tables_in(netns.id);
            let tables = tables.iter().map(|table| (table.name().into(), Table::new(table)));
            all.insert(netns.id, tables.collect());
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
        let tables = tables.0.get(&netns.id)?;
        Some(Self { network, host, netns: netns.netns(), rules: &netns.data.rules, tables })
    }

    /// The policy rules of a family, in their order.
    pub fn rules(&self, family: Family) -> impl Iterator<Item = Seen<'a, Rule>> + use<'a> {
        self.rules.iter().copied().filter(move |rule| is_of(rule.record, family))
    }

    /// What the kernel does with a packet.
    pub fn lookup(&self, query: &Query<'_>) -> Answer<Decision<'a>> {
        self.lookup_by(query, Devices::default())
    }

    /// The same, by some devices only.
    pub fn lookup_by(&self, query: &Query<'_>, devices: Devices<'_>) -> Answer<Decision<'a>> {
        if let Some(local) = self.own_address(query.to, devices.oif) {
            return Answer::Known(Decision {
                outcome: Outcome::Local(local),
                rule: None,
                route: None,
                table: None,
                assumed: Vec::new(),
            });
        }
        let family = if query.to.is_ipv4() { Family::Inet } else { Family::Inet6 };
        let rules: Vec<_> = self.rules(family).collect();
        let walk = Walk { fib: self, query, devices, family, rules: &rules };
        if rules.is_empty() {
            let assumed = self.network.missing(self.host, self.netns, &[Topic::Rules]);
            return match walk.table("main", None) {
                Found::Decision(decision) => Answer::Known(Decision { assumed, ..decision }),
                // Whatever the rules say: no table that they could look up has a route.
                Found::Nothing if walk.no_table_has_a_route() => Answer::Known(no_route()),
                Found::Nothing => Answer::Known(Decision { assumed, ..no_route() }),
                Found::Open(needs) => Answer::Unknown(needs),
            };
        }
        walk.from(0)
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
        let walk = Walk { fib: self, query, devices, family, rules: &rules };
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

    /// The address of this namespace; of the device that a socket is bound to, if it is.
    fn own_address(&self, ip: IpAddr, oif: Option<&str>) -> Option<NodeId> {
        let is_here = |&id: &NodeId| {
            let address = self.network.address(id);
            address.is_some_and(|found| {
                let device = self.network.netdev(found.data.netdev);
                let bound = oif.is_none_or(|oif| device.is_some_and(|device| device.name() == oif));
                bound && found.host == self.host && found.netns() == self.netns
            })
        };
        self.network.topology.find_address(ip).iter().copied().find(is_here)
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

/// A walk through the rules for one packet.
struct Walk<'w, 'n, 'a, 'q> {
    fib: &'w Fib<'n, 'a>,
    query: &'w Query<'q>,
    devices: Devices<'q>,
    family: Family,
    rules: &'w [Seen<'a, Rule>],
}

impl<'a> Walk<'_, '_, 'a, '_> {
    /// Walks the rules from the `start`th on. A rule that may match or not is followed both ways.
    fn from(&self, start: usize) -> Answer<Decision<'a>> {
        let mut at = start;
        // What earlier rules decide if they match, and what would tell whether they do.
        let mut open: Vec<(Answer<Decision<'a>>, Need)> = Vec::new();
        let mut steps = 0;
        let last = loop {
            let Some(&rule) = self.rules.get(at) else {
                // A list that was cut off may lack the rule that leads on.
                break if self.lists_all_rules() {
                    Answer::Known(no_route())
                } else {
                    Answer::Unknown(self.ask_rules())
                };
            };
            steps += 1;
            if steps > MOST_STEPS {
                break Answer::Unknown(self.ask_rules());
            }
            at += 1;
            let matched = matching::matches(rule.record, self.query, self.devices.oif);
            if matched == Match::No {
                continue;
            }
            match self.act(rule, at) {
                Step::Next => {}
                Step::Goto(target) if matched == Match::Yes => at = target,
                // Whether it jumps is open; what the rules between would do is not followed up.
                Step::Goto(_) => break Answer::Unknown(self.ask_route()),
                Step::End(answer) if matched == Match::Yes => break answer,
                Step::End(answer) => open.push((answer, self.get_route())),
            }
        };
        let Answer::Known(decision) = last else { return last };
        let mut needs = Vec::new();
        for (answer, need) in open {
            match answer {
                Answer::Known(other) if other.same_fate(&decision) => {}
                Answer::Known(_) => needs.push(need),
                Answer::Unknown(more) => needs.extend(more),
            }
        }
        if needs.is_empty() { Answer::Known(decision) } else { Answer::Unknown(needs) }
    }

    /// Each rule up to the one that decides, and what it leads to.
    fn rules_in_words(&self) -> Vec<(String, Option<Evidence>)> {
        if self.rules.is_empty() {
            return vec![("no policy rules captured: table main is looked up".to_owned(), None)];
        }
        let mut all = Vec::new();
        let mut at = 0;
        while let Some(&rule) = self.rules.get(at) {
            at += 1;
            let priority = rule.record.priority;
            let line = Evidence { source: rule.source, span: rule.record.at };
            let mut say = |words: &str| all.push((format!("rule {priority}: {words}"), Some(line)));
            if all_said(at) {
                break;
            }
            let matched = matching::matches(rule.record, self.query, self.devices.oif);
            let step = self.act(rule, at);
            match (matched, step) {
                (Match::No, _) => say("does not select the packet"),
                (Match::Open, _) => say("may select the packet"),
                (Match::Yes, Step::Next) => say("leads to no route"),
                (Match::Yes, Step::Goto(target)) => {
                    say("goes on elsewhere");
                    at = target;
                }
                (Match::Yes, Step::End(Answer::Known(_))) => {
                    say("decides");
                    break;
                }
                (Match::Yes, Step::End(Answer::Unknown(_))) => {
                    say("leads to a table that was not captured");
                    break;
                }
            }
        }
        all
    }

    fn act(&self, rule: Seen<'a, Rule>, next: usize) -> Step<'a> {
        let record = rule.record;
        if let Some(action) = &record.action {
            if let Some(refusal) = Refusal::of(action) {
                let outcome = Outcome::Refused(refusal);
                return Step::End(Answer::Known(Decision {
                    outcome,
                    rule: Some(rule),
                    ..no_route()
                }));
            }
            if let Some(target) = action.strip_prefix("goto ") {
                let Ok(priority) = target.parse::<u32>() else { return Step::Next };
                let later = self.rules.iter().enumerate().skip(next);
                let found = later.clone().find(|(_, rule)| rule.record.priority == priority);
                // A target that does not exist (yet) makes the rule do nothing.
                return found.map_or(Step::Next, |(target, _)| Step::Goto(target));
            }
            // `nop`, and actions that no kernel of today carries out.
            return Step::Next;
        }
        let Some(table) = &record.lookup else { return Step::Next };
        let suppress = matching::suppressed_length(record);
        match self.table(table, suppress) {
            Found::Nothing => Step::Next,
            Found::Open(needs) => Step::End(Answer::Unknown(needs)),
            Found::Decision(decision) => {
                Step::End(Answer::Known(Decision { rule: Some(rule), ..decision }))
            }
        }
    }

    /// What one table says. Routes of prefixes up to `suppress` long do not count.
    fn table(&self, name: &str, suppress: Option<u8>) -> Found<'a> {
        let name = table::canonical(name);
        if name == "local" {
            // Addresses of the namespace were looked at before; nothing else leads out of it.
            return Found::Nothing;
        }
        // Nearly no machine has routes in `default`.
        if name == "default" && !self.fib.tables.contains_key(&*name) {
            return Found::Nothing;
        }
        let complete = self.is_complete(&name);
        let found = match self.fib.tables.get(&*name) {
            Some(table) => {
                table.lookup(self.fib.network, self.query, self.devices, suppress, &name)
            }
            None => Found::Nothing,
        };
        match found {
            Found::Nothing if !complete => Found::Open(self.ask_table(&name)),
            found => found,
        }
    }

    /// Whether all tables were captured, and none has a route for the packet.
    fn no_table_has_a_route(&self) -> bool {
        let (host, netns) = (self.fib.host, self.fib.netns);
        let coverage = &self.fib.network.topology.coverage;
        let all = matches!(coverage.of(host, netns, Topic::AllRoutes), Coverage::Complete(_));
        all && self.fib.tables.keys().all(|table| matches!(self.table(table, None), Found::Nothing))
    }

    /// Whether what the captures do not show in a table is not in it.
    fn is_complete(&self, table: &str) -> bool {
        let (host, netns) = (self.fib.host, self.fib.netns);
        let is = |topic| {
            matches!(
                self.fib.network.topology.coverage.of(host, netns, topic),
                Coverage::Complete(_)
            )
        };
        let of_family = match self.family {
            Family::Inet => true,
            // An empty listing of IPv6 cannot be told from one that was not asked for.
            Family::Inet6 => self.fib.tables.values().any(Table::has_inet6),
        };
        of_family && (is(Topic::AllRoutes) || table == "main" && is(Topic::Routes))
    }

    /// Whether every policy rule was captured.
    fn lists_all_rules(&self) -> bool {
        let coverage = &self.fib.network.topology.coverage;
        matches!(coverage.of(self.fib.host, self.fib.netns, Topic::Rules), Coverage::Complete(_))
    }

    fn ask_table(&self, table: &str) -> Vec<Need> {
        let (host, netns) = (self.fib.host, self.fib.netns);
        let topic = if table == "main" { Topic::Routes } else { Topic::AllRoutes };
        let missing = self.fib.network.missing(host, netns, &[topic]);
        if !missing.is_empty() && self.family == Family::Inet {
            return missing;
        }
        let list = if self.family == Family::Inet6 { "ip -6 route" } else { "ip route" };
        vec![Need::command(list).with("show").with("table").with(table).within(netns)]
    }

    fn ask_rules(&self) -> Vec<Need> {
        vec![Topic::Rules.command(self.fib.netns)]
    }

    fn ask_route(&self) -> Vec<Need> {
        vec![self.get_route()]
    }

    /// The command that shows what the kernel decides for this packet.
    fn get_route(&self) -> Need {
        let mut need = Need::command("ip route get").with(&self.query.to.to_string());
        if let Some(from) = self.query.from {
            need = need.with("from").with(&from.to_string());
        }
        if let Some(iif) = self.query.iif {
            need = need.with("iif").with(iif);
        }
        need.within(self.fib.netns)
    }
}

/// What a rule that matches does.
enum Step<'a> {
    /// Nothing: the next rule is asked.
    Next,
    /// It jumps to this rule.
    Goto(usize),
    /// It decides.
    End(Answer<Decision<'a>>),
}
