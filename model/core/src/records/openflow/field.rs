//! The fields of a packet as Open vSwitch knows them, and tests of their bits.
//!
//! Source: Open vSwitch `lib/meta-flow.xml` (ovs-fields(7)). Many names lead to few fields: a
//! register is 32 bits of a group of four, a VLAN number 12 or 13 bits of the tag, DSCP six bits of
//! the byte that holds it. So that two names of one thing never part, each name is a
//! [`Subfield`]: some bits of a [`OfField`].
use std::fmt;

/// A field that others are parts of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum OfField {
    /// `in_port`
    InPort,
    /// `dl_src`, `eth_src`
    EthSrc,
    /// `dl_dst`, `eth_dst`
    EthDst,
    /// `dl_type`, `eth_type`
    EthType,
    /// The outer tag: priority, a bit that tells that there is one (0x1000), number.
    VlanTci,
    /// One MPLS label stack entry.
    Mpls,
    /// `nw_src`, `ip_src`
    IpSrc,
    /// `nw_dst`, `ip_dst`
    IpDst,
    /// `ipv6_src`
    Ipv6Src,
    /// `ipv6_dst`
    Ipv6Dst,
    /// `ipv6_label`
    Ipv6Label,
    /// `nw_proto`, `ip_proto`
    IpProto,
    /// `nw_tos`: DSCP and ECN.
    IpTos,
    /// `nw_ttl`, of IPv6 too.
    IpTtl,
    /// `ip_frag`: bit 0 is "a fragment", bit 1 "not the first".
    IpFrag,
    /// `arp_op`
    ArpOp,
    /// `arp_spa`
    ArpSpa,
    /// `arp_tpa`
    ArpTpa,
    /// `arp_sha`
    ArpSha,
    /// `arp_tha`
    ArpTha,
    /// `tp_src`: of TCP, UDP and SCTP.
    TpSrc,
    /// `tp_dst`
    TpDst,
    /// `tcp_flags`
    TcpFlags,
    /// `icmp_type`, `icmpv6_type`
    IcmpType,
    /// `icmp_code`, `icmpv6_code`
    IcmpCode,
    /// `nd_target`
    NdTarget,
    /// `nd_sll`
    NdSll,
    /// `nd_tll`
    NdTll,
    /// `tun_id`, `tunnel_id`
    TunId,
    /// `tun_src`
    TunSrc,
    /// `tun_dst`
    TunDst,
    /// `tun_ipv6_src`
    TunIpv6Src,
    /// `tun_ipv6_dst`
    TunIpv6Dst,
    /// `tun_tos`
    TunTos,
    /// `tun_ttl`
    TunTtl,
    /// `tun_flags`
    TunFlags,
    /// `tun_gbp_id`
    TunGbpId,
    /// `tun_gbp_flags`
    TunGbpFlags,
    /// `tun_metadata0` …: an option of Geneve; what it is a bridge's TLV map tells.
    TunMetadata(u8),
    /// `metadata`
    Metadata,
    /// `xxreg0` …: four registers, the first one in the highest bits.
    Regs(u8),
    /// `pkt_mark`
    PktMark,
    /// `skb_priority`
    SkbPriority,
    /// `ct_state`
    CtState,
    /// `ct_zone`
    CtZone,
    /// `ct_mark`
    CtMark,
    /// `ct_label`
    CtLabel,
    /// `ct_nw_proto`
    CtProto,
    /// `ct_nw_src`
    CtIpSrc,
    /// `ct_nw_dst`
    CtIpDst,
    /// `ct_ipv6_src`
    CtIpv6Src,
    /// `ct_ipv6_dst`
    CtIpv6Dst,
    /// `ct_tp_src`
    CtTpSrc,
    /// `ct_tp_dst`
    CtTpDst,
    /// `conj_id`
    ConjId,
    /// `recirc_id`
    RecircId,
    /// `dp_hash`
    DpHash,
    /// `packet_type`
    PacketType,
    /// `actset_output`
    ActsetOutput,
}

/// The bit of a tag that tells that there is one.
pub const VLAN_PRESENT: u128 = 0x1000;

/// Bits of `ct_state`, by name.
pub const CT_STATES: &[(&str, u128)] = &[
    ("new", 1),
    ("est", 2),
    ("rel", 4),
    ("rpl", 8),
    ("inv", 16),
    ("trk", 32),
    ("snat", 64),
    ("dnat", 128),
];

