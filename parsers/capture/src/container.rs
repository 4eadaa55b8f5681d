//! What a file is, told by its first bytes and never by its name.

/// Sort of file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A tar archive.
    Tar,
    /// xz, one or more streams.
    Xz,
    /// gzip, one or more members.
    Gzip,
    /// bzip2, one or more streams.
    Bzip2,
    /// Zstandard.
    Zstd,
    /// A zip archive.
    Zip,
    /// An archive or wrapping that is not read; its name.
    Foreign(&'static str),
    /// Nothing in it.
    Empty,
    /// Text, as far as can be seen.
    Text,
    /// Anything else.
    Binary,
}

impl Kind {
    /// Whether it is something compressed.
    pub(crate) fn is_compression(self) -> bool {
        matches!(self, Self::Xz | Self::Gzip | Self::Bzip2 | Self::Zstd)
    }

    /// Whether there are members or texts inside.
    pub(crate) fn is_container(self) -> bool {
        matches!(self, Self::Tar | Self::Zip) || self.is_compression()
    }
}

/// Bytes that [`sniff`] wants to see.
pub(crate) const HEAD: usize = 4096;

/// Tells what a file is by its first bytes.
pub(crate) fn sniff(head: &[u8]) -> Kind {
    const FOREIGN: &[(&[u8], &str)] = &[
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive (unpack it with `7z x` and give the folder)"),
        (b"Rar!", "a rar archive (unpack it with `unrar x` and give the folder)"),
        (b"\x89PNG", "a picture"),
        (b"\xff\xd8\xff", "a picture"),
        (b"GIF8", "a picture"),
        (b"%PDF", "a PDF document"),
        (b"\x7fELF", "a program"),
        (b"-----BEGIN PGP", "an encrypted file"),
        (b"\xd4\xc3\xb2\xa1", "a packet capture"),
        (b"\x0a\x0d\x0d\x0a", "a packet capture"),
        (b"SQLite format", "a database"),
    ];
    match head {
        [] => Kind::Empty,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Kind::Xz,
        [0x1f, 0x8b, 8, ..] => Kind::Gzip,
        [b'B', b'Z', b'h', b'1'..=b'9', b'1' | 0x17, ..] => Kind::Bzip2,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Kind::Zstd,
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Kind::Zip,
        // OpenPGP packets of symmetric or public-key encryption.
        [0x85 | 0x8c | 0xc3, 0x01..=0x0d, 0x03..=0x04, ..] => Kind::Foreign("an encrypted file"),
        _ if is_tar(head) => Kind::Tar,
        _ => match FOREIGN.iter().find(|foreign| head.starts_with(foreign.0)) {
            Some(&(_, name)) => Kind::Foreign(name),
            None if is_text(head) => Kind::Text,
            None => Kind::Binary,
        },
    }
}

/// A tar header, old or new: its check sum is right.
fn is_tar(head: &[u8]) -> bool {
    let Some(header) = head.get(..512) else { return false };
    let Some(field) = header.get(148..156) else { return false };
    let digits: String =
        field.iter().map(|&b| char::from(b)).filter(char::is_ascii_digit).collect();
    let Ok(told) = u64::from_str_radix(&digits, 8) else { return false };
    let sum = |range: &[u8]| range.iter().map(|&b| u64::from(b)).sum::<u64>();
    // The field itself counts as blanks.
    told == sum(header) - sum(field) + 8 * u64::from(b' ')
}

/// Text in the encoding and with the line ends that all else expects.
pub(crate) fn plain_text(bytes: Vec<u8>) -> Vec<u8> {
    with_line_ends(without_mark(bytes))
}

