//! What stands behind `actions=`.
//!
//! Source: Open vSwitch `lib/ofp-actions.c` (`ofpacts_format`, ovs-actions(7)).
use tapline_core::records::openflow::{
    Action, Assignment, Bits, Ct, FlowAction, Nat, Nesting, OfField, OfPort, Subfield, Zone,
};

use super::learn::learn;
use super::line::piece;
use super::value::{masked, number, one};
use crate::formats::openflow::{integer, port, small, table};
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
    let Some((name, rest)) = end.and_then(|end| shown.split_at_checked(end)) else {
        return Ok(("", bare(shown)));
    };
    // `name(args)`, `name(args)->field` or `name:arg`.
    let (arg, result) = match rest.strip_prefix('(') {
        Some(inner) => match inner.rsplit_once(')') {
            Some((arg, "")) => (arg, None),
            Some((arg, behind)) if behind.starts_with("->") => (arg, behind.get(2..)),
            _ => return refuse(shown, "a closing bracket at the end of the action"),
        },
        None => (rest.strip_prefix(':').unwrap_or_default(), None),
    };
    let within = rest.starts_with('(');
    let read = match name {
        "clone" | "write_actions" | "apply_actions" if within && depth > 0 && !arg.is_empty() => {
            let (rest, actions) = nested(text, arg, depth - 1)?;
            let how = match name {
                "clone" => Nesting::Clone,
                "write_actions" => Nesting::Write,
                _ => Nesting::Apply,
            };
            rest.is_empty().then_some(Action::Nested { how, actions })
        }
        "ct" if within => {
            let exec = pieces(arg).find_map(|part| part.strip_prefix("exec(")?.strip_suffix(')'));
            let exec = match exec {
                Some(exec) if depth > 0 && !exec.is_empty() => nested(text, exec, depth - 1)?.1,
                _ => Vec::new(),
            };
            ct(arg, exec)
        }
        "check_pkt_larger" if within => match (small(arg), result) {
            (Some(size), Some(field)) => Some(match Subfield::named(field) {
                Some(to) => Action::CheckPktLarger { size, to },
                None => Action::Other,
            }),
            _ => None,
        },
        _ if result.is_some() => Some(Action::Other),
        _ => with_argument(name, arg, within),
    };
    match read {
        Some(action) => Ok(("", action)),
        None => refuse(shown, "a value that this action can have"),
    }
}

/// An action whose argument holds no further actions; `None` where its value cannot be.
fn with_argument(name: &str, arg: &str, within: bool) -> Option<Action> {
    Some(match name {
        "output" => return output(arg, within),
        "enqueue" => {
            // `enqueue:1:2` or `enqueue(1,2)`.
            let (to, _) = arg.split_once([':', ','])?;
            Action::Enqueue { port: port(to) }
        }
        "resubmit" if within => return resubmit(arg),
        "resubmit" if arg.is_empty() => return None,
        "resubmit" => Action::Resubmit { port: Some(port(arg)), table: None, ct: false },
        "goto_table" => Action::Goto { table: table(arg)? },
        "mod_vlan_vid" | "set_vlan_vid" => Action::ModVlan { vid: small(arg)? },
        "mod_vlan_pcp" | "set_vlan_pcp" => Action::ModVlanPcp { pcp: small(arg)? },
        "push_vlan" => Action::PushVlan { ethertype: small(arg)? },
        "set_tunnel" | "set_tunnel64" => Action::SetTunnel { id: integer(arg)? },
        "set_field" => Action::SetField(set_field(arg)?),
        "load" => Action::Load(load(arg)?),
        "write_metadata" => Action::WriteMetadata(assign(OfField::Metadata.whole(), arg)),
        "move" => {
            match arrow(arg).map(|(from, to)| (Subfield::named(from), Subfield::named(to)))? {
                (Some(from), Some(to)) if from.bits == to.bits => Action::Move { from, to },
                _ => Action::Other,
            }
        }
        "push" => Subfield::named(arg).map_or(Action::Other, |field| Action::Push { field }),
        "pop" => Subfield::named(arg).map_or(Action::Other, |field| Action::Pop { field }),
        "group" => Action::Group { id: small(arg)? },
        "meter" => Action::Meter { id: small(arg)? },
        "controller" | "CONTROLLER" => Action::Controller,
        "learn" if within => Action::Learn(Box::new(learn(arg)?)),
        "conjunction" => return conjunction(arg),
        "dec_ttl" => Action::DecTtl,
        // The upper six bits; those of congestion stay (`OFPACT_SET_IP_DSCP`).
        "mod_nw_tos" => {
            let tos: u8 = small(arg)?;
            let part = Subfield { field: OfField::IpTos, low: 2, bits: 6 };
            Action::SetField(assign(part, &(tos >> 2).to_string()))
        }
        "multipath" | "bundle_load" => hashed(name, arg),
        "bundle" => bundle(arg),
        "note" | "sample" | "set_queue" | "fin_timeout" => Action::Aside,
        _ => match written(name) {
            Some(part) => Action::SetField(assign(part, arg)),
            None => Action::Other,
        },
    })
}