/// Bits of `tcp_flags`, by name.
pub const TCP_FLAGS: &[(&str, u128)] = &[
    ("fin", 1),
    ("syn", 2),
    ("rst", 4),
    ("psh", 8),
    ("ack", 16),
    ("urg", 32),
    ("ece", 64),
    ("cwr", 128),
    ("ns", 256),
];

impl OfField {
    /// How many bits it has; those of an option of a tunnel depend on the bridge, 128 at most are
    /// looked at.
    pub const fn width(self) -> u8 {
        use OfField as F;
        match self {
            F::IpFrag => 2,
            F::IpProto | F::IpTos | F::IpTtl | F::IcmpType | F::IcmpCode => 8,
            F::TunTos | F::TunTtl | F::TunGbpFlags | F::CtProto => 8,
            F::TcpFlags => 12,
            F::EthType | F::VlanTci | F::ArpOp | F::TpSrc | F::TpDst | F::TunFlags => 16,
            F::TunGbpId | F::CtZone | F::CtTpSrc | F::CtTpDst => 16,
            F::Ipv6Label => 20,
            F::InPort | F::Mpls | F::IpSrc | F::IpDst | F::ArpSpa | F::ArpTpa => 32,
            F::TunSrc | F::TunDst | F::PktMark | F::SkbPriority | F::CtState | F::CtMark => 32,
            F::CtIpSrc | F::CtIpDst | F::ConjId | F::RecircId | F::DpHash => 32,
            F::PacketType | F::ActsetOutput => 32,
            F::EthSrc | F::EthDst | F::ArpSha | F::ArpTha | F::NdSll | F::NdTll => 48,
            F::TunId | F::Metadata => 64,
            F::Ipv6Src | F::Ipv6Dst | F::NdTarget | F::TunIpv6Src | F::TunIpv6Dst => 128,
            F::CtLabel | F::CtIpv6Src | F::CtIpv6Dst | F::Regs(_) | F::TunMetadata(_) => 128,
        }
    }

    /// How its values are written.
    pub const fn notation(self) -> Notation {
        use OfField as F;
        match self {
            F::EthSrc | F::EthDst | F::ArpSha | F::ArpTha | F::NdSll | F::NdTll => Notation::Mac,
            F::IpSrc | F::IpDst | F::ArpSpa | F::ArpTpa | F::TunSrc | F::TunDst => Notation::Ipv4,
            F::CtIpSrc | F::CtIpDst => Notation::Ipv4,
            F::Ipv6Src | F::Ipv6Dst | F::NdTarget | F::TunIpv6Src | F::TunIpv6Dst => Notation::Ipv6,
            F::CtIpv6Src | F::CtIpv6Dst => Notation::Ipv6,
            _ => Notation::Number,
        }
    }

    /// The whole field.
    pub const fn whole(self) -> Subfield {
        Subfield { field: self, low: 0, bits: self.width() }
    }

    const fn part(self, low: u8, bits: u8) -> Subfield {
        Subfield { field: self, low, bits }
    }

