//! `ha_confs/ROUTER/state`: one word without a line end.
//!
//! Source of the format: neutron `agent/l3/keepalived_state_change.py` (`write_state_change`);
//! `master` until Victoria, `primary` since Wallaby.
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::keepalived::HaState;
use tapline_core::request::{Request, Topic};
use tapline_core::span::Span;

use super::router_of;
use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::{Read, each_line, finish};
use crate::nomx::refuse;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("keepalived-state"),
    command: "cat /var/lib/neutron/ha_confs/ROUTER/state",
    collect: &[Per::File.run("/var/lib/neutron/ha_confs/*/state")],
    claims: |command| {
        let router = router_of(command, "state")?;
        Some(Request::whole(&[Topic::HaRouters]).about(Some(&router)))
    },
    // One word may be anything.
    sniff: |_| 0,
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole file.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<HaState>> {
    const STATES: &[&str] = &["primary", "master", "backup", "fault", "unknown"];
    let router = router_of(command, "state");
    let mut out = Outcome::default();
    each_line(text, &mut out, |line| {
        let word = line.trim();
        if !STATES.contains(&word) {
            return refuse(line, "primary, master, backup, fault or unknown");
        }
        let (state, router) = (at(text, word), router.clone());
        Ok(("", Read::Took(HaState { at: Span::of(text, line), router, state })))
    });
    finish(text, &mut out);
    if out.lines.total == 0 {
        out.completeness = Completeness::Failed("the file is empty".to_owned());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word() {
        let command = Command::new("cat /var/lib/neutron/ha_confs/aa-bb/state");
        assert!(FORMAT.reads(&command));
        assert!(!FORMAT.reads(&Command::new("cat /var/lib/neutron/state")));
        let out = parse("primary", &command);
        assert!(out.records[0].is_primary());
        assert_eq!(out.records[0].router.as_deref(), Some("aa-bb"));
        assert!(!parse("backup\n", &command).records[0].is_primary());
        for text in ["", "leader\n"] {
            assert!(parse(text, &command).completeness.is_failed(), "{text}");
        }
    }
}
