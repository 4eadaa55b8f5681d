//! Snapshots: what hosts are like, written down as YAML, to compare captures with.
//!
//! A snapshot holds the things of each host by the keys, values and words of `diff`
//! (`tapline_analysis::diff::keep`). Read back, it is a side of a comparison whose lines are those of the
//! file.
mod lines;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::OnceLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tapline_analysis::diff::{self, Kept, Side};
use tapline_capture::file;
use tapline_core::capture::{
    Captured, Command, Completeness, Host, HostId, HostKey, InputCount, Snapshot, Source,
};
use tapline_core::ids::Netns;
use tapline_core::outcome::Outcome;
use tapline_core::request::Request;
use tapline_core::span::{Evidence, SourceId};

use crate::error::{CliError, Result};

/// The first line says so.
const SCHEMA: &str = "tapline.snapshot/2";
/// What is said of the versions before.
const BEFORE: &str = "tapline.snapshot/1";
/// Bytes of a snapshot.
const LONGEST: u64 = 256 << 20;
/// Bytes at the beginning of a file within which its schema stands.
const HEAD: u64 = 4096;

#[derive(JsonSchema, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Document {
    #[schemars(extend("const" = "tapline.snapshot/2"))]
    schema: String,
    /// By the names that are shown.
    hosts: BTreeMap<String, HostRow>,
}

#[derive(Default, JsonSchema, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HostRow {
    /// The name that its own texts give it.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine_id: Option<String>,
    /// Of Open vSwitch.
    #[serde(skip_serializing_if = "Option::is_none")]
    system_id: Option<String>,
    /// UUID of the hardware.
    #[serde(skip_serializing_if = "Option::is_none")]
    hardware: Option<String>,
    /// Its addresses and names were replaced by `sos clean`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    cleaned: bool,
    /// MACs of its NICs.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    nics: BTreeSet<String>,
    /// These are all of its NICs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    all_nics: bool,
    /// UUIDs of VMs, by their names.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    vms: BTreeMap<String, String>,
    /// By what devices are found again under another name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    devices: BTreeMap<String, String>,
    /// By what ports of Open vSwitch are found again under another name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    ports: BTreeMap<String, String>,
    /// The local VLAN of each network of neutron.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    networks: BTreeMap<String, u16>,
    /// Kinds and places of which everything was captured: what is not listed is not there.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    whole: BTreeSet<String>,
    /// The things by their keys, as `diff --format json` has them, with their values.
    things: BTreeMap<String, BTreeMap<String, String>>,
}

/// A snapshot that was read: an input without texts of commands, and what it says of each of its hosts.
pub(crate) struct Golden {
    pub(crate) snapshot: Snapshot,
    pub(crate) kept: Vec<Kept>,
}

/// Whether a file says that it is a snapshot, of whatever version.
pub(crate) fn is_one(path: &Path) -> bool {
    if !path.is_file() {
        return false;
    }
    let Ok(head) = file::read_head(path, HEAD) else { return false };
    let text = String::from_utf8_lossy(&head);
    let mut lines = text.lines().map(str::trim_end);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| line.starts_with("schema: tapline.snapshot/"))
}

/// Writes all hosts of a side.
pub(crate) fn write(side: &Side<'_, '_>) -> Result<String> {
    let snapshot = side.snapshot();
    let mut hosts = BTreeMap::new();
    for (host, id) in snapshot.captured.hosts.iter().zip((0..).map(HostId)) {
        let kept = diff::keep(side, id);
        let system_id = side.system_id(id).map(|id| id.to_string());
        let row = HostRow {
            name: host.is_named.then(|| host.name.clone()),
            machine_id: host.machine_id.clone(),
            system_id: host.system_id.clone().or(system_id),
            hardware: host.dmi_uuid.clone(),
            cleaned: host.cleaned,
            nics: kept.nics.iter().map(ToString::to_string).collect(),
            all_nics: kept.all_nics,
            vms: kept.vms,
            devices: kept.devices,
            ports: kept.ports,
            networks: kept.networks,
            whole: kept.whole,
            things: kept.things,
        };
        hosts.insert(host.label().to_owned(), row);
    }
    let document = Document { schema: SCHEMA.to_owned(), hosts };
    serde_yaml::to_string(&document)
        .map_err(|error| CliError::new(format!("cannot write the snapshot: {error}")))
}

/// Reads a snapshot.
pub(crate) fn read(path: &Path) -> Result<Golden> {
    let text = file::read_text(path, LONGEST)?.replace("\r\n", "\n");
    let name = path.display().to_string();
    let anew = || format!("`tapline snapshot INPUT > {name}` makes one");
    if text.lines().any(|line| line == format!("schema: {BEFORE}")) {
        let message =
            format!("{name} was written by an earlier version, which kept less of a host");
        return Err(CliError::new(message).hint(anew()));
    }
    let refused =
        |why: String| CliError::new(format!("{name} is not a snapshot: {why}")).hint(anew());
    let document: Document =
        serde_yaml::from_str(&text).map_err(|error| refused(error.to_string()))?;
    if document.schema != SCHEMA {
        return Err(refused(format!("its schema is `{}`, expected `{SCHEMA}`", document.schema)));
    }
    let mut places = lines::places(&text);
    let mut captured = Captured::default();
    let mut kept = Vec::new();
    for (label, row) in document.hosts {
        let own = places.remove(&label).unwrap_or_default();
        let at = |span| Evidence { source: SourceId(0), span };
        let nics = row.nics.iter().filter_map(|mac| mac.parse().ok()).collect();
        let host = host(&name, &label, &row);
        captured.hosts.push(host);
        kept.push(Kept {
            nics,
            all_nics: row.all_nics,
            vms: row.vms,
            devices: row.devices,
            ports: row.ports,
            networks: row.networks,
            whole: row.whole,
            things: row.things,
            places: own.into_iter().map(|(key, span)| (key, at(span))).collect(),
        });
    }
    captured.inputs.push(InputCount { archive: name.clone(), ..InputCount::default() });
    captured.sources.push(Source {
        id: SourceId(0),
        host: HostId(0),
        netns: Netns::Root,
        archive: name.as_str().into(),
        member: "".into(),
        first_line: 1,
        command: Command::new("cat snapshot"),
        format: None,
        request: Request::default(),
        text,
        places: Vec::new(),
        completeness: Completeness::Complete,
        taken: None,
        window: None,
        lines: OnceLock::new(),
    });
    let snapshot = Snapshot { captured, readings: vec![Outcome::default()] };
    Ok(Golden { snapshot, kept })
}

fn host(input: &str, label: &str, row: &HostRow) -> Host {
    let name = row.name.clone().unwrap_or_else(|| label.to_owned());
    let ids = [&row.machine_id, &row.system_id, &row.hardware].map(Option::as_deref);
    let key = HostKey::best(ids, row.name.as_deref().filter(|_| !row.cleaned));
    let named = || HostKey::Named { name: name.as_str().into(), input: input.into() };
    Host {
        label: label.to_owned(),
        domain: None,
        key: key.unwrap_or_else(named),
        older: None,
        is_named: row.name.is_some(),
        taken: None,
        may_be: Vec::new(),
        inputs: vec![input.to_owned()],
        sos_version: None,
        machine_id: row.machine_id.clone(),
        system_id: row.system_id.clone(),
        dmi_uuid: row.hardware.clone(),
        cleaned: row.cleaned,
        name,
    }
}
