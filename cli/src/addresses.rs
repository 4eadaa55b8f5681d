//! Which addresses the NICs of guests have, as far as the hosts tell: guests are not captured
//! themselves.
//!
//! A neighbour of a namespace has a MAC, and the MAC is that of a NIC; flows that keep a guest to its
//! own addresses name both; libvirt knows what its DHCP gave out. A rule that translates says which
//! floating address stands for which fixed one.
use std::collections::BTreeMap;
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::ids::Mac;
use tapline_core::records::Batch;
use tapline_core::records::netfilter::NetfilterRule;
use tapline_core::records::openflow::Flow;
use tapline_core::span::Evidence;
use tapline_network::Network;
use tapline_topology::Topology;

/// States of a neighbour entry whose MAC is not that of a neighbour.
const NOBODY: &[&str] = &["FAILED", "INCOMPLETE"];

/// One address of a guest, and what says so.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Known {
    /// The address.
    pub(crate) ip: IpAddr,
    /// `neighbour of qrouter-…`, `flow of br-int`, `DHCP of libvirt`.
    pub(crate) how: String,
    /// Where.
    pub(crate) at: Evidence,
}

/// Which address stands for which.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Floating {
    /// The address that others use.
    pub(crate) ip: IpAddr,
    /// The address that it is translated into.
    pub(crate) fixed: IpAddr,
    /// The rule.
    pub(crate) at: Evidence,
}

/// All that is known.
#[derive(Debug, Default)]
pub(crate) struct Addresses {
    by_mac: BTreeMap<Mac, Vec<Known>>,
    floating: Vec<Floating>,
}

impl Addresses {
    /// Of all captured hosts.
    pub(crate) fn new(network: &Network<'_>) -> Self {
        Self::of(network.topology)
    }

    /// The same without a network.
    pub(crate) fn of(topology: &Topology<'_>) -> Self {
        let mut all = Self::default();
        for (source, reading) in topology.snapshot.iter() {
            match &reading.records {
                Batch::Neighbours(records) => {
                    for it in records {
                        let alive = !it.states.iter().any(|state| NOBODY.contains(&state.as_str()));
                        if let (Some(mac), true) = (&it.mac, alive) {
                            let how = format!("neighbour of {}", source.netns);
                            let at = Evidence { source: source.id, span: it.at };
                            all.add(mac.value, Known { ip: it.ip.value, how, at });
                        }
                    }
                }
                Batch::Flows(flows) => {
                    for flow in flows {
                        let Some((mac, ip)) = held_to(flow) else { continue };
                        let bridge = flow.bridge.as_deref().unwrap_or("a bridge");
                        let how = format!("flow of {bridge}");
                        let at = Evidence { source: source.id, span: flow.at };
                        all.add(mac, Known { ip, how, at });
                    }
                }
                Batch::DomainAddresses(records) => {
                    for it in records {
                        if let (Some(mac), Some(net)) = (&it.mac, &it.address) {
                            let at = Evidence { source: source.id, span: it.at };
                            let how = "virsh domifaddr".to_owned();
                            all.add(mac.value, Known { ip: net.value.addr(), how, at });
                        }
                    }
                }
                Batch::Netfilter(tables) => {
                    for rule in tables.iter().flat_map(|table| &table.rules) {
                        if let Some((mac, ip)) = spoof_guard(rule) {
                            let at = Evidence { source: source.id, span: rule.at };
                            let how = format!("packet filter of {}", source.netns);
                            all.add(mac, Known { ip, how, at });
                        }
                        if let Some((ip, fixed)) = translation(rule) {
                            let at = Evidence { source: source.id, span: rule.at };
                            all.floating.push(Floating { ip, fixed, at });
                        }
                    }
                }
                _ => {}
            }
        }
        all.floating.sort();
        all.floating.dedup_by(|a, b| (a.ip, a.fixed) == (b.ip, b.fixed));
        all
    }

