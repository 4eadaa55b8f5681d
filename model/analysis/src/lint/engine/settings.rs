//! What a person may set: facts that captures cannot tell, thresholds, and what is not a fault
//! here. Plain data; where it is written down is not known here.
use std::collections::BTreeSet;

use serde::Serialize;

use tapline_core::ids::Netns;
pub use tapline_network::environment::{Environment, Firewall, Glob, Profile};

use super::finding::{Finding, Severity};
use super::run::Report;

/// Settings of a run.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What sort of machines these are; `None` where the captures have to tell.
    pub profile: Option<Profile>,
    /// Facts that captures cannot tell.
    pub env: Environment,
    /// Where much becomes too much.
    pub thresholds: Thresholds,
    /// Other severities, the last one that fits counts.
    pub overrides: Vec<Override>,
    /// Faults that are known and accepted, the first one that fits counts.
    pub suppressions: Vec<Suppression>,
    /// Fingerprints of findings that were there before; `None` where nothing is compared.
    pub baseline: Option<BTreeSet<String>>,
}

/// Codes and families of rules about software that such machines do not run.
pub fn leaves_out(profile: Profile) -> &'static [&'static str] {
    match profile {
        Profile::OpenstackOvs => &["OVN", "K8S"],
        Profile::OpenstackOvn => OF_AGENT,
        Profile::K8s => OF_NEUTRON,
        Profile::Libvirt | Profile::Lxd | Profile::Generic => OF_NEUTRON_AND_K8S,
    }
}

/// Rules about what neutron's Open vSwitch agent makes.
const OF_AGENT: &[&str] = &["OVS-002", "OVS-007", "OVS-010", "OVS-011", "OVS-016", "K8S"];

/// Rules about what neutron makes.
const OF_NEUTRON: &[&str] = &[
    "OVS-002", "OVS-006", "OVS-007", "OVS-009", "OVS-010", "OVS-011", "OVS-016", "OVS-017",
    "LBR-001", "LBR-005", "NS-001", "NS-002", "NS-003", "NS-005", "NS-006", "NS-007", "IPT-002",
    "IPT-003", "IPT-004",
];

/// The same, and rules about clusters of containers.
const OF_NEUTRON_AND_K8S: &[&str] = &[
    "OVS-002", "OVS-006", "OVS-007", "OVS-009", "OVS-010", "OVS-011", "OVS-016", "OVS-017",
    "LBR-001", "LBR-005", "NS-001", "NS-002", "NS-003", "NS-005", "NS-006", "NS-007", "IPT-002",
    "IPT-003", "IPT-004", "OVN", "K8S",
];

/// Where much becomes too much.
#[derive(Clone, Debug)]
pub struct Thresholds {
    /// Share of packets with errors or drops.
    pub counter_ratio: f64,
    /// Errors or drops below this number are no matter.
    pub counter_min: u64,
    /// Seconds between captures after which they may show different states.
    pub capture_skew_s: f64,
    /// Share of a table (neighbours, connections) that may be in use.
    pub neigh_ratio: f64,
    /// Changes of carrier.
    pub link_flaps: u64,
    /// Leftovers.
    pub orphan_warn: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            counter_ratio: 0.01,
            counter_min: 1000,
            capture_skew_s: 60.0,
            neigh_ratio: 0.8,
            link_flaps: 10,
            orphan_warn: 20,
        }
    }
}

/// Another severity for findings of a rule.
#[derive(Clone, Debug)]
pub struct Override {
    /// Which findings.
    pub scope: Scope,
    /// Their severity.
    pub severity: Severity,
}

/// Findings of a rule that are known and accepted.
#[derive(Clone, Debug)]
pub struct Suppression {
    /// Which findings.
    pub scope: Scope,
    /// Why, and until when.
    pub suppressed: Suppressed,
    /// The time is over: the finding comes back.
    pub expired: bool,
}

/// Why a finding is accepted, and until when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Suppressed {
    /// Why.
    pub reason: String,
    /// The last day, as `2026-12-31`.
    pub until: Option<String>,
}

/// Findings of one rule, on all hosts and objects or on some.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Code of the rule.
    pub code: &'static str,
    /// Hosts; all where not said.
    pub host: Option<Glob>,
    /// Namespaces, `root` for that of the host; all where not said.
    pub netns: Option<Glob>,
    /// Objects, by name with or without bridge, VM or namespace; all where not said.
    pub object: Option<Glob>,
}

impl Scope {
    /// Whether a finding is meant.
    pub fn holds(&self, finding: &Finding, host: &str) -> bool {
        self.code == finding.rule.code
            && self.host.as_ref().is_none_or(|it| it.matches(host))
            && self.netns.as_ref().is_none_or(|it| it.matches(&of_finding(finding)))
            && self.object.as_ref().is_none_or(|it| names(finding).any(|name| it.matches(&name)))
    }
}

