//! Tables of the packet filter by host and namespace, and what their rules match.
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use tapline_core::capture::{Completeness, HostId, Source};
use tapline_core::ids::Netns;
use tapline_core::records::ipset::IpSet;
use tapline_core::records::netfilter::{NetfilterRule, NetfilterTable};
use tapline_core::records::nft::NftTable;
use tapline_core::records::route::Family;
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::coverage::Searched;

use crate::Network;
use crate::filter::Sets;
use crate::hooks::frames::{self, Frames};

/// One table and the text that prints it.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    /// The text.
    pub source: SourceId,
    /// The table.
    pub data: &'a NetfilterTable,
}

impl Table<'_> {
    /// The place of a rule of this table.
    pub fn line(&self, rule: &NetfilterRule) -> Evidence {
        Evidence { source: self.source, span: rule.at }
    }

    /// The table as searched in vain for `key`.
    pub fn searched(&self, key: &str) -> Searched {
        Searched {
            keys: vec![key.to_owned()],
            sources: vec![(self.source, self.data.rules.len())],
            namespaces: 0,
        }
    }

    /// The line that names the table.
    pub fn head(&self) -> Evidence {
        Evidence { source: self.source, span: self.data.at }
    }
}

/// What `nft list ruleset` printed of a namespace.
#[derive(Clone, Copy, Debug)]
pub struct Ruleset<'a> {
    /// The text.
    pub source: SourceId,
    /// Its tables.
    pub tables: &'a [NftTable],
}

impl Ruleset<'_> {
    /// How many rules it has.
    pub fn len(&self) -> usize {
        self.tables.iter().flat_map(|table| &table.chains).map(|chain| chain.rules.len()).sum()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The packet filters of all namespaces, as far as they were captured whole: tables of `iptables` and
/// `ip6tables`, rulesets of nft, and the chains of nft that see frames.
#[derive(Debug, Default)]
pub struct Filters<'a> {
    tables: BTreeMap<(HostId, &'a Netns, Family, &'a str), Table<'a>>,
    rulesets: BTreeMap<(HostId, &'a Netns), Ruleset<'a>>,
    /// Texts that were cut off, and that no whole one stands for.
    cut: BTreeSet<(HostId, &'a Netns, Family)>,
    pub(crate) frames: BTreeMap<(HostId, &'a Netns), Frames<'a>>,
    sets: BTreeMap<(HostId, &'a Netns), Sets>,
}

impl<'a> Filters<'a> {
    /// Gathers them. What `iptables-save` prints of a table goes before a listing.
    pub(crate) fn new(network: &Network<'a>) -> Self {
        let mut all =
            Self { frames: frames::all(network), sets: sets_of(network), ..Self::default() };
        for (source, tables) in network.netfilter_texts() {
            for data in tables.iter().filter(|table| table.committed) {
                let six = source.command.program().starts_with("ip6");
                let by_command = if six { Family::Inet6 } else { Family::Inet };
                let family = data.family.unwrap_or(by_command);
                let key = (source.host, &source.netns, family, data.table.value.as_str());
                let new = Table { source: source.id, data };
                all.tables
                    .entry(key)
                    .and_modify(|known| {
                        if known.data.listing && !data.listing {
                            *known = new;
                        }
                    })
                    .or_insert(new);
            }
        }
        for (source, tables) in network.nft_texts() {
            let whole = network.topology.snapshot.completeness(source.id).is_complete();
            // Other questions than for all rules leave tables out.
            let asked = source.command.args().iter().any(|word| word == "ruleset");
            if whole && asked {
                let new = Ruleset { source: source.id, tables };
                all.rulesets.entry((source.host, &source.netns)).or_insert(new);
            }
        }
        all.cut = find_cut(network, &all);
        all
    }

    /// Whether what was captured of the packet filter of a namespace was cut off: what is missing may
    /// decide.
    pub(crate) fn is_cut(&self, (host, netns): (HostId, &Netns), family: Family) -> bool {
        self.cut.contains(&(host, netns, family))
    }

    /// A table of `iptables`, or of `ip6tables`.
    pub fn table_of(
        &self,
        (host, netns): (HostId, &Netns),
        family: Family,
        name: &str,
    ) -> Option<Table<'a>> {
        self.tables.get(&(host, netns, family, name)).copied()
    }

    /// A table of `iptables`.
    pub fn table(&self, host: HostId, netns: &Netns, name: &str) -> Option<Table<'a>> {
        self.table_of((host, netns), Family::Inet, name)
    }

    /// The same, where its rules are printed as arguments.
    pub fn saved(&self, host: HostId, netns: &Netns, name: &str) -> Option<Table<'a>> {
        self.table(host, netns, name).filter(|table| !table.data.listing)
    }

    /// All tables with the namespace that each is of, by host, namespace, family and name.
    pub fn tables(&self) -> impl Iterator<Item = (HostId, &'a Netns, Family, Table<'a>)> + '_ {
        self.tables.iter().map(|(&(host, netns, family, _), table)| (host, netns, family, *table))
    }

    /// The sets of a namespace that rules of iptables may ask.
    pub fn sets(&self, host: HostId, netns: &Netns) -> Sets {
        self.sets.get(&(host, netns)).cloned().unwrap_or_default()
    }

    /// The ruleset of nft of a namespace.
    pub fn ruleset(&self, host: HostId, netns: &Netns) -> Option<Ruleset<'a>> {
        self.rulesets.get(&(host, netns)).copied()
    }
}

