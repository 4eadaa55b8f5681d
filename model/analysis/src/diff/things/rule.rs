//! Policy rules.
use tapline_core::ids::Netns;
use tapline_core::records::route::{Family, Rule};
use tapline_core::request::Topic;
use tapline_core::span::Evidence;

use super::super::entity::{Class, Entity, Key, Kind};
use super::super::gather::{Gather, place};

pub(in super::super) fn add(gather: &mut Gather<'_, '_, '_>) {
    let namespaces: Vec<_> = gather.side.network.namespaces_of(gather.host).collect();
    for netns in namespaces {
        let name = netns.netns();
        if matches!(name, Netns::Nameless { .. }) {
            continue;
        }
        for seen in &netns.data.rules {
            let rule = seen.record;
            let six = rule.family == Some(Family::Inet6);
            let scope = scope(name, six);
            let id = format!("{}: {}", rule.priority, selector(gather, name, rule));
            let shown = if six { format!("{id} (IPv6)") } else { id.clone() };
            let mut it = Entity::new(Key::new(Kind::Rule, scope, id), Some(name.clone()), shown);
            let at = Evidence { source: seen.source, span: rule.at };
            it.at = Some(at);
            it.owners = vec![Key::new(Kind::Netns, "", place(name))];
            let lookup = rule.lookup.as_ref().map(|table| format!("lookup {}", table.value));
            let does = lookup.or(rule.action.as_ref().map(ToString::to_string));
            it.set("does", Class::Config, does, Some(at));
            gather.view.add(it);
        }
    }
    cover(gather);
}

fn scope(netns: &Netns, six: bool) -> String {
    format!("{} {}", place(netns), if six { "inet6" } else { "inet" })
}

fn selector(gather: &Gather<'_, '_, '_>, netns: &Netns, rule: &Rule) -> String {
    let mut words = Vec::new();
    if rule.not {
        words.push("not".to_owned());
    }
    words.push(rule.from.map_or("from all".to_owned(), |net| format!("from {net}")));
    words.extend(rule.to.map(|net| format!("to {net}")));
    let device = |name: &str| gather.device(netns, name).1.to_owned();
    words.extend(rule.iif.as_ref().map(|name| format!("iif {}", device(name))));
    words.extend(rule.oif.as_ref().map(|name| format!("oif {}", device(name))));
    words.extend(rule.fwmark.as_ref().map(|mark| format!("fwmark {mark}")));
    for field in &rule.other {
        // Who made it says nothing of packets.
        if field.key != "proto" && field.key != "protocol" {
            words.push(format!("{} {}", field.key, field.value.value));
        }
    }
    words.join(" ")
}

fn cover(gather: &mut Gather<'_, '_, '_>) {
    let texts = gather.side.texts(gather.host).to_vec();
    for (source, _) in texts {
        if source.request.is_whole(Topic::Rules) && gather.side.is_complete(source.id) {
            let six = source.request.family == Some(Family::Inet6);
            gather.view.cover(Kind::Rule, scope(&source.netns, six));
        }
    }
}
