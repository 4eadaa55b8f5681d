//! `nft list ruleset`, with and without `-a`, and with `-j`.
//!
//! Source of the format: nftables `src/rule.c` (`do_list_table`, `chain_print_declaration`,
//! `set_print_declaration`), nft(8); 0.8 to 1.1.
//!
//! ```text
//! table inet filter { # handle 1
//!     set known {
//!         type ipv4_addr
//!         elements = { 192.0.2.1, 192.0.2.2 }
//!     }
//!     chain input { # handle 2
//!         type filter hook input priority filter; policy drop;
//!         ip saddr @known counter packets 0 bytes 0 accept # handle 3
//!     }
//! }
//! ```
//!
//! Elements and rules may go on over several lines, within braces or behind a backslash. Input of
//! `nft -f` looks the same. Nothing at all is a complete answer: there are no tables.
mod expression;
mod json;
mod key;
mod maps;
mod rule;
mod statement;

use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Fate, Outcome};
use tapline_core::records::Batch;
use tapline_core::records::nft::{NftChain, NftObject, NftRule, NftTable};
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::{Read, bodies, finish, is_elision, one_line};
use crate::nomx::{Parsed, refuse};
use statement::{Balance, elements, hook, without_handle};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("nft-list-ruleset"),
    command: "nft list ruleset",
    collect: &[Per::Host.run("nft list ruleset"), Per::Namespace.run("nft list ruleset")],
    claims: |command| Some(Request::filtered(&[Topic::Nft], !asked(command)?)),
    sniff: |head| {
        if json::is_json(head) {
            return 95;
        }
        let mut lines = bodies(head).filter(|body| !body.is_empty() && !body.starts_with('#'));
        let table =
            lines.next().is_some_and(|line| line.starts_with("table ") && line.contains(" {"));
        let inside = lines.next().is_some_and(|it| {
            let it = it.trim_start();
            it == "}"
                || it.starts_with("comment \"")
                || OBJECTS.iter().any(|object| it.starts_with(object))
        });
        if table && inside { 90 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends { closes: |last| last == "}" || last.ends_with("]}"), ..Ends::LINES },
};

/// What stands in a table; `ct helper` and its like have two words.
const OBJECTS: &[&str] = &[
    "chain ",
    "set ",
    "map ",
    "flowtable ",
    "counter ",
    "quota ",
    "limit ",
    "secmark ",
    "synproxy ",
    "tunnel ",
    "ct helper ",
    "ct timeout ",
    "ct expectation ",
];

/// Whether a command lists rules, and whether all of them: `list ruleset`, `list table inet x`.
fn asked(command: &Command) -> Option<bool> {
    if command.program() != "nft" {
        return None;
    }
    let mut words = command.args().iter().map(String::as_str).peekable();
    while let Some(option) = words.next_if(|word| word.starts_with('-')) {
        if matches!(option, "-f" | "--file" | "-i" | "-c") {
            return None;
        }
    }
    match (words.next()?, words.next()?) {
        ("list", "ruleset") => Some(words.next().is_none()),
        ("list", "table" | "chain") => Some(false),
        _ => None,
    }
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<NftTable>> {
    let mut out: Outcome<()> = Outcome::default();
    let mut reader =
        Reader { text, tables: Vec::new(), place: Place::Top, open: None, partial: None };
    if asked(command) == Some(false) {
        reader.partial = Some("lists a part of the rules");
    }
    let document = json::is_json(text);
    if document {
        reader.tables = json::read(text, &mut out);
    }
    for body in bodies(text).take_while(|_| !document) {
        if body.trim_start().starts_with('#') && reader.open.is_none() {
            out.lines.add(Fate::Ignored);
        } else {
            one_line(text, body, &mut out, &mut |line| reader.line(line));
        }
    }
    if reader.place != Place::Top || reader.open.is_some() {
        reader.partial = Some("a brace is not closed: the end is missing");
    }
    let (tables, partial) = (reader.tables, reader.partial);
    finish(text, &mut out);
    if let Some(reason) = partial {
        let before = std::mem::take(&mut out.completeness);
        out.completeness = before.and(Completeness::Partial(reason.to_owned()));
    }
    out.map(|()| tables)
}

/// Within which braces a line stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Table,
    Chain,
    Object,
}

struct Reader<'a> {
    text: &'a str,
    tables: Vec<NftTable>,
    place: Place,
    /// A rule or a list of elements that goes on: where it starts, and what is open.
    open: Option<(Span, Balance)>,
    partial: Option<&'static str>,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) -> Parsed<'a, Read<()>> {
        if is_elision(line) {
            return refuse(line, "all lines");
        }
        let content = line.trim_start();
        if let Some((start, balance)) = self.open.take() {
            return self.statement(content, start, balance);
        }
        if content == "}" {
            self.place = match self.place {
                Place::Top => return refuse(line, "an open brace above this one"),
                Place::Table => Place::Top,
                Place::Chain | Place::Object => Place::Table,
            };
            return Ok(("", Read::Took(())));
        }
        match self.place {
            Place::Top => self.top(line),
            Place::Table => self.inside(line, content),
            Place::Chain | Place::Object => {
                self.statement(content, Span::of(self.text, content), Balance::default())
            }
        }
    }

    /// `table inet filter { # handle 1`.
    fn top(&mut self, line: &'a str) -> Parsed<'a, Read<()>> {
        if line == "flush ruleset" {
            return Ok(("", Read::Ignored));
        }
        if ["sudo ", "nft "].iter().any(|prefix| line.starts_with(prefix)) {
            self.partial = Some("commands stand among the output");
            return Ok(("", Read::Ignored));
        }
        let (bare, handle) = without_handle(line);
        let Some(rest) = bare.strip_prefix("table ") else {
            return refuse(line, "`table FAMILY NAME {`");
        };
        let opens = rest.strip_suffix('{');
        let mut words = opens.unwrap_or(rest).split_whitespace();
        let (family, name) = match (words.next(), words.next(), words.next()) {
            (Some(name), None, None) => ("ip", name),
            (Some(family), Some(name), None) => (family, name),
            _ => return refuse(rest, "family and name of a table"),
        };
        self.tables.push(NftTable {
            at: Span::of(self.text, line),
            family: family.into(),
            name: at(self.text, name),
            handle,
            chains: Vec::new(),
            objects: Vec::new(),
            other: Vec::new(),
        });
        if opens.is_some() {
            self.place = Place::Table;
        } else {
            // `nft list tables`.
            self.partial = Some("names tables without what is in them");
        }
        Ok(("", Read::Took(())))
    }

    /// `chain input {`, `set known {`, or a word about the table.
    fn inside(&mut self, line: &'a str, content: &'a str) -> Parsed<'a, Read<()>> {
        let text = self.text;
        let Some(table) = self.tables.last_mut() else { return refuse(line, "a table") };
        let (bare, handle) = without_handle(content);
        let Some(head) = bare.strip_suffix('{') else {
            if ["comment ", "flags ", "owner"].iter().any(|prefix| content.starts_with(prefix)) {
                table.other.push(at(text, content));
                return Ok(("", Read::Took(())));
            }
            return refuse(line, "a chain, a set or another object with `{`");
        };
        let object = OBJECTS.iter().find(|object| head.starts_with(*object));
        let Some((object, name)) =
            object.and_then(|object| Some((object.trim_end(), head.get(object.len()..)?)))
        else {
            return refuse(line, "a chain, a set or another object");
        };
        let name = name.trim();
        if name.is_empty() || name.contains([' ', '<']) {
            return refuse(line, "one name before `{`");
        }
        let (at_line, name) = (Span::of(text, content), at(text, name));
        if object == "chain" {
            self.place = Place::Chain;
            table.chains.push(NftChain {
                at: at_line,
                name,
                handle,
                kind: None,
                hook: None,
                device: None,
                priority: None,
                policy: None,
                rules: Vec::new(),
            });
        } else {
            self.place = Place::Object;
            table.objects.push(NftObject {
                at: at_line,
                object: object.into(),
                name,
                handle,
                elements: 0,
                members: Vec::new(),
                other: Vec::new(),
            });
        }
        Ok(("", Read::Took(())))
    }

    /// A line of a chain or an object; the text from `start` on is one statement.
    fn statement(
        &mut self,
        content: &'a str,
        start: Span,
        mut balance: Balance,
    ) -> Parsed<'a, Read<()>> {
        let took = Ok(("", Read::Took(())));
        balance.add(content);
        if balance.is_open() {
            self.open = Some((start, balance));
            return took;
        }
        if balance.is_broken() {
            return refuse(content, "braces that match");
        }
        let text = self.text;
        let span = start.to(Span::of(text, content));
        let whole = text.get(span.range()).unwrap_or(content);
        let Some(table) = self.tables.last_mut() else { return took };
        if self.place == Place::Object {
            let Some(object) = table.objects.last_mut() else { return took };
            if let Some(list) = whole.strip_prefix("elements = {") {
                object.members = elements(list);
                object.elements = u32::try_from(object.members.len()).unwrap_or(u32::MAX);
            } else {
                object.other.push(at(text, whole));
            }
            return took;
        }
        let Some(chain) = table.chains.last_mut() else { return took };
        let head = chain.rules.is_empty() && chain.hook.is_none();
        if head && whole.starts_with("type ") {
            return hook(text, whole, chain);
        }
        // Of the chain; a rule has its comment at its end.
        if head && whole.starts_with("comment ") {
            return took;
        }
        let (rule, handle) = without_handle(whole);
        let shown = At::new(rule.into(), Span::of(text, rule));
        let objects = &table.objects;
        let statements = rule::statements(rule, &|name: &str| members(objects, name));
        chain.rules.push(NftRule { at: span, text: shown, handle, statements });
        took
    }
}

