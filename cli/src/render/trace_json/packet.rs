//! A packet for programs: the fields that are known.
use schemars::JsonSchema;
use serde::Serialize;
use tapline_core::records::openflow::OfField;
use tapline_network::trace::Packet;

/// What is known of a packet; what is not known is left out.
#[derive(Default, JsonSchema, Serialize)]
pub(super) struct PacketRow {
    /// VLAN and priority of each tag, the outer one first.
    vlans: Vec<(u16, u8)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dl_src: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dl_dst: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dl_type: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nw_src: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nw_dst: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nw_proto: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nw_ttl: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nw_tos: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tp_src: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tp_dst: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_type: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    icmp_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arp_op: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arp_spa: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arp_tpa: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tunnel: Option<TunnelRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u32>,
}

#[derive(JsonSchema, Serialize)]
struct TunnelRow {
    id: u64,
    dst: Option<String>,
}

/// What is known of a packet.
pub(super) fn packet(packet: &Packet) -> PacketRow {
    let number = |field: OfField| {
        packet.frame.known(field.whole()).and_then(|value| u64::try_from(value).ok())
    };
    let arp = packet.eth_type() == Some(0x0806);
    let (source, destination) =
        (packet.source().map(|ip| ip.to_string()), packet.destination().map(|ip| ip.to_string()));
    let tags = packet.frame.tags();
    let priority = |at: usize| {
        let tag = tags.get(at).map_or(0, |tag| tag.value);
        u8::try_from(tag >> 13 & 7).unwrap_or(0)
    };
    let vlans = packet.vlans().unwrap_or_default();
    let id = number(OfField::TunId).unwrap_or(0);
    let remote = number(OfField::TunDst).and_then(|to| u32::try_from(to).ok()).filter(|to| *to > 0);
    let mut row = PacketRow {
        vlans: vlans.iter().enumerate().map(|(at, vid)| (*vid, priority(at))).collect(),
        dl_src: packet.mac_source().map(|mac| mac.to_string()),
        dl_dst: packet
            .mac_destination()
            .filter(|_| packet.unresolved.is_none())
            .map(|mac| mac.to_string()),
        dl_type: packet.eth_type(),
        size: packet.size,
        ..PacketRow::default()
    };
    if id > 0 || remote.is_some() {
        let dst = remote.map(|to| std::net::Ipv4Addr::from(to).to_string());
        row.tunnel = Some(TunnelRow { id, dst });
    }
    if arp {
        row.arp_op = number(OfField::ArpOp);
        (row.arp_spa, row.arp_tpa) = (source, destination);
        return row;
    }
    (row.nw_src, row.nw_dst) = (source, destination);
    row.nw_proto = packet.protocol();
    row.nw_ttl = packet.ttl();
    row.nw_tos = number(OfField::IpTos);
    match packet.protocol() {
        Some(6 | 17 | 132) => {
            (row.tp_src, row.tp_dst) = (packet.source_port(), packet.destination_port());
        }
        Some(1 | 58) => {
            (row.icmp_type, row.icmp_code) =
                (packet.icmp().map(|icmp| icmp.0), packet.icmp().map(|icmp| icmp.1));
        }
        _ => {}
    }
    row
}
