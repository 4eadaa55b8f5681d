//! Arguments of `diff`.
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tapline_analysis::diff::{By, Class};

use super::Limits;

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The captures of before and those of now: each a sosreport, a folder of outputs or of hosts, or a
    /// terminal session
    #[arg(value_name = "OLD NEW", num_args = 0..=2)]
    pub(crate) paths: Vec<PathBuf>,
    /// A capture of before (can be repeated: several hosts)
    #[arg(long = "old", value_name = "INPUT")]
    pub(crate) old: Vec<PathBuf>,
    /// A capture of now (can be repeated: several hosts)
    #[arg(long = "new", value_name = "INPUT")]
    pub(crate) new: Vec<PathBuf>,
    /// What makes hosts comparable
    #[arg(long, value_name = "WHAT", default_value = "identity")]
    pub(crate) by: DiffBy,
    /// Form of the answer
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) format: DiffFormat,
    /// Least change that makes the exit status 1
    #[arg(long, value_name = "CLASS", default_value = "change")]
    pub(crate) fail_on: DiffFailOn,
    /// Show also what changes by itself, what follows from other changes, each number that was given
    /// anew, and findings that are as before
    #[arg(long)]
    pub(crate) all: bool,
    /// Put substitutes in the place of addresses, MACs, names and ids, the same on both sides
    #[arg(
        long,
        value_name = "KEY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ""
    )]
    pub(crate) anonymize: Option<String>,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum DiffFormat {
    /// For people
    Text,
    /// For tickets and pull requests
    Markdown,
    /// For programs
    Json,
    /// The picture of both sides: what came, went and was changed; what is the same is folded
    Svg,
    /// One page with the picture and the text
    Html,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum DiffBy {
    /// They are one machine, at two times
    Identity,
    /// They are two machines that do the same: one host on each side, without addresses and guests
    Role,
}

impl From<DiffBy> for By {
    fn from(by: DiffBy) -> Self {
        match by {
            DiffBy::Identity => Self::Identity,
            DiffBy::Role => Self::Role,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum DiffFailOn {
    /// What takes away what packets went by, or changed a verdict
    Breaking,
    /// Anything that somebody changed
    Change,
    /// Never: exit status 0 whatever changed
    Never,
}

impl DiffFailOn {
    /// The least class that fails.
    pub(crate) fn threshold(self) -> Option<Class> {
        match self {
            Self::Breaking => Some(Class::Breaking),
            Self::Change => Some(Class::Cosmetic),
            Self::Never => None,
        }
    }
}
