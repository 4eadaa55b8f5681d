//! Where a text is, as programs name it: the path of a file, a URI, a line.
use std::path::Path;

use tapline_core::capture::Source;
use tapline_core::span::Span;

use super::source::{columns_of, excerpt};

/// Bytes that are quoted on either side of the evidence.
const REACH: usize = 2000;

/// Where a text is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Artifact {
    /// In a file that stands on disk: lines are lines of this file.
    File(String),
    /// In an archive: its path, and the path inside it.
    Member(String, String),
}

impl Artifact {
    /// Where a source is.
    pub(crate) fn of(source: &Source) -> Self {
        let (archive, member) = (&*source.archive, &*source.member);
        if member.is_empty() {
            Self::File(archive.to_owned())
        } else if Path::new(archive).is_dir() {
            Self::File(format!("{}/{member}", archive.trim_end_matches('/')))
        } else {
            Self::Member(archive.to_owned(), member.to_owned())
        }
    }

    /// As a URI, or a reference relative to the current directory. A member of an archive is
    /// `ARCHIVE!/MEMBER`, as Java writes it.
    pub(crate) fn uri(&self) -> String {
        match self {
            Self::File(path) => uri(path),
            Self::Member(archive, member) => {
                format!("{}!/{}", uri(archive), encode(member.trim_start_matches('/')))
            }
        }
    }
}

/// A path as a URI.
pub(crate) fn uri(path: &str) -> String {
    let scheme = if path.starts_with('/') { "file://" } else { "" };
    format!("{scheme}{}", encode(path.strip_prefix("./").unwrap_or(path)))
}

/// Everything but RFC 3986's unreserved characters and the slash is percent-encoded.
fn encode(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// A place in a text, with what stands there. Lines and columns count from one, columns in
/// characters; the end column is behind the last character.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Region<'a> {
    pub(crate) lines: (u32, u32),
    /// `None` where the span has several lines, or a line is too long to count.
    pub(crate) columns: Option<(usize, usize)>,
    /// The cited part.
    pub(crate) quote: &'a str,
    /// The whole lines.
    pub(crate) text: &'a str,
}

impl<'a> Region<'a> {
    pub(crate) fn of(source: &'a Source, span: Span) -> Self {
        let lines = source.line_numbers(span);
        let whole = source.quote(span);
        let end = whole.floor_char_boundary(REACH.min(whole.len()));
        let quote = whole.get(..end).unwrap_or_default();
        let complete = end == whole.len() && lines.0 == lines.1 && !quote.ends_with('\n');
        let columns = if complete { columns_of(source, span, quote.chars().count()) } else { None };
        Self { lines, columns, quote, text: excerpt(source, span, REACH).text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{at, snapshot};
    use tapline_core::span::SourceId;

    #[test]
    fn uris_are_escaped() {
        assert_eq!(uri("a b/ü#?%:x"), "a%20b/%C3%BC%23%3F%25%3Ax");
        assert_eq!(uri("/tmp/x"), "file:///tmp/x");
        assert_eq!(uri("./x"), "x");
        let member = Artifact::Member("a.tar.xz".into(), "sos/ip_-d_address".into());
        assert_eq!(member.uri(), "a.tar.xz!/sos/ip_-d_address");
    }

    #[test]
    fn columns_count_characters() {
        let snapshot = snapshot(&[("file", "unknown", "one\nü two ö\n")]);
        let source = snapshot.source(SourceId(0)).unwrap();
        let region = Region::of(source, at(&snapshot, 0, "two ö").span);
        assert_eq!((region.lines, region.columns), ((2, 2), Some((3, 8))));
        assert_eq!((region.quote, region.text), ("two ö", "ü two ö"));
    }
}
