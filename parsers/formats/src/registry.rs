//! Which format reads which command, file or text.
//!
//! Three questions, in this order of trust: [`by_command`] (an argv that the capture knows),
//! [`by_content`] (a text of unknown origin), [`by_id`].
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;

use crate::formats;

/// One format: what it reads, and how.
#[derive(Debug)]
pub struct Format {
    /// Its id: kebab-case, the name of its file and of its folder in the corpus.
    pub id: FormatId,
    /// The command as a person types it: what "not captured" asks for.
    pub command: &'static str,
    /// Whether it reads the output of this command. Wrapping (`sudo`, `ip netns exec NS`, absolute
    /// paths) is already gone; a copied file is `cat PATH`.
    pub claims: fn(&Command) -> bool,
    /// How sure the text itself is to be of this format, 0 to 100, from its first lines (at most
    /// 4 KiB). Above 50 is a match; the highest wins.
    pub sniff: fn(&str) -> u8,
    /// The reader.
    pub read: fn(&str, &Command) -> Outcome<Batch>,
}

/// All formats, sorted by id.
pub static FORMATS: &[&Format] = &[
    &formats::arp::FORMAT,
    &formats::brctl_show::FORMAT,
    &formats::bridge_fdb::FORMAT,
    &formats::bridge_link::FORMAT,
    &formats::bridge_vlan::FORMAT,
    &formats::conntrack::FORMAT,
    &formats::host_facts::date::FORMAT,
    &formats::domain_xml::FORMAT,
    &formats::ethtool::FORMAT,
    &formats::ethtool_s::FORMAT,
    &formats::ethtool_g::FORMAT,
    &formats::ethtool_i::FORMAT,
    &formats::ethtool_k::FORMAT,
    &formats::firewall::FIREWALLD,
    &formats::host_facts::hostname::FORMAT,
    &formats::ifconfig::IFCONFIG,
    &formats::ip_link::ADDRESS,
    &formats::ip_link::LINK,
    &formats::ip_neigh::FORMAT,
    &formats::ip_netns::FORMAT,
    &formats::ip_route::FORMAT,
    &formats::ip_route_get::FORMAT,
    &formats::ip_rule::FORMAT,
    &formats::iptables_list::FORMAT,
    &formats::iptables_save::FORMAT,
    &formats::keepalived::CONF,
    &formats::keepalived::STATE,
    &formats::lldpctl::FORMAT,
    &formats::host_facts::machine_id::FORMAT,
    &formats::ifconfig::TABLE,
    &formats::managed::NETWORKCTL,
    &formats::nft_list_ruleset::FORMAT,
    &formats::managed::NMCLI,
    &formats::ovn_nbctl_show::FORMAT,
    &formats::ovn_sbctl_show::FORMAT,
    &formats::ovs_appctl_status::BFD,
    &formats::ovs_appctl_status::BOND,
    &formats::ovs_appctl_fdb_show::FORMAT,
    &formats::ovs_appctl_status::LACP,
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
    FORMATS.iter().copied().find(|it| it.id == id)
}

/// The format that reads the output of `command`.
pub fn by_command(command: &Command) -> Option<&'static Format> {
    FORMATS.iter().copied().find(|it| (it.claims)(command))
}

/// The format that `text` looks like.
pub fn by_content(text: &str) -> Option<&'static Format> {
    const HEAD: usize = 4096;
    let head = text.get(..text.floor_char_boundary(HEAD.min(text.len()))).unwrap_or_default();
    let head = &*crate::plain_blanks(head);
    FORMATS
        .iter()
        .copied()
        .map(|it| ((it.sniff)(head), it))
        .filter(|&(sure, _)| sure > 50)
        .max_by_key(|&(sure, it)| (sure, std::cmp::Reverse(it.id)))
        .map(|(_, it)| it)
}
