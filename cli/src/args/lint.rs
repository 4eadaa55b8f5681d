//! Arguments of `lint`.
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use tapline_analysis::lint::Severity;

use super::{Config, Inputs};

#[derive(Debug, Args)]
pub(crate) struct Lint {
    #[command(flatten)]
    pub(crate) inputs: Inputs,
    /// Form of the report
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) format: LintFormat,
    /// Least severity that makes the exit status 1 [default: that of the configuration, or error]
    #[arg(long, value_name = "SEVERITY")]
    pub(crate) fail_on: Option<FailOn>,
    /// Run only these rules: codes, ids or families such as OVS (can be repeated)
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub(crate) select: Vec<String>,
    /// Leave these rules out: codes, ids or families such as OVS (can be repeated)
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub(crate) ignore: Vec<String>,
    /// Findings that were there before: counted, not shown, and no reason for exit status 1
    #[arg(long, value_name = "FILE")]
    pub(crate) baseline: Option<PathBuf>,
    /// Write the findings to FILE as a baseline: from now on only others count
    ///
    /// FILE is replaced if it is a baseline, and nothing else is ever written.
    #[arg(long, value_name = "FILE")]
    pub(crate) write_baseline: Option<PathBuf>,
    /// End with status 2 where anything of the input was not read, or not wholly
    #[arg(long)]
    pub(crate) strict: bool,
    /// Show also what follows from other findings, under its cause
    #[arg(long)]
    pub(crate) all: bool,
    /// Show the path of each running VM and namespace to the wire, up to its first broken hop; of
    /// many, those that are not broken with --all only
    #[arg(id = "show_paths", long = "paths")]
    pub(crate) paths: bool,
    #[command(flatten)]
    pub(crate) config: Config,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum LintFormat {
    /// For people
    Text,
    /// One line a root: path:line:column: CODE severity: host · object: message
    Concise,
    /// For tickets
    Markdown,
    /// For programs
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// JUnit XML: a test suite for each host, a test for each rule
    Junit,
    /// Annotations of a GitHub workflow
    Github,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum FailOn {
    Error,
    Warning,
    Info,
    /// Never: exit status 0 whatever is found
    Never,
}

impl FailOn {
    /// The least severity that fails.
    pub(crate) fn threshold(self) -> Option<Severity> {
        match self {
            Self::Error => Some(Severity::Error),
            Self::Warning => Some(Severity::Warning),
            Self::Info => Some(Severity::Info),
            Self::Never => None,
        }
    }
}
