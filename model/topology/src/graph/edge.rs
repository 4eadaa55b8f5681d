//! The edges, what says that they are there, and where witnesses contradict each other.
use serde::Serialize;
use tapline_core::span::{Evidence, SourceId, Span};

use super::NodeId;

/// Declares the kinds of edges with their public names.
macro_rules! edge_kinds {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A relation between two nodes; the direction is that of the words.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum EdgeKind {
            $($(#[$doc])* $variant,)*
        }

        impl EdgeKind {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The public name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

edge_kinds! {
    /// Namespace or VM → host.
    OnHost = "on-host",
    /// Device or route table → namespace.
    InNamespace = "in-namespace",
    /// VM NIC → VM.
    NicOf = "nic-of",
    /// VM NIC → host device or OVS interface.
    AttachesVm = "attaches-vm",
    /// VM NIC → the NIC of which it is a virtual function.
    FunctionOf = "function-of",
    /// Device → its bridge, bond or VRF (a device too).
    EnslavedTo = "enslaved-to",
    /// OVS port → OVS bridge.
    OvsPortOf = "ovs-port-of",
    /// OVS interface → OVS port.
    OvsInterfaceOf = "ovs-interface-of",
    /// Device → OVS interface that it is.
    DeviceOf = "device-of",
    /// Both ends of a veth pair; one edge a pair, from the lower node.
    VethPeer = "veth-peer",
    /// Two patch interfaces; one edge a pair, from the lower node.
    PatchPeer = "patch-peer",
    /// VLAN, macvlan, tunnel, … → the device that carries it.
    StackedOn = "stacked-on",
    /// Device → address.
    HasAddress = "has-address",
    /// Tunnel endpoint → the interface or device that it belongs to.
    TunnelOf = "tunnel-of",
    /// Tunnel endpoint → endpoint on the other captured host, or the remote host.
    Tunnel = "tunnel",
    /// Logical port → its switch or router.
    LogicalPortOf = "logical-port-of",
    /// Port of a switch → the port of a router that it leads to.
    LogicalPeer = "logical-peer",
    /// Logical port → the chassis that has claimed it.
    BoundTo = "bound-to",
    /// Logical port → the OVS interface, or the patch, that a host has for it.
    PluggedInto = "plugged-into",
    /// Chassis → its host.
    ChassisOf = "chassis-of",
    /// Load balancer → the switch or router that applies it.
    Balances = "balances",
}

/// An edge.
#[derive(Clone, Debug)]
pub struct Edge {
    /// What relation.
    pub kind: EdgeKind,
    /// How sure.
    pub confidence: Confidence,
    /// What says so, strongest first.
    pub witnesses: Vec<Witness>,
}

/// Two witnesses that cannot both be right, or a claim that nothing answers.
#[derive(Clone, Debug)]
pub struct Conflict {
    /// What it is about.
    pub kind: ConflictKind,
    /// The nodes concerned.
    pub nodes: Vec<NodeId>,
    /// Both sides, the one that was believed first.
    pub witnesses: Vec<Witness>,
}

/// Sorts of contradiction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConflictKind {
    /// Two values of one fact of one device.
    Fact,
    /// Commands disagree about the master of a device.
    Membership,
    /// A veth claims a peer that claims another, or that is not a veth.
    VethPeer,
    /// A veth claims a peer that a completely captured namespace does not have.
    VethPeerMissing,
    /// Several devices could be the peer of a veth and nothing decides.
    VethAmbiguous,
    /// The patch peer names another peer, or none.
    PatchPeer,
    /// VM records disagree about a NIC.
    VmNic,
    /// A name says one thing and a stronger witness another.
    Name,
    /// Several devices could be the one behind an OVS interface and nothing decides.
    DeviceAmbiguous,
}

/// How sure a fact or an edge is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Confidence {
    /// Only a pattern says so: a name prefix, a default.
    Conventional,
    /// A join over a key that is unique in this capture but not by construction.
    Inferred,
    /// Stated by the component that implements it.
    Proven,
}

/// What sort of thing a witness is; decides who wins where witnesses disagree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WitnessClass {
    /// A name pattern.
    Name,
    /// Equality of MACs, addresses or UUIDs.
    Join,
    /// Configuration on disk.
    Config,
    /// State of a daemon (OVSDB, libvirt), or the arguments of a process.
    Daemon,
    /// Printed by the kernel.
    Kernel,
}

/// One piece of evidence for an edge.
#[derive(Clone, PartialEq, Debug)]
pub struct Witness {
    /// Where it stands.
    pub evidence: Evidence,
    /// What sort of thing it is.
    pub class: WitnessClass,
    /// What it says, in a few words: `peer_ifindex 41`, `link-netns qrouter-…`.
    pub claim: String,
}

impl Witness {
    /// A witness of `class` at `span` of `source`.
    pub(crate) fn new(
        class: WitnessClass,
        source: SourceId,
        span: Span,
        claim: impl Into<String>,
    ) -> Self {
        Self { evidence: Evidence { source, span }, class, claim: claim.into() }
    }

    /// A witness of `class` at `evidence`.
    pub(crate) fn at(class: WitnessClass, evidence: Evidence, claim: impl Into<String>) -> Self {
        Self { evidence, class, claim: claim.into() }
    }
}
