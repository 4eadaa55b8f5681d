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
pub use engine::explain::Blast;
pub use engine::finding::{Cited, Confidence, Finding, Object, Role, Severity, Shape};
pub use engine::run::{Report, run, run_own, run_with};
pub use engine::settings::{self, Settings};
pub use engine::verdicts::{CannotTell, Verdicts};

/// A lint rule: static data and one function.
#[derive(Debug)]
pub struct Rule {
    /// Stable code: `OVS-001`. Never reused.
    pub code: &'static str,
    /// Stable id in kebab-case; says what is wrong.
    pub id: &'static str,
    /// One line: what it finds.
    pub summary: &'static str,
    /// The severity of its findings, where nothing lowers it.
    pub severity: Severity,
    /// The confidence of its findings, where nothing lowers it.
    pub confidence: Confidence,
    /// Its page in Markdown: `tapline explain`, the documentation, and tests.
    pub page: &'static str,
    /// Looks at everything that it is about and gives a verdict on each.
    pub check: fn(&Ctx<'_>, &mut Verdicts),
}

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

/// Declares `RULE`, the rule of a file; its `check` function and its page stand beside it.
macro_rules! declare_rule {
    (
        $(#[$doc:meta])*
        code: $code:literal,
        id: $id:literal,
        summary: $summary:literal,
        severity: $severity:ident,
        confidence: $confidence:ident,
        page: $page:literal $(,)?
    ) => {
        $(#[$doc])*
        pub(crate) static RULE: $crate::lint::Rule = $crate::lint::Rule {
            code: $code,
            id: $id,
            summary: $summary,
            severity: $crate::lint::Severity::$severity,
            confidence: $crate::lint::Confidence::$confidence,
            page: include_str!($page),
            check,
        };
    };
}
use declare_rule;
