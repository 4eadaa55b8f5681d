//! Packet filters: tables, chains and their rules in order.
use std::collections::BTreeSet;

use tapline_core::Name;
use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::records::netfilter::{NetfilterRule, NetfilterTable};
use tapline_core::records::nft::NftTable;
use tapline_core::records::route::Family;
use tapline_core::request::Topic;
use tapline_core::span::{Evidence, SourceId};

use super::super::entity::{Class, Entity, Key, Kind, Line};
use super::super::gather::{Gather, place};

/// Tables that `iptables` makes in nft.
const OF_IPTABLES: &[&str] = &["filter", "nat", "mangle", "raw", "security"];

pub(in super::super) fn add(gather: &mut Gather<'_, '_, '_>) {
    let network = gather.side.network;
    let mut shown: BTreeSet<(String, &str, String)> = BTreeSet::new();
    for (host, netns, family, table) in network.filters().tables() {
        if host != gather.host {
            continue;
        }
        let six = family == Family::Inet6;
        let family = if six { "ip6" } else { "ip" };
        let name = table.data.table.value.to_string();
        shown.insert((place(netns), family, name));
        add_table(gather, netns, family, table.source, table.data);
    }
    cover_tables(gather);
    let rulesets: Vec<Netns> = gather
        .side
        .texts(gather.host)
        .iter()
        .filter(|(_, batch)| matches!(batch, Batch::NftTables(_)))
        .map(|(source, _)| source.netns.clone())
        .collect();
    for netns in rulesets.into_iter().collect::<BTreeSet<_>>() {
        let Some(ruleset) = network.filters().ruleset(gather.host, &netns) else { continue };
        for table in ruleset.tables {
            let family = table.family.as_str();
            let name = table.name.value.as_str();
            let by_iptables = matches!(family, "ip" | "ip6") && OF_IPTABLES.contains(&name);
            let told = shown.iter().any(|(place_of, family_of, name_of)| {
                *place_of == place(&netns) && *family_of == family && name_of == name
            });
            if !(by_iptables && told) {
                add_nft(gather, &netns, ruleset.source, table);
            }
        }
        gather.view.cover(Kind::Chain, format!("{} nft", place(&netns)));
    }
}

/// A listing has other words than what `iptables-save` prints.
fn scope(netns: &Netns, family: &str, table: &str, listing: bool) -> String {
    let form = if listing { " listing" } else { "" };
    format!("{} {family} {table}{form}", place(netns))
}

fn add_table(
    gather: &mut Gather<'_, '_, '_>,
    netns: &Netns,
    family: &str,
    source: SourceId,
    data: &NetfilterTable,
) {
    let table = data.table.value.as_str();
    let place_of = scope(netns, family, table, data.listing);
    let filled: BTreeSet<&str> = data.rules.iter().map(|rule| rule.chain.as_str()).collect();
    for chain in &data.chains {
        let mut it = Entity::new(
            Key::new(Kind::Chain, place_of.clone(), chain.name.as_str()),
            Some(netns.clone()),
            shown_name(family, table, &chain.name),
        );
        it.at = Some(Evidence { source, span: chain.at });
        if !data.listing {
            it.scopes.push(format!("{} {family} *", place(netns)));
        }
        let policy = chain.policy.as_ref();
        let at = policy.map(|policy| policy.evidence(source)).or(it.at);
        let drops = policy.is_some_and(|policy| policy.value == "DROP");
        it.set_link("policy", policy.map(|it| it.value.to_string()), at, drops);
        it.mentions = vec![chain.name.to_string()];
        it.owners = owners(netns);
        // Whoever asks for a table makes its empty chains.
        let is_empty = !filled.contains(chain.name.as_str());
        if is_empty && policy.is_some_and(|policy| policy.value == "ACCEPT") {
            it.class = Class::Noise;
        }
        gather.view.add(it);
    }
    for rule in &data.rules {
        let key = Key::new(Kind::Chain, place_of.clone(), rule.chain.as_str());
        let text = rule_text(gather, netns, rule);
        let at = Evidence { source, span: rule.at };
        if let Some(it) = gather.view.entities.get_mut(&key) {
            it.lines.push(Line { text, at });
        }
    }
    gather.view.cover(Kind::Chain, place_of);
}

/// A namespace that is gone takes its filters with it.
fn owners(netns: &Netns) -> Vec<Key> {
    if netns.is_root() { Vec::new() } else { vec![Key::new(Kind::Netns, "", place(netns))] }
}

