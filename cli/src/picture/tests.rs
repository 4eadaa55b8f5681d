//! Each line of a picture is an edge of the topology, and folding loses nothing.
#![expect(clippy::disallowed_methods, reason = "a test lists the captures of the corpus")]
use std::path::{Path, PathBuf};

use tapline_analysis::lint;
use tapline_capture::{Input, Options};
use tapline_network::environment::Environment;
use tapline_network::{Answer, overlay};

use super::*;

fn captures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let mut all = vec![root.join("captures/node2")];
    for folder in ["lab", "posts"] {
        let entries = std::fs::read_dir(root.join(folder)).unwrap().flatten();
        let paths = entries.map(|entry| entry.path());
        let is_made =
            |path: &PathBuf| path.extension().is_some_and(|end| end == "snap" || end == "yaml");
        all.extend(paths.filter(|path| !is_made(path)));
    }
    all.sort();
    all
}

/// The pictures of a capture: as it is drawn, and with all that nothing uses.
fn draw_all(path: &Path, check: &mut dyn FnMut(&Topology<'_>, &Network<'_>, &Picture)) {
    let input = Input::Path(path.to_owned());
    let Ok(captured) = tapline_capture::open(&[input], &Options::default()) else { return };
    let snapshot = tapline_formats::read(captured);
    let topology = tapline_topology::build(&snapshot);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    for unused in [false, true] {
        let wanted = Wanted { nodes: None, focus: &[], unused, told: None };
        let picture = draw(&network, &report, &Places::default(), &wanted);
        check(&topology, &network, &picture);
    }
}

#[test]
fn each_line_is_an_edge_of_the_topology() {
    for path in captures() {
        let shown = path.display().to_string();
        draw_all(&path, &mut |topology, network, picture| {
            for wire in &picture.wires {
                let nodes = |spot: Spot| -> BTreeSet<NodeId> {
                    let card = &picture.cards[spot.card];
                    let face = spot.row.map_or(&card.face, |row| &card.rows[row].face);
                    face.members.iter().flat_map(|member| &member.nodes).copied().collect()
                };
                let (from, to) = (nodes(wire.from), nodes(wire.to));
                let joined = match wire.tie {
                    Tie::Edge(kind) => topology
                        .edges()
                        .filter(|(a, edge, b)| {
                            edge.kind == kind
                                && ((from.contains(a) && to.contains(b))
                                    || (from.contains(b) && to.contains(a)))
                        })
                        .count(),
                    Tie::Sends => network
                        .tunnels()
                        .filter(|tunnel| from.contains(&tunnel.owner))
                        .filter_map(|tunnel| overlay::egress(network, tunnel))
                        .filter(|devices| {
                            let Answer::Known(devices) = devices else { return false };
                            devices.iter().any(|device| to.contains(&device.id))
                        })
                        .count(),
                };
                if picture.hosts_only {
                    continue;
                }
                assert!(joined >= wire.count && wire.count > 0, "{shown}: {wire:?} is {joined}");
            }
        });
    }
}

#[test]
fn each_thing_is_drawn_once_or_left_out() {
    for path in captures() {
        let shown = path.display().to_string();
        draw_all(&path, &mut |topology, _, picture| {
            let mut seen = BTreeSet::new();
            for card in &picture.cards {
                let faces = card.rows.iter().map(|row| &row.face).chain([&card.face]);
                for face in faces {
                    for node in face.members.iter().flat_map(|member| &member.nodes) {
                        assert!(
                            seen.insert(*node),
                            "{shown}: {} is drawn twice",
                            topology.name(*node)
                        );
                    }
                }
            }
            // All VMs are drawn, folded or not.
            let vms = topology
                .nodes()
                .filter(|(_, node)| matches!(node.data, tapline_topology::NodeData::Vm(_)));
            for (vm, _) in vms {
                assert!(seen.contains(&vm) || picture.hosts_only, "{shown}: {}", topology.name(vm));
            }
        });
    }
}

#[test]
fn five_hundred_alike_are_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/lab/scale-500");
    let mut seen = 0;
    draw_all(&root, &mut |_, _, picture| {
        let vms: Vec<&Card> = picture.cards.iter().filter(|card| card.kind == Kind::Vm).collect();
        assert_eq!(vms.iter().map(|card| card.face.count).collect::<Vec<_>>(), [500]);
        let lines = picture.wires.iter().filter(|wire| wire.count == 500).count();
        assert_eq!(lines, 2, "VM to bridge, bridge to switch");
        seen += 1;
    });
    assert_eq!(seen, 2);
}
