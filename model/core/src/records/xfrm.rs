//! IPsec: `ip xfrm policy`, `ip xfrm state`.
use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::Field;
use crate::Name;
use crate::span::{At, Span};

/// What IPsec asks of packets.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct IpsecPolicy {
    /// Its first line.
    #[serde(skip)]
    pub at: Span,
    /// The packets that it is about.
    pub selector: Selector,
    /// `in`, `out`, `fwd`.
    pub dir: Option<At<Name>>,
    /// It is that of one socket.
    pub socket: bool,
    /// It lets nothing pass (`action block`).
    pub blocks: bool,
    /// The lowest is asked first.
    pub priority: u32,
    /// `0x1/0xff`
    pub mark: Option<At<Name>>,
    /// The number of the device of type `xfrm` that it is for.
    pub if_id: Option<u32>,
    /// How packets are to be protected; none where they pass as they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<IpsecTemplate>,
    /// Other keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// Packets that a policy or an association is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Selector {
    /// Where they come from.
    pub src: IpNet,
    /// Where they go to.
    pub dst: IpNet,
    /// `tcp`, `udp`, a number; `None` for all.
    pub proto: Option<Name>,
    /// The port that they come from.
    pub sport: Option<u16>,
    /// The port that they go to.
    pub dport: Option<u16>,
    /// The device.
    pub dev: Option<At<Name>>,
    /// Other keys, such as `type` and `code` of ICMP.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// How packets are to be protected.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct IpsecTemplate {
    /// One end of the tunnel.
    pub src: IpAddr,
    /// The other end.
    pub dst: IpAddr,
    /// `esp`, `ah`, `comp`.
    pub proto: Option<Name>,
    /// What associations of the same policy have in common.
    pub reqid: Option<u32>,
    /// `tunnel`, `transport`, `beet`.
    pub mode: Option<Name>,
    /// Packets pass without it too (`level use`).
    pub optional: bool,
}

/// A security association. Its keys are not kept.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct IpsecState {
    /// Its first line.
    #[serde(skip)]
    pub at: Span,
    /// The end that sends.
    pub src: IpAddr,
    /// The end that receives.
    pub dst: IpAddr,
    /// `esp`, `ah`, `comp`.
    pub proto: Option<Name>,
    /// Its number.
    pub spi: Option<Name>,
    /// What it has in common with its policy.
    pub reqid: Option<u32>,
    /// `tunnel`, `transport`, `beet`.
    pub mode: Option<Name>,
    /// Other keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}
