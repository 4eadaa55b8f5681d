//! Parts of a statement: braces, handles, elements, the hook of a chain.
use tapline_core::records::nft::NftChain;

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

/// How many elements stand in `192.0.2.1, 192.0.2.2 }`.
pub(super) fn elements(list: &str) -> u32 {
    let list = list.trim().trim_end_matches('}').trim();
    if list.is_empty() {
        return 0;
    }
    let (mut quoted, mut depth, mut commas) = (false, 0_u32, 0_u32);
    for byte in list.trim_end_matches(',').bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted => depth = depth.saturating_sub(1),
            b',' if !quoted && depth == 0 => commas += 1,
            _ => {}
        }
    }
    commas + 1
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
                let (place, device) = match place.split_once(" device") {
                    // `device "eth0"`, `devices = { "eth0", "eth1" }`.
                    Some((place, device)) => (place, Some(device)),
                    None => (place, None),
                };
                chain.kind = Some(kind.into());
                chain.hook = Some(at(text, place));
                chain.device = device
                    .map(|it| it.strip_prefix("s = ").unwrap_or(it))
                    .map(|it| at(text, it.trim_start()));
                chain.priority = Some(at(text, priority));
            }
            "flags" => {}
            _ => return refuse(part, "type, policy or flags of a chain"),
        }
    }
    Ok(("", Read::Took(())))
}
