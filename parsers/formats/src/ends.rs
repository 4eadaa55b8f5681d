//! Whether a text was cut off in the middle of its last line.
//!
//! Every command ends its output with a line end. A text without one was cut off, by a full disk or
//! a broken copy, or lost it when it was copied by hand. Where the last line shows that it is whole,
//! it was the latter; where it does not, names on it may be shortened, and lines may be missing.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tapline_core::capture::{Captured, Completeness, Source};
use tapline_core::outcome::{FILTERED, MAY_BE_CUT, NO_LINE_END, Outcome, Problem, ProblemKind};
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
    if source.command.path().is_some() || text.is_empty() {
        return;
    }
    if text.ends_with('\n') {
        // What a filter lets through may end with any line.
        let is_filtered =
            matches!(&source.completeness, Completeness::Partial(why) if why.starts_with(FILTERED));
        if !is_filtered {
            check_torn(format, text, out);
        }
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

/// Notes a last line that breaks off within, though a line end stands behind it: somebody pasted no
/// more, and a fence or a page ended it.
fn check_torn(format: &Format, text: &str, out: &mut Outcome<Batch>) {
    let last = text.rsplit('\n').map(str::trim_end).find(|line| !line.is_empty());
    let Some(last) = last else { return };
    let is_torn = (format.ends.torn)(last) || is_half_mac(last_word(last));
    if !is_torn || out.lines.read == 0 || !out.completeness.is_complete() {
        return;
    }
    let (kind, span) = (ProblemKind::Truncated, Span::of(text, last));
    out.problems.push(Problem { kind, message: BREAKS_OFF.to_owned(), span });
    out.completeness = Completeness::Partial(BREAKS_OFF.to_owned());
}

/// Why a text is partial whose last line lacks what every such line has.
const BREAKS_OFF: &str = "the last line breaks off";

/// `52:54:00:12:3`: at least four parts of two digits, of which six are a MAC.
fn is_half_mac(word: &str) -> bool {
    const FEWEST: usize = 4;
    if word.len() >= "52:54:00:12:34:56".len() {
        return false;
    }
    let parts: Vec<&str> = word.split(':').collect();
    let hex = |part: &&str| part.bytes().all(|b| b.is_ascii_hexdigit());
    let Some((last, before)) = parts.split_last() else { return false };
    let begun = before.iter().all(|part| part.len() == 2 && hex(part)) && hex(last);
    let whole = parts.len() == 6 && last.len() == 2;
    begun && (FEWEST..=6).contains(&parts.len()) && last.len() <= 2 && !whole
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
    fn what_breaks_off_lacks_what_all_such_lines_have() {
        for (format, last) in [
            ("ip-address", "    inet 10.0.0.2/2"),
            ("ip-address", "       valid_lft forever preferred_lft fore"),
            ("ip-link", "    inet6 fe80::1/64"),
        ] {
            assert!((ends(format).torn)(last), "{format}: {last}");
        }
        for (format, last) in [
            ("ip-address", "    inet 10.0.0.2/24 scope global eth0"),
            ("ip-address", "       valid_lft forever preferred_lft forever"),
            ("ip-address", "eth0  UP  10.0.0.2/24"),
            ("ip-route", "default via 192.0.2.1"),
        ] {
            assert!(!(ends(format).torn)(last), "{format}: {last}");
        }
        for word in ["52:54:00:12:34:5", "52:54:00:12:", "52:54:00:12:34", "fa:16:3e:1"] {
            assert!(super::is_half_mac(word), "{word}");
        }
        for word in ["52:54:00:12:34:56", "12:00:01", "fe80::1", "2001:db8:1:2", "", "a:b:c:d"] {
            assert!(!super::is_half_mac(word), "{word}");
        }
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
