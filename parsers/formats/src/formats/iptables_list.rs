//! `iptables -nvL` and `ip6tables -nvL`, with and without `-v`, `-n`, `-x`, `--line-numbers`.
//!
//! Source of the format: iptables `iptables/iptables.c` (`print_header`, `print_firewall`),
//! `iptables/nft-ipv4.c`, `iptables/xshared.c`; 1.4 to 1.8.
//!
//! ```text
//! Chain INPUT (policy ACCEPT 3 packets, 180 bytes)
//!  pkts bytes target     prot opt in     out     source               destination
//!   66K  604K ACCEPT     all  --  lo     *       0.0.0.0/0            0.0.0.0/0            ctstate NEW
//!     0     0            tcp  --  *      *       !10.0.0.0/8          0.0.0.0/0            tcp dpt:22
//!
//! Chain mine (1 references)
//! ```
//!
//! A rule may have no target; `ip6tables` leaves the column `opt` empty. The table is known from
//! the command alone. Without `-v` the devices of rules are not shown. Since 1.8 nothing at all is
//! a complete answer: there are no rules.
mod rule;
mod words;

use nom::Parser as _;
use nom::bytes::complete::tag;
use nom::sequence::{preceded, terminated};
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Fate, Outcome};
use tapline_core::records::Batch;
use tapline_core::records::netfilter::{NetfilterChain, NetfilterTable};
use tapline_core::records::route::Family;
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use super::iptables_save::{family_of, name_by_chains};
use crate::format::{Ends, Format};
use crate::keyed::at;
use crate::lines::{Read, bodies, finish, one_line};
use crate::nomx::{Parsed, must, refuse, word_gap};
use rule::{Columns, count, rule};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("iptables-list"),
    command: "iptables -nvL",
    collect: &[],
    claims: |command| {
        // One table, without the order of its chains.
        let asked = asked(command)?;
        let request = Request::part(&[Topic::Netfilter]).about(asked.chain);
        Some(request.of_table(Some(asked.table)).of_family(Some(asked.family)))
    },
    sniff: |head| {
        let mut lines = bodies(head).filter(|body| !body.is_empty() && !body.starts_with('#'));
        let chain = lines.next().is_some_and(|line| chain(line, line).is_ok());
        if chain && lines.next().is_some_and(|line| Columns::of(line).is_some()) { 90 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// What a command asks for.
struct Asked<'a> {
    family: Family,
    table: &'a str,
    /// The one chain that it lists.
    chain: Option<&'a str>,
}

fn asked(command: &Command) -> Option<Asked<'_>> {
    let family = family_of(command.program())?;
    let mut asked = Asked { family, table: "filter", chain: None };
    let mut lists = false;
    let mut words = command.args().iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "-t" | "--table" => asked.table = words.next()?,
            "-w" | "-W" | "--wait" | "--wait-interval" | "-M" | "--modprobe" => {}
            "--list" => lists = true,
            _ if word.starts_with("--") => {
                asked.table = word.strip_prefix("--table=").unwrap_or(asked.table);
            }
            _ => match word.strip_prefix('-') {
                Some(flags) if flags.contains('L') => lists = true,
                Some(flags) if flags.bytes().all(|it| b"nvxZ4".contains(&it)) => {}
                Some(_) => return None,
                // `-w 5`.
                None if word.bytes().all(|b| b.is_ascii_digit()) => {}
                None => asked.chain = Some(word),
            },
        }
    }
    lists.then_some(asked)
}

/// What was read so far.
struct Reader<'a> {
    text: &'a str,
    table: Option<NetfilterTable>,
    family: Option<Family>,
    name: Name,
    columns: Option<Columns>,
    partial: Option<String>,
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<NetfilterTable>> {
    let asked = asked(command);
    let mut out: Outcome<()> = Outcome::default();
    let mut reader = Reader {
        text,
        table: None,
        family: asked.as_ref().map(|asked| asked.family),
        name: asked.as_ref().map(|asked| asked.table.into()).unwrap_or_default(),
        columns: None,
        partial: None,
    };
    if let Some(chain) = asked.as_ref().and_then(|asked| asked.chain) {
        reader.partial = Some(format!("shows chain {chain} only"));
    }
    for body in bodies(text) {
        if let Some(said) = body.strip_prefix('#') {
            if said.contains("Warning: ") || said.contains("is incompatible, use") {
                let said = said.trim().chars().take(200).collect();
                reader.partial.get_or_insert(said);
            }
            out.lines.add(Fate::Ignored);
        } else {
            one_line(text, body, &mut out, &mut |line| reader.line(line));
        }
    }
    finish(text, &mut out);
    if let Some(table) = &mut reader.table {
        let one = asked.as_ref().is_some_and(|asked| asked.chain.is_some());
        table.committed = out.lines.unread == 0 && !one;
        if asked.is_none() && !name_by_chains(table) {
            reader.partial.get_or_insert_with(|| "of an unknown table".to_owned());
        }
    }
    if let Some(reason) = reader.partial {
        let before = std::mem::take(&mut out.completeness);
        out.completeness = before.and(Completeness::Partial(reason));
    }
    let records = reader.table.into_iter().collect();
    out.map(|()| records)
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) -> Parsed<'a, Read<()>> {
        if line.starts_with("Chain ") {
            let (rest, chain) = chain(self.text, line)?;
            self.columns = None;
            let table = self.table.get_or_insert_with(|| NetfilterTable {
                at: chain.at,
                family: self.family,
                table: At::new(self.name.clone(), chain.at),
                chains: Vec::new(),
                rules: Vec::new(),
                committed: false,
                listing: true,
            });
            table.chains.push(chain);
            return Ok((rest, Read::Took(())));
        }
        let Some(table) = &mut self.table else {
            return refuse(line, "`Chain …` above this line");
        };
        let Some(columns) = self.columns else {
            let Some(columns) = Columns::of(line) else {
                return refuse(line, "the heading of the columns");
            };
            if !columns.devices {
                let reason = "without -v the devices of rules are not shown";
                self.partial.get_or_insert_with(|| reason.to_owned());
            }
            self.columns = Some(columns);
            return Ok(("", Read::Ignored));
        };
        let chain = table.chains.last().map(|chain| chain.name.clone()).unwrap_or_default();
        let (rest, rule) = rule(self.text, line, columns, chain)?;
        table.rules.push(rule);
        Ok((rest, Read::Took(())))
    }
}

