//! `tapline.yaml`: the keys as people write them, where the file is, what is wrong with it.
mod read;
mod schema;

pub(crate) use read::explained;

use std::path::{Path, PathBuf};

use tapline_analysis::lint::Settings;
use tapline_capture::file;

use crate::args::{self, Inputs};
use crate::error::{CliError, Result};

/// Name of the file.
const NAME: &str = "tapline.yaml";
/// Bytes of a configuration.
const LONGEST: u64 = 1 << 20;

/// What a configuration says.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// The file, as a person would name it; `None` where there is none.
    pub(crate) path: Option<String>,
    /// Rules to run, where some are named.
    pub(crate) select: Vec<String>,
    /// Rules to leave out.
    pub(crate) ignore: Vec<String>,
    /// Everything else.
    pub(crate) settings: Settings,
}

/// Reads the configuration that is meant for these inputs.
pub(crate) fn load(args: &args::Config, inputs: &Inputs) -> Result<Config> {
    let path = match &args.config {
        Some(path) => Some(path.clone()),
        None if args.no_config => None,
        None => find(inputs)?,
    };
    let Some(path) = path else { return Ok(Config::default()) };
    let name = shown(&path);
    let text = file::read_text(&path, LONGEST)?;
    let mut config = read::read(&name, &text)?;
    config.path = Some(name);
    Ok(config)
}

/// The nearest file beside or above each input, else in or above the current directory. Inputs of
/// one run are judged by one file: two are a question that only a person can answer.
fn find(inputs: &Inputs) -> Result<Option<PathBuf>> {
    let paths = inputs.paths.iter().filter(|it| it.as_os_str() != "-");
    let mut found: Vec<PathBuf> = paths.filter_map(|it| file::find_beside(it, NAME)).collect();
    found.sort();
    found.dedup();
    match found.as_slice() {
        [] => Ok(file::find_here(NAME)),
        [one] => Ok(Some(one.clone())),
        [first, second, ..] => Err(CliError::new(format!(
            "the inputs have different configurations: {} and {}",
            shown(first),
            shown(second)
        ))
        .hint("choose one with --config, or none with --no-config")),
    }
}

/// The path, relative to the current directory where it is below it.
pub(crate) fn shown(path: &Path) -> String {
    let here = Path::new(".").canonicalize().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
