//! Which rules explain which: the relation as data.
//!
//! Rules stand in [`LAYERS`] from the ground up. A row of [`ROWS`] leads from earlier rules to
//! later ones only, so causes never run in circles; a test holds this. Rules may be named here
//! that do not exist (yet).
//!
//! A finding that stands for a population has a place of its own, nearer to the ground than those
//! of its rule: `OVS-002*` is the agent that wired nothing, `OVS-002` a port that is not wired.
use crate::lint::{Finding, Shape};

/// What two findings have in common where one explains the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Join {
    /// The host.
    Host,
    /// An OVS or Linux bridge.
    Bridge,
    /// A device or port of the same name.
    Device,
    /// A device or port of the same name, or of the same neutron port.
    Port,
    /// The namespace.
    Netns,
    /// An address, on this host.
    Address,
    /// An address, whatever the host.
    AnyAddress,
    /// The VM, whatever the host.
    Vm,
    /// A captured host that both are about, whatever the host that they are on.
    Peer,
    /// What the symptom is about hangs on what the root is about.
    Above,
}

/// `roots` explain `symptoms` where any of `joins` holds.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) roots: &'static [&'static str],
    pub(super) symptoms: &'static [&'static str],
    pub(super) joins: &'static [Join],
    /// Which findings of the roots.
    pub(super) only: fn(&Finding) -> bool,
    /// Which findings of the symptoms.
    pub(super) of: fn(&Finding) -> bool,
}

/// The rules from the ground up.
const LAYERS: &[(&str, &[&str])] = &[
    ("capture", &["CAP-001", "CAP-003", "CAP-004", "CAP-002"]),
    (
        "daemon and agent",
        &["OVS-005", "OVS-008", "OVS-002*", "VM-001*", "VM-003*", "OVN-002", "VM-005"],
    ),
    ("physical", &["NIC-001", "BOND-002", "BOND-001", "BOND-003"]),
    ("namespace", &["NS-004"]),
    // A second tunnel with the same key is why the switch could not make one.
    ("tunnel conflict", &["TUN-003", "XHOST-002", "TUN-004", "TUN-008"]),
    ("L2 device", &["VM-001", "VM-006", "OVS-003", "OVS-001", "OVS-013", "OVS-004", "OVS-014"]),
    (
        "L2 membership",
        &[
            "VM-002", "LBR-003", "LBR-001", "VETH-001", "LBR-006", "LBR-007", "LBR-004", "VM-003",
            "VM-004",
        ],
    ),
    ("way out", &["OVS-007", "OVS-006"]),
    (
        "tag and flows",
        &[
            "OVS-009",
            "OVS-017",
            "OVS-002",
            "OVS-010",
            "OVS-011",
            "OVS-012",
            "OVS-015",
            "OVS-016",
            "OVS-018",
            "XHOST-001",
            "LBR-002",
            "LBR-005",
        ],
    ),
    ("port of a namespace", &["NS-001", "NS-008", "NS-005"]),
    ("addressing", &["L3-013", "L3-012", "L3-002"]),
    (
        "tunnel",
        &[
            "TUN-001", "TUN-005", "TUN-002*", "TUN-009*", "TUN-002", "TUN-006", "TUN-007",
            "TUN-010", "TUN-009",
        ],
    ),
    ("OVN", &["OVN-001", "OVN-003", "OVN-004", "OVN-005"]),
    ("MTU", &["MTU-003", "MTU-004", "MTU-001", "MTU-002", "MTU-005"]),
    (
        "L3",
        &[
            "NS-003", "NS-002", "NS-006", "NS-007", "NS-009", "L3-003", "L3-001", "L3-004",
            "L3-005", "L3-008", "L3-009", "L3-010", "L3-011", "MAC-001", "MAC-002", "K8S-001",
            "K8S-002", "L3-007",
        ],
    ),
    ("firewall", &["IPT-001", "IPT-002", "IPT-003", "IPT-004", "IPT-005"]),
    (
        "symptom",
        &[
            "L3-006*", "L3-006", "MAC-003", "NIC-002", "NIC-003", "NIC-004", "NIC-005", "NIC-006",
            "NIC-007", "NIC-008",
        ],
    ),
];