    /// The name in the form that `ovs-ofctl` prefers today.
    fn name(self) -> &'static str {
        use OfField as F;
        match self {
            F::InPort => "in_port",
            F::EthSrc => "eth_src",
            F::EthDst => "eth_dst",
            F::EthType => "eth_type",
            F::VlanTci => "vlan_tci",
            F::Mpls => "mpls",
            F::IpSrc => "ip_src",
            F::IpDst => "ip_dst",
            F::Ipv6Src => "ipv6_src",
            F::Ipv6Dst => "ipv6_dst",
            F::Ipv6Label => "ipv6_label",
            F::IpProto => "nw_proto",
            F::IpTos => "nw_tos",
            F::IpTtl => "nw_ttl",
            F::IpFrag => "ip_frag",
            F::ArpOp => "arp_op",
            F::ArpSpa => "arp_spa",
            F::ArpTpa => "arp_tpa",
            F::ArpSha => "arp_sha",
            F::ArpTha => "arp_tha",
            F::TpSrc => "tp_src",
            F::TpDst => "tp_dst",
            F::TcpFlags => "tcp_flags",
            F::IcmpType => "icmp_type",
            F::IcmpCode => "icmp_code",
            F::NdTarget => "nd_target",
            F::NdSll => "nd_sll",
            F::NdTll => "nd_tll",
            F::TunId => "tun_id",
            F::TunSrc => "tun_src",
            F::TunDst => "tun_dst",
            F::TunIpv6Src => "tun_ipv6_src",
            F::TunIpv6Dst => "tun_ipv6_dst",
            F::TunTos => "tun_tos",
            F::TunTtl => "tun_ttl",
            F::TunFlags => "tun_flags",
            F::TunGbpId => "tun_gbp_id",
            F::TunGbpFlags => "tun_gbp_flags",
            F::TunMetadata(_) => "tun_metadata",
            F::Metadata => "metadata",
            F::Regs(_) => "xxreg",
            F::PktMark => "pkt_mark",
            F::SkbPriority => "skb_priority",
            F::CtState => "ct_state",
            F::CtZone => "ct_zone",
            F::CtMark => "ct_mark",
            F::CtLabel => "ct_label",
            F::CtProto => "ct_nw_proto",
            F::CtIpSrc => "ct_nw_src",
            F::CtIpDst => "ct_nw_dst",
            F::CtIpv6Src => "ct_ipv6_src",
            F::CtIpv6Dst => "ct_ipv6_dst",
            F::CtTpSrc => "ct_tp_src",
            F::CtTpDst => "ct_tp_dst",
            F::ConjId => "conj_id",
            F::RecircId => "recirc_id",
            F::DpHash => "dp_hash",
            F::PacketType => "packet_type",
            F::ActsetOutput => "actset_output",
        }
    }
}

impl fmt::Display for OfField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Regs(number) | Self::TunMetadata(number) => write!(f, "{number}"),
            _ => Ok(()),
        }
    }
}

/// How the values of a field are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notation {
    /// `0x1f`, `31`
    Number,
    /// `02:00:00:00:00:01`
    Mac,
    /// `192.0.2.1`
    Ipv4,
    /// `2001:db8::1`
    Ipv6,
}

/// Some bits of a field.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Subfield {
    /// The field.
    pub field: OfField,
    /// Its lowest bit that is meant.
    pub low: u8,
    /// How many; at least one.
    pub bits: u8,
}

impl Subfield {
    /// What a name means: `reg6`, `NXM_NX_REG6[0..15]`, `OXM_OF_VLAN_VID[]`, `eth_dst`.
    pub fn named(text: &str) -> Option<Self> {
        let (name, range) = match text.split_once('[') {
            Some((name, rest)) => (name, rest.strip_suffix(']')?),
            None => (text, ""),
        };
        let whole = of_name(name)?;
        if range.is_empty() {
            return Some(whole);
        }
        let (first, last) = range.split_once("..").unwrap_or((range, range));
        let (first, last): (u8, u8) = (first.parse().ok()?, last.parse().ok()?);
        let bits = last.checked_sub(first)?.checked_add(1)?;
        let end = first.checked_add(bits)?;
        (end <= whole.bits).then_some(Self { low: whole.low + first, bits, ..whole })
    }

    /// The bits as they stand in the field.
    pub fn mask(self) -> u128 {
        ones(self.bits) << self.low
    }

    /// A value of these bits where they stand in the field; what does not fit is cut off.
    pub fn place(self, value: u128) -> u128 {
        (value & ones(self.bits)) << self.low
    }

    /// The value that these bits have within a value of the field.
    pub fn take(self, value: u128) -> u128 {
        (value >> self.low) & ones(self.bits)
    }
}

impl fmt::Display for Subfield {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, low, bits } = *self;
        let (low, bits, width) = match field {
            OfField::Regs(group) if low / 32 == (low + bits - 1) / 32 => {
                write!(f, "reg{}", group * 4 + 3 - low / 32)?;
                (low % 32, bits, 32)
            }
            OfField::VlanTci if low == 0 && bits == 13 => return f.write_str("vlan_vid"),
            _ => {
                write!(f, "{field}")?;
                (low, bits, field.width())
            }
        };
        match bits {
            _ if low == 0 && bits == width => Ok(()),
            1 => write!(f, "[{low}]"),
            _ => write!(f, "[{low}..{}]", low + bits - 1),
        }
    }
}

/// So many ones.
pub const fn ones(bits: u8) -> u128 {
    if bits >= 128 { u128::MAX } else { (1 << bits) - 1 }
}

