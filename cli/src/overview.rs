//! What each host is: one screen of it, gathered once for all forms of output.
//!
//! Everything here was captured and has its place; what was not is left out or named as such. The
//! rows serialize as they are: they are the JSON of `tapline info`.
mod guests;
mod role;
mod wires;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use tapline_analysis::lint::{Finding, Report};
use tapline_core::Name;
use tapline_core::capture::{HostId, Snapshot};
use tapline_core::ids::Netns;
use tapline_core::records::ovs::OvsRow;
use tapline_core::span::Evidence;
use tapline_network::Network;
use tapline_topology::graph::Fact;
use tapline_topology::{CaptureKey, Coverage, NodeData, Topic};

pub(crate) use guests::{Container, Guest, GuestAddress, NO_BRIDGE, guest_addresses};
pub(crate) use role::Roles;
pub(crate) use wires::{
    Bond, Bridge, DefaultRoute, Holder, Namespace, Nic, OvsBridge, Tunnel, link, sort_of,
};

use crate::addresses::Addresses;

/// Where something stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, JsonSchema, Serialize)]
pub(crate) struct Cite {
    /// The input, as it was named.
    pub(crate) archive: String,
    /// Path inside it; empty where the input is one file.
    pub(crate) member: String,
    /// From one.
    pub(crate) line: u32,
    #[serde(skip)]
    pub(crate) evidence: Evidence,
}

impl Cite {
    /// The place of a piece of evidence.
    pub(crate) fn of(snapshot: &Snapshot, evidence: Evidence) -> Option<Self> {
        let source = snapshot.source(evidence.source)?;
        Some(Self {
            archive: source.archive.to_string(),
            member: source.member.to_string(),
            line: source.line_numbers(evidence.span).0,
            evidence,
        })
    }
}

/// What a text says, and where.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Stated {
    /// As printed.
    pub(crate) value: String,
    /// Where.
    pub(crate) at: Option<Cite>,
}

/// One capture of one machine: what a ticket asks for first.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Headline {
    /// Its name, unique in a run.
    pub(crate) host: String,
    /// Which capture of which machine: the beginning of the keys of its nodes.
    pub(crate) key: Option<String>,
    /// The inputs that it was read from.
    pub(crate) inputs: Vec<String>,
    /// When it was looked at, in UTC: `2026-11-22 13:06`; null where no time was captured.
    pub(crate) captured: Option<String>,
    /// Seconds since it was started.
    pub(crate) uptime_s: Option<u64>,
    /// Version of sos that made the report.
    pub(crate) sos: Option<String>,
    /// `sos clean` replaced names and addresses.
    pub(crate) cleaned: bool,
    /// What it is.
    #[serde(flatten)]
    pub(crate) roles: Roles,
    /// What the distribution calls itself.
    pub(crate) os: Option<Stated>,
    /// Kernel release.
    pub(crate) kernel: Option<Stated>,
    /// Version of Open vSwitch.
    pub(crate) ovs: Option<Stated>,
    /// How many virtual machines are in each state.
    pub(crate) vm_states: BTreeMap<String, usize>,
}

/// One host, with what it is made of.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Host {
    #[serde(flatten)]
    pub(crate) headline: Headline,
    /// Its NICs.
    pub(crate) nics: Vec<Nic>,
    /// Other devices of its root namespace that have addresses.
    pub(crate) addresses: Vec<Holder>,
    /// Default routes of its root namespace.
    pub(crate) default_routes: Vec<DefaultRoute>,
    /// Bonds and teams.
    pub(crate) bonds: Vec<Bond>,
    /// Linux bridges.
    pub(crate) bridges: Vec<Bridge>,
    /// Bridges of Open vSwitch.
    pub(crate) ovs_bridges: Vec<OvsBridge>,
    /// Tunnels.
    pub(crate) tunnels: Vec<Tunnel>,
    /// Virtual machines.
    pub(crate) vms: Vec<Guest>,
    /// Containers that were captured.
    pub(crate) containers: Vec<Container>,
    /// Other namespaces.
    pub(crate) namespaces: Vec<Namespace>,
    /// What is broken, the most important first.
    pub(crate) broken: Vec<Root>,
    /// Questions that the capture does not answer in full.
    pub(crate) not_captured: Vec<Gap>,
}

