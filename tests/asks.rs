//! What tapline asks for where it cannot tell: never for what was captured whole, and always for a
//! command whose output it reads as an answer to just that.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tapline_analysis::lint;
use tapline_capture::{Input, Options};
use tapline_core::capture::{Command, HostId, Snapshot};
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::request::Topic;
use tapline_formats::registry;
use tapline_tests::{below, captures, corpus, lab};
use tapline_topology::coverage::Coverage;

/// Questions that name what a capture shows whole: rule, host, command.
fn answered(path: &Path) -> BTreeSet<String> {
    let inputs = [Input::Path(path.to_owned())];
    let captured = tapline_capture::open(&inputs, &Options::default()).unwrap();
    let read = tapline_formats::read(captured);
    let topology = tapline_topology::build(&read);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
    let mut all = BTreeSet::new();
    for open in &report.cannot_tell {
        for need in &open.missing {
            let whole = match need {
                // Short forms show that a device is there, and not all that is known of it.
                Need::Topic { topic: Topic::Links | Topic::LinkDetails, netns, .. } => {
                    is_captured(&read, open.host, netns, &need.argv())
                }
                Need::Topic { topic, netns, object: None } => {
                    let coverage = topology.coverage.of(open.host, netns, *topic);
                    matches!(coverage, Coverage::Complete(_))
                }
                Need::Topic { netns, .. } | Need::Command { netns, .. } => {
                    is_captured(&read, open.host, netns, &need.argv())
                }
                Need::Other(_) => false,
            };
            if whole {
                let host = read.host_label(open.host);
                all.insert(format!("{}: {} on {host}: {need}", path.display(), open.code));
            }
        }
    }
    all
}

/// Whether the complete output of just this command is there.
fn is_captured(read: &Snapshot, host: HostId, netns: &Netns, argv: &[String]) -> bool {
    read.captured.sources.iter().any(|source| {
        source.host == host
            && source.netns == *netns
            && source.command.argv == argv
            && read.completeness(source.id).is_complete()
    })
}

/// All captures of the corpus.
fn all() -> Vec<PathBuf> {
    let corpus = corpus();
    let mut all = vec![
        corpus.join("captures/node2"),
        corpus.join("collected/node2.tar.gz"),
        corpus.join("sosreports/node2.tar.xz"),
        corpus.join("sosreports/two-hosts"),
    ];
    all.extend(["seed", "faults", "uml-faults", "two-hosts", "ovn-healthy", "scale-500"].map(lab));
    let texts = below(&corpus.join("posts")).unwrap();
    let kinds = ["txt", "md", "html"].map(std::ffi::OsStr::new);
    all.extend(texts.into_iter().filter(|it| it.extension().is_some_and(|it| kinds.contains(&it))));
    all
}

#[test]
fn what_was_captured_whole_is_not_asked_for() {
    let complaints: Vec<String> = all().iter().flat_map(|path| answered(path)).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn what_was_captured_whole_of_other_hosts_is_not_asked_for() {
    let hosts = below(&captures().unwrap().join("hosts")).unwrap();
    let complaints: Vec<String> = hosts.iter().flat_map(|path| answered(path)).collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// What a command is read as when its output is added to a capture.
#[test]
fn what_is_asked_for_is_read_as_its_answer() {
    let namespace = Netns::Named("qrouter-1".into());
    for topic in Topic::ALL.iter().copied() {
        for netns in [&Netns::Root, &namespace] {
            let need = Need::Topic { topic, netns: netns.clone(), object: Some("thing".into()) };
            let command = Command { argv: need.argv() };
            let format = registry::by_command(&command);
            let format = format.unwrap_or_else(|| panic!("{topic:?}: nothing reads `{need}`"));
            let request = registry::request(format.id, &command);
            assert!(
                request.topics().any(|(answered, _)| answered == topic),
                "{topic:?}: `{need}` is read as {}, which does not answer it",
                format.id
            );
        }
    }
}
