use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::libvirt::Network;
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::Topic;
use tapline_topology::graph::Netdev;

use crate::lint::{Ctx, Severity, Verdicts, declare_rule};
use tapline_network::{Item, defs};

declare_rule! {
    code: "VM-009",
    id: "libvirt-network-address-missing",
    summary: "the bridge of an active network of libvirt lacks the address that the network gives it",
    severity: Error,
    confidence: Strong,
    page: "libvirt_network_address_missing.md",
    layer: (L3, 156),
    rank: 771,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [lbr::bridge_down] by [Device],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut active: BTreeMap<(HostId, &str), (Option<bool>, Evidence)> = BTreeMap::new();
    for (source, networks) in ctx.network_state_texts() {
        for network in networks {
            let Some(name) = &network.name else { continue };
            let at = Evidence { source: source.id, span: network.at };
            let state = network.active.as_ref().map(|active| active.value);
            active.entry((source.host, name.value.as_str())).or_insert((state, at));
        }
    }
    for (source, networks) in ctx.network_texts() {
        for network in networks {
            let Some(name) = &network.name else { continue };
            // What is not active has no bridge, or another's.
            match active.get(&(source.host, name.value.as_str())) {
                Some((Some(true), at)) => judge(ctx, out, (source.id, source.host), network, *at),
                Some((Some(false), _)) => out.clean(),
                Some((None, _)) | None => {
                    out.cannot_tell(source.host, [Need::command("virsh net-list --all")]);
                }
            }
        }
    }
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    (source, host): (SourceId, HostId),
    network: &Network,
    is_active: Evidence,
) {
    let Some(bridge) = network.bridge.as_ref().filter(|_| !network.addresses.is_empty()) else {
        return;
    };
    // Where there is no such bridge the VMs in it tell (VM-006).
    let Some(device) = ctx.netdev_called(host, &Netns::Root, &bridge.value) else { return };
    let missing = ctx.missing(host, &Netns::Root, &[Topic::Addresses]);
    if !missing.is_empty() {
        out.cannot_tell(host, missing);
        return;
    }
    let held = ctx.addresses_of(device.id);
    for address in &network.addresses {
        // IPv6 may be switched off for a bridge, which is seen by other means.
        if !address.ip.is_ipv4() || held.iter().any(|one| one.ip == address.ip) {
            out.clean();
            continue;
        }
        let at = Evidence { source, span: address.at };
        report(ctx, out, device, (network, address.ip), at, is_active);
    }
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    device: Item<'_, Netdev<'_>>,
    (network, ip): (&Network, std::net::IpAddr),
    at: Evidence,
    is_active: Evidence,
) {
    let host = device.host;
    let name = network.name.as_ref().map_or("NETWORK", |name| name.value.as_str());
    let serves = network.addresses.iter().any(|address| !address.ranges.is_empty());
    let role = if serves { "gateway and DHCP server" } else { "gateway" };
    let message = format!("lacks {ip} of the network {name}: its VMs have no {role}");
    let used = ctx.members(device.id).into_iter().any(|member| member.name().starts_with("vnet"));
    let finding = out.fault(ctx, host, device.id, message);
    if !used {
        finding.at_most(Severity::Warning);
    }
    finding
        .primary(at, "the address that it is to have")
        .primary(is_active, "the network is active");
    if let Some(line) = device.place() {
        finding.context(line, "the bridge");
    }
    if let Some(searched) = defs::searched(ctx, host, Topic::Addresses, &ip.to_string()) {
        finding.rests_on_absence(searched);
    }
    finding.next(format!("ip address show {}", device.name()));
    let net = network.addresses.iter().find(|address| address.ip == ip);
    if let Some(prefix) = net.and_then(|address| address.prefix) {
        finding.next(format!("ip address add {ip}/{prefix} dev {}", device.name()));
    }
}
