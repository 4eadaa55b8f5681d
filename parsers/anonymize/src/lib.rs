//! Substitutes for addresses, names and ids in what was captured.
//!
//! It stands between the texts and their readers, so whatever is made of the texts afterwards, in
//! whichever form, is made of substitutes. One original has one substitute in a run, and what is made of
//! an original (a prefix of an id in a name, an address of a MAC, the broadcast of a prefix) is made of its
//! substitute: whatever joins before joins afterwards.
#![expect(clippy::many_single_char_names, reason = "the octets of an address are a to f")]
#![expect(clippy::format_collect, reason = "hashes and pages are short")]
mod addresses;
mod apply;
mod framed;
mod ids;
mod learn;
mod scan;
mod secret;
mod secrets;
mod vocabulary;
mod words;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use sha1::{Digest as _, Sha1};
use tapline_core::capture::Snapshot;

use crate::addresses::{Addresses, Known, is_kept_mac, is_kept4, is_kept6, octets};
use crate::scan::{Ids, Lookup, Token, scan};
use crate::secret::Secret;
use crate::vocabulary::{is_of_formats, is_of_programs};
use crate::words::Words;

/// Substitutes for all that identifies in some captures.
#[derive(Debug)]
pub struct Substitutes {
    secret: Secret,
    addresses: Addresses,
    ids: Ids,
    /// Names with their substitutes.
    names: BTreeMap<String, String>,
    /// Names of all things, replaced or not.
    things: BTreeSet<String>,
    finder: scan::Names,
    /// Names that are words of programs, too.
    kept: BTreeSet<String>,
    /// Substitutes of names and addresses: what a person copies from a page is not replaced again.
    images: BTreeSet<String>,
    made: Mutex<HashMap<String, String>>,
}

/// How much was replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// IPv4 and IPv6 addresses.
    pub addresses: usize,
    /// MAC addresses.
    pub macs: usize,
    /// Names.
    pub names: usize,
}

impl Substitutes {
    /// Finds substitutes for what these captures have. Captures that are told apart or compared go in
    /// together.
    ///
    /// Without a key they follow from all that is replaced, so the same captures get the same ones; with
    /// the same key, so do captures of another day.
    pub fn new(snapshots: &[&Snapshot], key: Option<&str>) -> Self {
        let (known, ids) = found_in(snapshots);
        let names = learn::Names::of(snapshots);
        let secret = match key {
            Some(key) => Secret::of([b"key", key.as_bytes()]),
            None => secret_of(&known, &names, snapshots),
        };
        let addresses = Addresses::new(&secret, known);
        let mut made = Self {
            addresses,
            ids,
            names: BTreeMap::new(),
            things: BTreeSet::new(),
            finder: scan::Names::default(),
            kept: BTreeSet::new(),
            images: BTreeSet::new(),
            made: Mutex::default(),
            secret,
        };
        made.name_all(&names);
        made.things = names.given.union(&names.made).cloned().collect();
        made.remember_images();
        made
    }

    fn name_all(&mut self, names: &learn::Names) {
        let is_kept = |name: &&String| is_of_formats(name);
        self.kept = names.given.iter().filter(is_kept).cloned().collect();
        let given: BTreeSet<&String> = names.given.difference(&self.kept).collect();
        let of_made = names.made.iter().flat_map(|name| words::of(name));
        let mut all: BTreeSet<String> = of_made.filter(|word| !is_of_programs(word)).collect();
        all.extend(given.iter().flat_map(|name| words::of(name)));
        let taken = vocabulary::all();
        let words = Words::new(&self.secret, &all, &taken);
        // A word of a program stays in a name that programs made.
        let foreign: BTreeSet<String> =
            all.iter().filter(|word| !is_of_programs(word)).cloned().collect();
        let foreign = Words::new(&self.secret, &foreign, &taken);
        let mut named = BTreeMap::new();
        for name in names.made.iter().filter(|name| !is_of_formats(name)) {
            named.insert(name.clone(), self.in_place_of(name, &foreign));
        }
        for name in given {
            named.insert(name.clone(), self.in_place_of(name, &words));
        }
        named.retain(|name, other| name != other);
        for (space, pod) in &names.pods {
            let of = |name: &String| named.get(name).unwrap_or(name).clone();
            let (old, new) = (hashed(space, pod), hashed(&of(space), &of(pod)));
            named.extend(old.into_iter().zip(new));
        }
        self.finder = scan::Names::new(named.keys().map(String::as_str));
        self.names = named;
        self.made = Mutex::default();
    }