/// The bits that an action of OpenFlow 1.0 with a name of its own writes.
fn written(name: &str) -> Option<Subfield> {
    use OfField as F;
    Some(match name {
        "mod_dl_src" => F::EthSrc.whole(),
        "mod_dl_dst" => F::EthDst.whole(),
        "mod_nw_src" => F::IpSrc.whole(),
        "mod_nw_dst" => F::IpDst.whole(),
        "mod_tp_src" => F::TpSrc.whole(),
        "mod_tp_dst" => F::TpDst.whole(),
        "mod_nw_ttl" => F::IpTtl.whole(),
        "mod_nw_ecn" => Subfield { bits: 2, ..F::IpTos.whole() },
        _ => return None,
    })
}

/// An action without arguments.
fn bare(shown: &str) -> Action {
    match shown {
        "drop" => Action::Drop,
        "NORMAL" | "normal" => Action::Normal,
        "LOCAL" | "local" => Action::Local,
        "IN_PORT" | "in_port" => Action::InPort,
        "FLOOD" | "flood" => Action::Flood,
        "ALL" | "all" => Action::All,
        "CONTROLLER" | "controller" => Action::Controller,
        "strip_vlan" | "pop_vlan" => Action::StripVlan,
        "ct_clear" => Action::CtClear,
        "ct" => Action::Other,
        "dec_ttl" => Action::DecTtl,
        "clear_actions" => Action::ClearActions,
        "exit" => Action::Exit,
        "pop_queue" => Action::Aside,
        _ if shown.starts_with('"') || shown.bytes().all(|byte| byte.is_ascii_digit()) => {
            Action::Output { port: port(shown) }
        }
        _ => Action::Other,
    }
}

/// `3`, `"tap0"`, `NXM_NX_REG15[]`, or `port=3,max_len=64` in brackets.
fn output(arg: &str, within: bool) -> Option<Action> {
    if within {
        return value_of(arg, "port").map(|shown| Action::Output { port: port(shown) });
    }
    if arg.is_empty() {
        return None;
    }
    let quoted = arg.starts_with('"');
    Some(match Subfield::named(arg).filter(|_| !quoted) {
        Some(field) => Action::OutputTo { field },
        None if arg.contains('[') && !quoted => Action::Other,
        None => Action::Output { port: port(arg) },
    })
}

/// `PORT,TABLE`, both of which may be missing; `,ct` may follow.
fn resubmit(arg: &str) -> Option<Action> {
    let mut parts = pieces(arg);
    let from =
        parts.next().filter(|from| !from.is_empty() && !from.eq_ignore_ascii_case("in_port"));
    let from: Option<OfPort> = from.map(port);
    let to = match parts.next() {
        None | Some("") => None,
        Some(to) => Some(table(to)?),
    };
    Some(Action::Resubmit { port: from, table: to, ct: parts.next() == Some("ct") })
}

