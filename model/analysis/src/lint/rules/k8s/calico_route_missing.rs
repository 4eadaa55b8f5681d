use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::Topic;
use tapline_topology::graph::Netdev;

use crate::lint::{Ctx, Recorded, Subject, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "K8S-002",
    id: "calico-route-missing",
    summary: "a node has no route to a pod behind a cali device, or two for one pod",
    severity: Error,
    confidence: Strong,
    page: "calico_route_missing.md",
    layer: (L3, 170),
    rank: 960,
    about: [Kubernetes],
    cuts: [],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let routes = routes(ctx);
    let none = Routes::default();
    for host in ctx.hosts() {
        let all: Vec<_> = ctx
            .netdevs_of(host)
            .filter(|device| {
                device.netns().is_root() && is_cali(device.name()) && device.usable() == Some(true)
            })
            .collect();
        if all.is_empty() {
            continue;
        }
        let routes = routes.get(&host).unwrap_or(&none);
        missing(ctx, out, host, &all, routes);
        doubled(out, host, routes);
    }
}

/// The host's end of a pod's veth: `cali` and eleven hexadecimal digits of a hash.
fn is_cali(name: &str) -> bool {
    name.strip_prefix("cali")
        .is_some_and(|rest| rest.len() == 11 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The routes of a node that lead to cali devices.
#[derive(Default)]
struct Routes<'a> {
    /// Devices that have one.
    devices: BTreeSet<&'a str>,
    /// Devices by address, with the line of each.
    pods: BTreeMap<String, BTreeMap<&'a str, Evidence>>,
}

impl Routes<'_> {
    /// Whether some route leads to this pod alone.
    fn lead_to(&self, pod: IpAddr) -> bool {
        self.pods.keys().any(|key| key.split(' ').next() == Some(pod.to_string().as_str()))
    }
}

fn routes<'a>(ctx: &Ctx<'a>) -> BTreeMap<HostId, Routes<'a>> {
    let mut all: BTreeMap<HostId, Routes<'_>> = BTreeMap::new();
    for (source, routes) in ctx.route_texts().filter(|(it, _)| it.netns.is_root()) {
        for route in routes {
            let Some(device) = route.dev.as_ref().filter(|dev| is_cali(&dev.value)) else {
                continue;
            };
            // The kernel's own routes of the link-local network are on every device.
            let Some(net) = &route.destination else { continue };
            let single = net.value.prefix_len() == net.value.max_prefix_len();
            let own = route.table.as_ref().is_some_and(|table| table.value == "local");
            if !single || own || route.kind != "unicast" {
                continue;
            }
            let one = all.entry(source.host).or_default();
            one.devices.insert(device.value.as_str());
            let table = route.table.as_ref().map_or("main", |table| table.value.as_str());
            let at = Evidence { source: source.id, span: route.at };
            let pods = one.pods.entry(format!("{} {table}", net.value.addr())).or_default();
            pods.entry(device.value.as_str()).or_insert(at);
        }
    }
    all
}

fn missing(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    all: &[Item<'_, Netdev<'_>>],
    routes: &Routes<'_>,
) {
    let (fine, bare): (Vec<&Item<'_, Netdev<'_>>>, Vec<&Item<'_, Netdev<'_>>>) =
        all.iter().partition(|it| routes.devices.contains(it.name()));
    for _ in &fine {
        out.clean();
    }
    let open = ctx.missing(host, &Netns::Root, &[Topic::Routes]);
    for device in bare {
        if !open.is_empty() {
            out.cannot_tell(host, open.clone());
            continue;
        }
        let pod = address_of_pod(ctx, *device).filter(|(ip, _)| !routes.lead_to(*ip));
        if fine.is_empty() && pod.is_none() {
            // Where no pod has a route the node may be set up to need none.
            out.cannot_tell(
                host,
                [Need::command("kubectl get felixconfiguration default -o yaml")],
            );
            continue;
        }
        let message = match pod {
            Some((ip, _)) => format!(
                "no route leads to {ip}, the address of the pod behind it: the node does not know the way to this pod"
            ),
            None => "no route leads to it, as one does to the other pods: the node does not know the way to this pod".to_owned(),
        };
        let finding = out.fault(ctx, host, device.id, message);
        if let Some(place) = device.place() {
            finding.primary(place, "the device of a pod, up");
        }
        if let Some((_, at)) = pod {
            finding.primary(at, "the address of the pod");
        }
        if let Some(searched) = defs::searched(ctx, host, Topic::Routes, device.name()) {
            finding.rests_on_absence(searched);
        }
        if let Some((_, at)) = routes.pods.values().flatten().next() {
            finding.context(*at, "the route of another pod");
        }
        finding.next(format!("ip route show dev {}", device.name()));
        finding.next("kubectl -n kube-system logs -l k8s-app=calico-node --tail=100");
    }
}

/// The address of the pod at the other end of a device, where its namespace was captured.
fn address_of_pod(ctx: &Ctx<'_>, device: Item<'_, Netdev<'_>>) -> Option<(IpAddr, Evidence)> {
    let pod = ctx.veth_peer(device.id).filter(|pod| !pod.netns().is_root())?;
    let mut all = ctx.addresses_of(pod.id).into_iter();
    let address = all.find(|address| address.ip.is_ipv4() && defs::is_global(address.ip))?;
    Some((address.ip, address.line()))
}

/// Two routes to one pod: of one table, to different devices.
fn doubled(out: &mut Verdicts, host: HostId, routes: &Routes<'_>) {
    for (pod, devices) in routes.pods.iter().filter(|(_, it)| it.len() > 1) {
        let pod = pod.split(' ').next().unwrap_or(pod);
        let names = defs::list(devices.keys().copied(), 3);
        let message = format!(
            "routes lead to it by {names}: only one is its device, and packets may take the other"
        );
        let Some((_, first)) = devices.iter().next() else { continue };
        let subject = Subject::record(*first, Recorded::PodRoute { pod: pod.to_owned() });
        let finding = out.fire(host, subject, message);
        for (device, at) in devices {
            finding.primary(*at, format!("the route by {device}"));
        }
        finding.next(format!("ip route show {pod}"));
        finding.next("kubectl -n kube-system delete pod -l k8s-app=calico-node --field-selector spec.nodeName=$(hostname)");
    }
}