    /// A name with substitutes of what is in it.
    fn in_place_of(&self, name: &str, words: &Words) -> String {
        // Nova numbers its instances.
        if let Some(number) = name.strip_prefix("instance-").filter(|number| {
            number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_hexdigit())
        }) {
            let number = ids::substitute(&self.secret.for_purpose("instance"), number);
            return format!("instance-{number}");
        }
        let mut out = String::new();
        let mut done = 0;
        self.each(name, |range, other| {
            out.push_str(&words.in_place_of(name.get(done..range.start).unwrap_or_default()));
            out.push_str(other);
            done = range.end;
        });
        out.push_str(&words.in_place_of(name.get(done..).unwrap_or_default()));
        out
    }

    fn remember_images(&mut self) {
        let known = self.addresses.known();
        let mut images: BTreeSet<String> = self.names.values().cloned().collect();
        images.extend(known.v4.iter().map(|v4| self.addresses.v4(*v4).to_string()));
        images.extend(known.v6.iter().map(|v6| self.addresses.v6(*v6).to_string()));
        images.extend(known.macs.iter().map(|mac| shown(self.addresses.mac(*mac), ":", 2)));
        self.images = images;
    }

    /// What a person typed, with substitutes; what is one already stays.
    pub fn word(&self, word: &str) -> String {
        let is_image = |part: &str| self.images.contains(part);
        let parts = word.split_inclusive(['/', ':', ',', '=']);
        if is_image(word)
            || parts.clone().any(|part| is_image(part.trim_end_matches(['/', ':', ',', '='])))
        {
            return word.to_owned();
        }
        self.text(word).into_owned()
    }

    /// The substitutes of the names that fit.
    pub fn images_of(&self, fits: impl Fn(&str) -> bool) -> BTreeSet<String> {
        let fitting = self.things.iter().filter(|name| fits(name));
        fitting.map(|name| self.text(name).into_owned()).collect()
    }

    /// Names that were left, since they are words of programs, too.
    pub fn kept(&self) -> impl Iterator<Item = &str> {
        self.kept.iter().map(String::as_str)
    }

    /// How much was replaced.
    pub fn counts(&self) -> Counts {
        let known = self.addresses.known();
        let v4 = known.v4.iter().filter(|v4| !is_kept4(**v4)).count();
        let v6 = known.v6.iter().filter(|v6| !is_kept6(**v6)).count();
        let macs = known.macs.iter().filter(|mac| !is_kept_mac(**mac)).count();
        Counts { addresses: v4 + v6, macs, names: self.names.len() }
    }

    /// Every original that was found, for tests: none may be left in what is shown.
    pub fn originals(&self) -> Vec<String> {
        let known = self.addresses.known();
        let v4 = known.v4.iter().filter(|v4| !is_kept4(**v4)).map(Ipv4Addr::to_string);
        let v6 = known.v6.iter().filter(|v6| !is_kept6(**v6)).map(ToString::to_string);
        let macs = known.macs.iter().filter(|mac| !is_kept_mac(**mac));
        let macs = macs.map(|mac| shown(*mac, ":", 2));
        v4.chain(v6).chain(macs).chain(self.names.keys().cloned()).collect()
    }

    fn lookup(&self) -> Lookup<'_> {
        Lookup { ids: &self.ids, names: &self.finder, addresses: self.addresses.known() }
    }

    /// Shows each part of `text` that is replaced, and by what.
    fn each(&self, text: &str, mut replace: impl FnMut(Range<usize>, &str)) {
        scan(text, self.lookup(), |range, token| {
            let old = text.get(range.clone()).unwrap_or_default();
            // The length of a prefix tells how its address is replaced.
            let follows = match token {
                Token::V4 { length: Some(length), .. } | Token::V6 { length: Some(length), .. } => {
                    length
                }
                _ => u8::MAX,
            };
            let key = format!("{old}/{follows}");
            let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            let other = made.entry(key).or_insert_with(|| self.substitute(old, token));
            if other != old {
                replace(range, other);
            }
        });
    }

    fn substitute(&self, old: &str, token: Token) -> String {
        let addresses = &self.addresses;
        match token {
            Token::Name => self.names.get(old).cloned().unwrap_or_else(|| old.to_owned()),
            Token::V4 { address, length, hyphens } => {
                let other = match length {
                    Some(length) => addresses.v4_in(address, length),
                    None => addresses.v4(address),
                };
                let other = other.to_string();
                if hyphens { other.replace('.', "-") } else { other }
            }
            Token::V6 { address, length } => {
                let other = match length {
                    Some(length) => addresses.v6_in(address, length),
                    None => addresses.v6(address),
                };
                if other == address {
                    return old.to_owned();
                }
                let is_capital = old.bytes().any(|byte| byte.is_ascii_uppercase());
                let other = other.to_string();
                if is_capital { other.to_ascii_uppercase() } else { other }
            }
            Token::Mac(mac) => as_it_was(old, addresses.mac(mac)),
            Token::LongMac => {
                let Some((front, low)) =
                    old.len().checked_sub(8).and_then(|at| old.split_at_checked(at))
                else {
                    return old.to_owned();
                };
                let Some(low) = octets(&format!("00:00:00:{low}")) else { return old.to_owned() };
                let low = shown(addresses.mac(low), ":", 2);
                format!("{front}{}", low.get(9..).unwrap_or_default())
            }
            Token::MacDigits => {
                let number = u64::from_str_radix(old, 16).unwrap_or_default();
                let mac = addresses.known_mac(number).map(|mac| shown(addresses.mac(mac), "", 2));
                mac.map_or_else(
                    || old.to_owned(),
                    |mac| format!("{mac:0>width$}", width = old.len()),
                )
            }
            Token::V4Digits(address) => format!("{:08x}", addresses.v4(address).to_bits()),
            Token::Number(number) => self.number(old, number),
            Token::Id if old.len() == scan::PART && self.ids.is_numbered(old) => {
                let (id, last) = old.split_at_checked(scan::PART - 1).unwrap_or((old, ""));
                format!("{}{last}", ids::substitute(&self.secret, id))
            }
            Token::Id => ids::substitute(&self.secret, old),
        }
    }

    /// A number that is an address, as long as it was.
    fn number(&self, old: &str, number: u128) -> String {
        let addresses = &self.addresses;
        let low = u64::try_from(number).ok();
        let v4 = u32::try_from(number).ok().map(Ipv4Addr::from_bits);
        let other = if let Some(v4) = v4 {
            u128::from(addresses.v4(v4).to_bits())
        } else if let Some(mac) = low.and_then(|low| addresses.known_mac(low)) {
            let [a, b, c, d, e, f] = addresses.mac(mac);
            u128::from(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
        } else {
            addresses.v6(number.into()).to_bits()
        };
        format!(
            "0x{other:0>width$x}",
            width = if old.starts_with("0x0") { old.len() - 2 } else { 1 }
        )
    }
}

