//! What people emphasise within an output: stars and underscores of Markdown, tags of pages, forums and
//! trackers around a word. Left in place they would be parts of names.
use super::placed::Placed;
use super::signs::Signs;
use super::{Line, Mark};

/// Signs that stand before and behind what is emphasised.
const PAIRS: &[&str] = &["**", "__", "~~", "'''", "`"];
/// Names of tags around words: `<b>`, `[b]`.
const TAGS: &[&str] = &["b", "color", "del", "em", "i", "ins", "mark", "s", "size", "strong", "u"];
/// No line of an output with emphasis is longer.
const LONGEST: usize = 2000;

/// Takes it off.
pub(super) fn take_off(lines: &mut [Line<'_>]) {
    let mut fenced = false;
    for line in lines {
        match line.mark {
            Mark::Open => fenced = true,
            Mark::Close => fenced = false,
            Mark::Text => {}
        }
        let text = &*line.text;
        if text.len() > LONGEST {
            continue;
        }
        let mut cuts = Vec::new();
        if may_have_tags(text, line.signs) {
            tags(text, &mut cuts);
        }
        if may_have_signs(text, line.signs) {
            signs(text, fenced, &mut cuts);
        }
        if cuts.is_empty() {
            continue;
        }
        let mut out = Placed::with_capacity(text.len());
        let indexes = text.char_indices().map(|(at, _)| at);
        for (at, (c, place)) in indexes.zip(line.characters()) {
            if !cuts.iter().any(|&(from, to)| (from..to).contains(&at)) {
                out.push(c, place);
            }
        }
        line.set(out);
        line.signs = Signs::of(&line.text);
    }
}

/// Whether two of the signs stand in a line, as a first look tells: hardly a line of an output has them.
fn may_have_signs(text: &str, signs: Signs) -> bool {
    let bytes = text.as_bytes();
    let stressed = || {
        let is = |at: usize| {
            let sign = bytes.get(at);
            sign == Some(&b'`') || sign == bytes.get(at + 1)
        };
        signs.has(Signs::STRESS) && memchr::memchr3_iter(b'*', b'~', b'`', bytes).any(is)
    };
    stressed()
        || signs.has(Signs::UNDERSCORE) && has_pair(bytes, *b"__")
        || signs.has(Signs::APOSTROPHE) && has_pair(bytes, *b"''")
}

/// The same of tags, one of which closes.
fn may_have_tags(text: &str, signs: Signs) -> bool {
    let bytes = text.as_bytes();
    signs.has(Signs::MARKUP) && (has_pair(bytes, *b"</") || has_pair(bytes, *b"[/"))
        || signs.has(Signs::BRACE) && has_pair(bytes, *b"{c")
}

fn has_pair(bytes: &[u8], [first, second]: [u8; 2]) -> bool {
    // Without a way out of the loop many bytes are compared at once.
    let pairs = bytes.iter().zip(bytes.iter().skip(1));
    let found = pairs.map(|(one, next)| u8::from(*one == first && *next == second));
    found.fold(0, |all, pair| all | pair) > 0
}

/// Tags that open and close on this line.
fn tags(text: &str, cuts: &mut Vec<(usize, usize)>) {
    for (open, close) in [('<', '>'), ('[', ']')] {
        for (at, _) in text.match_indices(open) {
            let Some((inner, _)) = text.get(at + 1..).and_then(|rest| rest.split_once(close))
            else {
                continue;
            };
            let name = inner.split([' ', '=']).next().unwrap_or_default();
            if inner.len() > 60 || !TAGS.contains(&name.to_ascii_lowercase().as_str()) {
                continue;
            }
            let end = format!("{open}/{name}{close}");
            let from = at + inner.len() + 2;
            if let Some(behind) = text.get(from..).and_then(|rest| rest.find(&end)) {
                cuts.push((at, from));
                cuts.push((from + behind, from + behind + end.len()));
            }
        }
    }
    // `{color:red}x{color}`
    let mut colours = text.match_indices("{color").filter_map(|(at, _)| {
        let length = text.get(at..)?.find('}')? + 1;
        (length < 30).then_some((at, at + length))
    });
    while let (Some(first), Some(second)) = (colours.next(), colours.next()) {
        cuts.extend([first, second]);
    }
}

/// Signs around words. Outside of code they are what a whole line is emphasised by, which names a
/// command; within, and around a word of a line that goes on, they are none of the output.
fn signs(text: &str, fenced: bool, cuts: &mut Vec<(usize, usize)>) {
    for sign in PAIRS {
        let mut from = 0;
        while let Some(at) = text.get(from..).and_then(|rest| rest.find(sign)).map(|at| from + at) {
            let inner = at + sign.len();
            let Some(length) = text.get(inner..).and_then(|rest| rest.find(sign)) else { break };
            let (end, behind) = (inner + length, inner + length + sign.len());
            from = behind;
            let within = text.get(inner..end).unwrap_or_default();
            let before = text.get(..at).and_then(|text| text.chars().next_back());
            let next = text.get(behind..).and_then(|text| text.chars().next());
            let apart = |c: Option<char>| {
                c.is_none_or(|c| {
                    c.is_whitespace() || matches!(c, '(' | ')' | ',' | '=' | ':' | '"' | '@')
                })
            };
            let tight = !within.is_empty()
                && !within.starts_with(char::is_whitespace)
                && !within.ends_with(char::is_whitespace);
            let indented = text.starts_with([' ', '\t']) && *sign != "`";
            let goes_on = text.get(behind..).is_some_and(|rest| rest.starts_with("  "));
            if tight && apart(before) && apart(next) && (fenced || indented || goes_on) {
                cuts.extend([(at, inner), (end, behind)]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emphasis_comes_off() {
        let plain = |text: &str, fenced: bool| {
            let mut lines = vec![Line::new(1, text.into())];
            if fenced {
                lines.insert(0, Line { mark: Mark::Open, ..Line::new(1, "".into()) });
            }
            take_off(&mut lines);
            lines.pop().unwrap().text.into_owned()
        };
        for (text, fenced, wanted) in [
            ("            **tag: 4095**", false, "            tag: 4095"),
            (" **vnet5**   bridge", false, " vnet5   bridge"),
            ("Interface **vnet5**", true, "Interface vnet5"),
            ("2: `eth0`: <UP>", true, "2: eth0: <UP>"),
            ("Port [b]tap1[/b]", false, "Port tap1"),
            ("Port [color=red]tap1[/color]", false, "Port tap1"),
            ("Port <strong>tap1</strong>", false, "Port tap1"),
            ("{color:red}vnet5{color} bridge", false, "vnet5 bridge"),
            ("__vnet5__  bridge", false, "vnet5  bridge"),
            // What names a command, and what is none.
            ("**ip a**", false, "**ip a**"),
            ("Output of `ip a`:", false, "Output of `ip a`:"),
            ("2: eth0: <BROADCAST,UP> mtu", false, "2: eth0: <BROADCAST,UP> mtu"),
            ("priority=1,ip actions=drop ** x", true, "priority=1,ip actions=drop ** x"),
        ] {
            assert_eq!(plain(text, fenced), wanted);
        }
    }
}
