//! `ip -j`: the same devices as a JSON array.
//!
//! Keys that text spells differently are kept under the name that text has for them, so that
//! `other` can be asked the same question whatever the form. iproute2 4.14 and later.
use std::borrow::Cow;
use std::str::FromStr;

use tapline_core::Name;
use tapline_core::ids::{IfIndex, Netns};
use tapline_core::outcome::{Fate, Outcome, ProblemKind};
use tapline_core::records::PackedFields;
use tapline_core::records::link::{Address, Link, LinkStats, LowerRef, NetnsRef, Vf};
use tapline_core::span::{At, Span};

use super::address::empty;
use super::kinds::Kind;
use crate::json::{Fields, array, check_names, each_object_of, scalar};
use crate::lines::{finish, tool_error};
use crate::nomx::Expected;

/// Reads `text`, if it is JSON: arrays, each possibly under a heading `netns: NAME`, with
/// complaints of the tool between them.
pub(super) fn read(text: &str) -> Option<Outcome<Vec<Link>>> {
    let mut out = Outcome::default();
    let mut netns = None;
    let mut rest = text;
    let mut found = false;
    while !rest.is_empty() {
        let end = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |memchr| memchr + 1);
        let (line, after) = rest.split_at_checked(end)?;
        let body = line.trim();
        if starts_array(body) {
            found = true;
            let end = next_heading(rest);
            let (part, after) = rest.split_at_checked(end)?;
            each_object_of(text, part, &mut out, |raw, fields| {
                link(text, raw, &fields, netns.as_ref())
            });
            rest = after;
            continue;
        }
        if body.is_empty() {
            out.lines.add(Fate::Blank);
        } else if let Some(name) = body.strip_prefix("netns: ") {
            netns = Some(Netns::Named(name.into()));
            out.lines.add(Fate::Ignored);
        } else {
            let complaint = tool_error(body)?;
            out.problem(ProblemKind::ToolError, Span::of(text, body), complaint);
            out.lines.add(Fate::Ignored);
        }
        rest = after;
    }
    if !found {
        return None;
    }
    finish(text, &mut out);
    Some(out.map(|all| all.into_iter().flatten().collect()))
}

/// `[{…`, `[ {`, `[]`, or `[` alone; but not the `[` of a prompt.
fn starts_array(line: &str) -> bool {
    line.strip_prefix('[').is_some_and(|it| {
        let it = it.trim_start();
        it.is_empty() || it.starts_with(['{', ']'])
    })
}

/// Where the next heading starts, or the text ends.
fn next_heading(text: &str) -> usize {
    memchr::memmem::find(text.as_bytes(), b"\nnetns: ").map_or(text.len(), |it| it + 1)
}

type Why<T> = Result<T, String>;

/// One device; versions before 5.0 print `{}` for those that a filter leaves out.
fn link(text: &str, raw: &str, fields: &Fields<'_>, netns: Option<&Netns>) -> Why<Option<Link>> {
    if fields.0.is_empty() {
        return Ok(None);
    }
    check_names(fields.0.iter().map(|(key, raw)| (key.as_str(), *raw)))?;
    let at = |raw: &str| place(text, raw);
    let Some(name) = fields.get("ifname") else { return Err("expected `ifname`".to_owned()) };
    let mut link = Link::named(
        Span { start: Span::of(text, raw).start, end: Span::of(text, name).end },
        At::new(word(name), at(name)),
    );
    link.netns = netns.cloned();
    let numeric = fields.get("link_netnsid").is_some();
    for (key, raw) in &fields.0 {
        let raw = *raw;
        match key.as_str() {
            "ifname" => {}
            "ifindex" => link.index = Some(IfIndex(number(key, raw)?)),
            "link" => {
                let lower = if raw == "null" { LowerRef::None } else { LowerRef::Name(word(raw)) };
                link.lower = Some(At::new(lower, at(raw)));
            }
            "link_index" => {
                link.lower = Some(At::new(LowerRef::Index(IfIndex(number(key, raw)?)), at(raw)));
            }
            "link_netnsid" => {
                let id: i64 = number(key, raw)?;
                let id = u32::try_from(id).map_or(NetnsRef::Unknown, NetnsRef::Id);
                link.lower_netns = Some(At::new(id, at(raw)));
            }
            "link_netns" if !numeric => {
                link.lower_netns = Some(At::new(NetnsRef::Name(word(raw)), at(raw)));
            }
            "flags" => {
                let flags = array(raw)?.into_iter().map(word).collect();
                link.flags = At::new(flags, at(raw));
            }
            "mtu" => link.mtu = Some(At::new(number(key, raw)?, at(raw))),
            "qdisc" => link.qdisc = Some(word(raw)),
            "master" => link.master = Some(At::new(word(raw), at(raw))),
            "operstate" => link.state = Some(At::new(word(raw), at(raw))),
            "group" => link.group = Some(word(raw)),
            "txqlen" => link.qlen = Some(number(key, raw)?),
            "link_type" => link.link_type = Some(word(raw)),
            "address" => match scalar(raw).parse() {
                Ok(mac) => link.mac = Some(At::new(mac, at(raw))),
                Err(_) => link.address = Some(At::new(word(raw), at(raw))),
            },
            "permaddr" => match scalar(raw).parse() {
                Ok(mac) => link.permanent_mac = Some(At::new(mac, at(raw))),
                Err(_) => keep(text, &mut link.other, key, raw),
            },
            "linkinfo" => linkinfo(text, &mut link, raw)?,
            "altnames" => {
                for raw in array(raw)? {
                    link.altnames.push(At::new(word(raw), at(raw)));
                }
            }
            "ifalias" => link.alias = Some(At::new(word(raw), at(raw))),
            "vfinfo_list" => {
                for raw in array(raw)? {
                    link.vfs.push(vf(text, raw)?);
                }
            }
            "stats64" => link.stats = Some(stats(text, raw)?),
            "stats" if fields.get("stats64").is_none() => {
                link.stats = Some(stats(text, raw)?);
            }
            "addr_info" => {
                for raw in array(raw)? {
                    link.addresses.extend(address(text, raw, &link.name)?);
                }
            }
            _ => keep(text, &mut link.other, key, raw),
        }
    }
    Ok(Some(link))
}

