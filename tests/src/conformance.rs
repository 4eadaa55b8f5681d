//! Reads a folder of captured outputs by command and accounts for every line.
//!
//! The folder has one sub-folder per kind and one output per file. `err-` files hold an error
//! message instead of output, `bad-` files something elided or annotated, all others are clean.
use std::path::{Path, PathBuf};

use tapline_core::capture::{Command, Completeness};
use tapline_core::outcome::{LineCount, Outcome, ProblemKind};
use tapline_core::records::Batch;
use tapline_formats::registry;

/// The kinds that a format reads, each with a command that makes such output.
pub const KINDS: &[(&str, &str)] = &[
    ("brctl-show", "brctl show"),
    ("bridge-fdb", "bridge fdb"),
    ("bridge-link", "bridge link"),
    ("bridge-vlan", "bridge vlan"),
    ("conntrack", "conntrack -L"),
    ("ethtool", "ethtool eth0"),
    ("ethtool-P", "ethtool -P eth0"),
    ("ethtool-S", "ethtool -S eth0"),
    ("ethtool-g", "ethtool -g eth0"),
    ("ethtool-i", "ethtool -i eth0"),
    ("ethtool-k", "ethtool -k eth0"),
    ("ifconfig", "ifconfig -a"),
    ("ip-address", "ip address"),
    ("ip-link", "ip link"),
    ("ip-neigh", "ip neigh"),
    ("ip-netns", "ip netns"),
    ("ip-route", "ip route"),
    ("ip-route-get", "ip route get 192.0.2.1"),
    ("ip-rule", "ip rule"),
    ("iptables-list", "iptables -nvL"),
    ("iptables-save", "iptables-save"),
    ("netstat-i", "netstat -i"),
    ("nft-list-ruleset", "nft list ruleset"),
    // No such table: the columns have to tell.
    ("ovn-nbctl-list", "ovn-nbctl list table"),
    ("ovn-nbctl-show", "ovn-nbctl show"),
    ("ovn-sbctl-list", "ovn-sbctl list table"),
    ("ovn-sbctl-show", "ovn-sbctl show"),
    ("ovs-appctl-bond-show", "ovs-appctl bond/show"),
    ("ovs-appctl-fdb-show", "ovs-appctl fdb/show br-int"),
    ("ovs-dpctl-dump-conntrack", "ovs-dpctl dump-conntrack"),
    ("ovs-dpctl-dump-flows", "ovs-dpctl dump-flows"),
    ("ovs-dpctl-show", "ovs-dpctl show"),
    ("ovs-ofctl-dump-flows", "ovs-ofctl dump-flows br-int"),
    ("ovs-ofctl-dump-groups", "ovs-ofctl dump-groups br-int"),
    ("ovs-ofctl-dump-ports-desc", "ovs-ofctl dump-ports-desc br-int"),
    ("ovs-ofctl-show", "ovs-ofctl show br-int"),
    ("ovs-vsctl-list", "ovs-vsctl list interface"),
    ("ovs-vsctl-list-otherfmt", "ovs-vsctl --columns=name,ofport list interface"),
    ("ovs-vsctl-show", "ovs-vsctl show"),
    ("proc-net-bonding", "cat /proc/net/bonding/bond0"),
    ("route", "route -n"),
    ("virsh-domiflist", "virsh domiflist vm"),
    ("virsh-dumpxml", "virsh dumpxml vm"),
    ("virsh-list", "virsh list --all"),
    ("virsh-net-dumpxml", "virsh net-dumpxml net"),
    ("virsh-net-list", "virsh net-list --all"),
];

/// What a file name promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Promise {
    /// Every line is read.
    Clean,
    /// The capture failed, with a reason; or the complaint is named beside the data that stands.
    Error,
    /// Problems, not silence.
    Bad,
}

/// One file and what came of it.
#[derive(Debug)]
pub struct Case {
    /// Kind: name of the folder.
    pub kind: String,
    /// The file.
    pub path: PathBuf,
    /// What its name promises.
    pub promise: Promise,
    /// What came of it; `None` where no format claims the kind.
    pub outcome: Option<Outcome<Batch>>,
    /// Its text.
    pub text: String,
}

impl Case {
    /// Whether there is data and, beside it, a problem with the words of a tool.
    fn names_the_error(&self) -> bool {
        self.outcome.as_ref().is_some_and(|outcome| {
            !outcome.records.is_empty()
                && outcome.problems.iter().any(|problem| problem.kind == ProblemKind::ToolError)
        })
    }

    /// Why the promise is not kept; `None` where it is.
    pub fn complaint(&self) -> Option<String> {
        let Some(outcome) = &self.outcome else { return Some("no format reads it".to_owned()) };
        match self.promise {
            Promise::Clean if outcome.lines.unread > 0 => {
                let first =
                    outcome.problems.iter().find(|problem| problem.kind != ProblemKind::ToolError);
                let shown = first.map(|first| {
                    let quoted = self.text.get(first.span.range()).unwrap_or_default();
                    format!("{}: {:?}", first.message, quoted.chars().take(100).collect::<String>())
                });
                Some(format!("{} unread: {}", outcome.lines.unread, shown.unwrap_or_default()))
            }
            Promise::Error if !outcome.completeness.is_failed() && !self.names_the_error() => {
                Some(format!("not failed but {:?}", outcome.completeness))
            }
            Promise::Bad
                if outcome.problems.is_empty()
                    && outcome.completeness == Completeness::Complete =>
            {
                Some("silent: no problem, and complete".to_owned())
            }
            Promise::Clean | Promise::Error | Promise::Bad => None,
        }
    }
}

/// Reads every file under `folder`, in order of kind and name.
///
/// # Errors
///
/// When the folder cannot be read.
#[expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
pub fn cases(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let mut all = Vec::new();
    for &(kind, command) in KINDS {
        let command = Command::new(command);
        let Ok(entries) = std::fs::read_dir(folder.join(kind)) else { continue };
        let mut paths: Vec<_> =
            entries.map(|it| it.map(|it| it.path())).collect::<Result<_, _>>()?;
        paths.sort();
        for path in paths {
            let bytes = std::fs::read(&path)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let promise = if kind == "ovs-vsctl-list-otherfmt" {
                // Rows with an `error` column, misnamed: the command did not fail.
                Promise::Clean
            } else if name.starts_with("err-") {
                Promise::Error
            } else if name.starts_with("bad-") {
                Promise::Bad
            } else {
                Promise::Clean
            };
            let outcome = registry::by_command(&command).map(|it| (it.read)(&text, &command));
            all.push(Case { kind: kind.to_owned(), path, promise, outcome, text });
        }
    }
    Ok(all)
}

/// The account of lines of one kind.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Files.
    pub files: u32,
    /// Files whose promise is not kept.
    pub complaints: u32,
    /// Lines of the clean files.
    pub lines: LineCount,
    /// Records of all files.
    pub records: usize,
}

/// Adds up the cases of one kind.
pub fn tally<'a>(cases: impl IntoIterator<Item = &'a Case>) -> Tally {
    let mut sum = Tally::default();
    for case in cases {
        sum.files += 1;
        sum.complaints += u32::from(case.complaint().is_some());
        if let Some(outcome) = &case.outcome {
            sum.records += outcome.records.len();
            if case.promise == Promise::Clean {
                sum.lines.merge(outcome.lines);
            }
        }
    }
    sum
}
