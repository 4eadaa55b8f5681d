//! What the text of a rule says: conditions, verdicts, changes.
//!
//! Source: nft(8), nftables `src/parser_bison.y`. What is not understood becomes a condition that
//! may be met or not; the rest of the rule is read on from the next word that is known.
#[cfg(test)]
mod tests;

use tapline_core::Name;
use tapline_core::records::filter::{Change, Condition, Target, Test, Translation, port_range};
use tapline_core::records::nft::Statement;

use super::key::{Key, Sets};
use super::maps;
use crate::formats::netfilter::integer;

/// Reads a rule; `sets` gives the members of the sets of its table.
pub(super) fn statements<'a>(text: &'a str, sets: &'a Sets<'a>) -> Vec<Statement> {
    let mut reader = Reader { words: words(text), at: 0, sets, all: Vec::new() };
    while let Some(word) = reader.next() {
        reader.statement(word);
    }
    reader.all
}

/// The words of a rule: quoted text is one, braces and commas stand alone.
fn words(text: &str) -> Vec<&str> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => rest.get(1..).and_then(|inner| inner.find('"')).map_or(rest.len(), |at| at + 2),
            '{' | '}' | ',' | ';' => 1,
            _ => rest.find(|c: char| c.is_whitespace() || "{};".contains(c)).unwrap_or(rest.len()),
        };
        let (word, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        // `22,` within a set; `established,related` is one word.
        match word.strip_suffix(',').filter(|bare| !bare.is_empty() && !word.starts_with('"')) {
            Some(bare) => all.extend([bare, ","]),
            None if word == "\\" => {}
            None => all.push(word),
        }
        rest = behind.trim_start();
    }
    all
}

pub(super) struct Reader<'a> {
    words: Vec<&'a str>,
    at: usize,
    pub(super) sets: &'a Sets<'a>,
    all: Vec<Statement>,
}

/// Words that begin a statement which is no condition.
const VERBS: &[&str] = &[
    "accept",
    "drop",
    "reject",
    "return",
    "continue",
    "jump",
    "goto",
    "counter",
    "log",
    "limit",
    "comment",
    "dnat",
    "snat",
    "masquerade",
    "redirect",
    "notrack",
    "queue",
    "quota",
    "last",
    "tproxy",
    "dup",
    "fwd",
    "synproxy",
    "flow",
    "xt",
    "#",
];

