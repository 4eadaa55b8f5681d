//! `/etc/os-release`: what the distribution calls itself.
//!
//! Source of the format: os-release(5): assignments of a shell, `PRETTY_NAME="Ubuntu 20.04.3 LTS"`.
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
    id: FormatId("os-release"),
    command: "cat /etc/os-release",
    collect: &[Per::File.run("/etc/os-release")],
    claims: |command| {
        let path = command.path()?.trim_start_matches('/');
        matches!(path, "etc/os-release" | "usr/lib/os-release").then(Request::default)
    },
    sniff: |head| {
        let has = |key: &str| head.lines().any(|line| line.starts_with(key));
        if has("PRETTY_NAME=") && has("ID=") && has("VERSION_ID=") { 80 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole file.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<HostFact>> {
    facts(text, "no name of the system", |line| {
        let body = line.trim();
        if body.starts_with('#') {
            return Ok(("", Read::Ignored));
        }
        let Some((key, value)) = body.split_once('=') else {
            return refuse(line, "an assignment");
        };
        let value = value.trim_matches(['"', '\'']);
        if key != "PRETTY_NAME" || value.is_empty() {
            return Ok(("", Read::Ignored));
        }
        Ok(("", Read::Took(Fact::Os(at(text, value)))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_for_people_counts() {
        let read = |text| parse(text, &Command::new("cat /etc/os-release"));
        let out = read(
            "NAME=\"Ubuntu\"\nVERSION_ID=\"20.04\"\nID=ubuntu\nPRETTY_NAME=\"Ubuntu 20.04.3 LTS\"\n",
        );
        let name = out.records.first().map(|record| &record.fact);
        assert!(matches!(name, Some(Fact::Os(name)) if name.value == "Ubuntu 20.04.3 LTS"));
        assert_eq!(out.lines.unread, 0);
        assert!(read("").completeness.is_failed());
        assert_eq!(read("what is this\n").lines.unread, 1);
    }
}
