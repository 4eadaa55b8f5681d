//! What two machines of one role have in common: bridges, ports that lead out, physical networks, MTUs,
//! settings, filters. What each machine has for itself is left out: addresses, MACs, guests and what is
//! made for them.
use super::entity::{Entity, Kind, View};

/// Keys of Open vSwitch that are each machine's own.
const OWN: &[&str] = &["system-id", "hostname", "ovn-encap-ip", "rundir", "hwaddr", "datapath-id"];

/// Values that are each machine's own.
const VALUES: &[&str] = &["name", "mac", "local", "remote", "driver", "leaves by", "interface id"];

/// Leaves out what each machine has for itself.
pub(super) fn keep_common(view: &mut View) {
    view.entities.retain(|_, it| is_of_role(it));
    for it in view.entities.values_mut() {
        let is_own = |name: &str| {
            let key = name.rsplit([':', ' ']).next().unwrap_or(name);
            VALUES.contains(&name) || OWN.contains(&key)
        };
        it.values.retain(|name, _| !is_own(name));
    }
}

fn is_of_role(it: &Entity) -> bool {
    let is_of_guest = it.owners.iter().any(|owner| matches!(owner.kind, Kind::Vm | Kind::Netns));
    let in_root = it.netns.as_ref().is_none_or(tapline_core::ids::Netns::is_root);
    match it.key.kind {
        Kind::Host | Kind::OvsBridge | Kind::BridgeVlan | Kind::Rule | Kind::Setting => in_root,
        Kind::Netdev => in_root && !is_of_guest,
        // Tunnels lead to every other machine.
        Kind::OvsPort => !is_of_guest && !it.values.contains_key("option remote_ip"),
        Kind::Chain => in_root,
        Kind::Vm
        | Kind::VmNic
        | Kind::Netns
        | Kind::Address
        | Kind::Route
        | Kind::Neighbour
        | Kind::Fdb
        | Kind::HaRouter
        | Kind::FilterRule
        | Kind::Flow
        | Kind::OvnRow => false,
    }
}
