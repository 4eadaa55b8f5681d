//! The lines about one device, in both dialects.
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use tapline_core::Name;
use tapline_core::records::PackedFields;
use tapline_core::records::link::{Address, Link, LinkStats};
use tapline_core::span::{At, Span};

use crate::keyed::at;
use crate::lines::Read;
use crate::nomx::{Parsed, refuse};

/// Reads one line into `link`; `label` is that of an alias.
pub(super) fn read<'a>(
    text: &str,
    line: &'a str,
    link: &mut Link,
    label: Option<&str>,
) -> Parsed<'a, Read<()>> {
    let took = Ok(("", Read::Took(())));
    let mut words = line.split_whitespace();
    let first = words.next().unwrap_or_default();
    if let Some(listed) = first.strip_prefix("flags=") {
        return head(text, line, listed, link, label);
    }
    match first {
        "Link" => hardware(text, line, link)?,
        "inet" | "inet6" => {
            let six = first == "inet6" || words.clone().next() == Some("addr6:");
            let Some(mut address) = address(text, line, six) else {
                return refuse(line, "an address with its mask or prefix length");
            };
            address.label = label.map(Name::from);
            link.addresses.push(address);
        }
        "ether" => {
            let mac = words.next().unwrap_or_default();
            let Ok(address) = mac.parse() else { return refuse(line, "a MAC address") };
            link.mac = Some(At::new(address, Span::of(text, mac)));
            link.link_type = Some(Name::const_new("ether"));
            queue(line, link);
        }
        "loop" => {
            link.link_type = Some(Name::const_new("loopback"));
            queue(line, link);
        }
        "RX" | "TX" => counters(text, line, link, first == "RX"),
        _ if first.starts_with("collisions:") => {
            counters(text, line, link, false);
            queue(line, link);
        }
        _ if line.contains("MTU:") => return flags(text, line, link, label),
        // `device interrupt 16`, `Interrupt:16`, `unspec 00-00-…`, and what BSD and macOS print.
        _ if is_other(line, first) => {
            let rest = line.get(first.len()..).unwrap_or_default().trim();
            link.other.push(first.trim_end_matches([':', '=']), rest, Span::of(text, rest));
            queue(line, link);
        }
        _ => return refuse(line, "a line of `ifconfig` about a device"),
    }
    took
}

/// `flags=4163<UP,BROADCAST>  mtu 1500`.
fn head<'a>(
    text: &str,
    line: &'a str,
    listed: &str,
    link: &mut Link,
    label: Option<&str>,
) -> Parsed<'a, Read<()>> {
    let Some((_, rest)) = listed.split_once('<') else { return refuse(line, "flags in `<…>`") };
    let Some((words, _)) = rest.split_once('>') else { return refuse(line, "flags in `<…>`") };
    if label.is_none() {
        link.flags = At::new(as_ip(words.split(',')), Span::of(text, words));
        let mut keys = line.split_whitespace().skip_while(|word| *word != "mtu");
        if let Some(shown) = keys.nth(1) {
            let Ok(mtu) = shown.parse() else { return refuse(shown, "a number behind `mtu`") };
            link.mtu = Some(At::new(mtu, Span::of(text, shown)));
        }
    }
    Ok(("", Read::Took(())))
}

/// `UP BROADCAST RUNNING MULTICAST  MTU:1500  Metric:1`.
fn flags<'a>(
    text: &str,
    line: &'a str,
    link: &mut Link,
    label: Option<&str>,
) -> Parsed<'a, Read<()>> {
    let Some((words, rest)) = line.split_once("MTU:") else { return refuse(line, "`MTU:`") };
    let words = words.trim_end();
    let known = |word: &str| {
        word.bytes().all(|it| it.is_ascii_uppercase() || matches!(it, b'[' | b']' | b'_' | b'-'))
    };
    if !words.split_whitespace().all(known) {
        return refuse(line, "flags such as UP BROADCAST in front of `MTU:`");
    }
    if label.is_none() {
        let set = words.split_whitespace().filter(|word| !word.contains(['[', ']']));
        link.flags = At::new(as_ip(set), Span::of(text, words));
        let shown = rest.split_whitespace().next().unwrap_or_default();
        let Ok(mtu) = shown.parse() else { return refuse(shown, "a number behind `MTU:`") };
        link.mtu = Some(At::new(mtu, Span::of(text, shown)));
    }
    Ok(("", Read::Took(())))
}

