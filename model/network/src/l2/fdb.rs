//! What Linux bridges have learnt, by bridge and MAC: a trace asks for it at each bridge, and a host has
//! thousands of entries.
use std::collections::HashMap;

use tapline_core::capture::{HostId, Source};
use tapline_core::ids::{Mac, Netns};
use tapline_core::records::bridge::FdbEntry;
use tapline_topology::graph::Netdev;

use crate::{Item, Network};

/// An entry, and the text that prints it.
pub(crate) type Learnt<'a> = (&'a Source, &'a FdbEntry);

/// The entries of all bridges that say which bridge they are of.
#[derive(Debug, Default)]
pub(crate) struct Fdbs<'a> {
    entries: HashMap<(HostId, &'a Netns, &'a str, Mac), Vec<Learnt<'a>>>,
}

impl<'a> Fdbs<'a> {
    /// Gathers them, in the order of the texts.
    pub(crate) fn new(network: &Network<'a>) -> Self {
        let mut all = Self::default();
        for (source, entries) in network.fdb_texts() {
            for entry in entries {
                let Some(bridge) = &entry.master else { continue };
                let key = (source.host, &source.netns, bridge.value.as_str(), entry.mac.value);
                all.entries.entry(key).or_default().push((source, entry));
            }
        }
        all
    }

    /// The entries of a MAC in a bridge.
    pub(crate) fn of(&self, bridge: Item<'a, Netdev<'a>>, mac: Mac) -> &[Learnt<'a>] {
        let key = (bridge.host, bridge.netns(), bridge.name(), mac);
        self.entries.get(&key).map_or(&[], Vec::as_slice)
    }
}
