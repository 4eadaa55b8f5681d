//! Faults that are planted, one at a time, in whole captures and in described hosts: each must be
//! the first root. Beside them what is healthy and only looks unusual: nothing may be said of it.
//!
//! `tables` holds the faults as data: what is edited, and what must be found. `worlds` holds hosts
//! that are described in a few lines (`world` makes texts of them).
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may panic, and says what it found"
)]
mod base;
mod edit;
mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use serde::Deserialize;
use tapline_analysis::lint::Severity;

use base::{Base, Root, roots};
use edit::Edit;

/// Cases of one base.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// `world/NAME`, or a capture of the corpus.
    base: String,
    /// Roots that the base has already, as `CODE object`.
    #[serde(default)]
    known: Vec<String>,
    #[serde(default)]
    faults: Vec<Fault>,
    #[serde(default)]
    healthy: Vec<Variation>,
    #[serde(default)]
    paths: Vec<Crossed>,
}

/// Something that stops frames, whether a finding says so or not.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Crossed {
    /// What stops them, in words.
    #[serde(rename = "stops")]
    name: String,
    edits: Vec<Edit>,
    /// The hop at which each path that is crossed ends, by its start.
    #[serde(rename = "crossed")]
    ends: BTreeMap<String, String>,
}

/// A planted fault.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    /// What is wrong, in words.
    #[serde(rename = "fault")]
    name: String,
    edits: Vec<Edit>,
    /// The first root, as `CODE object`.
    first: String,
    /// Further roots, with the reason why they are right in a comment.
    #[serde(default)]
    also: Vec<String>,
}

/// Something unusual that is no fault.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variation {
    healthy: String,
    edits: Vec<Edit>,
}

/// What came of the tables.
#[derive(Default)]
struct Tally {
    planted: usize,
    found: usize,
    first: usize,
    healthy: usize,
    alarms: usize,
    /// By family of rules: planted, first.
    kinds: BTreeMap<String, (usize, usize)>,
    complaints: Vec<String>,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("planted").join(name)
}

#[expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
fn tables() -> Vec<Table> {
    let mut all = Vec::new();
    for path in tapline_tests::below(&folder("tables")).unwrap() {
        let text = std::fs::read_to_string(&path).unwrap();
        let tables: Vec<Table> = serde_yaml::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        all.extend(tables);
    }
    all
}

/// Works through `all` on two threads, the largest first.
fn in_parallel<T: Send>(all: Vec<T>, work: impl Fn(T) + Sync) {
    let queue = Mutex::new(all);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(next) = queue.lock().unwrap().pop() else { break };
                    work(next);
                }
            });
        }
    });
}

/// Roots that somebody would be alarmed by.
fn loud<'r>(roots: &'r [Root], known: &[String]) -> Vec<&'r Root> {
    let is_loud = |root: &&Root| {
        root.severity > Severity::Info
            && !root.what.starts_with("CAP-001")
            && !known.contains(&root.what)
    };
    roots.iter().filter(is_loud).collect()
}

fn shown(roots: &[&Root]) -> String {
    let lines: Vec<String> = roots.iter().map(|root| format!("      {}", root.line)).collect();
    if lines.is_empty() { "      nothing".to_owned() } else { lines.join("\n") }
}

fn judge_fault(table: &Table, fault: &Fault, base: &mut Base, tally: &Mutex<Tally>) {
    let answer = base.with(&fault.edits, roots);
    let mut tally = tally.lock().unwrap();
    tally.planted += 1;
    let kind = fault.first.split('-').next().unwrap_or_default().to_owned();
    tally.kinds.entry(kind.clone()).or_default().0 += 1;
    let place = format!("{}: {}", table.base, fault.name);
    let all = match answer {
        Ok(all) => all,
        Err(mistake) => {
            tally.complaints.push(format!("{place}: {mistake}"));
            return;
        }
    };
    let new: Vec<&Root> = all
        .iter()
        .filter(|root| !root.what.starts_with("CAP-001") && !table.known.contains(&root.what))
        .collect();
    let is_first = new.first().is_some_and(|root| root.what == fault.first);
    let is_found = new.iter().any(|root| root.what == fault.first);
    tally.first += usize::from(is_first);
    tally.found += usize::from(is_found);
    if is_first {
        tally.kinds.entry(kind).or_default().1 += 1;
    } else {
        let how = if is_found { "is not the first" } else { "is no root" };
        tally.complaints.push(format!("{place}: {} {how}:\n{}", fault.first, shown(&new)));
    }
    let extra: Vec<&Root> = loud(&all, &table.known)
        .into_iter()
        .filter(|root| root.what != fault.first && !fault.also.contains(&root.what))
        .collect();
    if is_first && !extra.is_empty() {
        tally.complaints.push(format!("{place}: besides:\n{}", shown(&extra)));
    }
}

