//! What every other crate speaks: sources, evidence, typed records.
//!
//! This crate is a leaf. It opens no file, prints nothing and knows neither the
//! formats that records are read from nor the graph that they are joined into.
pub mod capture;
pub mod host;
pub mod ids;
pub mod need;
pub mod outcome;
pub mod records;
pub mod request;
pub mod span;
pub mod text;

/// A short name: interface, bridge, namespace, domain. Up to 24 bytes are stored inline.
pub type Name = compact_str::CompactString;
