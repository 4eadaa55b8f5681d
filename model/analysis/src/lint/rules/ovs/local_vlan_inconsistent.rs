use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::graph::{Fact, OvsPort};
use tapline_topology::{Topic, names};

use crate::lint::{Ctx, Finding, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::vlans::LocalVlans;

declare_rule! {
    code: "OVS-010",
    id: "local-vlan-inconsistent",
    summary: "ports of one network have different VLAN tags on one host",
    severity: Error,
    confidence: Proven,
    page: "local_vlan_inconsistent.md",
    layer: (TagsAndFlows, 40),
    rank: 200,
    core: true,
    about: [NeutronAgent],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [ovs::ovs_controller_disconnected] if IntegrationBridge by [Host],
        [ovs::ovs_dead_vlan] if Population by [Host],
    ],
}

/// A port with its tag.
type Tagged<'a> = (Item<'a, OvsPort>, &'a Fact<u16>);

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        against_flows(ctx, out, ctx.local_vlans(host));
        let mut networks: BTreeMap<(&str, &str), Vec<Tagged<'_>>> = BTreeMap::new();
        let mut servers: Vec<(&str, Tagged<'_>)> = Vec::new();
        let mut untold = 0_u32;
        let ports: Vec<_> =
            ctx.ovs_ports_of(host).filter(|port| is_of_network(ctx, *port)).collect();
        for port in &ports {
            let Some(tag) = port.data.tag.as_ref().filter(|tag| tag.value != defs::DEAD_VLAN)
            else {
                continue;
            };
            against_own(ctx, out, *port, tag);
            match defs::other_config(port.data, "net_uuid") {
                Some(network) => {
                    let segment = defs::other_config(port.data, "segmentation_id").unwrap_or("");
                    networks.entry((network, segment)).or_default().push((*port, tag));
                }
                None => match dhcp_network(ctx, *port) {
                    Some(network) => servers.push((network, (*port, tag))),
                    None => untold += 1,
                },
            }
        }
        for (network, server) in servers {
            // Of a network with several segments nothing tells which one is served.
            let known: Vec<_> = networks.keys().filter(|key| key.0 == network).copied().collect();
            if let [one] = known.as_slice() {
                networks.entry(*one).or_default().push(server);
            }
        }
        if untold > 0 && networks.is_empty() && defs::has_agent_patches(ctx, host) {
            let missing = ctx.missing(host, &Netns::Root, &[Topic::OvsPorts]);
            if !missing.is_empty() {
                out.cannot_tell(host, missing);
            }
        }
        for ((network, _), ports) in networks {
            judge(ctx, out, host, network, &ports);
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// Whether the tag of the port is that of its network. Trunks have VLANs of their own.
fn is_of_network(ctx: &Ctx<'_>, port: Item<'_, OvsPort>) -> bool {
    let trunk =
        ["tpt-", "tpi-", "spt-", "spi-"].iter().any(|prefix| port.name().starts_with(prefix));
    ctx.is_integration_called(port.host, &port.bridge)
        && !trunk
        && names::port_prefix(port.name()).is_some()
}

/// The network that a DHCP server serves: its namespace is called after it.
fn dhcp_network<'a>(ctx: &Ctx<'a>, port: Item<'a, OvsPort>) -> Option<&'a str> {
    let interface = ctx.topology.find_ovs_interface(port.host, port.name())?;
    ctx.device_of(interface)?.netns().name()?.strip_prefix("qdhcp-")
}

/// Packets that come from tunnels get the VLAN that the ports of their network have, and go out
/// with the key that they come in with.
fn against_flows(ctx: &Ctx<'_>, out: &mut Verdicts, local: &LocalVlans<'_>) {
    for (vlan, ports) in &local.ports {
        for port in ports {
            by_segment(ctx, out, local, *port, *vlan);
        }
        let Some(port) = ports.first() else { continue };
        let floods = local.ways.get(vlan).into_iter().flat_map(|it| &it.floods);
        for flood in floods {
            let Some(inbound) = local.inbound.get(&flood.key) else { continue };
            if inbound.contains_key(vlan) {
                out.clean();
                continue;
            }
            let Some((other, at)) = inbound.iter().next() else { continue };
            let message = format!(
                "its VLAN {vlan} goes out with the tunnel key {}, and what comes in with that key gets VLAN {other}: no answer reaches it",
                flood.key
            );
            let finding = out.fault(ctx, port.host, port.id, message);
            if let Some(tag) = &port.data.tag {
                finding.primary(tag.evidence, "its tag");
            }
            finding.primary(flood.at, "goes out");
            finding.primary(*at, "comes in");
            for other in ports.iter().skip(1) {
                finding.also(ctx.subject(other.id));
            }
            next(finding);
        }
    }
}

/// The agent noted the key of the port's network.
fn by_segment(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    local: &LocalVlans<'_>,
    port: Item<'_, OvsPort>,
    vlan: u16,
) {
    let kind = defs::other_config(port.data, "network_type");
    if !matches!(kind, Some("vxlan" | "gre" | "geneve")) {
        return;
    }
    let noted = port.data.other_config.iter().find(|(key, _)| key == "segmentation_id");
    let Some((_, noted)) = noted else { return };
    let inbound = noted.value.parse().ok().and_then(|parsed: u64| local.inbound.get(&parsed));
    let Some(inbound) = inbound.filter(|inbound| !inbound.contains_key(&vlan)) else { return };
    let Some((other, at)) = inbound.iter().next() else { return };
    let message = format!(
        "the port is on VLAN {vlan}, and packets of its network (tunnel key {}) come in on {other}: nothing from other hosts reaches it",
        noted.value
    );
    let finding = out.fault(ctx, port.host, port.id, message);
    if let Some(tag) = &port.data.tag {
        finding.primary(tag.evidence, "its tag");
    }
    finding.primary(noted.evidence, "the key of its network");
    finding.primary(*at, "comes in");
    next(finding);
}

/// The agent writes the tag that it gave beside the tag itself.
fn against_own(ctx: &Ctx<'_>, out: &mut Verdicts, port: Item<'_, OvsPort>, tag: &Fact<u16>) {
    let noted = port.data.other_config.iter().find(|(key, _)| key == "tag");
    let Some((_, noted)) = noted else { return };
    if noted.value.parse() == Ok(tag.value) {
        out.clean();
        return;
    }
    let message = format!(
        "the port is on VLAN {}, and neutron's agent gave it {}: it is in another network than meant",
        tag.value, noted.value
    );
    let finding = out.fault(ctx, port.host, port.id, message);
    finding.primary(tag.evidence, "its tag");
    finding.primary(noted.evidence, "what the agent gave it");
    next(finding);
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, network: &str, ports: &[Tagged<'_>]) {
    let mut tags: BTreeMap<u16, Vec<Tagged<'_>>> = BTreeMap::new();
    for (port, tag) in ports {
        tags.entry(tag.value).or_default().push((*port, tag));
    }
    if tags.len() < 2 {
        out.clean();
        return;
    }
    // The VLAN with most ports counts as that of the network; the first of several such.
    let mut groups: Vec<_> = tags.into_iter().collect();
    groups.sort_by_key(|(tag, ports)| (std::cmp::Reverse(ports.len()), *tag));
    let Some(((usual, most), odd)) = groups.split_first() else { return };
    let mut odd = odd.iter().flat_map(|(_, ports)| ports);
    let (Some((port, tag)), Some((other, other_tag))) = (odd.next(), most.first()) else { return };
    let message = format!(
        "the port is on VLAN {}, and {} of the same network {network} on {usual}: they cannot reach each other on this host",
        tag.value,
        other.name()
    );
    let finding = out.fault(ctx, host, port.id, message);
    finding.primary(tag.evidence, "its tag");
    finding.primary(other_tag.evidence, format!("the tag of {}", other.name()));
    for it in [port, other] {
        let value = it.data.other_config.iter().find(|(key, _)| key == "net_uuid");
        let server = || {
            let interface = ctx.topology.find_ovs_interface(host, it.name())?;
            ctx.device_of(interface)?.place()
        };
        if let Some(at) = value.map(|value| value.1.evidence).or_else(server) {
            finding.context(at, format!("the network of {}", it.name()));
        }
    }
    for (port, _) in odd {
        finding.also(ctx.subject(port.id));
    }
    next(finding);
}

fn next(finding: &mut Finding) {
    finding.next("ovs-vsctl --columns=name,tag,other_config list port");
    finding.next("systemctl restart neutron-openvswitch-agent");
}
