//! Lint: rules over the topology, each with three answers.
//!
//! A rule says of each object that it looks at: *fire* (a [`Finding`]), *clean*, or *cannot tell*
//! (with the commands that would decide). [`run`] gathers the answers of all rules in a fixed
//! order.
pub mod rules;

use std::collections::BTreeMap;
use std::fmt;

use rayon::prelude::*;
use serde::Serialize;
use tapline_model::capture::HostId;
use tapline_model::ids::Netns;
use tapline_model::span::Evidence;
use tapline_topology::coverage::Searched;
use tapline_topology::{NodeId, Topology};

/// How bad a finding is. From mild to severe.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// A leftover, context, hygiene.
    Info,
    /// Degraded, or breaks on the next event.
    Warning,
    /// The data path of an identified object is broken, or a safety property is off.
    Error,
}

/// How sure a finding is, whatever its severity. From weak to strong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// A heuristic, a threshold, an inference over hosts or times.
    Suspect,
    /// One complete record and a documented convention of the software that made it.
    Strong,
    /// The tool says so, or two complete records do; no convention is needed.
    Proven,
}

/// A lint rule: static data and one function.
#[derive(Debug)]
pub struct Rule {
    /// Stable code: `OVS-001`. Never reused.
    pub code: &'static str,
    /// Stable id in kebab-case; says what is wrong.
    pub id: &'static str,
    /// One line: what it finds.
    pub summary: &'static str,
    /// The severity of its findings, where nothing lowers it.
    pub severity: Severity,
    /// The confidence of its findings, where nothing lowers it.
    pub confidence: Confidence,
    /// Its page in Markdown: `tapline explain`, the documentation, and tests.
    pub page: &'static str,
    /// Looks at everything that it is about and gives a verdict on each.
    pub check: fn(&Ctx<'_>, &mut Verdicts),
}

/// What a rule may look at.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// The topology, with its snapshot and coverage.
    pub topology: &'a Topology<'a>,
}

/// The object of a finding.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct Object {
    /// Kind of node: `ovs-interface`, `netdev`, `vm-nic`, …
    pub kind: &'static str,
    /// Name as a person would say it: `br-int/qvoe0f204ea-12`.
    pub name: String,
}

/// What a piece of evidence is there for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It proves the fault.
    Primary,
    /// It says what the fault is about.
    Context,
    /// It was searched completely, and what would deny the fault is not there.
    Absence,
}

/// One piece of evidence of a finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cited {
    /// What it is there for.
    pub role: Role,
    /// The place.
    pub evidence: Evidence,
    /// What it says, in a few words.
    pub label: String,
}

/// A fault.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// Severity, as lowered.
    pub severity: Severity,
    /// Confidence, as lowered.
    pub confidence: Confidence,
    /// The host it is on.
    pub host: HostId,
    /// The namespace that the object lives in, if it lives in one.
    pub netns: Option<Netns>,
    /// What is at fault.
    pub object: Object,
    /// Its node.
    pub node: Option<NodeId>,
    /// Object, fact and consequence in one line, lower case, no full stop. Without host and object
    /// name, which renderers put in front.
    pub message: String,
    /// The evidence, primary first.
    pub evidence: Vec<Cited>,
    /// Completely captured texts that were searched in vain.
    pub searched: Vec<Searched>,
    /// Remarks: what else is known, what is not.
    pub notes: Vec<String>,
    /// Commands to run next.
    pub next: Vec<String>,
    /// Names of further objects with the same fault, where one finding stands for several.
    pub also: Vec<String>,
    /// Stable over runs: depends on rule, host and object, not on lines, indexes or order.
    pub fingerprint: String,
}

/// Something that a rule could not decide.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CannotTell {
    /// The rule.
    pub code: &'static str,
    /// The host.
    pub host: HostId,
    /// Commands whose output would decide.
    pub missing: Vec<String>,
    /// How many objects are undecided.
    pub count: u32,
}

/// What a rule says.
#[derive(Debug, Default)]
pub struct Verdicts {
    pub(crate) findings: Vec<Finding>,
    pub(crate) clean: u32,
    pub(crate) cannot_tell: BTreeMap<(HostId, Vec<String>), u32>,
}

