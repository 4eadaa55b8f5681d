//! The objects of OVN's databases: they are of a deployment and on no host.
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::ids::Mac;
use tapline_core::records::ovs::OvsRecord;

use super::Seen;

/// What an object of OVN is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LogicalKind {
    /// A network.
    Switch,
    /// A router.
    Router,
    /// A port of a switch.
    SwitchPort,
    /// A port of a router.
    RouterPort,
    /// A load balancer.
    LoadBalancer,
    /// A host that ovn-controller has entered.
    Chassis,
}

impl LogicalKind {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Switch,
        Self::Router,
        Self::SwitchPort,
        Self::RouterPort,
        Self::LoadBalancer,
        Self::Chassis,
    ];

    /// The public name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Switch => "logical-switch",
            Self::Router => "logical-router",
            Self::SwitchPort => "logical-switch-port",
            Self::RouterPort => "logical-router-port",
            Self::LoadBalancer => "load-balancer",
            Self::Chassis => "chassis",
        }
    }
}

/// An object of OVN.
#[derive(Clone, Debug)]
pub struct Logical<'a> {
    /// What it is.
    pub kind: LogicalKind,
    /// The names that people use for it: those of neutron and Kubernetes, ids, subnets.
    pub names: Vec<Name>,
    /// Its MACs.
    pub macs: Vec<Mac>,
    /// Its addresses, and those that are translated into it.
    pub addresses: Vec<IpAddr>,
    /// Its rows: those of the northbound database first, a listing before others.
    pub rows: Vec<Seen<'a, OvsRecord>>,
}
