//! From the text of a configuration to settings; errors name file, line and column.
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use tapline_analysis::lint::settings::{
    Environment, Firewall, Override, Profile, Scope, Settings, Suppression, Thresholds,
};
use tapline_analysis::lint::{Severity, Suppressed};

use super::Config;
use super::schema::{self, Document, Level, Pattern, RuleName};
use crate::args::FailOn;
use crate::catalogue::Catalogue;
use crate::error::{CliError, Result};
use crate::suggest;

/// Reads a configuration; `name` is that of its file.
pub(super) fn read(name: &str, text: &str, catalogue: &Catalogue) -> Result<Config> {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    // A file of comments only says nothing, and nothing is not a mapping.
    let document: Option<Document> = schema::knowing(catalogue, || serde_yaml::from_str(text))
        .map_err(|error| {
            explained(name, &error, "`tapline lint --help` shows all keys", catalogue)
        })?;
    Ok(config(document.unwrap_or_default(), today))
}

/// The files of rules that a configuration names. What else is in it, and whether it is right, is
/// looked at later.
pub(super) fn rule_paths(text: &str) -> Vec<PathBuf> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Paths {
        rules: Vec<PathBuf>,
    }
    let paths: Option<Paths> = serde_yaml::from_str(text).unwrap_or_default();
    paths.unwrap_or_default().rules
}

fn config(document: Document, today: Date) -> Config {
    let words = |all: Vec<schema::Word>| all.into_iter().map(|it| it.0).collect();
    let given = given(&document);
    let settings = Settings {
        profile: document.profile.map(profile),
        env: environment(document.env),
        thresholds: thresholds(&document.thresholds),
        overrides: document
            .overrides
            .into_iter()
            .map(|other| Override {
                scope: scope(other.rule, other.host, other.ns, other.object),
                severity: match other.severity {
                    Level::Error => Severity::Error,
                    Level::Warning => Severity::Warning,
                    Level::Info => Severity::Info,
                },
            })
            .collect(),
        suppressions: document
            .suppressions
            .into_iter()
            .map(|accepted| Suppression {
                scope: scope(accepted.rule, accepted.host, accepted.ns, accepted.object),
                expired: accepted.until.is_some_and(|until| until.0 < today),
                suppressed: Suppressed {
                    reason: accepted.reason.trim().to_owned(),
                    until: accepted.until.map(|until| until.0.to_string()),
                },
            })
            .collect(),
        baseline: None,
    };
    Config {
        misnamed: None,
        path: None,
        select: words(document.select),
        ignore: words(document.ignore),
        groups_off: document.groups_off.into_iter().map(|off| off.0).collect(),
        fail_on: document.severity_gate.fail_on.map(|least| match least {
            schema::FailOn::Error => FailOn::Error,
            schema::FailOn::Warning => FailOn::Warning,
            schema::FailOn::Info => FailOn::Info,
            schema::FailOn::Never => FailOn::Never,
        }),
        given,
        settings,
    }
}

/// The facts and thresholds that are set.
fn given(it: &Document) -> Vec<&'static str> {
    let (env, most) = (&it.env, &it.thresholds);
    [
        ("env.l2pop", env.l2pop.is_some()),
        ("env.firewall", env.firewall.is_some()),
        ("env.config_drive_only", env.config_drive_only.is_some()),
        ("env.physnet_mtu", !env.physnet_mtu.is_empty()),
        ("env.expected_bridges", !env.expected_bridges.is_empty()),
        ("env.hosts_in_mesh", !env.hosts_in_mesh.is_empty()),
        ("thresholds.counter_ratio", most.counter_ratio.is_some()),
        ("thresholds.counter_min", most.counter_min.is_some()),
        ("thresholds.neigh_ratio", most.neigh_ratio.is_some()),
        ("thresholds.link_flaps", most.link_flaps.is_some()),
        ("thresholds.orphan_warn", most.orphan_warn.is_some()),
    ]
    .into_iter()
    .filter(|(_, is_set)| *is_set)
    .map(|(key, _)| key)
    .collect()
}

