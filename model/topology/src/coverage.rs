//! What was captured of each host and namespace, and so what its absence proves.
use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use tapline_core::capture::{Completeness, HostId};
use tapline_core::ids::Netns;
use tapline_core::span::SourceId;

use crate::graph::NodeId;

/// A question that some command answers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Which devices are in a namespace.
    Links,
    /// What kind each device is and what it is made of (`-d`).
    LinkDetails,
    /// Which addresses they have.
    Addresses,
    /// Its main routing table.
    Routes,
    /// All its routing tables.
    AllRoutes,
    /// Its policy rules.
    Rules,
    /// Its neighbours.
    Neighbours,
    /// The names of namespaces (host).
    NetnsList,
    /// Which devices are in which Linux bridge.
    BridgeMembers,
    /// OVS bridges, ports and interfaces (host).
    Ovs,
    /// All columns of OVS ports (host).
    OvsPorts,
    /// All columns of OVS interfaces (host).
    OvsInterfaces,
    /// Which domains there are and their state (host).
    Domains,
    /// The XML of domains (host); complete where every domain of the list has one.
    DomainXml,
    /// Packet filter rules.
    Netfilter,
    /// Packet filter rules as nft shows them.
    Nft,
    /// Settings of the kernel.
    Sysctls,
    /// The OpenFlow flows of every OVS bridge (host).
    Flows,
    /// The OpenFlow ports of every OVS bridge (host).
    OfPorts,
    /// The addresses that every OVS bridge has learnt (host).
    OvsFdb,
    /// The row of OVS itself with its `external_ids` (host).
    OvsDatabase,
    /// Offloads of NICs (host).
    NicFeatures,
    /// Ring sizes of NICs (host).
    NicRings,
    /// Which node of an HA router is the active one (host).
    HaRouters,
    /// Chassis of OVN and what they claimed (the deployment).
    OvnSouth,
    /// All port bindings of OVN (the deployment).
    OvnBindings,
    /// Logical switches and routers of OVN (the deployment).
    OvnNorth,
}

impl Topic {
    /// What it is about, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Links => "devices",
            Self::LinkDetails => "kinds of devices",
            Self::Addresses => "addresses",
            Self::Routes => "main routes",
            Self::AllRoutes => "all routes",
            Self::Rules => "routing rules",
            Self::Neighbours => "neighbours",
            Self::NetnsList => "names of namespaces",
            Self::BridgeMembers => "members of Linux bridges",
            Self::Ovs => "OVS bridges and ports",
            Self::OvsPorts => "columns of OVS ports",
            Self::OvsInterfaces => "columns of OVS interfaces",
            Self::Domains => "VMs and their state",
            Self::DomainXml => "XML of VMs",
            Self::Netfilter => "packet filter",
            Self::Nft => "packet filter of nft",
            Self::Sysctls => "kernel settings",
            Self::Flows => "OpenFlow flows",
            Self::OfPorts => "OpenFlow ports",
            Self::OvsFdb => "addresses learnt by OVS",
            Self::OvsDatabase => "settings of OVS",
            Self::NicFeatures => "offloads of NICs",
            Self::NicRings => "rings of NICs",
            Self::HaRouters => "states of HA routers",
            Self::OvnSouth => "chassis of OVN",
            Self::OvnBindings => "port bindings of OVN",
            Self::OvnNorth => "networks of OVN",
        }
    }

    /// Whether it is worth a word only where it was captured, or where a rule asks for it: most
    /// hosts have nothing to say on it.
    pub fn is_special(self) -> bool {
        self > Self::Netfilter
    }

    /// The command that would answer it, as a person types it.
    pub fn command(self, netns: &Netns) -> String {
        let command = match self {
            Self::Links | Self::LinkDetails | Self::Addresses => "ip -d address",
            Self::Routes | Self::AllRoutes => "ip route show table all",
            Self::Rules => "ip rule",
            Self::Neighbours => "ip neigh",
            Self::NetnsList => "ip netns",
            Self::BridgeMembers => "bridge link",
            Self::Ovs => "ovs-vsctl show",
            Self::OvsPorts => "ovs-vsctl list port",
            Self::OvsInterfaces => "ovs-vsctl list interface",
            Self::Domains => "virsh list --all",
            Self::DomainXml => "virsh dumpxml DOMAIN",
            Self::Netfilter => "iptables-save",
            Self::Nft => "nft list ruleset",
            Self::Sysctls => "sysctl -a",
            Self::Flows => "ovs-ofctl dump-flows BRIDGE",
            Self::OfPorts => "ovs-ofctl show BRIDGE",
            Self::OvsFdb => "ovs-appctl fdb/show BRIDGE",
            Self::OvsDatabase => "ovs-vsctl list Open_vSwitch",
            Self::NicFeatures => "ethtool -k DEV",
            Self::NicRings => "ethtool -g DEV",
            Self::HaRouters => "cat /var/lib/neutron/ha_confs/ROUTER/state",
            Self::OvnSouth => "ovn-sbctl show",
            Self::OvnBindings => "ovn-sbctl list Port_Binding",
            Self::OvnNorth => "ovn-nbctl show",
        };
        match netns {
            Netns::Root => command.to_owned(),
            Netns::Named(name) => format!("ip netns exec {name} {command}"),
            Netns::Nameless { .. } => format!("nsenter --net --target PID {command}"),
        }
    }
}

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
    pub(crate) all: BTreeMap<(HostId, Netns, Topic), Coverage>,
}

impl Coverages {
    /// How well `topic` is answered for a namespace. Topics of the host are asked of its root.
    pub fn of(&self, host: HostId, netns: &Netns, topic: Topic) -> &Coverage {
        static NOT_CAPTURED: Coverage = Coverage::NotCaptured;
        self.all.get(&(host, netns.clone(), topic)).unwrap_or(&NOT_CAPTURED)
    }

    /// Whether absence means absence.
    pub fn is_complete(&self, host: HostId, netns: &Netns, topic: Topic) -> bool {
        self.of(host, netns, topic).is_complete()
    }

    /// All answers of a host, by namespace and topic.
    pub fn host(&self, host: HostId) -> impl Iterator<Item = (&Netns, Topic, &Coverage)> {
        // The first key that a host can have.
        self.all
            .range((host, Netns::Root, Topic::Links)..)
            .take_while(move |((it, _, _), _)| *it == host)
            .map(|((_, netns, topic), coverage)| (netns, *topic, coverage))
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
    Unknown(Vec<String>),
}

/// Absence as evidence: the complete texts that were searched, and for what.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
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
