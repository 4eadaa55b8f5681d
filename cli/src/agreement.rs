//! `show`, `graph --focus` and `lint --paths` answer alike, for every NIC of a running VM and every
//! port of a namespace: which wires it leads to, and where the path is broken first.
#![expect(clippy::disallowed_methods, reason = "a test lists the captures of the corpus")]
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tapline_analysis::lint;
use tapline_analysis::lint::paths::Marks;
use tapline_capture::{Input, Options};
use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_topology::{Topology, Uplink};

use crate::commands::graph;
use crate::find;
use crate::render::places::Places;
use crate::render::{graph_text, paths, show, things};
use crate::terminal::Terminal;

/// The names of the lines of a drawing, without the bridges before them, and whether the line has a
/// cross.
fn drawn(drawing: &str) -> impl Iterator<Item = (&str, bool)> {
    drawing.lines().filter_map(|line| {
        let bare = line.trim_start_matches([' ', '│', '├', '└', '─', '?', '~']);
        let name = bare.split(' ').next()?;
        Some((last(name), line.contains('✗')))
    })
}

/// The NICs that a drawing names.
fn wires<'d>(drawing: &'d str, nics: &BTreeSet<String>) -> BTreeSet<&'d str> {
    drawn(drawing).map(|(name, _)| name).filter(|name| nics.contains(*name)).collect()
}

/// The hops that a drawing crosses: the names, or the code of a finding about what is not there.
fn crossed(drawing: &str) -> BTreeSet<&str> {
    drawn(drawing).filter(|(_, is_crossed)| *is_crossed).map(|(name, _)| name).collect()
}

/// What a name of a topology ends in: `tap1` of `vm1/tap1`.
fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Compares every path of a capture; how many there are, and where the answers differ.
fn compare(capture: &Path) -> (usize, Vec<String>) {
    let input = Input::Path(capture.to_owned());
    let captured = tapline_capture::open(&[input], &Options::default()).unwrap();
    let snapshot = tapline_formats::read(captured);
    let topology = tapline_topology::build(&snapshot);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let marks = Marks::new(&network, &report);
    let rows = serde_json::to_value(paths::rows(&topology, &report)).unwrap();
    let rows = rows.as_array().unwrap();
    let is_nic = |id| topology.uplink(id).is_some_and(Uplink::is_nic);
    let nics = topology.nodes().filter(|(id, _)| is_nic(*id));
    let nics: BTreeSet<String> = nics.map(|(_, node)| node.name.to_string()).collect();
    let mut complaints = Vec::new();
    for row in rows {
        let name = name_of(row);
        let [shown, focused, around] = draw(&topology, &network, &marks, &name);
        let mut complain =
            |what: String| complaints.push(format!("{} {name}: {what}", capture.display()));
        // The drawings show all VLANs of a trunk at once.
        let of_start = rows.iter().filter(|other| name_of(other) == name);
        let named: BTreeSet<&str> = of_start
            .flat_map(|row| row["wires"].as_array().unwrap())
            .map(|wire| wire.as_str().unwrap())
            .collect();
        for (drawing, by) in [(&shown, "show"), (&focused, "graph")] {
            let by_drawing = wires(drawing, &nics);
            if by_drawing != named {
                complain(format!("{by} names {by_drawing:?}, lint --paths {named:?}"));
            }
        }
        let by_show = crossed(&shown);
        for by_graph in [crossed(&focused), crossed(&around)] {
            if by_show != by_graph {
                complain(format!("show crosses {by_show:?}, graph {by_graph:?}"));
            }
        }
        if row["whole"] == false && by_show.is_empty() {
            complain("broken, and show crosses nothing".to_owned());
        }
        if let Some(end) = row["hops"].as_array().unwrap().last()
            && let Some(why) = differs_at_end(row, end, &shown)
        {
            complain(why);
        }
    }
    (rows.len(), complaints)
}

/// What a person would type for the start of a path. Captures of one machine at several times
/// have it more than once: the host stands in front.
fn name_of(row: &Value) -> String {
    let (host, start) = (row["host"].as_str().unwrap(), row["start"].as_str().unwrap());
    match row["netns"].as_str() {
        Some(netns) => format!("{host}:{netns}/{start}"),
        None => format!("{host}:{start}"),
    }
}

/// What `show` and `graph --focus` draw for a name, the latter also with what is near.
fn draw(
    topology: &Topology<'_>,
    network: &Network<'_>,
    marks: &Marks<'_, '_, '_>,
    name: &str,
) -> [String; 3] {
    let mut shown = Vec::new();
    let found = find::find(topology, name);
    let paint = Terminal::plain().stdout();
    for thing in things::gather(topology, &found) {
        show::path(&mut shown, marks, thing.main, &Places::default(), paint).unwrap();
    }
    let focused = |depth| {
        let mut drawing = Vec::new();
        let chosen = graph::choose(network, &found, depth);
        graph_text::render(&mut drawing, marks, &chosen, paint).unwrap();
        drawing
    };
    [shown, focused(0), focused(3)].map(|drawing| String::from_utf8(drawing).unwrap())
}

/// How `show` differs from the last hop of a path.
fn differs_at_end(row: &Value, end: &Value, shown: &str) -> Option<String> {
    let name = last(end["name"].as_str().unwrap());
    let lines: Vec<&str> = shown.lines().filter(|line| line.contains(name)).collect();
    let crossed = lines.iter().filter(|line| line.contains('✗')).count();
    if lines.is_empty() {
        return Some(format!("show does not draw {name}"));
    }
    if end["state"] == "broken" && crossed == 0 {
        return Some(format!("show does not cross {name}"));
    }
    // A path that is whole has a branch without a cross.
    (row["whole"] == true && crossed == lines.len()).then(|| format!("show crosses {name}"))
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    all.sort();
    all
}

fn compare_all(captures: &[PathBuf]) {
    let each: Vec<_> = captures.iter().map(|capture| compare(capture)).collect();
    let paths: usize = each.iter().map(|(paths, _)| paths).sum();
    assert!(paths > 0);
    let complaints: Vec<&String> = each.iter().flat_map(|(_, complaints)| complaints).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
fn captures_of_the_corpus_have_one_answer() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    compare_all(&[captures(&corpus.join("captures")), captures(&corpus.join("lab"))].concat());
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn further_captures_have_one_answer() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    let mut all = [captures(&shared.join("hosts")), captures(&shared.join("lab"))].concat();
    // Each of these holds a capture in each of its folders.
    for collection in ["ovn-faults", "sos"] {
        let folder = shared.join("lab").join(collection);
        all.retain(|capture| *capture != folder);
        all.extend(captures(&folder));
    }
    compare_all(&all);
}