fn judge_variation(
    table: &Table,
    (name, edits): (&str, &[Edit]),
    base: &mut Base,
    tally: &Mutex<Tally>,
) {
    let answer = base.with(edits, roots);
    let mut tally = tally.lock().unwrap();
    tally.healthy += 1;
    match answer {
        Err(mistake) => tally.complaints.push(format!("{}: {name}: {mistake}", table.base)),
        Ok(all) => {
            let loud = loud(&all, &table.known);
            if !loud.is_empty() {
                tally.alarms += 1;
                let alarm = format!("{}: {name}: alarm:\n{}", table.base, shown(&loud));
                tally.complaints.push(alarm);
            }
        }
    }
}

#[test]
fn planted_faults_are_the_first_root_and_healthy_hosts_are_silent() {
    let tally = Mutex::new(Tally::default());
    in_parallel(tables(), |table| {
        let mut base = Base::open(&table.base);
        judge_variation(&table, ("as it is", &[]), &mut base, &tally);
        for variation in &table.healthy {
            judge_variation(&table, (&variation.healthy, &variation.edits), &mut base, &tally);
        }
        for fault in &table.faults {
            judge_fault(&table, fault, &mut base, &tally);
        }
    });
    let tally = tally.into_inner().unwrap();
    for (kind, (planted, first)) in &tally.kinds {
        println!("{kind}: {first} of {planted}");
    }
    println!(
        "planted {}, found as a root {}, as the first {}; healthy {}, alarms {}",
        tally.planted, tally.found, tally.first, tally.healthy, tally.alarms
    );
    assert!(tally.complaints.is_empty(), "{}", tally.complaints.join("\n"));
    assert!(tally.planted >= 150 && tally.healthy >= 60, "some are gone");
}

