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
use tapline_analysis::lint::settings::Glob;
use tapline_analysis::lint::{self, Report, Rule, Setting, Settings, Severity};
use tapline_capture::{Input, Options};
use tapline_core::capture::Snapshot;
use tapline_core::need;

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
    captured.map(tapline_formats::read).map_err(|read| read.to_string())
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
    let report = lint::run(&topology, [rule], &Settings::default());
    let severity = report.findings.iter().map(|finding| finding.severity).max();
    let wanted = match block.tags.get(2).copied() {
        Some("error") => Some(Severity::Error),
        Some("warning") => Some(Severity::Warning),
        Some("info") => Some(Severity::Info),
        _ => None,
    };
    let kept = match block.tags.get(1).copied() {
        Some("fires") => {
            let cited = report
                .findings
                .iter()
                .all(|finding| !finding.evidence.is_empty() && !finding.next.is_empty());
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
            writeln!(text, "  {} {}: {} {:?}", it.severity, it.subject.name, it.message, it.notes);
    }
    for it in &report.cannot_tell {
        let _ = writeln!(text, "  cannot tell without {}", need::list(&it.missing));
    }
    if text.is_empty() { "  nothing to say\n".to_owned() } else { text }
}

#[test]
fn transcripts_of_the_pages_are_true() {
    let only = std::env::args().skip(1).find(|arg| arg.contains("-0"));
    let mut complaints = String::new();
    for rule in ALL.iter().copied() {
        if only.as_deref().is_some_and(|only| only != rule.code) {
            continue;
        }
        let blocks: Vec<_> = blocks(&rule.page)
            .into_iter()
            .filter(|block| block.tags.first() == Some(&"console"))
            .collect();
        for tag in ["fires", "quiet", "unknown"] {
            let has = blocks.iter().any(|block| block.tags.get(1) == Some(&tag));
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
        let found: Vec<_> = rule.page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(found, HEADINGS, "{}", rule.code);
    }
}

#[test]
fn list_is_sorted_and_codes_and_ids_are_unique() {
    let codes: Vec<_> = ALL.iter().map(|rule| &*rule.code).collect();
    assert!(codes.is_sorted(), "{codes:?}");
    let ids: BTreeSet<_> = ALL.iter().map(|rule| &*rule.id).collect();
    assert_eq!(ids.len(), ALL.len());
    assert_eq!(codes.iter().collect::<BTreeSet<_>>().len(), ALL.len());
    for rule in ALL {
        let (family, number) = rule.code.split_once('-').unwrap();
        let number_fits = number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit());
        assert!(
            number_fits && family.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
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
    for family in fs::read_dir(&folder).unwrap().map(|item| item.unwrap().path()) {
        if family.is_dir() {
            files.extend(fs::read_dir(family).unwrap().map(|item| item.unwrap().path()));
        }
    }
    let stems = |extension: &str| -> BTreeSet<String> {
        files
            .iter()
            .filter(|it| it.extension().is_some_and(|it| it == extension))
            .map(|file| file.file_stem().unwrap().to_string_lossy().replace('_', "-"))
            .collect()
    };
    let listed: BTreeSet<String> = ALL.iter().map(|it| it.id.to_string()).collect();
    assert_eq!(stems("rs"), listed);
    assert_eq!(stems("md"), listed);
}

/// A code that was given out keeps its meaning for ever: adding a line here is fine, changing or
/// removing one is not.
#[test]
fn codes_are_frozen() {
    let list: Vec<String> = ALL.iter().map(|it| format!("{} {}", it.code, it.id)).collect();
    insta::assert_snapshot!("codes", list.join("\n"));
}

/// Tunnels from one address, with as many lines and devices before them as asked for.
fn tunnels(before: usize) -> String {
    let mut text = String::from("[root@cmp1 ~]# ip netns\n[root@cmp1 ~]# ip address\n");
    text.push_str(
        "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN qlen 1000\n",
    );
    text.push_str("    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n");
    for at in 2..before + 2 {
        let _ = writeln!(
            text,
            "{at}: d{at}: <BROADCAST,NOARP> mtu 1500 qdisc noop state DOWN qlen 1000"
        );
        let _ = writeln!(text, "    link/ether 5e:00:00:00:00:{at:02x} brd ff:ff:ff:ff:ff:ff");
    }
    text.push_str("[root@cmp1 ~]# ovs-vsctl show\n0b4f7f5e-1f0c-4d0e-8d0c-3c1a5a7c9b10\n");
    text.push_str("    Bridge br-tun\n");
    for remote in 1..4 {
        let _ = write!(
            text,
            "        Port vxlan-0a00000{remote}\n            Interface vxlan-0a00000{remote}\n                \
             type: vxlan\n                options: {{local_ip=\"10.0.9.9\", remote_ip=\"10.0.0.{remote}\"}}\n"
        );
    }
    text.push_str("    ovs_version: \"2.17.9\"\n");
    text
}

fn lint_text(text: &str) -> Report {
    let snapshot = read(text).unwrap();
    let topology = tapline_topology::build(&snapshot);
    lint::run(&topology, ALL, &Settings::default())
}

#[test]
fn one_fault_of_several_objects_is_one_finding() {
    let report = lint_text(&tunnels(0));
    let found: Vec<_> =
        report.findings.iter().filter(|finding| finding.rule.code == "TUN-001").collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].subject.name, "br-tun/vxlan-0a000001");
    assert_eq!(
        found[0].also.iter().map(|also| &*also.name).collect::<Vec<_>>(),
        ["br-tun/vxlan-0a000002", "br-tun/vxlan-0a000003"]
    );
}

