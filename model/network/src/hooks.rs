//! What each hook of the kernel asks, in its order: tables of `iptables` and chains of nft; and what
//! all rules of a kind say.
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_core::records::filter::{Addresses, Condition, MaskedMac, Target, Test};
use tapline_core::records::nft::Statement;
use tapline_core::records::route::Family;
use tapline_core::span::{Evidence, SourceId};

use crate::filter::{self, BaseChain, Judgement};
use crate::netfilter::{Filters, Table};
use crate::truth::Truth;

pub(crate) mod frames;

/// A table of `iptables` or a chain of `nft` that a hook asks.
pub(crate) struct Step<'a> {
    pub(crate) asked: Asked<'a>,
    /// The table, or `nft`.
    pub(crate) name: &'static str,
    /// It translates: only the first packet of a connection is shown to it.
    pub(crate) nat: bool,
    priority: i64,
}

pub(crate) enum Asked<'a> {
    Table(Table<'a>),
    Chain(SourceId, BaseChain<'a>),
    /// No rules: the kernel translates what belongs to a connection without them.
    Nothing,
}

impl Asked<'_> {
    /// What it does with a packet.
    pub(crate) fn evaluate(&self, hook: &str, packet: &filter::Packet) -> Option<Judgement> {
        match self {
            Self::Table(table) => filter::evaluate(table.source, table.data, hook, packet),
            Self::Chain(source, chain) => chain.evaluate(*source, packet),
            Self::Nothing => None,
        }
    }
}

/// When a table of `iptables` is asked (`enum nf_ip_hook_priorities` of the kernel).
fn priority(table: &str, hook: &str) -> i64 {
    match table {
        "raw" => -300,
        "mangle" => -150,
        "nat" if matches!(hook, "PREROUTING" | "OUTPUT") => -100,
        "nat" => 100,
        _ => 0,
    }
}

