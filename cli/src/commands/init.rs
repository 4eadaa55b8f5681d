//! `tapline init`.
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::PathBuf;

use crate::args::{self, Init};
use crate::error::{CliError, Result, Status};
use crate::terminal::{self, Terminal};

pub(crate) fn run(args: &Init, terminal: &Terminal) -> Result<Status> {
    let path = args.folder.as_ref().map_or(PathBuf::from(NAME), |folder| folder.join(NAME));
    // What is there is never written over.
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file = file.map_err(|error| refused(&path.display().to_string(), &error))?;
    file.write_all(template().as_bytes())?;
    file.flush()?;
    if !terminal.quiet {
        terminal::remark(&format!("wrote {}", path.display()));
    }
    Ok(Status::Clean)
}

/// The name under which the configuration is looked for.
const NAME: &str = "tapline.yaml";

fn refused(path: &str, error: &io::Error) -> CliError {
    match error.kind() {
        io::ErrorKind::AlreadyExists => CliError::new(format!("{path} is there already"))
            .hint("tapline lint --help shows all keys"),
        io::ErrorKind::NotFound => CliError::new(format!("cannot write {path}: no such folder")),
        _ => CliError::new(format!("cannot write {path}: {error}")),
    }
}

/// The example of the help, with every key commented out.
fn template() -> String {
    let mut text = String::from(
        "# Settings of tapline. All keys are optional: take the # away from those that you need.\n\
         # `tapline schema config` prints a JSON Schema for editors, `tapline rules` lists the rules.\n\
         #\n",
    );
    for line in args::example_of_configuration().lines() {
        let line = line.strip_prefix("  ").unwrap_or(line);
        text.push_str(format!("# {line}").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_the_example_and_sets_nothing() {
        let template = template();
        assert!(template.lines().all(|line| line.starts_with('#')), "{template}");
        assert!(template.contains("\n# profile: openstack-ovs "), "{template}");
        assert!(template.contains("\n#   l2pop: true\n"), "{template}");
        assert!(!template.contains("The file is looked for"), "{template}");
    }
}
