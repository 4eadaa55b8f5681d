//! What the readers of `ovs-ofctl` and `ovs-appctl` share: command lines, ports, log lines.
use tapline_core::Name;
use tapline_core::capture::Command;
use tapline_core::records::openflow::{OfPort, TableRef};
use tapline_core::request::{Request, Topic};

use crate::lines::tool_error;

/// A command of `ovs-ofctl` or `ovs-appctl` without its options.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct OvsCommand<'a> {
    /// `show`, `dump-flows`, `fdb/show`.
    pub(super) verb: &'a str,
    /// The bridge, and what stands behind it.
    pub(super) args: Vec<&'a str>,
}

impl<'a> OvsCommand<'a> {
    /// Reads a command line of `program`; options may stand anywhere (`getopt_long(3)`).
    pub(super) fn of(command: &'a Command, program: &str) -> Option<Self> {
        // Options whose value is the next word.
        const OFCTL: &[&str] = &["-O", "-t", "-F", "-P", "--protocols", "--timeout"];
        const APPCTL: &[&str] = &["-t", "-T", "--target", "--timeout", "-f", "--format"];
        if command.program() != program {
            return None;
        }
        let valued = if program == "ovs-appctl" { APPCTL } else { OFCTL };
        let mut args = Vec::new();
        let mut words = command.args().iter().map(String::as_str);
        while let Some(word) = words.next() {
            if valued.contains(&word) {
                words.next();
            } else if !word.starts_with('-') {
                args.push(word);
            }
        }
        let verb = (!args.is_empty()).then(|| args.remove(0))?;
        Some(Self { verb, args })
    }

    /// What it asks of its bridge; words behind the bridge ask for a part.
    pub(super) fn request(&self, topic: Topic) -> Request {
        Request::filtered(&[topic], self.args.len() > 1).about(self.bridge().as_deref())
    }

    /// The bridge: a name, or the path of its management socket (`unix:/…/br-ex.mgmt`).
    pub(super) fn bridge(&self) -> Option<Name> {
        let word = self.args.first()?;
        let name = word.rsplit('/').next().unwrap_or(word);
        Some(name.strip_suffix(".mgmt").unwrap_or(name).into())
    }
}

/// A line that the tool logs among its output (`TIME|NUMBER|MODULE|LEVEL|text`) and that is no
/// complaint about what it prints.
pub(super) fn is_log(line: &str) -> bool {
    let mut parts = line.splitn(5, '|');
    let time = parts.next().unwrap_or_default();
    let number = parts.next().unwrap_or_default();
    let level = parts.nth(1).unwrap_or_default();
    time.starts_with(|c: char| c.is_ascii_digit())
        && number.bytes().all(|b| b.is_ascii_digit())
        && matches!(level, "EMER" | "ERR" | "WARN" | "INFO" | "DBG")
        && tool_error(line).is_none()
}

/// A port as printed, with or without quotes.
pub(super) fn port(shown: &str) -> OfPort {
    match quoted(shown) {
        // A name of digits has quotes and is no number.
        Some(name) if shown.len() > 1 => OfPort::Name(name),
        _ => OfPort::of(shown),
    }
}

/// A table as printed: a number that there can be, or a name.
pub(super) fn table(shown: &str) -> Option<TableRef> {
    if let Some(name) = quoted(shown).filter(|name| !name.is_empty()) {
        return Some(TableRef::Name(name));
    }
    if shown.starts_with(|c: char| c.is_ascii_digit()) {
        return small(shown).map(TableRef::Number);
    }
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    (!shown.is_empty() && shown.bytes().all(word)).then(|| TableRef::Name(shown.into()))
}

/// The text within quotes; names with other characters than letters, digits, `_-.` have escapes
/// as in JSON.
pub(super) fn quoted(shown: &str) -> Option<Name> {
    let inner = shown.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(inner.into());
    }
    Some(serde_json::from_str::<String>(shown).map_or_else(|_| inner.into(), Name::from))
}

/// `0x1f` or `31`.
pub(super) fn integer(shown: &str) -> Option<u64> {
    match shown.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
            u64::from_str_radix(hex, 16).ok()
        }
        Some(_) => None,
        None if shown.bytes().all(|b| b.is_ascii_digit()) => shown.parse().ok(),
        None => None,
    }
}

/// `integer` that fits into `T`.
pub(super) fn small<T: TryFrom<u64>>(shown: &str) -> Option<T> {
    T::try_from(integer(shown)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_anywhere() {
        for (line, program, verb, bridge) in [
            ("ovs-ofctl -O OpenFlow13 show br0", "ovs-ofctl", "show", Some("br0")),
            ("ovs-ofctl dump-flows br0 -OOpenFlow14", "ovs-ofctl", "dump-flows", Some("br0")),
            ("ovs-ofctl show unix:/run/ovs/br-ex.mgmt", "ovs-ofctl", "show", Some("br-ex")),
            ("ovs-appctl -t ovs-vswitchd fdb/show br0", "ovs-appctl", "fdb/show", Some("br0")),
            (
                "ovs-appctl bridge/dump-flows --offload-stats br0",
                "ovs-appctl",
                "bridge/dump-flows",
                Some("br0"),
            ),
            ("ovs-appctl list-commands", "ovs-appctl", "list-commands", None),
        ] {
            let command = Command::new(line);
            let it = OvsCommand::of(&command, program).unwrap();
            assert_eq!((it.verb, it.bridge().as_deref()), (verb, bridge), "{line}");
        }
        assert_eq!(OvsCommand::of(&Command::new("ovs-ofctl"), "ovs-ofctl"), None);
        assert_eq!(OvsCommand::of(&Command::new("ovs-vsctl show"), "ovs-ofctl"), None);
    }

    #[test]
    fn names_in_quotes_are_no_numbers() {
        assert_eq!(port("3"), OfPort::Number(3));
        assert_eq!(port("65534"), OfPort::Local);
        assert_eq!(port("LOCAL"), OfPort::Local);
        assert_eq!(port("\"10\""), OfPort::Name("10".into()));
        assert_eq!(port("\"a\\\"b\""), OfPort::Name("a\"b".into()));
        assert_eq!(port("tap0"), OfPort::Name("tap0".into()));
        assert_eq!(integer("0xffffffffffffffff"), Some(u64::MAX));
        assert_eq!((integer("0x+1"), integer(""), small::<u8>("256")), (None, None, None));
    }

    #[test]
    fn tables_have_numbers_or_names() {
        assert_eq!(table("0x1f"), Some(TableRef::Number(31)));
        assert_eq!(table("kitchen"), Some(TableRef::Name("kitchen".into())));
        assert_eq!(table("\"2nd floor\""), Some(TableRef::Name("2nd floor".into())));
        for shown in ["256", "", "\"\"", "a(b", "7x"] {
            assert_eq!(table(shown), None, "{shown}");
        }
    }

    #[test]
    fn logs_are_told_from_complaints() {
        assert!(is_log("2026-01-02T03:04:05Z|00001|ovs_rcu|WARN|blocked 1000 ms"));
        assert!(!is_log("2026-01-02T03:04:05Z|00001|vconn|WARN|u: version negotiation failed (x)"));
        assert!(!is_log(" cookie=0x0, actions=drop"));
    }
}
