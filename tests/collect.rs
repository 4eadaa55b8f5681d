//! `tapline collect` gathers what rules ask for: after it, no question is left that a command on
//! the host could answer.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "the sources are read")]
use std::path::Path;

use tapline_analysis::lint;
use tapline_capture::{Input, Options};
use tapline_core::Name;
use tapline_core::capture::Command;
use tapline_core::request::{Request, Topic, TopicOf};
use tapline_formats::format::Per;
use tapline_formats::registry;

/// What rules ask for and the script does not gather, each with the reason.
const NOT_GATHERED: &[(&str, &str)] = &[
    ("ip route get", "asks for one packet of many"),
    ("tcpdump -eni", "listens: to be seen by a person"),
    ("openstack network list --long", "is asked of the deployment, not of the host"),
    ("kubectl get felixconfiguration default -o yaml", "is asked of the deployment"),
    (
        "grep l2_population /etc/neutron/plugins/ml2/openvswitch_agent.ini",
        "is asked where a host was not captured at all",
    ),
    (
        "ls -l /proc/*/fd /proc/*/fdinfo",
        "shows which program holds a tap that is no VM's: to be seen by a person",
    ),
    (
        "bridge -d mdb show dev",
        "says who is in a group, and who asks for that: to be seen by a person",
    ),
    (
        "virsh domifaddr",
        "asks the agent within a guest, which libvirt refuses to those who may only read",
    ),
    ("ovs-appctl dpif/show", "hints at a switch that runs in a namespace: to be seen by a person"),
];

/// All commands of the script, with what they are asked for.
fn gathered() -> Vec<(Per, &'static str, Request)> {
    let mut all = Vec::new();
    for format in registry::FORMATS {
        for gather in format.collect {
            let line = gather.argv.replace(['*'], "x0").replace("{}", "x0");
            let line = if gather.per == Per::File { format!("cat {line}") } else { line };
            let request = (format.claims)(&Command::new(&line)).unwrap();
            all.push((gather.per, format.id.0, request));
        }
    }
    all
}

#[test]
fn every_topic_is_gathered() {
    let gathered = gathered();
    for &topic in Topic::ALL {
        let of = |wanted: &[Per]| {
            gathered.iter().any(|(per, _, request)| {
                let answers = request.whole.contains(&topic) || request.part.contains(&topic);
                wanted.contains(per) && answers
            })
        };
        if topic.of() == TopicOf::Namespace {
            assert!(of(&[Per::Namespace]), "{topic:?} of a namespace");
            assert!(of(&[Per::Host]), "{topic:?} of the host");
        } else {
            let any = [
                Per::Host,
                Per::Bridge,
                Per::Domain,
                Per::Network,
                Per::Device,
                Per::Nic,
                Per::Central,
                Per::File,
            ];
            assert!(of(&any), "{topic:?}");
        }
    }
}

#[test]
fn every_command_that_a_rule_asks_for_is_gathered() {
    let gathered = gathered();
    let asked = asked();
    assert!(asked.len() > 15, "{asked:?}");
    for line in &asked {
        if NOT_GATHERED.iter().any(|(exempt, _)| exempt == line) {
            continue;
        }
        // What it is asked of stands behind it.
        let lines =
            [line.clone(), format!("{line} x0"), line.replace("cat", "cat /proc/net/bonding/x0")];
        let found = lines.iter().map(|line| Command::new(line)).find_map(|command| {
            let format = registry::by_command(&command)?;
            Some((format.id.0, (format.claims)(&command)?))
        });
        let Some((format, request)) = found else {
            panic!("nothing reads what `{line}` prints: no capture could answer the question");
        };
        let serves = |(_, id, other): &(Per, &str, Request)| {
            let table = |it: &Request| it.table.as_ref().map(Name::to_ascii_lowercase);
            let family = request.family.is_none()
                || other.family.is_none_or(|it| Some(it) == request.family);
            let topics: Vec<_> = request.whole.iter().chain(&request.part).collect();
            let whole =
                !topics.is_empty() && topics.iter().all(|topic| other.whole.contains(topic));
            *id == format && family && (whole || table(&request) == table(other))
        };
        assert!(gathered.iter().any(serves), "`tapline collect` does not run `{line}`");
    }
    for (exempt, _) in NOT_GATHERED {
        assert!(asked.iter().any(|line| line == exempt), "nothing asks for `{exempt}`");
    }
}

/// What was captured whole is never asked for.
#[test]
fn no_question_asks_for_what_was_captured() {
    let corpus = tapline_tests::corpus();
    let mut inputs = vec![corpus.join("captures/node2"), corpus.join("collected/node2.tar.gz")];
    for folder in ["sessions", "posts"] {
        let files = tapline_tests::below(&corpus.join(folder)).unwrap();
        inputs.extend(files.into_iter().filter(|path| {
            let ending =
                path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
            !matches!(ending, "yaml" | "snap")
        }));
    }
    for path in inputs {
        let input = [Input::Path(path.clone())];
        let captured = tapline_capture::open(&input, &Options::default()).unwrap();
        let read = tapline_formats::read(captured);
        let topology = tapline_topology::build(&read);
        let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
        for open in &report.cannot_tell {
            for need in &open.missing {
                let again = read.iter().find(|(source, _)| {
                    source.host == open.host
                        && source.netns == *need.netns()
                        && source.command.argv == need.argv()
                        && read.completeness(source.id).is_complete()
                });
                assert!(again.is_none(), "{}: {} asks for {need}", path.display(), open.code);
            }
        }
    }
}

/// The commands that rules and the network ask for by their words, as the sources have them.
fn asked() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut sources = Vec::new();
    for folder in ["model/network/src", "model/analysis/src", "model/topology/src"] {
        sources_below(&root.join(folder), &mut sources);
    }
    let mut all = Vec::new();
    for source in &sources {
        for call in source.split("Need::command(").skip(1) {
            if let Some(literal) = call.strip_prefix('"') {
                all.extend(literal.split('"').next().map(str::to_owned));
                continue;
            }
            let name = call.split(')').next().unwrap();
            let constant = format!("const {name}: &str = \"");
            let found = sources.iter().find_map(|source| source.split_once(&constant));
            match (name, found) {
                (_, Some((_, literal))) => all.extend(literal.split('"').next().map(str::to_owned)),
                // Of the family in question.
                ("tool", _) => {
                    all.extend(["iptables-save".to_owned(), "ip6tables-save".to_owned()]);
                }
                // One neighbour of all.
                (name, _) if name.starts_with("&defs::ask_neighbour(") => {
                    all.extend(["ip neigh".to_owned()]);
                }
                ("list", _) => all.extend(["ip route show table main".to_owned()]),
                _ => panic!("what is asked for by `Need::command({name})`?"),
            }
        }
    }
    all.sort();
    all.dedup();
    all
}

fn sources_below(folder: &Path, sources: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources_below(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            sources.push(std::fs::read_to_string(&path).unwrap());
        }
    }
}
