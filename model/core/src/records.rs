//! Typed records, one per thing that a tool prints.
//!
//! A record says what the text says, no more: joins and judgements are made elsewhere. Whatever a
//! finding may cite is wrapped in [`At`] and so has its own place. Keys that no field holds are
//! kept in `other`.
//!
//! The field names are those of `tapline records`: renaming one is a change of its schema. `kind`,
//! `host`, `netns` and `at` of a record are written by that command itself, so no record may
//! serialize a field of its own under one of these names.
pub mod appctl;
pub mod bond;
pub mod bridge;
pub mod conntrack;
pub mod datapath;
pub mod ethtool;
pub mod filter;
pub mod firewall;
pub mod host;
pub mod ipset;
pub mod keepalived;
pub mod libvirt;
pub mod link;
pub mod lldp;
pub mod managed;
pub mod neigh;
pub mod netfilter;
pub mod netns;
pub mod nft;
pub mod openflow;
pub mod ovn;
pub mod ovs;
mod packed;
pub mod route;
pub mod socket;
pub mod sysctl;
pub mod tc;
pub mod xfrm;

pub use packed::{FieldRef, PackedFields};
use serde::Serialize;

use crate::Name;
use crate::span::{At, Span};

/// A key and its value that no typed field holds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Field {
    /// The key as printed; empty for a bare word.
    pub key: Name,
    /// The value as printed; empty for a bare flag.
    pub value: At<Name>,
}

impl Field {
    /// The first field called `key`.
    pub fn find<'a>(fields: &'a [Self], key: &str) -> Option<&'a At<Name>> {
        fields.iter().find(|field| field.key == key).map(|field| &field.value)
    }
}

/// Is shown each record of a [`Batch`]; generic over the record, so that it can serialize it.
pub trait Visitor {
    /// One record, whose first line or own span is `at`.
    fn record<T: Serialize + 'static>(&mut self, at: Span, record: &T);
}