/// Sets larger than this are not copied into the rules that look into them.
const MAX_MEMBERS: usize = 1024;

/// The members of a set, or the pairs of a map, that does not change by itself; `nft -t` prints none.
fn members<'s>(objects: &'s [NftObject], name: &str) -> Option<&'s [Name]> {
    let is_one = |object: &&NftObject| {
        matches!(object.object.as_str(), "set" | "map") && object.name.value == name
    };
    let set = objects.iter().find(is_one)?;
    let changes = |line: &At<Name>| {
        line.value.starts_with("flags ")
            && ["dynamic", "timeout"].iter().any(|flag| line.value.contains(flag))
    };
    let known = !set.members.is_empty() && set.members.len() <= MAX_MEMBERS;
    (known && !set.other.iter().any(changes)).then_some(&set.members)
}

#[cfg(test)]
mod tests {
    use tapline_core::records::filter::{Addresses, Condition, Test};
    use tapline_core::records::nft::Statement;

    use super::*;

    const TEXT: &str = "# Warning: table ip filter is managed by iptables-nft, do not touch!\n\
        table ip filter { # handle 1\n\tcomment \"a\"\n\tset s {\n\t\ttype ipv4_addr\n\t\tflags interval\n\t\t\
        elements = { 192.0.2.1,\n\t\t\t     192.0.2.2 }\n\t}\n\n\tchain INPUT { # handle 2\n\t\t\
        type filter hook ingress device \"eth0\" priority filter + 10; policy drop;\n\t\t\
        tcp dport { 22, 80 } log prefix \"a { b\" accept # handle 3\n\t\tip saddr @s \\\n\t\t\tcounter accept\n\t\t\
        jump {\n\t\t\tdrop\n\t\t}\n\t}\n\n\tct helper ftp {\n\t\ttype \"ftp\" protocol tcp\n\t}\n\
        \tchain mine {\n\t}\n}\ntable inet t2 {\n}\n";

