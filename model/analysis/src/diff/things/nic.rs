//! What `ethtool` and the bonding driver say of NICs, and what is counted of devices.
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_topology::graph::Seen;

use super::super::counters::is_of_faults;
use super::super::entity::{Class, Counter};
use super::super::gather::Gather;

pub(in super::super) fn add(gather: &mut Gather<'_, '_, '_>) {
    let network = gather.side.network;
    let nics = network.nics();
    let devices: Vec<_> = network.netdevs_of(gather.host).collect();
    for device in devices {
        if matches!(device.netns(), Netns::Nameless { .. }) {
            continue;
        }
        let key = gather.device_key(device.netns(), device.name());
        let Some(it) = gather.view.entities.get_mut(&key) else { continue };
        for count in nics.counts(&device).into_iter().flat_map(|counts| counts.0) {
            if is_of_faults(&count.name) {
                it.counters.push(Counter {
                    program: gather.side.program(count.evidence).to_owned(),
                    name: count.name,
                    value: count.value,
                    at: count.evidence,
                    age: None,
                });
            }
        }
        if let Some((source, bond)) = nics.bond(device.id) {
            let active = bond.active_slave.as_ref();
            if let Some(active) = active.filter(|_| !it.values.contains_key("active slave")) {
                let at = Some(active.evidence(source));
                it.set("active slave", Class::Dynamic, Some(active.value.to_string()), at);
            }
        }
        let Some(texts) = nics.of(device.id) else { continue };
        if let Some(Seen { source, record }) = texts.slave
            && let Some(status) = &record.mii_status
        {
            let words = status.value.to_string();
            let is_cut = words == "down";
            it.set_link("link in the bond", Some(words), Some(status.evidence(source)), is_cut);
        }
        if let Some(Seen { source, record }) = texts.settings {
            let at = |span| Some(Evidence { source, span });
            // What has no link has no speed.
            let linked = record.link_detected.as_ref().is_none_or(|linked| linked.value);
            for (name, value) in [("speed", &record.speed), ("duplex", &record.duplex)] {
                if let Some(value) = value.as_ref().filter(|_| linked) {
                    it.set(name, Class::Config, Some(value.value.to_string()), at(value.span));
                }
            }
            if let Some(linked) = &record.link_detected {
                let words = if linked.value { "yes" } else { "no" };
                it.set_link(
                    "link detected",
                    Some(words.to_owned()),
                    at(linked.span),
                    !linked.value,
                );
            }
        }
        if let Some(Seen { source, record }) = texts.driver {
            let at = Some(record.driver.evidence(source));
            it.set("driver", Class::Config, Some(record.driver.value.to_string()), at);
            for field in &record.other {
                if matches!(field.key.as_str(), "firmware-version" | "version") {
                    let at = Some(field.value.evidence(source));
                    let text = Some(field.value.value.to_string());
                    it.set(field.key.to_string(), Class::Cosmetic, text, at);
                }
            }
        }
        if let Some(Seen { source, record }) = texts.features {
            for feature in &record.features {
                let words = if feature.on.value { "on" } else { "off" };
                let at = Some(feature.on.evidence(source));
                let name = format!("feature {}", feature.name);
                it.set(name, Class::Config, Some(words.to_owned()), at);
            }
        }
    }
}
