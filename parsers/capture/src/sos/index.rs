//! The lists in a report of what was run: `manifest.json` (4.0 and later), `sos.json` (3.8 and
//! later).
//!
//! A manifest of a large host has 10 MB or more; all but what is needed is skipped while reading.
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;
use tapline_core::capture::Moment;

use crate::listed::Listed;
use crate::tree::Tree;

/// What the report says about its own making.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// Commands by the path of their file below the root.
    pub(super) commands: BTreeMap<String, Listed>,
    /// Names of devices.
    pub(super) devices: BTreeSet<String>,
    /// Names of namespaces.
    pub(super) netns: BTreeSet<String>,
    /// Version of sos.
    pub(super) version: Option<String>,
    /// sos was told to clean the report.
    pub(super) cleaned: bool,
    /// When the report began and ended, in seconds of the same clock as the times of its commands.
    pub(super) window: Option<(f64, f64)>,
}

impl Index {
    /// Reads the lists of the report at `root`. A damaged list is no list.
    pub(super) fn read(tree: &Tree, root: &str) -> Self {
        let mut index = Self::default();
        let file = |name: &str| {
            tree.resolve(&format!("{root}sos_reports/{name}")).map(|resolve| tree.take(&resolve))
        };
        if let Some(bytes) = file("sos.json") {
            index.add_sos_json(&bytes);
        }
        if let Some(bytes) = file("manifest.json") {
            index.add_manifest(&bytes);
        }
        index
    }

    /// `[[plugin, {"commands": [{"name", "href"}]}]]`; the exit status there is always 0.
    fn add_sos_json(&mut self, bytes: &[u8]) {
        #[derive(Deserialize)]
        struct Plugin {
            #[serde(default)]
            commands: Vec<Entry>,
        }
        #[derive(Deserialize)]
        struct Entry {
            name: String,
            href: String,
        }
        let Ok(plugins) = serde_json::from_slice::<Vec<(String, Plugin)>>(bytes) else { return };
        for entry in plugins.into_iter().flat_map(|plugin| plugin.1.commands) {
            let path = entry.href.strip_prefix("../").unwrap_or(&entry.href).to_owned();
            self.commands.insert(path, Listed { exec: entry.name, ..Listed::default() });
        }
    }

    fn add_manifest(&mut self, bytes: &[u8]) {
        let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) else { return };
        self.version = manifest.version;
        let began = manifest.start_time.as_deref().and_then(seconds);
        let ended = manifest.end_time.as_deref().and_then(seconds);
        self.window = began.zip(ended).filter(|(began, ended)| began <= ended);
        let words = manifest.cmdline.unwrap_or_default();
        self.cleaned = words.split_whitespace().any(|word| matches!(word, "--clean" | "--mask"));
        let Some(report) = manifest.components.report else { return };
        for (_, network) in report.devices.network.into_iter().flatten() {
            self.devices.extend(network.strings());
        }
        self.netns.extend(report.devices.namespaced_network.into_keys());
        for plugin in report.plugins.into_values() {
            for entry in plugin.commands {
                let (Some(path), Some(exec)) = (entry.filepath, entry.exec) else { continue };
                let listed = Listed {
                    exec,
                    status: entry.return_code,
                    truncated: entry.truncated.unwrap_or_default(),
                    start: entry.start_time.and_then(|time| time.as_f64()),
                };
                self.commands.insert(path, listed);
            }
        }
        // Commands are timed in UTC, the report in the zone of the host: the first and the last
        // command then tell more.
        let starts = || self.commands.values().filter_map(|listed| listed.start);
        let bounds = starts().reduce(f64::min).zip(starts().reduce(f64::max));
        self.window = bounds.or(self.window);
    }
}

/// `2026-11-22 13:06:57.159012`, as Python prints a time: seconds of some clock.
fn seconds(text: &str) -> Option<f64> {
    let (date, time) = text.split_once([' ', 'T'])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let mut next = || date.next().flatten();
    let day = Moment::on_day(next()?, next()?, next()?)?;
    let mut time = time.splitn(3, ':').map(|part| part.parse::<f64>().ok());
    let mut next = || time.next().flatten();
    let of_day = (next()? * 60.0 + next()?) * 60.0 + next()?;
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact for aeons")]
    let day = day.epoch as f64;
    Some(day + of_day)
}

#[derive(Deserialize)]
struct Manifest {
    version: Option<String>,
    cmdline: Option<String>,
    start_time: Option<String>,
    end_time: Option<String>,
    #[serde(default)]
    components: Components,
}

#[derive(Deserialize, Default)]
struct Components {
    report: Option<Report>,
}

#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    devices: Devices,
    #[serde(default)]
    plugins: BTreeMap<String, Plugin>,
}

#[derive(Deserialize, Default)]
struct Devices {
    network: Option<BTreeMap<String, Strings>>,
    #[serde(default)]
    namespaced_network: BTreeMap<String, Ignored>,
}

#[derive(Deserialize)]
struct Plugin {
    #[serde(default)]
    commands: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    exec: Option<String>,
    filepath: Option<String>,
    return_code: Option<i64>,
    truncated: Option<bool>,
    /// A number from 4.2 on.
    start_time: Option<serde_json::Value>,
}

/// Something that is there; what it is does not matter.
#[derive(Deserialize)]
#[serde(from = "IgnoredAny")]
struct Ignored(#[expect(dead_code, reason = "a map needs values of some size")] bool);

impl From<IgnoredAny> for Ignored {
    fn from(_: IgnoredAny) -> Self {
        Self(true)
    }
}

/// A list of names, or something else.
#[derive(Deserialize)]
#[serde(untagged)]
enum Strings {
    Names(Vec<String>),
    Other(IgnoredAny),
}

impl Strings {
    fn strings(self) -> Vec<String> {
        match self {
            Self::Names(names) => names,
            Self::Other(_) => Vec::new(),
        }
    }
}
