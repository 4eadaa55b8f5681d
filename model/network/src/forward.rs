//! What packet filters do with packets that a bridge passes on: whether something drops them that
//! no rule before it spares.
//!
//! Doubt spares: a rule that may accept the packets, by a set or a match that is not understood,
//! counts as one that does. So what is said to be dropped is.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::records::netfilter::NetfilterRule;
use tapline_core::records::nft::{NftChain, NftRule, NftTable};
use tapline_core::records::route::Family;
use tapline_core::span::{Evidence, SourceId};

use crate::defs;
use crate::texts::Table;

/// The packets that are asked about.
#[derive(Clone, Copy, Debug)]
pub enum Path<'t> {
    /// Between a port of a bridge and another: the filter sees the bridge on both sides.
    Bridged {
        /// The bridge.
        bridge: &'t str,
        /// The port.
        port: &'t str,
    },
    /// From a bridge to any other device of the host.
    Routed {
        /// The bridge.
        bridge: &'t str,
    },
}

/// Where packets end that no rule spares.
#[derive(Clone, Copy, Debug)]
pub struct Drop {
    /// The rule or the policy.
    pub evidence: Evidence,
    /// Packets and bytes that ended there.
    pub counters: Option<(u64, u64)>,
}

/// What `iptables` or `ip6tables` drops.
pub fn dropped(table: &Table<'_>, path: Path<'_>) -> Option<Drop> {
    let (drop, before) = drop(table)?;
    (!spares(table, before, path)).then_some(drop)
}

/// The end of the chain `FORWARD`, and how many rules of the table come before it.
fn drop(Table { source, table }: &Table<'_>) -> Option<(Drop, usize)> {
    let source = *source;
    let drops = |it: &str| matches!(it, "DROP" | "REJECT");
    let last = table.rules.iter().position(|it| {
        it.chain == "FORWARD"
            && it.matches.is_empty()
            && it.target.as_ref().is_some_and(|it| drops(&it.value))
    });
    if let Some((at, rule)) = last.and_then(|at| Some((at, table.rules.get(at)?))) {
        let evidence = Evidence { source, span: rule.at };
        return Some((Drop { evidence, counters: rule.counters }, at));
    }
    let chain = table.chains.iter().find(|it| it.name == "FORWARD")?;
    let policy = chain.policy.as_ref().filter(|it| drops(&it.value))?;
    let drop = Drop { evidence: policy.evidence(source), counters: chain.counters };
    Some((drop, table.rules.len()))
}

/// Whether a chain of this name belongs to software that knows its VMs and containers.
fn knows(chain: &str) -> bool {
    let starts = ["neutron", "cali-", "FLANNEL", "LIBVIRT", "KUBE-FORWARD", "CNI-"];
    starts.iter().any(|it| chain.starts_with(it))
}

/// Whether a rule accepts the packets before they are dropped, or leads to a chain of software
/// that knows its VMs.
fn spares(Table { table, .. }: &Table<'_>, before: usize, path: Path<'_>) -> bool {
    let mut chains: BTreeMap<&str, Vec<&NetfilterRule>> = BTreeMap::new();
    for (at, rule) in table.rules.iter().enumerate() {
        if rule.chain != "FORWARD" || at < before {
            chains.entry(rule.chain.as_str()).or_default().push(rule);
        }
    }
    let mut seen: BTreeSet<&str> = BTreeSet::from(["FORWARD"]);
    let mut open = vec!["FORWARD"];
    while let Some(chain) = open.pop() {
        for rule in chains.get(chain).into_iter().flatten() {
            let Some(target) = rule.target.as_ref().filter(|_| fits(rule, path)) else { continue };
            let target = target.value.as_str();
            if knows(target) || target == "ACCEPT" && !is_narrow(rule) {
                return true;
            }
            if seen.insert(target) {
                open.push(target);
            }
        }
    }
    false
}

/// Whether the rule's devices may be those of the packets.
fn fits(rule: &NetfilterRule, path: Path<'_>) -> bool {
    let mut not = false;
    let mut words = rule.matches.iter();
    while let Some(word) = words.next() {
        let side = match word.as_str() {
            "!" => {
                not = true;
                continue;
            }
            "-i" | "--in-interface" => Some(Side::In),
            "-o" | "--out-interface" => Some(Side::Out),
            "--physdev-in" | "--physdev-out" => Some(Side::Port),
            _ => None,
        };
        if let (Some(side), Some(pattern)) = (side, side.and_then(|_| words.next())) {
            let same = |device: &str| match pattern.strip_suffix('+') {
                Some(start) => device.starts_with(start),
                None => device == pattern,
            };
            if !side_fits(path, side, not, pattern, &same) {
                return false;
            }
        }
        not = false;
    }
    true
}

/// What a match is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    In,
    Out,
    Port,
}

/// Whether packets of this way may have a device that a match asks for.
fn side_fits(
    path: Path<'_>,
    side: Side,
    not: bool,
    name: &str,
    same: &dyn Fn(&str) -> bool,
) -> bool {
    match (path, side) {
        (Path::Bridged { bridge, .. }, Side::In | Side::Out)
        | (Path::Routed { bridge }, Side::In) => same(bridge) != not,
        (Path::Bridged { port, .. }, Side::Port) => same(port) != not,
        // Where routed packets leave is open, but not for another network of containers.
        (Path::Routed { .. }, Side::Out) => not || !defs::is_infra_bridge(name),
        (Path::Routed { .. }, Side::Port) => false,
    }
}

/// Rules for packets of known connections let nothing begin; rules for one address are about one
/// published port.
fn is_narrow(rule: &NetfilterRule) -> bool {
    rule.matches.iter().any(|it| {
        let replies = it.contains("ESTABLISHED") || it.contains("RELATED");
        replies && !it.contains("NEW") || matches!(it.as_str(), "-d" | "--destination")
    })
}

