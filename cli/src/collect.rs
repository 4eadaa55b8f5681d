//! The script of `tapline collect`: made of what the formats declare.
//!
//! The script names its files as sos does, so that nothing needs to know where they come from.

use tapline_formats::format::{Gather, Per};
use tapline_formats::registry::FORMATS;

/// All that is gathered, as the formats declare it. Each of these only reads.
fn table() -> impl Iterator<Item = Gather> {
    FORMATS.iter().flat_map(|format| format.collect.iter().copied())
}

/// The script.
pub(crate) fn script() -> String {
    let parts = [
        ("@HOST@", Per::Host),
        ("@NAMESPACE@", Per::Namespace),
        ("@BRIDGE@", Per::Bridge),
        ("@CENTRAL@", Per::Central),
        ("@DOMAIN@", Per::Domain),
        ("@NETWORK@", Per::Network),
        ("@DEVICE@", Per::Device),
        ("@NIC@", Per::Nic),
        ("@FILE@", Per::File),
    ];
    let mut out = String::new();
    for line in include_str!("collect/script.sh").lines() {
        match parts.iter().find(|(mark, _)| line == *mark) {
            Some(&(_, per)) => {
                for gather in table().filter(|gather| gather.per == per) {
                    out.push_str(&call(gather));
                    out.push('\n');
                }
            }
            None => {
                out.push_str(&line.replace("@VERSION@", env!("CARGO_PKG_VERSION")));
                out.push('\n');
            }
        }
    }
    out
}

/// The line of the script that runs one command.
fn call(gather: Gather) -> String {
    let (tool, _) = gather.argv.split_once(' ').unwrap_or((gather.argv, ""));
    let with = |name: &str| gather.argv.replace("{}", name);
    match gather.per {
        Per::Host => format!("save {tool} {}", gather.argv),
        Per::Central => format!("    save {tool} {}", gather.argv),
        Per::Namespace => format!("        save {tool} ip netns exec \"$netns\" {}", gather.argv),
        Per::Bridge => format!("        save {tool} {}", with("\"$bridge\"")),
        Per::Domain => format!("        save {tool} {}", with("\"$domain\"")),
        Per::Network => format!("        save {tool} {}", with("\"$network\"")),
        Per::Device | Per::Nic => format!("    save {tool} {}", with("\"$device\"")),
        Per::File if !gather.argv.contains('*') => format!("copy {}", gather.argv),
        Per::File => format!("for path in {}; do copy \"$path\"; done", gather.argv),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_only_reads() {
        const VERBS: &[&str] = &[
            "add", "del", "delete", "set", "flush", "replace", "change", "clear", "destroy", "-w",
        ];
        for gather in table() {
            let words: Vec<_> = gather.argv.split(' ').collect();
            assert!(!words.iter().any(|word| VERBS.contains(word)), "{}", gather.argv);
        }
    }

    #[test]
    fn all_of_the_table_is_in_the_script() {
        let script = script();
        let mark = |text: &str| text.len() > 1 && text.bytes().all(|b| b.is_ascii_uppercase());
        assert!(!script.split('@').any(mark), "a mark is left");
        for gather in table() {
            assert!(script.contains(&call(gather)), "{}", gather.argv);
        }
    }
}
