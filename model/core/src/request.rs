//! What a text was asked for, and the questions that texts answer.
//!
//! A [`Request`] is worked out once, when a format claims a text, and is stored beside the text:
//! nothing downstream reads a command line again.
use serde::Serialize;

use crate::Name;
use crate::ids::Netns;
use crate::need::Need;
use crate::records::route::Family;

/// Declares all topics in one place: documentation, name for people, command, of what it is
/// asked, and whether it is worth a word on hosts where nobody captured it.
macro_rules! topics {
    ($($(#[doc = $doc:literal])+ $topic:ident: $name:literal, $command:literal, $of:ident, $interest:ident;)+) => {
        /// A question that some command answers.
        ///
        /// The order is that in which topics are listed; it means nothing else.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Topic {
            $($(#[doc = $doc])+ $topic,)+
        }

        impl Topic {
            /// All topics, in the order in which they are listed.
            pub const ALL: &[Self] = &[$(Self::$topic),+];

            fn facts(self) -> Facts {
                match self {
                    $(Self::$topic => Facts {
                        name: $name,
                        command: $command,
                        of: TopicOf::$of,
                        interest: Interest::$interest,
                    },)+
                }
            }
        }
    };
}

topics! {
    /// Which devices are in a namespace.
    Links: "devices", "ip -d address", Namespace, Always;
    /// What kind each device is and what it is made of (`-d`).
    LinkDetails: "kinds of devices", "ip -d address", Namespace, Always;
    /// Which addresses they have.
    Addresses: "addresses", "ip -d address", Namespace, Always;
    /// Its main routing table.
    Routes: "main routes", "ip route show table all", Namespace, Always;
    /// All its routing tables.
    AllRoutes: "all routes", "ip route show table all", Namespace, Always;
    /// Its policy rules.
    Rules: "routing rules", "ip rule", Namespace, Always;
    /// Its neighbours.
    Neighbours: "neighbours", "ip neigh", Namespace, Always;
    /// Packet filter rules.
    Netfilter: "packet filter", "iptables-save", Namespace, Always;
    /// Packet filter rules as nft shows them.
    Nft: "packet filter of nft", "nft list ruleset", Namespace, WhereCaptured;
    /// Sets that packet filter rules of iptables ask.
    IpSets: "sets of packet filters", "ipset list", Namespace, WhereCaptured;
    /// Packet filter rules of Linux bridges.
    Ebtables: "packet filter of bridges", "ebtables-save", Host, WhereCaptured;
    /// Settings of the kernel.
    Sysctls: "kernel settings", "sysctl -a", Namespace, WhereCaptured;
    /// Which devices are in which Linux bridge.
    BridgeMembers: "members of Linux bridges", "bridge link", Host, Always;
    /// The names of namespaces.
    NetnsList: "names of namespaces", "ip netns", Host, Always;
    /// OVS bridges, ports and interfaces.
    Ovs: "OVS bridges and ports", "ovs-vsctl show", Host, Always;
    /// All columns of OVS ports.
    OvsPorts: "columns of OVS ports", "ovs-vsctl list port", Host, Always;
    /// All columns of OVS interfaces.
    OvsInterfaces: "columns of OVS interfaces", "ovs-vsctl list interface", Host, Always;
    /// Which domains there are and their state.
    Domains: "VMs and their state", "virsh list --all", Host, Always;
    /// The XML of domains; complete where every domain of the list has one.
    DomainXml: "XML of VMs", "virsh dumpxml DOMAIN", Host, Always;
    /// The OpenFlow flows of every OVS bridge.
    Flows: "OpenFlow flows", "ovs-ofctl dump-flows BRIDGE", Host, WhereCaptured;
    /// The OpenFlow ports of every OVS bridge.
    OfPorts: "OpenFlow ports", "ovs-ofctl show BRIDGE", Host, WhereCaptured;
    /// The addresses that every OVS bridge has learnt.
    OvsFdb: "addresses learnt by OVS", "ovs-appctl fdb/show BRIDGE", Host, WhereCaptured;
    /// The row of OVS itself with its `external_ids`.
    OvsDatabase: "settings of OVS", "ovs-vsctl list Open_vSwitch", Host, WhereCaptured;
    /// Offloads of NICs.
    NicFeatures: "offloads of NICs", "ethtool -k DEV", Host, WhereCaptured;
    /// Ring sizes of NICs.
    NicRings: "rings of NICs", "ethtool -g DEV", Host, WhereCaptured;
    /// The queues of devices, and whether they have hooks for filters.
    Qdiscs: "queues of devices", "tc qdisc show", Namespace, WhereCaptured;
    /// The filters at the hooks of a device.
    TcFilters: "filters of tc", "tc filter show dev DEV ingress", Host, WhereCaptured;
    /// The programs of BPF at devices.
    BpfPrograms: "programs of BPF at devices", "bpftool net list", Namespace, WhereCaptured;
    /// What IPsec asks of packets.
    IpsecPolicies: "policies of IPsec", "ip xfrm policy", Namespace, WhereCaptured;
    /// The associations of IPsec.
    IpsecStates: "associations of IPsec", "ip xfrm state list nokeys", Namespace, WhereCaptured;
    /// Which node of an HA router is the active one.
    HaRouters: "states of HA routers", "cat /var/lib/neutron/ha_confs/ROUTER/state", Host, WhereCaptured;
    /// Chassis of OVN and what they claimed (the deployment).
    OvnSouth: "chassis of OVN", "ovn-sbctl show", Host, WhereCaptured;
    /// All port bindings of OVN (the deployment).
    OvnBindings: "port bindings of OVN", "ovn-sbctl list Port_Binding", Host, WhereCaptured;
    /// Logical switches and routers of OVN (the deployment).
    OvnNorth: "networks of OVN", "ovn-nbctl show", Host, WhereCaptured;
}

/// What is declared of a topic.
struct Facts {
    name: &'static str,
    command: &'static str,
    of: TopicOf,
    interest: Interest,
}

/// Of what a topic is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TopicOf {
    /// Of every network namespace, each for itself.
    Namespace,
    /// Of the host, once.
    Host,
}

/// Where a topic is worth a word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Interest {
    /// On every host.
    Always,
    /// Only where it was captured or a rule asks for it: most hosts have nothing to say on it.
    WhereCaptured,
}

impl Topic {
    /// What it is about, for people.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// Of what it is asked.
    pub fn of(self) -> TopicOf {
        self.facts().of
    }

    /// Whether it is worth a word only where it was captured, or where a rule asks for it: most
    /// hosts have nothing to say on it.
    pub fn is_special(self) -> bool {
        self.facts().interest == Interest::WhereCaptured
    }

    /// The command that answers it, without a namespace. A word, or part of one, in capital
    /// letters stands for the thing that it is asked of ([`Topic::placeholder`]).
    pub fn template(self) -> &'static str {
        self.facts().command
    }

    /// What stands in [`Topic::template`] for the thing that it is asked of: `BRIDGE`.
    pub fn placeholder(self) -> Option<&'static str> {
        let names = ["BRIDGE", "DOMAIN", "DEV", "ROUTER"];
        names.into_iter().find(|name| self.template().contains(name))
    }

    /// The command that answers it for one namespace.
    pub fn command(self, netns: &Netns) -> Need {
        Need::of(self, netns)
    }
}

