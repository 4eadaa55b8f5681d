//! Rules about what was captured, and how well.
pub(crate) mod capture_failed;
pub(crate) mod mixed_captures;
pub(crate) mod netns_coverage;
