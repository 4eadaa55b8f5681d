//! What the readers of the Open vSwitch database share.
//!
//! The same rows come in many dresses: nested (`ovs-vsctl show`), as lists, tables, CSV and JSON
//! (`ovs-vsctl list`, `ovsdb-client dump`), and as a log of transactions (`conf.db`). All of them
//! cut the text into [`notation::Value`]s and leave it to [`columns`] to fill typed fields.
pub(crate) mod call;
pub(crate) mod cell;
pub(crate) mod columns;
#[cfg(test)]
mod damaged;
pub(crate) mod json_rows;
pub(crate) mod log;
pub(crate) mod notation;
pub(crate) mod replay;
pub(crate) mod rows;
pub(crate) mod schema;
pub(crate) mod tables;

use tapline_core::capture::Completeness;
use tapline_core::outcome::Outcome;

/// A line that a tool of OVS logs in front of its output:
/// `2024-05-01T10:00:00Z|00001|vconn|WARN|…` (`lib/vlog.c`, the pattern for consoles).
pub(crate) fn is_log_line(line: &str) -> bool {
    if !line.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let mut parts = line.split('|');
    let time = parts.next().unwrap_or_default();
    let number = parts.next().unwrap_or_default();
    let level = parts.nth(1).unwrap_or_default();
    time.ends_with('Z')
        && number.bytes().all(|b| b.is_ascii_digit())
        && matches!(level, "EMER" | "ERR" | "WARN" | "INFO" | "DBG")
}

/// What unread lines mean here: each may be a row, so nothing follows from what is not listed.
///
/// To be called after [`finish`](crate::lines::finish), which knows the complaints of tools.
pub(crate) fn doubt_unread<T>(out: &mut Outcome<T>) {
    if out.lines.unread == 0 {
        return;
    }
    let doubt = if out.lines.read == 0 {
        Completeness::Failed("no line was understood".to_owned())
    } else {
        Completeness::Partial(format!("{} lines were not understood", out.lines.unread))
    };
    let before = std::mem::take(&mut out.completeness);
    out.completeness = before.and(doubt);
}
