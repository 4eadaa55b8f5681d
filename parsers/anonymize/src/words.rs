//! Substitutes of names: words that can be spoken, in the place of words.
//!
//! Digits and signs stay, so `web-1` and `web-2` are still told apart at a glance, and a word is the same
//! wherever it stands: in the name of a host, in its domain, in that of a bridge.
use std::collections::{BTreeMap, BTreeSet};

use crate::secret::Secret;

const CONSONANTS: &[u8] = b"bdfgklmnprstvz";
const VOWELS: &[u8] = b"aeiou";
/// Attempts to find a word that nothing else has.
const ATTEMPTS: u64 = 64;

/// Words with their substitutes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words(BTreeMap<String, String>);

impl Words {
    /// Finds one for each of `words`, which are in small letters; none is one of `taken`.
    pub(crate) fn new(secret: &Secret, words: &BTreeSet<String>, taken: &BTreeSet<&str>) -> Self {
        let mut used: BTreeSet<String> = BTreeSet::new();
        let mut all = BTreeMap::new();
        for word in words {
            let length = word.chars().count();
            let is_free = |made: &String| {
                !used.contains(made) && !words.contains(made) && !taken.contains(made.as_str())
            };
            // Short words are soon used up.
            let lengths = length..length + 3;
            let attempts = lengths.flat_map(|length| (0..ATTEMPTS).map(move |n| (length, n)));
            let mut made = attempts.map(|(length, attempt)| draw(secret, word, length, attempt));
            let free = made.find(is_free).unwrap_or_else(|| draw(secret, word, length + 3, 0));
            used.insert(free.clone());
            all.insert(word.clone(), free);
        }
        Self(all)
    }

    /// A text with its words replaced, in the capitals that they had; those that are not known stay.
    pub(crate) fn in_place_of(&self, name: &str) -> String {
        let mut out = String::with_capacity(name.len());
        for (word, is_word) in split(name) {
            match self.0.get(&word.to_lowercase()).filter(|_| is_word) {
                None => out.push_str(word),
                Some(other) => {
                    let capitals: Vec<bool> = word.chars().map(char::is_uppercase).collect();
                    let all = capitals.iter().all(|capital| *capital);
                    for (at, letter) in other.chars().enumerate() {
                        let is_capital = capitals.get(at).copied().unwrap_or(all);
                        out.push(if is_capital { letter.to_ascii_uppercase() } else { letter });
                    }
                }
            }
        }
        out
    }
}

/// The words of a name in small letters.
pub(crate) fn of(name: &str) -> impl Iterator<Item = String> {
    split(name).into_iter().filter(|(_, is_word)| *is_word).map(|(word, _)| word.to_lowercase())
}

/// The parts of a name: words, and what is between them.
fn split(name: &str) -> Vec<(&str, bool)> {
    let mut parts = Vec::new();
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let is_word = first.is_alphabetic();
        let end = rest.find(|other: char| other.is_alphabetic() != is_word).unwrap_or(rest.len());
        let Some((part, behind)) = rest.split_at_checked(end) else { break };
        parts.push((part, is_word));
        rest = behind;
    }
    parts
}

fn draw(secret: &Secret, word: &str, length: usize, attempt: u64) -> String {
    let data = [word.as_bytes(), &attempt.to_be_bytes()].concat();
    let mut number = secret.number("word", &data);
    (0..length)
        .map(|at| {
            let letters = if at % 2 == 0 { CONSONANTS } else { VOWELS };
            let count = letters.len() as u64;
            let letter = usize::try_from(number % count).unwrap_or_default();
            number = if number < 1 << 16 {
                secret.number("more of a word", &[&data[..], &at.to_be_bytes()].concat())
            } else {
                number / count
            };
            char::from(letters.get(letter).copied().unwrap_or(b'o'))
        })
        .collect()
}