/// `linkinfo`: kind, its data, and the same as a member.
fn linkinfo(text: &str, link: &mut Link, raw: &str) -> Why<()> {
    let fields = Fields::read(raw)?;
    for (key, raw) in &fields.0 {
        let name = || At::new(word(raw), place(text, raw));
        match key.as_str() {
            "info_kind" => link.kind = Some(name()),
            "info_slave_kind" => {
                // Text prints `bridge_slave`.
                link.slave_kind = Some(name().map(|name| format!("{name}_slave").into()));
            }
            "info_data" => {
                let kind = fields.get("info_kind").map(scalar).unwrap_or_default();
                let mut kind = Kind::new(&kind);
                for (key, raw) in &Fields::read(raw)?.0 {
                    let key = text_key(key);
                    let value = borrowed(raw);
                    let typed = kind.set(text, &mut link.kind_data, key, value);
                    if !typed.map_err(|typed| expected(key, typed))? {
                        keep(text, &mut link.other, key, raw);
                    }
                }
            }
            "info_slave_data" => {
                let data = Fields::read(raw)?;
                link.other.reserve(data.0.len());
                for (key, raw) in &data.0 {
                    if key == "state" {
                        link.slave_state = Some(At::new(word(raw), place(text, raw)));
                    } else {
                        keep(text, &mut link.other, slave_key(key), raw);
                    }
                }
            }
            _ => keep(text, &mut link.other, key, raw),
        }
    }
    Ok(())
}

/// One address; `{}` is none.
fn address(text: &str, raw: &str, device: &str) -> Why<Option<Address>> {
    let fields = Fields::read(raw)?;
    if fields.0.is_empty() {
        return Ok(None);
    }
    let Some(local) = fields.get("local").or_else(|| fields.get("address")) else {
        return Err("expected `local` in `addr_info`".to_owned());
    };
    let Some(prefix) = fields.get("prefixlen") else {
        return Err("expected `prefixlen` in `addr_info`".to_owned());
    };
    let ip = number("local", local)?;
    let mut found = empty(Span::of(text, raw), ip, number("prefixlen", prefix)?);
    if found.prefix > if ip.is_ipv4() { 32 } else { 128 } {
        return Err(format!("expected a prefix length that fits, not {prefix}"));
    }
    for (key, raw) in &fields.0 {
        let raw = *raw;
        match key.as_str() {
            "family" | "local" | "prefixlen" => {}
            "address" if fields.get("local").is_some() => found.peer = Some(number(key, raw)?),
            "broadcast" => found.broadcast = Some(number(key, raw)?),
            "scope" => found.scope = Some(word(raw)),
            "label" => found.label = Some(word(raw)).filter(|it| it != device),
            "valid_life_time" => found.valid_lft = lifetime(key, raw)?,
            "preferred_life_time" => found.preferred_lft = lifetime(key, raw)?,
            _ if raw == "true" => found.flags.push(key.clone()),
            "protocol" => keep(text, &mut found.other, "proto", raw),
            "anycast" => keep(text, &mut found.other, "any", raw),
            _ => keep(text, &mut found.other, key, raw),
        }
    }
    Ok(Some(found))
}

/// All bits set is forever.
fn lifetime(key: &str, raw: &str) -> Why<Option<u32>> {
    number(key, raw).map(|it: u32| Some(it).filter(|&it| it != u32::MAX))
}

