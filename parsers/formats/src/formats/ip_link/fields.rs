//! A line of details into keys and values.
//!
//! iproute2 marks neither: `udpcsum ttl auto ageing 300` is a bare word and two pairs. A word is
//! taken for a key with a value unless it is known to stand alone, or the word behind it is a key.
use std::ops::Range;
use std::sync::LazyLock;

use tapline_core::records::PackedFields;
use tapline_core::span::Span;

use crate::nomx::{Expected, word_gap};

/// Shows each key with its value (empty for a bare word) to `take`, in order.
///
/// Gives the key that misses its value because the line is cut off behind it.
///
/// Values of two words (`srcport 0 0`, `ingress-qos-map { 1:2 }`) and names with blanks behind
/// `link-netns` stay together.
pub(super) fn each_field<'a>(
    input: &'a str,
    mut take: impl FnMut(&'a str, &'a str) -> Result<(), nom::Err<Expected<'a>>>,
) -> Result<Option<&'a str>, nom::Err<Expected<'a>>> {
    let mut input = input.trim_start();
    while !input.is_empty() {
        let (rest, key, value) = field(input)?;
        if rest.is_empty() && value.is_empty() && is_key(key) {
            return Ok(Some(key));
        }
        take(key, value)?;
        input = rest;
    }
    Ok(None)
}

/// The first key and value, and what follows them.
fn field(input: &str) -> Result<(&str, &str, &str), nom::Err<Expected<'_>>> {
    let close = match input.as_bytes().first() {
        Some(b'<') => Some('>'),
        Some(b'(') => Some(')'),
        _ => None,
    };
    if let Some(close) = close {
        let (group, rest) = through(input, close);
        return Ok((rest, group, empty_end(group)));
    }
    let (rest, key) = word_gap(input)?;
    let bare = Ok((rest, key, empty_end(key)));
    match rest.as_bytes().first() {
        None => return bare,
        Some(b'{') => {
            let (group, rest) = through(rest, '}');
            return Ok((rest, key, group));
        }
        Some(b'<') if key == "protodown_reason" => {
            let (group, rest) = through(rest, '>');
            return Ok((rest, key, group));
        }
        Some(b'<' | b'(') => return bare,
        Some(_) => {}
    }
    let (after, value) = word_gap(rest)?;
    match key {
        // Two port numbers.
        "srcport" => {
            if let Ok((end, high)) = word_gap(after)
                && high.bytes().all(|b| b.is_ascii_digit())
            {
                return Ok((end, key, between(rest, value, high)));
            }
        }
        // A name of a namespace may have blanks.
        "link-netns" | "new-netns" => {
            let (mut after, mut last) = (after, value);
            while let Ok((end, more)) = word_gap(after)
                && !is_key(more)
            {
                (after, last) = (end, more);
            }
            return Ok((after, key, between(rest, value, last)));
        }
        _ if is_plain_value(value) => {}
        _ if is_key(key) => {}
        _ if is_bare(key) => return bare,
        // An unknown word before a key has no value.
        _ if is_key(value) => return bare,
        _ => {}
    }
    Ok((after, key, value))
}

/// Whether `word` cannot be a key: numbers and switches, as most values are.
fn is_plain_value(word: &str) -> bool {
    let digit = word.as_bytes().first().is_some_and(u8::is_ascii_digit);
    (digit && !word.starts_with("6rd-")) || matches!(word, "on" | "off")
}

/// Keeps a field that no other of the record holds.
pub(super) fn keep(text: &str, other: &mut PackedFields, key: &str, value: &str) {
    let span = if value.is_empty() { Span::of(text, key) } else { Span::of(text, value) };
    other.push(key, value, span);
}

/// `input` up to and with `close`, and the rest without blanks; all of it where none closes.
fn through(input: &str, close: char) -> (&str, &str) {
    let end = input.find(close).map_or(input.len(), |at| at + 1);
    let (group, rest) = input.split_at_checked(end).unwrap_or((input, ""));
    (group, rest.trim_start())
}

/// The part of `input`, which starts with `first`, up to the end of `last`.
fn between<'a>(input: &'a str, first: &'a str, last: &str) -> &'a str {
    input.get(..Span::of(input, last).end as usize).unwrap_or(first)
}

/// The empty text at the end of `text`: bare words have a place, too.
fn empty_end(text: &str) -> &str {
    text.get(text.len()..).unwrap_or_default()
}

/// Whether `word` is known to take a value.
pub(super) fn is_key(word: &str) -> bool {
    let first = word.as_bytes().first().map_or(0, |byte| usize::from(*byte));
    let range = KEYS_BY_BYTE.get(first).cloned().unwrap_or_default();
    let mut alike = KEYS.get(range).unwrap_or_default().iter();
    alike.any(|key| key.len() == word.len() && *key == word)
}

