//! What shapes, strokes and signs mean.
use tapline_analysis::lint::Severity;

use super::ink::Ink;
use super::measure;

/// Width and height of a sample, and the space behind each entry.
const SAMPLE: i64 = 30;
const HIGH: i64 = 16;
const SPACE: i64 = 18;

/// What is shown of an entry.
#[derive(Clone, Copy)]
enum Sample {
    /// A box of these classes.
    Box(&'static str),
    /// A stack of boxes.
    Stack,
    /// A line of these classes.
    Line(&'static str),
    Badge(Severity),
    Down,
    Unknown,
}

const ENTRIES: &[(Sample, &str)] = &[
    (Sample::Box("vm"), "VM"),
    (Sample::Box("netns"), "namespace"),
    (Sample::Box("bridge"), "bridge, switch or bond"),
    (Sample::Box("row nic"), "NIC"),
    (Sample::Box("device"), "other device, port"),
    (Sample::Box("remote"), "not captured host"),
    (Sample::Stack, "several alike"),
    (Sample::Badge(Severity::Error), "error"),
    (Sample::Badge(Severity::Warning), "warning"),
    (Sample::Badge(Severity::Info), "remark"),
    (Sample::Down, "down or without link"),
    (Sample::Unknown, "state not captured"),
    (Sample::Line("wire"), "stated by the captures"),
    (Sample::Line("wire inferred"), "inferred (?)"),
    (Sample::Line("wire conventional"), "by its name alone (??)"),
];

/// What became of things between two captures.
const FATES: &[(Sample, &str)] = &[
    (Sample::Box("device added"), "+ came"),
    (Sample::Box("device removed"), "- is gone"),
    (Sample::Box("device changed"), "~ changed"),
    (Sample::Box("device moved"), "> moved"),
    (Sample::Box("device same"), "as before"),
    (Sample::Line("wire added"), "+ came"),
    (Sample::Line("wire removed"), "- is gone"),
];

/// Draws the legend from a corner on, in lines of a width; its own width, and where it ends.
pub(super) fn draw(
    ink: &mut Ink,
    (left, top): (i64, i64),
    width: i64,
    is_compared: bool,
) -> (i64, i64) {
    let (mut x, mut y, mut widest) = (left, top, 0);
    let fates = if is_compared { FATES } else { &[] };
    for (sample, words) in ENTRIES.iter().chain(fates) {
        let size = SAMPLE + 6 + measure::width(words) + SPACE;
        if x > left && x + size > width.max(640) {
            x = left;
            y += HIGH + 8;
        }
        draw_sample(ink, *sample, (x, y));
        ink.text("faint", (x + SAMPLE + 6, y + 12), words);
        x += size;
        widest = widest.max(x);
    }
    (widest, y + HIGH + 6)
}

fn draw_sample(ink: &mut Ink, sample: Sample, (x, y): (i64, i64)) {
    match sample {
        Sample::Box(classes) => {
            ink.open("", classes, &[]);
            ink.rect("shape", (x, y), (SAMPLE, HIGH), 4);
            ink.close();
        }
        Sample::Stack => {
            for step in [6, 3, 0] {
                ink.rect("shape", (x + step, y + step), (SAMPLE - 8, HIGH - 6), 3);
            }
        }
        Sample::Line(classes) => {
            ink.open("", classes, &[]);
            ink.path("line", &format!("M{x} {}h{SAMPLE}", y + HIGH / 2));
            ink.close();
        }
        Sample::Badge(severity) => ink.badge((x + 9, y + 2), severity, ""),
        Sample::Down => {
            ink.open("", "down", &[]);
            ink.rect("shape", (x, y), (SAMPLE, HIGH), 4);
            ink.close();
            ink.off((x + 11, y + 4));
        }
        Sample::Unknown => {
            ink.open("", "unknown", &[]);
            ink.rect("shape", (x, y), (SAMPLE, HIGH), 4);
            ink.close();
            ink.open_question((x + 10, y + 4));
        }
    }
}
