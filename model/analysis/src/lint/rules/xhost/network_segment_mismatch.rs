use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_topology::Topic;
use tapline_topology::graph::OvsPort;

use crate::lint::{Confidence, Ctx, Other, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::l2;
use tapline_network::mesh::{self, Mesh};

declare_rule! {
    code: "XHOST-001",
    id: "network-segment-mismatch",
    summary: "one network has different segment ids on two hosts, or one id two networks",
    severity: Error,
    confidence: Proven,
    page: "network_segment_mismatch.md",
    layer: (TagsAndFlows, 100),
    rank: 530,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

/// What the agent wrote down for the ports of one network: its own word, once for each host.
#[derive(Clone, Copy)]
struct Segment<'a> {
    port: Item<'a, OvsPort>,
    network: &'a str,
    kind: &'a str,
    physnet: &'a str,
    id: &'a str,
    evidence: Evidence,
}

/// The segments of each network by host, type, physical network and id.
type Networks<'a> = BTreeMap<&'a str, BTreeMap<(HostId, &'a str, &'a str, &'a str), Segment<'a>>>;

impl Segment<'_> {
    fn is_overlay(&self) -> bool {
        matches!(self.kind, "vxlan" | "gre" | "geneve")
    }

    /// `vxlan 42`, `vlan 100 on physnet1`.
    fn words(&self) -> String {
        match self.physnet {
            "" => format!("{} {}", self.kind, self.id),
            net => format!("{} {} on {net}", self.kind, self.id),
        }
    }
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mesh = ctx.mesh();
    // Segments of each network, without repeats on one host.
    let mut networks: Networks<'_> = BTreeMap::new();
    // An outdated capture is compared with itself alone.
    let mut outdated: BTreeMap<HostId, Networks<'_>> = BTreeMap::new();
    let mut told: BTreeSet<HostId> = BTreeSet::new();
    let mut wired: BTreeMap<HostId, bool> = BTreeMap::new();
    for port in ctx.ovs_ports().filter(|port| ctx.is_integration_called(port.host, &port.bridge)) {
        let tag = port.data.tag.as_ref().map(|tag| tag.value);
        *wired.entry(port.host).or_default() |= tag.is_some_and(|tag| tag != defs::DEAD_VLAN);
        // What stands at a parked port is of a former time.
        let Some(segment) = segment(port).filter(|_| tag != Some(defs::DEAD_VLAN)) else {
            continue;
        };
        told.insert(port.host);
        let own = if ctx.may_be_outdated(port.host) {
            outdated.entry(port.host).or_default()
        } else {
            &mut networks
        };
        own.entry(segment.network)
            .or_default()
            .entry((port.host, segment.kind, segment.physnet, segment.id))
            .or_insert(segment);
    }
    for segments in networks.values().chain(outdated.values().flat_map(BTreeMap::values)) {
        let all: Vec<_> = segments.values().copied().collect();
        one_network(ctx, out, mesh, &all);
    }
    shared_ids(ctx, out, mesh, &networks);
    by_flows(ctx, out, mesh, &networks);
    // Hosts with ports of neutron whose networks are not told.
    wired.retain(|host, _| !ctx.may_be_outdated(*host));
    let hosts: BTreeSet<_> = wired.keys().map(|key| mesh.machine(*key)).collect();
    if hosts.len() > 1 {
        let blind = |host: &&HostId| wired.get(*host) == Some(&true) && !told.contains(*host);
        for host in wired.keys().filter(blind) {
            let missing = ctx.missing(*host, &Netns::Root, &[Topic::OvsPorts]);
            if defs::has_agent_patches(ctx, *host) && !missing.is_empty() {
                out.cannot_tell(*host, missing);
            }
        }
    }
}

fn segment(port: Item<'_, OvsPort>) -> Option<Segment<'_>> {
    let value = |key: &str| -> Option<&'_ str> {
        defs::other_config(port.data, key).filter(|config| !config.is_empty() && *config != "None")
    };
    let place = |key: &str| {
        let found = port.data.other_config.iter().find(|(it, _): &&(Name, _)| it == key);
        found.map(|(_, it)| it.evidence)
    };
    Some(Segment {
        port,
        network: value("net_uuid")?,
        kind: value("network_type")?,
        physnet: value("physical_network").unwrap_or_default(),
        id: value("segmentation_id")?,
        evidence: place("segmentation_id")?,
    })
}

/// One network with two segments.
fn one_network(ctx: &Ctx<'_>, out: &mut Verdicts, mesh: &Mesh, all: &[Segment<'_>]) {
    let Some(first) = all.first() else { return };
    let differs = |it: &&Segment<'_>| {
        it.kind != first.kind || it.physnet != first.physnet || it.id != first.id
    };
    let Some(other) = all.iter().find(differs) else {
        return out.clean();
    };
    let (a, b) = (first.port.host, other.port.host);
    if a != b && mesh.machine(a) == mesh.machine(b) {
        // Two captures of one machine: the network may have been made anew between them.
        return out.clean();
    }
    let name = |host| ctx.host_name(host).to_owned();
    let message = if a == b {
        format!("is {} and {} on one host: its ports do not meet", first.words(), other.words())
    } else {
        format!(
            "is {} on {} and {} on {}: its two halves never meet",
            first.words(),
            name(a),
            other.words(),
            name(b)
        )
    };
    let finding = out.fire(a, Other::Network { id: first.network.to_owned() }, message);
    finding.node = Some(first.port.id);
    for it in [first, other] {
        finding.primary(it.evidence, format!("on {}, {}", name(it.port.host), it.words()));
    }
    // A network may have a segment for each part of the site.
    if first.kind != other.kind || first.physnet != other.physnet {
        finding.at_most(Severity::Info).no_surer_than(Confidence::Suspect);
        finding.note("networks of several segments (routed provider networks) are made so");
    }
    finding.next(format!("openstack network show {}", first.network));
    finding.next(format!("openstack network segment list --network {}", first.network));
    finding.next("systemctl restart neutron-openvswitch-agent");
}

