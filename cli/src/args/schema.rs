//! Documents that have a schema.
use clap::ValueEnum;

/// A document that has a schema.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum SchemaKind {
    /// The file of --baseline
    Baseline,
    /// tapline.yaml
    Config,
    /// coverage --format json
    Coverage,
    /// diff --format json
    Diff,
    /// graph --format json
    Graph,
    /// info --format json
    Info,
    /// lint --format json
    Lint,
    /// reach --format json
    Reach,
    /// records, in any format
    Records,
    /// rules --format json
    Rules,
    /// show --format json
    Show,
    /// snapshot
    Snapshot,
    /// trace --format json
    Trace,
    /// verify --format json
    Verify,
}

impl SchemaKind {
    /// All, by name.
    pub(crate) const ALL: &[Self] = &[
        Self::Baseline,
        Self::Config,
        Self::Coverage,
        Self::Diff,
        Self::Graph,
        Self::Info,
        Self::Lint,
        Self::Reach,
        Self::Records,
        Self::Rules,
        Self::Show,
        Self::Snapshot,
        Self::Trace,
        Self::Verify,
    ];

    /// Its name on the command line and in `docs/schemas/`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Config => "config",
            Self::Coverage => "coverage",
            Self::Diff => "diff",
            Self::Graph => "graph",
            Self::Info => "info",
            Self::Lint => "lint",
            Self::Reach => "reach",
            Self::Records => "records",
            Self::Rules => "rules",
            Self::Show => "show",
            Self::Snapshot => "snapshot",
            Self::Trace => "trace",
            Self::Verify => "verify",
        }
    }
}
