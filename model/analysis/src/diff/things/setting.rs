//! Settings of the kernel for networks.
use tapline_core::records::Batch;
use tapline_core::span::Evidence;

use super::super::entity::{Class, Entity, Key, Kind};
use super::super::gather::{Gather, place};

/// What the kernel counts, or works out of its memory.
const BY_ITSELF: &[&str] = &[
    "net.netfilter.nf_conntrack_count",
    "net.ipv4.tcp_mem",
    "net.ipv4.udp_mem",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.route.gc_thresh",
];

pub(in super::super) fn add(gather: &mut Gather<'_, '_, '_>) {
    let texts = gather.side.texts(gather.host).to_vec();
    for (source, batch) in texts {
        let Batch::Sysctls(records) = batch else { continue };
        let netns = &source.netns;
        for record in records {
            let key = record.key.value.as_str();
            if !key.starts_with("net.") || BY_ITSELF.contains(&key) || key.ends_with("_secret") {
                continue;
            }
            // Counters of a table, and identities that are made at each start.
            if key.contains("fastopen_key") || key.ends_with(".nf_log_all_netns") {
                continue;
            }
            let device = device_of(key);
            let renamed = device.map(|(before, name, after)| {
                let dotted = name.replace('/', ".");
                let (_, now) = gather.device(netns, &dotted);
                (format!("{before}{now}{after}"), gather.device_key(netns, &dotted))
            });
            let (name, owner) = match renamed {
                Some((name, owner)) => (name, Some(owner)),
                None => (key.to_owned(), None),
            };
            let at = Evidence { source: source.id, span: record.at };
            let mut it = Entity::new(
                Key::new(Kind::Setting, place(netns), name.clone()),
                Some(netns.clone()),
                name,
            );
            it.at = Some(at);
            // Which settings there are is a matter of the kernel and of the devices.
            it.class = Class::Noise;
            it.scopes.clear();
            it.owners.extend(owner);
            it.set("value", Class::Config, Some(words(&record.value.value)), Some(at));
            gather.view.add(it);
        }
    }
}

/// Values of several numbers are parted by any blanks.
fn words(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The device within a key: what stands before it, its name, and what stands behind.
fn device_of(key: &str) -> Option<(&str, &str, &str)> {
    for family in ["net.ipv4.conf.", "net.ipv6.conf.", "net.ipv4.neigh.", "net.ipv6.neigh."] {
        let Some(rest) = key.strip_prefix(family) else { continue };
        let (name, _) = rest.split_once('.')?;
        if matches!(name, "all" | "default") {
            return None;
        }
        return Some((key.get(..family.len())?, name, rest.get(name.len()..)?));
    }
    None
}
