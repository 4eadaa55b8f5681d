//! What a person may set: facts that captures cannot tell, thresholds, and what is not a fault
//! here. Plain data; where it is written down is not known here.
use std::collections::BTreeSet;

use tapline_core::ids::Netns;
pub use tapline_network::environment::{Environment, Firewall, Glob, Profile};

use super::finding::{Finding, Severity, Suppressed};
use super::rule::{Software, Text};

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

/// Software that machines of this sort do not run: rules about it have nothing to look at.
pub fn lacks(profile: Profile) -> &'static [Software] {
    use Software::{Kubernetes, Neutron, NeutronAgent, Ovn};
    match profile {
        Profile::OpenstackOvs => &[Ovn, Kubernetes],
        Profile::OpenstackOvn => &[NeutronAgent, Kubernetes],
        Profile::K8s => &[Neutron, NeutronAgent],
        Profile::Libvirt | Profile::Lxd | Profile::Generic => {
            &[Neutron, NeutronAgent, Ovn, Kubernetes]
        }
    }
}

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

/// Findings of one rule, on all hosts and objects or on some.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Code of the rule.
    pub code: Text,
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
            && self.netns.as_ref().is_none_or(|netns| netns.matches(&of_finding(finding)))
            && self.object.as_ref().is_none_or(|glob| {
                finding.subject.names(finding.netns.as_ref()).any(|name| glob.matches(&name))
            })
    }
}

/// The namespace that a finding is in.
fn of_finding(finding: &Finding) -> String {
    finding.netns.as_ref().unwrap_or(&Netns::Root).to_string()
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
        let fits = |suppression: &&Suppression| suppression.scope.holds(finding, host);
        let mut all = self.suppressions.iter().filter(fits);
        if let Some(valid) = all.clone().find(|clone| !clone.expired) {
            finding.suppressed = Some(valid.suppressed.clone());
        } else if let Some(Suppression { suppressed, .. }) = all.next() {
            let until = suppressed.until.as_deref().unwrap_or_default();
            let note = format!("the suppression `{}` ended on {until}", suppressed.reason);
            finding.notes.push(note);
        }
        finding.baseline =
            self.baseline.as_ref().is_some_and(|baseline| baseline.contains(&finding.of_machine));
    }

    /// That a device is down is no more than a remark where the profile expects it.
    fn expect_down(&self, finding: &mut Finding) {
        let Some(profile) = self.profile.filter(|_| finding.rule.traits.reports_down) else {
            return;
        };
        let name = finding.subject.own_name();
        let fits = |pattern: &&&str| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => **pattern == name,
        };
        if let Some(pattern) = profile.expects_down().iter().find(fits) {
            finding.at_most(Severity::Info);
            let note = format!("the profile {} expects {pattern} to be down", profile.as_str());
            finding.notes.push(note);
        }
    }
}
