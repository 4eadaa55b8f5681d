//! `/etc/machine-id`.
//!
//! Source of the format: machine-id(5): 32 hexadecimal digits in lower case.
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::host::{Fact, HostFact};
use tapline_core::request::Request;

use super::facts;
use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::Read;
use crate::nomx::refuse;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("machine-id"),
    command: "cat /etc/machine-id",
    collect: &[Per::File.run("/etc/machine-id")],
    claims: |command| {
        let path = command.path()?.trim_start_matches('/');
        matches!(path, "etc/machine-id" | "var/lib/dbus/machine-id").then(Request::default)
    },
    // A checksum looks the same.
    sniff: |head| if is_id(head.trim()) { 40 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole file.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<HostFact>> {
    facts(text, "no machine id", |line| {
        let id = line.trim();
        if !is_id(id) {
            return refuse(line, "32 hexadecimal digits");
        }
        Ok(("", Read::Took(Fact::MachineId(at(text, id)))))
    })
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thirty_two_digits() {
        let read = |text| parse(text, &Command::new("cat /etc/machine-id"));
        assert_eq!(read("0123456789abcdef0123456789abcdef\n").records.len(), 1);
        let out = read("uninitialized\n");
        assert!(out.completeness.is_failed() && out.lines.unread == 1);
        assert!(read("").completeness.is_failed());
    }
}