fn any(_: &Finding) -> bool {
    true
}

/// The integration bridge: its agent, not some bridge's controller.
fn of_agent(it: &Finding) -> bool {
    it.object.name == "br-int"
}

/// Whether a finding stands for most ports of a bridge or most objects of a host.
pub(crate) fn is_population(it: &Finding) -> bool {
    it.shape == Shape::Population || (it.object.kind == "host" && !it.also.is_empty())
}

/// A patch to a port that does not exist, not one whose far end is patched elsewhere.
fn of_absent_peer(it: &Finding) -> bool {
    it.shape == Shape::AbsentPeer
}

fn of_present_peer(it: &Finding) -> bool {
    it.shape != Shape::AbsentPeer
}

/// What an agent began and did not finish.
fn unfinished(it: &Finding) -> bool {
    it.shape == Shape::Unfinished
}

/// A fault of the host itself, not of a namespace on it.
fn in_root(it: &Finding) -> bool {
    it.netns.as_ref().is_none_or(tapline_core::ids::Netns::is_root)
}

/// A port that lives in the namespace of a router, of floating addresses or of a DHCP server.
fn of_namespace_port(it: &Finding) -> bool {
    let name = it.object.name.rsplit('/').next().unwrap_or_default();
    ["tap", "qr-", "qg-", "fg-", "ns-"].iter().any(|start| name.starts_with(start))
}

/// What a namespace lacks for want of a port.
fn without_port(it: &Finding) -> bool {
    it.shape == Shape::NoPort
}

/// Flows that join the integration bridge with a provider bridge.
fn of_provider(it: &Finding) -> bool {
    it.shape == Shape::Provider
}

/// The port of a router in the external network.
fn of_gateway(it: &Finding) -> bool {
    it.object.name.starts_with("qg-")
}

const fn row(
    roots: &'static [&'static str],
    symptoms: &'static [&'static str],
    joins: &'static [Join],
) -> Row {
    Row { roots, symptoms, joins, only: any, of: any }
}

/// What a wiring agent that does not work leaves undone.
const OF_AGENT: &[&str] =
    &["OVS-002", "OVS-007", "OVS-009", "OVS-010", "OVS-011", "OVS-016", "TUN-002"];

/// What it may have begun: a patch with a placeholder, a port that the switch does not have. Other
/// faults of these rules are not its own.
const BEGUN: &[&str] = &["OVS-003", "LBR-001", "NS-001"];

/// What lies further along the way of a port.
const LATER_HOPS: &[&str] =
    &["VETH-001", "LBR-004", "VM-003", "MTU-002", "MTU-003", "IPT-003", "MAC-003"];