/// Paths end where their frames do, and only those.
#[test]
fn paths_end_where_frames_do() {
    let complaints = Mutex::new(Vec::new());
    in_parallel(tables(), |table| {
        if table.paths.is_empty() {
            return;
        }
        let mut base = Base::open(&table.base);
        let known = base.with(&[], base::crossed).unwrap();
        assert!(known.is_empty(), "{}: {known:?}", table.base);
        for case in &table.paths {
            let crossed = base.with(&case.edits, base::crossed);
            if crossed.as_ref() != Ok(&case.ends) {
                let complaint = format!("{}: {}: {crossed:#?}", table.base, case.name);
                complaints.lock().unwrap().push(complaint);
            }
        }
    });
    let complaints = complaints.into_inner().unwrap();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Findings about a network or a host as a whole, which no one place on the way is: flows that lead
/// nowhere, tunnel keys and addresses of two hosts, a chassis without its tunnel; and the port whose
/// device is gone, of which the other end of its cable is left.
const OF_NO_PLACE: &[&str] = &["OVS-016", "XHOST-001", "TUN-003", "OVN-004", "OVS-001"];

/// A trace that a fault cuts ends at what the finding is about.
#[test]
fn traces_are_cut_where_the_finding_is() {
    let complaints = Mutex::new(Vec::new());
    in_parallel(tables(), |table| {
        let mut base = Base::open(&table.base);
        let before = base.with(&[], base::reach).unwrap();
        if before.values().all(|cell| cell.0 != Some(true)) {
            return;
        }
        for fault in &table.faults {
            if OF_NO_PLACE.iter().any(|code| fault.first.starts_with(code)) {
                continue;
            }
            let Ok(after) = base.with(&fault.edits, base::reach) else { continue };
            let roots = base.with(&fault.edits, base::objects_of_roots).unwrap();
            let mut told = BTreeMap::new();
            for (who, (reached, reason, names)) in &after {
                let worked = before.get(who).is_some_and(|cell| cell.0 == Some(true));
                let is_cut = worked && *reached == Some(false);
                if is_cut && !names.iter().any(|name| roots.contains(name)) {
                    let entry = told.entry((reason, names)).or_insert((who, 0));
                    entry.1 += 1;
                }
            }
            for ((reason, names), (who, count)) in told {
                let complaint = format!(
                    "{}: {}: {}: {who} ({count}) {reason} at {names:?}",
                    table.base, fault.name, fault.first
                );
                complaints.lock().unwrap().push(complaint);
            }
        }
    });
    let complaints = complaints.into_inner().unwrap();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Less evidence never makes a fault: each command of each described host is taken away in turn,
/// healthy and with each fault.
#[test]
fn what_was_not_captured_is_no_fault() {
    let complaints = Mutex::new(Vec::new());
    in_parallel(tables(), |table| {
        let Some(name) = table.base.strip_prefix("world/") else { return };
        let healthy = base::described(name);
        let mut texts = vec![("as it is", healthy.clone())];
        for fault in &table.faults {
            let mut text = healthy.clone();
            let edits = fault.edits.iter().all(|edit| edit.apply_to_description(&mut text).is_ok());
            texts.extend(edits.then_some((fault.name.as_str(), text)));
        }
        for (fault, text) in texts {
            let more = base::invented(&text);
            let more = more.into_iter().map(|more| format!("{}: {fault}: {more}", table.base));
            complaints.lock().unwrap().extend(more);
        }
    });
    let complaints = complaints.into_inner().unwrap();
    assert!(complaints.is_empty(), "{} of them:\n{}", complaints.len(), complaints.join("\n"));
}

/// Every host that is described stands in a table, as it is and with a fault.
#[test]
fn every_world_has_a_fault() {
    let tables = tables();
    let worlds = tapline_tests::below(&folder("worlds")).unwrap();
    assert!(worlds.len() >= 30, "some are gone");
    for world in &worlds {
        let name = format!("world/{}", world.file_stem().unwrap().to_string_lossy());
        let has_fault = |table: &Table| table.base == name && !table.faults.is_empty();
        assert!(tables.iter().any(has_fault), "{name} has no fault");
    }
}

/// What findings propose to run: each line parses in a shell, and what is to be run in a namespace
/// says so.
#[test]
fn what_to_run_next_can_be_pasted() {
    let lines = Mutex::new(BTreeMap::new());
    in_parallel(tables(), |table| {
        let mut base = Base::open(&table.base);
        for fault in &table.faults {
            let found = base.with(&fault.edits, base::next).unwrap_or_default();
            lines.lock().unwrap().extend(found);
        }
    });
    let lines = lines.into_inner().unwrap();
    let mut complaints: Vec<String> = Vec::new();
    for (line, (code, netns)) in &lines {
        let enters = line.contains(netns.as_str());
        let of_namespace = ["ip ", "iptables", "sysctl ", "ss ", "arping ", "ndisc6 ", "ping "];
        if !netns.is_empty() && !enters && of_namespace.iter().any(|it| line.starts_with(it)) {
            complaints
                .push(format!("{code}: `{line}` is to be run in {netns}, and does not say so"));
        }
    }
    // One shell for all: it says which line it cannot read.
    let script: String = lines.keys().flat_map(|line| [line.as_str(), "\n"]).collect();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("next.sh");
    base::write(&path, &script);
    let shell = std::process::Command::new("sh").arg("-n").arg(&path).output().unwrap();
    if !shell.status.success() {
        complaints.push(String::from_utf8_lossy(&shell.stderr).into_owned());
    }
    println!("{} lines", lines.len());
    assert!(lines.len() > 100 && complaints.is_empty(), "{}", complaints.join("\n"));
}
