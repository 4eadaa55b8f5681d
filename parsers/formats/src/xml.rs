//! XML out of hostile text: where elements start and end, and elements parsed within bounds.
//!
//! [`Tags`] walks over a text without understanding it, so that several documents, fragments and
//! damaged documents can be told apart; [`element`] parses one of them.
use roxmltree::{Document, Node, ParsingOptions};
use tapline_core::span::Span;

/// Nodes of one document.
const NODES: u32 = 1_000_000;
/// Bytes of one tag: attributes of a tag are compared with each other.
const TAG_BYTES: usize = 16 << 10;
/// Namespace declarations of one document: each copies those above it.
const NAMESPACES: usize = 1000;

/// What a tag does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum TagKind {
    /// `<a>`.
    Open,
    /// `</a>`.
    Close,
    /// `<a/>`.
    Empty,
}

/// One tag of a text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag<'a> {
    /// What it does.
    pub(crate) kind: TagKind,
    /// Its name, with the prefix.
    pub(crate) name: &'a str,
    /// Offset of `<`.
    pub(crate) start: usize,
    /// Offset behind `>`.
    pub(crate) end: usize,
}

/// The tags of a text, in order. Comments, CDATA and processing instructions are passed over, and
/// so is a `<` that starts nothing.
#[derive(Debug)]
pub(crate) struct Tags<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Tags<'a> {
    /// The tags of `text`.
    pub(crate) fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Goes on behind `end`, which was opened by `open`; behind everything where it is missing.
    fn pass(&mut self, rest: &str, open: &str, end: &str) {
        let inner = rest.get(open.len()..).unwrap_or_default();
        let length = inner.find(end).map_or(rest.len(), |at| open.len() + at + end.len());
        self.at += length;
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        loop {
            let rest = self.text.get(self.at..)?;
            self.at += memchr::memchr(b'<', rest.as_bytes())?;
            let rest = self.text.get(self.at..)?;
            if rest.starts_with("<!--") {
                self.pass(rest, "<!--", "-->");
                continue;
            }
            if rest.starts_with("<![CDATA[") {
                self.pass(rest, "<![CDATA[", "]]>");
                continue;
            }
            if rest.starts_with("<?") {
                self.pass(rest, "<?", "?>");
                continue;
            }
            let start = self.at;
            self.at += 1;
            if let Some(length) = tag_length(rest) {
                let inner = rest.get(1..length - 1).unwrap_or_default();
                let (kind, inner) = match (inner.strip_prefix('/'), inner.strip_suffix('/')) {
                    (Some(name), _) => (TagKind::Close, name),
                    (None, Some(inner)) => (TagKind::Empty, inner),
                    (None, None) => (TagKind::Open, inner),
                };
                let name = inner.split(|c: char| c.is_ascii_whitespace() || c == '/').next();
                let name = name.unwrap_or_default();
                if name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
                    self.at = start + length;
                    return Some(Tag { kind, name, start, end: self.at });
                }
            }
        }
    }
}

/// Bytes of the tag that `text` starts with. `>` may stand in a quoted value, `<` may not.
pub(crate) fn tag_length(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match (quote, byte) {
            (_, b'<') => return None,
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// Why an element could not be parsed.
#[derive(Debug)]
pub(crate) struct Broken {
    /// One sentence.
    pub(crate) message: String,
    /// The line of the element, counted from zero, at which parsing stopped.
    pub(crate) line: usize,
    /// A bound was reached, the element may be well-formed.
    pub(crate) limit: bool,
}

/// Parses one element with everything in it. Entities other than those of XML itself are errors.
pub(crate) fn element(text: &str) -> Result<Document<'_>, Broken> {
    let limit = |message: String| Broken { message, line: 0, limit: true };
    let is_long = |tag: &Tag<'_>| tag.end - tag.start > TAG_BYTES;
    if text.len() > TAG_BYTES
        && let Some(tag) = Tags::of(text).find(is_long)
    {
        return Err(limit(format!("tag <{}> is longer than {TAG_BYTES} bytes", tag.name)));
    }
    if memchr::memmem::find_iter(text.as_bytes(), b"xmlns").nth(NAMESPACES).is_some() {
        return Err(limit(format!("more than {NAMESPACES} namespace declarations")));
    }
    let options =
        ParsingOptions { allow_dtd: false, nodes_limit: NODES, ..ParsingOptions::default() };
    Document::parse_with_options(text, options).map_err(|error| Broken {
        message: error.to_string(),
        line: (error.pos().row as usize).saturating_sub(1),
        limit: matches!(error, roxmltree::Error::NodesLimitReached),
    })
}

/// A document together with the text that spans refer to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place<'t> {
    /// The whole text.
    pub(crate) text: &'t str,
    /// The slice that was parsed.
    pub(crate) slice: &'t str,
}

impl Place<'_> {
    /// The span, within the whole text, of a range of the document.
    pub(crate) fn span(self, range: std::ops::Range<usize>) -> Span {
        let part = self.slice.get(range).unwrap_or(self.slice);
        Span::of(self.text, part)
    }

    /// The span of an attribute's value, without the quotes.
    pub(crate) fn value(self, attribute: &roxmltree::Attribute<'_, '_>) -> Span {
        let part = self.slice.get(attribute.range_value());
        let part = part.or_else(|| self.slice.get(attribute.range())).unwrap_or(self.slice);
        Span::of(self.text, part)
    }

    /// The span of an element's opening tag.
    pub(crate) fn tag(self, node: Node<'_, '_>) -> Span {
        let whole = self.slice.get(node.range()).unwrap_or(self.slice);
        let tag = tag_length(whole).and_then(|length| whole.get(..length)).unwrap_or(whole);
        Span::of(self.text, tag)
    }

    /// The text of an element without blanks around it, decoded, and its span. `None` where it
    /// is empty.
    pub(crate) fn text<'n>(self, node: Node<'n, '_>) -> Option<(&'n str, Span)> {
        let inner = node.children().find(Node::is_text)?;
        let value = inner.text()?.trim();
        let raw = self.slice.get(inner.range()).unwrap_or(self.slice).trim();
        (!value.is_empty()).then(|| (value, Span::of(self.text, raw)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_around_what_hides_them() {
        let text = "x <!-- <no/> --> <?xml v='<no>'?><a b='>'> < 1 <![CDATA[<no>]]> <c:d/></a > <e";
        let tags: Vec<_> = Tags::of(text).map(|tag| (tag.name, tag.kind)).collect();
        assert_eq!(tags, [("a", TagKind::Open), ("c:d", TagKind::Empty), ("a", TagKind::Close)]);
    }

    #[test]
    fn bounds_hold() {
        let long = format!("<a b='{}'/>", "x".repeat(TAG_BYTES));
        assert!(element(&long).unwrap_err().limit);
        let deep = "<a>".repeat(200_000);
        assert!(element(&deep).is_err());
        let deep = deep + &"</a>".repeat(200_000);
        assert!(element(&deep).is_ok());
        assert!(element("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>").is_err());
    }
}
