//! Texts that do not show everything, as the JSON and YAML forms of records and findings list them.
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use tapline_core::capture::{Completeness, Snapshot};
use tapline_core::ids::Netns;

use crate::schema as shape;

/// A text that is partial or failed: nothing follows from what it does not list.
#[derive(JsonSchema, Serialize)]
pub(crate) struct IncompleteText<'a> {
    host: &'a str,
    #[schemars(with = "String")]
    netns: &'a Netns,
    archive: &'a str,
    member: &'a str,
    line: u32,
    command: String,
    #[serde(flatten)]
    #[schemars(with = "shape::Completeness")]
    completeness: Completeness,
}

/// All such texts, in the order of the capture.
pub(crate) fn all(snapshot: &Snapshot) -> impl Iterator<Item = IncompleteText<'_>> {
    snapshot.captured.sources.iter().filter_map(|source| {
        let completeness = snapshot.completeness(source.id);
        (!completeness.is_complete()).then(|| IncompleteText {
            host: snapshot.host_label(source.host),
            netns: &source.netns,
            archive: &source.archive,
            member: &source.member,
            line: source.first_line,
            command: source.command.to_string(),
            completeness,
        })
    })
}

/// All such texts, written one by one.
pub(crate) struct IncompleteTexts<'a>(pub(crate) &'a Snapshot);

impl Serialize for IncompleteTexts<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(all(self.0))
    }
}
