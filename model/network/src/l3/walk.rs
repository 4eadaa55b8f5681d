//! The rules of a namespace, walked for one packet.
use tapline_core::Name;
use tapline_core::need::Need;
use tapline_core::records::route::{Family, Rule};
use tapline_core::span::Evidence;
use tapline_topology::graph::{NetdevKind, Seen};
use tapline_topology::{Coverage, Topic};

use crate::Answer;

use super::matching::{self, Match};
use super::table::{self, Found, Table};
use super::vrf::{self, Domain, Own};
use super::{
    Decision, Devices, Fib, MOST_STEPS, Outcome, Query, Refusal, all_said, is_given, no_route,
};

/// A walk through the rules for one packet.
pub(super) struct Walk<'w, 'n, 'a, 'q> {
    pub(super) fib: &'w Fib<'n, 'a>,
    pub(super) query: &'w Query<'q>,
    pub(super) devices: Devices<'q>,
    /// The VRF whose packet it is.
    pub(super) domain: Domain<'a>,
    pub(super) family: Family,
    pub(super) rules: &'w [Seen<'a, Rule>],
}

impl<'a> Walk<'_, '_, 'a, '_> {
    /// Whether own addresses are looked up before all else: with the rule that every namespace has,
    /// unless somebody moved it.
    pub(super) fn local_is_first(&self) -> bool {
        let looks_up_local = |rule: &Seen<'a, Rule>| {
            let lookup = rule.record.lookup.as_ref();
            lookup.is_some_and(|table| table::canonical(table) == "local")
        };
        let first = self.rules.first();
        first.is_none_or(|first| looks_up_local(first) && is_given(first.record))
            || !self.rules.iter().any(looks_up_local)
    }

    /// Whether the destination is an address that stands in a table.
    pub(super) fn own_in(&self, table: &str) -> Found<'a> {
        match self.fib.own_in(table, self.query.to, self.devices.oif) {
            Own::Here(address) => {
                Found::Decision(Decision { outcome: Outcome::Local(address), ..no_route() })
            }
            Own::No if table == "local" => self.local_route(),
            Own::No => Found::Nothing,
            Own::Open => Found::Open(self.ask_vrf()),
        }
    }

    /// A route of the type `local` for more than one address: `local 127.0.0.0/8 dev lo`, and what a
    /// person adds so that a host answers for a whole prefix (ip-route(8)).
    fn local_route(&self) -> Found<'a> {
        let network = self.fib.network;
        let Some(table) = self.fib.tables.get("local") else { return Found::Nothing };
        let holding = table.holding(network, self.query.to);
        let Some(route) = holding.iter().find(|route| route.record.kind == "local") else {
            return Found::Nothing;
        };
        let device = route
            .record
            .dev
            .as_ref()
            .and_then(|dev| network.netdev_called(self.fib.host, self.fib.netns, &dev.value));
        // Which of its addresses stands for the device is all the same.
        let address = device.and_then(|device| network.addresses_of(device.id).into_iter().next());
        match address {
            Some(address) => Found::Decision(Decision {
                outcome: Outcome::Local(address.id),
                route: Some(*route),
                table: Some("local".into()),
                ..no_route()
            }),
            None => Found::Open(self.ask_route()),
        }
    }

    /// The rules were not captured: those that every namespace has are taken for granted.
    pub(super) fn without_rules(&self) -> Answer<Decision<'a>> {
        let assumed = self.fib.network.missing(self.fib.host, self.fib.netns, &[Topic::Rules]);
        // The kernel adds the rule of VRFs with the first of them (`vrf_add_fib_rules`).
        let of_vrf = match self.domain {
            Domain::Default => Found::Nothing,
            _ => self.vrf_table(None),
        };
        let found = match of_vrf {
            Found::Nothing => self.table("main", None),
            found => found,
        };
        match found {
            Found::Decision(decision) if self.rules_may_lead_elsewhere(&decision.outcome) => {
                Answer::Unknown(assumed)
            }
            Found::Decision(decision) => Answer::Known(Decision { assumed, ..decision }),
            // Whatever the rules say: no table that they could look up has a route.
            Found::Nothing if self.no_table_has_a_route() => Answer::Known(no_route()),
            Found::Nothing => Answer::Known(Decision { assumed, ..no_route() }),
            Found::Open(needs) => Answer::Unknown(needs),
        }
    }

    /// What the table of the packet's VRF says.
    fn vrf_table(&self, suppress: Option<u8>) -> Found<'a> {
        match self.domain {
            Domain::Default => Found::Nothing,
            Domain::Unknown => Found::Open(self.ask_vrf()),
            Domain::Vrf(vrf) => match self.fib.table_of(vrf) {
                Some(table) => self.table(&table, suppress),
                None => Found::Open(self.ask_vrf()),
            },
        }
    }

    fn matches(&self, rule: &Rule) -> Match {
        matching::matches(rule, self.query, self.devices.oif, &self.domain)
    }

    /// Walks the rules from the `start`th on. A rule that may match or not is followed both ways.
    pub(super) fn from(&self, start: usize) -> Answer<Decision<'a>> {
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
            let matched = self.matches(rule.record);
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
    pub(super) fn rules_in_words(&self) -> Vec<(String, Option<Evidence>)> {
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
            let matched = self.matches(rule.record);
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
        let found = if vrf::is_l3mdev(record) {
            self.vrf_table(suppress)
        } else {
            self.table(table, suppress)
        };
        match found {
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
            // Where they were looked at before, they are not here; nothing else leads out of it.
            let before = self.local_is_first();
            return if before { Found::Nothing } else { self.own_in("local") };
        }
        if self.fib.has_vrfs {
            match self.own_in(&name) {
                Found::Nothing => {}
                found => return found,
            }
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
            Found::Open(needs) if needs.is_empty() => Found::Open(self.ask_route()),
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

    /// Whether a table that nothing but a rule leads to decides otherwise: somebody filled it to be asked.
    fn rules_may_lead_elsewhere(&self, outcome: &Outcome<'a>) -> bool {
        let (host, netns) = (self.fib.host, self.fib.netns);
        let given = |name: &str| matches!(name, "main" | "local" | "default");
        // Those of VRFs are asked by a rule that every kernel adds.
        let vrfs: Vec<Name> = self
            .fib
            .network
            .netdevs_of(host)
            .filter(|device| device.netns() == netns && device.kind == NetdevKind::Vrf)
            .filter_map(|vrf| self.fib.table_of(vrf))
            .collect();
        let tables = self.fib.tables.keys();
        let mut others = tables.filter(|name| {
            !given(name) && !vrfs.iter().any(|vrf| vrf.as_str() == name.as_ref() as &str)
        });
        others.any(|name| match self.table(name, None) {
            Found::Nothing => false,
            Found::Decision(decision) => decision.outcome != *outcome,
            Found::Open(_) => true,
        })
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
        // All lists end with the rules that lead to the tables main and default. One without was more
        // likely cut off at the end of a line than left so by somebody.
        let leads_to_main = |rule: Seen<'_, Rule>| {
            rule.record.lookup.as_ref().is_some_and(|table| table.value == "main")
        };
        if !self.fib.rules(self.family).any(leads_to_main) {
            return false;
        }
        // Coverage is that of IPv4.
        let coverage = &self.fib.network.topology.coverage;
        let whole = coverage.of(self.fib.host, self.fib.netns, Topic::Rules);
        self.family == Family::Inet6 || matches!(whole, Coverage::Complete(_))
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

    /// What would tell the VRFs of devices, and their tables.
    fn ask_vrf(&self) -> Vec<Need> {
        let (host, netns) = (self.fib.host, self.fib.netns);
        let missing = self.fib.network.missing(host, netns, &[Topic::LinkDetails]);
        // All devices are known: then it is the name that a table has, which only the kernel tells.
        if missing.is_empty() { self.ask_route() } else { missing }
    }

    fn ask_rules(&self) -> Vec<Need> {
        vec![Topic::Rules.command(self.fib.netns)]
    }

    pub(super) fn ask_route(&self) -> Vec<Need> {
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
