//! The lists in a report of what was run: `manifest.json` (4.0 and later), `sos.json` (3.8 and
//! later).
//!
//! A manifest of a large host has 10 MB or more; all but what is needed is skipped while reading.
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

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
}

impl Index {
    /// Reads the lists of the report at `root`. A damaged list is no list.
    pub(super) fn read(tree: &Tree, root: &str) -> Self {
        let mut index = Self::default();
        let file = |name: &str| {
            tree.resolve(&format!("{root}sos_reports/{name}")).map(|it| tree.take(&it))
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
        for entry in plugins.into_iter().flat_map(|it| it.1.commands) {
            let path = entry.href.strip_prefix("../").unwrap_or(&entry.href).to_owned();
            self.commands.insert(path, Listed { exec: entry.name, ..Listed::default() });
        }
    }

    fn add_manifest(&mut self, bytes: &[u8]) {
        let Ok(manifest) = serde_json::from_slice::<Manifest>(bytes) else { return };
        self.version = manifest.version;
        let words = manifest.cmdline.unwrap_or_default();
        self.cleaned = words.split_whitespace().any(|it| matches!(it, "--clean" | "--mask"));
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
                    start: entry.start_time.and_then(|it| it.as_f64()),
                };
                self.commands.insert(path, listed);
            }
        }
    }
}

#[derive(Deserialize)]
struct Manifest {
    version: Option<String>,
    cmdline: Option<String>,
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
