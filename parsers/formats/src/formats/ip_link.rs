//! `ip address` and `ip link` of iproute2, in all their forms since 2010.
//!
//! Source of the format: iproute2 `ip/ipaddress.c` (`print_linkinfo`, `print_addrinfo`), the
//! details of `-d` from `ip/iplink_*.c` and `ip/link_*.c`; 2.6.35 to 6.17. Both commands print
//! devices alike, so one reader serves both: `ip link` merely has no address lines.
//!
//! ```text
//! 18: qr-3a70b31c-3f@if17: <BROADCAST,UP,LOWER_UP> mtu 1450 qdisc noqueue master br0 state UP group default qlen 1000
//!     link/ether fa:16:3e:28:ad:5c brd ff:ff:ff:ff:ff:ff link-netnsid 0 promiscuity 1
//!     veth numtxqueues 1 numrxqueues 1
//!     inet 10.0.1.1/24 brd 10.0.1.255 scope global qr-3a70b31c-3f
//!        valid_lft forever preferred_lft forever
//! ```
//!
//! * `-o` joins the lines of a device with `\`; `ip -o address` prints one line per address.
//! * `-br` prints name, state and addresses (or link-layer address and flags) in columns.
//! * `-j` prints a JSON array, `-c` puts colour escapes around names and addresses.
//! * `ip -all netns exec` puts a line `netns: NAME` above each namespace.
//!
//! What a line is follows from its first word, not from its indentation: pasted text has lost it.
mod address;
pub(super) mod ansi;
mod brief;
mod command;
mod details;
mod device;
mod fields;
mod json;
mod kinds;
mod sniff;
mod stats;

use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::ids::{Mac, Netns};
use tapline_core::outcome::{Fate, Outcome, Problem, ProblemKind};
use tapline_core::records::Batch;
use tapline_core::records::link::Link;
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per, is_begun, last_word};
use crate::lines::{Read, bodies, finish, is_separator, one_line, orphan, separated};
use crate::nomx::{Expected, Parsed, refuse, word_gap};

/// `ip address`.
pub(crate) static ADDRESS: Format = Format {
    id: FormatId("ip-address"),
    command: "ip address",
    collect: &[Per::Host.run("ip -d address"), Per::Namespace.run("ip -d address show")],
    claims: command::address,
    sniff: sniff::address,
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends { closes: is_lifetime, torn: is_torn, ..Ends::LINES },
};

/// `ip link`.
pub(crate) static LINK: Format = Format {
    id: FormatId("ip-link"),
    command: "ip -d link",
    collect: &[Per::Host.run("ip -s -s -d link")],
    claims: command::link,
    sniff: sniff::link,
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends {
        closes: |last| last.trim_start().starts_with("link/") && is_whole_mac(last_word(last)),
        torn: is_torn,
        ..Ends::LINES
    },
};

/// `valid_lft forever preferred_lft 81sec`: the end of an address.
fn is_lifetime(last: &str) -> bool {
    let word = last_word(last);
    let seconds = word.strip_suffix("sec");
    last.contains("preferred_lft ")
        && (word == "forever"
            || seconds.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit())))
}

/// The head of a device, below which its address always stands, an address without its scope, one
/// whose lifetimes do not end, half a MAC of Ethernet.
fn is_torn(last: &str) -> bool {
    let last = last.trim();
    let joined = last.contains('\\');
    if is_header(last) {
        // `ip -o address` has one line for each address.
        return last.contains(": <") && !joined;
    }
    if is_begun(last, &["link/ether", "valid_lft", "inet", "inet6"]) {
        return true;
    }
    if let Some(macs) = last.strip_prefix("link/ether ") {
        let mut words = macs.split(' ');
        let (own, brd, all) = (words.next(), words.next(), words.next());
        let is_half = |word: &str| !is_whole_mac(word);
        return own.is_some_and(is_half) || brd == Some("brd") && all.is_none_or(is_half);
    }
    let address = last.starts_with("inet ") || last.starts_with("inet6 ");
    let lifetimes = last.starts_with("valid_lft ");
    let label = address && !joined && matches!(last_word(last), "scope" | "brd");
    address && !last.contains(" scope ") && !joined || label || lifetimes && !is_lifetime(last)
}

