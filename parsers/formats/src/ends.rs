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

use crate::format::{Ends, Format, last_word};

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
    inputs.into_iter().filter(|input| most(input.1)).map(|input| input.0.clone()).collect()
}

/// Notes a record that may be cut off: its span is from its first line to the end of the text.
pub(crate) fn check(source: &Source, format: &Format, out: &mut Outcome<Batch>) {
    let text = source.text.as_str();
    // Copied files are as their writers left them.
    if source.command.path().is_some() || text.is_empty() || text.ends_with('\n') {
        return;
    }
    let last = text.rsplit_once('\n').map_or(text, |pair| pair.1);
    if is_whole(format.ends, text, last.trim_end()) {
        return;
    }
    if out.lines.read > 0 {
        let (kind, span) = (ProblemKind::Truncated, Span::of(text, record(format.ends, text)));
        out.problems.push(Problem { kind, message: NO_LINE_END.to_owned(), span });
    }
    let partial = Completeness::Partial(MAY_BE_CUT.to_owned());
    out.completeness = std::mem::take(&mut out.completeness).and(partial);
}

/// The last record of a text, as far as lines show: what its last line may belong to.
fn record(ends: Ends, text: &str) -> &str {
    let mut from = text.len();
    for line in text.rsplit('\n') {
        from = from.saturating_sub(if from == text.len() { line.len() } else { line.len() + 1 });
        if (ends.begins)(line) {
            break;
        }
    }
    text.get(from..).unwrap_or(text)
}

/// Whether nothing can be missing at the end of the last line.
fn is_whole(ends: Ends, text: &str, last: &str) -> bool {
    // The outermost bracket of JSON.
    if text.starts_with(['[', '{']) {
        let word = last_word(last);
        return matches!(last, "]" | "}") || !text.contains("\n ") && word.ends_with([']', '}']);
    }
    (ends.closes)(last)
}

#[cfg(test)]
mod tests {
    use super::Ends;
    use crate::registry::FORMATS;

    fn ends(id: &str) -> Ends {
        FORMATS.iter().find(|format| format.id.0 == id).unwrap().ends
    }

    fn record<'a>(id: &str, text: &'a str) -> &'a str {
        super::record(ends(id), text)
    }

    fn is_whole(id: &str, text: &str, last: &str) -> bool {
        super::is_whole(ends(id), text, last)
    }

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
