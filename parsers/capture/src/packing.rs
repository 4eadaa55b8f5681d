//! What people wrap outputs in, taken off before anybody looks for commands: escape sequences,
//! the encoding and the quotation marks of mails, line numbers, the markup of pages and forums,
//! letters of word processors, names and times before each line, lines that were broken to a width,
//! panes side by side, cells of notebooks, signs of differences.
//!
//! Every line keeps the number that it has in the text, and how much was taken off in front of it.
mod base64;
mod cast;
mod diffs;
mod emphasis;
mod letters;
mod markup;
mod notebook;
mod numbered;
mod panes;
mod placed;
mod prefixed;
mod printable;
mod quoted;
mod screen;
pub(crate) mod signs;
mod wrapped;

use std::borrow::Cow;

use tapline_core::capture::{LinePlace, Shift};
use tapline_core::text::lines;

use placed::{Characters, Placed};
use signs::Signs;

/// What a line is besides its text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mark {
    /// A line of text.
    Text,
    /// A block of code begins.
    Open,
    /// A block of code ends.
    Close,
}

/// One line without its packing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Line<'a> {
    /// Its one-based number in the packed text.
    pub(crate) number: u32,
    /// Characters that were taken off in front.
    pub(crate) column: u32,
    /// Where its parts stand that do not follow those before.
    shifts: Option<Box<[Shift]>>,
    /// What is left of it; `set_text` changes it.
    pub(crate) text: Cow<'a, str>,
    /// The characters that it has: all of these kinds, or it had more before something was taken off.
    pub(crate) signs: Signs,
    /// Whether it is text at all.
    pub(crate) mark: Mark,
}

impl<'a> Line<'a> {
    fn new(number: u32, text: Cow<'a, str>) -> Self {
        let signs = Signs::of(&text);
        Self { number, column: 0, shifts: None, text, signs, mark: Mark::Text }
    }

    /// Whether nothing was taken off, and nothing joined to it.
    pub(crate) fn is_as_written(&self) -> bool {
        self.column == 0 && self.mark == Mark::Text && matches!(self.text, Cow::Borrowed(_))
    }

    /// Leaves nothing of it but its place.
    pub(crate) fn empty(&mut self) {
        self.text = "".into();
        self.signs = Signs::of("");
        self.shifts = None;
    }

    /// Another text in its place.
    fn set_plain(&mut self, text: &'static str) {
        self.empty();
        self.signs = Signs::of(text);
        self.text = text.into();
    }

    /// Whether nothing stands on it.
    pub(crate) fn is_blank(&self) -> bool {
        !self.signs.has(Signs::INK)
            || self.signs.has(Signs::BEYOND_ASCII) && self.text.trim_start().is_empty()
            || self.text.as_bytes().trim_ascii_start().is_empty()
    }

    /// Its text without blanks at both ends. Most lines are ASCII, whose blanks are bytes; of the
    /// others a screen shows none.
    pub(crate) fn trimmed(&self) -> &str {
        if self.signs.has(Signs::BEYOND_ASCII) { self.text.trim() } else { self.text.trim_ascii() }
    }

    /// Whether it stands, from its first character on, on the line with this number.
    pub(crate) fn is_at(&self, number: u32) -> bool {
        self.number == number && self.column == 0 && self.shifts.is_none()
    }

    /// Where it stands.
    pub(crate) fn place(&self) -> LinePlace {
        LinePlace { line: self.number, column: self.column, shifts: self.shifts.clone() }
    }

    /// Its characters, each with its place.
    fn characters(&self) -> Characters<'_> {
        Characters::new(
            &self.text,
            (self.number, self.column),
            self.shifts.as_deref().unwrap_or_default(),
        )
    }

    /// Puts another text in place, the characters of which know where they stand.
    fn set(&mut self, placed: Placed) {
        let Self { text, number, column, shifts, signs, .. } = placed.into_line(self.number);
        (self.text, self.number, self.column, self.shifts, self.signs) =
            (text, number, column, shifts, signs);
    }

    /// Takes so many bytes off in front.
    pub(crate) fn cut_front(&mut self, bytes: usize) {
        let Some(front) = self.text.get(..bytes) else { return };
        let cut = u32::try_from(front.chars().count()).unwrap_or(0);
        match &self.shifts {
            None => self.column = self.column.saturating_add(cut),
            Some(shifts) => {
                let behind = shifts.iter().filter(|shift| shift.at > cut);
                let left: Vec<Shift> =
                    behind.map(|shift| Shift { at: shift.at - cut, ..*shift }).collect();
                (self.number, self.column) = self.place().of(cut);
                self.shifts = (!left.is_empty()).then(|| left.into_boxed_slice());
            }
        }
        match &mut self.text {
            Cow::Borrowed(text) => *text = text.get(bytes..).unwrap_or_default(),
            Cow::Owned(text) => drop(text.drain(..bytes)),
        }
    }

    /// Leaves so many bytes of it.
    fn truncate(&mut self, bytes: usize) {
        match &mut self.text {
            Cow::Borrowed(text) => *text = text.get(..bytes).unwrap_or(text),
            Cow::Owned(text) => text.truncate(bytes),
        }
    }

    /// Takes blanks off in front, at most so many.
    pub(crate) fn dedent(&self, most: usize) -> &str {
        let indent = self.text.len() - self.text.trim_start_matches(' ').len();
        self.text.get(indent.min(most)..).unwrap_or(&self.text)
    }
}

