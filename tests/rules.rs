//! Rules: their list is in order, and their pages are true.
//!
//! The console transcripts of a page are run as they stand: read by the same code as a user's
//! session, linted by this rule alone.
#![expect(clippy::disallowed_methods, reason = "tests write transcripts and read the sources")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use tapline_analysis::lint::rules::ALL;
use tapline_analysis::lint::{self, Report, Rule, Severity};
use tapline_capture::{Input, Options};
use tapline_model::capture::Snapshot;

const HEADINGS: [&str; 6] = [
    "## What it finds",
    "## Why it matters",
    "## What to do",
    "## Example",
    "## Not reported",
    "## References",
];

/// One transcript of a page.
struct Block<'a> {
    /// Line of the page on which it starts.
    line: usize,
    /// `fires`, `quiet`, `unknown`, and for `fires` perhaps the severity.
    tags: Vec<&'a str>,
    text: String,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut all = Vec::new();
    let mut open: Option<Block<'_>> = None;
    for (at, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let tags = info.split(',').collect();
                open = Some(Block { line: at + 1, tags, text: String::new() });
            }
            (Some(_), Some(_)) => all.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "an open fence");
    all
}

/// Reads a transcript as a user's file would be read.
fn read(text: &str) -> Result<Snapshot, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("session.txt");
    fs::write(&path, text).unwrap();
    let captured = tapline_capture::open(&[Input::Path(path)], &Options::default());
    captured.map(tapline_parsers::read).map_err(|it| it.to_string())
}

/// Why a block is not what its tags say; `None` where it is.
fn complaint(rule: &'static Rule, block: &Block<'_>) -> Option<String> {
    let snapshot = match read(&block.text) {
        Ok(snapshot) => snapshot,
        Err(why) => return Some(format!("  {why}\n")),
    };
    for (source, reading) in snapshot.iter() {
        // A capture that failed on purpose has no lines to be read.
        let problem = reading.problems.iter().find(|_| reading.lines.unread > 0);
        if let Some(problem) = problem {
            return Some(format!(
                "`{}` has unread lines: {}: {:?}",
                source.command,
                problem.message,
                source.line_text(problem.span)
            ));
        }
    }
    let topology = tapline_topology::build(&snapshot);
    let report = lint::run(&topology, &[rule]);
    let severity = report.findings.iter().map(|it| it.severity).max();
    let wanted = match block.tags.get(2).copied() {
        Some("error") => Some(Severity::Error),
        Some("warning") => Some(Severity::Warning),
        Some("info") => Some(Severity::Info),
        _ => None,
    };
    let kept = match block.tags.get(1).copied() {
        Some("fires") => {
            let cited =
                report.findings.iter().all(|it| !it.evidence.is_empty() && !it.next.is_empty());
            severity.is_some() && cited && (wanted.is_none() || wanted == severity)
        }
        Some("quiet") => report.findings.is_empty() && report.cannot_tell.is_empty(),
        Some("unknown") => report.findings.is_empty() && !report.cannot_tell.is_empty(),
        _ => false,
    };
    (!kept).then(|| describe(&report))
}

fn describe(report: &Report) -> String {
    let mut text = String::new();
    for it in &report.findings {
        let _ =
            writeln!(text, "  {} {}: {} {:?}", it.severity, it.object.name, it.message, it.notes);
    }
    for it in &report.cannot_tell {
        let _ = writeln!(text, "  cannot tell without {}", it.missing.join(", "));
    }
    if text.is_empty() { "  nothing to say\n".to_owned() } else { text }
}