#[test]
fn fingerprints_outlive_other_lines_and_indexes() {
    let prints = |text: &str| -> Vec<String> {
        lint_text(text).findings.into_iter().map(|finding| finding.fingerprint).collect()
    };
    let first = prints(&tunnels(0));
    assert!(!first.is_empty());
    assert_eq!(first, prints(&tunnels(9)));
    assert_ne!(first, prints(&tunnels(0).replace("cmp1", "cmp2")));
}

#[test]
fn findings_come_in_order_of_severity_and_code() {
    let report = lint_text(&tunnels(0).replace(
        "    Bridge br-tun\n",
        "    Bridge br-tun\n        \
        Port p1\n            tag: 4095\n            Interface p1\n                type: patch\n",
    ));
    let order: Vec<_> = report
        .findings
        .iter()
        .map(|finding| (std::cmp::Reverse(finding.severity), &finding.rule.code))
        .collect();
    assert!(order.len() >= 2 && order.is_sorted(), "{order:?}");
}

/// What a page's transcript gives under other settings than the default.
fn under(code: &str, tag: &str, settings: &Settings) -> Report {
    let rule = lint::rules::find(code).unwrap();
    let all = blocks(&rule.page);
    let block = all.iter().find(|it| it.tags.join(",") == tag).unwrap();
    let snapshot = read(&block.text).unwrap();
    let topology = tapline_topology::build(&snapshot);
    lint::run(&topology, [rule], settings)
}

#[test]
fn facts_that_a_person_states_count() {
    let mut settings = Settings::default();
    assert_eq!(under("NS-007", "console,fires,warning", &settings).findings.len(), 1);
    settings.env.config_drive_only = Some(true);
    assert!(under("NS-007", "console,fires,warning", &settings).findings.is_empty());

    let severity = |tag, settings: &Settings| under("TUN-002", tag, settings).findings[0].severity;
    assert_eq!(severity("console,fires,error", &settings), Severity::Error);
    assert_eq!(severity("console,fires,warning", &settings), Severity::Warning);
    settings.env.l2pop = Some(true);
    assert_eq!(severity("console,fires,error", &settings), Severity::Warning);
    settings.env.l2pop = Some(false);
    assert_eq!(severity("console,fires,warning", &settings), Severity::Error);

    settings.thresholds.link_flaps = 100;
    assert!(under("TUN-009", "console,fires,warning", &settings).findings.is_empty());
}

