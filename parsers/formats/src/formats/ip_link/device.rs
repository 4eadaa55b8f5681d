//! The first line of a device, and the fields that this line and the `link/` line share.
use tapline_core::Name;
use tapline_core::ids::IfIndex;
use tapline_core::records::link::{Link, LowerRef, NetnsRef};
use tapline_core::span::{At, Span};

use super::fail;
use super::fields::{each_field, keep};
use crate::nomx::{Expected, Parsed, refuse, word_gap};

/// `2: eth0@if3: <UP> mtu 1500 …`; of `2: eth0    inet …` (`ip -o address`) the name, and the rest
/// is left. Gives also the word behind which the line is cut off. `line` is the whole line, `input` what comes before the first `\`.
pub(super) fn header<'a>(
    text: &'a str,
    line: &str,
    input: &'a str,
) -> Parsed<'a, (Link, Option<&'a str>)> {
    let at = |part: &str| Span::of(text, part);
    let (digits, rest) = input.split_once(": ").unwrap_or((input, ""));
    let Ok(index) = digits.parse() else { return refuse(digits, "an interface index") };
    let (rest, full) = word_gap(rest.trim_start())?;
    let plain = full.strip_suffix(':');
    let (name, lower) = name_and_lower(plain.unwrap_or(full));
    let mut link = Link::named(at(line), At::new(name.into(), at(name)));
    link.index = Some(IfIndex(index));
    link.lower = lower.map(|lower| At::new(lower_ref(lower), at(lower)));
    if plain.is_none() {
        return if rest.starts_with("inet ") || rest.starts_with("inet6 ") {
            Ok((rest, (link, None)))
        } else {
            refuse(full, "a colon behind the name")
        };
    }
    let rest = rest.trim_start();
    let Some((flags, rest)) = rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) else {
        return refuse(if rest.is_empty() { full } else { rest }, "flags such as <UP,LOWER_UP>");
    };
    link.flags = At::new(words(flags), at(flags));
    let mut last = "";
    let cut = each_field(rest, |key, value| {
        last = if value.is_empty() { key } else { "" };
        shared(text, &mut link, key, value)
    })?;
    // Terminals and pagers cut lines: `grou` is the beginning of `group default`.
    let begins = |key: &&str| !last.is_empty() && key.starts_with(last);
    let known = ["qdisc", "master", "state", "mode", "group", "qlen"];
    let cut = cut.or_else(|| known.iter().any(begins).then_some(last));
    Ok(("", (link, cut)))
}

/// Splits at the last `@`.
pub(super) fn name_and_lower(full: &str) -> (&str, Option<&str>) {
    match full.rsplit_once('@') {
        Some((name, lower)) if !name.is_empty() && !lower.is_empty() => (name, Some(lower)),
        _ => (full, None),
    }
}

/// `NONE`, `if17`, or a name.
pub(super) fn lower_ref(text: &str) -> LowerRef {
    let index = text.strip_prefix("if").filter(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    match index.and_then(|index| index.parse().ok()) {
        Some(index) => LowerRef::Index(IfIndex(index)),
        None if text == "NONE" => LowerRef::None,
        None => LowerRef::Name(text.into()),
    }
}

/// Flags between `<` and `>`.
pub(super) fn words(flags: &str) -> Vec<Name> {
    let count = memchr::memchr_iter(b',', flags.as_bytes()).count() + 1;
    let mut all = Vec::with_capacity(count);
    all.extend(flags.split(',').filter(|part| !part.is_empty()).map(Name::new));
    all
}

/// Whether this is the state of a bridge port (`bridge/link.c`, `port_states`).
fn is_port_state(word: &str) -> bool {
    matches!(word, "disabled" | "listening" | "learning" | "forwarding" | "blocking")
}

/// A field of the first line or of the `link/` line; what is not known goes to `other`.
pub(super) fn shared<'a>(
    text: &'a str,
    link: &mut Link,
    key: &'a str,
    value: &'a str,
) -> Result<(), nom::Err<Expected<'a>>> {
    let at = || Span::of(text, value);
    match key {
        "mtu" => {
            let mtu = value.parse().map_err(|_| fail(value, "a number behind `mtu`"))?;
            link.mtu = Some(At::new(mtu, at()));
        }
        "qdisc" => link.qdisc = Some(value.into()),
        "master" => link.master = Some(At::new(value.into(), at())),
        // `bridge link` prints such lines, with the state of the port.
        "state" if is_port_state(value) => return Err(fail(value, "a state such as UP or DOWN")),
        "state" => link.state = Some(At::new(value.into(), at())),
        "group" => link.group = Some(value.into()),
        "qlen" => {
            let qlen = value.parse().map_err(|_| fail(value, "a number behind `qlen`"))?;
            link.qlen = Some(qlen);
        }
        "link-netns" => {
            link.lower_netns = Some(At::new(NetnsRef::Name(value.into()), at()));
        }
        "link-netnsid" => {
            let id = match value {
                "unknown" => NetnsRef::Unknown,
                _ => NetnsRef::Id(value.parse().map_err(|_| fail(value, "a namespace id"))?),
            };
            link.lower_netns = Some(At::new(id, at()));
        }
        _ => keep(text, &mut link.other, key, value),
    }
    Ok(())
}
