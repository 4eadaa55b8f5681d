//! Finds in a text what identifies: addresses, ids, and names that are known.
use std::collections::{BTreeSet, HashMap};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crate::addresses::{self, octets};

/// Prefixes of devices before the first 11 characters of the id of a port, a router or a network.
const DEVICES: &[&str] = &[
    "tap", "qvb", "qvo", "qbr", "vhu", "vfr", "nic", "brq", "qr", "qg", "ha", "sg", "fg", "ns",
    "tpt", "tpi", "spt", "spi", "rfp", "fpr",
];
/// Names of tunnels that hold the address of the far end in hexadecimal digits.
const TUNNELS: &[&str] = &["vxlan-", "gre-", "geneve-", "stt-"];
/// Where hyphens stand in a UUID, and where it ends.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
const UUID: usize = 36;
/// Digits of an id that programs show at least.
const SHOWN: usize = 10;
/// Characters of an id in the name of a device.
pub(crate) const PART: usize = 11;

/// What was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Token {
    V4 {
        address: Ipv4Addr,
        length: Option<u8>,
        hyphens: bool,
    },
    V6 {
        address: Ipv6Addr,
        length: Option<u8>,
    },
    Mac([u8; 6]),
    /// Octets without anything between them.
    MacDigits,
    /// More octets than a MAC has: the address of a device of InfiniBand.
    LongMac,
    /// An IPv4 address in hexadecimal digits, without `0x`.
    V4Digits(Ipv4Addr),
    /// A number behind `0x` that may be an address.
    Number(u128),
    /// A UUID, the id of a container, or a part of one.
    Id,
    /// A name that is known.
    Name,
}

/// What the texts of a run have, without which some tokens cannot be told from mere numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ids {
    /// The first characters of UUIDs and of the parts of them in names: 6, 8.
    starts: BTreeSet<String>,
    /// The first ten digits of ids, hyphens left out.
    digits: BTreeSet<String>,
    /// The first eleven characters of UUIDs.
    ports: BTreeSet<String>,
    /// Eleven characters of ids in names.
    parts: BTreeSet<String>,
}

impl Ids {
    /// Enters an id, or the first characters of one.
    pub(crate) fn enter(&mut self, id: &str) {
        let id = id.to_ascii_lowercase();
        if id.len() == PART {
            self.parts.insert(id.clone());
        }
        let digits: String = id.chars().filter(char::is_ascii_hexdigit).collect();
        for length in [6, 8] {
            self.starts.extend(digits.get(..length).map(str::to_owned));
        }
        self.digits.extend(digits.get(..SHOWN).map(str::to_owned));
        if digits.len() >= 32 {
            let port = digits.get(..8).zip(digits.get(8..SHOWN));
            self.ports.extend(port.map(|(first, then)| format!("{first}-{then}")));
        }
    }

    fn starts(&self, text: &str) -> bool {
        self.starts.contains(&text.to_ascii_lowercase())
    }

    fn has(&self, digits: &str) -> bool {
        let start = digits.get(..SHOWN).unwrap_or(digits);
        self.digits.contains(&start.to_ascii_lowercase())
    }

    /// Whether the last of eleven characters is no part of the id: the agent of OVN for metadata puts 0
    /// and 1 behind ten of them.
    pub(crate) fn is_numbered(&self, part: &str) -> bool {
        let Some((id, last)) = part.split_at_checked(SHOWN) else { return false };
        let other = match last {
            "0" => "1",
            "1" => "0",
            _ => return false,
        };
        let is_start = |port: &String| port.starts_with(id);
        let has_id = self.ports.range(id.to_owned()..).next().is_some_and(is_start);
        // The id of a network may go on with that digit by chance: then the other end tells.
        has_id && (!self.ports.contains(part) || self.parts.contains(&format!("{id}{other}")))
    }
}

/// Names, by the letters and digits with which they begin.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(HashMap<String, Vec<String>>);

