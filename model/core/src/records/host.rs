//! The machine itself: `hostname`, `uname`, `uptime`, `date`.
use serde::Serialize;

use crate::Name;
use crate::span::{At, Span};

/// One fact about the machine.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct HostFact {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// The fact.
    #[serde(flatten)]
    pub fact: Fact,
}

/// What is said.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "fact", content = "value", rename_all = "kebab-case")]
pub enum Fact {
    /// `hostname`, `/etc/hostname`.
    Hostname(At<Name>),
    /// `uname -a`: node name and kernel release.
    Uname {
        /// Node name; `uname -r` prints the release alone.
        node: Option<At<Name>>,
        /// Kernel release: `5.4.0-97-generic`.
        release: At<Name>,
    },
    /// `uptime`: seconds since boot, to the minute.
    Uptime(At<u64>),
    /// `date`: seconds since the epoch where the zone is known, and the text.
    Date {
        /// As printed.
        text: At<Name>,
        /// Seconds since the epoch.
        epoch: Option<i64>,
    },
    /// `/etc/machine-id`.
    MachineId(At<Name>),
    /// `/etc/os-release`: what the distribution calls itself, `Ubuntu 20.04.3 LTS`.
    Os(At<Name>),
    /// A guest in the list of the tool that manages it: `qm list`, `docker ps`.
    Guest {
        /// `vm`, `ct`, `container` or `pod`.
        sort: &'static str,
        /// Its number or id; `kubectl` prints none.
        id: Option<At<Name>>,
        /// What people call it.
        name: At<Name>,
        /// The namespace of a pod.
        space: Option<At<Name>>,
        /// As printed: `running`, `Up 2 hours`.
        state: Option<At<Name>>,
        /// The id of the pod that a container is in.
        #[serde(skip_serializing_if = "Option::is_none")]
        pod: Option<At<Name>>,
        /// The name of that pod.
        #[serde(skip_serializing_if = "Option::is_none")]
        pod_name: Option<At<Name>>,
        /// The node that a pod is on.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<At<Name>>,
    },
}
