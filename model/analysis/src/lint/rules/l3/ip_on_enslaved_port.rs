use tapline_core::need::Need;
use tapline_core::records::route::Gateway;
use tapline_core::span::Evidence;
use tapline_topology::graph::{AddressNode, Netdev, NetdevKind};
use tapline_topology::{EdgeKind, Topic, names};

use crate::lint::{Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "L3-003",
    id: "ip-on-enslaved-port",
    summary: "an address is on a device that belongs to a bridge, a bond or Open vSwitch",
    severity: Error,
    confidence: Strong,
    page: "ip_on_enslaved_port.md",
    layer: (L3, 60),
    rank: 280,
    core: true,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for device in ctx.netdevs() {
        if matches!(device.kind, NetdevKind::Loopback | NetdevKind::Dummy) {
            continue;
        }
        let addresses: Vec<_> = ctx
            .addresses_of(device.id)
            .into_iter()
            .filter(|address| defs::is_global(address.ip))
            .collect();
        if addresses.is_empty() {
            continue;
        }
        match membership(ctx, device) {
            Membership::None => out.clean(),
            Membership::Unknown(missing) => out.cannot_tell(device.host, missing),
            Membership::Of(master) => report(ctx, out, device, &addresses, &master),
        }
    }
}

/// What a device belongs to.
enum Membership {
    None,
    Of(Master),
    Unknown(Vec<Need>),
}

/// A bridge, bond or switch.
struct Master {
    name: String,
    evidence: Vec<Evidence>,
}

fn membership(ctx: &Ctx<'_>, device: Item<'_, Netdev<'_>>) -> Membership {
    if let Some(interface) = ctx.interface_of(device.id) {
        // Internal ports, the bridge's own among them, are where addresses belong.
        let plain = matches!(interface.data.kind.as_str(), "" | "system");
        return if plain && interface.name() != interface.data.bridge {
            let evidence = interface.place().into_iter().collect();
            Membership::Of(Master { name: interface.data.bridge.to_string(), evidence })
        } else {
            Membership::None
        };
    }
    if let Some(master) =
        device.data.master.as_ref().filter(|master| names::is_ovs_datapath(&master.value))
    {
        // Without the database, or with a port that it does not know: the kernel's word is enough.
        let name = "Open vSwitch".to_owned();
        return Membership::Of(Master { name, evidence: vec![master.evidence] });
    }
    if ctx.is_disputed(device.id) {
        return Membership::Unknown(vec![Topic::BridgeMembers.command(device.netns())]);
    }
    let edge = ctx.topology.out(device.id, EdgeKind::EnslavedTo).into_iter().next();
    if let Some((id, edge)) = edge {
        let Some(master) = ctx.topology.node(id) else { return Membership::None };
        let kind = ctx.topology.netdev(id).map_or(NetdevKind::Unknown, |device| device.kind);
        return match kind {
            NetdevKind::Bridge | NetdevKind::Bond | NetdevKind::Team => {
                let evidence =
                    edge.witnesses.iter().map(|witness| witness.evidence).take(2).collect();
                Membership::Of(Master { name: master.name.to_string(), evidence })
            }
            // A VRF has members with addresses by design.
            NetdevKind::Unknown => {
                Membership::Unknown(vec![Topic::LinkDetails.command(device.netns())])
            }
            _ => Membership::None,
        };
    }
    let missing = ctx.missing(device.host, device.netns(), &[Topic::BridgeMembers]);
    if missing.is_empty() { Membership::None } else { Membership::Unknown(missing) }
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    device: Item<'_, Netdev<'_>>,
    addresses: &[Item<'_, AddressNode<'_>>],
    master: &Master,
) {
    let ips: Vec<String> =
        addresses.iter().map(|address| format!("{}/{}", address.ip, address.prefix)).collect();
    let upper = ctx.netdev_called(device.host, device.netns(), &master.name);
    let twin = upper.and_then(|upper| {
        let all = ctx.addresses_of(upper.id);
        all.into_iter().find(|it| addresses.iter().any(|mine| mine.ip == it.ip))
    });
    let list = defs::list(ips.iter().map(String::as_str), 3);
    let message = match &twin {
        Some(_) => format!(
            "has {list} while it is a port of {}, which has the address too: its own is of no use",
            master.name
        ),
        None => format!(
            "has {list} while it is a port of {}: what arrives is switched, not received",
            master.name
        ),
    };
    let used = used(ctx, device, addresses);
    let finding = out.fault(ctx, device.host, device.id, message);
    for address in addresses.iter().take(3) {
        finding.primary(address.line(), "the address");
    }
    for evidence in &master.evidence {
        finding.primary(*evidence, "what it belongs to");
    }
    if let Some(twin) = &twin {
        finding.context(twin.line(), "the same address");
    }
    match used {
        Some((evidence, what)) => {
            finding.context(evidence, what);
        }
        None => {
            finding.at_most(Severity::Warning);
        }
    }
    let first = ips.first().map_or("ADDRESS", String::as_str);
    let upper = if master.name.contains(' ') { "BRIDGE" } else { master.name.as_str() };
    finding.next(format!("ip address show dev {}", device.name()));
    finding.next(format!(
        "ip address flush dev {} && ip address add {first} dev {upper} && ip link set {upper} up",
        device.name()
    ));
}

/// What depends on the address: a route through a gateway behind the device, or a tunnel.
fn used(
    ctx: &Ctx<'_>,
    device: Item<'_, Netdev<'_>>,
    addresses: &[Item<'_, AddressNode<'_>>],
) -> Option<(Evidence, &'static str)> {
    let tunnel = ctx.tunnels().filter(|tunnel| tunnel.host == device.host).find_map(|tunnel| {
        let local = tunnel.data.local.as_ref()?;
        addresses.iter().any(|mine| mine.ip == local.value).then_some(local.evidence)
    });
    if let Some(evidence) = tunnel {
        return Some((evidence, "a tunnel that needs it"));
    }
    let tables = ctx
        .route_tables()
        .filter(|table| table.host == device.host && table.netns() == device.netns());
    for table in tables {
        for route in &table.data.routes {
            let record = route.record;
            let here = record.dev.as_ref().is_some_and(|dev| dev.value == device.name());
            let gateway =
                record.via.as_ref().is_some_and(|via| matches!(via.value, Gateway::Ip(_)));
            if here && gateway {
                let evidence = Evidence { source: route.source, span: record.at };
                return Some((evidence, "a route that leaves here"));
            }
        }
    }
    None
}
