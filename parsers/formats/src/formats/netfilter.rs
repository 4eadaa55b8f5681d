//! What arguments of `iptables` rules mean.
//!
//! Source: iptables `extensions/libxt_*.c`, `libipt_*.c`, `libip6t_*.c` (the `save` functions),
//! iptables-extensions(8).
mod target;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use tapline_core::Name;
use tapline_core::records::filter::{
    Addresses, Condition, ConnStates, DeviceName, Masked, MaskedMac, Test, port_range,
};
use tapline_core::records::netfilter::NetfilterRule;

use target::target;

/// Puts what the arguments of a rule mean beside them.
pub(super) fn understand(rule: &mut NetfilterRule) {
    rule.conditions = conditions(&rule.matches);
    rule.action =
        rule.target.as_ref().map(|name| target(&name.value, rule.goto, &rule.target_options));
}

/// The conditions that arguments make, in order; what is not understood is kept.
fn conditions(arguments: &[Name]) -> Vec<Condition> {
    let mut all = Vec::new();
    let mut reader = Reader { words: arguments, extension: "", not: false };
    while let Some(option) = reader.next() {
        if option == "!" {
            reader.not = true;
            continue;
        }
        let test = reader.test(option);
        // `! -i lo`, and `-i ! lo` of old releases.
        let not = std::mem::take(&mut reader.not);
        if let Some(test) = test {
            all.push(Condition { not, test });
        }
    }
    all
}