impl Verdicts {
    /// One object was looked at and is as it should be.
    pub fn clean(&mut self) {
        self.clean += 1;
    }

    /// One object could not be judged for want of these commands.
    pub fn cannot_tell(&mut self, host: HostId, missing: impl IntoIterator<Item = String>) {
        let mut missing: Vec<_> = missing.into_iter().collect();
        missing.sort();
        missing.dedup();
        *self.cannot_tell.entry((host, missing)).or_default() += 1;
    }

    /// One object is at fault. Details are added to what this returns.
    pub fn fire(
        &mut self,
        rule: &'static Rule,
        host: HostId,
        object: Object,
        message: impl Into<String>,
    ) -> &mut Finding {
        let finding = Finding {
            rule,
            severity: rule.severity,
            confidence: rule.confidence,
            host,
            netns: None,
            object,
            node: None,
            message: message.into(),
            evidence: Vec::new(),
            searched: Vec::new(),
            notes: Vec::new(),
            next: Vec::new(),
            also: Vec::new(),
            fingerprint: String::new(),
        };
        self.findings.push(finding);
        // The vector is not empty: its last element is the one just pushed.
        let last = self.findings.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "an element was pushed on the line above")]
        &mut self.findings[last]
    }
}

impl Finding {
    /// Cites the text that proves it.
    pub fn primary(&mut self, evidence: Evidence, label: impl Into<String>) -> &mut Self {
        self.cite(Role::Primary, evidence, label)
    }

    /// Cites a text that says what it is about.
    pub fn context(&mut self, evidence: Evidence, label: impl Into<String>) -> &mut Self {
        self.cite(Role::Context, evidence, label)
    }

    fn cite(&mut self, role: Role, evidence: Evidence, label: impl Into<String>) -> &mut Self {
        self.evidence.push(Cited { role, evidence, label: label.into() });
        self
    }

    /// Cites the complete texts in which it was looked for in vain.
    pub fn absent(&mut self, searched: Searched) -> &mut Self {
        self.searched.push(searched);
        self
    }

    /// The node that is at fault.
    pub fn at(&mut self, node: NodeId, netns: Option<&Netns>) -> &mut Self {
        self.node = Some(node);
        self.netns = netns.cloned();
        self
    }

    /// Lowers the severity; never raises it.
    pub fn at_most(&mut self, severity: Severity) -> &mut Self {
        self.severity = self.severity.min(severity);
        self
    }

    /// Lowers the confidence; never raises it.
    pub fn no_surer_than(&mut self, confidence: Confidence) -> &mut Self {
        self.confidence = self.confidence.min(confidence);
        self
    }

    /// Adds a remark.
    pub fn note(&mut self, note: impl Into<String>) -> &mut Self {
        self.notes.push(note.into());
        self
    }

    /// Adds a command to run next.
    pub fn next(&mut self, command: impl Into<String>) -> &mut Self {
        self.next.push(command.into());
        self
    }
}

/// The answers of all rules.
#[derive(Debug, Default)]
pub struct Report {
    /// Faults, the most severe first, then by code, host and object.
    pub findings: Vec<Finding>,
    /// What could not be decided, by code and host.
    pub cannot_tell: Vec<CannotTell>,
    /// How many objects each rule found as they should be, in the order of the rules.
    pub clean: Vec<(&'static str, u32)>,
}

/// Runs `rules` over the topology.
pub fn run(topology: &Topology<'_>, rules: &[&'static Rule]) -> Report {
    let ctx = Ctx { topology };
    let answers: Vec<Verdicts> = rules
        .par_iter()
        .map(|rule| {
            let mut verdicts = Verdicts::default();
            (rule.check)(&ctx, &mut verdicts);
            verdicts
        })
        .collect();
    let mut report = Report::default();
    for (rule, verdicts) in rules.iter().zip(answers) {
        report.findings.extend(verdicts.findings);
        report.clean.push((rule.code, verdicts.clean));
        report.cannot_tell.extend(
            verdicts.cannot_tell.into_iter().map(|((host, missing), count)| CannotTell {
                code: rule.code,
                host,
                missing,
                count,
            }),
        );
    }
    report
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Suspect => "suspect",
            Self::Strong => "strong",
            Self::Proven => "proven",
        })
    }
}
