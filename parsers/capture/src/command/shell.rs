//! As much of the shell's grammar as saved command lines need.

/// One command between pipes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Stage {
    /// Its words, quotes taken off.
    pub(super) words: Vec<String>,
    /// Its output goes to a file.
    pub(super) elsewhere: bool,
    /// What it complains of goes to a file: `2>/dev/null`.
    pub(super) hushed: bool,
}

/// Splits a line at `;`, `&&`, `||`, `&` into pipelines of stages. `None` for loops and
/// conditions.
pub(super) fn split(line: &str) -> Option<Vec<Vec<Stage>>> {
    const KEYWORDS: &[&str] =
        &["for", "while", "until", "if", "case", "do", "done", "then", "function", "{", "("];
    let mut list = vec![vec![Stage::default()]];
    let mut chars = line.trim().chars().peekable();
    while let Some(&next) = chars.peek() {
        match next {
            ' ' | '\t' => {
                chars.next();
            }
            '#' => break,
            ';' => {
                chars.next();
                list.push(vec![Stage::default()]);
            }
            '|' => {
                chars.next();
                if chars.next_if_eq(&'|').is_some() {
                    list.push(vec![Stage::default()]);
                } else {
                    chars.next_if_eq(&'&');
                    list.last_mut()?.push(Stage::default());
                }
            }
            '&' => {
                chars.next();
                if chars.peek() == Some(&'>') {
                    redirect(&mut chars, list.last_mut()?.last_mut()?, "&");
                } else {
                    chars.next_if_eq(&'&');
                    list.push(vec![Stage::default()]);
                }
            }
            '>' | '<' => redirect(&mut chars, list.last_mut()?.last_mut()?, "1"),
            _ => {
                let word = word(&mut chars);
                let stage = list.last_mut()?.last_mut()?;
                let descriptor = word.len() == 1 && word.starts_with(|c: char| c.is_ascii_digit());
                if descriptor && chars.peek() == Some(&'>') {
                    redirect(&mut chars, stage, &word);
                } else {
                    if stage.words.is_empty() && KEYWORDS.contains(&word.as_str()) {
                        return None;
                    }
                    stage.words.push(word);
                }
            }
        }
    }
    list.retain(|it| it.iter().any(|it| !it.words.is_empty()));
    Some(list)
}

/// What stands in the brackets of `( … )` or `{ …; }`, where these hold the whole line but for
/// redirections.
pub(super) fn group(line: &str) -> Option<&str> {
    let line = line.trim();
    let close = match line.chars().next()? {
        '(' => ')',
        '{' => '}',
        _ => return None,
    };
    let (inner, behind) = line.get(1..)?.rsplit_once(close)?;
    let is_redirect = |word: &str| word.contains('>') || word.starts_with("/dev/");
    let alone = behind.split_whitespace().all(is_redirect);
    (alone && !inner.contains(['(', ')', '{', '}'])).then(|| inner.trim().trim_end_matches(';'))
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// One word, with quotes and escapes taken off.
fn word(chars: &mut Chars<'_>) -> String {
    let mut word = String::new();
    while let Some(&next) = chars.peek() {
        match next {
            ' ' | '\t' | ';' | '|' | '&' | '>' | '<' => break,
            '\'' => {
                chars.next();
                word.extend(chars.by_ref().take_while(|&c| c != '\''));
            }
            '"' => {
                chars.next();
                while let Some(it) = chars.next() {
                    match it {
                        '"' => break,
                        '\\' => word.extend(chars.next()),
                        _ => word.push(it),
                    }
                }
            }
            '\\' => {
                chars.next();
                word.extend(chars.next());
            }
            '$' => {
                chars.next();
                word.push('$');
                // What another command prints is one word of this one.
                if chars.peek() == Some(&'(') {
                    let mut depth = 0_u32;
                    for c in chars.by_ref() {
                        word.push(c);
                        match c {
                            '(' => depth += 1,
                            ')' if depth <= 1 => break,
                            ')' => depth -= 1,
                            _ => {}
                        }
                    }
                }
            }
            _ => {
                chars.next();
                word.push(next);
            }
        }
    }
    word
}

/// `> FILE`, `>> FILE`, `>&2`, `< FILE`: the operator and its target.
/// `descriptor` is what is sent there, `&` for output and errors.
fn redirect(chars: &mut Chars<'_>, stage: &mut Stage, descriptor: &str) {
    let output = chars.next() == Some('>');
    while chars.next_if(|c| matches!(c, '>' | '<' | '|')).is_some() {}
    if chars.next_if_eq(&'&').is_some() {
        // Another descriptor: `2>&1`.
        while chars.next_if(|c| c.is_ascii_digit() || *c == '-').is_some() {}
        return;
    }
    while chars.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
    word(chars);
    stage.elsewhere |= output && matches!(descriptor, "1" | "&");
    stage.hushed |= output && matches!(descriptor, "2" | "&");
}