/// The namespaces that the output of one command is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NetnsScope {
    /// The one it ran in.
    #[default]
    Own,
    /// Each named one, under a heading: `ip -all netns exec`.
    EachNamed,
}

/// What one text was asked for.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Request {
    /// Topics of which the command shows everything.
    pub whole: Vec<Topic>,
    /// Topics of which the command shows a part: it has a filter, or asks one thing of many.
    pub part: Vec<Topic>,
    /// The namespaces that it is about.
    pub netns: NetnsScope,
    /// The one thing that it was asked of: a device, a bridge, a domain.
    pub object: Option<Name>,
    /// The table that it was asked for: of routes, of a packet filter, of a database.
    pub table: Option<Name>,
    /// The address family that it was asked for.
    pub family: Option<Family>,
    /// A filter leaves something out of what the table or the object has.
    pub filtered: bool,
}

impl Request {
    /// A request that shows all of `topics`.
    pub fn whole(topics: &[Topic]) -> Self {
        Self { whole: topics.to_vec(), ..Self::default() }
    }

    /// A request that shows a part of `topics`.
    pub fn part(topics: &[Topic]) -> Self {
        Self { part: topics.to_vec(), ..Self::default() }
    }

    /// All of `topics`, or a part of each where the command has a filter.
    pub fn filtered(topics: &[Topic], filtered: bool) -> Self {
        let request = if filtered { Self::part(topics) } else { Self::whole(topics) };
        Self { filtered, ..request }
    }

    /// The same, asked of one thing.
    #[must_use]
    pub fn about(self, object: Option<&str>) -> Self {
        Self { object: object.map(Name::from), ..self }
    }

    /// The same, asked for one table.
    #[must_use]
    pub fn of_table(self, table: Option<&str>) -> Self {
        Self { table: table.map(Name::from), ..self }
    }

    /// The same, asked for one address family.
    #[must_use]
    pub fn of_family(self, family: Option<Family>) -> Self {
        Self { family, ..self }
    }

    /// Every topic that it answers, with whether it shows all of it.
    pub fn topics(&self) -> impl Iterator<Item = (Topic, bool)> {
        let whole = self.whole.iter().map(|&topic| (topic, true));
        whole.chain(self.part.iter().map(|&topic| (topic, false)))
    }

    /// Whether it shows all of `topic`.
    pub fn is_whole(&self, topic: Topic) -> bool {
        self.whole.contains(&topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_is_listed_once_and_has_a_command() {
        for (at, topic) in Topic::ALL.iter().enumerate() {
            assert_eq!(Topic::ALL.iter().position(|other| other == topic), Some(at));
            assert!(!topic.name().is_empty() && !topic.template().is_empty(), "{topic:?}");
        }
        assert!(Topic::ALL.is_sorted());
    }

    #[test]
    fn a_word_in_capitals_is_a_placeholder() {
        for topic in Topic::ALL {
            let capitals = |word: &&str| {
                !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase())
            };
            let word = topic.template().split([' ', '/']).find(capitals);
            assert_eq!(topic.placeholder(), word, "{topic:?}");
        }
    }

    #[test]
    fn a_filter_leaves_a_part() {
        let all = Request::filtered(&[Topic::Links], false);
        assert!(all.is_whole(Topic::Links));
        let some = Request::filtered(&[Topic::Links], true).about(Some("eth0"));
        assert!(!some.is_whole(Topic::Links));
        assert_eq!(some.topics().collect::<Vec<_>>(), [(Topic::Links, false)]);
        assert_eq!(some.object.as_deref(), Some("eth0"));
    }
}
