use std::collections::BTreeMap;

use tapline_model::capture::HostId;
use tapline_model::ids::Netns;
use tapline_topology::graph::{Fact, OvsPort};
use tapline_topology::{Topic, names};

use crate::lint::ctx::Item;
use crate::lint::{Ctx, Finding, Verdicts, declare_rule, defs};

declare_rule! {
    code: "OVS-010",
    id: "local-vlan-inconsistent",
    summary: "ports of one network have different VLAN tags on one host",
    severity: Error,
    confidence: Proven,
    page: "local_vlan_inconsistent.md",
}

/// A port with its tag.
type Tagged<'a> = (Item<'a, OvsPort>, &'a Fact<u16>);

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        let mut networks: BTreeMap<(&str, &str), Vec<Tagged<'_>>> = BTreeMap::new();
        let mut untold = 0_u32;
        let ports: Vec<_> = ctx.ovs_ports_of(host).filter(|it| is_of_network(*it)).collect();
        for port in &ports {
            let Some(tag) = port.data.tag.as_ref().filter(|it| it.value != defs::DEAD_VLAN) else {
                continue;
            };
            against_own(ctx, out, *port, tag);
            match defs::other_config(port.data, "net_uuid") {
                Some(network) => {
                    let segment = defs::other_config(port.data, "segmentation_id").unwrap_or("");
                    networks.entry((network, segment)).or_default().push((*port, tag));
                }
                None => untold += 1,
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
fn is_of_network(port: Item<'_, OvsPort>) -> bool {
    let trunk = ["tpt-", "tpi-", "spt-", "spi-"].iter().any(|it| port.name().starts_with(it));
    port.bridge == "br-int" && !trunk && names::port_prefix(port.name()).is_some()
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
        if let Some((_, value)) = value {
            finding.context(value.evidence, format!("the network of {}", it.name()));
        }
    }
    for (port, _) in odd {
        finding.also(ctx.object(port.id).name);
    }
    next(finding);
}

fn next(finding: &mut Finding) {
    finding.next("ovs-vsctl --columns=name,tag,other_config list port");
    finding.next("systemctl restart neutron-openvswitch-agent");
}
