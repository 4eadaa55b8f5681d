//! Rows of the databases of OVN: where ports are, and what networks and routers are made of.
use tapline_core::records::Batch;
use tapline_core::records::ovs::{OvsRecord, OvsRow};
use tapline_core::span::{At, SourceId};

use super::super::entity::{Class, Entity, Key, Kind};
use super::super::gather::Gather;
use tapline_network::ovn::Holder;

/// Columns that only name other rows, which are told themselves, or that count.
const LEFT_OUT: &[&str] = &[
    "_uuid",
    "_version",
    "acls",
    "ports",
    "nat",
    "static_routes",
    "policies",
    "load_balancer",
    "load_balancer_group",
    "ha_chassis",
    "qos_rules",
    "dns_records",
    "forwarding_groups",
    "gateway_chassis",
    "nb_cfg",
    "nb_cfg_timestamp",
    "sb_cfg",
    "hv_cfg",
    "meter",
];

/// Tables that tell what a person, neutron or Kubernetes has set.
const TABLES: &[&str] = &[
    "ACL",
    "Address_Set",
    "DHCP_Options",
    "DNS",
    "Gateway_Chassis",
    "HA_Chassis",
    "Load_Balancer",
    "Logical_Router_Policy",
    "Logical_Router_Static_Route",
    "Port_Group",
    "QoS",
    "Static_MAC_Binding",
];

pub(in super::super) fn add(gather: &mut Gather<'_, '_, '_>) {
    add_south(gather);
    add_north(gather);
    let texts = gather.side.texts(gather.host).to_vec();
    for (source, batch) in texts {
        let Batch::Ovs(records) = batch else { continue };
        // What the southbound database has of these, northd makes anew.
        if source.command.program() != "ovn-sbctl" {
            for record in records {
                add_row(gather, source.id, record);
            }
        }
        let table = source.request.table.as_deref();
        let is_list = source.command.program().starts_with("ovn-");
        if let Some(table) = table.filter(|_| is_list && !source.request.filtered)
            && gather.side.is_complete(source.id)
        {
            gather.view.cover(Kind::OvnRow, table);
        }
    }
}

fn entity(table: &str, id: &str) -> Entity {
    Entity::new(Key::new(Kind::OvnRow, table, id), None, format!("{table} {id}"))
}

fn add_south(gather: &mut Gather<'_, '_, '_>) {
    let Some(south) = gather.side.network.ovn().souths.get(&gather.host) else { return };
    for (name, chassis) in &south.chassis {
        let mut it = entity("Chassis", name);
        it.at = Some(chassis.at);
        it.set_known("hostname", Class::Config, chassis.hostname, Some(chassis.at));
        let mut encaps: Vec<String> =
            chassis.encaps.iter().map(|it| format!("{} {}", it.kind, it.ip)).collect();
        encaps.sort();
        encaps.dedup();
        it.set("encaps", Class::Config, Some(encaps.join(", ")), Some(chassis.at));
        gather.view.add(it);
    }
    for (port, binding) in &south.bindings {
        let mut it = entity("Port_Binding", port);
        it.at = Some(binding.at);
        let holder = match &binding.holder {
            Holder::Chassis(name) => Some(Some((*name).to_owned())),
            Holder::Nobody => Some(None),
            Holder::Unnamed => None,
        };
        if let Some(holder) = holder {
            it.set("chassis", Class::Dynamic, holder, Some(binding.at));
        }
        let up = binding.row.up.as_ref().map(|up| up.value);
        if let Some(up) = up {
            it.set_link("up", Some(up.to_string()), Some(binding.at), !up);
        }
        gather.view.add(it);
    }
    if south.listed.is_some() {
        gather.view.cover(Kind::OvnRow, "Port_Binding");
    }
    if south.shown.is_some() {
        gather.view.cover(Kind::OvnRow, "Chassis");
    }
}

fn words(all: &[At<tapline_core::Name>]) -> String {
    let mut all: Vec<&str> = all.iter().map(|it| it.value.as_str()).collect();
    all.sort_unstable();
    all.join(", ")
}

fn add_north(gather: &mut Gather<'_, '_, '_>) {
    let Some(north) = gather.side.network.ovn().norths.get(&gather.host) else { return };
    for (name, (row, at)) in &north.switch_ports {
        let mut it = entity("Logical_Switch_Port", name);
        it.at = Some(*at);
        it.set("addresses", Class::Config, Some(words(&row.addresses)), Some(*at));
        let kind = row.kind.as_ref().map(|kind| &kind.value);
        it.set_known("type", Class::Config, kind, Some(*at));
        it.set_known("tag", Class::Config, row.tag.as_ref().map(|tag| tag.value), Some(*at));
        if let Some(enabled) = &row.enabled {
            let text = Some(enabled.value.to_string());
            it.set_link("enabled", text, Some(*at), !enabled.value);
        }
        for (key, value) in &row.options {
            let text = Some(value.value.to_string());
            it.set(format!("option {key}"), Class::Config, text, Some(*at));
        }
        gather.view.add(it);
    }
    for (name, (row, at)) in &north.router_ports {
        let mut it = entity("Logical_Router_Port", name);
        it.at = Some(*at);
        it.set_known("mac", Class::Config, row.mac.as_ref().map(|mac| &mac.value), Some(*at));
        it.set("networks", Class::Config, Some(words(&row.networks)), Some(*at));
        if let Some(enabled) = &row.enabled {
            let text = Some(enabled.value.to_string());
            it.set_link("enabled", text, Some(*at), !enabled.value);
        }
        gather.view.add(it);
    }
}

/// A row of a table that has no room of its own in the model.
fn add_row(gather: &mut Gather<'_, '_, '_>, source: SourceId, record: &OvsRecord) {
    let Some(uuid) = &record.uuid else { return };
    let at = Some(uuid.evidence(source));
    let mut it = match &record.row {
        OvsRow::Nat(nat) => {
            let mut it = entity("NAT", &uuid.value);
            for (name, value) in [
                ("type", &nat.kind),
                ("external ip", &nat.external_ip),
                ("logical ip", &nat.logical_ip),
                ("external mac", &nat.external_mac),
                ("logical port", &nat.logical_port),
            ] {
                let text = value.as_ref().map(|value| &value.value);
                let at = value.as_ref().map(|value| value.evidence(source)).or(at);
                it.set_known(name, Class::Config, text, at);
            }
            let part = |value: &Option<At<tapline_core::Name>>| {
                value.as_ref().map_or_else(String::new, |value| value.value.to_string())
            };
            it.name = format!(
                "NAT {} {} for {}",
                part(&nat.kind),
                part(&nat.external_ip),
                part(&nat.logical_ip)
            );
            it
        }
        OvsRow::Other { name } if TABLES.contains(&name.as_str()) => {
            let mut it = entity(name, &uuid.value);
            for (name, value) in &record.values {
                if LEFT_OUT.contains(&name.as_str()) {
                    continue;
                }
                let text = Some(value.to_string()).filter(|text| !text.is_empty());
                it.set(name.to_string(), Class::Config, text, at);
            }
            for column in &record.columns {
                if LEFT_OUT.contains(&column.name.as_str()) {
                    continue;
                }
                let at = Some(column.value.evidence(source));
                let text = Some(column.value.value.to_string());
                it.set(column.name.to_string(), Class::Config, text, at);
            }
            it
        }
        _ => return,
    };
    it.at = at;
    gather.view.add(it);
}