/// The namespace that a finding is in.
fn of_finding(finding: &Finding) -> String {
    finding.netns.as_ref().unwrap_or(&Netns::Root).to_string()
}

/// The names of the object: `br-int/tap0`, `tap0`, and with the namespace it lives in.
fn names(finding: &Finding) -> impl Iterator<Item = String> {
    let name = finding.object.name.as_str();
    let last = name.rsplit('/').next().unwrap_or(name);
    let netns = finding.netns.as_ref().and_then(|it| it.name());
    [Some(name.to_owned()), Some(last.to_owned()), netns.map(|it| format!("{it}/{last}"))]
        .into_iter()
        .flatten()
}

impl Settings {
    /// Gives findings their severity, and marks those that are suppressed or were there before.
    pub(crate) fn apply(&self, finding: &mut Finding, host: &str) {
        self.expect_down(finding);
        for it in &self.overrides {
            if it.scope.holds(finding, host) {
                finding.severity = it.severity;
            }
        }
        let fits = |it: &&Suppression| it.scope.holds(finding, host);
        let mut all = self.suppressions.iter().filter(fits);
        if let Some(valid) = all.clone().find(|it| !it.expired) {
            finding.suppressed = Some(valid.suppressed.clone());
        } else if let Some(Suppression { suppressed, .. }) = all.next() {
            let until = suppressed.until.as_deref().unwrap_or_default();
            let note = format!("the suppression `{}` ended on {until}", suppressed.reason);
            finding.notes.push(note);
        }
        finding.baseline =
            self.baseline.as_ref().is_some_and(|it| it.contains(&finding.fingerprint));
    }

    /// That a device is down is no more than a remark where the profile expects it.
    fn expect_down(&self, finding: &mut Finding) {
        let Some(profile) = self.profile.filter(|_| OF_DOWN.contains(&finding.rule.code)) else {
            return;
        };
        let name = finding.object.name.rsplit('/').next().unwrap_or_default();
        let fits = |it: &&&str| match it.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => **it == name,
        };
        if let Some(pattern) = profile.expects_down().iter().find(fits) {
            finding.at_most(Severity::Info);
            let note = format!("the profile {} expects {pattern} to be down", profile.as_str());
            finding.notes.push(note);
        }
    }

    /// Suppressions that fit no finding although their rule has judged all that they are about,
    /// by their index.
    pub(crate) fn unused(&self, report: &Report, hosts: &[&str]) -> Vec<usize> {
        let host_of = |id: tapline_core::capture::HostId| hosts.get(id.0 as usize).copied();
        let is_unused = |it: &Scope| {
            let meant = |host: &str| it.host.as_ref().is_none_or(|glob| glob.matches(host));
            let ran = report.clean.iter().any(|(code, _)| *code == it.code);
            let open = report
                .cannot_tell
                .iter()
                .any(|open| open.code == it.code && host_of(open.host).is_some_and(meant));
            let fits = |finding: &Finding| {
                host_of(finding.host).is_some_and(|host| it.holds(finding, host))
            };
            // What was not judged may well be there.
            ran && !open && hosts.iter().any(|it| meant(it)) && !report.findings.iter().any(fits)
        };
        let all = self.suppressions.iter().enumerate();
        all.filter(|(_, it)| is_unused(&it.scope)).map(|(at, _)| at).collect()
    }
}

/// Rules that say of a device that it is down.
const OF_DOWN: &[&str] = &["NIC-001", "LBR-004", "OVS-014", "NS-008"];

/// What people may set and the rules that ask for it, by code; a population root stands under the
/// code of its rule. Settings that all rules heed are not here.
pub const READERS: &[(&str, &[&str])] = &[
    ("env.l2pop", &["TUN-002", "OVS-016", "XHOST-002"]),
    ("env.firewall", &["IPT-002"]),
    ("env.config_drive_only", &["NS-007"]),
    ("env.physnet_mtu", &["MTU-003"]),
    ("env.expected_bridges", &["OVS-006", "OVS-007"]),
    ("env.hosts_in_mesh", &["XHOST-002"]),
    ("thresholds.counter_ratio", &["NIC-002", "NIC-003"]),
    ("thresholds.counter_min", &["NIC-002", "NIC-003"]),
    ("thresholds.neigh_ratio", &["IPT-005", "L3-011"]),
    ("thresholds.link_flaps", &["NIC-005", "TUN-009"]),
    ("thresholds.orphan_warn", &["LBR-005", "OVS-018"]),
];
