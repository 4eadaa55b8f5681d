use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::netfilter::NetfilterRule;
use tapline_core::span::Evidence;
use tapline_topology::Topic;
use tapline_topology::graph::TunnelEndpoint;

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::netfilter::{self, Table};
use tapline_network::{defs, mesh};

declare_rule! {
    code: "TUN-007",
    id: "tun-blocked-by-firewall",
    summary: "the host's packet filter drops what comes in and has no hole for the tunnels",
    severity: Warning,
    confidence: Suspect,
    page: "tun_blocked_by_firewall.md",
    layer: (Tunnel, 70),
    rank: 560,
    about: [],
    cuts: [BehindSwitch],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let filters = ctx.filters();
    for host in ctx.hosts() {
        let flows = flows(ctx, host);
        if flows.is_empty() {
            continue;
        }
        let Some(table) = filters.table(host, &Netns::Root, "filter") else {
            out.cannot_tell(host, [Topic::Netfilter.command(&Netns::Root)]);
            continue;
        };
        let Some(end) = End::of(table) else {
            out.clean();
            continue;
        };
        for (wire, tunnels) in &flows {
            // Which networks hold a peer does not outlive the replacement of addresses.
            let peers = if mesh::is_cleaned(ctx, host) { &[] } else { tunnels.as_slice() };
            if may_pass(table, &end, wire, peers) {
                out.clean();
            } else {
                report(ctx, out, host, table, &end, wire, tunnels);
            }
        }
    }
}

/// How tunnel packets look to the filter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Wire {
    /// To this UDP port.
    Udp(u16),
    /// IP protocol 47.
    Gre,
}

/// The tunnels of a host whose packets the kernel receives, by what they look like. Those of the
/// datapath in user space never reach the filter.
fn flows<'a>(ctx: &Ctx<'a>, host: HostId) -> BTreeMap<Wire, Vec<Item<'a, TunnelEndpoint>>> {
    let mut all: BTreeMap<Wire, Vec<Item<'_, TunnelEndpoint>>> = BTreeMap::new();
    for tunnel in ctx.tunnels_of(host).filter(|it| mesh::is_of_host(ctx, *it)) {
        let kernel = ctx.ovs_interface(tunnel.owner).is_none_or(|it| {
            let bridge = ctx.bridge_called(host, &it.data.bridge);
            bridge.is_some_and(|it| defs::is_kernel_datapath(it.data))
        });
        let kind = tunnel.data.kind.as_str();
        let wire = match kind {
            "gre" | "ip6gre" => Some(Wire::Gre),
            "vxlan" | "geneve" => {
                let given = tunnel.data.dst_port.as_ref().map(|it| it.value);
                given.or_else(|| defs::tunnel_port(kind).parse().ok()).map(Wire::Udp)
            }
            _ => None,
        };
        // The table at hand is that of IPv4.
        let v6 = [&tunnel.data.local, &tunnel.data.remote]
            .into_iter()
            .flatten()
            .any(|it| it.value.is_ipv6());
        if let Some(wire) = wire.filter(|_| kernel && !v6) {
            all.entry(wire).or_default().push(tunnel);
        }
    }
    all
}

/// Where packets end that no rule accepts.
struct End {
    evidence: Evidence,
    /// How many rules of the table come before.
    before: usize,
}

impl End {
    fn of(table: Table<'_>) -> Option<Self> {
        let drops = |it: &str| matches!(it, "DROP" | "REJECT");
        let last = table.data.rules.iter().enumerate().find(|(_, it)| {
            it.chain == "INPUT"
                && it.matches.is_empty()
                && it.target.as_ref().is_some_and(|it| drops(&it.value))
        });
        if let Some((before, rule)) = last {
            return Some(Self { evidence: table.line(rule), before });
        }
        let chain = table.data.chains.iter().find(|it| it.name == "INPUT")?;
        let policy = chain.policy.as_ref().filter(|it| drops(&it.value))?;
        Some(Self { evidence: policy.evidence(table.source), before: table.data.rules.len() })
    }
}