struct Reader<'a> {
    words: &'a [Name],
    /// What `-m` named last.
    extension: &'a str,
    not: bool,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let (first, rest) = self.words.split_first()?;
        self.words = rest;
        Some(first)
    }

    fn value(&mut self) -> Option<&'a str> {
        let value = self.next()?;
        if value == "!" {
            self.not = !self.not;
            return self.next();
        }
        Some(value)
    }

    /// A value that `read` understands, else the option and its value as they are.
    fn read<T>(
        &mut self,
        option: &str,
        read: impl FnOnce(&str) -> Option<T>,
        test: impl FnOnce(T) -> Test,
    ) -> Test {
        let Some(value) = self.value() else { return Test::Unknown(option.into()) };
        read(value).map_or_else(|| Test::Unknown(format!("{option} {value}").into()), test)
    }

    fn limit(&mut self, option: &str, over: bool) -> Test {
        self.read(
            option,
            |value| Some(format!("{option} {value}").into()),
            |text| Test::Limit { text, over },
        )
    }

    /// Whether `-m recent` asks that an address was seen more than once.
    fn counts_hits(&self) -> bool {
        let rest = self.words.iter().take_while(|word| *word != "-m" && *word != "-j");
        let hits = rest.skip_while(|word| *word != "--hitcount").nth(1);
        hits.and_then(|hits| hits.parse::<u32>().ok()).is_some_and(|hits| hits > 1)
    }

    /// Whether an option says more about the one before, and has a value.
    fn is_detail(&self, option: &str) -> bool {
        match self.extension {
            "limit" => option == "--limit-burst",
            "hashlimit" => option.starts_with("--hashlimit-"),
            "statistic" => matches!(option, "--mode" | "--packet"),
            "connlimit" => option == "--connlimit-mask",
            "recent" => matches!(option, "--name" | "--mask" | "--seconds" | "--hitcount"),
            "rt" => option.starts_with("--rt-") && !option.starts_with("--rt-0-"),
            "frag" => matches!(option, "--fragid" | "--fraglen"),
            "hbh" => option.starts_with("--hbh-"),
            "dst" => matches!(option, "--dst-len" | "--dst-opts"),
            _ => false,
        }
    }

    /// Whether an option says more about the one before, and stands alone.
    fn is_flag(&self, option: &str) -> bool {
        match self.extension {
            "connlimit" => matches!(option, "--connlimit-saddr" | "--connlimit-daddr"),
            "recent" => matches!(option, "--rsource" | "--rdest" | "--reap" | "--rttl"),
            "frag" => matches!(option, "--fragres" | "--fragfirst" | "--fragmore" | "--fraglast"),
            _ => false,
        }
    }

    /// One test; `None` for a word that says nothing by itself.
    fn test(&mut self, option: &str) -> Option<Test> {
        let device = |value: &str| Some(DeviceName::of(value, '+'));
        Some(match option {
            // Names the extension that the options behind it belong to.
            "-m" | "--match" => {
                self.extension = self.next().unwrap_or_default();
                let name = || self.extension.into();
                return match self.extension {
                    // The header or option itself, whatever more is asked of it.
                    "rt" | "frag" | "hbh" | "dst" | "srh" | "ipv4options" => {
                        Some(Test::Extension(name()))
                    }
                    extension => stands_alone(extension).then(|| Test::Unknown(name())),
                };
            }
            "-i" | "--in-interface" => {
                self.read(option, device, |device| Test::InDevice(vec![device]))
            }
            "-o" | "--out-interface" => {
                self.read(option, device, |device| Test::OutDevice(vec![device]))
            }
            "--physdev-in" => self.read(option, device, Test::InPort),
            "--physdev-out" => self.read(option, device, Test::OutPort),
            "--physdev-is-in" => Test::FromBridgePort,
            "--physdev-is-out" => Test::ToBridgePort,
            "--physdev-is-bridged" => Test::Bridged,
            "-s" | "--source" | "--src" => self.read(option, addresses, Test::Source),
            "-d" | "--destination" | "--dst" => self.read(option, addresses, Test::Destination),
            "--src-range" => self.read(option, range, |one| Test::Source(vec![one])),
            "--dst-range" => self.read(option, range, |one| Test::Destination(vec![one])),
            "-p" | "--protocol" | "--proto" => self.read(option, protocols, Test::Protocol),
            "--sport" | "--source-port" | "--sports" | "--source-ports" => {
                self.read(option, ports, Test::SourcePort)
            }
            "--dport" | "--destination-port" | "--dports" | "--destination-ports" => {
                self.read(option, ports, Test::DestinationPort)
            }
            "--ports" | "--port" => self.read(option, ports, Test::EitherPort),
            "--icmp-type" | "--icmpv6-type" => match self.value() {
                Some("any" | "255") if option == "--icmp-type" => Test::Aside("any".into()),
                Some(value) => icmp(option == "--icmpv6-type", value)
                    .unwrap_or_else(|| Test::Unknown(format!("{option} {value}").into())),
                None => Test::Unknown(option.into()),
            },
            "--tcp-flags" => match (self.value(), self.next()) {
                (Some(mask), Some(set)) => tcp_flags(mask, set)
                    .unwrap_or_else(|| Test::Unknown(format!("{option} {mask} {set}").into())),
                _ => Test::Unknown(option.into()),
            },
            "--syn" => Test::TcpFlags { mask: 0x17, set: 0x02 },
            "-f" | "--fragment" => Test::Fragment,
            "--ctstate" | "--state" => self.read(option, ConnStates::of, Test::Connection),
            "--ctorigdst" => self.read(option, addresses, Test::FirstDestination),
            "--ctorigdstport" => self.read(option, ports, Test::FirstPort),
            "--ctdir" => self.read(option, direction, Test::Answer),
            "--mark" if self.extension == "connmark" => self.read(option, masked, Test::ConnMark),
            "--mark" => self.read(option, masked, Test::Mark),
            "--mac-source" => {
                let mac = |value: &str| value.parse().ok().map(MaskedMac::of);
                self.read(option, mac, |mac| Test::MacSource(vec![mac]))
            }
            "--src-type" | "--dst-type" => self.read(
                option,
                |value| Some(value.split(',').map(Name::from).collect()),
                |types| Test::AddressType { source: option == "--src-type", types },
            ),
            "--match-set" => {
                let set = self.value().unwrap_or_default();
                let keys = self.next().unwrap_or_default();
                let mut by_source = Vec::new();
                for side in keys.split(',') {
                    match side {
                        "src" => by_source.push(true),
                        "dst" => by_source.push(false),
                        _ => return Some(Test::Unknown(format!("{option} {set} {keys}").into())),
                    }
                }
                Test::Set { name: set.into(), by_source }
            }
            "--comment" => self.read(option, |value| Some(value.into()), Test::Aside),
            "--probability" | "--every" => {
                self.read(option, |value| Some(format!("{option} {value}").into()), Test::Rate)
            }
            "--limit" | "--hashlimit-upto" | "--hashlimit" | "--connlimit-upto" | "--quota" => {
                self.limit(option, false)
            }
            // More than none is always met.
            "--hashlimit-above" | "--connlimit-above" if self.words.first()? != "0" => {
                self.limit(option, true)
            }
            "--set" if self.extension == "recent" => Test::Aside("recent --set".into()),
            // Whoever was not seen so often before is no match.
            "--update" | "--rcheck" if self.extension == "recent" && self.counts_hits() => {
                Test::Limit { text: format!("recent {option}").into(), over: true }
            }
            "--ttl-eq" | "--ttl" | "--hl-eq" => {
                self.read(option, |value| value.parse().ok(), |ttl| Test::Lifetime(vec![ttl..=ttl]))
            }
            "--ttl-lt" | "--hl-lt" => self.read(
                option,
                |value| value.parse::<u8>().ok()?.checked_sub(1),
                |most| Test::Lifetime(vec![0..=most]),
            ),
            "--ttl-gt" | "--hl-gt" => self.read(
                option,
                |value| value.parse::<u8>().ok()?.checked_add(1),
                |least| Test::Lifetime(vec![least..=u8::MAX]),
            ),
            "--tos" => self.read(option, service, |one| Test::Service(vec![one])),
            "--dscp" | "--dscp-class" => self.read(option, dscp, |one| Test::Service(vec![one])),
            "--pkt-type" => self.read(
                option,
                |value| Some(value.to_ascii_lowercase().into()),
                |kind| Test::PacketType(vec![kind]),
            ),
            option if self.is_flag(option) => return None,
            // Details of the one before.
            option if self.is_detail(option) => {
                self.next();
                return None;
            }
            _ => {
                let mut text = option.to_owned();
                // What follows up to the next option belongs to it.
                while let Some((word, rest)) = self.words.split_first()
                    && !word.starts_with('-')
                    && word != "!"
                {
                    text.push(' ');
                    text.push_str(word);
                    self.words = rest;
                }
                Test::Unknown(text.into())
            }
        })
    }
}

