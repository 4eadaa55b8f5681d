//! Keys and values that no typed field holds, close together.
use serde::{Serialize, Serializer};

use super::Field;
use crate::Name;
use crate::span::{At, Span};

/// The [`Field`]s of a record of which a report has hundreds of thousands: one device of `ip -d link`
/// has some forty. One block of bytes holds them, in which a field takes half of what it takes as two
/// names.
#[derive(Clone, Default)]
pub struct PackedFields {
    /// For each field its [`Head`], the key and the value.
    bytes: Vec<u8>,
}

/// What stands before a field: four numbers.
struct Head {
    key: u32,
    value: u32,
    start: u32,
    /// Of the place; not that of the value where it was written otherwise, as in JSON.
    length: u32,
}

/// A field as it is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldRef<'a> {
    /// The key as printed; empty for a bare word.
    pub key: &'a str,
    /// The value as printed; empty for a bare flag.
    pub value: At<&'a str>,
}

impl PackedFields {
    /// Adds a field behind the others.
    pub fn push(&mut self, key: &str, value: &str, span: Span) {
        let head = Head {
            key: size(key),
            value: size(value),
            start: span.start,
            length: span.end.saturating_sub(span.start),
        };
        self.bytes.reserve(Head::SIZE + key.len() + value.len());
        self.bytes.extend_from_slice(&head.to_bytes());
        self.bytes.extend_from_slice(key.as_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
    }

    /// Makes room for so many fields of usual length.
    pub fn reserve(&mut self, fields: usize) {
        const USUAL: usize = 28;
        self.bytes.reserve(fields.saturating_mul(USUAL));
    }

    /// Gives back room that no field needed.
    pub fn shrink_to_fit(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// The fields, in order.
    pub fn iter(&self) -> impl Iterator<Item = FieldRef<'_>> {
        self.raw().map(|(key, value, span)| FieldRef {
            key: std::str::from_utf8(key).unwrap_or_default(),
            value: At::new(std::str::from_utf8(value).unwrap_or_default(), span),
        })
    }

    /// The first field called `key`.
    pub fn find(&self, key: &str) -> Option<At<&str>> {
        let (_, value, span) = self.raw().find(|(name, ..)| *name == key.as_bytes())?;
        Some(At::new(std::str::from_utf8(value).unwrap_or_default(), span))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.raw().count()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Leaves none.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Takes the first field called `key` out, and says where its value stood.
    pub fn remove(&mut self, key: &str) -> Option<Span> {
        let span = self.find(key)?.span;
        let mut is_first = true;
        let mut left = Self::default();
        for field in self.iter() {
            if field.key == key && std::mem::take(&mut is_first) {
                continue;
            }
            left.push(field.key, field.value.value, field.value.span);
        }
        *self = left;
        Some(span)
    }

    /// Changes the place of each.
    pub fn move_spans(&mut self, mut change: impl FnMut(&mut Span)) {
        let mut moved = Self::default();
        for field in self.iter() {
            let mut span = field.value.span;
            change(&mut span);
            moved.push(field.key, field.value.value, span);
        }
        *self = moved;
    }

    fn raw(&self) -> impl Iterator<Item = (&[u8], &[u8], Span)> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (head, behind) = rest.split_first_chunk::<{ Head::SIZE }>()?;
            let head = Head::of(*head);
            let (key, behind) = behind.split_at_checked(head.key as usize)?;
            let (value, behind) = behind.split_at_checked(head.value as usize)?;
            rest = behind;
            let end = head.start.saturating_add(head.length);
            Some((key, value, Span { start: head.start, end }))
        })
    }
}

impl Head {
    const SIZE: usize = size_of::<u128>();

    fn to_bytes(&self) -> [u8; Self::SIZE] {
        let Self { key, value, start, length } = *self;
        let numbers = [key, value, start, length].map(u128::from);
        numbers.iter().rev().fold(0, |all, number| all << u32::BITS | number).to_le_bytes()
    }

    fn of(bytes: [u8; Self::SIZE]) -> Self {
        let all = u128::from_le_bytes(bytes);
        let number =
            |at: u32| u32::try_from(all >> (at * u32::BITS) & u128::from(u32::MAX)).unwrap_or(0);
        Self { key: number(0), value: number(1), start: number(2), length: number(3) }
    }
}

/// Texts of 4 GiB are refused on entry.
fn size(text: &str) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

impl Extend<Field> for PackedFields {
    fn extend<I: IntoIterator<Item = Field>>(&mut self, fields: I) {
        for field in fields {
            self.push(&field.key, &field.value, field.value.span);
        }
    }
}

impl From<FieldRef<'_>> for Field {
    fn from(field: FieldRef<'_>) -> Self {
        Self { key: field.key.into(), value: field.value.map(Name::new) }
    }
}

/// Two are equal when their fields are, wherever these stood.
impl PartialEq for PackedFields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for PackedFields {}

/// As a list of [`Field`]s.
impl Serialize for PackedFields {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.iter().map(Field::from))
    }
}

impl std::fmt::Debug for PackedFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back_as_they_went_in() {
        let long = "x".repeat(70_000);
        let given = [
            ("ageing", "300", 3_u32),
            ("", "", 0),
            ("nolearning", "", 127),
            ("ä", "{ 1:2 }", 128),
            ("long", &long, 4_000_000_000),
            ("ageing", "1", u32::MAX),
        ];
        let mut fields = PackedFields::default();
        assert!(fields.is_empty() && fields.iter().next().is_none());
        for (key, value, start) in given {
            fields.push(key, value, Span { start, end: start.saturating_add(7) });
        }
        assert_eq!(fields.len(), given.len());
        let back: Vec<_> = fields.iter().map(|field| (field.key, field.value.value)).collect();
        assert_eq!(back, given.map(|(key, value, _)| (key, value)));
        let spans: Vec<_> = fields.iter().map(|field| field.value.span).collect();
        assert_eq!(spans, given.map(|(.., start)| Span { start, end: start.saturating_add(7) }));
        assert_eq!(fields.find("ageing").map(|found| found.value), Some("300"));
        assert_eq!(fields.find("none"), None);
        assert_eq!(fields.remove("ageing").map(|span| span.start), Some(3));
        assert_eq!(fields.find("ageing").map(|found| found.value), Some("1"));
        fields.move_spans(|span| span.start = 1);
        assert!(fields.iter().all(|field| field.value.span.start == 1));
        assert_eq!(fields.len(), given.len() - 1);
    }
}
