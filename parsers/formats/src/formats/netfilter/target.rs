//! What targets of `iptables` rules do.
use tapline_core::Name;
use tapline_core::records::filter::{Change, Masked, Target, Translation, port_range};

use super::{integer, masked, network};

/// What `-j NAME OPTIONS` does, or `-g NAME`.
pub(crate) fn target(name: &str, goto: bool, options: &[Name]) -> Target {
    if goto {
        return Target::Goto(name.into());
    }
    let option = |wanted: &[&str]| {
        let mut words = options.iter().map(Name::as_str);
        words.find(|word| wanted.contains(word))?;
        words.next()
    };
    let translation = |wanted| option(wanted).map(Translation::of);
    match name {
        "ACCEPT" => Target::Accept,
        "DROP" => Target::Drop,
        "REJECT" => Target::Reject,
        "RETURN" => Target::Return,
        "DNAT" => translation(&["--to-destination"]).map_or_else(unknown(name), Target::Dnat),
        "SNAT" => translation(&["--to-source"]).map_or_else(unknown(name), Target::Snat),
        "MASQUERADE" => Target::Masquerade,
        "REDIRECT" => {
            Target::Redirect(option(&["--to-ports"]).and_then(|ports| port_range(ports, '-')))
        }
        "NETMAP" => Target::Netmap(option(&["--to"]).and_then(network)),
        "MARK" => Target::Mark(mark(options)),
        "CONNMARK" => Target::ConnMark(connmark(options)),
        "NOTRACK" => Target::NoTrack,
        "CT" if options.iter().any(|word| word == "--notrack") => Target::NoTrack,
        "CT" => match option(&["--zone", "--zone-orig"]).map(integer) {
            Some(zone) => zone
                .and_then(|zone| u16::try_from(zone).ok())
                .map_or_else(unknown(name), Target::CtZone),
            // A helper, or a timeout.
            None => Target::Aside,
        },
        "LOG" | "NFLOG" | "ULOG" | "CHECKSUM" | "TCPMSS" | "AUDIT" | "TRACE" | "CLASSIFY"
        | "DSCP" | "TOS" | "SECMARK" | "CONNSECMARK" | "LED" | "RATEEST" | "SET" => Target::Aside,
        "QUEUE" | "NFQUEUE" | "TPROXY" | "TTL" | "HL" | "TEE" | "SYNPROXY" | "HMARK"
        | "IDLETIMER" | "CLUSTERIP" | "ECN" | "DNPT" | "SNPT" | "TARPIT" => {
            Target::Unknown(name.into())
        }
        // A chain of one's own.
        _ => Target::Jump(name.into()),
    }
}

fn unknown(name: &str) -> impl FnOnce() -> Target {
    let name = Name::from(name);
    move || Target::Unknown(name)
}

/// `--set-xmark 0x1/0xff`, `--set-mark`, `--and-mark`, `--or-mark`, `--xor-mark`.
fn mark(options: &[Name]) -> Change {
    let [option, value, ..] = options else { return Change::Unknown };
    let Some(Masked { value, mask }) = masked(value) else { return Change::Unknown };
    match option.as_str() {
        "--set-xmark" => Change::Set { clear: mask, flip: value },
        "--set-mark" => Change::Set { clear: mask | value, flip: value },
        "--and-mark" => Change::Set { clear: !value, flip: 0 },
        "--or-mark" => Change::Set { clear: value, flip: value },
        "--xor-mark" => Change::Set { clear: 0, flip: value },
        _ => Change::Unknown,
    }
}

fn connmark(options: &[Name]) -> Change {
    let of = |wanted: &[&str]| {
        let at = options.iter().position(|word| wanted.contains(&word.as_str()))?;
        integer(options.get(at + 1)?)
    };
    match options.first().map(Name::as_str) {
        Some(verb @ ("--save-mark" | "--restore-mark")) => {
            let mask = of(&["--mask", "--nfmask"]).unwrap_or(u32::MAX);
            Change::Copy { save: verb == "--save-mark", mask }
        }
        _ => mark(options),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str) -> Target {
        let words: Vec<Name> = text.split(' ').map(Name::from).collect();
        let (name, options) = words.split_first().unwrap();
        target(name, false, options)
    }

    #[test]
    fn targets_are_understood() {
        for (text, wanted) in [
            ("ACCEPT", Target::Accept),
            ("REJECT --reject-with icmp-port-unreachable", Target::Reject),
            ("DNAT --to-destination 10.0.0.5:80", Target::Dnat(Translation::of("10.0.0.5:80"))),
            (
                "SNAT --to-source 192.0.2.1 --random-fully",
                Target::Snat(Translation::of("192.0.2.1")),
            ),
            ("MASQUERADE --to-ports 1-9", Target::Masquerade),
            ("REDIRECT --to-ports 9697", Target::Redirect(Some(9697..=9697))),
            ("NETMAP --to 10.1.0.0/16", Target::Netmap(Some("10.1.0.0/16".parse().unwrap()))),
            ("MARK --set-xmark 0x1/0xffff", Target::Mark(Change::Set { clear: 0xffff, flip: 1 })),
            ("MARK --or-mark 0x4", Target::Mark(Change::Set { clear: 4, flip: 4 })),
            ("MARK --and-mark 0x4", Target::Mark(Change::Set { clear: !4, flip: 0 })),
            (
                "CONNMARK --restore-mark --nfmask 0xff --ctmask 0xff",
                Target::ConnMark(Change::Copy { save: false, mask: 0xff }),
            ),
            ("CT --notrack", Target::NoTrack),
            ("CT --zone 4097", Target::CtZone(4097)),
            ("CT --helper ftp", Target::Aside),
            ("LOG --log-prefix x", Target::Aside),
            ("NFQUEUE --queue-num 1", Target::Unknown("NFQUEUE".into())),
            ("DNAT", Target::Unknown("DNAT".into())),
            ("LIBVIRT_FWI", Target::Jump("LIBVIRT_FWI".into())),
        ] {
            assert_eq!(reads(text), wanted, "{text}");
        }
        assert_eq!(target("mine", true, &[]), Target::Goto("mine".into()));
    }
}