/// `VALUE->FIELD`.
fn arrow(arg: &str) -> Option<(&str, &str)> {
    arg.split_once("->").filter(|(value, field)| !value.is_empty() && !field.is_empty())
}

/// `VALUE[/MASK]->FIELD`.
fn set_field(arg: &str) -> Option<Assignment> {
    let (value, field) = arrow(arg)?;
    let bits = Subfield::named(field).and_then(|part| masked(part, value));
    Some(Assignment { bits })
}

/// `VALUE->FIELD[bits]`; the value may be in the notation of the field.
fn load(arg: &str) -> Option<Assignment> {
    let (value, field) = arrow(arg)?;
    let bits = Subfield::named(field).and_then(|part| {
        Bits::of(part, number(value).or_else(|| one(part.field.notation(), value))?)
    });
    Some(Assignment { bits })
}

fn assign(part: Subfield, shown: &str) -> Assignment {
    Assignment { bits: masked(part, shown) }
}

/// `ID,K/N`.
fn conjunction(arg: &str) -> Option<Action> {
    let (id, clause) = arg.split_once(',')?;
    let (clause, of) = clause.split_once('/')?;
    let (clause, of) = (small(clause)?, small(of)?);
    (1 <= clause && clause <= of).then_some(())?;
    Some(Action::Conjunction { id: small(id)?, clause, of })
}

/// `commit,force,table=4,zone=…,nat(…),exec(…)`.
fn ct(arg: &str, exec: Vec<FlowAction>) -> Option<Action> {
    let mut read =
        Ct { commit: false, table: None, zone: Zone::Number(0), force: false, nat: None, exec };
    for part in pieces(arg) {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match key {
            "commit" => read.commit = true,
            "force" => read.force = true,
            "table" => read.table = Some(table(value)?),
            "zone" => {
                let field = || Subfield::named(value).map(Zone::Field);
                read.zone = small(value).map(Zone::Number).or_else(field).unwrap_or(Zone::Unknown);
            }
            "nat" => read.nat = Some(Nat::Known),
            _ => {
                if let Some(nat) = part.strip_prefix("nat(").and_then(|nat| nat.strip_suffix(')')) {
                    read.nat = Some(translation(nat));
                }
            }
        }
    }
    Some(Action::Ct(Box::new(read)))
}

/// `src=192.0.2.1-192.0.2.9:1-5,random`.
fn translation(arg: &str) -> Nat {
    if let Some(to) = value_of(arg, "src") {
        return Nat::Src(to.into());
    }
    value_of(arg, "dst").map_or(Nat::Known, |to| Nat::Dst(to.into()))
}

/// `multipath(…,FIELD)`, `bundle_load(…,FIELD,members:…)`.
fn hashed(name: &str, arg: &str) -> Action {
    let field = match name {
        "multipath" => pieces(arg).last(),
        _ => pieces(arg).find(|part| part.contains("NX") || part.contains("OXM")),
    };
    field.and_then(Subfield::named).map_or(Action::Other, |to| Action::Hash { to })
}

/// `bundle(…,members:1,2)`; `slaves` until Open vSwitch 2.15.
fn bundle(arg: &str) -> Action {
    let ports = ["members:", "slaves:"].iter().find_map(|key| arg.split_once(key));
    match ports {
        Some((_, ports)) if !ports.is_empty() => {
            Action::Bundle { ports: ports.split(',').map(port).collect() }
        }
        _ => Action::Other,
    }
}

fn value_of<'a>(arg: &'a str, key: &str) -> Option<&'a str> {
    pieces(arg).find_map(|part| part.strip_prefix(key)?.strip_prefix('='))
}

