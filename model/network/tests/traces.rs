//! Traces over whole captures, as tables: what each guest and router reaches and how, what is lost
//! with a thing, and what of the captured megaflows the flows explain. Each table is read against its
//! capture when it changes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod told;

use std::fmt::Write as _;
use std::path::Path;

use tapline_capture::{Input, Options};
use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_network::trace::{Question, Tracer};

/// Answers questions of one capture.
fn table(inputs: &[Input], questions: impl FnOnce(&Network<'_>) -> Vec<Question>) -> String {
    let captured = tapline_capture::open(inputs, &Options::default()).unwrap();
    let snapshot = tapline_formats::read(captured);
    let topology = tapline_topology::build(&snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let tracer = Tracer::new(&network);
    let mut out = String::new();
    for question in questions(&network) {
        let to = question.to.as_deref().unwrap_or("wherever it goes");
        let more = [
            question.packet.clone(),
            question.dport.map(|port| format!("port {port}")),
            question.size.map(|size| format!("{size} bytes")),
            question.without.as_ref().map(|key| format!("without {key}")),
        ];
        let asked = [format!("{} → {to}", question.from)].into_iter();
        let asked: Vec<String> = asked.chain(more.into_iter().flatten()).collect();
        writeln!(out, "{}", asked.join(", ")).unwrap();
        match tracer.ask(&question) {
            Ok(answered) => {
                told::show(&mut out, &network, &answered.trace, true);
                if let Some(before) = &answered.before {
                    writeln!(out, " before: {}", told::yes(before.trace.verdict.reached)).unwrap();
                }
                if let Some(back) = &answered.reverse {
                    writeln!(out, " back").unwrap();
                    told::show(&mut out, &network, back, true);
                }
            }
            Err(error) => writeln!(out, " no question: {error}").unwrap(),
        }
    }
    for row in tracer.reach(None) {
        let cells: Vec<String> = row
            .cells
            .iter()
            .map(|(to, cell)| {
                let reason = cell.reason.map_or("", |reason| reason.as_str());
                let back = if cell.back { " back" } else { "" };
                format!("{to} {} {reason}{back} at {}", told::yes(cell.reached), cell.at.words())
            })
            .collect();
        let peers: Vec<String> = row
            .peers
            .iter()
            .map(|peer| format!("{} {}", peer.vm, told::yes(peer.cell.reached)))
            .collect();
        writeln!(out, "reach {}: {}; peers {}", row.vm, cells.join(", "), peers.join(", "))
            .unwrap();
    }
    let verified = tracer.verify();
    writeln!(
        out,
        "megaflows {}: {} agree, {} do not, {} not compared",
        verified.megaflows,
        verified.agree,
        verified.disagree.len(),
        verified.skipped.len()
    )
    .unwrap();
    out
}

fn corpus(path: &str) -> Vec<Input> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus");
    vec![Input::Path(corpus.join(path))]
}

/// From every guest and namespace to what each is asked for.
fn usual(network: &Network<'_>) -> Vec<Question> {
    let mut all = Vec::new();
    for vm in network.vms() {
        for to in ["gateway", "dhcp", "metadata", "outside"] {
            let from = format!("vm:{}", vm.name());
            all.push(Question {
                from,
                to: Some(to.to_owned()),
                reverse: true,
                ..Question::default()
            });
        }
    }
    for netns in network.namespaces().filter(|netns| !netns.netns().is_root()) {
        let from = format!("ns:{}/{}", network.host_name(netns.host), netns.name());
        all.push(Question { from, to: Some("outside".to_owned()), ..Question::default() });
    }
    all
}

#[test]
fn neutron_nodes_of_a_pair() {
    let text = table(&corpus("lab/two-hosts"), |network| {
        let mut all = usual(network);
        let vms: Vec<String> = network.vms().map(|vm| format!("vm:{}", vm.name())).collect();
        for (from, to) in vms.iter().zip(vms.iter().rev()) {
            let to = Some(to.clone());
            let ask = |dport, size| Question {
                from: from.clone(),
                to: to.clone(),
                dport,
                size,
                ..Question::default()
            };
            all.push(ask(Some(22), None));
            all.push(ask(None, Some(1500)));
            for (id, node) in network.topology.nodes() {
                let name = node.name.as_str();
                let taken = ["br-tun", "enp4s0f0", "vxlan-0a0a0a01"].contains(&name)
                    || name.starts_with("qrouter-");
                if let Some(key) = network.topology.key(id).filter(|_| taken) {
                    let without = Some(key.to_string());
                    all.push(Question { without, ..ask(None, None) });
                }
            }
        }
        all
    });
    insta::assert_snapshot!(text);
}

#[test]
fn neutron_node_with_faults() {
    insta::assert_snapshot!(table(&corpus("lab/uml-faults"), usual));
}

#[test]
fn neutron_node() {
    insta::assert_snapshot!(table(&corpus("captures/node2"), usual));
}

#[test]
fn nodes_of_ovn() {
    insta::assert_snapshot!(table(&corpus("lab/ovn-healthy"), |network| {
        let mut all = usual(network);
        all.truncate(10);
        all
    }));
}

#[test]
fn hypervisor_with_bonds_and_bridges() {
    let text = include_str!("hypervisor.txt");
    let inputs = [Input::Text("hypervisor.txt".into(), text.into())];
    insta::assert_snapshot!(table(&inputs, |network| {
        let mut all = usual(network);
        let devices = network.netdevs().filter(|device| !device.stub && device.name() != "lo");
        for device in devices {
            for to in ["192.0.2.200", "198.51.100.7"] {
                let (from, to, dport) = (device.name().to_owned(), Some(to.to_owned()), Some(443));
                let src = "10.0.0.77".parse().ok();
                all.push(Question { from, to, dport, src, ..Question::default() });
            }
        }
        all
    }));
}
