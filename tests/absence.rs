//! What was not captured is no fault: texts are taken away from whole captures, one by one, kind by
//! kind and many at once, and no rule may find anything that it does not find with all of them.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may panic, and says what it skips"
)]
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tapline_analysis::lint::{self, Severity};
use tapline_capture::{Input, Options};
use tapline_core::capture::{FormatId, Snapshot};
use tapline_core::span::SourceId;
use tapline_formats::registry;
use tapline_tests::{captures, corpus, lab};

/// Findings about the capture itself, which may speak of what is missing.
const OF_THE_CAPTURE: &[&str] = &["CAP-", "XHOST-002"];

/// A fault: rule, host and object.
type Fault = (String, String, String);

fn faults(snapshot: &Snapshot) -> BTreeSet<Fault> {
    let topology = tapline_topology::build(snapshot);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
    let about_capture = |code: &str| OF_THE_CAPTURE.iter().any(|capture| code.starts_with(capture));
    let faults = report
        .findings
        .iter()
        .filter(|finding| finding.severity > Severity::Info && !about_capture(&finding.rule.code));
    // One fault may be told of several objects.
    faults
        .flat_map(|fault| {
            let host = snapshot.host(fault.host).map(|host| host.name.clone()).unwrap_or_default();
            let objects = std::iter::once(&fault.subject)
                .chain(&fault.also)
                .map(|subject| subject.name.clone());
            // The bridge of a port stands in a text of its own, and may be missing.
            let own = |name: String| match name.rsplit_once('/') {
                Some((_, own)) if fault.subject.kind().starts_with("ovs") => own.to_owned(),
                _ => name,
            };
            objects
                .map(|object| (fault.rule.code.to_string(), host.clone(), own(object)))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// What is found where the texts `away` were not captured, and is not found with them.
fn invented(snapshot: &mut Snapshot, away: &[usize], known: &BTreeSet<Fault>) -> Vec<Fault> {
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
    let found = faults(snapshot);
    for (at, source, reading) in aside {
        snapshot.captured.sources.insert(at, source);
        snapshot.readings.insert(at, reading);
    }
    for (at, source) in snapshot.captured.sources.iter_mut().enumerate() {
        source.id = SourceId(u32::try_from(at).unwrap());
    }
    found.difference(known).cloned().collect()
}

/// Numbers that look random and are the same in every run (xorshift64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// Takes texts away from one capture in many ways; gives what was invented, with what was missing.
fn complaints(path: &Path) -> Vec<String> {
    let captured =
        tapline_capture::open(&[Input::Path(path.to_owned())], &Options::default()).unwrap();
    let mut snapshot = tapline_formats::read(captured);
    let known = faults(&snapshot);
    let sources: Vec<(usize, FormatId, String)> = snapshot
        .captured
        .sources
        .iter()
        .enumerate()
        .filter_map(|(at, it)| Some((at, it.format?, format!("{} {}", it.netns, it.command))))
        .collect();
    let mut ways: Vec<(String, Vec<usize>)> = Vec::new();
    for (at, format, name) in &sources {
        // Counters and features of single devices say nothing of what is there.
        if !format.0.starts_with("ethtool") {
            ways.push((name.clone(), vec![*at]));
        }
    }
    let formats: BTreeSet<FormatId> = sources.iter().map(|source| source.1).collect();
    for format in &formats {
        let all =
            sources.iter().filter(|source| source.1 == *format).map(|source| source.0).collect();
        ways.push((format!("all of {format}"), all));
        let others =
            sources.iter().filter(|source| source.1 != *format).map(|source| source.0).collect();
        ways.push((format!("all but {format}"), others));
    }
    let mut dice = Dice(0x7461_706c_696e_6531);
    for round in 0..40 {
        let one_in = 2 + round % 4;
        let some = sources
            .iter()
            .filter(|_| dice.roll().is_multiple_of(one_in))
            .map(|source| source.0)
            .collect();
        ways.push((format!("round {round}"), some));
    }
    let mut all = Vec::new();
    for (name, away) in &ways {
        let more = invented(&mut snapshot, away, &known);
        if !more.is_empty() {
            all.push(format!("{} without {name}: {more:?}", path.display()));
        }
    }
    println!("{}: {} ways, {} complaints", path.display(), ways.len(), all.len());
    all
}

/// Cuts texts off in the middle of a line, as a full disk or a broken copy does; gives what was
/// invented.
fn complaints_of_cuts(path: &Path) -> Vec<String> {
    let captured =
        tapline_capture::open(&[Input::Path(path.to_owned())], &Options::default()).unwrap();
    let mut snapshot = tapline_formats::read(captured);
    let known = faults(&snapshot);
    let mut dice = Dice(0x7461_706c_696e_6532);
    let mut all = Vec::new();
    for at in 0..snapshot.captured.sources.len() {
        let source = &snapshot.captured.sources[at];
        let Some(format) = source.format.and_then(registry::by_id) else { continue };
        if format.id.0.starts_with("ethtool") || source.text.len() < 80 {
            continue;
        }
        for _ in 0..2 {
            let whole = snapshot.captured.sources[at].text.clone();
            let middle = |it: &usize| {
                let around = whole.as_bytes().get(*it - 1..=*it);
                around.is_some_and(|around| around.is_ascii() && !around.contains(&b'\n'))
            };
            let from = 1 + usize::try_from(dice.roll()).unwrap() % (whole.len() - 1);
            let Some(end) = (from..whole.len()).find(middle) else { continue };
            let source = &mut snapshot.captured.sources[at];
            source.text.truncate(end);
            source.lines = OnceLock::new();
            let reading = tapline_formats::read_source(source);
            let reading = std::mem::replace(&mut snapshot.readings[at], reading);
            let found = faults(&snapshot);
            let more: Vec<_> = found.difference(&known).collect();
            let source = &mut snapshot.captured.sources[at];
            if !more.is_empty() {
                let last = source.text.lines().last().unwrap_or_default().to_owned();
                let name = format!("{} {}", source.netns, source.command);
                all.push(format!("{}: {name} cut after {last:?}: {more:?}", path.display()));
            }
            source.text = whole;
            source.lines = OnceLock::new();
            snapshot.readings[at] = reading;
        }
    }
    println!("{}: {} complaints of cuts", path.display(), all.len());
    all
}

fn check(paths: &[PathBuf]) {
    let cuts = paths.iter().flat_map(|path| complaints_of_cuts(path));
    let all: Vec<String> = paths.iter().flat_map(|path| complaints(path)).chain(cuts).collect();
    assert!(all.is_empty(), "{} complaints:\n{}", all.len(), all.join("\n"));
}

#[test]
fn less_evidence_of_the_corpus_makes_no_fault() {
    let corpus = corpus();
    let names = [
        "captures/node2",
        "collected/node2.tar.gz",
        "sessions/node2.txt",
        "sosreports/node2.tar.xz",
        "sosreports/two-hosts",
    ];
    check(&names.map(|name| corpus.join(name)));
}

#[test]
fn less_evidence_of_the_laboratory_makes_no_fault() {
    check(&["two-hosts", "uml-two-hosts", "faults", "uml-faults"].map(lab));
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn less_evidence_of_other_hosts_makes_no_fault() {
    let hosts = captures().unwrap().join("hosts");
    check(
        &["hotsos-openstack", "hotsos-kubernetes", "hotsos-rabbitmq"].map(|word| hosts.join(word)),
    );
}

/// Saved by a program that leaves the last line end away, all texts say what they said before.
#[test]
fn texts_without_their_last_line_end_say_the_same() {
    let folder = corpus().join("captures/node2");
    let open = || tapline_capture::open(&[Input::Path(folder.clone())], &Options::default());
    let known = faults(&tapline_formats::read(open().unwrap()));
    let mut captured = open().unwrap();
    for source in &mut captured.sources {
        source.text.truncate(source.text.trim_end_matches('\n').len());
    }
    assert_eq!(faults(&tapline_formats::read(captured)), known);
}