/// The lines of a text without its packing.
pub(crate) fn unpack(text: &str) -> Vec<Line<'_>> {
    let mut lines = match cast::lines(text).or_else(|| notebook::lines(text)) {
        Some(lines) => lines,
        None => {
            let mut plain =
                Vec::with_capacity(memchr::memchr_iter(b'\n', text.as_bytes()).count() + 1);
            plain.extend(lines(text).zip(1..).map(|(raw, n)| screen::line(n, raw)));
            plain
        }
    };
    if base64::may_be(text.as_bytes()) {
        base64::decode(&mut lines);
    }
    if printable::may_be(text.as_bytes()) {
        printable::decode(&mut lines);
    }
    letters::plain(&mut lines);
    quoted::take_off(&mut lines);
    diffs::take_off(&mut lines);
    let mut lines = panes::part(lines);
    prefixed::take_off(&mut lines);
    numbered::take_off(&mut lines);
    let (mut lines, changed) = markup::take_off(lines);
    if changed {
        // `&gt; ` of a page, and what stands before each line of a block of code.
        quoted::take_off(&mut lines);
        prefixed::take_off(&mut lines);
        numbered::take_off(&mut lines);
    }
    emphasis::take_off(&mut lines);
    wrapped::join(&mut lines);
    lines
}