    fn reads(text: &str) -> Outcome<Vec<NftTable>> {
        parse(text, &Command::new("nft -a list ruleset"))
    }

    #[test]
    fn tables_hold_chains_and_objects() {
        let out = reads(TEXT);
        assert_eq!(out.lines.unread, 0, "{:?}", out.problems);
        assert!(out.completeness.is_complete());
        let [filter, second] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!(
            (&*filter.family, filter.name.as_str(), filter.handle),
            ("ip", "filter", Some(1))
        );
        assert_eq!((&*second.family, second.name.as_str()), ("inet", "t2"));
        let [set, helper] = filter.objects.as_slice() else { panic!("{filter:?}") };
        assert_eq!((&*set.object, set.name.as_str(), set.elements), ("set", "s", 2));
        assert_eq!((&*helper.object, helper.name.as_str()), ("ct helper", "ftp"));
        let [input, mine] = filter.chains.as_slice() else { panic!("{filter:?}") };
        assert_eq!((input.kind.as_deref(), mine.kind.as_deref()), (Some("filter"), None));
        assert_eq!(input.hook.as_ref().unwrap().as_str(), "ingress");
        assert_eq!(input.device.as_ref().unwrap().as_str(), "eth0");
        assert_eq!(input.priority.as_ref().unwrap().as_str(), "filter + 10");
        assert_eq!(input.policy.as_ref().unwrap().as_str(), "drop");
        let [first, second, third] = input.rules.as_slice() else { panic!("{input:?}") };
        assert_eq!(first.text.as_str(), "tcp dport { 22, 80 } log prefix \"a { b\" accept");
        assert_eq!((first.handle, second.handle), (Some(3), None));
        assert!(second.text.ends_with("counter accept"));
        assert!(third.text.starts_with("jump {") && third.text.ends_with('}'));
        assert_eq!(TEXT.get(second.text.span.range()), Some(second.text.as_str()));
    }

