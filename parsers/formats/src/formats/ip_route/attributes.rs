//! What stands behind the destination: keys with values, flags, next hops.
use std::net::IpAddr;

use nom::Parser as _;
use tapline_core::records::Field;
use tapline_core::records::route::{Family, Gateway, Nexthop, Route};
use tapline_core::span::{At, Span};

use super::other;
use crate::keyed::{at, bare, before, is_joint, name, other_key, set, token, typed};
use crate::lines::Read;
use crate::nomx::{Expected, Parsed, must, refuse};

/// An indented line below a route.
#[derive(Debug)]
pub(super) enum Below {
    /// A next hop, and what stands behind it about the route.
    Nexthop(Nexthop, Vec<Field>),
    /// State of a cache entry.
    Fields(Vec<Field>),
}

/// Flags of a route or of a next hop (`print_rt_flags`).
const FLAGS: &[&str] = &[
    "linkdown",
    "dead",
    "onlink",
    "pervasive",
    "offload",
    "offload_failed",
    "rt_offload",
    "rt_offload_failed",
    "trap",
    "rt_trap",
    "notify",
    "unresolved",
];

/// Keys with one value that the record has no field for.
const KEYS: &[&str] = &[
    "advmss",
    "age",
    "as",
    "congctl",
    "cwnd",
    "error",
    "expires",
    "fastopen_no_cookie",
    "features",
    "flags",
    "from",
    "hoplimit",
    "iif",
    "initcwnd",
    "initrwnd",
    "ipid",
    "mtu",
    "nhid",
    "oif",
    "pref",
    "quickack",
    "realm",
    "realms",
    "reordering",
    "rto_min",
    "rtt",
    "rttvar",
    "ssthresh",
    "tos",
    "ts",
    "tsage",
    "ttl-propagate",
    "uid",
    "used",
    "users",
    "window",
];

/// Whether a word may follow a destination.
pub(super) fn is_known(word: &str) -> bool {
    let typed = ["via", "dev", "src", "metric", "proto", "scope", "table", "nexthop", "encap"];
    typed.contains(&word)
        || FLAGS.contains(&word)
        || KEYS.contains(&word)
        || matches!(word, "cache" | "nh_info")
        || is_joint(word)
}

/// Reads what stands behind the destination into `route`.
pub(super) fn attributes<'a>(text: &str, mut input: &'a str, route: &mut Route) -> Parsed<'a, ()> {
    while let Ok((rest, key)) = token(input) {
        input = match key {
            "via" => {
                let (rest, hop) = gateway(text, rest)?;
                route.family = route.family.or(hop.shown.map(other));
                route.via = Some(hop.via);
                route.other.extend(hop.length);
                rest
            }
            "dev" => set(&mut route.dev, name(text, rest, "a device after `dev`")?),
            "src" => {
                let (rest, (ip, length)) = address(text, rest, "src")?;
                route.src = Some(ip.value);
                route.other.extend(length);
                rest
            }
            "metric" => {
                let (rest, metric) = typed::<i64>(rest, "a number after `metric`")?;
                // Before 3.4 it was printed with a sign.
                let number = u32::try_from(metric)
                    .ok()
                    .or_else(|| i32::try_from(metric).ok().map(i32::cast_unsigned));
                let Some(number) = number else {
                    return refuse(input, "a metric of 32 bits");
                };
                route.metric = Some(number);
                rest
            }
            "proto" => set(&mut route.proto, bare(rest, "a word after `proto`")?),
            "scope" => set(&mut route.scope, bare(rest, "a word after `scope`")?),
            "table" => set(&mut route.table, name(text, rest, "a table after `table`")?),
            "nexthop" => {
                let (rest, hop) = nexthop(text, key, rest)?;
                route.nexthops.push(hop);
                rest
            }
            "encap" => {
                let (rest, field) = encap(text, key, rest)?;
                route.other.push(field);
                rest
            }
            "nh_info" => {
                route.other.push(Field { key: key.into(), value: at(text, rest) });
                ""
            }
            flag if FLAGS.contains(&flag) => {
                route.flags.push(at(text, flag));
                rest
            }
            joint if is_joint(joint) => rest,
            _ => {
                let (rest, Some(field)) = other_key(text, key, rest)? else { break };
                route.other.push(field);
                rest
            }
        };
    }
    Ok((input, ()))
}

/// An indented line: a next hop, or the state of a cache entry.
pub(super) fn below<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Below>> {
    let line = line.trim_start();
    let (mut input, first) = token(line)?;
    if first == "nexthop" {
        let (rest, hop) = nexthop(text, first, input)?;
        let (rest, fields) = others(text, rest)?;
        return Ok((rest, Read::Took(Below::Nexthop(hop, fields))));
    }
    if first == "nh_info" {
        // `-d` shows the next hop object behind `nhid`; the route itself has its gateway.
        let field = Field { key: first.into(), value: at(text, input) };
        return Ok(("", Read::Took(Below::Fields(vec![field]))));
    }
    if is_tracepath(first) {
        return Ok(("", Read::Ignored));
    }
    if first != "cache" {
        return refuse(line, "`nexthop` or `cache`");
    }
    let mut fields = Vec::new();
    // The flags of the entry: `<local,src-direct>`.
    let mut value = Span::of(text, first);
    let mut shown = "";
    if let Ok((rest, flags)) = token(input)
        && flags.starts_with('<')
    {
        (shown, value, input) = (flags, Span::of(text, flags), rest);
    }
    fields.push(Field { key: first.into(), value: At::new(shown.into(), value) });
    let (input, mut rest) = others(text, input)?;
    fields.append(&mut rest);
    Ok((input, Read::Took(Below::Fields(fields))))
}