/// A question that is open.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Gap {
    /// What is not known.
    pub(crate) what: String,
    /// `partial`, `failed` or `not-captured`.
    pub(crate) state: &'static str,
    /// The command that tells.
    pub(crate) command: String,
}

/// One root of the report, in short.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Root {
    /// The rule.
    pub(crate) code: String,
    /// How bad it is.
    pub(crate) severity: String,
    /// What it is about.
    pub(crate) object: String,
    /// The fault.
    pub(crate) message: String,
    /// Running and halted VMs that hang on it.
    pub(crate) vms: u32,
    /// Namespaces that hang on it.
    pub(crate) namespaces: u32,
    /// The line that proves it.
    pub(crate) at: Option<Cite>,
    /// Stable over runs.
    pub(crate) fingerprint: String,
}

impl Root {
    /// A finding in short.
    pub(crate) fn of(snapshot: &Snapshot, finding: &Finding) -> Self {
        Self {
            code: finding.rule.code.to_string(),
            severity: finding.severity.to_string(),
            object: object(finding),
            message: finding.message.clone(),
            vms: finding.blast.vms,
            namespaces: finding.blast.namespaces,
            at: first_place(snapshot, finding).and_then(|at| Cite::of(snapshot, at)),
            fingerprint: finding.fingerprint.clone(),
        }
    }
}

/// What a finding is about, with its namespace where the name does not say it.
pub(crate) fn object(finding: &Finding) -> String {
    let netns = finding.netns.as_ref().and_then(Netns::name);
    match netns.filter(|netns| !finding.subject.name.contains(netns)) {
        Some(netns) => format!("{netns}/{}", finding.subject.name),
        None => finding.subject.name.clone(),
    }
}

/// The place that proves a finding: the first line that is cited, else the text that was searched in
/// vain.
pub(crate) fn first_place(snapshot: &Snapshot, finding: &Finding) -> Option<Evidence> {
    let cited = finding.evidence.first().map(|cited| cited.evidence);
    cited.or_else(|| {
        let searched = finding.searched.iter().flat_map(|searched| &searched.sources);
        let source = searched.into_iter().find_map(|(id, _)| snapshot.source(*id))?;
        Some(Evidence { source: source.id, span: tapline_core::span::Span::default() })
    })
}

/// The findings that are shown where nothing more is asked for: open ones that follow from no open
/// one, the most severe first.
pub(crate) fn roots(report: &Report) -> Vec<&Finding> {
    let by_fingerprint: BTreeMap<&str, &Finding> =
        report.findings.iter().map(|finding| (finding.fingerprint.as_str(), finding)).collect();
    let open = report.findings.iter().filter(|finding| finding.is_open());
    let mut roots: Vec<&Finding> =
        open.filter(|finding| !follows_from_open(finding, &by_fingerprint)).collect();
    // The report has roots by severity; what follows from an accepted one stands behind that.
    roots.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    roots
}

/// Whether a finding follows from one that is shown itself: not from accepted ones alone.
pub(crate) fn follows_from_open(
    finding: &Finding,
    by_fingerprint: &BTreeMap<&str, &Finding>,
) -> bool {
    let mut cause = finding.explained_by.as_deref();
    // Causes do not run in circles; a number of steps is no more than a guard.
    for _ in 0..by_fingerprint.len() {
        match cause.and_then(|cause| by_fingerprint.get(cause)) {
            Some(it) if it.is_open() => return true,
            Some(it) => cause = it.explained_by.as_deref(),
            None => break,
        }
    }
    false
}

/// All hosts of a run.
pub(crate) fn hosts(network: &Network<'_>, report: &Report) -> Vec<Host> {
    let addresses = Addresses::new(network);
    let roots = roots(report);
    network.hosts().map(|id| host(network, &addresses, &roots, id)).collect()
}

