use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::openflow::{Action, Flow};
use tapline_core::records::ovs::{OvsRow, lookup};
use tapline_topology::graph::{OvsBridge, OvsInterface};
use tapline_topology::{Topic, names};

use crate::lint::{Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::flows::{self, Dump, Flows};
use tapline_network::{Item, User};

declare_rule! {
    code: "OVS-009",
    id: "ovs-flows-not-programmed",
    summary: "a bridge has lost the flows that neutron's agent or OVN gave it",
    severity: Error,
    confidence: Strong,
    page: "ovs_flows_not_programmed.md",
    layer: (TagsAndFlows, 10),
    rank: 190,
    core: true,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [ovs::ovs_daemon_down] by [Host],
        [ovs::ovs_controller_disconnected] if IntegrationBridge by [Host],
        [ovs::ovs_dead_vlan] if Population by [Host],
        [ovs::ovs_controller_disconnected] by [Bridge],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let flows = ctx.flows();
    let databases = databases(ctx);
    for host in ctx.hosts() {
        let database = databases.get(&host).copied().unwrap_or_default();
        let mut lost = Vec::new();
        for bridge in ctx.ovs_bridges_of(host) {
            let interfaces = defs::interfaces_of(ctx, bridge.id);
            let Some(maker) = maker(ctx, bridge, &interfaces, database) else {
                alone(ctx, out, flows, bridge, &interfaces);
                continue;
            };
            let dumps = flows.of(host, bridge.name());
            if dumps.is_empty() {
                out.cannot_tell(host, [flows::command(bridge.name())]);
                continue;
            }
            match dumps.iter().map(|dump| loss(maker, dump, database)).min().flatten() {
                Some(it) if it != Loss::Plain || is_programmed(ctx, bridge) => {
                    lost.push((bridge, maker, it));
                }
                _ => out.clean(),
            }
        }
        report(ctx, out, flows, host, lost);
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// A bridge that nobody is known to program has the one flow that OVS gives it: without it all that
/// its ports send is dropped.
fn alone(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    flows: &Flows<'_>,
    bridge: Item<'_, OvsBridge>,
    interfaces: &[Item<'_, OvsInterface>],
) {
    let host = bridge.host;
    let dumps = flows.of(host, bridge.name());
    let is_used = interfaces.iter().any(|interface| {
        let runs = matches!(ctx.user_of(host, interface.name()), User::Running(_));
        let addresses = ctx.device_of(interface.id).map(|device| ctx.addresses_of(device.id));
        runs || addresses.is_some_and(|all| all.iter().any(|address| defs::is_global(address.ip)))
    });
    if dumps.is_empty() || !is_used || dumps.iter().any(|dump| !dump.flows.is_empty()) {
        return;
    }
    let finding = out.fault(ctx, host, bridge.id, message(bridge, Loss::All));
    cite(ctx, finding, flows, bridge, Loss::All);
    finding.next(format!("ovs-ofctl add-flow {} priority=0,actions=NORMAL", bridge.name()));
    finding.next(flows::command(bridge.name()).to_string());
}

/// Who programs a bridge, and as which of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Maker {
    Integration,
    Tunnels,
    Provider,
    Ovn,
}

/// What is known of a host's OVS as a whole.
#[derive(Clone, Copy, Default, Debug)]
struct Database {
    /// OVN is configured.
    ovn: bool,
    /// OVS 2.5 or later: no release of neutron that runs with it goes without the canary flow.
    recent: bool,
}

fn databases(ctx: &Ctx<'_>) -> BTreeMap<HostId, Database> {
    let mut all: BTreeMap<HostId, Database> = BTreeMap::new();
    for (source, rows) in ctx.ovs_texts() {
        for row in rows {
            let OvsRow::OpenVswitch(database) = &row.row else { continue };
            let it = all.entry(source.host).or_default();
            it.ovn |= lookup(&database.external_ids, "ovn-remote").is_some();
        }
    }
    for host in defs::recent_ovs(ctx) {
        all.entry(host).or_default().recent = true;
    }
    all
}

/// Who programs the bridge, by its ports; `None` where nobody is known to.
fn maker(
    ctx: &Ctx<'_>,
    bridge: Item<'_, OvsBridge>,
    interfaces: &[Item<'_, OvsInterface>],
    database: Database,
) -> Option<Maker> {
    let agent = defs::has_agent_patches(ctx, bridge.host);
    if ctx.is_integration(bridge.id) {
        let ovn = database.ovn || defs::is_ovn(ctx, bridge.host);
        return match (agent, ovn) {
            (true, _) => Some(Maker::Integration),
            (false, true) => Some(Maker::Ovn),
            (false, false) => None,
        };
    }
    if !agent {
        return None;
    }
    let named = |name: fn(&str) -> bool| interfaces.iter().any(|interface| name(interface.name()));
    let tunnels = interfaces.iter().any(|interface| is_tunnel(interface));
    if tunnels && named(|it| it == "patch-int") {
        return Some(Maker::Tunnels);
    }
    named(|it| it.starts_with("phy-")).then_some(Maker::Provider)
}

fn is_tunnel(interface: &OvsInterface) -> bool {
    matches!(interface.kind.as_str(), "vxlan" | "gre" | "geneve")
}

/// What a bridge lacks. In this order a dump that shows less comes later, and one that lacks
/// nothing speaks for all.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Loss {
    /// The flow by which the agent knows its own work.
    Canary,
    /// Whatever leads into tunnels or out of them.
    Overlay,
    /// Everything but the one flow of every switch without a controller.
    Plain,
    /// Everything.
    All,
}

fn loss(maker: Maker, dump: &Dump<'_>, database: Database) -> Option<Loss> {
    let any = |test: &dyn Fn(&Flow) -> bool| dump.flows.iter().any(|flow| test(flow));
    if dump.flows.is_empty() {
        return Some(Loss::All);
    }
    match maker {
        Maker::Integration | Maker::Ovn | Maker::Tunnels if !any(&|it| !is_default(it)) => {
            Some(Loss::Plain)
        }
        // Table 22 in the first release that had it.
        Maker::Integration
            if database.recent && !any(&|it| matches!(it.table.number(), Some(22 | 23))) =>
        {
            Some(Loss::Canary)
        }
        // Releases before tables kept all in table 0.
        Maker::Tunnels
            if !any(&|flow| {
                matches!(flow.table.number(), Some(4 | 20 | 21 | 22))
                    || flows::tunnel_id(flow).is_some()
                    || flows::sets_tunnel(flow).is_some()
            }) =>
        {
            Some(Loss::Overlay)
        }
        _ => None,
    }
}

/// The flow that OVS itself gives a bridge without a controller. The agent's own has a higher
/// priority.
fn is_default(flow: &Flow) -> bool {
    flow.table.value == 0
        && flow.priority.value == 0
        && flow.matches.is_empty()
        && matches!(flow.actions.as_slice(), [one] if one.action == Action::Normal)
}

/// Whether somebody is known to program the bridge, not only to name its ports.
fn is_programmed(ctx: &Ctx<'_>, bridge: Item<'_, OvsBridge>) -> bool {
    bridge.fail_mode.as_ref().is_some_and(|mode| mode.value == "secure")
        || !bridge.controllers.is_empty()
        || has_live_ports(ctx, bridge.host)
}

/// Whether the integration bridge has ports of VMs, routers or DHCP servers that are wired.
fn has_live_ports(ctx: &Ctx<'_>, host: HostId) -> bool {
    ctx.integration_ports(host).any(|port| {
        let dead = port.tag.as_ref().is_some_and(|tag| tag.value == defs::DEAD_VLAN);
        let id = || ctx.interface_called(host, port.name());
        let named = names::port_prefix(port.name()).is_some();
        !dead && (named || id().is_some_and(|it| defs::external_id(&it, "iface-id").is_some()))
    })
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    flows: &Flows<'_>,
    host: HostId,
    mut lost: Vec<(Item<'_, OvsBridge>, Maker, Loss)>,
) {
    lost.sort_by_key(|(bridge, ..)| {
        let name = bridge.name();
        (!ctx.is_integration(bridge.id), name != names::TUNNEL_BRIDGE, name)
    });
    let Some(&(first, maker, loss)) = lost.first() else { return };
    let finding = out.fault(ctx, host, first.id, message(first, loss));
    for &(bridge, _, loss) in lost.iter().take(5) {
        cite(ctx, finding, flows, bridge, loss);
    }
    for (bridge, ..) in lost.iter().skip(1) {
        finding.also(ctx.subject(bridge.id));
    }
    if !has_live_ports(ctx, host) {
        finding.at_most(Severity::Warning);
        finding.note("no port of a VM, a router or a DHCP server is known to need it");
    }
    finding.next(match maker {
        Maker::Ovn => "ovn-appctl -t ovn-controller recompute".to_owned(),
        _ => "systemctl restart neutron-openvswitch-agent".to_owned(),
    });
    finding.next(flows::command(first.name()).to_string());
}

fn message(bridge: Item<'_, OvsBridge>, loss: Loss) -> &'static str {
    // Without its controller such a bridge takes over and switches by itself.
    let alone = bridge.fail_mode.as_ref().is_none_or(|mode| mode.value != "secure")
        && !bridge.controllers.is_empty()
        && bridge.controllers.iter().all(|controller| {
            controller.is_connected.as_ref().is_none_or(|connected| !connected.value)
        });
    match loss {
        Loss::All if alone => {
            "the bridge has no flow, and is not `secure`: nothing separates its networks or leads them out"
        }
        Loss::All => {
            "the bridge has no flow: it drops every packet, whatever its ports and tags say"
        }
        Loss::Plain => {
            "the bridge has only the flow that OVS starts with: nothing separates its networks or leads them out"
        }
        Loss::Canary => {
            "the flow that neutron's agent sets to notice a restart of OVS (table 23) is missing: the bridge has not been programmed since"
        }
        Loss::Overlay => {
            "no flow leads into the tunnels or out of them: overlay networks end in this host"
        }
    }
}

fn cite(
    ctx: &Ctx<'_>,
    finding: &mut Finding,
    flows: &Flows<'_>,
    bridge: Item<'_, OvsBridge>,
    loss: Loss,
) {
    let (host, name) = (bridge.host, bridge.name());
    let Some(dump) = flows.best(host, name) else { return };
    match dump.flows.first() {
        Some(only) if loss == Loss::Plain => {
            finding.primary(dump.line(only), format!("the only flow of {name}"));
        }
        _ => {
            finding.primary(flows::first_line(ctx, dump.source), format!("the flows of {name}"));
        }
    }
    if let Some(mode) = &bridge.data.fail_mode {
        finding.context(mode.evidence, format!("the fail mode of {name}"));
    } else if let Some(place) = bridge.place() {
        finding.context(place, format!("{name} has no fail mode"));
    }
    let key = match loss {
        Loss::All => "a flow",
        Loss::Plain => "another flow",
        Loss::Canary => "table=23",
        Loss::Overlay => "tun_id, table=4, 20, 21 or 22",
    };
    finding.absent(flows.searched(host, name, &format!("{key} of {name}")));
}
