//! What `ethtool`, `ip -s`, `/proc/net/bonding` and the switch's database say of NICs, by device.
//!
//! Counters count since the device or the host was started, not since now: findings from them show
//! the share of packets and, where captured, how long the host has been up.
use std::collections::BTreeMap;

use tapline_core::Name;
use tapline_core::capture::{HostId, Source};
use tapline_core::ids::Mac;
use tapline_core::records::bond::{Bond, BondSlave};
use tapline_core::records::ethtool::{NicDriver, NicFeatures, NicRings, NicSettings, NicStats};
use tapline_core::records::host::Fact as HostFact;
use tapline_core::records::ovs::{OvsRecord, OvsRow};
use tapline_core::records::{Batch, Field};
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::graph::{Fact, Netdev, Seen};
use tapline_topology::names;
use tapline_topology::{EdgeKind, NodeId};

use crate::uplink;
use crate::{Item, Network};

/// The command that prints the counters of the kernel, those of errors and carrier changes too.
pub const COUNTERS: &str = "ip -s -s link";

/// All that was captured of NICs besides their place in the topology.
#[derive(Debug, Default)]
pub struct Nics<'a> {
    devices: BTreeMap<NodeId, Texts<'a>>,
    bonds: BTreeMap<NodeId, (SourceId, &'a Bond)>,
    uptimes: BTreeMap<HostId, (u64, Evidence)>,
}

/// What was captured of one device; of several texts of a kind the first.
#[derive(Debug, Default)]
pub struct Texts<'a> {
    /// `ethtool DEV`.
    pub settings: Option<Seen<'a, NicSettings>>,
    /// `ethtool -S DEV`.
    pub stats: Option<Seen<'a, NicStats>>,
    /// `ethtool -i DEV`.
    pub driver: Option<Seen<'a, NicDriver>>,
    /// `ethtool -k DEV`.
    pub features: Option<Seen<'a, NicFeatures>>,
    /// `ethtool -g DEV`.
    pub rings: Option<Seen<'a, NicRings>>,
    /// Its part of its bond's file.
    pub slave: Option<Seen<'a, BondSlave>>,
    /// Its row in the database of OVS.
    pub ovs: Option<Seen<'a, OvsRecord>>,
}

/// One counter.
#[derive(Clone, Debug)]
pub struct Count {
    /// `rx_crc_errors`: as `ethtool -S` prints it; those of other commands are named alike.
    pub name: String,
    /// Value.
    pub value: u64,
    /// Where it stands.
    pub evidence: Evidence,
}

/// The counters of one device from one text.
#[derive(Clone, Debug, Default)]
pub struct Counts(pub Vec<Count>);

/// The mode of a bond.
#[derive(Clone, Debug)]
pub struct BondMode {
    /// As `ip -d` names it.
    pub value: String,
    /// Where it is told.
    pub evidence: Evidence,
}

impl<'a> Nics<'a> {
    /// Sorts the texts by device.
    pub(crate) fn new(network: &Network<'a>) -> Self {
        let mut all = Self { bonds: bonds(network), ..Self::default() };
        for (source, reading) in network.topology.snapshot.iter() {
            let id = source.id;
            match &reading.records {
                Batch::NicSettings(records) => {
                    for it in records {
                        if let Some(texts) = all.texts(network, source, &it.dev.value) {
                            texts.settings.get_or_insert(Seen { source: id, record: it });
                        }
                    }
                }
                Batch::NicFeatures(records) => {
                    for it in records {
                        if let Some(texts) = all.texts(network, source, &it.dev.value) {
                            texts.features.get_or_insert(Seen { source: id, record: it });
                        }
                    }
                }
                Batch::NicRings(records) => {
                    for it in records {
                        if let Some(texts) = all.texts(network, source, &it.dev.value) {
                            texts.rings.get_or_insert(Seen { source: id, record: it });
                        }
                    }
                }
                Batch::NicStats(records) => {
                    if let ([it], Some(texts)) =
                        (records.as_slice(), all.texts(network, source, asked(source)))
                    {
                        texts.stats.get_or_insert(Seen { source: id, record: it });
                    }
                }
                Batch::NicDriver(records) => {
                    if let ([it], Some(texts)) =
                        (records.as_slice(), all.texts(network, source, asked(source)))
                    {
                        texts.driver.get_or_insert(Seen { source: id, record: it });
                    }
                }
                Batch::Bonds(records) => {
                    for slave in records.iter().flat_map(|record| &record.slaves) {
                        if let Some(texts) = all.texts(network, source, &slave.name.value) {
                            texts.slave.get_or_insert(Seen { source: id, record: slave });
                        }
                    }
                }
                Batch::Ovs(records) => {
                    for record in records {
                        let OvsRow::Interface(row) = &record.row else { continue };
                        // `show` prints no counters and would hide the row that does.
                        if record.uuid.is_some()
                            && let Some(texts) = all.texts(network, source, &row.name.value)
                        {
                            texts.ovs.get_or_insert(Seen { source: id, record });
                        }
                    }
                }
                Batch::HostFacts(records) => {
                    for it in records {
                        if let HostFact::Uptime(seconds) = &it.fact {
                            let told = (seconds.value, seconds.evidence(id));
                            all.uptimes.entry(source.host).or_insert(told);
                        }
                    }
                }
                _ => {}
            }
        }
        all
    }

