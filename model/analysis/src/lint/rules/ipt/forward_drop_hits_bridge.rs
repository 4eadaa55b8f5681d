use ipnet::IpNet;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::filter::ConnStates;
use tapline_core::records::nft::NftTable;
use tapline_core::records::route::Family;
use tapline_core::span::Evidence;
use tapline_topology::Topic;
use tapline_topology::graph::{Netdev, NetdevKind};

use crate::lint::{Confidence, Ctx, Finding, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::filter::{self, Address, Device, Judgement, Mark, Packet, Verdict};
use tapline_network::netfilter::{Filters, Ruleset, Table};
use tapline_network::texts::{self, Setting, Settings};
use tapline_network::uplink;

declare_rule! {
    code: "IPT-001",
    id: "forward-drop-hits-bridge",
    summary: "the host's packet filter drops what a bridge passes between VMs and the wire",
    severity: Error,
    confidence: Strong,
    page: "forward_drop_hits_bridge.md",
    layer: (Firewall, 10),
    rank: 300,
    core: true,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [],
}

/// The filters of all hosts, and the switches that show them packets.
struct Shown<'c, 'a> {
    filters: &'c Filters<'a>,
    settings: &'c Settings<'a>,
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let filters = Shown::new(ctx);
    for bridge in ctx.netdevs() {
        if bridge.kind != NetdevKind::Bridge || !bridge.netns().is_root() {
            continue;
        }
        if let Some((port, uplink)) = bridged(ctx, bridge) {
            judge_bridged(ctx, out, bridge, port, uplink, &filters);
        } else if let Some(port) = routed(ctx, bridge) {
            judge_routed(ctx, out, bridge, port, &filters);
        }
    }
}

impl<'c, 'a> Shown<'c, 'a> {
    fn new(ctx: &'c Ctx<'a>) -> Self {
        Self { filters: ctx.filters(), settings: ctx.kernel_settings() }
    }

    fn table(&self, host: HostId, family: Family, name: &str) -> Option<Table<'a>> {
        self.filters.table_of((host, &Netns::Root), family, name)
    }

    fn ruleset(&self, host: HostId) -> Option<Ruleset<'a>> {
        self.filters.ruleset(host, &Netns::Root)
    }

    fn setting(&self, host: HostId, key: &str) -> Option<Setting> {
        self.settings.get(&(host, &Netns::Root, key)).copied()
    }

    /// Whether any text shows what is filtered.
    fn shown(&self, host: HostId, family: Family) -> bool {
        self.table(host, family, "filter").is_some() || self.ruleset(host).is_some()
    }

    /// Where a packet surely ends: what may accept it counts as if it did.
    fn dropped(&self, host: HostId, packet: Packet) -> Option<Drop> {
        let family = packet.family;
        let packet = Packet { mark: self.mark(host, &packet), ..packet };
        let table = self.table(host, family, "filter");
        let by_iptables =
            table.and_then(|table| filter::evaluate(table.source, table.data, "FORWARD", &packet));
        by_iptables.and_then(|judgement| Drop::of(&judgement)).or_else(|| {
            let ruleset = self.ruleset(host)?;
            // What `iptables` printed is listed again by `nft`.
            let again = |other: &NftTable, chain: &str| {
                table.is_some()
                    && other.family != "inet"
                    && other.name.value == "filter"
                    && chain == "FORWARD"
            };
            let judgement = filter::evaluate_hook(
                ruleset.source,
                ruleset.tables,
                "filter",
                "forward",
                &packet,
                again,
            )?;
            Drop::of(&judgement)
        })
    }

    /// The mark that a packet has when it is forwarded.
    fn mark(&self, host: HostId, packet: &Packet) -> Mark {
        let mangle = self.table(host, packet.family, "mangle");
        let unmarked = Packet { mark: Mark::NONE, ..packet.clone() };
        mangle
            .and_then(|mangle| {
                filter::evaluate(mangle.source, mangle.data, "PREROUTING", &unmarked)
            })
            .map_or(Mark::UNKNOWN, |judgement| judgement.mark)
    }

    /// Docker and kubelet load the module that shows bridged frames to the filter, and switch on
    /// both it and forwarding.
    fn has_containers(&self, host: HostId) -> bool {
        let made = |text: &str| text.starts_with("DOCKER") || text.starts_with("KUBE-");
        let by_iptables = self.table(host, Family::Inet, "filter");
        by_iptables.is_some_and(|iptable| iptable.data.chains.iter().any(|chain| made(&chain.name)))
            || self.ruleset(host).is_some_and(|ruleset| {
                ruleset
                    .tables
                    .iter()
                    .flat_map(|table| &table.chains)
                    .any(|chain| made(&chain.name.value))
            })
    }
}

/// Where packets end that no rule spares.
struct Drop {
    evidence: Evidence,
    /// Packets and bytes that ended there.
    counters: Option<(u64, u64)>,
}

