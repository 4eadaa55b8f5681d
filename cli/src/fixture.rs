//! A small capture made by hand, for the tests of the renderers.
use std::sync::OnceLock;

use tapline_core::capture::{Captured, Command, Completeness, Host, HostId, Snapshot, Source};
use tapline_core::ids::Netns;
use tapline_core::span::{Evidence, SourceId, Span};
use tapline_formats::registry;

/// One host `node2` with one text per (member, command, text).
pub(crate) fn snapshot(texts: &[(&str, &str, &str)]) -> Snapshot {
    let sources = texts.iter().zip(0..).map(|(&(member, command, text), n)| {
        let command = Command::new(command);
        let format = registry::by_command(&command);
        Source {
            id: SourceId(n),
            host: HostId(0),
            netns: Netns::Root,
            archive: "node2.tar.xz".into(),
            member: member.into(),
            first_line: 1,
            format: format.map(|format| format.id),
            request: format.and_then(|format| (format.claims)(&command)).unwrap_or_default(),
            command,
            text: text.to_owned(),
            completeness: Completeness::Complete,
            taken: None,
            window: None,
            places: Vec::new(),
            lines: OnceLock::new(),
        }
    });
    let host =
        Host { name: "node2".into(), inputs: vec!["node2.tar.xz".into()], ..Host::default() };
    let captured =
        Captured { hosts: vec![host], sources: sources.collect(), ..Captured::default() };
    tapline_formats::read(captured)
}

/// The place of `part` in the text of a source.
pub(crate) fn at(snapshot: &Snapshot, source: u32, part: &str) -> Evidence {
    let text = &snapshot.source(SourceId(source)).unwrap().text;
    let start = u32::try_from(text.find(part).unwrap()).unwrap();
    let end = start + u32::try_from(part.len()).unwrap();
    Evidence { source: SourceId(source), span: Span { start, end } }
}