/// A field by one of its names, in any case, with or without the prefix of its class.
fn of_name(name: &str) -> Option<Subfield> {
    const CLASSES: &[&str] = &["NXM_OF_", "NXM_NX_", "OXM_OF_", "NXOXM_ET_", "ERICOXM_OF_"];
    match CLASSES.iter().find_map(|class| name.strip_prefix(class)) {
        // The names of classes are the others in capitals, but for the old `PKT_REG`.
        Some(bare) => of_lower_name(&compact_str::CompactString::from_str_to_lowercase(bare)),
        None => of_lower_name(name),
    }
}

fn of_lower_name(name: &str) -> Option<Subfield> {
    use OfField as F;
    let number = |prefix: &str| name.strip_prefix(prefix)?.parse::<u8>().ok();
    if let Some(register) = number("reg").filter(|register| *register < 16) {
        return Some(F::Regs(register / 4).part((3 - register % 4) * 32, 32));
    }
    if let Some(register) = number("xxreg").filter(|register| *register < 4) {
        return Some(F::Regs(register).whole());
    }
    let long = number("xreg").or_else(|| number("pkt_reg"));
    if let Some(register) = long.filter(|register| *register < 8) {
        return Some(F::Regs(register / 2).part((1 - register % 2) * 64, 64));
    }
    if let Some(option) = number("tun_metadata") {
        return Some(F::TunMetadata(option).whole());
    }
    Some(match name {
        "vlan_vid" => F::VlanTci.part(0, 13),
        "dl_vlan" => F::VlanTci.part(0, 12),
        "vlan_pcp" | "dl_vlan_pcp" => F::VlanTci.part(13, 3),
        "ip_dscp" => F::IpTos.part(2, 6),
        "nw_ecn" | "ip_ecn" => F::IpTos.part(0, 2),
        "mpls_label" => F::Mpls.part(12, 20),
        "mpls_tc" => F::Mpls.part(9, 3),
        "mpls_bos" => F::Mpls.part(8, 1),
        "mpls_ttl" => F::Mpls.part(0, 8),
        _ => of_whole_name(name)?.whole(),
    })
}

fn of_whole_name(name: &str) -> Option<OfField> {
    use OfField as F;
    Some(match name {
        "in_port" | "in_port_oxm" => F::InPort,
        "dl_src" | "eth_src" => F::EthSrc,
        "dl_dst" | "eth_dst" => F::EthDst,
        "dl_type" | "eth_type" => F::EthType,
        "vlan_tci" => F::VlanTci,
        "nw_src" | "ip_src" | "ipv4_src" => F::IpSrc,
        "nw_dst" | "ip_dst" | "ipv4_dst" => F::IpDst,
        "ipv6_src" => F::Ipv6Src,
        "ipv6_dst" => F::Ipv6Dst,
        "ipv6_label" | "ipv6_flabel" => F::Ipv6Label,
        "nw_proto" | "ip_proto" => F::IpProto,
        "nw_tos" | "ip_tos" => F::IpTos,
        "nw_ttl" | "ip_ttl" => F::IpTtl,
        "ip_frag" => F::IpFrag,
        "arp_op" => F::ArpOp,
        "arp_spa" => F::ArpSpa,
        "arp_tpa" => F::ArpTpa,
        "arp_sha" => F::ArpSha,
        "arp_tha" => F::ArpTha,
        "tp_src" | "tcp_src" | "udp_src" | "sctp_src" => F::TpSrc,
        "tp_dst" | "tcp_dst" | "udp_dst" | "sctp_dst" => F::TpDst,
        "tcp_flags" => F::TcpFlags,
        "icmp_type" | "icmpv4_type" | "icmpv6_type" => F::IcmpType,
        "icmp_code" | "icmpv4_code" | "icmpv6_code" => F::IcmpCode,
        "nd_target" | "ipv6_nd_target" => F::NdTarget,
        "nd_sll" | "ipv6_nd_sll" => F::NdSll,
        "nd_tll" | "ipv6_nd_tll" => F::NdTll,
        "tun_id" | "tunnel_id" => F::TunId,
        "tun_src" | "tun_ipv4_src" => F::TunSrc,
        "tun_dst" | "tun_ipv4_dst" => F::TunDst,
        "tun_ipv6_src" => F::TunIpv6Src,
        "tun_ipv6_dst" => F::TunIpv6Dst,
        "tun_tos" => F::TunTos,
        "tun_ttl" => F::TunTtl,
        "tun_flags" => F::TunFlags,
        "tun_gbp_id" => F::TunGbpId,
        "tun_gbp_flags" => F::TunGbpFlags,
        "metadata" => F::Metadata,
        "pkt_mark" => F::PktMark,
        "skb_priority" => F::SkbPriority,
        "ct_state" => F::CtState,
        "ct_zone" => F::CtZone,
        "ct_mark" => F::CtMark,
        "ct_label" => F::CtLabel,
        "ct_nw_proto" => F::CtProto,
        "ct_nw_src" => F::CtIpSrc,
        "ct_nw_dst" => F::CtIpDst,
        "ct_ipv6_src" => F::CtIpv6Src,
        "ct_ipv6_dst" => F::CtIpv6Dst,
        "ct_tp_src" => F::CtTpSrc,
        "ct_tp_dst" => F::CtTpDst,
        "conj_id" => F::ConjId,
        "recirc_id" => F::RecircId,
        "dp_hash" => F::DpHash,
        "packet_type" => F::PacketType,
        "actset_output" => F::ActsetOutput,
        _ => return None,
    })
}

