//! What the readers of `ethtool` share.
use tapline_model::capture::{Command, Completeness};
use tapline_model::outcome::Outcome;

/// The option that says what `ethtool` is to show; `None` for the settings (`ethtool DEV`) and
/// for a call without device.
pub(crate) fn option(command: &Command) -> Option<&str> {
    const ABOUT_OUTPUT: &[&str] = &["--json", "-j", "-I", "--include-statistics"];
    let mut words = command.args().iter().map(String::as_str);
    let mut word = words.next()?;
    loop {
        if word == "--debug" {
            words.next();
        } else if !ABOUT_OUTPUT.contains(&word) {
            return word.starts_with('-').then_some(word);
        }
        word = words.next()?;
    }
}

/// A device always has an answer, so silence is a failure; after unread lines nothing follows
/// from what is not listed.
pub(crate) fn doubt<T>(out: &mut Outcome<T>) {
    let doubt = match (out.lines.read, out.lines.unread) {
        (0, 0) => Completeness::Failed("no output".to_owned()),
        (0, _) => Completeness::Failed("no line was understood".to_owned()),
        (_, 0) => return,
        (_, n) => Completeness::Partial(format!("{n} lines were not understood")),
    };
    let before = std::mem::take(&mut out.completeness);
    out.completeness = before.and(doubt);
}
