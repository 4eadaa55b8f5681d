//! What `ip -N` prints by number: types, protocols, scopes and tables.
//!
//! Source: Linux `include/uapi/linux/rtnetlink.h`; the names are those of iproute2
//! `etc/iproute2/rt_*`.
use tapline_core::Name;
use tapline_core::records::route::Route;

use super::network;
use crate::keyed::token;

/// Types of routes (`RTN_*`) by number.
const TYPES: &[&str] = &[
    "unspec",
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "nat",
    "xresolve",
];

/// The type that a number in front of a destination stands for.
pub(super) fn kind(first: &str, rest: &str) -> Option<&'static str> {
    let name = TYPES.get(first.parse::<usize>().ok()?).copied()?;
    let (_, destination) = token(rest).ok()?;
    (destination == "default" || network(destination).is_some()).then_some(name)
}

/// The action of a rule (`FR_ACT_*`) by number.
pub(in crate::formats) fn action(word: &str) -> Option<&'static str> {
    match word {
        "6" => Some("blackhole"),
        "7" => Some("unreachable"),
        "8" => Some("prohibit"),
        _ => None,
    }
}

/// The name of one of the three tables that every machine has.
pub(in crate::formats) fn table(number: &str) -> Option<&'static str> {
    match number {
        "253" => Some("default"),
        "254" => Some("main"),
        "255" => Some("local"),
        _ => None,
    }
}

/// Gives the numbers of a route their names.
pub(super) fn named(route: &mut Route) {
    let name = |slot: &mut Option<Name>, names: &[(&str, &'static str)]| {
        let found = slot.as_ref().and_then(|number| names.iter().find(|name| number == name.0));
        if let Some((_, name)) = found {
            *slot = Some(Name::const_new(name));
        }
    };
    let protocols = [
        ("1", "redirect"),
        ("2", "kernel"),
        ("3", "boot"),
        ("4", "static"),
        ("9", "ra"),
        ("11", "zebra"),
        ("12", "bird"),
        ("16", "dhcp"),
        ("186", "bgp"),
    ];
    let scopes =
        [("0", "global"), ("200", "site"), ("253", "link"), ("254", "host"), ("255", "nowhere")];
    name(&mut route.proto, &protocols);
    name(&mut route.scope, &scopes);
    if let Some(shown) = &mut route.table
        && let Some(name) = table(shown)
    {
        shown.value = name.into();
    }
}
