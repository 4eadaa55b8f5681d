//! The gateway of a provider network answers nobody on a host: what all have in common is the uplink
//! or the bridge of the network.
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_topology::NodeId;

use super::root_of;
use crate::lint::engine::ctx::Ctx;
use crate::lint::engine::finding::{Confidence, Finding};
use crate::lint::engine::run::Report;
use crate::lint::engine::subject::Other;
use crate::lint::rules::l3::gateway_neighbour_failed;
use crate::lint::rules::next_hops;
use tapline_network::defs;

/// A network as one host shows it: the bridge, and the network or VLAN there.
type Network = (HostId, String, String);

pub(super) fn add(report: &mut Report, ctx: &Ctx<'_>) {
    let mut silent: BTreeMap<(Network, IpAddr), BTreeMap<NodeId, &Finding>> = BTreeMap::new();
    for it in
        report.findings.iter().filter(|finding| *finding.rule == gateway_neighbour_failed::RULE)
    {
        let Some(gateway) = it.subject.address() else { continue };
        let Some(device) =
            it.node.filter(|_| it.netns.as_ref().is_some_and(|netns| !netns.is_root()))
        else {
            continue;
        };
        if let Some(network) = network_of(ctx, device) {
            let key = (network, gateway);
            silent.entry(key).or_default().insert(device, it);
        }
    }
    let all = users(ctx);
    let mut roots = Vec::new();
    for ((network, gateway), members) in silent {
        let none = BTreeSet::new();
        let all = all.get(&(network.clone(), gateway)).unwrap_or(&none).len();
        let members: Vec<&Finding> = members.into_values().collect();
        if !defs::most_of(members.len(), all) {
            continue;
        }
        let (host, bridge, name) = network;
        let message = format!(
            "the gateway answers none of the {} routers and namespaces in {name} of {bridge}: the uplink or the bridge of this network on {}, or the gateway itself",
            members.len(),
            ctx.host_name(host)
        );
        let gateway = Other::Gateway { ip: gateway };
        if let Some(mut root) = root_of(&members, gateway.into(), message, ctx) {
            root.no_surer_than(Confidence::Strong);
            root.next = vec![
                "ovs-vsctl show".to_owned(),
                format!("ovs-appctl fdb/show {bridge}"),
                "ip -s link show UPLINK".to_owned(),
            ];
            roots.push(root);
        }
    }
    report.findings.extend(roots);
}

/// The devices in namespaces that have a route through a gateway, by network and gateway.
fn users(ctx: &Ctx<'_>) -> BTreeMap<(Network, IpAddr), BTreeSet<NodeId>> {
    let mut all: BTreeMap<(Network, IpAddr), BTreeSet<NodeId>> = BTreeMap::new();
    for table in
        ctx.route_tables().filter(|table| !table.netns().is_root() && table.name() != "local")
    {
        for hop in table.data.routes.iter().flat_map(|route| next_hops(*route)) {
            let Some(device) = ctx.netdev_called(table.host, table.netns(), hop.dev) else {
                continue;
            };
            if let Some(network) = network_of(ctx, device.id) {
                let key = (network, hop.gateway);
                all.entry(key).or_default().insert(device.id);
            }
        }
    }
    all
}

/// The network of a device in a namespace: a port of an OVS bridge, itself or by its veth.
fn network_of(ctx: &Ctx<'_>, device: NodeId) -> Option<Network> {
    let interface = ctx.interface_of(device).or_else(|| {
        let peer = ctx.veth_peer(device)?;
        ctx.interface_of(peer.id)
    })?;
    let port = ctx.topology.find_ovs_port(interface.host, &interface.data.port)?;
    let port = ctx.ovs_port(port)?;
    let of = |key: &str| defs::other_config(port.data, key).map(str::to_owned);
    let vlan = || match &port.data.tag {
        Some(tag) => format!("VLAN {}", tag.value),
        None => "no VLAN".to_owned(),
    };
    let name = of("physical_network").or_else(|| of("net_uuid")).unwrap_or_else(vlan);
    Some((port.host, port.data.bridge.to_string(), name))
}
