//! Coverage: which question each text answers, and how well.
mod bridges;

use std::collections::BTreeMap;

use tapline_core::capture::{Command, Completeness, Source};
use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::records::ovs::OvsRow;
use tapline_core::span::SourceId;

use super::{Texts, argv};
use crate::coverage::{Coverage, Topic};
use crate::graph::Topology;

/// What one text answers: topics that it shows wholly, and topics of which it shows a part.
#[derive(Default)]
struct Answers {
    whole: Vec<Topic>,
    part: Vec<Topic>,
}

impl Answers {
    fn whole(topics: &[Topic]) -> Self {
        Self { whole: topics.to_vec(), part: Vec::new() }
    }

    fn part(topics: &[Topic]) -> Self {
        Self { whole: Vec::new(), part: topics.to_vec() }
    }

    /// All of `topics`, or a part of each where the command asked for less.
    fn filtered(topics: &[Topic], filtered: bool) -> Self {
        if filtered { Self::part(topics) } else { Self::whole(topics) }
    }
}

/// Fills the coverage of one host.
pub(crate) fn fill(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    let part = Completeness::Partial("the command asked for a part".to_owned());
    let mut ovs_tables: BTreeMap<&'static str, SourceId> = BTreeMap::new();
    for &(source, batch) in &texts.all {
        let completeness = texts.snapshot.completeness(source.id);
        let answers = answers(source, batch);
        for netns in namespaces(source, batch) {
            for (topics, verdict) in [
                (&answers.whole, completeness.clone()),
                (&answers.part, completeness.clone().and(part.clone())),
            ] {
                for &topic in topics {
                    topology.coverage.entry(texts.host, &netns, topic).add(source.id, &verdict);
                }
            }
        }
        if completeness.is_complete()
            && let Some(table) = whole_table(source)
        {
            ovs_tables.entry(table).or_insert(source.id);
        }
    }
    // Three tables together are as good as `ovs-vsctl show`.
    if let (Some(&bridge), Some(&port), Some(&interface)) =
        (ovs_tables.get("bridge"), ovs_tables.get("port"), ovs_tables.get("interface"))
    {
        let coverage = topology.coverage.entry(texts.host, &Netns::Root, Topic::Ovs);
        for source in [bridge, port, interface] {
            coverage.add(source, &Completeness::Complete);
        }
    }
    domain_xml(topology, texts);
    bridges::fill(topology, texts);
}

/// The namespaces that a text is about: that of its command, or those that its headings name.
fn namespaces(source: &Source, batch: &Batch) -> Vec<Netns> {
    if let Batch::Links(links) = batch {
        let mut all: Vec<Netns> = links.iter().filter_map(|it| it.netns.clone()).collect();
        if !all.is_empty() {
            all.sort();
            all.dedup();
            return all;
        }
    }
    vec![source.netns.clone()]
}

fn answers(source: &Source, batch: &Batch) -> Answers {
    let command = &source.command;
    if let Some(ip) = argv::ip(command) {
        return ip_answers(&ip, batch);
    }
    match unprefixed(command) {
        "bridge" => {
            let object = argv::positionals(command).next().unwrap_or_default();
            let filtered = command.args().iter().any(|it| it == "dev");
            match object {
                "" => Answers::default(),
                it if "link".starts_with(it) => {
                    Answers::filtered(&[Topic::BridgeMembers], filtered)
                }
                _ => Answers::default(),
            }
        }
        "brctl" => {
            let mut words = argv::positionals(command);
            match words.next() {
                Some("show") => Answers::filtered(&[Topic::BridgeMembers], words.next().is_some()),
                _ => Answers::default(),
            }
        }
        "route" | "netstat" => match batch {
            Batch::Routes(_) | Batch::Nothing
                if command.program() == "route" || is_netstat_routes(source) =>
            {
                let inet6 = ["-6", "inet6"].iter().any(|it| argv::has(command, it));
                if inet6 {
                    Answers::part(&[Topic::Routes])
                } else {
                    Answers::whole(&[Topic::Routes])
                }
            }
            _ => Answers::default(),
        },
        "ovs-vsctl" | "ovsdb-client" | "ovsdb-tool" => ovs_answers(source, batch),
        // By what was read: `-c URI list` has the address where the verb is looked for.
        "virsh" => match batch {
            Batch::DomainStates(_) => {
                let all = argv::has(command, "--all");
                let filtered = command.args().iter().any(|it| {
                    it.starts_with("--with")
                        || it.starts_with("--state")
                        || it == "--inactive"
                        || it == "--transient"
                        || it == "--persistent"
                        || it == "--autostart"
                });
                Answers::filtered(&[Topic::Domains], !all || filtered)
            }
            Batch::Domains(_) => Answers::part(&[Topic::DomainXml]),
            _ => Answers::default(),
        },
        "iptables-save" => Answers::filtered(&[Topic::Netfilter], argv::has(command, "-t")),
        // One table, without the order of its chains.
        "iptables" => match batch {
            Batch::Netfilter(_) => Answers::part(&[Topic::Netfilter]),
            _ => Answers::default(),
        },
        "nft" => {
            let all = argv::positionals(command).eq(["list", "ruleset"]);
            Answers::filtered(&[Topic::Nft], !all)
        }
        "sysctl" => {
            let all = ["-a", "-A", "--all"].iter().any(|it| argv::has(command, it));
            Answers::filtered(&[Topic::Sysctls], !all)
        }
        "ethtool" => match batch {
            Batch::NicFeatures(_) => Answers::part(&[Topic::NicFeatures]),
            Batch::NicRings(_) => Answers::part(&[Topic::NicRings]),
            _ => Answers::default(),
        },
        "ovn-sbctl" | "ovn-nbctl" => ovn_answers(command),
        "cat" => match batch {
            Batch::Ovs(_) => ovs_answers(source, batch),
            Batch::Domains(_) => Answers::part(&[Topic::DomainXml]),
            Batch::Routes(_) => Answers::whole(&[Topic::Routes]),
            Batch::Sysctls(_) => Answers::part(&[Topic::Sysctls]),
            Batch::HaStates(_) => Answers::part(&[Topic::HaRouters]),
            _ => Answers::default(),
        },
        // A text whose command nobody knows: what was read from it counts for a part.
        "" => match batch {
            Batch::Links(_) => Answers::part(&[Topic::Links, Topic::Addresses]),
            Batch::Bridges(_) | Batch::BridgePorts(_) => Answers::part(&[Topic::BridgeMembers]),
            Batch::Routes(_) => Answers::part(&[Topic::Routes]),
            Batch::Rules(_) => Answers::part(&[Topic::Rules]),
            Batch::Neighbours(_) => Answers::part(&[Topic::Neighbours]),
            Batch::NetnsList(_) => Answers::part(&[Topic::NetnsList]),
            Batch::DomainStates(_) => Answers::part(&[Topic::Domains]),
            Batch::Domains(_) => Answers::part(&[Topic::DomainXml]),
            Batch::Ovs(_) => Answers::part(&[Topic::Ovs]),
            _ => Answers::default(),
        },
        _ => Answers::default(),
    }
}

