//! What `diff` says of small edits: each row of the table is a host of one session, edited in a few
//! places, with every change that is to be told and nothing else.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tapline_analysis::diff::{self, By, Change, Class, Diff, Op, Rate, Side, Sort};
use tapline_analysis::lint::{self, Settings};
use tapline_capture::{Input, Options};
use tapline_core::capture::Snapshot;
use tapline_core::host::Moment;
use tapline_network::Network;
use tapline_tests::Hosts;

const HOST: &str = include_str!("diff/host.txt");
const ROWS: &str = include_str!("diff/rows.txt");
const CLOCK: &str = include_str!("diff/clock.txt");
const TIMES: &str = include_str!("diff/times.txt");

fn read(inputs: &[Input]) -> Snapshot {
    tapline_formats::read(tapline_capture::open(inputs, &Options::default()).unwrap())
}

fn text(of: &str) -> Snapshot {
    read(&[Input::Text("session.txt".to_owned(), of.to_owned())])
}

/// Compares two snapshots and hands the result to `look`.
fn compare<T>(old: &Snapshot, new: &Snapshot, look: impl FnOnce(&Diff) -> T) -> T {
    let settings = Settings::default();
    let (was, is) = (tapline_topology::build(old), tapline_topology::build(new));
    let before = lint::run(&was, lint::rules::ALL, &settings);
    let after = lint::run(&is, lint::rules::ALL, &settings);
    let old = Network::new(&was, None, &settings.env);
    let new = Network::new(&is, None, &settings.env);
    look(&diff::compare(&Side::new(&old, &before), &Side::new(&new, &after), By::Identity))
}

/// `~ breaking netdev eth0: state UP → DOWN`
fn line(change: &Change) -> String {
    let netns = change.netns.as_ref().filter(|netns| !netns.is_root());
    let place = netns.map(|netns| format!(" ({netns})")).unwrap_or_default();
    let mut values: Vec<String> = Vec::new();
    if matches!(change.op, Op::Changed | Op::Moved) {
        for it in change.differences.iter().filter(|it| it.class >= Class::Dynamic) {
            let told = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
            values.push(if it.name == "rule" {
                told(&it.before)
            } else {
                format!("{} {} → {}", it.name, told(&it.before), told(&it.after))
            });
        }
    } else {
        let rule = change.difference("rule");
        values.extend(rule.and_then(|it| it.before.clone().or_else(|| it.after.clone())));
    }
    let values = if values.is_empty() { String::new() } else { format!(": {}", values.join("; ")) };
    let kind = change.kind().as_str();
    format!("{} {} {kind} {}{place}{values}", change.op.sign(), change.class.as_str(), change.name)
}

/// All that is told of a comparison.
fn told(diff: &Diff) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for host in &diff.hosts {
        let changes = host.changes.iter().filter(|change| change.class >= Class::Dynamic);
        all.extend(changes.map(line));
        all.extend(
            host.renumbered
                .iter()
                .map(|it| format!("= {} {} {}", it.kind.as_str(), it.what, it.of.len())),
        );
        for gap in host.gaps.iter().filter(|gap| gap.value.is_none()) {
            let side = if gap.new_lacks { "now" } else { "before" };
            all.insert(format!("? {} {} not captured {side}", gap.things, gap.kind.as_str()));
        }
    }
    if !diff.is_comparable() {
        all.insert("not comparable".to_owned());
    }
    all
}

/// A row of the table: what it is about, the edits, and what is told.
#[derive(Debug, Default)]
struct Row<'t> {
    name: &'t str,
    /// From, to, and whether every place is meant.
    edits: Vec<(String, String, bool)>,
    told: BTreeSet<String>,
}

/// Reads the table: `# name`, then `s FROM => TO` (one place), `S FROM => TO` (every place), `cut FROM ..
/// TO` (all lines between), and the lines that are told. `\n` is a line end.
fn rows(host: &str, table: &'static str) -> Vec<Row<'static>> {
    let mut rows: Vec<Row<'static>> = Vec::new();
    for line in table.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(name) = line.strip_prefix("# ") {
            rows.push(Row { name, ..Row::default() });
            continue;
        }
        let Some(row) = rows.last_mut() else { continue };
        let edit = line.strip_prefix("s ").map(|edit| (edit, false));
        let edit = edit.or_else(|| line.strip_prefix("S ").map(|edit| (edit, true)));
        if let Some((edit, every)) = edit {
            let (from, to) = edit.split_once(" =>").unwrap();
            let text = |part: &str| part.strip_prefix(' ').unwrap_or(part).replace("\\n", "\n");
            row.edits.push((text(from), text(to), every));
        } else if let Some(cut) = line.strip_prefix("cut ") {
            let (from, to) = cut.split_once(" .. ").unwrap();
            let (_, rest) = host.split_once(from).unwrap();
            let (between, _) = rest.split_once(to).unwrap();
            row.edits.push((format!("{from}{between}"), String::new(), false));
        } else {
            row.told.insert(line.to_owned());
        }
    }
    rows
}