/// `tracepath` prints its hops indented, and people paste it below the routes: ` 1?: [LOCALHOST]`.
fn is_tracepath(first: &str) -> bool {
    let hop = first.strip_suffix(':').map(|rest| rest.strip_suffix('?').unwrap_or(rest));
    first == "tracepath"
        || hop.is_some_and(|hop| !hop.is_empty() && hop.bytes().all(|b| b.is_ascii_digit()))
}

/// Keys with values up to the end of the line.
fn others<'a>(text: &str, mut input: &'a str) -> Parsed<'a, Vec<Field>> {
    let mut fields = Vec::new();
    while let Ok((rest, key)) = token(input) {
        if is_joint(key) {
            input = rest;
            continue;
        }
        let (rest, Some(field)) = other_key(text, key, rest)? else { break };
        fields.push(field);
        input = rest;
    }
    Ok((input, fields))
}

/// What stands behind `nexthop`, up to something that belongs to the route.
fn nexthop<'a>(text: &str, head: &str, mut input: &'a str) -> Parsed<'a, Nexthop> {
    let mut hop = Nexthop {
        at: Span::of(text, head),
        via: None,
        dev: None,
        weight: None,
        flags: Vec::new(),
        other: Vec::new(),
    };
    while let Ok((rest, key)) = token(input) {
        let after = match key {
            "via" => {
                let (rest, gateway) = gateway(text, rest)?;
                hop.via = Some(gateway.via);
                hop.other.extend(gateway.length);
                rest
            }
            "dev" => set(&mut hop.dev, name(text, rest, "a device after `dev`")?),
            "weight" => {
                let (rest, weight) = typed(rest, "a number after `weight`")?;
                hop.weight = Some(weight);
                rest
            }
            "encap" => {
                let (rest, field) = encap(text, key, rest)?;
                hop.other.push(field);
                rest
            }
            "realm" | "realms" | "as" => match other_key(text, key, rest)? {
                (rest, Some(field)) => {
                    hop.other.push(field);
                    rest
                }
                _ => break,
            },
            flag if FLAGS.contains(&flag) => {
                hop.flags.push(at(text, flag));
                rest
            }
            _ => break,
        };
        // The span ends with the last word that belongs to the next hop.
        let used = before(input, after);
        hop.at = hop.at.to(Span::of(text, used));
        input = after;
    }
    Ok((input, hop))
}

/// A gateway: its address, the family if printed, and the text if a length was pasted behind it.
struct Hop {
    via: At<Gateway>,
    shown: Option<Family>,
    length: Option<Field>,
}

/// `192.0.2.1`, or `inet6 fe80::1` where the gateway is of another family than the route.
fn gateway<'a>(text: &str, input: &'a str) -> Parsed<'a, Hop> {
    let (input, shown) = match token(input) {
        Ok((rest, "inet")) => (rest, Some(Family::Inet)),
        Ok((rest, "inet6")) => (rest, Some(Family::Inet6)),
        _ => (input, None),
    };
    let (input, (ip, length)) = address(text, input, "via")?;
    Ok((input, Hop { via: ip.map(Gateway::Ip), shown, length }))
}

/// An address. Reports that were cleaned by sos may have a prefix length behind it: it is kept
/// under `key`.
fn address<'a>(
    text: &str,
    input: &'a str,
    key: &'static str,
) -> Parsed<'a, (At<IpAddr>, Option<Field>)> {
    let what = if key == "via" { "an address after `via`" } else { "an address after `src`" };
    let (rest, shown) = must(what, token).parse(input)?;
    let (ip, length) = match shown.split_once('/') {
        Some((ip, length)) => (ip, Some(length)),
        None => (shown, None),
    };
    let (Ok(ip), true) = (ip.parse(), length.is_none_or(|length| length.parse::<u8>().is_ok()))
    else {
        return Err(nom::Err::Failure(Expected { at: shown, what }));
    };
    let span = Span::of(text, shown);
    let field = length.map(|_| Field { key: key.into(), value: At::new(shown.into(), span) });
    Ok((rest, (At::new(ip, span), field)))
}

/// Everything up to the gateway or device: encapsulations have keys of their own, `src` among
/// them.
fn encap<'a>(text: &str, key: &str, input: &'a str) -> Parsed<'a, Field> {
    let mut rest = input;
    while let Ok((after, word)) = token(rest) {
        if matches!(word, "via" | "dev") || is_joint(word) {
            break;
        }
        rest = after;
    }
    let used = before(input, rest);
    if used.is_empty() {
        return refuse(input, "an encapsulation after `encap`");
    }
    Ok((rest, Field { key: key.into(), value: at(text, used) }))
}