fn is_netstat_routes(source: &Source) -> bool {
    argv::has(&source.command, "--route")
        || source
            .command
            .args()
            .iter()
            .any(|it| it.starts_with('-') && !it.starts_with("--") && it.contains('r'))
}

fn ip_answers(ip: &argv::IpCommand<'_>, batch: &Batch) -> Answers {
    if ip.not_show {
        return Answers::default();
    }
    // `ip a s dev eth0`, `ip link show up`: any filter leaves something out.
    let filtered = !ip.filters.is_empty() || lacks_loopback(batch);
    match ip.object {
        "address" | "link" => {
            let link = ip.object == "link";
            let mut topics = Vec::new();
            // Devices without an address are missing from one-line and one-family listings.
            let devices =
                link || !(ip.inet || ip.inet6 || (ip.oneline && !ip.brief && !lists_links(batch)));
            if devices {
                topics.push(Topic::Links);
                if !ip.brief {
                    topics.push(Topic::BridgeMembers);
                    if ip.details {
                        topics.push(Topic::LinkDetails);
                    }
                }
            }
            if !link && !ip.inet && !ip.inet6 {
                topics.push(Topic::Addresses);
            }
            let mut answers = Answers::filtered(&topics, filtered);
            if !devices {
                answers.part.push(Topic::Links);
            }
            if !link && (ip.inet || ip.inet6) {
                answers.part.push(Topic::Addresses);
            }
            answers
        }
        "route" => {
            let table = ip.value("table");
            let filtered = ip.filters.iter().any(|it| *it != "table" && Some(*it) != table);
            let topics: &[Topic] = match table {
                Some("all" | "0") => &[Topic::Routes, Topic::AllRoutes],
                None | Some("main" | "254") => &[Topic::Routes],
                Some(_) => return Answers::part(&[Topic::AllRoutes]),
            };
            if ip.inet6 { Answers::part(topics) } else { Answers::filtered(topics, filtered) }
        }
        "rule" => Answers::filtered(&[Topic::Rules], filtered || ip.inet6),
        "neighbour" => Answers::filtered(&[Topic::Neighbours], filtered || ip.inet || ip.inet6),
        "netns" => Answers::filtered(&[Topic::NetnsList], filtered),
        _ => Answers::default(),
    }
}

/// Whether the listing lacks the loopback, which every namespace has: somebody picked lines.
fn lacks_loopback(batch: &Batch) -> bool {
    matches!(batch, Batch::Links(links)
        if !links.is_empty() && links.iter().all(|it| it.name.value != "lo"))
}

/// Whether a one-line address listing prints the header lines of devices too (`ip -o -d a`?): no
/// iproute2 does, but transcripts rename things.
fn lists_links(batch: &Batch) -> bool {
    matches!(batch, Batch::Links(links) if links.iter().any(|it| it.addresses.is_empty() && !it.flags.is_empty()))
}