fn edited(host: &str, row: &Row<'_>) -> String {
    let mut text = host.to_owned();
    for (from, to, every) in &row.edits {
        assert!(text.contains(from.as_str()), "{}: {from:?} is not in the host", row.name);
        text = if *every { text.replace(from, to) } else { text.replacen(from, to, 1) };
    }
    text
}

/// Compares a host with each of its edits, and says where what is told is not what is expected.
fn check(host: &str, table: &'static str, told: impl Fn(&Diff) -> BTreeSet<String>) {
    let before = text(host);
    let mut wrong = Vec::new();
    for row in rows(host, table) {
        let other = text(&edited(host, &row));
        let told = compare(&before, &other, &told);
        if told != row.told {
            let list = |all: &BTreeSet<String>| {
                let lines: Vec<String> = all.iter().map(|line| format!("    {line}")).collect();
                lines.join("\n")
            };
            wrong.push(format!(
                "# {}\n  told:\n{}\n  expected:\n{}\n",
                row.name,
                list(&told),
                list(&row.told)
            ));
        }
    }
    assert!(wrong.is_empty(), "{} rows differ\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn each_edit_is_told_and_nothing_else() {
    check(HOST, ROWS, told);
}

/// `+ rx_dropped of eth0 +12 in 3600 s`, `@ 2026-11-26 10:45:00 flows-set br0 1`
fn times(diff: &Diff) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for rate in diff.hosts.iter().flat_map(|host| &host.rates) {
        let Rate { counter, name, by, seconds, .. } = rate;
        all.insert(format!("+ {counter} of {name} +{by} in {seconds} s"));
    }
    for event in &diff.events {
        let at = event.when.at.map(|[from, _]| Moment::at(from).to_the_second());
        let ago = || event.when.ago.map(|[most, _]| format!("{most} s ago"));
        let at = at.or_else(ago).unwrap_or_default();
        all.insert(match (event.sort, event.side) {
            (Sort::Captured, 0) => format!("@ {at} captured before"),
            (Sort::Captured, _) => format!("@ {at} captured now"),
            (sort, _) => {
                let words = format!("@ {at} {} {} {}", sort.as_str(), event.subject, event.many);
                if sort == Sort::Boot { format!("@ {at} boot") } else { words }
            }
        });
    }
    all
}

/// Ages become times, and counters rates, where both captures say when they were taken.
#[test]
fn changes_are_dated_and_counters_are_rates() {
    check(CLOCK, TIMES, times);
}

/// The other way round what came goes, and nothing is told that was not told before.
#[test]
fn the_other_way_round_as_much_is_told() {
    let host = text(HOST);
    for row in rows(HOST, ROWS) {
        let other = text(&edited(HOST, &row));
        let count = |diff: &Diff| {
            let changes = diff.hosts.iter().flat_map(|host| &host.changes);
            changes.filter(|change| change.class >= Class::Dynamic).count()
        };
        let there = compare(&host, &other, count);
        let back = compare(&other, &host, count);
        assert_eq!(there, back, "{}", row.name);
    }
}

fn folders() -> (Hosts, Vec<PathBuf>) {
    let hosts = Hosts::unpack().unwrap();
    let folders = hosts.folders().unwrap();
    (hosts, folders)
}

fn inputs(folder: &Path) -> [Input; 1] {
    [Input::Path(folder.to_owned())]
}

#[test]
fn a_capture_does_not_differ_from_itself() {
    let (_hosts, folders) = folders();
    for folder in folders {
        let snapshot = read(&inputs(&folder));
        let told = compare(&snapshot, &snapshot, |diff| {
            let noise = diff.hosts.iter().map(|host| host.changes.len()).sum::<usize>();
            (told(diff), noise, diff.verdicts.len())
        });
        assert_eq!(told, (BTreeSet::new(), 0, 0), "{}", folder.display());
    }
}

/// Reports of two versions of sos, of one host at one moment.
#[test]
fn versions_of_sos_make_no_difference() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/lab");
    let of = |name: &str| read(&inputs(&corpus.join(name).join("node2.tar.xz")));
    let (old, new) = (of("seed-sos-3.9.1"), of("seed-sos-4.12"));
    for (a, b) in [(&old, &new), (&new, &old)] {
        let changes = compare(a, b, |diff| {
            let told = told(diff);
            told.into_iter().filter(|line| !line.starts_with('?')).collect::<Vec<_>>()
        });
        assert_eq!(changes, Vec::<String>::new());
    }
}
