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
    ids_of(&inputs)
}

/// The same of any inputs.
fn ids_of(inputs: &[Input]) -> (BTreeSet<String>, BTreeMap<String, usize>) {
    let captured = tapline_capture::open(inputs, &Options::default()).unwrap();
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

/// What two hosts do to each other is told of the same one, whichever is given first.
#[test]
fn the_order_of_the_inputs_does_not_choose_the_host() {
    let host = |name: &str| {
        let text = format!(
            "[root@{name} ~]# virsh list --all
 Id   Name                State
-----------------------------------
 7    web1                running

[root@{name} ~]# virsh dumpxml web1
<domain type='kvm' id='7'>
  <name>web1</name>
  <uuid>5d2b6b9e-6a6f-4a3e-8f0e-0d8f6c0d9a01</uuid>
</domain>
[root@{name} ~]# ovs-vsctl show
0b4f7f5e-1f0c-4d0e-8d0c-3c1a5a7c9b10
    Bridge br-tun
        Port vxlan-0a000009
            Interface vxlan-0a000009
                type: vxlan
                options: {{key=flow, local_ip=\"10.0.0.5\", remote_ip=\"10.0.0.9\"}}
"
        );
        Input::Text(name.to_owned(), text)
    };
    let (cmp1, cmp2) = (host("cmp1"), host("cmp2"));
    let (keys, prints) = ids_of(&[cmp1.clone(), cmp2.clone()]);
    // One domain and one tunnel address on two hosts.
    assert!(prints.len() >= 2, "{prints:?}");
    assert_eq!((keys, prints), ids_of(&[cmp2, cmp1]));
}