fn shown_name(family: &str, table: &str, chain: &str) -> String {
    let family = if family == "ip" { String::new() } else { format!("{family} ") };
    format!("{family}{table} {chain}")
}

/// As `iptables-save` prints it, without counters, under the new names of devices.
fn rule_text(gather: &Gather<'_, '_, '_>, netns: &Netns, rule: &NetfilterRule) -> String {
    const OF_DEVICES: &[&str] =
        &["-i", "-o", "--in-interface", "--out-interface", "--physdev-in", "--physdev-out"];
    let mut words: Vec<&str> = Vec::new();
    let mut is_device = false;
    for word in &rule.matches {
        words.push(if is_device { gather.device(netns, word).1 } else { word.as_str() });
        is_device = OF_DEVICES.contains(&word.as_str());
    }
    if let Some(target) = &rule.target {
        words.push(if rule.goto { "-g" } else { "-j" });
        words.push(target.value.as_str());
    }
    words.extend(rule.target_options.iter().map(Name::as_str));
    words.join(" ")
}

/// A complete `iptables-save` shows all tables, however few.
fn cover_tables(gather: &mut Gather<'_, '_, '_>) {
    let texts = gather.side.texts(gather.host).to_vec();
    for (source, _) in texts {
        let program = source.command.program();
        let family = match program {
            "iptables-save" => "ip",
            "ip6tables-save" => "ip6",
            _ => continue,
        };
        if source.request.is_whole(Topic::Netfilter) && gather.side.is_complete(source.id) {
            gather.view.cover(Kind::Chain, format!("{} {family} *", place(&source.netns)));
        }
    }
}

fn add_nft(gather: &mut Gather<'_, '_, '_>, netns: &Netns, source: SourceId, table: &NftTable) {
    let (family, name) = (table.family.as_str(), table.name.value.as_str());
    let place_of = format!("{} nft {family} {name}", place(netns));
    let all = format!("{} nft", place(netns));
    for chain in &table.chains {
        let mut it = Entity::new(
            Key::new(Kind::Chain, place_of.clone(), chain.name.value.as_str()),
            Some(netns.clone()),
            format!("{family} {name} {}", chain.name.value),
        );
        it.at = Some(Evidence { source, span: chain.at });
        it.scopes = vec![all.clone()];
        let at = |span| Some(Evidence { source, span });
        let policy = chain.policy.as_ref();
        let drops = policy.is_some_and(|policy| policy.value == "drop");
        let words = policy.map(|policy| policy.value.to_string());
        it.set_link("policy", words, policy.map_or(it.at, |policy| at(policy.span)), drops);
        for (what, value) in
            [("hook", &chain.hook), ("device", &chain.device), ("priority", &chain.priority)]
        {
            let place = value.as_ref().map_or(it.at, |value| at(value.span));
            let words = value.as_ref().map(|value| value.value.to_string());
            it.set(what, Class::Config, words, place);
        }
        for rule in &chain.rules {
            let text = without_counters(&rule.text.value);
            it.lines.push(Line { text, at: Evidence { source, span: rule.at } });
        }
        it.mentions = vec![chain.name.value.to_string()];
        it.owners = owners(netns);
        gather.view.add(it);
    }
    for object in &table.objects {
        let what = format!("{} {}", object.object, object.name.value);
        let mut it = Entity::new(
            Key::new(Kind::Chain, place_of.clone(), what.clone()),
            Some(netns.clone()),
            format!("{family} {name} {what}"),
        );
        let at = Evidence { source, span: object.at };
        it.at = Some(at);
        it.scopes = vec![all.clone()];
        // What times out, or counts, changes by itself.
        let by_itself = object.members.iter().any(|member| member.contains("expires"))
            || matches!(object.object.as_str(), "counter" | "quota" | "limit");
        let class = if by_itself { Class::Noise } else { Class::Config };
        let mut members: Vec<&str> = object.members.iter().map(Name::as_str).collect();
        members.sort_unstable();
        if u32::try_from(members.len()) == Ok(object.elements) {
            it.set("elements", class, Some(members.join(", ")), Some(at));
        }
        gather.view.add(it);
    }
}

/// `counter packets 3 bytes 180` counts.
fn without_counters(text: &str) -> String {
    let mut words: Vec<&str> = Vec::new();
    let mut rest = text.split_whitespace();
    while let Some(word) = rest.next() {
        words.push(word);
        if word == "counter" {
            let ahead: Vec<&str> = rest.clone().take(4).collect();
            if let ["packets", _, "bytes", _] = ahead.as_slice() {
                rest.nth(3);
            }
        }
    }
    words.join(" ")
}