/// Whether any rule may accept a tunnel packet: what cannot be decided may.
fn may_pass(
    table: Table<'_>,
    end: &End,
    wire: &Wire,
    tunnels: &[Item<'_, TunnelEndpoint>],
) -> bool {
    let mut chains: BTreeMap<&str, Vec<&NetfilterRule>> = BTreeMap::new();
    for (at, rule) in table.data.rules.iter().enumerate() {
        if rule.chain != "INPUT" || at < end.before {
            chains.entry(rule.chain.as_str()).or_default().push(rule);
        }
    }
    let known: BTreeSet<&str> = table.data.chains.iter().map(|it| it.name.as_str()).collect();
    let mut seen: BTreeSet<&str> = BTreeSet::from(["INPUT"]);
    let mut open = vec!["INPUT"];
    while let Some(chain) = open.pop() {
        for rule in chains.get(chain).into_iter().flatten() {
            let Some(target) = rule.target.as_ref().filter(|_| may_match(rule, wire, tunnels))
            else {
                continue;
            };
            match target.value.as_str() {
                "ACCEPT" => return true,
                "DROP" | "REJECT" | "LOG" | "NFLOG" | "RETURN" | "MARK" | "CONNMARK" | "TRACE"
                | "AUDIT" | "ULOG" | "SET" => {}
                // A chain, or a target that leaves the verdict to others.
                other if known.contains(other) => {
                    if seen.insert(other) {
                        open.push(other);
                    }
                }
                _ => return true,
            }
        }
    }
    false
}

/// Whether a packet of the tunnels may match, by protocol, port, source, device and connection.
fn may_match(rule: &NetfilterRule, wire: &Wire, tunnels: &[Item<'_, TunnelEndpoint>]) -> bool {
    if let Some((not, protocol)) = netfilter::argument(rule, &["-p", "--protocol"]) {
        let own = match wire {
            Wire::Udp(_) => matches!(protocol, "udp" | "17"),
            Wire::Gre => matches!(protocol, "gre" | "47"),
        };
        let any = matches!(protocol, "all" | "0");
        if !any && own == not {
            return false;
        }
    }
    if netfilter::argument(rule, &["-i", "--in-interface"]) == Some((false, "lo")) {
        return false;
    }
    if let Some((false, source)) = netfilter::argument(rule, &["-s", "--source"]) {
        let net =
            source.parse::<IpNet>().ok().or_else(|| Some(source.parse::<IpAddr>().ok()?.into()));
        let peers = || tunnels.iter().filter_map(|it| it.data.remote.as_ref());
        // Tunnels whose ends the flows name may come from anywhere.
        if let Some(net) = net
            && peers().next().is_some()
            && !peers().any(|it| net.contains(&it.value))
        {
            return false;
        }
    }
    if let Wire::Udp(port) = wire
        && !fits_ports(rule, *port)
    {
        return false;
    }
    // A tunnel's source port varies by what it carries: its packets answer to nothing.
    !rule.matches.iter().any(|it| {
        let replies = it.contains("ESTABLISHED") || it.contains("RELATED");
        let icmp = it.starts_with("icmp");
        replies && !it.contains("NEW") || it == "INVALID" || icmp
    })
}

/// Whether the rule's destination ports, where it has any, hold the port: `--dport 4789`,
/// `--dports 1:100,4789`, and `dpt:4789`, `dpts:1:100`, `dports 1,4789` of a listing.
fn fits_ports(rule: &NetfilterRule, port: u16) -> bool {
    let mut words = rule.matches.iter().map(Name::as_str);
    let mut not = false;
    while let Some(word) = words.next() {
        let list = match word {
            "!" => {
                not = true;
                continue;
            }
            "--dport" | "--destination-port" | "--dports" | "--destination-ports" | "dports" => {
                words.next()
            }
            _ => word.strip_prefix("dpt:").or_else(|| word.strip_prefix("dpts:")),
        };
        if let Some(list) = list {
            let (list, inverted) = list.strip_prefix('!').map_or((list, not), |it| (it, true));
            return holds(list, port) != inverted;
        }
        not = false;
    }
    true
}

fn holds(list: &str, port: u16) -> bool {
    list.split(',').any(|it| {
        let (from, to) = it.split_once(':').unwrap_or((it, it));
        match (from.parse::<u16>(), to.parse::<u16>()) {
            (Ok(from), Ok(to)) => (from..=to).contains(&port),
            // A name of a service: it may be.
            _ => !it.bytes().all(|it| it.is_ascii_digit()),
        }
    })
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    table: Table<'_>,
    end: &End,
    wire: &Wire,
    tunnels: &[Item<'_, TunnelEndpoint>],
) {
    let Some((first, rest)) = tunnels.split_first() else { return };
    let what = match wire {
        Wire::Udp(port) => format!("UDP port {port}"),
        Wire::Gre => "GRE (protocol 47)".to_owned(),
    };
    let message = format!(
        "the filter drops what comes in, and no rule lets {what} pass: packets of its peers are thrown away"
    );
    let finding = out.fault(ctx, host, first.owner, message);
    finding.primary(end.evidence, "what drops");
    if let Some(place) = first.place() {
        finding.primary(place, "a tunnel");
    }
    finding.rests_on_absence(table.searched(&format!("INPUT … ACCEPT for {what}")));
    finding.also.extend(rest.iter().map(|it| ctx.object(it.owner).name));
    finding.also.sort();
    finding.also.dedup();
    let hole = match wire {
        Wire::Udp(port) => format!("-p udp --dport {port}"),
        Wire::Gre => "-p gre".to_owned(),
    };
    let from = first.data.remote.as_ref().map(|it| format!(" -s {}", it.value)).unwrap_or_default();
    finding.next("iptables -nvL INPUT".to_owned());
    finding.next(format!("iptables -I INPUT {hole}{from} -j ACCEPT"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_a_rule() {
        for (list, fits) in
            [("4789", true), ("4788", false), ("1:65535", true), ("53,4789", true), ("vxlan", true)]
        {
            assert_eq!(holds(list, 4789), fits, "{list}");
        }
        assert!(!holds("4790:5000", 4789) && !holds("", 4789));
    }
}
