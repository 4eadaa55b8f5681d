//! tapline
fn main() {}
