//! Remarks that people write behind a line of an output: `tag: 4095   <--- dead VLAN`.
//!
//! An arrow to the left, or marks of exclamation, stand behind blanks in no output that we read.
use memchr::memmem;

/// What a remark begins with, behind a blank.
const MARKS: &[&str] =
    &["<-", "<==", "<<<", "!!", "\u{2190}", "\u{27f5}", "\u{21d0}", "\u{2b05}", "\u{1f448}"];

/// What points at a line from in front of it.
const POINTERS: &[&str] = &["=>", "->", ">>>", "\u{2192}", "\u{27a1}", "\u{1f449}"];

/// Whether there may be any: most texts have none, and this is asked once of each.
pub(crate) fn are_in(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_ascii = bytes.is_ascii();
    let beyond = |mark: &&&str| !mark.is_ascii();
    let holds = |mark: &&str| memmem::find(bytes, mark.as_bytes()).is_some();
    begins_one(bytes) || !is_ascii && MARKS.iter().chain(POINTERS).filter(beyond).any(holds)
}

/// Whether one of the marks of ASCII is there: each has a bracket or a mark of exclamation, on which
/// its other signs follow.
fn begins_one(bytes: &[u8]) -> bool {
    memchr::memchr3_iter(b'<', b'>', b'!', bytes).any(|at| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        match bytes.get(at..).unwrap_or_default() {
            [b'<', b'-', ..] | [b'<', b'=', b'=', ..] | [b'<', b'<', b'<', ..] => true,
            [b'!', b'!', ..] | [b'>', b'>', b'>', ..] => true,
            [b'>', ..] => matches!(before, Some(b'-' | b'=')),
            _ => false,
        }
    })
}

/// The line in front of its remark. What has a quotation mark or a bracket behind the mark is no
/// remark: it may stand within a text.
pub(crate) fn without(line: &str) -> &str {
    let line = pointed_at(line);
    let starts = MARKS.iter().filter_map(|mark| {
        let mut marks = line.match_indices(mark).map(|(at, _)| at);
        marks.find(|&at| is_remark(line, at))
    });
    match starts.min() {
        Some(at) => line.get(..at).unwrap_or(line),
        None => line,
    }
}

/// The line behind an arrow that begins it: `---->   tag: 4095`.
fn pointed_at(line: &str) -> &str {
    let behind = line.trim_start_matches(['-', '=']);
    let arrow = line.len() - behind.len();
    let pointer = POINTERS.iter().find_map(|pointer| {
        // The last sign of the shaft belongs to the arrow.
        let head = pointer.trim_start_matches(['-', '=']);
        behind.strip_prefix(head).filter(|_| arrow > 0 || head.len() == pointer.len())
    });
    match pointer {
        Some(rest) if rest.starts_with([' ', '\t']) && !rest.trim().is_empty() => rest,
        _ => line,
    }
}

fn is_remark(line: &str, at: usize) -> bool {
    let (before, behind) = (line.get(..at).unwrap_or_default(), line.get(at..).unwrap_or_default());
    before.ends_with([' ', '\t'])
        && !before.trim().is_empty()
        && !behind.contains(['"', '\'', '>', '}', ']'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remarks_come_off() {
        for (line, bare) in [
            ("tag: 4095   <---- here", "tag: 4095"),
            ("tag: 4095 <-- dead VLAN", "tag: 4095"),
            ("tag: 4095 <== why?", "tag: 4095"),
            ("tag: 4095 <<<", "tag: 4095"),
            ("tag: 4095 \u{2190} why?", "tag: 4095"),
            ("MII Status: down !!!", "MII Status: down"),
            ("MII Status: down   <-------- here", "MII Status: down"),
            ("=>          tag: 4095", "          tag: 4095"),
            ("----->      tag: 4095", "      tag: 4095"),
            ("\u{2192} tag: 4095", " tag: 4095"),
            ("2: eth0: <BROADCAST,UP> mtu 1500 <-", "2: eth0: <BROADCAST,UP> mtu 1500"),
        ] {
            assert!(are_in(line), "{line}");
            assert_eq!(without(line).trim_end(), bare, "{line}");
        }
        for line in [
            "2: eth0: <BROADCAST,UP> mtu 1500",
            "-A FORWARD -m comment --comment \"a <- b\" -j ACCEPT",
            "<--- here",
            "meta length <= 3 accept",
            "meta mark set ct mark << 8",
            "load:0x1->NXM_NX_REG0[]",
        ] {
            assert_eq!(without(line), line);
        }
    }
}
