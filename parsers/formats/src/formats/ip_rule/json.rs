//! `ip -j rule`.
use ipnet::IpNet;
use tapline_core::Name;
use tapline_core::records::Field;
use tapline_core::records::route::Rule;
use tapline_core::span::{At, Span};

use super::{empty, l3mdev};
use crate::formats::ip_route::network;
use crate::json_object::Object;

/// One element of the array; an empty one is what a filter left out.
pub(super) fn rule(text: &str, raw: &str) -> Result<Option<Rule>, String> {
    let mut object = Object::parse(text, raw)?;
    if object.is_empty() {
        return Ok(None);
    }
    let at = Span::of(text, raw);
    let priority = object.value("priority")?.ok_or("a rule without `priority`")?.value;
    let mut rule = empty(at, priority);
    rule.not = object.take("not").is_some();
    rule.from = prefix(&mut object, "src", "srclen")?;
    rule.to = prefix(&mut object, "dst", "dstlen")?;
    for key in ["iif", "oif"] {
        let slot = if key == "iif" { &mut rule.iif } else { &mut rule.oif };
        *slot = object.name(key).map(|name| name.value);
        if let Some(raw) = object.take(&format!("{key}_detached")) {
            rule.other.push(field(key, "[detached]", object.span(raw)));
        }
    }
    rule.fwmark = match (object.name("fwmark"), object.name("fwmask")) {
        (Some(mark), Some(mask)) => Some(format!("{}/{}", *mark, *mask).into()),
        (mark, _) => mark.map(|mark| mark.value),
    };
    rule.lookup = object.name("table");
    if let Some(raw) = object.take("l3mdev") {
        rule.lookup = Some(l3mdev(object.span(raw)));
    }
    rule.action = object.name("action").map(|name| name.value);
    if object.take("nop").is_some() {
        rule.action = Some(Name::const_new("nop"));
    }
    if let Some(to) = object.name("goto") {
        rule.action = Some(format!("goto {}", *to).into());
    }
    if let Some(raw) = object.take("unresolved") {
        rule.other.push(field("goto", "[unresolved]", object.span(raw)));
    }
    for (key, first, last, between) in [
        ("uidrange", "uid_start", "uid_end", '-'),
        ("sport", "sport_start", "sport_end", '-'),
        ("dport", "dport_start", "dport_end", '-'),
        ("realms", "flow_from", "flow_to", '/'),
    ] {
        if let (Some(a), Some(b)) = (object.name(first), object.name(last)) {
            rule.other.push(field(key, &format!("{}{between}{}", *a, *b), a.span.to(b.span)));
        }
    }
    for (key, name) in [
        ("suppress_prefixlength", "suppress_prefixlen"),
        ("suppress_ifgroup", "suppress_ifgrp"),
        ("proto", "protocol"),
    ] {
        if let Some(value) = object.name(name) {
            rule.other.push(Field { key: key.into(), value });
        }
    }
    rule.other.extend(object.rest());
    Ok(Some(rule))
}

/// An address and its length in two keys; `all` is none.
fn prefix(object: &mut Object<'_>, key: &str, length: &str) -> Result<Option<IpNet>, String> {
    let shown = object.text(key);
    let length = object.value::<u8>(length)?;
    let Some(shown) = shown.filter(|shown| shown.value != "all") else { return Ok(None) };
    let prefix = match length {
        Some(length) => network(&format!("{}/{}", shown.value, length.value)),
        None => network(&shown.value),
    };
    let why =
        || format!("`{key}` is no prefix: {}", shown.value.chars().take(60).collect::<String>());
    prefix.map(Some).ok_or_else(why)
}

fn field(key: &str, value: &str, span: Span) -> Field {
    Field { key: key.into(), value: At::new(Name::new(value), span) }
}