/// The flags as `ip` prints them: `RUNNING` is hidden, and up without it is `NO-CARRIER`.
///
/// What is running has a carrier below it.
pub(super) fn as_ip<'a>(flags: impl Iterator<Item = &'a str>) -> Vec<Name> {
    let mut all: Vec<Name> = flags.filter(|flag| !flag.is_empty()).map(Name::from).collect();
    let running = all.iter().any(|it| it == "RUNNING");
    let up = all.iter().any(|it| it == "UP");
    all.retain(|it| it != "RUNNING");
    if up {
        all.push(Name::const_new(if running { "LOWER_UP" } else { "NO-CARRIER" }));
    }
    all
}

/// `Link encap:Ethernet  HWaddr 52:54:00:00:00:07`.
fn hardware<'a>(
    text: &str,
    line: &'a str,
    link: &mut Link,
) -> Result<(), nom::Err<crate::nomx::Expected<'a>>> {
    let Some((_, rest)) = line.split_once("encap:") else {
        return refuse(line, "`Link encap:`").map(|_: (&str, ())| ());
    };
    let (kind, address) = match rest.split_once("HWaddr") {
        Some((kind, address)) => (kind.trim(), address.trim()),
        None => (rest.trim(), ""),
    };
    link.link_type = Some(match kind {
        "Ethernet" => Name::const_new("ether"),
        "Local Loopback" => Name::const_new("loopback"),
        other => other.to_ascii_lowercase().into(),
    });
    match address.parse() {
        Ok(mac) => link.mac = Some(At::new(mac, Span::of(text, address))),
        Err(_) if address.is_empty() => {}
        Err(_) => link.address = Some(at(text, address)),
    }
    Ok(())
}

/// `inet 192.0.2.7  netmask 255.255.255.0  broadcast 192.0.2.255`, or
/// `inet addr:192.0.2.7  Bcast:192.0.2.255  Mask:255.255.255.0`.
fn address(text: &str, line: &str, six: bool) -> Option<Address> {
    let mut address = Address {
        at: Span::of(text, line),
        ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        prefix: if six { 128 } else { 32 },
        peer: None,
        broadcast: None,
        scope: None,
        flags: Vec::new(),
        label: None,
        valid_lft: None,
        preferred_lft: None,
        other: PackedFields::default(),
    };
    // `addr:X`, `addr: X` and `netmask X` alike.
    let mut pieces = Vec::new();
    for word in line.split_whitespace().skip(1) {
        match word.split_once(':') {
            Some((key @ ("addr" | "addr6" | "Bcast" | "Mask" | "P-t-P" | "Scope"), value)) => {
                pieces.push(key);
                pieces.extend(Some(value).filter(|it| !it.is_empty()));
            }
            _ => pieces.push(word),
        }
    }
    let mut pieces = pieces.into_iter();
    let mut shown = pieces.next()?;
    if matches!(shown, "addr" | "addr6") {
        shown = pieces.next()?;
    }
    let (ip, length) = shown.split_once('/').map_or((shown, None), |pair| (pair.0, Some(pair.1)));
    // BSD appends the device: `fe80::1%lo0`.
    address.ip = ip.split('%').next()?.parse().ok().filter(|ip: &IpAddr| ip.is_ipv6() == six)?;
    if let Some(length) = length {
        address.prefix = length.parse().ok()?;
    }
    while let Some(key) = pieces.next() {
        match key {
            "netmask" | "Mask" => address.prefix = mask(pieces.next()?)?,
            "prefixlen" => address.prefix = pieces.next()?.parse().ok()?,
            "broadcast" | "Bcast" => address.broadcast = Some(pieces.next()?.parse().ok()?),
            "destination" | "P-t-P" | "-->" => address.peer = Some(pieces.next()?.parse().ok()?),
            "scopeid" | "Scope" => {
                let scope = pieces.next()?;
                let name = scope.split_once('<').map_or(scope, |pair| pair.1.trim_end_matches('>'));
                address.scope = Some(name.to_ascii_lowercase().into());
            }
            flag => address.flags.push(flag.into()),
        }
    }
    let bits = if six { 128 } else { 32 };
    (address.prefix <= bits).then_some(address)
}

