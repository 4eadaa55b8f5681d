//! JSON Schemas of what tapline reads and writes, made from the types that are read and written.
//!
//! The types of the lower crates know nothing of schemas. Where one of them stands in a document,
//! its shape is written down here and named at the field with `#[schemars(with = "…")]`; a test
//! holds real output against it.
use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::args::SchemaKind;
use crate::{baseline, commands, config, render};

/// Every schema by its name, which is that of its file under `docs/schemas/`.
pub(crate) fn all() -> Vec<(&'static str, String)> {
    SchemaKind::ALL.iter().map(|&kind| (kind.as_str(), text(kind))).collect()
}

/// The schema of one document, as it is printed.
pub(crate) fn text(kind: SchemaKind) -> String {
    let mut schema = match kind {
        SchemaKind::Config => read::<config::Document>(),
        SchemaKind::Baseline => written::<baseline::Document<'static>>(),
        SchemaKind::Coverage => written::<render::coverage_json::Document<'static>>(),
        SchemaKind::Diff => written::<render::diff_json::Document<'static>>(),
        SchemaKind::Graph => written::<render::graph_json::Document<'static>>(),
        SchemaKind::Info => written::<render::info::Document<'static>>(),
        SchemaKind::Lint => written::<render::lint_json::Document<'static>>(),
        SchemaKind::Records => written::<render::records::Document<'static>>(),
        SchemaKind::Rules => written::<commands::rules::Document<'static>>(),
        SchemaKind::Show => written::<render::show_json::Document<'static>>(),
        SchemaKind::Snapshot => written::<crate::golden::Document>(),
        SchemaKind::Reach => written::<render::reach::Document<'static>>(),
        SchemaKind::Verify => written::<render::verify::Document<'static>>(),
        SchemaKind::Trace => written::<render::trace_json::Document<'static>>(),
    };
    let title = match kind {
        SchemaKind::Config => "tapline.yaml".to_owned(),
        other => format!("tapline.{}/1", other.as_str()),
    };
    schema.insert("title".to_owned(), title.into());
    format!("{:#}\n", schema.as_value())
}

/// The schema of what tapline writes.
fn written<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>()
}

/// The schema of what people write.
fn read<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().for_deserialize().into_generator().into_root_schema_for::<T>()
}

/// Types that stand for a few words.
macro_rules! words {
    ($($(#[doc = $doc:literal])* $name:ident: $($word:literal),+;)+) => {
        $(
            $(#[doc = $doc])*
            pub(crate) struct $name;

            impl JsonSchema for $name {
                fn inline_schema() -> bool {
                    true
                }

                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({ "type": "string", "enum": [$($word),+] })
                }
            }
        )+
    };
}

words! {
    /// `lint::Severity`
    Severity: "error", "warning", "info";
    /// `lint::Confidence`
    Confidence: "proven", "strong", "suspect";
    /// `lint::Role`
    Role: "primary", "context", "absence";
    /// `graph::Confidence`
    EdgeConfidence: "proven", "inferred", "conventional";
    /// `graph::WitnessClass`
    WitnessClass: "kernel", "daemon", "config", "join", "name";
    /// `diff::Op`
    DiffOp: "added", "removed", "changed", "moved";
    /// `diff::Class`
    DiffClass: "noise", "renumbered", "dynamic", "cosmetic", "config", "breaking";
    /// `diff::Kind`
    DiffKind: "host", "vm", "vm-nic", "netns", "netdev", "ovs-bridge", "ovs-port", "bridge-vlan",
        "address", "route", "rule", "neighbour", "fdb", "ha-router", "chain", "filter-rule", "flow",
        "ovn-row", "setting";
    /// `diff::Sort`
    DiffSort: "captured", "boot", "flows-renewed", "flows-set", "neighbour", "seen", "vm-started",
        "port-served", "controller-started", "carrier", "ha-state";
    /// `diff::Because`
    DiffBecause: "line", "place", "way";
    /// `diff::Fate`
    DiffFate: "new", "maybe-new", "gone", "maybe-gone", "kept";
    /// How far a path leads.
    Reach: "nothing", "switch", "router", "tunnels", "wire";
    /// What is known of a hop.
    HopState: "whole", "broken", "unknown";
    /// What is known of a topic.
    CoverageState: "complete", "partial", "failed", "not-captured";
}

/// `lint::Subject`
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its shape is of interest")]
pub(crate) struct Object {
    /// Kind of node: `ovs-interface`, `netdev`, `vm-nic`, …
    kind: String,
    /// Name as a person would say it.
    name: String,
}

/// `lint::settings::Suppressed`
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its shape is of interest")]
pub(crate) struct Suppressed {
    /// Why it is accepted.
    reason: String,
    /// The last day, as `2026-12-31`.
    until: Option<String>,
}

/// `lint::Blast`
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its shape is of interest")]
pub(crate) struct Blast {
    /// VMs that run.
    vms: u32,
    /// Namespaces other than root.
    namespaces: u32,
}

/// `outcome::LineCount`: `read + ignored + unread == total`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its shape is of interest")]
pub(crate) struct LineCount {
    /// Lines that are not blank.
    total: u32,
    /// Lines that became part of a record.
    read: u32,
    /// Lines that the format names as carrying nothing.
    ignored: u32,
    /// Lines with a problem.
    unread: u32,
}

/// `capture::Completeness`
#[derive(JsonSchema)]
#[schemars(tag = "state", content = "reason", rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its shape is of interest")]
pub(crate) enum Completeness {
    /// What is not listed is not there.
    Complete,
    /// Nothing follows from what is not listed.
    Partial(String),
    /// No data: the words of the tool.
    Failed(String),
}

/// Keys and values of any kind.
pub(crate) type Anything = serde_json::Map<String, serde_json::Value>;
