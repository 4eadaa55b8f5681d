//! What a `tc` command line asks for: object, device, hook.
//!
//! Source: iproute2 `tc/tc.c`, `tc/tc_qdisc.c`, `tc/tc_filter.c`. Objects and verbs may be shortened.
use std::borrow::Cow;

use tapline_core::capture::Command;

use crate::ip_command::is_list;

/// A `tc` command line that lists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct TcCommand<'a> {
    /// What stands behind the verb.
    pub(super) args: &'a [String],
    /// The device or `block N`; `None` for all.
    pub(super) dev: Option<Cow<'a, str>>,
}

impl<'a> TcCommand<'a> {
    /// Reads a command that lists things of a kind; `None` for others, and for JSON.
    pub(super) fn listing(command: &'a Command, object: &str) -> Option<Self> {
        if command.program() != "tc" {
            return None;
        }
        let mut words = command.args();
        while let Some((word, rest)) = words.split_first().filter(|(word, _)| word.starts_with('-'))
        {
            words = match word.trim_start_matches('-') {
                "j" | "json" | "b" | "batch" => return None,
                "n" | "netns" | "cf" | "conf" => rest.get(1..)?,
                _ => rest,
            };
        }
        let (first, mut args) = words.split_first()?;
        if first.is_empty() || !object.starts_with(first.as_str()) {
            return None;
        }
        if let Some((verb, rest)) = args.split_first() {
            if !is_list(verb) {
                return None;
            }
            args = rest;
        }
        let at = args.iter().position(|word| word == "dev" || word == "block");
        let dev = at.and_then(|at| {
            let name = args.get(at + 1)?;
            let is_block = args.get(at).is_some_and(|word| word == "block");
            Some(if is_block { format!("block {name}").into() } else { name.into() })
        });
        Some(Self { args, dev })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_told_from_changes() {
        for (line, dev) in [
            ("tc qdisc", None),
            ("tc -s -d q sh", None),
            ("tc -n blue qdisc list", None),
            ("tc -s qdisc show dev eth0", Some("eth0")),
        ] {
            let command = Command::new(line);
            assert_eq!(
                TcCommand::listing(&command, "qdisc").unwrap().dev.as_deref(),
                dev,
                "{line}"
            );
        }
        for line in
            ["tc", "tc qdisc add dev eth0 root netem", "tc -j qdisc", "tc filter show", "tcpdump"]
        {
            assert_eq!(TcCommand::listing(&Command::new(line), "qdisc"), None, "{line}");
        }
    }
}