#[test]
fn hosts_of_the_mesh_are_those_that_are_named() {
    let mut settings = Settings::default();
    // Of two hosts one is no part of the mesh: of one alone nothing is said.
    settings.env.hosts_in_mesh = vec![Glob::new("cmp1").unwrap()];
    assert!(under("XHOST-002", "console,fires,info", &settings).findings.is_empty());
    settings.env.hosts_in_mesh = vec![Glob::new("cmp*").unwrap()];
    assert_eq!(under("XHOST-002", "console,fires,info", &settings).findings.len(), 1);

    // A third one that no tunnel leads to or from.
    let rule = lint::rules::find("XHOST-002").unwrap();
    let all = blocks(&rule.page);
    let mut text = all.iter().find(|it| it.tags.contains(&"fires")).unwrap().text.clone();
    text.push_str(
        "[root@cmp3 ~]# ip address\n1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n    \
         link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n[root@cmp3 ~]# ovs-vsctl show\n\
         0b4f7f5e-1f0c-4d0e-8d0c-3c1a5a7c9b13\n    Bridge br-tun\n        Port br-tun\n            \
         Interface br-tun\n                type: internal\n    ovs_version: \"2.17.9\"\n",
    );
    let lonely = |settings: &Settings| {
        let snapshot = read(&text).unwrap();
        let topology = tapline_topology::build(&snapshot);
        let report = lint::run(&topology, [rule], settings);
        report.findings.iter().filter(|finding| finding.subject.name == "cmp3").count()
    };
    assert_eq!(lonely(&settings), 1);
    settings.env.l2pop = Some(true);
    assert_eq!(lonely(&settings), 0);
    assert_eq!(lonely(&Settings::default()), 0);
}

/// Addresses that `sos clean` replaced mean nothing beside those of another report, and networks
/// nothing beside addresses.
#[test]
fn replaced_addresses_are_not_compared() {
    for (code, line) in [
        ("TUN-002", "console,fires,error"),
        ("TUN-003", "console,fires,error"),
        ("TUN-005", "console,fires,error"),
        ("TUN-006", "console,fires,error"),
        ("NS-006", "console,fires,error"),
        ("NS-007", "console,fires,warning"),
        ("XHOST-002", "console,fires,info"),
    ] {
        let rule = lint::rules::find(code).unwrap();
        let all = blocks(&rule.page);
        let block = all.iter().find(|it| it.tags.join(",") == line).unwrap();
        let mut snapshot = read(&block.text).unwrap();
        for host in &mut snapshot.captured.hosts {
            host.cleaned = true;
        }
        let topology = tapline_topology::build(&snapshot);
        let report = lint::run(&topology, [rule], &Settings::default());
        assert!(report.findings.is_empty(), "{code}: {}", describe(&report));
        assert!(!report.cannot_tell.is_empty(), "{code}");
    }
}

/// Each fact and threshold is asked for by the rules that are said to, and by no others.
#[test]
fn settings_name_the_rules_that_ask_for_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/analysis/src/lint/rules");
    let source = |rule: &Rule| {
        let family = rule.code.split('-').next().unwrap_or_default().to_lowercase();
        let path = folder.join(family).join(rule.id.replace('-', "_"));
        let mut text = fs::read_to_string(path.with_extension("rs")).unwrap();
        // Longer rules have a folder of their own.
        for part in fs::read_dir(&path).into_iter().flatten() {
            let part = part.unwrap().path();
            if part.extension().is_some_and(|extension| extension == "rs") {
                text.push_str(&fs::read_to_string(part).unwrap());
            }
        }
        text
    };
    for setting in Setting::ALL {
        let key = setting.key();
        let field = key.rsplit('.').next().unwrap();
        // A shared definition asks for it.
        let asks = |text: &str| {
            text.contains(&format!(".{field}"))
                || field == "expected_bridges" && text.contains("defs::is_expected")
        };
        for rule in ALL.iter().copied() {
            // What stands for several of its findings asks for it elsewhere.
            let elsewhere = (key, &*rule.code) == ("env.l2pop", "XHOST-002");
            let is = asks(&source(rule)) || elsewhere;
            assert_eq!(is, rule.traits.asks.contains(setting), "{key} {}", rule.code);
        }
    }
}
