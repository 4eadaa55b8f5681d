//! What the script of the page knows: the story of each thing in the picture.
use std::collections::BTreeMap;

use serde::Serialize;
use tapline_analysis::lint::Severity;
use tapline_topology::{NodeData, NodeId};

use super::{Shown, quote};
use crate::addresses::Addresses;
use crate::picture::{Face, Member};
use crate::render::escape::{shorten, visible};
use crate::render::picture_words as words;
use crate::{overview, picture};

/// Things that are told of one by one, in all and of one fold.
const MOST: usize = 20_000;
const MOST_OF_ONE: usize = 2_000;
/// Places that are quoted of a thing, and characters of a line.
const SEEN: usize = 2;
const LONGEST: usize = 240;

#[derive(Serialize)]
struct Data {
    /// By the mark of a thing in the picture.
    things: BTreeMap<String, Thing>,
    /// By their places in the report.
    findings: BTreeMap<usize, Told>,
}

#[derive(Serialize)]
struct Thing {
    title: String,
    facts: Vec<String>,
    members: Vec<OneOf>,
    findings: Vec<usize>,
    /// Members that are left out.
    left: usize,
}

#[derive(Serialize)]
struct OneOf {
    name: String,
    facts: Vec<String>,
    /// Places with their lines.
    seen: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Told {
    code: String,
    severity: String,
    sign: &'static str,
    text: String,
}

/// The block of data, without anything that HTML would read in it.
pub(super) fn block(shown: &Shown<'_, '_>) -> String {
    let addresses = Addresses::new(shown.network);
    let mut left = MOST;
    let mut things = BTreeMap::new();
    for (at, card) in shown.picture.cards.iter().enumerate() {
        things.insert(format!("n{at}"), thing(shown, &addresses, &card.face, &mut left));
        for (n, row) in card.rows.iter().enumerate() {
            things.insert(format!("n{at}r{n}"), thing(shown, &addresses, &row.face, &mut left));
        }
    }
    let findings = super::open_findings(shown).into_iter().map(|(at, finding)| {
        let text = format!("{}: {}", overview::object(finding), finding.message);
        let told = Told {
            code: visible(&finding.rule.code).into_owned(),
            severity: finding.severity.to_string(),
            sign: sign(finding.severity),
            text: visible(&shorten(&text, 600)).into_owned(),
        };
        (at, told)
    });
    let data = Data { things, findings: findings.collect() };
    // Written by serde, a structure of texts and numbers cannot fail.
    safe(&serde_json::to_string(&data).unwrap_or_else(|_| "{}".to_owned()))
}

fn sign(severity: Severity) -> &'static str {
    words::sign(severity)
}

/// JSON in which no character begins or ends markup; all stand in strings, where a number means the
/// same.
fn safe(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                text.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => text.push(c),
        }
    }
    text
}

fn thing(shown: &Shown<'_, '_>, addresses: &Addresses, face: &Face, left: &mut usize) -> Thing {
    let told = face.members.len().min(MOST_OF_ONE).min(*left);
    *left -= told;
    let members = face.members.iter().take(told).map(|member| one_of(shown, addresses, member));
    Thing {
        title: face.title.clone(),
        facts: face.facts.clone(),
        members: members.collect(),
        findings: face.findings.clone(),
        left: face.members.len() - told,
    }
}

fn one_of(shown: &Shown<'_, '_>, addresses: &Addresses, member: &Member) -> OneOf {
    let topology = shown.network.topology;
    let mut facts = picture::facts(topology, &member.nodes);
    facts.extend(member.nodes.iter().flat_map(|node| guest_addresses(shown, addresses, *node)));
    let places = member.nodes.iter().filter_map(|node| topology.node(*node)?.seen.first().copied());
    let mut seen: Vec<(String, String)> = Vec::new();
    for evidence in places {
        if seen.len() == SEEN {
            break;
        }
        if let Some((place, line)) = quote(shown, evidence, 2)
            && seen.iter().all(|(known, _)| *known != place)
        {
            seen.push((place, shorten(&line, LONGEST).into_owned()));
        }
    }
    let facts = facts.iter().map(|fact| visible(&shorten(fact, LONGEST)).into_owned());
    OneOf { name: member.name.clone(), facts: facts.collect(), seen }
}

/// Addresses that a guest is known to have, and those that are translated into them.
fn guest_addresses(shown: &Shown<'_, '_>, addresses: &Addresses, node: NodeId) -> Vec<String> {
    let Some(node) = shown.network.topology.node(node) else { return Vec::new() };
    let NodeData::VmNic(nic) = &node.data else { return Vec::new() };
    let Some(mac) = &nic.mac else { return Vec::new() };
    let mut told = Vec::new();
    for known in addresses.of_mac(mac.value) {
        told.push(known.ip.to_string());
        told.extend(
            addresses.floating(known.ip).map(|floating| format!("floating {}", floating.ip)),
        );
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_ends_no_script() {
        let json = serde_json::to_string("</script><!--\u{2028}&").unwrap();
        let text = safe(&json);
        assert!(!text.contains(['<', '>', '&', '\u{2028}']), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), "</script><!--\u{2028}&");
    }
}
