//! The words that a listing prints for matches and targets, put into arguments as `iptables-save`
//! prints them.
//!
//! Source: iptables `extensions/libxt_*.c`, `libipt_*.c`, `libip6t_*.c`: each has a `print` for
//! listings and a `save` for arguments.
use tapline_core::Name;
use tapline_core::records::netfilter::NetfilterRule;

/// Puts what stands behind the destination into the rule.
pub(super) fn words(mut input: &str, rule: &mut NetfilterRule) {
    if let Some(rest) = input.strip_prefix("[goto]") {
        rule.goto = true;
        input = rest;
    }
    let target = rule.target.as_ref().map(|target| target.value.clone()).unwrap_or_default();
    // `!` before a word, which its match prints there.
    let mut not = false;
    loop {
        input = input.trim_start();
        if input.is_empty() {
            return;
        }
        if let Some(behind) = input.strip_prefix("/* ")
            && let Some((comment, rest)) = behind.split_once(" */")
        {
            rule.matches.extend(["-m", "comment", "--comment", comment].map(Name::from));
            input = rest;
            continue;
        }
        if let Some(rest) = input.strip_prefix("! ") {
            not = true;
            input = rest;
            continue;
        }
        if let Some(rest) = of_target(&target, input, rule) {
            input = rest;
        } else if let Some(rest) = of_match(input, not, rule) {
            input = rest;
        } else {
            if not {
                rule.matches.push("!".into());
            }
            let (word, rest) = word(input);
            rule.matches.push(word.into());
            input = rest;
        }
        not = false;
    }
}

fn word(input: &str) -> (&str, &str) {
    input.split_once([' ', '\t']).unwrap_or((input, ""))
}

/// Options of the target; what a target does is no condition of the rule.
fn of_target<'a>(target: &str, input: &'a str, rule: &mut NetfilterRule) -> Option<&'a str> {
    // What is printed before the value, and the option that has the value.
    let known: &[(&str, &str)] = match target {
        "REJECT" => &[("reject-with ", "--reject-with")],
        "REDIRECT" => &[("redir ports ", "--to-ports")],
        "MASQUERADE" => &[("masq ports: ", "--to-ports")],
        "DNAT" => &[("to:", "--to-destination")],
        "SNAT" => &[("to:", "--to-source")],
        "NETMAP" => &[("to:", "--to"), ("", "--to")],
        "MARK" => &[
            ("MARK xset ", "--set-xmark"),
            ("MARK set ", "--set-xmark"),
            ("MARK and ", "--and-mark"),
            ("MARK or ", "--or-mark"),
            ("MARK xor ", "--xor-mark"),
        ],
        "CONNMARK" => &[
            ("CONNMARK xset ", "--set-xmark"),
            ("CONNMARK set ", "--set-xmark"),
            ("CONNMARK and ", "--and-mark"),
            ("CONNMARK or ", "--or-mark"),
        ],
        "CT" => &[("CT zone ", "--zone"), ("CT helper ", "--helper")],
        "NFQUEUE" => &[("NFQUEUE num ", "--queue-num")],
        _ => &[],
    };
    for (shown, option) in known {
        if let Some(behind) = input.strip_prefix(shown) {
            let (value, rest) = word(behind);
            rule.target_options.extend([*option, value].map(Name::from));
            return Some(rest);
        }
    }
    // Options without a value.
    let flags: &[(&str, &str)] = match target {
        "DNAT" | "SNAT" | "MASQUERADE" | "REDIRECT" => &[
            ("random-fully", "--random-fully"),
            ("random", "--random"),
            ("persistent", "--persistent"),
        ],
        "CONNMARK" => &[
            ("CONNMARK save", "--save-mark"),
            ("CONNMARK restore", "--restore-mark"),
            ("mask", "--mask"),
        ],
        "CT" => &[("CT notrack", "--notrack"), ("NOTRACK", "--notrack")],
        "TCPMSS" => &[("TCPMSS clamp to PMTU", "--clamp-mss-to-pmtu")],
        "CHECKSUM" => &[("CHECKSUM fill", "--checksum-fill")],
        _ => &[],
    };
    for (shown, option) in flags {
        let behind = input.strip_prefix(shown);
        if let Some(rest) = behind.filter(|rest| rest.is_empty() || rest.starts_with(' ')) {
            rule.target_options.push((*option).into());
            return Some(rest);
        }
    }
    // How it is logged goes up to the end.
    if matches!(target, "LOG" | "NFLOG")
        && ["LOG ", "nflog-"].iter().any(|prefix| input.starts_with(prefix))
    {
        rule.target_options.extend(input.split_whitespace().map(Name::from));
        return Some("");
    }
    None
}

