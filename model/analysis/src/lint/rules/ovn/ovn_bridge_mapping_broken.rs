use std::collections::{BTreeMap, BTreeSet};

use tapline_core::ids::Netns;
use tapline_core::records::ovs::{OvsRef, lookup};
use tapline_core::span::Evidence;
use tapline_topology::Topic;

use crate::lint::{Confidence, Ctx, Finding, Other, Severity, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::ovn::{Holder, Local, North, Ovn, South, switch_of};

declare_rule! {
    code: "OVN-003",
    id: "ovn-bridge-mapping-broken",
    summary: "a physical network of OVN has no way out of a host that needs it",
    severity: Error,
    confidence: Proven,
    page: "ovn_bridge_mapping_broken.md",
    layer: (Ovn, 20),
    rank: 410,
    about: [Ovn],
    cuts: [],
    asks: [],
    after: [
        [ovs::provider_bridge_no_uplink, ovs::provider_bridge_not_patched] by [Bridge, Above],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let ovn = ctx.ovn();
    for local in ovn.locals.values().filter(|local| !local.is_shared()) {
        let mapped = mappings(ctx, out, local);
        if !needs(ctx, out, ovn, local, &mapped) {
            gateway(out, local);
        }
    }
}

/// The mappings of a host.
struct Mapped<'a> {
    /// Bridges by physical network.
    bridges: BTreeMap<&'a str, &'a str>,
    /// One of them, or the setting itself, is reported.
    broken: bool,
}

fn mappings<'a>(ctx: &Ctx<'_>, out: &mut Verdicts, local: &Local<'a>) -> Mapped<'a> {
    let mut mapped = Mapped { bridges: BTreeMap::new(), broken: false };
    let Some(setting) = local.get("ovn-bridge-mappings") else { return mapped };
    let place = setting.evidence(local.row.source);
    let text = setting.value.as_str();
    let mut owners: BTreeMap<&str, &str> = BTreeMap::new();
    // ovn-controller stops at the first empty member.
    let members: Vec<&str> = text.strip_suffix(',').unwrap_or(text).split(',').collect();
    for member in members.iter().filter(|_| !text.is_empty()) {
        let pair = member.split_once(':').filter(|(a, b)| !a.is_empty() && !b.is_empty());
        let Some((network, bridge)) = pair.filter(|(_, it)| !it.contains(':')) else {
            mapped.broken = true;
            let message = format!(
                "`{member}` in the bridge mappings is not `NETWORK:BRIDGE`: ovn-controller does not read what follows it"
            );
            let finding = out.fire(local.host, subject(text), message);
            finding.primary(place, "the setting");
            next(finding);
            return mapped;
        };
        mapped.bridges.insert(network, bridge);
        if let Some(first) = owners.insert(bridge, network).filter(|insert| *insert != network) {
            let message = format!(
                "the networks {first} and {network} are both mapped to {bridge}: they are one network, whatever OVN makes of them"
            );
            let finding = out.fire(local.host, subject(member), message);
            finding.at_most(Severity::Warning);
            finding.primary(place, "the setting");
            next(finding);
        }
        if ctx.bridge_called(local.host, bridge).is_some() {
            out.clean();
            continue;
        }
        let missing = ctx.missing(local.host, &Netns::Root, &[Topic::Ovs]);
        if !missing.is_empty() {
            out.cannot_tell(local.host, missing);
            continue;
        }
        mapped.broken = true;
        let message = format!(
            "{network} is mapped to {bridge}, and there is no such bridge: ports of {network} have no way out of this host"
        );
        let finding = out.fire(local.host, subject(member), message);
        finding.primary(place, "the setting");
        if let Some(searched) = defs::searched(ctx, local.host, Topic::Ovs, bridge) {
            finding.rests_on_absence(searched);
        }
        finding.next(format!("ovs-vsctl --may-exist add-br {bridge}"));
        next(finding);
    }
    mapped
}

fn subject(mapping: &str) -> Other {
    Other::BridgeMapping { entry: mapping.to_owned() }
}

fn next(finding: &mut Finding) {
    finding.next("ovs-vsctl get Open_vSwitch . external_ids:ovn-bridge-mappings");
}

/// A network with a way out that something bound to a chassis is on.
#[derive(Default)]
struct Needed<'a> {
    /// Its localnet ports: their names, places, and the physical network where it was captured.
    localnets: BTreeMap<&'a str, (Evidence, Option<&'a str>)>,
    /// What is bound here.
    ports: BTreeSet<&'a str>,
    bound: Option<Evidence>,
}

