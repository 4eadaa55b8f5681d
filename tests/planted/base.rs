//! What faults are planted in: a capture of the corpus, or hosts that are described.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use tapline_analysis::lint::{self, Severity};
use tapline_capture::{Input, Options};
use tapline_core::capture::Snapshot;
use tapline_network::environment::Environment;
use tapline_network::trace::Tracer;
use tapline_tests::corpus;

use crate::edit::Edit;
use crate::world;

/// Forms of a text that say what another form says. Edits are made in the forms that people read;
/// these would go on telling of the healthy host.
const TWINS: &[&str] = &[
    " -j ",
    " -o ",
    " -br ",
    "-f json",
    "plotnetcfg",
    "ifconfig",
    "netstat",
    "/proc/net/",
    "conf.db",
    "ovsdb-client",
    "route -n",
    "arp -an",
    "OpenFlow13",
    "session.txt",
    "list-ifaces",
    "list-ports",
    "fib_trie",
    "bridge/dump-flows",
    "dump-ports ",
    // What the datapath did at the moment.
    "dpctl/dump-flows",
    "conntrack",
];

/// A finding, as a table names it: `CODE object`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Root {
    pub(crate) what: String,
    pub(crate) severity: Severity,
    /// The whole line.
    pub(crate) line: String,
}

/// Where faults are planted.
pub(crate) enum Base {
    Captured(Snapshot),
    Described(String),
}

impl Base {
    /// `world/NAME`, else a folder or archive of the corpus.
    pub(crate) fn open(name: &str) -> Self {
        if let Some(name) = name.strip_prefix("world/") {
            return Self::Described(described(name));
        }
        let inputs = [Input::Path(corpus().join(name))];
        let mut captured = tapline_capture::open(&inputs, &Options::default()).unwrap();
        captured.sources.retain(|source| {
            let command = format!("{} {} ", source.member, source.command);
            !TWINS.iter().any(|twin| command.contains(twin))
        });
        for (at, source) in captured.sources.iter_mut().enumerate() {
            source.id = tapline_core::span::SourceId(u32::try_from(at).unwrap());
        }
        Self::Captured(tapline_formats::read(captured))
    }

    /// The capture with edits in it; an edit that changes nothing is a mistake in the table.
    pub(crate) fn with<R>(
        &mut self,
        edits: &[Edit],
        look: impl FnOnce(&Snapshot) -> R,
    ) -> Result<R, String> {
        match self {
            Self::Described(text) => {
                let mut text = text.clone();
                for edit in edits {
                    edit.apply_to_description(&mut text)?;
                }
                let inputs = world::sessions(&text);
                let captured = tapline_capture::open(&inputs, &Options::default()).unwrap();
                Ok(look(&tapline_formats::read(captured)))
            }
            Self::Captured(snapshot) => {
                let mut before = Vec::new();
                let mut complaint = None;
                for edit in edits {
                    let mut changed = false;
                    for at in 0..snapshot.captured.sources.len() {
                        let host = snapshot.captured.sources[at].host;
                        let host = snapshot.host(host).unwrap().name.clone();
                        let source = &mut snapshot.captured.sources[at];
                        let Some(text) = edit.apply(&host, source) else { continue };
                        changed = true;
                        let text = std::mem::replace(&mut source.text, text);
                        source.lines = OnceLock::new();
                        let reading = tapline_formats::read_source(source);
                        let reading = std::mem::replace(&mut snapshot.readings[at], reading);
                        before.push((at, text, reading));
                    }
                    if !changed {
                        complaint = Some(format!("{edit:?} changes nothing"));
                    }
                }
                let answer = look(snapshot);
                for (at, text, reading) in before.into_iter().rev() {
                    let source = &mut snapshot.captured.sources[at];
                    source.text = text;
                    source.lines = OnceLock::new();
                    snapshot.readings[at] = reading;
                }
                complaint.map_or(Ok(answer), Err)
            }
        }
    }
}

/// What is found where one command of a described host is missing, and not with all of them.
pub(crate) fn invented(description: &str) -> Vec<String> {
    let found = |inputs: &[Input]| -> BTreeSet<String> {
        let captured = tapline_capture::open(inputs, &Options::default()).unwrap();
        let snapshot = tapline_formats::read(captured);
        let topology = tapline_topology::build(&snapshot);
        let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
        let faults = report.findings.iter().filter(|finding| {
            finding.severity > Severity::Info && !finding.rule.code.starts_with("CAP-")
        });
        let objects = faults.flat_map(|finding| {
            let all = std::iter::once(&finding.subject).chain(&finding.also);
            all.map(|subject| format!("{} {}", finding.rule.code, subject.own_name()))
                .collect::<Vec<_>>()
        });
        objects.collect()
    };
    let whole = world::sessions(description);
    let known = found(&whole);
    // That the NIC of a container has no link is told of the other end, where that is known.
    let is_told = |fault: &String| {
        fault.starts_with("NIC-001") && known.iter().any(|known| known.starts_with("VETH-001"))
    };
    let mut all = Vec::new();
    for (command, less) in world::with_less(&whole) {
        let found = found(&less);
        for more in found.difference(&known).filter(|fault| !is_told(fault)) {
            all.push(format!("{more}, without `{command}`"));
        }
    }
    all
}