/// `52:54:00:12:34:56`, with two digits in every part.
fn is_whole_mac(word: &str) -> bool {
    word.len() == 17 && word.parse::<Mac>().is_ok()
}

/// Reads the whole output, in whatever form it is.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Link>> {
    let mut out = match ansi::strip(text) {
        None => read(text, command),
        Some(plain) => {
            let mut out = read(&plain.text, command);
            for link in &mut out.records {
                ansi::each_span(link, |span| *span = plain.original(*span));
            }
            for problem in &mut out.problems {
                problem.span = plain.original(problem.span);
            }
            out
        }
    };
    let only = command::shows_only(command);
    if only.is_none() && (out.lines.total == 0 || text.trim() == "[]") {
        // Not even `lo`: the command did not run, or its output was lost.
        let why = "the output is empty, but every namespace has a device lo";
        out.completeness = Completeness::Failed(why.to_owned());
    }
    if let Some(only) = only {
        let partial = Completeness::Partial(only);
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

/// Details that `ip -d` prints of every device, at the end of its line (`print_linkinfo`, iproute2
/// `ip/ipaddress.c`); which of them depends on its version and the kernel.
const OF_EVERY_DEVICE: [&str; 6] =
    ["numtxqueues", "numrxqueues", "gso_max_size", "gso_max_segs", "tso_max_segs", "gro_max_size"];

/// Whether the last device lacks what all others have: a text that was cut within a line, with another
/// command behind it, does not end without a line end.
fn is_last_cut(links: &[Link]) -> bool {
    let Some((last, others)) = links.split_last() else { return false };
    let has = |link: &Link, key: &str| link.other.find(key).is_some();
    !others.is_empty()
        && OF_EVERY_DEVICE
            .iter()
            .any(|key| !has(last, key) && others.iter().all(|other| has(other, key)))
}

/// Reads a text without colours.
fn read(text: &str, command: &Command) -> Outcome<Vec<Link>> {
    if let Some(out) = json::read(text) {
        return out;
    }
    let mut out = Outcome::default();
    let all = text;
    let (text, rest) = all.split_at_checked(end_of_most(all)).unwrap_or((all, ""));
    let mut reader = Reader::new(text);
    // Records are large: a list that grows copies them time and again.
    reader.links.reserve_exact(devices_of(text));
    let bare = is_addresses_alone(text);
    reader.labels = bare || command.args().iter().any(|arg| arg == "label");
    for body in bodies(text) {
        if is_separator(body) {
            reader.open = false;
            separated(&mut out);
        } else if reader.is_orphan(body) {
            orphan(text, body, &mut out);
        } else {
            one_line(text, body, &mut out, &mut |line| reader.line(line));
        }
    }
    let wanting = reader.wanting.take();
    reader.cut_off(wanting);
    finish(text, &mut out);
    if is_last_cut(&reader.links) {
        let why = "the last device lacks details that all others have: it was cut off".to_owned();
        out.completeness = std::mem::take(&mut out.completeness).and(Completeness::Partial(why));
    }
    if bare {
        let why = "addresses stand without their devices".to_owned();
        out.completeness = std::mem::take(&mut out.completeness).and(Completeness::Partial(why));
    }
    if let Some(first) = rest.lines().next() {
        let why = format!("lists more than {MOST} devices: the rest was not read");
        let whole = std::mem::take(&mut out.completeness);
        out.completeness = whole.and(Completeness::Partial(why.clone()));
        out.problem(ProblemKind::Limit, Span::of(all, first), why);
        rest.lines().for_each(|_| out.lines.add(Fate::Unread));
    }
    for Problem { kind, message, span } in reader.remarks {
        if kind == ProblemKind::Truncated {
            let partial = Completeness::Partial("parts of lines are missing".to_owned());
            out.completeness = std::mem::take(&mut out.completeness).and(partial);
        }
        out.problem(kind, span, message);
    }
    out.map(|()| reader.links)
}

/// Whether a text is what `grep inet` lets through: labels alone tell whose the addresses are.
fn is_addresses_alone(text: &str) -> bool {
    let mut lines = bodies(text).map(str::trim).filter(|line| !line.is_empty());
    let is_address = |line: &str| {
        (line.starts_with("inet ") || line.starts_with("inet6 ")) && line.contains(" scope ")
    };
    lines.next().is_some_and(is_address) && lines.all(is_address)
}

/// No machine has as many devices; a list of hundreds of megabytes is not worth the memory.
const MOST: usize = 50_000;

/// Where the device behind the last one that is read begins, or the end of the text.
fn end_of_most(text: &str) -> usize {
    const SHORTEST: usize = 16;
    if text.len() < MOST * SHORTEST {
        return text.len();
    }
    let (mut devices, mut at) = (0, 0);
    for line in text.split_inclusive('\n') {
        devices += usize::from(!line.starts_with([' ', '\t', '\r', '\n']));
        if devices > MOST {
            return at;
        }
        at += line.len();
    }
    at
}

/// How many lines begin with a number, as the first line of each device does.
fn devices_of(text: &str) -> usize {
    let bytes = text.as_bytes();
    let first = usize::from(bytes.first().is_some_and(u8::is_ascii_digit));
    let ends = memchr::memchr_iter(b'\n', bytes);
    let begin = ends.filter(|end| bytes.get(end + 1).is_some_and(u8::is_ascii_digit));
    (first + begin.count()).min(MOST)
}

/// What stands so far, while the lines go by.
struct Reader<'a> {
    /// The whole text; spans refer to it.
    text: &'a str,
    /// The devices so far; the last one is the current one, if `open`.
    links: Vec<Link>,
    /// The namespace of the last `netns:` heading.
    netns: Option<Netns>,
    /// Whether lines may belong to the last device.
    open: bool,
    /// What lifetimes on the next line would be about.
    lifetimes: Lifetimes,
    /// Whether the current device has details (`-d`), so that unknown kinds can be told from
    /// prose.
    details: bool,
    /// The heading of counters whose numbers come next.
    counters: Option<stats::Heading<'a>>,
    /// The key with which the line above ends: its value is on the next line, or cut off.
    wanting: Option<&'a str>,
    /// `ip address show label X` prints addresses without their devices.
    labels: bool,
    /// About lines that were read, but say less than they should.
    remarks: Vec<Problem>,
}