/// What the texts have.
fn found_in(snapshots: &[&Snapshot]) -> (Known, Ids) {
    let mut known = Known::default();
    let mut ids = Ids::default();
    let nothing = (Ids::default(), scan::Names::default(), Known::default());
    let lookup = Lookup { ids: &nothing.0, names: &nothing.1, addresses: &nothing.2 };
    let mut look = |text: &str| {
        let mut on_line: Vec<Ipv4Addr> = Vec::new();
        scan(text, lookup, |range, token| match token {
            Token::V4 { address, length, .. } => {
                // An address with a mask behind it is one of a prefix, or the prefix itself.
                let masks = scan::mask_length(address).filter(|_| address.octets()[0] == 255);
                let length = length.map(|length| (address, length));
                let pairs =
                    masks.into_iter().flat_map(|mask| on_line.iter().map(move |it| (*it, mask)));
                for (address, length) in pairs.chain(length) {
                    if let Some(net) = short_prefix(address, length) {
                        known.nets.insert((net, length));
                    }
                }
                if address.octets()[0] != 255 {
                    on_line.push(address);
                    known.v4.insert(address);
                }
            }
            Token::V6 { address, .. } => {
                known.v6.insert(address);
            }
            Token::Mac(mac) => {
                known.macs.insert(mac);
            }
            Token::V4Digits(address) => {
                known.v4.insert(address);
            }
            Token::Id => ids.enter(text.get(range).unwrap_or_default()),
            Token::LongMac | Token::MacDigits | Token::Number(_) | Token::Name => {}
        });
    };
    for snapshot in snapshots {
        let captured = &snapshot.captured;
        for source in &captured.sources {
            source.text.lines().for_each(&mut look);
            look(&source.member);
            source.netns.name().into_iter().for_each(&mut look);
            source.command.argv.iter().for_each(|word| look(word));
        }
        for host in &captured.hosts {
            let all = [&host.machine_id, &host.system_id, &host.dmi_uuid];
            all.into_iter().flatten().for_each(|id| look(id));
        }
        captured.left_out.iter().for_each(|left| look(&left.member));
    }
    (known, ids)
}