/// `Chain INPUT (policy ACCEPT 3 packets, 180 bytes)`, `Chain mine (2 references)`.
fn chain<'a>(text: &str, line: &'a str) -> Parsed<'a, NetfilterChain> {
    let (input, name) = preceded(tag("Chain "), word_gap).parse(line)?;
    let mut chain = NetfilterChain {
        at: Span::of(text, line),
        name: name.into(),
        policy: None,
        counters: None,
    };
    let Some(inner) = input.strip_prefix('(').and_then(|it| it.strip_suffix(')')) else {
        return refuse(input, "a policy or references in brackets");
    };
    if inner.ends_with(" references") {
        return Ok(("", chain));
    }
    let policy = terminated(preceded(tag("policy "), word_gap), nom::combinator::success(()));
    let (rest, policy) = must("`policy` or `references`", policy).parse(inner)?;
    chain.policy = Some(at(text, policy));
    if !rest.is_empty() {
        let parts = rest.strip_suffix(" bytes").and_then(|rest| rest.split_once(" packets, "));
        let counters = parts.and_then(|(packets, bytes)| Some((count(packets)?, count(bytes)?)));
        if counters.is_none() {
            return refuse(rest, "packets and bytes after the policy");
        }
        chain.counters = counters;
    }
    Ok(("", chain))
}

#[cfg(test)]
mod tests {
    use tapline_core::records::filter::{Target, Test, Translation};

    use super::*;

    fn reads(line: &str, text: &str) -> Outcome<Vec<NetfilterTable>> {
        parse(text, &Command::new(line))
    }

    const TEXT: &str = "Chain PREROUTING (policy ACCEPT 3 packets, 180K bytes)\n \
        pkts bytes target     prot opt in     out     source               destination         \n \
        497K  112M DNAT       6    --  !lo    *       0.0.0.0/0            192.0.2.11           tcp dpt:80 /* to \"web\" */ to:10.0.0.5:8080\n    \
        0     0            tcp  -f  *      eth0    !10.0.0.0/8          0.0.0.0/0           \n    \
        0     0 a-very-long-chain  all  --  *      *       0.0.0.0/0            0.0.0.0/0           [goto] ctstate NEW\n\n\
        Chain a-very-long-chain (1 references)\n \
        pkts bytes target     prot opt in     out     source               destination         \n";

    #[test]
    fn rules_are_put_into_arguments() {
        let out = reads("iptables -t nat -nvL", TEXT);
        assert_eq!((out.lines.read, out.lines.ignored, out.lines.unread), (5, 2, 0));
        assert!(out.completeness.is_complete());
        let [table] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!((table.table.as_str(), table.family), ("nat", Some(Family::Inet)));
        assert!(table.committed && table.listing);
        let [first, mine] = table.chains.as_slice() else { panic!("{out:?}") };
        assert_eq!(
            (first.policy.as_ref().unwrap().as_str(), first.counters),
            ("ACCEPT", Some((3, 180_000)))
        );
        assert_eq!((mine.name.as_str(), mine.policy.is_none()), ("a-very-long-chain", true));
        let [dnat, none, jump] = table.rules.as_slice() else { panic!("{out:?}") };
        assert_eq!(dnat.counters, Some((497_000, 112_000_000)));
        assert_eq!(dnat.target.as_ref().unwrap().as_str(), "DNAT");
        assert_eq!(
            dnat.matches,
            [
                "-d",
                "192.0.2.11/32",
                "!",
                "-i",
                "lo",
                "-p",
                "tcp",
                "-m",
                "tcp",
                "--dport",
                "80",
                "-m",
                "comment",
                "--comment",
                "to \"web\""
            ]
        );
        assert_eq!(dnat.target_options, ["--to-destination", "10.0.0.5:8080"]);
        assert!(none.target.is_none());
        assert_eq!(none.matches, ["!", "-s", "10.0.0.0/8", "-o", "eth0", "-p", "tcp", "-f"]);
        assert!(jump.goto);
        assert_eq!(jump.chain, "PREROUTING");
        assert_eq!(jump.matches, ["-m", "conntrack", "--ctstate", "NEW"]);
        let port = Test::DestinationPort(vec![80..=80]);
        assert!(dnat.conditions.iter().any(|one| !one.not && one.test == port));
        assert_eq!(dnat.action, Some(Target::Dnat(Translation::of("10.0.0.5:8080"))));
        assert_eq!(
            (&none.action, &jump.action),
            (&None, &Some(Target::Goto("a-very-long-chain".into())))
        );
    }

