//! What stands behind `actions=`.
use tapline_core::records::openflow::{Action, FlowAction, OfPort};

use super::line::piece;
use crate::formats::openflow::{integer, port, small};
use crate::keyed::at;
use crate::nomx::{Parsed, refuse};

/// Actions within actions are read this deep; deeper ones keep their text alone.
const MAX_DEPTH: u32 = 4;

/// Actions up to a blank or the end of the line; at least one.
pub(super) fn list<'a>(text: &str, input: &'a str) -> Parsed<'a, Vec<FlowAction>> {
    nested(text, input, MAX_DEPTH)
}

fn nested<'a>(text: &str, mut input: &'a str, depth: u32) -> Parsed<'a, Vec<FlowAction>> {
    let mut all = Vec::new();
    loop {
        let Some(end) = piece(input) else { return refuse(input, "a closing quote or bracket") };
        let (shown, rest) = input.split_at_checked(end).unwrap_or((input, ""));
        if shown.is_empty() {
            return refuse(input, "an action");
        }
        let action = action(text, shown, depth)?.1;
        all.push(FlowAction { text: at(text, shown), action });
        match rest.strip_prefix(',') {
            Some(more) => input = more,
            None => return Ok((rest, all)),
        }
    }
}

/// One action; refused where its kind is known but its value is not.
fn action<'a>(text: &str, shown: &'a str, depth: u32) -> Parsed<'a, Action> {
    let end = shown.find([':', '(']).filter(|_| !shown.starts_with('"'));
    let Some((name, rest)) = end.and_then(|it| shown.split_at_checked(it)) else {
        return Ok(("", bare(shown)));
    };
    // `name(args)` or `name:arg`.
    let arg = match rest.strip_prefix('(') {
        Some(inner) => match inner.strip_suffix(')') {
            Some(inner) => inner,
            None => return refuse(shown, "a closing bracket at the end of the action"),
        },
        None => rest.strip_prefix(':').unwrap_or_default(),
    };
    let within = rest.starts_with('(');
    let read = match name {
        "output" if within => value_of(arg, "port").map(|it| Action::Output { port: port(it) }),
        // A port that a field holds.
        "output" if arg.contains('[') => Some(Action::Other),
        "output" if arg.is_empty() => None,
        "output" => Some(Action::Output { port: port(arg) }),
        "resubmit" if within => resubmit(arg),
        "resubmit" if arg.is_empty() => None,
        "resubmit" => Some(Action::Resubmit { port: Some(port(arg)), table: None }),
        "goto_table" => small(arg).map(|table| Action::Goto { table }),
        "mod_vlan_vid" | "set_vlan_vid" => small(arg).map(|vid| Action::ModVlan { vid }),
        "push_vlan" => small(arg).map(|ethertype| Action::PushVlan { ethertype }),
        "set_tunnel" | "set_tunnel64" => integer(arg).map(|id| Action::SetTunnel { id }),
        "set_field" => arrow(arg)
            .map(|(value, field)| Action::SetField { value: value.into(), field: field.into() }),
        "load" => arrow(arg)
            .map(|(value, field)| Action::Load { value: value.into(), field: field.into() }),
        "group" => small(arg).map(|id| Action::Group { id }),
        "controller" | "CONTROLLER" => Some(Action::Controller),
        "learn" if within => table_of(arg).ok().map(|table| Action::Learn { table }),
        "ct" if within => table_of(arg).ok().map(|table| Action::Ct {
            commit: pieces(arg).any(|it| it == "commit"),
            table,
            zone: value_of(arg, "zone").map(Into::into),
        }),
        "conjunction" => arg.split(',').next().and_then(small).map(|id| Action::Conjunction { id }),
        "clone" | "write_actions" | "apply_actions" if within && depth > 0 && !arg.is_empty() => {
            let (rest, actions) = nested(text, arg, depth - 1)?;
            rest.is_empty().then_some(Action::Nested { actions })
        }
        _ => Some(Action::Other),
    };
    match read {
        Some(action) => Ok(("", action)),
        None => refuse(shown, "a value that this action can have"),
    }
}

/// An action without arguments.
fn bare(shown: &str) -> Action {
    match shown {
        "drop" => Action::Drop,
        "NORMAL" | "normal" => Action::Normal,
        "LOCAL" | "local" => Action::Local,
        "IN_PORT" | "in_port" => Action::InPort,
        "FLOOD" | "ALL" | "flood" | "all" => Action::Flood,
        "CONTROLLER" | "controller" => Action::Controller,
        "strip_vlan" | "pop_vlan" => Action::StripVlan,
        _ if shown.starts_with('"') || shown.bytes().all(|it| it.is_ascii_digit()) => {
            Action::Output { port: port(shown) }
        }
        _ => Action::Other,
    }
}