impl<'a> Filters<'a> {
    /// What a hook asks, in the order in which the kernel does.
    pub(crate) fn steps(
        &self,
        (host, netns): (HostId, &Netns),
        family: Family,
        hook: &str,
        names: &'static [&'static str],
    ) -> Vec<Step<'a>> {
        let mut all: Vec<Step<'_>> = names
            .iter()
            .filter_map(|name| {
                let asked = Asked::Table(self.table_of((host, netns), family, name)?);
                Some(Step { asked, name, nat: *name == "nat", priority: priority(name, hook) })
            })
            .collect();
        all.extend(self.chains((host, netns), family, hook));
        if names.contains(&"nat") && all.iter().all(|step| !step.nat) {
            let (name, priority) = ("nat", priority("nat", hook));
            all.push(Step { asked: Asked::Nothing, name, nat: true, priority });
        }
        all.sort_by_key(|step| step.priority);
        all
    }

    /// The chains of nft that `iptables` does not print as well.
    fn chains(&self, (host, netns): (HostId, &Netns), family: Family, hook: &str) -> Vec<Step<'a>> {
        let Some(ruleset) = self.ruleset(host, netns) else { return Vec::new() };
        let mut all = Vec::new();
        for base in filter::base_chains(ruleset.tables, family, &hook.to_ascii_lowercase()) {
            let printed = self.table_of((host, netns), family, &base.table.name.value);
            let again = printed.is_some_and(|table| {
                table.data.chains.iter().any(|chain| chain.name == base.chain.name.value)
            });
            if again && base.table.family != "inet" {
                continue;
            }
            let nat = base.kind == "nat";
            // Chains that translate are asked where the kernel translates, whatever they say.
            let priority = if nat { priority("nat", hook) } else { base.priority };
            all.push(Step {
                asked: Asked::Chain(ruleset.source, base),
                name: "nft",
                nat,
                priority,
            });
        }
        all
    }

    /// Whether no rule may change the destination of a packet of a namespace, as all of its rules or
    /// those that translate show.
    pub(crate) fn leave_destination(
        &self,
        place: (HostId, &Netns),
        packet: &filter::Packet,
    ) -> bool {
        let changes = |target: &Target| {
            matches!(target, Target::Dnat(_) | Target::Redirect(_) | Target::Netmap(_))
                || matches!(target, Target::Unknown(_))
        };
        let may_meet = |condition: &Condition| packet.fits(condition) != Truth::No;
        let table = self.table_of(place, packet.family, "nat");
        let by_table = table.iter().flat_map(|table| &table.data.rules).any(|rule| {
            rule.action.as_ref().is_some_and(changes) && rule.conditions.iter().all(may_meet)
        });
        let ruleset = self.ruleset(place.0, place.1);
        let by_ruleset = ruleset.iter().flat_map(|ruleset| ruleset.tables).any(|table| {
            table.chains.iter().flat_map(|chain| &chain.rules).any(|rule| {
                let mut is_met = true;
                rule.statements.iter().any(|statement| match statement {
                    Statement::If(condition) => {
                        is_met &= may_meet(condition);
                        false
                    }
                    Statement::Do(target) => is_met && changes(target),
                    Statement::Choose(all) => all.iter().any(|(_, target)| changes(target)),
                    Statement::Counter(..) => false,
                })
            })
        });
        (table.is_some() || ruleset.is_some()) && !by_table && !by_ruleset
    }

    /// Whether a mark that OUTPUT changes makes the kernel route a packet again.
    pub(crate) fn routes_again(&self, (host, netns): (HostId, &Netns), family: Family) -> bool {
        let mangles = self
            .table_of((host, netns), family, "mangle")
            .is_some_and(|table| table.data.rules.iter().any(|rule| rule.chain == "OUTPUT"));
        mangles
            || self
                .chains((host, netns), family, "OUTPUT")
                .iter()
                .any(|step| matches!(&step.asked, Asked::Chain(_, chain) if chain.kind == "route"))
    }

    /// Every translation of a destination: from what, to what, and where it says so.
    pub(crate) fn destinations(
        &self,
    ) -> impl Iterator<Item = (HostId, &'a Netns, IpAddr, IpAddr, Evidence)> + '_ {
        self.tables_called("nat").flat_map(|(host, netns, table)| {
            table.data.rules.iter().filter_map(move |rule| {
                let Some(Target::Dnat(to)) = &rule.action else { return None };
                let from = rule.conditions.iter().find_map(|condition| match &condition.test {
                    Test::Destination(all) if !condition.not => all.first()?.single(),
                    _ => None,
                })?;
                Some((host, netns, from, to.address?, table.line(rule)))
            })
        })
    }

    fn tables_called(
        &self,
        name: &'static str,
    ) -> impl Iterator<Item = (HostId, &'a Netns, Table<'a>)> + '_ {
        let all = self.tables().filter(move |(.., table)| table.data.table.value == name);
        all.map(|(host, netns, _, table)| (host, netns, table))
    }

    /// Every pair of address and MAC that a rule lets a guest send with.
    pub(crate) fn guest_addresses(
        &self,
    ) -> impl Iterator<Item = (HostId, Mac, IpAddr, Evidence)> + '_ {
        self.tables_called("filter").flat_map(|(host, _, table)| {
            table.data.rules.iter().filter_map(move |rule| {
                let (mut mac, mut ip) = (None, None);
                for condition in rule.conditions.iter().filter(|condition| !condition.not) {
                    match &condition.test {
                        Test::MacSource(all) => mac = all.first().and_then(MaskedMac::single),
                        Test::Source(all) => ip = all.first().and_then(Addresses::single),
                        _ => {}
                    }
                }
                Some((host, mac?, ip?, table.line(rule)))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::priority;

    #[test]
    fn tables_are_asked_in_the_order_of_the_kernel() {
        for (table, hook, order) in [
            ("raw", "PREROUTING", -300),
            ("mangle", "FORWARD", -150),
            ("nat", "PREROUTING", -100),
            ("nat", "OUTPUT", -100),
            ("nat", "POSTROUTING", 100),
            ("nat", "INPUT", 100),
            ("filter", "FORWARD", 0),
        ] {
            assert_eq!(priority(table, hook), order, "{table} {hook}");
        }
    }
}
