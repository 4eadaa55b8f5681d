use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::graph::{OvsBridge, OvsInterface};
use tapline_topology::{EdgeKind, Thing, Topic, names};

use crate::lint::{Ctx, Subject, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "OVS-007",
    id: "provider-bridge-not-patched",
    summary: "the integration bridge and a provider or tunnel bridge are not joined",
    severity: Error,
    confidence: Strong,
    page: "provider_bridge_not_patched.md",
    layer: (ProviderBridge, 10),
    rank: 120,
    core: true,
    about: [NeutronAgent],
    cuts: [ToSwitch, BehindSwitch],
    asks: [ExpectedBridges],
    after: [
        [ovs::ovs_controller_disconnected] if IntegrationBridge by [Host],
        [ovs::ovs_dead_vlan] if Population by [Host],
        [ovs::ovs_patch_peer_broken] by [Bridge],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        let Some(integration) = ctx.integration(host) else { continue };
        if !is_agents(ctx, host) {
            continue;
        }
        let near = joined(ctx, integration);
        let halves: BTreeMap<&str, Item<'_, OvsInterface>> =
            defs::interfaces_of(ctx, integration.id)
                .into_iter()
                .filter_map(|interface| {
                    Some((ctx.topology.node(interface.id)?.name.as_str(), interface))
                })
                .collect();
        for bridge in ctx.ovs_bridges_of(host).filter(|bridge| bridge.id != integration.id) {
            if near.contains(bridge.name()) {
                out.clean();
                continue;
            }
            let Some(lack) = lack(ctx, bridge, &halves) else { continue };
            if ctx.complete(host, &Netns::Root, Topic::Ovs) {
                report(ctx, out, bridge, &lack);
            } else {
                out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
            }
        }
        absent(ctx, out, integration);
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// Bridges that a person expects on every host and that are not there at all.
fn absent(ctx: &Ctx<'_>, out: &mut Verdicts, integration: Item<'_, OvsBridge>) {
    let host = integration.host;
    for name in &ctx.settings.env.expected_bridges {
        if ctx.bridge_called(host, name).is_some() {
            continue;
        }
        let missing = ctx.missing(host, &Netns::Root, &[Topic::Ovs]);
        if !missing.is_empty() {
            out.cannot_tell(host, missing);
            continue;
        }
        let message = "the bridge does not exist, and the configuration expects it on every host: its networks do not leave this host";
        let subject = Subject::absent(Thing::OvsBridge { name: name.as_str().into() });
        let finding = out.fire(host, subject, message);
        if let Some(place) = integration.place() {
            finding.primary(place, "there is an integration bridge");
        }
        if let Some(searched) = defs::searched(ctx, host, Topic::Ovs, name) {
            finding.rests_on_absence(searched);
        }
        finding.next(format!("ovs-vsctl br-exists {name}; echo $?"));
        finding.next("grep bridge_mappings /etc/neutron/plugins/ml2/openvswitch_agent.ini");
    }
}

/// Whether neutron's OVS agent set up the bridges of this host. It may be the patch of the
/// integration bridge that is missing, so the other side counts too.
fn is_agents(ctx: &Ctx<'_>, host: HostId) -> bool {
    defs::is_ml2_ovs(ctx, host)
        && !ctx.ovs_ports_of(host).any(|port| port.name().starts_with("patch-br-int-to-"))
}

/// The bridges that a patch or a veth pair joins with this one, whatever its name: long names are
/// cut and hashed.
fn joined<'a>(ctx: &Ctx<'a>, bridge: Item<'a, OvsBridge>) -> BTreeSet<&'a str> {
    let mut all = BTreeSet::new();
    for interface in defs::interfaces_of(ctx, bridge.id) {
        let patch = ctx.topology.peer(interface.id, EdgeKind::PatchPeer);
        let far = patch.and_then(|(id, _)| ctx.ovs_interface(id)).or_else(|| {
            let device = ctx.device_of(interface.id)?;
            ctx.interface_of(ctx.veth_peer(device.id)?.id)
        });
        all.extend(far.map(|far| far.data.bridge.as_str()));
    }
    all
}

/// What is missing between a bridge and the integration bridge.
struct Lack<'a> {
    /// The half that is not there, and the bridge on which it should be.
    missing: (String, &'a str),
    /// The half that is there, or a tunnel that needs the patch.
    there: Item<'a, OvsInterface>,
}

/// Which half is missing; `None` where both are there (whether they fit is another rule's
/// concern), or where nothing says that the bridge should be joined.
fn lack<'a>(
    ctx: &Ctx<'a>,
    bridge: Item<'a, OvsBridge>,
    integration: &BTreeMap<&str, Item<'a, OvsInterface>>,
) -> Option<Lack<'a>> {
    let name = bridge.node.name.as_str();
    let on = ctx.integration_bridge(bridge.host);
    let own = defs::interfaces_of(ctx, bridge.id);
    let find = |wanted: &str| own.iter().copied().find(|own| own.name() == wanted);
    if name == names::TUNNEL_BRIDGE {
        let tunnel = own.iter().copied().find(|own| own.option("remote_ip").is_some())?;
        return match (find("patch-int"), integration.get("patch-tun")) {
            (Some(_), Some(_)) => None,
            (Some(half), None) => Some(Lack { missing: ("patch-tun".to_owned(), on), there: half }),
            (None, Some(half)) => {
                Some(Lack { missing: ("patch-int".to_owned(), name), there: *half })
            }
            (None, None) => Some(Lack { missing: ("patch-int".to_owned(), name), there: tunnel }),
        };
    }
    if let Some(half) = own.iter().copied().find(|own| own.name().starts_with("phy-")) {
        let wanted = match half.option("peer") {
            Some(peer) => peer.value.to_string(),
            None => half.name().replacen("phy-", "int-", 1),
        };
        return (!integration.contains_key(wanted.as_str()))
            .then_some(Lack { missing: (wanted, on), there: half });
    }
    let Some(half) = integration.get(format!("int-{name}").as_str()) else {
        // A bridge of the administrator that the agent does not know has no half at all.
        let there = own.first().copied().filter(|_| defs::is_expected(ctx, name))?;
        return Some(Lack { missing: (format!("int-{name}"), on), there });
    };
    let nic = own.iter().any(|interface| {
        interface.kind.is_empty() || interface.kind == "system" || interface.kind == "dpdk"
    });
    nic.then(|| Lack { missing: (format!("phy-{name}"), name), there: *half })
}

