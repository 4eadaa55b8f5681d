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
pub use engine::finding::{
    Blast, Cited, Confidence, Finding, Object, Role, Severity, Shape, Suppressed,
};
pub(crate) use engine::rule::declare_rule;
pub use engine::rule::{Cut, Layer, Place, Rule, Setting, Software, Traits};
pub use engine::run::{Report, run, run_own, run_with};
pub use engine::settings::{self, Settings};
pub use engine::verdicts::{CannotTell, Verdicts};

/// The check of a rule that a user wrote.
pub type OwnCheck = Box<dyn Fn(&Ctx<'_>, &mut Verdicts) + Send + Sync>;

/// A rule that a user wrote: its check is made while the program runs.
pub struct OwnRule {
    /// What every rule says of itself; its own `check` does nothing.
    pub rule: &'static Rule,
    /// Looks at everything that it is about and gives a verdict on each.
    pub check: OwnCheck,
}

impl std::fmt::Debug for OwnRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.rule.fmt(f)
    }
}