fn scope(
    rule: RuleName,
    host: Option<Pattern>,
    ns: Option<Pattern>,
    object: Option<Pattern>,
) -> Scope {
    let glob = |it: Option<Pattern>| it.map(|it| it.0);
    Scope { code: rule.0.code.clone(), host: glob(host), netns: glob(ns), object: glob(object) }
}

fn profile(it: schema::Profile) -> Profile {
    match it {
        schema::Profile::OpenstackOvs => Profile::OpenstackOvs,
        schema::Profile::OpenstackOvn => Profile::OpenstackOvn,
        schema::Profile::Libvirt => Profile::Libvirt,
        schema::Profile::K8s => Profile::K8s,
        schema::Profile::Lxd => Profile::Lxd,
        schema::Profile::Generic => Profile::Generic,
    }
}

fn environment(it: schema::Env) -> Environment {
    Environment {
        l2pop: it.l2pop,
        firewall: it.firewall.map(|firewall| match firewall {
            schema::Firewall::Hybrid => Firewall::Hybrid,
            schema::Firewall::Native => Firewall::Native,
            schema::Firewall::None => Firewall::None,
        }),
        config_drive_only: it.config_drive_only,
        physnet_mtu: it.physnet_mtu,
        expected_bridges: it.expected_bridges,
        hosts_in_mesh: it.hosts_in_mesh.into_iter().map(|mesh| mesh.0).collect(),
        same_host: it.same_host,
    }
}

fn thresholds(it: &schema::Thresholds) -> Thresholds {
    let default = Thresholds::default();
    Thresholds {
        counter_ratio: it.counter_ratio.map_or(default.counter_ratio, |ratio| ratio.0),
        counter_min: it.counter_min.unwrap_or(default.counter_min),
        capture_skew_s: it.capture_skew_s.map_or(default.capture_skew_s, f64::from),
        neigh_ratio: it.neigh_ratio.map_or(default.neigh_ratio, |ratio| ratio.0),
        link_flaps: it.link_flaps.unwrap_or(default.link_flaps),
        orphan_warn: it.orphan_warn.unwrap_or(default.orphan_warn),
    }
}

