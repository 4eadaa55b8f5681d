//! `ip -br`: name, state, and addresses or the link-layer address with flags.
//!
//! ```text
//! eth0@if3         UP             192.0.2.10/24 metric 100 fe80::1/64
//! eth0@if3         UP             0a:4d:fa:1a:df:e2 <BROADCAST,MULTICAST,UP,LOWER_UP>
//! ```
use tapline_core::records::link::Link;
use tapline_core::span::{At, Span};

use super::address::{address, empty};
use super::device::{lower_ref, name_and_lower, words};
use super::fail;
use super::fields::keep;
use crate::nomx::{Expected, word_gap};

/// Whether the second word of a line is an operational state.
pub(super) fn is_brief(line: &str) -> bool {
    line.split_whitespace().nth(1).is_some_and(is_state)
}

/// RFC 2863 states as `ip/ipaddress.c` names them (`oper_states`).
fn is_state(word: &str) -> bool {
    matches!(
        word,
        "UP" | "DOWN" | "UNKNOWN" | "LOWERLAYERDOWN" | "NOTPRESENT" | "TESTING" | "DORMANT"
    )
}

/// One device.
pub(super) fn line<'a>(text: &'a str, line: &'a str) -> Result<Link, nom::Err<Expected<'a>>> {
    let at = |part: &str| Span::of(text, part);
    let (rest, full) = word_gap(line)?;
    let (mut rest, state) = word_gap(rest)?;
    let (name, lower) = name_and_lower(full);
    let mut link = Link::named(at(line), At::new(name.into(), at(name)));
    link.lower = lower.map(|lower| At::new(lower_ref(lower), at(lower)));
    link.state = Some(At::new(state.into(), at(state)));
    while let Ok((after, word)) = word_gap(rest) {
        rest = after;
        let last = link.addresses.last_mut();
        if let Some(flags) = word.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
            link.flags = At::new(words(flags), at(flags));
        } else if let Ok(mac) = word.parse() {
            link.mac = Some(At::new(mac, at(word)));
        } else if let ("peer", Some(last)) = (word, last) {
            let (after, peer) = word_gap(rest).map_err(|_| fail(word, "an address behind it"))?;
            rest = after;
            let (peer, prefix) = address(peer)?;
            (last.peer, last.prefix) = (Some(peer), prefix);
        } else if let ("metric", Some(last)) = (word, link.addresses.last_mut()) {
            let (after, metric) = word_gap(rest).map_err(|_| fail(word, "a number behind it"))?;
            rest = after;
            keep(text, &mut last.other, word, metric);
        } else if let Ok((ip, prefix)) = address(word) {
            // Tunnels have addresses of IP as link-layer addresses: without prefix length,
            // before the flags.
            if !word.contains('/') && rest.starts_with('<') {
                link.address = Some(At::new(word.into(), at(word)));
            } else {
                link.addresses.push(empty(at(word), ip, prefix));
            }
        } else if word.contains(':') && rest.starts_with('<') {
            link.address = Some(At::new(word.into(), at(word)));
        } else {
            return Err(fail(word, "an address, or flags such as <UP,LOWER_UP>"));
        }
    }
    Ok(link)
}