fn report(ctx: &Ctx<'_>, out: &mut Verdicts, bridge: Item<'_, OvsBridge>, lack: &Lack<'_>) {
    let (half, on) = (&lack.missing.0, lack.missing.1);
    let neither = !lack.there.name().starts_with("phy-")
        && ctx.is_integration_called(bridge.host, on)
        && half.starts_with("int-");
    let what = if bridge.name() == names::TUNNEL_BRIDGE { "overlay" } else { "provider" };
    let message = format!(
        "not joined with {}: {on} has no port {half}, and {what} networks do not leave the integration bridge",
        ctx.integration_bridge(bridge.host)
    );
    let finding = out.fault(ctx, bridge.host, bridge.id, message);
    if let Some(place) = lack.there.place() {
        let tunnel = lack.there.option("remote_ip").is_some();
        let label = match (tunnel, neither) {
            (true, _) => "a tunnel that needs it",
            (false, true) => "a port of the bridge",
            (false, false) => "the other half",
        };
        finding.primary(place, label);
    }
    if let Some(place) = bridge.place() {
        finding.context(place, "the bridge");
    }
    if let Some(searched) = defs::searched(ctx, bridge.host, Topic::Ovs, half) {
        finding.absent(searched);
    }
    if neither {
        finding.note("the configuration expects this bridge on every host");
    }
    finding.next("systemctl status neutron-openvswitch-agent");
    finding.next("grep bridge_mappings /etc/neutron/plugins/ml2/openvswitch_agent.ini");
}
