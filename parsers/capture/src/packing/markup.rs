//! Blocks of code in Markdown, HTML, BBCode and their like.
use std::borrow::Cow;

use super::placed::Placed;
use super::{Line, Mark, letters, signs::Signs};

/// Tags around text of a page. None of them occurs in the XML of libvirt.
const TAGS: &[&str] = &[
    "p",
    "br",
    "div",
    "span",
    "b",
    "i",
    "em",
    "strong",
    "tt",
    "li",
    "ul",
    "ol",
    "summary",
    "details",
    "blockquote",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "html",
    "body",
    "font",
    "a",
    "o:p",
    "table",
    "tbody",
    "td",
    "th",
    "tr",
];

/// Tags that begin and end code.
const CODE: &[&str] = &["pre", "code", "listing", "nowiki", "syntaxhighlight", "textarea"];

/// Classes of the numbers that pages put before lines of code.
const NUMBERS: &[&str] = &[
    "blob-num",
    "hljs-ln-n",
    "line-number",
    "line-numbers",
    "linenos",
    "lineno",
    "lnt",
    "ln",
    "n",
];

/// The same in forums.
const BBCODE: &[&str] = &[
    "code",
    "quote",
    "pre",
    "noparse",
    "icode",
    "spoiler",
    "sourcecode",
    "shell",
    "bash",
    "plain",
];

/// Tags around words there.
const BBTEXT: &[&str] = &["b", "i", "u", "font", "size", "color", "url"];

/// Takes the markup off: blocks of code get a line of their own where they begin and end. Says
/// whether there was any.
pub(super) fn take_off(lines: Vec<Line<'_>>) -> (Vec<Line<'_>>, bool) {
    let Marks { page, forum, escaped } = Marks::of(&lines);
    if !(page || forum || escaped || lines.iter().any(Fence::may_begin)) {
        return (lines, false);
    }
    let mut out = Vec::with_capacity(lines.len());
    let mut fence = Fence::new(&lines);
    for mut line in lines {
        if fence.line(&mut line, &mut out) {
            continue;
        }
        let plain = !(page && line.text.contains('<') || forum && line.text.contains('['));
        if plain || fence.open {
            if escaped {
                entities(&mut line);
            }
            out.push(line);
        } else {
            tags(line, page, forum, escaped, &mut out);
        }
    }
    (out, true)
}

/// Which markup a text has at all.
#[derive(Default)]
struct Marks {
    page: bool,
    forum: bool,
    /// `&lt;` stands for `<`.
    escaped: bool,
}

impl Marks {
    /// Looks once at each `<`, `[` and `&`: texts are long, and markup is rare.
    fn of(lines: &[Line<'_>]) -> Self {
        let (mut marks, mut entities) = (Self::default(), false);
        for line in lines.iter().filter(|line| line.signs.has(Signs::MARKUP)) {
            for at in memchr::memchr3_iter(b'<', b'[', b'&', line.text.as_bytes()) {
                let Some(tail) = line.text.get(at..) else { continue };
                let is = |starts: &[&str]| {
                    let head = |start: &&str| tail.as_bytes().get(..start.len());
                    let same = |start| {
                        head(start).is_some_and(|it| it.eq_ignore_ascii_case(start.as_bytes()))
                    };
                    starts.iter().any(same)
                };
                match tail.as_bytes() {
                    [b'<', name @ ..] => marks.page |= is_of_page(name),
                    [b'[', ..] => {
                        marks.forum |= is(&[
                            "[code",
                            "[pre]",
                            "[quote",
                            "[icode",
                            "[spoiler",
                            "[sourcecode",
                            "[noparse",
                            "[shell]",
                        ]);
                    }
                    [b'&', ..] => {
                        entities |= is(&["&lt;", "&nbsp;", "&quot;", "&#60;", "&#x3c;", "&#x3C;"]);
                    }
                    _ => {}
                }
            }
        }
        // The XML of libvirt has entities of its own.
        let xml = || {
            let holds = |line: &Line<'_>| {
                ["<domain", "</", "/>"].iter().any(|part| line.text.contains(part))
            };
            lines.iter().any(holds)
        };
        marks.escaped = entities && (marks.page || !xml());
        marks
    }
}