/// The parts between commas that no quote or bracket encloses.
pub(super) fn pieces(arg: &str) -> impl Iterator<Item = &str> {
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
    use tapline_core::records::openflow::TableRef;

    use super::*;

    fn reads(text: &str) -> Vec<Action> {
        let (rest, all) = list(text, text).unwrap();
        assert_eq!(rest, "", "{text}");
        all.into_iter().map(|one| one.action).collect()
    }

    fn named(name: &str) -> Subfield {
        Subfield::named(name).unwrap()
    }

    fn bits(field: &str, value: u128) -> Assignment {
        Assignment { bits: Bits::of(named(field), value) }
    }

    #[test]
    fn common_actions_are_typed() {
        let number = |n| OfPort::Number(n);
        let resubmit = |port, table: Option<u8>, ct| Action::Resubmit {
            port,
            table: table.map(Into::into),
            ct,
        };
        for (text, wanted) in [
            ("output:3", Action::Output { port: number(3) }),
            ("3", Action::Output { port: number(3) }),
            ("\"3\"", Action::Output { port: OfPort::Name("3".into()) }),
            ("output(port=3,max_len=64)", Action::Output { port: number(3) }),
            ("output:NXM_NX_REG15[]", Action::OutputTo { field: named("reg15") }),
            ("output:reg15", Action::OutputTo { field: named("reg15") }),
            ("output:\"reg15\"", Action::Output { port: OfPort::Name("reg15".into()) }),
            ("output:ODD[]", Action::Other),
            ("enqueue:3:1", Action::Enqueue { port: number(3) }),
            ("resubmit:4", resubmit(Some(number(4)), None, false)),
            ("resubmit(4,2)", resubmit(Some(number(4)), Some(2), false)),
            ("resubmit(,2,ct)", resubmit(None, Some(2), true)),
            (
                "resubmit(,cellar)",
                Action::Resubmit {
                    port: None,
                    table: Some(TableRef::Name("cellar".into())),
                    ct: false,
                },
            ),
            ("goto_table:7", Action::Goto { table: 7.into() }),
            ("set_vlan_vid:9", Action::ModVlan { vid: 9 }),
            ("mod_vlan_pcp:3", Action::ModVlanPcp { pcp: 3 }),
            ("pop_vlan", Action::StripVlan),
            ("push_vlan:0x8100", Action::PushVlan { ethertype: 0x8100 }),
            ("set_tunnel:0x3e9", Action::SetTunnel { id: 1001 }),
            ("group:8", Action::Group { id: 8 }),
            ("controller(userdata=00.01)", Action::Controller),
            ("CONTROLLER:65535", Action::Controller),
            ("conjunction(8,1/2)", Action::Conjunction { id: 8, clause: 1, of: 2 }),
            ("ct_clear", Action::CtClear),
            ("note:01.02", Action::Aside),
            ("dec_ttl(1,2)", Action::DecTtl),
            ("dec_nsh_ttl", Action::Other),
            ("meter:2", Action::Meter { id: 2 }),
            ("push:NXM_NX_REG0[]", Action::Push { field: named("reg0") }),
            ("pop:NXM_NX_REG0[0..7]", Action::Pop { field: named("reg0[0..7]") }),
            (
                "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]",
                Action::Move { from: named("eth_src"), to: named("eth_dst") },
            ),
            ("move:NXM_OF_ETH_SRC[]->NXM_NX_REG0[]", Action::Other),
            (
                "check_pkt_larger(1514)->OXM_OF_PKT_REG4[1]",
                Action::CheckPktLarger { size: 1514, to: named("reg9[1]") },
            ),
            (
                "multipath(eth_src,50,modulo_n,4,0,NXM_NX_REG1[])",
                Action::Hash { to: named("reg1") },
            ),
            (
                "bundle(eth_src,50,hrw,ofport,members:4,8)",
                Action::Bundle { ports: vec![number(4), number(8)] },
            ),
            ("write_metadata:0x7", Action::WriteMetadata(bits("metadata", 7))),
        ] {
            assert_eq!(reads(text), [wanted], "{text}");
        }
    }

    #[test]
    fn assignments_have_bits_where_they_are_understood() {
        for (text, field, value) in [
            ("set_field:4103->vlan_vid", "vlan_vid", 4103),
            ("set_field:02:00:00:00:00:07->eth_src", "eth_src", 0x0200_0000_0007),
            ("set_field:192.0.2.1->ip_dst", "ip_dst", 0xc000_0201),
            ("mod_dl_dst:02:00:00:00:00:07", "eth_dst", 0x0200_0000_0007),
            ("mod_nw_src:192.0.2.1", "ip_src", 0xc000_0201),
            ("mod_tp_dst:80", "tp_dst", 80),
        ] {
            assert_eq!(reads(text), [Action::SetField(bits(field, value))], "{text}");
        }
        let load = Action::Load(bits("reg0[0..15]", 1));
        assert_eq!(reads("load:0x1->NXM_NX_REG0[0..15]"), [load]);
        let masked = Assignment { bits: Bits::masked(named("reg0"), 0x10, 0xf0) };
        assert_eq!(reads("set_field:0x10/0xf0->reg0"), [Action::SetField(masked)]);
        for text in
            ["set_field:1->nsh_mdtype", "set_field:host->ip_dst", "set_field:0x10000->tp_dst"]
        {
            assert_eq!(reads(text), [Action::SetField(Assignment { bits: None })], "{text}");
        }
    }

    #[test]
    fn commas_within_brackets_do_not_part() {
        let text = "ct(commit,table=4,zone=NXM_NX_REG6[0..15],nat(src=192.0.2.1),exec(load:0x1->NXM_NX_CT_MARK[])),NORMAL";
        let all = list(text, text).unwrap().1;
        let [ct, normal] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!(normal.action, Action::Normal);
        let Action::Ct(read) = &ct.action else { panic!("{all:?}") };
        assert!(read.commit && !read.force);
        assert_eq!(read.table, Some(4.into()));
        assert_eq!(read.zone, Zone::Field(named("reg6[0..15]")));
        assert_eq!(read.nat, Some(Nat::Src("192.0.2.1".into())));
        assert_eq!(read.exec[0].action, Action::Load(bits("ct_mark", 1)));
        let json = serde_json::to_value(ct).unwrap();
        assert_eq!((&json["zone"], &json["table"]), (&"NXM_NX_REG6[0..15]".into(), &4.into()));
        assert_eq!(json["exec"][0]["value"], "0x1");
        let text = "learn(table=20,hard_timeout=300,load:0->NXM_NX_REG0[],output:NXM_OF_IN_PORT[]),output:1";
        let all = reads(text);
        let Action::Learn(learn) = &all[0] else { panic!("{all:?}") };
        assert_eq!((learn.table.clone(), learn.parts.len()), (Some(20.into()), 2));
        let out = Action::Output { port: OfPort::Number(1) };
        assert_eq!(all[1], out);
        let all = reads("clone(strip_vlan,clone(output:1)),drop");
        let Action::Nested { how: Nesting::Clone, actions } = &all[0] else { panic!("{all:?}") };
        let Action::Nested { actions: inner, .. } = &actions[1].action else { panic!("{all:?}") };
        assert_eq!(inner[0].action, out);
    }

    #[test]
    fn depth_is_bounded() {
        let text = format!("{}drop{}", "clone(".repeat(2000), ")".repeat(2000));
        assert_eq!(reads(&text).len(), 1);
    }

    #[test]
    fn what_an_action_cannot_have_is_refused() {
        for text in [
            "check_pkt_larger(x)->NXM_NX_REG0[0]",
            "check_pkt_larger(1514)",
            "check_pkt_larger(1514)>",
            "goto_table:300",
            "conjunction(1,3/2)",
            "ct(table=256)",
            "output:",
        ] {
            assert!(list(text, text).is_err(), "{text}");
        }
    }
}
