//! What the tests and `cargo dev` share.
pub mod conformance;
pub mod copy;
pub mod dist;
pub mod docs;
pub mod mutants;
pub mod scaffold;
pub mod show;
pub mod words;

use std::path::{Path, PathBuf};

use anyhow::Context;

/// The folder of captures beside the repository. They belong to others, so a clone has none:
/// only tests that are marked `ignore` may ask for them.
///
/// # Errors
///
/// When the folder is not there: such a test fails and never passes without a look.
pub fn captures() -> anyhow::Result<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/captures"));
    anyhow::ensure!(folder.is_dir(), "no captures at {}", folder.display());
    Ok(folder)
}

/// The corpus of the repository.
pub fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

/// A capture of the laboratory: a folder with a tarball for each of its hosts.
pub fn lab(name: &str) -> PathBuf {
    corpus().join("lab").join(name)
}

/// Captures of `corpus/lab` whose tarballs hold one folder with one output per file.
const FLAT: &[&str] = &[
    "faults",
    "ovn-healthy",
    "ovnk-healthy",
    "seed",
    "seed-tap",
    "two-hosts",
    "uml-faults",
    "uml-two-hosts",
];

/// Captured hosts as folders, one output per file; they live as long as this value.
#[derive(Debug)]
pub struct Hosts {
    room: tempfile::TempDir,
}

impl Hosts {
    /// Unpacks the flat captures of `corpus/lab`.
    ///
    /// # Errors
    ///
    /// When a tarball cannot be read or a file not be written.
    #[expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
    pub fn unpack() -> anyhow::Result<Self> {
        let room = tempfile::tempdir()?;
        for name in FLAT {
            let target = room.path().join(name);
            for tarball in below(&lab(name))? {
                let file = std::fs::File::open(&tarball)?;
                let mut archive = tar::Archive::new(liblzma::read::XzDecoder::new(file));
                archive.unpack(&target).with_context(|| tarball.display().to_string())?;
            }
        }
        Ok(Self { room })
    }

    /// The folder of each host, in order of capture and name; the flat capture of the corpus is
    /// the last.
    ///
    /// # Errors
    ///
    /// When a folder cannot be read.
    pub fn folders(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        for capture in below(self.room.path())? {
            all.extend(below(&capture)?);
        }
        all.push(corpus().join("captures/node2"));
        Ok(all)
    }
}

/// The files and folders directly under `folder`, sorted.
///
/// # Errors
///
/// When the folder cannot be read.
#[expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
pub fn below(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut all = Vec::new();
    for entry in entries {
        all.push(entry?.path());
    }
    all.sort();
    Ok(all)
}
