//! Opens sosreports, folders and sessions: the only crate that reads files.
//!
//! [`open`] gives every text an identity (host, namespace, command, time) and parses none of them.
mod archive;
mod assemble;
mod choose;
mod command;
mod container;
pub mod error;
pub mod file;
mod flat;
mod folder;
mod host;
mod join;
mod listed;
mod load;
mod marks;
mod packing;
mod sos;
mod supportconfig;
mod transcript;
mod tree;
mod walk;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use error::CaptureError;
use tapline_core::capture::{Captured, Command};

/// The name of a file with the output of `command`, as sos names it and as [`open`] understands it.
pub fn saved_as(command: &str) -> String {
    sos::name::mangle(command)
}

/// Bounds on what is read. All can be raised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of one member; a longer one is left out, with a problem.
    pub member_bytes: u64,
    /// Bytes of all texts that are kept.
    pub kept_bytes: u64,
    /// Members of all archives and folders.
    pub members: u64,
    /// Archives in archives.
    pub nesting: u32,
    /// Bytes out for each byte in, once more than 64 MiB came out.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            member_bytes: 256 << 20,
            kept_bytes: 2 << 30,
            members: 10_000_000,
            nesting: 4,
            ratio: 2000,
        }
    }
}

/// One thing to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// A tarball, a folder, a transcript, a single output.
    Path(PathBuf),
    /// Standard input.
    Stdin,
    /// A text that is at hand, under this name.
    Text(String, String),
}

/// How much [`open`] has read so far, for who waits in another thread.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<[AtomicU64; 2]>);

impl Tally {
    fn add(&self, members: u64, bytes: u64) {
        let [all_members, all_bytes] = &*self.0;
        all_members.fetch_add(members, Ordering::Relaxed);
        all_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Members of archives and folders.
    pub fn members(&self) -> u64 {
        let [members, _] = &*self.0;
        members.load(Ordering::Relaxed)
    }

    /// Bytes of the texts that were kept.
    pub fn bytes(&self) -> u64 {
        let [_, bytes] = &*self.0;
        bytes.load(Ordering::Relaxed)
    }
}

/// How to read.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The input is the output of this command.
    pub command: Option<Command>,
    /// All inputs are of the host that is called so.
    pub host: Option<String>,
    /// Bounds.
    pub limits: Limits,
    /// Is told how far it is.
    pub tally: Tally,
}

/// Reads all inputs. Several inputs are several hosts, unless they name the same one or are outputs
/// of one folder, named by their commands (`ip_a.txt`, `brctl_show.txt`). What was captured of one
/// machine at two times is two hosts, too: a report is never put together with another.
///
/// # Errors
///
/// When an input cannot be opened at all, or nothing in it can be recognised. A damaged input
/// gives what could be read and a problem.
pub fn open(inputs: &[Input], options: &Options) -> Result<Captured, CaptureError> {
    assemble::open(inputs, options)
}