/// Where the keys that begin with a byte stand in [`KEYS`]: words are asked about by the million.
static KEYS_BY_BYTE: LazyLock<Vec<Range<usize>>> = LazyLock::new(|| {
    let starts = |byte: u8| KEYS.partition_point(|key| key.as_bytes().first() < Some(&byte));
    (0..=u8::MAX / 2).map(|byte| starts(byte)..starts(byte + 1)).collect()
});

/// Whether `word` is known to stand alone.
fn is_bare(word: &str) -> bool {
    BARE.binary_search(&word).is_ok() || word.starts_with("xdp")
}

/// Words without a value (`ip/iplink_*.c`, `ip/link_*.c`), sorted.
const BARE: &[&str] = &[
    "...",
    "4in4",
    "4in6",
    "6in4",
    "6in6",
    "allow-localremote",
    "any",
    "csum",
    "encap-csum",
    "encap-csum6",
    "encap-remcsum",
    "external",
    "gbp",
    "gpe",
    "icsum",
    "ignore-df",
    "ingress_commands",
    "ingress_deaggregation",
    "innerprotoinherit",
    "ip4ip4",
    "ip6ip",
    "ip6ip6",
    "ipip",
    "ipip6",
    "isatap",
    "iseq",
    "jited",
    "keepalive",
    "l2miss",
    "l3miss",
    "learning",
    "localbypass",
    "mip6",
    "mplsip",
    "mplsip6",
    "multi_queue",
    "multiproto",
    "noallow-localremote",
    "nodad",
    "noencap-csum",
    "noencap-csum6",
    "noencap-remcsum",
    "noexternal",
    "noicsum",
    "noignore-df",
    "noiseq",
    "nolearning",
    "nolocalbypass",
    "nomultiproto",
    "noocsum",
    "nooseq",
    "nopmtudisc",
    "nopromisc",
    "noremcsumrx",
    "noremcsumtx",
    "norsc",
    "noudp6zerocsumrx",
    "noudp6zerocsumtx",
    "noudpcsum",
    "novnifilter",
    "ocsum",
    "oseq",
    "pmtudisc",
    "promisc",
    "proxy",
    "remcsumrx",
    "remcsumtx",
    "rsc",
    "seq",
    "udp6zerocsumrx",
    "udp6zerocsumtx",
    "udpcsum",
    "vnifilter",
    "xdp",
    "xdpdrv",
    "xdpgeneric",
    "xdpmulti",
    "xdpoffload",
    "…",
];

