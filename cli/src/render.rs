//! The forms of output, one file each.
pub(crate) mod about;
pub(crate) mod artifact;
pub(crate) mod chain;
pub(crate) mod concise;
pub(crate) mod coverage;
pub(crate) mod coverage_json;
pub(crate) mod coverage_text;
pub(crate) mod diff;
pub(crate) mod diff_html;
pub(crate) mod diff_json;
pub(crate) mod diff_markdown;
pub(crate) mod diff_text;
mod diff_when;
pub(crate) mod dot;
pub(crate) mod escape;
pub(crate) mod github;
pub(crate) mod graph_json;
pub(crate) mod graph_text;
pub(crate) mod headline;
mod hops;
pub(crate) mod incomplete;
pub(crate) mod info;
pub(crate) mod junit;
pub(crate) mod lint_json;
pub(crate) mod lint_text;
pub(crate) mod markdown;
pub(crate) mod mermaid;
pub(crate) mod node;
pub(crate) mod page;
pub(crate) mod paths;
pub(crate) mod picture_svg;
mod picture_words;
pub(crate) mod places;
pub(crate) mod problems;
pub(crate) mod reach;
pub(crate) mod records;
pub(crate) mod report;
pub(crate) mod sarif;
pub(crate) mod show;
pub(crate) mod show_json;
pub(crate) mod source;
pub(crate) mod summary;
pub(crate) mod things;
pub(crate) mod trace_json;
pub(crate) mod trace_svg;
pub(crate) mod trace_text;
pub(crate) mod tree;
pub(crate) mod verify;

use std::fmt;

use tapline_analysis::lint::Severity;

use crate::terminal::style;

/// `archive!member`, or the archive alone where the input is one file.
pub(crate) fn place<'a>(archive: &'a str, member: &'a str) -> impl fmt::Display + use<'a> {
    struct Place<'a>(&'a str, &'a str);
    impl fmt::Display for Place<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)?;
            if !self.1.is_empty() {
                write!(f, "!{}", self.1)?;
            }
            Ok(())
        }
    }
    Place(archive, member)
}

/// `1 device`, `2 devices`, `3 switches`, `2 entries`.
pub(crate) fn count(n: usize, what: &str) -> String {
    if n == 1 {
        return format!("1 {what}");
    }
    match what.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{n} {stem}ies"),
        _ if what.ends_with("ss") || what.ends_with("sh") || what.ends_with("ch") => {
            format!("{n} {what}es")
        }
        // `nic-settings`, `nic-stats`, `ovs` have no plural of their own.
        _ if what.ends_with('s') => format!("{n} {what}"),
        _ => format!("{n} {what}s"),
    }
}

/// The colour of a severity.
pub(crate) fn severity_style(severity: Severity) -> anstyle::Style {
    match severity {
        Severity::Error => style::ERROR,
        Severity::Warning => style::WARNING,
        Severity::Info => style::INFO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_read_as_english() {
        assert_eq!(count(1, "device"), "1 device");
        assert_eq!(count(0, "device"), "0 devices");
        assert_eq!(count(2, "entry"), "2 entries");
        assert_eq!(count(2, "address"), "2 addresses");
        assert_eq!(count(2, "key"), "2 keys");
    }
}
