//! What the network answers about whole captures, as tables: texts → facts about hosts, devices,
//! ports, routers, tunnels, OVN. Each table is read against its capture when it changes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod table;

use std::path::Path;

use tapline_capture::{Input, Options};
use tapline_network::Network;
use tapline_network::environment::Environment;

fn describe(inputs: &[Input]) -> String {
    let captured = tapline_capture::open(inputs, &Options::default()).unwrap();
    let snapshot = tapline_formats::read(captured);
    let topology = tapline_topology::build(&snapshot);
    let environment = Environment::default();
    table::describe(&Network::new(&topology, None, &environment))
}

fn capture(path: &str) -> String {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus");
    describe(&[Input::Path(corpus.join(path))])
}

#[test]
fn neutron_nodes_of_a_pair() {
    insta::assert_snapshot!(capture("lab/two-hosts"));
}

#[test]
fn neutron_node_with_faults() {
    insta::assert_snapshot!(capture("lab/uml-faults"));
}

#[test]
fn nodes_of_ovn() {
    insta::assert_snapshot!(capture("lab/ovn-healthy"));
}

#[test]
fn hypervisor_with_bonds_and_bridges() {
    let text = include_str!("hypervisor.txt");
    insta::assert_snapshot!(describe(&[Input::Text("hypervisor.txt".into(), text.into())]));
}