/// Which way of a connection: `true` for its answers.
pub(super) fn direction(shown: &str) -> Option<bool> {
    if shown.eq_ignore_ascii_case("original") {
        return Some(false);
    }
    shown.eq_ignore_ascii_case("reply").then_some(true)
}

/// Whether an extension tests something without any option.
fn stands_alone(extension: &str) -> bool {
    matches!(extension, "unclean" | "socket" | "eui64" | "dying")
}

/// One subnet or several behind commas.
fn addresses(shown: &str) -> Option<Vec<Addresses>> {
    shown.split(',').map(|one| network(one).map(Addresses::Net)).collect()
}

/// `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `10.0.0.1`.
pub(super) fn network(shown: &str) -> Option<IpNet> {
    if let Ok(address) = shown.parse::<IpAddr>() {
        return Some(address.into());
    }
    if let Ok(net) = shown.parse::<IpNet>() {
        return Some(net);
    }
    let (address, mask) = shown.split_once('/')?;
    IpNet::with_netmask(address.parse().ok()?, mask.parse().ok()?).ok()
}

/// `192.0.2.1-192.0.2.9`.
pub(super) fn range(shown: &str) -> Option<Addresses> {
    let (first, last) = shown.split_once('-')?;
    Some(Addresses::Range(first.parse().ok()?, last.parse().ok()?))
}

/// `0x10/0x3f`, `0x10`, or one of the old names.
fn service(shown: &str) -> Option<Masked> {
    const NAMES: &[(&str, u32)] = &[
        ("Minimize-Delay", 0x10),
        ("Maximize-Throughput", 0x08),
        ("Maximize-Reliability", 0x04),
        ("Minimize-Cost", 0x02),
        ("Normal-Service", 0x00),
    ];
    if let Some((_, value)) = NAMES.iter().find(|(name, _)| *name == shown) {
        // `tos_parse_symbolic`: the names leave the bits of congestion aside.
        return Some(Masked { value: *value, mask: 0x3f });
    }
    let (value, mask) = shown.split_once('/').unwrap_or((shown, "0xff"));
    Some(Masked { value: integer(value)?, mask: integer(mask)? })
}

/// The upper six bits of the type of service: `0x2e`, `EF`, `CS1`, `AF41`.
pub(super) fn dscp(shown: &str) -> Option<Masked> {
    let shown = shown.to_ascii_lowercase();
    let digits = |name: &str| shown.strip_prefix(name)?.parse::<u32>().ok();
    let value = match shown.as_str() {
        "be" | "df" => 0,
        "ef" => 46,
        "va" | "voice-admit" => 44,
        "le" => 1,
        _ => match (digits("cs"), digits("af"), integer(&shown)) {
            (Some(class @ 0..=7), ..) => class * 8,
            (_, Some(of @ 11..=43), _) if matches!(of % 10, 1..=3) => of / 10 * 8 + of % 10 * 2,
            (.., Some(value @ 0..=63)) => value,
            _ => return None,
        },
    };
    Some(Masked { value: value << 2, mask: 0xfc })
}

fn protocols(shown: &str) -> Option<Vec<u8>> {
    if matches!(shown, "all" | "0") {
        return Some((0..=u8::MAX).collect());
    }
    Some(vec![protocol(shown)?])
}

