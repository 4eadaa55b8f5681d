use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_core::span::Evidence;
use tapline_topology::Topic;
use tapline_topology::graph::{AddressNode, Fact, Netdev};

use crate::lint::{Confidence, Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::mesh;

declare_rule! {
    code: "K8S-001",
    id: "cni-subnet-mismatch",
    summary: "a node's pod bridge and its overlay device disagree about the node's pod subnet",
    severity: Error,
    confidence: Strong,
    page: "cni_subnet_mismatch.md",
    layer: (L3, 160),
    rank: 950,
    about: [Kubernetes],
    cuts: [],
    asks: [],
    after: [],
}

/// The overlay device of flannel on one node.
struct Node<'a> {
    device: Item<'a, Netdev<'a>>,
    /// Its address: the first of the node's pod subnet.
    address: Option<Item<'a, AddressNode<'a>>>,
    /// The address that its tunnels are sent from.
    local: Option<Fact<IpAddr>>,
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let nodes: Vec<Node<'_>> = ctx.hosts().filter_map(|host| node(ctx, host)).collect();
    for node in &nodes {
        on_node(ctx, out, node);
    }
    let mut firsts: BTreeMap<IpAddr, &Node<'_>> = BTreeMap::new();
    for node in &nodes {
        let Some(ip) = node.address.map(|address| address.ip) else { continue };
        match firsts.get(&ip) {
            Some(first) => twice(ctx, out, first, node, ip),
            None => _ = firsts.insert(ip, node),
        }
    }
    for node in &nodes {
        peers(ctx, out, node, &firsts);
        routes(ctx, out, node);
    }
}

fn node<'a>(ctx: &Ctx<'a>, host: HostId) -> Option<Node<'a>> {
    let number =
        |text: &str| text.strip_prefix("flannel.").is_some_and(|rest| rest.parse::<u32>().is_ok());
    let device =
        ctx.netdevs_of(host).find(|device| device.netns().is_root() && number(device.name()))?;
    let address = ctx.addresses_of(device.id).into_iter().find(|address| address.ip.is_ipv4());
    let tunnel = ctx.tunnels_of(host).find(|tunnel| tunnel.data.owner == device.id);
    let local = tunnel.and_then(|tunnel| tunnel.data.local.clone());
    Some(Node { device, address, local })
}

/// What the node itself shows.
fn on_node(ctx: &Ctx<'_>, out: &mut Verdicts, node: &Node<'_>) {
    let host = node.device.host;
    let name = node.device.name();
    if node.device.usable() == Some(false) {
        let message = format!("{name} is down: pods of this node reach no pod of another");
        let finding = out.fault(ctx, host, node.device.id, message);
        if let Some(flags) = &node.device.data.flags {
            finding.primary(flags.evidence, "down");
        }
        finding.next(format!("ip link set {name} up"));
        finding
            .next("kubectl -n kube-flannel delete pod --field-selector spec.nodeName=$(hostname)");
        return;
    }
    let Some(bridge) = ctx.netdev_called(host, &Netns::Root, "cni0") else {
        // No pod with an address of the bridge has run here yet.
        out.clean();
        return;
    };
    let own: Vec<_> =
        ctx.addresses_of(bridge.id).into_iter().filter(|address| address.ip.is_ipv4()).collect();
    let (Some(overlay), Some(first)) = (node.address, own.first()) else {
        let missing = ctx.missing(host, &Netns::Root, &[Topic::Addresses]);
        if missing.is_empty() {
            out.clean();
        } else {
            out.cannot_tell(host, missing);
        }
        return;
    };
    let holds = |address: &Item<'_, AddressNode<'_>>| {
        IpNet::new(address.ip, address.prefix).is_ok_and(|net| net.contains(&overlay.ip))
    };
    if own.iter().any(holds) {
        out.clean();
        return;
    }
    let message = format!(
        "its address {}/{} is not in the subnet of {name} ({}): pods here get addresses that the other nodes send elsewhere",
        first.ip, first.prefix, overlay.ip
    );
    let finding = out.fault(ctx, host, bridge.id, message);
    finding.primary(first.line(), "the subnet that pods get");
    finding.primary(overlay.line(), "the subnet that the other nodes send here");
    finding.next("cat /run/flannel/subnet.env");
    finding.next("ip link del cni0   # after draining the node, then restart kubelet");
}

/// Whether two nodes are of one cluster, as far as that can be told: their tunnels meet in one
/// subnet. Clusters use the same pod networks.
fn together(ctx: &Ctx<'_>, a: &Node<'_>, b: &Node<'_>) -> bool {
    let (Some(here), Some(there)) = (&a.local, &b.local) else { return false };
    let cleaned = |node: &Node<'_>| mesh::is_cleaned(ctx, node.device.host);
    if here.value == there.value || cleaned(a) || cleaned(b) || a.device.name() != b.device.name() {
        return false;
    }
    let nodes = ctx.topology.find_address(here.value).iter();
    nodes.filter_map(|node| ctx.address(*node)).any(|address| {
        address.host == a.device.host
            && address.prefix < 32
            && IpNet::new(address.ip, address.prefix).is_ok_and(|net| net.contains(&there.value))
    }) && ctx.are_comparable(a.device.host, b.device.host)
}

