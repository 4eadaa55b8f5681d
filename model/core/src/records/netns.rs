//! Network namespaces: `ip netns`.
use serde::Serialize;

use crate::Name;
use crate::span::{At, Span};

/// One name under `/run/netns`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct NetnsEntry {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// The name. `ip netns list-id` may print an id without one.
    pub name: Option<At<Name>>,
    /// Its id as seen from the namespace that the command ran in; often none was ever given.
    pub nsid: Option<At<u32>>,
}
