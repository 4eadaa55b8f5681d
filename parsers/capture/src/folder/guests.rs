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
        let is_guest = |piece: &Piece| guest_mac(piece).is_some_and(|mac| owned.contains(&mac));
        let (inner, outer): (Vec<_>, Vec<_>) = draft.pieces.drain(..).partition(is_guest);
        draft.pieces = outer;
        for piece in inner {
            let Some(mac) = guest_mac(&piece) else { continue };
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

/// The addresses of the NICs of virtual machines that a text lists.
fn vm_macs(piece: &Piece) -> Vec<String> {
    const LISTS: &[FormatId] = &[FormatId("virsh-domiflist"), FormatId("domain-xml")];
    if !LISTS.contains(&piece.format) {
        return Vec::new();
    }
    let words = piece.text.split([' ', '\n', '\'', '"', '\t']);
    // Those of the host's end begin with fe.
    words.filter(|word| is_mac(word) && !word.starts_with("fe:")).map(str::to_lowercase).collect()
}

/// The address of the only device with one in a list of the first namespace: a guest has few, and
/// no end of a tap of its own.
fn guest_mac(piece: &Piece) -> Option<String> {
    const LISTS: &[FormatId] = &[FormatId("ip-link"), FormatId("ip-address")];
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