/// The sets of each namespace.
fn sets_of<'a>(network: &Network<'a>) -> BTreeMap<(HostId, &'a Netns), Sets> {
    let mut texts: BTreeMap<_, Vec<(&IpSet, bool)>> = BTreeMap::new();
    for (source, sets) in network.ip_set_texts() {
        let of_text = network.topology.snapshot.completeness(source.id).is_complete();
        let all = texts.entry((source.host, &source.netns)).or_default();
        for (place, set) in sets.iter().enumerate() {
            // Of a text that was cut, the last set may be what was cut.
            let is_last = place.saturating_add(1) == sets.len();
            let counted = set.count.and_then(|count| usize::try_from(count).ok());
            let whole = of_text || !is_last && counted == Some(set.entries.len());
            all.push((set, whole));
        }
    }
    texts.into_iter().map(|(at, sets)| (at, Sets::new(sets.into_iter()))).collect()
}

/// The namespaces and families of which a text that lists all rules was cut off, and no other is whole.
/// What `iptables` prints of nft is in a whole ruleset of nft as well.
fn find_cut<'a>(
    network: &Network<'a>,
    filters: &Filters<'a>,
) -> BTreeSet<(HostId, &'a Netns, Family)> {
    let how = |source: &Source| network.topology.snapshot.completeness(source.id);
    let mut cut = BTreeSet::new();
    let mut whole = BTreeSet::new();
    for (source, _) in network.netfilter_texts() {
        let program = source.command.program();
        if !program.ends_with("-save") || source.request.table.is_some() {
            continue;
        }
        let family = if program.starts_with("ip6") { Family::Inet6 } else { Family::Inet };
        let key = (source.host, &source.netns, family);
        match how(source) {
            Completeness::Complete => whole.insert(key),
            Completeness::Partial(_) => {
                let of_nft = source.text.contains("(nf_tables)");
                let shown = of_nft && filters.ruleset(source.host, &source.netns).is_some();
                !shown && cut.insert(key)
            }
            Completeness::Failed(_) => false,
        };
    }
    for (source, _) in network.nft_texts() {
        let is_asked = source.command.args().iter().any(|word| word == "ruleset");
        let is_partial = matches!(how(source), Completeness::Partial(_));
        if is_asked && is_partial && filters.ruleset(source.host, &source.netns).is_none() {
            // No text of iptables stands for rules of nft's own.
            for family in [Family::Inet, Family::Inet6] {
                whole.remove(&(source.host, &source.netns, family));
                cut.insert((source.host, &source.netns, family));
            }
        }
    }
    cut.retain(|key| !whole.contains(key));
    cut
}

