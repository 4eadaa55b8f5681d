//! The machinery around the rules: what a rule sees and says, how answers are gathered, what
//! follows from what.
pub(crate) mod ctx;
pub(crate) mod explain;
pub(crate) mod finding;
pub(crate) mod rule;
pub(crate) mod run;
pub mod settings;
pub(crate) mod subject;
pub(crate) mod verdicts;
