//! What the network knows of hosts that are described in a few lines (`tests/planted/worlds` of the
//! workspace), and what becomes of packets there: each sort of software that sets up networks once.
//! All of them are healthy. Each table is read against its description when it changes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may panic"
)]
mod table;
mod told;
#[path = "../../../tests/planted/world/mod.rs"]
mod world;

use std::fmt::Write as _;
use std::path::Path;

use tapline_capture::{Input, Options};
use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_network::trace::{Question, Tracer};

fn with_network<T>(inputs: &[Input], look: impl FnOnce(&Network<'_>) -> T) -> T {
    let captured = tapline_capture::open(inputs, &Options::default()).unwrap();
    let snapshot = tapline_formats::read(captured);
    let topology = tapline_topology::build(&snapshot);
    let environment = Environment::default();
    look(&Network::new(&topology, None, &environment))
}

/// From each guest and namespace to what is near and to what is far.
fn questions(network: &Network<'_>) -> Vec<Question> {
    let mut all = Vec::new();
    let mut ask = |from: &str, to: &str, proto: Option<&str>, dport: Option<u16>| {
        all.push(Question {
            from: from.to_owned(),
            to: Some(to.to_owned()),
            proto: proto.map(str::to_owned),
            dport,
            reverse: true,
            ..Question::default()
        });
    };
    let vms: Vec<String> = network.vms().map(|vm| format!("vm:{}", vm.name())).collect();
    for vm in &vms {
        for to in ["gateway", "dhcp", "metadata"] {
            ask(vm, to, None, None);
        }
        ask(vm, "ip:203.0.113.80", Some("tcp"), Some(443));
        for other in vms.iter().filter(|other| *other != vm) {
            ask(vm, other, Some("tcp"), Some(22));
        }
    }
    for netns in network.namespaces() {
        let from = format!("ns:{}/{}", network.host_name(netns.host), netns.name());
        ask(&from, "ip:203.0.113.80", Some("udp"), Some(53));
        ask(&from, "gateway", None, None);
    }
    all
}

/// What becomes of the packets of all questions.
fn traces(network: &Network<'_>) -> String {
    let tracer = Tracer::new(network);
    let mut out = String::new();
    for question in questions(network) {
        let to = question.to.clone().unwrap_or_default();
        let port = question.dport.map_or(String::new(), |port| format!(" {port}"));
        write!(out, "{} → {to}{port} ", question.from).unwrap();
        match tracer.ask(&question) {
            Ok(answered) => {
                told::show(&mut out, network, &answered.trace, true);
                if let Some(back) = &answered.reverse {
                    write!(out, "  back ").unwrap();
                    told::show(&mut out, network, back, false);
                }
            }
            Err(error) => writeln!(out, "no question: {error}").unwrap(),
        }
    }
    for row in tracer.reach(None) {
        let cells = row.cells.iter().map(|(to, cell)| {
            let reason = cell.reason.map_or("", |reason| reason.as_str());
            format!("{to} {} {reason}", told::yes(cell.reached))
        });
        writeln!(out, "reach {}: {}", row.vm, cells.collect::<Vec<_>>().join(", ")).unwrap();
    }
    out
}

/// A verdict in words, and whether the packet arrives.
type Told = (String, Option<bool>);

/// The verdicts alone.
fn verdicts(network: &Network<'_>, questions: &[Question]) -> Vec<Told> {
    let tracer = Tracer::new(network);
    let verdict = |question: &Question| match tracer.ask(question) {
        Ok(answered) => {
            let verdict = &answered.trace.verdict;
            let reason = verdict.reason.map_or("", |reason| reason.as_str());
            let next: Vec<String> = verdict.next.iter().map(|next| next.need.to_string()).collect();
            let reached = told::yes(verdict.reached);
            let words = format!("{reached} {} {reason} ({})", verdict.outcome, next.join(", "));
            (words, verdict.reached)
        }
        Err(error) => (error.to_string(), None),
    };
    questions
        .iter()
        .map(|question| {
            let to = question.to.as_deref().unwrap_or_default();
            let (words, reached) = verdict(question);
            (format!("{} → {to}: {words}", question.from), reached)
        })
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "reads descriptions")]
fn each_world(tell: impl Fn(&str, &str)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/planted/worlds");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no worlds");
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let description = std::fs::read_to_string(&file).unwrap();
        tell(&name, &description);
    }
}

