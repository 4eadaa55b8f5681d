//! The packet filters of all namespaces: which table was printed where, and what each hook of the
//! kernel asks in its order.
use std::collections::BTreeMap;
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::filter::{Addresses, Target};
use tapline_core::records::netfilter::NetfilterTable;
use tapline_core::records::nft::NftTable;
use tapline_core::records::route::Family;
use tapline_core::span::{Evidence, SourceId};

use crate::Network;
use crate::filter::{self, BaseChain, Judgement};

pub(crate) mod frames;

use frames::Frames;

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
    Table(SourceId, &'a NetfilterTable),
    Chain(SourceId, BaseChain<'a>),
    /// No rules: the kernel translates what belongs to a connection without them.
    Nothing,
}

impl Asked<'_> {
    /// What it does with a packet.
    pub(crate) fn evaluate(&self, hook: &str, packet: &filter::Packet) -> Option<Judgement> {
        match self {
            Self::Table(source, table) => filter::evaluate(*source, table, hook, packet),
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

/// The packet filters of all namespaces.
#[derive(Debug, Default)]
pub(crate) struct Hooks<'a> {
    pub(crate) iptables:
        BTreeMap<(HostId, &'a Netns, Family, &'a str), (SourceId, &'a NetfilterTable)>,
    pub(crate) nft: BTreeMap<(HostId, &'a Netns), (SourceId, &'a [NftTable])>,
    /// Chains that see frames.
    pub(crate) frames: BTreeMap<(HostId, &'a Netns), Frames<'a>>,
}

impl<'a> Hooks<'a> {
    /// Sorts what was captured of them.
    pub(crate) fn new(network: &Network<'a>) -> Self {
        let mut all = Self { frames: frames::all(network), ..Self::default() };
        for (source, tables) in network.netfilter_texts() {
            for table in tables.iter().filter(|table| table.committed) {
                let six = source.command.program().starts_with("ip6");
                let by_command = if six { Family::Inet6 } else { Family::Inet };
                let family = table.family.unwrap_or(by_command);
                let key = (source.host, &source.netns, family, table.table.value.as_str());
                let new = (source.id, table);
                all.iptables
                    .entry(key)
                    .and_modify(|known| {
                        if known.1.listing && !table.listing {
                            *known = new;
                        }
                    })
                    .or_insert(new);
            }
        }
        for (source, tables) in network.nft_texts() {
            let whole = network.topology.snapshot.completeness(source.id).is_complete();
            let asked = source.command.args().iter().any(|word| word == "ruleset");
            if whole && asked {
                all.nft.entry((source.host, &source.netns)).or_insert((source.id, tables));
            }
        }
        all
    }

    pub(crate) fn table(
        &self,
        (host, netns): (HostId, &Netns),
        family: Family,
        name: &str,
    ) -> Option<(SourceId, &'a NetfilterTable)> {
        self.iptables.get(&(host, netns, family, name)).copied()
    }

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
                let (source, table) = self.table((host, netns), family, name)?;
                let asked = Asked::Table(source, table);
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
        let Some(&(source, nft)) = self.nft.get(&(host, netns)) else {
            return Vec::new();
        };
        let mut all = Vec::new();
        for base in filter::base_chains(nft, family, &hook.to_ascii_lowercase()) {
            let printed = self.table((host, netns), family, &base.table.name.value);
            let again = printed.is_some_and(|(_, table)| {
                table.chains.iter().any(|chain| chain.name == base.chain.name.value)
            });
            if again && base.table.family != "inet" {
                continue;
            }
            let nat = base.kind == "nat";
            // Chains that translate are asked where the kernel translates, whatever they say.
            let priority = if nat { priority("nat", hook) } else { base.priority };
            all.push(Step { asked: Asked::Chain(source, base), name: "nft", nat, priority });
        }
        all
    }

    /// Whether a mark that OUTPUT changes makes the kernel route a packet again.
    pub(crate) fn routes_again(&self, (host, netns): (HostId, &Netns), family: Family) -> bool {
        let mangles = self
            .table((host, netns), family, "mangle")
            .is_some_and(|(_, table)| table.rules.iter().any(|rule| rule.chain == "OUTPUT"));
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
        self.iptables.iter().filter(|(key, _)| key.3 == "nat").flat_map(|(key, (source, table))| {
            let (host, netns) = (key.0, key.1);
            table.rules.iter().filter_map(move |rule| {
                let Some(Target::Dnat(to)) = &rule.action else { return None };
                let from = rule.conditions.iter().find_map(|condition| match &condition.test {
                    tapline_core::records::filter::Test::Destination(all) if !condition.not => {
                        all.first()?.single()
                    }
                    _ => None,
                })?;
                let at = Evidence { source: *source, span: rule.at };
                Some((host, netns, from, to.address?, at))
            })
        })
    }

    /// Every pair of address and MAC that a rule lets a guest send with.
    pub(crate) fn guest_addresses(
        &self,
    ) -> impl Iterator<Item = (HostId, tapline_core::ids::Mac, IpAddr, Evidence)> + '_ {
        self.iptables.iter().filter(|(key, _)| key.3 == "filter").flat_map(
            |(key, (source, table))| {
                let host = key.0;
                table.rules.iter().filter_map(move |rule| {
                    use tapline_core::records::filter::Test;
                    let mut mac = None;
                    let mut ip = None;
                    for condition in rule.conditions.iter().filter(|condition| !condition.not) {
                        match &condition.test {
                            Test::MacSource(all) => mac = all.first().copied(),
                            Test::Source(all) => {
                                ip = all.first().and_then(Addresses::single);
                            }
                            _ => {}
                        }
                    }
                    let at = Evidence { source: *source, span: rule.at };
                    Some((host, mac?, ip?, at))
                })
            },
        )
    }
}
