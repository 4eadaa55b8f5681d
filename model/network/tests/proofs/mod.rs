//! Goldens of the proofs: a session of a host, a line of dashes, and what the real thing says, one
//! question a line.
#![allow(dead_code, reason = "each test uses some of it")]
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use tapline_capture::{Input, Options};
use tapline_network::Network;
use tapline_network::environment::Environment;

/// One golden.
pub(crate) struct Golden {
    /// Its name.
    pub(crate) name: String,
    session: String,
    /// What the real thing says.
    pub(crate) answers: String,
}

impl Golden {
    /// Reads the session and shows its network to `look`.
    fn with_network<T>(&self, look: impl FnOnce(&Network<'_>) -> T) -> T {
        let input = Input::Text("session".to_owned(), self.session.clone());
        let captured = tapline_capture::open(&[input], &Options::default()).unwrap();
        let snapshot = tapline_formats::read(captured);
        let topology = tapline_topology::build(&snapshot);
        let environment = Environment::default();
        look(&Network::new(&topology, None, &environment))
    }
}

/// What came of the questions of some goldens.
#[derive(Default)]
pub(crate) struct Count {
    /// The same is said.
    pub(crate) right: usize,
    /// Nothing is said, by reason.
    pub(crate) open: BTreeMap<String, usize>,
    /// Something else is said.
    wrong: Vec<String>,
}

impl Count {
    pub(crate) fn open(&mut self, why: &str) {
        *self.open.entry(why.to_owned()).or_default() += 1;
    }

    pub(crate) fn wrong(&mut self, golden: &Golden, what: impl fmt::Display) {
        self.wrong.push(format!("{}: {what}", golden.name));
    }

    /// How many are open.
    pub(crate) fn opened(&self) -> usize {
        self.open.values().sum()
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} right, {} wrong, {} open", self.right, self.wrong.len(), self.opened())?;
        for (why, number) in &self.open {
            writeln!(f, "open {number}: {why}")?;
        }
        for wrong in self.wrong.iter().take(20) {
            writeln!(f, "{wrong}")?;
        }
        Ok(())
    }
}

/// Asks the questions of every golden in a folder of tests; no answer may be wrong.
#[expect(clippy::disallowed_methods, reason = "reads goldens")]
pub(crate) fn replay_all(folder: &str, ask: impl Fn(&Network<'_>, &Golden) -> Count) -> Count {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "txt"));
    files.sort();
    assert!(!files.is_empty(), "no goldens");
    let mut all = Count::default();
    for file in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let (session, answers) = text.split_once("--------------------\n").unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let golden = Golden { name, session: session.to_owned(), answers: answers.to_owned() };
        let count = golden.with_network(|network| ask(network, &golden));
        all.right += count.right;
        all.wrong.extend(count.wrong);
        for (why, number) in count.open {
            *all.open.entry(why).or_default() += number;
        }
    }
    println!("{all}");
    assert!(all.wrong.is_empty(), "{all}");
    all
}