/// What a line of lifetimes is about.
#[derive(Clone, Copy, Default)]
enum Lifetimes {
    /// The line above is not an address.
    #[default]
    Nothing,
    /// The last address.
    Address,
    /// An address that could not be kept.
    Lost,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            links: Vec::new(),
            netns: None,
            open: false,
            lifetimes: Lifetimes::Nothing,
            details: false,
            counters: None,
            wanting: None,
            labels: false,
            remarks: Vec::new(),
        }
    }

    /// Whether `body` is about a device, but there is none above.
    fn is_orphan(&self, body: &str) -> bool {
        let line = body.trim_start();
        !self.open && line.len() < body.len() && !is_header(line) && !self.is_labelled(line)
    }

    /// Whether a line is an address whose label alone tells its device.
    fn is_labelled(&self, line: &str) -> bool {
        self.labels && line.starts_with("inet ")
    }

    /// One line of any kind.
    fn line(&mut self, body: &'a str) -> Parsed<'a, Read<()>> {
        let line = body.trim_start();
        if let Some(key) = self.wanting.take() {
            if line.len() == body.len() && !is_header(line) && !brief::is_brief(line) {
                return self.wrapped(line, Some(key));
            }
            self.cut_off(Some(key));
        }
        if is_header(line) {
            // Whatever becomes of it: what follows is not about the device above.
            self.open = false;
            return self.header(line);
        }
        if self.is_labelled(line) {
            return self.labelled(line);
        }
        let margin = line.len() == body.len();
        if margin && let Some(name) = line.strip_prefix("netns: ") {
            self.open = false;
            self.netns = Some(Netns::Named(name.trim().into()));
            return Ok(("", Read::Ignored));
        }
        if margin && brief::is_brief(line) {
            self.open = false;
            let mut link = brief::line(self.text, line)?;
            link.netns.clone_from(&self.netns);
            self.links.push(link);
            return took("");
        }
        self.below(line, margin)
    }

    /// `N: NAME: <FLAGS> …`, or `N: NAME    inet …`; with `-o` everything about the device.
    fn header(&mut self, line: &'a str) -> Parsed<'a, Read<()>> {
        let mut pieces = pieces(line);
        let first = pieces.next().unwrap_or(line);
        let (rest, (mut link, cut)) = device::header(self.text, line, first)?;
        self.wanting = cut;
        link.netns.clone_from(&self.netns);
        let again = |last: &&mut Link| {
            last.index == link.index && last.name == link.name && last.netns == link.netns
        };
        let of_last = !rest.is_empty() && self.links.last_mut().as_ref().is_some_and(again);
        if !of_last {
            if let Some(span) = link.other.remove("...") {
                self.remark(ProblemKind::Truncated, span, "fields of this line were left out");
            }
            if let Some(before) = self.links.last_mut() {
                before.addresses.shrink_to_fit();
                before.other.shrink_to_fit();
            }
            self.links.push(link);
        }
        (self.open, self.details) = (true, false);
        (self.lifetimes, self.counters) = (Lifetimes::Nothing, None);
        if !rest.is_empty() {
            self.below(rest, true)?;
        }
        for piece in pieces {
            self.below(piece.trim(), false)?;
        }
        took("")
    }

    /// A line about the current device.
    fn below(&mut self, line: &'a str, margin: bool) -> Parsed<'a, Read<()>> {
        let lifetimes = std::mem::take(&mut self.lifetimes);
        let counters = self.counters.take();
        let Some(link) = self.links.last_mut().filter(|_| self.open) else {
            return refuse(line, "a device, such as `2: eth0: <…>`");
        };
        let text = self.text;
        if let Some(heading) = counters {
            if !stats::numbers(text, &heading, line, link)? {
                let what = "fewer numbers than the heading has names";
                self.remark(ProblemKind::BadValue, Span::of(text, line), what);
            }
            return took("");
        }
        let end = line.find([' ', '\t']).unwrap_or(line.len());
        let (first, rest) = line.split_at_checked(end).unwrap_or((line, ""));
        let mut cut = None;
        match first {
            "inet" | "inet6" => match address::line(text, line, &link.name)? {
                Ok((address, tail)) => {
                    link.addresses.push(address);
                    self.lifetimes = Lifetimes::Address;
                    if !tail.is_empty() {
                        let what = "nothing stands behind an address: this was not read";
                        self.remark(ProblemKind::TrailingText, Span::of(text, tail), what);
                    }
                }
                Err(name) => {
                    fields::keep(text, &mut link.other, first, name);
                    self.lifetimes = Lifetimes::Lost;
                    let what = "a name stands for the address (ip -resolve)";
                    self.remark(ProblemKind::BadValue, Span::of(text, name), what);
                }
            },
            "valid_lft" => {
                let address = match lifetimes {
                    Lifetimes::Nothing => return refuse(line, "an address above its lifetimes"),
                    Lifetimes::Address => link.addresses.last_mut(),
                    Lifetimes::Lost => None,
                };
                if let Some(odd) = address::lifetimes(line, address)? {
                    let what = "something sticks to the end of the line";
                    self.remark(ProblemKind::BadValue, Span::of(text, odd), what);
                }
            }
            "altname" => link.altnames.push(details::rest_of_line(text, rest)?),
            "alias" if !margin => link.alias = Some(details::rest_of_line(text, rest)?),
            "vf" if !margin => link.vfs.push(details::vf(text, line)?),
            "RX:" | "TX:" | "RX" | "TX" => self.counters = Some(stats::heading(text, line, link)?),
            _ if first.starts_with("link/") => {
                cut = details::link_line(text, line, link, &mut self.details)?;
            }
            _ if margin && is_continuation(first) => return self.wrapped(line, None),
            _ if margin => return refuse(line, "a line of `ip address` or `ip link`"),
            _ => cut = details::detail(text, line, link, self.details)?,
        }
        self.cut_off(cut);
        took("")
    }

    /// The rest of a line that was wrapped, by a mail program or by iproute2 itself: 4.2 to 4.4
    /// end the line before the state of a bond member's partner.
    fn wrapped(&mut self, line: &'a str, wanting: Option<&'a str>) -> Parsed<'a, Read<()>> {
        let text = self.text;
        let Some(link) = self.links.last_mut().filter(|_| self.open) else {
            return refuse(line, "a device, such as `2: eth0: <…>`");
        };
        let mut rest = line;
        if let Some(key) = wanting {
            let (after, value) = word_gap(line)?;
            device::shared(text, link, key, value)?;
            rest = after;
        }
        self.wanting =
            fields::each_field(rest, |key, value| device::shared(text, link, key, value))?;
        took("")
    }

    /// An address without its device: the label begins with it.
    fn labelled(&mut self, line: &'a str) -> Parsed<'a, Read<()>> {
        let text = self.text;
        let label = line.split_whitespace().next_back().unwrap_or_default();
        let name = label.split(':').next().unwrap_or_default();
        let Ok((address, _)) = address::line(text, line, name)? else {
            return refuse(line, "an address");
        };
        let at = Span::of(text, line);
        if self.links.last().is_none_or(|link| *link.name != name) {
            self.links.push(Link::named(at, At::new(name.into(), Span::of(text, name))));
        }
        if let Some(link) = self.links.last_mut() {
            link.addresses.push(address);
        }
        (self.open, self.lifetimes) = (true, Lifetimes::Address);
        took("")
    }

    fn cut_off(&mut self, word: Option<&str>) {
        if let Some(word) = word {
            let span = Span::of(self.text, word);
            self.remark(ProblemKind::Truncated, span, "the line is cut off behind this word");
        }
    }

    fn remark(&mut self, kind: ProblemKind, span: Span, message: &str) {
        self.remarks.push(Problem { kind, message: message.to_owned(), span });
    }
}

/// Whether a word at the margin goes on with the line above: a field of a device's first line or
/// of its details.
fn is_continuation(word: &str) -> bool {
    const KEYS: &[&str] = &[
        "mtu",
        "qdisc",
        "master",
        "state",
        "mode",
        "group",
        "qlen",
        "default",
        "brd",
        "link-netnsid",
        "link-netns",
        "promiscuity",
        "addrgenmode",
        "numtxqueues",
        "numrxqueues",
        "ad_partner_oper_port_state",
    ];
    KEYS.contains(&word)
}

/// The line was read up to `rest`.
fn took(rest: &str) -> Parsed<'_, Read<()>> {
    Ok((rest, Read::Took(())))
}

/// No way back from here: `what` completes "expected …".
fn fail<'a>(at: &'a str, what: &'static str) -> nom::Err<Expected<'a>> {
    nom::Err::Failure(Expected { at, what })
}

/// Whether a line starts with an index: `12: `.
fn is_header(line: &str) -> bool {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    digits > 0 && line.as_bytes().get(digits..).is_some_and(|it| it.starts_with(b": "))
}

/// The lines that `-o` joined: `\` stands for a line end, and each line starts with blanks.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let all = rest?;
        let mut ends = memchr::memchr_iter(b'\\', all.as_bytes());
        let cut = ends.find(|&at| matches!(all.as_bytes().get(at + 1), None | Some(b' ' | b'\t')));
        let Some(cut) = cut else { return rest.take() };
        rest = all.get(cut + 1..);
        all.get(..cut)
    })
}

#[cfg(test)]
mod tests;