/// Two nodes with one subnet.
fn twice(ctx: &Ctx<'_>, out: &mut Verdicts, a: &Node<'_>, b: &Node<'_>, ip: IpAddr) {
    if !together(ctx, a, b) {
        return;
    }
    let other = ctx.host_name(b.device.host);
    let message = format!(
        "its address {ip} is that of {} on {other} too: two nodes give the same addresses to their pods",
        b.device.name()
    );
    let finding = out.fault(ctx, a.device.host, a.device.id, message);
    for (node, host) in [(a, "this node"), (b, other)] {
        if let Some(address) = node.address {
            finding.primary(address.line(), format!("the subnet of {host}"));
        }
    }
    finding.next("kubectl get nodes -o custom-columns=NAME:.metadata.name,CIDR:.spec.podCIDR");
}

/// What flannel wrote down of the MACs of the others.
fn peers(ctx: &Ctx<'_>, out: &mut Verdicts, node: &Node<'_>, others: &BTreeMap<IpAddr, &Node<'_>>) {
    let host = node.device.host;
    for (ip, (mac, at)) in noted(ctx, node) {
        let Some(other) = others.get(&ip).filter(|it| it.device.host != host) else { continue };
        let Some(own) = &other.device.data.mac else { continue };
        if own.value == mac || !together(ctx, node, other) {
            out.clean();
            continue;
        }
        let name = ctx.host_name(other.device.host);
        let message = format!(
            "it sends to {mac} for {name}, whose {} has {}: what it sends to pods there is dropped",
            other.device.name(),
            own.value
        );
        let finding = out.fault(ctx, host, node.device.id, message);
        finding.primary(at, format!("the address of {name} that is written down here"));
        finding.primary(own.evidence, format!("the address that {name} has"));
        let apart = tapline_network::ovn::apart(ctx, at.source, own.evidence.source);
        if apart.is_none_or(|apart| apart > ctx.settings.thresholds.capture_skew_s) {
            finding.no_surer_than(Confidence::Suspect);
            finding.note("the captures were not taken together: the node may have been restarted between them");
        }
        finding.next("kubectl -n kube-flannel rollout restart daemonset kube-flannel-ds");
        finding.next(format!("ip neigh show dev {}", node.device.name()));
    }
}

/// Flannel writes a neighbour and a route for each other node: without the route its pods are
/// looked for elsewhere.
fn routes(ctx: &Ctx<'_>, out: &mut Verdicts, node: &Node<'_>) {
    let (host, name) = (node.device.host, node.device.name());
    let noted = noted(ctx, node);
    if noted.is_empty() || node.device.usable() == Some(false) {
        return;
    }
    let missing = ctx.missing(host, &Netns::Root, &[Topic::Routes]);
    if !missing.is_empty() {
        out.cannot_tell(host, missing);
        return;
    }
    let tables: Vec<_> =
        ctx.route_tables().filter(|table| table.host == host && table.netns().is_root()).collect();
    let leads = |ip: IpAddr| {
        let mut routes = tables.iter().flat_map(|table| table.data.routes.iter());
        routes.any(|route| {
            let to = route.record.destination.as_ref();
            to.is_some_and(|to| to.value.prefix_len() > 0 && to.value.contains(&ip))
        })
    };
    let mut lost = noted.iter().filter(|(ip, _)| !leads(**ip));
    let Some((first, (_, at))) = lost.next() else {
        out.clean();
        return;
    };
    let message = format!(
        "no route leads to the pods behind {first}, a node that it knows: what is for them leaves by the default route"
    );
    let finding = out.fault(ctx, host, node.device.id, message);
    finding.primary(*at, "the other node, as it is written down here");
    for (other, _) in lost.take(4) {
        finding.note(format!("nor to those behind {other}"));
    }
    let key = format!("a route to {first}");
    finding.rests_on_absence(ctx.searched(host, &Netns::Root, Topic::Routes, &key));
    finding.next(format!("ip route show dev {name}"));
    finding.next("kubectl -n kube-flannel rollout restart daemonset kube-flannel-ds");
}

/// The permanent neighbours of the overlay device.
fn noted(ctx: &Ctx<'_>, node: &Node<'_>) -> BTreeMap<IpAddr, (Mac, Evidence)> {
    let mut all = BTreeMap::new();
    for (source, entries) in ctx.neighbour_texts() {
        if source.host != node.device.host || !source.netns.is_root() {
            continue;
        }
        for entry in entries {
            let here = entry.dev.as_ref().is_some_and(|dev| dev.value == node.device.name());
            let fixed = entry.states.iter().any(|state| *state == "PERMANENT");
            if let (true, true, Some(mac)) = (here, fixed, &entry.mac) {
                let at = Evidence { source: source.id, span: entry.at };
                all.entry(entry.ip.value).or_insert((mac.value, at));
            }
        }
    }
    all.retain(|ip, _| *ip != IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    all
}
