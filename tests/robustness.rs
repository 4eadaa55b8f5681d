//! No text brings a reader down: every format reads every corpus text, cut, spliced and garbled.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may panic"
)]
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;
use tapline_core::capture::Command;
use tapline_formats::registry::FORMATS;

/// Texts of the corpus of at most 8 KiB: enough of each kind, and quick to mutate.
static TEXTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let mut all = Vec::new();
    collect(&PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus")), &mut all);
    all.sort();
    assert!(all.len() > 100, "the corpus is not where it should be");
    all
});

#[expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
fn collect(folder: &Path, all: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, all);
        } else if path.metadata().unwrap().len() <= 8 * 1024 {
            all.extend(String::from_utf8(std::fs::read(&path).unwrap()));
        }
    }
}

/// Reads `text` by every format and checks what every reader promises.
fn check(text: &str) {
    for format in FORMATS {
        let command = Command::new(format.command);
        let out = (format.read)(text, &command);
        let lines = out.lines;
        let context = format!("{} over {text:?}", format.id);
        assert_eq!(lines.total, lines.read + lines.ignored + lines.unread, "{context}");
        let printed = text.lines().filter(|line| !line.trim_end().is_empty()).count();
        assert_eq!(lines.total as usize, printed, "lines of {context}");
        for problem in &out.problems {
            assert!(text.get(problem.span.range()).is_some(), "{problem:?} outside {context}");
        }
        (format.sniff)(text);
    }
}

/// One way to damage a text.
#[derive(Clone, Debug)]
enum Damage {
    Cut(prop::sample::Index),
    Drop(prop::sample::Index, u8),
    Insert(prop::sample::Index, String),
    Repeat(prop::sample::Index),
    Crlf,
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    prop_oneof![
        index().prop_map(Damage::Cut),
        (index(), any::<u8>()).prop_map(|(at, n)| Damage::Drop(at, n)),
        (index(), "\\PC{0,6}|[\\n\\t \"@:<>,{}\\[\\]\\\\]{1,4}")
            .prop_map(|(at, text)| Damage::Insert(at, text)),
        index().prop_map(Damage::Repeat),
        Just(Damage::Crlf),
    ]
}

fn apply(text: &str, damage: &Damage) -> String {
    let boundary = |at: &prop::sample::Index| text.floor_char_boundary(at.index(text.len() + 1));
    match damage {
        Damage::Cut(at) => text[..boundary(at)].to_owned(),
        Damage::Drop(at, n) => {
            let from = boundary(at);
            let to = text.floor_char_boundary((from + usize::from(*n)).min(text.len())).max(from);
            format!("{}{}", &text[..from], &text[to..])
        }
        Damage::Insert(at, what) => {
            let at = boundary(at);
            format!("{}{what}{}", &text[..at], &text[at..])
        }
        Damage::Repeat(at) => {
            let lines: Vec<_> = text.lines().collect();
            if lines.is_empty() {
                return String::new();
            }
            let again = lines[at.index(lines.len())];
            format!("{text}\n{again}\n")
        }
        Damage::Crlf => text.replace('\n', "\r\n"),
    }
}

#[test]
fn every_reader_survives_every_text_of_the_corpus() {
    for text in TEXTS.iter() {
        check(text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn every_reader_survives_damage(
        which in any::<prop::sample::Index>(),
        damages in prop::collection::vec(damage(), 1..5),
    ) {
        let mut text = which.get(&TEXTS).clone();
        for damage in &damages {
            text = apply(&text, damage);
        }
        check(&text);
    }

    #[test]
    fn every_reader_survives_noise(text in "\\PC{0,200}|[ -~\\n\\t]{0,400}") {
        check(&text);
    }
}
