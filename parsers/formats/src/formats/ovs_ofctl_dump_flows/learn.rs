//! `learn(…)`: what a flow that a packet makes will match and do.
use tapline_core::records::openflow::{Learn, LearnPart, LearnSource, Subfield};

use super::action::pieces;
use super::value::{masked, number};
use crate::formats::openflow::{small, table};

/// Keys that say something about the action itself.
const ASIDE: &[&str] = &[
    "cookie",
    "delete_learned",
    "fin_hard_timeout",
    "fin_idle_timeout",
    "limit",
    "result_dst",
    "send_flow_rem",
];

/// Reads what stands in the brackets; `None` where a value cannot be.
pub(super) fn learn(arg: &str) -> Option<Learn> {
    let mut read = Learn { table: None, priority: None, timeouts: (None, None), parts: Vec::new() };
    for piece in pieces(arg) {
        let (key, value) = piece.split_once('=').unwrap_or((piece, ""));
        match key {
            "table" => read.table = Some(table(value)?),
            "priority" => read.priority = Some(small(value)?),
            "idle_timeout" => read.timeouts.0 = Some(small(value)?),
            "hard_timeout" => read.timeouts.1 = Some(small(value)?),
            _ if ASIDE.contains(&key) => {}
            _ => {
                let part = part(piece, key, value);
                read.parts.push(part.unwrap_or_else(|| LearnPart::Unknown(piece.into())));
            }
        }
    }
    Some(read)
}

fn part(piece: &str, key: &str, value: &str) -> Option<LearnPart> {
    if let Some(field) = piece.strip_prefix("output:") {
        return Some(LearnPart::Output(Subfield::named(field)?));
    }
    if let Some(load) = piece.strip_prefix("load:") {
        let (value, field) = load.split_once("->")?;
        let field = Subfield::named(field)?;
        return Some(LearnPart::Load(field, source(field, value)?));
    }
    let field = Subfield::named(key)?;
    let from = if value.is_empty() { LearnSource::Field(field) } else { source(field, value)? };
    Some(LearnPart::Match(field, from))
}

/// A field of the packet, or a value.
fn source(field: Subfield, shown: &str) -> Option<LearnSource> {
    if let Some(from) = Subfield::named(shown) {
        return Some(LearnSource::Field(from));
    }
    let value = number(shown).or_else(|| Some(field.take(masked(field, shown)?.value)))?;
    Some(LearnSource::Value(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_learnt_flow_matches_and_acts() {
        let text = "table=20,hard_timeout=300,priority=1,cookie=0x1,NXM_OF_VLAN_TCI[0..11],\
                    NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],eth_type=0x800,load:0->NXM_OF_VLAN_TCI[],\
                    load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[],output:OXM_OF_IN_PORT[],odd=1";
        let read = learn(text).unwrap();
        assert_eq!(
            (read.table, read.priority, read.timeouts),
            (Some(20.into()), Some(1), (None, Some(300)))
        );
        let named = |name| Subfield::named(name).unwrap();
        assert_eq!(
            read.parts,
            [
                LearnPart::Match(
                    named("vlan_tci[0..11]"),
                    LearnSource::Field(named("vlan_tci[0..11]"))
                ),
                LearnPart::Match(named("eth_dst"), LearnSource::Field(named("eth_src"))),
                LearnPart::Match(named("eth_type"), LearnSource::Value(0x800)),
                LearnPart::Load(named("vlan_tci"), LearnSource::Value(0)),
                LearnPart::Load(named("tun_id"), LearnSource::Field(named("tun_id"))),
                LearnPart::Output(named("in_port")),
                LearnPart::Unknown("odd=1".into()),
            ]
        );
        assert_eq!(learn("table=x\""), None);
    }
}
