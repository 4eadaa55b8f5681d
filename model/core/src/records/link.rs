//! Network devices: `ip address`, `ip link`.
use std::net::IpAddr;

use serde::{Serialize, Serializer};

use super::PackedFields;
use crate::Name;
use crate::ids::{IfIndex, Mac, Netns};
use crate::span::{At, Span};

/// Why a list of devices is partial that shows all devices that are up: what is missing is down.
pub const ONLY_UP: &str = "shows only devices that are up";

/// One network device as `ip address` or `ip link` prints it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Link {
    /// The header line (the whole line where the form has one line per device).
    #[serde(skip)]
    pub at: Span,
    /// Namespace that a `netns: NAME` heading names (`ip -all netns exec`); overrides that of the
    /// source, also in `tapline records`.
    #[serde(skip)]
    pub netns: Option<Netns>,
    /// Kernel index; the `-br` form does not print it.
    pub index: Option<IfIndex>,
    /// Name without the `@…` part.
    pub name: At<Name>,
    /// What follows `@`: the lower device of a stacked one, the other end of a veth.
    pub lower: Option<At<LowerRef>>,
    /// Where the lower device is, when in another namespace (`link-netns`, `link-netnsid`).
    pub lower_netns: Option<At<NetnsRef>>,
    /// The words in `<…>`: `UP`, `LOWER_UP`, `NO-CARRIER`, `M-DOWN`, … Empty where not printed.
    pub flags: At<Vec<Name>>,
    /// Bytes.
    pub mtu: Option<At<u32>>,
    /// Queueing discipline.
    pub qdisc: Option<Name>,
    /// The bridge, bond, VRF or `ovs-system` that it belongs to.
    pub master: Option<At<Name>>,
    /// `UP`, `DOWN`, `UNKNOWN`, `LOWERLAYERDOWN`, … (RFC 2863 operational state).
    pub state: Option<At<Name>>,
    /// `default` or a number.
    pub group: Option<Name>,
    /// Transmit queue length in packets.
    pub qlen: Option<u32>,
    /// What follows `link/`: `ether`, `loopback`, `none`, `gre`, `infiniband`, …
    pub link_type: Option<Name>,
    /// Ethernet address.
    pub mac: Option<At<Mac>>,
    /// Link-layer address of another length (InfiniBand, tunnels), as printed.
    pub address: Option<At<Name>>,
    /// Permanent Ethernet address, where it differs (`permaddr`).
    pub permanent_mac: Option<At<Mac>>,
    /// `veth`, `bridge`, `vxlan`, `vlan`, `bond`, `tun`, `openvswitch`, …; printed with `-d` only.
    #[serde(rename = "type")]
    pub kind: Option<At<Name>>,
    /// What `-d` says about the kind.
    #[serde(skip_serializing_if = "KindData::is_empty")]
    pub kind_data: KindData,
    /// `bridge_slave`, `bond_slave`, `openvswitch_slave`, …; printed with `-d` only.
    pub slave_kind: Option<At<Name>>,
    /// State as a member: STP state of a bridge port, `ACTIVE`/`BACKUP` of a bond slave.
    pub slave_state: Option<At<Name>>,
    /// Further names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub altnames: Vec<At<Name>>,
    /// Free text set by the administrator.
    pub alias: Option<At<Name>>,
    /// Addresses, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
    /// SR-IOV virtual functions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vfs: Vec<Vf>,
    /// Counters (`-s`).
    pub stats: Option<LinkStats>,
    /// Keys that no field above holds.
    #[serde(skip_serializing_if = "PackedFields::is_empty")]
    pub other: PackedFields,
}

impl Link {
    /// A device of which nothing but the name is known yet.
    pub fn named(at: Span, name: At<Name>) -> Self {
        Self {
            at,
            netns: None,
            index: None,
            name,
            lower: None,
            lower_netns: None,
            flags: At::default(),
            mtu: None,
            qdisc: None,
            master: None,
            state: None,
            group: None,
            qlen: None,
            link_type: None,
            mac: None,
            address: None,
            permanent_mac: None,
            kind: None,
            kind_data: KindData::default(),
            slave_kind: None,
            slave_state: None,
            altnames: Vec::new(),
            alias: None,
            addresses: Vec::new(),
            vfs: Vec::new(),
            stats: None,
            other: PackedFields::default(),
        }
    }

    /// Whether `flag` stands in `<…>`.
    pub fn has_flag(&self, flag: &str) -> bool {
        self.flags.iter().any(|it| it == flag)
    }
}

/// What follows `@` in a device's name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LowerRef {
    /// A name: a device of the same namespace (old kernels misprint this, iproute2 < 4.0).
    Name(Name),
    /// `@ifN`: the index of a device in another namespace.
    Index(IfIndex),
    /// `@NONE`.
    None,
}

