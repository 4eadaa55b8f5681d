//! How a run was configured, and which settings were of no use: what a report says of itself.
use schemars::JsonSchema;
use serde::Serialize;
use tapline_analysis::lint::Report;
use tapline_analysis::lint::settings::{Profile, Scope, Suppression};

use crate::catalogue::Chosen;
use crate::config::Config;

/// What a report says of its run.
#[derive(Debug, Default, JsonSchema, Serialize)]
pub(crate) struct About {
    /// The file of the configuration.
    pub(crate) path: Option<String>,
    /// The sort of machines that it names.
    profile: Option<&'static str>,
    /// A file that was not read, for `tapline.yaml` is the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    misnamed: Option<String>,
    /// Core rules that did not run.
    core_off: Vec<&'static str>,
    /// Suppressions that fit nothing.
    unused_suppressions: Vec<String>,
    /// Suppressions that ended.
    ended_suppressions: Vec<String>,
    /// Settings that no rule asked for.
    idle_settings: Vec<String>,
}

impl About {
    /// Of one run.
    pub(crate) fn of(config: &Config, chosen: &Chosen, report: &Report) -> Self {
        let settings = &config.settings;
        let unused = report.unused.iter().filter_map(|at| settings.suppressions.get(*at));
        let ended = settings.suppressions.iter().filter(|suppression| suppression.expired);
        Self {
            path: config.path.clone(),
            profile: settings.profile.map(Profile::as_str),
            misnamed: config.misnamed.clone(),
            core_off: chosen.core_off.clone(),
            unused_suppressions: unused.map(|unused| named(&unused.scope)).collect(),
            ended_suppressions: ended.map(with_end).collect(),
            idle_settings: config
                .idle(&chosen.rules)
                .into_iter()
                .map(|(key, codes)| format!("{key} (for {codes})"))
                .collect(),
        }
    }

    /// What a person should know of it, a line each.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let profile = self.profile.map(|it| format!(" (profile {it})")).unwrap_or_default();
        let line = |what: &str, all: &[String]| {
            (!all.is_empty()).then(|| format!("{what}: {}", all.join(", ")))
        };
        let core: Vec<String> = self.core_off.iter().map(|off| (*off).to_owned()).collect();
        let misnamed =
            self.misnamed.as_ref().map(|it| format!("{it} is not read: the name is tapline.yaml"));
        [
            misnamed,
            line("core rules off", &core).map(|line| line + &profile),
            line("suppressions that fit nothing", &self.unused_suppressions),
            line("suppressions that ended", &self.ended_suppressions),
            line("settings that no rule of this run asks for", &self.idle_settings),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// `OVS-002 host=net* object=tap*`
fn named(scope: &Scope) -> String {
    let mut text = scope.code.to_string();
    let globs = [("host", &scope.host), ("ns", &scope.netns), ("object", &scope.object)];
    for (key, glob) in globs {
        if let Some(glob) = glob {
            text.push_str(&format!(" {key}={}", glob.pattern()));
        }
    }
    text
}

/// `OVS-002 (2026-01-31)`
fn with_end(it: &Suppression) -> String {
    let end = it.suppressed.until.as_deref().unwrap_or_default();
    format!("{} ({end})", named(&it.scope))
}