fn ovs_answers(source: &Source, batch: &Batch) -> Answers {
    const TABLES: &[Topic] = &[Topic::Ovs, Topic::OvsPorts, Topic::OvsInterfaces];
    let command = &source.command;
    let words: Vec<&str> = argv::positionals(command).collect();
    match (unprefixed(command), words.first().copied()) {
        // `-t 5 show`, as sos asks: the seconds stand where the verb is looked for.
        ("ovs-vsctl", _) if words.contains(&"show") && table_of(source).is_none() => {
            Answers::whole(&[Topic::Ovs])
        }
        ("ovs-vsctl", _) => match (table_of(source), whole_table(source)) {
            (Some("port"), whole) => Answers::filtered(&[Topic::OvsPorts], whole.is_none()),
            (Some("interface"), whole) => {
                Answers::filtered(&[Topic::OvsInterfaces], whole.is_none())
            }
            (Some("bridge"), _) => Answers::part(&[Topic::Ovs]),
            (None, _) if words.contains(&"list") => match batch {
                Batch::Ovs(rows)
                    if rows.iter().any(|it| matches!(it.row, OvsRow::OpenVswitch(_))) =>
                {
                    Answers::whole(&[Topic::OvsDatabase])
                }
                _ => Answers::default(),
            },
            _ => Answers::default(),
        },
        ("ovsdb-client", Some("dump")) => {
            // `dump [SERVER] [DATABASE] [TABLE [COLUMN…]]`: a table name starts in upper case.
            let table = words.iter().skip(1).find(|it| {
                it.starts_with(|first: char| first.is_ascii_uppercase()) && **it != "Open_vSwitch"
            });
            let all = [TABLES, &[Topic::OvsDatabase]].concat();
            Answers::filtered(&all, table.is_some())
        }
        // Another database than that of vswitchd has none of these tables.
        _ => match batch {
            Batch::Ovs(rows) if rows.iter().any(|it| matches!(it.row, OvsRow::OpenVswitch(_))) => {
                Answers::whole(&[TABLES, &[Topic::OvsDatabase]].concat())
            }
            _ => Answers::default(),
        },
    }
}

/// What a database of OVN was asked for. What the command left out is known from its output.
fn ovn_answers(command: &Command) -> Answers {
    let words: Vec<&str> = argv::positionals(command).collect();
    let listed = |table: &str| {
        words.contains(&"list") && words.last().is_some_and(|it| it.eq_ignore_ascii_case(table))
    };
    match unprefixed(command) {
        "ovn-sbctl" if words.contains(&"show") => Answers::whole(&[Topic::OvnSouth]),
        "ovn-sbctl" if listed("Port_Binding") => Answers::whole(&[Topic::OvnBindings]),
        "ovn-nbctl" if words.contains(&"show") => Answers::whole(&[Topic::OvnNorth]),
        _ => Answers::default(),
    }
}

/// The program, without the snap it comes from (`microovn.ovs-vsctl`).
fn unprefixed(command: &Command) -> &str {
    let program = command.program();
    program.rsplit_once('.').map_or(program, |it| it.1)
}

/// The table that `ovs-vsctl list` (or `find`) was asked for.
fn table_of(source: &Source) -> Option<&'static str> {
    if unprefixed(&source.command) != "ovs-vsctl" {
        return None;
    }
    let mut words = source.command.args().iter().skip_while(|it| *it != "list" && *it != "find");
    words.next()?;
    let table = words.find(|it| !it.starts_with('-'))?;
    ["bridge", "port", "interface"].into_iter().find(|it| table.eq_ignore_ascii_case(it))
}

/// The table, where all of its rows and columns were asked for.
fn whole_table(source: &Source) -> Option<&'static str> {
    let table = table_of(source)?;
    let args = source.command.args();
    let columns = args.iter().any(|it| it.starts_with("--columns"));
    let last = args.iter().rfind(|it| !it.starts_with('-'))?;
    (!columns && args.iter().any(|it| it == "list") && last.eq_ignore_ascii_case(table))
        .then_some(table)
}

/// The XML of domains is complete where a complete list names only domains that have one.
fn domain_xml(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    let mut listed = Vec::new();
    let complete = topology.coverage.is_complete(texts.host, &Netns::Root, Topic::Domains);
    let mut named = Vec::new();
    for &(source, batch) in &texts.all {
        match batch {
            Batch::DomainStates(rows) => {
                listed.extend(rows.iter().filter_map(|it| Some(it.name.as_ref()?.as_str())));
            }
            // A NIC may stand where the text was cut off.
            Batch::Domains(all) if texts.is_complete(source.id) => {
                named.extend(all.iter().filter_map(|it| Some(it.name.as_ref()?.as_str())));
            }
            _ => {}
        }
    }
    named.sort_unstable();
    if complete && listed.iter().all(|it| named.binary_search(it).is_ok()) {
        let domains = topology.coverage.of(texts.host, &Netns::Root, Topic::Domains).clone();
        let coverage = topology.coverage.entry(texts.host, &Netns::Root, Topic::DomainXml);
        if let Coverage::Partial(sources) = coverage {
            *coverage = Coverage::Complete(std::mem::take(sources));
        } else if listed.is_empty() {
            // No domain at all: the list itself says that there is no XML.
            *coverage = domains;
        }
    }
}