    /// Those of the device of this name where `source` was printed.
    fn texts(
        &mut self,
        network: &Network<'a>,
        source: &Source,
        name: &str,
    ) -> Option<&mut Texts<'a>> {
        let device = network.topology.find_netdev(source.host, &source.netns, name)?;
        Some(self.devices.entry(device).or_default())
    }

    /// The texts about a device.
    pub fn of(&self, device: NodeId) -> Option<&Texts<'a>> {
        self.devices.get(&device)
    }

    /// The file of a bond.
    pub fn bond(&self, device: NodeId) -> Option<(SourceId, &'a Bond)> {
        self.bonds.get(&device).copied()
    }

    /// The mode of a bond as `ip -d` names it: `802.3ad`, `active-backup`, …
    pub fn bond_mode(&self, bond: &Item<'a, Netdev<'a>>) -> Option<BondMode> {
        let file = self.bond(bond.id).and_then(|(source, it)| {
            let mode = it.mode.as_ref()?;
            Some(BondMode { value: short_mode(&mode.value), evidence: mode.evidence(source) })
        });
        file.or_else(|| {
            bond.records.iter().find_map(|record| {
                let mode = record.record.kind_data.bond.as_ref()?.mode.as_ref()?;
                Some(BondMode {
                    value: mode.value.to_string(),
                    evidence: mode.evidence(record.source),
                })
            })
        })
    }

    /// The partner in LACP of a bond; zero where nobody answers.
    pub fn lacp_partner(&self, bond: &Item<'a, Netdev<'a>>) -> Option<Fact<Mac>> {
        let told = self.told_of_lacp(bond, "Partner Mac Address", "ad_partner_mac")?;
        Some(Fact { value: told.value.parse().ok()?, evidence: told.evidence })
    }

    /// What a bond says of its active aggregator: its file by the one key, or `ip -d` by the other.
    pub fn told_of_lacp(
        &self,
        bond: &Item<'a, Netdev<'a>>,
        in_file: &str,
        of_ip: &str,
    ) -> Option<Fact<Name>> {
        let by_file = self.bond(bond.id).and_then(|(source, file)| {
            let value = Field::find(&file.other, &format!("Active Aggregator Info/{in_file}"))?;
            Some(Fact { value: value.value.clone(), evidence: value.evidence(source) })
        });
        by_file.or_else(|| {
            bond.records.iter().find_map(|seen| {
                let value = seen.record.other.find(of_ip)?;
                Some(Fact { value: value.value.into(), evidence: value.evidence(seen.source) })
            })
        })
    }

    /// Seconds that the host has been up.
    pub fn uptime(&self, host: HostId) -> Option<u64> {
        self.uptimes.get(&host).map(|it| it.0)
    }

    /// ` in 12 days`, where the host's uptime was captured.
    pub fn since(&self, host: HostId) -> String {
        match self.uptime(host) {
            Some(it) if it >= 2 * DAY => format!(" in {} days", it / DAY),
            Some(it) => format!(" in {} hours", it.div_ceil(HOUR)),
            None => " since the start".to_owned(),
        }
    }

    /// How long the host has been up: the line that says so.
    pub fn uptime_line(&self, host: HostId) -> Option<Evidence> {
        self.uptimes.get(&host).map(|uptime| uptime.1)
    }

    /// The counters of a device, one list a text: the driver's, the kernel's, the switch's.
    pub fn counts(&self, device: &Item<'a, Netdev<'a>>) -> Vec<Counts> {
        let texts = self.of(device.id);
        let mut all = Vec::new();
        if let Some(it) = texts.and_then(|text| text.stats) {
            let counts = it.record.counters.iter().map(|counter| Count {
                name: counter.name.to_ascii_lowercase().to_string(),
                value: counter.value.value,
                evidence: counter.value.evidence(it.source),
            });
            all.push(Counts(counts.collect()));
        }
        let kernel = device
            .records
            .iter()
            .find_map(|record| Some((record.source, record.record.stats.as_ref()?)));
        if let Some((source, it)) = kernel {
            let evidence = Evidence { source, span: it.at };
            let named = |way: &str, of: &[(Name, u64)]| -> Vec<Count> {
                let count = |(name, value): &(Name, u64)| Count {
                    name: format!("{way}_{name}"),
                    value: *value,
                    evidence,
                };
                of.iter().map(count).collect()
            };
            let mut counts = named("rx", &it.rx);
            counts.extend(named("tx", &it.tx));
            all.push(Counts(counts));
        }
        let switch = texts.and_then(|text| text.ovs).and_then(|ov| {
            let column = ov.record.columns.iter().find(|column| column.name == "statistics")?;
            Some((column.value.as_str(), column.value.evidence(ov.source)))
        });
        if let Some((map, evidence)) = switch {
            let pairs = map.trim_matches(['{', '}']).split(',');
            let counts = pairs.filter_map(|pair| {
                let (name, value) = pair.split_once('=')?;
                let value = value.trim().parse().ok()?;
                Some(Count { name: name.trim().trim_matches('"').to_owned(), value, evidence })
            });
            all.push(Counts(counts.collect()));
        }
        all
    }

    /// Packets that a device received (`rx`) or sent (`tx`), by the text that tells the most.
    pub fn packets(all: &[Counts], way: &str) -> Option<u64> {
        all.iter().filter_map(|it| it.packets(way)).max()
    }
}