/// Every network that a port bound to this chassis is on, and that leaves by a physical network,
/// must have a patch to a bridge. Only one of several physical networks need be there: those of
/// routed provider networks are each in a part of the racks.
fn needs<'a>(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    ovn: &'a Ovn<'a>,
    local: &Local<'_>,
    mapped: &Mapped<'_>,
) -> bool {
    let mut any = false;
    let (Some(south), Some(id)) = (ovn.south_of(ctx, local), local.system_id()) else {
        return any;
    };
    let mut networks: BTreeMap<&str, Needed<'_>> = BTreeMap::new();
    by_datapath(south, id, &mut networks);
    for north in ovn.norths.values() {
        by_switch(north, south, id, &mut networks);
    }
    for needed in networks.values().filter(|network| !network.localnets.is_empty()) {
        let patch = |text: &str| format!("patch-{}-to-{text}", local.bridge());
        let patched = |text: &&str| ctx.interface_called(local.host, &patch(text)).is_some();
        if needed.localnets.keys().any(patched) {
            out.clean();
            continue;
        }
        // A mapping that leads nowhere is said once, at the mapping.
        let said = needed.localnets.values().any(|(_, network)| match network {
            Some(it) => {
                mapped.bridges.get(it).is_some_and(|it| ctx.bridge_called(local.host, it).is_none())
            }
            None => mapped.broken,
        });
        if said || mapped.broken && mapped.bridges.is_empty() {
            continue;
        }
        let missing = ctx.missing(local.host, &Netns::Root, &[Topic::Ovs]);
        if !missing.is_empty() {
            out.cannot_tell(local.host, missing);
            continue;
        }
        let Some((localnet, (place, network))) = needed.localnets.first_key_value() else {
            continue;
        };
        any = true;
        let reason = match network {
            Some(it) if mapped.bridges.contains_key(it) => format!("although {it} is mapped"),
            Some(it) => format!("since {it} is not mapped to a bridge"),
            None if mapped.bridges.is_empty() => {
                "since no network is mapped to a bridge".to_owned()
            }
            None => "by any of the mapped networks".to_owned(),
        };
        let ports: Vec<&str> = needed.ports.iter().copied().collect();
        let message = format!(
            "{} is bound to this host, and its network does not leave it {reason}: no traffic to the outside",
            defs::list(ports, 3)
        );
        let finding =
            out.fire(local.host, Other::OvnPort { name: (*localnet).to_owned() }, message);
        finding.no_surer_than(Confidence::Strong);
        if let Some(bound) = needed.bound {
            finding.primary(bound, "what is bound here");
        }
        finding.primary(*place, "the port by which its network leaves");
        finding.context(local.place("ovn-bridge-mappings"), "the settings of this host");
        if let Some(searched) = defs::searched(ctx, local.host, Topic::Ovs, &patch(localnet)) {
            finding.rests_on_absence(searched);
        }
        next(finding);
        finding.next(format!("ovn-nbctl get Logical_Switch_Port {localnet} options:network_name"));
    }
    any
}

/// A host that neutron may choose for gateways needs a way out, whatever is bound to it now.
fn gateway(out: &mut Verdicts, local: &Local<'_>) {
    let mut options = local.list("ovn-cms-options");
    let Some(setting) = local.get("ovn-cms-options") else { return };
    if !options.any(|option| option == "enable-chassis-as-gw") {
        return;
    }
    if local.get("ovn-bridge-mappings").is_some_and(|mappings| !mappings.value.is_empty()) {
        out.clean();
        return;
    }
    let message = "this host is meant for gateways (enable-chassis-as-gw), and no network is mapped to a bridge: gateways here have no way out";
    let finding = out.fire(local.host, subject("ovn-bridge-mappings"), message);
    finding.no_surer_than(Confidence::Strong);
    finding.primary(setting.evidence(local.row.source), "what the host is meant for");
    next(finding);
}

/// Ports of one datapath, from a list of Port_Binding.
fn by_datapath<'a>(south: &'a South<'a>, id: &str, all: &mut BTreeMap<&'a str, Needed<'a>>) {
    for (name, binding) in &south.bindings {
        let Some(OvsRef::Uuid(datapath)) =
            binding.row.datapath.as_ref().map(|datapath| &datapath.value)
        else {
            continue;
        };
        let kind = binding.row.kind.as_ref().map_or("", |kind| kind.value.as_str());
        let network =
            || lookup(&binding.row.options, "network_name").map(|found| found.value.as_str());
        match (kind, binding.holder) {
            ("localnet", _) => {
                let one = all.entry(datapath.as_str()).or_default();
                one.localnets.insert(name, (binding.at, network()));
            }
            ("", Holder::Chassis(it)) if it == id => {
                let one = all.entry(datapath.as_str()).or_default();
                one.ports.insert(name);
                one.bound.get_or_insert(binding.at);
            }
            _ => {}
        }
    }
    all.retain(|_, it| !it.ports.is_empty());
}

/// Ports of one switch, from `ovn-nbctl show`; the gateway of a router is on the switch that its
/// port leads to.
fn by_switch<'a>(
    north: &'a North<'a>,
    south: &'a South<'a>,
    id: &str,
    all: &mut BTreeMap<&'a str, Needed<'a>>,
) {
    let mut leads: BTreeMap<&str, &str> = BTreeMap::new();
    for (port, _) in north.switch_ports.values() {
        if let (Some(router), Some(switch)) =
            (lookup(&port.options, "router-port"), switch_of(port))
        {
            leads.insert(router.value.as_str(), switch);
        }
    }
    // Ports whose network is known by its datapath.
    let known: BTreeSet<&str> = all.values().flat_map(|it| it.ports.iter().copied()).collect();
    for (name, binding) in &south.bindings {
        if binding.holder != Holder::Chassis(id) || known.contains(name) {
            continue;
        }
        let switch = match name.strip_prefix("cr-") {
            Some(router) => leads.get(router).copied(),
            None => north.switch_ports.get(name).and_then(|(it, _)| switch_of(it)),
        };
        let Some(switch) = switch else { continue };
        let Some(localnets) = north.localnets.get(switch) else { continue };
        let one = all.entry(switch).or_default();
        one.ports.insert(name);
        one.bound.get_or_insert(binding.at);
        for (localnet, at) in localnets {
            let network = south.bindings.get(localnet);
            let network = network.and_then(|network| lookup(&network.row.options, "network_name"));
            one.localnets.insert(localnet, (*at, network.map(|network| network.value.as_str())));
        }
    }
}
