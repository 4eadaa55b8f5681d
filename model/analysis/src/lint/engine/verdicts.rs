//! The three answers of one rule.
use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::need::Need;
use tapline_topology::NodeId;

use super::ctx::Ctx;
use super::finding::{Blast, Finding, Shape};
use super::rule::{RuleRef, Text};
use super::subject::Subject;

/// Something that a rule could not decide.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CannotTell {
    /// The rule.
    pub code: Text,
    /// The host.
    pub host: HostId,
    /// Commands whose output would decide.
    pub missing: Vec<Need>,
    /// How many objects are undecided.
    pub count: u32,
}

/// What a rule says.
#[derive(Debug)]
pub struct Verdicts {
    pub(crate) rule: RuleRef,
    pub(crate) findings: Vec<Finding>,
    pub(crate) clean: u32,
    cannot_tell: BTreeMap<(HostId, Vec<Need>), u32>,
    /// The last objects that could not be judged, all for want of the same commands as they were named:
    /// often each port of a host wants all of its namespaces.
    open: Option<(HostId, Vec<Need>, u32)>,
}

impl Verdicts {
    /// No answer yet.
    pub(crate) fn new(rule: RuleRef) -> Self {
        Self { rule, findings: Vec::new(), clean: 0, cannot_tell: BTreeMap::new(), open: None }
    }

    /// One object was looked at and is as it should be.
    pub fn clean(&mut self) {
        self.clean += 1;
    }

    /// One object could not be judged for want of these commands.
    pub fn cannot_tell(&mut self, host: HostId, missing: impl IntoIterator<Item: Into<Need>>) {
        let missing: Vec<Need> = missing.into_iter().map(Into::into).collect();
        match &mut self.open {
            Some((of, same, count)) if *of == host && *same == missing => *count += 1,
            _ => {
                self.close();
                self.open = Some((host, missing, 1));
            }
        }
    }

    fn close(&mut self) {
        let Some((host, mut missing, count)) = self.open.take() else { return };
        missing.sort();
        missing.dedup();
        *self.cannot_tell.entry((host, missing)).or_default() += count;
    }

    /// What could not be judged, for want of which commands, and how often.
    pub(crate) fn take_cannot_tell(&mut self) -> BTreeMap<(HostId, Vec<Need>), u32> {
        self.close();
        std::mem::take(&mut self.cannot_tell)
    }

    /// The thing at `node` is at fault. Details are added to what this returns.
    pub fn fault(
        &mut self,
        ctx: &Ctx<'_>,
        host: HostId,
        node: NodeId,
        message: impl Into<String>,
    ) -> &mut Finding {
        let netns = ctx.topology.node(node).and_then(|node| node.netns.clone());
        let finding = self.fire(host, ctx.subject(node), message);
        finding.netns = netns;
        finding
    }

    /// Something that need not be a node is at fault. Details are added to what this returns.
    pub fn fire(
        &mut self,
        host: HostId,
        subject: impl Into<Subject>,
        message: impl Into<String>,
    ) -> &mut Finding {
        let subject = subject.into();
        let finding = Finding {
            rule: self.rule.clone(),
            severity: self.rule.severity,
            confidence: self.rule.confidence,
            host,
            netns: None,
            node: subject.id(),
            subject,
            message: message.into(),
            evidence: Vec::new(),
            searched: Vec::new(),
            rests_on_absence: false,
            notes: Vec::new(),
            next: Vec::new(),
            also: Vec::new(),
            shape: Shape::One,
            peers: Vec::new(),
            nodes: Vec::new(),
            fingerprint: String::new(),
            of_machine: String::new(),
            suppressed: None,
            baseline: false,
            explained_by: None,
            also_explained_by: Vec::new(),
            maybe_explained_by: Vec::new(),
            explains: Vec::new(),
            may_pass: false,
            blast: Blast::default(),
        };
        self.findings.push(finding);
        // The vector is not empty: its last element is the one just pushed.
        let last = self.findings.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "an element was pushed on the line above")]
        &mut self.findings[last]
    }
}
