//! Whether a text was cut off in the middle of its last line.
//!
//! Every command ends its output with a line end. A text without one was cut off, by a full disk or
//! a broken copy, or lost it when it was copied by hand. Where the last line shows that it is whole,
//! it was the latter; where it does not, names on it may be shortened, and lines may be missing.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tapline_core::capture::{Captured, Completeness, Source};
use tapline_core::outcome::{MAY_BE_CUT, NO_LINE_END, Outcome, Problem, ProblemKind};
use tapline_core::records::Batch;
use tapline_core::span::Span;

use crate::registry::Format;

/// Formats of one line, which anybody may write without an end.
const FACTS: &[&str] = &["date", "hostname", "uname", "uptime"];

/// Inputs most of whose texts end without a line end: whoever saved them leaves it away.
pub(crate) fn without_ends(captured: &Captured) -> BTreeSet<Arc<str>> {
    let mut inputs: BTreeMap<&Arc<str>, (usize, usize)> = BTreeMap::new();
    for source in &captured.sources {
        if source.text.contains('\n') && source.command.path().is_none() {
            let (with, without) = inputs.entry(&source.archive).or_default();
            *if source.text.ends_with('\n') { with } else { without } += 1;
        }
    }
    let most = |(with, without): (usize, usize)| without > with.max(2);
    inputs.into_iter().filter(|it| most(it.1)).map(|it| it.0.clone()).collect()
}

/// Notes a record that may be cut off: its span is from its first line to the end of the text.
pub(crate) fn check(source: &Source, format: &Format, out: &mut Outcome<Batch>) {
    let text = source.text.as_str();
    // Copied files are as their writers left them.
    let copied = source.command.path().is_some() || FACTS.contains(&format.id.0);
    if copied || text.is_empty() || text.ends_with('\n') {
        return;
    }
    let last = text.rsplit_once('\n').map_or(text, |it| it.1);
    if is_whole(format.id.0, text, last.trim_end()) {
        return;
    }
    if out.lines.read > 0 {
        let (kind, span) = (ProblemKind::Truncated, Span::of(text, record(format.id.0, text)));
        out.problems.push(Problem { kind, message: NO_LINE_END.to_owned(), span });
    }
    let partial = Completeness::Partial(MAY_BE_CUT.to_owned());
    out.completeness = std::mem::take(&mut out.completeness).and(partial);
}

/// The last record of a text, as far as lines show: what its last line may belong to.
fn record<'a>(format: &str, text: &'a str) -> &'a str {
    let starts = |line: &str| match format {
        // A port of a bridge.
        "ovs-vsctl-show" => line.find(|it: char| it != ' ').is_some_and(|it| it <= 8),
        // Between blank lines.
        "ovs-vsctl-list" => line.is_empty(),
        // One document.
        "domain-xml" => false,
        _ => line.starts_with(|it: char| !it.is_whitespace()),
    };
    let mut from = text.len();
    for line in text.rsplit('\n') {
        from = from.saturating_sub(if from == text.len() { line.len() } else { line.len() + 1 });
        if starts(line) {
            break;
        }
    }
    text.get(from..).unwrap_or(text)
}

/// Whether nothing can be missing at the end of the last line.
fn is_whole(format: &str, text: &str, last: &str) -> bool {
    let word = last.rsplit(char::is_whitespace).next().unwrap_or(last);
    // The outermost bracket of JSON.
    if text.starts_with(['[', '{']) {
        return matches!(last, "]" | "}") || !text.contains("\n ") && word.ends_with([']', '}']);
    }
    match format {
        "ovs-vsctl-show" => last.trim_start().starts_with("ovs_version:") && word.ends_with('"'),
        "ovs-vsctl-list" | "ovsdb-client-dump" => {
            word.ends_with([']', '}', '"']) || matches!(word, "true" | "false")
        }
        "ip-address" => {
            let seconds = word.strip_suffix("sec");
            last.contains("preferred_lft ")
                && (word == "forever"
                    || seconds.is_some_and(|it| it.bytes().all(|it| it.is_ascii_digit())))
        }
        "ip-link" => last.trim_start().starts_with("link/") && is_mac(word),
        "ip-netns" => word.ends_with(')'),
        "ip-rule" => matches!(word, "local" | "main" | "default"),
        "domain-xml" => last.trim() == "</domain>",
        "iptables-save" => last == "COMMIT" || last.starts_with("# Completed on "),
        "nft-list-ruleset" => last == "}",
        "virsh-list" => {
            matches!(word, "running" | "paused" | "idle" | "blocked" | "crashed" | "off")
        }
        _ => false,
    }
}

/// `52:54:00:12:34:56`.
fn is_mac(word: &str) -> bool {
    let parts = word.split(':');
    parts.clone().count() == 6
        && parts.into_iter().all(|it| it.len() == 2 && it.bytes().all(|it| it.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::{is_whole, record};

    #[test]
    fn the_last_record_begins_at_its_head() {
        let show = "uuid\n    Bridge br0\n        Port a\n            Interface a\n                type: pa";
        assert!(record("ovs-vsctl-show", show).starts_with("        Port a\n"));
        assert_eq!(
            record("ip-address", "1: lo: <UP>\n2: a: <UP>\n    link"),
            "2: a: <UP>\n    link"
        );
        assert_eq!(record("ip-route", "default via 192.0.2.1 de"), "default via 192.0.2.1 de");
        assert_eq!(record("ovs-vsctl-list", "name: a\n\nname: b\nt"), "\nname: b\nt");
        assert_eq!(record("brctl-show", "br0\t8000\tno\ta\n\t\t\tb"), "br0\t8000\tno\ta\n\t\t\tb");
        assert_eq!(record("domain-xml", "<domain>\n  <name>"), "<domain>\n  <name>");
    }

    #[test]
    fn what_closes_a_text_is_known_by_format() {
        for (format, last) in [
            ("ovs-vsctl-show", "    ovs_version: \"2.17.9\""),
            ("ovs-vsctl-list", "trunks              : []"),
            ("ip-address", "       valid_lft forever preferred_lft forever"),
            ("ip-address", "       valid_lft 81sec preferred_lft 81sec"),
            ("ip-link", "    link/ether 52:54:00:12:34:56 brd ff:ff:ff:ff:ff:ff"),
            ("ip-netns", "qrouter-1 (id: 4)"),
            ("ip-rule", "32766:\tfrom all lookup main"),
            ("domain-xml", "</domain>"),
            ("iptables-save", "COMMIT"),
            ("virsh-list", " -     cirros   shut off"),
        ] {
            assert!(is_whole(format, "", last), "{format}: {last}");
        }
        for (format, last) in [
            ("ovs-vsctl-show", "            Interface qvo2d4a7a05-e"),
            ("ovs-vsctl-show", "    ovs_version: \"2.1"),
            ("ip-address", "       valid_lft forever preferred_lft fore"),
            ("ip-address", "       valid_lft 81sec preferred_lft 8"),
            ("ip-address", "       valid_lft forever preferred_lft "),
            ("ip-link", "    link/ether 52:54:00:12:34:56 brd ff:ff:ff:ff:ff:f"),
            ("ip-route", "default via 192.0.2.1 dev qg-ae1e"),
            ("brctl-show", "qbr0\t\t8000.000000000000\tno\t\tqvb0"),
            ("virsh-list", " 3     cirros   runn"),
        ] {
            assert!(!is_whole(format, "", last), "{format}: {last}");
        }
    }
}