/// One match; `None` where its words are not known.
fn of_match<'a>(input: &'a str, not: bool, rule: &mut NetfilterRule) -> Option<&'a str> {
    let (first, rest) = word(input);
    // The protocol is printed before what is asked of it.
    if matches!(first, "tcp" | "udp" | "sctp" | "dccp" | "udplite") {
        return of_ports(first, rest, rule);
    }
    let simple: &[(&str, &str, &str)] = &[
        ("ctstate ", "conntrack", "--ctstate"),
        ("ctstatus ", "conntrack", "--ctstatus"),
        ("ctdir ", "conntrack", "--ctdir"),
        ("state ", "state", "--state"),
        ("multiport dports ", "multiport", "--dports"),
        ("multiport sports ", "multiport", "--sports"),
        ("multiport ports ", "multiport", "--ports"),
        ("mark match ", "mark", "--mark"),
        ("MARK match ", "mark", "--mark"),
        ("connmark match ", "connmark", "--mark"),
        ("CONNMARK match ", "connmark", "--mark"),
        ("MAC ", "mac", "--mac-source"),
        ("MAC", "mac", "--mac-source"),
        ("icmptype ", "icmp", "--icmp-type"),
        ("icmp ", "icmp", "--icmp-type"),
        ("ipv6-icmptype ", "icmp6", "--icmpv6-type"),
        ("ipv6-icmp ", "icmp6", "--icmpv6-type"),
        ("source IP range ", "iprange", "--src-range"),
        ("destination IP range ", "iprange", "--dst-range"),
        ("owner UID match ", "owner", "--uid-owner"),
        ("owner GID match ", "owner", "--gid-owner"),
    ];
    for (shown, extension, option) in simple {
        if let Some(behind) = input.strip_prefix(shown) {
            return value(behind, not, extension, option, rule);
        }
    }
    if let Some(behind) = input.strip_prefix("match-set ") {
        let (set, behind) = word(behind);
        let (keys, rest) = word(behind);
        push(rule, "set", not, &["--match-set", set, keys]);
        return Some(rest);
    }
    if let Some(behind) = input.strip_prefix("PHYSDEV match") {
        return of_physdev(behind, rule);
    }
    if let Some(behind) = input.strip_prefix("ADDRTYPE match") {
        return of_address_type(behind, rule);
    }
    if let Some(behind) = input.strip_prefix("limit: avg ") {
        let (rate, mut rest) = word(behind);
        push(rule, "limit", not, &["--limit", rate]);
        if let Some(behind) = rest.trim_start().strip_prefix("burst ") {
            let (burst, behind) = word(behind);
            rule.matches.extend(["--limit-burst", burst].map(Name::from));
            rest = behind;
        }
        return Some(rest);
    }
    None
}

/// `-m EXTENSION [!] OPTION VALUE`.
fn push(rule: &mut NetfilterRule, extension: &str, not: bool, words: &[&str]) {
    rule.matches.extend(["-m", extension].map(Name::from));
    if not {
        rule.matches.push("!".into());
    }
    rule.matches.extend(words.iter().map(|word| Name::from(*word)));
}

