use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind};

use crate::lint::{Confidence, Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::netfilter::{self, Filters};
use tapline_network::router::{Duty, Router};
use tapline_network::texts::Settings;

declare_rule! {
    code: "NS-009",
    id: "router-forwarding-off",
    summary: "the kernel forwards nothing where a router or a NAT network needs it",
    severity: Error,
    confidence: Proven,
    page: "router_forwarding_off.md",
    layer: (L3, 50),
    rank: 610,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [ns::netns_handle_stale] by [Netns],
    ],
}

const V4: &str = "net.ipv4.ip_forward";
const V6: &str = "net.ipv6.conf.all.forwarding";

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let switches = Switches::new(ctx);
    for netns in ctx.namespaces() {
        let name = netns.name();
        if ["qrouter-", "snat-", "fip-"].iter().any(|prefix| name.starts_with(prefix)) {
            router(ctx, out, &switches, &Router::new(ctx, netns));
        }
    }
    let filters = ctx.filters();
    for host in ctx.hosts() {
        host_itself(ctx, out, &switches, filters, host);
    }
}

/// The switches of forwarding, by namespace.
struct Switches<'c, 'a> {
    all: &'c Settings<'a>,
    /// Namespaces in which a device forwards IPv6 whatever the switch for all says.
    forced: BTreeSet<(HostId, &'a Netns)>,
}

impl<'c, 'a> Switches<'c, 'a> {
    fn new(ctx: &'c Ctx<'a>) -> Self {
        let forces: fn(&str) -> bool = |key| key.ends_with(".force_forwarding");
        let all = ctx.kernel_settings();
        let forced = all
            .iter()
            .filter(|((_, _, key), setting)| forces(key) && setting.value == 1)
            .map(|((host, netns, _), _)| (*host, *netns))
            .collect();
        Self { all, forced }
    }

    /// Whether a switch is off, and where that is printed; `None` where it was not captured.
    fn off(&self, host: HostId, netns: &Netns, key: &str) -> Option<(bool, Evidence)> {
        let setting = self.all.get(&(host, netns, key))?;
        let forced = key == V6 && self.forced.contains(&(host, netns));
        Some((setting.value == 0 && !forced, setting.evidence))
    }
}

fn router(ctx: &Ctx<'_>, out: &mut Verdicts, switches: &Switches<'_, '_>, router: &Router<'_>) {
    let (host, netns) = (router.netns.host, router.netns.netns());
    if router.devices.is_empty() {
        return;
    }
    match router.duty(ctx) {
        Duty::Serves => {}
        // It forwards once it serves; neutron switches IPv6 on then.
        Duty::Waits => return out.clean(),
        Duty::Unknown(missing) => return out.cannot_tell(host, missing),
    }
    let command = |key: &str| Need::command("sysctl").with(key).within(netns);
    let switch_on = |key: &str| command("-w").with(&format!("{key}=1")).to_string();
    match switches.off(host, netns, V4) {
        None => return out.cannot_tell(host, [command(V4)]),
        Some((true, evidence)) => {
            let message = "does not forward IPv4: the router answers a ping, and passes nothing on";
            let finding = out.fault(ctx, host, router.netns.id, message);
            finding.primary(evidence, "the switch is off");
            cite(router, finding);
            finding.next(switch_on(V4));
            finding.next("systemctl restart neutron-l3-agent");
            return;
        }
        Some((false, _)) => {}
    }
    // IPv6 matters where there are networks of it on both sides.
    let six = |device: &&Item<'_, Netdev<'_>>| {
        ctx.addresses_of(device.id)
            .iter()
            .any(|address| address.ip.is_ipv6() && defs::is_global(address.ip))
    };
    match switches.off(host, netns, V6) {
        Some((true, evidence)) if router.devices.iter().filter(six).count() > 1 => {
            let message = "does not forward IPv6: the router answers a ping, and passes nothing on";
            let finding = out.fault(ctx, host, router.netns.id, message);
            finding.primary(evidence, "the switch is off");
            for port in router.devices.iter().filter(six).take(2) {
                if let Some(place) = port.place() {
                    finding.context(place, "a port with an address of IPv6");
                }
            }
            finding.next(switch_on(V6));
            finding.next("systemctl restart neutron-l3-agent");
        }
        _ => out.clean(),
    }
}

fn cite(router: &Router<'_>, finding: &mut crate::lint::Finding) {
    for port in router.devices.iter().take(2) {
        if let Some(place) = port.place() {
            finding.context(place, "a port of the router");
        }
    }
}

/// The root namespace routes for containers and for networks of libvirt that it hides behind its
/// own address.
fn host_itself<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    switches: &Switches<'_, '_>,
    filters: &Filters<'a>,
    host: HostId,
) {
    let users = users(ctx, filters, host);
    let Some((first, rest)) = users.split_first() else { return };
    match switches.off(host, &Netns::Root, V4) {
        None => out.cannot_tell(host, [Need::command("sysctl").with(V4)]),
        Some((false, _)) => out.clean(),
        Some((true, evidence)) => {
            let message = format!(
                "the host does not forward IPv4: what is behind {} reaches nothing outside",
                defs::list(users.iter().map(|(it, _)| it.name()), 3)
            );
            let finding = out.fault(ctx, host, first.0.id, message);
            finding.no_surer_than(Confidence::Strong);
            finding.primary(evidence, "the switch is off");
            for (bridge, why) in &users {
                if let Some(place) = why.or_else(|| bridge.place()) {
                    finding.context(place, format!("{} needs it", bridge.name()));
                }
            }
            finding.also.extend(rest.iter().map(|(bridge, _)| ctx.subject(bridge.id)));
            finding.next(format!("sysctl -w {V4}=1"));
            finding.next(format!("grep -rs {V4} /etc/sysctl.conf /etc/sysctl.d /run/sysctl.d"));
        }
    }
}

/// Bridges with ports whose network is hidden behind the host's address.
fn users<'a>(
    ctx: &Ctx<'a>,
    filters: &Filters<'a>,
    host: HostId,
) -> Vec<(Item<'a, Netdev<'a>>, Option<Evidence>)> {
    let hidden: Vec<(IpNet, Evidence)> = filters
        .saved(host, &Netns::Root, "nat")
        .into_iter()
        .flat_map(|table| table.data.rules.iter().map(move |rule| (table, rule)))
        .filter(|(_, rule)| rule.target.as_ref().is_some_and(|target| is_masquerade(&target.value)))
        .filter_map(|(table, rule)| {
            let (not, net) = netfilter::argument(rule, &["-s", "--source"])?;
            Some((net.parse().ok().filter(|_| !not)?, table.line(rule)))
        })
        .collect();
    let bridges = ctx.netdevs_of(host).filter(|device| {
        device.kind == NetdevKind::Bridge
            && device.netns().is_root()
            && !ctx.members(device.id).is_empty()
    });
    bridges
        .filter_map(|bridge| {
            let addresses = ctx.addresses_of(bridge.id);
            let v4 = |ip: &IpAddr| ip.is_ipv4() && defs::is_global(*ip);
            let addresses: Vec<_> = addresses.iter().map(|address| address.ip).filter(v4).collect();
            let rule = addresses.iter().find_map(|ip| {
                hidden.iter().find(|(net, _)| net.contains(ip)).map(|hidden| hidden.1)
            });
            let container = matches!(bridge.name(), "docker0" | "cni0") && !addresses.is_empty();
            (container || rule.is_some()).then_some((bridge, rule))
        })
        .collect()
}

fn is_masquerade(target: &Name) -> bool {
    target == "MASQUERADE"
}
