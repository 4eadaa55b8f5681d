//! What was learnt: neighbours, addresses behind ports of bridges, the active copy of routers.
use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::records::openflow::OfPort;
use tapline_core::request::Topic;
use tapline_core::span::Evidence;

use super::super::entity::{Class, Entity, Key, Kind};
use super::super::gather::{Gather, place};

pub(in super::super) fn add(gather: &mut Gather<'_, '_, '_>) {
    add_neighbours(gather);
    add_fdb(gather);
    add_ovs_fdb(gather);
    add_routers(gather);
}

fn add_neighbours(gather: &mut Gather<'_, '_, '_>) {
    let network = gather.side.network;
    for ((host, netns), all) in network.neighbours() {
        if *host != gather.host {
            continue;
        }
        for ((dev, ip), known) in all {
            let (new_netns, dev_now) = gather.device(netns, dev);
            let mut it = Entity::new(
                Key::new(Kind::Neighbour, place(new_netns), format!("{dev_now} {ip}")),
                Some(new_netns.clone()),
                format!("{ip} dev {dev_now}"),
            );
            it.at = Some(known.evidence);
            it.scopes = vec![place(netns)];
            it.owners = vec![gather.device_key(netns, dev)];
            let set = known.record.states.iter().any(|state| state == "PERMANENT");
            it.class = if set { Class::Config } else { Class::Noise };
            it.set("set by hand", Class::Config, Some(set.to_string()), Some(known.evidence));
            let class = if set { Class::Config } else { Class::Dynamic };
            let mac = known.record.mac.as_ref();
            // One that does not answer has no address any more.
            if let Some(mac) = mac.filter(|_| !known.failed) {
                let at = Evidence { source: known.evidence.source, span: mac.span };
                it.set("mac", class, Some(mac.value.to_string()), Some(at));
            }
            let words = if known.failed { "no" } else { "yes" };
            it.set("answers", Class::Dynamic, Some(words.to_owned()), Some(known.evidence));
            gather.view.add(it);
        }
    }
    gather.cover_namespaces(Kind::Neighbour, Topic::Neighbours);
}

/// Of bridges and VXLAN devices of the kernel.
fn add_fdb(gather: &mut Gather<'_, '_, '_>) {
    let texts = gather.side.texts(gather.host).to_vec();
    for (source, batch) in texts {
        let Batch::Fdb(records) = batch else { continue };
        let netns = &source.netns;
        for record in records {
            let Some(dev) = &record.dev else { continue };
            let has = |flag: &str| record.flags.iter().any(|it| it == flag);
            let at = Evidence { source: source.id, span: record.at };
            let (now, dev_now) = gather.device(netns, &dev.value);
            let vlan = record.vlan.map_or(String::new(), |vlan| format!(" vlan {vlan}"));
            let mac = record.mac.value;
            let by_hand = has("permanent") || has("static") || has("extern_learn");
            let (id, class) = match (&record.dst, by_hand) {
                (Some(dst), true) => {
                    (format!("{dev_now} {mac}{vlan} dst {}", dst.value), Class::Config)
                }
                // Its own addresses, and groups that somebody joined.
                (None, true) => continue,
                _ if mac.is_multicast() => continue,
                (Some(_), false) => (format!("{dev_now} {mac}{vlan}"), Class::Noise),
                (None, false) => {
                    let Some(master) = &record.master else { continue };
                    let (_, master) = gather.device(netns, &master.value);
                    (format!("{master} {mac}{vlan}"), Class::Noise)
                }
            };
            let behind = match &record.dst {
                Some(dst) if !by_hand => dst.value.to_string(),
                _ => dev_now.to_owned(),
            };
            let mut it =
                Entity::new(Key::new(Kind::Fdb, place(now), id.clone()), Some(now.clone()), id);
            it.at = Some(at);
            it.class = class;
            it.owners = vec![gather.device_key(netns, &dev.value)];
            it.mentions = vec![mac.to_string()];
            it.set("behind", Class::Dynamic, Some(behind), Some(at));
            gather.view.add(it);
        }
        if gather.side.is_complete(source.id) && !source.request.filtered {
            let whole = source.request.object.is_none()
                && source
                    .command
                    .argv
                    .iter()
                    .all(|word| !matches!(word.as_str(), "br" | "brport" | "dev"));
            if whole {
                gather.view.cover(Kind::Fdb, place(netns));
            }
        }
    }
}

/// Of bridges of Open vSwitch.
fn add_ovs_fdb(gather: &mut Gather<'_, '_, '_>) {
    let texts = gather.side.texts(gather.host).to_vec();
    for (source, batch) in texts {
        let Batch::OvsFdb(records) = batch else { continue };
        for record in records {
            let Some(bridge) = &record.bridge else { continue };
            let Some(port) = super::flow_text::port_name(gather, bridge, &record.port.value) else {
                continue;
            };
            let local = gather.side.network.is_integration_called(gather.host, bridge);
            let vlan = match record.vlan.value {
                vlan if local => gather.vlan(vlan),
                vlan => vlan.to_string(),
            };
            let bridge = gather.port(bridge).to_owned();
            let id = format!("{} vlan {vlan}", record.mac.value);
            let at = Evidence { source: source.id, span: record.at };
            let name = format!("{bridge} {id}");
            let mut it = Entity::new(Key::new(Kind::Fdb, format!("ovs {bridge}"), id), None, name);
            it.at = Some(at);
            it.class = if record.age.is_some() { Class::Noise } else { Class::Config };
            it.mentions = vec![record.mac.value.to_string(), port.clone()];
            if record.port.value != OfPort::Local {
                it.owners = vec![Key::new(Kind::OvsPort, "", port.clone())];
            }
            it.set("behind", Class::Dynamic, Some(port), Some(at));
            gather.view.add(it);
        }
    }
}

/// Routers that several hosts have.
fn add_routers(gather: &mut Gather<'_, '_, '_>) {
    let texts = gather.side.texts(gather.host).to_vec();
    for (source, batch) in texts {
        let Batch::HaStates(records) = batch else { continue };
        for record in records {
            let Some(router) = &record.router else { continue };
            let mut it = Entity::new(
                Key::new(Kind::HaRouter, "", router.as_str()),
                None,
                format!("router {router}"),
            );
            let at = record.state.evidence(source.id);
            it.at = Some(at);
            it.owners = vec![Key::new(Kind::Netns, "", format!("qrouter-{router}"))];
            let state = if record.is_primary() { "primary" } else { record.state.as_str() };
            it.set("state", Class::Dynamic, Some(state.to_owned()), Some(at));
            gather.view.add(it);
        }
    }
    if gather.is_whole(&Netns::Root, Topic::HaRouters) {
        gather.view.cover(Kind::HaRouter, "");
    }
}