/// Declares [`Batch`]: one vector per record family.
macro_rules! batch {
    ($($(#[$doc:meta])* $variant:ident($record:ty) = $kind:literal,)*) => {
        /// What a reader made of one text: records of one family, in the order of the text.
        #[derive(Clone, Debug, Default)]
        pub enum Batch {
            /// The text has no reader, or nothing came of it.
            #[default]
            Nothing,
            $($(#[$doc])* $variant(Vec<$record>),)*
        }

        impl Batch {
            /// The public names of the families.
            pub const KINDS: &[&str] = &[$($kind),*];

            /// The public name of the family: `kind` in `tapline records`.
            pub fn kind(&self) -> &'static str {
                match self {
                    Self::Nothing => "nothing",
                    $(Self::$variant(_) => $kind,)*
                }
            }

            /// How many records.
            pub fn len(&self) -> usize {
                match self {
                    Self::Nothing => 0,
                    $(Self::$variant(all) => all.len(),)*
                }
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            /// Shows each record to `visitor`, in order.
            pub fn visit(&self, visitor: &mut impl Visitor) {
                match self {
                    Self::Nothing => {}
                    $(Self::$variant(all) => {
                        for record in all {
                            visitor.record(record.at, record);
                        }
                    })*
                }
            }
        }

        $(impl From<Vec<$record>> for Batch {
            fn from(all: Vec<$record>) -> Self {
                Self::$variant(all)
            }
        })*
    };
}

batch! {
    /// `ip address`, `ip link`, `ifconfig`, `netstat -i`.
    Links(link::Link) = "link",
    /// `ip route`, `route`, `netstat -rn`.
    Routes(route::Route) = "route",
    /// `ip rule`.
    Rules(route::Rule) = "rule",
    /// `ip neigh`, `arp`.
    Neighbours(neigh::Neighbour) = "neighbour",
    /// `ip netns`.
    NetnsList(netns::NetnsEntry) = "netns",
    /// `brctl show`.
    Bridges(bridge::Bridge) = "bridge",
    /// `bridge link`.
    BridgePorts(bridge::BridgePort) = "bridge-port",
    /// `bridge vlan`.
    BridgeVlans(bridge::BridgeVlan) = "bridge-vlan",
    /// `bridge fdb`.
    Fdb(bridge::FdbEntry) = "fdb",
    /// `ethtool DEV`.
    NicSettings(ethtool::NicSettings) = "nic-settings",
    /// `ethtool -S DEV`.
    NicStats(ethtool::NicStats) = "nic-stats",
    /// `ethtool -i DEV`.
    NicDriver(ethtool::NicDriver) = "nic-driver",
    /// `ethtool -P DEV`.
    NicAddresses(ethtool::NicAddress) = "nic-address",
    /// `ethtool -k DEV`.
    NicFeatures(ethtool::NicFeatures) = "nic-features",
    /// `ethtool -g DEV`.
    NicRings(ethtool::NicRings) = "nic-rings",
    /// `/proc/net/bonding/*`.
    Bonds(bond::Bond) = "bond",
    /// `ovs-vsctl`, `ovn-nbctl`, `ovn-sbctl`, `ovsdb-client dump`, `conf.db`.
    Ovs(ovs::OvsRecord) = "ovs",
    /// `virsh list`.
    DomainStates(libvirt::DomainState) = "domain-state",
    /// Domain XML.
    Domains(libvirt::Domain) = "domain",
    /// `virsh domiflist`.
    DomainInterfaces(libvirt::DomainInterface) = "domain-interface",
    /// qemu processes in `ps` output.
    QemuProcesses(libvirt::QemuProcess) = "qemu-process",
    /// `iptables-save`, `iptables -S`, `iptables -nvL`.
    Netfilter(netfilter::NetfilterTable) = "netfilter-table",
    /// `nft list ruleset`.
    NftTables(nft::NftTable) = "nft-table",
    /// `ipset list`, `ipset save`.
    IpSets(ipset::IpSet) = "ip-set",
    /// `ovs-ofctl dump-flows`.
    Flows(openflow::Flow) = "flow",
    /// `ovs-ofctl dump-groups`.
    OfGroups(openflow::OfGroup) = "of-group",
    /// `ovs-ofctl show`, `ovs-ofctl dump-ports-desc`.
    OfSwitches(openflow::OfSwitch) = "of-switch",
    /// `ovs-appctl fdb/show`.
    OvsFdb(openflow::OvsFdbEntry) = "ovs-fdb",
    /// `ovs-appctl bond/show`, `lacp/show`, `bfd/show`.
    OvsStatuses(appctl::OvsStatus) = "ovs-status",
    /// `sysctl`, `/proc/sys`.
    Sysctls(sysctl::Sysctl) = "sysctl",
    /// `ha_confs/ROUTER/state` of neutron.
    HaStates(keepalived::HaState) = "ha-state",
    /// `keepalived.conf`.
    VrrpInstances(keepalived::VrrpInstance) = "vrrp-instance",
    /// `ip route get`.
    RouteLookups(route::RouteLookup) = "route-lookup",
    /// `virsh net-list`.
    NetworkStates(libvirt::NetworkState) = "network-state",
    /// `virsh net-dumpxml`.
    Networks(libvirt::Network) = "network",
    /// `virsh domifaddr`.
    DomainAddresses(libvirt::DomainAddress) = "domain-address",
    /// `ss`.
    Sockets(socket::Socket) = "socket",
    /// `conntrack -L`.
    Connections(conntrack::Connection) = "connection",
    /// `ovs-dpctl show`.
    Datapaths(datapath::Datapath) = "datapath",
    /// `ovs-dpctl dump-flows`.
    DatapathFlows(datapath::DatapathFlow) = "datapath-flow",
    /// `lldpctl`.
    LldpNeighbours(lldp::LldpNeighbour) = "lldp-neighbour",
    /// `ufw status`, `firewall-cmd --list-all`.
    Firewalls(firewall::Firewall) = "firewall",
    /// `networkctl status`, `nmcli device show`, `teamdctl state`.
    ManagedDevices(managed::ManagedDevice) = "managed-device",
    /// `tc qdisc show`.
    Qdiscs(tc::Qdisc) = "qdisc",
    /// `tc filter show`.
    TcFilters(tc::TcFilter) = "tc-filter",
    /// `bpftool net list`.
    BpfPrograms(tc::BpfProgram) = "bpf-program",
    /// `ip xfrm policy`.
    IpsecPolicies(xfrm::IpsecPolicy) = "ipsec-policy",
    /// `ip xfrm state`.
    IpsecStates(xfrm::IpsecState) = "ipsec-state",
    /// `hostname`, `uname`, `uptime`, `date`.
    HostFacts(host::HostFact) = "host-fact",
}
