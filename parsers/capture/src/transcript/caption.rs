//! Lines that say which command printed what follows: headings, list items, code in a sentence.
use super::is_claimed;
use crate::command::{self, Invocation};
use crate::packing::signs::{self, Signs};
use crate::sos::grammar;

/// A command that a line names.
#[derive(Clone, Debug)]
pub(super) struct Caption<'a> {
    pub(super) run: Invocation,
    /// What stands before the command.
    pub(super) before: &'a str,
    /// The line is the command and ornament, nothing else.
    pub(super) exact: bool,
}

/// The command that a line names, without its ornament.
pub(super) fn of(line: &str) -> Option<Caption<'_>> {
    const LONGEST: usize = 400;
    if line.len() > LONGEST || !command::has_any_program(line) {
        return None;
    }
    // Code in a sentence: the last one is nearest to the output.
    let mut code = line.split('`').skip(1).step_by(2).filter(|part| !part.trim().is_empty());
    if let Some(run) = code.by_ref().filter_map(claimed).last() {
        let bare = line.trim_matches(['`', ' ', ':', '*', '-', '#', '_', '.']);
        return Some(Caption { run, before: "", exact: claimed(bare).is_some() });
    }
    let bare = line.trim().trim_start_matches(['#', '*', '-', '_', '+', '•', ' ']);
    let bare = bare.trim_end_matches([':', '*', '_', ' ', '#', '=']);
    let bare = bare.trim_start_matches(|c: char| c.is_ascii_digit());
    let bare =
        bare.trim_start_matches(['.', ')', ' ', '$', '=', '"', '\'']).trim_end_matches(['"', '\'']);
    if let Some(run) = claimed(bare) {
        return Some(Caption { run, before: "", exact: true });
    }
    let mut caption = suffix(line.trim_end().trim_end_matches([':', '.']))?;
    // `What it prints: command:`, and the output follows.
    caption.exact = line.trim_end().ends_with(':');
    Some(caption)
}

/// A command at the end of a line, whatever stands before it.
fn suffix(line: &str) -> Option<Caption<'_>> {
    for (before, tail) in splits(line) {
        if begins_with_tool(tail)
            && let Some(run) = claimed(tail)
        {
            return Some(Caption { run, before, exact: false });
        }
    }
    None
}

/// Whether something like a prompt stands before the name of a tool, at the cost of a look.
pub(super) fn may_be_behind_prompt(line: &str) -> bool {
    let bytes = line.as_bytes();
    let is_end = |b: &u8| Signs::of_byte(*b).has(Signs::PROMPT_END);
    let mut at = 0;
    while let Some(next) = bytes.get(at..bytes.len().min(LONGEST_PROMPT + 1))
        && let Some(found) = next.iter().position(is_end)
    {
        at += found;
        // Within a letter of several bytes there is no text.
        let mut tail = line.get(at..).unwrap_or_default().chars();
        if tail.next().is_some_and(is_sign) && begins_with_tool(tail.as_str().trim_start()) {
            return true;
        }
        at += 1;
    }
    false
}

/// A line in two, at each place where a command may begin.
fn splits(line: &str) -> impl Iterator<Item = (&str, &str)> {
    const WORDS: usize = 12;
    let starts = line
        .match_indices([' ', '\t', '$', '#', '>', '"'])
        .map(|(at, separator)| at + separator.len());
    std::iter::once(0).chain(starts).take(WORDS).filter_map(|at| line.split_at_checked(at))
}

fn begins_with_tool(text: &str) -> bool {
    if !text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') {
        return false;
    }
    let end = text.bytes().position(|b| b.is_ascii_whitespace()).unwrap_or(text.len());
    let word = text.get(..end).unwrap_or_default();
    let tool = word.rsplit_once('/').map_or(word, |path| path.1);
    grammar::is_tool(tool) || matches!(tool, "sudo" | "docker" | "podman")
}

/// The command that this is, if a format reads what it prints.
fn claimed(text: &str) -> Option<Invocation> {
    let text = text.trim();
    let first = text.chars().next()?;
    if !(first.is_ascii_alphanumeric() || first == '/') || !command::may_begin(text) {
        return None;
    }
    command::parse_one(text).filter(is_claimed)
}

/// Whether what stands before a command looks like a prompt rather than like words.
pub(super) fn is_like_prompt(before: &str) -> bool {
    before.len() <= LONGEST_PROMPT && before.trim_end().chars().next_back().is_some_and(is_sign)
}

/// No prompt is longer, in bytes.
const LONGEST_PROMPT: usize = 80;

/// Whether a prompt may end with it.
fn is_sign(c: char) -> bool {
    match u8::try_from(c) {
        Ok(b) if b.is_ascii() => b.is_ascii_punctuation() && !signs::is_within_words(b),
        _ => !c.is_alphanumeric() && !c.is_whitespace(),
    }
}