/// What a chain of nftables drops. A packet has to pass all chains of the hook: that one accepts
/// it does not save it from the next. `by_iptables` tells that the table of `iptables` was read by
/// its own command: `nft` lists it again.
pub fn dropped_by_nft(
    source: SourceId,
    tables: &[NftTable],
    family: Family,
    path: Path<'_>,
    by_iptables: bool,
) -> Option<Drop> {
    let own = if family == Family::Inet { "ip" } else { "ip6" };
    for table in tables {
        let dormant = table.other.iter().any(|it| it.value.contains("dormant"));
        if dormant || !(table.family == own || table.family == "inet") {
            continue;
        }
        for chain in &table.chains {
            let base = chain.kind.as_deref() == Some("filter")
                && chain.hook.as_ref().is_some_and(|it| it.value == "forward");
            let again =
                by_iptables && table.name.value == "filter" && chain.name.value == "FORWARD";
            if !base || again {
                continue;
            }
            if let Some((drop, before)) = nft_drop(source, chain)
                && !nft_spares(table, chain, before, path)
            {
                return Some(drop);
            }
        }
    }
    None
}

/// The end of a base chain, and how many of its rules come before it.
fn nft_drop(source: SourceId, chain: &NftChain) -> Option<(Drop, usize)> {
    if let Some((at, rule)) = chain.rules.iter().enumerate().find(|(_, it)| drops_all(it)) {
        let evidence = Evidence { source, span: rule.at };
        return Some((Drop { evidence, counters: counters(&rule.text.value) }, at));
    }
    let policy = chain.policy.as_ref().filter(|it| it.value == "drop")?;
    let drop = Drop { evidence: policy.evidence(source), counters: None };
    Some((drop, chain.rules.len()))
}

/// Whether a rule drops whatever comes to it: nothing but counting and logging stands before the
/// verdict.
fn drops_all(rule: &NftRule) -> bool {
    let mut words = rule.text.value.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "counter" | "packets" | "bytes" => {}
            "drop" | "reject" => return true,
            // What follows says how it is logged.
            "log" => return words.any(|it| matches!(it, "drop" | "reject")),
            it if it.bytes().all(|it| it.is_ascii_digit()) => {}
            _ => return false,
        }
    }
    false
}

/// `counter packets 3 bytes 180`
fn counters(text: &str) -> Option<(u64, u64)> {
    let mut words = text.split_whitespace().skip_while(|it| *it != "packets");
    words.next()?;
    let packets = words.next()?.parse().ok()?;
    words.next().filter(|it| *it == "bytes")?;
    Some((packets, words.next()?.parse().ok()?))
}

fn nft_spares(table: &NftTable, base: &NftChain, before: usize, path: Path<'_>) -> bool {
    let chains: BTreeMap<&str, &NftChain> =
        table.chains.iter().map(|it| (it.name.value.as_str(), it)).collect();
    let mut seen: BTreeSet<&str> = BTreeSet::from([base.name.value.as_str()]);
    let mut open = vec![(base, before)];
    while let Some((chain, count)) = open.pop() {
        for rule in chain.rules.iter().take(count) {
            let text = rule.text.value.as_str();
            if !nft_fits(text, path) {
                continue;
            }
            let mut words = text.split_whitespace();
            while let Some(word) = words.next() {
                match word {
                    "accept" if !nft_is_narrow(text) => return true,
                    // Where these lead is decided elsewhere.
                    "vmap" | "queue" => return true,
                    "jump" | "goto" => {
                        let name = words.next().unwrap_or_default();
                        if knows(name) {
                            return true;
                        }
                        if let Some((name, chain)) = chains.get_key_value(name)
                            && seen.insert(name)
                        {
                            open.push((chain, chain.rules.len()));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
    false
}

/// Whether the devices of a rule's text may be those of the packets.
fn nft_fits(text: &str, path: Path<'_>) -> bool {
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        let side = match word {
            "iif" | "iifname" => Side::In,
            "oif" | "oifname" => Side::Out,
            _ => continue,
        };
        let Some(mut value) = words.next() else { return true };
        let not = value == "!=";
        if not || value == "==" {
            let Some(next) = words.next() else { return true };
            value = next;
        }
        let mut names = Vec::new();
        if value.starts_with('{') {
            names.push(value);
            if !value.ends_with('}') {
                for it in words.by_ref() {
                    names.push(it);
                    if it.ends_with('}') {
                        break;
                    }
                }
            }
        } else if value.starts_with('@') || value == "vmap" {
            return true;
        } else {
            names.push(value);
        }
        let bare = |it: &&str| !matches!(*it, "{" | "}" | ",");
        let mut all =
            names.into_iter().filter(bare).map(|it| it.trim_matches(['{', '}', ',', '"']));
        let one = |name: &str| {
            let same = |device: &str| match name.strip_suffix('*') {
                Some(start) => device.starts_with(start),
                None => device == name,
            };
            side_fits(path, side, not, name, &same)
        };
        // One of the named devices, or none of them.
        let fits = if not { all.all(one) } else { all.any(one) };
        if !fits {
            return false;
        }
    }
    true
}

/// As [`is_narrow`]: known connections, one address.
fn nft_is_narrow(text: &str) -> bool {
    let known = text.contains("ct state")
        && (text.contains("established") || text.contains("related"))
        && !text.split_whitespace().any(|it| {
            it.trim_matches(['{', '}', ',']) == "new" || it.split(',').any(|it| it == "new")
        });
    known || text.contains("ct status") || text.contains(" daddr ")
}
