//! What was captured of each host and namespace, and so what its absence proves.
use std::collections::BTreeMap;
use std::fmt;

use tapline_core::capture::{Completeness, HostId};
use tapline_core::ids::Netns;
use tapline_core::need::Need;
pub use tapline_core::request::Topic;
use tapline_core::span::SourceId;

use crate::graph::NodeId;

/// How well one question is answered for one namespace. From worst to best.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Coverage {
    /// No text at all.
    #[default]
    NotCaptured,
    /// The only texts are error messages.
    Failed {
        /// One of them.
        source: SourceId,
        /// The tool's words.
        reason: String,
    },
    /// Texts that show a part.
    Partial(Vec<SourceId>),
    /// At least one text that shows all.
    Complete(Vec<SourceId>),
}

impl Coverage {
    /// Whether absence means absence.
    pub fn is_complete(&self) -> bool {
        matches!(self, Self::Complete(_))
    }

    /// The texts that answer, the complete ones first.
    pub fn sources(&self) -> &[SourceId] {
        match self {
            Self::Partial(all) | Self::Complete(all) => all,
            Self::NotCaptured | Self::Failed { .. } => &[],
        }
    }

    /// Adds what one more source shows.
    pub(crate) fn add(&mut self, source: SourceId, completeness: &Completeness) {
        match completeness {
            Completeness::Complete => match self {
                Self::Complete(all) => all.push(source),
                Self::Partial(all) => {
                    // The complete text is the better witness: it goes first.
                    let mut sources = vec![source];
                    sources.append(all);
                    *self = Self::Complete(sources);
                }
                Self::NotCaptured | Self::Failed { .. } => *self = Self::Complete(vec![source]),
            },
            Completeness::Partial(_) => match self {
                Self::Complete(_) => {}
                Self::Partial(all) => all.push(source),
                Self::NotCaptured | Self::Failed { .. } => *self = Self::Partial(vec![source]),
            },
            Completeness::Failed(reason) => {
                if *self == Self::NotCaptured {
                    *self = Self::Failed { source, reason: reason.clone() };
                }
            }
        }
    }
}

/// Coverage of all hosts.
#[derive(Clone, Debug, Default)]
pub struct Coverages {
    hosts: BTreeMap<HostId, BTreeMap<(Netns, Topic), Coverage>>,
    /// Why answers that looked complete are taken for partial ones.
    doubts: BTreeMap<(HostId, Netns, Topic), String>,
}

impl Coverages {
    /// How well `topic` is answered for a namespace. Topics of the host are asked of its root.
    pub fn of(&self, host: HostId, netns: &Netns, topic: Topic) -> &Coverage {
        static NOT_CAPTURED: Coverage = Coverage::NotCaptured;
        let answers = self.hosts.get(&host);
        answers.and_then(|all| all.get(&(netns.clone(), topic))).unwrap_or(&NOT_CAPTURED)
    }

    /// Whether absence means absence.
    pub fn is_complete(&self, host: HostId, netns: &Netns, topic: Topic) -> bool {
        self.of(host, netns, topic).is_complete()
    }

    /// All answers of a host, by namespace and topic.
    pub fn host(&self, host: HostId) -> impl Iterator<Item = (&Netns, Topic, &Coverage)> {
        let answers = self.hosts.get(&host).into_iter().flatten();
        answers.map(|((netns, topic), coverage)| (netns, *topic, coverage))
    }

    /// Why an answer that looked complete is taken for a partial one.
    pub fn doubt(&self, host: HostId, netns: &Netns, topic: Topic) -> Option<&str> {
        self.doubts.get(&(host, netns.clone(), topic)).map(String::as_str)
    }

    /// Takes a complete answer for a partial one.
    pub(crate) fn doubt_complete(&mut self, host: HostId, netns: &Netns, topic: Topic, why: &str) {
        let answers = self.hosts.get_mut(&host);
        let coverage = answers.and_then(|all| all.get_mut(&(netns.clone(), topic)));
        if let Some(coverage) = coverage
            && let Coverage::Complete(sources) = coverage
        {
            *coverage = Coverage::Partial(std::mem::take(sources));
            self.doubts.insert((host, netns.clone(), topic), why.to_owned());
        }
    }

    /// The answer to change.
    pub(crate) fn entry(&mut self, host: HostId, netns: &Netns, topic: Topic) -> &mut Coverage {
        self.hosts.entry(host).or_default().entry((netns.clone(), topic)).or_default()
    }
}

/// Is it there? Yes, no, or not told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Presence {
    /// Yes: here.
    Yes(NodeId),
    /// No: these complete texts were searched.
    No(Searched),
    /// Not told: these commands would.
    Unknown(Vec<Need>),
}

/// Absence as evidence: the complete texts that were searched, and for what.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Searched {
    /// What was looked for: device names, an index, an address.
    pub keys: Vec<String>,
    /// The texts, each with how many records it has.
    pub sources: Vec<(SourceId, usize)>,
    /// How many named namespaces were among them.
    pub namespaces: usize,
}

impl fmt::Display for Searched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} not found in {} texts", self.keys.join(", "), self.sources.len())
    }
}