/// A value, perhaps with a `!` before it; types of ICMP may have a code.
fn value<'a>(
    input: &'a str,
    mut not: bool,
    extension: &str,
    option: &str,
    rule: &mut NetfilterRule,
) -> Option<&'a str> {
    let mut behind = input.trim_start();
    if let Some(rest) = behind.strip_prefix('!') {
        not = true;
        behind = rest.trim_start();
    }
    let (shown, mut rest) = word(behind);
    if shown.is_empty() {
        return None;
    }
    let mut text = shown.to_owned();
    if extension.starts_with("icmp")
        && let Some(behind) = rest.trim_start().strip_prefix("code ")
    {
        let (code, behind) = word(behind);
        text = format!("{shown}/{code}");
        rest = behind;
    }
    push(rule, extension, not, &[option, &text]);
    Some(rest)
}

/// `dpt:80 spts:1:9 flags:0x17/0x02`; a protocol alone says nothing more.
fn of_ports<'a>(protocol: &str, input: &'a str, rule: &mut NetfilterRule) -> Option<&'a str> {
    let mut rest = input.trim_start();
    let mut named = false;
    loop {
        let (shown, behind) = word(rest);
        let options: &[(&str, &str)] = &[
            ("dpt:", "--dport"),
            ("dpts:", "--dport"),
            ("spt:", "--sport"),
            ("spts:", "--sport"),
            ("flags:", "--tcp-flags"),
            ("option=", "--tcp-option"),
        ];
        let known =
            options.iter().find_map(|(key, option)| Some((*option, shown.strip_prefix(key)?)));
        let Some((option, value)) = known else {
            if !named {
                rule.matches.extend(["-m", protocol].map(Name::from));
            }
            return Some(rest);
        };
        if !named {
            rule.matches.extend(["-m", protocol].map(Name::from));
            named = true;
        }
        let bare = value.strip_prefix('!');
        if bare.is_some() {
            rule.matches.push("!".into());
        }
        rule.matches.push(option.into());
        // `0x17/0x02` are two arguments.
        let value = bare.unwrap_or(value);
        match value.split_once('/').filter(|_| option == "--tcp-flags") {
            Some((mask, set)) => rule.matches.extend([mask, set].map(Name::from)),
            None => rule.matches.push(value.into()),
        }
        rest = behind.trim_start();
    }
}

/// `PHYSDEV match ! --physdev-in tap0 --physdev-is-bridged`: the words are arguments already.
fn of_physdev<'a>(input: &'a str, rule: &mut NetfilterRule) -> Option<&'a str> {
    rule.matches.extend(["-m", "physdev"].map(Name::from));
    let mut rest = input.trim_start();
    loop {
        let (shown, behind) = word(rest);
        match shown {
            "!" | "--physdev-is-in" | "--physdev-is-out" | "--physdev-is-bridged" => {
                rule.matches.push(shown.into());
                rest = behind.trim_start();
            }
            "--physdev-in" | "--physdev-out" => {
                let (device, behind) = word(behind.trim_start());
                rule.matches.extend([shown, device].map(Name::from));
                rest = behind.trim_start();
            }
            _ => return Some(rest),
        }
    }
}

