//! Keys of nodes and fingerprints of findings over every capture of the corpus.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use tapline_analysis::lint;
use tapline_capture::{Input, Options};
use tapline_tests::Hosts;
use tapline_topology::NodeKey;

/// Keys and fingerprints of all hosts in these folders, as inputs of one run.
fn ids(folders: &[PathBuf]) -> (BTreeSet<String>, BTreeMap<String, usize>) {
    let inputs: Vec<Input> = folders.iter().cloned().map(Input::Path).collect();
    let captured = tapline_capture::open(&inputs, &Options::default()).unwrap();
    let read = tapline_formats::read(captured);
    let topology = tapline_topology::build(&read);
    let mut keys = BTreeSet::new();
    for (id, node) in topology.nodes() {
        let key = topology.key(id).unwrap();
        assert_eq!(key.thing.kind(), node.data.kind());
        assert_eq!(topology.find(key), Some(id), "{key}");
        let text = key.to_string();
        assert_eq!(text.parse::<NodeKey>().as_ref(), Ok(key), "{text}");
        assert!(keys.insert(text), "{key} twice");
    }
    let mut prints: BTreeMap<String, usize> = BTreeMap::new();
    for finding in lint::run(&topology, lint::rules::ALL, &lint::Settings::default()).findings {
        *prints.entry(finding.fingerprint).or_default() += 1;
    }
    (keys, prints)
}

#[test]
fn every_node_of_every_capture_has_a_key_of_its_own() {
    let hosts = Hosts::unpack().unwrap();
    for folder in hosts.folders().unwrap() {
        let (_, prints) = ids(std::slice::from_ref(&folder));
        let twice: Vec<_> = prints.iter().filter(|entry| *entry.1 > 1).collect();
        assert!(twice.is_empty(), "{}: {twice:?}", folder.display());
    }
}

#[test]
fn the_order_of_the_inputs_changes_nothing() {
    let hosts = Hosts::unpack().unwrap();
    let mut all = hosts.folders().unwrap();
    let (keys, prints) = ids(&all);
    all.reverse();
    let (turned, turned_prints) = ids(&all);
    let differ: Vec<_> = keys.symmetric_difference(&turned).take(4).collect();
    assert!(differ.is_empty(), "{differ:?}");
    assert_eq!(prints, turned_prints);
    assert!(prints.values().all(|entry| *entry == 1));
}