impl Drop {
    fn of(judgement: &Judgement) -> Option<Self> {
        let dropped = matches!(judgement.verdict(), Verdict::Drop | Verdict::Reject);
        let end = judgement.stop().filter(|_| dropped)?;
        Some(Self { evidence: end.evidence?, counters: end.counters })
    }
}

/// The first packet of a connection from a port of a bridge, to no address that a rule names.
/// Bridges of containers have subnets of their own, which are not those of other bridges.
fn packet(ctx: &Ctx<'_>, bridge: Item<'_, Netdev<'_>>, family: Family) -> Packet {
    let others = ctx
        .netdevs()
        .filter(|other| other.host == bridge.host && other.netns().is_root())
        .filter(|other| other.id != bridge.id && defs::is_infra_bridge(other.name()))
        .flat_map(|other| ctx.addresses_of(other.id))
        .filter_map(|address| Some(IpNet::new(address.ip, address.prefix).ok()?.trunc()))
        .collect::<Vec<_>>();
    Packet {
        in_device: Device::Known(bridge.name().into()),
        source: Address::Ordinary(others.clone()),
        destination: Address::Ordinary(others),
        state: Some(ConnStates::NEW),
        translated: Some(ConnStates::default()),
        to_host: Some(false),
        ..Packet::unknown(family)
    }
}

/// A VM's or container's port and the NIC of a bridge that joins the two. Bridges that come
/// with rules of their own are left out: docker, libvirt's networks, CNI, neutron's hybrid ports.
fn bridged<'a>(
    ctx: &Ctx<'a>,
    bridge: Item<'a, Netdev<'a>>,
) -> Option<(Item<'a, Netdev<'a>>, Item<'a, Netdev<'a>>)> {
    let name = bridge.name();
    let lxd = is_lxd(name);
    if defs::is_infra_bridge(name) && !lxd || OWNED.iter().any(|owned| name.starts_with(owned)) {
        return None;
    }
    let members = ctx.members(bridge.id);
    let uplink = members.iter().find(|member| uplink::is_uplink(member))?;
    let port = members.iter().find(|member| is_port(member))?;
    (port.id != uplink.id).then_some((*port, *uplink))
}

/// Bridges of others that make rules for them.
const OWNED: &[&str] = &["cni", "qbr", "brq", "fwbr"];

/// A VM's or container's port of a bridge whose packets the host routes. LXD and Incus make their
/// rules in a table of their own, which does not save from those of others.
fn routed<'a>(ctx: &Ctx<'a>, bridge: Item<'a, Netdev<'a>>) -> Option<Item<'a, Netdev<'a>>> {
    let serves = ctx
        .addresses_of(bridge.id)
        .iter()
        .any(|address| address.ip.is_ipv4() && defs::is_global(address.ip));
    let name = bridge.name();
    let owned = defs::is_infra_bridge(name) || OWNED.iter().any(|owned| name.starts_with(owned));
    let members = ctx.members(bridge.id);
    // With a NIC among its members the frames are bridged.
    let alone = !members.iter().any(|member| uplink::is_uplink(member));
    let counts = (is_lxd(name) || !owned && alone) && serves && bridge.usable() != Some(false);
    members.into_iter().find(|member| counts && is_port(member))
}

fn is_lxd(name: &str) -> bool {
    ["lxdbr", "lxcbr", "incusbr"].iter().any(|prefix| name.starts_with(prefix))
}

fn is_port(device: &Item<'_, Netdev<'_>>) -> bool {
    matches!(device.kind, NetdevKind::Tap | NetdevKind::Veth) && device.usable() != Some(false)
}

/// Whether the filter of a family sees the frames of a bridge.
enum Sight {
    /// By this switch.
    Yes(Evidence),
    No,
    Unknown,
}

fn sight(
    ctx: &Ctx<'_>,
    filters: &Shown<'_, '_>,
    bridge: Item<'_, Netdev<'_>>,
    family: Family,
) -> Sight {
    let own = bridge.records.iter().find_map(|record| match family {
        Family::Inet => {
            let data = record.record.kind_data.bridge.as_ref()?.nf_call_iptables.as_ref()?;
            data.value.then(|| data.evidence(record.source))
        }
        Family::Inet6 => {
            let field = record.record.other.find("nf_call_ip6tables")?;
            (field.value == "1").then(|| field.evidence(record.source))
        }
    });
    let key = match family {
        Family::Inet => "net.bridge.bridge-nf-call-iptables",
        Family::Inet6 => "net.bridge.bridge-nf-call-ip6tables",
    };
    match (own, filters.setting(bridge.host, key)) {
        (Some(evidence), _) => Sight::Yes(evidence),
        (None, Some(setting)) if setting.value != 0 => Sight::Yes(setting.evidence),
        (None, Some(_)) => Sight::No,
        // The setting does not exist before its module is loaded.
        (None, None) if texts::all_settings(ctx, bridge.host).is_some() => Sight::No,
        (None, None) => Sight::Unknown,
    }
}