    /// One entry for each address: what was read first.
    fn add(&mut self, mac: Mac, known: Known) {
        let link_local = match known.ip {
            IpAddr::V4(ip) => ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        if link_local || known.ip.is_unspecified() || mac.is_zero() || mac.is_multicast() {
            return;
        }
        let all = self.by_mac.entry(mac).or_default();
        if !all.iter().any(|one| one.ip == known.ip) {
            all.push(known);
        }
    }

    /// The addresses behind a MAC, fixed ones.
    pub(crate) fn of_mac(&self, mac: Mac) -> &[Known] {
        self.by_mac.get(&mac).map_or(&[], Vec::as_slice)
    }

    /// The floating addresses that stand for one.
    pub(crate) fn floating(&self, fixed: IpAddr) -> impl Iterator<Item = &Floating> {
        self.floating.iter().filter(move |floating| floating.fixed == fixed)
    }

    /// The MACs of the guests that an address stands for.
    pub(crate) fn translated(&self, ip: IpAddr) -> Vec<Mac> {
        let fixed: Vec<IpAddr> =
            self.floating.iter().filter(|it| it.ip == ip).map(|it| it.fixed).collect();
        let has = |known: &[Known]| known.iter().any(|known| fixed.contains(&known.ip));
        self.by_mac.iter().filter(|(_, known)| has(known)).map(|(mac, _)| *mac).collect()
    }

    /// The MACs that an address is known to belong to, itself or translated.
    pub(crate) fn macs(&self, ip: IpAddr) -> Vec<Mac> {
        let mut asked = vec![ip];
        asked.extend(self.floating.iter().filter(|floating| floating.ip == ip).map(|it| it.fixed));
        let has = |known: &[Known]| known.iter().any(|known| asked.contains(&known.ip));
        self.by_mac.iter().filter(|(_, known)| has(known)).map(|(mac, _)| *mac).collect()
    }
}

/// The MAC and the address that a flow asks for together: what is held to its own addresses.
fn held_to(flow: &Flow) -> Option<(Mac, IpAddr)> {
    let value = |keys: &[&str]| keys.iter().find_map(|key| flow.matched(key));
    let mac = value(&["dl_src", "arp_sha", "eth_src"])?.value.parse::<Mac>().ok()?;
    let ip = value(&["nw_src", "arp_spa", "ipv6_src", "ip_src"])?;
    Some((mac, ip.value.parse::<IpAddr>().ok()?))
}

/// The MAC and the address of a rule that lets a guest send from its own alone.
fn spoof_guard(rule: &NetfilterRule) -> Option<(Mac, IpAddr)> {
    if rule.matches.iter().any(|word| word == "!") {
        return None;
    }
    let after = |option: &str| {
        let at = rule.matches.iter().position(|word| word == option)?;
        rule.matches.get(at + 1)
    };
    let mac = after("--mac-source")?.parse::<Mac>().ok()?;
    let (ip, length) = match after("-s")?.split_once('/') {
        Some((ip, length)) => (ip, length),
        None => (after("-s")?.as_str(), "32"),
    };
    Some((mac, ip.parse().ok().filter(|_| matches!(length, "32" | "128"))?))
}

/// The address that a rule translates, and into which.
fn translation(rule: &NetfilterRule) -> Option<(IpAddr, IpAddr)> {
    let after = |words: &[Name], options: &[&str]| {
        let at = words.iter().position(|word| options.contains(&word.as_str()))?;
        let (ip, length) = match words.get(at + 1)?.split_once('/') {
            Some((ip, length)) => (ip, length),
            None => (words.get(at + 1)?.as_str(), "32"),
        };
        let whole = matches!(length, "32" | "128");
        ip.parse::<IpAddr>().ok().filter(|_| whole)
    };
    // `! -d 10.0.0.1` is about all others.
    if rule.matches.iter().any(|word| word == "!") {
        return None;
    }
    let from = after(&rule.matches, &["-d", "--destination"])?;
    let to = after(&rule.target_options, &["--to-destination"])?;
    (from != to).then_some((from, to))
}
