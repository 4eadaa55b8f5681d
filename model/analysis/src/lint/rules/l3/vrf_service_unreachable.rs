use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "L3-015",
    id: "vrf-service-unreachable",
    summary: "services outside a VRF do not see connections that come in through it",
    severity: Info,
    confidence: Proven,
    page: "vrf_service_unreachable.md",
    layer: (L3, 185),
    rank: 1010,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

/// Lets listeners outside of VRFs accept what comes in through one (Documentation/networking/vrf.rst).
const SETTING: &str = "net.ipv4.tcp_l3mdev_accept";

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let listeners = listeners(ctx);
    for host in ctx.hosts() {
        let root = Netns::Root;
        let vrfs: Vec<_> = ctx
            .netdevs_of(host)
            .filter(|device| device.netns().is_root() && device.kind == NetdevKind::Vrf)
            .filter(|vrf| has_address(ctx, vrf))
            .collect();
        let Some(first) = vrfs.first() else { continue };
        let Some(setting) = ctx.kernel_settings().get(&(host, &root, SETTING)) else {
            out.cannot_tell(host, [Need::command("sysctl").with(SETTING)]);
            continue;
        };
        let all = listeners.get(&host);
        if setting.value != 0 || all.is_some_and(Vec::is_empty) {
            out.clean();
            continue;
        }
        let Some(all) = all else {
            out.cannot_tell(host, [Need::command("ss -lnt")]);
            continue;
        };
        let names = defs::list(vrfs.iter().map(Item::name), 3);
        let message = format!(
            "tcp_l3mdev_accept is 0: TCP that comes in through {names} finds no service that is not bound to the VRF, though ping is answered"
        );
        let finding = out.fault(ctx, host, first.id, message);
        for vrf in vrfs.iter().skip(1) {
            finding.also(ctx.subject(vrf.id));
        }
        finding.primary(setting.evidence, "the setting");
        for listener in all.iter().take(3) {
            finding.context(*listener, "a service outside of VRFs");
        }
        finding.note("where services in the VRF are not wanted this is right");
        finding.next(format!("ss -lntp; ip vrf exec {} ss -lntp", first.name()));
        finding.next(format!("sysctl -w {SETTING}=1   # changes all services of the host"));
    }
}

/// Whether a member of the VRF has an address that others may ask.
fn has_address(ctx: &Ctx<'_>, vrf: &Item<'_, Netdev<'_>>) -> bool {
    ctx.members(vrf.id)
        .iter()
        .any(|member| ctx.addresses_of(member.id).iter().any(|address| defs::is_global(address.ip)))
}

/// The TCP listeners of each host that others may reach and that are bound to no device.
fn listeners(ctx: &Ctx<'_>) -> BTreeMap<HostId, Vec<Evidence>> {
    let mut all: BTreeMap<HostId, Vec<Evidence>> = BTreeMap::new();
    for (source, sockets) in ctx.socket_texts().filter(|(source, _)| source.netns.is_root()) {
        let asked = source.command.args().iter().any(|argument| {
            argument == "--tcp" || argument.starts_with('-') && argument.contains('t')
        });
        let here = all.entry(source.host).or_default();
        for socket in sockets {
            let tcp = match &socket.protocol {
                Some(protocol) => protocol.value.starts_with("tcp"),
                None => asked,
            };
            let listens = socket.state.as_ref().is_none_or(|state| state == "LISTEN");
            let address = socket.address.value.trim_matches(['[', ']']);
            let local = address.starts_with("127.") || address == "::1" || address.contains('%');
            if tcp && listens && !local {
                here.push(Evidence { source: source.id, span: socket.at });
            }
        }
    }
    all
}