/// A line as it stood on the screen, in plain letters.
pub(crate) fn line(raw: &str) -> Cow<'_, str> {
    let mut lines = vec![screen::line(1, raw)];
    letters::plain(&mut lines);
    lines.pop().map(|line| line.text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Vec<String> {
        unpack(text)
            .iter()
            .map(|line| match line.mark {
                Mark::Text => format!("{}:{} {}", line.number, line.column, line.text),
                Mark::Open => format!("{} open", line.number),
                Mark::Close => format!("{} close", line.number),
            })
            .collect()
    }

    #[test]
    fn quotation_marks_come_off() {
        assert_eq!(shown("> a\n> > b\n>\n> c"), ["1:2 a", "2:4 b", "3:1 ", "4:2 c"]);
        assert_eq!(shown("x > y\n> a"), ["1:0 x > y", "2:0 > a"]);
    }

    #[test]
    fn line_numbers_come_off() {
        let text = "  1\t[a@h ~]# brctl show\n  2\tx\n  3\t    y\n  4\tz";
        assert_eq!(shown(text), ["1:4 [a@h ~]# brctl show", "2:4 x", "3:4     y", "4:4 z"]);
        let devices = "1: lo: <UP>\n2: eth0: <UP>\n3: eth1: <UP>\n4: eth2: <UP>";
        assert_eq!(shown(devices).first().map(String::as_str), Some("1:0 1: lo: <UP>"));
    }

    #[test]
    fn fences_and_tags_open_and_close() {
        assert_eq!(
            shown("a\n```sh\nb\n```\n<pre><code>c &lt;d\n</code></pre>"),
            ["1:0 a", "2 open", "3:0 b", "4 close", "5 open", "5:11 c <d", "6 close"]
        );
        assert_eq!(shown("[code]c\n[/code]\n[pkg]"), ["1 open", "1:6 c", "2 close", "3:0 [pkg]"]);
    }

    #[test]
    fn broken_lines_are_joined() {
        let text = "3: br5: <BROADCAST,UP> mtu 1462 qdisc pfifo_fast and some more for the width\n\
                    master br52 state UP\n    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff";
        let joined = unpack(text);
        assert_eq!(joined.len(), 2);
        assert!(joined.iter().all(|line| !line.text.starts_with("master")));
    }

    #[test]
    fn letters_become_plain() {
        assert_eq!(shown("\u{a0}\u{a0}Port “x”\u{200b}"), ["1:0   Port \"x\""]);
        assert_eq!(shown("virsh list –all"), ["1:0 virsh list --all"]);
    }

    #[test]
    fn a_recording_is_what_it_shows() {
        let text = "{\"version\": 2, \"width\": 80}\n[0.1, \"o\", \"$ ip\"]\n\
                    [0.2, \"o\", \" a\\r\\nx\\r\\n\"]\n[0.3, \"i\", \"q\"]\n";
        assert_eq!(shown(text), ["2:12 $ ip a", "3:18 x"]);
        let old =
            "{\"version\": 1,\n \"stdout\": [[0.1, \"$ \\u00fc\\u001b[0m\"],\n[0.2, \"x\\r\\n\"]]}";
        assert_eq!(shown(old), ["2:19 $ üx"]);
        let place = unpack(old).first().map(Line::place).unwrap();
        assert_eq!([place.of(0), place.of(2), place.of(3)], [(2, 19), (2, 21), (3, 7)]);
    }

    #[test]
    fn of_a_difference_the_newer_text_is_read() {
        let text = "--- a/x\n+++ b/x\n@@ -1,3 +1,3 @@\n a\n-b\n+c\n d\n@@ -9 +9 @@\n-e\n+f\nz\n";
        let wanted = [
            "1:0 --- a/x",
            "2:0 +++ b/x",
            "3 open",
            "4:1 a",
            "6:1 c",
            "7:1 d",
            "8:0 ...",
            "10:1 f",
            "11:0 z",
            "11 close",
        ];
        assert_eq!(shown(text), wanted);
        assert_eq!(shown("@@ -1 x\n-a"), ["1:0 @@ -1 x", "2:0 -a"]);
        assert_eq!(shown("@@ -1,9999999 +1,9999999 @@\n+a"), ["1 open", "2:1 a", "2 close"]);
    }

    #[test]
    fn cells_of_a_notebook_come_in_the_order_of_typing() {
        let text = "{\"cells\":[{\"cell_type\":\"code\",\"outputs\":[{\"text\":[\"1: lo: <UP>\\n\",\
                    \"x\\u00fc\"]}],\"source\":[\"!ip a\"]},{\"cell_type\":\"markdown\",\"source\":\"b\\nc\"}],\
                    \"nbformat\":4}";
        let shown = shown(text);
        let texts: Vec<&str> = shown.iter().map(|line| line.split_once(' ').unwrap().1).collect();
        assert_eq!(
            texts,
            ["open", "ip a", "close", "open", "1: lo: <UP>", "xü", "", "close", "b", "c"]
        );
    }

    #[test]
    fn panes_are_told_apart() {
        let text = "[a@h ~]# ip a │[a@h ~]# brctl show\n1: lo: <UP>   │bridge name\n    link/x    │x\n\
                    [a@h ~]#      │[a@h ~]#\nend\n";
        let wanted = [
            "1 open",
            "1:0 [a@h ~]# ip a",
            "2:0 1: lo: <UP>",
            "3:0     link/x",
            "4:0 [a@h ~]#",
            "1 close",
            "1 open",
            "1:15 [a@h ~]# brctl show",
            "2:15 bridge name",
            "3:15 x",
            "4:15 [a@h ~]#",
            "1 close",
            "5:0 end",
        ];
        assert_eq!(shown(text), wanted);
        // A table is none.
        let table = "a │ b\nc │ d\ne │ f\ng │ h\n";
        assert_eq!(shown(table).len(), 4);
    }

    #[test]
    fn characters_keep_their_places() {
        let place = |text: &str, wanted: char| {
            let lines = unpack(text);
            let found = lines.iter().find_map(|line| {
                let at = line.text.chars().position(|c| c == wanted)?;
                Some(line.place().of(u32::try_from(at).unwrap()))
            });
            found.unwrap_or_else(|| panic!("{text:?}: {lines:?}"))
        };
        for (text, wanted) in [
            ("<pre>a &lt;b&gt; &amp;c <b>Z</b></pre>", (1, 27)),
            ("x\n> a\u{1b}[1mb\u{1b}[0m Z\n> b\n", (2, 13)),
            ("[code]&lt;UP&gt; Z[/code]", (1, 17)),
            ("virsh list –all Z", (1, 16)),
            ("a=3Db=20=C3=A9 =\nZ\n", (2, 0)),
            ("aaa\rb Z", (1, 6)),
        ] {
            assert_eq!(place(text, 'Z'), wanted, "{text:?}");
        }
    }

    /// Each character that is not made of others stands where its place says.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test reads the corpus")]
    fn places_of_posts_are_true() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../corpus/posts");
        let mut told = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            // Of base64 three letters make what four stand for.
            let Ok(text) = String::from_utf8(bytes) else { continue };
            if text.contains("Transfer-Encoding: base64") {
                continue;
            }
            let written: Vec<Vec<char>> = text.lines().map(|line| line.chars().collect()).collect();
            for line in unpack(&text) {
                let place = line.place();
                for (c, at) in line.text.chars().zip(0..) {
                    let (number, column) = place.of(at);
                    let there = written
                        .get(number as usize - 1)
                        .and_then(|line| line.get(column as usize))
                        .unwrap_or_else(|| panic!("{text}\n{line:?} {c:?} {number}:{column}"));
                    let made = c == ' ' || !there.is_ascii() || matches!(there, '&' | '=' | '\\');
                    assert!(
                        *there == c || made,
                        "{text}\n{line:?} {c:?} {number}:{column} {there:?}"
                    );
                    told += usize::from(*there == c && place.shifts.is_some());
                }
            }
        }
        assert!(told > 200, "{told}");
    }
}