fn vf(text: &str, raw: &str) -> Why<Vf> {
    let fields = Fields::read(raw)?;
    let number_of_vf = fields.get("vf").ok_or("expected `vf` in `vfinfo_list`")?;
    let mut vf = Vf {
        at: Span::of(text, raw),
        vf: number("vf", number_of_vf)?,
        mac: None,
        vlan: None,
        other: PackedFields::default(),
    };
    for (key, raw) in &fields.0 {
        let raw = *raw;
        match key.as_str() {
            "vf" => {}
            "address" | "mac" if scalar(raw).parse::<tapline_core::ids::Mac>().is_ok() => {
                vf.mac = scalar(raw).parse().ok();
            }
            "vlan" => vf.vlan = Some(number(key, raw)?),
            "vlan_list" => {
                for (n, raw) in array(raw)?.into_iter().enumerate() {
                    for (key, raw) in &Fields::read(raw)?.0 {
                        if key == "vlan" && n == 0 {
                            vf.vlan = Some(number(key, raw)?);
                        } else {
                            keep(text, &mut vf.other, key, raw);
                        }
                    }
                }
            }
            "rate" => {
                for (key, raw) in &Fields::read(raw)?.0 {
                    keep(text, &mut vf.other, key, raw);
                }
            }
            _ => keep(text, &mut vf.other, key, raw),
        }
    }
    Ok(vf)
}

fn stats(text: &str, raw: &str) -> Why<LinkStats> {
    let mut stats = LinkStats { at: Span::of(text, raw), ..LinkStats::default() };
    for (way, raw) in &Fields::read(raw)?.0 {
        let to = match way.as_str() {
            "rx" => &mut stats.rx,
            "tx" => &mut stats.tx,
            _ => continue,
        };
        for (key, raw) in &Fields::read(raw)?.0 {
            to.push((counter(key).into(), number(key, raw)?));
        }
    }
    Ok(stats)
}

/// The name that the heading of the text form has for a counter.
fn counter(key: &str) -> &str {
    match key {
        "over_errors" => "overrun",
        "multicast" => "mcast",
        "collisions" => "collsns",
        "heartbeat_errors" => "heartbt",
        "carrier_changes" => "transns",
        _ => key.strip_suffix("_errors").unwrap_or(key),
    }
}

/// The name that text has for a key of a device or of its kind.
fn text_key(key: &str) -> &str {
    match key {
        "min_mtu" => "minmtu",
        "max_mtu" => "maxmtu",
        "inet6_addr_gen_mode" => "addrgenmode",
        "num_tx_queues" => "numtxqueues",
        "num_rx_queues" => "numrxqueues",
        "linkmode" => "mode",
        "broadcast" => "brd",
        "phys_port_name" => "portname",
        "phys_port_id" => "portid",
        "phys_switch_id" => "switchid",
        "proto_down" => "protodown",
        // Tunnels. Text has one word for both families.
        "remote6" => "remote",
        "local6" => "local",
        "group6" => "group",
        "port" => "dstport",
        "link" => "dev",
        // Bridges.
        "root_id" => "designated_root",
        "group_addr" => "group_address",
        "mcast_last_member_cnt" => "mcast_last_member_count",
        "mcast_startup_query_cnt" => "mcast_startup_query_count",
        "mcast_last_member_intvl" => "mcast_last_member_interval",
        "mcast_membership_intvl" => "mcast_membership_interval",
        "mcast_querier_intvl" => "mcast_querier_interval",
        "mcast_query_intvl" => "mcast_query_interval",
        "mcast_query_response_intvl" => "mcast_query_response_interval",
        "mcast_startup_query_intvl" => "mcast_startup_query_interval",
        // Bonds.
        "num_peer_notif" => "num_grat_arp",
        "ad_lacp_active" => "lacp_active",
        "ad_lacp_rate" => "lacp_rate",
        _ => key,
    }
}

/// The name that text has for a key of a member.
fn slave_key(key: &str) -> &str {
    match key {
        "id" => "port_id",
        "no" => "port_no",
        "bridge_id" => "designated_bridge",
        "root_id" => "designated_root",
        "multicast_router" => "mcast_router",
        "fast_leave" => "mcast_fast_leave",
        _ => key,
    }
}

/// Keeps a field under the name that text has for it.
fn keep(text: &str, other: &mut PackedFields, key: &str, raw: &str) {
    let value = match raw {
        "true" => Cow::Borrowed("on"),
        "false" => Cow::Borrowed("off"),
        _ => scalar(raw),
    };
    other.push(text_key(key), &value, place(text, raw));
}

fn word(raw: &str) -> Name {
    Name::new(scalar(raw))
}

/// The content of a string as it stands, escapes and all: only for values without escapes, such
/// as numbers, addresses and names of modes.
fn borrowed(raw: &str) -> &str {
    match scalar(raw) {
        Cow::Borrowed(it) => it,
        Cow::Owned(_) => raw,
    }
}

/// The place of a value; of a string without its quotes.
fn place(text: &str, raw: &str) -> Span {
    Span::of(text, borrowed(raw))
}

fn number<T: FromStr>(key: &str, raw: &str) -> Why<T> {
    let value = scalar(raw);
    value.parse().map_err(|_| format!("`{key}` has a value that is not understood: {value}"))
}

fn expected(key: &str, why: nom::Err<Expected<'_>>) -> String {
    match why {
        nom::Err::Error(Expected { at, what }) | nom::Err::Failure(Expected { at, what }) => {
            format!("expected {what} in `{key}`, not {at}")
        }
        nom::Err::Incomplete(_) => format!("`{key}` is cut off"),
    }
}