/// A description of `worlds`.
#[expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
pub(crate) fn described(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("planted/worlds");
    let path = folder.join(format!("{name}.world"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Writes a file for another program.
#[expect(clippy::disallowed_methods, reason = "a test writes its inputs")]
pub(crate) fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// The commands that findings propose, each with the rule and the namespace of its object.
pub(crate) fn next(snapshot: &Snapshot) -> Vec<(String, (String, String))> {
    let topology = tapline_topology::build(snapshot);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
    let of = |finding: &lint::Finding| {
        let netns = finding.netns.as_ref().and_then(|netns| netns.name()).unwrap_or_default();
        let about = (finding.rule.code.to_string(), netns.to_owned());
        finding.next.iter().map(move |line| (line.clone(), about.clone())).collect::<Vec<_>>()
    };
    report.findings.iter().flat_map(of).collect()
}

/// The last hop of each path that is crossed, by its start.
pub(crate) fn crossed(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let topology = tapline_topology::build(snapshot);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
    let name = |node| topology.node(node).map_or("", |node| node.name.as_str()).to_owned();
    let paths = lint::paths::paths(&topology, &report);
    let ends = paths.iter().filter_map(|path| {
        let broken = path.steps.iter().find(|step| step.state == lint::paths::State::Broken);
        let end = broken.map(|step| name(step.node));
        let end = end.or_else(|| path.broken_by.map(|_| "nowhere".to_owned()))?;
        Some((name(path.start), end))
    });
    ends.collect()
}

/// What each guest, pod and router reaches, by who asks and for what: whether it does, why not, and
/// the names of the place where it ends.
pub(crate) fn reach(snapshot: &Snapshot) -> BTreeMap<String, (Option<bool>, String, Vec<String>)> {
    let topology = tapline_topology::build(snapshot);
    let environment = Environment::default();
    let network = tapline_network::Network::new(&topology, None, &environment);
    let rows = Tracer::new(&network).reach(None);
    let mut all = BTreeMap::new();
    for row in rows {
        let host = topology.host_name(row.host);
        let who = format!("{host} {} {}", row.vm, row.nic.as_deref().unwrap_or_default());
        let peers = row.peers.iter().map(|peer| (peer.vm.to_string(), &peer.cell));
        let cells = row.cells.iter().map(|(to, cell)| ((*to).to_owned(), cell));
        for (to, cell) in cells.chain(peers) {
            let reason = format!("{:?} {:?}", cell.outcome, cell.reason);
            let at = &cell.at;
            let names = [&at.device, &at.bridge, &at.port].into_iter().flatten();
            let netns = at.netns.as_ref().and_then(|netns| netns.name());
            let names = names.map(ToString::to_string);
            let names = names.chain(netns.map(ToOwned::to_owned)).collect();
            all.insert(format!("{who} {to}"), (cell.reached, reason, names));
        }
    }
    all
}

/// The names of what roots are about: their objects, the nodes that they touch, and the words of what
/// they say.
pub(crate) fn objects_of_roots(snapshot: &Snapshot) -> BTreeSet<String> {
    let topology = tapline_topology::build(snapshot);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
    let mut all = BTreeSet::new();
    for root in report.findings.iter().filter(|finding| finding.is_root()) {
        for subject in std::iter::once(&root.subject).chain(&root.also) {
            all.insert(subject.name.clone());
            all.insert(subject.own_name().into_owned());
        }
        let words = |text: &str| -> Vec<String> {
            let is_mark = |c: char| c == ',' || c == ':' || c == ';';
            text.split_whitespace().map(|word| word.trim_matches(is_mark).to_owned()).collect()
        };
        all.extend(words(&root.message));
        all.extend(words(&root.subject.name));
        all.extend(root.notes.iter().flat_map(|note| words(note)));
        all.extend(root.netns.as_ref().and_then(|netns| netns.name()).map(ToOwned::to_owned));
        all.extend(
            root.nodes.iter().filter_map(|node| Some(topology.node(*node)?.name.to_string())),
        );
    }
    all
}

/// The roots that the rules find, in the order in which they are shown.
pub(crate) fn roots(snapshot: &Snapshot) -> Vec<Root> {
    let topology = tapline_topology::build(snapshot);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
    let root = |finding: &lint::Finding| Root {
        what: format!("{} {}", finding.rule.code, finding.subject.name),
        severity: finding.severity,
        line: format!(
            "{} {} {}: {}",
            finding.severity, finding.rule.code, finding.subject.name, finding.message
        ),
    };
    report.findings.iter().filter(|finding| finding.is_root()).map(root).collect()
}
