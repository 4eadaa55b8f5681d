//! Base64, in which mail programs save what others sent (RFC 2045 §6.8), where a header announces it.
use super::Line;
use super::placed::Placed;
use super::signs::Signs;

/// Bytes of one part that are decoded at most.
const MOST: usize = 64 << 20;

/// Whether a text may have such a part, at the cost of a look.
pub(super) fn may_be(text: &[u8]) -> bool {
    const HEAD: usize = 256 << 10;
    let head = text.get(..HEAD.min(text.len())).unwrap_or(text);
    memchr::memmem::find(head, b"base64").is_some()
}

/// Puts what the parts hold in their place.
pub(super) fn decode(lines: &mut Vec<Line<'_>>) {
    let mut out: Vec<Line<'_>> = Vec::with_capacity(lines.len());
    // A header says it, a blank line ends the header, and a line that is none ends the part.
    let (mut said, mut part) = (false, None::<Part>);
    for line in lines.drain(..) {
        if let Some(open) = &mut part {
            if open.take(&line) {
                continue;
            }
            out.extend(part.take().into_iter().flat_map(Part::lines));
        }
        if said && line.is_blank() {
            (said, part) = (false, Some(Part::default()));
        } else if announces(&line) {
            said = true;
        }
        out.push(line);
    }
    out.extend(part.into_iter().flat_map(Part::lines));
    *lines = out;
}

/// Whether a line of a header says that the part is encoded.
fn announces(line: &Line<'_>) -> bool {
    const NAME: &str = "content-transfer-encoding:";
    let text = line.text.trim();
    let is = |name: &str| name.eq_ignore_ascii_case(NAME);
    text.len() < 60
        && text.get(..NAME.len()).is_some_and(is)
        && text.get(NAME.len()..).is_some_and(|rest| rest.trim().eq_ignore_ascii_case("base64"))
}

/// A part that is being decoded.
#[derive(Default)]
struct Part {
    bytes: Vec<u8>,
    /// Where each byte stands: line and column of the letters that it was made of.
    places: Vec<(u32, u32)>,
    bits: u32,
    count: u32,
}

impl Part {
    /// Takes a line in, if it is one of the code.
    fn take(&mut self, line: &Line<'_>) -> bool {
        let text = line.trimmed();
        let is_code = !text.is_empty()
            && !line.signs.has(Signs::BEYOND_ASCII)
            && text.trim_end_matches('=').bytes().all(|b| value(b).is_some());
        if !is_code || self.bytes.len() > MOST {
            return false;
        }
        for (b, column) in text.bytes().zip(line.column..) {
            let Some(six) = value(b) else { break };
            self.bits = self.bits << 6 | six;
            self.count += 6;
            if self.count >= 8 {
                self.count -= 8;
                self.bytes.push(u8::try_from(self.bits >> self.count & 0xff).unwrap_or_default());
                self.places.push((line.number, column));
            }
        }
        true
    }

    /// The lines that it holds, if it is text.
    fn lines<'a>(self) -> Vec<Line<'a>> {
        let Ok(text) = std::str::from_utf8(&self.bytes) else { return Vec::new() };
        let mut made = Vec::new();
        let (mut placed, mut number) = (Placed::default(), None);
        for (at, c) in text.char_indices() {
            let place = self.places.get(at).copied().unwrap_or_default();
            let of_line = *number.get_or_insert(place.0);
            match c {
                '\n' => {
                    made.push(std::mem::take(&mut placed).into_line(of_line));
                    number = None;
                }
                '\r' => {}
                c => placed.push(c, place),
            }
        }
        if let Some(of_line) = number {
            made.push(placed.into_line(of_line));
        }
        made
    }
}

/// The six bits that a letter stands for.
fn value(b: u8) -> Option<u32> {
    let value = match b {
        b'A'..=b'Z' => b - b'A',
        b'a'..=b'z' => b - b'a' + 26,
        b'0'..=b'9' => b - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    };
    Some(u32::from(value))
}

#[cfg(test)]
mod tests {
    use super::super::unpack;

    #[test]
    fn a_part_is_what_it_holds() {
        let text = "From: a@b\nContent-Transfer-Encoding: base64\n\nJCBpcCByCmRlZmF1bHQgdmlhIDE5\n\
                    Mi4wLjIuMSBkZXYgZXRoMAo=\n\nbye\n";
        let lines = unpack(text);
        let shown: Vec<_> = lines.iter().map(|line| (line.number, line.text.as_ref())).collect();
        let wanted = [
            (1, "From: a@b"),
            (2, "Content-Transfer-Encoding: base64"),
            (3, ""),
            (4, "$ ip r"),
            (4, "default via 192.0.2.1 dev eth0"),
            (6, ""),
            (7, "bye"),
        ];
        assert_eq!(shown, wanted);
        // Its end stands on the next line.
        let place = lines[4].place();
        assert_eq!([place.of(0).0, place.of(29).0], [4, 5]);
        assert_eq!(unpack("JCBpcCByCmRlZmF1bHQ=\n").first().unwrap().text, "JCBpcCByCmRlZmF1bHQ=");
    }
}
