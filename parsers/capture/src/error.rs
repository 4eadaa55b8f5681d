//! What stops reading altogether.
use std::path::PathBuf;

/// An input that gives nothing.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The file system refused.
    #[error("cannot read {path}: {source}")]
    Io {
        /// The input.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Nothing in it is the output of a command that tapline knows.
    #[error("{path}: {why}")]
    Nothing {
        /// The input.
        path: PathBuf,
        /// What was found instead.
        why: String,
    },
}
