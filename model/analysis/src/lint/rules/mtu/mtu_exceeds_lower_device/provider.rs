//! Ports of provider networks against the NIC that their bridge leaves the host by.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::ovs::{OvsRow, lookup};
use tapline_topology::graph::{Fact, Netdev};
use tapline_topology::{Topic, names};

use crate::lint::{Confidence, Ctx, Verdicts};
use tapline_network::Item;
use tapline_network::uplink::{self, Provider};

/// A port of a network, its device's MTU and what says of which physical network it is.
struct Port<'a> {
    device: Item<'a, Netdev<'a>>,
    mtu: &'a Fact<u32>,
    physnet: &'a Fact<Name>,
}

pub(super) fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mappings = mappings(ctx);
    for host in ctx.hosts() {
        let providers = uplink::providers(ctx, host);
        if !providers.is_empty() {
            judge(ctx, out, host, &providers, &mappings);
        }
    }
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    providers: &[Provider<'_>],
    mappings: &BTreeMap<(HostId, &str), &str>,
) {
    let (ports, untold) = ports(ctx, host);
    let told: BTreeSet<&str> = ports.iter().map(|port| port.physnet.value.as_str()).collect();
    let mapped = mappings.keys().filter(|(of, _)| *of == host).map(|(_, physnet)| *physnet);
    for physnet in told.iter().copied().chain(mapped).collect::<BTreeSet<_>>() {
        let provider = match mappings.get(&(host, physnet)) {
            Some(bridge) => providers.iter().find(|provider| provider.bridge.name() == *bridge),
            // One network and one bridge belong together; the agent does not say more.
            None if told.len() == 1 && providers.len() == 1 => providers.first(),
            None => None,
        };
        let Some((uplink, mtu)) = provider.and_then(smallest) else { continue };
        let ports: Vec<_> = ports.iter().filter(|port| port.physnet.value == physnet).collect();
        network(ctx, out, physnet, uplink, mtu, &ports);
    }
    // Whatever networks they are of, these fit nowhere or may not have to.
    let most = providers.iter().filter_map(smallest).map(|(_, mtu)| mtu.value).min();
    if untold.iter().any(|mtu| most.is_some_and(|most| *mtu > most)) {
        let missing = ctx.missing(host, &Netns::Root, &[Topic::OvsPorts]);
        if !missing.is_empty() {
            out.cannot_tell(host, missing);
        }
    }
}

/// The NIC of a bridge with the smallest MTU.
fn smallest<'a>(provider: &Provider<'a>) -> Option<(Item<'a, Netdev<'a>>, &'a Fact<u32>)> {
    let sized =
        provider.uplinks.iter().filter_map(|uplink| Some((*uplink, uplink.data.mtu.as_ref()?)));
    sized.min_by_key(|(it, mtu)| (mtu.value, it.id))
}

/// The ports of provider networks on the integration bridge, and the MTUs of those of which
/// nothing tells the network.
fn ports<'a>(ctx: &Ctx<'a>, host: HostId) -> (Vec<Port<'a>>, Vec<u32>) {
    let mut known = Vec::new();
    let mut untold = Vec::new();
    for port in ctx.integration_ports(host) {
        // Trunks carry a tag more.
        let trunk = ["tpi-", "spi-"].iter().any(|prefix| port.name().starts_with(prefix));
        if names::port_prefix(port.name()).is_none() || trunk {
            continue;
        }
        let interface = ctx.interface_called(host, port.name());
        let Some(device) = interface.and_then(|interface| ctx.device_of(interface.id)) else {
            continue;
        };
        let Some(mtu) = device.data.mtu.as_ref() else { continue };
        let config = |key: &str| port.data.other_config.iter().find(|(it, _)| it == key);
        let Some((_, kind)) = config("network_type") else {
            untold.push(mtu.value);
            continue;
        };
        if matches!(kind.value.as_str(), "vlan" | "flat")
            && let Some((_, physnet)) = config("physical_network")
        {
            known.push(Port { device, mtu, physnet });
        }
    }
    (known, untold)
}

fn network(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    physnet: &str,
    uplink: Item<'_, Netdev<'_>>,
    mtu: &Fact<u32>,
    ports: &[&Port<'_>],
) {
    let mut large: Vec<_> = ports.iter().filter(|port| port.mtu.value > mtu.value).collect();
    large.sort_by_key(|large| (std::cmp::Reverse(large.mtu.value), large.device.id));
    let wanted = ctx.settings.env.physnet_mtu.get(physnet).filter(|it| **it > mtu.value);
    let message = match (wanted, large.split_first()) {
        (Some(wanted), _) => format!(
            "{} where {physnet} is to carry {wanted} by the configuration: larger frames are dropped",
            mtu.value
        ),
        (None, Some((first, rest))) => {
            let more = match rest.len() {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!(
                "{} where {}{more} of {physnet} behind it has {}: larger frames are dropped",
                mtu.value,
                first.device.name(),
                first.mtu.value
            )
        }
        (None, None) => {
            out.clean();
            return;
        }
    };
    let needed =
        wanted.copied().or(large.first().map(|large| large.mtu.value)).unwrap_or(mtu.value);
    let finding = out.fault(ctx, uplink.host, uplink.id, message);
    finding.primary(mtu.evidence, "MTU of the way out");
    for it in large.iter().take(3) {
        finding.primary(it.mtu.evidence, format!("MTU of {}", it.device.name()));
        finding.context(it.physnet.evidence, "its network");
    }
    if wanted.is_none() {
        finding.no_surer_than(Confidence::Strong);
    }
    finding.next(format!("ip link set {} mtu {needed}", uplink.name()));
    finding.next("openstack network show NETWORK -c mtu");
}

/// The bridges of physical networks that OVN is told: `ovn-bridge-mappings` is `NET:BRIDGE,…`.
fn mappings<'a>(ctx: &Ctx<'a>) -> BTreeMap<(HostId, &'a str), &'a str> {
    let mut all = BTreeMap::new();
    for (source, rows) in ctx.ovs_texts() {
        for row in rows {
            let OvsRow::OpenVswitch(database) = &row.row else { continue };
            let value = lookup(&database.external_ids, "ovn-bridge-mappings");
            let pairs = value.into_iter().flat_map(|value| value.value.split(','));
            for (physnet, bridge) in pairs.filter_map(|pair| pair.split_once(':')) {
                all.insert((source.host, physnet.trim()), bridge.trim());
            }
        }
    }
    all
}
