//! The story of a chassis: its tunnel ends, and what is bound to it.
use tapline_core::records::ovs::OvsRow;
use tapline_topology::{EdgeKind, NodeId};

use super::view::at;
use super::{Story, port};

/// Tells of a chassis.
pub(super) fn tell(story: &mut Story<'_, '_, '_>, id: NodeId) {
    let view = story.view;
    let topology = view.topology();
    let mut words = vec![format!("chassis {}", view.full_title(id))];
    let host = topology.out(id, EdgeKind::ChassisOf);
    words.push(match host.first() {
        Some((host, _)) => format!("the host {}", topology.name(*host)),
        None => "of which no host was captured".to_owned(),
    });
    story.tell(0, words.join(", "), view.place(id));
    let rows = view.logical(id).map_or(&[][..], |it| it.rows.as_slice());
    for row in rows {
        match &row.record.row {
            OvsRow::Encap(encap) => {
                let kind = encap.kind.as_ref().map_or("", |kind| kind.value.as_str());
                let ip = encap.ip.as_ref().map_or("", |ip| ip.value.as_str());
                story.tell(1, format!("tunnels to it: {kind} to {ip}"), Some(at(*row)));
            }
            OvsRow::Chassis(chassis) => {
                let mappings = chassis
                    .other_config
                    .iter()
                    .chain(&chassis.external_ids)
                    .find(|(key, _)| key == "ovn-bridge-mappings");
                if let Some((_, mappings)) = mappings {
                    let text = if mappings.value.is_empty() {
                        "maps no provider network to a bridge".to_owned()
                    } else {
                        format!("bridge mappings {}", mappings.value)
                    };
                    story.tell(1, text, Some(mappings.evidence(row.source)));
                }
            }
            _ => {}
        }
    }
    let bound = topology.into(id, EdgeKind::BoundTo);
    let count = bound.len();
    for (of, edge) in bound.into_iter().take(story.most()) {
        let text = format!("has {}", port::brief(story, of));
        let place = edge.witnesses.first().map(|witness| witness.evidence);
        story.tell(1, text, place);
    }
    story.more(1, count);
}