/// Text as UTF-8 without a mark in front: Windows shells save UTF-16, editors put a mark before
/// UTF-8. All else is left alone.
fn without_mark(bytes: Vec<u8>) -> Vec<u8> {
    let wide = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, _) = rest.as_chunks::<2>();
        let units: Vec<u16> = pairs.iter().map(|&pair| unit(pair)).collect();
        String::from_utf16_lossy(&units).into_bytes()
    };
    match bytes.as_slice() {
        [0xef, 0xbb, 0xbf, rest @ ..] => rest.to_vec(),
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        unmarked => match wide_without_mark(unmarked) {
            Some(unit) => wide(unmarked, unit),
            None => bytes,
        },
    }
}

/// Lines that an old program ended with a carriage return alone end as others do.
fn with_line_ends(mut bytes: Vec<u8>) -> Vec<u8> {
    if memchr::memchr(b'\n', &bytes).is_none() && memchr::memchr(b'\r', &bytes).is_some() {
        bytes.iter_mut().filter(|b| **b == b'\r').for_each(|b| *b = b'\n');
    }
    bytes
}

/// UTF-16 that no mark announces: nearly every second byte is NUL, as in text of few letters.
fn wide_without_mark(bytes: &[u8]) -> Option<fn([u8; 2]) -> u16> {
    const SEEN: usize = 512;
    let head = bytes.get(..SEEN.min(bytes.len()))?;
    let (pairs, _) = head.as_chunks::<2>();
    if pairs.len() < 8 {
        return None;
    }
    let zeros = |at: usize| pairs.iter().filter(|pair| pair.get(at) == Some(&0)).count();
    match (zeros(0), zeros(1)) {
        (0, low) if low * 10 >= pairs.len() * 8 => Some(u16::from_le_bytes),
        (high, 0) if high * 10 >= pairs.len() * 8 => Some(u16::from_be_bytes),
        _ => None,
    }
}

/// Whether a good part of it is no text in any encoding: no damaged text looks so.
pub(crate) fn is_noise(head: &[u8]) -> bool {
    let is_odd = |c: char| c == char::REPLACEMENT_CHARACTER || c.is_control() && !c.is_whitespace();
    let text = String::from_utf8_lossy(head);
    let odd = text.chars().filter(|&c| is_odd(c)).count();
    odd * 4 > text.chars().count()
}

/// Few control characters, no NUL, unless a mark says that it is UTF-16.
fn is_text(head: &[u8]) -> bool {
    if matches!(head, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) || wide_without_mark(head).is_some() {
        let text = without_mark(head.to_vec());
        return !text.contains(&0) && is_text(&text);
    }
    let control = |b: u8| b < b' ' && !matches!(b, b'\n' | b'\r' | b'\t' | 0x8 | 0xc | 0x1b | 0x7);
    if head.contains(&0) {
        return false;
    }
    let odd = head.iter().filter(|&&b| control(b)).count();
    let broken = match std::str::from_utf8(head) {
        // The mark for what is broken may stand in a sound text as well.
        Ok(text) if !text.contains(char::REPLACEMENT_CHARACTER) => 0,
        _ => {
            let text = String::from_utf8_lossy(head);
            text.chars().filter(|&c| c == char::REPLACEMENT_CHARACTER).count()
        }
    };
    odd * 50 <= head.len() && broken * 10 <= head.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_and_text() {
        assert_eq!(sniff(b""), Kind::Empty);
        assert_eq!(sniff(b"\xfd7zXZ\0rest"), Kind::Xz);
        assert_eq!(sniff(b"PK\x03\x04"), Kind::Zip);
        assert_eq!(sniff("1: lo: <UP> ü\n".as_bytes()), Kind::Text);
        assert_eq!(sniff(&[0; 600]), Kind::Binary);
        let wide: Vec<u8> =
            "1: lo: <UP> mtu 65536\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(sniff(&wide), Kind::Text);
        assert_eq!(without_mark(wide), b"1: lo: <UP> mtu 65536\n");
        assert_eq!(sniff(&[0x80, 0x91, 0xff, 0xfe].repeat(200)), Kind::Binary);
    }
}
