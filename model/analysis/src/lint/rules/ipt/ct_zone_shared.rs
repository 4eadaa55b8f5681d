use std::collections::BTreeMap;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::netfilter::NetfilterRule;
use tapline_core::records::route::Family;
use tapline_core::span::Evidence;
use tapline_topology::{Topic, names};

use crate::lint::{Ctx, Other, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::netfilter::Table;

declare_rule! {
    code: "IPT-004",
    id: "ct-zone-shared",
    summary: "two hybrid ports have their connections tracked in one zone",
    severity: Warning,
    confidence: Strong,
    page: "ct_zone_shared.md",
    layer: (Firewall, 40),
    rank: 890,
    about: [Neutron],
    cuts: [],
    asks: [],
    after: [],
}

/// The first zone that neutron's hybrid firewall gives to a port (`ZONE_START`, neutron
/// `agent/linux/ip_conntrack.py`); lower ones are those of VLANs and of other software.
const FIRST_ZONE: u16 = 4097;

/// The ports of a zone: by the id in their name, one device and its rule.
type Ports<'a> = BTreeMap<&'a str, (&'a Name, Evidence)>;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    // Both families have the same rules: the first that shows a zone is cited.
    let mut zones: BTreeMap<(HostId, u16), Ports<'_>> = BTreeMap::new();
    let of_root = ctx.filters().tables().filter(|(_, netns, family, table)| {
        netns.is_root()
            && matches!(family, Family::Inet | Family::Inet6)
            && table.data.table.value == "raw"
    });
    for (host, _, _, table) in of_root {
        for (zone, device, evidence) in zones_of(table) {
            let Some(port) = names::port_prefix(device) else { continue };
            zones.entry((host, zone)).or_default().entry(port).or_insert((device, evidence));
        }
    }
    for host in ctx.hosts() {
        let shown = ctx.complete(host, &Netns::Root, Topic::Netfilter)
            || zones.keys().any(|(it, _)| *it == host);
        if !shown && !defs::hybrid_bridges(ctx, host).is_empty() {
            out.cannot_tell(host, [Topic::Netfilter.command(&Netns::Root)]);
        }
    }
    for ((host, zone), ports) in zones {
        if ports.len() < 2 {
            out.clean();
            continue;
        }
        let devices: Vec<_> = ports.values().map(|(device, _)| device.as_str()).collect();
        let message = format!(
            "tracks the connections of {}: those of one reset or hide those of the other",
            defs::list(devices.iter().copied(), 4)
        );
        let finding = out.fire(host, Other::ConntrackZone { zone }, message);
        for (device, evidence) in ports.values() {
            finding.primary(*evidence, format!("the zone of {device}"));
        }
        finding.next(format!("conntrack -L --zone {zone}"));
        finding.next("systemctl restart neutron-openvswitch-agent");
    }
}

/// The zones that the rules of neutron's OVS agent give to devices.
fn zones_of<'a>(table: Table<'a>) -> impl Iterator<Item = (u16, &'a Name, Evidence)> {
    let source = table.source;
    let agent = |rule: &&NetfilterRule| rule.chain.starts_with("neutron-openvswi-");
    table.data.rules.iter().filter(agent).filter_map(move |rule| {
        rule.target.as_ref().filter(|target| target.value == "CT")?;
        let after = |words: &'a [Name], keys: [&str; 2]| {
            words.windows(2).find_map(|pair| match pair {
                [key, value] if keys.contains(&key.as_str()) => Some(value),
                _ => None,
            })
        };
        let zone = after(&rule.target_options, ["--zone", "zone"])
            .or_else(|| after(&rule.matches, ["--zone", "zone"]))?
            .parse()
            .ok()
            .filter(|parsed| *parsed >= FIRST_ZONE)?;
        let device = after(&rule.matches, ["--physdev-in", "-i"])?;
        Some((zone, device, Evidence { source, span: rule.at }))
    })
}