/// Some bits of a field, and the value that they must have, or get.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Bits {
    /// The field.
    pub field: OfField,
    /// The value, where the bits stand in the field; none outside of the mask.
    pub value: u128,
    /// Which bits are meant.
    pub mask: u128,
}

impl Bits {
    /// A value of some bits; `None` where it does not fit.
    pub fn of(part: Subfield, value: u128) -> Option<Self> {
        Self::masked(part, value, ones(part.bits))
    }

    /// The same, of those bits alone that `mask` has.
    pub fn masked(part: Subfield, value: u128, mask: u128) -> Option<Self> {
        let fits = (value | mask) & !ones(part.bits) == 0;
        let (value, mask) = (part.place(value & mask), part.place(mask));
        fits.then_some(Self { field: part.field, value, mask })
    }

    /// The value of `part`, where all its bits are meant.
    pub fn value_of(&self, part: Subfield) -> Option<u128> {
        let all = self.field == part.field && self.mask & part.mask() == part.mask();
        all.then(|| part.take(self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_lead_to_the_same_bits() {
        for (names, wanted) in [
            (&["reg6", "NXM_NX_REG6", "NXM_NX_REG6[]", "NXM_NX_REG6[0..31]"][..], "reg6"),
            (&["reg0[3..5]", "OXM_OF_PKT_REG0[35..37]", "NXM_NX_XXREG0[99..101]"], "reg0[3..5]"),
            (&["OXM_OF_PKT_REG4[1]", "reg9[1]", "xreg4[1]"], "reg9[1]"),
            (&["vlan_vid", "OXM_OF_VLAN_VID[]", "NXM_OF_VLAN_TCI[0..12]"], "vlan_vid"),
            (&["eth_dst", "dl_dst", "NXM_OF_ETH_DST[]"], "eth_dst"),
            (&["tun_id", "tunnel_id", "NXM_NX_TUN_ID[]"], "tun_id"),
            (&["OXM_OF_METADATA[0..15]"], "metadata[0..15]"),
            (&["xxreg1"], "xxreg1"),
            (&["tun_metadata0", "NXM_NX_TUN_METADATA0[]"], "tun_metadata0"),
        ] {
            for name in names {
                let found = Subfield::named(name);
                assert_eq!(found.map(|part| part.to_string()).as_deref(), Some(wanted), "{name}");
            }
        }
        for name in
            ["reg16", "reg0[32]", "reg0[5..3]", "reg0[1", "nothing", "", "xxreg4", "reg0[255]"]
        {
            assert_eq!(Subfield::named(name), None, "{name}");
        }
    }

    #[test]
    fn values_stand_where_their_bits_are() {
        let part = Subfield::named("reg4[4..7]").unwrap();
        let bits = Bits::of(part, 0xa).unwrap();
        assert_eq!(bits.field, OfField::Regs(1));
        assert_eq!(part.take(bits.value), 0xa);
        assert_eq!(bits.value_of(part), Some(0xa));
        assert_eq!(bits.value_of(Subfield::named("reg4").unwrap()), None);
        assert_eq!(Bits::of(part, 0x10), None);
        assert_eq!(ones(128), u128::MAX);
    }
}
