//! Less evidence never turns a yes of a trace into a no, nor a no into a yes: texts are taken away
//! from whole captures, one by one, kind by kind and many at once.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use tapline_capture::{Input, Options};
use tapline_core::capture::Snapshot;
use tapline_core::records::Batch;
use tapline_core::span::SourceId;
use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_network::trace::{Question, Tracer};

/// What is asked of each capture: from, to, port of TCP; and the packet, where it is one of a
/// connection that was tracked.
type Asked = (String, String, Option<u16>, Option<String>);

fn questions(snapshot: &Snapshot) -> Vec<Asked> {
    let topology = tapline_topology::build(snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let mut all = Vec::new();
    for vm in network.vms() {
        for to in ["gateway", "dhcp", "metadata", "outside"] {
            all.push((format!("vm:{}", vm.name()), to.to_owned(), None, None));
        }
        for other in network.vms().filter(|other| other.id != vm.id) {
            let to = format!("vm:{}", other.name());
            all.push((format!("vm:{}", vm.name()), to, Some(22), None));
        }
    }
    for netns in network.namespaces().filter(|netns| !netns.netns().is_root()) {
        let from = format!("ns:{}/{}", network.host_name(netns.host), netns.name());
        all.push((from, "outside".to_owned(), None, None));
    }
    all.extend(tracked(snapshot, &network));
    all
}

/// A packet of each connection that was tracked, sent from where it was.
fn tracked(snapshot: &Snapshot, network: &Network<'_>) -> Vec<Asked> {
    let mut all = Vec::new();
    for (source, reading) in snapshot.captured.sources.iter().zip(&snapshot.readings) {
        let Batch::Connections(entries) = &reading.records else { continue };
        let shown =
            if source.netns.is_root() { "root".to_owned() } else { source.netns.to_string() };
        let from = format!("ns:{}/{shown}", network.host_name(source.host));
        for entry in entries {
            let ends = &entry.original;
            let (Some(src), Some(dst)) = (ends.src, ends.dst) else { continue };
            let broadcast = dst == IpAddr::V4(Ipv4Addr::BROADCAST);
            if !src.is_ipv4() || broadcast || dst.is_multicast() {
                continue;
            }
            let packet = match (entry.protocol.as_str(), ends.sport, ends.dport) {
                ("tcp" | "udp", Some(sport), Some(dport)) => format!(
                    "{},nw_src={src},nw_dst={dst},tp_src={sport},tp_dst={dport}",
                    entry.protocol
                ),
                ("icmp", ..) => format!("icmp,nw_src={src},nw_dst={dst},icmp_type=8,icmp_code=0"),
                _ => continue,
            };
            all.push((from.clone(), format!("ip:{dst}"), None, Some(packet)));
        }
    }
    all.truncate(40);
    all
}

/// What a trace says: whether it arrives, what becomes of the packet where, and what is taken for
/// granted of filters of devices.
type Said = (Option<bool>, String, bool);

/// Whether an answer may follow on another where less was captured. Nothing may turn into its opposite,
/// but for one thing: where no text tells of filters of devices there are none mostly, and the answer
/// says that it takes that for granted.
fn may_follow(before: &Said, after: &Said, tc_is_away: bool) -> bool {
    let same = before.0.is_none() || after.0.is_none() || before.0 == after.0;
    let of_filters = ["tc-drop", "queue-loss"].iter().any(|reason| before.1.contains(reason));
    same || before.0 == Some(false) && of_filters && after.2 && tc_is_away
}

fn answers(snapshot: &Snapshot, asked: &[Asked]) -> Vec<Said> {
    let topology = tapline_topology::build(snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let tracer = Tracer::new(&network);
    asked
        .iter()
        .map(|(from, to, port, packet)| {
            let question = Question {
                from: from.clone(),
                to: Some(to.clone()),
                dport: *port,
                packet: packet.clone(),
                ..Question::default()
            };
            let Ok(answered) = tracer.ask(&question) else {
                return (None, String::new(), false);
            };
            let verdict = answered.trace.verdict;
            let reason = verdict.reason.map_or("", |reason| reason.as_str());
            let words = format!("{} {reason} at {}", verdict.outcome, verdict.place.words());
            let mut granted = verdict.assumptions.iter();
            let of_tc =
                granted.any(|(_, text)| text.contains("no tc filter, police or BPF program"));
            (verdict.reached, words, of_tc)
        })
        .collect()
}

/// The answers where some texts were not captured.
fn without(snapshot: &mut Snapshot, away: &[usize], asked: &[Asked]) -> Vec<Said> {
    let sources = std::mem::take(&mut snapshot.captured.sources);
    let readings = std::mem::take(&mut snapshot.readings);
    let mut aside = Vec::new();
    for (at, (mut source, reading)) in sources.into_iter().zip(readings).enumerate() {
        if away.contains(&at) {
            aside.push((at, source, reading));
        } else {
            source.id = SourceId(u32::try_from(snapshot.readings.len()).unwrap());
            snapshot.captured.sources.push(source);
            snapshot.readings.push(reading);
        }
    }
    let found = answers(snapshot, asked);
    for (at, source, reading) in aside {
        snapshot.captured.sources.insert(at, source);
        snapshot.readings.insert(at, reading);
    }
    for (at, source) in snapshot.captured.sources.iter_mut().enumerate() {
        source.id = SourceId(u32::try_from(at).unwrap());
    }
    found
}

fn corpus(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus").join(path)
}

/// What contradicts the answers about whole captures where less was captured, and these answers.
fn compare(paths: &[PathBuf]) -> (Vec<String>, Vec<Said>) {
    let inputs: Vec<Input> = paths.iter().map(|path| Input::Path(path.clone())).collect();
    let captured = tapline_capture::open(&inputs, &Options::default()).unwrap();
    let mut snapshot = tapline_formats::read(captured);
    let asked = questions(&snapshot);
    let whole = answers(&snapshot, &asked);
    let sources: Vec<(usize, String, String)> = snapshot
        .captured
        .sources
        .iter()
        .enumerate()
        .filter_map(|(at, source)| {
            let format = source.format?.0;
            // Features and counters of single devices say nothing of the way.
            let dull = format.starts_with("ethtool");
            (!dull).then(|| (at, format.to_owned(), format!("{} {}", source.netns, source.command)))
        })
        .collect();
    let mut ways: Vec<(String, Vec<usize>)> =
        sources.iter().map(|(at, _, name)| (name.clone(), vec![*at])).collect();
    let formats: BTreeSet<&str> = sources.iter().map(|(_, format, _)| format.as_str()).collect();
    for format in formats {
        let of = |same: bool| -> Vec<usize> {
            let all = sources.iter().filter(|(_, other, _)| (other == format) == same);
            all.map(|(at, ..)| *at).collect()
        };
        ways.push((format!("all of {format}"), of(true)));
        ways.push((format!("all but {format}"), of(false)));
    }
    let mut dice = 0x7461_706c_696e_6531_u64;
    for round in 0..30 {
        let one_in = 2 + round % 4;
        let some = sources.iter().filter(|_| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            dice.is_multiple_of(one_in)
        });
        ways.push((format!("round {round}"), some.map(|(at, ..)| *at).collect()));
    }
    let mut all = Vec::new();
    for (name, away) in &ways {
        let less = without(&mut snapshot, away, &asked);
        for ((question, before), after) in asked.iter().zip(&whole).zip(&less) {
            let is_tc = |at: &usize| {
                sources.iter().any(|(of, format, _)| of == at && format.starts_with("tc-"))
            };
            if !may_follow(before, after, away.iter().any(is_tc)) {
                all.push(format!("{question:?} without {name}: {before:?} became {after:?}"));
            }
        }
    }
    (all, whole)
}

fn complaints(paths: &[PathBuf]) -> Vec<String> {
    compare(paths).0
}

#[test]
fn less_evidence_contradicts_no_answer_about_a_host() {
    let all = complaints(&[corpus("captures/node2")]);
    assert!(all.is_empty(), "{} complaints\n{}", all.len(), all.join("\n"));
}

#[test]
fn less_evidence_contradicts_no_answer_about_two_hosts() {
    let hosts = ["sosreports/two-hosts/node1.tar.xz", "sosreports/two-hosts/node2.tar.xz"];
    let all = complaints(&hosts.map(corpus));
    assert!(all.is_empty(), "{} complaints\n{}", all.len(), all.join("\n"));
}

#[test]
fn less_evidence_contradicts_no_answer_about_tracked_connections() {
    let all = complaints(&[corpus("lab/seed/node2.tar.xz")]);
    assert!(all.is_empty(), "{} complaints\n{}", all.len(), all.join("\n"));
}

/// A capture in which filters of `tc` and queues stop what a guest sends and gets.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test writes its inputs")]
fn less_evidence_contradicts_no_answer_about_filters_of_devices() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("absence-tc");
    std::fs::create_dir_all(&folder).unwrap();
    for entry in std::fs::read_dir(corpus("captures/node2")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    let add = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    add(
        "tc_-s_qdisc_show",
        "qdisc noqueue 0: dev lo root refcnt 2 \nqdisc clsact ffff: dev qvo263b3957-09 parent ffff:fff1 \n\
         qdisc netem 8001: dev qvb85bcbfb0-bc root refcnt 2 limit 1000 loss 100%\n",
    );
    add(
        "tc_filter_show_dev_qvo263b3957-09_ingress",
        "filter protocol all pref 9 matchall chain 0 \n\
         filter protocol all pref 9 matchall chain 0 handle 0x1 \n  not_in_hw\n\
         \taction order 1: gact action drop\n\t index 1 ref 1 bind 1\n\n",
    );
    let (all, whole) = compare(&[folder]);
    for reason in ["tc-drop", "queue-loss"] {
        assert!(whole.iter().any(|(_, words, _)| words.contains(reason)), "no {reason}");
    }
    assert!(all.is_empty(), "{} complaints\n{}", all.len(), all.join("\n"));
}