fn judge_bridged(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    bridge: Item<'_, Netdev<'_>>,
    port: Item<'_, Netdev<'_>>,
    uplink: Item<'_, Netdev<'_>>,
    filters: &Shown<'_, '_>,
) {
    let host = bridge.host;
    for family in [Family::Inet, Family::Inet6] {
        let sight = sight(ctx, filters, bridge, family);
        if matches!(sight, Sight::No) {
            // The filter does not see bridged frames at all.
            out.clean();
            continue;
        }
        if !filters.shown(host, family) {
            // Few filter IPv6 alone: that its filter is missing is no question of its own.
            if family == Family::Inet {
                out.cannot_tell(host, missing(ctx, host));
            }
            continue;
        }
        // The filter sees the bridge on both sides.
        let packet = Packet {
            out_device: Device::Known(bridge.name().into()),
            in_port: Device::Known(port.name().into()),
            out_port: Device::Known(uplink.name().into()),
            ..packet(ctx, bridge, family)
        };
        let Some(drop) = filters.dropped(host, packet) else {
            out.clean();
            continue;
        };
        let containers = filters.has_containers(host);
        if matches!(sight, Sight::Unknown) && !containers {
            let tool = if family == Family::Inet { "iptables" } else { "ip6tables" };
            out.cannot_tell(
                host,
                [Need::command("sysctl").with(&format!("net.bridge.bridge-nf-call-{tool}"))],
            );
            continue;
        }
        let what = match family {
            Family::Inet => "what is forwarded",
            Family::Inet6 => "IPv6 that is forwarded",
        };
        let message = format!(
            "the filter drops {what}, and sees bridged frames: {} and {} are cut apart",
            port.name(),
            uplink.name()
        );
        let finding = out.fault(ctx, host, bridge.id, message);
        cite(finding, &drop);
        match sight {
            Sight::Yes(evidence) => {
                finding.primary(evidence, "bridged frames are filtered");
            }
            Sight::No | Sight::Unknown => {
                finding.no_surer_than(Confidence::Suspect);
                finding.note("whether bridged frames are filtered was not captured; the software that made these chains switches it on");
            }
        }
        for (device, label) in [(port, "a port that is cut off"), (uplink, "the way out")] {
            if let Some(place) = device.place() {
                finding.context(place, label);
            }
        }
        let tool = if family == Family::Inet { "iptables" } else { "ip6tables" };
        let chain = if containers { "DOCKER-USER" } else { "FORWARD" };
        finding.next(format!("{tool} -I {chain} -i {0} -o {0} -j ACCEPT", bridge.name()));
        finding.next(format!("sysctl net.bridge.bridge-nf-call-{tool}"));
    }
}

fn judge_routed(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    bridge: Item<'_, Netdev<'_>>,
    port: Item<'_, Netdev<'_>>,
    filters: &Shown<'_, '_>,
) {
    let host = bridge.host;
    if !filters.shown(host, Family::Inet) {
        out.cannot_tell(host, missing(ctx, host));
        return;
    }
    // Where it leaves is open, but not to another network of containers.
    let packet = Packet {
        out_device: Device::Except(defs::is_infra_bridge),
        in_port: Device::None,
        out_port: Device::None,
        ..packet(ctx, bridge, Family::Inet)
    };
    let forwards = filters.setting(host, "net.ipv4.ip_forward");
    let drop = filters.dropped(host, packet);
    let (Some(drop), false) = (drop, forwards.is_some_and(|forward| forward.value == 0)) else {
        out.clean();
        return;
    };
    let containers = filters.has_containers(host);
    if forwards.is_none() && !containers {
        out.cannot_tell(host, [Need::command("sysctl net.ipv4.ip_forward")]);
        return;
    }
    let message = format!(
        "the filter drops what is forwarded, and no rule spares this bridge: {} does not reach beyond the host",
        port.name()
    );
    let finding = out.fault(ctx, host, bridge.id, message);
    cite(finding, &drop);
    if let Some(forwards) = forwards {
        finding.context(forwards.evidence, "the host forwards");
    }
    if let Some(place) = port.place() {
        finding.context(place, "a port that is cut off");
    }
    let chain = if containers { "DOCKER-USER" } else { "FORWARD" };
    finding.next(format!("iptables -I {chain} -i {} -j ACCEPT", bridge.name()));
    finding.next(format!(
        "iptables -I {chain} -o {} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        bridge.name()
    ));
}

/// What would show the filter: where `iptables` has no rules, those of nftables.
fn missing(ctx: &Ctx<'_>, host: HostId) -> Vec<Need> {
    let missing = ctx.missing(host, &Netns::Root, &[Topic::Netfilter]);
    if missing.is_empty() { vec![Topic::Nft.command(&Netns::Root)] } else { missing }
}

fn cite(finding: &mut Finding, drop: &Drop) {
    finding.primary(drop.evidence, "what drops");
    if let Some((packets, _)) = drop.counters {
        finding.note(format!("{packets} packets were dropped so since the counters were reset"));
    }
}