impl<'a> Reader<'a> {
    pub(super) fn next(&mut self) -> Option<&'a str> {
        let word = self.words.get(self.at).copied()?;
        self.at += 1;
        Some(word)
    }

    pub(super) fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    pub(super) fn next_if(&mut self, wanted: &str) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn skip_any(&mut self, wanted: &[&str]) {
        while self.peek().is_some_and(|word| wanted.contains(&word)) {
            self.at += 1;
        }
    }

    fn act(&mut self, target: Target) {
        self.all.push(Statement::Do(target));
    }

    pub(super) fn require(&mut self, not: bool, test: Test) {
        self.all.push(Statement::If(Condition { not, test }));
    }

    fn statement(&mut self, word: &'a str) {
        if let Some(target) = self.verdict(word) {
            self.act(target);
            return;
        }
        match word {
            "counter" => self.counter(),
            "log" => {
                while let Some(option) = self.peek() {
                    match option {
                        "prefix" | "group" | "level" | "flags" | "snaplen" | "queue-threshold" => {
                            self.at += 2;
                        }
                        _ => break,
                    }
                }
            }
            "limit" => {
                let text = self.rest_of_condition();
                let over = text.split(' ').any(|word| word == "over");
                self.require(false, Test::Limit { text: format!("limit {text}").into(), over });
            }
            "comment" => {
                self.next();
            }
            "quota" => {
                let text = self.rest_of_condition();
                let over = text.starts_with("over ");
                self.require(false, Test::Limit { text: format!("quota {text}").into(), over });
            }
            "last" => {
                self.rest_of_condition();
            }
            "ct" if self.peek() == Some("count") => {
                let text = self.rest_of_condition();
                let over = text.starts_with("count over ");
                self.require(false, Test::Limit { text: format!("ct {text}").into(), over });
            }
            "dnat" | "snat" => self.translate(word == "dnat"),
            "masquerade" => {
                if self.next_if("to") {
                    self.next();
                }
                self.flags();
                self.act(Target::Masquerade);
            }
            "redirect" => {
                let ports = if self.next_if("to") { self.next() } else { None };
                let ports = ports.and_then(|shown| port_range(shown.trim_start_matches(':'), '-'));
                self.flags();
                self.act(Target::Redirect(ports));
            }
            "notrack" => self.act(Target::NoTrack),
            "flow" => {
                // `flow add @table`: later packets take a shorter path to the same end.
                self.rest_of_condition();
                self.act(Target::Aside);
            }
            "queue" | "tproxy" | "dup" | "fwd" | "synproxy" => {
                self.rest_of_condition();
                self.act(Target::Unknown(word.into()));
            }
            "xt" => {
                // What `iptables-nft` made and `nft` cannot show.
                let kind = self.next().unwrap_or_default();
                let name = self.next().unwrap_or_default().trim_matches('"');
                match kind {
                    "target" => self.act(Target::Unknown(name.into())),
                    _ if name == "comment" => {}
                    _ => self.require(false, Test::Unknown(format!("{kind} {name}").into())),
                }
            }
            "#" => {
                self.at = self.words.len();
                self.require(false, Test::Unknown("a part that nft cannot show".into()));
            }
            "meta" | "ct" if self.words.get(self.at + 1) == Some(&"set") => self.set(word),
            _ => self.condition(word),
        }
    }

    /// A verdict; `continue` is one that does nothing.
    fn verdict(&mut self, word: &str) -> Option<Target> {
        Some(match word {
            "accept" => Target::Accept,
            "drop" => Target::Drop,
            "return" => Target::Return,
            "continue" => Target::Aside,
            "reject" => {
                if self.next_if("with") {
                    // `icmp type X`, `icmpx X`, `tcp reset`.
                    self.next();
                    self.next_if("type");
                    self.next();
                }
                Target::Reject
            }
            "jump" | "goto" => match self.next() {
                Some("{") | None => {
                    self.skip_braces();
                    Target::Unknown("a chain without a name".into())
                }
                Some(chain) if word == "jump" => Target::Jump(chain.into()),
                Some(chain) => Target::Goto(chain.into()),
            },
            _ => return None,
        })
    }

    fn counter(&mut self) {
        if self.next_if("packets") {
            let packets = self.next().and_then(|shown| shown.parse().ok());
            self.next_if("bytes");
            let bytes = self.next().and_then(|shown| shown.parse().ok());
            if let (Some(packets), Some(bytes)) = (packets, bytes) {
                self.all.push(Statement::Counter(packets, bytes));
            }
        } else if self.next_if("name") {
            self.next();
        }
    }

    /// `dnat ip to 10.0.0.1:80 random`; the address may also come from a map.
    fn translate(&mut self, destination: bool) {
        self.skip_any(&["ip", "ip6", "addr", ".", "port"]);
        let to = if self.next_if("to") { self.next() } else { None };
        let start = self.at;
        if let Some(choices) = to.and_then(|to| self.translations(to, destination)) {
            self.flags();
            self.all.push(Statement::Choose(choices));
            return;
        }
        self.at = start;
        let first = |c: char| c.is_ascii_hexdigit() || c == '[' || c == ':';
        let name = if destination { "dnat" } else { "snat" };
        let target = match to {
            Some(to) if to.starts_with(first) && !VERBS.contains(&to) && Key::of(to).is_none() => {
                let to = Translation::of(to);
                if destination { Target::Dnat(to) } else { Target::Snat(to) }
            }
            _ => {
                self.at = self.words.len();
                Target::Unknown(name.into())
            }
        };
        self.flags();
        self.act(target);
    }

    /// `random,persistent`
    fn flags(&mut self) {
        let flag = |word: &str| matches!(word, "" | "random" | "fully-random" | "persistent");
        while self.peek().is_some_and(|word| word.split(',').all(flag)) {
            self.at += 1;
        }
    }

    /// `meta mark set 0x1`, `ct zone set 4`, `ct mark set meta mark`.
    fn set(&mut self, class: &str) {
        let key = self.next().unwrap_or_default();
        self.next();
        let text = self.rest_of_condition();
        let value = integer(&text);
        let whole = |value| Change::Set { clear: u32::MAX, flip: value };
        let target = match (class, key) {
            ("meta", "mark") => Target::Mark(match (value, text.as_str()) {
                (Some(value), _) => whole(value),
                (None, "ct mark") => Change::Copy { save: false, mask: u32::MAX },
                (None, _) => bitwise("meta mark", &text),
            }),
            ("ct", "mark") => Target::ConnMark(match (value, text.as_str()) {
                (Some(value), _) => whole(value),
                (None, "meta mark" | "mark") => Change::Copy { save: true, mask: u32::MAX },
                (None, _) => bitwise("ct mark", &text),
            }),
            ("ct", "zone") => match value.and_then(|zone| u16::try_from(zone).ok()) {
                Some(zone) => Target::CtZone(zone),
                None => Target::Unknown(format!("ct zone set {text}").into()),
            },
            ("meta", "priority" | "nftrace" | "pkttype")
            | ("ct", "helper" | "timeout" | "event") => Target::Aside,
            _ => Target::Unknown(format!("{class} {key} set {text}").into()),
        };
        self.act(target);
    }

    /// What stands before the next statement.
    fn rest_of_condition(&mut self) -> String {
        let mut text = String::new();
        let mut depth = 0_u32;
        while let Some(word) = self.peek() {
            if depth == 0 && VERBS.contains(&word) {
                break;
            }
            match word {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
            self.at += 1;
        }
        text
    }

    fn skip_braces(&mut self) {
        let mut depth = 1_u32;
        while depth > 0
            && let Some(word) = self.next()
        {
            match word {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
        }
    }

    /// `ip saddr 10.0.0.0/8`, `tcp dport { 22, 80 }`, `ct state vmap { … }`.
    fn condition(&mut self, word: &'a str) {
        let start = self.at;
        if maps::BY_CHANCE.contains(&word)
            && let Some(choices) = self.verdicts_by_chance()
        {
            self.all.push(Statement::Choose(choices));
            return;
        }
        self.at = start;
        let read = self.left_side(word).and_then(|keys| {
            for implied in keys.iter().flat_map(Key::implies) {
                self.require(false, implied);
            }
            match keys.as_slice() {
                [key] => self.right_side(key),
                keys => self.together(keys),
            }
        });
        if read.is_none() {
            // A key that is not known, or something beyond a comparison: all up to the next verb.
            self.at = start;
            let rest = self.rest_of_condition();
            let text = format!("{word} {rest}");
            if rest.split_whitespace().any(|part| part == "vmap") {
                // What it decides is not known, but it decides.
                self.act(Target::Unknown(text.trim_end().into()));
            } else {
                self.require(false, Test::Unknown(text.trim_end().into()));
            }
        }
    }

    /// One key, or several that are looked up together: `ip saddr . tcp dport`.
    pub(super) fn left_side(&mut self, word: &str) -> Option<Vec<Key>> {
        let mut keys = vec![Key::read(word, || self.next())?];
        while self.next_if(".") {
            let word = self.next()?;
            keys.push(Key::read(word, || self.next())?);
        }
        Some(keys)
    }

    /// What keys are compared with that are looked up together.
    fn together(&mut self, keys: &[Key]) -> Option<()> {
        let not = self.next_if("!=");
        if self.next_if("vmap") {
            let choices = self.verdicts(Some(keys))?;
            self.all.push(Statement::Choose(choices));
            return Some(());
        }
        let first = self.next()?;
        let mut any = Vec::new();
        if first == "{" {
            loop {
                match self.next()? {
                    "}" => break,
                    "," => {}
                    value => any.push(self.joined(keys, value)?),
                }
            }
        } else if let Some(name) = first.strip_prefix('@') {
            let members = (self.sets)(name)?;
            for member in members {
                let values: Vec<&str> = member.split(" . ").collect();
                any.push(tests_of(keys, &values)?);
            }
        } else {
            any.push(self.joined(keys, first)?);
        }
        self.require(not, Test::AnyOf(any));
        self.ends()
    }

    /// `10.0.0.1 . 80`, of which the first value was read.
    fn joined(&mut self, keys: &[Key], first: &'a str) -> Option<Vec<Test>> {
        let mut values = vec![first];
        while self.next_if(".") {
            values.push(self.next()?);
        }
        tests_of(keys, &values)
    }

    fn right_side(&mut self, key: &Key) -> Option<()> {
        let mut mask = None;
        if self.next_if("&") || self.next_if("and") {
            mask = Some(integer(self.next()?)?);
        }
        let mut not = self.next_if("!=");
        if !not {
            self.next_if("==");
        }
        if self.next_if("!") {
            not = true;
        }
        if self.next_if("vmap") {
            let choices = self.verdicts(Some(std::slice::from_ref(key)))?;
            self.all.push(Statement::Choose(choices));
            return Some(());
        }
        let first = self.next()?;
        let values = match first {
            "{" => self.members()?,
            _ if first.starts_with('@') => {
                let name = first.trim_start_matches('@');
                let test = match (self.sets)(name) {
                    Some(members) => {
                        let members: Vec<&str> = members.iter().map(Name::as_str).collect();
                        key.test(&members, mask)
                    }
                    None => Test::Unknown(format!("@{name}").into()),
                };
                self.require(not, test);
                return self.ends();
            }
            // `ct status dnat` has no verb.
            _ if VERBS.contains(&first) && *key != Key::Status => return None,
            _ => vec![first],
        };
        let test = key.test(&values, mask);
        self.require(not, test);
        self.ends()
    }

    /// A comparison is over where a new statement begins, and not with an operator.
    fn ends(&mut self) -> Option<()> {
        let operator = matches!(self.peek(), Some("/" | "&" | "|" | "." | "<<" | ">>" | "map"));
        if operator {
            // What was read so far says too much.
            self.all.pop();
            return None;
        }
        Some(())
    }

    /// `22, 80 }`
    fn members(&mut self) -> Option<Vec<&'a str>> {
        let mut all = Vec::new();
        loop {
            match self.next()? {
                "}" => return Some(all),
                "," => {}
                "{" | ":" | "." => return None,
                member => all.push(member),
            }
        }
    }
}

/// The tests of values for keys, one each.
pub(super) fn tests_of(keys: &[Key], values: &[&str]) -> Option<Vec<Test>> {
    let tests = keys.iter().zip(values).map(|(key, value)| key.test(&[*value], None));
    (keys.len() == values.len()).then(|| tests.collect())
}

/// `KEY and 0xff`, `KEY & 0xff | 0x1`, `KEY or 0x1 xor 0x2`.
fn bitwise(key: &str, text: &str) -> Change {
    let Some(rest) = text.strip_prefix(key) else { return Change::Unknown };
    let (mut clear, mut flip) = (0, 0);
    let mut words = rest.split_whitespace();
    while let Some(operator) = words.next() {
        let Some(value) = words.next().and_then(integer) else { return Change::Unknown };
        match operator {
            "and" | "&" => (clear, flip) = (clear | !value, flip & value),
            "or" | "|" => (clear, flip) = (clear | value, flip | value),
            "xor" | "^" => flip ^= value,
            _ => return Change::Unknown,
        }
    }
    Change::Set { clear, flip }
}