/// Whether a tag begins here that only pages have. `<BROADCAST,UP>` begins with `<br`, too.
fn is_of_page(behind: &[u8]) -> bool {
    const NAMES: &[&str] = &[
        "pre",
        "code",
        "details",
        "blockquote",
        "p",
        "br",
        "syntaxhighlight",
        "nowiki",
        "textarea",
        "tr",
        "td",
        "div",
        "span",
        "li",
        "html",
        "body",
    ];
    let letters = behind.iter().take_while(|b| b.is_ascii_alphabetic()).count();
    let (name, rest) = behind.split_at_checked(letters).unwrap_or((behind, &[]));
    // `<my-code lang="x">`: an element of a page's own.
    if let [b'-', own @ ..] = rest
        && name.iter().all(u8::is_ascii_lowercase)
    {
        let more = own.iter().take_while(|b| b.is_ascii_lowercase() || **b == b'-').count();
        return letters > 1
            && more > 1
            && own
                .get(more..)
                .is_some_and(|rest| rest.starts_with(b" lang=") || rest.starts_with(b" class="));
    }
    matches!(rest.first(), None | Some(b'>' | b'/' | b' '))
        && NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// Fences of Markdown and of wikis.
#[derive(Default)]
struct Fence {
    open: bool,
    /// Rules of dashes stand in pairs: one alone is between two outputs, or cuts one.
    dashes: bool,
}

impl Fence {
    fn new(lines: &[Line<'_>]) -> Self {
        let is_rule = |line: &&Line<'_>| is_dashes(line.trimmed());
        Self { open: false, dashes: lines.iter().filter(is_rule).count() % 2 == 0 }
    }

    /// Whether a line may be the first fence, at the cost of a look.
    fn may_begin(line: &Line<'_>) -> bool {
        const STARTS: &[&str] = &["```", "~~~", "{noformat}", "{code}", "{code:", "{%", "#+"];
        let body = line.text.as_bytes().trim_ascii_start();
        match body.first() {
            // Tables of many tools have longer rules, which mean nothing.
            Some(b'-') => is_dashes(line.trimmed()),
            Some(b'`' | b'~' | b'{' | b'#') => {
                STARTS.iter().any(|start| body.starts_with(start.as_bytes()))
            }
            _ => false,
        }
    }

    /// Whether the line was a fence, which then stands in `out`; text on the same line stays text.
    fn line<'a>(&mut self, line: &mut Line<'a>, out: &mut Vec<Line<'a>>) -> bool {
        let body = line.text.trim_start();
        let may_be_one = body.starts_with(['`', '~', '{', '-', '#']);
        if !may_be_one && (!self.open || !body.contains("```")) {
            return false;
        }
        let indent = line.text.len() - body.len();
        let org = ["#+begin_", "#+end_"]
            .iter()
            .any(|word| body.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word)));
        let toggles = matches!(body.trim_end(), "{noformat}" | "{code}")
            || self.dashes && is_dashes(body.trim_end())
            || body.starts_with("{code:")
            || body.starts_with("{%") && body.trim_end().ends_with("%}")
            || org;
        if let Some(head) =
            line.text.trim_end().strip_suffix("```").filter(|rest| !rest.trim().is_empty())
            && !head.contains('`')
            && self.open
        {
            let length = head.len();
            line.truncate(length);
            let end = edge(line, Mark::Close);
            self.open = false;
            out.extend([line.clone(), end]);
            return true;
        }
        if !toggles && !body.starts_with("```") && !body.starts_with("~~~") {
            return false;
        }
        let ticks = body.bytes().take_while(|&b| b == b'`' || b == b'~').count();
        let rest = body.get(ticks..).unwrap_or_default().trim();
        // `~~~ snipped ~~~` stands for lines that were left out.
        if !toggles && body.starts_with('~') && rest.contains('~') {
            return false;
        }
        let language = toggles || !rest.contains(char::is_whitespace) && !rest.contains('`');
        self.open = !self.open;
        out.push(edge(line, if self.open { Mark::Open } else { Mark::Close }));
        if language {
            return true;
        }
        // Text behind the fence: an info string, or the first line of what was pasted.
        line.cut_front(indent + ticks);
        if let Some(inner) = line.text.trim_end().strip_suffix("```") {
            let length = inner.len();
            line.truncate(length);
            self.open = false;
            let end = edge(line, Mark::Close);
            out.extend([line.clone(), end]);
            return true;
        }
        false
    }
}

/// The rules that some put around code.
fn is_dashes(line: &str) -> bool {
    matches!(line, "----8<----" | "----")
}

/// A line that only says that code begins or ends.
fn edge<'a>(line: &Line<'_>, mark: Mark) -> Line<'a> {
    Line { mark, ..Line::new(line.number, Cow::Borrowed("")) }
}

