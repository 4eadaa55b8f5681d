//! One flow: statistics and match up to `actions=`, then actions.
use tapline_core::Name;
use tapline_core::records::Field;
use tapline_core::records::openflow::{Flow, FlowMatch};
use tapline_core::span::{At, Span};

use super::{action, value};
use crate::formats::openflow::{integer, quoted, small, table};
use crate::lines::Read;
use crate::nomx::{Parsed, refuse};

/// Reads one line.
pub(super) fn flow<'a>(text: &str, line: &'a str, bridge: Option<&Name>) -> Parsed<'a, Read<Flow>> {
    let mut input = line.trim_start();
    let first = Span::of(text, input.split([',', ' ']).next().unwrap_or(input));
    let mut flow = Flow {
        at: Span::of(text, line),
        bridge: bridge.cloned(),
        table: At::new(Flow::DEFAULT_TABLE, first),
        priority: At::new(Flow::DEFAULT_PRIORITY, first),
        cookie: None,
        n_packets: None,
        n_bytes: None,
        duration: None,
        idle_age: None,
        hard_age: None,
        idle_timeout: None,
        hard_timeout: None,
        other: Vec::new(),
        matches: Vec::new(),
        actions: Vec::new(),
    };
    loop {
        input = input.trim_start_matches([' ', '\t', ',']);
        let end = input.find(['=', ',', ' ', '\t']).unwrap_or(input.len());
        let (key, rest) = input.split_at_checked(end).unwrap_or((input, ""));
        if !is_key(key) {
            return refuse(input, "a field of a flow, or `actions=`");
        }
        let Some(behind) = rest.strip_prefix('=') else {
            let value = At::new(Name::default(), Span::of(text, key));
            if is_aside(key) {
                flow.other.push(Field { key: key.into(), value });
            } else {
                flow.matches.push(FlowMatch { key: key.into(), value, test: value::protocol(key) });
            }
            input = rest;
            continue;
        };
        if key == "actions" {
            let (rest, actions) = action::list(text, behind)?;
            flow.actions = actions;
            // Files for `add-flows` have comments.
            let rest = if rest.trim_start().starts_with('#') { "" } else { rest };
            return Ok((rest, Read::Took(flow)));
        }
        let Some(end) = piece(behind) else { return refuse(behind, "a closing quote or bracket") };
        let (value, rest) = behind.split_at_checked(end).unwrap_or((behind, ""));
        set(text, &mut flow, key, value)?;
        input = rest;
    }
}

/// Where a value or an action ends: at a comma or blank that no quote or bracket encloses; `None`
/// where one stays open.
pub(super) fn piece(input: &str) -> Option<usize> {
    let (mut depth, mut inside, mut escaped) = (0_u32, false, false);
    for (at, byte) in input.bytes().enumerate() {
        if inside {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => inside = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => inside = true,
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.checked_sub(1)?,
            b',' | b' ' | b'\t' if depth == 0 => return Some(at),
            _ => {}
        }
    }
    (depth == 0 && !inside).then_some(input.len())
}

fn is_key(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic())
        && key.bytes().all(|it| it.is_ascii_alphanumeric() || b"_.[]-".contains(&it))
}

/// Whether a key is no match: flags of a flow and statistics that no field holds.
fn is_aside(key: &str) -> bool {
    matches!(
        key,
        "check_overlap"
            | "importance"
            | "n_offload_bytes"
            | "n_offload_packets"
            | "no_byte_counts"
            | "no_packet_counts"
            | "no_readonly_table"
            | "out_group"
            | "out_port"
            | "reset_counts"
            | "send_flow_rem"
    )
}

/// Puts a value where it belongs.
fn set<'a>(text: &str, flow: &mut Flow, key: &str, value: &'a str) -> Parsed<'a, ()> {
    let span = Span::of(text, value);
    let done = match key {
        "cookie" => integer(value).map(|read| flow.cookie = Some(At::new(read, span))),
        "table" | "table_id" => table(value).map(|read| flow.table = At::new(read, span)),
        "priority" => small(value).map(|read| flow.priority = At::new(read, span)),
        "n_packets" => integer(value).map(|read| flow.n_packets = Some(read)),
        "n_bytes" => integer(value).map(|read| flow.n_bytes = Some(read)),
        "duration" => seconds(value).map(|read| flow.duration = Some(read)),
        "idle_age" => small(value).map(|read| flow.idle_age = Some(read)),
        "hard_age" => small(value).map(|read| flow.hard_age = Some(read)),
        "idle_timeout" => small(value).map(|read| flow.idle_timeout = Some(read)),
        "hard_timeout" => small(value).map(|read| flow.hard_timeout = Some(read)),
        _ if value.is_empty() => None,
        _ => {
            let shown = match quoted(value) {
                Some(name) => At::new(name, within_quotes(span)),
                None => At::new(value.into(), span),
            };
            if is_aside(key) {
                flow.other.push(Field { key: key.into(), value: shown });
            } else {
                let test = value::test(key, value);
                flow.matches.push(FlowMatch { key: key.into(), value: shown, test });
            }
            Some(())
        }
    };
    match done {
        Some(()) => Ok(("", ())),
        None => refuse(value, "a value that this field can have"),
    }
}

fn within_quotes(span: Span) -> Span {
    Span { start: span.start + 1, end: span.end.saturating_sub(1).max(span.start + 1) }
}

/// `9.25s`.
fn seconds(value: &str) -> Option<f64> {
    let number = value.strip_suffix('s')?;
    let digits = number.bytes().all(|it| it.is_ascii_digit() || it == b'.');
    number.parse().ok().filter(|_| digits)
}