#[test]
fn transcripts_of_the_pages_are_true() {
    let only = std::env::args().skip(1).find(|it| it.contains("-0"));
    let mut complaints = String::new();
    for rule in ALL.iter().copied() {
        if only.as_deref().is_some_and(|it| it != rule.code) {
            continue;
        }
        let blocks: Vec<_> = blocks(rule.page)
            .into_iter()
            .filter(|it| it.tags.first() == Some(&"console"))
            .collect();
        for tag in ["fires", "quiet", "unknown"] {
            let has = blocks.iter().any(|it| it.tags.get(1) == Some(&tag));
            // A failed capture is never undecided.
            assert!(has || tag == "unknown" && rule.code == "CAP-001", "{}: no {tag}", rule.code);
        }
        for block in blocks {
            if let Some(why) = complaint(rule, &block) {
                let tags = block.tags.join(",");
                let _ = writeln!(complaints, "{}.md:{} {tags}\n{why}", rule.id, block.line);
            }
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}");
}

#[test]
fn pages_have_their_headings_in_order() {
    for rule in ALL {
        let title = format!("# {} {}", rule.code, rule.id);
        assert_eq!(rule.page.lines().next(), Some(title.as_str()));
        let found: Vec<_> = rule.page.lines().filter(|it| it.starts_with("## ")).collect();
        assert_eq!(found, HEADINGS, "{}", rule.code);
    }
}

#[test]
fn list_is_sorted_and_codes_and_ids_are_unique() {
    let codes: Vec<_> = ALL.iter().map(|it| it.code).collect();
    assert!(codes.is_sorted(), "{codes:?}");
    let ids: BTreeSet<_> = ALL.iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), ALL.len());
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), ALL.len());
    for rule in ALL {
        let (family, number) = rule.code.split_once('-').unwrap();
        let number_fits = number.len() == 3 && number.bytes().all(|it| it.is_ascii_digit());
        assert!(
            number_fits && family.chars().all(|it| it.is_ascii_uppercase() || it.is_ascii_digit())
        );
        let kebab = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-';
        assert!(rule.id.chars().all(kebab), "{}", rule.id);
        let first = rule.summary.chars().next().unwrap();
        assert!(
            !rule.summary.ends_with('.')
                && (first.is_lowercase() || rule.summary.starts_with("OVS"))
        );
    }
}

#[test]
fn every_file_of_a_rule_is_in_the_list() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/analysis/src/lint/rules");
    let mut files: Vec<PathBuf> = Vec::new();
    for family in fs::read_dir(&folder).unwrap().map(|it| it.unwrap().path()) {
        if family.is_dir() {
            files.extend(fs::read_dir(family).unwrap().map(|it| it.unwrap().path()));
        }
    }
    let stems = |extension: &str| -> BTreeSet<String> {
        files
            .iter()
            .filter(|it| it.extension().is_some_and(|it| it == extension))
            .map(|it| it.file_stem().unwrap().to_string_lossy().replace('_', "-"))
            .collect()
    };
    let listed: BTreeSet<String> = ALL.iter().map(|it| it.id.to_owned()).collect();
    assert_eq!(stems("rs"), listed);
    assert_eq!(stems("md"), listed);
}

/// A code that was given out keeps its meaning for ever: adding a line here is fine, changing or
/// removing one is not.
#[test]
fn codes_are_frozen() {
    let list: Vec<String> = ALL.iter().map(|it| format!("{} {}", it.code, it.id)).collect();
    insta::assert_snapshot!(list.join("\n"), @r"
    CAP-001 capture-failed
    CAP-002 netns-coverage
    L3-001 duplicate-ip
    L3-002 gateway-unreachable
    LBR-001 hybrid-chain-broken
    MTU-001 overlay-mtu-exceeds-underlay
    NIC-001 uplink-link-down
    OVS-001 ovs-iface-error
    OVS-002 ovs-dead-vlan
    OVS-003 ovs-patch-peer-broken
    OVS-004 ovs-port-no-netdev
    OVS-008 ovs-controller-disconnected
    TUN-001 tun-local-ip-missing
    VETH-001 veth-peer-broken
    VM-001 vm-target-missing
    VM-002 vm-target-wrong-bridge
    ");
}
