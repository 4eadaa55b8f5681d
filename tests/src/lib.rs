//! What the tests and `cargo dev` share.
pub mod conformance;
pub mod docs;
pub mod scaffold;
pub mod show;