pub(super) static ROWS: &[Row] = &[
    // Texts that do not belong together contradict each other.
    row(
        &["CAP-003"],
        &["VM-001", "OVS-004", "OVS-013", "LBR-003", "VETH-001", "LBR-001", "TUN-001"],
        &[Join::Host],
    ),
    row(
        &["OVS-005"],
        &["OVS-008", "OVS-009", "OVS-013", "OVS-014", "OVS-015", "TUN-002", "TUN-009", "TUN-010"],
        &[Join::Host],
    ),
    Row { only: of_agent, ..row(&["OVS-008"], OF_AGENT, &[Join::Host]) },
    row(&["OVS-002*"], OF_AGENT, &[Join::Host]),
    Row { only: of_agent, of: unfinished, ..row(&["OVS-008"], BEGUN, &[Join::Host]) },
    Row { of: unfinished, ..row(&["OVS-002*"], BEGUN, &[Join::Host]) },
    row(&["OVS-008"], &["OVS-009", "OVS-017"], &[Join::Bridge]),
    row(&["OVS-009"], &["OVS-015", "OVS-016", "LBR-002", "L3-006"], &[Join::Bridge]),
    // Neutron parks a port whose device it does not find.
    row(
        &["OVS-001"],
        &[
            "OVS-004", "OVS-013", "OVS-014", "OVS-002", "OVS-011", "LBR-001", "VETH-001", "VM-004",
            "NS-001", "NS-008", "TUN-001", "TUN-002", "TUN-009",
        ],
        &[Join::Port],
    ),
    row(&["OVS-001"], &["OVS-006"], &[Join::Bridge]),
    row(
        &["OVS-004", "OVS-013"],
        &["OVS-014", "NS-001", "NS-008", "LBR-001", "L3-002"],
        &[Join::Port],
    ),
    // A namespace that lost its port does not say which one it was.
    Row {
        only: of_namespace_port,
        of: without_port,
        ..row(&["OVS-001", "OVS-004"], &["NS-001", "NS-005", "NS-006"], &[Join::Host])
    },
    row(
        &["VM-001"],
        &["OVS-001", "OVS-004", "OVS-002", "LBR-001", "MAC-002", "VM-003", "IPT-003"],
        &[Join::Port],
    ),
    row(
        &["VM-002"],
        &["LBR-001", "LBR-003", "MAC-003", "IPT-003", "L3-006", "MTU-002"],
        &[Join::Port],
    ),
    row(&["LBR-003"], &["LBR-001", "MAC-003", "IPT-003", "L3-006"], &[Join::Port]),
    row(&["LBR-001"], LATER_HOPS, &[Join::Port]),
    // The switch's own word on a patch, and the patch.
    row(&["OVS-003"], &["OVS-001"], &[Join::Device]),
    // The far end of a patch that leads nowhere.
    Row {
        only: of_absent_peer,
        of: of_present_peer,
        ..row(&["OVS-003"], &["OVS-003"], &[Join::Device])
    },
    row(&["OVS-003"], &["OVS-006", "OVS-007", "MAC-003"], &[Join::Bridge]),
    row(&["OVS-003"], &["L3-006"], &[Join::Above]),
    // Flows between two bridges go with the patch between them.
    Row { of: of_provider, ..row(&["OVS-003", "OVS-007"], &["OVS-016"], &[Join::Host]) },
    // A port on the wrong VLAN is on one that no tunnel knows.
    row(&["OVS-010", "OVS-002"], &["OVS-016"], &[Join::Device]),
    row(
        &["NIC-001", "BOND-001", "BOND-002"],
        &["OVS-006", "BOND-003", "TUN-001", "TUN-002", "L3-006"],
        &[Join::Above],
    ),
    row(&["NIC-001"], &["BOND-001", "BOND-002"], &[Join::Above]),
    row(&["BOND-002"], &["BOND-001"], &[Join::Device]),
    row(&["NIC-001", "BOND-001"], &["OVS-014", "BOND-003", "L3-002"], &[Join::Device]),
    row(&["NIC-001", "BOND-001"], &["TUN-001", "TUN-002", "TUN-006", "TUN-009"], &[Join::Address]),
    row(&["OVS-006", "OVS-007"], &["L3-006", "OVN-003", "NS-008"], &[Join::Bridge, Join::Above]),
    row(&["TUN-001"], &["TUN-002", "TUN-006", "TUN-009"], &[Join::Address, Join::Device]),
    row(
        &["TUN-003", "XHOST-002"],
        &["TUN-002", "TUN-009", "L3-001", "L3-007"],
        &[Join::AnyAddress],
    ),
    // A host that took the address of its peer has a tunnel to itself.
    row(&["TUN-003"], &["TUN-006"], &[Join::AnyAddress]),
    row(&["TUN-004", "TUN-008"], &["OVS-001"], &[Join::Device]),
    row(&["TUN-005"], &["TUN-002", "TUN-009"], &[Join::Device]),
    row(&["TUN-002*", "TUN-009*"], &["TUN-002", "TUN-009"], &[Join::Peer]),
    row(&["TUN-001"], &["TUN-002*", "TUN-009*"], &[Join::Host]),
    Row { only: in_root, ..row(&["L3-002"], &["TUN-002*", "TUN-009*"], &[Join::Host]) },
    row(&["L3-006*"], &["L3-006"], &[Join::Above]),
    // The devices of VMs are gone with the process that held them.
    row(&["VM-001*", "VM-003*"], &["VM-001", "VM-003"], &[Join::Host]),
    row(
        &["VM-001*"],
        &["OVS-001", "OVS-004", "OVS-002", "LBR-001", "MAC-002", "IPT-003"],
        &[Join::Port],
    ),
    row(
        &["OVN-002"],
        &["OVN-001", "OVN-004", "OVN-005", "TUN-002", "TUN-004", "OVS-012"],
        &[Join::Host],
    ),
    row(&["VM-005"], &["MAC-001", "L3-001", "OVS-012"], &[Join::Vm]),
    // Two masters are most often one that the other does not hear.
    row(&["OVS-001", "OVS-002", "TUN-002"], &["NS-003"], &[Join::Netns, Join::Port]),
    row(&["NS-003"], &["L3-001", "MAC-001", "L3-007"], &[Join::Netns]),
    row(
        &["NS-004"],
        &["OVS-004", "OVS-001", "NS-001", "NS-002", "NS-007", "NS-008"],
        &[Join::Netns],
    ),
    row(&["NS-001"], &["NS-007", "NS-008"], &[Join::Netns, Join::Port]),
    row(&["NS-004"], &["NS-005", "NS-006", "NS-009"], &[Join::Netns]),
    // Without its gateway port a router has neither a way out nor floating addresses.
    Row { only: of_gateway, ..row(&["NS-008"], &["NS-002", "NS-006"], &[Join::Netns]) },
    // The pair to the namespace of floating addresses is a veth.
    row(&["VETH-001"], &["NS-005", "L3-002"], &[Join::Port]),
    // A route through a port that is down leads nowhere.
    row(&["NS-008", "NS-005"], &["L3-002"], &[Join::Device]),
    row(&["NS-005"], &["NS-006", "L3-009"], &[Join::Netns]),
    // The table that a router's rule looks up is empty without its default route.
    row(&["NS-002"], &["L3-009"], &[Join::Netns]),
    row(&["VM-006"], &["VM-002", "VM-003", "LBR-001"], &[Join::Port]),
    row(&["NIC-001", "BOND-001"], &["VM-006"], &[Join::Above]),
    row(&["NIC-001", "BOND-001"], &["TUN-006", "TUN-009"], &[Join::Above]),
    row(&["TUN-008"], &["TUN-010"], &[Join::Host]),
    row(&["TUN-005", "TUN-006", "TUN-007", "TUN-010"], &["TUN-009"], &[Join::Device]),
    row(&["TUN-010"], &["TUN-009"], &[Join::Host]),
    row(&["LBR-002"], &["MAC-003", "NIC-003", "NIC-005", "L3-006"], &[Join::Bridge]),
    // In a ring a device hears its own probes for its address.
    row(&["LBR-002"], &["L3-008"], &[Join::Bridge, Join::Device]),
    row(&["LBR-004", "LBR-006", "LBR-007"], &["L3-006"], &[Join::Bridge, Join::Above]),
    // An address on a bridge works as far as the bridge does.
    row(&["LBR-004"], &["L3-002", "TUN-001", "TUN-006"], &[Join::Device, Join::Above]),
    // A bridge none of whose ports forwards has no carrier.
    row(&["LBR-007"], &["LBR-004"], &[Join::Bridge]),
    // The switch learns one MAC here and there.
    row(&["MAC-001"], &["MAC-003"], &[Join::Port, Join::Bridge]),
    row(&["MTU-003", "MTU-004"], &["MTU-001"], &[Join::Device, Join::Above]),
    row(&["MTU-001", "MTU-003"], &["MTU-002"], &[Join::Port]),
    row(&["IPT-001"], &["L3-006"], &[Join::Bridge]),
    row(&["IPT-002"], &["IPT-003"], &[Join::Host]),
    // A port that the agent has not wired has no rules yet.
    row(&["OVS-002"], &["IPT-003"], &[Join::Port]),
    // Whoever asks a gateway that is on no subnet gets no answer.
    row(&["L3-001", "L3-002", "L3-012"], &["L3-006"], &[Join::Device, Join::Address]),
    row(&["L3-013"], &["L3-004", "L3-002"], &[Join::Address, Join::Device]),
    row(&["L3-001"], &["L3-004"], &[Join::Address, Join::Device]),
    row(&["L3-012"], &["L3-002"], &[Join::Address, Join::Device]),
    row(&["OVS-017"], &["LBR-002"], &[Join::Bridge]),
];