impl Counts {
    /// The counters of the whole device whose plain name (without what drivers add to it) is one
    /// of `names`.
    pub fn called<'t>(&'t self, names: &'t [&str]) -> impl Iterator<Item = &'t Count> {
        self.0.iter().filter(move |it| names.contains(&plain(&it.name)))
    }

    fn packets(&self, way: &str) -> Option<u64> {
        let name = format!("{way}_packets");
        let whole = self.0.iter().find(|count| plain(&count.name) == name);
        whole.map(|whole| whole.value).or_else(|| {
            let parts = self.0.iter().filter(|it| {
                let name =
                    plain(&it.name).strip_prefix(way).and_then(|rest| rest.strip_prefix('_'));
                matches!(
                    name.map(|name| name.trim_end_matches("_packets")),
                    Some(
                        "ucast"
                            | "mcast"
                            | "bcast"
                            | "unicast"
                            | "multicast"
                            | "broadcast"
                            | "ucast_frames"
                            | "mcast_frames"
                            | "bcast_frames"
                    )
                )
            });
            parts.map(|part| part.value).reduce(u64::saturating_add)
        })
    }
}

/// The name of a counter without what drivers put around it: `port.` (i40e), `.nic` (ice),
/// `_phy` (mlx5).
fn plain(name: &str) -> &str {
    let name = name.strip_prefix("port.").unwrap_or(name);
    let name = name.strip_suffix(".nic").unwrap_or(name);
    name.strip_suffix("_phy").unwrap_or(name)
}