    #[test]
    fn a_chain_has_a_comment_devices_and_flags() {
        let text = "table netdev t {\n\tchain c {\n\t\tcomment \"why\"\n\t\t\
            type filter hook egress devices = { tap1, \"tap2\" } priority filter; policy drop;\n\t\t\
            comment \"a rule\"\n\t}\n}\n";
        let out = reads(text);
        assert_eq!(out.lines.unread, 0, "{:?}", out.problems);
        let chain = &out.records[0].chains[0];
        assert_eq!(chain.hook.as_ref().unwrap().as_str(), "egress");
        assert_eq!(chain.device.as_ref().unwrap().as_str(), "tap1, tap2");
        assert_eq!(chain.policy.as_ref().unwrap().as_str(), "drop");
        assert_eq!(chain.rules.len(), 1);
    }

    #[test]
    fn sets_are_looked_into() {
        let out = reads(TEXT);
        let second = &out.records[0].chains[0].rules[1];
        let nets = ["192.0.2.1/32", "192.0.2.2/32"];
        let nets = nets.iter().map(|net| Addresses::Net(net.parse().unwrap())).collect();
        let wanted = Statement::If(Condition { not: false, test: Test::Source(nets) });
        assert!(second.statements.contains(&wanted), "{second:?}");
    }

    #[test]
    fn parts_and_failures() {
        assert!(reads("").completeness.is_complete());
        let denied = "netlink: Error: cache initialization failed: Operation not permitted\n";
        assert!(reads(denied).completeness.is_failed());
        for (text, unread) in [
            ("table ip a {\n\tchain b {\n", 0),
            ("table ip a\n", 0),
            ("nft list ruleset\ntable ip a {\n}\n", 0),
            ("prose\ntable ip a {\n}\n", 1),
            ("...\ntable ip a {\n\tchain <name> {\n\t} }\n", 3),
            ("table ip a {\n}\n}\n", 1),
            ("table ip a {\n\tchain b {\n\t\tdrop }\n\t}\n}\n", 1),
        ] {
            let out = reads(text);
            assert_eq!(out.lines.unread, unread, "{text}: {:?}", out.problems);
            assert!(matches!(out.completeness, Completeness::Partial(_)), "{text}");
        }
        let table = parse("table ip a {\n}\n", &Command::new("nft list table ip a"));
        assert!(matches!(table.completeness, Completeness::Partial(_)));
    }

    #[test]
    fn commands_are_known() {
        let claims = |line: &str| FORMAT.reads(&Command::new(line));
        assert!(claims("nft list ruleset") && claims("nft -nn -a list ruleset"));
        for line in ["nft list tables", "nft -f x", "nft"] {
            assert!(!claims(line), "{line}");
        }
        assert!((FORMAT.sniff)(TEXT.replace("\tcomment \"a\"\n", "").as_str()) > 50);
    }
}
