//! Long texts: how much of one is worth reading as a session.
use tapline_core::capture::InputProblem;
use tapline_core::outcome::ProblemKind;

use crate::transcript::{self, Transcript};
use crate::tree::Tree;

/// Nobody pastes more than that; a text of this size that does not begin as a session is a log.
pub(crate) const LONGEST_SESSION: usize = 32 << 20;
/// What is read of a log that a shell wrote: what nobody typed.
const READ_OF_LOG: usize = 4 << 20;
/// Commands in the beginning of a text, with which a long one is such a log.
const MANY: u64 = 200;

/// Takes a text apart as a session, where its beginning leaves that open: what is long is either one
/// output, or a log.
pub(super) fn session(text: &str) -> Transcript {
    const LONG: usize = 4 << 20;
    let start = head(text);
    if text.len() > LONG {
        let begins = transcript::read(start);
        let nothing = begins.blocks.is_empty() && begins.sure == 0;
        if begins.is_one_output() || nothing && text.len() > LONGEST_SESSION {
            return begins;
        }
        if begins.commands() >= MANY && text.len() > LONGEST_SESSION {
            let start = beginning(text, READ_OF_LOG);
            return Transcript { read_to: Some(start.len()), ..transcript::read(start) };
        }
    }
    transcript::read(text)
}

/// Whether a text holds an output that a session shows. What is read again, when it is sure that the
/// text is kept, is hardly more than its beginning.
pub(super) fn has_output(text: &str) -> bool {
    // A command may stand at the end of what was read, and its output behind it.
    const AGAIN: usize = 8 << 10;
    let start = head(text);
    let begins = transcript::read(start);
    if !begins.blocks.is_empty() || start.len() == text.len() {
        return !begins.blocks.is_empty();
    }
    let rest = text.get(text.floor_char_boundary(start.len().saturating_sub(AGAIN))..);
    let is_log = begins.sure == 0 && text.len() > LONGEST_SESSION;
    !is_log && rest.is_some_and(|rest| !transcript::read(rest).blocks.is_empty())
}

/// Enough of a text to see that it is a session.
fn head(text: &str) -> &str {
    beginning(text, 256 << 10)
}

/// The whole lines within the first bytes.
fn beginning(text: &str, most: usize) -> &str {
    let most = text.floor_char_boundary(most);
    let end = text.get(..most).and_then(|it| it.rfind('\n')).map_or(most, |it| it + 1);
    text.get(..end).unwrap_or(text)
}

/// What is said of a log that was not read to its end.
pub(super) fn limit(tree: &Tree, member: &str, bytes: usize) -> InputProblem {
    InputProblem {
        kind: ProblemKind::Limit,
        archive: tree.archive.clone(),
        member: if tree.single { "".into() } else { member.into() },
        message: format!(
            "a log of thousands of commands; only the first {} MiB were read: cut out the part that \
             matters",
            bytes.div_ceil(1 << 20)
        ),
    }
}
