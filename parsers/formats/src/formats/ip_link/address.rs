//! Address lines: `inet 10.0.0.1/24 brd 10.0.0.255 scope global eth0`, and their lifetimes.
use std::net::IpAddr;

use tapline_core::records::PackedFields;
use tapline_core::records::link::Address;
use tapline_core::span::Span;

use super::fail;
use super::fields::keep;
use crate::nomx::{Expected, word_gap};

/// `inet A/P [peer B/P] [metric N] [brd C] [any D] [scope S] [flags…] [proto X] [label]`.
///
/// `ip -r` prints names for addresses: then there is none, and the name is given instead. With an
/// address comes what stands behind it and is no part of it: a remark of whoever pasted the text.
pub(super) fn line<'a>(
    text: &'a str,
    line: &'a str,
    device: &str,
) -> Result<Result<(Address, &'a str), &'a str>, nom::Err<Expected<'a>>> {
    let (rest, family) = word_gap(line)?;
    let (mut rest, value) = word_gap(rest).map_err(|_| fail(family, "an address"))?;
    if is_host_name(value) {
        return Ok(Err(value));
    }
    let (ip, prefix) = address(value)?;
    let mut found = empty(Span::of(text, line), ip, prefix);
    let mut prefixed = value.contains('/');
    while let Ok((after, key)) = word_gap(rest) {
        rest = after;
        match key {
            "peer" => {
                let (peer, prefix) = address(value_of(&mut rest, key)?)?;
                found.peer = Some(peer);
                if !prefixed {
                    found.prefix = prefix;
                    prefixed = true;
                }
            }
            "brd" => {
                let value = value_of(&mut rest, key)?;
                let ip = value.parse().map_err(|_| fail(value, "a broadcast address"))?;
                found.broadcast = Some(ip);
            }
            "scope" => found.scope = Some(value_of(&mut rest, key)?.into()),
            "metric" | "proto" | "any" | "flags" => {
                let value = value_of(&mut rest, key)?;
                keep(text, &mut found.other, key, value);
            }
            // Only IPv4 has labels; they come last.
            _ if family == "inet" && key == device => return Ok(Ok((found, rest))),
            _ if family == "inet"
                && !is_flag(key)
                && (rest.is_empty() || is_label(key, device)) =>
            {
                found.label = Some(key.into());
                return Ok(Ok((found, rest)));
            }
            // A flag that is not known yet is keep as well.
            _ if is_flag_like(key) => found.flags.push(key.into()),
            _ => {
                let at = line.len().saturating_sub(rest.len() + key.len());
                let from = line.rfind(key).filter(|line| *line <= at).unwrap_or(at);
                return Ok(Ok((found, line.get(from..).unwrap_or(rest))));
            }
        }
    }
    Ok(Ok((found, "")))
}

/// `eth0:1`, the label of an address of `eth0`.
fn is_label(word: &str, device: &str) -> bool {
    word.strip_prefix(device).is_some_and(|rest| rest.starts_with(':'))
}

/// Whether a word may be a flag that is not known yet.
fn is_flag_like(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_lowercase())
        && word.bytes().all(|it| it.is_ascii_lowercase() || matches!(it, b'-' | b'_'))
}

/// `localhost/8`.
fn is_host_name(value: &str) -> bool {
    let (name, prefix) = value.split_once('/').unwrap_or((value, ""));
    name.starts_with(|name: char| name.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        && prefix.bytes().all(|b| b.is_ascii_digit())
}

/// An address without anything else.
pub(super) fn empty(at: Span, ip: IpAddr, prefix: u8) -> Address {
    Address {
        at,
        ip,
        prefix,
        peer: None,
        broadcast: None,
        scope: None,
        flags: Vec::new(),
        label: None,
        valid_lft: None,
        preferred_lft: None,
        other: PackedFields::default(),
    }
}

/// The word behind `key`.
fn value_of<'a>(rest: &mut &'a str, key: &'a str) -> Result<&'a str, nom::Err<Expected<'a>>> {
    let (after, value) = word_gap(rest).map_err(|_| fail(key, "a value behind this word"))?;
    *rest = after;
    Ok(value)
}

/// `10.0.0.1/24`; without prefix length it is that of a host.
pub(super) fn address(value: &str) -> Result<(IpAddr, u8), nom::Err<Expected<'_>>> {
    let (ip, prefix) = value.split_once('/').map_or((value, None), |pair| (pair.0, Some(pair.1)));
    let ip: IpAddr = ip.parse().map_err(|_| fail(value, "an IP address"))?;
    let bits = if ip.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix {
        None => bits,
        Some(it) => it
            .parse()
            .ok()
            .filter(|&parsed| parsed <= bits)
            .ok_or_else(|| fail(value, "a prefix length that fits"))?,
    };
    Ok((ip, prefix))
}

/// Flags of an address (`ip/ipaddress.c`, `ifa_flag_names`).
pub(super) fn is_flag(word: &str) -> bool {
    matches!(
        word,
        "secondary"
            | "temporary"
            | "nodad"
            | "optimistic"
            | "dadfailed"
            | "home"
            | "deprecated"
            | "tentative"
            | "permanent"
            | "mngtmpaddr"
            | "noprefixroute"
            | "autojoin"
            | "stable-privacy"
            | "dynamic"
            | "homeaddress"
    )
}

/// `valid_lft 3597sec preferred_lft forever`. Gives a value with something behind it.
pub(super) fn lifetimes<'a>(
    line: &'a str,
    address: Option<&mut Address>,
) -> Result<Option<&'a str>, nom::Err<Expected<'a>>> {
    let mut rest = line;
    let (mut valid, mut preferred, mut odd) = (None, None, None);
    while let Ok((after, key)) = word_gap(rest) {
        rest = after;
        let value = value_of(&mut rest, key)?;
        match key {
            "valid_lft" => valid = seconds(value)?,
            // A page number or a foot note: pages stick to the last word of a text.
            "preferred_lft" if value.starts_with("forever") && rest.is_empty() => {
                odd = Some(value).filter(|it| it.len() > "forever".len());
            }
            "preferred_lft" => preferred = seconds(value)?,
            _ => return Err(fail(key, "valid_lft or preferred_lft")),
        }
    }
    if let Some(address) = address {
        address.valid_lft = valid;
        address.preferred_lft = preferred;
    }
    Ok(odd)
}

/// `forever` is none.
fn seconds(value: &str) -> Result<Option<u32>, nom::Err<Expected<'_>>> {
    if value == "forever" {
        return Ok(None);
    }
    let digits = value.strip_suffix("sec").unwrap_or(value);
    digits.parse().map(Some).map_err(|_| fail(value, "seconds or `forever`"))
}
