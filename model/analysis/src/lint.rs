//! Lint: rules over the topology, each with three answers.
//!
//! A rule says of each object that it looks at: *fire* (a [`Finding`]), *clean*, or *cannot tell*
//! (with the commands that would decide). [`run`] gathers the answers of all rules in a fixed
//! order.
//!
//! A rule is one file of code, one page of Markdown beside it, and its two lines in [`rules`].
mod engine;
pub mod paths;
pub mod rules;

pub use engine::ctx::Ctx;
pub use engine::finding::{Blast, Cited, Confidence, Finding, Role, Severity, Shape, Suppressed};
pub(crate) use engine::rule::declare_rule;
pub use engine::rule::{
    Check, Cut, Layer, OwnCheck, Place, Rule, RuleRef, Setting, Software, Text, Traits,
};
pub use engine::run::{Report, run};
pub use engine::settings::{self, Settings};
pub use engine::subject::{About, Other, Recorded, Subject};
pub use engine::verdicts::{CannotTell, Verdicts};
