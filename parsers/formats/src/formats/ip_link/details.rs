//! Lines below a device other than addresses and counters.
use tapline_core::Name;
use tapline_core::records::PackedFields;
use tapline_core::records::link::{Link, Vf};
use tapline_core::span::{At, Span};

use super::device::shared;
use super::fail;
use super::fields::{each_field, is_key, keep};
use super::kinds::{Kind, is_known};
use crate::nomx::{Expected, word_gap};

/// The word behind which the line is cut off, if it is.
type Done<'a> = Result<Option<&'a str>, nom::Err<Expected<'a>>>;

/// `link/ether AA:… brd ff:… link-netnsid 0 promiscuity 0 …`. Sets `details` where there are
/// details.
pub(super) fn link_line<'a>(
    text: &'a str,
    line: &'a str,
    link: &mut Link,
    details: &mut bool,
) -> Done<'a> {
    let at = |part: &str| Span::of(text, part);
    let (mut rest, first) = word_gap(line)?;
    let kind = first.strip_prefix("link/").unwrap_or_default();
    link.link_type = Some(kind.into());
    // Types without address (`none`, `void`, `ppp`) are followed by a key at once.
    if let Ok((after, address)) = word_gap(rest)
        && (address.contains(':') || address.contains('.'))
    {
        rest = after;
        match address.parse() {
            Ok(mac) => link.mac = Some(At::new(mac, at(address))),
            Err(_) if is_ethernet(kind) => {
                return Err(fail(address, "a MAC address of six octets"));
            }
            Err(_) => link.address = Some(At::new(address.into(), at(address))),
        }
    }
    let ethernet = is_ethernet(kind);
    reserve(link, rest);
    each_field(rest, |key, value| {
        match key {
            "permaddr" if ethernet => {
                let mac = value.parse().map_err(|_| fail(value, "a MAC address of six octets"))?;
                link.permanent_mac = Some(At::new(mac, at(value)));
                return Ok(());
            }
            "promiscuity" => *details = true,
            _ => {}
        }
        shared(text, link, key, value)
    })
}

/// Makes room for the fields of `rest`: about 16 bytes each.
fn reserve(link: &mut Link, rest: &str) {
    link.other.reserve(rest.len() / 16);
}

/// Types whose addresses have six octets.
fn is_ethernet(link_type: &str) -> bool {
    matches!(link_type, "ether" | "loopback")
}

/// A line of `-d`: the kind of the device, its kind as a member, or more about them.
///
/// Unknown kinds are keep, but prose is not a kind: `detailed` says that the line above had
/// details, too.
pub(super) fn detail<'a>(
    text: &'a str,
    line: &'a str,
    link: &mut Link,
    detailed: bool,
) -> Done<'a> {
    let (rest, first) = word_gap(line)?;
    reserve(link, rest);
    let name = |it: &'a str| Some(At::new(Name::new(it), Span::of(text, it)));
    let plain = first.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if let Some(slave) = first.strip_suffix("_slave").filter(|rest| plain && !rest.is_empty()) {
        if link.slave_kind.is_some() {
            return Err(fail(line, "one line of member details only"));
        }
        link.slave_kind = name(first);
        let state = matches!(slave, "bridge" | "bond");
        return each_field(rest, |key, value| {
            if state && key == "state" {
                link.slave_state = Some(At::new(value.into(), Span::of(text, value)));
            } else {
                keep(text, &mut link.other, key, value);
            }
            Ok(())
        });
    }
    if first.ends_with("-qos-map") || first.starts_with("prog/") || is_continued(link, first) {
        return each_field(line, |key, value| {
            keep(text, &mut link.other, key, value);
            Ok(())
        });
    }
    let unknown = link.kind.is_none()
        && plain
        && (detailed || rest.is_empty() || rest.split_whitespace().any(is_device_key));
    if !(unknown || (is_known(first) && link.kind.is_none())) {
        return Err(fail(line, "a line of `ip address` or `ip link`"));
    }
    link.kind = name(first);
    let mut kind = Kind::new(first);
    each_field(rest, |key, value| {
        if !kind.set(text, &mut link.kind_data, key, value)? {
            keep(text, &mut link.other, key, value);
        }
        Ok(())
    })
}

/// Keys that current versions print for every device, whatever its kind.
fn is_device_key(word: &str) -> bool {
    matches!(word, "addrgenmode" | "numtxqueues" | "gso_max_size")
}

/// Further lines of the kinds that have some: `can` prints bit timings below.
fn is_continued(link: &Link, first: &str) -> bool {
    let Some(kind) = &link.kind else { return false };
    match kind.as_str() {
        "can" => {
            is_key(first)
                || matches!(first, "tq" | "dbitrate" | "dtq" | "clock" | "termination")
                || first == "re-started"
                || first.ends_with(':')
                || first.bytes().all(|b| b.is_ascii_digit())
        }
        _ => false,
    }
}

/// All that follows the first word: a name, or free text.
pub(super) fn rest_of_line<'a>(
    text: &'a str,
    rest: &'a str,
) -> Result<At<Name>, nom::Err<Expected<'a>>> {
    let rest = rest.trim();
    if rest.is_empty() {
        return Err(fail(rest, "a name"));
    }
    Ok(At::new(rest.into(), Span::of(text, rest)))
}

/// `vf 0 link/ether AA:… brd ff:…, vlan 5, qos 1, spoof checking on, link-state auto`; before
/// iproute2 4.19 `vf 0 MAC AA:…, …`.
pub(super) fn vf<'a>(text: &'a str, line: &'a str) -> Result<Vf, nom::Err<Expected<'a>>> {
    let (rest, _) = word_gap(line)?;
    let (rest, number) = word_gap(rest)?;
    let Ok(number) = number.parse() else {
        return Err(fail(number, "the number of a virtual function"));
    };
    let mut vf = Vf {
        at: Span::of(text, line),
        vf: number,
        mac: None,
        vlan: None,
        other: PackedFields::default(),
    };
    for part in rest.split(',').map(str::trim).filter(|text| !text.is_empty()) {
        let (after, first) = word_gap(part)?;
        match first {
            "MAC" | "link/ether" => {
                let (more, address) = word_gap(after)?;
                let mac = address.parse().map_err(|_| fail(address, "a MAC address"))?;
                vf.mac = Some(mac);
                each_field(more, |key, value| {
                    keep(text, &mut vf.other, key, value);
                    Ok(())
                })?;
            }
            "vlan" if !after.contains(' ') => {
                let vlan = after.parse().map_err(|_| fail(after, "a VLAN id"))?;
                vf.vlan = Some(vlan);
            }
            _ => {
                // `spoof checking on`: the last word is the value.
                let (key, value) = match part.strip_suffix("(Mbps)").map(str::trim_end) {
                    Some(rate) => (rate.rsplit_once(' ').map_or(rate, |pair| pair.0), None),
                    None => {
                        part.rsplit_once(' ').map_or((part, None), |pair| (pair.0, Some(pair.1)))
                    }
                };
                let value =
                    value.or_else(|| part.get(key.len()..).map(str::trim)).unwrap_or_default();
                keep(text, &mut vf.other, key, value);
            }
        }
    }
    Ok(vf)
}