/// `255.255.255.0`, or `0xffffff00` of BSD.
fn mask(shown: &str) -> Option<u8> {
    let mask = match shown.strip_prefix("0x") {
        Some(hex) => Ipv4Addr::from(u32::from_str_radix(hex, 16).ok()?),
        None => shown.parse().ok()?,
    };
    Ipv4Net::with_netmask(Ipv4Addr::UNSPECIFIED, mask).ok().map(|net| net.prefix_len())
}

/// `txqueuelen 1000`, `txqueuelen:1000`.
fn queue(line: &str, link: &mut Link) {
    let mut words = line.split_whitespace();
    while let Some(word) = words.next() {
        let value = match word.strip_prefix("txqueuelen") {
            Some("") => words.next(),
            Some(rest) => rest.strip_prefix(':'),
            None => continue,
        };
        link.qlen = value.and_then(|value| value.parse().ok()).or(link.qlen);
    }
}

/// `RX packets 317  bytes 33996 (33.1 KiB)`, `RX packets:317 errors:1 …`, and
/// `RX bytes:33996 (33.9 KB)  TX bytes:10998 (10.9 KB)`.
fn counters(text: &str, line: &str, link: &mut Link, receives: bool) {
    let stats = link.stats.get_or_insert_with(|| LinkStats {
        at: Span::of(text, line),
        rx: Vec::new(),
        tx: Vec::new(),
    });
    let mut receives = receives;
    let mut key = "";
    for word in line.split(|c: char| c.is_whitespace() || c == ':').filter(|part| !part.is_empty())
    {
        match word {
            "RX" | "TX" => receives = word == "RX",
            _ => match word.parse::<u64>() {
                Ok(count) if !key.is_empty() => {
                    let name = match key {
                        "overruns" => "overrun",
                        "collisions" => "collsns",
                        other => other,
                    };
                    let side = if receives { &mut stats.rx } else { &mut stats.tx };
                    if name != "txqueuelen" {
                        side.push((name.into(), count));
                    }
                    key = "";
                }
                _ if word.bytes().all(|b| b.is_ascii_lowercase()) => key = word,
                _ => key = "",
            },
        }
    }
}

/// Whether a line is a further one of a device: a key with a colon, an equals sign or a value.
fn is_other(line: &str, first: &str) -> bool {
    const KEYS: &[&str] = &[
        "device",
        "unspec",
        "infiniband",
        "tunnel",
        "sit",
        "slip",
        "ppp",
        "ax25",
        "lladdr",
        "Base",
        "DMA",
        "Interrupt",
        "Memory",
        "EtherTalk",
        "IPX",
        "econet",
        "nd6",
        "media:",
        "status:",
        "groups:",
        "options",
        "module",
        "lane",
        "priority:",
        "address:",
        "index",
        "member:",
        "maxaddr",
        "maxage",
        "ifmaxaddr",
        "link-local6:",
        "id",
        "root",
        "Configuration:",
        "ipfilter",
        "hwaddr",
        "plugged:",
        "vendor:",
        "RX:",
        "TX:",
        "trunk",
        "vlan:",
        "parent",
        "description:",
        "enabled=",
        "ec_capabilities=",
        "laggproto",
        "laggport:",
        "lagg",
        "supported",
        "qtype:",
        "agent",
        "generation",
        "link",
        "uplink",
        "type:",
        "scheduler:",
        "netif:",
        "flowswitch:",
        "domain",
        "state",
        "manufacturer:",
        "fib:",
        "drivername:",
        "interface:",
        "hops",
        "desired",
        "inactive",
        "rate",
        "phy",
        "link_quality",
        "eflags=",
        "xflags=",
    ];
    KEYS.contains(&first)
        || first.starts_with("Interrupt:")
        || first.starts_with("Memory:")
        || first.contains('=') && (first.ends_with('>') || first == line)
        || line.ends_with("(UNSPEC)")
        || line.ends_with("Tunnel)")
        || line.ends_with(')') && line.contains("txqueuelen")
}