/// `ADDRTYPE match src-type !LOCAL dst-type BROADCAST limit-in`.
fn of_address_type<'a>(input: &'a str, rule: &mut NetfilterRule) -> Option<&'a str> {
    rule.matches.extend(["-m", "addrtype"].map(Name::from));
    let mut rest = input.trim_start();
    loop {
        let (shown, behind) = word(rest);
        let option = match shown {
            "src-type" => "--src-type",
            "dst-type" => "--dst-type",
            "limit-in" => "--limit-iface-in",
            "limit-out" => "--limit-iface-out",
            _ => return Some(rest),
        };
        if option.starts_with("--limit") {
            rule.matches.push(option.into());
            rest = behind.trim_start();
            continue;
        }
        let (mut types, mut behind) = word(behind.trim_start());
        if types == "!" {
            rule.matches.push("!".into());
            (types, behind) = word(behind.trim_start());
        } else if let Some(bare) = types.strip_prefix('!') {
            rule.matches.push("!".into());
            types = bare;
        }
        rule.matches.extend([option, types].map(Name::from));
        rest = behind.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use tapline_core::span::{At, Span};

    use super::*;

    fn reads(target: &str, shown: &str) -> (String, String) {
        let at = Span { start: 0, end: 0 };
        let mut rule = NetfilterRule {
            at,
            chain: Name::default(),
            counters: None,
            matches: Vec::new(),
            conditions: Vec::new(),
            target: Some(At::new(target.into(), at)),
            goto: false,
            target_options: Vec::new(),
            action: None,
        };
        words(shown, &mut rule);
        (rule.matches.join(" "), rule.target_options.join(" "))
    }

    #[test]
    fn words_are_put_into_the_arguments_that_are_saved() {
        for (target, shown, matches, options) in [
            ("ACCEPT", "tcp dpt:22", "-m tcp --dport 22", ""),
            ("ACCEPT", "tcp dpts:80:90 spt:!7", "-m tcp --dport 80:90 ! --sport 7", ""),
            ("ACCEPT", "tcp flags:0x17/0x02", "-m tcp --tcp-flags 0x17 0x02", ""),
            ("ACCEPT", "udp ctstate NEW", "-m udp -m conntrack --ctstate NEW", ""),
            ("ACCEPT", "! ctstate DNAT", "-m conntrack ! --ctstate DNAT", ""),
            ("ACCEPT", "state RELATED,ESTABLISHED", "-m state --state RELATED,ESTABLISHED", ""),
            ("ACCEPT", "multiport dports 80,443", "-m multiport --dports 80,443", ""),
            ("ACCEPT", "multiport dports !80", "-m multiport ! --dports 80", ""),
            ("ACCEPT", "mark match 0x1/0xff", "-m mark --mark 0x1/0xff", ""),
            ("ACCEPT", "mark match ! 0x1", "-m mark ! --mark 0x1", ""),
            ("ACCEPT", "connmark match  0x1", "-m connmark --mark 0x1", ""),
            ("DROP", "MAC FA:16:3E:00:00:01", "-m mac --mac-source FA:16:3E:00:00:01", ""),
            ("DROP", "MAC ! fa:16:3e:00:00:01", "-m mac ! --mac-source fa:16:3e:00:00:01", ""),
            ("ACCEPT", "icmptype 3 code 4", "-m icmp --icmp-type 3/4", ""),
            ("ACCEPT", "ipv6-icmptype 134", "-m icmp6 --icmpv6-type 134", ""),
            ("ACCEPT", "match-set known src", "-m set --match-set known src", ""),
            ("ACCEPT", "! match-set known src", "-m set ! --match-set known src", ""),
            (
                "mine",
                "PHYSDEV match --physdev-out tap1 --physdev-is-bridged /* why */",
                "-m physdev --physdev-out tap1 --physdev-is-bridged -m comment --comment why",
                "",
            ),
            (
                "DNAT",
                "ADDRTYPE match dst-type LOCAL to:10.0.0.1:80",
                "-m addrtype --dst-type LOCAL",
                "--to-destination 10.0.0.1:80",
            ),
            (
                "RETURN",
                "ADDRTYPE match src-type !LOCAL limit-in",
                "-m addrtype ! --src-type LOCAL --limit-iface-in",
                "",
            ),
            (
                "LOG",
                "limit: avg 5/min burst 9 LOG flags 0 level 4 prefix \"x \"",
                "-m limit --limit 5/min --limit-burst 9",
                "LOG flags 0 level 4 prefix \"x \"",
            ),
            ("MARK", "MARK xset 0x1/0xffff", "", "--set-xmark 0x1/0xffff"),
            ("CT", "CT notrack", "", "--notrack"),
            ("REDIRECT", "redir ports 9697 random", "", "--to-ports 9697 --random"),
            ("MASQUERADE", "random-fully", "", "--random-fully"),
            ("ACCEPT", "odd words here", "odd words here", ""),
            ("ACCEPT", "! odd", "! odd", ""),
        ] {
            let (read, of_target) = reads(target, shown);
            assert_eq!((read.as_str(), of_target.as_str()), (matches, options), "{shown}");
        }
    }
}
