//! `/etc/os-release`, `/etc/lsb-release`, `/etc/redhat-release`: what the distribution calls itself.
//!
//! Source of the formats: os-release(5): assignments of a shell, `PRETTY_NAME="Ubuntu 20.04.3 LTS"`; Ubuntu's
//! package base-files, `DISTRIB_DESCRIPTION="Ubuntu 20.04.3 LTS"`; redhat-release, one line. The first is a link,
//! and old sosreports hold the link alone.
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

/// Files of assignments.
const ASSIGNED: &[&str] = &["etc/os-release", "usr/lib/os-release", "etc/lsb-release"];
/// Files of one line.
const WHOLE: &[&str] = &["etc/redhat-release", "etc/system-release", "etc/centos-release"];

pub(crate) static FORMAT: Format = Format {
    id: FormatId("os-release"),
    command: "cat /etc/os-release",
    collect: &[Per::File.run("/etc/os-release")],
    claims: |command| {
        let path = command.path()?.trim_start_matches('/');
        let is_one = ASSIGNED.contains(&path) || WHOLE.contains(&path);
        is_one.then(Request::default)
    },
    sniff: |head| {
        let has = |key: &str| head.lines().any(|line| line.starts_with(key));
        if has("PRETTY_NAME=") && has("ID=") && has("VERSION_ID=") { 80 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole file.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<HostFact>> {
    let path = command.path().unwrap_or_default().trim_start_matches('/');
    let is_whole = WHOLE.contains(&path);
    facts(text, "no name of the system", |line| {
        let body = line.trim();
        // A link that leads out of the report.
        if body.starts_with('#') || body.starts_with("../") {
            return Ok(("", Read::Ignored));
        }
        if is_whole {
            return Ok(("", Read::Took(Fact::Os(at(text, body)))));
        }
        let Some((key, value)) = body.split_once('=') else {
            return refuse(line, "an assignment");
        };
        let value = value.trim_matches(['"', '\'']);
        if !matches!(key, "PRETTY_NAME" | "DISTRIB_DESCRIPTION") || value.is_empty() {
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
        let lsb = read("DISTRIB_ID=Ubuntu\nDISTRIB_DESCRIPTION=\"Ubuntu 20.04.3 LTS\"\n");
        assert_eq!(lsb.records.len(), 1);
        let redhat = Command::new("cat /etc/redhat-release");
        assert_eq!(parse("CentOS Linux release 7.9.2009 (Core)\n", &redhat).records.len(), 1);
        assert!(read("").completeness.is_failed());
        assert_eq!(read("../usr/lib/os-release").lines.unread, 0);
        assert_eq!(read("what is this\n").lines.unread, 1);
    }
}