/// One host.
pub(crate) fn host(
    network: &Network<'_>,
    addresses: &Addresses,
    roots: &[&Finding],
    id: HostId,
) -> Host {
    let snapshot = network.topology.snapshot;
    let about = |finding: &&&Finding| finding.host == id || finding.peers.contains(&id);
    let (containers, namespaces) = wires::namespaces(network, id);
    Host {
        headline: headline(network, id),
        nics: wires::nics(network, id),
        addresses: wires::holders(network, id),
        default_routes: wires::default_routes(network, id),
        bonds: wires::bonds(network, id),
        bridges: wires::bridges(network, id),
        ovs_bridges: wires::ovs_bridges(network, id),
        tunnels: wires::tunnels(network, id),
        vms: guests::vms(network, addresses, id),
        containers,
        namespaces,
        broken: roots.iter().filter(about).map(|root| Root::of(snapshot, root)).collect(),
        not_captured: gaps(network, id),
    }
}

/// What a ticket asks for first of one host.
pub(crate) fn headline(network: &Network<'_>, id: HostId) -> Headline {
    /// Of a machine whose state nothing tells.
    const UNKNOWN: &str = "in a state that was not captured";
    let snapshot = network.topology.snapshot;
    let captured = snapshot.host(id);
    let node = wires::host_node(network, id).and_then(|node| network.topology.node(node));
    let node = node.and_then(|node| match &node.data {
        NodeData::Host(host) => Some(host),
        _ => None,
    });
    let stated = |fact: &Fact<Name>| Stated {
        value: fact.value.to_string(),
        at: Cite::of(snapshot, fact.evidence),
    };
    let mut vm_states: BTreeMap<String, usize> = BTreeMap::new();
    for vm in network.vms().filter(|vm| vm.host == id) {
        let state = vm.data.state.as_ref().map_or(UNKNOWN, |state| state.value.as_str());
        *vm_states.entry(state.to_owned()).or_default() += 1;
    }
    Headline {
        host: snapshot.host_label(id).to_owned(),
        key: CaptureKey::of(snapshot, id).map(|key| key.to_string()),
        inputs: captured.map(|host| host.inputs.clone()).unwrap_or_default(),
        captured: captured.and_then(|host| host.taken).map(|taken| taken.to_string()),
        uptime_s: network.nics().uptime(id),
        sos: captured.and_then(|host| host.sos_version.clone()),
        cleaned: captured.is_some_and(|host| host.cleaned),
        roles: role::roles(network, id),
        os: node.and_then(|host| host.os.as_ref()).map(stated),
        kernel: node.and_then(|host| host.kernel.as_ref()).map(stated),
        ovs: ovs_version(network, id),
        vm_states,
    }
}

/// The version that `ovs-vsctl` prints.
fn ovs_version(network: &Network<'_>, host: HostId) -> Option<Stated> {
    let texts = network.ovs_texts().filter(|(source, _)| source.host == host);
    texts.into_iter().find_map(|(source, records)| {
        let version = records.iter().find_map(|record| match &record.row {
            OvsRow::OpenVswitch(row) => row.version.as_ref(),
            _ => None,
        })?;
        let at = Cite::of(network.topology.snapshot, version.evidence(source.id));
        Some(Stated { value: version.value.to_string(), at })
    })
}

/// Questions about the host and its root namespace that are not answered in full.
pub(crate) fn gaps(network: &Network<'_>, host: HostId) -> Vec<Gap> {
    let coverage = &network.topology.coverage;
    let asked = Topic::ALL.iter().filter(|topic| !topic.is_special());
    let open = asked.filter_map(|&topic| {
        let state = match coverage.of(host, &Netns::Root, topic) {
            Coverage::Complete(_) => return None,
            Coverage::Partial(_) => "partial",
            Coverage::Failed { .. } => "failed",
            Coverage::NotCaptured => "not-captured",
        };
        let command = topic.command(&Netns::Root).to_string();
        Some(Gap { what: topic.name().to_owned(), state, command })
    });
    open.collect()
}
