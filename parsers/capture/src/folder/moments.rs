//! Outputs of one folder that were saved at different moments, as their names say: `ip_a_before.txt`
//! and `ip_a_after.txt`, `ip_a-2026-11-28.txt`, `ip_a.txt.bak`.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::Command;
use tapline_core::ids::Netns;

use super::Text;
use crate::flat;

/// The moment that a name tells, and what the text shows.
type Answer<'a> = (Option<&'a str>, &'a str);

/// The moments of files, where one command shows different things at two of them: then what one text
/// says is not true of the other.
pub(super) fn of<'a>(texts: &[(&'a str, Text)]) -> BTreeMap<&'a str, String> {
    let mut answers: BTreeMap<(&Netns, &Command), Vec<Answer<'_>>> = BTreeMap::new();
    let mut moments: BTreeMap<&str, String> = BTreeMap::new();
    for (member, text) in texts {
        let Text::Output { piece, .. } = text else { continue };
        let moment = flat::moment(member);
        let key = (&piece.netns, &piece.command);
        answers.entry(key).or_default().push((moment, piece.text.trim_end()));
        if let Some(moment) = moment {
            moments.insert(member, moment.to_owned());
        }
    }
    let differ = answers.values().any(|answers| {
        let moments: BTreeSet<_> = answers.iter().map(|(moment, _)| moment).collect();
        let texts: BTreeSet<_> = answers.iter().map(|(_, text)| text).collect();
        moments.len() > 1 && texts.len() > 1
    });
    if differ { moments } else { BTreeMap::new() }
}