impl Row {
    /// Whether a finding is one of its roots.
    pub(super) fn has_root(&self, it: &Finding) -> bool {
        names(self.roots, it) && (self.only)(it)
    }

    /// Whether a finding is one of its symptoms.
    pub(super) fn has_symptom(&self, it: &Finding) -> bool {
        names(self.symptoms, it) && (self.of)(it)
    }
}

/// Whether one of `codes` is that of the finding, or that of its population.
fn names(codes: &[&str], it: &Finding) -> bool {
    codes.iter().any(|code| match code.strip_suffix('*') {
        Some(code) => code == it.rule.code && is_population(it),
        None => *code == it.rule.code,
    })
}

/// Place of a finding in [`LAYERS`]; what is not there comes last.
pub(super) fn place(it: &Finding) -> usize {
    if is_population(it) {
        let star = format!("{}*", it.rule.code);
        if let Some(at) = position(&star) {
            return at;
        }
    }
    place_of(it.rule.code)
}

fn position(code: &str) -> Option<usize> {
    LAYERS.iter().flat_map(|(_, codes)| codes.iter()).position(|it| *it == code)
}

fn place_of(code: &str) -> usize {
    position(code).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lint::rules::ALL;

    fn in_layers(code: &str) -> bool {
        LAYERS.iter().any(|(_, codes)| codes.contains(&code))
    }

    #[test]
    fn the_relation_leads_up_from_the_ground() {
        for row in ROWS {
            assert!(!row.joins.is_empty());
            // A rule explains itself only where the row tells its roots from its symptoms.
            let itself = row.roots.iter().any(|it| row.symptoms.contains(it));
            assert!(!itself || !std::ptr::fn_addr_eq(row.of, any as fn(&Finding) -> bool));
            for root in row.roots {
                for symptom in row.symptoms.iter().filter(|it| *it != root) {
                    assert!(in_layers(root) && in_layers(symptom), "{root} {symptom}");
                    assert!(place_of(root) < place_of(symptom), "{root} cannot explain {symptom}");
                }
            }
        }
    }

    #[test]
    fn every_rule_stands_in_one_layer() {
        let mut all: Vec<_> = LAYERS.iter().flat_map(|(_, codes)| codes.iter()).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
        for rule in ALL {
            assert!(in_layers(rule.code), "{} stands in no layer", rule.code);
        }
    }

    /// Rules that the relation knows and that do not exist: when one is written, it is taken off.
    #[test]
    fn rules_to_come() {
        let mut missing: Vec<_> = LAYERS
            .iter()
            .flat_map(|(_, codes)| codes.iter().copied())
            .filter(|code| !ALL.iter().any(|it| it.code == *code))
            .collect();
        missing.sort_unstable();
        for code in missing {
            let (family, number) = code.trim_end_matches('*').split_once('-').unwrap();
            assert!(family.len() <= 5 && number.len() == 3, "{code}");
        }
    }
}