/// How a command names another namespace.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetnsRef {
    /// `link-netns NAME`: a name under `/run/netns`.
    Name(Name),
    /// `link-netnsid N`: an id that is valid only as seen from the namespace of the command.
    Id(u32),
    /// `link-netnsid unknown`.
    Unknown,
}

/// Typed details of a device kind (`ip -d`). Only one is set.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct KindData {
    /// `vlan`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vlan: Option<Vlan>,
    /// `vxlan`, `geneve`, `gre`, `gretap`, `ipip`, `sit`, `ip6gre`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<Tunnel>,
    /// `bridge`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<BridgeData>,
    /// `bond`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bond: Option<BondData>,
    /// `macvlan`, `macvtap`, `ipvlan`: the mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<At<Name>>,
    /// `tun`: `tap` or `tun`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tun_type: Option<At<Name>>,
    /// `vrf`: its table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vrf_table: Option<At<u32>>,
}

impl KindData {
    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A VLAN device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Vlan {
    /// `802.1Q` or `802.1ad`.
    pub protocol: Option<Name>,
    /// VLAN id.
    pub id: At<u16>,
}

/// A kernel tunnel device.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Tunnel {
    /// VNI or tunnel id.
    pub id: Option<At<u32>>,
    /// Takes its parameters from each packet (`external`).
    pub external: bool,
    /// Source address.
    pub local: Option<At<IpAddr>>,
    /// Far end: `remote`, or the multicast `group`.
    pub remote: Option<At<IpAddr>>,
    /// Device that carries it.
    pub dev: Option<At<Name>>,
    /// UDP destination port.
    pub dstport: Option<At<u16>>,
    /// GRE keys as printed (`key`, `ikey`, `okey`).
    pub key: Option<At<Name>>,
}

/// A Linux bridge.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct BridgeData {
    /// Whether VLANs are told apart.
    pub vlan_filtering: Option<At<bool>>,
    /// Whether STP runs.
    pub stp: Option<At<bool>>,
    /// MAC ageing in hundredths of a second (`ageing_time`).
    pub ageing_time: Option<At<u32>>,
    /// Bridge id as printed.
    pub bridge_id: Option<Name>,
    /// VLAN of untagged frames on new ports.
    pub default_pvid: Option<At<u16>>,
    /// Per-bridge switch for iptables on bridged IPv4.
    pub nf_call_iptables: Option<At<bool>>,
}

/// A kernel bond.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct BondData {
    /// `active-backup`, `802.3ad`, …
    pub mode: Option<At<Name>>,
    /// The slave in use.
    pub active_slave: Option<At<Name>>,
    /// Link monitoring interval in milliseconds.
    pub miimon: Option<u32>,
}

/// One address of a device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Address {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// The address.
    pub ip: IpAddr,
    /// Prefix length. With a peer it is that of the peer's network.
    pub prefix: u8,
    /// Point-to-point peer.
    pub peer: Option<IpAddr>,
    /// Broadcast address.
    pub broadcast: Option<IpAddr>,
    /// `global`, `link`, `host`, …
    pub scope: Option<Name>,
    /// `dynamic`, `secondary`, `tentative`, `dadfailed`, `deprecated`, `noprefixroute`, …
    pub flags: Vec<Name>,
    /// Label (`eth0:vip`), where it is not the device's name.
    pub label: Option<Name>,
    /// Seconds; `None` is forever, or not printed.
    pub valid_lft: Option<u32>,
    /// Seconds; `None` is forever, or not printed.
    pub preferred_lft: Option<u32>,
    /// Keys that no field above holds: `metric`, `proto`, …
    #[serde(skip_serializing_if = "PackedFields::is_empty")]
    pub other: PackedFields,
}

/// An SR-IOV virtual function, from its physical function.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Vf {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// Number.
    pub vf: u32,
    /// Its MAC.
    pub mac: Option<Mac>,
    /// VLAN.
    pub vlan: Option<u16>,
    /// Everything else, as printed: `spoof checking on`, `link-state auto`, …
    pub other: PackedFields,
}

/// Counters since the device was made.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct LinkStats {
    /// The lines.
    #[serde(skip)]
    pub at: Span,
    /// `bytes`, `packets`, `errors`, `dropped`, … in the order of the header.
    #[serde(serialize_with = "as_map")]
    pub rx: Vec<(Name, u64)>,
    /// The same for transmission.
    #[serde(serialize_with = "as_map")]
    pub tx: Vec<(Name, u64)>,
}

/// Serializes counters as a map. Old headers repeat no name, so none is lost.
fn as_map<S: Serializer>(counters: &[(Name, u64)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(counters.iter().map(|(name, value)| (name, value)))
}
