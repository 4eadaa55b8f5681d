//! `--anonymize`: substitutes for what identifies, in captures and in what a person says of them.
use tapline_analysis::lint::Settings;
use tapline_analysis::lint::settings::{Glob, Scope};
use tapline_anonymize::Substitutes;
use tapline_core::capture::Snapshot;

use crate::render::count;
use crate::terminal::{self, Terminal};

/// The substitutes of a run, where there are any.
#[derive(Debug, Default)]
pub(crate) struct Anonymous(Option<Substitutes>);

impl Anonymous {
    /// Replaces in all of `snapshots` what identifies, where `key` asks for it; they are read anew, so
    /// nothing that is made of them knows an original.
    pub(crate) fn of(
        snapshots: Vec<Snapshot>,
        key: Option<&str>,
        terminal: &Terminal,
    ) -> (Vec<Snapshot>, Self) {
        let Some(key) = key else { return (snapshots, Self(None)) };
        let all: Vec<&Snapshot> = snapshots.iter().collect();
        let substitutes = Substitutes::new(&all, Some(key).filter(|key| !key.is_empty()));
        let replace = |snapshot: Snapshot| {
            let before: Vec<_> = shape(&snapshot);
            let snapshot = tapline_formats::read(substitutes.apply(snapshot.captured));
            let after = shape(&snapshot);
            let differ =
                before.iter().zip(&after).filter(|(before, after)| before != after).count();
            (snapshot, differ)
        };
        let (snapshots, differ): (Vec<_>, Vec<usize>) = snapshots.into_iter().map(replace).unzip();
        if !terminal.quiet {
            tell(&substitutes, differ.iter().sum());
        }
        (snapshots, Self(Some(substitutes)))
    }

    /// What a person typed, as it is called here.
    pub(crate) fn word(&self, word: &str) -> String {
        self.0.as_ref().map_or_else(|| word.to_owned(), |substitutes| substitutes.word(word))
    }

    /// What a person said of hosts and things, as they are called here.
    pub(crate) fn translate(&self, settings: &mut Settings) {
        let Some(substitutes) = &self.0 else { return };
        let word = |name: &mut String| *name = substitutes.word(name);
        let env = &mut settings.env;
        env.expected_bridges.iter_mut().for_each(word);
        env.same_host.iter_mut().flatten().for_each(word);
        let physnets = std::mem::take(&mut env.physnet_mtu).into_iter();
        env.physnet_mtu = physnets.map(|(name, mtu)| (substitutes.word(&name), mtu)).collect();
        for glob in &mut env.hosts_in_mesh {
            translate(substitutes, glob);
        }
        let scopes = settings.overrides.iter_mut().map(|with| &mut with.scope);
        for Scope { host, netns, object, .. } in
            scopes.chain(settings.suppressions.iter_mut().map(|with| &mut with.scope))
        {
            [host, netns, object]
                .into_iter()
                .flatten()
                .for_each(|glob| translate(substitutes, glob));
        }
        for suppression in &mut settings.suppressions {
            let reason = &mut suppression.suppressed.reason;
            *reason = substitutes.text(reason).into();
        }
    }
}

/// A pattern fits what it fitted under the name that it had.
fn translate(substitutes: &Substitutes, glob: &mut Glob) {
    let pattern = substitutes.text(glob.pattern()).into_owned();
    let names = substitutes.images_of(|name| glob.matches(name));
    if let Ok(translated) = Glob::new(&pattern) {
        *glob = translated.or_one_of(names);
    }
}

/// What was made of each text, in numbers: it is the same with substitutes.
fn shape(snapshot: &Snapshot) -> Vec<(&'static str, usize, usize)> {
    let all = snapshot.readings.iter();
    all.map(|reading| (reading.records.kind(), reading.records.len(), reading.problems.len()))
        .collect()
}

fn tell(substitutes: &Substitutes, differ: usize) {
    let counts = substitutes.counts();
    terminal::remark(&format!(
        "anonymized: {}, {}, {}",
        count(counts.addresses, "address"),
        count(counts.macs, "MAC"),
        count(counts.names, "name"),
    ));
    let kept: Vec<&str> = substitutes.kept().collect();
    if !kept.is_empty() {
        let names = kept.join(", ");
        terminal::remark(&format!("not replaced, since outputs have these words, too: {names}"));
    }
    if differ > 0 {
        let texts = count(differ, "text");
        terminal::remark(&format!("with substitutes, {texts} may be understood differently"));
    }
}
