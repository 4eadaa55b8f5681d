//! Real packets between guests of real clouds, sent at the moment of the capture, against the round
//! trips that a trace follows: what arrived is never said to be cut, nor the other way round.
//!
//! A matrix has one probe a line: from, to, address, what, result.
#![expect(clippy::print_stdout, reason = "a test says what it counts")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use tapline_capture::{Input, Options};
use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_network::trace::{Question, Tracer};
use tapline_tests::{captures, lab};

/// What came of the probes of one matrix.
#[derive(Default, Debug)]
struct Count {
    right: usize,
    open: usize,
    wrong: Vec<String>,
    /// Why answers are open, how often.
    why: BTreeMap<String, usize>,
}

/// The question that a probe asks; `None` for one from outside, where no host was captured.
fn question(from: &str, address: &str, what: &str) -> Option<Question> {
    let from = match from.split_once('/') {
        Some(("node", host)) => format!("ns:{host}/root"),
        Some(_) => format!("pod:{from}"),
        None => format!("vm:{from}"),
    };
    let mut question = Question {
        from: from.clone(),
        to: Some(format!("ip:{address}")),
        proto: Some("icmp".to_owned()),
        reverse: true,
        ..Question::default()
    };
    if what == "dhcp" {
        (question.to, question.proto) = (Some(what.to_owned()), None);
    } else if let Some(port) = what.strip_prefix("tcp/") {
        (question.proto, question.dport) = (Some("tcp".to_owned()), Some(port.parse().unwrap()));
    } else if let Some(size) = what.strip_prefix("icmp-df-") {
        question.size = Some(size.parse().unwrap());
    }
    (from != "vm:outside").then_some(question)
}

fn replay(inputs: &[PathBuf], matrix: &Path) -> Count {
    let inputs: Vec<Input> = inputs.iter().map(|path| Input::Path(path.clone())).collect();
    let captured = tapline_capture::open(&inputs, &Options::default()).unwrap();
    let read = tapline_formats::read(captured);
    let topology = tapline_topology::build(&read);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let tracer = Tracer::new(&network);
    let mut count = Count::default();
    for line in fs::read_to_string(matrix).unwrap().lines().skip(1) {
        let [from, _, address, what, result] = line.split('\t').collect::<Vec<_>>()[..] else {
            continue;
        };
        let Some(question) = question(from, address, what) else { continue };
        // A guest that refuses has got the packet, but nothing captured tells that nobody listens.
        if result == "refused" {
            continue;
        }
        let arrived = result != "no";
        let answered = match tracer.ask(&question) {
            Ok(answered) => answered,
            Err(why) => {
                count.open += 1;
                *count.why.entry(format!("no question: {why}")).or_default() += 1;
                continue;
            }
        };
        let there = answered.trace.verdict.reached;
        let back = answered.reverse.as_ref().map(|trace| &trace.verdict);
        let ours = match (there, back) {
            (Some(true), Some(back)) => back.reached,
            _ => there,
        };
        match ours {
            None => {
                let verdict = match back.filter(|_| there == Some(true)) {
                    Some(back) => ("back ", back),
                    None => ("", &answered.trace.verdict),
                };
                let (way, verdict) = verdict;
                let reason = verdict.reason.map_or("", |reason| reason.as_str());
                let why = format!("{way}{reason} at {}: {}", verdict.place.words(), verdict.text);
                *count.why.entry(why).or_default() += 1;
                count.open += 1;
            }
            Some(ours) if ours == arrived => count.right += 1,
            Some(_) => {
                let verdict = &answered.trace.verdict;
                count.wrong.push(format!(
                    "{line}: {} at {}",
                    verdict.outcome,
                    verdict.place.words()
                ));
            }
        }
    }
    println!(
        "{}: {} right, {} open, {} wrong",
        matrix.display(),
        count.right,
        count.open,
        count.wrong.len()
    );
    for (why, times) in &count.why {
        println!("  {times} open: {why}");
    }
    count
}

#[test]
fn probes_of_a_cloud_are_not_contradicted() {
    let matrix = Path::new(env!("CARGO_MANIFEST_DIR")).join("probes/ovn-healthy.tsv");
    let count = replay(&[lab("ovn-healthy")], &matrix);
    assert!(count.wrong.is_empty() && count.right > 60, "{count:?}");
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn probes_of_pods_are_not_contradicted() {
    let folder = captures().unwrap().join("lab/ovnk-healthy");
    let inputs = ["m0", "w0", "w1"].map(|host| folder.join(format!("{host}.tar.xz")));
    let count = replay(&inputs, &folder.join("matrix.tsv"));
    assert!(count.wrong.is_empty() && count.right > 60, "{count:?}");
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn probes_of_clouds_with_faults_are_not_contradicted() {
    let faults = captures().unwrap().join("lab/ovn-faults");
    for fault in ["F01", "F02", "F03", "F04", "F05"] {
        let folder = faults.join(fault);
        let hosts = ["ctl0", "cmp0", "cmp1", "gw0"];
        let inputs = hosts.map(|host| folder.join(format!("{host}.tar.xz")));
        let count = replay(&inputs, &folder.join("matrix.tsv"));
        assert!(count.wrong.is_empty() && count.right > 50, "{fault}: {count:?}");
    }
}
