//! The chains of a table, whichever tool printed it.
use std::collections::BTreeMap;

use tapline_core::records::filter::{Condition, Target};
use tapline_core::records::netfilter::NetfilterTable;
use tapline_core::records::nft::{NftChain, NftTable, Statement};
use tapline_core::records::route::Family;
use tapline_core::span::{Evidence, SourceId};

use super::Outcome;

/// What a chain of one's own of `ebtables` does in the end, by its policy.
const DROPS: &[Statement] = &[Statement::Do(Target::Drop)];
const ACCEPTS: &[Statement] = &[Statement::Do(Target::Accept)];

/// The chains of one table by name.
pub(super) struct Chains<'a> {
    all: BTreeMap<&'a str, Chain<'a>>,
}

/// One chain.
pub(super) struct Chain<'a> {
    /// What becomes of a packet that no rule decides about; `None` for a chain of one's own.
    pub(super) policy: Option<Policy>,
    pub(super) rules: Vec<Rule<'a>>,
}

/// What a base chain does in the end.
pub(super) struct Policy {
    pub(super) outcome: Outcome,
    pub(super) evidence: Option<Evidence>,
    pub(super) counters: Option<(u64, u64)>,
}

/// One rule.
pub(super) struct Rule<'a> {
    pub(super) evidence: Evidence,
    pub(super) counters: Option<(u64, u64)>,
    pub(super) body: Body<'a>,
}

/// What a rule says.
pub(super) enum Body<'a> {
    /// All conditions, then the target.
    Arguments(&'a [Condition], Option<&'a Target>),
    /// One after another.
    Statements(&'a [Statement]),
    /// It is not known what is done, for this reason.
    Open(&'static str),
}

impl<'a> Chains<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&Chain<'a>> {
        self.all.get(name)
    }

    pub(super) fn of_iptables(source: SourceId, table: &'a NetfilterTable) -> Self {
        let mut all: BTreeMap<&str, Chain<'a>> = BTreeMap::new();
        for chain in &table.chains {
            let policy = chain.policy.as_ref().map(|policy| Policy {
                outcome: match policy.value.as_str() {
                    "ACCEPT" => Outcome::Accept,
                    "DROP" => Outcome::Drop,
                    "REJECT" => Outcome::Reject,
                    other => Outcome::Unknown(other.into()),
                },
                evidence: Some(policy.evidence(source)),
                counters: chain.counters,
            });
            all.insert(&chain.name, Chain { policy, rules: Vec::new() });
        }
        for rule in &table.rules {
            let chain =
                all.entry(&rule.chain).or_insert_with(|| Chain { policy: None, rules: Vec::new() });
            chain.rules.push(Rule {
                evidence: Evidence { source, span: rule.at },
                counters: rule.counters,
                body: Body::Arguments(&rule.conditions, rule.action.as_ref()),
            });
        }
        Self { all }
    }

    pub(super) fn of_nft(source: SourceId, table: &'a NftTable) -> Self {
        let chains = table.chains.iter().map(|chain| {
            let policy = chain.kind.as_ref().map(|_| match &chain.policy {
                Some(policy) => Policy {
                    outcome: match policy.value.as_str() {
                        "accept" => Outcome::Accept,
                        "drop" => Outcome::Drop,
                        other => Outcome::Unknown(other.into()),
                    },
                    evidence: Some(policy.evidence(source)),
                    counters: None,
                },
                None => Policy { outcome: Outcome::Accept, evidence: None, counters: None },
            });
            let rules = chain.rules.iter().map(|rule| Rule {
                evidence: Evidence { source, span: rule.at },
                counters: rule.statements.iter().find_map(|statement| match statement {
                    Statement::Counter(packets, bytes) => Some((*packets, *bytes)),
                    _ => None,
                }),
                body: Body::Statements(&rule.statements),
            });
            let mut rules: Vec<Rule<'a>> = rules.collect();
            // Of `ebtables` also a chain of one's own decides at its end.
            if let Some(end) = chain.policy.as_ref().filter(|_| chain.kind.is_none()) {
                let body = match end.value.as_str() {
                    "drop" => Body::Statements(DROPS),
                    "accept" => Body::Statements(ACCEPTS),
                    _ => Body::Open("the policy of the chain, which a listing may print wrong"),
                };
                rules.push(Rule { evidence: end.evidence(source), counters: None, body });
            }
            (chain.name.value.as_str(), Chain { policy, rules })
        });
        Self { all: chains.collect() }
    }
}

/// Whether a table is asked about packets of a family, and is not switched off.
pub(super) fn is_about(table: &NftTable, family: Family) -> bool {
    let own = match family {
        Family::Inet => "ip",
        Family::Inet6 => "ip6",
    };
    let dormant = table.other.iter().any(|word| word.value.contains("dormant"));
    !dormant && (table.family == own || table.family == "inet")
}

/// The priority of a base chain as a number; one that is not understood counts as `filter`.
pub(super) fn priority(chain: &NftChain) -> i64 {
    let Some(shown) = &chain.priority else { return 0 };
    let mut words = shown.value.split_whitespace();
    let first = words.next().unwrap_or_default();
    let base = match first {
        "raw" => -300,
        "mangle" => -150,
        "dstnat" => -100,
        "security" => 50,
        "srcnat" => 100,
        "out" => 100,
        other => other.parse().unwrap_or(0),
    };
    let sign = match words.next() {
        Some("-") => -1,
        _ => 1,
    };
    let offset: i64 = words.next().and_then(|shown| shown.parse().ok()).unwrap_or(0);
    base + sign * offset
}
