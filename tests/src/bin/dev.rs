//! `cargo dev`: the chores of the project.
#![expect(clippy::print_stdout, reason = "a command-line tool")]
use std::path::PathBuf;

use clap::{Parser, Subcommand};
use tapline_tests::{conformance, dist, docs, mutants, scaffold};

#[derive(Parser)]
#[command(about = "The chores of the project")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Count read and unread lines per format over a folder of captured outputs
    Coverage {
        /// Folder with one sub-folder per kind
        #[arg(default_value = "../shared/captures/by-command")]
        folder: PathBuf,
        /// Only these kinds
        #[arg(long)]
        kind: Vec<String>,
        /// Show each file whose promise is not kept
        #[arg(long)]
        files: bool,
    },
    /// Build what is handed out, and try it: static binary, tarball, deb, rpm, wheel
    Dist {
        /// Where to put it
        #[arg(default_value = "target/packages")]
        folder: PathBuf,
        /// Settings of the build: `quick` is quicker to make, and slower to run
        #[arg(long, default_value = dist::PROFILE)]
        profile: String,
    },
    /// Write the pages under docs/ from the code
    Docs,
    /// Make mistakes on purpose, one at a time in a copy of the checkout, and see whether tests notice
    Mutants {
        /// Only those whose name has this in it
        #[arg(default_value = "")]
        name: String,
    },
    /// Write a new format beside its siblings
    NewFormat {
        /// Id in kebab-case, such as ip-route-get
        id: String,
    },
    /// Write a new rule and its page
    NewRule {
        /// Family and id, such as ovs/ovs-iface-error
        family_id: String,
        /// Code, such as OVS-001
        code: String,
    },
    /// Add a captured text to the corpus
    NewCase {
        /// Format that reads it
        format: String,
        /// The text
        file: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    match Args::parse().chore {
        Chore::Coverage { folder, kind, files } => coverage(&folder, &kind, files),
        Chore::Dist { folder, profile } => {
            said(dist::build(&scaffold::root().join(folder), &profile)?)
        }
        Chore::Docs => said(docs::write()?),
        Chore::Mutants { name } => said(mutants::run(&name)?),
        Chore::NewFormat { id } => said(scaffold::new_format(&scaffold::root(), &id)?),
        Chore::NewRule { family_id, code } => {
            said(scaffold::new_rule(&scaffold::root(), &family_id, &code)?)
        }
        Chore::NewCase { format, file } => said(scaffold::new_case(&format, &file)?),
    }
}

fn said(what: String) -> anyhow::Result<()> {
    println!("{what}");
    Ok(())
}

fn coverage(folder: &std::path::Path, kinds: &[String], files: bool) -> anyhow::Result<()> {
    if !folder.is_dir() {
        println!("no captures at {}: nothing to count", folder.display());
        return Ok(());
    }
    let cases = conformance::cases(folder)?;
    println!(
        "{:24} {:>6} {:>8} {:>8} {:>8} {:>8} {:>7} {:>9}",
        "kind", "files", "records", "lines", "read", "ignored", "unread", "complaints"
    );
    for &(kind, _) in conformance::KINDS {
        if !kinds.is_empty() && !kinds.iter().any(|it| it == kind) {
            continue;
        }
        let of_kind = || cases.iter().filter(|case| case.kind == kind);
        let sum = conformance::tally(of_kind());
        println!(
            "{kind:24} {:>6} {:>8} {:>8} {:>8} {:>8} {:>7} {:>9}",
            sum.files,
            sum.records,
            sum.lines.total,
            sum.lines.read,
            sum.lines.ignored,
            sum.lines.unread,
            sum.complaints
        );
        if files {
            for case in of_kind() {
                if let Some(why) = case.complaint() {
                    println!("    {}: {why}", case.path.display());
                }
            }
        }
    }
    Ok(())
}
