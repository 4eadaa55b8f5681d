//! Quoted-printable, in which mail programs save what others sent (RFC 2045 §6.7): `=3D` stands for
//! `=`, and `=` at the end of a line says that the line goes on.
use std::ops::Range;

use super::Line;
use super::placed::Placed;

/// Whether a text may be encoded, at the cost of a look: most texts are not.
pub(super) fn may_be(text: &[u8]) -> bool {
    // Flows and databases are full of `=`: what stands behind it is looked for along with it.
    ["=3D", "=\n", "=\r"].iter().any(|code| memchr::memmem::find(text, code.as_bytes()).is_some())
}

/// Takes the encoding off: of parts whose header announces it, or of a text in which no `=` stands
/// for itself.
pub(super) fn decode(lines: &mut Vec<Line<'_>>) {
    let parts = announced(lines);
    let whole = parts.is_empty() && is_encoded(lines);
    if parts.is_empty() && !whole {
        return;
    }
    let mut of_line = vec![whole; lines.len()];
    for part in parts {
        of_line.get_mut(part).unwrap_or_default().fill(true);
    }
    let mut begun: Option<(u32, Placed)> = None;
    let mut decoded = Vec::with_capacity(lines.len());
    for (line, encoded) in lines.drain(..).zip(of_line) {
        let plainly = begun.is_none() && !(encoded && line.text.contains('='));
        if plainly {
            decoded.push(line);
            continue;
        }
        let (number, mut out) = begun.take().unwrap_or((line.number, Placed::default()));
        let goes_on = if encoded {
            plain(&line, &mut out)
        } else {
            line.characters().for_each(|(c, place)| out.push(c, place));
            false
        };
        if goes_on {
            begun = Some((number, out));
        } else {
            decoded.push(out.into_line(number));
        }
    }
    decoded.extend(begun.map(|(number, out)| out.into_line(number)));
    *lines = decoded;
}

/// The parts of a mail whose header says that they are encoded: up to the next boundary.
fn announced(lines: &[Line<'_>]) -> Vec<Range<usize>> {
    let says = |line: &Line<'_>| {
        const NAME: &[u8] = b"content-transfer-encoding:";
        const KIND: &[u8] = b"quoted-printable";
        let text = line.text.as_bytes().trim_ascii_start();
        // Most lines are told by their first letter.
        if !matches!(text.first(), Some(b'c' | b'C')) {
            return false;
        }
        let text = text.trim_ascii_end();
        let begins = text.get(..NAME.len()).is_some_and(|name| name.eq_ignore_ascii_case(NAME));
        begins && text.last_chunk().is_some_and(|end: &[u8; 16]| end.eq_ignore_ascii_case(KIND))
    };
    let is_boundary = |line: &Line<'_>| {
        let name = line.text.strip_prefix("--").unwrap_or_default();
        name.len() >= 8 && !name.contains(' ') && name.contains(|c: char| c.is_alphanumeric())
    };
    let starts = lines.iter().enumerate().filter(|(_, line)| says(line)).map(|(at, _)| at + 1);
    starts
        .map(|from| {
            let rest = lines.get(from..).unwrap_or_default();
            from..rest.iter().position(is_boundary).map_or(lines.len(), |length| from + length)
        })
        .collect()
}

/// Whether every `=` of a text begins a code or ends a line, and `=` itself is among the codes, or a
/// line ends where a mail program breaks it.
fn is_encoded(lines: &[Line<'_>]) -> bool {
    /// No encoded line is longer.
    const WIDTH: usize = 76;
    let mut any = false;
    for line in lines {
        let mut rest = line.text.trim_end();
        any |= rest.ends_with('=') && (WIDTH - 6..=WIDTH).contains(&rest.len());
        while let Some((_, behind)) = rest.split_once('=') {
            if !behind.is_empty() && code(behind).is_none() {
                return false;
            }
            any |= behind.starts_with("3D");
            rest = behind;
        }
    }
    any
}

/// The byte that two digits behind `=` stand for.
fn code(behind: &str) -> Option<u8> {
    let digits = behind.get(..2)?;
    let is_code = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'A'..=b'F'));
    is_code.then(|| u8::from_str_radix(digits, 16).ok())?
}

/// Adds a line without its codes, and says whether the next goes on with it.
fn plain(line: &Line<'_>, out: &mut Placed) -> bool {
    let (mut rest, goes_on) = match line.text.trim_end().strip_suffix('=') {
        Some(begun) => (begun, true),
        None => (&*line.text, false),
    };
    let mut characters = line.characters();
    let mut bytes = Vec::with_capacity(rest.len());
    let mut places = Vec::with_capacity(rest.len());
    while let (Some(c), Some((_, place))) = (rest.chars().next(), characters.next()) {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        let byte = if c == '=' { code(rest) } else { None };
        if let Some(byte) = byte {
            bytes.push(byte);
            rest = rest.get(2..).unwrap_or_default();
            characters.nth(1);
        } else {
            bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        places.resize(bytes.len(), place);
    }
    let mut places = places.into_iter();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            let Some(place) = places.next() else { break };
            out.push(c, place);
            places.by_ref().take(c.len_utf8() - 1).for_each(drop);
        }
        let broken = chunk.invalid().len();
        if let Some(place) = places.by_ref().take(broken).last() {
            out.push(char::REPLACEMENT_CHARACTER, place);
        }
    }
    goes_on
}

#[cfg(test)]
mod tests {
    use super::super::unpack;

    fn shown(text: &str) -> Vec<(u32, String)> {
        unpack(text).iter().map(|line| (line.number, line.text.to_string())).collect()
    }

    #[test]
    fn codes_and_soft_ends_come_off() {
        let text = "$ ovs-ofctl dump-flows br-int\n cookie=3D0x0, table=3D0, n_packets=3D=\n5 =\n\
                    actions=3DNORMAL\ncaf=C3=A9\n";
        assert_eq!(
            shown(text),
            [
                (1, "$ ovs-ofctl dump-flows br-int".to_owned()),
                (2, " cookie=0x0, table=0, n_packets=5 actions=NORMAL".to_owned()),
                (5, "café".to_owned()),
            ]
        );
    }

    #[test]
    fn a_header_announces_it_for_its_part_alone() {
        let text = "Content-Type: text/plain; charset=utf-8\n\
                    Content-Transfer-Encoding: quoted-printable\n\ntag=3D4\n--0000000000a1b2\n\
                    tag=3D5\n";
        let lines: Vec<_> = shown(text).into_iter().map(|line| line.1).collect();
        assert_eq!(
            lines.get(3..),
            Some(["tag=4", "--0000000000a1b2", "tag=3D5"].map(String::from).as_slice())
        );
    }

    #[test]
    fn a_long_line_was_broken_where_it_ends_in_a_sign() {
        let first = "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group=";
        let text = format!("{first}\n default qlen 1000\nx\n");
        assert_eq!(first.len(), 76);
        let joined = format!("{} default qlen 1000", first.trim_end_matches('='));
        assert_eq!(shown(&text), [(1, joined), (3, "x".to_owned())]);
        // A heading, and what is too short to have been broken.
        for text in ["=====\nx\n", "a=\nb\n"] {
            assert_eq!(shown(text).len(), 2, "{text}");
        }
    }

    #[test]
    fn a_sign_that_stands_for_itself_keeps_all() {
        assert_eq!(
            shown("tag=3D\nid=5\n").first().map(|line| line.1.clone()),
            Some("tag=3D".to_owned())
        );
    }
}
