//! The files that name a thing on lines that are shown nowhere else.
use std::collections::BTreeSet;
use std::net::IpAddr;

use tapline_core::capture::{HostId, Source};
use tapline_core::ids::{Mac, Netns};
use tapline_core::span::{SourceId, Span};
use tapline_topology::Topology;

use super::{Mention, line};
use crate::render::things::Thing;

/// Commands that name everything on every line, and say nothing of it.
const NOISE: &[&str] = &["sysctl", "ps", "lsof", "pstree", "journalctl"];

/// A word to look for in the texts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Word {
    text: String,
    /// The host and namespace in which it means the thing; anywhere where it means no other.
    within: Option<(HostId, Netns)>,
}

impl Word {
    /// A word that means one thing wherever it stands.
    pub(crate) fn anywhere(text: &str) -> Self {
        Self { text: text.to_owned(), within: None }
    }

    /// Whether it means the thing in a text: what the root namespace prints may be about all.
    fn counts_in(&self, source: &Source) -> bool {
        self.within.as_ref().is_none_or(|(host, netns)| {
            *host == source.host && (source.netns == *netns || source.netns.is_root())
        })
    }
}

/// What to look for in the texts: the names of the thing, and what was asked for.
pub(super) fn names(topology: &Topology<'_>, thing: &Thing, wanted: &str) -> BTreeSet<Word> {
    /// Names that are shorter are in every line.
    const SHORTEST: usize = 2;
    let scope = topology
        .node(thing.main)
        .and_then(|node| Some((node.host?, node.netns.clone().unwrap_or_default())));
    // Addresses and ids mean one thing wherever they stand; names do not.
    let is_unique = |text: &str| {
        let id = text.len() >= 8 && text.bytes().all(|it| it.is_ascii_hexdigit() || it == b'-');
        id || text.parse::<IpAddr>().is_ok() || text.parse::<Mac>().is_ok()
    };
    let word = |text: &str| Word {
        text: text.to_owned(),
        within: scope.clone().filter(|_| !is_unique(text)),
    };
    let nodes = thing.nodes.iter().filter_map(|id| topology.node(*id));
    let mut words: BTreeSet<Word> = nodes.map(|node| word(&node.name)).collect();
    words.insert(word(wanted));
    words.retain(|word| word.text.len() >= SHORTEST);
    words
}

/// Commands and files that name everything.
pub(super) fn is_noise(source: &Source) -> bool {
    let program = source.command.program();
    NOISE.contains(&program)
        || source.format.is_some_and(|format| NOISE.contains(&format.0))
        || source.command.path().is_some_and(|it| it.starts_with("/proc/sys"))
}

/// The files that hold one of the names as a word on lines that were not shown yet, those that are
/// about networks first.
pub(crate) fn mentions(
    topology: &Topology<'_>,
    words: &BTreeSet<Word>,
    told: &mut BTreeSet<(SourceId, u32)>,
) -> Vec<Mention> {
    let snapshot = topology.snapshot;
    let finders: Vec<_> =
        words.iter().map(|word| (word, memchr::memmem::Finder::new(&word.text))).collect();
    let mut all = Vec::new();
    let read = snapshot.captured.sources.iter().filter(|source| source.format.is_some());
    for source in read.filter(|source| !is_noise(source)) {
        let bytes = source.text.as_bytes();
        let mut spans: Vec<Span> = Vec::new();
        for (word, finder) in finders.iter().filter(|(word, _)| word.counts_in(source)) {
            for at in finder.find_iter(bytes) {
                let end = at + word.text.len();
                let part = |at: Option<usize>| {
                    at.and_then(|at| bytes.get(at)).is_some_and(|&it| is_word(it))
                };
                if part(at.checked_sub(1)) || part(Some(end)) {
                    continue;
                }
                let (Ok(start), Ok(end)) = (u32::try_from(at), u32::try_from(end)) else { break };
                spans.push(Span { start, end });
            }
        }
        spans.sort_unstable();
        spans.retain(|span| told.insert((source.id, source.line_numbers(*span).0)));
        let first = spans.first().and_then(|span| line(snapshot, source, *span));
        all.extend(first.map(|first| Mention { count: spans.len(), first, lines: spans }));
    }
    all
}

/// Characters that device names, ids and addresses are made of. A colon and a dot end a name:
/// `42: tap0: <…>`, `eth0.100`.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}