    #[test]
    fn other_columns() {
        let text = "Chain INPUT (policy DROP)\nnum  target     prot opt source               destination         \n\
                    1    ACCEPT     all  --  anywhere             anywhere             ctstate RELATED\n\
                    2               udp  --  anywhere             node2               \n";
        let out = reads("iptables -L --line-numbers", text);
        assert_eq!(out.lines.unread, 0);
        assert!(matches!(out.completeness, Completeness::Partial(_)));
        let [accept, none] = out.records[0].rules.as_slice() else { panic!("{out:?}") };
        assert_eq!(accept.matches, ["-m", "conntrack", "--ctstate", "RELATED"]);
        assert_eq!((none.target.is_none(), none.counters), (true, None));
        assert_eq!(none.matches, ["-d", "node2", "-p", "udp"]);
        // `ip6tables` leaves `opt` empty.
        let text = "Chain INPUT (policy ACCEPT 0 packets, 0 bytes)\n\
                    \x20   pkts      bytes target     prot opt in     out     source               destination         \n\
                    \x20      6     1609 mine       all      *      *       fe80::/10            ::/0                 ctstate NEW\n\
                    \x20      0        0            ipv6-icmp    eth0   *       ::/0                 ::/0                \n";
        let out = reads("ip6tables -vnxL", text);
        assert_eq!(out.lines.unread, 0, "{:?}", out.problems);
        let [mine, none] = out.records[0].rules.as_slice() else { panic!("{out:?}") };
        assert_eq!(mine.matches, ["-s", "fe80::/10", "-m", "conntrack", "--ctstate", "NEW"]);
        assert_eq!(none.matches, ["-i", "eth0", "-p", "ipv6-icmp"]);
        assert!(none.target.is_none());
    }

    #[test]
    fn what_a_target_does_is_no_condition() {
        let text = "Chain FORWARD (policy ACCEPT 0 packets, 0 bytes)\n \
            pkts bytes target     prot opt in     out     source               destination\n    \
            2   208 REJECT     all  --  *      *       0.0.0.0/0            0.0.0.0/0            reject-with icmp-port-unreachable\n    \
            2   208 REDIRECT   all  --  *      *       0.0.0.0/0            0.0.0.0/0            redir ports 9697 random\n";
        let out = parse(text, &Command::new("iptables -nvL"));
        let [reject, redirect] = out.records[0].rules.as_slice() else { panic!("{out:?}") };
        assert_eq!(reject.matches, [""; 0]);
        assert_eq!(reject.target_options, ["--reject-with", "icmp-port-unreachable"]);
        assert_eq!(redirect.target_options, ["--to-ports", "9697", "--random"]);
        assert_eq!(redirect.matches, [""; 0]);
    }

    #[test]
    fn parts_and_failures() {
        for line in ["iptables -nvL INPUT", "iptables -t nat -L", ""] {
            let text = "Chain OUTPUT (policy ACCEPT)\ntarget     prot opt source               destination\n";
            assert!(!reads(line, text).completeness.is_complete(), "{line}");
        }
        let legacy = "# Warning: iptables-legacy tables present, use iptables-legacy to see them\n";
        assert!(!reads("iptables -nvL", &format!("{legacy}{TEXT}")).completeness.is_complete());
        let denied = "iptables v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)\n";
        assert!(reads("iptables -nvL", denied).completeness.is_failed());
        assert!(reads("iptables -nvL", "").completeness.is_complete());
        let out =
            reads("iptables -nvL", &format!("prose\n{TEXT}    x     0 DROP       all  --  *\n"));
        assert_eq!(out.lines.unread, 2);
    }

    #[test]
    fn commands_are_known() {
        let claims = |line: &str| FORMAT.reads(&Command::new(line));
        for line in [
            "iptables -L",
            "iptables -t nat -nvL",
            "ip6tables -vnxL",
            "iptables-legacy -w 5 -L -n -v --line-numbers",
            "iptables -n -L neutron-filter-top --table=mangle",
        ] {
            assert!(claims(line), "{line}");
        }
        for line in ["iptables -S", "iptables -A INPUT -j DROP", "iptables-save", "iptables"] {
            assert!(!claims(line), "{line}");
        }
        assert!((FORMAT.sniff)(TEXT) > 50);
        assert_eq!((FORMAT.sniff)("Chain of thought\n"), 0);
    }
}
