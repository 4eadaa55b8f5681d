//! Maps within rules of nft: from keys to verdicts (`vmap`), from keys to addresses (`dnat to … map`),
//! and from chance to both (`numgen`, `jhash`, `symhash`).
//!
//! Source: nft(8), "MAPS", "VMAP"; a packet that no pair fits leaves the rule (`nft_lookup_eval`,
//! net/netfilter/nft_lookup.c).
use tapline_core::Name;
use tapline_core::records::filter::{Condition, Target, Test, Translation};

use super::key::Key;
use super::rule::{Reader, tests_of};

/// Words that begin what leaves a choice to chance.
pub(super) const BY_CHANCE: [&str; 3] = ["numgen", "jhash", "symhash"];

/// The words of a pair in front of its colon, and behind.
type Pair = (Vec<String>, Vec<String>);

impl Reader<'_> {
    /// The verdicts behind `vmap`, each with what a packet has to be; by chance where there are no
    /// keys.
    pub(super) fn verdicts(&mut self, keys: Option<&[Key]>) -> Option<Vec<(Condition, Target)>> {
        let pairs = self.pairs()?;
        chosen(&pairs, keys, verdict)
    }

    /// `numgen random mod 2 vmap { 0 : goto a, 1 : goto b }`, of which the first word was read.
    pub(super) fn verdicts_by_chance(&mut self) -> Option<Vec<(Condition, Target)>> {
        self.skip_to("vmap")?;
        self.verdicts(None)
    }

    /// The addresses of `dnat to tcp dport map { 80 : 10.0.0.2 }`, of which the first word behind `to` was
    /// read.
    pub(super) fn translations(
        &mut self,
        first: &str,
        destination: bool,
    ) -> Option<Vec<(Condition, Target)>> {
        let keys = if BY_CHANCE.contains(&first) {
            self.skip_to("map")?;
            None
        } else {
            let keys = self.left_side(first)?;
            self.next_if("map").then_some(())?;
            Some(keys)
        };
        let pairs = self.pairs()?;
        let target = |words: &[&str]| {
            let to = match words {
                [address] => (*address).to_owned(),
                [address, ".", port] if address.contains(':') => format!("[{address}]:{port}"),
                [address, ".", port] => format!("{address}:{port}"),
                _ => return None,
            };
            let to = Translation::of(&to);
            to.address?;
            Some(if destination { Target::Dnat(to) } else { Target::Snat(to) })
        };
        let choices = chosen(&pairs, keys.as_deref(), target)?;
        for implied in keys.iter().flatten().flat_map(Key::implies) {
            self.require(false, implied);
        }
        Some(choices)
    }

    /// Goes behind a word, within the same statement.
    fn skip_to(&mut self, wanted: &str) -> Option<()> {
        loop {
            match self.next()? {
                "{" | "}" => return None,
                word if word == wanted => return Some(()),
                _ => {}
            }
        }
    }

    /// `{ A : B, C . D : E }`, or the pairs of a map that is named.
    fn pairs(&mut self) -> Option<Vec<Pair>> {
        let first = self.next()?;
        if let Some(name) = first.strip_prefix('@') {
            let members = (self.sets)(name)?;
            return members.iter().map(of_member).collect();
        }
        if first != "{" {
            return None;
        }
        let mut all: Vec<Pair> = Vec::new();
        let (mut pair, mut behind) = (Pair::default(), false);
        loop {
            let word = self.next()?;
            if matches!(word, "," | "}") {
                if behind {
                    all.push(std::mem::take(&mut pair));
                } else if !pair.0.is_empty() {
                    return None;
                }
                behind = false;
                if word == "}" {
                    return Some(all);
                }
                continue;
            }
            match word {
                "{" => return None,
                ":" if !behind => behind = true,
                word if behind => pair.1.push(word.to_owned()),
                word => pair.0.push(word.to_owned()),
            }
        }
    }
}

/// A pair of a map that is named: `10.0.0.1 . tcp . 80 : goto service`.
fn of_member(member: &Name) -> Option<Pair> {
    let (key, value) = member.split_once(" : ")?;
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    Some((words(key), words(value)))
}

/// What each pair does, and when.
fn chosen(
    pairs: &[Pair],
    keys: Option<&[Key]>,
    target: impl Fn(&[&str]) -> Option<Target>,
) -> Option<Vec<(Condition, Target)>> {
    let mut all = Vec::new();
    for (place, (key, value)) in pairs.iter().enumerate() {
        let value: Vec<&str> = value.iter().map(String::as_str).collect();
        let key: Vec<&str> = key.iter().map(String::as_str).filter(|word| *word != ".").collect();
        let test = match keys {
            _ if key == ["*"] => Test::Aside("any other".into()),
            // One of them it is: the last, where it was none before.
            None if place + 1 == pairs.len() => Test::Aside("the last of several".into()),
            None => Test::Rate(format!("{} of {}", key.join(" "), pairs.len()).into()),
            Some([one]) => match key.as_slice() {
                [value] => one.test(&[*value], None),
                _ => return None,
            },
            Some(keys) => Test::AnyOf(vec![tests_of(keys, &key)?]),
        };
        all.push((Condition { not: false, test }, target(&value)?));
    }
    Some(all)
}

fn verdict(words: &[&str]) -> Option<Target> {
    Some(match words {
        ["accept"] => Target::Accept,
        ["drop"] => Target::Drop,
        ["return"] => Target::Return,
        // It goes on with the next statement, which no target says.
        ["continue"] => Target::Aside,
        ["jump", chain] => Target::Jump((*chain).into()),
        ["goto", chain] => Target::Goto((*chain).into()),
        _ => return None,
    })
}