/// Takes tags off one line.
fn tags<'a>(line: Line<'a>, page: bool, forum: bool, escaped: bool, out: &mut Vec<Line<'a>>) {
    let mut piece = Placed::default();
    let mut characters = line.characters();
    let mut rest: &str = &line.text;
    let mut any = false;
    let mut done = |piece: &mut Placed, mark: Option<Mark>, out: &mut Vec<Line<'a>>| {
        if !piece.text().trim().is_empty() {
            let mut made = std::mem::take(piece).into_line(line.number);
            if escaped {
                entities(&mut made);
            }
            out.push(made);
            any = true;
        }
        piece.clear();
        if let Some(mark) = mark {
            // Tags within tags are one block.
            let same =
                out.last().is_some_and(|pair| pair.mark == mark && pair.number == line.number);
            if !same {
                out.push(edge(&line, mark));
            }
            any = true;
        }
    };
    while let Some(c) = rest.chars().next() {
        if page
            && c == '<'
            && let Some(length) = numbered(rest)
        {
            // What stands there is of the page.
            let count = rest.get(..length).unwrap_or_default().chars().count();
            characters.by_ref().take(count).for_each(drop);
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        let tag = match c {
            '<' if page => tag(rest, '>', &[TAGS, CODE]),
            '[' if forum => tag(rest, ']', &[BBCODE, BBTEXT]),
            _ => None,
        };
        let is_text = tag.is_none();
        let length = tag.as_ref().map_or(c.len_utf8(), |tag| tag.length);
        match tag {
            Some(tag) if tag.is_code => {
                let mark = if tag.closes { Mark::Close } else { Mark::Open };
                done(&mut piece, Some(mark), out);
            }
            Some(tag) if tag.breaks => done(&mut piece, None, out),
            Some(_) | None => {}
        }
        let taken = rest.get(..length).unwrap_or_default().chars().count();
        let place = characters.by_ref().take(taken).last();
        if is_text && let Some((c, place)) = place {
            piece.push(c, place);
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    done(&mut piece, None, out);
    if !any {
        out.push(Line { column: line.column, ..Line::new(line.number, Cow::Borrowed("")) });
    }
}

/// How long an element is that holds the number of a line: `<span class="ln">22</span>`.
fn numbered(text: &str) -> Option<usize> {
    const LONGEST: usize = 200;
    let head = text.get(..text.floor_char_boundary(LONGEST.min(text.len())))?;
    let (open, rest) = head.split_once('>')?;
    let (name, attributes) = open.strip_prefix('<')?.split_once(' ')?;
    let class = attributes.split_once("class=")?.1.trim_start_matches(['"', '\'']);
    let class = class.split(['"', '\'', ' ']).next()?;
    if !matches!(name, "span" | "td" | "a") || !NUMBERS.contains(&class) {
        return None;
    }
    let (number, behind) = rest.split_once('<')?;
    let is_number = number.trim().bytes().all(|b| b.is_ascii_digit());
    let end = behind.strip_prefix('/')?.strip_prefix(name)?.strip_prefix('>')?;
    is_number.then_some(head.len() - end.len())
}

/// A tag at the beginning of a text.
struct Tag {
    length: usize,
    closes: bool,
    is_code: bool,
    /// What follows stands on another line.
    breaks: bool,
}

/// The tag at the beginning of a text, if it is one of these.
fn tag(text: &str, end: char, names: &[&[&str]]) -> Option<Tag> {
    const LONGEST: usize = 200;
    let head = text.get(..text.floor_char_boundary(LONGEST.min(text.len())))?;
    let length = head.find(end)? + 1;
    let inner = head.get(1..length - 1)?;
    let closes = inner.starts_with('/');
    let inner = inner.trim_matches('/').trim_end();
    let ends: &[char] = if end == '>' { &[' ', '='] } else { &[' ', '=', ':'] };
    let name = inner.split(ends).next()?.to_ascii_lowercase();
    let plain = inner.len() == name.len() || inner.contains('=') || inner.contains(':');
    // Elements of a page's own have a hyphen in their names.
    let own = end == '>'
        && name.contains('-')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    let known = names.iter().any(|list| list.contains(&name.as_str()));
    if !plain || !(known || own) {
        return None;
    }
    let is_code = CODE.contains(&name.as_str()) || BBCODE.contains(&name.as_str());
    let breaks = matches!(name.as_str(), "p" | "br" | "div" | "li" | "summary" | "details" | "tr")
        || name.starts_with('h');
    Some(Tag { length, closes, is_code, breaks })
}

/// Takes back the character entities of a page that was copied as HTML.
fn entities(line: &mut Line<'_>) {
    if !line.text.contains('&') {
        return;
    }
    let mut plain = Placed::with_capacity(line.text.len());
    let mut characters = line.characters();
    let mut rest: &str = &line.text;
    while let Some((c, place)) = characters.next() {
        let mut length = c.len_utf8();
        match entity(rest) {
            Some((c, all)) => {
                length = all;
                // All of an entity is ASCII.
                characters.by_ref().take(all - 1).for_each(drop);
                match letters::letter(c) {
                    Some(text) => plain.push_str(text, place),
                    None => plain.push(c, place),
                }
            }
            None => plain.push(c, place),
        }
        rest = rest.get(length..).unwrap_or_default();
    }
    line.set(plain);
}

/// The entity that a text begins with, and its length: `&lt;`, `&#60;`, `&#x3c;`.
fn entity(text: &str) -> Option<(char, usize)> {
    const LONGEST: usize = 10;
    let inner = text.strip_prefix('&')?;
    let end = inner.bytes().take(LONGEST).position(|b| b == b';')?;
    let name = inner.get(..end)?;
    let c = match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)?
        }
        None => match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" | "ldquo" | "rdquo" => '"',
            "apos" | "lsquo" | "rsquo" => '\'',
            "nbsp" | "ensp" | "emsp" => ' ',
            "ndash" | "mdash" | "minus" => '-',
            "hellip" => '…',
            _ => return None,
        },
    };
    Some((c, end + 2))
}