/// `PORT,TABLE`, both of which may be missing; `,ct` may follow.
fn resubmit(arg: &str) -> Option<Action> {
    let mut parts = pieces(arg);
    let from = parts.next().filter(|it| !it.is_empty() && *it != "in_port");
    let from: Option<OfPort> = from.map(port);
    let table = match parts.next() {
        None | Some("") => None,
        Some(table) => Some(small(table)?),
    };
    Some(Action::Resubmit { port: from, table })
}

/// `VALUE->FIELD`.
fn arrow(arg: &str) -> Option<(&str, &str)> {
    arg.split_once("->").filter(|(value, field)| !value.is_empty() && !field.is_empty())
}

/// The number of `table=…`, if there is one.
fn table_of(arg: &str) -> Result<Option<u8>, ()> {
    value_of(arg, "table").map(|it| small(it).ok_or(())).transpose()
}

fn value_of<'a>(arg: &'a str, key: &str) -> Option<&'a str> {
    pieces(arg).find_map(|it| it.strip_prefix(key)?.strip_prefix('='))
}

/// The parts between commas that no quote or bracket encloses.
fn pieces(arg: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(arg);
    std::iter::from_fn(move || {
        let input = rest?;
        let end = piece(input).unwrap_or(input.len());
        let (part, behind) = input.split_at_checked(end).unwrap_or((input, ""));
        rest = behind.strip_prefix(',');
        Some(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str) -> Vec<Action> {
        let (rest, all) = list(text, text).unwrap();
        assert_eq!(rest, "", "{text}");
        all.into_iter().map(|it| it.action).collect()
    }

    #[test]
    fn common_actions_are_typed() {
        let number = |n| OfPort::Number(n);
        for (text, wanted) in [
            ("output:3", Action::Output { port: number(3) }),
            ("3", Action::Output { port: number(3) }),
            ("\"3\"", Action::Output { port: OfPort::Name("3".into()) }),
            ("output(port=3,max_len=64)", Action::Output { port: number(3) }),
            ("output:NXM_NX_REG15[]", Action::Other),
            ("resubmit:4", Action::Resubmit { port: Some(number(4)), table: None }),
            ("resubmit(4,2)", Action::Resubmit { port: Some(number(4)), table: Some(2) }),
            ("resubmit(,2,ct)", Action::Resubmit { port: None, table: Some(2) }),
            ("goto_table:7", Action::Goto { table: 7 }),
            ("set_vlan_vid:9", Action::ModVlan { vid: 9 }),
            ("pop_vlan", Action::StripVlan),
            ("push_vlan:0x8100", Action::PushVlan { ethertype: 0x8100 }),
            ("set_tunnel:0x3e9", Action::SetTunnel { id: 1001 }),
            ("group:8", Action::Group { id: 8 }),
            ("controller(userdata=00.01)", Action::Controller),
            ("CONTROLLER:65535", Action::Controller),
            ("conjunction(8,1/2)", Action::Conjunction { id: 8 }),
            ("ct_clear", Action::Other),
            ("note:01.02", Action::Other),
        ] {
            assert_eq!(reads(text), [wanted], "{text}");
        }
        let field = Action::SetField { value: "4103".into(), field: "vlan_vid".into() };
        assert_eq!(reads("set_field:4103->vlan_vid"), [field]);
        let load = Action::Load { value: "0x1".into(), field: "NXM_NX_REG0[0..15]".into() };
        assert_eq!(reads("load:0x1->NXM_NX_REG0[0..15]"), [load]);
    }

    #[test]
    fn commas_within_brackets_do_not_part() {
        let text = "ct(commit,table=4,zone=NXM_NX_REG6[0..15],nat(src=192.0.2.1),exec(load:0x1->A[])),NORMAL";
        let ct =
            Action::Ct { commit: true, table: Some(4), zone: Some("NXM_NX_REG6[0..15]".into()) };
        assert_eq!(reads(text), [ct, Action::Normal]);
        let text = "learn(table=20,hard_timeout=300,load:0->A[],output:B[]),output:1";
        let out = Action::Output { port: OfPort::Number(1) };
        assert_eq!(reads(text), [Action::Learn { table: Some(20) }, out.clone()]);
        let all = reads("clone(strip_vlan,clone(output:1)),drop");
        let Action::Nested { actions } = &all[0] else { panic!("{all:?}") };
        let Action::Nested { actions: inner } = &actions[1].action else { panic!("{all:?}") };
        assert_eq!(inner[0].action, out);
    }

    #[test]
    fn depth_is_bounded() {
        let text = format!("{}drop{}", "clone(".repeat(2000), ")".repeat(2000));
        assert_eq!(reads(&text).len(), 1);
    }
}
