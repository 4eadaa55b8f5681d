//! Files of SUSE's supportconfig: sections, each with the command or file it shows.
//!
//! Source of the format: supportutils, `bin/supportconfig`, `log_cmd` and `conf_files`; 2014 to
//! 2026.
//!
//! ```text
//! #==[ Command ]======================================#
//! # /usr/sbin/ip addr
//! 1: lo: …
//! ```
use crate::command::{self, Invocation};

/// One section.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Section {
    /// What it shows.
    pub(crate) run: Invocation,
    /// One-based line of its first line of text.
    pub(crate) first_line: u32,
    /// The text.
    pub(crate) text: String,
    /// Why it may not be all.
    pub(crate) partial: Option<String>,
}

/// Whether a text has such sections.
pub(crate) fn is(text: &str) -> bool {
    const FIRST: usize = 40;
    let ends = memchr::memchr_iter(b'\n', text.as_bytes()).map(|end| end + 1);
    std::iter::once(0).chain(ends).take(FIRST).any(|at| {
        let rest = text.get(at..).unwrap_or_default();
        rest.starts_with(SECTION) && rest.lines().next().is_some_and(|line| heading(line).is_some())
    })
}

/// What the heading of a section begins with.
const SECTION: &str = "#==[ ";

/// Takes a file apart.
pub(crate) fn read(text: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut kind = None;
    let mut open = false;
    for (at, line) in text.lines().enumerate() {
        if let Some(next) = heading(line) {
            kind = Some(next);
            open = false;
            continue;
        }
        if let Some(kind) = kind.take() {
            let label = line.strip_prefix("# ").unwrap_or_default().trim();
            let run = match kind {
                "Command" => command::parse_one(label),
                "Configuration File" => label
                    .starts_with('/')
                    .then(|| Invocation::file(label.split(' ').next().unwrap_or(label))),
                _ => None,
            };
            if let Some(run) = run.filter(|_| !label.ends_with("File not found")) {
                let first_line = u32::try_from(at + 2).unwrap_or(u32::MAX);
                sections.push(Section { run, first_line, text: String::new(), partial: None });
                open = true;
            }
            continue;
        }
        let Some(section) = sections.last_mut().filter(|_| open) else { continue };
        if line.starts_with("# ERROR: Command did not complete") {
            section.partial = Some("the command timed out".to_owned());
        }
        section.text.push_str(line);
        section.text.push('\n');
    }
    for section in &mut sections {
        let kept = section.text.trim_end().len();
        section.text.truncate(kept);
        if kept > 0 {
            section.text.push('\n');
        }
    }
    sections
}

/// `#==[ Command ]====#`.
fn heading(line: &str) -> Option<&str> {
    let (kind, rest) = line.strip_prefix(SECTION)?.split_once(" ]")?;
    rest.trim_end().trim_matches('=').trim_end_matches('#').is_empty().then_some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_have_commands_and_lines() {
        let text = "junk\n#==[ Command ]=====#\n# /usr/sbin/ip netns exec blue ip addr\none\n\n\
                    #==[ Log File ]====#\n# /var/log/x - Last 5 Lines\nx\n\
                    #==[ Configuration File ]===#\n# /etc/hosts\n127.0.0.1 x\n\
                    #==[ Command ]===#\n# /sbin/ip route\n# ERROR: Command did not complete within the timeout period.\n";
        assert!(is(text));
        let shown: Vec<_> = read(text)
            .iter()
            .map(|read| {
                let partial = read.partial.is_some();
                (read.run.netns.to_string(), read.run.command.to_string(), read.first_line, partial)
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("blue".to_owned(), "ip addr".to_owned(), 4, false),
                ("root".to_owned(), "cat /etc/hosts".to_owned(), 11, false),
                ("root".to_owned(), "ip route".to_owned(), 14, true),
            ]
        );
    }
}