/// What is wrong, where, and what was probably meant.
pub(crate) fn explained(
    name: &str,
    error: &serde_yaml::Error,
    help: &str,
    catalogue: &Catalogue,
) -> CliError {
    let place = error
        .location()
        .map_or_else(|| name.to_owned(), |at| format!("{name}:{}:{}", at.line(), at.column()));
    let text = error.to_string();
    // The place stands at the front already.
    let text = text.rfind(" at line ").and_then(|at| text.get(..at)).unwrap_or(&text);
    let after = |start: &str| text.find(start).and_then(|at| text.get(at + start.len()..));
    if let Some(unknown) = after("no rule is called `") {
        return catalogue.unknown(unknown.trim_end_matches('`')).within(&place);
    }
    if let Some(unknown) = after("no family of rules is called `") {
        return catalogue.unknown_family(unknown.trim_end_matches('`')).within(&place);
    }
    for (start, what) in [("unknown field `", "key"), ("unknown variant `", "value")] {
        let Some(rest) = after(start) else { continue };
        // "x`, expected one of `a`, `b`": what stands between backticks, by turns.
        let mut words = rest.split('`').step_by(2);
        let unknown = words.next().unwrap_or_default();
        let known: Vec<&str> = rest.split('`').skip(2).step_by(2).collect();
        let error = CliError::new(format!("{place}: unknown {what} `{unknown}`"));
        return match suggest::nearest(unknown, known.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("known {what}s: {}", known.join(", "))),
        };
    }
    // Names of our types mean nothing to a writer of YAML.
    let text = match text.split_once("expected struct ") {
        Some((before, _)) => format!("{before}expected a mapping of keys"),
        None => text.to_owned(),
    };
    CliError::new(format!("{place}: {text}")).hint(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(text: &str) -> String {
        match read("t.yaml", text, &Catalogue::default()) {
            Err(CliError::Fatal { message, hints }) => format!("{message} | {}", hints.join("; ")),
            other => panic!("no error: {other:?}"),
        }
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let suppression = "suppressions:\n  - rule: OVS-002\n    reason: x\n";
        for (text, expected) in [
            ("profil: k8s\n", "t.yaml:1:1: unknown key `profil` | did you mean `profile`?"),
            (
                "env:\n  l2pop: true\n  fire: x\n",
                "t.yaml:3:3: unknown key `fire` | did you mean `firewall`?",
            ),
            (
                "env:\n  firewall: hybird\n",
                "t.yaml:2:13: unknown value `hybird` | did you mean `hybrid`?",
            ),
            (
                "select:\n  - OVS\n  - OVS-01\n",
                "t.yaml:3:5: no rule is called `OVS-01` | did you mean `OVS-001`?",
            ),
            (
                "overrides:\n  - rule: ovs-ded-vlan\n    severity: info\n",
                "t.yaml:2:11: no rule is called `ovs-ded-vlan` | did you mean `ovs-dead-vlan`?",
            ),
            (
                "overrides:\n  - rule: OVS-001\n    severity: fatal\n",
                "t.yaml:3:15: unknown value `fatal` | known values: error, warning, info",
            ),
            (suppression, "t.yaml:2:5: "),
            ("suppressions:\n  - rule: OVS-002\n    until: 2026-13-01\n", "t.yaml:3:12: "),
            ("suppressions:\n  - rule: CAP-002\n", "t.yaml:2:5: "),
            ("suppressions:\n  - rule: CAP-002\n    reason: ' '\n", "t.yaml:2:5: "),
            ("thresholds:\n  counter_ratio: 2.5\n", "t.yaml:2:18: "),
            (
                "thresholds:\n  counter_rato: 0.5\n",
                "t.yaml:2:3: unknown key `counter_rato` | did you mean `counter_ratio`?",
            ),
            (
                "severity_gate:\n  fail_on: eror\n",
                "t.yaml:2:12: unknown value `eror` | did you mean `error`?",
            ),
            (
                "severity_gate:\n  failon: error\n",
                "t.yaml:2:3: unknown key `failon` | did you mean `fail_on`?",
            ),
            (
                "groups_off: [NIX]\n",
                "t.yaml:1:14: no family of rules is called `NIX` | did you mean `NIC`?",
            ),
            (
                "groups_off: [NIC-001]\n",
                "t.yaml:1:14: no family of rules is called `NIC-001` | did you mean `NIC`?",
            ),
            (
                "overrides:\n  - rule: OVS-001\n    severty: info\n",
                "t.yaml:3:5: unknown key `severty` | did you mean `severity`?",
            ),
            (
                "suppressions:\n  - rule: CAP-002\n    reason: x\n    untill: 2027-01-01\n",
                "t.yaml:4:5: unknown key `untill` | did you mean `until`?",
            ),
            ("profile: openstak-ovs\n", "t.yaml:1:10: unknown value `openstak-ovs` | did you"),
            ("suppressions:\n  - rule: CAP-002\n    reason: x\n    ns: 'a['\n", "t.yaml:4:9: "),
            ("env: {hosts_in_mesh: ['a[']}\n", "t.yaml:1:23: "),
            ("select: [\n", "t.yaml:2:1: "),
            ("- profile\n", "t.yaml:1:1: "),
        ] {
            assert!(
                explain(text).starts_with(expected),
                "{text}\n  {}\n  {expected}",
                explain(text)
            );
        }
        assert!(explain(suppression).contains("needs an end"), "{}", explain(suppression));
    }

    #[test]
    fn an_empty_file_says_nothing() {
        assert!(read("t.yaml", "", &Catalogue::default()).is_ok());
        assert!(read("t.yaml", "# nothing\n", &Catalogue::default()).is_ok());
    }

    #[test]
    fn suppressions_end_after_their_last_day() {
        let text = "suppressions:\n  - {rule: OVS-002, reason: x, until: 2026-05-01}\n";
        let expired = |today: Date| {
            let document: Document = serde_yaml::from_str(text).unwrap();
            config(document, today)
                .settings
                .suppressions
                .iter()
                .any(|suppression| suppression.expired)
        };
        assert!(!expired(Date::constant(2026, 5, 1)));
        assert!(expired(Date::constant(2026, 5, 2)));
    }
}