/// The driver's words for the mode of a bond (`bond_procfs.c`, `bond_mode_name`) in short.
fn short_mode(text: &str) -> String {
    let short = match text {
        "load balancing (round-robin)" => "balance-rr",
        "fault-tolerance (active-backup)" => "active-backup",
        "load balancing (xor)" => "balance-xor",
        "fault-tolerance (broadcast)" => "broadcast",
        "IEEE 802.3ad Dynamic link aggregation" => "802.3ad",
        "transmit load balancing" => "balance-tlb",
        "adaptive load balancing" => "balance-alb",
        other => other,
    };
    short.to_owned()
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

/// The device that a command asks about: its last argument. Not all outputs of `ethtool` name it.
fn asked(source: &Source) -> &str {
    let last = source.command.args().last().map_or("", String::as_str);
    if last.starts_with('-') { "" } else { last }
}

/// What `/proc/net/bonding` says of each bond.
pub fn bonds<'a>(network: &Network<'a>) -> BTreeMap<NodeId, (SourceId, &'a Bond)> {
    let mut all = BTreeMap::new();
    for (source, reading) in network.texts_of("bond") {
        let Batch::Bonds(bonds) = &reading.records else { continue };
        // The bond is named by the file.
        let path = source.command.args().last().map_or("", String::as_str);
        let name = path.rsplit('/').next().unwrap_or_default();
        let find = |name: &str| network.topology.find_netdev(source.host, &source.netns, name);
        if let (Some(id), [bond]) = (find(name), bonds.as_slice()) {
            all.entry(id).or_insert((source.id, bond));
            continue;
        }
        // Or by its members, where the path is a pattern.
        let pattern = name.contains('*');
        for bond in bonds.iter().filter(|_| pattern) {
            let member = bond.slaves.iter().find_map(|slave| find(&slave.name));
            let masters = member.map(|member| network.topology.out(member, EdgeKind::EnslavedTo));
            if let Some((id, _)) = masters.unwrap_or_default().first() {
                all.entry(*id).or_insert((source.id, bond));
            }
        }
    }
    all
}

/// Whether something on the host is known to use the NIC.
pub fn serves(network: &Network<'_>, device: &Item<'_, Netdev<'_>>) -> bool {
    let datapath =
        device.data.master.as_ref().is_some_and(|master| names::is_ovs_datapath(&master.value));
    datapath || uplink::role(network, device).is_some()
}

/// Whether the hypervisor shows its guest this NIC as virtio: `ethtool -i`, or the bus.
pub fn is_virtio(nics: &Nics<'_>, device: &Item<'_, Netdev<'_>>) -> bool {
    let driver = nics.of(device.id).and_then(|nic| nic.driver);
    driver.is_some_and(|driver| driver.record.driver.value == "virtio_net")
        || device
            .records
            .iter()
            .any(|it| it.record.other.find("parentbus").is_some_and(|it| it.value == "virtio"))
}

/// `0.12 %`, with enough digits to see something.
pub fn percent(part: u64, whole: u64) -> String {
    let share = ratio(part, whole) * 100.0;
    if share >= 10.0 {
        format!("{share:.0} %")
    } else if share >= 0.1 {
        format!("{share:.1} %")
    } else {
        format!("{share:.4} %")
    }
}

/// The share of `part` in `whole`.
#[expect(clippy::cast_precision_loss, reason = "a share of packets need not be exact")]
pub fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_drivers_become_plain() {
        assert_eq!(plain("port.rx_crc_errors"), "rx_crc_errors");
        assert_eq!(plain("rx_crc_errors.nic"), "rx_crc_errors");
        assert_eq!(plain("rx_crc_errors_phy"), "rx_crc_errors");
        assert_eq!(plain("rx_queue_0_packets"), "rx_queue_0_packets");
    }

    #[test]
    fn packets_are_summed_where_only_parts_are_told() {
        let evidence = Evidence { source: SourceId(0), span: tapline_core::span::Span::default() };
        let count = |name: &str, value| Count { name: name.into(), value, evidence };
        let parts = vec![
            count("rx_ucast_packets", 5),
            count("rx_mcast_packets", 3),
            count("rx_bcast_packets", 2),
            count("tx_ucast_packets", 90),
        ];
        assert_eq!(Counts(parts).packets("rx"), Some(10));
        let whole = vec![count("rx_packets", 7), count("rx_ucast_packets", 5)];
        assert_eq!(Counts(whole).packets("rx"), Some(7));
        assert_eq!(Counts(vec![count("rx_queue_0_packets", 5)]).packets("rx"), None);
    }

    #[test]
    fn shares_show_their_first_digits() {
        assert_eq!(percent(1, 4), "25 %");
        assert_eq!(percent(1, 100), "1.0 %");
        assert_eq!(percent(1, 100_000), "0.0010 %");
        assert_eq!(percent(3, 0), "100 %");
    }
}
