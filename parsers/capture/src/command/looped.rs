//! Commands that are run for each of several things: `for`, `while read`, `xargs -I`.
use super::{Invocation, parse, shell};

/// A loop of one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Loop {
    /// As it stands in the body: `n` of `$n`, or `{}`.
    variable: String,
    /// What it runs over, where the line says so.
    pub(crate) items: Vec<String>,
    body: String,
}

impl Loop {
    /// The loop that a line is.
    pub(crate) fn of(line: &str) -> Option<Self> {
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("for ") {
            let (variable, rest) = rest.split_once(" in ")?;
            let (list, body) = split_do(rest)?;
            let literal = !list.contains(['$', '`', '*', '(', '{']);
            let items =
                list.split_whitespace().map(|word| word.trim_matches(['"', '\'']).to_owned());
            let items = if literal { items.collect() } else { Vec::new() };
            return Self::new(variable.trim(), items, body);
        }
        if let Some((_, rest)) = line.split_once("while ") {
            let rest = rest.split_once("read ")?.1;
            let (names, body) = split_do(rest)?;
            let variable = names.split_whitespace().find(|word| !word.starts_with('-'))?;
            return Self::new(variable, Vec::new(), body);
        }
        let (_, rest) = line.split_once("xargs ")?;
        let (options, body) = match rest.split_once("-I") {
            Some((before, after)) => (before, after.trim_start()),
            None => return None,
        };
        let (variable, body) = body.split_once(' ')?;
        let plain = options.split_whitespace().all(|word| word.starts_with('-') || word == "1");
        let inner = body.trim();
        let quoted = inner.strip_prefix("sh -c ").or_else(|| inner.strip_prefix("bash -c "));
        let body = quoted.map_or(inner, |quoted| quoted.trim().trim_matches(['"', '\'']));
        plain.then(|| Self::new(variable, Vec::new(), body))?
    }

    fn new(variable: &str, items: Vec<String>, body: &str) -> Option<Self> {
        let name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '{' | '}' | '%');
        let plain = !variable.is_empty() && variable.chars().all(name);
        plain.then(|| Self { variable: variable.to_owned(), items, body: body.trim().to_owned() })
    }

    /// The commands of one round.
    pub(crate) fn runs(&self, value: &str) -> Vec<Invocation> {
        parse(&self.with(value))
    }

    /// The body for one value.
    fn with(&self, value: &str) -> String {
        self.names().iter().fold(self.body.clone(), |body, name| body.replace(name, value))
    }

    fn names(&self) -> Vec<String> {
        if self.variable.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            vec![format!("${{{}}}", self.variable), format!("${}", self.variable)]
        } else {
            vec![self.variable.clone()]
        }
    }

    /// What is printed before and behind the value in front of each round: `== ` and ` ==`.
    pub(crate) fn heading(&self) -> Option<(String, String)> {
        const MARK: &str = "\u{1}";
        let list = shell::split(&self.with(MARK))?;
        list.iter().find_map(|stages| {
            let words = &stages.first()?.words;
            let (program, words) = words.split_first()?;
            if !matches!(program.as_str(), "echo" | "printf") {
                return None;
            }
            let words = words.iter().map(String::as_str);
            let words: Vec<_> = words.skip_while(|word| matches!(*word, "-e" | "-n")).collect();
            let said = words.join(" ");
            let said = said.replace("\\n", "");
            let (before, after) = said.split_once(MARK)?;
            Some((before.trim_start().to_owned(), after.trim_end().to_owned()))
        })
    }
}

/// Whether a line begins a loop that it does not end.
pub(crate) fn is_open(line: &str) -> bool {
    let begins = |word: &str| {
        line.starts_with(word)
            || line
                .split_once(word)
                .is_some_and(|(before, _)| before.trim_end().ends_with(['|', ';']))
    };
    if !begins("for ") && !begins("while ") {
        return false;
    }
    let mut words = line.split([' ', ';', '\t']);
    !words.any(|word| word == "done")
}

/// `LIST; do BODY; done`: the list and the body.
fn split_do(text: &str) -> Option<(&str, &str)> {
    let (list, body) =
        ["; do ", ";do ", " ;do ", "; do; "].iter().find_map(|word| text.split_once(word))?;
    let end = body.rfind("done")?;
    let (body, after) = body.split_at_checked(end)?;
    // What goes to a file is not on the screen.
    let shown = !after.contains('>') && body.trim_end().ends_with(';');
    shown.then(|| (list.trim(), body.trim_end().trim_end_matches(';')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loops_have_a_body_and_a_heading() {
        for (line, items, heading, run, netns) in [
            (
                "for n in $(ip netns); do echo \"== $n ==\"; ip netns exec $n ip a; done",
                0,
                Some(("== ", " ==")),
                "ip a",
                "blue",
            ),
            ("for b in blue red; do ip -n ${b} r; done", 2, None, "ip r", "blue"),
            ("ip netns | while read n rest; do ip -n $n a; done", 0, None, "ip a", "blue"),
            ("ip netns | xargs -I{} ip netns exec {} ip a", 0, None, "ip a", "blue"),
            (
                "ip netns | xargs -I{} sh -c 'echo {}; ip netns exec {} ip a'",
                0,
                Some(("", "")),
                "ip a",
                "blue",
            ),
        ] {
            let it = Loop::of(line).unwrap_or_else(|| panic!("{line}"));
            assert_eq!(it.items.len(), items, "{line}");
            let said = it.heading();
            let said = said.as_ref().map(|(before, after)| (before.as_str(), after.as_str()));
            assert_eq!(said, heading, "{line}");
            let runs = it.runs("blue");
            let last = runs.last().unwrap();
            assert_eq!(
                (last.command.to_string().as_str(), last.netns.to_string().as_str()),
                (run, netns)
            );
        }
        for (line, open) in [
            ("for n in a b; do", true),
            ("ip netns | while read n", true),
            ("for n in a b; do echo $n; done", false),
            ("ip route get 192.0.2.7 for fun", false),
        ] {
            assert_eq!(is_open(line), open, "{line}");
        }
        for line in ["for", "for x in y", "ip a", "for n in a; do ip a; done > x", "xargs ip a"] {
            assert_eq!(Loop::of(line), None, "{line}");
        }
    }
}
