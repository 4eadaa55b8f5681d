//! What a rule finds: the fault, what proves it, and what to do next.
use std::fmt;

use serde::Serialize;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_topology::NodeId;
use tapline_topology::coverage::Searched;

use super::rule::RuleRef;
use super::subject::Subject;

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

/// What stands behind a finding, where the relation of causes has to know it.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Shape {
    /// One object.
    #[default]
    One,
    /// Most objects of a host or a bridge: whatever they have in common is at fault.
    Population,
    /// A patch to an interface that no bridge has.
    AbsentPeer,
    /// Something that an agent began and did not finish.
    Unfinished,
    /// A namespace lacks something because it has no port for it.
    NoPort,
    /// A device is switched off, though it is there.
    SwitchedOff,
    /// The path of a VLAN between the integration bridge and a provider bridge.
    Provider,
}

/// How many users hang on something that is at fault: what may be cut off by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug, Serialize)]
pub struct Blast {
    /// VMs that are started.
    pub vms: u32,
    /// Those of them that do not run at the moment: paused, or being shut down.
    #[serde(skip)]
    pub halted: u32,
    /// Namespaces other than root.
    pub namespaces: u32,
}

impl Blast {
    /// All users.
    pub fn total(self) -> u32 {
        self.vms.saturating_add(self.namespaces)
    }

    /// The greater of each number.
    pub(crate) fn or_more(self, other: Self) -> Self {
        Self {
            vms: self.vms.max(other.vms),
            halted: self.halted.max(other.halted),
            namespaces: self.namespaces.max(other.namespaces),
        }
    }
}

/// Why a finding is accepted, and until when.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Suppressed {
    /// Why.
    pub reason: String,
    /// The last day, as `2026-12-31`.
    pub until: Option<String>,
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
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
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
    pub rule: RuleRef,
    /// Severity, as lowered.
    pub severity: Severity,
    /// Confidence, as lowered.
    pub confidence: Confidence,
    /// The host it is on.
    pub host: HostId,
    /// The namespace that the object lives in, if it lives in one.
    pub netns: Option<Netns>,
    /// What is at fault.
    pub subject: Subject,
    /// Its node; where it is none, the node that it is part of or stands at.
    pub node: Option<NodeId>,
    /// Object, fact and consequence in one line, lower case, no full stop. Without host and object
    /// name, which renderers put in front.
    pub message: String,
    /// The evidence, primary first.
    pub evidence: Vec<Cited>,
    /// Completely captured texts that were searched in vain.
    pub searched: Vec<Searched>,
    /// The fault is that something is not there, so it depends on texts of one time.
    pub rests_on_absence: bool,
    /// Remarks: what else is known, what is not.
    pub notes: Vec<String>,
    /// Commands to run next.
    pub next: Vec<String>,
    /// Further things with the same fault, where one finding stands for several.
    pub also: Vec<Subject>,
    /// What stands behind it.
    pub shape: Shape,
    /// Frames may pass all the same: it cuts no path, whatever its rule says.
    pub may_pass: bool,
    /// Further captured hosts that it is about.
    pub peers: Vec<HostId>,
    /// Further nodes that it is about.
    pub nodes: Vec<NodeId>,
    /// Stable over runs: depends on rule, machine and object, not on lines, indexes or order.
    pub fingerprint: String,
    /// The same for every capture of the machine, where [`Self::fingerprint`] tells them apart.
    pub of_machine: String,
    /// It is known and accepted.
    pub suppressed: Option<Suppressed>,
    /// It was there before: the baseline holds [`Self::of_machine`].
    pub baseline: bool,
    /// Fingerprint of the finding that this one follows from; `None` for a root.
    pub explained_by: Option<String>,
    /// Fingerprints of further findings that would explain it alone.
    pub also_explained_by: Vec<String>,
    /// Fingerprints of findings that may explain it and are not sure enough to.
    pub maybe_explained_by: Vec<String>,
    /// Fingerprints of all findings that follow from this one, directly or not.
    pub explains: Vec<String>,
    /// How many running VMs and namespaces hang on what is at fault.
    pub blast: Blast,
}

impl Finding {
    /// Whether somebody has to look at it: neither accepted nor there before.
    pub fn is_open(&self) -> bool {
        self.suppressed.is_none() && !self.baseline
    }

    /// Whether it follows from no other finding.
    pub fn is_root(&self) -> bool {
        self.explained_by.is_none()
    }

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

    /// Cites the complete texts whose silence proves the fault.
    pub fn rests_on_absence(&mut self, searched: Searched) -> &mut Self {
        self.rests_on_absence = true;
        self.absent(searched)
    }

    /// Names a further thing with the same fault.
    pub fn also(&mut self, subject: impl Into<Subject>) -> &mut Self {
        self.also.push(subject.into());
        self
    }

    /// Says what stands behind it.
    pub(crate) fn shaped(&mut self, shape: Shape) -> &mut Self {
        self.shape = shape;
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
