//! Where the domains of a text start and end.
use crate::xml::{Tag, TagKind, Tags};

/// What a piece is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// `<domain>` or `<domstatus>`.
    Domain,
    /// An `<interface>` outside of any domain.
    Interface,
    /// Another document of libvirt.
    Foreign,
}

/// One document, or one element that stands alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'t> {
    /// What it is.
    pub(super) kind: Kind,
    /// Name of its outermost element.
    pub(super) name: &'t str,
    /// Its text.
    pub(super) slice: &'t str,
    /// Whether its closing tag is there.
    pub(super) closed: bool,
}

/// Documents that are no domains although they may hold `<interface>` or `<domain>`.
const FOREIGN: &[&str] = &[
    "capabilities",
    "device",
    "domainCapabilities",
    "domainbackup",
    "domaincheckpoint",
    "domainsnapshot",
    "filter",
    "network",
    "networkport",
    "networkstatus",
    "pool",
    "secret",
    "volume",
];

/// A piece whose end is being looked for.
struct Begun<'t> {
    kind: Kind,
    name: &'t str,
    start: usize,
    /// A `<domstatus>` holds one `<domain>`.
    inner: bool,
}

/// Splits a text, in one pass.
pub(super) fn split(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut begun: Option<Begun<'_>> = None;
    let piece = |it: &Begun<'_>, end: usize, closed: bool| {
        let slice = text.get(it.start..end).unwrap_or_default();
        let name = text.get(it.start + 1..it.start + 1 + it.name.len()).unwrap_or_default();
        Piece { kind: it.kind, name, slice, closed }
    };
    for tag in Tags::of(text) {
        if let Some(open) = &mut begun {
            if tag.kind == TagKind::Close && tag.name == open.name {
                pieces.push(piece(open, tag.end, true));
                begun = None;
                continue;
            }
            if open.goes_on(&tag) {
                continue;
            }
            // The next one starts before this one ends.
            pieces.push(piece(open, tag.start, false));
            begun = None;
        }
        let Some(kind) = kind(tag.name) else { continue };
        let start = Begun { kind, name: tag.name, start: tag.start, inner: false };
        match tag.kind {
            TagKind::Open => begun = Some(start),
            TagKind::Empty => pieces.push(piece(&start, tag.end, true)),
            TagKind::Close => {}
        }
    }
    if let Some(open) = &begun {
        pieces.push(piece(open, text.trim_end().len(), false));
    }
    pieces
}

impl Begun<'_> {
    /// Whether `tag` may stand inside.
    fn goes_on(&mut self, tag: &Tag<'_>) -> bool {
        if tag.kind == TagKind::Close {
            return true;
        }
        match (self.kind, tag.name) {
            (Kind::Foreign, _) => true,
            (Kind::Domain, "domain") if self.name == "domstatus" => {
                !std::mem::replace(&mut self.inner, true)
            }
            (Kind::Interface, "interface") | (_, "domain" | "domstatus") => false,
            _ => true,
        }
    }
}

fn kind(name: &str) -> Option<Kind> {
    match name {
        "domain" | "domstatus" => Some(Kind::Domain),
        "interface" => Some(Kind::Interface),
        _ => FOREIGN.contains(&name).then_some(Kind::Foreign),
    }
}
