use std::collections::BTreeMap;

use ipnet::IpNet;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_topology::Topic;

use crate::lint::{Confidence, Ctx, Other, Verdicts, declare_rule};
use tapline_network::{defs, mesh, uplink};

declare_rule! {
    code: "K8S-003",
    id: "pod-block-on-two-nodes",
    summary: "two nodes hold one block of pod addresses",
    severity: Error,
    confidence: Strong,
    page: "pod_block_on_two_nodes.md",
    layer: (L3, 175),
    rank: 965,
    about: [Kubernetes],
    cuts: [],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut blocks: BTreeMap<IpNet, BTreeMap<HostId, Evidence>> = BTreeMap::new();
    for (source, routes) in ctx.route_texts().filter(|(source, _)| source.netns.is_root()) {
        for route in routes {
            // What Calico's node has of a block and no pod uses is refused (BIRD, `protocol static`
            // of `bird_aggr.cfg`; numbers where iproute2 knows no name).
            let of_bird = route
                .proto
                .as_ref()
                .is_some_and(|proto| proto == "bird" || proto == "12" || proto == "80");
            let Some(block) = route.destination.as_ref() else { continue };
            if route.kind == "blackhole" && of_bird && !route.is_default() {
                let at = Evidence { source: source.id, span: route.at };
                blocks.entry(block.value).or_default().entry(source.host).or_insert(at);
            }
        }
    }
    for (block, nodes) in blocks {
        let all: Vec<(HostId, Evidence)> = nodes.into_iter().collect();
        let Some(((first, at), rest)) = all.split_first() else { continue };
        let other = rest.iter().find(|(other, _)| {
            ctx.are_comparable(*first, *other) && are_neighbours(ctx, *first, *other)
        });
        let Some((other, there)) = other else {
            // Without addresses nobody knows whether the nodes are of one cluster.
            let open = all
                .iter()
                .map(|(host, _)| *host)
                .find(|host| all.len() > 1 && !ctx.captured(*host, &Netns::Root, Topic::Addresses));
            match open {
                Some(host) => {
                    out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Addresses]));
                }
                None => out.clean(),
            }
            continue;
        };
        let (here, far) = (ctx.host_name(*first), ctx.host_name(*other));
        let message = format!(
            "{here} and {far} both hold this block of pod addresses: each throws away what is for pods of the other"
        );
        let finding = out.fire(*first, Other::Subnet { net: block }, message);
        finding.peers.push(*other);
        finding.primary(*at, format!("on {here}")).primary(*there, format!("on {far}"));
        if mesh::is_cleaned(ctx, *first) || mesh::is_cleaned(ctx, *other) {
            finding.no_surer_than(Confidence::Suspect);
        }
        finding.next(format!("calicoctl ipam show --ip={}", block.network()));
        finding.next("calicoctl ipam check --show-problem-ips");
    }
}

/// Whether two hosts have addresses in one subnet, and not one address: clusters that have nothing
/// to do with each other use the same pod networks.
fn are_neighbours(ctx: &Ctx<'_>, a: HostId, b: HostId) -> bool {
    let addresses = |host: HostId| {
        let of_host = ctx.addresses().filter(move |address| address.host == host);
        let shared = of_host.filter(|address| {
            let device = ctx.netdev(address.data.netdev);
            let nic =
                device.is_some_and(|device| device.netns().is_root() && uplink::is_uplink(&device));
            nic && defs::is_global(address.ip)
        });
        shared.filter_map(|address| IpNet::new(address.ip, address.prefix).ok()).collect::<Vec<_>>()
    };
    let theirs = addresses(b);
    let mine = addresses(a);
    let same = mine.iter().any(|net| theirs.iter().any(|other| net.addr() == other.addr()));
    !same && mine.iter().any(|net| theirs.iter().any(|other| net.trunc() == other.trunc()))
}
