//! Lists of devices that a guest printed, though nothing in the session says that its shell was
//! entered: a NIC in them has the address of a virtual machine.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::FormatId;
use tapline_core::text::lines;

use crate::host::{Draft, Piece};

/// Moves what guests printed to hosts of their own.
pub(super) fn part(hosts: &mut BTreeMap<(String, String), Draft>) {
    let mut guests = BTreeMap::new();
    for ((member, host), draft) in hosts.iter_mut() {
        let owned: BTreeSet<String> = draft.pieces.iter().flat_map(vm_macs).collect();
        if owned.is_empty() {
            continue;
        }
        let of_guest = |piece: &Piece| guest_mac(piece).filter(|mac| owned.contains(mac));
        let of_host: BTreeSet<String> = draft
            .pieces
            .iter()
            .filter(|piece| of_guest(piece).is_none())
            .flat_map(devices)
            .collect();
        // Whose shell the last list was printed by, and what is in it.
        let mut shell: Option<(String, BTreeSet<String>)> = None;
        let mut inner: Vec<(String, Piece)> = Vec::new();
        for piece in std::mem::take(&mut draft.pieces) {
            if let Some(mac) = of_guest(&piece) {
                shell = Some((mac.clone(), devices(&piece).into_iter().collect()));
                inner.push((mac, piece));
                continue;
            }
            match &shell {
                // What follows there and names no device but those of the guest is of it.
                Some((mac, own)) if follows(&piece, own, &of_host) => {
                    inner.push((mac.clone(), piece));
                }
                _ => {
                    shell = None;
                    draft.pieces.push(piece);
                }
            }
        }
        for (mac, piece) in inner {
            let name = format!("guest-{}", mac.replace(':', ""));
            let key = (format!("{member}/{host}"), name.clone());
            let guest: &mut Draft = guests.entry(key).or_default();
            guest.said = Some(name);
            guest.session = true;
            guest.used = 1;
            guest.pieces.push(piece);
        }
    }
    hosts.extend(guests);
}

/// Whether an output below the list of a guest is of its shell: its devices are those of the guest, and
/// none of them is one of the host.
fn follows(piece: &Piece, own: &BTreeSet<String>, of_host: &BTreeSet<String>) -> bool {
    const ASKED: &[&str] = &["ip-route", "ip-neigh", "arp", "route"];
    let words: Vec<&str> = piece.text.split_whitespace().collect();
    let dev = words.iter().zip(words.iter().skip(1)).filter(|(word, _)| **word == "dev");
    let mut named: BTreeSet<&str> = dev.map(|(_, name)| *name).collect();
    if matches!(piece.format.0, "arp" | "route") {
        let last =
            lines(&piece.text).skip(1).filter_map(|line| line.split_whitespace().next_back());
        named.extend(last.filter(|word| own.contains(*word)));
    }
    ASKED.contains(&piece.format.0)
        && piece.netns.is_root()
        && !named.is_empty()
        && named.iter().all(|name| own.contains(*name) && !of_host.contains(*name))
}

/// The devices of a list of the first namespace, but for the loopback.
fn devices(piece: &Piece) -> Vec<String> {
    if !LISTS.contains(&piece.format) || !piece.netns.is_root() {
        return Vec::new();
    }
    let name = |line: &str| {
        let (number, rest) = line.split_once(": ")?;
        let name = rest.split([':', '@']).next()?;
        let is_head = number.bytes().all(|b| b.is_ascii_digit()) && rest.contains(": <");
        (is_head && name != "lo").then(|| name.to_owned())
    };
    lines(&piece.text).filter_map(name).collect()
}

/// Formats that list devices.
const LISTS: &[FormatId] = &[FormatId("ip-link"), FormatId("ip-address")];

/// The addresses of the NICs of virtual machines that a text lists.
fn vm_macs(piece: &Piece) -> Vec<String> {
    const OF_GUESTS: &[FormatId] = &[FormatId("virsh-domiflist"), FormatId("domain-xml")];
    if !OF_GUESTS.contains(&piece.format) {
        return Vec::new();
    }
    let words = piece.text.split([' ', '\n', '\'', '"', '\t']);
    // Those of the host's end begin with fe.
    words.filter(|word| is_mac(word) && !word.starts_with("fe:")).map(str::to_lowercase).collect()
}

/// The address of the only device with one in a list of the first namespace: a guest has few, and
/// no end of a tap of its own.
fn guest_mac(piece: &Piece) -> Option<String> {
    const MOST: usize = 4;
    if !LISTS.contains(&piece.format) || !piece.netns.is_root() || piece.text.len() > 16 << 10 {
        return None;
    }
    let heads: Vec<&str> = lines(&piece.text).filter(|line| line.contains(": <")).collect();
    let of_host = |head: &&str| {
        ["tap", "vnet", "macvtap", "qbr", "br-", "virbr", "ovs", "vif"]
            .iter()
            .any(|word| head.contains(word))
    };
    if heads.len() > MOST || heads.iter().any(of_host) {
        return None;
    }
    let macs = lines(&piece.text).filter_map(|line| line.trim().strip_prefix("link/ether "));
    macs.filter_map(|rest| rest.split(' ').next()).find(|mac| is_mac(mac)).map(str::to_lowercase)
}

fn is_mac(word: &str) -> bool {
    word.len() == 17
        && word.split(':').count() == 6
        && word.bytes().all(|b| b == b':' || b.is_ascii_hexdigit())
}
