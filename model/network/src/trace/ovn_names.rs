//! What the flows of OVN are for, in the words of its databases.
//!
//! `metadata` is the number of a logical switch or router (Datapath_Binding). The cookie of a flow is
//! the beginning of the `_uuid` of its logical flow, whose `stage-hint` is the beginning of that of
//! the row that it was made for: an ACL, a translation, a route (`ovn_stage_hint`, northd/northd.c).
use std::collections::{BTreeMap, HashMap};

use tapline_core::records::openflow::{Flow, OfField};
use tapline_core::records::ovs::{OvsRecord, OvsRow};
use tapline_core::span::Evidence;
use tapline_topology::graph::Seen;
use tapline_topology::rows::{Rows, external_id};

use crate::flow;

/// Tables whose rows are worth a name: what somebody has decided.
const DECIDING: &[&str] =
    &["ACL", "NAT", "Logical_Router_Static_Route", "Logical_Router_Policy", "Load_Balancer"];

/// The names of what flows are for.
#[derive(Debug, Default)]
pub(super) struct OvnNames<'a> {
    /// Switches and routers by their number.
    datapaths: BTreeMap<u128, String>,
    /// The row that a flow was made for, by its cookie.
    made_for: HashMap<u32, Seen<'a, OvsRecord>>,
}

impl<'a> OvnNames<'a> {
    pub(super) fn new(rows: &Rows<'a>) -> Self {
        let mut names = Self::default();
        for row in rows.of("Datapath_Binding") {
            let key = row.record.one("tunnel_key").and_then(|key| key.value.parse().ok());
            let Some(key) = key else { continue };
            let kind = match external_id(row.record, "logical-router") {
                Some(_) => "router",
                None => "network",
            };
            let name = external_id(row.record, "name2").or(external_id(row.record, "name"));
            names.datapaths.insert(key, format!("{kind} {}", name.unwrap_or("?")));
        }
        // Two rows whose ids begin alike cannot be told apart.
        let mut hints: HashMap<u32, Option<Seen<'a, OvsRecord>>> = HashMap::new();
        for table in DECIDING {
            for &row in rows.of(table) {
                let Some(start) = row.record.uuid.as_ref().and_then(|uuid| head(&uuid.value))
                else {
                    continue;
                };
                hints.entry(start).and_modify(|known| *known = None).or_insert(Some(row));
            }
        }
        for row in rows.of("Logical_Flow") {
            let cookie = row.record.uuid.as_ref().and_then(|uuid| head(&uuid.value));
            let hint = external_id(row.record, "stage-hint").and_then(head);
            if let (Some(cookie), Some(hint)) = (cookie, hint)
                && let Some(Some(row)) = hints.get(&hint)
            {
                names.made_for.insert(cookie, *row);
            }
        }
        names
    }

    /// The switches and routers that a path leads through, in order.
    pub(super) fn through(&self, path: &flow::Path<'_>) -> Vec<&str> {
        let mut all: Vec<&str> = Vec::new();
        for flow in path.steps.iter().filter_map(|step| step.flow) {
            let key = flow.wants(OfField::Metadata.whole()).map(|bits| bits.value);
            let Some(name) = key.and_then(|key| self.datapaths.get(&key)) else { continue };
            if all.last().is_none_or(|last| last != name) {
                all.push(name);
            }
        }
        all
    }

    /// What decides on a path: rules, translations and routes that somebody has entered.
    pub(super) fn decides(&self, path: &flow::Path<'_>) -> Vec<(String, Evidence)> {
        let mut all: Vec<(String, Evidence)> = Vec::new();
        for flow in path.steps.iter().filter_map(|step| step.flow) {
            let Some(row) = self.row_of(flow) else { continue };
            let at = Evidence { source: row.source, span: row.record.at };
            if all.iter().all(|(_, known)| *known != at) {
                all.push((words(row.record), at));
            }
        }
        all
    }

    fn row_of(&self, flow: &Flow) -> Option<Seen<'a, OvsRecord>> {
        let cookie = u32::try_from(flow.cookie.as_ref()?.value).ok()?;
        self.made_for.get(&cookie).copied()
    }
}

/// The first 32 bits of an id.
fn head(uuid: &str) -> Option<u32> {
    u32::from_str_radix(uuid.get(..8)?, 16).ok()
}

fn words(row: &OvsRecord) -> String {
    let text = |column: &str| row.one(column).map_or("", |value| value.value.as_str());
    match row.table() {
        "ACL" => format!("ACL {} if {}", text("action"), text("match")),
        "Logical_Router_Static_Route" => {
            format!("route {} via {}", text("ip_prefix"), text("nexthop"))
        }
        "Logical_Router_Policy" => format!("policy {} if {}", text("action"), text("match")),
        "Load_Balancer" => format!("load balancer {}", text("name")),
        _ => match &row.row {
            OvsRow::Nat(nat) => {
                let part = |value: &Option<tapline_core::span::At<tapline_core::Name>>| {
                    value.as_ref().map_or_else(String::new, |value| value.value.to_string())
                };
                let (outside, inside) = (part(&nat.external_ip), part(&nat.logical_ip));
                format!("NAT {} {outside} of {inside}", part(&nat.kind))
            }
            _ => row.table().to_owned(),
        },
    }
}
