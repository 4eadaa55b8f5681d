//! What stands before each line of what a log, a chat, a frame or a tool for many hosts shows: a
//! time, a nick, a bar, the name of the host; and lines as texts of JSON.
use tapline_formats::registry;

use super::Line;
use super::placed::Placed;

/// What is the same for the lines of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Kind {
    /// `| `, `│ … │`
    Bar(char),
    /// `: `, by which org-mode marks what a program printed.
    Colon,
    /// `BW> `, the initials of whom a mail quotes.
    Initials(String),
    /// `session.log:12:`, of `grep -n`.
    Place(String),
    /// `<bob> `
    Nick(String),
    /// `node2: `, `node2 | `
    Host(String),
    /// `[node2] out: ` of fabric.
    Out(String),
    /// `2026-11-29T12:00:00Z `, `[12:00:00.123] `, and what a runtime of containers writes behind
    /// it: `stdout F `.
    Time,
    /// `Nov 29 12:00:00 node2 dump.sh[71]: ` of a journal.
    Journal,
    /// `"…",`
    Json,
    /// `+`, before each line of a text that a difference adds.
    Added,
}

/// Nobody has more initials.
const INITIALS: usize = 4;

/// Takes the prefix off where several lines in a row have the same, and what is left is an output.
pub(super) fn take_off(lines: &mut [Line<'_>]) {
    const FEWEST: usize = 3;
    /// Runs that are looked into.
    const MOST: usize = 64;
    let mut runs = Vec::new();
    let (mut at, mut looked) = (0, 0);
    while let Some(line) = lines.get(at) {
        let Some((kind, _)) = prefix(&line.text) else {
            at += 1;
            continue;
        };
        let same = |line: &&Line<'_>| length(&line.text, &kind).is_some();
        let run = lines.get(at..).unwrap_or_default().iter().take_while(same).count().max(1);
        if run >= FEWEST && looked < MOST {
            looked += 1;
            if lines.get(at..at + run).is_some_and(|run| is_output(run, &kind)) {
                runs.push((at, run, kind));
            }
        }
        at += run;
    }
    // What several hosts print is not to be mixed.
    let mut hosts: Vec<_> = runs.iter().filter(|run| matches!(run.2, Kind::Host(_))).collect();
    hosts.dedup_by(|a, b| a.2 == b.2);
    if hosts.len() > 1 {
        return;
    }
    for (at, run, kind) in runs {
        for line in lines.iter_mut().skip(at).take(run) {
            strip(line, &kind);
        }
    }
}

/// Takes what belongs to the prefix off both ends.
fn strip(line: &mut Line<'_>, kind: &Kind) {
    let Some(cut) = length(&line.text, kind) else { return };
    line.cut_front(cut);
    match kind {
        Kind::Bar(bar) => shorten(line, |text| text.trim_end().trim_end_matches(*bar).trim_end()),
        Kind::Json => {
            shorten(line, |text| {
                let text = text.trim_end().trim_end_matches(',');
                text.strip_suffix('"').unwrap_or(text)
            });
            if line.text.contains('\\') {
                let mut plain = Placed::with_capacity(line.text.len());
                let mut characters = line.characters();
                while let Some((c, place)) = characters.next() {
                    let escaped = if c == '\\' { characters.next() } else { None };
                    match escaped {
                        Some(('t', _)) => plain.push('\t', place),
                        // Lists of lines keep their ends.
                        Some(('n', _)) => {}
                        Some((c @ ('"' | '\\'), _)) => plain.push(c, place),
                        Some((other, behind)) => {
                            plain.push(c, place);
                            plain.push(other, behind);
                        }
                        None => plain.push(c, place),
                    }
                }
                line.set(plain);
            }
        }
        _ => {}
    }
}

fn shorten(line: &mut Line<'_>, shorter: impl Fn(&str) -> &str) {
    let length = shorter(&line.text).len();
    line.truncate(length);
}

/// Whether lines are the output of a command, or a session, once the prefix is gone.
fn is_output(run: &[Line<'_>], kind: &Kind) -> bool {
    const SEEN: usize = 40;
    let mut text = String::new();
    for line in run.iter().take(SEEN) {
        let mut line = line.clone();
        strip(&mut line, kind);
        if crate::transcript::is_prompt(&line.text) {
            return true;
        }
        text.push_str(&line.text);
        text.push('\n');
    }
    registry::by_content(&text).is_some()
}

/// The prefix of a line, and how long it is.
fn prefix(text: &str) -> Option<(Kind, usize)> {
    const LONGEST: usize = 64;
    // Most lines of an output are indented, and no texts of JSON.
    if text.starts_with([' ', '\t']) {
        let first = text.as_bytes().trim_ascii_start().first();
        if first.is_none_or(|b| b.is_ascii() && *b != b'"') {
            return None;
        }
    }
    let kind = match text.chars().next()? {
        bar @ ('|' | '│' | '┃' | '║' | '#') => Kind::Bar(bar),
        '<' => {
            let (nick, _) = text.strip_prefix('<')?.split_once("> ")?;
            let plain = !nick.is_empty() && nick.len() < LONGEST && !nick.contains([' ', '/', '=']);
            Kind::Nick(plain.then(|| nick.to_owned())?)
        }
        '+' => Kind::Added,
        ':' if text == ":" || text.starts_with(": ") => Kind::Colon,
        '"' => Kind::Json,
        ' ' | '\t' if text.trim_start().starts_with('"') => Kind::Json,
        '[' if out_of(text).is_some() => Kind::Out(out_of(text)?.0.to_owned()),
        '[' | '0'..='9' => Kind::Time,
        'A'..='Z' if behind_journal(text).is_some() => Kind::Journal,
        'a'..='z' | 'A'..='Z' => {
            let name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
            let end = text.bytes().take(LONGEST).position(|b| !name(&b))?;
            let (host, rest) = text.split_at_checked(end)?;
            if let Some(behind) = behind_place(text, host) {
                return Some((Kind::Place(host.to_owned()), text.len() - behind.len()));
            }
            if rest.starts_with('>') && end <= INITIALS {
                return Some((Kind::Initials(host.to_owned()), end + 1));
            }
            let between = rest.starts_with(": ") || rest.starts_with(" | ") || rest == ":";
            Kind::Host(between.then(|| host.to_owned())?)
        }
        _ => return None,
    };
    let length = length(text, &kind)?;
    Some((kind, length))
}

/// How long a prefix of this kind is; `None` where the line has none.
fn length(text: &str, kind: &Kind) -> Option<usize> {
    let rest = match kind {
        Kind::Bar(bar) => {
            let rest = text.strip_prefix(*bar)?;
            rest.strip_prefix(' ').unwrap_or(rest)
        }
        Kind::Nick(nick) => {
            let rest = text.strip_prefix('<')?.strip_prefix(nick.as_str())?.strip_prefix('>')?;
            rest.strip_prefix(' ').unwrap_or(rest)
        }
        Kind::Host(host) => {
            let rest = text.strip_prefix(host.as_str())?;
            let rest = rest.strip_prefix(" |").or_else(|| rest.strip_prefix(':'))?;
            rest.strip_prefix(' ').unwrap_or(rest)
        }
        Kind::Colon => {
            let rest = text.strip_prefix(':')?;
            if rest.is_empty() { rest } else { rest.strip_prefix(' ')? }
        }
        Kind::Initials(initials) => {
            let rest = text.strip_prefix(initials.as_str())?.strip_prefix('>')?;
            rest.strip_prefix(' ').unwrap_or(rest)
        }
        Kind::Place(file) => behind_place(text, file)?,
        Kind::Out(host) => {
            let (same, rest) = out_of(text)?;
            (same == host).then_some(rest.strip_prefix(' ').unwrap_or(rest))?
        }
        Kind::Time => {
            let rest = after_time(text)?;
            let of_runtime = ["stdout F ", "stderr F ", "stdout P "];
            of_runtime.iter().find_map(|stream| rest.strip_prefix(stream)).unwrap_or(rest)
        }
        Kind::Journal => behind_journal(text)?,
        Kind::Added => text.strip_prefix('+')?,
        Kind::Json => {
            let end = text.trim_end().trim_end_matches(',');
            let rest = text.trim_start().strip_prefix('"')?;
            (end.ends_with('"') && end.trim_start().len() > 1).then_some(rest)?
        }
    };
    Some(text.len() - rest.len())
}

/// What stands behind `session.log:12:`.
fn behind_place<'a>(text: &'a str, file: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(file)?.strip_prefix(':')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    rest.get(digits..)?.strip_prefix(':').filter(|_| digits > 0)
}

/// The host of `[node2] out: `, and what stands behind.
fn out_of(text: &str) -> Option<(&str, &str)> {
    const LONGEST: usize = 64;
    let body = text.strip_prefix('[')?;
    let end = memchr::memchr(b']', body.as_bytes()).filter(|&end| end < LONGEST)?;
    let (host, rest) = body.split_at_checked(end)?;
    Some((host, rest.strip_prefix("] out:")?))
}

/// What stands behind `Nov 29 12:00:00 node2 dump.sh[71]: `.
fn behind_journal(text: &str) -> Option<&str> {
    const DATE: usize = "Nov 29 12:00:00".len();
    let (date, rest) = text.split_at_checked(DATE)?;
    let mut parts = date.as_bytes().split(|b| matches!(b, b' ' | b':'));
    let month = parts.next()?.iter().all(u8::is_ascii_alphabetic);
    let numbers = parts.flatten().all(u8::is_ascii_digit);
    let (host, rest) = rest.strip_prefix(' ')?.split_once(' ')?;
    let (tag, rest) = rest.split_once(':')?;
    let named = |name: &str| !name.is_empty() && !name.contains(['<', ' ', '/']);
    let is = month && numbers && date.ends_with(|c: char| c.is_ascii_digit());
    (is && date.contains(':') && named(host) && named(tag))
        .then(|| rest.strip_prefix(' ').unwrap_or(rest))
}

/// What stands behind a time at the beginning of a line.
fn after_time(text: &str) -> Option<&str> {
    const SHORTEST: usize = 8;
    const PARTS: &[u8] = b":-.,+TZ ";
    // The first characters tell: lists number their lines, and no line of them has a time.
    let begun = text.as_bytes().strip_prefix(b"[").unwrap_or(text.as_bytes()).get(..SHORTEST)?;
    if !begun.iter().all(|b| b.is_ascii_digit() || PARTS.contains(b)) {
        return None;
    }
    let (time, rest) = match text.strip_prefix('[') {
        Some(inner) => {
            let (time, rest) = inner.split_once(']')?;
            (time, rest.strip_prefix(' ').unwrap_or(rest))
        }
        None => text.split_once([' ', '\t']).unwrap_or((text, "")),
    };
    let is_time = time.len() >= SHORTEST
        && time.bytes().filter(|b| *b == b':').count() >= 2
        && time.bytes().all(|b| b.is_ascii_digit() || PARTS.contains(&b));
    if is_time {
        return Some(rest);
    }
    // `2026-11-29 12:00:00 `
    let is_date = time.len() == 10 && time.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let (time, behind) = rest.split_once(' ').unwrap_or((rest, ""));
    let clock = time.len() >= 8 && time.bytes().all(|b| b.is_ascii_digit() || b":.,".contains(&b));
    (is_date && clock && time.contains(':')).then_some(behind)
}

#[cfg(test)]
mod tests {
    use super::super::unpack;

    const OUTPUT: [&str; 4] = [
        "89d1e41f-5d32-44cc-82f0-cc759345a78b",
        "    Bridge br-int",
        "        fail_mode: secure",
        "    ovs_version: \"2.17.9\"",
    ];

    fn stripped(text: &str) -> bool {
        let lines = unpack(text);
        let same = lines.iter().zip(OUTPUT).all(|(line, wanted)| line.text == wanted);
        same && lines.iter().all(|line| line.column > 0)
    }

    #[test]
    fn prefixes_come_off() {
        for before in [
            "| ",
            ": ",
            "BW> ",
            "notes.log:7:",
            "<bob> ",
            "node2: ",
            "node2 | ",
            "2026-11-29T12:00:00Z ",
            "[12:00:00.123] ",
            "# ",
            "[node2] out: ",
            "Nov  9 12:00:00 node2 dump.sh[71]: ",
            "2026-11-29T12:00:00.000000001Z stdout F ",
        ] {
            let lines: Vec<_> = OUTPUT.iter().map(|line| format!("{before}{line}")).collect();
            let text = lines.join("\n") + "\n";
            assert!(stripped(&text), "{text}{:?}", unpack(&text));
        }
        let framed: Vec<_> = OUTPUT.iter().map(|line| format!("│ {line:<60} │")).collect();
        let framed = framed.join("\n") + "\n";
        assert!(stripped(&framed), "{:?}", unpack(&framed));
        let quoted = |line: &&str| format!("    \"{}\",\n", line.replace('"', "\\\""));
        let json: String = OUTPUT.iter().map(quoted).collect();
        assert!(stripped(&json), "{:?}", unpack(&json));
    }

    #[test]
    fn what_is_no_output_keeps_its_prefix() {
        for text in [
            "node2: a\nnode2: b\nnode2: c\nnode2: d\n",
            "1: lo: <UP>\n2: eth0: <UP>\n3: eth1: <UP>\n",
            "12:00:00 a\n12:00:01 b\n12:00:02 c\n",
        ] {
            assert!(unpack(text).iter().all(|line| line.column == 0), "{text}");
        }
        let mixed: String = ["node2: ", "node3: "]
            .iter()
            .flat_map(|before| OUTPUT.iter().map(move |line| format!("{before}{line}\n")))
            .collect();
        assert!(unpack(&mixed).iter().all(|line| line.column == 0), "{:?}", unpack(&mixed));
    }
}