/// The argument of one of `options` of a rule, and whether it is inverted.
pub fn argument<'r>(rule: &'r NetfilterRule, options: &[&str]) -> Option<(bool, &'r str)> {
    let mut not = false;
    let mut words = rule.matches.iter();
    while let Some(word) = words.next() {
        if word == "!" {
            not = true;
            continue;
        }
        if options.contains(&word.as_str()) {
            return words.next().map(|word| (not, word.as_str()));
        }
        not = false;
    }
    None
}

/// The one address that `option` asks for.
pub fn address(rule: &NetfilterRule, options: &[&str]) -> Option<Ipv4Addr> {
    match argument(rule, options)? {
        (true, _) => None,
        (false, value) => match value.parse::<Ipv4Net>() {
            Ok(net) => (net.prefix_len() == 32).then_some(net.addr()),
            Err(_) => value.parse().ok(),
        },
    }
}

/// The address that an option of the target names, where it names one and no port.
pub fn translated(rule: &NetfilterRule, option: &str) -> Option<Ipv4Addr> {
    let mut words = rule.target_options.iter();
    words.find(|word| *word == option)?;
    words.next()?.parse().ok()
}

/// A floating address by the rules of a router's namespace: one to one, all ports.
#[derive(Clone, Copy, Debug)]
pub struct Translation<'a> {
    /// The address outside.
    pub floating: Ipv4Addr,
    /// The address of the VM.
    pub fixed: Ipv4Addr,
    /// The rule.
    pub rule: &'a NetfilterRule,
}

/// Where packets to a floating address go: `-d FLOATING -j DNAT --to-destination FIXED`. Rules for
/// one port forward that port and nothing else.
pub fn inward(table: Table<'_>) -> impl Iterator<Item = Translation<'_>> {
    table.data.rules.iter().filter_map(|rule| {
        let of_agent = rule.chain.ends_with("PREROUTING") && !forwards_port(rule);
        let dnat = rule.target.as_ref().is_some_and(|target| target.value == "DNAT");
        let floating = address(rule, &["-d", "--destination"]).filter(|_| of_agent && dnat)?;
        Some(Translation { floating, fixed: translated(rule, "--to-destination")?, rule })
    })
}

/// What packets of a VM get for a source: `-s FIXED -j SNAT --to-source FLOATING`.
pub fn outward(table: Table<'_>) -> impl Iterator<Item = Translation<'_>> {
    table.data.rules.iter().filter_map(|rule| {
        let of_agent = rule.chain.ends_with("float-snat") && !forwards_port(rule);
        let snat = rule.target.as_ref().is_some_and(|target| target.value == "SNAT");
        let fixed = address(rule, &["-s", "--source"]).filter(|_| of_agent && snat)?;
        Some(Translation { floating: translated(rule, "--to-source")?, fixed, rule })
    })
}

/// The sources that a router of neutron gives to what leaves it for VMs without a floating address:
/// `-j SNAT --to-source ADDRESS` in the agent's own chain.
pub fn sources(table: Table<'_>) -> impl Iterator<Item = (Ipv4Addr, &NetfilterRule)> {
    table.data.rules.iter().filter_map(|rule| {
        let of_router = rule.chain.ends_with("-snat") && !rule.chain.ends_with("float-snat");
        let snat = rule.target.as_ref().is_some_and(|target| target.value == "SNAT");
        let source = translated(rule, "--to-source").filter(|_| of_router && snat)?;
        Some((source, rule))
    })
}

fn forwards_port(rule: &NetfilterRule) -> bool {
    rule.matches.iter().any(|match_| {
        matches!(
            match_.as_str(),
            "-p" | "--protocol" | "--dport" | "--sport" | "--dports" | "--sports"
        )
    })
}