#[test]
fn facts_and_traces() {
    each_world(|name, description| {
        let text = with_network(&world::sessions(description), |network| {
            format!("{}\n{}", table::describe(network), traces(network))
        });
        insta::assert_snapshot!(name, text);
    });
}

/// What is told otherwise where one command was not run: that it is not known, and the command. Nothing
/// is known for sure of what was open, or otherwise, before.
#[test]
fn what_is_missing_is_asked_for() {
    each_world(|name, description| {
        let inputs = &world::sessions(description);
        let (questions, whole) = with_network(inputs, |network| {
            let questions = questions(network);
            let told = verdicts(network, &questions);
            (questions, told)
        });
        let mut out = String::new();
        for (command, less) in world::with_less(inputs) {
            let told = with_network(&less, |network| verdicts(network, &questions));
            assert_eq!(told.len(), whole.len(), "{name}: {command}");
            let other: Vec<_> = told.iter().zip(&whole).filter(|(one, all)| one != all).collect();
            if !other.is_empty() {
                writeln!(out, "without {command}").unwrap();
            }
            for ((line, reached), (before, known)) in other {
                assert!(
                    reached.is_none() || reached == known,
                    "{name}, {command}: {line}; {before}"
                );
                writeln!(out, "  {line}").unwrap();
            }
        }
        insta::assert_snapshot!(format!("less_{name}"), out);
    });
}

/// Devices that are set down by a word, by their kind in a description.
const DEVICES: &[&str] = &["nic", "bridge", "tap", "veth", "vlan", "bond", "vxlan", "macvlan"];

/// The same description with one line less, or with one device down, and what was done.
fn damaged(description: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = description.lines().collect();
    let mut all = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let kind = line.split_whitespace().next().unwrap_or_default();
        // What commands print is taken away as a whole elsewhere.
        if kind.is_empty() || matches!(kind, "#" | "host" | "netns" | "switch" | "$" | "|") {
            continue;
        }
        let (before, after) = (&lines[..at], &lines[at + 1..]);
        all.push((format!("without {line}"), [before, after].concat().join("\n")));
        if DEVICES.contains(&kind) && !line.split_whitespace().any(|word| word == "down") {
            let down = format!("{line} down");
            all.push((format!("down {line}"), [before, &[&down], after].concat().join("\n")));
        }
    }
    all
}

/// What becomes of the packets where one thing is not there, or is down.
#[test]
fn what_one_thing_less_changes() {
    each_world(|name, description| {
        let (questions, whole) = with_network(&world::sessions(description), |network| {
            let questions = questions(network);
            let told = verdicts(network, &questions);
            (questions, told)
        });
        let mut out = String::new();
        for (edit, description) in damaged(description) {
            let told = with_network(&world::sessions(&description), |network| {
                verdicts(network, &questions)
            });
            let other: Vec<_> = told.iter().zip(&whole).filter(|(one, all)| one != all).collect();
            if !other.is_empty() {
                writeln!(out, "{edit}").unwrap();
            }
            for ((line, _), _) in other {
                writeln!(out, "  {line}").unwrap();
            }
        }
        insta::assert_snapshot!(format!("changed_{name}"), out);
    });
}

/// What becomes of the packets where a bridge, a NIC or a namespace is taken away: as the question tells
/// it, and the capture does not.
#[test]
fn what_is_lost_without_a_thing() {
    each_world(|name, description| {
        let out = with_network(&world::sessions(description), |network| {
            let questions = questions(network);
            let whole = verdicts(network, &questions);
            let devices = network.netdevs().filter(|device| device.netns().is_root());
            let things = devices
                .map(|device| device.id)
                .chain(
                    network.hosts().flat_map(|host| network.ovs_bridges_of(host)).map(|it| it.id),
                )
                .chain(network.namespaces().map(|netns| netns.id));
            let keys: Vec<String> =
                things.filter_map(|node| Some(network.topology.key(node)?.to_string())).collect();
            let mut out = String::new();
            for key in keys {
                let without: Vec<Question> = questions
                    .iter()
                    .map(|question| Question { without: Some(key.clone()), ..question.clone() })
                    .collect();
                let told = verdicts(network, &without);
                let other: Vec<_> =
                    told.iter().zip(&whole).filter(|(one, all)| one != all).collect();
                if !other.is_empty() {
                    writeln!(out, "without {key}").unwrap();
                }
                for ((line, _), _) in other {
                    writeln!(out, "  {line}").unwrap();
                }
            }
            out
        });
        insta::assert_snapshot!(format!("lost_{name}"), out);
    });
}
