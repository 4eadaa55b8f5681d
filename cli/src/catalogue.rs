//! All rules that a run knows: the built-in ones and those of the user.
use tapline_analysis::lint::rules::ALL;
use tapline_analysis::lint::settings::lacks;
use tapline_analysis::lint::{Rule, RuleRef};

use crate::config::Config;
use crate::error::{CliError, Result};
use crate::suggest;

/// The rules by code, id and family.
#[derive(Clone, Default, Debug)]
pub(crate) struct Catalogue {
    own: Vec<RuleRef>,
}

impl Catalogue {
    /// The built-in rules and these.
    pub(crate) fn with(own: impl IntoIterator<Item = RuleRef>) -> Self {
        Self { own: own.into_iter().collect() }
    }

    /// All rules, the built-in ones first.
    pub(crate) fn rules(&self) -> impl Iterator<Item = RuleRef> + '_ {
        ALL.iter().map(RuleRef::from).chain(self.own.iter().cloned())
    }

    /// The rule with this code or id, in any case.
    pub(crate) fn find(&self, name: &str) -> Option<RuleRef> {
        self.rules().find(|rule| is_called(rule, name))
    }

    /// Whether a word names a rule or a family of rules.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.rules().any(|rule| matches(&rule, word))
    }

    /// Whether a word names a family of rules.
    pub(crate) fn has_family(&self, word: &str) -> bool {
        self.rules().any(|rule| family(&rule).eq_ignore_ascii_case(word))
    }

    /// No rule is called so.
    pub(crate) fn unknown(&self, name: &str) -> CliError {
        let error = CliError::new(format!("no rule is called `{name}`"));
        let rules: Vec<RuleRef> = self.rules().collect();
        match suggest::nearest(name, rules.iter().flat_map(|rule| [&*rule.code, &*rule.id])) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint("`tapline rules` lists them"),
        }
    }

    /// No family is called so.
    pub(crate) fn unknown_family(&self, name: &str) -> CliError {
        let rules: Vec<RuleRef> = self.rules().collect();
        let mut all: Vec<&str> = rules.iter().map(|rule| family(rule)).collect();
        all.sort_unstable();
        all.dedup();
        let error = CliError::new(format!("no family of rules is called `{name}`"));
        match suggest::nearest(name, all.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("families: {}", all.join(", "))),
        }
    }

    /// The rules to run: all or the selected, without those that are turned off.
    pub(crate) fn choose(&self, select: &[String], config: &Config) -> Result<Chosen> {
        let off = &config.ignore;
        for word in select.iter().chain(off) {
            if !self.has(word) {
                return Err(self.unknown(word));
            }
        }
        let asked = if select.is_empty() { &config.select } else { select };
        let named = |words: &[String], rule: &Rule| words.iter().any(|word| matches(rule, word));
        let by_name = |rule: &Rule| asked.iter().any(|asked| is_called(rule, asked));
        let lacks = config.settings.profile.map_or(&[][..], lacks);
        let left_out = |rule: &Rule| {
            let of_profile = rule.traits.about.iter().any(|about| lacks.contains(about));
            // Who asks for a rule by its name knows better than the profile.
            named(off, rule) || named(&config.groups_off, rule) || of_profile && !by_name(rule)
        };
        let chosen = |rule: &Rule| (asked.is_empty() || named(asked, rule)) && !left_out(rule);
        let rules: Vec<_> = self.rules().filter(|rule| chosen(rule)).collect();
        if rules.is_empty() {
            return Err(CliError::new(
                "no rule is left to run: --select, --ignore or the configuration turn all off",
            ));
        }
        // What the command line asks for goes without saying.
        let expected = |rule: &Rule| select.is_empty() || named(select, rule);
        let core_off = ALL
            .iter()
            .filter(|rule| rule.traits.core && expected(rule) && !chosen(rule))
            .map(|rule| &*rule.code)
            .collect();
        Ok(Chosen { rules, core_off })
    }
}

/// What is run.
#[derive(Debug)]
pub(crate) struct Chosen {
    /// The rules.
    pub(crate) rules: Vec<RuleRef>,
    /// Core rules that are turned off.
    pub(crate) core_off: Vec<&'static str>,
}

/// A word names a rule by its code, its id, or the family that its code starts with.
fn matches(rule: &Rule, word: &str) -> bool {
    is_called(rule, word) || family(rule).eq_ignore_ascii_case(word)
}

fn is_called(rule: &Rule, word: &str) -> bool {
    [&rule.code, &rule.id].iter().any(|it| it.eq_ignore_ascii_case(word))
}

fn family(rule: &Rule) -> &str {
    rule.code.split_once('-').map_or("", |(family, _)| family)
}
