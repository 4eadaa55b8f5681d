//! Parts of a statement: braces, handles, elements, the hook of a chain.
use tapline_core::Name;
use tapline_core::records::nft::NftChain;
use tapline_core::span::{At, Span};

use crate::keyed::at;
use crate::lines::Read;
use crate::nomx::{Parsed, refuse};

/// What is open at the end of a line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Balance {
    depth: u32,
    broken: bool,
    /// The line ends with a backslash.
    joint: bool,
}

impl Balance {
    /// Goes on over one more line.
    pub(super) fn add(&mut self, line: &str) {
        let mut quoted = false;
        for byte in line.bytes() {
            match byte {
                b'"' => quoted = !quoted,
                b'{' if !quoted => self.depth += 1,
                b'}' if !quoted => match self.depth.checked_sub(1) {
                    Some(depth) => self.depth = depth,
                    None => self.broken = true,
                },
                _ => {}
            }
        }
        self.joint = line.ends_with('\\');
    }

    /// Whether the statement goes on.
    pub(super) fn is_open(self) -> bool {
        !self.broken && (self.depth > 0 || self.joint)
    }

    /// Whether more braces were closed than opened.
    pub(super) fn is_broken(self) -> bool {
        self.broken
    }
}

/// A line without `# handle 7` at its end.
pub(super) fn without_handle(line: &str) -> (&str, Option<u64>) {
    let parts = line.rsplit_once("# handle ");
    match parts.and_then(|(bare, number)| Some((bare, number.parse().ok()?))) {
        Some((bare, handle)) => (bare.trim_end(), Some(handle)),
        None => (line, None),
    }
}

/// The elements of `192.0.2.1, 192.0.2.2 timeout 1h }`, without what follows each.
pub(super) fn elements(list: &str) -> Vec<Name> {
    let list = list.trim().trim_end_matches('}').trim().trim_end_matches(',');
    let (mut quoted, mut depth) = (false, 0_u32);
    let parts = list.split(|c: char| {
        match c {
            '"' => quoted = !quoted,
            '{' if !quoted => depth += 1,
            '}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && !quoted && depth == 0
    });
    let bare = |part: &str| {
        let part = part.trim();
        [" timeout ", " expires ", " counter ", " comment "]
            .iter()
            .filter_map(|word| part.find(word))
            .min()
            .and_then(|end| part.get(..end))
            .unwrap_or(part)
            .into()
    };
    parts.filter(|part| !part.trim().is_empty()).map(bare).collect()
}

/// `type filter hook input priority filter; policy accept;`.
pub(super) fn hook<'a>(text: &str, line: &'a str, chain: &mut NftChain) -> Parsed<'a, Read<()>> {
    for part in line.split(';') {
        let part = part.trim();
        let (key, value) = part.split_once(' ').unwrap_or((part, ""));
        match key {
            "" => {}
            "policy" if !value.is_empty() => chain.policy = Some(at(text, value)),
            "type" => {
                let Some((kind, rest)) = value.split_once(" hook ") else {
                    return refuse(part, "`hook` after the type");
                };
                let Some((place, priority)) = rest.split_once(" priority ") else {
                    return refuse(part, "`priority` after the hook");
                };
                // `device "eth0"`, `devices = { "eth0", eth1 }`.
                let (place, device) = match place.split_once(" device") {
                    Some((place, device)) => (place, Some(device)),
                    None => (place, None),
                };
                chain.kind = Some(kind.into());
                chain.hook = Some(at(text, place));
                chain.device = device.map(|device| {
                    let shown = device.strip_prefix("s = ").unwrap_or(device);
                    let shown = shown.trim_matches([' ', '{', '}']);
                    let names = shown.split(',').map(|name| name.trim().trim_matches('"'));
                    At::new(names.collect::<Vec<_>>().join(", ").into(), Span::of(text, shown))
                });
                chain.priority = Some(at(text, priority));
            }
            "flags" => {}
            _ => return refuse(part, "type, policy or flags of a chain"),
        }
    }
    Ok(("", Read::Took(())))
}
