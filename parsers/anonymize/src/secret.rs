//! What substitutes are drawn from: nobody who lacks it can tell which original a substitute has.
use sha2::{Digest as _, Sha256};

/// The key of a run.
#[derive(Clone, Debug)]
pub(crate) struct Secret([u8; 32]);

impl Secret {
    /// Made of these parts, in this order.
    pub(crate) fn of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// A number that follows from the key, what it is for, and `data`.
    pub(crate) fn number(&self, purpose: &str, data: &[u8]) -> u64 {
        let Self(key) = Self::of([&self.0, purpose.as_bytes(), data]);
        let [a, b, c, d, e, f, g, h, ..] = key;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// The key for one purpose.
    pub(crate) fn for_purpose(&self, purpose: &str) -> Self {
        Self::of([&self.0, purpose.as_bytes()])
    }
}