/// The prefix of an address, where it is shorter than what is kept of addresses.
fn short_prefix(address: Ipv4Addr, length: u8) -> Option<Ipv4Addr> {
    let rest = u32::MAX.checked_shr(u32::from(length))?;
    let net = Ipv4Addr::from_bits(address.to_bits() & !rest);
    ((8..24).contains(&length) && !is_kept4(address)).then_some(net)
}

fn secret_of(known: &Known, names: &learn::Names, snapshots: &[&Snapshot]) -> Secret {
    let mut parts: Vec<Vec<u8>> = vec![b"captures".to_vec()];
    parts.extend(known.v4.iter().map(|v4| v4.octets().to_vec()));
    parts.extend(known.v6.iter().map(|v6| v6.octets().to_vec()));
    parts.extend(known.macs.iter().map(|mac| mac.to_vec()));
    parts.extend(names.given.iter().chain(&names.made).map(|name| name.as_bytes().to_vec()));
    // A short text has few of these, which could be guessed.
    let sources = snapshots.iter().flat_map(|snapshot| &snapshot.captured.sources);
    let mut texts: Vec<Vec<u8>> = sources.map(|source| source.text.clone().into_bytes()).collect();
    texts.sort();
    parts.extend(texts);
    Secret::of(parts.iter().map(Vec::as_slice))
}

/// Names of devices that are made of the name of a pod: Calico, the CNI of AWS.
fn hashed(space: &str, pod: &str) -> [String; 2] {
    let hash = Sha1::digest(format!("{space}.{pod}"));
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let start = hash.get(..11).unwrap_or_default();
    ["cali", "eni"].map(|prefix| format!("{prefix}{start}"))
}

fn shown(mac: [u8; 6], between: &str, width: usize) -> String {
    mac.map(|octet| format!("{octet:0>width$x}")).join(between)
}

/// A MAC in the form in which another one was printed.
fn as_it_was(old: &str, mac: [u8; 6]) -> String {
    let between = if old.contains('-') { "-" } else { ":" };
    let is_short = old.split(['-', ':']).any(|octet| octet.len() == 1);
    let text = shown(mac, between, if is_short { 1 } else { 2 });
    let is_capital = old.bytes().any(|byte| byte.is_ascii_uppercase());
    if is_capital { text.to_ascii_uppercase() } else { text }
}
