//! What rules read that is no part of the topology: settings of the kernel and neighbours.
use std::collections::BTreeMap;
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_core::records::neigh::Neighbour;
use tapline_core::records::route::Family;
use tapline_core::request::Topic;
use tapline_core::span::{Evidence, SourceId};

use crate::{AllNeighbours, Network};

/// A setting that is a number, and the place that prints it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// The value.
    pub value: i64,
    /// Its place.
    pub evidence: Evidence,
}

/// Settings by host, namespace and key.
pub type Settings<'a> = BTreeMap<(HostId, &'a Netns, &'a str), Setting>;

/// All settings, of the first text that prints them.
pub(crate) fn settings<'a>(network: &Network<'a>) -> Settings<'a> {
    let mut all = BTreeMap::new();
    for (source, settings) in network.sysctl_texts() {
        for setting in settings {
            let Some(value) = setting.number() else { continue };
            let evidence = Evidence { source: source.id, span: setting.at };
            all.entry((source.host, &source.netns, setting.key.value.as_str()))
                .or_insert(Setting { value, evidence });
        }
    }
    all
}

/// A complete listing of all settings of the host (`sysctl -a`): a key that it lacks does not
/// exist.
pub fn all_settings(network: &Network<'_>, host: HostId) -> Option<(SourceId, usize)> {
    network.sysctl_texts().find_map(|(source, settings)| {
        let all = source.command.args().iter().any(|arg| matches!(arg.as_str(), "-a" | "--all"));
        let whole = network.topology.snapshot.completeness(source.id).is_complete();
        let here = source.host == host && source.netns.is_root();
        (here && all && whole && !settings.is_empty()).then_some((source.id, settings.len()))
    })
}

/// One neighbour of a namespace, as all its texts show it.
#[derive(Debug)]
pub struct Known<'a> {
    /// The first record.
    pub record: &'a Neighbour,
    /// Its place.
    pub evidence: Evidence,
    /// Every text that lists it says that it does not answer.
    pub failed: bool,
}

/// The neighbours of one namespace by device and address.
pub type Neighbours<'a> = BTreeMap<(&'a str, IpAddr), Known<'a>>;

/// The neighbours of all namespaces.
pub(crate) fn neighbours<'a>(network: &Network<'a>) -> AllNeighbours<'a> {
    let mut all: BTreeMap<_, Neighbours<'a>> = BTreeMap::new();
    for (source, records) in network.neighbour_texts() {
        let here = all.entry((source.host, &source.netns)).or_default();
        for record in records {
            let Some(dev) = &record.dev else { continue };
            let failed = has_failed(record);
            let evidence = Evidence { source: source.id, span: record.at };
            here.entry((dev.value.as_str(), record.ip.value))
                .and_modify(|it| {
                    it.failed &= failed;
                    // The record that has an address says more, and so does `ip`, which knows that
                    // no answer came, than `arp`, which knows that there is none.
                    let answers = it.record.mac.is_none() && record.mac.is_some();
                    let ended = it.failed
                        && it.record.mac.is_none()
                        && !is_state(it.record, "FAILED")
                        && is_state(record, "FAILED");
                    if answers || ended {
                        (it.record, it.evidence) = (record, evidence);
                    }
                })
                .or_insert(Known { record, evidence, failed });
        }
    }
    all
}

/// Whether a MAC stands for more than one machine: VRRP, HSRP, the hosts of distributed routers, groups.
pub fn is_virtual(mac: Mac) -> bool {
    let [a, b, c, d, ..] = mac.0;
    mac.is_zero()
        || mac.is_multicast()
        || (a, b, c, d) == (0x00, 0x00, 0x5e, 0x00)
        || (a, b, c) == (0x00, 0x00, 0x0c)
        || (a, b, c) == (0xfa, 0x16, 0x3f)
        || mac.0 == [0xee; 6]
}

fn is_state(record: &Neighbour, state: &str) -> bool {
    record.states.iter().any(|it| it == state)
}

/// Asked for, and no answer came (`FAILED`), or none until now (`INCOMPLETE`).
fn has_failed(record: &Neighbour) -> bool {
    record.states.iter().any(|state| matches!(state.as_str(), "FAILED" | "INCOMPLETE"))
}

/// Whether a complete text shows all tables of a family in the root namespace, however few: the
/// tools print nothing where there is none.
pub fn is_filter_captured(network: &Network<'_>, host: HostId, family: Family) -> bool {
    let snapshot = network.topology.snapshot;
    let tool = if family == Family::Inet6 { "ip6tables-save" } else { "iptables-save" };
    snapshot.captured.sources.iter().any(|source| {
        source.host == host
            && source.netns.is_root()
            && source.command.program() == tool
            && source.request.is_whole(Topic::Netfilter)
            && snapshot.completeness(source.id).is_complete()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_addresses_stand_for_several_machines() {
        for (mac, expected) in [
            ("00:00:00:00:00:00", true),
            ("ff:ff:ff:ff:ff:ff", true),
            ("01:00:5e:00:00:01", true),
            ("00:00:5e:00:01:07", true),
            ("00:00:0c:07:ac:01", true),
            ("fa:16:3f:00:00:01", true),
            ("ee:ee:ee:ee:ee:ee", true),
            ("fa:16:3e:00:00:01", false),
            ("00:00:5e:01:01:07", false),
            ("00:00:0d:07:ac:01", false),
            ("ee:ee:ee:ee:ee:ef", false),
            ("52:54:00:00:00:01", false),
        ] {
            assert_eq!(is_virtual(mac.parse().unwrap()), expected, "{mac}");
        }
    }
}
