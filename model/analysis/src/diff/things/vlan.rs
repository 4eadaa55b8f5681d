//! VLANs of the ports of Linux bridges, and their options.
use std::collections::BTreeMap;

use tapline_core::records::Batch;
use tapline_core::span::Evidence;

use super::super::entity::{Class, Entity, Key, Kind};
use super::super::gather::{Gather, place};

/// Options of a port that decide where frames go.
const OPTIONS: &[&str] =
    &["hairpin", "guard", "learning", "flood", "mcast_flood", "bcast_flood", "isolated", "locked"];

pub(in super::super) fn add(gather: &mut Gather<'_, '_, '_>) {
    let texts = gather.side.texts(gather.host).to_vec();
    for (source, batch) in texts {
        match batch {
            Batch::BridgeVlans(records) => {
                let netns = &source.netns;
                let mut ports: BTreeMap<String, (Vec<String>, Evidence)> = BTreeMap::new();
                for record in records {
                    let (_, name) = gather.device(netns, &record.dev.value);
                    let at = Evidence { source: source.id, span: record.at };
                    let (vlans, _) = ports.entry(name.to_owned()).or_insert((Vec::new(), at));
                    let Some(vid) = &record.vid else { continue };
                    let end = record.vid_end.filter(|end| *end != vid.value);
                    let mut words = vid.value.to_string();
                    words.extend(end.map(|end| format!("-{end}")));
                    words.extend(record.flags.iter().map(|flag| format!(" {flag}")));
                    vlans.push(words);
                }
                for (port, (mut vlans, at)) in ports {
                    vlans.sort();
                    let mut it = Entity::new(
                        Key::new(Kind::BridgeVlan, place(netns), port.clone()),
                        Some(netns.clone()),
                        port.clone(),
                    );
                    it.at = Some(at);
                    it.owners = vec![Key::new(Kind::Netdev, place(netns), port)];
                    // Where a port is listed depends on the bridge more than on the VLANs.
                    it.class = Class::Noise;
                    it.set("vlans", Class::Config, Some(vlans.join("; ")), Some(at));
                    gather.view.add(it);
                }
            }
            Batch::BridgePorts(records) => {
                for record in records {
                    let key = gather.device_key(&source.netns, &record.name.value);
                    let Some(it) = gather.view.entities.get_mut(&key) else { continue };
                    for field in &record.other {
                        if OPTIONS.contains(&field.key.as_str()) {
                            let at = Some(field.value.evidence(source.id));
                            let text = Some(field.value.value.to_string());
                            it.set(format!("port {}", field.key), Class::Config, text, at);
                        }
                    }
                }
            }
            _ => {}
        }
    }
}
