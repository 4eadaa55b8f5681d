//! Whole captures: opening, reading, linking and linting.
//!
//! `cargo bench -p tapline-tests`. The captures are those of the corpus; where the largest
//! one is at hand beside the repository, it too.
#![expect(clippy::expect_used, reason = "a benchmark may panic")]
use std::path::{Path, PathBuf};

use divan::Bencher;
use tapline_analysis::lint;
use tapline_capture::{Input, Options};
use tapline_core::capture::{Captured, Snapshot};

/// What is measured: name, and where it is from the root of the repository.
const CAPTURES: &[(&str, &str)] = &[
    ("sosreport", "corpus/sosreports/node2.tar.xz"),
    ("500 VMs", "corpus/lab/scale-500/node2.tar.xz"),
    ("78,000 members", "../shared/captures/perf/sosreport-openstack-full.tar.xz"),
];

fn main() {
    divan::main();
}

fn names() -> Vec<&'static str> {
    CAPTURES.iter().filter(|(_, at)| path(at).exists()).map(|(name, _)| *name).collect()
}

fn path(at: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(at)
}

fn open(name: &str) -> Captured {
    let (_, at) = CAPTURES.iter().find(|(it, _)| *it == name).expect("a capture of the list");
    tapline_capture::open(&[Input::Path(path(at))], &Options::default()).expect("it can be opened")
}

fn read(name: &str) -> Snapshot {
    tapline_formats::read(open(name))
}

#[divan::bench(args = names(), sample_count = 10)]
fn opening(bencher: Bencher<'_, '_>, name: &str) {
    bencher.bench(|| open(name));
}

#[divan::bench(args = names(), sample_count = 10)]
fn reading(bencher: Bencher<'_, '_>, name: &str) {
    bencher.with_inputs(|| open(name)).bench_values(tapline_formats::read);
}

#[divan::bench(args = names(), sample_count = 10)]
fn linking(bencher: Bencher<'_, '_>, name: &str) {
    let read = read(name);
    bencher.bench(|| {
        divan::black_box(tapline_topology::build(&read));
    });
}

#[divan::bench(args = names(), sample_count = 10)]
fn linting(bencher: Bencher<'_, '_>, name: &str) {
    let read = read(name);
    let topology = tapline_topology::build(&read);
    bencher.bench(|| lint::run(&topology, lint::rules::ALL, &lint::Settings::default()));
}