impl Names {
    pub(crate) fn new<'n>(all: impl IntoIterator<Item = &'n str>) -> Self {
        let mut by_start: HashMap<String, Vec<String>> = HashMap::new();
        for name in all {
            let (start, end) = (0, run_end(name.as_bytes(), 0));
            if let Some(run) = name.get(start..end).filter(|run| !run.is_empty()) {
                by_start.entry(run.to_owned()).or_default().push(name.to_owned());
            }
        }
        #[expect(clippy::iter_over_hash_type, reason = "each is sorted for itself")]
        for names in by_start.values_mut() {
            names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        }
        Self(by_start)
    }

    /// The longest name that stands at the beginning of `text`, whose first run is this.
    fn at(&self, run: &str, text: &str) -> Option<usize> {
        let names = self.0.get(run)?;
        let stands = |name: &&String| {
            let ends = |rest: &str| rest.bytes().next().is_none_or(|next| !is_inner(next));
            text.strip_prefix(name.as_str()).is_some_and(ends)
        };
        names.iter().find(stands).map(String::len)
    }
}

/// What the scanner knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lookup<'l> {
    pub(crate) ids: &'l Ids,
    pub(crate) names: &'l Names,
    pub(crate) addresses: &'l addresses::Known,
}

/// Whether a byte is within a word: at others, names begin and end.
fn is_inner(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80
}

fn run_end(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().position(|byte| !is_inner(*byte)).unwrap_or(rest.len())
}

