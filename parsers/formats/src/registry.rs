//! Which format reads which command, file or text.
//!
//! Three questions, in this order of trust: [`by_command`] (an argv that the capture knows),
//! [`by_content`] (a text of unknown origin), [`by_id`].
use std::borrow::Cow;

use tapline_core::capture::{Command, FormatId};
use tapline_core::request::Request;

pub use crate::format::Format;
use crate::formats;

/// All formats, one line each, sorted by id.
pub static FORMATS: &[&Format] = &[
    &formats::arp::FORMAT,
    &formats::bpftool_net::FORMAT,
    &formats::brctl_show::FORMAT,
    &formats::bridge_fdb::FORMAT,
    &formats::bridge_link::FORMAT,
    &formats::bridge_vlan::FORMAT,
    &formats::conntrack::FORMAT,
    &formats::host_facts::date::FORMAT,
    &formats::domain_xml::FORMAT,
    &formats::ebtables_save::FORMAT,
    &formats::ethtool::FORMAT,
    &formats::ethtool_p::FORMAT,
    &formats::ethtool_s::FORMAT,
    &formats::ethtool_g::FORMAT,
    &formats::ethtool_i::FORMAT,
    &formats::ethtool_k::FORMAT,
    &formats::firewall::FIREWALLD,
    &formats::host_facts::guests::FORMAT,
    &formats::host_facts::hostname::FORMAT,
    &formats::ifconfig::IFCONFIG,
    &formats::ip_link::ADDRESS,
    &formats::ip_link::LINK,
    &formats::ip_neigh::FORMAT,
    &formats::ip_netns::FORMAT,
    &formats::ip_route::FORMAT,
    &formats::ip_route_get::FORMAT,
    &formats::ip_rule::FORMAT,
    &formats::ip_xfrm::POLICY,
    &formats::ip_xfrm::STATE,
    &formats::ipset::FORMAT,
    &formats::iptables_list::FORMAT,
    &formats::iptables_save::FORMAT,
    &formats::keepalived::CONF,
    &formats::keepalived::STATE,
    &formats::lldpctl::FORMAT,
    &formats::host_facts::machine_id::FORMAT,
    &formats::ifconfig::TABLE,
    &formats::netstat_sockets::FORMAT,
    &formats::managed::NETWORKCTL,
    &formats::nft_list_ruleset::FORMAT,
    &formats::managed::NMCLI,
    &formats::host_facts::os_release::FORMAT,
    &formats::ovn_nbctl_show::FORMAT,
    &formats::ovn_sbctl_show::FORMAT,
    &formats::ovs_appctl_status::BFD,
    &formats::ovs_appctl_status::BOND,
    &formats::ovs_appctl_fdb_show::FORMAT,
    &formats::ovs_appctl_status::LACP,
    &formats::ovs_dpctl_dump_conntrack::FORMAT,
    &formats::ovs_dpctl_dump_flows::FORMAT,
    &formats::ovs_dpctl_show::FORMAT,
    &formats::ovs_ofctl_dump_flows::FORMAT,
    &formats::ovs_ofctl_dump_groups::FORMAT,
    &formats::ovs_ofctl_show::FORMAT,
    &formats::ovs_vsctl_list::FORMAT,
    &formats::ovs_vsctl_show::FORMAT,
    &formats::ovsdb_client_dump::FORMAT,
    &formats::ovsdb_conf_db::FORMAT,
    &formats::proc_net_bonding::FORMAT,
    &formats::ps::FORMAT,
    &formats::route::FORMAT,
    &formats::ss::FORMAT,
    &formats::sysctl::FORMAT,
    &formats::tc_filter::FORMAT,
    &formats::tc_qdisc::FORMAT,
    &formats::managed::TEAMDCTL,
    &formats::firewall::UFW,
    &formats::host_facts::uname::FORMAT,
    &formats::host_facts::uptime::FORMAT,
    &formats::virsh_domifaddr::FORMAT,
    &formats::virsh_domiflist::FORMAT,
    &formats::virsh_list::FORMAT,
    &formats::virsh_net_dumpxml::FORMAT,
    &formats::virsh_net_list::FORMAT,
];

/// The format with this id.
pub fn by_id(id: FormatId) -> Option<&'static Format> {
    FORMATS.iter().copied().find(|format| format.id == id)
}

/// The format that reads the output of `command`.
pub fn by_command(command: &Command) -> Option<&'static Format> {
    FORMATS.iter().copied().find(|format| format.reads(command))
}

/// What a command asks for, as the format that reads its output understands it.
pub fn request(format: FormatId, command: &Command) -> Request {
    by_id(format).and_then(|format| (format.claims)(command)).unwrap_or_default()
}

/// How sure a format must be that a text is its own.
const SURE: u8 = 50;

/// The format that `text` looks like.
pub fn by_content(text: &str) -> Option<&'static Format> {
    let head = &*head(text);
    FORMATS
        .iter()
        .copied()
        .map(|format| ((format.sniff)(head), format))
        .filter(|&(sure, _)| sure > SURE)
        .max_by_key(|&(sure, format)| (sure, std::cmp::Reverse(format.id)))
        .map(|(_, format)| format)
}

/// Whether `text` looks like this format, whatever else it may look like: a hundredth of the cost
/// of [`by_content`].
pub fn looks_like(format: &Format, text: &str) -> bool {
    (format.sniff)(&head(text)) > SURE
}

/// As much of a text as tells what it is.
fn head(text: &str) -> Cow<'_, str> {
    const HEAD: usize = 4096;
    crate::plain_blanks(
        text.get(..text.floor_char_boundary(HEAD.min(text.len()))).unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn formats_are_sorted_by_id() {
        let ids: Vec<_> = FORMATS.iter().map(|format| format.id.0).collect();
        assert!(ids.is_sorted(), "sort the list by id: {ids:?}");
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id is used twice");
    }

    #[test]
    fn every_format_claims_its_own_command() {
        for format in FORMATS {
            let found = by_command(&Command::new(format.command)).map(|found| found.id);
            assert_eq!(found, Some(format.id), "`{}`", format.command);
        }
    }

    #[test]
    fn every_command_that_is_collected_is_claimed_by_its_format() {
        for format in FORMATS {
            for gather in format.collect {
                let line = gather.argv.replace("{}", "x0");
                let command = match gather.per {
                    crate::format::Per::File => Command::new(&format!("cat {line}")),
                    _ => Command::new(&line),
                };
                assert!(format.reads(&command), "{} does not claim `{command}`", format.id);
            }
        }
    }
}