/// The tunnel key of a network on one host, by the flows of the VLAN that its DHCP server is on.
struct Led<'a> {
    port: Item<'a, OvsPort>,
    key: u64,
    flow: Evidence,
}

/// What flows do where the ports do not tell: a namespace of a DHCP server bears the id of its
/// network, and flows give its VLAN a tunnel key.
fn by_flows(ctx: &Ctx<'_>, out: &mut Verdicts, mesh: &Mesh, told: &Networks<'_>) {
    let mut led: BTreeMap<&str, Vec<Led<'_>>> = BTreeMap::new();
    for netns in ctx.namespaces().filter(|netns| !ctx.may_be_outdated(netns.host)) {
        let network = netns.name().strip_prefix("qdhcp-").filter(|id| !told.contains_key(id));
        let Some(network) = network.filter(|_| !mesh::is_cleaned(ctx, netns.host)) else {
            continue;
        };
        for device in ctx.devices_in(netns.id) {
            let port = ctx.topology.find_ovs_port(netns.host, device.name());
            let Some(port) = port.and_then(|port| ctx.ovs_port(port)) else { continue };
            let Some(vlan) = l2::access_vlan(port.data) else { continue };
            let Some(ways) = ctx.local_vlans(netns.host).ways.get(&vlan) else { continue };
            let [(key, flow)] = ways.tunnel_in.as_slice() else { continue };
            led.entry(network).or_default().push(Led { port, key: *key, flow: *flow });
        }
    }
    let ways = mesh.ways(ctx);
    for (network, all) in led {
        let Some((first, rest)) = all.split_first() else { continue };
        let a = first.port.host;
        let other = rest.iter().find(|other| {
            let b = other.port.host;
            let joined = ways.contains(&(a, b)) || ways.contains(&(b, a));
            other.key != first.key && mesh.machine(a) != mesh.machine(b) && joined
        });
        let Some(other) = other else {
            out.clean();
            continue;
        };
        let message = format!(
            "flows of {} give it the tunnel key {:#x}, those of {} {:#x}: its two halves never meet",
            ctx.host_name(a),
            first.key,
            ctx.host_name(other.port.host),
            other.key
        );
        let finding = out.fire(a, Other::Network { id: network.to_owned() }, message);
        finding.node = Some(first.port.id);
        finding.no_surer_than(Confidence::Strong);
        for led in [first, other] {
            let host = ctx.host_name(led.port.host);
            finding.primary(led.flow, format!("on {host}, key {:#x}", led.key));
            if let Some(tag) = &led.port.data.tag {
                finding.context(tag.evidence, format!("the VLAN of its DHCP server on {host}"));
            }
        }
        finding.next(format!("openstack network show {network}"));
        finding.next("systemctl restart neutron-openvswitch-agent");
    }
}

/// One id of one type of overlay for two networks. Only hosts that tunnel to one another have their
/// ids from one neutron for certain.
fn shared_ids(ctx: &Ctx<'_>, out: &mut Verdicts, mesh: &Mesh, networks: &Networks<'_>) {
    let mut ids: BTreeMap<(&str, &str), Vec<Segment<'_>>> = BTreeMap::new();
    for segment in networks.values().flat_map(|network| network.values()) {
        if segment.is_overlay() {
            ids.entry((segment.kind, segment.id)).or_default().push(*segment);
        }
    }
    let ways = mesh.ways(ctx);
    for users in ids.into_values() {
        let Some((first, rest)) = users.split_first() else { continue };
        let joined = |it: &&Segment<'_>| {
            let (a, b) = (first.port.host, it.port.host);
            let way = || ways.contains(&(a, b)) || ways.contains(&(b, a));
            // Tunnels between cleaned reports are not those of the hosts.
            let told = || ![a, b].iter().any(|it| mesh::is_cleaned(ctx, *it));
            it.network != first.network && (a == b || told() && way())
        };
        let Some(other) = rest.iter().find(joined) else { continue };
        let message = format!(
            "{} belongs to network {} too: the two networks are one on the wire",
            first.words(),
            other.network
        );
        let object = Other::Network { id: first.network.to_owned() };
        let finding = out.fire(first.port.host, object, message);
        finding.node = Some(first.port.id);
        for it in [first, other] {
            finding.primary(
                it.evidence,
                format!("network {} on {}", it.network, ctx.host_name(it.port.host)),
            );
        }
        finding.next(format!("openstack network show {}", first.network));
        finding.next(format!("openstack network show {}", other.network));
    }
}