/// The part of `bytes` from `from` on that holds only what `fits`.
fn while_fits(text: &str, from: usize, fits: impl Fn(u8) -> bool) -> &str {
    let rest = text.get(from..).unwrap_or_default();
    let end = rest.bytes().position(|byte| !fits(byte)).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

/// Shows what is found in `text`, in order.
pub(crate) fn scan(text: &str, lookup: Lookup<'_>, mut found: impl FnMut(Range<usize>, Token)) {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied();
    let mut at = 0;
    while at < bytes.len() {
        let Some(here) = byte(at) else { break };
        let before = at.checked_sub(1).and_then(byte);
        let is_double_colon = here == b':'
            && byte(at + 1) == Some(b':')
            && before.is_none_or(|before| !is_inner(before) && before != b':');
        if !is_inner(here) && !is_double_colon {
            at += 1;
            continue;
        }
        let scanner = Scanner { text, lookup, at };
        let end = if is_double_colon { at } else { run_end(bytes, at) };
        match scanner.token(end) {
            Some((range, token)) => {
                // What follows a MAC behind a slash is a mask.
                at = range.end.max(at + 1);
                if matches!(token, Token::Mac(_)) && byte(at) == Some(b'/') {
                    let mask =
                        while_fits(text, at + 1, |byte| byte.is_ascii_hexdigit() || byte == b':');
                    if octets(mask).is_some() {
                        at += 1 + mask.len();
                    }
                }
                found(range, token);
            }
            None => at = end.max(at + 1),
        }
    }
}

struct Scanner<'t, 'l> {
    text: &'t str,
    lookup: Lookup<'l>,
    /// Where a word begins.
    at: usize,
}

impl Scanner<'_, '_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn before(&self) -> &str {
        self.text.get(..self.at).unwrap_or_default()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn ends_at(&self, at: usize) -> bool {
        self.byte(at).is_none_or(|next| !is_inner(next))
    }

    /// What begins here; the word ends at `end`.
    fn token(&self, end: usize) -> Option<(Range<usize>, Token)> {
        let run = self.text.get(self.at..end).unwrap_or_default();
        if let Some(length) = self.lookup.names.at(run, self.rest()) {
            return Some((self.at..self.at + length, Token::Name));
        }
        let is_hex = !run.is_empty() && run.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_hex || run.is_empty() {
            let colons = self.octets().or_else(|| self.v6());
            if let Some(found) = colons {
                return Some(found);
            }
        }
        if run.bytes().all(|byte| byte.is_ascii_digit())
            && let Some(found) = self.v4()
        {
            return Some(found);
        }
        self.number(run, end).or_else(|| self.id(run, end, is_hex))
    }

    /// A MAC, or more octets.
    fn octets(&self) -> Option<(Range<usize>, Token)> {
        let fits = |byte: u8| byte.is_ascii_hexdigit() || byte == b':';
        let mut whole = while_fits(self.text, self.at, fits);
        // A colon behind it belongs to the sentence.
        while whole.ends_with(':') && !whole.ends_with("::") {
            whole = whole.strip_suffix(':')?;
        }
        let mut groups: Vec<&str> = whole.split(':').collect();
        if groups.len() == 1 {
            let fits = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
            whole = while_fits(self.text, self.at, fits).trim_end_matches('-');
            groups = whole.split('-').collect();
            if groups.iter().any(|group| group.len() != 2) {
                return None;
            }
        }
        let end = self.at + whole.len();
        let are_octets = groups.iter().all(|group| (1..=2).contains(&group.len()));
        if !are_octets || !self.ends_at(end) {
            return None;
        }
        // `8000.c6:78:…` is the id of a bridge.
        match groups.len() {
            6 => Some((self.at..end, Token::Mac(octets(whole)?))),
            20 => Some((self.at..end, Token::LongMac)),
            _ => None,
        }
    }

    fn v6(&self) -> Option<(Range<usize>, Token)> {
        let fits = |byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
        let mut whole = while_fits(self.text, self.at, fits);
        if whole.bytes().filter(|byte| *byte == b':').count() < 2 {
            return None;
        }
        loop {
            let end = self.at + whole.len();
            if let Ok(address) = whole.parse::<Ipv6Addr>() {
                let length = self.length(end).map(|(length, _)| length);
                return self.ends_at(end).then_some((self.at..end, Token::V6 { address, length }));
            }
            // Behind it stands the end of a sentence, or a port.
            let cut = whole.rfind([':', '.'])?;
            whole = whole.get(..cut)?;
        }
    }

    fn v4(&self) -> Option<(Range<usize>, Token)> {
        let between = |sign: u8| {
            let fits = move |byte: u8| byte.is_ascii_digit() || byte == sign;
            while_fits(self.text, self.at, fits)
        };
        let bytes = self.before().as_bytes();
        let follows_a_number = bytes.last() == Some(&b'.')
            && bytes
                .len()
                .checked_sub(2)
                .and_then(|at| bytes.get(at))
                .is_some_and(u8::is_ascii_digit);
        let dotted = between(b'.').trim_end_matches('.');
        if let Ok(address) = dotted.parse::<Ipv4Addr>() {
            let end = self.at + dotted.len();
            let length = self.length(end).map(|(length, _)| length);
            let is_one = !follows_a_number && self.ends_at(end);
            return is_one.then_some((self.at..end, Token::V4 { address, length, hyphens: false }));
        }
        let address: Ipv4Addr =
            between(b'-').trim_end_matches('-').replace('-', ".").parse().ok()?;
        let end = self.at + between(b'-').trim_end_matches('-').len();
        let is_one = self.lookup.addresses.v4.contains(&address) && self.ends_at(end);
        is_one.then_some((self.at..end, Token::V4 { address, length: None, hyphens: true }))
    }

    /// The length of a prefix behind a slash, or the mask that means one.
    fn length(&self, at: usize) -> Option<(u8, usize)> {
        if self.byte(at) != Some(b'/') {
            return None;
        }
        let fits = |byte: u8| byte.is_ascii_digit() || byte == b'.';
        let word = while_fits(self.text, at + 1, fits).trim_end_matches('.');
        let length = match word.parse::<u8>() {
            Ok(length) => length,
            Err(_) => mask_length(word.parse().ok()?)?,
        };
        Some((length, at + 1 + word.len()))
    }

    /// `0xfa163e010203`.
    fn number(&self, run: &str, end: usize) -> Option<(Range<usize>, Token)> {
        let digits = run.strip_prefix("0x")?;
        let number = u128::from_str_radix(digits, 16).ok()?;
        let known = self.lookup.addresses;
        let low = u64::try_from(number).ok();
        let v4 = u32::try_from(number).ok().map(Ipv4Addr::from_bits);
        let is_v4 = v4.is_some_and(|v4| v4.octets()[0] > 0 && known.v4.contains(&v4));
        let mac = low.filter(|low| *low > u64::from(u32::MAX));
        let [_, _, mac @ ..] = mac.unwrap_or_default().to_be_bytes();
        let is_mac = mac != [0; 6] && known.macs.contains(&mac) && low.is_some();
        let is_v6 = low.is_none() && known.v6.contains(&Ipv6Addr::from_bits(number));
        (is_v4 || is_mac || is_v6).then_some((self.at..end, Token::Number(number)))
    }

    fn id(&self, run: &str, end: usize, is_hex: bool) -> Option<(Range<usize>, Token)> {
        let ids = self.lookup.ids;
        let whole = self.at..end;
        if is_hex {
            let is_number = run.bytes().all(|byte| byte.is_ascii_digit());
            let number = u64::from_str_radix(run, 16).ok();
            let [_, _, mac @ ..] = number.unwrap_or_default().to_be_bytes();
            let known = self.lookup.addresses;
            match run.len() {
                32 | 40 | 64 if !is_number => return Some((whole, Token::Id)),
                12 | 16 if number.is_some() && known.macs.contains(&mac) => {
                    return Some((whole, Token::MacDigits));
                }
                12 if self.before().ends_with("br-") => return Some((whole, Token::Id)),
                8 if TUNNELS.iter().any(|tunnel| self.before().ends_with(tunnel)) => {
                    let v4 = Ipv4Addr::from_bits(u32::from_str_radix(run, 16).ok()?);
                    return Some((whole, Token::V4Digits(v4)));
                }
                6 if self.before().ends_with("ovn-") && ids.starts(run) => {
                    return Some((whole, Token::Id));
                }
                SHOWN..=31 if ids.has(run) => return Some((whole, Token::Id)),
                _ => {}
            }
        }
        if let Some(mac) = run.strip_prefix("enx").filter(|mac| mac.len() == 12) {
            let number = u64::from_str_radix(mac, 16).ok()?;
            let [_, _, mac @ ..] = number.to_be_bytes();
            let is_known = self.lookup.addresses.macs.contains(&mac);
            return is_known.then_some((self.at + 3..end, Token::MacDigits));
        }
        // A UUID or its first characters, alone or behind letters.
        let from = end.checked_sub(8).filter(|from| *from >= self.at)?;
        let first = self.text.get(from..end)?;
        if !first.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let length = uuid_length(self.text.get(from..)?);
        let to = from + length;
        if !self.ends_at(to) {
            return None;
        }
        let letters = self.text.get(self.at..from).unwrap_or_default();
        let is_device = DEVICES.iter().any(|device| {
            letters == *device
                || letters.is_empty() && self.before().ends_with(&format!("{device}-"))
        });
        let is_one = match length {
            UUID => true,
            8 => ids.starts(first) && first.bytes().any(|byte| byte.is_ascii_alphabetic()),
            PART => is_device || ids.starts(first),
            _ => ids.starts(first),
        };
        is_one.then_some((from..to, Token::Id))
    }
}

/// How many characters of `text` are those of a UUID, without a hyphen at their end.
fn uuid_length(text: &str) -> usize {
    let fits = |(at, byte): (usize, u8)| {
        if HYPHENS.contains(&at) { byte == b'-' } else { byte.is_ascii_hexdigit() && at < UUID }
    };
    let length = text.bytes().enumerate().position(|next| !fits(next)).unwrap_or(text.len());
    let ends_with_hyphen = HYPHENS.contains(&length.saturating_sub(1)) && length > 8;
    if ends_with_hyphen { length - 1 } else { length }
}

/// The length of the prefix that a mask means.
pub(crate) fn mask_length(mask: Ipv4Addr) -> Option<u8> {
    let bits = mask.to_bits();
    let length = bits.leading_ones();
    (length + bits.trailing_zeros() >= 32 && length > 0).then(|| u8::try_from(length).unwrap_or(32))
}