/// A protocol by its name (protocols(5)) or number.
pub(super) fn protocol(shown: &str) -> Option<u8> {
    Some(match shown.to_ascii_lowercase().as_str() {
        "icmp" => 1,
        "igmp" => 2,
        "ipencap" | "ipip" => 4,
        "tcp" => 6,
        "udp" => 17,
        "dccp" => 33,
        "ipv6" => 41,
        "gre" => 47,
        "esp" | "ipv6-crypt" => 50,
        "ah" | "ipv6-auth" => 51,
        "icmpv6" | "ipv6-icmp" => 58,
        "ospf" => 89,
        "pim" => 103,
        "vrrp" => 112,
        "sctp" => 132,
        "mobility-header" => 135,
        "udplite" => 136,
        other => return other.parse().ok(),
    })
}

/// A port by its number, or one of the names that listings without `-n` print most.
pub(super) fn port(shown: &str) -> Option<u16> {
    Some(match shown {
        "ftp" => 21,
        "ssh" => 22,
        "telnet" => 23,
        "smtp" => 25,
        "domain" => 53,
        "bootps" => 67,
        "bootpc" => 68,
        "tftp" => 69,
        "http" => 80,
        "ntp" => 123,
        "snmp" => 161,
        "https" => 443,
        "dhcpv6-client" => 546,
        "dhcpv6-server" => 547,
        "mdns" => 5353,
        other => return other.parse().ok(),
    })
}

/// `80`, `80:90`, and several behind commas.
fn ports(shown: &str) -> Option<Vec<RangeInclusive<u16>>> {
    let one = |shown: &str| match port(shown) {
        Some(port) => Some(port..=port),
        None => port_range(shown, ':'),
    };
    shown.split(',').map(one).collect()
}

/// `0x1`, `0x1/0xff`.
pub(super) fn masked(shown: &str) -> Option<Masked> {
    let (value, mask) = shown.split_once('/').unwrap_or((shown, "0xffffffff"));
    Some(Masked { value: integer(value)?, mask: integer(mask)? })
}

/// `0x1f` or `31`.
pub(super) fn integer(shown: &str) -> Option<u32> {
    match shown.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => shown.parse().ok(),
    }
}

/// `8`, `8/0`, or a name.
pub(super) fn icmp(six: bool, shown: &str) -> Option<Test> {
    const FOUR: &[(&str, u8)] = &[
        ("echo-reply", 0),
        ("destination-unreachable", 3),
        ("redirect", 5),
        ("echo-request", 8),
        ("router-advertisement", 9),
        ("router-solicitation", 10),
        ("time-exceeded", 11),
        ("parameter-problem", 12),
        ("timestamp-request", 13),
        ("timestamp-reply", 14),
    ];
    const SIX: &[(&str, u8)] = &[
        ("destination-unreachable", 1),
        ("packet-too-big", 2),
        ("time-exceeded", 3),
        ("parameter-problem", 4),
        ("echo-request", 128),
        ("echo-reply", 129),
        ("mld-listener-query", 130),
        ("mld-listener-report", 131),
        ("mld-listener-done", 132),
        ("router-solicitation", 133),
        ("nd-router-solicit", 133),
        ("router-advertisement", 134),
        ("nd-router-advert", 134),
        ("neighbour-solicitation", 135),
        ("neighbor-solicitation", 135),
        ("nd-neighbor-solicit", 135),
        ("neighbour-advertisement", 136),
        ("neighbor-advertisement", 136),
        ("nd-neighbor-advert", 136),
        ("redirect", 137),
        ("nd-redirect", 137),
        ("mld2-listener-report", 143),
    ];
    let names = if six { SIX } else { FOUR };
    let named = names.iter().find(|(name, _)| *name == shown).map(|(_, kind)| *kind);
    if let Some(kind) = named {
        return Some(Test::Icmp { kinds: vec![kind], codes: None });
    }
    let (kind, code) = match shown.split_once('/') {
        Some((kind, code)) => (kind, Some(code.parse::<u8>().ok()?)),
        None => (shown, None),
    };
    Some(Test::Icmp { kinds: vec![kind.parse().ok()?], codes: code.map(|code| code..=code) })
}

/// `FIN,SYN,RST,ACK SYN`, or numbers.
fn tcp_flags(mask: &str, set: &str) -> Option<Test> {
    let read = |shown: &str| {
        if let Some(number) = integer(shown) {
            return u8::try_from(number).ok();
        }
        shown.split(',').try_fold(0, |all, name| {
            Some(
                all | match name {
                    "FIN" => 1,
                    "SYN" => 2,
                    "RST" => 4,
                    "PSH" => 8,
                    "ACK" => 16,
                    "URG" => 32,
                    "ALL" => 63,
                    "NONE" => 0,
                    _ => return None,
                },
            )
        })
    };
    Some(Test::TcpFlags { mask: read(mask)?, set: read(set)? })
}
