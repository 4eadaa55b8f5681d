//! `ip -j neigh`.
use tapline_core::records::Field;
use tapline_core::records::neigh::Neighbour;
use tapline_core::span::{At, Span};

use super::{FLAGS, empty, link_address};
use crate::json_object::Object;

/// One element of the array; an empty one is what a filter left out.
pub(super) fn neighbour(text: &str, raw: &str) -> Result<Option<Neighbour>, String> {
    let mut object = Object::parse(text, raw)?;
    if object.is_empty() {
        return Ok(None);
    }
    let ip = object.value("dst")?.ok_or("an entry without `dst`")?;
    let mut entry = empty(Span::of(text, raw), ip);
    entry.dev = object.name("dev");
    if let Some(address) = object.name("lladdr") {
        link_address(&mut entry, address);
    }
    for &flag in FLAGS {
        if object.take(flag).is_some() {
            entry.flags.push(flag.into());
        }
    }
    entry.states = object.names("state").into_iter().map(|name| name.value).collect();
    let times = (object.name("used"), object.name("confirmed"), object.name("updated"));
    if let (Some(used), Some(confirmed), Some(updated)) = times {
        let value = format!("{}/{}/{}", *used, *confirmed, *updated);
        let value = At::new(value.into(), used.span.to(updated.span));
        entry.other.push(Field { key: "used".into(), value });
    }
    for (key, name) in [("ref", "refcnt"), ("proto", "protocol")] {
        if let Some(value) = object.name(name) {
            entry.other.push(Field { key: key.into(), value });
        }
    }
    entry.other.extend(object.rest());
    Ok(Some(entry))
}
