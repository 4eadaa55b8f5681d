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

/// What a trace says: whether it arrives, and what becomes of the packet where.
type Said = (Option<bool>, String);

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
            let Ok(answered) = tracer.ask(&question) else { return (None, String::new()) };
            let verdict = answered.trace.verdict;
            let reason = verdict.reason.map_or("", |reason| reason.as_str());
            let words = format!("{} {reason} at {}", verdict.outcome, verdict.place.words());
            (verdict.reached, words)
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

fn complaints(paths: &[PathBuf]) -> Vec<String> {
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
            if before.0.is_some() && after.0.is_some() && before.0 != after.0 {
                all.push(format!("{question:?} without {name}: {before:?} became {after:?}"));
            }
        }
    }
    all
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