/// Words with a value, sorted. Need not be complete: unknown words are taken for keys.
const KEYS: &[&str] = &[
    "6rd-prefix",
    "6rd-relay_prefix",
    "active_slave",
    "ad_actor_key",
    "ad_actor_oper_port_state",
    "ad_actor_oper_port_state_str",
    "ad_actor_sys_prio",
    "ad_actor_system",
    "ad_aggregator",
    "ad_aggregator_id",
    "ad_num_ports",
    "ad_partner_key",
    "ad_partner_mac",
    "ad_partner_oper_port_state",
    "ad_partner_oper_port_state_str",
    "ad_select",
    "ad_user_port_key",
    "addrgenmode",
    "ageing",
    "ageing_time",
    "all_slaves_active",
    "allmulti",
    "arp_all_targets",
    "arp_interval",
    "arp_ip_target",
    "arp_missed_max",
    "arp_validate",
    "backup_nhid",
    "backup_port",
    "bcast_flood",
    "bclim",
    "bcqueuelen",
    "bitrate",
    "brd",
    "bridge_id",
    "broadcast_neighbor",
    "cipher",
    "conduit",
    "config_pending",
    "cost",
    "coupled_control",
    "designated_bridge",
    "designated_cost",
    "designated_port",
    "designated_root",
    "dev",
    "df",
    "downdelay",
    "dstport",
    "encap",
    "encap-dport",
    "encap-sport",
    "encaplimit",
    "encodingsa",
    "encrypt",
    "end_station",
    "erspan_dir",
    "erspan_hwid",
    "erspan_index",
    "erspan_ver",
    "ethertype",
    "event",
    "fail_over_mac",
    "fastleave",
    "fdb_local_vlan_0",
    "fdb_max_learned",
    "fdb_n_learned",
    "flood",
    "flowlabel",
    "forward_delay",
    "forward_delay_timer",
    "fwmark",
    "gc_timer",
    "gro_ipv4_max_size",
    "gro_max_size",
    "group",
    "group_address",
    "group_fwd_mask",
    "group_fwd_mask_str",
    "gso_ipv4_max_size",
    "gso_max_segs",
    "gso_max_size",
    "guard",
    "hairpin",
    "headroom",
    "hello_time",
    "hello_timer",
    "hold_timer",
    "hoplimit",
    "icvlen",
    "id",
    "if_id",
    "ikey",
    "interlink",
    "isolated",
    "key",
    "label_policy",
    "lacp_active",
    "lacp_rate",
    "link-netns",
    "link-netnsid",
    "link_failure_count",
    "local",
    "locked",
    "lp_interval",
    "mab",
    "master",
    "max_age",
    "max_pacing_offload_horizon",
    "maxaddr",
    "maxmtu",
    "mcast_fast_leave",
    "mcast_flood",
    "mcast_hash_elasticity",
    "mcast_hash_max",
    "mcast_igmp_version",
    "mcast_last_member_count",
    "mcast_last_member_interval",
    "mcast_max_groups",
    "mcast_membership_interval",
    "mcast_mld_version",
    "mcast_n_groups",
    "mcast_querier",
    "mcast_querier_interval",
    "mcast_query_interval",
    "mcast_query_response_interval",
    "mcast_query_use_ifaddr",
    "mcast_router",
    "mcast_snooping",
    "mcast_startup_query_count",
    "mcast_startup_query_interval",
    "mcast_stats_enabled",
    "mcast_to_unicast",
    "mcast_vlan_snooping",
    "mdb_offload_fail_notification",
    "message_age_timer",
    "metric",
    "mii_status",
    "miimon",
    "min_links",
    "minmtu",
    "mode",
    "mst_enable",
    "mst_enabled",
    "mtu",
    "mux_id",
    "neigh_suppress",
    "neigh_vlan_suppress",
    "netns-immutable",
    "new-ifindex",
    "new-netns",
    "new-netnsid",
    "nf_call_arptables",
    "nf_call_ip6tables",
    "nf_call_iptables",
    "no_linklocal_learn",
    "ns_ip6_target",
    "num_grat_arp",
    "num_unsol_na",
    "numdisabled",
    "numqueues",
    "numrxqueues",
    "numtxqueues",
    "offload",
    "okey",
    "packets_per_slave",
    "parentbus",
    "parentdev",
    "peer",
    "peer_notify_delay",
    "perm_hwaddr",
    "permaddr",
    "persist",
    "pi",
    "pkey",
    "policy",
    "port_id",
    "port_no",
    "portid",
    "portname",
    "preferred_lft",
    "primary",
    "primary_reselect",
    "prio",
    "priority",
    "promiscuity",
    "protect",
    "proto",
    "protocol",
    "protodown",
    "protodown_reason",
    "proxy_arp",
    "proxy_arp_wifi",
    "qdisc",
    "qlen",
    "queue_id",
    "remote",
    "remotes",
    "reorder_hdr",
    "replay",
    "resend_igmp",
    "restart-ms",
    "role",
    "root_block",
    "root_path_cost",
    "root_port",
    "sample-point",
    "scb",
    "sci",
    "scope",
    "scrub",
    "send_sci",
    "sequence",
    "slave1",
    "slave2",
    "srcport",
    "srcportmin",
    "state",
    "stp_state",
    "supervision",
    "switchid",
    "table",
    "tailroom",
    "tclass",
    "tcn_timer",
    "tlb_dynamic_lb",
    "topology_change",
    "topology_change_ack",
    "topology_change_detected",
    "topology_change_timer",
    "tos",
    "tso_max_segs",
    "tso_max_size",
    "ttl",
    "txq_maxrate",
    "type",
    "umcast",
    "updelay",
    "use_carrier",
    "usedbcqueuelen",
    "user",
    "valid_lft",
    "validate",
    "version",
    "vlan_default_pvid",
    "vlan_filtering",
    "vlan_protocol",
    "vlan_stats_enabled",
    "vlan_stats_per_port",
    "vlan_tunnel",
    "vnet_hdr",
    "window",
    "xmit_hash_policy",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Vec<(&str, &str)> {
        let mut all = Vec::new();
        each_field(line, |key, value| {
            all.push((key, value));
            Ok(())
        })
        .unwrap();
        all
    }

    #[test]
    fn tables_are_sorted() {
        assert!(KEYS.is_sorted() && BARE.is_sorted());
        assert!(BARE.iter().all(|bare| !is_key(bare)));
    }

    #[test]
    fn bare_words_do_not_swallow_what_follows() {
        assert_eq!(
            fields("id 5 srcport 0 0 dstport 4789 nolearning ttl auto newflag numtxqueues 1"),
            [
                ("id", "5"),
                ("srcport", "0 0"),
                ("dstport", "4789"),
                ("nolearning", ""),
                ("ttl", "auto"),
                ("newflag", ""),
                ("numtxqueues", "1"),
            ]
        );
        assert_eq!(
            fields("link-netns blue ns promiscuity 0  <A,B> (x y) m { 1:2 3:4 } z"),
            [
                ("link-netns", "blue ns"),
                ("promiscuity", "0"),
                ("<A,B>", ""),
                ("(x y)", ""),
                ("m", "{ 1:2 3:4 }"),
                ("z", ""),
            ]
        );
    }

    #[test]
    fn a_key_at_the_end_of_the_line_misses_its_value() {
        let cut = |line| each_field(line, |_, _| Ok(())).unwrap();
        assert_eq!(cut("state ACTIVE mii_status"), Some("mii_status"));
        assert_eq!(cut("state ACTIVE newflag"), None);
    }
}
