//! `tapline.yaml`: the keys as people write them, where the file is, what is wrong with it.
mod read;
mod schema;

pub(crate) use read::explained;
pub(crate) use schema::Document;

use std::path::{Path, PathBuf};

use tapline_analysis::lint::rules::asking;
use tapline_analysis::lint::{RuleRef, Setting, Settings};
use tapline_capture::file;

use crate::args::{self, FailOn, Inputs};
use crate::catalogue::Catalogue;
use crate::error::{CliError, Result};
use crate::own::{self, Own};

/// Name of the file.
const NAME: &str = "tapline.yaml";
/// Names that a person may give it, and that it does not have.
const OTHER_NAMES: &[&str] = &["tapline.yml", ".tapline.yaml", ".tapline.yml"];
/// Bytes of a configuration.
const LONGEST: u64 = 1 << 20;

/// What a configuration says.
#[derive(Debug, Default)]
pub(crate) struct Config {
    /// The file, as a person would name it; `None` where there is none.
    pub(crate) path: Option<String>,
    /// A file that is not read, for it is called otherwise.
    pub(crate) misnamed: Option<String>,
    /// Rules to run, where some are named.
    pub(crate) select: Vec<String>,
    /// Rules to leave out.
    pub(crate) ignore: Vec<String>,
    /// Families of rules to leave out.
    pub(crate) groups_off: Vec<String>,
    /// Least severity that makes the exit status 1.
    pub(crate) fail_on: Option<FailOn>,
    /// Facts and thresholds that are set, by their keys.
    pub(crate) given: Vec<&'static str>,
    /// Everything else.
    pub(crate) settings: Settings,
}

impl Config {
    /// Keys that no rule of a run asks for, each with the rules that would.
    pub(crate) fn idle(&self, rules: &[RuleRef]) -> Vec<(&'static str, String)> {
        let is_asked = |setting| rules.iter().any(|rule| rule.traits.asks.contains(&setting));
        let given = Setting::ALL.iter().filter(|setting| self.given.contains(&setting.key()));
        given
            .filter(|setting| !is_asked(**setting))
            .map(|setting| {
                let codes: Vec<_> = asking(*setting).map(|rule| &*rule.code).collect();
                (setting.key(), codes.join(", "))
            })
            .collect()
    }
}

/// A configuration with the rules that it and the command line bring.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) own: Own,
    /// The built-in rules and those.
    pub(crate) catalogue: Catalogue,
}

/// Reads the configuration that is meant for these inputs, and the rules that the user wrote.
/// Without inputs it is that of the current directory.
pub(crate) fn load(args: &args::Config, inputs: Option<&Inputs>) -> Result<Loaded> {
    let path = match (&args.file, inputs) {
        (Some(path), _) => Some(path.clone()),
        (None, _) if args.none => None,
        (None, Some(inputs)) => find(inputs)?,
        (None, None) => file::find_here(NAME),
    };
    let Some(path) = path else {
        let own = own::load(&args.own)?;
        let catalogue = Catalogue::with(own.rules.iter().cloned());
        let misnamed = if args.none { None } else { misnamed(inputs) };
        let config = Config { misnamed, ..Config::default() };
        return Ok(Loaded { config, own, catalogue });
    };
    let name = shown(&path);
    let text = file::read_text(&path, LONGEST)?;
    // The rules that it brings may be named in the rest of it.
    let beside = path.parent().unwrap_or(Path::new(""));
    let mut paths: Vec<PathBuf> =
        read::rule_paths(&text).into_iter().map(|path| beside.join(path)).collect();
    paths.extend(args.own.iter().cloned());
    let own = own::load(&paths)?;
    let catalogue = Catalogue::with(own.rules.iter().cloned());
    let mut config = read::read(&name, &text, &catalogue)?;
    config.path = Some(name);
    Ok(Loaded { config, own, catalogue })
}

/// A file under another name, where that of the configuration would be looked for.
fn misnamed(inputs: Option<&Inputs>) -> Option<String> {
    let paths = inputs.map_or(&[][..], |inputs| &inputs.paths);
    let beside = |name: &&str| paths.iter().find_map(|path| file::find_beside(path, name));
    let found = OTHER_NAMES.iter().find_map(|name| beside(name).or_else(|| file::find_here(name)));
    found.map(|path| shown(&path))
}

/// The nearest file beside or above each input, else in or above the current directory. Inputs of
/// one run are judged by one file: two are a question that only a person can answer.
fn find(inputs: &Inputs) -> Result<Option<PathBuf>> {
    let paths = inputs.paths.iter().filter(|path| path.as_os_str() != "-");
    let mut found: Vec<PathBuf> = paths.filter_map(|path| file::find_beside(path, NAME)).collect();
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
