//! From what a person types behind `--without` to the key of one thing.
use tapline_network::trace::EndError;
use tapline_topology::{NodeData, NodeId, Topology};

use crate::error::CliError;
use crate::find;
use crate::render::things;

/// Things that are listed where a word names several.
const LISTED: usize = 12;

/// The key of the thing that a key or a word names.
pub(crate) fn key(topology: &Topology<'_>, word: &str) -> Result<String, EndError> {
    let can_go = |id: &NodeId| {
        topology.node(*id).is_some_and(|node| {
            !matches!(node.data, NodeData::Address(_) | NodeData::RouteTable(_))
        })
    };
    let mut found = find::find(topology, word);
    // A key names what it names: what cannot be taken away is refused by its kind.
    if found.len() > 1 {
        found.retain(can_go);
    }
    let things = things::gather(topology, &found);
    let keys: Vec<String> =
        things.iter().filter_map(|thing| Some(topology.key(thing.main)?.to_string())).collect();
    match keys.as_slice() {
        [] => Err(EndError::Nothing(word.to_owned())),
        [one] => Ok(one.clone()),
        several => Err(EndError::Ambiguous(
            word.to_owned(),
            several.iter().take(LISTED).cloned().collect(),
        )),
    }
}

/// Says what is wrong with a word, and what to do.
pub(crate) fn refuse(topology: &Topology<'_>, error: &EndError) -> CliError {
    match error {
        EndError::Nothing(text) => {
            let near = find::near(topology, text, 4);
            let refused = CliError::new(format!("--without: nothing is called {text}"));
            let refused = if near.is_empty() {
                refused
            } else {
                refused.hint(format!("did you mean {}?", near.join(", ")))
            };
            refused.hint(
                "name a NIC, a port, a bridge, a namespace, a VM or a host as tapline show finds it, or by its key",
            )
        }
        EndError::Ambiguous(text, all) => all.iter().fold(
            CliError::new(format!(
                "--without: {text} names several things; take one of these keys"
            )),
            |refused, key| refused.hint(key.clone()),
        ),
        EndError::Wrong(text) => CliError::new(format!("--without: {text}")),
    }
}
