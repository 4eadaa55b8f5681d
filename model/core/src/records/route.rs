//! Routes and policy rules: `ip route`, `ip rule`, `route`, `netstat -rn`.
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::Field;
use crate::Name;
use crate::span::{At, Span};

/// IPv4 or IPv6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// IPv4.
    Inet,
    /// IPv6.
    Inet6,
}

/// Where a next hop is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub enum Gateway {
    /// An address.
    Ip(IpAddr),
    /// A host name that `route` without `-n` printed instead of the address.
    Name(Name),
}

/// One route.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Route {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// Address family. `None` where the text does not tell (`default dev eth0`).
    pub family: Option<Family>,
    /// `unicast`, `local`, `broadcast`, `unreachable`, `blackhole`, `prohibit`, `throw`, …
    #[serde(rename = "type")]
    pub kind: Name,
    /// Destination; `None` is the default route. A destination with host bits is kept as printed.
    pub destination: Option<At<IpNet>>,
    /// Destination printed as a name (`route` without `-n`, `/etc/networks`).
    pub destination_name: Option<Name>,
    /// Next hop.
    pub via: Option<At<Gateway>>,
    /// Device.
    pub dev: Option<At<Name>>,
    /// Preferred source.
    pub src: Option<IpAddr>,
    /// Metric.
    pub metric: Option<u32>,
    /// `kernel`, `static`, `dhcp`, `bgp`, …
    pub proto: Option<Name>,
    /// `link`, `host`, …
    pub scope: Option<Name>,
    /// Table: a name or a number; `None` is `main` or not printed.
    pub table: Option<At<Name>>,
    /// `linkdown`, `dead`, `onlink`, `pervasive`, `offload`, and the letters of `route` (`UG`).
    pub flags: Vec<At<Name>>,
    /// Next hops of a multipath route.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nexthops: Vec<Nexthop>,
    /// Keys that no field above holds: `mtu`, `nhid`, `pref`, `encap`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// The answer to `ip route get`: the route that the kernel picks for one address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct RouteLookup {
    /// Its line.
    #[serde(skip)]
    pub at: Span,
    /// The address that was asked for.
    pub to: At<IpAddr>,
    /// How packets to it go.
    pub route: Route,
}

impl Route {
    /// A route of which nothing is known but its line.
    pub fn new(at: Span) -> Self {
        Self {
            at,
            family: None,
            kind: Name::const_new("unicast"),
            destination: None,
            destination_name: None,
            via: None,
            dev: None,
            src: None,
            metric: None,
            proto: None,
            scope: None,
            table: None,
            flags: Vec::new(),
            nexthops: Vec::new(),
            other: Vec::new(),
        }
    }

    /// Whether this is a default route.
    pub fn is_default(&self) -> bool {
        self.destination_name.is_none()
            && self.destination.as_ref().is_none_or(|net| net.prefix_len() == 0)
    }

    /// Whether the kernel makes it by itself: of an address, or for what is link-local and for groups of
    /// IPv6. Which of these there are is a matter of devices and addresses.
    pub fn is_made_by_kernel(&self) -> bool {
        let is_own = matches!(self.kind.as_str(), "local" | "broadcast" | "multicast" | "anycast");
        let leads_to_own = self.destination.as_ref().is_some_and(|net| match net.addr() {
            IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_multicast(),
            IpAddr::V4(_) => false,
        });
        is_own || leads_to_own
    }

    /// Whether `flag` is set.
    pub fn has_flag(&self, flag: &str) -> bool {
        self.flags.iter().any(|it| **it == flag)
    }
}

/// One next hop of a multipath route.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Nexthop {
    /// The line or part of it.
    #[serde(skip)]
    pub at: Span,
    /// Next hop.
    pub via: Option<At<Gateway>>,
    /// Device.
    pub dev: Option<At<Name>>,
    /// Weight.
    pub weight: Option<u32>,
    /// `linkdown`, `dead`, `onlink`.
    pub flags: Vec<At<Name>>,
    /// Keys that no field above holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// One policy rule.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Rule {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// Address family; `None` where the command does not tell.
    pub family: Option<Family>,
    /// Priority: lower is earlier.
    pub priority: u32,
    /// The selector is inverted (`not`).
    pub not: bool,
    /// Source prefix; `None` is `all`. Host bits are kept as printed.
    pub from: Option<IpNet>,
    /// Destination prefix; `None` is `all`.
    pub to: Option<IpNet>,
    /// Incoming device.
    pub iif: Option<Name>,
    /// Outgoing device.
    pub oif: Option<Name>,
    /// Mark with mask, as printed.
    pub fwmark: Option<Name>,
    /// Table that is looked up: a name or a number.
    pub lookup: Option<At<Name>>,
    /// What else it does: `goto 32766`, `blackhole`, `unreachable`, `prohibit`, `nop`.
    pub action: Option<Name>,
    /// Keys that no field above holds: `tos`, `ipproto`, `sport`, `uidrange`, `proto`, …
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}
