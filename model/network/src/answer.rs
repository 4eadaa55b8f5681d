//! Answers of the network: known, or unknown with what would decide.

use tapline_core::need::Need;

/// An answer that rests on captured texts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer<T> {
    /// The captures tell.
    Known(T),
    /// They do not; the output of these commands would.
    Unknown(Vec<Need>),
}

impl<T> Answer<T> {
    /// The answer, where it is known.
    pub fn known(self) -> Option<T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Unknown(_) => None,
        }
    }

    /// The same answer about something that follows from it.
    pub fn map<U>(self, follow: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Known(value) => Answer::Known(follow(value)),
            Self::Unknown(needs) => Answer::Unknown(needs),
        }
    }
}
