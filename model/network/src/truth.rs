//! Yes, no, or not known: what a test says of a packet that is known in part.

/// What is known of a statement.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Truth {
    /// It is not so.
    No,
    /// It may be so.
    Maybe,
    /// It is so.
    Yes,
}

impl Truth {
    /// Both; a chain of conditions is no surer than its weakest.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }

    /// One of them.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.max(other)
    }

    /// One of `all`; of none it is not so.
    pub fn any(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().fold(Self::No, Self::or)
    }

    /// The contrary.
    #[must_use]
    pub fn negate(self, negate: bool) -> Self {
        match (self, negate) {
            (Self::Yes, true) => Self::No,
            (Self::No, true) => Self::Yes,
            (truth, _) => truth,
        }
    }
}

impl From<bool> for Truth {
    fn from(known: bool) -> Self {
        if known { Self::Yes } else { Self::No }
    }
}

impl From<Option<bool>> for Truth {
    fn from(known: Option<bool>) -> Self {
        known.map_or(Self::Maybe, Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::Truth::{Maybe, No, Yes};
    use super::*;

    #[test]
    fn doubt_stays_doubt() {
        assert_eq!((Yes.and(Maybe), No.and(Maybe), Yes.and(Yes)), (Maybe, No, Yes));
        assert_eq!((Yes.or(Maybe), No.or(Maybe), No.or(No)), (Yes, Maybe, No));
        assert_eq!((Yes.negate(true), No.negate(true), Maybe.negate(true)), (No, Yes, Maybe));
        assert_eq!((Yes.negate(false), Truth::any([])), (Yes, No));
        assert_eq!((Truth::from(None), Truth::from(Some(false))), (Maybe, No));
    }
}
